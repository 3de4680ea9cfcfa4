#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "base/counters.h"
#include "base/memory.h"
#include "store/catalog.h"
#include "store/census_private.h"

struct census *census_new(struct room *room)
{
    struct census *census = memory_zero(1, sizeof *census);

    census->room = room;
    ssize_t got = getrandom(&census->seed, sizeof census->seed, 0);
    (void)got; /* without randomness only crafted names may share a count */
    census->load_next = 1;
    return census;
}

/* Nothing more is known than what every metric has. */
static void shrink(struct metric *metric)
{
    if (metric->more == NULL || metric->more->labels != NULL || metric->more->offender != NULL)
        return;
    free(metric->more);
    metric->more = NULL;
}

static struct metric_more *more_of(struct metric *metric)
{
    if (metric->more == NULL)
        metric->more = memory_zero(1, sizeof *metric->more);
    return metric->more;
}

void census_forget_labels(struct metric *metric)
{
    struct label_counts *labels = census_labels(metric);

    if (labels == NULL)
        return;
    series_table_fini(&labels->values);
    series_table_fini(&labels->labels);
    free(labels);
    metric->more->labels = NULL;
    shrink(metric);
}

void census_free(struct census *census)
{
    if (census == NULL)
        return;
    for (size_t i = 0; i < census->metric_count; i++) {
        struct metric *metric = &census->metrics[i];
        census_forget_labels(metric);
        if (census_offender_of(metric) != NULL)
            free(census_offender_of(metric)->name);
        free(census_offender_of(metric));
        free(metric->more);
    }
    for (size_t i = 0; i < census->chunk_count; i++)
        free(census->chunks[i]);
    free(census->chunks);
    free(census->metrics);
    for (size_t i = 0; i < NAME_PARTS; i++)
        free(census->by_name[i].slots);
    free(census->offenders);
    census_free_owners(census);
    free(census->group_ids);
    free(census->group_metrics);
    free(census);
}

size_t census_size_bytes(const struct census *census)
{
    size_t bytes = sizeof *census + census->chunk_count * sizeof(struct chunk *) +
                   census->metric_capacity * sizeof(struct metric) +
                   census->offender_capacity * sizeof *census->offenders +
                   census->group_capacity * sizeof *census->group_ids +
                   census->owner_count * sizeof(struct owner);

    for (size_t i = 0; i < census->chunk_count; i++)
        bytes += census->chunks[i] == NULL ? 0 : sizeof(struct chunk);
    for (size_t i = 0; i < census->metric_count; i++) {
        const struct metric *metric = &census->metrics[i];
        const struct label_counts *labels = census_labels(metric);
        bytes += labels == NULL ? 0
                                : series_table_size_bytes(&labels->values) +
                                      series_table_size_bytes(&labels->labels);
        bytes += census_offender_of(metric) == NULL ? 0 : sizeof(struct offender);
    }
    for (size_t i = 0; i < NAME_PARTS; i++)
        bytes += census->by_name[i].size * sizeof *census->by_name[i].slots;
    return bytes;
}

uint16_t census_hour(wall_ms now)
{
    int64_t hour = now / (wall_ms)MS_PER_HOUR % HOURS_MAX;
    return (uint16_t)((hour < 0 ? hour + HOURS_MAX : hour) + 1);
}

/* --- metrics --- */

uint64_t census_name_hash(uint64_t seed, struct str name)
{
    return XXH3_64bits_withSeed(name.text, name.len, seed);
}

static size_t part_of(uint64_t name)
{
    return (size_t)(name >> (64 - NAME_PART_BITS));
}

static uint32_t check_of(uint64_t name)
{
    return (uint32_t)(name >> (32 - NAME_PART_BITS));
}

static uint32_t home_of(const struct census_names *names, uint32_t check)
{
    return (uint32_t)((uint64_t)check * names->size >> 32);
}

static uint32_t next_slot(const struct census_names *names, uint32_t at)
{
    return at + 1 == names->size ? 0 : at + 1;
}

/* The slot that has the metric, or the empty one where it would be. */
static struct census_name *name_slot(const struct census *census, const struct census_names *names,
                                     uint64_t name)
{
    uint32_t check = check_of(name);
    uint32_t at = home_of(names, check);

    while (names->slots[at].number != 0 &&
           (names->slots[at].check != check ||
            census_metric_at(census, names->slots[at].number)->name != name))
        at = next_slot(names, at);
    return &names->slots[at];
}

void census_prefetch(const struct census *census, struct str key)
{
    struct str metric = series_key_metric(key);
    uint64_t name = census_name_hash(census->seed, metric);
    const struct census_names *names = &census->by_name[part_of(name)];

    if (names->size > 0)
        __builtin_prefetch(&names->slots[home_of(names, check_of(name))], 1);
}

/* Puts one whose name is not there. */
static void put_name(const struct census_names *names, struct census_name name)
{
    uint32_t at = home_of(names, name.check);

    while (names->slots[at].number != 0)
        at = next_slot(names, at);
    names->slots[at] = name;
}

/* Filled to 3 in 4 at most. */
static void grow_names(struct census *census, size_t part)
{
    struct census_names *names = &census->by_name[part];
    const struct census_names old = *names;

    names->size = old.size == 0 ? NAME_PART_MIN : old.size + old.size / 2;
    if (old.size == NAME_PART_MIN) /* from here on at a time of its own */
        names->size = NAME_PART_NEXT + (uint32_t)part * (NAME_PART_NEXT / 2) / NAME_PARTS;
    names->slots = memory_zero(names->size, sizeof *names->slots);
    for (uint32_t i = 0; i < old.size; i++) {
        if (old.slots[i].number != 0)
            put_name(names, old.slots[i]);
    }
    free(old.slots);
}

/* Those that follow without a gap are put anew, so that they are found from their homes. */
static void remove_name(struct census *census, uint64_t name)
{
    struct census_names *names = &census->by_name[part_of(name)];
    uint32_t at = (uint32_t)(name_slot(census, names, name) - names->slots);

    names->slots[at].number = 0;
    names->used--;
    for (at = next_slot(names, at); names->slots[at].number != 0; at = next_slot(names, at)) {
        const struct census_name moved = names->slots[at];
        names->slots[at].number = 0;
        put_name(names, moved);
    }
}

/* 0: there is none. */
static uint32_t find_hash(const struct census *census, uint64_t name)
{
    const struct census_names *names = &census->by_name[part_of(name)];
    return names->size == 0 ? 0 : name_slot(census, names, name)->number;
}

static uint32_t find_metric(const struct census *census, struct str name)
{
    return find_hash(census, census_name_hash(census->seed, name));
}

bool census_has_metric(const struct census *census, uint32_t number)
{
    return find_hash(census, census_metric_at(census, number)->name) == number;
}

static uint32_t new_number(struct census *census, uint32_t *generation)
{
    uint32_t number = census->free_metric;

    *generation = 0;
    if (number != 0) {
        const struct metric *gone = census_metric_at(census, number);
        census->free_metric = gone->active;
        *generation = (gone->generation + 1) & GENERATIONS;
        return number;
    }
    if (census->metric_count == census->metric_capacity) {
        census->metric_capacity =
            census->metric_capacity == 0 ? 64 : census->metric_capacity * 3 / 2;
        census->metrics =
            memory_grow(census->metrics, census->metric_capacity, sizeof *census->metrics);
    }
    return (uint32_t)++census->metric_count;
}

uint32_t census_metric_of(struct census *census, struct str name)
{
    uint64_t hash = census_name_hash(census->seed, name);
    uint32_t generation = 0;

    struct census_names *names = &census->by_name[part_of(hash)];
    if ((uint64_t)(names->used + 1) * 4 > (uint64_t)names->size * 3)
        grow_names(census, part_of(hash));
    struct census_name *slot = name_slot(census, names, hash);
    if (slot->number != 0)
        return slot->number;
    uint32_t number = new_number(census, &generation);
    *census_metric_at(census, number) = (struct metric){.name = hash, .generation = generation};
    *slot = (struct census_name){number, check_of(hash)};
    names->used++;
    return number;
}

static void free_offender(struct census *census, struct metric *metric)
{
    struct offender *offender = census_offender_of(metric);

    if (offender == NULL)
        return;
    if (offender->is_told)
        (void)room_set_metric_full(census->room, (struct str){offender->name, offender->name_len},
                                   false);
    uint32_t last = census->offenders[--census->offender_count];
    census->offenders[offender->place] = last;
    census_offender_of(census_metric_at(census, last))->place = offender->place;
    free(offender->name);
    free(offender);
    metric->more->offender = NULL;
    shrink(metric);
}

/* Nobody of it is active any more. */
static void leave_metric(struct census *census, uint32_t number)
{
    struct metric *metric = census_metric_at(census, number);

    if (metric->active + metric->others > 0 ||
        (census->is_forgetting && census_offender_of(metric) != NULL))
        return;
    free_offender(census, metric);
    census_forget_labels(metric);
    remove_name(census, metric->name);
    metric->active = census->free_metric;
    census->free_metric = number;
}

bool census_metric(const struct census *census, uint32_t number, uint32_t generation,
                   struct str *name)
{
    if (number == 0 || number > census->metric_count)
        return false;
    const struct metric *metric = census_metric_at(census, number);
    if (metric->generation != generation || census_offender_of(metric) == NULL)
        return false;
    const struct offender *offender = metric->more->offender;
    *name = (struct str){offender->name, offender->name_len};
    return true;
}

struct offender *census_offender(struct census *census, uint32_t number, struct str name)
{
    struct metric *metric = census_metric_at(census, number);

    if (census_offender_of(metric) != NULL)
        return metric->more->offender;
    if (census->offender_count == census->offender_capacity) {
        census->offender_capacity =
            census->offender_capacity == 0 ? 16 : census->offender_capacity * 2;
        census->offenders =
            memory_grow(census->offenders, census->offender_capacity, sizeof *census->offenders);
    }
    struct offender *offender = memory_zero(1, sizeof *offender);
    offender->name = memory_copy(name.text, name.len);
    offender->name_len = name.len;
    offender->limit = ROOM_LIMIT_SERIES; /* of a thread, unless another one is met */
    offender->place = census->offender_count;
    census->offenders[census->offender_count++] = number;
    more_of(metric)->offender = offender;
    return offender;
}

/* --- labels --- */

static struct series_hash label_hash(const struct census *census, struct str name)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(name.text, name.len, census->seed + 1);
    return (struct series_hash){hash.high64, hash.low64};
}

static struct series_hash value_hash(struct series_hash label, struct str value)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(value.text, value.len, label.low ^ label.high);
    return (struct series_hash){hash.high64, hash.low64};
}

static uint32_t note_at(const struct series_table *table, struct series_hash hash)
{
    const struct series_slot *slot = series_table_find(table, hash);
    return slot == NULL ? 0 : slot->note;
}

static void set_note(struct series_table *table, struct series_hash hash, uint32_t note)
{
    if (note == 0)
        series_table_remove(table, hash);
    else
        series_table_put(table, hash, 1, note);
}

static void count_labels(const struct census *census, struct label_counts *counts, struct str key,
                         bool is_more)
{
    struct label label;
    size_t at = 0;

    while (series_key_next_label(key, &at, &label)) {
        struct series_hash name = label_hash(census, label.name);
        struct series_hash value = value_hash(name, label.value);
        uint32_t series = note_at(&counts->values, value);
        uint32_t values = note_at(&counts->labels, name);
        if (!is_more && series == 0)
            continue;
        set_note(&counts->values, value, is_more ? series + 1 : series - 1);
        if (is_more && series == 0)
            set_note(&counts->labels, name, values + 1);
        if (!is_more && series == 1 && values > 0)
            set_note(&counts->labels, name, values - 1);
    }
}

/* Begins to count the labels of a metric: reads the keys of all its active series, about a
 * microsecond each. */
static void begin_labels(struct census *census, const struct read_txn *txn, uint32_t number)
{
    struct metric *metric = census_metric_at(census, number);
    struct str key;

    struct label_counts *labels = memory_zero(1, sizeof *labels);
    series_table_init(&labels->values);
    series_table_init(&labels->labels);
    more_of(metric)->labels = labels;
    for (size_t i = 0; i < census->chunk_count; i++) {
        const struct chunk *chunk = census->chunks[i];
        for (size_t j = 0; chunk != NULL && j < CENSUS_IDS_A_ROW; j++) {
            if (chunk->metric[j] == number && chunk->seen[j] != 0 &&
                catalog_key(txn, (uint32_t)(i * CENSUS_IDS_A_ROW + j), &key))
                count_labels(census, labels, key, true);
        }
    }
}

static bool label_has_room(const struct census *census, const struct label_counts *counts,
                           struct str key, struct str *full)
{
    struct label label;
    size_t at = 0;

    while (series_key_next_label(key, &at, &label)) {
        struct series_hash name = label_hash(census, label.name);
        if (note_at(&counts->labels, name) < census->limits.label_values ||
            note_at(&counts->values, value_hash(name, label.value)) > 0)
            continue;
        *full = label.name;
        return false;
    }
    return true;
}

/* --- series --- */

static struct chunk *chunk_of(struct census *census, uint32_t id)
{
    size_t number = id / CENSUS_IDS_A_ROW;

    if (number >= census->chunk_count) {
        census->chunks = memory_grow(census->chunks, number + 1, sizeof(struct chunk *));
        while (census->chunk_count <= number)
            census->chunks[census->chunk_count++] = NULL;
    }
    if (census->chunks[number] == NULL)
        census->chunks[number] = memory_zero(1, sizeof(struct chunk));
    return census->chunks[number];
}

struct chunk *census_chunk_find(const struct census *census, uint32_t id)
{
    size_t number = id / CENSUS_IDS_A_ROW;
    return number < census->chunk_count ? census->chunks[number] : NULL;
}

bool census_is_active(const struct census *census, uint32_t id)
{
    const struct chunk *chunk = census_chunk_find(census, id);
    return chunk != NULL && chunk->seen[id % CENSUS_IDS_A_ROW] != 0;
}

bool census_touch(struct census *census, uint32_t id, uint16_t hour, struct census_place *place)
{
    struct chunk *chunk = census_chunk_find(census, id);
    uint32_t at = id % CENSUS_IDS_A_ROW;

    *place = (struct census_place){0};
    if (chunk == NULL || chunk->seen[at] == 0)
        return false;
    place->metric = chunk->metric[at] & ~IS_OTHER;
    place->is_other = (chunk->metric[at] & IS_OTHER) != 0;
    if (chunk->seen[at] != hour) {
        chunk->seen[at] = hour;
        chunk->is_changed = true;
    }
    return true;
}

/* One more that an owner has brought, or one less. */
static void count_owner(const struct census *census, uint16_t number, bool is_other, bool is_more)
{
    struct owner *owner = census_owner_at(census, number);

    if (owner == NULL)
        return;
    uint64_t *count = is_other ? &owner->others : &owner->active;
    *count = is_more ? *count + 1 : *count - 1;
}

void census_enter(struct census *census, uint32_t id, uint32_t metric, uint16_t hour,
                  uint16_t owner)
{
    struct chunk *chunk = chunk_of(census, id);
    uint32_t at = id % CENSUS_IDS_A_ROW;

    chunk->seen[at] = hour;
    chunk->metric[at] = metric;
    chunk->owner[at] = owner;
    count_owner(census, owner, (metric & IS_OTHER) != 0, true);
    chunk->active++;
    chunk->is_changed = true;
    if ((metric & IS_OTHER) != 0) {
        census_metric_at(census, metric & ~IS_OTHER)->others++;
        census->others++;
    } else {
        census_metric_at(census, metric)->active++;
        census->active++;
    }
    COUNTER_SET(series_active, census->active + census->others);
}

void census_leave_series(struct census *census, struct chunk *chunk, uint32_t at)
{
    uint32_t metric = chunk->metric[at];

    count_owner(census, chunk->owner[at], (metric & IS_OTHER) != 0, false);
    chunk->seen[at] = 0;
    chunk->metric[at] = 0;
    chunk->owner[at] = 0;
    chunk->active--;
    chunk->is_changed = true;
    census->has_changed = true;
    if ((metric & IS_OTHER) != 0) {
        census_metric_at(census, metric & ~IS_OTHER)->others--;
        census->others--;
    } else {
        census_metric_at(census, metric)->active--;
        census->active--;
    }
    leave_metric(census, metric & ~IS_OTHER);
    COUNTER_SET(series_active, census->active + census->others);
}

static void add_number(uint32_t **numbers, size_t *count, size_t *capacity, uint32_t number)
{
    if (*count == *capacity) {
        *capacity = *capacity == 0 ? 64 : *capacity * 2;
        *numbers = memory_grow(*numbers, *capacity, sizeof **numbers);
    }
    (*numbers)[(*count)++] = number;
}

static void note_group(struct census *census, uint32_t id)
{
    add_number(&census->group_ids, &census->group_count, &census->group_capacity, id);
}

static uint64_t limit_or_all(uint64_t limit)
{
    return limit == 0 ? UINT64_MAX : limit;
}

uint64_t census_metric_limit(const struct census *census, struct str name, enum room_limit *which)
{
    const struct metric_definition *metric = metric_find(census->limits.metrics, name);

    *which = metric != NULL && metric->max_series > 0 ? ROOM_LIMIT_OWN : ROOM_LIMIT_METRIC;
    return *which == ROOM_LIMIT_OWN ? metric->max_series : limit_or_all(census->limits.per_metric);
}

static bool counts_labels(const struct census *census, uint32_t active)
{
    return census->limits.label_values > 0 && active >= census->limits.label_values;
}

enum room_limit census_ask(struct census *census, const struct read_txn *txn, struct str key,
                           uint16_t owner, struct str *label)
{
    struct str name = series_key_metric(key);
    uint32_t number = find_metric(census, name);
    const struct owner *brought_by = census_owner_at(census, owner);
    enum room_limit which = ROOM_LIMIT_NONE;

    *label = STR_EMPTY;
    if (census->active >= limit_or_all(census->limits.series))
        return ROOM_LIMIT_SERIES;
    if (brought_by != NULL && brought_by->active >= limit_or_all(brought_by->limit))
        return ROOM_LIMIT_LISTENER;
    if (number == 0)
        return ROOM_LIMIT_NONE;
    struct metric *metric = census_metric_at(census, number);
    if (metric->active >= census_metric_limit(census, name, &which))
        return which;
    if (!counts_labels(census, metric->active))
        return ROOM_LIMIT_NONE;
    if (census_labels(metric) == NULL)
        begin_labels(census, txn, number);
    return label_has_room(census, census_labels(metric), key, label) ? ROOM_LIMIT_NONE
                                                                     : ROOM_LIMIT_LABEL;
}

void census_add(struct census *census, uint32_t id, struct str key, uint16_t hour, uint16_t owner,
                struct census_place *place)
{
    uint32_t number = census_metric_of(census, series_key_metric(key));
    struct metric *metric = census_metric_at(census, number);

    *place = (struct census_place){.metric = number};
    census_enter(census, id, number, hour, owner);
    note_group(census, id);
    if (census_labels(metric) != NULL)
        count_labels(census, census_labels(metric), key, true);
}

bool census_other_has_room(struct census *census, uint16_t owner)
{
    struct owner *brought_by = census_owner_at(census, owner);

    if (census->others >= limit_or_all(census->limits.series)) {
        census->has_refused_others = true;
        return false;
    }
    if (brought_by != NULL && brought_by->others >= limit_or_all(brought_by->limit)) {
        brought_by->has_refused_others = true;
        return false;
    }
    return true;
}

bool census_add_other(struct census *census, uint32_t id, struct str key, uint16_t hour,
                      uint16_t owner, struct census_place *place)
{
    struct str name = series_key_metric(key);

    if (!census_other_has_room(census, owner))
        return false;
    uint32_t metric = census_metric_of(census, name);
    *place = (struct census_place){.metric = metric, .is_other = true};
    (void)census_offender(census, metric, name);
    census_enter(census, id, metric | IS_OTHER, hour, owner);
    note_group(census, id);
    return true;
}

void census_remove(struct census *census, uint32_t id, struct str key)
{
    struct chunk *chunk = census_chunk_find(census, id);
    uint32_t at = id % CENSUS_IDS_A_ROW;

    if (chunk == NULL || chunk->seen[at] == 0)
        return;
    struct metric *metric = census_metric_at(census, chunk->metric[at] & ~IS_OTHER);
    if (census_labels(metric) != NULL && (chunk->metric[at] & IS_OTHER) == 0)
        count_labels(census, census_labels(metric), key, false);
    census_leave_series(census, chunk, at);
}

/* --- what is over a limit --- */

void census_tell_full(struct census *census, struct offender *offender)
{
    struct str name = {offender->name, offender->name_len};

    if (census->room == NULL)
        return;
    if (!room_has_series(census->room)) {
        census->has_to_tell = true;
        return;
    }
    if (census->is_full)
        room_set_full(census->room, true);
    bool is_all = offender->limit == ROOM_LIMIT_METRIC || offender->limit == ROOM_LIMIT_OWN ||
                  offender->refusals >= LABEL_REFUSALS;
    if (offender->is_full && is_all && !offender->is_told)
        offender->is_told = room_set_metric_full(census->room, name, true);
}

void census_leave(struct census *census, uint32_t metric)
{
    leave_metric(census, metric);
}

uint32_t census_refuse(struct census *census, const struct census_refusal *refusal,
                       uint32_t *generation)
{
    uint32_t number = census_metric_of(census, refusal->metric);
    struct offender *offender = census_offender(census, number, refusal->metric);

    *generation = census_metric_at(census, number)->generation;
    struct owner *owner = census_owner_at(census, refusal->owner);
    offender->limit = refusal->limit;
    offender->owner = refusal->owner;
    offender->refusals++;
    if (refusal->limit == ROOM_LIMIT_SERIES)
        census->is_full = true;
    else if (refusal->limit == ROOM_LIMIT_LISTENER && owner != NULL)
        owner->is_full = true;
    else
        offender->is_full = true;
    if (refusal->label.len > 0) {
        size_t len = refusal->label.len < ROOM_NAME_SIZE ? refusal->label.len : ROOM_NAME_SIZE - 1;
        memcpy(offender->label, refusal->label.text, len);
        offender->label[len] = '\0';
    } else {
        offender->label[0] = '\0';
    }
    census->group.refused++;
    census_tell_full(census, offender);
    if (owner != NULL)
        census_tell_owner(census, owner);
    return number;
}

void census_count_other(struct census *census, uint32_t metric, uint64_t samples, uint64_t refused)
{
    struct offender *offender = census_offender_of(census_metric_at(census, metric));

    if (offender == NULL)
        return;
    if (offender->group_samples + offender->group_refused == 0)
        add_number(&census->group_metrics, &census->group_metric_count,
                   &census->group_metric_capacity, metric);
    offender->group_samples += samples;
    offender->group_refused += refused;
    census->group.samples += samples;
    census->group.refused_samples += refused;
    if (census->group.metric[0] != '\0')
        return; /* one of them is enough to say */
    (void)str_quoted((struct str){offender->name, offender->name_len}, census->group.metric);
    census->group.limit = offender->limit;
    const struct owner *owner = census_owner_at(census, offender->owner);
    if (offender->limit == ROOM_LIMIT_LISTENER && owner != NULL)
        (void)str_quoted((struct str){owner->name, owner->name_len}, census->group.listener);
}

void census_count(struct census *census, uint32_t metric, uint64_t samples, wall_ms last_at)
{
    struct metric *counted = census_metric_at(census, metric);
    uint64_t sum = counted->samples[0] + samples;
    wall_ms minute = last_at / MS_PER_MINUTE;

    counted->samples[0] = sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
    if (minute > counted->last_minute && minute <= UINT32_MAX)
        counted->last_minute = (uint32_t)minute;
}

const struct census_group *census_group(const struct census *census)
{
    return &census->group;
}

/* --- transactions --- */

static void end_samples(struct census *census, bool holds)
{
    for (size_t i = 0; i < census->group_metric_count; i++) {
        struct offender *offender =
            census_offender_of(census_metric_at(census, census->group_metrics[i]));
        if (offender == NULL) /* gone meanwhile */
            continue;
        offender->samples += holds ? offender->group_samples : 0;
        offender->refused += holds ? offender->group_refused : 0;
        offender->group_samples = 0;
        offender->group_refused = 0;
    }
    census->group_metric_count = 0;
    census->group = (struct census_group){0};
}

void census_begin_group(struct census *census)
{
    end_samples(census, true);
    census->group_count = 0;
}

void census_forget(struct census *census)
{
    end_samples(census, false);
    census->is_forgetting = true;
    for (size_t i = 0; i < census->group_count; i++) {
        uint32_t id = census->group_ids[i];
        struct chunk *chunk = census_chunk_find(census, id);
        uint32_t at = id % CENSUS_IDS_A_ROW;
        if (chunk == NULL || chunk->seen[at] == 0)
            continue;
        census_forget_labels(
            census_metric_at(census, chunk->metric[at] & ~IS_OTHER)); /* counted anew */
        census_leave_series(census, chunk, at);
    }
    census->is_forgetting = false;
    census->group_count = 0;
    census->owners_stored = 0; /* the last ones may not be */
}

/* --- limits --- */

static size_t own_limits(const struct metric_table *metrics)
{
    const struct table_entry *entry = NULL;
    size_t count = 0;
    size_t at = 0;

    while (metrics != NULL && (entry = table_next(&metrics->by_name, &at)) != NULL)
        count += ((const struct metric_definition *)entry->value)->max_series > 0;
    return count;
}

/* Whether each metric may have as many series as before, as far as it says so itself. */
static bool same_own_limits(const struct metric_table *before, const struct metric_table *after)
{
    const struct table_entry *entry = NULL;
    size_t at = 0;

    if (own_limits(before) != own_limits(after))
        return false;
    while (after != NULL && (entry = table_next(&after->by_name, &at)) != NULL) {
        const struct metric_definition *old = metric_find(before, entry->key);
        const struct metric_definition *new = entry->value;
        if (new->max_series > 0 && (old == NULL || old->max_series != new->max_series))
            return false;
    }
    return true;
}

void census_set_limits(struct census *census, const struct series_limits *limits)
{
    bool is_same = census->limits.series == limits->series &&
                   census->limits.per_metric == limits->per_metric &&
                   census->limits.label_values == limits->label_values &&
                   same_own_limits(census->limits.metrics, limits->metrics);

    census->limits = *limits;
    if (!census_limit_owners(census) && is_same)
        return;
    for (size_t i = 0; i < census->offender_count; i++)
        census_forget_labels(census_metric_at(census, census->offenders[i]));
    census->has_changed = true;
}

bool census_has_limits(const struct census *census)
{
    return census->limits.series + census->limits.per_metric + census->limits.label_values > 0 ||
           own_limits(census->limits.metrics) + census->limits.listener_count > 0;
}
