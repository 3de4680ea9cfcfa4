#include "store/index_chunk.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"

enum {
    CHUNK_VERSION = 2,
    AFTER_CHECKSUM = 5,
    END_SIZE = 2,
    VARINT_MAX = 5,
    KEY_HEAD = 2, /* what it has in common, and what follows */
    FIRST_SIZE_MAX = 4,
};

/* The parts of a chunk's form. */
enum { FORM_FIRST_SIZE = 7, FORM_TEXTS = 8, FORM_MORE = 16, FORM_ALL = 31 };

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

static void put_hash(unsigned char *out, struct series_hash hash)
{
    const uint64_t ordered[2] = {htobe64(hash.high), htobe64(hash.low)};
    memcpy(out, ordered, sizeof ordered);
}

static struct series_hash get_hash(const unsigned char *at)
{
    uint64_t ordered[2];
    memcpy(ordered, at, sizeof ordered);
    return (struct series_hash){be64toh(ordered[0]), be64toh(ordered[1])};
}

static unsigned size_of_id(uint32_t id)
{
    unsigned size = 1;
    while (id > 0xff) {
        id >>= 8;
        size++;
    }
    return size;
}

/* --- writing --- */

static bool is_last_key(const struct index_chunk_writer *writer, struct index_key key)
{
    return writer->key_count > 0 && series_hash_equal(key.hash, writer->last_hash) &&
           key.text.len + INDEX_HASH_SIZE == writer->last_len &&
           (key.text.len == 0 ||
            memcmp(writer->last_key + INDEX_HASH_SIZE, key.text.text, key.text.len) == 0);
}

static size_t common_bytes(const unsigned char *a, const unsigned char *b, size_t max)
{
    size_t same = 0;
    while (same < max && a[same] == b[same])
        same++;
    return same;
}

/* Bytes of a chunk with so many keys, their bytes and ids. */
static size_t bytes_of(const struct index_chunk_writer *writer, size_t keys, size_t key_bytes,
                       uint32_t max_first, size_t more)
{
    return INDEX_CHUNK_HEAD + (writer->has_texts ? sizeof(uint16_t) : 0) + key_bytes +
           keys * size_of_id(max_first) + (more > 0 ? keys * END_SIZE + more : 0);
}

static bool add_id(struct index_chunk_writer *writer, uint32_t id)
{
    unsigned char varint[VARINT_MAX];
    size_t len = put_varint(varint, id - writer->last_id);

    if (bytes_of(writer, writer->key_count, writer->key_bytes, writer->max_first,
                 writer->more_bytes + len) > INDEX_CHUNK_BYTES_MAX)
        return false;
    memcpy(writer->more + writer->more_bytes, varint, len);
    writer->more_bytes += len;
    writer->ends[writer->key_count - 1] = (uint16_t)writer->more_bytes;
    writer->last_id = id;
    return true;
}

/* The key's bytes after what it has in common with the last one, with their head, to `out`. */
static size_t put_text_key(struct index_chunk_writer *writer, struct index_key key,
                           unsigned char *out)
{
    unsigned char bytes[INDEX_KEY_MAX];
    size_t len = INDEX_HASH_SIZE + key.text.len;

    put_hash(bytes, key.hash);
    memcpy(bytes + INDEX_HASH_SIZE, key.text.text, key.text.len);
    size_t same = writer->key_count == 0
                      ? 0
                      : common_bytes(bytes, writer->last_key,
                                     len < writer->last_len ? len : writer->last_len);
    out[0] = (unsigned char)same;
    out[1] = (unsigned char)(len - same);
    memcpy(out + KEY_HEAD, bytes + same, len - same);
    return KEY_HEAD + len - same;
}

static void begin_chunk(struct index_chunk_writer *writer, struct index_key key, uint32_t id)
{
    writer->has_texts = key.text.len > 0;
    writer->key_bytes = writer->more_bytes = 0;
    writer->max_first = 0;
    writer->first_id = id;
    writer->first_key.hash = key.hash;
    writer->first_key.text =
        writer->has_texts
            ? (struct str){(const char *)writer->keys + KEY_HEAD + INDEX_HASH_SIZE, key.text.len}
            : STR_EMPTY;
}

static bool add_key(struct index_chunk_writer *writer, struct index_key key, uint32_t id)
{
    unsigned char bytes[KEY_HEAD + INDEX_KEY_MAX];
    size_t len = INDEX_HASH_SIZE;
    uint32_t max_first = id > writer->max_first ? id : writer->max_first;

    if (writer->has_texts)
        len = put_text_key(writer, key, bytes);
    else
        put_hash(bytes, key.hash);
    if (writer->key_count == INDEX_CHUNK_KEYS_MAX ||
        bytes_of(writer, writer->key_count + 1, writer->key_bytes + len, max_first,
                 writer->more_bytes) > INDEX_CHUNK_BYTES_MAX)
        return false;
    memcpy(writer->keys + writer->key_bytes, bytes, len);
    writer->key_bytes += len;
    writer->max_first = max_first;
    writer->firsts[writer->key_count] = id;
    writer->ends[writer->key_count++] = (uint16_t)writer->more_bytes;
    writer->last_hash = key.hash;
    writer->last_len = INDEX_HASH_SIZE + key.text.len;
    writer->last_id = id;
    if (writer->has_texts) {
        put_hash(writer->last_key, key.hash);
        memcpy(writer->last_key + INDEX_HASH_SIZE, key.text.text, key.text.len);
    }
    return true;
}

bool index_chunk_writer_add(struct index_chunk_writer *writer, struct index_key key, uint32_t id)
{
    if (is_last_key(writer, key))
        return add_id(writer, id);
    if (writer->key_count > 0 && writer->has_texts != (key.text.len > 0))
        return false;
    if (writer->key_count == 0)
        begin_chunk(writer, key, id);
    return add_key(writer, key, id);
}

static char *put_ids(const struct index_chunk_writer *writer, unsigned first_size, char *at)
{
    for (size_t i = 0; i < writer->key_count; i++, at += first_size) {
        const uint32_t first = htole32(writer->firsts[i]);
        memcpy(at, &first, first_size);
    }
    if (writer->more_bytes == 0)
        return at;
    for (size_t i = 0; i < writer->key_count; i++, at += END_SIZE) {
        const uint16_t end = htole16(writer->ends[i]);
        memcpy(at, &end, sizeof end);
    }
    memcpy(at, writer->more, writer->more_bytes);
    return at + writer->more_bytes;
}

struct str index_chunk_writer_take(struct index_chunk_writer *writer, uint64_t number)
{
    const unsigned first_size = size_of_id(writer->max_first);
    const uint16_t count = htole16((uint16_t)writer->key_count);
    const uint16_t key_bytes = htole16((uint16_t)writer->key_bytes);
    char *at = writer->bytes + AFTER_CHECKSUM;

    if (writer->key_count == 0)
        return STR_EMPTY;
    memcpy(at, &count, sizeof count);
    at += sizeof count;
    *at++ = (char)(first_size | (writer->has_texts ? FORM_TEXTS : 0U) |
                   (writer->more_bytes > 0 ? FORM_MORE : 0U));
    if (writer->has_texts) {
        memcpy(at, &key_bytes, sizeof key_bytes);
        at += sizeof key_bytes;
    }
    memcpy(at, writer->keys, writer->key_bytes);
    at = put_ids(writer, first_size, at + writer->key_bytes);

    const struct str bytes = {writer->bytes, (size_t)(at - writer->bytes)};
    const uint32_t sum = htole32(index_chunk_checksum(bytes, number));
    writer->bytes[0] = CHUNK_VERSION;
    memcpy(writer->bytes + 1, &sum, sizeof sum);
    writer->key_count = 0;
    return bytes;
}

/* --- reading --- */

static uint16_t get_u16(const unsigned char *at)
{
    uint16_t value = 0;
    memcpy(&value, at, sizeof value);
    return le16toh(value);
}

static size_t end_of(const struct index_chunk *chunk, size_t n)
{
    return chunk->ends == NULL ? 0 : get_u16(chunk->ends + n * END_SIZE);
}

/* Cuts the bytes after the head into their parts. */
static bool cut(struct index_chunk *chunk, const unsigned char *at, size_t left, unsigned form)
{
    chunk->first_size = form & FORM_FIRST_SIZE;
    chunk->has_texts = (form & FORM_TEXTS) != 0;
    chunk->key_bytes = chunk->key_count * INDEX_HASH_SIZE;
    if (chunk->has_texts) {
        if (left < sizeof(uint16_t))
            return false;
        chunk->key_bytes = get_u16(at);
        at += sizeof(uint16_t);
        left -= sizeof(uint16_t);
    }
    size_t firsts = chunk->key_count * chunk->first_size;
    size_t ends = (form & FORM_MORE) != 0 ? chunk->key_count * END_SIZE : 0;
    if (form > FORM_ALL || chunk->first_size == 0 || chunk->first_size > FIRST_SIZE_MAX ||
        chunk->key_count == 0 || chunk->key_bytes + firsts + ends > left)
        return false;
    chunk->keys = at;
    chunk->firsts = at + chunk->key_bytes;
    chunk->ends = ends == 0 ? NULL : chunk->firsts + firsts;
    chunk->more = chunk->firsts + firsts + ends;
    chunk->more_bytes = left - chunk->key_bytes - firsts - ends;
    return end_of(chunk, chunk->key_count - 1) == chunk->more_bytes;
}

bool index_chunk_open(struct index_chunk *chunk, struct str bytes, uint64_t number)
{
    const unsigned char *at = (const unsigned char *)bytes.text;
    uint32_t sum = 0;

    if (bytes.len < INDEX_CHUNK_HEAD || bytes.len > INDEX_CHUNK_BYTES_MAX || at[0] != CHUNK_VERSION)
        return false;
    memcpy(&sum, at + 1, sizeof sum);
    chunk->key_count = get_u16(at + AFTER_CHECKSUM);
    return le32toh(sum) == index_chunk_checksum(bytes, number) &&
           cut(chunk, at + INDEX_CHUNK_HEAD, bytes.len - INDEX_CHUNK_HEAD,
               at[INDEX_CHUNK_HEAD - 1]);
}

/* --- keys --- */

static bool next_hash(const struct index_chunk *chunk, struct index_place *place, bool is_first)
{
    struct series_hash hash = get_hash(chunk->keys + place->n * INDEX_HASH_SIZE);
    bool grows = is_first || index_hash_order(place->key.hash, hash) < 0;

    place->key = (struct index_key){hash, STR_EMPTY};
    return grows;
}

static bool next_text(const struct index_chunk *chunk, struct index_place *place)
{
    const unsigned char *at = chunk->keys + place->next;
    size_t left = chunk->key_bytes - place->next;

    if (left < KEY_HEAD)
        return false;
    size_t same = at[0];
    size_t rest = at[1];
    size_t len = same + rest;
    /* What follows the common bytes is greater, or there was nothing more. */
    if (left - KEY_HEAD < rest || rest == 0 || same > place->len || len > INDEX_KEY_MAX ||
        len <= INDEX_HASH_SIZE || (same < place->len && at[KEY_HEAD] <= place->bytes[same]))
        return false;
    memcpy(place->bytes + same, at + KEY_HEAD, rest);
    place->len = len;
    place->next += KEY_HEAD + rest;
    if (same < INDEX_HASH_SIZE)
        place->key.hash = get_hash(place->bytes);
    place->key.text =
        (struct str){(const char *)place->bytes + INDEX_HASH_SIZE, len - INDEX_HASH_SIZE};
    return true;
}

bool index_chunk_first(const struct index_chunk *chunk, struct index_place *place)
{
    place->n = 0;
    place->next = 0;
    place->len = 0;
    return chunk->has_texts ? next_text(chunk, place) : next_hash(chunk, place, true);
}

bool index_chunk_next(const struct index_chunk *chunk, struct index_place *place)
{
    place->n++;
    return chunk->has_texts ? next_text(chunk, place) : next_hash(chunk, place, false);
}

/* Keys without texts have places of their own, so the one that is sought is found by halves. */
static bool find_hash(const struct index_chunk *chunk, struct index_key key,
                      struct index_place *place)
{
    size_t from = 0;
    size_t to = chunk->key_count;

    while (from < to) {
        size_t middle = (from + to) / 2;
        struct index_key other = {get_hash(chunk->keys + middle * INDEX_HASH_SIZE), STR_EMPTY};
        if (index_key_order(other, key) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    place->n = from;
    return from == chunk->key_count || next_hash(chunk, place, true);
}

bool index_chunk_find(const struct index_chunk *chunk, struct index_key key,
                      struct index_place *place)
{
    if (!chunk->has_texts)
        return find_hash(chunk, key, place);
    if (!index_chunk_first(chunk, place))
        return false;
    while (index_key_order(place->key, key) < 0) {
        if (place->n + 1 == chunk->key_count) {
            place->n++;
            return true;
        }
        if (!index_chunk_next(chunk, place))
            return false;
    }
    return true;
}

/* --- ids --- */

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

uint32_t index_chunk_first_id(const struct index_chunk *chunk, size_t n)
{
    const unsigned char *at = chunk->firsts + n * chunk->first_size;
    uint32_t id = 0;

    for (unsigned i = 0; i < chunk->first_size; i++)
        id |= (uint32_t)at[i] << (8 * i);
    return id;
}

/* The ids after the first of the n-th key, of which out[0] is given. */
static bool get_more(const struct index_chunk *chunk, size_t n, uint32_t *out, size_t *count)
{
    size_t from = n == 0 ? 0 : end_of(chunk, n - 1);
    size_t to = end_of(chunk, n);
    uint64_t id = out[0];
    size_t found = 1;

    if (from > to || to > chunk->more_bytes)
        return false;
    const unsigned char *at = chunk->more + from;
    const unsigned char *end = chunk->more + to;
    while (at < end) {
        if (eight_small(at, end)) {
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

bool index_chunk_ids(const struct index_chunk *chunk, size_t n, uint32_t *out, size_t *count)
{
    *count = 0;
    out[0] = index_chunk_first_id(chunk, n);
    return out[0] != 0 && get_more(chunk, n, out, count);
}

/* --- many ids at once --- */

void id_set_init(struct id_set *set, uint32_t first, uint32_t last)
{
    set->first = first;
    set->count = last - first == UINT32_MAX ? UINT32_MAX : last - first + 1;
    set->words = memory_zero((size_t)set->count / 64 + 1, sizeof *set->words);
}

void id_set_fini(struct id_set *set)
{
    free(set->words);
    *set = (struct id_set){0};
}

/* By its size, since most chunks of many series have ids of three bytes. */
static void add_firsts(const struct index_chunk *chunk, size_t n, size_t end, struct id_set *out)
{
    const unsigned char *at = chunk->firsts + n * 3;

    if (chunk->first_size != 3) {
        for (; n < end; n++)
            id_set_add(out, index_chunk_first_id(chunk, n));
        return;
    }
    for (; n < end; n++, at += 3)
        id_set_add(out, at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16);
}

/* Ids that grow: those of one word are brought together first, so that the next one need not wait
 * for what was just stored. */
static void add_growing(const uint32_t *ids, size_t count, struct id_set *out)
{
    size_t i = 0;

    while (i < count && ids[i] < out->first)
        i++;
    while (i < count && ids[i] - out->first < out->count) {
        uint32_t word = (ids[i] - out->first) / 64;
        uint64_t bits = 0;
        for (; i < count && (ids[i] - out->first) / 64 == word; i++)
            bits |= UINT64_C(1) << (ids[i] - out->first) % 64;
        out->words[word] |= bits;
    }
}

bool index_chunk_add_ids(const struct index_chunk *chunk, size_t n, size_t end, struct id_set *out)
{
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    size_t count = 0;

    add_firsts(chunk, n, end, out);
    if (chunk->ends == NULL)
        return true;
    for (; n < end; n++) {
        if (end_of(chunk, n) == (n == 0 ? 0 : end_of(chunk, n - 1)))
            continue; /* there is but the first */
        if (!index_chunk_ids(chunk, n, ids, &count))
            return false;
        add_growing(ids, count, out);
    }
    return true;
}
