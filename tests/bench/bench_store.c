/* What the store costs: commits, background work, new series, a restart; each beside what LMDB
 * itself takes for the same bytes on this disk in the same run, and beside its bar.
 *
 *   bench_store [ROW...] [--path DIRECTORY] [--minutes N] [--keep]
 *
 * rows: commit late new new-names steady close restart (all without one). `--minutes` is how long
 * `steady`, `close` and `restart` simulate (60, 30 and 100 without). `--keep` leaves the store of
 * `restart` in DIRECTORY itself. CPU is that of the thread; what a call takes beyond it is blocked
 * time. Samples are made outside of what is measured. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/calendar.h"
#include "base/memory.h"
#include "bench_row.h"
#include "engine.h"
#include "store/query.h"

#define MAX_SIZE (UINT64_C(64) << 30)

enum {
    TOUCHED = 100 * 1000,
    MILLION = 1000 * 1000,
    PART = 65536,        /* cells of one transaction when there are many */
    NEW_PART = PART / 5, /* the same of new series with a cell each (store/group.c) */
    ROUNDS = 15,
    CHUNK = 4080,
    PATH_BYTES = 200,
    GAUGE_EVERY = 7, /* 14 % gauges, as kpiload's mix */
};

static char base_path[PATH_BYTES] = "/tmp";
static int64_t minutes_wanted; /* 0: each row's own */
static bool keeps;
static bool scatters; /* names */
static wall_ms begin; /* of the simulated time; so early that it ends before now */

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

static void add_cost(struct cost *total, struct cost cost)
{
    total->cpu_ms += cost.cpu_ms;
    total->wall_ms += cost.wall_ms;
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

/* The pages on LMDB's list of free ones: database 0, of which each value begins with a count. */
static double free_mib(struct engine *engine)
{
    struct error err = ERROR_EMPTY;
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    uint64_t pages = 0;
    struct read_txn *txn = read_txn_begin(engine->store, &err);

    if (txn == NULL || mdb_cursor_open(txn->txn, 0, &cursor) != 0)
        engine_fail("free pages", &err);
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        size_t count = 0;
        memcpy(&count, value.mv_data, sizeof count);
        pages += count;
    }
    mdb_cursor_close(cursor);
    read_txn_end(txn);
    return (double)pages * 4096 / (1 << 20);
}

/* Megabytes by the name that /proc/self/io gives them: "wchar" is what was given to write calls.
 * "write_bytes" counts pages of the cache that became dirty, whole folios of them: where these are
 * large that is more than reaches the disk. */
static double written_mb(const char *name)
{
    char line[128];
    unsigned long long bytes = 0;
    size_t len = strlen(name);
    FILE *file = fopen("/proc/self/io", "re");

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, len) == 0 && sscanf(line + len, ": %llu", &bytes) == 1)
            break;
    }
    if (file != NULL)
        (void)fclose(file);
    return (double)bytes / 1e6;
}

/* --- deltas --- */

/* What is said of one name is all over the order of names. */
static uint64_t scattered(uint32_t number)
{
    return number * UINT64_C(0x9e3779b97f4a7c15);
}

/* Names of 32 bytes, each a metric of its own: "bench.counter.name.00000000012345"; or scattered,
 * "0123456789abcdef.counter.0012345". */
static void add_key(struct delta *delta, uint32_t number, bool with_key)
{
    char name[40];
    struct buf key = BUF_EMPTY;
    enum metric_kind kind = number % GAUGE_EVERY == 0 ? METRIC_GAUGE : METRIC_COUNTER;

    const char *words = kind == METRIC_GAUGE ? "gauges." : "counter";
    if (scatters)
        (void)snprintf(name, sizeof name, "%016llx.%s.%07u", (unsigned long long)scattered(number),
                       words, number);
    else
        (void)snprintf(name, sizeof name, "bench.%s.name.%014u", words, number);
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
        add_cost(&total, cost);
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
    (void)commit_all(&engine, TOUCHED, begin, true);
    for (int i = 0; i < ROUNDS; i++) {
        const struct shape shape = {
            .to = TOUCHED, .at = begin + MS_PER_HOUR + i * 1000, .oldest_minutes = oldest_minutes};
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
    bench_row(what, cost.wall_ms, "ms", bar, beside);
    engine_close(&engine);
    remove_path(path);
}

static int64_t minutes_or(int64_t usual)
{
    return minutes_wanted == 0 ? usual : minutes_wanted;
}

/* One simulated second: 10^5 series touched, and background work as far as there is some. */
static void live_second(struct engine *engine, wall_ms at, struct cost *commits,
                        struct cost *upkeep)
{
    const struct shape shape = {.to = TOUCHED, .at = at};
    struct cost cost = commit(engine, make_delta(&shape), at);

    add_cost(commits, cost);
    engine_set_clock(engine, at);
    struct cost start = now_cost();
    (void)engine_upkeep(engine, 8);
    add_cost(upkeep, since(start));
}

static void bench_steady(void)
{
    char path[PATH_BYTES + 64];
    struct engine engine;
    struct upkeep_options options = {0};
    struct upkeep_counts counts;
    struct cost commits = {0};
    struct cost upkeep = {0};
    double middle_mib = 0;
    char beside[200];
    const int64_t seconds = minutes_or(60) * 60;

    make_path(path);
    engine_open(&engine, path, MAX_SIZE, &options);
    (void)commit_all(&engine, TOUCHED, begin, true);
    (void)engine_upkeep(&engine, 100000); /* the index of the new series is no steady load */
    double written = written_mb("wchar");
    double dirtied = written_mb("write_bytes");
    for (int64_t second = 0; second < seconds; second++) {
        live_second(&engine, begin + second * 1000, &commits, &upkeep);
        if (second == seconds / 2)
            middle_mib = file_mib(path);
        if (second % 300 == 299)
            (void)fprintf(stderr, "steady: %lld of %lld simulated minutes\n",
                          (long long)(second / 60 + 1), (long long)(seconds / 60));
    }
    written = written_mb("wchar") - written;
    dirtied = written_mb("write_bytes") - dirtied;
    upkeep_counts(engine.upkeep, &counts);
    double each = (double)seconds;
    double journal_mb = (double)run_bytes(&engine) / 1e6;
    (void)snprintf(
        beside, sizeof beside,
        "each second: commit %.1f ms cpu, %.1f blocked; upkeep %.1f ms cpu, %.1f blocked",
        commits.cpu_ms / each, blocked(commits) / each, upkeep.cpu_ms / each,
        blocked(upkeep) / each);
    bench_row("steady, 10^5 touched each second: writer",
              (commits.cpu_ms + upkeep.cpu_ms) / each / 10, "%", 8, beside);
    bench_row("steady: slowest background step, CPU", (double)counts.slowest_step_us / 1e3, "ms",
              20, "");
    (void)snprintf(beside, sizeof beside,
                   "of them the journal itself %.2f; dirtied pages of the cache %.2f", journal_mb,
                   dirtied / each);
    bench_row("steady: written to disk", written / each, "MB/s", 3, beside);
    double file = file_mib(path);
    double room = fmax(file / 4, 180 * journal_mb);
    (void)snprintf(beside, sizeof beside, "MiB: %.0f in the middle, %.0f at the end", middle_mib,
                   file);
    bench_row("steady: growth of the file in the second half", file / middle_mib, "times", 1.5,
              beside);
    (void)snprintf(beside, sizeof beside, "of a file of %.0f", file);
    bench_row("steady: free pages", free_mib(&engine), "MiB", room, beside);
    engine_close(&engine);
    remove_path(path);
}

/* One simulated minute of a million series, and all background work that it makes. */
static struct cost live_minute(struct engine *engine, int64_t minute)
{
    wall_ms at = begin + minute * MS_PER_MINUTE;
    struct cost cost = commit_all(engine, MILLION, at, false);
    engine_set_clock(engine, at + MS_PER_MINUTE);
    (void)engine_upkeep(engine, 100000);
    return cost;
}

static void bench_close(void)
{
    char path[PATH_BYTES + 64];
    struct engine engine;
    struct upkeep_options options = {0};
    struct upkeep_counts before;
    struct upkeep_counts after;
    struct cost commits = {0};
    char beside[160];
    const int64_t minutes = minutes_or(30);

    make_path(path);
    engine_open(&engine, path, MAX_SIZE, &options);
    (void)commit_all(&engine, MILLION, begin, true);
    (void)engine_upkeep(&engine, 100000);
    upkeep_counts(engine.upkeep, &before);
    for (int64_t minute = 1; minute <= minutes; minute++) {
        add_cost(&commits, live_minute(&engine, minute));
        if (minute % 5 == 0)
            (void)fprintf(stderr, "close: %lld of %lld simulated minutes\n", (long long)minute,
                          (long long)minutes);
    }
    upkeep_counts(engine.upkeep, &after);
    double each = (double)(after.cpu_us - before.cpu_us) / 1e3 / (double)minutes;
    (void)snprintf(beside, sizeof beside, "cpu of all background work; beside commits of %.0f ms",
                   commits.cpu_ms / (double)minutes);
    bench_row("closing a minute with 10^6 series", each, "ms", 1000, beside);
    (void)snprintf(beside, sizeof beside, "of %llu",
                   (unsigned long long)(after.steps - before.steps));
    bench_row("closing: slowest step, CPU", (double)after.slowest_step_us / 1e3, "ms", 20, beside);
    engine_close(&engine);
    remove_path(path);
}

/* --- restart --- */

/* Fills a store and goes on with 10^5 touched series a second until it is killed; says each
 * acknowledged commit on the pipe. */
static void live_until_killed(const char *path, int64_t minutes, int pipe)
{
    struct engine engine;
    struct upkeep_options options = {0};
    struct cost ignored = {0};

    engine_open(&engine, path, MAX_SIZE, &options);
    (void)commit_all(&engine, MILLION, begin, true);
    for (int64_t minute = 1; minute < minutes; minute++) {
        (void)live_minute(&engine, minute);
        if (minute % 10 == 0)
            (void)fprintf(stderr, "restart: %lld of %lld simulated minutes\n", (long long)minute,
                          (long long)minutes);
    }
    for (int64_t second = 0;; second++) {
        live_second(&engine, begin + minutes * MS_PER_MINUTE + second * 1000, &ignored, &ignored);
        if (write(pipe, "", 1) != 1)
            exit(1);
    }
}

/* Returns how many commits were acknowledged before it was killed in the middle of the next. */
static uint64_t kill_a_writer(const char *path, int64_t minutes)
{
    enum { SECONDS = 200 };
    int ends[2];
    char byte = 0;
    uint64_t acknowledged = 0;

    if (pipe(ends) != 0) {
        perror("pipe");
        exit(1);
    }
    pid_t child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        live_until_killed(path, minutes, ends[1]);
    }
    (void)close(ends[1]);
    while (acknowledged < SECONDS && read(ends[0], &byte, 1) == 1)
        acknowledged++;
    (void)usleep(11 * 1000);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    while (read(ends[0], &byte, 1) == 1)
        acknowledged++;
    (void)close(ends[0]);
    return acknowledged;
}

static bool add_count(size_t series, wall_ms from, const struct cell *cell, void *arg)
{
    double *count = arg;
    (void)series;
    (void)from;
    *count += aggregate_count(&cell->aggregate);
    return true;
}

/* Samples of the first series in [from, to). */
static double count_of(struct read_txn *txn, uint32_t series, wall_ms from, wall_ms to)
{
    struct error err = ERROR_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;
    struct query_series *all = memory_zero(series, sizeof *all);
    const struct query query = {
        .series = all, .series_count = series, .from = from, .to = to, .merge_series = true};
    double count = 0;

    for (uint32_t i = 0; i < series; i++)
        all[i].id = i + 1;
    if (!query_cells(txn, &query, add_count, &count, &coverage, &err))
        engine_fail("restart", &err);
    free(all);
    return count;
}

static void bench_restart(void)
{
    char path[PATH_BYTES + 64];
    struct error err = ERROR_EMPTY;
    char beside[160];
    const int64_t minutes = minutes_or(100);
    begin = (clock_wall() / MS_PER_MINUTE - minutes - 5) * MS_PER_MINUTE; /* it ends about now */
    const wall_ms touched_from = begin + minutes * MS_PER_MINUTE;

    if (keeps)
        (void)snprintf(path, sizeof path, "%s", base_path);
    else
        make_path(path);
    uint64_t acknowledged = kill_a_writer(path, minutes);
    const struct store_options options = {path, MAX_SIZE};
    struct cost start = now_cost();
    struct store *store = store_open(&options, &err);
    struct read_txn *txn = store == NULL ? NULL : read_txn_begin(store, &err);
    if (txn == NULL)
        engine_fail("restart", &err);
    double open_ms = since(start).wall_ms;
    const int64_t closed = minutes < 15 ? minutes : 15;
    if (count_of(txn, 1, begin, begin + closed * MS_PER_MINUTE) != (double)closed)
        engine_fail("closed data is not there", &err);
    double closed_ms = since(start).wall_ms;
    double found = count_of(txn, TOUCHED, touched_from, touched_from + MS_PER_HOUR) / TOUCHED;
    double complete_ms = since(start).wall_ms;
    if (found != (double)acknowledged && found != (double)acknowledged + 1)
        engine_fail("what was acknowledged is not there", &err);
    (void)snprintf(beside, sizeof beside, "%.1e points in %.0f MiB; opened in %.2f ms",
                   (double)minutes * MILLION, file_mib(path), open_ms);
    bench_row("restart after kill -9: closed data answered", closed_ms, "ms", 100, beside);
    (void)snprintf(beside, sizeof beside, "all %.1e acknowledged samples of 10^5 series counted",
                   found * TOUCHED);
    bench_row("restart: open minutes complete", complete_ms, "ms", 500, beside);
    read_txn_end(txn);
    store_close(store);
    if (!keeps)
        remove_path(path);
}

/* What a burst of new series has cost. */
struct burst {
    struct cost total;
    double slowest_ms; /* CPU of a transaction */
    double limit_ms;   /* LMDB alone */
    double written_mb;
};

static struct burst make_series(struct engine *engine)
{
    const uint32_t part = NEW_PART;
    struct burst burst = {.written_mb = -written_mb("wchar")};

    for (uint32_t from = 0; from < MILLION; from += part) {
        const struct shape shape = {.from = from,
                                    .to = from + part < MILLION ? from + part : MILLION,
                                    .at = begin,
                                    .with_keys = true};
        struct cost cost = commit(engine, make_delta(&shape), begin);
        add_cost(&burst.total, cost);
        burst.slowest_ms = fmax(burst.slowest_ms, cost.cpu_ms);
    }
    burst.written_mb += written_mb("wchar");
    burst.limit_ms = append_limit(engine, (uint64_t)MILLION * 50).wall_ms;
    return burst;
}

/* Makes them in a process of its own, which is killed as soon as the last one is acknowledged. */
static struct burst kill_after_a_burst(const char *path)
{
    struct burst burst;
    int ends[2];

    if (pipe(ends) != 0) {
        perror("pipe");
        exit(1);
    }
    pid_t child = fork();
    if (child == 0) {
        struct engine engine;
        struct upkeep_options options = {0};
        engine_open(&engine, path, MAX_SIZE, &options);
        burst = make_series(&engine);
        if (write(ends[1], &burst, sizeof burst) == sizeof burst)
            (void)pause();
        exit(1);
    }
    (void)close(ends[1]);
    if (read(ends[0], &burst, sizeof burst) != sizeof burst) {
        (void)fprintf(stderr, "new: the writer ended\n");
        exit(1);
    }
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    (void)close(ends[0]);
    return burst;
}

/* Every sample is there; and every thousandth series is found by its name. */
static void find_series(struct engine *engine)
{
    enum { EVERY = 1000 };
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct store_usage usage;
    struct read_txn *txn = read_txn_begin(engine->store, &err);

    if (txn == NULL)
        engine_fail("new", &err);
    store_usage(txn, &usage);
    if (usage.series != MILLION ||
        count_of(txn, MILLION, begin, begin + MS_PER_MINUTE) != (double)MILLION)
        engine_fail("what was acknowledged is not there", &err);
    for (uint32_t number = 0; number < MILLION; number += EVERY) {
        struct delta *delta = delta_new();
        struct query_series found;
        add_key(delta, number, true);
        if (!query_series_by_hash(txn, delta->series[0].hash, &arena, &found) ||
            found.id != number + 1)
            engine_fail("a series is not found", &err);
        delta_free(delta);
    }
    read_txn_end(txn);
    arena_fini(&arena);
}

static void bench_burst(const char *names)
{
    char path[PATH_BYTES + 64];
    char what[80];
    struct engine engine;
    struct upkeep_options options = {0};
    char beside[160];

    make_path(path);
    const struct burst burst = kill_after_a_burst(path);
    (void)snprintf(
        beside, sizeof beside,
        "cpu %.0f ms; slowest transaction %.1f ms cpu; %.0f MB written; LMDB appends 50 B "
        "each in %.0f ms",
        burst.total.cpu_ms, burst.slowest_ms, burst.written_mb, burst.limit_ms);
    (void)snprintf(what, sizeof what, "10^6 %s durable, writer time", names);
    bench_row(what, burst.total.wall_ms / 1e3, "s", 3, beside);
    (void)snprintf(what, sizeof what, "%s: slowest transaction, CPU", names);
    bench_row(what, burst.slowest_ms, "ms", 20, "");
    engine_open(&engine, path, MAX_SIZE, &options);
    engine_set_clock(&engine, begin);
    double written = written_mb("wchar");
    struct cost start = now_cost();
    (void)engine_upkeep(&engine, 1000000);
    struct cost index = since(start);
    struct upkeep_counts counts;
    upkeep_counts(engine.upkeep, &counts);
    (void)snprintf(beside, sizeof beside,
                   "cpu %.1f s in %llu steps, slowest %.1f ms; %.0f MB written; all found after a "
                   "kill -9",
                   index.cpu_ms / 1e3, (unsigned long long)counts.steps,
                   (double)counts.slowest_step_us / 1e3, written_mb("wchar") - written);
    find_series(&engine);
    (void)snprintf(what, sizeof what, "%s: indexed", names);
    bench_row(what, index.wall_ms / 1e3, "s", 30, beside);
    engine_close(&engine);
    remove_path(path);
}

static void bench_new(void)
{
    bench_burst("new series");
}

/* As those of StatsD are: no two series have the metric in common, and no order. */
static void bench_new_names(void)
{
    scatters = true;
    bench_burst("new names");
    scatters = false;
}

struct bench {
    const char *name;
    void (*run)(void);
};

static void bench_now(void)
{
    bench_commit(0, "commit of 10^5 touched series, median", 25);
}

static void bench_late(void)
{
    bench_commit(60, "the same, cells 2 to 60 minutes old", 50);
}

static const struct bench BENCHES[] = {{"commit", bench_now},     {"late", bench_late},
                                       {"new", bench_new},        {"new-names", bench_new_names},
                                       {"steady", bench_steady},  {"close", bench_close},
                                       {"restart", bench_restart}};

enum { BENCH_COUNT = sizeof BENCHES / sizeof *BENCHES };

static const struct bench *find_bench(const char *name)
{
    for (size_t i = 0; i < BENCH_COUNT; i++) {
        if (strcmp(BENCHES[i].name, name) == 0)
            return &BENCHES[i];
    }
    (void)fprintf(stderr, "bench_store: no row '%s'\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    const struct bench *chosen[BENCH_COUNT];
    size_t count = 0;

    begin = (clock_wall() - MS_PER_DAY) / MS_PER_HOUR * MS_PER_HOUR;
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--keep") == 0)
            keeps = true;
        else if (strcmp(argv[i], "--path") == 0 && has_value)
            (void)snprintf(base_path, sizeof base_path, "%s", argv[++i]);
        else if (strcmp(argv[i], "--minutes") == 0 && has_value)
            minutes_wanted = strtoll(argv[++i], NULL, 10);
        else if (count < BENCH_COUNT)
            chosen[count++] = find_bench(argv[i]);
    }
    for (size_t i = 0; i < BENCH_COUNT && count == 0; i++)
        BENCHES[i].run();
    for (size_t i = 0; i < count; i++)
        chosen[i]->run();
    return 0;
}
