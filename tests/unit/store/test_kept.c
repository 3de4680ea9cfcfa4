/* Metrics that are kept for less or for longer than the rest: what a query says is what was
 * measured, or it says that something is missing, at every moment and whatever rules are changed.
 */
#include "store/catalog.h"
#include "store/export.h"
#include "store/kept.h"
#include "upkeep_world.h"
#include "verify_world.h"

enum { METRICS = 3, STEPS_SHOWN = 64 };

static const char *const METRIC_NAMES[METRICS] = {"short", "rest", "long"};

#define DAYS(n) ((n) * (span_ms)MS_PER_DAY)

/* Series 1, 4, 7, ... are of "short", 2, 5, ... of "rest", 3, 6, ... of "long". */
static struct query_series all_series[SERIES_MAX];

static const char *metric_of(uint32_t id)
{
    return METRIC_NAMES[(id - 1) % METRICS];
}

static void make_all_series(struct world *world, struct arena *arena)
{
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    struct catalog_series found[SERIES_MAX];
    struct catalog *catalog = catalog_new();
    struct delta *delta = delta_new();

    for (uint32_t id = 1; id <= SERIES_MAX; id++) {
        char label[16];
        (void)snprintf(label, sizeof label, "n=%u", id);
        (void)add_series(delta, METRIC_COUNTER, metric_of(id), label);
    }
    const struct catalog_batch batch = {
        .series = delta->series, .count = SERIES_MAX, .now = world->clock.mark};
    assert_true(write_txn_begin(world->fixture.store, NULL, &txn, &err));
    assert_true(catalog_resolve_all(catalog, &txn, &batch, found, &err));
    (void)catalog_end_group(catalog);
    for (uint32_t id = 1; id <= SERIES_MAX; id++) {
        assert_int_equal(found[id - 1].id, id);
        all_series[id - 1] = (struct query_series){id, arena_str(arena, delta->series[id - 1].key)};
    }
    number_commit(&txn);
    delta_free(delta);
    catalog_free(catalog);
}

/* --- what a query should say --- */

struct asked {
    const struct query *query;
    struct cell found[STEPS_SHOWN];
};

static bool take_cell(size_t series, wall_ms from, const struct cell *cell, void *arg)
{
    struct asked *asked = arg;
    size_t step =
        asked->query->step == 0 ? 0 : (size_t)((from - asked->query->from) / asked->query->step);
    (void)series;
    assert_true(step < STEPS_SHOWN);
    cell_merge(&asked->found[step], cell);
    return true;
}

static bool is_asked(const struct query *query, uint32_t id)
{
    for (size_t i = 0; i < query->series_count; i++) {
        if (query->series[i].id == id)
            return true;
    }
    return false;
}

static void expect_cells(struct world *world, const struct query *query, struct asked *asked)
{
    for (size_t i = 0; i < world->model.count; i++) {
        const struct item *item = &world->model.items[i];
        wall_ms at = item->bucket * MS_PER_MINUTE;
        if (at < query->from || at >= query->to || !is_asked(query, item->id))
            continue;
        size_t step = query->step == 0 ? 0 : (size_t)((at - query->from) / query->step);
        cell_merge(&asked->found[step], &item->cell);
    }
}

/* Whether what is kept is enough: at the edges that are no quarters minutes are needed. */
static bool is_enough(const struct read_txn *txn, const struct query *query, struct arena *arena)
{
    int64_t from = minute_of(query->from);
    int64_t to = minute_of(query->to);
    bool is_whole = from % MINUTES_PER_QUARTER == 0 && query->step % QUARTER_MS == 0;

    for (size_t i = 0; i < query->series_count; i++) {
        struct error err = ERROR_EMPTY;
        struct kept kept;
        assert_true(
            kept_of_metric(txn, str_of(metric_of(query->series[i].id)), arena, &kept, &err));
        bool has_quarters = is_whole && quarter_of_minute(from) >= kept.from[LEVEL_QUARTER] &&
                            (to % MINUTES_PER_QUARTER == 0 || to > kept.from[LEVEL_MINUTE]);
        if (from < kept.from[LEVEL_MINUTE] && !has_quarters)
            return false;
    }
    return true;
}

static unsigned complete_seen, part_seen;

static void check_query(struct world *world, struct read_txn *txn, const struct query *query)
{
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;
    struct asked found = {.query = query};
    struct asked expected = {.query = query};

    if (!query_cells(txn, query, take_cell, &found, &coverage, &err))
        fail_msg("%s", err.text);
    expect_cells(world, query, &expected);
    for (size_t i = 0; i < STEPS_SHOWN; i++) {
        uint64_t has = found.found[i].aggregate.count;
        uint64_t had = expected.found[i].aggregate.count;
        if (coverage.complete ? !same_cells(&found.found[i], &expected.found[i]) : has > had)
            fail_msg("series %u.. of %zu, [%lld, %lld) by %lld, step %zu: count %llu of %llu, %s",
                     query->series[0].id, query->series_count, (long long)minute_of(query->from),
                     (long long)minute_of(query->to), (long long)(query->step / MS_PER_MINUTE), i,
                     (unsigned long long)has >> 16, (unsigned long long)had >> 16,
                     coverage.complete ? "complete" : "not complete");
        cell_fini(&found.found[i]);
        cell_fini(&expected.found[i]);
    }
    if (!coverage.complete && is_enough(txn, query, &arena))
        fail_msg("series %u.. of %zu, [%lld, %lld) by %lld: is not complete", query->series[0].id,
                 query->series_count, (long long)minute_of(query->from),
                 (long long)minute_of(query->to), (long long)(query->step / MS_PER_MINUTE));
    complete_seen += coverage.complete;
    part_seen += !coverage.complete;
    arena_fini(&arena);
}

/* The series of one metric, one series, or some of any: in the order of their ids or not. */
static size_t choose_series(struct world *world, struct query_series *out)
{
    uint64_t way = below(world, 4);
    uint64_t wanted = below(world, METRICS);
    size_t count = 0;

    for (uint32_t id = 1; id <= SERIES_MAX; id++) {
        bool is_of_metric = (id - 1) % METRICS == wanted;
        if (way == 3 ? below(world, 2) == 0 : is_of_metric)
            out[count++] = all_series[id - 1];
    }
    if (way == 0)
        count = 1;
    if (count == 0)
        out[count++] = all_series[wanted];
    for (size_t i = 0; way == 3 && i < count && below(world, 3) == 0; i++) {
        size_t other = below(world, count);
        struct query_series swapped = out[i];
        out[i] = out[other];
        out[other] = swapped;
    }
    return count;
}

/* Of the last fortnight, or of the last days. */
static wall_ms choose_time(struct world *world)
{
    uint64_t minutes = (below(world, 2) == 0 ? 14 : 3) * 24 * 60;
    return world->clock.mark - (wall_ms)below(world, minutes) * MS_PER_MINUTE;
}

/* Both ends at a minute, at a quarter, or at civil days of one calendar. */
static void choose_range(struct world *world, struct query *query)
{
    const struct calendar *calendar = world->calendars[below(world, CALENDARS)];
    uint64_t way = below(world, 4);
    wall_ms ends[2];

    for (size_t i = 0; i < 2; i++) {
        wall_ms at = choose_time(world);
        if (way == 0)
            ends[i] = minute_of(at) * MS_PER_MINUTE;
        else if (way == 1)
            ends[i] = quarter_of_minute(minute_of(at)) * QUARTER_MS;
        else
            ends[i] = calendar_period(calendar, PERIOD_DAY, at).from;
    }
    query->from = ends[0] < ends[1] ? ends[0] : ends[1];
    query->to = ends[0] < ends[1] ? ends[1] : ends[0];
    if (query->to == query->from)
        query->to = query->from + (1 + (wall_ms)below(world, 4000)) * MS_PER_MINUTE;
}

static void check_queries(struct world *world, size_t count)
{
    struct read_txn *txn = read_begin(&world->fixture);

    bag_merge(&world->model);
    for (size_t i = 0; i < count; i++) {
        struct query_series series[SERIES_MAX];
        struct query query = {.series = series};
        choose_range(world, &query);
        query.series_count = choose_series(world, series);
        query.merge_series = below(world, 2) == 0;
        uint64_t way = below(world, 4);
        if (way > 0) {
            query.step = way == 1 ? 7 * MS_PER_MINUTE : way == 2 ? QUARTER_MS : MS_PER_DAY;
            if (query.to > query.from + STEPS_SHOWN * query.step)
                query.to = query.from + STEPS_SHOWN * query.step;
        }
        check_query(world, txn, &query);
    }
    read_txn_end(txn);
}

/* Whatever is dropped, what came last is known. */
static void check_newest(struct world *world)
{
    struct read_txn *txn = read_begin(&world->fixture);
    struct error err = ERROR_EMPTY;
    struct level_sample found[SERIES_MAX];
    wall_ms newest[SERIES_MAX];
    wall_ms last = WALL_NONE;

    for (size_t i = 0; i < SERIES_MAX; i++)
        newest[i] = WALL_NONE;
    for (size_t i = 0; i < world->model.count; i++) {
        const struct item *item = &world->model.items[i];
        wall_ms *at = &newest[item->id - 1];
        *at = item->cell.aggregate.last_at > *at ? item->cell.aggregate.last_at : *at;
    }
    struct coverage coverage = COVERAGE_EMPTY;
    const struct query_levels query = {all_series, SERIES_MAX, world->clock.mark + MS_PER_MINUTE,
                                       WALL_NONE};
    assert_true(query_levels(txn, &query, found, &coverage, &err));
    for (size_t i = 0; i < SERIES_MAX; i++)
        assert_int_equal(found[i].at, newest[i]);
    for (size_t i = 0; i < SERIES_MAX; i += METRICS)
        last = newest[i] > last ? newest[i] : last;
    wall_ms of_metric = 0;
    assert_true(query_metric_times(txn, STR("short"), NULL, &of_metric, &coverage, &err));
    assert_int_equal(of_metric, last);
    read_txn_end(txn);
}

static const struct retention_rule RULES[] = {
    {"short", {.minute = DAYS(1), .quarter = DAYS(2), .day = 0}},
    {"long", {.minute = DAYS(5), .quarter = DAYS(9), .day = 0}},
    {"short", {.minute = DAYS(4), .quarter = 0, .day = 0}},
    {"long", {.minute = DAYS(1), .quarter = DAYS(1), .day = DAYS(8)}},
};

static void set_rules(struct world *world, size_t first, size_t count)
{
    world->options.rules = RULES + first;
    world->options.rule_count = count;
    upkeep_set_options(world->upkeep, &world->options);
}

static void live(struct world *world, size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        pass_time(world, (span_ms)(30 + below(world, 200)) * MS_PER_MINUTE);
        commit_some(world, 9 * 24 * 60);
        cut_steps(world);
        for (size_t j = below(world, 50); j > 0 && step(world); j--) {
        }
        if (below(world, 20) == 0)
            new_upkeep(world);
        check_queries(world, 4);
    }
    world->upkeep->step_bytes = UPKEEP_STEP_BYTES;
    world->upkeep->step_points = SIZE_MAX;
    (void)settle(world);
    check_queries(world, 60);
    check_newest(world);
}

/* --- what an export has --- */

struct exported {
    struct world *world;
    struct read_txn *txn;
    struct arena arena;
    size_t page_cells;
    uint64_t counts[SERIES_MAX];
    size_t cells[2]; /* minutes, quarters */
};

static uint32_t id_of(struct str key)
{
    for (uint32_t id = 1; id <= SERIES_MAX; id++) {
        if (str_equal(all_series[id - 1].key, key))
            return id;
    }
    fail_msg("an unknown series");
    return 0;
}

/* Minutes where the metric has them, else quarters; each is what was measured. */
static bool check_exported(const struct export_cell *shown, void *arg)
{
    struct exported *exported = arg;
    struct world *world = exported->world;
    uint32_t id = id_of(shown->key);
    struct error err = ERROR_EMPTY;
    struct cell expected = CELL_EMPTY;
    struct cell found = CELL_EMPTY;
    struct kept kept;

    if (exported->page_cells-- == 0)
        return false;
    assert_true(
        kept_of_metric(exported->txn, str_of(metric_of(id)), &exported->arena, &kept, &err));
    bool is_minute = minute_of(shown->from) >= kept.from[LEVEL_MINUTE];
    assert_int_equal(shown->width, is_minute ? MS_PER_MINUTE : QUARTER_MS);
    for (size_t i = 0; i < world->model.count; i++) {
        const struct item *item = &world->model.items[i];
        wall_ms at = item->bucket * MS_PER_MINUTE;
        if (item->id == id && at >= shown->from && at < shown->from + shown->width)
            cell_merge(&expected, &item->cell);
    }
    cell_merge(&found, shown->cell);
    assert_true(same_cells(&found, &expected));
    exported->counts[id - 1] += found.aggregate.count;
    exported->cells[is_minute ? 0 : 1]++;
    cell_fini(&expected);
    cell_fini(&found);
    return true;
}

static void check_export(struct world *world, struct str metric)
{
    struct exported exported = {.world = world, .txn = read_begin(&world->fixture)};
    static const struct export_sink sink = {.on_cell = check_exported};
    struct export export = {
        .range = {metric, STR_EMPTY, WALL_NONE, WALL_NONE}, .sink = &sink, .arg = &exported};
    struct error err = ERROR_EMPTY;
    uint64_t expected[SERIES_MAX] = {0};
    bool more = true;

    bag_merge(&world->model);
    while (more) {
        exported.page_cells = 1 + below(world, 40);
        if (!export_page(exported.txn, &export, &more, &err))
            fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < world->model.count; i++) {
        const struct item *item = &world->model.items[i];
        struct kept kept;
        assert_true(kept_of_metric(exported.txn, str_of(metric_of(item->id)), &exported.arena,
                                   &kept, &err));
        if ((metric.len == 0 || str_is(metric, metric_of(item->id))) &&
            quarter_of_minute(item->bucket) >= kept.from[LEVEL_QUARTER])
            expected[item->id - 1] += item->cell.aggregate.count;
    }
    for (size_t i = 0; i < SERIES_MAX; i++)
        assert_int_equal(exported.counts[i], expected[i]);
    assert_true(exported.cells[0] > 0 && exported.cells[1] > 0);
    read_txn_end(exported.txn);
    arena_fini(&exported.arena);
}

static void expect_nothing_wrong(struct world *world)
{
    struct heard heard = {.count = 0};
    (void)verify_now(world->fixture.store, &heard, 0);
    expect_sound(&heard);
}

static void open_kept_world(struct world *world, struct arena *arena, uint64_t seed)
{
    world_open(world, "2025-10-14", seed);
    make_all_series(world, arena);
    world->options.keep = (struct retention){.minute = DAYS(2), .quarter = DAYS(4), .day = 0};
    world->options.calendar_count = 2; /* the others come later */
    set_rules(world, 0, 2);
}

static void a_figure_is_right_or_says_that_it_is_not_complete(void **state)
{
    struct arena arena = ARENA_EMPTY;
    struct world world;
    (void)state;

    complete_seen = part_seen = 0;
    open_kept_world(&world, &arena, 3);
    live(&world, 100);
    expect_nothing_wrong(&world);
    world.options.calendar_count = CALENDARS;
    set_rules(&world, 0, 2);
    live(&world, 40);
    expect_nothing_wrong(&world);
    check_export(&world, STR_EMPTY);
    check_export(&world, STR("short"));
    assert_true(complete_seen > 200);
    assert_true(part_seen > 100);
    world_close(&world);
    arena_fini(&arena);
}

/* What is dropped stays dropped, what is not must not be lost. */
static void rules_may_be_changed_and_taken_away(void **state)
{
    static const size_t changes[][2] = {{0, 2}, {1, 1}, {2, 2}, {0, 0}, {1, 2}, {0, 1}, {3, 1}};
    struct arena arena = ARENA_EMPTY;
    struct world world;
    (void)state;

    open_kept_world(&world, &arena, 4);
    for (size_t i = 0; i < TEST_COUNT(changes); i++) {
        set_rules(&world, changes[i][0], changes[i][1]);
        live(&world, 24);
    }
    expect_nothing_wrong(&world);
    world_close(&world);
    arena_fini(&arena);
}

static struct kept kept_now(struct world *world, const char *metric, struct arena *arena)
{
    struct error err = ERROR_EMPTY;
    struct kept kept;
    struct read_txn *txn = read_begin(&world->fixture);

    assert_true(kept_of_metric(txn, str_of(metric), arena, &kept, &err));
    read_txn_end(txn);
    return kept;
}

static void marks_follow_the_rules_and_never_go_back(void **state)
{
    struct arena arena = ARENA_EMPTY;
    struct world world;
    (void)state;

    open_kept_world(&world, &arena, 5);
    run_evenly(&world, 4 * QUARTERS_PER_DAY);
    assert_int_not_equal(kept_now(&world, "rest", &arena).from[LEVEL_MINUTE], INT64_MIN);
    assert_true(minute_now(&world) - kept_now(&world, "long", &arena).from[LEVEL_MINUTE] >=
                5 * 1440);
    run_evenly(&world, 3 * QUARTERS_PER_DAY);
    int64_t now = minute_now(&world);
    const struct kept shorter = kept_now(&world, "short", &arena);
    const struct kept rest = kept_now(&world, "rest", &arena);
    const struct kept longer = kept_now(&world, "long", &arena);
    assert_in_range(now - shorter.from[LEVEL_MINUTE], 1440, 1440 + 480);
    assert_in_range(now - rest.from[LEVEL_MINUTE], 2 * 1440, 2 * 1440 + 480);
    assert_in_range(now - longer.from[LEVEL_MINUTE], 5 * 1440, 5 * 1440 + 480);
    assert_int_equal(entries_of(&world, DATABASE_KEPT), 2);

    set_rules(&world, 0, 0);
    (void)settle(&world);
    assert_int_equal(kept_now(&world, "short", &arena).from[LEVEL_MINUTE],
                     shorter.from[LEVEL_MINUTE]);
    assert_int_equal(kept_now(&world, "long", &arena).from[LEVEL_MINUTE], rest.from[LEVEL_MINUTE]);
    assert_int_equal(entries_of(&world, DATABASE_KEPT), 1);
    run_evenly(&world, 3 * QUARTERS_PER_DAY); /* until the rest has come as far */
    assert_int_equal(entries_of(&world, DATABASE_KEPT), 0);
    expect_nothing_wrong(&world);
    world_close(&world);
    arena_fini(&arena);
}

/* The oldest bucket of a level that a series has. */
static int64_t oldest_bucket(struct world *world, enum level level, uint32_t id)
{
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct partition *partitions = NULL;
    size_t count = 0;
    int64_t oldest = INT64_MAX;
    struct read_txn *txn = read_begin(&world->fixture);

    assert_true(parts_partitions(txn, &(const struct bucket_range){level, 0, INT64_MIN, INT64_MAX},
                                 &arena, &partitions, &count, &err));
    for (size_t i = 0; i < count; i++) {
        struct partition_cursor cursor;
        struct block_points points;
        assert_true(partition_cursor_init(&cursor, txn, &partitions[i], &err));
        assert_true(partition_cursor_seek(&cursor, id, &err));
        if (cursor.id == id) {
            assert_true(
                partition_cursor_points(&cursor, INT64_MIN, INT64_MAX, &arena, &points, &err));
            oldest = points.points[0].bucket < oldest ? points.points[0].bucket : oldest;
        }
        partition_cursor_fini(&cursor);
    }
    read_txn_end(txn);
    arena_fini(&arena);
    return oldest;
}

/* Of a time that "long" still has in minutes, "rest" in quarters and "short" only in days. */
static void a_sample_that_is_too_old_for_a_level_makes_no_bucket_of_it(void **state)
{
    struct arena arena = ARENA_EMPTY;
    struct bag late = {0};
    struct world world;
    (void)state;

    open_kept_world(&world, &arena, 6);
    run_evenly(&world, 7 * QUARTERS_PER_DAY);
    int64_t minute = minute_now(&world) - 3 * 1440;
    for (uint32_t id = 1; id <= 3; id++)
        add_cell(&world, &late, id, minute);
    write_run(&world, &late);
    pass_time(&world, QUARTER_MS);
    while (step(&world)) {
        for (uint32_t id = 1; id <= 3; id++) {
            struct kept kept = kept_now(&world, metric_of(id), &arena);
            if (id != 3)
                assert_true(oldest_bucket(&world, LEVEL_MINUTE, id) > minute);
            if (id == 1)
                assert_true(oldest_bucket(&world, LEVEL_QUARTER, id) > quarter_of_minute(minute));
            assert_true(kept.from[LEVEL_MINUTE] > minute || id == 3);
        }
        check_queries(&world, 2);
    }
    check_queries(&world, 100);
    struct kept kept = kept_now(&world, "rest", &arena);
    const struct query whole = {.series = &all_series[1],
                                .series_count = 1,
                                .from = kept.from[LEVEL_QUARTER] * QUARTER_MS,
                                .to = world.clock.mark};
    struct read_txn *txn = read_begin(&world.fixture);
    check_query(&world, txn, &whole);
    read_txn_end(txn);
    expect_nothing_wrong(&world);
    world_close(&world);
    arena_fini(&arena);
}

static void a_damaged_row_is_an_error_and_no_figure(void **state)
{
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;
    struct asked asked = {.query = NULL};
    struct heard heard = {.count = 0};
    struct write_txn txn;
    struct world world;
    (void)state;

    open_kept_world(&world, &arena, 7);
    run_evenly(&world, 4);
    struct schema_key key = schema_name_key(STR("short"));
    assert_true(write_txn_begin(world.fixture.store, NULL, &txn, &err));
    assert_true(store_put(&txn, DATABASE_KEPT, store_key(&key), STR("short"), 0, &err));
    assert_true(write_txn_commit(&txn, &err));
    struct query query = {
        .series = all_series, .series_count = 1, .from = 0, .to = world.clock.mark};
    struct read_txn *reader = read_begin(&world.fixture);
    assert_false(query_cells(reader, &query, take_cell, &asked, &coverage, &err));
    assert_int_equal(err.kind, ERROR_CORRUPT);
    query.series = all_series + 1;
    query.from = world.clock.mark - MS_PER_HOUR;
    asked.query = &query;
    assert_true(query_cells(reader, &query, take_cell, &asked, &coverage, &err));
    for (size_t i = 0; i < STEPS_SHOWN; i++)
        cell_fini(&asked.found[i]);
    read_txn_end(reader);
    (void)verify_now(world.fixture.store, &heard, 0);
    assert_int_equal(heard.count, 1);
    world_close(&world);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_figure_is_right_or_says_that_it_is_not_complete),
        cmocka_unit_test(rules_may_be_changed_and_taken_away),
        cmocka_unit_test(marks_follow_the_rules_and_never_go_back),
        cmocka_unit_test(a_sample_that_is_too_old_for_a_level_makes_no_bucket_of_it),
        cmocka_unit_test(a_damaged_row_is_an_error_and_no_figure),
    };
    return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
