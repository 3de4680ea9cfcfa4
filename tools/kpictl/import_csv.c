#include "import_csv.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/calendar.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/table.h"
#include "csv.h"
#include "series/metric.h"
#include "series/series_key.h"

enum {
    BATCH_ROWS = 1000,
    BATCH_BYTES = 512 * 1024,
    SHOWN_MAX = 20,
    BUSY_TRIES = 30,
    PROGRESS_MS = 200,
    MEMBER_BYTES_MAX = 1024, /* of a unique metric */
};

static const size_t NO_COLUMN = SIZE_MAX;

struct label_column {
    size_t index;
    struct str name; /* in the arena */
};

struct import {
    const struct invocation *invocation;
    const char *path;
    FILE *file;
    struct str metric;
    bool is_unique;            /* its values are texts */
    struct calendar *calendar; /* of --tz; else of UTC, to check times alone */
    struct arena arena;        /* what a look through the file needs */

    /* of the row of names */
    bool has_names;
    size_t columns;
    size_t time, value, id;
    struct label_column labels[LABELS_MAX];
    size_t label_count;

    struct table seen; /* rows without an id by their hash -> how often, in the arena */
    bool is_sending;
    unsigned long long rows, bad, stored, repeated, dropped, rejected;
    size_t shown;
    struct buf errors;
    struct json json; /* of `errors` */

    struct buf batch; /* lines of JSON */
    size_t batch_lines[BATCH_ROWS];
    size_t batch_count;

    unsigned long long bytes, bytes_all;
    mono_ms begin, shown_at;
    bool has_progress;
};

/* One row as it is sent. */
struct row {
    struct str time, value;
    char at[CLOCK_TEXT_SIZE]; /* the time, when it is not sent as it stands */
};

/* --- what is said --- */

static void clear_progress(const struct import *import)
{
    if (import->has_progress && import->shown_at != 0)
        (void)fputs("\r\033[K", stderr);
}

static void show_progress(struct import *import, bool is_end)
{
    mono_ms now = clock_mono();

    if (!import->has_progress || (!is_end && now < import->shown_at + PROGRESS_MS))
        return;
    import->shown_at = now;
    double seconds = now > import->begin ? (double)(now - import->begin) / 1000 : 0.001;
    int percent = import->bytes_all == 0 ? 100 : (int)(import->bytes * 100 / import->bytes_all);
    (void)fprintf(stderr, "\r\033[K%s %3d %% [%-20.*s] %llu rows, %.1f MB, %.0f rows/s%s",
                  import->is_sending ? "storing" : "checking", percent, percent / 5,
                  "####################", import->rows, (double)import->bytes / 1e6,
                  (double)import->rows / seconds, is_end ? "\n" : "");
    (void)fflush(stderr);
}

__attribute__((format(printf, 3, 4))) static void tell(struct import *import, size_t line,
                                                       const char *format, ...)
{
    char why[700];
    va_list arguments;

    if (import->shown == SHOWN_MAX)
        return;
    import->shown++;
    va_start(arguments, format);
    (void)vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    json_open(&import->json, '{');
    json_field_u64(&import->json, "line", line);
    json_field_text(&import->json, "reason", why);
    json_close(&import->json, '}');
    clear_progress(import);
    (void)fprintf(stderr, "kpictl: %s:%zu: %s\n", import->path, line, why);
}

/* Counts a row that cannot be sent; told when it is found, not again when the others are sent. */
#define BAD(import, line, ...)                                                                     \
    ((import)->bad++, (import)->is_sending ? (void)0 : tell(import, line, __VA_ARGS__), false)

/* --- columns --- */

static size_t find_column(const struct csv *csv, const char *name)
{
    for (size_t i = 0; i < csv->field_count; i++)
        if (str_is(csv_field(csv, i), name))
            return i;
    return NO_COLUMN;
}

/* Whether the column is the only one of its name, so that it is certain which is meant. False with
 * words. */
static bool is_only_one(const struct import *import, const struct csv *csv, size_t column)
{
    char text[STR_QUOTED_SIZE];

    for (size_t i = column + 1; i < csv->field_count; i++) {
        if (!str_equal(csv_field(csv, i), csv_field(csv, column)))
            continue;
        (void)fprintf(stderr,
                      "kpictl: %s:%zu: columns %zu and %zu are both called '%s'\n"
                      "  hint: give one of them another name\n",
                      import->path, csv->line, column + 1, i + 1,
                      str_quoted(csv_field(csv, column), text));
        return false;
    }
    return true;
}

/* The column of an option, or the first of the names it has by itself. False with words. */
static bool take_column(const struct import *import, const struct csv *csv, const char *name,
                        const char *const *defaults, size_t *out)
{
    const char *wanted = option(import->invocation, name);
    const char *names[CSV_FIELDS_MAX];
    char text[STR_QUOTED_SIZE];

    *out = NO_COLUMN;
    if (wanted != NULL) {
        *out = find_column(csv, wanted);
        defaults = &wanted;
    }
    for (size_t i = 0; wanted == NULL && defaults[i] != NULL && *out == NO_COLUMN; i++)
        *out = find_column(csv, defaults[i]);
    if (*out != NO_COLUMN)
        return is_only_one(import, csv, *out);
    if (wanted == NULL && strcmp(name, "id") == 0)
        return true;
    (void)fprintf(stderr, "kpictl: %s:%zu: there is no column '%s'\n", import->path, csv->line,
                  str_quoted(str_of(defaults[0]), text));
    struct arena arena = {0};
    for (size_t i = 0; i < csv->field_count; i++)
        names[i] = arena_text(&arena, csv_field(csv, i));
    const char *near = str_nearest(str_of(defaults[0]), names, csv->field_count);
    if (near != NULL && strcmp(near, defaults[0]) != 0)
        (void)fprintf(stderr, "  hint: did you mean '%s'?\n", str_quoted(str_of(near), text));
    else if (csv->field_count == 1 && memchr(names[0], ';', strlen(names[0])) != NULL)
        (void)fprintf(stderr, "  hint: fields are separated by commas\n");
    else
        (void)fprintf(stderr, "  hint: the first row has the columns' names; see '--%s'\n", name);
    arena_fini(&arena);
    return false;
}

static bool add_label(struct import *import, const struct csv *csv, size_t index, struct str name)
{
    char text[STR_QUOTED_SIZE];

    if (import->label_count == LABELS_MAX || name.len == 0) {
        (void)fprintf(stderr, "kpictl: %s:%zu: %s\n", import->path, csv->line,
                      name.len == 0 ? "a label without a name" : "more than 64 labels");
        return false;
    }
    for (size_t i = 0; i < import->label_count; i++) {
        if (!str_equal(import->labels[i].name, name))
            continue;
        (void)fprintf(stderr, "kpictl: %s:%zu: two labels are called '%s'\n", import->path,
                      csv->line, str_quoted(name, text));
        return false;
    }
    import->labels[import->label_count++] =
        (struct label_column){index, arena_str(&import->arena, name)};
    return true;
}

static bool take_labels(struct import *import, const struct csv *csv)
{
    const struct invocation *invocation = import->invocation;
    bool has_all = false;
    char text[STR_QUOTED_SIZE];

    import->label_count = 0;
    for (size_t i = 0; i < invocation->many_count; i++) {
        struct str name = str_of(invocation->many[i]);
        struct str column = str_split(&name, '=');
        if (strcmp(invocation->many[i], "all") == 0) {
            has_all = true;
            continue;
        }
        size_t index = find_column(csv, arena_text(&import->arena, column));
        if (index == NO_COLUMN) {
            (void)fprintf(stderr, "kpictl: %s:%zu: there is no column '%s'\n", import->path,
                          csv->line, str_quoted(column, text));
            return false;
        }
        if (!is_only_one(import, csv, index) ||
            !add_label(import, csv, index, name.len == 0 ? column : name))
            return false;
    }
    for (size_t i = 0; has_all && i < csv->field_count; i++) {
        bool is_taken = i == import->time || i == import->value || i == import->id;
        for (size_t j = 0; j < import->label_count; j++)
            is_taken = is_taken || import->labels[j].index == i;
        if (!is_taken && !add_label(import, csv, i, csv_field(csv, i)))
            return false;
    }
    return true;
}

static bool take_names(struct import *import, const struct csv *csv)
{
    static const char *const times[] = {"time", "date", "timestamp", NULL};
    static const char *const values[] = {"value", NULL};
    static const char *const ids[] = {"id", NULL};

    import->has_names = true;
    import->columns = csv->field_count;
    return take_column(import, csv, "time", times, &import->time) &&
           take_column(import, csv, "value", values, &import->value) &&
           take_column(import, csv, "id", ids, &import->id) && take_labels(import, csv);
}

/* --- a row --- */

static bool is_number_text(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((text.text[i] < '0' || text.text[i] > '9') && text.text[i] != '.')
            return false;
    return text.len > 0;
}

static bool read_time(struct import *import, const struct csv *csv, struct row *out)
{
    struct str text = str_trim(csv_field(csv, import->time));
    char quoted[STR_QUOTED_SIZE];
    double seconds = 0;
    wall_ms at = 0;

    out->time = text;
    if (is_number_text(text)) {
        /* Before 1973 it is a year or a day in digits, after 5138 it is in milliseconds. */
        if (!str_parse_double(text, &seconds) || seconds < 1e8 || seconds >= 1e11)
            return BAD(import, csv->line, "not a time in Unix seconds: '%s'",
                       str_quoted(text, quoted));
        at = (wall_ms)llround(seconds * 1000);
    } else if (!calendar_parse(import->calendar, text, false, &at)) {
        return BAD(import, csv->line,
                   "not a time: '%s' (as 2026-10-12T09:00:00+02:00, 2026-10-12 or Unix seconds)",
                   str_quoted(text, quoted));
    } else if (option(import->invocation, "tz") == NULL) {
        return true; /* as it stands: what it has no offset for is the server's */
    }
    out->time = str_of(clock_format_utc(at, out->at));
    return true;
}

static bool has_separators(struct str text)
{
    size_t digits = 0;
    size_t others = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.text[i];
        bool is_digit = c >= '0' && c <= '9';
        digits += is_digit;
        others += !is_digit && (c == ',' || c == ' ' || c == '\'' || c == '_');
        if (!is_digit && strchr("+-.,'_ ", c) == NULL)
            return false;
    }
    return digits > 0 && others > 0;
}

static bool read_value(struct import *import, const struct csv *csv, struct row *out)
{
    struct str text = str_trim(csv_field(csv, import->value));
    char quoted[STR_QUOTED_SIZE];
    double number = 0;

    out->value = text;
    if (text.len == 0)
        return BAD(import, csv->line, "there is no value");
    if (import->is_unique)
        return text.len <= MEMBER_BYTES_MAX ||
               BAD(import, csv->line, "a value longer than %d bytes", MEMBER_BYTES_MAX);
    if (str_parse_double(text, &number) && isfinite(number))
        return true;
    return BAD(import, csv->line, "not a decimal number: '%s'%s", str_quoted(text, quoted),
               has_separators(text) ? " (as 1234.5: with a point, and nothing between thousands)"
                                    : "");
}

static struct str label_of(const struct import *import, const struct csv *csv, size_t i)
{
    return csv_field(csv, import->labels[i].index);
}

/* How often the row came before it in the file: rows may be equal, and each counts. */
static uint64_t *occurrences(struct import *import, struct str content)
{
    struct series_hash hash = series_key_hash(content);
    struct str key = {(const char *)&hash, sizeof hash};
    uint64_t *count = table_find(&import->seen, key);

    if (count == NULL) {
        count = arena_alloc(&import->arena, sizeof *count);
        *count = 0;
        (void)table_add(&import->seen, key, count);
    }
    return count;
}

/* What makes the row the same when it comes again, in any part of any file. */
static void write_id(struct import *import, const struct csv *csv, struct json *json)
{
    struct buf content = BUF_EMPTY;
    char text[64];

    buf_block(&content, import->metric);
    buf_u8(&content, import->id != NO_COLUMN);
    if (import->id != NO_COLUMN) {
        buf_block(&content, csv_field(csv, import->id));
    } else {
        buf_block(&content, csv_field(csv, import->time));
        buf_block(&content, csv_field(csv, import->value));
        for (size_t i = 0; i < import->label_count; i++) {
            buf_block(&content, import->labels[i].name);
            buf_block(&content, label_of(import, csv, i));
        }
        buf_u64(&content, (*occurrences(import, buf_view(&content)))++);
    }
    struct series_hash hash = series_key_hash(buf_view(&content));
    buf_fini(&content);
    (void)snprintf(text, sizeof text, "csv-%016llx%016llx", (unsigned long long)hash.high,
                   (unsigned long long)hash.low);
    json_field_text(json, "id", text);
}

static void write_row(struct import *import, const struct csv *csv, const struct row *row)
{
    struct json json = json_to(&import->batch);

    json_open(&json, '{');
    write_id(import, csv, &json);
    json_field_str(&json, "name", import->metric);
    json_field_str(&json, "value", row->value); /* as text: kpid reads the number itself */
    json_field_str(&json, "at", row->time);
    if (option(import->invocation, "type") != NULL)
        json_field_text(&json, "type", option(import->invocation, "type"));
    json_key(&json, "labels");
    json_open(&json, '{');
    for (size_t i = 0; i < import->label_count; i++) {
        if (label_of(import, csv, i).len == 0)
            continue; /* an empty label is none */
        json_key_str(&json, import->labels[i].name);
        json_str(&json, label_of(import, csv, i));
    }
    json_close(&json, '}');
    json_close(&json, '}');
    buf_char(&import->batch, '\n');
    import->batch_lines[import->batch_count++] = csv->line;
}

static bool check_row(struct import *import, const struct csv *csv, struct row *out)
{
    if (csv->field_count != import->columns)
        return BAD(import, csv->line, "%zu fields, and the first row has %zu", csv->field_count,
                   import->columns);
    if (!str_is_utf8(buf_view(&csv->text)))
        return BAD(import, csv->line, "not UTF-8");
    if (import->id != NO_COLUMN && csv_field(csv, import->id).len == 0)
        return BAD(import, csv->line, "there is no id");
    return read_time(import, csv, out) && read_value(import, csv, out);
}

/* --- sending --- */

static void tell_rejected(struct import *import, size_t first, const json_t *list)
{
    size_t i = 0;
    const json_t *item = NULL;

    json_array_foreach(list, i, item)
    {
        size_t row = (size_t)field_count(item, "row") + first;
        import->rejected++;
        if (row >= 1 && row <= import->batch_count)
            tell(import, import->batch_lines[row - 1], "%s", field_text(item, "reason", "refused"));
    }
}

/* The rows of the batch from `first` on; `*taken` of them are answered. */
static enum exit_code send_rows(struct import *import, size_t first, const char *text,
                                size_t *taken)
{
    struct client client = import->invocation->client;
    struct client_answer answer;

    client.busy_tries = BUSY_TRIES;
    int code = client_call(&client, "/api/v1/import/rows", text, &answer);
    if (code != EXIT_DONE)
        return (enum exit_code)code;
    long long count = field_count(answer.json, "taken");
    import->stored += (unsigned long long)field_count(answer.json, "stored");
    import->repeated += (unsigned long long)field_count(answer.json, "repeated");
    import->dropped += (unsigned long long)field_count(answer.json, "dropped");
    tell_rejected(import, first, json_object_get(answer.json, "rejected"));
    client_answer_fini(&answer);
    *taken = count < 0 ? 0 : (size_t)count;
    return EXIT_DONE;
}

static enum exit_code send_batch(struct import *import)
{
    enum exit_code code = EXIT_DONE;
    size_t first = 0;

    if (import->batch_count == 0)
        return EXIT_DONE;
    char *text = buf_take_text(&import->batch);
    const char *rest = text;
    while (code == EXIT_DONE && first < import->batch_count) {
        size_t taken = 0;
        code = send_rows(import, first, rest, &taken);
        if (code == EXIT_DONE && taken == 0)
            code = EXIT_REFUSED; /* no answer of kpid's */
        for (size_t i = 0; code == EXIT_DONE && i < taken && *rest != '\0'; i++)
            rest = strchr(rest, '\n') + 1;
        first += taken;
    }
    free(text);
    if (code != EXIT_DONE) {
        clear_progress(import);
        (void)fprintf(stderr,
                      "  hint: that is of the rows from line %zu on; those before are stored, and "
                      "importing the\n  file again counts them once\n",
                      import->batch_lines[first < import->batch_count ? first : 0]);
    }
    import->batch_count = 0;
    return code;
}

/* --- the file --- */

static enum exit_code take_step(struct import *import, const struct csv *csv, enum csv_step step)
{
    struct row row;

    if (step == CSV_MORE)
        return EXIT_DONE;
    if (!import->has_names) {
        if (step == CSV_ROW)
            return take_names(import, csv) ? EXIT_DONE : EXIT_USAGE;
        (void)fprintf(stderr, "kpictl: %s:%zu: %s\n", import->path, csv->line, csv->why);
        return EXIT_USAGE;
    }
    import->rows++;
    if (step == CSV_BAD) {
        (void)BAD(import, csv->line, "%s", csv->why);
        return EXIT_DONE;
    }
    if (!check_row(import, csv, &row) || !import->is_sending)
        return EXIT_DONE;
    write_row(import, csv, &row);
    if (import->batch_count == BATCH_ROWS || import->batch.len > BATCH_BYTES)
        return send_batch(import);
    return EXIT_DONE;
}

static enum exit_code read_file(struct import *import, struct csv *csv)
{
    static char bytes[64 * 1024];
    enum exit_code code = EXIT_DONE;
    size_t len = 0;

    while (code == EXIT_DONE && (len = fread(bytes, 1, sizeof bytes, import->file)) > 0) {
        struct str input = {bytes, len};
        while (code == EXIT_DONE && input.len > 0) {
            enum csv_step step = csv_read(csv, &input);
            code = take_step(import, csv, step);
            show_progress(import, false);
        }
        import->bytes += len;
    }
    if (code == EXIT_DONE && ferror(import->file)) {
        char words[100];
        (void)fprintf(stderr, "kpictl: cannot read '%s': %s\n", import->path,
                      error_errno_words(errno, words, sizeof words));
        return EXIT_USAGE;
    }
    if (code == EXIT_DONE)
        code = take_step(import, csv, csv_end(csv));
    if (code == EXIT_DONE && !import->has_names) {
        (void)fprintf(stderr, "kpictl: '%s' is empty: it has no row of names\n", import->path);
        return EXIT_USAGE;
    }
    return code == EXIT_DONE ? send_batch(import) : code;
}

/* Once through the file. */
static enum exit_code run_through(struct import *import, bool is_sending)
{
    struct csv csv;

    import->is_sending = is_sending;
    import->has_names = false;
    import->rows = import->bad = import->bytes = 0;
    import->begin = clock_mono();
    rewind(import->file);
    csv_init(&csv);
    enum exit_code code = read_file(import, &csv);
    csv_fini(&csv);
    table_fini(&import->seen);
    import->seen = (struct table)TABLE_EMPTY;
    arena_fini(&import->arena);
    import->arena = (struct arena){0};
    if (is_sending && code == EXIT_DONE)
        show_progress(import, true);
    return code;
}

static void print_result(struct import *import, bool is_dry, bool is_stopped)
{
    unsigned long long wrong = import->bad + import->rejected;
    struct buf body = BUF_EMPTY;
    struct json json = json_to(&body);

    if (wrong > import->shown)
        (void)fprintf(stderr, "kpictl: and %llu more\n", wrong - import->shown);
    json_close(&import->json, ']');
    if (import->invocation->json) {
        json_open(&json, '{');
        json_field_u64(&json, "rows", import->rows);
        json_field_u64(&json, "stored", import->stored);
        json_field_u64(&json, "repeated", import->repeated);
        json_field_u64(&json, "dropped", import->dropped);
        json_field_u64(&json, "bad", import->bad);
        json_field_u64(&json, "rejected", import->rejected);
        json_field_bool(&json, "dry_run", is_dry);
        json_key(&json, "errors");
        json_raw(&json, buf_view(&import->errors));
        json_close(&json, '}');
        (void)printf("%.*s\n", STR_ARGS(buf_view(&body)));
        buf_fini(&body);
        return;
    }
    (void)printf("%llu rows", import->rows);
    if (!is_dry && !is_stopped)
        (void)printf(", %llu stored", import->stored);
    if (import->repeated > 0)
        (void)printf(", %llu were stored before", import->repeated);
    if (import->dropped > 0)
        (void)printf(", %llu dropped", import->dropped);
    if (import->bad > 0)
        (void)printf(", %llu wrong", import->bad);
    if (import->rejected > 0)
        (void)printf(", %llu refused", import->rejected);
    (void)printf("%s\n", is_dry || is_stopped ? "; nothing was sent" : "");
}

static enum exit_code run(struct import *import)
{
    bool is_dry = option(import->invocation, "dry-run") != NULL;
    bool skips = option(import->invocation, "skip-bad") != NULL;

    import->json = json_to(&import->errors);
    json_open(&import->json, '[');
    enum exit_code code = run_through(import, false);
    if (code != EXIT_DONE)
        return code;
    bool is_stopped = import->bad > 0 && !skips;
    if (!is_dry && !is_stopped)
        code = run_through(import, true);
    if (code != EXIT_DONE)
        return code;
    clear_progress(import);
    print_result(import, is_dry, is_stopped);
    if (is_stopped)
        return EXIT_FINDING;
    return import->rejected > 0 && !skips ? EXIT_REFUSED : EXIT_DONE;
}

/* --- the command --- */

/* Metric, type and zone; false with words. */
static bool read_options(struct import *import)
{
    const struct invocation *invocation = import->invocation;
    const char *type = option(invocation, "type");
    const char *zone = option(invocation, "tz");
    enum metric_kind kind = METRIC_UNTYPED;
    struct error err = ERROR_EMPTY;

    import->metric = str_of(option(invocation, "metric"));
    if (!metric_name_is_storable(import->metric)) {
        (void)usage_error(invocation, "'--csv' needs the name of a metric: '--metric M'");
        return false;
    }
    if (type != NULL && !metric_kind_parse(str_of(type), &kind)) {
        (void)usage_error(invocation, "unknown type '%s'", type);
        return false;
    }
    import->is_unique = kind == METRIC_UNIQUE;
    import->calendar = calendar_new(zone == NULL ? STR("UTC") : str_of(zone), 1, &err);
    if (import->calendar != NULL)
        return true;
    (void)fprintf(stderr, "kpictl: %s\n", err.text);
    if (err.hint[0] != '\0')
        (void)fprintf(stderr, "  hint: %s\n", err.hint);
    return false;
}

/* A copy of the standard input without a name: it is read twice, and can be only once. */
static FILE *copy_input(void)
{
    static char bytes[64 * 1024];
    FILE *copy = tmpfile();
    size_t len = 0;

    while (copy != NULL && (len = fread(bytes, 1, sizeof bytes, stdin)) > 0) {
        if (fwrite(bytes, 1, len, copy) != len)
            break;
    }
    if (copy == NULL)
        return NULL;
    bool is_whole = !ferror(stdin) && !ferror(copy) && fflush(copy) == 0;
    if (is_whole && fseek(copy, 0, SEEK_SET) == 0)
        return copy;
    int why = errno;
    (void)fclose(copy);
    errno = why;
    return NULL;
}

static FILE *open_rows(const char *path)
{
    return strcmp(path, "-") == 0 ? copy_input() : fopen(path, "re");
}

enum exit_code import_csv(const struct invocation *invocation)
{
    struct import import = {.invocation = invocation, .path = option(invocation, "csv")};
    struct stat facts;
    char words[100];
    enum exit_code code = EXIT_USAGE;

    if (invocation->operand_count > 0)
        return usage_error(invocation, "'--csv' takes no further argument: '%s'",
                           invocation->operands[0]);
    if (!read_options(&import))
        return EXIT_USAGE;
    import.file = open_rows(import.path);
    if (import.file == NULL || fstat(fileno(import.file), &facts) != 0) {
        (void)fprintf(stderr, "kpictl: cannot open '%s': %s\n", import.path,
                      error_errno_words(errno, words, sizeof words));
    } else if (!S_ISREG(facts.st_mode)) {
        (void)fprintf(stderr, "kpictl: '%s' is not a file; it is read twice\n", import.path);
    } else {
        import.bytes_all = (unsigned long long)facts.st_size;
        import.has_progress = isatty(STDERR_FILENO) == 1;
        code = run(&import);
    }
    if (import.file != NULL)
        (void)fclose(import.file);
    calendar_free(import.calendar);
    buf_fini(&import.batch);
    buf_fini(&import.errors);
    return code;
}
