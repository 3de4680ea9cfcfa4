/* The examples of STA and ALR-2 in figure-rules.md, on figures that are given. */
#include <math.h>

#include "kpi/target.h"
#include "test.h"

static struct calendar *berlin;

static int setup(void **state)
{
    struct error err = ERROR_EMPTY;
    (void)state;
    berlin = calendar_new(STR("Europe/Berlin"), 1, &err);
    return berlin == NULL;
}

static int teardown(void **state)
{
    (void)state;
    calendar_free(berlin);
    return 0;
}

static wall_ms at(const char *text)
{
    wall_ms out = 0;
    if (!calendar_parse(berlin, str_of(text), false, &out))
        fail_msg("'%s' is no time", text);
    return out;
}

/* A KPI with one target of its own period. */
struct judged {
    struct kpi kpi;
    struct target target;
};

static struct judged judged(enum figure_class class, enum target_kind kind, double to,
                            enum period_kind every)
{
    struct judged out = {
        .kpi = {.id = "k",
                .calendar = berlin,
                .period = every,
                .settle = 5 * MS_PER_MINUTE,
                .min_denominator = 1,
                .min_count = 1},
        .target = {
            .id = "k", .kind = kind, .to = to, .every = every, .on_track = 0.95, .at_risk = 0.75}};
    out.kpi.formula.class = class;
    out.kpi.formula.is_count = class == FIGURE_TOTAL;
    return out;
}

static struct figure figure_of(double value)
{
    struct figure figure = {.denominator = NAN, .count = NAN, .coverage = COVERAGE_EMPTY};
    figure.is_null = isnan(value);
    figure.value = figure.is_null ? 0 : value;
    return figure;
}

static struct target_status judge(const struct judged *judged, double value, const char *now)
{
    struct target_status status = {.target = &judged->target};
    struct target_period open = {calendar_period(berlin, judged->target.every, at(now)),
                                 figure_of(value)};
    target_judge_open(&judged->kpi, &open, at(now), &status);
    return status;
}

#define CHECK_CODE(status, expected)                                                               \
    assert_string_equal(kpi_status_name((status).code), kpi_status_name(expected))

static void weights_go_by_civil_time(void **state) /* STA-13 */
{
    static const struct {
        enum period_kind kind;
        const char *now;
        double weight;
    } CASES[] = {
        {PERIOD_MONTH, "2026-09-01T00:00", 0},
        {PERIOD_MONTH, "2026-09-07T12:00", 6.5 / 30},
        {PERIOD_DAY, "2026-10-12T12:00", 0.5},
        {PERIOD_DAY, "2026-10-25T12:00", 0.5}, /* 25 hours long: noon is the middle all the same */
        {PERIOD_DAY, "2026-03-29T12:00", 0.5}, /* 23 hours */
        {PERIOD_WEEK, "2026-10-21T00:00", 2 / 7.0},
        {PERIOD_HOUR, "2026-10-25T00:30:00Z", 0.5},  /* the first 02:00 to 03:00 */
        {PERIOD_HOUR, "2026-10-25T01:15:00Z", 0.25}, /* the second */
        {PERIOD_MINUTE, "2026-10-12T12:00:30", 0.5},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct period period = calendar_period(berlin, CASES[i].kind, at(CASES[i].now));
        double weight = target_path_weight(berlin, &period, at(CASES[i].now));
        if (fabs(weight - CASES[i].weight) > 1e-12)
            fail_msg("%s: %.12g", CASES[i].now, weight);
        assert_true(target_path_weight(berlin, &period, period.to) == 1);
        assert_true(target_path_weight(berlin, &period, period.from) == 0);
    }
}

static void standing_targets_have_a_tolerance(void **state) /* STA-5 */
{
    static const struct {
        enum target_kind kind;
        double to;
        double tolerance;
        double value;
        enum kpi_status_code code;
    } CASES[] = {
        {TARGET_AT_MOST, 0.02, 0.001, 0.019, KPI_ON_TRACK},
        {TARGET_AT_MOST, 0.02, 0.001, 0.0205, KPI_AT_RISK},
        {TARGET_AT_MOST, 0.02, 0.001, 0.022, KPI_BEHIND},
        {TARGET_AT_LEAST, 0.999, 0.00005, 0.99897, KPI_AT_RISK},
        {TARGET_AT_LEAST, 0.999, 0.00005, 0.9980, KPI_BEHIND},
        {TARGET_AT_LEAST, 0.999, 0.00005, 0.999, KPI_ON_TRACK},
        {TARGET_AT_MOST, 36000, 1800, 10.4 * 3600, KPI_AT_RISK},
        {TARGET_AT_MOST, 0.02, 0.001, 0.021, KPI_AT_RISK}, /* the edge is within */
        {TARGET_AT_LEAST, 0.999, 0.00005, 0.99895, KPI_AT_RISK},
        {TARGET_AT_MOST, 36000, 1800, 37800, KPI_AT_RISK},
        {TARGET_AT_MOST, 36000, 1800, 37801, KPI_BEHIND},
        {TARGET_AT_LEAST, -10, 0.5, -10.4, KPI_AT_RISK}, /* NPS -10 */
        {TARGET_AT_LEAST, -10, 0.5, -10.6, KPI_BEHIND},
        {TARGET_AT_MOST, 0.02, 0.001, NAN, KPI_NO_DATA},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        for (int level = 0; level < 2; level++) {
            struct judged judged_by = judged(level == 0 ? FIGURE_LEVEL : FIGURE_MEAN, CASES[i].kind,
                                             CASES[i].to, PERIOD_MONTH);
            judged_by.target.tolerance = CASES[i].tolerance;
            struct target_status status = judge(&judged_by, CASES[i].value, "2026-10-02T00:00");
            CHECK_CODE(status, CASES[i].code);
            assert_true(isnan(status.expected) && isnan(status.pace));
        }
    }
}

static void totals_are_paced(void **state) /* STA-6, STA-14 */
{
    static const struct {
        double to;
        enum period_kind every;
        double value;
        const char *now;
        double expected;
        enum kpi_status_code code;
    } CASES[] = {
        {220, PERIOD_MONTH, 40, "2026-09-07T00:00", 44, KPI_AT_RISK},
        {220, PERIOD_MONTH, 42, "2026-09-07T00:00", 44, KPI_ON_TRACK}, /* 0.9545 */
        {220, PERIOD_MONTH, 32, "2026-09-07T00:00", 44, KPI_BEHIND},
        {220, PERIOD_MONTH, 0, "2026-09-06T23:59:59", NAN, KPI_TOO_EARLY},
        {220, PERIOD_MONTH, 220, "2026-09-02T00:00", NAN, KPI_EXCEEDING},
        {3, PERIOD_MONTH, 0, "2026-09-11T00:00", 1, KPI_AT_RISK},
        {3, PERIOD_MONTH, 0, "2026-09-21T00:00", 2, KPI_BEHIND},
        {3, PERIOD_MONTH, 0, "2026-09-10T12:00", NAN, KPI_ON_TRACK}, /* a shortfall under 1 */
        {100, PERIOD_DAY, 2, "2026-10-12T03:00", 12.5, KPI_TOO_EARLY},
        {100, PERIOD_DAY, 2, "2026-10-12T23:59", NAN, KPI_TOO_EARLY},
        {100, PERIOD_DAY, 100, "2026-10-12T03:00", 12.5, KPI_EXCEEDING},
        {100, PERIOD_YEAR, 0, "2026-01-14T23:59", NAN, KPI_TOO_EARLY}, /* at most 14 days */
        {100, PERIOD_YEAR, 0, "2026-01-15T00:00", NAN, KPI_BEHIND},
        {100, PERIOD_WEEK, 20, "2026-10-20T09:00", NAN, KPI_TOO_EARLY}, /* 33 h of 33.6 */
        {100, PERIOD_WEEK, 20, "2026-10-20T09:36", 20, KPI_ON_TRACK},
        {100, PERIOD_WEEK, NAN, "2026-10-20T09:36", 20, KPI_NO_DATA},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct judged judged_by =
            judged(FIGURE_TOTAL, TARGET_AT_LEAST, CASES[i].to, CASES[i].every);
        struct target_status status = judge(&judged_by, CASES[i].value, CASES[i].now);
        if (status.code != CASES[i].code)
            fail_msg("%s, %g of %g: %s", CASES[i].now, CASES[i].value, CASES[i].to,
                     kpi_status_name(status.code));
        if (!isnan(CASES[i].expected))
            assert_true(fabs(status.expected - CASES[i].expected) < 1e-9);
    }
    struct judged money = judged(FIGURE_TOTAL, TARGET_AT_LEAST, 3, PERIOD_MONTH);
    money.kpi.formula.is_count = false;
    struct target_status status = judge(&money, 0, "2026-09-10T12:00");
    CHECK_CODE(status, KPI_BEHIND);
    status = judge(&money, 0.8, "2026-09-11T00:00");
    assert_true(fabs(status.pace - 0.8) < 1e-12);
    CHECK_CODE(status, KPI_AT_RISK);
}

static void limits_on_totals_are_used_up(void **state) /* STA-7 */
{
    static const struct {
        double value;
        const char *now;
        enum kpi_status_code code;
    } CASES[] = {
        {4, "2026-10-12T12:00", KPI_ON_TRACK}, {6, "2026-10-12T12:00", KPI_AT_RISK},
        {10, "2026-10-12T20:00", KPI_AT_RISK}, {11, "2026-10-12T20:00", KPI_BEHIND},
        {1, "2026-10-12T00:05", KPI_ON_TRACK}, {6, "2026-10-12T15:00", KPI_ON_TRACK},
        {0, "2026-10-12T00:00", KPI_ON_TRACK},
    };
    (void)state;
    struct judged judged_by = judged(FIGURE_TOTAL, TARGET_AT_MOST, 10, PERIOD_DAY);
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct target_status status = judge(&judged_by, CASES[i].value, CASES[i].now);
        if (status.code != CASES[i].code)
            fail_msg("%g at %s: %s", CASES[i].value, CASES[i].now, kpi_status_name(status.code));
    }
    judged_by.target.to = 0;
    struct target_status none = judge(&judged_by, 0, "2026-10-12T12:00");
    CHECK_CODE(none, KPI_ON_TRACK);
}

static void tiny_bases_are_insufficient(void **state) /* STA-4 */
{
    (void)state;
    struct judged judged_by = judged(FIGURE_MEAN, TARGET_AT_MOST, 0.1, PERIOD_MONTH);
    struct target_status status = {.target = &judged_by.target};
    wall_ms now = at("2026-10-12T00:00");
    struct target_period open = {calendar_period(berlin, PERIOD_MONTH, now), figure_of(0.15)};
    open.figure.denominator = 20;
    judged_by.kpi.min_denominator = 30;
    target_judge_open(&judged_by.kpi, &open, now, &status);
    CHECK_CODE(status, KPI_INSUFFICIENT);
    open.figure.denominator = 30;
    target_judge_open(&judged_by.kpi, &open, now, &status);
    CHECK_CODE(status, KPI_BEHIND);
    open.figure.denominator = 12;
    judged_by.kpi.min_denominator = 10; /* cac: money over 12 customers */
    target_judge_open(&judged_by.kpi, &open, now, &status);
    CHECK_CODE(status, KPI_BEHIND);
    open.figure.denominator = NAN;
    open.figure.count = 19;
    judged_by.kpi.min_count = 20;
    target_judge_open(&judged_by.kpi, &open, now, &status);
    CHECK_CODE(status, KPI_INSUFFICIENT);
    open.figure.stale = true; /* STA-1: no_data comes first */
    target_judge_open(&judged_by.kpi, &open, now, &status);
    CHECK_CODE(status, KPI_NO_DATA);
}

static void verdicts_wait_until_the_period_has_settled(void **state) /* STA-15, FIG-29 */
{
    static const struct {
        bool strict;
        double value;
        const char *now;
        enum kpi_status_code code;
    } CASES[] = {
        {false, 0.02, "2026-11-01T00:04:59", KPI_SETTLING},
        {false, 0.02, "2026-11-01T00:05", KPI_HIT},
        {true, 0.02, "2026-11-01T00:05", KPI_MISSED},
        {false, 0.021, "2026-11-01T00:05", KPI_MISSED},
        {false, NAN, "2026-11-01T00:01", KPI_NO_DATA},
    };
    (void)state;
    struct judged judged_by = judged(FIGURE_MEAN, TARGET_AT_MOST, 0.02, PERIOD_MONTH);
    struct target_period october = {calendar_period(berlin, PERIOD_MONTH, at("2026-10-05T00:00")),
                                    figure_of(0)};
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        judged_by.target.strict = CASES[i].strict;
        october.figure = figure_of(CASES[i].value);
        assert_string_equal(kpi_status_name(target_judge_closed(&judged_by.kpi, &judged_by.target,
                                                                &october, at(CASES[i].now))),
                            kpi_status_name(CASES[i].code));
    }
    /* Whole days are civil: a settle of 14 days from 15 Oct ends at midnight after the DST end. */
    judged_by.kpi.settle = 14 * (span_ms)MS_PER_DAY;
    assert_true(target_settled_at(&judged_by.kpi, at("2026-10-15T00:00")) ==
                at("2026-10-29T00:00"));
    assert_true(target_settled_at(&judged_by.kpi, at("2026-11-01T00:00")) ==
                at("2026-11-15T00:00"));
}

static struct target_status breach(const struct judged *judged, double last, double open,
                                   const char *now)
{
    struct target_status status = {.target = &judged->target};
    struct period period = calendar_period(berlin, judged->target.every, at(now));
    struct target_period open_period = {period, figure_of(open)};
    struct target_period last_period = {calendar_previous(berlin, &period), figure_of(last)};
    target_judge_open(&judged->kpi, &open_period, at(now), &status);
    target_judge_breach(&judged->kpi, &open_period, &last_period, at(now), &status);
    return status;
}

static void a_daily_minimum_is_breached_by_the_day_that_ended(void **state) /* ALR-2 */
{
    static const struct {
        double last;
        double open;
        const char *now;
        enum truth breached;
        bool judges_last;
    } CASES[] = {
        {83, 0, "2026-10-13T00:01", TRUTH_UNKNOWN, true}, /* nothing pages at 00:01 */
        {83, 0, "2026-10-13T00:04:59", TRUTH_UNKNOWN, true},
        {83, 0, "2026-10-13T00:05", TRUTH_TRUE, true}, /* 83 of 100 on 12 Oct */
        {83, 99, "2026-10-13T18:00", TRUTH_TRUE, true},
        {83, 100, "2026-10-13T18:00", TRUTH_FALSE, false}, /* today reached it */
        {83, 100, "2026-10-13T00:01", TRUTH_FALSE, false},
        {100, 0, "2026-10-13T00:01", TRUTH_FALSE, true},
        {NAN, 0, "2026-10-13T12:00", TRUTH_UNKNOWN, true},
        {83, NAN, "2026-10-13T12:00", TRUTH_TRUE, true},
    };
    (void)state;
    struct judged judged_by = judged(FIGURE_TOTAL, TARGET_AT_LEAST, 100, PERIOD_DAY);
    assert_true(target_waits_for_end(&judged_by.kpi, &judged_by.target));
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct target_status status =
            breach(&judged_by, CASES[i].last, CASES[i].open, CASES[i].now);
        if (status.breached != CASES[i].breached)
            fail_msg("case %zu: %d", i, (int)status.breached);
        assert_true(status.judged.from ==
                    at(CASES[i].judges_last ? "2026-10-12T00:00" : "2026-10-13T00:00"));
        if (!status.judged_figure.is_null)
            assert_true(status.judged_figure.value ==
                        (CASES[i].judges_last ? CASES[i].last : CASES[i].open));
    }
}

static void a_longer_minimum_is_breached_when_it_is_behind(void **state) /* ALR-2 */
{
    static const struct {
        double value;
        const char *now;
        enum truth breached;
    } CASES[] = {
        {3, "2026-10-04T12:00", TRUTH_FALSE}, /* too early */
        {3, "2026-10-08T17:59", TRUTH_FALSE}, /* a shortfall under 2 */
        {3, "2026-10-08T18:00", TRUTH_TRUE},      {20, "2026-10-20T00:00", TRUTH_FALSE},
        {NAN, "2026-10-20T00:00", TRUTH_UNKNOWN},
    };
    (void)state;
    struct judged judged_by = judged(FIGURE_TOTAL, TARGET_AT_LEAST, 20, PERIOD_MONTH);
    assert_false(target_waits_for_end(&judged_by.kpi, &judged_by.target));
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct target_status status = breach(&judged_by, 0, CASES[i].value, CASES[i].now);
        if (status.breached != CASES[i].breached)
            fail_msg("%s: %d, expected %g", CASES[i].now, (int)status.breached, status.expected);
    }
}

static void a_limit_is_breached_when_it_is_passed(void **state) /* ALR-2 */
{
    (void)state;
    struct judged judged_by = judged(FIGURE_TOTAL, TARGET_AT_MOST, 10, PERIOD_DAY);
    assert_int_equal(breach(&judged_by, 99, 10, "2026-10-12T12:00").breached, TRUTH_FALSE);
    assert_int_equal(breach(&judged_by, 0, 11, "2026-10-12T00:01").breached, TRUTH_TRUE);
    assert_int_equal(breach(&judged_by, 0, NAN, "2026-10-12T00:01").breached, TRUTH_UNKNOWN);
    judged_by.target.strict = true;
    assert_int_equal(breach(&judged_by, 0, 10, "2026-10-12T00:01").breached, TRUTH_TRUE);
}

static void levels_and_means_are_breached_when_not_met_now(void **state) /* ALR-2 */
{
    (void)state;
    struct judged judged_by = judged(FIGURE_MEAN, TARGET_AT_MOST, 0.02, PERIOD_MONTH);
    judged_by.target.tolerance = 0.001;
    assert_int_equal(breach(&judged_by, 0, 0.02, "2026-10-12T12:00").breached, TRUTH_FALSE);
    assert_int_equal(breach(&judged_by, 0, 0.0205, "2026-10-12T12:00").breached, TRUTH_TRUE);
    assert_int_equal(breach(&judged_by, 0, NAN, "2026-10-12T12:00").breached, TRUTH_UNKNOWN);
    judged_by.kpi.formula.class = FIGURE_LEVEL;
    judged_by.target.kind = TARGET_AT_LEAST;
    assert_int_equal(breach(&judged_by, 0, 0.019, "2026-10-12T12:00").breached, TRUTH_TRUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_go_by_civil_time),
        cmocka_unit_test(standing_targets_have_a_tolerance),
        cmocka_unit_test(totals_are_paced),
        cmocka_unit_test(limits_on_totals_are_used_up),
        cmocka_unit_test(tiny_bases_are_insufficient),
        cmocka_unit_test(verdicts_wait_until_the_period_has_settled),
        cmocka_unit_test(a_daily_minimum_is_breached_by_the_day_that_ended),
        cmocka_unit_test(a_longer_minimum_is_breached_when_it_is_behind),
        cmocka_unit_test(a_limit_is_breached_when_it_is_passed),
        cmocka_unit_test(levels_and_means_are_breached_when_not_met_now),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
