#include "store/indexer.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "store/parts.h"
#include "store/removed.h"
#include "store/series_cursor.h"

enum {
    TAIL_ENTRIES = 1 << 16,    /* new ones a step */
    TAIL_CPU_US = 4 * 1000,    /* gathering them; sorting and writing takes some times as long */
    TAIL_ASK_EVERY = 64,       /* series, between looks at the clock */
    FOLD_ENTRIES = 1 << 15,    /* up to so many of small runs are written again with new ones */
    RATIO = 4,                 /* runs that follow are merged in when they are a quarter in all */
    MERGE_MAX = 64,            /* runs */
    MERGE_ASK_EVERY = 1 << 12, /* entries */
    DIGIT_BITS = 11,           /* of a pass of the sort */
    DIGIT_COUNT = 1 << DIGIT_BITS,
    HASH_BITS = 33,  /* of a key's hash: three passes */
    SORT_FEW = 1000, /* entries that are sorted by comparing them */
};

/* An entry and what it is sorted by at the moment: a part of its key. */
struct sortable {
    struct index_entry entry;
    uint64_t part;
};

struct entries {
    struct sortable *items; /* owned */
    size_t count;
    size_t capacity;
};

/* A merge of the newest runs, under way. Between steps only this is remembered. */
struct merge {
    struct index_run inputs[MERGE_MAX]; /* by number */
    size_t count;                       /* 0: there is none */
    struct index_writer writer;
    bool began;
    struct index_key key; /* the last place that was read */
    char text[INDEX_TEXT_MAX];
    uint32_t id;
};

struct catalog_indexer {
    struct entries entries;
    struct entries spare;
    struct arena texts; /* of the entries */
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
    arena_fini(&indexer->texts);
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

static void add_entry(struct entries *entries, const struct index_entry *entry)
{
    entries->items[entries->count++] =
        (struct sortable){*entry, entry->key.hash.high >> (64 - HASH_BITS)};
}

static int compare_entries(const void *a, const void *b)
{
    const struct index_entry *one = &((const struct sortable *)a)->entry;
    const struct index_entry *other = &((const struct sortable *)b)->entry;
    int order = index_key_order(one->key, other->key);
    if (order != 0)
        return order;
    return one->id < other->id ? -1 : one->id > other->id;
}

/* Sorts by 11 bits of the parts and keeps the order of those that have the same. */
static void sort_pass(const struct sortable *from, struct sortable *to, size_t count,
                      unsigned shift)
{
    size_t starts[DIGIT_COUNT] = {0};
    size_t sum = 0;

    for (size_t i = 0; i < count; i++)
        starts[from[i].part >> shift & (DIGIT_COUNT - 1)]++;
    for (size_t i = 0; i < DIGIT_COUNT; i++) {
        size_t here = starts[i];
        starts[i] = sum;
        sum += here;
    }
    for (size_t i = 0; i < count; i++)
        to[starts[from[i].part >> shift & (DIGIT_COUNT - 1)]++] = from[i];
}

/* Sorts by the parts, with room for as many in `spare`; in passes only over the bits that are not
 * the same in all. */
static void sort_by_parts(struct sortable *items, struct sortable *spare, size_t count)
{
    struct sortable *from = items;
    struct sortable *to = spare;
    uint64_t different = 0;

    for (size_t i = 1; i < count; i++)
        different |= items[i].part ^ items[0].part;
    for (unsigned shift = 0; shift < 64; shift += DIGIT_BITS) {
        if ((different >> shift & (DIGIT_COUNT - 1)) == 0)
            continue;
        sort_pass(from, to, count, shift);
        struct sortable *swap = from;
        from = to;
        to = swap;
    }
    if (from != items)
        memcpy(items, from, count * sizeof *items);
}

/* Eight bytes of a text, those after its end as zeros. */
static uint64_t part_of(struct str text, size_t at)
{
    unsigned char bytes[sizeof(uint64_t)] = {0};
    uint64_t part = 0;

    if (at < text.len)
        memcpy(bytes, text.text + at, text.len - at < sizeof part ? text.len - at : sizeof part);
    memcpy(&part, bytes, sizeof part);
    return be64toh(part);
}

/* How many bytes all texts begin with, of which `known` are known. */
static size_t common_bytes(const struct sortable *items, size_t count, size_t known)
{
    struct str first = items[0].entry.key.text;
    size_t common = first.len;

    for (size_t i = 1; i < count; i++) {
        struct str text = items[i].entry.key.text;
        size_t same = known;
        while (same < common && same < text.len && text.text[same] == first.text[same])
            same++;
        common = same < common ? same : common;
    }
    return common;
}

/* Entries that have the same key up to `known` bytes of the text (INDEX_TEXT_MAX: nothing is
 * known). Most often they are in order, or differ early in their texts. */
static void sort_alike(struct sortable *items, struct sortable *spare, size_t count, size_t known)
{
    bool is_sorted = true;

    for (size_t i = 1; i < count && is_sorted; i++)
        is_sorted = compare_entries(&items[i - 1], &items[i]) <= 0;
    if (is_sorted)
        return;
    size_t common = count <= SORT_FEW || known >= INDEX_TEXT_MAX
                        ? INDEX_TEXT_MAX
                        : common_bytes(items, count, known);
    if (common < known || common == INDEX_TEXT_MAX) {
        qsort(items, count, sizeof *items, compare_entries);
        return;
    }
    for (size_t i = 0; i < count; i++)
        items[i].part = part_of(items[i].entry.key.text, common);
    sort_by_parts(items, spare, count);
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && items[end].part == items[i].part)
            end++;
        sort_alike(items + i, spare, end - i, common + sizeof(uint64_t));
        i = end;
    }
}

/* By the first bits of their hashes, then those that have these in common. */
static void sort_entries(struct catalog_indexer *indexer)
{
    struct entries *entries = &indexer->entries;
    struct sortable *items = entries->items;

    indexer->spare.count = 0;
    reserve(&indexer->spare, entries->count);
    sort_by_parts(items, indexer->spare.items, entries->count);
    for (size_t i = 0; i < entries->count;) {
        size_t end = i + 1;
        bool is_one_hash = true;
        for (; end < entries->count && items[end].part == items[i].part; end++)
            is_one_hash = is_one_hash &&
                          series_hash_equal(items[end].entry.key.hash, items[i].entry.key.hash);
        sort_alike(items + i, indexer->spare.items, end - i, is_one_hash ? 0 : INDEX_TEXT_MAX);
        i = end;
    }
}

/* --- new series --- */

static void add_series(struct catalog_indexer *indexer, uint32_t id, struct str key)
{
    struct index_entry entries[INDEX_ENTRIES_MAX];
    struct str copy = arena_str(&indexer->texts, key);
    size_t count = index_entries_of(id, copy, &indexer->texts, entries);

    reserve(&indexer->entries, count);
    for (size_t i = 0; i < count; i++)
        add_entry(&indexer->entries, &entries[i]);
}

/* Entries of the series after `after`, as many as a step takes. `*last`: the last one's id. */
static bool gather_tail(struct step *step, uint32_t after, uint32_t *last, struct error *err)
{
    struct entries *entries = &step->indexer->entries;
    struct series_cursor cursor;
    size_t visited = 0;
    bool ok = series_cursor_init(&cursor, &step->txn->reader, err) &&
              series_cursor_seek(&cursor, after + 1, err);

    *last = after;
    entries->count = 0;
    arena_reset(&step->indexer->texts);
    while (ok && cursor.has) {
        if (cursor.id > *last && cursor.key.len > 0) /* nothing finds what cannot be read */
            add_series(step->indexer, cursor.id, cursor.key);
        *last = cursor.id > *last ? cursor.id : *last;
        if (entries->count + INDEX_ENTRIES_MAX > TAIL_ENTRIES ||
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
              index_cursor_seek(&cursor, (struct index_key){0}, 0, err);

    while (ok && cursor.has) {
        struct index_entry entry = {.key = cursor.key};
        ok = index_cursor_ids(&cursor, ids, &count, err);
        reserve(out, count);
        if (entry.key.text.len > 0)
            entry.key.text = arena_str(&step->indexer->texts, entry.key.text);
        for (size_t i = 0; i < count && ok; i++) {
            entry.id = ids[i];
            add_entry(out, &entry);
        }
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
        const struct index_entry *entry = &entries->items[i].entry;
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
    struct index_runs runs = {0};
    uint32_t end = index_end(&step->txn->reader);
    uint32_t last = end;

    bool ok = gather_tail(step, end, &last, err);
    *did = last > end;
    if (ok && *did) {
        ok = index_runs_read(&runs, &step->txn->reader, err);
        size_t first = first_to_fold(step, runs.items, runs.count);
        ok = ok && fold_runs(step, runs.items + first, runs.count - first, err);
        if (ok)
            sort_entries(step->indexer);
        ok = ok && write_entries(step, err) && index_set_end(step->txn, last, err);
    }
    index_runs_fini(&runs);
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

static void remember(struct merge *merge, struct index_key key, uint32_t id)
{
    merge->began = true;
    merge->id = id;
    merge->key.hash = key.hash;
    if (key.text.len > 0)
        memcpy(merge->text, key.text.text, key.text.len);
    merge->key.text = (struct str){merge->text, key.text.len};
}

/* Writes the ids that a cursor has of its key. */
static bool merge_ids(struct step *step, struct index_cursor *cursor, size_t *count,
                      struct error *err)
{
    struct merge *merge = &step->indexer->merge;
    uint32_t ids[INDEX_CHUNK_IDS_MAX];

    if (!index_cursor_ids(cursor, ids, count, err))
        return false;
    if (*count == 0)
        return true;
    if (merge->began && ids[0] <= merge->id && index_key_order(merge->key, cursor->key) == 0)
        return error_set(err, ERROR_CORRUPT,
                         "index run %llu in data directory '%s' has an id "
                         "where it does not belong",
                         (unsigned long long)cursor->number, step->txn->reader.store->path);
    for (size_t i = 0; i < *count; i++) {
        if (!removed_has(&step->removed, ids[i]) &&
            !index_writer_add(&merge->writer, step->txn, cursor->key, ids[i], err))
            return false;
    }
    remember(merge, cursor->key, ids[*count - 1]);
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
    struct index_key key = merge->began ? merge->key : (struct index_key){0};
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
