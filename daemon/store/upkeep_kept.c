/* What is kept of whom, for who writes partitions: what begins before a mark (store/kept.h) is not
 * written again. Remembered between steps, since rows change seldom. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/table.h"
#include "store/catalog.h"
#include "store/upkeep_private.h"

enum { DAY_END_SLACK = 56 }; /* quarters: how long after UTC's a civil day may end */

struct upkeep_kept {
    struct arena arena;
    struct kept rest;
    struct table by_metric; /* -> struct kept */
    int64_t lowest[LEVEL_COUNT], highest[LEVEL_COUNT];
    uint32_t last_id; /* the last series that was asked for; 0: none */
    const struct kept *last;
};

void upkeep_kept_forget(struct upkeep *upkeep)
{
    struct upkeep_kept *kept = upkeep->kept;

    upkeep->kept = NULL;
    if (kept == NULL)
        return;
    table_fini(&kept->by_metric);
    arena_fini(&kept->arena);
    free(kept);
}

static void note_bounds(struct upkeep_kept *kept, const struct kept *of)
{
    for (enum level level = 0; level < LEVEL_COUNT; level++) {
        if (of->from[level] < kept->lowest[level])
            kept->lowest[level] = of->from[level];
        if (of->from[level] > kept->highest[level])
            kept->highest[level] = of->from[level];
    }
}

/* NULL: a row cannot be read. */
static struct upkeep_kept *get(struct upkeep_step *step, struct error *err)
{
    struct kept_row *rows = NULL;
    size_t count = 0;

    if (step->upkeep->kept != NULL)
        return step->upkeep->kept;
    struct upkeep_kept *kept = memory_zero(1, sizeof *kept);
    step->upkeep->kept = kept;
    if (!kept_rows(&step->txn->reader, &kept->arena, &rows, &count, err)) {
        upkeep_kept_forget(step->upkeep);
        return NULL;
    }
    kept_of_rest(&step->txn->reader, &kept->rest);
    for (enum level level = 0; level < LEVEL_COUNT; level++)
        kept->lowest[level] = kept->highest[level] = kept->rest.from[level];
    for (size_t i = 0; i < count; i++) {
        (void)table_add(&kept->by_metric, rows[i].metric, &rows[i].kept);
        note_bounds(kept, &rows[i].kept);
    }
    return kept;
}

bool upkeep_kept_bounds(struct upkeep_step *step, enum level level, int64_t *lowest,
                        int64_t *highest, struct error *err)
{
    const struct upkeep_kept *kept = get(step, err);

    if (kept == NULL)
        return false;
    *lowest = kept->lowest[level];
    *highest = kept->highest[level];
    return true;
}

bool upkeep_kept_from(struct upkeep_step *step, uint32_t id, enum level level, int64_t *out,
                      struct error *err)
{
    struct upkeep_kept *kept = get(step, err);
    struct str key;

    if (kept == NULL)
        return false;
    if (id != kept->last_id || kept->last == NULL) {
        kept->last = &kept->rest;
        if (kept->by_metric.count > 0 && catalog_key(&step->txn->reader, id, &key)) {
            const struct kept *own = table_find(&kept->by_metric, series_key_metric(key));
            kept->last = own != NULL ? own : &kept->rest;
        }
        kept->last_id = id;
    }
    *out = kept->last->from[level];
    return true;
}

bool upkeep_is_kept(enum level level, const struct day_bounds *day, int64_t bucket, int64_t from)
{
    if (level != LEVEL_DAY || from == INT64_MIN)
        return bucket >= from;
    if (day != NULL)
        return day->from >= from;
    return (bucket + 1) * QUARTERS_PER_DAY + DAY_END_SLACK > from;
}
