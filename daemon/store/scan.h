/* Reading what runs and partitions say. Private to store/: query.h has the contract.
 *
 * A figure is the merge of all listed runs and, for each segment of a plan (store/plan.h), of the
 * partitions of its level: what is in a run is in no partition. */
#pragma once

#include "store/plan.h"
#include "store/query.h"

/* query_cells. At most SCAN_CELLS cells are in memory at a time. */
enum { SCAN_CELLS = 1024 };
unsigned scan_coverage_of(enum level level); /* the bit of enum coverage_level */
bool scan_cells(const struct read_txn *txn, const struct query *query, query_cell_fn on_cell,
                void *arg, struct coverage *coverage, struct error *err);

/* query_levels. */
bool scan_levels(const struct read_txn *txn, const struct query_levels *query,
                 struct level_sample *out, struct coverage *coverage, struct error *err);

/* The times of the first and of the last sample of any of the series; WALL_NONE without one.
 * NULL for what is not wanted. */
struct scan_times {
    const struct query_series *series;
    size_t count;
    wall_ms *first, *last;
};
bool scan_times(const struct read_txn *txn, const struct scan_times *times,
                struct coverage *coverage, struct error *err);

/* query_changed. */
bool scan_changed(const struct read_txn *txn, const struct query_changes *changes,
                  changed_fn on_range, void *arg, struct error *err);

/* query_oldest_change. */
bool scan_oldest_change(const struct read_txn *txn, uint64_t since, wall_ms *out,
                        struct error *err);
