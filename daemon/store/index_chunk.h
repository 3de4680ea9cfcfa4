/* The chunk codec of the index: sorted (key, id) pairs in one value of an index run.
 *
 *   chunk = u8 version (1), u32 checksum, u16 n, n keys, n ends, ids     at most 4,080 bytes
 *   key   = 16 bytes, big-endian, growing
 *   end   = u16: where the key's ids end, counted from where ids begin
 *   ids   = for each key a varint (7 bits a byte, the low ones first): the first id, then by how
 *           much each id is greater than the one before it
 *
 * The checksum is the low half of XXH3-64 of what follows it, seeded with the run's number, so that
 * a chunk cannot pass for one of another run. A key whose ids do not fit goes on in the next chunk,
 * as its first. Keys have one size so that one is found without decoding the others. */
#pragma once

#include "series/series_key.h"

enum {
    INDEX_KEY_SIZE = 16,
    INDEX_CHUNK_BYTES_MAX = 4080, /* a page less LMDB's header */
    INDEX_CHUNK_HEAD = 7,
    INDEX_CHUNK_KEYS_MAX = (INDEX_CHUNK_BYTES_MAX - INDEX_CHUNK_HEAD) / (INDEX_KEY_SIZE + 2 + 1),
    INDEX_CHUNK_IDS_MAX = INDEX_CHUNK_BYTES_MAX, /* more than one chunk can hold */
};

/* < 0, 0, > 0. */
static inline int index_key_order(struct series_hash a, struct series_hash b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    if (a.low != b.low)
        return a.low < b.low ? -1 : 1;
    return 0;
}

/* Builds one chunk after the other. Start from zeros. */
struct index_chunk_writer {
    struct series_hash first_key, last_key;
    uint32_t first_id, last_id;
    size_t key_count; /* 0: the chunk is empty */
    size_t id_bytes;
    uint16_t ends[INDEX_CHUNK_KEYS_MAX];
    unsigned char keys[INDEX_CHUNK_KEYS_MAX * INDEX_KEY_SIZE];
    unsigned char ids[INDEX_CHUNK_BYTES_MAX];
    char bytes[INDEX_CHUNK_BYTES_MAX];
};

/* False, and nothing is added, when the chunk is full: take it and add again. Pairs come in growing
 * order of (key, id). */
bool index_chunk_writer_add(struct index_chunk_writer *writer, struct series_hash key, uint32_t id);

/* The chunk's bytes, borrowed until the next call; the writer is empty again, but its first key and
 * id still tell the chunk's. Empty bytes when nothing was added. */
struct str index_chunk_writer_take(struct index_chunk_writer *writer, uint64_t number);

/* A chunk as it is read; points into its bytes. What is on disk is not trusted: wrong bytes are
 * refused here or by index_chunk_ids, and nothing outside them is read. Whether keys are in order
 * is for the reader to see. */
struct index_chunk {
    const unsigned char *keys;
    const unsigned char *ends;
    const unsigned char *ids;
    size_t key_count;
    size_t id_bytes;
};

/* The checksum that a chunk's bytes should have; 0 for fewer than a head's. */
uint32_t index_chunk_checksum(struct str bytes, uint64_t number);

/* Checks version, checksum and lengths; false when the bytes are no chunk of this run. */
bool index_chunk_open(struct index_chunk *chunk, struct str bytes, uint64_t number);

/* The n-th key, from 0 to key_count - 1. */
struct series_hash index_chunk_key(const struct index_chunk *chunk, size_t n);

/* The first one that is not less; key_count when all are. */
size_t index_chunk_find(const struct index_chunk *chunk, struct series_hash key);

/* The ids of the n-th key, growing; `out` takes INDEX_CHUNK_IDS_MAX. False: they cannot be read. */
bool index_chunk_ids(const struct index_chunk *chunk, size_t n, uint32_t *out, size_t *count);
