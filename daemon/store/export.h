/* Walks all that is stored, cell by cell, in pages: for an export of raw cells.
 *
 * First what only days are kept of: of each calendar the days that begin before the quarters of
 * their metric do. A day that these begin in is told without what they have of it, so that nothing
 * is told twice, and days and quarters together are what is stored, to the bit (but for sums that
 * are not exact, which may round differently: series/aggregate.h); only its extremes, its first and
 * its last sample are those of all of it, which merging does not change. Before the days it is said
 * which of them each zone has, and before the first one of a metric since when its hours are known:
 * who takes the days has to know both, or would take hours that are gone for hours without data
 * (store/day_import.h).
 *
 * Then the cells, in the order of windows of four hours, then series, then time. Where minutes of a
 * metric are kept their cells are visited; where only quarters of an hour are left, these. Each
 * page reads the snapshot that it is given. */
#pragma once

#include "store/query.h"

struct export_range {
    struct str metric; /* of this one alone; empty: all */
    struct str zone;   /* of days those of this zone alone; empty: of all calendars */
    wall_ms from, to;  /* half open; WALL_NONE: from the oldest, to the newest. A window that the
                          range begins or ends in is cut at whole minutes, or quarters; of days
                          those are told that lie in it */
};

/* What comes next; start from zeros. */
struct export_place {
    bool is_set;
    uint32_t calendar; /* of its days; 0: a cell */
    wall_ms window;    /* of days the first one's number */
    uint32_t id;
    wall_ms at; /* of days its number */
};

/* Days that follow each other and are told of; in the first page alone. */
struct export_zone {
    struct str zone;
    int64_t first, last; /* since 1970 */
};

/* Of its days in a zone those that begin earlier hold less than they should, and are left out;
 * WALL_NONE: none does. */
struct export_gap {
    struct str zone;
    wall_ms whole_from;
};

/* Once in a page, before the first of its days. */
struct export_metric {
    struct str metric;
    wall_ms hours_from; /* before it has nothing but days */
    const struct export_gap *gaps;
    size_t gap_count; /* one for each zone that is told of */
};

/* What is borrowed is so for the call. */
struct export_day {
    struct str key; /* the series' */
    struct str zone;
    int64_t day; /* since 1970 */
    wall_ms from, to;
    const struct cell *cell;
};

struct export_cell {
    struct str key; /* the series' */
    wall_ms from;
    span_ms width; /* a minute, or a quarter of an hour */
    const struct cell *cell;
};

/* Who takes it. False: the page is full, and the next one begins with this cell or day; of each
 * page one at least has to be taken. */
struct export_sink {
    void (*on_zone)(const struct export_zone *zone, void *arg);
    void (*on_metric)(const struct export_metric *metric, void *arg);
    bool (*on_day)(const struct export_day *day, void *arg); /* NULL: days are left out */
    bool (*on_cell)(const struct export_cell *cell, void *arg);
};

/* One export: what, how far it has come, and who takes it. */
struct export
{
    struct export_range range;
    struct export_place place;
    const struct export_sink *sink;
    void *arg;
};

/* `*more` false: that was all. A page may end early, without a cell even, so that it does not take
 * long. */
bool export_page(struct read_txn *txn, struct export *export, bool *more, struct error *err);
