#include "series/histogram_test.h"

enum { VALUES_MAX = 10000 };

/* --- buckets ---------------------------------------------------------------------------------- */

static void powers_of_two_are_upper_bounds_of_their_buckets(void **state)
{
    (void)state;
    for (int exponent = -1074; exponent <= 1023; exponent++) {
        double power = ldexp(1, exponent);
        for (int scale = HISTOGRAM_SCALE_MIN; scale <= HISTOGRAM_SCALE_MAX; scale++) {
            int64_t above = scale >= 0 ? (int64_t)exponent * (INT64_C(1) << scale)
                                       : (int64_t)floor(ldexp(exponent, scale));
            int64_t of_power = scale >= 0 ? above - 1 : (int64_t)ceil(ldexp(exponent, scale)) - 1;
            assert_int_equal(histogram_index(power, scale), of_power);
            assert_int_equal(histogram_index(-power, scale), of_power);
            /* The next double after a subnormal power is far away. */
            if (exponent > DBL_MIN_EXP)
                assert_int_equal(histogram_index(nextafter(power, INFINITY), scale), above);
        }
    }
}

/* The two doubles that a bound lies between are in the buckets on its two sides. */
static void bounds_of_all_buckets_are_exact(void **state)
{
    (void)state;
    static const int exponents[] = {-1022, -1000, -1, 0, 1, 2, 511, 1023};
    for (size_t e = 0; e < TEST_COUNT(exponents); e++) {
        for (int k = 0; k < 64; k++) {
            long double bound = exp2l((long double)k / 64) * exp2l(exponents[e]);
            double below = (double)bound;
            if ((long double)below > bound)
                below = nextafter(below, 0);
            double above = nextafter(below, INFINITY);
            int32_t index = exponents[e] * 64 + k;
            assert_int_equal(histogram_index(below, 6), index - 1);
            assert_int_equal(histogram_index(above, 6), index);
        }
    }
}

static void indexes_agree_with_the_definition_over_the_whole_range(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (uint64_t i = 0; i < 60000; i++) {
        double value = random_value(&seed, i);
        int scale = (int)random_below(&seed, 18) + HISTOGRAM_SCALE_MIN;
        if (value != 0)
            assert_int_equal(histogram_index(value, scale), reference_index(value, scale));
    }
    static const double extremes[] = {0x1p-1074, 0x1p-1073, 0x3p-1074,
                                      DBL_MIN,   DBL_MAX,   0x0.fffffffffffffp-1022};
    for (size_t i = 0; i < TEST_COUNT(extremes); i++) {
        for (int scale = HISTOGRAM_SCALE_MIN; scale <= HISTOGRAM_SCALE_MAX; scale++)
            assert_int_equal(histogram_index(extremes[i], scale),
                             reference_index(extremes[i], scale));
    }
}

static void counts_are_in_their_buckets_at_the_finest_scale_that_fits(void **state)
{
    (void)state;
    struct weighted values[200];
    uint64_t seed = 2;
    for (uint64_t round = 0; round < 120; round++) {
        size_t count = random_below(&seed, TEST_COUNT(values)) + 1;
        for (size_t i = 0; i < count; i++)
            values[i] =
                (struct weighted){random_value(&seed, round), random_weight(&seed, round / 6)};

        int scale = HISTOGRAM_SCALE_MAX;
        for (int side = 0; side < 2; side++) {
            double least = INFINITY;
            double most = 0;
            for (size_t i = 0; i < count; i++) {
                if (values[i].value != 0 && (values[i].value < 0) == (side == 1)) {
                    least = fmin(least, fabs(values[i].value));
                    most = fmax(most, fabs(values[i].value));
                }
            }
            while (most > 0 && reference_index(most, scale) - reference_index(least, scale) >= 2048)
                scale--;
        }
        struct histogram *histogram = histogram_of(values, count);
        struct content *content = content_of(histogram);
        assert_int_equal(histogram_scale(histogram), scale);
        assert_int_equal(content->scale, scale);
        uint64_t total = 0;
        for (size_t i = 0; i < count; i++) {
            uint64_t expected = 0;
            int32_t index = values[i].value == 0 ? 0 : reference_index(values[i].value, scale);
            for (size_t j = 0; j < count; j++) {
                bool same =
                    (values[i].value < 0) == (values[j].value < 0) &&
                    (values[i].value == 0) == (values[j].value == 0) &&
                    (values[j].value == 0 || reference_index(values[j].value, scale) == index);
                if (same && __builtin_add_overflow(expected, values[j].weight, &expected))
                    expected = UINT64_MAX;
            }
            uint64_t found = values[i].value == 0
                                 ? content->zeros
                                 : content->counts[values[i].value < 0][index + INDEX_SPACE];
            assert_true(found == expected);
            if (__builtin_add_overflow(total, values[i].weight, &total))
                total = UINT64_MAX;
        }
        assert_true(histogram_count(histogram) == total);
        free(content);
        histogram_free(histogram);
    }
}

static void the_scale_falls_with_the_2049th_bucket_and_not_before(void **state)
{
    (void)state;
    const double first = 0x1.0000000000001p0;        /* bucket 0 */
    const double last = ldexp(exp2(63.5 / 64), 31);  /* bucket 2047 */
    const double next = nextafter(0x1p32, INFINITY); /* bucket 2048 */
    struct histogram *histogram = histogram_of_whole((double[]){first, last}, 2);
    assert_int_equal(histogram_scale(histogram), 6);
    histogram_add(histogram, -next, WEIGHT_ONE); /* the other side has its own */
    assert_int_equal(histogram_scale(histogram), 6);
    histogram_add(histogram, next, WEIGHT_ONE);
    assert_int_equal(histogram_scale(histogram), 5);
    assert_true(histogram_count(histogram) == 4 * WEIGHT_ONE);
    histogram_add(histogram, 0x1p-1074, WEIGHT_ONE);
    histogram_add(histogram, DBL_MAX, WEIGHT_ONE);
    assert_int_equal(histogram_scale(histogram), -1);
    assert_true(histogram_count(histogram) == 6 * WEIGHT_ONE);
    histogram_free(histogram);
}

static void what_is_not_a_number_never_enters(void **state)
{
    (void)state;
    struct histogram *histogram = histogram_new();
    struct histogram *empty = histogram_new();
    double out = 0;
    histogram_add(histogram, NAN, WEIGHT_ONE);
    histogram_add(histogram, -NAN, WEIGHT_ONE);
    histogram_add(histogram, INFINITY, WEIGHT_ONE);
    histogram_add(histogram, -INFINITY, WEIGHT_ONE);
    histogram_add(histogram, 5, 0);
    assert_same(histogram, empty);
    assert_false(histogram_quantile(histogram, 0.5, 0, 1, &out));
    assert_false(histogram_share_at_most(histogram, 1, &out));
    assert_false(histogram_share_at_least(histogram, 1, &out));
    histogram_add(histogram, -0.0, WEIGHT_ONE);
    histogram_add(empty, 0, WEIGHT_ONE);
    assert_same(histogram, empty);
    assert_true(histogram_count(histogram) == WEIGHT_ONE);
    assert_false(histogram_quantile(histogram, NAN, 0, 1, &out));
    assert_false(histogram_quantile(histogram, -0.01, 0, 1, &out));
    assert_false(histogram_quantile(histogram, 1.01, 0, 1, &out));
    assert_false(histogram_share_at_most(histogram, INFINITY, &out));
    assert_false(histogram_share_at_least(histogram, NAN, &out));
    assert_true(out == 0);
    histogram_free(empty);
    histogram_free(histogram);
    histogram_free(NULL);
}

static void counts_are_right_where_they_need_more_bytes(void **state)
{
    (void)state;
    static const uint64_t sums[] = {
        255, 256, 257, 65535, 65536, 65537, UINT32_MAX, UINT64_C(1) << 32, (UINT64_C(1) << 32) + 1};
    for (size_t i = 0; i < TEST_COUNT(sums); i++) {
        struct weighted values[] = {{3, (sums[i] - 1) * WEIGHT_ONE}, {3, WEIGHT_ONE}, {30, 1}};
        for (size_t count = 2; count <= 3; count++) { /* then with a fraction beside it */
            struct histogram *histogram = histogram_of(values, count);
            struct content *content = content_of(histogram);
            assert_true(content->counts[0][histogram_index(3, 6) + INDEX_SPACE] ==
                        sums[i] * WEIGHT_ONE);
            assert_true(content->counts[0][histogram_index(30, 6) + INDEX_SPACE] == count - 2);
            free(content);
            histogram_free(histogram);
        }
    }
}

static void counts_stay_at_the_largest_number(void **state)
{
    (void)state;
    struct histogram *histogram = histogram_new();
    for (int i = 0; i < 3; i++) {
        histogram_add(histogram, 7, UINT64_MAX / 2);
        histogram_add(histogram, 0, UINT64_MAX / 2);
        histogram_add(histogram, -7, WEIGHT_ONE);
    }
    struct histogram *twice = histogram_copy(histogram);
    histogram_merge(twice, histogram);
    struct content *content = content_of(twice);
    assert_true(content->zeros == UINT64_MAX);
    assert_true(content->counts[0][histogram_index(7, 6) + INDEX_SPACE] == UINT64_MAX);
    assert_true(content->counts[1][histogram_index(7, 6) + INDEX_SPACE] == 6 * WEIGHT_ONE);
    assert_true(histogram_count(twice) == UINT64_MAX);
    assert_within(quantile(twice, 0), -7, 0.0055);
    assert_true(isfinite(quantile(twice, 1)));
    assert_true(share_at_most(twice, 100) == 1);
    free(content);
    histogram_free(twice);
    histogram_free(histogram);
}

/* --- laws ------------------------------------------------------------------------------------- */

/* All of the values in up to 12 parts, the parts merged in a random tree. */
static struct histogram *merged_at_random(const struct weighted *values, size_t count,
                                          uint64_t *seed)
{
    struct histogram *parts[12];
    size_t left = random_below(seed, TEST_COUNT(parts)) + 1;
    for (size_t i = 0; i < left; i++)
        parts[i] = histogram_new();
    size_t start = random_below(seed, count);
    for (size_t i = 0; i < count; i++) {
        const struct weighted *value = &values[(start + i) % count];
        histogram_add(parts[random_below(seed, left)], value->value, value->weight);
    }
    while (left > 1) {
        size_t into = random_below(seed, left);
        size_t from = (into + 1 + random_below(seed, left - 1)) % left;
        histogram_merge(parts[into], parts[from]);
        histogram_free(parts[from]);
        parts[from] = parts[--left];
    }
    return parts[0];
}

static void merging_in_any_order_gives_the_same_bits(void **state)
{
    (void)state;
    struct weighted values[150];
    uint64_t seed = 3;
    for (uint64_t round = 0; round < 400; round++) {
        size_t count = random_below(&seed, TEST_COUNT(values)) + 1;
        for (size_t i = 0; i < count; i++)
            values[i] = (struct weighted){random_value(&seed, round % 7 == 6 ? i : round),
                                          random_weight(&seed, round / 7)};
        struct histogram *at_once = histogram_of(values, count);
        for (int tree = 0; tree < 4; tree++) {
            struct histogram *merged = merged_at_random(values, count, &seed);
            assert_same(merged, at_once);
            histogram_free(merged);
        }
        histogram_free(at_once);
    }
}

static void merging_is_associative_and_commutative_with_other_scales_too(void **state)
{
    (void)state;
    uint64_t seed = 4;
    for (uint64_t round = 0; round < 300; round++) {
        struct histogram *parts[3];
        for (size_t i = 0; i < 3; i++) {
            parts[i] = random_below(&seed, 2) == 0 ? imported_at_random(&seed) : histogram_new();
            uint64_t count = random_below(&seed, 30);
            uint64_t kind = random_next(&seed);
            for (uint64_t j = 0; j < count; j++)
                histogram_add(parts[i], random_value(&seed, kind), WEIGHT_ONE);
        }
        struct histogram *left = histogram_copy(parts[0]); /* (a + b) + c */
        histogram_merge(left, parts[1]);
        histogram_merge(left, parts[2]);
        struct histogram *right = histogram_copy(parts[2]); /* (c + b), then a + that */
        histogram_merge(right, parts[1]);
        histogram_merge(parts[0], right);
        assert_same(left, parts[0]);
        histogram_free(left);
        histogram_free(right);
        for (size_t i = 0; i < 3; i++)
            histogram_free(parts[i]);
    }
}

static void merging_nothing_changes_nothing(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int i = 0; i < 50; i++) {
        struct histogram *histogram = imported_at_random(&seed);
        struct histogram *merged = histogram_copy(histogram);
        struct histogram *empty = histogram_new();
        histogram_merge(merged, empty);
        assert_same(merged, histogram);
        histogram_merge(empty, histogram);
        assert_same(empty, histogram);
        histogram_free(empty);
        histogram_free(merged);
        histogram_free(histogram);
    }
}

static void a_copy_is_its_own(void **state)
{
    (void)state;
    struct histogram *histogram = histogram_of_whole((double[]){1, 2, -3, 0}, 4);
    struct histogram *copy = histogram_copy(histogram);
    assert_same(copy, histogram);
    histogram_add(histogram, 2, WEIGHT_ONE);
    histogram_add(histogram, 1e9, WEIGHT_ONE);
    assert_true(histogram_count(copy) == 4 * WEIGHT_ONE);
    assert_true(share_at_most(copy, 100) == 1);
    histogram_free(copy);
    histogram_free(histogram);
}

/* --- quantiles and shares --------------------------------------------------------------------- */

static void quantiles_are_by_nearest_rank(void **state) /* FIG-19 */
{
    (void)state;
    struct {
        int values; /* 1 to this */
        double q;
        double expected;
    } cases[] = {
        {20, 0.95, 19}, {4, 0.5, 2},    {4, 0, 1},          {4, 0.25, 1},    {4, 0.26, 2},
        {4, 1, 4},      {100, 0.07, 7}, {100, 0.29, 29},    {100, 0.57, 57}, {100, 0.9, 90},
        {1, 0.5, 1},    {3, 0.5, 2},    {1000, 0.999, 999},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct histogram *histogram = histogram_new();
        for (int value = 1; value <= cases[i].values; value++) /* far apart: rank and no error */
            histogram_add(histogram, value, WEIGHT_ONE);
        /* At 1,000 values neighbours share a bucket, which is the error that is allowed. */
        assert_within(quantile(histogram, cases[i].q), cases[i].expected, 0.0055);
        histogram_free(histogram);
    }
    for (int n = 1; n <= 100; n++) { /* every rank k of n as a decimal or a fraction */
        struct histogram *histogram = histogram_new();
        for (int i = 1; i <= n; i++)
            histogram_add(histogram, ldexp(1, i - n / 2), WEIGHT_ONE);
        for (int k = 1; k <= n; k++) {
            double found = quantile(histogram, (double)k / n);
            assert_int_equal(histogram_index(found, histogram_scale(histogram)),
                             histogram_index(ldexp(1, k - n / 2), histogram_scale(histogram)));
        }
        histogram_free(histogram);
    }
}

static void quantiles_of_a_quarter_are_not_the_mean_of_its_months(void **state)
{
    (void)state;
    struct histogram *quarter = histogram_new();
    for (int month = 0; month < 3; month++) { /* 1..100, 1..100, and 900 of 1,000 */
        struct histogram *histogram = histogram_new();
        for (int i = 0; i < (month == 2 ? 900 : 100); i++)
            histogram_add(histogram, month == 2 ? 1000 : i + 1, WEIGHT_ONE);
        histogram_merge(quarter, histogram);
        histogram_free(histogram);
    }
    assert_within(quantile(quarter, 0.15), 83, 0.006); /* rank 165 of 1,100: twice 1 to 82, 83 */
    assert_within(quantile(quarter, 0.95), 1000, 0.006);
    histogram_free(quarter);
}

static void sample_rates_weigh(void **state) /* FIG-20 */
{
    (void)state;
    struct weighted values[] = {{100, 2 * WEIGHT_ONE}, {200, WEIGHT_ONE}};
    struct histogram *histogram = histogram_of(values, 2);
    assert_true(histogram_count(histogram) == 3 * WEIGHT_ONE);
    assert_within(quantile(histogram, 0.5), 100, 0.0055); /* ranks 1, 2 and 3: 100, 100, 200 */
    assert_within(quantile(histogram, 0.66), 100, 0.0055);
    assert_within(quantile(histogram, 0.67), 200, 0.0055);
    assert_true(fabs(share_at_least(histogram, 200) - 1.0 / 3) < 1e-15);
    assert_true(fabs(share_at_most(histogram, 100) - 2.0 / 3) < 1e-15);
    histogram_free(histogram);

    /* Rates of 0.3: the middle of two equal weights is the first. */
    values[0].weight = values[1].weight = 218453;
    histogram = histogram_of(values, 2);
    assert_true(histogram_count(histogram) == 436906);
    assert_within(quantile(histogram, 0.5), 100, 0.0055);
    assert_within(quantile(histogram, 0.51), 200, 0.0055);
    histogram_free(histogram);
}

static void quantiles_stay_within_the_values(void **state)
{
    (void)state;
    struct histogram *histogram = histogram_of_whole((double[]){42, 42, 42}, 3);
    double value = 0;
    assert_true(histogram_quantile(histogram, 0.5, 42, 42, &value));
    assert_true(value == 42);
    assert_true(histogram_quantile(histogram, 0.5, 41.999, 42.001, &value));
    assert_true(value >= 41.999 && value <= 42.001);
    histogram_free(histogram);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double value_of_distribution(uint64_t *seed, int distribution)
{
    switch (distribution) {
    case 0:
        return random_unit(seed) * 1000;
    case 1:
        return exp(random_normal(seed)); /* latencies */
    case 2:
        return pow(random_unit(seed), -1 / 1.1); /* a heavy tail */
    case 3:
        return -log(random_unit(seed)) * 1e-6;
    case 4:
        return 1e6 + random_normal(seed) * 100;
    case 5:
        return random_normal(seed); /* both signs */
    case 6:
        return -exp(random_normal(seed));
    default:
        return (double)(random_below(seed, 300)); /* zeros and ties */
    }
}

static void quantiles_are_within_0_6_percent_of_the_exact_ones(void **state)
{
    (void)state;
    static const double qs[] = {0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1};
    double *values = memory_zero(VALUES_MAX, sizeof *values);
    uint64_t seed = 6;
    for (int distribution = 0; distribution < 8; distribution++) {
        struct histogram *histogram = histogram_new();
        for (size_t i = 0; i < VALUES_MAX; i++) {
            values[i] = value_of_distribution(&seed, distribution);
            histogram_add(histogram, values[i], WEIGHT_ONE);
        }
        qsort(values, VALUES_MAX, sizeof *values, compare_doubles);
        assert_int_equal(histogram_scale(histogram), 6);
        assert_true(histogram_error(histogram) > 0.0054 && histogram_error(histogram) < 0.0055);
        for (size_t i = 0; i < TEST_COUNT(qs); i++) {
            size_t rank = (size_t)ceil(qs[i] * VALUES_MAX);
            double exact = values[rank == 0 ? 0 : rank - 1];
            assert_within(quantile(histogram, qs[i]), exact, histogram_error(histogram) * 1.000001);
        }
        histogram_free(histogram);
    }
    free(values);
}

/* At every scale: within the bucket, and no farther from any double in it than the error says. */
static void quantiles_are_in_the_bucket_over_the_whole_range(void **state)
{
    (void)state;
    uint64_t seed = 7;
    struct error err = ERROR_EMPTY;
    for (uint64_t i = 0; i < 30000; i++) {
        double value = random_value(&seed, i);
        int scale = (int)random_below(&seed, 18) + HISTOGRAM_SCALE_MIN;
        const uint64_t one = 1;
        if (value == 0)
            continue;
        struct histogram_buckets none = {0, 0, NULL};
        struct histogram_buckets some = {histogram_index(value, scale), 1, &one};
        struct histogram *histogram = histogram_new();
        assert_true(histogram_import(histogram, scale, 0, value > 0 ? &some : &none,
                                     value > 0 ? &none : &some, &err));
        double found = quantile(histogram, 0.5);
        assert_true(isfinite(found) && (found < 0) == (value < 0));
        assert_int_equal(histogram_index(found, scale), some.offset);
        if (fabs(value) >= DBL_MIN)
            assert_within(found, value, histogram_error(histogram) * 1.000001);
        histogram_free(histogram);
    }
}

static void shares_count_the_bucket_of_the_boundary(void **state) /* FIG-22 */
{
    (void)state;
    const double values[] = {-200, -100, 0, 0, 100, 200, 300, 400, 500, 1000};
    struct histogram *histogram = histogram_of_whole(values, TEST_COUNT(values));
    struct {
        double value;
        double at_most;
        double at_least;
    } cases[] = {
        {-201, 0.1, 1.0}, {-200, 0.1, 1.0}, {-150, 0.1, 0.9},      {-100, 0.2, 0.9},
        {-1, 0.2, 0.8},   {0, 0.4, 0.8},    {-0.0, 0.4, 0.8},      {1, 0.4, 0.6},
        {300, 0.7, 0.4},  {301, 0.7, 0.4},  {310, 0.7, 0.3},       {999, 1.0, 0.1},
        {DBL_MAX, 1, 0},  {-DBL_MAX, 0, 1}, {0x1p-1074, 0.4, 0.6},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_true(fabs(share_at_most(histogram, cases[i].value) - cases[i].at_most) < 1e-15);
        assert_true(fabs(share_at_least(histogram, cases[i].value) - cases[i].at_least) < 1e-15);
    }
    histogram_free(histogram);
}

/* --- size ------------------------------------------------------------------------------------- */

static void a_million_values_are_all_there(void **state)
{
    (void)state;
    struct histogram *histogram = histogram_new();
    uint64_t seed = 8;
    double below_one = 0;
    for (int i = 0; i < 1000000; i++) {
        double value = exp(random_normal(&seed));
        below_one += value <= 1;
        histogram_add(histogram, value, WEIGHT_ONE);
    }
    assert_true(histogram_count(histogram) == 1000000 * WEIGHT_ONE);
    assert_int_equal(histogram_scale(histogram), 6);
    assert_true(fabs(share_at_most(histogram, 1) - below_one / 1e6) < 1e-12); /* 1 is a bound */
    assert_within(quantile(histogram, 0.5), 1, 0.01);
    assert_within(quantile(histogram, 0.975), exp(1.959964), 0.015);
    assert_true(histogram_size_bytes(histogram) < 3000); /* some 900 buckets of 2 bytes */
    histogram_free(histogram);
}

static void memory_follows_the_range_in_use(void **state)
{
    (void)state;
    struct histogram *histogram = histogram_new();
    size_t empty = histogram_size_bytes(histogram);
    assert_true(empty <= 64);
    for (int i = 0; i < 200; i++)
        histogram_add(histogram, 12.5, WEIGHT_ONE);
    assert_int_equal(histogram_size_bytes(histogram), empty + 16);
    for (int i = 1000; i <= 2000; i++)
        histogram_add(histogram, i, WEIGHT_ONE);
    assert_true(histogram_size_bytes(histogram) < empty + 600); /* from 12.5: 471 buckets */
    uint64_t seed = 9;
    for (int i = 0; i < 20000; i++) {
        histogram_add(histogram, random_bits(&seed), WEIGHT_ONE);
        assert_true(histogram_size_bytes(histogram) <= empty + 2 * HISTOGRAM_BUCKETS_MAX * 2);
    }
    histogram_add(histogram, 1, 1);
    histogram_add(histogram, -1, 1);
    assert_true(histogram_size_bytes(histogram) <= empty + 2 * HISTOGRAM_BUCKETS_MAX * 8);
    histogram_free(histogram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(powers_of_two_are_upper_bounds_of_their_buckets),
        cmocka_unit_test(bounds_of_all_buckets_are_exact),
        cmocka_unit_test(indexes_agree_with_the_definition_over_the_whole_range),
        cmocka_unit_test(counts_are_in_their_buckets_at_the_finest_scale_that_fits),
        cmocka_unit_test(the_scale_falls_with_the_2049th_bucket_and_not_before),
        cmocka_unit_test(what_is_not_a_number_never_enters),
        cmocka_unit_test(counts_are_right_where_they_need_more_bytes),
        cmocka_unit_test(counts_stay_at_the_largest_number),
        cmocka_unit_test(merging_in_any_order_gives_the_same_bits),
        cmocka_unit_test(merging_is_associative_and_commutative_with_other_scales_too),
        cmocka_unit_test(merging_nothing_changes_nothing),
        cmocka_unit_test(a_copy_is_its_own),
        cmocka_unit_test(quantiles_are_by_nearest_rank),
        cmocka_unit_test(quantiles_of_a_quarter_are_not_the_mean_of_its_months),
        cmocka_unit_test(sample_rates_weigh),
        cmocka_unit_test(quantiles_stay_within_the_values),
        cmocka_unit_test(quantiles_are_within_0_6_percent_of_the_exact_ones),
        cmocka_unit_test(quantiles_are_in_the_bucket_over_the_whole_range),
        cmocka_unit_test(shares_count_the_bucket_of_the_boundary),
        cmocka_unit_test(a_million_values_are_all_there),
        cmocka_unit_test(memory_follows_the_range_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
