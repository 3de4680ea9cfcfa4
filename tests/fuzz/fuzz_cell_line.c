/* What is read as a line is written and read again as the same one. */
#include <assert.h>

#include "web/cell_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void write_line(const struct cell_line *line, struct buf *out)
{
    struct export_cell cell = {buf_view(&line->key), line->minute * MS_PER_MINUTE, MS_PER_MINUTE,
                               &line->cell};
    struct export_day day = line->day;

    day.key = buf_view(&line->key);
    day.cell = &line->cell;
    if (line->kind == CELL_LINE_DAY)
        cell_line_write_day(out, &day);
    else if (line->kind == CELL_LINE_ZONE)
        cell_line_write_zone(out, &line->zone);
    else if (line->kind == CELL_LINE_METRIC)
        cell_line_write_metric(out, &line->metric);
    else
        cell_line_write(out, &cell);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct cell_line line;
    struct error err = ERROR_EMPTY;
    struct buf text = BUF_EMPTY;
    struct buf again = BUF_EMPTY;
    struct cell_line second;

    if (cell_line_read((struct str){(const char *)bytes, len}, &line, &err)) {
        write_line(&line, &text);
        bool ok = cell_line_read(buf_view(&text), &second, &err);
        assert(ok);
        (void)ok;
        write_line(&second, &again);
        assert(str_equal(buf_view(&text), buf_view(&again)));
        cell_line_fini(&second);
    } else {
        assert(err.text[0] != '\0');
    }
    cell_line_fini(&line);
    buf_fini(&text);
    buf_fini(&again);
    return 0;
}
