#include "store/cells.h"

#include <stdlib.h>

#include "store/query.h"

/* One cell of one delta, ready to be sorted. */
struct cell_ref {
    uint32_t id;
    uint32_t metric;
    enum metric_kind kind;
    int64_t minute;
    wall_ms first_at;
    uint64_t first_arrival;
    const struct delta_cell *cell;
};

/* The level of a gauge as the writer knows it: what the next relative change starts from.
 *
 * Kept only for gauges that were ever changed relatively; for the others the newest cell says it.
 * `absolute_at` is a time at which an absolute value was set: changes that happened before it, but
 * come after it (from a slower ingest thread), do not move the level. */
struct gauge {
    bool tracked;
    double level;
    wall_ms at;
    uint64_t arrival;
    wall_ms absolute_at;
};

struct applying {
    struct catalog *catalog;
    struct write_txn *txn;
    struct cells_report *report;
    struct buf bytes;
};

int64_t minute_of(wall_ms at)
{
    int64_t minute = at / MS_PER_MINUTE;
    return at % MS_PER_MINUTE < 0 ? minute - 1 : minute;
}

/* --- sorting --- */

static void set_first(struct cell_ref *ref, const struct delta_cell *cell)
{
    const struct aggregate *aggregate = &cell->cell.aggregate;
    const struct gauge_changes *changes = cell->changes;

    ref->first_at = cell->minute * MS_PER_MINUTE;
    if (changes != NULL) { /* they come before the first absolute value */
        ref->first_at = changes->first_at;
        ref->first_arrival = changes->first_arrival;
    } else if (aggregate->count > 0) {
        ref->first_at = aggregate->first_at;
        ref->first_arrival = aggregate->first_arrival;
    }
}

static int compare_refs(const void *a, const void *b)
{
    const struct cell_ref *one = a;
    const struct cell_ref *other = b;

    if (one->id != other->id)
        return one->id < other->id ? -1 : 1;
    if (one->minute != other->minute)
        return one->minute < other->minute ? -1 : 1;
    if (one->first_at != other->first_at)
        return one->first_at < other->first_at ? -1 : 1;
    if (one->first_arrival != other->first_arrival)
        return one->first_arrival < other->first_arrival ? -1 : 1;
    return 0;
}

static bool holds_nothing(const struct delta_cell *cell)
{
    return cell->cell.aggregate.count == 0 && cell->changes == NULL &&
           cell->cell.distinct == NULL;
}

/* The series of one delta in this store, in the order of the delta's. */
static struct catalog_series *resolve_series(const struct cells_group *group,
                                             const struct delta *delta, struct error *err)
{
    struct catalog_series *series =
        arena_array(group->scratch, delta->series_count + 1, sizeof *series);

    for (size_t i = 0; i < delta->series_count; i++) {
        if (!catalog_resolve(group->catalog, group->txn, group->now, &delta->series[i], &series[i],
                             err))
            return NULL;
    }
    return series;
}

/* Adds the cells of one delta to `refs`. */
static void collect_delta(const struct delta *delta, const struct catalog_series *all,
                          struct cell_ref *refs, size_t *count, struct cells_report *report)
{
    for (size_t i = 0; i < delta->cell_count; i++) {
        const struct delta_cell *cell = &delta->cells[i];
        const struct catalog_series *series = &all[cell->series];

        if (holds_nothing(cell))
            continue;
        report->collisions += series->refusal == CATALOG_COLLISION;
        report->unknown += series->refusal == CATALOG_UNKNOWN;
        if (series->refusal != CATALOG_TAKEN)
            continue;
        struct cell_ref *ref = &refs[(*count)++];
        *ref = (struct cell_ref){.id = series->id,
                                 .metric = series->metric,
                                 .kind = series->kind,
                                 .minute = cell->minute,
                                 .cell = cell};
        set_first(ref, cell);
    }
}

/* All cells of the group, sorted; NULL when LMDB failed. */
static struct cell_ref *collect(const struct cells_group *group, size_t *count,
                                struct cells_report *report, struct error *err)
{
    size_t total = 0;
    for (size_t i = 0; i < group->count; i++)
        total += group->deltas[i]->cell_count;
    struct cell_ref *refs = arena_array(group->scratch, total + 1, sizeof *refs);

    *count = 0;
    for (size_t i = 0; i < group->count; i++) {
        const struct catalog_series *all = resolve_series(group, group->deltas[i], err);
        if (all == NULL)
            return NULL;
        collect_delta(group->deltas[i], all, refs, count, report);
    }
    qsort(refs, *count, sizeof *refs, compare_refs);
    return refs;
}

/* --- gauges --- */

static bool load_gauge(const struct read_txn *txn, uint32_t id, bool has_changes, struct gauge *out,
                       struct error *err)
{
    struct schema_key key = schema_id_key(id);
    int64_t minute = INT64_MAX;
    struct cell newest = CELL_EMPTY;
    struct str bytes;
    bool found = false;

    *out = (struct gauge){.at = WALL_NONE, .absolute_at = WALL_NONE};
    if (!store_find(txn, DATABASE_GAUGES, store_key(&key), &bytes, &found, err))
        return false;
    if (found) {
        struct reader reader = reader_of(bytes);
        out->tracked = true;
        out->level = read_double(&reader);
        out->at = read_i64(&reader);
        out->arrival = read_u64(&reader);
        out->absolute_at = read_i64(&reader);
        return true;
    }
    if (!has_changes)
        return true;
    out->tracked = true;
    if (!cells_newest(txn, id, &minute, &newest, &found, err))
        return false;
    if (found && newest.aggregate.count > 0) {
        out->level = newest.aggregate.last;
        out->at = newest.aggregate.last_at;
        out->arrival = newest.aggregate.last_arrival;
        out->absolute_at = newest.aggregate.first_at;
    }
    cell_fini(&newest);
    return true;
}

static bool save_gauge(struct applying *applying, uint32_t id, const struct gauge *gauge,
                       struct error *err)
{
    struct schema_key key = schema_id_key(id);

    buf_clear(&applying->bytes);
    buf_double(&applying->bytes, gauge->level);
    buf_i64(&applying->bytes, gauge->at);
    buf_u64(&applying->bytes, gauge->arrival);
    buf_i64(&applying->bytes, gauge->absolute_at);
    return store_put(applying->txn, DATABASE_GAUGES, store_key(&key), buf_view(&applying->bytes), 0,
                     err);
}

static bool is_newer(wall_ms at, uint64_t arrival, const struct gauge *gauge)
{
    return at > gauge->at || (at == gauge->at && arrival > gauge->arrival);
}

/* Changes of one gauge from two connections add up in whatever order they are heard: they start
 * from the level that is known now. When that level is newer than the changes themselves, the cell
 * shows the new one just after it; a later minute shows it with its next sample. */
static bool resolve_changes(struct applying *applying, const struct cell_ref *ref,
                            struct gauge *gauge, struct aggregate *out, struct error *err)
{
    const struct gauge_changes *changes = ref->cell->changes;

    if (gauge->absolute_at != WALL_NONE && changes->first_at < gauge->absolute_at) {
        struct level before = {0};
        bool found = false;
        if (!query_level(&applying->txn->reader, ref->id, changes->first_at, &before, &found, err))
            return false;
        *out = gauge_changes_resolve(changes, found ? before.value : 0);
        return true;
    }
    *out = gauge_changes_resolve(changes, gauge->level);
    gauge->level = out->last;
    if (is_newer(out->last_at, out->last_arrival, gauge)) {
        gauge->at = out->last_at;
        gauge->arrival = out->last_arrival;
    } else if (minute_of(gauge->at) == ref->minute) {
        gauge->arrival++;
        out->last_at = gauge->at;
        out->last_arrival = gauge->arrival;
    }
    return true;
}

static void note_absolute(const struct aggregate *aggregate, struct gauge *gauge)
{
    if (aggregate->count == 0)
        return;
    if (aggregate->first_at > gauge->absolute_at)
        gauge->absolute_at = aggregate->first_at;
    if (is_newer(aggregate->last_at, aggregate->last_arrival, gauge)) {
        gauge->level = aggregate->last;
        gauge->at = aggregate->last_at;
        gauge->arrival = aggregate->last_arrival;
    }
}

/* --- merging --- */

static void note_times(struct applying *applying, const struct cell_ref *ref,
                       const struct aggregate *aggregate)
{
    if (aggregate->count == 0)
        return;
    catalog_note(applying->catalog, ref->metric, aggregate->first_at, aggregate->last_at);
    if (aggregate->last_at > applying->report->newest)
        applying->report->newest = aggregate->last_at;
}

/* The cells of one series and minute, in the order of time. */
static bool write_minute(struct applying *applying, const struct cell_ref *refs, size_t count,
                         struct gauge *gauge, struct error *err)
{
    struct schema_key key = schema_cell_key(refs->id, refs->minute);
    struct cell merged = CELL_EMPTY;
    struct str bytes;
    bool found = false;
    bool ok =
        store_find(&applying->txn->reader, DATABASE_CELLS, store_key(&key), &bytes, &found, err);

    if (found && !cell_decode(bytes, &merged))
        applying->report->unreadable++; /* nothing can read it any more: go on without it */
    for (size_t i = 0; i < count && ok; i++) {
        const struct delta_cell *cell = refs[i].cell;
        struct aggregate resolved = AGGREGATE_EMPTY;
        if (cell->changes != NULL) {
            ok = resolve_changes(applying, &refs[i], gauge, &resolved, err);
            aggregate_merge(&merged.aggregate, &resolved);
            note_times(applying, &refs[i], &resolved);
        }
        note_absolute(&cell->cell.aggregate, gauge);
        cell_merge(&merged, &cell->cell);
        note_times(applying, &refs[i], &cell->cell.aggregate);
    }
    if (ok) {
        buf_clear(&applying->bytes);
        cell_encode(&merged, &applying->bytes);
        ok = store_put(applying->txn, DATABASE_CELLS, store_key(&key), buf_view(&applying->bytes),
                       0, err);
        applying->report->cells += count;
    }
    cell_fini(&merged);
    return ok;
}

/* All cells of one series. */
static bool write_series(struct applying *applying, const struct cell_ref *refs, size_t count,
                         struct error *err)
{
    struct gauge gauge = {.at = WALL_NONE, .absolute_at = WALL_NONE};
    bool has_changes = false;

    for (size_t i = 0; i < count && !has_changes; i++)
        has_changes = refs[i].cell->changes != NULL;
    if (has_changes || refs->kind == METRIC_GAUGE) {
        if (!load_gauge(&applying->txn->reader, refs->id, has_changes, &gauge, err))
            return false;
    }
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && refs[end].minute == refs[i].minute)
            end++;
        if (!write_minute(applying, &refs[i], end - i, &gauge, err))
            return false;
        i = end;
    }
    return !gauge.tracked || save_gauge(applying, refs->id, &gauge, err);
}

bool cells_apply(const struct cells_group *group, struct cells_report *report, struct error *err)
{
    struct applying applying = {
        .catalog = group->catalog, .txn = group->txn, .report = report, .bytes = BUF_EMPTY};
    size_t count = 0;

    *report = (struct cells_report){.newest = WALL_NONE};
    const struct cell_ref *refs = collect(group, &count, report, err);
    bool ok = refs != NULL;
    for (size_t i = 0; i < count && ok;) {
        size_t end = i + 1;
        while (end < count && refs[end].id == refs[i].id)
            end++;
        ok = write_series(&applying, &refs[i], end - i, err);
        i = end;
    }
    buf_fini(&applying.bytes);
    return ok && catalog_flush(group->catalog, group->txn, &report->series_created, err);
}

bool cells_newest(const struct read_txn *txn, uint32_t id, int64_t *minute, struct cell *out,
                  bool *found, struct error *err)
{
    struct schema_key bound = schema_cell_key(id, *minute);
    const struct str bound_bytes = {(const char *)bound.bytes, bound.len};
    MDB_val key = store_key(&bound);
    MDB_val value;
    MDB_cursor *cursor = NULL;
    uint32_t found_id = 0;

    *found = false;
    int rc = mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_CELLS], &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        if (rc == MDB_NOTFOUND)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
        else if (rc == 0 && !str_equal(store_bytes(&key), bound_bytes))
            rc = mdb_cursor_get(cursor, &key, &value, MDB_PREV);
        mdb_cursor_close(cursor);
    }
    if (rc == MDB_NOTFOUND)
        return true;
    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
    schema_cell_of(store_bytes(&key), &found_id, minute);
    if (found_id != id)
        return true;
    *found = cell_decode(store_bytes(&value), out);
    if (!*found)
        return error_set(err, ERROR_CORRUPT, "a stored cell of series %u cannot be read", id);
    return true;
}
