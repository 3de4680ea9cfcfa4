#include <float.h>

#include "base/intern.h"
#include "histogram_test.h"
#include "series/bounded.h"

static struct bounded *bounded_with(const double *bounds, size_t count)
{
    struct error err = ERROR_EMPTY;
    struct bounded *bounded = bounded_new(bounds, count, &err);
    assert_non_null(bounded);
    return bounded;
}

static void assert_same_bounded(const struct bounded *a, const struct bounded *b)
{
    struct buf one = BUF_EMPTY;
    struct buf other = BUF_EMPTY;
    bounded_encode(a, &one);
    bounded_encode(b, &other);
    assert_int_equal(one.len, other.len);
    assert_memory_equal(one.bytes, other.bytes, one.len);
    assert_true(bounded_count(a) == bounded_count(b));
    assert_ptr_equal(bounded_bounds(a), bounded_bounds(b)); /* one array */
    buf_fini(&one);
    buf_fini(&other);
}

/* Some of the numbers of one of a few grids, so that two of them often have some in common. */
static size_t random_bounds(uint64_t *seed, double *out)
{
    static const double grids[] = {1, 0.25, 0.005, 1.0 / 3, 1e15, 1e-30, 1e300};
    double grid = grids[random_below(seed, TEST_COUNT(grids))];
    int from = (int)random_below(seed, 30) - 20;
    uint64_t keep = 1 + random_below(seed, 4);
    size_t count = 0;

    if (random_below(seed, 3) > 0)
        grid = 1;
    for (int i = from; i < from + 30; i++) {
        if (random_below(seed, keep + 1) > 0)
            out[count++] = i * grid + 0.0;
    }
    return random_below(seed, 20) == 0 ? 0 : count;
}

static double random_sample(uint64_t *seed)
{
    switch (random_below(seed, 4)) {
    case 0:
        return (double)random_below(seed, 60) - 30; /* at a bound */
    case 1:
        return random_normal(seed) * 1e16;
    default:
        return random_normal(seed) * 15;
    }
}

enum { PARTS = 3, SAMPLES = 12 };

struct part {
    double bounds[BOUNDED_BOUNDS_MAX];
    size_t bound_count;
    struct weighted samples[SAMPLES];
    size_t sample_count;
};

static void make_part(struct part *part, uint64_t *seed, uint64_t weights)
{
    part->bound_count = random_bounds(seed, part->bounds);
    part->sample_count = random_below(seed, SAMPLES + 1);
    for (size_t i = 0; i < part->sample_count; i++)
        part->samples[i] = (struct weighted){random_sample(seed), random_weight(seed, weights)};
}

static void add_samples(struct bounded *bounded, const struct part *part)
{
    for (size_t i = 0; i < part->sample_count; i++)
        bounded_add(bounded, part->samples[i].value, part->samples[i].weight);
}

static struct bounded *bounded_part(const struct part *part)
{
    struct bounded *bounded = bounded_with(part->bounds, part->bound_count);
    add_samples(bounded, part);
    return bounded;
}

static bool has_bound(const struct part *part, double bound)
{
    for (size_t i = 0; i < part->bound_count; i++) {
        if (part->bounds[i] == bound)
            return true;
    }
    return false;
}

/* What merging has to come to: all samples between the bounds that every part has. */
static struct bounded *reference_of(const struct part *parts)
{
    double common[BOUNDED_BOUNDS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < parts[0].bound_count; i++) {
        bool in_all = true;
        for (size_t j = 1; j < PARTS; j++)
            in_all = in_all && has_bound(&parts[j], parts[0].bounds[i]);
        if (in_all)
            common[count++] = parts[0].bounds[i];
    }
    struct bounded *bounded = bounded_with(common, count);
    for (size_t i = 0; i < PARTS; i++)
        add_samples(bounded, &parts[i]);
    return bounded;
}

static void merging_in_any_order_counts_all_between_the_common_bounds(void **state)
{
    static const size_t orders[][PARTS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                           {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    uint64_t seed = 21;
    size_t with_bounds = 0;
    size_t without = 0;
    (void)state;

    for (uint64_t round = 0; round < 1500; round++) {
        static struct part parts[PARTS];
        for (size_t i = 0; i < PARTS; i++)
            make_part(&parts[i], &seed, round);
        struct bounded *expected = reference_of(parts);
        with_bounds += bounded_bound_count(expected) > 0;
        without += bounded_bound_count(expected) == 0;
        for (size_t i = 0; i < TEST_COUNT(orders); i++) {
            struct bounded *all[PARTS];
            for (size_t j = 0; j < PARTS; j++)
                all[j] = bounded_part(&parts[orders[i][j]]);
            /* (a b) c, or a (b c) */
            size_t inner = i % 2;
            bounded_merge(all[inner], all[inner + 1]);
            bounded_merge(all[0], all[inner == 0 ? 2 : 1]);
            assert_same_bounded(all[0], expected);
            for (size_t j = 0; j < PARTS; j++)
                bounded_free(all[j]);
        }
        bounded_free(expected);
    }
    assert_true(with_bounds > 300 && without > 100);
    assert_int_equal(interned_count(), 0);
}

static void bounds_are_finite_and_growing_and_not_too_many(void **state)
{
    static const struct {
        double bounds[3];
        size_t count;
        bool ok;
    } cases[] = {
        {{0}, 0, true},
        {{-0.0}, 1, true},
        {{-1, 0, 1}, 3, true},
        {{-DBL_MAX, 5e-324, DBL_MAX}, 3, true},
        {{1, 1}, 2, false},
        {{-0.0, 0}, 2, false},
        {{2, 1}, 2, false},
        {{NAN}, 1, false},
        {{1, NAN, 2}, 3, false},
        {{1, INFINITY}, 2, false},
        {{-INFINITY, 1}, 2, false},
    };
    static double many[BOUNDED_BOUNDS_MAX + 1];
    struct error err = ERROR_EMPTY;
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct bounded *bounded = bounded_new(cases[i].bounds, cases[i].count, &err);
        assert_int_equal(bounded != NULL, cases[i].ok);
        if (!cases[i].ok)
            assert_int_equal(err.kind, ERROR_INVALID);
        bounded_free(bounded);
    }
    for (size_t i = 0; i < TEST_COUNT(many); i++)
        many[i] = (double)i;
    bounded_free(bounded_with(many, BOUNDED_BOUNDS_MAX));
    assert_null(bounded_new(many, BOUNDED_BOUNDS_MAX + 1, &err));
    assert_int_equal(interned_count(), 0);
}

static void a_bound_is_in_the_bucket_below_it(void **state)
{
    static const double bounds[] = {-1, 0, 2.5};
    static const struct {
        double value;
        size_t bucket; /* 4: none */
    } cases[] = {
        {-INFINITY, 4}, {-DBL_MAX, 0}, {-1, 0},  {-0.9, 1},    {-0.0, 1},     {0, 1},
        {5e-324, 2},    {2.5, 2},      {2.6, 3}, {DBL_MAX, 3}, {INFINITY, 4}, {NAN, 4},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct bounded *one = bounded_with(bounds, TEST_COUNT(bounds));
        struct bounded *other = bounded_with(bounds, TEST_COUNT(bounds));
        bounded_add(one, cases[i].value, WEIGHT_ONE);
        if (cases[i].bucket < 4)
            bounded_add_bucket(other, cases[i].bucket, WEIGHT_ONE);
        assert_same_bounded(one, other);
        bounded_free(one);
        bounded_free(other);
    }
}

static void equal_bounds_are_one_array(void **state)
{
    static const double bounds[] = {0.005, 0.01, 0.025, -0.0 + 1};
    (void)state;

    struct bounded *one = bounded_with(bounds, 4);
    struct bounded *other = bounded_with(bounds, 4);
    struct bounded *fewer = bounded_with(bounds + 1, 2);
    struct bounded *copy = bounded_copy(other);
    struct buf bytes = BUF_EMPTY;
    bounded_encode(one, &bytes);
    struct reader reader = reader_of(buf_view(&bytes));
    struct bounded *read = bounded_decode(&reader);
    assert_ptr_equal(bounded_bounds(one), bounded_bounds(other));
    assert_ptr_equal(bounded_bounds(one), bounded_bounds(copy));
    assert_ptr_equal(bounded_bounds(one), bounded_bounds(read));
    assert_int_equal(interned_count(), 2);
    bounded_merge(copy, fewer);
    assert_ptr_equal(bounded_bounds(copy), bounded_bounds(fewer));
    bounded_merge(fewer, one);
    assert_ptr_equal(bounded_bounds(copy), bounded_bounds(fewer));
    size_t size = bounded_size_bytes(one);
    bounded_merge(one, fewer);
    assert_true(bounded_size_bytes(one) < size);
    bounded_free(one);
    bounded_free(other);
    bounded_free(fewer);
    bounded_free(copy);
    bounded_free(read);
    buf_fini(&bytes);
    assert_int_equal(interned_count(), 0);
}

/* --- quantiles and shares --- */

/* Single values, values between bounds, or both. */
struct mix {
    struct part part; /* between bounds */
    struct weighted singles[SAMPLES];
    size_t single_count;
    struct histogram *histogram;
    double min, max;
    uint64_t total;
};

static void note(struct mix *mix, const struct weighted *sample)
{
    mix->min = mix->total == 0 ? sample->value : fmin(mix->min, sample->value);
    mix->max = mix->total == 0 ? sample->value : fmax(mix->max, sample->value);
    mix->total += sample->weight;
}

static void make_mix(struct mix *mix, uint64_t *seed)
{
    uint64_t kind = random_below(seed, 3); /* 0: bounded only; else both */
    mix->total = 0;
    do {
        make_part(&mix->part, seed, 0);
    } while (mix->part.sample_count == 0);
    mix->single_count = kind == 0 ? 0 : 1 + random_below(seed, SAMPLES);
    mix->histogram = histogram_new();
    for (size_t i = 0; i < mix->part.sample_count; i++) {
        mix->part.samples[i].weight *= 1 + random_below(seed, 3);
        note(mix, &mix->part.samples[i]);
    }
    for (size_t i = 0; i < mix->single_count; i++) {
        /* near enough to each other for the finest scale, at which point_of is */
        mix->singles[i] = (struct weighted){remainder(random_sample(seed), 1000), WEIGHT_ONE};
        note(mix, &mix->singles[i]);
        histogram_add(mix->histogram, mix->singles[i].value, WEIGHT_ONE);
    }
    histogram_take_bounded(mix->histogram, bounded_part(&mix->part));
    assert_true(histogram_count(mix->histogram) == mix->total);
}

static int compare_samples(const void *a, const void *b)
{
    double one = ((const struct weighted *)a)->value;
    double other = ((const struct weighted *)b)->value;
    return (one > other) - (one < other);
}

static double true_quantile(const struct mix *mix, double q)
{
    struct weighted all[2 * SAMPLES];
    size_t count = mix->part.sample_count;
    double seen = 0;

    memcpy(all, mix->part.samples, count * sizeof *all);
    for (size_t i = 0; i < mix->single_count; i++)
        all[count++] = mix->singles[i];
    qsort(all, count, sizeof *all, compare_samples);
    for (size_t i = 0; i < count; i++) {
        seen += (double)all[i].weight;
        if (seen >= q * (double)mix->total * (1 - 1e-15))
            return all[i].value;
    }
    return all[count - 1].value;
}

/* The edges of the bucket of a value, by looking at each bound. */
static void edges_of(const struct mix *mix, double value, double *low, double *high)
{
    *low = mix->min;
    *high = mix->max;
    for (size_t i = 0; i < mix->part.bound_count; i++) {
        double bound = mix->part.bounds[i];
        if (bound < value && bound > *low)
            *low = bound;
        if (bound >= value && bound < *high)
            *high = bound;
    }
}

static double point_of(const struct mix *mix, double value)
{
    struct histogram *one = histogram_new();
    histogram_add(one, value, WEIGHT_ONE);
    double point = quantile(one, 0.5);
    histogram_free(one);
    return fmax(fmin(point, mix->max), mix->min);
}

/* How much lies below `value`, or at most there: single values at their points, others evenly
 * between the edges of their buckets. */
static double weight_up_to(const struct mix *mix, double value, bool with_it)
{
    double weight = 0;

    for (size_t i = 0; i < mix->single_count; i++) {
        double point = point_of(mix, mix->singles[i].value);
        if (point < value || (with_it && point == value))
            weight += (double)mix->singles[i].weight;
    }
    for (size_t i = 0; i < mix->part.sample_count; i++) {
        const struct weighted *sample = &mix->part.samples[i];
        double low = 0;
        double high = 0;
        edges_of(mix, sample->value, &low, &high);
        if (value > high || (value == high && (with_it || low < high)))
            weight += (double)sample->weight;
        else if (value > low)
            weight += (double)sample->weight * (value - low) / (high - low);
    }
    return weight;
}

static void quantiles_are_where_the_weights_are_and_within_their_error(void **state)
{
    static struct mix mix;
    uint64_t seed = 22;
    (void)state;

    for (int round = 0; round < 1500; round++) {
        make_mix(&mix, &seed);
        double before = -INFINITY;
        for (int i = 0; i <= 20; i++) {
            double q = i / 20.0;
            double value = NAN;
            assert_true(histogram_quantile(mix.histogram, q, mix.min, mix.max, &value));
            assert_true(value >= mix.min && value <= mix.max && value >= before);
            before = value;
            double error = histogram_quantile_error(mix.histogram, value, mix.min, mix.max);
            assert_true(fabs(value - true_quantile(&mix, q)) <= error * (1 + 1e-12));
            double rank = fmax(1, q * (double)mix.total);
            double slack = 2 + rank * 1e-9;
            double low = 0;
            double high = 0;
            edges_of(&mix, value, &low, &high);
            double step = fmax(fabs(low), fabs(high)) * 1e-12;
            assert_true(weight_up_to(&mix, value + step, true) >= rank - slack);
            assert_true(weight_up_to(&mix, value - step, false) <= rank + slack);
        }
        histogram_free(mix.histogram);
    }
}

static void shares_count_all_of_the_bucket_that_holds_the_value(void **state)
{
    static struct mix mix;
    uint64_t seed = 23;
    (void)state;

    for (int round = 0; round < 1500; round++) {
        make_mix(&mix, &seed);
        struct histogram *singles = histogram_of(mix.singles, mix.single_count);
        for (int i = 0; i < 10; i++) {
            double value = random_sample(&seed);
            double low = -INFINITY;
            double high = INFINITY;
            double at_most = 0;
            double at_least = 0;
            for (size_t j = 0; j < mix.part.bound_count; j++) {
                if (mix.part.bounds[j] < value)
                    low = mix.part.bounds[j];
            }
            for (size_t j = mix.part.bound_count; j > 0; j--) {
                if (mix.part.bounds[j - 1] >= value)
                    high = mix.part.bounds[j - 1];
            }
            for (size_t j = 0; j < mix.part.sample_count; j++) {
                const struct weighted *sample = &mix.part.samples[j];
                at_most += sample->value <= high ? (double)sample->weight : 0;
                at_least += sample->value > low ? (double)sample->weight : 0;
            }
            if (mix.single_count > 0) {
                double weight = (double)histogram_count(singles);
                at_most += nearbyint(share_at_most(singles, value) * weight);
                at_least += nearbyint(share_at_least(singles, value) * weight);
            }
            assert_within(share_at_most(mix.histogram, value), at_most / (double)mix.total, 1e-14);
            assert_within(share_at_least(mix.histogram, value), at_least / (double)mix.total,
                          1e-14);
        }
        histogram_free(singles);
        histogram_free(mix.histogram);
    }
}

static void a_bucket_is_read_evenly_between_its_bounds(void **state)
{
    static const double bounds[] = {1, 2, 3, 4};
    static const struct {
        double q;
        double value;
    } cases[] = {
        /* of 1, 2, 3, 4 (FIG-19), the first of which is alone below the first bound */
        {0.25, 1}, {0.5, 2}, {0.75, 3}, {1, 4}, {0.625, 2.5},
    };
    double value = 0;
    (void)state;

    struct histogram *histogram = histogram_new();
    struct bounded *bounded = bounded_with(bounds, TEST_COUNT(bounds));
    for (size_t i = 0; i < TEST_COUNT(bounds); i++)
        bounded_add(bounded, bounds[i], WEIGHT_ONE);
    histogram_take_bounded(histogram, bounded);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_true(histogram_quantile(histogram, cases[i].q, 1, 4, &value));
        assert_within(value, cases[i].value, 1e-12);
        assert_true(histogram_quantile_error(histogram, value, 1, 4) == (value > 1 ? 1 : 0));
    }
    assert_false(histogram_quantile(histogram, 1.01, 1, 4, &value));
    histogram_free(histogram);

    /* 2 and 9 above all bounds, and 10 single ones at 100 */
    histogram = histogram_new();
    bounded = bounded_with(bounds, 1);
    bounded_add_bucket(bounded, 1, 10 * WEIGHT_ONE);
    histogram_take_bounded(histogram, bounded);
    histogram_add(histogram, 100, 10 * WEIGHT_ONE);
    assert_true(histogram_quantile(histogram, 0.25, 2, 100, &value));
    assert_within(value, 51, 1e-12);
    assert_true(histogram_quantile_error(histogram, value, 2, 100) == 98);
    assert_true(histogram_quantile(histogram, 0.9, 2, 100, &value));
    assert_within(value, 100, 0.0055);
    histogram_free(histogram);
}

static void the_widest_bucket_has_a_middle(void **state)
{
    double value = 0;
    (void)state;

    struct histogram *histogram = histogram_new();
    struct bounded *bounded = bounded_with(NULL, 0);
    bounded_add_bucket(bounded, 0, 2 * WEIGHT_ONE);
    histogram_take_bounded(histogram, bounded);
    assert_true(histogram_quantile(histogram, 0.5, -DBL_MAX, DBL_MAX, &value));
    assert_true(fabs(value) < 1e300);
    histogram_add(histogram, 0, WEIGHT_ONE);
    assert_true(histogram_quantile(histogram, 0.5, -DBL_MAX, DBL_MAX, &value));
    assert_true(value == 0);
    histogram_free(histogram);
}

/* --- the codec --- */

static struct bounded *random_bounded(uint64_t *seed)
{
    static struct part part;
    make_part(&part, seed, random_below(seed, 4));
    return bounded_part(&part);
}

static void what_was_written_reads_back(void **state)
{
    uint64_t seed = 24;
    (void)state;

    for (int round = 0; round < 3000; round++) {
        struct bounded *bounded = random_bounded(&seed);
        struct buf bytes = BUF_EMPTY;
        bounded_encode(bounded, &bytes);
        struct reader reader = reader_of(buf_view(&bytes));
        struct bounded *read = bounded_decode(&reader);
        assert_non_null(read);
        assert_int_equal(reader.left, 0);
        assert_same_bounded(read, bounded);
        bounded_free(read);
        for (size_t len = 0; round < 300 && len < bytes.len; len++) {
            reader = reader_of((struct str){bytes.bytes, len});
            assert_null(bounded_decode(&reader));
            assert_false(reader.ok);
        }
        buf_fini(&bytes);
        bounded_free(bounded);
    }
    assert_int_equal(interned_count(), 0);
}

/* The stored form, so that it cannot change by accident: version 1. */
static void the_bytes_are_as_the_header_says(void **state)
{
    static const double decimals[] = {-0.5, 0, 0.05, 1, 10};
    static const double doubles[] = {1.0 / 3};
    static const struct {
        const double *bounds;
        size_t count;
        uint64_t weights[6];
        const char *bytes;
        size_t len;
    } cases[] = {
        {decimals, 0, {3 * WEIGHT_ONE}, "\x41\0\x03", 3},
        {decimals,
         5,
         {0, WEIGHT_ONE, 0, 0, 0, 300 * WEIGHT_ONE},
         "\x45\x05\x63\x31\x04\x5e\x83\x07\0\0\x01\0\x02\xac\x02",
         15},
        {doubles, 1, {1, 0}, "\x7e\x01\x55\x55\x55\x55\x55\x55\xd5\x3f\x01\0\0", 13},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct bounded *bounded = bounded_with(cases[i].bounds, cases[i].count);
        for (size_t j = 0; j <= cases[i].count; j++)
            bounded_add_bucket(bounded, j, cases[i].weights[j]);
        struct buf bytes = BUF_EMPTY;
        bounded_encode(bounded, &bytes);
        assert_int_equal(bytes.len, cases[i].len);
        assert_memory_equal(bytes.bytes, cases[i].bytes, bytes.len);
        buf_fini(&bytes);
        bounded_free(bounded);
    }
}

static void what_could_be_written_otherwise_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool ok;
    } cases[] = {
        {"\x41\x01\x02\x01\x01", 5, true},                   /* a bound at 1, one on either side */
        {"\x41\x01\x02\x01\x81", 5, false},                  /* not complete */
        {"\x01\x01\x02\x01\x01", 5, false},                  /* another version */
        {"\x40\x01\x02\x01\x01", 5, true},                   /* two tiny weights */
        {"\x40\x01\x02\x80\x80\x04\0\0", 8, false},          /* whole, written as if not */
        {"\x43\x01\x14\x01\x01", 5, false},                  /* 1.0 with a decimal */
        {"\x43\x01\x15\x01\x01", 5, true},                   /* -1.1 */
        {"\x55\x01\x02\x01\x01", 5, false},                  /* ten decimals */
        {"\x7f\x01\0\0\0\0\0\0\xf0\x3f\x01\x01", 12, false}, /* 1.0 as a double */
        {"\x41\x01\x02\0\0\x01", 6, true},                   /* the first one is empty */
        {"\x41\x01\x02\0\0\0\0", 7, false},                  /* two runs of empty ones */
        {"\x41\x01\x02\0\x01", 5, true},                     /* both are empty */
        {"\x41\x01\x02\0\x02", 5, false},                    /* three of two are empty */
        {"\x41\x81\x08\x02", 4, false},                      /* 1,025 bounds */
        {"\x41\x01\x02\x01\x80\0", 6, false},                /* a count that is too long */
        {"\x41\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, false}, /* too large a count */
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct reader reader = reader_of((struct str){cases[i].bytes, cases[i].len});
        struct bounded *bounded = bounded_decode(&reader);
        bool ok = bounded != NULL && reader.left == 0;
        bounded_free(bounded);
        if (ok != cases[i].ok)
            fail_msg("case %zu", i);
    }
}

static void damaged_bytes_are_refused_or_are_an_encoding(void **state)
{
    uint64_t seed = 25;
    int accepted = 0;
    (void)state;

    for (int round = 0; round < 20000; round++) {
        struct bounded *bounded = random_bounded(&seed);
        struct buf bytes = BUF_EMPTY;
        struct buf again = BUF_EMPTY;
        bounded_encode(bounded, &bytes);
        bounded_free(bounded);
        for (uint64_t flips = 1 + random_below(&seed, 3); flips > 0; flips--)
            bytes.bytes[random_below(&seed, bytes.len)] ^= (char)(1u << random_below(&seed, 8));
        struct reader reader = reader_of(buf_view(&bytes));
        bounded = bounded_decode(&reader);
        if (bounded != NULL) {
            bounded_encode(bounded, &again);
            assert_int_equal(again.len, bytes.len - reader.left);
            assert_memory_equal(again.bytes, bytes.bytes, again.len);
            accepted++;
        }
        bounded_free(bounded);
        buf_fini(&bytes);
        buf_fini(&again);
    }
    assert_true(accepted > 1000);
    assert_int_equal(interned_count(), 0);
}

/* The default bounds of OpenTelemetry and of Prometheus' clients. */
static void usual_bounds_take_few_bytes(void **state)
{
    static const double milliseconds[] = {0,   5,   10,   25,   50,   75,   100,  250,
                                          500, 750, 1000, 2500, 5000, 7500, 10000};
    static const double seconds[] = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
    (void)state;

    struct bounded *one = bounded_with(milliseconds, TEST_COUNT(milliseconds));
    struct bounded *other = bounded_with(seconds, TEST_COUNT(seconds));
    struct buf bytes = BUF_EMPTY;
    bounded_encode(one, &bytes);
    assert_true(bytes.len <= 30);
    buf_clear(&bytes);
    bounded_encode(other, &bytes);
    assert_true(bytes.len <= 24);
    buf_fini(&bytes);
    bounded_free(one);
    bounded_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_in_any_order_counts_all_between_the_common_bounds),
        cmocka_unit_test(bounds_are_finite_and_growing_and_not_too_many),
        cmocka_unit_test(a_bound_is_in_the_bucket_below_it),
        cmocka_unit_test(equal_bounds_are_one_array),
        cmocka_unit_test(quantiles_are_where_the_weights_are_and_within_their_error),
        cmocka_unit_test(shares_count_all_of_the_bucket_that_holds_the_value),
        cmocka_unit_test(a_bucket_is_read_evenly_between_its_bounds),
        cmocka_unit_test(the_widest_bucket_has_a_middle),
        cmocka_unit_test(what_was_written_reads_back),
        cmocka_unit_test(the_bytes_are_as_the_header_says),
        cmocka_unit_test(what_could_be_written_otherwise_is_refused),
        cmocka_unit_test(damaged_bytes_are_refused_or_are_an_encoding),
        cmocka_unit_test(usual_bounds_take_few_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
