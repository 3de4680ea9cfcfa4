/* Deltas become a run of tier 0: what a commit appends. Private to store/.
 *
 * Nothing that is stored is read but the levels of gauges that were changed relatively and the
 * trackers of points in order, so the cost of a commit does not depend on how much there is or
 * how old the samples are. */
#pragma once

#include "store/catalog.h"
#include "store/gauge.h"
#include "store/point.h"

enum { LATE_MINUTES = 2 };

struct journal_report {
    uint64_t cells;
    uint64_t series_created;
    uint64_t collisions; /* cells refused (store/catalog.h) */
    uint64_t unknown;    /* the same */
    wall_ms newest;      /* sample; WALL_NONE without one */
    uint64_t late;       /* samples of minutes that had ended LATE_MINUTES before, or earlier */
    uint64_t mixed;      /* points that say of two senders (store/point.h) */
    char mixed_metric[STR_QUOTED_SIZE];
};

/* A delta, or a part of it: a large one is committed in several transactions. */
struct journal_part {
    struct delta *delta;
    size_t from, to;               /* cells, half open */
    size_t points_from, points_to; /* the same */
    uint64_t samples;              /* in these */
    struct ledger_drops drops;     /* of these samples, those that were not stored */
};

/* What is applied, and with what. All borrowed. */
struct journal_group {
    struct catalog *catalog;
    struct gauges *gauges;
    struct write_txn *txn;
    struct points *points;
    struct journal_part *parts;
    size_t count;
    uint64_t number; /* of the commit: the run's */
    wall_ms now;
    struct arena *scratch; /* for what is needed meanwhile */
};

/* Appends the merged cells of all parts as one run and lists it; changes of one gauge from several
 * senders apply in the order of time (S7). What no level keeps any more, and what has no series, is
 * not written (design 4.5). Changes nothing in the deltas but sets the parts' counts:
 * after a failure it is called again, and points_forget and catalog_forget before that. */
bool journal_apply(const struct journal_group *group, struct journal_report *report,
                   struct error *err);
