/* What kpid itself does with StatsD lines, without sockets and threads: cuts reads into lines,
 * parses them, adds them to a shard, and hands the shard's cells over after every million. For
 * beside bench_line, which has the same arguments and lines.
 *
 *   bench_intake SERIES COUNTERS,TIMERS,GAUGES [ROUNDS]
 *
 * Prints nanoseconds a line and, of the hand-over, nanoseconds a cell; then the shard's bytes a
 * series before the last hand-over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../tools/loadgen/payload.h"
#include "base/memory.h"
#include "ingest/intake.h"
#include "ingest/stream_frame.h"

enum { LINES = 1 << 20, READ_BYTES = 256 * 1024, LINE_BYTES = 8 * 1024, PART_CELLS = 1 << 16 };

static const int64_t NOW_US = INT64_C(1791795600000000);

static double cpu_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static unsigned long argument(const char *text)
{
    uint64_t value = 0;
    return str_parse_u64(str_of(text), &value) ? (unsigned long)value : 0;
}

static bool read_mix(struct str text, struct mix_options *out)
{
    for (int i = 0; i < LOAD_KINDS; i++) {
        uint64_t percent = 0;
        if (!str_parse_u64(str_split(&text, ','), &percent))
            return false;
        out->percent[i] = (unsigned)percent;
    }
    return out->series > 0;
}

/* One pass over all lines; the seconds it took, of which copying what a socket would have copied
 * is no part. */
static double take_all(struct intake *intake, struct ledger *ledger, struct str lines, int64_t now)
{
    static char buffer[LINE_BYTES + READ_BYTES];
    char *area = buffer + LINE_BYTES;
    struct tail_room kept = {.bytes_max = 64 << 20};
    double spent = 0;
    struct stream_cut cut = {.framing = FRAMING_LINES, .room = &kept};
    const struct intake_dialect dialect = {.protocol = PROTOCOL_STATSD};

    while (lines.len > 0) {
        size_t len = lines.len < READ_BYTES ? lines.len : READ_BYTES;
        memcpy(area, lines.text, len);
        lines = (struct str){lines.text + len, lines.len - len};
        double began = cpu_s();
        intake_begin(intake, ledger, dialect, now++);
        (void)stream_cut_take(&cut, intake, area, len);
        intake_end(intake);
        spent += cpu_s() - began;
    }
    stream_cut_forget(&cut);
    return spent;
}

static double hand_over(struct shard *shard, size_t *cells)
{
    double began = cpu_s();
    bool done = false;

    while (!done) {
        struct delta *delta = delta_new();
        done = shard_hand_over(shard, PART_CELLS, delta);
        *cells += delta->cell_count;
        delta_free(delta);
    }
    return cpu_s() - began;
}

int main(int argc, char **argv)
{
    struct payload_options options = {
        .mix = {.prefix = "bench", .seed = 1, .distribution = LOAD_UNIFORM},
        .time = LOAD_TIME_NONE,
        .samples = LINES,
        .unit_bytes = 65536};
    struct payload payload;

    if (argc < 3) {
        (void)fprintf(stderr, "usage: bench_intake SERIES COUNTERS,TIMERS,GAUGES [ROUNDS]\n");
        return 2;
    }
    options.mix.series = (uint32_t)argument(argv[1]);
    if (!read_mix(str_of(argv[2]), &options.mix))
        return 2;
    unsigned long rounds = argc > 3 ? argument(argv[3]) : 8;
    payload_render(&payload, &options);
    const struct shard_limits limits = {.series = (size_t)2 << 20,
                                        .raw_keys = (size_t)4 << 20,
                                        .max_future = MS_PER_MINUTE,
                                        .max_past = MS_PER_DAY};
    struct intake *intake = memory_zero(1, sizeof *intake);
    struct ledger ledger = {0};
    intake->shard = shard_new(&limits, NULL, 1);
    intake->line_bytes_max = LINE_BYTES;
    size_t cells = 0;
    (void)take_all(intake, &ledger, buf_view(&payload.bytes), NOW_US); /* makes the series */
    (void)hand_over(intake->shard, &cells);
    cells = 0;
    double taking = 0;
    double handing = 0;
    size_t bytes = 0;
    for (unsigned long i = 0; i < rounds; i++) {
        int64_t now = NOW_US + (int64_t)(i + 1) * 500000;
        taking += take_all(intake, &ledger, buf_view(&payload.bytes), now);
        bytes = shard_size_bytes(intake->shard);
        handing += hand_over(intake->shard, &cells);
    }
    (void)printf("%.2f %.2f %.1f\n", taking / (double)rounds / LINES * 1e9,
                 handing / (double)cells * 1e9,
                 (double)bytes / (double)shard_series_count(intake->shard));
    shard_free(intake->shard);
    intake_fini(intake);
    free(intake);
    payload_fini(&payload);
    return 0;
}
