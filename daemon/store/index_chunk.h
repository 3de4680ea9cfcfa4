/* The chunk codec of the index: sorted (key, id) pairs in one value of an index run.
 *
 * A key is a hash and, for the values of a label, a text (store/index.h). Keys with texts and those
 * without stand in chunks of their own.
 *
 *   chunk  = u8 version (2), u32 checksum, u16 n, u8 form, keys, firsts, ends, more
 *                                                                          at most 4,080 bytes
 *   form   = bits 0 to 2: bytes of a first id, 1 to 4; bit 3: keys have texts; bit 4: some have
 *            more than one id
 *   keys   = n hashes of 16 bytes, big-endian, growing. With texts: u16 bytes of what follows, and
 *            for each key u8 how many bytes it has in common with the one before, u8 how many
 *            follow, and these: of its hash and then its text
 *   firsts = the first id of each key
 *   ends   = with bit 4 only, u16 for each key: where its ids in `more` end
 *   more   = the ids after the first: varints (7 bits a byte, the low ones first), by how much each
 *            is greater than the one before it
 *
 * The checksum is the low half of XXH3-64 of what follows it, seeded with the run's number, so that
 * a chunk cannot pass for one of another run. A key whose ids do not fit goes on in the next chunk,
 * as its first. Hashes have one size so that one is found without decoding the others; first ids
 * have one so that those of many values are gathered without looking at what the values are. */
#pragma once

#include "series/series_key.h"

enum {
    INDEX_HASH_SIZE = 16,
    INDEX_TEXT_MAX = 81,
    INDEX_KEY_MAX = INDEX_HASH_SIZE + INDEX_TEXT_MAX,
    INDEX_CHUNK_BYTES_MAX = 4080, /* a page less LMDB's header */
    INDEX_CHUNK_HEAD = 8,
    INDEX_CHUNK_KEYS_MAX = (INDEX_CHUNK_BYTES_MAX - INDEX_CHUNK_HEAD) / 4, /* of a text's end */
    INDEX_CHUNK_IDS_MAX = INDEX_CHUNK_BYTES_MAX, /* of a key: more than one chunk can hold */
};

struct index_key {
    struct series_hash hash;
    struct str text; /* borrowed; empty, or 1 to INDEX_TEXT_MAX bytes */
};

/* < 0, 0, > 0. */
static inline int index_hash_order(struct series_hash a, struct series_hash b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    if (a.low != b.low)
        return a.low < b.low ? -1 : 1;
    return 0;
}

/* By hash, then by the bytes of the text. */
static inline int index_key_order(struct index_key a, struct index_key b)
{
    int order = index_hash_order(a.hash, b.hash);
    return order != 0 ? order : str_compare(a.text, b.text);
}

/* Builds one chunk after the other. Start from zeros. */
struct index_chunk_writer {
    struct index_key first_key; /* its text is in `keys` */
    uint32_t first_id, last_id;
    size_t key_count; /* 0: the chunk is empty */
    bool has_texts;
    struct series_hash last_hash;
    size_t last_len;    /* of the last key's bytes */
    uint32_t max_first; /* says how wide first ids are */
    size_t key_bytes;
    size_t more_bytes;
    uint32_t firsts[INDEX_CHUNK_KEYS_MAX];
    uint16_t ends[INDEX_CHUNK_KEYS_MAX];
    unsigned char last_key[INDEX_KEY_MAX]; /* with texts only */
    unsigned char keys[INDEX_CHUNK_BYTES_MAX];
    unsigned char more[INDEX_CHUNK_BYTES_MAX];
    char bytes[INDEX_CHUNK_BYTES_MAX];
};

/* False, and nothing is added, when the chunk is full: take it and add again. Pairs come in growing
 * order of (key, id). */
bool index_chunk_writer_add(struct index_chunk_writer *writer, struct index_key key, uint32_t id);

/* The chunk's bytes, borrowed until the next call; the writer is empty again, but its first key and
 * id still tell the chunk's. Empty bytes when nothing was added. */
struct str index_chunk_writer_take(struct index_chunk_writer *writer, uint64_t number);

/* A chunk as it is read; points into its bytes. What is on disk is not trusted: wrong bytes are
 * refused here or by who reads a key or ids, and nothing outside them is read. */
struct index_chunk {
    const unsigned char *keys;
    const unsigned char *firsts;
    const unsigned char *ends; /* NULL: all keys have one id */
    const unsigned char *more;
    size_t key_count;
    size_t key_bytes;
    size_t more_bytes;
    unsigned first_size;
    bool has_texts;
};

/* The checksum that a chunk's bytes should have; 0 for fewer than a head's. */
uint32_t index_chunk_checksum(struct str bytes, uint64_t number);

/* Checks version, checksum and lengths; false when the bytes are no chunk of this run. */
bool index_chunk_open(struct index_chunk *chunk, struct str bytes, uint64_t number);

/* Which key of a chunk one stands at. */
struct index_place {
    size_t n;             /* key_count: after the last one, and the rest means nothing */
    struct index_key key; /* its text is in `bytes` */
    size_t next;          /* where the next key's bytes are; with texts only */
    size_t len;
    unsigned char bytes[INDEX_KEY_MAX];
};

/* To the first key, to the next one (there has to be one), and to the first that is not less than
 * `key`. False: the keys cannot be read, or do not grow. */
bool index_chunk_first(const struct index_chunk *chunk, struct index_place *place);
bool index_chunk_next(const struct index_chunk *chunk, struct index_place *place);
bool index_chunk_find(const struct index_chunk *chunk, struct index_key key,
                      struct index_place *place);

/* The first id of the n-th key. */
uint32_t index_chunk_first_id(const struct index_chunk *chunk, size_t n);

/* The ids of the n-th key, growing; `out` takes INDEX_CHUNK_IDS_MAX. False: they cannot be read. */
bool index_chunk_ids(const struct index_chunk *chunk, size_t n, uint32_t *out, size_t *count);

/* --- many ids at once --- */

/* Ids from `first` on, a bit for each. */
struct id_set {
    uint64_t *words; /* owned */
    uint32_t first;
    uint32_t count;
};

/* All that are between the two, of which none is in it; `last` is not less than `first`. */
void id_set_init(struct id_set *set, uint32_t first, uint32_t last);
void id_set_fini(struct id_set *set);

/* One that is outside is not taken. */
static inline void id_set_add(struct id_set *set, uint32_t id)
{
    uint32_t bit = id - set->first;
    if (bit < set->count)
        set->words[bit / 64] |= UINT64_C(1) << bit % 64;
}

static inline bool id_set_has(const struct id_set *set, uint32_t id)
{
    uint32_t bit = id - set->first;
    return bit < set->count && (set->words[bit / 64] >> bit % 64 & 1) != 0;
}

/* Adds the ids of the keys from the n-th on up to, without it, `end`. False: they cannot be read.
 */
bool index_chunk_add_ids(const struct index_chunk *chunk, size_t n, size_t end, struct id_set *out);
