/* Rows out of comma-separated values, whole and byte by byte. */
#include <stdlib.h>

#include "csv.h"
#include "test.h"

/* What was read, as text: fields between bars, a row's line before it; "!why" for a wrong one. */
static void tell(struct buf *out, const struct csv *csv, enum csv_step step)
{
    if (step == CSV_MORE)
        return;
    buf_printf(out, "%zu", csv->line);
    for (size_t i = 0; step == CSV_ROW && i < csv->field_count; i++)
        buf_printf(out, "|%.*s", STR_ARGS(csv_field(csv, i)));
    if (step == CSV_BAD)
        buf_printf(out, "!%s", csv->why);
    buf_char(out, ';');
}

static char *read_all(struct str text, size_t piece)
{
    struct buf out = BUF_EMPTY;
    struct csv csv;

    csv_init(&csv);
    while (text.len > 0) {
        size_t len = text.len < piece ? text.len : piece;
        struct str input = {text.text, len};
        while (input.len > 0) {
            enum csv_step step = csv_read(&csv, &input);
            tell(&out, &csv, step);
        }
        text = (struct str){text.text + len, text.len - len};
    }
    tell(&out, &csv, csv_end(&csv));
    assert_int_equal(csv_end(&csv), CSV_MORE);
    csv_fini(&csv);
    return buf_take_text(&out);
}

static void check(struct str text, const char *want)
{
    static const size_t pieces[] = {1, 2, 3, 7, 1000 * 1000};

    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        char *have = read_all(text, pieces[i]);
        assert_string_equal(have, want);
        free(have);
    }
}

static void rows_are_read_as_rfc_4180_writes_them(void **state)
{
    static const struct {
        struct str text;
        const char *want;
    } cases[] = {
        {STR(""), ""},
        {STR("a,b\n1,2\n"), "1|a|b;2|1|2;"},
        {STR("a,b\r\n1,2\r\n"), "1|a|b;2|1|2;"},
        {STR("a,b\n1,2"), "1|a|b;2|1|2;"},
        {STR("a,b\n1,2\r"), "1|a|b;2|1|2;"},
        {STR("a\n\n\r\nb\n"), "1|a;4|b;"},
        {STR("\"\"\n"), "1|;"},
        {STR(",\n"), "1||;"},
        {STR(",,x"), "1|||x;"},
        {STR("\"a,b\",\"say \"\"yes\"\"\"\n"), "1|a,b|say \"yes\";"},
        {STR("\"two\nlines\",1\nx,2\n"), "1|two\nlines|1;3|x|2;"},
        {STR("\"two\r\nlines\"\r\nx\r\n"), "1|two\r\nlines;3|x;"},
        {STR("\"end\""), "1|end;"},
        {STR(" a , b \n"), "1| a | b ;"},
        {STR("a\rb\n"), "1|a\rb;"},
        {STR("\xef\xbb\xbf\"time\",value\n"), "1|time|value;"},
        {STR("\xef\xbb\xbf"), ""},
        {STR("\xef\xbb\x8e,1\n"), "1|\xef\xbb\x8e|1;"},
        {STR("a\n\xef\xbb\xbf\n"), "1|a;2|\xef\xbb\xbf;"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(cases[i].text, cases[i].want);
}

static void a_wrong_row_is_told_and_the_next_is_read(void **state)
{
    static const struct {
        struct str text;
        const char *want;
    } cases[] = {
        {STR("a\"b,c\n1,2\n"), "1!a quote in a field that does not begin with one;2|1|2;"},
        {STR("x\n\"a\"b,\"c\nd\n"), "1|x;2!text behind the closing quote of a field;3|d;"},
        {STR("\"a\"\rb\nc"), "1!text behind the closing quote of a field;2|c;"},
        {STR("a\n\"b\nc\n"), "1|a;2!the file ends inside of quotes;"},
        {STR("a\0b\nc\n"), "1!a byte 0 in it: this is no text;2|c;"},
        {STR("\"a\0b\"\nc\n"), "1!a byte 0 in it: this is no text;2|c;"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(cases[i].text, cases[i].want);
}

static void rows_have_limits(void **state)
{
    struct buf text = BUF_EMPTY;
    (void)state;

    for (int i = 0; i < CSV_FIELDS_MAX; i++) /* one too many */
        buf_char(&text, ',');
    buf_text(&text, "\nb\n");
    check(buf_view(&text), "1!more than 256 fields;2|b;");
    buf_clear(&text);
    for (int i = 0; i < CSV_ROW_BYTES_MAX + 1; i++)
        buf_char(&text, 'x');
    buf_text(&text, ",y\nb\n");
    check(buf_view(&text), "1!longer than 64 KiB;2|b;");
    buf_clear(&text);
    buf_char(&text, '"');
    for (int i = 0; i < CSV_ROW_BYTES_MAX + 1; i++)
        buf_char(&text, '\n');
    check(buf_view(&text), "1!longer than 64 KiB: a quote may not be closed;");
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read_as_rfc_4180_writes_them),
        cmocka_unit_test(a_wrong_row_is_told_and_the_next_is_read),
        cmocka_unit_test(rows_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
