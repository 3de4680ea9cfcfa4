#include "store/walk.h"

#include <string.h>

static bool walk_read(struct walk *walk, MDB_cursor_op how, struct error *err)
{
    int rc = mdb_cursor_get(walk->cursor, &walk->key, &walk->value, how);
    walk->found = rc == 0;
    if (rc != 0 && rc != MDB_NOTFOUND)
        return store_error(err, rc, "cannot read data directory '%s'", walk->txn->store->path);
    return true;
}

bool walk_begin(struct walk *walk, const struct read_txn *txn, enum database database,
                const struct schema_key *from, struct error *err)
{
    *walk = (struct walk){.txn = txn};
    int rc = mdb_cursor_open(txn->txn, txn->store->databases[database], &walk->cursor);
    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
    return walk_to(walk, from, err);
}

bool walk_to(struct walk *walk, const struct schema_key *from, struct error *err)
{
    if (from->len == 0)
        return walk_read(walk, MDB_FIRST, err);
    if (from->len > sizeof from->bytes) { /* after all keys, of walk_after */
        walk->found = false;
        return true;
    }
    walk->key = store_key(from);
    return walk_read(walk, MDB_SET_RANGE, err);
}

bool walk_next(struct walk *walk, struct error *err)
{
    return walk_read(walk, MDB_NEXT, err);
}

void walk_end(struct walk *walk)
{
    if (walk->cursor != NULL)
        mdb_cursor_close(walk->cursor);
    walk->cursor = NULL;
}

bool walk_has_prefix(const struct walk *walk, const struct schema_key *prefix)
{
    return walk->key.mv_size >= prefix->len &&
           memcmp(walk->key.mv_data, prefix->bytes, prefix->len) == 0;
}

struct schema_key walk_after(struct str key)
{
    struct schema_key after = SCHEMA_KEY_EMPTY;

    if (key.len < sizeof after.bytes) {
        memcpy(after.bytes, key.text, key.len);
        after.len = key.len;
        schema_put_u8(&after, 0);
        return after;
    }
    after.len = sizeof after.bytes;
    memcpy(after.bytes, key.text, after.len);
    while (after.len > 0 && after.bytes[after.len - 1] == 0xff)
        after.len--;
    if (after.len == 0)
        after.len = sizeof after.bytes + 1;
    else
        after.bytes[after.len - 1]++;
    return after;
}
