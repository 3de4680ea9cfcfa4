/* How many samples the parts of a hand-over have, whatever these weigh: the ledger goes by it. Each
 * sample here is value times weight 1, so that sums count them. */
#include <stdio.h>

#include "series/random.h"
#include "series/shard_test.h"

enum { SERIES = 60, ROUNDS = 15, BETWEEN = 25, PART = 7 };

static struct sample random_sample(uint64_t *seed, char *name, size_t size, bool is_sampled)
{
    static const enum metric_kind kinds[] = {METRIC_COUNTER, METRIC_DISTRIBUTION, METRIC_COUNTER};
    uint64_t which = random_below(seed, SERIES);
    unsigned shift = is_sampled && which % 4 != 0 ? (unsigned)random_below(seed, 6) : 0;

    (void)snprintf(name, size, "m%d", (int)which);
    struct sample sample =
        sample_of(name, kinds[which % TEST_COUNT(kinds)], 1.0 / (double)(1U << shift));
    sample.weight = WEIGHT_ONE << shift;
    return sample;
}

/* What the cells of a delta say, in sum, is what there is; false: some cell says something else. */
static bool count_cells(const struct delta *delta, uint64_t *samples)
{
    bool is_exact = true;
    double sum = 0;

    *samples = 0;
    for (size_t i = 0; i < delta->cell_count; i++) {
        uint64_t here = delta_cell_samples(&delta->cells[i]);
        double expected = aggregate_sum(&delta->cells[i].cell.aggregate);
        assert_true(here > 0);
        is_exact = is_exact && (double)here == expected;
        *samples += here;
        sum += expected;
    }
    assert_true((double)*samples == sum);
    return is_exact;
}

/* Of several minutes of a series with samples of other weights than 1 only the sum is known. */
static void parts_count_their_samples(void **state)
{
    (void)state;
    for (int minutes = 1; minutes <= 3; minutes++) {
        for (int is_sampled = 0; is_sampled < 2; is_sampled++) {
            struct shard *shard = shard_new(&LIMITS, NULL, 7);
            struct ledger ledger = {0};
            uint64_t seed = 5;
            uint64_t received = 0;
            for (int round = 0; round <= ROUNDS; round++) {
                bool is_over = false;
                while (!is_over) {
                    struct delta *delta = delta_new();
                    uint64_t samples = 0;
                    for (int i = 0; i < BETWEEN && round < ROUNDS; i++) {
                        char name[16];
                        struct sample sample =
                            random_sample(&seed, name, sizeof name, is_sampled == 1);
                        sample.at = NOW + (wall_ms)random_below(&seed, (uint64_t)minutes) *
                                              (wall_ms)MS_PER_MINUTE;
                        shard_add(shard, &sample, 1, NOW_US, &ledger, NULL);
                    }
                    is_over = shard_hand_over(shard, PART, delta);
                    bool is_exact = count_cells(delta, &samples);
                    assert_true(is_exact || (minutes > 1 && is_sampled == 1));
                    assert_int_equal(delta->samples, samples);
                    received += samples;
                    delta_free(delta);
                }
            }
            assert_int_equal(received, ledger.stored);
            assert_int_equal(shard_pending_bytes(shard), 0);
            shard_free(shard);
        }
    }
}

/* A gauge has no weights, a member of a set may have one, a total is one whatever it says. */
static void every_kind_counts_a_sample_as_one(void **state)
{
    (void)state;
    struct metric_definition total = {
        .name = "total", .has_kind = true, .kind = METRIC_COUNTER, .counts_up = true};
    struct metric_table metrics = {.mapping = NULL};
    assert_true(table_add(&metrics.by_name, STR("total"), &total));
    struct shard *shard = shard_new(&LIMITS, &metrics, 7);
    struct sample samples[] = {
        sample_of("level", METRIC_GAUGE, 5),    sample_of("level", METRIC_GAUGE, 3),
        sample_of("change", METRIC_GAUGE, 2),   sample_of("change", METRIC_GAUGE, 2),
        sample_of("total", METRIC_COUNTER, 10), sample_of("total", METRIC_COUNTER, 20),
        member_of("users", "", "ann"),          member_of("users", "", "bob"),
        sample_of("late", METRIC_COUNTER, 1),   sample_of("late", METRIC_COUNTER, 2),
    };
    uint64_t count = TEST_COUNT(samples);

    for (size_t i = 0; i < count; i++) {
        samples[i].weight = 3 * WEIGHT_ONE;
        add(shard, samples[i]);
    }
    samples[2].form = samples[3].form = SAMPLE_CHANGE;
    add(shard, samples[2]);
    add(shard, samples[3]);
    samples[9].at = NOW - (wall_ms)MS_PER_MINUTE;
    add(shard, samples[9]);
    count += 3;
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->point_count, 2);
    assert_int_equal(delta->samples, count);
    for (size_t i = 0; i < delta->cell_count; i++)
        count -= delta_cell_samples(&delta->cells[i]);
    assert_int_equal(count, 2);
    delta_free(delta);
    shard_free(shard);
    table_fini(&metrics.by_name);
}

/* A change that makes the level infinite is rejected, and counts for nothing. */
static void what_is_rejected_is_not_counted(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 7);
    struct sample sample = sample_of("level", METRIC_GAUGE, 1e308);

    add(shard, sample);
    sample.form = SAMPLE_CHANGE;
    assert_int_equal(add_at(shard, sample, NOW_US), REJECT_bad_number);
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->samples, 1);
    delta_free(delta);
    shard_free(shard);
}

/* Weights of which two are more than a count can hold: the cell does not know how many there were,
 * but the hand-over does. */
static void more_weight_than_a_count_can_hold_is_still_so_many_samples(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 7);

    for (int i = 0; i < 9; i++) {
        struct sample sample = sample_of("much", METRIC_COUNTER, 1);
        sample.weight = UINT64_MAX / 2 + (uint64_t)i;
        sample.at = i % 2 == 0 ? NOW : NOW - (wall_ms)MS_PER_MINUTE;
        add(shard, sample);
    }
    add(shard, sample_of("one", METRIC_COUNTER, 1));
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->samples, 10);
    delta_free(delta);
    shard_free(shard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_count_their_samples),
        cmocka_unit_test(every_kind_counts_a_sample_as_one),
        cmocka_unit_test(what_is_rejected_is_not_counted),
        cmocka_unit_test(more_weight_than_a_count_can_hold_is_still_so_many_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
