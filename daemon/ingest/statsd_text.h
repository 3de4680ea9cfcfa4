/* What the dialects of StatsD have in common: pieces of a line, the sample rate, how far it may
 * weigh. For statsd.c and dogstatsd.c alone. */
#pragma once

#include <endian.h>
#include <math.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "series/sample.h"

static inline struct str statsd_cut(struct str text, size_t from, size_t to)
{
    return (struct str){text.text + from, to - from};
}

/* The index of the first `c` at or after `from`; the length when there is none. */
static inline size_t statsd_find(struct str text, size_t from, char c)
{
    const char *found = from >= text.len ? NULL : memchr(text.text + from, c, text.len - from);
    return found == NULL ? text.len : (size_t)(found - text.text);
}

/* Sixteen bytes at a time: a vector in every compiler that knows the attribute. */
typedef unsigned char statsd_bytes16 __attribute__((vector_size(16)));

static inline statsd_bytes16 statsd_load16(const char *text)
{
    statsd_bytes16 bytes;
    memcpy(&bytes, text, sizeof bytes);
    return bytes;
}

/* The index of the first byte that is set, of those that are all set or all clear; 16: none is. */
static inline size_t statsd_first16(statsd_bytes16 bytes)
{
#ifdef __SSE2__
    unsigned mask = (unsigned)_mm_movemask_epi8((__m128i)bytes) | 1U << 16;
    return (size_t)__builtin_ctz(mask);
#else
    uint64_t halves[2];
    memcpy(halves, &bytes, sizeof halves);
    if (halves[0] != 0)
        return (size_t)__builtin_ctzll(le64toh(halves[0])) / 8;
    return halves[1] == 0 ? 16 : 8 + (size_t)__builtin_ctzll(le64toh(halves[1])) / 8;
#endif
}

/* The index of the first byte that a dialect's functions, which say the same, stop at; the length
 * when there is none. Both are known where it is called, so that nothing is called. */
static inline __attribute__((always_inline)) size_t statsd_scan(
    struct str text, statsd_bytes16 (*stops_in)(statsd_bytes16), bool (*stops_at)(char))
{
    const size_t width = sizeof(statsd_bytes16);
    size_t at = 0;

    if (text.len < width) {
        while (at < text.len && !stops_at(text.text[at]))
            at++;
        return at;
    }
    for (;;) {
        size_t first = statsd_first16(stops_in(statsd_load16(text.text + at)));
        if (first < width)
            return at + first;
        if (at + width == text.len)
            return text.len;
        /* The last ones overlap with those before, among which nothing was found. */
        at += width;
        if (at > text.len - width)
            at = text.len - width;
    }
}

static inline struct str statsd_without_return(struct str line)
{
    if (line.len > 0 && line.text[line.len - 1] == '\r')
        line.len--; /* S1 */
    return line;
}

/* The weight of a sample rate, rounded once, here. False for what is no number above 0 and at most
 * 1 (S9), or so small that one line could overflow a cell's count. */
bool statsd_take_rate(struct str text, uint64_t *weight);

/* Whether a value stays finite when it counts so often (S8). */
static inline bool statsd_can_weigh(double value, uint64_t weight)
{
    return isfinite(value * ((double)weight / (double)WEIGHT_ONE));
}
