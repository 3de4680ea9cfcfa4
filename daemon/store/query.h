/* Reading figures: selector, range and step -> cells, with coverage.
 *
 * Everything here reads one snapshot. Results are in the arena. */
#pragma once

#include "series/cell.h"
#include "series/ledger.h"
#include "series/metric.h"
#include "series/series_key.h"
#include "store/store.h"

enum match_op { MATCH_EQUAL, MATCH_NOT_EQUAL, MATCH_IN, MATCH_PREFIX };

/* A label filter. A series without the label has the empty value. */
struct label_match {
    struct str label;
    enum match_op op;
    const struct str *values; /* one, or several for MATCH_IN */
    size_t value_count;
};

struct selector {
    struct str metric;
    enum metric_kind kind;
    const struct label_match *matches;
    size_t match_count;
};

struct query_series {
    uint32_t id;    /* inside this store only */
    struct str key; /* canonical (series/series_key.h) */
};

/* The series that a selector names, in the order of their ids; NULL when there are none. */
struct query_series *query_select(struct read_txn *txn, const struct selector *selector,
                                  struct arena *arena, size_t *count);

/* What stands behind a figure. Start from COVERAGE_EMPTY; every query adds to it. */
struct coverage {
    bool complete;   /* false: some part of the range is not heard or not kept */
    unsigned levels; /* bits of enum coverage_level that were read */
    wall_ms newest;  /* time of the newest sample read; WALL_NONE if none */
};

enum coverage_level { COVERAGE_MINUTE = 1, COVERAGE_QUARTER_HOUR = 2, COVERAGE_DAY = 4 };

#define COVERAGE_EMPTY                                                                             \
    {                                                                                              \
        true, 0, WALL_NONE                                                                         \
    }

struct query {
    const struct query_series *series;
    size_t series_count;
    wall_ms from; /* whole minutes, half open; an end inside a minute takes that minute whole */
    wall_ms to;
    span_ms
        step; /* a multiple of a minute, steps start at `from`; 0: the whole range is one step */
    bool merge_series; /* one cell a step over all series; else each series apart */
};

/* `series` is the index in the query's series (0 when merged). Cells that hold nothing are left
 * out; the order is series, then time. The cell is borrowed for the call. Return false to stop. */
typedef bool (*query_cell_fn)(size_t series, wall_ms step_from, const struct cell *cell, void *arg);

/* ERROR_INVALID when the step is not a number of minutes, ERROR_CORRUPT for a cell that cannot be
 * read. Memory is bounded whatever the range. */
bool query_cells(struct read_txn *txn, const struct query *query, query_cell_fn on_cell, void *arg,
                 struct coverage *coverage, struct error *err);

/* The newest sample of a series at or before `at` (FIG-13): a sample at `at` itself counts. False
 * with `*found` untouched means an error; no sample is `*found` false. Cells are of one minute: in
 * the minute of `at` only its first and its last sample are known, those between are not. */
struct level {
    double value;
    wall_ms at;
};
bool query_level(struct read_txn *txn, uint32_t series, wall_ms at, struct level *out, bool *found,
                 struct error *err);

/* What is known of a metric, whatever the labels. */
struct metric_facts {
    bool seen;
    unsigned kinds; /* bit (1 << enum metric_kind) for each kind it has series of */
    wall_ms first_sample_at;
    wall_ms last_sample_at;
    uint64_t series;
};
void query_metric(struct read_txn *txn, struct str metric, struct metric_facts *out);

/* Metric names in order (after 400 bytes that are alike: in any order), for hints and lists; return
 * false to stop. */
typedef bool (*metric_fn)(struct str metric, const struct metric_facts *facts, void *arg);
void query_metrics(struct read_txn *txn, metric_fn on_metric, void *arg);

/* The committed ledger of each listener (series/ledger.h), in the order of their names. */
typedef bool (*ledger_fn)(struct str listener, const struct ledger *ledger, void *arg);
void query_ledgers(struct read_txn *txn, ledger_fn on_ledger, void *arg);

/* Time of the newest sample of all metrics ("data as of"); WALL_NONE in an empty store. */
wall_ms query_newest(struct read_txn *txn);
