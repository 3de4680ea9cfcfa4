/* Rows of the small tables as a damaged or foreign data file may have them: whatever their keys and
 * values are, who reads them says that they cannot be read, or takes them for what they say;
 * nothing else happens. The rows are put into a transaction of a real store, read through by
 * everybody who reads them, and never committed.
 *
 * An input is a list of rows: u8 database (of those below, modulo their number), u8 bytes of the
 * key, u16 bytes of the value (little-endian), key, value; what ends in the middle of a row ends
 * there. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/annotation.h"
#include "store/catalog.h"
#include "store/export.h"
#include "store/guard.h"
#include "store/identity.h"
#include "store/kept.h"
#include "store/ledger_table.h"
#include "store/mixed.h"
#include "store/plan.h"
#include "store/query.h"
#include "store/removed.h"
#include "store/tracker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define BIG (UINT64_C(64) << 20)

/* In this order for good: the corpus names them by their places. */
static const enum database DATABASES_READ[] = {
    DATABASE_META,     DATABASE_SERIES,   DATABASE_SEEN,       DATABASE_RUNS,
    DATABASE_JOURNAL,  DATABASE_RUN,      DATABASE_PARTITIONS, DATABASE_MINUTES,
    DATABASE_QUARTERS, DATABASE_DAYS,     DATABASE_CALENDARS,  DATABASE_DAY_BOUNDS,
    DATABASE_KEPT,     DATABASE_GARBAGE,  DATABASE_REMOVED,    DATABASE_INDEX_RUNS,
    DATABASE_INDEX,    DATABASE_TRACKERS, DATABASE_IDENTITIES, DATABASE_IDENTITY_AGES,
    DATABASE_GAUGES,   DATABASE_LEDGER,   DATABASE_MIXED,      DATABASE_ANNOTATIONS,
    DATABASE_OWNERS,
};

enum { DATABASES_READ_COUNT = sizeof DATABASES_READ / sizeof *DATABASES_READ };

static struct store *store;
static char folder[64];

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void require_words(bool ok, const struct error *err)
{
    require(ok || (err->kind != ERROR_NONE && err->text[0] != '\0'));
}

static void remove_folder(void)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry = NULL;

    store_close(store);
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        (void)unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory != NULL)
        (void)closedir(directory);
    (void)rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct error err = ERROR_EMPTY;
    (void)argc;
    (void)argv;

    (void)snprintf(folder, sizeof folder, "/tmp/kpid-rows-XXXXXX");
    require(mkdtemp(folder) != NULL);
    store = store_open(&(const struct store_options){folder, BIG}, &err);
    require(store != NULL);
    require(atexit(remove_folder) == 0);
    return 0;
}

/* --- the rows --- */

static void put_rows(const struct write_txn *txn, struct reader input)
{
    while (input.left >= 4) {
        enum database database = DATABASES_READ[read_u8(&input) % DATABASES_READ_COUNT];
        MDB_val key = {.mv_size = read_u8(&input)};
        size_t low = read_u8(&input);
        MDB_val value = {.mv_size = low | (size_t)read_u8(&input) << 8};
        if (key.mv_size == 0 || key.mv_size > input.left)
            return;
        key.mv_data = (void *)input.at;
        input.at += key.mv_size;
        input.left -= key.mv_size;
        value.mv_size = value.mv_size < input.left ? value.mv_size : input.left;
        value.mv_data = (void *)input.at;
        input.at += value.mv_size;
        input.left -= value.mv_size;
        (void)mdb_put(txn->reader.txn, store->databases[database], &key, &value, 0);
    }
}

/* --- who reads them --- */

static bool on_day(const struct day_bounds *day, void *arg)
{
    (void)arg;
    require(day->from < day->to);
    return true;
}

static void read_parts(struct read_txn *txn, struct arena *arena)
{
    struct error err = ERROR_EMPTY;
    struct run *runs = NULL;
    struct partition *partitions = NULL;
    size_t count = 0;

    bool ok = parts_runs(txn, arena, &runs, &count, &err);
    require_words(ok, &err);
    for (size_t i = 0; ok && i < count; i++)
        require(runs[i].cells > 0 && runs[i].min_minute <= runs[i].max_minute);
    for (int level = 0; level < LEVEL_COUNT; level++) {
        const struct bucket_range range = {(enum level)level, level == LEVEL_DAY, INT64_MIN,
                                           INT64_MAX};
        ok = parts_partitions(txn, &range, arena, &partitions, &count, &err);
        require_words(ok, &err);
        for (size_t i = 0; ok && i < count; i++)
            require(partitions[i].from < partitions[i].to && partitions[i].number > 0);
    }
    require_words(
        parts_days(txn, &(const struct day_range){1, INT64_MIN, INT64_MAX}, on_day, NULL, &err),
        &err);
    for (int mark = 0; mark < MARK_COUNT; mark++)
        (void)parts_mark(txn, (enum mark)mark);
}

static void read_kept(struct read_txn *txn, struct arena *arena)
{
    const struct plan_range range = {-PLAN_MINUTE_LIMIT, PLAN_MINUTE_LIMIT, 0, 0};
    struct error err = ERROR_EMPTY;
    struct kept_row *rows = NULL;
    struct kept kept;
    struct plan plan;
    size_t count = 0;

    bool ok = kept_rows(txn, arena, &rows, &count, &err);
    require_words(ok, &err);
    for (size_t i = 0; ok && i < count; i++) {
        require(rows[i].metric.len > 0);
        (void)kept_whole_days_from(&rows[i].kept, 1);
    }
    ok = kept_of_metric(txn, STR("m"), arena, &kept, &err);
    require_words(ok, &err);
    if (ok)
        require_words(plan_read(txn, &kept, &range, arena, &plan, &err), &err);
}

static void read_names(struct read_txn *txn)
{
    struct error err = ERROR_EMPTY;
    struct removed removed;
    struct index_runs runs;
    struct metric_count count = {0};
    struct guard guard = {.mark = 0};
    const struct guard_now now = {.wall = INT64_C(1790000000000), .boot = 1000};
    uint32_t last = 0;
    struct str key;

    require_words(removed_init(&removed, txn, &err), &err);
    removed_fini(&removed);
    require_words(removed_last(txn, &last, &err), &err);
    require_words(index_runs_read(&runs, txn, &err), &err);
    index_runs_fini(&runs);
    require_words(metric_index_count(txn, STR("m"), &count, &err), &err);
    for (uint32_t id = 0; id < 3; id++)
        (void)catalog_key(txn, id, &key);
    guard_open(&guard, txn, &now);
}

static bool on_annotation(const struct annotation_place *place, const struct annotation *annotation,
                          void *arg)
{
    wall_ms *newer = arg;
    (void)annotation;
    require(place->at <= *newer);
    *newer = place->at;
    return true;
}

static void read_notes(struct read_txn *txn)
{
    const struct annotation_query query = {WALL_NONE, WALL_NONE, NULL};
    struct error err = ERROR_EMPTY;
    struct mixed mixed;
    wall_ms newer = INT64_MAX;

    mixed_of_metric(txn, STR("m"), &mixed);
    for (size_t i = 0; i < mixed.count; i++)
        require(mixed.spans[i].from <= mixed.spans[i].to);
    (void)mixed_in(&mixed, -1, 1);
    require_words(annotations_read(txn, &query, on_annotation, &newer, &err), &err);
}

static bool on_ledger(struct str listener, const struct ledger *ledger, void *arg)
{
    (void)listener;
    (void)arg;
    (void)ledger_balances(ledger);
    return true;
}

static void write_tables(struct write_txn *txn)
{
    const struct annotation annotation = {.at = 1, .title = STR("t")};
    const struct ledger counts = {.received = 3, .stored = 3};
    const struct ledger_drops drops = {.counts = {1}};
    struct error err = ERROR_EMPTY;
    struct tracker_set *trackers = tracker_set_new();
    struct delta *delta = delta_new();
    uint64_t unreadable = 0;
    size_t removed = 0;

    for (int kind = IDENTITY_PRODUCER; kind <= IDENTITY_KEY; kind++) {
        delta->identity = (struct delta_identity){
            .kind = (enum delta_identity_kind)kind, .epoch = 1, .sequence = 5};
        require_words(identity_decide(txn, delta, INT64_C(1790000000000), &err), &err);
    }
    require_words(identity_expire(txn, INT64_C(1790000000000), 8, &removed, &err), &err);
    query_ledgers(&txn->reader, on_ledger, NULL);
    delta_add_ledger(delta, STR("l"), &counts);
    require_words(
        ledger_table_add(txn, delta->ledgers, delta->ledger_count, &drops, &unreadable, &err),
        &err);
    require_words(mixed_note(txn, STR("m"), (struct mixed_span){1, 2}, &err), &err);
    require_words(annotations_add(txn, &annotation, 1, &err), &err);
    bool ok = tracker_set_begin(trackers, &txn->reader, &err);
    require_words(ok, &err);
    if (ok)
        require_words(tracker_set_save(trackers, txn, &err), &err);
    tracker_set_free(trackers);
    delta_free(delta);
}

/* --- whoever asks for all of it --- */

static void on_zone(const struct export_zone *zone, void *arg)
{
    (void)arg;
    require(zone->first <= zone->last);
}

static void on_metric(const struct export_metric *metric, void *arg)
{
    (void)arg;
    require(metric->metric.len > 0);
}

static bool on_exported_day(const struct export_day *day, void *arg)
{
    (void)arg;
    require(day->from < day->to);
    return true;
}

static bool on_cell(const struct export_cell *cell, void *arg)
{
    (void)cell;
    (void)arg;
    return true;
}

static void export_all(struct read_txn *txn)
{
    static const struct export_sink sink = {on_zone, on_metric, on_exported_day, on_cell};
    struct export export = {.range = {STR_EMPTY, STR_EMPTY, WALL_NONE, WALL_NONE}, .sink = &sink};
    struct error err = ERROR_EMPTY;
    bool more = false;

    require_words(export_page(txn, &export, &more, &err), &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct write_txn txn;
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;

    require(write_txn_begin(store, NULL, &txn, &err));
    put_rows(&txn, reader_of((struct str){(const char *)data, size}));
    read_parts(&txn.reader, &arena);
    read_kept(&txn.reader, &arena);
    read_names(&txn.reader);
    read_notes(&txn.reader);
    export_all(&txn.reader);
    write_tables(&txn);
    write_txn_abort(&txn);
    arena_fini(&arena);
    return 0;
}
