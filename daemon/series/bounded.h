/* How values are distributed over buckets whose bounds their sender has chosen (O14): an explicit
 * histogram, for percentiles and shares (FIG-19, FIG-22) as good as its bounds.
 *
 * Bounds are finite numbers in growing order, none to BOUNDED_BOUNDS_MAX; there is one bucket more:
 * bucket i holds what is above bound i - 1 and at most bound i, the first one has no lower and the
 * last one no upper bound. Equal bounds are one array in the process (base/intern.h).
 *
 * Counts are weights with 16 fractional bits; they stay at the largest number, never wrap. Merging
 * adds up the buckets between the bounds that both have, maybe none: then one bucket is left. So it
 * is associative and commutative to the bit: the bounds are those that all parts have, and the
 * counts saturating sums of what lies between them. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

enum { BOUNDED_BOUNDS_MAX = 1024 };

struct bounded; /* on the heap; one thread at a time */

/* An empty one. NULL, and `err`, when these are no bounds; -0 is 0. */
struct bounded *bounded_new(const double *bounds, size_t count, struct error *err);
void bounded_free(struct bounded *bounded);
struct bounded *bounded_copy(const struct bounded *bounded);

/* `weight` has 16 fractional bits (WEIGHT_ONE, series/sample.h); 0 adds nothing, and so does a
 * value that is not finite. */
void bounded_add(struct bounded *bounded, double value, uint64_t weight);

/* Adds to a bucket, which is at most bounded_bound_count. */
void bounded_add_bucket(struct bounded *bounded, size_t bucket, uint64_t weight);

/* `into` and `from` are two. */
void bounded_merge(struct bounded *into, const struct bounded *from);

/* Takes counts out that were merged in; false, and `bounded` is only to be freed, when they were
 * not. */
bool bounded_take_out(struct bounded *bounded, const struct bounded *part);

/* Whether the bounds are the same and each bucket counts at least as much; then what `before` has
 * counted may be taken away. */
bool bounded_holds(const struct bounded *bounded, const struct bounded *before);
void bounded_subtract(struct bounded *into, const struct bounded *before);

/* For each bucket that is not empty: above `low` and at most `high`, which are infinite where there
 * is no bound. From the least one on. */
void bounded_each_bucket(const struct bounded *bounded,
                         void (*on_bucket)(double low, double high, uint64_t weight, void *arg),
                         void *arg);

/* All weights, 16 fractional bits. */
uint64_t bounded_count(const struct bounded *bounded);
size_t bounded_bound_count(const struct bounded *bounded);
const double *bounded_bounds(const struct bounded *bounded); /* until it changes or is freed */

/* The width of the bucket that holds `value`, as far as it is within `min` and `max`: so far at
 * most is a quantile that was read as `value` from the true one. */
double bounded_error(const struct bounded *bounded, double value, double min, double max);

/* The weights at most (at least) `value`, counting all of the bucket that holds it (FIG-22): exact
 * at a bound (just above one). `value` is finite. */
uint64_t bounded_weight_at_most(const struct bounded *bounded, double value);
uint64_t bounded_weight_at_least(const struct bounded *bounded, double value);

/* From the least value to the greatest, each bucket's values lying evenly between its bounds; all
 * of it is kept within `min` and `max`, the least and the largest value, which are finite. */
struct bounded_walk {
    const struct bounded *bounded; /* borrowed */
    double min, max;
    size_t bucket;
    double before; /* the weights of the buckets before it */
};

struct bounded_walk bounded_walk_of(const struct bounded *bounded, double min, double max);

/* How much lies at or below `value`, which grows from call to call. */
double bounded_walk_weight(struct bounded_walk *walk, double value);

/* The value up to which so much lies, which is more than up to the walk's place. */
double bounded_walk_value(const struct bounded_walk *walk, double weight);

/* Bytes it holds, for limits; bounds that others hold too are counted for each. */
size_t bounded_size_bytes(const struct bounded *bounded);

/* Little-endian; varints are never longer than they must be:
 *   u8      bit 0: all counts are whole and written without their fractional bits
 *           bits 1-5: 0 to 9: the bounds are integers, of this many decimals; as few as possible
 *                     31: they are doubles, since no number of decimals is enough
 *           bits 6-7: version (1)
 *   varint  bounds
 *   then the bounds as doubles, or as integers of at most 2^50 on either side of 0:
 *   varint  the first one, zigzag
 *   varint  for each other one the difference from the one before, less 1
 *   then the counts of all buckets:
 *   varint  count
 *   varint  after a 0: how many more follow it
 * There is one encoding only. Decoding checks all of it; NULL and `reader->ok` false when it is
 * wrong. */
void bounded_encode(const struct bounded *bounded, struct buf *out);
struct bounded *bounded_decode(struct reader *reader);
