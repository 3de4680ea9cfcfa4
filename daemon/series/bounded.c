#include "series/bounded.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/intern.h"
#include "base/memory.h"
#include "series/sample.h"

enum {
    VERSION = 1,
    VERSION_SHIFT = 6,
    FLAG_WHOLE = 1,
    DECIMALS_SHIFT = 1,
    DECIMALS_MAX = 9,
    DECIMALS_NONE = 31, /* doubles */
    WEIGHT_BITS = 16,
};

/* Up to here decimals and doubles are one to one, with a bit to spare for rounding twice. */
#define INTEGER_MAX (INT64_C(1) << 50)

static const uint64_t WEIGHT_FRACTION = WEIGHT_ONE - 1;

struct bounded {
    struct interned *bounds; /* held */
    uint64_t *counts;        /* owned; one more than bounds */
    uint64_t total;
};

static uint64_t saturating_sum(uint64_t a, uint64_t b)
{
    uint64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* --- bounds ----------------------------------------------------------------------------------- */

static const double *numbers_of(const struct interned *bounds)
{
    return interned_bytes(bounds);
}

static size_t count_of(const struct interned *bounds)
{
    return bounds->len / sizeof(double);
}

/* A client that sends bounds does not know where the program lies in memory. */
static struct interned *hold_bounds(const double *bounds, size_t count)
{
    static const char here;
    size_t len = count * sizeof *bounds;
    return intern(bounds, len, XXH3_64bits_withSeed(bounds, len, (uint64_t)(uintptr_t)&here));
}

/* Whether there are not too many, all are finite and each is above the one before. */
static bool are_bounds(const double *bounds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(bounds[i]) || (i > 0 && bounds[i] <= bounds[i - 1]))
            return false;
    }
    return count <= BOUNDED_BOUNDS_MAX;
}

/* Those that both have, held. */
static struct interned *common_bounds(struct interned *a, struct interned *b)
{
    double common[BOUNDED_BOUNDS_MAX];
    size_t count = 0;
    size_t j = 0;

    if (a == b)
        return interned_keep(a);
    for (size_t i = 0; i < count_of(a); i++) {
        double bound = numbers_of(a)[i];
        while (j < count_of(b) && numbers_of(b)[j] < bound)
            j++;
        if (j < count_of(b) && numbers_of(b)[j] == bound)
            common[count++] = bound;
    }
    return count == count_of(a) ? interned_keep(a) : hold_bounds(common, count);
}

/* The bucket that holds a value: the first one whose upper bound is not below it. */
static size_t bucket_of(const struct bounded *bounded, double value)
{
    const double *bounds = numbers_of(bounded->bounds);
    size_t low = 0;
    size_t high = count_of(bounded->bounds);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bounds[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* --- making and merging ----------------------------------------------------------------------- */

/* Takes the bounds over. */
static struct bounded *bounded_of(struct interned *bounds)
{
    struct bounded *bounded = memory_alloc(sizeof *bounded);
    *bounded =
        (struct bounded){bounds, memory_zero(count_of(bounds) + 1, sizeof *bounded->counts), 0};
    return bounded;
}

struct bounded *bounded_new(const double *bounds, size_t count, struct error *err)
{
    double normal[BOUNDED_BOUNDS_MAX];

    if (count > BOUNDED_BOUNDS_MAX) {
        (void)error_set(err, ERROR_INVALID, "a histogram has %zu bounds: at most %d are taken",
                        count, (int)BOUNDED_BOUNDS_MAX);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        normal[i] = bounds[i] + 0.0; /* -0 becomes 0, which are one bound */
    if (!are_bounds(normal, count)) {
        (void)error_set(err, ERROR_INVALID, "the bounds of a histogram are not finite and growing");
        return NULL;
    }
    return bounded_of(hold_bounds(normal, count));
}

void bounded_free(struct bounded *bounded)
{
    if (bounded == NULL)
        return;
    interned_drop(bounded->bounds);
    free(bounded->counts);
    free(bounded);
}

struct bounded *bounded_copy(const struct bounded *bounded)
{
    struct bounded *copy = bounded_of(interned_keep(bounded->bounds));
    memcpy(copy->counts, bounded->counts, (count_of(copy->bounds) + 1) * sizeof *copy->counts);
    copy->total = bounded->total;
    return copy;
}

void bounded_add_bucket(struct bounded *bounded, size_t bucket, uint64_t weight)
{
    assert(bucket <= count_of(bounded->bounds));
    bounded->counts[bucket] = saturating_sum(bounded->counts[bucket], weight);
    bounded->total = saturating_sum(bounded->total, weight);
}

void bounded_add(struct bounded *bounded, double value, uint64_t weight)
{
    if (isfinite(value))
        bounded_add_bucket(bounded, bucket_of(bounded, value), weight);
}

/* Adds the counts of `from` to those between some of its bounds. */
static void add_counts(const struct bounded *from, const struct interned *bounds, uint64_t *counts)
{
    size_t to = 0;

    for (size_t i = 0; i <= count_of(from->bounds); i++) {
        counts[to] = saturating_sum(counts[to], from->counts[i]);
        if (to < count_of(bounds) && numbers_of(from->bounds)[i] == numbers_of(bounds)[to])
            to++;
    }
}

/* Leaves some of the bounds, which are taken over. */
static void narrow(struct bounded *bounded, struct interned *bounds)
{
    uint64_t *counts = memory_zero(count_of(bounds) + 1, sizeof *counts);

    add_counts(bounded, bounds, counts);
    free(bounded->counts);
    interned_drop(bounded->bounds);
    bounded->counts = counts;
    bounded->bounds = bounds;
}

void bounded_merge(struct bounded *into, const struct bounded *from)
{
    assert(into != from);
    struct interned *common = common_bounds(into->bounds, from->bounds);

    if (common == into->bounds)
        interned_drop(common);
    else
        narrow(into, common);
    add_counts(from, into->bounds, into->counts);
    into->total = saturating_sum(into->total, from->total);
}

bool bounded_take_out(struct bounded *bounded, const struct bounded *part)
{
    struct interned *common = common_bounds(bounded->bounds, part->bounds);
    bool is_part = common == bounded->bounds && part->total <= bounded->total;

    interned_drop(common);
    if (!is_part)
        return false;
    size_t buckets = count_of(bounded->bounds) + 1;
    uint64_t *counts = memory_zero(buckets, sizeof *counts);
    add_counts(part, bounded->bounds, counts);
    for (size_t i = 0; i < buckets; i++) {
        is_part = is_part && counts[i] <= bounded->counts[i];
        bounded->counts[i] -= counts[i];
    }
    bounded->total -= part->total;
    free(counts);
    return is_part;
}

bool bounded_holds(const struct bounded *bounded, const struct bounded *before)
{
    if (bounded->bounds != before->bounds)
        return false;
    for (size_t i = 0; i <= count_of(before->bounds); i++) {
        if (bounded->counts[i] < before->counts[i])
            return false;
    }
    return true;
}

void bounded_subtract(struct bounded *into, const struct bounded *before)
{
    assert(bounded_holds(into, before));
    for (size_t i = 0; i <= count_of(before->bounds); i++)
        into->counts[i] -= before->counts[i];
    into->total -= before->total;
}

/* --- reading ---------------------------------------------------------------------------------- */

uint64_t bounded_count(const struct bounded *bounded)
{
    return bounded->total;
}

size_t bounded_bound_count(const struct bounded *bounded)
{
    return count_of(bounded->bounds);
}

const double *bounded_bounds(const struct bounded *bounded)
{
    return numbers_of(bounded->bounds);
}

size_t bounded_size_bytes(const struct bounded *bounded)
{
    return sizeof *bounded + sizeof *bounded->bounds + bounded->bounds->len +
           (count_of(bounded->bounds) + 1) * sizeof *bounded->counts;
}

static double kept_within(double value, double min, double max)
{
    return fmax(fmin(value, max), min);
}

/* Between which values those of a bucket lie. */
struct edges {
    double low;
    double high;
};

static struct edges edges_of(const struct bounded *bounded, size_t bucket, double min, double max)
{
    const double *bounds = numbers_of(bounded->bounds);
    bool is_last = bucket == count_of(bounded->bounds);

    return (struct edges){bucket == 0 ? min : kept_within(bounds[bucket - 1], min, max),
                          is_last ? max : kept_within(bounds[bucket], min, max)};
}

/* A difference of two doubles may be too large for one, that of their halves is not. */
static double point_between(struct edges edges, double share)
{
    double width = edges.high - edges.low;
    double value = isfinite(width) ? edges.low + width * share
                                   : 2 * (edges.low / 2 + (edges.high / 2 - edges.low / 2) * share);
    return share >= 1 ? edges.high : fmin(value, edges.high);
}

static double share_between(struct edges edges, double value)
{
    if (value >= edges.high)
        return 1;
    if (value <= edges.low)
        return 0;
    double width = edges.high - edges.low;
    return isfinite(width) ? (value - edges.low) / width
                           : (value / 2 - edges.low / 2) / (edges.high / 2 - edges.low / 2);
}

struct bounded_walk bounded_walk_of(const struct bounded *bounded, double min, double max)
{
    return (struct bounded_walk){bounded, min, max, 0, 0};
}

double bounded_walk_weight(struct bounded_walk *walk, double value)
{
    const struct bounded *bounded = walk->bounded;
    struct edges edges = edges_of(bounded, walk->bucket, walk->min, walk->max);

    while (walk->bucket < count_of(bounded->bounds) && value >= edges.high) {
        walk->before += (double)bounded->counts[walk->bucket++];
        edges = edges_of(bounded, walk->bucket, walk->min, walk->max);
    }
    return walk->before + (double)bounded->counts[walk->bucket] * share_between(edges, value);
}

double bounded_walk_value(const struct bounded_walk *walk, double weight)
{
    const struct bounded *bounded = walk->bounded;
    size_t bucket = walk->bucket;
    double before = walk->before;
    size_t found = bucket;
    double share = 1;

    /* Weights that were rounded may be a little less than `weight`: then it is the last bucket that
     * is not empty, and all of it. */
    for (; bucket <= count_of(bounded->bounds); bucket++) {
        double count = (double)bounded->counts[bucket];
        if (count <= 0)
            continue;
        found = bucket;
        if (before + count >= weight) {
            share = (weight - before) / count;
            break;
        }
        before += count;
    }
    double value = point_between(edges_of(bounded, found, walk->min, walk->max), share);
    /* What is in a bucket is above its lower bound, however near. */
    if (found > 0 && value <= numbers_of(bounded->bounds)[found - 1])
        value = nextafter(numbers_of(bounded->bounds)[found - 1], INFINITY);
    return kept_within(value, walk->min, walk->max);
}

double bounded_error(const struct bounded *bounded, double value, double min, double max)
{
    struct edges edges = edges_of(bounded, bucket_of(bounded, value), min, max);
    return edges.high - edges.low;
}

static uint64_t sum_of(const struct bounded *bounded, size_t first, size_t last)
{
    uint64_t sum = 0;
    for (size_t i = first; i <= last; i++)
        sum = saturating_sum(sum, bounded->counts[i]);
    return sum;
}

void bounded_each_bucket(const struct bounded *bounded,
                         void (*on_bucket)(double low, double high, uint64_t weight, void *arg),
                         void *arg)
{
    for (size_t i = 0; i <= count_of(bounded->bounds); i++) {
        struct edges edges = edges_of(bounded, i, -INFINITY, INFINITY);
        if (bounded->counts[i] > 0)
            on_bucket(edges.low, edges.high, bounded->counts[i], arg);
    }
}

uint64_t bounded_weight_at_most(const struct bounded *bounded, double value)
{
    return sum_of(bounded, 0, bucket_of(bounded, value));
}

uint64_t bounded_weight_at_least(const struct bounded *bounded, double value)
{
    return sum_of(bounded, bucket_of(bounded, value), count_of(bounded->bounds));
}

/* --- codec ------------------------------------------------------------------------------------ */

static const double POWERS[DECIMALS_MAX + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};

/* False when the number has more decimals, or is too large. */
static bool to_integer(double number, unsigned decimals, int64_t *out)
{
    double integer = nearbyint(number * POWERS[decimals]);

    if (!(fabs(integer) <= (double)INTEGER_MAX))
        return false;
    *out = (int64_t)integer;
    return integer / POWERS[decimals] == number;
}

/* The fewest that are enough for all. */
static unsigned decimals_of(const struct interned *bounds)
{
    int64_t integer = 0;
    unsigned decimals = 0;
    size_t i = 0;

    while (i < count_of(bounds)) {
        if (to_integer(numbers_of(bounds)[i], decimals, &integer)) {
            i++;
            continue;
        }
        if (decimals == DECIMALS_MAX)
            return DECIMALS_NONE;
        decimals++;
        i = 0;
    }
    return decimals;
}

static void encode_bounds(const struct interned *bounds, unsigned decimals, struct buf *out)
{
    int64_t before = 0;

    buf_varint(out, count_of(bounds));
    for (size_t i = 0; i < count_of(bounds); i++) {
        double bound = numbers_of(bounds)[i];
        int64_t integer = 0;
        if (decimals == DECIMALS_NONE) {
            buf_double(out, bound);
            continue;
        }
        (void)to_integer(bound, decimals, &integer);
        if (i > 0)
            buf_varint(out, (uint64_t)(integer - before) - 1);
        else
            buf_varint(out, (uint64_t)(integer < 0 ? -2 * integer - 1 : 2 * integer));
        before = integer;
    }
}

static bool is_whole(const struct bounded *bounded)
{
    uint64_t bits = 0;
    for (size_t i = 0; i <= count_of(bounded->bounds); i++)
        bits |= bounded->counts[i];
    return (bits & WEIGHT_FRACTION) == 0;
}

void bounded_encode(const struct bounded *bounded, struct buf *out)
{
    unsigned decimals = decimals_of(bounded->bounds);
    bool whole = is_whole(bounded);
    size_t buckets = count_of(bounded->bounds) + 1;
    size_t i = 0;

    buf_u8(out, (uint8_t)((whole ? FLAG_WHOLE : 0) | decimals << DECIMALS_SHIFT |
                          (unsigned)VERSION << VERSION_SHIFT));
    encode_bounds(bounded->bounds, decimals, out);
    while (i < buckets) {
        size_t first = i;
        uint64_t count = bounded->counts[i++];
        buf_varint(out, whole ? count >> WEIGHT_BITS : count);
        if (count > 0)
            continue;
        while (i < buckets && bounded->counts[i] == 0)
            i++;
        buf_varint(out, i - first - 1);
    }
}

/* Makes `reader->ok` false when the next bound is none. */
static double decode_bound(struct reader *reader, unsigned decimals, bool is_first,
                           int64_t *integer)
{
    if (decimals == DECIMALS_NONE) {
        double bound = read_double(reader);
        reader->ok = reader->ok && !(bound == 0 && signbit(bound) != 0);
        return bound;
    }
    uint64_t number = read_varint(reader);
    if (is_first)
        *integer = (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
    else if (number < 2 * (uint64_t)INTEGER_MAX)
        *integer += (int64_t)number + 1;
    else
        reader->ok = false;
    reader->ok = reader->ok && *integer >= -INTEGER_MAX && *integer <= INTEGER_MAX;
    return reader->ok ? (double)*integer / POWERS[decimals] : 0;
}

/* Held; NULL when they are none. */
static struct interned *decode_bounds(struct reader *reader, unsigned decimals)
{
    double bounds[BOUNDED_BOUNDS_MAX];
    int64_t integer = 0;
    uint64_t count = read_varint(reader);

    if (count > BOUNDED_BOUNDS_MAX || (decimals > DECIMALS_MAX && decimals != DECIMALS_NONE))
        return NULL;
    for (size_t i = 0; i < count && reader->ok; i++)
        bounds[i] = decode_bound(reader, decimals, i == 0, &integer);
    if (!reader->ok || !are_bounds(bounds, count))
        return NULL;
    struct interned *held = hold_bounds(bounds, count);
    if (decimals_of(held) == decimals)
        return held;
    interned_drop(held);
    return NULL;
}

static bool decode_counts(struct reader *reader, bool whole, struct bounded *out)
{
    size_t buckets = count_of(out->bounds) + 1;
    bool was_empty = false;

    for (size_t i = 0; i < buckets; i++) {
        uint64_t count = read_varint(reader);
        if (count == 0) {
            uint64_t more = read_varint(reader);
            if (!reader->ok || was_empty || more >= buckets - i)
                return false;
            i += more;
        } else if (whole && count > UINT64_MAX >> WEIGHT_BITS) {
            return false;
        } else {
            bounded_add_bucket(out, i, whole ? count << WEIGHT_BITS : count);
        }
        was_empty = count == 0;
    }
    return reader->ok && is_whole(out) == whole;
}

struct bounded *bounded_decode(struct reader *reader)
{
    uint8_t head = read_u8(reader);
    struct interned *bounds = NULL;

    if (head >> VERSION_SHIFT == VERSION)
        bounds = decode_bounds(reader, head >> DECIMALS_SHIFT & DECIMALS_NONE);
    if (bounds == NULL) {
        reader->ok = false;
        return NULL;
    }
    struct bounded *bounded = bounded_of(bounds);
    if (decode_counts(reader, (head & FLAG_WHOLE) != 0, bounded))
        return bounded;
    reader->ok = false;
    bounded_free(bounded);
    return NULL;
}
