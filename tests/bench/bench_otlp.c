/* What a data point of OTLP costs: parsed and put into a batch, for requests of 2,000 points of ten
 * metrics as an SDK exports them, in protobuf and in JSON; beside a bare walk over the protobuf in
 * the same run: machines differ, the ratios do not. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "bench_request.h"
#include "ingest/otlp_body.h"
#include "unit/ingest/remote_message.h"

enum { METRICS = 10, ATTRIBUTES = 4, BOUNDS = 10 };

static const wall_ms NOW = INT64_C(1791788430000);

enum shape { SHAPE_SUM, SHAPE_HISTOGRAM };

static enum shape shape;
static struct series_cache *known;

/* --- what is measured: one request each ------------------------------------------------------- */

/* Every field down to the attributes' texts and the points' values. */
static size_t walk(struct str bytes, unsigned depth)
{
    static const char is_message[][12] = {
        {0, 1}, {0, 1, 1},          {0, 1, 1}, {[5] = 1, [7] = 1, [9] = 1},
        {0, 1}, {[7] = 1, [9] = 1}, {0, 0, 1}, {0}};
    struct wire wire = wire_of(bytes);
    size_t fields = 0;

    while (wire_next(&wire)) {
        if ((wire.tag & 7) == WIRE_BYTES && is_message[depth][(wire.tag >> 3) % 12] != 0)
            fields += walk(wire_bytes(&wire), depth + 1);
        else
            wire_skip(&wire);
        fields++;
    }
    return fields;
}

static size_t walk_request(const struct request *request)
{
    return walk(buf_view(&request->bytes), 0) > REQUEST ? REQUEST : 0;
}

static size_t take(struct str content_type, struct str bytes, struct series_cache *cache)
{
    const struct http_head head = {.content_type = content_type};
    static uint64_t arrival;
    const struct body_request what = {.head = &head,
                                      .rules = batch_rules_of_requests(),
                                      .body_bytes_max = 32 * 1024 * 1024,
                                      .held_max = 128 * 1024 * 1024,
                                      .now_us = NOW * 1000,
                                      .last_arrival = &arrival,
                                      .cache = cache};
    struct http_answer answer = HTTP_ANSWER_EMPTY;
    struct error err;
    struct body *body = OTLP_BODY_FORMAT.open(&what, &answer);
    bool ok = OTLP_BODY_FORMAT.take(body, bytes, &err) && OTLP_BODY_FORMAT.end(body, &err);
    size_t stored = body->counts.stored;
    delta_free(batch_take(body->batch)); /* as the writer does */
    body->batch = NULL;
    OTLP_BODY_FORMAT.close(body);
    return ok ? stored : 0;
}

static size_t take_protobuf(const struct request *request)
{
    return take(STR("application/x-protobuf"), buf_view(&request->bytes), NULL);
}

/* As a listener does, to which the same series come again and again. */
static size_t take_again(const struct request *request)
{
    return take(STR("application/x-protobuf"), buf_view(&request->bytes), known);
}

static size_t take_json(const struct request *request)
{
    return take(STR("application/json"), buf_view(&request->other), NULL);
}

/* --- what it is measured on ------------------------------------------------------------------- */

struct point {
    char attributes[ATTRIBUTES][2][64];
    uint64_t time, start;
    unsigned value;
};

/* As an HTTP server's instrumentation names them; `i` is the series. */
static void name_point(struct point *out, unsigned i)
{
    static const char *const attributes[ATTRIBUTES][2] = {{"http.request.method", "GET"},
                                                          {"http.response.status_code", "200"},
                                                          {"http.route", "/api/v1/items"},
                                                          {"server.address", "10.0.0.1"}};
    for (size_t a = 0; a < ATTRIBUTES; a++) {
        (void)snprintf(out->attributes[a][0], 64, "%s", attributes[a][0]);
        (void)snprintf(out->attributes[a][1], 64, "%s", attributes[a][1]);
    }
    (void)snprintf(out->attributes[2][1], 64, "/api/v1/items/%u", i % 512);
    (void)snprintf(out->attributes[3][1], 64, "10.0.%u.7", i / 512);
    out->time = (uint64_t)NOW * 1000000;
    out->start = out->time - UINT64_C(100000000000);
    out->value = i % 1000;
}

static void put_attribute(struct buf *out, unsigned field, struct str key, struct str value)
{
    struct buf pair = BUF_EMPTY;
    struct buf any = BUF_EMPTY;
    put_text(&pair, 1, key);
    put_text(&any, 1, value);
    put_message(&pair, 2, &any);
    put_message(out, field, &pair);
    buf_fini(&pair);
    buf_fini(&any);
}

static void put_point(struct buf *out, const struct point *from)
{
    struct buf point = BUF_EMPTY;
    struct buf packed = BUF_EMPTY;

    put_bits(&point, 2, from->start);
    put_bits(&point, 3, from->time);
    if (shape == SHAPE_SUM) {
        put_double(&point, 4, from->value);
    } else {
        put_bits(&point, 4, BOUNDS + 1);
        put_double(&point, 5, from->value);
        for (unsigned i = 0; i <= BOUNDS; i++)
            buf_u64(&packed, 1);
        put_message(&point, 6, &packed);
        for (unsigned i = 0; i < BOUNDS; i++)
            buf_double(&packed, i * 25.0);
        put_message(&point, 7, &packed);
    }
    for (size_t a = 0; a < ATTRIBUTES; a++)
        put_attribute(&point, shape == SHAPE_SUM ? 7 : 9, str_of(from->attributes[a][0]),
                      str_of(from->attributes[a][1]));
    put_message(out, 1, &point);
    buf_fini(&point);
    buf_fini(&packed);
}

static void put_point_json(struct buf *out, const struct point *from)
{
    buf_printf(out, "{\"startTimeUnixNano\":\"%llu\",\"timeUnixNano\":\"%llu\",",
               (unsigned long long)from->start, (unsigned long long)from->time);
    if (shape == SHAPE_SUM) {
        buf_printf(out, "\"asDouble\":%u", from->value);
    } else {
        buf_printf(out, "\"count\":\"%d\",\"sum\":%u,\"bucketCounts\":[", BOUNDS + 1, from->value);
        for (unsigned i = 0; i <= BOUNDS; i++)
            buf_text(out, i == 0 ? "\"1\"" : ",\"1\"");
        buf_text(out, "],\"explicitBounds\":[");
        for (unsigned i = 0; i < BOUNDS; i++)
            buf_printf(out, "%s%u", i == 0 ? "" : ",", i * 25);
        buf_text(out, "]");
    }
    buf_text(out, ",\"attributes\":[");
    for (size_t a = 0; a < ATTRIBUTES; a++)
        buf_printf(out, "%s{\"key\":\"%s\",\"value\":{\"stringValue\":\"%s\"}}", a == 0 ? "" : ",",
                   from->attributes[a][0], from->attributes[a][1]);
    buf_text(out, "]}");
}

static void make_request(struct request *out, unsigned first)
{
    struct buf scope = BUF_EMPTY;
    struct buf metric = BUF_EMPTY;
    struct buf data = BUF_EMPTY;
    struct buf resource = BUF_EMPTY;
    struct point point;

    *out = (struct request){.bytes = BUF_EMPTY, .other = BUF_EMPTY};
    buf_text(&out->other, "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[{\"key\":"
                          "\"service.name\",\"value\":{\"stringValue\":\"shop\"}}]},"
                          "\"scopeMetrics\":[{\"metrics\":[");
    for (unsigned m = 0; m < METRICS; m++) {
        char name[64];
        (void)snprintf(name, sizeof name, "http.server.requests.%u", m);
        buf_printf(&out->other, "%s{\"name\":\"%s\",\"%s\":{\"dataPoints\":[", m == 0 ? "" : ",",
                   name, shape == SHAPE_SUM ? "sum" : "histogram");
        for (unsigned i = 0; i < REQUEST / METRICS; i++) {
            name_point(&point, first + m * (REQUEST / METRICS) + i);
            put_point(&data, &point);
            buf_text(&out->other, i == 0 ? "" : ",");
            put_point_json(&out->other, &point);
        }
        buf_text(&out->other, "],\"aggregationTemporality\":2,\"isMonotonic\":true}}");
        put_number(&data, 2, 2);
        if (shape == SHAPE_SUM)
            put_number(&data, 3, 1);
        put_text(&metric, 1, str_of(name));
        put_message(&metric, shape == SHAPE_SUM ? 7 : 9, &data);
        put_message(&scope, 2, &metric);
    }
    buf_text(&out->other, "]}]}]}");
    put_attribute(&data, 1, STR("service.name"), STR("shop"));
    put_message(&resource, 1, &data);
    put_message(&resource, 2, &scope);
    put_message(&out->bytes, 1, &resource);
    buf_fini(&scope);
    buf_fini(&metric);
    buf_fini(&data);
    buf_fini(&resource);
}

int main(void)
{
    static const unsigned counts[] = {10 * 1000, 100 * 1000};

    printf("%-26s %8s %8s %10s %10s %10s %10s %10s\n", "otlp", "bytes", "json", "walk ns",
           "take ns", "json ns", "take/walk", "again ns");
    for (size_t i = 0; i < 4; i++) {
        unsigned count = counts[i % 2];
        shape = i < 2 ? SHAPE_SUM : SHAPE_HISTOGRAM;
        request_count = count / REQUEST;
        size_t bytes = 0;
        size_t json = 0;
        for (size_t r = 0; r < request_count; r++) {
            make_request(&requests[r], (unsigned)r * REQUEST);
            bytes += requests[r].bytes.len;
            json += requests[r].other.len;
        }
        double walk_ns = best_ns(walk_request);
        double take_ns = best_ns(take_protobuf);
        double json_ns = best_ns(take_json);
        known = series_cache_new(batch_rules_of_requests()->seed, CACHE_BYTES);
        double again_ns = best_ns(take_again);
        printf("%-10s %6u series %8.1f %8.1f %10.1f %10.1f %10.1f %10.1f %10.1f\n",
               shape == SHAPE_SUM ? "sums" : "histograms", count, (double)bytes / count,
               (double)json / count, walk_ns, take_ns, json_ns, take_ns / walk_ns, again_ns);
        series_cache_free(known);
        forget_requests();
    }
    return 0;
}
