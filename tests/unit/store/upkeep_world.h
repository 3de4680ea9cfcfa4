/* A store that is filled with random cells in random commits, some of them late, with the
 * background work between them in steps of any length and dropped at any place; a model of what
 * every level has to say at any time. */
#pragma once

#include "fixture.h"
#include "series/bounded_test.h"
#include "store/upkeep_private.h"

enum {
    SERIES_MAX = 12,
    CALENDARS = 5,
    PLACES_MAX = 64,
    RUN_MAX = 200,
    STEPS_MAX = 100 * 1000,
};

#define QUARTER_MS ((wall_ms)MINUTES_PER_QUARTER * MS_PER_MINUTE)

static const char *const ZONES[CALENDARS] = {
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"};

/* --- a bag of cells: the model, or what a level says --- */

struct item {
    uint32_t id;
    int64_t bucket;
    struct cell cell;
};

struct bag {
    struct item *items;
    size_t count, capacity;
};

static inline struct item *bag_add(struct bag *bag, uint32_t id, int64_t bucket,
                                   const struct cell *cell)
{
    if (bag->count == bag->capacity) {
        bag->capacity = bag->capacity == 0 ? 64 : 2 * bag->capacity;
        bag->items = memory_grow(bag->items, bag->capacity, sizeof *bag->items);
    }
    struct item *item = &bag->items[bag->count++];
    *item = (struct item){id, bucket, CELL_EMPTY};
    cell_merge(&item->cell, cell);
    return item;
}

static inline void bag_fini(struct bag *bag)
{
    for (size_t i = 0; i < bag->count; i++)
        cell_fini(&bag->items[i].cell);
    free(bag->items);
    *bag = (struct bag){0};
}

static inline int compare_items(const void *a, const void *b)
{
    const struct item *left = a;
    const struct item *right = b;
    if (left->id != right->id)
        return left->id < right->id ? -1 : 1;
    return left->bucket < right->bucket ? -1 : left->bucket > right->bucket;
}

static inline void bag_merge(struct bag *bag)
{
    size_t kept = 0;

    if (bag->count > 0)
        qsort(bag->items, bag->count, sizeof *bag->items, compare_items);
    for (size_t i = 0; i < bag->count; i++) {
        struct item *item = &bag->items[i];
        if (kept > 0 && compare_items(&bag->items[kept - 1], item) == 0) {
            cell_merge(&bag->items[kept - 1].cell, &item->cell);
            cell_fini(&item->cell);
            continue;
        }
        bag->items[kept++] = *item;
    }
    bag->count = kept;
}

/* Arrivals are dropped on the way. */
static inline bool same_cells(struct cell *a, struct cell *b)
{
    struct buf left = BUF_EMPTY;
    struct buf right = BUF_EMPTY;

    a->aggregate.first_arrival = a->aggregate.last_arrival = 0;
    b->aggregate.first_arrival = b->aggregate.last_arrival = 0;
    cell_encode(a, &left);
    cell_encode(b, &right);
    bool same = str_equal(buf_view(&left), buf_view(&right));
    buf_fini(&left);
    buf_fini(&right);
    return same;
}

static inline void expect_same_bags(struct bag *found, struct bag *expected, const char *what)
{
    bag_merge(found);
    bag_merge(expected);
    for (size_t i = 0; i < found->count && i < expected->count; i++) {
        struct item *a = &found->items[i];
        struct item *b = &expected->items[i];
        if (compare_items(a, b) != 0)
            fail_msg("%s: series %u bucket %lld is there, not series %u bucket %lld", what, a->id,
                     (long long)a->bucket, b->id, (long long)b->bucket);
        if (!same_cells(&a->cell, &b->cell))
            fail_msg("%s: series %u bucket %lld is another: count %g, not %g", what, a->id,
                     (long long)a->bucket, aggregate_count(&a->cell.aggregate),
                     aggregate_count(&b->cell.aggregate));
    }
    if (found->count != expected->count)
        fail_msg("%s: %zu cells, not %zu", what, found->count, expected->count);
    bag_fini(found);
    bag_fini(expected);
}

/* --- the world --- */

struct world {
    struct fixture fixture;
    struct calendar *calendars[CALENDARS];
    struct upkeep_options options;
    struct upkeep *upkeep;
    struct guard clock;
    struct bag model; /* by minute */
    uint64_t random;
    uint64_t samples;
    uint64_t limit_bytes;
};

/* xorshift64*: the same on every machine. */
static inline uint64_t below(struct world *world, uint64_t limit)
{
    world->random ^= world->random >> 12;
    world->random ^= world->random << 25;
    world->random ^= world->random >> 27;
    return (world->random * UINT64_C(2685821657736338717) >> 33) % limit;
}

static inline void new_upkeep(struct world *world)
{
    upkeep_free(world->upkeep);
    world->upkeep = upkeep_new(world->fixture.store, &world->options);
}

static inline void world_open(struct world *world, const char *start, uint64_t seed)
{
    struct error err = ERROR_EMPTY;
    wall_ms at = 0;

    *world = (struct world){.random = seed, .fixture.max_size = BIG_SIZE};
    make_directory(world->fixture.path);
    fixture_open(&world->fixture);
    (void)mdb_env_set_flags(world->fixture.store->env, MDB_NOSYNC, 1); /* it is about order only */
    for (size_t i = 0; i < CALENDARS; i++) {
        world->calendars[i] = calendar_new(str_of(ZONES[i]), 1, &err);
        assert_non_null(world->calendars[i]);
    }
    assert_true(calendar_parse(world->calendars[0], str_of(start), false, &at));
    world->clock = (struct guard){.mark = at, .keep_mark = at};
    world->options =
        (struct upkeep_options){.calendars = (const struct calendar *const *)world->calendars,
                                .calendar_count = CALENDARS,
                                .fanout = 3};
    new_upkeep(world);
}

static inline void world_close(struct world *world)
{
    upkeep_free(world->upkeep);
    fixture_close(&world->fixture);
    remove_directory(world->fixture.path);
    for (size_t i = 0; i < CALENDARS; i++)
        calendar_free(world->calendars[i]);
    bag_fini(&world->model);
}

static inline void pass_time(struct world *world, span_ms span)
{
    world->clock.mark += span;
    world->clock.keep_mark += span;
}

static inline int64_t minute_now(const struct world *world)
{
    return minute_of(world->clock.mark);
}

/* A cell of one minute: counters, distributions and uniques, by id. */
static inline void make_cell(struct world *world, uint32_t id, int64_t minute, struct cell *out)
{
    size_t samples = 1 + below(world, 3);

    *out = (struct cell)CELL_EMPTY;
    for (size_t i = 0; i < samples; i++) {
        double value = (double)below(world, 1000);
        uint64_t arrival = ++world->samples;
        wall_ms at = minute * MS_PER_MINUTE + (wall_ms)(arrival % MS_PER_MINUTE);
        if (id % 4 == 1)
            cell_add_value(out, value, WEIGHT_ONE, at, arrival);
        else if (id % 8 == 3)
            add_between(out, &world->random, at, arrival);
        else
            aggregate_add(&out->aggregate, value, WEIGHT_ONE, at, arrival);
        if (id % 4 == 2 && out->distinct == NULL)
            out->distinct = distinct_new();
        if (id % 4 == 2)
            distinct_add(out->distinct, (struct str){(const char *)&world->random, 8});
    }
}

static inline int compare_places(const void *a, const void *b)
{
    const struct item *left = a;
    const struct item *right = b;
    return chunk_order(left->id, left->bucket, right->id, right->bucket);
}

static inline void number_commit(struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    assert_true(meta_put(txn, "commit", store_commit_number(&txn->reader) + 1, &err));
    assert_true(write_txn_commit(txn, &err));
}

/* What a commit does: one run of tier 0. */
static inline void write_run(struct world *world, struct bag *cells)
{
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    struct run_writer writer;

    bag_merge(cells);
    qsort(cells->items, cells->count, sizeof *cells->items, compare_places);
    assert_true(write_txn_begin(world->fixture.store, NULL, &txn, &err));
    run_writer_init(&writer, 0, store_commit_number(&txn.reader) + 1);
    for (size_t i = 0; i < cells->count; i++) {
        const struct item *item = &cells->items[i];
        assert_true(run_writer_add(&writer, &txn, item->id, item->bucket, &item->cell, &err));
    }
    assert_true(run_writer_flush(&writer, &txn, &err));
    writer.run.version = writer.run.number;
    assert_true(parts_add_run(&txn, &writer.run, &err));
    run_writer_fini(&writer);
    number_commit(&txn);
    bag_fini(cells);
}

static inline void add_cell(struct world *world, struct bag *cells, uint32_t id, int64_t minute)
{
    struct cell cell;

    make_cell(world, id, minute, &cell);
    (void)bag_add(cells, id, minute, &cell);
    (void)bag_add(&world->model, id, minute, &cell);
    cell_fini(&cell);
}

/* Some cells of the last minutes and a few of up to `late` minutes ago. */
static inline void commit_some(struct world *world, int64_t late)
{
    struct bag cells = {0};
    size_t count = 1 + below(world, 12);

    for (size_t i = 0; i < count; i++) {
        uint64_t age = below(world, 8) == 0 ? below(world, (uint64_t)late) : below(world, 30);
        add_cell(world, &cells, 1 + (uint32_t)below(world, SERIES_MAX),
                 minute_now(world) - (int64_t)age);
    }
    write_run(world, &cells);
}

static inline bool step(struct world *world)
{
    struct error err = ERROR_EMPTY;
    bool more = false;
    if (!upkeep_step(world->upkeep, &world->clock, &more, &err))
        fail_msg("%s", err.text);
    return more;
}

static inline size_t settle(struct world *world)
{
    size_t steps = 0;
    while (step(world))
        assert_true(++steps < STEPS_MAX);
    return steps;
}

/* --- what the levels say --- */

struct days {
    struct day_bounds bounds[512];
    size_t count;
    int64_t kept;
};

static inline bool keep_day(const struct day_bounds *day, void *arg)
{
    struct days *days = arg;
    if (day->from < days->kept)
        return true;
    assert_true(days->count < sizeof days->bounds / sizeof *days->bounds);
    days->bounds[days->count++] = *day;
    return true;
}

struct view {
    const struct read_txn *txn;
    enum level level;
    uint32_t calendar;
    int64_t from, to; /* of the level's buckets; not for days */
    struct days days;
};

static inline bool bucket_in(const struct view *view, int64_t minute, int64_t *out)
{
    int64_t quarter = quarter_of_minute(minute);

    *out = view->level == LEVEL_MINUTE ? minute : quarter;
    if (view->level != LEVEL_DAY)
        return *out >= view->from && *out < view->to;
    for (size_t i = 0; i < view->days.count; i++) {
        if (quarter >= view->days.bounds[i].from && quarter < view->days.bounds[i].to) {
            *out = view->days.bounds[i].day;
            return true;
        }
    }
    return false;
}

static inline bool is_shown(const struct view *view, int64_t bucket)
{
    if (view->level != LEVEL_DAY)
        return bucket >= view->from;
    for (size_t i = 0; i < view->days.count; i++) {
        if (view->days.bounds[i].day == bucket)
            return true;
    }
    return false;
}

static inline void add_partition(const struct view *view, const struct partition *partition,
                                 struct bag *out)
{
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct partition_cursor cursor;
    uint64_t points_seen = 0;
    uint64_t series_seen = 0;

    assert_true(partition_cursor_init(&cursor, view->txn, partition, &err));
    assert_true(partition_cursor_seek(&cursor, 0, &err));
    while (cursor.id != 0) {
        struct block_points points;
        assert_true(partition_cursor_points(&cursor, INT64_MIN, INT64_MAX, &arena, &points, &err));
        for (size_t i = 0; i < points.count; i++) {
            struct cell cell;
            assert_true(partition_cell_of(&points.points[i], &cell));
            if (is_shown(view, points.points[i].bucket))
                (void)bag_add(out, cursor.id, points.points[i].bucket, &cell);
            cell_fini(&cell);
        }
        points_seen += points.count;
        series_seen++;
        assert_true(partition_cursor_next(&cursor, &err));
        arena_reset(&arena);
    }
    assert_int_equal(points_seen, partition->points);
    assert_int_equal(series_seen, partition->series);
    partition_cursor_fini(&cursor);
    arena_fini(&arena);
}

static inline void add_runs(const struct view *view, struct bag *out)
{
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct run *runs = NULL;
    size_t count = 0;

    assert_true(parts_runs(view->txn, &arena, &runs, &count, &err));
    for (size_t i = 0; i < count; i++) {
        struct run_cursor cursor;
        int64_t bucket = 0;
        assert_true(run_cursor_init(&cursor, view->txn, &runs[i], &err));
        assert_true(run_cursor_first(&cursor, &err));
        while (cursor.has_cell) {
            if (bucket_in(view, cursor.cell.minute, &bucket))
                (void)bag_add(out, cursor.cell.id, bucket, &cursor.cell.cell);
            assert_true(run_cursor_next(&cursor, &err));
        }
        run_cursor_fini(&cursor);
    }
    arena_fini(&arena);
}

/* Inside a window of its level, and not twice in the list. */
static inline void check_place(const struct partition *partition)
{
    static const int64_t widths[LEVEL_COUNT] = {MINUTES_PER_WINDOW, QUARTERS_PER_WEEK,
                                                DAYS_PER_WINDOW};
    int64_t width = widths[partition->level];
    assert_true(partition->from < partition->to);
    assert_true(partition->series > 0);
    assert_int_equal(floor_to(partition->from, width), floor_to(partition->to - 1, width));
}

static inline void check_view(struct world *world, const struct view *view, const char *what)
{
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct partition *partitions = NULL;
    size_t count = 0;
    struct bag found = {0};
    struct bag expected = {0};

    assert_true(parts_partitions(
        view->txn, &(const struct bucket_range){view->level, view->calendar, INT64_MIN, INT64_MAX},
        &arena, &partitions, &count, &err));
    for (size_t i = 0; i < count; i++) {
        check_place(&partitions[i]);
        add_partition(view, &partitions[i], &found);
    }
    add_runs(view, &found);
    for (size_t i = 0; i < world->model.count; i++) {
        const struct item *item = &world->model.items[i];
        int64_t bucket = 0;
        if (bucket_in(view, item->bucket, &bucket))
            (void)bag_add(&expected, item->id, bucket, &item->cell);
    }
    expect_same_bags(&found, &expected, what);
    arena_fini(&arena);
}

static inline void check_days(struct world *world, const struct read_txn *txn)
{
    struct error err = ERROR_EMPTY;
    struct view view = {.txn = txn, .level = LEVEL_DAY};

    for (size_t i = 0; i < CALENDARS; i++) {
        view.calendar = parts_calendar(txn, str_of(ZONES[i]));
        view.days.count = 0;
        view.days.kept = parts_mark(txn, MARK_KEPT_DAY);
        if (view.calendar == 0)
            continue;
        assert_true(parts_days(txn, &(const struct day_range){view.calendar, INT64_MIN, INT64_MAX},
                               keep_day, &view.days, &err));
        for (size_t j = 1; j < view.days.count; j++)
            assert_true(view.days.bounds[j].from >= view.days.bounds[j - 1].to);
        check_view(world, &view, ZONES[i]);
    }
}

static inline void check_levels(struct world *world)
{
    struct read_txn *txn = read_begin(&world->fixture);
    const struct view minutes = {.txn = txn,
                                 .level = LEVEL_MINUTE,
                                 .from = parts_mark(txn, MARK_KEPT_MINUTE),
                                 .to = INT64_MAX};
    const struct view quarters = {.txn = txn,
                                  .level = LEVEL_QUARTER,
                                  .from = parts_mark(txn, MARK_KEPT_QUARTER),
                                  .to = parts_mark(txn, MARK_QUARTERED)};

    bag_merge(&world->model);
    check_view(world, &minutes, "minutes");
    check_view(world, &quarters, "quarters");
    check_days(world, txn);
    read_txn_end(txn);
}

static inline size_t count_partitions(struct world *world, enum level level, uint32_t calendar)
{
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct partition *partitions = NULL;
    size_t count = 0;
    struct read_txn *txn = read_begin(&world->fixture);

    assert_true(
        parts_partitions(txn, &(const struct bucket_range){level, calendar, INT64_MIN, INT64_MAX},
                         &arena, &partitions, &count, &err));
    read_txn_end(txn);
    arena_fini(&arena);
    return count;
}

static inline int64_t oldest_of(struct world *world, enum level level, uint32_t calendar)
{
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct partition *partitions = NULL;
    size_t count = 0;
    struct read_txn *txn = read_begin(&world->fixture);

    assert_true(
        parts_partitions(txn, &(const struct bucket_range){level, calendar, INT64_MIN, INT64_MAX},
                         &arena, &partitions, &count, &err));
    int64_t oldest = count == 0 ? INT64_MAX : partitions[0].from;
    read_txn_end(txn);
    arena_fini(&arena);
    return oldest;
}

static inline int64_t mark_of(struct world *world, enum mark mark)
{
    struct read_txn *txn = read_begin(&world->fixture);
    int64_t value = parts_mark(txn, mark);
    read_txn_end(txn);
    return value;
}

static inline size_t entries_of(struct world *world, enum database database)
{
    MDB_stat facts;
    struct read_txn *txn = read_begin(&world->fixture);
    assert_int_equal(mdb_stat(txn->txn, world->fixture.store->databases[database], &facts), 0);
    read_txn_end(txn);
    return facts.ms_entries;
}

/* --- time passes --- */

/* To between one cell and all that there is. */
static inline void cut_steps(struct world *world)
{
    world->upkeep->step_bytes = 1 + below(world, 6) * below(world, 600);
    world->upkeep->step_points = 1 + below(world, 4) * below(world, 60);
}

static inline void simulate(struct world *world, size_t rounds, int64_t late)
{
    for (size_t round = 0; round < rounds; round++) {
        pass_time(world, (span_ms)below(world, 240) * MS_PER_MINUTE);
        commit_some(world, late);
        cut_steps(world);
        for (size_t i = below(world, 40); i > 0 && step(world); i--) {
        }
        if (below(world, 25) == 0)
            new_upkeep(world);
        if (round % 24 == 23)
            check_levels(world);
    }
}

static inline void expect_days_tile(struct world *world)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_begin(&world->fixture);
    int64_t quartered = parts_mark(txn, MARK_QUARTERED);
    int64_t kept = parts_mark(txn, MARK_KEPT_QUARTER);
    int64_t oldest = oldest_of(world, LEVEL_QUARTER, 0);

    for (size_t i = 0; i < CALENDARS; i++) {
        struct days days = {.kept = INT64_MIN};
        uint32_t number = parts_calendar(txn, str_of(ZONES[i]));
        assert_int_not_equal(number, 0);
        assert_true(parts_days(txn, &(const struct day_range){number, INT64_MIN, INT64_MAX},
                               keep_day, &days, &err));
        assert_true(days.count > 0);
        assert_true(days.bounds[0].from <= oldest ||
                    days.bounds[0].from < kept + 2 * QUARTERS_PER_DAY);
        for (size_t j = 0; j < days.count; j++) {
            const struct day_bounds *day = &days.bounds[j];
            struct period period =
                calendar_period(world->calendars[i], PERIOD_DAY, day->from * QUARTER_MS);
            assert_int_equal(period.from, day->from * QUARTER_MS);
            assert_int_equal(period.to, day->to * QUARTER_MS);
            if (j > 0)
                assert_int_equal(day->from, days.bounds[j - 1].to);
        }
        struct period next = calendar_period(world->calendars[i], PERIOD_DAY,
                                             days.bounds[days.count - 1].to * QUARTER_MS);
        assert_true(next.to > quartered * QUARTER_MS);
    }
    read_txn_end(txn);
}

/* In steps of a quarter of an hour, all done in between. */
static inline void run_evenly(struct world *world, size_t quarters)
{
    for (size_t i = 0; i < quarters; i++) {
        struct bag cells = {0};
        for (uint32_t id = 1; id <= 3; id++) {
            for (int64_t age = 1; age <= MINUTES_PER_QUARTER; age += 5)
                add_cell(world, &cells, id, minute_now(world) - age);
        }
        write_run(world, &cells);
        pass_time(world, QUARTER_MS);
        (void)settle(world);
    }
}
