#include "catalog_fixture.h"

enum { SERIES = 7000, MATCHES = 3 };

/* What a series is known to have; "" for a label that it has not. */
struct known {
    enum metric_kind kind;
    const char *metric;
    char values[MATCHES][16];
    bool gone;
};

static const char *const LABELS[MATCHES] = {"plan", "zone", "host"};

static void draw_series(struct known *out, uint64_t *seed, uint32_t number)
{
    static const char *const plans[] = {"", "pro", "free", "preview", "prod"};
    uint32_t metric = draw(seed, 20);

    *out = (struct known){.kind = metric == 0 ? METRIC_GAUGE : METRIC_COUNTER,
                          .metric = metric < 2 ? "visits" : "orders"};
    (void)snprintf(out->values[0], sizeof out->values[0], "%s", plans[draw(seed, 5)]);
    if (draw(seed, 3) != 0)
        (void)snprintf(out->values[1], sizeof out->values[1], "z%u", draw(seed, 30));
    (void)snprintf(out->values[2], sizeof out->values[2], "h%u", number);
}

static uint32_t add_known(struct fixture *fixture, const struct known *known)
{
    char labels[96] = "";
    size_t len = 0;

    for (int i = 0; i < MATCHES; i++) {
        if (known->values[i][0] != '\0')
            len += (size_t)snprintf(labels + len, sizeof labels - len, "%s%s=%s",
                                    len > 0 ? ";" : "", LABELS[i], known->values[i]);
    }
    return add(fixture, known->kind, known->metric, labels);
}

static bool is_chosen(const struct known *known, const struct selector *selector)
{
    if (known->gone || known->kind != selector->kind || !str_is(selector->metric, known->metric))
        return false;
    for (size_t i = 0; i < selector->match_count; i++) {
        const struct label_match *match = &selector->matches[i];
        struct str value = STR_EMPTY;
        bool found = false;
        for (int j = 0; j < MATCHES; j++) {
            if (str_is(match->label, LABELS[j]))
                value = str_of(known->values[j]);
        }
        for (size_t j = 0; j < match->value_count && !found; j++)
            found = match->op == MATCH_PREFIX
                        ? value.len >= match->values[j].len &&
                              strncmp(value.text == NULL ? "" : value.text, match->values[j].text,
                                      match->values[j].len) == 0
                        : str_equal(value, match->values[j]);
        if (found == (match->op == MATCH_NOT_EQUAL))
            return false;
    }
    return true;
}

static void draw_match(struct label_match *out, struct str *values, uint64_t *seed)
{
    static const char *const some[MATCHES + 1][5] = {{"", "pro", "pre", "free", "pr"},
                                                     {"", "z1", "z2", "z29", "z"},
                                                     {"", "h17", "h6", "h9999999", "h69"},
                                                     {"", "x", "y", "z", "pro"}};
    uint32_t label = draw(seed, 12) == 0 ? MATCHES : draw(seed, MATCHES);

    out->label = str_of(label == MATCHES ? "none" : LABELS[label]);
    out->op = (enum match_op)draw(seed, 4);
    out->values = values;
    out->value_count = out->op == MATCH_IN ? 1 + draw(seed, 3) : 1;
    for (size_t i = 0; i < out->value_count; i++)
        values[i] = str_of(some[label][draw(seed, 5)]);
}

static void check_selector(struct fixture *fixture, struct read_txn *txn, const struct known *all,
                           size_t count, const struct selector *selector)
{
    struct arena arena = ARENA_EMPTY;
    uint32_t *ids = NULL;
    struct query_series *series = NULL;
    size_t found = 0;
    size_t with_keys = 0;
    size_t at = 0;

    must(fixture, catalog_select_ids(txn, selector, &arena, &ids, &found, &fixture->err));
    must(fixture, catalog_select(txn, selector, &arena, &series, &with_keys, &fixture->err));
    assert_int_equal(found, with_keys);
    for (uint32_t id = 1; id <= count; id++) {
        if (!is_chosen(&all[id], selector))
            continue;
        assert_true(at < found);
        assert_int_equal(ids[at], id);
        assert_int_equal(series[at].id, id);
        assert_true(str_is(series_key_metric(series[at].key), all[id].metric));
        at++;
    }
    assert_int_equal(at, found);
    arena_fini(&arena);
}

static void check_all(struct fixture *fixture, const struct known *all, size_t count, int selectors,
                      uint64_t seed)
{
    struct read_txn *txn = read_begin(fixture);

    for (int i = 0; i < selectors; i++) {
        struct str values[MATCHES][3];
        struct label_match matches[MATCHES];
        struct selector selector = {STR("orders"), METRIC_COUNTER, matches,
                                    draw(&seed, MATCHES + 1)};
        for (size_t j = 0; j < selector.match_count; j++)
            draw_match(&matches[j], values[j], &seed);
        if (draw(&seed, 4) == 0) {
            selector.metric = draw(&seed, 2) == 0 ? STR("visits") : STR("order");
            selector.kind = draw(&seed, 2) == 0 ? METRIC_GAUGE : METRIC_COUNTER;
        }
        check_selector(fixture, txn, all, count, &selector);
    }
    read_txn_end(txn);
}

static void make_series(struct fixture *fixture, struct known *all, uint32_t from, uint32_t to,
                        uint64_t *seed)
{
    begin(fixture);
    for (uint32_t id = from; id <= to; id++) {
        draw_series(&all[id], seed, id);
        assert_int_equal(add_known(fixture, &all[id]), id);
    }
    (void)catalog_end_group(fixture->catalog);
    commit(fixture);
}

static void remove_some(struct fixture *fixture, struct known *all, uint32_t one_in, uint32_t to,
                        uint64_t *seed)
{
    begin(fixture);
    for (uint32_t id = 1; id <= to; id++) {
        if (draw(seed, one_in) != 0)
            continue;
        must(fixture,
             catalog_remove_series(fixture->catalog, &fixture->txn, &id, 1, &fixture->err));
        all[id].gone = true;
    }
    (void)catalog_end_group(fixture->catalog);
    commit(fixture);
}

static void selectors_choose_what_looking_at_every_series_chooses(void **state)
{
    struct fixture *fixture = *state;
    struct known *all = memory_zero(SERIES + 1, sizeof *all);
    uint64_t seed = 5;
    uint32_t made = 0;

    while (made < SERIES) {
        uint32_t more = draw(&seed, 1500) + 1;
        more = made + more > SERIES ? SERIES - made : more;
        make_series(fixture, all, made + 1, made + more, &seed);
        made += more;
        if (draw(&seed, 3) != 0)
            (void)index_step(fixture);
        check_all(fixture, all, made, 10, made);
    }
    (void)index_all(fixture);
    check_all(fixture, all, made, 100, 1);
    remove_some(fixture, all, 10, made, &seed);
    check_all(fixture, all, made, 50, 2);
    make_series(fixture, all, made + 1, made, &seed); /* none: a transaction that writes nothing */
    fixture_reopen(fixture);
    check_all(fixture, all, made, 30, 3);
    assert_int_equal(findings_of(fixture), 0);
    free(all);
}

static void an_empty_store_has_no_series(void **state)
{
    struct fixture *fixture = *state;
    const struct known none = {0};
    check_all(fixture, &none, 0, 20, 1);
}

/* A chunk whose bytes are wrong: figures come from the keys until the index is made anew. */
static void a_damaged_index_loses_no_series(void **state)
{
    struct fixture *fixture = *state;
    struct known *all = memory_zero(SERIES + 1, sizeof *all);
    uint64_t seed = 6;
    MDB_val key;
    MDB_val value;
    MDB_cursor *cursor = NULL;

    make_series(fixture, all, 1, SERIES, &seed);
    (void)index_all(fixture);
    begin(fixture);
    MDB_dbi index = fixture->store->databases[DATABASE_INDEX];
    assert_int_equal(mdb_cursor_open(fixture->txn.reader.txn, index, &cursor), 0);
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0) {
        char damaged[INDEX_CHUNK_BYTES_MAX];
        memcpy(damaged, value.mv_data, value.mv_size);
        damaged[value.mv_size / 2] ^= 1;
        value.mv_data = damaged;
        assert_int_equal(mdb_cursor_put(cursor, &key, &value, MDB_CURRENT), 0);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    commit(fixture);
    assert_true(findings_of(fixture) > 0);
    check_all(fixture, all, SERIES, 20, 4);

    fixture_reopen(fixture); /* nothing in memory: the writer finds out, and its series too */
    begin(fixture);
    for (uint32_t id = 1; id <= SERIES; id += 100)
        assert_int_equal(add_known(fixture, &all[id]), id);
    assert_int_equal(catalog_end_group(fixture->catalog), 0);
    commit(fixture);
    check_all(fixture, all, SERIES, 20, 4);
    (void)index_all(fixture);
    assert_int_equal(findings_of(fixture), 0);
    check_all(fixture, all, SERIES, 20, 4);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CATALOG_TEST(an_empty_store_has_no_series),
        CATALOG_TEST(selectors_choose_what_looking_at_every_series_chooses),
        CATALOG_TEST(a_damaged_index_loses_no_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
