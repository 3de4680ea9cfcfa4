/* Over the limits of series totals stay exact: from shards that give a key once and from batches,
 * over commits that fail, and that hold although they are said to have failed. Linked with
 * -Wl,--wrap=mdb_txn_commit. */
#include "failing_commits.h"
#include "fixture.h"
#include "series/batch.h"
#include "series/random.h"
#include "series/shard_test.h"
#include "store/store_private.h"

static struct aggregate all_of(struct fixture *fixture, enum metric_kind kind, const char *metric)
{
    return read_range(fixture, kind, metric, NOW - (wall_ms)MS_PER_DAY, NOW + (wall_ms)MS_PER_DAY);
}

static bool keep_ledger(struct str listener, const struct ledger *ledger, void *arg)
{
    (void)listener;
    *(struct ledger *)arg = *ledger;
    return true;
}

static struct ledger ledger_of(struct fixture *fixture)
{
    struct ledger ledger = {0};
    struct read_txn *txn = read_begin(fixture);
    query_ledgers(txn, keep_ledger, &ledger);
    read_txn_end(txn);
    assert_true(ledger_balances(&ledger));
    return ledger;
}

static void set_limits(struct fixture *fixture, uint64_t series, uint64_t per_metric)
{
    static struct listener_limit listener;
    const struct series_limits limits = {
        .series = series, .per_metric = per_metric, .listeners = &listener, .listener_count = 1};
    listener = (struct listener_limit){STR("l0"), series / 4};
    writer_set_limits(fixture->writer, &limits);
}

static void count(struct delta *delta, uint64_t samples)
{
    const struct ledger counts = {.received = samples, .stored = samples};
    delta_add_ledger(delta, STR("a"), &counts);
}

/* --- points --- */

static struct batch_point point_of(const char *metric, const struct label *label,
                                   enum delta_point_form form, double value)
{
    return (struct batch_point){.name = str_of(metric),
                                .labels = label,
                                .label_count = 1,
                                .kind = form == POINT_LEVEL ? METRIC_GAUGE : METRIC_COUNTER,
                                .form = form,
                                .at = NOW,
                                .start = WALL_NONE,
                                .value = value};
}

static void points_beyond_the_limit_are_samples_of_other_unless_they_count_up(void **state)
{
    struct fixture *fixture = *state;
    const struct batch_rules rules = {
        .series_max = 1000, .max_future = MS_PER_DAY, .max_past = MS_PER_DAY};
    const struct label a = {STR("n"), STR("a")};
    const struct label b = {STR("n"), STR("b")};
    struct delta *delta = NULL;
    set_limits(fixture, 100, 1);
    for (uint64_t i = 0; i < 3; i++) {
        struct batch *batch = batch_new(&rules);
        struct batch_point points[] = {
            point_of("orders", &a, POINT_INCREMENT, 1), point_of("orders", &b, POINT_INCREMENT, 10),
            point_of("level", &a, POINT_LEVEL, 5),      point_of("level", &b, POINT_LEVEL, 7),
            point_of("up", &a, POINT_CUMULATIVE, 100),  point_of("up", &b, POINT_CUMULATIVE, 100)};
        for (size_t j = 0; j < 6; j++) {
            points[j].at += (wall_ms)i;
            points[j].value += points[j].form == POINT_CUMULATIVE ? (double)i : 0;
            assert_int_equal(batch_add_point(batch, &points[j], NOW, i * 10 + j + 1), REJECT_NONE);
        }
        delta = batch_take(batch);
        count(delta, 6);
        post(fixture, delta);
        commit(fixture);
    }
    struct aggregate orders = all_of(fixture, METRIC_COUNTER, "orders");
    assert_same(aggregate_sum(&orders), 3 * 11);
    struct aggregate level = all_of(fixture, METRIC_GAUGE, "level");
    assert_same(aggregate_count(&level), 6);
    assert_same(level.max, 7);
    struct aggregate up = all_of(fixture, METRIC_COUNTER, "up");
    assert_same(aggregate_sum(&up), 2); /* of the one that has room */
    struct ledger ledger = ledger_of(fixture);
    assert_int_equal(ledger.dropped[DROP_series_limit], 3);
    assert_int_equal(ledger.stored, 15);
}

static void beyond_the_limit_of_others_too_samples_are_dropped(void **state)
{
    struct fixture *fixture = *state;
    char metric[16];
    set_limits(fixture, 2, 100);
    for (int i = 0; i < 6; i++) {
        (void)snprintf(metric, sizeof metric, "m%d", i);
        struct delta *delta = one_sample(METRIC_COUNTER, metric, "", 1, AT(MINUTE, 0));
        count(delta, 1);
        post(fixture, delta);
        commit(fixture);
    }
    struct ledger ledger = ledger_of(fixture);
    assert_int_equal(ledger.stored, 4);
    assert_int_equal(ledger.dropped[DROP_series_limit], 2);
}

/* So many cells, of one sample each, that they are stored in parts. */
enum { PART_METRICS = 400, PART_MINUTES = 200 };

static void name_of(int number, char out[16])
{
    (void)snprintf(out, 16, "m%03d", number);
}

static struct delta *large_delta(void)
{
    struct delta *delta = delta_new();
    char metric[16];

    delta->keys_once = true; /* as a shard's */
    for (int i = 0; i < PART_METRICS; i++) {
        name_of(i, metric);
        uint32_t series = add_series(delta, METRIC_COUNTER, metric, "");
        for (int minute = 0; minute < PART_MINUTES; minute++)
            aggregate_add(
                &delta_add_cell(delta, series, MINUTE - PART_MINUTES + minute)->cell.aggregate, 1,
                WEIGHT_ONE, AT(MINUTE - PART_MINUTES + minute, 0), 1);
    }
    count(delta, (uint64_t)PART_METRICS * PART_MINUTES);
    return delta;
}

/* There is room for 2 * `limit` metrics, half of them as an `__other__`. */
static void assert_parts_count(struct fixture *fixture, uint64_t limit)
{
    const uint64_t samples = (uint64_t)PART_METRICS * PART_MINUTES;
    const uint64_t stored = 2 * limit * PART_MINUTES;
    uint64_t commits = commit_number(fixture);
    struct delta *delta = large_delta();
    char metric[16];
    double held = 0;

    set_limits(fixture, limit, 0);
    post(fixture, delta);
    for (int i = 0; i < 5; i++)
        (void)event_base_loop(thread_base(writer_thread(fixture->writer)), EVLOOP_NONBLOCK);
    assert_true(commit_number(fixture) >= commits + 2);
    for (int i = 0; i < PART_METRICS; i++) {
        name_of(i, metric);
        struct aggregate all = read_range(fixture, METRIC_COUNTER, metric,
                                          AT(MINUTE - PART_MINUTES, 0), AT(MINUTE, 0));
        held += aggregate_count(&all);
    }
    struct ledger ledger = ledger_of(fixture);
    assert_int_equal(ledger.received, samples);
    assert_int_equal(ledger.stored, stored);
    assert_int_equal(ledger.dropped[DROP_series_limit], samples - stored);
    assert_same(held, (double)stored);
}

static void what_is_dropped_of_a_later_part_is_not_counted_as_stored(void **state)
{
    assert_parts_count(*state, PART_METRICS / 2 - 30); /* all of it is in the second part */
}

static void what_is_dropped_of_several_parts_is_not_counted_as_stored(void **state)
{
    assert_parts_count(*state, PART_METRICS / 8);
}

/* --- shards and batches --- */

enum { SHARDS = 2, METRICS = 4 };

struct scene {
    struct fixture *fixture;
    struct room *room;
    struct shard *shards[SHARDS];
    uint64_t random;
    double sums[METRICS];
};

static const char *const NAMES[METRICS] = {"m0", "m1", "m2", "m3"};

static struct sample draw_sample(struct scene *scene, char *tags, size_t size)
{
    unsigned metric = (unsigned)random_below(&scene->random, METRICS);
    double value = (double)random_below(&scene->random, 100);
    (void)snprintf(tags, size, "n:%u", (unsigned)random_below(&scene->random, 60));
    scene->sums[metric] += value;
    return tagged(NAMES[metric], tags, value);
}

static void settle(struct scene *scene)
{
    commit(scene->fixture);
    for (int i = 0; i < 10 && writer_is_failing(scene->fixture->writer); i++)
        wait_for_retry(scene->fixture);
    assert_false(writer_is_failing(scene->fixture->writer));
}

static struct str draw_listener(struct scene *scene)
{
    return random_below(&scene->random, 2) == 0 ? STR("l0") : STR("l1");
}

static void send_batch(struct scene *scene)
{
    const struct batch_rules rules = {.series_max = 1000,
                                      .max_future = MS_PER_DAY,
                                      .max_past = MS_PER_DAY,
                                      .room = scene->room,
                                      .listener = draw_listener(scene)};
    struct batch *batch = batch_new(&rules);
    char tags[16];
    for (uint64_t i = 0; i < 20; i++) {
        struct sample sample = draw_sample(scene, tags, sizeof tags);
        const struct label label = {STR("n"), str_of(tags + 2)};
        const struct batch_sample taken = {.name = sample.name,
                                           .labels = &label,
                                           .label_count = 1,
                                           .kind = METRIC_COUNTER,
                                           .value = sample.value,
                                           .weight = WEIGHT_ONE,
                                           .at = NOW};
        assert_int_equal(batch_add(batch, &taken, NOW, i + 1), REJECT_NONE);
    }
    struct delta *delta = batch_take(batch);
    delta->keep_trying = true;
    post(scene->fixture, delta);
}

static struct shard *new_shard(struct scene *scene)
{
    struct shard_limits limits = LIMITS;
    limits.room = scene->room;
    return shard_new(&limits, NULL, 1);
}

static void step(struct scene *scene)
{
    char tags[16];

    for (size_t i = 0; i < SHARDS; i++) {
        for (int j = 0; j < 30; j++) {
            if (j % 5 == 0)
                shard_set_listener(scene->shards[i], draw_listener(scene));
            add(scene->shards[i], draw_sample(scene, tags, sizeof tags));
        }
        struct delta *delta = shard_take_delta(scene->shards[i]);
        delta->keep_trying = true;
        post(scene->fixture, delta);
    }
    send_batch(scene);
    fault.failures = random_below(&scene->random, 4) == 0;
    fault.holds = random_below(&scene->random, 2) == 0;
    settle(scene);
    /* As a worker does when there is room again, or after a day. */
    if (random_below(&scene->random, 10) == 0) {
        size_t i = random_below(&scene->random, SHARDS);
        shard_free(scene->shards[i]);
        scene->shards[i] = new_shard(scene);
    }
    if (random_below(&scene->random, 20) == 0)
        set_limits(scene->fixture, 20 + random_below(&scene->random, 200),
                   5 + random_below(&scene->random, 60));
}

static void totals_stay_exact_whatever_is_refused(void **state)
{
    struct scene scene = {.fixture = *state, .random = 5};
    scene.room = room_new(1000);
    writer_free(scene.fixture->writer);
    const struct writer_options options = {
        .retry_ms = 1, .limits = {.series = 100, .per_metric = 30}, .room = scene.room};
    scene.fixture->writer = writer_new(scene.fixture->store, &options);
    for (size_t i = 0; i < SHARDS; i++)
        scene.shards[i] = new_shard(&scene);
    for (int i = 0; i < 150; i++)
        step(&scene);
    for (size_t i = 0; i < METRICS; i++) {
        struct aggregate all = all_of(scene.fixture, METRIC_COUNTER, NAMES[i]);
        assert_same(aggregate_sum(&all), scene.sums[i]);
    }
    for (size_t i = 0; i < SHARDS; i++)
        shard_free(scene.shards[i]);
    writer_free(scene.fixture->writer);
    scene.fixture->writer = NULL;
    room_free(scene.room);
}

/* --- what a shard asks --- */

static void a_shard_sends_what_has_no_room_to_other_itself(void **state)
{
    struct room *room = room_new(10);
    struct shard_limits limits = LIMITS;
    (void)state;
    limits.room = room;
    struct shard *shard = shard_new(&limits, NULL, 1);
    room_begin_series(room);
    room_end_series(room);
    add(shard, tagged("orders", "n:a", 1));
    assert_true(room_set_metric_full(room, STR("orders"), true));
    add(shard, tagged("orders", "n:a", 1)); /* it has it already */
    add(shard, tagged("orders", "n:b", 1));
    add(shard, tagged("orders", "n:c", 1));
    add(shard, tagged("visits", "n:c", 1));
    assert_int_equal(shard_series_count(shard), 3);
    struct delta *delta = shard_take_delta(shard);
    assert_true(delta->keys_once);
    (void)series_index(delta, "orders{__other__=\"true\"}");
    delta_free(delta);
    shard_free(shard);
    room_free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(points_beyond_the_limit_are_samples_of_other_unless_they_count_up),
        STORE_TEST(beyond_the_limit_of_others_too_samples_are_dropped),
        STORE_TEST(what_is_dropped_of_a_later_part_is_not_counted_as_stored),
        STORE_TEST(what_is_dropped_of_several_parts_is_not_counted_as_stored),
        STORE_TEST(totals_stay_exact_whatever_is_refused),
        cmocka_unit_test(a_shard_sends_what_has_no_room_to_other_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
