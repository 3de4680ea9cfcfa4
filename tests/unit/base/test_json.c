#include <math.h>

#include "base/json.h"
#include "test.h"

static struct buf out;

static struct json begin(void)
{
    buf_clear(&out);
    return json_to(&out);
}

static void assert_written(const char *expected)
{
    if (!str_is(buf_view(&out), expected))
        fail_msg("%.*s is not %s", STR_ARGS(buf_view(&out)), expected);
}

static int free_out(void **state)
{
    (void)state;
    buf_fini(&out);
    return 0;
}

static void commas_stand_between_items_only(void **state)
{
    struct json json = begin();
    (void)state;
    json_open(&json, '{');
    json_field_text(&json, "id", "churn");
    json_key(&json, "low");
    json_i64(&json, INT64_MIN);
    json_field_u64(&json, "high", UINT64_MAX);
    json_field_bool(&json, "on", true);
    json_key(&json, "by");
    json_open(&json, '{');
    json_close(&json, '}');
    json_key(&json, "points");
    json_open(&json, '[');
    json_number(&json, 1);
    json_open(&json, '[');
    json_close(&json, ']');
    json_put_null(&json);
    json_bool(&json, false);
    json_raw(&json, STR("{\"x\":1}"));
    json_open(&json, '{');
    json_field_str(&json, "y", STR("z"));
    json_close(&json, '}');
    json_close(&json, ']');
    json_field_text(&json, "none", NULL);
    json_field_number(&json, "value", 6.83);
    json_close(&json, '}');
    assert_written("{\"id\":\"churn\",\"low\":-9223372036854775808,\"high\":18446744073709551615,"
                   "\"on\":true,\"by\":{},\"points\":[1,[],null,false,{\"x\":1},{\"y\":\"z\"}],"
                   "\"none\":null,\"value\":6.83}");
}

static void text_is_escaped(void **state)
{
    static const struct {
        struct str text;
        const char *json;
    } cases[] = {
        {{"", 0}, "\"\""},
        {{NULL, 0}, "\"\""},
        {{"a\"b\\c/d", 7}, "\"a\\\"b\\\\c/d\""},
        {{"\n\r\t\b\f", 5}, "\"\\n\\r\\t\\u0008\\u000c\""},
        {{"\0\x01\x1f\x7f", 4}, "\"\\u0000\\u0001\\u001f\x7f\""},
        {{"gr\xc3\xbc\xc3\x9f", 6}, "\"gr\xc3\xbc\xc3\x9f\""},
        {{"\xe2\x82\xac\xf0\x9f\x92\xa9", 7}, "\"\xe2\x82\xac\xf0\x9f\x92\xa9\""},
        /* not UTF-8: U+FFFD for each bad byte */
        {{"a\xff"
          "b",
          3},
         "\"a\xef\xbf\xbd"
         "b\""},
        {{"\xc3", 1}, "\"\xef\xbf\xbd\""},
        {{"\xc3\"", 2}, "\"\xef\xbf\xbd\\\"\""},
        {{"\xe2\x82", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xc0\x80", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xf4\x90\x80\x80", 4}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xff\xc3\xbc", 3}, "\"\xef\xbf\xbd\xc3\xbc\""},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct json json = begin();
        json_str(&json, cases[i].text);
        assert_written(cases[i].json);
        assert_true(str_is_utf8(buf_view(&out)));
    }
    struct json json = begin();
    json_open(&json, '{');
    json_key_str(&json, STR("a\"\xff"));
    json_i64(&json, 0);
    json_close(&json, '}');
    assert_written("{\"a\\\"\xef\xbf\xbd\":0}");
}

static void every_byte_makes_valid_text(void **state)
{
    (void)state;
    for (int first = 0; first < 256; first++) {
        for (int second = 0; second < 256; second++) {
            const char bytes[] = {(char)first, (char)second, 'x'};
            struct json json = begin();
            json_str(&json, (struct str){bytes, sizeof bytes});
            assert_true(str_is_utf8(buf_view(&out)));
            assert_int_equal(out.bytes[out.len - 2], 'x');
        }
    }
}

static void numbers_that_json_cannot_say_are_null(void **state)
{
    static const struct {
        double value;
        const char *json;
    } cases[] = {
        {NAN, "null"}, {INFINITY, "null"}, {-INFINITY, "null"}, {-0.0, "0"},     {0, "0"},
        {0.1, "0.1"},  {-37.5, "-37.5"},   {1e21, "1e+21"},     {1e-7, "1e-07"}, {160000, "160000"},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct json json = begin();
        json_number(&json, cases[i].value);
        assert_written(cases[i].json);
    }
}

static void sixty_levels_nest(void **state)
{
    struct json json = begin();
    (void)state;
    for (int i = 0; i < 60; i++) {
        json_open(&json, i % 2 == 0 ? '[' : '{');
        if (i % 2 != 0)
            json_key(&json, "k");
    }
    json_put_null(&json);
    for (int i = 59; i >= 0; i--)
        json_close(&json, i % 2 == 0 ? ']' : '}');
    assert_int_equal(json.depth, 0);
    assert_int_equal(out.bytes[0], '[');
    assert_int_equal(out.bytes[out.len - 1], ']');
    for (size_t i = 0; i < out.len; i++)
        assert_int_not_equal(out.bytes[i], ',');
}

/* After a closed list the comma of the level above is still due. */
static void levels_do_not_mix_their_commas(void **state)
{
    struct json json = begin();
    (void)state;
    json_open(&json, '[');
    for (int i = 0; i < 3; i++) {
        json_open(&json, '[');
        json_i64(&json, i);
        json_i64(&json, i);
        json_close(&json, ']');
    }
    json_close(&json, ']');
    assert_written("[[0,0],[1,1],[2,2]]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_between_items_only),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(every_byte_makes_valid_text),
        cmocka_unit_test(numbers_that_json_cannot_say_are_null),
        cmocka_unit_test(sixty_levels_nest),
        cmocka_unit_test(levels_do_not_mix_their_commas),
    };
    return cmocka_run_group_tests(tests, NULL, free_out);
}
