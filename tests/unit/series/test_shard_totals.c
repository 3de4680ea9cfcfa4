/* Totals of counters that are declared cumulative (FIG-23): a shard hands them over as they came,
 * and what they count is the writer's. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "series/random.h"
#include "series/shard_test.h"

struct scene {
    struct metric_table declared; /* served and visits count up */
    struct metric_table plain;    /* the same metrics, as increments */
    struct metric_definition definitions[4];
};

static void declare(struct metric_table *table, struct metric_definition *metric, const char *name,
                    bool counts_up)
{
    *metric = (struct metric_definition){
        .name = name, .has_kind = true, .kind = METRIC_COUNTER, .counts_up = counts_up};
    assert_true(table_add(&table->by_name, str_of(name), metric));
}

static int set_up(void **state)
{
    struct scene *scene = memory_zero(1, sizeof *scene);

    declare(&scene->declared, &scene->definitions[0], "served", true);
    declare(&scene->declared, &scene->definitions[1], "visits", true);
    declare(&scene->plain, &scene->definitions[2], "served", false);
    declare(&scene->plain, &scene->definitions[3], "visits", false);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    table_fini(&scene->declared.by_name);
    table_fini(&scene->plain.by_name);
    free(scene);
    return 0;
}

#define TOTALS_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static void totals_travel_as_they_came(void **state)
{
    struct scene *scene = *state;
    struct shard *shard = shard_new(&LIMITS, &scene->declared, 1);
    struct sample timed = sample_of("served", METRIC_UNTYPED, 170);
    static const double values[] = {100, 160, 160, 20, 170};

    for (size_t i = 0; i < 4; i++) {
        struct sample sample = sample_of("served", METRIC_COUNTER, values[i]);
        sample.weight = 10 * WEIGHT_ONE; /* a total is a total, however seldom it is sent */
        add(shard, sample);
    }
    timed.at = NOW - 3 * (wall_ms)MS_PER_MINUTE;
    add(shard, timed);
    add(shard, sample_of("other", METRIC_COUNTER, 5));
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->point_count, 5);
    assert_int_equal(delta->cell_count, 1); /* of the other one */
    for (size_t i = 0; i < 5; i++) {
        const struct delta_point *point = &delta->points[i];
        assert_int_equal(point->series, series_index(delta, "served"));
        assert_int_equal(point->form, POINT_CUMULATIVE);
        assert_true(point->value == values[i] && point->start == WALL_NONE);
        assert_true(point->at == (i < 4 ? NOW : timed.at));
        assert_int_equal(point->by_arrival, i < 4);
        assert_true(i == 0 || point->arrival > delta->points[i - 1].arrival);
        assert_null(point->tally);
    }
    delta_free(delta);
    add(shard, sample_of("served", METRIC_COUNTER, 200));
    delta = shard_take_delta(shard);
    assert_int_equal(delta->point_count, 1);
    assert_true(delta->points[0].value == 200);
    assert_int_equal(delta->series[0].key.len, 0); /* it has had it */
    delta_free(delta);
    shard_free(shard);
}

static void a_negative_total_is_no_number_and_makes_no_series(void **state)
{
    struct scene *scene = *state;
    struct shard *shard = shard_new(&LIMITS, &scene->declared, 1);

    for (int i = 0; i < 2; i++)
        assert_int_equal(add_at(shard, sample_of("served", METRIC_COUNTER, -1), NOW_US),
                         REJECT_bad_number);
    assert_int_equal(shard_series_count(shard), 0);
    add(shard, sample_of("served", METRIC_COUNTER, 1));
    assert_int_equal(add_at(shard, sample_of("served", METRIC_COUNTER, -1), NOW_US),
                     REJECT_bad_number);
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->point_count, 1);
    delta_free(delta);
    shard_free(shard);
}

static void over_the_limit_totals_are_dropped(void **state) /* FIG-35 */
{
    struct scene *scene = *state;
    struct shard_limits limits = LIMITS;
    limits.series = 2;
    struct shard *shard = shard_new(&limits, &scene->declared, 1);
    static const char *const tags[] = {"n:1", "n:2", "n:3", "n:1"};

    for (size_t i = 0; i < TEST_COUNT(tags); i++)
        assert_int_equal(add_at(shard, tagged("served", tags[i], 7), NOW_US),
                         i == 2 ? REJECT_series_limit : REJECT_NONE);
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->series_count, 2);
    assert_int_equal(delta->point_count, 3);
    delta_free(delta);
    shard_free(shard);
}

/* What waits goes as it was taken; what comes after the next hand-over is what is declared now. */
static void a_reload_changes_what_is_a_total(void **state)
{
    struct scene *scene = *state;
    struct shard *shard = shard_new(&LIMITS, &scene->plain, 1);

    add(shard, sample_of("served", METRIC_COUNTER, 100));
    add(shard, sample_of("served", METRIC_COUNTER, 101)); /* with a spread */
    shard_set_metrics(shard, &scene->declared);
    add(shard, sample_of("visits", METRIC_COUNTER, 5));
    struct delta *delta = shard_take_delta(shard);
    assert_true(aggregate_sum(now_of(delta, "served")) == 201);
    assert_int_equal(delta->cell_count, 1);
    assert_int_equal(delta->point_count, 1);
    delta_free(delta);

    add(shard, sample_of("served", METRIC_COUNTER, 150));
    shard_set_metrics(shard, &scene->plain);
    add(shard, sample_of("visits", METRIC_COUNTER, 5));
    delta = shard_take_delta(shard);
    assert_int_equal(delta->cell_count, 1);
    assert_int_equal(delta->point_count, 1);
    assert_true(delta->points[0].value == 150);
    delta_free(delta);

    add(shard, sample_of("served", METRIC_COUNTER, 3));
    delta = shard_take_delta(shard);
    assert_int_equal(delta->cell_count, 1);
    assert_int_equal(delta->point_count, 0);
    delta_free(delta);
    shard_free(shard);
}

static void totals_are_counted_among_what_waits(void **state)
{
    struct scene *scene = *state;
    struct shard *shard = shard_new(&LIMITS, &scene->declared, 1);

    add(shard, sample_of("served", METRIC_COUNTER, 1));
    size_t one = shard_pending_bytes(shard);
    size_t size = shard_size_bytes(shard);
    for (int i = 0; i < 10000; i++)
        add(shard, sample_of("served", METRIC_COUNTER, i));
    assert_true(shard_pending_bytes(shard) >= one + 10000 * sizeof(double));
    assert_true(shard_size_bytes(shard) >= size + 10000 * sizeof(double));
    delta_free(shard_take_delta(shard));
    assert_int_equal(shard_pending_bytes(shard), 0);
    assert_true(shard_size_bytes(shard) < size + 10000 * sizeof(double));
    shard_free(shard);
}

/* --- against the list of what was sent --- */

enum { SERIES = 40, STEPS = 4000 };

struct sent {
    double values[STEPS];
    size_t count; /* sent */
    size_t seen;  /* handed over */
};

/* Each series' totals come in the order they were sent, and none is missing. */
static void see(struct sent *sent, const struct series_hash *names, const struct delta *delta)
{
    for (size_t i = 0; i < delta->point_count; i++) {
        const struct delta_point *point = &delta->points[i];
        size_t series = 0;
        while (!series_hash_equal(names[series], delta->series[point->series].hash))
            series++;
        assert_in_range(series, 0, SERIES - 1);
        assert_in_range(sent[series].seen, 0, sent[series].count - 1);
        assert_true(point->value == sent[series].values[sent[series].seen++]);
    }
}

static void however_they_are_handed_over_none_is_lost_or_overtaken(void **state)
{
    struct scene *scene = *state;
    struct shard *shard = shard_new(&LIMITS, &scene->declared, 1);
    static struct sent sent[SERIES];
    struct series_hash names[SERIES];
    struct buf key = BUF_EMPTY;
    char tags[16];
    uint64_t seed = 5;
    double others = 0;
    double cells = 0;

    for (int i = 0; i < SERIES; i++) {
        (void)snprintf(tags, sizeof tags, "%d", i);
        const struct label label = {STR("n"), str_of(tags)};
        series_key_write(&key, METRIC_COUNTER, STR("served"), &label, 1);
        names[i] = series_key_hash(buf_view(&key));
    }
    for (int step = 0; step < STEPS; step++) {
        size_t series = (size_t)random_below(&seed, SERIES);
        (void)snprintf(tags, sizeof tags, "n:%zu", series);
        sent[series].values[sent[series].count++] = step;
        add(shard, tagged("served", tags, step));
        if (random_below(&seed, 3) == 0) {
            add(shard, tagged("orders", tags, 1));
            others++;
        }
        if (random_below(&seed, 6) == 0) { /* a part of a hand-over */
            struct delta *delta = delta_new();
            (void)shard_hand_over(shard, (size_t)random_below(&seed, 8) + 1, delta);
            see(sent, names, delta);
            cells += total_of_all(delta);
            delta_free(delta);
        }
    }
    for (int i = 0; i < 2; i++) { /* the rest of one, and all after it */
        struct delta *delta = shard_take_delta(shard);
        see(sent, names, delta);
        cells += total_of_all(delta);
        delta_free(delta);
    }
    for (size_t i = 0; i < SERIES; i++)
        assert_int_equal(sent[i].seen, sent[i].count);
    assert_true(cells == others);
    assert_int_equal(shard_pending_bytes(shard), 0);
    buf_fini(&key);
    shard_free(shard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOTALS_TEST(totals_travel_as_they_came),
        TOTALS_TEST(a_negative_total_is_no_number_and_makes_no_series),
        TOTALS_TEST(over_the_limit_totals_are_dropped),
        TOTALS_TEST(a_reload_changes_what_is_a_total),
        TOTALS_TEST(totals_are_counted_among_what_waits),
        TOTALS_TEST(however_they_are_handed_over_none_is_lost_or_overtaken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
