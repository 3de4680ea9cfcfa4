#include "store/journal.h"

#include <string.h>

#include "store/kept.h"
#include "store/run.h"

enum {
    DIGIT_BITS = 11,
    DIGIT_COUNT = 1 << DIGIT_BITS,
    SORT_SMALL = 48, /* fewer are sorted by insertion */
    PREFETCH_AHEAD = 12,
    MINUTE_BITS = 4, /* of a minute within its quarter */
    SAMPLE_BIT = 1,  /* of a place: it is of a point's plain sample */
    PLACE_SHIFT = 1, /* of the place itself */
};

#define SIGN_BIT UINT64_C(0x8000000000000000)

/* One cell of one part, ready to be sorted: the numbers have the order of chunk_order. */
struct entry {
    uint64_t quarter; /* with 2^63 added */
    uint64_t place;   /* id, minute within the quarter, SAMPLE_BIT */
    union {
        const struct delta_cell *cell;
        const struct point_sample *sample;
    } of;
};

/* What is kept: from which minute on of any metric, and of all of them. */
struct ages {
    struct kept_row *rows;
    size_t row_count;
    int64_t rest;
    int64_t lowest, highest;
};

/* The sample of a point whose series was refused. */
struct other {
    struct delta_cell cell;
    struct other *next;
};

struct collection {
    struct ages ages;
    struct entry *entries;
    size_t count;
    bool is_unordered;
    struct point_list points;
    struct other *others;
    uint64_t quarter_bits; /* those in which the entries differ */
    uint64_t place_bits;
};

static bool has_changes(const struct delta_cell *cell)
{
    return cell->changes != NULL && cell->changes->count > 0;
}

static bool holds_nothing(const struct cell *cell)
{
    return cell->aggregate.count == 0 && cell->distinct == NULL;
}

/* --- what is too old --- */

static int64_t minute_of_mark(int64_t quarter)
{
    int64_t minute = 0;
    if (__builtin_mul_overflow(quarter, (int64_t)MINUTES_PER_QUARTER, &minute))
        return quarter < 0 ? INT64_MIN : INT64_MAX;
    return minute;
}

/* The first minute that some level keeps. A day goes when it has begun before the mark, so the last
 * samples before that may still be taken and dropped later. */
static int64_t oldest_of(const struct kept *kept)
{
    int64_t oldest = kept->from[LEVEL_MINUTE];

    for (enum level level = LEVEL_QUARTER; level < LEVEL_COUNT; level++) {
        int64_t minute = minute_of_mark(kept->from[level]);
        oldest = minute < oldest ? minute : oldest;
    }
    return oldest;
}

static bool read_ages(const struct journal_group *group, struct ages *out, struct error *err)
{
    struct kept rest;

    if (!kept_rows(&group->txn->reader, group->scratch, &out->rows, &out->row_count, err))
        return false;
    kept_of_rest(&group->txn->reader, &rest);
    out->rest = out->lowest = out->highest = oldest_of(&rest);
    for (size_t i = 0; i < out->row_count; i++) {
        int64_t oldest = oldest_of(&out->rows[i].kept);
        out->lowest = oldest < out->lowest ? oldest : out->lowest;
        out->highest = oldest > out->highest ? oldest : out->highest;
    }
    return true;
}

static bool is_too_old(const struct journal_group *group, const struct ages *ages, uint32_t id,
                       int64_t minute)
{
    struct str key;

    if (minute >= ages->highest || minute < ages->lowest)
        return minute < ages->lowest;
    if (!catalog_key(&group->txn->reader, id, &key))
        return minute < ages->rest;
    for (size_t i = 0; i < ages->row_count; i++) {
        if (str_equal(ages->rows[i].metric, series_key_metric(key)))
            return minute < oldest_of(&ages->rows[i].kept);
    }
    return minute < ages->rest;
}

/* --- collecting --- */

/* Samples that are refused with a series; false: it is taken. */
static bool refuse(const struct catalog_series *series, uint64_t samples, struct journal_part *part,
                   struct journal_report *report)
{
    switch (series->refusal) {
    case CATALOG_TAKEN:
        return false;
    case CATALOG_COLLISION:
        report->collisions++;
        part->drops.counts[DROP_collision] += samples;
        return true;
    case CATALOG_FULL:
        part->drops.counts[DROP_series_limit] += samples;
        return true;
    case CATALOG_UNKNOWN:
    default:
        report->unknown++;
        part->drops.counts[DROP_unknown_series] += samples;
        return true;
    }
}

static bool is_before(const struct entry *a, const struct entry *b)
{
    return a->quarter != b->quarter ? a->quarter < b->quarter : a->place < b->place;
}

static struct entry *add_place(struct collection *all, uint32_t id, int64_t minute, unsigned sample)
{
    struct entry *entry = &all->entries[all->count];
    int64_t quarter = quarter_of_minute(minute);
    int64_t within = minute - quarter * MINUTES_PER_QUARTER;

    entry->quarter = (uint64_t)quarter ^ SIGN_BIT;
    entry->place = ((uint64_t)id << MINUTE_BITS | (uint64_t)within) << PLACE_SHIFT | sample;
    all->quarter_bits |= entry->quarter ^ all->entries->quarter;
    all->place_bits |= entry->place ^ all->entries->place;
    all->is_unordered = all->is_unordered || (all->count > 0 && is_before(entry, entry - 1));
    all->count++;
    return entry;
}

static void add_entry(struct collection *all, uint32_t id, const struct delta_cell *cell)
{
    add_place(all, id, cell->minute, 0)->of.cell = cell;
}

static uint32_t id_of(const struct entry *entry)
{
    return (uint32_t)(entry->place >> (PLACE_SHIFT + MINUTE_BITS));
}

static bool is_last_part(const struct journal_part *part)
{
    return part->to == part->delta->cell_count && part->points_to == part->delta->point_count;
}

static void widen(size_t series, size_t *from, size_t *to)
{
    *from = series < *from ? series : *from;
    *to = series >= *to ? series + 1 : *to;
}

/* The series that a part needs: all of a whole delta, else those from its first cell's to its
 * last's, and what has no cells at either end. */
static void find_series(const struct journal_part *part, size_t *from, size_t *to)
{
    const struct delta *delta = part->delta;

    *from = part->from == 0 && part->points_from == 0 ? 0 : delta->series_count;
    *to = is_last_part(part) ? delta->series_count : 0;
    if (*from == 0 && *to == delta->series_count)
        return;
    for (size_t i = part->from; i < part->to; i++)
        widen(delta->cells[i].series, from, to);
    for (size_t i = part->points_from; i < part->points_to; i++)
        widen(delta->points[i].series, from, to);
    if (*from > *to)
        *from = *to;
}

static wall_ms last_of(const struct delta_cell *cell)
{
    wall_ms last = cell->cell.aggregate.count > 0 ? cell->cell.aggregate.last_at : WALL_NONE;
    return has_changes(cell) && cell->changes->last_at > last ? cell->changes->last_at : last;
}

static void note_times(const struct delta_cell *cell, struct journal_report *report)
{
    wall_ms last = last_of(cell);
    report->newest = last > report->newest ? last : report->newest;
}

static void count_samples(const struct journal_group *group, const struct catalog_series *series,
                          uint64_t samples, wall_ms last_at)
{
    struct census *census = catalog_census(group->catalog);

    if (series->place.metric == 0)
        return;
    census_count(census, series->place.metric, samples, last_at);
    if (series->place.is_other)
        census_count_other(census, series->place.metric, samples, 0);
}

static void note_late(const struct journal_group *group, int64_t minute, uint64_t samples,
                      struct journal_report *report)
{
    if (minute < minute_of(group->now) - LATE_MINUTES)
        report->late += samples;
}

static void collect_cell(const struct journal_group *group, const struct delta_cell *cell,
                         struct journal_part *part, const struct catalog_series *series,
                         struct collection *all, struct journal_report *report)
{
    uint64_t samples = delta_cell_samples(cell);

    if (holds_nothing(&cell->cell) && !has_changes(cell))
        return;
    part->samples += samples;
    if (refuse(series, samples, part, report))
        return;
    if (is_too_old(group, &all->ages, series->id, cell->minute)) {
        part->drops.counts[DROP_too_old] += samples;
        return;
    }
    if (has_changes(cell))
        gauges_expect(group->gauges, series->id);
    count_samples(group, series, samples, last_of(cell));
    note_late(group, cell->minute, samples, report);
    note_times(cell, report);
    add_entry(all, series->id, cell);
}

/* A point whose series was refused is a sample of the `__other__` of its metric. What counts up
 * from a start cannot be: there it would be one of many under one tracker. Its next point says it
 * all (FIG-23). */
static void collect_refused_point(const struct journal_group *group, const struct delta_point *sent,
                                  struct journal_part *part, const struct catalog_series *series,
                                  struct collection *all, struct journal_report *report)
{
    if (sent->form == POINT_CUMULATIVE) {
        drop_point(&part->drops, DROP_series_limit, sent->tally != NULL);
        if (series->place.metric != 0)
            census_count_other(catalog_census(group->catalog), series->place.metric, 0, 1);
        return;
    }
    int64_t minute = minute_of(sent->at);
    if (is_too_old(group, &all->ages, series->id, minute)) {
        drop_point(&part->drops, DROP_too_old, sent->tally != NULL);
        return;
    }
    struct other *other = arena_alloc(group->scratch, sizeof *other);
    struct delta_cell *out = &other->cell;
    other->next = all->others;
    all->others = other;
    *out = (struct delta_cell){.minute = minute, .cell = CELL_EMPTY};
    if (sent->tally != NULL)
        tally_cell(sent->tally, sent->at, sent->arrival, &out->cell);
    else
        aggregate_add(&out->cell.aggregate, sent->value, WEIGHT_ONE, sent->at, sent->arrival);
    count_samples(group, series, 1, sent->at);
    note_late(group, minute, 1, report);
    note_times(out, report);
    add_entry(all, series->id, out);
}

static void collect_point(const struct journal_group *group, const struct delta_point *sent,
                          struct journal_part *part, const struct catalog_series *series,
                          struct collection *all, struct journal_report *report)
{
    if (refuse(series, 1, part, report)) {
        part->drops.histograms += sent->tally != NULL;
        return;
    }
    if (series->is_refused) {
        collect_refused_point(group, sent, part, series, all, report);
        return;
    }
    if (sent->at > report->newest)
        report->newest = sent->at;
    count_samples(group, series, 1, sent->at);
    note_late(group, minute_of(sent->at), 1, report);
    all->points.items[all->points.count++] =
        (struct point){.id = series->id,
                       .key = part->delta->series[sent->series].key,
                       .sent = sent,
                       .drops = &part->drops};
}

static bool collect_part(const struct journal_group *group, struct journal_part *part,
                         struct collection *all, struct journal_report *report, struct error *err)
{
    const struct delta *delta = part->delta;
    size_t first = 0;
    size_t end = 0;

    find_series(part, &first, &end);
    const struct catalog_batch batch = {.series = delta->series + first,
                                        .count = end - first,
                                        .now = group->now,
                                        .delta = delta,
                                        .first = first};
    struct catalog_series *series = arena_array(group->scratch, batch.count + 1, sizeof *series);
    if (batch.count > 0 &&
        !catalog_admit_all(group->catalog, group->txn, &batch, delta->keys_once, series, err))
        return false;
    for (size_t i = part->from; i < part->to; i++)
        collect_cell(group, &delta->cells[i], part, &series[delta->cells[i].series - first], all,
                     report);
    for (size_t i = part->points_from; i < part->points_to; i++)
        collect_point(group, &delta->points[i], part, &series[delta->points[i].series - first], all,
                      report);
    return true;
}

static void collect_sample(const struct journal_group *group, const struct point_sample *sample,
                           struct collection *all)
{
    struct delta_cell *cell = sample->cell;

    if (cell != NULL && holds_nothing(&cell->cell))
        return;
    if (is_too_old(group, &all->ages, sample->id, sample->minute)) {
        drop_point(sample->drops, DROP_too_old, cell != NULL);
        return;
    }
    if (cell == NULL && !gauges_has(group->gauges, sample->id)) {
        add_place(all, sample->id, sample->minute, SAMPLE_BIT)->of.sample = sample;
        return;
    }
    if (cell == NULL) {
        cell = arena_alloc(group->scratch, sizeof *cell);
        cell->minute = sample->minute;
        chunk_sample_merge(&sample->sample, sample->minute, &cell->cell);
    }
    add_entry(all, sample->id, cell);
}

/* What points count. */
static bool collect_counted(const struct journal_group *group, struct collection *all,
                            struct journal_report *report, struct error *err)
{
    struct point_list *points = &all->points;

    if (points->count == 0)
        return true;
    if (!points_resolve(group->points, group->txn, group->scratch, points, err))
        return false;
    report->mixed = points->mixed;
    memcpy(report->mixed_metric, points->mixed_metric, sizeof report->mixed_metric);
    for (size_t i = 0; i < points->sample_count; i++)
        collect_sample(group, &points->samples[i], all);
    return true;
}

static bool collect(const struct journal_group *group, struct collection *all,
                    struct journal_report *report, struct error *err)
{
    size_t total = 0;
    size_t points = 0;

    if (!read_ages(group, &all->ages, err))
        return false;
    for (size_t i = 0; i < group->count; i++) {
        struct journal_part *part = &group->parts[i];
        part->samples = part->points_to - part->points_from;
        part->drops = (struct ledger_drops){0};
        total += part->to - part->from;
        points += part->points_to - part->points_from;
    }
    all->entries = arena_array(group->scratch, total + points + 1, sizeof *all->entries);
    all->points.items = arena_array(group->scratch, points + 1, sizeof *all->points.items);
    for (size_t i = 0; i < group->count; i++) {
        if (!collect_part(group, &group->parts[i], all, report, err))
            return false;
    }
    return collect_counted(group, all, report, err);
}

/* --- sorting --- */

static void sort_few(struct entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct entry entry = entries[i];
        size_t j = i;
        for (; j > 0 && is_before(&entry, &entries[j - 1]); j--)
            entries[j] = entries[j - 1];
        entries[j] = entry;
    }
}

/* Stable, by one digit of one of the two numbers. */
static void sort_digit(const struct entry *from, struct entry *to, size_t count, bool of_quarter,
                       unsigned shift)
{
    size_t starts[DIGIT_COUNT] = {0};
    size_t start = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t number = of_quarter ? from[i].quarter : from[i].place;
        starts[number >> shift & (DIGIT_COUNT - 1)]++;
    }
    for (size_t i = 0; i < DIGIT_COUNT; i++) {
        size_t here = starts[i];
        starts[i] = start;
        start += here;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t number = of_quarter ? from[i].quarter : from[i].place;
        to[starts[number >> shift & (DIGIT_COUNT - 1)]++] = from[i];
    }
}

/* From the least digit on, leaving out those that are the same in all: mostly all but two of the
 * ids and one of the minutes. */
static void sort(struct collection *all, struct arena *scratch)
{
    if (!all->is_unordered)
        return;
    if (all->count <= SORT_SMALL) {
        sort_few(all->entries, all->count);
        return;
    }
    struct entry *from = all->entries;
    struct entry *to = arena_array(scratch, all->count, sizeof *to);
    for (unsigned of_quarter = 0; of_quarter < 2; of_quarter++) {
        uint64_t bits = of_quarter ? all->quarter_bits : all->place_bits;
        for (unsigned shift = 0; shift < 64; shift += DIGIT_BITS) {
            if ((bits >> shift & (DIGIT_COUNT - 1)) == 0)
                continue;
            sort_digit(from, to, all->count, of_quarter == 1, shift);
            struct entry *sorted = to;
            to = from;
            from = sorted;
        }
    }
    all->entries = from;
}

/* --- writing --- */

struct writing {
    const struct journal_group *group;
    struct run_writer run;
};

static wall_ms first_at(const struct delta_cell *cell)
{
    /* Changes come before the first absolute value. */
    if (has_changes(cell))
        return cell->changes->first_at;
    return cell->cell.aggregate.count > 0 ? cell->cell.aggregate.first_at
                                          : cell->minute * MS_PER_MINUTE;
}

static uint64_t first_arrival(const struct delta_cell *cell)
{
    if (has_changes(cell))
        return cell->changes->first_arrival;
    return cell->cell.aggregate.count > 0 ? cell->cell.aggregate.first_arrival : 0;
}

/* Cells of one place in the order of their times. There are as many as deltas in the group. */
static void sort_by_time(struct entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct entry entry = entries[i];
        wall_ms at = first_at(entry.of.cell);
        uint64_t arrival = first_arrival(entry.of.cell);
        size_t j = i;
        for (; j > 0; j--) {
            const struct delta_cell *before = entries[j - 1].of.cell;
            if (first_at(before) < at ||
                (first_at(before) == at && first_arrival(before) <= arrival))
                break;
            entries[j] = entries[j - 1];
        }
        entries[j] = entry;
    }
}

/* Merges a cell of a gauge that is changed relatively. */
static bool merge_gauge(struct writing *writing, uint32_t id, const struct delta_cell *cell,
                        struct cell *into, struct error *err)
{
    struct read_txn *reader = &writing->group->txn->reader;
    struct gauge *gauge = NULL;

    if (!gauges_get(writing->group->gauges, reader, id, &gauge, err))
        return false;
    if (has_changes(cell)) {
        struct aggregate values = AGGREGATE_EMPTY;
        if (!gauge_change(gauge, reader, cell->minute, cell->changes, &values, err))
            return false;
        aggregate_merge(&into->aggregate, &values);
    }
    gauge_set(gauge, &cell->cell.aggregate);
    cell_merge(into, &cell->cell);
    return true;
}

static int64_t minute_of_entry(const struct entry *entry)
{
    return (entry->place & SAMPLE_BIT) != 0 ? entry->of.sample->minute : entry->of.cell->minute;
}

static void merge_entry(const struct entry *entry, struct cell *into)
{
    if ((entry->place & SAMPLE_BIT) != 0)
        chunk_sample_merge(&entry->of.sample->sample, entry->of.sample->minute, into);
    else
        cell_merge(into, &entry->of.cell->cell);
}

/* All cells of one place; of gauges that are changed relatively there are no plain samples. */
static bool write_merged(struct writing *writing, struct entry *entries, size_t count,
                         struct error *err)
{
    uint32_t id = id_of(entries);
    bool is_gauge = gauges_has(writing->group->gauges, id);
    struct cell merged = CELL_EMPTY;
    bool ok = true;

    if (is_gauge)
        sort_by_time(entries, count);
    for (size_t i = 0; i < count && ok; i++) {
        if (is_gauge)
            ok = merge_gauge(writing, id, entries[i].of.cell, &merged, err);
        else
            merge_entry(&entries[i], &merged);
    }
    ok = ok && run_writer_add(&writing->run, writing->group->txn, id, minute_of_entry(entries),
                              &merged, err);
    cell_fini(&merged);
    return ok;
}

/* One cell that is alone at its place. */
static bool write_one(struct writing *writing, struct entry *entry, struct error *err)
{
    struct write_txn *txn = writing->group->txn;
    const struct delta_cell *cell = entry->of.cell;
    uint32_t id = id_of(entry);

    if ((entry->place & SAMPLE_BIT) != 0)
        return run_writer_add_sample(&writing->run, txn, id, entry->of.sample->minute,
                                     &entry->of.sample->sample, err);
    if (gauges_has(writing->group->gauges, id))
        return write_merged(writing, entry, 1, err);
    return run_writer_add(&writing->run, txn, id, cell->minute, &cell->cell, err);
}

static bool is_same_place(const struct entry *a, const struct entry *b)
{
    return ((a->place ^ b->place) & ~(uint64_t)SAMPLE_BIT) == 0 && a->quarter == b->quarter;
}

/* gcc takes a function that only prefetches for one that does nothing, so it must be inlined. */
static inline __attribute__((always_inline)) void prefetch(const struct entry *entry)
{
    const char *cell = (const char *)entry->of.cell;

    if ((entry->place & SAMPLE_BIT) != 0) /* they come one after the other */
        return;
    __builtin_prefetch(cell);
    __builtin_prefetch(cell + 64);
    __builtin_prefetch(cell + 128);
}

static bool write_entries(struct writing *writing, const struct collection *all, struct error *err)
{
    struct write_txn *txn = writing->group->txn;
    struct entry *entries = all->entries;

    for (size_t i = 0; i < all->count;) {
        size_t end = i + 1;

        if (i + PREFETCH_AHEAD < all->count)
            prefetch(&entries[i + PREFETCH_AHEAD]);
        while (end < all->count && is_same_place(&entries[i], &entries[end]))
            end++;
        bool ok = end == i + 1 ? write_one(writing, &entries[i], err)
                               : write_merged(writing, &entries[i], end - i, err);
        if (!ok)
            return false;
        i = end;
    }
    return run_writer_flush(&writing->run, txn, err) &&
           gauges_save(writing->group->gauges, txn, err) &&
           parts_add_run(txn, &writing->run.run, err);
}

static bool apply(const struct journal_group *group, struct collection *all,
                  struct journal_report *report, struct error *err)
{
    if (!points_begin(group->points, &group->txn->reader, err) ||
        !gauges_begin(group->gauges, &group->txn->reader, err) || !collect(group, all, report, err))
        return false;
    report->cells = all->count;
    if (all->count == 0)
        return true;
    struct writing writing = {.group = group};
    sort(all, group->scratch);
    run_writer_init(&writing.run, 0, group->number);
    writing.run.run.version = group->number;
    bool ok = write_entries(&writing, all, err);
    run_writer_fini(&writing.run);
    return ok;
}

bool journal_apply(const struct journal_group *group, struct journal_report *report,
                   struct error *err)
{
    struct collection all = {0};

    *report = (struct journal_report){.newest = WALL_NONE};
    bool ok = apply(group, &all, report, err);
    point_list_fini(&all.points);
    for (struct other *other = all.others; other != NULL; other = other->next)
        cell_fini(&other->cell.cell);
    if (ok)
        report->series_created = catalog_end_group(group->catalog);
    return ok;
}
