/* What comes in of each metric, for people: how many series are active, how many samples there were
 * lately, when the newest one was. As the writer knows it, who keeps no names: metrics are found by
 * theirs. */
#pragma once

#include <stddef.h>

#include "base/clock.h"
#include "base/str.h"

#define ACTIVITY_SPAN_MS (INT64_C(5) * MS_PER_MINUTE)

struct activity_row {
    uint64_t name;    /* hash */
    uint64_t series;  /* active in the last 24 hours, `__other__` too */
    uint64_t samples; /* in the window */
    wall_ms last;     /* the minute of the newest sample since kpid started; WALL_NONE: none */
};

struct metric_activity {
    uint64_t seed;
    span_ms window; /* one to two times ACTIVITY_SPAN_MS */
    struct activity_row *rows;
    size_t count;
};

void metric_activity_fini(struct metric_activity *activity);

/* Once, before it is asked. */
void metric_activity_sort(struct metric_activity *activity);

/* Zeros and WALL_NONE for a metric that is not active. */
void metric_activity_find(const struct metric_activity *activity, struct str metric,
                          struct activity_row *out);
