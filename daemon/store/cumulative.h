/* Samples of counters that count up from their start (FIG-23) become increments, in cells of the
 * minutes in which they ended. Private to store/.
 *
 * Of the writer's thread; what it remembers is in the trackers (store/tracker.h), and of each
 * metric when its first series was made. */
#pragma once

#include "store/ledger_table.h"
#include "store/tracker.h"

/* One of a group, with the id of its series and its key in that group's delta, if it came with. */
struct cumulative {
    uint32_t id;
    struct str key; /* empty: it is read */
    const struct delta_cumulative *sample;
    struct ledger_drops *drops; /* of its delta: what was not counted */
};

struct cumulatives;

struct cumulatives *cumulatives_new(void);
void cumulatives_free(struct cumulatives *set); /* NULL is fine */

/* At the beginning of each group, and after a transaction that did not hold. */
void cumulatives_begin(struct cumulatives *set);
void cumulatives_forget(struct cumulatives *set);

/* Sorts the samples by series and time and turns them into cells: `out` takes one for each, those
 * that count nothing hold nothing. */
bool cumulatives_resolve(struct cumulatives *set, struct write_txn *txn, struct cumulative *samples,
                         size_t count, struct delta_cell *out, struct error *err);
