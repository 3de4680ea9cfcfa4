/* Minute cells: deltas are merged into what is stored. Private to store/. */
#pragma once

#include "store/catalog.h"

/* What a group of deltas did. */
struct cells_report {
    uint64_t cells; /* merged into the store */
    uint64_t series_created;
    uint64_t collisions; /* cells refused (store/catalog.h) */
    uint64_t unknown;    /* the same */
    uint64_t unreadable; /* stored cells that could not be decoded and were begun anew */
    wall_ms newest;      /* sample; WALL_NONE without one */
};

/* What is applied, and with what. All borrowed. */
struct cells_group {
    struct catalog *catalog;
    struct write_txn *txn;
    struct delta *const *deltas;
    size_t count;
    wall_ms now;
    struct arena *scratch; /* for what is needed meanwhile */
};

/* Merges the cells of all deltas into the store: sorted by series, minute and time, so that the
 * pages are touched in order, and changes of one gauge from several senders apply in the order of
 * time (S7). Changes nothing in the deltas: after a failure it is called again. */
bool cells_apply(const struct cells_group *group, struct cells_report *report, struct error *err);

/* The newest cell of a series in `*minute` or before it; `*minute` becomes its own. False means
 * that the store cannot be read. The caller calls cell_fini when one was found. */
bool cells_newest(const struct read_txn *txn, uint32_t id, int64_t *minute, struct cell *out,
                  bool *found, struct error *err);

/* The minute that contains `at`, also before 1970. */
int64_t minute_of(wall_ms at);
