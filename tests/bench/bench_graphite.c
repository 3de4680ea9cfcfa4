/* What a line of Graphite or InfluxDB costs on a stream: parsed alone, and on its way through the
 * cutting and the intake into the shard's cells, beside a bare memchr scan for the newlines of the
 * same bytes in the same run.
 *
 * The limits are a fourth of what VictoriaMetrics needs for a whole sample of 10^5 series, reading
 * and storing included (900 and 1200 ns): 225 and 300 ns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bench_lines.h"
#include "ingest/graphite.h"
#include "ingest/stream_frame.h"
#include "series/shard.h"

enum { LINES = 1 << 19, ROUNDS = 5, CHUNK = 256 * 1024, LINE_BYTES_MAX = 64 * 1024 };

static const wall_ms NOW = INT64_C(1791788430000);

/* --- what is measured ------------------------------------------------------------------------- */

static size_t scan(struct str text, enum protocol protocol)
{
    (void)protocol;
    return scan_lines(text);
}

static size_t parse_graphite(struct str text)
{
    struct ledger ledger = {0};
    enum reject_reason why = REJECT_NONE;
    struct sample samples[64];
    size_t count = 0;

    while (text.len > 0) {
        struct str line = str_split(&text, '\n');
        count += graphite_parse(line, &samples[count % 64], &ledger, &why) == GRAPHITE_SAMPLE;
    }
    return count;
}

static size_t parse(struct str text, enum protocol protocol)
{
    return protocol == PROTOCOL_GRAPHITE ? parse_graphite(text) : parse_influx(text);
}

static struct intake intake;
static struct stream_cut cut;
static char *area;

/* As a connection does it. */
static size_t take(struct str text, enum protocol protocol)
{
    struct ledger ledger = {0};

    cut.framing = framing_of(protocol, TRANSPORT_TCP);
    for (size_t at = 0; at < text.len; at += CHUNK) {
        size_t len = text.len - at < CHUNK ? text.len - at : CHUNK;
        memcpy(area, text.text + at, len); /* as a read does, which the kernel is not counted for */
        intake_begin(&intake, &ledger, (struct intake_dialect){.protocol = protocol}, NOW * 1000);
        if (!stream_cut_take(&cut, &intake, area, len))
            abort();
        intake_end(&intake);
    }
    return ledger.stored;
}

static double best_ns(size_t (*what)(struct str text, enum protocol protocol), struct str text,
                      enum protocol protocol, size_t expected)
{
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        double began = seconds_now();
        size_t got = what(text, protocol);
        double took = seconds_now() - began;
        if (got != expected) {
            (void)fprintf(stderr, "bench_graphite: %zu, not %zu\n", got, expected);
            exit(1);
        }
        best = took < best ? took : best;
    }
    return best * 1e9 / (double)expected;
}

/* --- what it is measured on ------------------------------------------------------------------- */

static void write_graphite(struct buf *out, unsigned i)
{
    buf_printf(out, "shop.web%03u.requests.c%06u %u %lld\n", i % 200, i, i % 1000,
               (long long)NOW / 1000);
}

static void write_graphite_tags(struct buf *out, unsigned i)
{
    buf_printf(out, "requests;host=web%03u;path=p%06u %u.5 %lld\n", i % 200, i, i % 100,
               (long long)NOW / 1000);
}

static void write_influx_tags(struct buf *out, unsigned i)
{
    buf_printf(out, "shop_api,dc=dc1,host=host%03u,id=counter%07u value=%u.%02u %lld000000000\n",
               i % 1000, i, i % 100, i % 97, (long long)NOW / 1000);
}

static void write_influx(struct buf *out, unsigned i)
{
    buf_printf(out, "requests,host=web%03u,path=p%06u value=%u %lld000000000\n", i % 200, i,
               i % 1000, (long long)NOW / 1000);
}

static void write_telegraf(struct buf *out, unsigned i)
{
    buf_printf(out,
               "cpu,cpu=cpu%u,host=host%05u.example.org usage_guest=0,usage_idle=%u.%04u,"
               "usage_iowait=0.1%u,usage_system=%u.5,usage_user=1%u.25 %lld000000000\n",
               i % 4, i / 4, 50 + i % 50, i % 10000, i % 10, i % 7, i % 10, (long long)NOW / 1000);
}

static const struct mix {
    const char *name;
    enum protocol protocol;
    unsigned values; /* of a line */
    void (*write)(struct buf *out, unsigned i);
    double limit_ns;
} MIXES[] = {{"graphite", PROTOCOL_GRAPHITE, 1, write_graphite, 225},
             {"graphite, tags", PROTOCOL_GRAPHITE, 1, write_graphite_tags, 225},
             {"influx, 1 field", PROTOCOL_INFLUX, 1, write_influx, 300},
             {"influx, 3 tags", PROTOCOL_INFLUX, 1, write_influx_tags, 300},
             {"influx, 5 fields", PROTOCOL_INFLUX, 5, write_telegraf, 300}};

static void measure(const struct mix *mix, unsigned series)
{
    const struct shard_limits limits = {.series = 2000 * 1000,
                                        .raw_keys = 4000 * 1000,
                                        .max_future = MS_PER_HOUR,
                                        .max_past = MS_PER_DAY};
    struct tail_room kept = {.bytes_max = 64 << 20};
    struct buf text = BUF_EMPTY;
    unsigned lines = LINES / mix->values;

    /* In no order that memory could follow. */
    for (uint64_t i = 0; i < lines; i++)
        mix->write(&text, (unsigned)(i * 2654435761U % (series / mix->values)));
    struct str all = buf_view(&text);
    intake.shard = shard_new(&limits, NULL, 42);
    intake.line_bytes_max = LINE_BYTES_MAX;
    cut.room = &kept;
    size_t values = (size_t)lines * mix->values;
    double scan_ns = best_ns(scan, all, mix->protocol, lines) / mix->values;
    double parse_ns = best_ns(parse, all, mix->protocol, values);
    double take_ns = best_ns(take, all, mix->protocol, values);
    printf("%-18s %9u %8.1f %10.1f %10.1f %12.1f %12.2f\n", mix->name, series,
           (double)all.len / lines, scan_ns, parse_ns, take_ns, take_ns / mix->limit_ns);
    stream_cut_forget(&cut);
    intake_fini(&intake);
    shard_free(intake.shard);
    buf_fini(&text);
}

int main(void)
{
    static const unsigned counts[] = {10 * 1000, 100 * 1000};

    area = (char *)memory_alloc(LINE_BYTES_MAX + CHUNK) + LINE_BYTES_MAX;
    printf("%-18s %9s %8s %10s %10s %12s %12s\n", "a value of", "series", "bytes", "scan ns",
           "parse ns", "to cells ns", "of the limit");
    for (size_t m = 0; m < sizeof MIXES / sizeof MIXES[0]; m++) {
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
            measure(&MIXES[m], counts[i]);
    }
    free(area - LINE_BYTES_MAX);
    return 0;
}
