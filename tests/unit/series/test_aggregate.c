#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "series/aggregate.h"
#include "series/random.h"
#include "series/sample.h"
#include "test.h"

static const double EXACT_INTEGER_MAX = 9007199254740992.0;

static uint64_t bits_of(double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* To the bit; the struct has no padding. */
static void assert_same(const struct aggregate *a, const struct aggregate *b)
{
    assert_int_equal(sizeof *a, 11 * 8);
    assert_memory_equal(a, b, sizeof *a);
}

/* All but the sum. */
static void assert_same_but_sum(struct aggregate a, struct aggregate b)
{
    a.sum = b.sum = a.sum_low = b.sum_low = 0;
    assert_same(&a, &b);
}

struct random_sample {
    double value;
    uint64_t weight;
    wall_ms at;
    uint64_t arrival;
};

/* Few different times, arrivals and values, so that ties are common. */
static struct random_sample random_sample(uint64_t *seed)
{
    return (struct random_sample){
        .value = (double)random_below(seed, 7) - 3,
        .weight = WEIGHT_ONE * (1 + random_below(seed, 3)) + random_below(seed, 2),
        .at = (wall_ms)random_below(seed, 4),
        .arrival = random_below(seed, 5),
    };
}

static void add(struct aggregate *aggregate, struct random_sample sample)
{
    aggregate_add(aggregate, sample.value, sample.weight, sample.at, sample.arrival);
}

static void merging_in_any_order_gives_the_same_bits(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int round = 0; round < 2000; round++) {
        struct aggregate parts[3] = {AGGREGATE_EMPTY, AGGREGATE_EMPTY, AGGREGATE_EMPTY};
        struct aggregate whole = AGGREGATE_EMPTY;
        for (int i = 0; i < 9; i++) {
            struct random_sample sample = random_sample(&seed);
            add(&parts[random_below(&seed, 3)], sample);
            add(&whole, sample);
        }
        struct aggregate left = parts[0];
        aggregate_merge(&left, &parts[1]);
        aggregate_merge(&left, &parts[2]);
        struct aggregate right = parts[2];
        struct aggregate inner = parts[1];
        aggregate_merge(&inner, &parts[0]);
        aggregate_merge(&right, &inner);
        assert_same(&left, &right);
        assert_same(&left, &whole);
    }
}

static void merging_inexact_sums_is_commutative_to_the_bit(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (int round = 0; round < 2000; round++) {
        struct aggregate parts[2] = {AGGREGATE_EMPTY, AGGREGATE_EMPTY};
        for (int i = 0; i < 10; i++) {
            double value = ldexp((double)(int64_t)random_next(&seed) / 3.0,
                                 (int)random_below(&seed, 200) - 100);
            aggregate_add(&parts[i % 2], value, 1 + random_below(&seed, 1 << 20), i,
                          (uint64_t)i + 1);
        }
        struct aggregate one_way = parts[0];
        struct aggregate other_way = parts[1];
        aggregate_merge(&one_way, &parts[1]);
        aggregate_merge(&other_way, &parts[0]);
        assert_same(&one_way, &other_way);
    }
}

static void an_empty_one_changes_nothing(void **state)
{
    (void)state;
    struct aggregate empty = AGGREGATE_EMPTY;
    struct aggregate one = AGGREGATE_EMPTY;
    aggregate_add(&one, -5, WEIGHT_ONE, -10, 7);
    struct aggregate merged = one;
    aggregate_merge(&merged, &empty);
    assert_same(&merged, &one);
    merged = empty;
    aggregate_merge(&merged, &one);
    assert_same(&merged, &one);
    aggregate_add(&merged, 100, 0, 0, 8);
    assert_same(&merged, &one);
}

static void sums_of_decimals_are_the_nearest_double(void **state)
{
    (void)state;
    struct aggregate tenths = AGGREGATE_EMPTY;
    for (int i = 0; i < 1000000; i++)
        aggregate_add(&tenths, 0.1, WEIGHT_ONE, i, (uint64_t)i);
    assert_true(bits_of(aggregate_sum(&tenths)) ==
                bits_of(100000.0)); /* plainly: 100000.00000133 */

    struct aggregate cancelling = AGGREGATE_EMPTY;
    const double values[] = {1e16, 1.0, -1e16, 3.0};
    for (size_t i = 0; i < TEST_COUNT(values); i++)
        aggregate_add(&cancelling, values[i], WEIGHT_ONE, 0, i);
    assert_true(aggregate_sum(&cancelling) == 4.0);
}

static void sums_of_integers_are_exact_in_any_order(void **state)
{
    (void)state;
    enum { COUNT = 4000 };
    uint64_t seed = 3;
    int64_t exact = 0;
    struct aggregate forward = AGGREGATE_EMPTY;
    struct aggregate backward = AGGREGATE_EMPTY;
    int64_t *values = malloc(COUNT * sizeof *values);
    for (int i = 0; i < COUNT; i++) {
        values[i] = (int64_t)random_below(&seed, UINT64_C(1) << 51) - (INT64_C(1) << 50);
        exact += values[i];
        aggregate_add(&forward, (double)values[i], WEIGHT_ONE, 0, (uint64_t)i);
    }
    for (int i = COUNT - 1; i >= 0; i--)
        aggregate_add(&backward, (double)values[i], WEIGHT_ONE, 0, (uint64_t)i);
    free(values);
    assert_true(fabs((double)exact) < EXACT_INTEGER_MAX * 64);
    assert_true((int64_t)forward.sum + (int64_t)forward.sum_low == exact);
    assert_same_but_sum(forward, backward);
    assert_true(bits_of(forward.sum) == bits_of(backward.sum));
    assert_true(forward.sum_low == backward.sum_low);
}

/* FIG-20: 100 at rate 0.5 and 200 at 1: count 3, avg 133.3, max 200. */
static void weights_count_in_sum_and_count_and_not_in_extremes(void **state)
{
    (void)state;
    struct aggregate aggregate = AGGREGATE_EMPTY;
    aggregate_add(&aggregate, 100, 2 * WEIGHT_ONE, 1, 1);
    aggregate_add(&aggregate, 200, WEIGHT_ONE, 2, 2);
    assert_true(aggregate_count(&aggregate) == 3);
    assert_true(aggregate_sum(&aggregate) == 400);
    assert_true(fabs(aggregate_sum(&aggregate) / aggregate_count(&aggregate) - 133.333) < 0.001);
    assert_true(aggregate.max == 200);
    assert_true(aggregate.min == 100);
}

static void a_fractional_weight_multiplies_exactly(void **state)
{
    (void)state;
    struct aggregate aggregate = AGGREGATE_EMPTY;
    uint64_t third = 3 * WEIGHT_ONE + 21845;
    for (int i = 0; i < 3; i++)
        aggregate_add(&aggregate, 65536.0 * 1048575.0, third, 0, (uint64_t)i);
    assert_true(aggregate_sum(&aggregate) == 3.0 * 1048575.0 * (double)third);
}

/* FIG-32: stock 5 and 7, both stamped 09:00, arriving in that order: 7. */
static void of_two_samples_with_one_time_the_later_arrival_is_the_last(void **state)
{
    (void)state;
    struct aggregate five = AGGREGATE_EMPTY;
    struct aggregate seven = AGGREGATE_EMPTY;
    aggregate_add(&five, 5, WEIGHT_ONE, 1000, 1);
    aggregate_add(&seven, 7, WEIGHT_ONE, 1000, 2);
    struct aggregate one_way = five;
    struct aggregate other_way = seven;
    aggregate_merge(&one_way, &seven);
    aggregate_merge(&other_way, &five);
    assert_same(&one_way, &other_way);
    assert_true(one_way.last == 7);
    assert_true(one_way.first == 5);
    assert_true(one_way.last_at == 1000 && one_way.first_at == 1000);
}

static void an_older_sample_that_arrives_late_is_not_the_last(void **state)
{
    (void)state;
    struct aggregate aggregate = AGGREGATE_EMPTY;
    aggregate_add(&aggregate, 5, WEIGHT_ONE, 2000, 1);
    aggregate_add(&aggregate, 7, WEIGHT_ONE, 1000, 2);
    assert_true(aggregate.last == 5 && aggregate.last_at == 2000 && aggregate.last_arrival == 1);
    assert_true(aggregate.first == 7 && aggregate.first_at == 1000 && aggregate.first_arrival == 2);
}

static void minus_zero_is_zero(void **state)
{
    (void)state;
    struct aggregate one_way = AGGREGATE_EMPTY;
    struct aggregate other_way = AGGREGATE_EMPTY;
    aggregate_add(&one_way, -0.0, WEIGHT_ONE, 0, 1);
    aggregate_add(&one_way, 0.0, WEIGHT_ONE, 0, 1);
    aggregate_add(&other_way, 0.0, WEIGHT_ONE, 0, 1);
    aggregate_add(&other_way, -0.0, WEIGHT_ONE, 0, 1);
    assert_same(&one_way, &other_way);
    assert_int_equal(bits_of(one_way.min), 0);
}

static void sums_and_counts_stay_at_the_largest_number(void **state)
{
    (void)state;
    struct aggregate high = AGGREGATE_EMPTY;
    struct aggregate low = AGGREGATE_EMPTY;
    for (int i = 0; i < 3; i++) {
        aggregate_add(&high, DBL_MAX, UINT64_MAX, 0, (uint64_t)i);
        aggregate_add(&low, -DBL_MAX, WEIGHT_ONE, 0, (uint64_t)i);
    }
    assert_true(aggregate_sum(&high) == DBL_MAX);
    assert_true(high.count == UINT64_MAX);
    assert_true(aggregate_sum(&low) == -DBL_MAX);
    aggregate_merge(&high, &low);
    assert_true(isfinite(aggregate_sum(&high)));
    assert_true(isfinite(high.sum_low));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_in_any_order_gives_the_same_bits),
        cmocka_unit_test(merging_inexact_sums_is_commutative_to_the_bit),
        cmocka_unit_test(an_empty_one_changes_nothing),
        cmocka_unit_test(sums_of_decimals_are_the_nearest_double),
        cmocka_unit_test(sums_of_integers_are_exact_in_any_order),
        cmocka_unit_test(weights_count_in_sum_and_count_and_not_in_extremes),
        cmocka_unit_test(a_fractional_weight_multiplies_exactly),
        cmocka_unit_test(of_two_samples_with_one_time_the_later_arrival_is_the_last),
        cmocka_unit_test(an_older_sample_that_arrives_late_is_not_the_last),
        cmocka_unit_test(minus_zero_is_zero),
        cmocka_unit_test(sums_and_counts_stay_at_the_largest_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
