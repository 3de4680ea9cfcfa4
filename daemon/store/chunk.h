/* The chunk codec: minute cells of many series, sorted, in one value of a run.
 *
 * A chunk fills one page of LMDB's (CHUNK_BYTES_MAX: a value of an overflow page), unless one cell
 * alone is larger. Cells are in the order of chunk_order and everything of them comes back to the
 * bit. A plain cell of one sample takes at most 16 bytes when its neighbours are near.
 *
 * [the helper who writes chunk.c: the stored form, byte by byte, stands here] */
#pragma once

#include "base/arena.h"
#include "series/cell.h"

enum {
    CHUNK_BYTES_MAX = 4080, /* a page less LMDB's header */
    MINUTES_PER_QUARTER = 15,
};

/* A cell of a run. The order is that of folding: by quarter of an hour, then series, then minute,
 * so that all of a series' minutes that go into one block stand together. */
struct run_cell {
    uint32_t id;
    int64_t minute;
    struct cell cell;
};

/* Floored, also before 1970. */
int64_t quarter_of_minute(int64_t minute);

/* < 0, 0, > 0. Two cells of one run never have 0. */
int chunk_order(uint32_t id, int64_t minute, uint32_t other_id, int64_t other_minute);

/* Builds one chunk after the other. */
struct chunk_writer;

struct chunk_writer *chunk_writer_new(void);
void chunk_writer_free(struct chunk_writer *writer); /* NULL is fine */

/* False, and nothing is added, when the chunk is full: take it and add the cell again. Cells come
 * in growing order; the cell is borrowed for the call and holds something. */
bool chunk_writer_add(struct chunk_writer *writer, uint32_t id, int64_t minute,
                      const struct cell *cell);

/* The chunk's bytes, borrowed until the next call, and its first cell's place; the writer is empty
 * again. Empty bytes when nothing was added. `seed` is the run's number: a chunk cannot pass for
 * one of another run. */
struct str chunk_writer_take(struct chunk_writer *writer, uint64_t seed, uint32_t *first_id,
                             int64_t *first_minute);

/* Reads a chunk cell by cell. Bytes on disk are not trusted: every length is checked. */
struct chunk_reader {
    struct str bytes;
    size_t at;
    /* [what decoding needs] */
};

/* Checks version and checksum; false when the bytes are no chunk of this run. */
bool chunk_reader_init(struct chunk_reader *reader, struct str bytes, uint64_t seed);

/* The next cell into `out`, whose cell the caller finishes. False at the end, with `*corrupt` set
 * when it is not one. */
bool chunk_reader_next(struct chunk_reader *reader, struct run_cell *out, bool *corrupt);

/* Moves forward so that the next cell is the first one at or after the place: quicker than reading
 * cells one by one. Nothing is read when none is. */
bool chunk_reader_seek(struct chunk_reader *reader, uint32_t id, int64_t minute, bool *corrupt);
