/* A store that lives by chance, and a list of the samples that it has taken: random series,
 * commits, late samples, background work in steps of any length that is dropped at any place,
 * restarts. */
#pragma once

#include <math.h>
#include <sys/statvfs.h>

#include "engine.h"
#include "fixture.h"
#include "series/random.h"
#include "store/upkeep_private.h"

/* 2026-03-10T00:00:00Z: Berlin's clocks go ahead on the 29th, Lord Howe's back on 5 April. */
#define MODEL_BEGIN INT64_C(1773100800000)

enum {
    SERIES = 14,
    ZONES = 3,
    COMMIT_SAMPLES = 16,
    GROUP_DELTAS = 3, /* of a commit */
    STEPS_MAX = 100 * 1000,
    LATE_MAX_MINUTES = 120 * 24 * 60,
    MEMBERS = 120, /* of the first series of uniques: it stays sparse */
    MANY_MEMBERS = 2000,
};

static const char *const zones[ZONES] = {"Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"};

struct series_facts {
    enum metric_kind kind;
    const char *metric;
    const char *labels;
    const char *host, *plan; /* the same */
    bool is_relative;        /* a gauge that is changed by amounts too */
};

static const struct series_facts all_series[SERIES] = {
    {METRIC_COUNTER, "orders", "host=a;plan=pro", "a", "pro", false},
    {METRIC_COUNTER, "orders", "host=b;plan=pro", "b", "pro", false},
    {METRIC_COUNTER, "orders", "host=b;plan=free", "b", "free", false},
    {METRIC_COUNTER, "orders", "host=berlin", "berlin", "", false},
    {METRIC_COUNTER, "refunds", "", "", "", false},
    {METRIC_GAUGE, "queue", "host=a", "a", "", false},
    {METRIC_GAUGE, "queue", "host=b", "b", "", false},
    {METRIC_GAUGE, "stock", "host=a", "a", "", true},
    {METRIC_GAUGE, "stock", "plan=pro", "", "pro", true},
    {METRIC_DISTRIBUTION, "latency", "host=a;plan=pro", "a", "pro", false},
    {METRIC_DISTRIBUTION, "latency", "host=b", "b", "", false},
    {METRIC_UNIQUE, "visitors", "host=a", "a", "", false},
    {METRIC_UNIQUE, "visitors", "host=b", "b", "", false},
    {METRIC_SCORE, "nps", "plan=free", "", "free", false},
};

struct model_sample {
    unsigned series;
    wall_ms at;
    double value;
    uint64_t weight;
    uint64_t arrival;
    unsigned member;
    unsigned epoch;  /* grows with every fold: two of one epoch lose their arrivals together */
    uint64_t commit; /* the number */
};

/* What a gauge's next change starts from (S7). */
struct model_gauge {
    bool is_changed; /* it was, once */
    double level;
    wall_ms at;
    wall_ms absolute_at; /* WALL_NONE: no absolute value yet */
};

struct model {
    struct engine engine;
    char path[64];
    struct calendar *calendars[ZONES];
    struct upkeep_options options;
    uint64_t random;
    wall_ms now;
    uint64_t arrival;
    unsigned epoch;
    uint64_t folds; /* that the upkeep under way has done */
    struct model_sample *samples;
    size_t count, capacity;
    struct model_gauge gauges[SERIES];
    unsigned levels; /* read so far */
};

static inline uint64_t below(struct model *model, uint64_t limit)
{
    return random_below(&model->random, limit);
}

static inline int64_t model_minute(const struct model_sample *sample)
{
    return minute_of(sample->at);
}

/* --- life ---------------------------------------------------------------------------------------
 */

static inline void open_model(struct model *model)
{
    engine_open(&model->engine, model->path, BIG_SIZE, &model->options);
    /* It is about what is stored, not about when. */
    (void)mdb_env_set_flags(model->engine.store->env, MDB_NOSYNC, 1);
    engine_set_clock(&model->engine, model->now);
    model->engine.upkeep->quiet_cells = 20;
    model->folds = 0;
    model->epoch++;
}

static inline void make_quick_directory(char path[64])
{
    struct statvfs facts;

    (void)snprintf(path, 64, "/dev/shm/kpid-store-XXXXXX");
    if (statvfs("/dev/shm", &facts) == 0 && facts.f_bavail * facts.f_frsize > 64 << 20 &&
        mkdtemp(path) != NULL)
        return;
    make_directory(path);
}

static inline void model_begin(struct model *model, uint64_t seed)
{
    struct error err = ERROR_EMPTY;

    *model = (struct model){.random = seed, .now = MODEL_BEGIN};
    for (size_t i = 0; i < ZONES; i++) {
        model->calendars[i] = calendar_new(str_of(zones[i]), 1, &err);
        assert_non_null(model->calendars[i]);
    }
    model->options =
        (struct upkeep_options){.calendars = (const struct calendar *const *)model->calendars,
                                .calendar_count = ZONES - 1, /* the last one comes later */
                                .fanout = 2 + (unsigned)below(model, 3)};
    make_quick_directory(model->path);
    open_model(model);
}

static inline void model_end(struct model *model)
{
    engine_close(&model->engine);
    remove_directory(model->path);
    for (size_t i = 0; i < ZONES; i++)
        calendar_free(model->calendars[i]);
    free(model->samples);
}

/* --- what the list says -------------------------------------------------------------------------
 */

/* Of two samples with one time the later arrival is the last and the earlier the first, unless a
 * fold came between them: then either may be. */
static inline bool may_stand_for_tie(const struct model *model, const struct model_sample *sample,
                                     bool is_last)
{
    for (size_t i = 0; i < model->count; i++) {
        const struct model_sample *other = &model->samples[i];
        if (other->series == sample->series && other->at == sample->at &&
            other->epoch == sample->epoch &&
            (is_last ? other->arrival > sample->arrival : other->arrival < sample->arrival))
            return false;
    }
    return true;
}

static inline bool tie_has(const struct model *model, const bool *wanted, wall_ms at, double value,
                           bool is_last)
{
    for (size_t i = 0; i < model->count; i++) {
        const struct model_sample *sample = &model->samples[i];
        if (wanted[sample->series] && sample->at == at && sample->value == value &&
            may_stand_for_tie(model, sample, is_last))
            return true;
    }
    return false;
}

/* The newest sample of a series at or before a time, as far as cells of one minute know it. */
static inline bool model_level(const struct model *model, unsigned series, wall_ms at,
                               wall_ms *found_at, double *value)
{
    wall_ms minute = minute_of(at) * MS_PER_MINUTE;
    wall_ms first = INT64_MAX; /* of the minute */
    wall_ms last = WALL_NONE;
    wall_ms before = WALL_NONE;

    for (size_t i = 0; i < model->count; i++) {
        const struct model_sample *sample = &model->samples[i];
        if (sample->series != series)
            continue;
        if (sample->at >= minute && sample->at < minute + MS_PER_MINUTE) {
            first = sample->at < first ? sample->at : first;
            last = sample->at > last ? sample->at : last;
        }
        if (sample->at < minute && sample->at > before)
            before = sample->at;
    }
    *found_at = before;
    if (last != WALL_NONE && last <= at)
        *found_at = last;
    else if (last != WALL_NONE && first <= at)
        *found_at = first;
    for (size_t i = 0; i < model->count; i++) {
        const struct model_sample *sample = &model->samples[i];
        if (sample->series == series && sample->at == *found_at)
            *value = sample->value;
    }
    return *found_at != WALL_NONE;
}

/* --- writing ------------------------------------------------------------------------------------
 */

/* From minutes to months late, or a little ahead. */
static inline wall_ms random_time(struct model *model)
{
    uint64_t way = below(model, 20);
    int64_t age = (int64_t)below(model, 30);

    if (way < 5)
        age = (int64_t)exp((double)below(model, 1000) / 1000 * log(LATE_MAX_MINUTES));
    if (way == 5)
        age = -(int64_t)below(model, 10);
    return model->now - age * MS_PER_MINUTE - (wall_ms)below(model, MS_PER_MINUTE);
}

static inline bool has_time(const struct model *model, unsigned series, wall_ms at)
{
    for (size_t i = 0; i < model->count; i++) {
        if (model->samples[i].series == series && model->samples[i].at == at)
            return true;
    }
    return false;
}

static inline struct delta_cell *cell_of(struct delta *delta, unsigned series, int64_t minute)
{
    uint32_t index = add_series(delta, all_series[series].kind, all_series[series].metric,
                                all_series[series].labels);

    for (size_t i = 0; i < delta->cell_count; i++) {
        if (series_hash_equal(delta->series[delta->cells[i].series].hash,
                              delta->series[index].hash) &&
            delta->cells[i].minute == minute)
            return &delta->cells[i];
    }
    return delta_add_cell(delta, index, minute);
}

static inline void keep(struct model *model, const struct model_sample *sample)
{
    if (model->count == model->capacity) {
        model->capacity = model->capacity == 0 ? 1024 : 2 * model->capacity;
        model->samples = memory_grow(model->samples, model->capacity, sizeof *model->samples);
    }
    model->samples[model->count++] = *sample;
}

static inline void add_value(struct delta *delta, const struct model_sample *sample)
{
    struct cell *cell = &cell_of(delta, sample->series, model_minute(sample))->cell;
    char member[24];

    if (metric_kind_counts_values(all_series[sample->series].kind))
        cell_add_value(cell, sample->value, sample->weight, sample->at, sample->arrival);
    else
        aggregate_add(&cell->aggregate, sample->value, sample->weight, sample->at, sample->arrival);
    if (all_series[sample->series].kind != METRIC_UNIQUE)
        return;
    if (cell->distinct == NULL)
        cell->distinct = distinct_new();
    distinct_add(cell->distinct,
                 (struct str){member, (size_t)snprintf(member, sizeof member, "visitor %u",
                                                       sample->member)});
}

/* An absolute value or a change; of such a gauge one in a commit, so that what the group has said
 * so far does not matter here (test_journal does that). False: the time does not suit. */
static inline bool add_to_gauge(struct model *model, struct delta *delta,
                                struct model_sample *sample)
{
    struct model_gauge *gauge = &model->gauges[sample->series];
    double change = sample->value - 100;

    if (has_time(model, sample->series, sample->at))
        return false;
    if (below(model, 3) == 0) {
        add_value(delta, sample);
        if (gauge->is_changed && sample->at > gauge->absolute_at)
            gauge->absolute_at = sample->at;
        if (gauge->is_changed && sample->at > gauge->at) {
            gauge->level = sample->value;
            gauge->at = sample->at;
        }
        return true;
    }
    struct model_gauge next = *gauge;
    if (!next.is_changed) {
        next = (struct model_gauge){.is_changed = true, .at = WALL_NONE, .absolute_at = WALL_NONE};
        if (model_level(model, sample->series, INT64_MAX, &next.at, &next.level))
            next.absolute_at = next.at;
    }
    /* Within the minute of the newest value it would show just after that one: no sample. */
    if (sample->at < next.at && minute_of(next.at) == model_minute(sample))
        return false;
    if (next.absolute_at != WALL_NONE && sample->at < next.absolute_at) {
        double level = 0;
        wall_ms at = 0;
        if (!model_level(model, sample->series, sample->at, &at, &level))
            level = 0;
        sample->value = level + change;
    } else {
        sample->value = next.level + change;
        next.level = sample->value;
        next.at = sample->at > next.at ? sample->at : next.at;
    }
    assert_true(gauge_changes_add(
        delta_cell_changes(delta, cell_of(delta, sample->series, model_minute(sample))), change,
        sample->at, sample->arrival));
    *gauge = next;
    return true;
}

static inline struct model_sample random_sample(struct model *model)
{
    static const uint64_t halves[] = {2, 2, 2, 2, 4, 20, 5}; /* weights */
    struct model_sample sample = {.series = (unsigned)below(model, SERIES),
                                  .at = random_time(model),
                                  .value = (double)below(model, 8000) / 8,
                                  .weight = WEIGHT_ONE,
                                  .arrival = ++model->arrival,
                                  .epoch = model->epoch,
                                  .commit = model->engine.commit + 1};
    const struct series_facts *facts = &all_series[sample.series];

    if (facts->kind == METRIC_COUNTER || facts->kind == METRIC_DISTRIBUTION)
        sample.weight = halves[below(model, 7)] * WEIGHT_ONE / 2;
    if (facts->kind == METRIC_DISTRIBUTION)
        sample.value = (sample.value - 100) * (below(model, 4) == 0 ? 1000 : 1);
    if (facts->kind == METRIC_SCORE)
        sample.value = (double)below(model, 11);
    if (facts->kind == METRIC_UNIQUE)
        sample.member =
            (unsigned)below(model, str_is(str_of("a"), facts->host) ? MEMBERS : MANY_MEMBERS);
    if (facts->kind == METRIC_UNIQUE)
        sample.value = 1;
    /* The same time as another one's, which may be long gone into partitions. */
    if (model->count > 0 && below(model, 15) == 0) {
        const struct model_sample *other = &model->samples[below(model, model->count)];
        sample.series = other->series;
        sample.at = other->at;
        sample.member = other->member;
        if (all_series[sample.series].kind != facts->kind) {
            sample.value = 1;
            sample.weight = WEIGHT_ONE;
        }
    }
    return sample;
}

static inline void fill(struct model *model, struct delta *delta, bool *relative_done)
{
    for (size_t i = below(model, COMMIT_SAMPLES); i > 0; i--) {
        struct model_sample sample = random_sample(model);
        enum metric_kind kind = all_series[sample.series].kind;
        if (all_series[sample.series].is_relative) {
            if (!relative_done[sample.series] && add_to_gauge(model, delta, &sample)) {
                relative_done[sample.series] = true;
                keep(model, &sample);
            }
            continue;
        }
        /* Some more of about the same time, in the order of their arrival or not. */
        for (size_t more = below(model, kind == METRIC_UNIQUE ? 8 : 3) + 1; more > 0; more--) {
            add_value(delta, &sample);
            keep(model, &sample);
            sample.at += (wall_ms)below(model, 8000) - 3000;
            sample.member++;
            sample.arrival = ++model->arrival;
        }
    }
}

/* Several deltas in one transaction; one that does not hold is tried again whole. */
static inline void commit_group(struct model *model)
{
    struct error err = ERROR_EMPTY;
    struct engine *engine = &model->engine;
    struct journal_part parts[GROUP_DELTAS];
    bool relative_done[SERIES] = {false};
    size_t failures = below(model, 6) == 0 ? 1 + below(model, 2) : 0;
    struct journal_group group = {.catalog = engine->catalog,
                                  .gauges = engine->gauges,
                                  .points = engine->points,
                                  .parts = parts,
                                  .count = 1 + below(model, GROUP_DELTAS),
                                  .number = engine->commit + 1,
                                  .now = model->now,
                                  .scratch = &engine->scratch};

    for (size_t i = 0; i < group.count; i++) {
        struct delta *delta = delta_new();
        fill(model, delta, relative_done);
        parts[i] = (struct journal_part){.delta = delta, .to = delta->cell_count};
    }
    for (size_t i = 0; i <= failures; i++) {
        struct journal_report report = {.newest = WALL_NONE};
        struct write_txn txn;
        group.txn = &txn;
        assert_true(write_txn_begin(engine->store, NULL, &txn, &err));
        assert_int_equal(store_commit_number(&txn.reader), engine->commit);
        assert_true(journal_apply(&group, &report, &err));
        assert_true(meta_put(&txn, "commit", group.number, &err));
        wall_ms newest = (wall_ms)meta_get(&txn.reader, "newest", (uint64_t)WALL_NONE);
        if (report.newest > newest)
            assert_true(meta_put(&txn, "newest", (uint64_t)report.newest, &err));
        arena_reset(&engine->scratch);
        if (i < failures) {
            write_txn_abort(&txn);
            catalog_forget(engine->catalog);
            points_forget(engine->points);
            continue;
        }
        assert_true(write_txn_commit(&txn, &err));
        (void)catalog_end_group(engine->catalog);
    }
    for (size_t i = 0; i < group.count; i++)
        delta_free(parts[i].delta);
    engine->commit = group.number;
}

/* --- background work ----------------------------------------------------------------------------
 */

static inline bool step(struct model *model)
{
    struct error err = ERROR_EMPTY;
    struct upkeep_counts counts;
    bool more = false;

    if (!upkeep_step(model->engine.upkeep, &model->engine.clock, &more, &err))
        fail_msg("%s", err.text);
    upkeep_counts(model->engine.upkeep, &counts);
    /* What comes while a fold is under way is not in it. */
    if (counts.folds != model->folds || model->engine.upkeep->fold != NULL)
        model->epoch++;
    model->folds = counts.folds;
    assert_true(store_read_commit_number(model->engine.store, &model->engine.commit, &err));
    return more;
}

static inline void settle(struct model *model)
{
    size_t steps = 0;

    model->engine.upkeep->step_bytes = SIZE_MAX;
    model->engine.upkeep->step_points = SIZE_MAX;
    while (step(model))
        assert_true(++steps < STEPS_MAX);
}

static inline void work(struct model *model)
{
    struct upkeep *upkeep = model->engine.upkeep;

    engine_set_clock(&model->engine, model->now);
    if (below(model, 12) == 0) {
        settle(model);
        return;
    }
    upkeep->step_bytes = 1 + below(model, 6) * below(model, 600);
    upkeep->step_points = 1 + below(model, 4) * below(model, 100);
    for (size_t i = below(model, 60); i > 0 && step(model); i--) {
    }
    if (below(model, 25) == 0) {
        upkeep_free(upkeep);
        model->engine.upkeep = upkeep_new(model->engine.store, &model->options);
        model->engine.upkeep->quiet_cells = 20;
        model->folds = 0;
        model->epoch++;
    }
    if (below(model, 20) == 0) {
        engine_close(&model->engine);
        open_model(model);
        (void)step(model);
    }
}
