#include "census_world.h"

static void limit(struct world *world, uint64_t series, uint64_t per_metric, uint64_t values)
{
    const struct series_limits limits = {
        .series = series, .per_metric = per_metric, .label_values = values};
    census_set_limits(catalog_census(world->fixture.catalog), &limits);
}

/* A metric's own limit; the table is the caller's. */
static void limit_own(struct world *world, struct metric_table *table,
                      struct metric_definition *metric, uint64_t per_metric)
{
    const struct series_limits limits = {.per_metric = per_metric, .metrics = table};

    table_fini(&table->by_name);
    table->by_name = (struct table)TABLE_EMPTY;
    if (metric->max_series > 0)
        assert_true(table_add(&table->by_name, str_of(metric->name), metric));
    census_set_limits(catalog_census(world->fixture.catalog), &limits);
}

/* In the transaction that is open. `with_key` false: as a shard that has given it before. */
static struct catalog_series admit(struct world *world, const char *metric, const char *labels,
                                   bool with_key)
{
    struct fixture *fixture = &world->fixture;
    struct buf key = BUF_EMPTY;
    struct catalog_series out;
    write_key(&key, METRIC_COUNTER, metric, labels);
    const struct delta_series series = {series_key_hash(buf_view(&key)),
                                        with_key ? buf_view(&key) : STR_EMPTY};
    const struct catalog_batch batch = {.series = &series, .count = 1, .now = world->now};
    must(fixture,
         catalog_admit_all(fixture->catalog, &fixture->txn, &batch, true, &out, &fixture->err));
    buf_fini(&key);
    return out;
}

/* In one of its own. */
static struct catalog_series send(struct world *world, const char *metric, const char *labels)
{
    begin(&world->fixture);
    struct catalog_series out = admit(world, metric, labels, true);
    (void)catalog_end_group(world->fixture.catalog);
    commit(&world->fixture);
    return out;
}

static struct catalog_series send_again(struct world *world, const char *metric, const char *labels)
{
    begin(&world->fixture);
    struct catalog_series out = admit(world, metric, labels, false);
    (void)catalog_end_group(world->fixture.catalog);
    commit(&world->fixture);
    return out;
}

/* --- limits --- */

static void without_limits_every_series_is_made(void **state)
{
    struct world *world = *state;
    assert_own(world, send(world, "orders", "n=1"), "orders{n=\"1\"}");
    assert_own(world, send(world, "orders", "n=2"), "orders{n=\"2\"}");
    assert_false(census_has_limits(census_of(world)));
}

/* FIG-35: limit 2, of plans a, b, c, d the last two are __other__. */
static void beyond_the_limit_of_a_metric_series_join_its_other(void **state)
{
    struct world *world = *state;
    limit(world, 0, 2, 0);
    struct catalog_series a = send(world, "orders", "plan=a");
    assert_own(world, a, "orders{plan=\"a\"}");
    assert_own(world, send(world, "orders", "plan=b"), "orders{plan=\"b\"}");
    struct catalog_series c = send(world, "orders", "plan=c");
    assert_other(world, c, "orders");
    struct catalog_series d = send(world, "orders", "plan=d");
    assert_other(world, d, "orders");
    assert_int_equal(c.id, d.id);
    assert_int_equal(send(world, "orders", "plan=a").id, a.id);
    assert_own(world, send(world, "visits", "plan=c"), "visits{plan=\"c\"}");
}

static void beyond_the_limit_of_all_each_metric_has_an_other(void **state)
{
    struct world *world = *state;
    limit(world, 2, 0, 0);
    (void)send(world, "orders", "plan=a");
    (void)send(world, "visits", "plan=a");
    assert_other(world, send(world, "orders", "plan=b"), "orders");
    assert_other(world, send(world, "clicks", "plan=b"), "clicks");
    /* There may be as many of them as series. */
    assert_int_equal(send(world, "taps", "plan=b").refusal, CATALOG_FULL);
    assert_other(world, send(world, "clicks", "plan=c"), "clicks");
}

static uint64_t series_stored(struct world *world)
{
    MDB_stat stat;
    struct read_txn *txn = read_begin(&world->fixture);
    assert_int_equal(mdb_stat(txn->txn, txn->store->databases[DATABASE_SERIES], &stat), 0);
    read_txn_end(txn);
    return stat.ms_entries;
}

/* However many metrics somebody invents; and when there is room they are all asked for again. */
static void where_no_other_has_room_nothing_is_made(void **state)
{
    struct world *world = *state;
    char metric[16];
    limit(world, 2, 0, 0);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(metric, sizeof metric, "m%d", i);
        enum catalog_refusal expected = i < 2 ? CATALOG_TAKEN : CATALOG_FULL;
        assert_int_equal(send(world, metric, "plan=a").refusal, expected);
        assert_int_equal(send(world, metric, "__other__=true").refusal, expected);
    }
    assert_int_equal(series_stored(world), 4);
    assert_int_equal(send_again(world, "m40", "plan=a").refusal, CATALOG_FULL);
    assert_int_equal(send_again(world, "m40", "__other__=true").refusal, CATALOG_FULL);
    assert_other(world, send(world, "m1", "plan=b"), "m1");
    uint64_t epoch = room_epoch(world->room);
    work(world);
    world->now += 26 * HOUR;
    census_tick(census_of(world), world->now, 1000);
    assert_int_equal(room_epoch(world->room), epoch + 1);
    assert_own(world, send(world, "m40", "plan=a"), "m40{plan=\"a\"}");
    assert_own(world, send_again(world, "m40", "plan=a"), "m40{plan=\"a\"}");
}

static void a_label_with_too_many_values_refuses_new_values_only(void **state)
{
    struct world *world = *state;
    struct str label;
    limit(world, 0, 0, 2);
    (void)send(world, "orders", "plan=a;user=1");
    (void)send(world, "orders", "plan=a;user=2");
    assert_other(world, send(world, "orders", "plan=a;user=3"), "orders");
    assert_own(world, send(world, "orders", "plan=b;user=2"), "orders{plan=\"b\",user=\"2\"}");
    assert_other(world, send(world, "orders", "plan=c;user=2"), "orders");
    assert_own(world, send(world, "orders", "host=x"), "orders{host=\"x\"}");

    struct buf key = BUF_EMPTY;
    write_key(&key, METRIC_COUNTER, "orders", "plan=b;user=9");
    struct read_txn *txn = read_begin(&world->fixture);
    assert_int_equal(census_ask(census_of(world), txn, buf_view(&key), 0, &label),
                     ROOM_LIMIT_LABEL);
    assert_true(str_is(label, "user"));
    read_txn_end(txn);
    buf_fini(&key);
}

static void what_a_sender_calls_other_is_never_over_the_limit(void **state)
{
    struct world *world = *state;
    limit(world, 0, 1, 1);
    (void)send(world, "orders", "plan=a");
    struct catalog_series other = send(world, "orders", "__other__=true");
    assert_false(other.is_refused);
    assert_int_equal(send(world, "orders", "plan=b").id, other.id);
}

/* --- senders that give a key once --- */

static void a_refused_series_is_known_without_its_key(void **state)
{
    struct world *world = *state;
    limit(world, 0, 1, 0);
    (void)send(world, "orders", "plan=a");
    struct catalog_series refused = send(world, "orders", "plan=b");
    for (int days = 0; days < 3; days++) {
        struct catalog_series again = send_again(world, "orders", "plan=b");
        assert_other(world, again, "orders");
        assert_int_equal(again.id, refused.id);
        assert_int_equal(again.kind, METRIC_COUNTER);
        world->now += 20 * HOUR; /* it is remembered as long as it comes */
    }
    assert_int_equal(send_again(world, "orders", "plan=c").refusal, CATALOG_UNKNOWN);
}

static void what_was_refused_is_forgotten_when_it_does_not_come(void **state)
{
    struct world *world = *state;
    limit(world, 0, 1, 0);
    (void)send(world, "orders", "plan=a");
    (void)send(world, "orders", "plan=b");
    for (int i = 0; i < 3; i++) {
        world->now += 26 * HOUR;
        (void)send(world, "orders", "plan=a");
    }
    assert_int_equal(send_again(world, "orders", "plan=b").refusal, CATALOG_UNKNOWN);
}

static void a_refused_series_is_made_when_there_is_room(void **state)
{
    struct world *world = *state;
    limit(world, 0, 1, 0);
    (void)send(world, "orders", "plan=a");
    (void)send(world, "orders", "plan=b");
    limit(world, 0, 2, 0);
    assert_other(world, send_again(world, "orders", "plan=b"), "orders"); /* without its key */
    assert_own(world, send(world, "orders", "plan=b"), "orders{plan=\"b\"}");
    assert_own(world, send_again(world, "orders", "plan=b"), "orders{plan=\"b\"}");
}

/* --- time --- */

static void series_that_come_no_more_make_room(void **state)
{
    struct world *world = *state;
    limit(world, 0, 2, 0);
    (void)send(world, "orders", "plan=a");
    (void)send(world, "orders", "plan=b");
    work(world);
    uint64_t epoch = room_epoch(world->room);
    world->now += 24 * HOUR;
    (void)send(world, "orders", "plan=a");
    census_tick(census_of(world), world->now, 1000);
    assert_other(world, send(world, "orders", "plan=c"), "orders");
    assert_int_equal(room_epoch(world->room), epoch);
    world->now += HOUR;
    census_tick(census_of(world), world->now, 2000);
    assert_int_equal(room_epoch(world->room), epoch + 1); /* shards may try again */
    assert_own(world, send(world, "orders", "plan=c"), "orders{plan=\"c\"}");
    /* And who comes back later has to wait for room like anybody else. */
    assert_other(world, send_again(world, "orders", "plan=b"), "orders");
}

static void a_series_that_is_removed_makes_room(void **state)
{
    struct world *world = *state;
    limit(world, 0, 0, 2);
    (void)send(world, "orders", "plan=a");
    uint32_t id = send(world, "orders", "plan=b").id;
    assert_other(world, send(world, "orders", "plan=c"), "orders");
    begin(&world->fixture);
    must(&world->fixture, catalog_remove_series(world->fixture.catalog, &world->fixture.txn, &id, 1,
                                                &world->fixture.err));
    (void)catalog_end_group(world->fixture.catalog);
    commit(&world->fixture);
    assert_own(world, send(world, "orders", "plan=c"), "orders{plan=\"c\"}");
    assert_other(world, send(world, "orders", "plan=d"), "orders");
}

/* So many that what knows them by their names has grown some times. */
static void of_many_metrics_each_has_its_own_count(void **state)
{
    enum { METRICS = 16000, GONE_EVERY = 3 };
    static uint32_t gone[METRICS];
    struct world *world = *state;
    struct fixture *fixture = &world->fixture;
    size_t gone_count = 0;
    char metric[16];

    limit(world, 0, 1, 0);
    begin(fixture);
    for (int i = 0; i < METRICS; i++) {
        (void)snprintf(metric, sizeof metric, "m%d", i);
        struct catalog_series series = admit(world, metric, "n=a", true);
        assert_false(series.is_refused);
        if (i % GONE_EVERY == 0)
            gone[gone_count++] = series.id;
    }
    must(fixture,
         catalog_remove_series(fixture->catalog, &fixture->txn, gone, gone_count, &fixture->err));
    for (int i = 0; i < METRICS; i++) {
        (void)snprintf(metric, sizeof metric, "m%d", i);
        assert_int_equal(admit(world, metric, "n=b", true).is_refused, i % GONE_EVERY != 0);
        assert_int_equal(admit(world, metric, "n=c", true).is_refused, true);
    }
    (void)catalog_end_group(fixture->catalog);
    commit(fixture);
}

/* --- transactions --- */

static void what_a_transaction_made_is_not_counted_when_it_fails(void **state)
{
    struct world *world = *state;
    limit(world, 0, 2, 1);
    for (int i = 0; i < 3; i++) {
        begin(&world->fixture);
        assert_int_equal(admit(world, "orders", "plan=x", true).is_refused, false);
        assert_int_equal(admit(world, "orders", "plan=y", true).is_refused, true);
        write_txn_abort(&world->fixture.txn);
        catalog_forget(world->fixture.catalog);
    }
    assert_own(world, send(world, "orders", "plan=a"), "orders{plan=\"a\"}");
    assert_other(world, send_again(world, "orders", "plan=y"), "orders");
    assert_own(world, send(world, "orders", "host=b"), "orders{host=\"b\"}");
    assert_other(world, send(world, "orders", "host=c"), "orders");
}

/* --- a start --- */

static void save(struct world *world)
{
    begin(&world->fixture);
    must(&world->fixture,
         census_save(census_of(world), &world->fixture.txn, world->now, true, &world->fixture.err));
    world->fixture.txn.wrote = true;
    commit(&world->fixture);
}

static void a_start_knows_who_was_active(void **state)
{
    struct world *world = *state;
    (void)send(world, "orders", "plan=old");
    (void)send(world, "orders", "plan=gone");
    world->now += 30 * HOUR;
    (void)send(world, "orders", "plan=old");
    save(world);
    (void)send(world, "orders", "plan=new"); /* known by when it was made */
    open_again(world);
    limit(world, 0, 2, 2);
    work(world);
    assert_other(world, send(world, "orders", "plan=x"), "orders");
    assert_own(world, send(world, "orders", "plan=old"), "orders{plan=\"old\"}");
    assert_own(world, send(world, "orders", "plan=new"), "orders{plan=\"new\"}");
    assert_other(world, send(world, "orders", "plan=gone"), "orders");
}

/* --- what is told --- */

static bool is_full(struct world *world, const char *metric, const char *labels)
{
    struct buf key = BUF_EMPTY;
    write_key(&key, METRIC_COUNTER, metric, labels);
    bool full = room_is_full(world->room, str_of(metric), buf_view(&key));
    buf_fini(&key);
    return full;
}

static void the_room_hears_of_a_full_metric_and_of_its_series(void **state)
{
    struct world *world = *state;
    limit(world, 10, 2, 0);
    (void)send(world, "orders", "plan=a");
    (void)send(world, "orders", "plan=b");
    (void)send(world, "orders", "plan=c");
    assert_false(is_full(world, "orders", "plan=d"));
    work(world);
    assert_true(is_full(world, "orders", "plan=d"));
    assert_false(is_full(world, "orders", "plan=a"));
    assert_false(is_full(world, "visits", "plan=d"));
    limit(world, 10, 3, 0);
    census_tick(census_of(world), world->now, 1);
    assert_false(is_full(world, "orders", "plan=d"));
}

/* In place of the one that all have, whichever is higher; a reload changes it. */
static void a_metric_may_have_a_limit_of_its_own(void **state)
{
    struct world *world = *state;
    struct metric_table tables[2] = {{.by_name = TABLE_EMPTY}, {.by_name = TABLE_EMPTY}};
    struct metric_definition orders = {.name = "orders", .max_series = 1};
    struct metric_definition more = {.name = "orders", .max_series = 3};
    struct metric_definition none = {.name = "orders"};
    struct room_offender shown[ROOM_OFFENDERS_MAX];

    limit_own(world, &tables[0], &orders, 2);
    assert_true(census_has_limits(census_of(world)));
    assert_own(world, send(world, "orders", "plan=a"), "orders{plan=\"a\"}");
    struct catalog_series other = send(world, "orders", "plan=b");
    assert_other(world, other, "orders");
    assert_own(world, send(world, "visits", "plan=a"), "visits{plan=\"a\"}");
    assert_own(world, send(world, "visits", "plan=b"), "visits{plan=\"b\"}");
    assert_other(world, send(world, "visits", "plan=c"), "visits");

    begin(&world->fixture);
    census_count_other(census_of(world), other.place.metric, 4, 0);
    census_count_other(census_of(world), other.place.metric, 0, 3);
    assert_int_equal(census_group(census_of(world))->refused_samples, 3);
    commit(&world->fixture);
    census_tick(census_of(world), world->now, 1000000);
    assert_int_equal(room_offenders(world->room, shown), 1);
    assert_string_equal(room_limit_name(shown[0].limit), "max_series");
    assert_int_equal(shown[0].samples, 4);
    assert_int_equal(shown[0].refused, 3);
    assert_int_equal(shown[0].allowed, 1);
    work(world);
    assert_true(is_full(world, "orders", "plan=b"));

    limit_own(world, &tables[1], &more, 2); /* more than others have */
    census_tick(census_of(world), world->now, 2000000);
    assert_false(is_full(world, "orders", "plan=b"));
    assert_int_equal(room_offenders(world->room, shown), 1);
    assert_int_equal(shown[0].allowed, 3);
    assert_own(world, send(world, "orders", "plan=b"), "orders{plan=\"b\"}");
    assert_own(world, send(world, "orders", "plan=c"), "orders{plan=\"c\"}");
    assert_other(world, send(world, "orders", "plan=d"), "orders");

    limit_own(world, &tables[0], &none, 0);
    census_tick(census_of(world), world->now, 3000000);
    assert_own(world, send(world, "orders", "plan=d"), "orders{plan=\"d\"}");
    assert_false(census_has_limits(census_of(world)));
    limit(world, 0, 0, 0);
    for (int i = 0; i < 2; i++)
        table_fini(&tables[i].by_name);
}

static void the_worst_offenders_are_shown_first(void **state)
{
    struct world *world = *state;
    struct room_offender shown[ROOM_OFFENDERS_MAX];
    char metric[16];
    limit(world, 0, 1, 0);
    for (unsigned i = 0; i < 30; i++) {
        (void)snprintf(metric, sizeof metric, "m%u", i);
        (void)send(world, metric, "plan=a");
        begin(&world->fixture);
        struct catalog_series out = admit(world, metric, "plan=b", true);
        census_count_other(census_of(world), out.place.metric, i + 1, 0);
        assert_int_equal(census_group(census_of(world))->samples, i + 1);
        (void)catalog_end_group(world->fixture.catalog);
        commit(&world->fixture);
    }
    (void)send(world, "m0", "plan=a"); /* the last transaction holds */
    census_tick(census_of(world), world->now, 5000);
    assert_int_equal(room_offenders(world->room, shown), ROOM_OFFENDERS_MAX);
    for (unsigned i = 0; i < ROOM_OFFENDERS_MAX; i++) {
        (void)snprintf(metric, sizeof metric, "m%u", 29 - i);
        assert_string_equal(shown[i].metric, metric);
        assert_int_equal(shown[i].samples, 30 - i);
        assert_int_equal(shown[i].series, 1);
        assert_int_equal(shown[i].limit, ROOM_LIMIT_METRIC);
    }
}

/* --- against a model --- */

enum { METRICS = 3, VALUES = 12, SERIES = METRICS * VALUES * VALUES };

struct model {
    wall_ms seen[SERIES]; /* WALL_NONE: not active */
};

static bool is_active(const struct model *model, unsigned series)
{
    return model->seen[series] != WALL_NONE;
}

static bool model_has_room(const struct model *model, unsigned series,
                           const struct series_limits *limits)
{
    unsigned metric = series / (VALUES * VALUES);
    unsigned label[2] = {series / VALUES % VALUES, series % VALUES};
    bool has[2][VALUES] = {{false}};
    uint64_t all = 0;
    uint64_t own = 0;
    uint64_t values[2] = {0, 0};

    for (unsigned i = 0; i < SERIES; i++) {
        if (!is_active(model, i))
            continue;
        all++;
        if (i / (VALUES * VALUES) != metric)
            continue;
        own++;
        unsigned of[2] = {i / VALUES % VALUES, i % VALUES};
        for (unsigned j = 0; j < 2; j++) {
            values[j] += !has[j][of[j]];
            has[j][of[j]] = true;
        }
    }
    if (all >= limits->series || own >= limits->per_metric)
        return false;
    for (unsigned j = 0; j < 2; j++) {
        if (!has[j][label[j]] && values[j] >= limits->label_values)
            return false;
    }
    return true;
}

static void the_same_are_let_in_as_by_counting_all_of_them(void **state)
{
    struct world *world = *state;
    static struct model model;
    const struct series_limits limits = {.series = 60, .per_metric = 30, .label_values = 6};
    uint64_t random = 11;
    unsigned refused = 0;

    for (unsigned i = 0; i < SERIES; i++)
        model.seen[i] = WALL_NONE;
    census_set_limits(census_of(world), &limits);
    for (unsigned step = 0; step < 600; step++) {
        char metric[8];
        char labels[32];
        struct model before = model;
        begin(&world->fixture);
        for (unsigned i = 0; i < 4; i++) {
            unsigned series = draw(&random, SERIES);
            (void)snprintf(metric, sizeof metric, "m%u", series / (VALUES * VALUES));
            (void)snprintf(labels, sizeof labels, "a=%u;b=%u", series / VALUES % VALUES,
                           series % VALUES);
            bool fits = is_active(&model, series) || model_has_room(&model, series, &limits);
            struct catalog_series out = admit(world, metric, labels, true);
            assert_int_equal(out.refusal, CATALOG_TAKEN);
            if (out.is_refused == fits)
                print_message("step %u series %s %s fits %d\n", step, metric, labels, fits);
            assert_int_equal(out.is_refused, !fits);
            refused += out.is_refused;
            if (fits)
                model.seen[series] = world->now;
        }
        if (draw(&random, 5) == 0) {
            write_txn_abort(&world->fixture.txn);
            catalog_forget(world->fixture.catalog);
            /* What was active before has been seen, even so. */
            for (unsigned i = 0; i < SERIES; i++)
                model.seen[i] = is_active(&before, i) ? model.seen[i] : WALL_NONE;
        } else {
            (void)catalog_end_group(world->fixture.catalog);
            commit(&world->fixture);
        }
        if (draw(&random, 10) == 0)
            world->now += 3 * HOUR;
        work(world);
        census_tick(census_of(world), world->now, (mono_ms)step * 1000);
        for (unsigned i = 0; i < SERIES; i++) {
            if (is_active(&model, i) && world->now - model.seen[i] > 24 * HOUR)
                model.seen[i] = WALL_NONE;
        }
    }
    assert_in_range(refused, 200, 2200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CENSUS_TEST(without_limits_every_series_is_made),
        CENSUS_TEST(beyond_the_limit_of_a_metric_series_join_its_other),
        CENSUS_TEST(a_metric_may_have_a_limit_of_its_own),
        CENSUS_TEST(beyond_the_limit_of_all_each_metric_has_an_other),
        CENSUS_TEST(where_no_other_has_room_nothing_is_made),
        CENSUS_TEST(a_label_with_too_many_values_refuses_new_values_only),
        CENSUS_TEST(what_a_sender_calls_other_is_never_over_the_limit),
        CENSUS_TEST(a_refused_series_is_known_without_its_key),
        CENSUS_TEST(what_was_refused_is_forgotten_when_it_does_not_come),
        CENSUS_TEST(a_refused_series_is_made_when_there_is_room),
        CENSUS_TEST(series_that_come_no_more_make_room),
        CENSUS_TEST(a_series_that_is_removed_makes_room),
        CENSUS_TEST(of_many_metrics_each_has_its_own_count),
        CENSUS_TEST(what_a_transaction_made_is_not_counted_when_it_fails),
        CENSUS_TEST(a_start_knows_who_was_active),
        CENSUS_TEST(the_room_hears_of_a_full_metric_and_of_its_series),
        CENSUS_TEST(the_worst_offenders_are_shown_first),
        CENSUS_TEST(the_same_are_let_in_as_by_counting_all_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
