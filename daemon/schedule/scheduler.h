/* What is due, and what to do about runs that were missed.
 *
 * A plain list over schedules of one configuration. It does not ask the clock: its owner's timer
 * does. A clock that is set back never repeats a run at a set time: it counts only if it is later
 * than the last one. Only a last run more than a day ahead of the clock does not count: the clock
 * was wrong then, and waiting for it again could take years. Steady schedules (schedule.h) go on
 * from the time that the clock shows. */
#pragma once

#include "schedule/schedule.h"

struct scheduler;

struct scheduler_entry {
    const struct schedule *schedule; /* borrowed */
    wall_ms last_run;                /* WALL_NONE: never */
    wall_ms next_run;                /* WALL_NONE: never again */
    void *owner;                     /* the caller's: what runs */
};

struct scheduler *scheduler_new(void);
void scheduler_free(struct scheduler *scheduler);

/* `last_run` as it was stored (WALL_NONE if never). Missed runs are not made up for (catch_up:
 * none, the default of evaluations): the next run is the first after `now`. */
void scheduler_add(struct scheduler *scheduler, const struct schedule *schedule, void *owner,
                   wall_ms last_run, wall_ms now);

/* The earliest next run of all; WALL_NONE if there is none. */
wall_ms scheduler_next(const struct scheduler *scheduler);

/* The entries whose run is due at `now`, each once however many runs were missed; their last_run
 * becomes the newest run due, next_run the first one after `now`. Returns how many were put into
 * `out` (at most `max`; call again for the rest). */
size_t scheduler_take_due(struct scheduler *scheduler, wall_ms now, struct scheduler_entry **out,
                          size_t max);

/* The clock was set or the zone rules changed: next runs are planned anew from `now`; a run that
 * was made before is not repeated, and one that became due stays due. */
void scheduler_replan(struct scheduler *scheduler, wall_ms now);

/* For lists: entry `i`, NULL past the end. */
const struct scheduler_entry *scheduler_entry_at(const struct scheduler *scheduler, size_t i);
