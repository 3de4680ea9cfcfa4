#include "fixture.h"

/* Runs a function as a job, in a transaction of its own. */
struct act {
    struct writer_job job; /* first */
    void (*call)(struct write_txn *txn, void *arg);
    void *arg;
};

static bool run_act(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    struct act *act = (struct act *)job;
    (void)err;
    act->call(txn, act->arg);
    return true;
}

static void act_now(struct fixture *fixture, void (*call)(struct write_txn *, void *), void *arg)
{
    struct act act = {.job.run = run_act, .call = call, .arg = arg};
    writer_post_job(fixture->writer, &act.job);
    commit(fixture);
}

static void put(struct write_txn *txn, struct str key, struct str value)
{
    struct error err = ERROR_EMPTY;
    if (!record_put(txn, RECORD_OUTBOX, key, value, &err))
        fail_msg("%s", err.text);
}

static void put_some(struct write_txn *txn, void *arg)
{
    (void)arg;
    put(txn, STR("b/2"), STR("two"));
    put(txn, STR("b/1"), STR("one"));
    put(txn, STR("c"), STR(""));
    put(txn, STR("a"), STR("x"));
    put(txn, STR("b"), STR("prefix"));
    put(txn, STR("\xff\xff"), STR("last"));
    put(txn, STR("b/1"), STR("uno"));
}

static bool gather(struct str key, struct str value, void *arg)
{
    struct buf *out = arg;
    buf_str(out, key);
    buf_char(out, '=');
    buf_str(out, value);
    buf_char(out, ' ');
    return true;
}

static bool gather_two(struct str key, struct str value, void *arg)
{
    (void)gather(key, value, arg);
    return ((struct buf *)arg)->len < 12;
}

static void expect_scan(struct fixture *fixture, struct str prefix, record_fn visit,
                        const char *expected)
{
    struct buf seen = BUF_EMPTY;
    struct read_txn *txn = read_begin(fixture);
    record_scan(txn, RECORD_OUTBOX, prefix, visit, &seen);
    read_txn_end(txn);
    if (!str_is(buf_view(&seen), expected))
        fail_msg("'%.*s' is not '%s'", STR_ARGS(buf_view(&seen)), expected);
    buf_fini(&seen);
}

static void a_scan_visits_a_prefix_in_the_order_of_keys(void **state)
{
    struct fixture *fixture = *state;
    act_now(fixture, put_some, NULL);
    expect_scan(fixture, STR("b"), gather, "b=prefix b/1=uno b/2=two ");
    expect_scan(fixture, STR("b/"), gather, "b/1=uno b/2=two ");
    expect_scan(fixture, STR("b/3"), gather, "");
    expect_scan(fixture, STR("d"), gather, "");
    expect_scan(fixture, STR_EMPTY, gather, "a=x b=prefix b/1=uno b/2=two c= \xff\xff=last ");
    expect_scan(fixture, STR_EMPTY, gather_two, "a=x b=prefix ");
}

static void the_last_record_of_a_prefix_is_found(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        struct str prefix;
        const char *key; /* NULL: none */
    } cases[] = {
        {{"b/", 2}, "b/2"},        {{"b", 1}, "b/2"},
        {{"a", 1}, "a"},           {{"b/1", 3}, "b/1"},
        {{"c", 1}, "c"},           {{"", 0}, "\xff\xff"},
        {{"\xff", 1}, "\xff\xff"}, {{"\xff\xff", 2}, "\xff\xff"},
        {{"d", 1}, NULL},          {{"A", 1}, NULL},
        {{"b/3", 3}, NULL},
    };
    struct str key;
    struct str value;
    struct read_txn *txn = read_begin(fixture);
    assert_false(record_last(txn, RECORD_OUTBOX, STR_EMPTY, &key, &value));
    read_txn_end(txn);

    act_now(fixture, put_some, NULL);
    txn = read_begin(fixture);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        bool found = record_last(txn, RECORD_OUTBOX, cases[i].prefix, &key, &value);
        assert_int_equal(found, cases[i].key != NULL);
        if (found && !str_is(key, cases[i].key))
            fail_msg("case %zu: '%.*s'", i, STR_ARGS(key));
    }
    read_txn_end(txn);
}

static void remove_some(struct write_txn *txn, void *arg)
{
    struct error err = ERROR_EMPTY;
    struct str value;
    (void)arg;
    assert_true(record_remove(txn, RECORD_OUTBOX, STR("a"), &err));
    assert_true(record_remove(txn, RECORD_OUTBOX, STR("never"), &err));
    assert_false(record_get(write_txn_reader(txn), RECORD_OUTBOX, STR("a"), &value));
    assert_true(record_get(write_txn_reader(txn), RECORD_OUTBOX, STR("c"), &value));
    assert_int_equal(value.len, 0);
}

static void a_record_is_removed_also_when_it_was_never_there(void **state)
{
    struct fixture *fixture = *state;
    act_now(fixture, put_some, NULL);
    act_now(fixture, remove_some, NULL);
    expect_scan(fixture, STR("a"), gather, "");
    expect_scan(fixture, STR("c"), gather, "c= ");
}

static void tables_do_not_mix(void **state)
{
    struct fixture *fixture = *state;
    struct str value;
    act_now(fixture, put_some, NULL);
    struct read_txn *txn = read_begin(fixture);
    for (int table = 0; table < RECORD_TABLE_COUNT; table++) {
        bool found = record_get(txn, (enum record_table)table, STR("a"), &value);
        assert_int_equal(found, table == RECORD_OUTBOX);
    }
    read_txn_end(txn);
}

static void put_bad_keys(struct write_txn *txn, void *arg)
{
    static const char long_key[501];
    struct error err = ERROR_EMPTY;
    (void)arg;
    assert_false(record_put(txn, RECORD_EVENT, STR_EMPTY, STR("x"), &err));
    assert_int_equal(err.kind, ERROR_INVALID);
    assert_false(record_put(txn, RECORD_EVENT, (struct str){long_key, 501}, STR("x"), &err));
    assert_string_equal(err.text, "a record's key has 501 bytes, not 1 to 500");
    assert_false(record_remove(txn, RECORD_EVENT, STR_EMPTY, &err));
    assert_true(record_put(txn, RECORD_EVENT, (struct str){long_key, 500}, STR("x"), &err));
}

static void keys_have_1_to_500_bytes(void **state)
{
    struct fixture *fixture = *state;
    struct str key;
    struct str value;
    act_now(fixture, put_bad_keys, NULL);
    struct read_txn *txn = read_begin(fixture);
    assert_true(record_last(txn, RECORD_EVENT, STR_EMPTY, &key, &value));
    assert_int_equal(key.len, 500);
    read_txn_end(txn);
}

static void put_large(struct write_txn *txn, void *arg)
{
    put(txn, STR("large"), *(struct str *)arg);
}

static void values_may_be_large_and_survive_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct str found;
    char *bytes = memory_zero(1, 100000);
    struct str large = {bytes, 100000};
    memset(bytes, 'v', large.len);
    act_now(fixture, put_large, &large);
    fixture_reopen(fixture);
    struct read_txn *txn = read_begin(fixture);
    assert_true(record_get(txn, RECORD_OUTBOX, STR("large"), &found));
    assert_true(str_equal(found, large));
    read_txn_end(txn);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_scan_visits_a_prefix_in_the_order_of_keys),
        STORE_TEST(the_last_record_of_a_prefix_is_found),
        STORE_TEST(a_record_is_removed_also_when_it_was_never_there),
        STORE_TEST(tables_do_not_mix),
        STORE_TEST(keys_have_1_to_500_bytes),
        STORE_TEST(values_may_be_large_and_survive_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
