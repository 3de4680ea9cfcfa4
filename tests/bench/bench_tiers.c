/* How the newest minutes are best kept until they are compressed: tiers of runs, or a table in
 * memory beside the journal. What was found and decided is in docs/open-minutes.md.
 *
 *   bench_tiers [seconds of samples, 240] [directory, /tmp] */
#include "bench_run.h"

enum { LOOKUPS = 20000, READ_EVERY = 7 /* seconds */, READS = 100 };

/* Bytes that this process gave to the system to write. */
static double bytes_written(void)
{
    char line[128];
    double bytes = 0;
    FILE *file = fopen("/proc/self/io", "re");

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        uint64_t value = 0;
        struct str rest = {line, strcspn(line, "\n")};
        struct str name = str_split(&rest, ':');
        if (str_is(name, "wchar") && str_parse_u64(str_trim(rest), &value))
            bytes = (double)value;
    }
    (void)fclose(file);
    return bytes;
}

/* Which series each second touches: all of few, or a tenth of many in turn. */
struct load {
    const char *name;
    uint32_t step;
};

static void fill_second(const struct load *load, unsigned second, uint64_t *random,
                        struct run_cell *cells)
{
    fill(&MIX, 1 + second % load->step, load->step,
         BEGIN * MS_PER_MINUTE + (wall_ms)second * MS_PER_SECOND, random, cells);
}

enum { TIERS_MAX = 12, FANOUT_MAX = 16 };

struct tiers {
    struct bench_store store;
    unsigned fanout;
    struct run runs[TIERS_MAX][FANOUT_MAX];
    size_t counts[TIERS_MAX];
    uint64_t number;
    double merge_cpu, commit_cpu, read_cpu;
    size_t runs_max;
    double runs_sum, reads;
};

static void delete_run(struct write_txn *txn, const struct run *run)
{
    MDB_cursor *cursor = NULL;
    MDB_val value;
    struct schema_key first = SCHEMA_KEY_EMPTY;
    MDB_dbi database =
        txn->reader.store->databases[run->tier == 0 ? DATABASE_JOURNAL : DATABASE_RUN];

    schema_put_u64(&first, run->number);
    MDB_val key = store_key(&first);
    if (mdb_cursor_open(txn->reader.txn, database, &cursor) != 0)
        abort();
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && memcmp(key.mv_data, first.bytes, first.len) == 0) {
        if (mdb_cursor_del(cursor, 0) != 0)
            abort();
        rc = mdb_cursor_get(cursor, &key, &value, MDB_GET_CURRENT);
        if (rc != 0)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
}

/* A full tier becomes one run of the next. */
static void merge_tier(struct tiers *tiers, unsigned tier)
{
    struct error err = ERROR_EMPTY;
    struct run_writer writer;
    struct write_txn txn;
    double start = cpu_now();
    struct read_txn *reader = read_txn_begin(tiers->store.store, &err);

    must(reader != NULL, &err);
    must(write_txn_begin(tiers->store.store, NULL, &txn, &err), &err);
    run_writer_init(&writer, tier + 1, ++tiers->number);
    (void)merge_all(reader, tiers->runs[tier], tiers->counts[tier], &writer, &txn);
    for (size_t i = 0; i < tiers->counts[tier]; i++)
        delete_run(&txn, &tiers->runs[tier][i]);
    read_txn_end(reader);
    must(write_txn_commit(&txn, &err), &err);
    tiers->runs[tier + 1][tiers->counts[tier + 1]++] = writer.run;
    tiers->counts[tier] = 0;
    run_writer_fini(&writer);
    tiers->merge_cpu += cpu_now() - start;
}

static void commit_second(struct tiers *tiers, const struct run_cell *cells)
{
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    double start = cpu_now();
    size_t runs = 0;

    must(write_txn_begin(tiers->store.store, NULL, &txn, &err), &err);
    tiers->runs[0][tiers->counts[0]++] = write_run(&txn, 0, ++tiers->number, cells);
    must(write_txn_commit(&txn, &err), &err);
    tiers->commit_cpu += cpu_now() - start;
    for (unsigned tier = 0; tier < TIERS_MAX; tier++)
        runs += tiers->counts[tier];
    tiers->runs_max = runs > tiers->runs_max ? runs : tiers->runs_max;
    tiers->runs_sum += (double)runs;
    for (unsigned tier = 0; tiers->counts[tier] == tiers->fanout; tier++)
        merge_tier(tiers, tier);
}

/* A figure of one series now and then, over all runs that there are. */
static void read_some(struct tiers *tiers, uint32_t series, uint64_t *random)
{
    struct error err = ERROR_EMPTY;
    struct run runs[TIERS_MAX * FANOUT_MAX];
    size_t count = 0;
    struct read_txn *txn = read_txn_begin(tiers->store.store, &err);

    must(txn != NULL, &err);
    for (unsigned tier = 0; tier < TIERS_MAX; tier++) {
        for (size_t i = 0; i < tiers->counts[tier]; i++)
            runs[count++] = tiers->runs[tier][i];
    }
    double start = cpu_now();
    for (int i = 0; i < READS; i++) {
        uint32_t id = 1 + (uint32_t)(next_random(random) % series);
        (void)read_series(txn, runs, count, &id, 1);
    }
    tiers->read_cpu += cpu_now() - start;
    tiers->reads += READS;
    read_txn_end(txn);
}

static void measure_tiers(const char *directory, const struct load *load, unsigned fanout,
                          unsigned seconds, struct run_cell *cells)
{
    struct tiers *tiers = memory_zero(1, sizeof *tiers);
    double samples = (double)seconds * CELLS;
    uint64_t random = 6;
    char name[64];

    store_make(&tiers->store, directory);
    tiers->fanout = fanout;
    double before = bytes_written();
    for (unsigned second = 0; second < seconds; second++) {
        fill_second(load, second, &random, cells);
        commit_second(tiers, cells);
        if (second % READ_EVERY == 0)
            read_some(tiers, CELLS * load->step, &random);
    }
    (void)snprintf(name, sizeof name, "tiers of %u runs", fanout);
    (void)printf("%-26s %8.1f %8.1f %8.1f %8zu %8.1f %8.2f %8s %8s\n", name,
                 (bytes_written() - before) / samples, tiers->commit_cpu * 1e9 / samples,
                 tiers->merge_cpu * 1e9 / samples, tiers->runs_max, tiers->runs_sum / seconds,
                 tiers->read_cpu * 1e6 / tiers->reads, "0", "0");
    store_remove_all(&tiers->store);
    free(tiers);
}

/* The other way: a table of the open minute in memory. An entry keeps the newest commit's part
 * apart, so that a reader whose snapshot is one commit older can leave it out. */
struct head_entry {
    uint32_t id; /* 0: free */
    int64_t minute;
    uint64_t commit;
    struct aggregate merged, newest;
};

struct head {
    struct head_entry *entries;
    size_t count, mask;
};

static struct head_entry *head_find(const struct head *head, uint32_t id, int64_t minute)
{
    size_t at = (size_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 24) & head->mask;
    while (head->entries[at].id != 0 &&
           (head->entries[at].id != id || head->entries[at].minute != minute))
        at = (at + 1) & head->mask;
    return &head->entries[at];
}

static void head_grow(struct head *head)
{
    struct head old = *head;

    head->mask = old.entries == NULL ? 1023 : old.mask * 2 + 1;
    head->entries = memory_zero(head->mask + 1, sizeof *head->entries);
    for (size_t i = 0; old.entries != NULL && i <= old.mask; i++) {
        const struct head_entry *entry = &old.entries[i];
        if (entry->id != 0)
            *head_find(head, entry->id, entry->minute) = *entry;
    }
    free(old.entries);
}

static void head_add(struct head *head, const struct run_cell *cell, uint64_t commit)
{
    if (head->entries == NULL || head->count * 4 >= head->mask * 3)
        head_grow(head);
    struct head_entry *entry = head_find(head, cell->id, cell->minute);
    if (entry->id == 0) {
        entry->id = cell->id;
        entry->minute = cell->minute;
        head->count++;
    }
    aggregate_merge(&entry->merged, &entry->newest);
    entry->newest = cell->cell.aggregate;
    entry->commit = commit;
}

/* Seconds of CPU to read `count` runs into a new table, as after a restart. */
static double rebuild(struct store *store, const struct run *runs, size_t count)
{
    struct error err = ERROR_EMPTY;
    struct head head = {0};
    double start = cpu_now();
    struct read_txn *txn = read_txn_begin(store, &err);

    must(txn != NULL, &err);
    for (size_t i = 0; i < count; i++) {
        struct run_cursor cursor;
        must(run_cursor_init(&cursor, txn, &runs[i], &err), &err);
        must(run_cursor_first(&cursor, &err), &err);
        while (cursor.has_cell) {
            head_add(&head, &cursor.cell, runs[i].number);
            must(run_cursor_next(&cursor, &err), &err);
        }
        run_cursor_fini(&cursor);
    }
    read_txn_end(txn);
    free(head.entries);
    return cpu_now() - start;
}

/* One minute: the journal, the table, and at its end what is in the table as one sorted run. */
static void measure_head(const char *directory, const struct load *load, struct run_cell *cells)
{
    enum { MINUTE_SECONDS = 60 };
    struct error err = ERROR_EMPTY;
    struct bench_store store;
    struct run runs[MINUTE_SECONDS];
    struct head head = {0};
    const double samples = (double)MINUTE_SECONDS * CELLS;
    double commit_cpu = 0;
    double head_cpu = 0;
    uint64_t random = 6;
    struct write_txn txn;

    store_make(&store, directory);
    double before = bytes_written();
    for (unsigned second = 0; second < MINUTE_SECONDS; second++) {
        fill_second(load, second, &random, cells);
        double start = cpu_now();
        must(write_txn_begin(store.store, NULL, &txn, &err), &err);
        runs[second] = write_run(&txn, 0, 1 + second, cells);
        must(write_txn_commit(&txn, &err), &err);
        double middle = cpu_now();
        for (size_t i = 0; i < CELLS; i++)
            head_add(&head, &cells[i], 1 + second);
        commit_cpu += middle - start;
        head_cpu += cpu_now() - middle;
    }
    double memory = (double)(head.mask + 1) * sizeof *head.entries / (double)head.count;
    double start_reading = cpu_now();
    double sum = 0;
    for (int i = 0; i < LOOKUPS; i++) {
        uint32_t id = 1 + (uint32_t)(next_random(&random) % (CELLS * load->step));
        sum += head_find(&head, id, BEGIN)->merged.sum;
    }
    double reading = cpu_now() - start_reading;
    if (sum == 0)
        abort();
    double restart = rebuild(store.store, runs, MINUTE_SECONDS);

    struct run_writer writer;
    double start = cpu_now();
    must(write_txn_begin(store.store, NULL, &txn, &err), &err);
    run_writer_init(&writer, 1, 1);
    for (uint32_t id = 1; id <= CELLS * load->step; id++) {
        struct head_entry *entry = head_find(&head, id, BEGIN);
        if (entry->id == 0)
            continue;
        struct cell cell = CELL_EMPTY;
        cell.aggregate = entry->merged;
        aggregate_merge(&cell.aggregate, &entry->newest);
        must(run_writer_add(&writer, &txn, id, BEGIN, &cell, &err), &err);
    }
    must(run_writer_flush(&writer, &txn, &err), &err);
    run_writer_fini(&writer);
    for (size_t i = 0; i < MINUTE_SECONDS; i++)
        delete_run(&txn, &runs[i]);
    must(write_txn_commit(&txn, &err), &err);
    head_cpu += cpu_now() - start;
    (void)printf("%-26s %8.1f %8.1f %8.1f %8d %8d %8.2f %8.0f %8.2f\n", "a head in memory",
                 (bytes_written() - before) / samples, commit_cpu * 1e9 / samples,
                 head_cpu * 1e9 / samples, 1, 1, reading * 1e6 / LOOKUPS, memory, restart);
    free(head.entries);
    store_remove_all(&store);
}

static void measure_choice(const char *directory, unsigned seconds, struct run_cell *cells)
{
    static const struct load loads[] = {
        {"10^5 series, each of them every second", 1},
        {"10^6 series, a tenth of them every second", 10},
    };
    static const unsigned fanouts[] = {4, 8, 16};

    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        (void)printf("\n%s, %u s: bytes to disk a sample, ns of CPU a sample to commit and to "
                     "merge,\nruns (or tables) that a reader searches, us to "
                     "read one series, bytes of memory a\nseries, s of CPU to be complete after a "
                     "restart\n%-26s %8s %8s %8s %8s %8s %8s %8s %8s\n",
                     loads[i].name, seconds, "", "disk", "commit", "merge", "at most", "mean",
                     "read", "memory", "restart");
        for (size_t j = 0; j < sizeof fanouts / sizeof *fanouts; j++)
            measure_tiers(directory, &loads[i], fanouts[j], seconds, cells);
        measure_head(directory, &loads[i], cells);
    }
}

int main(int argc, char **argv)
{
    uint64_t seconds = 240;
    const char *directory = argc > 2 ? argv[2] : "/tmp";
    struct run_cell *cells = memory_zero(CELLS, sizeof *cells);

    if (argc > 1 && (!str_parse_u64(str_of(argv[1]), &seconds) || seconds == 0)) {
        (void)fprintf(stderr, "usage: bench_tiers [seconds] [directory]\n");
        return 2;
    }
    measure_choice(directory, (unsigned)seconds, cells);
    free(cells);
    return 0;
}
