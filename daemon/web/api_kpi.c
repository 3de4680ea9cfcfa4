/* GET /api/v1/status and /api/v1/kpis/ID: how the KPIs stand, computed now. */
#include <math.h>
#include <stdio.h>

#include "kpi/evaluator.h"
#include "web/web_private.h"

static const char *const NO_PARAMETERS[] = {NULL};

static const char *target_kind_name(enum target_kind kind)
{
    return kind == TARGET_AT_LEAST ? "at_least" : "at_most";
}

/* Continues the object that `json` has just closed. */
static void reopen_object(struct json *json)
{
    json->out->len--; /* its "}" */
    json->depth++;
    json->has_items |= UINT64_C(1) << json->depth;
}

static void shown_number(struct json *json, const char *name, const struct unit *unit, double value,
                         double near)
{
    char text[UNIT_TEXT_SIZE];
    json_field_text(json, name, isfinite(value) ? unit_format(unit, value, near, text) : NULL);
}

/* "shown": the same numbers and times as a person reads them (FIG-36), for tables. */
static void add_shown(struct json *json, const struct kpi_status *status)
{
    const struct unit *unit = &status->kpi->unit;
    const struct target_status *shown = status->shown;
    const struct calendar *calendar = status->kpi->calendar;
    wall_ms newest = status->figure.coverage.newest;
    char text[UNIT_TEXT_SIZE + 16];
    char number[UNIT_TEXT_SIZE];
    char as_of[CLOCK_TEXT_SIZE];

    json_key(json, "shown");
    json_open(json, '{');
    shown_number(json, "value", unit, status->figure.is_null ? NAN : status->figure.value,
                 shown == NULL ? NAN : shown->target->to);
    if (shown != NULL && shown->target->not_built == NULL) {
        (void)snprintf(text, sizeof text, "%s %s",
                       shown->target->kind == TARGET_AT_LEAST ? "at least" : "at most",
                       unit_format(unit, shown->target->to, NAN, number));
        json_field_text(json, "target", text);
        shown_number(json, "expected", unit, shown->expected, NAN);
    }
    shown_number(json, "last", unit, status->last_figure.is_null ? NAN : status->last_figure.value,
                 shown == NULL ? NAN : shown->target->to);
    json_field_text(json, "as_of",
                    newest == WALL_NONE ? NULL : calendar_format_short(calendar, newest, as_of));
    json_close(json, '}');
}

/* The object of "kpis" is left open, so that more can follow. */
static void write_status(struct json *json, const struct kpi_status *status)
{
    kpi_status_json(status, json);
    reopen_object(json);
    add_shown(json, status);
    json_field_text(
        json, "detail",
        status->figure.is_null && status->figure.detail[0] != '\0' ? status->figure.detail : NULL);
}

bool api_status(struct web *web, struct http_request *request, struct error *err)
{
    const struct kpi_set *kpis = web->config.kpis;
    struct answer answer;
    struct arena *arena = http_request_arena(request);

    if (!answer_begin(web, request, NO_PARAMETERS, &answer, err))
        return answer_drop(&answer);
    const struct kpi_inputs inputs = {answer.txn, answer.now, kpis->metrics};
    answer.json = json_to(&answer.body);
    json_open(&answer.json, '{');
    answer_time(&answer.json, "data_as_of", web->config.calendar, query_newest(answer.txn));
    json_field_text(&answer.json, "timezone", calendar_zone(web->config.calendar));
    json_key(&answer.json, "kpis");
    json_open(&answer.json, '[');
    for (size_t i = 0; i < kpis->count; i++) {
        struct kpi_status status;
        if (!read_txn_refresh(answer.txn, err) ||
            !kpi_evaluate(&kpis->kpis[i], &inputs, arena, &status, err))
            return answer_drop(&answer);
        write_status(&answer.json, &status);
        json_close(&answer.json, '}');
    }
    json_close(&answer.json, ']');
    answer_certificates(&answer.json, web, answer.now);
    json_close(&answer.json, '}');
    return answer_send(request, &answer);
}

static bool find_kpi(const struct web *web, struct http_request *request, const struct kpi **out,
                     struct error *err)
{
    const struct kpi_set *kpis = web->config.kpis;
    struct str id = http_request_parameter(request);
    char quoted[STR_QUOTED_SIZE];

    *out = kpi_find(kpis, id);
    if (*out != NULL)
        return true;
    const char **ids = arena_array(http_request_arena(request), kpis->count + 1, sizeof *ids);
    for (size_t i = 0; i < kpis->count; i++)
        ids[i] = kpis->kpis[i].id;
    const char *near = str_nearest(id, ids, kpis->count);
    (void)error_set(err, ERROR_NOT_FOUND, "no such KPI: '%s'", str_quoted(id, quoted));
    return near == NULL ? false : error_hint(err, "did you mean '%s'?", near);
}

static void write_targets(struct json *json, const struct kpi_status *status)
{
    const struct unit *unit = &status->kpi->unit;
    char text[UNIT_TEXT_SIZE];

    json_key(json, "targets");
    json_open(json, '[');
    for (size_t i = 0; i < status->target_count; i++) {
        const struct target_status *target = &status->targets[i];
        json_open(json, '{');
        json_field_text(json, "id", target->target->id);
        json_field_text(json, "kind", target_kind_name(target->target->kind));
        json_field_number(json, "to", unit_shown(unit, target->target->to));
        json_field_text(json, "shown", unit_format(unit, target->target->to, NAN, text));
        json_field_text(json, "every", period_kind_name(target->target->every));
        json_field_text(json, "status", kpi_status_name(target->code));
        json_field_number(json, "expected", unit_shown(unit, target->expected));
        json_field_number(json, "pace", target->pace);
        json_key(json, "breached");
        if (target->breached == TRUTH_UNKNOWN)
            json_put_null(json);
        else
            json_bool(json, target->breached == TRUTH_TRUE);
        json_field_text(json, "not_built", target->target->not_built);
        json_close(json, '}');
    }
    json_close(json, ']');
}

/* The stored mark of the schedule that evaluates the KPI. */
static void write_mark(struct json *json, struct read_txn *txn, const struct kpi *kpi)
{
    wall_ms last = WALL_NONE;
    wall_ms next = WALL_NONE;

    if (kpi->schedule == NULL || !evaluator_mark(txn, str_of(kpi->schedule), &last, &next))
        return;
    json_key(json, "evaluate");
    json_open(json, '{');
    json_field_text(json, "schedule", kpi->schedule);
    answer_time(json, "last_run", kpi->calendar, last);
    answer_time(json, "next_run", kpi->calendar, next);
    json_close(json, '}');
}

bool api_kpi(struct web *web, struct http_request *request, struct error *err)
{
    const struct kpi *kpi = NULL;
    struct answer answer;
    struct kpi_status status;

    if (!find_kpi(web, request, &kpi, err))
        return false;
    if (!answer_begin(web, request, NO_PARAMETERS, &answer, err))
        return answer_drop(&answer);
    const struct kpi_inputs inputs = {answer.txn, answer.now, web->config.kpis->metrics};
    if (!kpi_evaluate(kpi, &inputs, http_request_arena(request), &status, err))
        return answer_drop(&answer);

    struct json *json = &answer.json;
    *json = json_to(&answer.body);
    write_status(json, &status);
    json_field_text(json, "formula", kpi->formula.text);
    json_field_text(json, "define", kpi->define);
    json_field_text(json, "why", kpi->why);
    json_field_text(json, "owner", kpi->owner);
    json_field_text(json, "timezone", calendar_zone(kpi->calendar));
    write_mark(json, answer.txn, kpi);
    write_targets(json, &status);
    answer_coverage(json, kpi->calendar, &status.figure.coverage);
    json_close(json, '}');
    return answer_send(request, &answer);
}
