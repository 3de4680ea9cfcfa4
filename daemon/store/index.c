#include "store/index.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "store/parts.h"

enum {
    VALUE_CUT = 1,   /* follows what is left of a long value, which has no such byte */
    METRIC_CUT = 15, /* and of a metric's long name; kinds are smaller, bytes of names greater */
    METRIC_HASH_SIZE = INDEX_HASH_SIZE - 1, /* what is kept of its hash, for the kind to fit in */
};
_Static_assert((int)METRIC_KIND_MAX < METRIC_CUT, "kinds stand before what cuts a name");

static bool cannot_read(const struct read_txn *txn, int rc, struct error *err)
{
    return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
}

/* --- keys --- */

/* What of the series is in the first two bits of a key, and the seed of its hash. */
enum kind { KIND_NAME, KIND_METRIC, KIND_VALUE, KIND_SHIFT = 62 };

/* Of the keys of all metrics, which their texts tell apart. */
static const struct series_hash METRICS = {(uint64_t)KIND_METRIC << KIND_SHIFT, 0};

static struct series_hash key_of(struct series_hash hash, enum kind kind)
{
    return (struct series_hash){(uint64_t)kind << KIND_SHIFT | hash.high >> (64 - KIND_SHIFT),
                                hash.low};
}

static struct series_hash hash_of(struct str text, enum kind kind)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(text.text == NULL ? "" : text.text, text.len, kind);
    return key_of((struct series_hash){hash.high64, hash.low64}, kind);
}

struct series_hash index_series_key(struct series_hash name)
{
    return key_of(name, KIND_NAME);
}

/* What is left of a long text, a byte that says so, and a part of the hash of all of it, into room
 * for INDEX_TEXT_MAX bytes. */
static size_t cut(struct str text, unsigned char mark, size_t hash_size, char *out)
{
    XXH128_hash_t hash = XXH3_128bits(text.text, text.len);
    XXH128_canonical_t bytes;

    XXH128_canonicalFromHash(&bytes, hash);
    memcpy(out, text.text, INDEX_VALUE_MAX);
    out[INDEX_VALUE_MAX] = (char)mark;
    memcpy(out + INDEX_VALUE_MAX + 1, bytes.digest, hash_size);
    return INDEX_VALUE_MAX + 1 + hash_size;
}

struct index_key index_metric_key(enum metric_kind kind, struct str metric, struct arena *arena)
{
    char *text = arena_alloc(arena, metric.len < INDEX_VALUE_MAX ? metric.len + 1 : INDEX_TEXT_MAX);
    size_t len = metric.len;

    if (metric.len > INDEX_VALUE_MAX)
        len = cut(metric, METRIC_CUT, METRIC_HASH_SIZE, text);
    else if (metric.len > 0)
        memcpy(text, metric.text, metric.len);
    text[len] = (char)kind;
    return (struct index_key){METRICS, {text, len + 1}};
}

struct str index_metric_stem(struct str metric, struct arena *arena)
{
    if (metric.len <= INDEX_VALUE_MAX)
        return metric;
    char *text = arena_alloc(arena, INDEX_TEXT_MAX);
    return (struct str){text, cut(metric, METRIC_CUT, METRIC_HASH_SIZE, text)};
}

bool index_metric_of(struct index_key key, struct index_metric *out)
{
    if (!series_hash_equal(key.hash, METRICS) || key.text.len < 2)
        return false;
    size_t len = key.text.len - 1;
    out->stem = (struct str){key.text.text, len};
    out->kind = (enum metric_kind)(unsigned char)key.text.text[len];
    out->is_cut = len > INDEX_VALUE_MAX;
    return out->kind > 0 && (int)out->kind <= METRIC_KIND_MAX;
}

static struct str cut_value(struct str value, struct arena *arena)
{
    char *text = arena_alloc(arena, INDEX_TEXT_MAX);
    return (struct str){text, cut(value, VALUE_CUT, INDEX_HASH_SIZE, text)};
}

struct index_key index_value_key(struct str label, struct str value, struct arena *arena)
{
    return (struct index_key){hash_of(label, KIND_VALUE),
                              value.len <= INDEX_VALUE_MAX ? value : cut_value(value, arena)};
}

size_t index_entries_of(uint32_t id, struct str key, struct arena *arena, struct index_entry *out)
{
    struct str metric = series_key_metric(key);
    struct label label;
    size_t at = 0;
    size_t count = 0;

    out[count++] = (struct index_entry){{index_series_key(series_key_hash(key)), STR_EMPTY}, id};
    out[count++] = (struct index_entry){index_metric_key(series_key_kind(key), metric, arena), id};
    while (count < INDEX_ENTRIES_MAX && series_key_next_label(key, &at, &label)) {
        if (label.value.len > 0)
            out[count++] =
                (struct index_entry){index_value_key(label.name, label.value, arena), id};
    }
    return count;
}

/* --- the list of runs --- */

void index_runs_fini(struct index_runs *runs)
{
    free(runs->items);
    *runs = (struct index_runs){0};
}

bool index_runs_read(struct index_runs *runs, const struct read_txn *txn, struct error *err)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    size_t capacity = 0;

    *runs = (struct index_runs){0};
    int rc = mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_INDEX_RUNS], &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0) {
        struct schema_reader name = schema_reader_of(store_bytes(&key));
        struct reader facts = reader_of(store_bytes(&value));
        struct index_run run = {.number = schema_get_u64(&name)};
        run.entries = read_u64(&facts);
        run.bytes = read_u64(&facts);
        if (runs->count == capacity) {
            capacity = capacity == 0 ? 16 : capacity * 2;
            runs->items = memory_grow(runs->items, capacity, sizeof *runs->items);
        }
        runs->items[runs->count++] = run;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND || cannot_read(txn, rc, err);
}

static struct schema_key run_key(uint64_t number)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    schema_put_u64(&key, number);
    return key;
}

bool index_add_run(struct write_txn *txn, const struct index_run *run, struct error *err)
{
    struct schema_key key = run_key(run->number);
    struct buf bytes = BUF_EMPTY;

    buf_u64(&bytes, run->entries);
    buf_u64(&bytes, run->bytes);
    bool ok = store_put(txn, DATABASE_INDEX_RUNS, store_key(&key), buf_view(&bytes), 0, err);
    buf_fini(&bytes);
    return ok;
}

bool index_remove_run(struct write_txn *txn, const struct index_run *run, struct error *err)
{
    struct schema_key key = run_key(run->number);

    return store_remove(txn, DATABASE_INDEX_RUNS, store_key(&key), err) &&
           parts_add_garbage(txn, GARBAGE_INDEX, run->number, err);
}

bool index_next_run(struct write_txn *txn, uint64_t *out, struct error *err)
{
    *out = meta_get(&txn->reader, "index_run", 0) + 1;
    return meta_put(txn, "index_run", *out, err);
}

uint32_t index_end(const struct read_txn *txn)
{
    uint64_t end = meta_get(txn, "indexed", 0);
    return end > UINT32_MAX ? 0 : (uint32_t)end; /* 0: all series are read one by one */
}

bool index_set_end(struct write_txn *txn, uint32_t id, struct error *err)
{
    return meta_put(txn, "indexed", id, err);
}

bool index_clear(struct write_txn *txn, struct error *err)
{
    static const enum database all[] = {DATABASE_INDEX, DATABASE_INDEX_RUNS};
    struct read_txn *reader = &txn->reader;
    int rc = 0;

    for (size_t i = 0; i < sizeof all / sizeof *all && rc == 0; i++)
        rc = mdb_drop(reader->txn, reader->store->databases[all[i]], 0);
    if (rc != 0) {
        txn->storage_failed = true;
        return store_error(err, rc, "cannot write to data directory '%s'", reader->store->path);
    }
    return index_set_end(txn, 0, err);
}

/* --- writing a run --- */

static void put_place(struct schema_key *place, uint64_t number, struct index_key key)
{
    place->len = 0;
    schema_put_u64(place, number);
    schema_put_u64(place, key.hash.high);
    schema_put_u64(place, key.hash.low);
    if (key.text.len > 0)
        memcpy(place->bytes + place->len, key.text.text, key.text.len);
    place->len += key.text.len;
}

/* No text has the byte that ends it here before its end, but those that were cut, which have one
 * length: so places have the order of (key, id). */
static struct schema_key place_key(uint64_t number, struct index_key key, uint32_t id)
{
    struct schema_key place;

    put_place(&place, number, key);
    schema_put_u8(&place, 0);
    schema_put_u32(&place, id);
    return place;
}

bool index_writer_flush(struct index_writer *writer, struct write_txn *txn, struct error *err)
{
    struct str bytes = index_chunk_writer_take(&writer->chunk, writer->run.number);
    struct schema_key place =
        place_key(writer->run.number, writer->chunk.first_key, writer->chunk.first_id);

    if (bytes.len == 0)
        return true;
    writer->run.bytes += bytes.len;
    return store_put(txn, DATABASE_INDEX, store_key(&place), bytes, 0, err);
}

bool index_writer_add(struct index_writer *writer, struct write_txn *txn, struct index_key key,
                      uint32_t id, struct error *err)
{
    writer->run.entries++;
    if (index_chunk_writer_add(&writer->chunk, key, id))
        return true;
    if (!index_writer_flush(writer, txn, err))
        return false;
    (void)index_chunk_writer_add(&writer->chunk, key, id); /* an empty chunk takes one */
    return true;
}

/* --- reading a run --- */

bool index_cursor_init(struct index_cursor *cursor, const struct read_txn *txn, uint64_t number,
                       struct error *err)
{
    cursor->txn = txn;
    cursor->number = number;
    cursor->cursor = NULL;
    cursor->has = cursor->goes_on = cursor->in_place = false;
    int rc = mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_INDEX], &cursor->cursor);
    return rc == 0 || cannot_read(txn, rc, err);
}

void index_cursor_fini(struct index_cursor *cursor)
{
    if (cursor->cursor != NULL)
        mdb_cursor_close(cursor->cursor);
    cursor->cursor = NULL;
    cursor->has = false;
}

static bool is_corrupt(const struct index_cursor *cursor, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "index run %llu in data directory '%s' cannot be read",
                     (unsigned long long)cursor->number, cursor->txn->store->path);
}

/* Whether a place in the database is the run's. */
static bool is_ours(const struct index_cursor *cursor, const MDB_val *place)
{
    struct schema_reader reader = schema_reader_of(store_bytes(place));
    return schema_get_u64(&reader) == cursor->number && reader.ok;
}

/* Stands at the first key of the chunk that is at a place of the run. */
static bool enter(struct index_cursor *cursor, const MDB_val *place, const MDB_val *value,
                  struct error *err)
{
    struct str bytes = store_bytes(value);

    cursor->has = false;
    if (bytes.len > sizeof cursor->bytes)
        return is_corrupt(cursor, err);
    if (!cursor->in_place) { /* pages that are written in this transaction move */
        memcpy(cursor->bytes, bytes.text, bytes.len);
        bytes.text = cursor->bytes;
    }
    if (!index_chunk_open(&cursor->chunk, bytes, cursor->number) ||
        !index_chunk_first(&cursor->chunk, &cursor->place))
        return is_corrupt(cursor, err);
    struct schema_key expected =
        place_key(cursor->number, cursor->place.key, index_chunk_first_id(&cursor->chunk, 0));
    if (place->mv_size != expected.len || memcmp(place->mv_data, expected.bytes, expected.len) != 0)
        return is_corrupt(cursor, err);
    cursor->key = cursor->place.key;
    cursor->goes_on = false;
    cursor->has = true;
    return true;
}

/* To the first key of the chunk that `op` leads to; none is the end. */
static bool move(struct index_cursor *cursor, MDB_cursor_op op, struct error *err)
{
    MDB_val place;
    MDB_val value;

    cursor->has = false;
    cursor->from_id = 0;
    int rc = mdb_cursor_get(cursor->cursor, &place, &value, op);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return cannot_read(cursor->txn, rc, err);
    if (rc == MDB_NOTFOUND || !is_ours(cursor, &place))
        return true;
    return enter(cursor, &place, &value, err);
}

/* To the place in the chunk at hand; `has` is false when that is after it. */
static bool find_in_chunk(struct index_cursor *cursor, struct index_key key, uint32_t id,
                          struct error *err)
{
    cursor->has = false;
    if (!index_chunk_find(&cursor->chunk, key, &cursor->place))
        return is_corrupt(cursor, err);
    if (cursor->place.n == cursor->chunk.key_count)
        return true;
    cursor->has = true;
    cursor->goes_on = false;
    cursor->key = cursor->place.key;
    cursor->from_id = index_key_order(cursor->key, key) == 0 ? id : 0;
    return true;
}

/* Whether the chunk at hand has the place: unless the key's ids begin before it or may go on after
 * it. */
static bool find_near(struct index_cursor *cursor, struct index_key key, uint32_t id, bool *found,
                      struct error *err)
{
    *found = false;
    int order = cursor->has ? index_key_order(cursor->key, key) : 1;
    if (order > 0 || (order == 0 && cursor->place.n == 0))
        return true;
    if (!find_in_chunk(cursor, key, id, err))
        return false;
    *found = cursor->has && (id == 0 || cursor->place.n + 1 < cursor->chunk.key_count);
    return true;
}

bool index_cursor_seek(struct index_cursor *cursor, struct index_key key, uint32_t id,
                       struct error *err)
{
    MDB_val value;
    bool found = false;

    if (!find_near(cursor, key, id, &found, err) || found)
        return found;
    struct schema_key sought = place_key(cursor->number, key, id);
    MDB_val place = store_key(&sought);
    cursor->has = false;
    /* The chunk that begins at the place or, mostly, the one before it holds it. */
    int rc = mdb_cursor_get(cursor->cursor, &place, &value, MDB_SET_RANGE);
    bool exact = rc == 0 && place.mv_size == sought.len &&
                 memcmp(place.mv_data, sought.bytes, sought.len) == 0;
    if (!exact && (rc == 0 || rc == MDB_NOTFOUND))
        rc = mdb_cursor_get(cursor->cursor, &place, &value, rc == 0 ? MDB_PREV : MDB_LAST);
    if (rc == MDB_NOTFOUND) /* nothing before it */
        return move(cursor, MDB_FIRST, err);
    if (rc != 0)
        return cannot_read(cursor->txn, rc, err);
    if (!is_ours(cursor, &place))
        return move(cursor, MDB_NEXT, err);
    if (!enter(cursor, &place, &value, err) || !find_in_chunk(cursor, key, id, err))
        return false;
    return cursor->has || move(cursor, MDB_NEXT, err);
}

/* From the last key of a chunk to the first one of the next, which may be the same. */
static bool next_chunk(struct index_cursor *cursor, struct error *err)
{
    struct index_place before = cursor->place;

    if (before.key.text.len > 0)
        before.key.text.text = (const char *)before.bytes + INDEX_HASH_SIZE;
    if (!move(cursor, MDB_NEXT, err))
        return false;
    int order = cursor->has ? index_key_order(before.key, cursor->key) : -1;
    cursor->goes_on = order == 0;
    return order <= 0 || is_corrupt(cursor, err);
}

bool index_cursor_next(struct index_cursor *cursor, struct error *err)
{
    cursor->from_id = 0;
    if (cursor->place.n + 1 == cursor->chunk.key_count)
        return next_chunk(cursor, err);
    if (!index_chunk_next(&cursor->chunk, &cursor->place)) {
        cursor->has = false;
        return is_corrupt(cursor, err);
    }
    cursor->goes_on = false;
    cursor->key = cursor->place.key;
    return true;
}

bool index_cursor_ids(const struct index_cursor *cursor, uint32_t *out, size_t *count,
                      struct error *err)
{
    size_t skipped = 0;

    if (!index_chunk_ids(&cursor->chunk, cursor->place.n, out, count))
        return is_corrupt(cursor, err);
    while (skipped < *count && out[skipped] < cursor->from_id)
        skipped++;
    *count -= skipped;
    if (skipped > 0)
        memmove(out, out + skipped, *count * sizeof *out);
    return true;
}

/* --- looking up --- */

void id_list_fini(struct id_list *list)
{
    free(list->ids);
    *list = (struct id_list)ID_LIST_EMPTY;
}

void id_list_reserve(struct id_list *list, size_t more)
{
    size_t needed = list->count + more;

    if (needed <= list->capacity)
        return;
    list->capacity = list->capacity * 2 > needed ? list->capacity * 2 : needed;
    list->ids = memory_grow(list->ids, list->capacity, sizeof *list->ids);
}

void id_list_add(struct id_list *list, uint32_t id)
{
    id_list_reserve(list, 1);
    list->ids[list->count++] = id;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t one = *(const uint32_t *)a;
    uint32_t other = *(const uint32_t *)b;
    return one < other ? -1 : one > other;
}

static bool is_sorted(const struct id_list *list)
{
    for (size_t i = 1; i < list->count; i++) {
        if (list->ids[i - 1] >= list->ids[i])
            return false;
    }
    return true;
}

/* A cursor for what is only read. */
static bool look_into(struct index_cursor *cursor, const struct read_txn *txn, uint64_t run,
                      struct error *err)
{
    if (!index_cursor_init(cursor, txn, run, err))
        return false;
    cursor->in_place = true;
    return true;
}

/* The chunks of one key in one run. */
static bool find_in_run(struct index_cursor *cursor, struct index_key key, struct id_list *out,
                        struct error *err)
{
    if (!index_cursor_seek(cursor, key, 0, err))
        return false;
    while (cursor->has && index_key_order(cursor->key, key) == 0) {
        size_t count = 0;
        id_list_reserve(out, INDEX_CHUNK_IDS_MAX);
        if (!index_cursor_ids(cursor, out->ids + out->count, &count, err) ||
            !index_cursor_next(cursor, err))
            return false;
        out->count += count;
    }
    return true;
}

bool index_find(const struct read_txn *txn, const struct index_runs *runs, struct index_key key,
                struct id_list *out, struct error *err)
{
    struct index_cursor cursor;
    bool ok = true;

    out->count = 0;
    for (size_t i = 0; i < runs->count && ok; i++) {
        ok = look_into(&cursor, txn, runs->items[i].number, err) &&
             find_in_run(&cursor, key, out, err);
        index_cursor_fini(&cursor);
    }
    /* Runs follow each other, so this is for bytes that were not written by us. */
    if (ok && !is_sorted(out))
        qsort(out->ids, out->count, sizeof *out->ids, compare_ids);
    return ok;
}

bool index_has_more(const struct read_txn *txn, const struct index_runs *runs, struct index_key key,
                    size_t limit, bool *out, struct error *err)
{
    struct index_cursor cursor;
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    size_t found = 0;
    bool ok = true;

    for (size_t i = runs->count; i-- > 0 && ok && found <= limit;) {
        size_t count = 0;
        ok = look_into(&cursor, txn, runs->items[i].number, err) &&
             index_cursor_seek(&cursor, key, 0, err);
        while (ok && found <= limit && cursor.has && index_key_order(cursor.key, key) == 0) {
            ok = index_cursor_ids(&cursor, ids, &count, err) && index_cursor_next(&cursor, err);
            found += count;
        }
        index_cursor_fini(&cursor);
    }
    *out = found > limit;
    return ok;
}

/* The greatest id that a chunk may hold one byte for each of; nearer ones are in the next chunk. */
enum { NEAR = INDEX_CHUNK_IDS_MAX };

static size_t first_not_before(const struct id_list *list, size_t from, uint32_t id)
{
    size_t to = list->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (list->ids[middle] < id)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* Marks what is both in the list, from `at` on, and in `ids`; returns the first place in the list
 * that is after them all. */
static size_t mark_common(const struct id_list *list, size_t at, const uint32_t *ids, size_t count,
                          unsigned char *marks)
{
    if (count == 0)
        return at;
    at = first_not_before(list, at, ids[0]);
    for (size_t i = 0; i < count && at < list->count;) {
        uint32_t one = list->ids[at];
        uint32_t other = ids[i];
        marks[at] |= one == other;
        at += one <= other;
        i += other <= one;
    }
    return first_not_before(list, at, ids[count - 1] + 1);
}

static bool mark_in_run(struct index_cursor *cursor, struct index_key key,
                        const struct id_list *list, unsigned char *marks, struct error *err)
{
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    size_t count = 0;
    size_t at = 0;

    if (!index_cursor_seek(cursor, key, list->ids[0], err))
        return false;
    while (cursor->has && index_key_order(cursor->key, key) == 0) {
        if (!index_cursor_ids(cursor, ids, &count, err))
            return false;
        at = mark_common(list, at, ids, count, marks);
        if (at == list->count)
            return true;
        if (count > 0 && list->ids[at] - ids[count - 1] > NEAR) {
            if (!index_cursor_seek(cursor, key, list->ids[at], err))
                return false;
        } else if (!index_cursor_next(cursor, err)) {
            return false;
        }
    }
    return true;
}

bool index_mark(const struct read_txn *txn, const struct index_runs *runs, struct index_key key,
                const struct id_list *list, unsigned char *marks, struct error *err)
{
    struct index_cursor cursor;
    bool ok = true;

    for (size_t i = 0; i < runs->count && ok && list->count > 0; i++) {
        ok = look_into(&cursor, txn, runs->items[i].number, err) &&
             mark_in_run(&cursor, key, list, marks, err);
        index_cursor_fini(&cursor);
    }
    return ok;
}

/* --- sets --- */

static bool add_from_run(struct index_cursor *cursor, struct index_key key, struct id_set *out,
                         struct error *err)
{
    const struct index_chunk *chunk = &cursor->chunk;
    const size_t *n = &cursor->place.n;
    uint64_t end = (uint64_t)out->first + out->count;

    if (!index_cursor_seek(cursor, key, out->first, err))
        return false;
    while (cursor->has && index_key_order(cursor->key, key) == 0 &&
           index_chunk_first_id(chunk, *n) < end) {
        if (!index_chunk_add_ids(chunk, *n, *n + 1, out))
            return is_corrupt(cursor, err);
        if (!index_cursor_next(cursor, err))
            return false;
    }
    return true;
}

bool index_add(const struct read_txn *txn, const struct index_runs *runs, struct index_key key,
               struct id_set *out, struct error *err)
{
    struct index_cursor cursor;
    bool ok = true;

    for (size_t i = 0; i < runs->count && ok; i++) {
        ok = look_into(&cursor, txn, runs->items[i].number, err) &&
             add_from_run(&cursor, key, out, err);
        index_cursor_fini(&cursor);
    }
    return ok;
}

static bool starts_with(struct index_key key, struct index_key prefix)
{
    return series_hash_equal(key.hash, prefix.hash) && key.text.len >= prefix.text.len &&
           (prefix.text.len == 0 || memcmp(key.text.text, prefix.text.text, prefix.text.len) == 0);
}

static bool place_starts_with(const MDB_val *place, const struct schema_key *prefix)
{
    return place->mv_size >= prefix->len && memcmp(place->mv_data, prefix->bytes, prefix->len) == 0;
}

/* Adds what is in the chunk at hand, from the current key on, and goes to the first key of the next
 * one if that begins with the prefix too: then nothing in between has to be looked at. */
static bool add_from_chunk(struct index_cursor *cursor, struct index_key prefix, struct id_set *out,
                           struct error *err)
{
    const struct index_chunk *chunk = &cursor->chunk;
    struct index_place *at = &cursor->place;
    size_t from = at->n;
    size_t end = chunk->key_count;
    struct schema_key first;
    MDB_val place;
    MDB_val value;

    put_place(&first, cursor->number, prefix);
    int rc = mdb_cursor_get(cursor->cursor, &place, &value, MDB_NEXT);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return cannot_read(cursor->txn, rc, err);
    bool goes_on = rc == 0 && place_starts_with(&place, &first);
    while (!goes_on && at->n + 1 < chunk->key_count) {
        if (!index_chunk_next(chunk, at))
            return is_corrupt(cursor, err);
        if (!starts_with(at->key, prefix)) {
            end = at->n;
            break;
        }
    }
    if (!index_chunk_add_ids(chunk, from, end, out))
        return is_corrupt(cursor, err);
    cursor->has = false;
    return !goes_on || enter(cursor, &place, &value, err);
}

bool index_add_prefix(const struct read_txn *txn, const struct index_runs *runs,
                      const struct index_prefix *prefix, struct id_set *out, struct error *err)
{
    const struct index_key key = {hash_of(prefix->label, KIND_VALUE), prefix->prefix};
    struct index_cursor cursor;
    bool ok = true;

    for (size_t i = 0; i < runs->count && ok; i++) {
        ok = look_into(&cursor, txn, runs->items[i].number, err) &&
             index_cursor_seek(&cursor, key, 0, err);
        while (ok && cursor.has && starts_with(cursor.key, key))
            ok = add_from_chunk(&cursor, key, out, err);
        index_cursor_fini(&cursor);
    }
    return ok;
}

/* --- many names --- */

/* The keys in one run. */
static bool find_all_in_run(struct index_cursor *cursor, const struct series_hash *keys,
                            size_t count, index_fn on_id, void *arg, struct error *err)
{
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        const struct index_key key = {keys[i], STR_EMPTY};
        if (!index_cursor_seek(cursor, key, 0, err))
            return false;
        if (!cursor->has)
            return true; /* this key and all later ones are after the run's end */
        while (cursor->has && index_key_order(cursor->key, key) == 0) {
            if (!index_cursor_ids(cursor, ids, &found, err))
                return false;
            for (size_t j = 0; j < found; j++) {
                if (!on_id(i, ids[j], arg))
                    return true;
            }
            if (!index_cursor_next(cursor, err))
                return false;
        }
    }
    return true;
}

bool index_find_all(const struct read_txn *txn, const struct series_hash *keys, size_t count,
                    index_fn on_id, void *arg, struct error *err)
{
    struct index_runs runs;
    struct index_cursor cursor;
    bool ok = index_runs_read(&runs, txn, err);

    for (size_t i = 0; i < runs.count && ok; i++) {
        ok = look_into(&cursor, txn, runs.items[i].number, err) &&
             find_all_in_run(&cursor, keys, count, on_id, arg, err);
        index_cursor_fini(&cursor);
    }
    index_runs_fini(&runs);
    return ok;
}
