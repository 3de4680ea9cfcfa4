/* The counts of a histogram's neighbouring buckets, on one side of zero. Private to histogram*.c.
 *
 * Indexes are of one scale; one that is finer by `shift` halves them so often. Counts are weights
 * with 16 fractional bits that stay at the largest number. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#include "series/sample.h"

enum { WEIGHT_BITS = 16 };
#define WEIGHT_FRACTION (WEIGHT_ONE - 1)

/* Indexes from low to high; none when low is above high. */
struct range {
    int32_t low;
    int32_t high;
};

#define RANGE_NONE ((struct range){INT32_MAX, INT32_MIN})

static inline bool range_is_none(struct range range)
{
    return range.low > range.high;
}

static inline void range_add(struct range *range, int32_t index)
{
    range->low = index < range->low ? index : range->low;
    range->high = index > range->high ? index : range->high;
}

static inline struct range range_union(struct range a, struct range b)
{
    return (struct range){a.low < b.low ? a.low : b.low, a.high > b.high ? a.high : b.high};
}

/* Shifts of negative numbers are arithmetic in every compiler that builds kpid. */
static inline struct range range_coarser(struct range range, unsigned shift)
{
    return range_is_none(range) ? range : (struct range){range.low >> shift, range.high >> shift};
}

static inline int32_t range_span(struct range range)
{
    return range_is_none(range) ? 0 : range.high - range.low + 1;
}

/* Whether a side can have as many buckets. */
bool range_fits(struct range range);

/* A window of neighbouring buckets, as narrow as their counts allow: 1, 2 or 4 bytes for whole
 * counts, 8 for weights with their fractional bits. Buckets hardly ever become empty again, so the
 * window remembers no more than this. All zeros: no bucket. */
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

void side_fini(struct side *side);

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

/* `place` is within the window; its counts become wider when this one needs it. */
void side_set_count(struct side *side, size_t place, uint64_t count);

/* False, and nothing is added, when the sum is too large for the width, or has a fraction. */
static inline bool side_add_within_width(const struct side *side, size_t place, uint64_t weight)
{
    uint64_t sum = weight >> WEIGHT_BITS;

    if (side->width == sizeof(uint64_t)) {
        side->counts.u64[place] = saturating_sum(side->counts.u64[place], weight);
        return true;
    }
    if ((weight & WEIGHT_FRACTION) != 0)
        return false;
    switch (side->width) {
    case sizeof(uint8_t):
        sum += side->counts.u8[place];
        if (sum > UINT8_MAX)
            return false;
        side->counts.u8[place] = (uint8_t)sum;
        return true;
    case sizeof(uint16_t):
        sum += side->counts.u16[place];
        if (sum > UINT16_MAX)
            return false;
        side->counts.u16[place] = (uint16_t)sum;
        return true;
    default:
        sum += side->counts.u32[place];
        if (sum > UINT32_MAX)
            return false;
        side->counts.u32[place] = (uint32_t)sum;
        return true;
    }
}

/* The bucket is within the window. */
static inline void side_add(struct side *side, int32_t index, uint64_t weight)
{
    size_t place = (size_t)(index - side->first);
    assert(place < side->capacity);
    if (!side_add_within_width(side, place, weight))
        side_set_count(side, place, saturating_sum(count_at(side, place), weight));
}

/* Where the buckets are that are not empty. */
struct range side_range(const struct side *side);

/* Makes the window hold `range` too; together with what is there it fits. It leaves some room on
 * the side that grows, so that values in order do not move it each time. */
void side_reserve(struct side *side, struct range range);

/* Adds the buckets of `from`, which are finer by `shift`; the window is large enough. */
void side_merge(struct side *into, const struct side *from, unsigned shift);

/* Also leaves the window as narrow as what there is. */
void side_coarsen(struct side *side, unsigned shift);

/* Takes out the buckets of `part`, which are finer by `shift`. False when they are not all there:
 * then some may be gone. */
bool side_take_out(struct side *side, const struct side *part, unsigned shift);

/* Whether all buckets of `part`, which are of the same scale, are there. */
bool side_holds(const struct side *side, const struct side *part);
