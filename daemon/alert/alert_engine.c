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

/* By id, as a status may come from the evaluator's newer copy of the same configuration. */
static const struct target_status *find_target(const struct kpi_status *status,
                                               const struct target *target)
{
    for (size_t i = 0; target != NULL && i < status->target_count; i++) {
        if (strcmp(status->targets[i].target->id, target->id) == 0)
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

static struct judgement judge(const struct rule *rule, const struct kpi_status *status, wall_ms now)
{
    const struct target_status *target = find_target(status, rule->target);
    bool by_target = target != NULL && condition_is_breached(&rule->when);
    struct judgement out = {.rule = rule,
                            .status = status,
                            .target = target,
                            .period = by_target ? target->judged : status->period,
                            .figure = by_target ? &target->judged_figure : &status->figure};

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

static bool tell(const struct alert_config *config, struct write_txn *txn, enum alert_change change,
                 const struct judgement *judgement, const struct alert_state *about,
                 struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct event event;
    const struct rule *rule = judgement->rule;
    const struct hook_set *hooks = config->hooks;

    struct event_source source = {.rule = rule,
                                  .status = judgement->status,
                                  .target = judgement->target,
                                  .before = about,
                                  .period = judgement->period,
                                  .figure = judgement->figure,
                                  .now = judgement->input.now};
    event_describe(change, &source, &arena, &event);
    bool routed = rule->hook_count > 0;
    bool ok =
        outbox_push(txn, &event, routed ? rule->hooks : hooks->defaults,
                    routed ? rule->hook_count : hooks->default_count, judgement->input.now, err);
    arena_fini(&arena);
    return ok;
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
static bool apply_rule(struct alert_engine *engine, struct write_txn *txn, size_t at,
                       const struct kpi_status *status, wall_ms now, struct error *err)
{
    const struct rule *rule = &engine->config.rules->rules[at];
    struct str id = str_of(rule->id);
    struct alert_state state = load_state(write_txn_reader(txn), id);
    struct judgement judgement = judge(rule, status, now);
    enum alert_change change = ALERT_ENDED_PERIOD;
    bool changed = false;

    for (int round = 0; round < 2 && change == ALERT_ENDED_PERIOD; round++) {
        struct alert_state next;

        change = alert_state_next(&state, &judgement.input, &next);
        if (change == ALERT_NO_CHANGE)
            break;
        if (next.phase != ALERT_INACTIVE && next.alert_id[0] == '\0')
            event_new_id(next.alert_id);
        if (is_told(change) && !tell(&engine->config, txn, change, &judgement,
                                     change == ALERT_FIRED ? &next : &state, err))
            return false;
        if (change == ALERT_FIRED)
            count_fired(engine, at, now);
        state = next;
        changed = true;
    }
    return !changed || store_state(txn, id, &state, err);
}

bool alert_engine_apply(struct write_txn *txn, const struct kpi_status *statuses, size_t count,
                        wall_ms now, void *arg, struct error *err)
{
    struct alert_engine *engine = arg;
    const struct rule_set *rules = engine->config.rules;

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < rules->count; j++) {
            const struct rule *rule = &rules->rules[j];
            if (rule->not_built != NULL || strcmp(rule->kpi->id, statuses[i].kpi->id) != 0)
                continue;
            if (!apply_rule(engine, txn, j, &statuses[i], now, err))
                return false;
        }
    }
    return true;
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
    scan->gone =
        arena_grow(scan->arena, scan->gone, scan->count, &scan->capacity, sizeof *scan->gone);
    scan->gone[scan->count++] = (struct gone_rule){arena_str(scan->arena, key), state};
    return true;
}

static bool tell_gone(struct write_txn *txn, const struct hook_set *hooks,
                      const struct gone_rule *gone, wall_ms now, struct error *err)
{
    char text[600];

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
    return outbox_push(txn, &event, hooks->defaults, hooks->default_count, now, err);
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
            ok = tell_gone(txn, config->hooks, gone, now, err);
        ok = ok && record_remove(txn, RECORD_ALERT_STATE, gone->id, err);
    }
    arena_fini(&arena);
    return ok;
}
