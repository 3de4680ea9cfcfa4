#include <math.h>

#include "alert/alert_engine.h"
#include "base/counters.h"
#include "fixture.h"

#define OCTOBER  INT64_C(1790805600000) /* 2026-10-01 00:00 in Berlin */
#define NOVEMBER INT64_C(1793487600000) /* 2026-11-01 00:00 in Berlin */

/* Churn, a mean in %, at most 2 % each month, and one rule on it. */
struct world {
    struct fixture *store; /* cmocka's own setup made it */
    struct arena arena;
    struct calendar *calendar;
    struct kpi kpi;
    struct target target;
    struct rule rule;
    struct rule_set rules;
    struct hook_set hooks;
    struct alert_config config;
    struct alert_engine *engine;
};

static const char *const RULE_HOOKS[] = {"chat"};
static const char *const DEFAULT_HOOKS[] = {"office"};

static struct condition condition_of(struct world *world, const char *text)
{
    struct condition condition;
    struct error err = ERROR_EMPTY;
    if (!condition_parse(str_of(text), &world->kpi.unit, &world->arena, &condition, &err))
        fail_msg("%s", err.text);
    return condition;
}

static void world_setup(struct world *world, void **state)
{
    struct error err = ERROR_EMPTY;
    *world = (struct world){.store = *state};
    world->calendar = calendar_new(STR("Europe/Berlin"), 1, &err);
    assert_non_null(world->calendar);
    world->kpi = (struct kpi){.id = "churn",
                              .title = "Churn",
                              .owner = "Chen",
                              .formula.class = FIGURE_MEAN,
                              .period = PERIOD_MONTH,
                              .calendar = world->calendar,
                              .settle = 5 * MS_PER_MINUTE,
                              .min_denominator = 1,
                              .min_count = 1,
                              .targets = &world->target,
                              .target_count = 1};
    assert_true(unit_parse(STR("%"), &world->kpi.unit));
    world->target = (struct target){
        .id = "churn-month", .kind = TARGET_AT_MOST, .to = 0.02, .every = PERIOD_MONTH};
    world->rule = (struct rule){.id = "churn-breach",
                                .kpi = &world->kpi,
                                .target = &world->target,
                                .when = condition_of(world, "breached"),
                                .severity = SEVERITY_CRITICAL,
                                .action = "Call the accounts that left",
                                .hooks = RULE_HOOKS,
                                .hook_count = 1,
                                .fingerprint = 7};
    world->rules = (struct rule_set){&world->rule, 1};
    world->hooks = (struct hook_set){.defaults = DEFAULT_HOOKS, .default_count = 1};
    world->config = (struct alert_config){&world->rules, &world->hooks};
    world->engine = alert_engine_new(&world->config);
}

static void world_teardown(struct world *world)
{
    alert_engine_free(world->engine);
    calendar_free(world->calendar);
    arena_fini(&world->arena);
}

/* One evaluation at `now`. `value` NAN: null. */
struct look {
    struct world *world;
    wall_ms now;
    double value;
    double last_value;
    enum truth breached;
    enum kpi_status_code last_code;
    bool fails; /* the transaction, after all was written */
};

static struct figure figure_of(double value)
{
    return (struct figure){.is_null = isnan(value),
                           .value = isnan(value) ? 0 : value,
                           .denominator = NAN,
                           .count = NAN};
}

static bool run_look(struct write_txn *txn, void *arg, struct error *err)
{
    const struct look *look = arg;
    struct world *world = look->world;
    const struct calendar *calendar = world->calendar;
    struct period open = calendar_period(calendar, world->target.every, look->now);
    struct target_status target = {.target = &world->target,
                                   .code = KPI_BEHIND,
                                   .expected = NAN,
                                   .pace = NAN,
                                   .open = open,
                                   .open_figure = figure_of(look->value),
                                   .breached = look->breached,
                                   .judged = open,
                                   .judged_figure = figure_of(look->value)};
    struct kpi_status status = {.kpi = &world->kpi,
                                .at = look->now,
                                .period = calendar_period(calendar, world->kpi.period, look->now),
                                .figure = figure_of(look->value),
                                .code = KPI_BEHIND,
                                .shown = &target,
                                .targets = &target,
                                .target_count = world->target.retired ? 0 : 1,
                                .last = calendar_previous(calendar, &open),
                                .last_figure = figure_of(look->last_value),
                                .last_code = look->last_code,
                                .restarts = world->kpi.formula.class != FIGURE_LEVEL};

    /* As the evaluator does it: an at_least total of a day speaks of the day before. */
    if (world->kpi.formula.class == FIGURE_TOTAL && world->target.kind == TARGET_AT_LEAST) {
        target.judged = status.last;
        target.judged_figure = status.last_figure;
    }
    const struct coord_run run = {.statuses = &status, .count = 1, .now = look->now};
    if (!alert_engine_apply(txn, &run, world->engine, err))
        return false;
    return !look->fails || error_set(err, ERROR_SYSTEM, "the disk is gone");
}

static void look_at(struct world *world, wall_ms now, double value, enum truth breached)
{
    struct look look = {.world = world,
                        .now = now,
                        .value = value,
                        .last_value = 0.024,
                        .breached = breached,
                        .last_code = KPI_SETTLING};
    assert_true(write_in(world->store, run_look, &look));
}

static bool state_of(struct world *world, struct alert_state *out)
{
    struct read_txn *txn = read_begin(world->store);
    bool found = alert_engine_state(txn, STR("churn-breach"), out);
    read_txn_end(txn);
    return found;
}

struct told {
    struct arena arena;
    struct event events[12];
    size_t count;
};

static bool note_event(struct str key, struct str value, void *arg)
{
    struct told *told = arg;
    (void)key;
    assert_true(told->count < TEST_COUNT(told->events));
    assert_true(event_decode(arena_str(&told->arena, value), &told->events[told->count++]));
    return true;
}

/* All events so far, the oldest first. */
static struct told told_by(struct world *world)
{
    struct told told = {.arena = ARENA_EMPTY};
    struct read_txn *txn = read_begin(world->store);
    record_scan(txn, RECORD_EVENT, STR_EMPTY, note_event, &told);
    read_txn_end(txn);
    return told;
}

static void assert_text(struct str text, const char *expected)
{
    if (!str_is(text, expected))
        fail_msg("'%.*s' is not '%s'", STR_ARGS(text), expected);
}

static void a_breach_stores_state_event_and_entry_together(void **state)
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    assert_true(state_of(&world, &alert));
    assert_int_equal(alert.phase, ALERT_FIRING);
    assert_int_equal(alert.since, NOW);
    assert_int_equal(alert.period_from, OCTOBER);
    assert_int_equal(strlen(alert.alert_id), 32);
    assert_int_equal(facts_of(world.store, "chat").pending, 1);
    assert_int_equal(facts_of(world.store, "office").pending, 0);

    struct told told = told_by(&world);
    assert_int_equal(told.count, 1);
    const struct event *event = &told.events[0];
    assert_int_equal(event->type, EVENT_FIRING);
    assert_text(event->text, "Churn: 2.4 %, target 2 % (2026-10)");
    assert_text(event->alert_id, alert.alert_id);
    assert_text(event->rule, "churn-breach");
    assert_text(event->kpi, "churn");
    assert_text(event->severity, "critical");
    assert_text(event->status, "behind");
    assert_text(event->value_text, "2.4 %");
    assert_text(event->target_text, "at most 2 %");
    assert_text(event->unit, "%");
    assert_text(event->period, "2026-10");
    assert_text(event->period_from_text, "2026-10-01T00:00:00+02:00");
    assert_text(event->period_to_text, "2026-11-01T00:00:00+01:00");
    assert_text(event->at_text, "2026-10-28T02:05:00+01:00");
    assert_text(event->action, "Call the accounts that left");
    assert_true(fabs(event->value - 2.4) < 1e-9);
    assert_true(event->has_target && fabs(event->target - 2) < 1e-9);
    arena_fini(&told.arena);
    world_teardown(&world);
}

static void a_transaction_that_fails_leaves_nothing(void **state)
{
    struct world world;
    struct alert_state alert;
    uint64_t counted = COUNTER_GET(alerts_fired);
    world_setup(&world, state);
    struct look look = {.world = &world,
                        .now = NOW,
                        .value = 0.024,
                        .last_value = NAN,
                        .breached = TRUTH_TRUE,
                        .fails = true};
    assert_false(write_in(world.store, run_look, &look));
    assert_false(state_of(&world, &alert));
    struct told told = told_by(&world);
    assert_int_equal(told.count, 0);
    assert_int_equal(facts_of(world.store, "chat").pending, 0);

    look.fails = false; /* and the same again tells it once */
    assert_true(write_in(world.store, run_look, &look));
    assert_int_equal(facts_of(world.store, "chat").pending, 1);
    assert_int_equal(COUNTER_GET(alerts_fired) - counted, 1);
    arena_fini(&told.arena);
    world_teardown(&world);
}

static void unknown_starts_and_ends_nothing(void **state)
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    look_at(&world, NOW, NAN, TRUTH_UNKNOWN);
    assert_false(state_of(&world, &alert));
    look_at(&world, NOW + 1, 0.024, TRUTH_TRUE);
    look_at(&world, NOW + 2, NAN, TRUTH_UNKNOWN);
    assert_true(state_of(&world, &alert));
    assert_int_equal(alert.phase, ALERT_FIRING);
    assert_int_equal(facts_of(world.store, "chat").pending, 1);
    world_teardown(&world);
}

static void a_firing_alert_is_told_once(void **state)
{
    struct world world;
    world_setup(&world, state);
    for (int i = 0; i < 5; i++)
        look_at(&world, NOW + i, 0.024, TRUTH_TRUE);
    assert_int_equal(facts_of(world.store, "chat").pending, 1);
    world_teardown(&world);
}

static void recovery_is_told_with_the_figure_now(void **state)
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    look_at(&world, NOW + MS_PER_HOUR, 0.017, TRUTH_FALSE);
    assert_false(state_of(&world, &alert));
    struct told told = told_by(&world);
    assert_int_equal(told.count, 2);
    assert_int_equal(told.events[1].type, EVENT_RESOLVED);
    assert_text(told.events[1].text, "Churn: resolved, back to 1.7 %, target 2 % (2026-10)");
    assert_true(str_equal(told.events[0].alert_id, told.events[1].alert_id));
    assert_string_not_equal(told.events[0].id, told.events[1].id);
    arena_fini(&told.arena);
    world_teardown(&world);
}

static void between_when_and_recover_it_keeps_firing(void **state)
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    world.rule.when = condition_of(&world, "value > 2%");
    world.rule.recover = condition_of(&world, "value < 1.8%");
    world.rule.has_recover = true;
    look_at(&world, NOW, 0.024, TRUTH_UNKNOWN);
    look_at(&world, NOW + 1, 0.019, TRUTH_UNKNOWN);
    assert_true(state_of(&world, &alert));
    look_at(&world, NOW + 2, 0.017, TRUTH_UNKNOWN);
    assert_false(state_of(&world, &alert));
    world_teardown(&world);
}

static void the_end_of_a_period_tells_its_closing_figure(void **state)
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    look_at(&world, NOW, 0.023, TRUTH_TRUE);
    look_at(&world, NOVEMBER, NAN, TRUTH_UNKNOWN); /* nothing came yet in November */
    assert_false(state_of(&world, &alert));
    struct told told = told_by(&world);
    assert_int_equal(told.count, 2);
    const struct event *ended = &told.events[1];
    assert_int_equal(ended->type, EVENT_ENDED);
    assert_text(ended->reason, "period_end");
    assert_text(ended->text,
                "Churn: 2026-10 ended at 2.4 %, target 2 %: so far missed, final at 00:05");
    assert_text(ended->period, "2026-10");
    assert_text(ended->status, "settling");
    assert_true(ended->has_value && fabs(ended->value - 2.4) < 1e-9);
    assert_true(str_equal(told.events[0].alert_id, ended->alert_id));
    arena_fini(&told.arena);
    world_teardown(&world);
}

static void a_closed_period_has_its_verdict(void **state)
{
    static const struct {
        wall_ms after;
        double last_value;
        enum kpi_status_code last_code;
        const char *text;
    } cases[] = {
        {10 * MS_PER_MINUTE, 0.024, KPI_MISSED,
         "Churn: 2026-10 ended at 2.4 %, target 2 %: missed"},
        {10 * MS_PER_MINUTE, 0.019, KPI_HIT, "Churn: 2026-10 ended at 1.9 %, target 2 %: hit"},
        {0, 0.019, KPI_SETTLING,
         "Churn: 2026-10 ended at 1.9 %, target 2 %: so far hit, final at 00:05"},
        {0, 0.024, KPI_INSUFFICIENT, "Churn: 2026-10 ended at 2.4 %, target 2 %: insufficient"},
        {0, NAN, KPI_NO_DATA, "Churn: 2026-10 ended, the alert had fired at 2.3 %, target 2 %"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct world world;
        world_setup(&world, state);
        look_at(&world, NOW, 0.023, TRUTH_TRUE);
        struct look look = {.world = &world,
                            .now = NOVEMBER + cases[i].after,
                            .value = NAN,
                            .last_value = cases[i].last_value,
                            .breached = TRUTH_UNKNOWN,
                            .last_code = cases[i].last_code};
        assert_true(write_in(world.store, run_look, &look));
        struct told told = told_by(&world);
        assert_int_equal(told.count, 2 * (i + 1));
        assert_text(told.events[told.count - 1].text, cases[i].text);
        arena_fini(&told.arena);
        world_teardown(&world);
    }
}

static void a_period_that_ends_while_kpid_is_down_is_named(void **state)
{
    struct world world;
    world_setup(&world, state);
    look_at(&world, NOW, 0.023, TRUTH_TRUE);
    look_at(&world, NOVEMBER + 40 * (wall_ms)MS_PER_DAY, 0.01, TRUTH_FALSE); /* in December */
    struct told told = told_by(&world);
    assert_int_equal(told.count, 2);
    assert_text(told.events[1].text,
                "Churn: 2026-10 ended, the alert had fired at 2.3 %, target 2 %");
    assert_false(told.events[1].has_value);
    arena_fini(&told.arena);
    world_teardown(&world);
}

static void the_new_period_is_judged_in_the_same_run(void **state)
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    look_at(&world, NOW, 0.023, TRUTH_TRUE);
    look_at(&world, NOVEMBER, 0.05, TRUTH_TRUE);
    assert_true(state_of(&world, &alert));
    assert_int_equal(alert.phase, ALERT_FIRING);
    assert_int_equal(alert.period_from, NOVEMBER);
    struct told told = told_by(&world);
    assert_int_equal(told.count, 3);
    assert_int_equal(told.events[1].type, EVENT_ENDED);
    assert_int_equal(told.events[2].type, EVENT_FIRING);
    assert_text(told.events[2].text, "Churn: 5 %, target 2 % (2026-11)");
    assert_text(told.events[2].alert_id, alert.alert_id);
    assert_false(str_equal(told.events[1].alert_id, told.events[2].alert_id));
    arena_fini(&told.arena);
    world_teardown(&world);
}

static void a_level_runs_through_the_turn(void **state)
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    world.kpi.formula.class = FIGURE_LEVEL;
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    look_at(&world, NOVEMBER, 0.024, TRUTH_TRUE);
    assert_true(state_of(&world, &alert));
    assert_int_equal(alert.since, NOW);
    assert_int_equal(facts_of(world.store, "chat").pending, 1);
    world_teardown(&world);
}

static void breached_on_a_closed_day_runs_through(void **state)
{
    struct world world;
    struct alert_state alert;
    const wall_ms monday = NOW;
    world_setup(&world, state);
    assert_true(unit_parse(STR(""), &world.kpi.unit));
    world.kpi.title = "Signups";
    world.kpi.formula.class = FIGURE_TOTAL;
    world.kpi.period = PERIOD_DAY;
    world.target = (struct target){
        .id = "churn-month", .kind = TARGET_AT_LEAST, .to = 100, .every = PERIOD_DAY};
    struct look look = {.world = &world,
                        .now = monday,
                        .value = 3,
                        .last_value = 83,
                        .breached = TRUTH_TRUE,
                        .last_code = KPI_MISSED};
    assert_true(write_in(world.store, run_look, &look));
    look.now = monday + MS_PER_DAY;
    look.last_value = 70;
    assert_true(write_in(world.store, run_look, &look));
    assert_true(state_of(&world, &alert));
    assert_int_equal(alert.since, monday);
    struct told told = told_by(&world);
    assert_int_equal(told.count, 1);
    assert_text(told.events[0].text, "Signups: 83, target 100 (2026-10-27)");
    assert_text(told.events[0].target_text, "at least 100");
    arena_fini(&told.arena);
    world_teardown(&world);
}

/* How a month's target stands is no matter of the day's figure. */
static void a_target_of_a_longer_period_runs_through_the_turn_of_the_kpis(void **state) /* ALR-6 */
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    world.kpi.period = PERIOD_DAY;
    world.rule.when = condition_of(&world, "status == behind");
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    look_at(&world, NOW + MS_PER_DAY, 0.024, TRUTH_TRUE);
    assert_true(state_of(&world, &alert));
    assert_int_equal(alert.since, NOW);
    assert_int_equal(alert.period_from, OCTOBER);
    look_at(&world, NOVEMBER, 0.024, TRUTH_TRUE);
    assert_true(state_of(&world, &alert));
    assert_int_equal(alert.period_from, NOVEMBER);

    struct told told = told_by(&world);
    assert_int_equal(told.count, 3);
    assert_text(told.events[0].period, "2026-10");
    assert_text(told.events[1].reason, "period_end");
    assert_text(told.events[1].period, "2026-10");
    assert_text(told.events[2].period, "2026-11");
    arena_fini(&told.arena);

    /* But a figure is the KPI's own. */
    world.rule.when = condition_of(&world, "value > 2%");
    look_at(&world, NOVEMBER + MS_PER_DAY, 0.024, TRUTH_TRUE);
    told = told_by(&world);
    assert_text(told.events[told.count - 1].period, "2026-11-02");
    arena_fini(&told.arena);
    world_teardown(&world);
}

static void a_template_gives_the_words(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"Churn {{value}} is above {{target}} ({{period}}), ask {{owner}}.",
         "Churn 2.4 % is above 2 % (2026-10), ask Chen."},
        {"{{severity}}: {{title}}\nis {{status}}, {{expected}}",
         "critical: Churn is behind, no value"},
        {"{{value}}, chance {{p_hit}}", "Churn: 2.4 %, target 2 % (2026-10)"}, /* not built */
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct world world;
        world_setup(&world, state);
        world.rule.text = cases[i].text;
        look_at(&world, NOW, 0.024, TRUTH_TRUE);
        look_at(&world, NOW + 1, 0.01, TRUTH_FALSE);
        struct told told = told_by(&world);
        assert_int_equal(told.count, 2 * (i + 1));
        assert_text(told.events[told.count - 2].text, cases[i].expected);
        assert_text(told.events[told.count - 1].text,
                    "Churn: resolved, back to 1 %, target 2 % (2026-10)");
        arena_fini(&told.arena);
        world_teardown(&world);
    }
}

static void for_is_counted_over_a_restart(void **state)
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    world.rule.for_ms = 2 * MS_PER_HOUR;
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    assert_true(state_of(&world, &alert));
    assert_int_equal(alert.phase, ALERT_PENDING);
    assert_int_equal(facts_of(world.store, "chat").pending, 0);
    fixture_close(world.store);
    fixture_open(world.store);
    look_at(&world, NOW + 3 * (wall_ms)MS_PER_HOUR, 0.024, TRUTH_TRUE);
    assert_int_equal(facts_of(world.store, "chat").pending, 1);
    struct told told = told_by(&world);
    assert_text(told.events[0].alert_id, alert.alert_id); /* one name from pending on */
    arena_fini(&told.arena);
    world_teardown(&world);
}

static void a_changed_rule_that_is_false_ends_its_alert(void **state)
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    world.rule.fingerprint = 8;
    world.target.to = 0.03;
    look_at(&world, NOW + 1, 0.024, TRUTH_FALSE);
    assert_false(state_of(&world, &alert));
    struct told told = told_by(&world);
    assert_text(told.events[1].reason, "rule_changed");
    assert_text(told.events[1].text,
                "Churn: ended, the rule was changed; now 2.4 %, target 3 % (2026-10)");
    arena_fini(&told.arena);
    world_teardown(&world);
}

static void what_no_rule_routes_goes_to_the_default_hooks(void **state)
{
    struct world world;
    world_setup(&world, state);
    world.rule.hook_count = 0;
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    assert_int_equal(facts_of(world.store, "office").pending, 1);
    assert_int_equal(facts_of(world.store, "chat").pending, 0);
    world_teardown(&world);
}

static void rules_that_cannot_be_judged_do_nothing(void **state)
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    world.rule.not_built = "no_data";
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    assert_false(state_of(&world, &alert));
    world.rule.not_built = NULL;
    world.target.retired = true; /* the evaluator gives it no status */
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    assert_false(state_of(&world, &alert));
    world.target.retired = false;
    struct kpi other = world.kpi;
    other.id = "mrr";
    world.rule.kpi = &other;
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    assert_false(state_of(&world, &alert));
    world_teardown(&world);
}

/* Around a reload one run may still come from the old configuration. */
static void a_status_of_another_configuration_is_passed_over(void **state) /* ALR-12 */
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    struct kpi fresh = world.kpi;
    world.rule.kpi = &fresh;
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    assert_false(state_of(&world, &alert));
    world.rule.kpi = &world.kpi;
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    assert_true(state_of(&world, &alert));
    world_teardown(&world);
}

static bool run_prune(struct write_txn *txn, void *arg, struct error *err)
{
    const struct world *world = arg;
    return alert_engine_prune(txn, &world->config, NOW + 5, err);
}

static void rules_that_are_gone_are_ended(void **state)
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    assert_true(write_in(world.store, run_prune, &world));
    assert_true(state_of(&world, &alert)); /* still there */

    world.rules.count = 0;
    assert_true(write_in(world.store, run_prune, &world));
    assert_false(state_of(&world, &alert));
    struct told told = told_by(&world);
    assert_int_equal(told.count, 2);
    assert_int_equal(told.events[1].type, EVENT_ENDED);
    assert_text(told.events[1].reason, "rule_changed");
    assert_text(told.events[1].rule, "churn-breach");
    assert_text(told.events[1].text,
                "churn-breach: ended, the rule was removed while it was firing");
    assert_true(str_equal(told.events[0].alert_id, told.events[1].alert_id));
    assert_int_equal(facts_of(world.store, "office").pending, 1);
    arena_fini(&told.arena);
    world_teardown(&world);
}

static void who_heard_of_the_beginning_hears_of_the_end(void **state) /* ALR-17 */
{
    static const struct hook HOOKS[] = {{.id = "chat"}, {.id = "office"}, {.id = "ops"}};
    static const char *const OPS[] = {"ops"};
    struct world world;
    world_setup(&world, state);
    world.hooks.hooks = HOOKS;
    world.hooks.count = 3;
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    world.rule.hooks = OPS;
    look_at(&world, NOW + 1, 0.019, TRUTH_FALSE);
    assert_int_equal(facts_of(world.store, "chat").pending, 2);
    assert_int_equal(facts_of(world.store, "ops").pending, 0);

    look_at(&world, NOW + 2, 0.024, TRUTH_TRUE);
    assert_int_equal(facts_of(world.store, "ops").pending, 1);
    world.rules.count = 0;
    assert_true(write_in(world.store, run_prune, &world));
    assert_int_equal(facts_of(world.store, "ops").pending, 2);
    assert_int_equal(facts_of(world.store, "office").pending, 0);

    /* A hook that is gone hears nothing: then the rule's own do. */
    world.rules.count = 1;
    look_at(&world, NOW + 3, 0.024, TRUTH_TRUE);
    assert_int_equal(facts_of(world.store, "ops").pending, 3);
    world.hooks.count = 2;
    world.rule.hooks = RULE_HOOKS;
    look_at(&world, NOW + 4, 0.019, TRUTH_FALSE);
    assert_int_equal(facts_of(world.store, "ops").pending, 3);
    assert_int_equal(facts_of(world.store, "chat").pending, 3);
    world_teardown(&world);
}

static void a_pending_rule_that_is_gone_is_silent(void **state)
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    world.rule.for_ms = MS_PER_HOUR;
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    assert_true(state_of(&world, &alert));
    world.target.retired = true;
    assert_true(write_in(world.store, run_prune, &world));
    assert_false(state_of(&world, &alert));
    struct told told = told_by(&world);
    assert_int_equal(told.count, 0);
    arena_fini(&told.arena);
    world_teardown(&world);
}

static bool put_garbage(struct write_txn *txn, void *arg, struct error *err)
{
    (void)arg;
    return record_put(txn, RECORD_ALERT_STATE, STR("churn-breach"), STR("garbage"), err);
}

static void a_state_that_cannot_be_read_counts_as_inactive(void **state)
{
    struct world world;
    struct alert_state alert;
    world_setup(&world, state);
    assert_true(write_in(world.store, put_garbage, NULL));
    assert_false(state_of(&world, &alert));
    look_at(&world, NOW, 0.024, TRUTH_TRUE);
    assert_true(state_of(&world, &alert));
    assert_int_equal(alert.phase, ALERT_FIRING);
    world_teardown(&world);
}

/* --- restated periods (FIG-30, ALR-17) --- */

struct restating {
    struct world *world;
    struct kpi_restatement restatement;
};

static bool run_restatement(struct write_txn *txn, void *arg, struct error *err)
{
    const struct restating *restating = arg;
    const struct coord_run run = {
        .restatements = &restating->restatement, .restatement_count = 1, .now = NOW};
    return alert_engine_apply(txn, &run, restating->world->engine, err);
}

static struct kpi_restatement restatement_of(struct world *world, enum kpi_status_code old,
                                             enum kpi_status_code new)
{
    struct period open = calendar_period(world->calendar, PERIOD_MONTH, NOW);
    return (struct kpi_restatement){.kpi = &world->kpi,
                                    .period = calendar_previous(world->calendar, &open),
                                    .at = NOW,
                                    .old_value = 0.019,
                                    .new_value = 0.024,
                                    .target = &world->target,
                                    .old_code = old,
                                    .new_code = new,
                                    .is_newest = true};
}

static void apply_restatement(struct world *world, struct kpi_restatement restatement)
{
    struct restating restating = {world, restatement};
    assert_true(write_in(world->store, run_restatement, &restating));
}

static void a_verdict_that_turns_is_told_to_the_hooks_of_the_rule(void **state)
{
    struct world world;
    world_setup(&world, state);
    apply_restatement(&world, restatement_of(&world, KPI_HIT, KPI_MISSED));
    assert_int_equal(facts_of(world.store, "chat").pending, 1);
    assert_int_equal(facts_of(world.store, "office").pending, 0);
    struct told told = told_by(&world);
    assert_int_equal(told.count, 1);
    const struct event *event = &told.events[0];
    assert_int_equal(event->type, EVENT_RESTATED);
    assert_int_equal(event->at, NOW);
    assert_text(event->text, "Churn: 2026-09 restated, 1.9 % is now 2.4 %, target 2 %: missed "
                             "instead of hit");
    assert_text(event->kpi, "churn");
    assert_text(event->rule, "");
    assert_text(event->severity, "warning");
    assert_text(event->status, "missed");
    assert_text(event->old_status, "hit");
    assert_text(event->value_text, "2.4 %");
    assert_text(event->old_value_text, "1.9 %");
    assert_text(event->period, "2026-09");
    assert_text(event->reason, "late_samples");
    assert_true(event->has_old_value && fabs(event->old_value - 1.9) < 1e-9);
    assert_true(event->has_value && fabs(event->value - 2.4) < 1e-9);
    arena_fini(&told.arena);
    world_teardown(&world);
}

static void all_other_restatements_are_history(void **state) /* ALR-9 */
{
    struct world world;
    world_setup(&world, state);
    struct kpi_restatement old_period = restatement_of(&world, KPI_HIT, KPI_MISSED);
    old_period.is_newest = false;
    apply_restatement(&world, old_period);
    apply_restatement(&world, restatement_of(&world, KPI_HIT, KPI_HIT));
    apply_restatement(&world, restatement_of(&world, KPI_NO_DATA, KPI_MISSED));
    struct kpi_restatement plain = restatement_of(&world, KPI_NO_TARGET, KPI_NO_TARGET);
    plain.target = NULL;
    plain.old_value = NAN;
    apply_restatement(&world, plain);
    struct target other = world.target; /* another one than the rule's */
    other.id = "churn-year";
    struct kpi_restatement of_other = restatement_of(&world, KPI_HIT, KPI_MISSED);
    of_other.target = &other;
    apply_restatement(&world, of_other);
    assert_int_equal(facts_of(world.store, "chat").pending, 0);
    assert_int_equal(facts_of(world.store, "office").pending, 0);
    struct told told = told_by(&world);
    assert_int_equal(told.count, 5);
    assert_text(told.events[1].text, "Churn: 2026-09 restated, 1.9 % is now 2.4 %, target 2 %");
    assert_text(told.events[3].text, "Churn: 2026-09 restated, no value is now 2.4 %");
    assert_text(told.events[1].severity, "info");
    assert_false(told.events[3].has_old_value);
    arena_fini(&told.arena);
    world_teardown(&world);
}

/* Around a reload the KPI may be the configuration's before. */
static void a_rule_is_found_by_the_name_of_its_kpi(void **state)
{
    struct world world;
    world_setup(&world, state);
    struct kpi before = world.kpi;
    struct kpi_restatement restatement = restatement_of(&world, KPI_MISSED, KPI_HIT);
    restatement.kpi = &before;
    apply_restatement(&world, restatement);
    assert_int_equal(facts_of(world.store, "chat").pending, 1);
    world.rule.not_built = "burn rates";
    apply_restatement(&world, restatement);
    assert_int_equal(facts_of(world.store, "chat").pending, 1);
    world_teardown(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_breach_stores_state_event_and_entry_together),
        STORE_TEST(a_transaction_that_fails_leaves_nothing),
        STORE_TEST(unknown_starts_and_ends_nothing),
        STORE_TEST(a_firing_alert_is_told_once),
        STORE_TEST(recovery_is_told_with_the_figure_now),
        STORE_TEST(between_when_and_recover_it_keeps_firing),
        STORE_TEST(the_end_of_a_period_tells_its_closing_figure),
        STORE_TEST(a_closed_period_has_its_verdict),
        STORE_TEST(a_period_that_ends_while_kpid_is_down_is_named),
        STORE_TEST(the_new_period_is_judged_in_the_same_run),
        STORE_TEST(a_level_runs_through_the_turn),
        STORE_TEST(breached_on_a_closed_day_runs_through),
        STORE_TEST(a_target_of_a_longer_period_runs_through_the_turn_of_the_kpis),
        STORE_TEST(a_template_gives_the_words),
        STORE_TEST(for_is_counted_over_a_restart),
        STORE_TEST(a_changed_rule_that_is_false_ends_its_alert),
        STORE_TEST(what_no_rule_routes_goes_to_the_default_hooks),
        STORE_TEST(rules_that_cannot_be_judged_do_nothing),
        STORE_TEST(a_status_of_another_configuration_is_passed_over),
        STORE_TEST(rules_that_are_gone_are_ended),
        STORE_TEST(who_heard_of_the_beginning_hears_of_the_end),
        STORE_TEST(a_pending_rule_that_is_gone_is_silent),
        STORE_TEST(a_state_that_cannot_be_read_counts_as_inactive),
        STORE_TEST(a_verdict_that_turns_is_told_to_the_hooks_of_the_rule),
        STORE_TEST(all_other_restatements_are_history),
        STORE_TEST(a_rule_is_found_by_the_name_of_its_kpi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
