/* A schedule: when something runs.
 *
 * `every 10s` runs on the multiples of the span since 1970 (UTC), whatever was missed. Spans of
 * whole weeks run at civil midnight of the calendar's first day of the week, spans of whole days at
 * civil midnight; both are counted from 1970, so that a restart does not move them. Cron
 * expressions are cron.h's. */
#pragma once

#include "base/arena.h"
#include "base/calendar.h"
#include "schedule/cron.h"

enum schedule_kind { SCHEDULE_EVERY, SCHEDULE_CRON };

struct schedule {
    const char *id;   /* its name; for an inline one the KPI's or rule's id */
    const char *text; /* as written */
    enum schedule_kind kind;
    span_ms every;                   /* SCHEDULE_EVERY */
    struct cron cron;                /* SCHEDULE_CRON */
    const struct calendar *calendar; /* borrowed */
};

/* Reads "every 10s" (one second to 366 days) or a cron expression; `calendar` is borrowed for as
 * long as the schedule lives, the texts go into `arena`. `id` is left NULL for the caller. Forms of
 * the language that are not built yet ("month_end + 2 business days 09:30", "every 2w from
 * 2026-10-05") fail with ERROR_UNAVAILABLE, mistakes with ERROR_INVALID. A CRON_TZ prefix must name
 * the calendar's zone: cron_zone tells it beforehand. */
bool schedule_parse(struct str text, const struct calendar *calendar, struct arena *arena,
                    struct schedule *out, struct error *err);

/* Whether it goes on at short intervals ("every 10s", "0 * * * *") rather than at set times of a
 * day: of such a schedule a run more does no harm, and one less does. */
bool schedule_is_steady(const struct schedule *schedule);

/* The first run after `after`; WALL_NONE if there is none. */
wall_ms schedule_next(const struct schedule *schedule, wall_ms after);
