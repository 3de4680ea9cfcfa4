#include "fixture.h"

/* --- selectors --- */

static void put_shop(struct fixture *fixture)
{
    static const char *const labels[] = {"plan=pro;zone=eu", "plan=pro;zone=us",
                                         "plan=free;zone=eu", "zone=eu", "plan=preview"};
    for (size_t i = 0; i < TEST_COUNT(labels); i++)
        post(fixture, one_sample(METRIC_COUNTER, "orders", labels[i], 1 << i, AT(MINUTE, 0)));
    post(fixture, one_sample(METRIC_COUNTER, "ordersx", "plan=pro", 100, AT(MINUTE, 0)));
    post(fixture, one_sample(METRIC_GAUGE, "orders", "plan=pro", 1000, AT(MINUTE, 0)));
    commit(fixture);
}

/* Bits of the series of put_shop that a selector names. */
static int selected(struct fixture *fixture, const struct label_match *matches, size_t count)
{
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;
    struct cell cell = CELL_EMPTY;
    struct read_txn *txn = read_begin(fixture);
    const struct selector selector = {STR("orders"), METRIC_COUNTER, matches, count};
    struct query query = {.from = AT(MINUTE, 0), .to = AT(MINUTE + 1, 0), .merge_series = true};

    query.series = query_select(txn, &selector, &arena, &query.series_count);
    assert_true(query_cells(txn, &query, keep_cell, &cell, &coverage, &err));
    for (size_t i = 1; i < query.series_count; i++)
        assert_true(query.series[i - 1].id < query.series[i].id);
    arena_fini(&arena);
    read_txn_end(txn);
    return (int)aggregate_sum(&cell.aggregate);
}

static void label_filters_choose_series(void **state)
{
    struct fixture *fixture = *state;
    static const struct str pro = {"pro", 3};
    static const struct str pr = {"pr", 2};
    static const struct str eu = {"eu", 2};
    static const struct str none = {"", 0};
    static const struct str some[] = {{"free", 4}, {"", 0}, {"gold", 4}};
    static const struct {
        struct label_match matches[2];
        size_t count;
        int expected;
    } cases[] = {
        {{{{0}, MATCH_EQUAL, NULL, 0}}, 0, 31},
        {{{{"plan", 4}, MATCH_EQUAL, &pro, 1}}, 1, 3},
        {{{{"plan", 4}, MATCH_NOT_EQUAL, &pro, 1}}, 1, 28},
        {{{{"plan", 4}, MATCH_EQUAL, &none, 1}}, 1, 8}, /* the series without the label */
        {{{{"plan", 4}, MATCH_NOT_EQUAL, &none, 1}}, 1, 23},
        {{{{"plan", 4}, MATCH_IN, some, 3}}, 1, 12},
        {{{{"plan", 4}, MATCH_PREFIX, &pr, 1}}, 1, 19},
        {{{{"plan", 4}, MATCH_PREFIX, &none, 1}}, 1, 31},
        {{{{"plan", 4}, MATCH_EQUAL, &pro, 1}, {{"zone", 4}, MATCH_EQUAL, &eu, 1}}, 2, 1},
        {{{{"pla", 3}, MATCH_EQUAL, &pro, 1}}, 1, 0},
    };
    put_shop(fixture);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        int found = selected(fixture, cases[i].matches, cases[i].count);
        if (found != cases[i].expected)
            fail_msg("case %zu: %d, not %d", i, found, cases[i].expected);
    }
}

static void a_metric_that_is_not_there_has_no_series(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena = ARENA_EMPTY;
    size_t count = 1;
    put_shop(fixture);
    struct read_txn *txn = read_begin(fixture);
    const struct selector selector = {.metric = STR("order"), .kind = METRIC_COUNTER};
    assert_null(query_select(txn, &selector, &arena, &count));
    assert_int_equal(count, 0);
    read_txn_end(txn);
    arena_fini(&arena);
}

static void a_series_is_found_by_the_hash_of_its_key(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena = ARENA_EMPTY;
    struct buf key = BUF_EMPTY;
    struct query_series series;

    put_shop(fixture);
    struct read_txn *txn = read_begin(fixture);
    write_key(&key, METRIC_COUNTER, "orders", "plan=pro;zone=us");
    assert_true(query_series_by_hash(txn, series_key_hash(buf_view(&key)), &arena, &series));
    assert_true(str_equal(series.key, buf_view(&key)));
    assert_true(series.id > 0);
    write_key(&key, METRIC_GAUGE, "orders", "plan=pro;zone=us");
    assert_false(query_series_by_hash(txn, series_key_hash(buf_view(&key)), &arena, &series));
    read_txn_end(txn);
    buf_fini(&key);
    arena_fini(&arena);
}

/* --- steps --- */

struct seen {
    struct buf text;
    size_t max; /* stop after so many; 0: never */
    size_t count;
};

static bool see(size_t series, wall_ms step_from, const struct cell *cell, void *arg)
{
    struct seen *seen = arg;
    buf_printf(&seen->text, "%zu:%lld=%g ", series, (long long)(step_from / MS_PER_MINUTE - MINUTE),
               aggregate_sum(&cell->aggregate));
    seen->count++;
    return seen->max == 0 || seen->count < seen->max;
}

static void put_steps(struct fixture *fixture)
{
    struct delta *delta = delta_new();
    uint32_t one = add_series(delta, METRIC_COUNTER, "hits", "n=1");
    uint32_t two = add_series(delta, METRIC_COUNTER, "hits", "n=2");
    static const int minutes_one[] = {0, 1, 4, 5, 9, 5000};
    static const int minutes_two[] = {1, 2, 5, 3000};
    for (size_t i = 0; i < TEST_COUNT(minutes_one); i++)
        add_sample(delta, one, 1, AT(MINUTE + minutes_one[i], 20));
    for (size_t i = 0; i < TEST_COUNT(minutes_two); i++)
        add_sample(delta, two, 10, AT(MINUTE + minutes_two[i], 40));
    post(fixture, delta);
    post(fixture, one_sample(METRIC_COUNTER, "other", "", 100, AT(MINUTE + 1, 0)));
    commit(fixture);
}

static struct coverage run_query(struct fixture *fixture, struct query query, struct seen *seen)
{
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;
    struct read_txn *txn = read_begin(fixture);
    const struct selector selector = {.metric = STR("hits"), .kind = METRIC_COUNTER};
    query.series = query_select(txn, &selector, &arena, &query.series_count);
    if (!query_cells(txn, &query, see, seen, &coverage, &err))
        fail_msg("%s", err.text);
    read_txn_end(txn);
    arena_fini(&arena);
    return coverage;
}

static void steps_cut_a_range_for_each_series_or_for_all(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        wall_ms from;
        wall_ms to;
        span_ms step;
        bool merge;
        size_t max;
        const char *expected;
    } cases[] = {
        {AT(MINUTE, 0), AT(MINUTE + 6, 0), 0, false, 0, "0:0=4 1:0=30 "},
        {AT(MINUTE, 0), AT(MINUTE + 6, 0), 0, true, 0, "0:0=34 "},
        {AT(MINUTE, 0), AT(MINUTE + 6, 0), 60000, false, 0,
         "0:0=1 0:1=1 0:4=1 0:5=1 1:1=10 1:2=10 1:5=10 "},
        {AT(MINUTE, 0), AT(MINUTE + 6, 0), 60000, true, 0, "0:0=1 0:1=11 0:2=10 0:4=1 0:5=11 "},
        {AT(MINUTE, 0), AT(MINUTE + 6, 0), 120000, true, 0, "0:0=12 0:2=10 0:4=12 "},
        {AT(MINUTE + 1, 0), AT(MINUTE + 6, 0), 120000, false, 0,
         "0:1=1 0:3=1 0:5=1 1:1=20 1:5=10 "},
        {AT(MINUTE, 0), AT(MINUTE + 6, 0), 60000, true, 2, "0:0=1 0:1=11 "},
        {AT(MINUTE, 0), AT(MINUTE + 6, 0), 60000, false, 5, "0:0=1 0:1=1 0:4=1 0:5=1 1:1=10 "},
        /* ends inside a minute take it whole; an end on a minute does not */
        {AT(MINUTE + 1, 30), AT(MINUTE + 2, 1), 0, true, 0, "0:1=21 "},
        {AT(MINUTE + 1, 30), AT(MINUTE + 2, 0), 0, true, 0, "0:1=11 "},
        {AT(MINUTE + 6, 0), AT(MINUTE + 9, 0), 60000, true, 0, ""},
        {AT(MINUTE + 6, 0), AT(MINUTE + 6, 0), 0, true, 0, ""},
        {AT(MINUTE + 9, 0), AT(MINUTE, 0), 0, true, 0, ""},
        /* beyond one window of steps, and with much emptiness between */
        {AT(MINUTE + 5, 0), AT(MINUTE + 6000, 0), 60000, true, 0,
         "0:5=11 0:9=1 0:3000=10 0:5000=1 "},
        {AT(MINUTE - 3000, 0), AT(MINUTE + 2, 0), 60000, true, 0, "0:0=1 0:1=11 "},
        {AT(MINUTE + 4, 0), AT(MINUTE + 6000, 0), 2000 * INT64_C(60000), true, 0,
         "0:4=13 0:2004=10 0:4004=1 "},
    };
    put_steps(fixture);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct seen seen = {.max = cases[i].max};
        const struct query query = {.from = cases[i].from,
                                    .to = cases[i].to,
                                    .step = cases[i].step,
                                    .merge_series = cases[i].merge};
        (void)run_query(fixture, query, &seen);
        if (!str_is(buf_view(&seen.text), cases[i].expected))
            fail_msg("case %zu: '%.*s'", i, STR_ARGS(buf_view(&seen.text)));
        buf_fini(&seen.text);
    }
}

static void the_whole_of_time_is_a_range(void **state)
{
    struct fixture *fixture = *state;
    for (int merge = 0; merge < 2; merge++) {
        struct cell cell = CELL_EMPTY;
        struct arena arena = ARENA_EMPTY;
        struct error err = ERROR_EMPTY;
        struct coverage coverage = COVERAGE_EMPTY;
        if (merge == 0)
            put_steps(fixture);
        struct read_txn *txn = read_begin(fixture);
        const struct selector selector = {.metric = STR("hits"), .kind = METRIC_COUNTER};
        struct query query = {.from = INT64_MIN, .to = INT64_MAX, .merge_series = merge == 1};
        query.step = merge == 1 ? 60000 : 0;
        query.series = query_select(txn, &selector, &arena, &query.series_count);
        assert_true(query_cells(txn, &query, keep_cell, &cell, &coverage, &err));
        assert_same(aggregate_sum(&cell.aggregate), 46);
        read_txn_end(txn);
        arena_fini(&arena);
    }
}

static void coverage_says_what_was_read(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.max = 0};
    put_steps(fixture);
    struct query query = {.from = AT(MINUTE, 0), .to = AT(MINUTE + 3, 0)};
    struct coverage coverage = run_query(fixture, query, &seen);
    assert_true(coverage.complete);
    assert_int_equal(coverage.levels, COVERAGE_MINUTE);
    assert_int_equal(coverage.newest, AT(MINUTE + 2, 40));

    query.from = AT(MINUTE + 20, 0);
    query.to = AT(MINUTE + 30, 0);
    coverage = run_query(fixture, query, &seen);
    assert_int_equal(coverage.newest, WALL_NONE);
    buf_fini(&seen.text);
}

static void a_step_is_a_number_of_minutes(void **state)
{
    struct fixture *fixture = *state;
    static const span_ms bad[] = {-60000, 1, 90000};
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        struct error err = ERROR_EMPTY;
        struct coverage coverage = COVERAGE_EMPTY;
        struct read_txn *txn = read_begin(fixture);
        const struct query query = {.from = AT(MINUTE, 0), .to = AT(MINUTE + 1, 0), .step = bad[i]};
        assert_false(query_cells(txn, &query, see, NULL, &coverage, &err));
        assert_int_equal(err.kind, ERROR_INVALID);
        read_txn_end(txn);
    }
}

/* --- levels (FIG-13) --- */

static void a_level_is_the_newest_sample_at_or_before_an_instant(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        wall_ms at;
        double value;
        wall_ms of; /* WALL_NONE: no sample */
    } cases[] = {
        {AT(MINUTE, 9), 0, WALL_NONE},
        {AT(MINUTE, 10), 1, AT(MINUTE, 10)}, /* a sample at the instant itself counts */
        {AT(MINUTE, 39), 1, AT(MINUTE, 10)},
        {AT(MINUTE, 40), 2, AT(MINUTE, 40)},
        {AT(MINUTE + 4, 0), 2, AT(MINUTE, 40)},
        {AT(MINUTE + 5, 9), 2, AT(MINUTE, 40)}, /* in a minute with a sample, but before it */
        {AT(MINUTE + 5, 10), 3, AT(MINUTE + 5, 10)},
        {AT(MINUTE + 9000, 0), 3, AT(MINUTE + 5, 10)},
        {WALL_NONE, 0, WALL_NONE},
        {INT64_MAX, 3, AT(MINUTE + 5, 10)},
    };
    struct delta *delta = delta_new();
    uint32_t stock = add_series(delta, METRIC_GAUGE, "stock", "n=1");
    uint32_t other = add_series(delta, METRIC_GAUGE, "stock", "n=2");
    add_sample(delta, stock, 1, AT(MINUTE, 10));
    add_sample(delta, stock, 2, AT(MINUTE, 40));
    add_sample(delta, stock, 3, AT(MINUTE + 5, 10));
    add_sample(delta, other, 99, AT(MINUTE - 5, 0));
    add_sample(delta, other, 98, AT(MINUTE + 6, 0));
    post(fixture, delta);
    commit(fixture);

    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    size_t count = 0;
    struct read_txn *txn = read_begin(fixture);
    const struct selector selector = {.metric = STR("stock"), .kind = METRIC_GAUGE};
    const struct query_series *series = query_select(txn, &selector, &arena, &count);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct level_sample level = {0, WALL_NONE};
        struct coverage coverage = COVERAGE_EMPTY;
        assert_true(query_level(txn, series[0].id, cases[i].at, &level, &coverage, &err));
        assert_int_equal(level.at, cases[i].of);
        assert_same(level.value, cases[i].value);
        assert_true(coverage.complete);
        assert_int_equal(coverage.newest, cases[i].of);
        assert_true((coverage.levels & COVERAGE_MINUTE) != 0);
    }
    read_txn_end(txn);
    arena_fini(&arena);
}

/* --- metrics --- */

static bool gather_name(struct str metric, const struct metric_facts *facts, void *arg)
{
    struct seen *seen = arg;
    buf_printf(&seen->text, "%.*s(%llu) ", STR_ARGS(metric), (unsigned long long)facts->series);
    return ++seen->count != seen->max;
}

static void metrics_are_listed_in_the_order_of_their_names(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.max = 0};
    put_shop(fixture);
    post(fixture, one_sample(METRIC_COUNTER, "a.first", "", 1, AT(MINUTE, 0)));
    commit(fixture);
    struct read_txn *txn = read_begin(fixture);
    query_metrics(txn, gather_name, &seen);
    assert_true(str_is(buf_view(&seen.text), "a.first(1) orders(6) ordersx(1) "));
    buf_clear(&seen.text);
    seen = (struct seen){.text = seen.text, .max = 2};
    query_metrics(txn, gather_name, &seen);
    assert_true(str_is(buf_view(&seen.text), "a.first(1) orders(6) "));
    read_txn_end(txn);
    buf_fini(&seen.text);
}

static void assert_times(struct fixture *fixture, const char *metric, wall_ms first, wall_ms last)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_begin(fixture);
    struct coverage coverage = COVERAGE_EMPTY;
    struct coverage of_first = COVERAGE_EMPTY;
    wall_ms found[2] = {1, 1};

    assert_true(query_metric_times(txn, str_of(metric), &found[0], &found[1], &coverage, &err));
    assert_int_equal(found[0], first);
    assert_int_equal(found[1], last);
    assert_true(coverage.complete);
    assert_int_equal(coverage.newest, last);
    found[0] = 1;
    assert_true(query_metric_times(txn, str_of(metric), &found[0], NULL, &of_first, &err));
    assert_int_equal(found[0], first);
    assert_true(of_first.complete);
    assert_int_equal(of_first.newest, first);
    read_txn_end(txn);
}

static void a_metric_has_a_first_and_a_last_sample(void **state)
{
    struct fixture *fixture = *state;

    assert_times(fixture, "orders", WALL_NONE, WALL_NONE);
    put_shop(fixture);
    assert_times(fixture, "orders", AT(MINUTE, 0), AT(MINUTE, 0));
    post(fixture, one_sample(METRIC_GAUGE, "orders", "plan=pro", 1, AT(MINUTE + 9, 30)));
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE - 700, 10)));
    post(fixture, one_sample(METRIC_COUNTER, "others", "", 1, AT(MINUTE - 900, 10)));
    post(fixture, one_sample(METRIC_COUNTER, "others", "", 1, AT(MINUTE + 900, 10)));
    commit(fixture);
    assert_times(fixture, "orders", AT(MINUTE - 700, 10), AT(MINUTE + 9, 30));
    assert_times(fixture, "order", WALL_NONE, WALL_NONE);
}

/* --- what changed --- */

static bool note_span(wall_ms from, wall_ms to, void *arg)
{
    buf_printf(arg, "[%lld,%lld) ", (long long)(from / MS_PER_MINUTE - MINUTE),
               (long long)(to / MS_PER_MINUTE - MINUTE));
    return true;
}

static void a_late_sample_changes_a_span_after_a_commit(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct buf text = BUF_EMPTY;
    const struct selector selector = {.metric = STR("hits"), .kind = METRIC_COUNTER};
    struct query_series *series = NULL;
    size_t count = 0;

    put_steps(fixture);
    uint64_t before = commit_number(fixture);
    post(fixture, one_sample(METRIC_COUNTER, "hits", "n=2", 1, AT(MINUTE - 2000, 0)));
    post(fixture, one_sample(METRIC_COUNTER, "other", "", 1, AT(MINUTE - 4000, 0)));
    commit(fixture);
    struct read_txn *txn = read_begin(fixture);
    assert_true(query_series(txn, &selector, &arena, &series, &count, &err));
    assert_int_equal(count, 2);
    const struct query_changes of_two = {series + 1, 1, before, 0, 0};
    assert_true(query_changed(txn, &of_two, note_span, &text, &err));
    assert_true(str_is(buf_view(&text), "[-2000,-1985) "));
    buf_clear(&text);
    const struct query_changes of_one = {series, 1, before, 0, 0};
    assert_true(query_changed(txn, &of_one, note_span, &text, &err));
    assert_int_equal(text.len, 0);
    read_txn_end(txn);
    arena_fini(&arena);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(label_filters_choose_series),
        STORE_TEST(a_metric_that_is_not_there_has_no_series),
        STORE_TEST(a_series_is_found_by_the_hash_of_its_key),
        STORE_TEST(steps_cut_a_range_for_each_series_or_for_all),
        STORE_TEST(the_whole_of_time_is_a_range),
        STORE_TEST(coverage_says_what_was_read),
        STORE_TEST(a_step_is_a_number_of_minutes),
        STORE_TEST(a_level_is_the_newest_sample_at_or_before_an_instant),
        STORE_TEST(metrics_are_listed_in_the_order_of_their_names),
        STORE_TEST(a_metric_has_a_first_and_a_last_sample),
        STORE_TEST(a_late_sample_changes_a_span_after_a_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
