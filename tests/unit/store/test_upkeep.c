/* What the background work makes of runs, in the end and on the way. */
#include "store/verify.h"
#include "upkeep_world.h"

static void every_level_always_says_the_same(void **state)
{
    static const struct {
        const char *start;
        uint64_t seed;
        size_t rounds;
    } cases[] = {
        {"2025-10-02", 1, 170}, /* Lord Howe, Berlin and New York change */
        {"2011-12-26", 2, 70},  /* Apia has no 30th of December */
        {"1969-12-20", 3, 100}, /* numbers turn from negative to positive */
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct world world;
        world_open(&world, cases[i].start, cases[i].seed);
        simulate(&world, cases[i].rounds, 3 * 24 * 60);
        (void)settle(&world);
        check_levels(&world);
        expect_days_tile(&world);
        assert_int_equal(entries_of(&world, DATABASE_GARBAGE), 0);
        world_close(&world);
    }
}

static void steady_data_ends_in_one_partition_a_window(void **state)
{
    struct world world;
    (void)state;

    world_open(&world, "2025-10-24T02:00", 1);
    run_evenly(&world, 4 * QUARTERS_PER_DAY);
    check_levels(&world);
    expect_days_tile(&world);
    int64_t closed = mark_of(&world, MARK_CLOSED);
    assert_int_equal(closed, floor_to(minute_now(&world) - 2, MINUTES_PER_QUARTER));
    assert_int_equal(mark_of(&world, MARK_QUARTERED),
                     floor_to(closed, MINUTES_PER_WINDOW) / MINUTES_PER_QUARTER);
    /* 24 or 25 windows, of the open one at most 4 hours and 4 quarters */
    size_t partitions = count_partitions(&world, LEVEL_MINUTE, 0);
    assert_in_range(partitions, 24, 33);
    assert_in_range(entries_of(&world, DATABASE_RUNS), 0, 4);
    assert_in_range(count_partitions(&world, LEVEL_QUARTER, 0), 2, 26);
    assert_int_equal(entries_of(&world, DATABASE_GARBAGE), 0);
    struct upkeep_counts counts;
    upkeep_counts(world.upkeep, &counts);
    assert_int_equal(counts.folds, 4 * QUARTERS_PER_DAY);
    world_close(&world);
}

static void weeks_and_windows_of_days_become_one_partition(void **state)
{
    struct world world;
    (void)state;

    world_open(&world, "2025-10-24", 1);
    for (size_t i = 0; i < 70; i++) {
        commit_some(&world, 60);
        pass_time(&world, MS_PER_DAY);
        (void)settle(&world);
    }
    check_levels(&world);
    /* 70 days are 10 weeks, and 2 windows of days and what is open around them */
    assert_in_range(count_partitions(&world, LEVEL_QUARTER, 0), 10, 20);
    for (uint32_t calendar = 1; calendar <= CALENDARS; calendar++)
        assert_in_range(count_partitions(&world, LEVEL_DAY, calendar), 3, 40);
    world_close(&world);
}

static void a_late_sample_reaches_every_level_at_once(void **state)
{
    struct world world;
    struct bag cells = {0};
    (void)state;

    world_open(&world, "2025-10-24", 1);
    run_evenly(&world, 3 * QUARTERS_PER_DAY);
    add_cell(&world, &cells, 2, minute_now(&world) - 40 * 60);
    write_run(&world, &cells);
    check_levels(&world);
    pass_time(&world, QUARTER_MS);
    world.upkeep->step_bytes = 1;
    while (step(&world))
        check_levels(&world);
    check_levels(&world);
    world_close(&world);
}

/* Every hour of a window gets another late sample: the list must not grow with each. */
static void many_late_samples_leave_few_partitions(void **state)
{
    struct world world;
    (void)state;

    world_open(&world, "2025-10-24", 1);
    run_evenly(&world, 2 * QUARTERS_PER_DAY);
    int64_t minute = minute_now(&world) - 30 * 60;
    for (size_t i = 0; i < 60; i++) {
        struct bag cells = {0};
        add_cell(&world, &cells, 1 + (uint32_t)i % 3, minute + (int64_t)i % 7 * 40);
        write_run(&world, &cells);
        pass_time(&world, QUARTER_MS);
        (void)settle(&world);
    }
    check_levels(&world);
    assert_in_range(count_partitions(&world, LEVEL_MINUTE, 0), 12, 40);
    assert_in_range(count_partitions(&world, LEVEL_QUARTER, 0), 12, 40);
    world_close(&world);
}

static void an_import_of_older_days_ends_like_live_data(void **state)
{
    struct world world;
    struct bag cells = {0};
    (void)state;

    world_open(&world, "2025-11-20", 1);
    run_evenly(&world, 2 * QUARTERS_PER_DAY);
    for (int64_t day = 1; day <= 45; day++) {
        add_cell(&world, &cells, 1, minute_now(&world) - day * 24 * 60);
        if (day % 5 == 0)
            write_run(&world, &cells);
    }
    pass_time(&world, QUARTER_MS);
    world.upkeep->step_bytes = 300;
    (void)settle(&world);
    check_levels(&world);
    expect_days_tile(&world);
    world_close(&world);
}

static bool note_day(const struct day_bounds *day, void *arg)
{
    (void)day;
    *(bool *)arg = true;
    return true;
}

/* Whether the day of a minute has its row. */
static bool is_in_day(struct world *world, size_t calendar, int64_t minute)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_begin(&world->fixture);
    int64_t quarter = quarter_of_minute(minute);
    bool found = false;

    assert_true(parts_days(txn,
                           &(const struct day_range){parts_calendar(txn, str_of(ZONES[calendar])),
                                                     quarter, quarter + 1},
                           note_day, &found, &err));
    read_txn_end(txn);
    return found;
}

/* The cells of these worlds are of no series. */
static void fail_finding(const struct verify_finding *finding, void *arg)
{
    (void)arg;
    if (strstr(finding->text, "not in the catalogue") == NULL)
        fail_msg("%s %s: %s", finding->what, finding->where, finding->text);
}

static void expect_verified(struct world *world)
{
    struct error err = ERROR_EMPTY;
    struct verify_counts counts;
    const struct verify_options options = {.on_finding = fail_finding};

    assert_true(verify_store(world->fixture.store, &options, &counts, &err));
}

/* Live data that has lost its oldest quarters already. */
static void open_old_world(struct world *world, size_t calendars)
{
    world_open(world, "2025-11-20", 1);
    world->options.calendar_count = calendars;
    world->options.keep = (struct retention){.minute = MS_PER_DAY, .quarter = 3 * MS_PER_DAY};
    new_upkeep(world);
    run_evenly(world, 6 * QUARTERS_PER_DAY);
    assert_true(mark_of(world, MARK_KEPT_QUARTER) * MINUTES_PER_QUARTER >
                minute_now(world) - 4 * 24 * 60);
}

static void history_from_before_all_quarters_reaches_its_days(void **state)
{
    struct world world;
    int64_t minutes[400];
    size_t count = 0;
    (void)state;

    open_old_world(&world, CALENDARS);
    for (int round = 0; round < 8; round++) {
        struct bag cells = {0};
        for (int i = 0; i < 50; i++) {
            minutes[count] =
                minute_now(&world) - 2 * 24 * 60 - (int64_t)below(&world, 30 * 24 * 60);
            add_cell(&world, &cells, 1 + (uint32_t)below(&world, SERIES_MAX), minutes[count++]);
        }
        write_run(&world, &cells);
        pass_time(&world, QUARTER_MS);
        cut_steps(&world);
        (void)settle(&world);
        if (round % 3 == 1)
            new_upkeep(&world);
        check_levels(&world);
        expect_verified(&world);
    }
    for (size_t calendar = 0; calendar < CALENDARS; calendar++) {
        for (size_t i = 0; i < count; i++)
            assert_true(is_in_day(&world, calendar, minutes[i]));
    }
    pass_time(&world, 5 * MS_PER_DAY);
    (void)settle(&world);
    check_levels(&world);
    expect_verified(&world);
    world_close(&world);
}

/* Its days would lack what the others' days have. */
static void a_calendar_that_came_late_gets_no_days_before_it(void **state)
{
    struct world world;
    struct bag cells = {0};
    (void)state;

    open_old_world(&world, 2);
    world.options.calendar_count = 3;
    new_upkeep(&world);
    (void)settle(&world);
    int64_t minute = minute_now(&world) - 5 * 24 * 60;
    add_cell(&world, &cells, 2, minute);
    add_cell(&world, &cells, 2, minute - 20 * 24 * 60);
    write_run(&world, &cells);
    pass_time(&world, QUARTER_MS);
    (void)settle(&world);
    check_levels(&world);
    for (size_t calendar = 0; calendar < 3; calendar++) {
        assert_int_equal(is_in_day(&world, calendar, minute), calendar < 2);
        assert_int_equal(is_in_day(&world, calendar, minute - 20 * 24 * 60), calendar < 2);
    }
    /* The same of one that nobody wanted when history came. */
    world.options.calendar_count = 1;
    new_upkeep(&world);
    for (int round = 0; round < 2; round++) {
        add_cell(&world, &cells, 2, minute - 30 * 24 * 60);
        write_run(&world, &cells);
        pass_time(&world, QUARTER_MS);
        (void)settle(&world);
        assert_true(is_in_day(&world, 0, minute - 30 * 24 * 60));
        assert_false(is_in_day(&world, 1, minute - 30 * 24 * 60));
        check_levels(&world);
        world.options.calendar_count = 2;
        new_upkeep(&world);
    }
    expect_verified(&world);
    world_close(&world);
}

/* So that the last transaction of each stays small. */
static void an_import_of_many_windows_takes_several_folds(void **state)
{
    enum { WINDOWS = 530 };
    struct world world;
    struct bag cells = {0};
    struct upkeep_counts counts;
    (void)state;

    world_open(&world, "2025-11-20", 1);
    world.options.calendar_count = 1;
    new_upkeep(&world);
    for (int64_t i = 1; i <= WINDOWS; i++)
        add_cell(&world, &cells, 3, minute_now(&world) - i * MINUTES_PER_WINDOW);
    write_run(&world, &cells);
    (void)settle(&world);
    upkeep_counts(world.upkeep, &counts);
    assert_int_equal(counts.folds, 2);
    assert_int_equal(mark_of(&world, MARK_CLOSED),
                     floor_to(minute_now(&world) - 2, MINUTES_PER_QUARTER));
    check_levels(&world);
    assert_int_equal(count_partitions(&world, LEVEL_MINUTE, 0), WINDOWS);
    world_close(&world);
}

/* What an import leaves does not wait for the quarter to close. */
static void many_late_cells_are_folded_when_nothing_comes_any_more(void **state)
{
    struct world world;
    struct upkeep_counts counts;
    (void)state;

    world_open(&world, "2025-11-20T10:00", 1);
    world.upkeep->quiet_cells = 3;
    run_evenly(&world, 8);
    pass_time(&world, 3 * MS_PER_MINUTE); /* and the next quarter closes much later */
    (void)settle(&world);
    upkeep_counts(world.upkeep, &counts);
    uint64_t folds = counts.folds;
    for (uint32_t i = 1; i <= 4; i++) {
        struct bag cells = {0};
        add_cell(&world, &cells, i, minute_now(&world) - 20 * 60);
        write_run(&world, &cells);
        pass_time(&world, MS_PER_MINUTE / 2);
        (void)settle(&world);
    }
    upkeep_counts(world.upkeep, &counts);
    assert_int_equal(counts.folds, folds);
    pass_time(&world, MS_PER_MINUTE - 1);
    (void)settle(&world);
    upkeep_counts(world.upkeep, &counts);
    assert_int_equal(counts.folds, folds);
    pass_time(&world, 1);
    (void)settle(&world);
    upkeep_counts(world.upkeep, &counts);
    assert_int_equal(counts.folds, folds + 1);
    check_levels(&world);
    world_close(&world);
}

static void a_quarter_without_cells_only_moves_the_marks(void **state)
{
    struct world world;
    (void)state;

    world_open(&world, "2025-10-24", 1);
    commit_some(&world, 60);
    for (size_t i = 0; i < 3 * QUARTERS_PER_DAY; i++) {
        pass_time(&world, QUARTER_MS);
        (void)settle(&world);
    }
    struct upkeep_counts counts;
    upkeep_counts(world.upkeep, &counts);
    assert_in_range(counts.folds, 1, 2);
    assert_int_equal(mark_of(&world, MARK_CLOSED),
                     floor_to(minute_now(&world) - 2, MINUTES_PER_QUARTER));
    check_levels(&world);
    expect_days_tile(&world);
    world_close(&world);
}

static void steps_end_within_their_bytes(void **state)
{
    enum { SERIES = 1500, LIMIT = 16 * 1024, SLACK = 4096 };
    struct world world;
    struct bag cells = {0};
    (void)state;

    world_open(&world, "2025-10-20", 10);
    for (size_t i = 0; i < 2; i++) {
        for (uint32_t id = 1; id <= SERIES; id++) {
            struct cell cell = CELL_EMPTY;
            wall_ms at = (minute_now(&world) - (int64_t)(id + i) % 40) * MS_PER_MINUTE;
            aggregate_add(&cell.aggregate, id, WEIGHT_ONE, at, id);
            (void)bag_add(&cells, id, minute_of(at), &cell);
            (void)bag_add(&world.model, id, minute_of(at), &cell);
        }
        write_run(&world, &cells);
    }
    world.upkeep->step_bytes = LIMIT;
    pass_time(&world, 3 * (span_ms)MS_PER_DAY);
    size_t steps = settle(&world);
    struct upkeep_counts counts;
    upkeep_counts(world.upkeep, &counts);
    assert_int_equal(counts.steps, steps);
    assert_in_range(counts.largest_step_bytes, LIMIT / 2, LIMIT + SLACK);
    assert_in_range(steps, 10, 400);
    check_levels(&world);
    world_close(&world);
}

/* Numbers of calendars are never given again: with none left the further zones have no days, and
 * all else goes on, also retention, which waits for days that are to come. */
static void a_calendar_without_a_number_is_waited_for_by_nobody(void **state)
{
    struct world world;
    struct write_txn txn;
    struct error err = ERROR_EMPTY;
    struct schema_key zone = schema_name_key(STR("Zone/Last"));
    uint32_t number = 0;
    (void)state;

    world_open(&world, "2025-11-20", 1);
    world.options.calendar_count = 1;
    new_upkeep(&world);
    run_evenly(&world, QUARTERS_PER_DAY);
    assert_true(write_txn_begin(world.fixture.store, NULL, &txn, &err));
    assert_true(
        store_put(&txn, DATABASE_CALENDARS, store_key(&zone), STR("\xff\xff\0\0"), 0, &err));
    assert_false(parts_add_calendar(&txn, str_of(ZONES[1]), &number, &err));
    assert_int_equal(err.kind, ERROR_FULL);
    assert_true(parts_add_calendar(&txn, str_of(ZONES[0]), &number, &err));
    assert_int_equal(number, 1);
    number_commit(&txn);

    world.options.calendar_count = CALENDARS;
    world.options.keep = (struct retention){.minute = MS_PER_DAY, .quarter = 2 * MS_PER_DAY};
    new_upkeep(&world);
    run_evenly(&world, 4 * QUARTERS_PER_DAY);
    struct read_txn *reader = read_begin(&world.fixture);
    assert_int_equal(parts_calendar(reader, str_of(ZONES[1])), 0);
    read_txn_end(reader);
    assert_true(is_in_day(&world, 0, minute_now(&world) - 2 * 24 * 60));
    assert_true(mark_of(&world, MARK_KEPT_QUARTER) * MINUTES_PER_QUARTER >
                minute_now(&world) - 3 * 24 * 60);
    world_close(&world);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_level_always_says_the_same),
    cmocka_unit_test(steady_data_ends_in_one_partition_a_window),
    cmocka_unit_test(weeks_and_windows_of_days_become_one_partition),
    cmocka_unit_test(a_late_sample_reaches_every_level_at_once),
    cmocka_unit_test(many_late_samples_leave_few_partitions),
    cmocka_unit_test(an_import_of_older_days_ends_like_live_data),
    cmocka_unit_test(history_from_before_all_quarters_reaches_its_days),
    cmocka_unit_test(a_calendar_that_came_late_gets_no_days_before_it),
    cmocka_unit_test(a_calendar_without_a_number_is_waited_for_by_nobody),
    cmocka_unit_test(an_import_of_many_windows_takes_several_folds),
    cmocka_unit_test(many_late_cells_are_folded_when_nothing_comes_any_more),
    cmocka_unit_test(a_quarter_without_cells_only_moves_the_marks),
    cmocka_unit_test(steps_end_within_their_bytes),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
