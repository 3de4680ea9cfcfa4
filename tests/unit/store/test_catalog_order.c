/* Series that come in the order of their ids are found without the table (store/series_order.h):
 * the answers must be those of who looks each one up by itself. */
#include "catalog_fixture.h"
#include "store/series_order.h"

/* --- names by ids --- */

static void a_name_is_found_under_its_id_alone(void **state)
{
    const struct series_hash one = {1, 2};
    const struct series_hash other = {1, 3};
    const struct series_hash third = {2, 3};
    const struct series_hash zero = {0, 0};
    struct series_order order = {0};
    (void)state;

    assert_int_equal(series_order_note(&order, 7, one), 0);
    series_order_put(&order, 7, one, 5);
    assert_int_equal(series_order_note(&order, 7, one), 5);
    assert_int_equal(series_order_note(&order, 7, other), 0);
    assert_int_equal(series_order_note(&order, 8, one), 0);
    assert_int_equal(series_order_note(&order, 8, zero), 0); /* nobody has that id */
    assert_int_equal(series_order_note(&order, UINT32_MAX, one), 0);
    series_order_put(&order, 7, other, 6);
    assert_int_equal(series_order_note(&order, 7, one), 0);
    assert_int_equal(series_order_note(&order, 7, other), 6);
    assert_int_equal(series_order_note(&order, 7, third), 0);
    series_order_remove(&order, 8);
    series_order_remove(&order, UINT32_MAX);
    series_order_remove(&order, 7);
    series_order_remove(&order, 7);
    assert_int_equal(series_order_note(&order, 7, other), 0);
    series_order_fini(&order);
}

static void a_part_is_there_as_long_as_one_of_its_ids(void **state)
{
    enum { IDS = 300 * SERIES_ORDER_IDS };
    struct series_order order = {0};
    (void)state;

    for (uint32_t id = IDS; id > 0; id--)
        series_order_put(&order, id, (struct series_hash){id, id}, id);
    assert_in_range(series_order_size_bytes(&order), 20 * IDS, 21 * IDS);
    for (uint32_t id = 1; id <= IDS; id++) {
        assert_int_equal(series_order_note(&order, id, (struct series_hash){id, id}), id);
        if (id != 1000)
            series_order_remove(&order, id);
    }
    assert_in_range(series_order_size_bytes(&order), 1, IDS / 8);
    assert_int_equal(series_order_note(&order, 1000, (struct series_hash){1000, 1000}), 1000);
    series_order_fini(&order);
    assert_int_equal(series_order_size_bytes(&order), 0);
}

/* --- series of deltas --- */

enum { NAMES = 1200, IDS = 60000, BATCH_MAX = 400, ROUNDS = 600 };

/* What there is, by the plainest of means. */
struct model {
    uint32_t ids[NAMES];    /* 0: not there */
    uint32_t names_at[IDS]; /* who had the id at last, also where it did not hold */
    uint32_t next_id;
};

struct world {
    struct fixture *fixture;
    struct model model;
    struct model held; /* before the transaction */
    struct buf *keys;  /* by name */
    struct series_hash *hashes;
    uint64_t seed;
    uint32_t asked[BATCH_MAX]; /* names */
    size_t count;
};

static enum metric_kind kind_of(uint32_t name)
{
    return name % 3 == 0 ? METRIC_GAUGE : METRIC_COUNTER;
}

/* Names as a sender brings them: in the order of their ids, with those that are gone; with others
 * between them; mixed up; or by themselves, so that some are new. */
static void ask_for(struct world *world)
{
    const uint32_t how = draw(&world->seed, 6);
    const uint32_t count = draw(&world->seed, draw(&world->seed, 4) == 0 ? BATCH_MAX : 60) + 1;
    const uint32_t ids = world->model.next_id > 1 ? world->model.next_id + 20 : 1;
    const uint32_t from = draw(&world->seed, ids);
    const uint32_t first = draw(&world->seed, NAMES);

    world->count = count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t name = world->model.names_at[(from + i) % ids];
        if (how == 0 || (how == 1 && draw(&world->seed, 20) == 0))
            name = (first + i) % NAMES;
        if (how == 2 && draw(&world->seed, 30) == 0)
            name = draw(&world->seed, NAMES);
        world->asked[i] = name;
    }
    for (uint32_t i = count; i > 1 && how == 3; i--) {
        const uint32_t j = draw(&world->seed, i);
        const uint32_t name = world->asked[i - 1];
        world->asked[i - 1] = world->asked[j];
        world->asked[j] = name;
    }
}

/* What is right for a series that is asked for: TAKEN of the id, or what is wrong with it. */
static enum catalog_refusal answer(struct world *world, uint32_t name, bool has_key, bool is_other)
{
    struct model *model = &world->model;

    if (model->ids[name] == 0) {
        if (!has_key)
            return CATALOG_UNKNOWN;
        model->ids[name] = model->next_id;
        model->names_at[model->next_id] = name;
        model->next_id++;
        return CATALOG_TAKEN;
    }
    return is_other ? CATALOG_COLLISION : CATALOG_TAKEN;
}

static void resolve_asked(struct world *world)
{
    struct fixture *fixture = world->fixture;
    struct delta_series series[BATCH_MAX];
    struct catalog_series out[BATCH_MAX];
    bool is_other[BATCH_MAX];
    const struct catalog_batch batch = {.series = series, .count = world->count, .now = 1000};
    const bool without_keys = draw(&world->seed, 2) == 0;

    for (size_t i = 0; i < world->count; i++) {
        const uint32_t name = world->asked[i];
        /* Another key with this hash: of one that is there, else it would be believed. */
        is_other[i] = world->model.ids[name] != 0 && draw(&world->seed, 50) == 0;
        const uint32_t shown = is_other[i] ? (name + 1) % NAMES : name;
        series[i] = (struct delta_series){world->hashes[name], buf_view(&world->keys[shown])};
        if (!is_other[i] && (without_keys || draw(&world->seed, 8) == 0))
            series[i].key = STR_EMPTY;
    }
    must(fixture,
         draw(&world->seed, 2) == 0
             ? catalog_resolve_all(fixture->catalog, &fixture->txn, &batch, out, &fixture->err)
             : catalog_admit_all(fixture->catalog, &fixture->txn, &batch, false, out,
                                 &fixture->err));
    for (size_t i = 0; i < world->count; i++) {
        const uint32_t name = world->asked[i];
        assert_int_equal(out[i].refusal, answer(world, name, series[i].key.len > 0, is_other[i]));
        if (out[i].refusal != CATALOG_TAKEN)
            continue;
        assert_int_equal(out[i].id, world->model.ids[name]);
        assert_int_equal(out[i].kind, kind_of(name));
    }
}

static void remove_some(struct world *world)
{
    struct fixture *fixture = world->fixture;
    const uint32_t from = draw(&world->seed, world->model.next_id) + 1;
    uint32_t ids[40];

    for (uint32_t i = 0; i < TEST_COUNT(ids); i++) {
        ids[i] = draw(&world->seed, 3) == 0 ? draw(&world->seed, world->model.next_id) : from + i;
        for (uint32_t name = 0; name < NAMES; name++) {
            if (ids[i] != 0 && world->model.ids[name] == ids[i])
                world->model.ids[name] = 0;
        }
    }
    must(fixture, catalog_remove_series(fixture->catalog, &fixture->txn, ids, TEST_COUNT(ids),
                                        &fixture->err));
}

/* It holds; or it does not; or it does, though nobody could tell. */
static void end_transaction(struct world *world)
{
    struct fixture *fixture = world->fixture;
    const uint32_t how = draw(&world->seed, 5);

    (void)catalog_end_group(fixture->catalog);
    if (how == 0) {
        write_txn_abort(&fixture->txn);
        memcpy(world->model.ids, world->held.ids, sizeof world->model.ids);
        world->model.next_id = world->held.next_id;
    } else {
        commit(fixture);
    }
    if (how <= 1)
        catalog_forget(fixture->catalog);
}

static void series_in_any_order_are_who_they_are(void **state)
{
    struct world *world = memory_zero(1, sizeof *world);

    *world = (struct world){.fixture = *state, .seed = 11};
    world->model.next_id = 1;
    world->keys = memory_zero(NAMES, sizeof *world->keys);
    world->hashes = memory_zero(NAMES, sizeof *world->hashes);
    for (uint32_t name = 0; name < NAMES; name++) {
        char labels[32];
        (void)snprintf(labels, sizeof labels, "n=%u", name);
        write_key(&world->keys[name], kind_of(name), name % 7 == 0 ? "visits" : "orders", labels);
        world->hashes[name] = series_key_hash(buf_view(&world->keys[name]));
    }
    for (int round = 0; round < ROUNDS; round++) {
        world->held = world->model;
        begin(world->fixture);
        for (uint32_t i = draw(&world->seed, 4) + 1; i > 0; i--) {
            ask_for(world);
            resolve_asked(world);
            if (draw(&world->seed, 8) == 0)
                remove_some(world);
        }
        end_transaction(world);
        if (draw(&world->seed, 12) == 0)
            (void)index_all(world->fixture);
        if (draw(&world->seed, 12) == 0)
            fixture_reopen(world->fixture);
    }
    assert_in_range(world->model.next_id, NAMES, IDS - BATCH_MAX);
    for (uint32_t name = 0; name < NAMES; name++)
        buf_fini(&world->keys[name]);
    free(world->keys);
    free(world->hashes);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_found_under_its_id_alone),
        cmocka_unit_test(a_part_is_there_as_long_as_one_of_its_ids),
        CATALOG_TEST(series_in_any_order_are_who_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
