/* What an export tells of days, as lines and back: in another store every day of every zone, and
 * every hour that is left, is the same to the bit, and whatever is not known says so. */
#include "engine.h"
#include "series/random.h"
#include "store/day_import_private.h"
#include "store/fixture.h"
#include "store/store_private.h"
#include "store/verify.h"
#include "web/cell_line.h"

/* 2026-03-20T00:00:00Z: nine days before Berlin's clocks change. */
#define BEGIN INT64_C(1773964800000)

#define QUARTER_MS ((wall_ms)MINUTES_PER_QUARTER * MS_PER_MINUTE)

enum {
    ZONES = 3,
    METRICS = 6,
    SERIES = 2 * METRICS,
    DAYS = 14,
    ROUNDS_A_DAY = 12,
    LINE_MAX = 1 << 16
};

static const char *const zones[ZONES] = {"Europe/Berlin", "America/New_York", "Asia/Kathmandu"};

static const enum metric_kind kinds[METRICS] = {METRIC_COUNTER, METRIC_GAUGE, METRIC_DISTRIBUTION,
                                                METRIC_UNIQUE,  METRIC_SCORE, METRIC_COUNTER};

struct place {
    char path[64];
    struct engine engine;
    struct upkeep_options options;
    const struct calendar *calendars[ZONES];
};

struct test {
    struct calendar *calendars[ZONES];
    struct place source;
    wall_ms now;
    uint64_t seed;
    uint64_t arrival;
};

static void open_place(struct place *place, const struct test *test, size_t zone_count,
                       const struct retention *keep)
{
    for (size_t i = 0; i < zone_count; i++)
        place->calendars[i] = test->calendars[i];
    place->options = (struct upkeep_options){
        .calendars = place->calendars, .calendar_count = zone_count, .keep = *keep, .fanout = 3};
    make_directory(place->path);
    engine_open(&place->engine, place->path, BIG_SIZE, &place->options);
    (void)mdb_env_set_flags(place->engine.store->env, MDB_NOSYNC, 1);
    engine_set_clock(&place->engine, test->now);
    (void)engine_upkeep(&place->engine, SIZE_MAX);
}

static void close_place(struct place *place)
{
    engine_close(&place->engine);
    remove_directory(place->path);
}

static const char *metric_of(size_t series, char out[16])
{
    (void)snprintf(out, 16, "metric%zu", series % METRICS);
    return out;
}

static uint32_t delta_series_of(struct delta *delta, size_t series)
{
    char metric[16];
    return add_series(delta, kinds[series % METRICS], metric_of(series, metric),
                      series < METRICS ? "" : "host=b");
}

static void add_random(struct test *test, struct delta *delta, size_t series, wall_ms at)
{
    struct cell *cell = &delta_add_cell(delta, delta_series_of(delta, series), minute_of(at))->cell;
    enum metric_kind kind = kinds[series % METRICS];
    double value = (double)random_below(&test->seed, 8000) / 8 - 300;
    char member[24];

    if (metric_kind_counts_values(kind))
        cell_add_value(cell, value, WEIGHT_ONE, at, ++test->arrival);
    else
        aggregate_add(&cell->aggregate, value, WEIGHT_ONE, at, ++test->arrival);
    if (kind != METRIC_UNIQUE)
        return;
    cell->distinct = distinct_new();
    int len = snprintf(member, sizeof member, "%u", (unsigned)random_below(&test->seed, 2000));
    distinct_add(cell->distinct, (struct str){member, (size_t)len});
}

static void commit_delta(struct test *test, struct place *place, struct delta *delta)
{
    struct error err = ERROR_EMPTY;
    if (!engine_commit(&place->engine, delta, test->now, &err))
        fail_msg("%s", err.text);
    delta_free(delta);
}

/* Samples of the last hours, and some of days ago. */
static void live(struct test *test, span_ms span)
{
    struct delta *delta = delta_new();

    for (size_t i = 0; i < 24; i++) {
        uint64_t age =
            random_below(&test->seed, 9) == 0 ? 4 * (uint64_t)MS_PER_DAY : (uint64_t)span;
        add_random(test, delta, random_below(&test->seed, SERIES),
                   test->now - 1 - (wall_ms)random_below(&test->seed, age));
    }
    commit_delta(test, &test->source, delta);
}

static int setup(void **state)
{
    const struct retention keep = {.minute = (span_ms)1 * MS_PER_DAY,
                                   .quarter = (span_ms)4 * MS_PER_DAY};
    static const struct retention_rule rules[] = {
        {"metric0", {(span_ms)1 * MS_PER_DAY, (span_ms)2 * MS_PER_DAY, 0}},
        {"metric5", {(span_ms)2 * MS_PER_DAY, (span_ms)7 * MS_PER_DAY, 0}},
    };
    struct test *test = memory_zero(1, sizeof *test);
    struct error err = ERROR_EMPTY;

    for (size_t i = 0; i < ZONES; i++) {
        test->calendars[i] = calendar_new(str_of(zones[i]), 1, &err);
        assert_non_null(test->calendars[i]);
    }
    test->seed = 5;
    test->now = BEGIN;
    open_place(&test->source, test, ZONES, &keep);
    test->source.options.rules = rules;
    test->source.options.rule_count = TEST_COUNT(rules);
    for (size_t i = 0; i < (size_t)DAYS * ROUNDS_A_DAY; i++) {
        test->now += MS_PER_DAY / ROUNDS_A_DAY;
        live(test, MS_PER_DAY / ROUNDS_A_DAY);
        engine_set_clock(&test->source.engine, test->now);
        (void)engine_upkeep(&test->source.engine, SIZE_MAX);
    }
    live(test, MS_PER_HOUR); /* what is not folded yet, late too */
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    struct test *test = *state;
    close_place(&test->source);
    for (size_t i = 0; i < ZONES; i++)
        calendar_free(test->calendars[i]);
    free(test);
    return 0;
}

/* --- the export --- */

struct lines {
    struct buf text;
    size_t page_bytes;
    size_t page_from;
    size_t page_cells;
    size_t days;
};

static bool has_page_room(struct lines *lines)
{
    return lines->text.len - lines->page_from < lines->page_bytes || lines->page_cells++ == 0;
}

static void on_zone(const struct export_zone *zone, void *arg)
{
    cell_line_write_zone(&((struct lines *)arg)->text, zone);
}

static void on_metric(const struct export_metric *metric, void *arg)
{
    cell_line_write_metric(&((struct lines *)arg)->text, metric);
}

static bool on_day(const struct export_day *day, void *arg)
{
    struct lines *lines = arg;
    if (!has_page_room(lines))
        return false;
    lines->days++;
    cell_line_write_day(&lines->text, day);
    return true;
}

static bool on_cell(const struct export_cell *cell, void *arg)
{
    struct lines *lines = arg;
    if (!has_page_room(lines))
        return false;
    cell_line_write(&lines->text, cell);
    return true;
}

static const struct export_range ALL = {STR_EMPTY, STR_EMPTY, WALL_NONE, WALL_NONE};

static struct lines export_all(struct place *place, const struct export_range *range,
                               size_t page_bytes)
{
    static const struct export_sink sink = {on_zone, on_metric, on_day, on_cell};
    struct lines lines = {.page_bytes = page_bytes};
    struct export export = {.range = *range, .sink = &sink, .arg = &lines};
    struct error err = ERROR_EMPTY;
    bool more = true;

    while (more) {
        struct read_txn *txn = read_txn_begin(place->engine.store, &err);
        assert_non_null(txn);
        lines.page_from = lines.text.len;
        lines.page_cells = 0;
        if (!export_page(txn, &export, &more, &err))
            fail_msg("%s", err.text);
        read_txn_end(txn);
    }
    return lines;
}

/* --- the import --- */

static bool apply_days(struct test *test, struct place *place, struct day_import *import,
                       struct error *err)
{
    struct write_txn txn;
    bool has_group = false;
    const struct day_import_into into = {place->engine.upkeep, place->engine.catalog, &has_group,
                                         &txn, test->now};

    assert_true(write_txn_begin(place->engine.store, NULL, &txn, err));
    uint64_t number = store_commit_number(&txn.reader) + 1;
    if (!day_import_apply(&into, import, err)) {
        assert_false(txn.storage_failed);
        write_txn_abort(&txn);
        return false;
    }
    assert_true(meta_put(&txn, "commit", number, err));
    assert_true(write_txn_commit(&txn, err));
    return true;
}

/* One body. */
static bool import_body(struct test *test, struct place *place, struct str body, uint64_t name,
                        struct error *err)
{
    struct day_import *import = day_import_new();
    struct delta *delta = delta_new();
    struct cell_line line;

    import->name = (struct series_hash){name, 1};
    while (body.len > 0) {
        if (!cell_line_read(str_split(&body, '\n'), &line, err))
            fail_msg("%s", err->text);
        if (line.kind == CELL_LINE_ZONE) {
            day_import_add_zone(import, &line.zone);
        } else if (line.kind == CELL_LINE_METRIC) {
            day_import_add_metric(import, &line.metric);
        } else if (line.kind == CELL_LINE_DAY) {
            day_import_add_cell(import, buf_view(&line.key), &line.day, &line.cell);
        } else {
            struct str key = buf_view(&line.key);
            uint32_t series = delta_add_series(delta, series_key_hash(key), key);
            delta_add_cell(delta, series, line.minute)->cell = line.cell;
            line.cell = (struct cell)CELL_EMPTY;
        }
        cell_line_fini(&line);
    }
    bool ok = day_import_is_empty(import) || apply_days(test, place, import, err);
    if (ok && delta->cell_count > 0)
        ok = engine_commit(&place->engine, delta, test->now, err);
    day_import_free(import);
    delta_free(delta);
    return ok;
}

/* All lines, in bodies of about so many bytes, with steps of upkeep between them. */
static bool import_all(struct test *test, struct place *place, const struct lines *lines,
                       size_t body_bytes, struct error *err)
{
    struct str rest = buf_view(&lines->text);

    for (uint64_t number = 1; rest.len > 0; number++) {
        struct str body = {rest.text, 0};
        while (rest.len > 0 && body.len < body_bytes)
            body.len += str_split(&rest, '\n').len + 1;
        if (!import_body(test, place, body, random_below(&test->seed, UINT64_MAX / 2), err))
            return false;
        (void)engine_upkeep(&place->engine, number % 5);
    }
    return true;
}

/* --- comparing --- */

struct figure {
    struct cell cell;
    bool complete;
};

static bool take(size_t series, wall_ms from, const struct cell *cell, void *arg)
{
    (void)series;
    (void)from;
    cell_merge(arg, cell);
    return true;
}

static struct figure read_figure(struct place *place, size_t number, wall_ms from, wall_ms to)
{
    struct figure figure = {CELL_EMPTY, false};
    struct coverage coverage = COVERAGE_EMPTY;
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct query_series series;
    struct delta *delta = delta_new();
    const struct query query = {.series = &series, .series_count = 1, .from = from, .to = to};
    struct read_txn *txn = read_txn_begin(place->engine.store, &err);

    uint32_t index = delta_series_of(delta, number);
    if (query_series_by_hash(txn, delta->series[index].hash, &arena, &series) &&
        !query_cells(txn, &query, take, &figure.cell, &coverage, &err))
        fail_msg("%s", err.text);
    figure.complete = coverage.complete;
    figure.cell.aggregate.first_arrival = 0; /* folded cells have none */
    figure.cell.aggregate.last_arrival = 0;
    read_txn_end(txn);
    arena_fini(&arena);
    delta_free(delta);
    return figure;
}

static void expect_same_figures(struct place *a, struct place *b, size_t number, wall_ms from,
                                wall_ms to)
{
    struct figure one = read_figure(a, number, from, to);
    struct figure other = read_figure(b, number, from, to);
    struct buf bytes = BUF_EMPTY;
    struct buf other_bytes = BUF_EMPTY;
    char times[2][CLOCK_TEXT_SIZE];

    cell_encode(&one.cell, &bytes);
    cell_encode(&other.cell, &other_bytes);
    if (one.complete != other.complete ||
        (one.complete && !str_equal(buf_view(&bytes), buf_view(&other_bytes))))
        fail_msg("series %zu from %s to %s: %g samples, sum %.17g, %s; not %g, %.17g, %s", number,
                 clock_format_utc(from, times[0]), clock_format_utc(to, times[1]),
                 aggregate_count(&other.cell.aggregate), aggregate_sum(&other.cell.aggregate),
                 other.complete ? "complete" : "not complete", aggregate_count(&one.cell.aggregate),
                 aggregate_sum(&one.cell.aggregate), one.complete ? "complete" : "not complete");
    cell_fini(&one.cell);
    cell_fini(&other.cell);
    buf_fini(&bytes);
    buf_fini(&other_bytes);
}

/* All days of all zones, weeks, and ranges at quarters of an hour anywhere. Returns how many of the
 * days were complete in the first store. */
static size_t expect_same_stores(struct test *test, struct place *a, struct place *b)
{
    size_t complete = 0;

    for (size_t zone = 0; zone < ZONES; zone++) {
        struct period day = calendar_period(test->calendars[zone], PERIOD_DAY, BEGIN);
        for (; day.from < test->now; day = calendar_next(test->calendars[zone], &day)) {
            for (size_t series = 0; series < SERIES; series++) {
                struct figure figure = read_figure(a, series, day.from, day.to);
                complete += figure.complete && figure.cell.aggregate.count > 0;
                cell_fini(&figure.cell);
                expect_same_figures(a, b, series, day.from, day.to);
            }
        }
        struct period week = calendar_period(test->calendars[zone], PERIOD_WEEK, BEGIN);
        for (size_t series = 0; series < SERIES; series++)
            expect_same_figures(a, b, series, week.to, week.to + (wall_ms)7 * MS_PER_DAY);
    }
    for (size_t i = 0; i < 300; i++) {
        uint64_t quarters = (uint64_t)(test->now - BEGIN) / (uint64_t)QUARTER_MS;
        wall_ms from = BEGIN + (wall_ms)random_below(&test->seed, quarters) * QUARTER_MS;
        wall_ms to = from + (wall_ms)(1 + random_below(&test->seed, 300)) * QUARTER_MS;
        expect_same_figures(a, b, random_below(&test->seed, SERIES), from, to);
    }
    return complete;
}

static void on_finding(const struct verify_finding *finding, void *arg)
{
    (void)arg;
    fail_msg("%s: %s: %s", finding->what, finding->where, finding->text);
}

static void expect_sound(struct place *place)
{
    const struct verify_options options = {.on_finding = on_finding};
    struct verify_counts counts;
    struct error err = ERROR_EMPTY;

    if (!verify_store(place->engine.store, &options, &counts, &err))
        fail_msg("%s", err.text);
    assert_int_equal(counts.findings, 0);
}

/* --- tests --- */

static void every_day_comes_back_to_the_bit(void **state)
{
    static const size_t bodies[] = {SIZE_MAX, 5000};
    struct test *test = *state;
    struct lines lines = export_all(&test->source, &ALL, SIZE_MAX);

    assert_true(lines.days > 300);
    expect_sound(&test->source);
    for (size_t i = 0; i < TEST_COUNT(bodies); i++) {
        struct place target;
        struct error err = ERROR_EMPTY;
        open_place(&target, test, ZONES, &test->source.options.keep);
        target.options.rules = test->source.options.rules;
        target.options.rule_count = test->source.options.rule_count;
        if (!import_all(test, &target, &lines, bodies[i], &err))
            fail_msg("%s", err.text);
        /* Days that are told in full are complete, those of both stores that hours make too. */
        assert_true(expect_same_stores(test, &test->source, &target) > 350);
        expect_sound(&target);
        engine_set_clock(&target.engine, test->now + MS_PER_HOUR);
        (void)engine_upkeep(&target.engine, SIZE_MAX);
        (void)expect_same_stores(test, &test->source, &target);
        expect_sound(&target);
        close_place(&target);
    }
    buf_fini(&lines.text);
}

static void pages_of_any_size_are_the_whole(void **state)
{
    static const size_t sizes[] = {1, 300, 20000};
    struct test *test = *state;
    struct lines whole = export_all(&test->source, &ALL, SIZE_MAX);

    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        struct lines paged = export_all(&test->source, &ALL, sizes[i]);
        struct str rest = buf_view(&paged.text);
        struct str expected = buf_view(&whole.text);
        assert_int_equal(paged.days, whole.days);
        while (rest.len > 0) { /* metrics are told of in each page again */
            struct str line = str_split(&rest, '\n');
            struct str wanted = expected;
            wanted = str_split(&wanted, '\n');
            if (str_equal(line, wanted))
                (void)str_split(&expected, '\n');
            else
                assert_non_null(memmem(line.text, line.len, "hours_from_ms", 13));
        }
        assert_int_equal(expected.len, 0);
        buf_fini(&paged.text);
    }
    buf_fini(&whole.text);
}

static void a_zone_that_no_calendar_has_is_refused(void **state)
{
    struct test *test = *state;
    const struct export_range berlin = {STR_EMPTY, STR("Europe/Berlin"), WALL_NONE, WALL_NONE};
    struct lines lines = export_all(&test->source, &ALL, SIZE_MAX);
    struct lines of_berlin = export_all(&test->source, &berlin, SIZE_MAX);
    struct error err = ERROR_EMPTY;
    struct place target;

    open_place(&target, test, 1, &test->source.options.keep);
    assert_false(import_all(test, &target, &lines, SIZE_MAX, &err));
    assert_int_equal(err.kind, ERROR_CONFLICT);
    assert_non_null(strstr(err.text, "America/New_York"));
    struct figure figure = read_figure(&target, 0, BEGIN, test->now);
    assert_int_equal(figure.cell.aggregate.count, 0);
    cell_fini(&figure.cell);

    if (!import_all(test, &target, &of_berlin, SIZE_MAX, &err))
        fail_msg("%s", err.text);
    struct period day = calendar_period(test->calendars[0], PERIOD_DAY, BEGIN);
    for (; day.from < test->now; day = calendar_next(test->calendars[0], &day)) {
        for (size_t series = 0; series < SERIES; series++)
            expect_same_figures(&test->source, &target, series, day.from, day.to);
    }
    /* A calendar that is added later lacks these days, and says so. */
    for (size_t i = 1; i < ZONES; i++)
        target.calendars[i] = test->calendars[i];
    target.options.calendar_count = ZONES;
    upkeep_set_options(target.engine.upkeep, &target.options);
    engine_set_clock(&target.engine, test->now + MS_PER_HOUR);
    (void)engine_upkeep(&target.engine, SIZE_MAX);
    day = calendar_period(test->calendars[1], PERIOD_DAY, BEGIN + MS_PER_DAY);
    for (size_t series = 0; series < SERIES; series++) {
        figure = read_figure(&target, series, day.from, day.to);
        assert_false(figure.complete);
        cell_fini(&figure.cell);
    }
    /* Nor can it be given some of them: all other metrics would seem to have no data then. */
    assert_false(import_all(test, &target, &lines, SIZE_MAX, &err));
    assert_int_equal(err.kind, ERROR_CONFLICT);
    assert_non_null(strstr(err.text, "would look whole"));
    expect_sound(&target);
    close_place(&target);
    buf_fini(&lines.text);
    buf_fini(&of_berlin.text);
}

static void a_metric_that_has_hours_of_that_time_is_refused(void **state)
{
    struct test *test = *state;
    const struct export_range one = {STR("metric0"), STR_EMPTY, WALL_NONE, WALL_NONE};
    const struct export_range before = {STR("metric0"), STR_EMPTY, WALL_NONE,
                                        BEGIN + (wall_ms)6 * MS_PER_DAY};
    const struct retention for_ever = {0, 0, 0};
    struct lines lines = export_all(&test->source, &one, SIZE_MAX);
    struct lines older = export_all(&test->source, &before, SIZE_MAX);
    struct error err = ERROR_EMPTY;
    struct delta *delta = delta_new();
    struct place target;

    assert_true(lines.days > 0 && older.days > 0 && older.days < lines.days);
    open_place(&target, test, ZONES, &for_ever);
    const wall_ms at = BEGIN + (wall_ms)8 * MS_PER_DAY + 77;
    add_sample(delta, delta_series_of(delta, 0), 5, at);
    commit_delta(test, &target, delta);
    /* Not folded yet: nobody knows its days. */
    assert_false(import_all(test, &target, &lines, SIZE_MAX, &err));
    assert_int_equal(err.kind, ERROR_UNAVAILABLE);

    engine_set_clock(&target.engine, test->now + MS_PER_HOUR);
    (void)engine_upkeep(&target.engine, SIZE_MAX);
    assert_false(import_all(test, &target, &lines, SIZE_MAX, &err));
    assert_int_equal(err.kind, ERROR_CONFLICT);
    assert_non_null(strstr(err.text, "metric0"));
    struct figure figure = read_figure(&target, 0, at - at % MS_PER_MINUTE, at + MS_PER_MINUTE);
    assert_true(figure.complete);
    assert_int_equal(figure.cell.aggregate.count, WEIGHT_ONE);
    cell_fini(&figure.cell);

    /* What is before it can be taken. */
    if (!import_all(test, &target, &older, SIZE_MAX, &err))
        fail_msg("%s", err.text);
    struct period day = calendar_period(test->calendars[1], PERIOD_DAY, BEGIN + MS_PER_DAY);
    for (int i = 0; i < 4; i++, day = calendar_next(test->calendars[1], &day))
        expect_same_figures(&test->source, &target, 0, day.from, day.to);
    figure = read_figure(&target, 0, at - at % MS_PER_MINUTE, at + MS_PER_MINUTE);
    assert_true(figure.complete);
    assert_int_equal(figure.cell.aggregate.count, WEIGHT_ONE);
    cell_fini(&figure.cell);
    expect_sound(&target);
    close_place(&target);
    buf_fini(&lines.text);
    buf_fini(&older.text);
}

static void days_that_are_there_are_added_to_once(void **state)
{
    struct test *test = *state;
    const struct export_range one = {STR("metric0"), STR_EMPTY, WALL_NONE,
                                     BEGIN + (wall_ms)6 * MS_PER_DAY};
    struct lines lines = export_all(&test->source, &one, SIZE_MAX);
    struct period day = calendar_period(test->calendars[0], PERIOD_DAY, BEGIN + 2 * MS_PER_DAY);
    struct error err = ERROR_EMPTY;
    struct place target;

    open_place(&target, test, ZONES, &test->source.options.keep);
    for (int i = 0; i < 3; i++) {
        /* The third one is the second again. */
        if (!import_body(test, &target, buf_view(&lines.text), i == 0 ? 1 : 2, &err))
            fail_msg("%s", err.text);
        struct figure figure = read_figure(&target, 0, day.from, day.to);
        struct figure expected = read_figure(&test->source, 0, day.from, day.to);
        assert_true(figure.complete && expected.cell.aggregate.count > 0);
        assert_int_equal(figure.cell.aggregate.count,
                         expected.cell.aggregate.count * (i == 0 ? 1 : 2));
        assert_int_equal(figure.cell.aggregate.last_at, expected.cell.aggregate.last_at);
        cell_fini(&figure.cell);
        cell_fini(&expected.cell);
    }
    expect_sound(&target);
    close_place(&target);
    buf_fini(&lines.text);
}

/* Of a metric that was taken with the days of one zone those of the others lack something. */
static void expect_days_of_berlin_alone(struct test *test, struct place *place)
{
    for (size_t zone = 0; zone < ZONES; zone++) {
        struct period day =
            calendar_period(test->calendars[zone], PERIOD_DAY, BEGIN + 2 * MS_PER_DAY);
        for (int i = 0; i < 6; i++, day = calendar_next(test->calendars[zone], &day)) {
            struct figure figure = read_figure(place, 0, day.from, day.to);
            assert_int_equal(figure.complete, zone == 0);
            cell_fini(&figure.cell);
            if (zone == 0)
                expect_same_figures(&test->source, place, 0, day.from, day.to);
            expect_same_figures(&test->source, place, 1, day.from, day.to);
        }
    }
}

static void days_of_zones_that_were_not_told_are_not_whole(void **state)
{
    struct test *test = *state;
    const struct export_range other = {STR("metric1"), STR_EMPTY, WALL_NONE, WALL_NONE};
    const struct export_range one = {STR("metric0"), STR("Europe/Berlin"), WALL_NONE, WALL_NONE};
    struct lines others = export_all(&test->source, &other, SIZE_MAX);
    struct lines ones = export_all(&test->source, &one, SIZE_MAX);
    struct error err = ERROR_EMPTY;
    struct place target;
    struct place next;

    open_place(&target, test, ZONES, &test->source.options.keep);
    if (!import_all(test, &target, &others, SIZE_MAX, &err))
        fail_msg("%s", err.text);
    /* The newest of its days are still to be made of the hours of the first one. */
    assert_false(import_all(test, &target, &ones, SIZE_MAX, &err));
    assert_int_equal(err.kind, ERROR_UNAVAILABLE);
    engine_set_clock(&target.engine, test->now + MS_PER_HOUR / 4);
    (void)engine_upkeep(&target.engine, SIZE_MAX);
    if (!import_all(test, &target, &ones, SIZE_MAX, &err))
        fail_msg("%s", err.text);
    expect_days_of_berlin_alone(test, &target);
    expect_sound(&target);

    /* And so on in the next store. */
    struct lines both = export_all(&target, &ALL, SIZE_MAX);
    open_place(&next, test, ZONES, &test->source.options.keep);
    if (!import_all(test, &next, &both, SIZE_MAX, &err))
        fail_msg("%s", err.text);
    expect_days_of_berlin_alone(test, &next);
    engine_set_clock(&next.engine, test->now + MS_PER_HOUR);
    (void)engine_upkeep(&next.engine, SIZE_MAX);
    expect_days_of_berlin_alone(test, &next);
    expect_sound(&next);
    close_place(&target);
    close_place(&next);
    buf_fini(&others.text);
    buf_fini(&ones.text);
    buf_fini(&both.text);
}

/* A transaction that did not hold is tried again with the same import. */
static void an_import_that_is_tried_again_is_the_same(void **state)
{
    struct test *test = *state;
    struct place target;
    struct day_import *import = day_import_new();
    struct error err = ERROR_EMPTY;
    struct period day = calendar_period(test->calendars[2], PERIOD_DAY, BEGIN + MS_PER_DAY);
    const wall_ms window = QUARTERS_PER_WINDOW * QUARTER_MS;
    const struct export_gap gap = {STR("Asia/Kathmandu"), WALL_NONE};
    const struct export_metric metric = {STR("metric0"), day.to + window - day.to % window, &gap,
                                         1};
    const struct calendar *kathmandu = test->calendars[2];
    const struct civil date = calendar_civil(kathmandu, day.from);
    const struct export_day facts = {
        .zone = gap.zone, .day = civil_days(&date), .from = day.from, .to = day.to};
    const struct export_zone zone = {gap.zone, facts.day, facts.day + 1};
    struct delta *delta = delta_new();

    open_place(&target, test, ZONES, &test->source.options.keep);
    day_import_add_zone(import, &zone);
    day_import_add_metric(import, &metric);
    for (int i = 0; i < 3; i++) { /* of one day, which become one */
        struct cell cell = CELL_EMPTY;
        aggregate_add(&cell.aggregate, i, WEIGHT_ONE, day.from + i, 0);
        uint32_t series = delta_series_of(delta, 0);
        day_import_add_cell(import, delta->series[series].key, &facts, &cell);
    }
    for (int try = 0; try < 3; try++) {
        struct write_txn txn;
        bool has_group = false;
        const struct day_import_into into = {target.engine.upkeep, target.engine.catalog,
                                             &has_group, &txn, test->now};
        assert_true(write_txn_begin(target.engine.store, NULL, &txn, &err));
        uint64_t number = store_commit_number(&txn.reader) + 1;
        if (!day_import_apply(&into, import, &err))
            fail_msg("%s", err.text);
        assert_false(import->repeated);
        if (try == 2) {
            assert_true(meta_put(&txn, "commit", number, &err));
            assert_true(write_txn_commit(&txn, &err));
            break;
        }
        write_txn_abort(&txn);
        catalog_forget(target.engine.catalog);
        struct figure nothing = read_figure(&target, 0, day.from, day.to);
        assert_int_equal(nothing.cell.aggregate.count, 0);
        cell_fini(&nothing.cell);
        (void)engine_upkeep(&target.engine, SIZE_MAX);
    }
    struct figure figure = read_figure(&target, 0, day.from, day.to);
    assert_true(figure.complete);
    assert_int_equal(figure.cell.aggregate.count, 3 * WEIGHT_ONE);
    assert_true(aggregate_sum(&figure.cell.aggregate) == 3);
    cell_fini(&figure.cell);
    expect_sound(&target);
    day_import_free(import);
    delta_free(delta);
    close_place(&target);
}

#define WORDS ",\"count\":65536,\"sum\":3.0,\"sum_low\":0.0,\"min\":3.0,\"max\":3.0,\"first\":3.0"
#define TIMES                                                                                      \
    ",\"first_at\":1774051200000,\"first_arrival\":0,\"last\":3.0,\"last_at\":1774051200000,"      \
    "\"last_arrival\":0}\n"
#define KATHMANDU                                                                                  \
    "{\"zone\":\"Asia/Kathmandu\",\"first_day\":\"2026-03-20\",\"last_day\":\"2026-03-22\"}\n"
#define HOURS                                                                                      \
    "{\"metric\":\"m\",\"hours_from_ms\":1774310400000,\"zones\":{\"Asia/Kathmandu\":null}}\n"
#define DAY(day, from, to)                                                                                \
    "{\"metric\":\"m\",\"kind\":\"counter\",\"level\":\"day\",\"zone\":\"Asia/Kathmandu\",\"day\":\"" day \
    "\",\"from_ms\":" from ",\"to_ms\":" to WORDS TIMES

static void what_contradicts_the_store_is_refused(void **state)
{
    static const char right[] = DAY("2026-03-21", "1774030500000", "1774116900000");
    static const struct {
        const char *body;
        enum error_kind kind;
    } wrong[] = {
        {right, ERROR_INVALID}, /* nothing is known of the day */
        {KATHMANDU "", ERROR_NONE},
        {right, ERROR_INVALID}, /* its hours are not gone */
        {HOURS, ERROR_NONE},
        {DAY("2026-03-21", "1774030500000", "1774113300000"), ERROR_CONFLICT},
        {DAY("2026-03-25", "1774376100000", "1774462500000"), ERROR_INVALID},
        {"{\"metric\":\"m\",\"hours_from_ms\":4102444800000,\"zones\":{}}\n", ERROR_UNAVAILABLE},
        {"{\"zone\":\"Asia/Kathmandu\",\"first_day\":\"2030-03-20\",\"last_day\":\"2030-03-20\"}\n",
         ERROR_UNAVAILABLE},
        {"{\"zone\":\"Asia/Kathmandu\",\"first_day\":\"0001-01-01\",\"last_day\":\"2026-03-20\"}\n",
         ERROR_INVALID},
        {right, ERROR_NONE},
    };
    struct test *test = *state;
    struct place target;

    open_place(&target, test, ZONES, &test->source.options.keep);
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        struct error err = ERROR_EMPTY;
        struct str body = {wrong[i].body, strlen(wrong[i].body)};
        bool ok = true;
        /* The last sample of a shorter day would not be in it. */
        if (strstr(wrong[i].body, "2026-03-25") != NULL) {
            struct cell_line line;
            assert_false(cell_line_read(str_trim(body), &line, &err));
            cell_line_fini(&line);
            continue;
        }
        ok = import_body(test, &target, body, i + 1, &err);
        if (ok != (wrong[i].kind == ERROR_NONE) || err.kind != wrong[i].kind)
            fail_msg("%zu: %s: '%s'", i, ok ? "is taken" : err.text, wrong[i].body);
    }
    expect_sound(&target);
    close_place(&target);
}

static void days_that_are_kept_no_longer_are_left_out(void **state)
{
    struct test *test = *state;
    const struct retention keep = {(span_ms)1 * MS_PER_DAY, (span_ms)2 * MS_PER_DAY,
                                   (span_ms)8 * MS_PER_DAY};
    struct lines lines = export_all(&test->source, &ALL, SIZE_MAX);
    struct error err = ERROR_EMPTY;
    struct place target;

    open_place(&target, test, ZONES, &keep);
    /* It has lived for a while, so it has marks. */
    for (size_t i = 0; i < 2; i++) {
        struct delta *delta = delta_new();
        uint32_t series = add_series(delta, METRIC_COUNTER, "other", "");
        add_sample(delta, series, 1, test->now - 1);
        commit_delta(test, &target, delta);
        engine_set_clock(&target.engine, test->now);
        (void)engine_upkeep(&target.engine, SIZE_MAX);
        test->now += MS_PER_DAY;
    }
    if (!import_all(test, &target, &lines, SIZE_MAX, &err))
        fail_msg("%s", err.text);
    struct period day = calendar_period(test->calendars[0], PERIOD_DAY, BEGIN + 2 * MS_PER_DAY);
    struct figure figure = read_figure(&target, 0, day.from, day.to);
    assert_int_equal(figure.cell.aggregate.count, 0);
    assert_false(figure.complete);
    cell_fini(&figure.cell);
    day = calendar_period(test->calendars[0], PERIOD_DAY, BEGIN + 9 * (wall_ms)MS_PER_DAY);
    expect_same_figures(&test->source, &target, 0, day.from, day.to);
    expect_sound(&target);
    close_place(&target);
    buf_fini(&lines.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_day_comes_back_to_the_bit),
        cmocka_unit_test(pages_of_any_size_are_the_whole),
        cmocka_unit_test(a_zone_that_no_calendar_has_is_refused),
        cmocka_unit_test(a_metric_that_has_hours_of_that_time_is_refused),
        cmocka_unit_test(days_that_are_there_are_added_to_once),
        cmocka_unit_test(days_of_zones_that_were_not_told_are_not_whole),
        cmocka_unit_test(an_import_that_is_tried_again_is_the_same),
        cmocka_unit_test(what_contradicts_the_store_is_refused),
        cmocka_unit_test(days_that_are_kept_no_longer_are_left_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
