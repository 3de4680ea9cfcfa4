#include "store/identity.h"

#include <string.h>

enum { RECORD_PRODUCER = 1, RECORD_KEY = 2, BITMAP_SIZE = IDENTITY_WINDOW / 8, NAME_SIZE = 16 };

#define KEY_BIT (UINT64_C(1) << 63)

struct producer {
    wall_ms used_at;
    uint64_t epoch;
    uint64_t highest;
    unsigned char bitmap[BITMAP_SIZE];
};

/* --- what is stored --- */

static struct schema_key name_of(const struct delta_identity *identity)
{
    struct series_hash name = identity->name;

    name.high &= ~KEY_BIT;
    if (identity->kind == IDENTITY_KEY)
        name.high |= KEY_BIT;
    return schema_hash_key(name);
}

static struct schema_key age_key(wall_ms used_at, struct str name)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;

    schema_put_i64(&key, used_at);
    memcpy(key.bytes + key.len, name.text, NAME_SIZE);
    key.len += NAME_SIZE;
    return key;
}

static bool decode_producer(struct str bytes, struct producer *out)
{
    struct reader reader = reader_of(bytes);
    uint8_t kind = read_u8(&reader);

    out->used_at = read_i64(&reader);
    out->epoch = read_u64(&reader);
    out->highest = read_u64(&reader);
    if (!reader.ok || kind != RECORD_PRODUCER || reader.left != BITMAP_SIZE)
        return false;
    memcpy(out->bitmap, reader.at, BITMAP_SIZE);
    return true;
}

static void encode_producer(const struct producer *producer, struct buf *out)
{
    buf_u8(out, RECORD_PRODUCER);
    buf_i64(out, producer->used_at);
    buf_u64(out, producer->epoch);
    buf_u64(out, producer->highest);
    buf_append(out, producer->bitmap, BITMAP_SIZE);
}

struct kept_key {
    wall_ms used_at;
    struct series_hash body;
    struct str answer;
};

static bool decode_key(struct str bytes, struct kept_key *out)
{
    struct reader reader = reader_of(bytes);
    uint8_t kind = read_u8(&reader);

    out->used_at = read_i64(&reader);
    out->body.high = read_u64(&reader);
    out->body.low = read_u64(&reader);
    out->answer = read_block(&reader);
    return reader.ok && kind == RECORD_KEY && reader.left == 0;
}

static void encode_key(const struct kept_key *key, struct buf *out)
{
    buf_u8(out, RECORD_KEY);
    buf_i64(out, key->used_at);
    buf_u64(out, key->body.high);
    buf_u64(out, key->body.low);
    buf_block(out, key->answer);
}

/* --- ages --- */

/* Where the two tables are, and whose entry it is about. */
struct place {
    struct write_txn *txn;
    struct schema_key name;
};

static struct str place_name(const struct place *place)
{
    return (struct str){(const char *)place->name.bytes, place->name.len};
}

static bool put_age(const struct place *place, wall_ms used_at, struct error *err)
{
    struct schema_key age = age_key(used_at, place_name(place));
    return store_put(place->txn, DATABASE_IDENTITY_AGES, store_key(&age), STR_EMPTY, 0, err);
}

static bool put_identity(const struct place *place, const struct buf *bytes, struct error *err)
{
    return store_put(place->txn, DATABASE_IDENTITIES, store_key(&place->name), buf_view(bytes), 0,
                     err);
}

static bool is_due(wall_ms used_at, wall_ms now)
{
    uint64_t apart =
        now > used_at ? (uint64_t)now - (uint64_t)used_at : (uint64_t)used_at - (uint64_t)now;
    return apart >= (uint64_t)IDENTITY_AGE_STEP_MS;
}

/* Moves the age when it is due; `*used_at` is what belongs into the entry. */
static bool move_age(const struct place *place, wall_ms *used_at, wall_ms now, struct error *err)
{
    struct schema_key age = age_key(*used_at, place_name(place));

    if (!is_due(*used_at, now))
        return true;
    if (!store_remove(place->txn, DATABASE_IDENTITY_AGES, store_key(&age), err))
        return false;
    *used_at = now;
    return put_age(place, now, err);
}

static bool count_ages(struct write_txn *txn, size_t *out, struct error *err)
{
    MDB_stat facts;
    struct store *store = txn->reader.store;

    int rc = mdb_stat(txn->reader.txn, store->databases[DATABASE_IDENTITY_AGES], &facts);
    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", store->path);
    *out = facts.ms_entries;
    return true;
}

/* The entry of an age goes too, unless it has another age by now. */
static bool forget(struct write_txn *txn, const MDB_val *age, struct error *err)
{
    struct schema_key key = SCHEMA_KEY_EMPTY; /* a copy: LMDB's may go with the first change */
    struct str entry;
    bool found = false;

    if (age->mv_size > sizeof key.bytes)
        return error_set(err, ERROR_CORRUPT, "an identity's age has %zu bytes", age->mv_size);
    memcpy(key.bytes, age->mv_data, age->mv_size);
    key.len = age->mv_size;
    struct schema_reader reader = schema_reader_of((struct str){(const char *)key.bytes, key.len});
    wall_ms used_at = schema_get_i64(&reader);
    MDB_val name = {.mv_size = reader.left, .mv_data = (void *)reader.at};
    if (reader.ok && reader.left == NAME_SIZE) {
        if (!store_find(&txn->reader, DATABASE_IDENTITIES, name, &entry, &found, err))
            return false;
        struct reader fields = reader_of(entry);
        (void)read_u8(&fields);
        bool is_its_own = read_i64(&fields) == used_at || !fields.ok;
        if (found && is_its_own && !store_remove(txn, DATABASE_IDENTITIES, name, err))
            return false;
    }
    return store_remove(txn, DATABASE_IDENTITY_AGES, store_key(&key), err);
}

/* The oldest age into `*out`, LMDB's. */
static bool find_oldest(struct write_txn *txn, MDB_val *out, bool *found, struct error *err)
{
    MDB_cursor *cursor = NULL;
    MDB_val value;
    struct store *store = txn->reader.store;

    int rc = mdb_cursor_open(txn->reader.txn, store->databases[DATABASE_IDENTITY_AGES], &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, out, &value, MDB_FIRST);
        mdb_cursor_close(cursor);
    }
    *found = rc == 0;
    if (rc != 0 && rc != MDB_NOTFOUND)
        return store_error(err, rc, "cannot read data directory '%s'", store->path);
    return true;
}

static bool make_room(struct write_txn *txn, struct error *err)
{
    size_t count = 0;
    MDB_val oldest;
    bool found = false;

    if (!count_ages(txn, &count, err))
        return false;
    if (count < IDENTITIES_MAX)
        return true;
    return find_oldest(txn, &oldest, &found, err) && (!found || forget(txn, &oldest, err));
}

bool identity_expire(struct write_txn *txn, wall_ms now, size_t max, size_t *removed,
                     struct error *err)
{
    size_t count = 0;

    *removed = 0;
    if (!count_ages(txn, &count, err))
        return false;
    for (; *removed < max; (*removed)++, count--) {
        MDB_val oldest;
        bool found = false;
        if (!find_oldest(txn, &oldest, &found, err))
            return false;
        if (!found)
            return true;
        struct schema_reader reader = schema_reader_of(store_bytes(&oldest));
        wall_ms used_at = schema_get_i64(&reader);
        if (count <= IDENTITIES_MAX && reader.ok && used_at > now - IDENTITY_KEEP_MS)
            return true;
        if (!forget(txn, &oldest, err))
            return false;
    }
    return true;
}

/* --- producers --- */

static bool bit_is_set(const unsigned char *bitmap, uint64_t bit)
{
    return (bitmap[bit / 8] >> (bit % 8) & 1) != 0;
}

static void set_bit(unsigned char *bitmap, uint64_t bit)
{
    bitmap[bit / 8] = (unsigned char)(bitmap[bit / 8] | 1 << (bit % 8));
}

/* Moves the window up by `by`: what was bit i is bit i + by. */
static void shift_bitmap(unsigned char *bitmap, uint64_t by)
{
    unsigned char moved[BITMAP_SIZE] = {0};

    for (uint64_t i = 0; by < IDENTITY_WINDOW && i < IDENTITY_WINDOW - by; i++) {
        if (bit_is_set(bitmap, i))
            set_bit(moved, i + by);
    }
    memcpy(bitmap, moved, BITMAP_SIZE);
}

/* Takes note of a sequence of the producer's epoch. */
static enum delta_outcome take_sequence(struct producer *producer, uint64_t sequence)
{
    if (sequence == producer->highest)
        return DELTA_REPEATED;
    if (sequence > producer->highest) {
        uint64_t by = sequence - producer->highest;
        shift_bitmap(producer->bitmap, by);
        if (by <= IDENTITY_WINDOW)
            set_bit(producer->bitmap, by - 1);
        producer->highest = sequence;
        return DELTA_STORED;
    }
    uint64_t below = producer->highest - sequence - 1;
    if (below >= IDENTITY_WINDOW)
        return DELTA_TOO_OLD;
    if (bit_is_set(producer->bitmap, below))
        return DELTA_REPEATED;
    set_bit(producer->bitmap, below);
    return DELTA_STORED;
}

static bool decide_producer(const struct place *place, struct delta *delta, wall_ms now,
                            struct error *err)
{
    const struct delta_identity *identity = &delta->identity;
    struct producer producer = {.used_at = now, .epoch = identity->epoch};
    struct buf bytes = BUF_EMPTY;
    struct str entry;
    bool found = false;

    delta->outcome = DELTA_TOO_OLD;
    if (identity->sequence == 0)
        return true;
    if (!store_find(&place->txn->reader, DATABASE_IDENTITIES, store_key(&place->name), &entry,
                    &found, err))
        return false;
    if (found && (!decode_producer(entry, &producer) || identity->epoch < producer.epoch))
        return true;
    if (!found || identity->epoch > producer.epoch) {
        producer.epoch = identity->epoch;
        producer.highest = identity->sequence;
        memset(producer.bitmap, 0, sizeof producer.bitmap);
        delta->outcome = DELTA_STORED;
    } else {
        delta->outcome = take_sequence(&producer, identity->sequence);
    }
    /* A batch that comes again is a use too, but only worth a write once an hour. */
    if (delta->outcome != DELTA_STORED && !is_due(producer.used_at, now))
        return true;
    bool ok = found ? move_age(place, &producer.used_at, now, err)
                    : make_room(place->txn, err) && put_age(place, now, err);
    encode_producer(&producer, &bytes);
    ok = ok && put_identity(place, &bytes, err);
    buf_fini(&bytes);
    return ok;
}

/* --- keys --- */

static bool put_key(const struct place *place, const struct kept_key *key, struct error *err)
{
    struct buf bytes = BUF_EMPTY;

    encode_key(key, &bytes);
    bool ok = put_identity(place, &bytes, err);
    buf_fini(&bytes);
    return ok;
}

static struct str answer_to_keep(const struct delta *delta)
{
    return delta->answer.len <= IDENTITY_ANSWER_MAX ? delta->answer : STR_EMPTY;
}

static bool remember_key(const struct place *place, const struct delta *delta, wall_ms now,
                         struct error *err)
{
    const struct kept_key key = {
        .used_at = now, .body = delta->identity.body, .answer = answer_to_keep(delta)};

    return make_room(place->txn, err) && put_age(place, now, err) && put_key(place, &key, err);
}

static bool decide_key(const struct place *place, struct delta *delta, wall_ms now,
                       struct error *err)
{
    struct kept_key key;
    struct str entry;
    bool found = false;

    if (!store_find(&place->txn->reader, DATABASE_IDENTITIES, store_key(&place->name), &entry,
                    &found, err))
        return false;
    if (!found) {
        delta->outcome = DELTA_STORED;
        return remember_key(place, delta, now, err);
    }
    delta->outcome = DELTA_CONFLICT;
    if (!decode_key(entry, &key) || !series_hash_equal(key.body, delta->identity.body))
        return true;
    delta->outcome = DELTA_REPEATED;
    delta->answer = arena_str(&delta->arena, key.answer);
    if (!is_due(key.used_at, now))
        return true;
    key.answer = delta->answer; /* LMDB's bytes may go with the first change */
    return move_age(place, &key.used_at, now, err) && put_key(place, &key, err);
}

bool identity_settle_answer(struct write_txn *txn, struct delta *delta, struct error *err)
{
    struct place place = {.txn = txn};
    struct kept_key key;
    struct str entry;
    bool found = false;

    if (delta->identity.kind != IDENTITY_KEY)
        return true;
    place.name = name_of(&delta->identity);
    if (!store_find(&txn->reader, DATABASE_IDENTITIES, store_key(&place.name), &entry, &found, err))
        return false;
    if (!found || !decode_key(entry, &key))
        return true;
    if (delta->outcome == DELTA_REPEATED) {
        delta->answer = arena_str(&delta->arena, key.answer);
        return true;
    }
    key.answer = answer_to_keep(delta);
    return put_key(&place, &key, err);
}

bool identity_decide(struct write_txn *txn, struct delta *delta, wall_ms now, struct error *err)
{
    struct place place = {.txn = txn};

    if (delta->identity.kind == IDENTITY_NONE) {
        delta->outcome = DELTA_STORED;
        return true;
    }
    place.name = name_of(&delta->identity);
    if (delta->identity.kind == IDENTITY_KEY)
        return decide_key(&place, delta, now, err);
    return decide_producer(&place, delta, now, err);
}
