#include <math.h>

#include "store/block_private.h"
#include "store/chunk_private.h"

/* Of the doubles' forms: which bits of the word that was read are theirs. */
static const uint64_t NUMBER_WORD_MASK[] = {0, 0xffff, 0xffffff, 0xffffffff, UINT64_MAX};

/* --- reading fields: FIXED_BYTES_MAX bytes can always be read -----------------------------------
 */

struct input {
    const unsigned char *at;
    bool ok;
};

static uint64_t get_word(struct input *input, unsigned bytes)
{
    uint64_t little = 0;
    memcpy(&little, input->at, sizeof little);
    input->at += bytes;
    return le64toh(little);
}

static uint64_t get_varint(struct input *input)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned char byte = *input->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    input->ok = false;
    return 0;
}

static uint64_t get_count(struct input *input)
{
    uint64_t whole = get_varint(input);
    uint64_t count = (whole >> 1) * WEIGHT_ONE;

    input->ok = input->ok && whole >> 1 <= UINT64_MAX / WEIGHT_ONE;
    return (whole & 1) == 0 ? count : count + (get_word(input, 2) & 0xffff);
}

static uint64_t get_time(struct input *input, unsigned form)
{
    uint64_t word = get_word(input, TIME_BYTES[form]);
    return form == 0 ? word & 0xffff : word;
}

static uint64_t get_arrival(struct input *input, wall_ms at, unsigned form)
{
    uint64_t word = get_word(input, ARRIVAL_BYTES[form]);

    switch ((enum arrival_form)form) {
    case ARRIVAL_U16:
        return (uint64_t)at * 1000 + (word & 0xffff);
    case ARRIVAL_I32:
        return (uint64_t)at * 1000 + (uint64_t)(int64_t)(int32_t)(uint32_t)word;
    case ARRIVAL_ITSELF:
        return word;
    default:
        return 0;
    }
}

static double get_number(struct input *input, unsigned form)
{
    uint64_t word = get_word(input, NUMBER_BYTES[form]);
    double value = 0;

    if (form == NUMBER_HUNDREDTHS)
        return (double)((int32_t)((uint32_t)word << 8) >> 8) / HUNDRED;
    if (form == NUMBER_THOUSANDTHS)
        return (double)(int32_t)(uint32_t)word / THOUSAND;
    if (form == NUMBER_PRODUCT) {
        input->ok = false;
        return 0;
    }
    word = (word & NUMBER_WORD_MASK[form]) << NUMBER_WORD_SHIFT[form];
    memcpy(&value, &word, sizeof value);
    return value;
}

/* --- reading cells -----------------------------------------------------------------------------
 */

static double one_of(const struct aggregate *aggregate, enum same same)
{
    if (same == SAME_AS_MIN)
        return aggregate->min;
    return same == SAME_AS_MAX ? aggregate->max : aggregate->first;
}

static void set_product(struct aggregate *aggregate)
{
    struct number_pair product = number_product(aggregate->min, aggregate->count);
    aggregate->sum = product.high;
    aggregate->sum_low = product.low;
}

static void get_many(struct input *input, struct aggregate *out)
{
    unsigned flags = (unsigned)get_word(input, 1) & 0xff;
    unsigned forms = (unsigned)get_word(input, 1) & 0xff;
    enum same first = flags & 3;
    enum same last = flags >> MANY_LAST_SHIFT & 3;
    bool has_numbers = first == SAME_AS_NONE || last == SAME_AS_NONE;
    unsigned own = has_numbers ? (unsigned)get_word(input, 1) & 0xff : 0;
    unsigned sum = forms >> MANY_SUM_SHIFT & NUMBER_MASK;

    out->count = get_count(input);
    out->last_at =
        (wall_ms)((uint64_t)out->first_at + get_time(input, flags >> MANY_TIME_SHIFT & 1));
    out->last_arrival = get_arrival(input, out->last_at, flags >> MANY_ARRIVAL_SHIFT & 3);
    out->max = (flags & MANY_FLAT) != 0 ? out->min : get_number(input, forms & NUMBER_MASK);
    if (first == SAME_AS_NONE)
        out->first = get_number(input, own & NUMBER_MASK);
    else
        out->first = one_of(out, first);
    if (last == SAME_AS_NONE)
        out->last = get_number(input, own >> MANY_SUM_SHIFT & NUMBER_MASK);
    else
        out->last = one_of(out, last);
    if (sum == NUMBER_PRODUCT) {
        set_product(out);
        return;
    }
    out->sum = get_number(input, sum);
    if ((forms & MANY_SUM_LOW) != 0)
        out->sum_low = get_number(input, NUMBER_DOUBLE);
}

/* Whether it is sound is said by `input->ok`. */
static void get_aggregate(struct input *input, enum shape shape, unsigned tag, uint64_t start,
                          struct aggregate *out)
{
    wall_ms at = (wall_ms)(start + get_time(input, tag >> TIME_SHIFT));
    uint64_t arrival = get_arrival(input, at, tag >> ARRIVAL_SHIFT & 3);
    double value = get_number(input, tag >> NUMBER_SHIFT & NUMBER_MASK);

    *out = (struct aggregate){.count = WEIGHT_ONE,
                              .sum = value,
                              .min = value,
                              .max = value,
                              .first = value,
                              .first_at = at,
                              .first_arrival = arrival,
                              .last = value,
                              .last_at = at,
                              .last_arrival = arrival};
    if (shape == SHAPE_ONE) {
        input->ok = input->ok && isfinite(value);
        return;
    }
    if (shape == SHAPE_WEIGHTED) {
        out->count = get_count(input);
        set_product(out);
    } else {
        get_many(input, out);
    }
    input->ok = input->ok && out->count > 0 && block_is_sound(out);
}

/* One cell on its way from its bytes. */
struct record {
    struct input input;
    const unsigned char *start;
    unsigned char copy[FIXED_BYTES_MAX]; /* of the chunk's last bytes, and zeros after them */
    struct place place;
    unsigned tag;
    size_t sketch_bytes; /* after what `input` has read */
};

/* Begins to read at `at`, which is before the end. */
static void record_open(struct record *record, const struct chunk_reader *reader, size_t at)
{
    const unsigned char *bytes = (const unsigned char *)reader->bytes.text + at;
    size_t left = reader->bytes.len - at;

    if (left < FIXED_BYTES_MAX) {
        memcpy(record->copy, bytes, left);
        memset(record->copy + left, 0, FIXED_BYTES_MAX - left);
        bytes = record->copy;
    }
    record->start = bytes;
    record->input = (struct input){bytes, true};
    record->sketch_bytes = 0;
}

static bool get_place_in_full(struct record *record, const struct chunk_reader *reader,
                              unsigned minute)
{
    struct input *input = &record->input;
    uint64_t quarter = (uint64_t)reader->first_quarter + get_varint(input);
    uint64_t id = get_varint(input);

    record->place = (struct place){(int64_t)quarter, (uint32_t)id, minute};
    return input->ok && id <= UINT32_MAX && place_is_quarter((int64_t)quarter) &&
           (int64_t)quarter >= reader->first_quarter && minute < MINUTES_PER_QUARTER;
}

/* The tag and the place. */
static bool get_place(struct record *record, const struct chunk_reader *reader, bool is_restart)
{
    struct input *input = &record->input;
    unsigned word = (unsigned)get_word(input, 2);
    unsigned low = word >> 8 & NIBBLE_MAX;
    unsigned high = word >> 12 & NIBBLE_MAX;

    record->tag = word & 0xff;
    if (low == NIBBLE_MAX)
        return get_place_in_full(record, reader, high);
    if (is_restart)
        return false;
    uint64_t further = high < NIBBLE_MAX ? high : NIBBLE_MAX + get_varint(input);
    record->place = (struct place){reader->quarter, (uint32_t)(reader->id + further), low};
    return input->ok && further <= UINT32_MAX - reader->id;
}

chunk_place chunk_reader_place(const struct chunk_reader *reader)
{
    struct place place = {reader->quarter, reader->id, reader->minute};
    return place_number(&place);
}

static inline int64_t minute_of(const struct chunk_reader *reader)
{
    return reader->quarter * MINUTES_PER_QUARTER + reader->minute;
}

static size_t restart_at(const struct chunk_reader *reader, uint32_t restart)
{
    uint16_t at = 0;
    memcpy(&at, reader->bytes.text + reader->end + (size_t)(restart - 1) * RESTART_BYTES,
           sizeof at);
    return le16toh(at);
}

/* The usual case of open_next, or false: two bytes, one quarter, not among the last cells. */
static inline bool open_near(struct record *record, const struct chunk_reader *reader)
{
    const unsigned char *bytes = (const unsigned char *)reader->bytes.text + reader->at;

    if (reader->index % CELLS_PER_RESTART == 0 || reader->bytes.len - reader->at < FIXED_BYTES_MAX)
        return false;
    unsigned minute = bytes[1] & NIBBLE_MAX;
    unsigned further = bytes[1] >> NIBBLE_BITS;
    if (minute == NIBBLE_MAX || further == NIBBLE_MAX || further > UINT32_MAX - reader->id ||
        (further == 0 && minute <= reader->minute))
        return false;
    record->tag = bytes[0];
    record->place = (struct place){reader->quarter, reader->id + further, minute};
    record->start = bytes;
    record->input = (struct input){bytes + 2, true};
    record->sketch_bytes = 0;
    return true;
}

/* The next cell's tag and place, which has to follow the last one's. */
static bool open_any(struct record *record, const struct chunk_reader *reader)
{
    bool is_restart = reader->index % CELLS_PER_RESTART == 0;

    if (reader->at >= reader->end)
        return false;
    if (is_restart && reader->index > 0 &&
        restart_at(reader, reader->index / CELLS_PER_RESTART) != reader->at)
        return false;
    record_open(record, reader, reader->at);
    return get_place(record, reader, is_restart) &&
           place_number(&record->place) > chunk_reader_place(reader);
}

static inline bool open_next(struct record *record, const struct chunk_reader *reader)
{
    return open_near(record, reader) || open_any(record, reader);
}

/* Moves on over the cell, which has `size` bytes if it is what it says. */
static inline bool move_on(struct chunk_reader *reader, const struct record *record, size_t size)
{
    if (size > reader->end - reader->at)
        return false;
    reader->at += size;
    reader->index++;
    reader->quarter = record->place.quarter;
    reader->id = record->place.id;
    reader->minute = record->place.minute;
    return true;
}

/* Decodes all of `bytes`. On failure the caller finishes the cell. */
static bool get_sketches(struct str bytes, bool has_distinct, bool has_histogram, struct cell *out)
{
    struct reader in = reader_of(bytes);

    if (has_distinct) {
        out->distinct = distinct_decode(&in);
        if (out->distinct == NULL)
            return false;
    }
    if (has_histogram) {
        out->histogram = histogram_decode(&in);
        if (out->histogram == NULL || histogram_count(out->histogram) != out->aggregate.count)
            return false;
    }
    return in.left == 0;
}

/* A cell of SHAPE_MORE after its place. */
static bool get_more(struct record *record, const struct chunk_reader *reader, struct cell *out)
{
    struct input *input = &record->input;
    unsigned flags = (unsigned)get_word(input, 1) & 0xff;
    bool has_distinct = (flags & MORE_DISTINCT) != 0;

    out->aggregate = (struct aggregate)AGGREGATE_EMPTY;
    if ((flags & SHAPE_MASK) != SHAPE_EMPTY)
        get_aggregate(input, flags & SHAPE_MASK, record->tag, place_start(&record->place),
                      &out->aggregate);
    out->counts_values = (flags & MORE_COUNTS_VALUES) != 0;
    bool has_histogram = out->counts_values && out->aggregate.min < out->aggregate.max;
    bool has_bytes = has_distinct || has_histogram;
    if (!input->ok || flags > MORE_ALL || has_bytes != ((flags & MORE_BYTES) != 0) ||
        (out->aggregate.count == 0 && (out->counts_values || !has_distinct)))
        return false;
    if (!has_bytes)
        return true;
    uint64_t len = get_varint(input);
    size_t at = reader->at + (size_t)(input->at - record->start);
    if (!input->ok || at > reader->end || len > reader->end - at)
        return false;
    record->sketch_bytes = len;
    return get_sketches((struct str){reader->bytes.text + at, len}, has_distinct, has_histogram,
                        out);
}

/* What follows the place, and moves on. */
static bool get_cell(struct record *record, struct chunk_reader *reader, struct cell *out)
{
    struct input *input = &record->input;
    unsigned shape = record->tag & SHAPE_MASK;

    out->distinct = NULL;
    out->histogram = NULL;
    out->counts_values = false;
    if (shape == SHAPE_MORE)
        input->ok = get_more(record, reader, out);
    else
        get_aggregate(input, shape, record->tag, place_start(&record->place), &out->aggregate);
    if (input->ok &&
        move_on(reader, record, (size_t)(input->at - record->start) + record->sketch_bytes))
        return true;
    cell_fini(out);
    return false;
}

bool chunk_reader_init(struct chunk_reader *reader, struct str bytes, uint64_t seed)
{
    uint16_t count = 0;
    uint64_t quarter = 0;
    uint32_t sum = 0;

    *reader = (struct chunk_reader){.bytes = bytes, .quarter = INT64_MIN};
    if (bytes.len < HEADER_BYTES + CELL_BYTES_MIN + CHECKSUM_BYTES ||
        bytes.text[0] != CHUNK_VERSION)
        return false;
    memcpy(&count, bytes.text + COUNT_AT, sizeof count);
    memcpy(&quarter, bytes.text + QUARTER_AT, sizeof quarter);
    memcpy(&sum, bytes.text + bytes.len - CHECKSUM_BYTES, sizeof sum);
    reader->count = le16toh(count);
    reader->first_quarter = (int64_t)le64toh(quarter);
    if (reader->count == 0 || (reader->count > 1 && bytes.len > CHUNK_BYTES_MAX) ||
        !place_is_quarter(reader->first_quarter))
        return false;
    size_t after = (reader->count - 1) / CELLS_PER_RESTART * RESTART_BYTES + CHECKSUM_BYTES;
    if (bytes.len < HEADER_BYTES + CELL_BYTES_MIN + after)
        return false;
    reader->at = HEADER_BYTES;
    reader->end = bytes.len - after;
    return le32toh(sum) == chunk_checksum(bytes.text, bytes.len - CHECKSUM_BYTES, seed);
}

static bool is_over(const struct chunk_reader *reader, bool *corrupt)
{
    *corrupt = false;
    if (reader->index < reader->count)
        return false;
    *corrupt = reader->at != reader->end;
    return true;
}

bool chunk_reader_next(struct chunk_reader *reader, struct run_cell *out, bool *corrupt)
{
    struct record record;

    if (is_over(reader, corrupt))
        return false;
    if (!open_next(&record, reader) || !get_cell(&record, reader, &out->cell)) {
        *corrupt = true;
        return false;
    }
    out->id = record.place.id;
    out->minute = record.place.quarter * MINUTES_PER_QUARTER + record.place.minute;
    return true;
}

/* --- moving cells -------------------------------------------------------------------------------
 */

/* Of a number that is stored in so many bytes, the last ones of which are before `end`. */
static bool is_finite_number(unsigned form, const unsigned char *end)
{
    const unsigned exponent = 0x7ff0; /* of a double's highest two bytes */

    if (form == NUMBER_PRODUCT)
        return false;
    if (form < NUMBER_TOP2 || form > NUMBER_DOUBLE)
        return true;
    return (((unsigned)end[-1] << 8 | end[-2]) & exponent) != exponent;
}

static inline bool take_sample(const struct record *record, struct chunk_reader *reader,
                               struct chunk_sample *out)
{
    const unsigned char *bytes = record->input.at;
    unsigned tag = record->tag;
    unsigned form = tag >> NUMBER_SHIFT & NUMBER_MASK;
    unsigned len = TIME_BYTES[tag >> TIME_SHIFT] + ARRIVAL_BYTES[tag >> ARRIVAL_SHIFT & 3] +
                   NUMBER_BYTES[form];

    out->tag = (uint8_t)tag;
    out->len = (uint8_t)len;
    memcpy(out->bytes, bytes, sizeof out->bytes);
    return is_finite_number(form, bytes + len) &&
           move_on(reader, record, (size_t)(bytes - record->start) + len);
}

bool chunk_reader_take(struct chunk_reader *reader, struct run_cell *out,
                       struct chunk_sample *sample, bool *corrupt)
{
    struct record record;

    sample->len = 0;
    if (reader->index == reader->count || reader->at >= reader->end ||
        ((unsigned char)reader->bytes.text[reader->at] & SHAPE_MASK) != SHAPE_ONE)
        return chunk_reader_next(reader, out, corrupt);
    *corrupt = !open_next(&record, reader) || !take_sample(&record, reader, sample);
    if (*corrupt)
        return false;
    out->id = reader->id;
    out->minute = minute_of(reader);
    return true;
}

void chunk_sample_merge(const struct chunk_sample *sample, int64_t minute, struct cell *into)
{
    struct input input = {sample->bytes, true};
    unsigned tag = sample->tag;
    wall_ms at = (wall_ms)((uint64_t)minute * MS_PER_MINUTE + get_time(&input, tag >> TIME_SHIFT));
    uint64_t arrival = get_arrival(&input, at, tag >> ARRIVAL_SHIFT & 3);
    double value = get_number(&input, tag >> NUMBER_SHIFT & NUMBER_MASK);

    if (!into->counts_values) {
        aggregate_add(&into->aggregate, value, WEIGHT_ONE, at, arrival);
        return;
    }
    struct cell one = CELL_EMPTY;
    aggregate_add(&one.aggregate, value, WEIGHT_ONE, at, arrival);
    cell_merge(into, &one);
}

/* --- seeking: lengths without the values --------------------------------------------------------
 */

static void pass_count(struct input *input)
{
    bool has_fraction = (*input->at & 1) != 0;

    (void)get_varint(input);
    input->at += has_fraction ? sizeof(uint16_t) : 0;
}

static void pass_many(struct input *input)
{
    unsigned flags = (unsigned)get_word(input, 1) & 0xff;
    unsigned forms = (unsigned)get_word(input, 1) & 0xff;
    bool own_first = (flags & 3) == SAME_AS_NONE;
    bool own_last = (flags >> MANY_LAST_SHIFT & 3) == SAME_AS_NONE;
    unsigned own = own_first || own_last ? (unsigned)get_word(input, 1) & 0xff : 0;
    unsigned sum = forms >> MANY_SUM_SHIFT & NUMBER_MASK;

    pass_count(input);
    input->at += TIME_BYTES[flags >> MANY_TIME_SHIFT & 1];
    input->at += ARRIVAL_BYTES[flags >> MANY_ARRIVAL_SHIFT & 3];
    input->at += (flags & MANY_FLAT) != 0 ? 0 : NUMBER_BYTES[forms & NUMBER_MASK];
    input->at += own_first ? NUMBER_BYTES[own & NUMBER_MASK] : 0;
    input->at += own_last ? NUMBER_BYTES[own >> MANY_SUM_SHIFT & NUMBER_MASK] : 0;
    input->at += NUMBER_BYTES[sum];
    if (sum != NUMBER_PRODUCT && (forms & MANY_SUM_LOW) != 0)
        input->at += sizeof(uint64_t);
}

static inline void pass_one(struct input *input, unsigned tag)
{
    input->at += TIME_BYTES[tag >> TIME_SHIFT] + ARRIVAL_BYTES[tag >> ARRIVAL_SHIFT & 3] +
                 NUMBER_BYTES[tag >> NUMBER_SHIFT & NUMBER_MASK];
}

static void pass_aggregate(struct input *input, unsigned shape, unsigned tag)
{
    pass_one(input, tag);
    if (shape == SHAPE_WEIGHTED)
        pass_count(input);
    else if (shape == SHAPE_MANY)
        pass_many(input);
}

/* A cell of SHAPE_MORE after its place. */
static bool pass_more(struct record *record, const struct chunk_reader *reader)
{
    struct input *input = &record->input;
    unsigned flags = (unsigned)get_word(input, 1) & 0xff;

    if ((flags & SHAPE_MASK) != SHAPE_EMPTY)
        pass_aggregate(input, flags & SHAPE_MASK, record->tag);
    if ((flags & MORE_BYTES) != 0)
        record->sketch_bytes = get_varint(input);
    return input->ok && record->sketch_bytes <= reader->end;
}

/* Past the next cell. Whether it is sound is found out by who reads it. */
static inline bool pass_cell(struct record *record, struct chunk_reader *reader)
{
    struct input *input = &record->input;
    unsigned shape = record->tag & SHAPE_MASK;

    if (shape == SHAPE_ONE)
        pass_one(input, record->tag);
    else if (shape == SHAPE_MORE)
        input->ok = pass_more(record, reader);
    else
        pass_aggregate(input, shape, record->tag);
    return input->ok &&
           move_on(reader, record, (size_t)(input->at - record->start) + record->sketch_bytes);
}

/* Whether the cell at a restart is at or before the target; what cannot be read is not. */
static bool is_restart_before(const struct chunk_reader *reader, uint32_t restart,
                              chunk_place target)
{
    struct record record;
    size_t at = restart_at(reader, restart);

    if (at <= reader->at || at >= reader->end)
        return false;
    record_open(&record, reader, at);
    return get_place(&record, reader, true) && place_number(&record.place) <= target;
}

/* To the last restart that is not after the target, if that is forwards. Mostly there is none. */
static void jump(struct chunk_reader *reader, chunk_place target)
{
    uint32_t here = reader->index / CELLS_PER_RESTART;
    uint32_t high = (reader->count - 1) / CELLS_PER_RESTART;

    if (here >= high || !is_restart_before(reader, here + 1, target))
        return;
    uint32_t low = here + 1;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (is_restart_before(reader, middle, target))
            low = middle;
        else
            high = middle - 1;
    }
    reader->at = restart_at(reader, low);
    reader->index = low * CELLS_PER_RESTART;
}

bool chunk_reader_seek(struct chunk_reader *reader, uint32_t id, int64_t minute, bool *corrupt)
{
    chunk_place target = chunk_place_of(id, minute);
    struct record record;

    if (reader->index < reader->count)
        jump(reader, target);
    while (!is_over(reader, corrupt)) {
        *corrupt = !open_next(&record, reader);
        if (*corrupt)
            return false;
        if (place_number(&record.place) >= target)
            return true;
        *corrupt = !pass_cell(&record, reader);
        if (*corrupt)
            return false;
    }
    return false;
}

/* --- moving chunks: places without the values ---------------------------------------------------
 */

/* Past the next cell, which there is. */
static inline bool pass_next(struct chunk_reader *reader)
{
    struct record record;

    return open_next(&record, reader) && pass_cell(&record, reader);
}

bool chunk_reader_last(const struct chunk_reader *reader, chunk_place end, uint32_t *id,
                       int64_t *minute)
{
    struct chunk_reader rest = *reader;
    uint32_t restart = (reader->count - 1) / CELLS_PER_RESTART;

    if (rest.index / CELLS_PER_RESTART < restart) {
        if (!is_restart_before(&rest, restart, end))
            return false;
        rest.at = restart_at(&rest, restart);
        rest.index = restart * CELLS_PER_RESTART;
    }
    while (rest.index < rest.count) {
        if (!pass_next(&rest))
            return false;
    }
    *id = rest.id;
    *minute = minute_of(&rest);
    return rest.at == rest.end && chunk_reader_place(&rest) < end;
}

bool chunk_reader_minutes(const struct chunk_reader *reader, int64_t *min, int64_t *max)
{
    struct chunk_reader rest = *reader;

    *min = *max = minute_of(&rest);
    while (rest.index < rest.count) {
        if (!pass_next(&rest))
            return false;
        int64_t minute = minute_of(&rest);
        *min = minute < *min ? minute : *min;
        *max = minute > *max ? minute : *max;
    }
    return rest.at == rest.end;
}
