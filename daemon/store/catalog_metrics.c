/* Which metrics there are: those of the index, and those of series that are not in it yet. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/table.h"
#include "store/catalog.h"
#include "store/series_cursor.h"

/* What a metric has of series that are not in the index. */
struct tail_metric {
    struct str name;
    struct str stem; /* index_metric_stem: metrics are listed in the order of these */
    struct metric_count count;
};

/* All metrics that have such series. */
struct tail {
    struct arena arena;
    struct table by_name;
    struct tail_metric **metrics; /* owned; in order once they are all there */
    size_t count;
    size_t at; /* the first one that was not visited */
};

static void count_one(struct metric_count *count, struct str key)
{
    count->kinds |= 1U << series_key_kind(key);
    count->series++;
}

void catalog_metric(const struct read_txn *txn, struct str metric, struct metric_count *out)
{
    struct series_cursor cursor;
    struct error err;
    uint32_t end = index_end(txn);

    *out = (struct metric_count){0};
    if (end > 0 && !metric_index_count(txn, metric, out, &err)) {
        *out = (struct metric_count){0};
        end = err.kind == ERROR_CORRUPT ? 0 : end; /* it is made anew in the background */
    }
    bool ok = series_cursor_init(&cursor, txn, &err) && series_cursor_seek(&cursor, end + 1, &err);
    while (ok && cursor.has) {
        if (cursor.key.len > 0 && str_equal(series_key_metric(cursor.key), metric))
            count_one(out, cursor.key);
        ok = series_cursor_next(&cursor, &err);
    }
    series_cursor_fini(&cursor);
}

static struct tail_metric *tail_at(struct tail *tail, struct str name)
{
    struct tail_metric *metric = table_find(&tail->by_name, name);

    if (metric != NULL)
        return metric;
    metric = arena_alloc(&tail->arena, sizeof *metric);
    *metric = (struct tail_metric){.name = name, .stem = index_metric_stem(name, &tail->arena)};
    (void)table_add(&tail->by_name, name, metric);
    return metric;
}

static int compare_stems(const void *a, const void *b)
{
    const struct tail_metric *const *one = a;
    const struct tail_metric *const *other = b;
    return str_compare((*one)->stem, (*other)->stem);
}

static void gather_tail(struct tail *tail, const struct read_txn *txn)
{
    struct series_cursor cursor;
    struct tail_metric *last = NULL; /* most series come after one of the same metric */
    const struct table_entry *entry = NULL;
    struct error err;
    size_t at = 0;

    bool ok = series_cursor_init(&cursor, txn, &err) &&
              series_cursor_seek(&cursor, index_end(txn) + 1, &err);
    while (ok && cursor.has) {
        struct str name = cursor.key.len > 0 ? series_key_metric(cursor.key) : STR_EMPTY;
        if (name.len > 0 && (last == NULL || !str_equal(last->name, name)))
            last = tail_at(tail, name);
        if (name.len > 0)
            count_one(&last->count, cursor.key);
        ok = series_cursor_next(&cursor, &err);
    }
    series_cursor_fini(&cursor);
    tail->metrics = memory_zero(tail->by_name.count + 1, sizeof(struct tail_metric *));
    while ((entry = table_next(&tail->by_name, &at)) != NULL)
        tail->metrics[tail->count++] = entry->value;
    if (tail->count > 1)
        qsort(tail->metrics, tail->count, sizeof(struct tail_metric *), compare_stems);
}

static void tail_fini(struct tail *tail)
{
    free(tail->metrics);
    table_fini(&tail->by_name);
    arena_fini(&tail->arena);
}

/* Visits those of the tail that come before a metric of the index, or all that are left. */
static bool visit_before(struct tail *tail, const struct metric_seen *metric,
                         catalog_metric_fn on_metric, void *arg)
{
    for (; tail->at < tail->count; tail->at++) {
        const struct tail_metric *one = tail->metrics[tail->at];
        if (metric != NULL && str_compare(one->stem, metric->stem) >= 0)
            return true;
        if (!on_metric(one->name, &one->count, arg))
            return false;
    }
    return true;
}

/* Takes what the tail has of a metric of the index. */
static void take_same(struct tail *tail, struct metric_seen *metric)
{
    if (tail->at == tail->count || !str_equal(tail->metrics[tail->at]->stem, metric->stem))
        return;
    metric->count.kinds |= tail->metrics[tail->at]->count.kinds;
    metric->count.series += tail->metrics[tail->at]->count.series;
    tail->at++;
}

void catalog_metrics(const struct read_txn *txn, catalog_metric_fn on_metric, void *arg)
{
    struct tail tail = {.at = 0};
    struct metric_seen metric;
    struct error err;
    bool has = true;
    bool goes_on = true;

    gather_tail(&tail, txn);
    struct metric_walk *walk = metric_walk_new(txn, &err);
    while (goes_on && walk != NULL && metric_walk_next(walk, &metric, &has, &err) && has) {
        goes_on = visit_before(&tail, &metric, on_metric, arg);
        take_same(&tail, &metric);
        goes_on = goes_on && on_metric(metric.name, &metric.count, arg);
    }
    if (goes_on)
        (void)visit_before(&tail, NULL, on_metric, arg);
    metric_walk_free(walk);
    tail_fini(&tail);
}
