/* A walk over the rows of a database in the order of their keys. Private to store/. */
#pragma once

#include "store/store_private.h"

struct walk {
    const struct read_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value; /* while `found`; LMDB's */
    bool found;         /* it stands on a row */
};

/* To the first row at or after the key, which may be empty. walk_end ends it in any case, before
 * the transaction. */
bool walk_begin(struct walk *walk, const struct read_txn *txn, enum database database,
                const struct schema_key *from, struct error *err);
bool walk_next(struct walk *walk, struct error *err);

/* The same, in a walk that is under way. */
bool walk_to(struct walk *walk, const struct schema_key *from, struct error *err);
void walk_end(struct walk *walk);

bool walk_has_prefix(const struct walk *walk, const struct schema_key *prefix);

/* The least key after this one, for a walk that goes on in another transaction. After one that is
 * longer than any that is ever written comes the least that does not begin like it: such a walk
 * comes to an end all the same. */
struct schema_key walk_after(struct str key);
