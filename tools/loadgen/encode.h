/* Samples as the lines of a protocol. */
#pragma once

#include <stdbool.h>

#include "mix.h"

enum load_protocol { LOAD_STATSD, LOAD_GRAPHITE, LOAD_INFLUX };

/* "statsd", ...; NULL past the last. */
const char *load_protocol_name(enum load_protocol protocol);

/* The type of a kind in StatsD: "c", "ms", "g". */
const char *statsd_type(enum load_kind kind);

enum { ENCODE_LINE_SIZE = 512 };

struct encoding {
    enum load_protocol protocol;
    bool has_time; /* Influx lines may go without */
};

/* Writes a line with its newline to `out` of ENCODE_LINE_SIZE bytes; returns its length. `at` is in
 * Unix seconds. */
size_t encode_line(const struct encoding *encoding, const struct mix_options *mix,
                   const struct mix_sample *sample, int64_t at, char *out);
