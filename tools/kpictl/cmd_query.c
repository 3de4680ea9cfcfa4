/* kpictl query EXPR: a formula over a range. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/calendar.h"
#include "command.h"
#include "kpi_text.h"
#include "listing.h"

static const struct listing_column COLUMNS[] = {{"FROM", false}, {"TO", false}, {"VALUE", true}};

enum { COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0] };

static void print_points(const json_t *answer)
{
    struct listing *listing = listing_new(COLUMNS, COLUMN_COUNT);
    const json_t *coverage = json_object_get(answer, "coverage");
    const char *newest = field_text(coverage, "newest", NULL);
    const char *note = NULL;
    struct calendar *calendar = kpi_calendar(answer);
    char from[KPI_TEXT_SIZE];
    char to[KPI_TEXT_SIZE];
    char value[KPI_TEXT_SIZE];
    size_t i = 0;
    json_t *point = NULL;

    json_array_foreach(json_object_get(answer, "points"), i, point)
    {
        const char *const cells[COLUMN_COUNT] = {
            kpi_time_text(calendar, field_text(point, "from", NULL), from),
            kpi_time_text(calendar, field_text(point, "to", NULL), to),
            kpi_value_text(point, value)};
        listing_add(listing, cells);
        if (note == NULL)
            note = field_text(point, "detail", NULL);
    }
    listing_print(listing);
    if (note != NULL)
        (void)printf("note: %s\n", note);
    if (newest != NULL)
        (void)printf("newest sample %s\n", kpi_time_text(calendar, newest, from));
    if (!json_is_true(json_object_get(coverage, "complete")))
        (void)printf("not complete: part of the range is not heard or not kept\n");
    if (json_is_true(json_object_get(coverage, "mixed_sources")))
        (void)printf("mixed sources: two senders wrote one series, so the figure is partial\n");
    calendar_free(calendar);
    listing_free(listing);
}

static enum exit_code run(const struct invocation *invocation)
{
    static const char *const names[] = {"from", "to", "step", "tz"};
    struct buf path = BUF_EMPTY;

    buf_text(&path, "/api/v1/query");
    client_add_parameter(&path, "expr", invocation->operands[0]);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        client_add_parameter(&path, names[i], option(invocation, names[i]));
    char *text = buf_take_text(&path);
    enum exit_code code = ask_and_print(invocation, text, NULL, print_points);
    free(text);
    return code;
}

const struct command COMMAND_QUERY = {
    .name = "query",
    .operands = "EXPR",
    .help = "a formula over a range: kpictl query 'sum(signup)' --from 2026-10-01 --step day",
    .more = "A date alone is a start's first instant, and an end's whole day.",
    .operands_min = 1,
    .operands_max = 1,
    .options = {{"from", 0, OPTION_TEXT, "T", "start (today)"},
                {"to", 0, OPTION_TEXT, "T", "end (now)"},
                {"step", 0, OPTION_TEXT, "STEP", "a point for each: 15m, 1h, 1d, day, week, month"},
                {"tz", 0, OPTION_TEXT, "ZONE", "time zone (the default calendar's)"}},
    .run = run,
};
