/* Prometheus' native histograms (P17), of both versions of remote write: spans and deltas on the
 * wire to the buckets that a batch takes. No I/O, no allocation; one thread.
 *
 * Prometheus' bucket i ends where OpenTelemetry's bucket i begins: (base^(i-1), base^i]. Indexes
 * here are OpenTelemetry's. Buckets that lie further apart than a histogram of kpid keeps are put
 * together first, so that a few bytes never stand for much memory. */
#pragma once

#include "base/wire.h"
#include "series/batch.h"
#include "series/bounded.h"
#include "series/histogram.h"

enum { REMOTE_SPANS_MAX = 1024, REMOTE_BUCKETS_MAX = 8192 };

struct remote_span {
    int32_t offset;
    uint32_t length;
};

struct remote_side {
    struct remote_span spans[REMOTE_SPANS_MAX];
    int64_t deltas[REMOTE_BUCKETS_MAX];
    size_t span_count;
    size_t delta_count;
    uint64_t counts[HISTOGRAM_BUCKETS_MAX]; /* what comes out of it */
};

/* One histogram at a time; large, so it is made once for a body. */
struct remote_histogram {
    bool is_float;
    bool has_too_many; /* spans, buckets or bounds */
    uint64_t count;
    uint64_t sum_bits;
    int32_t schema;
    uint64_t zeros;
    uint64_t reset_hint;
    wall_ms at;
    wall_ms start; /* 0: not said */
    struct remote_side positive, negative;
    double bounds[BOUNDED_BOUNDS_MAX];
    size_t bound_count;
    struct batch_buckets buckets; /* after remote_histogram_expand; points into this struct */
};

/* Reads one; false when these are no bytes of a Histogram. */
bool remote_histogram_read(struct remote_histogram *histogram, struct str bytes);

/* Turns what was read into `buckets`: REJECT_NONE; REJECT_unsupported of float and gauge histograms
 * and other schemas; REJECT_bad_histogram when its parts contradict each other. `*words` says
 * what. A sum that is not finite is left out: the buckets mean something without. */
enum reject_reason remote_histogram_expand(struct remote_histogram *histogram, const char **words);
