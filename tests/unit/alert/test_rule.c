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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_fields_pass_and_unknown_ones_do_not),
        cmocka_unit_test(a_text_that_is_too_long_is_refused),
        cmocka_unit_test(fields_that_are_not_built_are_named),
        cmocka_unit_test(a_template_is_rendered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
