/* Blocks back to points: block_decode and block_merge of store/block.h. */
#include "store/block_private.h"

/* One block on its way to points. */
struct decoder {
    const struct block_frame *frame;
    struct bit_reader reader;
    struct block_point *points;
    size_t count;
    uint64_t *many; /* indexes of the points that are not plain */
    size_t many_count;
    unsigned flags;
    unsigned scale;
    uint64_t *column; /* room for `count` values, as the next two */
    /* by the scale; of the points that are not plain, once they are known */
    uint64_t *mins, *maxes, *lasts;
    struct column_work work;
};

enum { DECODER_ARRAYS = 8 };

static struct aggregate *many_at(struct decoder *decoder, size_t i)
{
    return &decoder->points[decoder->many[i]].aggregate;
}

static bool has(const struct decoder *decoder, enum block_flag flag)
{
    return (decoder->flags & (unsigned)flag) != 0;
}

static bool get_column(struct decoder *decoder, size_t count)
{
    column_get(&decoder->reader, decoder->column, count, &decoder->work);
    return decoder->reader.ok;
}

/* Points and all that is needed meanwhile, in one piece. */
static void make_room(struct decoder *decoder, struct arena *arena)
{
    size_t count = decoder->count;
    char *room =
        arena_array(arena, count, sizeof *decoder->points + DECODER_ARRAYS * sizeof(uint64_t));
    uint64_t *columns = (uint64_t *)(void *)(room + count * sizeof *decoder->points);

    decoder->points = (struct block_point *)(void *)room;
    decoder->many = columns;
    decoder->column = columns + count;
    decoder->mins = columns + 2 * count;
    decoder->maxes = columns + 3 * count;
    decoder->lasts = columns + 4 * count;
    decoder->work =
        (struct column_work){columns + 5 * count, columns + 6 * count, columns + 7 * count};
}

/* --- buckets, counts, times --------------------------------------------------------------------
 */

static bool get_buckets(struct decoder *decoder)
{
    struct block_point *points = decoder->points;
    uint64_t offset = (uint64_t)bits_get_signed(&decoder->reader);
    int64_t bucket = (int64_t)((uint64_t)decoder->frame->origin + offset);

    if (has(decoder, BLOCK_NO_GAPS))
        memset(decoder->column, 0, decoder->count * sizeof *decoder->column);
    else if (!get_column(decoder, decoder->count - 1))
        return false;
    points[0].bucket = bucket;
    for (size_t i = 1; i < decoder->count; i++) {
        uint64_t gap = decoder->column[i - 1];
        if (gap >= (uint64_t)INT64_MAX - (uint64_t)bucket)
            return false;
        bucket = (int64_t)((uint64_t)bucket + gap + 1);
        points[i].bucket = bucket;
    }
    return true;
}

/* Says which points are not plain. */
static bool get_shapes(struct decoder *decoder)
{
    if (!has(decoder, BLOCK_SOME_NOT))
        return has(decoder, BLOCK_SOME_PLAIN);
    if (has(decoder, BLOCK_SOME_PLAIN)) {
        if (!get_column(decoder, decoder->count))
            return false;
    } else {
        for (size_t i = 0; i < decoder->count; i++)
            decoder->column[i] = 1;
    }
    for (size_t i = 0; i < decoder->count; i++) {
        if (decoder->column[i] > 1)
            return false;
        if (decoder->column[i] == 1)
            decoder->many[decoder->many_count++] = i;
    }
    return decoder->many_count > 0;
}

static bool get_counts(struct decoder *decoder)
{
    if (!has(decoder, BLOCK_UNIT_COUNTS) && !get_column(decoder, decoder->count))
        return false;
    for (size_t i = 0; i < decoder->count; i++)
        decoder->points[i].aggregate.count =
            has(decoder, BLOCK_UNIT_COUNTS) ? UINT64_C(1) << 16 : decoder->column[i];
    return true;
}

static bool get_times(struct decoder *decoder)
{
    uint64_t width = (uint64_t)decoder->frame->width_ms;

    if (!get_column(decoder, decoder->count))
        return false;
    for (size_t i = 0; i < decoder->count; i++) {
        struct block_point *point = &decoder->points[i];
        point->aggregate.first_at = (wall_ms)((uint64_t)point->bucket * width + decoder->column[i]);
        point->aggregate.last_at = point->aggregate.first_at;
    }
    if (!get_column(decoder, decoder->many_count))
        return false;
    for (size_t i = 0; i < decoder->many_count; i++) {
        struct aggregate *aggregate = many_at(decoder, i);
        aggregate->last_at = (wall_ms)((uint64_t)aggregate->first_at + decoder->column[i]);
    }
    return true;
}

static bool get_arrivals(struct decoder *decoder)
{
    if (!has(decoder, BLOCK_ARRIVALS))
        return true;
    if (!get_column(decoder, decoder->count))
        return false;
    for (size_t i = 0; i < decoder->count; i++) {
        struct aggregate *aggregate = &decoder->points[i].aggregate;
        aggregate->first_arrival = decoder->column[i] + (uint64_t)aggregate->first_at * 1000;
        aggregate->last_arrival = aggregate->first_arrival;
    }
    if (!get_column(decoder, decoder->many_count))
        return false;
    for (size_t i = 0; i < decoder->many_count; i++) {
        struct aggregate *aggregate = many_at(decoder, i);
        aggregate->last_arrival = decoder->column[i] + (uint64_t)aggregate->last_at * 1000;
    }
    return true;
}

/* --- values ------------------------------------------------------------------------------------
 */

/* Whether the integer can be what the scale makes of a double. */
static bool is_in_range(const struct decoder *decoder, uint64_t integer)
{
    return decoder->scale == SCALE_ORDERED || number_is_decimal_range((int64_t)integer);
}

static void take_product(struct aggregate *aggregate)
{
    struct number_pair sum = number_product(aggregate->min, aggregate->count);

    aggregate->sum = sum.high;
    aggregate->sum_low = sum.low;
}

/* What a plain point's one number says of its sum. */
static void get_plain_sums(struct decoder *decoder)
{
    size_t plain = 0;

    for (size_t i = 0; i <= decoder->many_count; i++) {
        size_t end = i < decoder->many_count ? decoder->many[i] : decoder->count;
        for (; plain < end; plain++)
            take_product(&decoder->points[plain].aggregate);
        plain = end + 1;
    }
}

static bool get_min(struct decoder *decoder)
{
    bool is_xor = decoder->scale == SCALE_ORDERED && bits_get(&decoder->reader, 1) == 1;

    if (is_xor)
        column_get_xor(&decoder->reader, decoder->column, decoder->count);
    else
        column_get(&decoder->reader, decoder->column, decoder->count, &decoder->work);
    if (!decoder->reader.ok)
        return false;
    for (size_t i = 0; i < decoder->count; i++) {
        struct aggregate *aggregate = &decoder->points[i].aggregate;
        if (!is_in_range(decoder, decoder->column[i]))
            return false;
        double value = number_of_scale(decoder->column[i], decoder->scale);
        aggregate->min = value;
        aggregate->max = value;
        aggregate->first = value;
        aggregate->last = value;
        aggregate->sum = value; /* the product, if the count is 1.0 */
        aggregate->sum_low = 0;
    }
    if (!has(decoder, BLOCK_UNIT_COUNTS))
        get_plain_sums(decoder);
    for (size_t i = 0; i < decoder->many_count; i++)
        decoder->mins[i] = decoder->column[decoder->many[i]];
    return true;
}

static bool get_max(struct decoder *decoder)
{
    bool is_relative = bits_get(&decoder->reader, 1) == 0;

    if (!get_column(decoder, decoder->many_count))
        return false;
    for (size_t i = 0; i < decoder->many_count; i++) {
        uint64_t max = decoder->column[i] + (is_relative ? decoder->mins[i] : 0);
        if (!is_in_range(decoder, max))
            return false;
        decoder->maxes[i] = max;
        many_at(decoder, i)->max = number_of_scale(max, decoder->scale);
    }
    return true;
}

static bool get_last(struct decoder *decoder)
{
    bool is_relative = bits_get(&decoder->reader, 1) == 0;

    if (!get_column(decoder, decoder->many_count))
        return false;
    for (size_t i = 0; i < decoder->many_count; i++) {
        uint64_t last = decoder->column[i] + (is_relative ? decoder->mins[i] : 0);
        if (!is_in_range(decoder, last))
            return false;
        decoder->lasts[i] = last;
        many_at(decoder, i)->last = number_of_scale(last, decoder->scale);
    }
    return true;
}

static bool get_first(struct decoder *decoder)
{
    enum { TO_MIN, TO_NONE, TO_LAST, TO_LAST_BEFORE };
    uint64_t way = bits_get(&decoder->reader, 2);
    uint64_t before = decoder->mins[0];

    if (!get_column(decoder, decoder->many_count))
        return false;
    for (size_t i = 0; i < decoder->many_count; i++) {
        uint64_t first = decoder->column[i];
        if (way == TO_MIN)
            first += decoder->mins[i];
        else if (way == TO_LAST)
            first += decoder->lasts[i];
        else if (way == TO_LAST_BEFORE)
            first += before;
        if (!is_in_range(decoder, first))
            return false;
        many_at(decoder, i)->first = number_of_scale(first, decoder->scale);
        before = decoder->lasts[i];
    }
    return true;
}

/* --- sums --------------------------------------------------------------------------------------
 */

/* Into sum_low of the points that are not plain. */
static bool get_small(struct decoder *decoder)
{
    bool is_binary = bits_get(&decoder->reader, 1) == 0;
    int64_t exponent = is_binary ? bits_get_signed(&decoder->reader) : 0;

    if (exponent < BLOCK_EXPONENT_MIN || exponent > BLOCK_EXPONENT_MAX ||
        !get_column(decoder, decoder->many_count))
        return false;
    for (size_t i = 0; i < decoder->many_count; i++)
        many_at(decoder, i)->sum_low =
            is_binary ? number_of_binary((int64_t)decoder->column[i], (int)exponent)
                      : number_of_ordered_bits(decoder->column[i]);
    return true;
}

static bool get_scaled_sums(struct decoder *decoder)
{
    bool is_relative = bits_get(&decoder->reader, 1) == 1;

    if (decoder->scale == SCALE_ORDERED || !get_column(decoder, decoder->many_count))
        return false;
    for (size_t i = 0; i < decoder->many_count; i++) {
        struct aggregate *aggregate = many_at(decoder, i);
        uint64_t sum = decoder->column[i];
        if (is_relative)
            sum += block_middle_sum(aggregate->count, decoder->mins[i], decoder->maxes[i]);
        aggregate->sum = number_of_decimal((int64_t)sum, decoder->scale);
    }
    if (!get_small(decoder))
        return false;
    for (size_t i = 0; i < decoder->many_count; i++) {
        struct aggregate *aggregate = many_at(decoder, i);
        struct number_pair sum = number_sum(aggregate->sum, aggregate->sum_low);
        aggregate->sum = sum.high;
        aggregate->sum_low = sum.low;
    }
    return true;
}

static bool get_sums(struct decoder *decoder)
{
    uint64_t way = bits_get(&decoder->reader, BLOCK_SUMS_BITS);

    if (way == BLOCK_SUMS_PRODUCT) {
        for (size_t i = 0; i < decoder->many_count; i++)
            take_product(many_at(decoder, i));
        return true;
    }
    if (way == BLOCK_SUMS_SCALED)
        return get_scaled_sums(decoder);
    if (way != BLOCK_SUMS_ORDERED || !get_column(decoder, decoder->many_count))
        return false;
    for (size_t i = 0; i < decoder->many_count; i++)
        many_at(decoder, i)->sum = number_of_ordered_bits(decoder->column[i]);
    return get_small(decoder);
}

static bool get_values(struct decoder *decoder)
{
    decoder->scale = (unsigned)bits_get(&decoder->reader, BLOCK_SCALE_BITS);
    if (decoder->scale > SCALE_DECIMAL_MAX && decoder->scale != SCALE_ORDERED)
        return false;
    if (!get_min(decoder))
        return false;
    return decoder->many_count == 0 ||
           (get_max(decoder) && get_last(decoder) && get_first(decoder) && get_sums(decoder));
}

/* --- the whole ---------------------------------------------------------------------------------
 */

/* The last column and what follows the bits. */
static bool get_sketches(struct decoder *decoder)
{
    bool some = has(decoder, BLOCK_SKETCHES);

    if (some && !get_column(decoder, decoder->count))
        return false;
    struct str rest = bits_rest(&decoder->reader);
    if (!decoder->reader.ok)
        return false;
    for (size_t i = 0; some && i < decoder->count; i++) {
        uint64_t size = decoder->column[i];
        if (size > rest.len)
            return false;
        if (size > 0)
            decoder->points[i].sketch = (struct str){rest.text, size};
        rest = (struct str){rest.text + size, rest.len - size};
    }
    return rest.len == 0;
}

static bool are_sound(const struct decoder *decoder)
{
    for (size_t i = 0; i < decoder->count; i++) {
        if (!block_is_sound(&decoder->points[i].aggregate))
            return false;
    }
    return true;
}

/* The bytes between version and checksum, if these are right. */
static bool unwrap(const struct block_frame *frame, struct str bytes, struct str *out)
{
    uint32_t checksum = 0;

    if (bytes.len < 1 + BLOCK_CHECKSUM_BYTES || bytes.text[0] != BLOCK_VERSION)
        return false;
    bytes.len -= BLOCK_CHECKSUM_BYTES;
    memcpy(&checksum, bytes.text + bytes.len, sizeof checksum);
    *out = (struct str){bytes.text + 1, bytes.len - 1};
    return le32toh(checksum) == block_checksum(frame, bytes);
}

bool block_decode(const struct block_frame *frame, struct str bytes, struct arena *arena,
                  struct block_points *out)
{
    struct str content = STR_EMPTY;

    *out = (struct block_points){NULL, 0};
    if (!unwrap(frame, bytes, &content))
        return false;
    struct decoder decoder = {.frame = frame, .reader = bits_reader_of(content)};
    uint64_t count_less_one = bits_get_number(&decoder.reader);
    decoder.flags = (unsigned)bits_get(&decoder.reader, BLOCK_FLAG_BITS);
    if (!decoder.reader.ok || count_less_one >= BLOCK_POINTS_MAX)
        return false;
    decoder.count = count_less_one + 1;
    make_room(&decoder, arena);
    if (!get_buckets(&decoder) || !get_shapes(&decoder) || !get_counts(&decoder) ||
        !get_times(&decoder) || !get_arrivals(&decoder) || !get_values(&decoder) ||
        !get_sketches(&decoder) || !are_sound(&decoder))
        return false;
    *out = (struct block_points){decoder.points, decoder.count};
    return true;
}

bool block_merge(const struct block_frame *frame, struct str bytes, const int64_t range[2],
                 struct arena *scratch, struct aggregate *into)
{
    struct block_points points;
    struct aggregate merged = AGGREGATE_EMPTY;

    if (!block_decode(frame, bytes, scratch, &points))
        return false;
    for (size_t i = 0; i < points.count && points.points[i].bucket < range[1]; i++) {
        if (points.points[i].bucket >= range[0])
            aggregate_merge(&merged, &points.points[i].aggregate);
    }
    aggregate_merge(into, &merged);
    return true;
}

bool block_peek(const struct block_frame *frame, struct str bytes, struct block_facts *out)
{
    struct str content = STR_EMPTY;

    *out = (struct block_facts){0};
    if (!unwrap(frame, bytes, &content))
        return false;
    struct bit_reader reader = bits_reader_of(content);
    uint64_t count_less_one = bits_get_number(&reader);
    uint64_t flags = bits_get(&reader, BLOCK_FLAG_BITS);
    uint64_t offset = (uint64_t)bits_get_signed(&reader);
    if (!reader.ok || count_less_one >= BLOCK_POINTS_MAX)
        return false;
    *out = (struct block_facts){count_less_one + 1, (int64_t)((uint64_t)frame->origin + offset),
                                (flags & BLOCK_SKETCHES) != 0};
    return true;
}
