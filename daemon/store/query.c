#include "store/query.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/cells.h"
#include "store/ledger_table.h"

enum { WINDOW_STEPS = 1024 }; /* cells of merged series that are in memory at a time */

/* Minutes beyond this are no times of samples, and products of them still fit. */
#define MINUTE_LIMIT INT64_C(1000000000000)

/* --- series --- */

static bool matches_one(struct str value, const struct label_match *match)
{
    switch (match->op) {
    case MATCH_EQUAL:
        return match->value_count > 0 && str_equal(value, match->values[0]);
    case MATCH_NOT_EQUAL:
        return match->value_count > 0 && !str_equal(value, match->values[0]);
    case MATCH_IN:
        for (size_t i = 0; i < match->value_count; i++) {
            if (str_equal(value, match->values[i]))
                return true;
        }
        return false;
    case MATCH_PREFIX:
        return match->value_count > 0 && value.len >= match->values[0].len &&
               str_equal((struct str){value.text, match->values[0].len}, match->values[0]);
    }
    return false;
}

static bool matches(struct str key, const struct selector *selector)
{
    /* Another metric may share the hash under which these were found. */
    if (series_key_kind(key) != selector->kind ||
        !str_equal(series_key_metric(key), selector->metric))
        return false;
    for (size_t i = 0; i < selector->match_count; i++) {
        struct str value = STR_EMPTY;
        if (!series_key_label(key, selector->matches[i].label, &value))
            value = STR_EMPTY;
        if (!matches_one(value, &selector->matches[i]))
            return false;
    }
    return true;
}

struct query_series *query_select(struct read_txn *txn, const struct selector *selector,
                                  struct arena *arena, size_t *count)
{
    struct query_series *series = NULL;
    size_t capacity = 0;
    MDB_cursor *cursor = NULL;
    MDB_val value;
    struct schema_key first =
        schema_by_metric_key(catalog_metric_hash(selector->kind, selector->metric), 0);
    const struct str prefix = {(const char *)first.bytes, SCHEMA_HASH_SIZE};
    MDB_val key = store_key(&first);

    *count = 0;
    if (mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_BY_METRIC], &cursor) != 0)
        return NULL;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && key.mv_size == SCHEMA_BY_METRIC_SIZE &&
           memcmp(key.mv_data, prefix.text, prefix.len) == 0) {
        uint32_t id = schema_by_metric_id(store_bytes(&key));
        struct str found;
        if (catalog_key(txn, id, &found) && matches(found, selector)) {
            series = arena_grow(arena, series, *count, &capacity, sizeof *series);
            series[(*count)++] = (struct query_series){id, arena_str(arena, found)};
        }
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return series;
}

/* --- cells --- */

/* A query under way. All in minutes. */
struct scan {
    struct read_txn *txn;
    MDB_cursor *cursor;
    int64_t from;
    int64_t to;
    int64_t step; /* 0: one step */
    query_cell_fn on_cell;
    void *arg;
    struct coverage *coverage;
    bool stopped; /* the caller has enough */
};

static int64_t step_of(const struct scan *scan, int64_t minute)
{
    return scan->step == 0 ? 0 : (minute - scan->from) / scan->step;
}

static wall_ms step_from(const struct scan *scan, int64_t step)
{
    return (scan->from + step * scan->step) * MS_PER_MINUTE;
}

static bool is_empty(const struct cell *cell)
{
    return cell->aggregate.count == 0 && cell->distinct == NULL;
}

/* Hands over a step's cell and empties it. */
static void emit(struct scan *scan, size_t series, int64_t step, struct cell *cell)
{
    if (!is_empty(cell) && !scan->stopped)
        scan->stopped = !scan->on_cell(series, step_from(scan, step), cell, scan->arg);
    cell_fini(cell);
}

/* The first stored cell of the series at `*minute` or later, before `scan->to`. `*found` false:
 * none. The cursor stands on it. */
static bool seek(struct scan *scan, uint32_t id, int64_t *minute, bool *found, MDB_val *value,
                 struct error *err)
{
    struct schema_key start = schema_cell_key(id, *minute);
    MDB_val key = store_key(&start);
    uint32_t found_id = 0;

    int rc = mdb_cursor_get(scan->cursor, &key, value, MDB_SET_RANGE);
    if (rc == 0)
        schema_cell_of(store_bytes(&key), &found_id, minute);
    else if (rc != MDB_NOTFOUND)
        return store_error(err, rc, "cannot read data directory '%s'", scan->txn->store->path);
    *found = rc == 0 && found_id == id && *minute < scan->to;
    return true;
}

static bool step_on(struct scan *scan, uint32_t id, int64_t *minute, bool *found, MDB_val *value,
                    struct error *err)
{
    MDB_val key;
    uint32_t found_id = 0;

    int rc = mdb_cursor_get(scan->cursor, &key, value, MDB_NEXT);
    if (rc == 0)
        schema_cell_of(store_bytes(&key), &found_id, minute);
    else if (rc != MDB_NOTFOUND)
        return store_error(err, rc, "cannot read data directory '%s'", scan->txn->store->path);
    *found = rc == 0 && found_id == id && *minute < scan->to;
    return true;
}

/* Merges a stored cell and takes note of what was read. */
static bool take(struct scan *scan, uint32_t id, const MDB_val *value, struct cell *into,
                 struct error *err)
{
    struct cell cell = CELL_EMPTY;

    if (!cell_decode(store_bytes(value), &cell))
        return error_set(err, ERROR_CORRUPT, "a stored cell of series %u cannot be read", id);
    if (cell.aggregate.count > 0 && cell.aggregate.last_at > scan->coverage->newest)
        scan->coverage->newest = cell.aggregate.last_at;
    cell_merge(into, &cell);
    cell_fini(&cell);
    return true;
}

static bool scan_apart(struct scan *scan, const struct query *query, struct error *err)
{
    for (size_t i = 0; i < query->series_count && !scan->stopped; i++) {
        uint32_t id = query->series[i].id;
        struct cell open = CELL_EMPTY;
        int64_t open_step = 0;
        int64_t minute = scan->from;
        MDB_val value;
        bool found = false;
        bool ok = seek(scan, id, &minute, &found, &value, err);

        while (ok && found && !scan->stopped) {
            if (step_of(scan, minute) != open_step) {
                emit(scan, i, open_step, &open);
                open_step = step_of(scan, minute);
            }
            ok = take(scan, id, &value, &open, err) &&
                 step_on(scan, id, &minute, &found, &value, err);
        }
        if (ok)
            emit(scan, i, open_step, &open);
        cell_fini(&open);
        if (!ok)
            return false;
    }
    return true;
}

/* The cells of all series in the window that begins at step `first`, merged by step into `window`.
 * `*next` becomes the first minute with a cell beyond it. */
static bool fill_window(struct scan *scan, const struct query *query, int64_t first,
                        struct cell *window, int64_t *next, struct error *err)
{
    int64_t start = scan->from + first * scan->step;

    *next = scan->to;
    for (size_t i = 0; i < query->series_count; i++) {
        uint32_t id = query->series[i].id;
        int64_t minute = start;
        MDB_val value;
        bool found = false;

        if (!seek(scan, id, &minute, &found, &value, err))
            return false;
        while (found && step_of(scan, minute) - first < WINDOW_STEPS) {
            if (!take(scan, id, &value, &window[step_of(scan, minute) - first], err) ||
                !step_on(scan, id, &minute, &found, &value, err))
                return false;
        }
        if (found && minute < *next)
            *next = minute;
    }
    return true;
}

/* All series together, in the order of time: window by window, so that memory is bounded whatever
 * the range; windows without a cell are skipped. */
static bool scan_merged(struct scan *scan, const struct query *query, struct error *err)
{
    struct cell *window = memory_zero(WINDOW_STEPS, sizeof *window);
    int64_t first = 0;
    int64_t next = scan->from;
    bool ok = true;

    while (ok && next < scan->to && !scan->stopped) {
        first = step_of(scan, next);
        ok = fill_window(scan, query, first, window, &next, err);
        for (size_t i = 0; i < WINDOW_STEPS; i++) {
            if (ok)
                emit(scan, 0, first + (int64_t)i, &window[i]);
            cell_fini(&window[i]);
        }
    }
    free(window);
    return ok;
}

static int64_t clamp_minute(int64_t minute)
{
    if (minute < -MINUTE_LIMIT)
        return -MINUTE_LIMIT;
    return minute > MINUTE_LIMIT ? MINUTE_LIMIT : minute;
}

bool query_cells(struct read_txn *txn, const struct query *query, query_cell_fn on_cell, void *arg,
                 struct coverage *coverage, struct error *err)
{
    struct scan scan = {.txn = txn, .on_cell = on_cell, .arg = arg, .coverage = coverage};

    if (query->step < 0 || query->step % MS_PER_MINUTE != 0)
        return error_set(err, ERROR_INVALID, "the step is not a whole number of minutes");
    coverage->levels |= COVERAGE_MINUTE;
    if (query->from >= query->to)
        return true;
    scan.from = clamp_minute(minute_of(query->from));
    scan.to = clamp_minute(minute_of(query->to - 1)) + 1;
    scan.step = query->step / MS_PER_MINUTE;
    int rc = mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_CELLS], &scan.cursor);
    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
    bool ok = query->merge_series ? scan_merged(&scan, query, err) : scan_apart(&scan, query, err);
    mdb_cursor_close(scan.cursor);
    return ok;
}

bool query_level(struct read_txn *txn, uint32_t series, wall_ms at, struct level *out, bool *found,
                 struct error *err)
{
    int64_t minute = minute_of(at);
    bool stored = true;
    bool seen = false;

    while (!seen) {
        struct cell cell = CELL_EMPTY;
        if (!cells_newest(txn, series, &minute, &cell, &stored, err))
            return false;
        if (!stored)
            break;
        const struct aggregate *aggregate = &cell.aggregate;
        if (aggregate->count > 0 && aggregate->last_at <= at) {
            *out = (struct level){aggregate->last, aggregate->last_at};
            seen = true;
        } else if (aggregate->count > 0 && aggregate->first_at <= at) {
            *out = (struct level){aggregate->first, aggregate->first_at};
            seen = true;
        }
        cell_fini(&cell);
        minute--;
    }
    *found = seen;
    return true;
}

/* --- metrics and the ledger --- */

static struct metric_facts facts_of(const struct metric_record *record)
{
    return (struct metric_facts){.seen = true,
                                 .kinds = record->kinds,
                                 .first_sample_at = record->first_at,
                                 .last_sample_at = record->last_at,
                                 .series = record->series};
}

void query_metric(struct read_txn *txn, struct str metric, struct metric_facts *out)
{
    struct schema_key key = schema_name_key(metric);
    const struct str key_bytes = {(const char *)key.bytes, key.len};
    struct metric_record record;
    struct str bytes;

    *out = (struct metric_facts){.first_sample_at = WALL_NONE, .last_sample_at = WALL_NONE};
    if (store_get(txn, DATABASE_METRICS, key_bytes, &bytes) &&
        metric_record_decode(bytes, &record) && str_equal(record.name, metric))
        *out = facts_of(&record);
}

/* Visits all entries of a database until the visitor returns false. */
typedef bool (*entry_fn)(struct str value, void *arg);

static void visit_all(struct read_txn *txn, enum database database, entry_fn on_entry, void *arg)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;

    if (mdb_cursor_open(txn->txn, txn->store->databases[database], &cursor) != 0)
        return;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0 && on_entry(store_bytes(&value), arg))
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    mdb_cursor_close(cursor);
}

struct metric_visit {
    metric_fn on_metric;
    void *arg;
};

static bool visit_metric(struct str value, void *arg)
{
    const struct metric_visit *visit = arg;
    struct metric_record record;

    if (!metric_record_decode(value, &record))
        return true;
    struct metric_facts facts = facts_of(&record);
    return visit->on_metric(record.name, &facts, visit->arg);
}

void query_metrics(struct read_txn *txn, metric_fn on_metric, void *arg)
{
    struct metric_visit visit = {on_metric, arg};
    visit_all(txn, DATABASE_METRICS, visit_metric, &visit);
}

struct ledger_visit {
    ledger_fn on_ledger;
    void *arg;
};

static bool visit_ledger(struct str value, void *arg)
{
    const struct ledger_visit *visit = arg;
    struct ledger ledger;
    struct str listener;

    if (!ledger_table_decode(value, &listener, &ledger))
        return true;
    return visit->on_ledger(listener, &ledger, visit->arg);
}

void query_ledgers(struct read_txn *txn, ledger_fn on_ledger, void *arg)
{
    struct ledger_visit visit = {on_ledger, arg};
    visit_all(txn, DATABASE_LEDGER, visit_ledger, &visit);
}

wall_ms query_newest(struct read_txn *txn)
{
    return (wall_ms)meta_get(txn, "newest", (uint64_t)WALL_NONE);
}
