#include "store/series_cursor.h"

#include "store/removed.h"

enum { NEAR = 8 }; /* so many steps cost about as much as looking up */

bool series_cursor_init(struct series_cursor *cursor, const struct read_txn *txn, struct error *err)
{
    *cursor = (struct series_cursor){.txn = txn};
    int rc = mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_SERIES], &cursor->cursor);
    return rc == 0 || store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
}

void series_cursor_fini(struct series_cursor *cursor)
{
    if (cursor->cursor != NULL)
        mdb_cursor_close(cursor->cursor);
    *cursor = (struct series_cursor){0};
}

bool series_row_decode(struct str bytes, wall_ms *first_seen, struct str *key)
{
    struct reader row = reader_of(bytes);

    *first_seen = read_i64(&row);
    *key = (struct str){(const char *)row.at, row.left};
    return row.ok && key->len > 2 && metric_kind_name(series_key_kind(*key)) != NULL &&
           key->text[key->len - 1] == '\0' && series_key_metric(*key).len > 0;
}

static bool move(struct series_cursor *cursor, MDB_val key, MDB_cursor_op op, struct error *err)
{
    MDB_val value;

    int rc = mdb_cursor_get(cursor->cursor, &key, &value, op);
    cursor->has = rc == 0;
    if (rc != 0 && rc != MDB_NOTFOUND)
        return store_error(err, rc, "cannot read data directory '%s'", cursor->txn->store->path);
    if (rc == MDB_NOTFOUND)
        return true;
    cursor->id = schema_id_of(store_bytes(&key));
    if (!series_row_decode(store_bytes(&value), &cursor->first_seen, &cursor->key))
        cursor->key = STR_EMPTY;
    return true;
}

bool series_cursor_next(struct series_cursor *cursor, struct error *err)
{
    return move(cursor, (MDB_val){0}, MDB_NEXT, err);
}

bool series_cursor_last(struct series_cursor *cursor, struct error *err)
{
    return move(cursor, (MDB_val){0}, MDB_LAST, err);
}

bool series_cursor_seek(struct series_cursor *cursor, uint32_t id, struct error *err)
{
    if (cursor->has && cursor->id <= id && id - cursor->id < NEAR) {
        while (cursor->has && cursor->id < id) {
            if (!series_cursor_next(cursor, err))
                return false;
        }
        return true;
    }
    struct schema_key key = schema_id_key(id);
    return move(cursor, store_key(&key), MDB_SET_RANGE, err);
}

bool series_newest(const struct read_txn *txn, uint32_t *out, struct error *err)
{
    struct series_cursor cursor;
    bool ok = series_cursor_init(&cursor, txn, err) && series_cursor_last(&cursor, err) &&
              removed_last(txn, out, err);

    if (ok && cursor.has && cursor.id > *out)
        *out = cursor.id;
    series_cursor_fini(&cursor);
    return ok;
}
