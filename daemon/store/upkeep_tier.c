/* Runs of one tier become one of the next. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/upkeep_private.h"

enum { AT_ONCE = 64 }; /* places that are copied before the step is asked whether it is over */

struct tier_job {
    struct arena arena; /* the runs: of one tier, the oldest ones */
    struct upkeep_copy copy;
};

/* --- runs into one --- */

void upkeep_copy_fini(struct upkeep_copy *copy)
{
    if (copy->is_open)
        run_writer_fini(&copy->writer);
    copy->is_open = false;
}

static bool open_copy(struct upkeep_step *step, struct upkeep_copy *copy, struct error *err)
{
    uint64_t number = 0;

    if (!parts_next_run(step->txn, &number, err) ||
        !parts_add_garbage(step->txn, GARBAGE_RUN, number, err))
        return false;
    run_writer_init(&copy->writer, copy->tier, number);
    copy->is_open = true;
    return true;
}

/* Some places. */
static bool copy_places(struct upkeep_step *step, struct upkeep_copy *copy, struct run_merge *merge,
                        struct error *err)
{
    const size_t left = step->upkeep->step_points - step->points;
    const struct run *run = &copy->writer.run;

    if (!copy->is_open && !open_copy(step, copy, err))
        return false;
    const struct run before = *run;
    if (!run_merge_to(merge, &copy->writer, step->txn, left < AT_ONCE ? left : AT_ONCE, err))
        return false;
    (void)upkeep_spend(step, (size_t)(run->cells - before.cells),
                       (size_t)(run->bytes - before.bytes));
    return true;
}

bool upkeep_copy_go_on(struct upkeep_step *step, struct upkeep_copy *copy, bool *done,
                       struct error *err)
{
    const struct run_writer *writer = &copy->writer;
    struct run_merge *merge =
        run_merge_new_moving(step->source, copy->runs, copy->run_count, copy->from, err);

    *done = false;
    if (merge == NULL)
        return false;
    bool ok = copy->is_open ? run_merge_seek_after(merge, writer->last_id, writer->last_minute, err)
                            : run_merge_seek(merge, 0, copy->from, err);
    while (ok && !step->is_over && !run_merge_is_over(merge))
        ok = copy_places(step, copy, merge, err);
    *done = ok && run_merge_is_over(merge);
    run_merge_free(merge);
    return ok && (!copy->is_open || run_writer_flush(&copy->writer, step->txn, err));
}

bool upkeep_copy_list(struct upkeep_step *step, const struct upkeep_copy *copy, struct error *err)
{
    if (copy->is_open) {
        struct run run = copy->writer.run;
        run.version = 0;
        for (size_t i = 0; i < copy->run_count; i++)
            run.version = copy->runs[i].version > run.version ? copy->runs[i].version : run.version;
        if (!parts_remove_garbage(step->txn, GARBAGE_RUN, run.number, err) ||
            !parts_add_run(step->txn, &run, err))
            return false;
    }
    for (size_t i = 0; i < copy->run_count; i++) {
        if (!parts_remove_run(step->txn, &copy->runs[i], err))
            return false;
    }
    return true;
}

/* --- the job --- */

void tier_job_free(struct tier_job *job)
{
    if (job == NULL)
        return;
    upkeep_copy_fini(&job->copy);
    arena_fini(&job->arena);
    free(job);
}

struct garbage_item tier_job_building(const struct tier_job *job)
{
    return (struct garbage_item){GARBAGE_RUN, job->copy.is_open ? job->copy.writer.run.number : 0};
}

bool upkeep_tier_go_on(struct upkeep_step *step, bool *did, struct error *err)
{
    struct tier_job *job = step->upkeep->tier;
    bool done = false;

    if (job == NULL)
        return true;
    *did = true;
    if (!upkeep_copy_go_on(step, &job->copy, &done, err))
        return false;
    if (!done)
        return true;
    if (!upkeep_copy_list(step, &job->copy, err))
        return false;
    step->counts.tiers++;
    tier_job_free(job);
    step->upkeep->tier = NULL;
    return true;
}

/* Runs come by tier and age: the first `fanout` of one tier in a row, but for those of a fold. */
static const struct run *choose(const struct upkeep *upkeep, struct run *runs, size_t count,
                                size_t fanout)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (upkeep->fold == NULL || !fold_job_has(upkeep->fold, &runs[i]))
            runs[kept++] = runs[i];
    }
    for (size_t i = 0; i + fanout <= kept; i++) {
        if (runs[i].tier == runs[i + fanout - 1].tier && runs[i].tier < UINT8_MAX)
            return &runs[i];
    }
    return NULL;
}

bool upkeep_tier_begin(struct upkeep_step *step, bool *did, struct error *err)
{
    struct upkeep *upkeep = step->upkeep;
    unsigned asked = upkeep->options->fanout;
    size_t fanout = asked == 0 ? UPKEEP_FANOUT : asked;
    struct run *runs = NULL;
    size_t count = 0;

    if (upkeep->tier != NULL)
        return true;
    if (!parts_runs(&step->txn->reader, &step->arena, &runs, &count, err))
        return false;
    fanout = fanout < 2 ? 2 : fanout;
    const struct run *chosen = choose(upkeep, runs, count, fanout);
    if (chosen == NULL)
        return true;
    struct tier_job *job = memory_zero(1, sizeof *job);
    struct run *sources = arena_array(&job->arena, fanout, sizeof *sources);
    memcpy(sources, chosen, fanout * sizeof *sources);
    job->copy = (struct upkeep_copy){
        .runs = sources, .run_count = fanout, .from = INT64_MIN, .tier = chosen->tier + 1};
    upkeep->tier = job;
    return upkeep_tier_go_on(step, did, err);
}
