#include "store/chunk.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "store/block_private.h"
#include "store/chunk_private.h"

enum { RESTARTS_MAX = CHUNK_BYTES_MAX / CELL_BYTES_MIN / CELLS_PER_RESTART + 1 };

static const double HUNDREDTHS_MAX = 0x1p23;
static const double THOUSANDTHS_MAX = 0x1p31;

/* --- places ------------------------------------------------------------------------------------
 */

chunk_place chunk_place_of(uint32_t id, int64_t minute)
{
    struct place place = place_of(id, minute);
    return place_number(&place);
}

int chunk_order(uint32_t id, int64_t minute, uint32_t other_id, int64_t other_minute)
{
    chunk_place one = chunk_place_of(id, minute);
    chunk_place other = chunk_place_of(other_id, other_minute);
    return (one > other) - (one < other);
}

/* --- writing fields: all return where the next one goes; there is always room -------------------
 */

static uint64_t bits_of(double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Eight bytes are written, whatever of them counts. */
static unsigned char *put_word(unsigned char *to, uint64_t word, unsigned bytes)
{
    uint64_t little = htole64(word);
    memcpy(to, &little, sizeof little);
    return to + bytes;
}

static unsigned char *put_varint(unsigned char *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    *to++ = (unsigned char)value;
    return to;
}

static unsigned char *put_count(unsigned char *to, uint64_t count)
{
    uint64_t fraction = count % WEIGHT_ONE;

    to = put_varint(to, (count / WEIGHT_ONE) << 1 | (fraction != 0));
    return fraction == 0 ? to : put_word(to, fraction, 2);
}

static unsigned char *put_time(unsigned char *to, uint64_t offset, unsigned *form)
{
    *form = offset > UINT16_MAX;
    return put_word(to, offset, TIME_BYTES[*form]);
}

static unsigned char *put_arrival(unsigned char *to, wall_ms at, uint64_t arrival, unsigned *form)
{
    uint64_t offset = arrival - (uint64_t)at * 1000;

    if (arrival == 0)
        *form = ARRIVAL_NONE;
    else if (offset <= UINT16_MAX)
        *form = ARRIVAL_U16;
    else if (offset + (UINT64_C(1) << 31) <= UINT32_MAX)
        *form = ARRIVAL_I32;
    else
        *form = ARRIVAL_ITSELF;
    return put_word(to, *form == ARRIVAL_ITSELF ? arrival : offset, ARRIVAL_BYTES[*form]);
}

/* The value as so many parts of one, when that gives the same bits back. */
static bool to_parts(double value, double parts, double max, int64_t *out)
{
    double scaled = value * parts;

    if (!(fabs(scaled) < max - 1))
        return false;
    *out = (int64_t)(scaled + copysign(0.5, scaled));
    return bits_of((double)*out / parts) == bits_of(value);
}

static unsigned char *put_number(unsigned char *to, double value, unsigned *form)
{
    uint64_t bits = bits_of(value);
    int64_t parts = 0;

    if (bits == 0) {
        *form = NUMBER_ZERO;
        return to;
    }
    if ((uint32_t)bits == 0) {
        *form = (bits << 16) == 0 ? NUMBER_TOP2 : (bits << 24) == 0 ? NUMBER_TOP3 : NUMBER_TOP4;
        return put_word(to, bits >> NUMBER_WORD_SHIFT[*form], NUMBER_BYTES[*form]);
    }
    if (to_parts(value, HUNDRED, HUNDREDTHS_MAX, &parts)) {
        *form = NUMBER_HUNDREDTHS;
        return put_word(to, (uint64_t)parts, NUMBER_BYTES[NUMBER_HUNDREDTHS]);
    }
    if (to_parts(value, THOUSAND, THOUSANDTHS_MAX, &parts)) {
        *form = NUMBER_THOUSANDTHS;
        return put_word(to, (uint64_t)parts, NUMBER_BYTES[NUMBER_THOUSANDTHS]);
    }
    *form = NUMBER_DOUBLE;
    return put_word(to, bits, sizeof bits);
}

/* --- writing cells -----------------------------------------------------------------------------
 */

struct chunk_writer {
    unsigned char *bytes; /* room for a chunk and one cell more */
    size_t capacity, len;
    uint32_t count;
    uint16_t restarts[RESTARTS_MAX];
    struct place first, last;
    struct buf sketches; /* of the cell that is being added */
};

struct chunk_writer *chunk_writer_new(void)
{
    struct chunk_writer *writer = memory_zero(1, sizeof *writer);
    writer->capacity = CHUNK_BYTES_MAX + FIXED_BYTES_MAX;
    writer->bytes = memory_alloc(writer->capacity);
    writer->len = HEADER_BYTES;
    return writer;
}

void chunk_writer_free(struct chunk_writer *writer)
{
    if (writer == NULL)
        return;
    buf_fini(&writer->sketches);
    free(writer->bytes);
    free(writer);
}

static bool is_product(const struct aggregate *aggregate)
{
    struct number_pair product = number_product(aggregate->min, aggregate->count);
    return bits_of(product.high) == bits_of(aggregate->sum) &&
           bits_of(product.low) == bits_of(aggregate->sum_low);
}

static enum shape shape_of(const struct aggregate *aggregate)
{
    uint64_t min = bits_of(aggregate->min);

    if (aggregate->count == 0)
        return SHAPE_EMPTY;
    if ((min ^ bits_of(aggregate->max)) != 0 || (min ^ bits_of(aggregate->first)) != 0 ||
        (min ^ bits_of(aggregate->last)) != 0 || aggregate->first_at != aggregate->last_at ||
        aggregate->first_arrival != aggregate->last_arrival)
        return SHAPE_MANY;
    if (aggregate->count == WEIGHT_ONE && min == bits_of(aggregate->sum) &&
        bits_of(aggregate->sum_low) == 0)
        return SHAPE_ONE;
    return is_product(aggregate) ? SHAPE_WEIGHTED : SHAPE_MANY;
}

static enum same same_first(const struct aggregate *aggregate)
{
    uint64_t first = bits_of(aggregate->first);

    if (first == bits_of(aggregate->min))
        return SAME_AS_MIN;
    return first == bits_of(aggregate->max) ? SAME_AS_MAX : SAME_AS_NONE;
}

static enum same same_last(const struct aggregate *aggregate)
{
    uint64_t last = bits_of(aggregate->last);

    if (last == bits_of(aggregate->min))
        return SAME_AS_MIN;
    if (last == bits_of(aggregate->max))
        return SAME_AS_MAX;
    return last == bits_of(aggregate->first) ? SAME_AS_FIRST : SAME_AS_NONE;
}

/* What follows min in the aggregate of many samples. */
static unsigned char *put_many(unsigned char *to, const struct aggregate *aggregate)
{
    unsigned char *flags = to;
    enum same first = same_first(aggregate);
    enum same last = same_last(aggregate);
    bool has_numbers = first == SAME_AS_NONE || last == SAME_AS_NONE;
    bool is_flat = bits_of(aggregate->max) == bits_of(aggregate->min);
    unsigned arrival = 0;
    unsigned time = 0;
    unsigned max = 0;
    unsigned sum = NUMBER_PRODUCT;
    unsigned own[2] = {0, 0};
    bool has_low = false;

    to += has_numbers ? 3 : 2;
    to = put_count(to, aggregate->count);
    to = put_time(to, (uint64_t)aggregate->last_at - (uint64_t)aggregate->first_at, &time);
    to = put_arrival(to, aggregate->last_at, aggregate->last_arrival, &arrival);
    if (!is_flat)
        to = put_number(to, aggregate->max, &max);
    if (first == SAME_AS_NONE)
        to = put_number(to, aggregate->first, &own[0]);
    if (last == SAME_AS_NONE)
        to = put_number(to, aggregate->last, &own[1]);
    if (!is_flat || !is_product(aggregate)) {
        to = put_number(to, aggregate->sum, &sum);
        has_low = bits_of(aggregate->sum_low) != 0;
        if (has_low)
            to = put_word(to, bits_of(aggregate->sum_low), sizeof(uint64_t));
    }
    flags[0] = (unsigned char)(first | last << MANY_LAST_SHIFT | arrival << MANY_ARRIVAL_SHIFT |
                               time << MANY_TIME_SHIFT | (is_flat ? (unsigned)MANY_FLAT : 0));
    flags[1] =
        (unsigned char)(max | sum << MANY_SUM_SHIFT | (has_low ? (unsigned)MANY_SUM_LOW : 0));
    if (has_numbers)
        flags[2] = (unsigned char)(own[0] | own[1] << MANY_SUM_SHIFT);
    return to;
}

/* The aggregate but for its shape; the forms of its first fields go into `tag`. */
static unsigned char *put_aggregate(unsigned char *to, enum shape shape, uint64_t start,
                                    const struct aggregate *aggregate, unsigned char *tag)
{
    unsigned time = 0;
    unsigned arrival = 0;
    unsigned number = 0;

    to = put_time(to, (uint64_t)aggregate->first_at - start, &time);
    to = put_arrival(to, aggregate->first_at, aggregate->first_arrival, &arrival);
    to = put_number(to, aggregate->min, &number);
    *tag |= (unsigned char)(arrival << ARRIVAL_SHIFT | number << NUMBER_SHIFT | time << TIME_SHIFT);
    if (shape == SHAPE_WEIGHTED)
        return put_count(to, aggregate->count);
    return shape == SHAPE_MANY ? put_many(to, aggregate) : to;
}

static unsigned char *put_place(const struct chunk_writer *writer, unsigned char *to,
                                const struct place *place)
{
    if (writer->count % CELLS_PER_RESTART == 0 || place->quarter != writer->last.quarter) {
        *to++ = (unsigned char)(NIBBLE_MAX | place->minute << NIBBLE_BITS);
        to = put_varint(to, (uint64_t)place->quarter - (uint64_t)writer->first.quarter);
        return put_varint(to, place->id);
    }
    uint32_t further = place->id - writer->last.id;
    if (further < NIBBLE_MAX) {
        *to++ = (unsigned char)(place->minute | further << NIBBLE_BITS);
        return to;
    }
    *to++ = (unsigned char)(place->minute | NIBBLE_MAX << NIBBLE_BITS);
    return put_varint(to, further - NIBBLE_MAX);
}

static bool is_more(const struct cell *cell)
{
    return cell->distinct != NULL || cell->histogram != NULL || cell->counts_values ||
           cell->aggregate.count == 0;
}

/* What the reader insists on: a chunk with anything else in it could not be read back. */
static bool is_sound(const struct cell *cell, enum shape shape)
{
    const struct aggregate *aggregate = &cell->aggregate;
    bool has_values = cell->counts_values && aggregate->min < aggregate->max;

    if (shape == SHAPE_EMPTY)
        return cell->distinct != NULL && cell->histogram == NULL && !cell->counts_values;
    return (cell->histogram != NULL) == has_values &&
           (shape == SHAPE_ONE ? isfinite(aggregate->min) : block_is_sound(aggregate));
}

/* Room for one cell more, whose sketches are in `sketches`. */
static void make_room(struct chunk_writer *writer)
{
    size_t needed = writer->len + FIXED_BYTES_MAX + writer->sketches.len;

    if (needed <= writer->capacity)
        return;
    writer->bytes = memory_grow(writer->bytes, needed, 1);
    writer->capacity = needed;
}

static void encode_sketches(struct chunk_writer *writer, const struct cell *cell)
{
    buf_clear(&writer->sketches);
    if (cell->distinct != NULL)
        distinct_encode(cell->distinct, &writer->sketches);
    if (cell->histogram != NULL)
        histogram_encode(cell->histogram, &writer->sketches);
}

static unsigned char *put_cell(struct chunk_writer *writer, const struct place *place,
                               const struct cell *cell)
{
    enum shape shape = shape_of(&cell->aggregate);
    bool more = is_more(cell);

    assert(is_sound(cell, shape));
    if (more) {
        encode_sketches(writer, cell);
        make_room(writer);
    }
    unsigned char *tag = writer->bytes + writer->len;
    *tag = (unsigned char)(more ? SHAPE_MORE : shape);
    unsigned char *to = put_place(writer, tag + 1, place);
    if (more)
        *to++ = (unsigned char)(shape | (cell->distinct != NULL ? (unsigned)MORE_DISTINCT : 0) |
                                (cell->counts_values ? (unsigned)MORE_COUNTS_VALUES : 0) |
                                (writer->sketches.len > 0 ? (unsigned)MORE_BYTES : 0));
    if (shape != SHAPE_EMPTY)
        to = put_aggregate(to, shape, place_start(place), &cell->aggregate, tag);
    if (!more || writer->sketches.len == 0)
        return to;
    to = put_varint(to, writer->sketches.len);
    memcpy(to, writer->sketches.bytes, writer->sketches.len);
    return to + writer->sketches.len;
}

void chunk_sample_of(double value, int64_t minute, wall_ms at, uint64_t arrival,
                     struct chunk_sample *out)
{
    uint64_t start = (uint64_t)minute * MS_PER_MINUTE;
    unsigned time = 0;
    unsigned form = 0;
    unsigned number = 0;

    value += 0.0; /* -0 becomes 0, as in aggregate_add */
    assert(isfinite(value));
    unsigned char *to = put_time(out->bytes, (uint64_t)at - start, &time);
    to = put_arrival(to, at, arrival, &form);
    to = put_number(to, value, &number);
    out->tag = (uint8_t)(form << ARRIVAL_SHIFT | number << NUMBER_SHIFT | time << TIME_SHIFT);
    out->len = (uint8_t)(to - out->bytes);
}

/* Whether a cell may be written after the last one, with room for it. */
static bool begin_cell(struct chunk_writer *writer, const struct place *place)
{
    if (writer->len > CHUNK_BYTES_MAX)
        return false; /* one large cell */
    assert(place_is_quarter(place->quarter));
    if (writer->count == 0)
        writer->first = *place;
    else
        assert(place_number(place) > place_number(&writer->last));
    return true;
}

/* The cell ends before `to`: it stays, unless the chunk would be too large. */
static bool end_cell(struct chunk_writer *writer, const struct place *place,
                     const unsigned char *to)
{
    size_t restarts = writer->count / CELLS_PER_RESTART;
    size_t len = (size_t)(to - writer->bytes);

    if (writer->count > 0) {
        if (len + restarts * RESTART_BYTES + CHECKSUM_BYTES > CHUNK_BYTES_MAX)
            return false;
        if (writer->count % CELLS_PER_RESTART == 0)
            writer->restarts[restarts - 1] = (uint16_t)writer->len;
    }
    writer->len = len;
    writer->last = *place;
    writer->count++;
    return true;
}

bool chunk_writer_add(struct chunk_writer *writer, uint32_t id, int64_t minute,
                      const struct cell *cell)
{
    struct place place = place_of(id, minute);

    return begin_cell(writer, &place) && end_cell(writer, &place, put_cell(writer, &place, cell));
}

bool chunk_writer_add_sample(struct chunk_writer *writer, uint32_t id, int64_t minute,
                             const struct chunk_sample *sample)
{
    struct place place = place_of(id, minute);

    if (!begin_cell(writer, &place))
        return false;
    unsigned char *to = writer->bytes + writer->len;
    *to = sample->tag;
    to = put_place(writer, to + 1, &place);
    memcpy(to, sample->bytes, sizeof sample->bytes); /* whatever of them counts */
    return end_cell(writer, &place, to + sample->len);
}

size_t chunk_writer_len(const struct chunk_writer *writer)
{
    return writer->count == 0 ? 0 : writer->len;
}

/* The first `len` bytes, and after them their checksum. */
static struct str sign(struct chunk_writer *writer, size_t len, uint64_t seed)
{
    uint32_t sum = htole32(chunk_checksum(writer->bytes, len, seed));

    memcpy(writer->bytes + len, &sum, sizeof sum);
    return (struct str){(const char *)writer->bytes, len + CHECKSUM_BYTES};
}

struct str chunk_writer_take(struct chunk_writer *writer, uint64_t seed, uint32_t *first_id,
                             int64_t *first_minute)
{
    const struct place *first = &writer->first;

    if (writer->count == 0)
        return STR_EMPTY;
    *first_id = first->id;
    *first_minute = first->quarter * MINUTES_PER_QUARTER + first->minute;
    writer->bytes[0] = CHUNK_VERSION;
    uint16_t count = htole16((uint16_t)writer->count);
    uint64_t quarter = htole64((uint64_t)first->quarter);
    memcpy(writer->bytes + COUNT_AT, &count, sizeof count);
    memcpy(writer->bytes + QUARTER_AT, &quarter, sizeof quarter);

    writer->sketches.len = 0;
    make_room(writer); /* for what follows the cells, which is less than a cell may take */
    unsigned char *to = writer->bytes + writer->len;
    for (size_t i = 0; i < (writer->count - 1) / CELLS_PER_RESTART; i++, to += RESTART_BYTES) {
        uint16_t at = htole16(writer->restarts[i]);
        memcpy(to, &at, sizeof at);
    }
    writer->count = 0;
    writer->len = HEADER_BYTES;
    return sign(writer, (size_t)(to - writer->bytes), seed);
}

struct str chunk_writer_adopt(struct chunk_writer *writer, struct str chunk, uint64_t seed)
{
    size_t len = chunk.len - CHECKSUM_BYTES;

    assert(writer->count == 0 && chunk.len > CHECKSUM_BYTES && chunk.len <= CHUNK_BYTES_MAX);
    memcpy(writer->bytes, chunk.text, len);
    return sign(writer, len, seed);
}
