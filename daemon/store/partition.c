#include "store/partition.h"

#include <assert.h>
#include <string.h>

enum {
    SKETCH_DISTINCT = 1,
    SKETCH_HISTOGRAM = 2,
    SKETCH_COUNTS = 4,
    SKETCH_ALL = SKETCH_DISTINCT | SKETCH_HISTOGRAM | SKETCH_COUNTS,
};

_Static_assert(PARTITION_POINTS_MAX / PARTITION_PARTS_MAX <= BLOCK_POINTS_MAX,
               "a series always fits into its parts");

/* --- points and cells --------------------------------------------------------------------------
 */

void partition_point_of(const struct cell *cell, int64_t bucket, struct arena *arena,
                        struct block_point *out)
{
    struct buf sketch = BUF_EMPTY;
    int flags = (cell->distinct != NULL ? SKETCH_DISTINCT : 0) |
                (cell->histogram != NULL ? SKETCH_HISTOGRAM : 0) |
                (cell->counts_values ? SKETCH_COUNTS : 0);

    *out = (struct block_point){.bucket = bucket, .aggregate = cell->aggregate};
    if (cell->aggregate.count == 0)
        out->aggregate = (struct aggregate)AGGREGATE_EMPTY; /* of which nothing means anything */
    if (flags == 0)
        return;
    buf_u8(&sketch, (uint8_t)flags);
    if (cell->distinct != NULL)
        distinct_encode(cell->distinct, &sketch);
    if (cell->histogram != NULL)
        histogram_encode(cell->histogram, &sketch);
    out->sketch = arena_str(arena, buf_view(&sketch));
    buf_fini(&sketch);
}

/* What a cell keeps to (series/cell.h): there is a histogram if and only if values that differ are
 * counted, and it counts all of them. */
static bool are_values_sound(const struct cell *cell)
{
    const struct aggregate *aggregate = &cell->aggregate;

    if (!cell->counts_values)
        return cell->histogram == NULL;
    if (aggregate->count == 0)
        return false;
    if (cell->histogram == NULL)
        return !(aggregate->min < aggregate->max);
    return aggregate->min < aggregate->max && histogram_count(cell->histogram) == aggregate->count;
}

bool partition_cell_of(const struct block_point *point, struct cell *out)
{
    *out = (struct cell){.aggregate = point->aggregate};
    if (point->sketch.len == 0)
        return true;
    struct reader reader = reader_of(point->sketch);
    uint8_t flags = read_u8(&reader);
    bool ok = flags > 0 && flags <= SKETCH_ALL;
    out->counts_values = (flags & SKETCH_COUNTS) != 0;
    if (ok && (flags & SKETCH_DISTINCT) != 0) {
        out->distinct = distinct_decode(&reader);
        ok = out->distinct != NULL;
    }
    if (ok && (flags & SKETCH_HISTOGRAM) != 0) {
        out->histogram = histogram_decode(&reader);
        ok = out->histogram != NULL;
    }
    if (ok && reader.ok && reader.left == 0 && are_values_sound(out))
        return true;
    cell_fini(out);
    return false;
}

struct block_frame partition_frame(const struct partition *partition, uint32_t id)
{
    static const span_ms widths[LEVEL_COUNT] = {
        [LEVEL_MINUTE] = MS_PER_MINUTE,
        [LEVEL_QUARTER] = (span_ms)MINUTES_PER_QUARTER * MS_PER_MINUTE,
        [LEVEL_DAY] = MS_PER_DAY,
    };
    return (struct block_frame){partition->from, widths[partition->level],
                                (uint64_t)partition->number << 32 | id};
}

static struct schema_key block_key(uint32_t number, uint32_t id, unsigned part)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    schema_put_u32(&key, number);
    schema_put_u32(&key, id);
    schema_put_u8(&key, (uint8_t)part);
    return key;
}

/* --- writing -----------------------------------------------------------------------------------
 */

void partition_writer_init(struct partition_writer *writer, const struct partition *facts)
{
    *writer = (struct partition_writer){.scratch = ARENA_EMPTY, .block = BUF_EMPTY};
    writer->partition = (struct partition){.level = facts->level,
                                           .calendar = facts->calendar,
                                           .number = facts->number,
                                           .from = facts->from,
                                           .to = facts->to};
}

void partition_writer_fini(struct partition_writer *writer)
{
    arena_fini(&writer->scratch);
    buf_fini(&writer->block);
}

/* Partitions that are built at the same time share a database: then the key may not be the last. */
static bool append(struct write_txn *txn, enum database database, const struct schema_key *key,
                   struct str value, struct error *err)
{
    MDB_val name = store_key(key);
    MDB_val bytes = store_value(value);

    int rc =
        mdb_put(txn->reader.txn, txn->reader.store->databases[database], &name, &bytes, MDB_APPEND);
    if (rc == MDB_KEYEXIST)
        return store_put(txn, database, store_key(key), value, 0, err);
    if (rc != 0) {
        txn->storage_failed = true;
        return store_error(err, rc, "cannot write to data directory '%s'", txn->reader.store->path);
    }
    txn->wrote = true;
    return true;
}

/* How many points to offer to the next block: at least `least`; at most `most`, and sketches, which
 * do not get smaller in company, up to the bytes of a block. Encoding more than go in costs time.
 */
static size_t points_to_offer(const struct block_points *rest, size_t least, size_t most)
{
    size_t bytes = 0;
    size_t count = 0;

    while (count < rest->count && count < most && bytes <= PARTITION_BLOCK_BYTES)
        bytes += rest->points[count++].sketch.len;
    return count > least ? count : least;
}

/* Encodes a block of the front of `rest`; 0: no block takes them. */
static size_t encode_front(struct partition_writer *writer, const struct block_frame *frame,
                           const struct block_points *rest, size_t least, size_t most)
{
    const struct block_form small = {.limit_bytes = PARTITION_BLOCK_BYTES};
    const struct block_form any = {.limit_bytes = 0};
    struct block_points front = {rest->points, points_to_offer(rest, least, most)};

    buf_clear(&writer->block);
    arena_reset(&writer->scratch);
    size_t taken = block_encode(frame, &front, &small, &writer->scratch, &writer->block);
    if (taken == 0 || taken >= least)
        return taken;
    front.count = least;
    buf_clear(&writer->block);
    return block_encode(frame, &front, &any, &writer->scratch, &writer->block);
}

bool partition_writer_add(struct partition_writer *writer, struct write_txn *txn, uint32_t id,
                          const struct block_points *points, struct error *err)
{
    struct partition *partition = &writer->partition;
    const struct block_frame frame = partition_frame(partition, id);
    struct block_points rest = *points;
    size_t most = BLOCK_POINTS_MAX;

    assert(id > 0);
    if (points->count == 0 || points->count > PARTITION_POINTS_MAX ||
        points->points[0].bucket < partition->from ||
        points->points[points->count - 1].bucket >= partition->to)
        return error_set(err, ERROR_INVALID,
                         "cannot put %zu points of series %u into partition %u: they do not fit",
                         points->count, id, partition->number);
    for (unsigned part = 0; rest.count > 0; part++) {
        /* Small blocks while there are parts enough for what remains. */
        size_t parts_left = PARTITION_PARTS_MAX - part;
        size_t least = (rest.count + parts_left - 1) / parts_left;
        size_t taken = encode_front(writer, &frame, &rest, least, most);
        if (taken == 0)
            return error_set(err, ERROR_INVALID,
                             "cannot put points of series %u into partition %u: no block takes "
                             "them",
                             id, partition->number);
        struct schema_key key = block_key(partition->number, id, part);
        if (!append(txn, parts_blocks(partition->level), &key, buf_view(&writer->block), err))
            return false;
        partition->bytes += writer->block.len;
        rest = (struct block_points){rest.points + taken, rest.count - taken};
        most = 2 * taken < BLOCK_POINTS_MAX ? 2 * taken : BLOCK_POINTS_MAX;
    }
    partition->series++;
    partition->points += points->count;
    return true;
}

/* --- reading -----------------------------------------------------------------------------------
 */

static bool bad_partition(const struct partition_cursor *cursor, uint32_t id, struct error *err)
{
    return error_set(err, ERROR_CORRUPT,
                     "cannot read series %u in partition %u of %s in data directory '%s': a block "
                     "is damaged",
                     id, cursor->partition.number, parts_level_name(cursor->partition.level),
                     cursor->txn->store->path);
}

bool partition_cursor_init(struct partition_cursor *cursor, const struct read_txn *txn,
                           const struct partition *partition, struct error *err)
{
    *cursor = (struct partition_cursor){.txn = txn, .partition = *partition};
    int rc = mdb_cursor_open(txn->txn, txn->store->databases[parts_blocks(partition->level)],
                             &cursor->cursor);
    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
    return true;
}

void partition_cursor_fini(struct partition_cursor *cursor)
{
    if (cursor->cursor != NULL)
        mdb_cursor_close(cursor->cursor);
    cursor->cursor = NULL;
    cursor->id = 0;
    cursor->at_id = 0;
}

/* Moves LMDB's cursor, to `key` or to the next row. */
static bool move(struct partition_cursor *cursor, const struct schema_key *key, struct error *err)
{
    MDB_val name = {0};

    if (key != NULL)
        name = store_key(key);
    cursor->at_id = 0;
    int rc = mdb_cursor_get(cursor->cursor, &name, &cursor->value,
                            key != NULL ? MDB_SET_RANGE : MDB_NEXT);
    if (rc == MDB_NOTFOUND)
        return true;
    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", cursor->txn->store->path);
    struct schema_reader reader = schema_reader_of(store_bytes(&name));
    uint32_t number = schema_get_u32(&reader);
    uint32_t id = schema_get_u32(&reader);
    unsigned part = schema_get_u8(&reader);
    if (reader.ok && number != cursor->partition.number)
        return true;
    if (!reader.ok || reader.left != 0 || id == 0)
        return bad_partition(cursor, id, err);
    cursor->at_id = id;
    cursor->at_part = part;
    return true;
}

/* LMDB's cursor stands on the first row of a series, or on none. */
static bool stand(struct partition_cursor *cursor, struct error *err)
{
    cursor->id = cursor->at_id;
    if (cursor->at_id == 0 || cursor->at_part == 0)
        return true;
    cursor->id = 0;
    return bad_partition(cursor, cursor->at_id, err);
}

bool partition_cursor_seek(struct partition_cursor *cursor, uint32_t id, struct error *err)
{
    struct schema_key key = block_key(cursor->partition.number, id, 0);
    cursor->id = 0;
    return move(cursor, &key, err) && stand(cursor, err);
}

bool partition_cursor_next(struct partition_cursor *cursor, struct error *err)
{
    uint32_t id = cursor->id;

    if (id == 0)
        return true;
    cursor->id = 0;
    while (cursor->at_id == id) {
        if (!move(cursor, NULL, err))
            return false;
    }
    return stand(cursor, err);
}

/* A block of a series. */
struct part {
    bool found;
    struct str block;
    struct block_facts facts;
};

/* A walk over the parts of the series that a cursor stands on. */
struct part_walk {
    struct partition_cursor *cursor;
    struct block_frame frame;
    int64_t from, to;
    unsigned count; /* of parts taken so far */
    struct part next;
};

/* Takes the part on which LMDB's cursor stands, if it is the series', and moves on. */
static bool take_part(struct part_walk *walk, struct error *err)
{
    struct partition_cursor *cursor = walk->cursor;
    const struct partition *partition = &cursor->partition;
    struct part *part = &walk->next;

    part->found = cursor->id != 0 && cursor->at_id == cursor->id;
    if (!part->found)
        return true;
    part->block = store_bytes(&cursor->value);
    if (cursor->at_part != walk->count++ || !block_peek(&walk->frame, part->block, &part->facts) ||
        part->facts.first < partition->from || part->facts.first >= partition->to)
        return bad_partition(cursor, cursor->id, err);
    return move(cursor, NULL, err);
}

static bool part_walk_begin(struct part_walk *walk, struct partition_cursor *cursor, int64_t from,
                            int64_t to, struct error *err)
{
    *walk = (struct part_walk){
        cursor, partition_frame(&cursor->partition, cursor->id), from, to, 0, {.found = false}};
    if (cursor->id != 0 && (cursor->at_id != cursor->id || cursor->at_part != 0)) {
        /* An earlier walk over this series has moved it. */
        struct schema_key key = block_key(cursor->partition.number, cursor->id, 0);
        if (!move(cursor, &key, err))
            return false;
    }
    return take_part(walk, err);
}

/* The next part that may have points in the range: it begins before the end, and the part after it,
 * if there is one, after the beginning. */
static bool part_walk_next(struct part_walk *walk, struct part *out, struct error *err)
{
    for (;;) {
        *out = walk->next;
        out->found = out->found && out->facts.first < walk->to;
        if (!out->found)
            return true;
        if (!take_part(walk, err))
            return false;
        if (!walk->next.found)
            return true;
        if (walk->next.facts.first <= out->facts.first)
            return bad_partition(walk->cursor, walk->cursor->id, err);
        if (walk->next.facts.first > walk->from)
            return true;
    }
}

/* The points of a part that are in the range. */
static bool read_part(const struct part_walk *walk, const struct part *part, struct arena *arena,
                      struct block_points *out, struct error *err)
{
    int64_t end = walk->next.found ? walk->next.facts.first : walk->cursor->partition.to;

    if (!block_decode(&walk->frame, part->block, arena, out) ||
        out->points[out->count - 1].bucket >= end)
        return bad_partition(walk->cursor, walk->cursor->id, err);
    while (out->count > 0 && out->points[0].bucket < walk->from)
        *out = (struct block_points){out->points + 1, out->count - 1};
    while (out->count > 0 && out->points[out->count - 1].bucket >= walk->to)
        out->count--;
    return true;
}

bool partition_cursor_points(struct partition_cursor *cursor, int64_t from, int64_t to,
                             struct arena *arena, struct block_points *out, struct error *err)
{
    struct block_points pieces[PARTITION_PARTS_MAX];
    struct part_walk walk;
    struct part part;
    size_t piece_count = 0;
    size_t total = 0;

    *out = (struct block_points){NULL, 0};
    if (!part_walk_begin(&walk, cursor, from, to, err))
        return false;
    for (;;) {
        if (!part_walk_next(&walk, &part, err))
            return false;
        if (!part.found)
            break;
        if (!read_part(&walk, &part, arena, &pieces[piece_count], err))
            return false;
        total += pieces[piece_count++].count;
    }
    if (piece_count == 1)
        *out = pieces[0];
    if (piece_count <= 1)
        return true;
    out->points = arena_array(arena, total, sizeof *out->points);
    for (size_t i = 0; i < piece_count; i++) {
        if (pieces[i].count > 0)
            memcpy(out->points + out->count, pieces[i].points,
                   pieces[i].count * sizeof *out->points);
        out->count += pieces[i].count;
    }
    return true;
}

static void merge_plain(const struct aggregate *aggregate, struct cell *into)
{
    const struct cell cell = {.aggregate = *aggregate};
    cell_merge(into, &cell);
}

static bool merge_points(const struct partition_cursor *cursor, const struct block_points *points,
                         struct cell *into, wall_ms *newest, struct error *err)
{
    for (size_t i = 0; i < points->count; i++) {
        struct cell cell;
        if (!partition_cell_of(&points->points[i], &cell))
            return bad_partition(cursor, cursor->id, err);
        cell_merge(into, &cell);
        cell_fini(&cell);
        if (points->points[i].aggregate.last_at > *newest)
            *newest = points->points[i].aggregate.last_at;
    }
    return true;
}

bool partition_cursor_merge(struct partition_cursor *cursor, const int64_t range[2],
                            struct arena *scratch, struct cell *into, wall_ms *newest,
                            struct error *err)
{
    struct part_walk walk;
    struct part part;

    if (!part_walk_begin(&walk, cursor, range[0], range[1], err))
        return false;
    for (;;) {
        struct block_points points;
        struct aggregate aggregate = AGGREGATE_EMPTY;
        if (!part_walk_next(&walk, &part, err))
            return false;
        if (!part.found)
            return true;
        if (part.facts.has_sketches) {
            if (!read_part(&walk, &part, scratch, &points, err) ||
                !merge_points(cursor, &points, into, newest, err))
                return false;
            continue;
        }
        if (!block_merge(&walk.frame, part.block, range, scratch, &aggregate))
            return bad_partition(cursor, cursor->id, err);
        if (aggregate.count == 0)
            continue;
        merge_plain(&aggregate, into);
        if (aggregate.last_at > *newest)
            *newest = aggregate.last_at;
    }
}
