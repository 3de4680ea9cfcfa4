/* A simulated year in five time zones: the figures of every civil day stay right while minutes and
 * quarters of an hour expire under them, and the file stops growing. */
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "engine.h"
#include "fixture.h"

/* 2026-01-01T00:00:00Z. */
#define YEAR_BEGIN INT64_C(1767225600000)

enum {
    DAYS = 366,
    ZONES = 5,
    SERIES = 6,
    STEP_MINUTES = 60, /* from sample to sample of a series */
    LATE_EVERY = 50,   /* such a sample comes two days late */
    MINUTES_KEPT_DAYS = 4,
    QUARTERS_KEPT_DAYS = 20,
};

static const char *const zones[ZONES] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                                         "Asia/Kathmandu", "Pacific/Apia"};

struct year {
    struct engine engine;
    struct calendar *calendars[ZONES];
    /* What every day has to hold: by zone, series and day since the year began. */
    struct {
        double count, sum;
    } days[ZONES][SERIES][DAYS + 4];
};

static int64_t day_of(const struct year *year, size_t zone, wall_ms at)
{
    struct civil civil = calendar_civil(year->calendars[zone], at);
    return civil_days(&civil) - YEAR_BEGIN / MS_PER_DAY + 1;
}

static void add(struct year *year, struct delta *delta, unsigned series, wall_ms at,
                unsigned number)
{
    double value = (double)(number % 97) / 8;
    char name[16];

    (void)snprintf(name, sizeof name, "metric%u", series);
    add_sample(delta,
               add_series(delta, series % 2 == 0 ? METRIC_COUNTER : METRIC_DISTRIBUTION, name, ""),
               value, at);
    for (size_t zone = 0; zone < ZONES; zone++) {
        int64_t day = day_of(year, zone, at);
        assert_in_range(day, 0, DAYS + 3);
        year->days[zone][series][day].count++;
        year->days[zone][series][day].sum += value;
    }
}

/* One step of time: a sample of each series, some of them old; then the background work. */
static void live(struct year *year, unsigned number)
{
    struct error err = ERROR_EMPTY;
    struct delta *delta = delta_new();
    wall_ms now = YEAR_BEGIN + (wall_ms)number * STEP_MINUTES * MS_PER_MINUTE;

    for (unsigned series = 0; series < SERIES; series++) {
        bool late = (number + series) % LATE_EVERY == 0 && number > 3 * 24 * 60 / STEP_MINUTES;
        add(year, delta, series, late ? now - 2 * (wall_ms)MS_PER_DAY : now, number);
    }
    if (!engine_commit(&year->engine, delta, now, &err))
        fail_msg("%s", err.text);
    delta_free(delta);
    engine_set_clock(&year->engine, now);
    (void)engine_upkeep(&year->engine, 1000);
}

struct sum {
    double count, sum;
};

static bool on_cell(size_t series, wall_ms from, const struct cell *cell, void *arg)
{
    struct sum *sum = arg;
    (void)series;
    (void)from;
    sum->count += aggregate_count(&cell->aggregate);
    sum->sum += aggregate_sum(&cell->aggregate);
    return true;
}

/* Every day that began and ended in the year so far. */
static void expect_days(const struct year *year, wall_ms now)
{
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct read_txn *txn = read_txn_begin(year->engine.store, &err);
    assert_non_null(txn);

    for (unsigned series = 0; series < SERIES; series++) {
        char name[16];
        size_t count = 0;
        (void)snprintf(name, sizeof name, "metric%u", series);
        const struct selector selector = {
            .metric = str_of(name), .kind = series % 2 == 0 ? METRIC_COUNTER : METRIC_DISTRIBUTION};
        struct query_series *found = query_select(txn, &selector, &arena, &count);
        assert_int_equal(count, 1);
        for (size_t zone = 0; zone < ZONES; zone++) {
            struct period day =
                calendar_period(year->calendars[zone], PERIOD_DAY, YEAR_BEGIN + MS_PER_DAY);
            for (; day.to <= now; day = calendar_next(year->calendars[zone], &day)) {
                const struct query query = {.series = found,
                                            .series_count = 1,
                                            .from = day.from,
                                            .to = day.to,
                                            .merge_series = true};
                struct coverage coverage = COVERAGE_EMPTY;
                struct sum sum = {0};
                assert_true(query_cells(txn, &query, on_cell, &sum, &coverage, &err));
                assert_true(coverage.complete);
                int64_t number = day_of(year, zone, day.from);
                assert_same(sum.count, year->days[zone][series][number].count);
                assert_same(sum.sum, year->days[zone][series][number].sum);
            }
        }
    }
    read_txn_end(txn);
    arena_fini(&arena);
}

/* In memory where there is room, since it is not about the disk: a year has many commits. */
static void make_quick_directory(char path[64])
{
    struct statvfs facts;

    (void)snprintf(path, 64, "/dev/shm/kpid-store-XXXXXX");
    if (statvfs("/dev/shm", &facts) == 0 && facts.f_bavail * facts.f_frsize > 64 << 20 &&
        mkdtemp(path) != NULL)
        return;
    make_directory(path);
}

static uint64_t file_bytes(const char *path)
{
    char file[128];
    struct stat facts;
    (void)snprintf(file, sizeof file, "%s/data.mdb", path);
    assert_int_equal(stat(file, &facts), 0);
    return (uint64_t)facts.st_size;
}

static void the_days_of_a_year_stay_right_and_the_file_stops_growing(void **state)
{
    (void)state;
    static struct year year; /* large, and zero */
    const struct calendar *calendars[ZONES];
    struct error err = ERROR_EMPTY;
    char path[64];
    uint64_t half = 0;

    make_quick_directory(path);
    for (size_t i = 0; i < ZONES; i++) {
        year.calendars[i] = calendar_new(str_of(zones[i]), 1, &err);
        assert_non_null(year.calendars[i]);
        calendars[i] = year.calendars[i];
    }
    const struct upkeep_options options = {
        .calendars = calendars,
        .calendar_count = ZONES,
        .keep = {.minute = INT64_C(1) * MINUTES_KEPT_DAYS * MS_PER_DAY,
                 .quarter = INT64_C(1) * QUARTERS_KEPT_DAYS * MS_PER_DAY}};
    engine_open(&year.engine, path, BIG_SIZE, &options);

    const unsigned per_day = 24 * 60 / STEP_MINUTES;
    for (unsigned number = 0; number < (DAYS - 1) * per_day; number++) {
        live(&year, number);
        if (number % (60 * per_day) == 60 * per_day - 1)
            expect_days(&year, YEAR_BEGIN + (wall_ms)number * STEP_MINUTES * MS_PER_MINUTE);
        if (number == DAYS / 2 * per_day)
            half = file_bytes(path);
    }
    expect_days(&year, YEAR_BEGIN + (wall_ms)(DAYS - 1) * MS_PER_DAY);

    /* What still grows is one cell a day for each series and zone. */
    uint64_t days_bytes = UINT64_C(200) * SERIES * ZONES * DAYS / 2;
    assert_true(file_bytes(path) <= half + half / 8 + days_bytes);
    engine_close(&year.engine);
    for (size_t i = 0; i < ZONES; i++)
        calendar_free(year.calendars[i]);
    remove_directory(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_days_of_a_year_stay_right_and_the_file_stops_growing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
