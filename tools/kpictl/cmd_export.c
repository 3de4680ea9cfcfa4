/* kpictl export, import: raw cells as lines of JSON. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "command.h"
#include "import_csv.h"
#include "note_lines.h"

enum { BATCH_BYTES = 512 * 1024, LINE_MAX_BYTES = 1000 * 1000 };

/* --- export --- */

/* A page; its place goes into `after`, which is empty at the end. */
static enum exit_code print_page(const struct invocation *invocation, struct buf *after)
{
    struct buf path = BUF_EMPTY;
    struct client_answer answer;

    buf_text(&path, "/api/v1/store/export");
    client_add_parameter(&path, "metric", option(invocation, "metric"));
    client_add_parameter(&path, "zone", option(invocation, "zone"));
    client_add_parameter(&path, "from", option(invocation, "from"));
    client_add_parameter(&path, "to", option(invocation, "to"));
    if (after->len > 0) {
        char *place = buf_take_text(after);
        client_add_parameter(&path, "after", place);
        free(place);
    }
    char *text = buf_take_text(&path);
    int code = client_call(&invocation->client, text, NULL, &answer);
    free(text);
    if (code != EXIT_DONE)
        return (enum exit_code)code;
    const json_t *lines = json_object_get(answer.json, "lines");
    (void)fwrite(json_string_value(lines), 1, json_string_length(lines), stdout);
    buf_text(after, field_text(answer.json, "after", ""));
    client_answer_fini(&answer);
    return EXIT_DONE;
}

static enum exit_code run_export(const struct invocation *invocation)
{
    char words[100];
    struct buf after = BUF_EMPTY;
    enum exit_code code = EXIT_DONE;

    do
        code = print_page(invocation, &after);
    while (code == EXIT_DONE && after.len > 0 && !ferror(stdout));
    buf_fini(&after);
    if (code == EXIT_DONE && option(invocation, "metric") == NULL)
        code = note_lines_print(invocation);
    if (code == EXIT_DONE && (fflush(stdout) != 0 || ferror(stdout))) {
        (void)fprintf(stderr, "kpictl: cannot write all of it: %s\n",
                      error_errno_words(errno, words, sizeof words));
        return EXIT_REFUSED;
    }
    return code;
}

/* --- import --- */

struct import {
    const struct invocation *invocation;
    FILE *file;
    struct buf batch;
    unsigned long long first_line; /* of the batch */
    unsigned long long line;       /* the newest one read */
    unsigned long long cells, repeated, too_old;
    unsigned long long dropped; /* samples */
    struct note_lines notes;
};

static enum exit_code send_batch(struct import *import)
{
    struct client_answer answer;

    if (import->batch.len == 0)
        return EXIT_DONE;
    char *text = buf_take_text(&import->batch);
    int code = client_call(&import->invocation->client, "/api/v1/store/import", text, &answer);
    free(text);
    if (code != EXIT_DONE) {
        (void)fprintf(stderr,
                      "  hint: that is of the lines from %llu on; all before are stored, and "
                      "importing the file again\n  counts them once\n",
                      import->first_line);
        return (enum exit_code)code;
    }
    unsigned long long cells = (unsigned long long)field_count(answer.json, "cells");
    if (json_is_true(json_object_get(answer.json, "repeated")))
        import->repeated += cells;
    else
        import->cells += cells;
    import->too_old += (unsigned long long)field_count(answer.json, "too_old");
    import->dropped += (unsigned long long)field_count(answer.json, "dropped");
    client_answer_fini(&answer);
    import->first_line = import->line + 1;
    return EXIT_DONE;
}

static enum exit_code take_line(struct import *import, const char *text, size_t len)
{
    enum exit_code code = EXIT_DONE;

    import->line++;
    if (len > LINE_MAX_BYTES || memchr(text, '\0', len) != NULL) {
        (void)fprintf(stderr, "kpictl: line %llu is not a cell\n", import->line);
        return EXIT_REFUSED;
    }
    if (note_lines_is_one(text, len))
        return note_lines_take(&import->notes, text, len);
    if (import->batch.len + len > BATCH_BYTES) {
        import->line--;
        code = send_batch(import);
        import->line++;
    }
    buf_append(&import->batch, text, len);
    return code;
}

static enum exit_code import_lines(struct import *import)
{
    char *text = NULL;
    size_t size = 0;
    ssize_t len = 0;
    enum exit_code code = EXIT_DONE;

    while (code == EXIT_DONE && (len = getline(&text, &size, import->file)) > 0)
        code = take_line(import, text, (size_t)len);
    free(text);
    if (code == EXIT_DONE && ferror(import->file)) {
        (void)fprintf(stderr, "kpictl: cannot read '%s'\n", import->invocation->operands[0]);
        return EXIT_USAGE;
    }
    if (code == EXIT_DONE)
        code = send_batch(import);
    return code == EXIT_DONE ? note_lines_send(&import->notes) : code;
}

static enum exit_code run_import(const struct invocation *invocation)
{
    if (option(invocation, "csv") != NULL)
        return import_csv(invocation);
    for (size_t i = 0; i < OPTIONS_MAX; i++) /* all are of rows */
        if (invocation->values[i] != NULL)
            return usage_error(invocation, "'--%s' needs '--csv FILE'",
                               COMMAND_IMPORT.options[i].name);
    if (invocation->operand_count == 0)
        return usage_error(invocation, "'import' needs FILE, or '--metric M --csv FILE'");
    const char *file = invocation->operands[0];
    struct import import = {
        .invocation = invocation, .first_line = 1, .notes.invocation = invocation};
    char words[100];

    import.file = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
    if (import.file == NULL) {
        (void)fprintf(stderr, "kpictl: cannot open '%s': %s\n", file,
                      error_errno_words(errno, words, sizeof words));
        return EXIT_USAGE;
    }
    enum exit_code code = import_lines(&import);
    buf_fini(&import.batch);
    note_lines_fini(&import.notes);
    if (import.file != stdin)
        (void)fclose(import.file);
    if (code != EXIT_DONE)
        return code;
    import.cells -= import.too_old;
    if (invocation->json) {
        (void)printf("{\"cells\":%llu,\"repeated\":%llu,\"too_old\":%llu,\"dropped\":%llu,"
                     "\"annotations\":%llu}\n",
                     import.cells, import.repeated, import.too_old, import.dropped,
                     import.notes.stored + import.notes.repeated);
        return EXIT_DONE;
    }
    (void)printf("%llu cells stored", import.cells);
    if (import.repeated > 0)
        (void)printf(", %llu were stored before", import.repeated);
    if (import.notes.stored + import.notes.repeated > 0)
        (void)printf(", %llu annotations", import.notes.stored + import.notes.repeated);
    if (import.too_old > 0)
        (void)printf(", %llu left out: their days are kept no longer here", import.too_old);
    if (import.dropped > 0)
        (void)printf(
            "; %llu samples of them dropped: nothing that old is kept here, or there is no "
            "room for\ntheir series",
            import.dropped);
    (void)printf("\n");
    return EXIT_DONE;
}

const struct command COMMAND_EXPORT = {
    .name = "export",
    .operands = "",
    .help = "prints raw cells as lines of JSON",
    .more =
        "Cells of a minute where minutes are kept, of a quarter of an hour where these are "
        "left, and of the days\nof each zone where only days are. Annotations follow, unless '--metric' is given.",
    .options = {{"metric", 0, OPTION_TEXT, "M", "of this metric alone"},
                {"zone", 0, OPTION_TEXT, "Z", "of days those of this zone alone"},
                {"from", 0, OPTION_TEXT, "T", "from this time on (the oldest)"},
                {"to", 0, OPTION_TEXT, "T", "before this time (the newest)"}},
    .run = run_export,
};

const struct command COMMAND_IMPORT = {
    .name = "import",
    .operands = "[FILE]",
    .help = "stores the raw cells that 'export' has printed, or the rows of a CSV file",
    .more =
        "Cells are added to what is there; '-' is the standard input. What comes again "
        "within seven days,\nline for line, counts once. Days need a calendar with their zone, and that their metric has no hours "
        "of that time here.\nRows: 'kpictl import --metric M --csv FILE' stores a sample for each "
        "row below a row of names. A file\nthat comes again, or has grown, counts each row once.",
    .operands_max = 1,
    .options = {{"metric", 0, OPTION_TEXT, "M", "the rows are samples of it"},
                {"csv", 0, OPTION_TEXT, "FILE", "comma-separated values"},
                {"time", 0, OPTION_TEXT, "COLUMN",
                 "ISO 8601 or Unix seconds (time, date, timestamp)"},
                {"value", 0, OPTION_TEXT, "COLUMN", "decimal numbers (value)"},
                {"label", 0, OPTION_MANY, "C[=NAME]",
                 "a label of it; may be repeated; 'all': the rest"},
                {"id", 0, OPTION_TEXT, "COLUMN", "what makes a row one (id; else its content)"},
                {"type", 0, OPTION_TEXT, "TYPE", "the metric's, when it is not declared"},
                {"tz", 0, OPTION_TEXT, "ZONE", "of times without offset (the server's calendar)"},
                {"dry-run", 0, OPTION_FLAG, NULL, "look through the file, send nothing"},
                {"skip-bad", 0, OPTION_FLAG, NULL, "leave out rows that are wrong"}},
    .run = run_import,
};
