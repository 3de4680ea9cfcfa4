/* What a sample of remote write costs: parsed and put into a batch, for requests of 2,000 series
 * with a sample each, as Prometheus sends them; beside a bare walk over the same bytes and snappy's
 * unpacking of them in the same run: machines differ, the ratios do not.
 *
 *   take    of series that nothing is known of
 *   again   of the same requests as before
 *   moved   of the same series in the same order, in requests that begin and end elsewhere: 2.0's
 *           symbols have other numbers in each */
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "bench_request.h"
#include "ingest/remote_body.h"
#include "unit/ingest/remote_message.h"

enum { LABELS = 7 };

static const wall_ms NOW = INT64_C(1791788430000);

static char *unpacked;
static struct series_cache *known;
static unsigned version;

/* --- what is measured: one request each ------------------------------------------------------- */

/* Every field down to the labels' texts and the samples' values. */
static size_t walk(struct str bytes, unsigned depth)
{
    struct wire wire = wire_of(bytes);
    size_t fields = 0;

    while (wire_next(&wire)) {
        bool is_packed = version == 2 && depth == 1 && wire.tag == WIRE_TAG(1, WIRE_BYTES);
        bool is_text = depth == 2 || (version == 2 && wire.tag == WIRE_TAG(4, WIRE_BYTES));
        if ((wire.tag & 7) != WIRE_BYTES || is_text) {
            wire_skip(&wire);
        } else if (is_packed) {
            struct wire packed = wire_of(wire_bytes(&wire));
            while (wire_more(&packed))
                fields += wire_varint(&packed) > 0;
        } else {
            fields += walk(wire_bytes(&wire), depth + 1);
        }
        fields++;
    }
    return fields;
}

static size_t walk_request(const struct request *request)
{
    return walk(buf_view(&request->bytes), 0) > REQUEST ? REQUEST : 0;
}

static size_t unpack(const struct request *request)
{
    size_t len = request->bytes.len;
    return snappy_uncompress(request->other.bytes, request->other.len, unpacked, &len) == SNAPPY_OK
               ? REQUEST
               : 0;
}

static size_t take_with(const struct request *request, struct series_cache *cache)
{
    const struct http_head head = {
        .encoding = HTTP_SNAPPY,
        .content_type = version == 1
                            ? STR("application/x-protobuf")
                            : STR("application/x-protobuf;proto=io.prometheus.write.v2.Request")};
    static uint64_t arrival;
    const struct body_request what = {.head = &head,
                                      .rules = batch_rules_of_requests(),
                                      .body_bytes_max = 32 * 1024 * 1024,
                                      .now_us = NOW * 1000,
                                      .last_arrival = &arrival,
                                      .cache = cache};
    struct http_answer answer = HTTP_ANSWER_EMPTY;
    struct error err;
    struct body *body = REMOTE_BODY_FORMAT.open(&what, &answer);
    bool ok = REMOTE_BODY_FORMAT.take(body, buf_view(&request->bytes), &err);
    size_t stored = body->counts.stored;
    delta_free(batch_take(body->batch)); /* as the writer does */
    body->batch = NULL;
    REMOTE_BODY_FORMAT.close(body);
    return ok ? stored : 0;
}

static size_t take(const struct request *request)
{
    return take_with(request, NULL);
}

/* As a listener does, to which the same series come again and again. */
static size_t take_again(const struct request *request)
{
    return take_with(request, known);
}

/* --- what it is measured on ------------------------------------------------------------------- */

struct texts {
    char name[64];
    char labels[LABELS][2][64];
};

/* As a node's exporter names them; `i` is the series. */
static void name_series(struct texts *out, unsigned i)
{
    static const char *const names[] = {"node_cpu_seconds_total", "node_filesystem_avail_bytes",
                                        "http_request_duration_seconds_bucket",
                                        "node_network_receive_bytes_total", "node_load1"};
    static const char *const labels[LABELS][2] = {
        {"cluster", "eu-west-1"}, {"cpu", "%u"},
        {"env", "production"},    {"instance", "10.2.%u.7:9100"},
        {"job", "node-exporter"}, {"mode", "idle"},
        {"zone", "eu-west-1b"}};

    (void)snprintf(out->name, sizeof out->name, "%s", names[i / 200 % 5]);
    for (size_t l = 0; l < LABELS; l++) {
        (void)snprintf(out->labels[l][0], sizeof out->labels[l][0], "%s", labels[l][0]);
        (void)snprintf(out->labels[l][1], sizeof out->labels[l][1], "%s", labels[l][1]);
    }
    (void)snprintf(out->labels[1][1], sizeof out->labels[1][1], "%u", i % 64);
    (void)snprintf(out->labels[3][1], sizeof out->labels[3][1], "10.2.%u.7:9100", i / 64);
}

static void put_series_1(struct buf *request, const struct texts *texts, unsigned i)
{
    struct buf series = BUF_EMPTY;
    put_label(&series, STR("__name__"), str_of(texts->name));
    for (size_t l = 0; l < LABELS; l++)
        put_label(&series, str_of(texts->labels[l][0]), str_of(texts->labels[l][1]));
    put_sample(&series, i % 1000, NOW, 0);
    put_message(request, 1, &series);
    buf_fini(&series);
}

static uint32_t symbol(struct table *table, struct buf *symbols, const char *text)
{
    void *there = table_find(table, str_of(text));
    if (there == NULL) {
        there = (void *)(uintptr_t)(table->count + 1);
        (void)table_add(table, str_of(text), there);
        put_text(symbols, 4, str_of(text));
    }
    return (uint32_t)(uintptr_t)there;
}

static void put_series_2(struct buf *request, struct buf *symbols, struct table *table,
                         const struct texts *texts, unsigned i)
{
    struct buf series = BUF_EMPTY;
    struct buf inner = BUF_EMPTY;
    buf_varint(&inner, symbol(table, symbols, "__name__"));
    buf_varint(&inner, symbol(table, symbols, texts->name));
    for (size_t l = 0; l < LABELS; l++) {
        buf_varint(&inner, symbol(table, symbols, texts->labels[l][0]));
        buf_varint(&inner, symbol(table, symbols, texts->labels[l][1]));
    }
    put_message(&series, 1, &inner);
    put_sample(&series, i % 1000, NOW, NOW - 100000);
    put_number(&inner, 1, 1);
    put_message(&series, 5, &inner);
    put_message(request, 5, &series);
    buf_fini(&inner);
    buf_fini(&series);
}

/* Of `count` series in all. */
static void make_request(struct request *out, unsigned first, unsigned count)
{
    struct buf symbols = BUF_EMPTY;
    struct buf series = BUF_EMPTY;
    struct table table = TABLE_EMPTY;
    struct texts texts;

    put_text(&symbols, 4, STR_EMPTY);
    for (unsigned i = first; i < first + REQUEST; i++) {
        name_series(&texts, i % count);
        if (version == 1)
            put_series_1(&series, &texts, i % count);
        else
            put_series_2(&series, &symbols, &table, &texts, i % count);
    }
    out->bytes = (struct buf)BUF_EMPTY;
    if (version == 2)
        buf_str(&out->bytes, buf_view(&symbols));
    buf_str(&out->bytes, buf_view(&series));
    out->other = (struct buf)BUF_EMPTY;
    size_t packed_len = snappy_max_compressed_length(out->bytes.len);
    (void)snappy_compress(out->bytes.bytes, out->bytes.len, buf_room(&out->other, packed_len),
                          &packed_len);
    out->other.len = packed_len;
    table_fini(&table);
    buf_fini(&symbols);
    buf_fini(&series);
}

/* From the series `first` on. */
static void make_requests(unsigned first, unsigned count)
{
    forget_requests();
    request_count = count / REQUEST;
    for (unsigned r = 0; r < request_count; r++)
        make_request(&requests[r], first + r * REQUEST, count);
}

/* Each time they begin and end elsewhere. */
static double moved_ns(unsigned count)
{
    double best = 1e9;

    for (unsigned i = 1; i <= ROUNDS; i++) {
        make_requests(i * 371, count);
        double ns = round_ns(take_again);
        best = ns < best ? ns : best;
    }
    return best;
}

static void measure(unsigned count)
{
    size_t bytes = 0;
    size_t packed = 0;

    make_requests(0, count);
    for (size_t r = 0; r < request_count; r++) {
        bytes += requests[r].bytes.len;
        packed += requests[r].other.len;
    }
    unpacked = memory_alloc(bytes);
    double snappy_ns = best_ns(unpack);
    double walk_ns = best_ns(walk_request);
    double take_ns = best_ns(take);
    known = series_cache_new(batch_rules_of_requests()->seed, CACHE_BYTES);
    double again_ns = best_ns(take_again);
    printf("%u.0, %6u series %10.1f %8.1f %10.1f %10.1f %10.1f %10.1f %10.1f", version, count,
           (double)bytes / count, (double)packed / count, snappy_ns, walk_ns, take_ns,
           take_ns / walk_ns, again_ns);
    printf(" %10.1f %10.1f\n", moved_ns(count), (double)series_cache_size_bytes(known) / count);
    series_cache_free(known);
    forget_requests();
    free(unpacked);
}

int main(void)
{
    printf("%-22s %8s %8s %10s %10s %10s %10s %10s %10s %10s\n", "remote write", "bytes", "packed",
           "snappy ns", "walk ns", "take ns", "take/walk", "again ns", "moved ns", "cache B");
    for (version = 1; version <= 2; version++) {
        measure(10 * 1000);
        measure(100 * 1000);
    }
    return 0;
}
