/* kpictl calendar periods KIND: which days are 2026-Q3. Does not ask kpid. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "listing.h"
#include "offline.h"

enum { PERIODS_MAX = 10000, SATURDAY = 6, NUMBER_SIZE = 24 };

static const struct listing_column COLUMNS[] = {
    {"NAME", false},
    {"FROM", false},
    {"TO", false},
    {"BUSINESS DAYS", true},
};

enum { COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0] };

/* Monday to Friday; -1 for periods shorter than a day. */
static int business_days(const struct calendar *calendar, const struct period *period)
{
    if (period->kind < PERIOD_DAY)
        return -1;
    struct civil first = calendar_civil(calendar, period->from);
    struct civil last = calendar_civil(calendar, period->to - 1);
    int count = 0;
    for (int64_t day = civil_days(&first); day <= civil_days(&last); day++)
        count += civil_of_days(day).weekday < SATURDAY;
    return count;
}

static void write_period(struct json *json, struct listing *listing,
                         const struct calendar *calendar, const struct period *period)
{
    char name[CALENDAR_LABEL_SIZE];
    char from[CLOCK_TEXT_SIZE];
    char to[CLOCK_TEXT_SIZE];
    char from_shown[CLOCK_TEXT_SIZE];
    char to_shown[CLOCK_TEXT_SIZE];
    char days[NUMBER_SIZE] = "-";
    int count = business_days(calendar, period);

    if (count >= 0)
        (void)snprintf(days, sizeof days, "%d", count);
    const char *const cells[COLUMN_COUNT] = {
        calendar_label(calendar, period, name),
        calendar_format_short(calendar, period->from, from_shown),
        calendar_format_short(calendar, period->to, to_shown), days};
    listing_add(listing, cells);
    json_open(json, '{');
    json_field_text(json, "name", name);
    json_field_text(json, "from", calendar_format(calendar, period->from, from));
    json_field_text(json, "to", calendar_format(calendar, period->to, to));
    json_key(json, "business_days");
    if (count >= 0)
        json_i64(json, count);
    else
        json_put_null(json);
    json_close(json, '}');
}

static enum exit_code print_periods(const struct invocation *invocation,
                                    const struct calendar *calendar, enum period_kind kind)
{
    wall_ms from = clock_wall();
    wall_ms to = WALL_NONE;
    struct buf out = BUF_EMPTY;
    struct json json = json_to(&out);
    size_t count = 0;

    if (!offline_time(invocation, calendar, "from", false, &from))
        return EXIT_USAGE;
    struct period period = calendar_period(calendar, kind, from);
    to = period.to;
    if (!offline_time(invocation, calendar, "to", true, &to))
        return EXIT_USAGE;
    if (from >= to)
        return usage_error(invocation, "the range is empty: '--from' is not before '--to'");
    struct listing *listing = listing_new(COLUMNS, COLUMN_COUNT);
    json_open(&json, '{');
    json_key(&json, "periods");
    json_open(&json, '[');
    for (; period.from < to && count < PERIODS_MAX; count++) {
        write_period(&json, listing, calendar, &period);
        period = calendar_next(calendar, &period);
    }
    json_close(&json, ']');
    json_close(&json, '}');
    enum exit_code code = EXIT_DONE;
    if (period.from < to)
        code = usage_error(invocation, "more than %d periods", PERIODS_MAX);
    else if (invocation->json)
        (void)printf("%.*s\n", STR_ARGS(buf_view(&out)));
    else
        listing_print(listing);
    listing_free(listing);
    buf_fini(&out);
    return code;
}

static enum exit_code run(const struct invocation *invocation)
{
    enum period_kind kind = PERIOD_DAY;

    if (strcmp(invocation->operands[0], "periods") != 0)
        return usage_error(invocation, "'calendar' can 'periods', not '%s'",
                           invocation->operands[0]);
    if (!period_kind_parse(str_of(invocation->operands[1]), &kind))
        return usage_error(invocation, "not a kind of period: '%s'", invocation->operands[1]);
    struct calendar *calendar = offline_calendar(invocation);
    if (calendar == NULL)
        return EXIT_USAGE;
    enum exit_code code = print_periods(invocation, calendar, kind);
    calendar_free(calendar);
    return code;
}

const struct command COMMAND_CALENDAR = {
    .name = "calendar",
    .operands = "periods KIND",
    .help = "the periods of a range: kpictl calendar periods week --from 2026-10-01",
    .more = "KIND is minute, hour, day, week, month, quarter, half or year. Does not ask kpid;\n"
            "business days are Monday to Friday, holidays are not known here.",
    .operands_min = 2,
    .operands_max = 2,
    .options = {{"tz", 0, OPTION_TEXT, "ZONE", "time zone (the host's)"},
                {"from", 0, OPTION_TEXT, "T", "the first period holds this (now)"},
                {"to", 0, OPTION_TEXT, "T", "end (that of the first period)"}},
    .run = run,
};
