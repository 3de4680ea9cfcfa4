/* What only days are kept of. */
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "store/export_private.h"
#include "store/partition.h"
#include "store/run.h"
#include "store/walk.h"

enum {
    SERIES_A_CHUNK = 256, /* that are read together: 32 days of each are in memory */
    SERIES_COST = 16,     /* of one in a window of days, beside one in a window of minutes */
};

#define QUARTER_MS (MINUTES_PER_QUARTER * (wall_ms)MS_PER_MINUTE)

/* A calendar and those of its days that are told of, in order. */
struct export_calendar {
    uint32_t number;
    struct str zone;
    struct day_bounds *days;
    size_t day_count, day_capacity;
    struct arena *arena; /* of the days */
};

struct days {
    struct export_page *page;
    struct arena arena;                /* of the page: lists */
    struct arena scratch;              /* of a chunk of series */
    struct export_calendar *calendars; /* that are told of, by their numbers */
    size_t calendar_count;
    struct run *runs;
    size_t run_count;
    int64_t newest_mark; /* quarter: no metric's quarters begin later */
    struct table told;   /* metrics of which was told since when their hours are known */

    /* the window under way */
    const struct export_calendar *calendar;
    const struct day_bounds *rows;
    size_t row_count;
    struct partition *partitions; /* that have cells of it */
    size_t partition_count;
};

/* One series of a chunk. */
struct days_series {
    struct query_series series;
    const struct kept *kept;
    int64_t hours_from;   /* quarter */
    int64_t whole_from;   /* the same: days that begin earlier hold less than they should */
    struct cell *cells;   /* one for each row */
    struct cell quarters; /* what these have of the day in which they begin */
};

/* Marks are at whole windows of minutes, and cells are told of so. */
static int64_t hours_from(const struct kept *kept)
{
    int64_t mark = kept->from[LEVEL_QUARTER];
    int64_t rest = 0;

    if (mark < -INT64_MAX / 2 || mark > INT64_MAX / 2)
        return mark < 0 ? INT64_MIN : INT64_MAX / 2;
    rest = mark % QUARTERS_PER_WINDOW;
    return rest == 0 ? mark : mark - rest + (rest > 0 ? QUARTERS_PER_WINDOW : 0);
}

/* --- what there is --- */

static bool find_newest_mark(struct days *days, struct error *err)
{
    struct export_page *page = days->page;
    struct kept_row *rows = NULL;
    struct kept kept;
    size_t count = 0;

    if (page->range->metric.len > 0) {
        if (!kept_of_metric(page->txn, page->range->metric, &days->arena, &kept, err))
            return false;
        days->newest_mark = hours_from(&kept);
        return true;
    }
    if (!kept_rows(page->txn, &days->arena, &rows, &count, err))
        return false;
    kept_of_rest(page->txn, &kept);
    days->newest_mark = hours_from(&kept);
    for (size_t i = 0; i < count; i++) {
        int64_t mark = hours_from(&rows[i].kept);
        days->newest_mark = mark > days->newest_mark ? mark : days->newest_mark;
    }
    return true;
}

static bool gather_day(const struct day_bounds *day, void *arg)
{
    struct export_calendar *calendar = arg;

    calendar->days = arena_grow(calendar->arena, calendar->days, calendar->day_count,
                                &calendar->day_capacity, sizeof *calendar->days);
    calendar->days[calendar->day_count++] = *day;
    return true;
}

/* The days that lie in the range, and begin before some metric's quarters. */
static bool read_days(struct days *days, struct export_calendar *calendar, struct error *err)
{
    const struct export_range *range = days->page->range;
    struct day_range wanted = {calendar->number, INT64_MIN, days->newest_mark};
    size_t kept = 0;

    if (range->from != WALL_NONE)
        wanted.from = range->from / QUARTER_MS - 1;
    if (range->to != WALL_NONE && range->to / QUARTER_MS < wanted.to)
        wanted.to = range->to / QUARTER_MS + 1;
    if (!parts_days(days->page->txn, &wanted, gather_day, calendar, err))
        return false;
    for (size_t i = 0; i < calendar->day_count; i++) {
        const struct day_bounds *day = &calendar->days[i];
        bool is_wanted = (range->from == WALL_NONE || day->from * QUARTER_MS >= range->from) &&
                         (range->to == WALL_NONE || day->to * QUARTER_MS <= range->to);
        if (is_wanted)
            calendar->days[kept++] = *day;
    }
    calendar->day_count = kept;
    return true;
}

static int order_calendars(const void *a, const void *b)
{
    uint32_t left = ((const struct export_calendar *)a)->number;
    uint32_t right = ((const struct export_calendar *)b)->number;
    return left < right ? -1 : left > right;
}

/* Calendars by the zones that name them; a name that was cut is none. */
static bool read_calendars(struct days *days, struct error *err)
{
    const struct schema_key from = SCHEMA_KEY_EMPTY;
    struct export_page *page = days->page;
    size_t capacity = 0;
    struct walk walk;

    bool ok = walk_begin(&walk, page->txn, DATABASE_CALENDARS, &from, err);
    while (ok && walk.found) {
        struct str zone = store_bytes(&walk.key);
        uint32_t number = parts_calendar(page->txn, zone);
        bool is_wanted = page->range->zone.len == 0 || str_equal(zone, page->range->zone);
        if (number > 0 && zone.len <= SCHEMA_NAME_MAX && is_wanted) {
            days->calendars = arena_grow(&days->arena, days->calendars, days->calendar_count,
                                         &capacity, sizeof *days->calendars);
            days->calendars[days->calendar_count++] = (struct export_calendar){
                .number = number, .zone = arena_str(&days->arena, zone), .arena = &days->arena};
        }
        ok = walk_next(&walk, err);
    }
    walk_end(&walk);
    if (days->calendar_count > 0)
        qsort(days->calendars, days->calendar_count, sizeof *days->calendars, order_calendars);
    for (size_t i = 0; ok && i < days->calendar_count; i++)
        ok = read_days(days, &days->calendars[i], err);
    return ok;
}

/* --- telling --- */

static void tell_zones(const struct days *days)
{
    const struct export *export = days->page->export;

    for (size_t i = 0; i < days->calendar_count; i++) {
        const struct export_calendar *calendar = &days->calendars[i];
        for (size_t first = 0; first < calendar->day_count;) {
            size_t end = first + 1;
            while (end < calendar->day_count &&
                   calendar->days[end].day == calendar->days[end - 1].day + 1)
                end++;
            export->sink->on_zone(&(const struct export_zone){calendar->zone,
                                                              calendar->days[first].day,
                                                              calendar->days[end - 1].day},
                                  export->arg);
            first = end;
        }
    }
}

static wall_ms time_of(int64_t quarter)
{
    return quarter == INT64_MIN ? WALL_NONE : quarter * QUARTER_MS;
}

/* Of a range that ends before its hours begin nothing is told of what comes after it. */
static wall_ms hours_told_from(const struct days *days, const struct days_series *series)
{
    wall_ms from = series->hours_from * QUARTER_MS;
    wall_ms to = days->page->range->to;
    wall_ms window = QUARTERS_PER_WINDOW * QUARTER_MS;

    if (to == WALL_NONE || to >= from)
        return from;
    return to - (to % window < 0 ? to % window + window : to % window);
}

static void tell_metric(struct days *days, const struct days_series *series)
{
    static char told;
    const struct export *export = days->page->export;
    struct str metric = series_key_metric(series->series.key);

    if (table_find(&days->told, metric) != NULL)
        return;
    (void)table_add(&days->told, arena_str(&days->arena, metric), &told);
    struct export_gap *gaps = arena_array(&days->arena, days->calendar_count, sizeof *gaps);
    for (size_t i = 0; i < days->calendar_count; i++) {
        const struct export_calendar *calendar = &days->calendars[i];
        gaps[i] = (struct export_gap){
            calendar->zone, time_of(kept_whole_days_from(series->kept, calendar->number))};
    }
    const struct export_metric facts = {metric, hours_told_from(days, series), gaps,
                                        days->calendar_count};
    export->sink->on_metric(&facts, export->arg);
}

/* False: the page is full. */
static bool tell_series(struct days *days, const struct days_series *series)
{
    const struct export *export = days->page->export;
    struct export_place *place = days->page->place;

    for (size_t i = 0; i < days->row_count; i++) {
        const struct day_bounds *row = &days->rows[i];
        const struct cell *cell = &series->cells[i];
        if (cell->aggregate.count == 0 && cell->distinct == NULL)
            continue;
        if (series->series.id == place->id && row->day < place->at)
            continue; /* on the page before */
        tell_metric(days, series);
        const struct export_day day = {.key = series->series.key,
                                       .zone = days->calendar->zone,
                                       .day = row->day,
                                       .from = row->from * QUARTER_MS,
                                       .to = row->to * QUARTER_MS,
                                       .cell = cell};
        if (export->sink->on_day(&day, export->arg))
            continue;
        place->id = series->series.id;
        place->at = row->day;
        return false;
    }
    return true;
}

/* --- reading --- */

/* The row that a day of the series is told in; NULL: it is told of by others, or not at all. */
static struct cell *cell_of(const struct days *days, const struct days_series *series, size_t row)
{
    const struct day_bounds *day = &days->rows[row];

    if (day->from >= series->hours_from || day->from < series->whole_from ||
        day->from < series->kept->from[LEVEL_DAY])
        return NULL;
    return &series->cells[row];
}

/* The row in which the series' quarters begin; false: there is none, or it is not told. */
static bool find_cut_row(const struct days *days, const struct days_series *series, size_t *out)
{
    for (size_t i = 0; i < days->row_count; i++) {
        if (days->rows[i].from < series->hours_from && days->rows[i].to > series->hours_from &&
            cell_of(days, series, i) != NULL) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool damaged(const struct days *days, const struct days_series *series, struct error *err)
{
    return error_set(err, ERROR_CORRUPT,
                     "cannot export the days of series %u in data directory '%s': they do not "
                     "agree with what they were made of",
                     series->series.id, days->page->txn->store->path);
}

static bool merge_point(const struct block_point *point, struct cell *into)
{
    struct cell cell;

    if (!partition_cell_of(point, &cell))
        return false;
    cell_merge(into, &cell);
    cell_fini(&cell);
    return true;
}

static bool take_days(const struct days *days, const struct days_series *series,
                      const struct block_points *points)
{
    size_t row = 0;

    for (size_t i = 0; i < points->count; i++) {
        while (row < days->row_count && days->rows[row].day < points->points[i].bucket)
            row++;
        if (row == days->row_count)
            break;
        struct cell *cell = cell_of(days, series, row);
        if (days->rows[row].day == points->points[i].bucket && cell != NULL &&
            !merge_point(&points->points[i], cell))
            return false;
    }
    return true;
}

static bool take_quarters(const struct days *days, struct days_series *series,
                          const struct block_points *points)
{
    size_t row = 0;

    if (!find_cut_row(days, series, &row))
        return true;
    for (size_t i = 0; i < points->count; i++) {
        int64_t quarter = points->points[i].bucket;
        if (quarter >= series->hours_from && quarter < days->rows[row].to &&
            !merge_point(&points->points[i], &series->quarters))
            return false;
    }
    return true;
}

/* What one partition, of days or of quarters, has of buckets [from, to) of a chunk of series. */
static bool read_partition(const struct days *days, const struct partition *partition,
                           struct days_series *series, size_t count, const int64_t range[2],
                           struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct partition_cursor cursor;
    size_t i = 0;

    bool ok = partition_cursor_init(&cursor, days->page->txn, partition, err);
    while (ok && i < count) {
        ok = partition_cursor_seek(&cursor, series[i].series.id, err);
        if (!ok || cursor.id == 0)
            break;
        while (i < count && series[i].series.id < cursor.id)
            i++;
        if (i == count || series[i].series.id != cursor.id)
            continue;
        struct block_points points;
        ok = partition_cursor_points(&cursor, range[0], range[1], &arena, &points, err);
        if (ok && !(partition->level == LEVEL_DAY ? take_days(days, &series[i], &points)
                                                  : take_quarters(days, &series[i], &points)))
            ok = damaged(days, &series[i], err);
        arena_reset(&arena);
        i++;
    }
    partition_cursor_fini(&cursor);
    arena_fini(&arena);
    return ok;
}

/* Of days in which quarters begin: without what these have of them. */
static bool take_quarters_out(struct days *days, struct days_series *series, size_t count,
                              struct error *err)
{
    struct partition *partitions = NULL;
    size_t partition_count = 0;
    int64_t range[2] = {INT64_MAX, INT64_MIN};
    size_t row = 0;

    for (size_t i = 0; i < count; i++) {
        if (!find_cut_row(days, &series[i], &row))
            continue;
        range[0] = series[i].hours_from < range[0] ? series[i].hours_from : range[0];
        range[1] = days->rows[row].to > range[1] ? days->rows[row].to : range[1];
    }
    if (range[0] >= range[1])
        return true;
    if (!parts_partitions(days->page->txn,
                          &(const struct bucket_range){LEVEL_QUARTER, 0, range[0], range[1]},
                          &days->scratch, &partitions, &partition_count, err))
        return false;
    for (size_t i = 0; i < partition_count; i++) {
        if (!read_partition(days, &partitions[i], series, count, range, err))
            return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (find_cut_row(days, &series[i], &row) &&
            !cell_take_out(&series[i].cells[row], &series[i].quarters))
            return damaged(days, &series[i], err);
    }
    return true;
}

static struct days_series *find_series(struct days_series *series, size_t count, uint32_t id)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (series[middle].series.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && series[low].series.id == id ? &series[low] : NULL;
}

static void take_late(const struct days *days, const struct days_series *series,
                      const struct run_cell *late)
{
    int64_t quarter = quarter_of_minute(late->minute);

    for (size_t i = 0; i < days->row_count && quarter < series->hours_from; i++) {
        const struct day_bounds *row = &days->rows[i];
        struct cell *cell = cell_of(days, series, i);
        if (quarter >= row->from && quarter < row->to && cell != NULL)
            cell_merge(cell, &late->cell);
    }
}

/* What came late and is not folded yet. */
static bool read_runs(struct days *days, struct days_series *series, size_t count,
                      struct error *err)
{
    int64_t from = days->rows[0].from * MINUTES_PER_QUARTER;
    int64_t to = days->rows[days->row_count - 1].to * MINUTES_PER_QUARTER;
    struct run *runs = arena_array(&days->scratch, days->run_count, sizeof *runs);
    size_t run_count = 0;
    struct run_cell cell;
    bool found = true;

    for (size_t i = 0; i < days->run_count; i++) {
        if (days->runs[i].max_minute >= from && days->runs[i].min_minute < to)
            runs[run_count++] = days->runs[i];
    }
    if (run_count == 0)
        return true;
    struct run_merge *merge = run_merge_new(days->page->txn, runs, run_count, from, to, err);
    if (merge == NULL)
        return false;
    bool ok = run_merge_seek(merge, 0, from, err);
    while (ok && found) {
        ok = run_merge_next(merge, &cell, &found, err);
        if (!ok || !found)
            break;
        struct days_series *one = find_series(series, count, cell.id);
        if (one != NULL)
            take_late(days, one, &cell);
        cell_fini(&cell.cell);
    }
    run_merge_free(merge);
    return ok;
}

/* --- chunks of series, windows of days, calendars --- */

/* NULL: what is kept of them cannot be read. In the scratch arena. */
static struct days_series *begin_chunk(struct days *days, const struct query_series *series,
                                       size_t count, struct error *err)
{
    struct arena *arena = &days->scratch;
    struct kept_groups groups;

    if (!kept_group(days->page->txn, series, count, arena, &groups, err))
        return NULL;
    struct days_series *out = arena_array(arena, count, sizeof *out);
    struct cell *cells = arena_array(arena, count * days->row_count, sizeof *cells);
    for (size_t i = 0; i < count; i++) {
        const struct kept *kept = &groups.items[groups.of == NULL ? 0 : groups.of[i]];
        out[i] = (struct days_series){
            .series = series[i],
            .kept = kept,
            .hours_from = hours_from(kept),
            .whole_from = kept_whole_days_from(kept, days->calendar->number),
            .cells = cells + i * days->row_count,
        };
        for (size_t j = 0; j < days->row_count; j++)
            out[i].cells[j] = (struct cell)CELL_EMPTY;
    }
    return out;
}

static void end_chunk(const struct days *days, struct days_series *series, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < days->row_count; j++)
            cell_fini(&series[i].cells[j]);
        cell_fini(&series[i].quarters);
    }
}

static bool has_days_to_tell(const struct days *days, const struct days_series *series,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (days->rows[0].from < series[i].hours_from)
            return true;
    }
    return false;
}

static bool visit_chunk(struct days *days, const struct query_series *series, size_t count,
                        struct error *err)
{
    static const int64_t all[2] = {INT64_MIN, INT64_MAX};
    struct days_series *chunk = begin_chunk(days, series, count, err);
    bool ok = chunk != NULL;
    bool is_told = ok && has_days_to_tell(days, chunk, count);

    for (size_t i = 0; ok && is_told && i < days->partition_count; i++)
        ok = read_partition(days, &days->partitions[i], chunk, count, all, err);
    if (ok && is_told)
        ok = take_quarters_out(days, chunk, count, err) && read_runs(days, chunk, count, err);
    for (size_t i = 0; ok && is_told && i < count && !days->page->full; i++)
        days->page->full = !tell_series(days, &chunk[i]);
    if (chunk != NULL)
        end_chunk(days, chunk, count);
    arena_reset(&days->scratch);
    return ok;
}

/* The window's series from the place on. */
static bool visit_window(struct days *days, struct error *err)
{
    struct export_page *page = days->page;
    struct export_place *place = page->place;
    struct export_series series = {NULL, 0, false};

    while (!series.ended && !page->full) {
        arena_reset(&page->arena);
        if (!export_select(page, place->id, SERIES_A_CHUNK, &series, err))
            return false;
        for (size_t first = 0; first < series.count && !page->full; first += SERIES_A_CHUNK) {
            size_t left = series.count - first;
            if (!visit_chunk(days, series.items + first,
                             left < SERIES_A_CHUNK ? left : SERIES_A_CHUNK, err))
                return false;
        }
        page->visited += series.count * SERIES_COST;
        if (page->full || series.count == 0)
            return true;
        place->id = series.items[series.count - 1].id + 1;
        place->at = INT64_MIN;
        page->full = !series.ended && page->visited >= EXPORT_SERIES_A_PAGE;
    }
    return true;
}

static int64_t window_of(int64_t day)
{
    int64_t rest = day % DAYS_PER_WINDOW;
    return day - (rest < 0 ? rest + DAYS_PER_WINDOW : rest);
}

/* Whether partitions or runs may have cells of the window; and which partitions. */
static bool find_partitions(struct days *days, bool *found, struct error *err)
{
    const struct day_bounds *last = &days->rows[days->row_count - 1];
    const struct bucket_range range = {LEVEL_DAY, days->calendar->number, days->rows->day,
                                       last->day + 1};

    *found = false;
    for (size_t i = 0; i < days->run_count; i++) {
        const struct run *run = &days->runs[i];
        *found = *found || (run->min_minute < last->to * MINUTES_PER_QUARTER &&
                            run->max_minute >= days->rows->from * MINUTES_PER_QUARTER);
    }
    if (!parts_partitions(days->page->txn, &range, &days->arena, &days->partitions,
                          &days->partition_count, err))
        return false;
    *found = *found || days->partition_count > 0;
    return true;
}

/* The calendar's windows from the place on. */
static bool visit_calendar(struct days *days, struct error *err)
{
    struct export_page *page = days->page;
    struct export_place *place = page->place;
    const struct export_calendar *calendar = days->calendar;
    size_t end = 0;

    for (size_t first = 0; first < calendar->day_count && !page->full; first = end) {
        int64_t window = window_of(calendar->days[first].day);
        bool found = false;
        for (end = first + 1; end < calendar->day_count; end++) {
            if (window_of(calendar->days[end].day) != window)
                break;
        }
        if (window < place->window)
            continue;
        if (window > place->window)
            *place = (struct export_place){true, calendar->number, window, 0, INT64_MIN};
        days->rows = calendar->days + first;
        days->row_count = end - first;
        if (!find_partitions(days, &found, err) || (found && !visit_window(days, err)))
            return false;
        if (page->full)
            break;
        *place =
            (struct export_place){true, calendar->number, window + DAYS_PER_WINDOW, 0, INT64_MIN};
        page->full = page->visited >= EXPORT_SERIES_A_PAGE;
    }
    return true;
}

/* All calendars from the place on. */
static bool visit_calendars(struct days *days, struct error *err)
{
    struct export_page *page = days->page;
    struct export_place *place = page->place;

    if (!place->is_set) {
        tell_zones(days);
        *place = (struct export_place){true, 1, INT64_MIN, 0, INT64_MIN};
    }
    for (size_t i = 0; i < days->calendar_count && !page->full; i++) {
        days->calendar = &days->calendars[i];
        if (days->calendar->number < place->calendar)
            continue;
        if (days->calendar->number > place->calendar)
            *place = (struct export_place){true, days->calendar->number, INT64_MIN, 0, INT64_MIN};
        if (!visit_calendar(days, err))
            return false;
    }
    return true;
}

bool export_days(struct export_page *page, bool *done, struct error *err)
{
    struct days days = {.page = page, .told = TABLE_EMPTY};

    bool ok = find_newest_mark(&days, err);
    if (ok && days.newest_mark != INT64_MIN)
        ok = parts_runs(page->txn, &days.arena, &days.runs, &days.run_count, err) &&
             read_calendars(&days, err) && visit_calendars(&days, err);
    *done = !page->full;
    table_fini(&days.told);
    arena_fini(&days.arena);
    arena_fini(&days.scratch);
    return ok;
}
