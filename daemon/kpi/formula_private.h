/* What the formula's parts share: parser, evaluation, and the conditions inside `if`. */
#pragma once

#include "kpi/formula.h"
#include "kpi/formula_function.h"
#include "kpi/scanner.h"

/* What the parser knows of a part of a formula. */
struct operand {
    struct formula_node *node;
    enum figure_class class;
    struct unit unit;
    bool is_constant;
    bool is_quotient;
};

/* The unit of `left op right`, and changes to the nodes where one side takes the other's unit.
 * False, with words but without a column, when they do not go together (FIG-26). */
bool formula_combine_units(enum formula_op op, struct operand *left, struct operand *right,
                           struct arena *arena, struct unit *out, struct error *err);

/* The figure of one call, for formula_eval.c. False only when the store cannot be read. */
bool formula_call_evaluate(const struct formula_node *node, struct read_txn *txn,
                           const struct formula_range *range, struct arena *arena,
                           struct figure *out, struct error *err);

/* Makes `out` null, keeping what is known of its coverage. */
__attribute__((format(printf, 3, 4))) void figure_set_null(struct figure *out,
                                                           enum null_reason reason,
                                                           const char *format, ...);

/* An empty figure: value 0, complete, nothing behind it. */
struct figure figure_zero(void);

/* Condition in the middle of a formula: reads up to its closing parenthesis, for the sake of its
 * mistakes alone (`if` is not built). */
bool condition_skip(struct scanner *scanner, struct arena *arena, struct error *err);
