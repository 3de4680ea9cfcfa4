/* InfluxDB's line protocol: rules I1 to I13 of wire-formats.md.
 *
 *   line        = {" "} series {" "}+ field {"," field} [{" "}+ time] {" "} ["\r"]
 *   series      = measurement {"," tag-key "=" tag-value}
 *   field       = key "=" (float | int "i" | uint "u" | boolean | '"' text '"')
 *
 * Backslashes escape "," " " in measurements, these and "=" in keys and tag values, '"' and "\" in
 * text; before anything else they stand for themselves (I3). Text may hold newlines (I5), so lines
 * are cut by influx_cut and not at every newline.
 *
 * Pure: bytes in, values out; no log, no write into the input. */
#pragma once

#include "series/ledger.h"
#include "series/series_key.h"

/* --- lines out of bytes ------------------------------------------------------------------------
 */

/* Where a line that is being cut stands; the caller zeroes it at the beginning of each. */
struct influx_cut {
    unsigned char place;
    bool escaped;
    uint32_t newlines; /* inside of its texts so far */
};

/* Looks for the end of the line in the bytes that follow those of the last call. True: `*end` bytes
 * belong to it, then its newline follows and the next line begins. False: all of them belong to
 * it. Each byte is looked at once, however it comes. */
bool influx_cut(struct influx_cut *cut, struct str bytes, size_t *end);

/* --- values out of a line ----------------------------------------------------------------------
 */

struct influx_field {
    struct str key; /* unescaped */
    bool is_text;   /* else a finite number; true and false are 1 and 0 (I11) */
    double value;
    struct str text; /* as sent; of a text what stands between its quotes, unescaped */
};

/* All text points into the line or into the parser, until the parser's next line. */
struct influx_line {
    struct str measurement;
    struct str tags;            /* as sent; TAGS_COMMA where the line has no backslash */
    const struct label *labels; /* sorted */
    size_t label_count;
    const struct influx_field *fields; /* at least one */
    size_t field_count;
    bool has_escapes; /* maybe: there is a backslash in the line */
    bool has_time;
    int64_t time; /* as sent: the request says in which unit */
};

struct influx_mistake {
    enum reject_reason reason;
    const char *words; /* as InfluxDB would say it */
};

/* Memory that lines are parsed into, used again for each. Zeroed at first. */
struct influx_parser {
    struct label labels[LABELS_MAX];
    struct influx_field *fields;
    size_t field_capacity;
    char *unescaped;
    size_t unescaped_len, unescaped_capacity;
    uint64_t *marks; /* a bit for each byte of the line: whether it may mean something */
    size_t mark_capacity;
};

void influx_parser_fini(struct influx_parser *parser);

enum influx_result { INFLUX_NOTHING, INFLUX_LINE, INFLUX_MISTAKE };

/* Takes one line without its newline. INFLUX_NOTHING: it is empty or a comment (I1). A line with
 * any mistake is wrong as a whole. */
enum influx_result influx_parse(struct influx_parser *parser, struct str line,
                                struct influx_line *out, struct influx_mistake *mistake);

/* --- times ------------------------------------------------------------------------------------ */

enum influx_precision { INFLUX_NS, INFLUX_US, INFLUX_MS, INFLUX_S, INFLUX_M, INFLUX_H };

/* What is not known is nanoseconds (I20). */
enum influx_precision influx_precision_of(struct str text);

/* False: further away than an int64 of milliseconds reaches. Rounds down. */
bool influx_time(int64_t time, enum influx_precision precision, wall_ms *out);
