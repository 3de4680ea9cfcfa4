#include "store/metric_series.h"

#include "store/catalog.h"

bool metric_series_of(struct read_txn *txn, uint32_t id, struct arena *arena,
                      struct query_series *out)
{
    struct str key;

    if (!catalog_key(txn, id, &key))
        return false;
    *out = (struct query_series){.id = id, .key = arena_str(arena, key)};
    return true;
}

bool metric_series_ids(struct read_txn *txn, const struct selector *selector, struct arena *arena,
                       uint32_t **out, size_t *count, struct error *err)
{
    struct metric_facts facts;
    size_t capacity = 0;

    *out = NULL;
    *count = 0;
    query_metric(txn, selector->metric, &facts);
    for (unsigned kind = 1; kind <= METRIC_KIND_MAX; kind++) {
        struct selector of_kind = *selector;
        uint32_t *ids = NULL;
        size_t found = 0;
        if ((facts.kinds & (1U << kind)) == 0)
            continue;
        of_kind.kind = (enum metric_kind)kind;
        if (!catalog_select_ids(txn, &of_kind, arena, &ids, &found, err))
            return false;
        for (size_t i = 0; i < found; i++) {
            *out = arena_grow(arena, *out, *count, &capacity, sizeof **out);
            (*out)[(*count)++] = ids[i];
        }
    }
    return true;
}

/* Keeps `out` in order. */
static void add_label(struct str name, struct arena *arena, struct str *out, size_t *count)
{
    size_t at = 0;

    while (at < *count && str_compare(out[at], name) < 0)
        at++;
    if (*count == LABELS_MAX || (at < *count && str_equal(out[at], name)))
        return;
    for (size_t i = *count; i > at; i--)
        out[i] = out[i - 1];
    out[at] = arena_str(arena, name);
    (*count)++;
}

size_t metric_labels(struct read_txn *txn, struct str metric, struct arena *arena, struct str *out)
{
    const struct selector selector = {.metric = metric};
    struct error ignored;
    uint32_t *ids = NULL;
    size_t series = 0;
    size_t count = 0;
    struct str key;

    if (!metric_series_ids(txn, &selector, arena, &ids, &series, &ignored))
        return 0;
    /* Some of all ages. */
    size_t step = series / METRIC_LABELS_SERIES + 1;
    for (size_t i = 0; i < series; i += step) {
        struct label label;
        size_t at = 0;
        while (catalog_key(txn, ids[i], &key) && series_key_next_label(key, &at, &label))
            add_label(label.name, arena, out, &count);
    }
    return count;
}

uint64_t metric_series_unwanted(struct read_txn *txn)
{
    MDB_stat stat;

    if (mdb_stat(txn->txn, txn->store->databases[DATABASE_UNWANTED], &stat) != 0)
        return 0;
    return stat.ms_entries;
}
