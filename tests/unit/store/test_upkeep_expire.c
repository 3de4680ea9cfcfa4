/* What goes, what must not go yet, and what nobody may touch while the clock is suspect. */
#include "store/annotation.h"
#include "store/catalog.h"
#include "upkeep_world.h"

static void nothing_is_closed_while_the_clock_is_suspect(void **state)
{
    struct world world;
    (void)state;

    world_open(&world, "2025-10-24", 1);
    world.options.keep.minute = MS_PER_DAY;
    run_evenly(&world, 2 * QUARTERS_PER_DAY);
    int64_t closed = mark_of(&world, MARK_CLOSED);
    int64_t kept = mark_of(&world, MARK_KEPT_MINUTE);
    assert_int_not_equal(kept, INT64_MIN);
    world.clock.suspect = true;
    pass_time(&world, 10 * (span_ms)MS_PER_DAY);
    commit_some(&world, 60);
    (void)settle(&world);
    assert_int_equal(mark_of(&world, MARK_CLOSED), closed);
    assert_int_equal(mark_of(&world, MARK_KEPT_MINUTE), kept);
    world.clock.suspect = false;
    (void)settle(&world);
    assert_true(mark_of(&world, MARK_CLOSED) > closed);
    assert_true(mark_of(&world, MARK_KEPT_MINUTE) > kept);
    check_levels(&world);
    world_close(&world);
}

static void what_is_kept_no_longer_goes(void **state)
{
    struct world world;
    (void)state;

    world_open(&world, "2025-10-02", 5);
    world.options.keep = (struct retention){.minute = 2 * (span_ms)MS_PER_DAY,
                                            .quarter = 9 * (span_ms)MS_PER_DAY,
                                            .day = 40 * (span_ms)MS_PER_DAY};
    simulate(&world, 520, 4 * 24 * 60);
    (void)settle(&world);
    check_levels(&world);
    int64_t kept = mark_of(&world, MARK_KEPT_MINUTE);
    assert_in_range(minute_now(&world) - kept, 2 * 24 * 60, 2 * 24 * 60 + 480);
    assert_int_equal(oldest_of(&world, LEVEL_MINUTE, 0) >= kept, 1);
    /* A week's partition goes when all of it has. */
    kept = mark_of(&world, MARK_KEPT_QUARTER);
    assert_true(oldest_of(&world, LEVEL_QUARTER, 0) > kept - QUARTERS_PER_WEEK);
    kept = mark_of(&world, MARK_KEPT_DAY);
    assert_int_not_equal(kept, INT64_MIN);
    for (uint32_t calendar = 1; calendar <= CALENDARS; calendar++)
        assert_true(oldest_of(&world, LEVEL_DAY, calendar) >
                    kept / QUARTERS_PER_DAY - DAYS_PER_WINDOW - 2);
    world_close(&world);
}

static size_t annotations_of(struct world *world)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_txn_begin(world->fixture.store, &err);
    MDB_stat facts;

    assert_int_equal(
        mdb_stat(txn->txn, world->fixture.store->databases[DATABASE_ANNOTATIONS], &facts), 0);
    read_txn_end(txn);
    return facts.ms_entries;
}

static void annotations_go_when_their_days_do(void **state)
{
    enum { COUNT = 600 }; /* more than a step takes */
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    struct world world;
    (void)state;

    world_open(&world, "2025-10-24", 1);
    run_evenly(&world, QUARTERS_PER_DAY);
    assert_true(write_txn_begin(world.fixture.store, NULL, &txn, &err));
    for (int i = 0; i < COUNT; i++) {
        wall_ms now = minute_now(&world) * MS_PER_MINUTE;
        const struct annotation note = {.at = i < 5 ? now : now - 3 * (wall_ms)MS_PER_DAY - i,
                                        .title = STR("t")};
        assert_true(annotations_add(&txn, &note, 1, &err));
    }
    assert_true(write_txn_commit(&txn, &err));
    run_evenly(&world, QUARTERS_PER_DAY / 8);
    (void)settle(&world);
    assert_int_equal(annotations_of(&world), COUNT); /* days are kept for ever */
    world.options.keep.day = 2 * (span_ms)MS_PER_DAY;
    new_upkeep(&world);
    (void)settle(&world);
    assert_int_equal(annotations_of(&world), 5);
    world_close(&world);
}

/* Minutes go when their quarters are there, and quarters when their days are. */
static void nothing_goes_before_the_coarser_level_has_it(void **state)
{
    struct world world;
    (void)state;

    world_open(&world, "2025-10-24", 1);
    world.options.keep.minute = MS_PER_MINUTE;
    world.options.keep.quarter = MS_PER_MINUTE;
    run_evenly(&world, 4 * QUARTERS_PER_DAY);
    check_levels(&world);
    expect_days_tile(&world);
    int64_t quartered = mark_of(&world, MARK_QUARTERED);
    assert_int_equal(mark_of(&world, MARK_KEPT_MINUTE), quartered * MINUTES_PER_QUARTER);
    assert_in_range(quartered - mark_of(&world, MARK_KEPT_QUARTER), 0, 2 * QUARTERS_PER_DAY);
    world_close(&world);
}

static uint32_t make_series(struct world *world, const char *metric)
{
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    struct catalog_series found;
    struct catalog *catalog = catalog_new();
    struct delta *delta = delta_new();

    (void)add_series(delta, METRIC_COUNTER, metric, "");
    const struct catalog_batch batch = {
        .series = delta->series, .count = 1, .now = world->clock.mark};
    assert_true(write_txn_begin(world->fixture.store, NULL, &txn, &err));
    assert_true(catalog_resolve_all(catalog, &txn, &batch, &found, &err));
    number_commit(&txn);
    delta_free(delta);
    catalog_free(catalog);
    return found.id;
}

/* The oldest minute of the level at which a series has a cell; INT64_MAX: none. */
static int64_t oldest_cell(struct world *world, uint32_t id)
{
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct partition *partitions = NULL;
    size_t count = 0;
    int64_t oldest = INT64_MAX;
    struct read_txn *txn = read_begin(&world->fixture);

    assert_true(
        parts_partitions(txn, &(const struct bucket_range){LEVEL_MINUTE, 0, INT64_MIN, INT64_MAX},
                         &arena, &partitions, &count, &err));
    for (size_t i = 0; i < count; i++) {
        struct partition_cursor cursor;
        struct block_points points;
        assert_true(partition_cursor_init(&cursor, txn, &partitions[i], &err));
        assert_true(partition_cursor_seek(&cursor, id, &err));
        if (cursor.id == id) {
            assert_true(
                partition_cursor_points(&cursor, INT64_MIN, INT64_MAX, &arena, &points, &err));
            if (points.points[0].bucket < oldest)
                oldest = points.points[0].bucket;
        }
        partition_cursor_fini(&cursor);
    }
    read_txn_end(txn);
    arena_fini(&arena);
    return oldest;
}

static void metrics_are_kept_for_less_or_longer_by_their_rules(void **state)
{
    static const struct retention_rule rules[] = {
        {"short", {.minute = MS_PER_DAY, .quarter = MS_PER_DAY, .day = 0}},
        {"long", {.minute = 6 * (span_ms)MS_PER_DAY, .quarter = 0, .day = 0}},
    };
    struct world world;
    struct bag late = {0};
    (void)state;

    world_open(&world, "2025-10-02", 6);
    world.options.keep.minute = 3 * (span_ms)MS_PER_DAY;
    world.options.rules = rules;
    world.options.rule_count = 2;
    new_upkeep(&world);
    assert_int_equal(make_series(&world, "short"), 1);
    assert_int_equal(make_series(&world, "rest"), 2);
    assert_int_equal(make_series(&world, "long"), 3);
    run_evenly(&world, 8 * QUARTERS_PER_DAY);
    /* Late ones of a time that only "long" still has. */
    int64_t minute = minute_now(&world) - 4 * 24 * 60;
    for (uint32_t id = 1; id <= 3; id++)
        add_cell(&world, &late, id, minute);
    write_run(&world, &late);
    pass_time(&world, QUARTER_MS);
    int64_t oldest = oldest_cell(&world, 2);
    while (step(&world))
        assert_true(oldest_cell(&world, 2) >= oldest);

    static const int64_t days[] = {1, 3, 6};
    for (uint32_t id = 1; id <= 3; id++) {
        int64_t age = minute_now(&world) - oldest_cell(&world, id);
        assert_in_range(age, days[id - 1] * 24 * 60 - 60, days[id - 1] * 24 * 60 + 480);
    }
    world_close(&world);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(nothing_is_closed_while_the_clock_is_suspect),
    cmocka_unit_test(what_is_kept_no_longer_goes),
    cmocka_unit_test(annotations_go_when_their_days_do),
    cmocka_unit_test(nothing_goes_before_the_coarser_level_has_it),
    cmocka_unit_test(metrics_are_kept_for_less_or_longer_by_their_rules),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
