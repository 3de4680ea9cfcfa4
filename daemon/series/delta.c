#include "series/delta.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "series/sample.h"

struct delta *delta_new(void)
{
    return memory_zero(1, sizeof(struct delta));
}

void delta_free(struct delta *delta)
{
    if (delta == NULL)
        return;
    for (size_t i = 0; i < delta->cell_count; i++) {
        cell_fini(&delta->cells[i].cell);
        if (delta->cells[i].changes != NULL)
            gauge_changes_fini(delta->cells[i].changes);
    }
    for (size_t i = 0; i < delta->point_count; i++)
        tally_free(delta->points[i].tally);
    free(delta->series);
    free(delta->cells);
    free(delta->ledgers);
    free(delta->sources);
    free(delta->points);
    free(delta->annotations);
    arena_fini(&delta->arena);
    free(delta);
}

void delta_reserve(struct delta *delta, size_t series, size_t cells)
{
    if (series > delta->series_capacity) {
        delta->series = memory_grow(delta->series, series, sizeof *delta->series);
        delta->series_capacity = series;
    }
    if (cells > delta->cell_capacity) {
        delta->cells = memory_grow(delta->cells, cells, sizeof *delta->cells);
        delta->cell_capacity = cells;
    }
}

void delta_reserve_points(struct delta *delta, size_t points)
{
    if (points <= delta->point_capacity)
        return;
    delta->points = memory_grow(delta->points, points, sizeof *delta->points);
    delta->point_capacity = points;
}

static size_t doubled(size_t capacity)
{
    return capacity == 0 ? 8 : capacity * 2;
}

uint32_t delta_add_series(struct delta *delta, struct series_hash hash, struct str key)
{
    if (delta->series_count == delta->series_capacity)
        delta_reserve(delta, doubled(delta->series_capacity), 0);
    struct str copy = key.len == 0 ? STR_EMPTY : arena_str(&delta->arena, key);
    delta->series[delta->series_count] = (struct delta_series){hash, copy};
    delta->key_count += key.len > 0;
    return (uint32_t)delta->series_count++;
}

struct delta_cell *delta_add_cell(struct delta *delta, uint32_t series, int64_t minute)
{
    if (delta->cell_count == delta->cell_capacity)
        delta_reserve(delta, 0, doubled(delta->cell_capacity));
    struct delta_cell *cell = &delta->cells[delta->cell_count++];
    *cell = (struct delta_cell){.series = series, .minute = minute};
    return cell;
}

void delta_add_ledger(struct delta *delta, struct str listener, const struct ledger *counts)
{
    if (delta->ledger_count == delta->ledger_capacity) {
        delta->ledger_capacity = doubled(delta->ledger_capacity);
        delta->ledgers =
            memory_grow(delta->ledgers, delta->ledger_capacity, sizeof *delta->ledgers);
    }
    delta->ledgers[delta->ledger_count++] =
        (struct delta_ledger){arena_str(&delta->arena, listener), *counts};
}

/* There are few listeners, so a text is copied once. */
static struct str own_listener(struct delta *delta, struct str listener)
{
    for (size_t i = delta->source_count; i-- > 0;) {
        if (str_equal(delta->sources[i].listener, listener))
            return delta->sources[i].listener;
    }
    return listener.len == 0 ? STR_EMPTY : arena_str(&delta->arena, listener);
}

void delta_set_listener(struct delta *delta, struct str listener)
{
    size_t count = delta->source_count;
    struct str last = count == 0 ? STR_EMPTY : delta->sources[count - 1].listener;

    if (str_equal(last, listener))
        return;
    if (count == delta->source_capacity) {
        delta->source_capacity = count == 0 ? 1 : doubled(count); /* a batch has one */
        delta->sources =
            memory_grow(delta->sources, delta->source_capacity, sizeof *delta->sources);
    }
    const struct str own = own_listener(delta, listener);
    delta->sources[delta->source_count++] =
        (struct delta_source){(uint32_t)delta->series_count, own};
}

struct str delta_listener_of(const struct delta *delta, size_t series)
{
    size_t low = 0;
    size_t high = delta->source_count;

    while (low < high) { /* the first one that begins behind it */
        size_t middle = (low + high) / 2;
        if (delta->sources[middle].from <= series)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? STR_EMPTY : delta->sources[low - 1].listener;
}

void delta_add_point(struct delta *delta, const struct delta_point *point)
{
    if (delta->point_count == delta->point_capacity)
        delta_reserve_points(delta, doubled(delta->point_capacity));
    delta->points[delta->point_count++] = *point;
    delta->tally_count += point->tally != NULL;
}

void delta_add_annotation(struct delta *delta, const struct annotation *annotation)
{
    if (delta->annotation_count == delta->annotation_capacity) {
        delta->annotation_capacity = doubled(delta->annotation_capacity);
        delta->annotations =
            memory_grow(delta->annotations, delta->annotation_capacity, sizeof *delta->annotations);
    }
    delta->annotations[delta->annotation_count++] = annotation_copy(&delta->arena, annotation);
}

struct gauge_changes *delta_cell_changes(struct delta *delta, struct delta_cell *cell)
{
    if (cell->changes == NULL)
        cell->changes = arena_alloc(&delta->arena, sizeof *cell->changes);
    return cell->changes;
}

uint64_t delta_cell_samples(const struct delta_cell *cell)
{
    uint64_t weight = cell->cell.aggregate.count;
    uint64_t samples = (weight - cell->extra_weight + WEIGHT_ONE / 2) / WEIGHT_ONE;

    if (weight == 0 || samples == 0) /* what was imported may weigh less than 1 */
        samples = weight > 0;
    return samples + (cell->changes != NULL ? cell->changes->count : 0);
}

bool delta_is_empty(const struct delta *delta)
{
    return delta->cell_count == 0 && delta->series_count == 0 && delta->ledger_count == 0 &&
           delta->point_count == 0 && delta->annotation_count == 0;
}

bool delta_is_waited_for(const struct delta *delta)
{
    return delta->on_done != NULL && !delta->keep_trying;
}

size_t delta_size_bytes(const struct delta *delta)
{
    return sizeof *delta + delta->arena.total_bytes +
           delta->series_capacity * sizeof *delta->series +
           delta->cell_capacity * sizeof *delta->cells +
           delta->ledger_capacity * sizeof *delta->ledgers +
           delta->source_capacity * sizeof *delta->sources +
           delta->point_capacity * sizeof *delta->points +
           delta->annotation_capacity * sizeof *delta->annotations + delta->sketch_bytes;
}

/* How much a floor holds back depends on the base, which is not known yet; and then, after each
 * change, on the least running total so far: so these are kept, each with how often it was that. */
struct gauge_low {
    double total;
    uint64_t count;
};

struct gauge_floor {
    double floor;
    double rise; /* the most that a running total was above the least one before it */
    size_t count, capacity;
    struct gauge_low lows[]; /* falling */
};

enum { LOWS_MIN = 4 };

static size_t floor_size(size_t lows)
{
    return sizeof(struct gauge_floor) + lows * sizeof(struct gauge_low);
}

void gauge_changes_begin(struct gauge_changes *changes, const struct metric_definition *metric)
{
    if (changes->count > 0 || changes->floor != NULL || metric == NULL || !metric->has_floor)
        return;
    changes->floor = memory_zero(1, floor_size(LOWS_MIN));
    changes->floor->floor = metric->floor;
    changes->floor->capacity = LOWS_MIN;
}

void gauge_changes_fini(struct gauge_changes *changes)
{
    free(changes->floor);
    changes->floor = NULL;
}

size_t gauge_changes_size_bytes(const struct gauge_changes *changes)
{
    return changes->floor == NULL ? 0 : floor_size(changes->floor->capacity);
}

/* The running total after a change that is taken. */
static struct gauge_floor *add_low(struct gauge_floor *floor, double total)
{
    struct gauge_low *last = floor->count == 0 ? NULL : &floor->lows[floor->count - 1];

    if (last != NULL && total >= last->total) {
        last->count++;
        floor->rise = fmax(floor->rise, total - last->total);
        return floor;
    }
    if (floor->count == floor->capacity) {
        floor->capacity *= 2;
        floor = memory_grow(floor, 1, floor_size(floor->capacity));
    }
    floor->lows[floor->count++] = (struct gauge_low){total, 1};
    return floor;
}

bool gauge_changes_add(struct gauge_changes *changes, double change, wall_ms at, uint64_t arrival)
{
    double total = changes->total + change + 0.0;
    double sum = changes->sum + total;

    if (!isfinite(total) || !isfinite(sum))
        return false;
    if (changes->count == 0) {
        changes->first = changes->low = changes->high = total;
        changes->first_at = changes->last_at = at;
        changes->first_arrival = arrival;
    }
    changes->low = fmin(changes->low, total);
    changes->high = fmax(changes->high, total);
    changes->total = total;
    changes->sum = sum;
    /* Changes count in the order they came; an older stamp must not put the last one before. */
    if (at > changes->last_at)
        changes->last_at = at;
    changes->last_arrival = arrival;
    changes->count++;
    if (changes->floor != NULL)
        changes->floor = add_low(changes->floor, total);
    return true;
}

static double finite_sum(double a, double b)
{
    double sum = a + b + 0.0;
    return isfinite(sum) ? sum : copysign(DBL_MAX, sum);
}

/* What the running totals are added to: the base. With a floor f, after a change whose running
 * total is t while the least one so far is l, the value is the greater one of base + t and
 * f + t - l, since what the floor has held back is added for good: so t is added to the greater one
 * of base and f - l. */
static void add_bases(const struct gauge_changes *changes, double base, struct aggregate *out)
{
    const struct gauge_floor *floor = changes->floor;

    if (floor == NULL)
        aggregate_add(out, base, changes->count * WEIGHT_ONE, changes->first_at,
                      changes->first_arrival);
    for (size_t i = 0; floor != NULL && i < floor->count; i++)
        aggregate_add(out, fmax(base, finite_sum(floor->floor, -floor->lows[i].total)),
                      floor->lows[i].count * WEIGHT_ONE, changes->first_at, changes->first_arrival);
}

static void keep_floor(const struct gauge_changes *changes, struct aggregate *resolved)
{
    double floor = changes->floor->floor;

    resolved->min = fmax(resolved->min, floor);
    resolved->max = fmax(resolved->max, finite_sum(floor, changes->floor->rise));
    resolved->first = fmax(resolved->first, floor);
    resolved->last = fmax(resolved->last, finite_sum(floor, changes->total - changes->low));
}

struct aggregate gauge_changes_resolve(const struct gauge_changes *changes, double base)
{
    struct aggregate resolved = AGGREGATE_EMPTY;
    struct aggregate one = AGGREGATE_EMPTY;

    if (changes->count == 0)
        return resolved;
    /* The bases and the running totals, in double-double like every sum. */
    add_bases(changes, base, &resolved);
    aggregate_add(&one, changes->sum, WEIGHT_ONE, changes->first_at, changes->first_arrival);
    aggregate_merge(&resolved, &one);
    resolved.count = changes->count * WEIGHT_ONE;
    resolved.min = finite_sum(base, changes->low);
    resolved.max = finite_sum(base, changes->high);
    resolved.first = finite_sum(base, changes->first);
    resolved.first_at = changes->first_at;
    resolved.first_arrival = changes->first_arrival;
    resolved.last = finite_sum(base, changes->total);
    resolved.last_at = changes->last_at;
    resolved.last_arrival = changes->last_arrival;
    if (changes->floor != NULL)
        keep_floor(changes, &resolved);
    return resolved;
}
