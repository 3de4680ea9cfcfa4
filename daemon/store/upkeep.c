#include "store/upkeep.h"

#include <stdlib.h>
#include <time.h>

#include "base/counters.h"
#include "base/memory.h"
#include "store/catalog.h"
#include "store/upkeep_private.h"

enum {
    ASK_EVERY_POINTS = 256,     /* how much work may be done before the clock is asked again */
    GARBAGE_MUCH = 64,          /* items: then it comes before everything else */
    GARBAGE_ENTRIES = 128,      /* deleted at once */
    GARBAGE_ENTRY_BYTES = 1024, /* roughly, of the pages that change with each */
    PAUSE_MIN_MS = MS_PER_MINUTE,
    PAUSE_MAX_MS = MS_PER_HOUR,
};

static uint64_t cpu_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* --- life --- */

/* What was looked through has to be looked through again. */
static void forget_seen(struct upkeep *upkeep)
{
    upkeep->changes++;
    free(upkeep->scans);
    upkeep->scans = memory_zero(upkeep->options->calendar_count + 1, sizeof *upkeep->scans);
}

void upkeep_drop_jobs(struct upkeep *upkeep)
{
    tier_job_free(upkeep->tier);
    fold_job_free(upkeep->fold);
    build_job_free(upkeep->build);
    churn_job_free(upkeep->churn);
    upkeep_kept_forget(upkeep);
    upkeep->churn = NULL;
    upkeep->tier = NULL;
    upkeep->fold = NULL;
    upkeep->build = NULL;
    catalog_indexer_forget(upkeep->indexer);
    forget_seen(upkeep);
}

struct upkeep *upkeep_new(struct store *store, const struct upkeep_options *options)
{
    struct upkeep *upkeep = memory_zero(1, sizeof *upkeep);

    upkeep->store = store;
    upkeep->options = options;
    upkeep->step_cpu_us = UPKEEP_STEP_CPU_US;
    upkeep->step_bytes = UPKEEP_STEP_BYTES;
    upkeep->step_points = SIZE_MAX;
    upkeep->quiet_cells = UPKEEP_QUIET_CELLS;
    upkeep->indexer = catalog_indexer_new();
    upkeep->identities_seen = INT64_MIN;
    upkeep->annotations_seen = INT64_MIN;
    upkeep->churn_day = INT64_MIN;
    upkeep->has_unwanted = true; /* the same */
    upkeep->fold_again = true;   /* who knows what the last process has left */
    forget_seen(upkeep);
    return upkeep;
}

void upkeep_free(struct upkeep *upkeep)
{
    if (upkeep == NULL)
        return;
    upkeep_drop_jobs(upkeep);
    catalog_indexer_free(upkeep->indexer);
    free(upkeep->scans);
    free(upkeep);
}

void upkeep_set_options(struct upkeep *upkeep, const struct upkeep_options *options)
{
    upkeep->options = options;
    forget_seen(upkeep);
    churn_job_free(upkeep->churn); /* other metrics may be named now */
    upkeep->churn = NULL;
    upkeep->churn_day = INT64_MIN;
}

void upkeep_set_catalog(struct upkeep *upkeep, struct catalog *catalog)
{
    upkeep->catalog = catalog;
}

void upkeep_on_removed(struct upkeep *upkeep, upkeep_removed_fn on_removed, void *arg)
{
    upkeep->on_removed = on_removed;
    upkeep->on_removed_arg = arg;
}

void upkeep_counts(const struct upkeep *upkeep, struct upkeep_counts *out)
{
    *out = upkeep->counts;
}

/* --- garbage --- */

/* What is being built, in the step's arena. */
static struct garbage_item *building(struct upkeep_step *step, size_t *count)
{
    const struct upkeep *upkeep = step->upkeep;
    size_t folded = 0;
    size_t churned = 0;
    const struct garbage_item *fold = NULL;
    const struct garbage_item *churn = NULL;

    if (upkeep->fold != NULL)
        fold = fold_job_building(upkeep->fold, &step->arena, &folded);
    if (upkeep->churn != NULL)
        churn = churn_job_building(upkeep->churn, &step->arena, &churned);
    struct garbage_item *items =
        arena_array(&step->arena, folded + churned + 2 + BUILD_OUTPUTS_MAX, sizeof *items);
    for (*count = 0; *count < folded; (*count)++)
        items[*count] = fold[*count];
    for (size_t i = 0; i < churned; i++)
        items[(*count)++] = churn[i];
    if (upkeep->tier != NULL)
        items[(*count)++] = tier_job_building(upkeep->tier);
    for (size_t i = 0; upkeep->build != NULL && i < upkeep->build->output_count; i++)
        items[(*count)++] = upkeep_garbage_of(&upkeep->build->outputs[i].writer.partition);
    items[(*count)++] =
        (struct garbage_item){GARBAGE_INDEX, catalog_indexer_building(upkeep->indexer)};
    return items;
}

static bool collect(struct upkeep_step *step, bool *did, struct error *err)
{
    size_t count = 0;
    const struct garbage_item *skip = building(step, &count);
    size_t deleted = 0;

    do {
        if (!parts_collect(step->txn, skip, count, GARBAGE_ENTRIES, &deleted, err))
            return false;
        *did = *did || deleted > 0;
        step->counts.collected += deleted;
    } while (deleted > 0 && upkeep_spend(step, ASK_EVERY_POINTS, deleted * GARBAGE_ENTRY_BYTES));
    return true;
}

/* Garbage is room, and its list is looked through: it must not become long. */
static bool collect_much(struct upkeep_step *step, bool *did, struct error *err)
{
    const struct read_txn *reader = &step->txn->reader;
    MDB_stat facts;
    size_t count = 0;

    int rc = mdb_stat(reader->txn, reader->store->databases[DATABASE_GARBAGE], &facts);
    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", reader->store->path);
    if (facts.ms_entries < GARBAGE_MUCH)
        return true;
    (void)building(step, &count);
    return facts.ms_entries < count + GARBAGE_MUCH || collect(step, did, err);
}

/* --- a step --- */

bool upkeep_spend(struct upkeep_step *step, size_t points, size_t bytes)
{
    step->bytes += bytes;
    step->points += points;
    if (step->bytes >= step->upkeep->step_bytes || step->points >= step->upkeep->step_points)
        step->is_over = true;
    if (step->points - step->asked_points >= ASK_EVERY_POINTS) {
        step->asked_points = step->points;
        if (cpu_us() - step->began_us >= step->upkeep->step_cpu_us)
            step->is_over = true;
    }
    return !step->is_over;
}

/* The most urgent first. Tiers go on beside a fold, of the runs that it does not read; a fold that
 * is due begins before another tier does, since it reads all runs anyway. New series are indexed
 * before the long jobs go on, for those are never done for long. */
static const struct {
    upkeep_fn work;
    enum upkeep_kind kind;
} ORDER[] = {
    {collect_much, UPKEEP_ALWAYS},
    {upkeep_tier_go_on, UPKEEP_TIER},
    {upkeep_fold_begin, UPKEEP_FOLD},
    {upkeep_tier_begin, UPKEEP_TIER},
    {upkeep_index, UPKEEP_ALWAYS},
    {upkeep_fold_go_on, UPKEEP_FOLD},
    {upkeep_build_go_on, UPKEEP_BUILD},
    {upkeep_combine_begin, UPKEEP_COMBINE},
    {upkeep_days_begin, UPKEEP_DAYS},
    {upkeep_expire_begin, UPKEEP_EXPIRE},
    {collect, UPKEEP_ALWAYS},
    {upkeep_identities, UPKEEP_ALWAYS},
    {upkeep_annotations, UPKEEP_ALWAYS},
    {upkeep_churn, UPKEEP_CHURN},
};

static struct upkeep_pause *pause_of(struct upkeep *upkeep, enum upkeep_kind kind)
{
    return &upkeep->pauses[kind == UPKEEP_BUILD ? upkeep->build_kind : kind];
}

/* Work that has met damaged data waits, longer each time that it meets it again, and lets the rest
 * go on: what is damaged must not keep the store from dropping what is old. */
static void wait_longer(struct upkeep_pause *pause, mono_ms now)
{
    bool is_again = pause->length > 0 && now - pause->until < pause->length;

    pause->length = is_again ? pause->length * 2 : PAUSE_MIN_MS;
    if (pause->length > PAUSE_MAX_MS)
        pause->length = PAUSE_MAX_MS;
    pause->until = now + pause->length;
}

static bool fill(struct upkeep_step *step, bool *did, struct error *err)
{
    struct upkeep *upkeep = step->upkeep;
    mono_ms now = clock_mono();

    for (size_t i = 0; i < sizeof ORDER / sizeof *ORDER && !*did; i++) {
        const struct build_job *build = upkeep->build;
        struct upkeep_pause *pause = pause_of(upkeep, ORDER[i].kind);
        if (pause->length > 0 && now < pause->until)
            continue;
        bool ok = ORDER[i].work(step, did, err);
        if (build == NULL && upkeep->build != NULL)
            upkeep->build_kind = ORDER[i].kind;
        if (!ok && err->kind == ERROR_CORRUPT && ORDER[i].kind != UPKEEP_ALWAYS)
            wait_longer(pause, now);
        if (!ok)
            return false;
    }
    return !step->txn->wrote || meta_put(step->txn, "commit", step->version, err);
}

/* Does it and commits. */
static bool run(struct upkeep_step *step, bool *did, struct error *err)
{
    struct write_txn *txn = step->txn;

    if (!write_txn_begin(step->upkeep->store, NULL, txn, err))
        return false;
    step->version = store_commit_number(&txn->reader) + 1;
    struct read_txn *source = read_txn_begin(step->upkeep->store, err);
    step->source = source;
    bool ok = source != NULL && fill(step, did, err);
    read_txn_end(source);
    if (ok && txn->wrote)
        return write_txn_commit(txn, err);
    write_txn_abort(txn);
    return ok;
}

static void count(struct upkeep *upkeep, const struct upkeep_step *step)
{
    struct upkeep_counts *counts = &upkeep->counts;
    uint64_t spent = cpu_us() - step->began_us;

    counts->steps++;
    counts->tiers += step->counts.tiers;
    counts->folds += step->counts.folds;
    counts->combines += step->counts.combines;
    counts->days += step->counts.days;
    counts->expired += step->counts.expired;
    counts->collected += step->counts.collected;
    counts->churns += step->counts.churns;
    counts->churned += step->counts.churned;
    COUNTER_ADD(series_churned, step->counts.churned);
    COUNTER_ADD(series_created, step->created);
    counts->cpu_us += spent;
    if (spent > counts->slowest_step_us)
        counts->slowest_step_us = spent;
    if (step->bytes > counts->largest_step_bytes)
        counts->largest_step_bytes = step->bytes;
}

bool upkeep_step(struct upkeep *upkeep, const struct guard *clock, bool *more, struct error *err)
{
    struct write_txn txn;
    struct upkeep_step step = {.upkeep = upkeep, .clock = clock, .txn = &txn, .began_us = cpu_us()};

    *more = false;
    bool ok = run(&step, more, err);
    if (ok && *more)
        count(upkeep, &step);
    if (ok && step.removed_count > 0 && upkeep->on_removed != NULL)
        upkeep->on_removed(step.removed, step.removed_count, upkeep->on_removed_arg);
    if (!ok) {
        upkeep_drop_jobs(upkeep);
        if (step.used_catalog)
            catalog_forget(upkeep->catalog);
    }
    *more = ok && *more;
    arena_fini(&step.arena);
    return ok;
}
