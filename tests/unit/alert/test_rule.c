#include "alert/rule.h"
#include "test.h"

static void known_fields_pass_and_unknown_ones_do_not(void **state)
{
    static const struct {
        const char *text;
        const char *says; /* NULL: it passes */
        const char *hint;
    } cases[] = {
        {"", NULL, NULL},
        {"no fields, 100 %, } and }}", NULL, NULL},
        {"Churn {{value}} is above {{ target }} ({{period}}).", NULL, NULL},
        {"{{title}}{{status}}{{expected}}{{owner}}{{pace}}{{severity}}{{do}}", NULL, NULL},
        {"{{progress}} of the way, {{budget_used}}, {{last_seen}}", NULL, NULL},
        {"MRR {{forecast.p50}} by {{deadline}}, {{p_hit}}, {{top.reason}}", NULL, NULL},
        {"{{valeu}}", "unknown field '{{valeu}}'", "did you mean '{{value}}'?"},
        {"{{}}", "unknown field '{{}}'", ""},
        {"{{forecast.}}", "unknown field '{{forecast.}}'", NULL},
        {"now {{value", "'{{' at column 5 has no '}}'", ""},
        {"{{value} }", "'{{' at column 1 has no '}}'", ""},
        {"{{zzzzzzzzzzzzzzz}}", "unknown field '{{zzzzzzzzzzzzzzz}}'", ""},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        bool ok = rule_text_check(str_of(cases[i].text), &err);
        assert_int_equal(ok, cases[i].says == NULL);
        if (cases[i].says != NULL)
            assert_string_equal(err.text, cases[i].says);
        if (cases[i].hint != NULL)
            assert_string_equal(err.hint, cases[i].hint);
    }
}

static void a_text_that_is_too_long_is_refused(void **state)
{
    static char text[RULE_TEXT_MAX + 1];
    struct error err = ERROR_EMPTY;
    (void)state;
    memset(text, 'a', sizeof text);
    assert_true(rule_text_check((struct str){text, RULE_TEXT_MAX}, &err));
    assert_false(rule_text_check((struct str){text, RULE_TEXT_MAX + 1}, &err));
}

static void fields_that_are_not_built_are_named(void **state)
{
    (void)state;
    assert_null(rule_text_not_built(STR("{{value}} of {{target}}")));
    assert_string_equal(rule_text_not_built(STR("{{value}}, {{p_hit}}")), "{{p_hit}}");
    assert_string_equal(rule_text_not_built(STR("{{top.reason}}")), "{{top...}}");
    assert_string_equal(rule_text_not_built(STR("{{progress}}")), "{{progress}}");
}

static void write_name(enum rule_field field, struct buf *out, void *arg)
{
    (void)arg;
    buf_text(out, field == RULE_FIELD_VALUE ? "2.4 %" : "{{value}}");
}

static void a_template_is_rendered_once(void **state)
{
    struct buf out = BUF_EMPTY;
    (void)state;
    rule_text_render(STR("{{value}} > {{ target}} }}."), write_name, NULL, &out);
    assert_true(str_is(buf_view(&out), "2.4 % > {{value}} }}."));
    buf_fini(&out);
}

/* A rule on a target of its KPI, made anew by each test. */
struct subject {
    struct target target;
    struct kpi kpi;
    struct rule rule;
};

static void make_subject(struct subject *out, struct calendar *calendar)
{
    *out = (struct subject){
        .target = {.id = "churn", .kind = TARGET_AT_MOST, .to = 0.02, .every = PERIOD_MONTH},
        .kpi = {.id = "churn",
                .formula.text = "sum(lost) / at_start(customers)",
                .period = PERIOD_MONTH,
                .calendar = calendar,
                .min_denominator = 1,
                .min_count = 1},
        .rule = {.id = "churn", .when.text = "breached"}};
    out->rule.kpi = &out->kpi;
    out->rule.target = &out->target;
}

static void what_decides_when_a_rule_fires_is_its_fingerprint(void **state) /* ALR-12 */
{
    struct error err = ERROR_EMPTY;
    struct calendar *berlin = calendar_new(STR("Europe/Berlin"), 1, &err);
    struct calendar *sunday = calendar_new(STR("Europe/Berlin"), 7, &err);
    struct calendar *utc = calendar_new(STR("UTC"), 1, &err);
    struct subject all[16];
    size_t count = 0;
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(all); i++)
        make_subject(&all[i], berlin);
    count++; /* the first one stays as it is */
    all[count++].target.to = 0.03;
    all[count++].target.kind = TARGET_AT_LEAST;
    all[count++].target.strict = true;
    all[count++].target.every = PERIOD_YEAR;
    all[count++].target.at_risk = 0.5;
    all[count++].kpi.period = PERIOD_DAY;
    all[count++].kpi.calendar = utc;
    all[count++].kpi.calendar = sunday;
    all[count++].kpi.formula.text = "sum(gone) / at_start(customers)";
    all[count++].kpi.min_denominator = 30;
    all[count++].rule.when.text = "value > 2%";
    all[count++].rule.for_ms = MS_PER_HOUR;
    all[count++].rule.target = NULL;
    all[count].rule.has_recover = true;
    all[count++].rule.recover.text = "value < 1.8%";
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (rule_fingerprint(&all[i].rule) == rule_fingerprint(&all[j].rule))
                fail_msg("cases %zu and %zu have one fingerprint", j, i);
        }
    }
    /* Words, hooks and severity do not end an alert. */
    struct subject *same = &all[count];
    same->kpi.title = "Churn of customers";
    same->kpi.settle = MS_PER_DAY;
    same->rule.text = "{{value}}";
    same->rule.severity = SEVERITY_CRITICAL;
    same->rule.hook_count = 1;
    same->rule.hold_ms = MS_PER_HOUR;
    assert_true(rule_fingerprint(&same->rule) == rule_fingerprint(&all[0].rule));
    calendar_free(berlin);
    calendar_free(sunday);
    calendar_free(utc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_fields_pass_and_unknown_ones_do_not),
        cmocka_unit_test(a_text_that_is_too_long_is_refused),
        cmocka_unit_test(fields_that_are_not_built_are_named),
        cmocka_unit_test(a_template_is_rendered_once),
        cmocka_unit_test(what_decides_when_a_rule_fires_is_its_fingerprint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
