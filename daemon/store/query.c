#include "store/query.h"

#include "store/catalog.h"
#include "store/ledger_table.h"
#include "store/mixed.h"
#include "store/scan.h"
#include "store/select.h"

/* --- series --- */

bool query_series(struct read_txn *txn, const struct selector *selector, struct arena *arena,
                  struct query_series **out, size_t *count, struct error *err)
{
    return catalog_select(txn, selector, arena, out, count, err) && read_txn_check(txn, err);
}

struct query_series *query_select(struct read_txn *txn, const struct selector *selector,
                                  struct arena *arena, size_t *count)
{
    struct query_series *series = NULL;
    struct error ignored;

    if (catalog_select(txn, selector, arena, &series, count, &ignored))
        return series;
    *count = 0;
    return NULL;
}

bool query_series_by_hash(struct read_txn *txn, struct series_hash hash, struct arena *arena,
                          struct query_series *out)
{
    struct str key;

    if (!catalog_find_hash(txn, hash, &out->id, &key))
        return false;
    out->key = arena_str(arena, key);
    return true;
}

/* --- cells --- */

bool query_cells(struct read_txn *txn, const struct query *query, query_cell_fn on_cell, void *arg,
                 struct coverage *coverage, struct error *err)
{
    return scan_cells(txn, query, on_cell, arg, coverage, err);
}

bool query_level(struct read_txn *txn, uint32_t series, wall_ms at, struct level_sample *out,
                 struct coverage *coverage, struct error *err)
{
    const struct query_series one = {.id = series};
    const struct query_levels query = {&one, 1, at, INT64_MIN};

    return scan_levels(txn, &query, out, coverage, err);
}

bool query_levels(struct read_txn *txn, const struct query_levels *query, struct level_sample *out,
                  struct coverage *coverage, struct error *err)
{
    return scan_levels(txn, query, out, coverage, err);
}

/* --- what changed --- */

bool query_changed(struct read_txn *txn, const struct query_changes *changes, changed_fn on_range,
                   void *arg, struct error *err)
{
    return scan_changed(txn, changes, on_range, arg, err);
}

struct period_visit {
    const struct query_periods *periods;
    changed_period_fn on_period;
    void *arg;
    wall_ms done; /* periods that begin before this were visited */
};

static bool visit_periods(wall_ms from, wall_ms to, void *arg)
{
    struct period_visit *visit = arg;
    const struct calendar *calendar = visit->periods->calendar;
    struct period period =
        calendar_period(calendar, visit->periods->kind, from > visit->done ? from : visit->done);

    if (__builtin_add_overflow(to, visit->periods->reach, &to))
        to = INT64_MAX;
    while (period.from < to && period.to <= visit->periods->closed_at) {
        if (!visit->on_period(&period, visit->arg))
            return false;
        visit->done = period.to;
        period = calendar_next(calendar, &period);
    }
    return period.to <= visit->periods->closed_at;
}

bool query_changed_periods(struct read_txn *txn, const struct query_changes *changes,
                           const struct query_periods *periods, changed_period_fn on_period,
                           void *arg, struct error *err)
{
    struct period_visit visit = {periods, on_period, arg, INT64_MIN};
    struct query_changes closed = *changes;

    if (closed.from == closed.to)
        closed.from = INT64_MIN;
    if (closed.from == INT64_MIN || closed.to > periods->closed_at)
        closed.to = periods->closed_at;
    return closed.from >= closed.to || scan_changed(txn, &closed, visit_periods, &visit, err);
}

bool query_oldest_change(struct read_txn *txn, uint64_t since, wall_ms *out, struct error *err)
{
    return scan_oldest_change(txn, since, out, err);
}

/* --- metrics and the ledger --- */

static struct metric_facts facts_of(const struct metric_count *count)
{
    return (struct metric_facts){
        .seen = count->kinds != 0, .kinds = count->kinds, .series = count->series};
}

void query_metric(struct read_txn *txn, struct str metric, struct metric_facts *out)
{
    struct metric_count count;

    catalog_metric(txn, metric, &count);
    *out = facts_of(&count);
}

bool query_metric_times(struct read_txn *txn, struct str metric, wall_ms *first, wall_ms *last,
                        struct coverage *coverage, struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct metric_facts facts;
    struct query_series *series = NULL;
    size_t count = 0;
    size_t capacity = 0;
    bool ok = true;

    query_metric(txn, metric, &facts);
    for (unsigned kind = 1; ok && kind <= METRIC_KIND_MAX; kind++) {
        const struct selector selector = {.metric = metric, .kind = (enum metric_kind)kind};
        uint32_t *ids = NULL;
        size_t found = 0;
        if ((facts.kinds & (1U << kind)) == 0)
            continue;
        ok = catalog_select_ids(txn, &selector, &arena, &ids, &found, err);
        for (size_t i = 0; ok && i < found; i++) {
            series = arena_grow(&arena, series, count, &capacity, sizeof *series);
            series[count++] = (struct query_series){.id = ids[i]};
        }
    }
    struct scan_times times = {.series = series, .count = count};
    times.first = first;
    times.last = last;
    ok = ok && scan_times(txn, &times, coverage, err);
    arena_fini(&arena);
    return ok;
}

bool query_is_mixed(struct read_txn *txn, struct str metric, wall_ms from, wall_ms to)
{
    struct mixed mixed;

    mixed_of_metric(txn, metric, &mixed);
    return mixed_in(&mixed, from, to);
}

/* Visits all entries of a database until the visitor returns false. False: not all could be read.
 */
typedef bool (*entry_fn)(struct str value, void *arg);

static bool visit_all(struct read_txn *txn, enum database database, entry_fn on_entry, void *arg)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;

    if (mdb_cursor_open(txn->txn, txn->store->databases[database], &cursor) != 0)
        return false;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0 && on_entry(store_bytes(&value), arg))
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND;
}

struct metric_visit {
    metric_fn on_metric;
    void *arg;
};

static bool visit_metric(struct str metric, const struct metric_count *count, void *arg)
{
    const struct metric_visit *visit = arg;
    struct metric_facts facts = facts_of(count);

    return visit->on_metric(metric, &facts, visit->arg);
}

void query_metrics(struct read_txn *txn, metric_fn on_metric, void *arg)
{
    struct metric_visit visit = {on_metric, arg};
    catalog_metrics(txn, visit_metric, &visit);
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

bool query_ledgers(struct read_txn *txn, ledger_fn on_ledger, void *arg)
{
    struct ledger_visit visit = {on_ledger, arg};
    return visit_all(txn, DATABASE_LEDGER, visit_ledger, &visit);
}

wall_ms query_newest(struct read_txn *txn)
{
    return (wall_ms)meta_get(txn, "newest", (uint64_t)WALL_NONE);
}
