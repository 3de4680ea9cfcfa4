#include "schedule/schedule.h"

#include "schedule/schedule_private.h"

#define EVERY_MIN ((span_ms)MS_PER_SECOND)
#define EVERY_MAX (366 * (span_ms)MS_PER_DAY)
#define WEEK      (7 * (span_ms)MS_PER_DAY)

static bool not_built(struct str text, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    return error_set(err, ERROR_UNAVAILABLE, "schedule '%s' is of a form that is not built yet",
                     str_quoted(text, quoted));
}

/* "month_end", "fiscal_quarter_end": the rest may be an offset and a time. */
static bool is_period_end(struct str word)
{
    static const char *const ends[] = {
        "minute_end",       "hour_end",           "day_end",         "week_end",
        "month_end",        "quarter_end",        "half_end",        "year_end",
        "fiscal_month_end", "fiscal_quarter_end", "fiscal_half_end", "fiscal_year_end",
        "period_end",
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (str_is(word, ends[i]))
            return true;
    }
    return false;
}

static bool parse_every(struct str text, struct str rest, struct schedule *out, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    struct str span = schedule_take_word(&rest);
    struct str more = schedule_take_word(&rest);

    if (str_is(more, "from"))
        return not_built(text, err);
    if (more.len > 0 || !str_parse_span(span, &out->every)) {
        (void)error_set(err, ERROR_INVALID, "schedule '%s' has no span of time after 'every'",
                        str_quoted(text, quoted));
        return error_hint(err, "write it as 'every 10s' or 'every 1h30m'");
    }
    if (out->every < EVERY_MIN || out->every > EVERY_MAX)
        return error_set(err, ERROR_INVALID, "schedule '%s' is not within 1 second and 366 days",
                         str_quoted(text, quoted));
    out->kind = SCHEDULE_EVERY;
    return true;
}

bool schedule_parse(struct str text, const struct calendar *calendar, struct arena *arena,
                    struct schedule *out, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    struct schedule schedule = {.calendar = calendar};
    struct str rest = text;
    struct str word = schedule_take_word(&rest);

    if (word.len == 0)
        return error_set(err, ERROR_INVALID, "a schedule is empty");
    if (is_period_end(word))
        return not_built(text, err);
    if (str_trim(rest).len == 0 && word.text[0] != '@' && !str_is(word, "every")) {
        (void)error_set(err, ERROR_INVALID, "'%s' is not a schedule", str_quoted(word, quoted));
        return error_hint(err, "write it as 'every 10s', '@daily' or '0 9 * * 1-5'");
    }
    if (str_is(word, "every")) {
        if (!parse_every(text, rest, &schedule, err))
            return false;
    } else {
        schedule.kind = SCHEDULE_CRON;
        if (!cron_parse(text, arena, &schedule.cron, err))
            return false;
        struct str zone = schedule.cron.zone;
        if (zone.len > 0 && !str_is(zone, calendar_zone(calendar)))
            return error_set(err, ERROR_INVALID,
                             "schedule's CRON_TZ '%s' is not the zone of its calendar, '%s'",
                             str_quoted(zone, quoted), calendar_zone(calendar));
    }
    schedule.text = arena_text(arena, text);
    *out = schedule;
    return true;
}

static int64_t floor_to(int64_t value, int64_t unit)
{
    int64_t rest = value % unit;
    return value - (rest < 0 ? rest + unit : rest);
}

/* Whole days and weeks: days since 1970 (weeks: since the week that holds it) in steps. */
static wall_ms next_midnight(const struct schedule *schedule, wall_ms after)
{
    const struct calendar *calendar = schedule->calendar;
    const int thursday = 4; /* 1970-01-01 */
    struct civil now = calendar_civil(calendar, after);
    int64_t step = schedule->every / MS_PER_DAY;
    int64_t start = 0;

    if (schedule->every % WEEK == 0)
        start = -((thursday - calendar_week_start(calendar) + 7) % 7);
    for (int64_t days = start + floor_to(civil_days(&now) - start, step);; days += step) {
        struct civil midnight = civil_of_days(days);
        if (midnight.year > 9999)
            return WALL_NONE;
        wall_ms at = calendar_instant(calendar, &midnight);
        if (at > after)
            return at;
    }
}

bool schedule_is_steady(const struct schedule *schedule)
{
    if (schedule->kind == SCHEDULE_CRON)
        return schedule->cron.wildcard_time;
    return schedule->every < MS_PER_DAY;
}

wall_ms schedule_next(const struct schedule *schedule, wall_ms after)
{
    if (schedule->kind == SCHEDULE_CRON)
        return cron_next(&schedule->cron, schedule->calendar, after);
    if (schedule->every % MS_PER_DAY == 0)
        return next_midnight(schedule, after);
    if (after > INT64_MAX - schedule->every || after < INT64_MIN + schedule->every)
        return WALL_NONE;
    return floor_to(after, schedule->every) + schedule->every;
}
