#include "catalog_fixture.h"

enum { SERIES = 7000, LABELS = 4, VALUE_MAX = 640 };

/* What a series is known to have; empty for a label that it has not. */
struct known {
    enum metric_kind kind;
    const char *metric;
    struct str values[LABELS];
    bool gone;
};

/* All of them, by id. */
struct world {
    struct fixture *fixture;
    struct arena arena;
    struct known *all;
    uint32_t count;
    uint64_t seed;
};

static const char *const NAMES[LABELS] = {"host", "path", "plan", "zone"};

static struct world world_new(struct fixture *fixture, uint32_t max, uint64_t seed)
{
    return (struct world){
        .fixture = fixture, .all = memory_zero(max + 1, sizeof(struct known)), .seed = seed};
}

static void world_fini(struct world *world)
{
    arena_fini(&world->arena);
    free(world->all);
}

/* Values that have more or less of their beginnings in common, of all kinds of lengths: around what
 * the index has of a value, and beyond what LMDB takes as a key. */
static struct str draw_path(struct world *world)
{
    static const char *const beginnings[] = {"/api/v1/users/", "/api/v1/", "/", "\xff\xff",
                                             "\xff",           "",         "~"};
    char text[VALUE_MAX];
    size_t len = 0;

    switch (draw(&world->seed, 5)) {
    case 0:
        return STR_EMPTY;
    case 1: /* many are the same */
        len = (size_t)snprintf(text, sizeof text, "/page%u", draw(&world->seed, 50));
        break;
    case 2: /* as long as what the index has, or a little more or less */
        len = INDEX_VALUE_MAX - 3 + draw(&world->seed, 6);
        memset(text, 'x', len);
        text[len - 1] = (char)('a' + draw(&world->seed, 3));
        break;
    case 3: /* much longer */
        len = 100 + draw(&world->seed, 2) * 500;
        memset(text, 'y', len);
        text[draw(&world->seed, 2) == 0 ? len - 1 : draw(&world->seed, (uint32_t)len)] =
            (char)('a' + draw(&world->seed, 3));
        break;
    default: /* nearly each another one */
        len = (size_t)snprintf(text, sizeof text, "%s%x",
                               beginnings[draw(&world->seed, TEST_COUNT(beginnings))],
                               draw(&world->seed, 1 << 20));
        if (draw(&world->seed, 4) == 0)
            text[len - 1] = '\xff';
        break;
    }
    return arena_str(&world->arena, (struct str){text, len});
}

static struct known draw_series(struct world *world, uint32_t number)
{
    static const char *const plans[] = {"", "pro", "free", "preview", "prod"};
    uint32_t metric = draw(&world->seed, 20);
    struct known known = {.kind = metric == 0 ? METRIC_GAUGE : METRIC_COUNTER,
                          .metric = metric < 2 ? "visits" : "orders"};

    known.values[0] = str_of(arena_printf(&world->arena, "h%u", number));
    known.values[1] = draw_path(world);
    known.values[2] = str_of(plans[draw(&world->seed, TEST_COUNT(plans))]);
    if (draw(&world->seed, 3) != 0)
        known.values[3] = str_of(arena_printf(&world->arena, "z%u", draw(&world->seed, 30)));
    return known;
}

static void add_known(struct world *world, const struct known *known)
{
    struct label labels[LABELS];
    struct buf key = BUF_EMPTY;
    size_t count = 0;

    for (int i = 0; i < LABELS; i++) {
        if (known->values[i].len > 0)
            labels[count++] = (struct label){str_of(NAMES[i]), known->values[i]};
    }
    series_key_write(&key, known->kind, str_of(known->metric), labels, count);
    struct catalog_series out =
        resolve(world->fixture, series_key_hash(buf_view(&key)), buf_view(&key));
    buf_fini(&key);
    assert_int_equal(out.refusal, CATALOG_TAKEN);
    assert_int_equal(out.id, known - world->all);
}

static bool matches_one(struct str value, struct str asked, enum match_op op)
{
    if (op == MATCH_PREFIX)
        value.len = value.len < asked.len ? value.len : asked.len;
    return str_equal(value, asked);
}

static bool is_chosen(const struct known *known, const struct selector *selector)
{
    if (known->gone || known->kind != selector->kind || !str_is(selector->metric, known->metric))
        return false;
    for (size_t i = 0; i < selector->match_count; i++) {
        const struct label_match *match = &selector->matches[i];
        struct str value = STR_EMPTY;
        bool found = false;
        for (int j = 0; j < LABELS; j++) {
            if (str_is(match->label, NAMES[j]))
                value = known->values[j];
        }
        for (size_t j = 0; j < match->value_count && !found; j++)
            found = matches_one(value, match->values[j], match->op);
        if (found == (match->op == MATCH_NOT_EQUAL))
            return false;
    }
    return true;
}

/* What a series has, or its beginning, mostly a short one; or what none has. */
static struct str draw_value(struct world *world, uint32_t label, enum match_op op)
{
    struct str value = STR_EMPTY;

    if (world->count > 0 && label < LABELS)
        value = world->all[1 + draw(&world->seed, world->count)].values[label];
    if (draw(&world->seed, 12) == 0)
        return STR_EMPTY;
    if (draw(&world->seed, 12) == 0)
        return str_of(arena_printf(&world->arena, "%.*s~", STR_ARGS(value)));
    if (op == MATCH_PREFIX && value.len > 0 && draw(&world->seed, 4) != 0)
        value.len = draw(&world->seed, 2) == 0 ? draw(&world->seed, value.len < 4 ? 2 : 4)
                                               : draw(&world->seed, (uint32_t)value.len);
    return value;
}

static void draw_match(struct world *world, struct label_match *out, struct str *values)
{
    uint32_t label = draw(&world->seed, LABELS * 4 + 1) / 4;

    out->label = str_of(label == LABELS ? "none" : NAMES[label]);
    out->op = (enum match_op)draw(&world->seed, 4);
    if (draw(&world->seed, 3) == 0)
        out->op = MATCH_PREFIX;
    out->values = values;
    out->value_count = out->op == MATCH_IN ? draw(&world->seed, 4) : 1;
    for (size_t i = 0; i < out->value_count; i++)
        values[i] = draw_value(world, label, out->op);
}

static void check_selector(struct world *world, struct read_txn *txn,
                           const struct selector *selector)
{
    struct fixture *fixture = world->fixture;
    struct arena arena = ARENA_EMPTY;
    uint32_t *ids = NULL;
    struct query_series *series = NULL;
    size_t found = 0;
    size_t with_keys = 0;
    size_t at = 0;

    must(fixture, catalog_select_ids(txn, selector, &arena, &ids, &found, &fixture->err));
    must(fixture, catalog_select(txn, selector, &arena, &series, &with_keys, &fixture->err));
    assert_int_equal(found, with_keys);
    for (uint32_t id = 1; id <= world->count; id++) {
        if (!is_chosen(&world->all[id], selector))
            continue;
        assert_true(at < found);
        assert_int_equal(ids[at], id);
        assert_int_equal(series[at].id, id);
        assert_true(str_is(series_key_metric(series[at].key), world->all[id].metric));
        at++;
    }
    assert_int_equal(at, found);
    arena_fini(&arena);
}

static void check_all(struct world *world, int selectors)
{
    struct read_txn *txn = read_begin(world->fixture);

    for (int i = 0; i < selectors; i++) {
        struct str values[3][3];
        struct label_match matches[3];
        struct selector selector = {STR("orders"), METRIC_COUNTER, matches, draw(&world->seed, 4)};
        for (size_t j = 0; j < selector.match_count; j++)
            draw_match(world, &matches[j], values[j]);
        if (draw(&world->seed, 4) == 0) {
            selector.metric = draw(&world->seed, 2) == 0 ? STR("visits") : STR("order");
            selector.kind = draw(&world->seed, 2) == 0 ? METRIC_GAUGE : METRIC_COUNTER;
        }
        check_selector(world, txn, &selector);
    }
    read_txn_end(txn);
}

static void make_series(struct world *world, uint32_t more)
{
    begin(world->fixture);
    for (; more > 0; more--) {
        uint32_t id = world->count + 1;
        world->all[id] = draw_series(world, id);
        add_known(world, &world->all[id]);
        world->count = id;
    }
    (void)catalog_end_group(world->fixture->catalog);
    commit(world->fixture);
}

static void remove_some(struct world *world, uint32_t one_in)
{
    struct fixture *fixture = world->fixture;

    begin(fixture);
    for (uint32_t id = 1; id <= world->count; id++) {
        if (draw(&world->seed, one_in) != 0)
            continue;
        must(fixture,
             catalog_remove_series(fixture->catalog, &fixture->txn, &id, 1, &fixture->err));
        world->all[id].gone = true;
    }
    (void)catalog_end_group(fixture->catalog);
    commit(fixture);
}

static void selectors_choose_what_looking_at_every_series_chooses(void **state)
{
    struct fixture *fixture = *state;
    struct world world = world_new(fixture, SERIES, 5);

    while (world.count < SERIES) {
        uint32_t more = draw(&world.seed, 2500) + 1;
        make_series(&world, world.count + more > SERIES ? SERIES - world.count : more);
        if (draw(&world.seed, 3) != 0)
            (void)index_step(fixture);
        check_all(&world, 20);
    }
    (void)index_all(fixture);
    check_all(&world, 150);
    remove_some(&world, 10);
    check_all(&world, 50);
    fixture_reopen(fixture);
    check_all(&world, 30);
    assert_int_equal(findings_of(fixture), 0);
    world_fini(&world);
}

/* A metric whose few series lie far apart among those of others. */
static void a_metric_that_is_strewn_about_is_chosen_from(void **state)
{
    enum { MANY = 50000, ONE_IN = 100 };
    struct fixture *fixture = *state;
    struct world world = world_new(fixture, MANY, 8);

    begin(fixture);
    for (uint32_t id = 1; id <= MANY; id++) {
        struct known *known = &world.all[id];
        *known =
            (struct known){METRIC_COUNTER, id % ONE_IN == 0 ? "orders" : "visits", {{0}}, false};
        known->values[0] = str_of(arena_printf(&world.arena, "h%u.%u", draw(&world.seed, 300), id));
        known->values[3] = id % 3 == 0 ? STR("z1") : STR("z2");
        add_known(&world, known);
        world.count = id;
    }
    (void)catalog_end_group(fixture->catalog);
    commit(fixture);
    (void)index_all(fixture);
    check_all(&world, 60);
    world_fini(&world);
}

static void an_empty_store_has_no_series(void **state)
{
    struct world world = world_new(*state, 0, 1);
    check_all(&world, 20);
    world_fini(&world);
}

/* Writes other bytes where the cursor stands. LMDB moves what `key` points to. */
static void put_current(MDB_cursor *cursor, const MDB_val *key, const void *bytes, size_t len)
{
    char copy[SCHEMA_NAME_SIZE];
    MDB_val name = {key->mv_size, copy};
    MDB_val value = {len, (void *)(uintptr_t)bytes};

    assert_in_range(key->mv_size, 1, sizeof copy);
    memcpy(copy, key->mv_data, key->mv_size);
    assert_int_equal(mdb_cursor_put(cursor, &name, &value, MDB_CURRENT), 0);
}

/* A chunk whose bytes are wrong: figures come from the keys until the index is made anew. */
static void a_damaged_index_loses_no_series(void **state)
{
    struct fixture *fixture = *state;
    struct world world = world_new(fixture, SERIES, 6);
    MDB_val key;
    MDB_val value;
    MDB_cursor *cursor = NULL;

    make_series(&world, SERIES);
    (void)index_all(fixture);
    begin(fixture);
    MDB_dbi index = fixture->store->databases[DATABASE_INDEX];
    assert_int_equal(mdb_cursor_open(fixture->txn.reader.txn, index, &cursor), 0);
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0) {
        char damaged[INDEX_CHUNK_BYTES_MAX];
        memcpy(damaged, value.mv_data, value.mv_size);
        damaged[value.mv_size / 2] ^= 1;
        put_current(cursor, &key, damaged, value.mv_size);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    commit(fixture);
    assert_true(findings_of(fixture) > 0);
    check_all(&world, 20);

    fixture_reopen(fixture); /* nothing in memory: the writer finds out, and its series too */
    begin(fixture);
    for (uint32_t id = 1; id <= SERIES; id += 100)
        add_known(&world, &world.all[id]);
    assert_int_equal(catalog_end_group(fixture->catalog), 0);
    commit(fixture);
    check_all(&world, 20);
    (void)index_all(fixture);
    assert_int_equal(findings_of(fixture), 0);
    check_all(&world, 20);
    world_fini(&world);
}

/* A chunk that stands where another one should: what it says is whole, but not what is there. */
static void a_chunk_at_another_place_is_damage(void **state)
{
    struct fixture *fixture = *state;
    struct world world = world_new(fixture, SERIES, 7);
    struct buf moved = BUF_EMPTY;
    MDB_val key;
    MDB_val value;
    MDB_cursor *cursor = NULL;

    make_series(&world, SERIES);
    (void)index_all(fixture);
    begin(fixture);
    MDB_dbi index = fixture->store->databases[DATABASE_INDEX];
    assert_int_equal(mdb_cursor_open(fixture->txn.reader.txn, index, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_LAST), 0);
    buf_append(&moved, value.mv_data, value.mv_size);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_PREV), 0);
    put_current(cursor, &key, moved.bytes, moved.len);
    mdb_cursor_close(cursor);
    commit(fixture);
    assert_true(findings_of(fixture) > 0);
    check_all(&world, 50);
    buf_fini(&moved);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CATALOG_TEST(an_empty_store_has_no_series),
        CATALOG_TEST(selectors_choose_what_looking_at_every_series_chooses),
        CATALOG_TEST(a_metric_that_is_strewn_about_is_chosen_from),
        CATALOG_TEST(a_damaged_index_loses_no_series),
        CATALOG_TEST(a_chunk_at_another_place_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
