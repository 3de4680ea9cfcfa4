/* Commits that fail, rules of zones that change, calendars that come later. */
#include <errno.h>

#include "upkeep_world.h"

/* As if a day of the first calendar had been an hour longer and the next one shorter, with more
 * days behind them. Returns the calendar's number. */
static uint32_t move_midnight(struct world *world, size_t day)
{
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    struct days days = {.kept = INT64_MIN};

    assert_true(write_txn_begin(world->fixture.store, NULL, &txn, &err));
    uint32_t number = parts_calendar(&txn.reader, str_of(ZONES[0]));
    assert_true(parts_days(&txn.reader, &(const struct day_range){number, INT64_MIN, INT64_MAX},
                           keep_day, &days, &err));
    assert_true(days.count > day + 5);
    days.bounds[day].to += 4;
    days.bounds[day + 1].from += 4;
    assert_true(parts_add_day(&txn, number, &days.bounds[day], &err));
    assert_true(parts_add_day(&txn, number, &days.bounds[day + 1], &err));
    number_commit(&txn);
    return number;
}

static void expect_all_built(struct world *world)
{
    (void)settle(world);
    check_levels(world);
    expect_days_tile(world);
    world_close(world);
}

static void a_day_of_other_bounds_is_built_anew(void **state)
{
    struct world world;
    (void)state;

    world_open(&world, "2025-10-02", 7);
    simulate(&world, 150, 24 * 60);
    (void)settle(&world);
    (void)move_midnight(&world, 3);
    new_upkeep(&world);
    expect_all_built(&world);
}

/* The cells of the day are taken out of the middle of a partition. */
static void a_day_of_other_bounds_among_combined_ones_is_built_anew(void **state)
{
    struct world world;
    (void)state;

    world_open(&world, "2025-10-02", 8);
    for (size_t i = 0; i < 80; i++) {
        struct bag cells = {0};
        add_cell(&world, &cells, 1, minute_now(&world) - 1);
        write_run(&world, &cells);
        pass_time(&world, MS_PER_DAY);
        (void)settle(&world);
    }
    uint32_t number = move_midnight(&world, 20);
    assert_true(count_partitions(&world, LEVEL_DAY, number) < 40);
    new_upkeep(&world);
    expect_all_built(&world);
}

static void calendars_that_come_later_get_their_days(void **state)
{
    struct world world;
    (void)state;

    world_open(&world, "2025-10-20", 8);
    world.options.calendar_count = 1;
    world.options.keep.quarter = 4 * (span_ms)MS_PER_DAY;
    new_upkeep(&world);
    simulate(&world, 100, 24 * 60);
    (void)settle(&world);
    struct upkeep_options more = world.options;
    more.calendar_count = CALENDARS;
    upkeep_set_options(world.upkeep, &more);
    expect_all_built(&world);
}

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

static size_t commits_until_failure; /* 0: none fails */
static bool failure_holds;           /* it has worked, though it says no */

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
    if (commits_until_failure == 0 || --commits_until_failure > 0)
        return __real_mdb_txn_commit(txn);
    if (failure_holds)
        (void)__real_mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    return EIO;
}

static void a_commit_that_fails_costs_only_the_work(void **state)
{
    struct world world;
    (void)state;

    world_open(&world, "2025-10-20", 9);
    for (size_t round = 0; round < 84; round++) {
        struct error err = ERROR_EMPTY;
        bool more = true;
        pass_time(&world, (span_ms)below(&world, 120) * MS_PER_MINUTE);
        commit_some(&world, 24 * 60);
        cut_steps(&world);
        commits_until_failure = 1 + below(&world, 20);
        failure_holds = below(&world, 2) == 0;
        for (size_t i = 0; i < 30 && more; i++) {
            if (!upkeep_step(world.upkeep, &world.clock, &more, &err))
                more = true;
        }
        commits_until_failure = 0;
        if (round % 12 == 11)
            check_levels(&world);
    }
    (void)settle(&world);
    check_levels(&world);
    expect_days_tile(&world);
    assert_int_equal(entries_of(&world, DATABASE_GARBAGE), 0);
    world_close(&world);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_day_of_other_bounds_is_built_anew),
    cmocka_unit_test(a_day_of_other_bounds_among_combined_ones_is_built_anew),
    cmocka_unit_test(calendars_that_come_later_get_their_days),
    cmocka_unit_test(a_commit_that_fails_costs_only_the_work),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
