#include "store/migrate.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "store/index.h"
#include "store/plan.h"
#include "store/run.h"

enum {
    STEP_CELLS = 1 << 17,
    STEP_BYTES = 32 << 20,
    OLD_KEY_SIZE = 12,   /* u32 id, u64 minute + 2^63 */
    MIGRATED_TIER = 3,   /* as large as what merging would have made of them */
    STEPS_PER_LINE = 16, /* of the log */
};

static const char PROGRESS[] = "migrating";

/* What versions 2, and up to 4, had and this one has not. */
static const char *const OLD_INDEXES[] = {"by_hash", "by_metric", "metrics"};
static const char OLD_CELLS[] = "cells";

struct step {
    struct run_cell *cells;
    size_t count;
    size_t bytes;
    char last[OLD_KEY_SIZE]; /* key of the last one that was read */
    bool is_end;
    uint64_t unreadable;
};

bool migrate_is_unfinished(const struct read_txn *txn)
{
    struct str bytes;
    return store_get(txn, DATABASE_META, str_of(PROGRESS), &bytes);
}

/* --- writing --- */

static bool fail(struct write_txn *txn, int rc, struct error *err)
{
    return store_error(err, rc, "cannot bring data directory '%s' to this version",
                       txn->reader.store->path);
}

/* One that is not there is gone already. */
static bool drop_old(struct write_txn *txn, const char *name, struct error *err)
{
    MDB_dbi database = 0;

    int rc = mdb_dbi_open(txn->reader.txn, name, 0, &database);
    if (rc == 0)
        rc = mdb_drop(txn->reader.txn, database, 1);
    return rc == 0 || rc == MDB_NOTFOUND || fail(txn, rc, err);
}

static bool put_version(struct write_txn *txn, struct error *err)
{
    struct buf version = BUF_EMPTY;

    buf_u32(&version, STORE_SCHEMA_VERSION);
    bool ok = store_put(txn, DATABASE_META, store_value(STR("schema")), buf_view(&version), 0, err);
    buf_fini(&version);
    return ok;
}

static bool put_progress(struct write_txn *txn, struct str key, struct error *err)
{
    return store_put(txn, DATABASE_META, store_value(str_of(PROGRESS)), key, 0, err);
}

/* `is_end`: there is nothing else to do. The old indexes go; the new one is made of all series.
 * Trackers were something else before
 * version 4. */
static bool begin(struct write_txn *txn, uint32_t from, bool *is_end, struct error *err)
{
    for (size_t i = 0; i < sizeof OLD_INDEXES / sizeof OLD_INDEXES[0]; i++) {
        if (!drop_old(txn, OLD_INDEXES[i], err))
            return false;
    }
    int rc = 0;
    if (from < 4)
        rc = mdb_drop(txn->reader.txn, txn->reader.store->databases[DATABASE_TRACKERS], 0);
    if (rc != 0)
        return fail(txn, rc, err);
    if (!index_clear(txn, err) || (from == 2 && !put_progress(txn, STR_EMPTY, err)))
        return false;
    *is_end = !migrate_is_unfinished(&txn->reader);
    return put_version(txn, err);
}

static bool end(struct write_txn *txn, struct error *err)
{
    return drop_old(txn, OLD_CELLS, err) &&
           store_remove(txn, DATABASE_META, store_value(str_of(PROGRESS)), err);
}

static int compare_cells(const void *a, const void *b)
{
    const struct run_cell *one = a;
    const struct run_cell *other = b;
    return chunk_order(one->id, one->minute, other->id, other->minute);
}

static bool write_cells(struct write_txn *txn, const struct step *step, uint64_t version,
                        struct error *err)
{
    struct run_writer writer;
    uint64_t number = 0;
    bool ok = true;

    if (step->count == 0)
        return true;
    if (!parts_next_run(txn, &number, err))
        return false;
    qsort(step->cells, step->count, sizeof *step->cells, compare_cells);
    run_writer_init(&writer, MIGRATED_TIER, number);
    writer.run.version = version;
    for (size_t i = 0; i < step->count && ok; i++)
        ok = run_writer_add(&writer, txn, step->cells[i].id, step->cells[i].minute,
                            &step->cells[i].cell, err);
    ok = ok && run_writer_flush(&writer, txn, err) && parts_add_run(txn, &writer.run, err);
    run_writer_fini(&writer);
    return ok;
}

/* --- reading what version 2 wrote --- */

static bool holds_something(const struct cell *cell)
{
    return cell->aggregate.count > 0 || cell->distinct != NULL;
}

static void take_cell(struct step *step, const MDB_val *key, const MDB_val *value)
{
    struct schema_reader reader = schema_reader_of(store_bytes(key));
    struct run_cell *cell = &step->cells[step->count];

    *cell = (struct run_cell){.cell = CELL_EMPTY};
    cell->id = schema_get_u32(&reader);
    cell->minute = schema_get_i64(&reader);
    bool is_cell = reader.ok && reader.left == 0 && cell->id != 0 &&
                   cell->minute > -PLAN_MINUTE_LIMIT && cell->minute < PLAN_MINUTE_LIMIT &&
                   cell_decode(store_bytes(value), &cell->cell);
    step->bytes += value->mv_size;
    if (is_cell && holds_something(&cell->cell)) {
        step->count++;
        return;
    }
    step->unreadable += !is_cell;
    cell_fini(&cell->cell);
}

/* From after the last key that was read; all steps are in the order of the old keys. */
static bool read_cells(struct write_txn *txn, struct step *step, struct error *err)
{
    MDB_dbi database = 0;
    MDB_cursor *cursor = NULL;
    struct str after;
    MDB_val value;

    step->count = 0;
    step->bytes = 0;
    int rc = mdb_dbi_open(txn->reader.txn, OLD_CELLS, 0, &database);
    if (rc == 0)
        rc = mdb_cursor_open(txn->reader.txn, database, &cursor);
    if (rc == MDB_NOTFOUND) {
        step->is_end = true; /* there never was a sample */
        return true;
    }
    if (rc != 0)
        return fail(txn, rc, err);
    if (!store_get(&txn->reader, DATABASE_META, str_of(PROGRESS), &after))
        after = STR_EMPTY;
    MDB_val key = store_value(after);
    rc = mdb_cursor_get(cursor, &key, &value, after.len == 0 ? MDB_FIRST : MDB_SET_RANGE);
    if (rc == 0 && after.len > 0 && str_equal(store_bytes(&key), after))
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    while (rc == 0 && step->count < STEP_CELLS && step->bytes < STEP_BYTES) {
        take_cell(step, &key, &value);
        if (key.mv_size == OLD_KEY_SIZE)
            memcpy(step->last, key.mv_data, OLD_KEY_SIZE);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    step->is_end = rc == MDB_NOTFOUND;
    return rc == 0 || rc == MDB_NOTFOUND || fail(txn, rc, err);
}

/* --- the steps --- */

static bool do_step(struct write_txn *txn, uint32_t from, struct step *step, struct error *err)
{
    uint64_t version = store_commit_number(&txn->reader) + 1;

    if (from != STORE_SCHEMA_VERSION)
        return begin(txn, from, &step->is_end, err);
    bool ok = read_cells(txn, step, err) && write_cells(txn, step, version, err);
    for (size_t i = 0; i < step->count; i++)
        cell_fini(&step->cells[i].cell);
    if (!ok || !meta_put(txn, "commit", version, err))
        return false;
    return step->is_end ? end(txn, err)
                        : put_progress(txn, (struct str){step->last, sizeof step->last}, err);
}

bool migrate(struct store *store, uint32_t from, struct error *err)
{
    struct step step = {.cells = memory_zero(STEP_CELLS, sizeof *step.cells)};
    uint64_t cells = 0;
    bool ok = true;

    log_info("migrating", "path=%s from_schema=%u to_schema=%d", store->path, from,
             STORE_SCHEMA_VERSION);
    for (uint64_t steps = 1; ok && !step.is_end; steps++) {
        struct write_txn txn;
        ok = write_txn_begin(store, NULL, &txn, err);
        if (!ok)
            break;
        ok = do_step(&txn, from, &step, err);
        if (ok)
            ok = write_txn_commit(&txn, err);
        else
            write_txn_abort(&txn);
        from = STORE_SCHEMA_VERSION;
        cells += step.count;
        if (ok && steps % STEPS_PER_LINE == 0)
            log_info("migrating", "path=%s cells=%llu", store->path, (unsigned long long)cells);
    }
    if (ok)
        log_info("migrated", "path=%s cells=%llu unreadable=%llu", store->path,
                 (unsigned long long)cells, (unsigned long long)step.unreadable);
    free(step.cells);
    return ok;
}
