#include "store/catalog.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/memory.h"

/* --- a map from 128-bit hashes to numbers --- */

struct map_slot {
    struct series_hash hash;
    uint32_t value; /* 0: empty */
    uint32_t extra;
};

struct map {
    struct map_slot *slots; /* a power of two of them; NULL while empty */
    size_t slot_count;
    size_t used;
    uint64_t seed; /* random, so that nobody can choose keys that share slots */
};

static void map_fini(struct map *map)
{
    free(map->slots);
    map->slots = NULL;
    map->slot_count = 0;
    map->used = 0;
}

static size_t map_slot_of(const struct map *map, struct series_hash hash)
{
    size_t mask = map->slot_count - 1;
    uint64_t mixed = (hash.low ^ map->seed) * UINT64_C(0x9e3779b97f4a7c15);
    size_t slot = (size_t)(mixed >> 20) & mask;

    while (map->slots[slot].value != 0 && !series_hash_equal(map->slots[slot].hash, hash))
        slot = (slot + 1) & mask;
    return slot;
}

static const struct map_slot *map_find(const struct map *map, struct series_hash hash)
{
    if (map->slot_count == 0)
        return NULL;
    const struct map_slot *slot = &map->slots[map_slot_of(map, hash)];
    return slot->value == 0 ? NULL : slot;
}

static void map_add(struct map *map, struct series_hash hash, uint32_t value, uint32_t extra)
{
    if ((map->used + 1) * 4 > map->slot_count * 3) {
        struct map bigger = {.slot_count = map->slot_count == 0 ? 64 : map->slot_count * 2,
                             .used = map->used,
                             .seed = map->seed};
        bigger.slots = memory_zero(bigger.slot_count, sizeof *bigger.slots);
        for (size_t i = 0; i < map->slot_count; i++) {
            if (map->slots[i].value != 0)
                bigger.slots[map_slot_of(&bigger, map->slots[i].hash)] = map->slots[i];
        }
        free(map->slots);
        *map = bigger;
    }
    map->slots[map_slot_of(map, hash)] = (struct map_slot){hash, value, extra};
    map->used++;
}

/* --- the catalogue --- */

struct metric {
    char *name;                  /* owned */
    struct metric_record record; /* its `name` points to `name` */
    bool changed;
};

/* A series made in this transaction: its postings are written sorted, at the end. */
struct created {
    struct series_hash hash;
    struct series_hash metric_hash;
    uint32_t id;
};

struct catalog {
    struct map ids;         /* series hash -> id; extra: metric and kind, see pack */
    struct map metric_ids;  /* hash of a metric's name -> index + 1 into `metrics` */
    struct metric *metrics; /* as many as there are names in the store, at most */
    size_t metric_count;
    size_t metric_capacity;
    struct created *created;
    size_t created_count;
    size_t created_capacity;
    uint32_t next_id; /* 0: not known, to be read */
};

/* Kinds fit 3 bits, and no store has 2^29 metrics. */
static uint32_t pack(uint32_t metric, enum metric_kind kind)
{
    return metric << 3 | (uint32_t)kind;
}

struct catalog *catalog_new(void)
{
    struct catalog *catalog = memory_zero(1, sizeof *catalog);
    uint64_t seed = 0;
    ssize_t got = getrandom(&seed, sizeof seed, 0);
    (void)got; /* without randomness the map works as well */
    catalog->ids.seed = seed;
    catalog->metric_ids.seed = seed;
    return catalog;
}

void catalog_forget(struct catalog *catalog)
{
    map_fini(&catalog->ids);
    map_fini(&catalog->metric_ids);
    for (size_t i = 0; i < catalog->metric_count; i++)
        free(catalog->metrics[i].name);
    catalog->metric_count = 0;
    catalog->created_count = 0;
    catalog->next_id = 0;
}

void catalog_free(struct catalog *catalog)
{
    if (catalog == NULL)
        return;
    catalog_forget(catalog);
    free(catalog->metrics);
    free(catalog->created);
    free(catalog);
}

bool catalog_key(const struct read_txn *txn, uint32_t id, struct str *key)
{
    struct schema_key name = schema_id_key(id);
    const struct str name_bytes = {(const char *)name.bytes, name.len};
    struct str bytes;

    if (!store_get(txn, DATABASE_SERIES, name_bytes, &bytes) || bytes.len < 8)
        return false;
    *key = (struct str){bytes.text + 8, bytes.len - 8};
    return series_key_is_valid(*key);
}

struct series_hash catalog_metric_hash(enum metric_kind kind, struct str metric)
{
    struct buf key = BUF_EMPTY;
    series_key_write(&key, kind, metric, NULL, 0);
    struct series_hash hash = series_key_hash(buf_view(&key));
    buf_fini(&key);
    return hash;
}

bool metric_record_decode(struct str bytes, struct metric_record *out)
{
    struct reader reader = reader_of(bytes);

    out->kinds = read_u32(&reader);
    out->first_at = read_i64(&reader);
    out->last_at = read_i64(&reader);
    out->series = read_u64(&reader);
    out->name = (struct str){(const char *)reader.at, reader.left};
    return reader.ok && out->name.len > 0;
}

static bool put_metric(struct write_txn *txn, const struct metric_record *record, struct error *err)
{
    struct schema_key key = schema_name_key(record->name);
    struct buf bytes = BUF_EMPTY;

    buf_u32(&bytes, record->kinds);
    buf_i64(&bytes, record->first_at);
    buf_i64(&bytes, record->last_at);
    buf_u64(&bytes, record->series);
    buf_str(&bytes, record->name);
    bool ok = store_put(txn, DATABASE_METRICS, store_key(&key), buf_view(&bytes), 0, err);
    buf_fini(&bytes);
    return ok;
}

static uint32_t add_metric(struct catalog *catalog, struct series_hash hash,
                           const struct metric_record *record, struct str name)
{
    if (catalog->metric_count == catalog->metric_capacity) {
        catalog->metric_capacity =
            catalog->metric_capacity == 0 ? 64 : catalog->metric_capacity * 2;
        catalog->metrics =
            memory_grow(catalog->metrics, catalog->metric_capacity, sizeof *catalog->metrics);
    }
    uint32_t index = (uint32_t)catalog->metric_count++;
    struct metric *metric = &catalog->metrics[index];
    *metric = (struct metric){memory_copy(name.text, name.len), *record, false};
    metric->record.name = (struct str){metric->name, name.len};
    map_add(&catalog->metric_ids, hash, index + 1, 0);
    return index;
}

/* Remembers a series with its metric, which is read or made. A name whose hash belongs to another
 * name makes a collision. */
static bool remember(struct catalog *catalog, const struct read_txn *txn, struct series_hash hash,
                     struct str key, struct catalog_series *out, struct error *err)
{
    struct str name = series_key_metric(key);
    struct series_hash name_hash = series_key_hash(name);
    const struct map_slot *slot = map_find(&catalog->metric_ids, name_hash);
    bool same = true;

    if (slot != NULL) {
        out->metric = slot->value - 1;
        same = str_equal(catalog->metrics[out->metric].record.name, name);
    } else {
        struct metric_record record = {.first_at = WALL_NONE, .last_at = WALL_NONE};
        struct schema_key stored = schema_name_key(name);
        struct str bytes;
        bool found = false;
        if (!store_find(txn, DATABASE_METRICS, store_key(&stored), &bytes, &found, err))
            return false;
        same = !found || !metric_record_decode(bytes, &record) || str_equal(record.name, name);
        if (same)
            out->metric = add_metric(catalog, name_hash, &record, name);
    }
    if (!same) {
        out->refusal = CATALOG_COLLISION;
        return true;
    }
    out->kind = series_key_kind(key);
    map_add(&catalog->ids, hash, out->id, pack(out->metric, out->kind));
    return true;
}

/* Whether the stored key of `id` is `key`. Hashes are compared everywhere else; only here, when a
 * sender brings the key, a collision can be found. */
static bool is_key_of(const struct read_txn *txn, uint32_t id, struct str key)
{
    struct str stored;
    return catalog_key(txn, id, &stored) && str_equal(stored, key);
}

static bool find_stored(struct catalog *catalog, const struct read_txn *txn,
                        const struct delta_series *series, struct catalog_series *out, bool *found,
                        struct error *err)
{
    struct schema_key name = schema_hash_key(series->hash);
    struct str bytes;
    struct str key;

    if (!store_find(txn, DATABASE_BY_HASH, store_key(&name), &bytes, found, err))
        return false;
    if (!*found)
        return true;
    struct reader reader = reader_of(bytes);
    out->id = read_u32(&reader);
    if (!catalog_key(txn, out->id, &key) || (series->key.len > 0 && !str_equal(key, series->key))) {
        out->refusal = CATALOG_COLLISION;
        return true;
    }
    return remember(catalog, txn, series->hash, key, out, err);
}

/* Ids are given in order and never again, so that new series are appended. */
static bool next_id(struct catalog *catalog, struct write_txn *txn, uint32_t *out,
                    struct error *err)
{
    if (catalog->next_id == 0) {
        struct read_txn *reader = &txn->reader;
        MDB_cursor *cursor = NULL;
        MDB_val key;
        MDB_val value;
        int rc = mdb_cursor_open(reader->txn, reader->store->databases[DATABASE_SERIES], &cursor);
        if (rc == 0) {
            rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
            mdb_cursor_close(cursor);
        }
        if (rc != 0 && rc != MDB_NOTFOUND)
            return store_error(err, rc, "cannot read data directory '%s'", reader->store->path);
        catalog->next_id = rc == 0 ? schema_id_of(store_bytes(&key)) + 1 : 1;
    }
    if (catalog->next_id == UINT32_MAX)
        return error_set(err, ERROR_FULL, "data directory '%s' has no numbers left for new series",
                         txn->reader.store->path);
    *out = catalog->next_id++;
    return true;
}

static bool create(struct catalog *catalog, struct write_txn *txn, wall_ms now,
                   const struct delta_series *series, struct catalog_series *out, struct error *err)
{
    struct buf bytes = BUF_EMPTY;
    struct str metric = series_key_metric(series->key);

    if (!next_id(catalog, txn, &out->id, err) ||
        !remember(catalog, &txn->reader, series->hash, series->key, out, err))
        return false;
    if (out->refusal != CATALOG_TAKEN)
        return true;
    struct metric *facts = &catalog->metrics[out->metric];
    facts->record.kinds |= 1U << out->kind;
    facts->record.series++;
    facts->changed = true;

    struct schema_key id = schema_id_key(out->id);
    buf_i64(&bytes, now);
    buf_str(&bytes, series->key);
    bool ok = store_put(txn, DATABASE_SERIES, store_key(&id), buf_view(&bytes), MDB_APPEND, err);
    buf_fini(&bytes);

    if (catalog->created_count == catalog->created_capacity) {
        catalog->created_capacity =
            catalog->created_capacity == 0 ? 64 : catalog->created_capacity * 2;
        catalog->created =
            memory_grow(catalog->created, catalog->created_capacity, sizeof *catalog->created);
    }
    catalog->created[catalog->created_count++] =
        (struct created){series->hash, catalog_metric_hash(out->kind, metric), out->id};
    return ok;
}

bool catalog_resolve(struct catalog *catalog, struct write_txn *txn, wall_ms now,
                     const struct delta_series *series, struct catalog_series *out,
                     struct error *err)
{
    *out = (struct catalog_series){.refusal = CATALOG_TAKEN};
    const struct map_slot *slot = map_find(&catalog->ids, series->hash);
    if (slot != NULL) {
        out->id = slot->value;
        out->metric = slot->extra >> 3;
        out->kind = (enum metric_kind)(slot->extra & 7);
        if (series->key.len > 0 && !is_key_of(&txn->reader, out->id, series->key))
            out->refusal = CATALOG_COLLISION;
        return true;
    }
    bool found = false;
    if (!find_stored(catalog, &txn->reader, series, out, &found, err))
        return false;
    if (found)
        return true;
    if (!series_key_is_valid(series->key)) {
        out->refusal = CATALOG_UNKNOWN;
        return true;
    }
    return create(catalog, txn, now, series, out, err);
}

void catalog_note(struct catalog *catalog, uint32_t metric, wall_ms first_at, wall_ms last_at)
{
    struct metric *facts = &catalog->metrics[metric];
    if (facts->record.first_at == WALL_NONE || first_at < facts->record.first_at) {
        facts->record.first_at = first_at;
        facts->changed = true;
    }
    if (facts->record.last_at == WALL_NONE || last_at > facts->record.last_at) {
        facts->record.last_at = last_at;
        facts->changed = true;
    }
}

static int compare_hash(struct series_hash a, struct series_hash b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    if (a.low != b.low)
        return a.low < b.low ? -1 : 1;
    return 0;
}

static int compare_by_hash(const void *a, const void *b)
{
    const struct created *one = a;
    const struct created *other = b;
    return compare_hash(one->hash, other->hash);
}

static int compare_by_metric(const void *a, const void *b)
{
    const struct created *one = a;
    const struct created *other = b;
    int order = compare_hash(one->metric_hash, other->metric_hash);
    if (order != 0)
        return order;
    return one->id < other->id ? -1 : one->id > other->id;
}

static bool put_by_hash(struct write_txn *txn, const struct created *created, struct error *err)
{
    struct schema_key key = schema_hash_key(created->hash);
    struct buf bytes = BUF_EMPTY;
    buf_u32(&bytes, created->id);
    bool ok = store_put(txn, DATABASE_BY_HASH, store_key(&key), buf_view(&bytes), 0, err);
    buf_fini(&bytes);
    return ok;
}

bool catalog_flush(struct catalog *catalog, struct write_txn *txn, uint64_t *created,
                   struct error *err)
{
    bool ok = true;

    *created = catalog->created_count;
    if (catalog->created_count > 0) {
        qsort(catalog->created, catalog->created_count, sizeof *catalog->created, compare_by_hash);
        for (size_t i = 0; i < catalog->created_count && ok; i++)
            ok = put_by_hash(txn, &catalog->created[i], err);
        qsort(catalog->created, catalog->created_count, sizeof *catalog->created,
              compare_by_metric);
        for (size_t i = 0; i < catalog->created_count && ok; i++) {
            struct schema_key key =
                schema_by_metric_key(catalog->created[i].metric_hash, catalog->created[i].id);
            ok = store_put(txn, DATABASE_BY_METRIC, store_key(&key), STR_EMPTY, 0, err);
        }
    }
    catalog->created_count = 0;
    for (size_t i = 0; i < catalog->metric_count && ok; i++) {
        if (!catalog->metrics[i].changed)
            continue;
        ok = put_metric(txn, &catalog->metrics[i].record, err);
        catalog->metrics[i].changed = false;
    }
    return ok;
}
