/* What a line of line protocol costs: cut and parsed, and with its batch, beside a bare memchr scan
 * for the newlines of the same bytes in the same run: machines differ, the ratios do not. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "bench_lines.h"
#include "ingest/influx_body.h"

enum { LINES = 200 * 1000, ROUNDS = 7, CHUNK = 16 * 1024, SERIES = 10 * 1000 };

static const wall_ms NOW = INT64_C(1791788430000);

/* --- what is measured ------------------------------------------------------------------------- */

/* As a connection does it: in pieces, into a batch. */
static size_t take(struct str text)
{
    const struct batch_rules rules = {
        .series_max = 1000 * 1000, .max_future = MS_PER_HOUR, .max_past = MS_PER_DAY, .seed = 42};
    uint64_t arrival = 0;
    const struct http_head head = {.query = STR("precision=s")};
    const struct body_request request = {.head = &head,
                                         .rules = &rules,
                                         .line_bytes_max = 64 * 1024,
                                         .now_us = NOW * 1000,
                                         .last_arrival = &arrival};
    struct http_answer answer = HTTP_ANSWER_EMPTY;
    struct error err = ERROR_EMPTY;
    struct body *body = INFLUX_BODY_FORMAT.open(&request, &answer);

    for (size_t at = 0; at < text.len; at += CHUNK) {
        size_t len = text.len - at < CHUNK ? text.len - at : CHUNK;
        (void)INFLUX_BODY_FORMAT.take(body, (struct str){text.text + at, len}, &err);
    }
    (void)INFLUX_BODY_FORMAT.end(body, &err);
    size_t stored = body->counts.stored;
    INFLUX_BODY_FORMAT.close(body);
    return stored;
}

static double best_ns(size_t (*what)(struct str text), struct str text, size_t expected)
{
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        double began = seconds_now();
        size_t got = what(text);
        double took = seconds_now() - began;
        if (got != expected) {
            (void)fprintf(stderr, "bench_influx: %zu, not %zu\n", got, expected);
            exit(1);
        }
        best = took < best ? took : best;
    }
    return best * 1e9 / LINES;
}

/* --- what it is measured on ------------------------------------------------------------------- */

struct mix {
    const char *name;
    size_t fields; /* of a line, texts not counted */
    void (*write)(struct buf *out, unsigned i);
};

static void write_one_field(struct buf *out, unsigned i)
{
    buf_printf(out, "api_hits,host=h%05u value=%u %lld\n", i % SERIES, i % 100,
               (long long)NOW / 1000);
}

static void write_telegraf(struct buf *out, unsigned i)
{
    buf_printf(out,
               "cpu,cpu=cpu%u,host=host%03u.example.org usage_guest=0,usage_idle=%u.%04u,"
               "usage_iowait=0.1%u,usage_system=%u.5,usage_user=1%u.25 %lld\n",
               i % 10, i / 10 % 200, 50 + i % 50, i % 10000, i % 10, i % 7, i % 10,
               (long long)NOW / 1000);
}

static void write_texts(struct buf *out, unsigned i)
{
    buf_printf(out, "log,app=shop,level=info msg=\"order %u, \\\"paid\\\"\",ms=%ui %lld\n", i,
               i % 900, (long long)NOW / 1000);
}

int main(void)
{
    static const struct mix mixes[] = {{"one field", 1, write_one_field},
                                       {"telegraf, 5 fields", 5, write_telegraf},
                                       {"with a text", 1, write_texts}};

    printf("%-20s %10s %10s %10s %10s %12s %12s\n", "line", "bytes", "scan ns", "parse ns",
           "batch ns", "parse/scan", "batch ns a value");
    for (size_t m = 0; m < sizeof mixes / sizeof mixes[0]; m++) {
        const struct mix *mix = &mixes[m];
        struct buf text = BUF_EMPTY;
        for (unsigned i = 0; i < LINES; i++)
            mix->write(&text, i);
        struct str all = buf_view(&text);
        double scan_ns = best_ns(scan_lines, all, LINES);
        size_t values = mix->fields * LINES;
        size_t parsed = mix->write == write_texts ? 2 * values : values;
        double parse_ns = best_ns(parse_influx, all, parsed);
        double take_ns = best_ns(take, all, values);
        printf("%-20s %10.1f %10.1f %10.1f %10.1f %12.1f %12.1f\n", mix->name,
               (double)all.len / LINES, scan_ns, parse_ns, take_ns, parse_ns / scan_ns,
               take_ns / (double)mix->fields);
        buf_fini(&text);
    }
    return 0;
}
