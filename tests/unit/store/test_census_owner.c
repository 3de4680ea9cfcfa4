/* Who brought series, and how many a listener may bring. */
#include "census_world.h"

/* What a listener brings, in the transaction that is open. `with_key` false: as a shard that has
 * given it before. */
static struct catalog_series admit_from(struct world *world, const char *listener,
                                        const char *metric, const char *labels, bool with_key)
{
    struct fixture *fixture = &world->fixture;
    struct buf key = BUF_EMPTY;
    struct catalog_series out;
    struct delta *delta = delta_new();

    write_key(&key, METRIC_COUNTER, metric, labels);
    (void)delta_add_series(delta, series_key_hash(STR("none")), STR("none")); /* not asked for */
    delta_set_listener(delta, str_of(listener));
    (void)delta_add_series(delta, series_key_hash(buf_view(&key)),
                           with_key ? buf_view(&key) : STR_EMPTY);
    const struct catalog_batch batch = {
        .series = &delta->series[1], .count = 1, .now = world->now, .delta = delta, .first = 1};
    must(fixture,
         catalog_admit_all(fixture->catalog, &fixture->txn, &batch, true, &out, &fixture->err));
    delta_free(delta);
    buf_fini(&key);
    return out;
}

/* As a commit does it; the hours are saved when kpid stops. */
static void commit_census(struct world *world, bool is_end)
{
    struct fixture *fixture = &world->fixture;

    (void)catalog_end_group(fixture->catalog);
    must(fixture, census_save(census_of(world), &fixture->txn, world->now, is_end, &fixture->err));
    fixture->txn.wrote = true;
    commit(fixture);
}

/* In one of its own; an empty name is nobody. */
static struct catalog_series send_from(struct world *world, const char *listener,
                                       const char *metric, const char *labels)
{
    begin(&world->fixture);
    struct catalog_series out = admit_from(world, listener, metric, labels, true);
    commit_census(world, false);
    return out;
}

#define A "statsd udp:127.0.0.1:8125"
#define B "prometheus http:127.0.0.1:9090"

/* `limits` is the caller's. */
static void limit_listener(struct world *world, struct listener_limit *limits, uint64_t most)
{
    const struct series_limits all = {
        .series = 100, .listeners = limits, .listener_count = most == 0 ? 0 : 1};

    *limits = (struct listener_limit){STR(A), most};
    census_set_limits(census_of(world), &all);
}

static struct room_listener brought_by(struct world *world, const char *listener)
{
    static mono_ms mono;
    struct room_listener out = {0, 0};

    work(world);
    mono += 100 * 1000;
    census_tick(census_of(world), world->now, mono);
    (void)room_listener(world->room, str_of(listener), &out);
    return out;
}

static void a_listener_that_may_bring_no_more_is_alone_with_that(void **state)
{
    struct world *world = *state;
    struct listener_limit limits;
    struct room_offender shown[ROOM_OFFENDERS_MAX];

    limit_listener(world, &limits, 2);
    assert_true(census_has_limits(census_of(world)));
    assert_own(world, send_from(world, A, "orders", "n=1"), "orders{n=\"1\"}");
    assert_own(world, send_from(world, A, "visits", "n=1"), "visits{n=\"1\"}");
    struct catalog_series other = send_from(world, A, "orders", "n=2");
    assert_other(world, other, "orders");
    assert_own(world, send_from(world, B, "orders", "n=2"), "orders{n=\"2\"}");
    assert_own(world, send_from(world, A, "orders", "n=2"), "orders{n=\"2\"}");
    assert_own(world, send_from(world, B, "orders", "n=1"), "orders{n=\"1\"}");
    assert_own(world, send_from(world, "", "orders", "n=3"), "orders{n=\"3\"}");

    begin(&world->fixture);
    assert_other(world, admit_from(world, A, "orders", "n=4", true), "orders");
    census_count_other(census_of(world), other.place.metric, 5, 0);
    assert_string_equal(census_group(census_of(world))->listener, A);
    assert_int_equal(census_group(census_of(world))->limit, ROOM_LIMIT_LISTENER);
    commit_census(world, false);
    struct room_listener brought = brought_by(world, A);
    assert_int_equal(brought.series, 2);
    assert_int_equal(brought.allowed, 2);
    brought = brought_by(world, B);
    assert_int_equal(brought.series, 1);
    assert_int_equal(brought.allowed, 0);
    assert_int_equal(room_offenders(world->room, shown), 1);
    assert_string_equal(shown[0].metric, "orders");
    assert_string_equal(room_limit_name(shown[0].limit), "listener_max_series");
    assert_string_equal(shown[0].listener, A);
    assert_int_equal(shown[0].allowed, 2);
    assert_int_equal(shown[0].series, 2);
    assert_int_equal(shown[0].samples, 5);

    limit_listener(world, &limits, 3);
    assert_own(world, send_from(world, A, "orders", "n=5"), "orders{n=\"5\"}");
    assert_other(world, send_from(world, A, "orders", "n=6"), "orders");
    limit_listener(world, &limits, 0);
    assert_own(world, send_from(world, A, "orders", "n=6"), "orders{n=\"6\"}");
}

static void a_listener_may_bring_as_many_other_as_series(void **state)
{
    struct world *world = *state;
    struct listener_limit limits;

    limit_listener(world, &limits, 1);
    assert_own(world, send_from(world, A, "m0", "n=1"), "m0{n=\"1\"}");
    assert_other(world, send_from(world, A, "m1", "n=1"), "m1");
    assert_int_equal(send_from(world, A, "m2", "n=1").refusal, CATALOG_FULL);
    assert_other(world, send_from(world, A, "m1", "n=2"), "m1");
    assert_int_equal(send_from(world, A, "m3", "__other__=true").refusal, CATALOG_FULL);
    assert_own(world, send_from(world, B, "m2", "n=1"), "m2{n=\"1\"}");
    (void)send_from(world, B, "m2", "__other__=true"); /* a sender that calls it so */
    assert_other(world, send_from(world, A, "m2", "n=2"), "m2");
}

static void who_brings_a_series_again_after_a_day_owns_it(void **state)
{
    struct world *world = *state;
    struct listener_limit limits;

    limit_listener(world, &limits, 1);
    (void)send_from(world, A, "orders", "n=1");
    assert_other(world, send_from(world, A, "orders", "n=2"), "orders");
    world->now += 26 * HOUR;
    assert_int_equal(brought_by(world, A).series, 0);
    assert_own(world, send_from(world, B, "orders", "n=1"), "orders{n=\"1\"}");
    assert_own(world, send_from(world, A, "orders", "n=2"), "orders{n=\"2\"}");
    assert_own(world, send_from(world, A, "orders", "n=1"), "orders{n=\"1\"}");
    assert_int_equal(brought_by(world, A).series, 1);
    assert_int_equal(brought_by(world, B).series, 1);

    /* Without its key it is whose it was. */
    world->now += 26 * HOUR;
    assert_int_equal(brought_by(world, A).series, 0);
    begin(&world->fixture);
    assert_own(world, admit_from(world, B, "orders", "n=2", false), "orders{n=\"2\"}");
    commit_census(world, false);
    assert_int_equal(brought_by(world, A).series, 1);
    assert_other(world, send_from(world, A, "orders", "n=3"), "orders");
}

static void a_series_that_is_removed_is_nobodys(void **state)
{
    struct world *world = *state;
    struct listener_limit limits;

    limit_listener(world, &limits, 1);
    uint32_t id = send_from(world, A, "orders", "n=1").id;
    begin(&world->fixture);
    must(&world->fixture, catalog_remove_series(world->fixture.catalog, &world->fixture.txn, &id, 1,
                                                &world->fixture.err));
    commit_census(world, false);
    assert_own(world, send_from(world, A, "orders", "n=2"), "orders{n=\"2\"}");
    assert_other(world, send_from(world, A, "orders", "n=3"), "orders");
}

static void what_a_listener_brought_is_not_counted_when_it_fails(void **state)
{
    struct world *world = *state;
    struct listener_limit limits;

    limit_listener(world, &limits, 1);
    for (int i = 0; i < 3; i++) {
        begin(&world->fixture);
        assert_false(admit_from(world, A, "orders", "n=1", true).is_refused);
        assert_true(admit_from(world, A, "orders", "n=2", true).is_refused);
        must(&world->fixture, census_save(census_of(world), &world->fixture.txn, world->now, false,
                                          &world->fixture.err));
        write_txn_abort(&world->fixture.txn);
        catalog_forget(world->fixture.catalog);
    }
    (void)send_from(world, B, "visits", "n=1"); /* its number is not the first one */
    assert_own(world, send_from(world, A, "orders", "n=2"), "orders{n=\"2\"}");
    open_again(world);
    limit_listener(world, &limits, 1);
    work(world);
    assert_int_equal(brought_by(world, A).series, 1);
    assert_int_equal(brought_by(world, B).series, 1);
    assert_other(world, send_from(world, A, "orders", "n=1"), "orders");
}

/* Killed, so that nothing was saved but what commits hold. */
static void a_start_knows_who_brought_what(void **state)
{
    struct world *world = *state;
    struct listener_limit limits;
    char labels[16];

    limit_listener(world, &limits, 30);
    for (int i = 0; i < 30; i++) {
        (void)snprintf(labels, sizeof labels, "n=%d", i);
        (void)send_from(world, i % 3 == 0 ? B : A, "orders", labels);
    }
    open_again(world);
    limit_listener(world, &limits, 21);
    work(world);
    assert_int_equal(brought_by(world, A).series, 20);
    assert_int_equal(brought_by(world, B).series, 10);
    assert_own(world, send_from(world, A, "orders", "n=30"), "orders{n=\"30\"}");
    assert_other(world, send_from(world, A, "orders", "n=31"), "orders");
    assert_own(world, send_from(world, B, "orders", "n=31"), "orders{n=\"31\"}");
    assert_own(world, send_from(world, A, "orders", "n=0"), "orders{n=\"0\"}");
}

/* Killed again before it had read who was active: others of the same row came meanwhile. */
static void what_is_not_known_yet_is_not_forgotten(void **state)
{
    struct world *world = *state;

    (void)send_from(world, A, "orders", "n=1");
    (void)send_from(world, A, "orders", "n=2");
    open_again(world);
    (void)send_from(world, B, "orders", "n=3");
    open_again(world);
    assert_int_equal(brought_by(world, A).series, 2);
    assert_int_equal(brought_by(world, B).series, 1);
}

static void the_room_hears_of_a_full_listener(void **state)
{
    struct world *world = *state;
    struct listener_limit limits;
    struct buf known = BUF_EMPTY;
    struct buf new = BUF_EMPTY;

    write_key(&known, METRIC_COUNTER, "orders", "n=1");
    write_key(&new, METRIC_COUNTER, "orders", "n=9");
    limit_listener(world, &limits, 1);
    (void)send_from(world, A, "orders", "n=1");
    (void)send_from(world, A, "orders", "n=2");
    assert_false(room_listener_is_full(world->room, STR(A), buf_view(&new)));
    uint64_t epoch = room_epoch(world->room);
    work(world);
    census_tick(census_of(world), world->now, 1000);
    assert_int_equal(room_epoch(world->room), epoch + 1); /* shards tell listeners apart */
    assert_true(room_listener_is_full(world->room, STR(A), buf_view(&new)));
    assert_false(room_listener_is_full(world->room, STR(A), buf_view(&known)));
    assert_false(room_listener_is_full(world->room, STR(B), buf_view(&new)));
    assert_false(room_is_full(world->room, STR("orders"), buf_view(&new)));
    limit_listener(world, &limits, 2);
    census_tick(census_of(world), world->now, 2000);
    assert_false(room_listener_is_full(world->room, STR(A), buf_view(&new)));
    assert_int_equal(room_epoch(world->room), epoch + 1);
    census_tick(census_of(world), world->now, 62 * 1000);
    assert_int_equal(room_epoch(world->room), epoch + 2); /* and may try again */
    buf_fini(&known);
    buf_fini(&new);
}

/* --- against a model --- */

/* Over restarts. */
enum { LISTENERS = 4, BROUGHT = 40 };

static const char *const LISTENER_NAMES[LISTENERS] = {A, B, "influx tcp:[::1]:8089", ""};
static const uint64_t LISTENER_LIMITS[LISTENERS] = {7, 12, 0, 0};

struct owned {
    wall_ms seen; /* WALL_NONE: not active */
    unsigned owner;
};

static uint64_t owned_by(const struct owned *series, unsigned owner)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < BROUGHT; i++)
        count += series[i].seen != WALL_NONE && series[i].owner == owner;
    return count;
}

static void limit_listeners(struct world *world, struct listener_limit *limits)
{
    const struct series_limits all = {.series = 30, .listeners = limits, .listener_count = 2};

    for (unsigned i = 0; i < 2; i++)
        limits[i] = (struct listener_limit){str_of(LISTENER_NAMES[i]), LISTENER_LIMITS[i]};
    census_set_limits(census_of(world), &all);
}

static void bring_some(struct world *world, struct owned *series, uint64_t *random)
{
    for (unsigned i = 0; i < 3; i++) {
        unsigned which = draw(random, BROUGHT);
        unsigned owner = draw(random, LISTENERS);
        char labels[16];
        uint64_t all = 0;
        for (unsigned j = 0; j < LISTENERS; j++)
            all += owned_by(series, j);
        bool fits = series[which].seen != WALL_NONE ||
                    (all < 30 && (LISTENER_LIMITS[owner] == 0 ||
                                  owned_by(series, owner) < LISTENER_LIMITS[owner]));
        (void)snprintf(labels, sizeof labels, "n=%u", which);
        struct catalog_series out =
            admit_from(world, LISTENER_NAMES[owner], "orders", labels, true);
        assert_int_equal(out.is_refused, !fits);
        if (!fits)
            continue;
        if (series[which].seen == WALL_NONE)
            series[which].owner = owner;
        series[which].seen = world->now;
    }
}

static void listeners_are_counted_as_by_counting_all_series(void **state)
{
    struct world *world = *state;
    struct owned series[BROUGHT];
    struct listener_limit limits[2];
    uint64_t random = 5;

    for (unsigned i = 0; i < BROUGHT; i++)
        series[i] = (struct owned){WALL_NONE, 0};
    limit_listeners(world, limits);
    for (unsigned step = 0; step < 500; step++) {
        struct owned before[BROUGHT];
        memcpy(before, series, sizeof before);
        begin(&world->fixture);
        bring_some(world, series, &random);
        bool is_end = draw(&random, 12) == 0;
        if (!is_end && draw(&random, 5) == 0) {
            write_txn_abort(&world->fixture.txn);
            catalog_forget(world->fixture.catalog);
            for (unsigned i = 0; i < BROUGHT; i++)
                if (before[i].seen == WALL_NONE)
                    series[i] = before[i];
        } else {
            commit_census(world, is_end);
        }
        if (is_end) {
            open_again(world);
            limit_listeners(world, limits);
        }
        if (draw(&random, 6) == 0)
            world->now += 5 * HOUR;
        work(world);
        census_tick(census_of(world), world->now, (mono_ms)(step + 1) * 100000);
        for (unsigned i = 0; i < BROUGHT; i++)
            if (series[i].seen != WALL_NONE && world->now - series[i].seen > 24 * HOUR)
                series[i].seen = WALL_NONE;
        for (unsigned i = 0; i < 3; i++) {
            struct room_listener brought = {0, 0};
            (void)room_listener(world->room, str_of(LISTENER_NAMES[i]), &brought);
            assert_int_equal(brought.series, owned_by(series, i));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CENSUS_TEST(a_listener_that_may_bring_no_more_is_alone_with_that),
        CENSUS_TEST(a_listener_may_bring_as_many_other_as_series),
        CENSUS_TEST(who_brings_a_series_again_after_a_day_owns_it),
        CENSUS_TEST(a_series_that_is_removed_is_nobodys),
        CENSUS_TEST(what_a_listener_brought_is_not_counted_when_it_fails),
        CENSUS_TEST(a_start_knows_who_brought_what),
        CENSUS_TEST(what_is_not_known_yet_is_not_forgotten),
        CENSUS_TEST(the_room_hears_of_a_full_listener),
        CENSUS_TEST(listeners_are_counted_as_by_counting_all_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
