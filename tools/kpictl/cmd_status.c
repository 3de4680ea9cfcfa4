/* kpictl status: how every KPI stands. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/calendar.h"
#include "command.h"
#include "kpi_text.h"
#include "listing.h"

enum { STATUS_COLUMN = 4, VALUE_SIZE = 2 * KPI_TEXT_SIZE };

static const double WATCH_DEFAULT_S = 2;
static const double WATCH_MIN_S = 0.1;
static const double WATCH_MAX_S = 3600;

static const struct listing_column COLUMNS[] = {
    {"KPI", false},     {"VALUE", true},   {"TARGET", false},
    {"EXPECTED", true}, {"STATUS", false}, {"PERIOD", false},
};

enum { COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0] };

struct status_look {
    const char *name;
    const char *color; /* NULL: as it is */
    bool is_negative;  /* a finding for --check */
};

static const struct status_look LOOKS[] = {
    {"on_track", "green", false}, {"exceeding", "green", false}, {"hit", "green", false},
    {"at_risk", "yellow", false}, {"partial", "yellow", false},  {"behind", "red", true},
    {"missed", "red", true},      {"no_data", "magenta", false}, {"insufficient", "magenta", false},
};

static const struct status_look *find_look(const char *status)
{
    for (size_t i = 0; i < sizeof LOOKS / sizeof LOOKS[0]; i++)
        if (strcmp(LOOKS[i].name, status) == 0)
            return &LOOKS[i];
    return NULL;
}

/* A figure whose source is silent stands with its time (FIG-12). */
static const char *value_text(const json_t *kpi, const json_t *shown, char *out)
{
    const char *as_of = field_text(shown, "as_of", NULL);
    char value[KPI_TEXT_SIZE];

    (void)kpi_value_text(kpi, value);
    if (json_is_true(json_object_get(kpi, "stale")) && as_of != NULL)
        (void)snprintf(out, VALUE_SIZE, "%s, as of %s", value, as_of);
    else
        (void)snprintf(out, VALUE_SIZE, "%s", value);
    return out;
}

static void add_kpi(struct listing *listing, const json_t *kpi)
{
    const json_t *shown = json_object_get(kpi, "shown");
    const char *status = field_text(kpi, "status", "");
    const struct status_look *look = find_look(status);
    char value[VALUE_SIZE];
    char words[KPI_TEXT_SIZE];

    (void)kpi_words(status, words);
    const char *const cells[COLUMN_COUNT] = {
        field_text(kpi, "id", ""),
        value_text(kpi, shown, value),
        field_text(shown, "target", "-"),
        field_text(shown, "expected", "-"),
        words,
        field_text(json_object_get(kpi, "period"), "name", "-"),
    };
    listing_add(listing, cells);
    if (look != NULL)
        listing_color(listing, STATUS_COLUMN, look->color);
}

static bool has_negative(const json_t *answer)
{
    size_t i = 0;
    json_t *kpi = NULL;

    json_array_foreach(json_object_get(answer, "kpis"), i, kpi)
    {
        const struct status_look *look = find_look(field_text(kpi, "status", ""));
        if (look != NULL && look->is_negative)
            return true;
    }
    return false;
}

static void print_table(const json_t *answer)
{
    struct listing *listing = listing_new(COLUMNS, COLUMN_COUNT);
    struct calendar *calendar = kpi_calendar(answer);
    const char *newest = field_text(answer, "data_as_of", NULL);
    char as_of[KPI_TEXT_SIZE];
    size_t i = 0;
    json_t *kpi = NULL;

    json_array_foreach(json_object_get(answer, "kpis"), i, kpi)
    {
        add_kpi(listing, kpi);
    }
    if (i == 0)
        (void)printf("no KPIs: add some under 'kpis:' in kpid.yaml\n");
    else
        listing_print(listing);
    print_certificates(answer);
    (void)printf("data as of %s\n",
                 newest == NULL ? "never: no samples yet" : kpi_time_text(calendar, newest, as_of));
    calendar_free(calendar);
    listing_free(listing);
}

/* One look; `*is_negative` is the verdict. */
static enum exit_code look_once(const struct invocation *invocation, bool clear, bool *is_negative)
{
    struct client_answer answer;
    int code = client_call(&invocation->client, "/api/v1/status", NULL, &answer);

    if (code != EXIT_DONE)
        return (enum exit_code)code;
    if (clear)
        (void)fputs("\033[H\033[J", stdout); /* to the corner, and clear what follows */
    if (invocation->json)
        (void)fwrite(answer.body.bytes, 1, answer.body.len, stdout);
    else
        print_table(answer.json);
    *is_negative = has_negative(answer.json);
    client_answer_fini(&answer);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FINDING;
}

/* The seconds of --watch; false, with words on stderr, for what is none. */
static bool read_pause(const struct invocation *invocation, const char *text, struct timespec *out)
{
    double seconds = WATCH_DEFAULT_S;

    if (text != NULL && text[0] != '\0' &&
        (!str_parse_double(str_of(text), &seconds) || seconds < WATCH_MIN_S ||
         seconds > WATCH_MAX_S)) {
        (void)usage_error(invocation,
                          "'--watch' is a number of seconds from %.1f to %.0f, not "
                          "'%s'",
                          WATCH_MIN_S, WATCH_MAX_S, text);
        return false;
    }
    out->tv_sec = (time_t)seconds;
    out->tv_nsec = (long)((seconds - (double)out->tv_sec) * 1e9);
    return true;
}

static enum exit_code run(const struct invocation *invocation)
{
    const char *watch = option(invocation, "watch");
    struct timespec pause = {.tv_sec = 0};
    long count = watch == NULL ? 1 : LONG_MAX;
    bool in_place = watch != NULL && !invocation->json && isatty(STDOUT_FILENO) == 1;
    bool is_negative = false;

    if (!read_pause(invocation, watch, &pause) ||
        !option_number(invocation, "count", 1, LONG_MAX, &count))
        return EXIT_USAGE;
    for (long i = 0; i < count; i++) {
        if (i > 0) {
            (void)nanosleep(&pause, NULL);
            if (!in_place && !invocation->json)
                (void)fputc('\n', stdout);
        }
        enum exit_code code = look_once(invocation, in_place, &is_negative);
        if (code != EXIT_DONE)
            return code;
    }
    return is_negative && option(invocation, "check") != NULL ? EXIT_FINDING : EXIT_DONE;
}

const struct command COMMAND_STATUS = {
    .name = "status",
    .operands = "",
    .help = "how every KPI stands",
    .options = {{"watch", 0, OPTION_MAYBE, "SECONDS", "again and again, every 2 s or so many"},
                {"count", 0, OPTION_TEXT, "N", "end after so many tables"},
                {"check", 0, OPTION_FLAG, NULL, "exit 1 if a KPI is behind or missed"}},
    .run = run,
};
