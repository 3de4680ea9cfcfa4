/* Deltas become a run of tier 0: what a commit appends. Private to store/.
 *
 * Nothing that is stored is read but the levels of gauges that were changed relatively and the
 * trackers of cumulative counters, so the cost of a commit does not depend on how much there is or
 * how old the samples are. */
#pragma once

#include "store/catalog.h"

struct journal_report {
    uint64_t cells;
    uint64_t series_created;
    uint64_t collisions; /* cells refused (store/catalog.h) */
    uint64_t unknown;    /* the same */
    wall_ms newest;      /* sample; WALL_NONE without one */
};

/* What is applied, and with what. All borrowed. */
struct journal_group {
    struct catalog *catalog;
    struct write_txn *txn;
    struct delta *const *deltas;
    size_t count;
    uint64_t number; /* of the commit: the run's */
    wall_ms now;
    struct arena *scratch; /* for what is needed meanwhile */
};

/* Appends the merged cells of all deltas as one run and lists it; changes of one gauge from several
 * senders apply in the order of time (S7). Changes nothing in the deltas: after a failure it is
 * called again. */
bool journal_apply(const struct journal_group *group, struct journal_report *report,
                   struct error *err);
