/* Which series an export is of. */
#include <stdlib.h>

#include "store/export_private.h"

static int order_series(const void *a, const void *b)
{
    uint32_t left = ((const struct query_series *)a)->id;
    uint32_t right = ((const struct query_series *)b)->id;
    return left < right ? -1 : left > right;
}

/* Those of the metric, of any kind, from `id` on. */
static bool select_metric(struct export_page *page, uint32_t id, struct query_series **out,
                          size_t *count, struct error *err)
{
    struct metric_facts facts;
    size_t capacity = 0;

    *out = NULL;
    *count = 0;
    query_metric(page->txn, page->range->metric, &facts);
    for (int kind = 1; kind <= METRIC_KIND_MAX; kind++) {
        const struct selector selector = {.metric = page->range->metric,
                                          .kind = (enum metric_kind)kind};
        struct query_series *series = NULL;
        size_t found = 0;
        if ((facts.kinds >> kind & 1) == 0)
            continue;
        if (!query_series(page->txn, &selector, &page->arena, &series, &found, err))
            return false;
        for (size_t i = 0; i < found; i++) {
            if (series[i].id < id)
                continue;
            *out = arena_grow(&page->arena, *out, *count, &capacity, sizeof **out);
            (*out)[(*count)++] = series[i];
        }
    }
    if (*count > 0)
        qsort(*out, *count, sizeof **out, order_series);
    return true;
}

/* Up to `max` series from `id` on. */
static bool select_any(struct export_page *page, uint32_t id, size_t max, struct query_series **out,
                       size_t *count, struct error *err)
{
    struct store *store = page->txn->store;
    struct schema_key first = schema_id_key(id);
    MDB_val key = store_key(&first);
    MDB_val value;
    MDB_cursor *cursor = NULL;

    *count = 0;
    *out = arena_array(&page->arena, max, sizeof **out);
    int rc = mdb_cursor_open(page->txn->txn, store->databases[DATABASE_SERIES], &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && *count < max) {
        struct str row = store_bytes(&value);
        struct str name = {row.text + 8, row.len < 8 ? 0 : row.len - 8};
        if (name.len > 0 && series_key_is_valid(name))
            (*out)[(*count)++] = (struct query_series){schema_id_of(store_bytes(&key)), name};
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return store_error(err, rc, "cannot read data directory '%s'", store->path);
    return true;
}

bool export_select(struct export_page *page, uint32_t id, size_t max, struct export_series *out,
                   struct error *err)
{
    bool is_of_metric = page->range->metric.len > 0;
    bool ok = is_of_metric ? select_metric(page, id, &out->items, &out->count, err)
                           : select_any(page, id, max, &out->items, &out->count, err);

    out->ended = is_of_metric || out->count < max;
    return ok;
}
