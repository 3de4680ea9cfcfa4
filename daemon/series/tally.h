/* What a sender has counted of a distribution since it began: a point of a cumulative histogram
 * (O14, O16, P17), or what it counted meanwhile, of a delta one. The difference of two is what came
 * between them.
 *
 * Unlike a cell (series/cell.h) it has its buckets also where all values are equal, and knows what
 * its sender has said and what it has not; so nothing that is made up is ever subtracted. */
#pragma once

#include "series/cell.h"

struct batch_buckets; /* series/batch.h */
struct tally;         /* on the heap; one thread at a time */

/* NULL, and `err`, when what the sender says contradicts itself or is too much: bounds that do not
 * grow, buckets that do not add up to the count, buckets outside of 64-bit numbers, more values
 * than a cell can count, a minimum above the maximum. A sum, minimum or maximum that is not a
 * finite number is taken for none. */
struct tally *tally_new(const struct batch_buckets *buckets, struct error *err);
void tally_free(struct tally *tally); /* NULL is fine */

/* Leaves what came since `before`. False when the sender has begun anew: something counts less than
 * before, or the bounds are others (histogram_subtract); then `tally` stands for itself. */
bool tally_subtract(struct tally *tally, const struct tally *before);

/* What it counts as the samples of a cell, which is empty; they have the time `at`.
 *
 * Where the sender says no minimum and maximum, the edges of the outermost buckets that are not
 * empty stand for them. An edge that is infinite is 0 for a first bucket that ends above 0, else
 * the outermost bound, moved outward where the sum says that some value must lie beyond it. After a
 * subtraction the sender's own, which are of all time, stand where they have moved since, and are
 * limits else. With no bounds at all and no minimum and maximum only count and sum are known: the
 * cell does not count its values. Without a sum (O15) it is the sum of the buckets' middles. First
 * and last are the mean. */
void tally_cell(const struct tally *tally, wall_ms at, uint64_t arrival, struct cell *out);

bool tally_is_empty(const struct tally *tally);

/* Bytes it holds, for limits. */
size_t tally_size_bytes(const struct tally *tally);

/* Little-endian: u8 bit 0: has a sum, bit 1: has a minimum and a maximum; double sum, if any;
 * double min, max, if any; histogram_encode. A tally has one encoding only, but for one that was
 * subtracted from, which has none. */
void tally_encode(const struct tally *tally, struct buf *out);

/* NULL and `reader->ok` false when it is wrong. */
struct tally *tally_decode(struct reader *reader);
