#include <float.h>
#include <math.h>
#include <stdio.h>

#include "series/delta.h"
#include "series/random.h"
#include "series/sample.h"
#include "test.h"

static void a_new_delta_is_empty(void **state)
{
    (void)state;
    struct delta *delta = delta_new();
    assert_true(delta_is_empty(delta));
    assert_null(delta->on_done);
    delta_free(delta);
    delta_free(NULL);
}

static void on_done(struct delta *delta, const struct error *err)
{
    (void)delta;
    (void)err;
}

static void it_is_waited_for_when_its_end_is_an_answer(void **state)
{
    (void)state;
    struct delta *delta = delta_new();
    assert_false(delta_is_waited_for(delta));
    delta->on_done = on_done;
    assert_true(delta_is_waited_for(delta));
    delta->keep_trying = true;
    assert_false(delta_is_waited_for(delta));
    delta_free(delta);
}

static void its_size_follows_what_it_holds(void **state)
{
    (void)state;
    enum { CELLS = 1000 };
    struct delta *delta = delta_new();
    size_t empty = delta_size_bytes(delta);
    assert_true(empty >= sizeof *delta);
    for (int i = 0; i < CELLS; i++)
        (void)delta_add_cell(delta, 0, i);
    size_t with_cells = delta_size_bytes(delta);
    assert_true(with_cells >= empty + CELLS * sizeof(struct delta_cell));
    delta->sketch_bytes = 5000;
    assert_int_equal(delta_size_bytes(delta), with_cells + 5000);
    delta_free(delta);
}

static void it_copies_keys_and_listeners_and_owns_sketches(void **state)
{
    (void)state;
    struct delta *delta = delta_new();
    char key[] = "key";
    char listener[] = "statsd udp:127.0.0.1:8125";
    struct ledger counts = {.received = 3, .stored = 3};
    assert_int_equal(delta_add_series(delta, (struct series_hash){1, 2}, str_of(key)), 0);
    assert_int_equal(delta_add_series(delta, (struct series_hash){3, 4}, STR_EMPTY), 1);
    struct delta_cell *cell = delta_add_cell(delta, 1, 29000000);
    cell->cell.distinct = distinct_new();
    distinct_add(cell->cell.distinct, STR("Ann"));
    delta_add_ledger(delta, str_of(listener), &counts);
    memset(key, 'x', sizeof key);
    memset(listener, 'x', sizeof listener);

    assert_false(delta_is_empty(delta));
    assert_true(str_is(delta->series[0].key, "key"));
    assert_int_equal(delta->series[0].hash.high, 1);
    assert_int_equal(delta->series[1].key.len, 0);
    assert_int_equal(delta->cells[0].series, 1);
    assert_int_equal(delta->cells[0].minute, 29000000);
    assert_int_equal(delta->cells[0].cell.aggregate.count, 0);
    assert_null(delta->cells[0].changes);
    assert_true(str_is(delta->ledgers[0].listener, "statsd udp:127.0.0.1:8125"));
    assert_int_equal(delta->ledgers[0].counts.received, 3);
    delta_free(delta);
}

static void it_knows_which_listener_brought_a_series(void **state)
{
    (void)state;
    static const char *const listeners[] = {"",       "statsd", "statsd", "influx",
                                            "statsd", "",       "influx"};
    struct delta *delta = delta_new();
    assert_int_equal(delta_listener_of(delta, 0).len, 0);
    for (size_t i = 0; i < TEST_COUNT(listeners); i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%s", listeners[i]);
        delta_set_listener(delta, STR("overwritten"));
        delta_set_listener(delta, str_of(name));
        memset(name, 'x', sizeof name);
        (void)delta_add_series(delta, (struct series_hash){i, i}, STR("key"));
        (void)delta_add_series(delta, (struct series_hash){i, i}, STR_EMPTY);
    }
    for (size_t i = 0; i < TEST_COUNT(listeners); i++) {
        assert_true(str_is(delta_listener_of(delta, 2 * i), listeners[i]));
        assert_true(str_is(delta_listener_of(delta, 2 * i + 1), listeners[i]));
    }
    delta_free(delta);
}

static void it_grows(void **state)
{
    (void)state;
    struct delta *delta = delta_new();
    struct ledger counts = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        char key[16];
        int len = snprintf(key, sizeof key, "%u", i);
        assert_int_equal(
            delta_add_series(delta, (struct series_hash){i, i}, (struct str){key, (size_t)len}), i);
        delta_add_cell(delta, i, i);
        delta_add_ledger(delta, STR("l"), &counts);
    }
    assert_int_equal(delta->series_count, 1000);
    assert_int_equal(delta->cell_count, 1000);
    assert_int_equal(delta->ledger_count, 1000);
    assert_true(str_is(delta->series[77].key, "77"));
    assert_int_equal(delta->cells[999].minute, 999);
    delta_free(delta);
}

/* S7: changes from a level give what the same levels would have given. */
static void changes_resolve_to_the_levels_they_mean(void **state)
{
    (void)state;
    static const double changes[] = {-50, -50, 200, 7, -107};
    static const double bases[] = {0, 10, -1000, 0.5};
    for (size_t b = 0; b < TEST_COUNT(bases); b++) {
        struct gauge_changes kept = {0};
        struct aggregate expected = AGGREGATE_EMPTY;
        double level = bases[b];
        for (size_t i = 0; i < TEST_COUNT(changes); i++) {
            level += changes[i];
            assert_true(gauge_changes_add(&kept, changes[i], 1000 + (wall_ms)i, 50 + i));
            aggregate_add(&expected, level, WEIGHT_ONE, 1000 + (wall_ms)i, 50 + i);
        }
        struct aggregate resolved = gauge_changes_resolve(&kept, bases[b]);
        assert_memory_equal(&resolved, &expected, sizeof resolved);
    }
}

/* Two gd:-50 of a gauge that was never seen are -100. */
static void two_changes_of_an_unknown_gauge_start_at_zero(void **state)
{
    (void)state;
    struct gauge_changes changes = {0};
    assert_true(gauge_changes_add(&changes, -50, 1, 1));
    assert_true(gauge_changes_add(&changes, -50, 2, 2));
    struct aggregate resolved = gauge_changes_resolve(&changes, 0);
    assert_true(resolved.last == -100);
    assert_true(resolved.first == -50);
    assert_true(aggregate_count(&resolved) == 2);
}

static void no_changes_resolve_to_nothing(void **state)
{
    (void)state;
    struct gauge_changes changes = {0};
    assert_int_equal(gauge_changes_resolve(&changes, 42).count, 0);
}

static void changes_past_the_largest_number_are_refused(void **state)
{
    (void)state;
    struct gauge_changes changes = {0};
    assert_true(gauge_changes_add(&changes, DBL_MAX / 4, 1, 1));
    struct gauge_changes before = changes;
    assert_false(gauge_changes_add(&changes, DBL_MAX, 2, 2));
    assert_memory_equal(&changes, &before, sizeof changes);
    struct aggregate resolved = gauge_changes_resolve(&changes, DBL_MAX);
    assert_true(isfinite(resolved.last) && isfinite(resolved.sum));
}

static void an_older_stamp_does_not_move_the_last_change_back(void **state)
{
    (void)state;
    struct gauge_changes changes = {0};
    assert_true(gauge_changes_add(&changes, 1, 2000, 1));
    assert_true(gauge_changes_add(&changes, 1, 1000, 2));
    assert_int_equal(changes.last_at, 2000);
    assert_int_equal(changes.last_arrival, 2);
    assert_true(changes.total == 2);
}

static void expect_same_levels(const struct aggregate *found, const struct aggregate *expected)
{
    assert_int_equal(found->count, expected->count);
    assert_true(aggregate_sum(found) == aggregate_sum(expected));
    assert_true(found->min == expected->min);
    assert_true(found->max == expected->max);
    assert_true(found->first == expected->first);
    assert_true(found->last == expected->last);
    assert_int_equal(found->last_at, expected->last_at);
}

/* Against each change applied to the level, whatever the level was before: also below the floor. */
static void a_floor_holds_after_each_change_whatever_level_they_start_from(void **state)
{
    uint64_t random = 7;
    (void)state;

    for (int round = 0; round < 500; round++) {
        const struct metric_definition metric = {.has_floor = true,
                                                 .floor = (double)random_below(&random, 20) - 10};
        double changes[40];
        size_t count = 1 + random_below(&random, TEST_COUNT(changes));
        struct gauge_changes kept = {0};
        for (size_t i = 0; i < count; i++) {
            changes[i] = (double)random_below(&random, 30) - 15;
            gauge_changes_begin(&kept, &metric);
            assert_true(gauge_changes_add(&kept, changes[i], 1000 + (wall_ms)i, 50 + i));
        }
        for (double base = -60; base <= 200; base += 13) {
            struct aggregate expected = AGGREGATE_EMPTY;
            double level = base;
            for (size_t i = 0; i < count; i++) {
                level = metric_level(&metric, level + changes[i]);
                aggregate_add(&expected, level, WEIGHT_ONE, 1000 + (wall_ms)i, 50 + i);
            }
            struct aggregate resolved = gauge_changes_resolve(&kept, base);
            expect_same_levels(&resolved, &expected);
        }
        gauge_changes_fini(&kept);
    }
}

static void changes_without_a_floor_own_nothing(void **state)
{
    static const struct metric_definition none = {.floor = 5};
    struct gauge_changes changes = {0};
    (void)state;

    gauge_changes_begin(&changes, NULL);
    gauge_changes_begin(&changes, &none);
    assert_true(gauge_changes_add(&changes, -50, 1, 1));
    assert_int_equal(gauge_changes_size_bytes(&changes), 0);
    assert_true(gauge_changes_resolve(&changes, 0).last == -50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_delta_is_empty),
        cmocka_unit_test(it_copies_keys_and_listeners_and_owns_sketches),
        cmocka_unit_test(it_is_waited_for_when_its_end_is_an_answer),
        cmocka_unit_test(its_size_follows_what_it_holds),
        cmocka_unit_test(it_knows_which_listener_brought_a_series),
        cmocka_unit_test(it_grows),
        cmocka_unit_test(changes_resolve_to_the_levels_they_mean),
        cmocka_unit_test(two_changes_of_an_unknown_gauge_start_at_zero),
        cmocka_unit_test(no_changes_resolve_to_nothing),
        cmocka_unit_test(changes_past_the_largest_number_are_refused),
        cmocka_unit_test(an_older_stamp_does_not_move_the_last_change_back),
        cmocka_unit_test(a_floor_holds_after_each_change_whatever_level_they_start_from),
        cmocka_unit_test(changes_without_a_floor_own_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
