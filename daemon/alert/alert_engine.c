#include "alert/alert_engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alert/event_text.h"
#include "alert/outbox.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/memory.h"
#include "kpi/target.h"

struct alert_engine {
    struct alert_config config;
    wall_ms *counted_at; /* for each rule: the firing that the counter has; a transaction that is
                            tried again must not count twice */
};

void alert_engine_set_config(struct alert_engine *engine, const struct alert_config *config)
{
    free(engine->counted_at);
    engine->config = *config;
    engine->counted_at = memory_zero(config->rules->count + 1, sizeof *engine->counted_at);
    for (size_t i = 0; i < config->rules->count; i++)
        engine->counted_at[i] = WALL_NONE;
}

struct alert_engine *alert_engine_new(const struct alert_config *config)
{
    struct alert_engine *engine = memory_zero(1, sizeof *engine);
    alert_engine_set_config(engine, config);
    return engine;
}

void alert_engine_free(struct alert_engine *engine)
{
    if (engine == NULL)
        return;
    free(engine->counted_at);
    free(engine);
}

/* --- stored states ------------------------------------------------------------------------------
 */

static struct alert_state load_state(struct read_txn *txn, struct str rule)
{
    struct alert_state state = ALERT_STATE_EMPTY;
    struct str value;

    if (!record_get(txn, RECORD_ALERT_STATE, rule, &value))
        return state;
    if (!alert_state_decode(value, &state))
        log_error("alert_state_unreadable", "rule=%.*s hint=\"it counts as inactive\"",
                  STR_ARGS(rule));
    return state;
}

static bool store_state(struct write_txn *txn, struct str rule, const struct alert_state *state,
                        struct error *err)
{
    struct buf value = BUF_EMPTY;

    if (state->phase == ALERT_INACTIVE)
        return record_remove(txn, RECORD_ALERT_STATE, rule, err);
    alert_state_encode(state, &value);
    bool ok = record_put(txn, RECORD_ALERT_STATE, rule, buf_view(&value), err);
    buf_fini(&value);
    return ok;
}

bool alert_engine_state(struct read_txn *txn, struct str rule, struct alert_state *out)
{
    *out = load_state(txn, rule);
    return out->phase != ALERT_INACTIVE;
}

/* --- what a rule sees ---------------------------------------------------------------------------
 */

static const struct target_status *find_target(const struct kpi_status *status,
                                               const struct target *target)
{
    for (size_t i = 0; target != NULL && i < status->target_count; i++) {
        if (status->targets[i].target == target)
            return &status->targets[i];
    }
    return NULL;
}

static enum truth opposite(enum truth truth)
{
    if (truth == TRUTH_UNKNOWN)
        return TRUTH_UNKNOWN;
    return truth == TRUTH_TRUE ? TRUTH_FALSE : TRUTH_TRUE;
}

/* `breached` of an at_least total over a day or less speaks of the last closed period, and so runs
 * through the turn of the open one (ALR-2, ALR-6). */
static bool runs_through(const struct rule *rule, const struct kpi_status *status,
                         const struct target_status *target)
{
    return target != NULL && condition_is_breached(&rule->when) &&
           target_waits_for_end(status->kpi, target->target);
}

/* One rule and what it is judged by. */
struct judgement {
    const struct rule *rule;
    const struct kpi_status *status;
    const struct target_status *target; /* NULL without */
    struct period period;               /* the judged one */
    const struct figure *figure;        /* over it */
    struct alert_input input;
};

/* `breached` names its period; how a target stands is told over the target's own period, and the
 * figure over the KPI's. */
static void choose_period(struct judgement *judgement)
{
    const struct target_status *target = judgement->target;
    const struct condition *when = &judgement->rule->when;

    judgement->period = judgement->status->period;
    judgement->figure = &judgement->status->figure;
    if (target != NULL && condition_is_breached(when)) {
        judgement->period = target->judged;
        judgement->figure = &target->judged_figure;
    } else if (target != NULL && !condition_reads_value(when)) {
        judgement->period = target->open;
        judgement->figure = &target->open_figure;
    }
}

static struct judgement judge(const struct rule *rule, const struct kpi_status *status, wall_ms now)
{
    const struct target_status *target = find_target(status, rule->target);
    struct judgement out = {.rule = rule, .status = status, .target = target};

    choose_period(&out);
    out.input = (struct alert_input){
        .when = TRUTH_UNKNOWN,
        .recover = TRUTH_UNKNOWN,
        .restarts = status->restarts && !runs_through(rule, status, target),
        .period_from = out.period.from,
        .value = out.figure->is_null ? NAN : out.figure->value,
        .for_ms = rule->for_ms,
        .hold_ms = rule->hold_ms,
        .fingerprint = rule->fingerprint,
        .now = now,
    };
    if (rule->target != NULL && target == NULL)
        return out; /* a target without a status judges nothing */
    out.input.when = condition_judge(&rule->when, status, target);
    out.input.recover = rule->has_recover ? condition_judge(&rule->recover, status, target)
                                          : opposite(out.input.when);
    return out;
}

/* --- transitions --------------------------------------------------------------------------------
 */

static bool is_told(enum alert_change change)
{
    return change != ALERT_NO_CHANGE && change != ALERT_STATE_CHANGED;
}

/* Who is told of a change. */
struct audience {
    const char *const *hooks;
    size_t count;
};

/* The rule's hooks, else the default ones (ALR-17). */
static struct audience audience_of(const struct rule *rule, const struct hook_set *hooks)
{
    if (rule != NULL && rule->hook_count > 0)
        return (struct audience){rule->hooks, rule->hook_count};
    return (struct audience){hooks->defaults, hooks->default_count};
}

/* The hooks that were told of the firing, those that are still there; `otherwise` if none is. */
static struct audience told_before(const struct alert_state *state, const struct hook_set *hooks,
                                   struct audience otherwise, struct arena *arena)
{
    struct str rest = state->hooks;
    size_t lines = 0;

    for (size_t i = 0; i < rest.len; i++)
        lines += rest.text[i] == '\n';
    const char **ids = arena_array(arena, lines + 1, sizeof *ids);
    struct audience out = {ids, 0};
    while (rest.len > 0) {
        const struct hook *hook = hook_find(hooks, str_split(&rest, '\n'));
        if (hook != NULL)
            ids[out.count++] = hook->id;
    }
    return out.count > 0 ? out : otherwise;
}

static struct str hook_lines(struct audience audience, struct arena *arena)
{
    struct buf lines = BUF_EMPTY;

    for (size_t i = 0; i < audience.count; i++)
        buf_printf(&lines, "%s\n", audience.hooks[i]);
    struct str copy = arena_str(arena, buf_view(&lines));
    buf_fini(&lines);
    return copy;
}

/* A change of the state of one rule. */
struct transition {
    const struct alert_config *config;
    const struct judgement *judgement;
    struct alert_state before;
    struct alert_state next;
    enum alert_change change;
};

static bool tell(struct write_txn *txn, struct transition *transition, struct arena *arena,
                 struct error *err)
{
    struct event event;
    bool begins = transition->change == ALERT_FIRED;
    const struct judgement *judgement = transition->judgement;
    const struct hook_set *hooks = transition->config->hooks;
    struct audience audience = audience_of(judgement->rule, hooks);
    struct event_source source = {.rule = judgement->rule,
                                  .status = judgement->status,
                                  .target = judgement->target,
                                  .before = begins ? &transition->next : &transition->before,
                                  .period = judgement->period,
                                  .figure = judgement->figure,
                                  .now = judgement->input.now};

    if (begins)
        transition->next.hooks = hook_lines(audience, arena);
    else
        audience = told_before(&transition->before, hooks, audience, arena);
    event_describe(transition->change, &source, arena, &event);
    return outbox_push(txn, &event, audience.hooks, audience.count, judgement->input.now, err);
}

static void count_fired(struct alert_engine *engine, size_t rule, wall_ms now)
{
    if (engine->counted_at[rule] == now)
        return;
    engine->counted_at[rule] = now;
    COUNTER_ADD(alerts_fired, 1);
}

/* The turn of a period ends an alert, and the new period is judged in the same run: hence a second
 * round, which cannot end in the same way again. */
static bool step(struct alert_engine *engine, struct write_txn *txn, size_t at,
                 const struct judgement *judgement, struct arena *arena, struct error *err)
{
    struct str id = str_of(judgement->rule->id);
    struct transition transition = {.config = &engine->config,
                                    .judgement = judgement,
                                    .before = load_state(write_txn_reader(txn), id),
                                    .change = ALERT_ENDED_PERIOD};
    bool changed = false;

    /* Writing moves what was read. */
    transition.before.hooks = arena_str(arena, transition.before.hooks);
    for (int round = 0; round < 2 && transition.change == ALERT_ENDED_PERIOD; round++) {
        struct alert_state *next = &transition.next;

        transition.change = alert_state_next(&transition.before, &judgement->input, next);
        if (transition.change == ALERT_NO_CHANGE)
            break;
        if (next->phase != ALERT_INACTIVE && next->alert_id[0] == '\0')
            event_new_id(next->alert_id);
        if (is_told(transition.change) && !tell(txn, &transition, arena, err))
            return false;
        if (transition.change == ALERT_FIRED)
            count_fired(engine, at, judgement->input.now);
        transition.before = *next;
        changed = true;
    }
    return !changed || store_state(txn, id, &transition.before, err);
}

/* Statuses of another configuration than the rules' are passed over: around a reload one run may
 * still come from the old one, and the new one is evaluated at once. */
static bool is_about(const struct rule *rule, const struct kpi_status *status)
{
    return rule->not_built == NULL && rule->kpi == status->kpi;
}

/* --- restated periods ---------------------------------------------------------------------------
 */

static bool is_verdict(enum kpi_status_code code)
{
    return code == KPI_HIT || code == KPI_PARTIAL || code == KPI_MISSED;
}

/* Whether people are told, and not only the history (ALR-17, ALR-9). */
static bool turns_verdict(const struct kpi_restatement *restatement)
{
    return restatement->is_newest && restatement->old_code != restatement->new_code &&
           is_verdict(restatement->old_code) && is_verdict(restatement->new_code);
}

/* By their ids: around a reload the run may still be of the configuration before. */
static bool is_of(const struct rule *rule, const struct kpi_restatement *restatement)
{
    return rule->not_built == NULL && strcmp(rule->kpi->id, restatement->kpi->id) == 0 &&
           (rule->target == NULL || restatement->target == NULL ||
            strcmp(rule->target->id, restatement->target->id) == 0);
}

static bool restate(struct write_txn *txn, const struct alert_config *config,
                    const struct kpi_restatement *restatement, struct arena *arena,
                    struct error *err)
{
    const struct rule_set *rules = config->rules;
    struct event event;
    const char **hooks = NULL;
    size_t count = 0;
    size_t capacity = 0;

    for (size_t i = 0; turns_verdict(restatement) && i < rules->count; i++) {
        if (!is_of(&rules->rules[i], restatement))
            continue;
        struct audience audience = audience_of(&rules->rules[i], config->hooks);
        for (size_t j = 0; j < audience.count; j++) {
            hooks = arena_grow(arena, hooks, count, &capacity, sizeof *hooks);
            hooks[count++] = audience.hooks[j];
        }
    }
    event_restated(restatement, arena, &event);
    return outbox_push(txn, &event, hooks, count, restatement->at, err);
}

bool alert_engine_apply(struct write_txn *txn, const struct coord_run *run, void *arg,
                        struct error *err)
{
    struct alert_engine *engine = arg;
    const struct rule_set *rules = engine->config.rules;
    struct arena arena = ARENA_EMPTY;
    bool ok = true;

    for (size_t i = 0; ok && i < run->count; i++) {
        for (size_t j = 0; ok && j < rules->count; j++) {
            if (!is_about(&rules->rules[j], &run->statuses[i]))
                continue;
            struct judgement judgement = judge(&rules->rules[j], &run->statuses[i], run->now);
            ok = step(engine, txn, j, &judgement, &arena, err);
        }
    }
    for (size_t i = 0; ok && i < run->restatement_count; i++)
        ok = restate(txn, &engine->config, &run->restatements[i], &arena, err);
    arena_fini(&arena);
    return ok;
}

/* --- rules that are gone ------------------------------------------------------------------------
 */

static bool is_alive(const struct rule_set *rules, struct str id)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->rules[i];
        if (str_is(id, rule->id))
            return rule->not_built == NULL && rule->kpi->state != KPI_STATE_RETIRED &&
                   (rule->target == NULL || !rule->target->retired);
    }
    return false;
}

struct gone_rule {
    struct str id;
    struct alert_state state;
};

/* The states that no rule stands behind, copied, as they are removed afterwards. */
struct gone_scan {
    const struct rule_set *rules;
    struct arena *arena;
    struct gone_rule *gone;
    size_t count;
    size_t capacity;
};

static bool visit_state(struct str key, struct str value, void *arg)
{
    struct gone_scan *scan = arg;
    struct alert_state state = ALERT_STATE_EMPTY;

    if (is_alive(scan->rules, key))
        return true;
    (void)alert_state_decode(value, &state); /* one that cannot be read is removed silently */
    state.hooks = arena_str(scan->arena, state.hooks);
    scan->gone =
        arena_grow(scan->arena, scan->gone, scan->count, &scan->capacity, sizeof *scan->gone);
    scan->gone[scan->count++] = (struct gone_rule){arena_str(scan->arena, key), state};
    return true;
}

static bool tell_gone(struct write_txn *txn, const struct hook_set *hooks,
                      const struct gone_rule *gone, struct arena *arena, wall_ms now,
                      struct error *err)
{
    char text[600];
    struct audience audience = told_before(&gone->state, hooks, audience_of(NULL, hooks), arena);

    (void)snprintf(text, sizeof text, "%.*s: ended, the rule was removed while it was firing",
                   STR_ARGS(gone->id));
    struct event event = {.type = EVENT_ENDED,
                          .at = now,
                          .alert_id = str_of(gone->state.alert_id),
                          .rule = gone->id,
                          .title = gone->id,
                          .severity = str_of(severity_name(SEVERITY_INFO)),
                          .reason = STR("rule_changed"),
                          .text = str_of(text)};
    return outbox_push(txn, &event, audience.hooks, audience.count, now, err);
}

bool alert_engine_prune(struct write_txn *txn, const struct alert_config *config, wall_ms now,
                        struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct gone_scan scan = {.rules = config->rules, .arena = &arena};
    bool ok = true;

    record_scan(write_txn_reader(txn), RECORD_ALERT_STATE, STR_EMPTY, visit_state, &scan);
    for (size_t i = 0; ok && i < scan.count; i++) {
        const struct gone_rule *gone = &scan.gone[i];
        if (gone->state.phase == ALERT_FIRING)
            ok = tell_gone(txn, config->hooks, gone, &arena, now, err);
        ok = ok && record_remove(txn, RECORD_ALERT_STATE, gone->id, err);
    }
    arena_fini(&arena);
    return ok;
}
