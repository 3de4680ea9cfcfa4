/* What a transaction says of its deltas: which of them are new, what the ledger counts of them, and
 * the answers that are kept. Private to store/. */
#pragma once

#include "base/queue.h"
#include "store/group.h"
#include "store/journal.h"

struct account {
    struct write_txn *txn;
    struct arena *scratch;
    uint64_t *unreadable; /* entries of the ledger that were begun anew */
};

/* Decides which deltas of the group are new, and makes parts of those: one for each of the group's
 * deltas at most, and one for that of which it has a part. `first` is the first of all deltas. */
bool account_choose(struct write_txn *txn, struct message *first, const struct group *group,
                    struct journal_part *parts, size_t *count, struct error *err);

/* Counts the group's deltas, whose parts are in the transaction. A part that is not its delta's
 * last one counts its own samples, taken in the order of the delta's ledgers, so that no snapshot
 * says more than it has; all that has no sample (rejected, dropped, annotations) goes with the
 * first one. */
bool account_settle(const struct account *account, struct message *first, const struct group *group,
                    const struct journal_part *parts, struct error *err);

/* The part that was counted last is committed: the delta's ledgers say what is left. */
void account_forget_part(struct delta *delta);

/* Counts deltas that will never be stored as dropped, but for those whose sender is told so. */
bool account_lost(const struct account *account, const struct queue *deltas, struct error *err);
