#include "store/record.h"

#include <string.h>

#include "store/store_private.h"

enum { KEY_MAX = 500 };

_Static_assert(DATABASE_RECORDS + RECORD_TABLE_COUNT == DATABASE_COUNT,
               "a database for each table");
_Static_assert(DATABASE_DECLARED - DATABASE_RECORDS == RECORD_DECLARED, "in the same order");

static enum database database_of(enum record_table table)
{
    return (enum database)(DATABASE_RECORDS + (int)table);
}

bool record_get(struct read_txn *txn, enum record_table table, struct str key, struct str *value)
{
    return store_get(txn, database_of(table), key, value);
}

static bool check_key(struct str key, struct error *err)
{
    if (key.len == 0 || key.len > KEY_MAX)
        return error_set(err, ERROR_INVALID, "a record's key has %zu bytes, not 1 to %d", key.len,
                         KEY_MAX);
    return true;
}

bool record_put(struct write_txn *txn, enum record_table table, struct str key, struct str value,
                struct error *err)
{
    return check_key(key, err) &&
           store_put(txn, database_of(table), store_value(key), value, 0, err);
}

bool record_remove(struct write_txn *txn, enum record_table table, struct str key,
                   struct error *err)
{
    struct store *store = txn->reader.store;
    MDB_val name = store_value(key);

    if (!check_key(key, err))
        return false;
    int rc = mdb_del(txn->reader.txn, store->databases[database_of(table)], &name, NULL);
    if (rc == MDB_NOTFOUND)
        return true;
    if (rc != 0) {
        txn->storage_failed = true;
        return store_error(err, rc, "cannot write to data directory '%s'", store->path);
    }
    txn->wrote = true;
    return true;
}

static bool has_prefix(struct str key, struct str prefix)
{
    return key.len >= prefix.len &&
           (prefix.len == 0 || memcmp(key.text, prefix.text, prefix.len) == 0);
}

static MDB_cursor *open_cursor(struct read_txn *txn, enum record_table table)
{
    MDB_cursor *cursor = NULL;
    if (mdb_cursor_open(txn->txn, txn->store->databases[database_of(table)], &cursor) != 0)
        return NULL;
    return cursor;
}

void record_scan(struct read_txn *txn, enum record_table table, struct str prefix,
                 record_fn on_record, void *arg)
{
    MDB_val key = store_value(prefix);
    MDB_val value;
    MDB_cursor *cursor = open_cursor(txn, table);

    if (cursor == NULL)
        return;
    int rc = mdb_cursor_get(cursor, &key, &value, prefix.len == 0 ? MDB_FIRST : MDB_SET_RANGE);
    while (rc == 0 && has_prefix(store_bytes(&key), prefix)) {
        if (!on_record(store_bytes(&key), store_bytes(&value), arg))
            break;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
}

/* The first key after all that start with `prefix`: its last byte that can grow, grown, and nothing
 * after it. False when there is no such key. */
static bool key_after(struct str prefix, char bytes[KEY_MAX], MDB_val *out)
{
    size_t len = prefix.len < KEY_MAX ? prefix.len : KEY_MAX;
    while (len > 0 && (unsigned char)prefix.text[len - 1] == 0xff)
        len--;
    if (len == 0)
        return false;
    memcpy(bytes, prefix.text, len);
    bytes[len - 1]++;
    *out = (MDB_val){.mv_size = len, .mv_data = bytes};
    return true;
}

bool record_last(struct read_txn *txn, enum record_table table, struct str prefix, struct str *key,
                 struct str *value)
{
    char after[KEY_MAX];
    MDB_val found_key = {0};
    MDB_val found = {0};
    MDB_cursor *cursor = open_cursor(txn, table);

    if (cursor == NULL)
        return false;
    bool later = key_after(prefix, after, &found_key) &&
                 mdb_cursor_get(cursor, &found_key, &found, MDB_SET_RANGE) == 0;
    int rc = mdb_cursor_get(cursor, &found_key, &found, later ? MDB_PREV : MDB_LAST);
    mdb_cursor_close(cursor);
    if (rc != 0 || !has_prefix(store_bytes(&found_key), prefix))
        return false;
    *key = store_bytes(&found_key);
    *value = store_bytes(&found);
    return true;
}
