/* What the benchmarks of runs share: clocks, a store to throw away, samples, and runs made of them.
 */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "series/sample.h"
#include "store/run.h"

enum { CELLS = 100000 /* of a run */, COUNTERS_PERCENT = 86 };

#define BEGIN     INT64_C(29862720) /* minute */
#define MAP_BYTES (UINT64_C(16) << 30)

/* --- numbers -----------------------------------------------------------------------------------
 */

static inline double seconds_of(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline double wall_now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

static inline double cpu_now(void)
{
    return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

/* splitmix64, as kpiload has it. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline double least(double a, double b)
{
    return a == 0 || b < a ? b : a;
}

static inline void must(bool ok, const struct error *err)
{
    if (ok)
        return;
    (void)fprintf(stderr, "bench: %s\n", err->text);
    exit(1);
}

/* --- a store in a directory of its own ----------------------------------------------------------
 */

struct bench_store {
    char path[256];
    struct store *store;
};

static inline void store_make(struct bench_store *out, const char *directory)
{
    struct error err = ERROR_EMPTY;

    (void)snprintf(out->path, sizeof out->path, "%s/bench-run-XXXXXX", directory);
    if (mkdtemp(out->path) == NULL) {
        (void)fprintf(stderr, "bench: cannot make a directory in '%s'\n", directory);
        exit(1);
    }
    const struct store_options options = {out->path, MAP_BYTES};
    out->store = store_open(&options, &err);
    must(out->store != NULL, &err);
}

static inline void store_remove_all(struct bench_store *store)
{
    DIR *directory = NULL;
    struct dirent *entry = NULL;

    store_close(store->store);
    directory = opendir(store->path);
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        (void)unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory != NULL)
        (void)closedir(directory);
    (void)rmdir(store->path);
}

/* --- cells -------------------------------------------------------------------------------------
 */

enum values { VALUES_MIX, VALUES_COUNTERS, VALUES_GAUGES, VALUES_DOUBLES, VALUES_TIMERS };

struct scenario {
    const char *name;
    enum values values;
    unsigned samples;
};

/* As kpiload: counters are whole, 1 to 9, gauges have two decimals. */
static inline double value_of(enum values values, uint32_t id, uint64_t *random)
{
    uint64_t r = next_random(random);
    bool is_counter = (uint32_t)(id * UINT32_C(2654435761) >> 7) % 100 < COUNTERS_PERCENT;

    if (values == VALUES_DOUBLES)
        return (double)(r >> 11) * 0x1p-53;
    if (values == VALUES_COUNTERS || (values == VALUES_MIX && is_counter))
        return (double)(1 + r % 9);
    return (double)(1 + r % 999999) / 100;
}

static inline void fill_cell(const struct scenario *scenario, uint32_t id, wall_ms at,
                             uint64_t *random, struct run_cell *out)
{
    *out = (struct run_cell){.id = id, .minute = at / MS_PER_MINUTE, .cell = CELL_EMPTY};
    for (unsigned i = 0; i < scenario->samples; i++) {
        wall_ms moment = at + (wall_ms)i * MS_PER_SECOND + (wall_ms)(next_random(random) % 1000);
        uint64_t arrival = (uint64_t)moment * 1000 + next_random(random) % 3000;
        double value = value_of(scenario->values, id, random);
        if (scenario->values == VALUES_TIMERS)
            cell_add_value(&out->cell, value, WEIGHT_ONE, moment, arrival);
        else
            aggregate_add(&out->cell.aggregate, value, WEIGHT_ONE, moment, arrival);
    }
}

/* Series `first`, `first` + step, ... */
static inline void fill(const struct scenario *scenario, uint32_t first, uint32_t step, wall_ms at,
                        uint64_t *random, struct run_cell *cells)
{
    for (uint32_t i = 0; i < CELLS; i++)
        fill_cell(scenario, first + i * step, at, random, &cells[i]);
}

static const struct scenario MIX = {"mix of 86 % counters, 14 % gauges", VALUES_MIX, 1};

/* --- runs --------------------------------------------------------------------------------------
 */

static inline struct run write_run(struct write_txn *txn, unsigned tier, uint64_t number,
                                   const struct run_cell *cells)
{
    struct error err = ERROR_EMPTY;
    struct run_writer writer;

    run_writer_init(&writer, tier, number);
    for (size_t i = 0; i < CELLS; i++)
        must(run_writer_add(&writer, txn, cells[i].id, cells[i].minute, &cells[i].cell, &err),
             &err);
    must(run_writer_flush(&writer, txn, &err), &err);
    struct run run = writer.run;
    run_writer_fini(&writer);
    return run;
}

/* Merges all, as the background does. */
static inline uint64_t merge_into(const struct read_txn *txn, const struct run *runs, size_t count,
                                  struct run_writer *writer, struct write_txn *write)
{
    struct error err = ERROR_EMPTY;
    struct run_merge *merge = run_merge_new_moving(txn, runs, count, INT64_MIN, &err);

    must(merge != NULL && run_merge_seek(merge, 0, INT64_MIN, &err), &err);
    while (!run_merge_is_over(merge))
        must(run_merge_to(merge, writer, write, 64, &err), &err);
    must(run_writer_flush(writer, write, &err), &err);
    run_merge_free(merge);
    return writer->run.cells;
}

/* Without a writer they are only read. */
static inline uint64_t merge_all(const struct read_txn *txn, const struct run *runs, size_t count,
                                 struct run_writer *writer, struct write_txn *write)
{
    struct error err = ERROR_EMPTY;
    struct run_cell cell;
    bool found = true;
    uint64_t cells = 0;

    if (writer != NULL)
        return merge_into(txn, runs, count, writer, write);
    struct run_merge *merge = run_merge_new(txn, runs, count, INT64_MIN, INT64_MAX, &err);
    must(merge != NULL, &err);
    for (;; cells++) {
        must(run_merge_next(merge, &cell, &found, &err), &err);
        if (!found)
            break;
        cell_fini(&cell.cell);
    }
    run_merge_free(merge);
    return cells;
}

static inline double read_series(const struct read_txn *txn, const struct run *runs, size_t count,
                                 const uint32_t *ids, size_t id_count)
{
    struct error err = ERROR_EMPTY;
    struct aggregate sum = AGGREGATE_EMPTY;

    for (size_t i = 0; i < count; i++) {
        struct run_cursor cursor;
        must(run_cursor_init(&cursor, txn, &runs[i], &err), &err);
        for (size_t j = 0; j < id_count; j++) {
            must(run_cursor_seek(&cursor, ids[j], BEGIN, &err), &err);
            if (cursor.has_cell && cursor.cell.id == ids[j])
                aggregate_merge(&sum, &cursor.cell.cell.aggregate);
        }
        run_cursor_fini(&cursor);
    }
    return aggregate_sum(&sum);
}
