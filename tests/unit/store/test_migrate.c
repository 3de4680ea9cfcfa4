/* A data directory of schema version 2, written by hand, and one of versions 3 and 4, which differ
 * in their index, and what becomes of them. Linked with -Wl,--wrap, so that a commit on the way can
 * fail. */
#include <errno.h>
#include <lmdb.h>

#include "fixture.h"
#include "store/backup.h"
#include "store/indexer.h"
#include "store/verify.h"

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

static int commits_until_failure; /* 0: none fails */

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
    if (commits_until_failure > 0 && --commits_until_failure == 0) {
        mdb_txn_abort(txn);
        return ENOSPC;
    }
    return __real_mdb_txn_commit(txn);
}

/* --- version 2 --- */

struct old {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta, series, by_hash, by_metric, metrics, cells, ledger;
};

static void old_put(struct old *old, MDB_dbi dbi, const struct buf *key, const struct buf *value)
{
    MDB_val name = {key->len, key->bytes};
    MDB_val bytes = {value->len, value->bytes};
    assert_int_equal(mdb_put(old->txn, dbi, &name, &bytes, 0), 0);
}

static void put_big(struct buf *buf, uint64_t value, unsigned size)
{
    for (unsigned i = size; i-- > 0;)
        buf_u8(buf, (uint8_t)(value >> (8 * i)));
}

static void old_open(struct old *old, const char *path)
{
    static const char *const names[] = {"meta",    "series", "by_hash", "by_metric",
                                        "metrics", "cells",  "ledger"};
    MDB_dbi *const dbis[] = {&old->meta,    &old->series, &old->by_hash, &old->by_metric,
                             &old->metrics, &old->cells,  &old->ledger};

    assert_int_equal(mdb_env_create(&old->env), 0);
    assert_int_equal(mdb_env_set_maxdbs(old->env, 64), 0);
    assert_int_equal(mdb_env_set_mapsize(old->env, BIG_SIZE), 0);
    assert_int_equal(mdb_env_open(old->env, path, MDB_NOSYNC, 0600), 0);
    assert_int_equal(mdb_txn_begin(old->env, NULL, 0, &old->txn), 0);
    for (size_t i = 0; i < TEST_COUNT(names); i++)
        assert_int_equal(mdb_dbi_open(old->txn, names[i], MDB_CREATE, dbis[i]), 0);
}

static void old_meta(struct old *old, const char *name, const struct buf *value)
{
    struct buf key = BUF_EMPTY;
    buf_text(&key, name);
    old_put(old, old->meta, &key, value);
    buf_fini(&key);
}

static void old_close(struct old *old)
{
    struct buf value = BUF_EMPTY;

    buf_u32(&value, 2);
    old_meta(old, "schema", &value);
    buf_clear(&value);
    buf_text(&value, "0123456789abcdef");
    old_meta(old, "origin", &value);
    buf_clear(&value);
    buf_u64(&value, 41);
    old_meta(old, "commit", &value);
    buf_clear(&value);
    buf_i64(&value, AT(MINUTE, 0));
    old_meta(old, "newest", &value);
    buf_fini(&value);
    assert_int_equal(mdb_txn_commit(old->txn), 0);
    mdb_env_close(old->env);
}

static void old_series(struct old *old, uint32_t id, enum metric_kind kind, const char *metric,
                       const char *labels)
{
    struct buf key = BUF_EMPTY;
    struct buf name = BUF_EMPTY;
    struct buf value = BUF_EMPTY;

    write_key(&key, kind, metric, labels);
    struct series_hash hash = series_key_hash(buf_view(&key));
    put_big(&name, id, 4);
    buf_i64(&value, AT(MINUTE, 0));
    buf_str(&value, buf_view(&key));
    old_put(old, old->series, &name, &value);
    buf_clear(&name);
    buf_clear(&value);
    put_big(&name, hash.high, 8);
    put_big(&name, hash.low, 8);
    buf_u32(&value, id);
    old_put(old, old->by_hash, &name, &value);
    put_big(&name, id, 4); /* not its metric's, but nobody reads it */
    old_put(old, old->by_metric, &name, &value);
    buf_clear(&name);
    buf_clear(&value);
    buf_text(&name, metric);
    buf_u32(&value, 1U << kind);
    buf_i64(&value, AT(MINUTE, 0));
    buf_i64(&value, AT(MINUTE, 0));
    buf_u64(&value, 1);
    buf_text(&value, metric);
    old_put(old, old->metrics, &name, &value);
    buf_fini(&key);
    buf_fini(&name);
    buf_fini(&value);
}

static void old_bytes(struct old *old, uint32_t id, int64_t minute, const struct buf *bytes)
{
    struct buf key = BUF_EMPTY;
    put_big(&key, id, 4);
    put_big(&key, (uint64_t)minute ^ UINT64_C(0x8000000000000000), 8);
    old_put(old, old->cells, &key, bytes);
    buf_fini(&key);
}

static void old_cell(struct old *old, uint32_t id, int64_t minute, double value)
{
    wall_ms at = minute == INT64_MAX ? AT(MINUTE, 7) : AT(minute, 7);
    struct cell cell = CELL_EMPTY;
    struct buf bytes = BUF_EMPTY;

    aggregate_add(&cell.aggregate, value, WEIGHT_ONE, at, 5);
    cell_encode(&cell, &bytes);
    old_bytes(old, id, minute, &bytes);
    buf_fini(&bytes);
}

/* --- versions 3 and 4 --- */

/* Makes of a directory of this version one of an older one: the index is what it could not be now,
 * and metrics have a table. */
static void make_version(const char *path, char number)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi meta = 0;
    MDB_dbi index = 0;
    char schema[] = "schema";
    char version[4] = {number};
    char place[28] = {0, 0, 0, 0, 0, 0, 0, 1}; /* u64 run, 16 bytes key, u32 id */
    char chunk[] = "\1as it was";
    MDB_val key = {strlen(schema), schema};
    MDB_val value = {sizeof version, version};

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 64), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
    assert_int_equal(mdb_dbi_open(txn, "index", 0, &index), 0);
    assert_int_equal(mdb_drop(txn, index, 0), 0);
    key = (MDB_val){sizeof place, place};
    value = (MDB_val){sizeof chunk, chunk};
    assert_int_equal(mdb_put(txn, index, &key, &value, 0), 0);
    assert_int_equal(mdb_dbi_open(txn, "metrics", MDB_CREATE, &index), 0);
    assert_int_equal(mdb_put(txn, index, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* A row of the trackers' log; only that it is there matters. */
static void put_tracker(const char *path)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi = 0;
    char number[8] = {0, 0, 0, 0, 0, 0, 0, 1};
    char row[] = "\1";
    MDB_val key = {sizeof number, number};
    MDB_val value = {1, row};

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 64), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "trackers", 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static bool has_database(const char *path, const char *name)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi = 0;

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 64), 0);
    assert_int_equal(mdb_env_open(env, path, MDB_RDONLY, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    int rc = mdb_dbi_open(txn, name, 0, &dbi);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return rc == 0;
}

/* --- tests --- */

static int setup(void **state)
{
    struct fixture *fixture = memory_zero(1, sizeof *fixture);
    commits_until_failure = 0;
    make_directory(fixture->path);
    fixture->max_size = BIG_SIZE;
    *state = fixture;
    return 0;
}

static void minute_cells_come_back_and_what_is_new_joins_them(void **state)
{
    struct fixture *fixture = *state;
    struct old old;

    old_open(&old, fixture->path);
    old_series(&old, 1, METRIC_COUNTER, "orders", "plan=pro");
    old_series(&old, 2, METRIC_COUNTER, "orders", "plan=free");
    old_series(&old, 3, METRIC_GAUGE, "stock", "");
    old_cell(&old, 1, MINUTE, 3);
    old_cell(&old, 1, MINUTE + 20, 4);
    old_cell(&old, 2, MINUTE, 10);
    old_cell(&old, 3, MINUTE - 5, 100);
    old_close(&old);

    fixture_open(fixture);
    assert_same(sum_of(fixture, "orders"), 17);
    assert_same(last_in(fixture, "stock", MINUTE - 5), 100);
    struct aggregate first =
        read_range(fixture, METRIC_COUNTER, "orders", AT(MINUTE, 0), AT(MINUTE + 1, 0));
    assert_same(aggregate_sum(&first), 13);
    assert_int_equal(first.first_at, AT(MINUTE, 7));
    assert_true(commit_number(fixture) > 41);

    post(fixture, one_sample(METRIC_COUNTER, "orders", "plan=pro", 1, AT(MINUTE, 30)));
    struct delta *delta = delta_new();
    add_change(delta, add_series(delta, METRIC_GAUGE, "stock", ""), -3, AT(MINUTE + 1, 0));
    post(fixture, delta);
    commit(fixture);
    fixture_reopen(fixture);
    assert_same(sum_of(fixture, "orders"), 18);
    assert_same(last_in(fixture, "stock", MINUTE + 1), 97);
    struct metric_facts facts;
    struct read_txn *txn = read_begin(fixture);
    query_metric(txn, STR("orders"), &facts);
    assert_int_equal(facts.series, 2); /* found again, not made anew */
    read_txn_end(txn);

    fixture_close(fixture);
    assert_false(has_database(fixture->path, "cells"));
    assert_false(has_database(fixture->path, "by_hash"));
    assert_false(has_database(fixture->path, "by_metric"));
    fixture_open(fixture);
}

static void an_empty_directory_of_the_old_version_is_fine(void **state)
{
    struct fixture *fixture = *state;
    struct old old;

    old_open(&old, fixture->path);
    old_close(&old);
    fixture_open(fixture);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 30)));
    commit(fixture);
    assert_same(sum_of(fixture, "orders"), 1);
}

static void what_cannot_be_read_is_left_behind(void **state)
{
    struct fixture *fixture = *state;
    struct buf rotten = BUF_EMPTY;
    struct old old;

    old_open(&old, fixture->path);
    old_series(&old, 1, METRIC_COUNTER, "orders", "");
    old_cell(&old, 1, MINUTE, 3);
    buf_text(&rotten, "rotten");
    old_bytes(&old, 1, MINUTE + 1, &rotten);
    old_cell(&old, 1, INT64_MAX, 5);
    old_cell(&old, 0, MINUTE, 7);
    buf_fini(&rotten);
    old_close(&old);
    fixture_open(fixture);
    assert_same(sum_of(fixture, "orders"), 3);
}

/* More than two steps' cells; each commit on the way fails once. */
static void a_migration_that_was_cut_short_goes_on_where_it_was(void **state)
{
    struct fixture *fixture = *state;
    enum { SERIES = 3, MINUTES = 100 * 1000 };
    struct error err = ERROR_EMPTY;
    struct old old;

    old_open(&old, fixture->path);
    for (uint32_t id = 1; id <= SERIES; id++) {
        char labels[16];
        (void)snprintf(labels, sizeof labels, "n=%u", id);
        old_series(&old, id, METRIC_COUNTER, "orders", labels);
        for (int m = 0; m < MINUTES; m++)
            old_cell(&old, id, MINUTE - m, 1);
    }
    old_close(&old);

    const struct store_options options = {fixture->path, fixture->max_size};
    for (int until = 1; until <= 3; until++) {
        commits_until_failure = until;
        assert_null(store_open(&options, &err));
        assert_int_equal(err.kind, ERROR_FULL);
    }
    commits_until_failure = 0;
    fixture_open(fixture);
    struct aggregate orders =
        read_range(fixture, METRIC_COUNTER, "orders", AT(MINUTE - MINUTES, 0), AT(MINUTE + 1, 0));
    assert_same(aggregate_sum(&orders), SERIES * MINUTES);
}

static void index_all(struct fixture *fixture)
{
    struct catalog_indexer *indexer = catalog_indexer_new();
    struct error err = ERROR_EMPTY;
    bool more = true;

    while (more) {
        struct write_txn txn;
        assert_true(write_txn_begin(fixture->store, NULL, &txn, &err));
        assert_true(catalog_index_step(indexer, &txn, &more, &err));
        assert_true(write_txn_commit(&txn, &err));
    }
    catalog_indexer_free(indexer);
}

static void check_orders(struct fixture *fixture, int series)
{
    struct metric_facts facts;
    struct read_txn *txn = read_begin(fixture);
    query_metric(txn, STR("orders"), &facts);
    assert_int_equal(facts.series, series);
    read_txn_end(txn);
    assert_same(sum_of(fixture, "orders"), series);
}

/* As `kpictl verify DIRECTORY` does: nobody has opened it before. */
static void expect_sound(struct fixture *fixture)
{
    struct verify_counts counts;
    struct error err = ERROR_EMPTY;
    const struct store_options options = {fixture->path, fixture->max_size};
    struct store *store = store_open(&options, &err);

    if (store == NULL || !verify_store(store, &(const struct verify_options){0}, &counts, &err))
        fail_msg("%s", err.text);
    assert_int_equal(counts.findings, 0);
    store_close(store);
}

/* As an earlier kpid has left it, whose schema is this one's but for tables that came later. */
static void drop_databases(const char *path, const char *const *names, size_t count)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi = 0;

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 64), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(mdb_dbi_open(txn, names[i], 0, &dbi), 0);
        assert_int_equal(mdb_drop(txn, dbi, 1), 0);
    }
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void tables_that_came_later_are_made(void **state)
{
    static const char *const later[] = {"mixed",  "annotations", "figures", "kept",
                                        "tokens", "seen",        "owners"};
    enum { VERIFIED, COMPACTED, STARTED, WAYS };
    struct fixture *fixture = *state;
    struct error err = ERROR_EMPTY;
    uint64_t before = 0;
    uint64_t after = 0;

    fixture_open(fixture);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "plan=pro", 3, AT(MINUTE, 30)));
    commit(fixture);
    for (int way = 0; way < WAYS; way++) {
        fixture_close(fixture);
        drop_databases(fixture->path, later, TEST_COUNT(later));
        if (way == VERIFIED)
            expect_sound(fixture);
        if (way == COMPACTED && !backup_compact(fixture->path, &before, &after, &err))
            fail_msg("%s", err.text);
        fixture_open(fixture);
        assert_same(sum_of(fixture, "orders"), 3);
    }
    fixture_close(fixture);
    for (size_t i = 0; i < TEST_COUNT(later); i++)
        assert_true(has_database(fixture->path, later[i]));
    fixture_open(fixture);
}

/* What was in its index is found by reading the series, and then by an index that is made anew. */
static void expect_index_made_anew(struct fixture *fixture, char version)
{
    enum { SERIES = 300 };
    struct error err = ERROR_EMPTY;

    fixture_open(fixture);
    struct delta *delta = delta_new();
    for (int i = 0; i < SERIES; i++) {
        char labels[32];
        (void)snprintf(labels, sizeof labels, "user=%d", i);
        add_sample(delta, add_series(delta, METRIC_COUNTER, "orders", labels), 1, AT(MINUTE, 5));
    }
    post(fixture, delta);
    commit(fixture);
    index_all(fixture);
    fixture_close(fixture);
    make_version(fixture->path, version);

    const struct store_options options = {fixture->path, fixture->max_size};
    commits_until_failure = 2; /* the first one is for the databases */
    assert_null(store_open(&options, &err));
    assert_int_equal(err.kind, ERROR_FULL);
    commits_until_failure = 0;
    expect_sound(fixture);
    fixture_open(fixture);
    check_orders(fixture, SERIES);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "user=17", 0, AT(MINUTE, 30)));
    commit(fixture);
    check_orders(fixture, SERIES);
    index_all(fixture);
    fixture_reopen(fixture);
    check_orders(fixture, SERIES);
}

static void the_index_of_version_3_is_made_anew(void **state)
{
    expect_index_made_anew(*state, 3);
}

static uint64_t trackers_in(struct fixture *fixture)
{
    MDB_stat stat;
    struct read_txn *txn = read_begin(fixture);

    assert_int_equal(mdb_stat(txn->txn, txn->store->databases[DATABASE_TRACKERS], &stat), 0);
    read_txn_end(txn);
    return stat.ms_entries;
}

static void the_index_of_version_4_is_made_anew_and_its_trackers_stay(void **state)
{
    struct fixture *fixture = *state;

    expect_index_made_anew(fixture, 4);
    fixture_close(fixture);
    assert_false(has_database(fixture->path, "metrics"));
    put_tracker(fixture->path);
    make_version(fixture->path, 4);
    fixture_open(fixture);
    assert_int_equal(trackers_in(fixture), 1);
    fixture_close(fixture);
    put_tracker(fixture->path);
    make_version(fixture->path, 3);
    fixture_open(fixture);
    assert_int_equal(trackers_in(fixture), 0);
}

#define MIGRATE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MIGRATE_TEST(minute_cells_come_back_and_what_is_new_joins_them),
        MIGRATE_TEST(an_empty_directory_of_the_old_version_is_fine),
        MIGRATE_TEST(what_cannot_be_read_is_left_behind),
        MIGRATE_TEST(a_migration_that_was_cut_short_goes_on_where_it_was),
        MIGRATE_TEST(tables_that_came_later_are_made),
        MIGRATE_TEST(the_index_of_version_3_is_made_anew),
        MIGRATE_TEST(the_index_of_version_4_is_made_anew_and_its_trackers_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
