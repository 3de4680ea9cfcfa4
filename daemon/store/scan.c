#include "store/scan.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/visit.h"

/* A segment of the plan and the partitions of its level there, by `from`. */
struct part {
    const struct plan_segment *segment;
    struct partition *partitions;
    size_t count;
};

/* Series of which as much is kept, so that one plan is for all of them. */
struct group {
    struct part *parts;
    size_t part_count;
    struct visit visit; /* of those that are read now */
};

/* Minutes, half open. */
struct span {
    int64_t from, to;
};

/* A query under way. What is read is merged into a table of cells: a row for each series (one for
 * all when they are merged), a column for each step of a window of time. */
struct scan {
    const struct read_txn *txn;
    const struct query *query;
    query_cell_fn on_cell;
    void *arg;
    struct coverage *coverage;
    struct arena arena;     /* until the end */
    struct arena row_arena; /* for the series of one table */
    struct arena scratch;   /* for one series in one partition */
    struct plan_range range;
    struct kept_groups kept;
    struct group *groups; /* of `kept`, each */
    struct run *runs;
    size_t run_count;
    struct span *filled; /* where there is data at all: disjoint, in order */
    size_t filled_count;
    struct cell *cells; /* rows by columns */
    size_t rows, columns;
    int64_t first_step; /* of the window */
    struct span window;
    const struct group *group; /* being read */
    const struct part *part;
    bool stopped; /* the caller has enough */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greatest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t step_of(const struct scan *scan, int64_t minute)
{
    return scan->range.step == 0 ? 0 : (minute - scan->range.from) / scan->range.step;
}

static int64_t step_from(const struct scan *scan, int64_t step)
{
    return scan->range.from + step * scan->range.step;
}

/* --- what there is --- */

unsigned scan_coverage_of(enum level level)
{
    static const unsigned bits[LEVEL_COUNT] = {
        [LEVEL_MINUTE] = COVERAGE_MINUTE,
        [LEVEL_QUARTER] = COVERAGE_QUARTER_HOUR,
        [LEVEL_DAY] = COVERAGE_DAY,
    };
    return bits[level];
}

static bool read_parts(struct scan *scan, const struct kept *kept, struct group *group,
                       struct error *err)
{
    struct plan plan;

    if (!plan_read(scan->txn, kept, &scan->range, &scan->arena, &plan, err))
        return false;
    scan->coverage->complete = scan->coverage->complete && plan.complete;
    group->parts = arena_array(&scan->arena, plan.count, sizeof *group->parts);
    group->part_count = plan.count;
    for (size_t i = 0; i < plan.count; i++) {
        const struct plan_segment *segment = &plan.segments[i];
        struct part *part = &group->parts[i];
        part->segment = segment;
        scan->coverage->levels |= scan_coverage_of(segment->level);
        if (!parts_partitions(scan->txn,
                              &(const struct bucket_range){segment->level, segment->calendar,
                                                           plan_bucket_from(segment, segment->from),
                                                           plan_bucket_from(segment, segment->to)},
                              &scan->arena, &part->partitions, &part->count, err))
            return false;
    }
    return true;
}

static bool read_groups(struct scan *scan, struct error *err)
{
    const struct query *query = scan->query;

    if (!kept_group(scan->txn, query->series, query->series_count, &scan->arena, &scan->kept, err))
        return false;
    scan->groups = arena_array(&scan->arena, scan->kept.count, sizeof *scan->groups);
    for (size_t i = 0; i < scan->kept.count; i++) {
        if (!read_parts(scan, &scan->kept.items[i], &scan->groups[i], err))
            return false;
    }
    return true;
}

/* The minutes of a partition, cut to its segment. */
static struct span partition_span(const struct part *part, const struct partition *partition)
{
    const struct plan_segment *segment = part->segment;
    int64_t width = segment->level == LEVEL_MINUTE ? 1 : MINUTES_PER_QUARTER;

    if (segment->level == LEVEL_DAY)
        return (struct span){segment->from, segment->to};
    return (struct span){greatest(partition->from * width, segment->from),
                         least(partition->to * width, segment->to)};
}

static int compare_spans(const void *a, const void *b)
{
    const struct span *one = a;
    const struct span *other = b;
    return (one->from > other->from) - (one->from < other->from);
}

static size_t count_partitions(const struct scan *scan)
{
    size_t count = 0;

    for (size_t i = 0; i < scan->kept.count; i++) {
        for (size_t j = 0; j < scan->groups[i].part_count; j++)
            count += scan->groups[i].parts[j].count;
    }
    return count;
}

/* What the partitions of a group fill; returns how many spans there are then. */
static size_t add_partitions(const struct group *group, struct span *spans, size_t count)
{
    for (size_t i = 0; i < group->part_count; i++) {
        for (size_t j = 0; j < group->parts[i].count; j++)
            spans[count++] = partition_span(&group->parts[i], &group->parts[i].partitions[j]);
    }
    return count;
}

/* Where there is something to read, so that what is silent for all is skipped. */
static void find_filled(struct scan *scan)
{
    size_t count = 0;
    struct span *spans =
        arena_array(&scan->arena, scan->run_count + count_partitions(scan), sizeof *spans);

    for (size_t i = 0; i < scan->kept.count; i++)
        count = add_partitions(&scan->groups[i], spans, count);
    for (size_t i = 0; i < scan->run_count; i++) {
        struct span span = {greatest(scan->runs[i].min_minute, scan->range.from),
                            least(scan->runs[i].max_minute + 1, scan->range.to)};
        if (span.from < span.to)
            spans[count++] = span;
    }
    if (count > 0)
        qsort(spans, count, sizeof *spans, compare_spans);
    for (size_t i = 0; i < count; i++) {
        struct span *last = scan->filled_count > 0 ? &spans[scan->filled_count - 1] : NULL;
        if (last != NULL && spans[i].from <= last->to)
            last->to = greatest(last->to, spans[i].to);
        else
            spans[scan->filled_count++] = spans[i];
    }
    scan->filled = spans;
}

/* The first minute at or after this one where there is data; the range's end without any. */
static int64_t next_filled(const struct scan *scan, int64_t minute)
{
    size_t low = 0;
    size_t high = scan->filled_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (scan->filled[middle].to <= minute)
            low = middle + 1;
        else
            high = middle;
    }
    return low < scan->filled_count ? greatest(scan->filled[low].from, minute) : scan->range.to;
}

/* --- into cells --- */

static struct cell *cell_of(const struct scan *scan, const struct visit_series *series,
                            int64_t step)
{
    return &scan->cells[series->row * scan->columns + (size_t)(step - scan->first_step)];
}

static void note_newest(struct scan *scan, const struct aggregate *aggregate)
{
    if (aggregate->count > 0 && aggregate->last_at > scan->coverage->newest)
        scan->coverage->newest = aggregate->last_at;
}

/* The first segment that ends after a minute, or the end of them. */
static const struct part *part_from(const struct group *group, int64_t minute)
{
    size_t low = 0;
    size_t high = group->part_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (group->parts[middle].segment->to <= minute)
            low = middle + 1;
        else
            high = middle;
    }
    return group->parts + low;
}

/* The segment that covers a minute; NULL when none does. */
static const struct part *find_part(const struct group *group, int64_t minute)
{
    const struct part *part = part_from(group, minute);
    bool covers = part < group->parts + group->part_count && part->segment->from <= minute;
    return covers ? part : NULL;
}

/* The step that a quarter or minute belongs to; false when it straddles two. */
static bool find_step(const struct scan *scan, const struct plan_segment *segment, int64_t bucket,
                      int64_t *step)
{
    int64_t from = 0;
    int64_t to = 0;

    if (!plan_bucket_minutes(segment, bucket, &from, &to))
        return false;
    *step = step_of(scan, from);
    return !segment->may_straddle || step_of(scan, to - 1) == *step;
}

/* A cell of a run counts where its segment's level would have it: in no other case would it still
 * be there when it has gone into the partitions. */
static bool take_run_cell(struct visit *visit, const struct visit_series *series,
                          const struct run_cell *cell, struct error *err)
{
    struct scan *scan = visit->arg;
    const struct part *part = scan->part;
    int64_t step = 0;
    (void)err;

    if (part == NULL || cell->minute < part->segment->from || cell->minute >= part->segment->to)
        part = find_part(scan->group, cell->minute);
    scan->part = part;
    if (part == NULL)
        return true;
    step = step_of(scan, cell->minute);
    if (part->segment->may_straddle &&
        !find_step(scan, part->segment, quarter_of_minute(cell->minute), &step))
        return true;
    note_newest(scan, &cell->cell.aggregate);
    cell_merge(cell_of(scan, series, step), &cell->cell);
    return true;
}

static bool take_points(struct scan *scan, const struct visit_series *series,
                        const struct block_points *points, struct error *err)
{
    const struct plan_segment *segment = scan->part->segment;

    for (size_t i = 0; i < points->count; i++) {
        const struct block_point *point = &points->points[i];
        struct cell cell = CELL_EMPTY;
        int64_t step = 0;
        if (!find_step(scan, segment, point->bucket, &step))
            continue;
        if (!partition_cell_of(point, &cell))
            return error_set(err, ERROR_CORRUPT, "a stored cell of series %u cannot be read",
                             series->id);
        note_newest(scan, &cell.aggregate);
        cell_merge(cell_of(scan, series, step), &cell);
        cell_fini(&cell);
    }
    return true;
}

/* What the segment and the window have in common. */
static struct span common_span(const struct scan *scan, const struct plan_segment *segment)
{
    return (struct span){greatest(segment->from, scan->window.from),
                         least(segment->to, scan->window.to)};
}

static bool take_series(struct visit *visit, const struct visit_series *series,
                        struct partition_cursor *cursor, struct error *err)
{
    struct scan *scan = visit->arg;
    const struct plan_segment *segment = scan->part->segment;
    struct span span = common_span(scan, segment);
    int64_t from = plan_bucket_from(segment, span.from);
    int64_t to = plan_bucket_from(segment, span.to);
    int64_t step = step_of(scan, span.from);
    struct block_points points;
    bool ok = true;

    if (step == step_of(scan, span.to - 1) && !segment->may_straddle)
        ok = partition_cursor_merge(cursor, (const int64_t[]){from, to}, &scan->scratch,
                                    cell_of(scan, series, step), &scan->coverage->newest, err);
    else
        ok = partition_cursor_points(cursor, from, to, &scan->scratch, &points, err) &&
             take_points(scan, series, &points, err);
    arena_reset(&scan->scratch);
    return ok;
}

static bool read_part(struct scan *scan, struct visit *visit, const struct part *part,
                      struct error *err)
{
    struct span span = common_span(scan, part->segment);
    int64_t from = plan_bucket_from(part->segment, span.from);
    int64_t to = plan_bucket_from(part->segment, span.to);

    scan->part = part;
    for (size_t i = visit_first_partition(part->partitions, part->count, from); i < part->count;
         i++) {
        const struct partition *partition = &part->partitions[i];
        if (partition->from >= to)
            break;
        if (partition->to > from && !visit_partition(visit, partition, take_series, err))
            return false;
    }
    return true;
}

static bool read_group(struct scan *scan, struct group *group, struct error *err)
{
    const struct part *end = group->parts + group->part_count;

    for (const struct part *part = part_from(group, scan->window.from);
         part < end && part->segment->from < scan->window.to; part++) {
        if (!read_part(scan, &group->visit, part, err))
            return false;
    }
    scan->group = group;
    scan->part = NULL;
    group->visit.from = scan->window.from;
    group->visit.to = scan->window.to;
    for (size_t i = 0; i < scan->run_count; i++) {
        if (!visit_run(&group->visit, &scan->runs[i], take_run_cell, err))
            return false;
    }
    return true;
}

/* --- out of cells --- */

static bool is_empty(const struct cell *cell)
{
    return cell->aggregate.count == 0 && cell->distinct == NULL;
}

/* Hands over what the window has, row by row, and empties it. */
static void hand_over(struct scan *scan, size_t first_row)
{
    for (size_t i = 0; i < scan->rows * scan->columns; i++) {
        struct cell *cell = &scan->cells[i];
        int64_t step = scan->first_step + (int64_t)(i % scan->columns);
        if (is_empty(cell))
            continue;
        if (!scan->stopped)
            scan->stopped = !scan->on_cell(first_row + i / scan->columns,
                                           step_from(scan, step) * MS_PER_MINUTE, cell, scan->arg);
        cell_fini(cell);
    }
}

/* One window after the other, for the series of one table, which are of these groups. */
static bool scan_rows(struct scan *scan, struct group *groups, size_t group_count, size_t first_row,
                      struct error *err)
{
    int64_t next = next_filled(scan, scan->range.from);

    while (next < scan->range.to && !scan->stopped) {
        scan->first_step = step_of(scan, next);
        int64_t end = step_from(scan, scan->first_step + (int64_t)scan->columns);
        if (scan->range.step == 0)
            end = scan->range.to;
        scan->window = (struct span){next, least(end, scan->range.to)};
        for (size_t i = 0; i < group_count; i++) {
            if (!read_group(scan, &groups[i], err))
                return false;
        }
        hand_over(scan, first_row);
        next = next_filled(scan, scan->window.to);
    }
    return true;
}

/* A column for each step from the first data to the last, and as many rows as there is room for. */
static void make_table(struct scan *scan)
{
    const struct query *query = scan->query;
    int64_t from = scan->filled[0].from;
    int64_t to = scan->filled[scan->filled_count - 1].to;
    int64_t steps = step_of(scan, to - 1) - step_of(scan, from) + 1;

    scan->columns = steps < SCAN_CELLS ? (size_t)steps : SCAN_CELLS;
    scan->rows = query->merge_series ? 1 : SCAN_CELLS / scan->columns;
    if (scan->rows > query->series_count)
        scan->rows = query->series_count;
    scan->cells = memory_zero(scan->rows * scan->columns, sizeof *scan->cells);
}

static bool scan_merged(struct scan *scan, struct error *err)
{
    const struct query *query = scan->query;

    for (size_t i = 0; i < scan->kept.count; i++) {
        struct kept_members members = {(struct query_series *)query->series, NULL,
                                       query->series_count};
        if (scan->kept.count > 1)
            kept_members_of(&scan->kept, i, query->series, query->series_count, &scan->row_arena,
                            &members);
        (void)visit_init(&scan->groups[i].visit, scan->txn, members.series, members.count, true,
                         &scan->row_arena);
        scan->groups[i].visit.arg = scan;
    }
    return scan_rows(scan, scan->groups, scan->kept.count, 0, err);
}

/* How many from the first one on fit into the table and are of its group. */
static size_t count_together(const struct scan *scan, size_t first, uint32_t group)
{
    size_t count = 1;

    while (count < scan->rows && first + count < scan->query->series_count &&
           (scan->kept.of == NULL || scan->kept.of[first + count] == group))
        count++;
    return count;
}

static bool scan_apart(struct scan *scan, struct error *err)
{
    const struct query *query = scan->query;

    for (size_t i = 0; i < query->series_count && !scan->stopped;) {
        uint32_t at = scan->kept.of == NULL ? 0 : scan->kept.of[i];
        struct group *group = &scan->groups[at];
        size_t together = count_together(scan, i, at);
        arena_reset(&scan->row_arena);
        (void)visit_init(&group->visit, scan->txn, query->series + i, together, false,
                         &scan->row_arena);
        group->visit.arg = scan;
        if (!scan_rows(scan, group, 1, i, err))
            return false;
        i += together;
    }
    return true;
}

/* --- the whole --- */

static void scan_fini(struct scan *scan)
{
    for (size_t i = 0; scan->cells != NULL && i < scan->rows * scan->columns; i++)
        cell_fini(&scan->cells[i]);
    free(scan->cells);
    arena_fini(&scan->scratch);
    arena_fini(&scan->row_arena);
    arena_fini(&scan->arena);
}

bool scan_cells(const struct read_txn *txn, const struct query *query, query_cell_fn on_cell,
                void *arg, struct coverage *coverage, struct error *err)
{
    struct scan scan = {
        .txn = txn, .query = query, .on_cell = on_cell, .arg = arg, .coverage = coverage};

    if (query->step < 0 || query->step % MS_PER_MINUTE != 0)
        return error_set(err, ERROR_INVALID, "the step is not a whole number of minutes");
    if (!read_txn_check(txn, err))
        return false;
    if (query->from >= query->to)
        return true;
    scan.range.from = plan_minute_of(query->from);
    scan.range.to = plan_minute_of(query->to - 1) + 1;
    scan.range.step = query->step / MS_PER_MINUTE;
    bool ok =
        read_groups(&scan, err) && parts_runs(txn, &scan.arena, &scan.runs, &scan.run_count, err);
    if (ok)
        find_filled(&scan);
    if (ok && scan.filled_count > 0 && query->series_count > 0) {
        make_table(&scan);
        ok = query->merge_series ? scan_merged(&scan, err) : scan_apart(&scan, err);
    }
    scan_fini(&scan);
    return ok;
}
