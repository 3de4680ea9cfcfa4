#include <float.h>
#include <math.h>
#include <stdio.h>

#include "base/intern.h"
#include "bounded_test.h"

static struct buf encoded(const struct cell *cell)
{
    struct buf bytes = BUF_EMPTY;
    cell_encode(cell, &bytes);
    return bytes;
}

static void assert_same(const struct cell *a, const struct cell *b)
{
    struct buf one = encoded(a);
    struct buf other = encoded(b);
    assert_int_equal(one.len, other.len);
    assert_memory_equal(one.bytes, other.bytes, one.len);
    assert_memory_equal(&a->aggregate, &b->aggregate, sizeof a->aggregate);
    assert_int_equal(a->counts_values, b->counts_values);
    assert_int_equal(a->histogram != NULL, b->histogram != NULL);
    buf_fini(&one);
    buf_fini(&other);
}

static void add_member(struct cell *cell, uint64_t number, wall_ms at, uint64_t arrival)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    if (cell->distinct == NULL)
        cell->distinct = distinct_new();
    distinct_add(cell->distinct, (struct str){text, (size_t)len});
    aggregate_add(&cell->aggregate, 0, WEIGHT_ONE, at, arrival);
}

static const double VALUES[] = {1, 1, 1, 0, -0.0, -3, 1.004, 80.5, 1e-300, 1e300};

/* A cell of a distribution: its values are of few kinds, so that they are often equal; weights are
 * sometimes not whole, or too large together. */
static struct cell random_values(uint64_t *seed)
{
    struct cell cell = CELL_EMPTY;
    for (uint64_t samples = random_below(seed, 6); samples > 0; samples--) {
        uint64_t weight = random_below(seed, 3) == 0 ? 1 + random_below(seed, WEIGHT_ONE * 4)
                                                     : WEIGHT_ONE * (1 + random_below(seed, 300));
        if (random_below(seed, 50) == 0)
            weight = UINT64_MAX - random_below(seed, WEIGHT_ONE);
        cell_add_value(&cell, VALUES[random_below(seed, TEST_COUNT(VALUES))], weight,
                       (wall_ms)random_below(seed, 60000), samples);
    }
    for (uint64_t parts = random_below(seed, 4); parts > 1; parts--)
        add_between(&cell, seed, (wall_ms)random_below(seed, 60000), parts);
    return cell;
}

/* One of many shapes: empty, one sample, more; with and without a sketch, or counted values. */
static struct cell random_cell(uint64_t *seed)
{
    struct cell cell = CELL_EMPTY;
    uint64_t samples = random_below(seed, 5);
    bool has_sketch = random_below(seed, 3) == 0;
    if (random_below(seed, 3) == 0)
        return random_values(seed);
    for (uint64_t i = 0; i < samples; i++) {
        wall_ms at = (wall_ms)random_below(seed, 60000);
        if (has_sketch)
            add_member(&cell, random_below(seed, 400), at, i);
        else
            aggregate_add(&cell.aggregate, (double)random_below(seed, 1000) / 8 - 60,
                          1 + random_below(seed, WEIGHT_ONE * 4), at, i);
    }
    return cell;
}

/* Sums of numbers that are far apart round, and differently in another order. */
static void forgive_rounding(struct cell *cell, const struct cell *other)
{
    double sum = aggregate_sum(&other->aggregate);
    if (fabs(aggregate_sum(&cell->aggregate) - sum) > ldexp(fabs(sum), -50))
        return;
    cell->aggregate.sum = other->aggregate.sum;
    cell->aggregate.sum_low = other->aggregate.sum_low;
}

static void what_is_taken_out_and_merged_again_gives_the_same(void **state)
{
    (void)state;
    uint64_t seed = 77;
    for (int round = 0; round < 3000; round++) {
        struct cell rest = random_cell(&seed);
        struct cell part = random_cell(&seed);
        struct cell both = CELL_EMPTY;
        struct cell again = CELL_EMPTY;
        cell_merge(&both, &rest);
        cell_merge(&both, &part);
        cell_merge(&again, &both);
        if (both.aggregate.count < UINT64_MAX) {
            assert_true(cell_take_out(&again, &part));
            assert_int_equal(again.aggregate.count, rest.aggregate.count);
            struct buf bytes = encoded(&again);
            struct cell decoded = CELL_EMPTY;
            if (again.aggregate.count > 0) /* what is left is a cell like any other */
                assert_true(cell_decode(buf_view(&bytes), &decoded));
            cell_fini(&decoded);
            buf_fini(&bytes);
            cell_merge(&again, &part);
            forgive_rounding(&again, &both);
            assert_same(&again, &both);
        }
        cell_fini(&rest);
        cell_fini(&part);
        cell_fini(&both);
        cell_fini(&again);
    }
}

static void taking_out_is_exact_for_short_decimals(void **state)
{
    (void)state;
    uint64_t seed = 78;
    for (int round = 0; round < 2000; round++) {
        struct aggregate part = AGGREGATE_EMPTY;
        struct aggregate both = AGGREGATE_EMPTY;
        for (int i = 0; i < 40; i++) {
            double value = (double)random_below(&seed, 2000000) / 100 - 5000;
            aggregate_add(&both, value, WEIGHT_ONE, i, (uint64_t)i);
            if (i > 20)
                aggregate_add(&part, value, WEIGHT_ONE, i, (uint64_t)i);
        }
        struct aggregate again = both;
        aggregate_take_out(&again, &part);
        assert_int_equal(again.count, 21 * WEIGHT_ONE);
        aggregate_merge(&again, &part);
        assert_memory_equal(&again, &both, sizeof both);
    }
}

static void what_was_not_merged_in_is_not_taken_out(void **state)
{
    (void)state;
    struct cell cell = CELL_EMPTY;
    struct cell other = CELL_EMPTY;
    for (int i = 0; i < 9; i++)
        cell_add_value(&cell, i, WEIGHT_ONE, i, 1);
    cell_add_value(&other, 3, WEIGHT_ONE, 3, 1);
    cell_add_value(&other, 100, WEIGHT_ONE, 3, 1);
    struct cell taken = CELL_EMPTY;
    cell_merge(&taken, &cell);
    assert_false(cell_take_out(&taken, &other)); /* a value that is not there */
    assert_int_equal(taken.aggregate.count, 0);
    assert_false(cell_take_out(&other, &cell)); /* more than there is */
    assert_int_equal(other.aggregate.count, 0);
    cell_fini(&cell);
    cell_fini(&taken);
    cell_fini(&other);
}

static void every_cell_reads_back(void **state)
{
    (void)state;
    uint64_t seed = 10;
    for (int round = 0; round < 2000; round++) {
        struct cell cell = random_cell(&seed);
        struct cell decoded;
        struct buf bytes = encoded(&cell);
        assert_true(cell_decode(buf_view(&bytes), &decoded));
        assert_same(&cell, &decoded);
        buf_fini(&bytes);
        cell_fini(&cell);
        cell_fini(&decoded);
    }
}

static void a_cell_of_one_sample_stores_one_value(void **state)
{
    (void)state;
    struct cell cell = CELL_EMPTY;
    aggregate_add(&cell.aggregate, 0.1, 3 * WEIGHT_ONE + 7, 1234, 99);
    struct buf bytes = encoded(&cell);
    assert_int_equal(bytes.len, 1 + 1 + 8 + 8 + 8 + 8);
    buf_fini(&bytes);

    aggregate_add(&cell.aggregate, 0.1, WEIGHT_ONE, 1235, 100);
    bytes = encoded(&cell);
    assert_int_equal(bytes.len, 1 + 1 + 8 + 10 * 8);
    buf_fini(&bytes);
    cell_fini(&cell);
}

/* The stored form, so that it cannot change by accident: version 1. */
static void the_bytes_are_as_the_header_says(void **state)
{
    (void)state;
    static const char one_sample[] = "\x01\x01"
                                     "\x00\x00\x01\x00\x00\x00\x00\x00"
                                     "\x00\x00\x00\x00\x00\x00\xf8\x3f"
                                     "\x02\x01\x00\x00\x00\x00\x00\x00"
                                     "\x03\x00\x00\x00\x00\x00\x00\x00";
    struct cell cell = CELL_EMPTY;
    aggregate_add(&cell.aggregate, 1.5, WEIGHT_ONE, 258, 3);
    struct buf bytes = encoded(&cell);
    assert_int_equal(bytes.len, sizeof one_sample - 1);
    assert_memory_equal(bytes.bytes, one_sample, bytes.len);
    buf_fini(&bytes);
    cell_fini(&cell);
}

static void merging_in_any_order_gives_the_same_bits(void **state)
{
    (void)state;
    uint64_t seed = 11;
    for (int round = 0; round < 500; round++) {
        struct cell parts[3];
        for (int i = 0; i < 3; i++)
            parts[i] = random_cell(&seed);
        for (int i = 0; i < 3; i++) { /* sums that are exact, so that they agree too */
            parts[i].aggregate.sum = (double)random_below(&seed, 1000);
            parts[i].aggregate.sum_low = 0;
            if (parts[i].aggregate.count == 0)
                parts[i].aggregate = (struct aggregate)AGGREGATE_EMPTY;
        }
        struct cell left = CELL_EMPTY;
        struct cell right = CELL_EMPTY;
        for (int i = 0; i < 3; i++) {
            cell_merge(&left, &parts[i]);
            cell_merge(&right, &parts[2 - i]);
        }
        /* Arrivals repeat between the parts, as they do between threads. */
        assert_same(&left, &right);
        struct cell inner = CELL_EMPTY;
        struct cell nested = CELL_EMPTY;
        cell_merge(&inner, &parts[1]);
        cell_merge(&inner, &parts[2]);
        cell_merge(&nested, &parts[0]);
        cell_merge(&nested, &inner);
        assert_same(&left, &nested);
        cell_fini(&inner);
        cell_fini(&nested);
        cell_fini(&left);
        cell_fini(&right);
        for (int i = 0; i < 3; i++)
            cell_fini(&parts[i]);
    }
}

static void assert_same_histogram(const struct histogram *a, const struct histogram *b)
{
    struct buf one = BUF_EMPTY;
    struct buf other = BUF_EMPTY;
    histogram_encode(a, &one);
    histogram_encode(b, &other);
    assert_int_equal(one.len, other.len);
    assert_memory_equal(one.bytes, other.bytes, one.len);
    buf_fini(&one);
    buf_fini(&other);
}

/* However values came together, a cell has the histogram of them all, or they are all equal. */
static void a_histogram_counts_all_values_that_were_added_and_merged(void **state)
{
    (void)state;
    uint64_t seed = 14;
    int with_histogram = 0;
    for (int round = 0; round < 2000; round++) {
        struct histogram *all = histogram_new();
        struct cell parts[3] = {CELL_EMPTY, CELL_EMPTY, CELL_EMPTY};
        uint64_t kinds = 1 + random_below(&seed, TEST_COUNT(VALUES));
        for (uint64_t samples = random_below(&seed, 8); samples > 0; samples--) {
            double value = VALUES[random_below(&seed, kinds)];
            uint64_t weight = random_below(&seed, 4 * WEIGHT_ONE); /* 0 adds nothing */
            histogram_add(all, value, weight);
            cell_add_value(&parts[random_below(&seed, 3)], value, weight, 1, samples);
        }
        struct cell merged = CELL_EMPTY;
        cell_merge(&parts[1], &parts[2]);
        cell_merge(&merged, &parts[0]);
        cell_merge(&merged, &parts[1]);
        const struct aggregate *aggregate = &merged.aggregate;
        assert_true(histogram_count(all) == aggregate->count);
        assert_int_equal(merged.counts_values, aggregate->count > 0);
        assert_int_equal(merged.histogram != NULL,
                         aggregate->count > 0 && aggregate->min < aggregate->max);
        if (merged.histogram != NULL) {
            assert_same_histogram(merged.histogram, all);
            with_histogram++;
        }
        cell_fini(&merged);
        for (size_t i = 0; i < TEST_COUNT(parts); i++)
            cell_fini(&parts[i]);
        histogram_free(all);
    }
    assert_true(with_histogram > 500);
}

static void values_between_bounds_are_kept_beside_the_others(void **state)
{
    (void)state;
    static const double bounds[] = {10, 20, 40};
    struct error err = ERROR_EMPTY;
    struct cell cell = CELL_EMPTY;
    struct aggregate aggregate = AGGREGATE_EMPTY;
    double out = 0;

    /* One value: the aggregate says it, there is no need to count it between bounds. */
    struct bounded *bounded = bounded_new(bounds, 3, &err);
    bounded_add(bounded, 15, WEIGHT_ONE);
    aggregate_add(&aggregate, 15, WEIGHT_ONE, 1, 1);
    cell_add_bounded(&cell, &aggregate, bounded);
    assert_null(cell.histogram);
    assert_true(cell.counts_values);
    assert_true(cell_quantile(&cell, 0.5, &out) && out == 15);
    assert_true(cell_quantile_error(&cell, out) == 0);

    bounded = bounded_new(bounds, 3, &err);
    bounded_add(bounded, 12, 2 * WEIGHT_ONE);
    bounded_add(bounded, 40, 2 * WEIGHT_ONE);
    aggregate = (struct aggregate)AGGREGATE_EMPTY;
    aggregate_add(&aggregate, 12, 2 * WEIGHT_ONE, 2, 2);
    aggregate_add(&aggregate, 40, 2 * WEIGHT_ONE, 3, 3);
    cell_add_bounded(&cell, &aggregate, bounded);
    const struct bounded *between = histogram_bounded(cell.histogram);
    assert_true(bounded_count(between) == 4 * WEIGHT_ONE);
    assert_int_equal(bounded_bound_count(between), 3);
    assert_true(histogram_count(cell.histogram) == 5 * WEIGHT_ONE);
    assert_true(cell_share_at_most(&cell, 20, &out) && out == 0.6);
    assert_true(cell_share_at_least(&cell, 20.5, &out) && out == 0.4);
    assert_true(cell_quantile(&cell, 0.8, &out) && out == 30);
    assert_true(cell_quantile_error(&cell, out) == 20);
    assert_true(cell_quantile(&cell, 1, &out) && out == 40);

    /* A gauge's value makes it one that does not count values. */
    struct cell gauge = CELL_EMPTY;
    aggregate_add(&gauge.aggregate, 1, WEIGHT_ONE, 4, 4);
    cell_merge(&cell, &gauge);
    assert_null(cell.histogram);
    assert_false(cell_quantile(&cell, 0.5, &out));
    cell_fini(&cell);
    assert_int_equal(interned_count(), 0);
}

static void quantiles_and_shares_are_exact_at_the_ends(void **state)
{
    (void)state;
    struct cell cell = CELL_EMPTY;
    double out = -1;
    assert_false(cell_quantile(&cell, 0.5, &out));
    assert_false(cell_share_at_most(&cell, 1, &out));
    assert_false(cell_share_at_least(&cell, 1, &out));
    aggregate_add(&cell.aggregate, 50.1, WEIGHT_ONE, 1, 1); /* a gauge */
    assert_false(cell_quantile(&cell, 0.5, &out));
    assert_false(cell_share_at_most(&cell, 100, &out));
    assert_false(cell_share_at_least(&cell, 1, &out));
    cell_fini(&cell);

    cell_add_value(&cell, 50.1, 3 * WEIGHT_ONE, 1, 1);
    assert_null(cell.histogram);
    assert_true(cell_quantile(&cell, 0.95, &out) && out == 50.1);
    for (int i = 0; i < 2; i++) { /* 50 is in the bucket of 50.1 */
        assert_true(cell_share_at_most(&cell, 50, &out) && out == 0);
        assert_true(cell_share_at_most(&cell, 50.1, &out) && out == (i == 0 ? 1 : 0.75));
        assert_true(cell_share_at_least(&cell, 50.1, &out) && out == 1);
        assert_true(cell_share_at_least(&cell, 80.1, &out) && out == 0);
        cell_add_value(&cell, 80, WEIGHT_ONE, 2, 2);
    }
    assert_non_null(cell.histogram);
    assert_true(cell_share_at_least(&cell, 80, &out) && out == 2.0 / 5);
    assert_true(cell_share_at_most(&cell, 80, &out) && out == 1);
    assert_true(cell_quantile(&cell, 0.01, &out) && fabs(out - 50.1) < 0.501);
    cell_fini(&cell);
}

static void what_does_not_count_its_values_wins(void **state)
{
    (void)state;
    struct cell counted = CELL_EMPTY;
    struct cell other = CELL_EMPTY;
    struct cell empty = CELL_EMPTY;
    cell_add_value(&counted, 1, WEIGHT_ONE, 1, 1);
    cell_add_value(&counted, 2, WEIGHT_ONE, 1, 2);
    cell_merge(&counted, &empty);
    cell_merge(&empty, &counted);
    assert_same(&counted, &empty);
    aggregate_add(&other.aggregate, 3, WEIGHT_ONE, 1, 3);
    cell_merge(&counted, &other);
    cell_merge(&other, &empty);
    assert_false(counted.counts_values);
    assert_same(&counted, &other);
    cell_fini(&counted);
    cell_fini(&other);
    cell_fini(&empty);
}

/* A histogram must be of this cell, and only where values differ. */
static void a_histogram_that_does_not_belong_is_refused(void **state)
{
    (void)state;
    struct cell cell = CELL_EMPTY;
    struct cell decoded;
    cell_add_value(&cell, 5, WEIGHT_ONE, 1, 1);
    cell_add_value(&cell, 6, WEIGHT_ONE, 2, 2);
    struct buf sound = encoded(&cell);
    struct histogram *histogram = histogram_new();
    histogram_add(histogram, 5, WEIGHT_ONE);
    struct buf own = BUF_EMPTY;
    histogram_encode(cell.histogram, &own);
    size_t before = sound.len - own.len;
    for (int i = 0; i < 3; i++) { /* one, two, three values where the cell has two */
        struct buf bytes = BUF_EMPTY;
        buf_append(&bytes, sound.bytes, before);
        histogram_encode(histogram, &bytes);
        assert_int_equal(cell_decode(buf_view(&bytes), &decoded), i == 1);
        cell_fini(&decoded);
        buf_fini(&bytes);
        histogram_add(histogram, 6, WEIGHT_ONE);
    }
    static const char empty[] = "\x01\x04\0\0\0\0\0\0\0\0"; /* counts the values of nothing */
    assert_false(cell_decode((struct str){empty, sizeof empty - 1}, &decoded));
    histogram_free(histogram);
    buf_fini(&own);
    buf_fini(&sound);
    cell_fini(&cell);
}

static void no_truncation_is_a_cell(void **state)
{
    (void)state;
    struct cell cells[7] = {CELL_EMPTY, CELL_EMPTY, CELL_EMPTY, CELL_EMPTY,
                            CELL_EMPTY, CELL_EMPTY, CELL_EMPTY};
    uint64_t seed = 16;
    aggregate_add(&cells[1].aggregate, 5, WEIGHT_ONE, 1, 1);
    aggregate_add(&cells[2].aggregate, 5, WEIGHT_ONE, 1, 1);
    aggregate_add(&cells[2].aggregate, 6, WEIGHT_ONE, 2, 2);
    for (uint64_t i = 0; i < 40; i++)
        add_member(&cells[3], i, 1, i);
    for (int i = 0; i < 3; i++) {
        cell_add_value(&cells[4], 7, WEIGHT_ONE, 1, 1);
        cell_add_value(&cells[5], 7 + i, WEIGHT_ONE, 1, 1);
        add_between(&cells[6], &seed, 1, 1);
    }
    assert_non_null(histogram_bounded(cells[6].histogram));
    for (size_t i = 0; i < TEST_COUNT(cells); i++) {
        struct buf bytes = encoded(&cells[i]);
        struct cell decoded;
        for (size_t len = 0; len < bytes.len; len++) {
            assert_false(cell_decode((struct str){bytes.bytes, len}, &decoded));
            assert_null(decoded.distinct);
            assert_null(decoded.histogram);
            assert_int_equal(decoded.aggregate.count, 0);
        }
        buf_char(&bytes, 0);
        assert_false(cell_decode(buf_view(&bytes), &decoded));
        buf_fini(&bytes);
        cell_fini(&cells[i]);
    }
}

/* Whatever is decoded encodes to the bytes it came from. False when the bytes are refused. */
static bool reads_back(struct str bytes)
{
    struct cell decoded;
    bool accepted = cell_decode(bytes, &decoded);
    if (accepted) {
        struct buf again = encoded(&decoded);
        assert_int_equal(again.len, bytes.len);
        assert_memory_equal(again.bytes, bytes.text, bytes.len);
        buf_fini(&again);
    }
    cell_fini(&decoded);
    return accepted;
}

static void damaged_bytes_are_refused_or_read_back(void **state)
{
    (void)state;
    uint64_t seed = 12;
    int accepted = 0;
    for (int round = 0; round < 20000; round++) {
        struct cell cell = random_cell(&seed);
        struct buf bytes = encoded(&cell);
        for (uint64_t flips = 1 + random_below(&seed, 3); flips > 0; flips--)
            bytes.bytes[random_below(&seed, bytes.len)] ^= (char)(1u << random_below(&seed, 8));
        accepted += reads_back(buf_view(&bytes));
        buf_fini(&bytes);
        cell_fini(&cell);
    }
    assert_true(accepted > 100);
}

static void random_bytes_are_refused_or_read_back(void **state)
{
    (void)state;
    uint64_t seed = 13;
    int refused = 0;
    for (int round = 0; round < 5000; round++) {
        char bytes[200];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)random_next(&seed);
        bytes[0] = 1;
        bytes[1] = (char)(round % 8);
        refused += !reads_back((struct str){bytes, random_below(&seed, sizeof bytes)});
    }
    assert_true(refused > 4900);
}

/* Each changes one field of a sound cell of two samples. */
static void unsound_numbers_are_refused(void **state)
{
    (void)state;
    struct aggregate sound = AGGREGATE_EMPTY;
    aggregate_add(&sound, 5, WEIGHT_ONE, 1, 1);
    aggregate_add(&sound, 6, WEIGHT_ONE, 2, 2);
    struct aggregate bad[10];
    for (size_t i = 0; i < TEST_COUNT(bad); i++)
        bad[i] = sound;
    bad[0].sum = INFINITY;
    bad[1].sum_low = NAN;
    bad[2].sum_low = 1;
    bad[3].min = 5.5;
    bad[4].max = 5.5;
    bad[5].first = NAN;
    bad[6].last = 7;
    bad[7].first_at = 3;
    bad[8].last_at = 1, bad[8].last_arrival = 0;
    aggregate_add((bad[9] = (struct aggregate)AGGREGATE_EMPTY, &bad[9]), 5, WEIGHT_ONE, 1, 1);
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        struct buf bytes = BUF_EMPTY;
        struct cell decoded;
        buf_u8(&bytes, 1);
        buf_u8(&bytes, 0); /* the last one could be written as one sample */
        buf_u64(&bytes, bad[i].count);
        const double high[] = {bad[i].sum, bad[i].sum_low, bad[i].min, bad[i].max, bad[i].first};
        for (size_t j = 0; j < TEST_COUNT(high); j++)
            buf_double(&bytes, high[j]);
        buf_i64(&bytes, bad[i].first_at);
        buf_u64(&bytes, bad[i].first_arrival);
        buf_double(&bytes, bad[i].last);
        buf_i64(&bytes, bad[i].last_at);
        buf_u64(&bytes, bad[i].last_arrival);
        assert_false(cell_decode(buf_view(&bytes), &decoded));
        buf_fini(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_reads_back),
        cmocka_unit_test(a_cell_of_one_sample_stores_one_value),
        cmocka_unit_test(the_bytes_are_as_the_header_says),
        cmocka_unit_test(merging_in_any_order_gives_the_same_bits),
        cmocka_unit_test(what_is_taken_out_and_merged_again_gives_the_same),
        cmocka_unit_test(taking_out_is_exact_for_short_decimals),
        cmocka_unit_test(what_was_not_merged_in_is_not_taken_out),
        cmocka_unit_test(a_histogram_counts_all_values_that_were_added_and_merged),
        cmocka_unit_test(values_between_bounds_are_kept_beside_the_others),
        cmocka_unit_test(quantiles_and_shares_are_exact_at_the_ends),
        cmocka_unit_test(what_does_not_count_its_values_wins),
        cmocka_unit_test(a_histogram_that_does_not_belong_is_refused),
        cmocka_unit_test(no_truncation_is_a_cell),
        cmocka_unit_test(damaged_bytes_are_refused_or_read_back),
        cmocka_unit_test(random_bytes_are_refused_or_read_back),
        cmocka_unit_test(unsound_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
