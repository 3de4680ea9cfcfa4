/* The writer's memory of series: 128-bit hashes -> ids, of those that it has met.
 *
 * 24 bytes a series, and between a third and as much again that is unused. It is made of parts that
 * grow one at a time, each for itself, so that no addition is slow however many there are. */
#pragma once

#include "series/series_key.h"

struct series_slot {
    struct series_hash hash;
    uint32_t id;   /* 0: empty */
    uint32_t note; /* the caller's */
};

enum { SERIES_TABLE_PARTS = 256 };

struct series_table_part {
    struct series_slot *slots; /* NULL while empty */
    uint32_t size;
    uint32_t used;
};

struct series_table {
    uint64_t multipliers[2]; /* random, so that nobody can choose hashes that share slots */
    struct series_table_part parts[SERIES_TABLE_PARTS];
};

void series_table_init(struct series_table *table);
void series_table_fini(struct series_table *table); /* empties it; it may be used again */

/* Where a hash belongs: find it once, and fetch what it leads to ahead. */
struct series_place {
    uint32_t part;
    uint32_t slot;
};
struct series_place series_table_place(const struct series_table *table, struct series_hash hash);

static inline void series_table_prefetch(const struct series_table *table,
                                         struct series_place place)
{
    const struct series_table_part *part = &table->parts[place.part];
    if (part->slots != NULL)
        __builtin_prefetch(&part->slots[place.slot]);
}

/* NULL when it is not there. Valid until the next addition or removal. */
const struct series_slot *series_table_at(const struct series_table *table,
                                          struct series_place place, struct series_hash hash);
const struct series_slot *series_table_find(const struct series_table *table,
                                            struct series_hash hash);

/* `id` is not 0. What was there under this hash is replaced: returns its id, 0 without. */
uint32_t series_table_put(struct series_table *table, struct series_hash hash, uint32_t id,
                          uint32_t note);
void series_table_remove(struct series_table *table, struct series_hash hash);

size_t series_table_size_bytes(const struct series_table *table);
