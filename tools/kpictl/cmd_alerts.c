/* kpictl alerts: what is pending or firing. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "listing.h"

static const struct listing_column COLUMNS[] = {
    {"RULE", false}, {"STATE", false}, {"SINCE", false}, {"VALUE", true}, {"SEVERITY", false},
};

enum { COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0], STATE_COLUMN = 1 };

static void add_alert(struct listing *listing, const json_t *alert)
{
    const json_t *shown = json_object_get(alert, "shown");
    const char *state = field_text(alert, "state", "");
    const char *const cells[COLUMN_COUNT] = {
        field_text(alert, "rule", ""),     state,
        field_text(shown, "since", "-"),   field_text(shown, "value", "-"),
        field_text(alert, "severity", ""),
    };
    listing_add(listing, cells);
    if (strcmp(state, "firing") == 0)
        listing_color(listing, STATE_COLUMN, "red");
    else if (strcmp(state, "pending") == 0)
        listing_color(listing, STATE_COLUMN, "yellow");
}

static void print_list(const json_t *answer, const char *none)
{
    struct listing *listing = listing_new(COLUMNS, COLUMN_COUNT);
    size_t i = 0;
    json_t *alert = NULL;

    json_array_foreach(json_object_get(answer, "alerts"), i, alert)
    {
        add_alert(listing, alert);
    }
    if (i == 0)
        (void)printf("%s\n", none);
    else
        listing_print(listing);
    listing_free(listing);
}

static void print_alerts(const json_t *answer)
{
    print_list(answer, "no alerts");
}

static void print_all(const json_t *answer)
{
    print_list(answer, "no rules");
}

static enum exit_code run(const struct invocation *invocation)
{
    bool all = option(invocation, "all") != NULL;
    return all ? ask_and_print(invocation, "/api/v1/alerts?all=1", NULL, print_all)
               : ask_and_print(invocation, "/api/v1/alerts", NULL, print_alerts);
}

const struct command COMMAND_ALERTS = {
    .name = "alerts",
    .operands = "",
    .help = "the rules that are pending or firing",
    .options = {{"all", 0, OPTION_FLAG, NULL, "inactive ones too"}},
    .run = run,
};
