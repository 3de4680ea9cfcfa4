/* What a metric is declared to be, and which kinds of metric there are.
 *
 * The declared type beats the protocol's (FIG-8). The table is part of a configuration: built once,
 * then read by any thread. */
#pragma once

#include <stdbool.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/table.h"

enum metric_kind {
    METRIC_COUNTER =
        1, /* increments; the values are stored and part of series keys: never renumber */
    METRIC_GAUGE = 2,
    METRIC_DISTRIBUTION = 3,
    METRIC_UNIQUE = 4,
    METRIC_SCORE = 5,
    METRIC_UNTYPED = 6,
};

enum { METRIC_KIND_MAX = 6 };

enum over_labels {
    OVER_LABELS_DEFAULT,
    OVER_LABELS_SUM,
    OVER_LABELS_AVG,
    OVER_LABELS_MIN,
    OVER_LABELS_MAX
};

struct metric_definition {
    const char *name;
    bool has_kind; /* a type is declared */
    enum metric_kind kind;
    const char *unit;    /* as written; NULL without */
    span_ms every;       /* how often data comes; 0 if not given */
    span_ms stale_after; /* 1.5 times `every` where only that is given; 0: not given */
    span_ms late;        /* 0 if not given */
    enum over_labels over_labels;
    bool counts_up;      /* a counter whose values are totals since it began (FIG-23) */
    uint64_t max_series; /* active ones of it, instead of server.limits; 0: not given */
    bool has_floor;      /* a gauge: no change (S7) takes its level below `floor` */
    double floor;
    bool has_range;
    int64_t range_low, range_high; /* scores */
};

struct mapping; /* series/mapping.h */

/* How metrics are called and what they are declared to be. */
struct metric_table {
    struct table by_name;          /* by the mapped name -> const struct metric_definition */
    const struct mapping *mapping; /* of the names that are sent; NULL: they stay */
};

/* NULL when the metric is not declared. `table` may be NULL. */
const struct metric_definition *metric_find(const struct metric_table *table, struct str name);

/* "counter", ...; NULL for a number that is no kind. */
const char *metric_kind_name(enum metric_kind kind);
bool metric_kind_parse(struct str text, enum metric_kind *out);

/* The level that a change has led to, not below the metric's floor; NULL is fine. A level that is
 * sent as such stands as it was sent. */
static inline double metric_level(const struct metric_definition *metric, double level)
{
    return metric != NULL && metric->has_floor && level < metric->floor ? metric->floor : level;
}

/* Whether cells count the values of its samples, for percentiles and shares (FIG-8). */
static inline bool metric_kind_counts_values(enum metric_kind kind)
{
    return kind == METRIC_DISTRIBUTION || kind == METRIC_SCORE;
}
