/* What verify says of a store that nobody broke, at rest and while it changes. */
#include "verify_world.h"

static void what_the_background_work_leaves_is_sound(void **state)
{
    struct world world;
    struct heard heard = {.count = 0};
    struct verify_counts counts;
    (void)state;

    open_world(&world, "2025-10-22", 3);
    for (int i = 0; i < 5; i++) {
        simulate(&world, 11, 2 * 24 * 60);
        (void)verify_now(world.fixture.store, &heard, 0);
        expect_sound(&heard);
    }
    (void)settle(&world);
    commit_some(&world, 600);
    counts = verify_now(world.fixture.store, &heard, 0);
    expect_sound(&heard);
    assert_int_equal(counts.findings, 0);
    assert_int_equal(counts.series, SERIES_MAX);
    assert_true(counts.runs > 0 && counts.chunks >= counts.runs && counts.cells >= counts.chunks);
    assert_true(counts.partitions > 20 && counts.points > 300);
    assert_true(counts.blocks > counts.partitions && counts.compared > 300);
    assert_int_equal(counts.days, entries_of(&world, DATABASE_DAY_BOUNDS));
    assert_int_equal(counts.ledgers, 1);
    assert_int_equal(counts.identities, 2);

    /* The same, when every transaction reads a row. */
    struct heard slow = {.count = 0};
    const struct verify_counts again = verify_now(world.fixture.store, &slow, 1);
    expect_sound(&slow);
    assert_memory_equal(&again, &counts, sizeof counts);
    assert_true(slow.pauses > counts.blocks + counts.chunks);
    world_close(&world);
}

static void what_retention_has_taken_is_not_missing(void **state)
{
    static const struct retention_rule rules[] = {
        {"metric_1", {.minute = MS_PER_DAY, .quarter = 2 * (span_ms)MS_PER_DAY, .day = 0}},
        {"metric_2", {.minute = 6 * (span_ms)MS_PER_DAY, .quarter = 0, .day = 0}},
    };
    struct world world;
    struct heard heard = {.count = 0};
    (void)state;

    open_world(&world, "2025-10-22", 4);
    world.options.keep = (struct retention){.minute = 2 * (span_ms)MS_PER_DAY,
                                            .quarter = 4 * (span_ms)MS_PER_DAY,
                                            .day = 6 * (span_ms)MS_PER_DAY};
    world.options.rules = rules;
    world.options.rule_count = 2;
    new_upkeep(&world);
    for (int i = 0; i < 120; i++) {
        pass_time(&world, 2 * MS_PER_HOUR);
        commit_some(&world, 3 * 24 * 60);
        for (size_t steps = below(&world, 30); steps > 0 && step(&world); steps--) {
        }
        if (i % 8 != 7)
            continue;
        (void)verify_now(world.fixture.store, &heard, 0);
        expect_sound(&heard);
    }
    assert_int_not_equal(mark_of(&world, MARK_KEPT_DAY), INT64_MIN);
    world_close(&world);
}

static void what_is_replaced_meanwhile_is_not_wrong(void **state)
{
    struct world world;
    struct heard heard = {.world = &world};
    (void)state;

    open_world(&world, "2025-10-24", 5);
    simulate(&world, 20, 24 * 60);
    world.upkeep->step_bytes = 400;
    (void)verify_now(world.fixture.store, &heard, 7);
    expect_sound(&heard);
    assert_true(heard.pauses > 50);
    world_close(&world);
}

static void it_can_be_stopped(void **state)
{
    struct world world;
    struct heard heard = {.stop_after = 3};
    struct verify_counts counts;
    struct error err = ERROR_EMPTY;
    const struct verify_options options = {.on_progress = pause_here, .arg = &heard};
    (void)state;

    open_world(&world, "2025-10-24", 6);
    assert_false(verify_store(world.fixture.store, &options, &counts, &err));
    assert_int_equal(err.kind, ERROR_UNAVAILABLE);
    assert_int_equal(heard.pauses, 3);
    world_close(&world);
}

static void more_findings_than_are_wanted_are_counted(void **state)
{
    struct world world;
    struct write_txn txn;
    struct heard heard = {.count = 0};
    struct verify_counts counts;
    struct error err = ERROR_EMPTY;
    const struct verify_options options = {.told_max = 3, .on_finding = hear, .arg = &heard};
    (void)state;

    open_world(&world, "2025-10-24", 8);
    begin_writing(world.fixture.store, &txn);
    for (uint64_t number = 1; number <= 20; number++) {
        struct schema_key key = SCHEMA_KEY_EMPTY;
        schema_put_u64(&key, number);
        put_row(&txn, DATABASE_RUN, &key, STR_EMPTY);
    }
    number_commit(&txn);
    assert_true(verify_store(world.fixture.store, &options, &counts, &err));
    assert_int_equal(counts.findings, 20);
    assert_int_equal(heard.count, 3);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_background_work_leaves_is_sound),
        cmocka_unit_test(what_retention_has_taken_is_not_missing),
        cmocka_unit_test(what_is_replaced_meanwhile_is_not_wrong),
        cmocka_unit_test(it_can_be_stopped),
        cmocka_unit_test(more_findings_than_are_wanted_are_counted),
    };
    return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
