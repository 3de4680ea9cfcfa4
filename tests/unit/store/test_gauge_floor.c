/* A floor under a gauge that is changed by steps (S7, `min` of a metric) gives the same cells,
 * whoever applies it: a shard or a batch that knows the level, or the writer, who alone knows it
 * where a delta begins with changes. */
#include "fixture.h"
#include "series/batch.h"
#include "series/random.h"
#include "series/shard.h"

enum { STEPS = 60, MINUTES = 3, ROUNDS = 40 };

struct step {
    bool is_change;
    double value;
    int second; /* after the first minute's start; grows */
};

struct scene {
    struct metric_definition metric;
    struct metric_table table;
    struct step steps[STEPS];
    struct aggregate expected[MINUTES];
};

static wall_ms time_of(const struct step *step)
{
    return AT(MINUTE, step->second);
}

/* Steps over a few minutes, mostly down, and now and then a level, also one below the floor; and
 * what is to come of them, one after the other. */
static void scene_init(struct scene *scene, uint64_t *random)
{
    double level = 0;

    *scene = (struct scene){.metric = {.name = "stock",
                                       .has_kind = true,
                                       .kind = METRIC_GAUGE,
                                       .has_floor = true,
                                       .floor = (double)random_below(random, 9) - 4}};
    assert_true(table_add(&scene->table.by_name, STR("stock"), &scene->metric));
    for (int i = 0; i < STEPS; i++) {
        struct step *step = &scene->steps[i];
        step->second = i * 60 * MINUTES / STEPS;
        step->is_change = random_below(random, 12) > 0;
        step->value = (double)random_below(random, 21) - 12;
        level = step->is_change ? metric_level(&scene->metric, level + step->value) : step->value;
        aggregate_add(&scene->expected[step->second / 60], level, WEIGHT_ONE, time_of(step),
                      (uint64_t)i + 1);
    }
}

static void expect_levels(struct fixture *fixture, const struct scene *scene, const char *how)
{
    for (int i = 0; i < MINUTES; i++) {
        const struct aggregate *expected = &scene->expected[i];
        struct aggregate found =
            read_range(fixture, METRIC_GAUGE, "stock", AT(MINUTE + i, 0), AT(MINUTE + i + 1, 0));
        if (found.count != expected->count || found.min != expected->min ||
            found.max != expected->max || found.first != expected->first ||
            found.last != expected->last || aggregate_sum(&found) != aggregate_sum(expected))
            fail_msg("%s, minute %d: %g to %g, last %g, not %g to %g, last %g", how, i, found.min,
                     found.max, found.last, expected->min, expected->max, expected->last);
    }
}

static void take_delta(struct fixture *fixture, struct delta *delta, bool has_to_commit)
{
    post(fixture, delta);
    if (has_to_commit)
        commit(fixture);
}

/* Handed over at any time, and several at once. */
static void send_through_a_shard(struct fixture *fixture, const struct scene *scene,
                                 uint64_t *random)
{
    const struct shard_limits limits = {
        .series = 100, .raw_keys = 200, .max_future = MS_PER_MINUTE, .max_past = MS_PER_HOUR};
    struct shard *shard = shard_new(&limits, &scene->table, 1);

    for (int i = 0; i < STEPS; i++) {
        const struct step *step = &scene->steps[i];
        struct ledger ledger = {.received = 1};
        enum reject_reason why = REJECT_NONE;
        const struct sample sample = {.name = STR("stock"),
                                      .kind = METRIC_GAUGE,
                                      .form = step->is_change ? SAMPLE_CHANGE : SAMPLE_VALUE,
                                      .value = step->value,
                                      .weight = WEIGHT_ONE,
                                      .at = WALL_NONE};
        shard_add(shard, &sample, 1, time_of(step) * 1000, &ledger, &why);
        assert_int_equal(why, REJECT_NONE);
        if (i == STEPS - 1 || random_below(random, 7) == 0)
            take_delta(fixture, shard_take_delta(shard), random_below(random, 2) == 0);
    }
    commit(fixture);
    shard_free(shard);
}

static void send_in_batches(struct fixture *fixture, const struct scene *scene, uint64_t *random)
{
    const struct batch_rules rules = {.metrics = &scene->table,
                                      .series_max = 100,
                                      .max_future = MS_PER_MINUTE,
                                      .max_past = MS_PER_HOUR};
    struct batch *batch = batch_new(&rules);

    for (int i = 0; i < STEPS; i++) {
        const struct step *step = &scene->steps[i];
        const struct batch_sample sample = {.name = STR("stock"),
                                            .kind = METRIC_GAUGE,
                                            .value = step->value,
                                            .is_change = step->is_change,
                                            .at = time_of(step)};
        assert_int_equal(batch_add(batch, &sample, sample.at, (uint64_t)i + 1), REJECT_NONE);
        if (i < STEPS - 1 && random_below(random, 7) > 0)
            continue;
        take_delta(fixture, batch_take(batch), random_below(random, 2) == 0);
        batch = batch_new(&rules);
    }
    commit(fixture);
    batch_free(batch);
}

static void whoever_applies_it_the_cells_are_the_same(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 11;

    for (int i = 0; i < ROUNDS; i++) {
        struct scene scene;
        scene_init(&scene, &random);
        if (i % 2 == 0)
            send_through_a_shard(fixture, &scene, &random);
        else
            send_in_batches(fixture, &scene, &random);
        expect_levels(fixture, &scene, i % 2 == 0 ? "a shard" : "batches");
        table_fini(&scene.table.by_name);
        fixture_close(fixture);
        remove_directory(fixture->path);
        make_directory(fixture->path);
        fixture_open(fixture);
    }
}

/* The drift that it is there for: a decrement that came twice does not stay. */
static void a_decrement_that_came_twice_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    static const double changes[] = {2, -1, -1, -1 /* again */, 3};

    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct delta *delta = delta_new();
        uint32_t series = add_series(delta, METRIC_GAUGE, "jobs", "");
        struct delta_cell *cell = delta_add_cell(delta, series, MINUTE);
        static const struct metric_definition jobs = {.has_floor = true, .floor = 0};
        struct gauge_changes *kept = delta_cell_changes(delta, cell);
        gauge_changes_begin(kept, &jobs);
        assert_true(gauge_changes_add(kept, changes[i], AT(MINUTE, (int)i), i + 1));
        post(fixture, delta);
        commit(fixture);
        fixture_reopen(fixture); /* the level lasts */
    }
    assert_same(last_in(fixture, "jobs", MINUTE), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(whoever_applies_it_the_cells_are_the_same),
        STORE_TEST(a_decrement_that_came_twice_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
