/* What is kept no longer.
 *
 * How long a series is kept at a level is said by a rule for its metric, or for all the others. In
 * order of length these spans cut the past: before the longest one's cut a partition is taken off
 * the list; between two cuts it is rewritten with the series that are still kept. A partition
 * remembers how many cuts it has been through. The marks say where the others' data begins; cuts
 * are at whole windows of minutes, so that a level ends at one place for all its partitions. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "store/catalog.h"
#include "store/upkeep_private.h"

enum {
    DROPS_PER_STEP = 256, /* partitions and days */
    DAY_END_SLACK = 56,   /* quarters: how long after UTC's a civil day may end */
};

span_ms upkeep_keep_of(const struct retention *keep, enum level level)
{
    if (level == LEVEL_MINUTE)
        return keep->minute;
    return level == LEVEL_QUARTER ? keep->quarter : keep->day;
}

int64_t upkeep_kept_from(const struct guard *clock, span_ms keep, int64_t limit)
{
    wall_ms from = 0;

    if (keep <= 0 || clock->keep_mark == WALL_NONE || limit == INT64_MIN ||
        __builtin_sub_overflow(clock->keep_mark, keep, &from))
        return INT64_MIN;
    int64_t minute = minute_of(from);
    return floor_to(minute < limit ? minute : limit, MINUTES_PER_WINDOW);
}

bool upkeep_has_longer(const struct upkeep *upkeep, enum level level)
{
    const struct upkeep_options *options = upkeep->options;
    span_ms rest = upkeep_keep_of(&options->keep, level);

    for (size_t i = 0; i < options->rule_count && rest > 0; i++) {
        span_ms keep = upkeep_keep_of(&options->rules[i].keep, level);
        if (keep <= 0 || keep > rest)
            return true;
    }
    return false;
}

bool upkeep_keeps(const struct upkeep_step *step, uint32_t id, enum level level, int64_t end,
                  int64_t limit)
{
    const struct upkeep_options *options = step->upkeep->options;
    const struct retention *keep = &options->keep;
    struct str key;

    if (options->rule_count > 0 && catalog_key(&step->txn->reader, id, &key)) {
        struct str metric = series_key_metric(key);
        for (size_t i = 0; i < options->rule_count; i++) {
            if (str_is(metric, options->rules[i].metric))
                keep = &options->rules[i].keep;
        }
    }
    return end > upkeep_kept_from(step->clock, upkeep_keep_of(keep, level), limit);
}

/* --- cuts of a level --- */

struct cuts {
    enum level level;
    int64_t limit;    /* minute: what the coarser levels have not got yet is not dropped */
    int64_t rest;     /* the cut of what no rule is for */
    int64_t *minutes; /* all of them, each once, the latest first */
    size_t count;
};

static int compare_cuts(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left > right ? -1 : left < right;
}

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

static void find_cuts(struct upkeep_step *step, enum level level, struct cuts *out)
{
    const struct upkeep_options *options = step->upkeep->options;
    span_ms rest = upkeep_keep_of(&options->keep, level);
    size_t count = 0;

    *out = (struct cuts){.level = level, .limit = built_until(step, level)};
    out->rest = upkeep_kept_from(step->clock, rest, out->limit);
    out->minutes = arena_array(&step->arena, options->rule_count + 1, sizeof *out->minutes);
    out->minutes[count++] = out->rest;
    for (size_t i = 0; i < options->rule_count; i++)
        out->minutes[count++] = upkeep_kept_from(
            step->clock, upkeep_keep_of(&options->rules[i].keep, level), out->limit);
    qsort(out->minutes, count, sizeof *out->minutes, compare_cuts);
    for (size_t i = 0; i < count; i++) {
        if (out->count == 0 || out->minutes[out->count - 1] != out->minutes[i])
            out->minutes[out->count++] = out->minutes[i];
    }
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

static bool move_mark(struct upkeep_step *step, const struct cuts *cuts, bool *did,
                      struct error *err)
{
    static const enum mark marks[LEVEL_COUNT] = {
        [LEVEL_MINUTE] = MARK_KEPT_MINUTE,
        [LEVEL_QUARTER] = MARK_KEPT_QUARTER,
        [LEVEL_DAY] = MARK_KEPT_DAY,
    };
    int64_t value = cuts->rest;

    if (value != INT64_MIN && cuts->level != LEVEL_MINUTE)
        value /= MINUTES_PER_QUARTER;
    if (value <= parts_mark(&step->txn->reader, marks[cuts->level]))
        return true;
    *did = true;
    return parts_set_mark(step->txn, marks[cuts->level], value, err);
}

/* Rewrites a partition with the series that are still kept. */
static bool begin_pruning(struct upkeep_step *step, const struct cuts *cuts,
                          const struct partition *partition, size_t passed, struct error *err)
{
    struct build_job *job = build_job_new(partition, 1);

    step->upkeep->build = job;
    job->counter = offsetof(struct upkeep_counts, expired);
    if (!build_job_add_replacement(step, job, err))
        return false;
    struct upkeep_output *output = &job->outputs[0];
    output->pruned = (unsigned)passed;
    output->is_filtered = true;
    output->filter_end = end_of(partition);
    output->filter_limit = cuts->limit;
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
            if (!begin_pruning(step, cuts, &partitions[i], noted, err))
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

    find_cuts(step, level, &cuts);
    if (!move_mark(step, &cuts, did, err))
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
