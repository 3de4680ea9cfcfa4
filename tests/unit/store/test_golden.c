/* The stored and sent forms of cells, histograms, sketches, tallies, rows of trackers, chunks and
 * blocks, byte by byte, in golden_codecs.txt: what one version has written every later one has to
 * read. Lines may be added there; one that changes needs a new version of its form, which reads the
 * old one too. */
#include <ctype.h>
#include <xxhash.h>

#include "fixture.h"
#include "series/batch.h"
#include "store/partition.h"
#include "store/tracker_private.h"

/* 2026-05-04T00:00:00Z. */
#define GOLDEN_MINUTE INT64_C(29630880)
#define GOLDEN_AT     (GOLDEN_MINUTE * MS_PER_MINUTE)

enum { LINE_MAX_BYTES = 1 << 16, HASHED_FROM = 2048 };

/* --- what is encoded ----------------------------------------------------------------------------
 */

static void add_to(struct cell *cell, double value, uint64_t weight, wall_ms after,
                   uint64_t late_us)
{
    aggregate_add(&cell->aggregate, value, weight, GOLDEN_AT + after,
                  (uint64_t)(GOLDEN_AT + after) * 1000 + late_us);
}

static void count_in(struct cell *cell, double value, uint64_t weight, wall_ms after)
{
    cell_add_value(cell, value, weight, GOLDEN_AT + after, (uint64_t)(GOLDEN_AT + after) * 1000);
}

static void add_members(struct cell *cell, size_t count)
{
    cell->distinct = distinct_new();
    for (size_t i = 0; i < count; i++) {
        char member[24];
        distinct_add(cell->distinct,
                     (struct str){member, (size_t)snprintf(member, sizeof member, "m%zu", i)});
    }
}

static void make_empty(struct cell *cell)
{
    (void)cell;
}

static void make_one_sample(struct cell *cell)
{
    add_to(cell, 6.83, WEIGHT_ONE, 1234, 17);
}

static void make_one_weighted_sample(struct cell *cell)
{
    add_to(cell, 0.1, 10 * WEIGHT_ONE, 0, 0);
}

static void make_fraction(struct cell *cell)
{
    add_to(cell, 3, WEIGHT_ONE + WEIGHT_ONE / 3, 59999, 999999);
    add_to(cell, -7.5, WEIGHT_ONE / 2, 1, 5);
}

static void make_before_1970(struct cell *cell)
{
    aggregate_add(&cell->aggregate, 1, WEIGHT_ONE, -1, 0);
    aggregate_add(&cell->aggregate, 1e-3, WEIGHT_ONE, -60000, 0);
}

static void make_low_sum(struct cell *cell)
{
    add_to(cell, 1e17, WEIGHT_ONE, 0, 1);
    add_to(cell, 0.3, WEIGHT_ONE, 1, 2);
    add_to(cell, 1, WEIGHT_ONE, 2, 3);
}

static void make_equal_values(struct cell *cell)
{
    count_in(cell, 9, WEIGHT_ONE, 0);
    count_in(cell, 9, WEIGHT_ONE, 10);
}

static void make_score(struct cell *cell)
{
    for (int i = 0; i <= 10; i++)
        count_in(cell, i, (uint64_t)(i + 1) * WEIGHT_ONE, i);
}

static void make_distribution(struct cell *cell)
{
    double value = 1;
    for (int i = 0; i < 40; i++) {
        count_in(cell, i % 5 == 0 ? -value : value, i % 7 == 0 ? 3 * WEIGHT_ONE / 2 : WEIGHT_ONE,
                 i);
        value = value * 1.375;
    }
    count_in(cell, 0, WEIGHT_ONE, 50);
}

static void make_wide_distribution(struct cell *cell)
{
    count_in(cell, 0x1p-60, WEIGHT_ONE, 0);
    count_in(cell, 0x1p60, WEIGHT_ONE, 1);
    count_in(cell, 1, WEIGHT_ONE, 2);
}

/* Between bounds, as decimals and as doubles; alone, and beside single values. */
static void make_between(struct cell *cell, const double *bounds, size_t count, uint64_t weight)
{
    struct aggregate aggregate = AGGREGATE_EMPTY;
    struct error err = ERROR_EMPTY;
    struct bounded *bounded = bounded_new(bounds, count, &err);

    assert_non_null(bounded);
    for (int i = 0; i < 12; i++) {
        double value = (double)(i * i) / 8 - 1;
        bounded_add(bounded, value, weight);
        aggregate_add(&aggregate, value, weight, GOLDEN_AT + i, 0);
    }
    cell_add_bounded(cell, &aggregate, bounded);
}

static void make_between_decimals(struct cell *cell)
{
    static const double bounds[] = {-2, -0.5, 0, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50};
    make_between(cell, bounds, sizeof bounds / sizeof *bounds, 3 * WEIGHT_ONE);
}

static void make_between_doubles(struct cell *cell)
{
    static const double bounds[] = {-1.0 / 3, 1e-12, 2.0 / 3, 1e300};
    make_between(cell, bounds, sizeof bounds / sizeof *bounds, WEIGHT_ONE / 3);
}

static void make_between_and_single_values(struct cell *cell)
{
    make_between_decimals(cell);
    make_score(cell);
}

static void make_few_uniques(struct cell *cell)
{
    add_to(cell, 1, 3 * WEIGHT_ONE, 0, 0);
    add_members(cell, 3);
}

static void make_sparse_uniques(struct cell *cell)
{
    add_to(cell, 1, 400 * WEIGHT_ONE, 0, 0);
    add_members(cell, DISTINCT_SPARSE_MAX);
}

static void make_dense_uniques(struct cell *cell)
{
    add_to(cell, 1, 5000 * WEIGHT_ONE, 0, 0);
    add_members(cell, 5000);
}

static const struct golden_cell {
    const char *name;
    void (*make)(struct cell *cell);
} cells[] = {
    {"empty", make_empty},
    {"one_sample", make_one_sample},
    {"one_weighted_sample", make_one_weighted_sample},
    {"fraction", make_fraction},
    {"before_1970", make_before_1970},
    {"low_sum", make_low_sum},
    {"equal_values", make_equal_values},
    {"score", make_score},
    {"distribution", make_distribution},
    {"wide_distribution", make_wide_distribution},
    {"few_uniques", make_few_uniques},
    {"sparse_uniques", make_sparse_uniques},
    {"dense_uniques", make_dense_uniques},
    {"between_decimals", make_between_decimals},
    {"between_doubles", make_between_doubles},
    {"between_and_single_values", make_between_and_single_values},
};

enum { CELLS = sizeof cells / sizeof *cells };

/* Chunks of some of them; what is added to the cells needs a chunk of its own. */
static const struct golden_chunk {
    const char *name;
    size_t first, count;
} chunks[] = {
    {"cells", 0, 13},
    {"between", 13, 3},
};

/* --- the file -----------------------------------------------------------------------------------
 */

/* "FORM NAME HEX", or "FORM NAME #LENGTH HASH" of what is long: XXH3-64. */
static void write_line(const char *form, const char *name, struct str bytes, struct buf *out)
{
    buf_clear(out);
    buf_printf(out, "%s %s ", form, name);
    if (bytes.len >= HASHED_FROM) {
        buf_printf(out, "#%zu %016llx", bytes.len,
                   (unsigned long long)XXH3_64bits(bytes.text, bytes.len));
        return;
    }
    for (size_t i = 0; i < bytes.len; i++)
        buf_printf(out, "%02x", (unsigned char)bytes.text[i]);
}

/* The file's line of this form and name into `out`; false when there is none. */
static bool find_line(const char *form, const char *name, char *out)
{
    static char path[1024];
    char wanted[128];
    const char *end = strrchr(__FILE__, '/');
    bool found = false;

    assert_non_null(end);
    (void)snprintf(path, sizeof path, "%.*s/golden_codecs.txt", (int)(end - __FILE__), __FILE__);
    int len = snprintf(wanted, sizeof wanted, "%s %s ", form, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (!found && fgets(out, LINE_MAX_BYTES, file) != NULL)
        found = strncmp(out, wanted, (size_t)len) == 0;
    out[strcspn(out, "\n")] = '\0';
    assert_int_equal(fclose(file), 0);
    return found;
}

static unsigned digit(char text)
{
    assert_true(isxdigit((unsigned char)text));
    return (unsigned)(text <= '9' ? text - '0' : text - 'a' + 10);
}

static size_t mismatches;

/* Writes the same bytes; gives those of the file, to be read. */
static void expect_golden(const char *form, const char *name, struct str bytes, struct buf *out)
{
    static char line[LINE_MAX_BYTES];
    struct buf written = BUF_EMPTY;

    write_line(form, name, bytes, &written);
    buf_clear(out);
    buf_str(out, bytes);
    if (!find_line(form, name, line) || !str_is(buf_view(&written), line)) {
        (void)fprintf(stderr, "%.*s\n", (int)written.len, written.bytes);
        mismatches++;
    } else if (bytes.len < HASHED_FROM) {
        buf_clear(out);
        for (const char *at = line + strlen(form) + strlen(name) + 2; *at != '\0'; at += 2)
            buf_char(out, (char)(digit(at[0]) << 4 | digit(at[1])));
    }
    buf_fini(&written);
}

static int expect_all_found(void **state)
{
    (void)state;
    mismatches = 0;
    return 0;
}

static void expect_no_mismatches(void)
{
    if (mismatches > 0)
        fail_msg("%zu lines are not in golden_codecs.txt; above is what is written", mismatches);
}

/* --- the forms ----------------------------------------------------------------------------------
 */

static void expect_same_cell(const struct cell *one, const struct cell *other)
{
    struct buf a = BUF_EMPTY;
    struct buf b = BUF_EMPTY;
    cell_encode(one, &a);
    cell_encode(other, &b);
    assert_true(str_equal(buf_view(&a), buf_view(&b)));
    buf_fini(&a);
    buf_fini(&b);
}

/* Of one cell or tally: writes what it has of a form, if anything, to `bytes`, and compares it and
 * what comes of reading it; `golden` is room for what is in the file. */
typedef void (*expect_fn)(size_t i, struct buf *bytes, struct buf *golden);

static void expect_each(size_t count, expect_fn expect)
{
    struct buf bytes = BUF_EMPTY;
    struct buf golden = BUF_EMPTY;

    for (size_t i = 0; i < count; i++) {
        buf_clear(&bytes);
        expect(i, &bytes, &golden);
    }
    buf_fini(&bytes);
    buf_fini(&golden);
    expect_no_mismatches();
}

static void expect_cell(size_t i, struct buf *bytes, struct buf *golden)
{
    struct cell cell = CELL_EMPTY;
    struct cell read = CELL_EMPTY;

    cells[i].make(&cell);
    cell_encode(&cell, bytes);
    assert_int_equal(bytes->bytes[0], 1); /* the version */
    expect_golden("cell", cells[i].name, buf_view(bytes), golden);
    assert_true(cell_decode(buf_view(golden), &read));
    expect_same_cell(&cell, &read);
    cell_fini(&cell);
    cell_fini(&read);
}

static void cells_are_as_in_the_golden_file(void **state)
{
    (void)state;
    expect_each(CELLS, expect_cell);
}

static void expect_histogram(size_t i, struct buf *bytes, struct buf *golden)
{
    struct cell cell = CELL_EMPTY;

    cells[i].make(&cell);
    if (cell.histogram != NULL) {
        histogram_encode(cell.histogram, bytes);
        assert_int_equal((unsigned char)bytes->bytes[0] >> 6,
                         histogram_bounded(cell.histogram) == NULL ? 1 : 2);
        expect_golden("histogram", cells[i].name, buf_view(bytes), golden);
        struct reader reader = reader_of(buf_view(golden));
        struct histogram *read = histogram_decode(&reader);
        assert_non_null(read);
        buf_clear(bytes);
        histogram_encode(read, bytes);
        assert_true(str_equal(buf_view(bytes), buf_view(golden)));
        histogram_free(read);
    }
    cell_fini(&cell);
}

static void histograms_are_as_in_the_golden_file(void **state)
{
    (void)state;
    expect_each(CELLS, expect_histogram);
}

static void expect_sketch(size_t i, struct buf *bytes, struct buf *golden)
{
    struct cell cell = CELL_EMPTY;

    cells[i].make(&cell);
    if (cell.distinct != NULL) {
        distinct_encode(cell.distinct, bytes);
        expect_golden("distinct", cells[i].name, buf_view(bytes), golden);
        struct reader reader = reader_of(buf_view(golden));
        struct distinct *read = distinct_decode(&reader);
        assert_non_null(read);
        assert_same(distinct_estimate(read), distinct_estimate(cell.distinct));
        distinct_free(read);
    }
    cell_fini(&cell);
}

static void sketches_of_uniques_are_as_in_the_golden_file(void **state)
{
    (void)state;
    expect_each(CELLS, expect_sketch);
}

/* --- what senders have counted --- */

static const double golden_bounds[] = {0.005, 0.25, 1, 2.5};
static const uint64_t golden_counts[] = {3, 0, 14, 200, 1};
static const uint64_t golden_sides[] = {1, 0, 0, 7};

static const struct golden_tally {
    const char *name;
    struct batch_buckets buckets;
} tallies[] = {
    {"empty", {.count = 0}},
    {"count_and_sum", {.count = 12, .has_sum = true, .sum = 30.25}},
    {"bounds",
     {.count = 218,
      .has_sum = true,
      .sum = 411.7,
      .bounds = golden_bounds,
      .bound_count = 4,
      .counts = golden_counts}},
    {"bounds_without_sum",
     {.count = 218, .bounds = golden_bounds, .bound_count = 4, .counts = golden_counts}},
    {"bounds_with_extremes",
     {.count = 218,
      .has_sum = true,
      .sum = 411.7,
      .has_extremes = true,
      .min = 0.0009765625,
      .max = 7.5,
      .bounds = golden_bounds,
      .bound_count = 4,
      .counts = golden_counts}},
    {"exponential",
     {.count = 18,
      .has_sum = true,
      .sum = -3.5,
      .has_extremes = true,
      .min = -17,
      .max = 20.125,
      .is_exponential = true,
      .scale = 3,
      .zeros = 2,
      .positive = {-5, 4, golden_sides},
      .negative = {9, 4, golden_sides}}},
    {"exponential_beyond_the_scale",
     {.count = 8, .is_exponential = true, .scale = 9, .positive = {64, 4, golden_sides}}},
};

enum { TALLIES = sizeof tallies / sizeof *tallies };

static void encode_tally(const struct batch_buckets *buckets, struct buf *out)
{
    struct error err = ERROR_EMPTY;
    struct tally *tally = tally_new(buckets, &err);

    if (tally == NULL)
        fail_msg("%s", err.text);
    tally_encode(tally, out);
    tally_free(tally);
}

static void expect_tally(size_t i, struct buf *bytes, struct buf *golden)
{
    encode_tally(&tallies[i].buckets, bytes);
    expect_golden("tally", tallies[i].name, buf_view(bytes), golden);
    struct reader reader = reader_of(buf_view(golden));
    struct tally *read = tally_decode(&reader);
    assert_true(read != NULL && reader.left == 0);
    buf_clear(bytes);
    tally_encode(read, bytes);
    assert_true(str_equal(buf_view(bytes), buf_view(golden)));
    tally_free(read);
}

static void tallies_are_as_in_the_golden_file(void **state)
{
    (void)state;
    expect_each(TALLIES, expect_tally);
}

enum { TRACKERS_MAX = 5 };

/* Trackers of a row, in the order of their ids. */
static const struct golden_tracker {
    const char *name;
    struct {
        uint32_t id;                /* 0: there are no more */
        wall_ms after, start_after; /* start: WALL_NONE: not said */
        double value;
        enum delta_point_form form;
        wall_ms resets[TRACKER_RESETS]; /* before the point; 0: none */
        size_t tally;                   /* 1 + index; 0: none */
        uint32_t ns;                    /* of increments: 1 + those of `after`; 0: not exact */
        struct tracker_gap gap;         /* milliseconds as of `after`; to_ns 0: none */
    } trackers[TRACKERS_MAX];
} tracker_rows[] = {
    {"none", {{.id = 0}}},
    {"totals",
     {{.id = 1, .after = 1500, .start_after = WALL_NONE, .value = 100},
      {.id = 2, .after = 1500, .start_after = -60000, .value = 9007199254740992.0},
      {.id = 300, .after = 1499, .start_after = -60000, .value = 0.1},
      {.id = 8191, .after = -3600000, .start_after = 0, .value = 0},
      {.id = UINT32_MAX, .after = 0, .start_after = WALL_NONE, .value = 1e300}}},
    {"levels_and_increments",
     {{.id = 7, .start_after = WALL_NONE, .value = -3, .form = POINT_LEVEL},
      {.id = 8, .start_after = WALL_NONE, .value = -0.0, .form = POINT_LEVEL},
      {.id = 9, .start_after = -10000, .value = 17, .form = POINT_INCREMENT},
      {.id = 10, .after = 1, .start_after = 0, .value = -2.5, .form = POINT_INCREMENT}}},
    {"resets",
     {{.id = 4, .after = 10, .start_after = WALL_NONE, .value = 5, .resets = {1}},
      {.id = 5, .after = 10, .start_after = 9, .value = 0.5, .resets = {1000, 60000, 500000}}}},
    {"tallies",
     {{.id = 21, .after = 10, .start_after = -60000, .tally = 3},
      {.id = 22, .after = 10, .start_after = -60000, .resets = {300}, .tally = 6},
      {.id = 23, .after = 11, .start_after = 0, .value = 0.3, .form = POINT_INCREMENT, .tally = 1},
      {.id = 24, .after = 11, .start_after = 0, .value = 1}}},
    {"windows",
     {{.id = 31, .form = POINT_INCREMENT, .after = 1, .start_after = 0, .value = 3, .ns = 1},
      {.id = 32, .form = POINT_INCREMENT, .after = 1, .value = 0.5, .ns = 1000000},
      {.id = 33,
       .form = POINT_INCREMENT,
       .after = 60000,
       .start_after = 50000,
       .value = 7,
       .ns = 1,
       .gap = {WALL_NONE, 50000, 0, 1}},
      {.id = 34,
       .form = POINT_INCREMENT,
       .after = 60000,
       .start_after = 50000,
       .value = 7,
       .ns = 456790,
       .gap = {39999, 50000, 999999, 123456}},
      {.id = 35,
       .form = POINT_INCREMENT,
       .after = 60000,
       .start_after = 50000,
       .value = 0.3,
       .tally = 1,
       .gap = {50000, 50000, 1, 2}}}},
};

enum { TRACKER_ROWS = sizeof tracker_rows / sizeof *tracker_rows };

static void make_window(const struct golden_tracker *row, size_t i, struct tracker *out)
{
    const uint32_t ns = row->trackers[i].ns;
    const struct tracker_gap *gap = &row->trackers[i].gap;

    if (row->trackers[i].form != POINT_INCREMENT)
        return;
    out->at_ns = ns == 0 ? TRACKER_NS_UNKNOWN : (ns - 1) & DELTA_NS_MASK;
    if (gap->to_ns == 0)
        return;
    out->more = memory_zero(1, sizeof *out->more);
    out->more->gap = *gap;
    out->more->gap.to += GOLDEN_AT;
    if (gap->from != WALL_NONE)
        out->more->gap.from += GOLDEN_AT;
}

/* `more` is the caller's. */
static void make_tracker(const struct golden_tracker *row, size_t i, struct tracker *out)
{
    const wall_ms start_after = row->trackers[i].start_after;
    struct buf tally = BUF_EMPTY;

    *out = (struct tracker){.at = GOLDEN_AT + row->trackers[i].after,
                            .start = start_after == WALL_NONE ? WALL_NONE : GOLDEN_AT + start_after,
                            .last.value = row->trackers[i].value,
                            .form = (1U + row->trackers[i].form) & 3U,
                            .has_tally = row->trackers[i].tally > 0};
    make_window(row, i, out);
    bool keeps_tally = out->has_tally && row->trackers[i].form == POINT_CUMULATIVE;
    if (keeps_tally)
        encode_tally(&tallies[row->trackers[i].tally - 1].buckets, &tally);
    if (keeps_tally || row->trackers[i].resets[0] != 0) {
        out->more = memory_alloc(sizeof *out->more + tally.len);
        out->more->len = tally.len;
        for (int j = 0; j < TRACKER_RESETS; j++) {
            wall_ms before = row->trackers[i].resets[j];
            out->more->reset_at[j] = before == 0 ? WALL_NONE : out->at - before;
        }
        if (tally.len > 0)
            memcpy(out->more->tally, tally.bytes, tally.len);
    }
    buf_fini(&tally);
}

static void expect_same_tracker(const struct tracker *one, const struct tracker *other)
{
    assert_int_equal(one->at, other->at);
    assert_int_equal(one->at_ns, other->at_ns);
    assert_int_equal(one->start, other->start);
    assert_int_equal(one->last.bits, other->last.bits);
    assert_int_equal(one->form, other->form);
    assert_int_equal(one->has_tally, other->has_tally);
    assert_int_equal(one->more == NULL, other->more == NULL);
    if (one->more == NULL)
        return;
    assert_memory_equal(one->more->reset_at, other->more->reset_at, sizeof one->more->reset_at);
    assert_int_equal(one->more->len, other->more->len);
    assert_memory_equal(one->more->tally, other->more->tally, one->more->len);
}

static void expect_golden_trackers(const struct golden_tracker *row)
{
    struct tracker_row_writer writer = {.bytes = BUF_EMPTY};
    struct tracker made[TRACKERS_MAX];
    struct buf golden = BUF_EMPTY;
    struct tracker_row_reader reader;
    struct tracker read;
    size_t count = 0;

    tracker_row_begin(&writer);
    for (; count < TRACKERS_MAX && row->trackers[count].id != 0; count++) {
        make_tracker(row, count, &made[count]);
        tracker_row_add(&writer, row->trackers[count].id, &made[count]);
    }
    assert_int_equal(writer.bytes.bytes[0], 1);
    expect_golden("tracker", row->name, buf_view(&writer.bytes), &golden);
    assert_true(tracker_row_open(&reader, buf_view(&golden)));
    for (size_t i = 0; i < count; i++) {
        assert_true(tracker_row_next(&reader, &read));
        assert_int_equal(reader.id, row->trackers[i].id);
        expect_same_tracker(&read, &made[i]);
        free(read.more);
        free(made[i].more);
    }
    assert_false(tracker_row_next(&reader, &read));
    assert_true(reader.reader.ok && reader.reader.left == 0);
    buf_fini(&writer.bytes);
    buf_fini(&golden);
}

static void trackers_are_as_in_the_golden_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < TRACKER_ROWS; i++)
        expect_golden_trackers(&tracker_rows[i]);
    expect_no_mismatches();
}

/* All of its cells that fit together, each of a series of its own, over two quarters of an hour. */
static void expect_golden_chunk(const struct golden_chunk *chunk)
{
    struct chunk_writer *writer = chunk_writer_new();
    struct buf golden = BUF_EMPTY;
    struct cell made[2 * CELLS];
    size_t count = 0;
    uint32_t first_id = 0;
    int64_t first_minute = 0;

    for (size_t i = 0; i < 2 * chunk->count; i++) {
        size_t place = i % chunk->count;
        made[i] = (struct cell)CELL_EMPTY;
        cells[chunk->first + place].make(&made[i]);
        if (made[i].aggregate.count == 0 || made[i].aggregate.first_at < 0 ||
            !chunk_writer_add(writer, (uint32_t)(100 + 20 * place),
                              GOLDEN_MINUTE + (i < chunk->count ? 0 : 15), &made[i])) {
            cell_fini(&made[i]);
            continue;
        }
        made[count++] = made[i];
    }
    struct str bytes = chunk_writer_take(writer, 7, &first_id, &first_minute);
    assert_int_equal(bytes.text[0], 1);
    expect_golden("chunk", chunk->name, bytes, &golden);
    struct chunk_reader reader;
    struct run_cell cell;
    bool corrupt = false;
    assert_true(chunk_reader_init(&reader, buf_view(&golden), 7));
    for (size_t i = 0; i < count; i++) {
        assert_true(chunk_reader_next(&reader, &cell, &corrupt));
        expect_same_cell(&cell.cell, &made[i]);
        cell_fini(&cell.cell);
        cell_fini(&made[i]);
    }
    assert_false(chunk_reader_next(&reader, &cell, &corrupt));
    assert_false(corrupt);
    chunk_writer_free(writer);
    buf_fini(&golden);
}

static void chunks_are_as_in_the_golden_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
        expect_golden_chunk(&chunks[i]);
    expect_no_mismatches();
}

/* The first half of the points holds one sample each. */
static void make_points(struct arena *arena, bool with_sketches, struct block_points *out)
{
    *out = (struct block_points){arena_array(arena, 40, sizeof *out->points), 0};
    for (int i = 0; i < 40; i++) {
        int64_t bucket = GOLDEN_MINUTE + i + (i > 25 ? 100 : 0);
        struct cell cell = CELL_EMPTY;
        wall_ms at = bucket * MS_PER_MINUTE + 17 * i;
        uint64_t arrival = (uint64_t)at * 1000 + (uint64_t)i;
        double value = (double)((i * 7919) % 1000) / 100;
        cell_add_value(&cell, value, WEIGHT_ONE, at, arrival);
        if (i >= 20)
            cell_add_value(&cell, value + i, 2 * WEIGHT_ONE, at + 1000, arrival);
        if (!with_sketches)
            cell.counts_values = false;
        if (!with_sketches) {
            histogram_free(cell.histogram);
            cell.histogram = NULL;
        }
        partition_point_of(&cell, bucket, arena, &out->points[out->count++]);
        cell_fini(&cell);
    }
}

static void blocks_are_as_in_the_golden_file(void **state)
{
    (void)state;
    static const char *const names[] = {"plain", "arrivals", "sketches"};
    const struct block_frame frame = {GOLDEN_MINUTE - 60, MS_PER_MINUTE, UINT64_C(3) << 32 | 12};
    struct arena arena = ARENA_EMPTY;
    struct buf bytes = BUF_EMPTY;
    struct buf golden = BUF_EMPTY;

    for (size_t i = 0; i < 3; i++) {
        const struct block_form form = {.keep_arrivals = i == 1};
        struct block_points points;
        struct block_points read;
        make_points(&arena, i == 2, &points);
        buf_clear(&bytes);
        assert_int_equal(block_encode(&frame, &points, &form, &arena, &bytes), points.count);
        assert_int_equal(bytes.bytes[0], 1);
        expect_golden("block", names[i], buf_view(&bytes), &golden);
        assert_true(block_decode(&frame, buf_view(&golden), &arena, &read));
        assert_int_equal(read.count, points.count);
        for (size_t j = 0; j < read.count; j++) {
            struct aggregate expected = points.points[j].aggregate;
            if (i != 1)
                expected.first_arrival = expected.last_arrival = 0;
            assert_int_equal(read.points[j].bucket, points.points[j].bucket);
            assert_memory_equal(&read.points[j].aggregate, &expected, sizeof expected);
            assert_true(str_equal(read.points[j].sketch, points.points[j].sketch));
        }
        arena_reset(&arena);
    }
    arena_fini(&arena);
    buf_fini(&bytes);
    buf_fini(&golden);
    expect_no_mismatches();
}

/* Whoever changes a stored form raises its version, and this. */
static void versions_are_the_known_ones(void **state)
{
    (void)state;
    assert_int_equal(STORE_SCHEMA_VERSION, 5);
    assert_int_equal(HISTOGRAM_SCALE_MAX, 6);
    assert_int_equal(HISTOGRAM_BUCKETS_MAX, 2048);
    assert_int_equal(DISTINCT_PRECISION, 14);
    assert_int_equal(DISTINCT_SPARSE_MAX, 256);
    assert_int_equal(WEIGHT_ONE, 65536);
}

#define GOLDEN_TEST(name) cmocka_unit_test_setup(name, expect_all_found)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GOLDEN_TEST(cells_are_as_in_the_golden_file),
        GOLDEN_TEST(histograms_are_as_in_the_golden_file),
        GOLDEN_TEST(sketches_of_uniques_are_as_in_the_golden_file),
        GOLDEN_TEST(tallies_are_as_in_the_golden_file),
        GOLDEN_TEST(trackers_are_as_in_the_golden_file),
        GOLDEN_TEST(chunks_are_as_in_the_golden_file),
        GOLDEN_TEST(blocks_are_as_in_the_golden_file),
        GOLDEN_TEST(versions_are_the_known_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
