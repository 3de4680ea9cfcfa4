/* What is said to have changed since a commit (design 4.11): every cell that came later, and
 * nothing that was only written anew. */
#include "upkeep_world.h"

enum { COMMITS_MAX = 400, SPANS_MAX = 4096 };

/* Every cell that came, with the commit it came in. */
struct change {
    uint32_t id;
    int64_t minute;
    uint64_t commit;
};

struct log {
    struct change *changes;
    size_t count, capacity;
    uint64_t commits[COMMITS_MAX];
    size_t commit_count;
};

static uint64_t newest_commit(struct world *world)
{
    return commit_number(&world->fixture);
}

/* Some cells, as commit_some, and a note of each. */
static void commit_and_note(struct world *world, struct log *log, int64_t late)
{
    size_t before = world->model.count;

    commit_some(world, late);
    uint64_t commit = newest_commit(world);
    for (size_t i = before; i < world->model.count; i++) {
        const struct item *item = &world->model.items[i];
        if (log->count == log->capacity) {
            log->capacity = log->capacity == 0 ? 64 : 2 * log->capacity;
            log->changes = memory_grow(log->changes, log->capacity, sizeof *log->changes);
        }
        log->changes[log->count++] = (struct change){item->id, item->bucket, commit};
    }
    assert_true(log->commit_count < COMMITS_MAX);
    log->commits[log->commit_count++] = commit;
}

struct spans {
    struct {
        wall_ms from, to;
    } items[SPANS_MAX];
    size_t count;
};

static bool keep_span(wall_ms from, wall_ms to, void *arg)
{
    struct spans *spans = arg;
    assert_true(spans->count < SPANS_MAX);
    assert_true(spans->count == 0 || spans->items[spans->count - 1].to < from);
    spans->items[spans->count].from = from;
    spans->items[spans->count++].to = to;
    return true;
}

static void read_changes(struct world *world, uint32_t id, uint64_t since, struct spans *out)
{
    struct error err = ERROR_EMPTY;
    const struct query_series series = {.id = id};
    const struct query_changes changes = {&series, 1, since, 0, 0};
    struct read_txn *txn = read_begin(&world->fixture);

    out->count = 0;
    if (!query_changed(txn, &changes, keep_span, out, &err))
        fail_msg("%s", err.text);
    read_txn_end(txn);
}

static bool covers(const struct spans *spans, int64_t minute)
{
    wall_ms at = minute * MS_PER_MINUTE;

    for (size_t i = 0; i < spans->count; i++) {
        if (at >= spans->items[i].from && at < spans->items[i].to)
            return true;
    }
    return false;
}

static bool note_day(const struct day_bounds *day, void *arg)
{
    (void)day;
    *(bool *)arg = true;
    return false;
}

/* Whether some level keeps what is measured in a minute. */
static bool is_kept(struct world *world, int64_t minute)
{
    struct error err = ERROR_EMPTY;
    int64_t quarter = quarter_of_minute(minute);
    struct read_txn *txn = read_begin(&world->fixture);
    bool found = quarter >= parts_mark(txn, MARK_KEPT_QUARTER);

    if (!found)
        assert_true(parts_days(txn, &(const struct day_range){1, quarter, quarter + 1}, note_day,
                               &found, &err));
    read_txn_end(txn);
    return found;
}

/* For every series, since some commit or just before it. */
static void expect_none_missed(struct world *world, const struct log *log, struct spans *spans)
{
    uint64_t since = log->commits[below(world, log->commit_count)] - below(world, 2);

    for (uint32_t id = 1; id <= SERIES_MAX; id++) {
        read_changes(world, id, since, spans);
        for (size_t i = 0; i < log->count; i++) {
            const struct change *change = &log->changes[i];
            if (change->id == id && change->commit > since && !covers(spans, change->minute) &&
                is_kept(world, change->minute))
                fail_msg("series %u: minute %lld of commit %llu is not said to have changed since "
                         "%llu",
                         id, (long long)change->minute, (unsigned long long)change->commit,
                         (unsigned long long)since);
        }
    }
}

/* Nothing came since the commit, whatever was done meanwhile. */
static void expect_none(struct world *world, uint64_t since, struct spans *spans)
{
    for (uint32_t id = 1; id <= SERIES_MAX; id++) {
        read_changes(world, id, since, spans);
        if (spans->count > 0)
            fail_msg("series %u is said to have changed since %llu from minute %lld on", id,
                     (unsigned long long)since, (long long)minute_of(spans->items[0].from));
    }
}

static void no_change_is_missed_and_what_is_written_anew_is_none(void **state)
{
    struct spans *spans = memory_zero(1, sizeof *spans);
    struct log log = {.count = 0};
    struct world world;
    (void)state;

    world_open(&world, "2025-10-24", 11);
    world.options.calendar_count = 2;
    new_upkeep(&world);
    for (size_t round = 0; round < 120; round++) {
        pass_time(&world, (span_ms)below(&world, round % 4 == 0 ? 480 : 8) * MS_PER_MINUTE);
        commit_and_note(&world, &log, 2 * 24 * 60);
        uint64_t since = newest_commit(&world);
        cut_steps(&world);
        for (size_t i = below(&world, 200); i > 0 && step(&world); i--) {
            if (i % 16 == 0)
                expect_none(&world, since, spans);
        }
        expect_none(&world, since, spans);
        expect_none_missed(&world, &log, spans);
    }
    uint64_t since = newest_commit(&world);
    pass_time(&world, 3 * (span_ms)MS_PER_DAY);
    world.upkeep->step_points = SIZE_MAX;
    world.upkeep->step_bytes = UPKEEP_STEP_BYTES;
    (void)settle(&world);
    struct upkeep_counts counts;
    upkeep_counts(world.upkeep, &counts);
    assert_true(counts.tiers > 5 && counts.folds > 5);
    assert_true(counts.combines > 10 && counts.days > 0);
    expect_none(&world, since, spans);
    expect_none_missed(&world, &log, spans);
    free(log.changes);
    free(spans);
    world_close(&world);
}

/* Also what is said by coarser levels alone, when the finer ones are gone. */
static void no_change_is_missed_when_levels_are_dropped(void **state)
{
    struct spans *spans = memory_zero(1, sizeof *spans);
    struct log log = {.count = 0};
    struct world world;
    (void)state;

    world_open(&world, "2025-10-10", 12);
    world.options.calendar_count = 1;
    world.options.keep.minute = 2 * (span_ms)MS_PER_DAY;
    world.options.keep.quarter = 5 * (span_ms)MS_PER_DAY;
    new_upkeep(&world);
    for (size_t round = 0; round < 140; round++) {
        pass_time(&world, (span_ms)below(&world, 240) * MS_PER_MINUTE);
        commit_and_note(&world, &log, 7 * 24 * 60);
        uint64_t since = newest_commit(&world);
        for (size_t i = below(&world, 60); i > 0 && step(&world); i--) {
        }
        expect_none(&world, since, spans);
        expect_none_missed(&world, &log, spans);
    }
    (void)settle(&world);
    assert_int_not_equal(mark_of(&world, MARK_KEPT_QUARTER), INT64_MIN);
    free(log.changes);
    free(spans);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_change_is_missed_and_what_is_written_anew_is_none),
        cmocka_unit_test(no_change_is_missed_when_levels_are_dropped),
    };
    return cmocka_run_group_tests_name("versions", tests, NULL, NULL);
}
