#include "ingest/otlp_json.h"

#include <math.h>
#include <string.h>

#include "base/wire.h"
#include "ingest/json_scan.h"

/* --- what there is ---------------------------------------------------------------------------- */

enum message {
    REQUEST,
    RESOURCE_METRICS,
    RESOURCE,
    SCOPE_METRICS,
    SCOPE,
    METRIC,
    GAUGE,
    SUM,
    HISTOGRAM,
    EXPONENTIAL,
    SUMMARY,
    NUMBER_POINT,
    HISTOGRAM_POINT,
    EXPONENTIAL_POINT,
    SUMMARY_POINT,
    BUCKETS,
    QUANTILE,
    KEY_VALUE,
    VALUE,
    VALUE_LIST,
    KEY_VALUE_LIST,
    MESSAGE_COUNT,
};

enum field_type {
    TYPE_MESSAGE,
    TYPE_TEXT,
    TYPE_DOUBLE,
    TYPE_FIXED64,
    TYPE_SFIXED64,
    TYPE_INT64,
    TYPE_UINT64,
    TYPE_UINT32,
    TYPE_SINT32,
    TYPE_ENUM,
    TYPE_BOOL,
};

struct field {
    const char *name;
    uint8_t number;
    enum field_type type;
    bool is_list;
    enum message message; /* of TYPE_MESSAGE */
};

enum { FIELDS_MAX = 13 };

#define ONE(name, number, type)                                                                    \
    {                                                                                              \
        name, number, type, false, REQUEST                                                         \
    }
#define MANY(name, number, type)                                                                   \
    {                                                                                              \
        name, number, type, true, REQUEST                                                          \
    }
#define INNER(name, number, message)                                                               \
    {                                                                                              \
        name, number, TYPE_MESSAGE, false, message                                                 \
    }
#define EACH(name, number, message)                                                                \
    {                                                                                              \
        name, number, TYPE_MESSAGE, true, message                                                  \
    }
#define TIMES ONE("startTimeUnixNano", 2, TYPE_FIXED64), ONE("timeUnixNano", 3, TYPE_FIXED64)

/* Of each message what otlp_points.c, otlp_labels.c and otlp_body.c read. */
static const struct field FIELDS[MESSAGE_COUNT][FIELDS_MAX] = {
    [REQUEST] = {EACH("resourceMetrics", 1, RESOURCE_METRICS)},
    [RESOURCE_METRICS] = {INNER("resource", 1, RESOURCE), EACH("scopeMetrics", 2, SCOPE_METRICS)},
    [RESOURCE] = {EACH("attributes", 1, KEY_VALUE)},
    [SCOPE_METRICS] = {INNER("scope", 1, SCOPE), EACH("metrics", 2, METRIC)},
    [SCOPE] = {ONE("name", 1, TYPE_TEXT), ONE("version", 2, TYPE_TEXT)},
    [METRIC] = {ONE("name", 1, TYPE_TEXT), INNER("gauge", 5, GAUGE), INNER("sum", 7, SUM),
                INNER("histogram", 9, HISTOGRAM), INNER("exponentialHistogram", 10, EXPONENTIAL),
                INNER("summary", 11, SUMMARY)},
    [GAUGE] = {EACH("dataPoints", 1, NUMBER_POINT)},
    [SUM] = {EACH("dataPoints", 1, NUMBER_POINT), ONE("aggregationTemporality", 2, TYPE_ENUM),
             ONE("isMonotonic", 3, TYPE_BOOL)},
    [HISTOGRAM] = {EACH("dataPoints", 1, HISTOGRAM_POINT),
                   ONE("aggregationTemporality", 2, TYPE_ENUM)},
    [EXPONENTIAL] = {EACH("dataPoints", 1, EXPONENTIAL_POINT),
                     ONE("aggregationTemporality", 2, TYPE_ENUM)},
    [SUMMARY] = {EACH("dataPoints", 1, SUMMARY_POINT)},
    [NUMBER_POINT] = {EACH("attributes", 7, KEY_VALUE), TIMES, ONE("asDouble", 4, TYPE_DOUBLE),
                      ONE("asInt", 6, TYPE_SFIXED64), ONE("flags", 8, TYPE_UINT32)},
    [HISTOGRAM_POINT] = {EACH("attributes", 9, KEY_VALUE), TIMES, ONE("count", 4, TYPE_FIXED64),
                         ONE("sum", 5, TYPE_DOUBLE), MANY("bucketCounts", 6, TYPE_FIXED64),
                         MANY("explicitBounds", 7, TYPE_DOUBLE), ONE("flags", 10, TYPE_UINT32),
                         ONE("min", 11, TYPE_DOUBLE), ONE("max", 12, TYPE_DOUBLE)},
    [EXPONENTIAL_POINT] = {EACH("attributes", 1, KEY_VALUE), TIMES, ONE("count", 4, TYPE_FIXED64),
                           ONE("sum", 5, TYPE_DOUBLE), ONE("scale", 6, TYPE_SINT32),
                           ONE("zeroCount", 7, TYPE_FIXED64), INNER("positive", 8, BUCKETS),
                           INNER("negative", 9, BUCKETS), ONE("flags", 10, TYPE_UINT32),
                           ONE("min", 12, TYPE_DOUBLE), ONE("max", 13, TYPE_DOUBLE)},
    [SUMMARY_POINT] = {EACH("attributes", 7, KEY_VALUE), TIMES, ONE("count", 4, TYPE_FIXED64),
                       ONE("sum", 5, TYPE_DOUBLE), EACH("quantileValues", 6, QUANTILE),
                       ONE("flags", 8, TYPE_UINT32)},
    [BUCKETS] = {ONE("offset", 1, TYPE_SINT32), MANY("bucketCounts", 2, TYPE_UINT64)},
    [QUANTILE] = {ONE("quantile", 1, TYPE_DOUBLE), ONE("value", 2, TYPE_DOUBLE)},
    [KEY_VALUE] = {ONE("key", 1, TYPE_TEXT), INNER("value", 2, VALUE)},
    [VALUE] = {ONE("stringValue", 1, TYPE_TEXT), ONE("boolValue", 2, TYPE_BOOL),
               ONE("intValue", 3, TYPE_INT64), ONE("doubleValue", 4, TYPE_DOUBLE),
               INNER("arrayValue", 5, VALUE_LIST), INNER("kvlistValue", 6, KEY_VALUE_LIST),
               ONE("bytesValue", 1, TYPE_TEXT)},
    [VALUE_LIST] = {EACH("values", 1, VALUE)},
    [KEY_VALUE_LIST] = {EACH("values", 1, KEY_VALUE)},
};

/* --- writing ---------------------------------------------------------------------------------- */

enum { ITEMS_A_PAUSE = 1024 };

struct conversion {
    struct json_scan scan;
    struct buf *out;
    struct buf word; /* a name, or a number that came as a text */
    size_t size_max;
    const struct body_pause *pause;
    unsigned items; /* of lists, for pauses */
    bool is_full;
    const char *field; /* of the mistake; NULL: it is no JSON at all */
    const char *words;
};

static bool refuse(struct conversion *conversion, const struct field *field, const char *words)
{
    if (!conversion->scan.ok)
        return false; /* it is no JSON, which is worse */
    conversion->field = field->name;
    conversion->words = words;
    return json_scan_fail(&conversion->scan);
}

/* A length is not known before what it is the length of, so it takes as many bytes as it may ever
 * need; protobuf lets it. */
enum { LENGTH_BYTES = 5 };

static size_t begin_length(struct conversion *conversion, uint8_t number)
{
    static const char zeros[LENGTH_BYTES] = {0};

    buf_varint(conversion->out, WIRE_TAG(number, WIRE_BYTES));
    buf_append(conversion->out, zeros, LENGTH_BYTES);
    return conversion->out->len;
}

static void end_length(struct conversion *conversion, size_t begin)
{
    size_t len = conversion->out->len - begin;
    char *at = conversion->out->bytes + begin - LENGTH_BYTES;

    for (int i = 0; i < LENGTH_BYTES; i++)
        at[i] = (char)((len >> (7 * i) & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 : 0));
}

static enum wire_type wire_type_of(enum field_type type)
{
    switch (type) {
    case TYPE_DOUBLE:
    case TYPE_FIXED64:
    case TYPE_SFIXED64:
        return WIRE_FIXED64;
    default:
        return WIRE_VARINT;
    }
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* 1e3 and 2.0 are integers to proto3, as far as a double knows them exactly. */
static bool whole_of(struct str text, double *out)
{
    const double exact_max = 9007199254740992.0; /* 2^53 */
    return str_parse_double(text, out) && *out == floor(*out) && fabs(*out) <= exact_max;
}

static bool parse_signed(struct str text, int64_t *out)
{
    double whole = 0;
    if (str_parse_i64(text, out))
        return true;
    if (!whole_of(text, &whole))
        return false;
    *out = (int64_t)whole;
    return true;
}

static bool parse_unsigned(struct str text, uint64_t *out)
{
    double whole = 0;
    if (str_parse_u64(text, out))
        return true;
    if (!whole_of(text, &whole) || whole < 0)
        return false;
    *out = (uint64_t)whole;
    return true;
}

static bool parse_double(struct str text, bool is_text, uint64_t *bits)
{
    double value = 0;

    if (is_text && str_is(text, "NaN"))
        value = (double)NAN;
    else if (is_text && str_is(text, "Infinity"))
        value = HUGE_VAL;
    else if (is_text && str_is(text, "-Infinity"))
        value = -HUGE_VAL;
    else if (!str_parse_double(text, &value))
        return false;
    memcpy(bits, &value, sizeof *bits);
    return true;
}

static bool parse_number(enum field_type type, struct str text, bool is_text, uint64_t *out)
{
    int64_t number = 0;

    switch (type) {
    case TYPE_DOUBLE:
        return parse_double(text, is_text, out);
    case TYPE_FIXED64:
    case TYPE_UINT64:
        return parse_unsigned(text, out);
    case TYPE_UINT32:
        return parse_unsigned(text, out) && *out <= UINT32_MAX;
    case TYPE_SINT32:
        if (!parse_signed(text, &number) || number < INT32_MIN || number > INT32_MAX)
            return false;
        *out = (uint32_t)number << 1 ^ (number < 0 ? UINT32_MAX : 0);
        return true;
    case TYPE_ENUM:
        if (is_text || !parse_signed(text, &number) || number < INT32_MIN || number > INT32_MAX)
            return false;
        *out = (uint64_t)number;
        return true;
    default:
        if (!parse_signed(text, &number))
            return false;
        *out = (uint64_t)number;
        return true;
    }
}

static const char *words_for(enum field_type type)
{
    switch (type) {
    case TYPE_DOUBLE:
        return "is no number";
    case TYPE_ENUM:
        return "is no integer (enums are not words in OTLP's JSON)";
    default:
        return "is no integer that fits";
    }
}

static void read_number(struct conversion *conversion, const struct field *field,
                        enum json_scan_kind kind)
{
    uint64_t number = 0;
    struct str text = STR_EMPTY;

    if (kind == SCAN_TEXT) {
        buf_clear(&conversion->word);
        json_scan_text(&conversion->scan, &conversion->word);
        text = buf_view(&conversion->word);
    } else if (kind == SCAN_NUMBER) {
        text = json_scan_number(&conversion->scan);
    }
    if (text.len == 0 || !parse_number(field->type, text, kind == SCAN_TEXT, &number)) {
        (void)refuse(conversion, field, words_for(field->type));
        return;
    }
    if (wire_type_of(field->type) == WIRE_FIXED64)
        buf_u64(conversion->out, number);
    else
        buf_varint(conversion->out, number);
}

static void read_bool(struct conversion *conversion, const struct field *field,
                      enum json_scan_kind kind)
{
    if (kind != SCAN_TRUE && kind != SCAN_FALSE)
        (void)refuse(conversion, field, "is neither true nor false");
    json_scan_skip(&conversion->scan);
    buf_varint(conversion->out, kind == SCAN_TRUE);
}

static void read_text(struct conversion *conversion, const struct field *field,
                      enum json_scan_kind kind)
{
    size_t begin = begin_length(conversion, field->number);

    if (kind != SCAN_TEXT)
        (void)refuse(conversion, field, "is no text");
    json_scan_text(&conversion->scan, conversion->out);
    end_length(conversion, begin);
}

/* --- messages --------------------------------------------------------------------------------- */

static void read_message(struct conversion *conversion, enum message message);

static void read_inner(struct conversion *conversion, const struct field *field,
                       enum json_scan_kind kind)
{
    size_t begin = begin_length(conversion, field->number);

    if (kind != SCAN_OBJECT)
        (void)refuse(conversion, field, "is no object");
    else
        read_message(conversion, field->message);
    end_length(conversion, begin);
}

static void read_value(struct conversion *conversion, const struct field *field,
                       enum json_scan_kind kind)
{
    if (field->type == TYPE_MESSAGE) {
        read_inner(conversion, field, kind);
    } else if (field->type == TYPE_TEXT) {
        read_text(conversion, field, kind);
    } else {
        buf_varint(conversion->out, WIRE_TAG(field->number, wire_type_of(field->type)));
        if (field->type == TYPE_BOOL)
            read_bool(conversion, field, kind);
        else
            read_number(conversion, field, kind);
    }
    if (conversion->out->len <= conversion->size_max)
        return;
    conversion->is_full = true;
    (void)json_scan_fail(&conversion->scan);
}

/* Numbers come packed, as protobuf has them. */
static void read_list(struct conversion *conversion, const struct field *field)
{
    bool is_packed = field->type != TYPE_MESSAGE;
    size_t begin = is_packed ? begin_length(conversion, field->number) : 0;

    json_scan_open(&conversion->scan);
    while (json_scan_next_item(&conversion->scan)) {
        enum json_scan_kind kind = json_scan_kind(&conversion->scan);
        if (++conversion->items % ITEMS_A_PAUSE == 0)
            body_pause(conversion->pause);
        if (!is_packed)
            read_value(conversion, field, kind);
        else
            read_number(conversion, field, kind);
        if (conversion->out->len > conversion->size_max) {
            conversion->is_full = true;
            (void)json_scan_fail(&conversion->scan);
        }
    }
    if (is_packed)
        end_length(conversion, begin);
}

static const struct field *find_field(enum message message, struct str name)
{
    for (size_t i = 0; i < FIELDS_MAX && FIELDS[message][i].name != NULL; i++) {
        if (str_is(name, FIELDS[message][i].name))
            return &FIELDS[message][i];
    }
    return NULL;
}

static void read_message(struct conversion *conversion, enum message message)
{
    struct json_scan *scan = &conversion->scan;

    json_scan_open(scan);
    while (json_scan_next_key(scan, &conversion->word)) {
        const struct field *field = find_field(message, buf_view(&conversion->word));
        enum json_scan_kind kind = json_scan_kind(scan);
        if (field == NULL || kind == SCAN_NULL)
            json_scan_skip(scan);
        else if (!field->is_list)
            read_value(conversion, field, kind);
        else if (kind == SCAN_LIST)
            read_list(conversion, field);
        else
            (void)refuse(conversion, field, "is no list");
    }
}

bool otlp_json_convert(struct str json, size_t size_max, const struct body_pause *pause,
                       struct buf *out, struct error *err)
{
    struct conversion conversion = {.scan = json_scan_of(json),
                                    .out = out,
                                    .word = BUF_EMPTY,
                                    .size_max = size_max,
                                    .pause = pause};
    size_t place = 0;

    if (json_scan_kind(&conversion.scan) == SCAN_OBJECT)
        read_message(&conversion, REQUEST);
    else
        (void)json_scan_fail(&conversion.scan);
    bool ok = json_scan_end(&conversion.scan);
    place = json_scan_place(&conversion.scan);
    buf_fini(&conversion.word);
    if (ok)
        return true;
    if (conversion.is_full)
        return error_set(err, ERROR_FULL,
                         "the body has too many points for one request; send less");
    if (conversion.field != NULL)
        return error_set(
            err, ERROR_INVALID,
            "the body is no ExportMetricsServiceRequest in JSON: '%s' %s (at byte %zu)",
            conversion.field, conversion.words, place);
    return error_set(err, ERROR_INVALID, "the body is no JSON (at byte %zu)", place);
}
