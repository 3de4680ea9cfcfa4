/* Histograms for tests: values of all kinds, and an independent reading of what they hold. */
#pragma once

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "series/histogram.h"
#include "series/random.h"
#include "series/sample.h"
#include "test.h"

enum { INDEX_SPACE = 1 << 17 };

/* The bucket by OpenTelemetry's definition, in 64-bit mantissas: base^i < value <= base^(i + 1). */
static inline int32_t reference_index(double value, int scale)
{
    long double magnitude = fabsl((long double)value);
    int32_t i = (int32_t)ceill(log2l(magnitude) * exp2l(scale)) - 1;
    while (exp2l((long double)i * exp2l(-scale)) >= magnitude)
        i--;
    while (exp2l((long double)(i + 1) * exp2l(-scale)) < magnitude)
        i++;
    return i;
}

/* What an encoding says, read by the format in the header and nothing else. */
struct content {
    int scale;
    uint64_t zeros;
    uint64_t counts[2][2 * INDEX_SPACE]; /* of the index + INDEX_SPACE */
};

static inline uint64_t content_varint(const unsigned char **at)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        unsigned char byte = *(*at)++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return value;
    }
}

static inline struct content *content_of(const struct histogram *histogram)
{
    struct content *content = memory_zero(1, sizeof *content);
    struct buf bytes = BUF_EMPTY;
    histogram_encode(histogram, &bytes);
    const unsigned char *at = (const unsigned char *)bytes.bytes;
    unsigned head = *at++;
    uint64_t unit = (head & 32) != 0 ? WEIGHT_ONE : 1;
    assert_int_equal(head >> 6, 1);
    content->scale = HISTOGRAM_SCALE_MAX - (int)(head & 31);
    content->zeros = content_varint(&at) * unit;
    for (int side = 0; side < 2; side++) {
        int64_t span = (int64_t)content_varint(&at);
        if (span == 0)
            continue;
        uint64_t zigzag = content_varint(&at);
        int64_t index = (zigzag & 1) != 0 ? -(int64_t)(zigzag / 2) - 1 : (int64_t)(zigzag / 2);
        int64_t end = index + span;
        while (index < end) {
            unsigned byte = *at++;
            uint64_t count = ((byte >> 2) & 31) + 1;
            if (byte >= 128)
                count += content_varint(&at) * 32;
            index += byte & 3;
            if ((byte & 3) == 3)
                index += (int64_t)content_varint(&at);
            content->counts[side][index + INDEX_SPACE] = count * unit;
            index++;
        }
        assert_int_equal(index, end);
    }
    assert_ptr_equal(at, bytes.bytes + bytes.len);
    buf_fini(&bytes);
    return content;
}

static inline void assert_same(const struct histogram *a, const struct histogram *b)
{
    struct buf one = BUF_EMPTY;
    struct buf other = BUF_EMPTY;
    histogram_encode(a, &one);
    histogram_encode(b, &other);
    assert_int_equal(one.len, other.len);
    assert_memory_equal(one.bytes, other.bytes, one.len);
    assert_true(histogram_count(a) == histogram_count(b));
    buf_fini(&one);
    buf_fini(&other);
}

struct weighted {
    double value;
    uint64_t weight;
};

static inline double random_unit(uint64_t *seed)
{
    return ((double)(random_next(seed) >> 11) + 0.5) * 0x1p-53;
}

static inline double random_normal(uint64_t *seed)
{
    double radius = sqrt(-2 * log(random_unit(seed)));
    return radius * cos(2 * M_PI * random_unit(seed));
}

static inline double random_bits(uint64_t *seed)
{
    double value = 0;
    do {
        uint64_t bits = random_next(seed);
        memcpy(&value, &bits, sizeof value);
    } while (!isfinite(value));
    return value;
}

/* Sets of values of all kinds, narrow and wide. */
static inline double random_value(uint64_t *seed, uint64_t kind)
{
    switch (kind % 6) {
    case 0:
        return random_bits(seed); /* the whole range of doubles, subnormals among them */
    case 1:
        return exp(random_normal(seed));
    case 2:
        return (double)random_below(seed, 21) - 10;
    case 3:
        return ldexp(1, (int)random_below(seed, 2098) - 1074); /* bounds of buckets */
    case 4:
        return ldexp((double)(random_below(seed, 4000) + 1), -1074);
    default:
        return exp(random_normal(seed) * 6) * (random_below(seed, 2) == 0 ? 1 : -1);
    }
}

static inline uint64_t random_weight(uint64_t *seed, uint64_t kind)
{
    static const uint64_t weights[] = {WEIGHT_ONE,       WEIGHT_ONE,          1,
                                       WEIGHT_ONE / 3,   WEIGHT_ONE * 10 / 3, WEIGHT_ONE * 300,
                                       WEIGHT_ONE << 20, UINT64_C(1) << 50,   UINT64_MAX / 3,
                                       UINT64_MAX,       WEIGHT_ONE * 4000000};
    return kind % 2 == 0 ? WEIGHT_ONE : weights[random_below(seed, TEST_COUNT(weights))];
}

static inline struct histogram *histogram_of(const struct weighted *values, size_t count)
{
    struct histogram *histogram = histogram_new();
    for (size_t i = 0; i < count; i++)
        histogram_add(histogram, values[i].value, values[i].weight);
    return histogram;
}

static inline struct histogram *histogram_of_whole(const double *values, size_t count)
{
    struct histogram *histogram = histogram_new();
    for (size_t i = 0; i < count; i++)
        histogram_add(histogram, values[i], WEIGHT_ONE);
    return histogram;
}

static inline double quantile(const struct histogram *histogram, double q)
{
    double value = NAN;
    assert_true(histogram_quantile(histogram, q, -INFINITY, INFINITY, &value));
    return value;
}

static inline double share_at_most(const struct histogram *histogram, double value)
{
    double share = NAN;
    assert_true(histogram_share_at_most(histogram, value, &share));
    return share;
}

static inline double share_at_least(const struct histogram *histogram, double value)
{
    double share = NAN;
    assert_true(histogram_share_at_least(histogram, value, &share));
    return share;
}

static inline void assert_within(double value, double expected, double relative_error)
{
    assert_true(fabs(value - expected) <= fabs(expected) * relative_error);
}

static inline struct histogram *imported_at_random(uint64_t *seed)
{
    uint64_t counts[2][40];
    for (size_t i = 0; i < 40; i++) {
        counts[0][i] = random_below(seed, 4) == 0 ? random_below(seed, 1000) : 0;
        counts[1][i] = random_below(seed, 9) == 0 ? random_next(seed) : 0;
    }
    struct histogram_buckets positive = {(int32_t)random_below(seed, 400) - 200, 40, counts[0]};
    struct histogram_buckets negative = {(int32_t)random_below(seed, 400) - 200,
                                         random_below(seed, 41), counts[1]};
    int32_t scale = (int32_t)random_below(seed, 12) - 1;
    struct histogram *histogram = histogram_new();
    struct error err = ERROR_EMPTY;
    if (scale <= 0) { /* all of 2^-1074 to 2^1024 is 2,098 buckets of scale 0 */
        positive.offset /= 4;
        negative.offset /= 4;
    }
    assert_true(
        histogram_import(histogram, scale, random_below(seed, 3), &positive, &negative, &err));
    return histogram;
}
