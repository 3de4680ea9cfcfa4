/* Which series a selector names: set operations on the lists of ids that the index has, and the
 * keys of those that are not in it yet. Private to store/. */
#pragma once

#include "store/query.h"
#include "store/store_private.h"

/* In growing order, in the arena; NULL when there are none. */
bool catalog_select_ids(const struct read_txn *txn, const struct selector *selector,
                        struct arena *arena, uint32_t **out, size_t *count, struct error *err);

/* The same with their keys, copied into the arena. */
bool catalog_select(const struct read_txn *txn, const struct selector *selector,
                    struct arena *arena, struct query_series **out, size_t *count,
                    struct error *err);
