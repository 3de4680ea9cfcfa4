/* What block.c and block_read.c share: the numbers of the stored form (store/block.h). */
#pragma once

#include <math.h>
#include <xxhash.h>

#include "store/block.h"
#include "store/block_column.h"
#include "store/block_number.h"

enum {
    BLOCK_VERSION = 1,
    BLOCK_CHECKSUM_BYTES = 4,
    BLOCK_SCALE_BITS = 4,
    BLOCK_SUMS_BITS = 2,
    BLOCK_MIDDLE_SHIFT = 17, /* half, and the 16 fractional bits of a count */
    BLOCK_EXPONENT_MIN = -1074,
    BLOCK_EXPONENT_MAX = 971,
};

enum block_flag {
    BLOCK_ARRIVALS = 1,
    BLOCK_SKETCHES = 2,
    BLOCK_NO_GAPS = 4,
    BLOCK_UNIT_COUNTS = 8,
    BLOCK_SOME_PLAIN = 16,
    BLOCK_SOME_NOT = 32,
    BLOCK_FLAG_BITS = 6,
};

enum block_sums { BLOCK_SUMS_PRODUCT, BLOCK_SUMS_SCALED, BLOCK_SUMS_ORDERED };

/* What a sum is near to: the count times the middle of min and max. All three are by the scale,
 * within 2^53, so that nothing overflows. */
static inline uint64_t block_middle_sum(uint64_t count, uint64_t min, uint64_t max)
{
    __int128 ends = (__int128)(int64_t)min + (int64_t)max;
    return (uint64_t)(((__int128)count * ends) >> BLOCK_MIDDLE_SHIFT);
}

static inline uint32_t block_checksum(const struct block_frame *frame, struct str bytes)
{
    const uint64_t key[] = {htole64((uint64_t)frame->origin), htole64((uint64_t)frame->width_ms),
                            htole64(frame->seed)};
    XXH64_hash_t seed = XXH3_64bits(key, sizeof key);
    return (uint32_t)XXH3_64bits_withSeed(bytes.text, bytes.len, seed);
}

/* What block_encode takes and block_decode gives. */
static inline bool block_is_sound(const struct aggregate *aggregate)
{
    /* Infinite or no number if one of them is; quarters, so that finite ones stay finite. */
    double extremes = fabs(aggregate->min) / 4 + fabs(aggregate->max) / 4 +
                      fabs(aggregate->first) / 4 + fabs(aggregate->last) / 4;

    return isfinite(extremes) && isfinite(aggregate->sum) && isfinite(aggregate->sum_low) &&
           aggregate->sum + aggregate->sum_low == aggregate->sum &&
           aggregate->min <= aggregate->first && aggregate->first <= aggregate->max &&
           aggregate->min <= aggregate->last && aggregate->last <= aggregate->max &&
           (aggregate->first_at < aggregate->last_at ||
            (aggregate->first_at == aggregate->last_at &&
             aggregate->first_arrival <= aggregate->last_arrival));
}
