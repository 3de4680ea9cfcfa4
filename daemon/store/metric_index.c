#include "store/metric_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/index.h"
#include "store/removed.h"
#include "store/series_cursor.h"

struct metric_walk {
    const struct read_txn *txn;
    struct index_runs runs;
    struct removed removed;
    struct index_cursor *cursors; /* owned; one for each run */
    size_t count;
    uint32_t first_id; /* of the current metric */
    char stem[INDEX_TEXT_MAX];
};

static struct metric_walk *begin(const struct read_txn *txn, struct index_key from,
                                 struct error *err)
{
    struct metric_walk *walk = memory_zero(1, sizeof *walk);

    walk->txn = txn;
    bool ok = index_runs_read(&walk->runs, txn, err) && removed_init(&walk->removed, txn, err);
    walk->cursors = memory_zero(walk->runs.count + 1, sizeof *walk->cursors);
    for (; ok && walk->count < walk->runs.count; walk->count++) {
        struct index_cursor *cursor = &walk->cursors[walk->count];
        ok = index_cursor_init(cursor, txn, walk->runs.items[walk->count].number, err);
        cursor->in_place = true;
        ok = ok && index_cursor_seek(cursor, from, 0, err);
    }
    if (ok)
        return walk;
    metric_walk_free(walk);
    return NULL;
}

struct metric_walk *metric_walk_new(const struct read_txn *txn, struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct index_key least = index_metric_key((enum metric_kind)0, STR_EMPTY, &arena);
    struct metric_walk *walk = begin(txn, least, err);

    arena_fini(&arena);
    return walk;
}

void metric_walk_free(struct metric_walk *walk)
{
    if (walk == NULL)
        return;
    for (size_t i = 0; i < walk->count; i++)
        index_cursor_fini(&walk->cursors[i]);
    free(walk->cursors);
    index_runs_fini(&walk->runs);
    removed_fini(&walk->removed);
    free(walk);
}

/* Counts what a cursor has of its key, and goes to the next one. */
static bool count_key(struct metric_walk *walk, struct index_cursor *cursor, enum metric_kind kind,
                      struct metric_count *out, struct error *err)
{
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    size_t count = 0;
    uint64_t before = out->series;

    if (!index_cursor_ids(cursor, ids, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (removed_has(&walk->removed, ids[i]))
            continue;
        if (out->series++ == 0)
            walk->first_id = ids[i];
    }
    if (out->series > before)
        out->kinds |= 1U << kind;
    return index_cursor_next(cursor, err);
}

/* Counts what all runs have of a metric. */
static bool count_metric(struct metric_walk *walk, struct str stem, struct metric_count *out,
                         struct error *err)
{
    struct index_metric at;

    *out = (struct metric_count){0};
    for (size_t i = 0; i < walk->count; i++) {
        struct index_cursor *cursor = &walk->cursors[i];
        while (cursor->has && index_metric_of(cursor->key, &at) && str_equal(at.stem, stem)) {
            if (!count_key(walk, cursor, at.kind, out, err))
                return false;
        }
    }
    return true;
}

/* The least metric that a cursor stands at; false when none does. */
static bool least(const struct metric_walk *walk, struct index_metric *out)
{
    const struct index_cursor *found = NULL;
    struct index_metric at;

    for (size_t i = 0; i < walk->count; i++) {
        const struct index_cursor *cursor = &walk->cursors[i];
        if (cursor->has && index_metric_of(cursor->key, &at) &&
            (found == NULL || index_key_order(cursor->key, found->key) < 0)) {
            found = cursor;
            *out = at;
        }
    }
    return found != NULL;
}

/* The name of one that was cut is that of its series. */
static bool read_name(const struct metric_walk *walk, struct str *out, struct error *err)
{
    struct series_cursor cursor;
    bool ok = series_cursor_init(&cursor, walk->txn, err) &&
              series_cursor_seek(&cursor, walk->first_id, err);

    *out = STR_EMPTY;
    if (ok && cursor.has && cursor.id == walk->first_id && cursor.key.len > 0)
        *out = series_key_metric(cursor.key);
    series_cursor_fini(&cursor);
    return ok;
}

bool metric_walk_next(struct metric_walk *walk, struct metric_seen *out, bool *has,
                      struct error *err)
{
    struct index_metric metric;

    while ((*has = least(walk, &metric))) {
        memcpy(walk->stem, metric.stem.text, metric.stem.len);
        out->stem = (struct str){walk->stem, metric.stem.len};
        out->name = out->stem;
        if (!count_metric(walk, out->stem, &out->count, err) ||
            (metric.is_cut && out->count.series > 0 && !read_name(walk, &out->name, err)))
            return false;
        if (out->count.series > 0 && out->name.len > 0)
            return true;
    }
    return true;
}

bool metric_index_count(const struct read_txn *txn, struct str metric, struct metric_count *out,
                        struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct metric_walk *walk =
        begin(txn, index_metric_key((enum metric_kind)0, metric, &arena), err);
    bool ok = walk != NULL && count_metric(walk, index_metric_stem(metric, &arena), out, err);

    metric_walk_free(walk);
    arena_fini(&arena);
    return ok;
}
