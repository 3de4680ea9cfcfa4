/* Prometheus's classic histograms: `NAME_bucket` counts, for each bound in its label `le`, the
 * values up to that bound. They come one bound a series, maybe in different requests, so they are
 * stored as counters (P18) and become a distribution when they are read.
 *
 * A percentile is as good as the bounds: values are taken to lie evenly between two of them, from 0
 * on where no bound is below it, and up to the largest bound for those above it. */
#pragma once

#include "store/query.h"

/* "NAME_bucket", in the arena. */
struct str classic_bucket_name(struct arena *arena, struct str metric);

struct classic {
    const struct query_series *series; /* of NAME_bucket */
    size_t series_count;
    wall_ms from, to; /* whole minutes */
};

/* All that was counted in the range, as one cell, which is the caller's and is CELL_EMPTY when
 * there is nothing. Series whose `le` is no number are left out. */
bool classic_read(struct read_txn *txn, const struct classic *classic, struct arena *arena,
                  struct cell *out, struct coverage *coverage, struct error *err);
