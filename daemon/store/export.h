/* Walks all that is stored, cell by cell, in pages: for an export of raw cells.
 *
 * In the order of windows of four hours, then series, then time. Where minutes of a metric are kept
 * their cells are visited; where only quarters of an hour are left, these. What only days are kept
 * of is left out: nobody could take it back. A cell has one place in time wherever it is read, but
 * a civil day is one in its own calendar alone; as a cell of one of its minutes it would be right
 * in that calendar, and all hours and all other calendars would be wrong and would not say so. A
 * backup has them. Each page reads the snapshot that it is given. */
#pragma once

#include "store/query.h"

struct export_range {
    struct str metric; /* of this one alone; empty: all */
    wall_ms from, to;  /* half open; WALL_NONE: from the oldest, to the newest. A window that the
                          range begins or ends in is cut at whole minutes, or quarters */
};

/* The cell that comes next; start from zeros. */
struct export_place {
    bool is_set;
    wall_ms window;
    uint32_t id;
    wall_ms at;
};

/* False: the page is full, and the next one begins with this cell. The cell is borrowed. */
struct export_cell {
    struct str key; /* the series' */
    wall_ms from;
    span_ms width; /* a minute, or a quarter of an hour */
    const struct cell *cell;
};
typedef bool (*export_cell_fn)(const struct export_cell *cell, void *arg);

/* One export: what, how far it has come, and who takes the cells. */
struct export
{
    struct export_range range;
    struct export_place place;
    export_cell_fn on_cell;
    void *arg;
};

/* `*more` false: that was all. A page may end early, without a cell even, so that it does not take
 * long. */
bool export_page(struct read_txn *txn, struct export *export, bool *more, struct error *err);
