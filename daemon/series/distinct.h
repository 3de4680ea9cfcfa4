/* How many different members were seen: a HyperLogLog (Flajolet et al. 2007; estimator: Ertl 2017,
 * "New cardinality estimation algorithms for HyperLogLog sketches"), p = 14, 64-bit XXH3 with seed
 * 0.
 *
 * Sparse while small: a sorted set of the hashes, exact up to DISTINCT_SPARSE_MAX members; then
 * 16,384 registers. Merging is associative and commutative to the bit (a sketch becomes dense by
 * its number of different members alone). Relative error of a dense one: 0.81 % rms. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

enum {
    DISTINCT_PRECISION = 14,
    DISTINCT_REGISTERS = 1 << DISTINCT_PRECISION,
    DISTINCT_SPARSE_MAX = 256
};

struct distinct; /* on the heap */

struct distinct *distinct_new(void);
void distinct_free(struct distinct *distinct);
struct distinct *distinct_copy(const struct distinct *distinct);

void distinct_add(struct distinct *distinct, struct str member);
void distinct_merge(struct distinct *into, const struct distinct *from);
double distinct_estimate(const struct distinct *distinct);

/* Bytes it holds, for limits. */
size_t distinct_size_bytes(const struct distinct *distinct);

/* u8 form (1 sparse, 2 dense); sparse: u32 count and that many u64 hashes in growing order; dense:
 * 16,384 register bytes. Decoding checks all of it; NULL and `reader->ok` false when it is wrong.
 */
void distinct_encode(const struct distinct *distinct, struct buf *out);
struct distinct *distinct_decode(struct reader *reader);
