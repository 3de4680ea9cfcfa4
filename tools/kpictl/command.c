#include "command.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const char DEFAULT_SOCKET[] = "/run/kpid/kpid.sock";

static const struct command *const COMMANDS[] = {
    &COMMAND_STATUS,  &COMMAND_SHOW,        &COMMAND_QUERY,    &COMMAND_INGEST,  &COMMAND_METRICS,
    &COMMAND_PUSH,    &COMMAND_ANNOTATIONS, &COMMAND_ANNOTATE, &COMMAND_ALERTS,  &COMMAND_HOOKS,
    &COMMAND_CRON,    &COMMAND_CALENDAR,    &COMMAND_BACKUP,   &COMMAND_RESTORE, &COMMAND_EXPORT,
    &COMMAND_IMPORT,  &COMMAND_COMPACT,     &COMMAND_VERIFY,   &COMMAND_CLOCK,   &COMMAND_TOKEN,
    &COMMAND_VERSION,
};

enum { COMMAND_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

/* Options of every command. */
static const struct command_option GLOBAL_OPTIONS[] = {
    {"socket", 0, OPTION_TEXT, "PATH", "kpid's control socket (/run/kpid/kpid.sock)"},
    {"url", 0, OPTION_TEXT, "URL", "kpid's address instead of the socket"},
    {"token-file", 0, OPTION_TEXT, "FILE", "a file with the token to show there"},
    {"ca-file", 0, OPTION_TEXT, "FILE", "the authorities that kpid's certificate is of (TLS)"},
    {"cert-file", 0, OPTION_TEXT, "FILE", "a certificate to show to kpid (TLS)"},
    {"key-file", 0, OPTION_TEXT, "FILE", "its key, where that is not in the same file"},
    {"json", 0, OPTION_FLAG, NULL, "print JSON"},
    {"help", 'h', OPTION_FLAG, NULL, "say how it is used"},
};

enum { GLOBAL_COUNT = sizeof GLOBAL_OPTIONS / sizeof GLOBAL_OPTIONS[0] };

/* The arguments that are still to be read. */
struct arguments {
    int count;
    char **values;
    int at;
};

static size_t option_count(const struct command *command)
{
    size_t count = 0;
    while (command != NULL && count < OPTIONS_MAX && command->options[count].name != NULL)
        count++;
    return count;
}

static void usage_hint(const struct command *command)
{
    if (command == NULL)
        (void)fprintf(stderr, "  hint: see 'kpictl help'\n");
    else
        (void)fprintf(stderr, "  hint: see 'kpictl %s --help'\n", command->name);
}

enum exit_code usage_error(const struct invocation *invocation, const char *format, ...)
{
    va_list arguments;

    (void)fputs("kpictl: ", stderr);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    usage_hint(invocation->command);
    return EXIT_USAGE;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(COMMANDS[i]->name, name) == 0)
            return COMMANDS[i];
    return NULL;
}

static bool unknown_command(const char *name)
{
    const char *names[COMMAND_COUNT + 1];
    char quoted[STR_QUOTED_SIZE];

    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[i] = COMMANDS[i]->name;
    names[COMMAND_COUNT] = "help";
    const char *near = str_nearest(str_of(name), names, COMMAND_COUNT + 1);
    (void)fprintf(stderr, "kpictl: unknown command '%s'\n", str_quoted(str_of(name), quoted));
    if (near != NULL)
        (void)fprintf(stderr, "  hint: did you mean '%s'?\n", near);
    else
        usage_hint(NULL);
    return false;
}

static bool unknown_option(const struct command *command, const char *argument)
{
    const char *names[OPTIONS_MAX + GLOBAL_COUNT];
    size_t count = 0;
    char quoted[STR_QUOTED_SIZE];
    struct str name = str_of(argument[1] == '-' ? argument + 2 : argument + 1);

    for (size_t i = 0; i < GLOBAL_COUNT; i++)
        names[count++] = GLOBAL_OPTIONS[i].name;
    for (size_t i = 0; i < option_count(command); i++)
        names[count++] = command->options[i].name;
    const char *near = str_nearest(str_split(&name, '='), names, count);
    (void)fprintf(stderr, "kpictl: unknown option '%s'\n", str_quoted(str_of(argument), quoted));
    if (near != NULL)
        (void)fprintf(stderr, "  hint: did you mean '--%s'?\n", near);
    else
        usage_hint(command);
    return false;
}

/* Whether `argument` is this option; `*value` is what stands after "=", else NULL. */
static bool is_option(const struct command_option *option, const char *argument, const char **value)
{
    size_t len = strlen(option->name);

    *value = NULL;
    if (option->letter != 0 && argument[0] == '-' && argument[1] == option->letter &&
        argument[2] == '\0')
        return true;
    if (strncmp(argument, "--", 2) != 0 || strncmp(argument + 2, option->name, len) != 0)
        return false;
    if (argument[2 + len] == '=')
        *value = argument + 2 + len + 1;
    return argument[2 + len] == '\0' || argument[2 + len] == '=';
}

static bool take_value(const struct invocation *invocation, const struct command_option *option,
                       struct arguments *arguments, const char **value)
{
    const char *next =
        arguments->at + 1 < arguments->count ? arguments->values[arguments->at + 1] : NULL;
    double number = 0;

    if (option->value == OPTION_FLAG && *value != NULL) {
        (void)usage_error(invocation, "'--%s' takes no value", option->name);
        return false;
    }
    if (*value != NULL)
        return true;
    bool is_text = option->value == OPTION_TEXT || option->value == OPTION_MANY;
    if (is_text && next == NULL) {
        (void)usage_error(invocation, "'--%s' needs a value: %s", option->name, option->value_name);
        return false;
    }
    if (is_text || (option->value == OPTION_MAYBE && next != NULL &&
                    str_parse_double(str_of(next), &number))) {
        *value = next;
        arguments->at++;
    } else {
        *value = "";
    }
    return true;
}

static bool keep_many(struct invocation *out, const char *value)
{
    if (out->many_count == MANY_MAX) {
        (void)usage_error(out, "an option stands more than %d times", MANY_MAX);
        return false;
    }
    out->many[out->many_count++] = value;
    return true;
}

static void set_global(struct invocation *out, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **field;
    } texts[] = {
        {"socket", &out->client.socket},         {"url", &out->client.url},
        {"token-file", &out->client.token_file}, {"ca-file", &out->client.ca_file},
        {"cert-file", &out->client.cert_file},   {"key-file", &out->client.key_file},
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(texts[i].name, name) == 0)
            *texts[i].field = value;
    }
    if (strcmp(name, "json") == 0)
        out->json = true;
    else if (strcmp(name, "help") == 0)
        out->help = true;
}

static bool read_option(struct invocation *out, struct arguments *arguments)
{
    const char *argument = arguments->values[arguments->at];
    const char *value = NULL;

    if (out->command == NULL && strcmp(argument, "--version") == 0) {
        out->command = &COMMAND_VERSION;
        return true;
    }
    for (size_t i = 0; i < GLOBAL_COUNT; i++) {
        if (!is_option(&GLOBAL_OPTIONS[i], argument, &value))
            continue;
        if (!take_value(out, &GLOBAL_OPTIONS[i], arguments, &value))
            return false;
        set_global(out, GLOBAL_OPTIONS[i].name, value);
        return true;
    }
    for (size_t i = 0; i < option_count(out->command); i++) {
        if (!is_option(&out->command->options[i], argument, &value))
            continue;
        if (!take_value(out, &out->command->options[i], arguments, &value))
            return false;
        out->values[i] = value;
        return out->command->options[i].value != OPTION_MANY || keep_many(out, value);
    }
    return unknown_option(out->command, argument);
}

static bool read_operand(struct invocation *out, const char *argument)
{
    if (out->command == NULL && strcmp(argument, "help") == 0) {
        out->help = true;
        return true;
    }
    if (out->command == NULL) {
        out->command = find_command(argument);
        return out->command != NULL || unknown_command(argument);
    }
    if (out->operand_count == out->command->operands_max && !out->help) {
        (void)usage_error(out, "'%s' takes no further argument: '%s'", out->command->name,
                          argument);
        return false;
    }
    if (out->operand_count < OPERANDS_MAX)
        out->operands[out->operand_count++] = argument;
    return true;
}

bool command_read(int argc, char **argv, struct invocation *out)
{
    struct arguments arguments = {argc, argv, 1};
    bool options_end = false;

    *out = (struct invocation){.client.socket = DEFAULT_SOCKET};
    for (; arguments.at < argc; arguments.at++) {
        const char *argument = argv[arguments.at];
        if (!options_end && strcmp(argument, "--") == 0) {
            options_end = true;
            continue;
        }
        bool is_an_option = !options_end && argument[0] == '-' && argument[1] != '\0';
        if (is_an_option ? !read_option(out, &arguments) : !read_operand(out, argument))
            return false;
    }
    if (out->help)
        return true;
    if (out->command == NULL) {
        (void)usage_error(out, "there is no command");
        return false;
    }
    if (out->operand_count < out->command->operands_min) {
        (void)usage_error(out, "'%s' needs %s", out->command->name, out->command->operands);
        return false;
    }
    return true;
}

static void print_options(const struct command_option *options, size_t count)
{
    char left[64];

    for (size_t i = 0; i < count; i++) {
        const struct command_option *item = &options[i];
        int len = snprintf(left, sizeof left, "--%s", item->name);
        if (item->letter != 0)
            len = snprintf(left, sizeof left, "-%c, --%s", item->letter, item->name);
        if ((item->value == OPTION_TEXT || item->value == OPTION_MANY) && len > 0)
            (void)snprintf(left + len, sizeof left - (size_t)len, " %s", item->value_name);
        if (item->value == OPTION_MAYBE && len > 0)
            (void)snprintf(left + len, sizeof left - (size_t)len, " [%s]", item->value_name);
        (void)printf("  %-20s  %s\n", left, item->help);
    }
}

void command_print_help(const struct command *command)
{
    if (command != NULL) {
        (void)printf("usage: kpictl %s%s%s [OPTION...]\n%s\n", command->name,
                     command->operands[0] == '\0' ? "" : " ", command->operands, command->help);
        if (command->more != NULL)
            (void)printf("%s\n", command->more);
        (void)printf("\n");
        print_options(command->options, option_count(command));
    } else {
        (void)printf("usage: kpictl COMMAND [OPTION...]\n\n");
        for (size_t i = 0; i < COMMAND_COUNT; i++)
            (void)printf("  %-20s  %s\n", COMMANDS[i]->name, COMMANDS[i]->help);
        (void)printf("  %-20s  %s\n\n", "help", "say how a command is used: 'kpictl help query'");
    }
    print_options(GLOBAL_OPTIONS, GLOBAL_COUNT);
    (void)printf("\nexit codes: 0 done, 1 a finding or a negative verdict, 2 wrong usage,\n"
                 "3 kpid not reachable, 4 refused\n");
}

const char *option(const struct invocation *invocation, const char *name)
{
    for (size_t i = 0; i < option_count(invocation->command); i++)
        if (strcmp(invocation->command->options[i].name, name) == 0)
            return invocation->values[i];
    return NULL;
}

bool option_number(const struct invocation *invocation, const char *name, long min, long max,
                   long *out)
{
    const char *text = option(invocation, name);
    int64_t number = 0;

    if (text == NULL || text[0] == '\0')
        return true;
    if (!str_parse_i64(str_of(text), &number) || number < min || number > max) {
        (void)usage_error(invocation, "'--%s' is a whole number from %ld to %ld, not '%s'", name,
                          min, max, text);
        return false;
    }
    *out = (long)number;
    return true;
}

void print_certificates(const struct json_t *answer)
{
    size_t i = 0;
    json_t *certificate = NULL;

    json_array_foreach(json_object_get(answer, "certificates"), i, certificate)
    {
        if (json_is_true(json_object_get(certificate, "is_expiring")))
            (void)printf("certificate '%s' %s %s\n", field_text(certificate, "file", ""),
                         json_is_true(json_object_get(certificate, "is_expired")) ? "expired on"
                                                                                  : "expires on",
                         field_text(certificate, "expires_at", ""));
    }
}

enum exit_code ask_and_print(const struct invocation *invocation, const char *path,
                             const char *body, print_answer_fn print)
{
    struct client_answer answer;
    int code = client_call(&invocation->client, path, body, &answer);

    if (code != EXIT_DONE)
        return (enum exit_code)code;
    if (invocation->json)
        (void)fwrite(answer.body.bytes, 1, answer.body.len, stdout);
    else
        print(answer.json);
    client_answer_fini(&answer);
    return EXIT_DONE;
}
