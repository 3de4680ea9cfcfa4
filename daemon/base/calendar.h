/* Days, weeks, months in a time zone. DST lives here and nowhere else.
 *
 * Zone rules come from the system's tzdata through GLib and are followed up to the year 2100; later
 * years keep the last offset. A calendar never changes after it was made, so any thread may read
 * it. All instants are wall_ms; a period is half open, [from, to) (FIG-1). */
#pragma once

#include <stdbool.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

struct calendar;

/* In this order: later ones contain more time. */
enum period_kind {
    PERIOD_MINUTE,
    PERIOD_HOUR,
    PERIOD_DAY,
    PERIOD_WEEK,
    PERIOD_MONTH,
    PERIOD_QUARTER,
    PERIOD_HALF,
    PERIOD_YEAR,
};

struct period {
    enum period_kind kind;
    wall_ms from; /* its first instant */
    wall_ms to;   /* the first instant of the next one */
};

/* A civil time: what a clock on the wall shows. */
struct civil {
    int year;
    int month;    /* 1 to 12 */
    int day;      /* 1 to 31 */
    int hour;     /* 0 to 23 */
    int minute;   /* 0 to 59 */
    int second;   /* 0 to 59 */
    int ms;       /* 0 to 999 */
    int weekday;  /* 1 Monday to 7 Sunday; calendar_civil and civil_of_days fill it */
    int offset_s; /* east of UTC, in seconds; only calendar_civil fills it */
};

/* Dates without a zone. */
int64_t civil_days(
    const struct civil *date);               /* days since 1970-01-01; month and day may overflow */
struct civil civil_of_days(int64_t days);    /* midnight of that day, weekday filled */
int civil_month_length(int year, int month); /* 28 to 31 */

/* `zone` is an IANA name ("Europe/Berlin"), "UTC", or empty for the host's zone; an unknown one is
 * an error with a hint, and NULL. `week_start` is 1 (Monday) to 7 (Sunday). */
struct calendar *calendar_new(struct str zone, int week_start, struct error *err);
void calendar_free(struct calendar *calendar);

const char *calendar_zone(const struct calendar *calendar); /* the name, the host's resolved */
int calendar_week_start(const struct calendar *calendar);

/* The civil time at an instant. Years 1 to 9999; instants outside count as the nearest inside, here
 * and in all functions below. */
struct civil calendar_civil(const struct calendar *calendar, wall_ms at);

/* The instant of a civil time. All parts may overflow (day 32, month 13, day 0, hour 24) and are
 * normalised first. A time inside a DST gap gives the first instant after the gap; one that occurs
 * twice gives the first. */
wall_ms calendar_instant(const struct calendar *calendar, const struct civil *civil);

/* The period of `kind` that contains `at`. Hours and minutes are civil too: an hour that DST
 * repeats is two periods, one that a half-hour DST cuts is short, and zones with :30 and :45
 * offsets have their own hours. Weeks start on the calendar's week_start. A day whose midnight does
 * not exist starts at its first instant; a day that a zone skipped is no period. */
struct period calendar_period(const struct calendar *calendar, enum period_kind kind, wall_ms at);
struct period calendar_previous(const struct calendar *calendar, const struct period *period);
struct period calendar_next(const struct calendar *calendar, const struct period *period);

/* The instant `days` civil days (may be negative) after `at` at the same clock time. */
wall_ms calendar_add_days(const struct calendar *calendar, wall_ms at, int days);

/* Labels as FIG-4 writes them: "2026-10-12 09:05", "2026-10-12 09:00", "2026-10-12", "2026-W42",
 * "2026-10", "2026-Q3", "2026-H2", "2026". Weeks that do not start on Monday are labelled by their
 * first day. `out` takes CALENDAR_LABEL_SIZE bytes; returns `out`. */
enum { CALENDAR_LABEL_SIZE = 40 };
const char *calendar_label(const struct calendar *calendar, const struct period *period, char *out);

/* ISO 8601 with offset: "2026-10-12T09:00:00+02:00"; milliseconds only when there are some. `out`
 * takes CLOCK_TEXT_SIZE bytes; returns `out`. */
const char *calendar_format(const struct calendar *calendar, wall_ms at, char *out);

/* For people: "2026-10-12 09:00 CEST". Same buffer size. */
const char *calendar_format_short(const struct calendar *calendar, wall_ms at, char *out);

/* "2026-10-12", "2026-10-12T09:00[:SS[.mmm]]" (a blank may stand for the T) in the calendar's zone,
 * or with "Z" or "+02:00" at the end in that one. A date alone is its first instant, or with
 * `as_end` the first instant of the next day (FIG-2). */
bool calendar_parse(const struct calendar *calendar, struct str text, bool as_end, wall_ms *out);

/* "day", "month", ...; false for the ones that are not known. */
bool period_kind_parse(struct str text, enum period_kind *out);
const char *period_kind_name(enum period_kind kind);
