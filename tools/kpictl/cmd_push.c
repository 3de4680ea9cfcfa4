/* kpictl push NAME=VALUE [LABEL=VALUE ...]: one sample, answered when it is stored. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "command.h"

/* "name=value"; false, with words on stderr, without "=" or a name. */
static bool split(const struct invocation *invocation, const char *text, struct str *name,
                  struct str *value)
{
    struct str rest = str_of(text);
    size_t len = rest.len;

    *name = str_split(&rest, '=');
    *value = rest;
    if (!str_is_utf8(str_of(text))) {
        char quoted[STR_QUOTED_SIZE];
        (void)usage_error(invocation, "not UTF-8: '%s'", str_quoted(str_of(text), quoted));
        return false;
    }
    if (name->len > 0 && name->len < len)
        return true;
    (void)usage_error(invocation, "not of the form NAME=VALUE: '%s'", text);
    return false;
}

/* The labels after the sample; none may stand twice. */
static bool write_labels(const struct invocation *invocation, struct json *json)
{
    struct str names[OPERANDS_MAX];
    struct str value;

    for (size_t i = 1; i < invocation->operand_count; i++) {
        if (!split(invocation, invocation->operands[i], &names[i], &value))
            return false;
        for (size_t j = 1; j < i; j++) {
            if (!str_equal(names[i], names[j]))
                continue;
            (void)usage_error(invocation, "label '%.*s' stands twice", STR_ARGS(names[i]));
            return false;
        }
        json_key_str(json, names[i]);
        json_str(json, value);
    }
    return true;
}

static bool write_body(const struct invocation *invocation, struct buf *body)
{
    struct json json = json_to(body);
    struct str name;
    struct str value;

    if (!split(invocation, invocation->operands[0], &name, &value))
        return false;
    json_open(&json, '{');
    json_key(&json, "samples");
    json_open(&json, '[');
    json_open(&json, '{');
    json_field_str(&json, "name", name);
    json_field_str(&json, "value", value); /* as text: kpid reads the number itself */
    if (option(invocation, "type") != NULL)
        json_field_text(&json, "type", option(invocation, "type"));
    if (option(invocation, "at") != NULL)
        json_field_text(&json, "at", option(invocation, "at"));
    if (option(invocation, "id") != NULL)
        json_field_text(&json, "id", option(invocation, "id"));
    if (invocation->operand_count > 1) {
        json_key(&json, "labels");
        json_open(&json, '{');
        if (!write_labels(invocation, &json))
            return false;
        json_close(&json, '}');
    }
    json_close(&json, '}');
    json_close(&json, ']');
    json_close(&json, '}');
    return true;
}

static void print_stored(const struct json_t *answer)
{
    (void)printf("stored %lld sample\n", field_count(answer, "stored"));
}

static enum exit_code run(const struct invocation *invocation)
{
    struct buf body = BUF_EMPTY;

    if (!write_body(invocation, &body)) {
        buf_fini(&body);
        return EXIT_USAGE;
    }
    char *text = buf_take_text(&body);
    enum exit_code code = ask_and_print(invocation, "/api/v1/push", text, print_stored);
    free(text);
    return code;
}

const struct command COMMAND_PUSH = {
    .name = "push",
    .operands = "NAME=VALUE [LABEL=VALUE...]",
    .help = "stores one sample: kpictl push leads=12 source=fair",
    .more = "It returns when the sample is stored. A declared type beats '--type'.",
    .operands_min = 1,
    .operands_max = OPERANDS_MAX,
    .options = {{"at", 0, OPTION_TEXT, "T", "its time (now)"},
                {"id", 0, OPTION_TEXT, "ID", "the same push with it counts once"},
                {"type", 0, OPTION_TEXT, "TYPE",
                 "counter, gauge, distribution, unique, score or untyped (untyped)"}},
    .run = run,
};
