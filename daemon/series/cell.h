/* The mergeable summary of a series over one bucket.
 *
 * A plain value, but for the sketch of uniques, which it owns. The function (sum, avg, last,
 * uniques) is chosen when reading, never frozen when writing. */
#pragma once

#include "base/buf.h"
#include "series/aggregate.h"
#include "series/distinct.h"

struct cell {
    struct aggregate aggregate;
    struct distinct *distinct; /* uniques only, owned; else NULL */
};

#define CELL_EMPTY                                                                                 \
    {                                                                                              \
        AGGREGATE_EMPTY, NULL                                                                      \
    }

void cell_fini(struct cell *cell);
void cell_merge(struct cell *into, const struct cell *from);

/* One portable little-endian form, with a version:
 *   u8 version (1), u8 flags (1: one sample, 2: has a sketch), u64 count
 *   one sample: double value, i64 at, u64 arrival      (sum is value times weight)
 *   else, unless count is 0: double sum, sum_low, min, max, first, i64 first_at,
 *         u64 first_arrival, double last, i64 last_at, u64 last_arrival
 *   has a sketch: distinct_encode
 * A cell has one encoding only: what could be written as one sample is, and nothing else is
 * decoded. */
void cell_encode(const struct cell *cell, struct buf *out);

/* False, and `out` is empty, when the bytes are not a cell. The caller calls cell_fini. */
bool cell_decode(struct str bytes, struct cell *out);
