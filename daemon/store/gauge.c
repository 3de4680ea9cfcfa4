#include "store/gauge.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "series/slots.h"
#include "store/query.h"

enum { BITS_PER_WORD = 64, WORDS_MIN = 64 };

struct gauges {
    bool is_loaded;
    uint64_t *words; /* bit id: there may be a row */
    size_t word_count;
    struct gauge *met; /* by the group under way */
    size_t met_count;
    size_t met_capacity;
    struct slots slots; /* id -> index into `met`, + 1 */
};

struct gauges *gauges_new(void)
{
    return memory_zero(1, sizeof(struct gauges));
}

void gauges_free(struct gauges *gauges)
{
    if (gauges == NULL)
        return;
    free(gauges->words);
    free(gauges->met);
    slots_fini(&gauges->slots);
    free(gauges);
}

void gauges_expect(struct gauges *gauges, uint32_t id)
{
    size_t word = id / BITS_PER_WORD;

    if (word >= gauges->word_count) {
        size_t count = word + word / 2 + WORDS_MIN;
        gauges->words = memory_grow(gauges->words, count, sizeof *gauges->words);
        memset(gauges->words + gauges->word_count, 0,
               (count - gauges->word_count) * sizeof *gauges->words);
        gauges->word_count = count;
    }
    gauges->words[word] |= UINT64_C(1) << id % BITS_PER_WORD;
}

bool gauges_has(const struct gauges *gauges, uint32_t id)
{
    size_t word = id / BITS_PER_WORD;
    return word < gauges->word_count && (gauges->words[word] >> id % BITS_PER_WORD & 1) != 0;
}

void gauges_remove(struct gauges *gauges, const uint32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t word = ids[i] / BITS_PER_WORD;
        if (word < gauges->word_count)
            gauges->words[word] &= ~(UINT64_C(1) << ids[i] % BITS_PER_WORD);
    }
}

static bool load(struct gauges *gauges, const struct read_txn *txn, struct error *err)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;

    int rc = mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_GAUGES], &cursor);
    if (rc == 0) {
        while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
            gauges_expect(gauges, schema_id_of(store_bytes(&key)));
        mdb_cursor_close(cursor);
    }
    if (rc != MDB_NOTFOUND)
        return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
    gauges->is_loaded = true;
    return true;
}

bool gauges_begin(struct gauges *gauges, const struct read_txn *txn, struct error *err)
{
    if (gauges->met_count > 0)
        slots_fini(&gauges->slots);
    gauges->met_count = 0;
    return gauges->is_loaded || load(gauges, txn, err);
}

/* --- one gauge --- */

static bool read_row(struct str bytes, struct gauge *out)
{
    struct reader reader = reader_of(bytes);

    out->level = read_double(&reader);
    out->at = read_i64(&reader);
    out->arrival = read_u64(&reader);
    out->absolute_at = read_i64(&reader);
    return reader.ok;
}

/* From its row; a gauge that is changed for the first time starts from its newest sample. */
static bool find(struct read_txn *txn, uint32_t id, struct gauge *out, struct error *err)
{
    struct schema_key key = schema_id_key(id);
    struct coverage coverage = COVERAGE_EMPTY;
    struct level_sample newest = {0};
    struct str bytes;
    bool found = false;

    if (!store_find(txn, DATABASE_GAUGES, store_key(&key), &bytes, &found, err))
        return false;
    *out =
        (struct gauge){.id = id, .at = WALL_NONE, .absolute_at = WALL_NONE, .said_at = WALL_NONE};
    if (found && read_row(bytes, out))
        return true;
    if (!query_level(txn, id, INT64_MAX, &newest, &coverage, err))
        return false;
    if (newest.at != WALL_NONE) {
        out->level = newest.value;
        out->at = newest.at;
        out->absolute_at = newest.at;
    }
    return true;
}

/* Ids are dense; the table wants all 32 bits used. */
static uint32_t hash_of(uint32_t id)
{
    return id * UINT32_C(0x9e3779b1);
}

bool gauges_get(struct gauges *gauges, struct read_txn *txn, uint32_t id, struct gauge **out,
                struct error *err)
{
    uint32_t hash = hash_of(id);
    uint32_t at = slots_home(&gauges->slots, hash);
    uint32_t place = slots_next(&gauges->slots, hash, &at); /* the hash is the id's alone */

    if (place != 0) {
        *out = &gauges->met[place - 1];
        return true;
    }
    if (gauges->met_count == gauges->met_capacity) {
        gauges->met_capacity = gauges->met_capacity == 0 ? 64 : gauges->met_capacity * 2;
        gauges->met = memory_grow(gauges->met, gauges->met_capacity, sizeof *gauges->met);
    }
    *out = &gauges->met[gauges->met_count];
    if (!find(txn, id, *out, err))
        return false;
    slots_add(&gauges->slots, hash, (uint32_t)++gauges->met_count);
    return true;
}

static bool is_newer(wall_ms at, uint64_t arrival, const struct gauge *gauge)
{
    return at > gauge->at || (at == gauge->at && arrival > gauge->arrival);
}

static void say(struct gauge *gauge, const struct aggregate *values)
{
    if (values->last_at < gauge->said_at)
        return;
    gauge->said_at = values->last_at;
    gauge->said = values->last;
}

/* The level at `at`, which is older than the newest one. */
static bool level_before(const struct gauge *gauge, struct read_txn *txn, wall_ms at, double *out,
                         struct error *err)
{
    struct coverage coverage = COVERAGE_EMPTY;
    struct level_sample stored = {.at = WALL_NONE};

    if (!query_level(txn, gauge->id, at, &stored, &coverage, err))
        return false;
    *out = stored.at != WALL_NONE ? stored.value : 0;
    if (gauge->said_at != WALL_NONE && gauge->said_at <= at && gauge->said_at >= stored.at)
        *out = gauge->said;
    return true;
}

bool gauge_change(struct gauge *gauge, struct read_txn *txn, int64_t minute,
                  const struct gauge_changes *changes, struct aggregate *out, struct error *err)
{
    if (gauge->absolute_at != WALL_NONE && changes->first_at < gauge->absolute_at) {
        double before = 0;
        if (!level_before(gauge, txn, changes->first_at, &before, err))
            return false;
        *out = gauge_changes_resolve(changes, before);
        say(gauge, out);
        return true;
    }
    *out = gauge_changes_resolve(changes, gauge->level);
    gauge->level = out->last;
    if (is_newer(out->last_at, out->last_arrival, gauge)) {
        gauge->at = out->last_at;
        gauge->arrival = out->last_arrival;
    } else if (minute_of(gauge->at) == minute) {
        gauge->arrival++;
        out->last_at = gauge->at;
        out->last_arrival = gauge->arrival;
    }
    say(gauge, out);
    return true;
}

void gauge_set(struct gauge *gauge, const struct aggregate *values)
{
    if (values->count == 0)
        return;
    if (values->first_at > gauge->absolute_at)
        gauge->absolute_at = values->first_at;
    if (is_newer(values->last_at, values->last_arrival, gauge)) {
        gauge->level = values->last;
        gauge->at = values->last_at;
        gauge->arrival = values->last_arrival;
    }
    say(gauge, values);
}

bool gauges_save(struct gauges *gauges, struct write_txn *txn, struct error *err)
{
    struct buf bytes = BUF_EMPTY;
    bool ok = true;

    for (size_t i = 0; i < gauges->met_count && ok; i++) {
        const struct gauge *gauge = &gauges->met[i];
        struct schema_key key = schema_id_key(gauge->id);
        buf_clear(&bytes);
        buf_double(&bytes, gauge->level);
        buf_i64(&bytes, gauge->at);
        buf_u64(&bytes, gauge->arrival);
        buf_i64(&bytes, gauge->absolute_at);
        ok = store_put(txn, DATABASE_GAUGES, store_key(&key), buf_view(&bytes), 0, err);
    }
    buf_fini(&bytes);
    return ok;
}
