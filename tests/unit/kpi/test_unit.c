#include <math.h>

#include "kpi/unit.h"
#include "test.h"

static struct unit unit(const char *text)
{
    struct unit out;
    assert_true(unit_parse(str_of(text), &out));
    return out;
}

static void units_have_a_dimension_or_are_nouns(void **state)
{
    static const struct {
        const char *text;
        enum dimension dimension;
        double scale;
        const char *name;
    } CASES[] = {
        {"", DIMENSION_ANY, 1, ""},
        {"%", DIMENSION_RATIO, 0.01, "%"},
        {"percent", DIMENSION_RATIO, 0.01, "%"},
        {"ms", DIMENSION_TIME, 0.001, "ms"},
        {" h ", DIMENSION_TIME, 3600, "h"},
        {"KB", DIMENSION_BYTES, 1000, "KB"},
        {"KiB", DIMENSION_BYTES, 1024, "KiB"},
        {"EUR", DIMENSION_MONEY, 1, "EUR"},
        {"eur", DIMENSION_COUNT, 1, "eur"},
        {"points", DIMENSION_POINTS, 1, "points"},
        {"customers", DIMENSION_COUNT, 1, "customers"},
        {"K\xc3\xa4ufe", DIMENSION_COUNT, 1, "K\xc3\xa4ufe"},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct unit out = unit(CASES[i].text);
        assert_int_equal(out.dimension, CASES[i].dimension);
        assert_true(out.scale == CASES[i].scale);
        assert_string_equal(out.name, CASES[i].name);
    }
}

static void units_that_cannot_be_shown_are_refused(void **state)
{
    struct unit out;
    (void)state;
    assert_false(unit_parse(STR("a very long unit that nobody would want to read"), &out));
    assert_false(unit_parse(STR("bad\nunit"), &out));
    assert_false(unit_parse(STR("\xff"), &out));
}

static void numbers_are_read_in_the_unit_of_the_figure(void **state)
{
    static const struct {
        const char *text;
        const char *unit;
        double base;
        bool relative;
    } CASES[] = {
        {"25K", "", 25000, false}, /* FIG-28 */
        {"160K", "EUR", 160000, false},
        {"160K EUR", "EUR", 160000, false},
        {"1.5M", "", 1.5e6, false},
        {"2G", "", 2e9, false},
        {"2", "%", 0.02, false}, /* FIG-27: the same as 2% */
        {"2%", "%", 0.02, false},
        {"2 percent", "%", 0.02, false},
        {"35%", "%", 0.35, false}, /* the nearest double to 0.35 */
        {"5pp", "%", 0.05, false},
        {"+5pp", "%", 0.05, true},
        {"+20%", "EUR", 0.2, true},
        {"-10%", "%", -0.1, true},
        {"+2", "points", 2, true},
        {"800ms", "ms", 0.8, false},
        {"800ms", "s", 0.8, false},
        {"800", "ms", 0.8, false},
        {"14h", "h", 14 * 3600, false},
        {"90m", "h", 5400, false},
        {"1w", "d", 7 * 86400, false},
        {"5 min", "h", 300, false},
        {"20 customers", "customers", 20, false},
        {"20K customers", "customers", 20000, false},
        {"5m", "m", 5, false}, /* a noun of this KPI */
        {"64KB", "B", 64000, false},
        {"64KiB", "MB", 65536, false},
        {"64K", "B", 64000, false},
        {".5", "", 0.5, false},
        {"3%", "", 0.03, false},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct unit figure = unit(CASES[i].unit);
        struct error err = ERROR_EMPTY;
        double base = 0;
        bool relative = false;
        if (!unit_parse_number(str_of(CASES[i].text), &figure, &base, &relative, &err))
            fail_msg("'%s': %s", CASES[i].text, err.text);
        if (base != CASES[i].base)
            fail_msg("'%s' is %.17g", CASES[i].text, base);
        assert_int_equal(relative, CASES[i].relative);
    }
}

static void mistakes_in_numbers_have_words(void **state)
{
    static const struct {
        const char *text;
        const char *unit;
        const char *words;
    } CASES[] = {
        {"", "", "'' is not a number"},
        {"abc", "", "'abc' is not a number"},
        {"5,000", "", "'5,000' is not a number"},
        {"1.2.3", "", "'1.2.3' is not a number"},
        {"--5", "", "'--5' is not a number"},
        {"5 6", "", "'5 6' is not a number"},
        {"1h30m", "h", "'1h30m' is not a number"},
        {"5h", "EUR", "'5h' is in 'h', but the figure is in 'EUR'"},
        {"5 USD", "EUR", "'5 USD' is in 'USD', but the figure is in 'EUR'"},
        {"5%", "EUR", "'5%' is in '%', but the figure is in 'EUR'"},
        {"5 leads", "customers", "'5 leads' is in 'leads', but the figure is in 'customers'"},
        {"5pp", "h", "'5pp' is in 'pp', but the figure is in 'h'"},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct unit figure = unit(CASES[i].unit);
        struct error err = ERROR_EMPTY;
        double base = 0;
        bool relative = false;
        assert_false(unit_parse_number(str_of(CASES[i].text), &figure, &base, &relative, &err));
        assert_string_equal(err.text, CASES[i].words);
    }
}

static void a_comma_gets_a_hint(void **state)
{
    struct unit figure = unit("");
    struct error err = ERROR_EMPTY;
    double base = 0;
    bool relative = false;
    (void)state;
    assert_false(unit_parse_number(STR("5,000"), &figure, &base, &relative, &err));
    assert_string_equal(err.hint, "write thousands without a comma, as 5000 or 5K");
}

static void shown_numbers_have_no_dust(void **state)
{
    struct unit percent = unit("%");
    struct unit hours = unit("h");
    (void)state;
    for (int i = 0; i <= 1000; i++) {
        double shown = (double)i / 10;
        if (unit_shown(&percent, unit_base(&percent, shown)) != shown)
            fail_msg("%.17g", unit_shown(&percent, unit_base(&percent, shown)));
    }
    assert_true(unit_shown(&percent, 0.0683) == 6.83);       /* FIG-27 */
    assert_true(unit_shown(&hours, 46800000 * 0.001) == 13); /* FIG-26 */
}

static void figures_are_written_for_people(void **state)
{
    static const struct {
        double shown;
        const char *unit;
        double near;
        const char *text;
    } CASES[] = {
        {171.0 / 2503 * 100, "%", NAN, "6.83 %"},
        {131200, "EUR", NAN, "131,200 EUR"},
        {13, "h", NAN, "13 h"},
        {7, "", NAN, "7"},
        {0, "", NAN, "0"},
        {-0.0, "", NAN, "0"},
        {-1234567, "", NAN, "-1,234,567"},
        {1234.56, "EUR", NAN, "1,235 EUR"},
        {133.333333, "", NAN, "133.3"},
        {10.4166667, "", NAN, "10.42"},
        {0.0105263, "%", NAN, "0.01053 %"},
        {0.1, "", NAN, "0.1"},
        {1.996, "%", 2, "1.996 %"}, /* FIG-36 */
        {2.0, "%", 2, "2 %"},
        {99.99999, "", 100, "99.99999"},
        {999.97, "", 1000, "999.97"},
    };
    char out[UNIT_TEXT_SIZE];
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct unit figure = unit(CASES[i].unit);
        double near = isnan(CASES[i].near) ? NAN : unit_base(&figure, CASES[i].near);
        assert_string_equal(unit_format(&figure, unit_base(&figure, CASES[i].shown), near, out),
                            CASES[i].text);
    }
    struct unit plain = unit("");
    assert_string_equal(unit_format(&plain, NAN, NAN, out), "none");
    assert_string_equal(unit_format(&plain, 1e300, 2e300, out), "1e+300");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_have_a_dimension_or_are_nouns),
        cmocka_unit_test(units_that_cannot_be_shown_are_refused),
        cmocka_unit_test(numbers_are_read_in_the_unit_of_the_figure),
        cmocka_unit_test(mistakes_in_numbers_have_words),
        cmocka_unit_test(a_comma_gets_a_hint),
        cmocka_unit_test(shown_numbers_have_no_dust),
        cmocka_unit_test(figures_are_written_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
