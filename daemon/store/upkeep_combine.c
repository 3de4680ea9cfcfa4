/* Which partitions become one.
 *
 * Whatever its level, a partition lies inside a window of that level. A closed window of minutes is
 * combined once, and its quarters are built in the same pass; apart from that one rule says when
 * partitions of a window are worth a rewrite (worth_combining), which is so when it has just been
 * completed from many, and again when late samples have added much. */
#include <stddef.h>
#include <stdlib.h>

#include "store/upkeep_private.h"

enum {
    EXTRAS_MAX = 4,  /* partitions of a complete window, until the small ones become one */
    OPEN_MAX = 84,   /* partitions of an open one: twice the windows of minutes in a week */
    BLOCK_COST = 24, /* bytes of a block that are no points: its key, LMDB's and its own head */
};

/* Partitions of one level and calendar. */
struct list {
    struct partition *items;
    size_t count;
};

static bool read_list(struct upkeep_step *step, enum level level, uint32_t calendar,
                      struct list *out, struct error *err)
{
    return parts_partitions(&step->txn->reader,
                            &(const struct bucket_range){level, calendar, INT64_MIN, INT64_MAX},
                            &step->arena, &out->items, &out->count, err);
}

/* Those from the first on that begin in its window. */
static struct list window_of(const struct list *list, size_t first, int64_t width)
{
    int64_t window = floor_to(list->items[first].from, width);
    size_t end = first + 1;

    while (end < list->count && floor_to(list->items[end].from, width) == window)
        end++;
    return (struct list){list->items + first, end - first};
}

static int compare_points(const void *a, const void *b)
{
    uint64_t left = ((const struct partition *)a)->points;
    uint64_t right = ((const struct partition *)b)->points;
    return left > right ? -1 : left < right;
}

/* Which ones of a window to combine now; the list is sorted, the largest first. All of them when
 * the others have grown to more than an eighth of the points, or what their blocks cost beside
 * points to more than a sixteenth of the bytes: so a late point makes others be rewritten a few
 * times in all, and what small blocks waste stays small. The small ones alone when there are many.
 */
static struct list worth_combining(struct list list, size_t many)
{
    const struct list none = {NULL, 0};
    uint64_t points = 0;
    uint64_t series = 0;
    uint64_t bytes = 0;

    if (list.count < 2)
        return none;
    qsort(list.items, list.count, sizeof *list.items, compare_points);
    for (size_t i = 0; i < list.count; i++) {
        points += list.items[i].points;
        series += list.items[i].series;
        bytes += list.items[i].bytes;
    }
    if (points - list.items[0].points > points / 8 ||
        (series - list.items[0].series) * BLOCK_COST > bytes / 16)
        return list;
    return list.count < many ? none : (struct list){list.items + 1, list.count - 1};
}

static bool begin(struct upkeep_step *step, const struct list *list, struct error *err)
{
    struct build_job *job = build_job_new(list->items, list->count);

    job->counter = offsetof(struct upkeep_counts, combines);
    step->upkeep->build = job;
    return build_job_add_replacement(step, job, err);
}

/* --- minutes --- */

/* One closed window: all of it becomes one partition, and quarters. */
static bool begin_window(struct upkeep_step *step, const struct list *list, struct error *err)
{
    int64_t window = floor_to(list->items[0].from, MINUTES_PER_WINDOW);
    struct build_job *job = build_job_new(list->items, list->count);
    struct partition quarters = {.level = LEVEL_QUARTER, .from = INT64_MAX, .to = INT64_MIN};

    job->counter = offsetof(struct upkeep_counts, combines);
    step->upkeep->build = job;
    if (list->count > 1 && !build_job_add_replacement(step, job, err))
        return false;
    for (size_t i = 0; i < list->count; i++) {
        int64_t from = quarter_of_minute(list->items[i].from);
        int64_t to = quarter_of_minute(list->items[i].to - 1) + 1;
        quarters.from = from < quarters.from ? from : quarters.from;
        quarters.to = to > quarters.to ? to : quarters.to;
    }
    struct upkeep_output *output = build_job_add_output(step, job, &quarters, err);
    if (output == NULL)
        return false;
    job->quartered = (window + MINUTES_PER_WINDOW) / MINUTES_PER_QUARTER;
    return true;
}

/* In a window that is open: hours that have closed. */
static bool begin_stage(struct upkeep_step *step, const struct list *list, int64_t closed,
                        struct error *err)
{
    size_t i = 0;

    while (i < list->count && step->upkeep->build == NULL) {
        int64_t end = floor_to(list->items[i].from, MINUTES_PER_STAGE) + MINUTES_PER_STAGE;
        struct list stage = window_of(list, i, MINUTES_PER_STAGE);
        size_t inside = 0;
        i += stage.count;
        for (size_t j = 0; j < stage.count; j++) {
            if (stage.items[j].to <= end)
                stage.items[inside++] = stage.items[j];
        }
        stage.count = inside;
        const struct list chosen = worth_combining(stage, EXTRAS_MAX);
        if (end <= closed && chosen.count > 0 && !begin(step, &chosen, err))
            return false;
    }
    return true;
}

/* Windows without partitions have their quarters: none. */
static bool skip_to(struct upkeep_step *step, int64_t quarter, bool *did, struct error *err)
{
    int64_t quartered = parts_mark(&step->txn->reader, MARK_QUARTERED);

    if (quartered == INT64_MIN || quarter <= quartered)
        return true;
    *did = true;
    step->upkeep->changes++;
    return parts_set_mark(step->txn, MARK_QUARTERED, quarter, err);
}

/* The first window whose quarters are not built yet. */
static bool begin_first(struct upkeep_step *step, const struct list *list, bool *did,
                        struct error *err)
{
    int64_t closed = parts_mark(&step->txn->reader, MARK_CLOSED);
    int64_t window = floor_to(list->items[0].from, MINUTES_PER_WINDOW);

    if (window > closed - MINUTES_PER_WINDOW)
        return skip_to(step, window / MINUTES_PER_QUARTER, did, err) &&
               (*did || begin_stage(step, list, closed, err));
    return begin_window(step, list, err);
}

/* Windows whose quarters are not built: the first one in whole; those after it wait for their turn,
 * but for the hours of the open one. */
static bool begin_unbuilt(struct upkeep_step *step, const struct list *all, bool *did,
                          struct error *err)
{
    int64_t closed = parts_mark(&step->txn->reader, MARK_CLOSED);
    size_t i = 0;

    if (all->count == 0)
        return skip_to(step, floor_to(closed, MINUTES_PER_WINDOW) / MINUTES_PER_QUARTER, did, err);
    while (i < all->count && !*did && step->upkeep->build == NULL) {
        struct list window = window_of(all, i, MINUTES_PER_WINDOW);
        bool is_open =
            floor_to(window.items[0].from, MINUTES_PER_WINDOW) > closed - MINUTES_PER_WINDOW;
        bool ok = true;
        if (i == 0)
            ok = begin_first(step, &window, did, err);
        else if (is_open)
            ok = begin_stage(step, &window, closed, err);
        if (!ok)
            return false;
        i += window.count;
    }
    return true;
}

static bool begin_minutes(struct upkeep_step *step, bool *did, struct error *err)
{
    int64_t quartered = parts_mark(&step->txn->reader, MARK_QUARTERED);
    struct list all;
    size_t built = 0;

    if (parts_mark(&step->txn->reader, MARK_CLOSED) == INT64_MIN)
        return true;
    if (!read_list(step, LEVEL_MINUTE, 0, &all, err))
        return false;
    while (built < all.count && quarter_of_minute(all.items[built].from) < quartered)
        built++;
    const struct list unbuilt = {all.items + built, all.count - built};
    if (!begin_unbuilt(step, &unbuilt, did, err))
        return false;
    for (size_t i = 0; i < built && !*did && step->upkeep->build == NULL;) {
        struct list window = window_of(&all, i, MINUTES_PER_WINDOW);
        const struct list chosen = worth_combining(window, EXTRAS_MAX);
        if (chosen.count > 0 && !begin(step, &chosen, err))
            return false;
        i += window.count;
    }
    return true;
}

/* --- quarters and days --- */

/* Windows that end by `complete` are complete, apart from what comes late. */
static bool begin_coarse(struct upkeep_step *step, const struct list *all, int64_t width,
                         int64_t complete, struct error *err)
{
    size_t i = 0;

    while (i < all->count && step->upkeep->build == NULL) {
        struct list window = window_of(all, i, width);
        int64_t end = floor_to(window.items[0].from, width) + width;
        struct list chosen = {NULL, 0};
        i += window.count;
        if (end <= complete || window.count >= OPEN_MAX)
            chosen = worth_combining(window, end <= complete ? EXTRAS_MAX : OPEN_MAX);
        if (chosen.count > 0 && !begin(step, &chosen, err))
            return false;
    }
    return true;
}

/* A week that is open: what late samples have added to a window of minutes. */
static bool begin_quarters(struct upkeep_step *step, struct error *err)
{
    int64_t quartered = parts_mark(&step->txn->reader, MARK_QUARTERED);
    struct list all;

    if (quartered == INT64_MIN)
        return true;
    if (!read_list(step, LEVEL_QUARTER, 0, &all, err) ||
        !begin_coarse(step, &all, QUARTERS_PER_WEEK, quartered, err))
        return false;
    struct list open = all;
    while (open.count > 0 &&
           floor_to(open.items[0].from, QUARTERS_PER_WEEK) + QUARTERS_PER_WEEK <= quartered) {
        open.items++;
        open.count--;
    }
    return begin_coarse(step, &open, QUARTERS_PER_WINDOW, quartered, err);
}

/* Only when no day is missing: a partition must not reach over one that is built later (see
 * upkeep_days.c). */
static bool begin_days(struct upkeep_step *step, struct error *err)
{
    int64_t quartered = parts_mark(&step->txn->reader, MARK_QUARTERED);
    uint32_t calendars = 0;

    if (quartered == INT64_MIN || !upkeep_scans_are_complete(step->upkeep))
        return true;
    if (!upkeep_calendar_count(&step->txn->reader, &calendars, err))
        return false;
    for (uint32_t calendar = 1; calendar <= calendars; calendar++) {
        struct list all;
        /* A day before, so that it has ended in every zone. */
        int64_t complete = floor_to(quartered, QUARTERS_PER_DAY) / QUARTERS_PER_DAY - 1;
        if (!read_list(step, LEVEL_DAY, calendar, &all, err) ||
            !begin_coarse(step, &all, DAYS_PER_WINDOW, complete, err))
            return false;
        if (step->upkeep->build == NULL && !begin_coarse(step, &all, 1, complete, err))
            return false;
        if (step->upkeep->build != NULL)
            return true;
    }
    return true;
}

bool upkeep_combine_begin(struct upkeep_step *step, bool *did, struct error *err)
{
    struct upkeep *upkeep = step->upkeep;

    if (upkeep->build != NULL || upkeep->fold != NULL || upkeep->combine_seen == upkeep->changes)
        return true;
    if (!begin_minutes(step, did, err))
        return false;
    if (!*did && upkeep->build == NULL && !begin_quarters(step, err))
        return false;
    if (!*did && upkeep->build == NULL && !begin_days(step, err))
        return false;
    if (upkeep->build != NULL)
        return upkeep_build_go_on(step, did, err);
    if (!*did)
        upkeep->combine_seen = upkeep->changes;
    return true;
}
