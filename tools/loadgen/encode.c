#include "encode.h"

#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { LINE_SIZE = 512, FRACTION = 100 };

const char *load_protocol_name(enum load_protocol protocol)
{
    static const char *const names[] = {"statsd",     "graphite", "influx",
                                        "prometheus", "otlp",     "native"};
    return protocol > LOAD_NATIVE ? NULL : names[protocol];
}

bool load_protocol_is_lines(enum load_protocol protocol)
{
    return protocol < LOAD_PROMETHEUS;
}

const char *load_protocol_headers(enum load_protocol protocol)
{
    if (protocol == LOAD_PROMETHEUS)
        return "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
               "X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
    return protocol == LOAD_OTLP ? "Content-Type: application/x-protobuf\r\n"
                                 : "Content-Type: text/plain\r\n";
}

const char *statsd_type(enum load_kind kind)
{
    static const char *const types[LOAD_KINDS] = {"c", "ms", "g"};
    return types[kind];
}

/* --- lines ------------------------------------------------------------------------------------ */

static void encode_influx(const struct encoding *encoding, const struct mix_options *mix,
                          const struct load_sample *sample, struct buf *out)
{
    uint32_t series = sample->mix.series;
    char value[HUNDREDTHS_SIZE];

    (void)hundredths_format(sample->mix.hundredths, value);
    buf_printf(out, "%s_api,dc=dc1,host=host%03u,id=%s%07u value=%s", mix->prefix, series % 1000,
               mix_kind_name(sample->mix.kind), series, value);
    if (encoding->has_time)
        buf_printf(out, " %lld000000000", (long long)sample->at);
    buf_char(out, '\n');
}

static void encode_line(const struct encoding *encoding, const struct mix_options *mix,
                        const struct load_sample *sample, struct buf *out)
{
    char name[MIX_NAME_SIZE];
    char value[HUNDREDTHS_SIZE];

    (void)mix_format_name(mix, sample->mix.series, name);
    (void)hundredths_format(sample->mix.hundredths, value);
    if (encoding->protocol == LOAD_STATSD)
        buf_printf(out, "%s:%s|%s\n", name, value, statsd_type(sample->mix.kind));
    else
        buf_printf(out, "%s %s %lld\n", name, value, (long long)sample->at);
}

/* --- protobuf --------------------------------------------------------------------------------- */

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

static void put_tag(struct buf *out, unsigned field, enum wire_type type)
{
    buf_varint(out, field << 3 | (unsigned)type);
}

static void put_bytes(struct buf *out, unsigned field, struct str bytes)
{
    put_tag(out, field, WIRE_BYTES);
    buf_varint(out, bytes.len);
    buf_str(out, bytes);
}

static void put_varint(struct buf *out, unsigned field, uint64_t value)
{
    put_tag(out, field, WIRE_VARINT);
    buf_varint(out, value);
}

static void put_double(struct buf *out, unsigned field, double value)
{
    put_tag(out, field, WIRE_FIXED64);
    buf_double(out, value);
}

static void put_fixed64(struct buf *out, unsigned field, uint64_t value)
{
    put_tag(out, field, WIRE_FIXED64);
    buf_u64(out, value);
}

/* Puts `inner` in place as field `field`, and empties it. */
static void put_message(struct buf *out, unsigned field, struct buf *inner)
{
    put_bytes(out, field, buf_view(inner));
    buf_fini(inner);
}

/* A counter has a name that says so. */
static void format_metric(const struct mix_options *mix, enum load_kind kind, char *out)
{
    (void)snprintf(out, MIX_NAME_SIZE, "%s_api%s", mix->prefix,
                   kind == LOAD_COUNTER ? "_total" : "");
}

struct load_labels {
    char host[16];
    char id[16];
};

static struct load_labels labels_of(const struct load_sample *sample)
{
    struct load_labels labels;

    (void)snprintf(labels.host, sizeof labels.host, "host%03u", sample->mix.series % 1000);
    (void)snprintf(labels.id, sizeof labels.id, "%s%07u", mix_kind_name(sample->mix.kind),
                   sample->mix.series);
    return labels;
}

static double value_of(const struct load_sample *sample)
{
    bool counts = sample->mix.kind == LOAD_COUNTER;
    return (double)(counts ? sample->total : sample->mix.hundredths) / FRACTION;
}

static void put_remote_label(struct buf *out, const char *name, const char *value)
{
    struct buf label = BUF_EMPTY;

    put_bytes(&label, 1, str_of(name));
    put_bytes(&label, 2, str_of(value));
    put_message(out, 1, &label);
}

/* prometheus.WriteRequest: one time series of one sample. */
static void encode_remote(const struct mix_options *mix, const struct load_sample *sample,
                          struct buf *out)
{
    const struct load_labels labels = labels_of(sample);
    char name[MIX_NAME_SIZE];
    struct buf series = BUF_EMPTY;
    struct buf value = BUF_EMPTY;

    format_metric(mix, sample->mix.kind, name);
    put_remote_label(&series, "__name__", name);
    put_remote_label(&series, "dc", "dc1");
    put_remote_label(&series, "host", labels.host);
    put_remote_label(&series, "id", labels.id);
    put_double(&value, 1, value_of(sample));
    put_varint(&value, 2, (uint64_t)sample->at * 1000);
    put_message(&series, 2, &value);
    put_message(out, 1, &series);
}

static void put_otlp_attribute(struct buf *out, const char *name, const char *value)
{
    struct buf attribute = BUF_EMPTY;
    struct buf any = BUF_EMPTY;

    put_bytes(&attribute, 1, str_of(name));
    put_bytes(&any, 1, str_of(value));
    put_message(&attribute, 2, &any);
    put_message(out, 7, &attribute);
}

/* opentelemetry.proto.metrics.v1: one metric of one point, a cumulative sum or a gauge. */
static void encode_otlp(const struct mix_options *mix, const struct load_sample *sample,
                        struct buf *out)
{
    const uint64_t ns_per_s = 1000000000;
    const struct load_labels labels = labels_of(sample);
    bool counts = sample->mix.kind == LOAD_COUNTER;
    char name[MIX_NAME_SIZE];
    struct buf metric = BUF_EMPTY;
    struct buf data = BUF_EMPTY;
    struct buf point = BUF_EMPTY;

    format_metric(mix, sample->mix.kind, name);
    put_bytes(&metric, 1, str_of(name));
    put_otlp_attribute(&point, "dc", "dc1");
    put_otlp_attribute(&point, "host", labels.host);
    put_otlp_attribute(&point, "id", labels.id);
    put_fixed64(&point, 3, (uint64_t)sample->at * ns_per_s);
    put_double(&point, 4, value_of(sample));
    put_message(&data, 1, &point);
    if (counts) {
        put_varint(&data, 2, 2); /* cumulative */
        put_varint(&data, 3, 1); /* monotonic */
    }
    put_message(&metric, counts ? 7 : 5, &data);
    put_message(out, 2, &metric);
}

/* --- both ------------------------------------------------------------------------------------- */

void encode_sample(const struct encoding *encoding, const struct mix_options *mix,
                   const struct load_sample *sample, struct buf *out)
{
    switch (encoding->protocol) {
    case LOAD_PROMETHEUS:
        encode_remote(mix, sample, out);
        return;
    case LOAD_OTLP:
        encode_otlp(mix, sample, out);
        return;
    case LOAD_NATIVE:
        buf_append(out, sample, sizeof *sample);
        return;
    case LOAD_INFLUX:
        encode_influx(encoding, mix, sample, out);
        return;
    case LOAD_STATSD:
    case LOAD_GRAPHITE:
        break;
    }
    encode_line(encoding, mix, sample, out);
}

static void compress(struct str bytes, struct buf *out)
{
    size_t size = snappy_max_compressed_length(bytes.len);
    char *packed = memory_alloc(size);

    if (snappy_compress(bytes.text, bytes.len, packed, &size) == SNAPPY_OK)
        buf_append(out, packed, size);
    free(packed);
}

void encode_request(const struct encoding *encoding, struct str parts, struct buf *out)
{
    struct buf resource = BUF_EMPTY;

    if (encoding->protocol == LOAD_OTLP) {
        put_bytes(&resource, 2, parts); /* the metrics of a scope */
        put_message(out, 1, &resource);
    } else if (encoding->protocol == LOAD_PROMETHEUS) {
        compress(parts, out);
    } else {
        buf_str(out, parts);
    }
}
