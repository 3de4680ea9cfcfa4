/* What a commit of a shard's delta costs the writer: 10^5 touched series, fresh and 2 to 60 minutes
 * old, and 10^6 new series; as CPU and as time blocked, beside what this machine needs to write and
 * sync as many bytes to a file.
 *
 *   bench_commit [DIRECTORY]      on the file system to be measured; default: /tmp */
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/memory.h"
#include "base/thread.h"
#include "store/writer.h"

enum { SERIES = 100 * 1000, PART_CELLS = 1 << 16, ROUNDS = 15, NEW_SERIES = 1000 * 1000 };

#define START_MINUTE INT64_C(29000000)
#define STORE_BYTES  (UINT64_C(8) << 30)

struct bench {
    struct store *store;
    struct writer *writer;
    struct event_base *base;
    struct series_hash *hashes;
    uint64_t random;
    double slowest; /* CPU of one transaction */
};

struct cost {
    double cpu, blocked;
};

static double seconds(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static unsigned below(struct bench *bench, unsigned limit)
{
    bench->random = bench->random * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (unsigned)((bench->random >> 33) % limit);
}

/* Counters and gauges in turn, with names of 32 bytes. With `age` the cells are of 2 to so many
 * minutes ago. */
static struct delta *delta_of(struct bench *bench, int from, int to, bool with_keys, unsigned age,
                              int64_t now_minute)
{
    struct delta *delta = delta_new();
    struct buf key = BUF_EMPTY;

    delta_reserve(delta, (size_t)(to - from), (size_t)(to - from));
    for (int i = from; i < to; i++) {
        enum metric_kind kind = i % 2 == 0 ? METRIC_COUNTER : METRIC_GAUGE;
        if (with_keys) {
            char name[40];
            (void)snprintf(name, sizeof name, "service.requests.host.%010d", i);
            series_key_write(&key, kind, str_of(name), NULL, 0);
            bench->hashes[i] = series_key_hash(buf_view(&key));
        }
        uint32_t series =
            delta_add_series(delta, bench->hashes[i], with_keys ? buf_view(&key) : STR_EMPTY);
        int64_t minute = now_minute - (age == 0 ? 0 : 2 + (int64_t)below(bench, age - 1));
        wall_ms at = minute * MS_PER_MINUTE + below(bench, MS_PER_MINUTE);
        double value = kind == METRIC_COUNTER ? 1 : below(bench, 100000) / 100.0;
        aggregate_add(&delta_add_cell(delta, series, minute)->cell.aggregate, value, WEIGHT_ONE, at,
                      (uint64_t)at * 1000 + below(bench, 1000));
    }
    buf_fini(&key);
    return delta;
}

/* Posts cells of series [from, to) as a shard does, and commits them on this thread. */
static struct cost commit(struct bench *bench, int from, int to, bool with_keys, unsigned age,
                          int64_t minute)
{
    struct cost cost = {0};

    for (int at = from; at < to; at += PART_CELLS) {
        int end = to - at < PART_CELLS ? to : at + PART_CELLS;
        struct delta *delta = delta_of(bench, at, end, with_keys, age, minute);
        (void)writer_post_delta(bench->writer, delta);
        uint64_t before = 0;
        do {
            before = COUNTER_GET(commits);
            double wall = seconds(CLOCK_MONOTONIC);
            double cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
            (void)event_base_loop(bench->base, EVLOOP_NONBLOCK);
            cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
            cost.cpu += cpu;
            cost.blocked += seconds(CLOCK_MONOTONIC) - wall - cpu;
            uint64_t commits = COUNTER_GET(commits) - before;
            if (commits > 0 && cpu / (double)commits > bench->slowest)
                bench->slowest = cpu / (double)commits;
        } while (COUNTER_GET(commits) > before);
    }
    return cost;
}

static int compare_doubles(const void *a, const void *b)
{
    const double *one = a;
    const double *other = b;
    return (*one > *other) - (*one < *other);
}

/* The median of writing and syncing so many bytes to a file beside the store. */
static double limit_seconds(const char *directory, size_t size)
{
    double times[ROUNDS];
    char path[300];
    char *bytes = memory_zero(1, size);

    (void)snprintf(path, sizeof path, "%s/limit", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (int i = 0; i < ROUNDS; i++) {
        double began = seconds(CLOCK_MONOTONIC);
        if (pwrite(fd, bytes, size, (off_t)size * i) != (ssize_t)size || fdatasync(fd) != 0)
            abort();
        times[i] = seconds(CLOCK_MONOTONIC) - began;
    }
    (void)close(fd);
    (void)unlink(path);
    free(bytes);
    qsort(times, ROUNDS, sizeof times[0], compare_doubles);
    return times[ROUNDS / 2];
}

static uint64_t used_bytes(struct bench *bench)
{
    struct error err;
    struct store_usage usage;
    struct read_txn *txn = read_txn_begin(bench->store, &err);
    store_usage(txn, &usage);
    read_txn_end(txn);
    return usage.used_bytes;
}

static void measure(struct bench *bench, const char *directory, const char *what, unsigned age)
{
    double cpus[ROUNDS];
    double blocked[ROUNDS];
    double sums[ROUNDS];
    uint64_t before = used_bytes(bench);

    bench->slowest = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct cost cost = commit(bench, 0, SERIES, false, age, START_MINUTE + 100 + i / 5);
        cpus[i] = cost.cpu;
        blocked[i] = cost.blocked;
        sums[i] = cost.cpu + cost.blocked;
    }
    size_t bytes = (size_t)(used_bytes(bench) - before) / ROUNDS;
    double limit = limit_seconds(directory, bytes);
    qsort(cpus, ROUNDS, sizeof cpus[0], compare_doubles);
    qsort(blocked, ROUNDS, sizeof blocked[0], compare_doubles);
    qsort(sums, ROUNDS, sizeof sums[0], compare_doubles);
    printf("%-28s %8.1f %8.1f %8.1f %8.1f %8.2f %8.1f %8.1f\n", what, 1e3 * cpus[ROUNDS / 2],
           1e3 * blocked[ROUNDS / 2], 1e3 * sums[ROUNDS / 2], 1e3 * bench->slowest,
           (double)bytes / SERIES, 1e3 * limit, sums[ROUNDS / 2] / limit);
}

static void measure_new_series(struct bench *bench)
{
    bench->slowest = 0;
    uint64_t before = COUNTER_GET(commits);
    struct cost cost = commit(bench, SERIES, SERIES + NEW_SERIES, true, 0, START_MINUTE + 200);
    printf("%-28s %8.1f %8.1f %8.1f %8.1f   (%.0f ns a series, %llu transactions)\n",
           "1000000 new series", 1e3 * cost.cpu, 1e3 * cost.blocked,
           1e3 * (cost.cpu + cost.blocked), 1e3 * bench->slowest,
           1e9 * (cost.cpu + cost.blocked) / NEW_SERIES,
           (unsigned long long)(COUNTER_GET(commits) - before));
}

int main(int argc, char **argv)
{
    char path[256];
    char file[300];
    struct error err = ERROR_EMPTY;
    struct bench bench = {.random = 1};

    (void)snprintf(path, sizeof path, "%s/kpid-bench-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    if (mkdtemp(path) == NULL)
        return 1;
    const struct store_options options = {path, STORE_BYTES};
    bench.store = store_open(&options, &err);
    if (bench.store == NULL) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    bench.writer = writer_new(bench.store, &(struct writer_options){0});
    bench.base = thread_base(writer_thread(bench.writer));
    bench.hashes = memory_zero(SERIES + NEW_SERIES, sizeof *bench.hashes);
    (void)commit(&bench, 0, SERIES, true, 0, START_MINUTE);

    printf("%-28s %8s %8s %8s %8s %8s %8s %8s\n", "ms, median of 15", "cpu", "blocked", "sum",
           "slowest", "bytes", "limit", "ratio");
    measure(&bench, path, "100000 series, fresh", 0);
    measure(&bench, path, "100000 series, 2 to 60 min", 60);
    measure_new_series(&bench);

    writer_free(bench.writer);
    store_close(bench.store);
    free(bench.hashes);
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(file, sizeof file, "%s/%s", path, files[i]);
        (void)unlink(file);
    }
    return rmdir(path) == 0 ? 0 : 1;
}
