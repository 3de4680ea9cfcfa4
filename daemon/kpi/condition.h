/* Conditions of rules: text -> expression -> true, false or unknown (ALR-1).
 *
 *   cond = breached | field cmp number|status | no_data(duration) | not, and, or, parentheses
 *   cmp  = < <= > >= == !=
 *
 * Built now: breached, value, expected, pace, status (of the rule's own target), not, and, or and
 * parentheses. The rest of the grammar is read and named by `not_built`. */
#pragma once

#include "kpi/kpi.h"

struct condition_node;

struct condition {
    const char *text;
    const struct condition_node *root;
    const char *not_built; /* NULL, or what this version cannot judge yet */
};

/* Numbers are in `unit` (FIG-27). All memory is in `arena`. The error's text begins with
 * "column N: ". */
bool condition_parse(struct str text, const struct unit *unit, struct arena *arena,
                     struct condition *out, struct error *err);

/* `target` is the rule's own, or NULL for a rule on a KPI without one. */
enum truth condition_judge(const struct condition *condition, const struct kpi_status *status,
                           const struct target_status *target);

/* Whether it asks for the KPI's own figure (`value`), rather than for how a target stands. */
bool condition_reads_value(const struct condition *condition);

/* Whether it is `breached` alone, which runs through the turn of a period for at_least totals over
 * a day or less (ALR-6). */
bool condition_is_breached(const struct condition *condition);
