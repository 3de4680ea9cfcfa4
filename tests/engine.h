/* The store's engine without its thread: commits and background steps one after the other, with a
 * clock that the test sets. For tests that need to know what happened when, and for benchmarks. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "series/sample.h"
#include "store/journal.h"
#include "store/upkeep.h"

struct engine {
    struct store *store;
    struct catalog *catalog;
    struct gauges *gauges;
    struct points *points;
    struct upkeep *upkeep;
    struct guard clock;
    struct arena scratch;
    uint64_t commit; /* number of the newest one */
};

static inline void engine_fail(const char *what, const struct error *err)
{
    (void)fprintf(stderr, "%s: %s\n", what, err->text);
    abort();
}

/* The clock stands at `now` and is trusted. */
static inline void engine_set_clock(struct engine *engine, wall_ms now)
{
    engine->clock.mark = now;
    engine->clock.keep_mark = now;
    engine->clock.suspect = false;
}

static inline void engine_open(struct engine *engine, const char *path, uint64_t max_size,
                               const struct upkeep_options *options)
{
    struct error err = ERROR_EMPTY;
    const struct store_options store = {path, max_size};

    *engine = (struct engine){0};
    engine->store = store_open(&store, &err);
    if (engine->store == NULL)
        engine_fail("store_open", &err);
    engine->catalog = catalog_new();
    engine->gauges = gauges_new();
    engine->points = points_new();
    engine->upkeep = upkeep_new(engine->store, options);
    engine_set_clock(engine, WALL_NONE);
}

static inline void engine_close(struct engine *engine)
{
    upkeep_free(engine->upkeep);
    gauges_free(engine->gauges);
    points_free(engine->points);
    catalog_free(engine->catalog);
    store_close(engine->store);
    arena_fini(&engine->scratch);
}

/* Applies one delta in a transaction of its own; false with `err` when it did not hold, or may not
 * have. */
static inline bool engine_commit(struct engine *engine, struct delta *delta, wall_ms now,
                                 struct error *err)
{
    struct write_txn txn;
    struct journal_report report = {0};
    struct journal_part part = {
        .delta = delta, .to = delta->cell_count, .points_to = delta->point_count};
    struct journal_group group = {.catalog = engine->catalog,
                                  .gauges = engine->gauges,
                                  .points = engine->points,
                                  .txn = &txn,
                                  .parts = &part,
                                  .count = 1,
                                  .now = now,
                                  .scratch = &engine->scratch};

    if (!write_txn_begin(engine->store, NULL, &txn, err))
        return false;
    group.number = store_commit_number(&txn.reader) + 1;
    bool ok = journal_apply(&group, &report, err) && meta_put(&txn, "commit", group.number, err);
    arena_reset(&engine->scratch);
    if (!ok)
        write_txn_abort(&txn);
    else
        ok = write_txn_commit(&txn, err);
    if (!ok) {
        catalog_forget(engine->catalog);
        points_forget(engine->points);
    } else {
        engine->commit = group.number;
    }
    return ok;
}

/* Background steps until there is nothing to do, `max` at most; returns how many. */
static inline size_t engine_upkeep(struct engine *engine, size_t max)
{
    struct error err = ERROR_EMPTY;
    bool more = true;
    size_t steps = 0;

    while (more && steps < max) {
        if (!upkeep_step(engine->upkeep, &engine->clock, &more, &err))
            engine_fail("upkeep_step", &err);
        steps++;
    }
    return steps;
}
