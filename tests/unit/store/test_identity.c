#include "fixture.h"
#include "store/account.h"
#include "store/identity.h"
#include "store/ledger_table.h"

#define NOW AT(MINUTE, 0)

enum { MODEL_SEQUENCES = 6000 };

static void begin(struct fixture *fixture, struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    if (!write_txn_begin(fixture->store, NULL, txn, &err))
        fail_msg("%s", err.text);
}

static void end(struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    if (!write_txn_commit(txn, &err))
        fail_msg("%s", err.text);
}

static enum delta_outcome decide(struct write_txn *txn, const struct delta_identity *identity,
                                 wall_ms now)
{
    struct error err = ERROR_EMPTY;
    struct delta *delta = delta_new();

    delta->identity = *identity;
    if (!identity_decide(txn, delta, now, &err))
        fail_msg("%s", err.text);
    enum delta_outcome outcome = delta->outcome;
    delta_free(delta);
    return outcome;
}

static struct delta_identity producer(uint64_t name, uint64_t epoch, uint64_t sequence)
{
    return (struct delta_identity){
        .kind = IDENTITY_PRODUCER, .name = {name, 7}, .epoch = epoch, .sequence = sequence};
}

static enum delta_outcome send_batch(struct write_txn *txn, uint64_t epoch, uint64_t sequence)
{
    const struct delta_identity identity = producer(1, epoch, sequence);
    return decide(txn, &identity, NOW);
}

/* What was answered to a batch under a key. */
struct reply {
    enum delta_outcome outcome;
    char answer[64];
};

static struct reply send_key(struct write_txn *txn, uint64_t name, uint64_t body,
                             const char *answer, wall_ms now)
{
    struct error err = ERROR_EMPTY;
    struct delta *delta = delta_new();
    struct reply reply = {.answer = ""};

    delta->identity =
        (struct delta_identity){.kind = IDENTITY_KEY, .name = {name, 7}, .body = {body, body}};
    delta->answer = arena_str(&delta->arena, str_of(answer));
    if (!identity_decide(txn, delta, now, &err))
        fail_msg("%s", err.text);
    reply.outcome = delta->outcome;
    (void)snprintf(reply.answer, sizeof reply.answer, "%.*s", STR_ARGS(delta->answer));
    delta_free(delta);
    return reply;
}

static size_t entries(struct write_txn *txn, enum database database)
{
    MDB_stat facts;
    assert_int_equal(mdb_stat(txn->reader.txn, txn->reader.store->databases[database], &facts), 0);
    return facts.ms_entries;
}

static size_t expire(struct write_txn *txn, wall_ms now, size_t max)
{
    struct error err = ERROR_EMPTY;
    size_t removed = 0;
    if (!identity_expire(txn, now, max, &removed, &err))
        fail_msg("%s", err.text);
    return removed;
}

/* --- producers --- */

static void a_batch_without_an_identity_is_always_new(void **state)
{
    struct write_txn txn;
    const struct delta_identity nobody = {.kind = IDENTITY_NONE};

    begin(*state, &txn);
    assert_int_equal(decide(&txn, &nobody, NOW), DELTA_STORED);
    assert_int_equal(decide(&txn, &nobody, NOW), DELTA_STORED);
    assert_int_equal(entries(&txn, DATABASE_IDENTITIES), 0);
    write_txn_abort(&txn);
}

static void a_producers_batches_count_once(void **state)
{
    static const struct {
        uint64_t epoch, sequence;
        enum delta_outcome outcome;
    } steps[] = {
        {5, 3000, DELTA_STORED},
        {5, 3000, DELTA_REPEATED},
        {5, 2999, DELTA_STORED},
        {5, 2999, DELTA_REPEATED},
        {5, 1976, DELTA_STORED},
        {5, 1975, DELTA_TOO_OLD},
        {5, 3001, DELTA_STORED},
        {5, 1976, DELTA_TOO_OLD},
        {5, 1977, DELTA_STORED},
        {5, 1977, DELTA_REPEATED},
        {5, 3000, DELTA_REPEATED},
        {5, 2999, DELTA_REPEATED},
        {5, 4025, DELTA_STORED},
        {5, 3001, DELTA_REPEATED},
        {5, 3000, DELTA_TOO_OLD},
        {5, 3002, DELTA_STORED},
        {5, 0, DELTA_TOO_OLD},
        {4, 9000, DELTA_TOO_OLD},
        {6, 1, DELTA_STORED},
        {6, 1, DELTA_REPEATED},
        {5, 5000, DELTA_TOO_OLD},
        {6, 2, DELTA_STORED},
        {6, UINT64_MAX, DELTA_STORED},
        {6, 2, DELTA_TOO_OLD},
        {6, UINT64_MAX, DELTA_REPEATED},
        {6, UINT64_MAX - 1024, DELTA_STORED},
        {6, UINT64_MAX - 1025, DELTA_TOO_OLD},
    };
    struct write_txn txn;

    begin(*state, &txn);
    for (size_t i = 0; i < TEST_COUNT(steps); i++) {
        enum delta_outcome outcome = send_batch(&txn, steps[i].epoch, steps[i].sequence);
        if (outcome != steps[i].outcome)
            fail_msg("step %zu is %d, not %d", i, outcome, steps[i].outcome);
    }
    write_txn_abort(&txn);
}

/* The model keeps every sequence that was stored. */
static void any_order_of_sequences_agrees_with_the_whole_list(void **state)
{
    static bool stored[MODEL_SEQUENCES];
    uint64_t highest = 1500;
    unsigned seed = 11;
    size_t counts[4] = {0};
    struct write_txn txn;

    memset(stored, 0, sizeof stored);
    begin(*state, &txn);
    assert_int_equal(send_batch(&txn, 1, highest), DELTA_STORED);
    stored[highest] = true;
    for (int i = 0; i < 4000; i++) {
        seed = seed * 1103515245 + 12345;
        uint64_t around = highest + 3;
        uint64_t back = (seed >> 16) % (seed >> 30 == 0 ? 2000 : 20);
        uint64_t sequence = around > back ? around - back : 1;
        if (sequence >= MODEL_SEQUENCES)
            break;
        enum delta_outcome expected = stored[sequence] ? DELTA_REPEATED : DELTA_STORED;
        if (highest > sequence && highest - sequence > IDENTITY_WINDOW)
            expected = DELTA_TOO_OLD;
        enum delta_outcome outcome = send_batch(&txn, 1, sequence);
        if (outcome != expected)
            fail_msg("sequence %llu after %llu is %d, not %d", (unsigned long long)sequence,
                     (unsigned long long)highest, outcome, expected);
        counts[outcome]++;
        if (outcome == DELTA_STORED)
            stored[sequence] = true;
        if (sequence > highest)
            highest = sequence;
    }
    write_txn_abort(&txn);
    assert_true(counts[DELTA_STORED] > 100);
    assert_true(counts[DELTA_REPEATED] > 100);
    assert_true(counts[DELTA_TOO_OLD] > 10);
}

static void what_was_not_committed_is_not_remembered(void **state)
{
    struct write_txn txn;

    begin(*state, &txn);
    assert_int_equal(send_batch(&txn, 1, 1), DELTA_STORED);
    write_txn_abort(&txn);
    begin(*state, &txn);
    assert_int_equal(send_batch(&txn, 1, 1), DELTA_STORED);
    end(&txn);
    fixture_reopen(*state);
    begin(*state, &txn);
    assert_int_equal(send_batch(&txn, 1, 1), DELTA_REPEATED);
    write_txn_abort(&txn);
}

/* --- keys --- */

static void a_key_repeats_its_answer_for_the_same_body_only(void **state)
{
    struct write_txn txn;

    begin(*state, &txn);
    struct reply reply = send_key(&txn, 1, 10, "{\"stored\":3}", NOW);
    assert_int_equal(reply.outcome, DELTA_STORED);
    reply = send_key(&txn, 1, 10, "another", NOW);
    assert_int_equal(reply.outcome, DELTA_REPEATED);
    assert_string_equal(reply.answer, "{\"stored\":3}");
    end(&txn);

    begin(*state, &txn);
    reply = send_key(&txn, 1, 10, "a day later", NOW + MS_PER_DAY);
    assert_int_equal(reply.outcome, DELTA_REPEATED);
    assert_string_equal(reply.answer, "{\"stored\":3}");
    reply = send_key(&txn, 1, 11, "another body", NOW);
    assert_int_equal(reply.outcome, DELTA_CONFLICT);
    reply = send_key(&txn, 2, 10, "another key", NOW);
    assert_int_equal(reply.outcome, DELTA_STORED);
    write_txn_abort(&txn);
}

static void say_counted(struct delta *delta)
{
    delta->answer = str_of(arena_printf(&delta->arena, "%llu of 2 dropped",
                                        (unsigned long long)delta->not_stored_now));
}

static void keep_reply(struct delta *delta, const struct error *err)
{
    struct reply *reply = delta->on_done_arg;

    assert_null(err);
    reply->outcome = delta->outcome;
    (void)snprintf(reply->answer, sizeof reply->answer, "%.*s", STR_ARGS(delta->answer));
}

/* Two points under a key, of which the second one is the first one again. */
static void post_points(struct fixture *fixture, uint64_t name, struct reply *reply)
{
    struct delta *delta = delta_new();
    struct delta_point point = {.series = add_series(delta, METRIC_GAUGE, "level", ""),
                                .form = POINT_LEVEL,
                                .at = NOW + (wall_ms)name,
                                .start = WALL_NONE,
                                .arrival = 1,
                                .value = 5};

    delta_add_point(delta, &point);
    point.arrival = 2;
    delta_add_point(delta, &point);
    delta->identity =
        (struct delta_identity){.kind = IDENTITY_KEY, .name = {name, 7}, .body = {name, 0}};
    delta->answer = STR("2 stored");
    delta->on_counted = say_counted;
    delta->on_done = keep_reply;
    delta->on_done_arg = reply;
    post(fixture, delta);
}

static void a_kept_answer_says_what_was_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct reply replies[4];

    post_points(fixture, 1, &replies[0]);
    post_points(fixture, 2, &replies[1]);
    post_points(fixture, 1, &replies[2]); /* in the same commit */
    commit(fixture);
    fixture_reopen(fixture);
    post_points(fixture, 1, &replies[3]);
    commit(fixture);
    assert_int_equal(replies[0].outcome, DELTA_STORED);
    assert_int_equal(replies[1].outcome, DELTA_STORED);
    assert_int_equal(replies[2].outcome, DELTA_REPEATED);
    assert_int_equal(replies[3].outcome, DELTA_REPEATED);
    for (size_t i = 0; i < TEST_COUNT(replies); i++)
        assert_string_equal(replies[i].answer, "1 of 2 dropped");
}

/* What is not stored is dropped, and the reason says whether something is missing now. */
static void the_ledger_says_why_a_batch_was_not_stored(void **state)
{
    static const struct {
        enum delta_outcome outcome;
        uint64_t stored, duplicates, conflicts, too_old;
    } cases[] = {{DELTA_STORED, 5, 0, 0, 0},
                 {DELTA_REPEATED, 0, 5, 0, 0},
                 {DELTA_CONFLICT, 0, 0, 5, 0},
                 {DELTA_TOO_OLD, 0, 0, 0, 5}};
    const struct group group = {.deltas = 1};
    struct error err = ERROR_EMPTY;
    struct write_txn txn;

    begin(*state, &txn);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct ledger counts = {.received = 7, .stored = 5};
        struct ledger sum = {0};
        struct schema_key key = schema_name_key((struct str){"abcd" + i, 1});
        struct str bytes;
        struct str listener;
        uint64_t unreadable = 0;
        bool found = false;
        counts.rejected[REJECT_malformed] = 2;
        struct delta *delta = delta_new();
        delta->outcome = cases[i].outcome;
        delta_add_ledger(delta, (struct str){"abcd" + i, 1}, &counts);
        const struct account account = {&txn, &delta->arena, &unreadable};
        const struct journal_part part = {.delta = delta};
        assert_true(account_settle(&account, &delta->message, &group, &part, &err));
        delta_free(delta);
        assert_true(
            store_find(&txn.reader, DATABASE_LEDGER, store_key(&key), &bytes, &found, &err));
        assert_true(ledger_table_decode(bytes, &listener, &sum));
        assert_true(ledger_balances(&sum));
        assert_int_equal(sum.stored, cases[i].stored);
        assert_int_equal(sum.dropped[DROP_duplicate], cases[i].duplicates);
        assert_int_equal(sum.dropped[DROP_conflict], cases[i].conflicts);
        assert_int_equal(sum.dropped[DROP_too_old], cases[i].too_old);
        assert_int_equal(sum.rejected[REJECT_malformed], 2);
    }
    write_txn_abort(&txn);
}

static void a_key_and_a_producer_of_one_name_do_not_meet(void **state)
{
    struct write_txn txn;

    begin(*state, &txn);
    assert_int_equal(send_batch(&txn, 1, 1), DELTA_STORED);
    assert_int_equal(send_key(&txn, 1, 1, "", NOW).outcome, DELTA_STORED);
    assert_int_equal(send_batch(&txn, 1, 1), DELTA_REPEATED);
    assert_int_equal(send_key(&txn, 1, 1, "", NOW).outcome, DELTA_REPEATED);
    assert_int_equal(entries(&txn, DATABASE_IDENTITIES), 2);
    write_txn_abort(&txn);
}

static void an_answer_that_is_too_long_is_not_kept(void **state)
{
    struct write_txn txn;
    char *answer = memory_zero(IDENTITY_ANSWER_MAX + 2, 1);

    memset(answer, 'a', IDENTITY_ANSWER_MAX + 1);
    begin(*state, &txn);
    assert_int_equal(send_key(&txn, 1, 1, answer, NOW).outcome, DELTA_STORED);
    struct reply reply = send_key(&txn, 1, 1, "another", NOW);
    assert_int_equal(reply.outcome, DELTA_REPEATED);
    assert_string_equal(reply.answer, "");
    write_txn_abort(&txn);
    free(answer);
}

static void what_cannot_be_read_is_never_taken_for_new(void **state)
{
    struct write_txn txn;
    struct error err = ERROR_EMPTY;
    const struct delta_identity first = producer(1, 1, 1);

    begin(*state, &txn);
    assert_int_equal(decide(&txn, &first, NOW), DELTA_STORED);
    assert_int_equal(send_key(&txn, 1, 1, "", NOW).outcome, DELTA_STORED);
    for (uint64_t bit = 0; bit < 2; bit++) {
        struct schema_key name = schema_hash_key((struct series_hash){bit << 63 | 1, 7});
        assert_true(
            store_put(&txn, DATABASE_IDENTITIES, store_key(&name), STR("\1broken"), 0, &err));
    }
    assert_int_equal(send_batch(&txn, 2, 1), DELTA_TOO_OLD);
    assert_int_equal(send_key(&txn, 1, 1, "", NOW).outcome, DELTA_CONFLICT);
    assert_int_equal(expire(&txn, NOW + 8 * (wall_ms)MS_PER_DAY, 10), 2);
    assert_int_equal(send_batch(&txn, 2, 1), DELTA_STORED);
    assert_int_equal(send_key(&txn, 1, 1, "", NOW).outcome, DELTA_STORED);
    write_txn_abort(&txn);
}

/* --- forgetting --- */

static void what_was_not_used_for_seven_days_is_forgotten(void **state)
{
    struct write_txn txn;
    const struct delta_identity used = producer(2, 1, 1);
    const struct delta_identity again = producer(2, 1, 2);
    const wall_ms week_later = NOW + IDENTITY_KEEP_MS;

    begin(*state, &txn);
    assert_int_equal(send_batch(&txn, 1, 1), DELTA_STORED);
    assert_int_equal(decide(&txn, &used, NOW), DELTA_STORED);
    assert_int_equal(send_key(&txn, 3, 1, "", NOW).outcome, DELTA_STORED);
    assert_int_equal(decide(&txn, &again, NOW + MS_PER_DAY), DELTA_STORED);
    assert_int_equal(send_key(&txn, 3, 1, "", NOW + MS_PER_HOUR).outcome, DELTA_REPEATED);

    assert_int_equal(expire(&txn, week_later - 1, 10), 0);
    assert_int_equal(expire(&txn, week_later, 10), 1);
    assert_int_equal(send_batch(&txn, 1, 1), DELTA_STORED);
    assert_int_equal(expire(&txn, week_later + MS_PER_HOUR, 10), 2); /* the one just made too */
    assert_int_equal(decide(&txn, &again, NOW), DELTA_REPEATED);
    assert_int_equal(entries(&txn, DATABASE_IDENTITIES), 1);
    assert_int_equal(entries(&txn, DATABASE_IDENTITY_AGES), 1);
    write_txn_abort(&txn);
}

static void forgetting_goes_in_steps(void **state)
{
    struct write_txn txn;

    begin(*state, &txn);
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(send_key(&txn, i, 1, "", NOW + (wall_ms)i).outcome, DELTA_STORED);
    assert_int_equal(expire(&txn, NOW + 8 * (wall_ms)MS_PER_DAY, 4), 4);
    assert_int_equal(send_key(&txn, 3, 1, "", NOW + 10).outcome, DELTA_STORED);
    assert_int_equal(send_key(&txn, 4, 1, "", NOW + 10).outcome, DELTA_REPEATED);
    assert_int_equal(expire(&txn, NOW + 8 * (wall_ms)MS_PER_DAY, 100), 7);
    assert_int_equal(entries(&txn, DATABASE_IDENTITY_AGES), 0);
    write_txn_abort(&txn);
}

/* However often one is used there is one age of it, and a clock that went back moves it back. */
static void an_identity_has_one_age_whatever_the_clock_does(void **state)
{
    static const wall_ms times[] = {
        0, 1, MS_PER_HOUR, 30 * (wall_ms)MS_PER_DAY, MS_PER_DAY, -MS_PER_DAY, 0};
    struct write_txn txn;

    begin(*state, &txn);
    for (size_t i = 0; i < TEST_COUNT(times); i++) {
        const struct delta_identity identity = producer(1, 1, i + 1);
        assert_int_equal(decide(&txn, &identity, NOW + times[i]), DELTA_STORED);
        assert_int_equal(entries(&txn, DATABASE_IDENTITY_AGES), 1);
    }
    assert_int_equal(expire(&txn, NOW + IDENTITY_KEEP_MS - 1, 10), 0);
    assert_int_equal(expire(&txn, NOW + IDENTITY_KEEP_MS, 10), 1);
    write_txn_abort(&txn);
}

static void the_oldest_makes_room_for_a_new_one(void **state)
{
    struct write_txn txn;
    struct error err = ERROR_EMPTY;
    struct schema_key age = SCHEMA_KEY_EMPTY;

    begin(*state, &txn);
    assert_int_equal(send_batch(&txn, 1, 1), DELTA_STORED);
    for (uint64_t i = 0; i < IDENTITIES_MAX - 1; i++) {
        age.len = 0;
        schema_put_i64(&age, NOW + 1);
        schema_put_u64(&age, i);
        schema_put_u64(&age, 0);
        assert_true(
            store_put(&txn, DATABASE_IDENTITY_AGES, store_key(&age), STR_EMPTY, MDB_APPEND, &err));
    }
    assert_int_equal(send_batch(&txn, 1, 1), DELTA_REPEATED);
    assert_int_equal(send_key(&txn, 9, 1, "", NOW + 2).outcome, DELTA_STORED);
    assert_int_equal(entries(&txn, DATABASE_IDENTITY_AGES), IDENTITIES_MAX);
    assert_int_equal(send_key(&txn, 9, 1, "", NOW + 2).outcome, DELTA_REPEATED);
    assert_int_equal(send_batch(&txn, 1, 1), DELTA_STORED); /* it was forgotten */
    write_txn_abort(&txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_batch_without_an_identity_is_always_new),
        STORE_TEST(a_producers_batches_count_once),
        STORE_TEST(any_order_of_sequences_agrees_with_the_whole_list),
        STORE_TEST(what_was_not_committed_is_not_remembered),
        STORE_TEST(a_key_repeats_its_answer_for_the_same_body_only),
        STORE_TEST(a_kept_answer_says_what_was_dropped),
        STORE_TEST(the_ledger_says_why_a_batch_was_not_stored),
        STORE_TEST(a_key_and_a_producer_of_one_name_do_not_meet),
        STORE_TEST(an_answer_that_is_too_long_is_not_kept),
        STORE_TEST(what_cannot_be_read_is_never_taken_for_new),
        STORE_TEST(what_was_not_used_for_seven_days_is_forgotten),
        STORE_TEST(forgetting_goes_in_steps),
        STORE_TEST(an_identity_has_one_age_whatever_the_clock_does),
        STORE_TEST(the_oldest_makes_room_for_a_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
