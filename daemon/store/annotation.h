/* Annotations as they are kept (series/annotation.h): in the order of their times, the newest
 * ANNOTATIONS_MAX of them, or as many as ANNOTATIONS_BYTES_MAX take: the oldest go first, and so
 * does what is older than days are kept (storage.keep). */
#pragma once

#include "series/annotation.h"
#include "store/store.h"

enum { ANNOTATIONS_MAX = 100000, ANNOTATIONS_BYTES_MAX = 64 << 20 };

/* Names one that is stored: the order is by time, then by number. */
struct annotation_place {
    wall_ms at;
    uint64_t number;
};

/* Writes them with new numbers, and takes the oldest away that are too many. */
bool annotations_add(struct write_txn *txn, const struct annotation *annotations, size_t count,
                     struct error *err);

/* Takes up to `max` that are older than `before` away. */
bool annotations_expire(struct write_txn *txn, wall_ms before, size_t max, size_t *removed,
                        struct error *err);

struct annotation_query {
    wall_ms from, to; /* half open; WALL_NONE: open at that end */
    /* Only those before this one, to go on where an earlier query ended; NULL: from the newest on.
     */
    const struct annotation_place *before;
};

/* The newest first; texts are valid until the transaction ends. Return false to stop. Rows that
 * cannot be read are left out. */
typedef bool (*annotation_fn)(const struct annotation_place *place,
                              const struct annotation *annotation, void *arg);
bool annotations_read(struct read_txn *txn, const struct annotation_query *query,
                      annotation_fn on_annotation, void *arg, struct error *err);

/* A row of the database; false: it is damaged. */
bool annotation_row_of(struct str key, struct str value, struct annotation_place *place,
                       struct annotation *out);
