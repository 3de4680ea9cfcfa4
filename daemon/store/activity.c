#include "store/activity.h"

#include <stdlib.h>

#include "store/census_private.h"

void metric_activity_fini(struct metric_activity *activity)
{
    free(activity->rows);
    *activity = (struct metric_activity){0};
}

static int compare_rows(const void *a, const void *b)
{
    uint64_t one = ((const struct activity_row *)a)->name;
    uint64_t other = ((const struct activity_row *)b)->name;
    return (one > other) - (one < other);
}

void metric_activity_sort(struct metric_activity *activity)
{
    if (activity->count > 1)
        qsort(activity->rows, activity->count, sizeof *activity->rows, compare_rows);
}

void metric_activity_find(const struct metric_activity *activity, struct str metric,
                          struct activity_row *out)
{
    const struct activity_row wanted = {.name = census_name_hash(activity->seed, metric)};
    const struct activity_row *found = NULL;

    if (activity->count > 0)
        found = bsearch(&wanted, activity->rows, activity->count, sizeof wanted, compare_rows);
    *out = found == NULL ? (struct activity_row){.name = wanted.name, .last = WALL_NONE} : *found;
}
