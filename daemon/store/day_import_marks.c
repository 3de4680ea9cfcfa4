#include "store/day_import_marks.h"

#include <stdio.h>

#include "store/plan.h"
#include "store/query.h"

enum { ROWS_MAX = 1 << 16, SERIES_A_QUERY = 1024, METRICS_MAX = 10 * 1000 };

#define QUARTER_MS (MINUTES_PER_QUARTER * (wall_ms)MS_PER_MINUTE)
/* Before this nothing is measured (store/plan.h). */
#define EARLIEST (-PLAN_MINUTE_LIMIT * MS_PER_MINUTE)

static const struct read_txn *reader_of_marks(const struct day_marks *marks)
{
    return &marks->step.txn->reader;
}

static void change(struct day_marks *marks)
{
    if (!marks->changed)
        upkeep_drop_jobs(marks->step.upkeep);
    marks->changed = true;
}

static const char *date_of(int64_t day, char out[16])
{
    const struct civil date = civil_of_days(day);

    (void)snprintf(out, 16, "%04d-%02d-%02d", date.year % 10000, date.month % 100, date.day % 100);
    return out;
}

static bool not_built_yet(int64_t quarter, struct error *err)
{
    char time[CLOCK_TEXT_SIZE];

    (void)error_set(err, ERROR_UNAVAILABLE,
                    "what was stored of the time from %s on is not made to days yet",
                    clock_format_utc(quarter * QUARTER_MS, time));
    return error_hint(err, "try again in a quarter of an hour");
}

/* --- what is there --- */

/* Whether some cell of a minute or of a quarter may be of quarters [from, to). */
static bool has_cells(struct day_marks *marks, int64_t from, int64_t to, bool with_quarters,
                      bool *out, struct error *err)
{
    struct arena *arena = &marks->step.arena;
    const int64_t minutes[2] = {from == INT64_MIN ? INT64_MIN : from * MINUTES_PER_QUARTER,
                                to * MINUTES_PER_QUARTER};
    struct partition *partitions = NULL;
    struct run *runs = NULL;
    size_t count = 0;

    *out = false;
    if (!parts_runs(reader_of_marks(marks), arena, &runs, &count, err))
        return false;
    for (size_t i = 0; i < count; i++)
        *out = *out || (runs[i].min_minute < minutes[1] && runs[i].max_minute >= minutes[0]);
    if (!parts_partitions(reader_of_marks(marks),
                          &(const struct bucket_range){LEVEL_MINUTE, 0, minutes[0], minutes[1]},
                          arena, &partitions, &count, err))
        return false;
    *out = *out || count > 0;
    if (!with_quarters)
        return true;
    if (!parts_partitions(reader_of_marks(marks),
                          &(const struct bucket_range){LEVEL_QUARTER, 0, from, to}, arena,
                          &partitions, &count, err))
        return false;
    *out = *out || count > 0;
    return true;
}

/* Windows without a cell have their quarters: none. */
static bool build_until(struct day_marks *marks, int64_t quarter, struct error *err)
{
    int64_t built = parts_mark(reader_of_marks(marks), MARK_QUARTERED);
    int64_t closed = parts_mark(reader_of_marks(marks), MARK_CLOSED);
    int64_t to = floor_to(quarter + QUARTERS_PER_WINDOW - 1, QUARTERS_PER_WINDOW);
    bool has = false;

    if (quarter <= built)
        return true;
    if (closed == INT64_MIN || to > quarter_of_minute(closed))
        return not_built_yet(quarter, err);
    if (!has_cells(marks, built, to, false, &has, err))
        return false;
    if (has)
        return not_built_yet(built == INT64_MIN ? quarter : built, err);
    change(marks);
    return parts_set_mark(marks->step.txn, MARK_QUARTERED, to, err);
}

/* --- days of zones --- */

/* Days that have no row yet. */
struct new_days {
    uint32_t *calendars;
    struct day_bounds *days;
    size_t count;
    size_t calendar_capacity, day_capacity;
};

struct neighbours {
    const struct day_bounds *day;
    bool is_there;
    bool are_fine;
};

/* Rows of days that follow each other meet. */
static bool look_at_neighbour(const struct day_bounds *row, void *arg)
{
    struct neighbours *rows = arg;
    const struct day_bounds *day = rows->day;

    if (row->day < day->day)
        rows->are_fine = row->day + 1 == day->day ? row->to == day->from : row->to <= day->from;
    else if (row->day > day->day)
        rows->are_fine = day->day + 1 == row->day ? row->from == day->to : row->from >= day->to;
    else
        rows->are_fine = rows->is_there = row->from == day->from && row->to == day->to;
    return rows->are_fine;
}

bool day_marks_other_bounds(const struct day_bounds *day, struct str zone, struct error *err)
{
    char date[16];

    return error_set(err, ERROR_CONFLICT,
                     "%s of zone '%.*s' begins or ends at another time here: its rules have "
                     "changed",
                     date_of(day->day, date), (int)zone.len, zone.text);
}

static bool see_any(const struct day_bounds *row, void *arg)
{
    (void)row;
    *(bool *)arg = true;
    return false;
}

/* The rows of another calendar that overlap a day without a row: up to as many as can. */
struct other_days {
    struct day_bounds days[4];
    size_t count;
};

static bool gather_other(const struct day_bounds *row, void *arg)
{
    struct other_days *other = arg;

    other->days[other->count++] = *row;
    return other->count < sizeof other->days / sizeof *other->days;
}

/* Whether there was data of the day: another calendar has made a day of it, and this one nothing at
 * all. Where it has another day of the same time that is what has the data, since a calendar's days
 * are made from the oldest quarter on. */
static bool is_lost(struct day_marks *marks, uint32_t calendar, const struct day_bounds *day,
                    bool *out, struct error *err)
{
    const struct read_txn *reader = reader_of_marks(marks);
    uint32_t count = 0;

    *out = day->from < upkeep_days_lost_before(reader, calendar);
    if (!upkeep_calendar_count(reader, &count, err))
        return false;
    for (uint32_t number = 1; number <= count && !*out; number++) {
        struct other_days other = {.count = 0};
        if (number != calendar &&
            !parts_days(reader, &(const struct day_range){number, day->from, day->to}, gather_other,
                        &other, err))
            return false;
        for (size_t i = 0; i < other.count && !*out; i++) {
            const struct day_range same = {calendar, other.days[i].from, other.days[i].to};
            bool is_covered = false;
            if (!parts_days(reader, &same, see_any, &is_covered, err))
                return false;
            *out = !is_covered;
        }
    }
    return true;
}

/* Whether the day can have a row; and has none. */
static bool check_day(struct day_marks *marks, uint32_t calendar, const struct day_bounds *day,
                      struct str zone, bool *is_new, struct error *err)
{
    const struct day_range around = {calendar, day->from - (int64_t)2 * QUARTERS_PER_DAY,
                                     day->to + (int64_t)2 * QUARTERS_PER_DAY};
    struct neighbours rows = {.day = day, .are_fine = true};
    int64_t lowest = 0;
    int64_t highest = 0;
    bool was_there = false;
    bool has = false;
    char date[16];

    *is_new = false;
    if (!upkeep_kept_bounds(&marks->step, LEVEL_DAY, &lowest, &highest, err) ||
        !parts_days(reader_of_marks(marks), &around, look_at_neighbour, &rows, err))
        return false;
    if (!rows.are_fine)
        return day_marks_other_bounds(day, zone, err);
    if (rows.is_there || day->from < lowest)
        return true;
    if (!is_lost(marks, calendar, day, &was_there, err) ||
        !has_cells(marks, day->from, day->to, true, &has, err))
        return false;
    if (has)
        return not_built_yet(day->from, err);
    if (was_there)
        return error_set(err, ERROR_CONFLICT,
                         "there was data of %s here that zone '%.*s' has no days of: it would look "
                         "whole",
                         date_of(day->day, date), (int)zone.len, zone.text);
    *is_new = true;
    return true;
}

static void add_new_day(struct day_marks *marks, struct new_days *days, uint32_t calendar,
                        const struct day_bounds *day)
{
    struct arena *arena = &marks->step.arena;

    days->calendars = arena_grow(arena, days->calendars, days->count, &days->calendar_capacity,
                                 sizeof *days->calendars);
    days->days =
        arena_grow(arena, days->days, days->count, &days->day_capacity, sizeof *days->days);
    days->calendars[days->count] = calendar;
    days->days[days->count++] = *day;
}

static bool check_zone(struct day_marks *marks, const struct export_zone *zone,
                       struct new_days *days, struct error *err)
{
    const struct calendar *calendar = upkeep_calendar_of_zone(marks->step.upkeep, zone->zone);
    uint32_t number = 0;

    if (calendar == NULL) {
        (void)error_set(err, ERROR_CONFLICT, "no calendar of the configuration has zone '%.*s'",
                        (int)zone->zone.len, zone->zone.text);
        return error_hint(err, "add one to kpid.yaml, or export the days of another zone alone "
                               "(--zone)");
    }
    if (zone->last - zone->first >= ROWS_MAX)
        return error_set(err, ERROR_INVALID, "zone '%.*s' has more than %d days",
                         (int)zone->zone.len, zone->zone.text, ROWS_MAX);
    if (!parts_add_calendar(marks->step.txn, zone->zone, &number, err))
        return false;
    for (int64_t day = zone->first; day <= zone->last; day++) {
        const struct civil date = civil_of_days(day);
        const struct period period =
            calendar_period(calendar, PERIOD_DAY, calendar_instant(calendar, &date));
        const struct day_bounds bounds = upkeep_day_bounds(calendar, &period);
        bool is_new = false;
        if (bounds.day != day)
            continue; /* one that the zone has skipped */
        if (!check_day(marks, number, &bounds, zone->zone, &is_new, err))
            return false;
        if (is_new)
            add_new_day(marks, days, number, &bounds);
        if (days->count > ROWS_MAX)
            return error_set(err, ERROR_INVALID, "these are more than %d days", ROWS_MAX);
    }
    return true;
}

/* All are looked at before the first one is listed: the calendars of one export know the same. */
static bool list_days(struct day_marks *marks, const struct day_import *import, struct error *err)
{
    struct new_days days = {.count = 0};
    int64_t end = INT64_MIN;

    for (size_t i = 0; i < import->zone_count; i++) {
        if (!check_zone(marks, &import->zones[i], &days, err))
            return false;
    }
    for (size_t i = 0; i < days.count; i++)
        end = days.days[i].to > end ? days.days[i].to : end;
    if (days.count == 0)
        return true;
    if (!build_until(marks, end, err))
        return false;
    change(marks);
    for (size_t i = 0; i < days.count; i++) {
        if (!parts_add_day(marks->step.txn, days.calendars[i], &days.days[i], err))
            return false;
    }
    return true;
}

/* --- hours of metrics --- */

static bool see_cell(size_t series, wall_ms from, const struct cell *cell, void *arg)
{
    (void)series;
    (void)from;
    (void)cell;
    *(bool *)arg = true;
    return false;
}

static bool has_hours_of_kind(struct day_marks *marks, const struct selector *selector,
                              const int64_t range[2], bool *out, struct error *err)
{
    struct read_txn *reader = write_txn_reader(marks->step.txn);
    struct arena arena = ARENA_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;
    struct query query = {.merge_series = true};
    struct query_series *series = NULL;
    size_t count = 0;

    query.from = range[0] < EARLIEST / QUARTER_MS ? EARLIEST : range[0] * QUARTER_MS;
    query.to = range[1] * QUARTER_MS;
    bool ok = query_series(reader, selector, &arena, &series, &count, err);
    for (size_t i = 0; ok && i < count && !*out; i += SERIES_A_QUERY) {
        query.series = series + i;
        query.series_count = count - i < SERIES_A_QUERY ? count - i : SERIES_A_QUERY;
        ok = query_cells(reader, &query, see_cell, out, &coverage, err);
    }
    arena_fini(&arena);
    return ok;
}

/* Whether the metric has anything of quarters [from, to), in which its hours are known. */
static bool has_hours(struct day_marks *marks, struct str metric, const int64_t range[2], bool *out,
                      struct error *err)
{
    struct metric_facts facts = {false, 0, 0};
    bool has = false;

    *out = false;
    if (!has_cells(marks, range[0], range[1], true, &has, err))
        return false;
    if (has)
        query_metric(write_txn_reader(marks->step.txn), metric, &facts);
    for (int kind = 1; kind <= METRIC_KIND_MAX && !*out; kind++) {
        const struct selector selector = {.metric = metric, .kind = (enum metric_kind)kind};
        if ((facts.kinds >> kind & 1) != 0 && !has_hours_of_kind(marks, &selector, range, out, err))
            return false;
    }
    return true;
}

/* Days of a calendar lack something unless the export has them. */
static int64_t gap_of(const struct export_metric *metric, const struct calendar *calendar)
{
    for (size_t i = 0; i < metric->gap_count; i++) {
        const struct export_gap *gap = &metric->gaps[i];
        if (str_is(gap->zone, calendar_zone(calendar)))
            return gap->whole_from == WALL_NONE ? INT64_MIN : gap->whole_from / QUARTER_MS;
    }
    return metric->hours_from / QUARTER_MS;
}

static bool set_gaps(struct day_marks *marks, const struct export_metric *metric, struct kept *kept,
                     bool *moves, struct error *err)
{
    const struct upkeep_options *options = marks->step.upkeep->options;

    for (size_t i = 0; i < options->calendar_count; i++) {
        const struct calendar *calendar = options->calendars[i];
        int64_t gap = gap_of(metric, calendar);
        uint32_t number = 0;
        if (!parts_add_calendar(marks->step.txn, str_of(calendar_zone(calendar)), &number, err))
            return false;
        if (gap <= kept_whole_days_from(kept, number))
            continue;
        kept_set_whole_days(kept, number, gap, &marks->step.arena);
        *moves = true;
    }
    return true;
}

/* Whether hours would be lost that are known here. */
static bool check_hours(struct day_marks *marks, const struct export_metric *metric,
                        const struct kept *kept, struct error *err)
{
    int64_t minute = kept->from[LEVEL_MINUTE];
    int64_t quarter = kept->from[LEVEL_QUARTER];
    int64_t of_minutes = minute == INT64_MIN ? INT64_MIN : quarter_of_minute(minute);
    const int64_t range[2] = {of_minutes < quarter ? of_minutes : quarter,
                              metric->hours_from / QUARTER_MS};
    char time[CLOCK_TEXT_SIZE];
    bool has = false;

    if (range[0] >= range[1])
        return true;
    if (!has_hours(marks, metric->metric, range, &has, err))
        return false;
    if (!has)
        return true;
    (void)error_set(err, ERROR_CONFLICT,
                    "metric '%.*s' has hours of before %s here, which would be given up for days",
                    (int)(metric->metric.len < 80 ? metric->metric.len : 80), metric->metric.text,
                    clock_format_utc(metric->hours_from, time));
    return error_hint(err, "export with '--to', up to where they begin");
}

/* Whoever commits reads all rows. */
static bool has_room(struct day_marks *marks, struct error *err)
{
    const struct read_txn *reader = reader_of_marks(marks);
    MDB_stat facts;
    int rc = mdb_stat(reader->txn, reader->store->databases[DATABASE_KEPT], &facts);

    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", reader->store->path);
    return facts.ms_entries < METRICS_MAX ||
           error_set(err, ERROR_FULL,
                     "%d metrics have marks of their own already: days of no other can be taken",
                     METRICS_MAX);
}

static bool move_marks(struct day_marks *marks, const struct export_metric *metric,
                       struct error *err)
{
    int64_t from = metric->hours_from / QUARTER_MS;
    struct kept_row row = {.metric = metric->metric};
    bool moves = false;

    if (!build_until(marks, from, err) ||
        !kept_of_metric(reader_of_marks(marks), metric->metric, &marks->step.arena, &row.kept,
                        err) ||
        !check_hours(marks, metric, &row.kept, err) ||
        !set_gaps(marks, metric, &row.kept, &moves, err))
        return false;
    if (row.kept.from[LEVEL_QUARTER] < from ||
        row.kept.from[LEVEL_MINUTE] < from * MINUTES_PER_QUARTER)
        moves = true;
    if (!moves)
        return true;
    if (row.kept.from[LEVEL_QUARTER] < from)
        row.kept.from[LEVEL_QUARTER] = from;
    if (row.kept.from[LEVEL_MINUTE] < from * MINUTES_PER_QUARTER)
        row.kept.from[LEVEL_MINUTE] = from * MINUTES_PER_QUARTER;
    change(marks);
    return has_room(marks, err) && kept_put(marks->step.txn, &row, err);
}

bool day_marks_set(struct day_marks *marks, const struct day_import *import, struct error *err)
{
    if (!list_days(marks, import, err))
        return false;
    for (size_t i = 0; i < import->metric_count; i++) {
        if (!move_marks(marks, &import->metrics[i], err))
            return false;
    }
    return true;
}
