/* No snapshot lives for over 5 s, whatever is asked of it: each read looks at the time on its way.
 * Here each look costs as much time as the test says. */
#include "history.h"
#include "store/scan.h"

enum { SERIES = 200, STEP_MS = READ_TXN_MS / 4 };

static mono_ms ahead;  /* of the real clock */
static mono_ms a_look; /* how much each look costs */
static unsigned looks;

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    if (clock != CLOCK_BOOTTIME)
        return __real_clock_gettime(clock, out);
    ahead += a_look;
    looks++;
    *out = (struct timespec){.tv_sec = (time_t)(ahead / 1000),
                             .tv_nsec = (long)(ahead % 1000) * 1000000};
    return 0;
}

static int setup(void **state)
{
    ahead = 1000;
    a_look = 0;
    return fixture_setup(state);
}

#define READER_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

/* A sample of each of many series, in one run or in one partition of each level. */
static void write_series(struct fixture *fixture, int run, size_t each)
{
    struct history *history = memory_zero(1, sizeof *history);

    history->days = 1;
    for (int mark = 0; mark < MARK_COUNT; mark++)
        history->marks[mark] = INT64_MIN;
    history->quarter_window = QUARTERS_PER_WEEK;
    history->stages = 1;
    for (size_t i = 0; i < SERIES * each; i++)
        history->samples[history->count++] = (struct history_sample){
            .id = 1 + (uint32_t)(i % SERIES),
            .at = (HISTORY_START + (int64_t)(i / SERIES)) * MS_PER_MINUTE + (int64_t)i,
            .value = 1,
            .run = run};
    history_write(history, fixture, 1);
    free(history);
}

static bool ignore_cell(size_t series, wall_ms from, const struct cell *cell, void *arg)
{
    (void)series;
    (void)from;
    (void)cell;
    (void)arg;
    return true;
}

static bool ignore_range(wall_ms from, wall_ms to, void *arg)
{
    (void)from;
    (void)to;
    (void)arg;
    return true;
}

enum ask { ASK_CELLS, ASK_STEPS, ASK_LEVELS, ASK_TIMES, ASK_CHANGES, ASK_SERIES, ASK_COUNT };

static bool ask_times(struct read_txn *txn, const struct query_series *series, struct error *err)
{
    struct coverage coverage = COVERAGE_EMPTY;
    wall_ms first = 0;
    wall_ms last = 0;
    return scan_times(txn, &(const struct scan_times){series, SERIES, &first, &last}, &coverage,
                      err);
}

static bool ask_series(struct read_txn *txn, struct error *err)
{
    const struct selector selector = {.metric = STR("orders"), .kind = METRIC_COUNTER};
    struct arena arena = ARENA_EMPTY;
    struct query_series *series = NULL;
    size_t count = 0;
    bool ok = query_series(txn, &selector, &arena, &series, &count, err);
    arena_fini(&arena);
    return ok;
}

static bool ask(struct read_txn *txn, enum ask what, struct error *err)
{
    struct query_series series[SERIES] = {{.id = 0}};
    struct level_sample levels[SERIES];
    struct coverage coverage = COVERAGE_EMPTY;
    struct query query = {.series = series,
                          .series_count = SERIES,
                          .from = HISTORY_START * MS_PER_MINUTE,
                          .to = (HISTORY_START + 1440) * MS_PER_MINUTE,
                          .merge_series = what == ASK_CELLS,
                          .step = what == ASK_STEPS ? MS_PER_MINUTE : 0};
    const struct query_levels of_levels = {series, SERIES, query.to, WALL_NONE};
    const struct query_changes changes = {.series = series, .series_count = SERIES};

    for (uint32_t i = 0; i < SERIES; i++)
        series[i].id = i + 1;
    switch (what) {
    case ASK_CELLS:
    case ASK_STEPS:
        return query_cells(txn, &query, ignore_cell, NULL, &coverage, err);
    case ASK_LEVELS:
        return query_levels(txn, &of_levels, levels, &coverage, err);
    case ASK_TIMES:
        return ask_times(txn, series, err);
    case ASK_CHANGES:
        return query_changed(txn, &changes, ignore_range, NULL, err);
    default:
        return ask_series(txn, err);
    }
}

static void assert_is_over(const struct error *err)
{
    assert_int_equal(err->kind, ERROR_UNAVAILABLE);
    assert_non_null(strstr(err->text, "takes longer than 4 seconds"));
}

static void nothing_is_read_when_the_time_is_over(void **state)
{
    struct fixture *fixture = *state;
    struct read_txn *txn = read_begin(fixture);

    for (enum ask what = 0; what < ASK_COUNT; what++) {
        struct error err = ERROR_EMPTY;
        if (!ask(txn, what, &err))
            fail_msg("%d: %s", (int)what, err.text);
    }
    ahead += READ_TXN_MS - 1;
    assert_false(read_txn_is_over(txn));
    ahead++;
    assert_true(read_txn_is_over(txn));
    for (enum ask what = 0; what < ASK_COUNT; what++) {
        struct error err = ERROR_EMPTY;
        assert_false(ask(txn, what, &err));
        assert_is_over(&err);
    }
    read_txn_end(txn);
}

/* Each look at the clock takes a second: a read that does not look often goes on. */
static void expect_the_end_on_the_way(struct fixture *fixture, enum ask what)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_begin(fixture);

    if (!ask(txn, what, &err))
        fail_msg("%d: %s", (int)what, err.text);
    a_look = STEP_MS;
    assert_false(ask(txn, what, &err));
    assert_is_over(&err);
    a_look = 0;
    read_txn_end(txn);
}

static void a_long_run_is_not_read_to_its_end(void **state)
{
    write_series(*state, 0, 4000 / SERIES);
    for (enum ask what = ASK_CELLS; what <= ASK_CHANGES; what++)
        expect_the_end_on_the_way(*state, what);
}

static void a_partition_of_many_series_is_not_read_to_its_end(void **state)
{
    write_series(*state, -1, 1);
    for (enum ask what = ASK_CELLS; what <= ASK_CHANGES; what++)
        expect_the_end_on_the_way(*state, what);
}

static void a_snapshot_is_taken_anew_when_it_is_old(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_EMPTY;

    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 0)));
    commit(fixture);
    struct read_txn *txn = read_begin(fixture);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 2, AT(MINUTE, 0)));
    commit(fixture);
    ahead += READ_TXN_REFRESH_MS - 1;
    assert_true(read_txn_refresh(txn, &err)); /* figures of one evaluation are of one snapshot */
    struct aggregate before = read_in(txn, METRIC_COUNTER, "orders", 0, AT(MINUTE + 1, 0));
    assert_same(aggregate_sum(&before), 1);
    ahead++;
    assert_true(read_txn_refresh(txn, &err));
    struct aggregate after = read_in(txn, METRIC_COUNTER, "orders", 0, AT(MINUTE + 1, 0));
    assert_same(aggregate_sum(&after), 3);

    ahead += 10 * (mono_ms)READ_TXN_MS; /* also one whose time is over */
    assert_true(read_txn_is_over(txn));
    assert_true(read_txn_refresh(txn, &err));
    ahead += READ_TXN_MS - 1;
    assert_false(read_txn_is_over(txn));
    assert_true(ask(txn, ASK_SERIES, &err));
    ahead++;
    assert_false(ask(txn, ASK_SERIES, &err));
    read_txn_end(txn);
}

/* The writer reads for as long as its transaction takes. */
static void inside_a_write_transaction_there_is_no_end(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_EMPTY;
    struct write_txn txn;

    write_series(fixture, 0, 4000 / SERIES);
    assert_true(write_txn_begin(fixture->store, NULL, &txn, &err));
    a_look = READ_TXN_MS;
    if (!ask(write_txn_reader(&txn), ASK_STEPS, &err))
        fail_msg("%s", err.text);
    assert_false(read_txn_is_over(write_txn_reader(&txn)));
    write_txn_abort(&txn);
    assert_true(looks > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        READER_TEST(nothing_is_read_when_the_time_is_over),
        READER_TEST(a_long_run_is_not_read_to_its_end),
        READER_TEST(a_partition_of_many_series_is_not_read_to_its_end),
        READER_TEST(a_snapshot_is_taken_anew_when_it_is_old),
        READER_TEST(inside_a_write_transaction_there_is_no_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
