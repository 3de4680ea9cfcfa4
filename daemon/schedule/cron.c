#include "schedule/cron.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "schedule/schedule_private.h"

enum { TEXT_MAX = 256, FIELD_COUNT = 5, NAME_LENGTH = 3, LAST_YEAR = 9998 };

/* 50 years, as cronsim */
#define DAYS_AHEAD (INT64_C(50) * 366)

enum field_index { MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK };

struct field {
    const char *what; /* as errors name it */
    int low;
    int high;
    const char *names; /* three letters each, the first one is number `names_from` */
    int names_from;
};

static const struct field FIELDS[FIELD_COUNT] = {
    [MINUTE] = {"minute", 0, 59, "", 0},
    [HOUR] = {"hour", 0, 23, "", 0},
    [DAY_OF_MONTH] = {"day of month", 1, 31, "", 0},
    [MONTH] = {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", 1},
    [DAY_OF_WEEK] = {"day of week", 0, 7, "sunmontuewedthufrisat", 0},
};

/* What is being read: mistakes tell their column in `text`. */
struct parser {
    struct str text;
    struct error *err;
};

/* --- reading -----------------------------------------------------------------------------------
 */

/* `at` is a part of the parser's text. */
__attribute__((format(printf, 3, 4))) static bool mistake(const struct parser *parser,
                                                          struct str at, const char *format, ...)
{
    char quoted[STR_QUOTED_SIZE];
    char why[200];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return error_set(parser->err, ERROR_INVALID, "cron expression '%s': column %zu: %s",
                     str_quoted(parser->text, quoted), (size_t)(at.text - parser->text.text) + 1,
                     why);
}

static bool equals_in_any_case(struct str text, const char *other)
{
    return strlen(other) == text.len && strncasecmp(text.text, other, text.len) == 0;
}

/* A number or a name. */
static bool parse_value(const struct parser *parser, const struct field *field, struct str text,
                        int *out)
{
    char quoted[STR_QUOTED_SIZE];
    uint64_t number = 0;

    for (size_t i = 0; text.len == NAME_LENGTH && field->names[i] != '\0'; i += NAME_LENGTH) {
        if (strncasecmp(text.text, field->names + i, NAME_LENGTH) == 0) {
            *out = field->names_from + (int)(i / NAME_LENGTH);
            return true;
        }
    }
    if (!str_parse_u64(text, &number))
        return mistake(parser, text, "'%s' is not a %s", str_quoted(text, quoted), field->what);
    if (number < (uint64_t)field->low || number > (uint64_t)field->high)
        return mistake(parser, text, "%s '%s' is not within %d to %d", field->what,
                       str_quoted(text, quoted), field->low, field->high);
    *out = (int)number;
    return true;
}

/* "*", "5", "1-5"; `first` and `last` are what it covers, `is_single` whether it is one value. */
static bool parse_range(const struct parser *parser, const struct field *field, struct str text,
                        int *first, int *last, bool *is_single)
{
    struct str rest = text;

    *is_single = false;
    if (str_is(text, "*")) {
        *first = field->low;
        *last = field->high;
        return true;
    }
    struct str from = str_split(&rest, '-');
    if (!parse_value(parser, field, from, first))
        return false;
    if (from.len == text.len) {
        *is_single = true;
        *last = *first;
        return true;
    }
    if (!parse_value(parser, field, rest, last))
        return false;
    if (*last < *first && *last == 0 && field == &FIELDS[DAY_OF_WEEK])
        *last = 7; /* fri-sun */
    if (*last >= *first)
        return true;
    (void)mistake(parser, text, "the range of the %s goes backwards", field->what);
    return error_hint(parser->err, "write it as two ranges with a comma between them");
}

/* "*", "5", "1-5", each with or without a step: into `bits`. */
static bool parse_plain(const struct parser *parser, const struct field *field, struct str text,
                        uint64_t *bits)
{
    struct str step_text = text;
    struct str range = str_split(&step_text, '/');
    uint64_t step = 1;
    int first = 0;
    int last = 0;
    bool is_single = false;

    if (!parse_range(parser, field, range, &first, &last, &is_single))
        return false;
    if (range.len != text.len) {
        if (!str_parse_u64(step_text, &step) || step == 0)
            return mistake(parser, step_text, "a step is a number from 1 on");
        if (is_single)
            last = field->high;
    }
    for (uint64_t value = (uint64_t)first; value <= (uint64_t)last; value += step) {
        *bits |= UINT64_C(1) << value;
        if (step > (uint64_t)last)
            break;
    }
    return true;
}

/* "5L" and "5#3": the last or the nth such weekday of a month. */
static bool parse_weekday_of_month(const struct parser *parser, struct str text, struct cron *out)
{
    struct str nth_text = text;
    struct str day_text = str_split(&nth_text, '#');
    bool is_last = day_text.len == text.len;
    uint64_t nth = 0;
    int day = 0;

    if (is_last)
        day_text.len--; /* the L */
    if (!parse_value(parser, &FIELDS[DAY_OF_WEEK], day_text, &day))
        return false;
    uint8_t bit = (uint8_t)(1 << day % 7);
    if (is_last) {
        out->last_weekdays |= bit;
        return true;
    }
    if (!str_parse_u64(nth_text, &nth) || nth < 1 || nth > 5)
        return mistake(parser, nth_text, "after '#' comes a number from 1 to 5");
    out->nth_weekdays[nth] |= bit;
    return true;
}

/* One item of a list. */
static bool parse_item(const struct parser *parser, enum field_index index, struct str text,
                       struct cron *out, uint64_t *bits)
{
    if (text.len == 0)
        return mistake(parser, text, "an item of the %s is missing", FIELDS[index].what);
    if (index == DAY_OF_MONTH && equals_in_any_case(text, "L")) {
        out->last_day = true;
        return true;
    }
    if (index == DAY_OF_MONTH && equals_in_any_case(text, "LW")) {
        out->last_business_day = true;
        return true;
    }
    char last = text.text[text.len - 1];
    if (index == DAY_OF_WEEK &&
        (last == 'L' || last == 'l' || memchr(text.text, '#', text.len) != NULL))
        return parse_weekday_of_month(parser, text, out);
    return parse_plain(parser, &FIELDS[index], text, bits);
}

static bool parse_field(const struct parser *parser, enum field_index index, struct str text,
                        struct cron *out)
{
    uint64_t bits = 0;
    struct str rest = text;

    for (bool more = true; more;) {
        size_t before = rest.len;
        struct str item = str_split(&rest, ',');
        more = item.len != before; /* a comma at the end leaves an empty item */
        if (!parse_item(parser, index, item, out, &bits))
            return false;
    }
    switch (index) {
    case MINUTE:
        out->minutes = bits;
        break;
    case HOUR:
        out->hours = (uint32_t)bits;
        break;
    case DAY_OF_MONTH:
        out->days = (uint32_t)bits;
        break;
    case MONTH:
        out->months = (uint16_t)bits;
        break;
    case DAY_OF_WEEK:
        out->weekdays = (uint8_t)((bits | bits >> 7) & 0x7f); /* 7 is Sunday too */
        break;
    }
    return true;
}

/* --- days --------------------------------------------------------------------------------------
 */

static bool is_last_business_day(const struct civil *date, int length)
{
    if (date->weekday > 5)
        return false;
    return date->day == length || (date->weekday == 5 && date->day + 2 >= length);
}

static bool day_matches(const struct cron *cron, const struct civil *date)
{
    int length = civil_month_length(date->year, date->month);
    unsigned weekday = 1U << date->weekday % 7;

    if ((cron->months >> date->month & 1) == 0)
        return false;
    bool by_day = (cron->days >> date->day & 1) != 0 || (cron->last_day && date->day == length) ||
                  (cron->last_business_day && is_last_business_day(date, length));
    bool by_weekday = (cron->weekdays & weekday) != 0 ||
                      ((cron->last_weekdays & weekday) != 0 && date->day + 7 > length) ||
                      (cron->nth_weekdays[(date->day - 1) / 7 + 1] & weekday) != 0;
    return cron->either_day ? by_day || by_weekday : by_day && by_weekday;
}

/* The first day from `days` on that matches, `last + 1` if there is none up to `last`. */
static int64_t find_day(const struct cron *cron, int64_t days, int64_t last)
{
    while (days <= last) {
        struct civil date = civil_of_days(days);
        if (day_matches(cron, &date))
            return days;
        bool month_matches = (cron->months >> date.month & 1) != 0;
        days += month_matches ? 1 : civil_month_length(date.year, date.month) - date.day + 1;
    }
    return last + 1;
}

/* In 28 years every date falls on every weekday, leap days included. */
static bool can_occur(const struct cron *cron)
{
    int64_t first = civil_days(&(struct civil){.year = 2000, .month = 1, .day = 1});
    int64_t last = civil_days(&(struct civil){.year = 2027, .month = 12, .day = 31});

    return find_day(cron, first, last) <= last;
}

/* --- expressions -------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    const char *means;
} MACROS[] = {
    {"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
};

enum { MACRO_COUNT = sizeof MACROS / sizeof MACROS[0] };

static bool expand_macro(const struct parser *parser, struct str name, struct str *out)
{
    const char *names[MACRO_COUNT];
    char quoted[STR_QUOTED_SIZE];

    for (size_t i = 0; i < MACRO_COUNT; i++) {
        names[i] = MACROS[i].name;
        if (equals_in_any_case(name, MACROS[i].name)) {
            *out = str_of(MACROS[i].means);
            return true;
        }
    }
    if (equals_in_any_case(name, "@reboot"))
        return mistake(parser, name, "'@reboot' is not a time");
    (void)mistake(parser, name, "unknown name '%s'", str_quoted(name, quoted));
    const char *nearest = str_nearest(name, names, MACRO_COUNT);
    return nearest == NULL ? false : error_hint(parser->err, "did you mean '%s'?", nearest);
}

/* The five fields of the text, macros written out. */
static bool split_fields(const struct parser *parser, struct str text, struct str *words)
{
    struct str rest = text;
    struct str word = schedule_take_word(&rest);

    if (word.len > 0 && word.text[0] == '@') {
        if (str_trim(rest).len > 0)
            return mistake(parser, str_trim(rest), "nothing may follow a name");
        if (!expand_macro(parser, word, &rest))
            return false;
        word = schedule_take_word(&rest);
    }
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (word.len == 0) {
            (void)mistake(parser, word, "it has %zu of 5 fields", i);
            return error_hint(parser->err,
                              "the fields are minute, hour, day of month, month, day of week");
        }
        words[i] = word;
        word = schedule_take_word(&rest);
    }
    if (word.len == 0)
        return true;
    (void)mistake(parser, word, "it has more than 5 fields");
    return error_hint(parser->err, "seconds are not supported: 'every 10s' is");
}

struct str cron_zone(struct str text)
{
    static const char prefix[] = "CRON_TZ=";
    struct str word = schedule_take_word(&text);

    if (!str_starts_with(word, prefix))
        return STR_EMPTY;
    return (struct str){word.text + sizeof prefix - 1, word.len - (sizeof prefix - 1)};
}

bool cron_parse(struct str text, struct arena *arena, struct cron *out, struct error *err)
{
    const struct parser parser = {text.text == NULL ? STR("") : text, err};
    struct str words[FIELD_COUNT] = {STR_EMPTY};
    struct str rest = parser.text;
    struct cron cron = {0};

    if (text.len > TEXT_MAX)
        return error_set(err, ERROR_INVALID, "a cron expression is longer than %d bytes", TEXT_MAX);
    struct str zone = cron_zone(rest);
    if (zone.text != NULL) {
        if (zone.len == 0)
            return mistake(&parser, zone, "the time zone is missing");
        (void)schedule_take_word(&rest);
    }
    if (!split_fields(&parser, rest, words))
        return false;
    for (enum field_index i = MINUTE; i <= DAY_OF_WEEK; i++) {
        if (!parse_field(&parser, i, words[i], &cron))
            return false;
    }
    cron.either_day = words[DAY_OF_MONTH].text[0] != '*' && words[DAY_OF_WEEK].text[0] != '*';
    cron.wildcard_time = words[MINUTE].text[0] == '*' || words[HOUR].text[0] == '*';
    if (!can_occur(&cron))
        return mistake(&parser, words[DAY_OF_MONTH], "there is no such day in any year");
    if (zone.len > 0)
        cron.zone = arena_str(arena, zone);
    *out = cron;
    return true;
}

/* --- runs --------------------------------------------------------------------------------------
 */

static wall_ms next_fixed(const struct cron *cron, const struct calendar *calendar, wall_ms after)
{
    struct civil start = calendar_civil(calendar, after);
    int64_t today = civil_days(&start);
    int64_t last = today + DAYS_AHEAD;

    for (int64_t days = find_day(cron, today, last); days <= last;
         days = find_day(cron, days + 1, last)) {
        struct civil at = civil_of_days(days);
        for (at.hour = days == today ? start.hour : 0; at.hour <= 23; at.hour++) {
            if ((cron->hours >> at.hour & 1) == 0)
                continue;
            for (at.minute = 0; at.minute <= 59; at.minute++) {
                if ((cron->minutes >> at.minute & 1) == 0)
                    continue;
                wall_ms run = calendar_instant(calendar, &at);
                if (run > after) /* else it was the first of two, or right after a gap */
                    return run;
            }
        }
    }
    return WALL_NONE;
}

static wall_ms next_wildcard(const struct cron *cron, const struct calendar *calendar,
                             wall_ms after)
{
    wall_ms at = calendar_period(calendar, PERIOD_MINUTE, after).to;
    struct civil civil = calendar_civil(calendar, at);
    int64_t last = civil_days(&civil) + DAYS_AHEAD;

    for (; civil.year <= LAST_YEAR; civil = calendar_civil(calendar, at)) {
        int64_t today = civil_days(&civil);
        int64_t days = find_day(cron, today, last);
        if (days > last)
            break;
        if (days > today) {
            struct civil midnight = civil_of_days(days);
            wall_ms then = calendar_instant(calendar, &midnight);
            /* Where the clock goes back over midnight, that midnight may be behind us. */
            at = then > at ? then : calendar_period(calendar, PERIOD_MINUTE, at).to;
        } else if ((cron->hours >> civil.hour & 1) == 0) {
            at = calendar_period(calendar, PERIOD_HOUR, at).to;
        } else if ((cron->minutes >> civil.minute & 1) == 0 || civil.second != 0) {
            at = calendar_period(calendar, PERIOD_MINUTE, at).to;
        } else {
            return at;
        }
    }
    return WALL_NONE;
}

wall_ms cron_next(const struct cron *cron, const struct calendar *calendar, wall_ms after)
{
    if (calendar_civil(calendar, after).year > LAST_YEAR)
        return WALL_NONE;
    return cron->wildcard_time ? next_wildcard(cron, calendar, after)
                               : next_fixed(cron, calendar, after);
}
