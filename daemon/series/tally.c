#include "series/tally.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "series/batch.h"
#include "series/sample.h"

enum { FLAG_SUM = 1, FLAG_EXTREMES = 2, FLAGS_ALL = FLAG_SUM | FLAG_EXTREMES };

static const uint64_t COUNT_MAX = UINT64_MAX / WEIGHT_ONE;

struct tally {
    struct histogram *histogram; /* owned, never NULL: all of the count */
    double sum;
    double sum_low; /* of a difference: what rounding it has lost */
    double min, max;
    bool has_sum;
    bool has_extremes;
};

/* --- life ------------------------------------------------------------------------------------- */

static bool contradiction(struct error *err, const char *what)
{
    return error_set(err, ERROR_INVALID, "a histogram contradicts itself: %s", what);
}

/* Adds up; false when it is more than a cell can count. */
static bool add_counts(const uint64_t *counts, size_t count, uint64_t *sum)
{
    for (size_t i = 0; i < count; i++) {
        if (__builtin_add_overflow(*sum, counts[i], sum) || *sum > COUNT_MAX)
            return false;
    }
    return true;
}

static bool check_counts(const struct batch_buckets *buckets, struct error *err)
{
    uint64_t sum = buckets->is_exponential ? buckets->zeros : 0;
    bool ok = sum <= COUNT_MAX && buckets->count <= COUNT_MAX;

    if (buckets->is_exponential)
        ok = ok && add_counts(buckets->positive.counts, buckets->positive.count, &sum) &&
             add_counts(buckets->negative.counts, buckets->negative.count, &sum);
    else if (buckets->counts != NULL)
        ok = add_counts(buckets->counts, buckets->bound_count + 1, &sum) && ok;
    else
        sum = buckets->count; /* it says no more than that */
    if (!ok)
        return error_set(err, ERROR_INVALID, "a histogram counts more than can be counted");
    return sum == buckets->count || contradiction(err, "its buckets do not add up to its count");
}

static bool take_explicit(struct tally *tally, const struct batch_buckets *buckets,
                          struct error *err)
{
    if (buckets->counts == NULL && buckets->bound_count > 0)
        return contradiction(err, "it has bounds and no counts");
    struct bounded *bounded = bounded_new(buckets->bounds, buckets->bound_count, err);
    if (bounded == NULL)
        return false;
    for (size_t i = 0; i <= buckets->bound_count; i++) {
        uint64_t count = buckets->counts == NULL ? buckets->count : buckets->counts[i];
        bounded_add_bucket(bounded, i, count * WEIGHT_ONE);
    }
    histogram_take_bounded(tally->histogram, bounded);
    return true;
}

static void count_bucket(double low, double high, uint64_t weight, void *arg)
{
    size_t *count = arg;
    (void)low;
    (void)high;
    (void)weight;
    (*count)++;
}

static bool take_facts(struct tally *tally, const struct batch_buckets *buckets, struct error *err)
{
    size_t filled = 0;

    if (buckets->has_sum && isfinite(buckets->sum)) {
        tally->has_sum = true;
        tally->sum = buckets->sum + 0.0; /* -0 becomes 0 */
    }
    if (buckets->count == 0 || !buckets->has_extremes || !isfinite(buckets->min) ||
        !isfinite(buckets->max))
        return true;
    tally->has_extremes = true;
    tally->min = buckets->min + 0.0;
    tally->max = buckets->max + 0.0;
    if (tally->min > tally->max)
        return contradiction(err, "its minimum is above its maximum");
    histogram_each_bucket(tally->histogram, count_bucket, &filled);
    return tally->min < tally->max || filled == 1 ||
           contradiction(err, "all values are equal and in several buckets");
}

struct tally *tally_new(const struct batch_buckets *buckets, struct error *err)
{
    struct tally *tally = memory_zero(1, sizeof *tally);

    tally->histogram = histogram_new();
    bool ok = check_counts(buckets, err) &&
              (buckets->is_exponential
                   ? histogram_import(tally->histogram, buckets->scale, buckets->zeros,
                                      &buckets->positive, &buckets->negative, err)
                   : take_explicit(tally, buckets, err)) &&
              take_facts(tally, buckets, err);
    if (ok)
        return tally;
    tally_free(tally);
    return NULL;
}

void tally_free(struct tally *tally)
{
    if (tally == NULL)
        return;
    histogram_free(tally->histogram);
    free(tally);
}

bool tally_is_empty(const struct tally *tally)
{
    return histogram_count(tally->histogram) == 0;
}

size_t tally_size_bytes(const struct tally *tally)
{
    return sizeof *tally + histogram_size_bytes(tally->histogram);
}

/* --- what the buckets say --------------------------------------------------------------------- */

/* The outermost buckets, and what the others add up to at least and at most. */
struct outline {
    double low, high;                /* the edges; infinite where there is none */
    double lowest_high, highest_low; /* the other edge of the lowest and of the highest one */
    uint64_t lowest, highest;        /* their weights */
    double inner_least, inner_most;  /* but for a bucket without that edge */
};

static double times(double edge, uint64_t weight)
{
    return edge * ((double)weight / (double)WEIGHT_ONE);
}

static void outline_bucket(double low, double high, uint64_t weight, void *arg)
{
    struct outline *outline = arg;

    if (low < outline->low || outline->lowest == 0) {
        outline->low = low;
        outline->lowest_high = high;
        outline->lowest = weight;
    }
    if (high > outline->high || outline->highest == 0) {
        outline->high = high;
        outline->highest_low = low;
        outline->highest = weight;
    }
    if (isfinite(low))
        outline->inner_least += times(low, weight);
    if (isfinite(high))
        outline->inner_most += times(high, weight);
}

/* Of values that have no lower edge: some are at most their mean, and that is at most what the sum
 * leaves when all others are as small as they can be. */
static double lowest_of(const struct outline *outline, const struct tally *tally)
{
    double most = outline->lowest_high;
    double base = isinf(most) ? 0 : most;

    if (isfinite(outline->low))
        return outline->low;
    if (!isinf(most) && most > 0)
        base = 0;
    if (!tally->has_sum)
        return base;
    double mean = (tally->sum - outline->inner_least) * WEIGHT_ONE / (double)outline->lowest;
    if (!isfinite(mean))
        return base;
    return isinf(most) ? mean : fmin(base, mean);
}

static double highest_of(const struct outline *outline, const struct tally *tally)
{
    double least = outline->highest_low;
    double base = isinf(least) ? 0 : nextafter(least, DBL_MAX);

    if (isfinite(outline->high))
        return outline->high;
    if (!tally->has_sum)
        return base;
    double mean = (tally->sum - outline->inner_most) * WEIGHT_ONE / (double)outline->highest;
    if (!isfinite(mean))
        return base;
    return isinf(least) ? mean : fmax(base, mean);
}

/* --- what came since -------------------------------------------------------------------------- */

static struct outline outline_of(const struct tally *tally)
{
    struct outline outline = {0};
    histogram_each_bucket(tally->histogram, outline_bucket, &outline);
    return outline;
}

static double least_of(const struct tally *tally)
{
    struct outline outline = outline_of(tally);
    return tally->has_extremes ? tally->min : lowest_of(&outline, tally);
}

/* The sum of what is never negative never falls. */
static bool sum_has_fallen(const struct tally *tally, const struct tally *before)
{
    return tally->has_sum && before->has_sum && tally->sum < before->sum && least_of(tally) >= 0 &&
           least_of(before) >= 0;
}

/* The sender's extremes are of all it has counted. */
static void narrow_extremes(struct tally *tally, const struct tally *before)
{
    struct outline outline = outline_of(tally);
    double min = tally->min;
    double max = tally->max;

    if (!before->has_extremes || tally_is_empty(tally))
        return;
    if (min >= before->min)
        min = fmax(min, outline.low);
    if (max <= before->max)
        max = fmin(max, outline.high);
    if (min > max) /* a sender's rounding of its buckets' edges */
        return;
    tally->min = min;
    tally->max = max;
}

/* Knuth's two-sum: so what is added up again is what the sender said, to the bit. */
static void subtract_sum(struct tally *tally, double before)
{
    double sum = tally->sum - before;
    double part = sum - tally->sum;
    double low = (tally->sum - (sum - part)) + (-before - part);

    tally->sum = isfinite(sum) ? sum : copysign(DBL_MAX, sum);
    tally->sum_low = isfinite(sum) && isfinite(low) ? low : 0;
}

bool tally_subtract(struct tally *tally, const struct tally *before)
{
    bool was_empty = tally_is_empty(before);

    if (sum_has_fallen(tally, before) || !histogram_subtract(tally->histogram, before->histogram))
        return false;
    if (was_empty)
        return true;
    tally->has_sum = tally->has_sum && before->has_sum;
    if (tally->has_sum)
        subtract_sum(tally, before->sum);
    if (tally->has_extremes)
        narrow_extremes(tally, before);
    return true;
}

/* --- as a cell -------------------------------------------------------------------------------- */

struct middles {
    double min, max;
    double sum;
};

static double kept_within(double value, double min, double max)
{
    return fmax(fmin(value, max), min);
}

static void add_middle(double low, double high, uint64_t weight, void *arg)
{
    struct middles *middles = arg;
    low = kept_within(low, middles->min, middles->max);
    high = kept_within(high, middles->min, middles->max);
    middles->sum += times(low / 2 + high / 2, weight);
}

static double sum_of_middles(const struct tally *tally, double min, double max)
{
    struct middles middles = {.min = min, .max = max};

    histogram_each_bucket(tally->histogram, add_middle, &middles);
    return isfinite(middles.sum) ? middles.sum : copysign(DBL_MAX, middles.sum);
}

void tally_cell(const struct tally *tally, wall_ms at, uint64_t arrival, struct cell *out)
{
    struct outline outline = outline_of(tally);
    uint64_t count = histogram_count(tally->histogram);
    bool says_nothing = !tally->has_extremes && isinf(outline.low) && isinf(outline.lowest_high);
    double min = tally->min;
    double max = tally->max;

    if (count == 0)
        return;
    if (!tally->has_extremes) {
        min = lowest_of(&outline, tally);
        max = fmax(highest_of(&outline, tally), min);
    }
    double sum = tally->has_sum ? tally->sum : sum_of_middles(tally, min, max);
    double mean = kept_within(sum / ((double)count / WEIGHT_ONE), min, max) + 0.0;
    out->counts_values = !says_nothing;
    out->aggregate = (struct aggregate){.count = count,
                                        .sum = sum + 0.0,
                                        .sum_low = tally->has_sum ? tally->sum_low : 0,
                                        .min = min + 0.0,
                                        .max = max + 0.0,
                                        .first = mean,
                                        .first_at = at,
                                        .first_arrival = arrival,
                                        .last = mean,
                                        .last_at = at,
                                        .last_arrival = arrival};
    if (!says_nothing && min < max)
        out->histogram = histogram_copy(tally->histogram);
}

/* --- codec ------------------------------------------------------------------------------------ */

void tally_encode(const struct tally *tally, struct buf *out)
{
    buf_u8(out,
           (uint8_t)((tally->has_sum ? FLAG_SUM : 0) | (tally->has_extremes ? FLAG_EXTREMES : 0)));
    if (tally->has_sum)
        buf_double(out, tally->sum);
    if (tally->has_extremes) {
        buf_double(out, tally->min);
        buf_double(out, tally->max);
    }
    histogram_encode(tally->histogram, out);
}

struct tally *tally_decode(struct reader *reader)
{
    struct tally *tally = memory_zero(1, sizeof *tally);
    uint8_t flags = read_u8(reader);

    tally->has_sum = (flags & FLAG_SUM) != 0;
    tally->has_extremes = (flags & FLAG_EXTREMES) != 0;
    if (tally->has_sum)
        tally->sum = read_double(reader);
    if (tally->has_extremes) {
        tally->min = read_double(reader);
        tally->max = read_double(reader);
    }
    tally->histogram = histogram_decode(reader);
    /* A count at its limit may be more than that, and has no differences. */
    if (tally->histogram != NULL && histogram_count(tally->histogram) < UINT64_MAX &&
        flags <= FLAGS_ALL && isfinite(tally->sum) && isfinite(tally->min) &&
        isfinite(tally->max) && tally->min <= tally->max &&
        !(tally_is_empty(tally) && tally->has_extremes))
        return tally;
    reader->ok = false;
    tally_free(tally);
    return NULL;
}
