#include "store/run.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"

enum { KEY_BYTES = 8 + 8 + 4 + 1 };

static enum database database_of(unsigned tier)
{
    return tier == 0 ? DATABASE_JOURNAL : DATABASE_RUN;
}

static struct schema_key key_of(uint64_t number, uint32_t id, int64_t minute)
{
    struct schema_key key;
    int64_t quarter = quarter_of_minute(minute);

    key.len = 0;
    schema_put_u64(&key, number);
    schema_put_i64(&key, quarter);
    schema_put_u32(&key, id);
    schema_put_u8(&key, (uint8_t)((uint64_t)minute - (uint64_t)quarter * MINUTES_PER_QUARTER));
    return key;
}

/* --- writing -----------------------------------------------------------------------------------
 */

void run_writer_init(struct run_writer *writer, unsigned tier, uint64_t number)
{
    *writer = (struct run_writer){
        .database = database_of(tier),
        .run = {.tier = tier, .number = number, .min_minute = INT64_MAX, .max_minute = INT64_MIN},
        .chunk = chunk_writer_new(),
    };
}

void run_writer_fini(struct run_writer *writer)
{
    chunk_writer_free(writer->chunk);
    writer->chunk = NULL;
}

/* How much a chunk uses of its page. One that is larger is no reason for small ones. */
static size_t filled_by(size_t len)
{
    return len < CHUNK_BYTES_MAX ? len : CHUNK_BYTES_MAX;
}

static bool put_chunk(struct run_writer *writer, struct write_txn *txn, uint32_t id, int64_t minute,
                      struct str bytes, struct error *err)
{
    struct schema_key key = key_of(writer->run.number, id, minute);
    MDB_val name = store_key(&key);
    MDB_val value = store_value(bytes);
    writer->run.bytes += bytes.len;
    writer->filled += filled_by(bytes.len);
    writer->chunks++;

    /* At the end, which is where it belongs unless another run with a greater number is there. */
    int rc = mdb_put(txn->reader.txn, txn->reader.store->databases[writer->database], &name, &value,
                     MDB_APPEND);
    if (rc != 0)
        return store_put(txn, writer->database, store_key(&key), bytes, 0, err);
    txn->wrote = true;
    return true;
}

bool run_writer_flush(struct run_writer *writer, struct write_txn *txn, struct error *err)
{
    uint32_t id = 0;
    int64_t minute = 0;
    struct str bytes = chunk_writer_take(writer->chunk, writer->run.number, &id, &minute);

    return bytes.len == 0 || put_chunk(writer, txn, id, minute, bytes, err);
}

static void note_minutes(struct run *run, int64_t min, int64_t max)
{
    run->min_minute = min < run->min_minute ? min : run->min_minute;
    run->max_minute = max > run->max_minute ? max : run->max_minute;
}

static void note_added(struct run_writer *writer, uint32_t id, int64_t minute)
{
    writer->last_id = id;
    writer->last_minute = minute;
    writer->run.cells++;
    note_minutes(&writer->run, minute, minute);
}

bool run_writer_add(struct run_writer *writer, struct write_txn *txn, uint32_t id, int64_t minute,
                    const struct cell *cell, struct error *err)
{
    if (!chunk_writer_add(writer->chunk, id, minute, cell)) {
        if (!run_writer_flush(writer, txn, err))
            return false;
        (void)chunk_writer_add(writer->chunk, id, minute, cell); /* an empty one takes any cell */
    }
    note_added(writer, id, minute);
    return true;
}

bool run_writer_add_sample(struct run_writer *writer, struct write_txn *txn, uint32_t id,
                           int64_t minute, const struct chunk_sample *sample, struct error *err)
{
    if (!chunk_writer_add_sample(writer->chunk, id, minute, sample)) {
        if (!run_writer_flush(writer, txn, err))
            return false;
        (void)chunk_writer_add_sample(writer->chunk, id, minute, sample); /* the same */
    }
    note_added(writer, id, minute);
    return true;
}

/* --- reading -----------------------------------------------------------------------------------
 */

bool run_cursor_init(struct run_cursor *cursor, const struct read_txn *txn, const struct run *run,
                     struct error *err)
{
    *cursor = (struct run_cursor){.txn = txn,
                                  .database = database_of(run->tier),
                                  .number = run->number,
                                  .min_minute = run->min_minute,
                                  .max_minute = run->max_minute};
    int rc = mdb_cursor_open(txn->txn, txn->store->databases[cursor->database], &cursor->cursor);
    if (rc != 0) {
        cursor->cursor = NULL;
        return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
    }
    return true;
}

static void drop_cell(struct run_cursor *cursor)
{
    struct cell *cell = &cursor->cell.cell;

    if (cursor->has_cell && (cell->distinct != NULL || cell->histogram != NULL))
        cell_fini(cell);
    cursor->has_cell = false;
}

void run_cursor_fini(struct run_cursor *cursor)
{
    drop_cell(cursor);
    if (cursor->cursor != NULL)
        mdb_cursor_close(cursor->cursor);
    cursor->cursor = NULL;
}

static bool is_corrupt(const struct run_cursor *cursor, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "run %llu in data directory '%s' is damaged",
                     (unsigned long long)cursor->number, cursor->txn->store->path);
}

/* Where LMDB's cursor stands. */
struct entry {
    bool found; /* and it is one of this run */
    struct str key;
    struct str chunk;
};

static bool move(const struct run_cursor *cursor, MDB_cursor_op operation, const MDB_val *from,
                 struct entry *out, struct error *err)
{
    MDB_val key = from == NULL ? (MDB_val){0} : *from;
    MDB_val value = {0};

    *out = (struct entry){.found = false};
    int rc = mdb_cursor_get(cursor->cursor, &key, &value, operation);
    if (rc == MDB_NOTFOUND)
        return true;
    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", cursor->txn->store->path);
    struct schema_reader reader = schema_reader_of(store_bytes(&key));
    if (key.mv_size != KEY_BYTES)
        return is_corrupt(cursor, err);
    out->found = schema_get_u64(&reader) == cursor->number;
    out->key = store_bytes(&key);
    out->chunk = store_bytes(&value);
    return true;
}

static bool load(struct run_cursor *cursor, const struct entry *entry, struct error *err)
{
    cursor->has_chunk = entry->found;
    if (entry->found && !chunk_reader_init(&cursor->chunk, entry->chunk, cursor->number)) {
        cursor->has_chunk = false;
        return is_corrupt(cursor, err);
    }
    return true;
}

/* The chunk's next cell becomes the current one; none if the chunk is at its end. */
static bool take_cell(struct run_cursor *cursor, struct error *err)
{
    bool corrupt = false;

    if (cursor->moves)
        cursor->has_cell =
            chunk_reader_take(&cursor->chunk, &cursor->cell, &cursor->sample, &corrupt);
    else
        cursor->has_cell = chunk_reader_next(&cursor->chunk, &cursor->cell, &corrupt);
    if (cursor->has_cell)
        cursor->place = chunk_reader_place(&cursor->chunk);
    return !corrupt || is_corrupt(cursor, err);
}

/* The chunk's first cell at or after the place becomes the current one, if there is one. */
static bool seek_in_chunk(struct run_cursor *cursor, uint32_t id, int64_t minute, struct error *err)
{
    bool corrupt = false;

    if (chunk_reader_seek(&cursor->chunk, id, minute, &corrupt))
        return take_cell(cursor, err);
    return !corrupt || is_corrupt(cursor, err);
}

/* The first cell of an entry's chunk, if it is of this run. A chunk that stands under another one's
 * key is sound in itself; its first cell gives it away. */
static bool begin_chunk(struct run_cursor *cursor, const struct entry *entry, struct error *err)
{
    if (!load(cursor, entry, err) || (cursor->has_chunk && !take_cell(cursor, err)))
        return false;
    if (!cursor->has_cell)
        return true;
    const struct schema_key key = key_of(cursor->number, cursor->cell.id, cursor->cell.minute);
    return str_equal(entry->key, (struct str){(const char *)key.bytes, key.len}) ||
           is_corrupt(cursor, err);
}

/* The chunk that holds the place is the last one that begins at or before it. */
static bool look_up(struct run_cursor *cursor, uint32_t id, int64_t minute, struct error *err)
{
    const struct schema_key key = key_of(cursor->number, id, minute);
    const MDB_val wanted = store_key(&key);
    struct entry after;
    struct entry entry;

    if (!move(cursor, MDB_SET_RANGE, &wanted, &after, err))
        return false;
    if (after.found && str_equal(after.key, store_bytes(&wanted)))
        return begin_chunk(cursor, &after, err);
    if (!move(cursor, after.key.len > 0 ? MDB_PREV : MDB_LAST, NULL, &entry, err))
        return false;
    if (entry.found) {
        if (!load(cursor, &entry, err) || !seek_in_chunk(cursor, id, minute, err))
            return false;
        if (cursor->has_cell || !after.found)
            return true;
    }
    /* None in there: it is the first one of the next chunk. */
    return move(cursor, MDB_SET_RANGE, &wanted, &after, err) && begin_chunk(cursor, &after, err);
}

/* From a chunk that ended before the place. */
static bool seek_further(struct run_cursor *cursor, uint32_t id, int64_t minute, struct error *err)
{
    const struct schema_key key = key_of(cursor->number, id, minute);
    struct entry next;

    if (!move(cursor, MDB_NEXT, NULL, &next, err))
        return false;
    if (!next.found || str_compare(next.key, (struct str){(const char *)key.bytes, key.len}) >= 0)
        return begin_chunk(cursor, &next, err);
    return look_up(cursor, id, minute, err);
}

bool run_cursor_seek(struct run_cursor *cursor, uint32_t id, int64_t minute, struct error *err)
{
    const chunk_place place = chunk_place_of(id, minute);

    if (cursor->has_cell && cursor->place == place)
        return true;
    bool is_forward = cursor->has_cell && cursor->place < place;
    drop_cell(cursor);
    if (!is_forward)
        return look_up(cursor, id, minute, err);
    if (!seek_in_chunk(cursor, id, minute, err))
        return false;
    return cursor->has_cell || seek_further(cursor, id, minute, err);
}

/* From the last cell of a chunk, or past all of it, to the first one of the next chunk. */
static bool next_chunk(struct run_cursor *cursor, chunk_place last, struct error *err)
{
    struct entry next;

    if (!move(cursor, MDB_NEXT, NULL, &next, err) || !begin_chunk(cursor, &next, err))
        return false;
    return !cursor->has_cell || cursor->place > last || is_corrupt(cursor, err);
}

bool run_cursor_next(struct run_cursor *cursor, struct error *err)
{
    if (!cursor->has_cell)
        return true;
    chunk_place before = cursor->place;
    drop_cell(cursor);
    if (!take_cell(cursor, err))
        return false;
    return cursor->has_cell || next_chunk(cursor, before, err);
}

bool run_cursor_first(struct run_cursor *cursor, struct error *err)
{
    return run_cursor_seek(cursor, 0, INT64_MIN, err);
}

/* --- merging -----------------------------------------------------------------------------------
 */

/* A cursor that stands on a cell: the place, and in the lowest bits, which places do not need, the
 * cursor's number. So those of one place are in the order of cursors. */
typedef unsigned __int128 merge_head;

enum { CURSOR_BITS = 24 };

static const uint32_t CURSOR_MASK = (UINT32_C(1) << CURSOR_BITS) - 1;

static merge_head head_of(chunk_place place, size_t cursor)
{
    uint32_t minute = (uint32_t)place; /* within its quarter: 4 bits */
    return place >> 32 << 32 | minute << CURSOR_BITS | cursor;
}

static bool is_one_place(merge_head a, merge_head b)
{
    return (a ^ b) <= CURSOR_MASK;
}

struct run_merge {
    struct run_cursor *cursors;
    size_t count;
    merge_head *heads; /* a heap: none is before the one at half its index */
    size_t head_count;
    int64_t from, to;
    bool has_begun;
};

void run_merge_free(struct run_merge *merge)
{
    if (merge == NULL)
        return;
    for (size_t i = 0; i < merge->count; i++)
        run_cursor_fini(&merge->cursors[i]);
    free(merge->cursors);
    free(merge->heads);
    free(merge);
}

struct run_merge *run_merge_new(const struct read_txn *txn, const struct run *runs, size_t count,
                                int64_t from, int64_t to, struct error *err)
{
    struct run_merge *merge = memory_zero(1, sizeof *merge);

    assert(count <= CURSOR_MASK);
    merge->from = from;
    merge->to = to;
    merge->cursors = memory_zero(count + 1, sizeof *merge->cursors);
    merge->heads = memory_zero(count + 1, sizeof *merge->heads);
    for (size_t i = 0; i < count; i++) {
        if (runs[i].max_minute < from || runs[i].min_minute >= to)
            continue;
        if (!run_cursor_init(&merge->cursors[merge->count], txn, &runs[i], err)) {
            run_merge_free(merge);
            return NULL;
        }
        merge->count++;
    }
    return merge;
}

static struct run_cursor *cursor_of(const struct run_merge *merge, merge_head head)
{
    return &merge->cursors[(uint32_t)head & CURSOR_MASK];
}

/* Puts `head` where it belongs at or below the free position. */
static void sift_down(struct run_merge *merge, size_t position, merge_head head)
{
    for (;;) {
        size_t child = 2 * position + 1;
        if (child >= merge->head_count)
            break;
        if (child + 1 < merge->head_count)
            child += merge->heads[child + 1] < merge->heads[child];
        if (head < merge->heads[child])
            break;
        merge->heads[position] = merge->heads[child];
        position = child;
    }
    merge->heads[position] = head;
}

/* From where the cursor stands to the first cell within the minutes; past the last quarter there
 * can be none any more. */
static bool skip_outside(const struct run_merge *merge, struct run_cursor *cursor,
                         struct error *err)
{
    int64_t last = quarter_of_minute(merge->to > INT64_MIN ? merge->to - 1 : merge->to);

    while (cursor->has_cell &&
           (cursor->cell.minute < merge->from || cursor->cell.minute >= merge->to)) {
        if (cursor->cell.minute >= merge->to && quarter_of_minute(cursor->cell.minute) > last) {
            drop_cell(cursor);
            return true;
        }
        if (!run_cursor_next(cursor, err))
            return false;
    }
    return true;
}

bool run_merge_seek(struct run_merge *merge, uint32_t id, int64_t minute, struct error *err)
{
    if (chunk_place_of(id, minute) < chunk_place_of(0, merge->from)) {
        id = 0;
        minute = merge->from;
    }
    merge->has_begun = true;
    merge->head_count = 0;
    for (size_t i = 0; i < merge->count; i++) {
        struct run_cursor *cursor = &merge->cursors[i];
        if (!run_cursor_seek(cursor, id, minute, err) || !skip_outside(merge, cursor, err))
            return false;
        if (cursor->has_cell)
            merge->heads[merge->head_count++] = head_of(cursor->place, i);
    }
    for (size_t i = merge->head_count / 2; i-- > 0;)
        sift_down(merge, i, merge->heads[i]);
    return true;
}

/* The first head's cursor has gone on. */
static void settle(struct run_merge *merge)
{
    merge_head head = merge->heads[0];
    const struct run_cursor *cursor = cursor_of(merge, head);

    if (cursor->has_cell)
        head = head_of(cursor->place, (uint32_t)head & CURSOR_MASK);
    else
        head = merge->heads[--merge->head_count];
    if (merge->head_count > 0)
        sift_down(merge, 0, head);
}

/* The first head's cursor goes on. */
static bool advance(struct run_merge *merge, struct error *err)
{
    struct run_cursor *cursor = cursor_of(merge, merge->heads[0]);

    if (!run_cursor_next(cursor, err) || !skip_outside(merge, cursor, err))
        return false;
    settle(merge);
    return true;
}

struct run_merge *run_merge_new_moving(const struct read_txn *txn, const struct run *runs,
                                       size_t count, int64_t from, struct error *err)
{
    struct run_merge *merge = run_merge_new(txn, runs, count, from, INT64_MAX, err);

    for (size_t i = 0; merge != NULL && i < merge->count; i++)
        merge->cursors[i].moves = true;
    return merge;
}

bool run_merge_seek_after(struct run_merge *merge, uint32_t id, int64_t minute, struct error *err)
{
    const merge_head head = head_of(chunk_place_of(id, minute), 0);

    if (!run_merge_seek(merge, id, minute, err))
        return false;
    while (merge->head_count > 0 && is_one_place(merge->heads[0], head)) {
        if (!advance(merge, err))
            return false;
    }
    return true;
}

bool run_merge_is_over(const struct run_merge *merge)
{
    return merge->has_begun && merge->head_count == 0;
}

static bool merge_to(struct run_merge *merge, struct run_writer *writer, struct write_txn *txn,
                     struct error *err)
{
    const merge_head first = merge->heads[0];
    const struct run_cursor *cursor = cursor_of(merge, first);
    uint32_t id = cursor->cell.id;
    int64_t minute = cursor->cell.minute;
    struct cell merged = CELL_EMPTY;
    bool ok = true;

    while (ok && merge->head_count > 0 && is_one_place(merge->heads[0], first)) {
        cursor = cursor_of(merge, merge->heads[0]);
        if (cursor->sample.len > 0)
            chunk_sample_merge(&cursor->sample, minute, &merged);
        else
            cell_merge(&merged, &cursor->cell.cell);
        ok = advance(merge, err);
    }
    ok = ok && run_writer_add(writer, txn, id, minute, &merged, err);
    cell_fini(&merged);
    return ok;
}

/* Whether a chunk of so many bytes is moved as it is, which cuts the one before it short. Both only
 * while the chunks of the run are three quarters full. */
static bool may_adopt(const struct run_writer *writer, size_t len)
{
    const uint64_t enough = (uint64_t)CHUNK_BYTES_MAX / 4 * 3;
    size_t begun = chunk_writer_len(writer->chunk);
    uint64_t chunks = writer->chunks + (begun > 0) + 1;

    return len >= CHUNK_BYTES_MAX / 2 && len <= CHUNK_BYTES_MAX &&
           writer->filled + filled_by(begun) + len >= chunks * enough;
}

/* What a run has to know of a chunk. */
struct extent {
    uint32_t last_id;
    int64_t last_minute;
    int64_t min_minute, max_minute;
};

/* Whether the chunk on whose first cell the cursor stands is one to move: all of it is wanted and
 * before `end`. */
static bool is_movable(const struct run_merge *merge, const struct run_cursor *cursor,
                       chunk_place end, const struct run_writer *writer, struct extent *out)
{
    const struct chunk_reader *chunk = &cursor->chunk;
    const struct run *run = &writer->run;

    if (chunk->first_quarter * MINUTES_PER_QUARTER < merge->from ||
        !may_adopt(writer, chunk->bytes.len) ||
        !chunk_reader_last(chunk, end, &out->last_id, &out->last_minute))
        return false;
    out->min_minute = cursor->min_minute;
    out->max_minute = cursor->max_minute;
    /* The record says what minutes there are at most: only if these are not known yet they are
     * looked for. */
    return (out->min_minute >= run->min_minute && out->max_minute <= run->max_minute) ||
           chunk_reader_minutes(chunk, &out->min_minute, &out->max_minute);
}

static bool move_chunk(struct run_cursor *cursor, const struct extent *extent,
                       struct run_writer *writer, struct write_txn *txn, struct error *err)
{
    struct run *run = &writer->run;

    if (!run_writer_flush(writer, txn, err))
        return false;
    const struct str bytes =
        chunk_writer_adopt(writer->chunk, cursor->chunk.bytes, writer->run.number);
    if (!put_chunk(writer, txn, cursor->cell.id, cursor->cell.minute, bytes, err))
        return false;
    run->cells += cursor->chunk.count;
    note_minutes(run, extent->min_minute, extent->max_minute);
    writer->last_id = extent->last_id;
    writer->last_minute = extent->last_minute;
    drop_cell(cursor);
    return next_chunk(cursor, chunk_place_of(extent->last_id, extent->last_minute), err);
}

static bool add_current(const struct run_cursor *cursor, struct run_writer *writer,
                        struct write_txn *txn, struct error *err)
{
    const struct run_cell *cell = &cursor->cell;

    if (cursor->sample.len > 0)
        return run_writer_add_sample(writer, txn, cell->id, cell->minute, &cursor->sample, err);
    return run_writer_add(writer, txn, cell->id, cell->minute, &cell->cell, err);
}

/* Cells of the first head's cursor, up to the second head and at most of one chunk. */
static bool move_cells(struct run_merge *merge, merge_head second, struct run_writer *writer,
                       struct write_txn *txn, size_t most, struct error *err)
{
    struct run_cursor *cursor = cursor_of(merge, merge->heads[0]);

    do {
        if (!add_current(cursor, writer, txn, err) || !run_cursor_next(cursor, err) ||
            !skip_outside(merge, cursor, err))
            return false;
    } while (cursor->has_cell && --most > 0 && cursor->chunk.index > 1 &&
             head_of(cursor->place, CURSOR_MASK) < second);
    settle(merge);
    return true;
}

bool run_merge_to(struct run_merge *merge, struct run_writer *writer, struct write_txn *txn,
                  size_t most, struct error *err)
{
    const merge_head *heads = merge->heads;
    merge_head second = merge->head_count < 2 ? ~(merge_head)0 : heads[1];

    if (merge->head_count > 2 && heads[2] < second)
        second = heads[2];
    if ((heads[0] | CURSOR_MASK) >= second)
        return merge_to(merge, writer, txn, err);
    struct run_cursor *cursor = cursor_of(merge, heads[0]);
    chunk_place end = merge->head_count < 2 ? ~(chunk_place)0 : cursor_of(merge, second)->place;
    struct extent extent;
    if (cursor->chunk.index > 1 || !is_movable(merge, cursor, end, writer, &extent))
        return move_cells(merge, second, writer, txn, most, err);
    if (!move_chunk(cursor, &extent, writer, txn, err))
        return false;
    settle(merge);
    return true;
}

bool run_merge_next(struct run_merge *merge, struct run_cell *out, bool *found, struct error *err)
{
    *found = false;
    if (!merge->has_begun && !run_merge_seek(merge, 0, INT64_MIN, err))
        return false;
    if (merge->head_count == 0)
        return true;
    const merge_head head = merge->heads[0];
    struct run_cursor *first = cursor_of(merge, head);
    *out = first->cell;
    first->cell.cell.distinct = NULL; /* they are the caller's now */
    first->cell.cell.histogram = NULL;
    while (advance(merge, err)) {
        if (merge->head_count == 0 || !is_one_place(merge->heads[0], head)) {
            *found = true;
            return true;
        }
        cell_merge(&out->cell, &cursor_of(merge, merge->heads[0])->cell.cell);
    }
    cell_fini(&out->cell);
    return false;
}
