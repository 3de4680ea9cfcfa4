/* What is kept no longer.
 *
 * How long a metric is kept at a level is said by a rule of its own, or by that for all the others.
 * First the marks move (store/kept.h): what is before them is gone for everybody, and only then it
 * is taken away. In their order the marks cut the past: before the oldest one a partition is taken
 * off the list; between two it is rewritten with the series that are still kept. A partition
 * remembers how many marks it has been through. Marks are at whole windows of minutes, so that a
 * level ends at one place for all its partitions. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "store/catalog.h"
#include "store/upkeep_private.h"

enum {
    DROPS_PER_STEP = 256, /* partitions and days */
    DAY_END_SLACK = 56,   /* quarters: how long after UTC's a civil day may end */
};

static span_ms keep_of(const struct retention *keep, enum level level)
{
    if (level == LEVEL_MINUTE)
        return keep->minute;
    return level == LEVEL_QUARTER ? keep->quarter : keep->day;
}

/* --- marks --- */

/* Up to which minute the next coarser level has everything. */
static int64_t built_until(const struct upkeep_step *step, enum level level)
{
    const wall_ms minute = MS_PER_MINUTE;
    int64_t until = parts_mark(&step->txn->reader, MARK_QUARTERED);

    if (level == LEVEL_DAY)
        return INT64_MAX;
    if (until == INT64_MIN)
        return INT64_MIN;
    until *= MINUTES_PER_QUARTER;
    for (size_t i = 0; level == LEVEL_QUARTER && i < step->upkeep->options->calendar_count; i++) {
        const struct day_scan *scan = &step->upkeep->scans[i];
        int64_t days = scan->has_begun ? scan->at / minute : INT64_MIN;
        until = days < until ? days : until;
    }
    return until;
}

/* The mark of what is kept for so long, in the level's units: whole windows, and not after `limit`,
 * a minute. INT64_MIN: nothing goes. */
static int64_t mark_of(const struct upkeep_step *step, enum level level, span_ms keep,
                       int64_t limit)
{
    wall_ms from = 0;

    if (keep <= 0 || step->clock->keep_mark == WALL_NONE || limit == INT64_MIN ||
        __builtin_sub_overflow(step->clock->keep_mark, keep, &from))
        return INT64_MIN;
    int64_t minute = minute_of(from);
    minute = floor_to(minute < limit ? minute : limit, MINUTES_PER_WINDOW);
    return level == LEVEL_MINUTE ? minute : minute / MINUTES_PER_QUARTER;
}

/* How long a metric is kept by its own rule; NULL: it has none. */
static const struct retention *rule_of(const struct upkeep_options *options, struct str metric)
{
    for (size_t i = options->rule_count; i-- > 0;) {
        if (str_is(metric, options->rules[i].metric))
            return &options->rules[i].keep;
    }
    return NULL;
}

/* Every metric with a rule gets a row before the marks of the rest move on without it. */
static bool add_rows(struct upkeep_step *step, bool *did, struct error *err)
{
    const struct upkeep_options *options = step->upkeep->options;

    for (size_t i = 0; i < options->rule_count; i++) {
        struct kept_row row = {.metric = str_of(options->rules[i].metric)};
        bool found = false;
        kept_of_rest(&step->txn->reader, &row.kept);
        if (!kept_find(&step->txn->reader, row.metric, &step->arena, &row.kept, &found, err))
            return false;
        if (found)
            continue;
        *did = true;
        if (!kept_put(step->txn, &row, err))
            return false;
    }
    return true;
}

/* Without a rule, and with as much as the rest has, a metric needs no row. */
static bool is_like_rest(const struct kept *kept, const struct kept *rest)
{
    for (size_t i = 0; i < kept->calendar_count; i++) {
        if (kept->calendars[i].from > kept->from[LEVEL_DAY])
            return false;
    }
    return memcmp(kept->from, rest->from, sizeof kept->from) == 0;
}

static bool move_row(struct upkeep_step *step, struct kept_row *row, const struct kept *rest,
                     const int64_t *limits, bool *did, struct error *err)
{
    const struct upkeep_options *options = step->upkeep->options;
    const struct retention *rule = rule_of(options, row->metric);
    const struct retention *keep = rule != NULL ? rule : &options->keep;
    bool moves = false;

    for (enum level level = 0; level < LEVEL_COUNT; level++) {
        int64_t mark = mark_of(step, level, keep_of(keep, level), limits[level]);
        if (mark <= row->kept.from[level])
            continue;
        row->kept.from[level] = mark;
        moves = true;
    }
    bool goes = rule == NULL && is_like_rest(&row->kept, rest);
    *did = *did || moves || goes;
    if (goes)
        return kept_remove(step->txn, row->metric, err);
    return !moves || kept_put(step->txn, row, err);
}

static bool move_rest(struct upkeep_step *step, const int64_t *limits, struct kept *rest, bool *did,
                      struct error *err)
{
    static const enum mark marks[LEVEL_COUNT] = {
        [LEVEL_MINUTE] = MARK_KEPT_MINUTE,
        [LEVEL_QUARTER] = MARK_KEPT_QUARTER,
        [LEVEL_DAY] = MARK_KEPT_DAY,
    };

    kept_of_rest(&step->txn->reader, rest);
    for (enum level level = 0; level < LEVEL_COUNT; level++) {
        span_ms keep = keep_of(&step->upkeep->options->keep, level);
        int64_t mark = mark_of(step, level, keep, limits[level]);
        if (mark <= rest->from[level])
            continue;
        *did = true;
        rest->from[level] = mark;
        if (!parts_set_mark(step->txn, marks[level], mark, err))
            return false;
    }
    return true;
}

static bool move_marks(struct upkeep_step *step, bool *did, struct error *err)
{
    int64_t limits[LEVEL_COUNT];
    struct kept_row *rows = NULL;
    struct kept rest;
    size_t count = 0;

    for (enum level level = 0; level < LEVEL_COUNT; level++)
        limits[level] = built_until(step, level);
    upkeep_kept_forget(step->upkeep);
    if (!add_rows(step, did, err) || !move_rest(step, limits, &rest, did, err) ||
        !kept_rows(&step->txn->reader, &step->arena, &rows, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!move_row(step, &rows[i], &rest, limits, did, err))
            return false;
    }
    return true;
}

bool upkeep_note_day(struct upkeep_step *step, uint32_t calendar, const struct day_bounds *day,
                     struct error *err)
{
    struct kept_row *rows = NULL;
    size_t count = 0;

    if (!kept_rows(&step->txn->reader, &step->arena, &rows, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct kept *kept = &rows[i].kept;
        if (kept->from[LEVEL_QUARTER] <= day->from ||
            kept_whole_days_from(kept, calendar) >= day->to)
            continue;
        kept_set_whole_days(kept, calendar, day->to, &step->arena);
        upkeep_kept_forget(step->upkeep);
        if (!kept_put(step->txn, &rows[i], err))
            return false;
    }
    return true;
}

/* --- cuts of a level --- */

struct cuts {
    enum level level;
    int64_t *minutes; /* all marks, each once, the latest first */
    size_t count;
};

static int compare_cuts(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left > right ? -1 : left < right;
}

static int64_t minute_of_mark(enum level level, int64_t mark)
{
    return level == LEVEL_MINUTE || mark == INT64_MIN ? mark : mark * MINUTES_PER_QUARTER;
}

static bool find_cuts(struct upkeep_step *step, enum level level, struct cuts *out,
                      struct error *err)
{
    struct kept_row *rows = NULL;
    struct kept rest;
    size_t count = 0;

    *out = (struct cuts){.level = level};
    if (!kept_rows(&step->txn->reader, &step->arena, &rows, &count, err))
        return false;
    kept_of_rest(&step->txn->reader, &rest);
    out->minutes = arena_array(&step->arena, count + 1, sizeof *out->minutes);
    for (size_t i = 0; i < count; i++)
        out->minutes[i] = minute_of_mark(level, rows[i].kept.from[level]);
    out->minutes[count++] = minute_of_mark(level, rest.from[level]);
    qsort(out->minutes, count, sizeof *out->minutes, compare_cuts);
    for (size_t i = 0; i < count; i++) {
        if (out->count == 0 || out->minutes[out->count - 1] != out->minutes[i])
            out->minutes[out->count++] = out->minutes[i];
    }
    return true;
}

/* How many cuts leave nothing of what ends at this minute. */
static size_t cuts_after(const struct cuts *cuts, int64_t end)
{
    size_t count = 0;

    while (count < cuts->count && cuts->minutes[count] >= end)
        count++;
    return count;
}

static int64_t end_of(const struct partition *partition)
{
    if (partition->level == LEVEL_MINUTE)
        return partition->to;
    if (partition->level == LEVEL_QUARTER)
        return partition->to * MINUTES_PER_QUARTER;
    return (partition->to * QUARTERS_PER_DAY + DAY_END_SLACK) * MINUTES_PER_QUARTER;
}

/* --- what is done --- */

/* Rewrites a partition with the series that are still kept. */
static bool begin_pruning(struct upkeep_step *step, const struct partition *partition,
                          size_t passed, struct error *err)
{
    struct build_job *job = build_job_new(partition, 1);

    step->upkeep->build = job;
    job->counter = offsetof(struct upkeep_counts, expired);
    if (!build_job_add_replacement(step, job, err))
        return false;
    job->outputs[0].pruned = (unsigned)passed;
    job->outputs[0].is_filtered = true;
    return true;
}

static bool expire_partitions(struct upkeep_step *step, const struct cuts *cuts, uint32_t calendar,
                              bool *did, struct error *err)
{
    struct partition *partitions = NULL;
    size_t count = 0;
    size_t dropped = 0;

    if (cuts->minutes[0] == INT64_MIN)
        return true;
    if (!parts_partitions(&step->txn->reader,
                          &(const struct bucket_range){cuts->level, calendar, INT64_MIN, INT64_MAX},
                          &step->arena, &partitions, &count, err))
        return false;
    for (size_t i = 0; i < count && dropped < DROPS_PER_STEP; i++) {
        size_t passed = cuts_after(cuts, end_of(&partitions[i]));
        size_t noted = passed < UINT8_MAX ? passed : UINT8_MAX;
        if (passed < cuts->count) {
            if (noted <= partitions[i].pruned || step->upkeep->build != NULL)
                continue;
            if (!begin_pruning(step, &partitions[i], noted, err))
                return false;
            continue;
        }
        if (!parts_remove_partition(step->txn, &partitions[i], err))
            return false;
        dropped++;
        step->counts.expired++;
    }
    *did = *did || dropped > 0 || step->upkeep->build != NULL;
    return true;
}

/* Days that nobody keeps any more, in the order of time. */
struct old_days {
    int64_t before; /* quarter */
    struct day_bounds days[DROPS_PER_STEP];
    size_t count;
};

static bool gather_day(const struct day_bounds *day, void *arg)
{
    struct old_days *old = arg;

    if (day->to > old->before || old->count == DROPS_PER_STEP)
        return false;
    old->days[old->count++] = *day;
    return true;
}

static bool expire_days(struct upkeep_step *step, const struct cuts *cuts, uint32_t calendar,
                        bool *did, struct error *err)
{
    int64_t longest = cuts->minutes[cuts->count - 1];
    struct old_days old = {.count = 0};

    if (longest == INT64_MIN)
        return true;
    old.before = longest / MINUTES_PER_QUARTER;
    if (!parts_days(&step->txn->reader, &(const struct day_range){calendar, INT64_MIN, old.before},
                    gather_day, &old, err))
        return false;
    for (size_t i = 0; i < old.count; i++) {
        if (!parts_remove_day(step->txn, calendar, old.days[i].day, err))
            return false;
    }
    *did = *did || old.count > 0;
    return true;
}

static bool expire_level(struct upkeep_step *step, enum level level, bool *did, struct error *err)
{
    uint32_t calendars = 0;
    struct cuts cuts;

    if (!find_cuts(step, level, &cuts, err))
        return false;
    if (level != LEVEL_DAY)
        return expire_partitions(step, &cuts, 0, did, err);
    if (!upkeep_calendar_count(&step->txn->reader, &calendars, err))
        return false;
    for (uint32_t i = 1; i <= calendars && step->upkeep->build == NULL; i++) {
        if (!expire_days(step, &cuts, i, did, err) || !expire_partitions(step, &cuts, i, did, err))
            return false;
    }
    return true;
}

bool upkeep_expire_begin(struct upkeep_step *step, bool *did, struct error *err)
{
    struct upkeep *upkeep = step->upkeep;
    struct error why;

    if (upkeep->build != NULL || upkeep->fold != NULL || step->clock->keep_mark == WALL_NONE ||
        guard_is_suspect(step->clock, &why))
        return true;
    int64_t window = floor_to(minute_of(step->clock->keep_mark), MINUTES_PER_WINDOW);
    if (upkeep->expire_seen == upkeep->changes && upkeep->expire_mark == window)
        return true;
    if (!move_marks(step, did, err))
        return false;
    for (enum level level = 0; level < LEVEL_COUNT && upkeep->build == NULL; level++) {
        if (!expire_level(step, level, did, err))
            return false;
    }
    if (upkeep->build != NULL)
        return upkeep_build_go_on(step, did, err);
    if (*did) {
        upkeep->changes++;
        return true;
    }
    upkeep->expire_seen = upkeep->changes;
    upkeep->expire_mark = window;
    return true;
}
