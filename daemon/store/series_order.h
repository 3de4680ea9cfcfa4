/* The names of series by their ids, of those that the writer has met.
 *
 * Senders keep their order, and ids are given in the order of first appearance: what follows a
 * series is mostly the one with the next id. So it is found beside the one before it, where
 * series_table has to look at a random place. 20 bytes an id, in parts that are there as long as
 * one of their ids is. Private to store/. */
#pragma once

#include "series/series_key.h"

enum { SERIES_ORDER_IDS = 512 }; /* of a part */

struct series_order_part {
    struct series_hash hashes[SERIES_ORDER_IDS];
    uint32_t notes[SERIES_ORDER_IDS]; /* 0: empty */
    uint32_t used;
};

struct series_order {
    struct series_order_part **parts; /* NULL: nobody of it is known */
    size_t count, capacity;
    size_t used; /* parts that are there */
};

void series_order_fini(struct series_order *order); /* zeroed is empty, and so it is afterwards */

/* `note` is the caller's, not 0. What was there under this id is replaced. */
void series_order_put(struct series_order *order, uint32_t id, struct series_hash hash,
                      uint32_t note);
void series_order_remove(struct series_order *order, uint32_t id);

size_t series_order_size_bytes(const struct series_order *order);

/* The note of the series if this is its name; 0: it is not, or nobody has the id. */
static inline uint32_t series_order_note(const struct series_order *order, uint32_t id,
                                         struct series_hash hash)
{
    const size_t number = id / SERIES_ORDER_IDS;
    const size_t at = id % SERIES_ORDER_IDS;

    if (number >= order->count || order->parts[number] == NULL)
        return 0;
    const struct series_order_part *part = order->parts[number];
    return part->hashes[at].high == hash.high && part->hashes[at].low == hash.low ? part->notes[at]
                                                                                  : 0;
}
