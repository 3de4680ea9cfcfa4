/* How many series there may be (design 4.9). */
#pragma once

#include <stdint.h>

#include "series/metric.h"

/* How many a listener may bring; more than none. */
struct listener_limit {
    struct str listener; /* its name in the ledger */
    uint64_t series;
};

/* Of those that had a sample in the last 24 hours; 0: no limit. */
struct series_limits {
    uint64_t series;       /* in all */
    uint64_t per_metric;   /* of one metric, all kinds together */
    uint64_t label_values; /* values of one label of a metric */
    /* Whose max_series is instead of per_metric; borrowed until others are set, NULL is fine. */
    const struct metric_table *metrics;
    /* The same: of listeners that have a limit. Each may have as many `__other__` besides. */
    const struct listener_limit *listeners;
    size_t listener_count;
};
