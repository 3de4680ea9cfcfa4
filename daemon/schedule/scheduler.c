#include "schedule/scheduler.h"

#include <stdlib.h>

#include "base/memory.h"

struct scheduler {
    struct scheduler_entry **entries; /* each on its own: callers keep pointers */
    size_t count;
    size_t capacity;
};

/* A last run so far ahead of the clock was made while the clock was wrong; to wait for it could
 * mean to wait for years. Steady schedules never wait: a machine that starts with its clock two
 * hours ahead must not be blind for two hours. */
#define AHEAD_MAX ((span_ms)MS_PER_DAY)

struct scheduler *scheduler_new(void)
{
    return memory_zero(1, sizeof(struct scheduler));
}

void scheduler_free(struct scheduler *scheduler)
{
    if (scheduler == NULL)
        return;
    for (size_t i = 0; i < scheduler->count; i++)
        free(scheduler->entries[i]);
    free((void *)scheduler->entries);
    free(scheduler);
}

/* The first run after `now` that was not made already. */
static void plan(struct scheduler_entry *entry, wall_ms now)
{
    bool was_made = !schedule_is_steady(entry->schedule) && entry->last_run != WALL_NONE &&
                    entry->last_run > now && entry->last_run - AHEAD_MAX <= now;
    entry->next_run = schedule_next(entry->schedule, was_made ? entry->last_run : now);
}

void scheduler_add(struct scheduler *scheduler, const struct schedule *schedule, void *owner,
                   wall_ms last_run, wall_ms now)
{
    if (scheduler->count == scheduler->capacity) {
        scheduler->capacity = scheduler->capacity == 0 ? 16 : scheduler->capacity * 2;
        scheduler->entries = memory_grow((void *)scheduler->entries, scheduler->capacity,
                                         sizeof(struct scheduler_entry *));
    }
    struct scheduler_entry *entry = memory_zero(1, sizeof *entry);
    entry->schedule = schedule;
    entry->owner = owner;
    entry->last_run = last_run;
    plan(entry, now);
    scheduler->entries[scheduler->count++] = entry;
}

wall_ms scheduler_next(const struct scheduler *scheduler)
{
    wall_ms first = WALL_NONE;
    for (size_t i = 0; i < scheduler->count; i++) {
        wall_ms next = scheduler->entries[i]->next_run;
        if (next != WALL_NONE && (first == WALL_NONE || next < first))
            first = next;
    }
    return first;
}

/* Whether a schedule's next run after `after` is due at `now`. */
static bool is_due(const struct schedule *schedule, wall_ms after, wall_ms now)
{
    wall_ms next = schedule_next(schedule, after);
    return next != WALL_NONE && next <= now;
}

/* The newest run up to `now`; `due` is one of them. Bisected: a machine that slept for a month has
 * missed millions of runs of 'every 1s'. */
static wall_ms newest_due(const struct schedule *schedule, wall_ms due, wall_ms now)
{
    if (!is_due(schedule, due, now))
        return due;
    wall_ms low = due; /* a run after it is due */
    wall_ms high = now;
    while (high - low > 1) {
        wall_ms middle = low + (high - low) / 2;
        if (is_due(schedule, middle, now))
            low = middle;
        else
            high = middle;
    }
    return schedule_next(schedule, low);
}

size_t scheduler_take_due(struct scheduler *scheduler, wall_ms now, struct scheduler_entry **out,
                          size_t max)
{
    size_t taken = 0;
    for (size_t i = 0; i < scheduler->count && taken < max; i++) {
        struct scheduler_entry *entry = scheduler->entries[i];
        if (entry->next_run == WALL_NONE || entry->next_run > now)
            continue;
        entry->last_run = newest_due(entry->schedule, entry->next_run, now);
        entry->next_run = schedule_next(entry->schedule, now);
        out[taken++] = entry;
    }
    return taken;
}

void scheduler_replan(struct scheduler *scheduler, wall_ms now)
{
    for (size_t i = 0; i < scheduler->count; i++) {
        struct scheduler_entry *entry = scheduler->entries[i];
        bool is_due = entry->next_run != WALL_NONE && entry->next_run <= now;
        if (!is_due) /* a step forward must not step over a run */
            plan(entry, now);
    }
}

const struct scheduler_entry *scheduler_entry_at(const struct scheduler *scheduler, size_t i)
{
    return i < scheduler->count ? scheduler->entries[i] : NULL;
}
