/* Comma-separated values (RFC 4180), as they come in any pieces -> rows of fields.
 *
 * A field may stand in quotes, with commas, line ends and doubled quotes in it. Rows end with LF or
 * CRLF; a byte order mark before the first is left out, empty lines are too. A row that is wrong is
 * told with the reason and ends at its line's end, so that all mistakes of a file are found in one
 * go. Pure, holds one row at most. */
#pragma once

#include "base/buf.h"

enum { CSV_FIELDS_MAX = 256, CSV_ROW_BYTES_MAX = 64 * 1024 };

enum csv_step {
    CSV_MORE, /* the input is used up */
    CSV_ROW,  /* the fields of csv_field */
    CSV_BAD,  /* a row that is none: csv->why */
};

enum csv_place {
    CSV_FIELD,      /* before a field's first byte */
    CSV_PLAIN,      /* in a field without quotes */
    CSV_QUOTED,     /* in one with quotes */
    CSV_QUOTE,      /* behind a quote in it: its end, or the first of two */
    CSV_QUOTE_LINE, /* behind the CR that follows its end */
    CSV_SKIP,       /* in what is left of a wrong row's line */
};

struct csv {
    enum csv_place place;
    struct buf text; /* of the row's fields */
    size_t ends[CSV_FIELDS_MAX];
    size_t field_count;
    size_t line;      /* of the row that was told last: where it begins, from 1 */
    const char *why;  /* it is wrong */
    size_t line_ends; /* read so far */
    size_t mark;      /* bytes of the byte order mark */
    size_t begins;    /* line of the row that is read */
    bool is_told;     /* the row's fields were given out */
    bool is_quoted;   /* a field of it was */
};

void csv_init(struct csv *csv);
void csv_fini(struct csv *csv);

/* Takes bytes off the front of `input`, up to the end of a row. */
enum csv_step csv_read(struct csv *csv, struct str *input);

/* No more bytes follow: the last row may have no line end. CSV_MORE: there is none. */
enum csv_step csv_end(struct csv *csv);

/* A field of the row, valid until the next csv_read. */
struct str csv_field(const struct csv *csv, size_t index);
