/* GET /api/v1/alerts and /api/v1/hooks: what fires, and what is delivered. */
#include <math.h>
#include <string.h>

#include "alert/alert_state.h"
#include "alert/outbox.h"
#include "web/web_private.h"

/* The same as a person reads it, for tables. */
static void write_shown(struct json *json, const struct rule *rule, const struct alert_state *state)
{
    const struct kpi *kpi = rule->kpi;
    double near = rule->target == NULL ? NAN : rule->target->to;
    bool has_value = state->phase != ALERT_INACTIVE && isfinite(state->value);
    char value[UNIT_TEXT_SIZE];
    char since[CLOCK_TEXT_SIZE];

    json_key(json, "shown");
    json_open(json, '{');
    json_field_text(json, "value",
                    has_value ? unit_format(&kpi->unit, state->value, near, value) : NULL);
    json_field_text(json, "since",
                    state->since == WALL_NONE
                        ? NULL
                        : calendar_format_short(kpi->calendar, state->since, since));
    json_close(json, '}');
}

static void write_alert(struct json *json, const struct rule *rule, const struct alert_state *state)
{
    const struct kpi *kpi = rule->kpi;

    json_open(json, '{');
    json_field_text(json, "rule", rule->id);
    json_key(json, "by");
    json_open(json, '{');
    json_close(json, '}');
    json_field_text(json, "state", alert_phase_name(state->phase));
    answer_time(json, "since", kpi->calendar, state->since);
    json_field_number(json, "value",
                      state->phase == ALERT_INACTIVE ? NAN : unit_shown(&kpi->unit, state->value));
    json_field_text(json, "unit", kpi->unit.name[0] == '\0' ? NULL : kpi->unit.name);
    json_field_text(json, "severity", severity_name(rule->severity));
    json_field_text(json, "kpi", kpi->id);
    write_shown(json, rule, state);
    if (rule->not_built != NULL)
        json_field_text(json, "not_built", rule->not_built);
    json_close(json, '}');
}

bool api_alerts(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {"all", NULL};
    const struct rule_set *rules = web->config.rules;
    struct answer answer;

    if (!answer_begin(web, request, known, &answer, err))
        return answer_drop(&answer);
    const char *all_text = http_request_query(request, "all");
    bool all = all_text != NULL && strcmp(all_text, "1") == 0;
    if (all_text != NULL && !all) {
        (void)error_set(err, ERROR_INVALID, "parameter 'all' is not 1");
        return answer_drop(&answer);
    }
    answer.json = json_to(&answer.body);
    json_open(&answer.json, '{');
    json_key(&answer.json, "alerts");
    json_open(&answer.json, '[');
    for (size_t i = 0; i < rules->count; i++) {
        struct alert_state state = ALERT_STATE_EMPTY;
        if (!alert_engine_state(answer.txn, str_of(rules->rules[i].id), &state))
            state = (struct alert_state)ALERT_STATE_EMPTY;
        if (all || state.phase != ALERT_INACTIVE)
            write_alert(&answer.json, &rules->rules[i], &state);
    }
    json_close(&answer.json, ']');
    json_close(&answer.json, '}');
    return answer_send(request, &answer);
}

static void write_hook(struct json *json, struct read_txn *txn, const struct hook *hook)
{
    struct outbox_facts facts;

    outbox_facts(txn, str_of(hook->id), &facts);
    json_open(json, '{');
    json_field_text(json, "name", hook->id);
    json_field_text(json, "type", hook->kind->name);
    json_field_u64(json, "pending", facts.pending);
    json_field_u64(json, "sent", facts.sent);
    json_field_u64(json, "dead", facts.dead);
    json_field_text(json, "last_error", facts.last_error[0] == '\0' ? NULL : facts.last_error);
    json_close(json, '}');
}

bool api_hooks(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {NULL};
    const struct hook_set *hooks = web->config.hooks;
    struct answer answer;

    if (!answer_begin(web, request, known, &answer, err))
        return answer_drop(&answer);
    answer.json = json_to(&answer.body);
    json_open(&answer.json, '{');
    json_key(&answer.json, "hooks");
    json_open(&answer.json, '[');
    for (size_t i = 0; i < hooks->count; i++)
        write_hook(&answer.json, answer.txn, &hooks->hooks[i]);
    json_close(&answer.json, ']');
    json_close(&answer.json, '}');
    return answer_send(request, &answer);
}
