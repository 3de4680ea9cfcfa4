/* Which series were removed: ids that were given, are gone, and are never given again. The index
 * may still name them, so who reads it asks here. Private to store/. */
#pragma once

#include "store/store_private.h"

enum { REMOVED_IDS_A_ROW = 8192 };

/* Borrows the transaction, and is valid until it ends or a series is removed in it. */
struct removed {
    const unsigned char **rows; /* of REMOVED_IDS_A_ROW bits; NULL: none of them is removed */
    uint32_t row_count;         /* 0: nothing was ever removed */
};

/* removed_fini frees it in any state. */
bool removed_init(struct removed *removed, const struct read_txn *txn, struct error *err);
void removed_fini(struct removed *removed);

static inline bool removed_has(const struct removed *removed, uint32_t id)
{
    uint32_t row = id / REMOVED_IDS_A_ROW;
    uint32_t bit = id % REMOVED_IDS_A_ROW;

    return row < removed->row_count && removed->rows[row] != NULL &&
           (removed->rows[row][bit / 8] >> (bit % 8) & 1) != 0;
}

bool removed_add(struct write_txn *txn, uint32_t id, struct error *err);

/* The greatest id that was removed, 0 without one: the next series gets a greater one. */
bool removed_last(const struct read_txn *txn, uint32_t *out, struct error *err);
