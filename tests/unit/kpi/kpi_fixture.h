/* What the tests of kpi/ share: a real store, a calendar in Berlin, declared metrics, and short
 * words for samples, formulas and figures. Times are written as clocks in Berlin show them. */
#pragma once

#include <math.h>

#include "kpi/coord.h"
#include "kpi/evaluator.h"
#include "kpi/formula.h"
#include "kpi/kpi.h"
#include "store/fixture.h"

struct scene {
    struct fixture *store;
    struct arena arena;
    struct calendar *berlin;
    struct metric_table metrics;
    struct coord *coord;
};

static inline int scene_setup(void **state)
{
    struct error err = ERROR_EMPTY;
    struct scene *scene = memory_zero(1, sizeof *scene);
    void *fixture = NULL;
    assert_int_equal(fixture_setup(&fixture), 0);
    scene->store = fixture;
    scene->berlin = calendar_new(STR("Europe/Berlin"), 1, &err);
    if (scene->berlin == NULL)
        fail_msg("%s", err.text);
    scene->coord = coord_new_local(scene->store->writer, NULL, NULL, NULL);
    *state = scene;
    return 0;
}

static inline int scene_teardown(void **state)
{
    struct scene *scene = *state;
    void *fixture = scene->store;
    coord_free(scene->coord);
    calendar_free(scene->berlin);
    table_fini(&scene->metrics.by_name);
    arena_fini(&scene->arena);
    assert_int_equal(fixture_teardown(&fixture), 0);
    free(scene);
    return 0;
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)

/* "2026-10-12T09:00" in Berlin, or with "Z" in UTC. */
static inline wall_ms berlin(const struct scene *scene, const char *text)
{
    wall_ms at = 0;
    if (!calendar_parse(scene->berlin, str_of(text), false, &at))
        fail_msg("'%s' is no time", text);
    return at;
}

static inline void sample(struct scene *scene, enum metric_kind kind, const char *metric,
                          const char *labels, double value, const char *at)
{
    post(scene->store, one_sample(kind, metric, labels, value, berlin(scene, at)));
    commit(scene->store);
}

static inline struct metric_definition *declare(struct scene *scene, const char *name,
                                                enum metric_kind kind, const char *unit)
{
    struct metric_definition *metric = arena_alloc(&scene->arena, sizeof *metric);
    metric->name = name;
    metric->has_kind = true;
    metric->kind = kind;
    metric->unit = unit;
    assert_true(table_add(&scene->metrics.by_name, str_of(name), metric));
    return metric;
}

static inline void ignore_done(const struct error *err, void *arg)
{
    (void)arg;
    assert_null(err);
}

/* Notes since when a metric is declared, as the evaluator does. */
static inline void declared_since(struct scene *scene, const char *metric, const char *at)
{
    const struct str name = str_of(metric);
    coord_declare(scene->coord, &name, 1, berlin(scene, at), ignore_done, NULL);
    commit(scene->store);
}

static inline struct formula parse(struct scene *scene, const char *text)
{
    struct formula formula;
    struct error err = ERROR_EMPTY;
    if (!formula_parse(str_of(text), &scene->metrics, &scene->arena, &formula, &err))
        fail_msg("'%s': %s", text, err.text);
    return formula;
}

static inline struct figure figure_of_period(struct scene *scene, const struct formula *formula,
                                             const struct period *period, wall_ms now)
{
    struct figure figure;
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_begin(scene->store);
    struct kpi_inputs inputs = {txn, now, &scene->metrics};
    if (!kpi_figure(formula, period, &inputs, &scene->arena, &figure, &err))
        fail_msg("%s", err.text);
    read_txn_end(txn);
    return figure;
}

/* The figure of the period of `kind` that contains `at`, as seen at `now`. */
static inline struct figure figure_at(struct scene *scene, const char *formula,
                                      enum period_kind kind, const char *at, const char *now)
{
    struct formula parsed = parse(scene, formula);
    struct period period = calendar_period(scene->berlin, kind, berlin(scene, at));
    return figure_of_period(scene, &parsed, &period, berlin(scene, now));
}

static inline void check_value(const struct figure *figure, double expected, const char *what)
{
    if (figure->is_null)
        fail_msg("%s: null (%s)", what, figure->detail);
    if (!(fabs(figure->value - expected) <= 1e-9 * fmax(1, fabs(expected))))
        fail_msg("%s: %.12g instead of %.12g", what, figure->value, expected);
}

static inline void check_null(const struct figure *figure, enum null_reason reason,
                              const char *detail)
{
    if (!figure->is_null)
        fail_msg("%.12g instead of null", figure->value);
    assert_string_equal(null_reason_name(figure->reason), null_reason_name(reason));
    if (detail != NULL)
        assert_string_equal(figure->detail, detail);
}

#define CHECK_VALUE(got, expected)                                                                 \
    do {                                                                                           \
        struct figure got_figure = (got);                                                          \
        check_value(&got_figure, (expected), #got);                                                \
    } while (0)
#define CHECK_NULL(got, reason, detail)                                                            \
    do {                                                                                           \
        struct figure got_figure = (got);                                                          \
        check_null(&got_figure, (reason), (detail));                                               \
    } while (0)
