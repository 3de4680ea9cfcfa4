/* The ledger as it is stored: counts of each listener. Private to store/. */
#pragma once

#include "series/delta.h"
#include "store/store_private.h"

/* Samples that a delta's ledgers call stored and that were not. */
struct ledger_drops {
    uint64_t counts[DROP_REASON_COUNT];
};

/* Adds the counts that came with a delta, less `drops`, and by its outcome: one that is not stored
 * has dropped what its counts call stored, as a duplicate or, for DELTA_CONFLICT, as a conflict. A
 * stored entry that cannot be read is begun anew and counted in `*unreadable`. */
bool ledger_table_add(struct write_txn *txn, const struct delta *delta,
                      const struct ledger_drops *drops, uint64_t *unreadable, struct error *err);

/* What was not stored of a later part of a delta, whose counts are in the ledger already: from
 * stored to dropped. */
bool ledger_table_drop(struct write_txn *txn, const struct delta *delta,
                       const struct ledger_drops *drops, uint64_t *unreadable, struct error *err);

/* An entry of the ledger database; `listener` points into the bytes. Fewer reasons than this
 * version knows are fine (they are append only), more are not. */
bool ledger_table_decode(struct str bytes, struct str *listener, struct ledger *out);
