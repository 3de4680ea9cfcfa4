#include "catalog_fixture.h"
#include "store/removed.h"

/* --- chunks --- */

/* Random pairs in order: mostly keys of one id, and some keys of many. */
static size_t make_pairs(struct index_entry *out, size_t max, uint64_t seed)
{
    struct series_hash key = {0, 0};
    size_t count = 0;

    while (count < max) {
        uint32_t id = draw(&seed, 1000) + 1;
        size_t ids = draw(&seed, 8) == 0 ? draw(&seed, 6000) + 1 : 1;
        key.high += (uint64_t)draw(&seed, 1000) << draw(&seed, 40);
        key.low += 1;
        for (size_t i = 0; i < ids && count < max; i++) {
            out[count++] = (struct index_entry){key, id};
            id += draw(&seed, 4) == 0 ? draw(&seed, 100000) + 1 : 1;
        }
    }
    return count;
}

static void what_goes_into_chunks_comes_out(void **state)
{
    enum { COUNT = 40000 };
    struct index_entry *pairs = memory_zero(COUNT, sizeof *pairs);
    struct index_chunk_writer *writer = memory_zero(1, sizeof *writer);
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    size_t read = 0;
    (void)state;

    size_t count = make_pairs(pairs, COUNT, 1);
    for (size_t i = 0; i <= count; i++) {
        if (i < count && index_chunk_writer_add(writer, pairs[i].key, pairs[i].id))
            continue;
        struct index_chunk chunk;
        struct str bytes = index_chunk_writer_take(writer, 7);
        assert_in_range(bytes.len, 1, INDEX_CHUNK_BYTES_MAX);
        assert_true(i == count || bytes.len > INDEX_CHUNK_BYTES_MAX - 24);
        assert_true(index_chunk_open(&chunk, bytes, 7));
        assert_true(series_hash_equal(writer->first_key, pairs[read].key));
        assert_int_equal(writer->first_id, pairs[read].id);
        for (size_t n = 0; n < chunk.key_count; n++) {
            size_t found = 0;
            assert_int_equal(index_chunk_find(&chunk, index_chunk_key(&chunk, n)), n);
            assert_true(index_chunk_ids(&chunk, n, ids, &found));
            for (size_t j = 0; j < found; j++, read++) {
                assert_true(series_hash_equal(index_chunk_key(&chunk, n), pairs[read].key));
                assert_int_equal(ids[j], pairs[read].id);
            }
        }
        if (i < count)
            assert_true(index_chunk_writer_add(writer, pairs[i].key, pairs[i].id));
    }
    assert_int_equal(read, count);
    assert_int_equal(index_chunk_writer_take(writer, 7).len, 0);
    free(writer);
    free(pairs);
}

static void a_damaged_chunk_or_one_of_another_run_is_refused(void **state)
{
    struct index_chunk_writer *writer = memory_zero(1, sizeof *writer);
    struct index_chunk chunk;
    char damaged[INDEX_CHUNK_BYTES_MAX];
    (void)state;

    for (uint32_t i = 1; i < 100; i++)
        assert_true(index_chunk_writer_add(writer, (struct series_hash){i / 3, 5}, i * 200));
    struct str bytes = index_chunk_writer_take(writer, 7);
    assert_true(index_chunk_open(&chunk, bytes, 7));
    assert_false(index_chunk_open(&chunk, bytes, 8));
    for (size_t len = 0; len < bytes.len; len++)
        assert_false(index_chunk_open(&chunk, (struct str){bytes.text, len}, 7));
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        memcpy(damaged, bytes.text, bytes.len);
        damaged[bit / 8] = (char)(damaged[bit / 8] ^ 1 << bit % 8);
        assert_false(index_chunk_open(&chunk, (struct str){damaged, bytes.len}, 7));
    }
    free(writer);
}

/* --- runs --- */

static void write_run(struct fixture *fixture, const struct index_entry *pairs, size_t count)
{
    struct index_writer *writer = memory_zero(1, sizeof *writer);

    must(fixture, index_next_run(&fixture->txn, &writer->run.number, &fixture->err));
    for (size_t i = 0; i < count; i++) {
        must(fixture,
             index_writer_add(writer, &fixture->txn, pairs[i].key, pairs[i].id, &fixture->err));
        if (i % 5000 == 4999) /* as before a commit on the way */
            must(fixture, index_writer_flush(writer, &fixture->txn, &fixture->err));
    }
    must(fixture, index_writer_flush(writer, &fixture->txn, &fixture->err));
    assert_int_equal(writer->run.entries, count);
    must(fixture, index_add_run(&fixture->txn, &writer->run, &fixture->err));
    free(writer);
}

/* From every kind of place; the run stands between two others. */
static void a_cursor_stands_at_the_first_place_that_is_not_before(void **state)
{
    enum { COUNT = 30000 };
    struct fixture *fixture = *state;
    struct index_entry *pairs = memory_zero(COUNT, sizeof *pairs);
    struct index_cursor cursor;
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    uint64_t seed = 3;
    size_t count = make_pairs(pairs, COUNT, 2);

    begin(fixture);
    for (int i = 0; i < 3; i++)
        write_run(fixture, pairs, i == 1 ? count : 100);
    must(fixture, index_cursor_init(&cursor, &fixture->txn.reader, 2, &fixture->err));
    for (int i = 0; i < 3000; i++) {
        size_t at = draw(&seed, (uint32_t)count);
        struct series_hash key = pairs[at].key;
        uint32_t id = pairs[at].id;
        size_t found = 0;
        if (draw(&seed, 3) == 0) /* between the places that are there */
            id += draw(&seed, 2) == 0 ? 1 : draw(&seed, 200000);
        while (at < count && (index_key_order(pairs[at].key, key) < 0 ||
                              (series_hash_equal(pairs[at].key, key) && pairs[at].id < id)))
            at++;
        must(fixture, index_cursor_seek(&cursor, key, id, &fixture->err));
        for (; cursor.has && found == 0;) {
            must(fixture, index_cursor_ids(&cursor, ids, &found, &fixture->err));
            if (found == 0)
                must(fixture, index_cursor_next(&cursor, &fixture->err));
        }
        assert_int_equal(cursor.has, at < count);
        if (at < count) {
            assert_true(series_hash_equal(cursor.key, pairs[at].key));
            assert_int_equal(ids[0], pairs[at].id);
        }
    }
    index_cursor_fini(&cursor);
    write_txn_abort(&fixture->txn);
    free(pairs);
}

static void lists_and_marks_agree_with_what_was_written(void **state)
{
    enum { IDS = 60000, KEYS = 4, RUNS = 3 };
    static const uint32_t one_in[KEYS] = {1, 3, 400, 30000};
    struct fixture *fixture = *state;
    unsigned char *has[KEYS];
    struct index_entry *pairs = memory_zero(IDS * KEYS, sizeof *pairs);
    struct index_runs runs;
    uint64_t seed = 9;

    for (int k = 0; k < KEYS; k++) {
        has[k] = memory_zero(IDS + 1, 1);
        for (uint32_t id = 1; id <= IDS; id++)
            has[k][id] = draw(&seed, one_in[k]) == 0;
    }
    begin(fixture);
    for (uint32_t run = 0; run < RUNS; run++) {
        size_t count = 0;
        for (uint64_t k = 0; k < KEYS; k++) {
            for (uint32_t id = run * (IDS / RUNS) + 1; id <= (run + 1) * (IDS / RUNS); id++) {
                if (has[k][id])
                    pairs[count++] = (struct index_entry){{k, k}, id};
            }
        }
        write_run(fixture, pairs, count);
    }
    must(fixture, index_runs_read(&runs, &fixture->txn.reader, &fixture->err));
    assert_int_equal(runs.count, RUNS);
    for (uint64_t k = 0; k < KEYS; k++) {
        struct id_list list = ID_LIST_EMPTY;
        must(fixture, index_find(&fixture->txn.reader, &runs, (struct series_hash){k, k}, &list,
                                 &fixture->err));
        size_t at = 0;
        for (uint32_t id = 1; id <= IDS; id++) {
            if (has[k][id])
                assert_int_equal(list.ids[at++], id);
        }
        assert_int_equal(at, list.count);
        for (uint64_t other = 0; other < KEYS; other++) {
            unsigned char *marks = memory_zero(list.count + 1, 1);
            must(fixture,
                 index_mark(&fixture->txn.reader, &runs, (struct series_hash){other, other}, &list,
                            marks, &fixture->err));
            for (size_t i = 0; i < list.count; i++)
                assert_int_equal(marks[i], has[other][list.ids[i]]);
            free(marks);
        }
        id_list_fini(&list);
    }
    index_runs_fini(&runs);
    write_txn_abort(&fixture->txn);
    for (int k = 0; k < KEYS; k++)
        free(has[k]);
    free(pairs);
}

/* --- removed ids --- */

static void removed_ids_are_known(void **state)
{
    static const uint32_t ids[] = {1, 2, 8191, 8192, 100000, 7777777};
    struct fixture *fixture = *state;
    struct removed removed;
    uint32_t last = 1;

    begin(fixture);
    must(fixture, removed_last(&fixture->txn.reader, &last, &fixture->err));
    assert_int_equal(last, 0);
    for (size_t i = 0; i < TEST_COUNT(ids); i++)
        must(fixture, removed_add(&fixture->txn, ids[i], &fixture->err));
    must(fixture, removed_last(&fixture->txn.reader, &last, &fixture->err));
    assert_int_equal(last, 7777777);
    must(fixture, removed_init(&removed, &fixture->txn.reader, &fixture->err));
    for (size_t i = 0; i < TEST_COUNT(ids); i++) {
        assert_true(removed_has(&removed, ids[i]));
        assert_false(removed_has(&removed, ids[i] + 2));
    }
    assert_false(removed_has(&removed, UINT32_MAX));
    removed_fini(&removed);
    write_txn_abort(&fixture->txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_into_chunks_comes_out),
        cmocka_unit_test(a_damaged_chunk_or_one_of_another_run_is_refused),
        CATALOG_TEST(a_cursor_stands_at_the_first_place_that_is_not_before),
        CATALOG_TEST(lists_and_marks_agree_with_what_was_written),
        CATALOG_TEST(removed_ids_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
