/* The client library and the answers of kpid; its bounds; everything at random. */
#include "fake_kpid.h"

/* --- answers ---------------------------------------------------------------------------------- */

static void answers_come_in_any_order(void **state)
{
    (void)state;
    const uint64_t order[] = {3, 1, 4, 2};
    struct pair pair;

    pair_begin(&pair, (struct kpid_client_options){0});
    for (int i = 0; i < 4; i++)
        send_one(&pair);
    greet(&pair, FRAME_MAX, 8);
    assert_int_equal(kpid_client_flush(pair.client, 0), KPID_TIMEOUT);
    for (size_t i = 0; i < 4; i++)
        fake_ack(&pair.fake, order[i], 1);
    fake_ack(&pair.fake, 3, 1); /* of a batch that is not known: nothing */
    fake_us += 1500;
    assert_int_equal(kpid_client_flush(pair.client, 0), KPID_OK);
    assert_int_equal(pair.answer_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pair.answers[i].sequence, order[i]);
        assert_int_equal(pair.answers[i].code, KPID_CODE_STORED);
        assert_int_equal(pair.answers[i].took_us, 1500);
    }
    const struct kpid_client_stats stats = kpid_client_stats(pair.client);
    assert_int_equal(stats.stored, 4);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.batches_waiting, 0);
    assert_int_equal(stats.bytes, 0);
    pair_end(&pair);
}

static void rejected_samples_are_told_one_by_one(void **state)
{
    (void)state;
    struct pair pair;
    char reason[] = "bad_name";
    char message[] = "'n': because";
    Kpid__V1__Rejected rejected = KPID__V1__REJECTED__INIT;
    Kpid__V1__Rejected beyond = KPID__V1__REJECTED__INIT;
    Kpid__V1__Rejected *examples[] = {&beyond, &rejected};
    Kpid__V1__Ack ack = KPID__V1__ACK__INIT;

    pair_begin(&pair, (struct kpid_client_options){0});
    for (int i = 0; i < 3; i++)
        add(&pair, 1);
    kpid_client_send(pair.client);
    greet(&pair, FRAME_MAX, 8);
    rejected.sample = 2;
    rejected.reason = reason;
    rejected.message = message;
    beyond.sample = 3; /* there is no such sample */
    ack.sequence = 1;
    ack.stored = 1;
    ack.rejected = 1;
    ack.dropped = 1;
    ack.n_examples = 2;
    ack.examples = examples;
    fake_ack_with(&pair.fake, &ack);
    assert_int_equal(kpid_client_flush(pair.client, 0), KPID_REFUSED);
    assert_int_equal(kpid_client_flush(pair.client, 0), KPID_OK); /* it is said once */
    assert_int_equal(pair.answers[0].example_count, 1);
    assert_int_equal(pair.answers[0].rejected, 1);
    assert_string_equal(pair.words, "2 bad_name 'n': because");
    const struct kpid_client_stats stats = kpid_client_stats(pair.client);
    assert_int_equal(stats.acknowledged, 3);
    assert_int_equal(stats.rejected, 1);
    assert_int_equal(stats.dropped, 1);
    pair_end(&pair);
}

static void refused_batches_are_not_sent_again(void **state)
{
    (void)state;
    const Kpid__V1__Code codes[] = {KPID__V1__CODE__MALFORMED, KPID__V1__CODE__TOO_LARGE,
                                    KPID__V1__CODE__DENIED, KPID__V1__CODE__TOO_OLD};
    struct pair pair;

    pair_begin(&pair, (struct kpid_client_options){0});
    for (int i = 0; i < 4; i++)
        send_one(&pair);
    greet(&pair, FRAME_MAX, 8);
    for (uint64_t i = 0; i < 4; i++)
        fake_error(&pair.fake, i + 1, codes[i], 0);
    assert_int_equal(kpid_client_flush(pair.client, 0), KPID_REFUSED);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pair.answers[i].code, codes[i]);
    assert_string_equal(pair.words, "because of the test");
    assert_string_equal(kpid_client_trouble(pair.client),
                        "kpid refuses a batch: because of the test");
    assert_int_equal(kpid_client_stats(pair.client).refused, 4);
    assert_int_equal(kpid_client_stats(pair.client).uncertain, 1);
    pair_end(&pair);
}

static void a_busy_kpid_gets_the_same_batch_later(void **state)
{
    (void)state;
    struct pair pair;

    pair_begin(&pair, (struct kpid_client_options){0});
    for (int i = 0; i < 3; i++)
        send_one(&pair);
    greet(&pair, FRAME_MAX, 2);
    assert_int_equal(fake_next(&pair.fake), 1);
    assert_int_equal(fake_next(&pair.fake), 2);
    fake_error(&pair.fake, 1, KPID__V1__CODE__BUSY, 250);
    fake_ack(&pair.fake, 2, 1);
    kpid_client_work(pair.client);
    assert_int_equal(fake_next(&pair.fake), 0); /* the third one waits as well */
    assert_int_equal(kpid_client_timeout_ms(pair.client), 250);
    fake_us += 249000;
    kpid_client_work(pair.client);
    assert_int_equal(fake_next(&pair.fake), 0);
    fake_us += 1000;
    kpid_client_work(pair.client);
    assert_int_equal(fake_next(&pair.fake), 1);
    assert_int_equal(fake_next(&pair.fake), 3);
    assert_int_equal(kpid_client_stats(pair.client).busy, 1);
    assert_int_equal(kpid_client_stats(pair.client).resent, 1);
    pair_end(&pair);
}

/* --- bounds ----------------------------------------------------------------------------------- */

static void memory_has_a_bound_and_the_caller_is_told(void **state)
{
    (void)state;
    enum { LIMIT = 100000 };
    struct pair pair;
    char name[40];
    uint64_t taken = 0;
    uint64_t full = 0;

    pair_begin(&pair, (struct kpid_client_options){.memory_max = LIMIT, .batch_samples = 100});
    for (int i = 0; i < 50000; i++) {
        (void)snprintf(name, sizeof name, "metric.number.%d", i);
        enum kpid_result result = kpid_client_count(pair.client, name, NULL, 0, 1);
        assert_true(result == KPID_OK || result == KPID_FULL);
        taken += result == KPID_OK;
        full += result == KPID_FULL;
        assert_true(kpid_client_stats(pair.client).bytes <= LIMIT);
    }
    assert_true(taken > 1000 && full > 1000);
    assert_int_equal(kpid_client_stats(pair.client).added, taken);
    assert_int_equal(kpid_client_stats(pair.client).full, full);

    uint64_t stored = 0;
    const Kpid__V1__Batch *batch = NULL;
    greet(&pair, FRAME_MAX, 1);
    while ((batch = fake_read_batch(&pair.fake)) != NULL) {
        stored += batch->n_sample_series;
        fake_ack(&pair.fake, batch->sequence, batch->n_sample_series);
        kpid_client_work(pair.client);
    }
    assert_int_equal(stored, taken);
    assert_int_equal(kpid_client_flush(pair.client, 0), KPID_OK);
    assert_int_equal(kpid_client_count(pair.client, name, NULL, 0, 1), KPID_OK);
    pair_end(&pair);
}

/* --- all of it, at random --------------------------------------------------------------------- */

enum { STORM_BATCHES = 60, STORM_STEPS = 4000 };

struct storm {
    struct pair pair;
    uint32_t random;
    double counted[STORM_BATCHES + 1]; /* what kpid has of each sequence; 0: not yet */
    uint64_t waiting[STORM_BATCHES];   /* was read and has no answer */
    size_t waiting_count;
};

static uint32_t dice(struct storm *storm, uint32_t sides)
{
    storm->random = storm->random * 1664525 + 1013904223;
    return (storm->random >> 8) % sides;
}

/* kpid takes what has come, without an answer yet. */
static void storm_read(struct storm *storm)
{
    const Kpid__V1__ClientFrame *frame = fake_read(&storm->pair.fake);

    if (frame == NULL)
        return;
    if (frame->kind_case == KPID__V1__CLIENT_FRAME__KIND_HELLO) {
        fake_welcome(&storm->pair.fake, FRAME_MAX, 1 + dice(storm, 6));
        return;
    }
    const Kpid__V1__Batch *batch = frame->batch;
    double sum = 0;
    assert_in_range(batch->sequence, 1, STORM_BATCHES);
    if (dice(storm, 5) == 0) {
        fake_error(&storm->pair.fake, batch->sequence, KPID__V1__CODE__BUSY, dice(storm, 100));
        return;
    }
    for (size_t i = 0; i < batch->n_values; i++)
        sum += batch->values[i];
    double *counted = &storm->counted[batch->sequence];
    assert_true(*counted == 0 || *counted == sum); /* the same batch under the same number */
    *counted = sum;
    storm->waiting[storm->waiting_count++] = batch->sequence;
}

static void storm_answer(struct storm *storm)
{
    if (storm->waiting_count == 0)
        return;
    size_t i = dice(storm, (uint32_t)storm->waiting_count);
    fake_ack(&storm->pair.fake, storm->waiting[i], 1);
    storm->waiting[i] = storm->waiting[--storm->waiting_count];
}

static void storm_cut(struct storm *storm)
{
    fake_cut(&storm->pair.fake);
    storm->waiting_count = 0;
}

static void storm_step(struct storm *storm, bool is_calm)
{
    switch (dice(storm, 8)) {
    case 0:
    case 1:
        fake_us += dice(storm, 200) * INT64_C(1000);
        kpid_client_work(storm->pair.client);
        break;
    case 2:
        if (storm->pair.fake.fd < 0)
            (void)fake_accept(&storm->pair.fake);
        break;
    case 3:
    case 4:
        if (storm->pair.fake.fd >= 0)
            storm_read(storm);
        break;
    case 5:
    case 6:
        if (storm->pair.fake.fd >= 0)
            storm_answer(storm);
        break;
    default:
        if (!is_calm && dice(storm, 6) == 0)
            storm_cut(storm);
    }
}

static void whatever_happens_each_sample_counts_once(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 40; seed++) {
        struct storm storm = {.random = seed};
        double sent = 0;
        double counted = 0;
        int step = 0;

        pair_begin(&storm.pair,
                   (struct kpid_client_options){.batch_samples = 3, .batch_ms = 3600000});
        for (int i = 1; i <= STORM_BATCHES * 3; i++) {
            add(&storm.pair, i);
            sent += i;
            storm_step(&storm, false);
        }
        for (; step < STORM_STEPS && kpid_client_stats(storm.pair.client).waiting > 0; step++) {
            storm_step(&storm, step > STORM_STEPS / 2);
        }
        for (int i = 1; i <= STORM_BATCHES; i++)
            counted += storm.counted[i];
        assert_int_equal(kpid_client_stats(storm.pair.client).waiting, 0);
        assert_true(sent == counted);
        assert_int_equal(storm.pair.counted, STORM_BATCHES * 3);
        pair_end(&storm.pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_in_any_order),
        cmocka_unit_test(rejected_samples_are_told_one_by_one),
        cmocka_unit_test(refused_batches_are_not_sent_again),
        cmocka_unit_test(a_busy_kpid_gets_the_same_batch_later),
        cmocka_unit_test(memory_has_a_bound_and_the_caller_is_told),
        cmocka_unit_test(whatever_happens_each_sample_counts_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
