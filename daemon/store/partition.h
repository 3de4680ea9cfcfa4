/* Partitions: compressed blocks of one level over a span of time. Private to store/.
 *
 * key: u32 number, u32 id, u8 part -> block (store/block.h). Written by one partition_writer over
 * one or more transactions and appended; until parts_add_partition lists it, nobody reads it. A
 * series has one or more parts, in the order of time. Frame: origin is the partition's `from`,
 * width that of the level's bucket, seed number << 32 | id. */
#pragma once

#include "series/cell.h"
#include "store/block.h"
#include "store/parts.h"

/* What LMDB's pages like best, measured by tests/bench/bench_block. */
enum { PARTITION_BLOCK_BYTES = 660, PARTITION_PARTS_MAX = 256 };

/* Of one series: more than a window of any level has. */
enum { PARTITION_POINTS_MAX = 65536 };

/* A cell as a point of a block and back. The sketch of a point is empty for a plain cell; else u8
 * flags (1 distinct, 2 histogram, 4 counts its values) and the encodings, here in the arena. */
void partition_point_of(const struct cell *cell, int64_t bucket, struct arena *arena,
                        struct block_point *out);

/* False, and `out` is empty, when the sketch is none of this point. The caller calls cell_fini. */
bool partition_cell_of(const struct block_point *point, struct cell *out);

/* Of the blocks of a series. */
struct block_frame partition_frame(const struct partition *partition, uint32_t id);

struct partition_writer {
    struct partition partition; /* series, points and bytes grow with what is added */
    struct arena scratch;
    struct buf block;
};

/* Of `facts` level, calendar, number, from and to are used. */
void partition_writer_init(struct partition_writer *writer, const struct partition *facts);
void partition_writer_fini(struct partition_writer *writer);

/* All points of one series, one or more in growing order within the partition's buckets; ids grow
 * from call to call. Arrivals are dropped. ERROR_INVALID for points that no block takes, and for
 * more than PARTITION_POINTS_MAX. */
bool partition_writer_add(struct partition_writer *writer, struct write_txn *txn, uint32_t id,
                          const struct block_points *points, struct error *err);

/* Reads a partition series by series. Borrows the transaction; what it reads is valid until that
 * ends or writes to the database. partition_cursor_fini frees it in any state. */
struct partition_cursor {
    const struct read_txn *txn;
    MDB_cursor *cursor;
    struct partition partition;
    uint32_t id; /* the series it stands on; 0: none */
    /* the row that LMDB's cursor stands on: maybe another part, or the series after */
    uint32_t at_id; /* 0: no row of the partition */
    unsigned at_part;
    MDB_val value;
};

bool partition_cursor_init(struct partition_cursor *cursor, const struct read_txn *txn,
                           const struct partition *partition, struct error *err);
void partition_cursor_fini(struct partition_cursor *cursor);

/* To the first series with this id or a greater one; `id` 0 afterwards: none. */
bool partition_cursor_seek(struct partition_cursor *cursor, uint32_t id, struct error *err);
bool partition_cursor_next(struct partition_cursor *cursor, struct error *err);

/* The points of the series it stands on within buckets [from, to), in order, in the arena (sketches
 * point into LMDB's page); parts outside are not decoded. ERROR_CORRUPT for what is no block. Does
 * not move to another series, and may be called again. */
bool partition_cursor_points(struct partition_cursor *cursor, int64_t from, int64_t to,
                             struct arena *arena, struct block_points *out, struct error *err);

/* Merges the cells of the series it stands on within [range[0], range[1]) into one: quicker.
 * `*newest` grows to the newest last_at. After a failure `into` holds some of them. `scratch` grows
 * until the caller resets it. */
bool partition_cursor_merge(struct partition_cursor *cursor, const int64_t range[2],
                            struct arena *scratch, struct cell *into, wall_ms *newest,
                            struct error *err);
