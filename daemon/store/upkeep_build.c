/* The job of the partition slot: partitions of one level and calendar are read together, series by
 * series, and become up to two others. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/upkeep_private.h"

struct build_job *build_job_new(const struct partition *sources, size_t count)
{
    struct build_job *job = memory_zero(1, sizeof *job);

    job->source_count = count;
    job->sources = arena_array(&job->arena, count, sizeof *job->sources);
    memcpy(job->sources, sources, count * sizeof *sources);
    job->from = INT64_MIN;
    job->to = INT64_MAX;
    job->without = INT64_MIN;
    job->quartered = INT64_MIN;
    return job;
}

void build_job_free(struct build_job *job)
{
    if (job == NULL)
        return;
    for (size_t i = 0; i < job->output_count; i++)
        upkeep_output_fini(&job->outputs[i]);
    arena_fini(&job->arena);
    free(job);
}

struct upkeep_output *build_job_add_output(struct upkeep_step *step, struct build_job *job,
                                           const struct partition *facts, struct error *err)
{
    struct upkeep_output *output = &job->outputs[job->output_count];
    struct partition made = *facts;

    made.version = 0;
    for (size_t i = 0; i < job->source_count; i++)
        made.version =
            job->sources[i].version > made.version ? job->sources[i].version : made.version;
    if (!upkeep_output_open(step, output, &made, err))
        return NULL;
    output->source = job->sources[0].level;
    job->output_count++;
    return output;
}

bool build_job_add_replacement(struct upkeep_step *step, struct build_job *job, struct error *err)
{
    struct partition facts = job->sources[0];

    for (size_t i = 1; i < job->source_count; i++) {
        const struct partition *source = &job->sources[i];
        facts.from = source->from < facts.from ? source->from : facts.from;
        facts.to = source->to > facts.to ? source->to : facts.to;
        facts.pruned = source->pruned < facts.pruned ? source->pruned : facts.pruned;
    }
    struct upkeep_output *output = build_job_add_output(step, job, &facts, err);
    if (output == NULL)
        return false;
    output->pruned = facts.pruned;
    job->replaces = true;
    return true;
}

/* --- reading --- */

static void close_sources(struct partition_cursor *cursors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        partition_cursor_fini(&cursors[i]);
}

/* NULL: it failed. In the step's arena. */
static struct partition_cursor *open_sources(struct upkeep_step *step, struct error *err)
{
    const struct build_job *job = step->upkeep->build;
    struct partition_cursor *cursors =
        arena_array(&step->arena, job->source_count, sizeof *cursors);

    for (size_t i = 0; i < job->source_count; i++) {
        if (!partition_cursor_init(&cursors[i], step->source, &job->sources[i], err)) {
            close_sources(cursors, i);
            return NULL;
        }
        if (!partition_cursor_seek(&cursors[i], (uint32_t)job->next_id, err)) {
            close_sources(cursors, i + 1);
            return NULL;
        }
    }
    return cursors;
}

static uint32_t least_id(const struct partition_cursor *cursors, size_t count)
{
    uint32_t id = 0;

    for (size_t i = 0; i < count; i++) {
        if (cursors[i].id != 0 && (id == 0 || cursors[i].id < id))
            id = cursors[i].id;
    }
    return id;
}

static void append(struct block_points *into, const struct block_points *from, int64_t without)
{
    for (size_t i = 0; i < from->count; i++) {
        if (from->points[i].bucket != without)
            into->points[into->count++] = from->points[i];
    }
}

/* All points of a series, moving on to the next one; in the arena. */
static bool take_points(const struct build_job *job, struct partition_cursor *cursors, uint32_t id,
                        struct arena *arena, struct block_points *out, struct error *err)
{
    struct block_points *parts = arena_array(arena, job->source_count, sizeof *parts);
    size_t count = 0;

    for (size_t i = 0; i < job->source_count; i++) {
        if (cursors[i].id != id)
            continue;
        if (!partition_cursor_points(&cursors[i], job->from, job->to, arena, &parts[i], err) ||
            !partition_cursor_next(&cursors[i], err))
            return false;
        count += parts[i].count;
    }
    *out = (struct block_points){arena_array(arena, count, sizeof *out->points), 0};
    for (size_t i = 0; i < job->source_count; i++)
        append(out, &parts[i], job->without);
    return true;
}

/* The same as one point, where all of it is one bucket: quicker. */
static bool take_day(const struct build_job *job, struct partition_cursor *cursors, uint32_t id,
                     struct arena *arena, struct block_points *out, struct error *err)
{
    struct cell cell = CELL_EMPTY;
    wall_ms newest = WALL_NONE;
    bool ok = true;

    for (size_t i = 0; ok && i < job->source_count; i++) {
        if (cursors[i].id == id)
            ok = partition_cursor_merge(&cursors[i], (const int64_t[]){job->from, job->to}, arena,
                                        &cell, &newest, err) &&
                 partition_cursor_next(&cursors[i], err);
    }
    *out = (struct block_points){arena_array(arena, 1, sizeof *out->points), 0};
    if (ok && newest != WALL_NONE)
        partition_point_of(&cell, job->from, arena, &out->points[out->count++]);
    cell_fini(&cell);
    return ok;
}

/* --- the job --- */

static bool build_series(struct upkeep_step *step, struct partition_cursor *cursors, uint32_t id,
                         struct arena *arena, struct error *err)
{
    struct build_job *job = step->upkeep->build;
    struct block_points points = {NULL, 0};
    size_t bytes = 0;

    bool ok = job->adds_day ? take_day(job, cursors, id, arena, &points, err)
                            : take_points(job, cursors, id, arena, &points, err);
    for (size_t i = 0; ok && i < job->output_count && points.count > 0; i++) {
        struct upkeep_output *output = &job->outputs[i];
        uint64_t before = output->writer.partition.bytes;
        ok = upkeep_output_add(step, output, id, &points, arena, err);
        bytes += (size_t)(output->writer.partition.bytes - before);
    }
    job->next_id = (uint64_t)id + 1;
    (void)upkeep_spend(step, points.count + job->source_count, bytes);
    return ok;
}

/* The last transaction. */
static bool list_all(struct upkeep_step *step, struct error *err)
{
    struct build_job *job = step->upkeep->build;

    for (size_t i = 0; i < job->output_count; i++) {
        if (!upkeep_output_list(step, &job->outputs[i], err))
            return false;
    }
    for (size_t i = 0; job->replaces && i < job->source_count; i++) {
        if (!parts_remove_partition(step->txn, &job->sources[i], err))
            return false;
    }
    if (job->quartered != INT64_MIN &&
        !parts_set_mark(step->txn, MARK_QUARTERED, job->quartered, err))
        return false;
    if (job->adds_day && (!parts_add_day(step->txn, job->calendar, &job->day, err) ||
                          !upkeep_note_day(step, job->calendar, &job->day, err)))
        return false;
    if (job->removes_day && !parts_remove_day(step->txn, job->calendar, job->day.day, err))
        return false;
    if (job->without != INT64_MIN) {
        step->upkeep->cleared_calendar = job->calendar;
        step->upkeep->cleared_day = job->without;
    }
    *(uint64_t *)(void *)((char *)&step->counts + job->counter) += 1;
    step->upkeep->changes++;
    build_job_free(job);
    step->upkeep->build = NULL;
    return true;
}

bool upkeep_build_go_on(struct upkeep_step *step, bool *did, struct error *err)
{
    struct build_job *job = step->upkeep->build;
    struct arena arena = ARENA_EMPTY;
    bool ok = true;
    bool done = false;

    if (job == NULL)
        return true;
    *did = true;
    struct partition_cursor *cursors = open_sources(step, err);
    if (cursors == NULL)
        return false;
    while (ok && !done && !step->is_over) {
        uint32_t id = least_id(cursors, job->source_count);
        done = id == 0 || job->next_id > UINT32_MAX;
        ok = done || build_series(step, cursors, id, &arena, err);
        arena_reset(&arena);
    }
    close_sources(cursors, job->source_count);
    arena_fini(&arena);
    return ok && (!done || list_all(step, err));
}
