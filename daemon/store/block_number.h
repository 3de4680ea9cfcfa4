/* Doubles as integers, and sums as what they are made of: what the block codec needs to turn
 * columns of doubles into columns of integers, without losing a bit. Private to store/. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SCALE_DECIMAL_MAX = 9, /* integers / 10^9 */
    SCALE_ORDERED = 15,    /* the double's bits, in the order of the numbers */
};

/* The bits as a signed integer; it grows as the doubles do. Its own inverse on the bits. */
uint64_t number_ordered_bits(double value);
double number_of_ordered_bits(uint64_t ordered);

/* False when the value is no integer / 10^scale of at most 2^53 that reads back as the same bits.
 */
bool number_to_decimal(double value, unsigned scale, int64_t *out);

/* The integer nearest to value * 10^scale; false when it is beyond 2^53. */
bool number_near_decimal(double value, unsigned scale, int64_t *out);

/* |integer| is at most 2^53. */
double number_of_decimal(int64_t integer, unsigned scale);
bool number_is_decimal_range(int64_t integer);

/* By any scale, decimal or ordered; for encoding the value must fit. */
uint64_t number_to_scale(double value, unsigned scale);
double number_of_scale(uint64_t integer, unsigned scale);

/* The lowest bit's power of two, of a number that is not 0; and whether the value is k * 2^exponent
 * with a k of at most 62 bits. */
int number_lowest_exponent(double value);
bool number_to_binary(double value, int exponent, int64_t *out);
double number_of_binary(int64_t k, int exponent);

bool number_same_bits(double a, double b);

/* A double and what is left over, such as the halves of a sum. */
struct number_pair {
    double high;
    double low;
};

bool number_same_pair(struct number_pair a, struct number_pair b);

/* a + b rounded, and exactly what rounding lost (Knuth's two-sum). */
struct number_pair number_sum(double a, double b);

/* The product of a value and a weight with 16 fractional bits: rounded, and what rounding lost.
 * Part of the stored form: series/aggregate may change, this may not. */
struct number_pair number_product(double value, uint64_t weight);
