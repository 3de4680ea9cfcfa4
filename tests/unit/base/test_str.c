#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "test.h"

/* --- pieces of text ----------------------------------------------------------------------------
 */

static void texts_are_compared_by_bytes(void **state)
{
    (void)state;
    assert_true(str_equal(STR("abc"), STR("abc")));
    assert_false(str_equal(STR("abc"), STR("abd")));
    assert_false(str_equal(STR("abc"), STR("ab")));
    assert_true(str_equal(STR_EMPTY, STR("")));
    assert_true(str_equal(STR("a\0b"), STR("a\0b")));
    assert_true(str_is(STR("abc"), "abc"));
    assert_false(str_is(STR("abc\0"), "abc"));
    assert_true(str_compare(STR("a"), STR("b")) < 0);
    assert_true(str_compare(STR("ab"), STR("a")) > 0);
    assert_true(str_compare(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_compare(STR("ab"), STR("ab")), 0);
    assert_int_equal(str_compare(STR_EMPTY, STR("")), 0);
    assert_true(str_compare(STR_EMPTY, STR("a")) < 0);
    assert_true(str_starts_with(STR("every 5m"), "every "));
    assert_false(str_starts_with(STR("every"), "every "));
    assert_true(str_starts_with(STR("x"), ""));
    assert_int_equal(str_of(NULL).len, 0);
}

static void texts_are_trimmed_and_split(void **state)
{
    (void)state;
    assert_true(str_is(str_trim(STR(" \ta b \t")), "a b"));
    assert_true(str_is(str_trim(STR(" \t ")), ""));
    assert_true(str_is(str_trim(STR("\na\n")), "\na\n"));
    assert_int_equal(str_trim(STR_EMPTY).len, 0);

    struct str rest = STR("a,,b");
    assert_true(str_is(str_split(&rest, ','), "a"));
    assert_true(str_is(rest, ",b"));
    assert_true(str_is(str_split(&rest, ','), ""));
    assert_true(str_is(rest, "b"));
    assert_true(str_is(str_split(&rest, ','), "b"));
    assert_int_equal(rest.len, 0);
    assert_int_equal(str_split(&rest, ',').len, 0);
}

/* --- numbers -----------------------------------------------------------------------------------
 */

static uint64_t bits_of(double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void assert_reads_as_strtod(const char *text)
{
    double value = NAN;
    double expected = strtod(text, NULL);

    bool accepted = str_parse_double(str_of(text), &value);
    if (accepted != (isfinite(expected) != 0))
        fail_msg("'%s' accepted: %d, strtod says %g", text, accepted, expected);
    if (accepted && bits_of(value) != bits_of(expected))
        fail_msg("'%s' is %.17g, not %.17g", text, value, expected);
}

/* S5, and the rest of the grammar */
static void numbers_have_one_grammar(void **state)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"+10", 10},
        {"-10", -10},
        {".5", 0.5},
        {"1.", 1},
        {"10e1", 100},
        {"0", 0},
        {"-0.0", -0.0},
        {"007", 7},
        {"1e-3", 0.001},
        {"1E+3", 1000},
        {"6.83", 6.83},
        {"-.25e2", -25},
        {"+1.e1", 10},
        {"1e0000001", 10},
        {"0e999999999", 0},
        {"1e-999999999", 0},
        {"-1e-999999999", -0.0},
        {"0.0000000000000000000000000000001e31", 1},
        {"1000000000000000000000000000000e-30", 1},
    };
    static const char *const refused[] = {
        "",
        "+",
        "-",
        ".",
        "e",
        "e5",
        ".e5",
        "1e",
        "1e+",
        "1e-",
        "--1",
        "+-1",
        "0,345",
        "1,5",
        "0x10",
        "0x1p3",
        "inf",
        "Infinity",
        "nan",
        "NaN",
        "-inf",
        "nan(1)",
        " 1",
        "1 ",
        "\t1",
        "1\n",
        "1_000",
        "1.2.3",
        "1e1.5",
        "1e5e5",
        "1d5",
        "1f",
        "0b1",
        "1e309",
        "-1e309",
        "1e999999999",
        "99999999999999999999e290",
        "\xd9\xa1",
        "1e99999999999999999999",
        "1-",
        "1+1",
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        double value = NAN;
        if (!str_parse_double(str_of(cases[i].text), &value))
            fail_msg("'%s' was refused", cases[i].text);
        if (bits_of(value) != bits_of(cases[i].value))
            fail_msg("'%s' is %.17g", cases[i].text, value);
    }
    for (size_t i = 0; i < TEST_COUNT(refused); i++) {
        double value = 42;
        if (str_parse_double(str_of(refused[i]), &value))
            fail_msg("'%s' was accepted", refused[i]);
        assert_true(value == 42);
    }
    double value = 42;
    assert_false(str_parse_double(STR("1\0"), &value));
    assert_false(str_parse_double(STR_EMPTY, &value));
    assert_true(str_parse_double((struct str){"12345", 2}, &value)); /* not a byte further */
    assert_true(value == 12);
}

static void hard_numbers_are_the_nearest_double(void **state)
{
    static const char *const texts[] = {
        /* around exact powers of ten */
        "1e22",
        "1e23",
        "1e-22",
        "1e-23",
        "9007199254740992e22",
        "9007199254740993e22",
        /* 2^53 and its neighbours, ties to even */
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "9007199254740994",
        "9007199254740995",
        "9007199254740993.00000000000000000000000000000001",
        "9007199254740992.99999999999999999999999999999999",
        "-9007199254740993",
        /* halfway cases with long tails */
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "0.500000000000000166533453693773481063544750213623046875",
        "3.518437208883201171875e13",
        "62.5364939768271845828",
        "8.10109172351e-10",
        "1.50000000000000011102230246251565",
        /* the largest, and what rounds to infinity */
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.797693134862315807e308",
        "1.7976931348623159e308",
        "179769313486231580793e289",
        /* the smallest normal, subnormals, and half of the smallest */
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "2.225073858507201e-308",
        "4.9406564584124654e-324",
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.4703282292062329e-324",
        "1e-400",
        "3e-324",
        "0.000000000000000000000000000000000000000000000000000000000000000000000000000000001e-243",
        /* nineteen digits and more */
        "1234567890123456789",
        "12345678901234567890",
        "18446744073709551615",
        "18446744073709551616",
        "0.1234567890123456789",
        "1234567890.12345678901234567890",
        "99999999999999999999999999999999999999",
        "0.30000000000000000000000000000000000000004",
        "6929495644600919.5",
        "3.7455744005952583e15",
        "2.2250738585072012e-308",
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(texts); i++)
        assert_reads_as_strtod(texts[i]);
}

/* xorshift64*: the same numbers in every run. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

static void random_digits_read_as_strtod_reads_them(void **state)
{
    uint64_t seed = 88172645463325252;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        char text[128];
        size_t len = 0;
        size_t digits = 1 + next_random(&seed) % (i % 10 == 0 ? 60 : 20);
        size_t dot = next_random(&seed) % (digits + 1);

        if (next_random(&seed) % 4 == 0)
            text[len++] = next_random(&seed) % 2 == 0 ? '-' : '+';
        for (size_t d = 0; d < digits; d++) {
            if (d == dot)
                text[len++] = '.';
            text[len++] = (char)('0' + next_random(&seed) % 10);
        }
        text[len] = '\0';
        if (next_random(&seed) % 2 == 0) {
            int range = i % 3 == 0 ? 660 : 60;
            int exponent = (int)(next_random(&seed) % (unsigned)range) - range / 2;
            (void)snprintf(text + len, sizeof text - len, "e%d", exponent);
        }
        assert_reads_as_strtod(text);
    }
}

/* The middle between two neighbouring doubles, exactly, and a digit below and above it. */
static void random_halfway_cases_are_ties_to_even(void **state)
{
    uint64_t seed = 362436069;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        char text[1200];
        double value = 0;
        uint64_t bits = next_random(&seed) & ~(UINT64_C(1) << 63);
        if (i % 4 == 0)
            bits &= UINT64_C(0x001fffffffffffff); /* around the subnormals */
        else if (i % 2 == 0)
            bits = (bits & UINT64_C(0x000fffffffffffff)) | (1023 + bits % 64) << 52;
        memcpy(&value, &bits, sizeof value);
        double above = 0;
        bits++; /* the next one up */
        memcpy(&above, &bits, sizeof above);
        if (!isfinite(value) || !isfinite(above) || value == 0)
            continue;
        long double middle = ((long double)value + (long double)above) / 2;
        int len = snprintf(text, sizeof text, "%.*Le", i % 4 == 0 ? 770 : 120, middle);
        assert_true(len > 0 && (size_t)len < sizeof text);
        assert_reads_as_strtod(text);
        char *digit = strchr(text, 'e') - 1;
        if (*digit != '9')
            (*digit)++;
        assert_reads_as_strtod(text);
    }
}

static void a_comma_locale_changes_nothing(void **state)
{
    static const char *const comma_locales[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8"};
    char text[STR_DOUBLE_SIZE];
    double value = 0;
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(comma_locales); i++)
        (void)setlocale(LC_ALL, comma_locales[i]); /* whichever there is */
    assert_true(str_parse_double(STR("1.5"), &value) && value == 1.5);
    assert_true(str_parse_double(STR("1.00000000000000011102230246251565404"), &value));
    assert_false(str_parse_double(STR("1,5"), &value));
    (void)str_format_double(0.1, text);
    assert_string_equal(text, "0.1");
    (void)setlocale(LC_ALL, "C");
}

static void very_long_numbers_are_legal(void **state)
{
    enum { LENGTH = 5000 };
    char *text = malloc(LENGTH + 8);
    double value = 0;
    (void)state;
    assert_non_null(text);

    memset(text, '0', LENGTH);
    text[LENGTH] = '\0';
    text[0] = '1';
    text[1] = '.';
    text[LENGTH - 1] = '1';
    assert_true(str_parse_double(str_of(text), &value) && value == 1.0);

    memset(text, '9', LENGTH); /* 5000 nines */
    assert_false(str_parse_double(str_of(text), &value));
    memcpy(text + LENGTH, "e-5000", 7);
    assert_true(str_parse_double(str_of(text), &value) && value == 1.0);

    memset(text, '0', LENGTH);
    memcpy(text + LENGTH, "1.5", 4);
    assert_true(str_parse_double(str_of(text), &value) && value == 1.5);
    free(text);
}

static void whole_numbers_are_checked_for_overflow(void **state)
{
    uint64_t u = 42;
    int64_t i = 42;
    (void)state;
    assert_true(str_parse_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_true(str_parse_u64(STR("0018"), &u) && u == 18);
    static const char *const not_u64[] = {"",    "-1",
                                          "+1",  "18446744073709551616",
                                          "1.0", "1e3",
                                          " 1",  "99999999999999999999999",
                                          "0x1", "18446744073709551620"};
    for (size_t n = 0; n < TEST_COUNT(not_u64); n++)
        assert_false(str_parse_u64(str_of(not_u64[n]), &u));
    assert_int_equal(u, 18);

    assert_true(str_parse_i64(STR("9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(str_parse_i64(STR("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(str_parse_i64(STR("+5"), &i) && i == 5);
    assert_true(str_parse_i64(STR("-0"), &i) && i == 0);
    static const char *const not_i64[] = {"",
                                          "-",
                                          "+",
                                          "9223372036854775808",
                                          "--1",
                                          "1.5",
                                          "-9223372036854775809",
                                          "18446744073709551615"};
    for (size_t n = 0; n < TEST_COUNT(not_i64); n++)
        assert_false(str_parse_i64(str_of(not_i64[n]), &i));
    assert_int_equal(i, 0);
}

static void spans_are_numbers_with_units(void **state)
{
    static const struct {
        const char *text;
        span_ms span;
    } cases[] = {
        {"250ms", 250},
        {"90s", 90000},
        {"5m", 300000},
        {"1h30m", 5400000},
        {"1d", 86400000},
        {"2w", 1209600000},
        {"1w2d3h4m5s6ms", 788645006},
        {"0s", 0},
        {"36h", 129600000},
        {"1m1m", 120000},
    };
    static const char *const refused[] = {
        "",
        "5",
        "m",
        "5 m",
        " 5m",
        "5m ",
        "-5m",
        "+5m",
        "1.5h",
        "5min",
        "5M",
        "1y",
        "5m5",
        "1h 30m",
        "106751991168d",
        "9223372036854775808ms",
        "9223372036854775807ms1ms",
        "1e3s",
        "99999999999999999999s",
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        span_ms span = -1;
        assert_true(str_parse_span(str_of(cases[i].text), &span));
        assert_int_equal(span, cases[i].span);
    }
    for (size_t i = 0; i < TEST_COUNT(refused); i++) {
        span_ms span = -1;
        if (str_parse_span(str_of(refused[i]), &span))
            fail_msg("'%s' was accepted", refused[i]);
        assert_int_equal(span, -1);
    }
}

static void doubles_are_written_as_short_as_they_read_back(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {6.83, "6.83"},
        {0.1, "0.1"},
        {1e21, "1e+21"},
        {-0.0, "-0"},
        {0, "0"},
        {100, "100"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {9007199254740993.0, "9007199254740992"},
        {123456789012, "123456789012"},
        {-42.5, "-42.5"},
    };
    uint64_t seed = 521288629;
    char text[STR_DOUBLE_SIZE];
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        size_t len = str_format_double(cases[i].value, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(len, strlen(text));
    }
    for (int i = 0; i < 50000; i++) {
        double value = 0;
        double back = 0;
        uint64_t bits = next_random(&seed);
        if (i % 3 == 0)
            bits = (bits & UINT64_C(0x800fffffffffffff)) | (1023 + bits % 40) << 52;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        size_t len = str_format_double(value, text);
        assert_true(str_parse_double((struct str){text, len}, &back));
        assert_int_equal(bits_of(back), bits);
    }
}

/* --- text for people ---------------------------------------------------------------------------
 */

static void client_bytes_are_escaped_and_cut(void **state)
{
    char out[STR_QUOTED_SIZE];
    char bytes[200];
    (void)state;
    assert_string_equal(str_quoted(STR("api.hits:|c"), out), "api.hits:|c");
    assert_string_equal(str_quoted(STR("a\nb\0\xff\x7f"), out), "a\\x0ab\\x00\\xff\\x7f");
    assert_string_equal(str_quoted(STR("say \"hi\"\\"), out), "say \\x22hi\\x22\\x5c");
    assert_string_equal(str_printable(STR("say \"hi\"\\\n"), out), "say \"hi\"\\\\x0a");
    assert_string_equal(str_quoted(STR_EMPTY, out), "");

    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(strlen(str_quoted((struct str){bytes, 80}, out)), 80);
    assert_int_equal(strlen(str_quoted((struct str){bytes, 81}, out)), 83);
    assert_string_equal(out + 80, "...");
    memset(bytes, '\x01', sizeof bytes);
    str_quoted((struct str){bytes, sizeof bytes}, out);
    assert_int_equal(strlen(out), 83);
    memset(bytes, 'x', 78); /* no room for an escape: it is not torn */
    str_quoted((struct str){bytes, 100}, out);
    assert_int_equal(strlen(out), 81);
    assert_string_equal(out + 76, "xx...");
}

static void utf8_is_what_rfc_3629_says(void **state)
{
    static const char *const good[] = {
        "",
        "abc",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "gr\xc3\xbc\xc3\x9f",
    };
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2z",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xe2\x82",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x9f\x92",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
        "ok\xc3",
        "\xe2\x28\xa1",
        "\xf8\x88\x80\x80\x80",
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(good); i++)
        assert_true(str_is_utf8(str_of(good[i])));
    for (size_t i = 0; i < TEST_COUNT(bad); i++)
        assert_false(str_is_utf8(str_of(bad[i])));
    assert_false(str_is_utf8(STR("a\0b")));
    assert_true(str_is_utf8(STR_EMPTY));
}

static void what_a_terminal_does_not_show_is_not_visible(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        {" ", 1},
        {"~", 1},
        {"\x1f", 0},
        {"\x7f", 0},
        {"\xc2\x80", 0}, /* a control character of 8 bits */
        {"\xc2\x9f", 0},
        {"\xc2\xa0", 2},
        {"\xc2\xad", 0}, /* a soft hyphen */
        {"\xc3\xbc", 2},
        {"\xe2\x82\xac", 3},
        {"\xe2\x80\x8a", 3},
        {"\xe2\x80\x8b", 0}, /* no width */
        {"\xe2\x80\xae", 0}, /* from right to left */
        {"\xe2\x81\xa9", 0},
        {"\xef\xbb\xbf", 0},
        {"\xf0\x9f\x98\x80", 4},
        {"\xf3\xa0\x81\x81", 0}, /* a tag */
        {"\xc3", 0},
        {"\xff", 0},
        {"\xed\xa0\x80", 0},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "x%s!", cases[i].text);
        assert_int_equal(str_visible(str_of(text), 1), cases[i].len);
        assert_int_equal(str_visible(str_of(cases[i].text), 0), cases[i].len);
    }
    assert_int_equal(str_visible(STR("\0"), 0), 0);
    assert_int_equal(str_visible((struct str){"\xc3\xbc", 1}, 0), 0);
}

static void the_nearest_word_is_worth_a_question(void **state)
{
    static const char *const words[] = {"sum",     "count",    "avg",   NULL,
                                        "uniques", "at_least", "period"};
    static const struct {
        const char *word;
        const char *nearest;
    } cases[] = {
        {"summ", "sum"},
        {"smu", "sum"},
        {"cuont", "count"},
        {"unique", "uniques"},
        {"at_leats", "at_least"},
        {"preiod", "period"},
        {"xyz", NULL},
        {"", NULL},
        {"sum", "sum"},
        {"zzzzzzzzzzzz", NULL},
        {"a word that is far longer than forty characters", NULL},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const char *found = str_nearest(str_of(cases[i].word), words, TEST_COUNT(words));
        if (cases[i].nearest == NULL) {
            assert_null(found);
        } else {
            assert_non_null(found);
            assert_string_equal(found, cases[i].nearest);
        }
    }
    assert_null(str_nearest(STR("sum"), NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_compared_by_bytes),
        cmocka_unit_test(texts_are_trimmed_and_split),
        cmocka_unit_test(numbers_have_one_grammar),
        cmocka_unit_test(hard_numbers_are_the_nearest_double),
        cmocka_unit_test(random_digits_read_as_strtod_reads_them),
        cmocka_unit_test(random_halfway_cases_are_ties_to_even),
        cmocka_unit_test(a_comma_locale_changes_nothing),
        cmocka_unit_test(very_long_numbers_are_legal),
        cmocka_unit_test(whole_numbers_are_checked_for_overflow),
        cmocka_unit_test(spans_are_numbers_with_units),
        cmocka_unit_test(doubles_are_written_as_short_as_they_read_back),
        cmocka_unit_test(client_bytes_are_escaped_and_cut),
        cmocka_unit_test(utf8_is_what_rfc_3629_says),
        cmocka_unit_test(what_a_terminal_does_not_show_is_not_visible),
        cmocka_unit_test(the_nearest_word_is_worth_a_question),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
