/* The evaluator thread: evaluates what is due and hands each status on.
 *
 * The schedule runs on the wall clock by a timerfd that notices when the clock is set. What follows
 * from the statuses of one run, and the schedule's mark, is committed by one transition
 * (kpi/coord.h). While that is under way the schedule's next run waits. When no schedule waits,
 * what late samples have made of closed periods is looked for (kpi/restater.h).
 *
 * A KPI is computed from one snapshot, and so are the others of its run unless that takes long. */
#pragma once

#include "kpi/coord.h"
#include "kpi/kpi.h"
#include "schedule/scheduler.h"

struct evaluator;

/* What one schedule evaluates. */
struct evaluation {
    const struct schedule *schedule;
    const struct kpi *const *kpis;
    size_t kpi_count;
};

/* Part of a configuration, borrowed until evaluator_reload returns. */
struct evaluator_config {
    const struct kpi_set *kpis;
    const struct evaluation *evaluations;
    size_t evaluation_count;
};

struct evaluator *evaluator_new(struct store *store, struct coord *coord,
                                const struct evaluator_config *config);

/* Reads the stored marks and starts the thread, which notes newly declared metrics (FIG-11) and
 * then runs every schedule of short intervals once, so that alerts catch up with the time kpid was
 * down. Schedules of set times (cron, whole days) wait for their next one. */
bool evaluator_start(struct evaluator *evaluator, struct error *err);

/* Main thread. When it returns the old configuration is no longer used, and no transition that
 * refers to it is under way: one is waited for, up to EVALUATOR_PATIENCE; what the writer still
 * cannot commit by then (a full disk) is given up and made anew by the next evaluation. Schedules
 * run as after evaluator_start. */
enum { EVALUATOR_PATIENCE_MS = 2000 };
void evaluator_reload(struct evaluator *evaluator, const struct evaluator_config *config);

/* Waits for the transition under way, as evaluator_reload does. Call it before writer_stop, so that
 * the writer can commit it. */
void evaluator_stop(struct evaluator *evaluator);

/* After writer_stop, since the writer answers what was given up. Stops it; NULL is fine. */
void evaluator_free(struct evaluator *evaluator);

struct thread *evaluator_thread(struct evaluator *evaluator);

/* Stored last and next run of a schedule (RECORD_SCHEDULE: key its id; value i64 last, i64 next).
 */
bool evaluator_mark(struct read_txn *txn, struct str schedule, wall_ms *last, wall_ms *next);

/* When a metric was first declared (RECORD_DECLARED: key the metric's name cut to 400 bytes; value
 * i64); WALL_NONE if never. Usable as formula_range.declared_at with the read_txn as argument. */
wall_ms evaluator_declared_at(struct str metric, void *txn);
