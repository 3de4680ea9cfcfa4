#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/memory.h"
#include "store/catalog.h"
#include "store/removed.h"
#include "store/series_cursor.h"

struct check {
    const struct read_txn *txn;
    catalog_finding_fn on_finding;
    void *arg;
    unsigned findings;
    uint32_t end; /* series up to here are in the index */
    struct removed removed;
    struct index_runs runs;
    struct metric_counts metrics; /* of indexed series */
    uint64_t expected, found;     /* sums over what the index should have, and has */
};

__attribute__((format(printf, 2, 3))) static void say(struct check *check, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (check->findings++ < CATALOG_FINDINGS_MAX)
        check->on_finding(text, check->arg);
}

/* Sums of these are equal for the same entries in whatever order they come. */
static uint64_t weight_of(struct series_hash key, uint32_t id)
{
    const uint64_t all[] = {key.high, key.low, id};
    return XXH3_64bits(all, sizeof all);
}

/* --- the rows of series --- */

static void check_series(struct check *check, const struct series_cursor *cursor, uint32_t before)
{
    struct index_entry entries[INDEX_ENTRIES_MAX];

    if (cursor->id <= before)
        say(check, "series %u: its number is not greater than the one before it", cursor->id);
    if (removed_has(&check->removed, cursor->id))
        say(check, "series %u was removed and is there", cursor->id);
    if (!series_key_is_valid(cursor->key)) {
        say(check, "series %u: its key cannot be read", cursor->id);
        return;
    }
    if (cursor->id > check->end)
        return;
    size_t count = index_entries_of(cursor->id, cursor->key, entries);
    for (size_t i = 0; i < count; i++)
        check->expected += weight_of(entries[i].key, cursor->id);
    struct metric_count *metric = metric_counts_at(&check->metrics, series_key_metric(cursor->key));
    metric->kinds |= 1U << series_key_kind(cursor->key);
    metric->series++;
}

typedef void (*series_fn)(struct check *check, const struct series_cursor *cursor, uint32_t before);

static bool visit_series(struct check *check, series_fn on_series, struct error *err)
{
    struct series_cursor cursor;
    uint32_t before = 0;
    bool ok = series_cursor_init(&cursor, check->txn, err) && series_cursor_seek(&cursor, 0, err);

    while (ok && cursor.has && check->findings < CATALOG_FINDINGS_MAX) {
        on_series(check, &cursor, before);
        before = cursor.id;
        ok = series_cursor_next(&cursor, err);
    }
    series_cursor_fini(&cursor);
    return ok;
}

/* --- the index --- */

static void check_run(struct check *check, const struct index_run *run)
{
    struct index_cursor cursor;
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    struct series_hash key = {0, 0};
    uint32_t last = 0;
    uint64_t entries = 0;
    size_t count = 0;
    struct error err = ERROR_EMPTY;
    bool ok = index_cursor_init(&cursor, check->txn, run->number, &err) &&
              index_cursor_seek(&cursor, key, 0, &err);

    while (ok && cursor.has) {
        ok = index_cursor_ids(&cursor, ids, &count, &err);
        if (!series_hash_equal(key, cursor.key))
            last = 0;
        key = cursor.key;
        for (size_t i = 0; i < count && ok; i++) {
            if (ids[i] <= last || ids[i] > check->end)
                ok = error_set(&err, ERROR_CORRUPT,
                               "index run %llu has series %u where it does not belong",
                               (unsigned long long)run->number, ids[i]);
            last = ids[i];
            if (!removed_has(&check->removed, ids[i]))
                check->found += weight_of(key, ids[i]);
        }
        entries += count;
        ok = ok && index_cursor_next(&cursor, &err);
    }
    index_cursor_fini(&cursor);
    if (!ok)
        say(check, "%s", err.text);
    else if (entries != run->entries)
        say(check, "index run %llu has %llu entries, its record says %llu",
            (unsigned long long)run->number, (unsigned long long)entries,
            (unsigned long long)run->entries);
}

/* An entry that the index should have. */
struct wanted {
    uint32_t id;
    unsigned char found[INDEX_ENTRIES_MAX];
};

static bool on_entry(size_t at, uint32_t id, void *arg)
{
    struct wanted *wanted = arg;
    if (id == wanted->id)
        wanted->found[at] = 1;
    return true;
}

static int compare_hashes(const void *a, const void *b)
{
    return index_key_order(*(const struct series_hash *)a, *(const struct series_hash *)b);
}

/* Slow: only when the sums have told that something is wrong somewhere. */
static void find_missing(struct check *check, const struct series_cursor *cursor, uint32_t before)
{
    struct index_entry entries[INDEX_ENTRIES_MAX];
    struct series_hash keys[INDEX_ENTRIES_MAX];
    struct wanted wanted = {.id = cursor->id};
    struct error err = ERROR_EMPTY;
    size_t missing = 0;
    (void)before;

    if (cursor->key.len == 0 || cursor->id > check->end)
        return;
    size_t count = index_entries_of(cursor->id, cursor->key, entries);
    for (size_t i = 0; i < count; i++)
        keys[i] = entries[i].key;
    qsort(keys, count, sizeof *keys, compare_hashes);
    if (!index_find_all(check->txn, keys, count, on_entry, &wanted, &err))
        return; /* the run was told already */
    for (size_t i = 0; i < count; i++)
        missing += wanted.found[i] == 0;
    if (missing > 0)
        say(check, "series %u is not found by %zu of the %zu keys that the index should have",
            cursor->id, missing, count);
}

/* --- metrics --- */

static void check_metrics(struct check *check)
{
    const struct table_entry *entry = NULL;
    struct error err = ERROR_EMPTY;
    size_t at = 0;
    char name[STR_QUOTED_SIZE];

    while ((entry = table_next(&check->metrics.by_name, &at)) != NULL) {
        const struct metric_count *count = entry->value;
        struct metric_count row;
        bool found = false;
        if (!metric_table_find(check->txn, entry->key, &row, &found, &err))
            say(check, "metric '%s': %s", str_quoted(entry->key, name), err.text);
        else if (row.series != count->series || (row.kinds & count->kinds) != count->kinds)
            say(check, "metric '%s' has %llu series, its record says %llu",
                str_quoted(entry->key, name), (unsigned long long)count->series,
                (unsigned long long)row.series);
    }
}

bool catalog_verify(const struct read_txn *txn, catalog_finding_fn on_finding, void *arg,
                    struct error *err)
{
    struct check check = {.txn = txn,
                          .on_finding = on_finding,
                          .arg = arg,
                          .end = index_end(txn),
                          .metrics = METRIC_COUNTS_EMPTY};
    bool ok = removed_init(&check.removed, txn, err) && index_runs_read(&check.runs, txn, err) &&
              visit_series(&check, check_series, err);

    for (size_t i = 0; i < check.runs.count && ok; i++)
        check_run(&check, &check.runs.items[i]);
    if (ok)
        check_metrics(&check);
    if (ok && check.found != check.expected) {
        unsigned before = check.findings;
        ok = visit_series(&check, find_missing, err);
        if (check.findings == before)
            say(&check, "the index has entries that belong to no series");
    }
    removed_fini(&check.removed);
    index_runs_fini(&check.runs);
    metric_counts_fini(&check.metrics);
    return ok;
}
