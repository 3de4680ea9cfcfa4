/* What the client library sends: batches, and when they go out. */
#include <math.h>

#include "fake_kpid.h"

/* --- what is sent ----------------------------------------------------------------------------- */

static void assert_symbol(const Kpid__V1__Batch *batch, uint32_t symbol, const char *text)
{
    assert_true(symbol < batch->n_symbols);
    assert_int_equal(batch->symbols[symbol].len, strlen(text));
    assert_memory_equal(batch->symbols[symbol].data, text, strlen(text));
}

static void a_batch_has_each_text_and_series_once(void **state)
{
    (void)state;
    const struct kpid_label pro[] = {{"plan", "pro"}, {"country", ""}};
    const struct kpid_label free_plan[] = {{"plan", "free"}};
    struct pair pair;

    pair_begin(&pair, (struct kpid_client_options){.batch_samples = 6});
    assert_int_equal(kpid_client_count(pair.client, "signup", pro, 2, 2), KPID_OK);
    fake_us += 5000;
    assert_int_equal(kpid_client_count(pair.client, "signup", free_plan, 1, 3), KPID_OK);
    assert_int_equal(kpid_client_count(pair.client, "signup", pro, 2, 5), KPID_OK);
    assert_int_equal(kpid_client_gauge(pair.client, "signup", pro, 2, -7), KPID_OK);
    assert_int_equal(kpid_client_gauge_add(pair.client, "plan", NULL, 0, 0.5), KPID_OK);
    assert_int_equal(kpid_client_score(pair.client, "nps", NULL, 0, 9), KPID_OK);
    greet(&pair, FRAME_MAX, 8);

    const Kpid__V1__Batch *batch = fake_read_batch(&pair.fake);
    assert_non_null(batch);
    assert_int_equal(batch->sequence, 1);
    assert_int_equal(batch->n_symbols, 7); /* "", signup, plan, pro, country, free, nps */
    assert_symbol(batch, 0, "");
    assert_int_equal(batch->n_series, 5);
    const Kpid__V1__Series *first = batch->series[0];
    assert_symbol(batch, first->name, "signup");
    assert_int_equal(first->n_labels, 4);
    assert_symbol(batch, first->labels[0], "plan");
    assert_symbol(batch, first->labels[1], "pro");
    assert_symbol(batch, first->labels[2], "country");
    assert_int_equal(first->labels[3], 0);
    assert_int_equal(first->kind, KPID__V1__KIND__COUNTER);
    assert_int_equal(batch->series[2]->kind, KPID__V1__KIND__GAUGE);
    assert_int_equal(batch->series[3]->form, KPID__V1__FORM__CHANGE);
    assert_int_equal(batch->series[4]->kind, KPID__V1__KIND__SCORE);

    const uint32_t series[] = {0, 1, 0, 2, 3, 4};
    const double values[] = {2, 3, 5, -7, 0.5, 9};
    assert_int_equal(batch->n_sample_series, 6);
    assert_memory_equal(batch->sample_series, series, sizeof series);
    assert_int_equal(batch->n_values, 6);
    assert_memory_equal(batch->values, values, sizeof values);
    assert_int_equal(batch->n_times, 6);
    assert_int_equal(batch->times[0], INT64_C(1700000000000));
    assert_int_equal(batch->times[1], 5);
    assert_int_equal(batch->times[2], 0);
    assert_int_equal(batch->n_weights, 0);
    assert_int_equal(batch->n_members, 0);
    pair_end(&pair);
}

static void members_rates_times_and_forms_are_sent(void **state)
{
    (void)state;
    const struct kpid_sample samples[] = {
        {.name = "users", .kind = KPID_UNIQUE, .member = "ada", .value = NAN, .time_ms = 5000},
        {.name = "ms", .kind = KPID_DISTRIBUTION, .value = 4, .rate = 0.1, .time_ms = 3000},
        {.name = "total", .kind = KPID_COUNTER, .form = KPID_CUMULATIVE, .value = 9, .start_ms = 1},
        {.name = "total", .kind = KPID_COUNTER, .form = KPID_INCREMENT, .value = 9, .start_ms = 2},
    };
    struct pair pair;

    pair_begin(&pair, (struct kpid_client_options){.batch_samples = 4});
    for (size_t i = 0; i < TEST_COUNT(samples); i++)
        assert_int_equal(kpid_client_add(pair.client, &samples[i]), KPID_OK);
    greet(&pair, FRAME_MAX, 8);
    const Kpid__V1__Batch *batch = fake_read_batch(&pair.fake);
    assert_non_null(batch);
    assert_int_equal(batch->n_members, 4);
    assert_symbol(batch, batch->members[0], "ada");
    assert_int_equal(batch->members[1], 0);
    assert_true(batch->values[0] == 0);
    assert_int_equal(batch->n_weights, 4);
    assert_int_equal(batch->weights[0], 65536);
    assert_int_equal(batch->weights[1], 655360);
    assert_int_equal(batch->times[0], 5000);
    assert_int_equal(batch->times[1], -2000);
    assert_int_equal(batch->n_series, 4);
    assert_int_equal(batch->series[2]->form, KPID__V1__FORM__CUMULATIVE);
    assert_int_equal(batch->series[2]->start, 1);
    assert_int_equal(batch->series[3]->form, KPID__V1__FORM__INCREMENT);
    assert_int_equal(batch->series[3]->start, 2);
    pair_end(&pair);
}

static void what_is_no_sample_is_not_taken(void **state)
{
    (void)state;
    const struct kpid_label nameless[] = {{NULL, "pro"}};
    const struct kpid_label worthless[] = {{"plan", NULL}};
    const struct kpid_sample wrong[] = {
        {.name = NULL},
        {.name = ""},
        {.name = "n", .value = NAN},
        {.name = "n", .value = INFINITY},
        {.name = "n", .kind = KPID_UNIQUE},
        {.name = "n", .kind = (enum kpid_kind)6},
        {.name = "n", .form = (enum kpid_form)4},
        {.name = "n", .rate = -1},
        {.name = "n", .rate = 1.5},
        {.name = "n", .rate = 1e-10},
        {.name = "n", .rate = NAN},
        {.name = "n", .labels = NULL, .label_count = 1},
        {.name = "n", .labels = nameless, .label_count = 1},
        {.name = "n", .labels = worthless, .label_count = 1},
    };
    char *vast = malloc(2 << 20);
    struct pair pair;

    assert_non_null(vast);
    memset(vast, 'n', (2 << 20) - 1);
    vast[(2 << 20) - 1] = '\0';
    pair_begin(&pair, (struct kpid_client_options){0});
    for (size_t i = 0; i < TEST_COUNT(wrong); i++)
        assert_int_equal(kpid_client_add(pair.client, &wrong[i]), KPID_INVALID);
    assert_int_equal(kpid_client_count(pair.client, vast, NULL, 0, 1), KPID_INVALID);
    assert_int_equal(kpid_client_stats(pair.client).added, 0);
    free(vast);
    pair_end(&pair);
}

static void options_out_of_range_make_no_client(void **state)
{
    (void)state;
    char host[300];
    char address[400];
    char vast[KPID_NAMES_MAX + 2];

    memset(host, 'h', sizeof host);
    host[sizeof host - 1] = '\0';
    memset(vast, 'v', sizeof vast);
    vast[sizeof vast - 1] = '\0';
    (void)snprintf(address, sizeof address, "tcp:%s:1", host);
    const struct kpid_client_options wrong[] = {
        {.address = NULL},
        {.address = ""},
        {.address = "127.0.0.1:8126"},
        {.address = "udp:127.0.0.1:8126"},
        {.address = "tcp:127.0.0.1"},
        {.address = "tcp:127.0.0.1:"},
        {.address = "tcp::8126"},
        {.address = "tcp:127.0.0.1:http"},
        {.address = "tcp:::1:8126"},
        {.address = "unix:"},
        {.address = address},
        {.address = "unix:/s", .batch_samples = KPID_BATCH_SAMPLES_MAX + 1},
        {.address = "unix:/s", .memory_max = KPID_MEMORY_MIN - 1},
        {.address = "unix:/s", .batch_ms = 3600001},
        {.address = "unix:/s", .token = vast},
        {.address = "unix:/s", .name = vast},
    };

    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        errno = 0;
        assert_null(kpid_client_new(&wrong[i]));
        assert_int_equal(errno, EINVAL);
    }
    kpid_client_free(NULL);
}

/* --- when it is sent -------------------------------------------------------------------------- */

static void a_batch_goes_out_when_it_is_full_or_old_or_asked_for(void **state)
{
    (void)state;
    struct pair pair;

    pair_begin(&pair, (struct kpid_client_options){.batch_samples = 2, .batch_ms = 50});
    send_one(&pair);
    greet(&pair, FRAME_MAX, 8);
    assert_int_equal(fake_next(&pair.fake), 1);
    add(&pair, 1);
    assert_int_equal(fake_next(&pair.fake), 0);
    add(&pair, 1);
    assert_int_equal(fake_next(&pair.fake), 2);

    add(&pair, 1);
    assert_int_equal(kpid_client_timeout_ms(pair.client), 50);
    fake_us += 49000;
    kpid_client_work(pair.client);
    assert_int_equal(fake_next(&pair.fake), 0);
    assert_int_equal(kpid_client_timeout_ms(pair.client), 1);
    fake_us += 1000;
    kpid_client_work(pair.client);
    assert_int_equal(fake_next(&pair.fake), 3);
    pair_end(&pair);
}

static void nobody_is_called_while_there_is_nothing_to_say(void **state)
{
    (void)state;
    struct pair pair;

    pair_begin(&pair, (struct kpid_client_options){0});
    kpid_client_send(pair.client);
    kpid_client_work(pair.client);
    assert_false(fake_accept(&pair.fake));
    assert_int_equal(kpid_client_timeout_ms(pair.client), -1);
    assert_int_equal(kpid_client_fd(pair.client), -1);
    assert_int_equal(kpid_client_flush(pair.client, 1000), KPID_OK);
    pair_end(&pair);
}

static void no_more_batches_are_under_way_than_kpid_allows(void **state)
{
    (void)state;
    struct pair pair;

    pair_begin(&pair, (struct kpid_client_options){0});
    for (int i = 0; i < 5; i++)
        send_one(&pair);
    greet(&pair, FRAME_MAX, 2);
    assert_int_equal(fake_next(&pair.fake), 1);
    assert_int_equal(fake_next(&pair.fake), 2);
    assert_int_equal(fake_next(&pair.fake), 0);
    fake_ack(&pair.fake, 1, 1);
    kpid_client_work(pair.client);
    assert_int_equal(fake_next(&pair.fake), 3);
    assert_int_equal(fake_next(&pair.fake), 0);
    pair_end(&pair);
}

static void no_batch_leaves_the_window_that_kpid_remembers(void **state)
{
    (void)state;
    struct pair pair;
    uint64_t last = 0;

    pair_begin(&pair, (struct kpid_client_options){0});
    for (int i = 0; i < 1500; i++)
        send_one(&pair);
    greet(&pair, FRAME_MAX, 100000);
    for (uint64_t next = 0; (next = fake_next(&pair.fake)) != 0; last = next) {
        kpid_client_work(pair.client); /* the socket takes a part at a time */
        if (next != 1)
            fake_ack(&pair.fake, next, 1);
    }
    assert_int_equal(last, 1000);
    fake_ack(&pair.fake, 1, 1);
    for (uint64_t next = 1; last < 1500; last = next) {
        kpid_client_work(pair.client);
        next = fake_next(&pair.fake);
        assert_int_equal(next, last + 1);
    }
    pair_end(&pair);
}

static void what_comes_in_order_is_sent_alone(void **state)
{
    (void)state;
    const struct kpid_sample total = {
        .name = "total", .kind = KPID_COUNTER, .form = KPID_CUMULATIVE, .value = 1};
    struct pair pair;

    pair_begin(&pair, (struct kpid_client_options){0});
    send_one(&pair);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kpid_client_add(pair.client, &total), KPID_OK);
        kpid_client_send(pair.client);
    }
    send_one(&pair);
    send_one(&pair);
    greet(&pair, FRAME_MAX, 8);
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        assert_int_equal(fake_next(&pair.fake), sequence);
        assert_int_equal(fake_next(&pair.fake), 0);
        fake_ack(&pair.fake, sequence, 1);
        kpid_client_work(pair.client);
    }
    assert_int_equal(fake_next(&pair.fake), 4);
    assert_int_equal(fake_next(&pair.fake), 5);
    pair_end(&pair);
}

static void a_large_batch_goes_out_in_pieces(void **state)
{
    (void)state;
    enum { SAMPLES = 9000 };
    struct pair pair;
    char name[100];
    const Kpid__V1__Batch *batch = NULL;

    pair_begin(&pair, (struct kpid_client_options){.batch_samples = SAMPLES});
    for (int i = 0; i < SAMPLES; i++) {
        (void)snprintf(name, sizeof name, "a.rather.long.name.of.a.metric.%d", i);
        assert_int_equal(kpid_client_count(pair.client, name, NULL, 0, i), KPID_OK);
    }
    kpid_client_send(pair.client);
    greet(&pair, FRAME_MAX, 8);
    int rounds = 0;
    while ((batch = fake_read_batch(&pair.fake)) == NULL) {
        rounds++;
        assert_int_equal(kpid_client_events(pair.client) & 4, 4); /* POLLOUT */
        kpid_client_work(pair.client);
    }
    assert_true(rounds > 0);
    assert_int_equal(batch->n_series, batch->n_sample_series);
    assert_int_equal(batch->n_symbols, batch->n_series + 1);
    for (uint32_t i = 0; i < batch->n_series; i++) {
        (void)snprintf(name, sizeof name, "a.rather.long.name.of.a.metric.%u", i);
        assert_symbol(batch, batch->series[i]->name, name);
        assert_int_equal(batch->sample_series[i], i);
    }
    pair_end(&pair);
}

static void a_batch_ends_before_it_is_longer_than_kpid_takes(void **state)
{
    (void)state;
    struct pair pair;
    char name[200];
    uint64_t samples = 0;
    const Kpid__V1__Batch *batch = NULL;

    pair_begin(&pair, (struct kpid_client_options){0});
    send_one(&pair);
    greet(&pair, 2048, 100);
    memset(name, 'x', sizeof name);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name + 190, 10, "%d", i);
        assert_int_equal(kpid_client_count(pair.client, name, NULL, 0, 1), KPID_OK);
    }
    kpid_client_send(pair.client);
    while ((batch = fake_read_batch(&pair.fake)) != NULL) {
        assert_true(kpid__v1__client_frame__get_packed_size(pair.fake.frame) <= 2048);
        samples += batch->n_sample_series;
    }
    assert_int_equal(samples, 101);
    pair_end(&pair);
}

static void a_batch_that_was_complete_before_the_limit_was_known_is_refused(void **state)
{
    (void)state;
    struct pair pair;
    char name[1500];

    pair_begin(&pair, (struct kpid_client_options){0});
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_int_equal(kpid_client_count(pair.client, name, NULL, 0, 1), KPID_OK);
    kpid_client_send(pair.client);
    send_one(&pair);
    greet(&pair, 1024, 8);
    assert_int_equal(fake_next(&pair.fake), 2);
    assert_int_equal(pair.answer_count, 1);
    assert_int_equal(pair.answers[0].code, KPID_CODE_TOO_LARGE);
    assert_int_equal(kpid_client_stats(pair.client).refused, 1);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_has_each_text_and_series_once),
        cmocka_unit_test(members_rates_times_and_forms_are_sent),
        cmocka_unit_test(what_is_no_sample_is_not_taken),
        cmocka_unit_test(options_out_of_range_make_no_client),
        cmocka_unit_test(a_batch_goes_out_when_it_is_full_or_old_or_asked_for),
        cmocka_unit_test(nobody_is_called_while_there_is_nothing_to_say),
        cmocka_unit_test(no_more_batches_are_under_way_than_kpid_allows),
        cmocka_unit_test(no_batch_leaves_the_window_that_kpid_remembers),
        cmocka_unit_test(what_comes_in_order_is_sent_alone),
        cmocka_unit_test(a_large_batch_goes_out_in_pieces),
        cmocka_unit_test(a_batch_ends_before_it_is_longer_than_kpid_takes),
        cmocka_unit_test(a_batch_that_was_complete_before_the_limit_was_known_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
