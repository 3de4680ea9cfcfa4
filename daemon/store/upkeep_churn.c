/* Series that have come no more for long (design 4.9): what they counted goes to the `__other__` of
 * their metric, and their ids go.
 *
 * First it is found out who is still there: ids of all runs, and of what partitions have after the
 * cut. Of the others that are older and that no KPI names, some are chosen. Then each partition
 * that has cells of theirs is written anew beside the old one, and when all are, one transaction
 * takes the new ones in their places: at every snapshot all levels say the same, and the sum over a
 * metric never changes. The ids go after that, some in each step.
 *
 * Samples may come for a series that was chosen. Then its row stays, and the samples with it unless
 * they were folded before the switch: those join `__other__` with the rest. */
#include "store/upkeep_churn.h"

#include <stdlib.h>

#include "base/memory.h"
#include "store/catalog.h"
#include "store/series_cursor.h"

enum {
    SERIES_AT_ONCE = 50 * 1000, /* of one job: what is remembered of them, and of their metrics */
    CREATE_AT_ONCE = 64,
    REMOVE_AT_ONCE = 32,
    REMOVE_POINTS = 8, /* how much work it is to remove one */
    REMOVE_BYTES = 256,
    LIST_POINTS = 4, /* and to list a partition */
    LIST_BYTES = 128,
    DAY_SLACK_MINUTES = 14 * 60,   /* how long after UTC's a civil day may end */
    UNWANTED_AGAIN_MS = 60 * 1000, /* until those that still have samples are looked at again */
    UNWANTED_KEPT_MS = 24 * 60 * 60 * 1000,
    UNWANTED_EXPIRED_AT_ONCE = 1000,
};

/* --- life --- */

void churn_job_free(struct churn_job *job)
{
    if (job == NULL)
        return;
    churn_move_fini(&job->move);
    table_fini(&job->by_key);
    free(job->seen);
    free(job->moved);
    free(job->wanted);
    free(job->parts);
    free(job->runs);
    arena_fini(&job->arena);
    free(job);
}

struct garbage_item *churn_job_building(const struct churn_job *job, struct arena *arena,
                                        size_t *count)
{
    struct garbage_item *items = arena_array(arena, job->part_count + 1, sizeof *items);

    *count = 0;
    for (size_t i = 0; i < job->part_count; i++) {
        if (job->parts[i].is_built)
            items[(*count)++] = upkeep_garbage_of(&job->parts[i].built);
    }
    if (job->move.source != 0)
        items[(*count)++] = upkeep_garbage_of(&job->move.output.writer.partition);
    return items;
}

/* --- what there is --- */

static int compare_parts(const void *a, const void *b)
{
    uint32_t left = ((const struct churn_part *)a)->partition.number;
    uint32_t right = ((const struct churn_part *)b)->partition.number;
    return left < right ? -1 : left > right;
}

static struct churn_part *find_part(const struct churn_job *job, uint32_t number)
{
    const struct churn_part wanted = {.partition.number = number};

    if (job->part_count == 0)
        return NULL;
    return bsearch(&wanted, job->parts, job->part_count, sizeof *job->parts, compare_parts);
}

struct listing {
    struct churn_part *parts;
    size_t count;
};

/* What is known of a partition stays known. */
static bool list_level(struct upkeep_step *step, enum level level, uint32_t calendar,
                       struct listing *out, struct error *err)
{
    struct partition *partitions = NULL;
    size_t count = 0;

    const struct bucket_range range = {level, calendar, INT64_MIN, INT64_MAX};
    if (!parts_partitions(step->source, &range, &step->arena, &partitions, &count, err))
        return false;
    if (count == 0)
        return true;
    out->parts = memory_grow(out->parts, out->count + count, sizeof *out->parts);
    for (size_t i = 0; i < count; i++) {
        const struct churn_part *known = find_part(step->upkeep->churn, partitions[i].number);
        struct churn_part *part = &out->parts[out->count++];
        *part = known != NULL ? *known : (struct churn_part){.partition = partitions[i]};
    }
    return true;
}

static bool list_parts(struct upkeep_step *step, struct error *err)
{
    struct churn_job *job = step->upkeep->churn;
    struct listing listing = {NULL, 0};
    uint32_t calendars = 0;

    if (job->changes == step->upkeep->changes)
        return true;
    bool ok = list_level(step, LEVEL_MINUTE, 0, &listing, err) &&
              list_level(step, LEVEL_QUARTER, 0, &listing, err) &&
              upkeep_calendar_count(step->source, &calendars, err);
    for (uint32_t i = 1; i <= calendars && ok; i++)
        ok = list_level(step, LEVEL_DAY, i, &listing, err);
    if (!ok) {
        free(listing.parts);
        return false;
    }
    free(job->parts);
    job->parts = listing.parts;
    job->part_count = listing.count;
    if (listing.count > 0)
        qsort(job->parts, job->part_count, sizeof *job->parts, compare_parts);
    job->changes = step->upkeep->changes;
    if (job->move.source != 0 && find_part(job, job->move.source) == NULL)
        churn_move_fini(&job->move);
    return true;
}

/* Runs come by tier and number. */
static bool list_runs(struct upkeep_step *step, struct error *err)
{
    struct churn_job *job = step->upkeep->churn;
    struct run *runs = NULL;
    size_t count = 0;
    size_t at = 0;

    if (!parts_runs(step->source, &step->arena, &runs, &count, err))
        return false;
    struct churn_run *fresh = memory_zero(count + 1, sizeof *fresh);
    for (size_t i = 0; i < count; i++) {
        while (at < job->run_count && (job->runs[at].run.tier < runs[i].tier ||
                                       (job->runs[at].run.tier == runs[i].tier &&
                                        job->runs[at].run.number < runs[i].number)))
            at++;
        fresh[i].run = runs[i];
        fresh[i].is_scanned = at < job->run_count && job->runs[at].run.tier == runs[i].tier &&
                              job->runs[at].run.number == runs[i].number &&
                              job->runs[at].is_scanned;
    }
    free(job->runs);
    job->runs = fresh;
    job->run_count = count;
    return true;
}

/* --- who is there --- */

/* The first bucket of a level that may have something from the cut on. */
static int64_t first_bucket_after(enum level level, int64_t cut)
{
    const int64_t day = INT64_C(24) * 60;

    if (level == LEVEL_MINUTE)
        return cut;
    if (level == LEVEL_QUARTER)
        return quarter_of_minute(cut);
    return floor_to(cut - DAY_SLACK_MINUTES, day) / day;
}

/* The series that the cursor stands on: where its cells may be of both sides they are looked at. */
static bool scan_series(struct upkeep_step *step, struct partition_cursor *cursor,
                        struct arena *arena, struct error *err)
{
    const struct churn_job *job = step->upkeep->churn;
    int64_t from = first_bucket_after(cursor->partition.level, job->cut);
    struct block_points points;

    if (cursor->id > job->last_id || churn_bit(job, job->seen, cursor->id))
        return true;
    if (!partition_cursor_points(cursor, from, INT64_MAX, arena, &points, err))
        return false;
    for (size_t i = 0; i < points.count; i++) {
        if (points.points[i].aggregate.last_at >= job->cut * MS_PER_MINUTE)
            churn_set_bit(job, job->seen, cursor->id);
    }
    (void)upkeep_spend(step, points.count, 0);
    return true;
}

static int compare_series(const void *a, const void *b)
{
    uint32_t left = ((const struct churn_series *)a)->id;
    uint32_t right = ((const struct churn_series *)b)->id;
    return left < right ? -1 : left > right;
}

static const struct churn_series *find_series(const struct churn_job *job, uint32_t id)
{
    const struct churn_series wanted = {.id = id};

    if (job->series_count == 0)
        return NULL;
    return bsearch(&wanted, job->series, job->series_count, sizeof *job->series, compare_series);
}

/* Whether the partition has something of those who go. */
static void look_at_series(struct churn_job *job, struct churn_part *part, uint32_t id)
{
    bool is_moved = churn_bit(job, job->moved, id);

    if (id > job->last_id || (!is_moved && churn_bit(job, job->seen, id)))
        return;
    const struct churn_series *series = find_series(job, id);
    if (series == NULL)
        return;
    if (!is_moved || job->is_switched) {
        churn_set_bit(job, job->seen, id);
        return;
    }
    part->is_affected = true;
    job->metrics[series->metric].is_wanted = true;
}

/* Goes through the series of a partition, as far as the step lets it: before the choice, or after
 * it, looks for those who are there; then for those who go. */
static bool walk_part(struct upkeep_step *step, struct churn_part *part, bool is_scan, bool *done,
                      struct error *err)
{
    struct churn_job *job = step->upkeep->churn;
    struct partition_cursor cursor;
    struct arena arena = ARENA_EMPTY;

    if (job->walked != part->partition.number)
        job->walk_id = 0;
    job->walked = part->partition.number;
    bool ok = partition_cursor_init(&cursor, step->source, &part->partition, err) &&
              partition_cursor_seek(&cursor, (uint32_t)job->walk_id, err);
    while (ok && cursor.id != 0 && !step->is_over && job->walk_id <= UINT32_MAX) {
        job->walk_id = (uint64_t)cursor.id + 1;
        if (is_scan)
            ok = scan_series(step, &cursor, &arena, err);
        else
            look_at_series(job, part, cursor.id);
        ok = ok && partition_cursor_next(&cursor, err);
        arena_reset(&arena);
        (void)upkeep_spend(step, 1, 0);
    }
    *done = ok && (cursor.id == 0 || job->walk_id > UINT32_MAX);
    if (*done)
        job->walked = 0;
    partition_cursor_fini(&cursor);
    arena_fini(&arena);
    return ok;
}

static bool scan_part(struct upkeep_step *step, struct churn_part *part, struct error *err)
{
    const struct partition *partition = &part->partition;

    if (partition->to <= first_bucket_after(partition->level, step->upkeep->churn->cut)) {
        part->is_scanned = true;
        return true;
    }
    return walk_part(step, part, true, &part->is_scanned, err);
}

static bool scan_run(struct upkeep_step *step, struct churn_run *run, struct error *err)
{
    struct churn_job *job = step->upkeep->churn;
    const struct run *walked = &job->walked_run;
    struct run_cursor cursor;
    bool goes_on = walked->number == run->run.number && walked->tier == run->run.tier;

    bool ok = run_cursor_init(&cursor, step->source, &run->run, err) &&
              (goes_on ? run_cursor_seek(&cursor, job->run_id, job->run_minute, err)
                       : run_cursor_first(&cursor, err));
    job->walked_run = run->run;
    while (ok && cursor.has_cell && !step->is_over) {
        churn_set_bit(job, job->seen, cursor.cell.id);
        ok = run_cursor_next(&cursor, err);
        (void)upkeep_spend(step, 1, 0);
    }
    if (ok && cursor.has_cell) {
        job->run_id = cursor.cell.id;
        job->run_minute = cursor.cell.minute;
    } else if (ok) {
        run->is_scanned = true;
        job->walked_run = (struct run){.number = 0};
    }
    run_cursor_fini(&cursor);
    return ok;
}

/* --- who goes --- */

static void other_key(struct str key, struct buf *out)
{
    const struct label other = {STR("__other__"), STR("true")};
    series_key_write(out, series_key_kind(key), series_key_metric(key), &other, 1);
}

static size_t metric_of(struct churn_job *job, struct str key)
{
    const size_t *known = table_find(&job->by_key, key);

    if (known != NULL)
        return *known;
    size_t *index = arena_alloc(&job->arena, sizeof *index);
    *index = job->metric_count;
    (void)table_add(&job->by_key, key, index);
    job->metrics = arena_grow(&job->arena, job->metrics, job->metric_count, &job->metric_capacity,
                              sizeof *job->metrics);
    job->metrics[job->metric_count++] = (struct churn_metric){.key = arena_str(&job->arena, key)};
    return *index;
}

static void choose(struct churn_job *job, uint32_t id, struct str key, struct buf *scratch)
{
    job->series = arena_grow(&job->arena, job->series, job->series_count, &job->series_capacity,
                             sizeof *job->series);
    struct churn_series *series = &job->series[job->series_count++];
    *series = (struct churn_series){.id = id};
    other_key(key, scratch);
    series->is_other = str_equal(buf_view(scratch), key);
    if (series->is_other)
        return;
    series->metric = metric_of(job, buf_view(scratch));
    job->metrics[series->metric].count++;
    churn_set_bit(job, job->moved, id);
}

/* Those of one metric come to stand together. */
static void end_choice(struct churn_job *job)
{
    size_t at = 0;

    job->members = arena_array(&job->arena, job->series_count + 1, sizeof *job->members);
    for (size_t i = 0; i < job->metric_count; i++) {
        job->metrics[i].first = at;
        at += job->metrics[i].count;
        job->metrics[i].count = 0;
    }
    for (size_t i = 0; i < job->series_count; i++) {
        const struct churn_series *series = &job->series[i];
        struct churn_metric *metric = &job->metrics[series->metric];
        if (!series->is_other)
            job->members[metric->first + metric->count++] = series->id;
    }
    job->is_chosen = true;
}

static bool is_to_go(const struct upkeep_step *step, const struct series_cursor *series)
{
    const struct upkeep_options *options = step->upkeep->options;
    const struct churn_job *job = step->upkeep->churn;

    if (series->key.len == 0 || churn_bit(job, job->seen, series->id))
        return false;
    if (job->wanted != NULL)
        return churn_bit(job, job->wanted, series->id);
    return series->first_seen < job->cut * MS_PER_MINUTE &&
           (options->is_named == NULL ||
            !options->is_named(series_key_metric(series->key), options->is_named_arg));
}

static bool choose_series(struct upkeep_step *step, struct error *err)
{
    struct churn_job *job = step->upkeep->churn;
    struct series_cursor series;
    struct buf scratch = BUF_EMPTY;

    bool ok = series_cursor_init(&series, step->source, err) &&
              series_cursor_seek(&series, job->next_series, err);
    while (ok && series.has && series.id <= job->last_id && job->series_count < SERIES_AT_ONCE &&
           !step->is_over) {
        if (is_to_go(step, &series))
            choose(job, series.id, series.key, &scratch);
        job->next_series = series.id + 1;
        ok = series_cursor_next(&series, err);
        (void)upkeep_spend(step, 2, 0);
    }
    bool ended = ok && (!series.has || series.id > job->last_id);
    if (ended)
        job->next_series = 0;
    if (ended || (ok && job->series_count == SERIES_AT_ONCE))
        end_choice(job);
    series_cursor_fini(&series);
    buf_fini(&scratch);
    return ok;
}

/* --- where to --- */

static int compare_targets(const void *a, const void *b, void *arg)
{
    const struct churn_metric *metrics = arg;
    uint32_t left = metrics[*(const size_t *)a].id;
    uint32_t right = metrics[*(const size_t *)b].id;
    return left < right ? -1 : left > right;
}

/* Those that take cells, in the order of their ids. */
static void end_targets(struct churn_job *job)
{
    job->targets = arena_array(&job->arena, job->metric_count + 1, sizeof *job->targets);
    job->target_count = 0;
    for (size_t i = 0; i < job->metric_count; i++) {
        if (job->metrics[i].is_wanted)
            job->targets[job->target_count++] = i;
    }
    if (job->target_count > 0)
        qsort_r(job->targets, job->target_count, sizeof *job->targets, compare_targets,
                job->metrics);
    churn_move_fini(&job->move); /* it knows another order */
}

/* Another key has the name of their `__other__`: they stay. Nothing of theirs was moved yet. */
static void keep_members(struct churn_job *job, struct churn_metric *metric)
{
    for (size_t i = 0; i < metric->count; i++) {
        uint32_t id = job->members[metric->first + i];
        job->moved[id / 8] &= (unsigned char)~(1U << id % 8);
        churn_set_bit(job, job->seen, id);
    }
    metric->is_wanted = false;
}

/* Finds the ids of some metrics' `__other__`, or makes them; `*found` 0: they are all known. */
static bool find_targets(struct upkeep_step *step, size_t *found, struct error *err)
{
    struct churn_job *job = step->upkeep->churn;
    struct delta_series series[CREATE_AT_ONCE];
    struct catalog_series answers[CREATE_AT_ONCE];
    size_t metrics[CREATE_AT_ONCE];
    size_t count = 0;

    for (size_t i = 0; i < job->metric_count && count < CREATE_AT_ONCE; i++) {
        const struct churn_metric *metric = &job->metrics[i];
        if (!metric->is_wanted || metric->id != 0)
            continue;
        series[count] = (struct delta_series){series_key_hash(metric->key), metric->key};
        metrics[count++] = i;
    }
    *found = count;
    if (count == 0)
        return true;
    const struct catalog_batch batch = {
        .series = series, .count = count, .now = step->clock->keep_mark};
    step->used_catalog = true;
    if (!catalog_resolve_all(step->upkeep->catalog, step->txn, &batch, answers, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (answers[i].refusal != CATALOG_TAKEN) {
            keep_members(job, &job->metrics[metrics[i]]);
            continue;
        }
        job->metrics[metrics[i]].id = answers[i].id;
        churn_set_bit(job, job->seen, answers[i].id);
    }
    (void)upkeep_spend(step, count * REMOVE_POINTS, count * REMOVE_BYTES);
    return true;
}

/* Whether what is written anew has room beside what is there. */
static bool has_room(struct upkeep_step *step)
{
    struct churn_job *job = step->upkeep->churn;
    struct store_usage usage;
    uint64_t needed = 0;

    for (size_t i = 0; i < job->part_count; i++)
        needed += job->parts[i].is_affected ? job->parts[i].partition.bytes : 0;
    store_usage(&step->txn->reader, &usage);
    job->has_room = usage.used_bytes < usage.max_bytes &&
                    2 * needed <= usage.max_bytes - usage.used_bytes; /* pages are not full */
    return job->has_room;
}

/* --- the end --- */

/* All that were written anew take their places, at once. A few microseconds each: more than a step
 * only where thousands of partitions of minutes are kept for longer than series live. */
static bool switch_parts(struct upkeep_step *step, struct error *err)
{
    struct churn_job *job = step->upkeep->churn;
    size_t count = 0;

    for (size_t i = 0; i < job->part_count; i++) {
        struct churn_part *part = &job->parts[i];
        if (!part->is_built)
            continue;
        part->built.version = step->version; /* to `__other__` its cells are new */
        const struct upkeep_output output = {.writer.partition = part->built,
                                             .pruned = part->partition.pruned};
        if (!upkeep_output_list(step, &output, err) ||
            !parts_remove_partition(step->txn, &part->partition, err))
            return false;
        part->built.pruned = part->partition.pruned;
        part->partition = part->built;
        part->is_built = false;
        part->is_affected = false;
        count++;
    }
    if (count > 0) {
        qsort(job->parts, job->part_count, sizeof *job->parts, compare_parts);
        job->changes = ++step->upkeep->changes;
    }
    job->is_switched = true;
    step->counts.churns++;
    (void)upkeep_spend(step, count * LIST_POINTS, count * LIST_BYTES);
    return true;
}

static bool remove_rows(struct write_txn *txn, uint32_t id, struct error *err)
{
    struct schema_key key = schema_id_key(id);
    return store_remove(txn, DATABASE_UNWANTED, store_key(&key), err) &&
           store_remove(txn, DATABASE_GAUGES, store_key(&key), err);
}

static void finish(struct upkeep *upkeep)
{
    if (upkeep->churn->wanted != NULL) {
        bool is_all = upkeep->churn->next_series == 0 && !upkeep->unwanted_came;
        upkeep->unwanted_seen = is_all ? upkeep->changes : 0;
        upkeep->unwanted_after = is_all ? clock_mono() + UNWANTED_AGAIN_MS : 0;
        upkeep->churn->is_done = true;
        return;
    }
    upkeep->churn_next = upkeep->churn->next_series;
    if (upkeep->churn_next == 0)
        upkeep->churn_day = upkeep->churn_today;
    upkeep->churn->is_done = true;
}

/* Nobody has a cell of those who are not seen: not the runs, not the partitions. */
static bool remove_some(struct upkeep_step *step, struct error *err)
{
    struct churn_job *job = step->upkeep->churn;
    uint32_t ids[REMOVE_AT_ONCE];
    size_t count = 0;

    for (; job->removed < job->series_count && count < REMOVE_AT_ONCE; job->removed++) {
        uint32_t id = job->series[job->removed].id;
        if (churn_bit(job, job->seen, id))
            continue;
        if (!remove_rows(step->txn, id, err))
            return false;
        ids[count++] = id;
        step->removed = arena_grow(&step->arena, step->removed, step->removed_count,
                                   &step->removed_capacity, sizeof *step->removed);
        step->removed[step->removed_count++] = id;
    }
    step->used_catalog = true;
    if (!catalog_remove_series(step->upkeep->catalog, step->txn, ids, count, err))
        return false;
    step->counts.churned += count;
    if (job->removed == job->series_count)
        finish(step->upkeep);
    (void)upkeep_spend(step, count * REMOVE_POINTS + 1, count * REMOVE_BYTES);
    return true;
}

/* --- the job --- */

typedef bool (*part_question)(const struct churn_part *part);

static bool is_to_be_scanned(const struct churn_part *part)
{
    return !part->is_scanned;
}

static bool is_to_be_looked_at(const struct churn_part *part)
{
    return !part->is_looked_at;
}

static bool is_to_be_moved(const struct churn_part *part)
{
    return part->is_affected && !part->is_built;
}

static struct churn_part *first_part(const struct churn_job *job, part_question is_wanted)
{
    for (size_t i = 0; i < job->part_count; i++) {
        if (is_wanted(&job->parts[i]))
            return &job->parts[i];
    }
    return NULL;
}

static struct churn_run *first_run(const struct churn_job *job)
{
    for (size_t i = 0; i < job->run_count; i++) {
        if (!job->runs[i].is_scanned)
            return &job->runs[i];
    }
    return NULL;
}

/* Who is there, of what was listed so far. */
static bool find_out(struct upkeep_step *step, bool *did, struct error *err)
{
    struct churn_job *job = step->upkeep->churn;
    struct churn_part *part = first_part(job, is_to_be_scanned);
    struct churn_run *run = first_run(job);
    bool is_needed = !job->is_chosen || job->is_switched;

    *did = part != NULL || (run != NULL && is_needed);
    if (part != NULL)
        return scan_part(step, part, err);
    return run == NULL || !is_needed || scan_run(step, run, err);
}

/* Writes anew what is affected; `*did` false: all is. */
static bool move_cells(struct upkeep_step *step, bool *did, struct error *err)
{
    struct churn_job *job = step->upkeep->churn;
    struct churn_part *part = first_part(job, is_to_be_looked_at);
    size_t found = 0;

    *did = true;
    if (part != NULL)
        return walk_part(step, part, false, &part->is_looked_at, err);
    part = first_part(job, is_to_be_moved);
    *did = part != NULL;
    if (part == NULL)
        return true;
    if (!job->has_room && !has_room(step)) {
        job->next_series = 0; /* tomorrow */
        finish(step->upkeep);
        return true;
    }
    if (!find_targets(step, &found, err))
        return false;
    if (found > 0) {
        end_targets(job);
        return true;
    }
    return churn_move_go_on(step, part, err);
}

/* What comes next. */
static bool advance(struct upkeep_step *step, struct error *err)
{
    const struct churn_job *job = step->upkeep->churn;
    bool did = false;

    if (!find_out(step, &did, err))
        return false;
    if (did)
        return true;
    if (!job->is_chosen)
        return choose_series(step, err);
    if (job->series_count == 0) {
        finish(step->upkeep);
        return true;
    }
    if (!move_cells(step, &did, err))
        return false;
    if (did)
        return true;
    return job->is_switched ? remove_some(step, err) : switch_parts(step, err);
}

#define ALL_IS_BEFORE (INT64_C(1) << 40) /* minute */

static bool may_begin(const struct upkeep_step *step)
{
    const struct upkeep *upkeep = step->upkeep;
    struct error why;

    return upkeep->catalog != NULL && upkeep->fold == NULL && upkeep->build == NULL &&
           step->clock->keep_mark != WALL_NONE && !guard_is_suspect(step->clock, &why);
}

/* The cut as a minute; INT64_MIN: nothing is to be done now. */
static int64_t cut_now(const struct upkeep_step *step)
{
    const struct upkeep *upkeep = step->upkeep;
    wall_ms cut = 0;

    if (upkeep->options->churn_after <= 0 || !may_begin(step) ||
        __builtin_sub_overflow(step->clock->keep_mark, upkeep->options->churn_after, &cut))
        return INT64_MIN;
    return minute_of(cut);
}

static struct churn_job *new_job(int64_t cut, uint32_t last)
{
    struct churn_job *job = memory_zero(1, sizeof *job);

    job->cut = cut;
    job->last_id = last;
    job->seen = memory_zero((size_t)last / 8 + 1, 1);
    job->moved = memory_zero((size_t)last / 8 + 1, 1);
    return job;
}

/* Once a day, if there is a series that is old enough: earlier ones have lower ids. */
static bool begin_job(struct upkeep_step *step, int64_t cut, struct error *err)
{
    struct upkeep *upkeep = step->upkeep;
    struct series_cursor series;
    uint32_t last = 0;
    bool is_due = false;

    bool ok = series_cursor_init(&series, step->source, err) && series_cursor_last(&series, err);
    last = ok && series.has ? series.id : 0;
    ok = ok && series_cursor_seek(&series, upkeep->churn_next, err);
    is_due = ok && series.has && series.first_seen < cut * MS_PER_MINUTE;
    series_cursor_fini(&series);
    if (!ok)
        return false;
    if (!is_due) {
        upkeep->churn_next = 0;
        upkeep->churn_day = upkeep->churn_today;
        return true;
    }
    upkeep->churn = new_job(cut, last);
    upkeep->churn->next_series = upkeep->churn_next;
    return true;
}

/* --- series that somebody wants to be gone --- */

bool upkeep_want_gone(struct upkeep *upkeep, struct write_txn *txn, const uint32_t *ids,
                      size_t count, wall_ms now, struct error *err)
{
    struct buf row = BUF_EMPTY;
    bool ok = true;

    buf_i64(&row, now);
    for (size_t i = 0; i < count && ok; i++) {
        struct schema_key key = schema_id_key(ids[i]);
        ok = store_put(txn, DATABASE_UNWANTED, store_key(&key), buf_view(&row), 0, err);
    }
    buf_fini(&row);
    upkeep->has_unwanted = true;
    upkeep->unwanted_came = true;
    upkeep->unwanted_seen = 0;
    upkeep->unwanted_after = 0;
    return ok;
}

/* Those that still came a day later stay. */
static bool is_given_up(struct upkeep_step *step, const MDB_val *value)
{
    struct reader reader = reader_of(store_bytes(value));
    wall_ms asked = read_i64(&reader);

    return !reader.ok || step->clock->keep_mark - asked > UNWANTED_KEPT_MS;
}

/* Sets the bits of those that are wanted to be gone; the ids of those that are given up go to
 * `out`. */
static bool read_unwanted(struct upkeep_step *step, struct churn_job *job, uint32_t *out,
                          size_t *given_up, size_t *count, struct error *err)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    const struct read_txn *txn = step->source;

    int rc = mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_UNWANTED], &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    for (; rc == 0; rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        uint32_t id = schema_id_of(store_bytes(&key));
        if (!is_given_up(step, &value)) {
            churn_set_bit(job, job->wanted, id);
            (*count)++;
        } else if (*given_up < UNWANTED_EXPIRED_AT_ONCE) {
            out[(*given_up)++] = id;
        }
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ||
           store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
}

static bool last_series(struct upkeep_step *step, uint32_t *out, struct error *err)
{
    struct series_cursor series;

    bool ok = series_cursor_init(&series, step->source, err) && series_cursor_last(&series, err);
    *out = ok && series.has ? series.id : 0;
    series_cursor_fini(&series);
    return ok;
}

static bool begin_unwanted(struct upkeep_step *step, struct error *err)
{
    struct upkeep *upkeep = step->upkeep;
    uint32_t given_up[UNWANTED_EXPIRED_AT_ONCE];
    size_t given_up_count = 0;
    size_t count = 0;
    uint32_t last = 0;

    if (!upkeep->has_unwanted || upkeep->unwanted_seen == upkeep->changes ||
        clock_mono() < upkeep->unwanted_after || !may_begin(step))
        return true;
    if (!last_series(step, &last, err))
        return false;
    struct churn_job *job = new_job(ALL_IS_BEFORE, last);
    upkeep->unwanted_came = false;
    job->wanted = memory_zero((size_t)last / 8 + 1, 1);
    bool ok = read_unwanted(step, job, given_up, &given_up_count, &count, err);
    for (size_t i = 0; i < given_up_count && ok; i++) {
        struct schema_key key = schema_id_key(given_up[i]);
        ok = store_remove(step->txn, DATABASE_UNWANTED, store_key(&key), err);
    }
    if (ok && count > 0) {
        upkeep->churn = job;
        return true;
    }
    upkeep->has_unwanted = given_up_count > 0 || !ok;
    churn_job_free(job);
    return ok;
}

bool upkeep_churn(struct upkeep_step *step, bool *did, struct error *err)
{
    struct upkeep *upkeep = step->upkeep;
    int64_t cut = cut_now(step);
    bool ok = true;

    if (!may_begin(step))
        return true;
    if (upkeep->churn == NULL)
        ok = begin_unwanted(step, err);
    upkeep->churn_today =
        floor_to(step->clock->keep_mark, (int64_t)MS_PER_DAY) / (int64_t)MS_PER_DAY;
    if (ok && upkeep->churn == NULL && cut != INT64_MIN && upkeep->churn_day != upkeep->churn_today)
        ok = begin_job(step, cut, err);
    struct churn_job *job = upkeep->churn;
    if (ok && job != NULL) {
        *did = true;
        ok = list_parts(step, err) && list_runs(step, err);
        while (ok && !job->is_done && !step->is_over)
            ok = advance(step, err);
        if (job->is_done) {
            churn_job_free(job);
            upkeep->churn = NULL;
        }
    }
    if (step->used_catalog)
        step->created = catalog_end_group(upkeep->catalog);
    if (!ok) /* what cannot be read today may be gone tomorrow */
        upkeep->churn_day = upkeep->churn_today;
    return ok;
}
