/* Targets: what is expected by now, how a figure stands against it, and whether it is breached.
 *
 * Pure: figures and periods come in, codes go out. Rules STA-5 to STA-7, STA-13 to STA-15, ALR-2.
 */
#pragma once

#include "kpi/kpi.h"

/* W(t) of a linear path: the share of the period's civil time that has passed, 0 to 1 (STA-13). */
double target_path_weight(const struct calendar *calendar, const struct period *period,
                          wall_ms now);

/* Whether the number is met: the edge counts unless the target is strict (STA-15). */
bool target_is_met(const struct target *target, double value);

/* When a period that ends at `to` is frozen (FIG-29): whole days of settling are civil. */
wall_ms target_settled_at(const struct kpi *kpi, wall_ms to);

/* One figure over one period of a target. */
struct target_period {
    struct period period;
    struct figure figure;
};

/* Fills code, expected and pace for the open period (STA-1 from no_data on). */
void target_judge_open(const struct kpi *kpi, const struct target_period *open, wall_ms now,
                       struct target_status *out);

/* The verdict on a period that has ended (STA-15). */
enum kpi_status_code target_judge_closed(const struct kpi *kpi, const struct target *target,
                                         const struct target_period *closed, wall_ms now);

/* Whether `breached` speaks of the last closed period too: at_least totals over a day or less. */
bool target_waits_for_end(const struct kpi *kpi, const struct target *target);

/* Fills breached, judged and judged_figure (ALR-2), after target_judge_open. `last` is the newest
 * period that ended and is known to be met or not (settled, or met already); it is read only if
 * target_waits_for_end. */
void target_judge_breach(const struct kpi *kpi, const struct target_period *open,
                         const struct target_period *last, wall_ms now, struct target_status *out);
