#include "store/index_chunk.h"

#include <endian.h>
#include <string.h>
#include <xxhash.h>

enum { CHUNK_VERSION = 1, AFTER_CHECKSUM = 5, END_SIZE = 2, VARINT_MAX = 5 };

uint32_t index_chunk_checksum(struct str bytes, uint64_t number)
{
    if (bytes.len < INDEX_CHUNK_HEAD)
        return 0;
    return (uint32_t)XXH3_64bits_withSeed(bytes.text + AFTER_CHECKSUM, bytes.len - AFTER_CHECKSUM,
                                          number);
}

static size_t put_varint(unsigned char *out, uint32_t value)
{
    size_t len = 0;

    while (value >= 0x80) {
        out[len++] = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    out[len++] = (unsigned char)value;
    return len;
}

/* --- writing --- */

bool index_chunk_writer_add(struct index_chunk_writer *writer, struct series_hash key, uint32_t id)
{
    bool is_new = writer->key_count == 0 || !series_hash_equal(key, writer->last_key);
    size_t keys = writer->key_count + (is_new ? 1 : 0);
    unsigned char varint[VARINT_MAX];
    size_t len = put_varint(varint, is_new ? id : id - writer->last_id);

    if (INDEX_CHUNK_HEAD + keys * (INDEX_KEY_SIZE + END_SIZE) + writer->id_bytes + len >
        INDEX_CHUNK_BYTES_MAX)
        return false;
    if (writer->key_count == 0) {
        writer->first_key = key;
        writer->first_id = id;
    }
    if (is_new) {
        const uint64_t ordered[2] = {htobe64(key.high), htobe64(key.low)};
        memcpy(writer->keys + writer->key_count * INDEX_KEY_SIZE, ordered, INDEX_KEY_SIZE);
    }
    memcpy(writer->ids + writer->id_bytes, varint, len);
    writer->id_bytes += len;
    writer->key_count = keys;
    writer->ends[keys - 1] = htole16((uint16_t)writer->id_bytes);
    writer->last_key = key;
    writer->last_id = id;
    return true;
}

struct str index_chunk_writer_take(struct index_chunk_writer *writer, uint64_t number)
{
    const uint16_t count = htole16((uint16_t)writer->key_count);
    char *at = writer->bytes + AFTER_CHECKSUM;

    if (writer->key_count == 0)
        return STR_EMPTY;
    memcpy(at, &count, sizeof count);
    at += sizeof count;
    memcpy(at, writer->keys, writer->key_count * INDEX_KEY_SIZE);
    at += writer->key_count * INDEX_KEY_SIZE;
    memcpy(at, writer->ends, writer->key_count * END_SIZE);
    at += writer->key_count * END_SIZE;
    memcpy(at, writer->ids, writer->id_bytes);
    at += writer->id_bytes;

    const struct str bytes = {writer->bytes, (size_t)(at - writer->bytes)};
    const uint32_t sum = htole32(index_chunk_checksum(bytes, number));
    writer->bytes[0] = CHUNK_VERSION;
    memcpy(writer->bytes + 1, &sum, sizeof sum);
    writer->key_count = 0;
    writer->id_bytes = 0;
    return bytes;
}

/* --- reading --- */

static size_t end_of(const struct index_chunk *chunk, size_t n)
{
    uint16_t end = 0;
    memcpy(&end, chunk->ends + n * END_SIZE, sizeof end);
    return le16toh(end);
}

bool index_chunk_open(struct index_chunk *chunk, struct str bytes, uint64_t number)
{
    uint32_t sum = 0;
    uint16_t count = 0;

    if (bytes.len < INDEX_CHUNK_HEAD || bytes.len > INDEX_CHUNK_BYTES_MAX ||
        bytes.text[0] != CHUNK_VERSION)
        return false;
    memcpy(&sum, bytes.text + 1, sizeof sum);
    memcpy(&count, bytes.text + AFTER_CHECKSUM, sizeof count);
    chunk->key_count = le16toh(count);
    size_t fixed = INDEX_CHUNK_HEAD + chunk->key_count * (INDEX_KEY_SIZE + END_SIZE);
    if (chunk->key_count == 0 || fixed > bytes.len ||
        le32toh(sum) != index_chunk_checksum(bytes, number))
        return false;
    chunk->keys = (const unsigned char *)bytes.text + INDEX_CHUNK_HEAD;
    chunk->ends = chunk->keys + chunk->key_count * INDEX_KEY_SIZE;
    chunk->ids = chunk->ends + chunk->key_count * END_SIZE;
    chunk->id_bytes = bytes.len - fixed;
    return end_of(chunk, chunk->key_count - 1) == chunk->id_bytes;
}

struct series_hash index_chunk_key(const struct index_chunk *chunk, size_t n)
{
    uint64_t ordered[2];
    memcpy(ordered, chunk->keys + n * INDEX_KEY_SIZE, INDEX_KEY_SIZE);
    return (struct series_hash){be64toh(ordered[0]), be64toh(ordered[1])};
}

size_t index_chunk_find(const struct index_chunk *chunk, struct series_hash key)
{
    size_t from = 0;
    size_t to = chunk->key_count;

    while (from < to) {
        size_t middle = (from + to) / 2;
        if (index_key_order(index_chunk_key(chunk, middle), key) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* One varint of at most 5 bytes; 0 bytes read means that there is none. */
static size_t get_varint(const unsigned char *at, const unsigned char *end, uint64_t *out)
{
    uint64_t value = 0;

    for (size_t i = 0; i < VARINT_MAX && at + i < end; i++) {
        value |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if (at[i] < 0x80) {
            *out = value;
            return i + 1;
        }
    }
    return 0;
}

/* Whether eight differences follow that are one byte each and not 0. */
static bool eight_small(const unsigned char *at, const unsigned char *end)
{
    const uint64_t tops = UINT64_C(0x8080808080808080);
    uint64_t word = 0;

    if (end - at < 8)
        return false;
    memcpy(&word, at, sizeof word);
    /* A byte of 0 borrows and sets a top bit. */
    return ((word | (word - UINT64_C(0x0101010101010101))) & tops) == 0;
}

bool index_chunk_ids(const struct index_chunk *chunk, size_t n, uint32_t *out, size_t *count)
{
    size_t from = n == 0 ? 0 : end_of(chunk, n - 1);
    size_t to = end_of(chunk, n);
    uint64_t id = 0;
    size_t found = 0;

    *count = 0;
    if (from >= to || to > chunk->id_bytes)
        return false;
    const unsigned char *at = chunk->ids + from;
    const unsigned char *end = chunk->ids + to;
    while (at < end) {
        if (found > 0 && eight_small(at, end)) {
            for (size_t i = 0; i < 8; i++) {
                id += at[i];
                out[found++] = (uint32_t)id;
            }
            at += 8;
            continue;
        }
        uint64_t more = 0;
        size_t len = get_varint(at, end, &more);
        if (len == 0 || more == 0)
            return false;
        at += len;
        id += more;
        out[found++] = (uint32_t)id;
    }
    *count = found;
    return id < UINT32_MAX; /* no series has that one */
}
