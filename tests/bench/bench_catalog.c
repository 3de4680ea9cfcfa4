/* What the catalogue costs: making a million series, bringing them into the index, finding them
 * again, and resolving selectors; beside the bare append of the same bytes in the same run.
 *
 *   bench_catalog [series, 1000000] [directory, /tmp] */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "bench_row.h"
#include "store/catalog.h"

enum { BATCH = 1 << 15, METRICS = 10, ROUNDS = 5, KNOWN_ROUNDS = 20, SELECTOR_BAR_MS = 10 };

struct bench {
    char path[256];
    struct store *store;
    struct catalog *catalog;
    struct catalog_indexer *indexer;
    struct error err;

    /* of a batch */
    struct arena arena;
    struct delta_series *series;
    struct catalog_series *found;
};

/* Times of one kind of work, in seconds. */
struct times {
    double cpu;
    double wall;
    double slowest_cpu; /* of one transaction */
    double slowest_wall;
    size_t transactions;
};

static void must(struct bench *bench, bool ok)
{
    if (ok)
        return;
    (void)fprintf(stderr, "bench_catalog: %s\n", bench->err.text);
    exit(1);
}

static double now_of(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct stopwatch {
    double cpu;
    double wall;
};

static struct stopwatch start(void)
{
    return (struct stopwatch){now_of(CLOCK_THREAD_CPUTIME_ID), now_of(CLOCK_MONOTONIC)};
}

static void stop(const struct stopwatch *watch, struct times *out)
{
    double cpu = now_of(CLOCK_THREAD_CPUTIME_ID) - watch->cpu;
    double wall = now_of(CLOCK_MONOTONIC) - watch->wall;

    out->cpu += cpu;
    out->wall += wall;
    out->slowest_cpu = cpu > out->slowest_cpu ? cpu : out->slowest_cpu;
    out->slowest_wall = wall > out->slowest_wall ? wall : out->slowest_wall;
    out->transactions++;
}

static void print_times(const char *what, const struct times *times, double limit_cpu)
{
    (void)printf("%-34s %9.0f %9.0f %9.1f %9.1f %7zu", what, times->cpu * 1e3, times->wall * 1e3,
                 times->slowest_cpu * 1e3, times->slowest_wall * 1e3, times->transactions);
    if (limit_cpu > 0)
        (void)printf(" %7.1f", times->cpu / limit_cpu);
    (void)printf("\n");
}

/* --- the store --- */

static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry = NULL;

    while (directory != NULL && (entry = readdir(directory)) != NULL)
        (void)unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory != NULL)
        (void)closedir(directory);
    (void)rmdir(path);
}

static void open_store(struct bench *bench)
{
    const struct store_options options = {bench->path, UINT64_C(8) << 30};

    bench->store = store_open(&options, &bench->err);
    must(bench, bench->store != NULL);
    bench->catalog = catalog_new();
    bench->indexer = catalog_indexer_new();
}

static void close_store(struct bench *bench)
{
    catalog_indexer_free(bench->indexer);
    catalog_free(bench->catalog);
    store_close(bench->store);
}

/* --- series --- */

/* One label has one value everywhere, one has ten, one a thousand, and one is different for each:
 * about 70 bytes a key, 32 of them the metric's name and the unique label. */
static void make_series(struct bench *bench, uint32_t from, uint32_t count)
{
    struct buf key = BUF_EMPTY;

    arena_reset(&bench->arena);
    for (uint32_t i = 0; i < count; i++) {
        char texts[4][24];
        const uint32_t n = from + i;
        (void)snprintf(texts[0], sizeof texts[0], "dc%u", n % 10);
        (void)snprintf(texts[1], sizeof texts[1], "h%03u", n / 10 % 1000);
        (void)snprintf(texts[2], sizeof texts[2], "i%07u", n);
        (void)snprintf(texts[3], sizeof texts[3], "shop.requests.%u", n / 100000 % METRICS);
        const struct label labels[] = {{STR("dc"), str_of(texts[0])},
                                       {STR("env"), STR("production")},
                                       {STR("host"), str_of(texts[1])},
                                       {STR("instance"), str_of(texts[2])}};
        series_key_write(&key, METRIC_COUNTER, n % 2 == 0 ? STR("shop.orders") : str_of(texts[3]),
                         labels, sizeof labels / sizeof *labels);
        bench->series[i].key = arena_str(&bench->arena, buf_view(&key));
        bench->series[i].hash = series_key_hash(bench->series[i].key);
    }
    buf_fini(&key);
}

/* The bare append of the same bytes, in as many transactions: the limit of making series. */
static struct times append_bare(struct bench *bench, uint32_t total)
{
    struct times times = {0};

    for (uint32_t from = 0; from < total; from += BATCH) {
        uint32_t count = total - from < BATCH ? total - from : BATCH;
        struct write_txn txn;
        make_series(bench, from, count);
        struct stopwatch watch = start();
        must(bench, write_txn_begin(bench->store, NULL, &txn, &bench->err));
        for (uint32_t i = 0; i < count; i++) {
            struct schema_key key = schema_id_key(from + i + 1);
            must(bench, store_put(&txn, DATABASE_SERIES, store_key(&key), bench->series[i].key,
                                  MDB_APPEND, &bench->err));
        }
        must(bench, write_txn_commit(&txn, &bench->err));
        stop(&watch, &times);
    }
    return times;
}

/* Another order, always the same: `at` says which of the series is where. */
static void shuffle(struct bench *bench, uint32_t *at, size_t count)
{
    uint64_t random = 1;

    for (size_t i = 0; i < count; i++)
        at[i] = (uint32_t)i;
    for (size_t i = count; i > 1; i--) {
        random = random * UINT64_C(6364136223846793005) + 1;
        size_t j = (size_t)(random >> 33) % i;
        const struct delta_series series = bench->series[i - 1];
        const uint32_t place = at[i - 1];
        bench->series[i - 1] = bench->series[j];
        bench->series[j] = series;
        at[i - 1] = at[j];
        at[j] = place;
    }
}

/* The best of some rounds, as nanoseconds a series: what the look-up in memory costs. */
static void print_known(struct bench *bench, const char *what, uint32_t count, bool in_order)
{
    uint32_t *at = memory_zero(count, sizeof *at);
    const struct catalog_batch batch = {.series = bench->series, .count = count, .now = 1000};
    double best = 1e9;

    make_series(bench, 0, count);
    for (uint32_t i = 0; i < count; i++) {
        bench->series[i].key = STR_EMPTY;
        at[i] = i;
    }
    if (!in_order)
        shuffle(bench, at, count);
    for (int round = 0; round < KNOWN_ROUNDS; round++) {
        struct write_txn txn;
        must(bench, write_txn_begin(bench->store, NULL, &txn, &bench->err));
        double began = now_of(CLOCK_THREAD_CPUTIME_ID);
        must(bench, catalog_resolve_all(bench->catalog, &txn, &batch, bench->found, &bench->err));
        double took = now_of(CLOCK_THREAD_CPUTIME_ID) - began;
        (void)catalog_end_group(bench->catalog);
        write_txn_abort(&txn);
        best = took < best ? took : best;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (bench->found[i].id != at[i] + 1)
            must(bench, error_set(&bench->err, ERROR_CORRUPT, "series %u has another id", at[i]));
    }
    (void)printf("%-34s %9.1f ns a series\n", what, best * 1e9 / count);
    free(at);
}

static struct times resolve(struct bench *bench, uint32_t first, uint32_t total, bool with_keys,
                            uint32_t a_batch)
{
    struct times times = {0};

    for (uint32_t from = first; from < first + total; from += a_batch) {
        uint32_t left = first + total - from;
        const struct catalog_batch batch = {
            .series = bench->series, .count = left < a_batch ? left : a_batch, .now = 1000};
        struct write_txn txn;
        make_series(bench, from, (uint32_t)batch.count);
        for (size_t i = 0; i < batch.count && !with_keys; i++)
            bench->series[i].key = STR_EMPTY;
        struct stopwatch watch = start();
        must(bench, write_txn_begin(bench->store, NULL, &txn, &bench->err));
        must(bench, catalog_resolve_all(bench->catalog, &txn, &batch, bench->found, &bench->err));
        (void)catalog_end_group(bench->catalog);
        if (txn.wrote)
            must(bench, write_txn_commit(&txn, &bench->err));
        else
            write_txn_abort(&txn);
        stop(&watch, &times);
        for (size_t i = 0; i < batch.count; i++) {
            if (bench->found[i].refusal != CATALOG_TAKEN || bench->found[i].id != from + i + 1)
                must(bench,
                     error_set(&bench->err, ERROR_CORRUPT, "series %zu has another id", from + i));
        }
    }
    return times;
}

static struct times index_all(struct bench *bench)
{
    struct times times = {0};
    bool more = true;

    while (more) {
        struct write_txn txn;
        struct stopwatch watch = start();
        must(bench, write_txn_begin(bench->store, NULL, &txn, &bench->err));
        must(bench, catalog_index_step(bench->indexer, &txn, &more, &bench->err));
        if (more)
            must(bench, write_txn_commit(&txn, &bench->err));
        else
            write_txn_abort(&txn);
        stop(&watch, &times);
    }
    return times;
}

static void print_index(struct bench *bench, uint32_t total)
{
    struct index_runs runs;
    struct read_txn *txn = read_txn_begin(bench->store, &bench->err);
    uint64_t bytes = 0;

    must(bench, txn != NULL && index_runs_read(&runs, txn, &bench->err));
    for (size_t i = 0; i < runs.count; i++)
        bytes += runs.items[i].bytes;
    (void)printf("index: %zu runs, %.1f bytes a series; memory: %.1f bytes a series\n", runs.count,
                 (double)bytes / total, (double)catalog_size_bytes(bench->catalog) / total);
    index_runs_fini(&runs);
    read_txn_end(txn);
}

/* --- selectors --- */

/* The best of some rounds, in milliseconds of CPU. */
static void print_selector(struct bench *bench, const char *what, const struct selector *selector)
{
    double best[2] = {1e9, 1e9};
    size_t count = 0;

    for (int round = 0; round < ROUNDS; round++) {
        struct arena arena = ARENA_EMPTY;
        uint32_t *ids = NULL;
        struct query_series *series = NULL;
        struct read_txn *txn = read_txn_begin(bench->store, &bench->err);
        must(bench, txn != NULL);
        double began = now_of(CLOCK_THREAD_CPUTIME_ID);
        must(bench, catalog_select_ids(txn, selector, &arena, &ids, &count, &bench->err));
        double middle = now_of(CLOCK_THREAD_CPUTIME_ID);
        must(bench, catalog_select(txn, selector, &arena, &series, &count, &bench->err));
        double ended = now_of(CLOCK_THREAD_CPUTIME_ID);
        best[0] = middle - began < best[0] ? middle - began : best[0];
        best[1] = ended - middle < best[1] ? ended - middle : best[1];
        read_txn_end(txn);
        arena_fini(&arena);
    }
    char beside[64];
    (void)snprintf(beside, sizeof beside, "%zu of them; their keys %.3f", count, best[1] * 1e3);
    bench_row(what, best[0] * 1e3, "ms", SELECTOR_BAR_MS, beside);
}

static void print_selectors(struct bench *bench)
{
    static const struct str production = {"production", 10};
    static const struct str dc3 = {"dc3", 3};
    static const struct str some[] = {{"dc1", 3}, {"dc4", 3}, {"dc6", 3}};
    static const struct str one = {"i0500000", 8};
    static const struct str none = {"", 0};
    static const struct str p = {"p", 1};
    static const struct str h = {"h", 1};
    static const struct str h1 = {"h1", 2};
    static const struct str h12 = {"h12", 3};
    static const struct str i0 = {"i0", 2};
    static const struct str i00 = {"i00", 3};
    static const struct str every = {"i", 1};
    static const struct {
        const char *what;
        const char *metric;
        struct label_match matches[2];
        size_t count;
    } cases[] = {
        {"series by metric", "shop.orders", {{{0}, MATCH_EQUAL, NULL, 0}}, 0},
        {"series by metric, env=", "shop.orders", {{{"env", 3}, MATCH_EQUAL, &production, 1}}, 1},
        {"series by metric, env!=",
         "shop.orders",
         {{{"env", 3}, MATCH_NOT_EQUAL, &production, 1}},
         1},
        {"series by metric, dc!=", "shop.orders", {{{"dc", 2}, MATCH_NOT_EQUAL, &dc3, 1}}, 1},
        {"series by metric, dc in 3", "shop.orders", {{{"dc", 2}, MATCH_IN, some, 3}}, 1},
        {"series by metric, instance=",
         "shop.orders",
         {{{"instance", 8}, MATCH_EQUAL, &one, 1}},
         1},
        {"series by metric, without instance",
         "shop.orders",
         {{{"instance", 8}, MATCH_EQUAL, &none, 1}},
         1},
        {"series by small metric, dc=", "shop.requests.3", {{{"dc", 2}, MATCH_EQUAL, &dc3, 1}}, 1},
        {"series by metric, prefix: 1 value",
         "shop.orders",
         {{{"env", 3}, MATCH_PREFIX, &p, 1}},
         1},
        {"series by metric, prefix: 10 values",
         "shop.orders",
         {{{"host", 4}, MATCH_PREFIX, &h12, 1}},
         1},
        {"series by metric, prefix: 100 values",
         "shop.orders",
         {{{"host", 4}, MATCH_PREFIX, &h1, 1}},
         1},
        {"series by metric, prefix: 1,000 values",
         "shop.orders",
         {{{"host", 4}, MATCH_PREFIX, &h, 1}},
         1},
        {"series by metric, prefix: 7 % of values",
         "shop.orders",
         {{{"instance", 8}, MATCH_PREFIX, &i00, 1}},
         1},
        {"series by metric, prefix: 67 % of values",
         "shop.orders",
         {{{"instance", 8}, MATCH_PREFIX, &i0, 1}},
         1},
        {"series by metric, prefix: all values",
         "shop.orders",
         {{{"instance", 8}, MATCH_PREFIX, &every, 1}},
         1},
        {"series by metric, env=, host prefix",
         "shop.orders",
         {{{"env", 3}, MATCH_EQUAL, &production, 1}, {{"host", 4}, MATCH_PREFIX, &h1, 1}},
         2},
    };

    (void)printf("\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct selector selector = {str_of(cases[i].metric), METRIC_COUNTER, cases[i].matches,
                                          cases[i].count};
        print_selector(bench, cases[i].what, &selector);
    }
}

/* What a formula asks of its metric's name each time. */
static void print_metric(struct bench *bench)
{
    struct metric_count count;
    char beside[64];
    double best = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        struct read_txn *txn = read_txn_begin(bench->store, &bench->err);
        must(bench, txn != NULL);
        double began = now_of(CLOCK_MONOTONIC);
        catalog_metric(txn, STR("shop.orders"), &count);
        double took = now_of(CLOCK_MONOTONIC) - began;
        best = took < best ? took : best;
        read_txn_end(txn);
    }
    (void)snprintf(beside, sizeof beside, "%llu series", (unsigned long long)count.series);
    bench_row("kinds of the metric", best * 1e3, "ms", 1, beside);
}

static void say(const char *finding, void *arg)
{
    (void)arg;
    (void)printf("verify: %s\n", finding);
}

static void verify(struct bench *bench)
{
    const struct catalog_checker checker = {say, NULL, NULL};
    struct catalog_check *check = catalog_check_new(&checker);
    struct read_txn *txn = read_txn_begin(bench->store, &bench->err);
    double began = now_of(CLOCK_MONOTONIC);
    double longest = 0;
    bool done = false;
    while (!done) {
        double step = now_of(CLOCK_MONOTONIC);
        must(bench, txn != NULL && catalog_check_go_on(check, txn, &done, &bench->err));
        step = now_of(CLOCK_MONOTONIC) - step;
        longest = step > longest ? step : longest;
    }
    (void)printf("\nverify: %.0f ms, its longest part %.0f ms\n",
                 (now_of(CLOCK_MONOTONIC) - began) * 1e3, longest * 1e3);
    catalog_check_free(check);
    read_txn_end(txn);
}

int main(int argc, char **argv)
{
    uint64_t asked = 1000000;
    struct bench bench = {.err = ERROR_EMPTY};
    const char *directory = argc > 2 ? argv[2] : "/tmp";

    if (argc > 1 && (!str_parse_u64(str_of(argv[1]), &asked) || asked == 0 || asked > 50000000)) {
        (void)fprintf(stderr, "usage: bench_catalog [series] [directory]\n");
        return 2;
    }
    uint32_t total = (uint32_t)asked;
    uint32_t some = total < 100000 ? total : 100000;
    bench.series = memory_zero(some > BATCH ? some : BATCH, sizeof *bench.series);
    bench.found = memory_zero(some > BATCH ? some : BATCH, sizeof *bench.found);
    (void)snprintf(bench.path, sizeof bench.path, "%s/bench_catalog.%ld", directory,
                   (long)getpid());

    (void)printf("%-34s %9s %9s %9s %9s %7s %7s\n", "", "cpu ms", "wall ms", "max cpu", "max wall",
                 "txns", "limits");
    open_store(&bench);
    struct times limit = append_bare(&bench, total);
    close_store(&bench);
    remove_directory(bench.path);
    print_times("bare append (the limit)", &limit, 0);

    open_store(&bench);
    struct times times = resolve(&bench, 0, total, true, BATCH);
    print_times("new series", &times, limit.cpu);
    (void)resolve(&bench, 0, some, true, some);
    times = resolve(&bench, 0, some, false, some);
    print_times("100,000 known, without keys", &times, 0);
    times = resolve(&bench, 0, some, true, some);
    print_times("100,000 known, with keys", &times, 0);
    print_known(&bench, "100,000 known, in order", some, true);
    print_known(&bench, "100,000 known, in any order", some, false);
    times = index_all(&bench);
    print_times("indexing all", &times, limit.cpu);
    print_index(&bench, total);
    close_store(&bench);

    open_store(&bench);
    times = resolve(&bench, total, total / 2, true, BATCH);
    print_times("half as many new after a restart", &times, limit.cpu / 2);
    times = index_all(&bench);
    print_times("indexing these", &times, limit.cpu / 2);
    close_store(&bench);
    open_store(&bench);
    times = resolve(&bench, 0, some, true, some);
    print_times("100,000 of the index, once", &times, 0);
    print_index(&bench, total + total / 2);
    print_metric(&bench);
    print_selectors(&bench);
    verify(&bench);
    close_store(&bench);
    remove_directory(bench.path);
    arena_fini(&bench.arena);
    free(bench.series);
    free(bench.found);
    return 0;
}
