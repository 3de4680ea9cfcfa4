/* kpictl annotations: what happened, beside the figures; kpictl annotate: a note of one's own. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/calendar.h"
#include "base/json.h"
#include "command.h"
#include "kpi_text.h"
#include "listing.h"

static const struct listing_column COLUMNS[] = {
    {"AT", false}, {"KIND", false}, {"TITLE", false}, {"TEXT", false}, {"TAGS", false},
};

enum { COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0], KIND_COLUMN = 1, TEXT_SHOWN = 60 };

static char *joined_tags(const json_t *annotation)
{
    const char *host = field_text(annotation, "host", NULL);
    struct buf text = BUF_EMPTY;
    size_t i = 0;
    json_t *tag = NULL;

    if (host != NULL)
        buf_printf(&text, "host:%s", host);
    json_array_foreach(json_object_get(annotation, "tags"), i, tag)
    {
        buf_printf(&text, "%s%s", text.len > 0 ? "," : "", json_string_value(tag));
    }
    return buf_take_text(&text);
}

/* Its first line, or as much of it as fits: the whole is for --json. */
static char *first_line(const char *text)
{
    struct str rest = str_of(text);
    struct str line = str_split(&rest, '\n');
    struct buf out = BUF_EMPTY;
    size_t len = line.len;

    if (len > TEXT_SHOWN) {
        len = TEXT_SHOWN;
        while (len > 0 && ((unsigned char)line.text[len] & 0xC0) == 0x80)
            len--;
    }
    buf_str(&out, (struct str){line.text, len});
    if (len < strlen(text))
        buf_text(&out, "...");
    return buf_take_text(&out);
}

static void add_annotation(struct listing *listing, const struct calendar *calendar,
                           const json_t *annotation)
{
    const char *kind = field_text(annotation, "kind", "");
    char *title = first_line(field_text(annotation, "title", ""));
    char *text = first_line(field_text(annotation, "text", ""));
    char *tags = joined_tags(annotation);
    char at[KPI_TEXT_SIZE];
    const char *const cells[COLUMN_COUNT] = {
        kpi_time_text(calendar, field_text(annotation, "at", NULL), at), kind, title, text, tags};

    listing_add(listing, cells);
    if (strcmp(kind, "error") == 0)
        listing_color(listing, KIND_COLUMN, "red");
    else if (strcmp(kind, "warning") == 0)
        listing_color(listing, KIND_COLUMN, "yellow");
    else if (strcmp(kind, "success") == 0)
        listing_color(listing, KIND_COLUMN, "green");
    free(title);
    free(text);
    free(tags);
}

/* The newest last, as a terminal shows it best. */
static void print_annotations(const json_t *answer)
{
    struct listing *listing = listing_new(COLUMNS, COLUMN_COUNT);
    struct calendar *calendar = kpi_calendar(answer);
    const json_t *list = json_object_get(answer, "annotations");
    size_t count = json_array_size(list);

    for (size_t i = count; i-- > 0;)
        add_annotation(listing, calendar, json_array_get(list, i));
    if (count == 0)
        (void)printf("no annotations\n");
    else
        listing_print(listing);
    if (field_text(answer, "before", NULL) != NULL)
        (void)printf("older ones are not shown: see '-n' and '--to'\n");
    calendar_free(calendar);
    listing_free(listing);
}

static enum exit_code run_annotations(const struct invocation *invocation)
{
    enum { SHOWN = 100, SHOWN_MAX = 1000 };
    struct buf path = BUF_EMPTY;
    char limit[24];
    long shown = SHOWN;

    if (!option_number(invocation, "number", 1, SHOWN_MAX, &shown))
        return EXIT_USAGE;
    (void)snprintf(limit, sizeof limit, "%ld", shown);
    buf_text(&path, "/api/v1/annotations");
    client_add_parameter(&path, "from", option(invocation, "from"));
    client_add_parameter(&path, "to", option(invocation, "to"));
    client_add_parameter(&path, "limit", limit);
    char *text = buf_take_text(&path);
    enum exit_code code = ask_and_print(invocation, text, NULL, print_annotations);
    free(text);
    return code;
}

const struct command COMMAND_ANNOTATIONS = {
    .name = "annotations",
    .operands = "",
    .help = "what happened: events, service checks that changed, notes of people",
    .more = "The newest ones, in the order of their times. A text is shown by its first line; "
            "'--json' has all of it.",
    .options = {{"from", 0, OPTION_TEXT, "T", "not before"},
                {"to", 0, OPTION_TEXT, "T", "before"},
                {"number", 'n', OPTION_TEXT, "N", "how many (100)"}},
    .run = run_annotations,
};

/* --- annotate --- */

/* LABEL=VALUE is the tag LABEL:VALUE; a word alone is a tag as well. */
static bool write_tags(const struct invocation *invocation, struct json *json)
{
    for (size_t i = 1; i < invocation->operand_count; i++) {
        struct str value = str_of(invocation->operands[i]);
        struct str name = str_split(&value, '=');
        struct buf tag = BUF_EMPTY;
        if (name.len == 0 || strchr(invocation->operands[i], ',') != NULL ||
            !str_is_utf8(str_of(invocation->operands[i]))) {
            (void)usage_error(invocation, "not a tag: '%s'", invocation->operands[i]);
            return false;
        }
        buf_str(&tag, name);
        if (value.len > 0) {
            buf_char(&tag, ':');
            buf_str(&tag, value);
        }
        json_str(json, buf_view(&tag));
        buf_fini(&tag);
    }
    return true;
}

static bool write_note(const struct invocation *invocation, struct buf *body)
{
    static const char *const names[] = {"at", "text", "kind", "key"};
    struct json json = json_to(body);

    json_open(&json, '{');
    json_key(&json, "annotations");
    json_open(&json, '[');
    json_open(&json, '{');
    json_field_text(&json, "title", invocation->operands[0]);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (option(invocation, names[i]) != NULL)
            json_field_text(&json, names[i], option(invocation, names[i]));
    }
    json_field_text(&json, "source", "kpictl");
    json_key(&json, "tags");
    json_open(&json, '[');
    if (!write_tags(invocation, &json))
        return false;
    json_close(&json, ']');
    json_close(&json, '}');
    json_close(&json, ']');
    json_close(&json, '}');
    return true;
}

static void print_stored(const json_t *answer)
{
    (void)printf("stored %lld annotation\n", field_count(answer, "stored"));
}

static enum exit_code run_annotate(const struct invocation *invocation)
{
    struct buf body = BUF_EMPTY;

    if (!write_note(invocation, &body)) {
        buf_fini(&body);
        return EXIT_USAGE;
    }
    char *text = buf_take_text(&body);
    enum exit_code code = ask_and_print(invocation, "/api/v1/annotations", text, print_stored);
    free(text);
    return code;
}

const struct command COMMAND_ANNOTATE = {
    .name = "annotate",
    .operands = "TITLE [TAG=VALUE...]",
    .help = "a note at a time: kpictl annotate 'release 7.1' env=prod",
    .more = "It returns when the note is stored.",
    .operands_min = 1,
    .operands_max = OPERANDS_MAX,
    .options = {{"at", 0, OPTION_TEXT, "T", "its time (now)"},
                {"text", 0, OPTION_TEXT, "TEXT", "more about it"},
                {"kind", 0, OPTION_TEXT, "KIND", "info, success, warning or error (info)"},
                {"key", 0, OPTION_TEXT, "KEY", "those with the same one are about one thing"}},
    .run = run_annotate,
};
