/* Points whose series their sender keeps in order (series/delta.h) become samples, in cells of the
 * minutes in which they ended (FIG-23, O10). Private to store/.
 *
 * Of the writer's thread; what it remembers is in the trackers (store/tracker.h), and of each
 * metric when its first series was made. */
#pragma once

#include "store/chunk.h"
#include "store/ledger_table.h"
#include "store/tracker.h"

/* One of a group, with the id of its series and its key in that group's delta, if it came with. */
struct point {
    uint32_t id;
    struct str key; /* empty: it is read */
    const struct delta_point *sent;
    struct ledger_drops *drops; /* of its delta: what was not counted */
};

static inline void drop_point(struct ledger_drops *drops, enum drop_reason reason, bool has_tally)
{
    drops->counts[reason]++;
    drops->histograms += has_tally && reason != DROP_duplicate;
}

struct points;

struct points *points_new(void);
void points_free(struct points *set); /* NULL is fine */

/* At the beginning of each group, and after a transaction that did not hold, or may not have. */
bool points_begin(struct points *set, const struct read_txn *txn, struct error *err);
void points_forget(struct points *set);

/* Forgets series that are gone for good; between groups. */
void points_remove(struct points *set, const uint32_t *ids, size_t count);

/* Bytes held for all series. */
size_t points_size_bytes(const struct points *set);

/* What a point counts. */
struct point_sample {
    int64_t minute;
    struct delta_cell *cell;    /* of one with a tally, in the arena; else NULL, and it is: */
    struct chunk_sample sample; /* a plain sample */
    uint32_t id;
    struct ledger_drops *drops; /* of its delta */
};

/* Those of a group. */
struct point_list {
    struct point *items;
    size_t count;
    struct point_sample *samples; /* by id; those that count nothing are not among them */
    size_t sample_count;
    bool has_sketches;                  /* some of them hold one */
    uint64_t mixed;                     /* points that say of two senders under one series */
    char mixed_metric[STR_QUOTED_SIZE]; /* the metric of one of them, for a person */
};

/* Turns the points, by series, time and arrival, into samples. Marks the metrics of two senders
 * (store/mixed.h). The list is the caller's to end with point_list_fini, also after a false. */
bool points_resolve(struct points *set, struct write_txn *txn, struct arena *scratch,
                    struct point_list *list, struct error *err);

/* Frees what the samples hold, not the arrays. */
void point_list_fini(struct point_list *list);
