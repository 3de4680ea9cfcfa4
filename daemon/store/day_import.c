#include "store/day_import.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/day_import_marks.h"
#include "store/identity.h"
#include "store/partition.h"

#define QUARTER_MS (MINUTES_PER_QUARTER * (wall_ms)MS_PER_MINUTE)

/* --- what is to be taken --- */

struct day_import *day_import_new(void)
{
    return memory_zero(1, sizeof(struct day_import));
}

void day_import_free(struct day_import *import)
{
    if (import == NULL)
        return;
    for (size_t i = 0; i < import->cell_count; i++)
        cell_fini(&import->cells[i].cell);
    arena_fini(&import->arena);
    free(import);
}

bool day_import_is_empty(const struct day_import *import)
{
    return import->zone_count + import->metric_count + import->cell_count == 0;
}

void day_import_add_zone(struct day_import *import, const struct export_zone *zone)
{
    import->zones = arena_grow(&import->arena, import->zones, import->zone_count,
                               &import->zone_capacity, sizeof *import->zones);
    struct export_zone *added = &import->zones[import->zone_count++];
    *added = *zone;
    added->zone = arena_str(&import->arena, zone->zone);
}

void day_import_add_metric(struct day_import *import, const struct export_metric *metric)
{
    struct export_gap *gaps = arena_array(&import->arena, metric->gap_count, sizeof *gaps);

    import->metrics = arena_grow(&import->arena, import->metrics, import->metric_count,
                                 &import->metric_capacity, sizeof *import->metrics);
    struct export_metric *added = &import->metrics[import->metric_count++];
    *added = *metric;
    added->metric = arena_str(&import->arena, metric->metric);
    for (size_t i = 0; i < metric->gap_count; i++)
        gaps[i] = (struct export_gap){arena_str(&import->arena, metric->gaps[i].zone),
                                      metric->gaps[i].whole_from};
    added->gaps = gaps;
}

void day_import_add_cell(struct day_import *import, struct str key, const struct export_day *day,
                         struct cell *cell)
{
    struct arena *arena = &import->arena;

    if (import->key_count == 0 || !str_equal(import->keys[import->key_count - 1], key)) {
        import->keys = arena_grow(arena, import->keys, import->key_count, &import->key_capacity,
                                  sizeof *import->keys);
        import->keys[import->key_count++] = arena_str(arena, key);
    }
    const struct day_import_cell *last =
        import->cell_count > 0 ? &import->cells[import->cell_count - 1] : NULL;
    bool is_same_zone = last != NULL && str_equal(last->day.zone, day->zone);
    struct str zone = is_same_zone ? last->day.zone : arena_str(arena, day->zone);
    import->cells = arena_grow(arena, import->cells, import->cell_count, &import->cell_capacity,
                               sizeof *import->cells);
    struct day_import_cell *added = &import->cells[import->cell_count++];
    *added = (struct day_import_cell){import->key_count - 1, *day, *cell};
    added->day.zone = zone;
    *cell = (struct cell)CELL_EMPTY;
}

/* --- cells --- */

/* One that is taken, and where it goes. */
struct place {
    uint32_t calendar;
    uint32_t id;
    size_t series;
    struct day_import_cell *cell;
};

struct row_search {
    struct day_bounds row;
    int64_t day;
    bool found;
};

static bool find_row(const struct day_bounds *row, void *arg)
{
    struct row_search *search = arg;

    search->found = row->day == search->day;
    search->row = *row;
    return !search->found;
}

/* Why a cell cannot be taken, by what is said of its day and of its metric. */
static bool check_cell(struct day_marks *marks, const struct day_import_cell *cell, struct str key,
                       struct place *out, bool *is_too_old, struct error *err)
{
    const struct export_day *day = &cell->day;
    const struct read_txn *reader = &marks->step.txn->reader;
    const struct day_bounds bounds = {day->day, day->from / QUARTER_MS, day->to / QUARTER_MS};
    struct row_search search = {.day = day->day};
    struct kept kept;

    out->calendar = parts_calendar(reader, day->zone);
    if (!kept_of_metric(reader, series_key_metric(key), &marks->step.arena, &kept, err))
        return false;
    *is_too_old = bounds.from < kept.from[LEVEL_DAY];
    if (*is_too_old)
        return true;
    if (out->calendar > 0 &&
        !parts_days(reader, &(const struct day_range){out->calendar, bounds.from, bounds.to},
                    find_row, &search, err))
        return false;
    if (!search.found || bounds.from >= kept.from[LEVEL_QUARTER])
        return error_set(err, ERROR_INVALID,
                         "a day of '%.*s' in zone '%.*s' comes before what has to be known of it: "
                         "import the file from its beginning",
                         (int)series_key_metric(key).len, series_key_metric(key).text,
                         (int)day->zone.len, day->zone.text);
    return (search.row.from == bounds.from && search.row.to == bounds.to) ||
           day_marks_other_bounds(&bounds, day->zone, err);
}

static bool choose_cells(struct day_marks *marks, struct day_import *import, struct place *places,
                         size_t *count, struct error *err)
{
    *count = 0;
    for (size_t i = 0; i < import->cell_count; i++) {
        struct place *place = &places[*count];
        bool is_too_old = false;
        *place = (struct place){.series = import->cells[i].key, .cell = &import->cells[i]};
        if (!check_cell(marks, place->cell, import->keys[place->series], place, &is_too_old, err))
            return false;
        import->too_old += is_too_old;
        *count += !is_too_old;
    }
    return true;
}

/* From here on only the store itself may fail, and takes the whole transaction with it: the
 * catalogue remembers the series as long as that lasts. */
static bool resolve(const struct day_import_into *into, const struct day_import *import,
                    struct place *places, size_t count, struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct delta_series *series = arena_array(&arena, import->key_count, sizeof *series);
    struct catalog_series *found = arena_array(&arena, import->key_count, sizeof *found);

    for (size_t i = 0; i < import->key_count; i++)
        series[i] = (struct delta_series){series_key_hash(import->keys[i]), import->keys[i]};
    const struct catalog_batch batch = {
        .series = series, .count = import->key_count, .now = into->now};
    if (*into->has_group)
        catalog_reopen_group(into->catalog);
    *into->has_group = true;
    bool ok = catalog_resolve_all(into->catalog, into->txn, &batch, found, err);
    (void)catalog_end_group(into->catalog);
    for (size_t i = 0; ok && i < count; i++) {
        ok = found[places[i].series].refusal == CATALOG_TAKEN ||
             error_set(err, ERROR_CONFLICT, "a series has the name of another one");
        places[i].id = found[places[i].series].id;
    }
    arena_fini(&arena);
    return ok;
}

static int64_t window_of(const struct place *place)
{
    return floor_to(place->cell->day.day, DAYS_PER_WINDOW);
}

/* Partition by partition, in the order in which it is written. */
static int order_places(const void *a, const void *b)
{
    const struct place *left = a;
    const struct place *right = b;

    if (left->calendar != right->calendar)
        return left->calendar < right->calendar ? -1 : 1;
    if (window_of(left) != window_of(right))
        return window_of(left) < window_of(right) ? -1 : 1;
    if (left->id != right->id)
        return left->id < right->id ? -1 : 1;
    return left->cell->day.day < right->cell->day.day ? -1
                                                      : left->cell->day.day > right->cell->day.day;
}

/* All points of one series, which are the first of the places; returns how many places. What is
 * imported stays as it is: the transaction may be tried again. */
static size_t take_points(const struct place *places, size_t count, struct arena *arena,
                          struct block_points *out)
{
    size_t end = 0;

    *out = (struct block_points){arena_array(arena, DAYS_PER_WINDOW, sizeof *out->points), 0};
    while (end < count && places[end].id == places->id) {
        struct cell cell = CELL_EMPTY;
        int64_t day = places[end].cell->day.day;
        for (; end < count && places[end].id == places->id && places[end].cell->day.day == day;
             end++)
            cell_merge(&cell, &places[end].cell->cell);
        partition_point_of(&cell, day, arena, &out->points[out->count++]);
        cell_fini(&cell);
    }
    return end;
}

/* The cells of one calendar and window. */
static bool write_partition(struct write_txn *txn, const struct place *places, size_t count,
                            struct error *err)
{
    struct partition facts = {
        .level = LEVEL_DAY, .calendar = places->calendar, .from = INT64_MAX, .to = INT64_MIN};
    struct partition_writer writer;
    struct arena arena = ARENA_EMPTY;

    for (size_t i = 0; i < count; i++) {
        int64_t day = places[i].cell->day.day;
        facts.from = day < facts.from ? day : facts.from;
        facts.to = day >= facts.to ? day + 1 : facts.to;
    }
    if (!parts_next_partition(txn, &facts.number, err))
        return false;
    partition_writer_init(&writer, &facts);
    writer.partition.version = store_commit_number(&txn->reader) + 1;
    bool ok = true;
    for (size_t first = 0; ok && first < count;) {
        struct block_points points;
        uint32_t id = places[first].id;
        first += take_points(places + first, count - first, &arena, &points);
        ok = partition_writer_add(&writer, txn, id, &points, err);
        arena_reset(&arena);
    }
    ok = ok && parts_add_partition(txn, &writer.partition, err);
    partition_writer_fini(&writer);
    arena_fini(&arena);
    return ok;
}

static bool note_newest(struct write_txn *txn, const struct place *places, size_t count,
                        struct error *err)
{
    wall_ms before = (wall_ms)meta_get(&txn->reader, "newest", (uint64_t)WALL_NONE);
    wall_ms newest = before;

    for (size_t i = 0; i < count; i++) {
        const struct aggregate *aggregate = &places[i].cell->cell.aggregate;
        if (aggregate->count > 0 && aggregate->last_at > newest)
            newest = aggregate->last_at;
    }
    return newest == before || meta_put(txn, "newest", (uint64_t)newest, err);
}

static bool write_cells(const struct day_import_into *into, struct place *places, size_t count,
                        struct error *err)
{
    bool ok = true;

    qsort(places, count, sizeof *places, order_places);
    for (size_t first = 0; ok && first < count;) {
        size_t end = first + 1;
        while (end < count && places[end].calendar == places[first].calendar &&
               window_of(&places[end]) == window_of(&places[first]))
            end++;
        ok = write_partition(into->txn, places + first, end - first, err);
        first = end;
    }
    ok = ok && note_newest(into->txn, places, count, err);
    into->upkeep->changes++;
    return ok;
}

/* --- all of it --- */

static bool is_new(const struct day_import_into *into, struct day_import *import, struct error *err)
{
    struct delta *delta = delta_new();

    delta->identity =
        (struct delta_identity){.kind = IDENTITY_KEY, .name = import->name, .body = import->name};
    bool ok = identity_decide(into->txn, delta, into->now, err);
    import->repeated = ok && delta->outcome != DELTA_STORED;
    delta_free(delta);
    return ok;
}

bool day_import_apply(const struct day_import_into *into, struct day_import *import,
                      struct error *err)
{
    struct day_marks marks = {.step = {.upkeep = into->upkeep, .txn = into->txn}};
    struct place *places = NULL;
    size_t count = 0;

    import->repeated = false;
    import->too_old = 0;
    upkeep_kept_forget(into->upkeep);
    if (!is_new(into, import, err))
        return false;
    if (import->repeated)
        return true;
    places = memory_alloc((import->cell_count + 1) * sizeof *places);
    bool ok =
        day_marks_set(&marks, import, err) && choose_cells(&marks, import, places, &count, err);
    if (ok && count > 0 &&
        !(resolve(into, import, places, count, err) && write_cells(into, places, count, err))) {
        into->txn->storage_failed = true;
        ok = false;
    }
    upkeep_kept_forget(into->upkeep); /* who knows whether the transaction will hold */
    arena_fini(&marks.step.arena);
    free(places);
    return ok;
}
