/* The chunk codec: minute cells of many series, sorted, in one value of a run. Private to store/.
 *
 * A chunk fills one page of LMDB's (CHUNK_BYTES_MAX: a value of an overflow page), unless one cell
 * alone is larger. Cells are in the order of chunk_order and everything of them comes back to the
 * bit. A plain cell of one sample takes at most 16 bytes when its neighbours are near: 14 with any
 * double and an arrival within 65 ms of its time, 8 with a short number.
 *
 *   u8      version (1)
 *   u16     cells
 *   i64     quarter of the first cell
 *   cells   one after the other
 *   u16     where the 17th, 33rd, ... cell begins in the chunk: those say their place in full
 *   u32     the low half of XXH3-64 of all before, seeded with the run's number
 *
 * a cell:
 *   u8      bits 0-1 shape: 0 one sample, 1 one sample with a count, 2 many samples, 3 more
 *           bits 2-3 form of first_arrival
 *           bits 4-6 form of min
 *           bit 7    form of first_at
 *   u8      bits 0-3 minute within its quarter, bits 4-7 id less the one before, 15: see below
 *           varint  if these are 15: id less the one before, less 15
 *   or u8   bits 0-3 15, bits 4-7 minute within its quarter; then the place in full:
 *           varint  quarter less that of the first cell
 *           varint  id
 *   u8      if the shape is 3: bits 0-1 shape of the aggregate (3: it is empty, and not there),
 *           4 has a sketch of uniques, 8 counts its values, 16 bytes of these follow
 *   time    first_at less the start of the minute
 *   arrival first_arrival less 1000 first_at
 *   number  min
 *   the rest of the aggregate if the shape is 1:
 *   count   count; the sum is the product of min and count, and what rounding lost
 *   the rest of the aggregate if the shape is 2:
 *   u8      bits 0-1 first: 0 a number, 1 min, 2 max; bits 2-3 last: 0 a number, 1 min, 2 max,
 *           3 first; bits 4-5 form of last_arrival, bit 6 form of last_at, bit 7 max is min
 *   u8      bits 0-2 form of max, bits 3-5 form of sum, bit 6 whether sum_low is there
 *   u8      if first or last is a number: bits 0-2 form of first, bits 3-5 form of last
 *   count   count
 *   time    last_at less first_at
 *   arrival last_arrival less 1000 last_at
 *   number  max, first, last, sum: those that are there
 *   f64     sum_low, if it is there; else it is 0 or the product's
 *   if the shape is 3 and there is a sketch or a histogram (it counts its values, and min < max):
 *   varint  bytes that follow
 *           distinct_encode, histogram_encode: what there is of them
 *
 *   number  by its form. 0: zero, no bytes. 1, 2, 3: the double's highest 2, 3, 4 bytes, the others
 *           are 0. 4: all 8. 5: i24, hundredths. 6: i32, thousandths. 7 (sum only): no bytes, the
 *           product of min and count, and what rounding lost
 *   time    0: u16. 1: i64
 *   arrival 0: u16. 1: i32. 2: the arrival itself, u64. 3: the arrival itself is 0, no bytes
 *   count   varint: whole, and its lowest bit set if a fraction follows; u16 fraction
 *   varint  7 bits a byte, the lowest first, bit 7 set if more follow */
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
static inline int64_t quarter_of_minute(int64_t minute)
{
    return minute / MINUTES_PER_QUARTER - (minute % MINUTES_PER_QUARTER < 0 ? 1 : 0);
}

/* < 0, 0, > 0. Two cells of one run never have 0. */
int chunk_order(uint32_t id, int64_t minute, uint32_t other_id, int64_t other_minute);

/* A place as one number that has the order of places. */
typedef unsigned __int128 chunk_place;
chunk_place chunk_place_of(uint32_t id, int64_t minute);

/* Builds one chunk after the other. */
struct chunk_writer;

struct chunk_writer *chunk_writer_new(void);
void chunk_writer_free(struct chunk_writer *writer); /* NULL is fine */

/* False, and nothing is added, when the chunk is full: take it and add the cell again. Cells come
 * in growing order; the cell is borrowed for the call and holds something. */
bool chunk_writer_add(struct chunk_writer *writer, uint32_t id, int64_t minute,
                      const struct cell *cell);

/* One plain sample as it is stored but for its place, which any chunk takes as it is. Most cells
 * are that until runs are merged. */
struct chunk_sample {
    uint8_t len; /* 0: there is none */
    uint8_t tag;
    unsigned char bytes[24]; /* whatever of them counts */
};

void chunk_sample_of(double value, int64_t minute, wall_ms at, uint64_t arrival,
                     struct chunk_sample *out);

/* As chunk_writer_add. */
bool chunk_writer_add_sample(struct chunk_writer *writer, uint32_t id, int64_t minute,
                             const struct chunk_sample *sample);

/* Merges it into a cell of its minute. */
void chunk_sample_merge(const struct chunk_sample *sample, int64_t minute, struct cell *into);

/* How many bytes its cells take so far; 0: there is none. */
size_t chunk_writer_len(const struct chunk_writer *writer);

/* The chunk's bytes, borrowed until the next call, and its first cell's place; the writer is empty
 * again. Empty bytes when nothing was added. `seed` is the run's number: a chunk cannot pass for
 * one of another run. */
struct str chunk_writer_take(struct chunk_writer *writer, uint64_t seed, uint32_t *first_id,
                             int64_t *first_minute);

/* A chunk of another run, of at most CHUNK_BYTES_MAX, as one of the run `seed`: borrowed until the
 * next call. The writer is empty. */
struct str chunk_writer_adopt(struct chunk_writer *writer, struct str chunk, uint64_t seed);

/* Reads a chunk cell by cell. Bytes on disk are not trusted: every length is checked, and what is
 * read is a sound cell: finite numbers, first and last between min and max and in the order of
 * time, places in growing order. */
struct chunk_reader {
    struct str bytes;
    size_t at;             /* where the next cell begins */
    size_t end;            /* of the cells */
    uint32_t count, index; /* of all cells; of the next one */
    int64_t first_quarter;
    int64_t quarter; /* the place of the last cell that was read or passed; before all of them */
    uint32_t id;
    unsigned minute; /* within its quarter */
};

/* Checks version and checksum; false when the bytes are no chunk of this run. */
bool chunk_reader_init(struct chunk_reader *reader, struct str bytes, uint64_t seed);

/* The next cell into `out`, whose cell the caller finishes. False at the end, with `*corrupt` set
 * when it is not one. */
bool chunk_reader_next(struct chunk_reader *reader, struct run_cell *out, bool *corrupt);

/* The same for who moves cells: one plain sample goes into `sample` and `out` has its place alone;
 * else there is no sample. */
bool chunk_reader_take(struct chunk_reader *reader, struct run_cell *out,
                       struct chunk_sample *sample, bool *corrupt);

/* The place of the last cell that was read or passed. */
chunk_place chunk_reader_place(const struct chunk_reader *reader);

/* The place of its last cell, if that is before `end`; the reader stays where it is. False when it
 * is not, or when it cannot be told: who reads the cells finds out. Of cells that are not the last
 * few nothing is looked at. */
bool chunk_reader_last(const struct chunk_reader *reader, chunk_place end, uint32_t *id,
                       int64_t *minute);

/* Least and greatest minute of the last cell that was read and of all after it; the reader stays
 * where it is. False as above. */
bool chunk_reader_minutes(const struct chunk_reader *reader, int64_t *min, int64_t *max);

/* Moves forward so that the next cell is the first one at or after the place: quicker than reading
 * cells one by one. False at the end: there is none, with `*corrupt` set when it is not one. */
bool chunk_reader_seek(struct chunk_reader *reader, uint32_t id, int64_t minute, bool *corrupt);
