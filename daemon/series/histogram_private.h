/* What histogram.c and histogram_read.c share. */
#pragma once

#include "series/bounded.h"
#include "series/histogram.h"

enum { POSITIVE = 0, NEGATIVE = 1, WEIGHT_BITS = 16 };

/* A window of neighbouring buckets, as narrow as their counts allow: 1, 2 or 4 bytes for whole
 * counts, 8 for weights with their fractional bits. Buckets never become empty again, so the window
 * remembers no more than this. */
struct side {
    union {
        uint8_t *u8;
        uint16_t *u16;
        uint32_t *u32;
        uint64_t *u64; /* the only one with fractional bits */
        void *any;     /* owned; NULL while there is no bucket */
    } counts;
    int32_t first; /* the index of counts[0] */
    uint16_t capacity;
    uint8_t width; /* bytes of a count */
};

struct histogram {
    struct side sides[2];
    struct bounded *bounded; /* owned; NULL: nothing came so */
    uint64_t zeros;
    uint64_t total;  /* of all, with `bounded` */
    uint8_t coarser; /* HISTOGRAM_SCALE_MAX - scale */
};

static inline uint64_t saturating_sum(uint64_t a, uint64_t b)
{
    uint64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t count_at(const struct side *side, size_t place)
{
    switch (side->width) {
    case sizeof(uint8_t):
        return (uint64_t)side->counts.u8[place] << WEIGHT_BITS;
    case sizeof(uint16_t):
        return (uint64_t)side->counts.u16[place] << WEIGHT_BITS;
    case sizeof(uint32_t):
        return (uint64_t)side->counts.u32[place] << WEIGHT_BITS;
    default:
        return side->counts.u64[place];
    }
}

/* The point of a bucket whose relative distance to the farthest double in it is least: the harmonic
 * mean of the first and the last one. */
double histogram_middle(int32_t index, unsigned coarser);
