/* What runs cost: cells as bytes and back, a commit, merging, looking things up; each beside what
 * the machine can do at best in the same run: machines differ, the ratios do not.
 *
 *   bench_run [directory, /tmp] */
#include "bench_run.h"

#include <fcntl.h>

enum {
    ROUNDS = 5,   /* the best one counts */
    COMMITS = 30, /* the middle one counts */
    LOOKUPS = 20000,
    MERGED_RUNS = 8,
    READ_SERIES = 10000,
};

/* --- the codec ---------------------------------------------------------------------------------
 */

struct chunk_of {
    struct str bytes;
    uint32_t first_id;
};

struct encoded {
    struct buf bytes;
    struct chunk_of *chunks;
    size_t count;
};

static void keep_chunk(struct chunk_writer *writer, struct encoded *out)
{
    int64_t minute = 0;
    struct chunk_of *chunk = &out->chunks[out->count++];
    struct str bytes = chunk_writer_take(writer, 1, &chunk->first_id, &minute);

    chunk->bytes = (struct str){out->bytes.bytes + out->bytes.len, bytes.len};
    buf_str(&out->bytes, bytes);
}

static void encode(const struct run_cell *cells, struct chunk_writer *writer, struct encoded *out)
{
    out->count = 0;
    out->bytes.len = 0;
    for (size_t i = 0; i < CELLS; i++) {
        if (chunk_writer_add(writer, cells[i].id, cells[i].minute, &cells[i].cell))
            continue;
        keep_chunk(writer, out);
        (void)chunk_writer_add(writer, cells[i].id, cells[i].minute, &cells[i].cell);
    }
    keep_chunk(writer, out);
}

static double decode(const struct encoded *encoded)
{
    struct chunk_reader reader;
    struct run_cell cell;
    bool corrupt = false;
    double sum = 0;
    size_t count = 0;

    for (size_t i = 0; i < encoded->count; i++) {
        if (!chunk_reader_init(&reader, encoded->chunks[i].bytes, 1))
            abort();
        while (chunk_reader_next(&reader, &cell, &corrupt)) {
            sum += cell.cell.aggregate.sum;
            count++;
            if (cell.cell.histogram != NULL)
                cell_fini(&cell.cell);
        }
    }
    if (count != CELLS)
        abort();
    return sum;
}

/* Any series in any chunk, after the checksum or without it. */
static double look_up(const struct encoded *encoded, const struct run_cell *cells, bool check)
{
    struct chunk_reader *readers = memory_zero(encoded->count, sizeof *readers);
    uint64_t random = 5;
    bool corrupt = false;
    struct run_cell cell;

    for (size_t i = 0; i < encoded->count; i++)
        (void)chunk_reader_init(&readers[i], encoded->chunks[i].bytes, 1);
    double start = cpu_now();
    for (size_t i = 0; i < LOOKUPS; i++) {
        uint32_t wanted = (uint32_t)(next_random(&random) % CELLS);
        size_t chunk = (size_t)wanted * encoded->count / CELLS;
        while (chunk + 1 < encoded->count &&
               encoded->chunks[chunk + 1].first_id <= cells[wanted].id)
            chunk++;
        while (encoded->chunks[chunk].first_id > cells[wanted].id)
            chunk--;
        struct chunk_reader reader = readers[chunk];
        if (check && !chunk_reader_init(&reader, encoded->chunks[chunk].bytes, 1))
            abort();
        if (!chunk_reader_seek(&reader, cells[wanted].id, cells[wanted].minute, &corrupt) ||
            !chunk_reader_next(&reader, &cell, &corrupt) || cell.id != cells[wanted].id)
            abort();
        cell_fini(&cell.cell);
    }
    double end = cpu_now();
    free(readers);
    return end - start;
}

static void finish(struct run_cell *cells)
{
    for (size_t i = 0; i < CELLS; i++)
        cell_fini(&cells[i].cell);
}

static void measure_codec(const struct scenario *scenario, struct run_cell *cells)
{
    struct chunk_writer *writer = chunk_writer_new();
    struct encoded encoded = {.chunks = memory_zero(CELLS, sizeof *encoded.chunks)};
    struct run_cell *copy = memory_zero(CELLS, sizeof *copy);
    double times[5] = {0};
    uint64_t random = 1;

    fill(scenario, 1, 1, BEGIN * MS_PER_MINUTE, &random, cells);
    buf_append(&encoded.bytes, copy, CELLS * sizeof *copy); /* room, so that nothing moves */
    for (int i = 0; i < ROUNDS; i++) {
        double start = cpu_now();
        encode(cells, writer, &encoded);
        double middle = cpu_now();
        if (decode(&encoded) == 0)
            abort();
        double end = cpu_now();
        times[0] = least(times[0], middle - start);
        times[1] = least(times[1], end - middle);
        times[2] = least(times[2], look_up(&encoded, cells, false));
        times[3] = least(times[3], look_up(&encoded, cells, true));
        start = cpu_now();
        memcpy(copy, cells, CELLS * sizeof *copy);
        times[4] = least(times[4], cpu_now() - start);
    }
    (void)printf("%-36s %7.1f %7.1f %7.1f %7.1f | %9.0f %9.0f\n", scenario->name,
                 (double)encoded.bytes.len / CELLS, times[0] * 1e9 / CELLS, times[1] * 1e9 / CELLS,
                 times[4] * 1e9 / CELLS, times[2] * 1e9 / LOOKUPS, times[3] * 1e9 / LOOKUPS);
    finish(cells);
    buf_fini(&encoded.bytes);
    free(encoded.chunks);
    free(copy);
    chunk_writer_free(writer);
}

static void measure_codecs(struct run_cell *cells)
{
    static const struct scenario scenarios[] = {
        {"counters, one sample", VALUES_COUNTERS, 1},
        {"gauges of two decimals, one sample", VALUES_GAUGES, 1},
        {"random doubles, one sample", VALUES_DOUBLES, 1},
        {"timers, one sample", VALUES_TIMERS, 1},
        {"counters, 60 samples", VALUES_COUNTERS, 60},
        {"gauges of two decimals, 60 samples", VALUES_GAUGES, 60},
        {"timers, 10 samples", VALUES_TIMERS, 10},
    };

    (void)printf("cells in chunks: bytes and ns a cell, memcpy of the cells as they are in memory;"
                 "\nns a look-up in a chunk, without and with its checksum\n"
                 "%-36s %7s %7s %7s %7s | %9s %9s\n",
                 "", "bytes", "encode", "decode", "memcpy", "look-up", "checked");
    measure_codec(&MIX, cells);
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        measure_codec(&scenarios[i], cells);
}

/* --- committing --------------------------------------------------------------------------------
 */

static int compare_doubles(const void *a, const void *b)
{
    double one = *(const double *)a;
    double other = *(const double *)b;
    return (one > other) - (one < other);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return values[count / 2];
}

struct cost {
    double cpu[COMMITS], blocked[COMMITS];
};

static void cost_add(struct cost *cost, int at, double wall, double cpu)
{
    cost->cpu[at] = cpu_now() - cpu;
    cost->blocked[at] = wall_now() - wall - cost->cpu[at];
}

static void print_cost(const char *name, struct cost *cost)
{
    (void)printf("%-36s %9.2f %9.2f\n", name, median(cost->cpu, COMMITS) * 1e3,
                 median(cost->blocked, COMMITS) * 1e3);
}

/* The same bytes as values that fill overflow pages, under keys that grow. */
static void append_bytes(struct write_txn *txn, uint64_t number, size_t bytes)
{
    static const char page[CHUNK_BYTES_MAX] = {1};
    struct error err = ERROR_EMPTY;

    for (size_t i = 0; i * sizeof page < bytes; i++) {
        struct schema_key key = SCHEMA_KEY_EMPTY;
        schema_put_u64(&key, number);
        schema_put_i64(&key, (int64_t)i);
        schema_put_u32(&key, 0);
        schema_put_u8(&key, 0);
        must(store_put(txn, DATABASE_MINUTES, store_key(&key), (struct str){page, sizeof page},
                       MDB_APPEND, &err),
             &err);
    }
}

static void measure_commits(const char *directory, struct run_cell *cells)
{
    struct error err = ERROR_EMPTY;
    struct bench_store store;
    struct write_txn txn;
    struct cost run_cost;
    struct cost append_cost;
    struct cost file_cost;
    uint64_t random = 2;
    size_t bytes = 0;
    char file[300];

    store_make(&store, directory);
    (void)snprintf(file, sizeof file, "%s/plain", store.path);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (int i = 0; i < COMMITS; i++) {
        fill(&MIX, 1, 1, BEGIN * MS_PER_MINUTE + (wall_ms)i * MS_PER_SECOND, &random, cells);
        double wall = wall_now();
        double cpu = cpu_now();
        must(write_txn_begin(store.store, NULL, &txn, &err), &err);
        bytes = write_run(&txn, 0, 1 + (uint64_t)i, cells).bytes;
        must(write_txn_commit(&txn, &err), &err);
        cost_add(&run_cost, i, wall, cpu);

        wall = wall_now();
        cpu = cpu_now();
        must(write_txn_begin(store.store, NULL, &txn, &err), &err);
        append_bytes(&txn, 1 + (uint64_t)i, bytes);
        must(write_txn_commit(&txn, &err), &err);
        cost_add(&append_cost, i, wall, cpu);

        wall = wall_now();
        cpu = cpu_now();
        if (write(fd, cells, bytes) != (ssize_t)bytes || fdatasync(fd) != 0)
            abort();
        cost_add(&file_cost, i, wall, cpu);
    }
    (void)close(fd);
    (void)printf("\none commit of %d cells of one sample, %.0f bytes: ms, the middle of %d\n"
                 "%-36s %9s %9s\n",
                 CELLS, (double)bytes, COMMITS, "", "cpu", "blocked");
    print_cost("a run", &run_cost);
    print_cost("LMDB, appending as many bytes", &append_cost);
    print_cost("write and fdatasync of them", &file_cost);
    store_remove_all(&store);
}

/* --- merging and reading -----------------------------------------------------------------------
 */

enum spread { SPREAD_SAME, SPREAD_INTERLEAVED, SPREAD_REQUESTS, SPREAD_RANGES, SPREAD_COUNT };

static const char *const SPREADS[] = {"the same series in each", "other series in each",
                                      "other requests of 2,000 in each", "another range in each"};

enum { REQUEST = 2000 };

/* The `index`-th series of a run. */
static uint32_t series_of(enum spread spread, uint32_t run, uint32_t index)
{
    switch (spread) {
    case SPREAD_INTERLEAVED:
        return 1 + run + index * MERGED_RUNS;
    case SPREAD_REQUESTS:
        return 1 + (run + index / REQUEST * MERGED_RUNS) * REQUEST + index % REQUEST;
    case SPREAD_RANGES:
        return 1 + run * CELLS + index;
    default:
        return 1 + index;
    }
}

/* `count` runs of one second each. */
static struct run *make_runs(struct bench_store *store, size_t count, enum spread spread,
                             struct run_cell *cells)
{
    struct error err = ERROR_EMPTY;
    struct run *runs = memory_zero(count, sizeof *runs);
    uint64_t random = 3;

    for (size_t i = 0; i < count; i++) {
        struct write_txn txn;
        for (uint32_t j = 0; j < CELLS; j++)
            fill_cell(&MIX, series_of(spread, (uint32_t)(i % MERGED_RUNS), j),
                      BEGIN * MS_PER_MINUTE + (wall_ms)i * MS_PER_SECOND, &random, &cells[j]);
        must(write_txn_begin(store->store, NULL, &txn, &err), &err);
        runs[i] = write_run(&txn, 0, 1 + i, cells);
        must(write_txn_commit(&txn, &err), &err);
    }
    return runs;
}

static void measure_merge(const char *directory, enum spread spread, struct run_cell *cells)
{
    struct error err = ERROR_EMPTY;
    struct bench_store store;
    double reading = 0;
    double writing = 0;
    double copying = 0;
    uint64_t merged = 0;
    const double all = (double)CELLS * MERGED_RUNS;

    store_make(&store, directory);
    struct run *runs = make_runs(&store, MERGED_RUNS, spread, cells);
    struct run_cell *copy = memory_zero(CELLS, sizeof *copy);
    for (int i = 0; i < ROUNDS; i++) {
        struct read_txn *txn = read_txn_begin(store.store, &err);
        must(txn != NULL, &err);
        double start = cpu_now();
        merged = merge_all(txn, runs, MERGED_RUNS, NULL, NULL);
        reading = least(reading, cpu_now() - start);

        struct run_writer writer;
        struct write_txn write;
        run_writer_init(&writer, 1, 1 + (uint64_t)i);
        start = cpu_now();
        must(write_txn_begin(store.store, NULL, &write, &err), &err);
        (void)merge_all(txn, runs, MERGED_RUNS, &writer, &write);
        must(write_txn_commit(&write, &err), &err);
        writing = least(writing, cpu_now() - start);
        run_writer_fini(&writer);
        read_txn_end(txn);

        start = cpu_now();
        for (int j = 0; j < MERGED_RUNS; j++)
            memcpy(copy, cells, CELLS * sizeof *cells);
        copying = least(copying, cpu_now() - start);
    }
    (void)printf("%-36s %9.0f %9.1f %9.1f %9.1f\n", SPREADS[spread], (double)merged,
                 reading * 1e9 / all, writing * 1e9 / all, copying * 1e9 / all);
    free(copy);
    free(runs);
    store_remove_all(&store);
}

/* A figure of one series, and one of many, over all runs of one minute. */
static void measure_reads(const char *directory, struct run_cell *cells)
{
    static const size_t counts[] = {8, 16, 24, 32};
    struct error err = ERROR_EMPTY;
    struct bench_store store;
    uint64_t random = 4;
    uint32_t *ids = memory_zero(READ_SERIES, sizeof *ids);

    store_make(&store, directory);
    struct run *runs = make_runs(&store, 32, SPREAD_SAME, cells);
    struct read_txn *txn = read_txn_begin(store.store, &err);
    must(txn != NULL, &err);
    for (uint32_t i = 0; i < READ_SERIES; i++)
        ids[i] = 1 + i * (CELLS / READ_SERIES) + (uint32_t)(next_random(&random) % 10);
    (void)printf("\nreading figures over runs of %d cells\n%-36s %9s %9s\n", CELLS, "", "one, us",
                 "10^4, ms");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        double one = 0;
        double many = 0;
        for (int j = 0; j < ROUNDS; j++) {
            double start = cpu_now();
            for (size_t k = 0; k < READ_SERIES / 10; k++)
                (void)read_series(txn, runs, counts[i], &ids[k * 10], 1);
            one = least(one, cpu_now() - start);
            start = cpu_now();
            (void)read_series(txn, runs, counts[i], ids, READ_SERIES);
            many = least(many, cpu_now() - start);
        }
        (void)printf("%2zu %-33s %9.1f %9.1f\n", counts[i], "runs", one * 1e6 / (READ_SERIES / 10),
                     many * 1e3);
    }
    read_txn_end(txn);
    free(runs);
    free(ids);
    store_remove_all(&store);
}

int main(int argc, char **argv)
{
    const char *directory = argc > 1 ? argv[1] : "/tmp";
    struct run_cell *cells = memory_zero(CELLS, sizeof *cells);

    measure_codecs(cells);
    measure_commits(directory, cells);
    (void)printf("\nmerging %d runs of %d cells: ns of CPU for each cell read\n%-36s %9s %9s %9s "
                 "%9s\n",
                 MERGED_RUNS, CELLS, "", "places", "merge", "and write", "memcpy");
    for (enum spread spread = SPREAD_SAME; spread < SPREAD_COUNT; spread++)
        measure_merge(directory, spread, cells);
    measure_reads(directory, cells);
    free(cells);
    return 0;
}
