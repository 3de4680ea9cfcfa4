/* Trackers in a store of the fixture's, and a transaction. */
#pragma once

#include "fixture.h"
#include "store/tracker.h"

#define NONE WALL_NONE

enum { ID_MAX = 1 << 20 };

struct world {
    struct tracker_set *set;
    struct write_txn txn;
};

/* The catalogue has a series with this id. */
static inline void give_id(struct fixture *fixture, uint32_t id)
{
    const struct schema_key key = schema_id_key(id);
    struct buf row = BUF_EMPTY;
    struct write_txn txn;
    struct error err = ERROR_EMPTY;

    buf_i64(&row, AT(MINUTE, 0));
    write_key(&row, METRIC_COUNTER, "requests", "");
    assert_true(write_txn_begin(fixture->store, NULL, &txn, &err));
    assert_true(store_put(&txn, DATABASE_SERIES, store_key(&key), buf_view(&row), 0, &err));
    assert_true(write_txn_commit(&txn, &err));
    buf_fini(&row);
}

static inline int tracker_setup(void **state)
{
    assert_int_equal(fixture_setup(state), 0);
    give_id(*state, ID_MAX);
    return 0;
}

#define TRACKER_TEST(test) cmocka_unit_test_setup_teardown(test, tracker_setup, fixture_teardown)

static inline void begin(struct world *world, struct fixture *fixture)
{
    struct error err = ERROR_EMPTY;
    if (!write_txn_begin(fixture->store, NULL, &world->txn, &err))
        fail_msg("%s", err.text);
    if (!tracker_set_begin(world->set, &world->txn.reader, &err))
        fail_msg("%s", err.text);
}

static inline void commit_trackers(struct world *world)
{
    struct error err = ERROR_EMPTY;
    assert_true(tracker_set_save(world->set, &world->txn, &err));
    assert_true(write_txn_commit(&world->txn, &err));
}

static inline struct tracker_answer take(struct world *world, const struct tracker_point *point)
{
    struct tracker_answer answer;
    tracker_take(world->set, point, &answer);
    return answer;
}

/* kpid is started anew between two transactions. */
static inline void restart_trackers(struct world *world)
{
    tracker_set_free(world->set);
    world->set = tracker_set_new();
}
