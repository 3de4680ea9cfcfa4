#include "store/removed.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { ROW_BYTES = REMOVED_IDS_A_ROW / 8, ROWS_MAX = UINT32_MAX / REMOVED_IDS_A_ROW + 1 };

/* The row's number, or false for bytes that are none. */
static bool row_of(const MDB_val *key, const MDB_val *value, uint32_t *row)
{
    *row = schema_id_of(store_bytes(key));
    return key->mv_size == SCHEMA_ID_SIZE && value->mv_size == ROW_BYTES && *row < ROWS_MAX;
}

static void add_row(struct removed *removed, uint32_t row, const unsigned char *bits)
{
    if (row >= removed->row_count) {
        removed->rows = memory_grow(removed->rows, (size_t)row + 1, sizeof *removed->rows);
        while (removed->row_count <= row)
            removed->rows[removed->row_count++] = NULL;
    }
    removed->rows[row] = bits;
}

bool removed_init(struct removed *removed, const struct read_txn *txn, struct error *err)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    uint32_t row = 0;

    *removed = (struct removed){0};
    int rc = mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_REMOVED], &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0) {
        if (row_of(&key, &value, &row))
            add_row(removed, row, value.mv_data);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    if (rc != MDB_NOTFOUND)
        return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
    return true;
}

void removed_fini(struct removed *removed)
{
    free(removed->rows);
    *removed = (struct removed){0};
}

bool removed_add(struct write_txn *txn, uint32_t id, struct error *err)
{
    struct schema_key key = schema_id_key(id / REMOVED_IDS_A_ROW);
    uint32_t bit = id % REMOVED_IDS_A_ROW;
    unsigned char bits[ROW_BYTES] = {0};
    struct str stored;
    bool found = false;

    if (!store_find(&txn->reader, DATABASE_REMOVED, store_key(&key), &stored, &found, err))
        return false;
    if (found && stored.len == ROW_BYTES)
        memcpy(bits, stored.text, ROW_BYTES);
    bits[bit / 8] |= (unsigned char)(1U << (bit % 8));
    return store_put(txn, DATABASE_REMOVED, store_key(&key),
                     (struct str){(const char *)bits, ROW_BYTES}, 0, err);
}

bool removed_last(const struct read_txn *txn, uint32_t *out, struct error *err)
{
    struct removed removed;
    bool ok = removed_init(&removed, txn, err);

    *out = 0;
    for (uint32_t row = ok ? removed.row_count : 0; row > 0 && *out == 0; row--) {
        for (uint32_t bit = REMOVED_IDS_A_ROW; bit > 0 && *out == 0; bit--) {
            uint32_t id = (row - 1) * REMOVED_IDS_A_ROW + bit - 1;
            if (removed_has(&removed, id))
                *out = id;
        }
    }
    removed_fini(&removed);
    return ok;
}
