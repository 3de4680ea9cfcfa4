#include "store/metric_table.h"

void metric_counts_fini(struct metric_counts *counts)
{
    table_fini(&counts->by_name);
    arena_fini(&counts->arena);
    *counts = (struct metric_counts)METRIC_COUNTS_EMPTY;
}

struct metric_count *metric_counts_at(struct metric_counts *counts, struct str metric)
{
    if (counts->last != NULL && str_equal(counts->last_name, metric))
        return counts->last;
    struct metric_count *count = table_find(&counts->by_name, metric);
    if (count == NULL) {
        count = arena_alloc(&counts->arena, sizeof *count);
        (void)table_add(&counts->by_name, metric, count);
    }
    counts->last = count;
    counts->last_name = metric;
    return count;
}

bool metric_table_decode(struct str bytes, struct str *name, struct metric_count *out)
{
    struct reader reader = reader_of(bytes);

    out->kinds = read_u32(&reader);
    out->series = read_u64(&reader);
    *name = (struct str){(const char *)reader.at, reader.left};
    return reader.ok && name->len > 0;
}

bool metric_table_find(const struct read_txn *txn, struct str metric, struct metric_count *out,
                       bool *found, struct error *err)
{
    struct schema_key key = schema_name_key(metric);
    struct str bytes;
    struct str name;

    *out = (struct metric_count){0};
    if (!store_find(txn, DATABASE_METRICS, store_key(&key), &bytes, found, err))
        return false;
    *found = *found && metric_table_decode(bytes, &name, out) && str_equal(name, metric);
    if (!*found)
        *out = (struct metric_count){0};
    return true;
}

static bool put_row(struct write_txn *txn, struct str metric, const struct metric_count *count,
                    struct error *err)
{
    struct schema_key key = schema_name_key(metric);
    struct buf bytes = BUF_EMPTY;

    buf_u32(&bytes, count->kinds);
    buf_u64(&bytes, count->series);
    buf_str(&bytes, metric);
    bool ok = store_put(txn, DATABASE_METRICS, store_key(&key), buf_view(&bytes), 0, err);
    buf_fini(&bytes);
    return ok;
}

bool metric_table_add(struct write_txn *txn, const struct metric_counts *counts, struct error *err)
{
    const struct table_entry *entry = NULL;
    size_t at = 0;

    while ((entry = table_next(&counts->by_name, &at)) != NULL) {
        const struct metric_count *more = entry->value;
        struct metric_count row;
        bool found = false;
        if (!metric_table_find(&txn->reader, entry->key, &row, &found, err))
            return false;
        row.kinds |= more->kinds;
        row.series += more->series;
        if (!put_row(txn, entry->key, &row, err))
            return false;
    }
    return true;
}

bool metric_table_remove(struct write_txn *txn, struct str metric, uint64_t series,
                         struct error *err)
{
    struct metric_count row;
    bool found = false;

    if (!metric_table_find(&txn->reader, metric, &row, &found, err))
        return false;
    row.series -= series < row.series ? series : row.series;
    return !found || put_row(txn, metric, &row, err);
}
