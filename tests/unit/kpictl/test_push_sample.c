/* Samples as people write them: words, lines, times. */
#include <stdlib.h>

#include "base/buf.h"
#include "push_sample.h"
#include "test.h"

/* "name|value|label=value|..."; "!why" for one that is none. */
static char *read_line(struct str line)
{
    struct buf out = BUF_EMPTY;
    struct push_sample sample;
    struct error err = ERROR_EMPTY;

    if (!push_sample_of_line(line, &sample, &err)) {
        buf_printf(&out, "!%s", err.text);
        return buf_take_text(&out);
    }
    buf_printf(&out, "%.*s|%.*s", STR_ARGS(sample.name), STR_ARGS(sample.value));
    for (size_t i = 0; i < sample.label_count; i++)
        buf_printf(&out, "|%.*s=%.*s", STR_ARGS(sample.labels[i].name),
                   STR_ARGS(sample.labels[i].value));
    return buf_take_text(&out);
}

static void a_line_is_a_sample_and_its_labels(void **state)
{
    static const struct {
        struct str line;
        const char *want;
    } cases[] = {
        {STR("leads=12"), "leads|12"},
        {STR("leads=12 source=fair"), "leads|12|source=fair"},
        {STR(" \tleads=12  source=fair\tplan=pro \t"), "leads|12|source=fair|plan=pro"},
        {STR("leads=-1e3 url=a=b"), "leads|-1e3|url=a=b"},
        {STR("leads="), "leads|"},
        {STR("leads=1 empty="), "leads|1|empty="},
        {STR("k\xc3\xb6ln=1"), "k\xc3\xb6ln|1"},
        {STR("leads"), "!not of the form NAME=VALUE: 'leads'"},
        {STR("=12"), "!not of the form NAME=VALUE: '=12'"},
        {STR("leads=12 fair"), "!not of the form NAME=VALUE: 'fair'"},
        {STR("leads=12 =fair"), "!not of the form NAME=VALUE: '=fair'"},
        {STR("leads=12 a=1 b=2 a=3"), "!label 'a' stands twice"},
        {STR("leads\xff=12"), "!not UTF-8: 'leads\\xff=12'"},
        {STR("leads=1\0002"), "!not UTF-8: 'leads=1\\x002'"},
        {STR(""), "!there is no sample"},
        {STR(" \t"), "!there is no sample"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *have = read_line(cases[i].line);
        assert_string_equal(have, cases[i].want);
        free(have);
    }
}

static void so_many_labels_fit_and_no_more(void **state)
{
    struct buf line = BUF_EMPTY;
    struct push_sample sample;
    struct error err = ERROR_EMPTY;
    (void)state;

    buf_text(&line, "leads=1");
    for (int i = 1; i < PUSH_WORDS_MAX; i++)
        buf_printf(&line, " l%d=%d", i, i);
    assert_true(push_sample_of_line(buf_view(&line), &sample, &err));
    assert_int_equal(sample.label_count, PUSH_WORDS_MAX - 1);
    buf_text(&line, " more=1");
    assert_false(push_sample_of_line(buf_view(&line), &sample, &err));
    assert_string_equal(err.text, "more than 79 labels");
    buf_fini(&line);
}

static void blank_lines_and_comments_are_silent(void **state)
{
    (void)state;
    assert_true(push_line_is_silent(STR("")));
    assert_true(push_line_is_silent(STR(" \t ")));
    assert_true(push_line_is_silent(STR("# leads=1")));
    assert_true(push_line_is_silent(STR("  #")));
    assert_false(push_line_is_silent(STR("leads=1 # fair")));
    assert_false(push_line_is_silent(STR("x")));
}

static void a_time_says_whether_it_has_an_offset(void **state)
{
    static const struct {
        struct str text;
        bool ok, has_offset;
        int64_t at;
    } cases[] = {
        {STR("1970-01-01T00:00:01Z"), true, true, 1000},
        {STR("1970-01-01T02:00:01+02:00"), true, true, 1000},
        {STR("1970-01-01T00:00-01:00"), true, true, 3600 * 1000},
        {STR("1970-01-02"), true, false, 86400 * 1000},
        {STR("1970-01-01T00:00:01"), true, false, 1000},
        {STR("now"), false, false, 0},
        {STR(""), false, false, 0},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool has_offset = false;
        int64_t at = 0;
        assert_int_equal(push_time_parse(cases[i].text, &at, &has_offset), cases[i].ok);
        assert_int_equal(has_offset, cases[i].has_offset);
        if (cases[i].ok)
            assert_int_equal(at, cases[i].at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_a_sample_and_its_labels),
        cmocka_unit_test(so_many_labels_fit_and_no_more),
        cmocka_unit_test(blank_lines_and_comments_are_silent),
        cmocka_unit_test(a_time_says_whether_it_has_an_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
