#include "series/bounded_test.h"
#include "store/fixture.h"
#include "store/partition.h"

/* --- words -------------------------------------------------------------------------------------
 */

static struct write_txn write_begin(struct fixture *fixture)
{
    struct write_txn txn;
    MUST(write_txn_begin(fixture->store, NULL, &txn, &err));
    return txn;
}

static const span_ms WIDTHS[LEVEL_COUNT] = {MS_PER_MINUTE, 15 * MS_PER_MINUTE, MS_PER_DAY};

/* A series of the model: its points, with the arrivals that it was written with. */
struct model_series {
    uint32_t id;
    int64_t *buckets;
    struct cell *cells;
    size_t count;
};

struct model {
    struct partition partition;
    struct model_series *series;
    size_t count;
    bool whole; /* values are whole numbers, whose sums are exact in any order */
};

enum shape {
    SHAPE_ONE,
    SHAPE_MANY,
    SHAPE_EQUAL,
    SHAPE_HISTOGRAM,
    SHAPE_SCORE,
    SHAPE_BETWEEN,
    SHAPE_UNIQUE,
    SHAPE_COUNT
};

static double random_value(uint64_t *seed, bool whole)
{
    int64_t number = (int64_t)random_below(seed, 2000000) - 1000000;
    return whole ? (double)number : (double)number / 997 + 1e-9 * (double)random_below(seed, 1000);
}

static wall_ms random_time(uint64_t *seed, int64_t bucket, span_ms width)
{
    return bucket * width + (wall_ms)random_below(seed, (uint64_t)width);
}

static void fill_cell(struct cell *cell, enum shape shape, wall_ms at, uint64_t *seed, bool whole)
{
    size_t samples = shape == SHAPE_ONE ? 1 : 2 + random_below(seed, 20);
    double value = random_value(seed, whole);

    for (size_t i = 0; i < samples; i++) {
        uint64_t arrival = random_next(seed) >> 8;
        uint64_t weight = WEIGHT_ONE * (1 + random_below(seed, 3));
        if (shape == SHAPE_MANY || shape == SHAPE_HISTOGRAM)
            value = random_value(seed, whole);
        if (shape == SHAPE_SCORE)
            value = (double)random_below(seed, 11);
        if (shape == SHAPE_UNIQUE) {
            char member[24];
            int len = snprintf(member, sizeof member, "%llu",
                               (unsigned long long)random_below(seed, 1000));
            if (cell->distinct == NULL)
                cell->distinct = distinct_new();
            distinct_add(cell->distinct, (struct str){member, (size_t)len});
            value = 1;
        }
        if (shape == SHAPE_BETWEEN)
            add_between(cell, seed, at, arrival);
        else if (shape == SHAPE_EQUAL || shape == SHAPE_HISTOGRAM || shape == SHAPE_SCORE)
            cell_add_value(cell, value, weight, at, arrival);
        else
            aggregate_add(&cell->aggregate, value, weight, at, arrival);
        at += (wall_ms)random_below(seed, 3);
    }
}

static void make_series(struct model_series *series, const struct partition *partition,
                        uint64_t *seed, bool whole)
{
    int64_t length = partition->to - partition->from;
    uint64_t gaps = random_below(seed, 3);
    enum shape shape = (enum shape)random_below(seed, SHAPE_COUNT + 1);

    series->buckets = memory_zero((size_t)length, sizeof *series->buckets);
    series->cells = memory_zero((size_t)length, sizeof *series->cells);
    for (int64_t bucket = partition->from; bucket < partition->to; bucket++) {
        bool is_last = bucket == partition->to - 1;
        if (random_below(seed, 4) < gaps && !(is_last && series->count == 0))
            continue;
        enum shape of_cell =
            shape == SHAPE_COUNT ? (enum shape)random_below(seed, SHAPE_COUNT) : shape;
        series->buckets[series->count] = bucket;
        fill_cell(&series->cells[series->count++], of_cell,
                  random_time(seed, bucket, WIDTHS[partition->level]), seed, whole);
    }
}

static void make_model(struct model *model, enum level level, uint32_t number, size_t count,
                       uint64_t *seed)
{
    static const int64_t windows[LEVEL_COUNT] = {MINUTES_PER_WINDOW, QUARTERS_PER_WEEK,
                                                 DAYS_PER_WINDOW};
    uint32_t id = 0;
    int64_t from = (int64_t)random_below(seed, 20000) - 10000;

    model->partition = (struct partition){
        .level = level, .number = number, .from = from, .to = from + windows[level]};
    model->series = memory_zero(count, sizeof *model->series);
    model->count = count;
    for (size_t i = 0; i < count; i++) {
        id += 1 + (uint32_t)random_below(seed, 300);
        model->series[i].id = id;
        make_series(&model->series[i], &model->partition, seed, model->whole);
    }
}

static void free_model(struct model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        for (size_t j = 0; j < model->series[i].count; j++)
            cell_fini(&model->series[i].cells[j]);
        free(model->series[i].buckets);
        free(model->series[i].cells);
    }
    free(model->series);
}

static void add_series_to(struct partition_writer *writer, struct write_txn *txn,
                          const struct model_series *series)
{
    struct arena arena = ARENA_EMPTY;
    struct block_points points = {arena_array(&arena, series->count, sizeof(struct block_point)),
                                  series->count};
    for (size_t i = 0; i < series->count; i++)
        partition_point_of(&series->cells[i], series->buckets[i], &arena, &points.points[i]);
    MUST(partition_writer_add(writer, txn, series->id, &points, &err));
    arena_fini(&arena);
}

static void write_model(struct fixture *fixture, struct model *model)
{
    struct partition_writer writer;
    partition_writer_init(&writer, &model->partition);
    for (size_t i = 0; i < model->count; i++) {
        struct write_txn txn = write_begin(fixture); /* over more than one transaction */
        add_series_to(&writer, &txn, &model->series[i]);
        MUST(write_txn_commit(&txn, &err));
    }
    model->partition = writer.partition;
    partition_writer_fini(&writer);
}

/* The cells are the same to the bit, but that `read` has no arrivals. */
static void assert_same_cell(const struct cell *read, const struct cell *written)
{
    struct cell expected = *written;
    struct buf one = BUF_EMPTY;
    struct buf other = BUF_EMPTY;

    expected.aggregate.first_arrival = 0;
    expected.aggregate.last_arrival = 0;
    cell_encode(read, &one);
    cell_encode(&expected, &other);
    assert_int_equal(read->counts_values, written->counts_values);
    assert_int_equal(one.len, other.len);
    assert_memory_equal(one.bytes, other.bytes, one.len);
    buf_fini(&one);
    buf_fini(&other);
}

static struct partition_cursor cursor_of(const struct read_txn *txn, const struct model *model)
{
    struct partition_cursor cursor;
    MUST(partition_cursor_init(&cursor, txn, &model->partition, &err));
    return cursor;
}

/* --- reading back ------------------------------------------------------------------------------
 */

static void check_points(struct partition_cursor *cursor, const struct model_series *series,
                         int64_t from, int64_t to)
{
    struct arena arena = ARENA_EMPTY;
    struct block_points points;
    size_t at = 0;

    MUST(partition_cursor_points(cursor, from, to, &arena, &points, &err));
    for (size_t i = 0; i < series->count; i++) {
        struct cell cell;
        if (series->buckets[i] < from || series->buckets[i] >= to)
            continue;
        assert_true(at < points.count);
        assert_int_equal(points.points[at].bucket, series->buckets[i]);
        assert_true(partition_cell_of(&points.points[at++], &cell));
        assert_same_cell(&cell, &series->cells[i]);
        cell_fini(&cell);
    }
    assert_int_equal(at, points.count);
    assert_int_equal(cursor->id, series->id);
    arena_fini(&arena);
}

static void check_merge(struct partition_cursor *cursor, const struct model_series *series,
                        int64_t from, int64_t to)
{
    struct arena arena = ARENA_EMPTY;
    struct cell merged = CELL_EMPTY;
    struct cell expected = CELL_EMPTY;
    wall_ms newest = WALL_NONE;
    wall_ms newest_expected = WALL_NONE;

    MUST(partition_cursor_merge(cursor, (const int64_t[]){from, to}, &arena, &merged, &newest,
                                &err));
    for (size_t i = 0; i < series->count; i++) {
        struct cell cell = series->cells[i];
        if (series->buckets[i] < from || series->buckets[i] >= to)
            continue;
        cell.aggregate.first_arrival = 0;
        cell.aggregate.last_arrival = 0;
        cell_merge(&expected, &cell);
        if (cell.aggregate.last_at > newest_expected)
            newest_expected = cell.aggregate.last_at;
    }
    assert_same_cell(&merged, &expected);
    assert_int_equal(newest, newest_expected);
    assert_int_equal(cursor->id, series->id);
    cell_fini(&merged);
    cell_fini(&expected);
    arena_fini(&arena);
}

static void check_facts(const struct model *model)
{
    uint64_t points = 0;
    for (size_t i = 0; i < model->count; i++)
        points += model->series[i].count;
    assert_int_equal(model->partition.series, model->count);
    assert_int_equal(model->partition.points, points);
}

static void a_partition_reads_back_to_the_bit(void **state)
{
    struct fixture *fixture = *state;
    uint64_t seed = 3;

    for (uint32_t number = 1; number <= 6; number++) {
        struct model model = {.whole = number % 2 == 0};
        make_model(&model, (enum level)(number % LEVEL_COUNT), number, 12, &seed);
        write_model(fixture, &model);
        check_facts(&model);
        struct read_txn *txn = read_begin(fixture);
        struct partition_cursor cursor = cursor_of(txn, &model);
        MUST(partition_cursor_seek(&cursor, 0, &err));
        for (size_t i = 0; i < model.count; i++) {
            assert_int_equal(cursor.id, model.series[i].id);
            check_points(&cursor, &model.series[i], INT64_MIN, INT64_MAX);
            MUST(partition_cursor_next(&cursor, &err));
        }
        assert_int_equal(cursor.id, 0);
        MUST(partition_cursor_next(&cursor, &err)); /* stays at the end */
        assert_int_equal(cursor.id, 0);
        partition_cursor_fini(&cursor);
        read_txn_end(txn);
        free_model(&model);
    }
}

static void a_range_has_the_points_that_brute_force_finds(void **state)
{
    struct fixture *fixture = *state;
    uint64_t seed = 4;

    for (uint32_t number = 1; number <= 3; number++) {
        struct model model = {.whole = true};
        make_model(&model, (enum level)(number % LEVEL_COUNT), number, 8, &seed);
        write_model(fixture, &model);
        struct read_txn *txn = read_begin(fixture);
        struct partition_cursor cursor = cursor_of(txn, &model);
        uint64_t length = (uint64_t)(model.partition.to - model.partition.from);
        for (int i = 0; i < 150; i++) {
            const struct model_series *series = &model.series[random_below(&seed, model.count)];
            int64_t from = model.partition.from - 5 + (int64_t)random_below(&seed, length + 10);
            int64_t to = from + (int64_t)random_below(&seed, length);
            if (cursor.id != series->id || i % 3 == 0)
                MUST(partition_cursor_seek(&cursor, series->id, &err));
            check_points(&cursor, series, from, to);
            check_merge(&cursor, series, from, to);
        }
        partition_cursor_fini(&cursor);
        read_txn_end(txn);
        free_model(&model);
    }
}

static void a_cursor_finds_the_first_series_from_an_id_on(void **state)
{
    struct fixture *fixture = *state;
    struct model models[3] = {{.whole = true}, {.whole = true}, {.whole = true}};
    struct arena arena = ARENA_EMPTY;
    uint64_t seed = 9;

    for (uint32_t i = 0; i < 3; i++) {
        make_model(&models[i], LEVEL_QUARTER, i + 255, 10, &seed);
        write_model(fixture, &models[i]);
    }
    struct read_txn *txn = read_begin(fixture);
    for (uint32_t i = 0; i < 3; i++) {
        struct partition_cursor cursor = cursor_of(txn, &models[i]);
        for (int tries = 0; tries < 300; tries++) {
            uint32_t id = (uint32_t)random_below(&seed, 4000);
            size_t at = 0;
            while (at < 10 && models[i].series[at].id < id)
                at++;
            MUST(partition_cursor_seek(&cursor, id, &err));
            assert_int_equal(cursor.id, at < 10 ? models[i].series[at].id : 0);
            if (tries % 2 == 0 && cursor.id != 0)
                check_points(&cursor, &models[i].series[at], INT64_MIN, INT64_MAX);
            MUST(partition_cursor_next(&cursor, &err));
            assert_int_equal(cursor.id, at + 1 < 10 ? models[i].series[at + 1].id : 0);
        }
        MUST(partition_cursor_seek(&cursor, UINT32_MAX, &err));
        struct block_points points = {NULL, 1};
        struct cell cell = CELL_EMPTY;
        wall_ms newest = WALL_NONE;
        MUST(partition_cursor_points(&cursor, 0, 10, &arena, &points, &err));
        MUST(partition_cursor_merge(&cursor, (const int64_t[]){0, 10}, &arena, &cell, &newest,
                                    &err));
        assert_int_equal(points.count, 0);
        assert_int_equal(cell.aggregate.count, 0);
        partition_cursor_fini(&cursor);
        free_model(&models[i]);
    }
    read_txn_end(txn);
    arena_fini(&arena);
}

static void partitions_built_side_by_side_both_read_back(void **state)
{
    struct fixture *fixture = *state;
    struct model models[2] = {{.whole = false}, {.whole = false}};
    struct partition_writer writers[2];
    uint64_t seed = 10;

    for (uint32_t i = 0; i < 2; i++) {
        make_model(&models[i], LEVEL_MINUTE, 8 - i, 20, &seed);
        partition_writer_init(&writers[i], &models[i].partition);
    }
    struct write_txn txn = write_begin(fixture);
    for (size_t i = 0; i < 40; i++)
        add_series_to(&writers[i % 2], &txn, &models[i % 2].series[i / 2]);
    MUST(write_txn_commit(&txn, &err));
    struct read_txn *reader = read_begin(fixture);
    for (size_t i = 0; i < 2; i++) {
        struct partition_cursor cursor = cursor_of(reader, &models[i]);
        MUST(partition_cursor_seek(&cursor, 0, &err));
        for (size_t j = 0; j < 20; j++) {
            check_points(&cursor, &models[i].series[j], INT64_MIN, INT64_MAX);
            MUST(partition_cursor_next(&cursor, &err));
        }
        partition_cursor_fini(&cursor);
        partition_writer_fini(&writers[i]);
        free_model(&models[i]);
    }
    read_txn_end(reader);
}

/* --- parts -------------------------------------------------------------------------------------
 */

static size_t rows_of(const struct read_txn *txn, enum database database)
{
    MDB_stat facts;
    assert_int_equal(mdb_stat(txn->txn, txn->store->databases[database], &facts), 0);
    return facts.ms_entries;
}

/* One series with a point in each bucket of a week of quarters, of the shape. */
static void make_week(struct model *model, enum shape shape, uint64_t *seed)
{
    model->partition =
        (struct partition){.level = LEVEL_QUARTER, .number = 1, .from = 0, .to = QUARTERS_PER_WEEK};
    model->series = memory_zero(1, sizeof *model->series);
    model->count = 1;
    model->series[0] = (struct model_series){
        .id = 1,
        .buckets = memory_zero(QUARTERS_PER_WEEK, sizeof(int64_t)),
        .cells = memory_zero(QUARTERS_PER_WEEK, sizeof(struct cell)),
        .count = QUARTERS_PER_WEEK,
    };
    for (int64_t i = 0; i < QUARTERS_PER_WEEK; i++) {
        model->series[0].buckets[i] = i;
        fill_cell(&model->series[0].cells[i], shape, i * 15 * MS_PER_MINUTE, seed, false);
    }
}

static void points_outside_the_range_are_not_decoded(void **state)
{
    struct fixture *fixture = *state;
    struct model model = {.whole = false};
    struct arena all = ARENA_EMPTY;
    struct arena some = ARENA_EMPTY;
    struct block_points points;
    uint64_t seed = 11;

    make_week(&model, SHAPE_MANY, &seed);
    write_model(fixture, &model);
    struct read_txn *txn = read_begin(fixture);
    assert_in_range(rows_of(txn, DATABASE_QUARTERS), 20, 100);
    struct partition_cursor cursor = cursor_of(txn, &model);
    MUST(partition_cursor_seek(&cursor, 1, &err));
    MUST(partition_cursor_points(&cursor, 0, QUARTERS_PER_WEEK, &all, &points, &err));
    assert_int_equal(points.count, QUARTERS_PER_WEEK);
    for (int64_t at = 0; at < QUARTERS_PER_WEEK; at += 13) {
        arena_fini(&some);
        MUST(partition_cursor_points(&cursor, at, at + 1, &some, &points, &err));
        assert_int_equal(points.count, 1);
        assert_int_equal(points.points[0].bucket, at);
        assert_true(some.total_bytes < all.total_bytes / 10);
    }
    partition_cursor_fini(&cursor);
    read_txn_end(txn);
    arena_fini(&all);
    arena_fini(&some);
    free_model(&model);
}

/* Blocks of sketches are as small as parts last. */
static void sketches_of_any_size_fit_into_the_parts_there_are(void **state)
{
    struct fixture *fixture = *state;
    struct model model = {.whole = false};
    uint64_t seed = 12;

    make_week(&model, SHAPE_UNIQUE, &seed);
    for (size_t i = 0; i < QUARTERS_PER_WEEK; i += 7) {
        for (uint64_t member = 0; member < 300; member++) /* dense: 16 KiB */
            distinct_add(model.series[0].cells[i].distinct,
                         (struct str){(const char *)&member, sizeof member});
    }
    write_model(fixture, &model);
    struct read_txn *txn = read_begin(fixture);
    assert_in_range(rows_of(txn, DATABASE_QUARTERS), 200, PARTITION_PARTS_MAX);
    struct partition_cursor cursor = cursor_of(txn, &model);
    MUST(partition_cursor_seek(&cursor, 1, &err));
    check_points(&cursor, &model.series[0], INT64_MIN, INT64_MAX);
    check_merge(&cursor, &model.series[0], 5, 300);
    partition_cursor_fini(&cursor);
    read_txn_end(txn);
    free_model(&model);
}

static void small_blocks_stay_below_their_limit(void **state)
{
    struct fixture *fixture = *state;
    struct model model = {.whole = false};
    MDB_cursor *rows = NULL;
    MDB_val key;
    MDB_val value;
    uint64_t seed = 13;
    uint64_t bytes = 0;

    make_week(&model, SHAPE_MANY, &seed);
    write_model(fixture, &model);
    struct read_txn *txn = read_begin(fixture);
    assert_int_equal(mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_QUARTERS], &rows), 0);
    while (mdb_cursor_get(rows, &key, &value, MDB_NEXT) == 0) {
        assert_true(value.mv_size <= PARTITION_BLOCK_BYTES);
        bytes += value.mv_size;
    }
    assert_int_equal(bytes, model.partition.bytes);
    mdb_cursor_close(rows);
    read_txn_end(txn);
    free_model(&model);
}

/* --- what is refused ---------------------------------------------------------------------------
 */

static void points_that_do_not_fit_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct partition facts = {.level = LEVEL_MINUTE, .number = 1, .from = 100, .to = 200};
    struct block_point points[3] = {{.bucket = 100}, {.bucket = 150}, {.bucket = 199}};
    struct block_points all = {points, 3};
    struct partition_writer writer;
    struct error why = ERROR_EMPTY;

    partition_writer_init(&writer, &facts);
    struct write_txn txn = write_begin(fixture);
    for (size_t i = 0; i < 3; i++)
        aggregate_add(&points[i].aggregate, 1, WEIGHT_ONE, points[i].bucket * 60000, 1);
    points[0].bucket = 99;
    assert_false(partition_writer_add(&writer, &txn, 1, &all, &why));
    assert_int_equal(why.kind, ERROR_INVALID);
    points[0].bucket = 100;
    points[2].bucket = 200;
    assert_false(partition_writer_add(&writer, &txn, 1, &all, &why));
    points[2].bucket = 150; /* twice */
    assert_false(partition_writer_add(&writer, &txn, 1, &all, &why));
    points[2].bucket = 199;
    all.count = 0;
    assert_false(partition_writer_add(&writer, &txn, 1, &all, &why));
    all.count = PARTITION_POINTS_MAX + 1;
    assert_false(partition_writer_add(&writer, &txn, 1, &all, &why));
    assert_non_null(strstr(why.text, "65537 points of series 1 into partition 1"));
    all.count = 3;
    assert_int_equal(writer.partition.points, 0);
    MUST(partition_writer_add(&writer, &txn, 1, &all, &err));
    assert_int_equal(writer.partition.points, 3);
    write_txn_abort(&txn);
    partition_writer_fini(&writer);
}

static void a_sketch_that_is_none_is_refused(void **state)
{
    /* A distinct with one member is u8 1, u32 1, u64; a histogram of one value in bucket 0 is
     * version 1 in bits 6-7, scale 6, whole counts; no zeros; positive: 1 bucket, index 0. */
    static const char distinct[] = "\1\1\1\0\0\0\1\2\3\4\5\6\7\x08";
    struct cell both = CELL_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct block_point point;
    struct cell cell;
    (void)state;

    cell_add_value(&both, 1, WEIGHT_ONE, 5, 0);
    cell_add_value(&both, 2, WEIGHT_ONE, 6, 0);
    partition_point_of(&both, 0, &arena, &point);
    assert_true(partition_cell_of(&point, &cell));
    cell_fini(&cell);

    struct block_point broken = point;
    char *bytes = arena_text(&arena, point.sketch);
    broken.sketch.text = bytes;
    for (size_t len = 1; len < point.sketch.len; len++) { /* cut */
        broken.sketch.len = len;
        assert_false(partition_cell_of(&broken, &cell));
        assert_null(cell.histogram);
    }
    broken.sketch.len = point.sketch.len + 1; /* too long */
    assert_false(partition_cell_of(&broken, &cell));
    broken.sketch.len = point.sketch.len;
    for (int flags = 0; flags < 256; flags++) {
        bytes[0] = (char)flags;
        assert_int_equal(partition_cell_of(&broken, &cell), flags == 6);
        cell_fini(&cell);
    }
    broken = point;
    broken.aggregate.count += WEIGHT_ONE; /* the histogram counts fewer */
    assert_false(partition_cell_of(&broken, &cell));
    broken = point;
    broken.aggregate.max = broken.aggregate.min;
    assert_false(partition_cell_of(&broken, &cell));
    broken = point;
    broken.sketch = STR("\4"); /* counts its values, which differ, in nothing */
    assert_false(partition_cell_of(&broken, &cell));
    broken.sketch = (struct str){distinct, sizeof distinct - 1};
    assert_true(partition_cell_of(&broken, &cell));
    assert_non_null(cell.distinct);
    assert_false(cell.counts_values);
    cell_fini(&cell);
    broken.sketch.len--;
    assert_false(partition_cell_of(&broken, &cell));
    cell_fini(&both);
    arena_fini(&arena);
}

/* --- damage ------------------------------------------------------------------------------------
 */

/* Reads all series of the partition in both ways; false with the error. */
static bool read_everything(const struct read_txn *txn, const struct model *model, bool merging,
                            struct error *err)
{
    struct partition_cursor cursor;
    struct arena arena = ARENA_EMPTY;
    struct cell cell = CELL_EMPTY;
    struct block_points points;
    wall_ms newest = WALL_NONE;

    bool ok = partition_cursor_init(&cursor, txn, &model->partition, err) &&
              partition_cursor_seek(&cursor, 0, err);
    while (ok && cursor.id != 0) {
        if (merging)
            ok = partition_cursor_merge(&cursor, (const int64_t[]){INT64_MIN, INT64_MAX}, &arena,
                                        &cell, &newest, err);
        else
            ok = partition_cursor_points(&cursor, INT64_MIN, INT64_MAX, &arena, &points, err);
        ok = ok && partition_cursor_next(&cursor, err);
    }
    partition_cursor_fini(&cursor);
    cell_fini(&cell);
    arena_fini(&arena);
    return ok;
}

static void expect_corrupt(const struct write_txn *txn, const struct model *model)
{
    for (int merging = 0; merging < 2; merging++) {
        struct error err = ERROR_EMPTY;
        assert_false(read_everything(&txn->reader, model, merging != 0, &err));
        assert_int_equal(err.kind, ERROR_CORRUPT);
        assert_non_null(strstr(err.text, "in partition 1 of quarters"));
    }
}

static struct schema_key key_of(uint32_t id, uint8_t part)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    schema_put_u32(&key, 1);
    schema_put_u32(&key, id);
    schema_put_u8(&key, part);
    return key;
}

static void a_damaged_block_is_an_error_with_words(void **state)
{
    struct fixture *fixture = *state;
    struct model model = {.whole = false};
    struct arena arena = ARENA_EMPTY;
    uint64_t seed = 14;

    make_week(&model, SHAPE_MANY, &seed);
    write_model(fixture, &model);
    for (uint8_t part = 0; part < 3; part++) {
        struct schema_key key = key_of(1, part);
        for (size_t bit = part; bit < 3000; bit += 97) {
            struct write_txn txn = write_begin(fixture);
            struct str block;
            bool found = false;
            MUST(store_find(&txn.reader, DATABASE_QUARTERS, store_key(&key), &block, &found, &err));
            assert_true(found);
            struct str copy = arena_str(&arena, block);
            ((char *)copy.text)[bit / 8] ^= (char)(1 << bit % 8);
            MUST(store_put(&txn, DATABASE_QUARTERS, store_key(&key), copy, 0, &err));
            expect_corrupt(&txn, &model);
            write_txn_abort(&txn);
            arena_reset(&arena);
        }
    }
    arena_fini(&arena);
    free_model(&model);
}

static void a_block_that_is_lost_or_out_of_place_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct model model = {.whole = false};
    uint64_t seed = 15;

    make_week(&model, SHAPE_MANY, &seed);
    write_model(fixture, &model);
    for (uint8_t part = 0; part < 5; part++) {
        struct write_txn txn = write_begin(fixture);
        struct schema_key key = key_of(1, part);
        MUST(store_remove(&txn, DATABASE_QUARTERS, store_key(&key), &err));
        expect_corrupt(&txn, &model);
        write_txn_abort(&txn);
    }

    const struct schema_key moves[] = {key_of(2, 0), key_of(1, 1), key_of(0, 0), key_of(1, 255)};
    struct schema_key first = key_of(1, 0);
    for (size_t i = 0; i < TEST_COUNT(moves); i++) {
        struct write_txn txn = write_begin(fixture);
        struct str block;
        bool found = false;
        MUST(store_find(&txn.reader, DATABASE_QUARTERS, store_key(&first), &block, &found, &err));
        char copy[PARTITION_BLOCK_BYTES];
        memcpy(copy, block.text, block.len);
        MUST(store_put(&txn, DATABASE_QUARTERS, store_key(&moves[i]), (struct str){copy, block.len},
                       0, &err));
        expect_corrupt(&txn, &model);
        write_txn_abort(&txn);
    }

    struct write_txn txn = write_begin(fixture);
    struct schema_key longer = key_of(1, 3);
    schema_put_u8(&longer, 0);
    MUST(store_put(&txn, DATABASE_QUARTERS, store_key(&longer), STR("x"), 0, &err));
    expect_corrupt(&txn, &model);
    write_txn_abort(&txn);
    free_model(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_partition_reads_back_to_the_bit),
        STORE_TEST(a_range_has_the_points_that_brute_force_finds),
        STORE_TEST(a_cursor_finds_the_first_series_from_an_id_on),
        STORE_TEST(partitions_built_side_by_side_both_read_back),
        STORE_TEST(points_outside_the_range_are_not_decoded),
        STORE_TEST(sketches_of_any_size_fit_into_the_parts_there_are),
        STORE_TEST(small_blocks_stay_below_their_limit),
        STORE_TEST(points_that_do_not_fit_are_refused),
        cmocka_unit_test(a_sketch_that_is_none_is_refused),
        STORE_TEST(a_damaged_block_is_an_error_with_words),
        STORE_TEST(a_block_that_is_lost_or_out_of_place_is_an_error),
    };
    return cmocka_run_group_tests_name("partition", tests, NULL, NULL);
}
