/* The block codec: many points of one series in one value.
 *
 * A point is a bucket (a minute, a quarter of an hour or a day, by its number), the aggregate of
 * its samples and, opaque here, an encoded sketch. Everything comes back bit for bit, except that
 * arrivals may be dropped.
 *
 * Arrivals only break ties of first and last (FIG-32), and they are all noise: kept, they cost more
 * than all the rest. Dropped, they come back as 0, which is before every real arrival. So of two
 * samples with one time a sealed one is the first and one that came later the last, as it was,
 * provided that nothing is merged in that arrived before the block was sealed. Hence: merge what
 * waits in the overlay while its arrivals are known, then seal without them. Two parts of one
 * bucket that both lost theirs are tied by value, in any order of merging alike.
 *
 *   u8      version (1)
 *   bits    (store/block_bits.h; columns: store/block_column.h)
 *           number  points - 1
 *           6 bits  1 arrivals kept, 2 sketches, 4 no gaps, 8 every count is 1.0,
 *                   16 some points are plain, 32 some are not
 *           signed  first bucket - origin
 *           column  of all but the first point, if there are gaps: buckets left out before it
 *           column  if some points are plain and some are not: 1 for those that are not
 *           column  unless every count is 1.0: count
 *           column  first_at - bucket * width
 *           column  [not plain] last_at - first_at
 *           column  if arrivals are kept: first_arrival - first_at * 1000
 *           column  [not plain] if arrivals are kept: last_arrival - last_at * 1000
 *           4 bits  scale: 0 to 9, values are integers / 10^scale; 15, they are ordered bits (the
 *                   double's bits, all but the sign turned over if it is negative)
 *           1 bit   if the scale is 15: whether the next column is a xor column
 *           column  min, as an integer by the scale
 *           best    [not plain] max: 0 max - min, 1 max
 *           best    [not plain] last: 0 last - min, 1 last
 *           best    [not plain] first: 0 first - min, 1 first, 2 first - last, 3 first - last of
 *                   the point before in this column (for the first one: first - min)
 *           the rest of the values only if some points are not plain:
 *           2 bits  sums: 0 are the product of min and count
 *                         1 best: 0 integer by the scale, 1 integer - (count * (min + max)) >> 17,
 *                           small column: the sum is integer / 10^scale + small
 *                         2 column: ordered bits of the high half, small column: low half
 *           column  if there are sketches: their bytes (0: none)
 *           zeros up to a whole byte
 *   bytes   of the sketches, one after the other
 *   u32     the low half of XXH3-64 of all before, with a seed made of the frame
 *
 *   small column: 1 bit, 0: signed exponent, column of k: k * 2^exponent; 1: column of ordered bits
 *
 * A point is plain if one number says it all: min, max, first and last are one, first and last
 * have one time (and arrival, if kept), and the sum is its product with the count, rounded once,
 * and what rounding lost. [not plain]: only these points have a place in the column. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "series/aggregate.h"

enum { BLOCK_POINTS_MAX = 4096 };

struct block_point {
    int64_t bucket;
    struct aggregate aggregate;
    struct str sketch; /* empty: none; decoded, it points into the block's bytes */
};

struct block_points {
    struct block_point *points;
    size_t count;
};

/* What is known from the key under which a block is stored. Reading with another frame than it was
 * written with is refused by the checksum. */
struct block_frame {
    int64_t origin;   /* bucket: where the partition begins; the nearer, the smaller the block */
    span_ms width_ms; /* of a bucket, roughly for civil days */
    uint64_t seed;    /* the rest of the key, so that a block cannot pass for another series' */
};

/* How a block is to be written. */
struct block_form {
    bool keep_arrivals;
    size_t limit_bytes; /* of the block, one point is let through; 0: none */
};

/* Appends a block of as many points from the front as the limit lets through, and returns how
 * many. 0, and nothing is appended, unless there are 1 to BLOCK_POINTS_MAX points in growing order
 * of their buckets, each of them a sound aggregate: finite numbers, first and last between min and
 * max and in the order of time, the low half of the sum below the precision of the high one. */
size_t block_encode(const struct block_frame *frame, const struct block_points *points,
                    const struct block_form *form, struct arena *scratch, struct buf *out);

/* The points of a block, in `arena`; at most 176 bytes a point. False, and `out` is empty, when the
 * bytes are no block of this frame. Points that are read are what block_encode takes. */
bool block_decode(const struct block_frame *frame, struct str bytes, struct arena *arena,
                  struct block_points *out);

/* Merges the aggregates of the buckets from `from` to before `to` into `into`; sketches are left
 * out. False, and `into` is as it was, when the bytes are no block of this frame. */
bool block_merge(const struct block_frame *frame, struct str bytes, const int64_t range[2],
                 struct arena *scratch, struct aggregate *into);

/* What is known of a block without decoding its columns. */
struct block_facts {
    size_t count;  /* of points */
    int64_t first; /* bucket */
    bool has_sketches;
};

/* False when the bytes are no block of this frame, by version and checksum. */
bool block_peek(const struct block_frame *frame, struct str bytes, struct block_facts *out);
