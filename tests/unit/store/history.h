/* A history of samples, written as runs and partitions of all levels in random pieces, and what it
 * says by brute force. */
#pragma once

#include "series/random.h"
#include "store/fixture.h"
#include "store/partition.h"
#include "store/plan.h"
#include "store/run.h"

enum { HISTORY_SAMPLES_MAX = 4000, HISTORY_DAYS_MAX = 40, HISTORY_RUNS_MAX = 6 };

/* Midnight in UTC, the first minute of a window, a week and a block of days alike. */
#define HISTORY_START (INT64_C(20160) * 1440)

struct history_sample {
    uint32_t id;
    wall_ms at; /* no two of a history have one */
    double value;
    int run;      /* the run it is in; -1: it was folded into partitions */
    bool is_late; /* folded into partitions of its own */
};

struct history {
    struct history_sample samples[HISTORY_SAMPLES_MAX];
    size_t count;
    int64_t days; /* it has this many, from HISTORY_START on */
    int64_t marks[MARK_COUNT];
    struct plan_calendar calendars[2];
    struct day_bounds bounds[2][HISTORY_DAYS_MAX];
    uint32_t numbers;       /* of partitions, given so far */
    uint64_t run_numbers;   /* given before to other runs of the store */
    int64_t quarter_window; /* quarters in one partition */
    int64_t stages;         /* partitions of what is not late in one of what is */
};

/* Series whose cells count their values. */
static inline bool history_counts_values(uint32_t id)
{
    return id % 4 == 0;
}

static inline void history_take(const struct history_sample *sample, struct cell *into)
{
    if (history_counts_values(sample->id))
        cell_add_value(into, sample->value, WEIGHT_ONE, sample->at, (uint64_t)sample->at);
    else
        aggregate_add(&into->aggregate, sample->value, WEIGHT_ONE, sample->at,
                      (uint64_t)sample->at);
}

static inline int64_t history_minute(const struct history_sample *sample)
{
    return plan_minute_of(sample->at);
}

/* The bucket of a level; a day that is not built is `*found` false. */
static inline int64_t history_bucket(const struct history *history, enum level level,
                                     uint32_t calendar, int64_t minute, bool *found)
{
    *found = true;
    if (level == LEVEL_MINUTE)
        return minute;
    int64_t quarter = quarter_of_minute(minute);
    if (level == LEVEL_QUARTER)
        return quarter;
    const struct plan_calendar *days = &history->calendars[calendar - 1];
    for (size_t i = 0; i < days->count; i++) {
        if (quarter >= days->days[i].from && quarter < days->days[i].to)
            return days->days[i].day;
    }
    *found = false;
    return 0;
}

/* --- writing --- */

/* What one partition or run is made of: the samples of it, by series and bucket. */
struct history_point {
    uint32_t id;
    int64_t bucket;
    const struct history_sample *sample;
};

static inline int history_compare(const void *a, const void *b)
{
    const struct history_point *one = a;
    const struct history_point *other = b;
    if (one->id != other->id)
        return one->id < other->id ? -1 : 1;
    return (one->bucket > other->bucket) - (one->bucket < other->bucket);
}

static inline int history_compare_run(const void *a, const void *b)
{
    const struct history_point *one = a;
    const struct history_point *other = b;
    return chunk_order(one->id, one->bucket, other->id, other->bucket);
}

/* The cell of the points that begin at `*i` and are of one place; `*i` becomes the next one's. */
static inline void history_cell(const struct history_point *points, size_t count, size_t *i,
                                struct cell *out)
{
    size_t first = *i;
    *out = (struct cell)CELL_EMPTY;
    for (; *i < count && points[*i].id == points[first].id &&
           points[*i].bucket == points[first].bucket;
         (*i)++)
        history_take(points[*i].sample, out);
}

static inline void history_write_run(const struct history *history, struct write_txn *txn, int run,
                                     uint64_t version)
{
    struct history_point *points = memory_zero(history->count, sizeof *points);
    struct run_writer writer;
    size_t count = 0;

    for (size_t i = 0; i < history->count; i++) {
        const struct history_sample *sample = &history->samples[i];
        if (sample->run == run)
            points[count++] = (struct history_point){sample->id, history_minute(sample), sample};
    }
    if (count > 0) {
        qsort(points, count, sizeof *points, history_compare_run);
        run_writer_init(&writer, run % 3 == 0 ? 0 : 1, history->run_numbers + (uint64_t)run + 1);
        for (size_t i = 0; i < count;) {
            size_t first = i;
            struct cell cell;
            history_cell(points, count, &i, &cell);
            MUST(run_writer_add(&writer, txn, points[first].id, points[first].bucket, &cell, &err));
            cell_fini(&cell);
        }
        MUST(run_writer_flush(&writer, txn, &err));
        writer.run.version = version;
        MUST(parts_add_run(txn, &writer.run, &err));
        run_writer_fini(&writer);
    }
    free(points);
}

/* Those of buckets [from, to) that are late, or those that are not. */
static inline void history_write_partition(struct history *history, struct write_txn *txn,
                                           const struct partition *facts, bool late)
{
    struct history_point *points = memory_zero(history->count, sizeof *points);
    struct arena arena = ARENA_EMPTY;
    struct partition_writer writer;
    size_t count = 0;

    for (size_t i = 0; i < history->count; i++) {
        const struct history_sample *sample = &history->samples[i];
        bool found = false;
        int64_t bucket =
            history_bucket(history, facts->level, facts->calendar, history_minute(sample), &found);
        if (found && sample->run < 0 && sample->is_late == late && bucket >= facts->from &&
            bucket < facts->to)
            points[count++] = (struct history_point){sample->id, bucket, sample};
    }
    if (count > 0) {
        struct block_point *made = arena_array(&arena, count, sizeof *made);
        struct partition partition = *facts;
        partition.number = ++history->numbers;
        qsort(points, count, sizeof *points, history_compare);
        partition_writer_init(&writer, &partition);
        for (size_t i = 0; i < count;) {
            uint32_t id = points[i].id;
            struct block_points series = {made, 0};
            while (i < count && points[i].id == id) {
                int64_t bucket = points[i].bucket;
                struct cell cell;
                history_cell(points, count, &i, &cell);
                partition_point_of(&cell, bucket, &arena, &made[series.count++]);
                cell_fini(&cell);
            }
            MUST(partition_writer_add(&writer, txn, id, &series, &err));
        }
        writer.partition.version = facts->version;
        MUST(parts_add_partition(txn, &writer.partition, &err));
        partition_writer_fini(&writer);
    }
    arena_fini(&arena);
    free(points);
}

/* Those that are late over buckets [from, to) in pieces of a window, the others in smaller ones. */
static inline void history_write_level(struct history *history, struct write_txn *txn,
                                       const struct partition *facts, int64_t window)
{
    for (int late = 0; late < 2; late++) {
        struct partition piece = *facts;
        int64_t length = late == 1 ? window : window / history->stages;
        for (; piece.from < facts->to; piece.from += length) {
            piece.to = piece.from + length < facts->to ? piece.from + length : facts->to;
            history_write_partition(history, txn, &piece, late == 1);
        }
    }
}

/* Everything that the marks say is kept, with the version. */
static inline void history_write(struct history *history, struct fixture *fixture, uint64_t version)
{
    static const char *const zones[] = {"UTC", "Asia/Kathmandu"};
    struct write_txn txn;
    int64_t from = HISTORY_START - 1440;
    int64_t to = HISTORY_START + (history->days + 1) * 1440;
    int64_t kept_minute = history->marks[MARK_KEPT_MINUTE];
    int64_t kept_quarter = history->marks[MARK_KEPT_QUARTER];

    MUST(write_txn_begin(fixture->store, NULL, &txn, &err));
    for (int run = 0; run < HISTORY_RUNS_MAX; run++)
        history_write_run(history, &txn, run, version);
    history_write_level(history, &txn,
                        &(struct partition){.level = LEVEL_MINUTE,
                                            .from = kept_minute > from ? kept_minute : from,
                                            .to = to,
                                            .version = version},
                        MINUTES_PER_WINDOW);
    if (history->marks[MARK_QUARTERED] != INT64_MIN)
        history_write_level(
            history, &txn,
            &(struct partition){.level = LEVEL_QUARTER,
                                .from = kept_quarter > from / 15 ? kept_quarter : from / 15,
                                .to = history->marks[MARK_QUARTERED],
                                .version = version},
            history->quarter_window);
    for (uint32_t i = 0; i < 2; i++) {
        const struct plan_calendar *calendar = &history->calendars[i];
        uint32_t number = 0;
        MUST(parts_add_calendar(&txn, str_of(zones[i]), &number, &err));
        assert_int_equal(number, i + 1);
        for (size_t j = 0; j < calendar->count; j++)
            MUST(parts_add_day(&txn, number, &calendar->days[j], &err));
        if (calendar->count > 0)
            history_write_level(
                history, &txn,
                &(struct partition){.level = LEVEL_DAY,
                                    .calendar = number,
                                    .from = calendar->days[0].day,
                                    .to = calendar->days[calendar->count - 1].day + 1,
                                    .version = version},
                DAYS_PER_WINDOW);
    }
    for (enum mark mark = 0; mark < MARK_COUNT; mark++) {
        if (history->marks[mark] != INT64_MIN)
            MUST(parts_set_mark(&txn, mark, history->marks[mark], &err));
    }
    MUST(write_txn_commit(&txn, &err));
}

/* --- making --- */

/* Days of two zones, UTC and one 23 quarters to the east of it, of which one day has 23 hours and
 * one has 25; built as far as `quartered` says. */
static inline void history_make_days(struct history *history, int64_t quartered, int64_t missing)
{
    static const int64_t east[] = {0, 23};

    for (size_t i = 0; i < 2; i++) {
        size_t count = 0;
        int64_t shift = 0;
        for (int64_t day = 0; day < history->days; day++) {
            int64_t from = HISTORY_START / 15 + day * QUARTERS_PER_DAY - east[i] + shift;
            if (i == 1 && day == 2)
                shift = -4;
            if (i == 1 && day == 4)
                shift = 0;
            int64_t to = HISTORY_START / 15 + (day + 1) * QUARTERS_PER_DAY - east[i] + shift;
            if (to <= quartered && day != missing)
                history->bounds[i][count++] =
                    (struct day_bounds){HISTORY_START / 1440 + day, from, to};
        }
        history->calendars[i] = (struct plan_calendar){(uint32_t)i + 1, history->bounds[i], count};
    }
}

/* `folded_percent` of the samples are in partitions, the rest in runs. */
static inline void history_make_samples(struct history *history, uint64_t *seed, uint32_t series,
                                        size_t count, unsigned folded_percent)
{
    wall_ms width = history->days * MS_PER_DAY / (wall_ms)count;

    history->count = count;
    for (size_t i = 0; i < count; i++) {
        struct history_sample *sample = &history->samples[i];
        bool is_folded = random_below(seed, 100) < folded_percent;
        sample->id = 1 + (uint32_t)random_below(seed, series);
        if (i % 8 != 0 && i > 1)
            sample->id = history->samples[i - 1].id; /* some in a row, as of a series that lives */
        sample->at = HISTORY_START * MS_PER_MINUTE + (wall_ms)i * width +
                     (wall_ms)random_below(seed, (uint64_t)width);
        sample->value = (double)random_below(seed, 1000);
        sample->run = is_folded ? -1 : (int)random_below(seed, HISTORY_RUNS_MAX);
        sample->is_late = random_below(seed, 5) == 0;
    }
}
