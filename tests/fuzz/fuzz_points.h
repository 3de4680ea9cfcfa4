/* What the fuzzers of bodies that become points ask of what is stored. */
#pragma once

#include <math.h>
#include <stdlib.h>

#include "ingest/body.h"

static const wall_ms NOW = INT64_C(1791788430000);

static const struct batch_rules RULES = {.series_max = 100,
                                         .max_future = MS_PER_HOUR,
                                         .max_past = INT64_C(100000) * MS_PER_DAY,
                                         .seed = 1};

static inline void require(bool holds)
{
    if (!holds)
        abort();
}

static inline void require_points(const struct delta *delta)
{
    for (size_t i = 0; i < delta->series_count; i++) {
        require(series_key_is_valid(delta->series[i].key));
        require(series_hash_equal(delta->series[i].hash, series_key_hash(delta->series[i].key)));
    }
    for (size_t i = 0; i < delta->point_count; i++) {
        const struct delta_point *point = &delta->points[i];
        require(point->series < delta->series_count);
        require(point->at <= NOW + RULES.max_future && point->at >= NOW - RULES.max_past);
        require(point->start == WALL_NONE || point->start <= point->at);
        enum metric_kind kind = series_key_kind(delta->series[point->series].key);
        require((kind == METRIC_DISTRIBUTION) == (point->tally != NULL));
        require((point->form == POINT_LEVEL) == (kind == METRIC_GAUGE));
        if (point->tally == NULL)
            require(isfinite(point->value) &&
                    (point->form != POINT_CUMULATIVE || point->value >= 0));
    }
}
