/* When a quarter of an hour has closed: what the runs hold of the time before becomes partitions,
 * window by window, at every level that is built there; the rest becomes one run.
 *
 * A run is ordered by quarter, series and minute, and a partition by series: so each quarter of a
 * window is a merge of its own, and the window merges these by series. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/upkeep_private.h"

enum {
    LATE_CELLS_MAX = 4 * 1000 * 1000, /* before the closed mark, until a fold takes them at once */
    WINDOWS_MAX = 512, /* of one fold, so that its last transaction stays small: of an import that
                          touches more the rest waits for the next one */
    QUIET_MS = MS_PER_MINUTE,
    LOOK_AROUND = 2 * QUARTERS_PER_DAY, /* quarters: a day is not longer */
    LATE_QUARTERS_MAX = 1 << 24,        /* 478 years before 1970: no calendar goes further */
};

enum fold_phase { FOLD_FIND, FOLD_BUILD, FOLD_REST };

struct fold_job {
    struct arena arena; /* the runs */
    struct run *runs;
    size_t run_count;
    int64_t closed; /* the mark when it began */
    int64_t to;     /* cells before this minute are folded */
    enum fold_phase phase;
    int64_t at; /* minute: windows before are done */

    /* the window under way */
    struct arena window_arena; /* its outputs and days */
    int64_t first_quarter;     /* of the window */
    uint64_t version;          /* of the newest run that may have cells of it */
    unsigned quarters;         /* bit i: some run has cells of its i-th quarter */
    struct upkeep_output *outputs;
    size_t output_count, output_capacity;
    uint64_t next_id;

    struct partition *built; /* of the windows that are done; owned */
    size_t built_count, built_capacity;
    size_t window_count;
    struct upkeep_copy rest;

    /* Days before all quarters that are kept: built at once from what came late. Owned. */
    struct late_day *late_days;
    size_t late_count, late_capacity;
    bool has_late; /* some cells are of such days */
};

struct late_day {
    uint32_t calendar;
    struct day_bounds bounds;
};

/* The merges of a window's quarters, each standing on a cell. */
struct quarters {
    struct run_merge *merges[QUARTERS_PER_WINDOW];
    struct run_cell heads[QUARTERS_PER_WINDOW];
    bool has[QUARTERS_PER_WINDOW];
};

/* --- life --- */

static void end_window(struct fold_job *job)
{
    for (size_t i = 0; i < job->output_count; i++)
        upkeep_output_fini(&job->outputs[i]);
    job->outputs = NULL;
    job->output_count = 0;
    job->output_capacity = 0;
    arena_reset(&job->window_arena);
}

void fold_job_free(struct fold_job *job)
{
    if (job == NULL)
        return;
    end_window(job);
    upkeep_copy_fini(&job->rest);
    free(job->built);
    free(job->late_days);
    arena_fini(&job->window_arena);
    arena_fini(&job->arena);
    free(job);
}

bool fold_job_has(const struct fold_job *job, const struct run *run)
{
    for (size_t i = 0; i < job->run_count; i++) {
        if (job->runs[i].tier == run->tier && job->runs[i].number == run->number)
            return true;
    }
    return false;
}

struct garbage_item *fold_job_building(const struct fold_job *job, struct arena *arena,
                                       size_t *count)
{
    struct garbage_item *items =
        arena_array(arena, job->built_count + job->output_count + 1, sizeof *items);

    *count = 0;
    for (size_t i = 0; i < job->built_count; i++)
        items[(*count)++] = upkeep_garbage_of(&job->built[i]);
    for (size_t i = 0; i < job->output_count; i++)
        items[(*count)++] = upkeep_garbage_of(&job->outputs[i].writer.partition);
    if (job->rest.is_open)
        items[(*count)++] = (struct garbage_item){GARBAGE_RUN, job->rest.writer.run.number};
    return items;
}

/* --- quarters of a window --- */

static void quarters_fini(struct quarters *quarters)
{
    for (size_t i = 0; i < QUARTERS_PER_WINDOW; i++) {
        if (quarters->has[i])
            cell_fini(&quarters->heads[i].cell);
        quarters->has[i] = false;
        run_merge_free(quarters->merges[i]);
        quarters->merges[i] = NULL;
    }
}

/* The runs that may have cells of minutes [from, to). */
static struct run *overlapping(const struct fold_job *job, int64_t from, int64_t to,
                               struct arena *arena, size_t *count)
{
    struct run *runs = arena_array(arena, job->run_count, sizeof *runs);

    *count = 0;
    for (size_t i = 0; i < job->run_count; i++) {
        if (job->runs[i].max_minute >= from && job->runs[i].min_minute < to)
            runs[(*count)++] = job->runs[i];
    }
    return runs;
}

/* Has each of the wanted quarters' merges stand on its first cell at or after the series. */
static bool quarters_init(struct quarters *quarters, struct upkeep_step *step, unsigned wanted,
                          uint32_t id, struct error *err)
{
    const struct fold_job *job = step->upkeep->fold;

    *quarters = (struct quarters){.merges = {NULL}};
    for (size_t i = 0; i < QUARTERS_PER_WINDOW; i++) {
        int64_t from = (job->first_quarter + (int64_t)i) * MINUTES_PER_QUARTER;
        int64_t to = from + MINUTES_PER_QUARTER;
        size_t count = 0;
        if ((wanted & 1U << i) == 0 || from >= job->to)
            continue;
        struct run *runs = overlapping(job, from, to, &step->arena, &count);
        if (count == 0)
            continue;
        quarters->merges[i] = run_merge_new(step->source, runs, count, from, to, err);
        if (quarters->merges[i] == NULL || !run_merge_seek(quarters->merges[i], id, from, err) ||
            !run_merge_next(quarters->merges[i], &quarters->heads[i], &quarters->has[i], err)) {
            quarters_fini(quarters);
            return false;
        }
    }
    return true;
}

/* The least series that some quarter has; 0: they are at their ends. */
static uint32_t least_id(const struct quarters *quarters)
{
    uint32_t id = 0;

    for (size_t i = 0; i < QUARTERS_PER_WINDOW; i++) {
        if (quarters->has[i] && (id == 0 || quarters->heads[i].id < id))
            id = quarters->heads[i].id;
    }
    return id;
}

/* All points of a series, in order; in the arena. */
static bool take_points(struct quarters *quarters, uint32_t id, struct arena *arena,
                        struct block_points *out, struct error *err)
{
    out->points = arena_array(arena, MINUTES_PER_WINDOW, sizeof *out->points);
    out->count = 0;
    for (size_t i = 0; i < QUARTERS_PER_WINDOW; i++) {
        struct run_cell *head = &quarters->heads[i];
        while (quarters->has[i] && head->id == id) {
            assert(out->count < MINUTES_PER_WINDOW);
            partition_point_of(&head->cell, head->minute, arena, &out->points[out->count++]);
            cell_fini(&head->cell);
            quarters->has[i] = false;
            if (!run_merge_next(quarters->merges[i], head, &quarters->has[i], err))
                return false;
        }
    }
    return true;
}

/* --- outputs of a window --- */

static struct upkeep_output *open_output(struct upkeep_step *step, const struct partition *facts,
                                         struct error *err)
{
    struct fold_job *job = step->upkeep->fold;

    job->outputs = arena_grow(&job->window_arena, job->outputs, job->output_count,
                              &job->output_capacity, sizeof *job->outputs);
    struct upkeep_output *output = &job->outputs[job->output_count];
    if (!upkeep_output_open(step, output, facts, err))
        return NULL;
    output->source = LEVEL_MINUTE;
    job->output_count++;
    return output;
}

/* A level, unless nobody keeps any of it. `ends`: where its first and its last bucket begin, in the
 * units of the level's marks. NULL in `*out`: it is not opened. */
static bool open_level(struct upkeep_step *step, const struct partition *facts,
                       const int64_t ends[2], struct upkeep_output **out, struct error *err)
{
    int64_t lowest = 0;
    int64_t highest = 0;

    *out = NULL;
    if (!upkeep_kept_bounds(step, facts->level, &lowest, &highest, err))
        return false;
    if (ends[1] < lowest)
        return true;
    *out = open_output(step, facts, err);
    if (*out != NULL)
        (*out)->is_filtered = ends[0] < highest;
    return *out != NULL;
}

/* Built days of one calendar that a window touches. */
struct touched_days {
    struct arena *arena;
    struct day_bounds *days;
    size_t count, capacity;
};

static bool gather_day(const struct day_bounds *day, void *arg)
{
    struct touched_days *touched = arg;

    touched->days = arena_grow(touched->arena, touched->days, touched->count, &touched->capacity,
                               sizeof *touched->days);
    touched->days[touched->count++] = *day;
    return true;
}

/* --- days that are older than all quarters ---
 *
 * The quarters of such a day are kept no longer, so the next look at days does not build it; and
 * there never were any, or it would have its row. What comes late is all there is of it. */

struct neighbours {
    struct day_bounds day;
    bool are_fine;
};

/* Rows of days that follow each other meet (see store/verify_rows.c), and none is there twice. */
static bool look_at_neighbour(const struct day_bounds *row, void *arg)
{
    struct neighbours *rows = arg;
    const struct day_bounds *day = &rows->day;

    if (row->day < day->day)
        rows->are_fine = row->day + 1 == day->day ? row->to == day->from : row->to <= day->from;
    else if (row->day > day->day)
        rows->are_fine = row->day == day->day + 1 ? row->from == day->to : row->from >= day->to;
    else
        rows->are_fine = false;
    return rows->are_fine;
}

static bool may_add_day(struct upkeep_step *step, uint32_t calendar, const struct day_bounds *day,
                        bool *out, struct error *err)
{
    const struct read_txn *reader = &step->txn->reader;
    struct neighbours rows = {*day, true};
    int64_t lowest = 0;
    int64_t highest = 0;

    *out = false;
    if (!upkeep_kept_bounds(step, LEVEL_DAY, &lowest, &highest, err))
        return false;
    if (day->from >= parts_mark(reader, MARK_KEPT_QUARTER) ||
        day->to > parts_mark(reader, MARK_QUARTERED) || day->from < lowest ||
        day->from < upkeep_days_lost_before(reader, calendar))
        return true;
    const struct day_range range = {calendar, day->from - LOOK_AROUND, day->to + LOOK_AROUND};
    if (!parts_days(reader, &range, look_at_neighbour, &rows, err))
        return false;
    *out = rows.are_fine;
    return true;
}

static void remember_late_day(struct fold_job *job, uint32_t calendar, const struct day_bounds *day)
{
    for (size_t i = 0; i < job->late_count; i++) {
        if (job->late_days[i].calendar == calendar && job->late_days[i].bounds.day == day->day)
            return;
    }
    if (job->late_count == job->late_capacity) {
        job->late_capacity = job->late_capacity == 0 ? 16 : 2 * job->late_capacity;
        job->late_days = memory_grow(job->late_days, job->late_capacity, sizeof *job->late_days);
    }
    job->late_days[job->late_count++] = (struct late_day){calendar, *day};
}

/* The options' calendar with this number; NULL: it is none of theirs. */
static const struct calendar *calendar_of(const struct upkeep_step *step, uint32_t number)
{
    const struct upkeep_options *options = step->upkeep->options;

    for (size_t i = 0; i < options->calendar_count; i++) {
        if (parts_calendar(&step->txn->reader, str_of(calendar_zone(options->calendars[i]))) ==
            number)
            return options->calendars[i];
    }
    return NULL;
}

static int compare_days(const void *a, const void *b)
{
    int64_t left = ((const struct day_bounds *)a)->day;
    int64_t right = ((const struct day_bounds *)b)->day;
    return left < right ? -1 : left > right;
}

/* Adds to the days of quarters [from, to) those that have no row yet and get one with this fold. */
static bool add_late_days(struct upkeep_step *step, uint32_t number, int64_t from, int64_t to,
                          struct touched_days *touched, struct error *err)
{
    const wall_ms quarter_ms = (wall_ms)MINUTES_PER_QUARTER * MS_PER_MINUTE;
    const struct calendar *calendar = NULL;
    struct fold_job *job = step->upkeep->fold;
    int64_t kept = parts_mark(&step->txn->reader, MARK_KEPT_QUARTER);

    if (kept == INT64_MIN || from >= kept + LOOK_AROUND || from < -LATE_QUARTERS_MAX)
        return true;
    job->has_late = true;
    calendar = calendar_of(step, number);
    if (calendar == NULL)
        return true;
    for (wall_ms at = from * quarter_ms; at < to * quarter_ms;) {
        const struct period day = calendar_period(calendar, PERIOD_DAY, at);
        const struct day_bounds bounds = upkeep_day_bounds(calendar, &day);
        bool may_add = false;
        if (!may_add_day(step, number, &bounds, &may_add, err))
            return false;
        if (may_add) {
            (void)gather_day(&bounds, touched);
            remember_late_day(job, number, &bounds);
        }
        if (day.to <= at)
            break;
        at = day.to;
    }
    if (touched->count > 1)
        qsort(touched->days, touched->count, sizeof *touched->days, compare_days);
    return true;
}

/* Their rows. A calendar that nobody wants now has none for them, and can never be whole there. */
static bool list_late_days(struct upkeep_step *step, struct error *err)
{
    struct fold_job *job = step->upkeep->fold;
    int64_t kept = parts_mark(&step->txn->reader, MARK_KEPT_QUARTER);
    uint32_t calendars = 0;

    for (size_t i = 0; i < job->late_count; i++) {
        const struct late_day *day = &job->late_days[i];
        if (!parts_add_day(step->txn, day->calendar, &day->bounds, err))
            return false;
    }
    if (!job->has_late)
        return true;
    if (!upkeep_calendar_count(&step->txn->reader, &calendars, err))
        return false;
    for (uint32_t number = 1; number <= calendars; number++) {
        if (calendar_of(step, number) == NULL && !upkeep_lose_days(step->txn, number, kept, err))
            return false;
    }
    return true;
}

/* One output for each window of days. */
static bool open_days(struct upkeep_step *step, uint32_t calendar, int64_t from, int64_t to,
                      struct error *err)
{
    struct touched_days touched = {.arena = &step->upkeep->fold->window_arena};
    size_t i = 0;

    if (!parts_days(&step->txn->reader, &(const struct day_range){calendar, from, to}, gather_day,
                    &touched, err) ||
        !add_late_days(step, calendar, from, to, &touched, err))
        return false;
    while (i < touched.count) {
        const struct day_bounds *first = &touched.days[i];
        struct upkeep_output *output = NULL;
        size_t end = i + 1;
        while (end < touched.count && floor_to(touched.days[end].day, DAYS_PER_WINDOW) ==
                                          floor_to(first->day, DAYS_PER_WINDOW))
            end++;
        const struct day_bounds *last = &touched.days[end - 1];
        const struct partition facts = {.level = LEVEL_DAY,
                                        .calendar = calendar,
                                        .from = first->day,
                                        .to = last->day + 1,
                                        .version = step->upkeep->fold->version};
        if (!open_level(step, &facts, (const int64_t[]){first->from, last->from}, &output, err))
            return false;
        if (output != NULL) {
            output->days = first;
            output->day_count = end - i;
        }
        i = end;
    }
    return true;
}

static bool open_outputs(struct upkeep_step *step, int64_t from, int64_t to, struct error *err)
{
    const struct read_txn *reader = &step->txn->reader;
    const struct partition minutes = {.level = LEVEL_MINUTE,
                                      .from = from * MINUTES_PER_QUARTER,
                                      .to = to * MINUTES_PER_QUARTER,
                                      .version = step->upkeep->fold->version};
    const struct partition quarters = {
        .level = LEVEL_QUARTER, .from = from, .to = to, .version = step->upkeep->fold->version};
    struct upkeep_output *output = NULL;
    uint32_t calendars = 0;

    if (!open_level(step, &minutes, (const int64_t[]){minutes.from, minutes.to - 1}, &output, err))
        return false;
    if (from < parts_mark(reader, MARK_QUARTERED) &&
        !open_level(step, &quarters, (const int64_t[]){from, to - 1}, &output, err))
        return false;
    if (!upkeep_calendar_count(reader, &calendars, err))
        return false;
    for (uint32_t calendar = 1; calendar <= calendars; calendar++) {
        if (!open_days(step, calendar, from, to, err))
            return false;
    }
    return true;
}

/* --- phases --- */

/* The next window that has cells to fold; none: on to the rest. */
static bool find_window(struct upkeep_step *step, struct error *err)
{
    struct fold_job *job = step->upkeep->fold;
    struct run_cell cell;
    bool found = false;
    size_t count = 0;
    struct run *runs = overlapping(job, job->at, job->to, &step->arena, &count);

    if (job->window_count == WINDOWS_MAX && job->at < job->to) {
        job->to = job->at;
        step->upkeep->fold_again = true;
    }
    job->phase = FOLD_REST;
    job->rest.from = job->to;
    if (count == 0 || job->at >= job->to)
        return true;
    struct run_merge *merge = run_merge_new(step->source, runs, count, job->at, job->to, err);
    if (merge == NULL)
        return false;
    bool ok = run_merge_seek(merge, 0, job->at, err) && run_merge_next(merge, &cell, &found, err);
    run_merge_free(merge);
    if (!ok || !found)
        return ok;
    cell_fini(&cell.cell);
    job->phase = FOLD_BUILD;
    job->quarters = 0;
    job->next_id = 0;
    job->first_quarter = floor_to(cell.minute, MINUTES_PER_WINDOW) / MINUTES_PER_QUARTER;
    return true;
}

static uint64_t newest_version(const struct fold_job *job, int64_t from, int64_t to)
{
    uint64_t newest = 0;

    for (size_t i = 0; i < job->run_count; i++) {
        const struct run *run = &job->runs[i];
        if (run->max_minute >= from && run->min_minute < to && run->version > newest)
            newest = run->version;
    }
    return newest;
}

/* The first time, when it is known which quarters have cells. */
static bool begin_window(struct upkeep_step *step, const struct quarters *quarters,
                         struct error *err)
{
    struct fold_job *job = step->upkeep->fold;
    int first = QUARTERS_PER_WINDOW;
    int last = 0;

    for (int i = 0; i < QUARTERS_PER_WINDOW; i++) {
        if (!quarters->has[i])
            continue;
        job->quarters |= 1U << i;
        first = i < first ? i : first;
        last = i;
    }
    if (job->quarters == 0)
        return error_set(err, ERROR_CORRUPT,
                         "cannot read a run of data directory '%s': its cells are not in order",
                         step->upkeep->store->path);
    int64_t from = job->first_quarter + first;
    int64_t to = job->first_quarter + last + 1;
    job->version = newest_version(job, from * MINUTES_PER_QUARTER, to * MINUTES_PER_QUARTER);
    return open_outputs(step, from, to, err);
}

static bool add_series(struct upkeep_step *step, uint32_t id, const struct block_points *points,
                       struct arena *arena, struct error *err)
{
    struct fold_job *job = step->upkeep->fold;
    size_t bytes = 0;

    for (size_t i = 0; i < job->output_count; i++) {
        struct upkeep_output *output = &job->outputs[i];
        uint64_t before = output->writer.partition.bytes;
        if (!upkeep_output_add(step, output, id, points, arena, err))
            return false;
        bytes += (size_t)(output->writer.partition.bytes - before);
    }
    (void)upkeep_spend(step, points->count, bytes);
    return true;
}

static void finish_window(struct fold_job *job)
{
    for (size_t i = 0; i < job->output_count; i++) {
        if (job->built_count == job->built_capacity) {
            job->built_capacity = job->built_capacity == 0 ? 16 : 2 * job->built_capacity;
            job->built = memory_grow(job->built, job->built_capacity, sizeof *job->built);
        }
        job->built[job->built_count++] = job->outputs[i].writer.partition;
    }
    end_window(job);
    job->window_count++;
    job->at = (job->first_quarter + QUARTERS_PER_WINDOW) * MINUTES_PER_QUARTER;
    job->phase = FOLD_FIND;
}

static bool build_window(struct upkeep_step *step, struct error *err)
{
    struct fold_job *job = step->upkeep->fold;
    struct arena arena = ARENA_EMPTY;
    struct quarters quarters;
    bool ok = true;

    bool is_new = job->quarters == 0;
    if (!quarters_init(&quarters, step, is_new ? ~0U : job->quarters, (uint32_t)job->next_id, err))
        return false;
    if (is_new)
        ok = begin_window(step, &quarters, err);
    while (ok && !step->is_over) {
        struct block_points points;
        uint32_t id = least_id(&quarters);
        if (id == 0 || job->next_id > UINT32_MAX) {
            finish_window(job);
            break;
        }
        ok = take_points(&quarters, id, &arena, &points, err) &&
             add_series(step, id, &points, &arena, err);
        job->next_id = (uint64_t)id + 1;
        arena_reset(&arena);
    }
    quarters_fini(&quarters);
    arena_fini(&arena);
    return ok;
}

/* The last transaction. */
static bool list_all(struct upkeep_step *step, struct error *err)
{
    struct fold_job *job = step->upkeep->fold;

    for (size_t i = 0; i < job->built_count; i++) {
        const struct upkeep_output output = {.writer.partition = job->built[i]};
        if (!upkeep_output_list(step, &output, err))
            return false;
    }
    if (!list_late_days(step, err) || !upkeep_copy_list(step, &job->rest, err))
        return false;
    if (job->to > job->closed && !parts_set_mark(step->txn, MARK_CLOSED, job->to, err))
        return false;
    step->counts.folds++;
    step->upkeep->changes++;
    fold_job_free(job);
    step->upkeep->fold = NULL;
    return true;
}

bool upkeep_fold_go_on(struct upkeep_step *step, bool *did, struct error *err)
{
    struct fold_job *job = step->upkeep->fold;
    bool ok = job != NULL;
    bool done = false;

    if (job == NULL)
        return true;
    *did = true;
    while (ok && !step->is_over && !done) {
        if (job->phase == FOLD_FIND)
            ok = find_window(step, err);
        else if (job->phase == FOLD_BUILD)
            ok = build_window(step, err);
        else
            ok = upkeep_copy_go_on(step, &job->rest, &done, err);
    }
    return ok && (!done || list_all(step, err));
}

/* --- when --- */

/* The minute before which everything is closed; INT64_MIN while that cannot be told. */
static int64_t closed_by(const struct upkeep_step *step)
{
    span_ms lag = step->upkeep->options->lag == 0 ? UPKEEP_LAG_MS : step->upkeep->options->lag;
    struct error why;

    if (step->clock->mark == WALL_NONE || guard_is_suspect(step->clock, &why))
        return INT64_MIN;
    return floor_to(minute_of(step->clock->mark - lag), MINUTES_PER_QUARTER);
}

/* Roughly how many cells of the run are of minutes before `to`. */
static uint64_t cells_before(const struct run *run, int64_t to)
{
    if (run->max_minute < to)
        return run->cells;
    if (run->min_minute >= to)
        return 0;
    double part = ((double)to - (double)run->min_minute) /
                  ((double)run->max_minute - (double)run->min_minute + 1);
    return (uint64_t)((double)run->cells * part);
}

/* Whether nothing has been committed for a while: an import is over, and what it left need not wait
 * for the quarter to close. */
static bool is_quiet(const struct upkeep_step *step, const struct run *runs, size_t count)
{
    struct upkeep *upkeep = step->upkeep;
    wall_ms now = step->clock->mark;
    uint64_t newest = 0;

    for (size_t i = 0; i < count; i++) {
        if (runs[i].tier == 0 && runs[i].number > newest)
            newest = runs[i].number;
    }
    /* Runs of the journal go away when they are merged: only a newer one is news. */
    if (newest > upkeep->newest_commit || now < upkeep->quiet_since) {
        upkeep->newest_commit = newest > upkeep->newest_commit ? newest : upkeep->newest_commit;
        upkeep->quiet_since = now;
    }
    return now - upkeep->quiet_since >= QUIET_MS;
}

static void begin_job(struct upkeep_step *step, const struct run *runs, size_t count, int64_t to)
{
    struct fold_job *job = memory_zero(1, sizeof *job);

    job->run_count = count;
    job->runs = arena_array(&job->arena, count, sizeof *job->runs);
    memcpy(job->runs, runs, count * sizeof *runs);
    job->closed = parts_mark(&step->txn->reader, MARK_CLOSED);
    job->to = to;
    job->at = INT64_MAX;
    job->rest = (struct upkeep_copy){.runs = job->runs, .run_count = count, .tier = 1};
    for (size_t i = 0; i < count; i++) {
        job->at = runs[i].min_minute < job->at ? runs[i].min_minute : job->at;
        job->rest.tier = runs[i].tier > job->rest.tier ? runs[i].tier : job->rest.tier;
    }
    step->upkeep->fold_again = false;
    step->upkeep->fold = job;
}

bool upkeep_fold_begin(struct upkeep_step *step, bool *did, struct error *err)
{
    struct upkeep *upkeep = step->upkeep;
    int64_t closed = parts_mark(&step->txn->reader, MARK_CLOSED);
    int64_t closing = closed_by(step);
    int64_t to = closing > closed ? closing : closed;
    struct run *runs = NULL;
    size_t count = 0;
    uint64_t old = 0;
    bool has_old = false;

    if (upkeep->fold != NULL || upkeep->tier != NULL || upkeep->build != NULL || to == INT64_MIN)
        return true;
    if (!parts_runs(&step->txn->reader, &step->arena, &runs, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        has_old = has_old || runs[i].min_minute < to;
        old += cells_before(&runs[i], to);
    }
    if (to > closed && !has_old) {
        *did = true;
        upkeep->changes++;
        return parts_set_mark(step->txn, MARK_CLOSED, to, err);
    }
    if (!has_old)
        upkeep->fold_again = false;
    uint64_t enough = is_quiet(step, runs, count) ? upkeep->quiet_cells : LATE_CELLS_MAX;
    if (!has_old || (to == closed && !upkeep->fold_again && old < enough))
        return true;
    begin_job(step, runs, count, to);
    return upkeep_fold_go_on(step, did, err);
}
