/* JSON as a cursor, beside jansson: what one of them reads the other does too. */
#include <jansson.h>
#include <stdlib.h>

#include "base/memory.h"
#include "ingest/json_scan.h"
#include "series/random.h"
#include "test.h"

static bool skips(struct str bytes)
{
    char *exact = memory_alloc(bytes.len + 1); /* one byte may be too much, no less */
    memcpy(exact, bytes.text, bytes.len);
    struct json_scan scan = json_scan_of((struct str){exact, bytes.len});
    json_scan_skip(&scan);
    bool ok = json_scan_end(&scan);
    free(exact);
    return ok;
}

static void json_is_told_from_what_is_none(void **state)
{
    static const struct {
        const char *text;
        bool is_json;
    } cases[] = {
        {"{}", true},
        {" [ ] ", true},
        {"\t\r\n{\"a\" : [1, -0.5e+3, true, false, null, \"x\"] }\n", true},
        {"{\"a\":{\"b\":{}},\"c\":[[],[{}]]}", true},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\ude00\"", true},
        {"18446744073709551616", true},
        {"-1", true},
        {"0", true},
        {"\"\xc3\xa4\"", true},
        {"", false},
        {" ", false},
        {"{", false},
        {"}", false},
        {"{]", false},
        {"[}", false},
        {"[1,]", false},
        {"[,1]", false},
        {"[1 2]", false},
        {"{\"a\"}", false},
        {"{\"a\":}", false},
        {"{\"a\":1,}", false},
        {"{a:1}", false},
        {"{1:1}", false},
        {"{\"a\":1}{}", false},
        {"01", false},
        {"-", false},
        {"+1", false},
        {".5", false},
        {"1.", false},
        {"1e", false},
        {"1e+", false},
        {"0x1", false},
        {"NaN", false},
        {"tru", false},
        {"trueish", false},
        {"nul", false},
        {"\"", false},
        {"\"\\", false},
        {"\"\\x\"", false},
        {"\"\\u12g4\"", false},
        {"\"\\u123", false},
        {"\"\\ud800\"", false},
        {"\"\\ud800\\n\"", false},
        {"\"\\ud800\\ud800\"", false},
        {"\"\\udc00\"", false},
        {"\"a\nb\"", false},
        {"\"\xff\"", false},
        {"\xef\xbb\xbf{}", false},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        if (skips(str_of(cases[i].text)) != cases[i].is_json)
            fail_msg("%s", cases[i].text);
    }
    assert_false(skips((struct str){"{}\0", 3}));
}

static void nesting_has_an_end(void **state)
{
    struct buf text = BUF_EMPTY;
    (void)state;

    for (int depth = JSON_SCAN_DEPTH_MAX; depth <= JSON_SCAN_DEPTH_MAX + 1; depth++) {
        buf_clear(&text);
        for (int i = 0; i < depth; i++)
            buf_text(&text, i % 2 == 0 ? "[" : "{\"a\":");
        buf_text(&text, "1");
        for (int i = depth - 1; i >= 0; i--)
            buf_text(&text, i % 2 == 0 ? "]" : "}");
        assert_int_equal(skips(buf_view(&text)), depth == JSON_SCAN_DEPTH_MAX);
    }
    buf_clear(&text);
    for (int i = 0; i < 100000; i++)
        buf_char(&text, '[');
    assert_false(skips(buf_view(&text)));
    buf_fini(&text);
}

static void texts_and_numbers_are_what_was_sent(void **state)
{
    struct json_scan scan = json_scan_of(
        STR("{\"k\\u0041\":\"\\u00e4\\ud83d\\ude00\\u0000!\",\"n\":18446744073709551615}"));
    struct buf key = BUF_EMPTY;
    struct buf text = BUF_EMPTY;
    (void)state;

    assert_int_equal(json_scan_kind(&scan), SCAN_OBJECT);
    json_scan_open(&scan);
    assert_true(json_scan_next_key(&scan, &key));
    assert_true(str_is(buf_view(&key), "kA"));
    json_scan_text(&scan, &text);
    assert_true(str_equal(buf_view(&text), STR("\xc3\xa4\xf0\x9f\x98\x80\0!")));
    assert_true(json_scan_next_key(&scan, &key));
    assert_true(str_is(json_scan_number(&scan), "18446744073709551615"));
    assert_false(json_scan_next_key(&scan, &key));
    assert_true(json_scan_end(&scan));
    buf_fini(&key);
    buf_fini(&text);
}

/* Random bytes of what JSON is made of. */
static void jansson_reads_the_same(void **state)
{
    static const char *const pieces[] = {
        "{", "}", "[",    "]",    ",",  ":",   "\"a\"", "\"",  "1",        "-", "0",       ".",
        "e", "+", "true", "null", "\\", "\\n", "\\u0",  "041", "\xc3\xa4", " ", "{\"a\":", "[1,"};
    uint64_t random = 9;
    unsigned read = 0;
    (void)state;

    for (int i = 0; i < 20000; i++) {
        struct buf text = BUF_EMPTY;
        for (uint64_t left = 1 + random_below(&random, 10); left > 0; left--)
            buf_text(&text, pieces[random_below(&random, TEST_COUNT(pieces))]);
        json_error_t error;
        json_t *tree =
            json_loadb(text.bytes, text.len,
                       JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
        bool is_out_of_range = tree == NULL && strstr(error.text, "overflow") != NULL;
        if (!is_out_of_range && skips(buf_view(&text)) != (tree != NULL))
            fail_msg("%.*s", STR_ARGS(buf_view(&text)));
        read += tree != NULL;
        json_decref(tree);
        buf_fini(&text);
    }
    assert_true(read > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_told_from_what_is_none),
        cmocka_unit_test(nesting_has_an_end),
        cmocka_unit_test(texts_and_numbers_are_what_was_sent),
        cmocka_unit_test(jansson_reads_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
