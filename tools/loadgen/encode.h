/* Samples as a protocol has them. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "mix.h"

enum load_protocol {
    LOAD_STATSD,
    LOAD_GRAPHITE,
    LOAD_INFLUX,
    LOAD_PROMETHEUS,
    LOAD_OTLP,
    LOAD_NATIVE
};

/* "statsd", ...; NULL past the last. */
const char *load_protocol_name(enum load_protocol protocol);

/* Whether it has lines; else requests or batches, in protobuf. */
bool load_protocol_is_lines(enum load_protocol protocol);

/* The headers of its requests, each with its end of line. */
const char *load_protocol_headers(enum load_protocol protocol);

/* The type of a kind in StatsD: "c", "ms", "g". */
const char *statsd_type(enum load_kind kind);

struct encoding {
    enum load_protocol protocol;
    bool has_time; /* Influx lines may go without */
};

struct load_sample {
    struct mix_sample mix;
    int64_t at;    /* Unix seconds */
    int64_t total; /* all increments of its counter so far, with this one, in hundredths */
};

/* Appends a line with its newline, or a part of a request. Batches of the native protocol are made
 * while they are sent: for it that is the sample itself. */
void encode_sample(const struct encoding *encoding, const struct mix_options *mix,
                   const struct load_sample *sample, struct buf *out);

/* Appends what goes out for such parts: a whole request. */
void encode_request(const struct encoding *encoding, struct str parts, struct buf *out);
