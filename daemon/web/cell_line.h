/* A raw cell as a line of JSON: what export writes and import reads, bit for bit.
 *
 *   {"metric":"orders","kind":"counter","labels":{"plan":"pro"},"level":"1m","from_ms":1790000000000,
 *    "count":131072,"sum":3.0,"sum_low":0.0,"min":1.0,"max":2.0,
 *    "first":1.0,"first_at":1790000000123,"first_arrival":0,
 *    "last":2.0,"last_at":1790000000456,"last_arrival":0}
 *
 * `level` is 1m or 15m; times are milliseconds since 1970. `count` has 16 fractional bits: 65536 is
 * one sample of weight 1; it and the arrivals are texts when they are above 2^63. Cells that count
 * their values have "counts_values":true, and "histogram" when two of them differ; uniques have
 * "distinct": base64 of the portable forms of series/histogram.h and series/distinct.h. A cell of
 * uniques alone may have a count of 0. A series whose name or labels are not UTF-8 has "key",
 * base64 of its canonical key, instead of metric, kind and labels. */
#pragma once

#include "base/error.h"
#include "series/cell.h"
#include "series/series_key.h"

struct cell_line {
    struct buf key; /* canonical */
    int64_t minute; /* the first one of the bucket */
    struct cell cell;
};

/* `width` is a minute or a quarter of an hour. With a newline. */
void cell_line_write(struct buf *out, struct str key, wall_ms from, span_ms width,
                     const struct cell *cell);

/* False, with what is wrong, when the line is none; cell_line_fini frees it in any state. */
bool cell_line_read(struct str line, struct cell_line *out, struct error *err);
void cell_line_fini(struct cell_line *line);
