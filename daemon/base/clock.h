/* Wall and monotonic time, and their types.
 *
 * `now` is an argument everywhere; only event loops and app.c ask the clock. Tests set it. */
#pragma once

#include <stdint.h>

typedef int64_t wall_ms; /* milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted */
typedef int64_t mono_ms; /* milliseconds of CLOCK_BOOTTIME: goes on while the machine sleeps */
typedef int64_t span_ms; /* a length of time in milliseconds */

#define WALL_NONE INT64_MIN /* no time: never, unknown */

enum {
    MS_PER_SECOND = 1000,
    MS_PER_MINUTE = 60 * 1000,
    MS_PER_HOUR = 60 * 60 * 1000,
    MS_PER_DAY = 24 * 60 * 60 * 1000,
};

wall_ms clock_wall(void);
int64_t clock_wall_us(void); /* the same in microseconds */
mono_ms clock_mono(void);

/* For tests: the wall clock stands at `now` until it is set again; WALL_NONE lets it run. */
void clock_set_for_test(wall_ms now);

/* "2026-10-12T09:00:00.250Z" in UTC, milliseconds only when there are some. `out` takes
 * CLOCK_TEXT_SIZE bytes. Returns `out`. Zones are base/calendar's. */
enum { CLOCK_TEXT_SIZE = 40 };
const char *clock_format_utc(wall_ms at, char *out);
