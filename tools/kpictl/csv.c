#include "csv.h"

static const char MARK[] = "\xef\xbb\xbf";

enum { MARK_BYTES = sizeof MARK - 1 };

void csv_init(struct csv *csv)
{
    *csv = (struct csv){.is_told = true};
}

void csv_fini(struct csv *csv)
{
    buf_fini(&csv->text);
}

static void begin_row(struct csv *csv)
{
    buf_clear(&csv->text);
    csv->field_count = 0;
    csv->begins = csv->line_ends + 1;
    csv->is_told = false;
    csv->is_quoted = false;
    csv->place = CSV_FIELD;
}

/* What follows on the line is left out; the row is told now. */
static enum csv_step wrong(struct csv *csv, const char *why, bool is_at_line_end)
{
    csv->why = why;
    csv->line = csv->begins;
    csv->field_count = 0;
    csv->is_told = true;
    csv->place = is_at_line_end ? CSV_FIELD : CSV_SKIP;
    return CSV_BAD;
}

static bool end_field(struct csv *csv)
{
    if (csv->field_count == CSV_FIELDS_MAX)
        return false;
    csv->ends[csv->field_count++] = csv->text.len;
    csv->place = CSV_FIELD;
    return true;
}

static enum csv_step end_row(struct csv *csv, bool is_plain)
{
    size_t begin = csv->field_count == 0 ? 0 : csv->ends[csv->field_count - 1];

    if (is_plain && csv->text.len > begin && csv->text.bytes[csv->text.len - 1] == '\r')
        csv->text.len--;
    if (!end_field(csv))
        return wrong(csv, "more than 256 fields", true);
    csv->line = csv->begins;
    csv->is_told = true;
    bool is_empty = csv->field_count == 1 && csv->text.len == 0 && !csv->is_quoted;
    return is_empty ? CSV_MORE : CSV_ROW;
}

/* A byte of a field. */
static enum csv_step add(struct csv *csv, char c, enum csv_place place)
{
    if (c == '\0')
        return wrong(csv, "a byte 0 in it: this is no text", false);
    if (csv->text.len == CSV_ROW_BYTES_MAX)
        return wrong(csv,
                     place == CSV_QUOTED ? "longer than 64 KiB: a quote may not be closed"
                                         : "longer than 64 KiB",
                     c == '\n');
    buf_char(&csv->text, c);
    csv->place = place;
    return CSV_MORE;
}

static enum csv_step take_unquoted(struct csv *csv, char c)
{
    if (c == '"' && csv->place == CSV_FIELD) {
        csv->place = CSV_QUOTED;
        csv->is_quoted = true;
        return CSV_MORE;
    }
    if (c == '"')
        return wrong(csv, "a quote in a field that does not begin with one", false);
    if (c == '\n')
        return end_row(csv, true);
    if (c != ',')
        return add(csv, c, CSV_PLAIN);
    return end_field(csv) ? CSV_MORE : wrong(csv, "more than 256 fields", false);
}

static enum csv_step take_behind_quote(struct csv *csv, char c)
{
    if (c == '"' && csv->place == CSV_QUOTE)
        return add(csv, c, CSV_QUOTED);
    if (c == '\n')
        return end_row(csv, false);
    if (c == '\r' && csv->place == CSV_QUOTE) {
        csv->place = CSV_QUOTE_LINE;
        return CSV_MORE;
    }
    if (c == ',' && csv->place == CSV_QUOTE)
        return end_field(csv) ? CSV_MORE : wrong(csv, "more than 256 fields", false);
    return wrong(csv, "text behind the closing quote of a field", false);
}

static enum csv_step take(struct csv *csv, char c)
{
    if (csv->place == CSV_SKIP) {
        csv->place = c == '\n' ? CSV_FIELD : CSV_SKIP;
        return CSV_MORE;
    }
    if (csv->is_told)
        begin_row(csv);
    if (csv->place == CSV_FIELD || csv->place == CSV_PLAIN)
        return take_unquoted(csv, c);
    if (csv->place != CSV_QUOTED)
        return take_behind_quote(csv, c);
    if (c != '"')
        return add(csv, c, CSV_QUOTED);
    csv->place = CSV_QUOTE;
    return CSV_MORE;
}

enum csv_step csv_read(struct csv *csv, struct str *input)
{
    while (input->len > 0) {
        char c = input->text[0];
        *input = (struct str){input->text + 1, input->len - 1};
        if (csv->mark < MARK_BYTES && c == MARK[csv->mark]) {
            csv->mark++;
            continue;
        }
        for (size_t i = 0; csv->mark < MARK_BYTES && i < csv->mark; i++)
            (void)take(csv, MARK[i]); /* not a mark after all: the first bytes of a field */
        csv->mark = MARK_BYTES;
        enum csv_step step = take(csv, c);
        csv->line_ends += c == '\n';
        if (step != CSV_MORE)
            return step;
    }
    return CSV_MORE;
}

enum csv_step csv_end(struct csv *csv)
{
    if (csv->is_told)
        return CSV_MORE;
    if (csv->place == CSV_QUOTED)
        return wrong(csv, "the file ends inside of quotes", true);
    return end_row(csv, csv->place == CSV_FIELD || csv->place == CSV_PLAIN);
}

struct str csv_field(const struct csv *csv, size_t index)
{
    size_t begin = index == 0 ? 0 : csv->ends[index - 1];

    if (csv->text.len == 0) /* of empty fields alone */
        return STR("");
    return (struct str){csv->text.bytes + begin, csv->ends[index] - begin};
}
