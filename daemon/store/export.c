#include "store/export_private.h"

enum { WINDOWS_A_PAGE = 64 };

#define MINUTE_MS  ((span_ms)MS_PER_MINUTE)
#define QUARTER_MS (MINUTES_PER_QUARTER * MINUTE_MS)
#define WINDOW_MS  (MINUTES_PER_WINDOW * MINUTE_MS)
/* Times beyond are none (store/plan.h). */
#define TIME_LIMIT (INT64_C(1000000000000) * MINUTE_MS)

static wall_ms floor_to(wall_ms at, span_ms width)
{
    span_ms rest = at % width;
    return at - (rest < 0 ? rest + width : rest);
}

/* --- what there is --- */

static void widen(struct export_page *page, int64_t from, int64_t to, span_ms width)
{
    if (from < -TIME_LIMIT / width || to > TIME_LIMIT / width)
        return;
    if (page->from == WALL_NONE || from * width < page->from)
        page->from = from * width;
    if (page->to == WALL_NONE || to * width > page->to)
        page->to = to * width;
}

static bool find_span(struct export_page *page, struct error *err)
{
    struct run *runs = NULL;
    struct partition *partitions = NULL;
    size_t count = 0;

    page->from = WALL_NONE;
    page->to = WALL_NONE;
    if (!parts_runs(page->txn, &page->arena, &runs, &count, err))
        return false;
    for (size_t i = 0; i < count; i++)
        widen(page, runs[i].min_minute, runs[i].max_minute + 1, MINUTE_MS);
    for (int level = LEVEL_MINUTE; level <= LEVEL_QUARTER; level++) {
        if (!parts_partitions(
                page->txn, &(const struct bucket_range){(enum level)level, 0, INT64_MIN, INT64_MAX},
                &page->arena, &partitions, &count, err))
            return false;
        for (size_t i = 0; i < count; i++)
            widen(page, partitions[i].from, partitions[i].to,
                  level == LEVEL_MINUTE ? MINUTE_MS : QUARTER_MS);
    }
    if (page->from == WALL_NONE)
        return true;
    if (page->range->from != WALL_NONE && page->range->from > page->from)
        page->from = page->range->from;
    if (page->range->to != WALL_NONE && page->range->to < page->to)
        page->to = page->range->to;
    return true;
}

/* The width of a window's cells; 0 when only days have what was in it. */
static span_ms width_of(const struct kept *kept, wall_ms window)
{
    if (window / QUARTER_MS < kept->from[LEVEL_QUARTER])
        return 0;
    return window / MINUTE_MS >= kept->from[LEVEL_MINUTE] ? MINUTE_MS : QUARTER_MS;
}

/* --- cells --- */

static bool on_query_cell(size_t series, wall_ms from, const struct cell *cell, void *arg)
{
    struct export_page *page = arg;
    struct export_place *place = page->place;
    const struct query_series *this = &page->series[series];

    if (this->id == place->id && from < place->at)
        return true; /* on the page before */
    const struct export_cell shown = {this->key, from, page->width, cell};
    if (page->export->sink->on_cell(&shown, page->export->arg))
        return true;
    place->id = this->id;
    place->at = from;
    page->full = true;
    return false;
}

/* The window's cells of series of which as much is kept. */
static bool visit_alike(struct export_page *page, const struct query_series *series, size_t count,
                        struct error *err)
{
    const struct export_place *place = page->place;
    struct coverage coverage = COVERAGE_EMPTY;
    struct query query = {.series = series, .series_count = count, .step = page->width};

    if (page->width == 0)
        return true;
    page->series = series;
    query.from = page->from > place->window ? floor_to(page->from, page->width) : place->window;
    query.to = page->to < place->window + WINDOW_MS ? page->to : place->window + WINDOW_MS;
    query.to = floor_to(query.to + page->width - 1, page->width);
    return query_cells(page->txn, &query, on_query_cell, page, &coverage, err);
}

/* The same of any series, in their order. */
static bool visit_series(struct export_page *page, const struct query_series *series, size_t count,
                         struct error *err)
{
    struct kept_groups groups;
    size_t first = 0;

    if (!kept_group(page->txn, series, count, &page->arena, &groups, err))
        return false;
    while (first < count && !page->full) {
        uint32_t group = groups.of == NULL ? 0 : groups.of[first];
        size_t end = first + 1;
        while (end < count && (groups.of == NULL || groups.of[end] == group))
            end++;
        page->width = width_of(&groups.items[group], page->place->window);
        if (!visit_alike(page, series + first, end - first, err))
            return false;
        first = end;
    }
    return true;
}

/* The window's cells of all series from the place on. */
static bool visit_window(struct export_page *page, struct error *err)
{
    struct export_place *place = page->place;
    struct export_series series = {NULL, 0, false};

    while (!series.ended && !page->full) {
        if (!export_select(page, place->id, EXPORT_SERIES_A_STEP, &series, err))
            return false;
        if (series.count == 0)
            return true;
        if (!visit_series(page, series.items, series.count, err))
            return false;
        if (!page->full)
            *place = (struct export_place){true, 0, place->window,
                                           series.items[series.count - 1].id + 1, INT64_MIN};
        page->visited += series.count;
        page->full = page->full || (!series.ended && page->visited >= EXPORT_SERIES_A_PAGE);
    }
    return true;
}

static bool visit_cells(struct export_page *page, bool *more, struct error *err)
{
    struct export_place *place = page->place;
    bool ok = find_span(page, err);

    /* A place comes from outside: it is not trusted to be in the range. */
    if (ok && page->from != WALL_NONE &&
        (!place->is_set || place->window < floor_to(page->from, WINDOW_MS) ||
         place->window % WINDOW_MS != 0))
        *place = (struct export_place){true, 0, floor_to(page->from, WINDOW_MS), 0, INT64_MIN};
    for (int i = 0; ok && page->from != WALL_NONE && place->window < page->to && !page->full; i++) {
        *more = i == WINDOWS_A_PAGE || page->visited >= EXPORT_SERIES_A_PAGE;
        if (*more)
            break;
        arena_reset(&page->arena);
        ok = visit_window(page, err);
        if (ok && !page->full)
            *place = (struct export_place){true, 0, place->window + WINDOW_MS, 0, INT64_MIN};
    }
    *more = *more || page->full;
    return ok;
}

bool export_page(struct read_txn *txn, struct export *export, bool *more, struct error *err)
{
    struct export_place *place = &export->place;
    struct export_page page = {
        .txn = txn, .export = export, .range = &export->range, .place = place};
    bool done = export->sink->on_day == NULL || (place->is_set && place->calendar == 0);
    bool ok = true;

    *more = false;
    if (!done) {
        ok = export_days(&page, &done, err);
        *more = ok && !done;
        if (ok && done) {
            *place = (struct export_place){0};
            page.full = false;
        }
    }
    if (ok && done)
        ok = visit_cells(&page, more, err);
    arena_fini(&page.arena);
    return ok;
}
