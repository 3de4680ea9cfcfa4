/* The ledger as it is stored: counts of each listener. Private to store/. */
#pragma once

#include "series/delta.h"
#include "store/store_private.h"

/* Adds the counts of `ledgers`, less `drops`. A stored entry that cannot be read is begun anew and
 * counted in `*unreadable`. */
bool ledger_table_add(struct write_txn *txn, const struct delta_ledger *ledgers, size_t count,
                      const struct ledger_drops *drops, uint64_t *unreadable, struct error *err);

/* The drops of a delta of which nothing is stored, for this reason: all that its counts call stored
 * and more. */
struct ledger_drops ledger_drops_all(enum drop_reason reason);

/* An entry of the ledger database; `listener` points into the bytes. Fewer reasons than this
 * version knows are fine (they are append only), more are not. */
bool ledger_table_decode(struct str bytes, struct str *listener, struct ledger *out);
