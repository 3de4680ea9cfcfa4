/* What a point takes in a block, on its own and as LMDB's pages fill with such blocks, and what
 * encoding and decoding cost, beside a copy of the points' bytes and zlib in the same run: machines
 * differ, the ratios do not. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "series/sample.h"
#include "store/block.h"

#ifdef BENCH_ZLIB
#include <zlib.h>
#endif

/* LMDB: what a page holds, what a node takes beside key and value, and from which size on a value
 * has pages of its own. */
enum { PAGE_BYTES = 4096, PAGE_HEADER = 16, NODE_HEADER = 8, NODE_INDEX = 2, NODE_MAX = 2038 };

/* Of blocks of at most so many bytes six fill a page. */
enum { FITTING_BYTES = 660 };

enum { FIELDS = 9, COUNTERS_PERCENT = 86, DAY_MINUTES = 1440 };

/* --- numbers -----------------------------------------------------------------------------------
 */

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* splitmix64, as kpiload has it. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

enum values {
    VALUES_MIX,      /* kpiload: 86 % counters, 14 % gauges */
    VALUES_COUNTERS, /* whole, 1 to 9 */
    VALUES_GAUGES,   /* 0.01 to 9999.99 */
    VALUES_WALK,     /* two decimals, near the one before */
    VALUES_ONES,     /* increments by 1 */
    VALUES_DOUBLES,  /* between 0 and 1, all bits random */
};

static double value_of(enum values values, double before, uint64_t *random)
{
    uint64_t r = next_random(random);
    switch (values) {
    case VALUES_COUNTERS:
        return (double)(1 + r % 9);
    case VALUES_GAUGES:
        return (double)(1 + r % 999999) / 100;
    case VALUES_WALK:
        return round(before * 100 + (double)(r % 41) - 20) / 100;
    case VALUES_ONES:
        return 1;
    default:
        return (double)(r >> 11) * 0x1p-53;
    }
}

struct scenario {
    const char *name;
    enum values values;
    unsigned samples; /* in a bucket; counters by ones: up to twice as many */
    unsigned points;  /* in a block */
    span_ms width_ms; /* of a bucket */
    unsigned blocks;  /* of one series */
    unsigned series;
    bool is_jittery; /* samples at any millisecond of their part of the bucket, else at its start */
};

static enum values values_of_series(const struct scenario *scenario, unsigned series)
{
    if (scenario->values != VALUES_MIX)
        return scenario->values;
    /* Spread as kpiload spreads its kinds. */
    return ((uint32_t)(series * UINT32_C(2654435761)) >> 7) % 100 < COUNTERS_PERCENT
               ? VALUES_COUNTERS
               : VALUES_GAUGES;
}

static void fill(const struct scenario *scenario, enum values values, int64_t origin,
                 uint64_t *random, struct block_point *points)
{
    double value = 100;

    for (unsigned i = 0; i < scenario->points; i++) {
        int64_t bucket = origin + i;
        unsigned samples = scenario->samples;
        if (values == VALUES_ONES)
            samples = 1 + (unsigned)(next_random(random) % (2 * (uint64_t)samples));
        span_ms part = scenario->width_ms / samples;
        points[i] = (struct block_point){.bucket = bucket};
        for (unsigned j = 0; j < samples; j++) {
            wall_ms at = bucket * scenario->width_ms + j * part;
            if (scenario->is_jittery)
                at += (wall_ms)(next_random(random) % (uint64_t)part);
            value = value_of(values, value, random);
            aggregate_add(&points[i].aggregate, value, WEIGHT_ONE, at,
                          (uint64_t)at * 1000 + next_random(random) % 1000000);
        }
    }
}

/* --- pages -------------------------------------------------------------------------------------
 */

/* LMDB's pages when values are appended under growing keys of one size. */
struct pages {
    size_t key_bytes;
    size_t used_bytes; /* of the newest leaf */
    size_t leaves;
    size_t overflow;
};

static void pages_append(struct pages *pages, size_t value_bytes)
{
    size_t node = NODE_HEADER + pages->key_bytes + value_bytes;

    if (node > NODE_MAX) {
        pages->overflow += (PAGE_HEADER + value_bytes + PAGE_BYTES - 1) / PAGE_BYTES;
        node = NODE_HEADER + pages->key_bytes + sizeof(uint64_t);
    }
    node += node % 2 + NODE_INDEX;
    if (pages->leaves == 0 || pages->used_bytes + node > PAGE_BYTES - PAGE_HEADER) {
        pages->leaves++;
        pages->used_bytes = 0;
    }
    pages->used_bytes += node;
}

static double pages_bytes(const struct pages *pages)
{
    double fan_out =
        (double)(PAGE_BYTES - PAGE_HEADER) / (double)(NODE_HEADER + pages->key_bytes + NODE_INDEX);
    return ((double)pages->leaves * (1 + 1 / (fan_out - 1)) + (double)pages->overflow) * PAGE_BYTES;
}

/* --- measuring ---------------------------------------------------------------------------------
 */

struct result {
    double points;
    double bytes;
    double raw_bytes; /* as columns of 8 bytes: value and time of plain points, else all fields */
    double zlib_bytes;
    double encode_s;
    double decode_s;
    double merge_s;
    double copy_s;
    double zlib_s;
    double unzlib_s;
    struct pages short_keys;
    struct pages long_keys;
    struct pages
        fitting; /* blocks cut at FITTING_BYTES, short keys and a byte that tells them apart */
};

struct bench {
    struct block_point *points;
    struct block_point *copy;
    unsigned char *columns;
    unsigned char *packed;
    struct arena arena;
    struct buf bytes;
};

/* The fields of all points as columns: what a general compressor is given. */
static size_t to_columns(const struct scenario *scenario, struct bench *bench)
{
    size_t fields = scenario->samples == 1 ? 2 : FIELDS;

    for (size_t i = 0; i < scenario->points; i++) {
        const struct aggregate *aggregate = &bench->points[i].aggregate;
        uint64_t row[FIELDS];
        memcpy(&row[0], &aggregate->first, 8);
        memcpy(&row[1], &aggregate->first_at, 8);
        memcpy(&row[2], &aggregate->count, 8);
        memcpy(&row[3], &aggregate->sum, 8);
        memcpy(&row[4], &aggregate->sum_low, 8);
        memcpy(&row[5], &aggregate->min, 8);
        memcpy(&row[6], &aggregate->max, 8);
        memcpy(&row[7], &aggregate->last, 8);
        memcpy(&row[8], &aggregate->last_at, 8);
        for (size_t j = 0; j < fields; j++)
            memcpy(bench->columns + (j * scenario->points + i) * 8, &row[j], 8);
    }
    return fields * scenario->points * 8;
}

static void measure_zlib(const struct scenario *scenario, struct bench *bench,
                         struct result *result)
{
    size_t raw = to_columns(scenario, bench);
    result->raw_bytes += (double)raw;
#ifdef BENCH_ZLIB
    uLongf packed = compressBound(raw);
    uLongf unpacked = raw;
    double start = seconds_now();
    if (compress2(bench->packed, &packed, bench->columns, raw, 6) != Z_OK)
        abort();
    double middle = seconds_now();
    if (uncompress(bench->columns, &unpacked, bench->packed, packed) != Z_OK)
        abort();
    result->unzlib_s += seconds_now() - middle;
    result->zlib_s += middle - start;
    result->zlib_bytes += (double)packed;
#endif
}

static void measure_block(const struct scenario *scenario, const struct block_frame *frame,
                          struct bench *bench, struct result *result)
{
    const struct block_points points = {bench->points, scenario->points};
    const struct block_form form = {false, 0};
    const int64_t range[2] = {INT64_MIN, INT64_MAX};
    struct block_points decoded;
    struct aggregate merged = AGGREGATE_EMPTY;

    buf_clear(&bench->bytes);
    arena_reset(&bench->arena);
    double start = seconds_now();
    if (block_encode(frame, &points, &form, &bench->arena, &bench->bytes) == 0)
        abort();
    result->encode_s += seconds_now() - start;

    arena_reset(&bench->arena);
    start = seconds_now();
    if (!block_decode(frame, buf_view(&bench->bytes), &bench->arena, &decoded))
        abort();
    result->decode_s += seconds_now() - start;

    arena_reset(&bench->arena);
    start = seconds_now();
    if (!block_merge(frame, buf_view(&bench->bytes), range, &bench->arena, &merged))
        abort();
    double middle = seconds_now();
    memcpy(bench->copy, bench->points, scenario->points * sizeof *bench->points);
    result->copy_s += seconds_now() - middle;
    result->merge_s += middle - start;

    result->points += scenario->points;
    result->bytes += (double)bench->bytes.len;
    pages_append(&result->short_keys, bench->bytes.len);
    pages_append(&result->long_keys, bench->bytes.len);
}

static void measure_fitting(const struct scenario *scenario, const struct block_frame *frame,
                            struct bench *bench, struct pages *pages)
{
    const struct block_form form = {false, FITTING_BYTES};
    struct block_points left = {bench->points, scenario->points};

    while (left.count > 0) {
        buf_clear(&bench->bytes);
        arena_reset(&bench->arena);
        size_t taken = block_encode(frame, &left, &form, &bench->arena, &bench->bytes);
        if (taken == 0)
            abort();
        pages_append(pages, bench->bytes.len);
        left = (struct block_points){left.points + taken, left.count - taken};
    }
}

static struct result measure(const struct scenario *scenario)
{
    struct result result = {.short_keys = {.key_bytes = 9},
                            .long_keys = {.key_bytes = 13},
                            .fitting = {.key_bytes = 10}};
    size_t raw = (size_t)scenario->points * FIELDS * 8;
    struct bench bench = {
        .points = memory_zero(scenario->points, sizeof *bench.points),
        .copy = memory_zero(scenario->points, sizeof *bench.copy),
        .columns = memory_alloc(raw),
        .packed = memory_alloc(raw + raw / 8 + 1024),
    };
    const int64_t begin = INT64_C(1791763200000) / scenario->width_ms;
    uint64_t random = 1;

    /* As a store fills: partition by partition, in each of them all series. */
    for (unsigned block = 0; block < scenario->blocks; block++) {
        struct block_frame frame = {begin + (int64_t)block * scenario->points, scenario->width_ms,
                                    0};
        for (unsigned series = 0; series < scenario->series; series++) {
            frame.seed = series;
            fill(scenario, values_of_series(scenario, series), frame.origin, &random, bench.points);
            measure_block(scenario, &frame, &bench, &result);
            measure_fitting(scenario, &frame, &bench, &result.fitting);
            if (series % 8 == 0)
                measure_zlib(scenario, &bench, &result);
        }
    }
    free(bench.points);
    free(bench.copy);
    free(bench.columns);
    free(bench.packed);
    arena_fini(&bench.arena);
    buf_fini(&bench.bytes);
    return result;
}

static void print_header(const char *title)
{
    (void)printf("\n%s\n%-34s %6s %7s %7s %7s %7s %7s | %7s %7s %7s %7s %7s %7s\n", title, "",
                 "points", "bytes", "lmdb 9", "lmdb 13", "cut", "zlib", "encode", "decode", "merge",
                 "memcpy", "zlib", "unzlib");
}

static void run(const struct scenario *scenario)
{
    struct result result = measure(scenario);
    double zlib_points = result.raw_bytes / (scenario->samples == 1 ? 2 : FIELDS) / 8;
    double to_ns = 1e9 / result.points;

    (void)printf("%-34s %6u %7.3f %7.3f %7.3f %7.3f %7.3f | %7.1f %7.1f %7.1f %7.1f %7.1f %7.1f\n",
                 scenario->name, scenario->points, result.bytes / result.points,
                 pages_bytes(&result.short_keys) / result.points,
                 pages_bytes(&result.long_keys) / result.points,
                 pages_bytes(&result.fitting) / result.points, result.zlib_bytes / zlib_points,
                 result.encode_s * to_ns, result.decode_s * to_ns, result.merge_s * to_ns,
                 result.copy_s * to_ns, result.zlib_s * 1e9 / zlib_points,
                 result.unzlib_s * 1e9 / zlib_points);
}

int main(void)
{
    static const unsigned lengths[] = {60, 120, 180, 240, 360, 480, 720, 1440};
    static const struct scenario others[] = {
        {"counters, one sample", VALUES_COUNTERS, 1, 240, MS_PER_MINUTE, 6, 500, false},
        {"gauges, one sample", VALUES_GAUGES, 1, 240, MS_PER_MINUTE, 6, 500, false},
        {"mix, any millisecond", VALUES_MIX, 1, 240, MS_PER_MINUTE, 6, 500, true},
        {"gauges that walk, one sample", VALUES_WALK, 1, 240, MS_PER_MINUTE, 6, 500, false},
        {"random doubles, one sample", VALUES_DOUBLES, 1, 240, MS_PER_MINUTE, 6, 500, false},
        {"counters, 60 samples", VALUES_COUNTERS, 60, 240, MS_PER_MINUTE, 6, 50, false},
        {"gauges, 60 samples", VALUES_GAUGES, 60, 240, MS_PER_MINUTE, 6, 50, false},
        {"gauges, 60, any millisecond", VALUES_GAUGES, 60, 240, MS_PER_MINUTE, 6, 50, true},
        {"gauges that walk, 6 samples", VALUES_WALK, 6, 240, MS_PER_MINUTE, 6, 100, false},
        {"by ones, 30 on average", VALUES_ONES, 30, 240, MS_PER_MINUTE, 6, 50, true},
        {"random doubles, 60 samples", VALUES_DOUBLES, 60, 240, MS_PER_MINUTE, 6, 50, false},
        {"mix, 15 minutes of a day", VALUES_MIX, 15, 96, 15 * MS_PER_MINUTE, 1, 1000, false},
        {"mix, 15 minutes of a week", VALUES_MIX, 15, 672, 15 * MS_PER_MINUTE, 1, 500, false},
        {"mix, one day", VALUES_MIX, 1440, 1, MS_PER_DAY, 1, 1000, false},
        {"mix, days of a month", VALUES_MIX, 1440, 30, MS_PER_DAY, 1, 100, false},
    };

    print_header("kpiload -m 86,0,14, one day of one-minute points (bytes and ns a point)");
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct scenario mix = {
            "mix", VALUES_MIX, 1, lengths[i], MS_PER_MINUTE, DAY_MINUTES / lengths[i], 2000, false};
        run(&mix);
    }
    print_header("other series");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        run(&others[i]);
    return 0;
}
