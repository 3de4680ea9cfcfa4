#include "store/run_model.h"

/* By quarters, so that every sum is exact in any order. */
static void add_samples(struct model *model, size_t count, uint64_t *random)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t id = 1 + (uint32_t)random_below(random, SERIES);
        int64_t minute = MINUTE + (int64_t)random_below(random, MINUTES);
        struct cell *cell = model_cell(model, id, minute);
        wall_ms at = AT(minute, (int64_t)random_below(random, 60));
        double value = (double)random_below(random, 1000) / 4;
        uint64_t arrival = (uint64_t)at * 1000 + random_below(random, 5);
        if (id % 7 == 0)
            cell_add_value(cell, value, WEIGHT_ONE, at, arrival);
        else
            aggregate_add(&cell->aggregate, value, WEIGHT_ONE * (1 + random_below(random, 3)), at,
                          arrival);
        if (id % 50 == 0) {
            uint64_t member = random_next(random);
            if (cell->distinct == NULL)
                cell->distinct = distinct_new();
            distinct_add(cell->distinct, (struct str){(const char *)&member, sizeof member});
        }
    }
    sort(model);
}

static void merge_models(struct model *into, const struct model *from, int64_t begin, int64_t end)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct run_cell *cell = &from->cells[i];
        if (cell->minute >= begin && cell->minute < end)
            cell_merge(model_cell(into, cell->id, cell->minute), &cell->cell);
    }
}

/* --- runs ---------------------------------------------------------------------------------------
 */

static void a_run_is_read_back_from_front_to_end(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 1;
    struct model model = {0};
    struct run_cursor cursor;
    size_t at = 0;

    add_samples(&model, 3000, &random);
    struct run run = commit_run(fixture, 0, 5, &model);
    assert_int_equal(run.cells, model.count);
    assert_true(run.bytes > model.count * 8 && run.bytes < model.count * 60);
    for (size_t i = 0; i < model.count; i++) {
        assert_true(run.min_minute <= model.cells[i].minute);
        assert_true(run.max_minute >= model.cells[i].minute);
    }
    struct read_txn *txn = read_begin(fixture);
    MUST(run_cursor_init(&cursor, txn, &run, &err));
    MUST(run_cursor_first(&cursor, &err));
    for (; cursor.has_cell; at++) {
        assert_is_at(&cursor, &model, at);
        MUST(run_cursor_next(&cursor, &err));
    }
    assert_int_equal(at, model.count);
    run_cursor_fini(&cursor);
    read_txn_end(txn);
    model_fini(&model);
}

static size_t first_at_or_after(const struct model *model, uint32_t id, int64_t minute)
{
    size_t at = 0;
    while (at < model->count &&
           chunk_order(model->cells[at].id, model->cells[at].minute, id, minute) < 0)
        at++;
    return at;
}

/* Neighbours in the same database must not be taken for this run's. */
static void seeking_finds_the_first_cell_at_or_after_a_place(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 2;
    struct model models[3] = {{0}};
    struct run runs[3];

    for (size_t i = 0; i < TEST_COUNT(models); i++) {
        add_samples(&models[i], 1500, &random);
        runs[i] = commit_run(fixture, 1, 10 + i, &models[i]);
    }
    struct read_txn *txn = read_begin(fixture);
    for (size_t i = 0; i < TEST_COUNT(models); i++) {
        const struct model *model = &models[i];
        struct run_cursor cursor;
        MUST(run_cursor_init(&cursor, txn, &runs[i], &err));
        for (size_t j = 0; j < 400; j++) {
            uint32_t id = (uint32_t)random_below(&random, SERIES + 3);
            int64_t minute = MINUTE - 16 + (int64_t)random_below(&random, MINUTES + 32);
            if (random_below(&random, 2) == 0 && cursor.has_cell) { /* a little further */
                id = cursor.cell.id + (uint32_t)random_below(&random, 2);
                minute = cursor.cell.minute + (int64_t)random_below(&random, 2);
            }
            size_t at = first_at_or_after(model, id, minute);
            MUST(run_cursor_seek(&cursor, id, minute, &err));
            assert_is_at(&cursor, model, at);
            if (random_below(&random, 2) == 0) {
                MUST(run_cursor_next(&cursor, &err));
                assert_is_at(&cursor, model, at < model->count ? at + 1 : at);
            }
        }
        run_cursor_fini(&cursor);
    }
    read_txn_end(txn);
    for (size_t i = 0; i < TEST_COUNT(models); i++)
        model_fini(&models[i]);
}

/* Also between the last cell of a chunk and the first one of the next. */
static void seeking_just_past_each_cell_finds_the_next_one(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 9;
    struct model model = {0};
    struct run_cursor cursor;

    for (uint32_t id = 1; id <= 1500; id++) {
        wall_ms at = AT(MINUTE, 0) + (wall_ms)random_below(&random, MS_PER_MINUTE);
        aggregate_add(&model_cell(&model, 2 * id, MINUTE)->aggregate, 0.1 * id, WEIGHT_ONE, at, 1);
    }
    struct run run = commit_run(fixture, 0, 1, &model);
    assert_true(run.bytes > (uint64_t)4 * CHUNK_BYTES_MAX);
    struct read_txn *txn = read_begin(fixture);
    MUST(run_cursor_init(&cursor, txn, &run, &err));
    for (size_t i = model.count; i-- > 0;) { /* backwards: each is a look-up */
        MUST(run_cursor_seek(&cursor, model.cells[i].id + 1, MINUTE, &err));
        assert_is_at(&cursor, &model, i + 1);
    }
    for (size_t i = 0; i < model.count; i++) {
        MUST(run_cursor_seek(&cursor, model.cells[i].id + 1, MINUTE, &err));
        assert_is_at(&cursor, &model, i + 1);
    }
    run_cursor_fini(&cursor);
    read_txn_end(txn);
    model_fini(&model);
}

/* Cells too large for one chunk, so that several chunks begin in one quarter of one series. */
static void the_quarter_of_a_series_may_be_split_over_chunks(void **state)
{
    struct fixture *fixture = *state;
    struct model model = {0};
    struct run_cursor cursor;

    for (int64_t i = 0; i < 15; i++) {
        struct cell *cell = model_cell(&model, 3, MINUTE - MINUTE % 15 + i);
        cell->distinct = distinct_new();
        for (uint32_t j = 0; j < 220; j++) {
            uint32_t member = j + 1000 * (uint32_t)i;
            distinct_add(cell->distinct, (struct str){(const char *)&member, sizeof member});
        }
    }
    struct run run = commit_run(fixture, 0, 1, &model);
    struct read_txn *txn = read_begin(fixture);
    MUST(run_cursor_init(&cursor, txn, &run, &err));
    for (size_t i = model.count; i-- > 0;) {
        MUST(run_cursor_seek(&cursor, 3, model.cells[i].minute, &err));
        assert_is_at(&cursor, &model, i);
    }
    run_cursor_fini(&cursor);
    read_txn_end(txn);
    model_fini(&model);
}

static void a_run_may_be_written_over_several_transactions(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 3;
    struct model model = {0};
    struct run_writer writer;
    struct run_cursor cursor;
    struct write_txn txn;

    add_samples(&model, 2000, &random);
    run_writer_init(&writer, 2, 77);
    for (size_t i = 0; i < model.count;) {
        size_t end = i + 1 + random_below(&random, 300);
        MUST(write_txn_begin(fixture->store, NULL, &txn, &err));
        for (; i < end && i < model.count; i++)
            MUST(run_writer_add(&writer, &txn, model.cells[i].id, model.cells[i].minute,
                                &model.cells[i].cell, &err));
        MUST(run_writer_flush(&writer, &txn, &err));
        MUST(write_txn_commit(&txn, &err));
    }
    struct read_txn *reader = read_begin(fixture);
    MUST(run_cursor_init(&cursor, reader, &writer.run, &err));
    MUST(run_cursor_first(&cursor, &err));
    for (size_t i = 0; i <= model.count; i++) {
        assert_is_at(&cursor, &model, i);
        MUST(run_cursor_next(&cursor, &err));
    }
    run_cursor_fini(&cursor);
    run_writer_fini(&writer);
    read_txn_end(reader);
    model_fini(&model);
}

static void a_run_that_is_not_the_newest_is_written_too(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 4;
    struct model models[3] = {{0}};
    struct run runs[3];
    static const uint64_t numbers[] = {9, 3, 6};

    for (size_t i = 0; i < 3; i++) {
        add_samples(&models[i], 500, &random);
        runs[i] = commit_run(fixture, 1, numbers[i], &models[i]);
    }
    struct read_txn *txn = read_begin(fixture);
    for (size_t i = 0; i < 3; i++) {
        struct run_cursor cursor;
        MUST(run_cursor_init(&cursor, txn, &runs[i], &err));
        MUST(run_cursor_first(&cursor, &err));
        for (size_t j = 0; j <= models[i].count; j++) {
            assert_is_at(&cursor, &models[i], j);
            MUST(run_cursor_next(&cursor, &err));
        }
        run_cursor_fini(&cursor);
        model_fini(&models[i]);
    }
    read_txn_end(txn);
}

static void runs_of_tier_0_are_in_the_journal(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 5;
    struct model journal = {0};
    struct model other = {0};
    struct run_cursor cursor;

    add_samples(&journal, 50, &random);
    add_samples(&other, 60, &random);
    struct run run = commit_run(fixture, 0, 1, &journal);
    (void)commit_run(fixture, 1, 1, &other);
    struct read_txn *txn = read_begin(fixture);
    MUST(run_cursor_init(&cursor, txn, &run, &err));
    MUST(run_cursor_first(&cursor, &err));
    assert_is_at(&cursor, &journal, 0);
    run_cursor_fini(&cursor);
    read_txn_end(txn);
    model_fini(&journal);
    model_fini(&other);
}

/* --- merging ------------------------------------------------------------------------------------
 */

static struct many *many_runs(struct fixture *fixture, size_t count, size_t samples,
                              uint64_t *random)
{
    struct many *many = memory_zero(1, sizeof *many);

    many->count = count;
    for (size_t i = 0; i < count; i++) {
        add_samples(&many->models[i], 1 + random_below(random, samples), random);
        many->runs[i] = commit_run(fixture, (unsigned)(i % 3), 1 + i, &many->models[i]);
    }
    return many;
}

static struct run_merge *merge_of(const struct read_txn *txn, const struct many *many, int64_t from,
                                  int64_t to)
{
    struct error err = ERROR_EMPTY;
    struct run_merge *merge = run_merge_new(txn, many->runs, many->count, from, to, &err);
    if (merge == NULL)
        fail_msg("%s", err.text);
    return merge;
}

static void assert_merges(struct run_merge *merge, const struct model *expected, size_t at,
                          size_t end)
{
    struct run_cell cell;
    bool found = false;

    for (; at < end; at++) {
        MUST(run_merge_next(merge, &cell, &found, &err));
        assert_int_equal(found, at < expected->count);
        if (!found)
            return;
        assert_same_cell(&cell, &expected->cells[at]);
        cell_fini(&cell.cell);
    }
}

static void merging_many_runs_gives_the_merge_of_each_place(void **state)
{
    static const struct {
        size_t runs, samples;
        int64_t from, to;
    } cases[] = {
        {1, 500, INT64_MIN, INT64_MAX},
        {2, 500, INT64_MIN, INT64_MAX},
        {8, 300, INT64_MIN, INT64_MAX},
        {37, 60, INT64_MIN, INT64_MAX},
        {9, 200, MINUTE + 3, MINUTE + 21},
        {9, 200, MINUTE - MINUTE % 15 + 15, MINUTE - MINUTE % 15 + 30},
        {5, 100, MINUTE + 7, MINUTE + 8},
        {5, 100, MINUTE + 7, MINUTE + 7},
        {5, 100, MINUTE + 1000, INT64_MAX},
        {0, 1, INT64_MIN, INT64_MAX},
    };
    struct fixture *fixture = *state;
    uint64_t random = 6;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct many *many = many_runs(fixture, cases[i].runs, cases[i].samples, &random);
        struct model expected = {0};
        for (size_t j = 0; j < many->count; j++)
            merge_models(&expected, &many->models[j], cases[i].from, cases[i].to);
        sort(&expected);
        struct read_txn *txn = read_begin(fixture);
        struct run_merge *merge = merge_of(txn, many, cases[i].from, cases[i].to);
        assert_merges(merge, &expected, 0, expected.count + 2);
        for (size_t j = 0; j < 20; j++) {
            uint32_t id = (uint32_t)random_below(&random, SERIES + 3);
            int64_t minute = MINUTE - 16 + (int64_t)random_below(&random, MINUTES + 32);
            size_t at = first_at_or_after(&expected, id, minute);
            MUST(run_merge_seek(merge, id, minute, &err));
            assert_merges(merge, &expected, at, at + random_below(&random, 4));
        }
        run_merge_free(merge);
        read_txn_end(txn);
        model_fini(&expected);
        many_free(many);
        next_store(fixture);
    }
}

/* As a job of the background does: step by step, each in a transaction of its own, from the
 * snapshot before it. */
static void merging_in_steps_gives_the_same_run(void **state)
{
    static const struct {
        size_t runs, samples, step;
        int64_t from;
    } cases[] = {{8, 400, 150, INT64_MIN},
                 {8, 400, 1, MINUTE + 20},
                 {3, 50, 7, INT64_MIN},
                 {1, 300, 64, MINUTE + 5},
                 {20, 30, 1000, INT64_MIN}};
    struct fixture *fixture = *state;
    uint64_t random = 7;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct many *many = many_runs(fixture, cases[i].runs, cases[i].samples, &random);
        struct model expected = {0};
        struct run_writer writer;
        bool done = false;

        for (size_t j = 0; j < many->count; j++)
            merge_models(&expected, &many->models[j], cases[i].from, INT64_MAX);
        sort(&expected);
        run_writer_init(&writer, 1, 100);
        while (!done) {
            struct read_txn *source = read_begin(fixture);
            struct write_txn txn;
            struct error error = ERROR_EMPTY;
            MUST(write_txn_begin(fixture->store, NULL, &txn, &err));
            struct run_merge *merge =
                run_merge_new_moving(source, many->runs, many->count, cases[i].from, &error);
            assert_non_null(merge);
            if (writer.run.cells > 0)
                MUST(run_merge_seek_after(merge, writer.last_id, writer.last_minute, &err));
            else
                MUST(run_merge_seek(merge, 0, cases[i].from, &err));
            for (size_t j = 0; j < cases[i].step && !run_merge_is_over(merge); j++)
                MUST(run_merge_to(merge, &writer, &txn, 1, &err));
            done = run_merge_is_over(merge);
            run_merge_free(merge);
            MUST(run_writer_flush(&writer, &txn, &err));
            MUST(write_txn_commit(&txn, &err));
            read_txn_end(source);
        }
        assert_run_is(fixture, &writer.run, &expected);
        run_writer_fini(&writer);
        model_fini(&expected);
        many_free(many);
        next_store(fixture);
    }
}

static void a_chunk_of_another_run_is_refused_with_a_sentence(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 8;
    struct model model = {0};
    struct run_cursor cursor;
    struct write_txn txn;
    struct error err = ERROR_EMPTY;
    MDB_val key;
    MDB_val value;
    MDB_cursor *entries = NULL;

    add_samples(&model, 100, &random);
    struct run run = commit_run(fixture, 0, 1, &model);
    assert_true(write_txn_begin(fixture->store, NULL, &txn, &err));
    MDB_dbi journal = fixture->store->databases[DATABASE_JOURNAL];
    assert_int_equal(mdb_cursor_open(txn.reader.txn, journal, &entries), 0);
    assert_int_equal(mdb_cursor_get(entries, &key, &value, MDB_FIRST), 0);
    struct buf name = BUF_EMPTY;
    struct buf bytes = BUF_EMPTY;
    buf_str(&name, store_bytes(&key));
    buf_str(&bytes, store_bytes(&value));
    mdb_cursor_close(entries);
    name.bytes[7] = 2; /* the number's last byte */
    assert_true(
        store_put(&txn, DATABASE_JOURNAL, store_value(buf_view(&name)), buf_view(&bytes), 0, &err));
    assert_true(write_txn_commit(&txn, &err));

    struct read_txn *reader = read_begin(fixture);
    run.number = 2;
    assert_true(run_cursor_init(&cursor, reader, &run, &err));
    assert_false(run_cursor_first(&cursor, &err));
    assert_false(cursor.has_cell);
    assert_int_equal(err.kind, ERROR_CORRUPT);
    assert_non_null(strstr(err.text, "run 2 in data directory"));
    struct run_merge *merge = run_merge_new(reader, &run, 1, INT64_MIN, INT64_MAX, &err);
    struct run_cell cell;
    bool found = true;
    assert_non_null(merge);
    assert_false(run_merge_next(merge, &cell, &found, &err));
    assert_false(found);
    run_merge_free(merge);
    run_cursor_fini(&cursor);
    read_txn_end(reader);
    buf_fini(&name);
    buf_fini(&bytes);
    model_fini(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_run_is_read_back_from_front_to_end),
        STORE_TEST(seeking_finds_the_first_cell_at_or_after_a_place),
        STORE_TEST(seeking_just_past_each_cell_finds_the_next_one),
        STORE_TEST(the_quarter_of_a_series_may_be_split_over_chunks),
        STORE_TEST(a_run_may_be_written_over_several_transactions),
        STORE_TEST(a_run_that_is_not_the_newest_is_written_too),
        STORE_TEST(runs_of_tier_0_are_in_the_journal),
        STORE_TEST(merging_many_runs_gives_the_merge_of_each_place),
        STORE_TEST(merging_in_steps_gives_the_same_run),
        STORE_TEST(a_chunk_of_another_run_is_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
