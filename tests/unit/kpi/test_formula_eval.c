/* The figures of figure-rules.md, from samples in a real store. */
#include "kpi_fixture.h"

static void a_ratio_is_the_ratio_of_sums(void **state) /* FIG-9 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "failed", "", 1, "2026-10-12T10:00");
    sample(scene, METRIC_COUNTER, "requests", "", 2, "2026-10-12T10:00");
    sample(scene, METRIC_COUNTER, "failed", "host=a", 170, "2026-10-13T10:00");
    sample(scene, METRIC_COUNTER, "requests", "host=b", 2501, "2026-10-13T11:00");
    struct figure week = figure_at(scene, "sum(failed) / sum(requests)", PERIOD_WEEK,
                                   "2026-10-14T00:00", "2026-10-14T12:00");
    CHECK_VALUE(week, 171.0 / 2503);
    assert_true(week.denominator == 2503);
    assert_true(week.partial); /* known since Monday 10:00 */
}

static void no_value_spreads(void **state) /* FIG-10 */
{
    struct scene *scene = *state;
    declare(scene, "failed", METRIC_COUNTER, NULL);
    declare(scene, "requests", METRIC_COUNTER, NULL);
    declared_since(scene, "failed", "2026-10-01T00:00");
    declared_since(scene, "requests", "2026-10-01T00:00");
    const char *day = "2026-10-12T00:00";
    CHECK_NULL(figure_at(scene, "sum(failed) / sum(requests)", PERIOD_DAY, day, day),
               NULL_DIVISION_BY_ZERO, "no requests");
    sample(scene, METRIC_COUNTER, "failed", "", 5, "2026-10-12T10:00");
    CHECK_NULL(figure_at(scene, "sum(failed) / sum(requests)", PERIOD_DAY, day, day),
               NULL_DIVISION_BY_ZERO, "no requests");
    CHECK_NULL(figure_at(scene, "sum(failed) / (sum(requests) * 2)", PERIOD_DAY, day, day),
               NULL_DIVISION_BY_ZERO, NULL);
    CHECK_NULL(figure_at(scene, "1 + sum(failed) / sum(requests)", PERIOD_DAY, day, day),
               NULL_DIVISION_BY_ZERO, NULL);
}

static void silence_is_zero_only_for_what_is_known(void **state) /* FIG-11 */
{
    struct scene *scene = *state;
    declare(scene, "refund", METRIC_COUNTER, NULL);
    declared_since(scene, "refund", "2026-10-05T12:00");
    const char *now = "2026-10-07T09:00";
    CHECK_NULL(figure_at(scene, "sum(refund)", PERIOD_DAY, "2026-10-04T00:00", now),
               NULL_BEFORE_FIRST, "metric 'refund' is known since 2026-10-05T10:00:00Z");
    struct figure first = figure_at(scene, "sum(refund)", PERIOD_DAY, "2026-10-05T00:00", now);
    CHECK_VALUE(first, 0);
    assert_true(first.partial);
    struct figure second = figure_at(scene, "sum(refund)", PERIOD_DAY, "2026-10-06T00:00", now);
    CHECK_VALUE(second, 0);
    assert_false(second.partial);
    assert_true(second.count == 0);
}

static void what_has_not_begun_has_no_figure(void **state)
{
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "signup", "", 3, "2026-10-05T08:00");
    const char *now = "2026-10-05T09:00";
    CHECK_VALUE(figure_at(scene, "sum(signup)", PERIOD_DAY, "2026-10-05T00:00", now), 3);
    CHECK_NULL(figure_at(scene, "sum(signup)", PERIOD_DAY, "2026-10-06T00:00", now), NULL_NOT_YET,
               "the period has not begun");
}

static void the_earlier_of_sample_and_declaration_counts(void **state) /* FIG-11 */
{
    struct scene *scene = *state;
    declare(scene, "refund", METRIC_COUNTER, NULL);
    declared_since(scene, "refund", "2026-10-05T12:00");
    sample(scene, METRIC_COUNTER, "refund", "", 3, "2026-10-03T08:00");
    struct figure before =
        figure_at(scene, "sum(refund)", PERIOD_DAY, "2026-10-04T00:00", "2026-10-07T09:00");
    CHECK_VALUE(before, 0);
    assert_false(before.partial);
    CHECK_NULL(figure_at(scene, "sum(refund)", PERIOD_DAY, "2026-10-02T00:00", "2026-10-07T09:00"),
               NULL_BEFORE_FIRST, NULL);
    /* A second note does not move the first. */
    declared_since(scene, "refund", "2026-10-20T12:00");
    struct read_txn *txn = read_begin(scene->store);
    assert_true(evaluator_declared_at(STR("refund"), txn) == berlin(scene, "2026-10-05T12:00"));
    assert_true(evaluator_declared_at(STR("other"), txn) == WALL_NONE);
    read_txn_end(txn);
}

static void a_metric_declared_just_now_is_known_from_now_on(void **state)
{
    struct scene *scene = *state;
    declare(scene, "refund", METRIC_COUNTER, NULL);
    struct figure today =
        figure_at(scene, "sum(refund)", PERIOD_DAY, "2026-10-05T00:00", "2026-10-05T09:00");
    CHECK_VALUE(today, 0);
    assert_true(today.partial);
    CHECK_NULL(figure_at(scene, "sum(refund)", PERIOD_DAY, "2026-10-04T00:00", "2026-10-05T09:00"),
               NULL_BEFORE_FIRST, NULL);
}

static void a_metric_never_seen_is_null_with_its_reason(void **state) /* FIG-11 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "requests", "", 2, "2026-10-12T10:00");
    CHECK_NULL(figure_at(scene, "sum(faild) / sum(requests)", PERIOD_DAY, "2026-10-12T00:00",
                         "2026-10-12T12:00"),
               NULL_NEVER_SEEN, "metric 'faild' was never seen");
    CHECK_NULL(figure_at(scene, "sum(requests) - sum(faild)", PERIOD_DAY, "2026-10-12T00:00",
                         "2026-10-12T12:00"),
               NULL_NEVER_SEEN, "metric 'faild' was never seen");
}

static void a_typing_error_gets_a_hint(void **state) /* FIG-11 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "failed", "", 1, "2026-10-12T10:00");
    sample(scene, METRIC_COUNTER, "requests", "", 2, "2026-10-12T10:00");
    CHECK_NULL(figure_at(scene, "sum(faild) / sum(requests)", PERIOD_DAY, "2026-10-12T00:00",
                         "2026-10-12T12:00"),
               NULL_NEVER_SEEN, "metric 'faild' was never seen; did you mean 'failed'?");
    for (int i = 0; i < 201; i++) { /* more than are compared */
        char name[16];
        (void)snprintf(name, sizeof name, "a%04d", i);
        sample(scene, METRIC_COUNTER, name, "", 1, "2026-10-12T10:00");
    }
    CHECK_NULL(figure_at(scene, "sum(faild)", PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T12:00"),
               NULL_NEVER_SEEN, "metric 'faild' was never seen");
}

static void a_filter_that_matches_nothing_gives_zero(void **state) /* FIG-11 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "signup", "plan=pro;zone=eu", 2, "2026-10-12T10:00");
    sample(scene, METRIC_COUNTER, "signup", "plan=basic", 3, "2026-10-12T10:00");
    sample(scene, METRIC_COUNTER, "signup", "plan=prime", 4, "2026-10-12T10:00");
    static const struct {
        const char *formula;
        double value;
    } CASES[] = {
        {"sum(signup)", 9},
        {"sum(signup{plan=\"pro\"})", 2},
        {"sum(signup{plan!=\"pro\"})", 7},
        {"sum(signup{plan^=\"pr\"})", 6},
        {"sum(signup{plan in [\"pro\", \"basic\"]})", 5},
        {"sum(signup{plan^=\"pr\", zone=\"\"})", 4},
        {"sum(signup{plan=\"gold\"})", 0},
        {"sum(signup{plan=\"pro\"}) + 2 * sum(signup{plan=\"basic\"}) - 1", 7},
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct figure figure =
            figure_at(scene, CASES[i].formula, PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T12:00");
        check_value(&figure, CASES[i].value, CASES[i].formula);
    }
}

static void a_sample_at_the_end_belongs_to_the_next_period(void **state) /* FIG-1 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "signup", "", 1, "2026-10-24T22:00:00Z");
    sample(scene, METRIC_COUNTER, "signup", "", 10, "2026-10-25T22:59:00Z");
    sample(scene, METRIC_COUNTER, "signup", "", 100, "2026-10-25T23:00:00Z");
    struct figure sunday =
        figure_at(scene, "sum(signup)", PERIOD_DAY, "2026-10-25T12:00", "2026-10-27T00:00");
    CHECK_VALUE(sunday, 11);
    struct figure monday =
        figure_at(scene, "sum(signup)", PERIOD_DAY, "2026-10-26T12:00", "2026-10-27T00:00");
    CHECK_VALUE(monday, 100);
}

static void untyped_samples_have_sums_and_levels(void **state) /* FIG-8 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_UNTYPED, "load", "", 1.5, "2026-10-12T10:00");
    sample(scene, METRIC_UNTYPED, "load", "", 2.5, "2026-10-12T11:00");
    static const struct {
        const char *formula;
        double value;
    } CASES[] = {{"sum(load)", 4},   {"last(load)", 2.5}, {"avg(load)", 2},
                 {"min(load)", 1.5}, {"max(load)", 2.5},  {"count(load)", 2}};
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct figure figure =
            figure_at(scene, CASES[i].formula, PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T12:00");
        check_value(&figure, CASES[i].value, CASES[i].formula);
    }
}

static void a_doubtful_kind_is_null(void **state) /* FIG-8 */
{
    struct scene *scene = *state;
    const char *day = "2026-10-12T00:00";
    const char *now = "2026-10-12T12:00";
    sample(scene, METRIC_COUNTER, "signup", "", 1, "2026-10-12T10:00");
    CHECK_NULL(figure_at(scene, "count(signup)", PERIOD_DAY, day, now), NULL_AMBIGUOUS,
               "a counter's total is sum(signup)");
    sample(scene, METRIC_GAUGE, "signup", "", 1, "2026-10-12T10:00");
    CHECK_NULL(figure_at(scene, "sum(signup)", PERIOD_DAY, day, now), NULL_AMBIGUOUS,
               "metric 'signup' is counter and gauge: declare its type");
    declare(scene, "signup", METRIC_COUNTER, NULL);
    struct figure figure = figure_at(scene, "sum(signup)", PERIOD_DAY, day, now);
    CHECK_VALUE(figure, 1);
}

static void samples_weigh_by_their_rate(void **state) /* FIG-20 */
{
    struct scene *scene = *state;
    wall_ms at = berlin(scene, "2026-10-12T10:00");
    struct delta *delta = delta_new();
    uint32_t series = add_series(delta, METRIC_DISTRIBUTION, "wait", "");
    struct delta_cell *cell = delta_add_cell(delta, series, at / MS_PER_MINUTE);
    cell_add_value(&cell->cell, 100, 2 * WEIGHT_ONE, at, 1);
    cell_add_value(&cell->cell, 200, WEIGHT_ONE, at, 2);
    post(scene->store, delta);
    commit(scene->store);
    static const struct {
        const char *formula;
        double value;
    } CASES[] = {
        {"count(wait)", 3},
        {"avg(wait)", 400.0 / 3},
        {"max(wait)", 200},
        {"sum(wait)", 400},
        {"share(wait <= 100)", 2.0 / 3},
        {"share(wait >= 100)", 1},
        {"share(wait >= 200)", 1.0 / 3},
        {"p67(wait)", 200},
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct figure figure =
            figure_at(scene, CASES[i].formula, PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T12:00");
        check_value(&figure, CASES[i].value, CASES[i].formula);
        assert_true(figure.count == 3);
    }
    CHECK_NULL(figure_at(scene, "avg(wait)", PERIOD_DAY, "2026-10-13T00:00", "2026-10-13T12:00"),
               NULL_NO_SAMPLES, "no samples of 'wait'");
}

/* `count` times `value`, a second apart. */
static void samples(struct scene *scene, enum metric_kind kind, const char *metric,
                    const char *labels, double value, int count, const char *at)
{
    struct delta *delta = delta_new();
    uint32_t series = add_series(delta, kind, metric, labels);
    for (int i = 0; i < count; i++)
        add_sample(delta, series, value, berlin(scene, at) + (wall_ms)i * MS_PER_SECOND);
    post(scene->store, delta);
    commit(scene->store);
}

static void check_near(struct figure figure, double expected)
{
    if (figure.is_null)
        fail_msg("null (%s)", figure.detail);
    if (!(fabs(figure.value - expected) <= 0.01 * fabs(expected)))
        fail_msg("%.12g instead of %.12g", figure.value, expected);
}

static void percentiles_go_by_nearest_rank(void **state) /* FIG-19 */
{
    struct scene *scene = *state;
    const char *day = "2026-10-12T00:00";
    const char *now = "2026-10-13T12:00";
    for (int i = 20; i >= 1; i--)
        sample(scene, METRIC_DISTRIBUTION, "wait", i % 2 == 0 ? "host=a" : "host=b", i,
               i % 3 == 0 ? "2026-10-12T10:00" : "2026-10-12T17:30");
    for (int i = 1; i <= 4; i++)
        sample(scene, METRIC_DISTRIBUTION, "small", "", i, "2026-10-12T10:00");
    check_near(figure_at(scene, "p95(wait)", PERIOD_DAY, day, now), 19);
    check_near(figure_at(scene, "p50(wait)", PERIOD_DAY, day, now), 10);
    check_near(figure_at(scene, "p50(small)", PERIOD_DAY, day, now), 2);
    check_near(figure_at(scene, "p99.9(wait)", PERIOD_DAY, day, now), 20);
    assert_true(figure_at(scene, "p99.9(wait)", PERIOD_DAY, day, now).value <= 20);
    CHECK_VALUE(figure_at(scene, "p0.1(wait)", PERIOD_DAY, day, now), 1); /* never below min */
    assert_true(figure_at(scene, "p95(wait)", PERIOD_DAY, day, now).count == 20);
    check_near(figure_at(scene, "p95(wait{host=\"b\"})", PERIOD_DAY, day, now), 19);
    CHECK_VALUE(figure_at(scene, "share(wait <= 5)", PERIOD_DAY, day, now), 0.25);
    CHECK_VALUE(figure_at(scene, "share(wait >= 5)", PERIOD_DAY, day, now), 0.8);
    CHECK_VALUE(figure_at(scene, "share(wait <= 0.5)", PERIOD_DAY, day, now), 0);
    CHECK_VALUE(figure_at(scene, "share(wait >= 20.1)", PERIOD_DAY, day, now), 0);
    for (int i = 0; i < 2; i++) {
        const char *formula = i == 0 ? "p95(wait)" : "share(wait <= 5)"; /* FIG-11 */
        CHECK_NULL(figure_at(scene, formula, PERIOD_DAY, "2026-10-13T00:00", now), NULL_NO_SAMPLES,
                   "no samples of 'wait'");
    }
    /* A week's is not the mean of its days'. */
    samples(scene, METRIC_DISTRIBUTION, "wait", "", 1000, 1, "2026-10-13T10:00");
    check_near(figure_at(scene, "p95(wait)", PERIOD_WEEK, day, now), 20);
}

/* P18: what Prometheus counts up to each bound, of two hosts with other bounds. */
static void classic_histograms_have_percentiles_and_shares(void **state)
{
    struct scene *scene = *state;
    const char *day = "2026-10-12T00:00";
    const char *now = "2026-10-13T12:00";
    static const struct {
        const char *labels;
        double count;
    } counted[] = {
        {"host=a;le=0.1", 20},   {"host=a;le=0.5", 50},   {"host=a;le=1", 90},
        {"host=a;le=+Inf", 100}, {"host=b;le=0.1", 100},  {"host=b;le=0.5", 100},
        {"host=b;le=1", 100},    {"host=b;le=+Inf", 100}, {"host=b;le=what", 7},
    };

    for (size_t i = 0; i < TEST_COUNT(counted); i++)
        sample(scene, METRIC_COUNTER, "took_bucket", counted[i].labels, counted[i].count,
               "2026-10-12T10:00");
    CHECK_VALUE(figure_at(scene, "p50(took{host=\"a\"})", PERIOD_DAY, day, now), 0.5);
    CHECK_VALUE(figure_at(scene, "p70(took{host=\"a\"})", PERIOD_DAY, day, now), 0.75);
    CHECK_VALUE(figure_at(scene, "p10(took{host=\"a\"})", PERIOD_DAY, day, now), 0.05);
    CHECK_VALUE(figure_at(scene, "p99(took{host=\"a\"})", PERIOD_DAY, day, now), 1);
    CHECK_VALUE(figure_at(scene, "p60(took)", PERIOD_DAY, day, now), 0.1);
    CHECK_VALUE(figure_at(scene, "share(took <= 0.5)", PERIOD_DAY, day, now), 0.75);
    assert_true(figure_at(scene, "p50(took)", PERIOD_DAY, day, now).count == 200);
    CHECK_NULL(figure_at(scene, "p50(took)", PERIOD_DAY, "2026-10-13T00:00", now), NULL_NO_SAMPLES,
               "no samples of 'took'");
    assert_true(figure_at(scene, "sum(took)", PERIOD_DAY, day, now).is_null);
    assert_true(figure_at(scene, "p50(took_bucket)", PERIOD_DAY, day, now).is_null);
}

static void percentiles_have_their_metrics_unit(void **state) /* FIG-26 */
{
    struct scene *scene = *state;
    const char *day = "2026-10-12T00:00";
    const char *now = "2026-10-12T12:00";
    declare(scene, "wait", METRIC_DISTRIBUTION, "ms");
    samples(scene, METRIC_DISTRIBUTION, "wait", "", 300, 3, "2026-10-12T10:00");
    sample(scene, METRIC_DISTRIBUTION, "wait", "", 800, "2026-10-12T11:00");
    CHECK_VALUE(figure_at(scene, "p50(wait)", PERIOD_DAY, day, now), 0.3);
    CHECK_VALUE(figure_at(scene, "share(wait <= 0.3s)", PERIOD_DAY, day, now), 0.75);
    CHECK_VALUE(figure_at(scene, "100 * (1 - share(wait <= 300ms))", PERIOD_DAY, day, now), 25);
}

static void declare_answer(struct scene *scene, const char *metric, int64_t low, int64_t high)
{
    struct metric_definition *definition = declare(scene, metric, METRIC_SCORE, NULL);
    definition->has_range = true;
    definition->range_low = low;
    definition->range_high = high;
}

static void scores_are_pooled(void **state) /* FIG-22 */
{
    struct scene *scene = *state;
    const char *at = "2026-10-12T10:00";
    declare_answer(scene, "answer", 0, 10);
    samples(scene, METRIC_SCORE, "answer", "segment=smb", 9, 12, at);
    samples(scene, METRIC_SCORE, "answer", "segment=smb", 10, 13, at);
    samples(scene, METRIC_SCORE, "answer", "segment=smb", 7, 5, at);
    samples(scene, METRIC_SCORE, "answer", "segment=smb", 8, 5, at);
    samples(scene, METRIC_SCORE, "answer", "segment=smb", 0, 2, at);
    samples(scene, METRIC_SCORE, "answer", "segment=smb", 6, 3, at);
    samples(scene, METRIC_SCORE, "answer", "segment=enterprise", 6, 5, at);
    samples(scene, METRIC_SCORE, "answer", "segment=enterprise", 8, 5, at);
    static const struct {
        const char *formula;
        double value;
    } CASES[] = {
        {"nps(answer)", 30},
        {"nps(answer{segment=\"smb\"})", 50},
        {"nps(answer{segment=\"enterprise\"})", -50},
        {"share(answer >= 9)", 0.5},
        {"share(answer >= 10)", 0.26},
        {"share(answer <= 6)", 0.2},
        {"share(answer <= 0)", 0.04},
        {"share(answer >= 0)", 1},
        {"share(answer <= 8.5)", 0.5},
        {"top2box(answer)", 0.5},
        {"p50(answer)", 8},
        {"p51(answer)", 9},
        {"p1(answer)", 0},
        {"count(answer)", 50},
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct figure figure =
            figure_at(scene, CASES[i].formula, PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T12:00");
        check_value(&figure, CASES[i].value, CASES[i].formula);
    }
}

/* Every whole number of the usual ranges has a bucket of its own. */
static void shares_and_percentiles_of_scores_are_exact(void **state) /* FIG-22 */
{
    struct scene *scene = *state;
    char formula[40];
    declare_answer(scene, "mark", -10, 10);
    for (int value = -10; value <= 10; value++)
        samples(scene, METRIC_SCORE, "mark", "", value, 1, "2026-10-12T10:00");
    for (int value = -10; value <= 10; value++) {
        (void)snprintf(formula, sizeof formula, "share(mark <= %d)", value);
        CHECK_VALUE(figure_at(scene, formula, PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T12:00"),
                    (value + 11) / 21.0);
        (void)snprintf(formula, sizeof formula, "share(mark >= %d)", value);
        CHECK_VALUE(figure_at(scene, formula, PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T12:00"),
                    (11 - value) / 21.0);
        (void)snprintf(formula, sizeof formula, "p%.1f(mark)", (value + 10.5) / 21 * 100);
        CHECK_VALUE(figure_at(scene, formula, PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T12:00"),
                    value);
    }
    CHECK_VALUE(
        figure_at(scene, "top2box(mark)", PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T12:00"),
        2 / 21.0);
}

static void what_has_no_distribution_has_no_percentile(void **state) /* FIG-8 */
{
    struct scene *scene = *state;
    const char *day = "2026-10-12T00:00";
    const char *now = "2026-10-12T12:00";
    sample(scene, METRIC_UNTYPED, "load", "", 1.5, "2026-10-12T10:00");
    CHECK_NULL(figure_at(scene, "p95(load)", PERIOD_DAY, day, now), NULL_AMBIGUOUS,
               "'load' is untyped: declare its type, or use sum, count or avg");
    sample(scene, METRIC_SCORE, "stars", "", 4, "2026-10-12T10:00");
    CHECK_NULL(figure_at(scene, "top2box(stars)", PERIOD_DAY, day, now), NULL_AMBIGUOUS,
               "the range of 'stars' is not declared");
}

static void member(struct scene *scene, const char *labels, const char *name, const char *at)
{
    struct delta *delta = delta_new();
    uint32_t series = add_series(delta, METRIC_UNIQUE, "visitor", labels);
    wall_ms time = berlin(scene, at);
    struct delta_cell *cell = delta_add_cell(delta, series, time / MS_PER_MINUTE);
    aggregate_add(&cell->cell.aggregate, 0, WEIGHT_ONE, time, 1);
    cell->cell.distinct = distinct_new();
    distinct_add(cell->cell.distinct, str_of(name));
    post(scene->store, delta);
    commit(scene->store);
}

static void uniques_are_unions(void **state) /* FIG-21 */
{
    struct scene *scene = *state;
    member(scene, "plan=basic", "ann", "2026-10-12T10:00");
    member(scene, "plan=pro", "ann", "2026-10-16T10:00");
    member(scene, "plan=pro", "bo", "2026-10-16T11:00");
    static const struct {
        const char *formula;
        enum period_kind kind;
        const char *at;
        double value;
    } CASES[] = {
        {"uniques(visitor{plan=\"basic\"})", PERIOD_WEEK, "2026-10-12T00:00", 1},
        {"uniques(visitor{plan=\"pro\"})", PERIOD_WEEK, "2026-10-12T00:00", 2},
        {"uniques(visitor)", PERIOD_WEEK, "2026-10-12T00:00", 2},
        {"uniques(visitor)", PERIOD_DAY, "2026-10-12T00:00", 1},
        {"uniques(visitor)", PERIOD_DAY, "2026-10-16T00:00", 2},
        {"uniques(visitor)", PERIOD_DAY, "2026-10-13T00:00", 0},
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct figure figure =
            figure_at(scene, CASES[i].formula, CASES[i].kind, CASES[i].at, "2026-10-18T00:00");
        check_value(&figure, CASES[i].value, CASES[i].formula);
    }
}

static void levels_carry_forward_until_they_are_stale(void **state) /* FIG-13 */
{
    struct scene *scene = *state;
    declare(scene, "mrr", METRIC_GAUGE, "EUR")->stale_after = 36 * (span_ms)MS_PER_HOUR;
    sample(scene, METRIC_GAUGE, "mrr", "", 500, "2026-09-30T06:00");
    struct figure early =
        figure_at(scene, "last(mrr)", PERIOD_MONTH, "2026-10-01T00:00", "2026-10-01T00:30");
    CHECK_VALUE(early, 500);
    assert_false(early.stale);
    assert_true(early.coverage.newest == berlin(scene, "2026-09-30T06:00"));
    CHECK_VALUE(figure_at(scene, "last(mrr)", PERIOD_MONTH, "2026-10-01T00:00", "2026-10-01T17:59"),
                500);
    struct figure late =
        figure_at(scene, "last(mrr)", PERIOD_MONTH, "2026-10-01T00:00", "2026-10-01T18:00");
    CHECK_NULL(late, NULL_STALE, "the last sample of 'mrr' is too old");
    assert_true(late.stale);
    /* September as it closed: at its last instant. */
    struct figure closed =
        figure_at(scene, "last(mrr)", PERIOD_MONTH, "2026-09-10T00:00", "2026-10-20T00:00");
    CHECK_VALUE(closed, 500);
    assert_false(closed.stale);
}

static void undeclared_levels_carry_for_a_period_and_at_least_a_day(void **state) /* FIG-13 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_GAUGE, "stock", "", 7, "2026-06-08T09:00");
    CHECK_VALUE(
        figure_at(scene, "last(stock)", PERIOD_HOUR, "2026-06-09T08:00", "2026-06-09T08:59"), 7);
    CHECK_NULL(figure_at(scene, "last(stock)", PERIOD_HOUR, "2026-06-09T09:00", "2026-06-09T09:00"),
               NULL_STALE, NULL);
    CHECK_VALUE(
        figure_at(scene, "last(stock)", PERIOD_WEEK, "2026-06-15T00:00", "2026-06-15T08:59"), 7);
    CHECK_NULL(figure_at(scene, "last(stock)", PERIOD_WEEK, "2026-06-15T00:00", "2026-06-15T09:00"),
               NULL_STALE, NULL);
}

static void a_level_at_the_end_excludes_the_end_itself(void **state) /* FIG-1 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_GAUGE, "stock", "", 7, "2026-10-12T09:00");
    sample(scene, METRIC_GAUGE, "stock", "", 9, "2026-10-13T00:00");
    CHECK_VALUE(figure_at(scene, "last(stock)", PERIOD_DAY, "2026-10-12T00:00", "2026-10-13T12:00"),
                7);
    CHECK_VALUE(figure_at(scene, "last(stock)", PERIOD_DAY, "2026-10-13T00:00", "2026-10-13T00:00"),
                9); /* now counts */
}

static void a_label_value_that_stops_leaves_at_its_own_time(void **state) /* FIG-14 */
{
    struct scene *scene = *state;
    declare(scene, "mrr", METRIC_GAUGE, "EUR")->stale_after = 36 * (span_ms)MS_PER_HOUR;
    sample(scene, METRIC_GAUGE, "mrr", "plan=legacy", 4100, "2026-09-10T06:00");
    sample(scene, METRIC_GAUGE, "mrr", "plan=pro", 90000, "2026-09-10T06:00");
    sample(scene, METRIC_GAUGE, "mrr", "plan=pro", 90000, "2026-09-11T06:00");
    CHECK_VALUE(figure_at(scene, "last(mrr)", PERIOD_MONTH, "2026-09-01T00:00", "2026-09-11T17:59"),
                94100);
    struct figure left =
        figure_at(scene, "last(mrr)", PERIOD_MONTH, "2026-09-01T00:00", "2026-09-11T18:00");
    CHECK_VALUE(left, 90000);
    assert_string_equal(left.detail,
                        "left: mrr{plan=\"legacy\"}, 4,100 EUR at 2026-09-10T04:00:00Z");
    CHECK_NULL(figure_at(scene, "last(mrr)", PERIOD_MONTH, "2026-09-01T00:00", "2026-09-12T18:00"),
               NULL_STALE, NULL);
}

static void gauges_go_over_labels_first_then_time(void **state) /* FIG-15 */
{
    struct scene *scene = *state;
    const char *now = "2026-10-13T12:00";
    const char *day = "2026-10-12T00:00";
    sample(scene, METRIC_GAUGE, "queue", "host=a", 1, "2026-10-12T00:00");
    sample(scene, METRIC_GAUGE, "queue", "host=a", 9, "2026-10-12T09:00");
    sample(scene, METRIC_GAUGE, "queue", "host=a", 1, "2026-10-12T09:15");
    sample(scene, METRIC_GAUGE, "queue", "host=b", 1, "2026-10-12T00:00");
    sample(scene, METRIC_GAUGE, "queue", "host=b", 9, "2026-10-12T17:00");
    sample(scene, METRIC_GAUGE, "queue", "host=b", 1, "2026-10-12T17:15");
    CHECK_VALUE(figure_at(scene, "max(queue)", PERIOD_DAY, day, now), 10);
    CHECK_VALUE(figure_at(scene, "min(queue)", PERIOD_DAY, day, now), 2);
    CHECK_VALUE(figure_at(scene, "avg(queue)", PERIOD_DAY, day, now), (94 * 2 + 2 * 10) / 96.0);
    sample(scene, METRIC_GAUGE, "one", "", 10, "2026-10-12T00:00");
    sample(scene, METRIC_GAUGE, "one", "", 20, "2026-10-12T23:00");
    CHECK_VALUE(figure_at(scene, "avg(one)", PERIOD_DAY, day, now), (92 * 10 + 4 * 20) / 96.0);
    /* Open: the step that holds now counts, later ones have not come. */
    CHECK_VALUE(figure_at(scene, "avg(one)", PERIOD_DAY, day, "2026-10-12T23:05"),
                (92 * 10 + 20) / 93.0);
    /* An hour goes by minutes, and starts with what was carried into it. */
    CHECK_VALUE(figure_at(scene, "avg(queue{host=\"a\"})", PERIOD_HOUR, "2026-10-12T09:00", now),
                (15 * 9 + 45 * 1) / 60.0);
    CHECK_VALUE(figure_at(scene, "max(queue{host=\"a\"})", PERIOD_HOUR, "2026-10-12T11:00", now),
                1);
    CHECK_NULL(figure_at(scene, "avg(queue{host=\"c\"})", PERIOD_DAY, day, now), NULL_NO_SAMPLES,
               NULL);
}

static void a_step_has_the_own_summary_of_each_series(void **state) /* FIG-15 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_GAUGE, "queue", "", 4, "2026-10-12T09:00:10");
    sample(scene, METRIC_GAUGE, "queue", "", 8, "2026-10-12T09:00:50");
    sample(scene, METRIC_GAUGE, "queue", "", 3, "2026-10-12T09:01:00");
    CHECK_VALUE(figure_at(scene, "avg(queue)", PERIOD_HOUR, "2026-10-12T09:00", "2026-10-12T09:01"),
                (6 + 3) / 2.0);
    CHECK_VALUE(figure_at(scene, "max(queue)", PERIOD_HOUR, "2026-10-12T09:00", "2026-10-12T09:01"),
                8);
    CHECK_VALUE(figure_at(scene, "min(queue)", PERIOD_HOUR, "2026-10-12T09:00", "2026-10-12T09:00"),
                4);
}

static void a_range_that_starts_inside_a_step_is_aligned(void **state) /* FIG-15 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_GAUGE, "queue", "", 4, "2026-10-12T09:05");
    sample(scene, METRIC_GAUGE, "queue", "", 8, "2026-10-12T09:14");
    sample(scene, METRIC_GAUGE, "queue", "", 2, "2026-10-12T09:16");
    struct formula formula = parse(scene, "avg(queue)");
    struct period range = {PERIOD_DAY, berlin(scene, "2026-10-12T09:10"),
                           berlin(scene, "2026-10-12T11:10")};
    struct figure figure =
        figure_of_period(scene, &formula, &range, berlin(scene, "2026-10-13T00:00"));
    /* 09:00 has only the 8 (the 4 is before the range), then eight steps of 2. */
    CHECK_VALUE(figure, (8 + 8 * 2) / 9.0);
}

static void labels_are_added_or_averaged(void **state) /* FIG-16 */
{
    struct scene *scene = *state;
    const char *day = "2026-10-12T00:00";
    const char *now = "2026-10-12T12:00";
    declare(scene, "cpu", METRIC_GAUGE, "%");
    declare(scene, "lag", METRIC_GAUGE, "ms");
    declare(scene, "disk", METRIC_GAUGE, NULL)->over_labels = OVER_LABELS_MAX;
    declare(scene, "room", METRIC_GAUGE, NULL)->over_labels = OVER_LABELS_MIN;
    static const char *const METRICS[] = {"stock", "cpu", "lag", "disk", "room"};
    for (size_t i = 0; i < TEST_COUNT(METRICS); i++) {
        sample(scene, METRIC_GAUGE, METRICS[i], "at=hamburg", 20, "2026-10-12T10:00");
        sample(scene, METRIC_GAUGE, METRICS[i], "at=lyon", 60, "2026-10-12T10:00");
    }
    CHECK_VALUE(figure_at(scene, "last(stock)", PERIOD_DAY, day, now), 80);
    CHECK_VALUE(figure_at(scene, "last(cpu)", PERIOD_DAY, day, now), 0.4);
    CHECK_VALUE(figure_at(scene, "avg(cpu)", PERIOD_DAY, day, now), 0.4);
    CHECK_VALUE(figure_at(scene, "last(lag)", PERIOD_DAY, day, now), 0.04);
    CHECK_VALUE(figure_at(scene, "last(disk)", PERIOD_DAY, day, now), 60);
    CHECK_VALUE(figure_at(scene, "avg(room)", PERIOD_DAY, day, now), 20);
}

static void at_start_is_the_level_at_the_first_instant(void **state) /* FIG-17 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_GAUGE, "subs", "", 500, "2026-10-01T00:00");
    sample(scene, METRIC_GAUGE, "subs", "", 600, "2026-10-02T00:00");
    sample(scene, METRIC_COUNTER, "lost", "", 11, "2026-10-03T00:00");
    struct figure churn = figure_at(scene, "sum(lost) / at_start(subs)", PERIOD_MONTH,
                                    "2026-10-10T00:00", "2026-10-10T00:00");
    CHECK_VALUE(churn, 0.022);
    assert_true(churn.denominator == 500);
    /* Collection began in the period. */
    sample(scene, METRIC_GAUGE, "late", "", 500, "2026-10-03T00:00");
    struct figure late =
        figure_at(scene, "at_start(late)", PERIOD_MONTH, "2026-10-10T00:00", "2026-10-10T00:00");
    CHECK_VALUE(late, 500);
    assert_true(late.partial);
    /* A new label value of an older metric starts at 0. */
    sample(scene, METRIC_GAUGE, "subs", "plan=team", 50, "2026-10-10T00:00");
    CHECK_VALUE(figure_at(scene, "at_start(subs{plan=\"team\"})", PERIOD_MONTH, "2026-10-10T00:00",
                          "2026-10-11T00:00"),
                0);
    CHECK_NULL(figure_at(scene, "sum(lost) / at_start(subs{plan=\"team\"})", PERIOD_MONTH,
                         "2026-10-10T00:00", "2026-10-11T00:00"),
               NULL_DIVISION_BY_ZERO, NULL);
    CHECK_VALUE(
        figure_at(scene, "at_start(subs)", PERIOD_MONTH, "2026-10-10T00:00", "2026-10-11T00:00"),
        500);
}

static void rates_go_by_the_time_that_has_passed(void **state) /* FIG-25 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "requests", "", 7200, "2026-10-12T00:30");
    CHECK_VALUE(
        figure_at(scene, "rate(requests)", PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T02:00"), 1);
    CHECK_VALUE(figure_at(scene, "rate(requests per h)", PERIOD_DAY, "2026-10-12T00:00",
                          "2026-10-12T02:00"),
                3600);
    CHECK_NULL(
        figure_at(scene, "rate(requests)", PERIOD_DAY, "2026-10-13T00:00", "2026-10-13T00:00"),
        NULL_DIVISION_BY_ZERO, NULL);
    sample(scene, METRIC_COUNTER, "requests", "", 90000, "2026-10-25T12:00");
    CHECK_VALUE(
        figure_at(scene, "rate(requests)", PERIOD_DAY, "2026-10-25T12:00", "2026-10-27T00:00"),
        1); /* a day of 25 hours */
}

static void units_convert(void **state) /* FIG-26 */
{
    struct scene *scene = *state;
    declare(scene, "work", METRIC_DISTRIBUTION, "ms");
    sample(scene, METRIC_DISTRIBUTION, "work", "", 46800000, "2026-10-12T10:00");
    sample(scene, METRIC_COUNTER, "pause", "", 2, "2026-10-12T10:00");
    const char *day = "2026-10-12T00:00";
    const char *now = "2026-10-12T12:00";
    CHECK_VALUE(figure_at(scene, "sum(work)", PERIOD_DAY, day, now), 46800);
    /* A metric without unit takes the other's. */
    CHECK_VALUE(figure_at(scene, "sum(work) + sum(pause)", PERIOD_DAY, day, now), 46800.002);
    CHECK_VALUE(figure_at(scene, "sum(work) - 2h", PERIOD_DAY, day, now), 46800 - 7200);

    struct formula formula = parse(scene, "sum(pause)");
    struct unit hours;
    struct error err = ERROR_EMPTY;
    assert_true(unit_parse(STR("h"), &hours));
    assert_true(formula_set_unit(&formula, &hours, &err));
    struct period period = calendar_period(scene->berlin, PERIOD_DAY, berlin(scene, day));
    struct figure figure = figure_of_period(scene, &formula, &period, berlin(scene, now));
    CHECK_VALUE(figure, 7200);
}

static void stale_sources_are_marked(void **state) /* FIG-12 */
{
    struct scene *scene = *state;
    declare(scene, "requests", METRIC_COUNTER, NULL)->stale_after = 15 * MS_PER_MINUTE;
    declare(scene, "refund", METRIC_COUNTER, NULL);
    declared_since(scene, "refund", "2026-10-01T00:00");
    sample(scene, METRIC_COUNTER, "requests", "", 100, "2026-10-12T10:00");
    struct figure fresh =
        figure_at(scene, "sum(requests)", PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T10:14");
    assert_false(fresh.stale);
    struct figure stale = figure_at(scene, "sum(requests) + sum(refund)", PERIOD_DAY,
                                    "2026-10-12T00:00", "2026-10-12T10:16");
    CHECK_VALUE(stale, 100); /* it stands, with its time */
    assert_true(stale.stale);
    assert_true(stale.coverage.newest == berlin(scene, "2026-10-12T10:00"));
    struct figure closed =
        figure_at(scene, "sum(requests)", PERIOD_DAY, "2026-10-12T00:00", "2026-10-14T10:16");
    assert_false(closed.stale);
    struct figure quiet =
        figure_at(scene, "sum(refund)", PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T10:16");
    CHECK_VALUE(quiet, 0);
    assert_false(quiet.stale);
}

/* What a sender of totals says, a point a minute. */
static void totals(struct scene *scene, const char *metric, const double *values, size_t count,
                   const char *from)
{
    for (size_t i = 0; i < count; i++) {
        struct delta *delta = delta_new();
        const wall_ms at = berlin(scene, from) + (wall_ms)i * MS_PER_MINUTE;
        const struct delta_point point = {.series = add_series(delta, METRIC_COUNTER, metric, ""),
                                          .form = POINT_CUMULATIVE,
                                          .at = at,
                                          .start = WALL_NONE,
                                          .arrival = (uint64_t)at,
                                          .value = values[i]};
        delta_add_point(delta, &point);
        post(scene->store, delta);
        commit(scene->store);
    }
}

static void figures_of_two_senders_are_partial(void **state) /* FIG-24 */
{
    static const double two[] = {500, 90, 510, 95, 520, 99, 530, 103};
    static const double one[] = {500, 510, 520, 30, 40, 50, 60, 70};
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "orders", "", 1, "2026-10-01T09:00");
    sample(scene, METRIC_COUNTER, "visits", "", 1, "2026-10-01T09:00");
    totals(scene, "orders", two, TEST_COUNT(two) - 1, "2026-10-12T09:00");
    totals(scene, "visits", one, TEST_COUNT(one), "2026-10-12T09:00");

    struct {
        const char *formula, *at;
        bool mixed;
    } cases[] = {
        {"sum(orders)", "2026-10-12T09:00", true},
        {"rate(orders)", "2026-10-12T09:00", true},
        {"sum(orders{plan=\"pro\"})", "2026-10-12T09:00", true}, /* it is the metric's */
        {"sum(visits) / sum(orders)", "2026-10-12T09:00", true},
        {"sum(orders) / sum(visits)", "2026-10-12T09:00", true},
        {"sum(visits)", "2026-10-12T09:00", false},
        {"sum(orders)", "2026-10-11T09:00", false},
        {"sum(orders)", "2026-10-13T09:00", false},
    };
    for (int drops = 3; drops <= 4; drops++) {
        for (size_t i = 0; i < TEST_COUNT(cases); i++) {
            struct figure figure =
                figure_at(scene, cases[i].formula, PERIOD_DAY, cases[i].at, "2026-10-20T09:00");
            if (figure.coverage.mixed_sources != (drops == 4 && cases[i].mixed) ||
                figure.partial != figure.coverage.mixed_sources)
                fail_msg("'%s' of %s after %d drops", cases[i].formula, cases[i].at, drops);
        }
        totals(scene, "orders", &two[TEST_COUNT(two) - 1], 1, "2026-10-12T09:07");
    }
}

static void what_is_too_large_is_no_value(void **state)
{
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "big", "", 1e308, "2026-10-12T10:00");
    CHECK_NULL(
        figure_at(scene, "sum(big) * 1000", PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T12:00"),
        NULL_TOO_LARGE, NULL);
}

static void what_is_not_built_is_null(void **state)
{
    struct scene *scene = *state;
    CHECK_NULL(
        figure_at(scene, "prev(sum(wait)) + 1", PERIOD_DAY, "2026-10-12T00:00", "2026-10-12T12:00"),
        NULL_NOT_BUILT, "not built yet: prev()");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_ratio_is_the_ratio_of_sums),
        SCENE_TEST(no_value_spreads),
        SCENE_TEST(silence_is_zero_only_for_what_is_known),
        SCENE_TEST(what_has_not_begun_has_no_figure),
        SCENE_TEST(the_earlier_of_sample_and_declaration_counts),
        SCENE_TEST(a_metric_declared_just_now_is_known_from_now_on),
        SCENE_TEST(a_metric_never_seen_is_null_with_its_reason),
        SCENE_TEST(a_typing_error_gets_a_hint),
        SCENE_TEST(a_filter_that_matches_nothing_gives_zero),
        SCENE_TEST(a_sample_at_the_end_belongs_to_the_next_period),
        SCENE_TEST(untyped_samples_have_sums_and_levels),
        SCENE_TEST(a_doubtful_kind_is_null),
        SCENE_TEST(samples_weigh_by_their_rate),
        SCENE_TEST(percentiles_go_by_nearest_rank),
        SCENE_TEST(classic_histograms_have_percentiles_and_shares),
        SCENE_TEST(percentiles_have_their_metrics_unit),
        SCENE_TEST(scores_are_pooled),
        SCENE_TEST(shares_and_percentiles_of_scores_are_exact),
        SCENE_TEST(what_has_no_distribution_has_no_percentile),
        SCENE_TEST(uniques_are_unions),
        SCENE_TEST(levels_carry_forward_until_they_are_stale),
        SCENE_TEST(undeclared_levels_carry_for_a_period_and_at_least_a_day),
        SCENE_TEST(a_level_at_the_end_excludes_the_end_itself),
        SCENE_TEST(a_label_value_that_stops_leaves_at_its_own_time),
        SCENE_TEST(gauges_go_over_labels_first_then_time),
        SCENE_TEST(a_step_has_the_own_summary_of_each_series),
        SCENE_TEST(a_range_that_starts_inside_a_step_is_aligned),
        SCENE_TEST(labels_are_added_or_averaged),
        SCENE_TEST(at_start_is_the_level_at_the_first_instant),
        SCENE_TEST(rates_go_by_the_time_that_has_passed),
        SCENE_TEST(units_convert),
        SCENE_TEST(stale_sources_are_marked),
        SCENE_TEST(figures_of_two_senders_are_partial),
        SCENE_TEST(what_is_too_large_is_no_value),
        SCENE_TEST(what_is_not_built_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
