#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "series/random.h"
#include "series/sample.h"
#include "store/block_private.h"
#include "test.h"

/* 2026-10-12T00:00Z and the block of a partition that begins there. */
static const int64_t ORIGIN = 29863440;
static const struct block_form DROP_ARRIVALS = {false, 0};
static const struct block_form KEEP_ARRIVALS = {true, 0};
static const struct block_frame FRAME = {29863440, MS_PER_MINUTE, 7};

/* Points that a test makes, and room for what comes back. */
struct fixture {
    struct arena arena;
    struct buf bytes;
    struct block_points points; /* room for BLOCK_POINTS_MAX */
    uint64_t seed;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.seed = 42};
    fixture.points.points = calloc(BLOCK_POINTS_MAX + 1, sizeof *fixture.points.points);
    *state = &fixture;
    return fixture.points.points == NULL;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    free(fixture->points.points);
    buf_fini(&fixture->bytes);
    arena_fini(&fixture->arena);
    return 0;
}

static double random_double(uint64_t *seed)
{
    for (;;) {
        uint64_t bits = random_next(seed);
        double value = 0;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value))
            return value;
    }
}

static wall_ms start_of(int64_t bucket)
{
    return bucket * MS_PER_MINUTE;
}

static struct block_point *next_point(struct fixture *fixture, int64_t bucket)
{
    struct block_point *point = &fixture->points.points[fixture->points.count++];
    *point = (struct block_point){.bucket = bucket};
    return point;
}

static void one_sample(struct fixture *fixture, int64_t bucket, double value)
{
    aggregate_add(&next_point(fixture, bucket)->aggregate, value, WEIGHT_ONE, start_of(bucket),
                  (uint64_t)start_of(bucket) * 1000 + 77);
}

static void assert_same_point(const struct block_point *a, const struct block_point *b)
{
    assert_int_equal(a->bucket, b->bucket);
    assert_memory_equal(&a->aggregate, &b->aggregate, sizeof a->aggregate);
    assert_int_equal(a->sketch.len, b->sketch.len);
    if (a->sketch.len > 0)
        assert_memory_equal(a->sketch.text, b->sketch.text, a->sketch.len);
}

static size_t encode(struct fixture *fixture, bool keep_arrivals)
{
    buf_clear(&fixture->bytes);
    arena_reset(&fixture->arena);
    assert_int_equal(block_encode(&FRAME, &fixture->points,
                                  keep_arrivals ? &KEEP_ARRIVALS : &DROP_ARRIVALS, &fixture->arena,
                                  &fixture->bytes),
                     fixture->points.count);
    return fixture->bytes.len;
}

/* Encodes and decodes with arrivals and without; returns the bytes it takes without. */
static size_t check_round_trip(struct fixture *fixture)
{
    struct block_points decoded;

    (void)encode(fixture, true);
    assert_true(block_decode(&FRAME, buf_view(&fixture->bytes), &fixture->arena, &decoded));
    assert_int_equal(decoded.count, fixture->points.count);
    for (size_t i = 0; i < decoded.count; i++)
        assert_same_point(&decoded.points[i], &fixture->points.points[i]);

    size_t size = encode(fixture, false);
    assert_true(block_decode(&FRAME, buf_view(&fixture->bytes), &fixture->arena, &decoded));
    assert_int_equal(decoded.count, fixture->points.count);
    for (size_t i = 0; i < decoded.count; i++) {
        struct block_point expected = fixture->points.points[i];
        expected.aggregate.first_arrival = 0;
        expected.aggregate.last_arrival = 0;
        assert_same_point(&decoded.points[i], &expected);
    }
    return size;
}

/* --- what it takes -----------------------------------------------------------------------------
 */

static void nine_different_counts_take_little_more_than_their_entropy(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 240; i++)
        one_sample(fixture, ORIGIN + i, (double)(1 + random_below(&fixture->seed, 9)));
    /* log2(9) = 3.17 bits a point are 95.1 bytes. */
    assert_in_range(check_round_trip(fixture), 95, 95 + 15);
}

static void two_decimals_take_their_entropy(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 240; i++)
        one_sample(fixture, ORIGIN + i, (double)(1 + random_below(&fixture->seed, 999999)) / 100);
    /* 19.93 bits a point are 597.9 bytes. */
    assert_in_range(check_round_trip(fixture), 595, 600 + 19);
}

static void a_constant_costs_nothing_a_point(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 1440; i++)
        one_sample(fixture, ORIGIN + i, 21.5);
    assert_in_range(check_round_trip(fixture), 8, 20);
}

static void a_steady_climb_costs_nothing_a_point(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 1440; i++)
        one_sample(fixture, ORIGIN + i, 1e9 + i * 17);
    assert_in_range(check_round_trip(fixture), 8, 24);
}

static void increments_by_one_cost_their_counts_only(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 240; i++) {
        struct aggregate *aggregate = &next_point(fixture, ORIGIN + i)->aggregate;
        uint64_t samples = 2 + random_below(&fixture->seed, 16);
        for (uint64_t j = 0; j < samples; j++)
            aggregate_add(aggregate, 1, WEIGHT_ONE,
                          start_of(ORIGIN + i) + (wall_ms)(j * 60000 / samples),
                          (uint64_t)i * 1000 + j);
    }
    /* Four bits a count, and the times of the last, which depend on it. */
    assert_in_range(check_round_trip(fixture), 120, 120 + 25 + 480);
}

static void one_outlier_does_not_widen_all(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 240; i++)
        one_sample(fixture, ORIGIN + i, (double)random_below(&fixture->seed, 4));
    size_t without = check_round_trip(fixture);
    fixture->points.points[100].aggregate = (struct aggregate)AGGREGATE_EMPTY;
    aggregate_add(&fixture->points.points[100].aggregate, 1e12, WEIGHT_ONE, start_of(ORIGIN + 100),
                  5);
    assert_in_range(check_round_trip(fixture), without, without + 20);
}

static void one_gap_costs_few_bytes(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 240; i++)
        one_sample(fixture, ORIGIN + i + (i > 90 ? 13 : 0), 1);
    assert_in_range(check_round_trip(fixture), 8, 40);
}

/* --- round trips -------------------------------------------------------------------------------
 */

static void single_points_read_back(void **state)
{
    static const double values[] = {0,
                                    1,
                                    -1,
                                    0.1,
                                    -2.25,
                                    1e-300,
                                    1e15,
                                    1e16,
                                    5e-324,
                                    DBL_MIN,
                                    DBL_MAX,
                                    -DBL_MAX,
                                    1e22,
                                    1e23,
                                    9007199254740991.0,
                                    9007199254740993.0,
                                    1.0 / 3};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < TEST_COUNT(values); i++) {
        fixture->points.count = 0;
        one_sample(fixture, ORIGIN, values[i]);
        assert_in_range(check_round_trip(fixture), 8, 32);
    }
}

static void the_most_points_read_back_and_one_more_is_refused(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < BLOCK_POINTS_MAX; i++)
        one_sample(fixture, ORIGIN + i, random_double(&fixture->seed));
    (void)check_round_trip(fixture);

    one_sample(fixture, ORIGIN + BLOCK_POINTS_MAX, 1);
    size_t before = fixture->bytes.len;
    assert_int_equal(
        block_encode(&FRAME, &fixture->points, &DROP_ARRIVALS, &fixture->arena, &fixture->bytes),
        0);
    assert_int_equal(fixture->bytes.len, before);
}

static void buckets_from_end_to_end_read_back(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t buckets[] = {INT64_MIN, INT64_MIN + 1, -5,       0, 1,
                                      77,        INT64_MAX - 1, INT64_MAX};
    for (size_t i = 0; i < TEST_COUNT(buckets); i++)
        aggregate_add(&next_point(fixture, buckets[i])->aggregate, (double)i, WEIGHT_ONE,
                      (wall_ms)random_next(&fixture->seed), random_next(&fixture->seed));
    (void)check_round_trip(fixture);
    fixture->points.points += 6; /* and from the far end alone */
    fixture->points.count = 2;
    (void)check_round_trip(fixture);
    fixture->points.points -= 6;
}

static void numbers_that_no_sample_makes_read_back(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 20; i++) {
        struct aggregate *aggregate = &next_point(fixture, ORIGIN + i)->aggregate;
        *aggregate = (struct aggregate){.count = 3,
                                        .sum = -0.0,
                                        .sum_low = i % 2 == 0 ? -0.0 : 0.0,
                                        .min = -0.0,
                                        .max = i % 3 == 0 ? -0.0 : 5e-324,
                                        .first = 0.0,
                                        .last = -0.0,
                                        .first_at = INT64_MIN,
                                        .first_arrival = UINT64_MAX,
                                        .last_at = INT64_MAX,
                                        .last_arrival = 0};
    }
    (void)check_round_trip(fixture);
    (void)next_point(fixture, ORIGIN + 20); /* empty */
    (void)check_round_trip(fixture);
}

/* What values of a series look like. */
enum shape {
    SHAPE_SMALL,     /* whole, few */
    SHAPE_DECIMAL,   /* two decimals */
    SHAPE_WALK,      /* near the one before */
    SHAPE_EQUAL,     /* always the same, no short decimal */
    SHAPE_NARROW,    /* doubles between 1 and 2 */
    SHAPE_ANY,       /* all doubles */
    SHAPE_SUBNORMAL, /* next to zero */
    SHAPE_SPARSE,    /* nearly always 0 */
    SHAPE_SIGNED,    /* around zero */
    SHAPE_HUGE,      /* sums become too large */
    SHAPE_COUNT,
};

static double value_of(enum shape shape, double before, uint64_t *seed)
{
    switch (shape) {
    case SHAPE_SMALL:
        return (double)random_below(seed, 10);
    case SHAPE_DECIMAL:
        return (double)random_below(seed, 1000000) / 100;
    case SHAPE_WALK:
        return before + ((double)random_below(seed, 21) - 10) / 8;
    case SHAPE_EQUAL:
        return 1.0 / 3;
    case SHAPE_NARROW:
        return 1 + (double)(random_next(seed) >> 11) * 0x1p-53;
    case SHAPE_SUBNORMAL:
        return (double)random_below(seed, 1000) * 5e-324;
    case SHAPE_SPARSE:
        return random_below(seed, 50) == 0 ? (double)random_below(seed, 100000) : 0;
    case SHAPE_SIGNED:
        return ((double)random_below(seed, 2001) - 1000) / 1000;
    case SHAPE_HUGE:
        return DBL_MAX / (double)(1 + random_below(seed, 3));
    default:
        return random_double(seed);
    }
}

struct series_shape {
    enum shape shape;
    uint64_t samples_max; /* in a bucket */
    uint64_t skip;        /* one of so many buckets is left out; 0: none is */
    bool has_weights;
    bool has_sketches;
    bool is_on_time; /* samples at the start of the minute only */
};

static uint64_t weight_of(const struct series_shape *shape, uint64_t *seed)
{
    if (!shape->has_weights)
        return WEIGHT_ONE;
    switch (random_below(seed, 4)) {
    case 0:
        return 1 + random_below(seed, 100);
    case 1:
        return WEIGHT_ONE * 1000;
    case 2:
        return UINT64_MAX / (1 + random_below(seed, 5));
    default:
        return WEIGHT_ONE / 3;
    }
}

static void fill(struct fixture *fixture, const struct series_shape *shape, size_t count)
{
    static const char sketch[] = "any bytes: \0\x01\x02 what they are is not the codec's business";
    uint64_t *seed = &fixture->seed;
    double before = 100;
    int64_t bucket = ORIGIN - 1;

    fixture->points.count = 0;
    while (fixture->points.count < count) {
        bucket++;
        if (shape->skip > 0 && random_below(seed, shape->skip) == 0)
            bucket += (int64_t)random_below(seed, 100);
        struct block_point *point = next_point(fixture, bucket);
        uint64_t samples = 1 + random_below(seed, shape->samples_max);
        for (uint64_t i = 0; i < samples; i++) {
            wall_ms at = start_of(bucket) +
                         (shape->is_on_time ? 0 : (wall_ms)random_below(seed, MS_PER_MINUTE));
            before = value_of(shape->shape, before, seed);
            aggregate_add(&point->aggregate, before, weight_of(shape, seed), at,
                          (uint64_t)at * 1000 + random_below(seed, 5000));
        }
        if (shape->has_sketches && random_below(seed, 3) > 0)
            point->sketch = (struct str){sketch, random_below(seed, sizeof sketch)};
    }
}

static struct series_shape random_shape(uint64_t *seed)
{
    static const uint64_t samples_max[] = {1, 2, 60};
    return (struct series_shape){.shape = (enum shape)random_below(seed, SHAPE_COUNT),
                                 .samples_max = samples_max[random_below(seed, 3)],
                                 .skip = random_below(seed, 2) * 7,
                                 .has_weights = random_below(seed, 4) == 0,
                                 .has_sketches = random_below(seed, 4) == 0,
                                 .is_on_time = random_below(seed, 2) == 0};
}

static void every_series_reads_back(void **state)
{
    struct fixture *fixture = *state;
    for (int round = 0; round < 600; round++) {
        struct series_shape shape = random_shape(&fixture->seed);
        fill(fixture, &shape, 1 + random_below(&fixture->seed, round % 20 == 0 ? 1500 : 60));
        (void)check_round_trip(fixture);
    }
}

/* Sound, but nothing that adding samples makes: sums have nothing to do with the values. */
static void every_sound_aggregate_reads_back(void **state)
{
    struct fixture *fixture = *state;
    uint64_t *seed = &fixture->seed;
    for (int round = 0; round < 300; round++) {
        uint64_t count = 1 + random_below(seed, 40);
        fixture->points.count = 0;
        for (uint64_t i = 0; i < count; i++) {
            struct aggregate *aggregate = &next_point(fixture, (int64_t)(i * i))->aggregate;
            double a = value_of((enum shape)(round % SHAPE_COUNT), 1, seed);
            double b = value_of((enum shape)(round % SHAPE_COUNT), 1, seed);
            int64_t at = (int64_t)random_next(seed);
            *aggregate = (struct aggregate){.count = random_next(seed),
                                            .sum = random_double(seed),
                                            .min = a < b ? a : b,
                                            .max = a < b ? b : a,
                                            .first = a,
                                            .last = random_below(seed, 2) == 0 ? a : b,
                                            .first_at = at,
                                            .last_at = at > 0 ? INT64_MAX : at,
                                            .first_arrival = 5,
                                            .last_arrival = UINT64_MAX};
            aggregate->sum_low = aggregate->sum * 0x1p-60;
        }
        (void)check_round_trip(fixture);
    }
}

static void sketches_come_back_where_they_were(void **state)
{
    struct fixture *fixture = *state;
    static char large[20000];
    memset(large, 'x', sizeof large);
    for (int i = 0; i < 5; i++)
        one_sample(fixture, ORIGIN + i, 0);
    fixture->points.points[1].sketch = STR("one");
    fixture->points.points[4].sketch = (struct str){large, sizeof large};
    assert_in_range(check_round_trip(fixture), sizeof large, sizeof large + 50);
}

static void a_limit_cuts_a_series_into_blocks_that_fill_it(void **state)
{
    struct fixture *fixture = *state;
    const struct block_form form = {false, 2000};
    struct series_shape shape = {.shape = SHAPE_DECIMAL, .samples_max = 60};
    fill(fixture, &shape, 720);
    struct block_points left = fixture->points;
    while (left.count > 0) {
        struct block_points decoded;
        buf_clear(&fixture->bytes);
        buf_text(&fixture->bytes, "what is there already stays");
        size_t before = fixture->bytes.len;
        size_t taken = block_encode(&FRAME, &left, &form, &fixture->arena, &fixture->bytes);
        struct str block = {fixture->bytes.bytes + before, fixture->bytes.len - before};
        assert_memory_equal(fixture->bytes.bytes, "what is there already stays", before);
        assert_in_range(taken, 1, left.count);
        assert_in_range(block.len, taken < left.count ? 1800 : 1, 2000);
        assert_true(block_decode(&FRAME, block, &fixture->arena, &decoded));
        assert_int_equal(decoded.count, taken);
        assert_int_equal(decoded.points[0].bucket, left.points[0].bucket);
        left = (struct block_points){left.points + taken, left.count - taken};
    }
    const struct block_form tiny = {false, 1};
    assert_int_equal(
        block_encode(&FRAME, &fixture->points, &tiny, &fixture->arena, &fixture->bytes), 1);
}

/* --- merging -----------------------------------------------------------------------------------
 */

static void merging_a_range_is_merging_its_points(void **state)
{
    struct fixture *fixture = *state;
    for (int round = 0; round < 50; round++) {
        struct series_shape shape = random_shape(&fixture->seed);
        fill(fixture, &shape, 100);
        int64_t from = ORIGIN + (int64_t)random_below(&fixture->seed, 120) - 10;
        const int64_t range[2] = {from, from + (int64_t)random_below(&fixture->seed, 100)};
        struct aggregate expected = AGGREGATE_EMPTY;
        struct aggregate merged = AGGREGATE_EMPTY;
        for (size_t i = 0; i < 100; i++) {
            const struct block_point *point = &fixture->points.points[i];
            if (point->bucket >= range[0] && point->bucket < range[1])
                aggregate_merge(&expected, &point->aggregate);
        }
        (void)encode(fixture, true);
        assert_true(
            block_merge(&FRAME, buf_view(&fixture->bytes), range, &fixture->arena, &merged));
        assert_memory_equal(&merged, &expected, sizeof merged);
    }
}

/* FIG-32 with arrivals dropped: what came after the block was sealed wins the last, loses the
 * first. */
static void what_arrives_after_sealing_is_the_last_of_a_tie(void **state)
{
    struct fixture *fixture = *state;
    const int64_t range[2] = {ORIGIN, ORIGIN + 1};
    wall_ms at = start_of(ORIGIN) + 5000;
    struct aggregate late = AGGREGATE_EMPTY;
    aggregate_add(&late, 3, WEIGHT_ONE, at, 1);
    aggregate_add(&next_point(fixture, ORIGIN)->aggregate, 7, WEIGHT_ONE, at, 99);
    (void)encode(fixture, false);

    struct aggregate sealed_first = AGGREGATE_EMPTY;
    struct aggregate late_first = late;
    assert_true(
        block_merge(&FRAME, buf_view(&fixture->bytes), range, &fixture->arena, &sealed_first));
    aggregate_merge(&sealed_first, &late);
    assert_true(
        block_merge(&FRAME, buf_view(&fixture->bytes), range, &fixture->arena, &late_first));
    assert_memory_equal(&sealed_first, &late_first, sizeof sealed_first);
    assert_true(sealed_first.first == 7);
    assert_true(sealed_first.last == 3);
}

/* --- what is refused ---------------------------------------------------------------------------
 */

static bool is_refused(struct fixture *fixture, struct str bytes)
{
    struct block_points decoded;
    bool ok = block_decode(&FRAME, bytes, &fixture->arena, &decoded);
    assert_true(ok || (decoded.points == NULL && decoded.count == 0));
    return !ok;
}

static void points_that_are_none_are_refused(void **state)
{
    static const struct aggregate unsound[] = {
        {.count = 1, .sum = NAN},         {.count = 1, .sum_low = 1},
        {.count = 1, .max = INFINITY},    {.count = 1, .min = NAN},
        {.count = 1, .first = 1},         {.count = 1, .first = -1},
        {.count = 1, .last = 1},          {.count = 1, .last = -1},
        {.count = 1, .max = -1},          {.count = 1, .first_at = 1},
        {.count = 1, .first_arrival = 1}, {.count = 1, .sum = -INFINITY, .min = -INFINITY},
    };
    struct fixture *fixture = *state;

    assert_int_equal(
        block_encode(&FRAME, &fixture->points, &DROP_ARRIVALS, &fixture->arena, &fixture->bytes),
        0);
    for (size_t i = 0; i < TEST_COUNT(unsound); i++) {
        fixture->points.count = 0;
        one_sample(fixture, ORIGIN, 1);
        next_point(fixture, ORIGIN + 1)->aggregate = unsound[i];
        assert_int_equal(block_encode(&FRAME, &fixture->points, &KEEP_ARRIVALS, &fixture->arena,
                                      &fixture->bytes),
                         0);
    }
    fixture->points.count = 0;
    one_sample(fixture, ORIGIN, 1);
    one_sample(fixture, ORIGIN, 1);
    assert_int_equal(
        block_encode(&FRAME, &fixture->points, &DROP_ARRIVALS, &fixture->arena, &fixture->bytes),
        0);
    assert_int_equal(fixture->bytes.len, 0);
}

static void every_truncation_and_every_wrong_byte_is_refused(void **state)
{
    struct fixture *fixture = *state;
    for (int round = 0; round < 12; round++) {
        struct series_shape shape = random_shape(&fixture->seed);
        fill(fixture, &shape, 20);
        size_t len = encode(fixture, round % 2 == 0);
        char *bytes = memcpy(malloc(len), fixture->bytes.bytes, len);
        for (size_t i = 0; i < len; i++) {
            /* A copy of its own, so that a read past the end is seen. */
            char *part = memcpy(malloc(i + 1), bytes, i);
            assert_true(is_refused(fixture, (struct str){part, i}));
            free(part);
            bytes[i] = (char)(bytes[i] ^ (1 << random_below(&fixture->seed, 8)));
            assert_true(is_refused(fixture, (struct str){bytes, len}));
            bytes[i] = fixture->bytes.bytes[i];
        }
        buf_u8(&fixture->bytes, 0);
        assert_true(is_refused(fixture, buf_view(&fixture->bytes)));
        free(bytes);
        arena_reset(&fixture->arena);
    }
}

/* The checksum is right, as if somebody had made the block: what is read is what could be written.
 */
static void a_made_up_block_is_refused_or_read_as_sound_points(void **state)
{
    struct fixture *fixture = *state;
    size_t read = 0;
    for (int round = 0; round < 3000; round++) {
        struct series_shape shape = random_shape(&fixture->seed);
        fill(fixture, &shape, 1 + random_below(&fixture->seed, 30));
        size_t len = encode(fixture, round % 2 == 0) - BLOCK_CHECKSUM_BYTES;
        uint64_t changes = 1 + random_below(&fixture->seed, 3);
        for (uint64_t i = 0; i < changes; i++) {
            size_t bit = 8 + random_below(&fixture->seed, (len - 1) * 8);
            fixture->bytes.bytes[bit / 8] = (char)(fixture->bytes.bytes[bit / 8] ^ (1 << bit % 8));
        }
        fixture->bytes.len = len;
        buf_u32(&fixture->bytes, block_checksum(&FRAME, buf_view(&fixture->bytes)));

        struct block_points decoded;
        struct block_points again;
        struct buf bytes = BUF_EMPTY;
        struct arena arena = ARENA_EMPTY;
        if (block_decode(&FRAME, buf_view(&fixture->bytes), &arena, &decoded)) {
            read++;
            assert_int_equal(block_encode(&FRAME, &decoded, &KEEP_ARRIVALS, &arena, &bytes),
                             decoded.count);
            assert_true(block_decode(&FRAME, buf_view(&bytes), &arena, &again));
            assert_int_equal(again.count, decoded.count);
            for (size_t i = 0; i < again.count; i++)
                assert_same_point(&again.points[i], &decoded.points[i]);
        }
        buf_fini(&bytes);
        arena_fini(&arena);
    }
    assert_in_range(read, 100, 2900);
}

/* A block of two plain points, made by hand, so that each part of it can be wrong. */
struct made {
    uint8_t version;
    uint64_t count_less_one;
    unsigned flags;
    int64_t offset;
    uint64_t gap;
    uint64_t shapes[2];
    unsigned scale;
    int64_t values[2];
    uint64_t sketch_sizes[2];
    unsigned padding;
    const char *sketches;
};

static const struct made SOUND = {
    .version = 1,
    .count_less_one = 1,
    .flags = BLOCK_SKETCHES | BLOCK_UNIT_COUNTS | BLOCK_SOME_PLAIN,
    .gap = 3,
    .scale = 2,
    .values = {150, 175},
    .sketch_sizes = {2, 1},
    .sketches = "abc",
};

static bool is_read(struct fixture *fixture, const struct made *made)
{
    struct column_work work = column_work_of(&fixture->arena, 2);
    struct bit_writer writer = bits_writer_of(&fixture->bytes);
    const uint64_t times[2] = {0, 0};
    const uint64_t values[2] = {(uint64_t)made->values[0], (uint64_t)made->values[1]};

    buf_clear(&fixture->bytes);
    buf_u8(&fixture->bytes, made->version);
    bits_put_number(&writer, made->count_less_one);
    bits_put(&writer, made->flags, BLOCK_FLAG_BITS);
    bits_put_signed(&writer, made->offset);
    column_put(&writer, &made->gap, 1, &work);
    if ((made->flags & BLOCK_SOME_NOT) != 0)
        column_put(&writer, made->shapes, 2, &work);
    column_put(&writer, times, 2, &work);
    bits_put(&writer, made->scale, BLOCK_SCALE_BITS);
    column_put(&writer, values, 2, &work);
    column_put(&writer, made->sketch_sizes, 2, &work);
    if (made->padding > 0)
        bits_put(&writer, made->padding, 2);
    bits_finish(&writer);
    buf_text(&fixture->bytes, made->sketches);
    buf_u32(&fixture->bytes, block_checksum(&FRAME, buf_view(&fixture->bytes)));
    return !is_refused(fixture, buf_view(&fixture->bytes));
}

static void every_part_of_a_block_is_checked(void **state)
{
    struct fixture *fixture = *state;
    assert_true(is_read(fixture, &SOUND));

    struct made wrong[20];
    for (size_t i = 0; i < TEST_COUNT(wrong); i++)
        wrong[i] = SOUND;
    size_t count = 0;
    wrong[count++].version = 2;
    wrong[count++].count_less_one = 0;
    wrong[count++].count_less_one = 2;
    wrong[count++].count_less_one = BLOCK_POINTS_MAX;
    wrong[count++].count_less_one = UINT64_MAX;
    wrong[count++].flags &= ~(unsigned)BLOCK_SOME_PLAIN;
    wrong[count].flags |= BLOCK_SOME_NOT;
    wrong[count++].shapes[1] = 2;
    wrong[count++].flags |= BLOCK_SOME_NOT; /* but all are plain */
    wrong[count++].gap = UINT64_MAX;
    wrong[count++].gap = INT64_MAX - (uint64_t)ORIGIN;
    wrong[count].offset = INT64_MAX - ORIGIN;
    wrong[count++].gap = 0;
    wrong[count++].scale = SCALE_DECIMAL_MAX + 1;
    wrong[count++].values[1] = (INT64_C(1) << 53) + 1;
    wrong[count++].values[0] = INT64_MIN;
    wrong[count].sketch_sizes[0] = UINT64_MAX - 1;
    wrong[count++].sketch_sizes[1] = 5; /* three in all, modulo 2^64 */
    wrong[count++].sketch_sizes[1] = 2;
    wrong[count++].sketches = "abcd";
    wrong[count++].padding = 3;
    for (size_t i = 0; i < count; i++) {
        if (is_read(fixture, &wrong[i]))
            fail_msg("wrong block %zu is read", i);
    }
    struct made farthest = SOUND; /* the last bucket that there is */
    farthest.gap = INT64_MAX - (uint64_t)ORIGIN - 1;
    assert_true(is_read(fixture, &farthest));
}

static void another_frame_is_refused(void **state)
{
    static const struct block_frame others[] = {{29863441, MS_PER_MINUTE, 7},
                                                {29863440, MS_PER_MINUTE * 15, 7},
                                                {29863440, MS_PER_MINUTE, 8}};
    struct fixture *fixture = *state;
    struct block_points decoded;
    struct aggregate merged = {.count = 5};
    const int64_t range[2] = {INT64_MIN, INT64_MAX};

    one_sample(fixture, ORIGIN, 1);
    (void)encode(fixture, false);
    for (size_t i = 0; i < TEST_COUNT(others); i++) {
        assert_false(
            block_decode(&others[i], buf_view(&fixture->bytes), &fixture->arena, &decoded));
        assert_false(
            block_merge(&others[i], buf_view(&fixture->bytes), range, &fixture->arena, &merged));
        assert_int_equal(merged.count, 5);
    }
}

/* --- columns -----------------------------------------------------------------------------------
 */

static void check_column(struct fixture *fixture, const uint64_t *values, size_t count)
{
    uint64_t *out = arena_array(&fixture->arena, count, sizeof *out);
    struct column_work work = column_work_of(&fixture->arena, count);
    struct bit_writer writer = bits_writer_of(&fixture->bytes);

    buf_clear(&fixture->bytes);
    column_put(&writer, values, count, &work);
    column_put_xor(&writer, values, count);
    size_t bits = fixture->bytes.len * 8 + writer.used;
    assert_int_equal(bits, column_bits(values, count, &work) + column_xor_bits(values, count));
    bits_finish(&writer);

    struct bit_reader reader = bits_reader_of(buf_view(&fixture->bytes));
    column_get(&reader, out, count, &work);
    assert_true(reader.ok);
    assert_memory_equal(out, values, count * sizeof *out);
    column_get_xor(&reader, out, count);
    assert_true(reader.ok);
    assert_memory_equal(out, values, count * sizeof *out);
    assert_int_equal(reader.at, bits);
    assert_int_equal(bits_rest(&reader).len, 0);
    arena_reset(&fixture->arena);
}

static void columns_of_every_range_read_back(void **state)
{
    static const uint64_t ranges[] = {1,
                                      2,
                                      3,
                                      7,
                                      9,
                                      10,
                                      255,
                                      256,
                                      257,
                                      999999,
                                      65535,
                                      65537,
                                      UINT32_MAX,
                                      UINT64_C(1) << 32,
                                      (UINT64_C(1) << 32) + 1,
                                      UINT64_C(1) << 62,
                                      UINT64_C(1) << 63,
                                      UINT64_MAX};
    static const uint64_t bases[] = {0, 1, UINT64_MAX, UINT64_C(1) << 63,
                                     UINT64_C(0x7fffffffffffffff)};
    static const uint64_t steps[] = {1, 2, 60000, UINT64_C(1) << 40};
    struct fixture *fixture = *state;
    uint64_t values[70];

    for (size_t i = 0; i < TEST_COUNT(ranges) * TEST_COUNT(bases) * TEST_COUNT(steps); i++) {
        uint64_t range = ranges[i % TEST_COUNT(ranges)];
        uint64_t base = bases[i / TEST_COUNT(ranges) % TEST_COUNT(bases)];
        uint64_t step = steps[i / TEST_COUNT(ranges) / TEST_COUNT(bases)];
        size_t count = 1 + random_below(&fixture->seed, TEST_COUNT(values));
        for (size_t j = 0; j < count; j++)
            values[j] = base + random_below(&fixture->seed, range) * step;
        check_column(fixture, values, count);
        values[count / 2] = random_next(&fixture->seed); /* with an exception */
        check_column(fixture, values, count);
        for (size_t j = 1; j < count; j++) /* and as differences */
            values[j] += values[j - 1];
        check_column(fixture, values, count);
    }
}

static void a_group_beyond_its_base_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct column_work work = column_work_of(&fixture->arena, 5);
    uint64_t out[5];
    for (uint64_t last = 2; last <= 3; last++) {
        struct bit_writer writer = bits_writer_of(&fixture->bytes);
        buf_clear(&fixture->bytes);
        bits_put(&writer, 2, 3); /* values */
        bits_put(&writer, 0, 1); /* no step */
        bits_put_signed(&writer, 0);
        bits_put_number(&writer, 2);                      /* base 3 */
        bits_put(&writer, 1 + 3 * (2 + 9 * 3 * last), 8); /* 1, 2, 0, 0, last: at most 3^5 - 1 */
        bits_finish(&writer);
        struct bit_reader reader = bits_reader_of(buf_view(&fixture->bytes));
        column_get(&reader, out, 5, &work);
        assert_int_equal(reader.ok, last == 2);
        assert_int_equal(out[1], 2);
    }
}

static void the_smallest_of_equal_columns_is_chosen(void **state)
{
    struct fixture *fixture = *state;
    static const uint64_t wide[] = {5, 900, 17, 80000};
    static const uint64_t narrow[] = {1, 1, 1, 1};
    const uint64_t *candidates[] = {wide, wide, narrow, wide};
    struct column_work work = column_work_of(&fixture->arena, 4);
    struct bit_writer writer = bits_writer_of(&fixture->bytes);
    uint64_t out[4];

    column_put_best(&writer, candidates, 4, 4, &work);
    bits_finish(&writer);
    struct bit_reader reader = bits_reader_of(buf_view(&fixture->bytes));
    assert_int_equal(bits_get(&reader, 2), 2);
    column_get(&reader, out, 4, &work);
    assert_memory_equal(out, narrow, sizeof out);
}

/* The stored form, so that it cannot change by accident: version 1. */
static void the_bytes_are_as_the_header_says(void **state)
{
    static const unsigned char plain[] = {0x01, 0x02, 0x0e, 0x40, 0x28, 0xa1, 0xc2,
                                          0x07, 0xd2, 0x99, 0xa1, 0x63, 0xb7};
    static const unsigned char mixed[] = {
        0x01, 0xc1, 0x0c, 0x44, 0x20, 0x40, 0xe0, 0x24, 0x00, 0x00, 0x26, 0x00, 0x00, 0x80,
        0x10, 0xca, 0x40, 0x9c, 0x7e, 0x13, 0x06, 0xf4, 0x12, 0x43, 0x8a, 0x21, 0xc5, 0x90,
        0xa0, 0x29, 0x14, 0x80, 0x01, 0x06, 0x00, 0x75, 0x76, 0x1e, 0xf5, 0x2f, 0x45};
    const struct block_frame frame = {100, MS_PER_MINUTE, 0};
    struct fixture *fixture = *state;

    for (int i = 0; i < 3; i++)
        aggregate_add(&next_point(fixture, 100 + i)->aggregate, 1.5 + i * i, WEIGHT_ONE,
                      start_of(100 + i), 1);
    assert_int_equal(
        block_encode(&frame, &fixture->points, &DROP_ARRIVALS, &fixture->arena, &fixture->bytes),
        fixture->points.count);
    assert_int_equal(fixture->bytes.len, sizeof plain);
    assert_memory_equal(fixture->bytes.bytes, plain, sizeof plain);

    fixture->points.count = 0;
    buf_clear(&fixture->bytes);
    for (int i = 0; i < 2; i++) {
        int64_t bucket = 100 + 2 * i;
        aggregate_add(&next_point(fixture, bucket)->aggregate, 0.25, WEIGHT_ONE,
                      start_of(bucket) + 5, (uint64_t)start_of(bucket) * 1000 + 9);
    }
    fixture->points.points[1].sketch = STR("uv");
    aggregate_add(&fixture->points.points[1].aggregate, 0.5, 2 * WEIGHT_ONE, start_of(102) + 7,
                  (uint64_t)start_of(102) * 1000 + 9000);
    assert_int_equal(
        block_encode(&frame, &fixture->points, &KEEP_ARRIVALS, &fixture->arena, &fixture->bytes),
        fixture->points.count);
    assert_int_equal(fixture->bytes.len, sizeof mixed);
    assert_memory_equal(fixture->bytes.bytes, mixed, sizeof mixed);
}

#define BLOCK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BLOCK_TEST(nine_different_counts_take_little_more_than_their_entropy),
        BLOCK_TEST(two_decimals_take_their_entropy),
        BLOCK_TEST(a_constant_costs_nothing_a_point),
        BLOCK_TEST(a_steady_climb_costs_nothing_a_point),
        BLOCK_TEST(increments_by_one_cost_their_counts_only),
        BLOCK_TEST(one_outlier_does_not_widen_all),
        BLOCK_TEST(one_gap_costs_few_bytes),
        BLOCK_TEST(single_points_read_back),
        BLOCK_TEST(the_most_points_read_back_and_one_more_is_refused),
        BLOCK_TEST(buckets_from_end_to_end_read_back),
        BLOCK_TEST(numbers_that_no_sample_makes_read_back),
        BLOCK_TEST(every_series_reads_back),
        BLOCK_TEST(every_sound_aggregate_reads_back),
        BLOCK_TEST(sketches_come_back_where_they_were),
        BLOCK_TEST(a_limit_cuts_a_series_into_blocks_that_fill_it),
        BLOCK_TEST(merging_a_range_is_merging_its_points),
        BLOCK_TEST(what_arrives_after_sealing_is_the_last_of_a_tie),
        BLOCK_TEST(points_that_are_none_are_refused),
        BLOCK_TEST(every_truncation_and_every_wrong_byte_is_refused),
        BLOCK_TEST(a_made_up_block_is_refused_or_read_as_sound_points),
        BLOCK_TEST(every_part_of_a_block_is_checked),
        BLOCK_TEST(another_frame_is_refused),
        BLOCK_TEST(columns_of_every_range_read_back),
        BLOCK_TEST(a_group_beyond_its_base_is_refused),
        BLOCK_TEST(the_smallest_of_equal_columns_is_chosen),
        BLOCK_TEST(the_bytes_are_as_the_header_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
