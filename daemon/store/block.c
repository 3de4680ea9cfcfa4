#include "store/block.h"

#include "store/block_private.h"

/* One block on its way to bytes. */
struct encoder {
    const struct block_frame *frame;
    const struct block_point *points; /* borrowed */
    size_t count;
    uint64_t *many; /* indexes of the points that are not plain */
    size_t many_count;
    unsigned flags;
    unsigned scale;
    uint64_t *columns[4]; /* room for `count` values each */
    struct column_work work;
    struct bit_writer writer;
};

enum { COLUMN_ARRAYS = 4, ENCODER_ARRAYS = COLUMN_ARRAYS + 1 };

static const struct aggregate *many_at(const struct encoder *encoder, size_t i)
{
    return &encoder->points[encoder->many[i]].aggregate;
}

static bool has_many(const struct encoder *encoder)
{
    return (encoder->flags & BLOCK_SOME_NOT) != 0;
}

static struct number_pair sum_of(const struct aggregate *aggregate)
{
    return (struct number_pair){aggregate->sum, aggregate->sum_low};
}

static bool is_product(const struct aggregate *aggregate)
{
    return number_same_pair(number_product(aggregate->min, aggregate->count), sum_of(aggregate));
}

static bool is_plain(const struct aggregate *aggregate, bool keep_arrivals)
{
    return number_same_bits(aggregate->min, aggregate->max) &&
           number_same_bits(aggregate->min, aggregate->first) &&
           number_same_bits(aggregate->min, aggregate->last) &&
           aggregate->first_at == aggregate->last_at &&
           (!keep_arrivals || aggregate->first_arrival == aggregate->last_arrival) &&
           is_product(aggregate);
}

static void put_column(struct encoder *encoder, const uint64_t *values, size_t count)
{
    column_put(&encoder->writer, values, count, &encoder->work);
}

/* --- what there is -----------------------------------------------------------------------------
 */

static bool are_valid(const struct block_points *points)
{
    if (points->count == 0 || points->count > BLOCK_POINTS_MAX)
        return false;
    for (size_t i = 0; i < points->count; i++) {
        if (i > 0 && points->points[i].bucket <= points->points[i - 1].bucket)
            return false;
        if (!block_is_sound(&points->points[i].aggregate))
            return false;
    }
    return true;
}

static void look_at_points(struct encoder *encoder, bool keep_arrivals)
{
    unsigned flags = BLOCK_NO_GAPS | BLOCK_UNIT_COUNTS | (keep_arrivals ? BLOCK_ARRIVALS : 0);

    for (size_t i = 0; i < encoder->count; i++) {
        const struct block_point *point = &encoder->points[i];
        if (point->sketch.len > 0)
            flags |= BLOCK_SKETCHES;
        if (i > 0 && (uint64_t)point->bucket - (uint64_t)point[-1].bucket != 1)
            flags &= ~(unsigned)BLOCK_NO_GAPS;
        if (point->aggregate.count != UINT64_C(1) << 16)
            flags &= ~(unsigned)BLOCK_UNIT_COUNTS;
        if (is_plain(&point->aggregate, keep_arrivals)) {
            flags |= BLOCK_SOME_PLAIN;
        } else {
            flags |= BLOCK_SOME_NOT;
            encoder->many[encoder->many_count++] = i;
        }
    }
    encoder->flags = flags;
}

static bool all_fit(const struct encoder *encoder, unsigned scale)
{
    int64_t integer = 0;

    for (size_t i = 0; i < encoder->count; i++) {
        if (!number_to_decimal(encoder->points[i].aggregate.min, scale, &integer))
            return false;
    }
    for (size_t i = 0; i < encoder->many_count; i++) {
        const struct aggregate *aggregate = many_at(encoder, i);
        if (!number_to_decimal(aggregate->max, scale, &integer) ||
            !number_to_decimal(aggregate->first, scale, &integer) ||
            !number_to_decimal(aggregate->last, scale, &integer))
            return false;
    }
    return true;
}

/* The shortest decimals that hold all values; too many digits, and none do. */
static unsigned scale_of(const struct encoder *encoder)
{
    for (unsigned scale = 0; scale <= SCALE_DECIMAL_MAX; scale++) {
        if (all_fit(encoder, scale))
            return scale;
    }
    return SCALE_ORDERED;
}

/* --- buckets, counts, times --------------------------------------------------------------------
 */

static void put_buckets(struct encoder *encoder)
{
    const struct block_point *points = encoder->points;
    uint64_t *column = encoder->columns[0];

    bits_put_signed(&encoder->writer,
                    (int64_t)((uint64_t)points[0].bucket - (uint64_t)encoder->frame->origin));
    if ((encoder->flags & BLOCK_NO_GAPS) != 0)
        return;
    for (size_t i = 1; i < encoder->count; i++)
        column[i - 1] = (uint64_t)points[i].bucket - (uint64_t)points[i - 1].bucket - 1;
    put_column(encoder, column, encoder->count - 1);
}

static void put_shapes(struct encoder *encoder)
{
    const unsigned both = BLOCK_SOME_PLAIN | BLOCK_SOME_NOT;
    uint64_t *column = encoder->columns[0];

    if ((encoder->flags & both) != both)
        return;
    memset(column, 0, encoder->count * sizeof *column);
    for (size_t i = 0; i < encoder->many_count; i++)
        column[encoder->many[i]] = 1;
    put_column(encoder, column, encoder->count);
}

static void put_counts(struct encoder *encoder)
{
    if ((encoder->flags & BLOCK_UNIT_COUNTS) != 0)
        return;
    for (size_t i = 0; i < encoder->count; i++)
        encoder->columns[0][i] = encoder->points[i].aggregate.count;
    put_column(encoder, encoder->columns[0], encoder->count);
}

static void put_times(struct encoder *encoder)
{
    uint64_t width = (uint64_t)encoder->frame->width_ms;
    uint64_t *column = encoder->columns[0];

    for (size_t i = 0; i < encoder->count; i++) {
        const struct block_point *point = &encoder->points[i];
        column[i] = (uint64_t)point->aggregate.first_at - (uint64_t)point->bucket * width;
    }
    put_column(encoder, column, encoder->count);
    for (size_t i = 0; i < encoder->many_count; i++) {
        const struct aggregate *aggregate = many_at(encoder, i);
        column[i] = (uint64_t)aggregate->last_at - (uint64_t)aggregate->first_at;
    }
    put_column(encoder, column, encoder->many_count);
}

static void put_arrivals(struct encoder *encoder)
{
    uint64_t *column = encoder->columns[0];

    if ((encoder->flags & BLOCK_ARRIVALS) == 0)
        return;
    for (size_t i = 0; i < encoder->count; i++) {
        const struct aggregate *aggregate = &encoder->points[i].aggregate;
        column[i] = aggregate->first_arrival - (uint64_t)aggregate->first_at * 1000;
    }
    put_column(encoder, column, encoder->count);
    for (size_t i = 0; i < encoder->many_count; i++) {
        const struct aggregate *aggregate = many_at(encoder, i);
        column[i] = aggregate->last_arrival - (uint64_t)aggregate->last_at * 1000;
    }
    put_column(encoder, column, encoder->many_count);
}

/* --- values ------------------------------------------------------------------------------------
 */

static uint64_t scaled(const struct encoder *encoder, double value)
{
    return number_to_scale(value, encoder->scale);
}

static void put_min(struct encoder *encoder)
{
    uint64_t *column = encoder->columns[0];

    for (size_t i = 0; i < encoder->count; i++)
        column[i] = scaled(encoder, encoder->points[i].aggregate.min);
    if (encoder->scale == SCALE_ORDERED) {
        bool is_xor = column_xor_bits(column, encoder->count) <
                      column_bits(column, encoder->count, &encoder->work);
        bits_put(&encoder->writer, is_xor, 1);
        if (is_xor) {
            column_put_xor(&encoder->writer, column, encoder->count);
            return;
        }
    }
    put_column(encoder, column, encoder->count);
}

static void put_best(struct encoder *encoder, unsigned candidates)
{
    const uint64_t *columns[COLUMN_ARRAYS];

    for (unsigned i = 0; i < candidates; i++)
        columns[i] = encoder->columns[i];
    column_put_best(&encoder->writer, columns, candidates, encoder->many_count, &encoder->work);
}

static void put_max_and_last(struct encoder *encoder)
{
    uint64_t **columns = encoder->columns;

    for (size_t i = 0; i < encoder->many_count; i++) {
        const struct aggregate *aggregate = many_at(encoder, i);
        columns[1][i] = scaled(encoder, aggregate->max);
        columns[0][i] = columns[1][i] - scaled(encoder, aggregate->min);
    }
    put_best(encoder, 2);
    for (size_t i = 0; i < encoder->many_count; i++) {
        const struct aggregate *aggregate = many_at(encoder, i);
        columns[1][i] = scaled(encoder, aggregate->last);
        columns[0][i] = columns[1][i] - scaled(encoder, aggregate->min);
    }
    put_best(encoder, 2);
}

static void put_first(struct encoder *encoder)
{
    uint64_t **columns = encoder->columns;
    uint64_t before = scaled(encoder, many_at(encoder, 0)->min);

    for (size_t i = 0; i < encoder->many_count; i++) {
        const struct aggregate *aggregate = many_at(encoder, i);
        uint64_t last = scaled(encoder, aggregate->last);
        columns[1][i] = scaled(encoder, aggregate->first);
        columns[0][i] = columns[1][i] - scaled(encoder, aggregate->min);
        columns[2][i] = columns[1][i] - last;
        columns[3][i] = columns[1][i] - before;
        before = last;
    }
    put_best(encoder, 4);
}

/* --- sums --------------------------------------------------------------------------------------
 */

/* Small remainders: they share a power of two, below which none of them has bits. */
static bool to_binary(const double *values, size_t count, uint64_t *out, int *exponent)
{
    bool found = false;

    *exponent = 0;
    for (size_t i = 0; i < count; i++) {
        if (values[i] == 0)
            continue;
        int lowest = number_lowest_exponent(values[i]);
        *exponent = !found || lowest < *exponent ? lowest : *exponent;
        found = true;
    }
    for (size_t i = 0; i < count; i++) {
        int64_t k = 0;
        if (!number_to_binary(values[i], *exponent, &k))
            return false;
        out[i] = (uint64_t)k;
    }
    return true;
}

static void put_small(struct encoder *encoder, const double *values, uint64_t *column)
{
    size_t count = encoder->many_count;
    int exponent = 0;
    bool is_binary = to_binary(values, count, column, &exponent);

    bits_put(&encoder->writer, !is_binary, 1);
    if (is_binary) {
        bits_put_signed(&encoder->writer, exponent);
    } else {
        for (size_t i = 0; i < count; i++)
            column[i] = number_ordered_bits(values[i]);
    }
    put_column(encoder, column, count);
}

static bool are_products(const struct encoder *encoder)
{
    for (size_t i = 0; i < encoder->many_count; i++) {
        if (!is_product(many_at(encoder, i)))
            return false;
    }
    return true;
}

/* Sums of decimals are near decimals: what is left over is what adding doubles instead of decimals
 * makes. False when there is a sum that does not come back from the two. */
static bool to_scaled_sums(const struct encoder *encoder, double *small)
{
    for (size_t i = 0; i < encoder->many_count; i++) {
        const struct aggregate *aggregate = many_at(encoder, i);
        int64_t integer = 0;
        if (!number_near_decimal(aggregate->sum, encoder->scale, &integer))
            return false;
        double near = number_of_decimal(integer, encoder->scale);
        small[i] = aggregate->sum - near + aggregate->sum_low;
        if (!number_same_pair(number_sum(near, small[i]), sum_of(aggregate)))
            return false;
        encoder->columns[0][i] = (uint64_t)integer;
        encoder->columns[1][i] =
            (uint64_t)integer - block_middle_sum(aggregate->count, scaled(encoder, aggregate->min),
                                                 scaled(encoder, aggregate->max));
    }
    return true;
}

static void put_sums(struct encoder *encoder, double *small)
{
    struct bit_writer *writer = &encoder->writer;

    if (are_products(encoder)) {
        bits_put(writer, BLOCK_SUMS_PRODUCT, BLOCK_SUMS_BITS);
        return;
    }
    if (encoder->scale != SCALE_ORDERED && to_scaled_sums(encoder, small)) {
        bits_put(writer, BLOCK_SUMS_SCALED, BLOCK_SUMS_BITS);
        put_best(encoder, 2);
    } else {
        bits_put(writer, BLOCK_SUMS_ORDERED, BLOCK_SUMS_BITS);
        for (size_t i = 0; i < encoder->many_count; i++) {
            const struct aggregate *aggregate = many_at(encoder, i);
            encoder->columns[0][i] = number_ordered_bits(aggregate->sum);
            small[i] = aggregate->sum_low;
        }
        put_column(encoder, encoder->columns[0], encoder->many_count);
    }
    put_small(encoder, small, encoder->columns[0]);
}

static void put_values(struct encoder *encoder, double *small)
{
    encoder->scale = scale_of(encoder);
    bits_put(&encoder->writer, encoder->scale, BLOCK_SCALE_BITS);
    put_min(encoder);
    if (!has_many(encoder))
        return;
    put_max_and_last(encoder);
    put_first(encoder);
    put_sums(encoder, small);
}

static void put_sketch_sizes(struct encoder *encoder)
{
    if ((encoder->flags & BLOCK_SKETCHES) == 0)
        return;
    for (size_t i = 0; i < encoder->count; i++)
        encoder->columns[0][i] = encoder->points[i].sketch.len;
    put_column(encoder, encoder->columns[0], encoder->count);
}

/* Returns the bytes of the block. */
static size_t encode_all(const struct block_frame *frame, const struct block_points *points,
                         bool keep_arrivals, struct arena *scratch, struct buf *out)
{
    size_t count = points->count;
    uint64_t *room = arena_array(scratch, count, ENCODER_ARRAYS * sizeof *room);
    double *small = arena_array(scratch, count, sizeof *small);
    struct encoder encoder = {
        .frame = frame,
        .points = points->points,
        .count = count,
        .many = room,
        .columns = {room + count, room + 2 * count, room + 3 * count, room + 4 * count},
        .work = column_work_of(scratch, count),
        .writer = bits_writer_of(out),
    };
    size_t start = out->len;

    buf_u8(out, BLOCK_VERSION);
    look_at_points(&encoder, keep_arrivals);
    bits_put_number(&encoder.writer, count - 1);
    bits_put(&encoder.writer, encoder.flags, BLOCK_FLAG_BITS);
    put_buckets(&encoder);
    put_shapes(&encoder);
    put_counts(&encoder);
    put_times(&encoder);
    put_arrivals(&encoder);
    put_values(&encoder, small);
    put_sketch_sizes(&encoder);
    bits_finish(&encoder.writer);
    for (size_t i = 0; i < count; i++)
        buf_str(out, encoder.points[i].sketch);
    buf_u32(out, block_checksum(frame, (struct str){out->bytes + start, out->len - start}));
    return out->len - start;
}

size_t block_encode(const struct block_frame *frame, const struct block_points *points,
                    const struct block_form *form, struct arena *scratch, struct buf *out)
{
    struct block_points front = *points;
    size_t start = out->len;

    if (!are_valid(points))
        return 0;
    /* All points, as a rule; else what the limit is of their size, until that is small enough. */
    for (;;) {
        size_t size = encode_all(frame, &front, form->keep_arrivals, scratch, out);
        if (form->limit_bytes == 0 || size <= form->limit_bytes || front.count == 1)
            return front.count;
        size_t fewer = front.count * form->limit_bytes / size;
        front.count = fewer > 0 ? fewer : 1;
        out->len = start;
    }
}
