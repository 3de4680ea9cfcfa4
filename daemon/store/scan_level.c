/* The newest and the oldest samples of series: scan_levels and scan_times. */
#include <stdlib.h>
#include <string.h>

#include "store/scan.h"
#include "store/visit.h"

/* Series that are looked for together. */
enum { LEVELS_TOGETHER = 4096 };

/* Minutes. */
enum { HOUR = 60, DAY = 1440, FORTNIGHT = 14 * DAY };

/* How much of a partition is read first: one of so many. */
enum { NEAR_PARTS = 8 };

/* A search from one end of time towards the other, window by window: the nearer ones are short,
 * since most series have samples there, and the last one is all that is left. */
struct search {
    const struct read_txn *txn;
    const struct kept *kept; /* of all its series */
    bool backwards;          /* for the newest; else for the oldest */
    struct run *runs;
    size_t run_count;
    struct arena arena;     /* until the end */
    struct arena plans;     /* of one window */
    struct arena scratch;   /* of one series in one partition */
    struct aggregate *best; /* of each row, what was found */
    bool is_one;            /* there is one row only */
    struct visit_series *series;
    struct visit visit; /* the series that are looked for still: in `series` */
    const struct plan_segment *segment;
    int64_t from, to;  /* buckets of the segment that are read */
    uint32_t calendar; /* whose days are read; 0: any so far */
    struct coverage *coverage;
    int64_t since; /* minute: gaps before it are no matter */
    bool has_gap;  /* some minutes that were searched are kept at no level: */
    int64_t gap;   /* the end of the newest such span, forwards the begin of the oldest one */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greatest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Series of which as much is kept. */
struct alike {
    const struct kept *kept;
    const struct query_series *series;
    size_t count;
    bool merged;   /* one row for all of them */
    wall_ms since; /* the coverage speaks of what is newer */
};

static bool search_init(struct search *search, const struct read_txn *txn,
                        const struct alike *alike, struct coverage *coverage, struct error *err)
{
    bool merged = alike->merged;

    *search =
        (struct search){.txn = txn, .kept = alike->kept, .backwards = true, .coverage = coverage};
    search->since = plan_minute_of(alike->since);
    search->is_one = merged;
    search->best = arena_array(&search->arena, merged ? 1 : alike->count, sizeof *search->best);
    search->series =
        visit_init(&search->visit, txn, alike->series, alike->count, merged, &search->arena);
    search->visit.arg = search;
    return read_txn_check(txn, err) &&
           parts_runs(txn, &search->arena, &search->runs, &search->run_count, err);
}

static void search_fini(struct search *search)
{
    arena_fini(&search->scratch);
    arena_fini(&search->plans);
    arena_fini(&search->arena);
}

/* --- reading --- */

static bool take_cell(struct visit *visit, const struct visit_series *series,
                      const struct run_cell *cell, struct error *err)
{
    struct search *search = visit->arg;
    (void)err;
    aggregate_merge(&search->best[series->row], &cell->cell.aggregate);
    return true;
}

/* Merges the newest or oldest point of some buckets, if there is one. */
static bool take_outermost(struct search *search, struct partition_cursor *cursor, int64_t from,
                           int64_t to, struct aggregate *into, struct error *err)
{
    struct block_points points;

    arena_reset(&search->scratch);
    if (!partition_cursor_points(cursor, from, to, &search->scratch, &points, err))
        return false;
    for (size_t i = 0; i < points.count; i++) {
        size_t at = search->backwards ? points.count - 1 - i : i;
        const struct aggregate *aggregate = &points.points[at].aggregate;
        if (aggregate->count == 0)
            continue; /* uniques without a sample */
        aggregate_merge(into, aggregate);
        break;
    }
    return true;
}

static bool take_series(struct visit *visit, const struct visit_series *series,
                        struct partition_cursor *cursor, struct error *err)
{
    struct search *search = visit->arg;
    int64_t from = greatest(search->from, cursor->partition.from);
    int64_t to = least(search->to, cursor->partition.to);
    /* The near end of a long partition first, which has many blocks, of which this is one. */
    int64_t near = (to - from) / NEAR_PARTS;
    int64_t middle = search->backwards ? to - near : from + near;
    struct aggregate found = AGGREGATE_EMPTY;
    bool ok = true;

    if (near > 0)
        ok = search->backwards ? take_outermost(search, cursor, middle, to, &found, err)
                               : take_outermost(search, cursor, from, middle, &found, err);
    if (ok && found.count == 0)
        ok = take_outermost(search, cursor, search->backwards ? from : middle,
                            search->backwards ? middle : to, &found, err);
    aggregate_merge(&search->best[series->row], &found);
    return ok;
}

/* --- a window of time --- */

/* Leaves those series out whose sample is in this minute or beyond it: nothing that is read from
 * here on is further out. */
static void drop_found(struct search *search, int64_t minute)
{
    struct visit_series *series = search->series;
    size_t count = 0;

    for (size_t i = 0; i < search->visit.count; i++) {
        const struct aggregate *best = &search->best[series[i].row];
        bool beyond = search->backwards ? plan_minute_of(best->last_at) >= minute
                                        : plan_minute_of(best->first_at) < minute;
        if (best->count == 0 || !beyond)
            series[count++] = series[i];
    }
    search->visit.count = count;
}

/* Partitions that overlap, from the first to the last one. */
struct group {
    const struct partition *partitions;
    size_t count;
    int64_t from, to; /* buckets */
};

static struct group *group_partitions(const struct partition *partitions, size_t count,
                                      struct arena *arena, size_t *group_count)
{
    struct group *groups = arena_array(arena, count, sizeof *groups);

    *group_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct group *last = *group_count > 0 ? &groups[*group_count - 1] : NULL;
        if (last != NULL && partitions[i].from < last->to) {
            last->count++;
            last->to = greatest(last->to, partitions[i].to);
        } else {
            groups[(*group_count)++] =
                (struct group){&partitions[i], 1, partitions[i].from, partitions[i].to};
        }
    }
    return groups;
}

/* Those of a group are all read before a sample in them is believed to be the outermost. */
static bool search_group(struct search *search, const struct group *group, struct error *err)
{
    drop_found(search,
               plan_bucket_start(search->segment, search->backwards ? group->to : group->from));
    for (size_t i = 0; i < group->count && search->visit.count > 0; i++) {
        if (!visit_partition(&search->visit, &group->partitions[i], take_series, err))
            return false;
    }
    return true;
}

static bool search_segment(struct search *search, const struct plan_segment *segment,
                           struct error *err)
{
    struct partition *partitions = NULL;
    size_t count = 0;

    search->segment = segment;
    search->coverage->levels |= scan_coverage_of(segment->level);
    search->from = plan_bucket_from(segment, segment->from);
    search->to = plan_bucket_from(segment, segment->to);
    if (!parts_partitions(search->txn,
                          &(const struct bucket_range){segment->level, segment->calendar,
                                                       search->from, search->to},
                          &search->plans, &partitions, &count, err))
        return false;
    const struct group *groups = group_partitions(partitions, count, &search->plans, &count);
    for (size_t i = 0; i < count && search->visit.count > 0; i++) {
        if (!search_group(search, &groups[search->backwards ? count - 1 - i : i], err))
            return false;
    }
    return true;
}

static bool search_runs(struct search *search, int64_t from, int64_t to, struct error *err)
{
    for (size_t i = 0; i < search->run_count; i++) {
        search->visit.from = from;
        search->visit.to = to;
        if (search->is_one && search->best->count > 0) {
            if (search->backwards)
                search->visit.from = greatest(from, plan_minute_of(search->best->last_at));
            else
                search->visit.to = least(to, plan_minute_of(search->best->first_at) + 1);
        }
        if (!visit_run(&search->visit, &search->runs[i], take_cell, err))
            return false;
    }
    return true;
}

/* --- what is missing --- */

/* Whether all that was ever measured before the oldest day that is built, and before the oldest
 * quarter where none is, is still there: nothing was. Days are built long before their quarters are
 * dropped, the silent ones too. */
static bool is_whole_below(const struct search *search, bool *out, struct error *err)
{
    const struct kept *kept = search->kept;
    size_t calendars = 0;

    *out = kept->from[LEVEL_DAY] == INT64_MIN && kept->from[LEVEL_QUARTER] == INT64_MIN;
    if (*out || kept->from[LEVEL_DAY] != INT64_MIN)
        return true;
    if (!plan_count_calendars(search->txn, &calendars, err))
        return false;
    uint32_t calendar = search->calendar == 0 ? 1 : search->calendar;
    *out = calendars > 0 && kept_whole_days_from(kept, calendar) == INT64_MIN;
    return true;
}

static void note_gap(struct search *search, int64_t from, int64_t to)
{
    if (!search->has_gap)
        search->gap = search->backwards ? to : from;
    else if (search->backwards)
        search->gap = greatest(search->gap, to);
    else
        search->gap = least(search->gap, from);
    search->has_gap = true;
}

/* Takes note of what the segments leave out of the range. */
static bool note_gaps(struct search *search, const struct plan_range *range,
                      const struct plan *plan, struct error *err)
{
    int64_t covered = range->from;
    bool is_whole = false;

    if (plan->complete && plan->count > 0)
        return true;
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_segment *segment = &plan->segments[i];
        if (segment->from > covered && i > 0)
            note_gap(search, covered, segment->from);
        covered = segment->to;
    }
    if (covered < range->to && plan->count > 0)
        note_gap(search, covered, range->to);
    if (!is_whole_below(search, &is_whole, err))
        return false;
    if (plan->count == 0 && !is_whole)
        note_gap(search, range->from, range->to);
    else if (plan->count > 0 && plan->segments[0].from > range->from && !is_whole)
        note_gap(search, range->from, plan->segments[0].from);
    return true;
}

/* Whether the answer may be another one than it would be if everything was kept. */
static bool is_doubtful(const struct search *search, const struct aggregate *best)
{
    if (!search->has_gap || (search->backwards && search->gap <= search->since))
        return false;
    if (best->count == 0)
        return true;
    return search->backwards ? plan_minute_of(best->last_at) < search->gap
                             : plan_minute_of(best->first_at) >= search->gap;
}

/* Adds what a search has found to the coverage. */
static void cover(struct search *search, const struct aggregate *best)
{
    struct coverage *coverage = search->coverage;
    wall_ms at = search->backwards ? best->last_at : best->first_at;

    if (best->count > 0 && at > coverage->newest)
        coverage->newest = at;
    if (is_doubtful(search, best))
        coverage->complete = false;
}

/* --- all of a range --- */

/* Finds the outermost sample of each series that has one in the range. */
static bool search_plan(struct search *search, const struct plan_range *range,
                        const struct plan *plan, struct error *err)
{
    if (!note_gaps(search, range, plan, err) || !search_runs(search, range->from, range->to, err))
        return false;
    for (size_t i = 0; i < plan->count && search->visit.count > 0; i++) {
        size_t at = search->backwards ? plan->count - 1 - i : i;
        if (!search_segment(search, &plan->segments[at], err))
            return false;
    }
    return true;
}

static struct plan_range window_of(const struct search *search, int64_t start, int64_t width)
{
    struct plan_range range = {.from = start,
                               .to = least(start + width, PLAN_MINUTE_LIMIT + 1),
                               .calendar = search->calendar};
    if (search->backwards) {
        range.from =
            greatest(quarter_of_minute(start - width) * MINUTES_PER_QUARTER, -PLAN_MINUTE_LIMIT);
        range.to = start;
    }
    return range;
}

/* From `start` to the end of time. A window that cuts what is kept of days is left to the last one,
 * and days are of one calendar: so none is missed between two windows. */
static bool search_from(struct search *search, int64_t start, struct error *err)
{
    static const int64_t widths[] = {HOUR, DAY, FORTNIGHT, 4 * PLAN_MINUTE_LIMIT};
    enum { WIDTHS = sizeof widths / sizeof *widths };

    /* What is old is in days. */
    for (size_t i = search->backwards ? 0 : WIDTHS - 2; i < WIDTHS && search->visit.count > 0;
         i++) {
        const struct plan_range range = window_of(search, start, widths[i]);
        struct plan plan;
        if (range.from >= range.to)
            break;
        arena_reset(&search->plans);
        if (!plan_read(search->txn, search->kept, &range, &search->plans, &plan, err))
            return false;
        if (!plan.complete && i + 1 < WIDTHS)
            continue;
        for (size_t j = 0; j < plan.count; j++) {
            if (plan.segments[j].level == LEVEL_DAY)
                search->calendar = plan.segments[j].calendar;
        }
        if (!search_plan(search, &range, &plan, err))
            return false;
        start = search->backwards ? range.from : range.to;
        drop_found(search, start);
    }
    return true;
}

/* --- levels --- */

/* The finest bucket that is kept around a minute; when there is none, its minute and an empty plan.
 */
static bool find_bucket(struct search *search, int64_t minute, struct plan_range *out,
                        struct plan *plan, struct error *err)
{
    const int64_t quarter = quarter_of_minute(minute) * MINUTES_PER_QUARTER;
    const struct plan_range fine[] = {{.from = minute, .to = minute + 1},
                                      {.from = quarter, .to = quarter + MINUTES_PER_QUARTER}};
    struct plan_calendar calendar;
    size_t calendars = 0;

    for (size_t i = 0; i < 2; i++) {
        *out = fine[i];
        if (!plan_read(search->txn, search->kept, out, &search->plans, plan, err))
            return false;
        if (plan->complete)
            return true;
    }
    if (!plan_count_calendars(search->txn, &calendars, err))
        return false;
    for (uint32_t i = 1; i <= calendars; i++) {
        if (!plan_read_days(search->txn, i, &fine[0], &search->plans, &calendar, err))
            return false;
        if (calendar.count == 0)
            continue;
        *out = (struct plan_range){.from = calendar.days[0].from * MINUTES_PER_QUARTER,
                                   .to = calendar.days[0].to * MINUTES_PER_QUARTER,
                                   .calendar = i};
        if (!plan_read(search->txn, search->kept, out, &search->plans, plan, err))
            return false;
        search->calendar = i;
        if (plan->complete)
            return true;
    }
    *out = fine[0];
    *plan = (struct plan){.complete = true};
    search->calendar = 0;
    return true;
}

/* Of the bucket that holds `at` only the first and the last sample are known. */
static bool search_bucket(struct search *search, wall_ms at, int64_t *from, struct error *err)
{
    struct plan_range bucket;
    struct plan plan;

    if (!find_bucket(search, plan_minute_of(at), &bucket, &plan, err))
        return false;
    *from = bucket.from;
    if (plan.count == 0 && !note_gaps(search, &bucket, &plan, err))
        return false;
    if (plan.count > 0 && !search_plan(search, &bucket, &plan, err))
        return false;
    for (size_t i = 0; i < search->visit.count; i++) {
        struct aggregate *best = &search->best[search->visit.series[i].row];
        if (best->count == 0 || best->last_at <= at)
            continue;
        if (best->first_at <= at && bucket.to - bucket.from > 1)
            search->coverage->complete = false; /* there may be one in between */
        best->last = best->first;
        best->last_at = best->first_at;
        if (best->first_at > at)
            *best = (struct aggregate)AGGREGATE_EMPTY;
    }
    drop_found(search, bucket.from);
    return true;
}

/* Where the answer of each series goes. */
struct level_places {
    struct level_sample *out;
    const size_t *at;
};

static bool levels_together(const struct read_txn *txn, const struct alike *alike, wall_ms at,
                            const struct level_places *places, struct coverage *coverage,
                            struct error *err)
{
    struct search search;
    int64_t start = 0;
    bool ok = search_init(&search, txn, alike, coverage, err) &&
              search_bucket(&search, at, &start, err) && search_from(&search, start, err);

    for (size_t i = 0; ok && i < alike->count; i++) {
        const struct aggregate *best = &search.best[i];
        struct level_sample *place = &places->out[places->at[i]];
        cover(&search, best);
        *place = (struct level_sample){.at = WALL_NONE};
        if (best->count > 0)
            *place = (struct level_sample){best->last, best->last_at};
    }
    search_fini(&search);
    return ok;
}

bool scan_levels(const struct read_txn *txn, const struct query_levels *query,
                 struct level_sample *out, struct coverage *coverage, struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct kept_groups groups;
    size_t count = query->series_count;
    bool ok = kept_group(txn, query->series, count, &arena, &groups, err);

    for (size_t group = 0; ok && group < groups.count; group++) {
        struct kept_members members;
        kept_members_of(&groups, group, query->series, count, &arena, &members);
        for (size_t i = 0; ok && i < members.count; i += LEVELS_TOGETHER) {
            size_t left = members.count - i;
            const struct alike alike = {.kept = &groups.items[group],
                                        .series = members.series + i,
                                        .count = left < LEVELS_TOGETHER ? left : LEVELS_TOGETHER,
                                        .since = query->since};
            const struct level_places places = {out, members.at + i};
            ok = levels_together(txn, &alike, query->at, &places, coverage, err);
        }
    }
    arena_fini(&arena);
    return ok;
}

/* --- times --- */

struct wanted_time {
    wall_ms *out; /* NULL: it is not wanted */
    bool newest;  /* else the oldest */
};

static int compare_newest(const void *a, const void *b)
{
    const struct run *one = a;
    const struct run *other = b;
    return (one->max_minute < other->max_minute) - (one->max_minute > other->max_minute);
}

static int compare_oldest(const void *a, const void *b)
{
    const struct run *one = a;
    const struct run *other = b;
    return (one->min_minute > other->min_minute) - (one->min_minute < other->min_minute);
}

/* Lowers `*minute` to where the first partition of a level begins, or before it. */
static bool lower_to_level(const struct search *search, enum level level, uint32_t calendar,
                           int64_t *minute, struct error *err)
{
    enum { KEY_HEAD = 3 };
    struct schema_key head = SCHEMA_KEY_EMPTY;
    MDB_cursor *cursor = NULL;
    MDB_val value;

    schema_put_u8(&head, (uint8_t)level);
    schema_put_u16(&head, (uint16_t)calendar);
    MDB_val key = store_key(&head);
    int rc = mdb_cursor_open(search->txn->txn, search->txn->store->databases[DATABASE_PARTITIONS],
                             &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        mdb_cursor_close(cursor);
    }
    if (rc != 0 && rc != MDB_NOTFOUND)
        return store_error(err, rc, "cannot read data directory '%s'", search->txn->store->path);
    if (rc == MDB_NOTFOUND || key.mv_size < KEY_HEAD ||
        memcmp(key.mv_data, head.bytes, KEY_HEAD) != 0)
        return true;
    struct schema_reader reader = schema_reader_of(store_bytes(&key));
    (void)schema_get_u8(&reader);
    (void)schema_get_u16(&reader);
    int64_t bucket = schema_get_i64(&reader);
    const struct plan_segment segment = {.level = level == LEVEL_MINUTE ? level : LEVEL_QUARTER};
    if (level == LEVEL_DAY) /* it begins within a day of UTC's (store/parts.h) */
        bucket = (bucket - 1) * QUARTERS_PER_DAY;
    *minute = least(*minute, plan_bucket_start(&segment, bucket));
    return true;
}

/* No sample is before this minute. */
static bool find_start(const struct search *search, int64_t *out, struct error *err)
{
    size_t calendars = 0;

    *out = search->run_count > 0 ? search->runs[0].min_minute : PLAN_MINUTE_LIMIT;
    if (!lower_to_level(search, LEVEL_MINUTE, 0, out, err) ||
        !lower_to_level(search, LEVEL_QUARTER, 0, out, err) ||
        !plan_count_calendars(search->txn, &calendars, err))
        return false;
    for (size_t i = 1; i <= calendars; i++) {
        if (!lower_to_level(search, LEVEL_DAY, (uint32_t)i, out, err))
            return false;
    }
    return true;
}

/* No sample is in this minute or after it. */
static int64_t find_end(const struct search *search)
{
    wall_ms newest = (wall_ms)meta_get(search->txn, "newest", (uint64_t)WALL_NONE);
    int64_t end = PLAN_MINUTE_LIMIT + 1;

    if (newest != WALL_NONE)
        end = plan_minute_of(newest) + 1;
    if (search->run_count > 0)
        end = greatest(end, search->runs[0].max_minute + 1);
    return end;
}

/* The newest sample, or the oldest one. */
static bool find_outermost(const struct read_txn *txn, const struct alike *alike, bool newest,
                           wall_ms *out, struct coverage *coverage, struct error *err)
{
    struct search search;
    int64_t start = 0;
    bool ok = search_init(&search, txn, alike, coverage, err);

    search.backwards = newest;
    if (ok && search.run_count > 0)
        qsort(search.runs, search.run_count, sizeof *search.runs,
              newest ? compare_newest : compare_oldest);
    if (newest)
        start = find_end(&search);
    else
        ok = ok && find_start(&search, &start, err);
    ok = ok && search_from(&search, start, err);
    *out = WALL_NONE;
    if (ok)
        cover(&search, search.best);
    if (ok && search.best->count > 0)
        *out = newest ? search.best->last_at : search.best->first_at;
    search_fini(&search);
    return ok;
}

/* The first sample of all is found at once, but there may have been an earlier one. */
static bool cover_below(const struct read_txn *txn, const struct alike *alike,
                        struct coverage *coverage, struct error *err)
{
    const struct search search = {.txn = txn, .kept = alike->kept};
    bool is_whole = false;

    if (!is_whole_below(&search, &is_whole, err))
        return false;
    coverage->complete = coverage->complete && is_whole;
    return true;
}

/* The same of all groups. */
static bool find_of_all(const struct read_txn *txn, const struct alike *all, size_t count,
                        const struct wanted_time *wanted, struct coverage *coverage,
                        struct error *err)
{
    wall_ms *out = wanted->out;

    if (out == NULL)
        return true;
    *out = WALL_NONE;
    for (size_t i = 0; i < count; i++) {
        wall_ms found = WALL_NONE;
        if (!find_outermost(txn, &all[i], wanted->newest, &found, coverage, err) ||
            (!wanted->newest && !cover_below(txn, &all[i], coverage, err)))
            return false;
        if (found != WALL_NONE &&
            (*out == WALL_NONE || (wanted->newest ? found > *out : found < *out)))
            *out = found;
    }
    return true;
}

bool scan_times(const struct read_txn *txn, const struct scan_times *times,
                struct coverage *coverage, struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct kept_groups groups;
    struct alike *all = NULL;
    const struct wanted_time first = {times->first, false};
    const struct wanted_time last = {times->last, true};
    bool ok = kept_group(txn, times->series, times->count, &arena, &groups, err);

    if (ok)
        all = arena_array(&arena, groups.count, sizeof *all);
    for (size_t i = 0; ok && i < groups.count; i++) {
        struct kept_members members;
        kept_members_of(&groups, i, times->series, times->count, &arena, &members);
        all[i] = (struct alike){&groups.items[i], members.series, members.count, true, INT64_MIN};
    }
    ok = ok && find_of_all(txn, all, groups.count, &first, coverage, err) &&
         find_of_all(txn, all, groups.count, &last, coverage, err);
    arena_fini(&arena);
    return ok;
}
