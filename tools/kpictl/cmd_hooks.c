/* kpictl hooks: what each hook has delivered. */
#include <jansson.h>
#include <stdio.h>

#include "command.h"
#include "listing.h"

static const struct listing_column COLUMNS[] = {
    {"NAME", false}, {"TYPE", false}, {"PENDING", true},
    {"SENT", true},  {"DEAD", true},  {"LAST ERROR", false},
};

enum { COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0], DEAD_COLUMN = 4, NUMBER_SIZE = 24 };

static void add_hook(struct listing *listing, const json_t *hook)
{
    static const char *const names[] = {"pending", "sent", "dead"};
    char numbers[3][NUMBER_SIZE];

    for (size_t i = 0; i < 3; i++)
        (void)snprintf(numbers[i], NUMBER_SIZE, "%lld", field_count(hook, names[i]));
    const char *const cells[COLUMN_COUNT] = {
        field_text(hook, "name", ""),
        field_text(hook, "type", ""),
        numbers[0],
        numbers[1],
        numbers[2],
        field_text(hook, "last_error", "-"),
    };
    listing_add(listing, cells);
    if (field_count(hook, "dead") > 0)
        listing_color(listing, DEAD_COLUMN, "red");
}

static void print_hooks(const json_t *answer)
{
    struct listing *listing = listing_new(COLUMNS, COLUMN_COUNT);
    size_t i = 0;
    json_t *hook = NULL;

    json_array_foreach(json_object_get(answer, "hooks"), i, hook)
    {
        add_hook(listing, hook);
    }
    if (i == 0)
        (void)printf("no hooks\n");
    else
        listing_print(listing);
    listing_free(listing);
}

static enum exit_code run(const struct invocation *invocation)
{
    return ask_and_print(invocation, "/api/v1/hooks", NULL, print_hooks);
}

const struct command COMMAND_HOOKS = {
    .name = "hooks",
    .operands = "",
    .help = "what each hook has sent, and what waits",
    .run = run,
};
