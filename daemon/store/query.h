/* Reading figures: selector, range and step -> cells, with coverage.
 *
 * Everything here reads one snapshot, for READ_TXN_MS at most: then it fails with
 * ERROR_UNAVAILABLE. Results are in the arena. */
#pragma once

#include "base/calendar.h"
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

/* The series that a selector names, in the order of their ids, in the arena; `*out` is NULL when
 * there are none. False: the catalogue cannot be read. */
bool query_series(struct read_txn *txn, const struct selector *selector, struct arena *arena,
                  struct query_series **out, size_t *count, struct error *err);

/* The same for who treats what cannot be read as absent. */
struct query_series *query_select(struct read_txn *txn, const struct selector *selector,
                                  struct arena *arena, size_t *count);

/* The series with this name (series/series_key.h), copied into the arena; false when there is none.
 */
bool query_series_by_hash(struct read_txn *txn, struct series_hash hash, struct arena *arena,
                          struct query_series *out);

/* What stands behind a figure. Start from COVERAGE_EMPTY; every query adds to it. */
struct coverage {
    bool complete;      /* false: some part of the range is not heard or not kept */
    unsigned levels;    /* bits of enum coverage_level that were read */
    wall_ms newest;     /* time of the newest sample read; WALL_NONE if none */
    bool mixed_sources; /* two senders wrote one series of a metric (FIG-24): set by who asks for a
                           metric's figure (query_is_mixed) */
};

enum coverage_level { COVERAGE_MINUTE = 1, COVERAGE_QUARTER_HOUR = 2, COVERAGE_DAY = 4 };

#define COVERAGE_EMPTY                                                                             \
    {                                                                                              \
        true, 0, WALL_NONE, false                                                                  \
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

/* The newest sample of a series at or before `at` (FIG-13): a sample at `at` itself counts. Cells
 * are of one minute: in the minute of `at` only its first and its last sample are known, those
 * between are not. */
struct level_sample {
    double value;
    wall_ms at; /* WALL_NONE: there is none */
};

/* The coverage is not complete when there may have been a newer sample than the one that was found,
 * or one at all: dropped since, or inside the quarter or the day that holds `at`, of which only the
 * first and the last sample are left. */
bool query_level(struct read_txn *txn, uint32_t series, wall_ms at, struct level_sample *out,
                 struct coverage *coverage, struct error *err);

/* The same of many series: `out` takes one for each. */
struct query_levels {
    const struct query_series *series;
    size_t series_count;
    wall_ms at;
    wall_ms since; /* what lies before is no matter to the coverage: a level that old counts no more
                    */
};
bool query_levels(struct read_txn *txn, const struct query_levels *query, struct level_sample *out,
                  struct coverage *coverage, struct error *err);

/* What is known of a metric, whatever the labels. */
struct metric_facts {
    bool seen;
    unsigned kinds; /* bit (1 << enum metric_kind) for each kind it has series of */
    uint64_t series;
};
void query_metric(struct read_txn *txn, struct str metric, struct metric_facts *out);

/* The times of its first and of its last sample that are kept; WALL_NONE without one. NULL for what
 * is not wanted. Looks at all its series: ask when it is needed. The coverage is not complete when
 * there may have been an earlier first, or any, that is not kept any more. */
bool query_metric_times(struct read_txn *txn, struct str metric, wall_ms *first, wall_ms *last,
                        struct coverage *coverage, struct error *err);

/* Whether two senders wrote one series of the metric in that time, half open (FIG-24). */
bool query_is_mixed(struct read_txn *txn, struct str metric, wall_ms from, wall_ms to);

/* Metric names in order (after 400 bytes that are alike: in any order), for hints and lists; return
 * false to stop. */
typedef bool (*metric_fn)(struct str metric, const struct metric_facts *facts, void *arg);
void query_metrics(struct read_txn *txn, metric_fn on_metric, void *arg);

/* The committed ledger of each listener (series/ledger.h), in the order of their names. False: not
 * all of them could be read. */
typedef bool (*ledger_fn)(struct str listener, const struct ledger *ledger, void *arg);
bool query_ledgers(struct read_txn *txn, ledger_fn on_ledger, void *arg);

/* Time of the newest sample of all metrics ("data as of"); WALL_NONE in an empty store. */
wall_ms query_newest(struct read_txn *txn);

/* Which of `series` changed, and since which commit (store_commit_number): the commits after that
 * one; and in which span of time, [from, to), all of it when these are equal. */
struct query_changes {
    const struct query_series *series;
    size_t series_count;
    uint64_t since;
    wall_ms from, to;
};

/* The spans of time in which their cells changed, disjoint, in order and whole quarters of an hour,
 * or civil days where finer levels are gone; return false to stop. Answered from the versions of
 * runs and partitions (design 4.11): everything that changed is said, and beside it what shares a
 * run or partition with something that changed; what was only written anew since is not. */
typedef bool (*changed_fn)(wall_ms from, wall_ms to, void *arg);
bool query_changed(struct read_txn *txn, const struct query_changes *changes, changed_fn on_range,
                   void *arg, struct error *err);

/* Nothing that is older has changed since that commit, of no series; INT64_MAX: nothing has changed
 * at all. Quick, since only the lists are read: to ask first. */
bool query_oldest_change(struct read_txn *txn, uint64_t since, wall_ms *out, struct error *err);

/* The civil periods in which they changed and that were over at `closed_at`, each once, in order:
 * what late samples have restated. */
struct query_periods {
    const struct calendar *calendar;
    enum period_kind kind;
    wall_ms closed_at;
    span_ms reach; /* a change is one of the time after it too, for so long: of levels (FIG-13) */
};
typedef bool (*changed_period_fn)(const struct period *period, void *arg);
bool query_changed_periods(struct read_txn *txn, const struct query_changes *changes,
                           const struct query_periods *periods, changed_period_fn on_period,
                           void *arg, struct error *err);
