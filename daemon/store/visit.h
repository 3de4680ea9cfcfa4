/* What one run or one partition says of many series, read once from front to back. Private to
 * store/.
 *
 * The series are in the order of their ids, as the data is, so both sides only move forwards: each
 * skips what the other does not have. */
#pragma once

#include "store/partition.h"
#include "store/query.h"
#include "store/run.h"

struct visit_series {
    uint32_t id;
    uint32_t row; /* the caller's */
};

struct visit {
    const struct read_txn *txn;
    const struct visit_series *series; /* in growing order of ids, which may repeat */
    size_t count;
    int64_t from, to; /* minutes, for visit_run */
    void *arg;
    bool stopped; /* set by a callback that has enough */
};

/* Row i is series[i], or row 0 all of them when merged. What visit->series points to is returned
 * too: it is in the arena, and the caller may take some out. */
struct visit_series *visit_init(struct visit *visit, const struct read_txn *txn,
                                const struct query_series *series, size_t count, bool merged,
                                struct arena *arena);

/* Called for each cell of the series within the minutes, by quarter, series and minute. The cell is
 * borrowed. False with `err` set fails the visit. */
typedef bool (*visit_cell_fn)(struct visit *visit, const struct visit_series *series,
                              const struct run_cell *cell, struct error *err);
bool visit_run(struct visit *visit, const struct run *run, visit_cell_fn on_cell,
               struct error *err);

/* Called for each series that the partition has, with the cursor standing on it. */
typedef bool (*visit_series_fn)(struct visit *visit, const struct visit_series *series,
                                struct partition_cursor *cursor, struct error *err);
bool visit_partition(struct visit *visit, const struct partition *partition,
                     visit_series_fn on_series, struct error *err);

/* Of partitions sorted by `from`, the first one that may reach to a bucket or beyond it. */
size_t visit_first_partition(const struct partition *partitions, size_t count, int64_t bucket);
