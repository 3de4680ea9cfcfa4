#include "kpi/kpi.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "kpi/evaluator.h"
#include "kpi/target.h"

static const char *const STATUS_NAMES[] = {
    [KPI_DRAFT] = "draft",
    [KPI_PAUSED] = "paused",
    [KPI_NO_TARGET] = "no_target",
    [KPI_NO_DATA] = "no_data",
    [KPI_INSUFFICIENT] = "insufficient",
    [KPI_TOO_EARLY] = "too_early",
    [KPI_ON_TRACK] = "on_track",
    [KPI_AT_RISK] = "at_risk",
    [KPI_BEHIND] = "behind",
    [KPI_EXCEEDING] = "exceeding",
    [KPI_SETTLING] = "settling",
    [KPI_HIT] = "hit",
    [KPI_PARTIAL] = "partial",
    [KPI_MISSED] = "missed",
};

const struct kpi *kpi_find(const struct kpi_set *set, struct str id)
{
    for (size_t i = 0; i < set->count; i++) {
        if (str_is(id, set->kpis[i].id))
            return &set->kpis[i];
    }
    return NULL;
}

const char *kpi_status_name(enum kpi_status_code code)
{
    return STATUS_NAMES[code];
}

bool kpi_status_parse(struct str name, enum kpi_status_code *out)
{
    for (size_t i = 0; i < sizeof STATUS_NAMES / sizeof STATUS_NAMES[0]; i++) {
        if (str_is(name, STATUS_NAMES[i])) {
            *out = (enum kpi_status_code)i;
            return true;
        }
    }
    return false;
}

bool kpi_figure_is_sufficient(const struct kpi *kpi, const struct figure *figure)
{
    if (figure->is_null)
        return true;
    /* A base of nothing is a null figure already; totals of nothing are a good 0. */
    if (!isnan(figure->denominator) && fabs(figure->denominator) < kpi->min_denominator)
        return false;
    return isnan(figure->count) || kpi->min_count <= 1 || figure->count >= kpi->min_count;
}

/* --- figures --- */

bool kpi_figure(const struct formula *formula, const struct period *period,
                const struct kpi_inputs *inputs, struct arena *arena, struct figure *out,
                struct error *err)
{
    span_ms length = period->to - period->from;
    struct formula_range range = {.from = period->from,
                                  .to = period->to,
                                  .now = inputs->now,
                                  .carry = length > MS_PER_DAY ? length : MS_PER_DAY,
                                  .metrics = inputs->metrics,
                                  .declared_at = evaluator_declared_at,
                                  .declared_arg = inputs->txn};
    return formula_evaluate(formula, inputs->txn, &range, arena, out, err);
}

/* The figures of one evaluation: targets of one period share them. */
struct figures {
    const struct kpi *kpi;
    const struct kpi_inputs *inputs;
    struct arena *arena;
    struct error *err;
    struct {
        bool known;
        struct target_period value;
    } open[PERIOD_YEAR + 1], last[PERIOD_YEAR + 1];
};

static bool read_figure(struct figures *figures, struct target_period *out)
{
    return kpi_figure(&figures->kpi->formula, &out->period, figures->inputs, figures->arena,
                      &out->figure, figures->err);
}

static const struct target_period *open_figure(struct figures *figures, enum period_kind kind)
{
    struct target_period *value = &figures->open[kind].value;
    if (figures->open[kind].known)
        return value;
    value->period = calendar_period(figures->kpi->calendar, kind, figures->inputs->now);
    figures->open[kind].known = read_figure(figures, value);
    return figures->open[kind].known ? value : NULL;
}

/* The period before the open one. */
static const struct target_period *last_figure(struct figures *figures, enum period_kind kind)
{
    const struct calendar *calendar = figures->kpi->calendar;
    struct target_period *value = &figures->last[kind].value;
    if (figures->last[kind].known)
        return value;
    struct period open = calendar_period(calendar, kind, figures->inputs->now);
    value->period = calendar_previous(calendar, &open);
    figures->last[kind].known = read_figure(figures, value);
    return figures->last[kind].known ? value : NULL;
}

/* More periods than these are not looked at one by one while they settle. */
enum { SETTLING_MAX = 64 };

static bool is_settled(const struct figures *figures, const struct target_period *ended)
{
    return figures->inputs->now >= target_settled_at(figures->kpi, ended->period.to);
}

static struct period newest_settled(const struct figures *figures, enum period_kind kind)
{
    const struct kpi *kpi = figures->kpi;
    wall_ms now = figures->inputs->now;
    struct period period = calendar_period(kpi->calendar, kind, now - kpi->settle);

    while (now < target_settled_at(kpi, period.to))
        period = calendar_previous(kpi->calendar, &period);
    return period;
}

/* ALR-2: the newest period that ended and of which is known whether it was met, since it has
 * settled or has reached the number before: minutes end faster than they settle. */
static const struct target_period *known_figure(struct figures *figures,
                                                const struct target *target)
{
    const struct target_period *last = last_figure(figures, target->every);
    for (int i = 0; last != NULL && !is_settled(figures, last); i++) {
        if (!last->figure.is_null && target_is_met(target, last->figure.value))
            return last;
        struct target_period *before = arena_alloc(figures->arena, sizeof *before);
        before->period = i < SETTLING_MAX ? calendar_previous(figures->kpi->calendar, &last->period)
                                          : newest_settled(figures, target->every);
        if (!read_figure(figures, before))
            return NULL;
        last = before;
    }
    return last;
}

/* --- status --- */

/* Declared or forced by what is not built; false when the KPI is judged by its figures. */
static bool is_not_judged(const struct kpi *kpi, enum kpi_status_code *code)
{
    *code = KPI_DRAFT;
    if (kpi->state == KPI_STATE_DRAFT || kpi->draft_reason != NULL ||
        kpi->formula.not_built != NULL)
        return true;
    *code = KPI_PAUSED;
    return kpi->state == KPI_STATE_PAUSED || kpi->state == KPI_STATE_RETIRED;
}

bool kpi_is_judged(const struct kpi *kpi)
{
    enum kpi_status_code code;
    return !is_not_judged(kpi, &code);
}

static bool judge_target(struct figures *figures, const struct target *target,
                         struct target_status *out)
{
    const struct kpi *kpi = figures->kpi;
    wall_ms now = figures->inputs->now;

    out->target = target;
    out->expected = NAN;
    out->pace = NAN;
    out->breached = TRUTH_UNKNOWN;
    const struct target_period *open = open_figure(figures, target->every);
    if (open == NULL)
        return false;
    out->open = open->period;
    out->open_figure = open->figure;
    out->judged = open->period;
    out->judged_figure = open->figure;
    if (is_not_judged(kpi, &out->code))
        return true;
    if (target->not_built != NULL) {
        out->code = KPI_DRAFT;
        return true;
    }
    const struct target_period *last = NULL;
    if (target_waits_for_end(kpi, target)) {
        last = known_figure(figures, target);
        if (last == NULL)
            return false;
    }
    target_judge_open(kpi, open, now, out);
    target_judge_breach(kpi, open, last, now, out);
    return true;
}

/* STA-2: the worst first; drafts say nothing while another target is judged. */
static int rank(enum kpi_status_code code)
{
    static const enum kpi_status_code worst_first[] = {
        KPI_BEHIND,    KPI_AT_RISK,  KPI_NO_DATA,   KPI_INSUFFICIENT,
        KPI_TOO_EARLY, KPI_ON_TRACK, KPI_EXCEEDING, KPI_PAUSED};
    int count = (int)(sizeof worst_first / sizeof worst_first[0]);
    for (int i = 0; i < count; i++) {
        if (worst_first[i] == code)
            return i;
    }
    return count;
}

static bool is_shown_before(const struct target_status *a, const struct target_status *b)
{
    if (rank(a->code) != rank(b->code))
        return rank(a->code) < rank(b->code);
    return a->target->every < b->target->every; /* it ends sooner */
}

static bool judge_targets(struct figures *figures, struct kpi_status *out)
{
    const struct kpi *kpi = figures->kpi;
    struct target_status *targets = arena_array(figures->arena, kpi->target_count, sizeof *targets);

    out->targets = targets;
    for (size_t i = 0; i < kpi->target_count; i++) {
        if (kpi->targets[i].retired)
            continue;
        struct target_status *target = &targets[out->target_count++];
        if (!judge_target(figures, &kpi->targets[i], target))
            return false;
        if (out->shown == NULL || is_shown_before(target, out->shown))
            out->shown = target;
    }
    return true;
}

static const char *no_data_reason(const struct kpi *kpi, const struct figure *figure,
                                  struct arena *arena)
{
    char time[CLOCK_TEXT_SIZE];
    if (figure->is_null)
        return arena_text(arena, str_of(figure->detail));
    if (figure->coverage.newest == WALL_NONE)
        return "no sample has come yet";
    return arena_printf(arena, "the newest sample is of %s",
                        calendar_format_short(kpi->calendar, figure->coverage.newest, time));
}

static const char *insufficient_reason(const struct kpi *kpi, const struct figure *figure,
                                       struct arena *arena)
{
    static const struct unit plain = {DIMENSION_ANY, 1, ""};
    char is[UNIT_TEXT_SIZE];
    char asked[UNIT_TEXT_SIZE];
    bool by_denominator =
        !isnan(figure->denominator) && fabs(figure->denominator) < kpi->min_denominator;
    double base = by_denominator ? figure->denominator : figure->count;
    double least = by_denominator ? kpi->min_denominator : kpi->min_count;
    return arena_printf(arena, "a base of %s, but %s are needed",
                        unit_format(&plain, base, least, is),
                        unit_format(&plain, least, NAN, asked));
}

static const char *status_reason(struct figures *figures, const struct kpi_status *status)
{
    const struct kpi *kpi = status->kpi;
    const struct figure *figure = status->shown != NULL
                                      ? &open_figure(figures, status->shown->target->every)->figure
                                      : &status->figure;
    switch (status->code) {
    case KPI_DRAFT:
        if (kpi->draft_reason != NULL)
            return kpi->draft_reason;
        if (kpi->formula.not_built != NULL)
            return arena_printf(figures->arena, "not built yet: %s", kpi->formula.not_built);
        if (kpi->state != KPI_STATE_DRAFT && status->shown != NULL)
            return status->shown->target->not_built;
        return "declared a draft";
    case KPI_PAUSED:
        return kpi->state == KPI_STATE_RETIRED ? "retired" : "paused";
    case KPI_NO_DATA:
        return no_data_reason(kpi, figure, figures->arena);
    case KPI_INSUFFICIENT:
        return insufficient_reason(kpi, figure, figures->arena);
    default:
        return NULL;
    }
}

/* The period before and its verdict; without a target there is none. */
static bool judge_last(struct figures *figures, struct kpi_status *out)
{
    const struct kpi *kpi = figures->kpi;
    enum period_kind kind = out->shown != NULL ? out->shown->target->every : kpi->period;
    const struct target_period *last = last_figure(figures, kind);
    if (last == NULL)
        return false;
    out->last = last->period;
    out->last_figure = last->figure;
    if (out->code == KPI_DRAFT || out->code == KPI_PAUSED || out->shown == NULL)
        out->last_code = out->code;
    else if (out->shown->target->not_built != NULL)
        out->last_code = KPI_DRAFT;
    else
        out->last_code = target_judge_closed(kpi, out->shown->target, last, figures->inputs->now);
    return true;
}

bool kpi_evaluate(const struct kpi *kpi, const struct kpi_inputs *inputs, struct arena *arena,
                  struct kpi_status *out, struct error *err)
{
    struct figures *figures = arena_alloc(arena, sizeof *figures);
    figures->kpi = kpi;
    figures->inputs = inputs;
    figures->arena = arena;
    figures->err = err;

    memset(out, 0, sizeof *out);
    out->kpi = kpi;
    out->at = inputs->now;
    out->restarts = kpi->formula.class != FIGURE_LEVEL;
    const struct target_period *open = open_figure(figures, kpi->period);
    if (open == NULL || !judge_targets(figures, out))
        return false;
    out->period = open->period;
    out->figure = open->figure;
    if (!is_not_judged(kpi, &out->code))
        out->code = out->shown != NULL ? out->shown->code : KPI_NO_TARGET;
    out->reason = status_reason(figures, out);
    return judge_last(figures, out);
}

/* --- JSON --- */

static void field_time(struct json *json, const char *name, const struct calendar *calendar,
                       wall_ms at)
{
    char text[CLOCK_TEXT_SIZE];
    json_field_text(json, name, at == WALL_NONE ? NULL : calendar_format(calendar, at, text));
}

static void field_period(struct json *json, const struct calendar *calendar,
                         const struct period *period)
{
    char label[CALENDAR_LABEL_SIZE];
    json_key(json, "period");
    json_open(json, '{');
    json_field_text(json, "name", calendar_label(calendar, period, label));
    json_field_text(json, "kind", period_kind_name(period->kind));
    field_time(json, "from", calendar, period->from);
    field_time(json, "to", calendar, period->to);
    json_close(json, '}');
}

/* A number in the KPI's unit; NAN is null. */
static void field_value(struct json *json, const char *name, const struct unit *unit, double base)
{
    json_field_number(json, name, isfinite(base) ? unit_shown(unit, base) : NAN);
}

static void field_target(struct json *json, const struct kpi_status *status)
{
    json_key(json, "target");
    if (status->shown == NULL) {
        json_put_null(json);
        return;
    }
    const struct target *target = status->shown->target;
    json_open(json, '{');
    json_field_text(json, "id", target->id);
    json_field_text(json, "kind", target->kind == TARGET_AT_LEAST ? "at_least" : "at_most");
    field_value(json, "to", &status->kpi->unit, target->to);
    field_value(json, "expected", &status->kpi->unit, status->shown->expected);
    json_field_number(json, "pace", status->shown->pace);
    json_field_text(json, "p_hit", NULL);
    json_close(json, '}');
}

static void field_last(struct json *json, const struct kpi_status *status)
{
    const struct figure *figure = &status->last_figure;
    json_key(json, "last");
    json_open(json, '{');
    field_period(json, status->kpi->calendar, &status->last);
    field_value(json, "value", &status->kpi->unit, figure->is_null ? NAN : figure->value);
    json_field_text(json, "status", kpi_status_name(status->last_code));
    json_close(json, '}');
}

void kpi_status_json(const struct kpi_status *status, struct json *json)
{
    const struct kpi *kpi = status->kpi;
    const struct figure *figure = &status->figure;

    json_open(json, '{');
    json_field_text(json, "id", kpi->id);
    json_field_text(json, "title", kpi->title);
    json_key(json, "by");
    json_open(json, '{');
    json_close(json, '}');
    field_value(json, "value", &kpi->unit, figure->is_null ? NAN : figure->value);
    json_field_text(json, "unit", kpi->unit.name[0] == '\0' ? NULL : kpi->unit.name);
    json_field_text(json, "status", kpi_status_name(status->code));
    json_field_text(json, "reason", status->reason);
    json_field_text(json, "null_reason", figure->is_null ? null_reason_name(figure->reason) : NULL);
    json_field_bool(json, "partial", figure->partial);
    json_field_bool(json, "stale", figure->stale);
    field_time(json, "as_of", kpi->calendar, figure->coverage.newest);
    field_target(json, status);
    field_period(json, kpi->calendar, &status->period);
    field_last(json, status);
    json_close(json, '}');
}
