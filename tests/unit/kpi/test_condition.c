#include <math.h>

#include "kpi/condition.h"
#include "test.h"

static struct arena arena = ARENA_EMPTY;
static struct unit percent;

static int setup(void **state)
{
    (void)state;
    return !unit_parse(STR("%"), &percent);
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static struct condition parse(const char *text)
{
    struct condition out;
    struct error err = ERROR_EMPTY;
    if (!condition_parse(str_of(text), &percent, &arena, &out, &err))
        fail_msg("'%s': %s", text, err.text);
    return out;
}

static const struct kpi KPI = {.id = "errors", .min_denominator = 30, .min_count = 1};

static struct kpi_status status_of(double value, enum kpi_status_code code)
{
    struct kpi_status status = {.kpi = &KPI, .code = code};
    status.figure.is_null = isnan(value);
    status.figure.value = status.figure.is_null ? 0 : value;
    status.figure.denominator = 1000;
    status.figure.count = NAN;
    return status;
}

static const char *judge(const char *text, double value, enum kpi_status_code code,
                         enum truth breached)
{
    static const char *const NAMES[] = {"false", "true", "unknown"};
    struct condition condition = parse(text);
    struct kpi_status status = status_of(value, code);
    struct target_status target = {
        .code = code, .expected = 0.05, .pace = 0.8, .breached = breached};
    return NAMES[condition_judge(&condition, &status, &target)];
}

static void conditions_are_true_false_or_unknown(void **state)
{
    static const struct {
        const char *text;
        const char *truth;
    } CASES[] = {
        /* of 2.4 %, behind, breached, expected 5 %, pace 0.8 */
        {"breached", "true"},
        {"not breached", "false"},
        {"value > 2", "true"},
        {"value > 2%", "true"},
        {"value > 2.4", "false"},
        {"value >= 2.4", "true"},
        {"value == 2.4", "true"},
        {"value != 2.4%", "false"},
        {"value < 2.5", "true"},
        {"value <= 2", "false"},
        {"expected > 4%", "true"},
        {"pace < 0.95", "true"},
        {"pace < 0.75", "false"},
        {"status == behind", "true"},
        {"status != behind", "false"},
        {"status == on_track or status == behind", "true"},
        {"value > 2 and pace < 0.5", "false"},
        {"value > 3 or pace < 0.5 or breached", "true"},
        {"not value > 2 and breached", "false"}, /* not binds first */
        {"not (value > 3 and breached)", "true"},
        {"breached or value > 3 and pace > 1", "true"}, /* and binds before or */
        {"(breached or value > 3) and pace > 1", "false"},
        {"not not breached", "true"},
        {"p_hit < 40%", "unknown"},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        const char *truth = judge(CASES[i].text, 0.024, KPI_BEHIND, TRUTH_TRUE);
        if (strcmp(truth, CASES[i].truth) != 0)
            fail_msg("'%s' is %s", CASES[i].text, truth);
    }
}

static void unknown_behaves_as_in_sql(void **state) /* ALR-1 */
{
    static const struct {
        const char *text;
        const char *truth;
    } CASES[] = {
        /* of a null figure, status no_data */
        {"value > 2", "unknown"},
        {"not value > 2", "unknown"},
        {"breached", "unknown"},
        {"value > 2 or status == no_data", "true"},
        {"value > 2 and status == no_data", "unknown"},
        {"value > 2 and status != no_data", "false"},
        {"value > 2 or status != no_data", "unknown"},
        {"status == behind", "unknown"},
        {"status != behind", "unknown"},
        {"status == no_data", "true"},
        {"status == insufficient", "false"},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        const char *truth = judge(CASES[i].text, NAN, KPI_NO_DATA, TRUTH_UNKNOWN);
        if (strcmp(truth, CASES[i].truth) != 0)
            fail_msg("'%s' is %s", CASES[i].text, truth);
    }
    static const enum kpi_status_code UNKNOWN[] = {KPI_NO_DATA, KPI_INSUFFICIENT, KPI_DRAFT,
                                                   KPI_PAUSED};
    for (size_t i = 0; i < TEST_COUNT(UNKNOWN); i++)
        assert_string_equal(judge("value > 2", 0.024, UNKNOWN[i], TRUTH_UNKNOWN), "unknown");
    assert_string_equal(judge("value > 2", 0.024, KPI_TOO_EARLY, TRUTH_FALSE), "true");
}

static void a_rule_without_target_judges_the_kpi(void **state)
{
    (void)state;
    struct kpi_status status = status_of(0.024, KPI_NO_TARGET);
    struct condition condition = parse("value > 2%");
    assert_int_equal(condition_judge(&condition, &status, NULL), TRUTH_TRUE);
    status.figure.denominator = 3;
    assert_int_equal(condition_judge(&condition, &status, NULL), TRUTH_UNKNOWN);
    status.figure.denominator = 1000;
    status.figure.stale = true;
    assert_int_equal(condition_judge(&condition, &status, NULL), TRUTH_UNKNOWN);
    condition = parse("breached or expected > 1 or pace < 1");
    assert_int_equal(condition_judge(&condition, &status, NULL), TRUTH_UNKNOWN);
    condition = parse("status == no_target");
    assert_int_equal(condition_judge(&condition, &status, NULL), TRUTH_TRUE);
}

static void a_draft_target_does_not_silence_a_rule_on_the_kpi(void **state) /* ALR-1 */
{
    struct condition condition = parse("value > 2%");
    struct kpi kpi = KPI;
    struct kpi_status status = status_of(0.024, KPI_DRAFT); /* its only target is not built */
    (void)state;
    status.kpi = &kpi;
    assert_int_equal(condition_judge(&condition, &status, NULL), TRUTH_TRUE);
    kpi.state = KPI_STATE_DRAFT;
    assert_int_equal(condition_judge(&condition, &status, NULL), TRUTH_UNKNOWN);
    kpi.state = KPI_STATE_PAUSED;
    assert_int_equal(condition_judge(&condition, &status, NULL), TRUTH_UNKNOWN);
    kpi.state = KPI_STATE_ACTIVE;
    kpi.draft_reason = "not built yet: window";
    assert_int_equal(condition_judge(&condition, &status, NULL), TRUTH_UNKNOWN);
}

static void conditions_that_read_the_figure_are_known(void **state) /* ALR-6 */
{
    static const struct {
        const char *text;
        bool reads;
    } CASES[] = {
        {"breached", false},
        {"pace < 0.9 and not status == behind", false},
        {"value > 2", true},
        {"status == behind or not (pace < 1 and value > 2)", true},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct condition condition = parse(CASES[i].text);
        assert_int_equal(condition_reads_value(&condition), CASES[i].reads);
    }
}

static void breached_alone_is_known(void **state) /* ALR-6 */
{
    struct condition condition = parse("breached");
    (void)state;
    assert_true(condition_is_breached(&condition));
    condition = parse(" ( breached ) ");
    assert_true(condition_is_breached(&condition));
    condition = parse("not breached");
    assert_false(condition_is_breached(&condition));
    condition = parse("breached and value > 1");
    assert_false(condition_is_breached(&condition));
}

static void what_is_not_built_yet_parses_and_is_named(void **state)
{
    static const struct {
        const char *text;
        const char *not_built;
    } CASES[] = {
        {"no_data(15m)", "no_data"},
        {"no_data(2 business days)", "no_data"},
        {"breached and value(15m) > 3%", "value(...)"},
        {"also.refunds > 5", "also.refunds"},
        {"progress < 0.5", "progress"},
        {"p_hit < 40%", "p_hit"},
        {"forecast.p10 < 5K", "forecast.p10"},
        {"status(mrr) == behind", "status(...)"},
        {"kpi mrr < 100K EUR", "kpi"},
        {"kpi(mrr) < 100K", "kpi"},
        {"change(1w) < -10%", "change"},
        {"change(mrr over 1w) < -10%", "change"},
        {"change(mrr) < 0", "change"},
        {"budget_used > 80%", "budget_used"},
        {"age > 30m", "age"},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct condition condition = parse(CASES[i].text);
        assert_non_null(condition.not_built);
        assert_string_equal(condition.not_built, CASES[i].not_built);
    }
    assert_null(parse("breached or status == draft").not_built);
}

static void mistakes_have_their_column(void **state)
{
    static const struct {
        const char *text;
        const char *words;
        const char *hint;
    } CASES[] = {
        {"", "column 1: expected a condition, as 'breached' or 'value > 5', but the text ends", ""},
        {"breeched", "column 1: unknown field 'breeched'", "did you mean 'breached'?"},
        {"breached and vlaue > 5", "column 14: unknown field 'vlaue'", "did you mean 'value'?"},
        {"value = 5", "column 7: expected <, <=, >, >=, == or !=, found '='",
         "equal is written =="},
        {"value > ", "column 9: expected a number, but the text ends", ""},
        {"value > x", "column 9: expected a number, found 'x'", ""},
        {"value > 5h", "column 9: '5h' is in 'h', but the figure is in '%'", ""},
        {"value > 5,000", "column 10: expected 'and', 'or' or the end, found ','", ""},
        {"status == behnd", "column 11: unknown status 'behnd'", "did you mean 'behind'?"},
        {"status > behind", "column 8: a status is compared by == or !=", ""},
        {"status == 5", "column 11: expected a status, as behind, found '5'", ""},
        {"(breached", "column 10: expected ')', but the text ends", ""},
        {"breached breached", "column 10: expected 'and', 'or' or the end, found 'breached'", ""},
        {"no_data(often)", "column 9: expected a duration, as 15m, found 'often'", ""},
        {"no_data(15x)", "column 9: this is no duration: write it as 90s or 1h30m", ""},
        {"breached and",
         "column 13: expected a condition, as 'breached' or 'value > 5', but the "
         "text ends",
         ""},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct condition out;
        struct error err = ERROR_EMPTY;
        if (condition_parse(str_of(CASES[i].text), &percent, &arena, &out, &err))
            fail_msg("'%s' parses", CASES[i].text);
        assert_string_equal(err.text, CASES[i].words);
        assert_string_equal(err.hint, CASES[i].hint);
    }
}

static void hostile_conditions_end_in_words(void **state)
{
    struct buf text = BUF_EMPTY;
    struct condition out;
    struct error err = ERROR_EMPTY;
    (void)state;
    for (int i = 0; i < 1000; i++)
        buf_text(&text, "not ");
    assert_false(condition_parse(buf_view(&text), &percent, &arena, &out, &err));
    assert_non_null(strstr(err.text, "too many parts"));
    buf_clear(&text);
    for (int i = 0; i < 400; i++)
        buf_text(&text, "breached or ");
    assert_false(condition_parse(buf_view(&text), &percent, &arena, &out, &err));
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_are_true_false_or_unknown),
        cmocka_unit_test(unknown_behaves_as_in_sql),
        cmocka_unit_test(a_rule_without_target_judges_the_kpi),
        cmocka_unit_test(a_draft_target_does_not_silence_a_rule_on_the_kpi),
        cmocka_unit_test(conditions_that_read_the_figure_are_known),
        cmocka_unit_test(breached_alone_is_known),
        cmocka_unit_test(what_is_not_built_yet_parses_and_is_named),
        cmocka_unit_test(mistakes_have_their_column),
        cmocka_unit_test(hostile_conditions_end_in_words),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
