/* Any bytes for a CSV file: its rows are the same whole and byte by byte, and what is read of them,
 * written with quotes, is read as the same again. */
#include <stdlib.h>
#include <string.h>

#include "csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void write_row(struct buf *out, const struct csv *csv)
{
    for (size_t i = 0; i < csv->field_count; i++) {
        struct str field = csv_field(csv, i);
        buf_text(out, i == 0 ? "\"" : ",\"");
        for (size_t j = 0; j < field.len; j++) {
            if (field.text[j] == '"')
                buf_char(out, '"');
            buf_char(out, field.text[j]);
        }
        buf_char(out, '"');
    }
    buf_char(out, '\n');
}

/* The good rows with quotes; how many were wrong. */
static size_t read_all(struct str text, size_t piece, struct buf *out)
{
    struct csv csv;
    size_t wrong = 0;
    size_t line = 0;

    csv_init(&csv);
    for (bool is_over = false; !is_over;) {
        size_t len = text.len < piece ? text.len : piece;
        struct str input = {text.text, len};
        is_over = len == 0;
        do {
            enum csv_step step = is_over ? csv_end(&csv) : csv_read(&csv, &input);
            require(step == CSV_MORE || csv.line > line);
            line = step == CSV_MORE ? line : csv.line;
            wrong += step == CSV_BAD;
            if (step == CSV_ROW)
                write_row(out, &csv);
        } while (input.len > 0);
        if (!is_over) /* an empty text may be NULL */
            text = (struct str){text.text + len, text.len - len};
    }
    csv_fini(&csv);
    return wrong;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct buf whole = BUF_EMPTY;
    struct buf pieces = BUF_EMPTY;
    struct buf again = BUF_EMPTY;

    require(read_all(text, size + 1, &whole) == read_all(text, 1, &pieces));
    require(str_equal(buf_view(&whole), buf_view(&pieces)));
    require(read_all(buf_view(&whole), 11, &again) == 0);
    require(str_equal(buf_view(&whole), buf_view(&again)));
    buf_fini(&whole);
    buf_fini(&pieces);
    buf_fini(&again);
    return 0;
}
