/* What is read as a cell is written and read again as the same one. */
#include <assert.h>

#include "web/cell_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct cell_line line;
    struct error err = ERROR_EMPTY;
    struct buf text = BUF_EMPTY;
    struct buf again = BUF_EMPTY;
    struct cell_line second;

    if (cell_line_read((struct str){(const char *)bytes, len}, &line, &err)) {
        wall_ms from = line.minute * MS_PER_MINUTE;
        bool is_long =
            line.cell.aggregate.count > 0 && line.cell.aggregate.last_at >= from + MS_PER_MINUTE;
        span_ms width = is_long ? 15 * (span_ms)MS_PER_MINUTE : MS_PER_MINUTE;
        cell_line_write(&text, buf_view(&line.key), from, width, &line.cell);
        bool ok = cell_line_read(buf_view(&text), &second, &err);
        assert(ok);
        (void)ok;
        cell_line_write(&again, buf_view(&second.key), from, width, &second.cell);
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
