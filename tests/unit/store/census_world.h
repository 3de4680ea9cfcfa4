/* A census in a store, for its tests. */
#pragma once

#include <string.h>

#include "catalog_fixture.h"
#include "store/census.h"

#define HOUR ((wall_ms)MS_PER_HOUR)
#define NOW  (INT64_C(488000) * HOUR) /* in 2025 */

struct world {
    struct fixture fixture; /* first: it is what the fixture's functions are given */
    struct room *room;
    wall_ms now;
};

static inline void open_again(struct world *world)
{
    fixture_close(&world->fixture);
    fixture_open(&world->fixture);
    catalog_free(world->fixture.catalog);
    world->fixture.catalog = catalog_new_limited(world->room);
}

static inline int setup(void **state)
{
    struct world *world = memory_zero(1, sizeof *world);
    (void)snprintf(world->fixture.path, sizeof world->fixture.path, "/tmp/kpid-census-XXXXXX");
    assert_non_null(mkdtemp(world->fixture.path));
    world->room = room_new(1000);
    world->now = NOW;
    fixture_open(&world->fixture);
    catalog_free(world->fixture.catalog);
    world->fixture.catalog = catalog_new_limited(world->room);
    *state = world;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *world = *state;
    room_free(world->room);
    world->room = NULL;
    return fixture_teardown(state);
}

#define CENSUS_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static inline struct census *census_of(struct world *world)
{
    return catalog_census(world->fixture.catalog);
}

/* The text of a series' key. */
static inline const char *name_of(struct world *world, uint32_t id)
{
    static struct buf text;
    struct str key;
    struct read_txn *txn = read_begin(&world->fixture);
    assert_true(catalog_key(txn, id, &key));
    buf_clear(&text);
    series_key_format(&text, key);
    buf_char(&text, '\0');
    read_txn_end(txn);
    return text.bytes;
}

static inline void assert_own(struct world *world, struct catalog_series out, const char *name)
{
    assert_int_equal(out.refusal, CATALOG_TAKEN);
    assert_false(out.is_refused);
    assert_string_equal(name_of(world, out.id), name);
}

static inline void assert_other(struct world *world, struct catalog_series out, const char *metric)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s{__other__=\"true\"}", metric);
    assert_int_equal(out.refusal, CATALOG_TAKEN);
    assert_true(out.is_refused);
    assert_true(out.place.is_other);
    assert_string_equal(name_of(world, out.id), name);
}

static inline void work(struct world *world)
{
    while (census_work(census_of(world), world->fixture.store, world->now)) {
    }
}
