/* What senders count between bounds: which of it is taken, and what came between two of them. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "series/batch.h"
#include "series/random.h"
#include "series/sample.h"
#include "series/tally.h"
#include "test.h"

static const wall_ms AT = INT64_C(1791788430000);

static struct tally *take(const struct batch_buckets *buckets)
{
    struct error err = ERROR_EMPTY;
    struct tally *tally = tally_new(buckets, &err);
    if (tally == NULL)
        fail_msg("%s", err.text);
    return tally;
}

static const double LATENCIES[] = {5, 10, 20};

/* Explicit, of up to four counts; the count is theirs. */
static struct batch_buckets explicit_of(const uint64_t counts[4], double sum)
{
    return (struct batch_buckets){.count = counts[0] + counts[1] + counts[2] + counts[3],
                                  .has_sum = true,
                                  .sum = sum,
                                  .bounds = LATENCIES,
                                  .bound_count = 3,
                                  .counts = counts};
}

static struct cell cell_of(const struct tally *tally)
{
    struct cell cell = CELL_EMPTY;
    struct cell again = CELL_EMPTY;
    struct buf bytes = BUF_EMPTY;

    tally_cell(tally, AT, 7, &cell);
    cell_encode(&cell, &bytes); /* whatever it is, it is one that can be stored */
    if (!cell_decode(buf_view(&bytes), &again))
        fail_msg("the cell cannot be stored");
    cell_fini(&again);
    buf_fini(&bytes);
    return cell;
}

/* --- what is taken --- */

static void what_contradicts_itself_is_refused(void **state) /* O14, O16 */
{
    static const double falling[] = {5, 5, 20};
    static const double infinite[] = {5, INFINITY, 20};
    static const uint64_t one[] = {1, 1, 1, 1};
    static const uint64_t huge[] = {UINT64_MAX, 1, 0, 0};
    static const uint64_t large[] = {UINT64_C(1) << 48, 0, 0, 0};
    static const uint64_t side[] = {1, 2};
    const struct histogram_buckets both = {0, 2, side};
    const struct batch_buckets cases[] = {
        {.count = 3, .bounds = LATENCIES, .bound_count = 3, .counts = one},
        {.count = 5, .bounds = LATENCIES, .bound_count = 3, .counts = one},
        {.count = 4, .bounds = falling, .bound_count = 3, .counts = one},
        {.count = 4, .bounds = infinite, .bound_count = 3, .counts = one},
        {.count = 4, .bounds = LATENCIES, .bound_count = 3},
        {.count = 0, .bounds = LATENCIES, .bound_count = 3, .counts = huge},
        {.count = UINT64_C(1) << 48, .bounds = LATENCIES, .bound_count = 3, .counts = large},
        {.count = UINT64_MAX},
        {.count = 4,
         .bounds = LATENCIES,
         .bound_count = 3,
         .counts = one,
         .has_extremes = true,
         .min = 2,
         .max = 1},
        {.count = 4,
         .bounds = LATENCIES,
         .bound_count = 3,
         .counts = one,
         .has_extremes = true,
         .min = 7,
         .max = 7},
        {.count = 4, .is_exponential = true, .scale = 2, .positive = both, .zeros = 2},
        {.count = UINT64_MAX, .is_exponential = true, .zeros = UINT64_MAX},
        {.count = 3, .is_exponential = true, .scale = 0, .positive = {1023, 2, side}},
        {.count = 3, .is_exponential = true, .scale = 0, .negative = {-1077, 2, side}},
        {.count = 3, .is_exponential = true, .scale = -20, .positive = {1, 2, side}},
    };

    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        if (tally_new(&cases[i], &err) != NULL)
            fail_msg("case %zu is taken", i);
        assert_true(err.text[0] != '\0');
    }
}

static void senders_extremes_and_sum_are_taken_as_they_are(void **state)
{
    static const uint64_t counts[] = {0, 2, 1, 0};
    struct batch_buckets buckets = explicit_of(counts, 33.5);
    double value = 0;

    (void)state;
    buckets.has_extremes = true;
    buckets.min = 7;
    buckets.max = 19.5;
    struct tally *tally = take(&buckets);
    struct cell cell = cell_of(tally);
    assert_true(aggregate_count(&cell.aggregate) == 3);
    assert_true(aggregate_sum(&cell.aggregate) == 33.5);
    assert_true(cell.aggregate.min == 7 && cell.aggregate.max == 19.5);
    assert_true(cell.aggregate.first == 33.5 / 3 && cell.aggregate.last == 33.5 / 3);
    assert_true(cell.aggregate.first_at == AT && cell.aggregate.last_arrival == 7);
    assert_true(cell_quantile(&cell, 1, &value) && value == 19.5);
    assert_true(cell_share_at_most(&cell, 10, &value) && fabs(value - 2.0 / 3) < 1e-12);
    cell_fini(&cell);
    tally_free(tally);
}

/* Where the sender says nothing. */
static void buckets_stand_for_what_is_not_said(void **state) /* O15 */
{
    static const double below_zero[] = {-10, 0, 10};
    const struct {
        uint64_t counts[4];
        const double *bounds;
        double sum; /* NAN: not said */
        double min, max, expected_sum;
    } cases[] = {
        {{0, 2, 1, 0}, LATENCIES, NAN, 5, 20, 7.5 + 7.5 + 15},
        {{2, 0, 0, 0}, LATENCIES, NAN, 0, 5, 5},     /* from 0 on */
        {{2, 0, 0, 0}, LATENCIES, -4, -2, 5, -4},    /* but for what the sum says */
        {{0, 0, 0, 1}, LATENCIES, NAN, 20, 20, 20},  /* just above the last bound */
        {{0, 0, 0, 2}, LATENCIES, 100, 20, 50, 100}, /* one is at least their mean */
        {{0, 2, 0, 1}, LATENCIES, 75, 5, 55, 75},    /* whatever the others are */
        {{1, 0, 0, 0}, below_zero, NAN, -10, -10, -10},
        {{2, 0, 0, 2}, below_zero, NAN, -10, 10, 0},
        {{0, 0, 0, 0}, LATENCIES, NAN, 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct batch_buckets buckets = explicit_of(cases[i].counts, cases[i].sum);
        buckets.bounds = cases[i].bounds;
        struct tally *tally = take(&buckets);
        struct cell cell = cell_of(tally);
        assert_int_equal(tally_is_empty(tally), buckets.count == 0);
        if (fabs(cell.aggregate.min - cases[i].min) > 1e-9 ||
            fabs(cell.aggregate.max - cases[i].max) > 1e-9 ||
            fabs(aggregate_sum(&cell.aggregate) - cases[i].expected_sum) > 1e-9)
            fail_msg("case %zu: %g to %g, sum %g", i, cell.aggregate.min, cell.aggregate.max,
                     aggregate_sum(&cell.aggregate));
        cell_fini(&cell);
        tally_free(tally);
    }
}

static void what_has_no_bounds_has_no_percentiles(void **state)
{
    const struct batch_buckets buckets = {.count = 4, .has_sum = true, .sum = 10};
    struct tally *tally = take(&buckets);
    struct cell cell = cell_of(tally);
    double value = 0;

    (void)state;
    assert_true(aggregate_count(&cell.aggregate) == 4 && aggregate_sum(&cell.aggregate) == 10);
    assert_false(cell_quantile(&cell, 0.5, &value));
    cell_fini(&cell);
    tally_free(tally);
}

/* --- what came since --- */

static void a_difference_has_what_was_counted_meanwhile(void **state)
{
    static const uint64_t first[] = {1, 5, 0, 1};
    static const uint64_t second[] = {1, 7, 1, 1};
    struct batch_buckets buckets = explicit_of(first, 80.1);

    (void)state;
    for (int with_extremes = 0; with_extremes < 2; with_extremes++) {
        buckets = explicit_of(first, 80.1);
        buckets.has_extremes = with_extremes;
        buckets.min = 1;
        buckets.max = 31;
        struct tally *before = take(&buckets);
        buckets.count = 10;
        buckets.sum = 110.4;
        buckets.counts = second;
        struct tally *now = take(&buckets);
        assert_true(tally_subtract(now, before));
        struct cell cell = cell_of(now);
        assert_true(aggregate_count(&cell.aggregate) == 3);
        assert_true(fabs(aggregate_sum(&cell.aggregate) - 30.3) < 1e-12);
        assert_true(80.1 + cell.aggregate.sum + cell.aggregate.sum_low == 110.4);
        assert_true(cell.aggregate.min == 5 && cell.aggregate.max == 20);
        cell_fini(&cell);
        tally_free(now);
        tally_free(before);
    }
}

static void an_extreme_that_has_moved_is_the_meanwhiles_own(void **state)
{
    static const uint64_t first[] = {0, 5, 0, 0};
    static const uint64_t second[] = {0, 6, 0, 1};
    struct batch_buckets buckets = explicit_of(first, 40);

    (void)state;
    buckets.has_extremes = true;
    buckets.min = 6;
    buckets.max = 9;
    struct tally *before = take(&buckets);
    buckets = explicit_of(second, 90);
    buckets.has_extremes = true;
    buckets.min = 6;
    buckets.max = 42;
    struct tally *now = take(&buckets);
    assert_true(tally_subtract(now, before));
    struct cell cell = cell_of(now);
    assert_true(cell.aggregate.min == 6 && cell.aggregate.max == 42);
    cell_fini(&cell);
    tally_free(now);
    tally_free(before);
}

static void what_counts_less_has_begun_anew(void **state)
{
    static const double others[] = {5, 10, 21};
    const struct {
        uint64_t counts[4];
        double sum;
        bool is_anew;
    } cases[] = {
        {{1, 5, 0, 1}, 80, false}, {{1, 4, 9, 9}, 900, true},
        {{0, 5, 0, 1}, 80, true},  {{1, 5, 0, 1}, 79, true}, /* the same counts of less */
        {{2, 5, 0, 1}, 80, false},
    };
    static const uint64_t first[] = {1, 5, 0, 1};
    struct batch_buckets buckets = explicit_of(first, 80);
    struct tally *before = take(&buckets);

    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        for (int other = 0; other < 2; other++) {
            buckets = explicit_of(cases[i].counts, cases[i].sum);
            buckets.bounds = other ? others : LATENCIES;
            struct tally *now = take(&buckets);
            assert_int_equal(tally_subtract(now, before), !cases[i].is_anew && !other);
            if (cases[i].is_anew || other) {
                struct cell cell = cell_of(now);
                assert_true(aggregate_count(&cell.aggregate) == (double)buckets.count);
                assert_true(aggregate_sum(&cell.aggregate) == cases[i].sum);
                cell_fini(&cell);
            }
            tally_free(now);
        }
    }
    tally_free(before);
}

/* A sender halves its buckets when they are too many, and widens what it calls zero. */
static void a_coarser_scale_and_a_wider_zero_are_no_reset(void **state) /* O16, P17 */
{
    static const uint64_t fine[] = {1, 2, 3, 4};
    static const uint64_t coarse[] = {4, 9};
    static const uint64_t wide[] = {10};
    struct batch_buckets buckets = {
        .count = 11, .is_exponential = true, .scale = 3, .zeros = 1, .positive = {4, 4, fine}};
    struct tally *before = take(&buckets);

    (void)state;
    buckets.count = 15;
    buckets.scale = 2;
    buckets.zeros = 2;
    buckets.positive = (struct histogram_buckets){2, 2, coarse};
    struct tally *now = take(&buckets);
    assert_true(tally_subtract(now, before));
    struct cell cell = cell_of(now);
    assert_true(aggregate_count(&cell.aggregate) == 4); /* a zero, one and two */
    cell_fini(&cell);
    tally_free(now);

    buckets.count = 16;
    buckets.zeros = 6;
    buckets.positive = (struct histogram_buckets){3, 1, wide};
    now = take(&buckets);
    assert_true(tally_subtract(now, before));
    cell = cell_of(now);
    assert_true(aggregate_count(&cell.aggregate) == 5); /* 2 zeros, 3 in the bucket */
    cell_fini(&cell);
    tally_free(now);

    buckets.count = 15;
    buckets.zeros = 5; /* fewer than what was near zero */
    now = take(&buckets);
    assert_true(tally_subtract(now, before));
    tally_free(now);
    buckets.count = 13;
    buckets.zeros = 3;
    now = take(&buckets);
    assert_false(tally_subtract(now, before));
    tally_free(now);
    tally_free(before);
}

/* --- laws --- */

enum { VALUES = 60, SIDE = 400 };

struct counted {
    uint64_t positive[SIDE], negative[SIDE];
    uint64_t zeros, count;
    double sum, min, max;
};

/* Whole values of some span, so that sums are exact. */
static void count_value(struct counted *counted, double value)
{
    const int32_t offset = SIDE / 2;
    if (value == 0)
        counted->zeros++;
    else if (value > 0)
        counted->positive[histogram_index(value, 4) + offset]++;
    else
        counted->negative[histogram_index(-value, 4) + offset]++;
    counted->min = counted->count == 0 || value < counted->min ? value : counted->min;
    counted->max = counted->count == 0 || value > counted->max ? value : counted->max;
    counted->count++;
    counted->sum += value;
}

static struct tally *tally_of(const struct counted *counted, unsigned coarser)
{
    uint64_t sides[2][SIDE] = {{0}};

    for (int i = 0; i < SIDE; i++) { /* index i - SIDE / 2, halved */
        sides[0][((i - SIDE / 2) >> coarser) + SIDE / 2] += counted->positive[i];
        sides[1][((i - SIDE / 2) >> coarser) + SIDE / 2] += counted->negative[i];
    }
    const struct batch_buckets buckets = {.count = counted->count,
                                          .has_sum = true,
                                          .sum = counted->sum,
                                          .has_extremes = true,
                                          .min = counted->min,
                                          .max = counted->max,
                                          .is_exponential = true,
                                          .scale = 4 - (int32_t)coarser,
                                          .zeros = counted->zeros,
                                          .positive = {-SIDE / 2, SIDE, sides[0]},
                                          .negative = {-SIDE / 2, SIDE, sides[1]}};
    return take(&buckets);
}

static void assert_same_histogram(const struct cell *one, const struct cell *other)
{
    struct buf left = BUF_EMPTY;
    struct buf right = BUF_EMPTY;

    histogram_encode(one->histogram, &left);
    histogram_encode(other->histogram, &right);
    assert_true(str_equal(buf_view(&left), buf_view(&right)));
    buf_fini(&left);
    buf_fini(&right);
}

/* The differences add up to the whole, whatever comes, in any scales. */
static void differences_add_up_to_what_was_counted(void **state)
{
    uint64_t random = 11;

    (void)state;
    for (int round = 0; round < 60; round++) {
        struct counted *counted = memory_zero(1, sizeof *counted);
        struct cell total = CELL_EMPTY;
        struct tally *before = NULL;
        unsigned coarser = 0;
        for (int point = 0; point < 12; point++) {
            double least = INFINITY;
            double most = -INFINITY;
            for (uint64_t i = random_below(&random, VALUES); i > 0; i--) {
                double value = (double)random_below(&random, 2001) - 1000;
                value = random_below(&random, 3) == 0 ? floor(value / 100) : value;
                count_value(counted, value);
                least = fmin(least, value);
                most = fmax(most, value);
            }
            coarser += random_below(&random, 8) == 0;
            struct tally *now = tally_of(counted, coarser);
            struct tally *kept = tally_of(counted, coarser);
            if (before != NULL)
                assert_true(tally_subtract(now, before));
            struct cell cell = cell_of(now);
            if (cell.aggregate.count > 0) { /* the extremes hold what came, and say no less */
                assert_true(cell.aggregate.min <= least && cell.aggregate.max >= most);
                assert_true(cell.aggregate.min >= counted->min);
                assert_true(cell.aggregate.max <= counted->max);
                assert_true(cell.aggregate.min >= least - fabs(least) * 2);
            }
            cell_merge(&total, &cell);
            cell_fini(&cell);
            tally_free(now);
            tally_free(before);
            before = kept;
        }
        if (counted->count > 1 && counted->min < counted->max) {
            struct cell whole = cell_of(before);
            assert_true(total.aggregate.count == whole.aggregate.count);
            assert_true(aggregate_sum(&total.aggregate) == counted->sum);
            assert_true(total.aggregate.min == counted->min);
            assert_true(total.aggregate.max == counted->max);
            assert_same_histogram(&total, &whole);
            cell_fini(&whole);
        }
        cell_fini(&total);
        tally_free(before);
        free(counted);
    }
}

static void what_is_written_is_read_back(void **state)
{
    static const uint64_t counts[] = {1, 5, 0, 1};
    static const uint64_t side[] = {1, 0, 7};
    struct batch_buckets cases[] = {
        explicit_of(counts, 80),
        explicit_of(counts, NAN),
        {.count = 4, .has_sum = true, .sum = 10},
        {.count = 0},
        {.count = 10, .is_exponential = true, .scale = 9, .zeros = 2, .negative = {5, 3, side}},
    };

    (void)state;
    cases[0].has_extremes = true;
    cases[0].min = 2;
    cases[0].max = 33;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct buf bytes = BUF_EMPTY;
        struct buf again = BUF_EMPTY;
        struct tally *tally = take(&cases[i]);
        tally_encode(tally, &bytes);
        struct reader reader = reader_of(buf_view(&bytes));
        struct tally *read = tally_decode(&reader);
        assert_true(read != NULL && reader.left == 0);
        tally_encode(read, &again);
        assert_true(str_equal(buf_view(&bytes), buf_view(&again)));
        for (size_t len = 0; len < bytes.len; len++) {
            reader = reader_of((struct str){bytes.bytes, len});
            struct tally *cut = tally_decode(&reader);
            assert_true(cut == NULL && !reader.ok);
        }
        tally_free(read);
        tally_free(tally);
        buf_fini(&bytes);
        buf_fini(&again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_contradicts_itself_is_refused),
        cmocka_unit_test(senders_extremes_and_sum_are_taken_as_they_are),
        cmocka_unit_test(buckets_stand_for_what_is_not_said),
        cmocka_unit_test(what_has_no_bounds_has_no_percentiles),
        cmocka_unit_test(a_difference_has_what_was_counted_meanwhile),
        cmocka_unit_test(an_extreme_that_has_moved_is_the_meanwhiles_own),
        cmocka_unit_test(what_counts_less_has_begun_anew),
        cmocka_unit_test(a_coarser_scale_and_a_wider_zero_are_no_reset),
        cmocka_unit_test(differences_add_up_to_what_was_counted),
        cmocka_unit_test(what_is_written_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
