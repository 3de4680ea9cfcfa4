#include <stdio.h>

#include "kpi/formula.h"
#include "kpi/formula_function.h"
#include "series/random.h"
#include "series/series_key.h"
#include "test.h"

static struct arena arena = ARENA_EMPTY;

static struct metric_definition definitions[] = {
    {.name = "signup", .has_kind = true, .kind = METRIC_COUNTER},
    {.name = "stock", .has_kind = true, .kind = METRIC_GAUGE},
    {.name = "checkout", .has_kind = true, .kind = METRIC_DISTRIBUTION, .unit = "ms"},
    {.name = "visitors", .has_kind = true, .kind = METRIC_UNIQUE, .unit = "people"},
    {.name = "answer", .has_kind = true, .kind = METRIC_SCORE},
    {.name = "stars",
     .has_kind = true,
     .kind = METRIC_SCORE,
     .has_range = true,
     .range_low = 1,
     .range_high = 5},
    {.name = "seconds", .has_kind = true, .kind = METRIC_DISTRIBUTION, .unit = "s"},
    {.name = "loose", .has_kind = true, .kind = METRIC_UNTYPED},
    {.name = "cost", .has_kind = true, .kind = METRIC_COUNTER, .unit = "EUR"},
    {.name = "bill", .has_kind = true, .kind = METRIC_COUNTER, .unit = "USD"},
    {.name = "hours", .has_kind = true, .kind = METRIC_COUNTER, .unit = "h"},
    {.name = "customers", .has_kind = true, .kind = METRIC_COUNTER, .unit = "customers"},
    {.name = "leads", .has_kind = true, .kind = METRIC_COUNTER, .unit = "leads"},
    {.name = "load", .has_kind = true, .kind = METRIC_GAUGE, .unit = "%"},
};
static struct metric_table metrics;

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(definitions); i++)
        assert_true(table_add(&metrics.by_name, str_of(definitions[i].name), &definitions[i]));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    table_fini(&metrics.by_name);
    arena_fini(&arena);
    return 0;
}

static struct formula parse(const char *text)
{
    struct formula out;
    struct error err = ERROR_EMPTY;
    if (!formula_parse(str_of(text), &metrics, &arena, &out, &err))
        fail_msg("'%s': %s", text, err.text);
    return out;
}

static void classes_follow_the_functions(void **state)
{
    static const struct {
        const char *text;
        enum figure_class class;
        bool is_ratio;
    } CASES[] = {
        {"sum(signup)", FIGURE_TOTAL, false},
        {"sum(a) + count(b) - uniques(c)", FIGURE_TOTAL, false},
        {"2 * sum(a)", FIGURE_TOTAL, false},
        {"sum(a) / 2", FIGURE_TOTAL, false},
        {"sum(a) * 2 + 1", FIGURE_TOTAL, false},
        {"last(a)", FIGURE_LEVEL, false},
        {"at_start(a) + sum(b)", FIGURE_LEVEL, false},
        {"last(a) - last(b)", FIGURE_LEVEL, false},
        {"1000 * last(a)", FIGURE_LEVEL, false},
        {"avg(a)", FIGURE_MEAN, false},
        {"rate(a)", FIGURE_MEAN, false},
        {"sum(a) / sum(b)", FIGURE_MEAN, true},
        {"100 * sum(a) / sum(b)", FIGURE_MEAN, true},
        {"(sum(a) - sum(c)) / (sum(b) + sum(d))", FIGURE_MEAN, true},
        {"sum(a) / at_start(b)", FIGURE_MEAN, true},
        {"avg(a) / sum(b)", FIGURE_MEAN, false},
        {"1 / sum(b)", FIGURE_MEAN, false},
        {"1 - sum(a) / sum(b)", FIGURE_MEAN, false},
        {"sum(a) * sum(b)", FIGURE_MEAN, false},
        {"sum(a) + avg(b)", FIGURE_MEAN, false},
        {"5", FIGURE_LEVEL, false},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct formula formula = parse(CASES[i].text);
        if (formula.class != CASES[i].class || formula.is_ratio != CASES[i].is_ratio)
            fail_msg("'%s': class %d, ratio %d", CASES[i].text, (int)formula.class,
                     (int)formula.is_ratio);
        assert_null(formula.not_built);
        assert_non_null(formula.root);
        assert_string_equal(formula.text, CASES[i].text);
    }
}

static void products_bind_more_tightly_than_sums(void **state)
{
    (void)state;
    struct formula formula = parse("1 + 2 * 3 - 4 / 2");
    assert_int_equal(formula.root->op, FORMULA_SUBTRACT);
    assert_int_equal(formula.root->left->op, FORMULA_ADD);
    assert_int_equal(formula.root->left->right->op, FORMULA_MULTIPLY);
    assert_int_equal(formula.root->right->op, FORMULA_DIVIDE);
    formula = parse("8 / 4 / 2");
    assert_int_equal(formula.root->left->op, FORMULA_DIVIDE); /* from the left */
    formula = parse("sum(a) -5");
    assert_int_equal(formula.root->op, FORMULA_SUBTRACT);
    assert_true(formula.root->right->number == 5);
    formula = parse("sum(a) * -5K");
    assert_true(formula.root->right->number == -5000);
}

static void labels_become_matches(void **state)
{
    (void)state;
    struct formula formula = parse("sum(api.hits-total{plan=\"pro\", host != 'a', path^=\"/v1\", "
                                   "zone in [\"eu\", us], tier in 'x', note='it\\'s'})");
    const struct selector *selector = &formula.root->selector;
    static const struct {
        const char *label;
        enum match_op op;
        size_t count;
        const char *first;
    } EXPECTED[] = {
        {"plan", MATCH_EQUAL, 1, "pro"},  {"host", MATCH_NOT_EQUAL, 1, "a"},
        {"path", MATCH_PREFIX, 1, "/v1"}, {"zone", MATCH_IN, 2, "eu"},
        {"tier", MATCH_IN, 1, "x"},       {"note", MATCH_EQUAL, 1, "it's"},
    };
    assert_true(str_is(selector->metric, "api.hits-total"));
    assert_int_equal(selector->match_count, TEST_COUNT(EXPECTED));
    for (size_t i = 0; i < TEST_COUNT(EXPECTED); i++) {
        const struct label_match *match = &selector->matches[i];
        assert_true(str_is(match->label, EXPECTED[i].label));
        assert_int_equal(match->op, EXPECTED[i].op);
        assert_int_equal(match->value_count, EXPECTED[i].count);
        assert_true(str_is(match->values[0], EXPECTED[i].first));
    }
    assert_true(str_is(selector->matches[3].values[1], "us"));
    assert_int_equal(parse("sum(a{})").root->selector.match_count, 0);
    assert_true(str_is(parse("sum(\"odd name/x\")").root->selector.metric, "odd name/x"));
    assert_int_equal(parse("sum(a{b=\"\"})").root->selector.matches[0].values[0].len, 0);
}

static void quoted_text_may_hold_anything(void **state)
{
    static const struct {
        const char *quoted;
        struct str text;
    } CASES[] = {
        {"\"\"", STR("")},
        {"\"a b\"", STR("a b")},
        {"'a\"b'", STR("a\"b")},
        {"\"a'b\"", STR("a'b")},
        {"\"a\\\"b\\'c\"", STR("a\"b'c")},
        {"'a\\\"b\\'c'", STR("a\"b'c")},
        {"\"\\\\\"", STR("\\")},
        {"\"\\\\n\"", STR("\\n")},
        {"\"\\n\\r\\t\"", STR("\n\r\t")},
        {"\"x\\x0ay\"", STR("x\ny")},
        {"\"\\x00\\xfF\\xC3\"", STR("\0\xff\xc3")},
        {"\"\\x41\\x5c\\x22\"", STR("A\\\"")},
        {"\"\\x414\"", STR("A4")},
        {"\"\xff\xc3\xbc\"", STR("\xff\xc3\xbc")},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "sum(a{b=%s})", CASES[i].quoted);
        const struct selector *selector = &parse(text).root->selector;
        assert_true(str_equal(selector->matches[0].values[0], CASES[i].text));
    }
    assert_true(str_is(parse("sum(a{\"b c\\n\"='d'})").root->selector.matches[0].label, "b c\n"));
    assert_true(str_is(parse("sum(\"a\\xff\")").root->selector.metric, "a\xff"));
}

/* A name or value of pieces that are easily taken for something else. */
static struct str random_text(uint64_t *seed, bool is_metric, struct buf *out)
{
    static const struct str pieces[] = {
        STR("a"),        STR("B9"),
        STR("."),        STR("-"),
        STR(":"),        STR("_"),
        STR(" "),        STR("\""),
        STR("'"),        STR("\\"),
        STR("\\x41"),    STR("\\n"),
        STR("{"),        STR("}"),
        STR("="),        STR(","),
        STR("in"),       STR("("),
        STR(")"),        STR("per"),
        STR("\xc3\xbc"), STR("\xe2\x80\x8b"),
        STR("\xff"),     STR("\xc3"),
        STR("\xc2\x85"), STR("\xbc"),
        STR("\n"),       STR("\t"),
        STR("\x1b"),     STR("\x02"),
    };
    enum { CONTROL = 4, COUNT = TEST_COUNT(pieces) };
    size_t count = 1 + random_below(seed, 6);

    buf_clear(out);
    for (size_t i = 0; i < count; i++)
        buf_str(out, pieces[random_below(seed, is_metric ? COUNT - CONTROL : COUNT)]);
    return buf_view(out);
}

/* A random key whose labels are named 0..., 1... and so on, as they are sorted. */
static void random_key(uint64_t *seed, struct buf *out)
{
    struct label labels[4];
    struct buf texts[9] = {BUF_EMPTY};
    size_t count = random_below(seed, 5);

    for (size_t i = 0; i < count; i++) {
        struct str text = random_text(seed, false, &texts[8]);
        buf_clear(&texts[2 * i]);
        buf_printf(&texts[2 * i], "%zu%.*s", i, STR_ARGS(text));
        labels[i].name = buf_view(&texts[2 * i]);
        labels[i].value = random_text(seed, false, &texts[2 * i + 1]);
    }
    struct str metric = random_text(seed, true, &texts[8]);
    series_key_write(out, METRIC_COUNTER, metric, labels, count);
    for (size_t i = 0; i < TEST_COUNT(texts); i++)
        buf_fini(&texts[i]);
}

static bool has_byte_that_is_not_shown(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.text[i] < 0x20 || text.text[i] == 0x7f)
            return true;
    }
    return !str_is_utf8(text);
}

/* What is shown of a series is a selector, of it alone. */
static void what_is_shown_of_a_series_selects_it(void **state)
{
    uint64_t seed = 23;
    struct buf key = BUF_EMPTY;
    struct buf shown = BUF_EMPTY;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct label label;
        size_t at = 0;
        size_t count = 0;
        struct arena arena_of_round = ARENA_EMPTY;
        struct formula formula;
        struct error err = ERROR_EMPTY;
        random_key(&seed, &key);
        assert_true(series_key_is_valid(buf_view(&key)));
        buf_clear(&shown);
        buf_text(&shown, "count(");
        series_key_format(&shown, buf_view(&key));
        buf_char(&shown, ')');
        assert_false(has_byte_that_is_not_shown(buf_view(&shown)));
        if (!formula_parse(buf_view(&shown), NULL, &arena_of_round, &formula, &err))
            fail_msg("%.*s: %s", STR_ARGS(buf_view(&shown)), err.text);
        const struct selector *selector = &formula.root->selector;
        assert_true(str_equal(selector->metric, series_key_metric(buf_view(&key))));
        for (; series_key_next_label(buf_view(&key), &at, &label); count++) {
            const struct label_match *match = &selector->matches[count];
            assert_true(count < selector->match_count);
            assert_int_equal(match->op, MATCH_EQUAL);
            assert_true(str_equal(match->label, label.name));
            assert_true(str_equal(match->values[0], label.value));
        }
        assert_int_equal(count, selector->match_count);
        arena_fini(&arena_of_round);
    }
    buf_fini(&key);
    buf_fini(&shown);
}

static void what_is_not_built_yet_parses_and_is_named(void **state)
{
    static const struct {
        const char *text;
        const char *not_built;
    } CASES[] = {
        {"kpi(mrr) / kpi(new-customers)", "kpi()"},
        {"prev(sum(signup))", "prev()"},
        {"sum(a) - same_last_year(sum(a) + 1)", "same_last_year()"},
        {"if (value > 5 and not breached) sum(a) else sum(b) + 1", "if"},
        {"if (kpi mrr >= 5K or change(1w) < 0) 1 else if (status == behind) 2 else 3", "if"},
        {"sum(signup per h)", "sum(... per h)"},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct formula formula = parse(CASES[i].text);
        assert_non_null(formula.not_built);
        assert_string_equal(formula.not_built, CASES[i].not_built);
    }
    assert_null(parse("rate(signup per h)").not_built);
}

static void percentiles_and_shares_have_class_unit_and_least_count(void **state)
{
    static const struct {
        const char *text;
        double number;
        bool at_least;
        enum dimension dimension;
    } CASES[] = {
        {"p50(checkout)", 0.5, false, DIMENSION_TIME},
        {"p95(checkout{plan=\"pro\"})", 0.95, false, DIMENSION_TIME},
        {"p99.9(checkout)", 0.999, false, DIMENSION_TIME},
        {"p7(unknown)", 0.07, false, DIMENSION_ANY},
        {"p0.1(answer)", 0.001, false, DIMENSION_ANY},
        {"share(checkout <= 300)", 300, false, DIMENSION_RATIO},
        {"share(checkout <= 300ms)", 300, false, DIMENSION_RATIO},
        {"share(checkout >= 0.3s)", 300, true, DIMENSION_RATIO},
        {"share(seconds <= 300ms)", 0.3, false, DIMENSION_RATIO},
        {"share(unknown <= 300ms)", 300, false, DIMENSION_RATIO}, /* it is in ms, then */
        {"share(answer{team=\"a\"} >= 9)", 9, true, DIMENSION_RATIO},
        {"nps(answer)", 1, false, DIMENSION_POINTS},
        {"top2box(stars)", 1, false, DIMENSION_RATIO},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct formula formula = parse(CASES[i].text);
        if (formula.not_built != NULL || formula.class != FIGURE_MEAN ||
            formula.unit.dimension != CASES[i].dimension)
            fail_msg("'%s': class %d, dimension %d", CASES[i].text, (int)formula.class,
                     (int)formula.unit.dimension);
        assert_true(formula.root->number == CASES[i].number);
        assert_int_equal(formula.root->at_least, CASES[i].at_least);
        assert_true(formula.min_count == 20); /* STA-4 */
    }
    assert_string_equal(parse("p95(checkout)").unit.name, "ms");
    assert_true(parse("p95(checkout) / 2 + 1ms").min_count == 20);
    assert_true(parse("sum(a)").min_count == 1);
    assert_int_equal(parse("1 - share(checkout <= 300ms)").unit.dimension, DIMENSION_RATIO);
}

static void mistakes_have_their_column(void **state)
{
    static const struct {
        const char *text;
        const char *words;
        const char *hint;
    } CASES[] = {
        {"summ(signup)", "column 1: unknown function 'summ'", "did you mean 'sum'?"},
        {"sum(a) / cuont(b)", "column 10: unknown function 'cuont'", "did you mean 'count'?"},
        {"p100(x)", "column 1: unknown function 'p100'", NULL},
        {"p0(x)", "column 1: unknown function 'p0'", NULL},
        {"p0.0(x)", "column 1: unknown function 'p0.0'", NULL},
        {"p99.95(x)", "column 1: unknown function 'p99.95'", NULL},
        {"p95.(x)", "column 1: unknown function 'p95.'", NULL},
        {"p.5(x)", "column 1: unknown function 'p.5'", NULL},
        {"share(checkout <= 5EUR)", "column 19: the metric is in 'ms', but this number is in 'EUR'",
         ""},
        {"share(checkout < 5ms)", "column 16: expected '>=' or '<=', found '<'", ""},
        {"top2box(answer)", "column 1: the range of 'answer' is not declared",
         "declare it with the metric, as range: [ 1, 5 ]"},
        {"frobnicate(x)", "column 1: unknown function 'frobnicate'", NULL},
        {"signup", "column 1: 'signup' stands without a function",
         "a metric is read by a function, as sum(signup)"},
        {"sum", "column 1: 'sum' needs parentheses after it", ""},
        {"", "column 1: expected a function, a number or '(', but the text ends", ""},
        {"sum(", "column 5: expected a metric, but the text ends", ""},
        {"sum(a", "column 6: expected ')', but the text ends", ""},
        {"sum()", "column 5: expected a metric, found ')'", ""},
        {"(sum(a)", "column 8: expected ')', but the text ends", ""},
        {"sum(a) sum(b)", "column 8: expected an operator or the end, found 'sum'", ""},
        {"sum(a) +", "column 9: expected a function, a number or '(', but the text ends", ""},
        {"sum(a) % 2", "column 8: expected an operator or the end, found '%'", ""},
        {"sum(a / b)", "column 5: sum() takes one metric, not a formula",
         "calculate with figures, as sum(a) / sum(b)"},
        {"avg(kpi(errors))", "column 5: avg() takes one metric, not a formula", NULL},
        {"sum(a{b})", "column 8: expected =, !=, ^= or in, found '}'", ""},
        {"sum(a{b=})", "column 9: expected a value in quotes, found '}'", ""},
        {"sum(a{b=\"c)", "column 9: the quote \" is never closed", ""},
        {"sum(a{b=\"c\\q\"})",
         "column 11: in quotes '\\' stands before '\\', a quote, n, r, t or x and two digits", ""},
        {"sum(a{b=\"\\x4\"})",
         "column 10: in quotes '\\' stands before '\\', a quote, n, r, t or x and two digits", ""},
        {"sum(\"\\",
         "column 6: in quotes '\\' stands before '\\', a quote, n, r, t or x and two digits", ""},
        {"sum(a{b=\"c\"", "column 12: expected '}', but the text ends", ""},
        {"sum(a{b in [\"c\")", "column 16: expected ']', found ')'", ""},
        {"rate(a per EUR)", "column 12: 'per' takes s, min, h or d", ""},
        {"share(a)", "column 8: expected '>=' or '<=', found ')'", ""},
        {"5,000 * sum(a)", "column 2: expected an operator or the end, found ','", ""},
        {"1.2.3", "column 1: '1.2.3' is not a number", ""},
        {"if (value) sum(a) else 1", "column 10: expected <, <=, >, >=, == or !=, found ')'", ""},
        {"if (breached) sum(a)", "column 21: expected 'else', but the text ends", ""},
        {"sum(a) $", "column 8: expected an operator or the end, found '$'", ""},
        /* FIG-8 */
        {"count(signup)", "column 1: a counter's total is sum(signup)", ""},
        {"sum(a) + sum(stock)", "column 10: 'stock' is a gauge: use last or avg", ""},
        {"uniques(signup)", "column 1: a counter's total is sum(signup)", ""},
        {"sum(visitors)", "column 1: what a unique counts is uniques(visitors)", ""},
        {"last(checkout)", "column 1: 'checkout' is a distribution: use avg or a percentile", ""},
        {"sum(answer)", "column 1: 'answer' is a score: use nps, top2box, share, avg or count", ""},
        {"uniques(loose)",
         "column 1: 'loose' is untyped: declare its type, or use sum, count or avg", ""},
        {"p95(stock)", "column 1: 'stock' is a gauge: use last or avg", ""},
        {"p95(loose)", "column 1: 'loose' is untyped: declare its type, or use sum, count or avg",
         ""},
        {"share(signup >= 1)", "column 1: a counter's total is sum(signup)", ""},
        {"nps(checkout)", "column 1: 'checkout' is a distribution: use count, sum or avg", ""},
        /* FIG-26 */
        {"sum(cost) + sum(hours)", "column 11: cannot add 'EUR' and 'h': their units differ", ""},
        {"sum(cost) - sum(bill)", "column 11: cannot subtract 'EUR' and 'USD': their units differ",
         ""},
        {"sum(customers) + sum(cost)",
         "column 16: cannot add 'customers' and 'EUR': their units differ", ""},
        {"avg(checkout) + 5", "column 15: a number beside 'ms' needs its unit", "write it as 5ms"},
        {"avg(checkout) + 5EUR", "column 15: cannot add 'ms' and 'EUR': their units differ", ""},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct formula out;
        struct error err = ERROR_EMPTY;
        if (formula_parse(str_of(CASES[i].text), &metrics, &arena, &out, &err))
            fail_msg("'%s' parses", CASES[i].text);
        assert_int_equal(err.kind, ERROR_INVALID);
        assert_string_equal(err.text, CASES[i].words);
        if (CASES[i].hint != NULL)
            assert_string_equal(err.hint, CASES[i].hint);
    }
}

static void units_follow_from_the_metrics(void **state)
{
    static const struct {
        const char *text;
        enum dimension dimension;
        const char *name;
    } CASES[] = {
        {"sum(signup)", DIMENSION_ANY, ""},
        {"sum(cost)", DIMENSION_MONEY, "EUR"},
        {"count(checkout)", DIMENSION_COUNT, ""},
        {"avg(checkout)", DIMENSION_TIME, "ms"},
        {"2 * avg(checkout)", DIMENSION_TIME, "ms"},
        {"avg(checkout) + 5ms", DIMENSION_TIME, "ms"},
        {"sum(cost) / sum(customers)", DIMENSION_MONEY, "EUR"},
        {"sum(cost) / sum(signup)", DIMENSION_MONEY, "EUR"},
        {"sum(hours) / sum(hours)", DIMENSION_RATIO, ""},
        {"sum(signup) / sum(visits)", DIMENSION_ANY, ""},
        {"sum(customers) + sum(leads)", DIMENSION_COUNT, ""},
        {"sum(cost) * (1 - avg(load))", DIMENSION_MONEY, "EUR"},
        {"avg(load)", DIMENSION_RATIO, "%"},
        {"100% - avg(load)", DIMENSION_RATIO, "%"},
        {"rate(cost)", DIMENSION_ANY, ""},
        {"sum(cost) / sum(hours)", DIMENSION_ANY, ""},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct formula formula = parse(CASES[i].text);
        if (formula.unit.dimension != CASES[i].dimension)
            fail_msg("'%s' is %d", CASES[i].text, (int)formula.unit.dimension);
        assert_string_equal(formula.unit.name, CASES[i].name);
    }
}

static void a_kpi_can_only_show_what_its_formula_gives(void **state)
{
    static const struct {
        const char *text;
        const char *unit;
        const char *words; /* NULL: it can */
    } CASES[] = {
        {"sum(signup) / sum(visits)", "%", NULL},
        {"sum(signup) / sum(visits)", "EUR", NULL},
        {"sum(cost) / sum(customers)", "EUR", NULL}, /* FIG-26 */
        {"avg(checkout)", "h", NULL},
        {"avg(checkout)", "EUR", "the figure is in 'ms' and cannot be shown in 'EUR'"},
        {"sum(cost)", "USD", "the figure is in 'EUR' and cannot be shown in 'USD'"},
        {"sum(cost)", "%", "the figure is in 'EUR' and cannot be shown in '%'"},
        {"count(checkout)", "checkouts", NULL},
        {"count(checkout)", "h", "the figure is in 'a count' and cannot be shown in 'h'"},
        {"sum(hours) / sum(hours)", "%", NULL},
        {"100 * sum(signup) / sum(visits)", "%",
         "a figure in '%' is a fraction, not times 100"}, /* FIG-27 */
        {"sum(signup) / sum(visits) * 100", "%", "a figure in '%' is a fraction, not times 100"},
        {"100 * sum(signup) / sum(visits)", "", NULL},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct formula formula = parse(CASES[i].text);
        struct unit unit;
        struct error err = ERROR_EMPTY;
        assert_true(unit_parse(str_of(CASES[i].unit), &unit));
        bool ok = formula_set_unit(&formula, &unit, &err);
        if (ok != (CASES[i].words == NULL))
            fail_msg("'%s' in '%s': %s", CASES[i].text, CASES[i].unit, err.text);
        if (!ok)
            assert_string_equal(err.text, CASES[i].words);
    }
}

static void ratios_over_countable_totals_need_a_base_of_thirty(void **state)
{
    (void)state;
    assert_true(parse("sum(failed) / sum(requests)").min_denominator == 30);
    assert_true(parse("sum(lost) / at_start(subscribers)").min_denominator == 1);
    assert_true(parse("sum(signup) / sum(cost)").min_denominator == 1);
    assert_true(parse("sum(cost) / sum(customers)").min_denominator == 30);
    assert_true(parse("sum(a) / sum(b) + 1").min_denominator == 1);
    assert_true(parse("sum(a) / 2").min_denominator == 1);
}

static void hostile_formulas_end_in_words(void **state)
{
    struct buf text = BUF_EMPTY;
    struct formula out;
    struct error err = ERROR_EMPTY;
    (void)state;

    for (int i = 0; i < 1000; i++)
        buf_char(&text, '(');
    assert_false(formula_parse(buf_view(&text), &metrics, &arena, &out, &err));
    assert_string_equal(err.text, "column 41: the formula has too many parts");
    buf_clear(&text);
    for (int i = 0; i < 1000; i++)
        buf_text(&text, "1+");
    assert_false(formula_parse(buf_view(&text), &metrics, &arena, &out, &err));
    assert_non_null(strstr(err.text, "too many parts"));
    buf_clear(&text);
    for (int i = 0; i < 5000; i++)
        buf_char(&text, ' ');
    assert_false(formula_parse(buf_view(&text), &metrics, &arena, &out, &err));
    assert_string_equal(err.text, "column 4096: the formula is longer than 4096 bytes");
    buf_fini(&text);
    assert_false(formula_parse(STR("sum(a\0b)"), &metrics, &arena, &out, &err));
    assert_false(formula_parse(STR("sum(\"a\nb\")"), &metrics, &arena, &out, &err));
    assert_string_equal(err.text, "column 5: this is no name of a metric");
}

static void percentiles_are_functions_by_their_number(void **state)
{
    (void)state;
    assert_null(formula_function_find(STR("p")));
    assert_null(formula_function_find(STR("p0")));
    assert_non_null(formula_function_find(STR("p50")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_follow_the_functions),
        cmocka_unit_test(products_bind_more_tightly_than_sums),
        cmocka_unit_test(labels_become_matches),
        cmocka_unit_test(quoted_text_may_hold_anything),
        cmocka_unit_test(what_is_shown_of_a_series_selects_it),
        cmocka_unit_test(what_is_not_built_yet_parses_and_is_named),
        cmocka_unit_test(percentiles_and_shares_have_class_unit_and_least_count),
        cmocka_unit_test(mistakes_have_their_column),
        cmocka_unit_test(units_follow_from_the_metrics),
        cmocka_unit_test(a_kpi_can_only_show_what_its_formula_gives),
        cmocka_unit_test(ratios_over_countable_totals_need_a_base_of_thirty),
        cmocka_unit_test(hostile_formulas_end_in_words),
        cmocka_unit_test(percentiles_are_functions_by_their_number),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
