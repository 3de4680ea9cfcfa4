/* Chunks of the index as they come from disk: any bytes are refused, or read as pairs that, when
 * they are in order, are written again and read as the same. Each input is tried as it is, and with
 * the checksum that it should have, without which next to nothing would get past it. */
#include <stdlib.h>
#include <string.h>

#include "store/index_chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NUMBER = 7, CHECKSUM_AT = 1 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What index_chunk_add_ids gathers, in whatever range and for whatever part of the chunk. */
static bool gather(const struct index_chunk *chunk, size_t from, uint32_t first)
{
    struct id_set set;

    id_set_init(&set, first, first + 1000);
    bool ok = index_chunk_add_ids(chunk, from, chunk->key_count, &set);
    require(!ok || chunk->ends != NULL || first != index_chunk_first_id(chunk, from) ||
            id_set_has(&set, first));
    id_set_fini(&set);
    return ok;
}

/* Adds all pairs to the writer; false when they are not what a writer is given. */
static bool write_again(const struct index_chunk *chunk, struct index_chunk_writer *writer)
{
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    struct index_place place;
    struct index_place found;
    size_t count = 0;

    (void)gather(chunk, chunk->key_count / 2, 1);
    if (!index_chunk_first(chunk, &place))
        return false;
    for (;;) {
        size_t n = place.n;
        if (!index_chunk_ids(chunk, n, ids, &count))
            return false;
        require(count > 0 && count <= INDEX_CHUNK_IDS_MAX && ids[0] > 0);
        require(ids[0] == index_chunk_first_id(chunk, n));
        for (size_t i = 0; i < count; i++) {
            require(i == 0 || ids[i] > ids[i - 1]);
            /* What is on disk may be longer than it has to be, never shorter. */
            require(index_chunk_writer_add(writer, place.key, ids[i]));
        }
        require(gather(chunk, n, ids[0]) || n + 1 < chunk->key_count);
        if (n + 1 == chunk->key_count)
            break;
        if (!index_chunk_next(chunk, &place))
            return false;
        require(index_chunk_find(chunk, place.key, &found) || !chunk->has_texts);
    }
    require(index_chunk_find(chunk, place.key, &found) && found.n == place.n);
    return true;
}

static void try_chunk(struct str bytes)
{
    static struct index_chunk_writer writer;
    static struct index_chunk_writer other;
    struct index_chunk chunk;
    struct index_chunk same;

    memset(&writer, 0, sizeof writer);
    memset(&other, 0, sizeof other);
    if (!index_chunk_open(&chunk, bytes, NUMBER) || !write_again(&chunk, &writer))
        return;
    struct str again = index_chunk_writer_take(&writer, NUMBER);
    require(again.len <= bytes.len && index_chunk_open(&same, again, NUMBER));
    require(same.key_count == chunk.key_count && write_again(&same, &other));
    require(str_equal(index_chunk_writer_take(&other, NUMBER), again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char signed_bytes[INDEX_CHUNK_BYTES_MAX + 1];
    struct str bytes = {(const char *)data, size};

    try_chunk(bytes);
    if (size < INDEX_CHUNK_HEAD || size > sizeof signed_bytes)
        return 0;
    memcpy(signed_bytes, data, size);
    bytes.text = signed_bytes;
    uint32_t sum = index_chunk_checksum(bytes, NUMBER);
    for (size_t i = 0; i < sizeof sum; i++)
        signed_bytes[CHECKSUM_AT + i] = (char)(sum >> (8 * i));
    try_chunk(bytes);
    return 0;
}
