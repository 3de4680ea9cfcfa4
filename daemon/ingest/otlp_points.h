/* Data points of OTLP metrics on the wire (O12 to O18): what each says, and its attributes. No I/O,
 * no allocation; one thread. */
#pragma once

#include "base/wire.h"
#include "ingest/otlp_labels.h"
#include "series/batch.h"
#include "series/bounded.h"

enum { OTLP_BUCKETS_MAX = 8192, OTLP_QUANTILES_MAX = 64 };

enum otlp_number { OTLP_NO_NUMBER, OTLP_INTEGER, OTLP_DOUBLE };

struct otlp_side {
    int32_t offset;
    size_t count;
    uint64_t counts[OTLP_BUCKETS_MAX];
};

/* What is large, of a histogram or a summary: made once for a body. */
struct otlp_parts {
    double bounds[BOUNDED_BOUNDS_MAX];
    uint64_t counts[BOUNDED_BOUNDS_MAX + 1];
    size_t bound_count, count_count;
    struct otlp_side positive, negative;
    struct {
        double quantile, value;
    } quantiles[OTLP_QUANTILES_MAX];
    size_t quantile_count;
    bool has_too_many;            /* of any of these */
    struct batch_buckets buckets; /* after otlp_point_expand; points into this struct */
};

struct otlp_point {
    uint64_t time_ns, start_ns; /* 0: not said */
    bool has_no_value;          /* its flags say so (O13) */
    struct str attributes;      /* the bytes from the first one to the end of the last */
    uint32_t attribute_tag;     /* of those fields among them that are attributes */
    bool has_other_between;     /* there are others */
    bool is_expected;           /* of a sum or a gauge: they are the bytes that were expected */

    /* of a sum or a gauge */
    enum otlp_number number;
    uint64_t bits; /* of an integer or a double */

    /* of the others, and not written for these */
    uint64_t count;
    bool has_sum, has_min, has_max;
    double sum, min, max;
    bool is_exponential;
    int32_t scale;
    uint64_t zeros;
};

/* Each reads one but for its attributes; false when these are no bytes of it. `expected` are the
 * attributes of a point that was read before, which are passed over when they come again; its text
 * is NULL for none. */
bool otlp_point_read_number(struct str bytes, struct str expected, struct otlp_point *point);
bool otlp_point_read_histogram(struct str bytes, struct otlp_point *point,
                               struct otlp_parts *parts);
bool otlp_point_read_exponential(struct str bytes, struct otlp_point *point,
                                 struct otlp_parts *parts);
bool otlp_point_read_summary(struct str bytes, struct otlp_point *point, struct otlp_parts *parts);

/* Its attributes; false when one is none. The labels have not ended afterwards. */
bool otlp_point_read_labels(const struct otlp_point *point, struct otlp_labels *labels);

/* When it was (O18), and since when it counts: WALL_NONE when that is not said, or is later. A
 * start that is earlier stays so, however near. */
wall_ms otlp_point_at(const struct otlp_point *point, wall_ms now);
wall_ms otlp_point_start(const struct otlp_point *point, wall_ms now);

/* The window of a delta, to the nanosecond: `at_ns`, and `start` and `start_ns` where a start is
 * said. It begins where it does, however near its end. */
void otlp_point_window(const struct otlp_point *point, struct batch_point *out);

/* What was read of a histogram to `parts->buckets`; false, and `*words`, when it contradicts
 * itself. What batch_add_point looks at is not looked at here. */
bool otlp_point_expand(const struct otlp_point *point, struct otlp_parts *parts,
                       const char **words);
