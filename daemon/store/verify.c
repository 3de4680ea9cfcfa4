#include "store/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/catalog.h"
#include "store/verify_private.h"

enum { READ_MS = 1000, TOLD_MAX = 1000 };

bool verify_spend(struct verify *verify, uint64_t rows)
{
    const struct verify_options *options = verify->options;
    span_ms longest = options->read_ms > 0 ? options->read_ms : READ_MS;

    verify->rows += rows;
    if (options->read_rows > 0 && verify->rows >= options->read_rows)
        return false;
    return clock_mono() - verify->began_at < longest;
}

void verify_at(struct verify *verify, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(verify->where, sizeof verify->where, format, args);
    va_end(args);
}

void verify_report(struct verify *verify, const char *what, const char *format, ...)
{
    uint64_t most = verify->options->told_max > 0 ? verify->options->told_max : TOLD_MAX;
    char text[512];
    va_list args;

    verify->counts->findings++;
    if (verify->options->on_finding == NULL || verify->counts->findings > most)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const struct verify_finding finding = {what, verify->where, text};
    verify->options->on_finding(&finding, verify->options->arg);
}

bool verify_has_series(struct verify *verify, uint32_t id, bool *found, struct error *err)
{
    struct schema_key key = schema_id_key(id);
    struct str ignored;

    *found = id < verify->series_end && (verify->series[id / 8] >> (id % 8) & 1) != 0;
    return *found ||
           store_find(verify->txn, DATABASE_SERIES, store_key(&key), &ignored, found, err);
}

/* --- steps --- */

struct step {
    const char *name;
    verify_fn run;
};

static const struct step STEPS[] = {
    {"series", verify_series},
    {"catalogue", verify_catalogue},
    {"runs", verify_runs},
    {"partitions", verify_partitions},
    {"unlisted data", verify_unlisted},
    {"quarters and their minutes", verify_quarters},
    {"days and their quarters", verify_days},
    {"tables", verify_rows},
    {"records", verify_records},
};

enum { STEP_COUNT = sizeof STEPS / sizeof *STEPS };

static bool report_progress(struct verify *verify, size_t step, struct error *err)
{
    const struct verify_options *options = verify->options;
    const struct verify_progress progress = {STEPS[step].name, (unsigned)step + 1, STEP_COUNT,
                                             verify->counts};

    return options->on_progress == NULL || options->on_progress(&progress, options->arg) ||
           error_set(err, ERROR_UNAVAILABLE, "the check of data directory '%s' was stopped",
                     verify->store->path);
}

static bool begin_reading(struct verify *verify, struct error *err)
{
    verify->txn = read_txn_begin(verify->store, err);
    verify->began_at = clock_mono();
    verify->rows = 0;
    return verify->txn != NULL;
}

static void end_reading(struct verify *verify)
{
    read_txn_end(verify->txn);
    verify->txn = NULL;
    arena_reset(&verify->arena);
    arena_reset(&verify->scratch);
}

static bool run_step(struct verify *verify, size_t step, struct error *err)
{
    union verify_state *state = memory_zero(1, sizeof *state);
    bool done = false;
    bool ok = true;

    while (ok && !done) {
        ok = begin_reading(verify, err) && STEPS[step].run(verify, state, &done, err);
        end_reading(verify);
        ok = ok && report_progress(verify, step, err);
    }
    free(state);
    return ok;
}

bool verify_store(struct store *store, const struct verify_options *options,
                  struct verify_counts *out, struct error *err)
{
    struct verify verify = {.store = store, .options = options, .counts = out};

    *out = (struct verify_counts){0};
    bool ok = begin_reading(&verify, err);
    if (ok)
        verify.newest = store_commit_number(verify.txn);
    end_reading(&verify);
    for (size_t i = 0; ok && i < STEP_COUNT; i++)
        ok = run_step(&verify, i, err);
    catalog_check_free(verify.catalogue);
    free(verify.series);
    arena_fini(&verify.arena);
    arena_fini(&verify.scratch);
    return ok;
}
