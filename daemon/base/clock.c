#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic int64_t fixed_wall = WALL_NONE;

void clock_set_for_test(wall_ms now)
{
    atomic_store(&fixed_wall, now);
}

int64_t clock_wall_us(void)
{
    struct timespec ts;
    int64_t fixed = atomic_load_explicit(&fixed_wall, memory_order_relaxed);

    if (fixed != WALL_NONE)
        return fixed * 1000;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

wall_ms clock_wall(void)
{
    int64_t us = clock_wall_us();
    return us >= 0 ? us / 1000 : -((-us + 999) / 1000);
}

mono_ms clock_mono(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_BOOTTIME, &ts);
    return (mono_ms)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const char *clock_format_utc(wall_ms at, char *out)
{
    int64_t seconds = at / 1000;
    int64_t ms = at % 1000;
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    time_t time = (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&time, &tm) == NULL) {
        (void)snprintf(out, CLOCK_TEXT_SIZE, "%lld", (long long)at);
        return out;
    }
    int len = snprintf(out, CLOCK_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
                       tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (ms != 0 && len > 0 && len < CLOCK_TEXT_SIZE)
        len += snprintf(out + len, (size_t)(CLOCK_TEXT_SIZE - len), ".%03d", (int)ms);
    if (len > 0 && len < CLOCK_TEXT_SIZE)
        (void)snprintf(out + len, (size_t)(CLOCK_TEXT_SIZE - len), "Z");
    return out;
}
