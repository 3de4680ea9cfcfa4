/* How often shards hand over: by what it costs the writer, in simulated time. */
#include "store/flush_pace.h"
#include "test.h"

/* The writer looks at its pace each second; shards hand over whenever it is time. */
enum { TICK_MS = 1000, STEP_MS = 100 };

static const mono_ms BEGIN = INT64_C(5) * 24 * 3600 * 1000;

struct load {
    struct flush_pace pace;
    mono_ms now;
    uint64_t flush_us;  /* what one hand-over costs, whenever it comes */
    uint64_t second_us; /* and what a second costs, however many come */
    uint64_t spent_us;  /* in all */
    mono_ms next_flush;
};

static struct load begin_load(uint64_t flush_us)
{
    struct load load = {.now = BEGIN, .flush_us = flush_us};
    flush_pace_init(&load.pace, BEGIN);
    load.next_flush = BEGIN + load.pace.interval;
    return load;
}

static void spend(struct load *load, uint64_t busy_us)
{
    load->pace.busy_us += busy_us;
    load->spent_us += busy_us;
}

static void run_load(struct load *load, span_ms span)
{
    for (mono_ms end = load->now + span; load->now < end;) {
        load->now += STEP_MS;
        spend(load, load->second_us * STEP_MS / 1000);
        if (load->now >= load->next_flush) {
            spend(load, load->flush_us);
            load->next_flush = load->now + load->pace.interval;
        }
        if ((load->now - BEGIN) % TICK_MS == 0)
            (void)flush_pace_turn(&load->pace, load->now);
    }
}

static void what_costs_little_is_handed_over_each_second(void **state)
{
    static const uint64_t costs[] = {0, 999, 20000, 99000};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(costs); i++) {
        struct load load = begin_load(costs[i]);
        assert_int_equal(load.pace.interval, FLUSH_PACE_MIN_MS);
        run_load(&load, 60 * 1000);
        assert_int_equal(load.pace.interval, FLUSH_PACE_MIN_MS);
    }
}

/* Up to what fits into the longest interval; over ten minutes, as an interval may see one hand-over
 * more than the next. */
static void the_interval_stretches_until_it_costs_a_tenth(void **state)
{
    static const uint64_t costs[] = {150000, 300000, 640000, 950000, 1000000};
    const uint64_t tenth_us = UINT64_C(600) * 1000 * 1000 / 10;
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(costs); i++) {
        struct load load = begin_load(costs[i]);
        run_load(&load, 60 * 1000);
        load.spent_us = 0;
        run_load(&load, 600 * 1000);
        assert_in_range(load.spent_us, tenth_us * 3 / 4, tenth_us * 11 / 10);
        assert_in_range(load.pace.interval, costs[i] / 1000 * 10 / 2, FLUSH_PACE_MAX_MS);
    }
}

static void it_is_never_longer_than_ten_seconds(void **state)
{
    static const uint64_t costs[] = {1200000, 5000000, UINT64_C(3600) * 1000 * 1000};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(costs); i++) {
        struct load load = begin_load(costs[i]);
        run_load(&load, 120 * 1000);
        assert_int_equal(load.pace.interval, FLUSH_PACE_MAX_MS);
    }
}

static void it_comes_back_when_the_load_goes(void **state)
{
    struct load load = begin_load(2000000);
    (void)state;

    run_load(&load, 60 * 1000);
    assert_int_equal(load.pace.interval, FLUSH_PACE_MAX_MS);
    load.flush_us = 200000;
    run_load(&load, 60 * 1000);
    assert_in_range(load.pace.interval, 1500, 2500);
    load.flush_us = 10000;
    run_load(&load, 2 * FLUSH_PACE_MAX_MS + 1000);
    assert_int_equal(load.pace.interval, FLUSH_PACE_MIN_MS);
}

/* At once: within the interval that is under way and the next one. */
static void one_interval_without_load_is_enough(void **state)
{
    struct load load = begin_load(5000000);
    (void)state;

    run_load(&load, 30 * 1000);
    assert_int_equal(load.pace.interval, FLUSH_PACE_MAX_MS);
    load.flush_us = 0;
    run_load(&load, 2 * FLUSH_PACE_MAX_MS);
    assert_int_equal(load.pace.interval, FLUSH_PACE_MIN_MS);
}

/* What does not depend on hand-overs, as the background work, stretches them just the same. */
static void work_in_the_background_counts(void **state)
{
    struct load load = begin_load(50000);
    (void)state;

    load.second_us = 400000;
    run_load(&load, 120 * 1000);
    assert_int_equal(load.pace.interval, FLUSH_PACE_MAX_MS);
    load.second_us = 0;
    run_load(&load, 30 * 1000);
    assert_int_equal(load.pace.interval, FLUSH_PACE_MIN_MS);
}

static void nothing_happens_before_the_interval_is_over(void **state)
{
    struct flush_pace pace;
    (void)state;

    flush_pace_init(&pace, BEGIN);
    pace.busy_us = 400000;
    assert_false(flush_pace_turn(&pace, BEGIN));
    assert_false(flush_pace_turn(&pace, BEGIN + FLUSH_PACE_MIN_MS - 1));
    assert_false(flush_pace_turn(&pace, BEGIN - 1));
    assert_int_equal(pace.busy_us, 400000);
    assert_true(flush_pace_turn(&pace, BEGIN + FLUSH_PACE_MIN_MS));
    assert_int_equal(pace.interval, 4000);
    assert_int_equal(pace.began, BEGIN + FLUSH_PACE_MIN_MS);
    assert_int_equal(pace.busy_us, 0);
    assert_false(flush_pace_turn(&pace, pace.began + 3999));
}

/* A writer that was kept from looking: what it cost is what it cost in a second. */
static void a_late_look_is_no_heavy_load(void **state)
{
    struct flush_pace pace;
    (void)state;

    flush_pace_init(&pace, BEGIN);
    pace.busy_us = 60 * 20000;
    assert_true(flush_pace_turn(&pace, BEGIN + 60 * 1000));
    assert_int_equal(pace.interval, FLUSH_PACE_MIN_MS);
    pace.busy_us = 60 * 250000;
    assert_true(flush_pace_turn(&pace, pace.began + 60 * 1000));
    assert_int_equal(pace.interval, 2500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_costs_little_is_handed_over_each_second),
        cmocka_unit_test(the_interval_stretches_until_it_costs_a_tenth),
        cmocka_unit_test(it_is_never_longer_than_ten_seconds),
        cmocka_unit_test(it_comes_back_when_the_load_goes),
        cmocka_unit_test(one_interval_without_load_is_enough),
        cmocka_unit_test(work_in_the_background_counts),
        cmocka_unit_test(nothing_happens_before_the_interval_is_over),
        cmocka_unit_test(a_late_look_is_no_heavy_load),
    };
    return cmocka_run_group_tests_name("flush_pace", tests, NULL, NULL);
}
