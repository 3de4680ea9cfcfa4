/* Values as they come in histograms with their senders' own bounds, for tests of cells. */
#pragma once

#include "series/cell.h"
#include "series/random.h"
#include "series/sample.h"
#include "test.h"

/* Merges a few values, at one time, counted between one of three sets of bounds: two of them have
 * bounds in common, the third has none with both. */
static inline void add_between(struct cell *cell, uint64_t *seed, wall_ms at, uint64_t arrival)
{
    static const double all_bounds[][5] = {
        {0, 5, 10, 100, 500}, {0.5, 5, 7.5, 100, 250}, {1.0 / 3, 5, 2e9, 4e9, 8e9}};
    static const size_t counts[] = {5, 5, 1};
    uint64_t which = random_below(seed, 3);
    struct aggregate aggregate = AGGREGATE_EMPTY;
    struct error err = ERROR_EMPTY;
    struct bounded *bounded = bounded_new(all_bounds[which], counts[which], &err);

    assert_non_null(bounded);
    for (uint64_t values = 1 + random_below(seed, 5); values > 0; values--) {
        double value = (double)random_below(seed, 2000) / 2 - 200;
        uint64_t weight = WEIGHT_ONE * (1 + random_below(seed, 3));
        if (random_below(seed, 8) == 0)
            weight = 1 + random_below(seed, 4 * WEIGHT_ONE);
        bounded_add(bounded, value, weight);
        aggregate_add(&aggregate, value, weight, at, arrival);
    }
    cell_add_bounded(cell, &aggregate, bounded);
}
