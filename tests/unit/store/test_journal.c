/* What a commit makes of deltas: order, levels of gauges, increments, parts, what comes twice. */
#include "fixture.h"
#include "store/journal.h"
#include "store/kept.h"

/* Turns the writer's loop until nothing is left to commit. */
static void commit_rest(struct fixture *fixture)
{
    uint64_t before = 0;
    do {
        before = COUNTER_GET(commits);
        (void)event_base_loop(thread_base(writer_thread(fixture->writer)), EVLOOP_NONBLOCK);
    } while (COUNTER_GET(commits) > before);
}

static bool keep_ledger(struct str listener, const struct ledger *ledger, void *arg)
{
    (void)listener;
    assert_true(ledger_balances(ledger));
    *(struct ledger *)arg = *ledger;
    return true;
}

static struct ledger ledger_of(struct fixture *fixture)
{
    struct ledger ledger = {0};
    struct read_txn *txn = read_begin(fixture);
    query_ledgers(txn, keep_ledger, &ledger);
    read_txn_end(txn);
    return ledger;
}

/* --- parts --- */

enum { MANY_SERIES = 1000, MANY_MINUTES = 150, MANY_CELLS = MANY_SERIES * MANY_MINUTES };

static struct delta *large_delta(void)
{
    struct delta *delta = delta_new();
    for (int i = 0; i < MANY_SERIES; i++) {
        char labels[16];
        (void)snprintf(labels, sizeof labels, "n=%d", i);
        uint32_t series = add_series(delta, METRIC_COUNTER, "orders", labels);
        for (int m = 0; m < MANY_MINUTES; m++) {
            struct delta_cell *cell = delta_add_cell(delta, series, MINUTE + m);
            aggregate_add(&cell->cell.aggregate, 1, WEIGHT_ONE, AT(MINUTE + m, 0), 1);
        }
    }
    add_counts(delta, "statsd udp", MANY_CELLS, 0);
    return delta;
}

static void a_large_delta_goes_in_parts_that_count_their_own_samples(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer = {0};
    struct delta *delta = large_delta();
    uint64_t before = commit_number(fixture);
    double sum = 0;

    wait_for_answer(delta, &answer);
    delta->keep_trying = true;
    post(fixture, delta);
    for (int part = 1; answer.calls == 0; part++) {
        assert_int_equal(ledger_of(fixture).received, sum);
        if (part == 1)
            commit(fixture);
        else
            (void)event_base_loop(thread_base(writer_thread(fixture->writer)), EVLOOP_ONCE);
        double now = sum_of(fixture, "orders");
        assert_true(now > sum && now - sum <= 65536);
        assert_int_equal(commit_number(fixture), before + (uint64_t)part);
        sum = now;
    }
    assert_true(answer.ok);
    assert_same(sum, MANY_CELLS);
    assert_int_equal(ledger_of(fixture).stored, MANY_CELLS);
    commit_rest(fixture);
    assert_same(sum_of(fixture, "orders"), MANY_CELLS);
}

static void a_large_delta_that_is_waited_for_is_one_commit(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer = {0};
    struct delta *delta = large_delta();

    wait_for_answer(delta, &answer);
    post(fixture, one_sample(METRIC_COUNTER, "visits", "", 1, AT(MINUTE, 0)));
    post(fixture, delta);
    post(fixture, one_sample(METRIC_COUNTER, "visits", "", 1, AT(MINUTE, 0)));
    commit(fixture);
    while (answer.calls == 0) {
        assert_same(sum_of(fixture, "orders"), 0);
        (void)event_base_loop(thread_base(writer_thread(fixture->writer)), EVLOOP_ONCE);
    }
    assert_true(answer.ok);
    assert_same(sum_of(fixture, "orders"), MANY_CELLS);
    commit_rest(fixture);
    assert_same(sum_of(fixture, "visits"), 2);
}

static void stopping_commits_all_parts(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++)
        post(fixture, large_delta());
    writer_stop(fixture->writer);
    assert_same(sum_of(fixture, "orders"), 2 * MANY_CELLS);
    assert_int_equal(ledger_of(fixture).stored, 2 * MANY_CELLS);
}

/* --- what is not stored --- */

static void add_cumulative(struct delta *delta, uint32_t series, double value, wall_ms at,
                           wall_ms start)
{
    const struct delta_point sample = {
        .series = series, .at = at, .start = start, .arrival = (uint64_t)at * 1000, .value = value};
    delta_add_point(delta, &sample);
}

static void set_marks(struct fixture *fixture, int64_t minute, int64_t quarter, int64_t day)
{
    struct error err = ERROR_EMPTY;
    struct write_txn txn;

    assert_true(write_txn_begin(fixture->store, NULL, &txn, &err));
    assert_true(parts_set_mark(&txn, MARK_KEPT_MINUTE, minute, &err) &&
                parts_set_mark(&txn, MARK_KEPT_QUARTER, quarter, &err) &&
                parts_set_mark(&txn, MARK_KEPT_DAY, day, &err));
    assert_true(write_txn_commit(&txn, &err));
}

static void put_kept(struct fixture *fixture, const char *metric, int64_t quarter)
{
    const struct kept_row row = {
        .metric = str_of(metric),
        .kept = {.from = {quarter * MINUTES_PER_QUARTER, quarter, quarter}}};
    struct error err = ERROR_EMPTY;
    struct write_txn txn;

    assert_true(write_txn_begin(fixture->store, NULL, &txn, &err));
    assert_true(kept_put(&txn, &row, &err));
    assert_true(write_txn_commit(&txn, &err));
}

static void what_no_level_keeps_is_counted_as_too_old(void **state)
{
    struct fixture *fixture = *state;
    const int64_t quarter = MINUTE / MINUTES_PER_QUARTER;
    static const char *const metrics[] = {"orders", "short", "long"};
    static const struct {
        int quarters_ago;
        bool is_taken[TEST_COUNT(metrics)];
    } cases[] = {{9, {true, true, true}},
                 {19, {true, false, true}},
                 {29, {true, false, true}},
                 {31, {false, false, true}},
                 {41, {false, false, false}}};
    uint64_t stored = 0;

    set_marks(fixture, (quarter - 10) * MINUTES_PER_QUARTER, quarter - 20, quarter - 30);
    put_kept(fixture, "short", quarter - 10);
    put_kept(fixture, "long", quarter - 40);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct delta *delta = delta_new();
        for (size_t m = 0; m < TEST_COUNT(metrics); m++) {
            uint32_t series = add_series(delta, METRIC_COUNTER, metrics[m], "");
            int64_t minute = (quarter - cases[i].quarters_ago) * MINUTES_PER_QUARTER;
            add_sample(delta, series, 1, AT(minute, 1));
            add_sample(delta, series, 1, AT(minute, 2));
            stored += cases[i].is_taken[m] ? 2 : 0;
        }
        add_counts(delta, "import", 2 * TEST_COUNT(metrics), 1);
        post(fixture, delta);
        commit(fixture);
    }
    struct ledger ledger = ledger_of(fixture);
    assert_int_equal(ledger.stored, stored);
    assert_int_equal(ledger.dropped[DROP_too_old],
                     2 * TEST_COUNT(metrics) * TEST_COUNT(cases) - stored);
}

static void an_increment_that_is_too_old_is_counted_so(void **state)
{
    struct fixture *fixture = *state;
    const int64_t quarter = MINUTE / MINUTES_PER_QUARTER;
    struct delta *delta = delta_new();
    uint32_t series = add_series(delta, METRIC_COUNTER, "orders", "");

    set_marks(fixture, quarter * MINUTES_PER_QUARTER, quarter, quarter);
    add_cumulative(delta, series, 10, AT(MINUTE - 100, 0), WALL_NONE);
    add_cumulative(delta, series, 30, AT(MINUTE - 90, 0), WALL_NONE);
    add_cumulative(delta, series, 70, AT(MINUTE + 15, 0), WALL_NONE);
    add_counts(delta, "prometheus", 3, 0);
    post(fixture, delta);
    commit(fixture);
    assert_same(sum_of(fixture, "orders"), 40);
    assert_int_equal(ledger_of(fixture).stored, 1); /* the first one is an increment of 0 */
    assert_int_equal(ledger_of(fixture).dropped[DROP_too_old], 2);
}

static void what_a_later_part_does_not_store_is_taken_off_the_counts(void **state)
{
    struct fixture *fixture = *state;
    const int64_t quarter = MINUTE / MINUTES_PER_QUARTER;
    struct delta *delta = large_delta();

    set_marks(fixture, quarter * MINUTES_PER_QUARTER, quarter, quarter);
    for (int i = 0; i < 1000; i++)
        delta->cells[MANY_CELLS - 1 - i].minute -= 1000;
    post(fixture, delta);
    commit(fixture);
    commit_rest(fixture);
    assert_int_equal(ledger_of(fixture).received, MANY_CELLS);
    assert_int_equal(ledger_of(fixture).dropped[DROP_too_old] + ledger_of(fixture).stored,
                     MANY_CELLS);
    assert_in_range(ledger_of(fixture).dropped[DROP_too_old], 1000, 16000);
}

static void what_has_no_series_is_counted(void **state)
{
    struct fixture *fixture = *state;
    struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 0));
    struct series_hash hash = delta->series[0].hash;

    post(fixture, delta);
    commit(fixture);
    delta = one_sample(METRIC_COUNTER, "visits", "", 5, AT(MINUTE, 0));
    delta->series[0].hash = hash;
    add_sample(delta, add_series(delta, METRIC_COUNTER, "views", ""), 2, AT(MINUTE, 0));
    add_sample(delta, add_series(delta, METRIC_COUNTER, "clicks", ""), 2, AT(MINUTE, 0));
    delta->series[1].key = STR_EMPTY;
    add_counts(delta, "statsd udp", 3, 0);
    post(fixture, delta);
    commit(fixture);
    struct ledger ledger = ledger_of(fixture);
    assert_int_equal(ledger.received, 3);
    assert_int_equal(ledger.stored, 1);
    assert_int_equal(ledger.dropped[DROP_collision], 1);
    assert_int_equal(ledger.dropped[DROP_unknown_series], 1);
}

/* --- gauges --- */

static void changes_follow_each_other_over_quarters_of_one_group(void **state)
{
    struct fixture *fixture = *state;
    struct delta *delta = delta_new();
    uint32_t other = add_series(delta, METRIC_GAUGE, "other", "");
    uint32_t stock = add_series(delta, METRIC_GAUGE, "stock", "");
    /* Cells are sorted by quarter first, so those of the two gauges alternate. */
    for (int i = 3; i >= 0; i--) {
        add_change(delta, stock, 10, AT(MINUTE + 20 * i, 0));
        add_change(delta, other, -1, AT(MINUTE + 20 * i, 0));
    }
    post(fixture, delta);
    commit(fixture);
    for (int i = 0; i < 4; i++) {
        assert_same(last_in(fixture, "stock", MINUTE + 20 * i), 10 * (i + 1));
        assert_same(last_in(fixture, "other", MINUTE + 20 * i), -(i + 1));
    }
}

/* The level before a late change was set in the same group: it is not in the store yet. */
static void a_late_change_starts_from_what_its_own_group_said(void **state)
{
    struct fixture *fixture = *state;
    struct delta *delta = delta_new();
    add_change(delta, add_series(delta, METRIC_GAUGE, "stock", ""), 1, AT(MINUTE - 100, 0));
    post(fixture, delta);
    post(fixture, one_sample(METRIC_GAUGE, "stock", "", 500, AT(MINUTE + 60, 0)));
    commit(fixture);

    delta = delta_new();
    uint32_t series = add_series(delta, METRIC_GAUGE, "stock", "");
    add_sample(delta, series, 20, AT(MINUTE, 0));
    add_change(delta, series, 5, AT(MINUTE + 30, 0));
    post(fixture, delta);
    commit(fixture);
    assert_same(last_in(fixture, "stock", MINUTE + 30), 25);
    assert_same(last_in(fixture, "stock", MINUTE + 60), 500);

    delta = delta_new(); /* and the newest level stays the newest */
    add_change(delta, add_series(delta, METRIC_GAUGE, "stock", ""), 1, AT(MINUTE + 61, 0));
    post(fixture, delta);
    commit(fixture);
    assert_same(last_in(fixture, "stock", MINUTE + 61), 501);
}

/* --- cumulative counters (FIG-23) --- */

static void cumulative_samples_count_their_differences(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {100, 160, 20, 50};

    for (int together = 0; together < 2; together++) {
        const char *name = together ? "together" : "apart";
        struct delta *delta = delta_new();
        for (size_t i = 0; i < TEST_COUNT(values); i++) {
            if (!together && i > 0)
                delta = delta_new();
            uint32_t series = add_series(delta, METRIC_COUNTER, name, "");
            add_cumulative(delta, series, values[i], AT(MINUTE + (int)i, 0), WALL_NONE);
            if (together && i + 1 < TEST_COUNT(values))
                continue;
            add_counts(delta, "prometheus", together ? TEST_COUNT(values) : 1, 0);
            post(fixture, delta);
            commit(fixture);
            if (!together)
                fixture_reopen(fixture);
        }
        assert_same(sum_of(fixture, name), 110);
    }
    assert_int_equal(ledger_of(fixture).stored, 2 * TEST_COUNT(values));
}

static void many_cumulative_samples_go_in_parts(void **state)
{
    struct fixture *fixture = *state;
    struct delta *delta = delta_new();
    uint64_t before = commit_number(fixture);

    for (int i = 0; i < 500; i++) {
        char labels[16];
        (void)snprintf(labels, sizeof labels, "n=%d", i);
        uint32_t series = add_series(delta, METRIC_COUNTER, "orders", labels);
        add_sample(delta, series, 1, AT(MINUTE, 0));
    }
    for (uint32_t i = 0; i < 150 * 1000; i++)
        add_cumulative(delta, i % 500, i / 500, AT(MINUTE, (int)(i / 500)), WALL_NONE);
    add_counts(delta, "prometheus", 150 * 1000 + 500, 0);
    post(fixture, delta);
    commit(fixture);
    assert_int_equal(commit_number(fixture), before + 1);
    assert_true(sum_of(fixture, "orders") < 100 * 1000);
    commit_rest(fixture);
    assert_in_range(commit_number(fixture), before + 3, before + 8);
    assert_same(sum_of(fixture, "orders"), 500 * 299 + 500);
    assert_int_equal(ledger_of(fixture).stored, 150 * 1000 + 500);
}

static void a_cumulative_sample_that_comes_again_is_a_duplicate(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {100, 160, 160, 170};

    for (size_t i = 0; i < TEST_COUNT(values); i++) {
        struct delta *delta = delta_new();
        uint32_t series = add_series(delta, METRIC_COUNTER, "orders", "");
        /* the third is the second again, the fourth says something else of that time */
        add_cumulative(delta, series, values[i], AT(MINUTE + (i == 0 ? 0 : 1), 0), WALL_NONE);
        add_counts(delta, "prometheus", 1, 0);
        post(fixture, delta);
        commit(fixture);
    }
    assert_same(sum_of(fixture, "orders"), 60);
    struct ledger ledger = ledger_of(fixture);
    assert_int_equal(ledger.received, 4);
    assert_int_equal(ledger.stored, 2);
    assert_int_equal(ledger.dropped[DROP_duplicate], 1);
    assert_int_equal(ledger.dropped[DROP_conflict], 1);
}

/* --- what comes twice --- */

struct outcome {
    int calls;
    enum delta_outcome outcome;
    char answer[32];
};

static void on_outcome(struct delta *delta, const struct error *err)
{
    struct outcome *outcome = delta->on_done_arg;
    assert_null(err);
    outcome->calls++;
    outcome->outcome = delta->outcome;
    (void)snprintf(outcome->answer, sizeof outcome->answer, "%.*s", STR_ARGS(delta->answer));
}

static void post_batch(struct fixture *fixture, uint64_t sequence, struct outcome *outcome)
{
    struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 10, AT(MINUTE, 0));
    add_counts(delta, "native", 1, 0);
    delta->identity = (struct delta_identity){
        .kind = IDENTITY_PRODUCER, .name = {1, 2}, .epoch = 1, .sequence = sequence};
    delta->on_done = on_outcome;
    delta->on_done_arg = outcome;
    post(fixture, delta);
}

static void a_batch_that_comes_twice_counts_once(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcomes[4] = {0};

    post_batch(fixture, 1, &outcomes[0]);
    post_batch(fixture, 1, &outcomes[1]); /* in the same group */
    commit(fixture);
    fixture_reopen(fixture);
    post_batch(fixture, 1, &outcomes[2]);
    post_batch(fixture, 2, &outcomes[3]);
    commit(fixture);

    assert_int_equal(outcomes[0].outcome, DELTA_STORED);
    assert_int_equal(outcomes[1].outcome, DELTA_REPEATED);
    assert_int_equal(outcomes[2].outcome, DELTA_REPEATED);
    assert_int_equal(outcomes[3].outcome, DELTA_STORED);
    assert_same(sum_of(fixture, "orders"), 20);
    struct ledger ledger = ledger_of(fixture);
    assert_int_equal(ledger.received, 4);
    assert_int_equal(ledger.stored, 2);
    assert_int_equal(ledger.dropped[DROP_duplicate], 2);
}

/* --- against a plain model --- */

enum { MODEL_SERIES = 5, MODEL_MINUTES = 3000, MODEL_ROUNDS = 25 };

struct model {
    struct cell cells[MODEL_SERIES][MODEL_MINUTES];
    uint64_t random;
    uint64_t arrival;
};

static unsigned below(struct model *model, unsigned limit)
{
    model->random = model->random * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (unsigned)(model->random >> 33) % limit;
}

static const struct {
    enum metric_kind kind;
    const char *metric;
} model_series[MODEL_SERIES] = {
    {METRIC_COUNTER, "orders"}, {METRIC_GAUGE, "stock"}, {METRIC_DISTRIBUTION, "size"},
    {METRIC_UNIQUE, "users"},   {METRIC_COUNTER, "b"},
};

static void model_sample(struct model *model, struct cell *cell, int series, wall_ms at,
                         double value, uint64_t arrival)
{
    (void)model;
    if (model_series[series].kind == METRIC_DISTRIBUTION)
        cell_add_value(cell, value, WEIGHT_ONE, at, arrival);
    else
        aggregate_add(&cell->aggregate, value, WEIGHT_ONE, at, arrival);
}

static struct delta *random_delta(struct model *model)
{
    struct delta *delta = delta_new();

    for (int s = 0; s < MODEL_SERIES; s++) {
        uint32_t series = add_series(delta, model_series[s].kind, model_series[s].metric, "");
        for (unsigned i = below(model, 60); i > 0; i--) {
            int minute = (int)below(model, below(model, 3) == 0 ? MODEL_MINUTES : 40);
            wall_ms at = AT(MINUTE + minute, below(model, 60));
            double value = below(model, 1000) - 300.0;
            uint64_t arrival = ++model->arrival;
            struct delta_cell *cell = delta_add_cell(delta, series, MINUTE + minute);
            model_sample(model, &cell->cell, s, at, value, arrival);
            model_sample(model, &model->cells[s][minute], s, at, value, arrival);
            if (model_series[s].kind == METRIC_UNIQUE) {
                char member[16];
                (void)snprintf(member, sizeof member, "%u", below(model, 500));
                cell->cell.distinct = distinct_new();
                distinct_add(cell->cell.distinct, str_of(member));
                if (model->cells[s][minute].distinct == NULL)
                    model->cells[s][minute].distinct = distinct_new();
                distinct_add(model->cells[s][minute].distinct, str_of(member));
            }
        }
    }
    return delta;
}

struct comparison {
    struct model *model;
    int series;
    size_t seen;
};

static bool compare(size_t series, wall_ms step_from, const struct cell *cell, void *arg)
{
    struct comparison *comparison = arg;
    const struct cell *expected =
        &comparison->model->cells[comparison->series][step_from / MS_PER_MINUTE - MINUTE];
    struct buf bytes = BUF_EMPTY;
    struct buf expected_bytes = BUF_EMPTY;
    (void)series;

    cell_encode(cell, &bytes);
    cell_encode(expected, &expected_bytes);
    assert_true(str_equal(buf_view(&bytes), buf_view(&expected_bytes)));
    buf_fini(&bytes);
    buf_fini(&expected_bytes);
    comparison->seen++;
    return true;
}

static void compare_all(struct fixture *fixture, struct model *model)
{
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_begin(fixture);

    for (int s = 0; s < MODEL_SERIES; s++) {
        struct comparison comparison = {model, s, 0};
        struct coverage coverage = COVERAGE_EMPTY;
        size_t expected = 0;
        const struct selector selector = {.metric = str_of(model_series[s].metric),
                                          .kind = model_series[s].kind};
        struct query query = {
            .from = AT(MINUTE, 0), .to = AT(MINUTE + MODEL_MINUTES, 0), .step = MS_PER_MINUTE};
        query.series = query_select(txn, &selector, &arena, &query.series_count);
        assert_true(query_cells(txn, &query, compare, &comparison, &coverage, &err));
        for (int m = 0; m < MODEL_MINUTES; m++)
            expected += model->cells[s][m].aggregate.count > 0;
        assert_int_equal(comparison.seen, expected);
    }
    read_txn_end(txn);
    arena_fini(&arena);
}

static void random_deltas_in_random_groups_agree_with_a_plain_model(void **state)
{
    struct fixture *fixture = *state;
    struct model *model = memory_zero(1, sizeof *model);

    model->random = 7;
    for (int round = 0; round < MODEL_ROUNDS; round++) {
        for (unsigned deltas = 1 + below(model, 5); deltas > 0; deltas--)
            post(fixture, random_delta(model));
        commit(fixture);
        if (below(model, 8) == 0)
            fixture_reopen(fixture);
    }
    compare_all(fixture, model);
    for (int s = 0; s < MODEL_SERIES; s++) {
        for (int m = 0; m < MODEL_MINUTES; m++)
            cell_fini(&model->cells[s][m]);
    }
    free(model);
}

static void samples_of_minutes_that_ended_a_while_ago_are_counted(void **state)
{
    struct fixture *fixture = *state;
    uint64_t late = COUNTER_GET(samples_late);

    clock_set_for_test(AT(MINUTE, 30));
    for (int m = -LATE_MINUTES; m <= 1; m++)
        post(fixture, one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE + m, 59)));
    commit(fixture);
    assert_int_equal(COUNTER_GET(samples_late) - late, 0);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE - LATE_MINUTES - 1, 59)));
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE - 1000, 0)));
    commit(fixture);
    assert_int_equal(COUNTER_GET(samples_late) - late, 2);
    assert_same(sum_of(fixture, "orders"), LATE_MINUTES + 2 + 2);
    clock_set_for_test(WALL_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_large_delta_goes_in_parts_that_count_their_own_samples),
        STORE_TEST(a_large_delta_that_is_waited_for_is_one_commit),
        STORE_TEST(stopping_commits_all_parts),
        STORE_TEST(what_no_level_keeps_is_counted_as_too_old),
        STORE_TEST(an_increment_that_is_too_old_is_counted_so),
        STORE_TEST(what_a_later_part_does_not_store_is_taken_off_the_counts),
        STORE_TEST(what_has_no_series_is_counted),
        STORE_TEST(many_cumulative_samples_go_in_parts),
        STORE_TEST(changes_follow_each_other_over_quarters_of_one_group),
        STORE_TEST(a_late_change_starts_from_what_its_own_group_said),
        STORE_TEST(cumulative_samples_count_their_differences),
        STORE_TEST(a_cumulative_sample_that_comes_again_is_a_duplicate),
        STORE_TEST(a_batch_that_comes_twice_counts_once),
        STORE_TEST(samples_of_minutes_that_ended_a_while_ago_are_counted),
        STORE_TEST(random_deltas_in_random_groups_agree_with_a_plain_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
