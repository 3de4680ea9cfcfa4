#include <xxhash.h>

#include "store/run_model.h"

/* --- runs that hardly overlap --- */

/* Series `first`, `first` + `step`, ... at one minute: mostly plain samples. */
static void add_range(struct model *model, uint32_t first, uint32_t step, size_t count,
                      int64_t minute, uint64_t *random)
{
    model->capacity = model->count + count + 1;
    model->cells = memory_grow(model->cells, model->capacity, sizeof *model->cells);
    for (size_t i = 0; i < count; i++) {
        uint32_t id = first + (uint32_t)i * step;
        struct run_cell *cell = &model->cells[model->count++];
        wall_ms at = AT(minute, (int64_t)random_below(random, 60));
        double value = (double)random_below(random, 1000) / 4;
        uint64_t arrival = (uint64_t)at * 1000 + random_below(random, 5000);
        *cell = (struct run_cell){id, minute, CELL_EMPTY};
        if (id % 7 == 0)
            cell_add_value(&cell->cell, value, WEIGHT_ONE, at, arrival);
        else
            aggregate_add(&cell->cell.aggregate, value, WEIGHT_ONE * (id % 5 == 0 ? 3 : 1), at,
                          arrival);
    }
}

/* Cells of one place become one. */
static void combine(struct model *model)
{
    size_t kept = 0;

    sort(model);
    for (size_t i = 0; i < model->count; i++) {
        struct run_cell *cell = &model->cells[i];
        if (kept > 0 && compare_cells(&model->cells[kept - 1], cell) == 0) {
            cell_merge(&model->cells[kept - 1].cell, &cell->cell);
            cell_fini(&cell->cell);
        } else {
            model->cells[kept++] = *cell;
        }
    }
    model->count = kept;
}

enum layout {
    LAYOUT_DISJOINT,
    LAYOUT_SHIFTED, /* neighbours share some series */
    LAYOUT_REQUESTS,
    LAYOUT_NESTED,
    LAYOUT_EQUAL,
    LAYOUT_HUGE_AND_SMALL,
    LAYOUT_MINUTES,  /* the same series, each run another minute */
    LAYOUT_QUARTERS, /* the same series, each run another quarter of an hour */
    LAYOUT_MIXED,    /* other series in each, of several minutes and two quarters of an hour */
    LAYOUT_TOUCHING, /* each run begins in the last place of the one before */
    LAYOUT_COUNT,
};

static void lay_out(enum layout layout, struct model *model, uint32_t run, uint64_t *random)
{
    switch (layout) {
    case LAYOUT_DISJOINT:
        add_range(model, 1 + run * 1500, 1, 1500, MINUTE + run % 3, random);
        return;
    case LAYOUT_SHIFTED:
        add_range(model, 1 + run * 1500 + (uint32_t)random_below(random, 100), 1,
                  1450 + random_below(random, 200), MINUTE, random);
        return;
    case LAYOUT_REQUESTS:
        for (uint32_t i = 0; i < 4; i++)
            add_range(model, 1 + (run + 8 * i) * 400, 1, 400, MINUTE + i % 2, random);
        return;
    case LAYOUT_NESTED:
        add_range(model, 1 + run * 600, 1, 9000 - run * 1200, MINUTE, random);
        return;
    case LAYOUT_EQUAL:
        add_range(model, 1, 1, 1000, MINUTE, random);
        return;
    case LAYOUT_HUGE_AND_SMALL:
        if (run == 0)
            add_range(model, 1, 2, 6000, MINUTE, random);
        else
            add_range(model, 1 + (uint32_t)random_below(random, 12000), 1, 20, MINUTE, random);
        return;
    case LAYOUT_MINUTES:
        add_range(model, 1, 1, 1000, MINUTE + run, random);
        return;
    case LAYOUT_QUARTERS:
        add_range(model, 1, 1, 1000, MINUTE + (int64_t)run * MINUTES_PER_QUARTER, random);
        return;
    case LAYOUT_MIXED:
        for (int64_t i = 0; i < 6; i++)
            add_range(model, 1 + run * 300, 1, 300, MINUTE + i % 3 + i / 3 * MINUTES_PER_QUARTER,
                      random);
        return;
    default:
        add_range(model, 1 + run * 500, 1, 501, MINUTE, random);
        return;
    }
}

static struct many *laid_out_runs(struct fixture *fixture, enum layout layout, uint64_t *random)
{
    struct many *many = memory_zero(1, sizeof *many);

    many->count = 8;
    for (uint32_t i = 0; i < many->count; i++) {
        lay_out(layout, &many->models[i], i, random);
        combine(&many->models[i]);
        many->runs[i] = commit_run(fixture, i % 3, 1 + i, &many->models[i]);
    }
    return many;
}

/* Of all runs, in one list. */
static void expect_all(struct model *expected, const struct many *many, int64_t from)
{
    for (size_t i = 0; i < many->count; i++) {
        const struct model *model = &many->models[i];
        expected->capacity = expected->count + model->count + 1;
        expected->cells = memory_grow(expected->cells, expected->capacity, sizeof *expected->cells);
        for (size_t j = 0; j < model->count; j++) {
            struct run_cell *cell = &expected->cells[expected->count];
            if (model->cells[j].minute < from)
                continue;
            *cell = (struct run_cell){model->cells[j].id, model->cells[j].minute, CELL_EMPTY};
            cell_merge(&cell->cell, &model->cells[j].cell);
            expected->count++;
        }
    }
    combine(expected);
}

/* One step of a job of the background. False is an error of the merge. */
static bool merge_step(struct fixture *fixture, const struct many *many, int64_t from, size_t calls,
                       size_t most, struct run_writer *writer, bool *done, struct error *error)
{
    struct read_txn *source = read_begin(fixture);
    struct write_txn txn;

    MUST(write_txn_begin(fixture->store, NULL, &txn, &err));
    struct run_merge *merge = run_merge_new_moving(source, many->runs, many->count, from, error);
    assert_non_null(merge);
    bool ok = writer->run.cells > 0
                  ? run_merge_seek_after(merge, writer->last_id, writer->last_minute, error)
                  : run_merge_seek(merge, 0, from, error);
    for (size_t i = 0; ok && i < calls && !run_merge_is_over(merge); i++) {
        const uint64_t cells = writer->run.cells;
        const uint64_t chunks = writer->chunks;
        ok = run_merge_to(merge, writer, &txn, most, error);
        assert_true(!ok || writer->run.cells > cells);
        assert_true(writer->run.cells - cells <= most || writer->chunks > chunks);
        assert_true(writer->chunks - chunks <= 2);
    }
    *done = ok && run_merge_is_over(merge);
    run_merge_free(merge);
    MUST(run_writer_flush(writer, &txn, &err));
    MUST(write_txn_commit(&txn, &err));
    read_txn_end(source);
    return ok;
}

/* The chunks of a run, and how many of them are, but for the checksum, one of another run. */
struct chunk_counts {
    uint64_t chunks, bytes, adopted;
};

static bool has_chunk(const struct read_txn *txn, const struct many *many, const MDB_val *name,
                      const MDB_val *chunk)
{
    for (size_t i = 0; i < many->count; i++) {
        unsigned char bytes[32];
        MDB_val key = {name->mv_size, bytes};
        MDB_val value;
        const enum database database = many->runs[i].tier == 0 ? DATABASE_JOURNAL : DATABASE_RUN;
        memcpy(bytes, name->mv_data, name->mv_size);
        bytes[7] = (unsigned char)many->runs[i].number; /* the lowest byte of it */
        if (mdb_get(txn->txn, txn->store->databases[database], &key, &value) == 0 &&
            value.mv_size == chunk->mv_size &&
            memcmp(value.mv_data, chunk->mv_data, value.mv_size - 4) == 0)
            return true;
    }
    return false;
}

static struct chunk_counts count_chunks(struct fixture *fixture, const struct run *run,
                                        const struct many *many)
{
    struct chunk_counts counts = {0};
    struct read_txn *txn = read_begin(fixture);
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;

    assert_int_equal(mdb_cursor_open(txn->txn, txn->store->databases[DATABASE_RUN], &cursor), 0);
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        if (((const unsigned char *)key.mv_data)[7] != run->number)
            continue;
        counts.chunks++;
        counts.bytes += value.mv_size;
        counts.adopted += has_chunk(txn, many, &key, &value);
    }
    mdb_cursor_close(cursor);
    read_txn_end(txn);
    return counts;
}

static void assert_record_is(const struct run *run, const struct model *expected)
{
    int64_t min = INT64_MAX;
    int64_t max = INT64_MIN;

    for (size_t i = 0; i < expected->count; i++) {
        const int64_t minute = expected->cells[i].minute;
        min = minute < min ? minute : min;
        max = minute > max ? minute : max;
    }
    assert_int_equal(run->cells, expected->count);
    assert_int_equal(run->min_minute, min);
    assert_int_equal(run->max_minute, max);
}

/* `layout` in one step, or in many. */
static struct chunk_counts merge_layout(struct fixture *fixture, const struct many *many,
                                        uint64_t number, int64_t from, size_t calls, size_t most)
{
    struct model expected = {0};
    struct run_writer writer;
    bool done = false;

    expect_all(&expected, many, from);
    run_writer_init(&writer, 1, number);
    while (!done)
        MUST(merge_step(fixture, many, from, calls, most, &writer, &done, &err));
    assert_run_is(fixture, &writer.run, &expected);
    assert_record_is(&writer.run, &expected);
    struct chunk_counts counts = count_chunks(fixture, &writer.run, many);
    assert_int_equal(counts.chunks, writer.chunks);
    assert_int_equal(counts.bytes, writer.run.bytes);
    run_writer_fini(&writer);
    model_fini(&expected);
    return counts;
}

static void chunks_before_all_other_runs_are_moved_as_they_are(void **state)
{
    /* percent of the chunks of the merge that are one of a run's */
    static const unsigned adopted[LAYOUT_COUNT] = {[LAYOUT_DISJOINT] = 70,
                                                   [LAYOUT_SHIFTED] = 40,
                                                   [LAYOUT_NESTED] = 5,
                                                   [LAYOUT_HUGE_AND_SMALL] = 5,
                                                   [LAYOUT_QUARTERS] = 60};
    struct fixture *fixture = *state;
    uint64_t random = 30;

    for (enum layout layout = 0; layout < LAYOUT_COUNT; layout++) {
        struct many *many = laid_out_runs(fixture, layout, &random);
        struct chunk_counts counts =
            merge_layout(fixture, many, 100, INT64_MIN, SIZE_MAX, 1 + random_below(&random, 200));
        if (counts.adopted * 100 < counts.chunks * adopted[layout])
            fail_msg("layout %d: %llu of %llu chunks", (int)layout,
                     (unsigned long long)counts.adopted, (unsigned long long)counts.chunks);
        if (layout == LAYOUT_EQUAL)
            assert_int_equal(counts.adopted, 0);
        /* three quarters full, but for the last one */
        assert_true(counts.bytes + CHUNK_BYTES_MAX >= counts.chunks * (CHUNK_BYTES_MAX / 4 * 3));
        many_free(many);
        next_store(fixture);
    }
}

static void merging_runs_of_any_layout_in_steps_gives_the_same_run(void **state)
{
    const int64_t quarter = MINUTE - MINUTE % MINUTES_PER_QUARTER;
    const struct {
        size_t calls, most;
        int64_t from;
    } cases[] = {{SIZE_MAX, 64, MINUTE + 1}, {SIZE_MAX, 100, quarter + MINUTES_PER_QUARTER},
                 {7, 64, INT64_MIN},         {30, 400, MINUTE + 2},
                 {40, 5, MINUTE + 1},        {3, 400, quarter + (int64_t)2 * MINUTES_PER_QUARTER},
                 {200, 1, INT64_MIN}};
    struct fixture *fixture = *state;
    uint64_t random = 31;

    for (enum layout layout = 0; layout < LAYOUT_COUNT; layout++) {
        struct many *many = laid_out_runs(fixture, layout, &random);
        size_t at = 2 + layout % (TEST_COUNT(cases) - 2);
        for (size_t i = 0; i < 3; at = i++) /* and the first two */
            (void)merge_layout(fixture, many, 100 + i, cases[at].from, cases[at].calls,
                               cases[at].most);
        many_free(many);
        next_store(fixture);
    }
}

/* As commit_run, of chunks of so many cells. */
static struct run commit_small_chunks(struct fixture *fixture, uint64_t number,
                                      const struct model *model, size_t cells)
{
    struct run_writer writer;
    struct write_txn txn;

    MUST(write_txn_begin(fixture->store, NULL, &txn, &err));
    run_writer_init(&writer, 1, number);
    for (size_t i = 0; i < model->count; i++) {
        const struct run_cell *cell = &model->cells[i];
        MUST(run_writer_add(&writer, &txn, cell->id, cell->minute, &cell->cell, &err));
        if (i % cells == cells - 1)
            MUST(run_writer_flush(&writer, &txn, &err));
    }
    MUST(run_writer_flush(&writer, &txn, &err));
    MUST(write_txn_commit(&txn, &err));
    struct run run = writer.run;
    run_writer_fini(&writer);
    return run;
}

static void chunks_do_not_stay_small(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 33;
    static const size_t cells[] = {3, 100, 220, 260};

    for (size_t i = 0; i < TEST_COUNT(cells); i++) {
        struct many *many = memory_zero(1, sizeof *many);
        many->count = 4;
        for (uint32_t j = 0; j < many->count; j++) {
            add_range(&many->models[j], 1 + j * 1500, 1, 1500, MINUTE, &random);
            many->runs[j] = commit_small_chunks(fixture, 1 + j, &many->models[j], cells[i]);
        }
        struct chunk_counts counts = merge_layout(fixture, many, 100, INT64_MIN, SIZE_MAX, 64);
        assert_true(counts.bytes + CHUNK_BYTES_MAX >= counts.chunks * (CHUNK_BYTES_MAX / 4 * 3));
        many_free(many);
        next_store(fixture);
    }
}

/* Two runs, the second of which begins with any of the last cells of a chunk of the first. */
static void a_chunk_whose_last_cell_is_another_runs_first_is_not_moved(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 34;

    for (uint32_t i = 0; i < 3; i++) {
        struct many *many = memory_zero(1, sizeof *many);
        many->count = 2;
        add_range(&many->models[0], 1, 1, 330, MINUTE, &random);
        many->runs[0] = commit_small_chunks(fixture, 1, &many->models[0], 330);
        assert_true(many->runs[0].bytes > CHUNK_BYTES_MAX / 4 * 3);
        assert_true(many->runs[0].bytes <= CHUNK_BYTES_MAX);
        add_range(&many->models[1], 329 + i, 1, 10, MINUTE, &random);
        many->runs[1] = commit_small_chunks(fixture, 2, &many->models[1], 10);
        struct chunk_counts counts = merge_layout(fixture, many, 100, INT64_MIN, SIZE_MAX, 64);
        assert_int_equal(counts.adopted, i == 2 ? 2 : 0); /* 331 is after 330 */
        many_free(many);
        next_store(fixture);
    }
}

/* Changes bytes of the run's second chunk; `sum`: and its checksum. */
static void damage(struct fixture *fixture, const struct run *run, bool sum, uint64_t *random)
{
    struct write_txn txn;
    struct schema_key first = {.len = 0};
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    struct buf name = BUF_EMPTY;
    struct buf bytes = BUF_EMPTY;

    MUST(write_txn_begin(fixture->store, NULL, &txn, &err));
    assert_int_equal(
        mdb_cursor_open(txn.reader.txn, fixture->store->databases[DATABASE_RUN], &cursor), 0);
    schema_put_u64(&first, run->number);
    key = store_key(&first);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_NEXT), 0);
    buf_str(&name, store_bytes(&key));
    buf_str(&bytes, store_bytes(&value));
    mdb_cursor_close(cursor);
    bytes.bytes[random_below(random, bytes.len - 4)] ^= (char)(1 + random_below(random, 255));
    if (sum) {
        uint32_t checksum = (uint32_t)XXH3_64bits_withSeed(bytes.bytes, bytes.len - 4, run->number);
        memcpy(bytes.bytes + bytes.len - 4, &checksum, sizeof checksum);
    }
    MUST(store_put(&txn, DATABASE_RUN, store_value(buf_view(&name)), buf_view(&bytes), 0, &err));
    MUST(write_txn_commit(&txn, &err));
    buf_fini(&name);
    buf_fini(&bytes);
}

/* Into a model. Whether it could be read to its end. */
static bool read_run(struct fixture *fixture, const struct run *run, struct model *out)
{
    struct read_txn *txn = read_begin(fixture);
    struct run_cursor cursor;
    struct error error = ERROR_EMPTY;

    MUST(run_cursor_init(&cursor, txn, run, &err));
    bool ok = run_cursor_first(&cursor, &error);
    while (ok && cursor.has_cell) {
        out->cells = memory_grow(out->cells, out->count + 1, sizeof *out->cells);
        out->cells[out->count] = (struct run_cell){cursor.cell.id, cursor.cell.minute, CELL_EMPTY};
        cell_merge(&out->cells[out->count++].cell, &cursor.cell.cell);
        ok = run_cursor_next(&cursor, &error);
    }
    assert_true(ok || error.kind == ERROR_CORRUPT);
    run_cursor_fini(&cursor);
    read_txn_end(txn);
    return ok;
}

/* What could not be read before the merge either stops it or cannot be read after it; what could
 * be is the same. */
static void a_damaged_chunk_is_told_by_the_merge_or_by_who_reads_after_it(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 32;
    size_t stopped = 0;
    size_t told_later = 0;

    for (size_t round = 0; round < 40; round++) {
        struct many *many = memory_zero(1, sizeof *many);
        struct model before = {0};
        struct model after = {0};
        struct run_writer writer;
        struct error error = ERROR_EMPTY;
        bool done = false;
        bool sum = round % 4 != 0;

        many->count = 1;
        add_range(&many->models[0], 1, 1, 1200, MINUTE, &random);
        many->runs[0] = commit_run(fixture, 1, 1 + round, &many->models[0]);
        damage(fixture, &many->runs[0], sum, &random);
        bool was_sound = read_run(fixture, &many->runs[0], &before);
        run_writer_init(&writer, 1, 100 + round);
        bool merged = merge_step(fixture, many, INT64_MIN, SIZE_MAX, 64, &writer, &done, &error);
        bool is_sound = merged && read_run(fixture, &writer.run, &after);
        assert_true(merged || error.kind == ERROR_CORRUPT);
        assert_int_equal(is_sound, was_sound);
        assert_true(sum || !merged);
        stopped += !merged;
        told_later += merged && !is_sound;
        assert_int_equal(is_sound ? after.count : 0, is_sound ? before.count : 0);
        for (size_t i = 0; is_sound && i < before.count; i++)
            assert_same_cell(&after.cells[i], &before.cells[i]);
        run_writer_fini(&writer);
        model_fini(&before);
        model_fini(&after);
        many_free(many);
    }
    assert_true(stopped > 0 && told_later > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(chunks_before_all_other_runs_are_moved_as_they_are),
        STORE_TEST(merging_runs_of_any_layout_in_steps_gives_the_same_run),
        STORE_TEST(chunks_do_not_stay_small),
        STORE_TEST(a_chunk_whose_last_cell_is_another_runs_first_is_not_moved),
        STORE_TEST(a_damaged_chunk_is_told_by_the_merge_or_by_who_reads_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
