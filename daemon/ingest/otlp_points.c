#include "ingest/otlp_points.h"

enum { FLAG_NO_VALUE = 1, NS_PER_MS = 1000000 };

/* --- what all have ---------------------------------------------------------------------------- */

/* A field from `at` on. */
static void pass_attribute(struct wire *wire, const unsigned char *at, struct otlp_point *point)
{
    const char *from = (const char *)at;
    struct str *attributes = &point->attributes;

    (void)wire_bytes(wire);
    if (attributes->len == 0)
        attributes->text = from;
    else if (attributes->text + attributes->len != from)
        point->has_other_between = true;
    attributes->len = (size_t)((const char *)wire->at - attributes->text);
}

/* Whether the field, from `at` on, is one of those that all points have, under numbers that differ;
 * then it is read. */
static inline bool read_common(struct wire *wire, const unsigned char *at, struct otlp_point *point,
                               unsigned attributes, unsigned flags)
{
    if (wire->tag == WIRE_TAG(attributes, WIRE_BYTES)) {
        pass_attribute(wire, at, point);
    } else if (wire->tag == WIRE_TAG(2, WIRE_FIXED64)) {
        point->start_ns = wire_fixed64(wire);
    } else if (wire->tag == WIRE_TAG(3, WIRE_FIXED64)) {
        point->time_ns = wire_fixed64(wire);
    } else if (wire->tag == WIRE_TAG(flags, WIRE_VARINT)) {
        point->has_no_value = (wire_varint(wire) & FLAG_NO_VALUE) != 0;
    } else {
        return false;
    }
    return true;
}

static void begin(struct otlp_point *point, unsigned attributes)
{
    point->time_ns = point->start_ns = 0;
    point->has_no_value = point->has_other_between = point->is_expected = false;
    point->attributes = STR_EMPTY;
    point->attribute_tag = WIRE_TAG(attributes, WIRE_BYTES);
    point->number = OTLP_NO_NUMBER;
    point->bits = 0;
}

bool otlp_point_read_labels(const struct otlp_point *point, struct otlp_labels *labels)
{
    struct wire wire = wire_of(point->attributes);

    otlp_labels_begin(labels);
    while (wire_next(&wire)) {
        if (wire.tag != point->attribute_tag)
            wire_skip(&wire);
        else if (!otlp_labels_take(labels, wire_bytes(&wire)))
            return false;
    }
    return wire.ok;
}

static void begin_parts(struct otlp_point *point, struct otlp_parts *parts)
{
    point->count = point->zeros = 0;
    point->has_sum = point->has_min = point->has_max = point->is_exponential = false;
    point->sum = point->min = point->max = 0;
    point->scale = 0;
    parts->bound_count = parts->count_count = parts->quantile_count = 0;
    parts->positive.offset = parts->negative.offset = 0;
    parts->positive.count = parts->negative.count = 0;
    parts->has_too_many = false;
}

static double read_double_field(struct wire *wire, bool *has)
{
    *has = true;
    return wire_double(wire_fixed64(wire));
}

/* Whether the field is one that histograms and summaries have; then it is read. */
static inline bool read_total(struct wire *wire, struct otlp_point *point)
{
    if (wire->tag == WIRE_TAG(4, WIRE_FIXED64))
        point->count = wire_fixed64(wire);
    else if (wire->tag == WIRE_TAG(5, WIRE_FIXED64))
        point->sum = read_double_field(wire, &point->has_sum);
    else
        return false;
    return true;
}

/* The same of all histograms; the greatest has the number after the least. */
static inline bool read_extreme(struct wire *wire, struct otlp_point *point, unsigned least)
{
    if (wire->tag == WIRE_TAG(least, WIRE_FIXED64))
        point->min = read_double_field(wire, &point->has_min);
    else if (wire->tag == WIRE_TAG(least + 1, WIRE_FIXED64))
        point->max = read_double_field(wire, &point->has_max);
    else
        return false;
    return true;
}

/* --- numbers ---------------------------------------------------------------------------------- */

enum { FIXED64_BYTES = 9 }; /* of a field with its tag */

/* Whether the field, of FIXED64_BYTES, is one of these; then it is read. */
static inline bool read_fixed(const unsigned char *at, struct otlp_point *point)
{
    uint64_t bits = wire_load_64(at + 1);

    switch (*at) {
    case WIRE_TAG(2, WIRE_FIXED64):
        point->start_ns = bits;
        return true;
    case WIRE_TAG(3, WIRE_FIXED64):
        point->time_ns = bits;
        return true;
    case WIRE_TAG(4, WIRE_FIXED64):
        point->number = OTLP_DOUBLE;
        point->bits = bits;
        return true;
    case WIRE_TAG(6, WIRE_FIXED64):
        point->number = OTLP_INTEGER;
        point->bits = bits;
        return true;
    default:
        return false;
    }
}

/* Passes over what comes first and is as it nearly always is; more attributes may follow. Whether
 * the expected ones were among it. */
static bool read_usual(struct wire *wire, struct str expected, struct otlp_point *point)
{
    const unsigned char *at = wire->at;
    bool is_passed = false;

    for (;;) {
        size_t left = (size_t)(wire->end - at);
        if (left >= FIXED64_BYTES && read_fixed(at, point)) {
            at += FIXED64_BYTES;
        } else if (!is_passed && expected.len > 0 && left >= expected.len &&
                   *at == WIRE_TAG(7, WIRE_BYTES) && memcmp(at, expected.text, expected.len) == 0) {
            point->attributes = (struct str){(const char *)at, expected.len};
            at += expected.len;
            is_passed = true;
        } else {
            wire->at = at;
            return is_passed;
        }
    }
}

bool otlp_point_read_number(struct str bytes, struct str expected, struct otlp_point *point)
{
    struct wire wire = wire_of(bytes);

    begin(point, 7);
    bool is_passed = read_usual(&wire, expected, point);
    for (const unsigned char *at = wire.at; wire_next(&wire); at = wire.at) {
        if (read_common(&wire, at, point, 7, 8))
            continue;
        switch (wire.tag) {
        case WIRE_TAG(4, WIRE_FIXED64):
            point->number = OTLP_DOUBLE;
            point->bits = wire_fixed64(&wire);
            break;
        case WIRE_TAG(6, WIRE_FIXED64):
            point->number = OTLP_INTEGER;
            point->bits = wire_fixed64(&wire);
            break;
        default:
            wire_skip(&wire);
        }
    }
    point->is_expected = expected.text != NULL && point->attributes.len == expected.len &&
                         (is_passed || expected.len == 0);
    return wire.ok;
}

/* --- explicit histograms ---------------------------------------------------------------------- */

static void add_count(struct otlp_parts *parts, uint64_t count)
{
    if (parts->count_count == sizeof parts->counts / sizeof parts->counts[0])
        parts->has_too_many = true;
    else
        parts->counts[parts->count_count++] = count;
}

static void add_bound(struct otlp_parts *parts, uint64_t bits)
{
    if (parts->bound_count == BOUNDED_BOUNDS_MAX)
        parts->has_too_many = true;
    else
        parts->bounds[parts->bound_count++] = wire_double(bits);
}

static void read_packed(struct wire *wire, struct otlp_parts *parts,
                        void (*add)(struct otlp_parts *parts, uint64_t number))
{
    struct wire packed = wire_of(wire_bytes(wire));

    while (wire_more(&packed)) {
        uint64_t number = wire_fixed64(&packed);
        if (packed.ok)
            add(parts, number);
    }
    if (!packed.ok)
        (void)wire_fail(wire);
}

bool otlp_point_read_histogram(struct str bytes, struct otlp_point *point, struct otlp_parts *parts)
{
    struct wire wire = wire_of(bytes);

    begin(point, 9);
    begin_parts(point, parts);
    for (const unsigned char *at = wire.at; wire_next(&wire); at = wire.at) {
        if (read_common(&wire, at, point, 9, 10))
            continue;
        switch (wire.tag) {
        case WIRE_TAG(6, WIRE_BYTES):
            read_packed(&wire, parts, add_count);
            break;
        case WIRE_TAG(6, WIRE_FIXED64):
            add_count(parts, wire_fixed64(&wire));
            break;
        case WIRE_TAG(7, WIRE_BYTES):
            read_packed(&wire, parts, add_bound);
            break;
        case WIRE_TAG(7, WIRE_FIXED64):
            add_bound(parts, wire_fixed64(&wire));
            break;
        default:
            if (!read_total(&wire, point) && !read_extreme(&wire, point, 11))
                wire_skip(&wire);
        }
    }
    return wire.ok;
}

/* --- exponential histograms ------------------------------------------------------------------- */

static void add_bucket(struct otlp_parts *parts, struct otlp_side *side, uint64_t count)
{
    if (side->count == OTLP_BUCKETS_MAX)
        parts->has_too_many = true;
    else
        side->counts[side->count++] = count;
}

static int32_t read_sint32(struct wire *wire)
{
    return (int32_t)wire_zigzag((uint32_t)wire_varint(wire));
}

/* A Buckets message that comes again goes on, as protobuf has it. */
static bool read_side(struct otlp_parts *parts, struct otlp_side *side, struct str bytes)
{
    struct wire wire = wire_of(bytes);
    struct wire packed;

    while (wire_next(&wire)) {
        switch (wire.tag) {
        case WIRE_TAG(1, WIRE_VARINT):
            side->offset = read_sint32(&wire);
            break;
        case WIRE_TAG(2, WIRE_BYTES):
            packed = wire_of(wire_bytes(&wire));
            while (wire_more(&packed))
                add_bucket(parts, side, wire_varint(&packed));
            if (!packed.ok)
                (void)wire_fail(&wire);
            break;
        case WIRE_TAG(2, WIRE_VARINT):
            add_bucket(parts, side, wire_varint(&wire));
            break;
        default:
            wire_skip(&wire);
        }
    }
    return wire.ok;
}

bool otlp_point_read_exponential(struct str bytes, struct otlp_point *point,
                                 struct otlp_parts *parts)
{
    struct wire wire = wire_of(bytes);
    bool ok = true;

    begin(point, 1);
    begin_parts(point, parts);
    point->is_exponential = true;
    for (const unsigned char *at = wire.at; ok && wire_next(&wire); at = wire.at) {
        if (read_common(&wire, at, point, 1, 10))
            continue;
        switch (wire.tag) {
        case WIRE_TAG(6, WIRE_VARINT):
            point->scale = read_sint32(&wire);
            break;
        case WIRE_TAG(7, WIRE_FIXED64):
            point->zeros = wire_fixed64(&wire);
            break;
        case WIRE_TAG(8, WIRE_BYTES):
            ok = read_side(parts, &parts->positive, wire_bytes(&wire));
            break;
        case WIRE_TAG(9, WIRE_BYTES):
            ok = read_side(parts, &parts->negative, wire_bytes(&wire));
            break;
        default:
            if (!read_total(&wire, point) && !read_extreme(&wire, point, 12))
                wire_skip(&wire);
        }
    }
    return ok && wire.ok;
}

/* --- summaries -------------------------------------------------------------------------------- */

static bool read_quantile(struct otlp_parts *parts, struct str bytes)
{
    struct wire wire = wire_of(bytes);
    double quantile = 0;
    double value = 0;

    while (wire_next(&wire)) {
        switch (wire.tag) {
        case WIRE_TAG(1, WIRE_FIXED64):
            quantile = wire_double(wire_fixed64(&wire));
            break;
        case WIRE_TAG(2, WIRE_FIXED64):
            value = wire_double(wire_fixed64(&wire));
            break;
        default:
            wire_skip(&wire);
        }
    }
    if (parts->quantile_count == OTLP_QUANTILES_MAX) {
        parts->has_too_many = true;
        return wire.ok;
    }
    parts->quantiles[parts->quantile_count].quantile = quantile;
    parts->quantiles[parts->quantile_count++].value = value;
    return wire.ok;
}

bool otlp_point_read_summary(struct str bytes, struct otlp_point *point, struct otlp_parts *parts)
{
    struct wire wire = wire_of(bytes);
    bool ok = true;

    begin(point, 7);
    begin_parts(point, parts);
    for (const unsigned char *at = wire.at; ok && wire_next(&wire); at = wire.at) {
        if (read_common(&wire, at, point, 7, 8))
            continue;
        if (wire.tag == WIRE_TAG(6, WIRE_BYTES))
            ok = read_quantile(parts, wire_bytes(&wire));
        else if (!read_total(&wire, point))
            wire_skip(&wire);
    }
    return ok && wire.ok;
}

/* --- what it means ---------------------------------------------------------------------------- */

wall_ms otlp_point_at(const struct otlp_point *point, wall_ms now)
{
    return point->time_ns == 0 ? now : (wall_ms)(point->time_ns / NS_PER_MS);
}

wall_ms otlp_point_start(const struct otlp_point *point, wall_ms now)
{
    wall_ms at = otlp_point_at(point, now);
    wall_ms start = (wall_ms)(point->start_ns / NS_PER_MS);

    if (point->start_ns == 0 || start > at ||
        (point->time_ns > 0 && point->start_ns > point->time_ns))
        return WALL_NONE;
    return start == at && point->time_ns > 0 && point->start_ns < point->time_ns ? at - 1 : start;
}

void otlp_point_window(const struct otlp_point *point, struct batch_point *out)
{
    out->at_ns = (uint32_t)(point->time_ns % NS_PER_MS);
    if (out->start == WALL_NONE)
        return;
    out->start = (wall_ms)(point->start_ns / NS_PER_MS);
    out->start_ns = (uint32_t)(point->start_ns % NS_PER_MS);
}

bool otlp_point_expand(const struct otlp_point *point, struct otlp_parts *parts, const char **words)
{
    struct batch_buckets *buckets = &parts->buckets;

    *buckets = (struct batch_buckets){.count = point->count,
                                      .has_sum = point->has_sum,
                                      .sum = point->sum,
                                      .has_extremes = point->has_min && point->has_max,
                                      .min = point->min,
                                      .max = point->max,
                                      .is_exponential = point->is_exponential};
    if (parts->has_too_many) {
        *words = "the histogram has too many buckets";
        return false;
    }
    if (point->is_exponential) {
        buckets->scale = point->scale;
        buckets->zeros = point->zeros;
        buckets->positive = (struct histogram_buckets){
            parts->positive.offset, parts->positive.count, parts->positive.counts};
        buckets->negative = (struct histogram_buckets){
            parts->negative.offset, parts->negative.count, parts->negative.counts};
        return true;
    }
    if (parts->count_count != parts->bound_count + 1 &&
        (parts->count_count > 0 || parts->bound_count > 0)) {
        *words = "a histogram has one bucket count more than explicit bounds, or neither";
        return false;
    }
    buckets->bounds = parts->bounds;
    buckets->bound_count = parts->bound_count;
    buckets->counts = parts->count_count == 0 ? NULL : parts->counts;
    return true;
}
