/* The functions of formulas: one table that parser, evaluation and messages share.
 *
 * To add one: a line in the table, and where its samples are not summarised by what is there, its
 * figure in formula_call.c. */
#pragma once

#include "kpi/formula.h"

enum formula_function_id {
    FUNCTION_SUM,
    FUNCTION_COUNT,
    FUNCTION_AVG,
    FUNCTION_MIN,
    FUNCTION_MAX,
    FUNCTION_LAST,
    FUNCTION_AT_START,
    FUNCTION_UNIQUES,
    FUNCTION_RATE,
    FUNCTION_PERCENTILE,
    FUNCTION_SHARE,
    FUNCTION_NPS,
    FUNCTION_TOP2BOX,
    FUNCTION_KPI,
    FUNCTION_PREV,
    FUNCTION_SAME_LAST_YEAR,
};

enum formula_argument {
    ARGUMENT_METRIC,   /* metric [labels] */
    ARGUMENT_COMPARED, /* metric [labels] (>=|<=) number */
    ARGUMENT_KPI,      /* the id of a KPI */
    ARGUMENT_VALUE,    /* a formula */
};

/* What unit its figure has. */
enum formula_result { RESULT_METRIC, RESULT_COUNT, RESULT_RATIO, RESULT_POINTS, RESULT_ANY };

struct formula_function {
    const char *name; /* "p" stands for p50, p95, p99.9 */
    enum formula_function_id id;
    enum formula_argument argument;
    unsigned kinds; /* bit (1 << enum metric_kind) for each kind that has it (FIG-8) */
    enum figure_class class;
    enum formula_result result;
    bool built;
    bool needs_count; /* min_count is 20 where nothing else is said (STA-4) */
    const char *help;
};

/* NULL when there is none. */
const struct formula_function *formula_function_find(struct str name);

/* 0.95 for "p95", 0.999 for "p99.9": above 0, below 100, at most one decimal. False for others. */
bool formula_function_quantile(struct str name, double *q);

/* Hint for a name that is none: the nearest one, else all of them. Writes err->hint. */
void formula_function_hint(struct str name, struct error *err);

/* What to write instead of a function that a kind of metric does not have, in `out` (FIG-8): "a
 * counter's total is sum(signup)". */
const char *formula_function_advice(const struct formula_function *function, enum metric_kind kind,
                                    struct str metric, char *out, size_t size);
