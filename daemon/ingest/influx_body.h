/* The body of one InfluxDB write, line by line as it arrives, into a batch of its own.
 *
 * Good lines are kept, each bad one is rejected as a whole (I24); a line of n fields is n samples,
 * one that cannot be parsed is one. A name is the measurement, "_" and the field (I11). Texts are
 * dropped, but for those of metrics that are declared to be unique: they are its members (FIG-8).
 * No body is refused as a whole, but that of /api/v3/write_lp with accept_partial=false which has a
 * bad line. There the unit of a time is guessed when the request does not name it. */
#pragma once

#include "base/buf.h"
#include "ingest/body.h"
#include "ingest/influx.h"

extern const struct body_format INFLUX_BODY_FORMAT;

/* What its functions take and give; for tests. */
struct influx_body {
    struct body body;            /* first */
    struct body_request request; /* without its head */
    enum influx_precision precision;
    bool guesses_precision;
    bool refuses_partial;
    struct influx_parser parser;
    struct influx_cut cut;
    struct buf tail; /* the beginning of a line */
    bool too_long;   /* the line that is being cut is; `tail` has its beginning */
    struct buf name;
    uint64_t line;      /* that is being cut, from 1 on */
    uint64_t bad_lines; /* of which something was rejected */
};
