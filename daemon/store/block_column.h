/* Columns of 64-bit integers in few bits: one field of all points of a block. Private to store/.
 *
 * Arithmetic is modulo 2^64, so signed and unsigned columns are the same; small differences are
 * what makes them cheap. A column of no values takes no bits. Else, in bits (store/block_bits.h):
 *
 *   column  3 bits kind: 0 all zero
 *                        1 all the same: signed value
 *                        2, 3, 4 values, differences, differences of differences: heads, plain
 *                        5, 6, 7 the same: heads, patched
 *   heads   signed: none; the first value; the first value and the first difference
 *   plain   scale, digits: value = base + digit * step
 *   scale   1 bit: whether a step follows; number step (else 1); signed base; number span
 *   digits  of base R = span + 1, the first one lowest, k in a group; a group of j digits takes the
 *           bits of R^j - 1. k is what needs the fewest bits a digit while R^k <= 2^64, the
 *           smallest of them. So nine values take 3.18 bits, not 4
 *   patched number of exceptions (at least 1); their positions, as how many values lie between
 *           each and the one before: plain; exception - base: plain; then plain for all values,
 *           where digits in the places of exceptions mean nothing
 *   best    1 bit (2, if there are more than two candidates) which one follows; column */
#pragma once

#include "base/arena.h"
#include "store/block_bits.h"

/* Room for columns of up to `count` values, in `arena`. */
struct column_work {
    uint64_t *differences;
    uint64_t *positions;
    uint64_t *exceptions;
};

struct column_work column_work_of(struct arena *arena, size_t count);

void column_put(struct bit_writer *writer, const uint64_t *values, size_t count,
                struct column_work *work);

/* Writes the smallest of up to four columns that mean the same, after 1 bit (2 bits, if there are
 * more than two) that say which. */
void column_put_best(struct bit_writer *writer, const uint64_t *const *candidates,
                     unsigned candidate_count, size_t count, struct column_work *work);

/* Reads any bits into `count` values; what they are means nothing once the reader is not ok. */
void column_get(struct bit_reader *reader, uint64_t *out, size_t count, struct column_work *work);

/* The bits that column_put takes. */
size_t column_bits(const uint64_t *values, size_t count, struct column_work *work);

/* Bits of doubles, each as its difference (xor) from the one before (Gorilla, Pelkonen et al.
 * 2015): the first one whole; then 0 for the same again; 10 and the bits that fit into the last
 * window of bits that differed; 11, 6 bits zeros in front, 6 bits length - 1 and the bits: a new
 * window. */
void column_put_xor(struct bit_writer *writer, const uint64_t *values, size_t count);
void column_get_xor(struct bit_reader *reader, uint64_t *out, size_t count);
size_t column_xor_bits(const uint64_t *values, size_t count);
