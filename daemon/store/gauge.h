/* Gauges that are changed relatively (S7: "+3"): the level that the next change starts from.
 *
 * Kept, in the database gauges, only for gauges that were ever changed so; of the others the newest
 * stored sample says it. `absolute_at` is a time at which an absolute value was set: changes that
 * happened before it, but come after it (from a slower ingest thread), do not move the level.
 *
 * Only the writer uses this. Private to store/. */
#pragma once

#include "series/delta.h"
#include "store/store_private.h"

struct gauge {
    uint32_t id;
    double level;
    wall_ms at; /* of the level; WALL_NONE: there is none yet */
    uint64_t arrival;
    wall_ms absolute_at;
    /* What this group of deltas has said so far: it is not to be read in the store yet. */
    wall_ms said_at; /* WALL_NONE: nothing */
    double said;
};

/* Which gauges are in the database (a bit each), and those that the group under way has met. */
struct gauges;

struct gauges *gauges_new(void);
void gauges_free(struct gauges *gauges); /* NULL is fine */

/* Forgets gauges whose series are gone for good; between groups. */
void gauges_remove(struct gauges *gauges, const uint32_t *ids, size_t count);

/* At the beginning of each group: forgets what the last one has met. The first time it reads which
 * gauges there are. */
bool gauges_begin(struct gauges *gauges, const struct read_txn *txn, struct error *err);

/* The group will change this one. Before the first cell of the group is looked at. */
void gauges_expect(struct gauges *gauges, uint32_t id);

/* Whether cells of this series have to go through the functions below; quick. */
bool gauges_has(const struct gauges *gauges, uint32_t id);

/* The gauge as it is known now, valid until the next call. */
bool gauges_get(struct gauges *gauges, struct read_txn *txn, uint32_t id, struct gauge **out,
                struct error *err);

/* The changes of a cell of `minute` as values: they start from the level that is known now. When
 * that level is newer than the changes themselves, the cell shows the new one just after it; a
 * later minute shows it with its next sample. Cells come in the order of time. */
bool gauge_change(struct gauge *gauge, struct read_txn *txn, int64_t minute,
                  const struct gauge_changes *changes, struct aggregate *out, struct error *err);

/* Takes note of absolute values. */
void gauge_set(struct gauge *gauge, const struct aggregate *values);

/* Writes what the group has met; once, at its end. */
bool gauges_save(struct gauges *gauges, struct write_txn *txn, struct error *err);
