/* Late samples and the closed periods that they change: each look is done by hand, with its own
 * time, over a real store. */
#include "base/counters.h"
#include "kpi/period_record.h"
#include "kpi/restater.h"
#include "kpi_fixture.h"
#include "series/random.h"
#include "store/guard.h"
#include "store/upkeep.h"

enum { KPIS_MAX = 3, HEARD_MAX = 2000 };

struct stage {
    struct scene *scene;
    struct restater *restater;
    struct kpi kpis[KPIS_MAX];
    struct target targets[KPIS_MAX][2];
    struct kpi_set set;
    struct coord_run run;
    struct kpi_restatement heard[HEARD_MAX]; /* what was stored as restated */
    size_t count;
    size_t figures; /* rows that were stored */
    size_t steps;   /* that stored something */
    size_t failures;
    bool loses; /* the next transition is not stored */
};

static int stage_setup(void **state)
{
    struct stage *stage = memory_zero(1, sizeof *stage);
    void *scene = NULL;
    assert_int_equal(scene_setup(&scene), 0);
    stage->scene = scene;
    stage->set.kpis = stage->kpis;
    stage->set.metrics = &stage->scene->metrics;
    *state = stage;
    return 0;
}

static int stage_teardown(void **state)
{
    struct stage *stage = *state;
    void *scene = stage->scene;
    restater_free(stage->restater);
    assert_int_equal(scene_teardown(&scene), 0);
    free(stage);
    return 0;
}

#define STAGE_TEST(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

/* As after a start of kpid, or a reload. */
static void restart(struct stage *stage)
{
    restater_free(stage->restater);
    stage->restater = restater_new(stage->scene->store->store);
    restater_set_kpis(stage->restater, &stage->set);
}

static struct kpi *define(struct stage *stage, const char *id, const char *value, const char *unit,
                          enum period_kind period)
{
    struct error err = ERROR_EMPTY;
    size_t i = stage->set.count++;
    struct kpi *kpi = &stage->kpis[i];

    *kpi = (struct kpi){.id = id,
                        .title = id,
                        .formula = parse(stage->scene, value),
                        .period = period,
                        .calendar = stage->scene->berlin,
                        .settle = 5 * MS_PER_MINUTE,
                        .min_denominator = 1,
                        .min_count = 1,
                        .targets = stage->targets[i]};
    assert_true(unit_parse(str_of(unit), &kpi->unit));
    if (!formula_set_unit(&kpi->formula, &kpi->unit, &err))
        fail_msg("%s", err.text);
    restart(stage);
    return kpi;
}

static struct target *add_target(struct kpi *kpi, const char *id, enum target_kind kind, double to,
                                 enum period_kind every)
{
    struct target *target = (struct target *)&kpi->targets[kpi->target_count++];
    *target = (struct target){.id = id, .kind = kind, .to = to, .every = every};
    return target;
}

static void on_failure(const struct kpi *kpi, const struct error *err, void *arg)
{
    struct stage *stage = arg;
    (void)kpi;
    assert_int_not_equal(err->kind, ERROR_NONE);
    stage->failures++;
}

static void store_run(struct stage *stage)
{
    struct scene *scene = stage->scene;

    stage->steps++;
    if (stage->loses) {
        stage->loses = false;
        restater_done(stage->restater, false);
        return;
    }
    stage->figures += stage->run.figure_count;
    for (size_t i = 0; i < stage->run.restatement_count; i++) {
        assert_true(stage->count < HEARD_MAX);
        stage->heard[stage->count++] = stage->run.restatements[i];
    }
    coord_store(scene->coord, &stage->run, ignore_done, NULL);
    commit(scene->store);
    restater_done(stage->restater, true);
}

static bool take_step(struct stage *stage, wall_ms now, struct arena *arena)
{
    const struct restater_step step = {now, arena, on_failure, stage};

    if (restater_step(stage->restater, &step, &stage->run)) {
        assert_true(stage->run.restatement_count <= RESTATER_FIGURES);
        store_run(stage);
    }
    arena_reset(arena);
    return restater_has_work(stage->restater);
}

/* What the evaluator does after a run of all KPIs; returns how many periods were restated. */
static size_t look_at(struct stage *stage, wall_ms now)
{
    struct arena arena = ARENA_EMPTY;
    size_t before = stage->count;

    for (size_t i = 0; i < stage->set.count; i++)
        restater_look(stage->restater, &stage->kpis[i]);
    while (take_step(stage, now, &arena)) {
    }
    arena_fini(&arena);
    return stage->count - before;
}

static size_t look(struct stage *stage, const char *now)
{
    return look_at(stage, berlin(stage->scene, now));
}

static void check_last(const struct stage *stage, const char *period, double old, double new)
{
    char label[CALENDAR_LABEL_SIZE];
    const struct kpi_restatement *last = &stage->heard[stage->count - 1];

    assert_true(stage->count > 0);
    assert_string_equal(calendar_label(last->kpi->calendar, &last->period, label), period);
    assert_true(isnan(old) ? isnan(last->old_value) : fabs(last->old_value - old) < 1e-9);
    assert_true(isnan(new) ? isnan(last->new_value) : fabs(last->new_value - new) < 1e-9);
}

/* --- what is said, and what is not --- */

static void a_late_sample_restates_the_day_it_belongs_to(void **state)
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;
    uint64_t counted = COUNTER_GET(periods_restated);
    uint64_t looks = COUNTER_GET(period_looks);

    (void)define(stage, "signups", "sum(signup)", "", PERIOD_DAY);
    sample(scene, METRIC_COUNTER, "signup", "", 83, "2026-10-12T10:00");
    assert_int_equal(look(stage, "2026-10-12T12:00"), 0);
    assert_int_equal(look(stage, "2026-10-13T09:00"), 0); /* it has closed and is recorded */
    sample(scene, METRIC_COUNTER, "signup", "", 20, "2026-10-12T23:59");
    sample(scene, METRIC_COUNTER, "signup", "", 7, "2026-10-13T08:00"); /* of the open one */
    assert_int_equal(look(stage, "2026-10-13T09:01"), 1);
    check_last(stage, "2026-10-12", 83, 103);
    assert_true(stage->heard[0].is_newest);
    assert_null(stage->heard[0].target);
    assert_int_equal(stage->heard[0].at, berlin(scene, "2026-10-13T09:01"));
    assert_int_equal(look(stage, "2026-10-13T09:02"), 0);
    sample(scene, METRIC_COUNTER, "signup", "", 1, "2026-10-13T09:02");
    assert_int_equal(look(stage, "2026-10-13T09:03"), 0);
    assert_int_equal(COUNTER_GET(periods_restated) - counted, 1);
    assert_int_equal(COUNTER_GET(period_looks) - looks, 5); /* each has ended */
    assert_int_equal(stage->failures, 0);
}

static void several_late_samples_between_two_looks_are_one_restatement(void **state)
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;

    (void)define(stage, "signups", "sum(signup)", "", PERIOD_DAY);
    sample(scene, METRIC_COUNTER, "signup", "", 83, "2026-10-12T10:00");
    (void)look(stage, "2026-10-13T09:00");
    sample(scene, METRIC_COUNTER, "signup", "", 2, "2026-10-12T03:00");
    sample(scene, METRIC_COUNTER, "signup", "plan=pro", 3, "2026-10-12T04:00"); /* a new series */
    sample(scene, METRIC_COUNTER, "signup", "", 5, "2026-10-12T10:00");
    assert_int_equal(look(stage, "2026-10-13T09:01"), 1);
    check_last(stage, "2026-10-12", 83, 93);
}

static void a_late_sample_that_changes_no_figure_says_nothing(void **state)
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;

    (void)define(stage, "slowest", "max(latency)", "ms", PERIOD_DAY);
    (void)define(stage, "visits", "sum(visit)", "", PERIOD_DAY);
    declare(scene, "latency", METRIC_DISTRIBUTION, "ms");
    stage->kpis[0].formula = parse(scene, "max(latency)");
    sample(scene, METRIC_DISTRIBUTION, "latency", "", 900, "2026-10-12T10:00");
    sample(scene, METRIC_COUNTER, "visit", "", 1, "2026-10-12T10:00");
    (void)look(stage, "2026-10-13T09:00");
    sample(scene, METRIC_DISTRIBUTION, "latency", "", 300, "2026-10-12T11:00");
    sample(scene, METRIC_COUNTER, "visit", "", 0, "2026-10-12T11:00");
    sample(scene, METRIC_COUNTER, "other", "", 5, "2026-10-12T11:00"); /* no KPI reads it */
    assert_int_equal(look(stage, "2026-10-13T09:01"), 0);
    sample(scene, METRIC_DISTRIBUTION, "latency", "", 901, "2026-10-12T12:00");
    assert_int_equal(look(stage, "2026-10-13T09:02"), 1);
    assert_string_equal(stage->heard[0].kpi->id, "slowest");
}

/* Nobody reads the seventh digit; but what adds up is said. */
static void what_nobody_sees_is_no_news_until_it_adds_up(void **state)
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;
    size_t said = 0;

    (void)define(stage, "spend", "sum(spend)", "EUR", PERIOD_DAY);
    sample(scene, METRIC_COUNTER, "spend", "", 1, "2026-10-12T10:00");
    (void)look(stage, "2026-10-13T09:00");
    for (int i = 0; i < 30; i++) {
        sample(scene, METRIC_COUNTER, "spend", "", 0.001, "2026-10-12T11:00");
        said += look_at(stage, berlin(scene, "2026-10-13T09:01") + i * MS_PER_MINUTE);
    }
    assert_true(said >= 2 && said <= 4);
    assert_true(stage->heard[said - 1].new_value > 1.02);
}

static void what_comes_while_a_period_settles_is_part_of_it(void **state) /* FIG-29 */
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;

    struct kpi *kpi = define(stage, "conversion", "sum(won) / sum(trial)", "%", PERIOD_MONTH);
    kpi->settle = 14 * (span_ms)MS_PER_DAY;
    sample(scene, METRIC_COUNTER, "trial", "", 1000, "2026-10-20T10:00");
    sample(scene, METRIC_COUNTER, "won", "", 112, "2026-10-20T10:00");
    (void)look(stage, "2026-11-01T00:10");
    sample(scene, METRIC_COUNTER, "won", "", 7, "2026-10-31T23:00");
    assert_int_equal(look(stage, "2026-11-08T12:00"), 0);
    assert_int_equal(look(stage, "2026-11-14T23:59"), 0);
    assert_int_equal(look(stage, "2026-11-15T00:00"), 0); /* frozen: 119 of 1000 */
    sample(scene, METRIC_COUNTER, "won", "", 6, "2026-10-31T23:30");
    assert_int_equal(look(stage, "2026-11-20T10:00"), 1); /* FIG-30 */
    check_last(stage, "2026-10", 0.119, 0.125);
}

static void what_closed_before_it_was_ever_evaluated_is_history(void **state) /* ALR-9 */
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;

    (void)define(stage, "signups", "sum(signup)", "", PERIOD_DAY);
    sample(scene, METRIC_COUNTER, "signup", "", 1, "2026-10-12T10:00");
    (void)look(stage, "2026-10-13T09:00");
    for (int day = 1; day < 200; day++)
        post(scene->store,
             one_sample(METRIC_COUNTER, "signup", "", 5,
                        berlin(scene, "2026-10-11T10:00") - day * (wall_ms)MS_PER_DAY));
    commit(scene->store);
    assert_int_equal(look(stage, "2026-10-13T09:01"), 0);
}

/* --- nothing is lost, nothing is said twice --- */

static void a_restart_loses_nothing_and_repeats_nothing(void **state)
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;

    (void)define(stage, "signups", "sum(signup)", "", PERIOD_DAY);
    sample(scene, METRIC_COUNTER, "signup", "", 83, "2026-10-12T10:00");
    (void)look(stage, "2026-10-13T09:00");
    sample(scene, METRIC_COUNTER, "signup", "", 20, "2026-10-12T23:59");
    restart(stage); /* between the commit and the evaluation */
    assert_int_equal(look(stage, "2026-10-13T09:01"), 1);
    check_last(stage, "2026-10-12", 83, 103);
    restart(stage);
    assert_int_equal(look(stage, "2026-10-13T09:02"), 0);

    sample(scene, METRIC_COUNTER, "signup", "", 1, "2026-10-12T23:59");
    stage->loses = true; /* the writer could not store it */
    assert_int_equal(look(stage, "2026-10-13T09:03"), 0);
    assert_int_equal(look(stage, "2026-10-13T09:04"), 1);
    check_last(stage, "2026-10-12", 103, 104);
    assert_int_equal(look(stage, "2026-10-13T09:05"), 0);
}

/* kpid was down for days: each of them has closed, and is noticed when it changes. */
static void days_that_closed_while_kpid_was_down_are_recorded(void **state)
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;

    (void)define(stage, "signups", "sum(signup)", "", PERIOD_DAY);
    sample(scene, METRIC_COUNTER, "signup", "", 83, "2026-10-12T10:00");
    (void)look(stage, "2026-10-13T09:00");
    restart(stage);
    assert_int_equal(look(stage, "2026-10-20T09:00"), 0);
    sample(scene, METRIC_COUNTER, "signup", "", 4, "2026-10-17T10:00");
    assert_int_equal(look(stage, "2026-10-20T09:01"), 1);
    check_last(stage, "2026-10-17", 0, 4);
    assert_false(stage->heard[0].is_newest);
    sample(scene, METRIC_COUNTER, "signup", "", 4, "2026-10-19T10:00");
    assert_int_equal(look(stage, "2026-10-20T09:02"), 1);
    assert_true(stage->heard[1].is_newest);
}

static void work(struct stage *stage, wall_ms now, struct upkeep *upkeep)
{
    const struct guard clock = {.mark = now, .keep_mark = now, .last.wall = now};
    struct error err = ERROR_EMPTY;
    bool more = true;
    (void)stage;

    while (more) {
        if (!upkeep_step(upkeep, &clock, &more, &err))
            fail_msg("%s", err.text);
    }
}

static void a_year_that_is_imported_backwards_is_restated_once_a_day(void **state)
{
    enum { DAYS = 365, A_COMMIT = 100 }; /* more than one step each */
    struct stage *stage = *state;
    struct scene *scene = stage->scene;
    struct arena arena = ARENA_EMPTY;
    wall_ms now = berlin(scene, "2026-10-13T09:00");
    wall_ms day = berlin(scene, "2026-10-12T10:00");

    declared_since(scene, "signup", "2025-01-01");
    declare(scene, "signup", METRIC_COUNTER, NULL);
    (void)define(stage, "signups", "sum(signup)", "", PERIOD_DAY);
    (void)look_at(stage, now - (DAYS + 1) * (wall_ms)MS_PER_DAY);
    assert_int_equal(look_at(stage, now), 0); /* all of them were evaluated: 0 each */
    assert_true(stage->figures >= DAYS);
    stage->steps = 0;
    for (int i = 0; i < DAYS; i++) {
        post(scene->store,
             one_sample(METRIC_COUNTER, "signup", "", 1 + i, day - i * (wall_ms)MS_PER_DAY));
        if (i % A_COMMIT == A_COMMIT - 1) {
            commit(scene->store);
            restater_look(stage->restater, &stage->kpis[0]); /* and more comes meanwhile */
            (void)take_step(stage, now, &arena);
        }
    }
    commit(scene->store);
    (void)look_at(stage, now + MS_PER_MINUTE);
    arena_fini(&arena);
    assert_int_equal(stage->count, DAYS);
    assert_true(stage->steps >= DAYS / RESTATER_FIGURES);
    for (size_t i = 0; i < stage->count; i++) {
        int ago = (int)((day - stage->heard[i].period.from) / MS_PER_DAY);
        assert_true(stage->heard[i].old_value == 0);
        assert_true(stage->heard[i].new_value == 1 + ago);
        assert_true(stage->heard[i].is_newest == (ago == 0));
    }
}

/* Samples of any age, looks, restarts, lost transitions, folding, combining and building in any
 * order: what was said last of each day is always what the next restatement begins with, and in the
 * end what is. */
static void whatever_happens_what_was_said_is_what_is(void **state)
{
    enum { DAYS = 24, ROUNDS = 150 };
    struct stage *stage = *state;
    struct scene *scene = stage->scene;
    double is[DAYS] = {0};
    double said[DAYS];
    uint64_t seed = 7;
    wall_ms first = berlin(scene, "2026-10-10"); /* the 25th has 25 hours */
    wall_ms now = first + MS_PER_HOUR;
    const struct calendar *calendars[] = {scene->berlin};
    const struct upkeep_options options = {.calendars = calendars, .calendar_count = 1};
    struct upkeep *upkeep = upkeep_new(scene->store->store, &options);
    size_t heard = 0;

    (void)define(stage, "signups", "sum(signup)", "", PERIOD_DAY);
    for (size_t i = 0; i < DAYS; i++)
        said[i] = NAN;
    for (int round = 0; round < ROUNDS; round++) {
        for (uint64_t i = random_below(&seed, 4); i > 0; i--) {
            wall_ms at = first + (wall_ms)random_below(&seed, (uint64_t)(now - first));
            size_t day = 0;
            while (calendar_add_days(scene->berlin, first, (int)day + 1) <= at)
                day++;
            is[day] += 1;
            post(scene->store, one_sample(METRIC_COUNTER, "signup",
                                          random_below(&seed, 2) == 0 ? "" : "plan=pro", 1, at));
        }
        commit(scene->store);
        if (random_below(&seed, 4) == 0)
            work(stage, now, upkeep);
        if (random_below(&seed, 5) == 0)
            restart(stage);
        stage->loses = round < ROUNDS - 1 && random_below(&seed, 6) == 0;
        if (round == ROUNDS - 1 || random_below(&seed, 3) != 0)
            (void)look_at(stage, now);
        stage->loses = false;
        for (; heard < stage->count; heard++) {
            const struct kpi_restatement *news = &stage->heard[heard];
            size_t day = 0;
            while (calendar_add_days(scene->berlin, first, (int)day) < news->period.from)
                day++;
            assert_true(isnan(said[day]) || news->old_value == said[day]);
            assert_true(news->new_value == is[day]);
            said[day] = news->new_value;
        }
        if (now < first + (DAYS - 1) * (wall_ms)MS_PER_DAY)
            now += (wall_ms)random_below(&seed, 8 * (uint64_t)MS_PER_HOUR);
    }
    upkeep_free(upkeep);
    assert_true(heard > 20);

    struct arena arena = ARENA_EMPTY;
    struct read_txn *txn = read_begin(scene->store);
    size_t recorded = 0;
    for (size_t day = 0; day < DAYS; day++) {
        struct period_record record;
        struct str value;
        wall_ms from = calendar_add_days(scene->berlin, first, (int)day);
        if (!record_get(txn, RECORD_FIGURE, period_key(STR("signups"), PERIOD_DAY, from, &arena),
                        &value))
            continue;
        assert_true(period_record_decode(value, &arena, &record));
        recorded++;
        if ((record.is_null ? 0 : record.value) != is[day])
            fail_msg("day %zu: %g was said last, and is %g", day, record.value, is[day]);
    }
    read_txn_end(txn);
    arena_fini(&arena);
    assert_true(recorded > DAYS / 2);
}

/* --- what else decides a figure --- */

static void a_late_level_stands_in_the_days_after_it(void **state) /* FIG-13 */
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;

    struct metric_definition *stock = declare(scene, "stock", METRIC_GAUGE, NULL);
    stock->stale_after = 3 * (span_ms)MS_PER_DAY;
    (void)define(stage, "stock", "last(stock)", "", PERIOD_DAY);
    sample(scene, METRIC_GAUGE, "stock", "", 50, "2026-10-10T10:00");
    (void)look(stage, "2026-10-11T09:00");
    (void)look(stage, "2026-10-15T09:00");
    sample(scene, METRIC_GAUGE, "stock", "", 60, "2026-10-11T22:00");
    assert_int_equal(look(stage, "2026-10-15T09:01"), 3);
    static const char *const DAYS[] = {"2026-10-11", "2026-10-12", "2026-10-13"};
    static const double WAS[] = {50, 50, NAN}; /* three days, until 10:00 of the 13th */
    static const double IS[] = {60, 60, 60};
    for (size_t i = 0; i < stage->count; i++) {
        char label[CALENDAR_LABEL_SIZE];
        const struct kpi_restatement *news = &stage->heard[i];
        assert_string_equal(calendar_label(scene->berlin, &news->period, label), DAYS[i]);
        assert_true(news->old_value == WAS[i] || (isnan(news->old_value) && isnan(WAS[i])));
        assert_true(news->new_value == IS[i]);
    }
}

static void an_earlier_first_sample_turns_nothing_into_zero(void **state) /* FIG-11 */
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;

    (void)define(stage, "signups", "sum(signup)", "", PERIOD_DAY);
    (void)look(stage, "2026-10-10T09:00");
    (void)look(stage, "2026-10-13T09:00"); /* the 9th to the 12th: never seen */
    sample(scene, METRIC_COUNTER, "signup", "", 5, "2026-10-11T10:00");
    assert_int_equal(look(stage, "2026-10-13T09:01"), 2);
    check_last(stage, "2026-10-12", NAN, 0);
    assert_true(isnan(stage->heard[0].old_value) && stage->heard[0].new_value == 5);
    sample(scene, METRIC_COUNTER, "signup", "", 7, "2026-09-01T10:00"); /* long before them all */
    assert_int_equal(look(stage, "2026-10-13T09:02"), 2);
    check_last(stage, "2026-10-10", NAN, 0);
}

static void another_verdict_is_told_and_another_target_is_none(void **state)
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;

    struct kpi *kpi = define(stage, "leads", "sum(lead)", "", PERIOD_DAY);
    struct target *least = add_target(kpi, "least", TARGET_AT_LEAST, 100, PERIOD_DAY);
    (void)add_target(kpi, "most", TARGET_AT_MOST, 1000, PERIOD_DAY);
    sample(scene, METRIC_COUNTER, "lead", "", 83, "2026-10-12T10:00");
    (void)look(stage, "2026-10-13T09:00");
    sample(scene, METRIC_COUNTER, "lead", "", 10, "2026-10-12T11:00");
    assert_int_equal(look(stage, "2026-10-13T09:01"), 1); /* the worse one is told */
    assert_ptr_equal(stage->heard[0].target, least);
    assert_int_equal(stage->heard[0].old_code, KPI_MISSED);
    assert_int_equal(stage->heard[0].new_code, KPI_MISSED);
    sample(scene, METRIC_COUNTER, "lead", "", 10, "2026-10-12T11:00");
    assert_int_equal(look(stage, "2026-10-13T09:02"), 1);
    assert_ptr_equal(stage->heard[1].target, least);
    assert_int_equal(stage->heard[1].old_code, KPI_MISSED);
    assert_int_equal(stage->heard[1].new_code, KPI_HIT);
    sample(scene, METRIC_COUNTER, "lead", "", 1000, "2026-10-12T11:00");
    assert_int_equal(look(stage, "2026-10-13T09:03"), 1);
    assert_ptr_equal(stage->heard[2].target, &kpi->targets[1]);
    assert_int_equal(stage->heard[2].new_code, KPI_MISSED);

    least->to = 5000; /* asked for by a person: not what late samples have done */
    restart(stage);
    sample(scene, METRIC_COUNTER, "lead", "", 1, "2026-10-12T11:00");
    assert_int_equal(look(stage, "2026-10-13T09:04"), 1);
    assert_ptr_equal(stage->heard[3].target, &kpi->targets[1]);
    assert_int_equal(stage->heard[3].old_code, KPI_MISSED);
}

static void another_formula_is_no_restatement(void **state)
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;

    struct kpi *kpi = define(stage, "signups", "sum(signup)", "", PERIOD_DAY);
    sample(scene, METRIC_COUNTER, "signup", "", 83, "2026-10-12T10:00");
    (void)look(stage, "2026-10-13T09:00");
    kpi->formula = parse(scene, "sum(signup) * 2");
    restart(stage);
    sample(scene, METRIC_COUNTER, "signup", "", 1, "2026-10-12T11:00");
    assert_int_equal(look(stage, "2026-10-13T09:01"), 0);
    sample(scene, METRIC_COUNTER, "signup", "", 1, "2026-10-12T11:00");
    assert_int_equal(look(stage, "2026-10-13T09:02"), 1);
    check_last(stage, "2026-10-12", 168, 170);
    kpi->state = KPI_STATE_PAUSED;
    sample(scene, METRIC_COUNTER, "signup", "", 1, "2026-10-12T11:00");
    assert_int_equal(look(stage, "2026-10-13T09:03"), 0);
    kpi->state = KPI_STATE_ACTIVE;
    assert_int_equal(look(stage, "2026-10-13T09:04"), 1);
}

static void each_period_of_a_kpi_and_of_its_targets_is_watched(void **state)
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;

    struct kpi *kpi = define(stage, "leads", "sum(lead)", "", PERIOD_DAY);
    (void)add_target(kpi, "weekly", TARGET_AT_LEAST, 100, PERIOD_WEEK);
    (void)define(stage, "hourly", "sum(lead)", "", PERIOD_HOUR);
    sample(scene, METRIC_COUNTER, "lead", "", 83, "2026-10-09T10:00"); /* a Friday */
    (void)look(stage, "2026-10-10T09:00");
    (void)look(stage, "2026-10-13T09:00");
    sample(scene, METRIC_COUNTER, "lead", "", 20, "2026-10-10T09:30");
    assert_int_equal(look(stage, "2026-10-13T09:01"), 3);
    check_last(stage, "2026-10-10 09:00", 0, 20);
    assert_int_equal(stage->heard[0].period.kind, PERIOD_DAY);
    assert_int_equal(stage->heard[1].period.kind, PERIOD_WEEK);
    assert_int_equal(stage->heard[1].new_code, KPI_HIT);
}

/* --- limits --- */

static size_t count_figures(struct scene *scene)
{
    MDB_stat facts = {0};
    struct read_txn *txn = read_begin(scene->store);
    assert_int_equal(mdb_stat(txn->txn, scene->store->store->databases[DATABASE_FIGURES], &facts),
                     0);
    read_txn_end(txn);
    return facts.ms_entries;
}

static void only_the_newest_periods_are_kept(void **state)
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;
    wall_ms now = berlin(scene, "2026-10-12T10:00");

    (void)define(stage, "signups", "sum(signup)", "", PERIOD_MINUTE);
    sample(scene, METRIC_COUNTER, "signup", "", 83, "2026-10-12T09:00");
    for (int hour = 0; hour < 60; hour += 7)
        (void)look_at(stage, now + hour * (wall_ms)MS_PER_HOUR);
    size_t count = count_figures(scene);
    assert_true(count > RESTATER_KEPT / 2 && count <= RESTATER_KEPT + 2);
    (void)look_at(stage, now + 2000 * (wall_ms)MS_PER_HOUR);
    count = count_figures(scene);
    assert_true(count >= RESTATER_KEPT && count <= RESTATER_KEPT + 2);
}

/* A clock that has jumped ahead closes nothing. */
static void periods_close_by_the_guarded_clock(void **state)
{
    struct stage *stage = *state;
    struct scene *scene = stage->scene;
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    const struct guard clock = {.mark = berlin(scene, "2055-01-01"),
                                .keep_mark = berlin(scene, "2026-10-13T09:00")};

    (void)define(stage, "signups", "sum(signup)", "", PERIOD_DAY);
    sample(scene, METRIC_COUNTER, "signup", "", 83, "2026-10-12T10:00");
    (void)look(stage, "2026-10-13T09:00");
    size_t count = count_figures(scene);
    assert_true(write_txn_begin(scene->store->store, NULL, &txn, &err));
    assert_true(guard_save(&clock, &txn, &err));
    assert_true(write_txn_commit(&txn, &err));
    (void)look(stage, "2055-01-01T00:10");
    assert_int_equal(count_figures(scene), count);
    sample(scene, METRIC_COUNTER, "signup", "", 1, "2026-10-12T11:00");
    assert_int_equal(look(stage, "2055-01-01T00:11"), 1);
    check_last(stage, "2026-10-12", 83, 84);
}

/* --- what is stored --- */

static void records_survive_their_encoding_and_nothing_else_does(void **state)
{
    struct arena arena = ARENA_EMPTY;
    const struct period_verdict verdicts[] = {{STR("least"), 5, KPI_HIT}, {STR(""), 0, KPI_MISSED}};
    const struct period_record record = {.to = 1000,
                                         .is_partial = true,
                                         .value = -2.5,
                                         .fingerprint = UINT64_MAX,
                                         .commit = 7,
                                         .at = WALL_NONE,
                                         .verdicts = verdicts,
                                         .verdict_count = 2};
    const struct period_mark mark = {3, 9, PERIOD_WEEK, -5};
    struct period_record back;
    struct period_mark mark_back;
    wall_ms from = 0;
    (void)state;

    struct str bytes = period_record_encode(&record, &arena);
    assert_true(period_record_decode(bytes, &arena, &back));
    assert_int_equal(back.to, 1000);
    assert_true(back.is_partial && !back.is_null && back.value == -2.5);
    assert_true(back.fingerprint == UINT64_MAX && back.commit == 7 && back.at == WALL_NONE);
    assert_int_equal(back.verdict_count, 2);
    assert_true(str_is(back.verdicts[0].target, "least"));
    assert_int_equal(back.verdicts[1].code, KPI_MISSED);
    for (size_t len = 0; len < bytes.len; len++) {
        char *copy = memory_copy(bytes.text, len); /* so that reading past it is seen */
        assert_false(period_record_decode((struct str){copy, len}, &arena, &back));
        free(copy);
    }
    for (size_t i = 0; i < bytes.len * 8; i++) {
        char *copy = memory_copy(bytes.text, bytes.len);
        copy[i / 8] = (char)(copy[i / 8] ^ (1 << i % 8));
        (void)period_record_decode((struct str){copy, bytes.len}, &arena, &back);
        free(copy);
    }
    bytes = period_mark_encode(&mark, &arena);
    assert_true(period_mark_decode(bytes, &mark_back));
    assert_true(mark_back.since == 3 && mark_back.until == 9 && mark_back.next == -5);
    assert_int_equal(mark_back.kind, PERIOD_WEEK);
    assert_false(period_mark_decode((struct str){bytes.text, bytes.len - 1}, &mark_back));

    struct str early = period_key(STR("k"), PERIOD_DAY, -1, &arena); /* before 1970 comes first */
    struct str late = period_key(STR("k"), PERIOD_DAY, 1, &arena);
    assert_int_equal(early.len, late.len);
    assert_true(memcmp(early.text, late.text, late.len) < 0);
    assert_true(period_key_from(early, &from) && from == -1);
    assert_false(period_key_from(period_mark_key(STR("k"), &arena), &from));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGE_TEST(a_late_sample_restates_the_day_it_belongs_to),
        STAGE_TEST(several_late_samples_between_two_looks_are_one_restatement),
        STAGE_TEST(a_late_sample_that_changes_no_figure_says_nothing),
        STAGE_TEST(what_nobody_sees_is_no_news_until_it_adds_up),
        STAGE_TEST(what_comes_while_a_period_settles_is_part_of_it),
        STAGE_TEST(what_closed_before_it_was_ever_evaluated_is_history),
        STAGE_TEST(a_restart_loses_nothing_and_repeats_nothing),
        STAGE_TEST(days_that_closed_while_kpid_was_down_are_recorded),
        STAGE_TEST(a_year_that_is_imported_backwards_is_restated_once_a_day),
        STAGE_TEST(whatever_happens_what_was_said_is_what_is),
        STAGE_TEST(a_late_level_stands_in_the_days_after_it),
        STAGE_TEST(an_earlier_first_sample_turns_nothing_into_zero),
        STAGE_TEST(another_verdict_is_told_and_another_target_is_none),
        STAGE_TEST(another_formula_is_no_restatement),
        STAGE_TEST(each_period_of_a_kpi_and_of_its_targets_is_watched),
        STAGE_TEST(only_the_newest_periods_are_kept),
        STAGE_TEST(periods_close_by_the_guarded_clock),
        cmocka_unit_test(records_survive_their_encoding_and_nothing_else_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
