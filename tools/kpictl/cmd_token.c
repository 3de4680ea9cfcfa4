/* kpictl token: who may speak, and as what. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "command.h"
#include "listing.h"

static const struct listing_column COLUMNS[] = {
    {"NAME", false}, {"ROLE", false},    {"FROM", false},   {"MADE", false},
    {"BY", false},   {"REQUESTS", true}, {"SAMPLES", true},
};

enum { COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0], NUMBER_SIZE = 24 };

static void print_tokens(const json_t *answer)
{
    struct listing *listing = listing_new(COLUMNS, COLUMN_COUNT);
    size_t i = 0;
    json_t *token = NULL;

    json_array_foreach(json_object_get(answer, "tokens"), i, token)
    {
        char requests[NUMBER_SIZE];
        char samples[NUMBER_SIZE];
        (void)snprintf(requests, sizeof requests, "%lld", field_count(token, "requests"));
        (void)snprintf(samples, sizeof samples, "%lld", field_count(token, "samples"));
        const char *const cells[COLUMN_COUNT] = {
            field_text(token, "name", ""),
            field_text(token, "role", ""),
            field_text(token, "source", ""),
            field_text(token, "made_at", "-"),
            field_text(token, "by", "-"),
            requests,
            samples,
        };
        listing_add(listing, cells);
    }
    if (i == 0)
        (void)printf("no tokens\n");
    else
        listing_print(listing);
    listing_free(listing);
}

/* The token alone on stdout, so that a script can take it. */
static void print_added(const json_t *answer)
{
    (void)printf("%s\n", field_text(answer, "token", ""));
    (void)fflush(stdout);
    (void)fprintf(stderr, "token '%s' with the role %s; it is shown only now\n",
                  field_text(answer, "name", ""), field_text(answer, "role", ""));
}

static void print_revoked(const json_t *answer)
{
    (void)printf("token '%s' is revoked\n", field_text(answer, "name", ""));
}

static enum exit_code post(const struct invocation *invocation, const char *path, const char *role,
                           print_answer_fn print)
{
    struct buf body = BUF_EMPTY;
    struct json json = json_to(&body);

    json_open(&json, '{');
    json_field_text(&json, "name", invocation->operands[1]);
    if (role != NULL)
        json_field_text(&json, "role", role);
    json_close(&json, '}');
    char *text = buf_take_text(&body);
    enum exit_code code = ask_and_print(invocation, path, text, print);
    free(text);
    return code;
}

static enum exit_code run(const struct invocation *invocation)
{
    const char *verb = invocation->operands[0];
    const char *role = option(invocation, "role");
    bool adds = strcmp(verb, "add") == 0;
    bool revokes = strcmp(verb, "revoke") == 0;

    if (!adds && !revokes && strcmp(verb, "list") != 0)
        return usage_error(invocation, "'%s' is none of add, list and revoke", verb);
    if ((adds || revokes) != (invocation->operand_count == 2))
        return usage_error(invocation, "'token %s' takes %s name", verb,
                           adds || revokes ? "a" : "no");
    if (adds != (role != NULL))
        return usage_error(invocation, adds ? "'token add' needs --role" : "--role is for add");
    if (adds)
        return post(invocation, "/api/v1/tokens", role, print_added);
    if (revokes)
        return post(invocation, "/api/v1/tokens/revoke", NULL, print_revoked);
    return ask_and_print(invocation, "/api/v1/tokens", NULL, print_tokens);
}

const struct command COMMAND_TOKEN = {
    .name = "token",
    .operands = "add NAME --role ROLE | list | revoke NAME",
    .help = "who may speak over the network, and as what",
    .more =
        "Roles: ingest sends samples and nothing else; viewer reads; editor also adds notes and\n"
        "sends samples; approver also decides; admin may do everything. A new token is printed\n"
        "once; kpid keeps its hash. A revoked one is refused from that moment on.",
    .operands_min = 1,
    .operands_max = 2,
    .options = {{"role", 0, OPTION_TEXT, "ROLE", "ingest, viewer, editor, approver or admin"}},
    .run = run,
};
