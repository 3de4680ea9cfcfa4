/* A load, rendered before the clock starts, and the totals that a receiver without loss has. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "encode.h"

enum load_time { LOAD_TIME_NONE, LOAD_TIME_NOW, LOAD_TIME_FIXED };

struct payload_options {
    struct mix_options mix;
    struct encoding encoding;
    enum load_time time;
    int64_t time_start; /* LOAD_TIME_FIXED: Unix seconds of the first sample of a series */
    int64_t time_step;  /* and from one to the next, where series come in sequence */
    uint64_t samples;
    size_t
        unit_bytes; /* a unit takes as many samples as fit, before they are packed; at least one */
    bool is_datagram; /* a datagram needs no newline at its end */
};

/* What goes out at once: a datagram, or a write to a stream. */
struct payload_unit {
    size_t offset;
    uint32_t len;
    uint32_t samples;
};

/* Of one pass over the payload. */
struct series_total {
    int64_t sum;  /* in hundredths */
    int64_t last; /* in hundredths */
    uint64_t count;
};

struct payload {
    struct buf bytes;
    struct payload_unit *units;
    size_t unit_count, unit_capacity;
    struct series_total *totals; /* by number of the series */
};

void payload_render(struct payload *payload, const struct payload_options *options);
void payload_fini(struct payload *payload);

/* Of all series of a kind. */
struct kind_total {
    uint64_t series; /* that got a sample */
    uint64_t count;
    int64_t sum; /* in hundredths */
};

/* After `repeat` passes. */
struct kind_total payload_total(const struct payload *payload,
                                const struct payload_options *options, enum load_kind kind,
                                uint64_t repeat);

/* "name type count sum last" for every series that got a sample, after `repeat` passes. */
bool payload_write_totals(const struct payload *payload, const struct payload_options *options,
                          uint64_t repeat, const char *path, struct error *err);
