/* Runs and partitions against the records that list them, and data that nothing lists. */
#include <stdlib.h>

#include "store/partition.h"
#include "store/verify_private.h"

/* --- what runs and partitions have in common --- */

struct data_kind {
    enum database list;
    /* Takes a row of the list: sets where it is and what to read. False: it is not looked at. */
    bool (*begin)(struct verify *verify, struct verify_data_state *state, const struct walk *row);
    enum database (*data)(const struct verify_data_state *state);
    void (*prefix)(const struct verify_data_state *state, struct schema_key *out);
    bool (*read)(struct verify *verify, struct verify_data_state *state, const struct walk *data,
                 uint64_t *rows, struct error *err);
    void (*finish)(struct verify *verify, struct verify_data_state *state);
};

/* Once for each run or partition: of one series that is gone there may be many cells. */
static bool check_series(struct verify *verify, struct verify_data_state *state, const char *what,
                         uint32_t id, struct error *err)
{
    bool found = false;

    if (state->has_told_series)
        return true;
    if (!verify_has_series(verify, id, &found, err))
        return false;
    if (found)
        return true;
    state->has_told_series = true;
    verify_report(verify, what, "it has cells of series %u, which is not in the catalogue", id);
    return true;
}

/* To the next row of the list that is looked at. */
static bool begin_next(struct verify *verify, const struct data_kind *kind,
                       struct verify_data_state *state, bool *done, struct error *err)
{
    struct walk walk;

    bool ok = walk_begin(&walk, verify->txn, kind->list, &state->row, err);
    while (ok && walk.found && !state->has_begun) {
        const struct schema_key row = walk_after(store_bytes(&walk.key));
        *state = (struct verify_data_state){.row = row};
        state->has_begun = kind->begin(verify, state, &walk);
        ok = state->has_begun || walk_next(&walk, err);
    }
    walk_end(&walk);
    *done = ok && !state->has_begun;
    if (state->has_begun)
        kind->prefix(state, &state->data);
    return ok;
}

/* Whether what was begun in an earlier transaction is still listed. */
static bool is_listed(struct verify *verify, const struct data_kind *kind,
                      const struct verify_data_state *state, bool *listed, struct error *err)
{
    struct schema_key key = state->row;
    struct str ignored;

    key.len--; /* walk_after has added a byte */
    return store_find(verify->txn, kind->list, store_key(&key), &ignored, listed, err);
}

/* Reads on in the data; `*finished` when there is no more. */
static bool read_data(struct verify *verify, const struct data_kind *kind,
                      struct verify_data_state *state, bool *finished, struct error *err)
{
    struct schema_key prefix = SCHEMA_KEY_EMPTY;
    struct walk walk;
    bool goes_on = true;

    kind->prefix(state, &prefix);
    bool ok = walk_begin(&walk, verify->txn, kind->data(state), &state->data, err);
    while (ok && goes_on && walk.found && walk_has_prefix(&walk, &prefix)) {
        uint64_t rows = 1;
        state->data = walk_after(store_bytes(&walk.key));
        ok = kind->read(verify, state, &walk, &rows, err) && walk_next(&walk, err);
        goes_on = verify_spend(verify, rows);
    }
    *finished = ok && goes_on;
    walk_end(&walk);
    return ok;
}

static bool verify_data(struct verify *verify, const struct data_kind *kind,
                        struct verify_data_state *state, bool *done, struct error *err)
{
    bool finished = true;

    if (state->has_begun && !is_listed(verify, kind, state, &state->has_begun, err))
        return false;
    while (finished) {
        if (!state->has_begun && !begin_next(verify, kind, state, done, err))
            return false;
        if (*done)
            return true;
        if (!read_data(verify, kind, state, &finished, err))
            return false;
        if (!finished)
            return true;
        kind->finish(verify, state);
        state->has_begun = false;
        finished = verify_spend(verify, 1);
    }
    return true;
}

/* --- runs --- */

static bool begin_run(struct verify *verify, struct verify_data_state *state,
                      const struct walk *row)
{
    struct run *run = &state->run;

    if (!parts_run_of(store_bytes(&row->key), store_bytes(&row->value), run)) {
        verify_at(verify, "the list of runs");
        verify_report(verify, "list", "a row is damaged");
        return false;
    }
    if (run->version > verify->newest)
        return false;
    verify->counts->runs++;
    verify_at(verify, "run %llu of tier %u", (unsigned long long)run->number, run->tier);
    if (run->number > meta_get(verify->txn, run->tier == 0 ? "commit" : "run", 0))
        verify_report(verify, "run", "its number was never given");
    state->run_seen = (struct run){.min_minute = INT64_MAX, .max_minute = INT64_MIN};
    return true;
}

static enum database data_of_run(const struct verify_data_state *state)
{
    return state->run.tier == 0 ? DATABASE_JOURNAL : DATABASE_RUN;
}

static void prefix_of_run(const struct verify_data_state *state, struct schema_key *out)
{
    *out = SCHEMA_KEY_EMPTY;
    schema_put_u64(out, state->run.number);
}

static bool check_cell(struct verify *verify, struct verify_data_state *state,
                       const struct run_cell *cell, struct error *err)
{
    struct run *seen = &state->run_seen;

    if (state->has_place && chunk_order(state->id, state->bucket, cell->id, cell->minute) >= 0 &&
        !state->is_broken) {
        state->is_broken = true;
        verify_report(verify, "run", "its cells are not in order at series %u, minute %lld",
                      cell->id, (long long)cell->minute);
    }
    state->has_place = true;
    state->id = cell->id;
    state->bucket = cell->minute;
    seen->cells++;
    seen->min_minute = cell->minute < seen->min_minute ? cell->minute : seen->min_minute;
    seen->max_minute = cell->minute > seen->max_minute ? cell->minute : seen->max_minute;
    return check_series(verify, state, "run", cell->id, err);
}

/* Whether the key says where the chunk's first cell is. */
static bool is_place_of(const struct run_cell *cell, int64_t quarter, uint32_t id, unsigned minute)
{
    int64_t of_cell = quarter_of_minute(cell->minute);
    return of_cell == quarter && cell->id == id &&
           cell->minute - of_cell * MINUTES_PER_QUARTER == (int64_t)minute;
}

static bool read_chunk(struct verify *verify, struct verify_data_state *state,
                       const struct walk *data, uint64_t *rows, struct error *err)
{
    struct schema_reader key = schema_reader_of(store_bytes(&data->key));
    struct chunk_reader chunk;
    struct run_cell cell;
    bool corrupt = false;
    bool ok = true;
    uint64_t number = schema_get_u64(&key);
    int64_t quarter = schema_get_i64(&key);
    uint32_t id = schema_get_u32(&key);
    unsigned minute = schema_get_u8(&key);

    verify->counts->chunks++;
    state->run_seen.bytes += data->value.mv_size;
    if (!key.ok || key.left != 0 || !chunk_reader_init(&chunk, store_bytes(&data->value), number)) {
        state->is_broken = true;
        verify_report(verify, "run", "the chunk that begins at series %u, quarter %lld is damaged",
                      id, (long long)quarter);
        return true;
    }
    for (*rows = 0; ok && chunk_reader_next(&chunk, &cell, &corrupt); (*rows)++) {
        if (*rows == 0 && !is_place_of(&cell, quarter, id, minute)) {
            state->is_broken = true;
            verify_report(verify, "run",
                          "a chunk begins with series %u, minute %lld and lies at series %u, "
                          "quarter %lld",
                          cell.id, (long long)cell.minute, id, (long long)quarter);
        }
        ok = check_cell(verify, state, &cell, err);
        cell_fini(&cell.cell);
    }
    verify->counts->cells += *rows;
    if (ok && (corrupt || *rows == 0)) {
        state->is_broken = true;
        verify_report(verify, "run", "the chunk that begins at series %u, quarter %lld is damaged",
                      id, (long long)quarter);
    }
    return ok;
}

static void check_sum(struct verify *verify, const char *what, const char *name, uint64_t seen,
                      uint64_t recorded)
{
    if (seen != recorded)
        verify_report(verify, what, "it holds %llu %s, and its record says %llu",
                      (unsigned long long)seen, name, (unsigned long long)recorded);
}

static void finish_run(struct verify *verify, struct verify_data_state *state)
{
    const struct run *run = &state->run;
    const struct run *seen = &state->run_seen;

    if (state->is_broken)
        return;
    check_sum(verify, "run", "cells", seen->cells, run->cells);
    check_sum(verify, "run", "bytes", seen->bytes, run->bytes);
    if (seen->cells > 0 &&
        (seen->min_minute != run->min_minute || seen->max_minute != run->max_minute))
        verify_report(verify, "run",
                      "it holds minutes %lld to %lld, and its record says %lld to %lld",
                      (long long)seen->min_minute, (long long)seen->max_minute,
                      (long long)run->min_minute, (long long)run->max_minute);
}

bool verify_runs(struct verify *verify, union verify_state *state, bool *done, struct error *err)
{
    static const struct data_kind kind = {DATABASE_RUNS, begin_run,  data_of_run,
                                          prefix_of_run, read_chunk, finish_run};
    return verify_data(verify, &kind, &state->data, done, err);
}

/* --- partitions --- */

/* Where levels end: what is not closed is not folded, nor are quarters built of it. */
static void check_end(struct verify *verify, const struct partition *partition)
{
    if (partition->level == LEVEL_MINUTE && partition->to > parts_mark(verify->txn, MARK_CLOSED))
        verify_report(verify, "partition", "it reaches to minute %lld, which has not closed",
                      (long long)partition->to);
    if (partition->level == LEVEL_QUARTER &&
        partition->to > parts_mark(verify->txn, MARK_QUARTERED))
        verify_report(verify, "partition", "it reaches to quarter %lld, which has not been built",
                      (long long)partition->to);
}

static bool begin_partition(struct verify *verify, struct verify_data_state *state,
                            const struct walk *row)
{
    struct partition *partition = &state->partition;

    if (!parts_partition_of(store_bytes(&row->key), store_bytes(&row->value), partition)) {
        verify_at(verify, "the list of partitions");
        verify_report(verify, "list", "a row is damaged");
        return false;
    }
    if (partition->version > verify->newest)
        return false;
    verify->counts->partitions++;
    verify_at(verify, "partition %u of %s", partition->number, parts_level_name(partition->level));
    if (partition->number > meta_get(verify->txn, "partition", 0))
        verify_report(verify, "partition", "its number was never given");
    check_end(verify, partition);
    return true;
}

static enum database data_of_partition(const struct verify_data_state *state)
{
    return parts_blocks(state->partition.level);
}

static void prefix_of_partition(const struct verify_data_state *state, struct schema_key *out)
{
    *out = SCHEMA_KEY_EMPTY;
    schema_put_u32(out, state->partition.number);
}

/* What is wrong with a block's points; NULL: nothing. */
static const char *wrong_points(const struct verify_data_state *state, uint32_t id,
                                const struct block_points *points)
{
    const struct partition *partition = &state->partition;
    int64_t first = points->points[0].bucket;

    if (first < partition->from || points->points[points->count - 1].bucket >= partition->to)
        return "has points outside the partition";
    if (state->has_place && id == state->id && first <= state->bucket)
        return "has points that are not in order";
    for (size_t i = 0; i < points->count; i++) {
        struct cell cell;
        if (!partition_cell_of(&points->points[i], &cell))
            return "has a sketch that is damaged";
        cell_fini(&cell);
    }
    return NULL;
}

static bool read_block_row(struct verify *verify, struct verify_data_state *state,
                           const struct walk *data, uint64_t *rows, struct error *err)
{
    struct schema_reader key = schema_reader_of(store_bytes(&data->key));
    struct partition *seen = &state->partition_seen;
    struct block_points points;
    const char *wrong = NULL;

    (void)schema_get_u32(&key);
    uint32_t id = schema_get_u32(&key);
    unsigned part = schema_get_u8(&key);
    unsigned expected = state->has_place && id == state->id ? state->part + 1 : 0;
    struct block_frame frame = partition_frame(&state->partition, id);

    arena_reset(&verify->scratch);
    verify->counts->blocks++;
    seen->bytes += data->value.mv_size;
    if (!key.ok || key.left != 0)
        wrong = "has a key that is damaged";
    else if (part != expected)
        wrong = "comes after one that is missing";
    else if (!block_decode(&frame, store_bytes(&data->value), &verify->scratch, &points))
        wrong = "is damaged";
    else
        wrong = wrong_points(state, id, &points);
    if (wrong != NULL) {
        state->is_broken = true;
        verify_report(verify, "partition", "part %u of series %u %s", part, id, wrong);
    }
    seen->series += !state->has_place || id != state->id;
    state->part = part;
    state->id = id;
    if (wrong != NULL) {
        state->has_place = true;
        state->bucket = INT64_MIN;
        return true;
    }
    state->has_place = true;
    state->bucket = points.points[points.count - 1].bucket;
    seen->points += points.count;
    verify->counts->points += points.count;
    *rows = points.count;
    return check_series(verify, state, "partition", id, err);
}

static void finish_partition(struct verify *verify, struct verify_data_state *state)
{
    const struct partition *partition = &state->partition;
    const struct partition *seen = &state->partition_seen;

    if (state->is_broken)
        return;
    check_sum(verify, "partition", "series", seen->series, partition->series);
    check_sum(verify, "partition", "points", seen->points, partition->points);
    check_sum(verify, "partition", "bytes", seen->bytes, partition->bytes);
}

bool verify_partitions(struct verify *verify, union verify_state *state, bool *done,
                       struct error *err)
{
    static const struct data_kind kind = {DATABASE_PARTITIONS, begin_partition, data_of_partition,
                                          prefix_of_partition, read_block_row,  finish_partition};
    return verify_data(verify, &kind, &state->data, done, err);
}

/* --- what nothing lists --- */

struct listed {
    struct garbage_item *items; /* sorted */
    size_t count, capacity;
};

static const char *const HEAP_NAMES[] = {
    [GARBAGE_JOURNAL] = "journal",   [GARBAGE_RUN] = "run",   [GARBAGE_MINUTES] = "minutes",
    [GARBAGE_QUARTERS] = "quarters", [GARBAGE_DAYS] = "days", [GARBAGE_INDEX] = "index",
};

static int compare_items(const void *a, const void *b)
{
    const struct garbage_item *left = a;
    const struct garbage_item *right = b;

    if (left->what != right->what)
        return left->what < right->what ? -1 : 1;
    return left->number < right->number ? -1 : left->number > right->number;
}

/* What a row of one of the lists stands for; false: it is damaged, which was said already. */
typedef bool (*item_fn)(const struct walk *row, struct garbage_item *out);

static bool item_of_run(const struct walk *row, struct garbage_item *out)
{
    struct run run;
    bool ok = parts_run_of(store_bytes(&row->key), store_bytes(&row->value), &run);
    *out = (struct garbage_item){run.tier == 0 ? GARBAGE_JOURNAL : GARBAGE_RUN, run.number};
    return ok;
}

static bool item_of_partition(const struct walk *row, struct garbage_item *out)
{
    struct partition partition;
    bool ok = parts_partition_of(store_bytes(&row->key), store_bytes(&row->value), &partition);
    *out = (struct garbage_item){(enum garbage)(GARBAGE_MINUTES + (int)partition.level),
                                 partition.number};
    return ok;
}

static bool item_of_index(const struct walk *row, struct garbage_item *out)
{
    struct schema_reader key = schema_reader_of(store_bytes(&row->key));
    *out = (struct garbage_item){GARBAGE_INDEX, schema_get_u64(&key)};
    return key.ok && key.left == 0;
}

static bool item_of_garbage(const struct walk *row, struct garbage_item *out)
{
    struct schema_reader key = schema_reader_of(store_bytes(&row->key));
    out->what = (enum garbage)schema_get_u8(&key);
    out->number = schema_get_u64(&key);
    return key.ok && key.left == 0 && out->what >= GARBAGE_JOURNAL && out->what <= GARBAGE_INDEX;
}

static bool gather(struct verify *verify, enum database database, item_fn item_of,
                   struct listed *listed, struct error *err)
{
    const struct schema_key from = SCHEMA_KEY_EMPTY;
    struct walk walk;

    bool ok = walk_begin(&walk, verify->txn, database, &from, err);
    while (ok && walk.found) {
        listed->items = arena_grow(&verify->arena, listed->items, listed->count, &listed->capacity,
                                   sizeof *listed->items);
        listed->count += item_of(&walk, &listed->items[listed->count]);
        ok = walk_next(&walk, err);
    }
    walk_end(&walk);
    return ok;
}

static bool gather_all(struct verify *verify, struct listed *listed, struct error *err)
{
    if (!gather(verify, DATABASE_RUNS, item_of_run, listed, err) ||
        !gather(verify, DATABASE_PARTITIONS, item_of_partition, listed, err) ||
        !gather(verify, DATABASE_INDEX_RUNS, item_of_index, listed, err) ||
        !gather(verify, DATABASE_GARBAGE, item_of_garbage, listed, err))
        return false;
    if (listed->count > 0)
        qsort(listed->items, listed->count, sizeof *listed->items, compare_items);
    return true;
}

/* Two that are listed under one number have the same data, and so has one that is garbage. */
static void check_lists(struct verify *verify, const struct listed *listed)
{
    for (size_t i = 1; i < listed->count; i++) {
        const struct garbage_item *item = &listed->items[i];
        if (compare_items(item - 1, item) != 0)
            continue;
        verify_at(verify, "the data of '%s'", HEAP_NAMES[item->what]);
        verify_report(verify, "list", "number %llu is listed twice",
                      (unsigned long long)item->number);
    }
}

static bool check_garbage_row(struct verify *verify, const struct walk *row)
{
    struct garbage_item ignored;

    if (item_of_garbage(row, &ignored) && row->value.mv_size == 0)
        return true;
    verify_at(verify, "the list of garbage");
    verify_report(verify, "list", "a row is damaged");
    return false;
}

static bool check_garbage(struct verify *verify, struct error *err)
{
    const struct schema_key from = SCHEMA_KEY_EMPTY;
    struct walk walk;

    bool ok = walk_begin(&walk, verify->txn, DATABASE_GARBAGE, &from, err);
    while (ok && walk.found) {
        (void)check_garbage_row(verify, &walk);
        ok = walk_next(&walk, err);
    }
    walk_end(&walk);
    return ok;
}

/* The number that a row of data belongs to. */
static bool number_of(const struct walk *walk, bool is_short, uint64_t *out)
{
    struct schema_reader key = schema_reader_of(store_bytes(&walk->key));
    *out = is_short ? schema_get_u32(&key) : schema_get_u64(&key);
    return key.ok;
}

/* Goes from number to number. */
static bool check_heap(struct verify *verify, struct verify_unlisted_state *state,
                       const struct listed *listed, bool *finished, struct error *err)
{
    struct garbage_item item = {(enum garbage)state->heap, state->next};
    enum database database = DATABASE_COUNT;
    struct schema_key from;
    struct walk walk;

    *finished = !parts_data_of(&item, &database, &from);
    if (*finished)
        return true; /* past the last number */
    bool is_short = from.len == sizeof(uint32_t);
    if (state->next == 0)
        from = (struct schema_key)SCHEMA_KEY_EMPTY; /* keys that are too short come first */
    bool ok = walk_begin(&walk, verify->txn, database, &from, err);
    verify_at(verify, "the data of '%s'", HEAP_NAMES[item.what]);
    while (ok && walk.found && !*finished) {
        if (!number_of(&walk, is_short, &item.number)) {
            verify_report(verify, "unlisted", "a row has a key of %zu bytes", walk.key.mv_size);
            ok = walk_next(&walk, err);
            continue;
        }
        if (listed->count == 0 || bsearch(&item, listed->items, listed->count,
                                          sizeof *listed->items, compare_items) == NULL)
            verify_report(verify, "unlisted", "number %llu belongs to nothing that is listed",
                          (unsigned long long)item.number);
        state->next = ++item.number;
        if (item.number == 0 || !parts_data_of(&item, &database, &from)) {
            *finished = true;
            break;
        }
        if (!verify_spend(verify, 1))
            break;
        ok = walk_to(&walk, &from, err);
    }
    *finished = *finished || !walk.found;
    walk_end(&walk);
    return ok;
}

bool verify_unlisted(struct verify *verify, union verify_state *all, bool *done, struct error *err)
{
    struct verify_unlisted_state *state = &all->unlisted;
    struct listed listed = {.items = NULL};

    if (!gather_all(verify, &listed, err))
        return false;
    if (!state->has_looked_at_lists) {
        state->has_looked_at_lists = true;
        state->heap = GARBAGE_JOURNAL;
        check_lists(verify, &listed);
        return check_garbage(verify, err);
    }
    for (;;) {
        bool finished = false;
        if (!check_heap(verify, state, &listed, &finished, err))
            return false;
        if (!finished)
            return true;
        state->next = 0;
        *done = state->heap++ == GARBAGE_INDEX;
        if (*done)
            return true;
    }
}
