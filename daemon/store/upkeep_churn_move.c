/* A partition in which the cells of churned series are those of their metric's `__other__`.
 *
 * A partition is written in the order of ids, and `__other__` may come before or after the series
 * that it takes: so when it is its turn their cells are looked for, those of one metric at a time,
 * and merged by bucket. All else is copied. */
#include <stdlib.h>

#include "base/memory.h"
#include "store/upkeep_churn.h"

/* Where it reads: `all` goes through all series, `some` looks for those that are wanted. */
struct sources {
    const struct partition *partition;
    struct partition_cursor all;
    struct partition_cursor some;
    struct arena arena; /* of one series */
};

void churn_move_fini(struct churn_move *move)
{
    if (move->source != 0)
        upkeep_output_fini(&move->output);
    for (size_t i = 0; i < move->sum_count; i++)
        cell_fini(&move->sums[i]);
    free(move->sums);
    *move = (struct churn_move){.source = 0};
}

static bool begin(struct upkeep_step *step, const struct partition *source, struct error *err)
{
    struct churn_move *move = &step->upkeep->churn->move;

    churn_move_fini(move);
    if (!upkeep_output_open(step, &move->output, source, err))
        return false;
    move->output.source = source->level;
    move->source = source->number;
    move->sum_count = (size_t)(source->to - source->from);
    move->sums = memory_zero(move->sum_count, sizeof *move->sums);
    for (size_t i = 0; i < move->sum_count; i++)
        move->sums[i] = (struct cell)CELL_EMPTY;
    return true;
}

static bool write_points(struct upkeep_step *step, struct sources *sources, uint32_t id,
                         const struct block_points *points, struct error *err)
{
    struct upkeep_output *output = &step->upkeep->churn->move.output;
    uint64_t before = output->writer.partition.bytes;

    bool ok = upkeep_output_add(step, output, id, points, &sources->arena, err);
    (void)upkeep_spend(step, points->count + 1, (size_t)(output->writer.partition.bytes - before));
    return ok;
}

static void go_past(struct churn_move *move, uint32_t id)
{
    if (move->next_id <= id)
        move->next_id = (uint64_t)id + 1;
}

/* --- what `__other__` takes --- */

/* Adds the cells of the series on which the cursor for some stands. */
static bool add_points(struct upkeep_step *step, struct sources *sources, struct error *err)
{
    struct churn_move *move = &step->upkeep->churn->move;
    struct block_points points;

    if (!partition_cursor_points(&sources->some, INT64_MIN, INT64_MAX, &sources->arena, &points,
                                 err))
        return false;
    for (size_t i = 0; i < points.count; i++) {
        int64_t at = points.points[i].bucket - sources->partition->from;
        struct cell cell = CELL_EMPTY;
        bool ok = at >= 0 && (uint64_t)at < move->sum_count &&
                  partition_cell_of(&points.points[i], &cell);
        if (ok)
            cell_merge(&move->sums[at], &cell);
        cell_fini(&cell);
        if (!ok)
            return error_set(err, ERROR_CORRUPT,
                             "cannot merge the cells of series %u in data directory '%s': a "
                             "sketch is damaged",
                             sources->some.id, step->upkeep->store->path);
    }
    move->has_sums = true;
    (void)upkeep_spend(step, points.count + 1, 0);
    arena_reset(&sources->arena);
    return true;
}

/* The first one, from `from` on, that is not before the id. */
static size_t member_from(const uint32_t *members, size_t from, size_t count, uint32_t id)
{
    while (from < count) {
        size_t middle = from + (count - from) / 2;
        if (members[middle] < id)
            from = middle + 1;
        else
            count = middle;
    }
    return from;
}

/* Gathers the cells of a metric's churned series, as far as the step lets it. Series that follow
 * each other are walked through, what lies between is jumped over. */
static bool gather(struct upkeep_step *step, struct sources *sources,
                   const struct churn_metric *metric, struct error *err)
{
    struct churn_move *move = &step->upkeep->churn->move;
    const uint32_t *members = step->upkeep->churn->members + metric->first;
    struct partition_cursor *some = &sources->some;

    if (!partition_cursor_seek(some, members[move->member], err))
        return false;
    while (move->member < metric->count && !step->is_over) {
        uint32_t id = members[move->member];
        if (some->id != 0 && some->id < id && !partition_cursor_seek(some, id, err))
            return false;
        if (some->id == 0) {
            move->member = metric->count;
            return true;
        }
        if (some->id == id) {
            if (!add_points(step, sources, err) || !partition_cursor_next(some, err))
                return false;
            move->member++;
            continue;
        }
        move->member = member_from(members, move->member, metric->count, some->id);
        (void)upkeep_spend(step, 1, 0);
    }
    return true;
}

/* Writes the sums, and what `__other__` had of its own. */
static bool write_sums(struct upkeep_step *step, struct sources *sources, uint32_t id,
                       struct error *err)
{
    struct churn_move *move = &step->upkeep->churn->move;
    struct block_points points = {NULL, 0};

    if (!partition_cursor_seek(&sources->some, id, err) ||
        (sources->some.id == id && !add_points(step, sources, err)))
        return false;
    points.points = arena_array(&sources->arena, move->sum_count, sizeof *points.points);
    for (size_t i = 0; i < move->sum_count; i++) {
        if (move->sums[i].aggregate.count > 0)
            partition_point_of(&move->sums[i], sources->partition->from + (int64_t)i,
                               &sources->arena, &points.points[points.count++]);
    }
    bool ok = points.count == 0 || write_points(step, sources, id, &points, err);
    for (size_t i = 0; i < move->sum_count; i++) {
        cell_fini(&move->sums[i]);
        move->sums[i] = (struct cell)CELL_EMPTY;
    }
    move->has_sums = false;
    arena_reset(&sources->arena);
    return ok;
}

static bool write_target(struct upkeep_step *step, struct sources *sources, struct error *err)
{
    const struct churn_job *job = step->upkeep->churn;
    struct churn_move *move = &step->upkeep->churn->move;
    const struct churn_metric *metric = &job->metrics[job->targets[move->target]];

    if (move->member < metric->count && !gather(step, sources, metric, err))
        return false;
    if (move->member < metric->count)
        return true;
    if (move->has_sums) {
        if (!write_sums(step, sources, metric->id, err))
            return false;
        go_past(move, metric->id);
    }
    move->target++;
    move->member = 0;
    return true;
}

/* --- all of a partition --- */

/* To the next series that is copied; 0: there is none. */
static bool find_next(struct upkeep_step *step, struct sources *sources, struct error *err)
{
    struct churn_job *job = step->upkeep->churn;
    struct partition_cursor *all = &sources->all;

    while (all->id != 0 && (all->id < job->move.next_id || churn_bit(job, job->moved, all->id))) {
        go_past(&job->move, all->id);
        if (!partition_cursor_next(all, err))
            return false;
        if (!upkeep_spend(step, 1, 0))
            return true;
    }
    return true;
}

static bool copy_series(struct upkeep_step *step, struct sources *sources, struct error *err)
{
    struct block_points points;
    uint32_t id = sources->all.id;

    if (!partition_cursor_points(&sources->all, INT64_MIN, INT64_MAX, &sources->arena, &points,
                                 err) ||
        !write_points(step, sources, id, &points, err))
        return false;
    go_past(&step->upkeep->churn->move, id);
    arena_reset(&sources->arena);
    return true;
}

static bool move_some(struct upkeep_step *step, struct sources *sources, bool *done,
                      struct error *err)
{
    const struct churn_job *job = step->upkeep->churn;
    const struct churn_move *move = &job->move;

    if (move->next_id > UINT32_MAX)
        sources->all.id = 0;
    else if (!partition_cursor_seek(&sources->all, (uint32_t)move->next_id, err))
        return false;
    while (!*done && !step->is_over) {
        if (!find_next(step, sources, err))
            return false;
        if (step->is_over)
            return true;
        uint32_t id = sources->all.id;
        bool has_target = move->target < job->target_count;
        if (has_target && (id == 0 || job->metrics[job->targets[move->target]].id <= id)) {
            if (!write_target(step, sources, err))
                return false;
        } else if (id == 0) {
            *done = true;
        } else if (!copy_series(step, sources, err)) {
            return false;
        }
    }
    return true;
}

bool churn_move_go_on(struct upkeep_step *step, struct churn_part *part, struct error *err)
{
    struct churn_move *move = &step->upkeep->churn->move;
    struct sources sources = {.partition = &part->partition};
    bool done = false;

    if (move->source != part->partition.number && !begin(step, &part->partition, err))
        return false;
    bool ok = partition_cursor_init(&sources.all, step->source, &part->partition, err) &&
              partition_cursor_init(&sources.some, step->source, &part->partition, err) &&
              move_some(step, &sources, &done, err);
    partition_cursor_fini(&sources.all);
    partition_cursor_fini(&sources.some);
    arena_fini(&sources.arena);
    if (!ok || !done)
        return ok;
    part->is_built = true;
    part->built = move->output.writer.partition;
    churn_move_fini(move);
    return true;
}
