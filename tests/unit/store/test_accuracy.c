/* How near figures are: quantiles that were merged through all levels of the store, and numbers of
 * different members. */
#include <math.h>

#include "engine.h"
#include "fixture.h"
#include "series/random.h"
#include "store/upkeep_private.h"

/* 2026-05-04T00:00:00Z, a Monday. */
#define ACCURACY_BEGIN INT64_C(1777852800000)

enum {
    VALUES = 6000, /* of each distribution */
    DAYS = 4,
    COMMITS = 48,
    TRIALS = 100,
    MEMBERS_MAX = 1000 * 1000,
    PIECES = 5, /* of a trial, merged */
};

static double unit(uint64_t *random)
{
    return ((double)(random_next(random) >> 11) + 0.5) * 0x1p-53;
}

static double normal(uint64_t *random)
{
    double radius = sqrt(-2 * log(unit(random)));
    return radius * cos(2 * M_PI * unit(random));
}

/* --- quantiles ----------------------------------------------------------------------------------
 */

static double lognormal(uint64_t *random)
{
    return exp(1.5 * normal(random) + 3);
}

static double uniform(uint64_t *random)
{
    return 1000 * unit(random);
}

static double heavy_tail(uint64_t *random)
{
    return pow(unit(random), -1 / 1.1);
}

static double very_heavy_tail(uint64_t *random)
{
    return pow(unit(random), -4);
}

static double two_points(uint64_t *random)
{
    return random_below(random, 100) < 93 ? 0.004 : 250000;
}

static double negative(uint64_t *random)
{
    return -exp(normal(random));
}

static double around_zero(uint64_t *random)
{
    return random_below(random, 10) == 0 ? 0 : normal(random) * 1e-6;
}

static double whole_numbers(uint64_t *random)
{
    return (double)random_below(random, 21) - 10;
}

static double one_value(uint64_t *random)
{
    (void)random;
    return 42.42;
}

/* One percent, but for what reaches over more than nine powers of ten: 2,048 buckets of the finest
 * scale do not. */
static const struct distribution {
    const char *name;
    double (*draw)(uint64_t *random);
    double error;
} distributions[] = {
    {"lognormal", lognormal, 0.01},     {"uniform", uniform, 0.01},
    {"heavy_tail", heavy_tail, 0.01},   {"very_heavy_tail", very_heavy_tail, 0.022},
    {"two_points", two_points, 0.01},   {"negative", negative, 0.01},
    {"around_zero", around_zero, 0.01}, {"whole_numbers", whole_numbers, 0.01},
    {"one_value", one_value, 0.01},
};

enum { DISTRIBUTIONS = sizeof distributions / sizeof *distributions };

struct drawn {
    double value; /* first */
    wall_ms at;
};

static int compare_values(const void *a, const void *b)
{
    double one = *(const double *)a;
    double other = *(const double *)b;
    return (one > other) - (one < other);
}

struct world {
    struct engine engine;
    struct calendar *calendar;
    struct drawn *drawn[DISTRIBUTIONS];
    unsigned levels;
};

static void draw_all(struct world *world, uint64_t *random)
{
    for (size_t i = 0; i < DISTRIBUTIONS; i++) {
        world->drawn[i] = memory_zero(VALUES, sizeof **world->drawn);
        for (size_t j = 0; j < VALUES; j++) {
            world->drawn[i][j].value = distributions[i].draw(random);
            world->drawn[i][j].at =
                ACCURACY_BEGIN + (wall_ms)random_below(random, (uint64_t)DAYS * MS_PER_DAY);
        }
    }
}

/* In the order they were drawn, which is none: most come late; the work goes on between. */
static void store_all(struct world *world)
{
    struct error err = ERROR_EMPTY;

    for (size_t commit = 0; commit < COMMITS; commit++) {
        struct delta *delta = delta_new();
        wall_ms now = ACCURACY_BEGIN + (wall_ms)(commit + 1) * DAYS * MS_PER_DAY / COMMITS;
        for (size_t i = 0; i < DISTRIBUTIONS; i++) {
            uint32_t series = add_series(delta, METRIC_DISTRIBUTION, distributions[i].name, "");
            for (size_t j = commit; j < VALUES; j += COMMITS) {
                const struct drawn *drawn = &world->drawn[i][j];
                struct delta_cell *cell = delta_add_cell(delta, series, minute_of(drawn->at));
                cell_add_value(&cell->cell, drawn->value, WEIGHT_ONE, drawn->at, j + 1);
            }
        }
        if (!engine_commit(&world->engine, delta, now, &err))
            fail_msg("%s", err.text);
        delta_free(delta);
        engine_set_clock(&world->engine, now);
        (void)engine_upkeep(&world->engine, 8);
    }
    engine_set_clock(&world->engine, ACCURACY_BEGIN + (wall_ms)(DAYS + 2) * MS_PER_DAY);
    (void)engine_upkeep(&world->engine, SIZE_MAX);
}

static void expect_quantiles(struct world *world, struct read_txn *txn, size_t number, wall_ms from,
                             wall_ms to)
{
    static const double quantiles[] = {0, 0.01, 0.1, 0.5, 0.9, 0.92, 0.95, 0.99, 0.999, 1};
    const struct selector selector = {.metric = str_of(distributions[number].name),
                                      .kind = METRIC_DISTRIBUTION};
    struct query query = {.from = from, .to = to, .merge_series = true};
    struct coverage coverage = COVERAGE_EMPTY;
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct cell cell = CELL_EMPTY;
    struct drawn *inside = memory_zero(VALUES, sizeof *inside);
    size_t count = 0;

    query.series = query_select(txn, &selector, &arena, &query.series_count);
    assert_true(query_cells(txn, &query, keep_cell, &cell, &coverage, &err));
    world->levels |= coverage.levels;
    for (size_t i = 0; i < VALUES; i++) {
        if (world->drawn[number][i].at >= from && world->drawn[number][i].at < to)
            inside[count++] = world->drawn[number][i];
    }
    qsort(inside, count, sizeof *inside, compare_values);
    assert_same(aggregate_count(&cell.aggregate), (double)count);
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles && count > 0; i++) {
        double found = 0;
        size_t rank = (size_t)ceil(quantiles[i] * (double)count);
        double exact = inside[rank == 0 ? 0 : rank - 1].value;
        assert_true(cell_quantile(&cell, quantiles[i], &found));
        if (fabs(found - exact) > distributions[number].error * fabs(exact))
            fail_msg("%s: quantile %g of %zu values is %.17g, not %.17g",
                     distributions[number].name, quantiles[i], count, found, exact);
    }
    cell_fini(&cell);
    arena_fini(&arena);
    free(inside);
}

static void quantiles_are_within_one_percent_at_every_level(void **state)
{
    (void)state;
    struct world world = {0};
    struct error err = ERROR_EMPTY;
    uint64_t random = 20260504;
    char path[64];

    make_directory(path);
    world.calendar = calendar_new(STR("UTC"), 1, &err);
    const struct calendar *calendars[] = {world.calendar};
    const struct upkeep_options options = {
        .calendars = calendars, .calendar_count = 1, .fanout = 3};
    engine_open(&world.engine, path, BIG_SIZE, &options);
    (void)mdb_env_set_flags(world.engine.store->env, MDB_NOSYNC, 1);
    draw_all(&world, &random);
    store_all(&world);

    struct read_txn *txn = read_txn_begin(world.engine.store, &err);
    for (size_t i = 0; i < DISTRIBUTIONS; i++) {
        wall_ms end = ACCURACY_BEGIN + (wall_ms)DAYS * MS_PER_DAY;
        expect_quantiles(&world, txn, i, ACCURACY_BEGIN, end);
        assert_int_equal(world.levels, COVERAGE_DAY);
        expect_quantiles(&world, txn, i, ACCURACY_BEGIN + MS_PER_HOUR, end - MS_PER_HOUR);
        world.levels = 0;
        expect_quantiles(&world, txn, i, ACCURACY_BEGIN + 7 * MS_PER_HOUR,
                         ACCURACY_BEGIN + 13 * MS_PER_HOUR);
        assert_int_equal(world.levels, COVERAGE_QUARTER_HOUR);
        world.levels = 0;
        expect_quantiles(&world, txn, i, ACCURACY_BEGIN + 7 * MS_PER_MINUTE,
                         ACCURACY_BEGIN + 14 * MS_PER_MINUTE);
        assert_int_equal(world.levels, COVERAGE_MINUTE);
        world.levels = 0;
    }
    read_txn_end(txn);
    engine_close(&world.engine);
    remove_directory(path);
    calendar_free(world.calendar);
    for (size_t i = 0; i < DISTRIBUTIONS; i++)
        free(world.drawn[i]);
}

/* --- uniques ------------------------------------------------------------------------------------
 */

/* So many different members in several sketches that overlap, each of them encoded and read back,
 * merged; the relative error of the estimate. */
static double error_of_trial(uint64_t *random, uint64_t members)
{
    struct distinct *pieces[PIECES];
    struct distinct *all = distinct_new();
    struct buf bytes = BUF_EMPTY;
    uint64_t population = random_next(random);

    for (size_t i = 0; i < PIECES; i++)
        pieces[i] = distinct_new();
    for (uint64_t i = 0; i < members; i++) {
        uint64_t member = population + i;
        const struct str text = {(const char *)&member, sizeof member};
        distinct_add(pieces[i % PIECES], text);
        if (i % 3 == 0)
            distinct_add(pieces[(i / 7) % PIECES], text);
    }
    for (size_t i = 0; i < PIECES; i++) {
        buf_clear(&bytes);
        distinct_encode(pieces[i], &bytes);
        struct reader reader = reader_of(buf_view(&bytes));
        struct distinct *read = distinct_decode(&reader);
        assert_non_null(read);
        distinct_merge(all, read);
        distinct_free(read);
        distinct_free(pieces[i]);
    }
    double estimate = distinct_estimate(all);
    distinct_free(all);
    buf_fini(&bytes);
    return estimate / (double)members - 1;
}

static void uniques_are_within_their_error_in_each_of_100_trials(void **state)
{
    (void)state;
    uint64_t random = 14;
    double squares = 0;
    size_t dense = 0;

    for (size_t i = 0; i < TRIALS; i++) {
        /* From one to a million, by powers; the last ones are the largest. */
        uint64_t members = (uint64_t)pow(MEMBERS_MAX, (double)(i + 1) / TRIALS);
        double error = error_of_trial(&random, members);
        if (members <= DISTINCT_SPARSE_MAX)
            assert_same(error, 0.0);
        if (fabs(error) >= 0.025)
            fail_msg("%llu members are off by %g %%", (unsigned long long)members, 100 * error);
        squares += members > DISTINCT_SPARSE_MAX ? error * error : 0;
        dense += members > DISTINCT_SPARSE_MAX;
    }
    double rms = sqrt(squares / (double)dense);
    if (rms >= 0.009)
        fail_msg("the rms error of %zu trials is %g %%", dense, 100 * rms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_within_one_percent_at_every_level),
        cmocka_unit_test(uniques_are_within_their_error_in_each_of_100_trials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
