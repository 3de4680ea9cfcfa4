/* A store with a catalogue and its indexer, but without a writer: tests begin and end transactions
 * themselves. */
#pragma once

#include "base/memory.h"
#include "directory.h"
#include "store/catalog.h"
#include "test.h"

struct fixture {
    char path[64];
    struct store *store;
    struct catalog *catalog;
    struct catalog_indexer *indexer;
    struct write_txn txn; /* while one is open */
    struct error err;
};

static inline void fixture_open(struct fixture *fixture)
{
    const struct store_options options = {fixture->path, UINT64_C(1) << 30};

    fixture->store = store_open(&options, &fixture->err);
    if (fixture->store == NULL)
        fail_msg("%s", fixture->err.text);
    /* These tests commit often, and none of them loses power. */
    assert_int_equal(mdb_env_set_flags(fixture->store->env, MDB_NOSYNC, 1), 0);
    fixture->catalog = catalog_new();
    fixture->indexer = catalog_indexer_new();
}

static inline void fixture_close(struct fixture *fixture)
{
    catalog_indexer_free(fixture->indexer);
    catalog_free(fixture->catalog);
    store_close(fixture->store);
}

static inline void fixture_reopen(struct fixture *fixture)
{
    fixture_close(fixture);
    fixture_open(fixture);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = memory_zero(1, sizeof *fixture);
    make_directory(fixture->path);
    fixture_open(fixture);
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    fixture_close(fixture);
    remove_directory(fixture->path);
    free(fixture);
    return 0;
}

#define CATALOG_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

static inline void must(struct fixture *fixture, bool ok)
{
    if (!ok)
        fail_msg("%s", fixture->err.text);
}

static inline void begin(struct fixture *fixture)
{
    must(fixture, write_txn_begin(fixture->store, NULL, &fixture->txn, &fixture->err));
}

static inline void commit(struct fixture *fixture)
{
    must(fixture, write_txn_commit(&fixture->txn, &fixture->err));
}

static inline struct read_txn *read_begin(struct fixture *fixture)
{
    struct read_txn *txn = read_txn_begin(fixture->store, &fixture->err);
    must(fixture, txn != NULL);
    return txn;
}

/* `labels` as "a=b;c=d"; over what `out` held. */
static inline void write_key(struct buf *out, enum metric_kind kind, const char *metric,
                             const char *labels)
{
    struct label parsed[LABELS_MAX];
    size_t count = 0;

    if (labels[0] != '\0')
        assert_true(labels_parse(str_of(labels), TAGS_SEMICOLON, parsed, &count));
    series_key_write(out, kind, str_of(metric), parsed, count);
}

/* In the transaction that is open. */
static inline struct catalog_series resolve(struct fixture *fixture, struct series_hash hash,
                                            struct str key)
{
    const struct delta_series series = {hash, key};
    const struct catalog_batch batch = {.series = &series, .count = 1, .now = 1000};
    struct catalog_series out;

    must(fixture,
         catalog_resolve_all(fixture->catalog, &fixture->txn, &batch, &out, &fixture->err));
    return out;
}

static inline uint32_t add(struct fixture *fixture, enum metric_kind kind, const char *metric,
                           const char *labels)
{
    struct buf key = BUF_EMPTY;
    write_key(&key, kind, metric, labels);
    struct catalog_series out = resolve(fixture, series_key_hash(buf_view(&key)), buf_view(&key));
    buf_fini(&key);
    assert_int_equal(out.refusal, CATALOG_TAKEN);
    assert_int_equal(out.kind, kind);
    return out.id;
}

/* One step of the background work, in a transaction of its own. */
static inline bool index_step(struct fixture *fixture)
{
    bool more = false;
    begin(fixture);
    must(fixture, catalog_index_step(fixture->indexer, &fixture->txn, &more, &fixture->err));
    commit(fixture);
    return more;
}

static inline size_t index_all(struct fixture *fixture)
{
    size_t steps = 0;
    while (index_step(fixture))
        steps++;
    return steps;
}

static inline void on_finding(const char *finding, void *arg)
{
    int *findings = arg;
    if ((*findings)++ == 0)
        print_message("first finding: %s\n", finding);
}

static inline int findings_of(struct fixture *fixture)
{
    int findings = 0;
    bool done = false;
    const struct catalog_checker checker = {on_finding, NULL, &findings};
    struct catalog_check *check = catalog_check_new(&checker);
    struct read_txn *txn = read_begin(fixture);
    while (!done)
        must(fixture, catalog_check_go_on(check, txn, &done, &fixture->err));
    read_txn_end(txn);
    catalog_check_free(check);
    return findings;
}

/* Random numbers that are the same each time. */
static inline uint32_t draw(uint64_t *state, uint32_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*state >> 33) % below);
}
