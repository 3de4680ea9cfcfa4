#include "store/flush_pace.h"

enum { PER_BUSY = 10 }; /* an interval of so many milliseconds may cost one */

void flush_pace_init(struct flush_pace *pace, mono_ms now)
{
    *pace = (struct flush_pace){.interval = FLUSH_PACE_MIN_MS, .began = now};
}

bool flush_pace_turn(struct flush_pace *pace, mono_ms now)
{
    span_ms elapsed = now - pace->began;

    if (elapsed < pace->interval)
        return false;
    span_ms interval = (span_ms)(pace->busy_us / 1000) * PER_BUSY * pace->interval / elapsed;
    if (interval < FLUSH_PACE_MIN_MS)
        interval = FLUSH_PACE_MIN_MS;
    if (interval > FLUSH_PACE_MAX_MS)
        interval = FLUSH_PACE_MAX_MS;
    *pace = (struct flush_pace){.interval = interval, .began = now};
    return true;
}
