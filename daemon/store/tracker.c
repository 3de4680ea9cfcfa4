#include "store/tracker.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "series/slots.h"

enum { RECORD_VERSION = 1, LIST_MIN = 64 };

struct tracker {
    uint32_t id;
    uint32_t reset_ages[TRACKER_RESETS];
    wall_ms start;
    wall_ms at;   /* WALL_NONE: the series was never seen */
    double value; /* not a number: the store knows */
    wall_ms mixed_at;
};

struct tracker_set {
    struct tracker *items;
    size_t count, capacity;
    struct slots slots; /* hash of the id -> index into `items`, + 1 */
    uint32_t *taken;    /* indexes, some more than once */
    size_t taken_count, taken_capacity;
};

/* --- life --- */

struct tracker_set *tracker_set_new(void)
{
    return memory_zero(1, sizeof(struct tracker_set));
}

void tracker_set_free(struct tracker_set *set)
{
    if (set == NULL)
        return;
    free(set->items);
    free(set->taken);
    slots_fini(&set->slots);
    free(set);
}

void tracker_set_begin(struct tracker_set *set)
{
    set->taken_count = 0;
}

void tracker_set_forget(struct tracker_set *set)
{
    for (size_t i = 0; i < set->taken_count; i++)
        set->items[set->taken[i]].value = NAN;
    set->taken_count = 0;
}

size_t tracker_set_size_bytes(const struct tracker_set *set)
{
    return set->capacity * sizeof *set->items + set->taken_capacity * sizeof *set->taken +
           slots_size_bytes(&set->slots);
}

/* Room for one more item of a list. */
static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = count + count / 2 + LIST_MIN;
    return memory_grow(items, *capacity, size);
}

/* --- in the store --- */

static void encode(const struct tracker *tracker, struct buf *out)
{
    buf_u8(out, RECORD_VERSION);
    buf_i64(out, tracker->start);
    buf_i64(out, tracker->at);
    buf_double(out, tracker->value);
    for (int i = 0; i < TRACKER_RESETS; i++)
        buf_u32(out, tracker->reset_ages[i]);
    buf_i64(out, tracker->mixed_at);
}

static bool decode(struct str bytes, struct tracker *out)
{
    struct reader reader = reader_of(bytes);
    uint8_t version = read_u8(&reader);

    out->start = read_i64(&reader);
    out->at = read_i64(&reader);
    out->value = read_double(&reader);
    for (int i = 0; i < TRACKER_RESETS; i++)
        out->reset_ages[i] = read_u32(&reader);
    out->mixed_at = read_i64(&reader);
    return reader.ok && reader.left == 0 && version == RECORD_VERSION && out->at != WALL_NONE &&
           isfinite(out->value) && out->value >= 0;
}

static bool load(const struct read_txn *txn, struct tracker *tracker, struct error *err)
{
    struct schema_key key = schema_id_key(tracker->id);
    struct tracker stored = {.id = tracker->id};
    struct str bytes;
    bool found = false;

    if (!store_find(txn, DATABASE_TRACKERS, store_key(&key), &bytes, &found, err))
        return false;
    if (!found || !decode(bytes, &stored)) {
        stored = (struct tracker){
            .id = tracker->id, .start = WALL_NONE, .at = WALL_NONE, .mixed_at = WALL_NONE};
        for (int i = 0; i < TRACKER_RESETS; i++)
            stored.reset_ages[i] = UINT32_MAX;
    }
    *tracker = stored;
    return true;
}

/* The index of a series' tracker, as it is known now. */
static bool find(struct tracker_set *set, const struct read_txn *txn, uint32_t id, uint32_t *out,
                 struct error *err)
{
    uint32_t hash = id * UINT32_C(2654435769); /* spreads ids that follow each other */
    uint32_t at = slots_home(&set->slots, hash);
    uint32_t place = 0;

    do
        place = slots_next(&set->slots, hash, &at);
    while (place != 0 && set->items[place - 1].id != id);
    if (place == 0) {
        set->items = grow(set->items, set->count, &set->capacity, sizeof *set->items);
        set->items[set->count++] = (struct tracker){.id = id, .value = NAN};
        place = (uint32_t)set->count;
        slots_add(&set->slots, hash, place);
    }
    *out = place - 1;
    struct tracker *tracker = &set->items[*out];
    return !isnan(tracker->value) || load(txn, tracker, err);
}

static int compare_indexes(const void *a, const void *b, void *arg)
{
    const struct tracker *items = arg;
    uint32_t left = items[*(const uint32_t *)a].id;
    uint32_t right = items[*(const uint32_t *)b].id;
    return left < right ? -1 : left > right;
}

bool tracker_set_save(struct tracker_set *set, struct write_txn *txn, struct error *err)
{
    struct buf bytes = BUF_EMPTY;
    bool ok = true;

    if (set->taken_count > 0)
        qsort_r(set->taken, set->taken_count, sizeof *set->taken, compare_indexes, set->items);
    for (size_t i = 0; i < set->taken_count && ok; i++) {
        const struct tracker *tracker = &set->items[set->taken[i]];
        if (i > 0 && set->taken[i] == set->taken[i - 1])
            continue;
        struct schema_key key = schema_id_key(tracker->id);
        buf_clear(&bytes);
        encode(tracker, &bytes);
        ok = store_put(txn, DATABASE_TRACKERS, store_key(&key), buf_view(&bytes), 0, err);
    }
    buf_fini(&bytes);
    return ok;
}

/* --- counting --- */

static uint32_t age_of(uint64_t ms)
{
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

/* `at` is later than the tracker's. */
static void grow_older(struct tracker *tracker, wall_ms at)
{
    uint64_t passed = (uint64_t)at - (uint64_t)tracker->at;
    for (int i = 0; i < TRACKER_RESETS; i++) {
        uint64_t age = tracker->reset_ages[i];
        tracker->reset_ages[i] = passed > UINT32_MAX ? UINT32_MAX : age_of(age + passed);
    }
}

/* Takes note of a reset at the tracker's time; whether it is one too many. */
static bool note_reset(struct tracker *tracker, wall_ms at)
{
    bool mixed = tracker->reset_ages[TRACKER_RESETS - 1] <= TRACKER_MIXED_MS;

    for (int i = TRACKER_RESETS - 1; i > 0; i--)
        tracker->reset_ages[i] = tracker->reset_ages[i - 1];
    tracker->reset_ages[0] = 0;
    if (mixed)
        tracker->mixed_at = at;
    return mixed;
}

/* A counter that begins as it is reported says nothing of what was before: OTLP's way to say that
 * the start is not known. */
static bool counts_whole(const struct tracker_sample *sample)
{
    return sample->start == WALL_NONE || sample->start < sample->at;
}

static bool is_reset(const struct tracker *tracker, const struct tracker_sample *sample)
{
    if (sample->value < tracker->value)
        return true;
    if (sample->start == WALL_NONE)
        return false;
    /* A sender that begins to say its start has not begun anew, unless it did so since. */
    wall_ms before = tracker->start == WALL_NONE ? tracker->at : tracker->start;
    return sample->start > before;
}

static void count_first(const struct tracker_sample *sample, struct tracker_answer *out)
{
    if (sample->start != WALL_NONE && sample->metric_first_at != WALL_NONE &&
        sample->start > sample->metric_first_at && counts_whole(sample))
        out->increase = sample->value;
}

static void count_next(struct tracker *tracker, const struct tracker_sample *sample,
                       struct tracker_answer *out)
{
    grow_older(tracker, sample->at);
    if (!is_reset(tracker, sample)) {
        out->since = tracker->at;
        out->increase = sample->value - tracker->value;
        return;
    }
    out->reset = true;
    out->mixed = note_reset(tracker, sample->at);
    out->increase = counts_whole(sample) ? sample->value : 0;
}

bool tracker_take(struct tracker_set *set, const struct read_txn *txn,
                  const struct tracker_sample *sample, struct tracker_answer *out,
                  struct error *err)
{
    uint32_t index = 0;

    *out = (struct tracker_answer){.verdict = TRACKER_COUNTED, .since = WALL_NONE};
    if (!find(set, txn, sample->id, &index, err))
        return false;
    struct tracker *tracker = &set->items[index];
    if (tracker->at != WALL_NONE && sample->at <= tracker->at) {
        bool differs = sample->at == tracker->at && sample->value != tracker->value;
        out->verdict = differs ? TRACKER_CONFLICT : TRACKER_DUPLICATE;
        return true;
    }
    if (tracker->at == WALL_NONE)
        count_first(sample, out);
    else
        count_next(tracker, sample, out);
    tracker->at = sample->at;
    tracker->value = sample->value;
    if (sample->start != WALL_NONE)
        tracker->start = sample->start;
    set->taken = grow(set->taken, set->taken_count, &set->taken_capacity, sizeof *set->taken);
    set->taken[set->taken_count++] = index;
    return true;
}
