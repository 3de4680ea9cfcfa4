#include "ingest/remote_histogram.h"

#include <math.h>

enum { SCHEMA_MIN = -4, SCHEMA_MAX = 8, SCHEMA_CUSTOM = -53, HINT_GAUGE = 3 };

/* --- off the wire ----------------------------------------------------------------------------- */

static bool read_span(struct remote_histogram *histogram, struct remote_side *side,
                      struct str bytes)
{
    struct wire wire = wire_of(bytes);
    struct remote_span span = {0};

    while (wire_next(&wire)) {
        switch (wire.tag) {
        case WIRE_TAG(1, WIRE_VARINT):
            span.offset = (int32_t)wire_zigzag((uint32_t)wire_varint(&wire));
            break;
        case WIRE_TAG(2, WIRE_VARINT):
            span.length = (uint32_t)wire_varint(&wire);
            break;
        default:
            wire_skip(&wire);
        }
    }
    if (side->span_count < REMOTE_SPANS_MAX)
        side->spans[side->span_count++] = span;
    else
        histogram->has_too_many = true;
    return wire.ok;
}

static void add_delta(struct remote_histogram *histogram, struct remote_side *side, uint64_t varint)
{
    if (side->delta_count < REMOTE_BUCKETS_MAX)
        side->deltas[side->delta_count++] = wire_zigzag(varint);
    else
        histogram->has_too_many = true;
}

static bool read_deltas(struct remote_histogram *histogram, struct remote_side *side,
                        struct str packed)
{
    struct wire wire = wire_of(packed);

    while (wire_more(&wire))
        add_delta(histogram, side, wire_varint(&wire));
    return wire.ok;
}

static void add_bound(struct remote_histogram *histogram, uint64_t bits)
{
    if (histogram->bound_count < BOUNDED_BOUNDS_MAX)
        histogram->bounds[histogram->bound_count++] = wire_double(bits);
    else
        histogram->has_too_many = true;
}

static bool read_bounds(struct remote_histogram *histogram, struct str packed)
{
    struct wire wire = wire_of(packed);

    while (wire_more(&wire))
        add_bound(histogram, wire_fixed64(&wire));
    return wire.ok;
}

static bool read_buckets(struct remote_histogram *histogram, struct wire *wire)
{
    switch (wire->tag) {
    case WIRE_TAG(8, WIRE_BYTES):
        return read_span(histogram, &histogram->negative, wire_bytes(wire));
    case WIRE_TAG(9, WIRE_BYTES):
        return read_deltas(histogram, &histogram->negative, wire_bytes(wire));
    case WIRE_TAG(9, WIRE_VARINT):
        add_delta(histogram, &histogram->negative, wire_varint(wire));
        return true;
    case WIRE_TAG(11, WIRE_BYTES):
        return read_span(histogram, &histogram->positive, wire_bytes(wire));
    case WIRE_TAG(12, WIRE_BYTES):
        return read_deltas(histogram, &histogram->positive, wire_bytes(wire));
    case WIRE_TAG(12, WIRE_VARINT):
        add_delta(histogram, &histogram->positive, wire_varint(wire));
        return true;
    case WIRE_TAG(16, WIRE_BYTES):
        return read_bounds(histogram, wire_bytes(wire));
    case WIRE_TAG(16, WIRE_FIXED64):
        add_bound(histogram, wire_fixed64(wire));
        return true;
    default:
        wire_skip(wire);
        return true;
    }
}

static bool read_field(struct remote_histogram *histogram, struct wire *wire)
{
    switch (wire->tag) {
    case WIRE_TAG(1, WIRE_VARINT):
        histogram->count = wire_varint(wire);
        histogram->is_float = false;
        return true;
    case WIRE_TAG(2, WIRE_FIXED64):
        histogram->is_float = true;
        wire_skip(wire);
        return true;
    case WIRE_TAG(3, WIRE_FIXED64):
        histogram->sum_bits = wire_fixed64(wire);
        return true;
    case WIRE_TAG(4, WIRE_VARINT):
        histogram->schema = (int32_t)wire_zigzag((uint32_t)wire_varint(wire));
        return true;
    case WIRE_TAG(6, WIRE_VARINT):
        histogram->zeros = wire_varint(wire);
        return true;
    case WIRE_TAG(14, WIRE_VARINT):
        histogram->reset_hint = wire_varint(wire);
        return true;
    case WIRE_TAG(15, WIRE_VARINT):
        histogram->at = (int64_t)wire_varint(wire);
        return true;
    case WIRE_TAG(17, WIRE_VARINT):
        histogram->start = (int64_t)wire_varint(wire);
        return true;
    default:
        return read_buckets(histogram, wire);
    }
}

bool remote_histogram_read(struct remote_histogram *histogram, struct str bytes)
{
    struct wire wire = wire_of(bytes);

    histogram->is_float = histogram->has_too_many = false;
    histogram->count = histogram->sum_bits = histogram->zeros = histogram->reset_hint = 0;
    histogram->schema = 0;
    histogram->at = histogram->start = 0;
    histogram->positive.span_count = histogram->positive.delta_count = 0;
    histogram->negative.span_count = histogram->negative.delta_count = 0;
    histogram->bound_count = 0;
    while (wire_next(&wire)) {
        if (!read_field(histogram, &wire))
            return false;
    }
    return wire.ok;
}

/* --- what the deltas stand for ---------------------------------------------------------------- */

/* Goes through the buckets of a side in order. */
struct walk {
    const struct remote_side *side;
    size_t span;
    uint32_t in_span; /* buckets of the span that are behind */
    size_t delta;
    int64_t index; /* of the bucket, as Prometheus counts */
    int64_t count; /* its count */
    bool ok;
};

static struct walk walk_of(const struct remote_side *side)
{
    struct walk walk = {.side = side, .ok = true};
    if (side->span_count > 0)
        walk.index = side->spans[0].offset - (int64_t)1;
    return walk;
}

/* False at the end, and with `ok` false when spans and deltas do not fit, or a count is negative.
 */
static bool walk_next(struct walk *walk)
{
    const struct remote_side *side = walk->side;

    while (walk->span < side->span_count && walk->in_span == side->spans[walk->span].length) {
        walk->span++;
        walk->in_span = 0;
        if (walk->span < side->span_count)
            walk->index += side->spans[walk->span].offset;
    }
    if (walk->span == side->span_count || walk->delta == side->delta_count) {
        walk->ok = walk->span == side->span_count && walk->delta == side->delta_count;
        return false;
    }
    walk->in_span++;
    walk->index++;
    if (__builtin_add_overflow(walk->count, side->deltas[walk->delta++], &walk->count) ||
        walk->count < 0) {
        walk->ok = false;
        return false;
    }
    return true;
}

/* Which buckets of a side are not empty. */
struct extent {
    int64_t low, high; /* low > high: all are */
    bool ok;
};

/* Adds the side's counts to `*total`. */
static struct extent extent_of(const struct remote_side *side, uint64_t *total)
{
    struct walk walk = walk_of(side);
    struct extent extent = {.low = 1};
    int64_t last = INT64_MIN;

    while (walk_next(&walk)) {
        /* A gap backwards would have two counts for one bucket. */
        if (walk.index <= last || __builtin_add_overflow(*total, (uint64_t)walk.count, total))
            return extent;
        last = walk.index;
        if (walk.count == 0)
            continue;
        if (extent.low > extent.high)
            extent.low = walk.index;
        extent.high = walk.index;
    }
    extent.ok = walk.ok;
    return extent;
}

/* --- exponential buckets ---------------------------------------------------------------------- */

/* The bucket after the last finite one holds infinity; it counts as the greatest value. */
static int64_t finite_index(int64_t index, int32_t schema)
{
    int64_t top = schema >= 0 ? INT64_C(1024) << schema : INT64_C(1024) >> -schema;
    return index - 1 == top ? top - 1 : index - 1;
}

/* Far outside of what doubles can be; the exact bounds are histogram_import's. */
static bool is_out_of_range(const struct extent *extent, int32_t schema)
{
    int64_t farthest = INT64_C(1100) << (schema > 0 ? schema : 0);
    return extent->low <= extent->high && (extent->low < -farthest || extent->high > farthest);
}

static bool is_too_wide(const struct extent *extent, int32_t schema, int shift)
{
    return extent->low <= extent->high && (finite_index(extent->high, schema) >> shift) -
                                                  (finite_index(extent->low, schema) >> shift) >=
                                              HISTOGRAM_BUCKETS_MAX;
}

static struct histogram_buckets fold(struct remote_side *side, const struct extent *extent,
                                     int32_t schema, int shift)
{
    struct histogram_buckets buckets = {.counts = side->counts};
    struct walk walk = walk_of(side);

    if (extent->low > extent->high)
        return buckets;
    int64_t first = finite_index(extent->low, schema) >> shift;
    int64_t last = finite_index(extent->high, schema) >> shift;
    buckets.offset = (int32_t)first;
    buckets.count = (size_t)(last - first) + 1;
    memset(side->counts, 0, buckets.count * sizeof side->counts[0]);
    while (walk_next(&walk)) {
        if (walk.count > 0) /* the sum of all was looked at before */
            side->counts[(finite_index(walk.index, schema) >> shift) - first] +=
                (uint64_t)walk.count;
    }
    return buckets;
}

static enum reject_reason expand_exponential(struct remote_histogram *histogram, uint64_t *total,
                                             const char **words)
{
    struct extent positive = extent_of(&histogram->positive, total);
    struct extent negative = extent_of(&histogram->negative, total);
    int32_t schema = histogram->schema;
    int shift = schema > HISTOGRAM_SCALE_MAX ? schema - HISTOGRAM_SCALE_MAX : 0;

    if (!positive.ok || !negative.ok) {
        *words = "the histogram's spans and deltas do not fit together";
        return REJECT_bad_histogram;
    }
    if (is_out_of_range(&positive, schema) || is_out_of_range(&negative, schema)) {
        *words = "the histogram has buckets that no number can be in";
        return REJECT_bad_histogram;
    }
    while (is_too_wide(&positive, schema, shift) || is_too_wide(&negative, schema, shift))
        shift++;
    histogram->buckets.is_exponential = true;
    histogram->buckets.scale = schema - shift;
    histogram->buckets.zeros = histogram->zeros;
    histogram->buckets.positive = fold(&histogram->positive, &positive, schema, shift);
    histogram->buckets.negative = fold(&histogram->negative, &negative, schema, shift);
    return REJECT_NONE;
}

/* --- the sender's own bounds ------------------------------------------------------------------ */

static bool are_bounds(const double *bounds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(bounds[i]) || (i > 0 && bounds[i] <= bounds[i - 1]))
            return false;
    }
    return true;
}

static enum reject_reason expand_custom(struct remote_histogram *histogram, uint64_t *total,
                                        const char **words)
{
    struct remote_side *side = &histogram->positive;
    struct extent extent = extent_of(side, total);
    struct walk walk = walk_of(side);

    if (!are_bounds(histogram->bounds, histogram->bound_count)) {
        *words = "the histogram's custom values are not finite and growing";
        return REJECT_bad_histogram;
    }
    if (!extent.ok || histogram->zeros > 0 || histogram->negative.delta_count > 0 ||
        (extent.low <= extent.high &&
         (extent.low < 0 || extent.high > (int64_t)histogram->bound_count))) {
        *words = "the histogram's spans and deltas do not fit its custom values";
        return REJECT_bad_histogram;
    }
    memset(side->counts, 0, (histogram->bound_count + 1) * sizeof side->counts[0]);
    while (walk_next(&walk)) {
        if (walk.count > 0)
            side->counts[walk.index] = (uint64_t)walk.count;
    }
    histogram->buckets.bounds = histogram->bounds;
    histogram->buckets.bound_count = histogram->bound_count;
    histogram->buckets.counts = side->counts;
    return REJECT_NONE;
}

_Static_assert((int)BOUNDED_BOUNDS_MAX < (int)HISTOGRAM_BUCKETS_MAX, "they have one array");

enum reject_reason remote_histogram_expand(struct remote_histogram *histogram, const char **words)
{
    double sum = wire_double(histogram->sum_bits);
    bool is_custom = histogram->schema == SCHEMA_CUSTOM;
    uint64_t total = histogram->zeros;

    if (histogram->is_float) {
        *words = "histograms of floats are not taken";
        return REJECT_unsupported;
    }
    if (histogram->reset_hint == HINT_GAUGE) {
        *words = "gauge histograms are not taken: they do not count what happened";
        return REJECT_unsupported;
    }
    if (!is_custom && (histogram->schema < SCHEMA_MIN || histogram->schema > SCHEMA_MAX)) {
        *words = "the histogram's schema is unknown";
        return REJECT_unsupported;
    }
    if (histogram->has_too_many) {
        *words = "the histogram has too many buckets";
        return REJECT_bad_histogram;
    }
    histogram->buckets = (struct batch_buckets){.has_sum = isfinite(sum), .sum = sum};
    enum reject_reason reason = is_custom ? expand_custom(histogram, &total, words)
                                          : expand_exponential(histogram, &total, words);
    if (reason != REJECT_NONE)
        return reason;
    /* NaN is counted and in no bucket; the sum shows that there was one. */
    if (total > histogram->count || (total < histogram->count && !isnan(sum))) {
        *words = "the histogram's count is not the sum of its buckets";
        return REJECT_bad_histogram;
    }
    histogram->buckets.count = total;
    return REJECT_NONE;
}
