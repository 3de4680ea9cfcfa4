/* Five-field cron expressions with the semantics of Debian's cron (reference: crontab(5) of Debian,
 * and what cronsim computes).
 *
 * minute hour day-of-month month day-of-week; lists, ranges, steps ("5/15" is 5-59/15), names of
 * months and weekdays in any case, 0 and 7 for Sunday, "@hourly" to "@yearly", day-of-month L and
 * LW, weekday 5L and 5#3, and a "CRON_TZ=Zone " prefix. With both day fields restricted either may
 * match, unless one of them starts with "*": then both must.
 *
 * With a fixed minute and hour a time inside a DST gap runs once right after the gap, one that
 * occurs twice runs at the first. Where minute or hour starts with "*", each minute that really
 * passes counts: what a gap leaves out does not run, what comes twice runs twice.
 *
 * "@reboot", six fields, reversed ranges (but "fri-sun") and expressions that can never occur are
 * errors. */
#pragma once

#include "base/arena.h"
#include "base/calendar.h"

struct cron {
    uint64_t minutes;        /* bits 0 to 59 */
    uint32_t hours;          /* bits 0 to 23 */
    uint32_t days;           /* bits 1 to 31 */
    uint16_t months;         /* bits 1 to 12 */
    uint8_t weekdays;        /* bits 0 (Sunday) to 6 */
    uint8_t last_weekdays;   /* "5L": the last such weekday of the month */
    uint8_t nth_weekdays[6]; /* [n]: "5#n" */
    bool last_day;           /* L */
    bool last_business_day;  /* LW: the last Monday to Friday of the month */
    bool either_day;         /* day-of-month or weekday is enough */
    bool wildcard_time;      /* minute or hour starts with "*": follows real time over DST */
    struct str zone;         /* of CRON_TZ=, in the arena; empty without */
};

/* Up to 256 bytes. The column (from 1) of a mistake is in the error's text. */
bool cron_parse(struct str text, struct arena *arena, struct cron *out, struct error *err);

/* The zone that a "CRON_TZ=" prefix names, inside `text`; empty without one. For who must find the
 * calendar first. */
struct str cron_zone(struct str text);

/* The first run after `after`, WALL_NONE if there is none in the next 50 years. Without CRON_TZ the
 * zone is the calendar's; with it the caller passes that zone's calendar. */
wall_ms cron_next(const struct cron *cron, const struct calendar *calendar, wall_ms after);
