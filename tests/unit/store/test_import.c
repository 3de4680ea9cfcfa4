/* A year of history that is imported backwards, in one go and with pauses, ends in the same cells
 * as the same year lived through: at every level, to the bit but for arrivals. */
#include <sys/statvfs.h>

#include "engine.h"
#include "fixture.h"
#include "series/random.h"
#include "store/verify.h"

/* 2026-01-01T00:00:00Z. */
#define YEAR_BEGIN INT64_C(1767225600000)
#define YEAR_END   (YEAR_BEGIN + INT64_C(365) * MS_PER_DAY)

enum {
    SERIES = 6,
    SAMPLES = 2400,
    COMMITS = 80,
    ZONES = 2,
    MEMBERS = 400,
};

static const char *const zones[ZONES] = {"America/New_York", "Asia/Kathmandu"};

static const enum metric_kind kinds[SERIES] = {METRIC_COUNTER, METRIC_GAUGE, METRIC_DISTRIBUTION,
                                               METRIC_UNIQUE,  METRIC_SCORE, METRIC_COUNTER};

struct event {
    wall_ms at;
    unsigned series;
    double value;
    unsigned member;
};

struct year {
    struct event events[SAMPLES]; /* in the order of time, no two at one */
    struct calendar *calendars[ZONES];
    struct upkeep_options options;
};

static void draw_year(struct year *year, uint64_t seed)
{
    const wall_ms width = (YEAR_END - YEAR_BEGIN) / SAMPLES;

    for (size_t i = 0; i < SAMPLES; i++) {
        struct event *event = &year->events[i];
        event->at = YEAR_BEGIN + (wall_ms)i * width + (wall_ms)random_below(&seed, (uint64_t)width);
        /* Every other one is in the minutes of the one before, so that cells hold several. */
        if (i % 2 == 1)
            event->at = event[-1].at + 1 + (wall_ms)random_below(&seed, 120 * 1000);
        event->series = i % 2 == 1 ? event[-1].series : (unsigned)random_below(&seed, SERIES);
        event->value = (double)random_below(&seed, 8000) / 8 - 100;
        event->member = (unsigned)random_below(&seed, MEMBERS);
        if (kinds[event->series] == METRIC_SCORE)
            event->value = (double)random_below(&seed, 11);
    }
}

static void add_event(struct delta *delta, const struct event *event, uint64_t arrival)
{
    char metric[16];
    char member[16];

    (void)snprintf(metric, sizeof metric, "metric%u", event->series);
    uint32_t series = add_series(delta, kinds[event->series], metric, "");
    struct cell *cell = &delta_add_cell(delta, series, minute_of(event->at))->cell;
    if (metric_kind_counts_values(kinds[event->series]))
        cell_add_value(cell, event->value, WEIGHT_ONE, event->at, arrival);
    else
        aggregate_add(&cell->aggregate, event->value, WEIGHT_ONE, event->at, arrival);
    if (kinds[event->series] != METRIC_UNIQUE)
        return;
    cell->distinct = distinct_new();
    distinct_add(cell->distinct, (struct str){member, (size_t)snprintf(member, sizeof member, "%u",
                                                                       event->member)});
}

/* --- three ways to the same year ----------------------------------------------------------------
 */

enum way { LIVED, IMPORTED_BACKWARDS, IMPORTED_WITH_PAUSES, WAYS };

static void commit_events(struct engine *engine, const struct year *year, size_t number,
                          enum way way, wall_ms now)
{
    struct error err = ERROR_EMPTY;
    struct delta *delta = delta_new();
    const size_t each = SAMPLES / COMMITS;
    size_t piece = way == LIVED ? number : COMMITS - 1 - number;

    for (size_t i = 0; i < each; i++) {
        size_t place = way == LIVED ? i : each - 1 - i;
        add_event(delta, &year->events[piece * each + place], number * each + i + 1);
    }
    if (!engine_commit(engine, delta, now, &err))
        fail_msg("%s", err.text);
    delta_free(delta);
}

static void make(struct engine *engine, const char *path, const struct year *year, enum way way)
{
    wall_ms now = way == LIVED ? YEAR_BEGIN : YEAR_END;

    engine_open(engine, path, BIG_SIZE, &year->options);
    (void)mdb_env_set_flags(engine->store->env, MDB_NOSYNC, 1); /* it is about what, not when */
    engine_set_clock(engine, now);
    (void)engine_upkeep(engine, SIZE_MAX);
    for (size_t number = 0; number < COMMITS; number++) {
        if (way == LIVED)
            now = year->events[(number + 1) * (SAMPLES / COMMITS) - 1].at;
        if (way == IMPORTED_WITH_PAUSES)
            now += (wall_ms)(number % 4) * 5 * MS_PER_MINUTE;
        commit_events(engine, year, number, way, now);
        engine_set_clock(engine, now);
        (void)engine_upkeep(engine, way == LIVED ? SIZE_MAX : 5 + number % 7 * 20);
    }
    engine_set_clock(engine, YEAR_END + (wall_ms)20 * MS_PER_DAY);
    (void)engine_upkeep(engine, SIZE_MAX);
}

/* --- comparing ----------------------------------------------------------------------------------
 */

/* All cells of a reading, one after the other. */
struct reading {
    struct buf bytes;
    size_t cells;
};

static bool take_cell(size_t series, wall_ms from, const struct cell *cell, void *arg)
{
    struct reading *reading = arg;
    struct cell copy = *cell;

    copy.aggregate.first_arrival = 0;
    copy.aggregate.last_arrival = 0;
    buf_u64(&reading->bytes, series);
    buf_i64(&reading->bytes, from);
    cell_encode(&copy, &reading->bytes);
    reading->cells++;
    return true;
}

static void read_range_of(struct read_txn *txn, struct query *query, unsigned level,
                          struct reading *out)
{
    struct error err = ERROR_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;

    if (!query_cells(txn, query, take_cell, out, &coverage, &err))
        fail_msg("%s", err.text);
    assert_true(coverage.complete);
    assert_int_equal(coverage.levels, level);
}

/* Series by series, so that the order does not depend on their ids. */
static void read_level(struct engine *engine, const struct year *year, size_t way,
                       struct reading *out)
{
    static const struct {
        span_ms step;
        unsigned level;
    } steps[] = {{MS_PER_MINUTE, COVERAGE_MINUTE},
                 {15 * (span_ms)MS_PER_MINUTE, COVERAGE_QUARTER_HOUR}};
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct read_txn *txn = read_txn_begin(engine->store, &err);

    *out = (struct reading){0};
    for (unsigned i = 0; i < SERIES; i++) {
        char metric[16];
        (void)snprintf(metric, sizeof metric, "metric%u", i);
        const struct selector selector = {.metric = str_of(metric), .kind = kinds[i]};
        struct query query = {.from = YEAR_BEGIN, .to = YEAR_END + 600 * 1000};
        query.series = query_select(txn, &selector, &arena, &query.series_count);
        assert_int_equal(query.series_count, 1);
        if (way < 2) {
            query.step = steps[way].step;
            query.to += query.step - (query.to - query.from) % query.step;
            read_range_of(txn, &query, steps[way].level, out);
            continue;
        }
        struct period day = calendar_period(year->calendars[way - 2], PERIOD_DAY, YEAR_BEGIN);
        for (; day.from < YEAR_END; day = calendar_next(year->calendars[way - 2], &day)) {
            query.from = day.from;
            query.to = day.to;
            read_range_of(txn, &query, COVERAGE_DAY, out);
        }
    }
    read_txn_end(txn);
    arena_fini(&arena);
}

static void hear_finding(const struct verify_finding *finding, void *arg)
{
    (void)arg;
    fail_msg("%s: %s: %s", finding->what, finding->where, finding->text);
}

static void make_quick_directory(char path[64])
{
    struct statvfs facts;

    (void)snprintf(path, 64, "/dev/shm/kpid-store-XXXXXX");
    if (statvfs("/dev/shm", &facts) == 0 && facts.f_bavail * facts.f_frsize > 64 << 20 &&
        mkdtemp(path) != NULL)
        return;
    make_directory(path);
}

static void a_year_imported_backwards_ends_in_the_cells_of_the_year_lived_through(void **state)
{
    (void)state;
    static struct year year;
    struct error err = ERROR_EMPTY;
    struct engine engines[WAYS];
    char paths[WAYS][64];

    for (size_t i = 0; i < ZONES; i++)
        year.calendars[i] = calendar_new(str_of(zones[i]), 1, &err);
    year.options = (struct upkeep_options){
        .calendars = (const struct calendar *const *)year.calendars, .calendar_count = ZONES};
    draw_year(&year, 365);
    for (enum way way = 0; way < WAYS; way++) {
        struct verify_counts counts;
        const struct verify_options options = {.on_finding = hear_finding};
        make_quick_directory(paths[way]);
        make(&engines[way], paths[way], &year, way);
        assert_true(verify_store(engines[way].store, &options, &counts, &err));
        assert_int_equal(counts.runs, 0);
    }
    for (size_t level = 0; level < 2 + ZONES; level++) {
        struct reading expected;
        read_level(&engines[LIVED], &year, level, &expected);
        assert_true(expected.cells > 300);
        for (enum way way = IMPORTED_BACKWARDS; way < WAYS; way++) {
            struct reading found;
            read_level(&engines[way], &year, level, &found);
            assert_int_equal(found.cells, expected.cells);
            assert_true(str_equal(buf_view(&found.bytes), buf_view(&expected.bytes)));
            buf_fini(&found.bytes);
        }
        buf_fini(&expected.bytes);
    }
    for (enum way way = 0; way < WAYS; way++) {
        engine_close(&engines[way]);
        remove_directory(paths[way]);
    }
    for (size_t i = 0; i < ZONES; i++)
        calendar_free(year.calendars[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_year_imported_backwards_ends_in_the_cells_of_the_year_lived_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
