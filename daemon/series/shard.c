#include "series/shard.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "series/shard_private.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    CACHE_LINE = 64,
    GROUP = 64, /* samples looked up together, so that few wait for the first of each step */
    TOUCHED_MIN = 64,
    RENEW_AFTER_MINUTES = 24 * 60, /* less than storage.churn_after can be */
};

#define US_PER_MINUTE (INT64_C(60) * 1000 * 1000)

/* When a sample was, by the minute. */
struct moment {
    enum reject_reason reason; /* FIG-3 */
    wall_ms at;
    int32_t minute;
    uint16_t ms;
    bool is_arrival; /* nobody said */
};

/* What a sample does to a series of a kind. */
struct measure {
    double value;
    uint64_t weight;
    struct str member;
    bool is_change;                             /* of a gauge */
    const struct metric_definition *definition; /* of a change's metric; NULL: not declared */
    bool counts_values;                         /* a distribution or a score */
    const struct moment *moment;
};

/* --- records ----------------------------------------------------------------------------------*/

/* A place for a record, zeroed: a cache line of its own; 0 when all places are taken. */
static uint32_t place_new(struct shard *shard)
{
    if (shard->chunk_count == 0 || shard->units_used == CHUNK_UNITS) {
        if (shard->chunk_count == CHUNKS_MAX)
            return 0;
        if (shard->chunk_count == shard->chunk_capacity) {
            shard->chunk_capacity = shard->chunk_capacity == 0 ? 8 : shard->chunk_capacity * 2;
            shard->chunks =
                memory_grow(shard->chunks, shard->chunk_capacity, sizeof *shard->chunks);
        }
        if (shard->chunk_count > 0) /* what is read from now on for ever */
            pages_make_huge(shard->chunks[shard->chunk_count - 1], CHUNK_BYTES);
        shard->chunks[shard->chunk_count++] = pages_new(CHUNK_BYTES);
        shard->units_used = shard->chunk_count == 1 ? RECORD_UNITS : 0; /* place 0 is none */
    }
    uint32_t place = (uint32_t)((shard->chunk_count - 1) * CHUNK_UNITS + shard->units_used);
    shard->units_used += RECORD_UNITS;
    return place;
}

static struct raw_hash raw_hash(const struct shard *shard, const struct sample *sample)
{
    uint64_t seed = shard->seed + (uint64_t)sample->kind * UINT64_C(0x9e3779b97f4a7c15);
    XXH128_hash_t hash = XXH3_128bits_withSeed(sample->name.text, sample->name.len, seed);
    if (sample->tags.len > 0)
        hash = XXH3_128bits_withSeed(sample->tags.text, sample->tags.len,
                                     hash.low64 + (uint64_t)sample->tag_style);
    return (struct raw_hash){.slot = (uint32_t)(hash.low64 >> 32),
                             .low = (uint32_t)hash.low64,
                             .high = (uint16_t)(hash.high64 >> 48)};
}

static bool raw_key_is_of(const struct raw_key *raw, struct raw_hash hash)
{
    return raw->low == hash.low && raw->high == hash.high;
}

/* The place of the series when the raw key at a place of the cache has the hash; else 0. */
static uint32_t series_of_raw(const struct shard *shard, uint32_t place, struct raw_hash hash)
{
    const struct alias *alias = at_place(shard, place);
    if (!raw_key_is_of(&alias->raw, hash))
        return 0;
    if (alias->raw.kind != 0)
        return place;
    return alias_holds(shard, alias) ? alias->series : 0;
}

static uint32_t raw_key_find(const struct shard *shard, struct raw_hash hash)
{
    uint32_t at = slots_home(&shard->raw_keys, hash.slot);
    uint32_t place = 0;
    while ((place = slots_next(&shard->raw_keys, hash.slot, &at)) != 0) {
        uint32_t series = series_of_raw(shard, place, hash);
        if (series != 0)
            return series;
    }
    return 0;
}

/* The place of another alias: several share what a record would take. */
static uint32_t alias_new(struct shard *shard)
{
    if (shard->aliases_left == 0) {
        uint32_t place = place_new(shard);
        if (place == 0)
            return 0;
        shard->next_alias = place;
        shard->aliases_left = RECORD_UNITS / ALIAS_UNITS;
    }
    uint32_t place = shard->next_alias;
    shard->next_alias += ALIAS_UNITS;
    shard->aliases_left--;
    return place;
}

/* Remembers that a raw key is of a series: in its record, or in an alias when that has another one.
 */
static void raw_key_add(struct shard *shard, struct raw_hash hash, uint32_t series)
{
    struct record *record = at_place(shard, series);
    struct raw_key *raw = &record->raw;
    uint32_t place = series;

    if (shard->raw_keys.count >= shard->limits.raw_keys)
        return;
    if (raw->kind == 0 || raw->has_key) {
        place = alias_new(shard);
        if (place == 0)
            return;
        struct alias *alias = at_place(shard, place);
        alias->series = series;
        raw = &alias->raw;
    }
    raw->has_key = true;
    raw->low = hash.low;
    raw->high = hash.high;
    slots_add(&shard->raw_keys, hash.slot, place);
}

/* The alias that says what a raw key of this listener was when it might bring no more; NULL. */
static struct alias *refused_key_find(const struct shard *shard, struct raw_hash hash)
{
    uint32_t at = slots_home(&shard->raw_keys, hash.slot);
    uint32_t place = 0;

    while ((place = slots_next(&shard->raw_keys, hash.slot, &at)) != 0) {
        struct alias *alias = at_place(shard, place);
        if (raw_key_is_of(&alias->raw, hash) && alias->raw.kind == 0 &&
            alias->listener == shard->listener)
            return alias;
    }
    return NULL;
}

/* Remembers for this minute that a raw key of this listener is of an `__other__`: another one may
 * bring the series, and then it is this one's as well. */
static void refused_key_add(struct shard *shard, struct raw_hash hash, uint32_t series)
{
    struct alias *alias = refused_key_find(shard, hash);

    if (alias == NULL && shard->raw_keys.count < shard->limits.raw_keys) {
        uint32_t place = alias_new(shard);
        if (place == 0)
            return;
        alias = at_place(shard, place);
        alias->raw = (struct raw_key){.low = hash.low, .high = hash.high, .has_key = true};
        alias->listener = shard->listener;
        slots_add(&shard->raw_keys, hash.slot, place);
    }
    if (alias == NULL)
        return;
    alias->series = series;
    alias->minute = shard->minute;
}

/* --- cells ------------------------------------------------------------------------------------*/

/* An array of chunks with one item more than its `count`: makes a chunk when they are full. The
 * first huge page's worth stays in small ones, so that few items take little. */
static void *items_reserve(void *chunks, size_t *chunk_count, size_t count, size_t per_chunk,
                           size_t chunk_bytes)
{
    void **grown = chunks;

    if (count < *chunk_count * per_chunk)
        return chunks;
    grown = memory_grow(chunks, *chunk_count + 1, sizeof *grown);
    grown[*chunk_count] = pages_new(chunk_bytes);
    if (*chunk_count > 0)
        pages_want_huge(grown[*chunk_count], chunk_bytes);
    ++*chunk_count;
    return grown;
}

static uint32_t side_new(struct pending *pending, uint32_t touched, int32_t minute)
{
    assert(pending->side_count < UINT32_MAX - 1);
    pending->side_chunks =
        items_reserve(pending->side_chunks, &pending->side_chunk_count, pending->side_count,
                      SIDES_PER_CHUNK, SIDES_PER_CHUNK * sizeof(struct side));
    uint32_t index = (uint32_t)pending->side_count++;
    *side_at(pending, index) = (struct side){.touched = touched, .minute = minute};
    return index;
}

/* Goes on with a record all of whose values were equal. */
static void spread_new(struct pending *pending, struct record *record)
{
    assert(pending->spread_count < UINT32_MAX - 1);
    pending->spread_chunks =
        items_reserve(pending->spread_chunks, &pending->spread_chunk_count, pending->spread_count,
                      SPREADS_PER_CHUNK, sizeof(struct spread_chunk));
    uint32_t index = (uint32_t)pending->spread_count++;
    struct spread *spread = spread_at(pending, index);
    spread->sum =
        exact_sum_add((struct exact_sum){0, 0}, exact_product(record->value, record->count));
    spread->min = spread->max = *spread_first(pending, index) = record->value;
    record->side = index + 1;
    record->raw.has_spread = true;
}

static uint32_t minute_hash(const struct shard *shard, uint32_t touched, int32_t minute)
{
    uint64_t pair = (uint64_t)touched << 32 | (uint32_t)minute;
    return (uint32_t)(XXH3_64bits_withSeed(&pair, sizeof pair, shard->seed) >> 32);
}

/* The cell of another minute than the current one, as index + 1; 0 when there is none yet. */
static uint32_t other_minute_find(const struct shard *shard, const struct pending *pending,
                                  uint32_t touched, int32_t minute)
{
    uint32_t hash = minute_hash(shard, touched, minute);
    uint32_t at = slots_home(&pending->other_minutes, hash);
    uint32_t place = 0;
    while ((place = slots_next(&pending->other_minutes, hash, &at)) != 0) {
        const struct side *side = side_at(pending, place - 1);
        if (side->touched == touched && side->minute == minute)
            return place;
    }
    return 0;
}

static void other_minute_add(struct shard *shard, struct pending *pending, uint32_t index)
{
    const struct side *side = side_at(pending, index);
    slots_add(&pending->other_minutes, minute_hash(shard, side->touched, side->minute), index + 1);
    if (shard->hands_over && pending != &shard->pending[shard->current])
        hand_over_note_other(shard, pending, index);
}

/* Counts the sample in the record and its spread; false when its cell has to become a side cell. */
static bool add_to_record(struct pending *pending, struct record *record,
                          const struct measure *measure, uint64_t arrival)
{
    uint64_t since_base = arrival - pending->arrival_base;
    uint64_t count = 0;

    if (since_base > UINT32_MAX)
        return false;
    if (record->count == 0) {
        record->value = measure->value;
        record->first_ms = record->last_ms = measure->moment->ms;
        record->first_arrival = record->last_arrival = (uint32_t)since_base;
        record->count = measure->weight;
        return true;
    }
    if (__builtin_add_overflow(record->count, measure->weight, &count))
        return false;
    if (!record->raw.has_spread && record->value != measure->value) {
        if (measure->counts_values)
            return false;
        spread_new(pending, record);
    }
    if (record->raw.has_spread) {
        struct spread *spread = spread_at(pending, record->side - 1);
        spread->sum = exact_sum_add(spread->sum, exact_product(measure->value, measure->weight));
        spread->min = measure->value < spread->min ? measure->value : spread->min;
        spread->max = measure->value > spread->max ? measure->value : spread->max;
    }
    record->count = count;
    if (measure->moment->ms >= record->last_ms) { /* the arrival is later in any case */
        record->value = measure->value;
        record->last_ms = measure->moment->ms;
        record->last_arrival = (uint32_t)since_base;
    } else if (measure->moment->ms < record->first_ms) {
        if (record->raw.has_spread)
            *spread_first(pending, record->side - 1) = measure->value;
        record->first_ms = measure->moment->ms;
        record->first_arrival = (uint32_t)since_base;
    }
    return true;
}

/* A gauge's change is a new value where the cell knows the level, else it is kept for the writer
 * (S7). False when the level would not be finite. */
static bool add_change(struct pending *pending, struct side *side, const struct measure *measure,
                       uint64_t arrival)
{
    const struct aggregate *aggregate = &side->cell.aggregate;
    if (aggregate->count > 0) {
        /* Changes count in the order they come, whatever their times say. */
        wall_ms at =
            measure->moment->at > aggregate->last_at ? measure->moment->at : aggregate->last_at;
        double level = aggregate->last + measure->value;
        if (!isfinite(level))
            return false;
        level = metric_level(measure->definition, level);
        aggregate_add(&side->cell.aggregate, level, WEIGHT_ONE, at, arrival);
        return true;
    }
    if (side->changes == NULL) {
        side->changes = memory_zero(1, sizeof *side->changes);
        pending->owned_bytes += sizeof *side->changes;
    }
    size_t before = gauge_changes_size_bytes(side->changes);
    gauge_changes_begin(side->changes, measure->definition);
    bool ok = gauge_changes_add(side->changes, measure->value, measure->moment->at, arrival);
    pending->owned_bytes += gauge_changes_size_bytes(side->changes) - before;
    return ok;
}

static bool add_to_side(struct pending *pending, struct side *side, const struct measure *measure,
                        uint64_t arrival)
{
    struct cell *cell = &side->cell;

    if (measure->is_change)
        return add_change(pending, side, measure, arrival);
    pending->owned_bytes -= sketch_bytes(cell);
    if (measure->member.text != NULL) {
        if (cell->distinct == NULL)
            cell->distinct = distinct_new();
        distinct_add(cell->distinct, measure->member);
    }
    if (measure->counts_values)
        cell_add_value(cell, measure->value, measure->weight, measure->moment->at, arrival);
    else
        aggregate_add(&cell->aggregate, measure->value, measure->weight, measure->moment->at,
                      arrival);
    pending->owned_bytes += sketch_bytes(cell);
    return true;
}

/* Not asked of a record that has totals. */
static bool has_side(const struct record *record)
{
    return record->side != 0 && !record->raw.has_spread;
}

/* The side cell that the record's cell becomes, or is already. */
static struct side *promote(struct pending *pending, struct record *record)
{
    if (!has_side(record)) {
        uint32_t index = side_new(pending, record->touched, record->minute);
        side_at(pending, index)->cell = current_cell(pending, record);
        record->side = index + 1;
        record->raw.has_spread = false;
        record->count = 0;
    }
    return side_at(pending, record->side - 1);
}

static bool has_cell(const struct record *record)
{
    return record->count > 0 || record->side != 0;
}

/* The current cell, or that of another minute; NULL: it is the record's own. */
static struct side *cell_of_minute(struct shard *shard, struct pending *pending,
                                   struct record *record, int32_t minute)
{
    if (has_cell(record) && minute < record->minute) {
        uint32_t other = other_minute_find(shard, pending, record->touched, minute);
        if (other == 0) {
            other = side_new(pending, record->touched, minute) + 1;
            other_minute_add(shard, pending, other - 1);
        }
        return side_at(pending, other - 1);
    }
    if (has_cell(record) && minute > record->minute) {
        (void)promote(pending, record);
        other_minute_add(shard, pending, record->side - 1);
        record->side = 0;
    }
    record->minute = minute;
    return has_side(record) ? side_at(pending, record->side - 1) : NULL;
}

static void touch(struct shard *shard, struct record *record, uint32_t place)
{
    struct pending *pending = &shard->pending[shard->current];

    if (pending->touched_count == pending->touched_capacity) {
        size_t capacity = pending->touched_capacity + pending->touched_capacity / 4;
        pending->touched_capacity = capacity < TOUCHED_MIN ? TOUCHED_MIN : capacity;
        pending->touched =
            memory_grow(pending->touched, pending->touched_capacity, sizeof *pending->touched);
    }
    record->raw.generation = shard->current & 1;
    record->raw.has_totals = record->raw.is_total;
    record->touched = (uint32_t)pending->touched_count;
    pending->touched[pending->touched_count++] = place;
}

/* --- finding the series -----------------------------------------------------------------------*/

static bool score_is_in_range(double value, const struct metric_definition *definition)
{
    const double exact_max = 9007199254740992.0; /* 2^53: larger doubles are all whole */
    if (value != floor(value) || fabs(value) > exact_max)
        return false;
    return definition == NULL || !definition->has_range ||
           ((int64_t)value >= definition->range_low && (int64_t)value <= definition->range_high);
}

static enum reject_reason measure_special(struct shard *shard, const struct sample *sample,
                                          enum metric_kind kind, struct measure *out)
{
    if (kind == METRIC_UNIQUE) {
        out->value = 0;
        out->member = sample->text.text == NULL ? STR("") : sample->text;
        return REJECT_NONE;
    }
    if (sample->kind == METRIC_UNIQUE) {
        if (!str_parse_double(sample->text, &out->value))
            return REJECT_bad_number;
        out->value += 0.0;
    }
    return kind == METRIC_SCORE && !score_is_in_range(out->value, definition_of(shard, sample))
               ? REJECT_out_of_range
               : REJECT_NONE;
}

/* FIG-8: what the sample means for a series of `kind`, whatever the protocol called it. */
static inline enum reject_reason measure_value(struct shard *shard, const struct sample *sample,
                                               enum metric_kind kind, struct measure *out)
{
    bool is_gauge = kind == METRIC_GAUGE;

    out->value = sample->value + 0.0; /* -0 becomes 0 */
    /* S7: a level is a level, however seldom it is sent */
    out->weight = is_gauge ? WEIGHT_ONE : sample->weight;
    out->member = STR_EMPTY;
    out->is_change = is_gauge && sample->form == SAMPLE_CHANGE;
    if (out->is_change)
        out->definition = definition_of(shard, sample);
    out->counts_values = metric_kind_counts_values(kind);
    if (kind != METRIC_UNIQUE && kind != METRIC_SCORE && sample->kind != METRIC_UNIQUE)
        return REJECT_NONE;
    return measure_special(shard, sample, kind, out);
}

static struct moment moment_of(wall_ms at)
{
    int64_t minute = at / MS_PER_MINUTE - (at % MS_PER_MINUTE < 0 ? 1 : 0);

    if (minute < INT32_MIN || minute > INT32_MAX)
        return (struct moment){.reason = REJECT_bad_time};
    return (struct moment){.reason = REJECT_NONE,
                           .at = at,
                           .minute = (int32_t)minute,
                           .ms = (uint16_t)(at - minute * MS_PER_MINUTE)};
}

static struct moment moment_as_sent(const struct shard *shard, wall_ms at, wall_ms now)
{
    if (at > now + shard->limits.max_future || at < now - shard->limits.max_past)
        return (struct moment){.reason = REJECT_bad_time};
    return moment_of(at);
}

/* The key itself is not kept: its 128-bit hash is the series' name, and the store compares keys
 * when it makes a series. This hash is seeded, the series' is not. */
static uint32_t key_slot_hash(const struct shard *shard, struct str key)
{
    return (uint32_t)(XXH3_64bits_withSeed(key.text, key.len, shard->seed) >> 32);
}

/* The place of the series that shard->key names; 0 when it is not known. */
static uint32_t series_find(const struct shard *shard)
{
    struct str key = buf_view(&shard->key);
    struct series_hash hash = series_key_hash(key);
    uint32_t slot_hash = key_slot_hash(shard, key);
    uint32_t at = slots_home(&shard->series, slot_hash);
    uint32_t place = 0;
    while ((place = slots_next(&shard->series, slot_hash, &at)) != 0) {
        const struct record *record = at_place(shard, place);
        if (series_hash_equal(record->hash, hash))
            return place;
    }
    return 0;
}

/* Makes the series that shard->key names. It is touched at once, so that new keys are in the order
 * of touching. */
static uint32_t series_new(struct shard *shard, enum metric_kind kind)
{
    struct str key = buf_view(&shard->key);
    uint32_t place = place_new(shard);
    if (place == 0)
        return 0;
    struct record *record = at_place(shard, place);
    record->raw.kind = (uint8_t)kind;
    record->raw.is_new = true;
    record->hash = series_key_hash(key);
    slots_add(&shard->series, key_slot_hash(shard, key), place);
    touch(shard, record, place);
    new_key_add(shard, key);
    return place;
}

static void other_key_write(struct shard *shard, struct str name, enum metric_kind kind)
{
    const struct label other = {STR("__other__"), STR("true")};
    series_key_write(&shard->key, kind, name, &other, 1);
}

/* FIG-35: the series that takes what is over the limit. There may be one for each metric, so they
 * have a limit too. */
static uint32_t other_series(struct shard *shard, struct str name, enum metric_kind kind)
{
    other_key_write(shard, name, kind);
    uint32_t place = series_find(shard);
    if (place == 0 && shard->series.count / 2 < shard->limits.series)
        place = series_new(shard, kind);
    return place;
}

/* For the series that shard->key names, which is not known. */
static bool series_has_room(const struct shard *shard, struct str name)
{
    return shard->series.count < shard->limits.series &&
           !room_is_full(shard->limits.room, name, buf_view(&shard->key));
}

/* One place stands for all raw keys that rules of mapping drop: known, they cost nothing. */
static enum reject_reason resolve_unwanted(struct shard *shard, struct raw_hash hash, uint32_t *out)
{
    if (shard->unwanted == 0)
        shard->unwanted = place_new(shard);
    if (shard->unwanted == 0)
        return REJECT_series_limit;
    raw_key_add(shard, hash, shard->unwanted);
    *out = shard->unwanted;
    return REJECT_NONE;
}

/* What waits in a cell since before it was declared so is handed over first. */
static void say_total(struct shard *shard, uint32_t place, bool is_total)
{
    if (place == 0)
        return;
    struct record *record = at_place(shard, place);
    record->raw.is_total = is_total;
    if (!has_cell(record))
        record->raw.has_totals = is_total;
}

/* A raw key that is not in the cache: normalises it, and finds or makes its series. */
static enum reject_reason resolve(struct shard *shard, const struct sample *sample,
                                  struct raw_hash hash, uint32_t *out)
{
    struct series_name name;
    struct measure measure;

    enum reject_reason reason = series_name_of(shard, sample, &name);
    if (reason != REJECT_NONE)
        return reason;
    if (name.is_unwanted)
        return resolve_unwanted(shard, hash, out);
    const struct metric_definition *definition = metric_find(shard->metrics, name.name);
    enum metric_kind kind =
        definition != NULL && definition->has_kind ? definition->kind : sample->kind;
    bool is_total = definition != NULL && definition->counts_up;
    reason = measure_value(shard, sample, kind, &measure);
    if (reason == REJECT_NONE && is_total && measure.value < 0)
        reason = REJECT_bad_number;
    if (reason != REJECT_NONE)
        return reason; /* before a series is made for it */

    series_key_write(&shard->key, kind, name.name, name.labels, name.label_count);
    uint32_t place = series_find(shard);
    bool is_refused = place == 0 && listener_is_full(shard);
    if (place == 0 && !is_refused && series_has_room(shard, name.name))
        place = series_new(shard, kind);
    else if (place == 0 && !is_total) /* there it would be one of many under one name (FIG-23) */
        place = other_series(shard, name.name, kind);
    if (place == 0)
        return REJECT_series_limit;
    say_total(shard, place, is_total);
    if (is_refused)
        refused_key_add(shard, hash, place);
    else
        raw_key_add(shard, hash, place);
    *out = place;
    return REJECT_NONE;
}

/* --- taking samples ---------------------------------------------------------------------------*/

/* No reason to reject a sample: a rule of mapping drops it. */
#define UNWANTED ((enum reject_reason)(REJECT_NONE - 1))

/* One sample on its way through the steps below. */
struct lookup {
    enum reject_reason reason;
    struct raw_hash hash;
    uint32_t place;        /* first of the raw key that has the hash, then of the series; 0: none */
    struct record *record; /* what is there */
    struct measure measure;
    struct moment as_sent; /* unless that is now */
};

/* A series whose last sample was long ago may be gone from the store: it is handed over with its
 * key again. */
static void renew_key(struct shard *shard, const struct sample *sample, uint32_t place)
{
    struct record *record = at_place(shard, place);
    enum metric_kind kind = (enum metric_kind)record->raw.kind;
    struct series_name name;

    if (series_name_of(shard, sample, &name) != REJECT_NONE)
        return;
    series_key_write(&shard->key, kind, name.name, name.labels, name.label_count);
    if (!series_hash_equal(series_key_hash(buf_view(&shard->key)), record->hash))
        other_key_write(shard, name.name, kind);
    record->raw.is_new = true;
    touch(shard, record, place);
    new_key_add(shard, buf_view(&shard->key));
}

static bool is_long_ago(const struct record *record, int64_t now_us)
{
    return record->touched == NOT_TOUCHED && !record->raw.is_new &&
           now_us / US_PER_MINUTE - record->minute > RENEW_AFTER_MINUTES;
}

/* The series of a raw key that is not the one which was fetched. */
static __attribute__((noinline)) void search_series(struct shard *shard,
                                                    const struct sample *sample,
                                                    struct lookup *lookup)
{
    uint32_t series = raw_key_find(shard, lookup->hash);

    if (series == 0)
        lookup->reason = resolve(shard, sample, lookup->hash, &series);
    if (series == shard->unwanted && series != 0)
        lookup->reason = UNWANTED;
    lookup->place = series;
    if (lookup->reason == REJECT_NONE)
        lookup->record = at_place(shard, series);
}

/* Inlined in any case: gcc leaves out calls of what does nothing but fetch. */
static inline __attribute__((always_inline)) void fetch_cell(struct shard *shard,
                                                             const struct record *record)
{
    if (record->side == 0 || record->raw.has_totals)
        return;
    if (record->raw.has_spread) {
        __builtin_prefetch(spread_at(pending_of(shard, record), record->side - 1), 1);
        return;
    }
    const char *side = (const char *)side_at(pending_of(shard, record), record->side - 1);
    __builtin_prefetch(side, 1);
    __builtin_prefetch(side + CACHE_LINE, 1);
}

static inline void find_series(struct shard *shard, const struct sample *sample, int64_t now_us,
                               struct lookup *lookup)
{
    if (lookup->place == 0 || lookup->record->raw.kind == 0 ||
        !raw_key_is_of(&lookup->record->raw, lookup->hash))
        search_series(shard, sample, lookup);
    if (lookup->reason != REJECT_NONE)
        return;
    struct record *record = lookup->record;
    lookup->reason =
        measure_value(shard, sample, (enum metric_kind)record->raw.kind, &lookup->measure);
    if (lookup->reason == REJECT_NONE && is_long_ago(record, now_us))
        renew_key(shard, sample, lookup->place);
    if (record->raw.is_total && lookup->reason == REJECT_NONE && lookup->measure.value < 0)
        lookup->reason = REJECT_bad_number;
    fetch_cell(shard, record);
}

/* The histogram that the sample goes to; NULL: it has none yet, or another minute's. */
static const struct histogram *histogram_of(struct shard *shard, const struct lookup *lookup)
{
    if (lookup->reason != REJECT_NONE || !lookup->measure.counts_values ||
        !has_side(lookup->record))
        return NULL;
    const struct record *record = lookup->record;
    return side_at(pending_of(shard, record), record->side - 1)->cell.histogram;
}

static void prefetch_histograms(struct shard *shard, const struct lookup *lookups, size_t count)
{
    const struct histogram *histograms[GROUP];

    for (size_t i = 0; i < count; i++) {
        histograms[i] = histogram_of(shard, &lookups[i]);
        if (histograms[i] != NULL)
            __builtin_prefetch(histograms[i], 1);
    }
    for (size_t i = 0; i < count; i++) {
        if (histograms[i] != NULL)
            histogram_prefetch(histograms[i], lookups[i].measure.value);
    }
}

/* Strictly growing, whatever the clock does. */
static uint64_t next_arrival(const struct shard *shard, int64_t now_us)
{
    uint64_t next = shard->last_arrival + 1;
    return now_us > 0 && (uint64_t)now_us > next ? (uint64_t)now_us : next;
}

static void add_total(struct pending *pending, struct record *record, const struct measure *measure,
                      uint64_t arrival)
{
    const struct moment *moment = measure->moment;
    const struct total total = {.value = measure->value,
                                .at = moment->at,
                                .arrival = arrival,
                                .by_arrival = moment->is_arrival};

    totals_add(pending, record, &total);
    if (moment->minute > record->minute)
        record->minute = moment->minute;
}

static enum reject_reason apply(struct shard *shard, const struct lookup *lookup, int64_t now_us)
{
    const struct measure *measure = &lookup->measure;
    struct record *record = lookup->record;
    uint64_t arrival = next_arrival(shard, now_us);
    shard->last_arrival = arrival;

    if (record->touched == NOT_TOUCHED)
        touch(shard, record, lookup->place);
    struct pending *pending = pending_of(shard, record);
    pending->samples++;
    if (record->raw.has_totals) {
        add_total(pending, record, measure, arrival);
        return REJECT_NONE;
    }
    struct side *side = cell_of_minute(shard, pending, record, measure->moment->minute);
    if (measure->weight != WEIGHT_ONE)
        extra_add(pending, record->touched, measure->weight);
    if (side == NULL && !measure->is_change && measure->member.text == NULL &&
        add_to_record(pending, record, measure, arrival))
        return REJECT_NONE;
    if (side == NULL)
        side = promote(pending, record);
    if (add_to_side(pending, side, measure, arrival))
        return REJECT_NONE;
    pending->samples--; /* a change, whose weight is 1 */
    return REJECT_bad_number;
}

/* Each step does all of the group before the next, so that what one asks from memory is there when
 * the next one wants it. Memory never moves; only the slots may, and they are searched again. */
static void add_group(struct shard *shard, const struct sample *samples, size_t count,
                      int64_t now_us, struct lookup *lookups)
{
    struct pending *current = &shard->pending[shard->current];
    struct moment now = moment_of(now_us / 1000);

    now.is_arrival = true;
    if (current->touched_count == 0)
        current->arrival_base = next_arrival(shard, now_us);
    for (size_t i = 0; i < count; i++) {
        struct lookup *lookup = &lookups[i];
        lookup->measure.moment = &now;
        if (samples[i].at != WALL_NONE) {
            lookup->as_sent = moment_as_sent(shard, samples[i].at, now_us / 1000);
            lookup->measure.moment = &lookup->as_sent;
        }
        lookup->reason = lookup->measure.moment->reason;
        lookup->hash = raw_hash(shard, &samples[i]);
        slots_prefetch(&shard->raw_keys, lookup->hash.slot);
    }
    for (size_t i = 0; i < count; i++) {
        struct lookup *lookup = &lookups[i];
        uint32_t at = slots_home(&shard->raw_keys, lookup->hash.slot);
        lookup->place = slots_next(&shard->raw_keys, lookup->hash.slot, &at);
        if (lookup->place != 0) {
            lookup->record = at_place(shard, lookup->place);
            __builtin_prefetch(lookup->record, 1);
        }
    }
    bool has_histograms = false;
    for (size_t i = 0; i < count; i++) {
        if (lookups[i].reason == REJECT_NONE)
            find_series(shard, &samples[i], now_us, &lookups[i]);
        if (lookups[i].reason == REJECT_NONE && lookups[i].measure.counts_values)
            has_histograms = true;
    }
    if (has_histograms)
        prefetch_histograms(shard, lookups, count);
    for (size_t i = 0; i < count; i++) {
        if (lookups[i].reason == REJECT_NONE)
            lookups[i].reason = apply(shard, &lookups[i], now_us);
    }
}

void shard_add(struct shard *shard, const struct sample *samples, size_t count, int64_t now_us,
               struct ledger *ledger, enum reject_reason *why)
{
    struct lookup lookups[GROUP];

    shard->minute = (uint16_t)(now_us / US_PER_MINUTE);
    for (size_t done = 0; done < count;) {
        size_t group = count - done < GROUP ? count - done : GROUP;
        add_group(shard, samples + done, group, now_us, lookups);
        for (size_t i = 0; i < group; i++) {
            enum reject_reason reason = lookups[i].reason;
            if (reason == REJECT_NONE)
                ledger->stored++;
            else if (reason == UNWANTED || reason == REJECT_series_limit) /* as the writer does */
                ledger->dropped[reason == UNWANTED ? DROP_unwanted : DROP_series_limit]++;
            else
                ledger->rejected[reason]++;
            if (why != NULL)
                why[done + i] = reason == UNWANTED ? REJECT_NONE : reason;
        }
        done += group;
    }
}

/* --- the shard --------------------------------------------------------------------------------*/

struct shard *shard_new(const struct shard_limits *limits, const struct metric_table *metrics,
                        uint64_t seed)
{
    _Static_assert(sizeof(struct record) == CACHE_LINE, "a record is a cache line");
    _Static_assert(sizeof(struct alias) <= (size_t)ALIAS_UNITS * UNIT_BYTES,
                   "aliases share a record's place");
    _Static_assert(sizeof(struct side) == 128, "a side cell is two cache lines, as prefetched");
    struct shard *shard = memory_zero(1, sizeof *shard);
    shard->limits = *limits;
    shard->metrics = metrics;
    shard->seed = seed;
    return shard;
}

/* Copies a record without its raw key; returns its new place. */
static uint32_t move_record(struct shard *shard, const struct record *record)
{
    uint32_t place = place_new(shard);
    assert(place != 0); /* they had all been in no more memory */
    struct record *moved = at_place(shard, place);
    *moved = *record;
    moved->raw.has_key = false;
    if (moved->touched != NOT_TOUCHED)
        pending_of(shard, moved)->touched[moved->touched] = place;
    return place;
}

/* Aliases stand between the records, so those move to new memory without them. */
void shard_set_metrics(struct shard *shard, const struct metric_table *metrics)
{
    char **chunks = shard->chunks;
    size_t chunk_count = shard->chunk_count;

    shard->metrics = metrics;
    shard->unwanted = 0;
    shard->aliases_left = 0;
    slots_fini(&shard->raw_keys);
    shard->chunks = NULL;
    shard->chunk_count = 0;
    shard->chunk_capacity = 0;
    for (uint32_t i = 0; i < shard->series.size; i++) {
        struct slot *slot = &shard->series.items[i];
        if (slot->place == 0)
            continue;
        slot->place = move_record(shard, place_in(chunks, slot->place));
    }
    chunks_free(chunks, chunk_count);
}

bool shard_series_of(const struct shard *shard, const struct sample *sample,
                     struct series_hash *out)
{
    uint32_t series = raw_key_find(shard, raw_hash(shard, sample));
    const struct record *record = series == 0 ? NULL : at_place(shard, series);

    if (record == NULL || series == shard->unwanted)
        return false;
    *out = record->hash;
    return true;
}
