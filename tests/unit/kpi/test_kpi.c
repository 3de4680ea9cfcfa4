/* From samples in a real store to the status of a KPI and its JSON. */
/* jansson's constant of that name is not needed here, and base/json.h has one of its own. */
#include <jansson.h>

#include "base/json.h"
#include "kpi_fixture.h"

struct defined {
    struct kpi kpi;
    struct target targets[2];
};

/* A KPI without targets; add_target gives it some. */
static struct defined define(struct scene *scene, const char *value, const char *unit,
                             enum period_kind period)
{
    struct defined out;
    struct error err = ERROR_EMPTY;
    memset(&out, 0, sizeof out);
    out.kpi.id = "k";
    out.kpi.title = "The KPI";
    out.kpi.formula = parse(scene, value);
    assert_true(unit_parse(str_of(unit), &out.kpi.unit));
    if (!formula_set_unit(&out.kpi.formula, &out.kpi.unit, &err))
        fail_msg("%s", err.text);
    out.kpi.period = period;
    out.kpi.calendar = scene->berlin;
    out.kpi.state = KPI_STATE_ACTIVE;
    out.kpi.settle = 5 * MS_PER_MINUTE;
    out.kpi.min_denominator = out.kpi.formula.min_denominator;
    out.kpi.min_count = out.kpi.formula.min_count;
    return out;
}

static struct target *add_target(struct defined *defined, enum target_kind kind, const char *to,
                                 enum period_kind every)
{
    struct error err = ERROR_EMPTY;
    bool relative = false;
    struct target *target = &defined->targets[defined->kpi.target_count++];
    *target = (struct target){.id = defined->kpi.target_count == 1 ? "k" : "k-2",
                              .kind = kind,
                              .every = every,
                              .on_track = 0.95,
                              .at_risk = 0.75};
    if (!unit_parse_number(str_of(to), &defined->kpi.unit, &target->to, &relative, &err))
        fail_msg("%s", err.text);
    target->tolerance = 0.05 * target->to;
    return target;
}

static struct kpi_status evaluate(struct scene *scene, struct defined *defined, const char *now)
{
    struct kpi_status status;
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_begin(scene->store);
    struct kpi_inputs inputs = {txn, berlin(scene, now), &scene->metrics};
    defined->kpi.targets = defined->targets;
    if (!kpi_evaluate(&defined->kpi, &inputs, &scene->arena, &status, &err))
        fail_msg("%s", err.text);
    read_txn_end(txn);
    return status;
}

#define CHECK_CODE(code, expected)                                                                 \
    assert_string_equal(kpi_status_name(code), kpi_status_name(expected))

static void statuses_come_in_one_order(void **state) /* STA-1 */
{
    struct scene *scene = *state;
    const char *now = "2026-10-12T12:00";
    struct defined plain = define(scene, "sum(trial)", "", PERIOD_MONTH);
    struct kpi_status status = evaluate(scene, &plain, now);
    CHECK_CODE(status.code, KPI_NO_TARGET); /* though it was never seen */
    assert_null(status.reason);
    assert_null(status.shown);

    struct defined ratio = define(scene, "sum(won) / sum(trial)", "%", PERIOD_MONTH);
    (void)add_target(&ratio, TARGET_AT_LEAST, "10", PERIOD_MONTH);
    status = evaluate(scene, &ratio, now);
    CHECK_CODE(status.code, KPI_NO_DATA);
    assert_string_equal(status.reason, "metric 'won' was never seen");

    sample(scene, METRIC_COUNTER, "won", "", 3, "2026-10-02T00:00");
    sample(scene, METRIC_COUNTER, "trial", "", 20, "2026-10-02T00:00");
    status = evaluate(scene, &ratio, now);
    CHECK_CODE(status.code, KPI_INSUFFICIENT);
    assert_string_equal(status.reason, "a base of 20, but 30 are needed");
    assert_int_equal(status.shown->breached, TRUTH_UNKNOWN);

    sample(scene, METRIC_COUNTER, "trial", "", 10, "2026-10-03T00:00");
    status = evaluate(scene, &ratio, now);
    CHECK_CODE(status.code, KPI_ON_TRACK);
    assert_true(status.restarts);

    ratio.kpi.state = KPI_STATE_PAUSED;
    status = evaluate(scene, &ratio, now);
    CHECK_CODE(status.code, KPI_PAUSED);
    assert_int_equal(status.shown->breached, TRUTH_UNKNOWN);
    ratio.kpi.draft_reason = "not built yet: window";
    status = evaluate(scene, &ratio, now);
    CHECK_CODE(status.code, KPI_DRAFT);
    assert_string_equal(status.reason, "not built yet: window");
}

static void a_formula_that_is_not_built_makes_a_draft(void **state)
{
    struct scene *scene = *state;
    struct defined wait = define(scene, "prev(avg(wait))", "ms", PERIOD_DAY);
    (void)add_target(&wait, TARGET_AT_MOST, "800", PERIOD_DAY);
    struct kpi_status status = evaluate(scene, &wait, "2026-10-12T12:00");
    CHECK_CODE(status.code, KPI_DRAFT);
    assert_string_equal(status.reason, "not built yet: prev()");
    check_null(&status.figure, NULL_NOT_BUILT, NULL);
    CHECK_CODE(status.last_code, KPI_DRAFT);
}

static void a_target_that_is_not_built_is_a_draft_alone(void **state)
{
    struct scene *scene = *state;
    sample(scene, METRIC_GAUGE, "mrr", "", 100, "2026-10-12T11:00");
    struct defined mrr = define(scene, "last(mrr)", "EUR", PERIOD_DAY);
    add_target(&mrr, TARGET_AT_LEAST, "50", PERIOD_DAY)->not_built = "not built yet: by";
    struct kpi_status status = evaluate(scene, &mrr, "2026-10-12T12:00");
    CHECK_CODE(status.code, KPI_DRAFT);
    assert_string_equal(status.reason, "not built yet: by");
    (void)add_target(&mrr, TARGET_AT_LEAST, "80", PERIOD_DAY);
    status = evaluate(scene, &mrr, "2026-10-12T12:00");
    CHECK_CODE(status.code, KPI_ON_TRACK);
    assert_string_equal(status.shown->target->id, "k-2");
    assert_false(status.restarts);
    mrr.targets[0].retired = true;
    mrr.targets[1].retired = true;
    status = evaluate(scene, &mrr, "2026-10-12T12:00");
    CHECK_CODE(status.code, KPI_NO_TARGET);
    assert_int_equal(status.target_count, 0);
}

static void the_worst_target_is_shown(void **state) /* STA-2 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "signup", "", 1, "2026-01-01T00:00");
    sample(scene, METRIC_COUNTER, "signup", "", 20, "2026-10-02T00:00");
    struct defined signups = define(scene, "sum(signup)", "", PERIOD_MONTH);
    (void)add_target(&signups, TARGET_AT_LEAST, "20", PERIOD_MONTH);
    (void)add_target(&signups, TARGET_AT_LEAST, "1000", PERIOD_YEAR);
    struct kpi_status status = evaluate(scene, &signups, "2026-10-12T12:00");
    CHECK_CODE(status.targets[0].code, KPI_EXCEEDING);
    CHECK_CODE(status.targets[1].code, KPI_BEHIND);
    CHECK_CODE(status.code, KPI_BEHIND);
    assert_string_equal(status.shown->target->id, "k-2");
    check_value(&status.figure, 20, "the figure is the month's");
    check_value(&status.targets[1].judged_figure, 21, "the year's target judges the year");
    assert_int_equal(status.last.kind, PERIOD_YEAR);
    /* Ties go to the nearest deadline. */
    signups.targets[1].to = 21;
    status = evaluate(scene, &signups, "2026-10-12T12:00");
    assert_string_equal(status.shown->target->id, "k");
}

static void a_day_is_judged_when_it_has_settled(void **state) /* ALR-2, STA-15 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "signup", "", 83, "2026-10-12T10:00");
    struct defined signups = define(scene, "sum(signup)", "", PERIOD_DAY);
    (void)add_target(&signups, TARGET_AT_LEAST, "100", PERIOD_DAY);

    struct kpi_status status = evaluate(scene, &signups, "2026-10-12T23:59");
    CHECK_CODE(status.code, KPI_TOO_EARLY);
    assert_int_equal(status.shown->breached, TRUTH_UNKNOWN); /* no day before it is known */
    CHECK_CODE(status.last_code, KPI_NO_DATA);

    status = evaluate(scene, &signups, "2026-10-13T00:01");
    assert_int_equal(status.shown->breached, TRUTH_UNKNOWN);
    CHECK_CODE(status.last_code, KPI_SETTLING);

    status = evaluate(scene, &signups, "2026-10-13T00:05");
    assert_int_equal(status.shown->breached, TRUTH_TRUE);
    check_value(&status.shown->judged_figure, 83, "83 of 100 on 12 Oct");
    assert_true(status.shown->judged.from == berlin(scene, "2026-10-12T00:00"));
    CHECK_CODE(status.last_code, KPI_MISSED);
    CHECK_CODE(status.code, KPI_TOO_EARLY);
    check_value(&status.figure, 0, "today");

    sample(scene, METRIC_COUNTER, "signup", "", 100, "2026-10-13T09:00");
    status = evaluate(scene, &signups, "2026-10-13T09:30");
    assert_int_equal(status.shown->breached, TRUTH_FALSE);
    CHECK_CODE(status.code, KPI_EXCEEDING);
    status = evaluate(scene, &signups, "2026-10-14T00:05");
    assert_int_equal(status.shown->breached, TRUTH_FALSE);
    CHECK_CODE(status.last_code, KPI_HIT);
}

/* Days of 23 and 25 hours, a leap February, weeks from Sunday: figure, span and verdict follow. */
static void periods_follow_the_calendar_of_the_kpi(void **state) /* FIG-1 */
{
    static const struct {
        enum period_kind kind;
        int week_start;
        const char *first; /* the first minute of the period, and the last one */
        const char *last;
        const char *settled; /* when it is judged: five minutes after its end */
        int hours;
    } CASES[] = {
        {PERIOD_DAY, 1, "2026-03-29T00:00", "2026-03-29T23:59", "2026-03-30T00:05", 23},
        {PERIOD_DAY, 1, "2026-10-25T00:00", "2026-10-25T23:59", "2026-10-26T00:05", 25},
        {PERIOD_WEEK, 1, "2026-10-19T00:00", "2026-10-25T23:59", "2026-10-26T00:05", 7 * 24 + 1},
        {PERIOD_WEEK, 7, "2026-10-25T00:00", "2026-10-31T23:59", "2026-11-01T00:05", 7 * 24 + 1},
        {PERIOD_WEEK, 7, "2026-03-22T00:00", "2026-03-28T23:59", "2026-03-29T00:05", 7 * 24},
        {PERIOD_MONTH, 1, "2027-02-01T00:00", "2027-02-28T23:59", "2027-03-01T00:05", 28 * 24},
        {PERIOD_MONTH, 1, "2028-02-01T00:00", "2028-02-29T23:59", "2028-03-01T00:05", 29 * 24},
        {PERIOD_MONTH, 1, "2026-10-01T00:00", "2026-10-31T23:59", "2026-11-01T00:05", 31 * 24 + 1},
        {PERIOD_YEAR, 1, "2028-01-01T00:00", "2028-12-31T23:59", "2029-01-01T00:05", 366 * 24},
    };
    struct scene *scene = *state;
    struct error err = ERROR_EMPTY;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        char name[16];
        char formula[32];
        (void)snprintf(name, sizeof name, "signup%zu", i);
        (void)snprintf(formula, sizeof formula, "sum(%s)", name);
        struct calendar *calendar = calendar_new(STR("Europe/Berlin"), CASES[i].week_start, &err);
        sample(scene, METRIC_COUNTER, name, "", 1, "2020-01-01T00:00");
        sample(scene, METRIC_COUNTER, name, "", 10, CASES[i].first);
        sample(scene, METRIC_COUNTER, name, "", 20, CASES[i].last);
        post(scene->store, one_sample(METRIC_COUNTER, name, "", 400,
                                      berlin(scene, CASES[i].first) - MS_PER_MINUTE));
        post(scene->store, one_sample(METRIC_COUNTER, name, "", 8000,
                                      berlin(scene, CASES[i].last) + MS_PER_MINUTE));
        commit(scene->store);
        struct defined signups = define(scene, formula, "", CASES[i].kind);
        signups.kpi.calendar = calendar;
        (void)add_target(&signups, TARGET_AT_LEAST, "30", CASES[i].kind);
        struct kpi_status status = evaluate(scene, &signups, CASES[i].last);
        check_value(&status.figure, 30, CASES[i].first);
        assert_true(status.period.from == berlin(scene, CASES[i].first));
        assert_int_equal(status.period.to - status.period.from,
                         CASES[i].hours * (span_ms)MS_PER_HOUR);
        CHECK_CODE(status.code, KPI_EXCEEDING);
        status = evaluate(scene, &signups, CASES[i].settled);
        check_value(&status.last_figure, 30, CASES[i].settled);
        CHECK_CODE(status.last_code, KPI_HIT);
        signups.targets[0].to = 31;
        status = evaluate(scene, &signups, CASES[i].settled);
        CHECK_CODE(status.last_code, KPI_MISSED);
        calendar_free(calendar);
    }
}

/* A clock that is wrong must not make up figures: what it shows is what is judged. */
static void a_clock_that_jumps_is_judged_by_what_it_shows(void **state)
{
    struct scene *scene = *state;
    declare(scene, "queue", METRIC_GAUGE, NULL)->stale_after = MS_PER_HOUR;
    sample(scene, METRIC_GAUGE, "queue", "", 5, "2026-10-12T09:50");
    sample(scene, METRIC_GAUGE, "queue", "", 25, "2026-10-12T10:00");
    struct defined queue = define(scene, "last(queue)", "", PERIOD_DAY);
    (void)add_target(&queue, TARGET_AT_MOST, "10", PERIOD_DAY);
    static const struct {
        const char *now;
        enum truth breached;
    } CASES[] = {
        {"2026-10-12T10:01", TRUTH_TRUE},
        {"2026-10-12T09:55", TRUTH_FALSE},   /* back, before the newest sample */
        {"2026-10-12T08:00", TRUTH_UNKNOWN}, /* before all of them */
        {"2020-01-01T00:00", TRUTH_UNKNOWN},
        {"2031-01-01T00:00", TRUTH_UNKNOWN}, /* ahead: nothing is fresh */
        {"2026-10-12T10:02", TRUTH_TRUE},    /* and right again */
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct kpi_status status = evaluate(scene, &queue, CASES[i].now);
        if (status.shown->breached != CASES[i].breached)
            fail_msg("%s: %d", CASES[i].now, (int)status.shown->breached);
    }
}

/* A minute ends five times before it has settled. */
static void short_periods_are_judged_when_they_have_settled(void **state) /* ALR-2, FIG-29 */
{
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "beat", "", 3, "2026-10-12T10:00");
    sample(scene, METRIC_COUNTER, "beat", "", 1, "2026-10-12T10:01");
    struct defined beats = define(scene, "sum(beat)", "", PERIOD_MINUTE);
    (void)add_target(&beats, TARGET_AT_LEAST, "3", PERIOD_MINUTE);
    static const struct {
        const char *now;
        enum truth breached;
        const char *judged;
    } CASES[] = {
        {"2026-10-12T10:01:30", TRUTH_FALSE, "2026-10-12T10:00"},
        {"2026-10-12T10:06:59", TRUTH_FALSE, "2026-10-12T10:00"}, /* 10:01 is settling */
        {"2026-10-12T10:07:00", TRUTH_TRUE, "2026-10-12T10:01"},
        {"2026-10-12T10:08:30", TRUTH_TRUE, "2026-10-12T10:02"},
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct kpi_status status = evaluate(scene, &beats, CASES[i].now);
        if (status.shown->breached != CASES[i].breached)
            fail_msg("%s: %d", CASES[i].now, (int)status.shown->breached);
        assert_true(status.shown->judged.from == berlin(scene, CASES[i].judged));
    }
    /* One that has reached the number need not settle: it is not told that 10:03 failed. */
    sample(scene, METRIC_COUNTER, "beat", "", 3, "2026-10-12T10:04");
    struct kpi_status status = evaluate(scene, &beats, "2026-10-12T10:09:30");
    assert_int_equal(status.shown->breached, TRUTH_FALSE);
    assert_true(status.shown->judged.from == berlin(scene, "2026-10-12T10:04"));
    /* However many periods settle at a time, there is an answer. */
    beats.kpi.settle = 14 * (span_ms)MS_PER_DAY;
    status = evaluate(scene, &beats, "2026-10-26T10:02:30"); /* DST has ended meanwhile */
    assert_int_equal(status.shown->breached, TRUTH_TRUE);
    assert_true(status.shown->judged.from == berlin(scene, "2026-10-12T10:01"));
}

static void a_stale_source_stops_the_judgement(void **state) /* FIG-12, STA-1 */
{
    struct scene *scene = *state;
    declare(scene, "failed", METRIC_COUNTER, NULL);
    declare(scene, "requests", METRIC_COUNTER, NULL)->stale_after = 15 * MS_PER_MINUTE;
    sample(scene, METRIC_COUNTER, "failed", "", 4, "2026-10-12T10:00");
    sample(scene, METRIC_COUNTER, "requests", "", 1000, "2026-10-12T10:00");
    struct defined errors = define(scene, "sum(failed) / sum(requests)", "%", PERIOD_DAY);
    (void)add_target(&errors, TARGET_AT_MOST, "0.3%", PERIOD_DAY);
    struct kpi_status status = evaluate(scene, &errors, "2026-10-12T10:14");
    CHECK_CODE(status.code, KPI_BEHIND);
    assert_int_equal(status.shown->breached, TRUTH_TRUE);
    status = evaluate(scene, &errors, "2026-10-12T10:16");
    CHECK_CODE(status.code, KPI_NO_DATA);
    assert_int_equal(status.shown->breached, TRUTH_UNKNOWN);
    assert_string_equal(status.reason, "the newest sample is of 2026-10-12 10:00 CEST");
    check_value(&status.figure, 0.004, "it stands");
}

static json_t *as_json(const struct kpi_status *status)
{
    struct buf text = BUF_EMPTY;
    struct json json = json_to(&text);
    json_error_t error;
    kpi_status_json(status, &json);
    json_t *out = json_loadb(text.bytes, text.len, 0, &error);
    if (out == NULL)
        fail_msg("%s", error.text);
    buf_fini(&text);
    return out;
}

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void the_json_has_the_agreed_shape(void **state)
{
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "won", "", 171, "2026-10-12T10:00");
    sample(scene, METRIC_COUNTER, "trial", "", 2503, "2026-10-12T10:00");
    struct defined rate = define(scene, "sum(won) / sum(trial)", "percent", PERIOD_MONTH);
    (void)add_target(&rate, TARGET_AT_LEAST, "5", PERIOD_MONTH);
    struct kpi_status status = evaluate(scene, &rate, "2026-10-20T12:00");
    json_t *json = as_json(&status);

    assert_string_equal(text_at(json, "id"), "k");
    assert_string_equal(text_at(json, "title"), "The KPI");
    assert_int_equal(json_object_size(json_object_get(json, "by")), 0);
    assert_true(fabs(json_number_value(json_object_get(json, "value")) - 6.83180183779465) < 1e-12);
    assert_string_equal(text_at(json, "unit"), "%");
    assert_string_equal(text_at(json, "status"), "on_track");
    assert_string_equal(text_at(json, "as_of"), "2026-10-12T10:00:00+02:00");
    assert_true(json_is_null(json_object_get(json, "reason")));
    assert_true(json_is_true(json_object_get(json, "partial")));
    const json_t *target = json_object_get(json, "target");
    assert_string_equal(text_at(target, "id"), "k");
    assert_true(json_number_value(json_object_get(target, "to")) == 5);
    assert_true(json_is_null(json_object_get(target, "expected")));
    assert_true(json_is_null(json_object_get(target, "p_hit")));
    const json_t *period = json_object_get(json, "period");
    assert_string_equal(text_at(period, "name"), "2026-10");
    assert_string_equal(text_at(period, "from"), "2026-10-01T00:00:00+02:00");
    assert_string_equal(text_at(period, "to"), "2026-11-01T00:00:00+01:00");
    const json_t *last = json_object_get(json, "last");
    assert_true(json_is_null(json_object_get(last, "value")));
    assert_string_equal(text_at(last, "status"), "no_data");
    json_decref(json);

    struct defined typo = define(scene, "sum(tirals)", "", PERIOD_DAY);
    status = evaluate(scene, &typo, "2026-10-20T12:00");
    json = as_json(&status);
    assert_true(json_is_null(json_object_get(json, "value"))); /* never 0 */
    assert_true(json_is_null(json_object_get(json, "target")));
    assert_true(json_is_null(json_object_get(json, "unit")));
    assert_string_equal(text_at(json, "null_reason"), "never_seen");
    assert_string_equal(text_at(json, "status"), "no_target");
    json_decref(json);
}

static void totals_show_what_is_expected_in_their_unit(void **state)
{
    struct scene *scene = *state;
    declare(scene, "work", METRIC_COUNTER, "min");
    sample(scene, METRIC_COUNTER, "work", "", 1200, "2026-09-03T10:00");
    struct defined work = define(scene, "sum(work)", "h", PERIOD_MONTH);
    (void)add_target(&work, TARGET_AT_LEAST, "100", PERIOD_MONTH);
    struct kpi_status status = evaluate(scene, &work, "2026-09-07T00:00");
    json_t *json = as_json(&status);
    assert_true(json_number_value(json_object_get(json, "value")) == 20);
    assert_true(json_number_value(json_object_get(json_object_get(json, "target"), "expected")) ==
                20);
    assert_string_equal(text_at(json, "status"), "on_track");
    json_decref(json);
}

static void the_same_snapshot_and_now_give_the_same_status(void **state)
{
    struct scene *scene = *state;
    sample(scene, METRIC_COUNTER, "signup", "", 83, "2026-10-12T10:00");
    struct defined signups = define(scene, "sum(signup)", "", PERIOD_DAY);
    (void)add_target(&signups, TARGET_AT_LEAST, "100", PERIOD_DAY);
    struct kpi_status one = evaluate(scene, &signups, "2026-10-13T00:05");
    struct kpi_status two = evaluate(scene, &signups, "2026-10-13T00:05");
    json_t *first = as_json(&one);
    json_t *second = as_json(&two);
    assert_true(json_equal(first, second));
    json_decref(first);
    json_decref(second);
}

static void kpis_are_found_by_id(void **state)
{
    const struct kpi kpis[] = {{.id = "a"}, {.id = "b"}};
    const struct kpi_set set = {kpis, 2, NULL};
    enum kpi_status_code code;
    (void)state;
    assert_ptr_equal(kpi_find(&set, STR("b")), &kpis[1]);
    assert_null(kpi_find(&set, STR("c")));
    for (int i = 0; i <= KPI_MISSED; i++) {
        const char *name = kpi_status_name((enum kpi_status_code)i);
        assert_true(kpi_status_parse(str_of(name), &code));
        assert_int_equal(code, i);
    }
    assert_false(kpi_status_parse(STR("fine"), &code));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(statuses_come_in_one_order),
        SCENE_TEST(a_formula_that_is_not_built_makes_a_draft),
        SCENE_TEST(a_target_that_is_not_built_is_a_draft_alone),
        SCENE_TEST(the_worst_target_is_shown),
        SCENE_TEST(a_day_is_judged_when_it_has_settled),
        SCENE_TEST(periods_follow_the_calendar_of_the_kpi),
        SCENE_TEST(a_clock_that_jumps_is_judged_by_what_it_shows),
        SCENE_TEST(short_periods_are_judged_when_they_have_settled),
        SCENE_TEST(a_stale_source_stops_the_judgement),
        SCENE_TEST(the_json_has_the_agreed_shape),
        SCENE_TEST(totals_show_what_is_expected_in_their_unit),
        SCENE_TEST(the_same_snapshot_and_now_give_the_same_status),
        cmocka_unit_test(kpis_are_found_by_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
