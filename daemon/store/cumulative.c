#include "store/cumulative.h"

#include <stdlib.h>

#include "base/memory.h"
#include "store/catalog.h"
#include "store/index.h"
#include "store/series_cursor.h"
#include "store/series_table.h"

struct cumulatives {
    struct tracker_set *trackers;
    struct series_table metrics; /* index_metric_key -> index into `first_seen`, + 1 */
    wall_ms *first_seen;
    size_t count;
    size_t capacity;
};

struct cumulatives *cumulatives_new(void)
{
    struct cumulatives *set = memory_zero(1, sizeof *set);
    set->trackers = tracker_set_new();
    series_table_init(&set->metrics);
    return set;
}

void cumulatives_free(struct cumulatives *set)
{
    if (set == NULL)
        return;
    tracker_set_free(set->trackers);
    series_table_fini(&set->metrics);
    free(set->first_seen);
    free(set);
}

void cumulatives_begin(struct cumulatives *set)
{
    tracker_set_begin(set->trackers);
}

void cumulatives_forget(struct cumulatives *set)
{
    tracker_set_forget(set->trackers);
}

/* --- the metric's first sample --- */

/* The least id that a run has for the metric; 0: none. */
static bool first_id_in(const struct read_txn *txn, uint64_t run, struct series_hash key,
                        uint32_t *out, struct error *err)
{
    struct index_cursor cursor;
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    size_t count = 0;

    *out = 0;
    bool ok = index_cursor_init(&cursor, txn, run, err) && index_cursor_seek(&cursor, key, 0, err);
    if (ok && cursor.has && series_hash_equal(cursor.key, key)) {
        ok = index_cursor_ids(&cursor, ids, &count, err);
        *out = ok && count > 0 ? ids[0] : 0;
    }
    index_cursor_fini(&cursor);
    return ok;
}

/* When the first series of the metric was made; WALL_NONE while none is in the index, which it is
 * moments later. */
static bool read_first_seen(const struct read_txn *txn, struct series_hash key, wall_ms *out,
                            struct error *err)
{
    struct index_runs runs;
    struct series_cursor series;
    uint32_t least = 0;

    *out = WALL_NONE;
    bool ok = index_runs_read(&runs, txn, err);
    for (size_t i = 0; ok && i < runs.count && least == 0; i++) /* earlier runs, earlier series */
        ok = first_id_in(txn, runs.items[i].number, key, &least, err);
    index_runs_fini(&runs);
    if (!ok || least == 0)
        return ok;
    ok = series_cursor_init(&series, txn, err) && series_cursor_seek(&series, least, err);
    if (ok && series.has)
        *out = series.first_seen;
    series_cursor_fini(&series);
    return ok;
}

static bool first_seen(struct cumulatives *set, const struct read_txn *txn,
                       const struct cumulative *sample, wall_ms *out, struct error *err)
{
    struct str key = sample->key;

    *out = WALL_NONE;
    if (sample->sample->start == WALL_NONE || (key.len == 0 && !catalog_key(txn, sample->id, &key)))
        return true; /* nobody asks, or nobody knows */
    struct series_hash metric = index_metric_key(series_key_kind(key), series_key_metric(key));
    const struct series_slot *slot = series_table_find(&set->metrics, metric);
    if (slot != NULL) {
        *out = set->first_seen[slot->id - 1];
        return true;
    }
    if (!read_first_seen(txn, metric, out, err))
        return false;
    if (*out == WALL_NONE)
        return true;
    if (set->count == set->capacity) {
        set->capacity = set->capacity == 0 ? 64 : set->capacity * 2;
        set->first_seen = memory_grow(set->first_seen, set->capacity, sizeof *set->first_seen);
    }
    set->first_seen[set->count++] = *out;
    series_table_put(&set->metrics, metric, (uint32_t)set->count, 0);
    return true;
}

/* --- the samples --- */

static int compare_samples(const void *a, const void *b)
{
    const struct cumulative *one = a;
    const struct cumulative *other = b;

    if (one->id != other->id)
        return one->id < other->id ? -1 : 1;
    if (one->sample->at != other->sample->at)
        return one->sample->at < other->sample->at ? -1 : 1;
    if (one->sample->arrival != other->sample->arrival)
        return one->sample->arrival < other->sample->arrival ? -1 : 1;
    return 0;
}

static bool resolve(struct cumulatives *set, const struct read_txn *txn,
                    const struct cumulative *from, struct delta_cell *out, struct error *err)
{
    struct tracker_sample sample = {.id = from->id,
                                    .at = from->sample->at,
                                    .start = from->sample->start,
                                    .value = from->sample->value};
    struct tracker_answer answer = {0};

    *out = (struct delta_cell){.minute = minute_of(sample.at)};
    if (!first_seen(set, txn, from, &sample.metric_first_at, err) ||
        !tracker_take(set->trackers, txn, &sample, &answer, err))
        return false;
    if (answer.verdict == TRACKER_COUNTED)
        aggregate_add(&out->cell.aggregate, answer.increase, WEIGHT_ONE, sample.at,
                      from->sample->arrival);
    else if (answer.verdict == TRACKER_CONFLICT)
        from->drops->counts[DROP_conflict]++;
    else
        from->drops->counts[DROP_duplicate]++;
    return true;
}

bool cumulatives_resolve(struct cumulatives *set, struct write_txn *txn, struct cumulative *samples,
                         size_t count, struct delta_cell *out, struct error *err)
{
    qsort(samples, count, sizeof *samples, compare_samples);
    for (size_t i = 0; i < count; i++) {
        if (!resolve(set, &txn->reader, &samples[i], &out[i], err))
            return false;
    }
    return tracker_set_save(set->trackers, txn, err);
}
