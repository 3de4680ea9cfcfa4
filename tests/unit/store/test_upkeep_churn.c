/* Series that come no more: their cells join `__other__`, all levels say the same and the sums over
 * metrics stay at every step, whatever comes in between. */
#include <stdio.h>

#include "store/catalog.h"
#include "store/upkeep_churn.h"
#include "store/verify.h"
#include "upkeep_world.h"

enum { METRICS = 4, SERIES_AT_A_TIME = 6, CHURN_DAYS = 3 };

static const struct {
    const char *name;
    enum metric_kind kind;
} METRIC[METRICS] = {
    {"visits", METRIC_COUNTER},
    {"latency", METRIC_DISTRIBUTION},
    {"users", METRIC_UNIQUE},
    {"orders", METRIC_COUNTER}, /* a KPI names it */
};

static bool is_orders(struct str metric, void *arg)
{
    (void)arg;
    return str_is(metric, "orders");
}

struct city {
    struct world world;
    struct catalog *catalog;
    struct bag totals; /* by metric and minute */
    bool has_late;
};

static void restart_upkeep(struct city *city)
{
    new_upkeep(&city->world);
    upkeep_set_catalog(city->world.upkeep, city->catalog);
}

static void city_open(struct city *city, uint64_t seed)
{
    *city = (struct city){.catalog = catalog_new()};
    world_open(&city->world, "2025-10-20", seed);
    city->world.options.churn_after = CHURN_DAYS * (span_ms)MS_PER_DAY;
    city->world.options.is_named = is_orders;
    restart_upkeep(city);
}

static void city_close(struct city *city)
{
    world_close(&city->world);
    catalog_free(city->catalog);
    bag_fini(&city->totals);
}

/* As a commit does. */
static uint32_t resolve(struct city *city, size_t metric, const char *labels)
{
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    struct catalog_series found;
    struct delta *delta = delta_new();

    (void)add_series(delta, METRIC[metric].kind, METRIC[metric].name, labels);
    const struct catalog_batch batch = {
        .series = delta->series, .count = 1, .now = city->world.clock.mark};
    assert_true(write_txn_begin(city->world.fixture.store, NULL, &txn, &err));
    assert_true(catalog_resolve_all(city->catalog, &txn, &batch, &found, &err));
    (void)catalog_end_group(city->catalog);
    number_commit(&txn);
    delta_free(delta);
    assert_int_equal(found.refusal, CATALOG_TAKEN);
    return found.id;
}

static void add_city_cell(struct city *city, struct bag *cells, size_t metric, unsigned host,
                          int64_t minute)
{
    struct world *world = &city->world;
    char labels[32];
    struct cell cell = CELL_EMPTY;
    uint64_t arrival = ++world->samples;
    wall_ms at = minute * MS_PER_MINUTE + (wall_ms)(arrival % MS_PER_MINUTE);
    double value = (double)below(world, 1000);

    (void)snprintf(labels, sizeof labels, "host=h%u", host);
    uint32_t id = resolve(city, metric, labels);
    if (METRIC[metric].kind == METRIC_DISTRIBUTION)
        cell_add_value(&cell, value, WEIGHT_ONE, at, arrival);
    else
        aggregate_add(&cell.aggregate, value, WEIGHT_ONE, at, arrival);
    if (METRIC[metric].kind == METRIC_UNIQUE) {
        cell.distinct = distinct_new();
        distinct_add(cell.distinct, (struct str){(const char *)&world->random, 8});
    }
    (void)bag_add(cells, id, minute, &cell);
    (void)bag_add(&city->totals, (uint32_t)metric, minute, &cell);
    cell_fini(&cell);
}

/* Some cells of the hosts of the time, and a few late ones of any host that there was. */
static void commit_hosts(struct city *city, unsigned first_host)
{
    struct world *world = &city->world;
    struct bag cells = {0};

    for (uint64_t i = 1 + below(world, 8); i > 0; i--) {
        bool is_late = city->has_late && below(world, 12) == 0;
        unsigned host = is_late ? (unsigned)below(world, first_host + 1)
                                : first_host + (unsigned)below(world, SERIES_AT_A_TIME);
        uint64_t age = below(world, is_late ? UINT64_C(4) * 24 * 60 : 30);
        add_city_cell(city, &cells, (size_t)below(world, METRICS), host,
                      minute_now(world) - (int64_t)age);
    }
    write_run(world, &cells);
}

/* --- what there is --- */

static size_t metric_of_id(const struct read_txn *txn, uint32_t id)
{
    struct str key;

    if (!catalog_key(txn, id, &key))
        fail_msg("series %u has cells and no row", id);
    for (size_t i = 0; i < METRICS; i++) {
        if (str_is(series_key_metric(key), METRIC[i].name))
            return i;
    }
    fail_msg("series %u is of no metric", id);
    return 0;
}

static void copy_bag(const struct bag *from, struct bag *into)
{
    for (size_t i = 0; i < from->count; i++)
        (void)bag_add(into, from->items[i].id, from->items[i].bucket, &from->items[i].cell);
}

static void read_minutes(struct read_txn *txn, struct bag *out)
{
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct partition *partitions = NULL;
    size_t count = 0;
    const struct view view = {
        .txn = txn, .level = LEVEL_MINUTE, .from = INT64_MIN, .to = INT64_MAX};

    assert_true(
        parts_partitions(txn, &(const struct bucket_range){LEVEL_MINUTE, 0, INT64_MIN, INT64_MAX},
                         &arena, &partitions, &count, &err));
    for (size_t i = 0; i < count; i++)
        add_partition(&view, &partitions[i], out);
    add_runs(&view, out);
    bag_merge(out);
    arena_fini(&arena);
}

/* The minutes say by metric what was stored, and each level by series what the minutes say. */
static void check_city(struct city *city)
{
    struct read_txn *txn = read_begin(&city->world.fixture);
    struct bag minutes = {0};
    struct bag found = {0};
    struct bag expected = {0};

    read_minutes(txn, &minutes);
    for (size_t i = 0; i < minutes.count; i++) {
        const struct item *item = &minutes.items[i];
        (void)bag_add(&found, (uint32_t)metric_of_id(txn, item->id), item->bucket, &item->cell);
    }
    read_txn_end(txn);
    bag_merge(&city->totals);
    copy_bag(&city->totals, &expected);
    expect_same_bags(&found, &expected, "metrics");
    city->world.model = minutes;
    check_levels(&city->world);
    bag_fini(&city->world.model);
}

static size_t select_series(struct city *city, size_t metric, uint32_t *last)
{
    struct arena arena = ARENA_EMPTY;
    const struct selector selector = {.metric = str_of(METRIC[metric].name),
                                      .kind = METRIC[metric].kind};
    size_t count = 0;
    struct read_txn *txn = read_begin(&city->world.fixture);
    const struct query_series *series = query_select(txn, &selector, &arena, &count);

    *last = count > 0 ? series[count - 1].id : 0;
    read_txn_end(txn);
    arena_fini(&arena);
    return count;
}

static bool has_series(struct city *city, uint32_t id)
{
    struct read_txn *txn = read_begin(&city->world.fixture);
    struct str key;
    bool has = catalog_key(txn, id, &key);
    read_txn_end(txn);
    return has;
}

static void on_finding(const struct verify_finding *finding, void *arg)
{
    (void)arg;
    fail_msg("%s %s: %s", finding->what, finding->where, finding->text);
}

static void expect_verified(struct city *city)
{
    struct error err = ERROR_EMPTY;
    struct verify_counts counts;
    const struct verify_options options = {.on_finding = on_finding};

    if (!verify_store(city->world.fixture.store, &options, &counts, &err))
        fail_msg("%s", err.text);
    assert_int_equal(counts.findings, 0);
}

/* Some days of a few hosts; each of them comes every day. */
static void live(struct city *city, unsigned first_host, size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        struct bag cells = {0};
        pass_time(&city->world, QUARTER_MS * QUARTERS_PER_WINDOW);
        for (size_t metric = 0; metric < METRICS; metric++)
            add_city_cell(city, &cells, metric, first_host + (unsigned)i % SERIES_AT_A_TIME,
                          minute_now(&city->world));
        write_run(&city->world, &cells);
        commit_hosts(city, first_host);
        (void)settle(&city->world);
    }
}

/* --- tests --- */

static void sums_stay_whatever_comes_in_between(void **state)
{
    struct city city;
    (void)state;

    city_open(&city, 11);
    city.has_late = true;
    for (size_t round = 0; round < 240; round++) {
        pass_time(&city.world, (span_ms)below(&city.world, 240) * MS_PER_MINUTE);
        commit_hosts(&city, (unsigned)round / 6);
        cut_steps(&city.world);
        for (size_t i = below(&city.world, 200); i > 0 && step(&city.world); i--) {
        }
        if (below(&city.world, 40) == 0)
            restart_upkeep(&city);
        if (round % 16 == 15)
            check_city(&city);
    }
    restart_upkeep(&city);
    (void)settle(&city.world);
    check_city(&city);
    /* What is left came within the last days. */
    uint32_t last = 0;
    assert_in_range(select_series(&city, 0, &last), 2, 20);
    assert_in_range(select_series(&city, 1, &last), 2, 20);
    assert_true(select_series(&city, 3, &last) > 25);
    expect_verified(&city);
    city_close(&city);
}

/* The job is due: hosts 0 to 5 came for three days, and then for a week only 100 to 105. */
static void live_two_lives(struct city *city, struct bag *first)
{
    city->world.options.churn_after = 0;
    live(city, 0, 18);
    if (first != NULL)
        copy_bag(&city->totals, first);
    live(city, 100, 42);
    city->world.options.churn_after = CHURN_DAYS * (span_ms)MS_PER_DAY;
    restart_upkeep(city);
}

static void put_rows(struct city *city, uint32_t id)
{
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    struct schema_key key = schema_id_key(id);

    assert_true(write_txn_begin(city->world.fixture.store, NULL, &txn, &err));
    assert_true(store_put(&txn, DATABASE_GAUGES, store_key(&key), STR("x"), 0, &err));
    number_commit(&txn);
}

/* Who was said to be gone. */
struct heard {
    uint32_t ids[64];
    size_t count;
};

static void hear_removed(const uint32_t *ids, size_t count, void *arg)
{
    struct heard *heard = arg;
    for (size_t i = 0; i < count; i++) {
        assert_true(heard->count < TEST_COUNT(heard->ids));
        heard->ids[heard->count++] = ids[i];
    }
}

static bool count_range(wall_ms from, wall_ms to, void *arg)
{
    assert_true(from < to);
    (*(size_t *)arg)++;
    return true;
}

/* In how many spans a series changed since a commit (design 4.11). */
static size_t count_changes(struct city *city, uint32_t id, uint64_t since)
{
    struct error err = ERROR_EMPTY;
    size_t count = 0;
    const struct query_series series = {.id = id};
    const struct query_changes changes = {.series = &series, .series_count = 1, .since = since};
    struct read_txn *txn = read_begin(&city->world.fixture);

    if (!query_changed(txn, &changes, count_range, &count, &err))
        fail_msg("%s", err.text);
    read_txn_end(txn);
    return count;
}

static void who_came_no_more_is_found_in_other(void **state)
{
    struct city city;
    struct heard heard = {.count = 0};
    struct bag first = {0};
    struct bag minutes = {0};
    struct bag others = {0};
    struct bag expected = {0};
    uint32_t last = 0;
    (void)state;

    city_open(&city, 12);
    uint32_t gone = resolve(&city, 0, "host=h0");
    uint32_t named = resolve(&city, 3, "host=h0");
    put_rows(&city, gone);
    put_rows(&city, named);
    live_two_lives(&city, &first);
    assert_int_equal(select_series(&city, 0, &last), 2 * SERIES_AT_A_TIME);
    uint64_t before = COUNTER_GET(series_churned);
    uint64_t commit = commit_number(&city.world.fixture);
    upkeep_on_removed(city.world.upkeep, hear_removed, &heard);
    (void)settle(&city.world);
    assert_int_equal(COUNTER_GET(series_churned) - before, 3 * SERIES_AT_A_TIME);
    assert_int_equal(heard.count, 3 * SERIES_AT_A_TIME);
    for (size_t i = 0; i < heard.count; i++)
        assert_false(has_series(&city, heard.ids[i]));
    check_city(&city);
    for (size_t i = 0; i < METRICS - 1; i++)
        assert_int_equal(select_series(&city, i, &last), SERIES_AT_A_TIME + 1);
    assert_int_equal(select_series(&city, 3, &last), 2 * SERIES_AT_A_TIME);
    assert_false(has_series(&city, gone));
    assert_true(has_series(&city, named));
    assert_int_equal(entries_of(&city.world, DATABASE_GAUGES), 1);

    struct read_txn *txn = read_begin(&city.world.fixture);
    read_minutes(txn, &minutes);
    read_txn_end(txn);
    for (uint32_t i = 0; i < METRICS - 1; i++) {
        uint32_t other = resolve(&city, i, "__other__=true");
        assert_true(count_changes(&city, other, commit) > 0);
        for (size_t j = 0; j < minutes.count; j++) {
            if (minutes.items[j].id == other)
                (void)bag_add(&others, i, minutes.items[j].bucket, &minutes.items[j].cell);
        }
    }
    for (size_t i = 0; i < first.count; i++) {
        if (first.items[i].id != 3)
            (void)bag_add(&expected, first.items[i].id, first.items[i].bucket,
                          &first.items[i].cell);
    }
    expect_same_bags(&others, &expected, "others");
    bag_fini(&minutes);
    bag_fini(&first);
    city_close(&city);
}

static void who_comes_back_is_a_new_series(void **state)
{
    struct city city;
    struct bag cells = {0};
    uint32_t last = 0;
    (void)state;

    city_open(&city, 13);
    uint32_t old = resolve(&city, 0, "host=h0");
    live_two_lives(&city, NULL);
    (void)settle(&city.world);
    assert_false(has_series(&city, old));
    (void)select_series(&city, 0, &last);
    add_city_cell(&city, &cells, 0, 0, minute_now(&city.world));
    write_run(&city.world, &cells);
    uint32_t fresh = resolve(&city, 0, "host=h0");
    assert_true(fresh > last);
    assert_false(has_series(&city, old));
    assert_int_equal(select_series(&city, 0, &last), SERIES_AT_A_TIME + 2);
    pass_time(&city.world, MS_PER_DAY);
    (void)settle(&city.world);
    assert_true(has_series(&city, fresh));
    check_city(&city);
    expect_verified(&city);
    city_close(&city);
}

/* The bytes of a step of the job, whatever else is done in between. */
static bool small_step(struct city *city)
{
    struct upkeep_counts *counts = &city->world.upkeep->counts;
    uint64_t collected = counts->collected;
    bool is_job = city->world.upkeep->churn != NULL;

    counts->largest_step_bytes = 0;
    bool more = step(&city->world);
    if (is_job && counts->collected == collected)
        assert_in_range(counts->largest_step_bytes, 0, 2000 + 6144);
    return more;
}

/* At every step, and after a death at any of them. */
static void a_job_that_is_cut_short_leaves_nothing_behind(void **state)
{
    struct city city;
    struct upkeep_counts counts = {0};
    size_t deaths = 0;
    uint32_t last = 0;
    (void)state;

    city_open(&city, 14);
    live_two_lives(&city, NULL);
    for (size_t steps = 1; counts.churned == 0 || city.world.upkeep->churn != NULL; steps *= 2) {
        restart_upkeep(&city);
        city.world.upkeep->step_points = 40;
        city.world.upkeep->step_bytes = 2000;
        for (size_t i = 0; i < steps && small_step(&city); i++) {
        }
        upkeep_counts(city.world.upkeep, &counts);
        check_city(&city);
        deaths++;
    }
    assert_true(deaths > 4);
    (void)settle(&city.world);
    restart_upkeep(&city);
    (void)settle(&city.world);
    assert_int_equal(entries_of(&city.world, DATABASE_GARBAGE), 0);
    for (size_t i = 0; i < METRICS - 1; i++)
        assert_int_equal(select_series(&city, i, &last), SERIES_AT_A_TIME + 1);
    expect_verified(&city);
    city_close(&city);
}

static bool is_chosen(const struct upkeep *upkeep)
{
    return upkeep->churn != NULL && upkeep->churn->is_chosen;
}

static bool is_moving(const struct upkeep *upkeep)
{
    return upkeep->churn != NULL && upkeep->churn->move.source != 0;
}

static bool is_switched(const struct upkeep *upkeep)
{
    return upkeep->churn != NULL && upkeep->churn->is_switched;
}

/* It keeps its row, and what it counts is there, also when that is folded while the job goes on. */
static void who_comes_back_meanwhile_stays(void **state)
{
    static bool (*const moments[])(const struct upkeep *) = {is_chosen, is_moving, is_switched};
    (void)state;

    for (size_t i = 0; i < 9; i++) {
        struct city city;
        struct bag cells = {0};
        bool is_folded = i >= 3;
        bool is_only_late = i >= 6;

        city_open(&city, 15 + i);
        uint32_t id = resolve(&city, 0, "host=h3");
        live_two_lives(&city, NULL);
        city.world.upkeep->step_points = 30;
        while (!moments[i % 3](city.world.upkeep))
            assert_true(step(&city.world));
        assert_int_equal(resolve(&city, 0, "host=h3"), id);
        if (!is_only_late)
            add_city_cell(&city, &cells, 0, 3, minute_now(&city.world));
        add_city_cell(&city, &cells, 0, 3, minute_now(&city.world) - INT64_C(8) * 24 * 60);
        write_run(&city.world, &cells);
        if (is_folded)
            pass_time(&city.world, 2 * QUARTER_MS);
        for (size_t steps = 0; step(&city.world); steps++) {
            if (steps % 64 == 0)
                check_city(&city);
        }
        check_city(&city);
        /* What is old and was folded before the switch has joined the rest. */
        assert_int_equal(has_series(&city, id), !is_only_late || i % 3 == 2);
        expect_verified(&city);
        city_close(&city);
    }
}

static void nothing_goes_while_the_clock_is_suspect_or_it_is_not_asked_for(void **state)
{
    struct city city;
    uint32_t last = 0;
    (void)state;

    city_open(&city, 30);
    live_two_lives(&city, NULL);
    city.world.clock.suspect = true;
    (void)settle(&city.world);
    assert_int_equal(select_series(&city, 0, &last), 2 * SERIES_AT_A_TIME);
    city.world.clock.suspect = false;
    city.world.options.churn_after = 0;
    (void)settle(&city.world);
    assert_int_equal(select_series(&city, 0, &last), 2 * SERIES_AT_A_TIME);
    city_close(&city);
}

/* Else metrics that came once would leave a series each for ever. */
static void an_other_without_cells_goes(void **state)
{
    struct city city;
    (void)state;

    city_open(&city, 31);
    uint32_t other = resolve(&city, 3, "__other__=true");
    uint32_t empty = resolve(&city, 0, "host=none");
    uint32_t taken = resolve(&city, 1, "__other__=true");
    city.world.options.is_named = NULL;
    live_two_lives(&city, NULL);
    (void)settle(&city.world);
    assert_false(has_series(&city, empty));
    assert_true(has_series(&city, other)); /* it took the others */
    assert_true(has_series(&city, taken));
    check_city(&city);
    city_close(&city);

    city_open(&city, 32);
    other = resolve(&city, 3, "__other__=true");
    city.world.options.churn_after = CHURN_DAYS * (span_ms)MS_PER_DAY;
    city.world.options.is_named = NULL;
    restart_upkeep(&city);
    pass_time(&city.world, 5 * (span_ms)MS_PER_DAY);
    (void)settle(&city.world);
    assert_false(has_series(&city, other));
    city_close(&city);
}

/* --- commits that fail --- */

static bool commit_fails;

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
    if (!commit_fails)
        return __real_mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return ENOSPC;
}

static void fail_step(struct city *city)
{
    struct error err = ERROR_EMPTY;
    bool more = false;

    commit_fails = true;
    (void)upkeep_step(city->world.upkeep, &city->world.clock, &more, &err);
    commit_fails = false;
}

/* The next step makes `__other__` of the metrics. */
static bool is_making_others(const struct upkeep *upkeep)
{
    const struct churn_job *job = upkeep->churn;

    if (job == NULL || !job->is_chosen || job->target_count > 0)
        return false;
    for (size_t i = 0; i < job->part_count; i++) {
        if (!job->parts[i].is_looked_at)
            return false;
    }
    return true;
}

static void a_commit_that_fails_is_as_if_nothing_had_been(void **state)
{
    struct city city;
    uint32_t last = 0;
    (void)state;

    city_open(&city, 33);
    uint32_t old = resolve(&city, 0, "host=h0");
    live_two_lives(&city, NULL);
    city.world.upkeep->step_points = 1;
    while (!is_making_others(city.world.upkeep))
        assert_true(step(&city.world));
    assert_int_equal(select_series(&city, 0, &last), 2 * SERIES_AT_A_TIME);
    fail_step(&city);
    assert_int_equal(select_series(&city, 0, &last), 2 * SERIES_AT_A_TIME);
    city.world.upkeep->step_points = 100;
    for (size_t steps = 1; !is_switched(city.world.upkeep); steps += 5) {
        for (size_t i = 0; i < steps && !is_switched(city.world.upkeep); i++)
            assert_true(step(&city.world));
        if (!is_switched(city.world.upkeep))
            fail_step(&city);
        assert_int_equal(resolve(&city, 0, "host=h0"), old);
        if (steps % 16 == 1)
            check_city(&city);
    }
    check_city(&city);
    city.world.upkeep->step_points = 1;
    /* The one that takes the series away. */
    while (city.world.upkeep->churn != NULL)
        fail_step(&city);
    assert_int_equal(resolve(&city, 0, "host=h0"), old);
    check_city(&city);
    city.world.upkeep->churn_day = INT64_MIN; /* tomorrow */
    (void)settle(&city.world);
    assert_int_equal(select_series(&city, 0, &last), SERIES_AT_A_TIME + 1);
    assert_true(resolve(&city, 0, "host=h0") > old);
    check_city(&city);
    expect_verified(&city);
    city_close(&city);
}

/* --- series that somebody wants to be gone --- */

static void want_gone(struct city *city, const uint32_t *ids, size_t count)
{
    struct error err = ERROR_EMPTY;
    struct write_txn txn;

    assert_true(write_txn_begin(city->world.fixture.store, NULL, &txn, &err));
    assert_true(
        upkeep_want_gone(city->world.upkeep, &txn, ids, count, city->world.clock.keep_mark, &err));
    number_commit(&txn);
}

/* Looks again although no minute has passed. */
static void settle_unwanted(struct city *city)
{
    city->world.upkeep->unwanted_after = 0;
    (void)settle(&city->world);
}

static void who_is_not_wanted_is_found_in_other_once_folded(void **state)
{
    struct city city;
    struct bag cells = {0};
    uint32_t last = 0;
    (void)state;

    city_open(&city, 21);
    city.world.options.churn_after = 0; /* it is not about age */
    live(&city, 0, 12);
    pass_time(&city.world, MS_PER_HOUR);
    (void)settle(&city.world);
    uint32_t ids[2] = {resolve(&city, 0, "host=h0"), resolve(&city, 3, "host=h1")};
    add_city_cell(&city, &cells, 0, 0, minute_now(&city.world));
    write_run(&city.world, &cells);
    size_t before = select_series(&city, 0, &last);
    want_gone(&city, ids, 2);
    settle_unwanted(&city);
    assert_true(has_series(&city, ids[0])); /* its last sample is of an open quarter */
    assert_false(has_series(&city, ids[1]));
    assert_int_equal(entries_of(&city.world, DATABASE_UNWANTED), 1);
    check_city(&city);
    pass_time(&city.world, 2 * QUARTER_MS);
    (void)settle(&city.world);
    settle_unwanted(&city);
    assert_false(has_series(&city, ids[0]));
    assert_int_equal(select_series(&city, 0, &last), before); /* with __other__ */
    assert_int_equal(entries_of(&city.world, DATABASE_UNWANTED), 0);
    check_city(&city);
    expect_verified(&city);
    city_close(&city);
}

static void who_comes_on_and_on_stays_though_not_wanted(void **state)
{
    struct city city;
    (void)state;

    city_open(&city, 22);
    live(&city, 0, 3);
    uint32_t id = resolve(&city, 0, "host=h0");
    want_gone(&city, &id, 1);
    for (int i = 0; i < 30; i++) {
        struct bag cells = {0};
        pass_time(&city.world, MS_PER_HOUR);
        add_city_cell(&city, &cells, 0, 0, minute_now(&city.world));
        write_run(&city.world, &cells);
        settle_unwanted(&city);
        assert_true(has_series(&city, id));
        if (i % 10 == 9)
            restart_upkeep(&city);
    }
    assert_int_equal(entries_of(&city.world, DATABASE_UNWANTED), 0);
    check_city(&city);
    city_close(&city);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sums_stay_whatever_comes_in_between),
    cmocka_unit_test(who_came_no_more_is_found_in_other),
    cmocka_unit_test(who_comes_back_is_a_new_series),
    cmocka_unit_test(a_job_that_is_cut_short_leaves_nothing_behind),
    cmocka_unit_test(who_comes_back_meanwhile_stays),
    cmocka_unit_test(who_is_not_wanted_is_found_in_other_once_folded),
    cmocka_unit_test(who_comes_on_and_on_stays_though_not_wanted),
    cmocka_unit_test(nothing_goes_while_the_clock_is_suspect_or_it_is_not_asked_for),
    cmocka_unit_test(an_other_without_cells_goes),
    cmocka_unit_test(a_commit_that_fails_is_as_if_nothing_had_been),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
