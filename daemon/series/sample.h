/* One parsed measurement: parsers make it, shards take it.
 *
 * All text points into the packet or frame it was parsed from and is gone after the call that hands
 * the sample over. */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "series/metric.h"

enum tag_style {
    TAGS_NONE,
    TAGS_COLON,     /* "k:v,k2:v2", a value may be absent: DogStatsD and etsy's |# */
    TAGS_COMMA,     /* "k=v,k2=v2": Influx, SignalFX and Librato style */
    TAGS_SEMICOLON, /* "k=v;k2=v2": Graphite; G8 says what may stand in them */
    TAGS_KEY,       /* "k" 0x01 "v" 0x00 "k2" 0x01 "v2": as in a series key, where others escape */
};

enum sample_form {
    SAMPLE_VALUE,  /* an increment, a level, a distribution's value, a member of a set */
    SAMPLE_CHANGE, /* a gauge's change by `value` (S7) */
};

/* A weight of 1; weights have 16 fractional bits and are rounded once, when parsed. */
#define WEIGHT_ONE UINT64_C(65536)

struct sample {
    struct str name; /* as sent */
    struct str tags; /* raw, in `tag_style`; not checked yet */
    enum tag_style tag_style;
    enum metric_kind kind; /* by the protocol; a declared type beats it */
    enum sample_form form;
    double value;    /* finite; for METRIC_UNIQUE not used */
    struct str text; /* the value as sent: the member of a METRIC_UNIQUE */
    uint64_t weight; /* 1 / sample rate; WEIGHT_ONE without */
    wall_ms at;      /* WALL_NONE: its arrival */
};
