/* What reading costs: the kinds of figures from a store as it stands at noon, beside a walk
 * with LMDB's cursor over the same pages in the same run: machines differ, the ratios do not.
 *
 * Some series have a year behind them, many have three days: days up to midnight, quarters of an
 * hour up to the last window, minutes since, runs of the last half hour. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "bench_row.h"
#include "series/sample.h"
#include "store/partition.h"
#include "store/query.h"
#include "store/run.h"
#include "store/scan.h"

enum {
    FEW = 100,
    MANY = 10000,
    YEAR_DAYS = 365,
    MANY_DAYS = 3,
    MINUTE_DAYS = 31,
    NOON_MINUTES = 11 * 60 + 37, /* today, so far */
    RUN_MINUTES = 30,
    COUNTERS_PERCENT = 86,
    RATE = 100,           /* reads a second beside the writer */
    INGEST_CELLS = 20000, /* in a commit */
};

/* Midnight in UTC, and where a window of each level begins. */
#define START (INT64_C(20160) * 1440)
#define TODAY (START + (int64_t)YEAR_DAYS * 1440)
#define NOW   (TODAY + NOON_MINUTES)

#define MAP_BYTES (UINT64_C(2) << 30)

static _Noreturn void fail(const char *text)
{
    (void)fprintf(stderr, "bench_query: %s\n", text);
    exit(1);
}

#define MUST(call)                                                                                 \
    do {                                                                                           \
        struct error err = ERROR_EMPTY;                                                            \
        if (!(call))                                                                               \
            fail(err.text);                                                                        \
    } while (0)

static double seconds_now(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* --- the store --- */

static uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* One sample a minute, as kpiload -m 86,0,14 sends them. */
static void add_minute(struct aggregate *into, uint32_t id, int64_t minute)
{
    uint64_t random = mixed((uint64_t)minute * UINT64_C(0x9E3779B97F4A7C15) + id);
    bool is_counter = (uint32_t)(id * UINT32_C(2654435761)) >> 7 != 0 &&
                      ((uint32_t)(id * UINT32_C(2654435761)) >> 7) % 100 < COUNTERS_PERCENT;
    double value = is_counter ? (double)(1 + random % 9) : (double)(1 + random % 999999) / 100;
    aggregate_add(into, value, WEIGHT_ONE, minute * MS_PER_MINUTE, 0);
}

struct bench {
    struct store *store;
    uint32_t partitions; /* numbers given */
    uint64_t runs;
    struct block_point *points;
    struct buf scratch;
};

static int64_t width_of(enum level level)
{
    static const int64_t widths[LEVEL_COUNT] = {1, MINUTES_PER_QUARTER, 1440};
    return widths[level];
}

/* A partition of buckets [from, to) of series 1 to `series`. */
static void write_partition(struct bench *bench, enum level level, int64_t from, int64_t to,
                            uint32_t series)
{
    const struct partition facts = {.level = level,
                                    .calendar = level == LEVEL_DAY ? 1 : 0,
                                    .number = ++bench->partitions,
                                    .from = from,
                                    .to = to};
    /* Days from every tenth minute: building them is not what is measured. */
    int64_t stride = level == LEVEL_DAY ? 10 : 1;
    struct partition_writer writer;
    struct write_txn txn;

    MUST(write_txn_begin(bench->store, NULL, &txn, &err));
    partition_writer_init(&writer, &facts);
    for (uint32_t id = 1; id <= series; id++) {
        struct block_points points = {bench->points, (size_t)(to - from)};
        for (int64_t bucket = from; bucket < to; bucket++) {
            struct block_point *point = &bench->points[bucket - from];
            *point = (struct block_point){.bucket = bucket};
            for (int64_t i = 0; i < width_of(level); i += stride)
                add_minute(&point->aggregate, id, bucket * width_of(level) + i);
        }
        MUST(partition_writer_add(&writer, &txn, id, &points, &err));
    }
    MUST(parts_add_partition(&txn, &writer.partition, &err));
    MUST(write_txn_commit(&txn, &err));
    partition_writer_fini(&writer);
}

/* In windows of the level. */
static void write_level(struct bench *bench, enum level level, int64_t from, int64_t to,
                        uint32_t series)
{
    static const int64_t windows[LEVEL_COUNT] = {MINUTES_PER_WINDOW, QUARTERS_PER_WEEK,
                                                 DAYS_PER_WINDOW};
    for (; from < to; from += windows[level])
        write_partition(bench, level, from, from + windows[level] < to ? from + windows[level] : to,
                        series);
}

/* The cells of `minutes` minutes of all series, of which it has one of `every`. */
static void write_run(struct bench *bench, unsigned tier, int64_t from, int64_t minutes,
                      uint32_t every)
{
    struct run_writer writer;
    struct write_txn txn;
    int64_t to = from + minutes;

    MUST(write_txn_begin(bench->store, NULL, &txn, &err));
    run_writer_init(&writer, tier, ++bench->runs);
    while (from < to) {
        int64_t next = (quarter_of_minute(from) + 1) * MINUTES_PER_QUARTER;
        for (uint32_t id = every; id <= MANY; id += every) {
            for (int64_t minute = from; minute < to && minute < next; minute++) {
                struct cell cell = CELL_EMPTY;
                add_minute(&cell.aggregate, id, minute);
                MUST(run_writer_add(&writer, &txn, id, minute, &cell, &err));
            }
        }
        from = next;
    }
    MUST(run_writer_flush(&writer, &txn, &err));
    writer.run.version = 1;
    MUST(parts_add_run(&txn, &writer.run, &err));
    MUST(write_txn_commit(&txn, &err));
    run_writer_fini(&writer);
}

static void write_days(struct bench *bench)
{
    struct write_txn txn;
    uint32_t calendar = 0;

    MUST(write_txn_begin(bench->store, NULL, &txn, &err));
    MUST(parts_add_calendar(&txn, str_of("UTC"), &calendar, &err));
    for (int64_t day = START / 1440; day < TODAY / 1440; day++) {
        const struct day_bounds bounds = {day, day * QUARTERS_PER_DAY,
                                          (day + 1) * QUARTERS_PER_DAY};
        MUST(parts_add_day(&txn, calendar, &bounds, &err));
    }
    MUST(
        parts_set_mark(&txn, MARK_QUARTERED, NOW / MINUTES_PER_WINDOW * QUARTERS_PER_WINDOW, &err));
    MUST(write_txn_commit(&txn, &err));
}

static void fill(struct bench *bench)
{
    int64_t folded = NOW - RUN_MINUTES;
    int64_t quartered = NOW / MINUTES_PER_WINDOW * QUARTERS_PER_WINDOW;
    int64_t many = TODAY - (int64_t)MANY_DAYS * 1440;
    int64_t many_days = many / 1440;

    write_level(bench, LEVEL_DAY, START / 1440, many_days, FEW);
    write_level(bench, LEVEL_DAY, many_days, TODAY / 1440, MANY);
    write_level(bench, LEVEL_QUARTER, START / 15, many / 15, FEW);
    write_level(bench, LEVEL_QUARTER, many / 15, quartered, MANY);
    write_level(bench, LEVEL_MINUTE, TODAY - (int64_t)MINUTE_DAYS * 1440, TODAY, FEW);
    write_level(bench, LEVEL_MINUTE, TODAY, folded, MANY);
    write_days(bench);
    for (int64_t i = 0; i < 3; i++)
        write_run(bench, 2, folded + i * 8, 8, 1);
    for (int64_t i = 0; i < 5; i++)
        write_run(bench, 1, folded + 24 + i, 1, 1);
    for (int64_t i = 0; i < 7; i++)
        write_run(bench, 0, NOW - 1, 1, 7 - (uint32_t)i % 3);
}

/* --- reads --- */

enum ask { ASK_CELLS, ASK_LEVELS, ASK_FIRST, ASK_LAST };

struct reading {
    enum ask ask;
    const char *name;
    double bar_ms;  /* 0: none */
    uint32_t first; /* series */
    uint32_t series;
    int64_t from, to; /* minutes */
    int64_t step;
    bool merge;
};

static bool on_cell(size_t series, wall_ms from, const struct cell *cell, void *arg)
{
    double *sum = arg;
    (void)series;
    (void)from;
    *sum += aggregate_sum(&cell->aggregate);
    return true;
}

/* Levels at the end of the range, or the time of the first or last sample. */
static double ask_outermost(struct read_txn *txn, const struct reading *reading,
                            const struct query_series *series)
{
    struct level_sample *levels = memory_zero(reading->series, sizeof *levels);
    struct coverage coverage = COVERAGE_EMPTY;
    wall_ms first = 0;
    wall_ms last = 0;
    double sum = 0;
    const struct query_levels question = {series, reading->series, reading->to * MS_PER_MINUTE,
                                          WALL_NONE};
    const struct scan_times times = {series, reading->series,
                                     reading->ask == ASK_FIRST ? &first : NULL,
                                     reading->ask == ASK_LAST ? &last : NULL};

    if (reading->ask == ASK_LEVELS)
        MUST(query_levels(txn, &question, levels, &coverage, &err));
    else
        MUST(scan_times(txn, &times, &coverage, &err));
    for (uint32_t i = 0; i < reading->series; i++)
        sum += levels[i].value;
    free(levels);
    return sum + (double)first + (double)last;
}

static double read_once(struct bench *bench, const struct reading *reading)
{
    struct coverage coverage = COVERAGE_EMPTY;
    struct query_series *series = memory_zero(reading->series, sizeof *series);
    const struct query query = {.series = series,
                                .series_count = reading->series,
                                .from = reading->from * MS_PER_MINUTE,
                                .to = reading->to * MS_PER_MINUTE,
                                .step = reading->step * MS_PER_MINUTE,
                                .merge_series = reading->merge};
    double sum = 0;

    for (uint32_t i = 0; i < reading->series; i++)
        series[i].id = reading->first + i;
    struct error error = ERROR_EMPTY;
    struct read_txn *txn = read_txn_begin(bench->store, &error);
    if (txn == NULL)
        fail(error.text);
    if (reading->ask == ASK_CELLS)
        MUST(query_cells(txn, &query, on_cell, &sum, &coverage, &err));
    else
        sum = ask_outermost(txn, reading, series);
    read_txn_end(txn);
    free(series);
    return sum;
}

/* The blocks of the series in partitions of a level and of buckets [from, to). */
static uint64_t walk_level(struct bench *bench, struct read_txn *txn, const struct reading *reading,
                           enum level level, const int64_t range[2])
{
    struct arena arena = ARENA_EMPTY;
    struct partition *partitions = NULL;
    MDB_cursor *cursor = NULL;
    size_t count = 0;
    uint64_t sum = 0;

    MUST(parts_partitions(
        txn, &(const struct bucket_range){level, level == LEVEL_DAY ? 1 : 0, range[0], range[1]},
        &arena, &partitions, &count, &err));
    if (mdb_cursor_open(txn->txn, bench->store->databases[parts_blocks(level)], &cursor) != 0)
        fail("no cursor");
    for (size_t i = 0; i < count; i++) {
        uint32_t id = reading->first;
        struct schema_key first = SCHEMA_KEY_EMPTY;
        MDB_val value;
        schema_put_u32(&first, partitions[i].number);
        schema_put_u32(&first, id);
        MDB_val key = store_key(&first);
        int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        while (rc == 0) {
            struct schema_reader reader = schema_reader_of(store_bytes(&key));
            if (schema_get_u32(&reader) != partitions[i].number ||
                schema_get_u32(&reader) >= id + reading->series)
                break;
            for (size_t j = 0; j + 8 <= value.mv_size; j += 8) {
                uint64_t word = 0;
                memcpy(&word, (const char *)value.mv_data + j, sizeof word);
                sum += word;
            }
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }
    mdb_cursor_close(cursor);
    arena_fini(&arena);
    return sum;
}

/* The limit: every block of the range's best level once, its bytes added up. */
static uint64_t walk_once(struct bench *bench, const struct reading *reading)
{
    const int64_t days[2] = {reading->from / 1440, reading->to / 1440};
    const int64_t quarters[2] = {reading->from / 15, reading->to / 15};
    const int64_t minutes[2] = {reading->from, reading->to};
    struct error error = ERROR_EMPTY;
    struct read_txn *txn = read_txn_begin(bench->store, &error);
    uint64_t sum = 0;

    if (txn == NULL)
        fail(error.text);
    if (reading->step == 1)
        sum = walk_level(bench, txn, reading, LEVEL_MINUTE, minutes);
    else if (reading->step % 1440 != 0 || reading->from % 1440 != 0 || reading->to > TODAY)
        sum = walk_level(bench, txn, reading, LEVEL_QUARTER, quarters);
    else
        sum = walk_level(bench, txn, reading, LEVEL_DAY, days);
    read_txn_end(txn);
    return sum;
}

static int compare_doubles(const void *a, const void *b)
{
    const double *one = a;
    const double *other = b;
    return (*one > *other) - (*one < *other);
}

/* The median of some calls, in ms of CPU: all pages are in memory, and nothing is waited for. */
static double median_ms(struct bench *bench, const struct reading *reading, bool walk)
{
    enum { TRIES = 21 };
    double times[TRIES];
    static volatile double sink;

    for (size_t i = 0; i < TRIES; i++) {
        double start = seconds_now(CLOCK_THREAD_CPUTIME_ID);
        sink = walk ? (double)walk_once(bench, reading) : read_once(bench, reading);
        times[i] = (seconds_now(CLOCK_THREAD_CPUTIME_ID) - start) * 1e3;
    }
    (void)sink;
    qsort(times, TRIES, sizeof *times, compare_doubles);
    return times[TRIES / 2];
}

static void measure(struct bench *bench, const struct reading *reading)
{
    char beside[80];
    double read = median_ms(bench, reading, false);

    if (reading->ask != ASK_CELLS) {
        (void)printf("%-52s %10.3f ms\n", reading->name, read);
        return;
    }
    double walk = median_ms(bench, reading, true);
    if (reading->bar_ms > 0) {
        (void)snprintf(beside, sizeof beside, "LMDB's cursor over the same blocks %.3f", walk);
        bench_row(reading->name, read, "ms", reading->bar_ms, beside);
        return;
    }
    (void)printf("%-52s %10.3f ms, LMDB's cursor %.3f\n", reading->name, read, walk);
}

/* --- beside the writer --- */

struct reading_thread {
    struct bench *bench;
    const struct reading *readings;
    size_t count;
    _Atomic bool stop;
    uint64_t reads;
    double cpu_s;
};

static void *run_reader(void *arg)
{
    struct reading_thread *reader = arg;
    double begin = seconds_now(CLOCK_MONOTONIC);

    while (!reader->stop) {
        double due = begin + (double)reader->reads / RATE - seconds_now(CLOCK_MONOTONIC);
        if (due > 0)
            (void)usleep((useconds_t)(due * 1e6));
        (void)read_once(reader->bench, &reader->readings[reader->reads++ % reader->count]);
    }
    reader->cpu_s = seconds_now(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

/* Appends runs of the journal's form for a second, each a commit; returns cells for a second of its
 * CPU, which others on the machine disturb less than its time. */
static double ingest_rate(struct bench *bench, uint64_t first_run)
{
    double begin = seconds_now(CLOCK_MONOTONIC);
    double cpu = seconds_now(CLOCK_THREAD_CPUTIME_ID);
    uint64_t cells = 0;
    uint64_t number = first_run;

    while (seconds_now(CLOCK_MONOTONIC) - begin < 1) {
        struct run_writer writer;
        struct write_txn txn;
        MUST(write_txn_begin(bench->store, NULL, &txn, &err));
        run_writer_init(&writer, 0, number++);
        for (uint32_t id = 1; id <= INGEST_CELLS; id++) {
            struct cell cell = CELL_EMPTY;
            add_minute(&cell.aggregate, id, NOW);
            MUST(run_writer_add(&writer, &txn, id, NOW, &cell, &err));
        }
        MUST(run_writer_flush(&writer, &txn, &err));
        MUST(write_txn_commit(&txn, &err));
        run_writer_fini(&writer);
        cells += INGEST_CELLS;
    }
    return (double)cells / (seconds_now(CLOCK_THREAD_CPUTIME_ID) - cpu);
}

/* The figures that KPIs and dashboards ask for all the time, one after the other. */
static void measure_beside_writer(struct bench *bench, const struct reading *readings, size_t count)
{
    enum { ROUNDS = 4 };
    double alone = 0;
    double beside = 0;
    double reads = 0;
    double cpu = 0;

    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct reading_thread reader = {.bench = bench, .readings = readings, .count = count};
        pthread_t thread;
        alone += ingest_rate(bench, 1000 + i * 20000);
        if (pthread_create(&thread, NULL, run_reader, &reader) != 0)
            fail("no thread");
        double begin = seconds_now(CLOCK_MONOTONIC);
        beside += ingest_rate(bench, 11000 + i * 20000);
        reader.stop = true;
        double passed = seconds_now(CLOCK_MONOTONIC) - begin;
        (void)pthread_join(thread, NULL);
        reads += (double)reader.reads / passed / ROUNDS;
        cpu += reader.cpu_s / passed / ROUNDS;
    }
    double slower = (1 - beside / alone) * 100;
    char beside_it[160];
    (void)snprintf(
        beside_it, sizeof beside_it,
        "%.0f reads a second, %.0f %% of a core; %.2f M cells a CPU second alone, %.2f M beside",
        reads, cpu * 100, alone / ROUNDS * 1e-6, beside / ROUNDS * 1e-6);
    bench_row("commits of 20,000 cells beside reads: slower by", slower, "%", 5, beside_it);
}

int main(void)
{
    static const int64_t month = TODAY - INT64_C(30) * 1440;
    static const struct reading readings[] = {
        {ASK_CELLS, "one series, a year of days, one figure", 0.2, 50, 1, START, TODAY, 0, false},
        {ASK_CELLS, "one series, a year of days, each day", 0.2, 50, 1, START, TODAY, 1440, false},
        {ASK_CELLS, "one series, a year until now", 0.2, 50, 1, START, NOW, 0, false},
        {ASK_CELLS, "one series, a month of minutes, each minute", 5, 50, 1, month, TODAY, 1,
         false},
        {ASK_CELLS, "one series, a month of quarters, each hour", 5, 50, 1, month, TODAY, 60,
         false},
        {ASK_CELLS, "10 series, a month of days, summed", 0.2, 1, 10, month, TODAY, 0, true},
        {ASK_CELLS, "10^4 series, a civil day, summed", 50, 1, MANY, TODAY - 1440, TODAY, 0, true},
        {ASK_CELLS, "10^4 series, a civil day, each series", 0, 1, MANY, TODAY - 1440, TODAY, 0,
         false},
        {ASK_CELLS, "10^4 series, a civil day, each hour", 0, 1, MANY, TODAY - 1440, TODAY, 60,
         true},
        {ASK_CELLS, "10^4 series, 24 hours of quarters, summed", 0, 1, MANY, TODAY - 1455,
         TODAY - 15, 0, true},
        {ASK_CELLS, "10^4 series, today so far, summed", 0, 1, MANY, TODAY, NOW, 0, true},
        {ASK_LEVELS, "one series, its level now", 0, 50, 1, NOW, NOW, 0, false},
        {ASK_LEVELS, "10^4 series, their levels now", 0, 1, MANY, NOW, NOW, 0, false},
        {ASK_LEVELS, "10^4 series, their levels a day ago", 0, 1, MANY, NOW - 1440, NOW - 1440, 0,
         false},
        {ASK_LEVELS, "one series that was silent for a year", 0, MANY + 1, 1, NOW, NOW, 0, false},
        {ASK_FIRST, "10 series, their first sample", 0, 1, 10, NOW, NOW, 0, false},
        {ASK_LAST, "10 series, their last sample", 0, 1, 10, NOW, NOW, 0, false},
        {ASK_FIRST, "10^4 series, their first sample", 0, 1, MANY, NOW, NOW, 0, false},
        {ASK_LAST, "10^4 series, their last sample", 0, 1, MANY, NOW, NOW, 0, false},
    };
    static const size_t often[] = {0, 5, 6};
    struct reading mix[3];
    char path[] = "/tmp/kpid-bench-XXXXXX";
    struct error error = ERROR_EMPTY;

    if (mkdtemp(path) == NULL)
        fail("no directory");
    const struct store_options options = {.path = path, .max_size_bytes = MAP_BYTES};
    struct bench bench = {.store = store_open(&options, &error)};
    if (bench.store == NULL)
        fail(error.text);
    bench.points = memory_zero(QUARTERS_PER_WEEK, sizeof *bench.points);
    double start = seconds_now(CLOCK_MONOTONIC);
    fill(&bench);
    (void)printf(
        "filled in %.1f s; times are medians of CPU, the limit is LMDB's cursor over the blocks "
        "of the range's coarsest level\n\n",
        seconds_now(CLOCK_MONOTONIC) - start);
    for (size_t i = 0; i < sizeof readings / sizeof *readings; i++)
        measure(&bench, &readings[i]);
    for (size_t i = 0; i < 3; i++)
        mix[i] = readings[often[i]];
    measure_beside_writer(&bench, mix, 3);
    store_close(bench.store);
    free(bench.points);
    char command[64];
    (void)snprintf(command, sizeof command, "rm -r %s", path);
    return system(command) == 0 ? 0 : 1;
}
