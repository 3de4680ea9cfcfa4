#include "store/annotation.h"

#include <string.h>

#include "series/series_key.h"
#include "store/store_private.h"

enum {
    ROW_VERSION = 1,
    FLAG_LOW = 1,
    KEY_SIZE = 16,
    REMOVED_PER_ADD = 16, /* at most, when the bytes are too many */
};

static const char NEWEST_NUMBER[] = "annotation";

/* --- rows --- */

static struct schema_key key_of(const struct annotation_place *place)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;

    schema_put_i64(&key, place->at);
    schema_put_u64(&key, place->number);
    return key;
}

static void encode(const struct annotation *annotation, struct buf *out)
{
    buf_clear(out);
    buf_u8(out, ROW_VERSION);
    buf_u8(out, (uint8_t)annotation->kind);
    buf_u8(out, annotation->is_low ? FLAG_LOW : 0);
    buf_block(out, annotation->title);
    buf_block(out, annotation->text);
    buf_block(out, annotation->host);
    buf_block(out, annotation->key);
    buf_block(out, annotation->source);
    buf_block(out, annotation->tags);
}

bool annotation_row_of(struct str key, struct str value, struct annotation_place *place,
                       struct annotation *out)
{
    struct schema_reader names = schema_reader_of(key);
    struct reader reader = reader_of(value);

    place->at = schema_get_i64(&names);
    place->number = schema_get_u64(&names);
    uint8_t version = read_u8(&reader);
    uint8_t kind = read_u8(&reader);
    uint8_t flags = read_u8(&reader);
    *out = (struct annotation){.at = place->at,
                               .kind = (enum annotation_kind)kind,
                               .is_low = (flags & FLAG_LOW) != 0,
                               .title = read_block(&reader),
                               .text = read_block(&reader),
                               .host = read_block(&reader),
                               .key = read_block(&reader),
                               .source = read_block(&reader),
                               .tags = read_block(&reader)};
    return names.ok && names.left == 0 && reader.ok && reader.left == 0 && version == ROW_VERSION &&
           kind < ANNOTATION_KIND_COUNT && flags <= FLAG_LOW && out->title.len > 0 &&
           out->title.len <= ANNOTATION_TITLE_MAX && out->text.len <= ANNOTATION_TEXT_MAX &&
           out->host.len <= ANNOTATION_WORD_MAX && out->key.len <= ANNOTATION_WORD_MAX &&
           out->source.len <= ANNOTATION_WORD_MAX && out->tags.len <= LABEL_BYTES_MAX;
}

/* --- taking away --- */

static bool cannot_read(const struct read_txn *txn, int rc, struct error *err)
{
    return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
}

/* The key of the oldest one into `*out`, copied: LMDB's goes with the first change. */
static bool find_oldest(const struct read_txn *txn, struct schema_key *out, bool *found,
                        struct error *err)
{
    MDB_cursor *cursor = NULL;
    MDB_val key = {0};
    MDB_val value;

    *out = (struct schema_key)SCHEMA_KEY_EMPTY;
    int rc = mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_ANNOTATIONS], &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
        mdb_cursor_close(cursor);
    }
    *found = rc == 0;
    if (rc != 0)
        return rc == MDB_NOTFOUND || cannot_read(txn, rc, err);
    if (key.mv_size > sizeof out->bytes)
        return error_set(err, ERROR_CORRUPT, "an annotation's key has %zu bytes", key.mv_size);
    memcpy(out->bytes, key.mv_data, key.mv_size);
    out->len = key.mv_size;
    return true;
}

static bool are_too_many(const struct read_txn *txn, bool *out, struct error *err)
{
    MDB_stat facts;

    int rc = mdb_stat(txn->txn, txn->store->databases[DATABASE_ANNOTATIONS], &facts);
    if (rc != 0)
        return cannot_read(txn, rc, err);
    size_t pages = facts.ms_branch_pages + facts.ms_leaf_pages + facts.ms_overflow_pages;
    *out = facts.ms_entries > ANNOTATIONS_MAX || pages * facts.ms_psize > ANNOTATIONS_BYTES_MAX;
    return true;
}

static bool make_room(struct write_txn *txn, struct error *err)
{
    bool too_many = true;

    for (int i = 0; i < REMOVED_PER_ADD; i++) {
        struct schema_key oldest;
        bool found = false;
        if (!are_too_many(&txn->reader, &too_many, err))
            return false;
        if (!too_many)
            return true;
        if (!find_oldest(&txn->reader, &oldest, &found, err))
            return false;
        if (!found)
            return true;
        if (!store_remove(txn, DATABASE_ANNOTATIONS, store_key(&oldest), err))
            return false;
    }
    return true;
}

bool annotations_expire(struct write_txn *txn, wall_ms before, size_t max, size_t *removed,
                        struct error *err)
{
    for (*removed = 0; *removed < max; (*removed)++) {
        struct schema_key oldest;
        bool found = false;
        if (!find_oldest(&txn->reader, &oldest, &found, err))
            return false;
        struct schema_reader reader =
            schema_reader_of((struct str){(const char *)oldest.bytes, oldest.len});
        if (!found || schema_get_i64(&reader) >= before)
            return true;
        if (!store_remove(txn, DATABASE_ANNOTATIONS, store_key(&oldest), err))
            return false;
    }
    return true;
}

/* --- adding --- */

bool annotations_add(struct write_txn *txn, const struct annotation *annotations, size_t count,
                     struct error *err)
{
    uint64_t number = meta_get(&txn->reader, NEWEST_NUMBER, 0);
    struct buf row = BUF_EMPTY;
    bool ok = true;

    for (size_t i = 0; i < count && ok; i++) {
        const struct annotation_place place = {annotations[i].at, ++number};
        struct schema_key key = key_of(&place);
        encode(&annotations[i], &row);
        ok = store_put(txn, DATABASE_ANNOTATIONS, store_key(&key), buf_view(&row), 0, err) &&
             make_room(txn, err);
    }
    buf_fini(&row);
    return ok && (count == 0 || meta_put(txn, NEWEST_NUMBER, number, err));
}

/* --- reading --- */

/* Onto the last row before the key. */
static int step_before(MDB_cursor *cursor, const struct schema_key *end, MDB_val *key,
                       MDB_val *value)
{
    *key = store_key(end);
    int rc = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    return mdb_cursor_get(cursor, key, value, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
}

static int begin_reading(MDB_cursor *cursor, const struct annotation_query *query, MDB_val *key,
                         MDB_val *value)
{
    const struct annotation_place to = {query->to, 0};
    const struct annotation_place *end = query->to == WALL_NONE ? NULL : &to;

    if (query->before != NULL && (end == NULL || query->before->at < to.at))
        end = query->before;
    if (end == NULL)
        return mdb_cursor_get(cursor, key, value, MDB_LAST);
    struct schema_key before = key_of(end);
    return step_before(cursor, &before, key, value);
}

bool annotations_read(struct read_txn *txn, const struct annotation_query *query,
                      annotation_fn on_annotation, void *arg, struct error *err)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;

    int rc = mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_ANNOTATIONS], &cursor);
    if (rc == 0)
        rc = begin_reading(cursor, query, &key, &value);
    while (rc == 0) {
        struct annotation_place place;
        struct annotation annotation;
        bool is_whole =
            annotation_row_of(store_bytes(&key), store_bytes(&value), &place, &annotation);
        if (key.mv_size == KEY_SIZE && query->from != WALL_NONE && place.at < query->from)
            break;
        if (is_whole && !on_annotation(&place, &annotation, arg))
            break;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_PREV);
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND || cannot_read(txn, rc, err);
}
