#include "alert/event_text.h"

#include <math.h>
#include <string.h>

#include "kpi/target.h"

enum { TITLE_MAX = 300, TEXT_MAX = 4000, LONG_MAX = 3000 };

/* --- texts --------------------------------------------------------------------------------------
 */

/* A message is one line: control characters become blanks. Cut, with "...", at `max` bytes but not
 * inside a character. */
static struct str one_line(struct str text, size_t max, struct arena *arena)
{
    struct buf line = BUF_EMPTY;
    size_t len = text.len;

    if (len > max) {
        len = max - 3;
        while (len > 0 && ((unsigned char)text.text[len] & 0xC0) == 0x80)
            len--;
    }
    for (size_t i = 0; i < len; i++) {
        char c = text.text[i];
        if ((unsigned char)c < ' ' || c == 0x7F)
            c = ' ';
        buf_char(&line, c);
    }
    if (len < text.len)
        buf_text(&line, "...");
    struct str copy = str_trim(arena_str(arena, buf_view(&line)));
    buf_fini(&line);
    return copy;
}

static struct str number_text(const struct kpi *kpi, double base, double near, struct arena *arena)
{
    char text[UNIT_TEXT_SIZE];

    if (!isfinite(base))
        return STR("no value");
    return arena_str(arena, str_of(unit_format(&kpi->unit, base, near, text)));
}

static struct str plain_number(double value, struct arena *arena)
{
    if (!isfinite(value))
        return STR("no value");
    return str_of(arena_printf(arena, "%.2f", value));
}

/* "at most 2 %" */
static struct str target_words(const struct target *target, struct str number, struct arena *arena)
{
    const char *words = NULL;

    if (target->kind == TARGET_AT_LEAST)
        words = target->strict ? "more than" : "at least";
    else
        words = target->strict ? "less than" : "at most";
    return str_of(arena_printf(arena, "%s %.*s", words, STR_ARGS(number)));
}

/* "too_early" as a person writes it */
static struct str status_words(enum kpi_status_code code, struct arena *arena)
{
    char *words = arena_text(arena, str_of(kpi_status_name(code)));
    for (char *c = words; *c != '\0'; c++) {
        if (*c == '_')
            *c = ' ';
    }
    return str_of(words);
}

/* --- what is told -------------------------------------------------------------------------------
 */

/* All that the words of one event are made of. */
struct story {
    const struct event_source *source;
    const struct kpi *kpi;
    const struct target *target; /* NULL without */
    struct arena *arena;
    struct period period;
    double value; /* NAN: none */
    enum kpi_status_code code;
    struct str title;
    struct str value_text;
    struct str target_number; /* "2 %"; empty without target */
    struct str label;
};

static struct str text_or_empty(const char *text)
{
    return str_of(text == NULL ? "" : text);
}

static struct str field_text(enum rule_field field, const struct story *story)
{
    const struct event_source *source = story->source;

    switch (field) {
    case RULE_FIELD_RULE:
        return str_of(source->rule->id);
    case RULE_FIELD_KPI:
        return str_of(story->kpi->id);
    case RULE_FIELD_TITLE:
        return story->title;
    case RULE_FIELD_VALUE:
        return story->value_text;
    case RULE_FIELD_UNIT:
        return str_of(story->kpi->unit.name);
    case RULE_FIELD_TARGET:
        return story->target == NULL ? STR("no target") : story->target_number;
    case RULE_FIELD_EXPECTED:
        return source->target == NULL
                   ? STR("no value")
                   : number_text(story->kpi, source->target->expected, NAN, story->arena);
    case RULE_FIELD_PACE:
        return plain_number(source->target == NULL ? NAN : source->target->pace, story->arena);
    case RULE_FIELD_STATUS:
        return status_words(story->code, story->arena);
    case RULE_FIELD_PERIOD:
        return story->label;
    case RULE_FIELD_SEVERITY:
        return str_of(severity_name(source->rule->severity));
    case RULE_FIELD_OWNER:
        return text_or_empty(story->kpi->owner);
    case RULE_FIELD_DEFINE:
        return text_or_empty(story->kpi->define);
    case RULE_FIELD_WHY:
        return text_or_empty(story->kpi->why);
    case RULE_FIELD_DO:
        return text_or_empty(source->rule->action);
    case RULE_FIELD_RUNBOOK:
        return text_or_empty(source->rule->runbook);
    case RULE_FIELD_COUNT:
        break;
    }
    return STR_EMPTY;
}

static void on_field(enum rule_field field, struct buf *out, void *arg)
{
    buf_str(out, field_text(field, arg));
}

/* ", target 2 %"; empty without target */
static const char *target_clause(const struct story *story)
{
    if (story->target == NULL)
        return "";
    return arena_printf(story->arena, ", target %.*s", STR_ARGS(story->target_number));
}

static void write_firing(const struct story *story, struct buf *out)
{
    const char *template = story->source->rule->text;
    struct story copy = *story;

    if (template != NULL && rule_text_not_built(str_of(template)) == NULL)
        rule_text_render(str_of(template), on_field, &copy, out);
    else
        buf_printf(out, "%.*s: %.*s%s (%.*s)", STR_ARGS(story->title), STR_ARGS(story->value_text),
                   target_clause(story), STR_ARGS(story->label));
}

static void write_resolved(const struct story *story, struct buf *out)
{
    buf_printf(out, "%.*s: resolved, back to %.*s%s (%.*s)", STR_ARGS(story->title),
               STR_ARGS(story->value_text), target_clause(story), STR_ARGS(story->label));
}

static void write_ended_rule(const struct story *story, struct buf *out)
{
    buf_printf(out, "%.*s: ended, the rule was changed; now %.*s%s (%.*s)", STR_ARGS(story->title),
               STR_ARGS(story->value_text), target_clause(story), STR_ARGS(story->label));
}

/* --- the end of a period (ALR-6) ----------------------------------------------------------------
 */

/* Whether the status knows the closing figure of the story's period: kpid may have been down for
 * longer than one, and a target may recur in another one than its KPI's. */
static bool has_closing_figure(const struct story *story)
{
    const struct kpi_status *status = story->source->status;
    return status->last.from == story->period.from && status->last.to == story->period.to &&
           !status->last_figure.is_null;
}

/* Whether the closed period has a verdict, and not only too little data to give one. */
static bool is_judged(enum kpi_status_code code)
{
    return code == KPI_SETTLING || code == KPI_HIT || code == KPI_PARTIAL || code == KPI_MISSED;
}

/* How the closed period stands against the rule's own target; the status speaks of the shown one,
 * which may be another. */
static enum kpi_status_code closed_code(const struct story *story)
{
    const struct kpi_status *status = story->source->status;
    const struct target_period closed = {status->last, status->last_figure};

    if (story->target == NULL || !is_judged(status->last_code))
        return status->last_code;
    return target_judge_closed(story->kpi, story->target, &closed, story->source->now);
}

/* "00:05", with the date when that is another day than today. */
static const char *clock_words(const struct story *story, wall_ms at)
{
    const struct calendar *calendar = story->kpi->calendar;
    struct civil then = calendar_civil(calendar, at);
    struct civil today = calendar_civil(calendar, story->source->now);
    char text[CLOCK_TEXT_SIZE];

    if (civil_days(&then) == civil_days(&today))
        return arena_printf(story->arena, "%02d:%02d", then.hour, then.minute);
    return arena_printf(story->arena, "%s", calendar_format_short(calendar, at, text));
}

static void write_ended_period(const struct story *story, struct buf *out)
{
    const struct kpi_status *status = story->source->status;

    buf_printf(out, "%.*s: %.*s ended", STR_ARGS(story->title), STR_ARGS(story->label));
    if (!has_closing_figure(story)) {
        struct str fired_at =
            number_text(story->kpi, story->source->before->value, NAN, story->arena);
        buf_printf(out, ", the alert had fired at %.*s%s", STR_ARGS(fired_at),
                   target_clause(story));
        return;
    }
    buf_printf(out, " at %.*s%s", STR_ARGS(story->value_text), target_clause(story));
    if (story->target == NULL && status->shown == NULL)
        return;
    if (story->code != KPI_SETTLING) {
        buf_printf(out, ": %.*s", STR_ARGS(status_words(story->code, story->arena)));
        return;
    }
    wall_ms final_at = target_settled_at(story->kpi, story->period.to);
    if (story->target != NULL)
        buf_printf(out, ": so far %s,",
                   target_is_met(story->target, story->value) ? "hit" : "missed");
    else
        buf_text(out, ":");
    buf_printf(out, " final at %s", clock_words(story, final_at));
}

/* --- the event ----------------------------------------------------------------------------------
 */

/* The period that was open when the alert began, and its closing figure. */
static void tell_closed_period(struct story *story)
{
    const struct event_source *source = story->source;

    story->period =
        calendar_period(story->kpi->calendar, source->period.kind, source->before->period_from);
    story->value = NAN;
    if (!has_closing_figure(story))
        return;
    story->value = source->status->last_figure.value;
    story->code = closed_code(story);
}

static void fill_numbers(const struct story *story, struct event *out)
{
    const struct calendar *calendar = story->kpi->calendar;
    char text[CLOCK_TEXT_SIZE];

    out->has_value = isfinite(story->value);
    if (out->has_value)
        out->value = unit_shown(&story->kpi->unit, story->value);
    out->value_text = story->value_text;
    out->has_target = story->target != NULL;
    if (out->has_target) {
        out->target = unit_shown(&story->kpi->unit, story->target->to);
        out->target_text = target_words(story->target, story->target_number, story->arena);
    }
    out->unit = str_of(story->kpi->unit.name);
    out->period = story->label;
    out->period_from = story->period.from;
    out->period_to = story->period.to;
    out->period_from_text =
        arena_str(story->arena, str_of(calendar_format(calendar, story->period.from, text)));
    out->period_to_text =
        arena_str(story->arena, str_of(calendar_format(calendar, story->period.to, text)));
    out->at_text = arena_str(story->arena, str_of(calendar_format(calendar, out->at, text)));
}

static void write_text(enum alert_change change, const struct story *story, struct event *out)
{
    struct buf text = BUF_EMPTY;

    switch (change) {
    case ALERT_FIRED:
        out->type = EVENT_FIRING;
        write_firing(story, &text);
        break;
    case ALERT_RESOLVED:
        out->type = EVENT_RESOLVED;
        write_resolved(story, &text);
        break;
    case ALERT_ENDED_PERIOD:
        out->type = EVENT_ENDED;
        out->reason = STR("period_end");
        write_ended_period(story, &text);
        break;
    case ALERT_ENDED_RULE:
        out->type = EVENT_ENDED;
        out->reason = STR("rule_changed");
        write_ended_rule(story, &text);
        break;
    case ALERT_NO_CHANGE:
    case ALERT_STATE_CHANGED:
        break;
    }
    out->text = one_line(buf_view(&text), TEXT_MAX, story->arena);
    buf_fini(&text);
}

/* How the judged period stands: a closed one (ALR-2 of at_least totals) has a verdict. */
static enum kpi_status_code judged_code(const struct event_source *source)
{
    if (source->target == NULL)
        return source->status->code;
    if (source->period.to > source->now)
        return source->target->code;
    const struct target_period closed = {source->period, *source->figure};
    return target_judge_closed(source->status->kpi, source->target->target, &closed, source->now);
}

void event_describe(enum alert_change change, const struct event_source *source,
                    struct arena *arena, struct event *out)
{
    const struct rule *rule = source->rule;
    const struct kpi *kpi = source->status->kpi;
    struct story story = {.source = source,
                          .kpi = kpi,
                          .target = source->target == NULL ? NULL : source->target->target,
                          .arena = arena,
                          .period = source->period,
                          .value = source->figure->is_null ? NAN : source->figure->value,
                          .code = judged_code(source)};
    char label[CALENDAR_LABEL_SIZE];

    if (change == ALERT_ENDED_PERIOD)
        tell_closed_period(&story);
    double near = story.target == NULL ? NAN : story.target->to;
    story.title = one_line(str_of(kpi->title), TITLE_MAX, arena);
    story.value_text = number_text(kpi, story.value, near, arena);
    if (story.target != NULL)
        story.target_number = number_text(kpi, story.target->to, NAN, arena);
    story.label = arena_str(arena, str_of(calendar_label(kpi->calendar, &story.period, label)));

    *out = (struct event){.at = source->now};
    out->alert_id = arena_str(arena, str_of(source->before->alert_id));
    out->rule = str_of(rule->id);
    out->kpi = str_of(kpi->id);
    out->title = story.title;
    out->severity = str_of(severity_name(rule->severity));
    out->status = str_of(kpi_status_name(story.code));
    out->action = one_line(text_or_empty(rule->action), LONG_MAX, arena);
    out->runbook = one_line(text_or_empty(rule->runbook), LONG_MAX, arena);
    fill_numbers(&story, out);
    write_text(change, &story, out);
}

/* --- restated periods ---------------------------------------------------------------------------
 */

static void write_restated(const struct kpi_restatement *restatement, const struct story *story,
                           struct str old, struct buf *out)
{
    buf_printf(out, "%.*s: %.*s restated, %.*s is now %.*s%s", STR_ARGS(story->title),
               STR_ARGS(story->label), STR_ARGS(old), STR_ARGS(story->value_text),
               target_clause(story));
    if (story->target != NULL && restatement->old_code != restatement->new_code)
        buf_printf(out, ": %.*s instead of %.*s",
                   STR_ARGS(status_words(restatement->new_code, story->arena)),
                   STR_ARGS(status_words(restatement->old_code, story->arena)));
}

/* A miss that nobody was told of is worth more than a hit. */
static enum severity restated_severity(const struct kpi_restatement *restatement)
{
    bool is_miss = restatement->new_code == KPI_MISSED && restatement->old_code != KPI_MISSED;
    return is_miss ? SEVERITY_WARNING : SEVERITY_INFO;
}

void event_restated(const struct kpi_restatement *restatement, struct arena *arena,
                    struct event *out)
{
    const struct kpi *kpi = restatement->kpi;
    const struct target *target = restatement->target;
    struct story story = {.kpi = kpi,
                          .target = target,
                          .arena = arena,
                          .period = restatement->period,
                          .value = restatement->new_value,
                          .code = restatement->new_code};
    double near = target == NULL ? NAN : target->to;
    struct buf text = BUF_EMPTY;
    char label[CALENDAR_LABEL_SIZE];

    story.title = one_line(str_of(kpi->title), TITLE_MAX, arena);
    story.value_text = number_text(kpi, story.value, near, arena);
    if (target != NULL)
        story.target_number = number_text(kpi, target->to, NAN, arena);
    story.label = arena_str(arena, str_of(calendar_label(kpi->calendar, &story.period, label)));

    *out = (struct event){.type = EVENT_RESTATED, .at = restatement->at};
    out->kpi = str_of(kpi->id);
    out->title = story.title;
    out->severity = str_of(severity_name(restated_severity(restatement)));
    out->status = str_of(kpi_status_name(restatement->new_code));
    out->reason = STR("late_samples");
    out->has_old_value = isfinite(restatement->old_value);
    if (out->has_old_value)
        out->old_value = unit_shown(&kpi->unit, restatement->old_value);
    out->old_value_text = number_text(kpi, restatement->old_value, near, arena);
    out->old_status = str_of(kpi_status_name(restatement->old_code));
    fill_numbers(&story, out);
    write_restated(restatement, &story, out->old_value_text, &text);
    out->text = one_line(buf_view(&text), TEXT_MAX, arena);
    buf_fini(&text);
}
