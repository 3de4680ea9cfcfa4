/* Expression + store -> figure. Null spreads, and so does what is said of the sources (FIG-10). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kpi/formula_private.h"

struct evaluation {
    struct read_txn *txn;
    const struct formula_range *range;
    struct arena *arena;
    struct error *err;
};

const char *null_reason_name(enum null_reason reason)
{
    switch (reason) {
    case NULL_NEVER_SEEN:
        return "never_seen";
    case NULL_BEFORE_FIRST:
        return "before_first";
    case NULL_NO_SAMPLES:
        return "no_samples";
    case NULL_DIVISION_BY_ZERO:
        return "division_by_zero";
    case NULL_STALE:
        return "stale";
    case NULL_AMBIGUOUS:
        return "ambiguous";
    case NULL_NOT_BUILT:
        return "not_built";
    case NULL_NOT_YET:
        return "not_yet";
    case NULL_TOO_LARGE:
        return "too_large";
    case NULL_NOT:
    default:
        return "none";
    }
}

struct figure figure_zero(void)
{
    return (struct figure){
        .denominator = NAN, .count = NAN, .detail = "", .coverage = COVERAGE_EMPTY};
}

void figure_set_null(struct figure *out, enum null_reason reason, const char *format, ...)
{
    va_list args;

    out->is_null = true;
    out->value = 0;
    out->reason = reason;
    va_start(args, format);
    (void)vsnprintf(out->detail, sizeof out->detail, format, args);
    va_end(args);
}

static void merge_coverage(struct coverage *into, const struct coverage *from)
{
    into->complete = into->complete && from->complete;
    into->levels |= from->levels;
    if (from->newest > into->newest)
        into->newest = from->newest;
    into->mixed_sources = into->mixed_sources || from->mixed_sources;
}

/* "no requests" where the divisor is a total of one metric, else what it is. */
static void set_division_by_zero(const struct formula_node *divisor, struct figure *out)
{
    char quoted[STR_QUOTED_SIZE];
    if (divisor->op == FORMULA_CALL && divisor->function->class == FIGURE_TOTAL)
        figure_set_null(out, NULL_DIVISION_BY_ZERO, "no %s",
                        str_quoted(divisor->selector.metric, quoted));
    else
        figure_set_null(out, NULL_DIVISION_BY_ZERO, "a division by 0 is no value");
}

static double calculate(enum formula_op op, double left, double right)
{
    switch (op) {
    case FORMULA_ADD:
        return left + right;
    case FORMULA_SUBTRACT:
        return left - right;
    case FORMULA_MULTIPLY:
        return left * right;
    default:
        return left / right;
    }
}

static void combine(const struct formula_node *node, const struct figure *left,
                    const struct figure *right, struct figure *out)
{
    *out = *left;
    out->partial = left->partial || right->partial;
    out->stale = left->stale || right->stale;
    merge_coverage(&out->coverage, &right->coverage);
    /* Of a quotient the base is what it divides by. fmin ignores what has no count. */
    out->count = node->op == FORMULA_DIVIDE && !isnan(right->count)
                     ? right->count
                     : fmin(left->count, right->count);
    if (left->is_null)
        return;
    if (out->detail[0] == '\0')
        memcpy(out->detail, right->detail, sizeof out->detail);
    if (right->is_null) {
        figure_set_null(out, right->reason, "%s", right->detail);
        return;
    }
    if (node->op == FORMULA_DIVIDE && right->value == 0) {
        set_division_by_zero(node->right, out);
        return;
    }
    out->value = calculate(node->op, left->value, right->value);
    if (!isfinite(out->value))
        figure_set_null(out, NULL_TOO_LARGE, "the result is larger than a number can be");
}

static bool evaluate_node(const struct evaluation *evaluation, const struct formula_node *node,
                          struct figure *out)
{
    struct figure left;
    struct figure right;

    *out = figure_zero();
    switch (node->op) {
    case FORMULA_NUMBER:
        out->value = node->number;
        return true;
    case FORMULA_CALL:
        return formula_call_evaluate(node, evaluation->txn, evaluation->range, evaluation->arena,
                                     out, evaluation->err);
    case FORMULA_NOT_BUILT:
        figure_set_null(out, NULL_NOT_BUILT, "not built yet");
        return true;
    default:
        if (!evaluate_node(evaluation, node->left, &left) ||
            !evaluate_node(evaluation, node->right, &right))
            return false;
        combine(node, &left, &right, out);
        if (node->op == FORMULA_DIVIDE && !right.is_null)
            out->denominator = right.value;
        else
            out->denominator = NAN;
        return true;
    }
}

bool formula_evaluate(const struct formula *formula, struct read_txn *txn,
                      const struct formula_range *range, struct arena *arena, struct figure *out,
                      struct error *err)
{
    struct evaluation evaluation = {txn, range, arena, err};

    if (formula->not_built != NULL) {
        *out = figure_zero();
        figure_set_null(out, NULL_NOT_BUILT, "not built yet: %s", formula->not_built);
        return true;
    }
    if (!evaluate_node(&evaluation, formula->root, out))
        return false;
    if (!formula->is_ratio)
        out->denominator = NAN;
    if (!out->is_null)
        out->value = unit_base(&formula->assumed, out->value);
    if (!out->coverage.complete || out->coverage.mixed_sources)
        out->partial = true;
    return true;
}
