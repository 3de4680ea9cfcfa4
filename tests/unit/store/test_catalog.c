#include <time.h>

#include "catalog_fixture.h"

/* The CPU time that steps of the background work ask for: with it they end as soon as they may. */
static uint64_t cpu_ms_a_call;
static uint64_t cpu_ms;

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    if (clock != CLOCK_THREAD_CPUTIME_ID)
        return __real_clock_gettime(clock, out);
    cpu_ms += cpu_ms_a_call;
    *out = (struct timespec){.tv_sec = (time_t)(cpu_ms / 1000),
                             .tv_nsec = (long)(cpu_ms % 1000) * 1000000};
    return 0;
}

static struct series_hash hash_of(const char *metric, const char *labels)
{
    struct buf key = BUF_EMPTY;
    write_key(&key, METRIC_COUNTER, metric, labels);
    struct series_hash hash = series_key_hash(buf_view(&key));
    buf_fini(&key);
    return hash;
}

/* "n=NUMBER", in one buffer that the next call writes over. */
static const char *numbered(uint32_t number)
{
    static char labels[32];
    (void)snprintf(labels, sizeof labels, "even=%u;n=%u", number % 2, number);
    return labels;
}

static void add_numbered(struct fixture *fixture, uint32_t from, uint32_t to)
{
    begin(fixture);
    for (uint32_t n = from; n <= to; n++)
        assert_int_equal(add(fixture, METRIC_COUNTER, "orders", numbered(n)), n);
    (void)catalog_end_group(fixture->catalog);
    commit(fixture);
}

/* Whether the series is known by its hash, to the writer and to a reader. */
static uint32_t known_id(struct fixture *fixture, struct series_hash hash)
{
    uint32_t id = 0;
    struct str key;
    struct read_txn *reader = read_begin(fixture);
    bool found = catalog_find_hash(reader, hash, &id, &key);
    if (found)
        assert_true(series_hash_equal(series_key_hash(key), hash));
    read_txn_end(reader);
    begin(fixture);
    struct catalog_series out = resolve(fixture, hash, STR_EMPTY);
    write_txn_abort(&fixture->txn);
    assert_int_equal(out.refusal, found ? CATALOG_TAKEN : CATALOG_UNKNOWN);
    if (found)
        assert_int_equal(out.id, id);
    return id;
}

static struct metric_count count_of(struct fixture *fixture, const char *metric)
{
    struct metric_count count;
    struct read_txn *txn = read_begin(fixture);
    catalog_metric(txn, str_of(metric), &count);
    read_txn_end(txn);
    return count;
}

/* --- making and finding --- */

static void a_series_keeps_its_id(void **state)
{
    struct fixture *fixture = *state;

    for (int i = 0; i < 3; i++) {
        begin(fixture);
        assert_int_equal(add(fixture, METRIC_COUNTER, "orders", "a=b"), 1);
        assert_int_equal(add(fixture, METRIC_GAUGE, "orders", "a=b"), 2);
        assert_int_equal(add(fixture, METRIC_COUNTER, "orders", ""), 3);
        assert_int_equal(add(fixture, METRIC_COUNTER, "orders", "a=b"), 1);
        assert_int_equal(catalog_end_group(fixture->catalog), i == 0 ? 3 : 0);
        commit(fixture);
        assert_int_equal(known_id(fixture, hash_of("orders", "a=b")), 1);
        assert_int_equal(known_id(fixture, hash_of("orders", "a=c")), 0);
        if (i == 0)
            fixture_reopen(fixture); /* found in what is not indexed */
        if (i == 1) {
            (void)index_all(fixture);
            fixture_reopen(fixture); /* and in the index */
        }
    }
    assert_int_equal(findings_of(fixture), 0);
}

static void a_batch_may_name_a_series_twice(void **state)
{
    struct fixture *fixture = *state;
    struct buf key = BUF_EMPTY;
    struct delta_series series[70];
    struct catalog_series out[70];
    const struct catalog_batch batch = {.series = series, .count = TEST_COUNT(series), .now = 1000};

    write_key(&key, METRIC_COUNTER, "orders", "");
    for (size_t i = 0; i < TEST_COUNT(series); i++)
        series[i] = (struct delta_series){series_key_hash(buf_view(&key)),
                                          i % 2 == 0 ? buf_view(&key) : STR_EMPTY};
    begin(fixture);
    must(fixture, catalog_resolve_all(fixture->catalog, &fixture->txn, &batch, out, &fixture->err));
    for (size_t i = 0; i < TEST_COUNT(series); i++)
        assert_true(out[i].refusal == CATALOG_TAKEN && out[i].id == 1);
    assert_int_equal(catalog_end_group(fixture->catalog), 1);
    commit(fixture);
    buf_fini(&key);
}

static void another_key_with_the_same_hash_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct series_hash hash = hash_of("orders", "");
    struct buf other = BUF_EMPTY;

    write_key(&other, METRIC_COUNTER, "visits", "");
    for (int i = 0; i < 4; i++) {
        begin(fixture);
        if (i > 0) /* before the right one is met in memory */
            assert_int_equal(resolve(fixture, hash, buf_view(&other)).refusal, CATALOG_COLLISION);
        assert_int_equal(add(fixture, METRIC_COUNTER, "orders", ""), 1);
        assert_int_equal(resolve(fixture, hash, buf_view(&other)).refusal, CATALOG_COLLISION);
        assert_int_equal(resolve(fixture, hash, STR_EMPTY).id, 1);
        (void)catalog_end_group(fixture->catalog);
        commit(fixture);
        if (i == 1)
            (void)index_all(fixture);
        if (i > 0)
            fixture_reopen(fixture);
    }
    buf_fini(&other);
}

static void a_hash_without_a_key_makes_no_series(void **state)
{
    struct fixture *fixture = *state;

    begin(fixture);
    assert_int_equal(resolve(fixture, hash_of("orders", ""), STR_EMPTY).refusal, CATALOG_UNKNOWN);
    assert_int_equal(resolve(fixture, hash_of("orders", ""), STR("\x01no end")).refusal,
                     CATALOG_UNKNOWN);
    assert_int_equal(catalog_end_group(fixture->catalog), 0);
    assert_false(fixture->txn.wrote);
    write_txn_abort(&fixture->txn);
}

static void keys_longer_than_an_lmdb_key_are_fine(void **state)
{
    struct fixture *fixture = *state;
    char metric[METRIC_NAME_MAX + 1];
    char labels[3100] = "path=";
    struct arena arena = ARENA_EMPTY;
    uint32_t *ids = NULL;
    size_t count = 0;

    memset(metric, 'n', METRIC_NAME_MAX);
    metric[METRIC_NAME_MAX] = '\0';
    memset(labels + 5, 'p', 3000);
    for (int i = 0; i < 2; i++) {
        begin(fixture);
        for (uint32_t id = 1; id <= 4; id++) { /* they differ at their ends only */
            metric[METRIC_NAME_MAX - 1] = id % 2 == 0 ? 'x' : 'y';
            labels[3004] = id < 3 ? 'x' : 'y';
            assert_int_equal(add(fixture, METRIC_COUNTER, metric, labels), id);
        }
        (void)catalog_end_group(fixture->catalog);
        commit(fixture);
        (void)index_all(fixture);
        fixture_reopen(fixture);
    }
    assert_int_equal(count_of(fixture, metric).series, 2);
    const struct str value = str_of(labels + 5);
    const struct label_match match = {STR("path"), MATCH_EQUAL, &value, 1};
    const struct selector selector = {str_of(metric), METRIC_COUNTER, &match, 1};
    struct read_txn *txn = read_begin(fixture);
    must(fixture, catalog_select_ids(txn, &selector, &arena, &ids, &count, &fixture->err));
    assert_int_equal(count, 1);
    assert_int_equal(ids[0], 4);
    read_txn_end(txn);
    arena_fini(&arena);
    assert_int_equal(findings_of(fixture), 0);
}

/* --- transactions that do not hold --- */

static void what_did_not_hold_is_not_known(void **state)
{
    struct fixture *fixture = *state;

    add_numbered(fixture, 1, 10);
    for (int i = 0; i < 2; i++) {
        begin(fixture);
        assert_int_equal(add(fixture, METRIC_COUNTER, "orders", numbered(3)), 3);
        assert_int_equal(add(fixture, METRIC_COUNTER, "gone", ""), 11);
        if (i == 1)
            (void)catalog_end_group(fixture->catalog);
        write_txn_abort(&fixture->txn);
        catalog_forget(fixture->catalog);
        assert_int_equal(known_id(fixture, hash_of("gone", "")), 0);
        assert_int_equal(known_id(fixture, hash_of("orders", numbered(7))), 7);
    }
    begin(fixture);
    assert_int_equal(add(fixture, METRIC_COUNTER, "other", ""), 11);
    assert_int_equal(catalog_end_group(fixture->catalog), 1);
    commit(fixture);
}

/* A commit that was said to fail and holds after all (store/writer.h). */
static void what_held_in_spite_of_being_forgotten_is_found_again(void **state)
{
    struct fixture *fixture = *state;

    for (uint32_t i = 1; i < 4; i++) {
        add_numbered(fixture, i * 10 - 9, i * 10);
        catalog_forget(fixture->catalog);
        if (i == 2)
            (void)index_all(fixture);
        begin(fixture);
        assert_int_equal(add(fixture, METRIC_COUNTER, "orders", numbered(i * 10)), i * 10);
        assert_int_equal(add(fixture, METRIC_COUNTER, "orders", numbered(1)), 1);
        assert_int_equal(catalog_end_group(fixture->catalog), 0);
        commit(fixture);
    }
    assert_int_equal(findings_of(fixture), 0);
}

static void a_step_that_did_not_hold_is_done_again(void **state)
{
    struct fixture *fixture = *state;
    bool more = true;

    for (uint32_t i = 0; i < 40; i++) {
        add_numbered(fixture, i * 300 + 1, (i + 1) * 300);
        begin(fixture);
        must(fixture, catalog_index_step(fixture->indexer, &fixture->txn, &more, &fixture->err));
        assert_true(more);
        write_txn_abort(&fixture->txn);
        catalog_indexer_forget(fixture->indexer);
        if (i % 3 == 0)
            (void)index_step(fixture);
    }
    (void)index_all(fixture);
    assert_int_equal(findings_of(fixture), 0);
}

/* --- the background work --- */

static size_t run_count(struct fixture *fixture)
{
    struct index_runs runs;
    struct read_txn *txn = read_begin(fixture);
    must(fixture, index_runs_read(&runs, txn, &fixture->err));
    size_t count = runs.count;
    index_runs_fini(&runs);
    read_txn_end(txn);
    return count;
}

static void a_trickle_of_series_leaves_few_runs(void **state)
{
    struct fixture *fixture = *state;

    for (uint32_t n = 1; n <= 400; n++) {
        add_numbered(fixture, n, n);
        assert_true(index_step(fixture));
        assert_true(run_count(fixture) <= 8);
    }
    (void)index_all(fixture);
    assert_int_equal(findings_of(fixture), 0);
    assert_int_equal(known_id(fixture, hash_of("orders", numbered(200))), 200);
}

/* Each step ends as soon as it may, so merges take many, with restarts, new series and removals
 * between them. */
static void merges_in_many_steps_lose_nothing(void **state)
{
    struct fixture *fixture = *state;
    uint32_t made = 0;
    uint64_t seed = 4;
    uint32_t gone[4] = {0};

    cpu_ms_a_call = 1000;
    for (int i = 0; i < 60; i++) {
        uint32_t more = draw(&seed, 4) == 0 ? 2000 : draw(&seed, 30) + 1;
        add_numbered(fixture, made + 1, made + more);
        made += more;
        for (uint32_t steps = draw(&seed, 20); steps > 0; steps--)
            (void)index_step(fixture);
        if (draw(&seed, 10) == 0)
            fixture_reopen(fixture);
        if (i % 15 == 7) {
            uint32_t id = made - 5;
            begin(fixture);
            must(fixture,
                 catalog_remove_series(fixture->catalog, &fixture->txn, &id, 1, &fixture->err));
            (void)catalog_end_group(fixture->catalog);
            commit(fixture);
            gone[i / 15] = id;
        }
    }
    assert_true(index_all(fixture) > 2);
    cpu_ms_a_call = 0;
    assert_int_equal(findings_of(fixture), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(known_id(fixture, hash_of("orders", numbered(gone[i]))), 0);
    fixture_reopen(fixture);
    for (uint32_t n = 1; n < made - 100; n += 997)
        assert_int_equal(known_id(fixture, hash_of("orders", numbered(n))), n);
    assert_int_equal(count_of(fixture, "orders").series, made - 4);
}

static void many_series_are_quick(void **state)
{
    enum { SERIES = 100000, BATCH = 20000 };
    struct fixture *fixture = *state;
    struct delta_series *series = memory_zero(BATCH, sizeof *series);
    struct catalog_series *out = memory_zero(BATCH, sizeof *out);
    struct arena arena = ARENA_EMPTY;

    for (int round = 0; round < 2; round++) {
        for (uint32_t from = 0; from < SERIES; from += BATCH) {
            const struct catalog_batch batch = {.series = series, .count = BATCH, .now = 1000};
            struct buf key = BUF_EMPTY;
            for (uint32_t i = 0; i < BATCH; i++) {
                write_key(&key, METRIC_COUNTER, "orders", numbered(from + i));
                series[i].key = arena_str(&arena, buf_view(&key));
                series[i].hash = series_key_hash(series[i].key);
            }
            begin(fixture);
            must(fixture,
                 catalog_resolve_all(fixture->catalog, &fixture->txn, &batch, out, &fixture->err));
            for (uint32_t i = 0; i < BATCH; i++)
                assert_int_equal(out[i].id, from + i + 1);
            assert_int_equal(catalog_end_group(fixture->catalog), round == 0 ? BATCH : 0);
            commit(fixture);
            arena_reset(&arena);
            buf_fini(&key);
        }
        (void)index_all(fixture);
        assert_in_range(catalog_size_bytes(fixture->catalog), 44 * SERIES, 68 * SERIES);
        fixture_reopen(fixture);
    }
    arena_fini(&arena);
    free(series);
    free(out);
}

/* --- removing --- */

static void a_removed_series_is_gone_and_its_id_is_not_given_again(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t ids[] = {3, 9, 10, 77};

    add_numbered(fixture, 1, 8);
    (void)index_all(fixture);
    add_numbered(fixture, 9, 10);
    begin(fixture);
    must(fixture, catalog_remove_series(fixture->catalog, &fixture->txn, ids, TEST_COUNT(ids),
                                        &fixture->err));
    (void)catalog_end_group(fixture->catalog);
    commit(fixture);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(known_id(fixture, hash_of("orders", numbered(3))), 0);
        assert_int_equal(known_id(fixture, hash_of("orders", numbered(10))), 0);
        assert_int_equal(known_id(fixture, hash_of("orders", numbered(8))), 8);
        assert_int_equal(count_of(fixture, "orders").series, 7);
        assert_int_equal(findings_of(fixture), 0);
        if (i == 0)
            fixture_reopen(fixture);
        (void)index_all(fixture);
    }
    begin(fixture);
    assert_int_equal(add(fixture, METRIC_COUNTER, "orders", numbered(3)), 11);
    (void)catalog_end_group(fixture->catalog);
    commit(fixture);
    (void)index_all(fixture);
    fixture_reopen(fixture);
    assert_int_equal(known_id(fixture, hash_of("orders", numbered(3))), 11);
    assert_int_equal(findings_of(fixture), 0);
}

static void a_removal_that_did_not_hold_is_undone(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t ids[] = {3, 9};

    add_numbered(fixture, 1, 8);
    (void)index_all(fixture);
    add_numbered(fixture, 9, 10);
    begin(fixture);
    must(fixture, catalog_remove_series(fixture->catalog, &fixture->txn, ids, 2, &fixture->err));
    assert_int_equal(add(fixture, METRIC_COUNTER, "orders", numbered(9)), 11);
    write_txn_abort(&fixture->txn);
    catalog_forget(fixture->catalog);
    assert_int_equal(known_id(fixture, hash_of("orders", numbered(3))), 3);
    assert_int_equal(known_id(fixture, hash_of("orders", numbered(9))), 9);
}

/* --- metrics --- */

static bool gather_metric(struct str metric, const struct metric_count *count, void *arg)
{
    struct buf *text = arg;
    buf_printf(text, "%.*s(%llu,%x) ", STR_ARGS(metric), (unsigned long long)count->series,
               count->kinds);
    return !str_is(metric, "stop");
}

static void metrics_are_counted_and_listed_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct buf text = BUF_EMPTY;

    begin(fixture);
    (void)add(fixture, METRIC_COUNTER, "m", "a=1");
    (void)add(fixture, METRIC_GAUGE, "m", "a=1");
    (void)add(fixture, METRIC_COUNTER, "k", "");
    commit(fixture);
    (void)index_all(fixture);
    begin(fixture);
    (void)add(fixture, METRIC_COUNTER, "a", "");
    (void)add(fixture, METRIC_SCORE, "m", "a=2");
    (void)add(fixture, METRIC_COUNTER, "l", "");
    (void)add(fixture, METRIC_COUNTER, "stop", "");
    (void)add(fixture, METRIC_COUNTER, "zero", "");
    commit(fixture);
    for (int i = 0; i < 2; i++) {
        struct read_txn *txn = read_begin(fixture);
        catalog_metrics(txn, gather_metric, &text);
        read_txn_end(txn);
        assert_string_equal(buf_view(&text).len == 0 ? "" : (buf_char(&text, '\0'), text.bytes),
                            "a(1,2) k(1,2) l(1,2) m(3,26) stop(1,2) ");
        buf_clear(&text);
        assert_int_equal(count_of(fixture, "m").series, 3);
        assert_int_equal(count_of(fixture, "m").kinds, 0x26);
        assert_int_equal(count_of(fixture, "none").kinds, 0);
        (void)index_all(fixture);
    }
    buf_fini(&text);
}

/* --- metrics against what was added --- */

enum { NAMES = 40, NAME_SIZE = 120 };

/* Names, some of them longer than what the index keeps of one, and what there is of each. */
struct model {
    struct fixture *fixture;
    uint64_t seed;
    char names[NAMES][NAME_SIZE];
    uint64_t series[NAMES][METRIC_KIND_MAX + 1];
    uint32_t made;
    uint32_t *name_of; /* of each id, and its kind; 0: it was removed */
    uint32_t *kind_of;
    bool was_visited[NAMES];
    char last[NAME_SIZE];
};

static void make_names(struct model *model)
{
    for (uint32_t i = 0; i < NAMES; i++) {
        size_t len = i % 3 == 0 ? 60 + draw(&model->seed, 8) : draw(&model->seed, 3);
        len = i % 5 == 0 ? 110 : len; /* these are alike up to what tells them apart */
        memset(model->names[i], "ab"[draw(&model->seed, 2)], len);
        (void)snprintf(model->names[i] + len, 8, "%u", i);
    }
}

static void add_some(struct model *model, uint32_t count)
{
    begin(model->fixture);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t name = draw(&model->seed, NAMES);
        uint32_t kind = 1 + draw(&model->seed, METRIC_KIND_MAX);
        uint32_t id =
            add(model->fixture, (enum metric_kind)kind, model->names[name], numbered(model->made));
        assert_int_equal(id, ++model->made);
        model->name_of[id] = name;
        model->kind_of[id] = kind;
        model->series[name][kind]++;
    }
    (void)catalog_end_group(model->fixture->catalog);
    commit(model->fixture);
}

/* One in so many; in the first round all that the first names have. */
static void remove_some(struct model *model, uint32_t one_in)
{
    begin(model->fixture);
    for (uint32_t id = 1; id <= model->made; id++) {
        if (model->kind_of[id] == 0 || (model->name_of[id] > 2 && draw(&model->seed, one_in) != 0))
            continue;
        must(model->fixture, catalog_remove_series(model->fixture->catalog, &model->fixture->txn,
                                                   &id, 1, &model->fixture->err));
        model->series[model->name_of[id]][model->kind_of[id]]--;
        model->kind_of[id] = 0;
    }
    (void)catalog_end_group(model->fixture->catalog);
    commit(model->fixture);
}

static struct metric_count expected_of(const struct model *model, uint32_t name)
{
    struct metric_count count = {0};

    for (unsigned kind = 1; kind <= METRIC_KIND_MAX; kind++) {
        count.series += model->series[name][kind];
        count.kinds |= model->series[name][kind] > 0 ? 1U << kind : 0;
    }
    return count;
}

static bool check_visited(struct str metric, const struct metric_count *count, void *arg)
{
    struct model *model = arg;
    uint32_t name = 0;

    while (name < NAMES && !str_is(metric, model->names[name]))
        name++;
    assert_true(name < NAMES);
    assert_false(model->was_visited[name]);
    model->was_visited[name] = true;
    assert_int_equal(count->series, expected_of(model, name).series);
    assert_int_equal(count->kinds, expected_of(model, name).kinds);
    assert_true(strncmp(model->last, model->names[name], 64) <= 0);
    (void)snprintf(model->last, sizeof model->last, "%s", model->names[name]);
    return true;
}

static void check_metrics(struct model *model)
{
    struct read_txn *txn = read_begin(model->fixture);

    memset(model->was_visited, 0, sizeof model->was_visited);
    model->last[0] = '\0';
    catalog_metrics(txn, check_visited, model);
    read_txn_end(txn);
    for (uint32_t i = 0; i < NAMES; i++) {
        struct metric_count expected = expected_of(model, i);
        struct metric_count found = count_of(model->fixture, model->names[i]);
        assert_int_equal(found.series, expected.series);
        assert_int_equal(found.kinds, expected.kinds);
        assert_int_equal(model->was_visited[i], expected.series > 0);
    }
}

static void metrics_are_what_their_series_are(void **state)
{
    enum { ROUNDS = 12, A_ROUND = 150 };
    struct model *model = memory_zero(1, sizeof *model);

    model->fixture = *state;
    model->seed = 5;
    model->name_of = memory_zero(ROUNDS * A_ROUND + 1, sizeof *model->name_of);
    model->kind_of = memory_zero(ROUNDS * A_ROUND + 1, sizeof *model->kind_of);
    make_names(model);
    for (int round = 0; round < ROUNDS; round++) {
        add_some(model, A_ROUND);
        if (round % 4 == 2)
            remove_some(model, 5);
        check_metrics(model);
        for (uint32_t steps = draw(&model->seed, 3); steps > 0; steps--)
            (void)index_step(model->fixture);
        check_metrics(model);
    }
    (void)index_all(model->fixture);
    check_metrics(model);
    assert_int_equal(findings_of(model->fixture), 0);
    free(model->name_of);
    free(model->kind_of);
    free(model);
}

static void metrics_are_counted_by_their_series_while_the_index_cannot_be_read(void **state)
{
    struct fixture *fixture = *state;
    struct index_runs runs;

    add_numbered(fixture, 1, 10);
    (void)index_all(fixture);
    begin(fixture);
    must(fixture, index_runs_read(&runs, &fixture->txn.reader, &fixture->err));
    struct schema_key key = SCHEMA_KEY_EMPTY;
    schema_put_u64(&key, runs.items[0].number);
    schema_put_u64(&key, 0);
    must(fixture,
         mdb_drop(fixture->txn.reader.txn, fixture->store->databases[DATABASE_INDEX], 0) == 0);
    must(fixture, store_put(&fixture->txn, DATABASE_INDEX, store_key(&key), STR("rotten"), 0,
                            &fixture->err));
    commit(fixture);
    index_runs_fini(&runs);
    assert_int_equal(count_of(fixture, "orders").series, 10);
    assert_int_equal(count_of(fixture, "orders").kinds, 1U << METRIC_COUNTER);
}

/* --- checking --- */

static void checking_finds_what_is_missing(void **state)
{
    struct fixture *fixture = *state;
    struct index_runs runs;

    add_numbered(fixture, 1, 100);
    (void)index_all(fixture);
    assert_int_equal(findings_of(fixture), 0);
    begin(fixture); /* a series' row that went by itself */
    struct schema_key key = schema_id_key(50);
    must(fixture, store_remove(&fixture->txn, DATABASE_SERIES, store_key(&key), &fixture->err));
    commit(fixture);
    assert_true(findings_of(fixture) > 0);
    begin(fixture); /* a run that went */
    must(fixture, index_runs_read(&runs, &fixture->txn.reader, &fixture->err));
    must(fixture, index_remove_run(&fixture->txn, &runs.items[0], &fixture->err));
    index_runs_fini(&runs);
    commit(fixture);
    assert_true(findings_of(fixture) >= 99);
    begin(fixture);
    must(fixture, index_clear(&fixture->txn, &fixture->err));
    commit(fixture);
    (void)index_all(fixture);
    assert_int_equal(findings_of(fixture), 0);
}

/* A check in many short transactions, with a life between them. */
struct walk_through {
    struct fixture *fixture;
    int findings;
    uint64_t left;      /* rows of the transaction */
    uint32_t made;      /* series, so far */
    uint32_t remove_at; /* the next one that goes; 0: none does any more */
    size_t transactions;
};

static void hear_finding(const char *finding, void *arg)
{
    struct walk_through *walk = arg;
    if (walk->findings++ == 0)
        print_message("first finding: %s\n", finding);
}

static bool spend_rows(uint64_t rows, void *arg)
{
    struct walk_through *walk = arg;
    walk->left -= rows < walk->left ? rows : walk->left;
    return walk->left > 0;
}

static void live_on(struct walk_through *walk)
{
    struct fixture *fixture = walk->fixture;

    walk->transactions++;
    if (walk->transactions % 3 == 0) {
        add_numbered(fixture, walk->made + 1, walk->made + 20);
        walk->made += 20;
    }
    if (walk->transactions % 4 == 0)
        (void)index_step(fixture);
    if (walk->remove_at > 0 && walk->remove_at < 4000) {
        begin(fixture);
        must(fixture, catalog_remove_series(fixture->catalog, &fixture->txn, &walk->remove_at, 1,
                                            &fixture->err));
        (void)catalog_end_group(fixture->catalog);
        commit(fixture);
        walk->remove_at += 7;
    }
}

static int findings_meanwhile(struct walk_through *walk)
{
    const struct catalog_checker checker = {hear_finding, spend_rows, walk};
    struct catalog_check *check = catalog_check_new(&checker);
    bool done = false;

    walk->findings = 0;
    while (!done) {
        struct read_txn *txn = read_begin(walk->fixture);
        walk->left = 700;
        must(walk->fixture, catalog_check_go_on(check, txn, &done, &walk->fixture->err));
        read_txn_end(txn);
        live_on(walk);
    }
    catalog_check_free(check);
    return walk->findings;
}

static void what_comes_and_goes_while_it_is_checked_is_no_finding(void **state)
{
    struct fixture *fixture = *state;
    struct walk_through walk = {.fixture = fixture, .made = 9500, .remove_at = 5};

    add_numbered(fixture, 1, walk.made);
    (void)index_all(fixture);
    assert_int_equal(findings_meanwhile(&walk), 0);
    assert_true(walk.transactions > 40);
    assert_true(walk.remove_at > 250);

    begin(fixture); /* one of a group in which nothing else happens, though another is restless */
    struct schema_key key = schema_id_key(9000);
    must(fixture, store_remove(&fixture->txn, DATABASE_SERIES, store_key(&key), &fixture->err));
    commit(fixture);
    assert_int_equal(findings_meanwhile(&walk), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CATALOG_TEST(a_series_keeps_its_id),
        CATALOG_TEST(a_batch_may_name_a_series_twice),
        CATALOG_TEST(another_key_with_the_same_hash_is_refused),
        CATALOG_TEST(a_hash_without_a_key_makes_no_series),
        CATALOG_TEST(keys_longer_than_an_lmdb_key_are_fine),
        CATALOG_TEST(what_did_not_hold_is_not_known),
        CATALOG_TEST(what_held_in_spite_of_being_forgotten_is_found_again),
        CATALOG_TEST(a_step_that_did_not_hold_is_done_again),
        CATALOG_TEST(a_trickle_of_series_leaves_few_runs),
        CATALOG_TEST(merges_in_many_steps_lose_nothing),
        CATALOG_TEST(many_series_are_quick),
        CATALOG_TEST(a_removed_series_is_gone_and_its_id_is_not_given_again),
        CATALOG_TEST(a_removal_that_did_not_hold_is_undone),
        CATALOG_TEST(metrics_are_counted_and_listed_in_order),
        CATALOG_TEST(metrics_are_what_their_series_are),
        CATALOG_TEST(metrics_are_counted_by_their_series_while_the_index_cannot_be_read),
        CATALOG_TEST(checking_finds_what_is_missing),
        CATALOG_TEST(what_comes_and_goes_while_it_is_checked_is_no_finding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
