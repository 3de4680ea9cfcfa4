/* What verify says of schedules' marks, declared metrics and the figures of closed periods. */
#include "kpi/kpi_verify.h"
#include "kpi/period_record.h"
#include "store/fixture.h"
#include "store/record_rows.h"

#define SEPTEMBER INT64_C(1788213600000)
#define OCTOBER   INT64_C(1790805600000)

static const struct verify_table TABLES[] = {
    {RECORD_SCHEDULE, kpi_verify_schedule},
    {RECORD_DECLARED, kpi_verify_declared},
    {RECORD_FIGURE, kpi_verify_figure},
};

static struct verify_counts look(struct fixture *fixture, struct told *told)
{
    return verify_rows_of(fixture->store, TABLES, TEST_COUNT(TABLES), told);
}

static uint64_t newest_commit(struct fixture *fixture)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_txn_begin(fixture->store, &err);
    assert_non_null(txn);
    uint64_t commit = store_commit_number(txn);
    read_txn_end(txn);
    return commit;
}

static void put_times(struct fixture *fixture, enum record_table table, const char *key,
                      size_t count)
{
    struct buf value = BUF_EMPTY;
    for (size_t i = 0; i < count; i++)
        buf_i64(&value, SEPTEMBER + (wall_ms)i);
    buf_u8(&value, 0);
    write_row(fixture->store, table, str_of(key), (struct str){value.bytes, value.len - 1});
    buf_fini(&value);
}

static void put_period(struct fixture *fixture, wall_ms to, uint64_t commit)
{
    static const struct period_verdict verdict = {{"revenue.monthly", 15}, 5, KPI_MISSED};
    const struct period_record record = {.to = to,
                                         .value = 17.5,
                                         .fingerprint = 3,
                                         .commit = commit,
                                         .at = OCTOBER + 1,
                                         .verdicts = &verdict,
                                         .verdict_count = 1};
    struct arena arena = ARENA_EMPTY;

    write_row(fixture->store, RECORD_FIGURE,
              period_key(STR("revenue"), PERIOD_MONTH, SEPTEMBER, &arena),
              period_record_encode(&record, &arena));
    arena_fini(&arena);
}

static void put_mark(struct fixture *fixture, uint64_t since, uint64_t until)
{
    const struct period_mark mark = {since, until, PERIOD_MONTH, SEPTEMBER};
    struct arena arena = ARENA_EMPTY;

    write_row(fixture->store, RECORD_FIGURE, period_mark_key(STR("revenue"), &arena),
              period_mark_encode(&mark, &arena));
    arena_fini(&arena);
}

static void fill(struct fixture *fixture)
{
    uint64_t commit = newest_commit(fixture);

    put_times(fixture, RECORD_SCHEDULE, "weekdays", 2);
    put_times(fixture, RECORD_SCHEDULE, "nightly", 2);
    put_times(fixture, RECORD_DECLARED, "signup", 1);
    put_period(fixture, OCTOBER, commit);
    put_mark(fixture, commit, 0);
}

static void what_kpid_writes_is_sound(void **state)
{
    struct fixture *fixture = *state;
    struct told told;

    fill(fixture);
    const struct verify_counts counts = look(fixture, &told);
    expect_nothing_told(&told);
    assert_int_equal(counts.records[RECORD_SCHEDULE], 2);
    assert_int_equal(counts.records[RECORD_DECLARED], 1);
    assert_int_equal(counts.records[RECORD_FIGURE], 2);
}

static void what_is_damaged_is_said(void **state)
{
    static char long_name[500];
    static const struct damage {
        enum record_table table;
        struct str key;
        struct str value;
        const char *where;
    } damages[] = {
        {RECORD_SCHEDULE, {"weekdays", 8}, {"1234567812345678+", 17}, "schedule 'weekdays'"},
        {RECORD_SCHEDULE, {"weekdays", 8}, {"123456781234567", 15}, "schedule 'weekdays'"},
        {RECORD_DECLARED, {"signup", 6}, {"1234567", 7}, "declared 'signup'"},
        {RECORD_DECLARED, {"signup", 6}, {"123456789", 9}, "declared 'signup'"},
        {RECORD_DECLARED,
         {long_name, 401},
         {"12345678", 8},
         "declared 0000000000000000000000000000"
         "0000..."},
        {RECORD_FIGURE, {"revenue", 7}, {"?", 1}, "figures 'revenue'"},
        {RECORD_FIGURE, {"\0", 1}, {"?", 1}, "figures 00"},
        {RECORD_FIGURE, {"revenue\0", 8}, {"?", 1}, "figures 'revenue'"},
        {RECORD_FIGURE, {"revenue\0\7", 9}, {"?", 1}, "figures 'revenue' 07"},
        {RECORD_FIGURE,
         {"revenue\0\1\x80\0\0\0\0\0\0\0", 17},
         {"?", 1},
         "figures 'revenue' 018000000000000000"},
    };
    struct fixture *fixture = *state;
    struct buf before = BUF_EMPTY;
    struct told told;

    fill(fixture);
    for (size_t i = 0; i < TEST_COUNT(damages); i++) {
        const struct damage *damage = &damages[i];
        (void)read_row(fixture->store, damage->table, damage->key, &before);
        write_row(fixture->store, damage->table, damage->key, damage->value);
        (void)look(fixture, &told);
        assert_int_equal(told.count, 1);
        expect_told(&told, damage->where, "its row is damaged");
        write_row(fixture->store, damage->table, damage->key, buf_view(&before));
    }
    buf_fini(&before);
    (void)look(fixture, &told);
    expect_nothing_told(&told);
}

/* A whole record under a key of no kind of period. */
static void a_period_has_a_kind(void **state)
{
    static const char kinds[] = {0, 1 + PERIOD_YEAR + 1, '\xff'};
    struct fixture *fixture = *state;
    struct arena arena = ARENA_EMPTY;
    struct buf value = BUF_EMPTY;
    struct told told;

    fill(fixture);
    struct str key = period_key(STR("revenue"), PERIOD_MONTH, SEPTEMBER, &arena);
    assert_true(read_row(fixture->store, RECORD_FIGURE, key, &value));
    for (size_t i = 0; i < TEST_COUNT(kinds); i++) {
        struct str other = arena_str(&arena, key);
        ((char *)(uintptr_t)other.text)[sizeof "revenue"] = kinds[i];
        write_row(fixture->store, RECORD_FIGURE, other, buf_view(&value));
        (void)look(fixture, &told);
        assert_int_equal(told.count, 1);
        assert_string_equal(told.findings[0].text, "its row is damaged");
        write_row(fixture->store, RECORD_FIGURE, other, STR_EMPTY);
    }
    buf_fini(&value);
    arena_fini(&arena);
}

static void a_period_ends_after_it_begins(void **state)
{
    struct fixture *fixture = *state;
    struct told told;

    put_period(fixture, SEPTEMBER, 0);
    (void)look(fixture, &told);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.findings[0].text,
                        "its period ends at 1788213600000, before it begins");
    put_period(fixture, SEPTEMBER + 1, 0);
    (void)look(fixture, &told);
    expect_nothing_told(&told);
}

static void nothing_is_of_a_later_commit(void **state)
{
    struct fixture *fixture = *state;
    struct told told;
    char text[100];

    fill(fixture);
    uint64_t commit = newest_commit(fixture);
    (void)snprintf(text, sizeof text, "it knows commit %llu, and the newest is %llu",
                   (unsigned long long)commit + 1, (unsigned long long)commit);
    put_period(fixture, OCTOBER, commit + 1);
    (void)look(fixture, &told);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.findings[0].text, text);
    put_period(fixture, OCTOBER, commit);
    put_mark(fixture, commit + 1, 0);
    (void)look(fixture, &told);
    assert_int_equal(told.count, 1);
    expect_told(&told, "figures 'revenue'", text);
    put_mark(fixture, commit, commit + 1);
    (void)look(fixture, &told);
    assert_int_equal(told.count, 1);
    expect_told(&told, "figures 'revenue'", text);
    put_mark(fixture, commit, commit);
    (void)look(fixture, &told);
    expect_nothing_told(&told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_kpid_writes_is_sound),    STORE_TEST(what_is_damaged_is_said),
        STORE_TEST(a_period_has_a_kind),          STORE_TEST(a_period_ends_after_it_begins),
        STORE_TEST(nothing_is_of_a_later_commit),
    };
    return cmocka_run_group_tests_name("kpi_verify", tests, NULL, NULL);
}
