/* Background work on what is stored: merging runs, folding closed quarters of an hour into
 * partitions, combining partitions, building days, expiring, indexing. Private to store/.
 *
 * On the writer's thread, in steps: each a transaction of its own of at most UPKEEP_STEP_CPU_US of
 * CPU and UPKEEP_STEP_BYTES of changed pages. What a job builds is seen by nobody before its last
 * small transaction; a job that is cut short leaves garbage, which is collected.
 *
 * job       what it does
 * tier      `fanout` runs of one tier become one of the next
 * fold      when a quarter of an hour has closed, or very many late cells wait, or many of them
 *           and nothing came for a minute: the cells before the closed mark of all runs
 * become partitions of minutes, one for each window of 240 minutes that they touch; the others
 *           become one run. Cells of quarters and days that are built already go to partitions of
 *           these levels too, in the same last transaction: so every level always says the same.
 * combine   partitions that lie in one window become one: minutes by 60, then by 240; when all of a
 *           window is closed its quarters are built in the same pass. Quarters by 672, days by 32.
 *           Windows that late samples have added partitions to are combined again.
 * day       when a civil day of a calendar is over and its quarters are built: its cells from them,
 *           for each calendar (days of calendars and of imports that came later too)
 * expire    the marks move up to which nothing is kept, of each metric with a rule and of the rest
 *           (store/kept.h); partitions of which nobody keeps anything are taken off the list, and
 *           series of metrics that are kept for less are taken out of theirs
 * churn     once a day: series that came no more for `churn_after` join the `__other__` of their
 *           metric, and their ids go; whenever there are some, those that somebody wants to be gone
 * collect   deletes garbage
 * index     catalogue (store/index.h); identities that are too old (store/identity.h) */
#pragma once

#include "base/calendar.h"
#include "store/guard.h"
#include "store/parts.h"

/* A quarter of an hour is closed so long after its end, if the options say nothing else. */
#define UPKEEP_LAG_MS (INT64_C(2) * MS_PER_MINUTE)

enum {
    UPKEEP_STEP_CPU_US = 15 * 1000, /* a step asks after each chunk: it ends within 20 ms */
    UPKEEP_STEP_BYTES = 6 << 20,
    UPKEEP_FANOUT = 8,
    UPKEEP_QUIET_CELLS = 1000 * 1000, /* late ones, folded when nothing came for a while */
};

struct upkeep;

struct upkeep *upkeep_new(struct store *store, const struct upkeep_options *options);
void upkeep_free(struct upkeep *upkeep); /* drops what is under way; NULL is fine */

/* A reload: between steps. The options are borrowed until the next call. */
void upkeep_set_options(struct upkeep *upkeep, const struct upkeep_options *options);

/* Whose series may be removed, and who forgets them then: that of the thread that calls the steps.
 * Borrowed; without it series stay. */
struct catalog;
void upkeep_set_catalog(struct upkeep *upkeep, struct catalog *catalog);

/* Series whose cells are to join `__other__` as soon as none of them is in a run any more: after
 * the quarter of an hour of their last sample was folded. In any transaction of the thread that
 * calls the steps. */
bool upkeep_want_gone(struct upkeep *upkeep, struct write_txn *txn, const uint32_t *ids,
                      size_t count, wall_ms now, struct error *err);

/* After a step that has taken series away for good: whoever remembers something of them by their
 * ids forgets it. On the thread that calls the steps. */
typedef void (*upkeep_removed_fn)(const uint32_t *ids, size_t count, void *arg);
void upkeep_on_removed(struct upkeep *upkeep, upkeep_removed_fn on_removed, void *arg);

/* Does one step of the most urgent work. `*more`: there was some, call again soon. False: the store
 * could not be read or written; the job is dropped and begun anew later. `clock` says up to when
 * minutes may be closed and data may be dropped. */
bool upkeep_step(struct upkeep *upkeep, const struct guard *clock, bool *more, struct error *err);

/* What it did since upkeep_new, for benchmarks and /metrics. */
struct upkeep_counts {
    uint64_t steps, tiers, folds, combines, days, expired, collected, churns;
    uint64_t churned;                 /* series */
    uint64_t cpu_us, slowest_step_us; /* CPU of this thread, the commit's too */
    uint64_t largest_step_bytes;
};
void upkeep_counts(const struct upkeep *upkeep, struct upkeep_counts *out);
