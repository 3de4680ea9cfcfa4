/* Brings a data directory of an older schema version to this one. Private to store/.
 *
 *   2  its minute cells, keyed by series, become runs
 *   3  its index knows values only by their hashes
 *
 * Trackers of both go: no listener made any. The catalogue's index of both goes, and is made anew
 * in the background (store/indexer.h).
 *
 * In steps, each a transaction that also keeps how far it came: a kill on the way costs nothing but
 * the step. From the first step on the directory has this version's number, so that an older kpid
 * refuses it, and meta "migrating". */
#pragma once

#include "store/store_private.h"

enum { MIGRATE_OLDEST_VERSION = 2 };

/* Before anything else reads or writes. `from` is the version that the directory has: this one's
 * when a migration is to be ended that was cut short. Says in the log how far it is. */
bool migrate(struct store *store, uint32_t from, struct error *err);

/* Whether one was begun and not ended. */
bool migrate_is_unfinished(const struct read_txn *txn);
