#include <assert.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "series/histogram_private.h"
#include "series/sample.h"

enum {
    MANTISSA_BITS = 52,
    EXPONENT_SPECIAL = 0x7ff, /* infinite or not a number */
    EXPONENT_BIAS = 1023,
    EXPONENT_LEAST = -1022, /* of a number that is not subnormal */

    /* The table below is of the finest scale; a coarser index is that one halved `coarser` times.
     */
    STEPS = 1 << HISTOGRAM_SCALE_MAX, /* buckets in a power of two */
    COARSER_MAX = HISTOGRAM_SCALE_MAX - HISTOGRAM_SCALE_MIN,
    INDEX_LEAST = -1074 * STEPS - 1, /* of the least subnormal number, 2^-1074 */
    INDEX_MOST = 1024 * STEPS - 1,   /* of DBL_MAX */
    GUESS_SHIFT = MANTISSA_BITS - 7,

    VERSION = 1,
    VERSION_BOUNDED = 2,
    FLAG_WHOLE = 1 << 5,
    VERSION_SHIFT = 6,
    GAP_BITS = 2,
    GAP_LONG = 3,
    COUNT_BITS = 5,
    REST_FOLLOWS = 1 << 7,
};

static const uint64_t MANTISSA_MASK = (UINT64_C(1) << MANTISSA_BITS) - 1;

/* The mantissas of 2^(k / 64), rounded down. Those numbers are irrational but for k = 0, so no
 * double is one of them, and a double lies above 2^(k / 64) exactly if its mantissa is greater than
 * the one here. Hence every index below is exact. The last is above all mantissas. */
static const uint64_t BOUNDS[STEPS + 1] = {
    0x0000000000000, 0x02c9a3e778060, 0x059b0d3158574, 0x0874518759bc8, 0x0b5586cf9890f,
    0x0e3ec32d3d1a2, 0x11301d0125b50, 0x1429aaea92ddf, 0x172b83c7d517a, 0x1a35beb6fcb75,
    0x1d4873168b9aa, 0x2063b88628cd6, 0x2387a6e756238, 0x26b4565e27cdd, 0x29e9df51fdee1,
    0x2d285a6e4030b, 0x306fe0a31b715, 0x33c08b26416ff, 0x371a7373aa9ca, 0x3a7db34e59ff6,
    0x3dea64c123422, 0x4160a21f72e29, 0x44e086061892d, 0x486a2b5c13cd0, 0x4bfdad5362a27,
    0x4f9b2769d2ca6, 0x5342b569d4f81, 0x56f4736b527da, 0x5ab07dd485429, 0x5e76f15ad2148,
    0x6247eb03a5584, 0x6623882552224, 0x6a09e667f3bcc, 0x6dfb23c651a2e, 0x71f75e8ec5f73,
    0x75feb564267c8, 0x7a11473eb0186, 0x7e2f336cf4e62, 0x82589994cce12, 0x868d99b4492ec,
    0x8ace5422aa0db, 0x8f1ae99157736, 0x93737b0cdc5e4, 0x97d829fde4e4f, 0x9c49182a3f090,
    0xa0c667b5de564, 0xa5503b23e255c, 0xa9e6b5579fdbf, 0xae89f995ad3ad, 0xb33a2b84f15fa,
    0xb7f76f2fb5e46, 0xbcc1e904bc1d2, 0xc199bdd85529c, 0xc67f12e57d14b, 0xcb720dcef9069,
    0xd072d4a07897b, 0xd5818dcfba487, 0xda9e603db3285, 0xdfc97337b9b5e, 0xe502ee78b3ff6,
    0xea4afa2a490d9, 0xefa1bee615a27, 0xf50765b6e4540, 0xfa7c1819e90d8, 0xfffffffffffff,
};

/* For the first 7 bits of a mantissa: the last k whose bound is not above them. At most one bound
 * lies between two neighbours, so one comparison is enough to make it right. */
static const uint8_t GUESSES[1 << 7] = {
    0,  0,  1,  2,  2,  3,  4,  4,  5,  6,  6,  7,  8,  8,  9,  10, 10, 11, 12, 12, 13, 14,
    14, 15, 15, 16, 17, 17, 18, 18, 19, 20, 20, 21, 21, 22, 22, 23, 24, 24, 25, 25, 26, 26,
    27, 27, 28, 28, 29, 29, 30, 30, 31, 31, 32, 33, 33, 34, 34, 35, 35, 35, 36, 36, 37, 37,
    38, 38, 39, 39, 40, 40, 41, 41, 42, 42, 43, 43, 43, 44, 44, 45, 45, 46, 46, 47, 47, 47,
    48, 48, 49, 49, 50, 50, 50, 51, 51, 52, 52, 52, 53, 53, 54, 54, 54, 55, 55, 56, 56, 56,
    57, 57, 58, 58, 58, 59, 59, 59, 60, 60, 61, 61, 61, 62, 62, 62, 63, 63,
};

/* --- indexes and bounds ----------------------------------------------------------------------- */

static uint64_t bits_of(double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits)
{
    double value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The index at the finest scale of what is not zero. */
static int32_t index_of(uint64_t bits)
{
    int32_t exponent = (int32_t)(bits >> MANTISSA_BITS) & EXPONENT_SPECIAL;
    uint64_t mantissa = bits & MANTISSA_MASK;

    if (exponent == 0) { /* subnormal: as if it were not */
        int shift = __builtin_clzll(mantissa) - (63 - MANTISSA_BITS);
        mantissa = (mantissa << shift) & MANTISSA_MASK;
        exponent = 1 - shift;
    }
    int32_t step = GUESSES[mantissa >> GUESS_SHIFT];
    step += mantissa > BOUNDS[step + 1];
    step -= mantissa == 0; /* a power of two is the upper bound of its bucket, and in it */
    return (exponent - EXPONENT_BIAS) * STEPS + step;
}

int32_t histogram_index(double value, int scale)
{
    assert(scale >= HISTOGRAM_SCALE_MIN && scale <= HISTOGRAM_SCALE_MAX);
    return index_of(bits_of(value)) >> (HISTOGRAM_SCALE_MAX - scale);
}

/* The greatest double that is not above base^index. */
static double bound_of(int64_t index, unsigned coarser)
{
    int64_t finest = index * (INT64_C(1) << coarser);
    int64_t exponent = finest >> HISTOGRAM_SCALE_MAX;
    uint64_t mantissa = BOUNDS[finest & (STEPS - 1)];

    if (exponent > EXPONENT_BIAS)
        return DBL_MAX;
    if (exponent >= EXPONENT_LEAST)
        return double_of(((uint64_t)(exponent + EXPONENT_BIAS) << MANTISSA_BITS) | mantissa);
    mantissa |= UINT64_C(1) << MANTISSA_BITS;
    int64_t shift = EXPONENT_LEAST - exponent;
    return shift > MANTISSA_BITS ? 0 : double_of(mantissa >> shift);
}

double histogram_middle(int32_t index, unsigned coarser)
{
    double least = nextafter(bound_of(index, coarser), INFINITY);
    double most = bound_of((int64_t)index + 1, coarser);

    if (least >= most) /* one number, or none between two neighbours that are subnormal */
        return most;
    double middle = most * (2 / (1 + most / least));
    return fmin(fmax(middle, least), most);
}

/* --- the histogram ---------------------------------------------------------------------------- */

struct histogram *histogram_new(void)
{
    return memory_zero(1, sizeof(struct histogram));
}

void histogram_free(struct histogram *histogram)
{
    if (histogram == NULL)
        return;
    side_fini(&histogram->sides[POSITIVE]);
    side_fini(&histogram->sides[NEGATIVE]);
    bounded_free(histogram->bounded);
    free(histogram);
}

struct histogram *histogram_copy(const struct histogram *histogram)
{
    struct histogram *copy = histogram_new();
    *copy = *histogram;
    for (int i = POSITIVE; i <= NEGATIVE; i++) {
        copy->sides[i] = (struct side){.width = histogram->sides[i].width};
        side_reserve(&copy->sides[i], side_range(&histogram->sides[i]));
        side_merge(&copy->sides[i], &histogram->sides[i], 0);
    }
    if (histogram->bounded != NULL)
        copy->bounded = bounded_copy(histogram->bounded);
    return copy;
}

/* Makes room for buckets of a scale given by `coarser`: takes the coarser one of that and its own,
 * then the finest at which both sides fit. So the scale depends on what there is, not on when it
 * came. */
static void make_room(struct histogram *histogram, unsigned coarser, const struct range ranges[2])
{
    unsigned own = histogram->coarser;
    unsigned target = own > coarser ? own : coarser;
    struct range needed[2];

    for (int i = POSITIVE; i <= NEGATIVE; i++) {
        needed[i] = range_union(range_coarser(side_range(&histogram->sides[i]), target - own),
                                range_coarser(ranges[i], target - coarser));
    }
    while (!range_fits(needed[POSITIVE]) || !range_fits(needed[NEGATIVE])) {
        needed[POSITIVE] = range_coarser(needed[POSITIVE], 1);
        needed[NEGATIVE] = range_coarser(needed[NEGATIVE], 1);
        target++;
    }
    assert(target <= COARSER_MAX);
    for (int i = POSITIVE; i <= NEGATIVE; i++) {
        if (target > own)
            side_coarsen(&histogram->sides[i], target - own);
        side_reserve(&histogram->sides[i], range_coarser(ranges[i], target - coarser));
    }
    histogram->coarser = (uint8_t)target;
}

static void add_outside_window(struct histogram *histogram, int sign, int32_t finest,
                               uint64_t weight)
{
    struct range ranges[2] = {RANGE_NONE, RANGE_NONE};
    ranges[sign] = (struct range){finest, finest};
    make_room(histogram, 0, ranges);
    side_add(&histogram->sides[sign], finest >> histogram->coarser, weight);
}

void histogram_add(struct histogram *histogram, double value, uint64_t weight)
{
    uint64_t bits = bits_of(value);
    int sign = (int)(bits >> 63);

    if (weight == 0 || ((bits >> MANTISSA_BITS) & EXPONENT_SPECIAL) == EXPONENT_SPECIAL)
        return;
    histogram->total = saturating_sum(histogram->total, weight);
    if (bits << 1 == 0) {
        histogram->zeros = saturating_sum(histogram->zeros, weight);
        return;
    }
    struct side *side = &histogram->sides[sign];
    int32_t finest = index_of(bits);
    int32_t index = finest >> histogram->coarser;
    if (index >= side->first && index < side->first + side->capacity)
        side_add(side, index, weight);
    else
        add_outside_window(histogram, sign, finest, weight);
}

void histogram_prefetch(const struct histogram *histogram, double value)
{
    uint64_t bits = bits_of(value);
    const struct side *side = &histogram->sides[bits >> 63];

    if (bits << 1 == 0 || ((bits >> MANTISSA_BITS) & EXPONENT_SPECIAL) == EXPONENT_SPECIAL)
        return;
    int32_t place = (index_of(bits) >> histogram->coarser) - side->first;
    if (place >= 0 && place < side->capacity)
        __builtin_prefetch(side->counts.u8 + (size_t)place * side->width, 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    assert(into != from);
    struct range ranges[2] = {side_range(&from->sides[POSITIVE]),
                              side_range(&from->sides[NEGATIVE])};

    into->total = saturating_sum(into->total, from->total);
    into->zeros = saturating_sum(into->zeros, from->zeros);
    make_room(into, from->coarser, ranges);
    for (int i = POSITIVE; i <= NEGATIVE; i++)
        side_merge(&into->sides[i], &from->sides[i], (unsigned)(into->coarser - from->coarser));
    if (from->bounded != NULL && into->bounded != NULL)
        bounded_merge(into->bounded, from->bounded);
    else if (from->bounded != NULL)
        into->bounded = bounded_copy(from->bounded);
}

static bool take_bounded_out(struct histogram *histogram, const struct bounded *part)
{
    if (part == NULL)
        return true;
    if (histogram->bounded == NULL || !bounded_take_out(histogram->bounded, part))
        return false;
    if (bounded_count(histogram->bounded) > 0)
        return true;
    bounded_free(histogram->bounded);
    histogram->bounded = NULL;
    return true;
}

bool histogram_take_out(struct histogram *histogram, const struct histogram *part)
{
    unsigned shift = (unsigned)histogram->coarser - part->coarser;

    if (part->coarser > histogram->coarser || part->zeros > histogram->zeros ||
        part->total > histogram->total)
        return false;
    for (int i = POSITIVE; i <= NEGATIVE; i++) {
        if (!side_take_out(&histogram->sides[i], &part->sides[i], shift))
            return false;
    }
    histogram->zeros -= part->zeros;
    histogram->total -= part->total;
    if (range_is_none(side_range(&histogram->sides[POSITIVE])) &&
        range_is_none(side_range(&histogram->sides[NEGATIVE])))
        histogram->coarser = 0;
    return take_bounded_out(histogram, part->bounded);
}

void histogram_take_bounded(struct histogram *histogram, struct bounded *bounded)
{
    uint64_t weight = bounded_count(bounded);

    histogram->total = saturating_sum(histogram->total, weight);
    if (weight > 0 && histogram->bounded == NULL) {
        histogram->bounded = bounded;
        return;
    }
    if (weight > 0)
        bounded_merge(histogram->bounded, bounded);
    bounded_free(bounded);
}

const struct bounded *histogram_bounded(const struct histogram *histogram)
{
    return histogram->bounded;
}

/* --- histograms from elsewhere ---------------------------------------------------------------- */

/* Buckets of a scale that is finer than ours are halved, those beyond the coarsest scale are
 * the same two as at the coarsest: base^-1 and base^1 are out of reach already. */
static int64_t import_index(const struct histogram_buckets *buckets, size_t i, int32_t scale)
{
    int64_t index = (int64_t)buckets->offset + (int64_t)i;
    if (scale <= HISTOGRAM_SCALE_MAX)
        return index;
    int32_t finer = scale - HISTOGRAM_SCALE_MAX;
    return index >> (finer > 63 ? 63 : finer);
}

static bool check_import(const struct histogram_buckets *buckets, int32_t scale, unsigned coarser,
                         struct range *out, struct error *err)
{
    *out = RANGE_NONE;
    for (size_t i = 0; i < buckets->count; i++) {
        int64_t index = import_index(buckets, i, scale);
        if (buckets->counts[i] == 0)
            continue;
        if (index < INDEX_LEAST >> coarser || index > INDEX_MOST >> coarser) {
            return error_set(err, ERROR_INVALID,
                             "histogram bucket '%lld' at scale %d is outside of 64-bit numbers",
                             (long long)buckets->offset + (long long)i, (int)scale);
        }
        range_add(out, (int32_t)index);
    }
    return true;
}

static uint64_t weight_of_whole(uint64_t count)
{
    return count > UINT64_MAX >> WEIGHT_BITS ? UINT64_MAX : count << WEIGHT_BITS;
}

bool histogram_import(struct histogram *into, int32_t scale, uint64_t zeros,
                      const struct histogram_buckets *positive,
                      const struct histogram_buckets *negative, struct error *err)
{
    const struct histogram_buckets *buckets[2] = {positive, negative};
    struct range ranges[2];
    unsigned coarser = 0;

    if (scale < HISTOGRAM_SCALE_MIN)
        coarser = COARSER_MAX;
    else if (scale < HISTOGRAM_SCALE_MAX)
        coarser = (unsigned)(HISTOGRAM_SCALE_MAX - scale);
    for (int i = POSITIVE; i <= NEGATIVE; i++) {
        if (!check_import(buckets[i], scale, coarser, &ranges[i], err))
            return false;
    }

    into->zeros = saturating_sum(into->zeros, weight_of_whole(zeros));
    into->total = saturating_sum(into->total, weight_of_whole(zeros));
    if (range_is_none(ranges[POSITIVE]) && range_is_none(ranges[NEGATIVE]))
        return true;
    make_room(into, coarser, ranges);
    for (int i = POSITIVE; i <= NEGATIVE; i++) {
        for (size_t j = 0; j < buckets[i]->count; j++) {
            uint64_t weight = weight_of_whole(buckets[i]->counts[j]);
            if (weight == 0)
                continue;
            int32_t index = (int32_t)import_index(buckets[i], j, scale);
            side_add(&into->sides[i], index >> (into->coarser - coarser), weight);
            into->total = saturating_sum(into->total, weight);
        }
    }
    return true;
}

/* --- what came since ------------------------------------------------------------------------- */

/* The buckets of `before` below the first one are zeros; `before` has the scale of `into`. */
static void widen_zero(const struct histogram *into, struct histogram *before)
{
    int32_t first = INT32_MAX;

    for (int i = POSITIVE; i <= NEGATIVE; i++) {
        struct range range = side_range(&into->sides[i]);
        first = range.low < first ? range.low : first;
    }
    for (int i = POSITIVE; i <= NEGATIVE; i++) {
        struct side *side = &before->sides[i];
        for (int32_t j = 0; j < side->capacity && side->first + j < first; j++) {
            before->zeros = saturating_sum(before->zeros, count_at(side, (size_t)j));
            side_set_count(side, (size_t)j, 0);
        }
    }
}

/* To this scale at least; without buckets it has none. */
static void coarsen(struct histogram *histogram, unsigned coarser)
{
    if (coarser <= histogram->coarser || (range_is_none(side_range(&histogram->sides[POSITIVE])) &&
                                          range_is_none(side_range(&histogram->sides[NEGATIVE]))))
        return;
    for (int i = POSITIVE; i <= NEGATIVE; i++)
        side_coarsen(&histogram->sides[i], coarser - histogram->coarser);
    histogram->coarser = (uint8_t)coarser;
}

static bool holds(const struct histogram *into, const struct histogram *before)
{
    if (into->total < before->total || into->zeros < before->zeros)
        return false;
    if (before->bounded != NULL &&
        (into->bounded == NULL || !bounded_holds(into->bounded, before->bounded)))
        return false;
    return side_holds(&into->sides[POSITIVE], &before->sides[POSITIVE]) &&
           side_holds(&into->sides[NEGATIVE], &before->sides[NEGATIVE]);
}

bool histogram_subtract(struct histogram *into, const struct histogram *before)
{
    assert(into != before);
    struct histogram *old = histogram_copy(before);

    coarsen(into, old->coarser);
    coarsen(old, into->coarser);
    widen_zero(into, old);
    bool ok = holds(into, old);
    if (ok) {
        into->total -= old->total;
        into->zeros -= old->zeros;
        for (int i = POSITIVE; i <= NEGATIVE; i++) {
            (void)side_take_out(&into->sides[i], &old->sides[i], 0); /* it is all there */
            side_coarsen(&into->sides[i], 0);
        }
        if (into->sides[POSITIVE].capacity == 0 && into->sides[NEGATIVE].capacity == 0)
            into->coarser = 0;
        if (old->bounded != NULL)
            bounded_subtract(into->bounded, old->bounded);
        if (into->bounded != NULL && bounded_count(into->bounded) == 0) {
            bounded_free(into->bounded);
            into->bounded = NULL;
        }
    }
    histogram_free(old);
    return ok;
}

static void each_bucket_of(const struct side *side, unsigned coarser, bool is_negative,
                           histogram_bucket_fn on_bucket, void *arg)
{
    for (int32_t i = 0; i < side->capacity; i++) {
        uint64_t count = count_at(side, (size_t)i);
        double low = bound_of((int64_t)side->first + i, coarser);
        double high = bound_of((int64_t)side->first + i + 1, coarser);
        if (count > 0)
            on_bucket(is_negative ? -high : low, is_negative ? -low : high, count, arg);
    }
}

void histogram_each_bucket(const struct histogram *histogram, histogram_bucket_fn on_bucket,
                           void *arg)
{
    each_bucket_of(&histogram->sides[NEGATIVE], histogram->coarser, true, on_bucket, arg);
    if (histogram->zeros > 0)
        on_bucket(0, 0, histogram->zeros, arg);
    each_bucket_of(&histogram->sides[POSITIVE], histogram->coarser, false, on_bucket, arg);
    if (histogram->bounded != NULL)
        bounded_each_bucket(histogram->bounded, on_bucket, arg);
}

/* --- facts ----------------------------------------------------------------------------------- */

uint64_t histogram_count(const struct histogram *histogram)
{
    return histogram->total;
}

int histogram_scale(const struct histogram *histogram)
{
    return HISTOGRAM_SCALE_MAX - histogram->coarser;
}

size_t histogram_size_bytes(const struct histogram *histogram)
{
    size_t size = sizeof *histogram +
                  (histogram->bounded == NULL ? 0 : bounded_size_bytes(histogram->bounded));
    for (int i = POSITIVE; i <= NEGATIVE; i++)
        size += (size_t)histogram->sides[i].capacity * histogram->sides[i].width;
    return size;
}

/* --- codec ------------------------------------------------------------------------------------ */

static bool is_whole(const struct histogram *histogram)
{
    uint64_t bits = histogram->zeros;
    for (int i = POSITIVE; i <= NEGATIVE; i++) {
        const struct side *side = &histogram->sides[i];
        if (side->width < sizeof(uint64_t))
            continue;
        for (size_t j = 0; j < side->capacity; j++)
            bits |= side->counts.u64[j];
    }
    return (bits & WEIGHT_FRACTION) == 0;
}

static void encode_bucket(struct buf *out, uint64_t count, uint32_t gap)
{
    uint64_t rest = (count - 1) >> COUNT_BITS;
    uint64_t low_bits = (count - 1) & ((1U << COUNT_BITS) - 1);
    uint64_t short_gap = gap < GAP_LONG ? gap : GAP_LONG;

    buf_u8(out, (uint8_t)(short_gap | low_bits << GAP_BITS | (rest > 0 ? REST_FOLLOWS : 0)));
    if (rest > 0)
        buf_varint(out, rest);
    if (gap >= GAP_LONG)
        buf_varint(out, gap - GAP_LONG);
}

static void encode_side(const struct side *side, unsigned fraction_bits, struct buf *out)
{
    struct range range = side_range(side);
    uint32_t gap = 0;

    buf_varint(out, (uint64_t)range_span(range));
    if (range_is_none(range))
        return;
    buf_varint(out,
               (uint64_t)(range.low < 0 ? -2 * (int64_t)range.low - 1 : 2 * (int64_t)range.low));
    for (int32_t index = range.low; index <= range.high; index++) {
        uint64_t count = count_at(side, (size_t)(index - side->first));
        if (count == 0) {
            gap++;
            continue;
        }
        encode_bucket(out, count >> fraction_bits, gap);
        gap = 0;
    }
}

void histogram_encode(const struct histogram *histogram, struct buf *out)
{
    bool whole = is_whole(histogram);
    unsigned fraction_bits = whole ? WEIGHT_BITS : 0;
    int version = histogram->bounded == NULL ? VERSION : VERSION_BOUNDED;

    buf_u8(out,
           (uint8_t)(histogram->coarser | (whole ? FLAG_WHOLE : 0) | version << VERSION_SHIFT));
    buf_varint(out, histogram->zeros >> fraction_bits);
    encode_side(&histogram->sides[POSITIVE], fraction_bits, out);
    encode_side(&histogram->sides[NEGATIVE], fraction_bits, out);
    if (histogram->bounded != NULL)
        bounded_encode(histogram->bounded, out);
}

/* A count as it is written, as a weight; 0 is what it is not. */
static uint64_t weight_of_written(struct reader *reader, uint64_t count, bool whole)
{
    if (whole && count > UINT64_MAX >> WEIGHT_BITS)
        reader->ok = false;
    return whole ? count << WEIGHT_BITS : count;
}

/* Reads a bucket; returns its weight, 0 when it is wrong. */
static uint64_t decode_bucket(struct reader *reader, bool whole, uint64_t *gap)
{
    uint8_t byte = read_u8(reader);
    uint64_t count = (byte >> GAP_BITS) & ((1U << COUNT_BITS) - 1);

    *gap = byte & GAP_LONG;
    if ((byte & REST_FOLLOWS) != 0) {
        uint64_t rest = read_varint(reader);
        if (rest == 0 || rest > UINT64_MAX >> COUNT_BITS)
            reader->ok = false;
        count |= rest << COUNT_BITS;
    }
    if (*gap == GAP_LONG) {
        uint64_t longer = read_varint(reader);
        *gap = longer < HISTOGRAM_BUCKETS_MAX ? longer + GAP_LONG : HISTOGRAM_BUCKETS_MAX;
    }
    uint64_t weight = weight_of_written(reader, count + 1, whole);
    return reader->ok ? weight : 0;
}

/* Where the side's buckets are; none and `reader->ok` when it is empty. */
static struct range decode_range(struct reader *reader, unsigned coarser)
{
    uint64_t span = read_varint(reader);
    if (span == 0)
        return RANGE_NONE;
    uint64_t zigzag = read_varint(reader);
    int64_t low = (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
    if (span > HISTOGRAM_BUCKETS_MAX || low < INDEX_LEAST >> coarser ||
        low > (INDEX_MOST >> coarser) - (int64_t)span + 1) {
        reader->ok = false;
        return RANGE_NONE;
    }
    return (struct range){(int32_t)low, (int32_t)(low + (int64_t)span - 1)};
}

static bool decode_side(struct histogram *histogram, int sign, bool whole, struct reader *reader)
{
    struct range ranges[2] = {RANGE_NONE, RANGE_NONE};
    struct range range = decode_range(reader, histogram->coarser);
    int64_t index = (int64_t)range.low - 1;

    if (!reader->ok || range_is_none(range))
        return reader->ok;
    ranges[sign] = range;
    make_room(histogram, histogram->coarser, ranges);
    while (index < range.high) {
        uint64_t gap = 0;
        uint64_t weight = decode_bucket(reader, whole, &gap);
        bool is_first = index < range.low;
        index += (int64_t)gap + 1;
        if (weight == 0 || index > range.high || (is_first && gap > 0))
            return false;
        side_add(&histogram->sides[sign], (int32_t)index, weight);
        histogram->total = saturating_sum(histogram->total, weight);
    }
    return true;
}

static bool decode_bounded(struct histogram *histogram, struct reader *reader)
{
    struct bounded *bounded = bounded_decode(reader);

    if (bounded == NULL)
        return false;
    histogram_take_bounded(histogram, bounded);
    return histogram->bounded != NULL;
}

static bool decode_all(struct histogram *histogram, struct reader *reader)
{
    uint8_t head = read_u8(reader);
    bool whole = (head & FLAG_WHOLE) != 0;
    int version = head >> VERSION_SHIFT;

    histogram->coarser = head & (FLAG_WHOLE - 1);
    if ((version != VERSION && version != VERSION_BOUNDED) || histogram->coarser > COARSER_MAX)
        return false;
    histogram->zeros = weight_of_written(reader, read_varint(reader), whole);
    histogram->total = histogram->zeros;
    if (!decode_side(histogram, POSITIVE, whole, reader) ||
        !decode_side(histogram, NEGATIVE, whole, reader) || is_whole(histogram) != whole)
        return false;
    if (histogram->coarser > 0 && histogram->sides[POSITIVE].capacity == 0 &&
        histogram->sides[NEGATIVE].capacity == 0)
        return false;
    return version == VERSION || decode_bounded(histogram, reader);
}

struct histogram *histogram_decode(struct reader *reader)
{
    struct histogram *histogram = histogram_new();

    if (decode_all(histogram, reader) && reader->ok)
        return histogram;
    reader->ok = false;
    histogram_free(histogram);
    return NULL;
}
