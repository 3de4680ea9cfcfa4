/* Brings a data directory of schema version 2 to this one: its minute cells, keyed by series,
 * become runs, and the catalogue's indexes are made anew in the background. Private to store/.
 *
 * In steps, each a transaction that also keeps how far it came: a kill on the way costs nothing but
 * the step. From the first step on the directory has this version's number, so that an older kpid
 * refuses it, and meta "migrating". */
#pragma once

#include "store/store_private.h"

enum { MIGRATE_FROM_VERSION = 2 };

/* Before anything else reads or writes; `is_first` for a directory that still has the old version's
 * number. Says in the log how far it is. */
bool migrate(struct store *store, bool is_first, struct error *err);

/* Whether one was begun and not ended. */
bool migrate_is_unfinished(const struct read_txn *txn);
