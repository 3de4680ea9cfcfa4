#include "store/catalog.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "base/memory.h"
#include "store/removed.h"
#include "store/series_cursor.h"
#include "store/series_order.h"
#include "store/series_table.h"

enum {
    BATCH = 32,
    BATCH_MIN = 8,
    AHEAD = 8,
    KIND_BITS = 7,
    KIND_SHIFT = 3,
    REFUSED_KEPT_MS = 25 * 60 * 60 * 1000
};

#define NO_OTHER UINT32_MAX

struct catalog {
    struct series_table table;
    struct series_order order; /* the same series by their ids: keep, drop */
    struct census *census;
    struct room *room; /* NULL: nobody is told */

    /* Series beyond a limit of senders that give a key once: their metric's number and, as the
     * note, its generation and the kind; or NO_OTHER, when there is no `__other__` of it either.
     * What was not asked for in REFUSED_KEPT_MS goes: then its sender gives the key again. */
    struct series_table refused[2]; /* newer, older */
    wall_ms refused_since;
    uint64_t check_seed; /* random: see note_of */
    uint32_t next_id;    /* 0: not known, to be read */

    /* Series from this id on may be missing in memory; 0: those that are not in the index. Unless
     * `tail_known`, which says that none of them is. */
    uint32_t tail_from;
    bool tail_known;
    bool complete; /* none at all is missing: the index need not be asked */

    /* of this transaction, or of the last one once it has ended */
    bool ended;
    bool removed_some;
    uint32_t first_created;
    struct series_hash *created;
    size_t created_count;
    size_t created_capacity;
    struct buf row;
    struct buf other;
};

struct catalog *catalog_new(void)
{
    return catalog_new_limited(NULL);
}

struct catalog *catalog_new_limited(struct room *room)
{
    struct catalog *catalog = memory_zero(1, sizeof *catalog);

    series_table_init(&catalog->table);
    series_table_init(&catalog->refused[0]);
    series_table_init(&catalog->refused[1]);
    catalog->room = room;
    catalog->census = census_new(room);
    ssize_t got = getrandom(&catalog->check_seed, sizeof catalog->check_seed, 0);
    (void)got; /* without randomness only crafted collisions may be missed */
    return catalog;
}

void catalog_free(struct catalog *catalog)
{
    if (catalog == NULL)
        return;
    series_table_fini(&catalog->table);
    series_order_fini(&catalog->order);
    series_table_fini(&catalog->refused[0]);
    series_table_fini(&catalog->refused[1]);
    census_free(catalog->census);
    free(catalog->created);
    buf_fini(&catalog->row);
    buf_fini(&catalog->other);
    free(catalog);
}

size_t catalog_size_bytes(const struct catalog *catalog)
{
    return sizeof *catalog + series_table_size_bytes(&catalog->table) +
           series_order_size_bytes(&catalog->order) +
           series_table_size_bytes(&catalog->refused[0]) +
           series_table_size_bytes(&catalog->refused[1]) + census_size_bytes(catalog->census) +
           catalog->created_capacity * sizeof *catalog->created;
}

struct census *catalog_census(struct catalog *catalog)
{
    return catalog->census;
}

/* A new transaction: the last one holds, or else it was forgotten. */
static void begin_group(struct catalog *catalog)
{
    if (!catalog->ended)
        return;
    catalog->ended = false;
    catalog->removed_some = false;
    catalog->created_count = 0;
    census_begin_group(catalog->census);
}

uint64_t catalog_end_group(struct catalog *catalog)
{
    begin_group(catalog); /* of a transaction that had no series */
    catalog->ended = true;
    return catalog->created_count;
}

void catalog_reopen_group(struct catalog *catalog)
{
    catalog->ended = false;
}

/* What is remembered is in the table and in the order, or in none of them. */
static void keep(struct catalog *catalog, struct series_hash hash, uint32_t id, uint32_t note)
{
    const uint32_t before = series_table_put(&catalog->table, hash, id, note);

    if (before != 0 && before != id)
        series_order_remove(&catalog->order, before);
    series_order_put(&catalog->order, id, hash, note);
}

static void drop(struct catalog *catalog, struct series_hash hash)
{
    const struct series_slot *slot = series_table_find(&catalog->table, hash);

    if (slot == NULL)
        return;
    series_order_remove(&catalog->order, slot->id);
    series_table_remove(&catalog->table, hash);
}

/* Whatever the transaction did, and even if it holds after all, the store is asked again. */
void catalog_forget(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->created_count; i++)
        drop(catalog, catalog->created[i]);
    if (catalog->created_count > 0) {
        catalog->tail_from = catalog->first_created;
        catalog->tail_known = false;
    }
    if (catalog->removed_some) {
        catalog->tail_from = 0;
        catalog->tail_known = false;
        catalog->complete = false;
    }
    catalog->created_count = 0;
    catalog->removed_some = false;
    catalog->next_id = 0;
    census_forget(catalog->census);
}

/* --- what is remembered of a series --- */

/* The kind, and a hash of the key that nobody outside can foresee: a sender who brings another key
 * with the same name is found out without reading what is stored. */
static uint32_t note_of(const struct catalog *catalog, struct str key)
{
    uint64_t check = XXH3_64bits_withSeed(key.text, key.len, catalog->check_seed);
    return ((uint32_t)check & ~(uint32_t)KIND_BITS) | (uint32_t)series_key_kind(key);
}

static void take(const struct catalog *catalog, uint32_t id, uint32_t note, struct str key,
                 struct catalog_series *out)
{
    *out = (struct catalog_series){.id = id, .kind = (enum metric_kind)(note & KIND_BITS)};
    if (key.len > 0 && note_of(catalog, key) != note)
        out->refusal = CATALOG_COLLISION;
}

static void take_slot(const struct catalog *catalog, const struct series_slot *slot, struct str key,
                      struct catalog_series *out)
{
    take(catalog, slot->id, slot->note, key, out);
}

/* Takes series as long as each has the id after the one before, from `from` on, which is not the
 * first. Returns where that ends. */
static size_t resolve_run(const struct catalog *catalog, const struct catalog_batch *batch,
                          size_t from, struct catalog_series *out)
{
    uint32_t id = out[from - 1].id;
    size_t at = from;

    for (; at < batch->count; at++) {
        const struct delta_series *series = &batch->series[at];
        const uint32_t note = series_order_note(&catalog->order, ++id, series->hash);
        if (note == 0)
            break;
        take(catalog, id, note, series->key, &out[at]);
    }
    return at;
}

/* Takes at most BATCH of them out of the table, whatever their order. What is not there has no id,
 * and its place goes to `unknown`; returns how many these are. */
static size_t resolve_some(const struct catalog *catalog, const struct catalog_batch *batch,
                           size_t from, size_t to, struct catalog_series *out, uint32_t *unknown)
{
    struct series_place places[BATCH];
    size_t unknown_count = 0;

    for (size_t i = from; i < to; i++) {
        places[i - from] = series_table_place(&catalog->table, batch->series[i].hash);
        series_table_prefetch(&catalog->table, places[i - from]);
    }
    for (size_t i = from; i < to; i++) {
        const struct delta_series *series = &batch->series[i];
        const struct series_slot *slot =
            series_table_at(&catalog->table, places[i - from], series->hash);
        out[i].id = 0;
        if (slot == NULL)
            unknown[unknown_count++] = (uint32_t)i;
        else
            take_slot(catalog, slot, series->key, &out[i]);
    }
    return unknown_count;
}

/* Those of the batch that are in memory; the places of the others go to `unknown`. Returns how many
 * these are. Whether the order of ids is kept is seen from what the table has said, so that nothing
 * is tried in vain where it is not. */
static size_t resolve_known(const struct catalog *catalog, const struct catalog_batch *batch,
                            struct catalog_series *out, uint32_t *unknown)
{
    size_t unknown_count = 0;
    size_t step = BATCH_MIN;

    for (size_t from = 0; from < batch->count;) {
        size_t to = batch->count - from < step ? batch->count : from + step;
        unknown_count += resolve_some(catalog, batch, from, to, out, unknown + unknown_count);
        step = BATCH;
        from = to;
        if (to < 2 || out[to - 1].id == 0 || out[to - 1].id != out[to - 2].id + 1)
            continue;
        from = resolve_run(catalog, batch, to, out);
        step = from - to >= BATCH_MIN ? BATCH_MIN : BATCH;
    }
    return unknown_count;
}

/* --- what is stored --- */

bool catalog_key(const struct read_txn *txn, uint32_t id, struct str *key)
{
    struct schema_key name = schema_id_key(id);
    const struct str name_bytes = {(const char *)name.bytes, name.len};
    struct str bytes;
    wall_ms first_seen = 0;

    return store_get(txn, DATABASE_SERIES, name_bytes, &bytes) &&
           series_row_decode(bytes, &first_seen, key);
}

static void remember(struct catalog *catalog, uint32_t id, struct str key)
{
    keep(catalog, series_key_hash(key), id, note_of(catalog, key));
}

/* Reads the series that are not in the index, or that a transaction in doubt may have made. */
static bool read_tail(struct catalog *catalog, const struct read_txn *txn, struct error *err)
{
    uint32_t from = catalog->tail_from == 0 ? index_end(txn) + 1 : catalog->tail_from;
    struct series_cursor cursor;
    bool ok = series_cursor_init(&cursor, txn, err) && series_cursor_seek(&cursor, from, err);

    while (ok && cursor.has) {
        if (cursor.key.len > 0)
            remember(catalog, cursor.id, cursor.key);
        ok = series_cursor_next(&cursor, err);
    }
    series_cursor_fini(&cursor);
    catalog->tail_known = ok;
    catalog->complete = catalog->complete || (ok && from == 1);
    return ok;
}

static bool on_found(size_t at, uint32_t id, void *arg)
{
    (void)at;
    id_list_add(arg, id);
    return true;
}

static int compare_keys(const void *a, const void *b)
{
    return index_hash_order(*(const struct series_hash *)a, *(const struct series_hash *)b);
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t one = *(const uint32_t *)a;
    uint32_t other = *(const uint32_t *)b;
    return one < other ? -1 : one > other;
}

/* Remembers the series that the index has found, in the order in which they stand. It may name some
 * that are gone. */
static bool remember_all(struct catalog *catalog, const struct read_txn *txn, struct id_list *ids,
                         struct error *err)
{
    struct series_cursor cursor;

    if (ids->count == 0)
        return true;
    qsort(ids->ids, ids->count, sizeof *ids->ids, compare_ids);
    bool ok = series_cursor_init(&cursor, txn, err);
    for (size_t i = 0; i < ids->count && ok; i++) {
        ok = series_cursor_seek(&cursor, ids->ids[i], err);
        if (ok && cursor.has && cursor.id == ids->ids[i] && cursor.key.len > 0)
            remember(catalog, cursor.id, cursor.key);
    }
    series_cursor_fini(&cursor);
    return ok;
}

/* Remembers those of the unknown series that the index has. */
static bool search_index(struct catalog *catalog, struct write_txn *txn,
                         const struct catalog_batch *batch, const uint32_t *unknown, size_t count,
                         struct error *err)
{
    struct series_hash *keys = memory_alloc(count * sizeof *keys);
    struct id_list ids = ID_LIST_EMPTY;

    for (size_t i = 0; i < count; i++)
        keys[i] = index_series_key(batch->series[unknown[i]].hash);
    qsort(keys, count, sizeof *keys, compare_keys);
    bool ok = index_find_all(&txn->reader, keys, count, on_found, &ids, err);
    if (ok) {
        ok = remember_all(catalog, &txn->reader, &ids, err);
    } else if (err->kind == ERROR_CORRUPT) {
        /* It is made anew in the background; all series are read once instead. */
        catalog->tail_from = 1;
        ok = index_clear(txn, err) && read_tail(catalog, &txn->reader, err);
    }
    id_list_fini(&ids);
    free(keys);
    return ok;
}

static bool search_store(struct catalog *catalog, struct write_txn *txn,
                         const struct catalog_batch *batch, const uint32_t *unknown, size_t count,
                         struct error *err)
{
    if (!catalog->tail_known && !read_tail(catalog, &txn->reader, err))
        return false;
    return catalog->complete || search_index(catalog, txn, batch, unknown, count, err);
}

/* --- new series --- */

static bool read_next_id(struct catalog *catalog, const struct read_txn *txn, struct error *err)
{
    uint32_t last = 0;

    if (!series_newest(txn, &last, err))
        return false;
    catalog->next_id = last == UINT32_MAX ? last : last + 1;
    return true;
}

static bool create(struct catalog *catalog, struct write_txn *txn, wall_ms now,
                   const struct delta_series *series, struct catalog_series *out, struct error *err)
{
    if (catalog->next_id == 0 && !read_next_id(catalog, &txn->reader, err))
        return false;
    if (catalog->next_id == UINT32_MAX)
        return error_set(err, ERROR_FULL, "data directory '%s' has no numbers left for new series",
                         txn->reader.store->path);
    uint32_t id = catalog->next_id;
    struct schema_key key = schema_id_key(id);
    buf_clear(&catalog->row);
    buf_i64(&catalog->row, now);
    buf_str(&catalog->row, series->key);
    if (!store_put(txn, DATABASE_SERIES, store_key(&key), buf_view(&catalog->row), MDB_APPEND, err))
        return false;

    catalog->next_id++;
    if (catalog->created_count == catalog->created_capacity) {
        catalog->created_capacity =
            catalog->created_capacity == 0 ? 64 : catalog->created_capacity * 2;
        catalog->created =
            memory_grow(catalog->created, catalog->created_capacity, sizeof *catalog->created);
    }
    if (catalog->created_count == 0)
        catalog->first_created = id;
    catalog->created[catalog->created_count++] = series->hash;
    keep(catalog, series->hash, id, note_of(catalog, series->key));
    *out = (struct catalog_series){.id = id, .kind = series_key_kind(series->key)};
    return true;
}

/* What is resolved, and how. */
struct resolving {
    const struct catalog_batch *batch;
    struct catalog_series *out;
    bool has_limits;
    bool keys_once;
    uint16_t hour;
};

static bool refuse(struct catalog *catalog, struct write_txn *txn, const struct resolving *all,
                   const struct census_refusal *refusal, size_t i, struct error *err);

/* A series that is not active. */
struct asked {
    size_t i;
    struct str key;
    uint16_t owner;
    bool has_room;
};

/* Who brought series `i` of a batch. Without its key that was given before; then who did so is, by
 * its `id`, as it was (0: it has none). So it is of one that may be active, as far as is known. */
static bool find_owner(struct catalog *catalog, const struct write_txn *txn,
                       const struct resolving *all, size_t i, uint16_t *owner, struct error *err)
{
    const struct catalog_batch *batch = all->batch;
    uint32_t id = all->out[i].id;

    *owner = 0;
    if (batch->delta == NULL)
        return true;
    if (id != 0 && census_is_loading(catalog->census)) {
        if (!census_owner_before(catalog->census, &txn->reader, id, owner, err))
            return false;
        if (*owner != 0)
            return true;
    }
    if (batch->series[i].key.len > 0)
        return census_owner(catalog->census, &txn->reader,
                            delta_listener_of(batch->delta, batch->first + i), owner, err);
    return id == 0 || census_owner_before(catalog->census, &txn->reader, id, owner, err);
}

/* Whether there is room for it; else its `__other__` takes its place. */
static bool ask(struct catalog *catalog, struct write_txn *txn, const struct resolving *all,
                struct asked *asked, struct error *err)
{
    struct census_refusal refusal = {.metric = series_key_metric(asked->key)};

    if (!find_owner(catalog, txn, all, asked->i, &asked->owner, err))
        return false;
    refusal.owner = asked->owner;
    refusal.limit =
        census_ask(catalog->census, &txn->reader, asked->key, asked->owner, &refusal.label);
    asked->has_room = refusal.limit == ROOM_LIMIT_NONE;
    if (asked->has_room)
        return true;
    all->out[asked->i].kind = series_key_kind(asked->key);
    return refuse(catalog, txn, all, &refusal, asked->i, err);
}

static void enter(struct catalog *catalog, const struct resolving *all, const struct asked *asked,
                  uint32_t id)
{
    census_add(catalog->census, id, asked->key, all->hour, asked->owner, &all->out[asked->i].place);
    if (catalog->room != NULL)
        room_add_series(catalog->room, all->batch->series[asked->i].hash);
}

static bool is_other(struct catalog *catalog, struct str key)
{
    const struct label other = {STR("__other__"), STR("true")};

    series_key_write(&catalog->other, series_key_kind(key), series_key_metric(key), &other, 1);
    return str_equal(buf_view(&catalog->other), key);
}

/* Counts an `__other__` that takes series `i` as active, or refuses it. */
static bool enter_other(struct catalog *catalog, const struct write_txn *txn,
                        const struct resolving *all, size_t i, struct str key, struct error *err)
{
    struct catalog_series *out = &all->out[i];
    uint16_t owner = 0;

    if (census_touch(catalog->census, out->id, all->hour, &out->place))
        return true;
    if (!find_owner(catalog, txn, all, i, &owner, err))
        return false;
    if (!census_add_other(catalog->census, out->id, key, all->hour, owner, &out->place))
        out->refusal = CATALOG_FULL;
    return true;
}

/* Whether series `i`, whose key is one of an `__other__` or which is to join one that is not there,
 * has room; else it is refused, and nothing is made. */
static bool other_has_room(struct catalog *catalog, const struct write_txn *txn,
                           const struct resolving *all, size_t i, bool *has_room, struct error *err)
{
    struct catalog_series *out = &all->out[i];
    uint16_t owner = 0;

    if (!find_owner(catalog, txn, all, i, &owner, err))
        return false;
    out->id = 0;
    *has_room = census_other_has_room(catalog->census, owner);
    if (*has_room)
        return true;
    out->refusal = CATALOG_FULL;
    if (all->keys_once)
        series_table_put(&catalog->refused[0], all->batch->series[i].hash, NO_OTHER,
                         (uint32_t)out->kind);
    return true;
}

/* A series that is there has a sample: it is active, if there is room. */
static bool admit_known(struct catalog *catalog, struct write_txn *txn, const struct resolving *all,
                        size_t i, struct error *err)
{
    const struct delta_series *series = &all->batch->series[i];
    struct catalog_series *out = &all->out[i];
    struct str key = series->key;

    if (!all->has_limits || out->refusal != CATALOG_TAKEN ||
        census_touch(catalog->census, out->id, all->hour, &out->place))
        return true;
    if (key.len == 0 && !catalog_key(&txn->reader, out->id, &key))
        return true;
    if (is_other(catalog, key))
        return enter_other(catalog, txn, all, i, key, err);
    uint32_t id = out->id;
    struct asked asked = {.i = i, .key = key};
    if (!ask(catalog, txn, all, &asked, err))
        return false;
    if (asked.has_room)
        enter(catalog, all, &asked, id);
    return true;
}

/* One that is not there: found to be refused before, or made. */
static bool make(struct catalog *catalog, struct write_txn *txn, const struct resolving *all,
                 size_t i, struct error *err)
{
    const struct delta_series *series = &all->batch->series[i];
    struct catalog_series *out = &all->out[i];
    struct asked asked = {.i = i, .key = series->key, .has_room = true};

    if (!series_key_is_valid(series->key)) {
        *out = (struct catalog_series){.refusal = CATALOG_UNKNOWN};
        return true;
    }
    bool is_limited = all->has_limits && !is_other(catalog, series->key);
    *out = (struct catalog_series){.kind = series_key_kind(series->key)};
    if (is_limited && !ask(catalog, txn, all, &asked, err))
        return false;
    if (all->has_limits && !is_limited &&
        !other_has_room(catalog, txn, all, i, &asked.has_room, err))
        return false;
    if (!asked.has_room)
        return true;
    if (!create(catalog, txn, all->batch->now, series, out, err))
        return false;
    if (all->keys_once) {
        series_table_remove(&catalog->refused[0], series->hash);
        series_table_remove(&catalog->refused[1], series->hash);
    }
    if (is_limited)
        enter(catalog, all, &asked, out->id);
    return is_limited || !all->has_limits || enter_other(catalog, txn, all, i, series->key, err);
}

/* One that was not in memory when the batch began: found in the store meanwhile, or made. */
static bool resolve_unknown(struct catalog *catalog, struct write_txn *txn,
                            const struct resolving *all, size_t i, struct error *err)
{
    const struct delta_series *series = &all->batch->series[i];
    const struct series_slot *slot = series_table_find(&catalog->table, series->hash);

    if (slot == NULL)
        return make(catalog, txn, all, i, err);
    take_slot(catalog, slot, series->key, &all->out[i]);
    return admit_known(catalog, txn, all, i, err);
}

static void prefetch(const struct catalog *catalog, const struct delta_series *series)
{
    series_table_prefetch(&catalog->table, series_table_place(&catalog->table, series->hash));
    if (series->key.len > 0)
        census_prefetch(catalog->census, series->key);
}

/* --- what is over a limit --- */

/* Finds or makes the `__other__` of a metric for series `i`, whose kind is known. */
static bool take_other(struct catalog *catalog, struct write_txn *txn, const struct resolving *all,
                       size_t i, struct str metric, struct error *err)
{
    const struct label label = {STR("__other__"), STR("true")};
    struct catalog_series *out = &all->out[i];
    enum metric_kind kind = out->kind;
    uint32_t unknown = 0;

    series_key_write(&catalog->other, kind, metric, &label, 1);
    struct buf key = catalog->other; /* what follows writes keys as well */
    catalog->other = (struct buf)BUF_EMPTY;
    const struct delta_series other = {series_key_hash(buf_view(&key)), buf_view(&key)};
    const struct catalog_batch batch = {.series = &other, .count = 1, .now = all->batch->now};
    const struct series_slot *slot = series_table_find(&catalog->table, other.hash);
    bool ok = slot != NULL || search_store(catalog, txn, &batch, &unknown, 1, err);
    if (ok && slot == NULL)
        slot = series_table_find(&catalog->table, other.hash);
    bool has_room = true;
    if (ok && slot != NULL)
        take_slot(catalog, slot, other.key, out);
    else
        ok = ok && other_has_room(catalog, txn, all, i, &has_room, err) &&
             (!has_room || create(catalog, txn, batch.now, &other, out, err));
    if (ok && out->refusal == CATALOG_TAKEN)
        ok = enter_other(catalog, txn, all, i, other.key, err);
    out->is_refused = true;
    buf_fini(&catalog->other);
    catalog->other = key;
    return ok;
}

static bool refuse(struct catalog *catalog, struct write_txn *txn, const struct resolving *all,
                   const struct census_refusal *refusal, size_t i, struct error *err)
{
    uint32_t generation = 0;
    uint32_t metric = census_refuse(catalog->census, refusal, &generation);
    enum metric_kind kind = all->out[i].kind;

    all->out[i] = (struct catalog_series){.kind = kind};
    if (!take_other(catalog, txn, all, i, refusal->metric, err))
        return false;
    bool is_taken = all->out[i].refusal == CATALOG_TAKEN;
    if (!is_taken)
        census_leave(catalog->census, metric);
    if (all->keys_once)
        series_table_put(&catalog->refused[0], all->batch->series[i].hash,
                         is_taken ? metric : NO_OTHER,
                         (is_taken ? generation << KIND_SHIFT : 0) | (uint32_t)kind);
    return true;
}

/* Series `i` without its key: whether it was refused before. */
static bool was_refused(struct catalog *catalog, struct write_txn *txn, const struct resolving *all,
                        size_t i, bool *was, struct error *err)
{
    struct series_hash hash = all->batch->series[i].hash;
    const struct series_slot *slot = series_table_find(&catalog->refused[0], hash);
    struct str metric;

    *was = false;
    if (slot == NULL && (slot = series_table_find(&catalog->refused[1], hash)) != NULL) {
        series_table_put(&catalog->refused[0], hash, slot->id, slot->note);
        slot = series_table_find(&catalog->refused[0], hash);
    }
    if (slot != NULL && slot->id == NO_OTHER) {
        *was = true;
        all->out[i] =
            (struct catalog_series){.kind = (enum metric_kind)slot->note, .refusal = CATALOG_FULL};
        return true;
    }
    if (slot == NULL ||
        !census_metric(catalog->census, slot->id, slot->note >> KIND_SHIFT, &metric))
        return true;
    *was = true;
    all->out[i] = (struct catalog_series){.kind = (enum metric_kind)(slot->note & KIND_BITS)};
    return take_other(catalog, txn, all, i, metric, err);
}

/* Leaves those of the unknown series that were not refused before. */
static bool take_refused(struct catalog *catalog, struct write_txn *txn,
                         const struct resolving *all, uint32_t *unknown, size_t *count,
                         struct error *err)
{
    size_t left = 0;

    for (size_t i = 0; i < *count; i++) {
        bool was = false;
        if (all->batch->series[unknown[i]].key.len == 0 &&
            !was_refused(catalog, txn, all, unknown[i], &was, err))
            return false;
        if (!was)
            unknown[left++] = unknown[i];
    }
    *count = left;
    return true;
}

static void age_refused(struct catalog *catalog, wall_ms now)
{
    wall_ms age = now - catalog->refused_since;

    if (age >= 0 && age < REFUSED_KEPT_MS)
        return;
    struct series_table empty = catalog->refused[1];
    series_table_fini(&empty);
    catalog->refused[1] = catalog->refused[0];
    catalog->refused[0] = empty;
    catalog->refused_since = now;
}

static bool resolve_all(struct catalog *catalog, struct write_txn *txn, const struct resolving *all,
                        struct error *err)
{
    const struct catalog_batch *batch = all->batch;

    begin_group(catalog);
    if (batch->count == 0)
        return true;
    uint32_t *unknown = memory_alloc(batch->count * sizeof *unknown);
    size_t count = resolve_known(catalog, batch, all->out, unknown);
    size_t missing = 0;
    bool ok = true;
    for (size_t i = 0; i < batch->count && ok && all->has_limits; i++) {
        if (missing < count && unknown[missing] == i)
            missing++;
        else
            ok = admit_known(catalog, txn, all, i, err);
    }
    ok = ok && (!all->keys_once || take_refused(catalog, txn, all, unknown, &count, err)) &&
         (count == 0 || search_store(catalog, txn, batch, unknown, count, err));
    for (size_t i = 0; i < count && ok; i++) {
        if (i + AHEAD < count)
            prefetch(catalog, &batch->series[unknown[i + AHEAD]]);
        ok = resolve_unknown(catalog, txn, all, unknown[i], err);
    }
    free(unknown);
    return ok;
}

bool catalog_resolve_all(struct catalog *catalog, struct write_txn *txn,
                         const struct catalog_batch *batch, struct catalog_series *out,
                         struct error *err)
{
    const struct resolving all = {.batch = batch, .out = out};
    return resolve_all(catalog, txn, &all, err);
}

bool catalog_admit_all(struct catalog *catalog, struct write_txn *txn,
                       const struct catalog_batch *batch, bool keys_once,
                       struct catalog_series *out, struct error *err)
{
    const struct resolving all = {.batch = batch,
                                  .out = out,
                                  .has_limits = true,
                                  .keys_once = keys_once,
                                  .hour = census_hour(batch->now)};

    age_refused(catalog, batch->now);
    return resolve_all(catalog, txn, &all, err);
}

static bool remove_one(struct catalog *catalog, struct write_txn *txn, uint32_t id, struct str key,
                       struct error *err)
{
    struct schema_key row = schema_id_key(id);
    struct series_hash hash = series_key_hash(key);
    const struct series_slot *slot = series_table_find(&catalog->table, hash);

    if (slot != NULL && slot->id == id)
        drop(catalog, hash);
    census_remove(catalog->census, id, key);
    catalog->removed_some = true;
    /* The key is read from the row, so the row goes last. */
    return removed_add(txn, id, err) && store_remove(txn, DATABASE_SERIES, store_key(&row), err);
}

bool catalog_remove_series(struct catalog *catalog, struct write_txn *txn, const uint32_t *ids,
                           size_t count, struct error *err)
{
    begin_group(catalog);
    for (size_t i = 0; i < count; i++) {
        struct str key;
        if (catalog_key(&txn->reader, ids[i], &key) && !remove_one(catalog, txn, ids[i], key, err))
            return false;
    }
    return true;
}

/* --- for readers --- */

/* The first found series with the hash. */
struct lookup {
    const struct read_txn *txn;
    struct series_hash hash;
    uint32_t id;
    struct str key;
};

static bool is_looked_up(struct lookup *lookup, uint32_t id, struct str key)
{
    if (!series_hash_equal(series_key_hash(key), lookup->hash))
        return false;
    lookup->id = id;
    lookup->key = key;
    return true;
}

static bool on_candidate(size_t at, uint32_t id, void *arg)
{
    struct lookup *lookup = arg;
    struct str key;
    (void)at;
    return !catalog_key(lookup->txn, id, &key) || !is_looked_up(lookup, id, key);
}

bool catalog_find_hash(const struct read_txn *txn, struct series_hash hash, uint32_t *id,
                       struct str *key)
{
    struct lookup lookup = {.txn = txn, .hash = hash};
    struct series_cursor cursor;
    struct error err;
    uint32_t end = index_end(txn);
    struct series_hash index_key = index_series_key(hash);

    if (end > 0 && !index_find_all(txn, &index_key, 1, on_candidate, &lookup, &err) &&
        err.kind == ERROR_CORRUPT)
        end = 0;
    if (lookup.id == 0) {
        bool ok =
            series_cursor_init(&cursor, txn, &err) && series_cursor_seek(&cursor, end + 1, &err);
        while (ok && cursor.has && !is_looked_up(&lookup, cursor.id, cursor.key))
            ok = series_cursor_next(&cursor, &err);
        series_cursor_fini(&cursor);
    }
    *id = lookup.id;
    *key = lookup.key;
    return lookup.id != 0;
}
