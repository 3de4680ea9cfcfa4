#include "series/cell.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
    CELL_VERSION = 1,
    FLAG_ONE_SAMPLE = 1,
    FLAG_SKETCH = 2,
    FLAG_COUNTS_VALUES = 4,
    FLAGS_ALL = FLAG_ONE_SAMPLE | FLAG_SKETCH | FLAG_COUNTS_VALUES,
};

void cell_fini(struct cell *cell)
{
    distinct_free(cell->distinct);
    histogram_free(cell->histogram);
    *cell = (struct cell)CELL_EMPTY;
}

/* Counts in a histogram what the aggregate alone has said until now. */
static void make_histogram(struct cell *cell)
{
    if (cell->histogram != NULL)
        return;
    cell->histogram = histogram_new();
    histogram_add(cell->histogram, cell->aggregate.min, cell->aggregate.count);
}

/* Before the aggregates are merged, of which the one of `from` is not empty. */
static void merge_values(struct cell *into, const struct cell *from)
{
    const struct aggregate *aggregate = &from->aggregate;

    if (into->aggregate.count == 0) {
        into->counts_values = from->counts_values;
        into->histogram = from->histogram == NULL ? NULL : histogram_copy(from->histogram);
        return;
    }
    into->counts_values = into->counts_values && from->counts_values;
    if (!into->counts_values) {
        histogram_free(into->histogram);
        into->histogram = NULL;
        return;
    }
    if (into->histogram == NULL && from->histogram == NULL && into->aggregate.min == aggregate->min)
        return;
    make_histogram(into);
    if (from->histogram != NULL)
        histogram_merge(into->histogram, from->histogram);
    else
        histogram_add(into->histogram, aggregate->min, aggregate->count);
}

void cell_merge(struct cell *into, const struct cell *from)
{
    if (from->aggregate.count > 0)
        merge_values(into, from);
    aggregate_merge(&into->aggregate, &from->aggregate);
    if (from->distinct == NULL)
        return;
    if (into->distinct == NULL)
        into->distinct = distinct_copy(from->distinct);
    else
        distinct_merge(into->distinct, from->distinct);
}

static bool take_values_out(struct cell *cell, const struct cell *part)
{
    struct histogram *one_value = NULL;

    if (cell->histogram == NULL)
        return !cell->counts_values || part->counts_values;
    if (!part->counts_values)
        return false;
    if (part->histogram == NULL) {
        one_value = histogram_new();
        histogram_add(one_value, part->aggregate.min, part->aggregate.count);
    }
    bool ok =
        histogram_take_out(cell->histogram, part->histogram != NULL ? part->histogram : one_value);
    histogram_free(one_value);
    return ok;
}

static bool are_same_uniques(const struct cell *a, const struct cell *b)
{
    struct buf one = BUF_EMPTY;
    struct buf other = BUF_EMPTY;

    if (a->distinct != NULL)
        distinct_encode(a->distinct, &one);
    if (b->distinct != NULL)
        distinct_encode(b->distinct, &other);
    bool same = str_equal(buf_view(&one), buf_view(&other));
    buf_fini(&one);
    buf_fini(&other);
    return same;
}

bool cell_take_out(struct cell *cell, const struct cell *part)
{
    bool ok = part->aggregate.count <= cell->aggregate.count;

    if (ok && part->aggregate.count == cell->aggregate.count) {
        struct distinct *uniques = NULL;
        if (!are_same_uniques(cell, part)) {
            uniques = cell->distinct;
            cell->distinct = NULL;
        }
        cell_fini(cell);
        cell->distinct = uniques;
        return true;
    }
    if (ok && part->aggregate.count > 0) {
        ok = take_values_out(cell, part);
        aggregate_take_out(&cell->aggregate, &part->aggregate);
    }
    if (!ok)
        cell_fini(cell);
    return ok;
}

void cell_add_value(struct cell *cell, double value, uint64_t weight, wall_ms at, uint64_t arrival)
{
    if (weight == 0)
        return;
    if (cell->aggregate.count == 0)
        cell->counts_values = true;
    else if (value != cell->aggregate.min)
        make_histogram(cell);
    if (cell->histogram != NULL)
        histogram_add(cell->histogram, value, weight);
    aggregate_add(&cell->aggregate, value, weight, at, arrival);
}

void cell_add_bounded(struct cell *cell, const struct aggregate *aggregate, struct bounded *bounded)
{
    struct cell added = {.aggregate = *aggregate, .counts_values = true};

    assert(bounded_count(bounded) == aggregate->count);
    if (aggregate->min < aggregate->max) {
        added.histogram = histogram_new();
        histogram_take_bounded(added.histogram, bounded);
    } else {
        bounded_free(bounded);
    }
    cell_merge(cell, &added);
    cell_fini(&added);
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool is_counted(const struct cell *cell)
{
    return cell->aggregate.count > 0 && cell->counts_values;
}

bool cell_quantile(const struct cell *cell, double q, double *out)
{
    const struct aggregate *aggregate = &cell->aggregate;

    if (!is_counted(cell))
        return false;
    *out = aggregate->min;
    return cell->histogram == NULL ||
           histogram_quantile(cell->histogram, q, aggregate->min, aggregate->max, out);
}

double cell_quantile_error(const struct cell *cell, double value)
{
    const struct aggregate *aggregate = &cell->aggregate;

    if (cell->histogram == NULL)
        return 0;
    return histogram_quantile_error(cell->histogram, value, aggregate->min, aggregate->max);
}

bool cell_share_at_most(const struct cell *cell, double value, double *out)
{
    if (!is_counted(cell))
        return false;
    *out = value >= cell->aggregate.max ? 1 : 0;
    if (value < cell->aggregate.min || value >= cell->aggregate.max)
        return true;
    return histogram_share_at_most(cell->histogram, value, out);
}

bool cell_share_at_least(const struct cell *cell, double value, double *out)
{
    if (!is_counted(cell))
        return false;
    *out = value <= cell->aggregate.min ? 1 : 0;
    if (value <= cell->aggregate.min || value > cell->aggregate.max)
        return true;
    return histogram_share_at_least(cell->histogram, value, out);
}

/* --- codec ------------------------------------------------------------------------------------ */

static uint64_t bits_of(double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Whether the aggregate is, to the bit, what one sample with its first value makes. */
static bool is_one_sample(const struct aggregate *aggregate)
{
    struct aggregate one = AGGREGATE_EMPTY;

    if (aggregate->count == 0)
        return false;
    aggregate_add(&one, aggregate->first, aggregate->count, aggregate->first_at,
                  aggregate->first_arrival);
    return bits_of(one.sum) == bits_of(aggregate->sum) &&
           bits_of(one.sum_low) == bits_of(aggregate->sum_low) &&
           bits_of(one.first) == bits_of(aggregate->first) &&
           bits_of(one.min) == bits_of(aggregate->min) &&
           bits_of(one.max) == bits_of(aggregate->max) &&
           bits_of(one.last) == bits_of(aggregate->last) && one.last_at == aggregate->last_at &&
           one.last_arrival == aggregate->last_arrival;
}

static void encode_aggregate(const struct aggregate *aggregate, struct buf *out)
{
    buf_double(out, aggregate->sum);
    buf_double(out, aggregate->sum_low);
    buf_double(out, aggregate->min);
    buf_double(out, aggregate->max);
    buf_double(out, aggregate->first);
    buf_i64(out, aggregate->first_at);
    buf_u64(out, aggregate->first_arrival);
    buf_double(out, aggregate->last);
    buf_i64(out, aggregate->last_at);
    buf_u64(out, aggregate->last_arrival);
}

void cell_encode(const struct cell *cell, struct buf *out)
{
    const struct aggregate *aggregate = &cell->aggregate;
    bool one_sample = is_one_sample(aggregate);
    int flags = (one_sample ? FLAG_ONE_SAMPLE : 0) | (cell->distinct != NULL ? FLAG_SKETCH : 0) |
                (cell->counts_values ? FLAG_COUNTS_VALUES : 0);

    buf_u8(out, CELL_VERSION);
    buf_u8(out, (uint8_t)flags);
    buf_u64(out, aggregate->count);
    if (one_sample) {
        buf_double(out, aggregate->first);
        buf_i64(out, aggregate->first_at);
        buf_u64(out, aggregate->first_arrival);
    } else if (aggregate->count > 0) {
        encode_aggregate(aggregate, out);
    }
    if (cell->distinct != NULL)
        distinct_encode(cell->distinct, out);
    if (cell->histogram != NULL)
        histogram_encode(cell->histogram, out);
}

static bool decode_one_sample(struct reader *reader, uint64_t count, struct aggregate *out)
{
    double value = read_double(reader);
    wall_ms at = read_i64(reader);
    uint64_t arrival = read_u64(reader);

    if (!reader->ok || !isfinite(value) || count == 0 || bits_of(value) == bits_of(-0.0))
        return false;
    aggregate_add(out, value, count, at, arrival);
    return true;
}

/* What every aggregate keeps to: numbers are finite, first is not after last, and the low half of
 * the sum is below the precision of the high half. */
static bool is_sound(const struct aggregate *aggregate)
{
    const double numbers[] = {aggregate->sum, aggregate->sum_low, aggregate->min,
                              aggregate->max, aggregate->first,   aggregate->last};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!isfinite(numbers[i]))
            return false;
    }
    if (aggregate->sum + aggregate->sum_low != aggregate->sum)
        return false;
    if (aggregate->min > aggregate->first || aggregate->first > aggregate->max ||
        aggregate->min > aggregate->last || aggregate->last > aggregate->max)
        return false;
    return aggregate->first_at < aggregate->last_at ||
           (aggregate->first_at == aggregate->last_at &&
            aggregate->first_arrival <= aggregate->last_arrival);
}

static bool decode_aggregate(struct reader *reader, uint64_t count, struct aggregate *out)
{
    out->count = count;
    out->sum = read_double(reader);
    out->sum_low = read_double(reader);
    out->min = read_double(reader);
    out->max = read_double(reader);
    out->first = read_double(reader);
    out->first_at = read_i64(reader);
    out->first_arrival = read_u64(reader);
    out->last = read_double(reader);
    out->last_at = read_i64(reader);
    out->last_arrival = read_u64(reader);
    return reader->ok && is_sound(out) && !is_one_sample(out);
}

/* The histogram counts what the aggregate does. */
static bool decode_values(struct reader *reader, struct cell *out)
{
    const struct aggregate *aggregate = &out->aggregate;

    if (aggregate->count == 0)
        return false;
    out->counts_values = true;
    if (!(aggregate->min < aggregate->max))
        return true;
    out->histogram = histogram_decode(reader);
    return out->histogram != NULL && histogram_count(out->histogram) == aggregate->count;
}

bool cell_decode(struct str bytes, struct cell *out)
{
    struct reader reader = reader_of(bytes);
    uint8_t version = read_u8(&reader);
    uint8_t flags = read_u8(&reader);
    uint64_t count = read_u64(&reader);
    bool ok = reader.ok && version == CELL_VERSION && flags <= FLAGS_ALL;

    *out = (struct cell)CELL_EMPTY;
    if (ok && (flags & FLAG_ONE_SAMPLE) != 0)
        ok = decode_one_sample(&reader, count, &out->aggregate);
    else if (ok && count > 0)
        ok = decode_aggregate(&reader, count, &out->aggregate);
    if (ok && (flags & FLAG_SKETCH) != 0) {
        out->distinct = distinct_decode(&reader);
        ok = out->distinct != NULL;
    }
    if (ok && (flags & FLAG_COUNTS_VALUES) != 0)
        ok = decode_values(&reader, out);
    if (ok && reader.left == 0)
        return true;
    cell_fini(out);
    return false;
}
