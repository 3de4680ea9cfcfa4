#include "store/schema.h"

#include <string.h>

#define SIGN_BIT UINT64_C(0x8000000000000000)

static void put(struct schema_key *key, uint64_t value, size_t size)
{
    for (size_t i = size; i-- > 0;)
        key->bytes[key->len++] = (unsigned char)(value >> (8 * i));
}

void schema_put_u8(struct schema_key *key, uint8_t value)
{
    put(key, value, 1);
}

void schema_put_u16(struct schema_key *key, uint16_t value)
{
    put(key, value, 2);
}

void schema_put_u32(struct schema_key *key, uint32_t value)
{
    put(key, value, 4);
}

void schema_put_u64(struct schema_key *key, uint64_t value)
{
    put(key, value, 8);
}

void schema_put_i64(struct schema_key *key, int64_t value)
{
    put(key, (uint64_t)value ^ SIGN_BIT, 8);
}

struct schema_reader schema_reader_of(struct str bytes)
{
    return (struct schema_reader){(const unsigned char *)bytes.text, bytes.len, true};
}

static uint64_t get(struct schema_reader *reader, size_t size)
{
    uint64_t value = 0;

    if (reader->left < size) {
        reader->ok = false;
        return 0;
    }
    for (size_t i = 0; i < size; i++)
        value = value << 8 | *reader->at++;
    reader->left -= size;
    return value;
}

uint8_t schema_get_u8(struct schema_reader *reader)
{
    return (uint8_t)get(reader, 1);
}

uint16_t schema_get_u16(struct schema_reader *reader)
{
    return (uint16_t)get(reader, 2);
}

uint32_t schema_get_u32(struct schema_reader *reader)
{
    return (uint32_t)get(reader, 4);
}

uint64_t schema_get_u64(struct schema_reader *reader)
{
    return get(reader, 8);
}

int64_t schema_get_i64(struct schema_reader *reader)
{
    uint64_t value = get(reader, 8);
    return reader->ok ? (int64_t)(value ^ SIGN_BIT) : 0;
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
    schema_put_u32(&key, id);
    return key;
}

struct schema_key schema_hash_key(struct series_hash hash)
{
    struct schema_key key;
    key.len = 0;
    schema_put_u64(&key, hash.high);
    schema_put_u64(&key, hash.low);
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
        schema_put_u64(&key, hash.high);
        schema_put_u64(&key, hash.low);
    }
    return key;
}

uint32_t schema_id_of(struct str bytes)
{
    return bytes.len == SCHEMA_ID_SIZE ? (uint32_t)get_big_endian(bytes.text, SCHEMA_ID_SIZE) : 0;
}
