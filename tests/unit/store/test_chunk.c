#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/memory.h"
#include "series/bounded_test.h"
#include "store/chunk.h"
#include "test.h"

enum { SEED = 7, CHECKSUM = 4 };

#define MINUTE INT64_C(29000010) /* begins a quarter */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint64_t below(uint64_t *state, uint64_t limit)
{
    return next_random(state) % limit;
}

/* --- what is the same --- */

static void assert_same_cell(const struct cell *one, const struct cell *other)
{
    struct buf a = BUF_EMPTY;
    struct buf b = BUF_EMPTY;
    const struct aggregate *x = &one->aggregate;
    const struct aggregate *y = &other->aggregate;

    /* Bit by bit; and by the portable codec, which has the sketches. */
    assert_int_equal(x->count, y->count);
    if (x->count > 0)
        assert_memory_equal(x, y, sizeof *x);
    cell_encode(one, &a);
    cell_encode(other, &b);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.bytes, b.bytes, a.len);
    buf_fini(&a);
    buf_fini(&b);
}

/* --- cells of all sorts --- */

static double random_value(uint64_t *random)
{
    double sign = below(random, 4) == 0 ? -1 : 1;

    switch (below(random, 10)) {
    case 0:
        return 0;
    case 1:
        return sign * (double)(1 + below(random, 9));
    case 2:
        return sign * (double)below(random, 70000);
    case 3:
        return sign * (double)below(random, 10000000) / 100;
    case 4:
        return sign * (double)below(random, UINT64_C(3000000000)) / 1000;
    case 5:
        return sign * (double)(next_random(random) >> 20);
    case 6:
        return sign * DBL_MAX;
    case 7:
        return sign * DBL_TRUE_MIN * (double)(1 + below(random, 5));
    case 8:
        return sign * 0.1 * (double)below(random, 10000000);
    default:
        return sign * ldexp((double)(next_random(random) >> 11), (int)below(random, 200) - 150);
    }
}

static uint64_t random_arrival(wall_ms at, uint64_t *random)
{
    switch (below(random, 6)) {
    case 0:
        return 0;
    case 1:
        return next_random(random);
    case 2:
        return (uint64_t)at * 1000 + below(random, UINT64_C(1) << 33) - (UINT64_C(1) << 32);
    default:
        return (uint64_t)at * 1000 + below(random, 5000);
    }
}

static wall_ms random_time(int64_t minute, uint64_t *random)
{
    if (below(random, 10) == 0)
        return (wall_ms)(next_random(random) >> 1);
    return minute * MS_PER_MINUTE + (wall_ms)below(random, MS_PER_MINUTE);
}

static uint64_t random_weight(uint64_t *random)
{
    switch (below(random, 8)) {
    case 0:
        return WEIGHT_ONE * (1 + below(random, 100));
    case 1:
        return 1 + below(random, 1000000);
    case 2:
        return below(random, 20) == 0 ? UINT64_MAX - below(random, 2) : 1;
    default:
        return WEIGHT_ONE;
    }
}

static void random_cell(int64_t minute, uint64_t *random, struct cell *out)
{
    static const unsigned lengths[] = {1, 1, 1, 2, 3, 10};
    unsigned samples = lengths[below(random, TEST_COUNT(lengths))];
    uint64_t sort = below(random, 10);
    double value = random_value(random);
    char text[32];

    *out = (struct cell)CELL_EMPTY;
    for (unsigned i = 0; i < samples; i++) {
        wall_ms at = random_time(minute, random);
        uint64_t arrival = random_arrival(at, random);
        uint64_t weight = random_weight(random);
        if (below(random, 3) > 0)
            value = random_value(random);
        if (sort < 2)
            cell_add_value(out, value, weight, at, arrival);
        else if (sort != 2)
            aggregate_add(&out->aggregate, value, weight, at, arrival);
        if (sort == 2 || sort == 3) {
            if (out->distinct == NULL)
                out->distinct = distinct_new();
            uint64_t members = below(random, 200) == 0 ? 600 : 1 + below(random, 6);
            for (uint64_t j = 0; j < members; j++) {
                int len = snprintf(text, sizeof text, "%llu",
                                   (unsigned long long)next_random(random) % 100000);
                distinct_add(out->distinct, (struct str){text, (size_t)len});
            }
        }
    }
    if (out->counts_values && below(random, 2) == 0)
        add_between(out, random, random_time(minute, random), random_arrival(0, random));
}

struct cells {
    struct run_cell *all;
    size_t count;
};

/* In growing order, over a few quarters. */
static struct cells random_cells(size_t count, int64_t from, uint64_t *random)
{
    struct cells cells = {memory_zero(count, sizeof *cells.all), count};
    uint32_t id = (uint32_t)below(random, 100);
    int64_t quarter = quarter_of_minute(from);
    int64_t within = from - quarter * MINUTES_PER_QUARTER;

    for (size_t i = 0; i < count; i++) {
        struct run_cell *cell = &cells.all[i];
        cell->id = id;
        cell->minute = quarter * MINUTES_PER_QUARTER + within;
        random_cell(cell->minute, random, &cell->cell);
        if (below(random, 3) == 0 && within < 14) {
            within += 1 + (int64_t)below(random, (uint64_t)(14 - within));
        } else if (below(random, 50) == 0) {
            quarter += 1 + (int64_t)below(random, 3);
            id = (uint32_t)below(random, 1000);
            within = (int64_t)below(random, 15);
        } else {
            id += below(random, 10) == 0 ? (uint32_t)below(random, 100000) + 1 : 1;
            within = (int64_t)below(random, 15);
        }
    }
    return cells;
}

static void cells_fini(struct cells *cells)
{
    for (size_t i = 0; i < cells->count; i++)
        cell_fini(&cells->all[i].cell);
    free(cells->all);
}

/* --- writing and reading --- */

struct chunks {
    struct buf bytes[512];
    size_t first[513]; /* cell */
    size_t count;
};

static void keep_chunk(struct chunk_writer *writer, const struct cells *cells,
                       struct chunks *chunks, size_t next)
{
    uint32_t id = 0;
    int64_t minute = 0;
    struct str bytes = chunk_writer_take(writer, SEED, &id, &minute);
    const struct run_cell *first = &cells->all[chunks->first[chunks->count]];

    assert_true(bytes.len > 0 && chunks->count < TEST_COUNT(chunks->bytes));
    assert_int_equal(id, first->id);
    assert_int_equal(minute, first->minute);
    if (next - chunks->first[chunks->count] > 1)
        assert_true(bytes.len <= CHUNK_BYTES_MAX);
    buf_str(&chunks->bytes[chunks->count++], bytes);
    chunks->first[chunks->count] = next;
}

static void write_chunks(const struct cells *cells, struct chunks *out)
{
    struct chunk_writer *writer = chunk_writer_new();

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < cells->count; i++) {
        const struct run_cell *cell = &cells->all[i];
        if (chunk_writer_add(writer, cell->id, cell->minute, &cell->cell))
            continue;
        keep_chunk(writer, cells, out, i);
        assert_true(chunk_writer_add(writer, cell->id, cell->minute, &cell->cell));
    }
    keep_chunk(writer, cells, out, cells->count);
    chunk_writer_free(writer);
}

static void chunks_fini(struct chunks *chunks)
{
    for (size_t i = 0; i < chunks->count; i++)
        buf_fini(&chunks->bytes[i]);
}

static void assert_reads(struct chunk_reader *reader, const struct run_cell *expected)
{
    struct run_cell cell;
    bool corrupt = true;

    assert_true(chunk_reader_next(reader, &cell, &corrupt));
    assert_false(corrupt);
    assert_int_equal(cell.id, expected->id);
    assert_int_equal(cell.minute, expected->minute);
    assert_same_cell(&cell.cell, &expected->cell);
    cell_fini(&cell.cell);
}

static void assert_ends(struct chunk_reader *reader)
{
    struct run_cell cell;
    bool corrupt = true;

    assert_false(chunk_reader_next(reader, &cell, &corrupt));
    assert_false(corrupt);
}

static void cells_of_all_sorts_come_back_to_the_bit(void **state)
{
    static const int64_t begins[] = {MINUTE, -40, 0, INT64_C(-9000000000000), 15};
    uint64_t random = 1;
    (void)state;

    for (size_t round = 0; round < 20; round++) {
        struct cells cells = random_cells(1 + below(&random, 400), begins[round % 5], &random);
        struct chunks chunks;
        write_chunks(&cells, &chunks);
        for (size_t i = 0; i < chunks.count; i++) {
            struct chunk_reader reader;
            assert_true(chunk_reader_init(&reader, buf_view(&chunks.bytes[i]), SEED));
            for (size_t j = chunks.first[i]; j < chunks.first[i + 1]; j++)
                assert_reads(&reader, &cells.all[j]);
            assert_ends(&reader);
        }
        chunks_fini(&chunks);
        cells_fini(&cells);
    }
}

/* The first cell at or after a place, counted one by one. */
static size_t first_at_or_after(const struct cells *cells, size_t from, size_t to, uint32_t id,
                                int64_t minute)
{
    while (from < to && chunk_order(cells->all[from].id, cells->all[from].minute, id, minute) < 0)
        from++;
    return from;
}

static void seeking_finds_what_reading_one_by_one_finds(void **state)
{
    uint64_t random = 2;
    bool corrupt = false;
    (void)state;

    for (size_t round = 0; round < 20; round++) {
        struct cells cells = random_cells(300, MINUTE, &random);
        struct chunks chunks;
        write_chunks(&cells, &chunks);
        for (size_t i = 0; i < 200; i++) {
            size_t chunk = below(&random, chunks.count);
            size_t at = chunks.first[chunk];
            size_t end = chunks.first[chunk + 1];
            struct chunk_reader reader;
            assert_true(chunk_reader_init(&reader, buf_view(&chunks.bytes[chunk]), SEED));
            for (size_t j = 0; j < 4; j++) {
                const struct run_cell *near =
                    &cells.all[at + below(&random, end - at + 1) - (at == cells.count ? 1 : 0)];
                if (near == cells.all + cells.count)
                    near--;
                uint32_t id = near->id + (uint32_t)below(&random, 3) - 1;
                int64_t minute = near->minute + (int64_t)below(&random, 5) - 2;
                at = first_at_or_after(&cells, at, end, id, minute);
                assert_int_equal(chunk_reader_seek(&reader, id, minute, &corrupt), at < end);
                assert_false(corrupt);
                if (at == end)
                    break;
                assert_reads(&reader, &cells.all[at++]);
                if (at == end)
                    break;
            }
            if (at == end)
                assert_ends(&reader);
        }
        chunks_fini(&chunks);
        cells_fini(&cells);
    }
}

static void places_are_in_the_order_of_folding(void **state)
{
    static const struct {
        uint32_t id;
        int64_t minute;
    } places[] = {{7, -16}, {1, -15}, {1, -1}, {2, -15}, {1, 0},  {1, 1},
                  {1, 14},  {2, 0},   {2, 14}, {1, 15},  {1, 29}, {0, 30}};
    (void)state;

    assert_int_equal(quarter_of_minute(-1), -1);
    assert_int_equal(quarter_of_minute(-15), -1);
    assert_int_equal(quarter_of_minute(-16), -2);
    assert_int_equal(quarter_of_minute(0), 0);
    assert_int_equal(quarter_of_minute(15), 1);
    for (size_t i = 0; i < TEST_COUNT(places); i++) {
        for (size_t j = 0; j < TEST_COUNT(places); j++) {
            int order = chunk_order(places[i].id, places[i].minute, places[j].id, places[j].minute);
            assert_int_equal(order, (i > j) - (i < j));
            assert_int_equal(order < 0, chunk_place_of(places[i].id, places[i].minute) <
                                            chunk_place_of(places[j].id, places[j].minute));
        }
    }
}

/* --- sizes --- */

/* Bytes a cell in full chunks of neighbours of one sample each, `value` and what is added to it. */
static double bytes_of_samples(double value, double step, uint64_t late_us)
{
    struct chunk_writer *writer = chunk_writer_new();
    uint32_t id = 5;
    int64_t minute = 0;
    uint32_t count = 0;

    for (;; id++, count++) {
        struct cell cell = CELL_EMPTY;
        wall_ms at = MINUTE * MS_PER_MINUTE + id % 60000;
        aggregate_add(&cell.aggregate, value, WEIGHT_ONE, at, (uint64_t)at * 1000 + late_us);
        value += step;
        if (!chunk_writer_add(writer, id, MINUTE, &cell))
            break;
    }
    size_t len = chunk_writer_take(writer, SEED, &id, &minute).len;
    assert_true(len <= CHUNK_BYTES_MAX && len > CHUNK_BYTES_MAX - 32);
    chunk_writer_free(writer);
    return (double)len / count;
}

static void a_cell_of_one_sample_takes_at_most_16_bytes(void **state)
{
    (void)state;
    assert_true(bytes_of_samples(0.123456789, 0.001234567, 3000) <= 15);
    assert_true(bytes_of_samples(0.123456789, 0.001234567, 60 * 1000000) <= 17);
    assert_true(bytes_of_samples(0.123456789, 0, 30 * 1000000) <= 17);
    assert_true(bytes_of_samples(1, 0, 3000) <= 9);
    assert_true(bytes_of_samples(1, 1, 3000) <= 10);
    assert_true(bytes_of_samples(1.25, 0, 3000) <= 10);
    assert_true(bytes_of_samples(99.99, 0, 3000) <= 10);
    assert_true(bytes_of_samples(1234.567, 0, 3000) <= 11);
    assert_true(bytes_of_samples(0, 0, 0) <= 7);
}

static void a_cell_of_many_samples_is_small_too(void **state)
{
    struct chunk_writer *writer = chunk_writer_new();
    uint32_t id = 1;
    uint32_t first = 0;
    int64_t minute = 0;
    (void)state;

    for (;; id++) {
        struct cell cell = CELL_EMPTY;
        for (int i = 0; i < 60; i++) {
            wall_ms at = MINUTE * MS_PER_MINUTE + (wall_ms)i * MS_PER_SECOND;
            aggregate_add(&cell.aggregate, 1 + i % 9, WEIGHT_ONE, at, (uint64_t)at * 1000 + 99);
        }
        if (!chunk_writer_add(writer, id, MINUTE, &cell))
            break;
    }
    double bytes = (double)chunk_writer_take(writer, SEED, &first, &minute).len / (id - first);
    assert_true(bytes <= 24);
    chunk_writer_free(writer);
}

static void a_cell_larger_than_a_page_has_a_chunk_of_its_own(void **state)
{
    struct chunk_writer *writer = chunk_writer_new();
    struct cell small = CELL_EMPTY;
    struct cell large = {.distinct = distinct_new()};
    struct chunk_reader reader;
    uint32_t id = 0;
    int64_t minute = 0;
    (void)state;

    for (uint32_t i = 0; i < 2000; i++)
        distinct_add(large.distinct, (struct str){(const char *)&i, sizeof i});
    aggregate_add(&small.aggregate, 1, WEIGHT_ONE, 0, 0);
    assert_true(chunk_writer_add(writer, 1, 0, &small));
    assert_false(chunk_writer_add(writer, 2, 0, &large));
    assert_true(chunk_writer_take(writer, SEED, &id, &minute).len < 40);
    assert_true(chunk_writer_add(writer, 2, 0, &large));
    assert_false(chunk_writer_add(writer, 3, 0, &small));
    struct str bytes = chunk_writer_take(writer, SEED, &id, &minute);
    assert_int_equal(id, 2);
    assert_true(bytes.len > DISTINCT_REGISTERS);
    assert_true(chunk_reader_init(&reader, bytes, SEED));
    assert_reads(&reader, &(struct run_cell){2, 0, large});
    assert_ends(&reader);
    assert_true(chunk_writer_add(writer, 3, 0, &small));
    assert_int_equal(chunk_writer_take(writer, SEED, &id, &minute).len, 23);
    assert_int_equal(chunk_writer_take(writer, SEED, &id, &minute).len, 0);
    cell_fini(&large);
    chunk_writer_free(writer);
}

/* --- chunks as a whole --- */

/* Wherever the reader stands. */
static void assert_has_ends(const struct chunk_reader *reader, const struct run_cell *cells,
                            size_t at, size_t end)
{
    const struct run_cell *last = &cells[end - 1];
    const chunk_place place = chunk_place_of(last->id, last->minute);
    int64_t least = cells[at].minute;
    int64_t greatest = least;
    uint32_t id = 0;
    int64_t min = 0;
    int64_t max = 0;

    assert_true(chunk_reader_last(reader, place + 1, &id, &min));
    assert_int_equal(id, last->id);
    assert_int_equal(min, last->minute);
    assert_false(chunk_reader_last(reader, place, &id, &min));
    assert_false(
        chunk_reader_last(reader, chunk_place_of(cells[at].id, cells[at].minute), &id, &min));
    for (size_t i = at; i < end; i++) {
        least = cells[i].minute < least ? cells[i].minute : least;
        greatest = cells[i].minute > greatest ? cells[i].minute : greatest;
    }
    assert_true(chunk_reader_minutes(reader, &min, &max));
    assert_int_equal(min, least);
    assert_int_equal(max, greatest);
}

static void a_chunk_says_where_it_ends_and_what_minutes_it_has(void **state)
{
    uint64_t random = 21;
    (void)state;

    for (size_t round = 0; round < 8; round++) {
        struct cells cells = random_cells(1 + below(&random, 1500), MINUTE, &random);
        struct chunks chunks;
        write_chunks(&cells, &chunks);
        for (size_t i = 0; i < chunks.count; i++) {
            struct chunk_reader reader;
            assert_true(chunk_reader_init(&reader, buf_view(&chunks.bytes[i]), SEED));
            for (size_t at = chunks.first[i]; at < chunks.first[i + 1]; at++) {
                assert_reads(&reader, &cells.all[at]);
                assert_has_ends(&reader, cells.all, at, chunks.first[i + 1]);
            }
            assert_ends(&reader);
        }
        chunks_fini(&chunks);
        cells_fini(&cells);
    }
}

static void a_chunk_is_adopted_by_another_run_as_it_is(void **state)
{
    uint64_t random = 22;
    struct cells cells = random_cells(900, MINUTE, &random);
    struct chunks chunks;
    struct chunk_writer *writer = chunk_writer_new();
    (void)state;

    write_chunks(&cells, &chunks);
    assert_int_equal(chunk_writer_len(writer), 0);
    for (size_t i = 0; i < chunks.count; i++) {
        const struct str chunk = buf_view(&chunks.bytes[i]);
        struct chunk_reader reader;
        if (chunk.len > CHUNK_BYTES_MAX)
            continue;
        const struct str adopted = chunk_writer_adopt(writer, chunk, SEED + 1);
        assert_int_equal(adopted.len, chunk.len);
        assert_memory_equal(adopted.text, chunk.text, chunk.len - CHECKSUM);
        assert_false(chunk_reader_init(&reader, adopted, SEED));
        assert_true(chunk_reader_init(&reader, adopted, SEED + 1));
        for (size_t at = chunks.first[i]; at < chunks.first[i + 1]; at++)
            assert_reads(&reader, &cells.all[at]);
        assert_ends(&reader);
    }
    const struct run_cell *cell = &cells.all[0]; /* and it writes on as before */
    uint32_t id = 0;
    int64_t minute = 0;
    assert_true(chunk_writer_add(writer, cell->id, cell->minute, &cell->cell));
    assert_true(chunk_writer_len(writer) > 0);
    assert_true(chunk_writer_take(writer, SEED, &id, &minute).len > 0);
    assert_int_equal(chunk_writer_len(writer), 0);
    chunk_writer_free(writer);
    chunks_fini(&chunks);
    cells_fini(&cells);
}

/* --- bytes that are not a chunk --- */

static void sign(struct buf *bytes)
{
    uint32_t sum = (uint32_t)XXH3_64bits_withSeed(bytes->bytes, bytes->len - CHECKSUM, SEED);
    memcpy(bytes->bytes + bytes->len - CHECKSUM, &sum, sizeof sum);
}

/* Reads and seeks through whatever it is. Returns whether it says that it was read to its end. */
static bool read_whatever(struct str bytes, uint64_t *random)
{
    struct chunk_reader reader;
    struct run_cell cell;
    bool corrupt = false;
    size_t cells = 0;

    if (!chunk_reader_init(&reader, bytes, SEED))
        return false;
    struct chunk_reader other = reader;
    chunk_place before = 0;
    while (chunk_reader_next(&reader, &cell, &corrupt)) {
        assert_true(cells == 0 || chunk_place_of(cell.id, cell.minute) > before);
        before = chunk_place_of(cell.id, cell.minute);
        cell_fini(&cell.cell);
        cells++;
    }
    assert_true(cells <= bytes.len);
    bool complete = !corrupt;
    struct chunk_reader all = other;
    uint32_t id = 0;
    int64_t minute = 0;
    int64_t max = 0;
    bool has_last = chunk_reader_last(&all, ~(chunk_place)0, &id, &minute);
    assert_true(!complete || (has_last && chunk_place_of(id, minute) == before));
    if (chunk_reader_next(&all, &cell, &corrupt)) {
        cell_fini(&cell.cell);
        bool has_minutes = chunk_reader_minutes(&all, &minute, &max);
        assert_true(!complete || (has_minutes && minute <= max));
    }
    while (chunk_reader_seek(&other, (uint32_t)below(random, 400),
                             MINUTE + (int64_t)below(random, 15), &corrupt) &&
           chunk_reader_next(&other, &cell, &corrupt))
        cell_fini(&cell.cell);
    return complete;
}

static void damaged_bytes_are_refused(void **state)
{
    uint64_t random = 3;
    struct cells cells = random_cells(60, MINUTE, &random);
    struct chunks chunks;
    struct chunk_reader reader;
    (void)state;

    write_chunks(&cells, &chunks);
    struct str whole = buf_view(&chunks.bytes[0]);
    assert_true(chunk_reader_init(&reader, whole, SEED));
    assert_false(chunk_reader_init(&reader, whole, SEED + 1));
    for (size_t len = 0; len < whole.len; len++)
        assert_false(chunk_reader_init(&reader, (struct str){whole.text, len}, SEED));
    for (size_t i = 0; i < whole.len; i++) {
        char bit = (char)(1 << below(&random, 8));
        chunks.bytes[0].bytes[i] ^= bit;
        assert_false(chunk_reader_init(&reader, whole, SEED));
        chunks.bytes[0].bytes[i] ^= bit;
    }
    chunks_fini(&chunks);
    cells_fini(&cells);
}

static void forged_bytes_with_a_good_checksum_do_no_harm(void **state)
{
    uint64_t random = 4;
    size_t read = 0;
    (void)state;

    for (size_t round = 0; round < 6; round++) {
        struct cells cells = random_cells(150, MINUTE, &random);
        struct chunks chunks;
        write_chunks(&cells, &chunks);
        for (size_t i = 0; i < 1000; i++) {
            struct buf forged = BUF_EMPTY;
            buf_str(&forged, buf_view(&chunks.bytes[below(&random, chunks.count)]));
            for (uint64_t changes = 1 + below(&random, 3); changes > 0; changes--)
                forged.bytes[below(&random, forged.len)] = (char)next_random(&random);
            if (below(&random, 4) == 0)
                forged.len = CHECKSUM + 1 + below(&random, forged.len - CHECKSUM);
            sign(&forged);
            read += read_whatever(buf_view(&forged), &random);
            buf_fini(&forged);
        }
        chunks_fini(&chunks);
        cells_fini(&cells);
    }
    assert_true(read > 0 && read < 6000);
}

/* The greatest id, minute by minute, and the place of one cell forged to lie a few ids further. */
static void ids_that_would_wrap_around_are_refused(void **state)
{
    struct chunk_writer *writer = chunk_writer_new();
    struct cell cell = CELL_EMPTY;
    uint32_t id = 0;
    int64_t minute = 0;
    size_t refused = 0;
    struct buf forged = BUF_EMPTY;
    (void)state;

    aggregate_add(&cell.aggregate, 0.1, WEIGHT_ONE, MINUTE * MS_PER_MINUTE, 1);
    for (minute = MINUTE; minute < MINUTE + MINUTES_PER_QUARTER; minute++)
        assert_true(chunk_writer_add(writer, UINT32_MAX, minute, &cell));
    buf_str(&forged, chunk_writer_take(writer, SEED, &id, &minute));
    for (size_t i = 0; i < forged.len; i++) {
        unsigned char before = (unsigned char)forged.bytes[i];
        struct chunk_reader reader;
        struct run_cell read;
        bool corrupt = false;
        if ((before & 0xf0) != 0 || before == 0)
            continue; /* a place's byte has the minute in its low half and no ids further */
        forged.bytes[i] = (char)(before | 0x30);
        sign(&forged);
        if (chunk_reader_init(&reader, buf_view(&forged), SEED)) {
            while (chunk_reader_next(&reader, &read, &corrupt))
                assert_int_equal(read.id, UINT32_MAX);
            refused += corrupt;
        }
        forged.bytes[i] = (char)before;
    }
    assert_true(refused >= MINUTES_PER_QUARTER - 1);
    buf_fini(&forged);
    chunk_writer_free(writer);
}

/* --- samples that are moved ---------------------------------------------------------------------
 */

static void a_plain_sample_is_written_as_its_cell_is(void **state)
{
    struct chunk_writer *cells = chunk_writer_new();
    struct chunk_writer *samples = chunk_writer_new();
    uint64_t random = 21;
    uint32_t id = 0;
    int64_t minute = 0;
    (void)state;

    for (uint32_t i = 1; i <= 20000; i++) {
        int64_t at_minute = MINUTE + (int64_t)below(&random, MINUTES_PER_QUARTER);
        wall_ms at = random_time(at_minute, &random);
        uint64_t arrival = random_arrival(at, &random);
        double value = i % 50 == 0 ? -0.0 : random_value(&random);
        struct cell cell = CELL_EMPTY;
        struct chunk_sample sample;
        struct cell merged = CELL_EMPTY;
        aggregate_add(&cell.aggregate, value, WEIGHT_ONE, at, arrival);
        chunk_sample_of(value, at_minute, at, arrival, &sample);
        chunk_sample_merge(&sample, at_minute, &merged);
        assert_same_cell(&cell, &merged);
        bool fits = chunk_writer_add(cells, i, at_minute, &cell);
        assert_int_equal(chunk_writer_add_sample(samples, i, at_minute, &sample), fits);
        if (fits)
            continue;
        const struct str one = chunk_writer_take(cells, SEED, &id, &minute);
        const struct str other = chunk_writer_take(samples, SEED, &id, &minute);
        assert_int_equal(one.len, other.len);
        assert_memory_equal(one.text, other.text, one.len);
    }
    chunk_writer_free(cells);
    chunk_writer_free(samples);
}

/* Reads a chunk twice: all of its cells, and its samples as they are. Returns how many of these. */
static size_t assert_same_taken(struct str bytes)
{
    struct chunk_reader readers[2];
    struct run_cell read;
    struct run_cell taken = {.cell = CELL_EMPTY};
    struct chunk_sample sample;
    bool corrupt = false;
    size_t samples = 0;

    assert_true(chunk_reader_init(&readers[0], bytes, SEED));
    assert_true(chunk_reader_init(&readers[1], bytes, SEED));
    while (chunk_reader_next(&readers[0], &read, &corrupt)) {
        assert_true(chunk_reader_take(&readers[1], &taken, &sample, &corrupt));
        assert_int_equal(taken.id, read.id);
        assert_int_equal(taken.minute, read.minute);
        assert_true(chunk_reader_place(&readers[1]) == chunk_reader_place(&readers[0]));
        if (sample.len > 0) {
            taken.cell = (struct cell)CELL_EMPTY;
            chunk_sample_merge(&sample, taken.minute, &taken.cell);
            samples++;
        }
        assert_same_cell(&taken.cell, &read.cell);
        cell_fini(&taken.cell);
        cell_fini(&read.cell);
    }
    assert_false(corrupt);
    assert_false(chunk_reader_take(&readers[1], &taken, &sample, &corrupt));
    assert_false(corrupt);
    return samples;
}

static void taking_cells_gives_what_reading_gives(void **state)
{
    struct chunk_writer *writer = chunk_writer_new();
    uint64_t random = 22;
    size_t samples = 0;
    uint32_t id = 0;
    int64_t minute = 0;
    (void)state;

    for (uint32_t i = 1; i <= 5000; i++) {
        int64_t at_minute = MINUTE + (int64_t)(i / 100 * MINUTES_PER_QUARTER + i % 3);
        struct cell cell;
        random_cell(at_minute, &random, &cell);
        if (!chunk_writer_add(writer, i, at_minute, &cell)) {
            samples += assert_same_taken(chunk_writer_take(writer, SEED, &id, &minute));
            assert_true(chunk_writer_add(writer, i, at_minute, &cell));
        }
        cell_fini(&cell);
    }
    samples += assert_same_taken(chunk_writer_take(writer, SEED, &id, &minute));
    assert_true(samples > 500);
    chunk_writer_free(writer);
}

static void a_sample_merges_with_values_that_are_counted(void **state)
{
    struct cell one = CELL_EMPTY;
    struct cell expected = CELL_EMPTY;
    struct cell counted = CELL_EMPTY;
    struct chunk_sample sample;
    const wall_ms at = MINUTE * MS_PER_MINUTE;
    (void)state;

    cell_add_value(&counted, 1, WEIGHT_ONE, at, 1);
    cell_add_value(&counted, 2, WEIGHT_ONE, at, 2);
    cell_merge(&expected, &counted);
    aggregate_add(&one.aggregate, 3, WEIGHT_ONE, at + 5, 3);
    chunk_sample_of(3, MINUTE, at + 5, 3, &sample);
    cell_merge(&expected, &one);
    chunk_sample_merge(&sample, MINUTE, &counted);
    assert_same_cell(&counted, &expected);
    cell_fini(&expected);
    cell_fini(&counted);
}

/* Its bytes are not moved to another run. */
static void a_sample_that_is_no_number_is_refused(void **state)
{
    static const double values[] = {1, 3.5, 1.0 / 3, 16777217};
    (void)state;

    for (size_t i = 0; i < 2 * TEST_COUNT(values); i++) {
        struct chunk_writer *writer = chunk_writer_new();
        struct chunk_reader reader;
        struct run_cell read = {.cell = CELL_EMPTY};
        struct chunk_sample sample;
        struct chunk_sample taken;
        uint32_t id = 0;
        int64_t minute = 0;
        bool corrupt = false;
        bool forged = i >= TEST_COUNT(values);
        chunk_sample_of(values[i % TEST_COUNT(values)], MINUTE, MINUTE * MS_PER_MINUTE, 0, &sample);
        if (forged) { /* infinite, or not a number */
            sample.bytes[sample.len - 1] = 0x7f;
            sample.bytes[sample.len - 2] |= 0xf0;
        }
        assert_true(chunk_writer_add_sample(writer, 1, MINUTE, &sample));
        const struct str bytes = chunk_writer_take(writer, SEED, &id, &minute);
        assert_true(chunk_reader_init(&reader, bytes, SEED));
        assert_int_equal(chunk_reader_take(&reader, &read, &taken, &corrupt), !forged);
        assert_int_equal(corrupt, forged);
        chunk_writer_free(writer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_in_the_order_of_folding),
        cmocka_unit_test(cells_of_all_sorts_come_back_to_the_bit),
        cmocka_unit_test(seeking_finds_what_reading_one_by_one_finds),
        cmocka_unit_test(a_cell_of_one_sample_takes_at_most_16_bytes),
        cmocka_unit_test(a_cell_of_many_samples_is_small_too),
        cmocka_unit_test(a_cell_larger_than_a_page_has_a_chunk_of_its_own),
        cmocka_unit_test(a_chunk_says_where_it_ends_and_what_minutes_it_has),
        cmocka_unit_test(a_chunk_is_adopted_by_another_run_as_it_is),
        cmocka_unit_test(damaged_bytes_are_refused),
        cmocka_unit_test(forged_bytes_with_a_good_checksum_do_no_harm),
        cmocka_unit_test(ids_that_would_wrap_around_are_refused),
        cmocka_unit_test(a_plain_sample_is_written_as_its_cell_is),
        cmocka_unit_test(taking_cells_gives_what_reading_gives),
        cmocka_unit_test(a_sample_merges_with_values_that_are_counted),
        cmocka_unit_test(a_sample_that_is_no_number_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
