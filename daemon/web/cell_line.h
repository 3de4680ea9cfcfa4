/* A raw cell as a line of JSON: what export writes and import reads, bit for bit.
 *
 *   {"metric":"orders","kind":"counter","labels":{"plan":"pro"},"level":"1m","from_ms":1790000000000,
 *    "count":131072,"sum":3.0,"sum_low":0.0,"min":1.0,"max":2.0,
 *    "first":1.0,"first_at":1790000000123,"first_arrival":0,
 *    "last":2.0,"last_at":1790000000456,"last_arrival":0}
 *
 * `level` is 1m, 15m or day; times are milliseconds since 1970. `count` has 16 fractional bits:
 * 65536 is one sample of weight 1; it and the arrivals are texts when they are above 2^63. Cells
 * that count their values have "counts_values":true, and "histogram" when two of them differ;
 * uniques have "distinct": base64 of the portable forms of series/histogram.h and
 * series/distinct.h. A cell of uniques alone may have a count of 0. A series whose name or labels
 * are not UTF-8 has "key", base64 of its canonical key, instead of metric, kind and labels. A cell
 * of a quarter of an hour is stored in its first minute, so the first minute of a quarter may have
 * samples of all of it.
 *
 * A day has its zone and its bounds too, and what its metric's quarters of an hour have of it is
 * not in it (store/export.h):
 *
 *   {"metric":...,"level":"day","zone":"Europe/Berlin","day":"2024-05-01","from_ms":1714514400000,
 *    "to_ms":1714600800000,"count":...}
 *
 * Before all days stand those of each zone that there are, and before the days of a metric since
 * when its hours are known, and for each of the zones from when on its days are whole: null, if all
 * are. A metric whose name is not UTF-8 has "metric_base64".
 *
 *   {"zone":"Europe/Berlin","first_day":"2024-01-01","last_day":"2024-12-31"}
 *   {"metric":"orders","hours_from_ms":1735660800000,"zones":{"Europe/Berlin":null}} */
#pragma once

#include "base/error.h"
#include "series/cell.h"
#include "series/series_key.h"
#include "store/export.h"

enum cell_line_kind { CELL_LINE_CELL, CELL_LINE_DAY, CELL_LINE_ZONE, CELL_LINE_METRIC };

struct cell_line {
    enum cell_line_kind kind;
    struct arena arena; /* of the texts of what follows */

    /* a cell */
    struct buf key; /* canonical; also a day's */
    struct cell cell;
    int64_t minute; /* the first one of the bucket */

    struct export_day day; /* without its key and cell */
    struct export_zone zone;
    struct export_metric metric;
};

/* With a newline. */
void cell_line_write(struct buf *out, const struct export_cell *cell);
void cell_line_write_day(struct buf *out, const struct export_day *day);
void cell_line_write_zone(struct buf *out, const struct export_zone *zone);
void cell_line_write_metric(struct buf *out, const struct export_metric *metric);

/* False, with what is wrong, when the line is none; cell_line_fini frees it in any state. */
bool cell_line_read(struct str line, struct cell_line *out, struct error *err);
void cell_line_fini(struct cell_line *line);
