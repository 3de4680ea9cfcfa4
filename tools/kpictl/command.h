/* The commands of kpictl, and what each is given.
 *
 * To add one: write cmd_NAME.c with a `struct command`, add it to the table in command.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "client.h"

/* The exit codes of kpictl, which stay (design section 9). */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FINDING = 1,     /* or a negative verdict */
    EXIT_USAGE = 2,       /* wrong usage */
    EXIT_UNREACHABLE = 3, /* kpid does not answer */
    EXIT_REFUSED = 4,     /* kpid said no */
};

enum option_value {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_MAYBE, /* a number may follow */
    OPTION_MANY,  /* a text; it may stand more than once */
};

struct command_option {
    const char *name; /* "from" of "--from" */
    char letter;      /* 'n' of "-n"; 0 without */
    enum option_value value;
    const char *value_name; /* "T" */
    const char *help;
};

enum { OPTIONS_MAX = 12, OPERANDS_MAX = 80, MANY_MAX = 64 };

/* One call of kpictl, as it was read. */
struct invocation {
    const struct command *command;
    struct client client;
    bool json;
    bool help;
    const char *values[OPTIONS_MAX]; /* of the command's options, in their order; "" for a flag */
    const char *many[MANY_MAX];      /* of the command's option that may stand more than once */
    size_t many_count;
    const char *operands[OPERANDS_MAX];
    size_t operand_count;
};

struct command {
    const char *name;
    const char *operands; /* "KPI", for the usage line */
    const char *help;     /* one line */
    const char *more;     /* for --help; NULL without */
    size_t operands_min, operands_max;
    struct command_option options[OPTIONS_MAX]; /* ends with a NULL name */
    enum exit_code (*run)(const struct invocation *invocation);
};

extern const struct command COMMAND_STATUS;
extern const struct command COMMAND_SHOW;
extern const struct command COMMAND_QUERY;
extern const struct command COMMAND_INGEST;
extern const struct command COMMAND_METRICS;
extern const struct command COMMAND_PUSH;
extern const struct command COMMAND_ANNOTATIONS;
extern const struct command COMMAND_ANNOTATE;
extern const struct command COMMAND_ALERTS;
extern const struct command COMMAND_HOOKS;
extern const struct command COMMAND_CRON;
extern const struct command COMMAND_CALENDAR;
extern const struct command COMMAND_BACKUP;
extern const struct command COMMAND_RESTORE;
extern const struct command COMMAND_EXPORT;
extern const struct command COMMAND_IMPORT;
extern const struct command COMMAND_COMPACT;
extern const struct command COMMAND_VERIFY;
extern const struct command COMMAND_CLOCK;
extern const struct command COMMAND_TOKEN;
extern const struct command COMMAND_VERSION;

/* Reads the command line. False, with words on stderr, for wrong usage. `out->command` is NULL for
 * help on all commands. */
bool command_read(int argc, char **argv, struct invocation *out);

/* The usage of a command, or of kpictl when it is NULL, on stdout. */
void command_print_help(const struct command *command);

/* The value of an option of the command; NULL when it was not given. */
const char *option(const struct invocation *invocation, const char *name);

/* Says on stderr what is wrong with the command line, and where the usage is. EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) enum exit_code usage_error(
    const struct invocation *invocation, const char *format, ...);

/* Asks kpid for `path` (a POST of `body` when it is not NULL) and prints the answer: as it came
 * with
 * --json, else by `print`. The exit code; errors are on stderr already. */
typedef void (*print_answer_fn)(const struct json_t *answer);
enum exit_code ask_and_print(const struct invocation *invocation, const char *path,
                             const char *body, print_answer_fn print);

/* Those that have expired, or will soon: a line each. */
void print_certificates(const struct json_t *answer);

/* An option that is a whole number from `min` to `max`; `*out` is left alone when it is not given.
 * False, with words on stderr, when it is something else. */
bool option_number(const struct invocation *invocation, const char *name, long min, long max,
                   long *out);
