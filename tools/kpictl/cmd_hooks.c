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

static enum exit_code run(const struct invocation *invocation)
{
    struct client_answer answer;
    int code = client_call(&invocation->client, "/api/v1/hooks", NULL, &answer);
    size_t i = 0;
    json_t *hook = NULL;

    if (code != EXIT_DONE)
        return (enum exit_code)code;
    if (invocation->json) {
        (void)fwrite(answer.body.bytes, 1, answer.body.len, stdout);
    } else {
        struct listing *listing = listing_new(COLUMNS, COLUMN_COUNT);
        json_array_foreach(json_object_get(answer.json, "hooks"), i, hook)
        {
            add_hook(listing, hook);
        }
        if (i == 0)
            (void)printf("no hooks\n");
        else
            listing_print(listing);
        listing_free(listing);
    }
    client_answer_fini(&answer);
    return EXIT_DONE;
}

const struct command COMMAND_HOOKS = {
    .name = "hooks",
    .operands = "",
    .help = "what each hook has sent, and what waits",
    .run = run,
};
