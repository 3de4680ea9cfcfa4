/* Count, sum, min, max, first and last of one bucket.
 *
 * Counts have 16 fractional bits and are exact in any order. Sums are double-double (Dekker 1971,
 * Knuth's two-sum): integers exact, else within 1 ulp where the sum of magnitudes is at most 10^6
 * times the sum; a sum or count too large for its type stays at the largest number. Ties of first
 * and last are broken by arrival, so that merging in any order agrees (FIG-32). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct aggregate {
    uint64_t count; /* 16 fractional bits; 0: empty, and nothing else means anything */
    double sum;     /* of value times weight; sum + sum_low is the sum */
    double sum_low;
    double min;
    double max;
    double first;
    wall_ms first_at;
    uint64_t first_arrival;
    double last;
    wall_ms last_at;
    uint64_t last_arrival;
};

#define AGGREGATE_EMPTY                                                                            \
    {                                                                                              \
        0                                                                                          \
    }

/* `arrival` grows with every sample that kpid receives (microseconds of the wall clock, made
 * strictly increasing in each thread). `weight` has 16 fractional bits; 0 adds nothing. `value` is
 * finite; -0 counts as 0. */
void aggregate_add(struct aggregate *aggregate, double value, uint64_t weight, wall_ms at,
                   uint64_t arrival);

/* Commutative and associative: to the bit for everything but sums that are not exact. */
void aggregate_merge(struct aggregate *into, const struct aggregate *from);

/* Takes a part out that was merged in: what is left counts and sums up the rest. The extremes, the
 * first and the last stay those of both, so that merging what is left with the part gives the same
 * again, to the bit; of sums that are not exact nearly so. The part counts less than all of it. */
void aggregate_take_out(struct aggregate *aggregate, const struct aggregate *part);

double aggregate_sum(const struct aggregate *aggregate);
double aggregate_count(const struct aggregate *aggregate);
