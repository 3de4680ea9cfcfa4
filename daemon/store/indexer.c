#include "store/indexer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "store/metric_table.h"
#include "store/parts.h"
#include "store/removed.h"
#include "store/series_cursor.h"

enum {
    TAIL_ENTRIES = 1 << 17,    /* new ones a step */
    TAIL_CPU_US = 5 * 1000,    /* gathering them; sorting and writing takes about as long */
    TAIL_METRICS = 512,        /* each may touch a page of its own */
    TAIL_ASK_EVERY = 64,       /* series, between looks at the clock */
    FOLD_ENTRIES = 1 << 15,    /* up to so many of small runs are written again with new ones */
    RATIO = 4,                 /* runs that follow are merged in when they are a quarter in all */
    MERGE_MAX = 64,            /* runs */
    MERGE_ASK_EVERY = 1 << 12, /* entries */
    DIGIT_BITS = 11,           /* of a pass of the sort; three passes take the first 33 bits */
    DIGIT_COUNT = 1 << DIGIT_BITS,
    PASSES = 3,
};

struct entries {
    struct index_entry *items; /* owned */
    size_t count;
    size_t capacity;
};

/* A merge of the newest runs, under way. Between steps only this is remembered. */
struct merge {
    struct index_run inputs[MERGE_MAX]; /* by number */
    size_t count;                       /* 0: there is none */
    struct index_writer writer;
    bool began;
    struct series_hash key; /* the last place that was read */
    uint32_t id;
};

struct catalog_indexer {
    struct entries entries;
    struct entries spare;
    struct merge merge;
    bool merge_next; /* the last step was for new series: neither keeps the other waiting */
};

/* One step. */
struct step {
    struct catalog_indexer *indexer;
    struct write_txn *txn;
    uint64_t began_us;
    struct removed removed;
};

struct catalog_indexer *catalog_indexer_new(void)
{
    return memory_zero(1, sizeof(struct catalog_indexer));
}

/* Memory that is only needed while there is work. */
static void release(struct catalog_indexer *indexer)
{
    free(indexer->entries.items);
    free(indexer->spare.items);
    indexer->entries = (struct entries){0};
    indexer->spare = (struct entries){0};
}

void catalog_indexer_free(struct catalog_indexer *indexer)
{
    if (indexer == NULL)
        return;
    release(indexer);
    free(indexer);
}

void catalog_indexer_forget(struct catalog_indexer *indexer)
{
    indexer->merge.count = 0;
}

uint64_t catalog_indexer_building(const struct catalog_indexer *indexer)
{
    return indexer->merge.count == 0 ? 0 : indexer->merge.writer.run.number;
}

static uint64_t cpu_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* --- sorting entries --- */

static void reserve(struct entries *entries, size_t more)
{
    size_t needed = entries->count + more;

    if (needed <= entries->capacity)
        return;
    entries->capacity = entries->capacity * 2 > needed ? entries->capacity * 2 : needed;
    entries->items = memory_grow(entries->items, entries->capacity, sizeof *entries->items);
}

static int compare_entries(const void *a, const void *b)
{
    const struct index_entry *one = a;
    const struct index_entry *other = b;
    int order = index_key_order(one->key, other->key);
    if (order != 0)
        return order;
    return one->id < other->id ? -1 : one->id > other->id;
}

/* Sorts by 11 bits of the keys and keeps the order of those that have the same. */
static void sort_pass(const struct entries *from, struct index_entry *to, unsigned shift)
{
    size_t starts[DIGIT_COUNT] = {0};
    size_t sum = 0;

    for (size_t i = 0; i < from->count; i++)
        starts[from->items[i].key.high >> shift & (DIGIT_COUNT - 1)]++;
    for (size_t i = 0; i < DIGIT_COUNT; i++) {
        size_t count = starts[i];
        starts[i] = sum;
        sum += count;
    }
    for (size_t i = 0; i < from->count; i++)
        to[starts[from->items[i].key.high >> shift & (DIGIT_COUNT - 1)]++] = from->items[i];
}

static uint64_t sorted_bits(const struct index_entry *entry)
{
    return entry->key.high >> (64 - PASSES * DIGIT_BITS);
}

/* Entries that agree in the bits that were sorted by: all of one key mostly, and in order then. */
static void sort_rest(struct index_entry *items, size_t count)
{
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        bool in_order = true;
        for (; end < count && sorted_bits(&items[end]) == sorted_bits(&items[i]); end++)
            in_order = in_order && compare_entries(&items[end - 1], &items[end]) <= 0;
        if (!in_order)
            qsort(&items[i], end - i, sizeof *items, compare_entries);
        i = end;
    }
}

/* The entries come in growing order of ids. */
static void sort_entries(struct catalog_indexer *indexer)
{
    for (unsigned pass = PASSES; pass > 0; pass--) {
        struct entries *from = &indexer->entries;
        struct entries *to = &indexer->spare;
        to->count = 0;
        reserve(to, from->count);
        sort_pass(from, to->items, 64 - pass * DIGIT_BITS);
        to->count = from->count;
        const struct entries swap = *from;
        *from = *to;
        *to = swap;
    }
    sort_rest(indexer->entries.items, indexer->entries.count);
}

/* --- new series --- */

/* Entries of the series after `after`, as many as a step takes. `*last`: the last one's id. */
static bool gather_tail(struct step *step, uint32_t after, struct metric_counts *metrics,
                        uint32_t *last, struct error *err)
{
    struct entries *entries = &step->indexer->entries;
    struct series_cursor cursor;
    size_t visited = 0;
    bool ok = series_cursor_init(&cursor, &step->txn->reader, err) &&
              series_cursor_seek(&cursor, after + 1, err);

    *last = after;
    entries->count = 0;
    while (ok && cursor.has) {
        if (cursor.id > *last && cursor.key.len > 0) { /* nothing finds what cannot be read */
            struct metric_count *metric = metric_counts_at(metrics, series_key_metric(cursor.key));
            metric->kinds |= 1U << series_key_kind(cursor.key);
            metric->series++;
            reserve(entries, INDEX_ENTRIES_MAX);
            entries->count +=
                index_entries_of(cursor.id, cursor.key, entries->items + entries->count);
        }
        *last = cursor.id > *last ? cursor.id : *last;
        if (entries->count + INDEX_ENTRIES_MAX > TAIL_ENTRIES ||
            metrics->by_name.count >= TAIL_METRICS ||
            (++visited % TAIL_ASK_EVERY == 0 && cpu_us() - step->began_us > TAIL_CPU_US))
            break;
        ok = series_cursor_next(&cursor, err);
    }
    series_cursor_fini(&cursor);
    return ok;
}

static bool read_run(struct step *step, const struct index_run *run, struct entries *out,
                     struct error *err)
{
    struct index_cursor cursor;
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    size_t count = 0;
    bool ok = index_cursor_init(&cursor, &step->txn->reader, run->number, err) &&
              index_cursor_seek(&cursor, (struct series_hash){0, 0}, 0, err);

    while (ok && cursor.has) {
        ok = index_cursor_ids(&cursor, ids, &count, err);
        reserve(out, count);
        for (size_t i = 0; i < count && ok; i++)
            out->items[out->count++] = (struct index_entry){cursor.key, ids[i]};
        ok = ok && index_cursor_next(&cursor, err);
    }
    index_cursor_fini(&cursor);
    return ok;
}

/* The first of the newest runs that are small enough to be written again with what was gathered. */
static size_t first_to_fold(const struct step *step, const struct index_run *runs, size_t count)
{
    const struct merge *merge = &step->indexer->merge;
    uint64_t merging = merge->count == 0 ? 0 : merge->inputs[merge->count - 1].number;
    uint64_t sum = step->indexer->entries.count;
    size_t first = count;

    while (first > 0 && runs[first - 1].number > merging &&
           runs[first - 1].entries <= sum * RATIO &&
           runs[first - 1].entries + sum <= FOLD_ENTRIES) {
        first--;
        sum += runs[first].entries;
    }
    return first;
}

/* Puts the entries of the runs before those that were gathered, since their ids are before them,
 * and takes the runs off the list. */
static bool fold_runs(struct step *step, const struct index_run *runs, size_t count,
                      struct error *err)
{
    struct entries *spare = &step->indexer->spare;
    struct entries *entries = &step->indexer->entries;

    if (count == 0)
        return true;
    spare->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!read_run(step, &runs[i], spare, err) || !index_remove_run(step->txn, &runs[i], err))
            return false;
    }
    reserve(spare, entries->count);
    memcpy(spare->items + spare->count, entries->items, entries->count * sizeof *entries->items);
    spare->count += entries->count;
    const struct entries swap = *spare;
    *spare = *entries;
    *entries = swap;
    return true;
}

static bool write_entries(struct step *step, struct error *err)
{
    const struct entries *entries = &step->indexer->entries;
    struct index_writer *writer = memory_zero(1, sizeof *writer);
    bool ok = index_next_run(step->txn, &writer->run.number, err);

    for (size_t i = 0; i < entries->count && ok; i++) {
        const struct index_entry *entry = &entries->items[i];
        if (!removed_has(&step->removed, entry->id))
            ok = index_writer_add(writer, step->txn, entry->key, entry->id, err);
    }
    ok = ok && index_writer_flush(writer, step->txn, err) &&
         (writer->run.entries == 0 || index_add_run(step->txn, &writer->run, err));
    free(writer);
    return ok;
}

/* `*did` false: all series are in the index. */
static bool index_tail(struct step *step, bool *did, struct error *err)
{
    struct metric_counts metrics = METRIC_COUNTS_EMPTY;
    struct index_runs runs = {0};
    uint32_t end = index_end(&step->txn->reader);
    uint32_t last = end;

    bool ok = gather_tail(step, end, &metrics, &last, err);
    *did = last > end;
    if (ok && *did) {
        ok = index_runs_read(&runs, &step->txn->reader, err);
        size_t first = first_to_fold(step, runs.items, runs.count);
        ok = ok && fold_runs(step, runs.items + first, runs.count - first, err);
        if (ok)
            sort_entries(step->indexer);
        ok = ok && write_entries(step, err) && metric_table_add(step->txn, &metrics, err) &&
             index_set_end(step->txn, last, err);
    }
    index_runs_fini(&runs);
    metric_counts_fini(&metrics);
    return ok;
}

/* --- merging --- */

/* From which run on all are to be merged; `count` when none are. */
static size_t first_to_merge(const struct index_run *runs, size_t count)
{
    size_t first = count;
    uint64_t sum = count > 0 ? runs[count - 1].entries : 0;

    for (size_t i = count; i-- > 1 && count - i < MERGE_MAX;) {
        if (runs[i - 1].entries <= sum * RATIO)
            first = i - 1;
        sum += runs[i - 1].entries;
    }
    return first;
}

static bool begin_merge(struct step *step, struct error *err)
{
    struct merge *merge = &step->indexer->merge;
    struct index_runs runs;
    bool ok = index_runs_read(&runs, &step->txn->reader, err);
    size_t first = ok ? first_to_merge(runs.items, runs.count) : runs.count;

    if (first < runs.count) {
        memset(&merge->writer, 0, sizeof merge->writer);
        ok = index_next_run(step->txn, &merge->writer.run.number, err) &&
             parts_add_garbage(step->txn, GARBAGE_INDEX, merge->writer.run.number, err);
        merge->began = false;
        merge->count = ok ? runs.count - first : 0;
        memcpy(merge->inputs, runs.items + first, merge->count * sizeof *runs.items);
    }
    index_runs_fini(&runs);
    return ok;
}

/* Writes the ids that a cursor has of its key. */
static bool merge_ids(struct step *step, struct index_cursor *cursor, size_t *count,
                      struct error *err)
{
    struct merge *merge = &step->indexer->merge;
    uint32_t ids[INDEX_CHUNK_IDS_MAX];

    if (!index_cursor_ids(cursor, ids, count, err))
        return false;
    for (size_t i = 0; i < *count; i++) {
        if (merge->began && series_hash_equal(merge->key, cursor->key) && ids[i] <= merge->id)
            return error_set(err, ERROR_CORRUPT,
                             "index run %llu in data directory '%s' has an id "
                             "where it does not belong",
                             (unsigned long long)cursor->number, step->txn->reader.store->path);
        merge->began = true;
        merge->key = cursor->key;
        merge->id = ids[i];
        if (!removed_has(&step->removed, ids[i]) &&
            !index_writer_add(&merge->writer, step->txn, cursor->key, ids[i], err))
            return false;
    }
    return true;
}

/* The cursor with the least key, of several the one with the oldest run; NULL at the end. */
static struct index_cursor *least(struct index_cursor *cursors, size_t count)
{
    struct index_cursor *found = NULL;

    for (size_t i = 0; i < count; i++) {
        if (cursors[i].has && (found == NULL || index_key_order(cursors[i].key, found->key) < 0))
            found = &cursors[i];
    }
    return found;
}

/* As much as a step takes; `*over` when all is merged. */
static bool merge_some(struct step *step, struct index_cursor *cursors, bool *over,
                       struct error *err)
{
    struct merge *merge = &step->indexer->merge;
    uint64_t bytes = merge->writer.run.bytes;
    size_t until_asked = MERGE_ASK_EVERY;

    for (;;) {
        size_t count = 0;
        struct index_cursor *cursor = least(cursors, merge->count);
        *over = cursor == NULL;
        if (cursor == NULL)
            return true;
        if (!merge_ids(step, cursor, &count, err) || !index_cursor_next(cursor, err))
            return false;
        if (count < until_asked) {
            until_asked -= count;
            continue;
        }
        until_asked = MERGE_ASK_EVERY;
        if (merge->writer.run.bytes - bytes > INDEX_STEP_BYTES ||
            cpu_us() - step->began_us > INDEX_STEP_CPU_US)
            return true;
    }
}

static bool open_inputs(struct step *step, struct index_cursor *cursors, struct error *err)
{
    const struct merge *merge = &step->indexer->merge;
    struct series_hash key = merge->began ? merge->key : (struct series_hash){0, 0};
    uint32_t id = merge->began ? merge->id + 1 : 0;

    for (size_t i = 0; i < merge->count; i++) {
        if (!index_cursor_init(&cursors[i], &step->txn->reader, merge->inputs[i].number, err) ||
            !index_cursor_seek(&cursors[i], key, id, err))
            return false;
    }
    return true;
}

/* The last step: what was merged is listed in place of what it was merged from. */
static bool end_merge(struct step *step, struct error *err)
{
    struct merge *merge = &step->indexer->merge;
    const struct index_run *run = &merge->writer.run;

    /* One that holds nothing, since all its series were removed, stays what it is: garbage. */
    if (run->entries > 0 && (!parts_remove_garbage(step->txn, GARBAGE_INDEX, run->number, err) ||
                             !index_add_run(step->txn, run, err)))
        return false;
    for (size_t i = 0; i < merge->count; i++) {
        if (!index_remove_run(step->txn, &merge->inputs[i], err))
            return false;
    }
    merge->count = 0;
    return true;
}

/* Whether the runs that are being merged are still there: an index that could not be read is made
 * anew (catalog_resolve_all). */
static bool check_inputs(struct step *step, struct error *err)
{
    struct merge *merge = &step->indexer->merge;
    struct index_runs runs;
    size_t found = 0;
    bool ok = index_runs_read(&runs, &step->txn->reader, err);

    for (size_t i = 0; i < runs.count && found < merge->count; i++)
        found += runs.items[i].number == merge->inputs[found].number;
    if (found < merge->count)
        merge->count = 0;
    index_runs_fini(&runs);
    return ok;
}

/* `*did` false: there is nothing to merge. */
static bool merge_runs(struct step *step, bool *did, struct error *err)
{
    struct merge *merge = &step->indexer->merge;
    bool over = false;

    if (merge->count > 0 && !check_inputs(step, err))
        return false;
    if (merge->count == 0 && !begin_merge(step, err))
        return false;
    *did = merge->count > 0;
    if (!*did)
        return true;
    struct index_cursor *cursors = memory_zero(merge->count, sizeof *cursors);
    size_t count = merge->count;
    bool ok = open_inputs(step, cursors, err) && merge_some(step, cursors, &over, err) &&
              index_writer_flush(&merge->writer, step->txn, err);
    for (size_t i = 0; i < count; i++)
        index_cursor_fini(&cursors[i]);
    free(cursors);
    return ok && (!over || end_merge(step, err));
}

bool catalog_index_step(struct catalog_indexer *indexer, struct write_txn *txn, bool *more,
                        struct error *err)
{
    struct step step = {.indexer = indexer, .txn = txn, .began_us = cpu_us()};
    bool did = false;

    *more = false;
    bool ok = removed_init(&step.removed, &txn->reader, err);
    if (ok && indexer->merge_next)
        ok = merge_runs(&step, &did, err);
    if (ok && !did) {
        ok = index_tail(&step, &did, err);
        indexer->merge_next = did;
        if (ok && !did)
            ok = merge_runs(&step, &did, err);
    } else {
        indexer->merge_next = false;
    }
    removed_fini(&step.removed);
    if (!did)
        release(indexer);
    if (!ok && err->kind == ERROR_CORRUPT && !txn->storage_failed) {
        catalog_indexer_forget(indexer);
        ok = index_clear(txn, err);
        did = true;
    }
    *more = did;
    return ok;
}
