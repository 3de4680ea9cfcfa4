#include <fcntl.h>

#include "fixture.h"
#include "store/backup.h"
#include "store/parts.h"
#include "store/removed.h"

enum { BLOCK_BYTES = 4000, BIG_PARTITION_ROWS = 1500, FLIPS = 200 };

/* Where a backup goes, and what it is restored to. */
struct places {
    char folder[64];
    char file[96];
    char partial[112];
    char target[96];
};

static void places_init(struct places *places)
{
    make_directory(places->folder);
    (void)snprintf(places->file, sizeof places->file, "%s/backup", places->folder);
    (void)snprintf(places->partial, sizeof places->partial, "%s/backup.partial", places->folder);
    (void)snprintf(places->target, sizeof places->target, "%s/restored", places->folder);
}

static void empty_target(const struct places *places)
{
    if (access(places->target, F_OK) == 0)
        remove_directory(places->target);
}

static void places_fini(const struct places *places)
{
    empty_target(places);
    remove_directory(places->folder);
}

/* --- a store of made-up rows --- */

static void begin(struct fixture *fixture, struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    if (!write_txn_begin(fixture->store, NULL, txn, &err))
        fail_msg("%s", err.text);
}

static void end(struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    uint64_t number = store_commit_number(&txn->reader) + 1;
    assert_true(meta_put(txn, "commit", number, &err));
    if (!write_txn_commit(txn, &err))
        fail_msg("%s", err.text);
}

static void put(struct write_txn *txn, enum database database, const struct schema_key *key,
                struct str value)
{
    struct error err = ERROR_EMPTY;
    if (!store_put(txn, database, store_key(key), value, 0, &err))
        fail_msg("%s", err.text);
}

static void put_text(struct write_txn *txn, enum database database, const char *key,
                     const char *value)
{
    struct schema_key name = schema_name_key(str_of(key));
    put(txn, database, &name, str_of(value));
}

static struct str block(char *bytes, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1103515245 + 12345;
        bytes[i] = (char)(seed >> 24);
    }
    return (struct str){bytes, len};
}

static void put_block(struct write_txn *txn, enum level level, uint32_t number, uint32_t id)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    char bytes[BLOCK_BYTES];

    schema_put_u32(&key, number);
    schema_put_u32(&key, id);
    schema_put_u8(&key, 0);
    put(txn, parts_blocks(level), &key, block(bytes, sizeof bytes, number * 31 + id));
}

static struct partition partition_of(enum level level, uint32_t number)
{
    return (struct partition){.level = level,
                              .calendar = level == LEVEL_DAY ? 1 : 0,
                              .number = number,
                              .from = 16 * number,
                              .to = 16 * number + 16,
                              .version = 5};
}

static void add_partition(struct write_txn *txn, enum level level, uint32_t number, uint32_t rows)
{
    struct error err = ERROR_EMPTY;
    const struct partition partition = partition_of(level, number);

    for (uint32_t id = 1; id <= rows; id++)
        put_block(txn, level, number, id);
    assert_true(parts_add_partition(txn, &partition, &err));
}

/* As the background work takes it away: off the list, and its rows with it. */
static void remove_partition(struct write_txn *txn, enum level level, uint32_t number,
                             uint32_t rows)
{
    struct error err = ERROR_EMPTY;
    const struct partition partition = partition_of(level, number);

    assert_true(parts_remove_partition(txn, &partition, &err));
    for (uint32_t id = 1; id <= rows; id++) {
        struct schema_key key = SCHEMA_KEY_EMPTY;
        schema_put_u32(&key, number);
        schema_put_u32(&key, id);
        schema_put_u8(&key, 0);
        assert_true(store_remove(txn, parts_blocks(level), store_key(&key), &err));
    }
}

static void prune_partition(struct write_txn *txn, enum level level, uint32_t number, uint32_t id)
{
    struct error err = ERROR_EMPTY;
    struct partition partition = partition_of(level, number);
    struct schema_key key = SCHEMA_KEY_EMPTY;

    schema_put_u32(&key, number);
    schema_put_u32(&key, id);
    schema_put_u8(&key, 0);
    assert_true(store_remove(txn, parts_blocks(level), store_key(&key), &err));
    partition.pruned = 1;
    assert_true(parts_add_partition(txn, &partition, &err));
}

static void add_run(struct write_txn *txn, unsigned tier, uint64_t number, uint32_t rows)
{
    struct error err = ERROR_EMPTY;
    const struct run run = {.tier = tier, .number = number, .cells = rows};
    char bytes[BLOCK_BYTES];

    for (uint32_t id = 1; id <= rows; id++) {
        struct schema_key key = SCHEMA_KEY_EMPTY;
        schema_put_u64(&key, number);
        schema_put_i64(&key, 7);
        schema_put_u32(&key, id);
        schema_put_u8(&key, 0);
        put(txn, tier == 0 ? DATABASE_JOURNAL : DATABASE_RUN, &key,
            block(bytes, sizeof bytes, (uint32_t)number + id));
    }
    assert_true(parts_add_run(txn, &run, &err));
}

static void add_index_run(struct write_txn *txn, uint64_t number)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;

    schema_put_u64(&key, number);
    put(txn, DATABASE_INDEX_RUNS, &key, STR("entries and bytes"));
    schema_put_u64(&key, 1);
    schema_put_u64(&key, 2);
    schema_put_u32(&key, 3);
    put(txn, DATABASE_INDEX, &key, STR("an index chunk"));
}

static void add_series_row(struct write_txn *txn, uint32_t id)
{
    char value[40];
    struct schema_key key = schema_id_key(id);

    (void)snprintf(value, sizeof value, "12345678\1series_%u", id);
    put(txn, DATABASE_SERIES, &key, str_of(value));
}

static void remove_series_row(struct write_txn *txn, uint32_t id)
{
    struct error err = ERROR_EMPTY;
    struct schema_key key = schema_id_key(id);

    assert_true(store_remove(txn, DATABASE_SERIES, store_key(&key), &err));
    assert_true(removed_add(txn, id, &err));
}

/* A row in each table that nothing was put into: whatever is added to the schema has to come back.
 */
static void fill_the_rest(struct write_txn *txn)
{
    for (int i = 0; i < DATABASE_COUNT; i++) {
        MDB_stat facts;
        char row[24];
        if (i == DATABASE_GARBAGE || i == DATABASE_REMOVED || i == DATABASE_QUARTERS)
            continue; /* of what is gone, or listed elsewhere */
        assert_int_equal(mdb_stat(txn->reader.txn, txn->reader.store->databases[i], &facts), 0);
        (void)snprintf(row, sizeof row, "of table %d", i);
        if (facts.ms_entries == 0)
            put_text(txn, (enum database)i, "row", row);
    }
}

static void fill(struct fixture *fixture)
{
    struct write_txn txn;

    begin(fixture, &txn);
    for (uint32_t id = 1; id <= 300; id++)
        add_series_row(&txn, id);
    add_run(&txn, 0, 40, 2);
    add_run(&txn, 1, 41, 3);
    add_run(&txn, 2, 12, 10);
    add_partition(&txn, LEVEL_MINUTE, 1, 20);
    add_partition(&txn, LEVEL_MINUTE, 2, 20);
    add_partition(&txn, LEVEL_QUARTER, 3, 0); /* there may be none in it */
    add_partition(&txn, LEVEL_DAY, 4, 5);
    add_index_run(&txn, 9);
    put_text(&txn, DATABASE_TRACKERS, "tracker", "100");
    put_text(&txn, DATABASE_LEDGER, "listener", "counts");
    put_text(&txn, DATABASE_OUTBOX, "hook", "an entry that waits");
    put_text(&txn, DATABASE_META, "newest", "12345678");
    fill_the_rest(&txn);
    end(&txn);
}

/* Rows that are built or taken away, and belong to nothing that is listed. */
static void add_garbage(struct fixture *fixture)
{
    struct error err = ERROR_EMPTY;
    struct write_txn txn;

    begin(fixture, &txn);
    for (uint32_t id = 1; id <= 4; id++)
        put_block(&txn, LEVEL_MINUTE, 77, id);
    assert_true(parts_add_garbage(&txn, GARBAGE_MINUTES, 77, &err));
    end(&txn);
}

static bool is_garbage(enum database database, const MDB_val *key)
{
    struct schema_reader reader = schema_reader_of(store_bytes(key));
    if (database == DATABASE_GARBAGE)
        return true;
    return database == DATABASE_MINUTES && schema_get_u32(&reader) == 77;
}

/* All rows of a store but its name and its garbage. */
static void dump(struct store *store, struct buf *out)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_txn_begin(store, &err);

    assert_non_null(txn);
    for (int i = 0; i < DATABASE_COUNT; i++) {
        MDB_cursor *cursor = NULL;
        MDB_val key;
        MDB_val value;
        assert_int_equal(mdb_cursor_open(txn->txn, store->databases[i], &cursor), 0);
        while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
            if ((i == DATABASE_META && str_is(store_bytes(&key), "origin")) ||
                is_garbage((enum database)i, &key))
                continue;
            buf_u8(out, (uint8_t)i);
            buf_block(out, store_bytes(&key));
            buf_block(out, store_bytes(&value));
        }
        mdb_cursor_close(cursor);
    }
    read_txn_end(txn);
}

static void origin_of(struct store *store, char out[33])
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_txn_begin(store, &err);
    store_origin(txn, out);
    read_txn_end(txn);
}

static struct backup_progress backup(struct fixture *fixture, const struct backup_options *options)
{
    struct backup_progress progress;
    struct error err = ERROR_EMPTY;
    if (!backup_write(fixture->store, options, &progress, &err))
        fail_msg("%s", err.text);
    return progress;
}

/* Restores the file and compares with the fixture's store. */
static void expect_restored(struct fixture *fixture, const struct places *places)
{
    struct restore_report report;
    struct error err = ERROR_EMPTY;
    struct buf expected = BUF_EMPTY;
    struct buf found = BUF_EMPTY;
    char origin[33];
    char restored_origin[33];

    if (!backup_restore(places->file, places->target, &report, &err))
        fail_msg("%s", err.text);
    assert_int_equal(report.commit, commit_number(fixture));
    const struct store_options options = {places->target, BIG_SIZE};
    struct store *restored = store_open(&options, &err);
    assert_non_null(restored);
    dump(fixture->store, &expected);
    dump(restored, &found);
    assert_int_equal(found.len, expected.len);
    assert_memory_equal(found.bytes, expected.bytes, expected.len);
    origin_of(fixture->store, origin);
    origin_of(restored, restored_origin);
    assert_string_not_equal(origin, restored_origin);
    buf_fini(&expected);
    buf_fini(&found);
    store_close(restored);
}

/* --- round trips --- */

static void what_is_restored_is_what_was_there(void **state)
{
    struct fixture *fixture = *state;
    struct places places;

    places_init(&places);
    fill(fixture);
    add_garbage(fixture);
    const struct backup_options options = {.file = places.file};
    struct backup_progress progress = backup(fixture, &options);
    assert_int_equal(progress.commit, commit_number(fixture));
    assert_int_not_equal(access(places.partial, F_OK), 0);
    expect_restored(fixture, &places);
    places_fini(&places);
}

static void an_empty_store_is_restored_too(void **state)
{
    struct places places;

    places_init(&places);
    const struct backup_options options = {.file = places.file};
    (void)backup(*state, &options);
    assert_int_equal(mkdir(places.target, 0700), 0); /* empty: that is fine */
    expect_restored(*state, &places);
    places_fini(&places);
}

/* What happens to the store while it is backed up, one thing a call. */
struct meanwhile {
    struct fixture *fixture;
    int calls;
};

static bool change_the_store(const struct backup_progress *progress, void *arg)
{
    struct meanwhile *meanwhile = arg;
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    const struct run merged = {.tier = 0, .number = 40};

    if (progress->commit != 0)
        return true; /* it is done */
    begin(meanwhile->fixture, &txn);
    switch (meanwhile->calls++) {
    case 0: /* the catalogue was copied */
        add_series_row(&txn, 301);
        remove_series_row(&txn, 17);
        remove_series_row(&txn, 300);
        break;
    case 1: /* in the middle of the large partition */
        remove_partition(&txn, LEVEL_MINUTE, 5, BIG_PARTITION_ROWS);
        remove_partition(&txn, LEVEL_MINUTE, 1, 20);
        add_partition(&txn, LEVEL_MINUTE, 6, 30);
        prune_partition(&txn, LEVEL_MINUTE, 2, 7);
        break;
    case 2:
        assert_true(parts_remove_run(&txn, &merged, &err));
        add_run(&txn, 1, 42, 4);
        add_run(&txn, 0, 60, 1);
        put_text(&txn, DATABASE_TRACKERS, "tracker", "200");
        put_text(&txn, DATABASE_TRACKERS, "another", "1");
        add_series_row(&txn, 302);
        break;
    default:
        break;
    }
    end(&txn);
    return true;
}

/* Garbage of the runs that were taken off the list stays in the dump: take it out of both. */
static void collect_garbage(struct fixture *fixture)
{
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    size_t deleted = 1;

    begin(fixture, &txn);
    while (deleted > 0)
        assert_true(parts_collect(&txn, NULL, 0, 10000, &deleted, &err));
    assert_true(write_txn_commit(&txn, &err));
}

static void a_backup_shows_the_last_snapshot_whatever_happens_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    struct meanwhile meanwhile = {.fixture = fixture};
    struct places places;
    struct write_txn txn;

    places_init(&places);
    fill(fixture);
    begin(fixture, &txn);
    add_partition(&txn, LEVEL_MINUTE, 5, BIG_PARTITION_ROWS); /* more than one snapshot copies */
    end(&txn);
    const struct backup_options options = {.file = places.file,
                                           .bytes_per_s = UINT64_C(1) << 40,
                                           .on_progress = change_the_store,
                                           .arg = &meanwhile};
    (void)backup(fixture, &options);
    assert_true(meanwhile.calls >= 3);
    collect_garbage(fixture);
    expect_restored(fixture, &places);
    places_fini(&places);
}

/* --- files that are no backups --- */

static void expect_refused(const struct places *places, enum error_kind kind)
{
    struct restore_report report;
    struct error err = ERROR_EMPTY;

    if (backup_restore(places->file, places->target, &report, &err))
        fail_msg("a file that is no backup was restored");
    if (err.kind != kind)
        fail_msg("%s", err.text);
    assert_int_not_equal(access(places->target, F_OK), 0);
}

static void write_file(const char *path, const char *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    (void)close(fd);
}

static void change_file(const char *path, const char *bytes, size_t len, size_t at)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
    (void)close(fd);
}

static char *read_file(const char *path, size_t *len)
{
    struct stat facts;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &facts), 0);
    *len = (size_t)facts.st_size;
    char *bytes = memory_alloc(*len);
    assert_int_equal(read(fd, bytes, *len), *len);
    (void)close(fd);
    return bytes;
}

static void a_damaged_file_restores_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct places places;
    struct write_txn txn;
    size_t len = 0;

    places_init(&places);
    begin(fixture, &txn);
    add_series_row(&txn, 1);
    add_run(&txn, 1, 41, 1);
    end(&txn);
    const struct backup_options options = {.file = places.file};
    (void)backup(fixture, &options);
    char *bytes = read_file(places.file, &len);
    for (size_t i = 0; i < FLIPS; i++) {
        size_t at = i < 60 ? i : i * len / FLIPS;
        struct restore_report report;
        struct error err = ERROR_EMPTY;
        const char turned = (char)(bytes[at] ^ 1);
        change_file(places.file, &turned, 1, at);
        if (backup_restore(places.file, places.target, &report, &err))
            fail_msg("byte %zu was turned, and it was restored", at);
        assert_int_not_equal(access(places.target, F_OK), 0);
        change_file(places.file, &bytes[at], 1, at);
    }
    for (size_t i = FLIPS; i-- > 0;) {
        assert_int_equal(truncate(places.file, (off_t)(i < 60 ? i : i * len / FLIPS)), 0);
        struct restore_report report;
        struct error err = ERROR_EMPTY;
        if (backup_restore(places.file, places.target, &report, &err))
            fail_msg("a file cut to %zu bytes was restored", i * len / FLIPS);
        assert_int_not_equal(access(places.target, F_OK), 0);
    }
    write_file(places.file, bytes, len);
    expect_restored(fixture, &places);
    free(bytes);
    places_fini(&places);
}

static void other_files_are_refused_with_a_sentence(void **state)
{
    struct places places;
    size_t len = 0;

    places_init(&places);
    expect_refused(&places, ERROR_NOT_FOUND);
    write_file(places.file, "", 0);
    expect_refused(&places, ERROR_INVALID);
    write_file(places.file,
               "a text of more than seventy bytes, which is what a backup has at "
               "least, is no backup",
               84);
    expect_refused(&places, ERROR_INVALID);
    (void)unlink(places.file);

    const struct backup_options options = {.file = places.file};
    (void)backup(*state, &options);
    char *bytes = read_file(places.file, &len);
    bytes[8]++; /* the form's version */
    write_file(places.file, bytes, len);
    expect_refused(&places, ERROR_CONFLICT);
    bytes[8]--;
    bytes[12]++; /* the schema's */
    write_file(places.file, bytes, len);
    expect_refused(&places, ERROR_CONFLICT);
    free(bytes);
    places_fini(&places);
}

/* --- what is never written over --- */

static void a_backup_writes_over_nothing_but_what_another_has_left(void **state)
{
    struct places places;
    struct backup_progress progress;
    struct error err = ERROR_EMPTY;

    places_init(&places);
    const struct backup_options options = {.file = places.file};
    write_file(places.file, "precious", 8);
    assert_false(backup_write(((struct fixture *)*state)->store, &options, &progress, &err));
    assert_int_equal(err.kind, ERROR_CONFLICT);
    (void)unlink(places.file);
    write_file(places.partial, "of one that was killed", 22);
    (void)backup(*state, &options);
    expect_restored(*state, &places);
    places_fini(&places);
}

static void a_restore_writes_over_nothing(void **state)
{
    struct places places;
    struct restore_report report;
    struct error err = ERROR_EMPTY;
    char inside[128];

    places_init(&places);
    const struct backup_options options = {.file = places.file};
    (void)backup(*state, &options);
    assert_int_equal(mkdir(places.target, 0700), 0);
    (void)snprintf(inside, sizeof inside, "%s/data.mdb", places.target);
    write_file(inside, "precious", 8);
    assert_false(backup_restore(places.file, places.target, &report, &err));
    assert_int_equal(err.kind, ERROR_CONFLICT);
    assert_string_equal(err.hint, "a restore writes over nothing: name another directory");
    size_t len = 0;
    char *bytes = read_file(inside, &len);
    assert_int_equal(len, 8);
    free(bytes);
    places_fini(&places);
}

/* --- stopping, and how long snapshots are --- */

struct stop {
    int calls, stop_at;
    uint64_t bytes;
};

static bool stop_later(const struct backup_progress *progress, void *arg)
{
    struct stop *stop = arg;
    stop->bytes = progress->bytes;
    return ++stop->calls < stop->stop_at;
}

static void a_backup_that_is_stopped_leaves_no_file(void **state)
{
    struct fixture *fixture = *state;
    struct places places;

    places_init(&places);
    fill(fixture);
    for (int at = 1; at <= 3; at++) {
        struct stop stop = {.stop_at = at};
        struct backup_progress progress;
        struct error err = ERROR_EMPTY;
        /* So slow that it would never end. */
        const struct backup_options options = {
            .file = places.file, .bytes_per_s = 1000, .on_progress = stop_later, .arg = &stop};
        assert_false(backup_write(fixture->store, &options, &progress, &err));
        assert_int_equal(err.kind, ERROR_UNAVAILABLE);
        assert_int_not_equal(access(places.file, F_OK), 0);
        assert_int_not_equal(access(places.partial, F_OK), 0);
    }
    places_fini(&places);
}

/* Writes the same rows anew between snapshots, which frees as many pages as it takes. */
static bool write_the_same_again(const struct backup_progress *progress, void *arg)
{
    struct meanwhile *meanwhile = arg;
    struct write_txn txn;
    char bytes[BLOCK_BYTES];

    if (progress->commit != 0)
        return true;
    meanwhile->calls++;
    begin(meanwhile->fixture, &txn);
    for (uint32_t id = 1; id <= 100; id++) {
        struct schema_key key = schema_id_key(id);
        put(&txn, DATABASE_GAUGES, &key, block(bytes, sizeof bytes, id));
    }
    end(&txn);
    return true;
}

static uint64_t file_pages(struct fixture *fixture)
{
    MDB_envinfo info;
    assert_int_equal(mdb_env_info(fixture->store->env, &info), 0);
    return info.me_last_pgno + 1;
}

static void a_backup_keeps_no_pages_for_long(void **state)
{
    struct fixture *fixture = *state;
    struct meanwhile meanwhile = {.fixture = fixture};
    const struct backup_progress running = {0};
    struct places places;
    struct write_txn txn;

    places_init(&places);
    for (uint32_t number = 1; number <= 10; number++) {
        begin(fixture, &txn);
        add_partition(&txn, LEVEL_MINUTE, number, BIG_PARTITION_ROWS / 2);
        end(&txn);
    }
    for (int i = 0; i < 10; i++)
        (void)write_the_same_again(&running, &meanwhile);
    uint64_t before = file_pages(fixture);
    meanwhile.calls = 0;
    const struct backup_options options = {.file = places.file,
                                           .bytes_per_s = UINT64_C(1) << 40,
                                           .on_progress = write_the_same_again,
                                           .arg = &meanwhile};
    (void)backup(fixture, &options);
    assert_true(meanwhile.calls >= 8);
    /* One snapshot for all of it would have kept each page that was written: 100 a call. */
    assert_true(file_pages(fixture) <= before + 210);
    expect_restored(fixture, &places);
    places_fini(&places);
}

/* --- compact --- */

static void compacting_leaves_free_pages_out(void **state)
{
    struct fixture *fixture = *state;
    struct write_txn txn;
    struct error err = ERROR_EMPTY;
    struct buf expected = BUF_EMPTY;
    struct buf found = BUF_EMPTY;
    uint64_t before = 0;
    uint64_t after = 0;

    fill(fixture);
    begin(fixture, &txn);
    add_partition(&txn, LEVEL_MINUTE, 5, BIG_PARTITION_ROWS);
    end(&txn);
    begin(fixture, &txn);
    remove_partition(&txn, LEVEL_MINUTE, 5, BIG_PARTITION_ROWS);
    end(&txn);
    dump(fixture->store, &expected);
    assert_false(backup_compact(fixture->path, &before, &after, &err)); /* it is in use */
    assert_int_equal(err.kind, ERROR_CONFLICT);

    fixture_close(fixture);
    if (!backup_compact(fixture->path, &before, &after, &err))
        fail_msg("%s", err.text);
    assert_true(after < before / 4);
    fixture_open(fixture);
    dump(fixture->store, &found);
    assert_int_equal(found.len, expected.len);
    assert_memory_equal(found.bytes, expected.bytes, expected.len);
    buf_fini(&expected);
    buf_fini(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_is_restored_is_what_was_there),
        STORE_TEST(an_empty_store_is_restored_too),
        STORE_TEST(a_backup_shows_the_last_snapshot_whatever_happens_meanwhile),
        STORE_TEST(a_damaged_file_restores_nothing),
        STORE_TEST(other_files_are_refused_with_a_sentence),
        STORE_TEST(a_backup_writes_over_nothing_but_what_another_has_left),
        STORE_TEST(a_restore_writes_over_nothing),
        STORE_TEST(a_backup_that_is_stopped_leaves_no_file),
        STORE_TEST(a_backup_keeps_no_pages_for_long),
        STORE_TEST(compacting_leaves_free_pages_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
