/* The body of one InfluxDB write, line by line as it arrives, into a batch of its own.
 *
 * Good lines are kept, each bad one is rejected as a whole (I24); a line of n fields is n samples,
 * one that cannot be parsed is one. A name is the measurement, "_" and the field (I11). Texts are
 * dropped, but for those of metrics that are declared to be unique: they are its members (FIG-8).
 * No I/O; one thread. */
#pragma once

#include "base/buf.h"
#include "ingest/influx.h"
#include "series/batch.h"

enum { INFLUX_SHOWN_MISTAKES = 16 };

/* What one request says, and what the listener does. */
struct influx_request {
    const struct batch_rules *rules; /* borrowed */
    size_t line_bytes_max;
    enum influx_precision precision;
    bool skip_single_field; /* a lone field `value` is not part of the name (I11) */
    int64_t now_us;         /* of all samples without a time (I9) */
    uint64_t *last_arrival; /* borrowed: of the thread; grows with each sample */
};

struct influx_shown {
    uint64_t line; /* from 1 on */
    enum reject_reason reason;
    const char *words;
    char example[STR_QUOTED_SIZE];
};

struct influx_body {
    struct influx_request request;
    struct batch *batch;
    struct influx_parser parser;
    struct influx_cut cut;
    struct buf tail; /* the beginning of a line */
    bool too_long;   /* the line that is being cut is; `tail` has its beginning */
    struct buf name;
    struct ledger counts;
    uint64_t line;      /* that is being cut, from 1 on */
    uint64_t bad_lines; /* of which something was rejected */
    struct influx_shown shown[INFLUX_SHOWN_MISTAKES];
};

struct influx_body *influx_body_new(const struct influx_request *request);
void influx_body_free(struct influx_body *body); /* NULL is fine */

/* Takes the next bytes. */
void influx_body_take(struct influx_body *body, struct str bytes);

/* No more bytes follow: what has no newline is a line too. */
void influx_body_end(struct influx_body *body);

/* Bytes held, for limits. */
size_t influx_body_size_bytes(const struct influx_body *body);

/* 204 when nothing was rejected, else 400 and words that say what, as InfluxDB would (I23, I24);
 * then the list of the first bad lines in JSON: [{"line", "reason", "error", "example"}, ...]. */
unsigned influx_body_verdict(const struct influx_body *body, struct buf *words, struct buf *list);
