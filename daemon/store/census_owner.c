#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/census_private.h"
#include "store/walk.h"

enum { NUMBER_BYTES = 2 };

struct schema_key census_owner_key(uint16_t number)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;

    schema_put_u8(&key, CENSUS_OWNER_NAME);
    schema_put_u16(&key, number);
    return key;
}

static struct schema_key row_key(uint32_t id)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;

    schema_put_u8(&key, CENSUS_OWNER_ROW);
    schema_put_u32(&key, id / CENSUS_OWNER_IDS_A_ROW);
    return key;
}

static struct str name_of(const struct owner *owner)
{
    return (struct str){owner->name, owner->name_len};
}

/* --- who there is --- */

static uint64_t limit_of(const struct series_limits *limits, struct str listener)
{
    for (size_t i = 0; i < limits->listener_count; i++) {
        if (str_equal(limits->listeners[i].listener, listener))
            return limits->listeners[i].series;
    }
    return 0;
}

/* NULL: all numbers are given. */
static struct owner *make_owner(struct census *census, struct str name)
{
    if (census->owner_count == CENSUS_OWNERS_MAX)
        return NULL;
    if (census->owner_count == census->owner_capacity) {
        census->owner_capacity = census->owner_capacity == 0 ? 8 : census->owner_capacity * 2;
        census->owners =
            memory_grow(census->owners, census->owner_capacity, sizeof(struct owner *));
    }
    struct owner *owner = memory_zero(1, sizeof *owner);
    owner->name = memory_copy(name.text, name.len);
    owner->name_len = name.len;
    owner->limit = limit_of(&census->limits, name);
    census->owners[census->owner_count++] = owner;
    owner->number = (uint16_t)census->owner_count;
    (void)table_add(&census->owners_by_name, name, owner); /* one that is damaged comes twice */
    return owner;
}

void census_free_owners(struct census *census)
{
    for (size_t i = 0; i < census->owner_count; i++) {
        free(census->owners[i]->name);
        free(census->owners[i]);
    }
    free(census->owners);
    table_fini(&census->owners_by_name);
}

/* Numbers are given one after the other: where one is missing the names behind it are damage. */
bool census_read_owners(struct census *census, const struct read_txn *txn, struct error *err)
{
    struct walk walk;

    if (census->has_read_owners)
        return true;
    /* Behind those that a walk which failed has read. */
    const struct schema_key first = census_owner_key((uint16_t)(census->owner_count + 1));
    bool ok = walk_begin(&walk, txn, DATABASE_OWNERS, &first, err);
    while (ok && walk.found) {
        struct schema_reader key = schema_reader_of(store_bytes(&walk.key));
        if (schema_get_u8(&key) != CENSUS_OWNER_NAME ||
            schema_get_u16(&key) != census->owner_count + 1 || !key.ok)
            break;
        if (make_owner(census, store_bytes(&walk.value)) == NULL)
            break;
        ok = walk_next(&walk, err);
    }
    census->owners_stored = census->owner_count;
    walk_end(&walk);
    census->has_read_owners = ok;
    return ok;
}

bool census_owner(struct census *census, const struct read_txn *txn, struct str listener,
                  uint16_t *number, struct error *err)
{
    struct owner *owner = census->last_owner;

    *number = 0;
    if (listener.len == 0)
        return true;
    if (!census_read_owners(census, txn, err))
        return false;
    if (owner == NULL || !str_equal(name_of(owner), listener))
        owner = table_find(&census->owners_by_name, listener);
    if (owner == NULL)
        owner = make_owner(census, listener);
    if (owner == NULL)
        return true;
    census->last_owner = owner;
    *number = owner->number;
    return true;
}

/* --- whose a series is --- */

struct str census_owner_row(const struct read_txn *txn, uint32_t id)
{
    const struct schema_key key = row_key(id);
    struct str row;

    if (!store_get(txn, DATABASE_OWNERS, (struct str){(const char *)key.bytes, key.len}, &row) ||
        row.len != CENSUS_OWNER_ROW_BYTES)
        return STR_EMPTY;
    return row;
}

uint16_t census_owner_number(struct str row, uint32_t id)
{
    const unsigned char *at =
        (const unsigned char *)row.text + (size_t)(id % CENSUS_OWNER_IDS_A_ROW) * NUMBER_BYTES;
    return (uint16_t)(at[0] | at[1] << 8);
}

uint16_t census_owner_in(const struct census *census, struct str row, uint32_t id)
{
    uint16_t number = row.len == 0 ? 0 : census_owner_number(row, id);
    return number <= census->owner_count ? number : 0;
}

bool census_owner_before(struct census *census, const struct read_txn *txn, uint32_t id,
                         uint16_t *owner, struct error *err)
{
    if (!census_read_owners(census, txn, err))
        return false;
    *owner = census_owner_in(census, census_owner_row(txn, id), id);
    return true;
}

/* What is known of those that are active; the others stay as they were stored. */
static bool save_row(const struct census *census, struct write_txn *txn, uint32_t id,
                     struct error *err)
{
    const struct schema_key key = row_key(id);
    const struct str stored = census_owner_row(&txn->reader, id);
    const struct chunk *chunk = census_chunk_find(census, id);
    uint32_t first = id / CENSUS_OWNER_IDS_A_ROW * CENSUS_OWNER_IDS_A_ROW;
    unsigned char row[CENSUS_OWNER_ROW_BYTES] = {0};
    static const unsigned char nobody[CENSUS_OWNER_ROW_BYTES];

    if (stored.len > 0)
        memcpy(row, stored.text, sizeof row);
    for (size_t i = 0; chunk != NULL && i < CENSUS_OWNER_IDS_A_ROW; i++) {
        size_t at = (first + i) % CENSUS_IDS_A_ROW;
        if (chunk->seen[at] == 0)
            continue;
        row[NUMBER_BYTES * i] = (unsigned char)(chunk->owner[at] & 0xff);
        row[NUMBER_BYTES * i + 1] = (unsigned char)(chunk->owner[at] >> 8);
    }
    if (memcmp(row, stored.len > 0 ? (const unsigned char *)stored.text : nobody, sizeof row) == 0)
        return true;
    return store_put(txn, DATABASE_OWNERS, store_key(&key),
                     (struct str){(const char *)row, sizeof row}, 0, err);
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t one = *(const uint32_t *)a;
    uint32_t other = *(const uint32_t *)b;
    return (one > other) - (one < other);
}

bool census_save_owners(struct census *census, struct write_txn *txn, struct error *err)
{
    uint32_t *ids = census->group_ids;
    uint32_t row = UINT32_MAX;
    bool ok = true;

    for (; ok && census->owners_stored < census->owner_count; census->owners_stored++) {
        const struct owner *owner = census->owners[census->owners_stored];
        const struct schema_key key = census_owner_key(owner->number);
        ok = store_put(txn, DATABASE_OWNERS, store_key(&key), name_of(owner), 0, err);
    }
    if (census->group_count > 1) /* their order means nothing to anybody */
        qsort(ids, census->group_count, sizeof *ids, compare_ids);
    for (size_t i = 0; i < census->group_count && ok; i++) {
        if (ids[i] / CENSUS_OWNER_IDS_A_ROW == row)
            continue;
        row = ids[i] / CENSUS_OWNER_IDS_A_ROW;
        ok = save_row(census, txn, ids[i], err);
    }
    return ok;
}

/* --- limits --- */

static void say_free(const struct census *census, struct owner *owner)
{
    if (owner->is_told)
        (void)room_set_listener_full(census->room, name_of(owner), false);
    owner->is_told = false;
    owner->is_full = false;
}

/* However little the limit has grown, it is used. */
bool census_limit_owners(struct census *census)
{
    bool has_changed = false;

    for (size_t i = 0; i < census->owner_count; i++) {
        struct owner *owner = census->owners[i];
        uint64_t limit = limit_of(&census->limits, name_of(owner));
        if (limit == owner->limit)
            continue;
        has_changed = true;
        owner->limit = limit;
        if (!owner->is_full || (limit > 0 && owner->active >= limit))
            continue;
        say_free(census, owner);
        census->wants_epoch = true;
    }
    return has_changed;
}

/* Shards begin anew: what the listener brought before it was known to be full they have under its
 * name and under that of any other. */
void census_tell_owner(struct census *census, struct owner *owner)
{
    if (census->room == NULL || !owner->is_full || owner->is_told)
        return;
    if (!room_has_series(census->room)) {
        census->has_to_tell = true;
        return;
    }
    owner->is_told = room_set_listener_full(census->room, name_of(owner), true);
    census->wants_epoch = census->wants_epoch || owner->is_told;
}

bool census_review_owners(struct census *census)
{
    bool has_room = false;

    for (size_t i = 0; i < census->owner_count; i++) {
        struct owner *owner = census->owners[i];
        if (owner->has_refused_others && census_is_free(owner->others, owner->limit)) {
            owner->has_refused_others = false;
            has_room = true;
        }
        if (!owner->is_full || !census_is_free(owner->active, owner->limit))
            continue;
        say_free(census, owner);
        has_room = true;
    }
    return has_room;
}

/* Listeners of the past, of which nothing is active, take no place in the room. */
void census_show_owners(struct census *census)
{
    for (size_t i = 0; i < census->owner_count; i++) {
        struct owner *owner = census->owners[i];
        owner->is_shown = owner->is_shown || owner->active > 0 || owner->limit > 0;
        if (!owner->is_shown)
            continue;
        room_show_listener(census->room, name_of(owner),
                           (struct room_listener){owner->active, owner->limit});
    }
}
