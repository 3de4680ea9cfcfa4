/* What a point of a sender that keeps its series in order (Prometheus, OTLP) costs the writer, CPU
 * and bytes written, in groups of 10^5 over 10^5 and 10^6 series; beside plain samples of the same
 * series in the same run, so that the difference is what the trackers cost. Then what they hold in
 * memory, and how long reading them at a start takes. Windows of deltas follow each other, those of
 * gaps never do.
 *
 *   bench_points [DIRECTORY]      default: /tmp */
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "engine.h"

enum { GROUP = 100 * 1000, SERIES_MOST = 1000 * 1000, ROUNDS = 10, METRICS = 500 };

/* What the trackers may cost a point, at most. */
#define LIMIT_NS     400.0
#define LIMIT_GAP_NS 1500.0 /* where each leaves a gap, which is memory of its own */
#define LIMIT_BYTES  50.0

#define STEP_MS     (15 * MS_PER_SECOND)
#define START       (INT64_C(29000000) * MS_PER_MINUTE)
#define STORE_BYTES (UINT64_C(8) << 30)

enum input { INPUT_SAMPLES, INPUT_COUNTERS, INPUT_GAUGES, INPUT_DELTAS, INPUT_GAPS, INPUTS };

static const char *const NAMES[INPUTS] = {"samples", "counters", "gauges", "deltas", "gaps"};

static const enum delta_point_form FORMS[INPUTS] = {[INPUT_COUNTERS] = POINT_CUMULATIVE,
                                                    [INPUT_GAUGES] = POINT_LEVEL,
                                                    [INPUT_DELTAS] = POINT_INCREMENT,
                                                    [INPUT_GAPS] = POINT_INCREMENT};

struct bench {
    struct engine engine;
    uint32_t *order; /* in which series come: the same each time, as a sender does it */
    uint32_t series;
    uint64_t arrival;
    uint64_t random;
};

struct cost {
    double ns;
    double bytes;
};

static double cpu_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Bytes given to write() and its like by this process so far. */
static double bytes_written(void)
{
    char line[128];
    double bytes = 0;
    FILE *file = fopen("/proc/self/io", "re");

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        struct str rest = str_of(line);
        struct str name = str_split(&rest, ':');
        if (str_is(name, "wchar") && rest.len > 2)
            (void)str_parse_double((struct str){rest.text + 1, rest.len - 2}, &bytes);
    }
    if (file != NULL)
        (void)fclose(file);
    return bytes;
}

static uint32_t below(struct bench *bench, uint32_t limit)
{
    bench->random = bench->random * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (uint32_t)((bench->random >> 33) % limit);
}

static void add(struct bench *bench, struct delta *delta, enum input input, uint32_t number,
                wall_ms at)
{
    enum metric_kind kind = input == INPUT_GAUGES ? METRIC_GAUGE : METRIC_COUNTER;
    struct buf key = BUF_EMPTY;
    char name[48];
    char host[24];

    (void)snprintf(name, sizeof name, "%s.requests.%03u", NAMES[input], number % METRICS);
    (void)snprintf(host, sizeof host, "host-%06u", number / METRICS);
    const struct label label = {STR("instance"), str_of(host)};
    series_key_write(&key, kind, str_of(name), &label, 1);
    uint32_t series = delta_add_series(delta, series_key_hash(buf_view(&key)), buf_view(&key));
    buf_fini(&key);
    const wall_ms starts[INPUTS] = {[INPUT_COUNTERS] = START - number / 1000 * 1000,
                                    [INPUT_GAUGES] = WALL_NONE,
                                    [INPUT_DELTAS] =
                                        at < START + 3 * STEP_MS ? WALL_NONE : at - STEP_MS,
                                    [INPUT_GAPS] = at - STEP_MS / 2};
    const struct delta_point point = {.series = series,
                                      .form = FORMS[input],
                                      .at = at,
                                      .start = starts[input],
                                      .arrival = ++bench->arrival,
                                      .value = (double)((at - START) / 100 + below(bench, 100))};
    if (input != INPUT_SAMPLES)
        delta_add_point(delta, &point);
    else
        aggregate_add(&delta_add_cell(delta, series, point.at / MS_PER_MINUTE)->cell.aggregate,
                      below(bench, 100), WEIGHT_ONE, point.at, point.arrival);
}

/* One group: the next GROUP series in their order. */
static struct cost commit(struct bench *bench, enum input input, uint32_t from, wall_ms at)
{
    struct error err = ERROR_EMPTY;
    struct delta *delta = delta_new();

    for (uint32_t i = 0; i < GROUP; i++)
        add(bench, delta, input, bench->order[from + i], at + (wall_ms)(i / 1000));
    double bytes = bytes_written();
    double began = cpu_seconds();
    if (!engine_commit(&bench->engine, delta, at, &err))
        engine_fail("engine_commit", &err);
    const struct cost cost = {(cpu_seconds() - began) * 1e9 / GROUP,
                              (bytes_written() - bytes) / GROUP};
    delta_free(delta);
    return cost;
}

static void shuffle(struct bench *bench)
{
    for (uint32_t i = 0; i < bench->series; i++)
        bench->order[i] = i;
    for (uint32_t i = bench->series - 1; i > 0; i--) {
        uint32_t other = below(bench, i + 1);
        uint32_t kept = bench->order[i];
        bench->order[i] = bench->order[other];
        bench->order[other] = kept;
    }
}

static struct cost measure(struct bench *bench, enum input input)
{
    struct cost mean = {0, 0};
    wall_ms at = START + STEP_MS;
    uint32_t groups = bench->series / GROUP;

    shuffle(bench); /* new series have ids in another order than they come later */
    for (uint32_t i = 0; i < groups; i++)
        (void)commit(bench, input, i * GROUP, at);
    shuffle(bench);
    for (uint32_t round = 0; round < ROUNDS + 2 * groups; round++) {
        if (round % groups == 0)
            at += STEP_MS;
        struct cost cost = commit(bench, input, round % groups * GROUP, at);
        if (round < 2 * groups) /* until the log is as long as it gets */
            continue;
        mean.ns += cost.ns / ROUNDS;
        mean.bytes += cost.bytes / ROUNDS;
    }
    return mean;
}

/* How long a start takes until the first point can be taken. */
static double read_ms(struct bench *bench)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_txn_begin(bench->engine.store, &err);
    double began = cpu_seconds();

    if (txn == NULL || !points_begin(bench->engine.points, txn, &err))
        engine_fail("points_begin", &err);
    double ms = (cpu_seconds() - began) * 1e3;
    read_txn_end(txn);
    return ms;
}

/* In a store of its own. */
static struct cost measure_input(const char *directory, uint32_t series, enum input input)
{
    static const struct upkeep_options options = {.calendar_count = 0};
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock"};
    struct bench bench = {.series = series, .random = 7};
    char path[300];
    char file[320];

    (void)snprintf(path, sizeof path, "%s/bench_points-%d", directory, (int)getpid());
    bench.order = memory_zero(series, sizeof *bench.order);
    engine_open(&bench.engine, path, STORE_BYTES, &options);
    struct cost cost = measure(&bench, input);
    engine_close(&bench.engine);
    engine_open(&bench.engine, path, STORE_BYTES, &options);
    double ms = read_ms(&bench);
    (void)printf("%7u series, %-8s %5.0f ns, %5.1f bytes a point", series, NAMES[input], cost.ns,
                 cost.bytes);
    if (input != INPUT_SAMPLES)
        (void)printf("; %.1f bytes of memory a tracker, read in %.0f ms",
                     (double)points_size_bytes(bench.engine.points) / series, ms);
    (void)printf("\n");
    engine_close(&bench.engine);
    free(bench.order);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        (void)snprintf(file, sizeof file, "%s/%s", path, files[i]);
        (void)unlink(file);
    }
    (void)rmdir(path);
    return cost;
}

static void measure_series(const char *directory, uint32_t series)
{
    struct cost costs[INPUTS];

    for (enum input input = 0; input < INPUTS; input++)
        costs[input] = measure_input(directory, series, input);
    for (enum input input = INPUT_COUNTERS; input < INPUTS; input++) {
        double limit = input == INPUT_GAPS ? LIMIT_GAP_NS : LIMIT_NS;
        double ns = costs[input].ns - costs[INPUT_SAMPLES].ns;
        double bytes = costs[input].bytes - costs[INPUT_SAMPLES].bytes;
        (void)printf(
            "        trackers of %-8s %5.0f ns (at most %.0f), %5.1f bytes (at most %.0f)%s\n",
            NAMES[input], ns, limit, bytes, LIMIT_BYTES,
            ns <= limit && bytes <= LIMIT_BYTES ? "" : "  MISSED");
    }
}

int main(int argc, char **argv)
{
    const char *directory = argc > 1 ? argv[1] : "/tmp";

    measure_series(directory, GROUP);
    measure_series(directory, SERIES_MOST);
    return 0;
}
