#include "workload.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/calendar.h"
#include "engine.h"
#include "store/query.h"

/* 2026-03-29, the day on which Berlin's clocks go ahead, at midnight UTC. */
#define WORKLOAD_BEGIN INT64_C(1774742400000)

enum {
    BATCH_MS = 30 * 1000,
    LATE_EVERY = 7, /* such a batch is about an hour before */
    LATE_MS = 3600 * 1000,
    VERY_LATE_EVERY = 91, /* and such a one five hours */
    STEPS_PER_BATCH = 3,
    SAMPLES_PER_BATCH = 5,
    MAX_SIZE_MIB = 256,
};

static enum metric_kind kind_of(unsigned series)
{
    static const enum metric_kind kinds[] = {METRIC_COUNTER, METRIC_GAUGE, METRIC_DISTRIBUTION,
                                             METRIC_UNIQUE};
    return kinds[series % 4];
}

static wall_ms time_of(uint64_t batch)
{
    wall_ms at = WORKLOAD_BEGIN + (wall_ms)batch * BATCH_MS;

    if (batch % VERY_LATE_EVERY == 0)
        return at - 5 * (wall_ms)LATE_MS;
    return batch % LATE_EVERY == 0 ? at - LATE_MS : at;
}

/* The series of a batch: the first one always, to count batches, then some in turn. */
static unsigned series_of(uint64_t batch, unsigned sample)
{
    return sample == 0
               ? 0
               : (unsigned)((batch * SAMPLES_PER_BATCH + sample) % (WORKLOAD_SERIES - 1)) + 1;
}

static double value_of(uint64_t batch, unsigned sample)
{
    return (double)((batch * 2654435761U + sample) % 1000) / 4;
}

static void write_key(unsigned series, struct buf *key)
{
    char name[32];
    const struct label label = {STR("host"), STR("a")};

    (void)snprintf(name, sizeof name, "metric%u", series);
    series_key_write(key, kind_of(series), str_of(name), &label, 1);
}

static struct delta *make_batch(uint64_t batch)
{
    struct delta *delta = delta_new();
    wall_ms at = time_of(batch);
    struct buf key = BUF_EMPTY;

    for (unsigned i = 0; i < SAMPLES_PER_BATCH; i++) {
        unsigned series = series_of(batch, i);
        write_key(series, &key);
        uint32_t index = delta_add_series(delta, series_key_hash(buf_view(&key)), buf_view(&key));
        struct cell *cell = &delta_add_cell(delta, index, minute_of(at))->cell;
        uint64_t arrival = (uint64_t)(WORKLOAD_BEGIN + (wall_ms)batch * BATCH_MS) * 1000 + i;
        if (metric_kind_counts_values(kind_of(series)))
            cell_add_value(cell, value_of(batch, i), WEIGHT_ONE, at, arrival);
        else
            aggregate_add(&cell->aggregate, value_of(batch, i), WEIGHT_ONE, at, arrival);
        if (kind_of(series) == METRIC_UNIQUE) {
            char member[24];
            cell->distinct = distinct_new();
            distinct_add(
                cell->distinct,
                (struct str){member, (size_t)snprintf(member, sizeof member, "%" PRIu64, batch)});
        }
    }
    buf_fini(&key);
    return delta;
}

/* --- reading --- */

struct found {
    double count;
    double sum;
};

static bool on_cell(size_t series, wall_ms from, const struct cell *cell, void *arg)
{
    struct found *found = arg;
    (void)series;
    (void)from;
    found->count += aggregate_count(&cell->aggregate);
    found->sum += aggregate_sum(&cell->aggregate);
    return true;
}

static bool read_series(struct read_txn *txn, unsigned series, struct found *out, struct error *err)
{
    char name[32];
    struct arena arena = ARENA_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;
    size_t count = 0;

    *out = (struct found){0};
    (void)snprintf(name, sizeof name, "metric%u", series);
    const struct selector selector = {.metric = str_of(name), .kind = kind_of(series)};
    const struct query_series *all = query_select(txn, &selector, &arena, &count);
    const struct query query = {.series = all,
                                .series_count = count,
                                .from = WORKLOAD_BEGIN - INT64_C(10) * MS_PER_DAY,
                                .to = WORKLOAD_BEGIN + INT64_C(10) * MS_PER_DAY,
                                .merge_series = true};
    bool ok = query_cells(txn, &query, on_cell, out, &coverage, err);
    arena_fini(&arena);
    return ok;
}

/* How many batches the store holds; what it holds has to be just these. */
static bool compare(struct read_txn *txn, uint64_t *batches, struct error *err)
{
    struct found expected[WORKLOAD_SERIES] = {{0}};
    struct found found;

    if (!read_series(txn, 0, &found, err))
        return false;
    *batches = (uint64_t)found.count;
    for (uint64_t batch = 0; batch < *batches; batch++) {
        for (unsigned i = 0; i < SAMPLES_PER_BATCH; i++) {
            struct found *series = &expected[series_of(batch, i)];
            series->count++;
            series->sum += value_of(batch, i);
        }
    }
    for (unsigned i = 0; i < WORKLOAD_SERIES; i++) {
        if (!read_series(txn, i, &found, err))
            return false;
        if (found.count != expected[i].count || found.sum != expected[i].sum)
            return error_set(
                err, ERROR_CORRUPT,
                "after %" PRIu64 " batches series %u has %g samples of %g, not %g of %g", *batches,
                i, found.count, found.sum, expected[i].count, expected[i].sum);
    }
    return true;
}

/* --- running --- */

static bool open_engine(struct engine *engine, const char *path,
                        const struct upkeep_options *options, uint64_t *batches)
{
    struct error err = ERROR_EMPTY;

    engine_open(engine, path, (uint64_t)MAX_SIZE_MIB << 20, options);
    struct read_txn *txn = read_txn_begin(engine->store, &err);
    bool ok = txn != NULL && compare(txn, batches, &err);
    read_txn_end(txn);
    if (!ok)
        (void)fprintf(stderr, "%s: %s\n", path, err.text);
    return ok;
}

/* Stores a batch; a commit that failed may hold all the same, which its number tells. */
static bool store_batch(struct engine *engine, uint64_t batch, uint64_t attempts)
{
    struct delta *delta = make_batch(batch);
    wall_ms now = WORKLOAD_BEGIN + (wall_ms)batch * BATCH_MS;
    bool done = false;

    for (uint64_t i = 0; i < attempts && !done; i++) {
        struct error err = ERROR_EMPTY;
        uint64_t number = 0;
        done = engine_commit(engine, delta, now, &err);
        if (!done && store_read_commit_number(engine->store, &number, &err))
            done = number > engine->commit;
        if (done)
            engine->commit = number > engine->commit ? number : engine->commit;
    }
    delta_free(delta);
    return done;
}

/* A step that fails is tried again with the next batch, as the writer does. */
static void work(struct engine *engine)
{
    bool more = true;

    for (int i = 0; i < STEPS_PER_BATCH && more; i++) {
        struct error err = ERROR_EMPTY;
        uint64_t number = 0;
        if (!upkeep_step(engine->upkeep, &engine->clock, &more, &err))
            more = false;
        if (store_read_commit_number(engine->store, &number, &err))
            engine->commit = number;
    }
}

bool workload_run(const struct workload_options *options)
{
    struct error err = ERROR_EMPTY;
    struct calendar *calendar = calendar_new(STR("Europe/Berlin"), 1, &err);
    const struct calendar *calendars[] = {calendar};
    const struct upkeep_options upkeep = {.calendars = calendars, .calendar_count = 1, .fanout = 4};
    struct engine engine;
    uint64_t batch = 0;
    bool ok = open_engine(&engine, options->path, &upkeep, &batch);

    for (; ok && batch < options->batches; batch++) {
        char line[24];
        ok = store_batch(&engine, batch, options->attempts);
        int len = snprintf(line, sizeof line, "%" PRIu64 "\n", batch + 1);
        if (ok && write(options->acks_fd, line, (size_t)len) != len)
            ok = false;
        engine_set_clock(&engine, WORKLOAD_BEGIN + (wall_ms)batch * BATCH_MS);
        work(&engine);
    }
    engine_close(&engine);
    calendar_free(calendar);
    return ok;
}

bool workload_check(const char *path, uint64_t acknowledged, uint64_t sent)
{
    struct upkeep_options upkeep = {0};
    struct engine engine;
    uint64_t batches = 0;
    bool ok = open_engine(&engine, path, &upkeep, &batches);

    if (ok && (batches < acknowledged || batches > sent)) {
        (void)fprintf(stderr,
                      "%s: holds %" PRIu64 " batches; %" PRIu64 " were acknowledged, %" PRIu64
                      " sent\n",
                      path, batches, acknowledged, sent);
        ok = false;
    }
    engine_close(&engine);
    return ok;
}
