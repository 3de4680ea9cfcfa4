/* What late samples make of periods that have closed (FIG-29, FIG-30).
 *
 * A period that has settled is recorded as it was said (kpi/period_record.h). Each look at a KPI
 * asks the store in which of these periods its samples have changed since the look before, computes
 * them again and says what has become another figure, or another verdict, for a person to see. The
 * commit up to which was looked is stored with what was found, so that nothing is missed and
 * nothing is said twice, whatever ends in between. A period that was closed before it was ever
 * evaluated is history, not restated: an import of a year into a new KPI says nothing.
 *
 * A look is done in steps, so that a year imported backwards does not keep the evaluator from its
 * schedules. The time by which periods close is the one that retention counts from: a clock that
 * has jumped ahead closes nothing. One thread: the evaluator's. */
#pragma once

#include "kpi/coord.h"

struct restater;

/* At most so many figures are computed in a step, and so many periods of a kind are kept of a KPI.
 */
enum { RESTATER_FIGURES = 64, RESTATER_KEPT = 1500 };

struct restater *restater_new(struct store *store);
void restater_free(struct restater *restater); /* NULL is fine */

/* A reload: the KPIs are borrowed until the next call. What is under way does not count any more:
 * restater_done says nothing then. */
void restater_set_kpis(struct restater *restater, const struct kpi_set *kpis);

/* It was evaluated: the next steps look at its closed periods. Nothing for a KPI that is not one of
 * the set. */
void restater_look(struct restater *restater, const struct kpi *kpi);

bool restater_has_work(const struct restater *restater);

/* A KPI that cannot be read is left until its next evaluation; NULL: none of them can. */
typedef void (*restater_failure_fn)(const struct kpi *kpi, const struct error *err, void *arg);

struct restater_step {
    wall_ms now;
    struct arena *arena;
    restater_failure_fn on_failure;
    void *arg;
};

/* One step. True: `out`, in the arena, is to be stored, and restater_done called before the next
 * step. */
bool restater_step(struct restater *restater, const struct restater_step *step,
                   struct coord_run *out);
void restater_done(struct restater *restater, bool is_stored);
