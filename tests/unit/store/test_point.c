/* Points of senders that keep their series in order count exactly once: whatever is sent again,
 * over another connection, after a restart of either side, or after a commit of which nobody knew
 * whether it holds. Linked with -Wl,--wrap=mdb_txn_commit. */
#include <math.h>

#include "failing_commits.h"
#include "fixture.h"
#include "series/batch.h"
#include "series/random.h"
#include "store/mixed.h"
#include "store/store_private.h"

/* --- commits that fail --- */

/* --- senders --- */

enum { EXPORTS_MAX = 200, SOURCES = 8, BUCKETS = 6, STEP_MS = 7000 };

static const double BOUNDS[BUCKETS - 1] = {0, 10, 20, 30, 40};

struct export
{
    wall_ms start, at;
    double value;
    uint64_t counts[BUCKETS];
    double sum, min, max;
};

/* One series of one sender; and what it has counted or shown since it was first heard. */
struct source {
    const char *metric;
    enum metric_kind kind;
    enum delta_point_form form;
    bool says_start;
    struct export exports[EXPORTS_MAX];
    size_t made, acknowledged;
    struct export now; /* what it holds */
    uint64_t expected_count;
    double expected_sum, expected_min, expected_max;
};

struct scene {
    struct fixture *fixture;
    struct source sources[SOURCES];
    struct batch_rules rules;
    uint64_t random;
    uint64_t sent;
    uint64_t arrival;
    wall_ms now;
};

static uint64_t below(struct scene *scene, uint64_t limit)
{
    return random_below(&scene->random, limit);
}

static bool is_first(const struct source *source)
{
    return source->made == 0;
}

static void expect(struct source *source, double value)
{
    bool is_empty = source->expected_count == 0;

    source->expected_min = is_empty ? value : fmin(source->expected_min, value);
    source->expected_max = is_empty ? value : fmax(source->expected_max, value);
    source->expected_sum += value;
    source->expected_count++;
}

static void observe(struct source *source, double value)
{
    struct export *now = &source->now;
    size_t bucket = 0;
    uint64_t before = 0;

    while (bucket < BUCKETS - 1 && value > BOUNDS[bucket])
        bucket++;
    for (size_t i = 0; i < BUCKETS; i++)
        before += now->counts[i];
    now->counts[bucket]++;
    now->sum += value;
    now->min = before == 0 ? value : fmin(now->min, value);
    now->max = before == 0 ? value : fmax(now->max, value);
    if (!is_first(source) || source->form == POINT_INCREMENT)
        expect(source, value);
}

/* Begins anew, with nothing counted. */
static void restart(struct source *source, wall_ms at)
{
    source->now = (struct export){.start = source->says_start ? at : WALL_NONE};
}

/* What happens in one interval, and what the source then says of it. */
static void make_export(struct scene *scene, struct source *source)
{
    struct export *now = &source->now;
    wall_ms began = scene->now - STEP_MS;
    bool is_distribution = source->kind == METRIC_DISTRIBUTION;
    bool has_counted = now->value > 100 || now->counts[BUCKETS - 1] > 3;

    if (source->form == POINT_INCREMENT)
        *now = (struct export){.start = began};
    else if (is_first(source) || (has_counted && below(scene, 9) == 0))
        restart(source, began + 1);
    /* The first point of a total sets the base: of a distribution it is empty here. */
    bool is_base = is_first(source) && source->form == POINT_CUMULATIVE;
    for (uint64_t i = is_distribution && !is_base ? below(scene, 5) : 0; i > 0; i--)
        observe(source, (double)below(scene, 60) - 5);
    double step = (double)below(scene, 40);
    if (source->form == POINT_LEVEL)
        now->value = step - 10;
    else
        now->value += step;
    if (!is_distribution)
        source->expected_sum += source->form == POINT_LEVEL ? now->value : is_base ? 0 : step;
    now->at = scene->now;
    source->exports[source->made++] = *now;
}

static void send_export(struct scene *scene, struct batch *batch, const struct source *source,
                        const struct export *export)
{
    struct batch_buckets buckets = {.has_sum = true,
                                    .sum = export->sum,
                                    .has_extremes = true,
                                    .min = export->min,
                                    .max = export->max,
                                    .bounds = BOUNDS,
                                    .bound_count = BUCKETS - 1,
                                    .counts = export->counts};
    const struct batch_point point = {.name = str_of(source->metric),
                                      .kind = source->kind,
                                      .form = source->form,
                                      .at = export->at,
                                      .start = export->start,
                                      .value = export->value,
                                      .buckets =
                                          source->kind == METRIC_DISTRIBUTION ? &buckets : NULL};

    for (size_t i = 0; i < BUCKETS; i++)
        buckets.count += export->counts[i];
    assert_int_equal(batch_add_point(batch, &point, scene->now, ++scene->arrival), REJECT_NONE);
    scene->sent++;
}

/* What is not acknowledged, and some that was. */
static struct delta *make_batch(struct scene *scene, size_t *upto)
{
    struct batch *batch = batch_new(&scene->rules);
    uint64_t before = scene->sent;

    for (size_t s = 0; s < SOURCES; s++) {
        const struct source *source = &scene->sources[s];
        for (uint64_t i = below(scene, 3); i > 0 && source->acknowledged > 0; i--)
            send_export(scene, batch, source, &source->exports[below(scene, source->acknowledged)]);
        for (size_t i = source->acknowledged; i < source->made; i++)
            send_export(scene, batch, source, &source->exports[i]);
        upto[s] = source->made;
    }
    struct delta *delta = batch_take(batch);
    add_counts(delta, "senders", scene->sent - before, 0);
    return delta;
}

/* --- rounds --- */

enum { CONNECTIONS = 3 };

static void send_round(struct scene *scene)
{
    struct answer answers[CONNECTIONS] = {{0}};
    size_t upto[CONNECTIONS][SOURCES];
    size_t connections = 1 + below(scene, CONNECTIONS);

    if (below(scene, 4) == 0) {
        fault.failures = 1 + (int)below(scene, 2);
        fault.holds = below(scene, 2) == 0;
    }
    for (size_t i = 0; i < connections; i++) {
        struct delta *delta = make_batch(scene, upto[i]);
        wait_for_answer(delta, &answers[i]);
        post(scene->fixture, delta);
        if (below(scene, 2) == 0)
            commit(scene->fixture);
    }
    commit(scene->fixture);
    while (writer_is_failing(scene->fixture->writer))
        wait_for_retry(scene->fixture);
    fault.failures = 0;
    for (size_t i = 0; i < connections; i++) {
        assert_int_equal(answers[i].calls, 1);
        /* The connection may break before: then all is sent again. */
        bool is_heard = answers[i].ok && below(scene, 5) != 0;
        for (size_t s = 0; s < SOURCES && is_heard; s++)
            scene->sources[s].acknowledged = upto[i][s];
    }
    if (below(scene, 6) == 0)
        fixture_reopen(scene->fixture);
}

static bool keep_ledger(struct str listener, const struct ledger *ledger, void *arg)
{
    (void)listener;
    *(struct ledger *)arg = *ledger;
    return true;
}

static void check_source(struct scene *scene, const struct source *source)
{
    struct aggregate aggregate = read_all(scene->fixture, source->kind, source->metric);

    if (aggregate_sum(&aggregate) != source->expected_sum)
        fail_msg("%s: %g is not %g", source->metric, aggregate_sum(&aggregate),
                 source->expected_sum);
    if (source->kind != METRIC_DISTRIBUTION) {
        assert_true(aggregate_count(&aggregate) == (double)source->made);
        return;
    }
    assert_true(aggregate_count(&aggregate) == (double)source->expected_count);
    assert_true(source->expected_count == 0 || aggregate.min == source->expected_min);
    assert_true(source->expected_count == 0 || aggregate.max == source->expected_max);
}

static void what_senders_counted_is_what_is_counted(void **state)
{
    static const struct source sources[SOURCES] = {
        {"requests", METRIC_COUNTER, POINT_CUMULATIVE, .says_start = false},
        {"errors", METRIC_COUNTER, POINT_CUMULATIVE, .says_start = true},
        {"deltas", METRIC_COUNTER, POINT_INCREMENT, .says_start = true},
        {"queue", METRIC_GAUGE, POINT_LEVEL, .says_start = false},
        {"latency", METRIC_DISTRIBUTION, POINT_CUMULATIVE, .says_start = false},
        {"size", METRIC_DISTRIBUTION, POINT_CUMULATIVE, .says_start = true},
        {"spans", METRIC_DISTRIBUTION, POINT_INCREMENT, .says_start = true},
        {"unknown", METRIC_UNTYPED, POINT_LEVEL, .says_start = false},
    };

    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct scene *scene = memory_zero(1, sizeof *scene);
        struct ledger ledger = {0};
        assert_int_equal(fixture_setup((void **)&scene->fixture), 0);
        scene->random = seed;
        scene->now = AT(MINUTE, 0);
        scene->rules = (struct batch_rules){
            .series_max = 100, .max_future = MS_PER_DAY, .max_past = MS_PER_DAY};
        memcpy(scene->sources, sources, sizeof sources);
        for (int round = 0; round < 60; round++) {
            for (uint64_t i = below(scene, 3); i > 0; i--) {
                scene->now += STEP_MS;
                for (size_t s = 0; s < SOURCES; s++)
                    make_export(scene, &scene->sources[s]);
            }
            send_round(scene);
        }
        while (scene->sources[0].acknowledged < scene->sources[0].made)
            send_round(scene);
        struct read_txn *txn = read_begin(scene->fixture);
        query_ledgers(txn, keep_ledger, &ledger);
        read_txn_end(txn);
        assert_true(ledger_balances(&ledger));
        assert_int_equal(ledger.stored, SOURCES * scene->sources[0].made);
        assert_int_equal(ledger.dropped[DROP_conflict], 0);
        for (size_t s = 0; s < SOURCES; s++)
            check_source(scene, &scene->sources[s]);
        (void)fixture_teardown((void **)&scene->fixture);
        free(scene);
    }
    (void)state;
}

/* --- two senders --- */

static void add_point(struct fixture *fixture, const char *metric, double value, wall_ms start,
                      wall_ms at)
{
    struct delta *delta = delta_new();
    const struct delta_point point = {.series = add_series(delta, METRIC_COUNTER, metric, ""),
                                      .form =
                                          start == WALL_NONE ? POINT_CUMULATIVE : POINT_INCREMENT,
                                      .at = at,
                                      .start = start,
                                      .arrival = (uint64_t)at,
                                      .value = value};
    delta_add_point(delta, &point);
    post(fixture, delta);
    commit(fixture);
}

static struct mixed mixed_of(struct fixture *fixture, const char *metric)
{
    struct mixed mixed;
    struct read_txn *txn = read_begin(fixture);
    mixed_of_metric(txn, str_of(metric), &mixed);
    read_txn_end(txn);
    return mixed;
}

static void a_metric_of_two_senders_is_marked(void **state) /* FIG-24, O11 */
{
    static const double values[] = {500, 90, 510, 95, 520, 99, 530, 103};
    struct fixture *fixture = *state;
    uint64_t before = COUNTER_GET(mixed_points);

    for (int64_t i = 0; i < (int64_t)TEST_COUNT(values); i++) {
        assert_int_equal(mixed_of(fixture, "orders").count, 0);
        add_point(fixture, "orders", values[i], WALL_NONE, AT(MINUTE, 15 * i));
        add_point(fixture, "visits", (double)i, WALL_NONE, AT(MINUTE, 15 * i));
    }
    struct mixed mixed = mixed_of(fixture, "orders");
    assert_int_equal(mixed.count, 1);
    assert_true(mixed.spans[0].from == AT(MINUTE, 15)); /* the first drop */
    assert_true(mixed.spans[0].to == AT(MINUTE, 15 * 7));
    assert_true(mixed_in(&mixed, AT(MINUTE - 1, 0), AT(MINUTE + 1, 0)));
    assert_false(mixed_in(&mixed, AT(MINUTE - 1, 0), AT(MINUTE, 15)));
    assert_true(mixed_in(&mixed, AT(MINUTE, 15 * 7), AT(MINUTE + 9, 0)));
    assert_false(mixed_in(&mixed, AT(MINUTE + 2, 0), AT(MINUTE + 9, 0)));
    assert_int_equal(mixed_of(fixture, "visits").count, 0);
    assert_int_equal(COUNTER_GET(mixed_points) - before, 1);

    add_point(fixture, "spans", 3, AT(MINUTE, 0), AT(MINUTE, 30));
    add_point(fixture, "spans", 4, AT(MINUTE, 20), AT(MINUTE, 50));
    mixed = mixed_of(fixture, "spans");
    assert_int_equal(mixed.count, 1);
    assert_true(mixed.spans[0].from == AT(MINUTE, 20) && mixed.spans[0].to == AT(MINUTE, 50));
    assert_same(sum_of(fixture, "spans"), 7);
}

static void marks_are_joined_and_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_EMPTY;
    struct write_txn txn;

    assert_true(write_txn_begin(fixture->store, NULL, &txn, &err));
    for (int64_t i = 0; i < 100; i++) { /* 12 minutes between two */
        const struct mixed_span span = {AT(MINUTE + 15 * i, 0), AT(MINUTE + 15 * i + 3, 0)};
        assert_true(mixed_note(&txn, STR("orders"), span, &err));
        assert_true(mixed_note(&txn, STR("orders"), span, &err));
    }
    assert_true(meta_put(&txn, "commit", 1, &err));
    assert_true(write_txn_commit(&txn, &err));
    struct mixed mixed = mixed_of(fixture, "orders");
    assert_int_equal(mixed.count, MIXED_SPANS_MAX);
    assert_true(mixed.spans[0].from == AT(MINUTE, 0));
    assert_true(mixed.spans[MIXED_SPANS_MAX - 1].to == AT(MINUTE + 15 * 99 + 3, 0));
    assert_int_equal(mixed_of(fixture, "visits").count, 0);

    assert_true(write_txn_begin(fixture->store, NULL, &txn, &err));
    const struct mixed_span all = {AT(MINUTE - 5, 0), AT(MINUTE + 9000, 0)};
    assert_true(mixed_note(&txn, STR("orders"), all, &err));
    assert_true(meta_put(&txn, "commit", 2, &err));
    assert_true(write_txn_commit(&txn, &err));
    mixed = mixed_of(fixture, "orders");
    assert_int_equal(mixed.count, 1);
    assert_true(mixed.spans[0].from == all.from && mixed.spans[0].to == all.to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_senders_counted_is_what_is_counted),
        STORE_TEST(a_metric_of_two_senders_is_marked),
        STORE_TEST(marks_are_joined_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
