/* Quantiles and shares of a histogram (series/histogram.h). */
#include <float.h>
#include <math.h>

#include "series/histogram_private.h"

/* --- from the least bucket to the greatest ---------------------------------------------------- */

struct walk {
    const struct histogram *histogram;
    int32_t next; /* below 0: the negative buckets; 0: zero; above: the positive ones */
};

static struct walk walk_of(const struct histogram *histogram)
{
    return (struct walk){histogram, -(int32_t)histogram->sides[NEGATIVE].capacity};
}

/* The weight of the next bucket that is not empty; 0: there is none. */
static uint64_t walk_on(struct walk *walk)
{
    const struct side *sides = walk->histogram->sides;
    uint64_t weight = 0;

    while (weight == 0 && walk->next <= sides[POSITIVE].capacity) {
        int32_t at = walk->next++;
        if (at == 0)
            weight = walk->histogram->zeros;
        else if (at < 0)
            weight = count_at(&sides[NEGATIVE], (size_t)(-at - 1));
        else
            weight = count_at(&sides[POSITIVE], (size_t)(at - 1));
    }
    return weight;
}

/* The point that stands for the last bucket. */
static double walk_value(const struct walk *walk)
{
    const struct histogram *histogram = walk->histogram;
    int32_t at = walk->next - 1;

    if (at == 0)
        return 0;
    return at < 0 ? -histogram_middle(histogram->sides[NEGATIVE].first - at - 1, histogram->coarser)
                  : histogram_middle(histogram->sides[POSITIVE].first + at - 1, histogram->coarser);
}

/* --- quantiles -------------------------------------------------------------------------------- */

/* A decimal q has no exact double: 0.07 of 100 must be 7, not a hair more and then 8. So what is
 * above a rank by no more than q's own rounding is that rank. */
static uint64_t rank_of(double q, uint64_t total)
{
    double rank = ceil(q * (double)total * (1 - 4 * DBL_EPSILON));
    if (rank >= (double)total)
        return total;
    return rank < 1 ? 1 : (uint64_t)rank;
}

/* Without `bounded`: all is at points. */
static double value_at_rank(const struct histogram *histogram, uint64_t rank)
{
    const struct side *negative = &histogram->sides[NEGATIVE];
    const struct side *positive = &histogram->sides[POSITIVE];
    uint64_t seen = 0;

    for (int32_t i = negative->capacity - 1; i >= 0; i--) {
        seen = saturating_sum(seen, count_at(negative, (size_t)i));
        if (seen >= rank)
            return -histogram_middle(negative->first + i, histogram->coarser);
    }
    seen = saturating_sum(seen, histogram->zeros);
    if (seen >= rank)
        return 0;
    for (int32_t i = 0; i < positive->capacity; i++) {
        seen = saturating_sum(seen, count_at(positive, (size_t)i));
        if (seen >= rank)
            return histogram_middle(positive->first + i, histogram->coarser);
    }
    return INFINITY; /* not reached: the weights seen are the total */
}

/* With `bounded`, whose values lie between its bounds; the others stand each at one point. */
static double value_of_both(const struct histogram *histogram, double rank, double min, double max)
{
    struct walk points = walk_of(histogram);
    struct bounded_walk spread = bounded_walk_of(histogram->bounded, min, max);
    double seen = 0; /* at points */
    double passed = min;

    /* Weights and values between bounds are rounded, but never beyond a point: so a quantile is not
     * below a lesser one. */
    for (uint64_t weight = walk_on(&points); weight > 0; weight = walk_on(&points)) {
        struct bounded_walk before = spread;
        double value = fmax(fmin(walk_value(&points), max), min);
        double below = bounded_walk_weight(&spread, value);
        if (seen + below >= rank)
            return fmax(fmin(bounded_walk_value(&before, rank - seen), value), passed);
        seen += (double)weight;
        if (seen + below >= rank)
            return value;
        passed = value;
    }
    return fmax(bounded_walk_value(&spread, rank - seen), passed);
}

bool histogram_quantile(const struct histogram *histogram, double q, double min, double max,
                        double *out)
{
    if (histogram->total == 0 || !(q >= 0 && q <= 1))
        return false;
    uint64_t rank = rank_of(q, histogram->total);
    if (histogram->bounded != NULL)
        *out = value_of_both(histogram, (double)rank, min, max);
    else
        *out = fmax(fmin(value_at_rank(histogram, rank), max), min);
    return true;
}

/* (base - 1) / (base + 1), in a form in which no base is too large. */
double histogram_error(const struct histogram *histogram)
{
    return tanh(ldexp(M_LN2 / 2, -histogram_scale(histogram)));
}

double histogram_quantile_error(const struct histogram *histogram, double value, double min,
                                double max)
{
    struct walk walk = walk_of(histogram);
    double relative = walk_on(&walk) > 0 ? histogram_error(histogram) : 0;
    double error = 0;

    /* Alone it gives the middle of a bucket, with `bounded` any place in one. */
    if (value != 0 && relative < 1)
        error = fabs(value) * (histogram->bounded == NULL ? 1 : 2) * relative / (1 - relative);
    else if (value != 0)
        error = INFINITY;
    if (histogram->bounded != NULL)
        error = fmax(error, bounded_error(histogram->bounded, value, min, max));
    return fmin(error, max - min);
}

/* --- shares ----------------------------------------------------------------------------------- */

/* The weights of the buckets from `low` to `high`. */
static uint64_t side_sum(const struct side *side, int32_t low, int32_t high)
{
    uint64_t sum = 0;
    for (int32_t i = 0; i < side->capacity; i++) {
        if (side->first + i >= low && side->first + i <= high)
            sum = saturating_sum(sum, count_at(side, (size_t)i));
    }
    return sum;
}

/* The weights up to `value`, when `same` is the side of the positive values; with the sides
 * exchanged and -value, those from -value on. */
static uint64_t weight_up_to(const struct histogram *histogram, int same, double value)
{
    const struct side *above_zero = &histogram->sides[same];
    const struct side *below_zero = &histogram->sides[1 - same];
    int32_t index = value == 0 ? 0 : histogram_index(value, histogram_scale(histogram));

    if (value < 0)
        return side_sum(below_zero, index, INT32_MAX);
    uint64_t sum = saturating_sum(histogram->zeros, side_sum(below_zero, INT32_MIN, INT32_MAX));
    if (value > 0)
        sum = saturating_sum(sum, side_sum(above_zero, INT32_MIN, index));
    return sum;
}

bool histogram_share_at_most(const struct histogram *histogram, double value, double *out)
{
    if (histogram->total == 0 || !isfinite(value))
        return false;
    uint64_t weight = weight_up_to(histogram, POSITIVE, value);
    if (histogram->bounded != NULL)
        weight = saturating_sum(weight, bounded_weight_at_most(histogram->bounded, value));
    *out = (double)weight / (double)histogram->total;
    return true;
}

bool histogram_share_at_least(const struct histogram *histogram, double value, double *out)
{
    if (histogram->total == 0 || !isfinite(value))
        return false;
    uint64_t weight = weight_up_to(histogram, NEGATIVE, -value);
    if (histogram->bounded != NULL)
        weight = saturating_sum(weight, bounded_weight_at_least(histogram->bounded, value));
    *out = (double)weight / (double)histogram->total;
    return true;
}
