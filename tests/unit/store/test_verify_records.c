/* What verify says of rows that only the layers above can read, that no table should have, and of
 * keys and numbers that are beyond all measure. */
#include <sys/resource.h>

#include "verify_world.h"

#define ODD_KEY STR("\xff\xff\xff")

enum { PAUSES_MAX = 20000, LONGEST_KEY = 511 };

/* --- tables that a layer above knows: a row is good when its value is "good" -------------------
 */

static bool check_row(struct verify_record *record, struct error *why)
{
    struct str also;

    assert_non_null(record->txn);
    if (str_is(record->value, "also")) { /* it refers to another row */
        record->rows = 5;
        return record_get(record->txn, RECORD_OUTBOX, STR("also"), &also) ||
               error_set(why, ERROR_CORRUPT, "the other row is not there");
    }
    return str_is(record->value, "good") ||
           error_set(why, ERROR_CORRUPT, "its value is '%.*s'", STR_ARGS(record->value));
}

static const struct verify_table TABLES[RECORD_TABLE_COUNT] = {
    {RECORD_ALERT_STATE, check_row}, {RECORD_OUTBOX, check_row},   {RECORD_EVENT, check_row},
    {RECORD_HOOK, check_row},        {RECORD_SCHEDULE, check_row}, {RECORD_DECLARED, check_row},
    {RECORD_FIGURE, check_row},      {RECORD_TOKEN, check_row},
};

static struct verify_counts verify_tables(struct store *store, struct heard *heard,
                                          uint64_t read_rows, size_t table_count)
{
    struct error err = ERROR_EMPTY;
    struct verify_counts counts;
    const struct verify_options options = {.read_rows = read_rows,
                                           .tables = TABLES,
                                           .table_count = table_count,
                                           .on_finding = hear,
                                           .on_progress = pause_here,
                                           .arg = heard};

    heard->count = 0;
    heard->pauses = 0;
    heard->stop_after = PAUSES_MAX;
    if (!verify_store(store, &options, &counts, &err))
        fail_msg("%s", err.text);
    assert_int_equal(counts.findings, heard->count);
    return counts;
}

static void expect_finding(const struct heard *heard, const char *what, const char *where,
                           const char *text)
{
    assert_int_equal(heard->count, 1);
    assert_string_equal(heard->findings[0].what, what);
    assert_string_equal(heard->findings[0].where, where);
    assert_string_equal(heard->findings[0].text, text);
}

static void put_record(struct store *store, enum record_table table, struct str key,
                       struct str value)
{
    struct write_txn txn;
    struct error err = ERROR_EMPTY;

    begin_writing(store, &txn);
    if (!record_put(&txn, table, key, value, &err))
        fail_msg("%s", err.text);
    number_commit(&txn);
}

static void remove_record(struct store *store, enum record_table table, struct str key)
{
    struct write_txn txn;
    struct error err = ERROR_EMPTY;

    begin_writing(store, &txn);
    assert_true(record_remove(&txn, table, key, &err));
    number_commit(&txn);
}

static void each_record_is_counted_and_asked_for(void **state)
{
    struct world world;
    struct heard heard = {.count = 0};
    struct verify_counts counts;
    (void)state;

    open_world(&world, "2025-10-24", 11);
    struct store *store = world.fixture.store;
    const uint64_t other_rows = verify_tables(store, &heard, 0, RECORD_TABLE_COUNT).rows;
    expect_sound(&heard);
    for (int table = 0; table < RECORD_TABLE_COUNT; table++) {
        for (int i = 0; i <= table; i++) {
            char key[16];
            (void)snprintf(key, sizeof key, "row %d", i);
            put_record(store, (enum record_table)table, str_of(key), STR("good"));
        }
    }
    for (uint64_t read_rows = 0; read_rows < 3; read_rows++) {
        counts = verify_tables(store, &heard, read_rows, RECORD_TABLE_COUNT);
        expect_sound(&heard);
        for (int table = 0; table < RECORD_TABLE_COUNT; table++)
            assert_int_equal(counts.records[table], table + 1);
        assert_int_equal(counts.rows,
                         other_rows + RECORD_TABLE_COUNT * (RECORD_TABLE_COUNT + 1) / 2);
    }
    /* Tables that nobody knows are left alone. */
    counts = verify_tables(store, &heard, 0, 0);
    assert_int_equal(counts.rows, other_rows);

    put_record(store, RECORD_HOOK, STR("row 1"), STR("bad"));
    for (uint64_t read_rows = 0; read_rows < 3; read_rows++) {
        (void)verify_tables(store, &heard, read_rows, RECORD_TABLE_COUNT);
        expect_finding(&heard, "record", "hook 'row 1'", "its value is 'bad'");
    }
    world_close(&world);
}

#define A40 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void a_key_is_shown_as_text_and_numbers(void **state)
{
    static const struct {
        struct str key;
        const char *where;
    } cases[] = {
        {{"churn", 5}, "figures 'churn'"},
        {{"churn\0", 6}, "figures 'churn'"},
        {{"churn\0\1\x80\0\7", 10}, "figures 'churn' 01800007"},
        {{"\0\0\0\0\0\0\0\x2a", 8}, "figures 000000000000002a"},
        {{"caf\xc3\xa9", 5}, "figures 'caf' c3a9"},
        {{A40 A40 "aa", 82}, "figures '" A40 A40 "' 6161"},
        {{"\0aaaaaaaaaaaaaaaaaaaa", 21}, "figures 00616161616161616161616161616161..."},
    };
    struct world world;
    struct heard heard = {.count = 0};
    (void)state;

    open_world(&world, "2025-10-24", 12);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        put_record(world.fixture.store, RECORD_FIGURE, cases[i].key, STR("bad"));
        (void)verify_tables(world.fixture.store, &heard, 0, RECORD_TABLE_COUNT);
        expect_finding(&heard, "record", cases[i].where, "its value is 'bad'");
        remove_record(world.fixture.store, RECORD_FIGURE, cases[i].key);
    }
    world_close(&world);
}

/* In one transaction, whose time it counts for. */
static void a_check_may_read_other_rows(void **state)
{
    struct world world;
    struct heard heard = {.count = 0};
    (void)state;

    open_world(&world, "2025-10-24", 13);
    struct store *store = world.fixture.store;
    for (int i = 0; i < 20; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "row %d", i);
        put_record(store, RECORD_TOKEN, str_of(key), STR("also"));
    }
    put_record(store, RECORD_OUTBOX, STR("also"), STR("good"));
    (void)verify_tables(store, &heard, 1000, RECORD_TABLE_COUNT);
    expect_sound(&heard);
    size_t few = heard.pauses;
    (void)verify_tables(store, &heard, 24, RECORD_TABLE_COUNT); /* four rows of 1 + 5 */
    expect_sound(&heard);
    assert_true(heard.pauses >= few + 4);
    remove_record(store, RECORD_OUTBOX, STR("also"));
    (void)verify_tables(store, &heard, 0, RECORD_TABLE_COUNT);
    assert_int_equal(heard.count, 20);
    assert_string_equal(heard.findings[7].text, "the other row is not there");
    world_close(&world);
}

/* --- every table is looked at ------------------------------------------------------------------
 */

static void no_table_is_left_out(void **state)
{
    struct world world;
    struct heard heard = {.count = 0};
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    (void)state;

    open_world(&world, "2025-10-24", 14);
    struct store *store = world.fixture.store;
    for (int database = 0; database < DATABASE_COUNT; database++) {
        begin_writing(store, &txn);
        assert_true(
            store_put(&txn, (enum database)database, store_value(ODD_KEY), STR("?"), 0, &err));
        number_commit(&txn);
        (void)verify_tables(store, &heard, 0, RECORD_TABLE_COUNT);
        if (heard.count == 0)
            fail_msg("nobody looks at table %d of store/schema.h", database);
        begin_writing(store, &txn);
        assert_true(store_remove(&txn, (enum database)database, store_value(ODD_KEY), &err));
        number_commit(&txn);
        (void)verify_tables(store, &heard, 0, RECORD_TABLE_COUNT);
        expect_sound(&heard);
    }
    world_close(&world);
}

/* Longer than any key that is ever written: such rows are said, and come to an end. */
static void keys_beyond_all_measure_come_to_an_end(void **state)
{
    static const char fillings[] = {'x', '\0', '\xff'};
    struct world world;
    struct heard heard = {.count = 0};
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    (void)state;

    open_world(&world, "2025-10-24", 15);
    struct store *store = world.fixture.store;
    for (int database = 0; database < DATABASE_COUNT; database++) {
        for (size_t i = 0; i < TEST_COUNT(fillings); i++) {
            char key[LONGEST_KEY];
            memset(key, fillings[i], sizeof key);
            begin_writing(store, &txn);
            for (size_t len = SCHEMA_NAME_SIZE - 1; len <= sizeof key; len += 16)
                assert_true(store_put(&txn, (enum database)database,
                                      store_value((struct str){key, len}), STR("?"), 0, &err));
            number_commit(&txn);
            (void)verify_tables(store, &heard, 1, RECORD_TABLE_COUNT);
            if (heard.count == 0)
                fail_msg("nothing is said of table %d, filling %zu", database, i);
            begin_writing(store, &txn);
            for (size_t len = SCHEMA_NAME_SIZE - 1; len <= sizeof key; len += 16)
                assert_true(store_remove(&txn, (enum database)database,
                                         store_value((struct str){key, len}), &err));
            number_commit(&txn);
        }
    }
    world_close(&world);
}

/* --- numbers of series -------------------------------------------------------------------------
 */

static long most_kilobytes(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* Bits for all series up to a number near 2^32 would be half a gigabyte. */
static void a_number_that_was_never_given_takes_no_memory(void **state)
{
    static const uint32_t ids[] = {100000, 1U << 31, UINT32_MAX - 9, UINT32_MAX};
    struct world world;
    struct heard heard = {.count = 0};
    struct write_txn txn;
    char where[32];
    (void)state;

    open_world(&world, "2025-10-24", 16);
    struct store *store = world.fixture.store;
    (void)verify_tables(store, &heard, 0, 0);
    expect_sound(&heard);
    long before = most_kilobytes();
    for (size_t i = 0; i < TEST_COUNT(ids); i++) {
        const struct schema_key key = schema_id_key(ids[i]);
        begin_writing(store, &txn);
        put_series(&txn, ids[i], "far_away");
        number_commit(&txn);
        (void)verify_tables(store, &heard, i % 3, 0);
        (void)snprintf(where, sizeof where, "series %u", ids[i]);
        expect_finding(&heard, "series", where, "its number was never given");
        begin_writing(store, &txn);
        remove_row(&txn, DATABASE_SERIES, &key);
        number_commit(&txn);
    }
    assert_in_range(most_kilobytes() - before, 0, 64 * 1024);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_record_is_counted_and_asked_for),
        cmocka_unit_test(a_key_is_shown_as_text_and_numbers),
        cmocka_unit_test(a_check_may_read_other_rows),
        cmocka_unit_test(no_table_is_left_out),
        cmocka_unit_test(keys_beyond_all_measure_come_to_an_end),
        cmocka_unit_test(a_number_that_was_never_given_takes_no_memory),
    };
    return cmocka_run_group_tests_name("verify_records", tests, NULL, NULL);
}
