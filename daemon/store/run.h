/* Runs: sorted lists of minute cells, in chunks, appended and never changed. Private to store/.
 *
 * key: u64 number, i64 quarter, u32 id, u8 minute within the quarter -> chunk (store/chunk.h); the
 * last three are the place of its first cell, so keys differ though a series' quarter be split.
 *
 * A run is written by one run_writer, over one or more transactions; until parts_add_run lists it,
 * nobody reads it. Cells are in the order of chunk_order (store/chunk.h), each place once. */
#pragma once

#include "store/chunk.h"
#include "store/parts.h"

struct run_writer {
    enum database database; /* DATABASE_JOURNAL or DATABASE_RUN */
    struct run run;         /* number set by run_writer_init; the rest grows with what is added */
    struct chunk_writer *chunk;
    uint64_t chunks, filled; /* that were written, and what they use of CHUNK_BYTES_MAX each */
    uint32_t last_id;        /* the newest place, while `run.cells` is not 0 */
    int64_t last_minute;
};

/* `tier` 0 writes to the journal. Run_writer_fini frees it in any state. */
void run_writer_init(struct run_writer *writer, unsigned tier, uint64_t number);
void run_writer_fini(struct run_writer *writer);

/* Appends; the cell is borrowed for the call. */
bool run_writer_add(struct run_writer *writer, struct write_txn *txn, uint32_t id, int64_t minute,
                    const struct cell *cell, struct error *err);

/* The same of one plain sample. */
bool run_writer_add_sample(struct run_writer *writer, struct write_txn *txn, uint32_t id,
                           int64_t minute, const struct chunk_sample *sample, struct error *err);

/* Writes the chunk that is not full yet: at the end, and before each commit on the way. */
bool run_writer_flush(struct run_writer *writer, struct write_txn *txn, struct error *err);

/* Reads a run forwards. Borrows the transaction; valid until it ends or writes to the database. */
struct run_cursor {
    const struct read_txn *txn;
    MDB_cursor *cursor;
    enum database database;
    uint64_t number;
    int64_t min_minute, max_minute; /* as its record says */
    struct chunk_reader chunk;
    bool has_chunk;
    bool has_cell;
    chunk_place place;    /* of the current cell */
    struct run_cell cell; /* the current one, while `has_cell`: the cursor's */
    bool moves;           /* of run_merge_to alone: plain samples are not read but taken */
    struct chunk_sample sample;
};

/* Stands nowhere. run_cursor_fini frees it in any state. */
bool run_cursor_init(struct run_cursor *cursor, const struct read_txn *txn, const struct run *run,
                     struct error *err);
void run_cursor_fini(struct run_cursor *cursor);

/* To the first cell at or after the place: the smallest one of a quarter is (id 0, its first
 * minute). Forwards it looks in the chunk where it stands first. `has_cell` false: there is none.
 * False is an error: LMDB's, or ERROR_CORRUPT. */
bool run_cursor_seek(struct run_cursor *cursor, uint32_t id, int64_t minute, struct error *err);
bool run_cursor_next(struct run_cursor *cursor, struct error *err);
bool run_cursor_first(struct run_cursor *cursor, struct error *err);

/* Many runs as one: the merge of all cells of one place. */
struct run_merge;

/* Only cells of minutes `from` to before `to`. Stands before the first place. */
struct run_merge *run_merge_new(const struct read_txn *txn, const struct run *runs, size_t count,
                                int64_t from, int64_t to, struct error *err);
void run_merge_free(struct run_merge *merge); /* NULL is fine */

/* To the first place at or after; then run_merge_next for that and each later one. After a write to
 * the database or a commit in between: a new merge, and a seek to where the last one was. */
bool run_merge_seek(struct run_merge *merge, uint32_t id, int64_t minute, struct error *err);

/* The same for run_merge_to alone. */
struct run_merge *run_merge_new_moving(const struct read_txn *txn, const struct run *runs,
                                       size_t count, int64_t from, struct error *err);

/* To the first place after. */
bool run_merge_seek_after(struct run_merge *merge, uint32_t id, int64_t minute, struct error *err);

/* Whether there is no place any more where it stands. */
bool run_merge_is_over(const struct run_merge *merge);

/* Appends the merged cells of the next places, of which there is one, to another run: up to `most`
 * of them and of one chunk of a run alone, or all of a chunk that goes from run to run as it is. Of
 * that one only where it ends is looked at, and its checksum: a cell that is not sound in spite of
 * it is found by who reads the new run. */
bool run_merge_to(struct run_merge *merge, struct run_writer *writer, struct write_txn *txn,
                  size_t most, struct error *err);

/* The merged cell of the next place into `out` (the caller finishes its cell). `*found` false: the
 * end. */
bool run_merge_next(struct run_merge *merge, struct run_cell *out, bool *found, struct error *err);
