#include "series/histogram_side.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "series/histogram.h"

enum { CAPACITY_STEP = 16 };

bool range_fits(struct range range)
{
    return range_span(range) <= HISTOGRAM_BUCKETS_MAX;
}

void side_fini(struct side *side)
{
    free(side->counts.any);
    *side = (struct side){0};
}

/* --- counts ----------------------------------------------------------------------------------- */

static uint8_t width_for(uint64_t count)
{
    uint64_t whole = count >> WEIGHT_BITS;
    if ((count & WEIGHT_FRACTION) != 0 || whole > UINT32_MAX)
        return sizeof(uint64_t);
    if (whole > UINT16_MAX)
        return sizeof(uint32_t);
    return whole > UINT8_MAX ? sizeof(uint16_t) : sizeof(uint8_t);
}

/* The width is enough. */
static void put_count(const struct side *side, size_t place, uint64_t count)
{
    switch (side->width) {
    case sizeof(uint8_t):
        side->counts.u8[place] = (uint8_t)(count >> WEIGHT_BITS);
        break;
    case sizeof(uint16_t):
        side->counts.u16[place] = (uint16_t)(count >> WEIGHT_BITS);
        break;
    case sizeof(uint32_t):
        side->counts.u32[place] = (uint32_t)(count >> WEIGHT_BITS);
        break;
    default:
        side->counts.u64[place] = count;
        break;
    }
}

static void widen(struct side *side, uint8_t width)
{
    struct side wide = *side;
    wide.width = width;
    wide.counts.any = memory_zero(side->capacity, width);
    for (size_t i = 0; i < side->capacity; i++)
        put_count(&wide, i, count_at(side, i));
    free(side->counts.any);
    *side = wide;
}

void side_set_count(struct side *side, size_t place, uint64_t count)
{
    uint8_t width = width_for(count);

    if (width > side->width)
        widen(side, width);
    put_count(side, place, count);
}

/* --- the window ------------------------------------------------------------------------------- */

struct range side_range(const struct side *side)
{
    int32_t low = 0;
    int32_t high = side->capacity;

    while (low < high && count_at(side, (size_t)low) == 0)
        low++;
    while (low < high && count_at(side, (size_t)high - 1) == 0)
        high--;
    return low == high ? RANGE_NONE : (struct range){side->first + low, side->first + high - 1};
}

void side_reserve(struct side *side, struct range range)
{
    if (range_is_none(range) || (side->capacity > 0 && range.low >= side->first &&
                                 range.high < side->first + side->capacity))
        return;

    struct range used = side_range(side);
    struct range all = range_union(used, range);
    int32_t span = range_span(all);
    assert(span <= HISTOGRAM_BUCKETS_MAX);
    int32_t capacity = range_is_none(used) ? span : span + span / 8;
    capacity = (capacity + CAPACITY_STEP - 1) / CAPACITY_STEP * CAPACITY_STEP;
    if (capacity > HISTOGRAM_BUCKETS_MAX)
        capacity = HISTOGRAM_BUCKETS_MAX;

    int32_t room_below = (capacity - span) / 2;
    if (all.low == used.low)
        room_below = 0;
    else if (all.high == used.high)
        room_below = capacity - span;

    struct side grown = {.first = all.low - room_below,
                         .capacity = (uint16_t)capacity,
                         .width = side->width > 0 ? side->width : (uint8_t)sizeof(uint8_t)};
    grown.counts.any = memory_zero(grown.capacity, grown.width);
    if (!range_is_none(used)) {
        memcpy(grown.counts.u8 + (size_t)(used.low - grown.first) * grown.width,
               side->counts.u8 + (size_t)(used.low - side->first) * side->width,
               (size_t)range_span(used) * side->width);
    }
    free(side->counts.any);
    *side = grown;
}

void side_merge(struct side *into, const struct side *from, unsigned shift)
{
    for (int32_t i = 0; i < from->capacity; i++) {
        uint64_t count = count_at(from, (size_t)i);
        if (count != 0)
            side_add(into, (from->first + i) >> shift, count);
    }
}

void side_coarsen(struct side *side, unsigned shift)
{
    struct side coarse = {.width = side->width};
    side_reserve(&coarse, range_coarser(side_range(side), shift));
    side_merge(&coarse, side, shift);
    free(side->counts.any);
    *side = coarse;
}

/* --- taking out ------------------------------------------------------------------------------- */

/* What is left of the bucket that holds bucket `i` of `part`, which is not empty; false when it
 * holds less. */
static bool find_rest(const struct side *side, const struct side *part, int32_t i, unsigned shift,
                      size_t *place, uint64_t *rest)
{
    int32_t at = ((part->first + i) >> shift) - side->first;

    if (at < 0 || at >= side->capacity)
        return false;
    *place = (size_t)at;
    return !__builtin_sub_overflow(count_at(side, *place), count_at(part, (size_t)i), rest);
}

bool side_take_out(struct side *side, const struct side *part, unsigned shift)
{
    size_t place = 0;
    uint64_t rest = 0;

    for (int32_t i = 0; i < part->capacity; i++) {
        if (count_at(part, (size_t)i) == 0)
            continue;
        if (!find_rest(side, part, i, shift, &place, &rest))
            return false;
        side_set_count(side, place, rest);
    }
    return true;
}

bool side_holds(const struct side *side, const struct side *part)
{
    size_t place = 0;
    uint64_t rest = 0;

    for (int32_t i = 0; i < part->capacity; i++) {
        if (count_at(part, (size_t)i) > 0 && !find_rest(side, part, i, 0, &place, &rest))
            return false;
    }
    return true;
}
