/* What changed since a commit: scan_changed. */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "store/scan.h"
#include "store/visit.h"

/* Minutes, half open. */
struct span {
    int64_t from, to;
};

/* Spans that are gathered in any order. They are joined whenever there are twice as many as after
 * the last time, so there are never many more than quarters of an hour that changed. */
struct spans {
    struct span *items;
    size_t count, capacity;
};

enum { SPANS_MIN = 1024 };

struct changed {
    const struct read_txn *txn;
    struct arena arena;   /* until the end */
    struct arena scratch; /* of one series in one partition */
    struct visit visit;
    struct spans spans;
    const struct kept *kept;     /* of the series that are visited */
    struct plan_segment segment; /* the level and days of the partitions that are read */
    struct span asked;
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t floor_div(int64_t value, int64_t width)
{
    return value / width - (value % width < 0);
}

static int compare_spans(const void *a, const void *b)
{
    const struct span *one = a;
    const struct span *other = b;
    return (one->from > other->from) - (one->from < other->from);
}

static void join_spans(struct spans *spans)
{
    size_t count = 0;

    if (spans->count > 0)
        qsort(spans->items, spans->count, sizeof *spans->items, compare_spans);
    for (size_t i = 0; i < spans->count; i++) {
        struct span span = spans->items[i];
        struct span *last = count > 0 ? &spans->items[count - 1] : NULL;
        if (last == NULL || span.from > last->to)
            spans->items[count++] = span;
        else if (span.to > last->to)
            last->to = span.to;
    }
    spans->count = count;
}

/* Adds the quarters of an hour that the minutes touch. */
static void add_span(struct spans *spans, int64_t from, int64_t to)
{
    struct span span = {quarter_of_minute(from) * MINUTES_PER_QUARTER,
                        (quarter_of_minute(to - 1) + 1) * MINUTES_PER_QUARTER};
    struct span *last = spans->count > 0 ? &spans->items[spans->count - 1] : NULL;

    if (last != NULL && span.from >= last->from && span.to <= last->to)
        return;
    if (spans->count == spans->capacity) {
        join_spans(spans);
        if (spans->capacity < SPANS_MIN || spans->count > spans->capacity / 2) {
            spans->capacity = spans->capacity < SPANS_MIN ? SPANS_MIN : 2 * spans->capacity;
            spans->items = memory_grow(spans->items, spans->capacity, sizeof *spans->items);
        }
    }
    assert(spans->items != NULL);
    spans->items[spans->count++] = span;
}

/* --- runs and partitions --- */

static bool take_cell(struct visit *visit, const struct visit_series *series,
                      const struct run_cell *cell, struct error *err)
{
    struct changed *changed = visit->arg;
    (void)series;
    (void)err;
    add_span(&changed->spans, cell->minute, cell->minute + 1);
    return true;
}

static bool take_series(struct visit *visit, const struct visit_series *series,
                        struct partition_cursor *cursor, struct error *err)
{
    struct changed *changed = visit->arg;
    struct block_points points;
    (void)series;

    arena_reset(&changed->scratch);
    if (!partition_cursor_points(cursor, cursor->partition.from, cursor->partition.to,
                                 &changed->scratch, &points, err))
        return false;
    for (size_t i = 0; i < points.count; i++) {
        int64_t from = 0;
        int64_t to = 0;
        if (plan_bucket_minutes(&changed->segment, points.points[i].bucket, &from, &to) &&
            from < changed->asked.to && to > changed->asked.from)
            add_span(&changed->spans, from, to);
    }
    return true;
}

/* Of the buckets before `to`: from there on a finer level says it. */
static bool read_level(struct changed *changed, uint64_t since, int64_t to, struct error *err)
{
    struct partition *partitions = NULL;
    size_t count = 0;
    struct bucket_range range = {changed->segment.level, changed->segment.calendar, INT64_MIN, to};

    if (changed->segment.level != LEVEL_DAY) { /* the days are only those that were asked for */
        int64_t width = changed->segment.level == LEVEL_MINUTE ? 1 : MINUTES_PER_QUARTER;
        range.from = floor_div(changed->asked.from, width);
        range.to = least(to, floor_div(changed->asked.to - 1, width) + 1);
    } else {
        range.from = changed->segment.days[0].day;
    }
    if (!parts_partitions(changed->txn, &range, &changed->arena, &partitions, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (partitions[i].version > since &&
            !visit_partition(&changed->visit, &partitions[i], take_series, err))
            return false;
    }
    return true;
}

/* Days of which there are no quarters any more. */
static bool read_days(struct changed *changed, uint64_t since, struct error *err)
{
    const struct plan_segment quarters = {.level = LEVEL_QUARTER};
    struct plan_range range = {
        changed->asked.from,
        least(changed->asked.to, plan_bucket_start(&quarters, changed->kept->from[LEVEL_QUARTER])),
        0, 0};
    size_t calendars = 0;

    if (range.from >= range.to)
        return true;
    if (!plan_count_calendars(changed->txn, &calendars, err))
        return false;
    for (size_t i = 1; i <= calendars; i++) {
        struct plan_calendar calendar;
        if (!plan_read_days(changed->txn, (uint32_t)i, &range, &changed->arena, &calendar, err))
            return false;
        if (calendar.count == 0)
            continue;
        changed->segment = (struct plan_segment){.level = LEVEL_DAY,
                                                 .calendar = calendar.number,
                                                 .days = calendar.days,
                                                 .day_count = calendar.count};
        if (!read_level(changed, since, calendar.days[calendar.count - 1].day + 1, err))
            return false;
    }
    return true;
}

/* A cell that came later than `since` is in a run of a later version, or in partitions of one: of
 * minutes while these are kept, else of quarters, else of days. */
static bool gather(struct changed *changed, uint64_t since, struct error *err)
{
    int64_t kept_minute = changed->kept->from[LEVEL_MINUTE];
    struct run *runs = NULL;
    size_t count = 0;

    if (!parts_runs(changed->txn, &changed->arena, &runs, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (runs[i].version > since && !visit_run(&changed->visit, &runs[i], take_cell, err))
            return false;
    }
    changed->segment = (struct plan_segment){.level = LEVEL_MINUTE};
    if (!read_level(changed, since, INT64_MAX, err))
        return false;
    changed->segment = (struct plan_segment){.level = LEVEL_QUARTER};
    if (kept_minute != INT64_MIN &&
        !read_level(changed, since, quarter_of_minute(kept_minute) + 1, err))
        return false;
    return read_days(changed, since, err);
}

static bool gather_all(struct changed *changed, const struct query_changes *changes,
                       struct error *err)
{
    struct kept_groups groups;

    if (!kept_group(changed->txn, changes->series, changes->series_count, &changed->arena, &groups,
                    err))
        return false;
    for (size_t i = 0; i < groups.count; i++) {
        struct kept_members members;
        kept_members_of(&groups, i, changes->series, changes->series_count, &changed->arena,
                        &members);
        (void)visit_init(&changed->visit, changed->txn, members.series, members.count, true,
                         &changed->arena);
        changed->visit.arg = changed;
        changed->visit.from = changed->asked.from;
        changed->visit.to = changed->asked.to;
        changed->kept = &groups.items[i];
        if (!gather(changed, changes->since, err))
            return false;
    }
    return true;
}

bool scan_changed(const struct read_txn *txn, const struct query_changes *changes,
                  changed_fn on_range, void *arg, struct error *err)
{
    struct changed changed = {.txn = txn, .asked = {-PLAN_MINUTE_LIMIT, PLAN_MINUTE_LIMIT + 1}};

    if (changes->from < changes->to)
        changed.asked =
            (struct span){plan_minute_of(changes->from), plan_minute_of(changes->to - 1) + 1};

    bool ok = read_txn_check(txn, err) && gather_all(&changed, changes, err);
    if (ok)
        join_spans(&changed.spans);
    for (size_t i = 0; ok && i < changed.spans.count; i++) {
        const struct span *span = &changed.spans.items[i];
        if (!on_range(span->from * MS_PER_MINUTE, span->to * MS_PER_MINUTE, arg))
            break;
    }
    free(changed.spans.items);
    arena_fini(&changed.scratch);
    arena_fini(&changed.arena);
    return ok;
}

/* --- the oldest one of all --- */

static int64_t oldest_of_runs(const struct run *runs, size_t count, uint64_t since, int64_t oldest)
{
    for (size_t i = 0; i < count; i++) {
        if (runs[i].version > since)
            oldest = least(oldest, runs[i].min_minute);
    }
    return oldest;
}

/* The minute where a bucket begins, or one before it. */
static int64_t minute_before(enum level level, int64_t bucket)
{
    const struct plan_segment quarters = {.level = LEVEL_QUARTER};

    if (level == LEVEL_MINUTE)
        return bucket;
    if (level == LEVEL_DAY) /* it begins within a day of UTC's (store/parts.h) */
        bucket = (bucket - 1) * QUARTERS_PER_DAY;
    return plan_bucket_start(&quarters, bucket);
}

static bool lower_to_level(const struct read_txn *txn, const struct bucket_range *range,
                           uint64_t since, int64_t *oldest, struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct partition *partitions = NULL;
    size_t count = 0;
    bool ok = parts_partitions(txn, range, &arena, &partitions, &count, err);

    for (size_t i = 0; ok && i < count; i++) {
        if (partitions[i].version > since)
            *oldest = least(*oldest, minute_before(range->level, partitions[i].from));
    }
    arena_fini(&arena);
    return ok;
}

bool scan_oldest_change(const struct read_txn *txn, uint64_t since, wall_ms *out, struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct run *runs = NULL;
    size_t count = 0;
    size_t calendars = 0;
    int64_t oldest = INT64_MAX;
    bool ok = read_txn_check(txn, err) && parts_runs(txn, &arena, &runs, &count, err) &&
              plan_count_calendars(txn, &calendars, err);

    if (ok)
        oldest = oldest_of_runs(runs, count, since, oldest);
    for (size_t i = 0; ok && i < 2 + calendars; i++) {
        const enum level levels[] = {LEVEL_MINUTE, LEVEL_QUARTER, LEVEL_DAY};
        const struct bucket_range range = {levels[i < 2 ? i : 2], i < 2 ? 0 : (uint32_t)i - 1,
                                           INT64_MIN, INT64_MAX};
        ok = lower_to_level(txn, &range, since, &oldest, err);
    }
    arena_fini(&arena);
    *out = oldest == INT64_MAX ? INT64_MAX : oldest * MS_PER_MINUTE;
    return ok;
}
