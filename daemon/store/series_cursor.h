/* Reads the rows of series, by id or one after the other. Private to store/. */
#pragma once

#include "store/store_private.h"

/* Borrows the transaction; keys are valid as long as it is, or until it writes to the database. */
struct series_cursor {
    const struct read_txn *txn;
    MDB_cursor *cursor;
    bool has;    /* it stands on a series */
    uint32_t id; /* that one's */
    wall_ms first_seen;
    struct str key; /* empty when the row cannot be read */
};

/* Reads a row; false when it is none. Only as much of the key is checked as its readers need
 * (series/series_key.h): it was whole when it was stored, and catalog_check looks at the rest. */
bool series_row_decode(struct str bytes, wall_ms *first_seen, struct str *key);

/* Stands nowhere. series_cursor_fini frees it in any state. */
bool series_cursor_init(struct series_cursor *cursor, const struct read_txn *txn,
                        struct error *err);
void series_cursor_fini(struct series_cursor *cursor);

/* To the first series with this id or a greater one; quick when that is near. */
bool series_cursor_seek(struct series_cursor *cursor, uint32_t id, struct error *err);
bool series_cursor_next(struct series_cursor *cursor, struct error *err);
bool series_cursor_last(struct series_cursor *cursor, struct error *err);

/* The greatest id that was ever given, also to a series that is gone; 0: none was. */
bool series_newest(const struct read_txn *txn, uint32_t *out, struct error *err);
