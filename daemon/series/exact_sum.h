/* Sums as double-doubles (Dekker 1971, Knuth's two-sum): integers are exact, other values nearly
 * so. Inline, for it is done for every sample.
 *
 * A sum is never infinite and never "not a number": what is larger than a double can be stays at
 * the largest one. */
#pragma once

#include <float.h>
#include <math.h>
#include <stdint.h>

#include "series/sample.h"

struct exact_sum {
    double high, low; /* high + low is the sum */
};

/* Knuth's two-sum: `*sum` is a + b rounded, `*error` exactly what rounding lost. */
static inline void two_sum(double a, double b, double *sum, double *error)
{
    double s = a + b;
    double b_part = s - a;
    double a_part = s - b_part;
    *sum = s;
    *error = (a - a_part) + (b - b_part);
}

/* Dekker's fast two-sum, for |a| >= |b|. */
static inline void fast_two_sum(double a, double b, double *sum, double *error)
{
    double s = a + b;
    *sum = s;
    *error = b - (s - a);
}

static inline struct exact_sum exact_sum_add(struct exact_sum to, struct exact_sum more)
{
    double sum = 0;
    double error = 0;
    double low_sum = 0;
    double low_error = 0;

    two_sum(to.high, more.high, &sum, &error);
    if (!isfinite(sum))
        return (struct exact_sum){copysign(DBL_MAX, sum), 0};
    two_sum(to.low, more.low, &low_sum, &low_error);
    fast_two_sum(sum, error + low_sum, &sum, &error);
    fast_two_sum(sum, error + low_error, &sum, &error);
    if (!isfinite(sum) || !isfinite(error))
        return (struct exact_sum){copysign(DBL_MAX, more.high), 0};
    return (struct exact_sum){sum, error};
}

/* The product of value and weight, exact below overflow and above underflow. */
static inline struct exact_sum exact_product(double value, uint64_t weight)
{
    if (weight == WEIGHT_ONE)
        return (struct exact_sum){value, 0};
    double factor = (double)weight / (double)WEIGHT_ONE;
    double product = value * factor;
    if (!isfinite(product))
        return (struct exact_sum){copysign(DBL_MAX, value), 0};
    return (struct exact_sum){product, fma(value, factor, -product)};
}
