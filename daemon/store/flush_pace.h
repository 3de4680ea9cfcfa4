/* How often shards should hand over what they counted: so often that the writer needs under a tenth
 * of a core for it. What a commit costs depends on how many series were touched more than on how
 * often, so a longer interval costs less. Pure; private to store/. */
#pragma once

#include <stdbool.h>

#include "base/clock.h"

enum { FLUSH_PACE_MIN_MS = 1000, FLUSH_PACE_MAX_MS = 10 * 1000 };

struct flush_pace {
    span_ms interval; /* between two hand-overs */
    mono_ms began;    /* the interval in which `busy_us` were needed */
    uint64_t busy_us; /* who works adds to it */
};

void flush_pace_init(struct flush_pace *pace, mono_ms now);

/* Once the interval is over what it has cost says how long the next one is, and true is returned;
 * before that nothing happens. */
bool flush_pace_turn(struct flush_pace *pace, mono_ms now);
