/* How values are distributed: a base-2 exponential histogram in OpenTelemetry's form (O16), for
 * percentiles and shares (FIG-19, FIG-20, FIG-22) that are merged over labels, time and hosts.
 *
 * At scale s the base is 2^(2^-s), and bucket i holds (base^i, base^(i+1)], for the negative values
 * the same of their magnitudes; zero is counted apart. A bucket of scale s - 1 is exactly two of
 * scale s, i >> 1. The scale is the finest one, up to HISTOGRAM_SCALE_MAX, at which each side's
 * buckets lie within HISTOGRAM_BUCKETS_MAX neighbours, so it follows from what was counted alone,
 * whatever the order; what came with a coarser scale keeps it. A histogram without buckets has
 * HISTOGRAM_SCALE_MAX.
 *
 * Counts are weights with 16 fractional bits; they stay at the largest number, never wrap. Merging
 * is associative and commutative to the bit: so are the saturating sums, the halving of indexes,
 * and the scale as the minimum that any part or their span asks for.
 *
 * Values that came in buckets between their sender's own bounds (series/bounded.h) are kept beside
 * these, each merged with its own kind only: nothing ever goes from one to the other, which would
 * lose precision and depend on the order. Reading takes both together, by rank and by weight. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

enum {
    HISTOGRAM_SCALE_MAX = 6,   /* base 1.0109: values within 0.55 % */
    HISTOGRAM_SCALE_MIN = -11, /* all doubles are in two buckets: up to 1, and above */
    HISTOGRAM_BUCKETS_MAX = 2048,
};

struct bounded;
struct histogram; /* on the heap; one thread at a time */

struct histogram *histogram_new(void);
void histogram_free(struct histogram *histogram);
struct histogram *histogram_copy(const struct histogram *histogram);

/* `weight` has 16 fractional bits (WEIGHT_ONE, series/sample.h); 0 adds nothing, and so does a
 * value that is not finite. -0 counts as 0. */
void histogram_add(struct histogram *histogram, double value, uint64_t weight);

/* Asks for the memory that histogram_add will need for this value. */
void histogram_prefetch(const struct histogram *histogram, double value);

/* `into` and `from` are two histograms. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/* Takes out what was merged in: merging what is left with it gives the same again, to the bit.
 * False, and `histogram` is only to be freed, when it was not merged in. */
bool histogram_take_out(struct histogram *histogram, const struct histogram *part);

/* One side of a histogram that was made elsewhere: counts[i] values in bucket `offset` + i. */
struct histogram_buckets {
    int32_t offset;
    size_t count; /* of `counts` */
    const uint64_t *counts;
};

/* Merges a histogram as OTLP sends it, of any scale; the counts are of whole values, and the counts
 * within the zero threshold are zeros here. False, and nothing is added, when a bucket that is not
 * empty lies outside what a double can be. */
bool histogram_import(struct histogram *into, int32_t scale, uint64_t zeros,
                      const struct histogram_buckets *positive,
                      const struct histogram_buckets *negative, struct error *err);

/* Merges what came between its sender's own bounds; it is the histogram's now. */
void histogram_take_bounded(struct histogram *histogram, struct bounded *bounded);
const struct bounded *histogram_bounded(const struct histogram *histogram); /* NULL: nothing */

/* Takes away what `before` has counted, where `into` has counted the same and maybe more since: the
 * finer one is taken at the scale of the other, and buckets next to zero that `into` has no more
 * are taken for zeros, since a sender may widen what it calls zero. False when something was
 * counted that `into` lacks, or between other bounds: then nothing is taken away, though `into` may
 * be of a coarser scale. The two are not one. */
bool histogram_subtract(struct histogram *into, const struct histogram *before);

/* For each bucket that is not empty: above `low` and at most `high`, on the negative side from
 * `low` on and below `high`; both 0 for zeros, infinite where a sender has no bound. Not in order.
 */
typedef void (*histogram_bucket_fn)(double low, double high, uint64_t weight, void *arg);
void histogram_each_bucket(const struct histogram *histogram, histogram_bucket_fn on_bucket,
                           void *arg);

/* All weights, 16 fractional bits. */
uint64_t histogram_count(const struct histogram *histogram);

/* The value at rank ceil(q n) of n, weights counted (FIG-19): the point of its bucket that is
 * nearest to all of it, kept within `min` and `max`, which are the least and the largest value
 * added. What came between a sender's bounds is taken to lie evenly between them, as far as `min`
 * and `max` let it; these are finite then. False when nothing was added, or `q` is not within 0 and
 * 1. */
bool histogram_quantile(const struct histogram *histogram, double q, double min, double max,
                        double *out);

/* The share, 0 to 1, of the weights at most (at least) `value`, counting all of the bucket that
 * holds it (FIG-22). False when nothing was added, or `value` is not finite. */
bool histogram_share_at_most(const struct histogram *histogram, double value, double *out);
bool histogram_share_at_least(const struct histogram *histogram, double value, double *out);

int histogram_scale(const struct histogram *histogram);

/* The largest relative error of a quantile at this scale, for values that are not subnormal; of
 * what came between a sender's bounds it says nothing. */
double histogram_error(const struct histogram *histogram);

/* How far at most the true quantile is from `value`, which histogram_quantile gave with this `min`
 * and `max`: also the width of the sender's bucket that holds it. */
double histogram_quantile_error(const struct histogram *histogram, double value, double min,
                                double max);

/* The bucket of `value`'s magnitude, which is finite and not zero; scale as in the enum. */
int32_t histogram_index(double value, int scale);

/* Bytes it holds, for limits. */
size_t histogram_size_bytes(const struct histogram *histogram);

/* Little-endian base-128 varints, never longer than they must be:
 *   u8      bits 0-4: HISTOGRAM_SCALE_MAX - scale; bit 5: all counts are whole and written without
 *           their fractional bits; bits 6-7: version: 1, or 2 if bounded_encode comes last
 *   varint  zeros
 *   then the positive and the negative side:
 *   varint  buckets from the first to the last that is not empty (0: none, and no more)
 *   varint  the first one's index, zigzag
 *   then each bucket that is not empty:
 *     u8      bits 0-1: empty ones before it, 3 for 3 and more; bits 2-6: count - 1, its low
 *             5 bits; bit 7: the rest of it follows
 *     varint  the rest, (count - 1) >> 5, if any
 *     varint  empty ones before it, less 3, if 3 or more
 * A histogram has one encoding only. Decoding checks all of it; NULL and `reader->ok` false when it
 * is wrong. */
void histogram_encode(const struct histogram *histogram, struct buf *out);
struct histogram *histogram_decode(struct reader *reader);
