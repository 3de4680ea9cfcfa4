#include "store/point.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "store/catalog.h"
#include "store/index.h"
#include "store/mixed.h"
#include "store/series_cursor.h"
#include "store/series_table.h"

enum {
    DIGIT_BITS = 11,
    DIGIT_COUNT = 1 << DIGIT_BITS,
    SORT_SMALL = 32, /* fewer are sorted by comparing */
    PREFETCH_AHEAD = 12,
    NOTE_MS = MS_PER_MINUTE, /* metrics of two senders are marked so often */
};

struct points {
    struct tracker_set *trackers;
    struct series_table metrics; /* metric_hash -> index into `first_seen`, + 1 */
    wall_ms *first_seen;
    size_t count;
    size_t capacity;
    struct series_table noted; /* the same -> index into `noted_at`, + 1: of two senders */
    wall_ms *noted_at;
    size_t noted_count;
    size_t noted_capacity;
};

struct points *points_new(void)
{
    struct points *set = memory_zero(1, sizeof *set);
    set->trackers = tracker_set_new();
    series_table_init(&set->metrics);
    series_table_init(&set->noted);
    return set;
}

void points_free(struct points *set)
{
    if (set == NULL)
        return;
    tracker_set_free(set->trackers);
    series_table_fini(&set->metrics);
    series_table_fini(&set->noted);
    free(set->first_seen);
    free(set->noted_at);
    free(set);
}

bool points_begin(struct points *set, const struct read_txn *txn, struct error *err)
{
    return tracker_set_begin(set->trackers, txn, err);
}

void points_forget(struct points *set)
{
    tracker_set_forget(set->trackers);
    series_table_fini(&set->noted);
    series_table_init(&set->noted);
    set->noted_count = 0;
}

void points_remove(struct points *set, const uint32_t *ids, size_t count)
{
    tracker_set_remove(set->trackers, ids, count);
}

size_t points_size_bytes(const struct points *set)
{
    return sizeof *set + tracker_set_size_bytes(set->trackers) +
           series_table_size_bytes(&set->metrics) + series_table_size_bytes(&set->noted) +
           set->capacity * sizeof *set->first_seen + set->noted_capacity * sizeof *set->noted_at;
}

/* --- the metric's first sample --- */

/* The least id that a run has for the metric; 0: none. */
static bool first_id_in(const struct read_txn *txn, uint64_t run, struct index_key key,
                        uint32_t *out, struct error *err)
{
    struct index_cursor cursor;
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    size_t count = 0;

    *out = 0;
    bool ok = index_cursor_init(&cursor, txn, run, err) && index_cursor_seek(&cursor, key, 0, err);
    if (ok && cursor.has && index_key_order(cursor.key, key) == 0) {
        ok = index_cursor_ids(&cursor, ids, &count, err);
        *out = ok && count > 0 ? ids[0] : 0;
    }
    index_cursor_fini(&cursor);
    return ok;
}

/* When the first series of the metric was made; WALL_NONE while none is in the index, which it is
 * moments later. */
static bool read_first_seen(const struct read_txn *txn, struct index_key key, wall_ms *out,
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

/* The index that a metric has in a list that grows with it. */
static wall_ms *slot_of(struct series_table *table, struct series_hash metric, wall_ms **list,
                        size_t *count, size_t *capacity)
{
    const struct series_slot *slot = series_table_find(table, metric);

    if (slot != NULL)
        return &(*list)[slot->id - 1];
    if (*count == *capacity) {
        *capacity = *capacity == 0 ? 64 : *capacity * 2;
        *list = memory_grow(*list, *capacity, sizeof **list);
    }
    (*list)[(*count)++] = WALL_NONE;
    series_table_put(table, metric, (uint32_t)*count, 0);
    return &(*list)[*count - 1];
}

/* Of the kind and the metric, which a series' key begins with. */
static struct series_hash metric_hash(struct str key)
{
    return series_key_hash((struct str){key.text, 1 + series_key_metric(key).len});
}

/* False: nobody knows. */
static bool key_of(const struct read_txn *txn, const struct point *point, struct str *out)
{
    *out = point->key;
    return out->len > 0 || catalog_key(txn, point->id, out);
}

/* The first sample of the metric: asked for the first point of a series alone. */
static bool first_seen(struct points *set, const struct read_txn *txn, const struct point *point,
                       wall_ms *out, struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct str key;

    *out = WALL_NONE;
    if (point->sent->form != POINT_CUMULATIVE || point->sent->start == WALL_NONE ||
        tracker_has(set->trackers, point->id, POINT_CUMULATIVE) || !key_of(txn, point, &key))
        return true;
    wall_ms *known =
        slot_of(&set->metrics, metric_hash(key), &set->first_seen, &set->count, &set->capacity);
    bool ok = true;
    if (*known == WALL_NONE)
        ok = read_first_seen(txn,
                             index_metric_key(series_key_kind(key), series_key_metric(key), &arena),
                             known, err);
    arena_fini(&arena);
    *out = *known;
    return ok;
}

/* --- sorting --- */

/* A point to be sorted: what its place in the order needs. */
struct place {
    uint32_t id;
    uint32_t point;
};

static int compare_places(const void *a, const void *b, void *arg)
{
    const struct place *places[2] = {a, b};
    const struct point *points = arg;
    const struct delta_point *one = points[places[0]->point].sent;
    const struct delta_point *other = points[places[1]->point].sent;

    if (places[0]->id != places[1]->id)
        return places[0]->id < places[1]->id ? -1 : 1;
    if (one->at != other->at)
        return one->at < other->at ? -1 : 1;
    if (one->at_ns != other->at_ns)
        return one->at_ns < other->at_ns ? -1 : 1;
    if (one->arrival != other->arrival)
        return one->arrival < other->arrival ? -1 : 1;
    return 0;
}

/* Stable, by one digit of the ids. */
static void sort_digit(const struct place *from, struct place *to, size_t count, unsigned shift)
{
    uint32_t starts[DIGIT_COUNT] = {0};
    uint32_t start = 0;

    for (size_t i = 0; i < count; i++)
        starts[from[i].id >> shift & (DIGIT_COUNT - 1)]++;
    for (size_t i = 0; i < DIGIT_COUNT; i++) {
        uint32_t here = starts[i];
        starts[i] = start;
        start += here;
    }
    for (size_t i = 0; i < count; i++)
        to[starts[from[i].id >> shift & (DIGIT_COUNT - 1)]++] = from[i];
}

/* By id from the least digit on, then what is of one series: mostly there is one of each. */
static struct place *sort(const struct point_list *list, struct arena *scratch)
{
    struct place *from = arena_array(scratch, list->count + 1, sizeof *from);
    uint32_t bits = 0;

    assert(list->count <= UINT32_MAX);
    for (size_t i = 0; i < list->count; i++) {
        from[i] = (struct place){list->items[i].id, (uint32_t)i};
        bits |= from[i].id ^ from[0].id;
    }
    if (list->count <= SORT_SMALL) {
        qsort_r(from, list->count, sizeof *from, compare_places, list->items);
        return from;
    }
    struct place *to = arena_array(scratch, list->count, sizeof *to);
    for (unsigned shift = 0; shift < 32; shift += DIGIT_BITS) {
        if ((bits >> shift & (DIGIT_COUNT - 1)) == 0)
            continue;
        sort_digit(from, to, list->count, shift);
        struct place *sorted = to;
        to = from;
        from = sorted;
    }
    for (size_t i = 0, end = 0; i < list->count; i = end) {
        for (end = i + 1; end < list->count && from[end].id == from[i].id;)
            end++;
        if (end > i + 1)
            qsort_r(&from[i], end - i, sizeof *from, compare_places, list->items);
    }
    return from;
}

/* --- the points --- */

/* Two senders: the metric is marked, not more than once a minute. */
static bool note_mixed(struct points *set, struct write_txn *txn, const struct point *point,
                       const struct tracker_answer *answer, struct point_list *list,
                       struct error *err)
{
    const struct mixed_span span = {answer->mixed_from, point->sent->at};
    struct str key;

    list->mixed++;
    if (!key_of(&txn->reader, point, &key))
        return true;
    struct str metric = series_key_metric(key);
    (void)str_quoted(metric, list->mixed_metric);
    wall_ms *noted_at = slot_of(&set->noted, metric_hash(key), &set->noted_at, &set->noted_count,
                                &set->noted_capacity);
    if (*noted_at != WALL_NONE && span.to >= *noted_at && span.to - *noted_at < NOTE_MS)
        return true;
    *noted_at = span.to;
    return mixed_note(txn, metric, span, err);
}

/* Takes what the answer counted over. */
static void store_counted(const struct point *point, const struct tracker_answer *answer,
                          struct arena *scratch, struct point_list *list)
{
    const struct delta_point *sent = point->sent;
    struct point_sample *sample = &list->samples[list->sample_count];

    sample->id = point->id;
    sample->minute = minute_of(sent->at);
    sample->drops = point->drops;
    if (sent->tally == NULL) {
        chunk_sample_of(answer->value, sample->minute, sent->at, sent->arrival, &sample->sample);
        list->sample_count++;
        return;
    }
    if (answer->counted == NULL)
        return;
    sample->cell = arena_alloc(scratch, sizeof *sample->cell);
    sample->cell->minute = sample->minute;
    tally_cell(answer->counted, sent->at, sent->arrival, &sample->cell->cell);
    tally_free(answer->counted);
    list->has_sketches = true;
    list->sample_count++;
}

static bool resolve(struct points *set, struct write_txn *txn, const struct point *point,
                    struct arena *scratch, struct point_list *list, struct error *err)
{
    struct tracker_point taken = {.id = point->id,
                                  .form = point->sent->form,
                                  .at = point->sent->at,
                                  .start = point->sent->start,
                                  .at_ns = point->sent->at_ns,
                                  .start_ns = point->sent->start_ns,
                                  .value = point->sent->value,
                                  .tally = point->sent->tally,
                                  .by_arrival = point->sent->by_arrival};
    struct tracker_answer answer;

    if (!first_seen(set, &txn->reader, point, &taken.metric_first_at, err))
        return false;
    tracker_take(set->trackers, &taken, &answer);
    if (answer.verdict == TRACKER_COUNTED)
        store_counted(point, &answer, scratch, list);
    else if (answer.verdict == TRACKER_CONFLICT)
        drop_point(point->drops, DROP_conflict, point->sent->tally != NULL);
    else
        drop_point(point->drops, DROP_duplicate, point->sent->tally != NULL);
    return !answer.mixed || note_mixed(set, txn, point, &answer, list, err);
}

bool points_resolve(struct points *set, struct write_txn *txn, struct arena *scratch,
                    struct point_list *list, struct error *err)
{
    const struct place *order = sort(list, scratch);

    list->samples = arena_array(scratch, list->count + 1, sizeof *list->samples);
    for (size_t i = 0; i < list->count; i++) {
        if (i + PREFETCH_AHEAD < list->count) {
            const struct place *ahead = &order[i + PREFETCH_AHEAD];
            __builtin_prefetch(list->items[ahead->point].sent);
            tracker_prefetch(set->trackers, ahead->id);
        }
        if (!resolve(set, txn, &list->items[order[i].point], scratch, list, err))
            return false;
    }
    return tracker_set_save(set->trackers, txn, err);
}

void point_list_fini(struct point_list *list)
{
    for (size_t i = 0; list->has_sketches && i < list->sample_count; i++) {
        if (list->samples[i].cell != NULL)
            cell_fini(&list->samples[i].cell->cell);
    }
}
