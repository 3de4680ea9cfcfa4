#include "store/schema.h"

#include <string.h>

static void put_u32(struct schema_key *key, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        key->bytes[key->len++] = (unsigned char)(value >> shift);
}

static void put_u64(struct schema_key *key, uint64_t value)
{
    put_u32(key, (uint32_t)(value >> 32));
    put_u32(key, (uint32_t)value);
}

static uint64_t get_big_endian(const char *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | (unsigned char)bytes[i];
    return value;
}

/* The whole struct is not zeroed: only `len` bytes of it mean anything. */
struct schema_key schema_id_key(uint32_t id)
{
    struct schema_key key;
    key.len = 0;
    put_u32(&key, id);
    return key;
}

struct schema_key schema_hash_key(struct series_hash hash)
{
    struct schema_key key;
    key.len = 0;
    put_u64(&key, hash.high);
    put_u64(&key, hash.low);
    return key;
}

struct schema_key schema_by_metric_key(struct series_hash hash, uint32_t id)
{
    struct schema_key key = schema_hash_key(hash);
    put_u32(&key, id);
    return key;
}

struct schema_key schema_cell_key(uint32_t id, int64_t minute)
{
    struct schema_key key = schema_id_key(id);
    put_u64(&key, (uint64_t)minute ^ UINT64_C(0x8000000000000000));
    return key;
}

struct schema_key schema_name_key(struct str name)
{
    struct schema_key key;

    key.len = name.len < SCHEMA_NAME_MAX ? name.len : SCHEMA_NAME_MAX;
    if (key.len > 0)
        memcpy(key.bytes, name.text, key.len);
    if (name.len > SCHEMA_NAME_MAX) {
        struct series_hash hash = series_key_hash(name);
        put_u64(&key, hash.high);
        put_u64(&key, hash.low);
    }
    return key;
}

uint32_t schema_id_of(struct str bytes)
{
    return bytes.len == SCHEMA_ID_SIZE ? (uint32_t)get_big_endian(bytes.text, SCHEMA_ID_SIZE) : 0;
}

uint32_t schema_by_metric_id(struct str bytes)
{
    if (bytes.len != SCHEMA_BY_METRIC_SIZE)
        return 0;
    return (uint32_t)get_big_endian(bytes.text + SCHEMA_HASH_SIZE, SCHEMA_ID_SIZE);
}

void schema_cell_of(struct str bytes, uint32_t *id, int64_t *minute)
{
    *id = 0;
    *minute = 0;
    if (bytes.len != SCHEMA_CELL_SIZE)
        return;
    *id = (uint32_t)get_big_endian(bytes.text, SCHEMA_ID_SIZE);
    *minute =
        (int64_t)(get_big_endian(bytes.text + SCHEMA_ID_SIZE, 8) ^ UINT64_C(0x8000000000000000));
}
