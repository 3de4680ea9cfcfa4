/* The mergeable summary of a series over one bucket.
 *
 * A plain value, but for the sketch of uniques and the histogram, which it owns. The function (sum,
 * avg, p95, last, uniques) is chosen when reading, never frozen when writing. */
#pragma once

#include "base/buf.h"
#include "series/aggregate.h"
#include "series/bounded.h"
#include "series/distinct.h"
#include "series/histogram.h"

/* The cells of distributions and scores count their values (metric_kind_counts_values). While they
 * are all equal, min == max, the aggregate says it all: `count` times `min`, and there is no
 * histogram. As soon as two differ there is one, which counts all of them: also those that came
 * between their sender's own bounds, which it keeps beside the others. Cells without samples do
 * not say what they count. What is merged with a cell that does not count its values does not count
 * them either. So merging stays associative and commutative to the bit, but for sums that round. */
struct cell {
    struct aggregate aggregate;
    struct distinct *distinct;   /* uniques only, owned; else NULL */
    struct histogram *histogram; /* owned; counts_values and min < max; else NULL */
    bool counts_values;
};

#define CELL_EMPTY                                                                                 \
    {                                                                                              \
        AGGREGATE_EMPTY, NULL, NULL, false                                                         \
    }

void cell_fini(struct cell *cell);
void cell_merge(struct cell *into, const struct cell *from);

/* Takes out what was merged in, but for its extremes, its first and last sample and its uniques,
 * which do not change when they are merged again: merging what is left with the part gives the same
 * cell, to the bit as far as merging does. When nothing is left the cell is empty. False, and the
 * cell is empty, when the part was not merged in. */
bool cell_take_out(struct cell *cell, const struct cell *part);

/* aggregate_add to a cell that is empty or counts its values, and counts this one too. */
void cell_add_value(struct cell *cell, double value, uint64_t weight, wall_ms at, uint64_t arrival);

/* Merges values that came in buckets between their sender's own bounds, as many as the aggregate
 * counts; takes `bounded` over. It is not needed when they are all equal, min == max. */
void cell_add_bounded(struct cell *cell, const struct aggregate *aggregate,
                      struct bounded *bounded);

/* FIG-19, FIG-22; as in series/histogram.h, but exact where the least and the largest value alone
 * decide. False when the cell is empty or does not count its values. */
bool cell_quantile(const struct cell *cell, double q, double *out);
bool cell_share_at_most(const struct cell *cell, double value, double *out);
bool cell_share_at_least(const struct cell *cell, double value, double *out);

/* How far at most the true quantile is from `value`, which cell_quantile gave. */
double cell_quantile_error(const struct cell *cell, double value);

/* One portable little-endian form, with a version:
 *   u8 version (1), u8 flags (1: one sample, 2: has a sketch, 4: counts its values), u64 count
 *   one sample: double value, i64 at, u64 arrival      (sum is value times weight)
 *   else, unless count is 0: double sum, sum_low, min, max, first, i64 first_at,
 *         u64 first_arrival, double last, i64 last_at, u64 last_arrival
 *   has a sketch: distinct_encode
 *   counts its values, and min < max: histogram_encode
 * A cell has one encoding only: what could be written as one sample is, and nothing else is
 * decoded. */
void cell_encode(const struct cell *cell, struct buf *out);

/* False, and `out` is empty, when the bytes are not a cell. The caller calls cell_fini. */
bool cell_decode(struct str bytes, struct cell *out);
