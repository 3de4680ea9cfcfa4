#include "store/index.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "store/parts.h"

enum { PLACE_SIZE = 28 };

static bool cannot_read(const struct read_txn *txn, int rc, struct error *err)
{
    return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
}

/* --- keys --- */

/* What of the series is in the first two bits of a key, and the seed of its hash. */
enum kind { KIND_NAME, KIND_METRIC, KIND_LABEL, KIND_PAIR, KIND_SHIFT = 62 };

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

struct series_hash index_metric_key(enum metric_kind kind, struct str metric)
{
    struct buf text = BUF_EMPTY;

    buf_u8(&text, (uint8_t)kind);
    buf_str(&text, metric);
    struct series_hash hash = hash_of(buf_view(&text), KIND_METRIC);
    buf_fini(&text);
    return hash;
}

struct series_hash index_label_key(struct str label)
{
    return hash_of(label, KIND_LABEL);
}

struct series_hash index_pair_key(struct str label, struct str value)
{
    struct buf text = BUF_EMPTY;

    buf_str(&text, label);
    buf_char(&text, '\x01');
    buf_str(&text, value);
    struct series_hash hash = hash_of(buf_view(&text), KIND_PAIR);
    buf_fini(&text);
    return hash;
}

size_t index_entries_of(uint32_t id, struct str key, struct index_entry *out)
{
    struct str metric = series_key_metric(key);
    struct label label;
    size_t at = 0;
    size_t count = 0;

    out[count++] = (struct index_entry){index_series_key(series_key_hash(key)), id};
    /* Kind and metric stand at the key's beginning, a label and its value side by side in it. */
    const struct str kind_and_metric = {key.text, 1 + metric.len};
    out[count++] = (struct index_entry){hash_of(kind_and_metric, KIND_METRIC), id};
    while (count + 2 <= INDEX_ENTRIES_MAX && series_key_next_label(key, &at, &label)) {
        if (label.value.len == 0)
            continue; /* the same as a label that is not there */
        const struct str pair = {label.name.text, label.name.len + 1 + label.value.len};
        out[count++] = (struct index_entry){hash_of(label.name, KIND_LABEL), id};
        out[count++] = (struct index_entry){hash_of(pair, KIND_PAIR), id};
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
    static const enum database all[] = {DATABASE_INDEX, DATABASE_INDEX_RUNS, DATABASE_METRICS};
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

static struct schema_key place_key(uint64_t number, struct series_hash key, uint32_t id)
{
    struct schema_key place;

    place.len = 0;
    schema_put_u64(&place, number);
    schema_put_u64(&place, key.high);
    schema_put_u64(&place, key.low);
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

bool index_writer_add(struct index_writer *writer, struct write_txn *txn, struct series_hash key,
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
    cursor->has = false;
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
    return place->mv_size == PLACE_SIZE && schema_get_u64(&reader) == cursor->number;
}

/* Copied, since pages that are written in this transaction move. */
static bool load(struct index_cursor *cursor, const MDB_val *value, struct error *err)
{
    cursor->has = false;
    if (value->mv_size > sizeof cursor->bytes)
        return is_corrupt(cursor, err);
    memcpy(cursor->bytes, value->mv_data, value->mv_size);
    const struct str bytes = {cursor->bytes, value->mv_size};
    return index_chunk_open(&cursor->chunk, bytes, cursor->number) || is_corrupt(cursor, err);
}

static void stand_at(struct index_cursor *cursor, size_t group)
{
    cursor->group = group;
    cursor->key = index_chunk_key(&cursor->chunk, group);
    cursor->has = true;
}

/* To the first key of the chunk that `op` leads to; none is the end. */
static bool move(struct index_cursor *cursor, MDB_cursor_op op, struct error *err)
{
    MDB_val place;
    MDB_val value;

    cursor->has = false;
    int rc = mdb_cursor_get(cursor->cursor, &place, &value, op);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return cannot_read(cursor->txn, rc, err);
    if (rc == MDB_NOTFOUND || !is_ours(cursor, &place))
        return true;
    if (!load(cursor, &value, err))
        return false;
    stand_at(cursor, 0);
    return true;
}

/* To the place in the chunk at hand, when it is not before or after it. */
static bool find_in_chunk(struct index_cursor *cursor, struct series_hash key, uint32_t id)
{
    size_t group = index_chunk_find(&cursor->chunk, key);

    if (group == cursor->chunk.key_count)
        return false;
    stand_at(cursor, group);
    cursor->from_id = index_key_order(cursor->key, key) == 0 ? id : 0;
    return true;
}

bool index_cursor_seek(struct index_cursor *cursor, struct series_hash key, uint32_t id,
                       struct error *err)
{
    struct schema_key sought = place_key(cursor->number, key, id);
    MDB_val place = store_key(&sought);
    MDB_val value;

    /* In the chunk at hand, unless the key's ids begin before it or may go on after it. */
    if (cursor->has && index_key_order(index_chunk_key(&cursor->chunk, 0), key) < 0 &&
        find_in_chunk(cursor, key, id) && (id == 0 || cursor->group + 1 < cursor->chunk.key_count))
        return true;
    cursor->has = false;
    /* The chunk that begins at the place or, mostly, the one before it holds it. */
    int rc = mdb_cursor_get(cursor->cursor, &place, &value, MDB_SET_RANGE);
    bool exact = rc == 0 && place.mv_size == sought.len &&
                 memcmp(place.mv_data, sought.bytes, sought.len) == 0;
    if (!exact && (rc == 0 || rc == MDB_NOTFOUND))
        rc = mdb_cursor_get(cursor->cursor, &place, &value, rc == 0 ? MDB_PREV : MDB_LAST);
    if (rc == MDB_NOTFOUND) { /* nothing before it */
        cursor->from_id = 0;
        return move(cursor, MDB_FIRST, err);
    }
    if (rc != 0)
        return cannot_read(cursor->txn, rc, err);
    if (is_ours(cursor, &place)) {
        if (!load(cursor, &value, err))
            return false;
        if (find_in_chunk(cursor, key, id))
            return true;
    }
    cursor->from_id = 0;
    return move(cursor, MDB_NEXT, err);
}

bool index_cursor_next(struct index_cursor *cursor, struct error *err)
{
    struct series_hash before = cursor->key;

    cursor->from_id = 0;
    if (cursor->group + 1 < cursor->chunk.key_count)
        stand_at(cursor, cursor->group + 1);
    else if (!move(cursor, MDB_NEXT, err))
        return false;
    if (cursor->has && index_key_order(before, cursor->key) > 0)
        return is_corrupt(cursor, err);
    return true;
}

bool index_cursor_ids(const struct index_cursor *cursor, uint32_t *out, size_t *count,
                      struct error *err)
{
    size_t skipped = 0;

    if (!index_chunk_ids(&cursor->chunk, cursor->group, out, count))
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

/* The chunks of one key in one run. */
static bool find_in_run(struct index_cursor *cursor, struct series_hash key, struct id_list *out,
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

bool index_find(const struct read_txn *txn, const struct index_runs *runs, struct series_hash key,
                struct id_list *out, struct error *err)
{
    struct index_cursor cursor;
    bool ok = true;

    out->count = 0;
    for (size_t i = 0; i < runs->count && ok; i++) {
        ok = index_cursor_init(&cursor, txn, runs->items[i].number, err) &&
             find_in_run(&cursor, key, out, err);
        index_cursor_fini(&cursor);
    }
    /* Runs follow each other, so this is for bytes that were not written by us. */
    if (ok && !is_sorted(out))
        qsort(out->ids, out->count, sizeof *out->ids, compare_ids);
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

static bool mark_in_run(struct index_cursor *cursor, struct series_hash key,
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

bool index_mark(const struct read_txn *txn, const struct index_runs *runs, struct series_hash key,
                const struct id_list *list, unsigned char *marks, struct error *err)
{
    struct index_cursor cursor;
    bool ok = true;

    for (size_t i = 0; i < runs->count && ok && list->count > 0; i++) {
        ok = index_cursor_init(&cursor, txn, runs->items[i].number, err) &&
             mark_in_run(&cursor, key, list, marks, err);
        index_cursor_fini(&cursor);
    }
    return ok;
}

/* The keys in one run. */
static bool find_all_in_run(struct index_cursor *cursor, const struct series_hash *keys,
                            size_t count, index_fn on_id, void *arg, struct error *err)
{
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        if (!index_cursor_seek(cursor, keys[i], 0, err))
            return false;
        if (!cursor->has)
            return true; /* this key and all later ones are after the run's end */
        while (cursor->has && index_key_order(cursor->key, keys[i]) == 0) {
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
        ok = index_cursor_init(&cursor, txn, runs.items[i].number, err) &&
             find_all_in_run(&cursor, keys, count, on_id, arg, err);
        index_cursor_fini(&cursor);
    }
    index_runs_fini(&runs);
    return ok;
}
