/* GET /api/v1/query: a formula over a range, in one point or one for each step. */
#include <math.h>
#include <string.h>

#include "kpi/evaluator.h"
#include "web/web_private.h"

enum {
    EXPRESSION_MAX = 4096,
    POINTS_MAX = 10000,
};

/* A step is a civil period, a number of civil days, or a length of time. */
enum step_kind { STEP_WHOLE, STEP_PERIOD, STEP_DAYS, STEP_SPAN };

struct query_request {
    struct formula formula;
    const struct calendar *calendar;
    struct calendar *owned; /* the calendar of `tz`; NULL without */
    wall_ms from;           /* whole minutes */
    wall_ms to;
    enum step_kind step;
    enum period_kind period;
    int days;
    span_ms span;
};

static bool read_expression(const struct web *web, struct http_request *request,
                            struct query_request *out, struct error *err)
{
    const char *text = http_request_query(request, "expr");

    if (text == NULL || text[0] == '\0') {
        (void)error_set(err, ERROR_INVALID, "there is no 'expr'");
        return error_hint(err, "as expr=sum(signup)");
    }
    if (strlen(text) > EXPRESSION_MAX)
        return error_set(err, ERROR_INVALID, "an expression has at most %d bytes", EXPRESSION_MAX);
    if (!formula_parse(str_of(text), web->config.kpis->metrics, http_request_arena(request),
                       &out->formula, err)) {
        err->kind = ERROR_INVALID;
        return false;
    }
    if (out->formula.not_built != NULL)
        return error_set(err, ERROR_INVALID, "not built yet: %s", out->formula.not_built);
    return true;
}

static bool read_zone(const struct web *web, struct http_request *request,
                      struct query_request *out, struct error *err)
{
    const char *zone = http_request_query(request, "tz");

    out->calendar = web->config.calendar;
    if (zone == NULL)
        return true;
    out->owned = calendar_new(str_of(zone), calendar_week_start(web->config.calendar), err);
    if (out->owned == NULL) {
        err->kind = ERROR_INVALID;
        return false;
    }
    out->calendar = out->owned;
    return true;
}

static bool read_instant(const struct query_request *query, struct http_request *request,
                         const char *name, bool as_end, wall_ms *out, struct error *err)
{
    const char *text = http_request_query(request, name);
    char quoted[STR_QUOTED_SIZE];

    if (text == NULL)
        return true;
    if (calendar_parse(query->calendar, str_of(text), as_end, out)) /* FIG-2 */
        return true;
    (void)error_set(err, ERROR_INVALID, "'%s' is not a time: '%s'", name,
                    str_quoted(str_of(text), quoted));
    return error_hint(err, "as 2026-10-12, 2026-10-12T09:00 or 2026-10-12T09:00:00+02:00");
}

static wall_ms minute_floor(wall_ms at)
{
    wall_ms rest = at % MS_PER_MINUTE;
    return at - (rest < 0 ? rest + MS_PER_MINUTE : rest);
}

/* Without them: today until now. Cells are whole minutes, and so are the ends. */
static bool read_range(struct http_request *request, wall_ms now, struct query_request *out,
                       struct error *err)
{
    out->from = calendar_period(out->calendar, PERIOD_DAY, now).from;
    out->to = now;
    if (!read_instant(out, request, "from", false, &out->from, err) ||
        !read_instant(out, request, "to", true, &out->to, err))
        return false;
    out->from = minute_floor(out->from);
    out->to = minute_floor(out->to + MS_PER_MINUTE - 1);
    if (out->from >= out->to)
        return error_set(err, ERROR_INVALID, "the range is empty: 'from' is not before 'to'");
    return true;
}

static bool read_step(struct http_request *request, struct query_request *out, struct error *err)
{
    const char *text = http_request_query(request, "step");
    char quoted[STR_QUOTED_SIZE];

    if (text == NULL)
        return true;
    out->step = STEP_PERIOD;
    if (period_kind_parse(str_of(text), &out->period))
        return true;
    if (!str_parse_span(str_of(text), &out->span) || out->span < MS_PER_MINUTE ||
        out->span % MS_PER_MINUTE != 0) {
        (void)error_set(err, ERROR_INVALID, "'step' is not a number of whole minutes: '%s'",
                        str_quoted(str_of(text), quoted));
        return error_hint(err, "as 15m, 1h, 1d, day, week, month");
    }
    int64_t days = out->span / MS_PER_DAY;
    if (out->span == MS_PER_DAY)
        out->period = PERIOD_DAY;
    else if (out->span == 7 * (span_ms)MS_PER_DAY)
        out->period = PERIOD_WEEK;
    else if (out->span == MS_PER_HOUR)
        out->period = PERIOD_HOUR;
    else if (out->span % MS_PER_DAY == 0 && days <= INT16_MAX) {
        out->step = STEP_DAYS;
        out->days = (int)days;
    } else {
        out->step = STEP_SPAN;
    }
    return true;
}

/* The end of the step that starts at `from`. */
static wall_ms step_end(const struct query_request *query, wall_ms from)
{
    wall_ms end = query->to;

    switch (query->step) {
    case STEP_WHOLE:
        break;
    case STEP_PERIOD:
        end = calendar_period(query->calendar, query->period, from).to;
        break;
    case STEP_DAYS:
        end = calendar_add_days(query->calendar, from, query->days);
        break;
    case STEP_SPAN:
        end = from + query->span;
        break;
    }
    return end < query->to && end > from ? end : query->to;
}

static void write_point(struct json *json, const struct query_request *query, wall_ms from,
                        wall_ms to, const struct figure *figure)
{
    char shown[UNIT_TEXT_SIZE];

    json_open(json, '{');
    answer_time(json, "from", query->calendar, from);
    answer_time(json, "to", query->calendar, to);
    json_field_number(json, "value",
                      figure->is_null ? NAN : unit_shown(&query->formula.unit, figure->value));
    if (figure->is_null) {
        json_field_text(json, "null_reason", null_reason_name(figure->reason));
        json_field_text(json, "detail", figure->detail[0] == '\0' ? NULL : figure->detail);
    } else {
        json_field_text(json, "shown",
                        unit_format(&query->formula.unit, figure->value, NAN, shown));
        if (figure->partial)
            json_field_bool(json, "partial", true);
    }
    json_close(json, '}');
}

static void add_coverage(struct coverage *sum, const struct figure *figure)
{
    sum->complete = sum->complete && figure->coverage.complete;
    sum->levels |= figure->coverage.levels;
    if (figure->coverage.newest > sum->newest)
        sum->newest = figure->coverage.newest; /* WALL_NONE is the least */
    sum->mixed_sources = sum->mixed_sources || figure->coverage.mixed_sources;
}

static bool write_points(struct web *web, const struct query_request *query, struct answer *answer,
                         struct coverage *coverage, struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    size_t points = 0;
    bool ok = true;

    for (wall_ms from = query->from; ok && from < query->to; points++) {
        wall_ms to = step_end(query, from);
        const struct formula_range range = {.from = from,
                                            .to = to,
                                            .now = answer->now,
                                            .carry =
                                                to - from > MS_PER_DAY ? to - from : MS_PER_DAY,
                                            .metrics = web->config.kpis->metrics,
                                            .declared_at = evaluator_declared_at,
                                            .declared_arg = answer->txn};
        struct figure figure;
        if (points == POINTS_MAX) {
            (void)error_set(err, ERROR_INVALID, "more than %d points", POINTS_MAX);
            ok = error_hint(err, "take a longer step or a shorter range");
        } else if ((ok = formula_evaluate(&query->formula, answer->txn, &range, &arena, &figure,
                                          err))) {
            write_point(&answer->json, query, from, to, &figure);
            add_coverage(coverage, &figure);
        }
        arena_reset(&arena);
        from = to;
    }
    arena_fini(&arena);
    if (ok || !read_txn_is_over(answer->txn))
        return ok;
    (void)error_set(err, ERROR_INVALID, "the query takes too long");
    return error_hint(err, "take a longer step or a shorter range");
}

static bool write_answer(struct web *web, struct http_request *request,
                         const struct query_request *query, struct answer *answer,
                         struct error *err)
{
    struct coverage coverage = COVERAGE_EMPTY;
    struct json *json = &answer->json;

    *json = json_to(&answer->body);
    json_open(json, '{');
    json_field_text(json, "expr", http_request_query(request, "expr"));
    json_field_text(json, "unit",
                    query->formula.unit.name[0] == '\0' ? NULL : query->formula.unit.name);
    json_field_text(json, "timezone", calendar_zone(query->calendar));
    json_key(json, "points");
    json_open(json, '[');
    if (!write_points(web, query, answer, &coverage, err))
        return false;
    json_close(json, ']');
    answer_coverage(json, query->calendar, &coverage);
    json_close(json, '}');
    return true;
}

bool api_query(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {"expr", "from", "to", "step", "tz", NULL};
    struct query_request query = {.step = STEP_WHOLE};
    struct answer answer;

    bool ok = answer_begin(web, request, known, &answer, err) &&
              read_zone(web, request, &query, err) &&
              read_range(request, answer.now, &query, err) && read_step(request, &query, err) &&
              read_expression(web, request, &query, err) &&
              write_answer(web, request, &query, &answer, err);
    calendar_free(query.owned);
    return ok ? answer_send(request, &answer) : answer_drop(&answer);
}
