#include "store/visit.h"

#include <stdlib.h>

/* A series that is at most so many ids ahead is walked to, not looked up: neighbours share a page.
 */
enum { NEAR_IDS = 4 };

/* How many cells of a run, or series of a partition, are read before the time is looked at. */
enum { CHECK_CELLS = 1024, CHECK_SERIES = 32 };

static int compare_series(const void *a, const void *b)
{
    const struct visit_series *one = a;
    const struct visit_series *other = b;
    return (one->id > other->id) - (one->id < other->id);
}

struct visit_series *visit_init(struct visit *visit, const struct read_txn *txn,
                                const struct query_series *series, size_t count, bool merged,
                                struct arena *arena)
{
    struct visit_series *items = arena_array(arena, count, sizeof *items);
    bool sorted = true;

    for (size_t i = 0; i < count; i++) {
        items[i] = (struct visit_series){series[i].id, merged ? 0 : (uint32_t)i};
        sorted = sorted && (i == 0 || items[i - 1].id <= items[i].id);
    }
    if (!sorted)
        qsort(items, count, sizeof *items, compare_series);
    *visit = (struct visit){.txn = txn, .series = items, .count = count};
    return items;
}

/* The first series from index `at` on whose id is not less: looked for in growing strides, since it
 * is near most of the time. */
static size_t series_from(const struct visit *visit, size_t at, uint32_t id)
{
    size_t stride = 1;
    size_t low = at;

    while (low < visit->count && visit->series[low].id < id) {
        at = low + 1;
        low += stride;
        stride *= 2;
    }
    size_t high = low < visit->count ? low : visit->count;
    while (at < high) {
        size_t middle = at + (high - at) / 2;
        if (visit->series[middle].id < id)
            at = middle + 1;
        else
            high = middle;
    }
    return at;
}

/* Calls for the series with this id, of which the first is at `at`. */
static bool visit_cell(struct visit *visit, size_t at, const struct run_cell *cell,
                       visit_cell_fn on_cell, struct error *err)
{
    for (; at < visit->count && visit->series[at].id == cell->id && !visit->stopped; at++) {
        if (!on_cell(visit, &visit->series[at], cell, err))
            return false;
    }
    return true;
}

/* To the next cell that may be of a series: `at` is the first one that is not before the cell's. */
static bool skip_to_series(const struct visit *visit, struct run_cursor *cursor, int64_t quarter,
                           size_t at, struct error *err)
{
    int64_t first = quarter * MINUTES_PER_QUARTER;

    if (at == visit->count) /* the next quarter */
        return run_cursor_seek(cursor, visit->series[0].id, first + MINUTES_PER_QUARTER, err);
    return run_cursor_seek(cursor, visit->series[at].id, first < visit->from ? visit->from : first,
                           err);
}

bool visit_run(struct visit *visit, const struct run *run, visit_cell_fn on_cell, struct error *err)
{
    struct run_cursor cursor;
    size_t at = 0;

    if (visit->count == 0 || run->max_minute < visit->from || run->min_minute >= visit->to)
        return true;
    int64_t quarter = quarter_of_minute(visit->from);
    bool ok = run_cursor_init(&cursor, visit->txn, run, err) &&
              run_cursor_seek(&cursor, visit->series[0].id, visit->from, err);
    for (size_t i = 0; ok && cursor.has_cell && !visit->stopped; i++) {
        const struct run_cell *cell = &cursor.cell;
        int64_t found = quarter_of_minute(cell->minute);
        if (found * MINUTES_PER_QUARTER >= visit->to)
            break;
        if (found != quarter) {
            quarter = found;
            at = 0;
        }
        at = series_from(visit, at, cell->id);
        if (at == visit->count || visit->series[at].id != cell->id) {
            ok = skip_to_series(visit, &cursor, quarter, at, err);
        } else {
            if (cell->minute >= visit->from && cell->minute < visit->to)
                ok = visit_cell(visit, at, cell, on_cell, err);
            ok = ok && run_cursor_next(&cursor, err);
        }
        if (i % CHECK_CELLS == 0)
            ok = ok && read_txn_check(visit->txn, err);
    }
    run_cursor_fini(&cursor);
    return ok;
}

/* Forwards to the series with this id or the next one. */
static bool move_to(struct partition_cursor *cursor, uint32_t id, struct error *err)
{
    while (cursor->id != 0 && cursor->id < id) {
        bool ok = id - cursor->id <= NEAR_IDS ? partition_cursor_next(cursor, err)
                                              : partition_cursor_seek(cursor, id, err);
        if (!ok)
            return false;
    }
    return true;
}

bool visit_partition(struct visit *visit, const struct partition *partition,
                     visit_series_fn on_series, struct error *err)
{
    struct partition_cursor cursor;
    size_t at = 0;

    if (visit->count == 0)
        return true;
    bool ok = partition_cursor_init(&cursor, visit->txn, partition, err) &&
              partition_cursor_seek(&cursor, visit->series[0].id, err);
    for (size_t i = 0; ok && cursor.id != 0 && !visit->stopped; i++) {
        if (i % CHECK_SERIES == 0 && !read_txn_check(visit->txn, err)) {
            ok = false;
            break;
        }
        at = series_from(visit, at, cursor.id);
        if (at == visit->count)
            break;
        uint32_t id = visit->series[at].id;
        if (id != cursor.id) {
            ok = move_to(&cursor, id, err);
            continue;
        }
        for (; ok && at < visit->count && visit->series[at].id == id && !visit->stopped; at++)
            ok = on_series(visit, &visit->series[at], &cursor, err);
        if (at == visit->count)
            break;
        ok = ok && partition_cursor_next(&cursor, err);
    }
    partition_cursor_fini(&cursor);
    return ok;
}

size_t visit_first_partition(const struct partition *partitions, size_t count, int64_t bucket)
{
    static const int64_t longest[LEVEL_COUNT] = {
        [LEVEL_MINUTE] = MINUTES_PER_WINDOW,
        [LEVEL_QUARTER] = QUARTERS_PER_WEEK,
        [LEVEL_DAY] = DAYS_PER_WINDOW,
    };
    size_t low = 0;

    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (partitions[middle].from <= bucket - longest[partitions[middle].level])
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}
