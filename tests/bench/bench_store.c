/* What the store costs: commits, background work, new series, a restart; each beside what LMDB
 * itself takes for the same bytes on this disk in the same run, and beside its bar.
 *
 *   bench_store [ROW...] [--path DIRECTORY] [--minutes N]
 *
 * rows: commit late steady close new restart (all without one). `--minutes` shortens the hour that
 * `steady` simulates. CPU is that of the thread; what a commit takes beyond it is blocked time. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/calendar.h"
#include "base/memory.h"
#include "engine.h"
#include "store/query.h"

#define BEGIN    INT64_C(1774742400000) /* 2026-03-29T00:00:00Z */
#define MAX_SIZE (UINT64_C(64) << 30)

enum {
    TOUCHED = 100 * 1000,
    MILLION = 1000 * 1000,
    PART = 65536, /* cells of one transaction when there are many */
    ROUNDS = 15,
    CHUNK = 4080,
    PATH_BYTES = 200,
    GAUGE_EVERY = 7, /* 14 % gauges, as kpiload's mix */
};

static char base_path[PATH_BYTES] = "/tmp";
static int64_t steady_minutes = 60;

/* --- clocks and rows --- */

struct cost {
    double cpu_ms;
    double wall_ms;
};

static double ms_of(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static struct cost now_cost(void)
{
    return (struct cost){ms_of(CLOCK_THREAD_CPUTIME_ID), ms_of(CLOCK_MONOTONIC)};
}

static struct cost since(struct cost start)
{
    struct cost now = now_cost();
    return (struct cost){now.cpu_ms - start.cpu_ms, now.wall_ms - start.wall_ms};
}

static double blocked(struct cost cost)
{
    return cost.wall_ms > cost.cpu_ms ? cost.wall_ms - cost.cpu_ms : 0;
}

static void row(const char *what, double value, double bar, const char *unit, const char *beside)
{
    (void)printf("%-52s %10.2f %-5s bar %8.2f  %-6s %s\n", what, value, unit, bar,
                 value <= bar ? "ok" : "MISSED", beside);
    (void)fflush(stdout);
}

static int by_wall(const void *a, const void *b)
{
    const struct cost *one = a;
    const struct cost *other = b;
    return (one->wall_ms > other->wall_ms) - (one->wall_ms < other->wall_ms);
}

static struct cost median(struct cost *costs, size_t count)
{
    qsort(costs, count, sizeof *costs, by_wall);
    return costs[count / 2];
}

/* --- a store --- */

static void make_path(char out[PATH_BYTES + 64])
{
    (void)snprintf(out, PATH_BYTES + 64, "%s/kpid-bench-XXXXXX", base_path);
    if (mkdtemp(out) == NULL) {
        perror(out);
        exit(1);
    }
}

static void remove_path(const char *path)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "lock"};
    char file[PATH_BYTES + 96];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(file, sizeof file, "%s/%s", path, names[i]);
        (void)unlink(file);
    }
    (void)rmdir(path);
}

static double file_mib(const char *path)
{
    char file[PATH_BYTES + 96];
    struct stat facts = {0};
    (void)snprintf(file, sizeof file, "%s/data.mdb", path);
    (void)stat(file, &facts);
    return (double)facts.st_size / (1 << 20);
}

static double written_mib(void)
{
    char line[128];
    unsigned long long bytes = 0;
    FILE *file = fopen("/proc/self/io", "re");

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "write_bytes: %llu", &bytes) == 1)
            break;
    }
    if (file != NULL)
        (void)fclose(file);
    return (double)bytes / (1 << 20);
}

/* --- deltas --- */

/* "bench.counter.name.000000012345": 32 bytes. */
static void add_key(struct delta *delta, uint32_t number, bool with_key)
{
    char name[40];
    struct buf key = BUF_EMPTY;
    enum metric_kind kind = number % GAUGE_EVERY == 0 ? METRIC_GAUGE : METRIC_COUNTER;

    (void)snprintf(name, sizeof name, "bench.%s.name.%014u",
                   kind == METRIC_GAUGE ? "gauges." : "counter", number);
    series_key_write(&key, kind, str_of(name), NULL, 0);
    (void)delta_add_series(delta, series_key_hash(buf_view(&key)),
                           with_key ? buf_view(&key) : STR_EMPTY);
    buf_fini(&key);
}

struct shape {
    uint32_t from, to; /* series, half open */
    wall_ms at;
    int64_t oldest_minutes; /* samples are so much older at most, at random; 0: of now */
    bool with_keys;
};

static struct delta *make_delta(const struct shape *shape)
{
    static uint64_t random = 88172645463325252U;
    struct delta *delta = delta_new();

    delta_reserve(delta, shape->to - shape->from, shape->to - shape->from);
    for (uint32_t number = shape->from; number < shape->to; number++) {
        wall_ms at = shape->at + number % 1000;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if (shape->oldest_minutes > 0)
            at -= (2 + (int64_t)(random % (uint64_t)(shape->oldest_minutes - 2))) * MS_PER_MINUTE;
        add_key(delta, number, shape->with_keys);
        struct delta_cell *cell =
            delta_add_cell(delta, (uint32_t)delta->series_count - 1, minute_of(at));
        double value =
            number % GAUGE_EVERY == 0 ? (double)(random % 1000000) / 100 : (double)(1 + random % 9);
        aggregate_add(&cell->cell.aggregate, value, WEIGHT_ONE, at,
                      (uint64_t)at * 1000 + random % 900);
    }
    return delta;
}

static struct cost commit(struct engine *engine, struct delta *delta, wall_ms now)
{
    struct error err = ERROR_EMPTY;
    struct cost start = now_cost();
    if (!engine_commit(engine, delta, now, &err))
        engine_fail("commit", &err);
    struct cost cost = since(start);
    delta_free(delta);
    return cost;
}

static struct cost commit_all(struct engine *engine, uint32_t series, wall_ms at, bool with_keys)
{
    struct cost total = {0};

    for (uint32_t from = 0; from < series; from += PART) {
        const struct shape shape = {.from = from,
                                    .to = from + PART < series ? from + PART : series,
                                    .at = at,
                                    .with_keys = with_keys};
        struct cost cost = commit(engine, make_delta(&shape), at);
        total.cpu_ms += cost.cpu_ms;
        total.wall_ms += cost.wall_ms;
    }
    return total;
}

/* What LMDB takes to append so many bytes in pages and commit: the limit. */
static struct cost append_limit(struct engine *engine, uint64_t bytes)
{
    static uint64_t number = UINT64_C(1) << 40;
    static char page[CHUNK];
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    struct cost start = now_cost();
    bool ok = write_txn_begin(engine->store, NULL, &txn, &err);

    for (uint64_t done = 0; ok && done < bytes; done += CHUNK) {
        struct schema_key key = SCHEMA_KEY_EMPTY;
        schema_put_u64(&key, number++);
        ok = store_put(&txn, DATABASE_INDEX, store_key(&key), (struct str){page, sizeof page},
                       MDB_APPEND, &err);
    }
    if (!ok || !write_txn_commit(&txn, &err))
        engine_fail("append", &err);
    return since(start);
}

static uint64_t run_bytes(struct engine *engine)
{
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct run *runs = NULL;
    size_t count = 0;
    uint64_t bytes = 0;
    struct read_txn *txn = read_txn_begin(engine->store, &err);

    if (txn == NULL || !parts_runs(txn, &arena, &runs, &count, &err))
        engine_fail("runs", &err);
    for (size_t i = 0; i < count; i++)
        bytes = runs[i].tier == 0 && runs[i].number == engine->commit ? runs[i].bytes : bytes;
    read_txn_end(txn);
    arena_fini(&arena);
    return bytes;
}

/* --- rows --- */

static void bench_commit(int64_t oldest_minutes, const char *what, double bar)
{
    char path[PATH_BYTES + 64];
    struct engine engine;
    struct upkeep_options options = {0};
    struct cost costs[ROUNDS];
    struct cost limits[ROUNDS];
    uint64_t bytes = 0;
    char beside[160];

    make_path(path);
    engine_open(&engine, path, MAX_SIZE, &options);
    (void)commit_all(&engine, TOUCHED, BEGIN, true);
    for (int i = 0; i < ROUNDS; i++) {
        const struct shape shape = {
            .to = TOUCHED, .at = BEGIN + MS_PER_HOUR + i * 1000, .oldest_minutes = oldest_minutes};
        costs[i] = commit(&engine, make_delta(&shape), shape.at);
        bytes = run_bytes(&engine);
        limits[i] = append_limit(&engine, bytes);
    }
    struct cost cost = median(costs, ROUNDS);
    struct cost limit = median(limits, ROUNDS);
    (void)snprintf(beside, sizeof beside,
                   "cpu %.2f + blocked %.2f; %.1f bytes a cell; LMDB alone %.2f + %.2f ms",
                   cost.cpu_ms, blocked(cost), (double)bytes / TOUCHED, limit.cpu_ms,
                   blocked(limit));
    row(what, cost.wall_ms, bar, "ms", beside);
    engine_close(&engine);
    remove_path(path);
}

static void bench_steady(void)
{
    char path[PATH_BYTES + 64];
    struct engine engine;
    struct upkeep_options options = {0};
    struct upkeep_counts counts;
    struct cost commits = {0};
    double upkeep_cpu = 0;
    double file_middle = 0;
    char beside[160];
    int64_t seconds = steady_minutes * 60;

    make_path(path);
    engine_open(&engine, path, MAX_SIZE, &options);
    (void)commit_all(&engine, TOUCHED, BEGIN, true);
    double written = written_mib();
    for (int64_t second = 0; second < seconds; second++) {
        const struct shape shape = {.to = TOUCHED, .at = BEGIN + second * 1000};
        struct cost cost = commit(&engine, make_delta(&shape), shape.at);
        commits.cpu_ms += cost.cpu_ms;
        commits.wall_ms += cost.wall_ms;
        engine_set_clock(&engine, shape.at);
        struct cost start = now_cost();
        (void)engine_upkeep(&engine, 8);
        upkeep_cpu += since(start).cpu_ms;
        if (second == seconds / 2)
            file_middle = file_mib(path);
        if (second % 300 == 299)
            (void)fprintf(stderr, "steady: %lld of %lld simulated minutes\r",
                          (long long)(second / 60 + 1), (long long)steady_minutes);
    }
    upkeep_counts(engine.upkeep, &counts);
    double busy = (commits.wall_ms + upkeep_cpu) / (double)seconds / 10;
    (void)snprintf(beside, sizeof beside,
                   "commits %.2f ms cpu + %.2f blocked, upkeep %.2f ms cpu a second; slowest step "
                   "%.1f ms",
                   commits.cpu_ms / (double)seconds, blocked(commits) / (double)seconds,
                   upkeep_cpu / (double)seconds, (double)counts.slowest_step_us / 1e3);
    row("steady: 10^5 touched each second, writer busy", busy, 8, "%", beside);
    row("steady: written to disk", (written_mib() - written) / (double)seconds, 3, "MB/s", "");
    (void)snprintf(beside, sizeof beside, "MiB at the middle %.0f, at the end %.0f", file_middle,
                   file_mib(path));
    row("steady: the file's growth in the second half", file_mib(path) / file_middle, 1.5, "times",
        beside);
    engine_close(&engine);
    remove_path(path);
}

/* Runs one simulated minute of a million series. */
static struct cost live_minute(struct engine *engine, int64_t minute)
{
    wall_ms at = BEGIN + minute * MS_PER_MINUTE;
    struct cost cost = commit_all(engine, MILLION, at, false);
    engine_set_clock(engine, at + MS_PER_MINUTE);
    (void)engine_upkeep(engine, 100000);
    return cost;
}

static void bench_close_and_restart(bool with_restart)
{
    enum { QUARTERS = 8 };
    char path[PATH_BYTES + 64];
    struct engine engine;
    struct upkeep_options options = {0};
    struct upkeep_counts before;
    struct upkeep_counts after;
    char beside[160];
    int64_t minutes = (with_restart ? 100 : 30);

    make_path(path);
    engine_open(&engine, path, MAX_SIZE, &options);
    (void)commit_all(&engine, MILLION, BEGIN, true);
    (void)engine_upkeep(&engine, 100000);
    upkeep_counts(engine.upkeep, &before);
    struct cost commits = {0};
    for (int64_t minute = 1; minute <= minutes; minute++) {
        struct cost cost = live_minute(&engine, minute);
        commits.cpu_ms += cost.cpu_ms;
        commits.wall_ms += cost.wall_ms;
        (void)fprintf(stderr, "close: %lld of %lld simulated minutes\r", (long long)minute,
                      (long long)minutes);
    }
    upkeep_counts(engine.upkeep, &after);
    double each = (double)(after.cpu_us - before.cpu_us) / 1e3 / (double)minutes;
    (void)snprintf(beside, sizeof beside, "beside commits of %.0f ms cpu a minute; %llu steps",
                   commits.cpu_ms / (double)minutes,
                   (unsigned long long)(after.steps - before.steps));
    row("closing a minute of 10^6 series, all background work", each, 1000, "ms", beside);
    row("  its slowest step, CPU", (double)after.slowest_step_us / 1e3, 20, "ms", "");
    engine_close(&engine);
    if (with_restart) {
        struct error err = ERROR_EMPTY;
        const struct store_options store_options = {path, MAX_SIZE};
        struct cost start = now_cost();
        struct store *store = store_open(&store_options, &err);
        struct read_txn *txn = store == NULL ? NULL : read_txn_begin(store, &err);
        if (txn == NULL)
            engine_fail("restart", &err);
        double open_ms = since(start).wall_ms;
        const struct query_series one = {.id = 4711};
        struct coverage coverage = COVERAGE_EMPTY;
        struct level_sample level;
        bool found = false;
        start = now_cost();
        if (!query_level(txn, one.id, BEGIN + MS_PER_HOUR, &level, &found, &err) || !found)
            engine_fail("closed data", &err);
        double closed_ms = since(start).wall_ms;
        start = now_cost();
        if (!query_level(txn, one.id, BEGIN + minutes * MS_PER_MINUTE + 1000, &level, &found,
                         &err) ||
            !found)
            engine_fail("open minutes", &err);
        double newest_ms = since(start).wall_ms;
        (void)coverage;
        (void)snprintf(beside, sizeof beside, "%.0f MiB; open %.2f, closed data %.2f ms",
                       file_mib(path), open_ms, closed_ms);
        row("restart with 10^6 series, 10^8 points: first answer", open_ms + closed_ms, 100, "ms",
            beside);
        row("restart: open minutes complete", open_ms + newest_ms, 500, "ms", "");
        read_txn_end(txn);
        store_close(store);
    }
    remove_path(path);
}

static void bench_new(void)
{
    char path[PATH_BYTES + 64];
    struct engine engine;
    struct upkeep_options options = {0};
    struct cost total = {0};
    double slowest = 0;
    char beside[160];

    make_path(path);
    engine_open(&engine, path, MAX_SIZE, &options);
    const uint32_t part = PART / 4;
    for (uint32_t from = 0; from < MILLION; from += part) {
        const struct shape shape = {.from = from,
                                    .to = from + part < MILLION ? from + part : MILLION,
                                    .at = BEGIN,
                                    .with_keys = true};
        struct cost cost = commit(&engine, make_delta(&shape), BEGIN);
        total.cpu_ms += cost.cpu_ms;
        total.wall_ms += cost.wall_ms;
        slowest = fmax(slowest, cost.cpu_ms);
    }
    struct cost limit = append_limit(&engine, (uint64_t)MILLION * 50);
    (void)snprintf(
        beside, sizeof beside,
        "cpu %.0f ms; slowest transaction %.1f ms cpu; LMDB appends 50 B each in %.0f ms",
        total.cpu_ms, slowest, limit.wall_ms);
    row("10^6 new series durable, writer time", total.wall_ms / 1e3, 3, "s", beside);
    row("  its slowest transaction, CPU", slowest, 20, "ms", "");
    engine_set_clock(&engine, BEGIN);
    struct cost start = now_cost();
    (void)engine_upkeep(&engine, 1000000);
    struct cost index = since(start);
    struct upkeep_counts counts;
    upkeep_counts(engine.upkeep, &counts);
    (void)snprintf(beside, sizeof beside, "cpu %.1f s in %llu steps, slowest %.1f ms",
                   index.cpu_ms / 1e3, (unsigned long long)counts.steps,
                   (double)counts.slowest_step_us / 1e3);
    row("  indexed within", index.wall_ms / 1e3, 30, "s", beside);
    engine_close(&engine);
    remove_path(path);
}

static bool wanted(int argc, char **argv, const char *name)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--path") == 0 || strcmp(argv[i], "--minutes") == 0) {
            i++;
            continue;
        }
        if (strcmp(argv[i], name) == 0)
            return true;
        any = true;
    }
    return !any;
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--path") == 0)
            (void)snprintf(base_path, sizeof base_path, "%s", argv[i + 1]);
        if (strcmp(argv[i], "--minutes") == 0)
            steady_minutes = strtoll(argv[i + 1], NULL, 10);
    }
    if (wanted(argc, argv, "commit"))
        bench_commit(0, "commit of 10^5 touched series, median", 25);
    if (wanted(argc, argv, "late"))
        bench_commit(60, "the same, cells 2 to 60 minutes old", 50);
    if (wanted(argc, argv, "new"))
        bench_new();
    if (wanted(argc, argv, "steady"))
        bench_steady();
    if (wanted(argc, argv, "close") || wanted(argc, argv, "restart"))
        bench_close_and_restart(wanted(argc, argv, "restart"));
    return 0;
}
