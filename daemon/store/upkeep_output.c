/* Partitions on their way: points of any level that is finer, or the same, become the output's. */
#include <stdlib.h>

#include "store/upkeep_private.h"

struct garbage_item upkeep_garbage_of(const struct partition *partition)
{
    static const enum garbage kinds[LEVEL_COUNT] = {
        [LEVEL_MINUTE] = GARBAGE_MINUTES,
        [LEVEL_QUARTER] = GARBAGE_QUARTERS,
        [LEVEL_DAY] = GARBAGE_DAYS,
    };
    return (struct garbage_item){kinds[partition->level], partition->number};
}

bool upkeep_output_open(struct upkeep_step *step, struct upkeep_output *output,
                        const struct partition *facts, struct error *err)
{
    struct partition partition = *facts;

    *output = (struct upkeep_output){.kept_from = INT64_MIN};
    if (!parts_next_partition(step->txn, &partition.number, err))
        return false;
    const struct garbage_item garbage = upkeep_garbage_of(&partition);
    if (!parts_add_garbage(step->txn, garbage.what, garbage.number, err))
        return false;
    partition_writer_init(&output->writer, &partition);
    output->writer.partition.version = facts->version;
    return true;
}

void upkeep_output_fini(struct upkeep_output *output)
{
    partition_writer_fini(&output->writer);
}

/* --- points into buckets --- */

static int compare_buckets(const void *a, const void *b)
{
    int64_t left = ((const struct block_point *)a)->bucket;
    int64_t right = ((const struct block_point *)b)->bucket;
    return left < right ? -1 : left > right;
}

/* In place. Mostly they are in order: partitions come by time and seldom overlap. */
static void sort_points(const struct block_points *points)
{
    for (size_t i = 1; i < points->count; i++) {
        if (points->points[i - 1].bucket > points->points[i].bucket) {
            qsort(points->points, points->count, sizeof *points->points, compare_buckets);
            return;
        }
    }
}

/* The day that holds a quarter; NULL: it is none of the output's. */
static const struct day_bounds *day_of(const struct upkeep_output *output, int64_t quarter)
{
    for (size_t i = 0; i < output->day_count; i++) {
        if (quarter >= output->days[i].from && quarter < output->days[i].to)
            return &output->days[i];
    }
    return NULL;
}

/* False: the output does not want it. */
static bool bucket_of(const struct upkeep_output *output, int64_t bucket, int64_t *out)
{
    enum level level = output->writer.partition.level;
    const struct day_bounds *day = NULL;

    *out = bucket;
    if (level > output->source && output->source == LEVEL_MINUTE)
        *out = quarter_of_minute(bucket);
    if (level == LEVEL_DAY && output->source != LEVEL_DAY) {
        day = day_of(output, *out);
        if (day == NULL)
            return false;
        *out = day->day;
    }
    return upkeep_is_kept(level, day, *out, output->kept_from);
}

static bool merge_cells(const struct block_point *points, size_t count, struct cell *out)
{
    for (size_t i = 0; i < count; i++) {
        struct cell cell = CELL_EMPTY;
        if (!partition_cell_of(&points[i], &cell)) {
            cell_fini(out);
            return false;
        }
        cell_merge(out, &cell);
        cell_fini(&cell);
    }
    return true;
}

/* One point of several of one bucket; what they are made of may be damaged. */
static bool merge_points(const struct block_point *points, size_t count, struct arena *arena,
                         struct block_point *out)
{
    struct cell cell = CELL_EMPTY;
    bool is_plain = true;

    for (size_t i = 0; i < count; i++)
        is_plain = is_plain && points[i].sketch.len == 0;
    *out = points[0];
    for (size_t i = 1; is_plain && i < count; i++)
        aggregate_merge(&out->aggregate, &points[i].aggregate);
    if (is_plain || count == 1)
        return true;
    if (!merge_cells(points, count, &cell))
        return false;
    partition_point_of(&cell, points[0].bucket, arena, out);
    cell_fini(&cell);
    return true;
}

static bool group_points(const struct upkeep_output *output, const struct block_points *points,
                         struct arena *arena, struct block_points *out)
{
    size_t i = 0;

    *out = (struct block_points){arena_array(arena, points->count, sizeof *out->points), 0};
    while (i < points->count) {
        int64_t bucket = 0;
        int64_t other = 0;
        bool is_wanted = bucket_of(output, points->points[i].bucket, &bucket);
        size_t end = i + 1;
        while (is_wanted && end < points->count &&
               bucket_of(output, points->points[end].bucket, &other) && other == bucket)
            end++;
        if (is_wanted) {
            struct block_point *point = &out->points[out->count++];
            if (!merge_points(&points->points[i], end - i, arena, point))
                return false;
            point->bucket = bucket;
        }
        i = end;
    }
    return true;
}

bool upkeep_output_add(struct upkeep_step *step, struct upkeep_output *output, uint32_t id,
                       const struct block_points *points, struct arena *arena, struct error *err)
{
    const struct partition *partition = &output->writer.partition;
    struct block_points buckets;

    if (output->is_filtered &&
        !upkeep_kept_from(step, id, partition->level, &output->kept_from, err))
        return false;
    sort_points(points);
    if (!group_points(output, points, arena, &buckets))
        return error_set(err, ERROR_CORRUPT,
                         "cannot merge the cells of series %u in data directory '%s': a sketch is "
                         "damaged",
                         id, step->upkeep->store->path);
    return buckets.count == 0 ||
           partition_writer_add(&output->writer, step->txn, id, &buckets, err);
}

bool upkeep_output_list(struct upkeep_step *step, const struct upkeep_output *output,
                        struct error *err)
{
    struct partition partition = output->writer.partition;
    const struct garbage_item garbage = upkeep_garbage_of(&partition);

    partition.pruned = output->pruned;
    if (!parts_remove_garbage(step->txn, garbage.what, garbage.number, err))
        return false;
    return partition.series == 0 || parts_add_partition(step->txn, &partition, err);
}
