#include "kpi/formula_function.h"

#include <stdio.h>
#include <string.h>

#define COUNTER      (1U << METRIC_COUNTER)
#define GAUGE        (1U << METRIC_GAUGE)
#define DISTRIBUTION (1U << METRIC_DISTRIBUTION)
#define UNIQUE       (1U << METRIC_UNIQUE)
#define SCORE        (1U << METRIC_SCORE)
#define UNTYPED      (1U << METRIC_UNTYPED)

static const struct formula_function FUNCTIONS[] = {
    {"sum", FUNCTION_SUM, ARGUMENT_METRIC, COUNTER | DISTRIBUTION | UNTYPED, FIGURE_TOTAL,
     RESULT_METRIC, true, false, "the sum of all samples"},
    {"count", FUNCTION_COUNT, ARGUMENT_METRIC, DISTRIBUTION | SCORE | UNTYPED, FIGURE_TOTAL,
     RESULT_COUNT, true, false, "how many samples there are"},
    {"avg", FUNCTION_AVG, ARGUMENT_METRIC, GAUGE | DISTRIBUTION | SCORE | UNTYPED, FIGURE_MEAN,
     RESULT_METRIC, true, false, "the mean of all samples, of a gauge over time"},
    {"min", FUNCTION_MIN, ARGUMENT_METRIC, GAUGE | DISTRIBUTION | UNTYPED, FIGURE_MEAN,
     RESULT_METRIC, true, false, "the least sample"},
    {"max", FUNCTION_MAX, ARGUMENT_METRIC, GAUGE | DISTRIBUTION | UNTYPED, FIGURE_MEAN,
     RESULT_METRIC, true, false, "the greatest sample"},
    {"last", FUNCTION_LAST, ARGUMENT_METRIC, GAUGE | UNTYPED, FIGURE_LEVEL, RESULT_METRIC, true,
     false, "the level at the period's end, or now"},
    {"at_start", FUNCTION_AT_START, ARGUMENT_METRIC, GAUGE | UNTYPED, FIGURE_LEVEL, RESULT_METRIC,
     true, false, "the level at the period's first instant"},
    {"uniques", FUNCTION_UNIQUES, ARGUMENT_METRIC, UNIQUE, FIGURE_TOTAL, RESULT_COUNT, true, false,
     "how many different members were seen"},
    {"rate", FUNCTION_RATE, ARGUMENT_METRIC, COUNTER | DISTRIBUTION | UNTYPED, FIGURE_MEAN,
     RESULT_ANY, true, false, "the sum per second that has passed, or 'per h', 'per d'"},
    {"p", FUNCTION_PERCENTILE, ARGUMENT_METRIC, DISTRIBUTION | SCORE, FIGURE_MEAN, RESULT_METRIC,
     true, true, "a percentile: p50, p95, p99.9"},
    {"share", FUNCTION_SHARE, ARGUMENT_COMPARED, DISTRIBUTION | SCORE, FIGURE_MEAN, RESULT_RATIO,
     true, true, "the share of samples on one side of a number, as share(wait <= 300)"},
    {"nps", FUNCTION_NPS, ARGUMENT_METRIC, SCORE, FIGURE_MEAN, RESULT_POINTS, true, true,
     "the net promoter score, of answers from 0 to 10"},
    {"top2box", FUNCTION_TOP2BOX, ARGUMENT_METRIC, SCORE, FIGURE_MEAN, RESULT_RATIO, true, true,
     "the share of the two highest values of its range"},
    {"kpi", FUNCTION_KPI, ARGUMENT_KPI, 0, FIGURE_MEAN, RESULT_ANY, false, false,
     "the figure of another KPI"},
    {"prev", FUNCTION_PREV, ARGUMENT_VALUE, 0, FIGURE_MEAN, RESULT_METRIC, false, false,
     "the figure of the period before"},
    {"same_last_year", FUNCTION_SAME_LAST_YEAR, ARGUMENT_VALUE, 0, FIGURE_MEAN, RESULT_METRIC,
     false, false, "the figure of the same period a year before"},
};

enum { FUNCTION_COUNT_ALL = sizeof FUNCTIONS / sizeof FUNCTIONS[0] };

/* What a word may have been meant as; "if" is read by the parser. */
static const char *const NAMES_ALL[] = {
    "sum", "count", "avg",   "min", "max",     "last", "at_start", "uniques",        "rate", "p50",
    "p95", "p99",   "share", "nps", "top2box", "kpi",  "prev",     "same_last_year", "if"};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool formula_function_quantile(struct str name, double *q)
{
    unsigned thousandths = 0;
    size_t at = 1;

    if (name.len < 2 || name.text[0] != 'p')
        return false;
    for (; at < name.len && at <= 2 && is_digit(name.text[at]); at++)
        thousandths = thousandths * 10 + (unsigned)(name.text[at] - '0');
    thousandths *= 10;
    if (at > 1 && name.len == at + 2 && name.text[at] == '.' && is_digit(name.text[at + 1])) {
        thousandths += (unsigned)(name.text[at + 1] - '0');
        at += 2;
    }
    *q = thousandths / 1000.0; /* the nearest number to 0.999, as 99.9 / 100 is not */
    return at == name.len && thousandths > 0;
}

const struct formula_function *formula_function_find(struct str name)
{
    double q = 0;
    bool percentile = formula_function_quantile(name, &q);
    for (size_t i = 0; i < FUNCTION_COUNT_ALL; i++) {
        if (FUNCTIONS[i].id == FUNCTION_PERCENTILE ? percentile : str_is(name, FUNCTIONS[i].name))
            return &FUNCTIONS[i];
    }
    return NULL;
}

void formula_function_hint(struct str name, struct error *err)
{
    const char *nearest = str_nearest(name, NAMES_ALL, sizeof NAMES_ALL / sizeof NAMES_ALL[0]);
    if (nearest != NULL)
        (void)error_hint(err, "did you mean '%s'?", nearest);
    else
        (void)error_hint(err, "functions are sum, count, avg, min, max, last, at_start, uniques, "
                              "rate, p50 to p99.9, share, nps, top2box, kpi, prev, "
                              "same_last_year and if");
}

const char *formula_function_advice(const struct formula_function *function, enum metric_kind kind,
                                    struct str metric, char *out, size_t size)
{
    char quoted[STR_QUOTED_SIZE];
    (void)str_quoted(metric, quoted);

    switch (kind) {
    case METRIC_COUNTER:
        (void)snprintf(out, size, "a counter's total is sum(%s)", quoted);
        break;
    case METRIC_GAUGE:
        (void)snprintf(out, size, "'%s' is a gauge: use last or avg", quoted);
        break;
    case METRIC_UNIQUE:
        (void)snprintf(out, size, "what a unique counts is uniques(%s)", quoted);
        break;
    case METRIC_DISTRIBUTION:
        (void)snprintf(out, size, "'%s' is a distribution: use %s", quoted,
                       function->id == FUNCTION_LAST || function->id == FUNCTION_AT_START
                           ? "avg or a percentile"
                           : "count, sum or avg");
        break;
    case METRIC_SCORE:
        (void)snprintf(out, size, "'%s' is a score: use nps, top2box, share, avg or count", quoted);
        break;
    case METRIC_UNTYPED:
    default:
        (void)snprintf(out, size, "'%s' is untyped: declare its type, or use sum, count or avg",
                       quoted);
        break;
    }
    return out;
}
