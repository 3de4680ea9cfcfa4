#include "catalog_fixture.h"
#include "store/removed.h"

/* --- chunks --- */

static int compare_keys(const void *a, const void *b)
{
    return index_key_order(*(const struct index_key *)a, *(const struct index_key *)b);
}

/* Texts that have much in common, of all lengths, also those of long values that were cut. */
static struct str draw_text(struct arena *arena, uint64_t *seed)
{
    static const char bytes[] = {'a', 'b', '\x02', '\xff'};
    size_t len = draw(seed, 6) == 0 ? INDEX_TEXT_MAX : draw(seed, INDEX_VALUE_MAX) + 1;
    size_t alike = draw(seed, 3) == 0 ? 0 : draw(seed, (uint32_t)len);
    char *text = arena_alloc(arena, len);

    memset(text, 'a', len);
    for (size_t i = alike; i < len; i++)
        text[i] = bytes[draw(seed, sizeof bytes)];
    if (len == INDEX_TEXT_MAX) {
        text[INDEX_VALUE_MAX] = '\x01';
        for (size_t i = INDEX_VALUE_MAX + 1; i < len; i++)
            text[i] = (char)draw(seed, 256);
    }
    return (struct str){text, len};
}

/* Keys in order, half of them texts under a few hashes. */
static size_t make_keys(struct index_key *out, size_t max, struct arena *arena, uint64_t *seed)
{
    size_t count = 0;

    for (size_t i = 0; i < max; i++) {
        out[i].hash.high = (uint64_t)draw(seed, 1000) << draw(seed, 40);
        out[i].hash.low = draw(seed, 3);
        out[i].text = STR_EMPTY;
        if (i % 2 == 0) {
            out[i].hash = (struct series_hash){UINT64_C(1) << (40 + draw(seed, 3)), 7};
            out[i].text = draw_text(arena, seed);
        }
    }
    qsort(out, max, sizeof *out, compare_keys);
    for (size_t i = 0; i < max; i++) {
        if (count == 0 || index_key_order(out[count - 1], out[i]) < 0)
            out[count++] = out[i];
    }
    return count;
}

/* Random pairs in order: mostly keys of one id, and some keys of many. */
static size_t make_pairs(struct index_entry *out, size_t max, struct arena *arena, uint64_t seed)
{
    struct index_key *keys = arena_array(arena, max / 200, sizeof *keys);
    size_t key_count = make_keys(keys, max / 200, arena, &seed);
    size_t count = 0;

    for (size_t k = 0; k < key_count && count < max; k++) {
        uint32_t id = draw(&seed, 1000) + 1;
        size_t ids = draw(&seed, 8) == 0 ? draw(&seed, 6000) + 1 : 1;
        if (draw(&seed, 100) == 0)
            id += UINT32_MAX / 2;
        for (size_t i = 0; i < ids && count < max; i++) {
            out[count++] = (struct index_entry){keys[k], id};
            id += draw(&seed, 4) == 0 ? draw(&seed, 100000) + 1 : 1;
        }
    }
    return count;
}

/* Reads a chunk, whose pairs are those from `read` on; returns how many it has. */
static size_t check_chunk(struct str bytes, const struct index_entry *pairs)
{
    struct index_chunk chunk;
    struct index_place place;
    struct index_place found_at;
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    size_t read = 0;

    assert_true(index_chunk_open(&chunk, bytes, 7));
    assert_true(index_chunk_first(&chunk, &place));
    assert_int_equal(index_chunk_first_id(&chunk, 0), pairs[0].id);
    for (;;) {
        size_t found = 0;
        assert_true(index_chunk_find(&chunk, place.key, &found_at));
        assert_int_equal(found_at.n, place.n);
        assert_int_equal(index_key_order(found_at.key, place.key), 0);
        assert_true(index_chunk_ids(&chunk, place.n, ids, &found));
        for (size_t j = 0; j < found; j++, read++) {
            assert_int_equal(index_key_order(place.key, pairs[read].key), 0);
            assert_int_equal(ids[j], pairs[read].id);
        }
        if (place.n + 1 == chunk.key_count)
            break;
        assert_true(index_chunk_next(&chunk, &place));
    }
    return read;
}

static void what_goes_into_chunks_comes_out(void **state)
{
    enum { COUNT = 60000 };
    struct index_entry *pairs = memory_zero(COUNT, sizeof *pairs);
    struct index_chunk_writer *writer = memory_zero(1, sizeof *writer);
    struct arena arena = ARENA_EMPTY;
    size_t read = 0;
    (void)state;

    size_t count = make_pairs(pairs, COUNT, &arena, 1);
    for (size_t i = 0; i <= count; i++) {
        if (i < count && index_chunk_writer_add(writer, pairs[i].key, pairs[i].id))
            continue;
        struct str bytes = index_chunk_writer_take(writer, 7);
        bool is_form_over =
            i < count && (pairs[i].key.text.len > 0) != (pairs[i - 1].key.text.len > 0);
        assert_in_range(bytes.len, 1, INDEX_CHUNK_BYTES_MAX);
        assert_true(i == count || is_form_over || bytes.len > INDEX_CHUNK_BYTES_MAX / 2);
        assert_int_equal(index_key_order(writer->first_key, pairs[read].key), 0);
        assert_int_equal(writer->first_id, pairs[read].id);
        read += check_chunk(bytes, pairs + read);
        assert_int_equal(read, i);
        if (i < count)
            assert_true(index_chunk_writer_add(writer, pairs[i].key, pairs[i].id));
    }
    assert_int_equal(read, count);
    assert_int_equal(index_chunk_writer_take(writer, 7).len, 0);
    arena_fini(&arena);
    free(writer);
    free(pairs);
}

/* A key that is between two, before or after all of them. */
static void what_is_not_in_a_chunk_is_before_or_after(void **state)
{
    static const char *const texts[] = {"b", "bb", "bba", "c", "ca"};
    static const struct {
        const char *text;
        size_t expected;
    } cases[] = {{"a", 0}, {"b", 0}, {"ba", 1}, {"bb", 1}, {"bba", 2}, {"bbb", 3}, {"cab", 5}};
    struct index_chunk_writer *writer = memory_zero(1, sizeof *writer);
    struct index_chunk chunk;
    struct index_place place;
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(texts); i++)
        assert_true(
            index_chunk_writer_add(writer, (struct index_key){{5, 5}, str_of(texts[i])}, 9));
    assert_true(index_chunk_open(&chunk, index_chunk_writer_take(writer, 1), 1));
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const struct index_key key = {{5, 5}, str_of(cases[i].text)};
        assert_true(index_chunk_find(&chunk, key, &place));
        assert_int_equal(place.n, cases[i].expected);
    }
    assert_true(index_chunk_find(&chunk, (struct index_key){{5, 4}, STR("z")}, &place));
    assert_int_equal(place.n, 0);
    assert_true(index_chunk_find(&chunk, (struct index_key){{6, 0}, STR_EMPTY}, &place));
    assert_int_equal(place.n, chunk.key_count);
    free(writer);
}

static void a_damaged_chunk_or_one_of_another_run_is_refused(void **state)
{
    struct index_chunk_writer *writer = memory_zero(1, sizeof *writer);
    struct index_chunk chunk;
    char damaged[INDEX_CHUNK_BYTES_MAX];
    (void)state;

    for (int with_texts = 0; with_texts < 2; with_texts++) {
        for (uint32_t i = 1; i < 100; i++) {
            char text[16];
            (void)snprintf(text, sizeof text, "h%03u", i / 3);
            const struct index_key key = {{with_texts ? 5 : i / 3, 5},
                                          with_texts ? str_of(text) : STR_EMPTY};
            assert_true(index_chunk_writer_add(writer, key, i * 200));
        }
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
    }
    free(writer);
}

/* Bytes with the checksum that they should have. */
static void keys_that_do_not_grow_are_refused(void **state)
{
    enum { HASH = 16 };
    static const struct {
        unsigned char same, rest;
        const char *bytes;
    } cases[] = {
        {17, 1, "b"},  /* less than the "bc" before it */
        {17, 1, "c"},  /* the same */
        {16, 2, "a."}, /* less earlier on */
        {18, 0, ""},   /* nothing more */
        {19, 1, "d"},  /* more in common than there was */
        {17, 9, "d"},  /* longer than the bytes */
        {0, 3, "zzz"}, /* not even a hash */
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct buf chunk = BUF_EMPTY;
        struct index_chunk read;
        struct index_place place;
        size_t len = strlen(cases[i].bytes);
        for (int has_sum = 0; has_sum < 2; has_sum++) {
            uint32_t sum = has_sum ? index_chunk_checksum(buf_view(&chunk), 3) : 0;
            buf_clear(&chunk);
            buf_u8(&chunk, 2);
            buf_u32(&chunk, sum);
            buf_u8(&chunk, 2); /* keys */
            buf_u8(&chunk, 0);
            buf_u8(&chunk, 1 | 8); /* ids of one byte, keys with texts */
            buf_u8(&chunk, (uint8_t)(2 + HASH + 2 + 2 + len));
            buf_u8(&chunk, 0);
            buf_u8(&chunk, 0);
            buf_u8(&chunk, HASH + 2);
            buf_text(&chunk, "0123456789abcdefbc");
            buf_u8(&chunk, cases[i].same);
            buf_u8(&chunk, cases[i].rest);
            buf_text(&chunk, cases[i].bytes);
            buf_u8(&chunk, 1);
            buf_u8(&chunk, 1);
        }
        assert_true(index_chunk_open(&read, buf_view(&chunk), 3));
        assert_true(index_chunk_first(&read, &place));
        assert_true(str_is(place.key.text, "bc"));
        assert_false(index_chunk_next(&read, &place));
        buf_fini(&chunk);
    }
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
    struct arena arena = ARENA_EMPTY;
    size_t count = make_pairs(pairs, COUNT, &arena, 2);

    begin(fixture);
    for (int i = 0; i < 3; i++)
        write_run(fixture, pairs, i == 1 ? count : 100);
    must(fixture, index_cursor_init(&cursor, &fixture->txn.reader, 2, &fixture->err));
    for (int i = 0; i < 3000; i++) {
        size_t at = draw(&seed, (uint32_t)count);
        struct index_key key = pairs[at].key;
        uint32_t id = pairs[at].id;
        size_t found = 0;
        if (draw(&seed, 3) == 0) /* between the places that are there */
            id += draw(&seed, 2) == 0 ? 1 : draw(&seed, 200000);
        while (at < count && (index_key_order(pairs[at].key, key) < 0 ||
                              (index_key_order(pairs[at].key, key) == 0 && pairs[at].id < id)))
            at++;
        must(fixture, index_cursor_seek(&cursor, key, id, &fixture->err));
        for (; cursor.has && found == 0;) {
            must(fixture, index_cursor_ids(&cursor, ids, &found, &fixture->err));
            if (found == 0)
                must(fixture, index_cursor_next(&cursor, &fixture->err));
        }
        assert_int_equal(cursor.has, at < count);
        if (at < count) {
            assert_int_equal(index_key_order(cursor.key, pairs[at].key), 0);
            assert_int_equal(ids[0], pairs[at].id);
        }
    }
    index_cursor_fini(&cursor);
    write_txn_abort(&fixture->txn);
    arena_fini(&arena);
    free(pairs);
}

/* Every pair, from the first to the last; `goes_on` where a key's ids span chunks. */
static void a_cursor_goes_through_all(void **state)
{
    enum { COUNT = 30000 };
    struct fixture *fixture = *state;
    struct index_entry *pairs = memory_zero(COUNT, sizeof *pairs);
    struct arena arena = ARENA_EMPTY;
    struct index_cursor cursor;
    uint32_t ids[INDEX_CHUNK_IDS_MAX];
    size_t count = make_pairs(pairs, COUNT, &arena, 4);
    size_t at = 0;

    begin(fixture);
    write_run(fixture, pairs, count);
    write_run(fixture, pairs, 1);
    must(fixture, index_cursor_init(&cursor, &fixture->txn.reader, 1, &fixture->err));
    must(fixture, index_cursor_seek(&cursor, (struct index_key){0}, 0, &fixture->err));
    while (cursor.has) {
        size_t found = 0;
        bool same = at > 0 && index_key_order(pairs[at - 1].key, cursor.key) == 0;
        assert_int_equal(cursor.goes_on, same);
        must(fixture, index_cursor_ids(&cursor, ids, &found, &fixture->err));
        for (size_t i = 0; i < found; i++, at++) {
            assert_int_equal(index_key_order(pairs[at].key, cursor.key), 0);
            assert_int_equal(pairs[at].id, ids[i]);
        }
        must(fixture, index_cursor_next(&cursor, &fixture->err));
    }
    assert_int_equal(at, count);
    index_cursor_fini(&cursor);
    write_txn_abort(&fixture->txn);
    arena_fini(&arena);
    free(pairs);
}

/* Some with texts. */
static struct index_key key_of(uint64_t k)
{
    return (struct index_key){{k, k}, k % 2 == 0 ? STR_EMPTY : STR("text")};
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
                    pairs[count++] = (struct index_entry){key_of(k), id};
            }
        }
        write_run(fixture, pairs, count);
    }
    must(fixture, index_runs_read(&runs, &fixture->txn.reader, &fixture->err));
    assert_int_equal(runs.count, RUNS);
    for (uint64_t k = 0; k < KEYS; k++) {
        struct id_list list = ID_LIST_EMPTY;
        must(fixture, index_find(&fixture->txn.reader, &runs, key_of(k), &list, &fixture->err));
        size_t at = 0;
        for (uint32_t id = 1; id <= IDS; id++) {
            if (has[k][id])
                assert_int_equal(list.ids[at++], id);
        }
        assert_int_equal(at, list.count);
        const size_t limits[] = {0, list.count / 2, list.count - 1, list.count, list.count + 1};
        for (size_t i = list.count == 0 ? TEST_COUNT(limits) : 0; i < TEST_COUNT(limits); i++) {
            bool has_more = false;
            must(fixture, index_has_more(&fixture->txn.reader, &runs, key_of(k), limits[i],
                                         &has_more, &fixture->err));
            assert_int_equal(has_more, list.count > limits[i]);
        }
        for (uint64_t other = 0; other < KEYS; other++) {
            unsigned char *marks = memory_zero(list.count + 1, 1);
            must(fixture, index_mark(&fixture->txn.reader, &runs, key_of(other), &list, marks,
                                     &fixture->err));
            for (size_t i = 0; i < list.count; i++)
                assert_int_equal(marks[i], has[other][list.ids[i]]);
            free(marks);
        }
        for (uint32_t first = 1; first < IDS; first += IDS / 5) {
            struct id_set set;
            id_set_init(&set, first, first + IDS / 4);
            must(fixture, index_add(&fixture->txn.reader, &runs, key_of(k), &set, &fixture->err));
            for (uint32_t id = 1; id <= IDS; id++)
                assert_int_equal(id_set_has(&set, id),
                                 id >= first && id <= first + IDS / 4 && has[k][id]);
            id_set_fini(&set);
        }
        id_list_fini(&list);
    }
    index_runs_fini(&runs);
    write_txn_abort(&fixture->txn);
    for (int k = 0; k < KEYS; k++)
        free(has[k]);
    free(pairs);
}

/* --- prefixes --- */

enum { VALUES = 9000, VALUE_RUNS = 3, VALUE_IDS = 2 };

static bool begins_with(struct str text, struct str prefix)
{
    return text.len >= prefix.len &&
           (prefix.len == 0 || memcmp(text.text, prefix.text, prefix.len) == 0);
}

static void check_prefix(struct fixture *fixture, const struct index_runs *runs,
                         const struct index_entry *pairs, const struct index_prefix *prefix)
{
    struct id_set set;
    struct id_set expected;
    struct arena arena = ARENA_EMPTY;
    const struct index_key label = index_value_key(prefix->label, STR("any"), &arena);

    id_set_init(&set, 1, VALUES * VALUE_RUNS * VALUE_IDS);
    id_set_init(&expected, set.first, set.count);
    must(fixture, index_add_prefix(&fixture->txn.reader, runs, prefix, &set, &fixture->err));
    for (size_t i = 0; i < VALUES * VALUE_IDS * VALUE_RUNS; i++) {
        if (series_hash_equal(pairs[i].key.hash, label.hash) &&
            begins_with(pairs[i].key.text, prefix->prefix))
            id_set_add(&expected, pairs[i].id);
    }
    assert_memory_equal(set.words, expected.words, (size_t)set.count / 8);
    id_set_fini(&set);
    id_set_fini(&expected);
    arena_fini(&arena);
}

/* Several runs, of many values each, of which some have two series. */
static void sets_of_prefixes_agree_with_what_was_written(void **state)
{
    static const char *const labels[] = {"host", "path", "none"};
    struct fixture *fixture = *state;
    struct index_entry *pairs = memory_zero((size_t)VALUES * VALUE_IDS * VALUE_RUNS, sizeof *pairs);
    struct index_key *keys = memory_zero(VALUES, sizeof *keys);
    struct arena arena = ARENA_EMPTY;
    struct index_runs runs;
    uint64_t seed = 11;
    uint32_t id = 1;
    size_t at = 0;

    begin(fixture);
    for (int run = 0; run < VALUE_RUNS; run++) {
        size_t first = at;
        for (size_t i = 0; i < VALUES; i++)
            keys[i] =
                (struct index_key){index_value_key(str_of(labels[i % 2]), STR("x"), &arena).hash,
                                   draw_text(&arena, &seed)};
        qsort(keys, VALUES, sizeof *keys, compare_keys);
        for (size_t i = 0; i < VALUES; i++) {
            if (i > 0 && index_key_order(keys[i - 1], keys[i]) == 0)
                continue;
            for (uint32_t more = draw(&seed, 4) == 0 ? VALUE_IDS : 1; more > 0; more--)
                pairs[at++] = (struct index_entry){keys[i], id++};
        }
        write_run(fixture, pairs + first, at - first);
    }
    must(fixture, index_runs_read(&runs, &fixture->txn.reader, &fixture->err));
    for (int i = 0; i < 300; i++) {
        struct str text = pairs[draw(&seed, (uint32_t)at)].key.text;
        struct index_prefix prefix = {str_of(labels[draw(&seed, TEST_COUNT(labels))]), text};
        if (text.len > INDEX_VALUE_MAX || draw(&seed, 4) != 0)
            prefix.prefix.len = draw(&seed, draw(&seed, 2) == 0 ? 4 : INDEX_VALUE_MAX + 1);
        if (prefix.prefix.len > text.len)
            prefix.prefix.len = text.len;
        check_prefix(fixture, &runs, pairs, &prefix);
    }
    index_runs_fini(&runs);
    write_txn_abort(&fixture->txn);
    arena_fini(&arena);
    free(keys);
    free(pairs);
}

/* --- what a series is found by --- */

static void long_values_are_cut_and_differ(void **state)
{
    char values[3][600];
    struct arena arena = ARENA_EMPTY;
    struct index_key keys[3];
    (void)state;

    for (int i = 0; i < 3; i++) {
        memset(values[i], 'v', sizeof values[i]);
        values[i][sizeof values[i] - 1] = (char)('a' + i);
        keys[i] = index_value_key(STR("path"), (struct str){values[i], sizeof values[i]}, &arena);
        assert_int_equal(keys[i].text.len, INDEX_TEXT_MAX);
        assert_memory_equal(keys[i].text.text, values[i], INDEX_VALUE_MAX);
        assert_true(i == 0 || !str_equal(keys[i].text, keys[i - 1].text));
    }
    keys[1] = index_value_key(STR("path"), (struct str){values[0], INDEX_VALUE_MAX}, &arena);
    assert_int_equal(keys[1].text.len, INDEX_VALUE_MAX);
    assert_true(index_key_order(keys[1], keys[0]) < 0);
    arena_fini(&arena);
}

static void a_label_without_a_value_is_not_indexed(void **state)
{
    struct buf key = BUF_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct index_entry entries[INDEX_ENTRIES_MAX];
    const struct label labels[] = {
        {STR("a"), STR("x")}, {STR("b"), STR_EMPTY}, {STR("c"), STR("x")}};
    (void)state;

    series_key_write(&key, METRIC_COUNTER, STR("orders"), labels, TEST_COUNT(labels));
    assert_int_equal(index_entries_of(7, buf_view(&key), &arena, entries), 4);
    assert_true(
        series_hash_equal(entries[0].key.hash, index_series_key(series_key_hash(buf_view(&key)))));
    const struct index_key metric = index_metric_key(METRIC_COUNTER, STR("orders"), &arena);
    assert_int_equal(index_key_order(entries[1].key, metric), 0);
    for (size_t i = 0; i < 2; i++) {
        const struct index_key expected = index_value_key(labels[2 * i].name, STR("x"), &arena);
        assert_int_equal(index_key_order(entries[2 + i].key, expected), 0);
        assert_int_equal(entries[2 + i].id, 7);
    }
    arena_fini(&arena);
    buf_fini(&key);
}

static void metrics_stand_in_the_order_of_their_stems_whatever_their_kinds(void **state)
{
    enum { LONG = 100 };
    char names[3][LONG];
    struct arena arena = ARENA_EMPTY;
    struct index_metric metric;
    const struct str ordered[] = {
        STR("a"),
        STR("a b"),
        STR("ab"),
        {names[0], INDEX_VALUE_MAX - 1},
        {names[0], INDEX_VALUE_MAX},
        {names[0], INDEX_VALUE_MAX + 1}, /* cut from here on */
        {names[1], INDEX_VALUE_MAX - 1},
        {names[1], LONG},
    };
    struct index_key before = {0};
    (void)state;

    memset(names[0], 'm', LONG);
    memset(names[1], 'n', LONG);
    for (size_t i = 0; i < TEST_COUNT(ordered); i++) {
        for (unsigned kind = 1; kind <= METRIC_KIND_MAX; kind++) {
            struct index_key key = index_metric_key((enum metric_kind)kind, ordered[i], &arena);
            assert_true(key.text.len <= INDEX_TEXT_MAX);
            assert_true(index_key_order(before, key) < 0);
            assert_true(index_metric_of(key, &metric));
            assert_int_equal(metric.kind, kind);
            assert_int_equal(metric.is_cut, ordered[i].len > INDEX_VALUE_MAX);
            assert_true(str_equal(metric.stem, index_metric_stem(ordered[i], &arena)));
            assert_true(metric.is_cut || str_equal(metric.stem, ordered[i]));
            before = key;
        }
    }
    memcpy(names[2], names[1], LONG);
    names[2][LONG - 1] = 'x'; /* they differ after what is kept of them */
    const struct str other = {names[2], LONG};
    assert_false(str_equal(index_metric_stem(other, &arena), metric.stem));
    assert_false(index_metric_of(index_value_key(STR("a"), STR("b"), &arena), &metric));
    arena_fini(&arena);
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
        cmocka_unit_test(what_is_not_in_a_chunk_is_before_or_after),
        cmocka_unit_test(a_damaged_chunk_or_one_of_another_run_is_refused),
        cmocka_unit_test(keys_that_do_not_grow_are_refused),
        CATALOG_TEST(a_cursor_stands_at_the_first_place_that_is_not_before),
        CATALOG_TEST(a_cursor_goes_through_all),
        CATALOG_TEST(lists_and_marks_agree_with_what_was_written),
        CATALOG_TEST(sets_of_prefixes_agree_with_what_was_written),
        cmocka_unit_test(long_values_are_cut_and_differ),
        cmocka_unit_test(a_label_without_a_value_is_not_indexed),
        cmocka_unit_test(metrics_stand_in_the_order_of_their_stems_whatever_their_kinds),
        CATALOG_TEST(removed_ids_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
