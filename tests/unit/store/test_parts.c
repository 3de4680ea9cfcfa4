#include "series/random.h"
#include "store/fixture.h"
#include "store/parts.h"

/* --- words -------------------------------------------------------------------------------------
 */

static struct write_txn write_begin(struct fixture *fixture)
{
    struct write_txn txn;
    struct error err = ERROR_EMPTY;
    if (!write_txn_begin(fixture->store, NULL, &txn, &err))
        fail_msg("%s", err.text);
    return txn;
}

static void write_end(struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    if (!write_txn_commit(txn, &err))
        fail_msg("%s", err.text);
}

static void put(struct write_txn *txn, enum database database, const struct schema_key *key,
                const char *value, size_t len)
{
    MUST(store_put(txn, database, store_key(key), (struct str){value, len}, 0, &err));
}

static size_t rows_of(const struct read_txn *txn, enum database database)
{
    MDB_stat facts;
    assert_int_equal(mdb_stat(txn->txn, txn->store->databases[database], &facts), 0);
    return facts.ms_entries;
}

/* --- runs --------------------------------------------------------------------------------------
 */

static void runs_are_listed_by_tier_and_number(void **state)
{
    struct fixture *fixture = *state;
    struct write_txn txn = write_begin(fixture);
    struct arena arena = ARENA_EMPTY;
    struct run *runs = NULL;
    size_t count = 0;

    MUST(parts_runs(&txn.reader, &arena, &runs, &count, &err));
    assert_int_equal(count, 0);
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t place = i * 7 % 300; /* in another order than they are listed in */
        const struct run run = {.tier = (unsigned)(place / 100),
                                .number = (place % 100 + 1) * UINT64_C(40000000000),
                                .version = place,
                                .min_minute = -(int64_t)place,
                                .max_minute = INT64_MAX - (int64_t)place,
                                .cells = place + 1,
                                .bytes = UINT64_MAX - place};
        MUST(parts_add_run(&txn, &run, &err));
    }
    write_end(&txn);

    struct read_txn *reader = read_begin(fixture);
    MUST(parts_runs(reader, &arena, &runs, &count, &err));
    assert_int_equal(count, 300);
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(runs[i].tier, i / 100);
        assert_int_equal(runs[i].number, (i % 100 + 1) * UINT64_C(40000000000));
        assert_int_equal(runs[i].version, i);
        assert_int_equal(runs[i].min_minute, -(int64_t)i);
        assert_int_equal(runs[i].max_minute, INT64_MAX - (int64_t)i);
        assert_int_equal(runs[i].cells, i + 1);
        assert_int_equal(runs[i].bytes, UINT64_MAX - i);
    }
    read_txn_end(reader);
    arena_fini(&arena);
}

static void what_is_taken_off_a_list_is_garbage(void **state)
{
    struct fixture *fixture = *state;
    const struct run journal = {.tier = 0, .number = 7, .cells = 1};
    const struct run run = {.tier = 3, .number = 7, .cells = 1};
    const struct partition days = {.level = LEVEL_DAY, .calendar = 2, .number = 9, .to = 1};
    struct error why = ERROR_EMPTY;

    struct write_txn txn = write_begin(fixture);
    MUST(parts_add_run(&txn, &journal, &err));
    MUST(parts_add_run(&txn, &run, &err));
    MUST(parts_add_partition(&txn, &days, &err));
    MUST(parts_remove_run(&txn, &journal, &err));
    MUST(parts_remove_run(&txn, &run, &err));
    MUST(parts_remove_partition(&txn, &days, &err));
    assert_int_equal(rows_of(&txn.reader, DATABASE_RUNS), 0);
    assert_int_equal(rows_of(&txn.reader, DATABASE_PARTITIONS), 0);
    assert_int_equal(rows_of(&txn.reader, DATABASE_GARBAGE), 3);
    MUST(parts_remove_garbage(&txn, GARBAGE_JOURNAL, 7, &err));
    MUST(parts_remove_garbage(&txn, GARBAGE_RUN, 7, &err));
    MUST(parts_remove_garbage(&txn, GARBAGE_DAYS, 9, &err));
    assert_int_equal(rows_of(&txn.reader, DATABASE_GARBAGE), 0);

    assert_false(parts_remove_run(&txn, &run, &why));
    assert_int_equal(why.kind, ERROR_CORRUPT);
    assert_non_null(strstr(why.text, "number 7 off the list of runs"));
    assert_false(parts_remove_partition(&txn, &days, &why));
    assert_non_null(strstr(why.text, "number 9 off the list of partitions"));
    assert_int_equal(rows_of(&txn.reader, DATABASE_GARBAGE), 0);
    write_end(&txn);
}

/* --- partitions --------------------------------------------------------------------------------
 */

enum { PARTITIONS = 200 };

static bool is_earlier(const struct partition *a, const struct partition *b)
{
    return a->from < b->from || (a->from == b->from && a->number < b->number);
}

/* By brute force: those that overlap, in order. */
static size_t overlapping(const struct partition *all, const struct partition *wanted,
                          const struct partition **out)
{
    size_t count = 0;

    for (size_t i = 0; i < PARTITIONS; i++) {
        if (all[i].level != wanted->level || all[i].calendar != wanted->calendar ||
            all[i].to <= wanted->from || all[i].from >= wanted->to)
            continue;
        size_t at = count++;
        for (; at > 0 && is_earlier(&all[i], out[at - 1]); at--)
            out[at] = out[at - 1];
        out[at] = &all[i];
    }
    return count;
}

static void assert_same_partition(const struct partition *a, const struct partition *b)
{
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->calendar, b->calendar);
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->from, b->from);
    assert_int_equal(a->to, b->to);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->series, b->series);
    assert_int_equal(a->points, b->points);
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->pruned, b->pruned);
}

static void partitions_that_overlap_a_range_are_found(void **state)
{
    static const int64_t windows[LEVEL_COUNT] = {MINUTES_PER_WINDOW, QUARTERS_PER_WEEK,
                                                 DAYS_PER_WINDOW};
    struct fixture *fixture = *state;
    struct write_txn txn = write_begin(fixture);
    struct partition all[PARTITIONS];
    uint64_t seed = 1;

    for (uint32_t i = 0; i < PARTITIONS; i++) {
        enum level level = (enum level)random_below(&seed, LEVEL_COUNT);
        int64_t from = (int64_t)random_below(&seed, 4000) - 2000;
        all[i] = (struct partition){
            .level = level,
            .calendar = level == LEVEL_DAY ? (uint32_t)random_below(&seed, 3) + 1 : 0,
            .number = PARTITIONS - i,
            .from = from,
            .to = from + 1 + (int64_t)random_below(&seed, (uint64_t)windows[level]),
            .version = random_next(&seed),
            .series = random_next(&seed),
            .points = random_next(&seed),
            .bytes = random_next(&seed),
            .pruned = (unsigned)random_below(&seed, 256)};
        MUST(parts_add_partition(&txn, &all[i], &err));
    }
    write_end(&txn);

    struct read_txn *reader = read_begin(fixture);
    struct arena arena = ARENA_EMPTY;
    size_t seen = 0;
    for (int i = 0; i < 2000; i++) {
        const struct partition *expected[PARTITIONS];
        struct partition *found = NULL;
        size_t count = 0;
        int64_t from = (int64_t)random_below(&seed, 5000) - 2500;
        struct partition wanted = {.level = (enum level)random_below(&seed, LEVEL_COUNT),
                                   .from = from,
                                   .to = from + (int64_t)random_below(&seed, 300)};
        if (wanted.level == LEVEL_DAY)
            wanted.calendar = (uint32_t)random_below(&seed, 4) + 1;
        if (i % 100 == 0) {
            wanted.from = INT64_MIN;
            wanted.to = INT64_MAX;
        }
        if (wanted.from == wanted.to)
            continue;
        MUST(parts_partitions(
            reader,
            &(const struct bucket_range){wanted.level, wanted.calendar, wanted.from, wanted.to},
            &arena, &found, &count, &err));
        assert_int_equal(count, overlapping(all, &wanted, expected));
        for (size_t j = 0; j < count; j++)
            assert_same_partition(&found[j], expected[j]);
        seen += count;
        arena_reset(&arena);
    }
    assert_true(seen > 2000);
    read_txn_end(reader);
    arena_fini(&arena);
}

static void a_partition_that_is_added_again_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct write_txn txn = write_begin(fixture);
    struct arena arena = ARENA_EMPTY;
    struct partition *found = NULL;
    size_t count = 0;
    struct partition partition = {.number = 4, .from = -240, .to = 0, .series = 1};

    MUST(parts_add_partition(&txn, &partition, &err));
    partition.series = 2;
    partition.pruned = 3;
    MUST(parts_add_partition(&txn, &partition, &err));
    MUST(parts_partitions(&txn.reader, &(const struct bucket_range){LEVEL_MINUTE, 0, -1, 0}, &arena,
                          &found, &count, &err));
    assert_int_equal(count, 1);
    assert_same_partition(found, &partition);
    MUST(parts_partitions(&txn.reader, &(const struct bucket_range){LEVEL_MINUTE, 0, 0, 1}, &arena,
                          &found, &count, &err));
    assert_int_equal(count, 0);
    write_end(&txn);
    arena_fini(&arena);
}

/* --- damage ------------------------------------------------------------------------------------
 */

static struct schema_key key_of(const char *bytes, size_t len)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    memcpy(key.bytes, bytes, len);
    key.len = len;
    return key;
}

static bool count_day(const struct day_bounds *day, void *arg)
{
    (void)day;
    (*(size_t *)arg)++;
    return true;
}

/* Reads all lists; true when each can be read. */
static bool read_lists(struct write_txn *txn, struct error *err)
{
    struct arena arena = ARENA_EMPTY;
    struct run *runs = NULL;
    struct partition *partitions = NULL;
    size_t count = 0;
    uint32_t calendar = 0;

    bool ok = parts_runs(&txn->reader, &arena, &runs, &count, err) &&
              parts_partitions(&txn->reader,
                               &(const struct bucket_range){LEVEL_MINUTE, 0, INT64_MIN, INT64_MAX},
                               &arena, &partitions, &count, err) &&
              parts_days(&txn->reader, &(const struct day_range){1, INT64_MIN, INT64_MAX},
                         count_day, &count, err) &&
              parts_add_calendar(txn, STR("Europe/Berlin"), &calendar, err) &&
              parts_collect(txn, NULL, 0, 10, &count, err);
    arena_fini(&arena);
    return ok;
}

#define ZEROS_8  "\0\0\0\0\0\0\0\0"
#define ZEROS_16 ZEROS_8 ZEROS_8
#define BIT      "\x80\0\0\0\0\0\0\0" /* 0 as an i64 in a key */

static void a_damaged_row_is_an_error_with_words(void **state)
{
    /* clang-format off */
    static const struct {
        enum database database;
        struct str key, value;
        const char *list; /* NULL: the row is sound */
    } cases[] = {
        {DATABASE_RUNS, STR("\0" ZEROS_8), STR(ZEROS_16 ZEROS_8 "\1\0\0\0\0\0\0\0" ZEROS_8), NULL},
        {DATABASE_RUNS, STR("\0" ZEROS_8), STR(ZEROS_16 ZEROS_8 "\1\0\0\0\0\0\0\0"), "runs"},
        {DATABASE_RUNS, STR("\0" ZEROS_8), STR(ZEROS_16 ZEROS_8 "\1\0\0\0\0\0\0\0" ZEROS_8 "x"),
         "runs"},
        {DATABASE_RUNS, STR("\0"), STR(ZEROS_16 ZEROS_8 "\1\0\0\0\0\0\0\0" ZEROS_8), "runs"},
        {DATABASE_RUNS, STR("\0" ZEROS_8), STR(ZEROS_16 ZEROS_16 ZEROS_8), "runs"}, /* no cells */
        {DATABASE_RUNS, STR("\0" ZEROS_8), STR(ZEROS_8 "\1\0\0\0\0\0\0\0" ZEROS_8
                                               "\1\0\0\0\0\0\0\0" ZEROS_8), "runs"},
        {DATABASE_PARTITIONS, STR("\0\0\0" BIT "\0\0\0\1"),
         STR("\1\0\0\0\0\0\0\0" ZEROS_16 ZEROS_16 "\0"), NULL},
        {DATABASE_PARTITIONS, STR("\0\0\0" BIT "\0\0\0\0"),
         STR("\1\0\0\0\0\0\0\0" ZEROS_16 ZEROS_16 "\0"), "partitions"},
        {DATABASE_PARTITIONS, STR("\0\0\0" BIT "\0\0\0\1"),
         STR("\1\0\0\0\0\0\0\0" ZEROS_16 ZEROS_16), "partitions"},
        {DATABASE_PARTITIONS, STR("\0\0\0" BIT "\0\0\1"),
         STR("\1\0\0\0\0\0\0\0" ZEROS_16 ZEROS_16 "\0"), "partitions"},
        {DATABASE_PARTITIONS, STR("\0\0\0" BIT "\0\0\0\1"), /* it ends where it begins */
         STR("\0\0\0\0\0\0\0\0" ZEROS_16 ZEROS_16 "\0"), "partitions"},
        {DATABASE_PARTITIONS, STR("\0\0\0" BIT "\0\0\0\1"), /* 241 minutes */
         STR("\xf1\0\0\0\0\0\0\0" ZEROS_16 ZEROS_16 "\0"), "partitions"},
        {DATABASE_PARTITIONS, STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"),
         STR("\xff\xff\xff\xff\xff\xff\xff\x7f" ZEROS_16 ZEROS_16 "\0"), "partitions"},
        {DATABASE_DAY_BOUNDS, STR("\0\1" BIT), STR("\x04\0\0\0\0\0\0\0\x64\0\0\0\0\0\0\0"), NULL},
        {DATABASE_DAY_BOUNDS, STR("\0\1" BIT), STR("\x04\0\0\0\0\0\0\0"), "days"},
        {DATABASE_DAY_BOUNDS, STR("\0\1" BIT), STR(ZEROS_16), "days"},
        {DATABASE_DAY_BOUNDS, STR("\0\1" BIT), STR("\x61\0\0\0\0\0\0\0\xc0\0\0\0\0\0\0\0"), "days"},
        {DATABASE_DAY_BOUNDS, STR("\0\1" BIT), STR("\0\0\0\0\0\0\0\0\xc1\0\0\0\0\0\0\0"), "days"},
        {DATABASE_DAY_BOUNDS, STR("\0\1" ZEROS_8), STR("\0\0\0\0\0\0\0\0\x60\0\0\0\0\0\0\0"),
         "days"},
        {DATABASE_DAY_BOUNDS, STR("\0\1\x80\0\0\0\0\0\0"), STR(ZEROS_16), "days"},
        {DATABASE_CALENDARS, STR("Asia/Tokyo"), STR("\7\0\0\0"), NULL},
        {DATABASE_CALENDARS, STR("Asia/Tokyo"), STR("\0\0\0\0"), "calendars"},
        {DATABASE_CALENDARS, STR("Asia/Tokyo"), STR("\0\0\1\0"), "calendars"},
        {DATABASE_CALENDARS, STR("Asia/Tokyo"), STR("\7\0\0\0\0"), "calendars"},
        {DATABASE_GARBAGE, STR("\1" ZEROS_8), STR(""), NULL},
        {DATABASE_GARBAGE, STR("\x63" ZEROS_8), STR(""), NULL}, /* of no kind: forgotten */
        {DATABASE_GARBAGE, STR("\3\xff\0\0\0\0\0\0\0"), STR(""), NULL},
        {DATABASE_GARBAGE, STR("\1\0"), STR(""), "garbage"},
        {DATABASE_GARBAGE, STR("\1" ZEROS_8 "\0"), STR(""), "garbage"},
    };
    /* clang-format on */
    struct fixture *fixture = *state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct write_txn txn = write_begin(fixture);
        struct schema_key key = key_of(cases[i].key.text, cases[i].key.len);
        struct error err = ERROR_EMPTY;
        put(&txn, cases[i].database, &key, cases[i].value.text, cases[i].value.len);
        bool ok = read_lists(&txn, &err);
        write_txn_abort(&txn);
        if (ok != (cases[i].list == NULL))
            fail_msg("case %zu: %s", i, ok ? "it was read" : err.text);
        if (ok)
            continue;
        assert_int_equal(err.kind, ERROR_CORRUPT);
        if (strstr(err.text, cases[i].list) == NULL)
            fail_msg("case %zu: %s", i, err.text);
    }
}

/* --- numbers -----------------------------------------------------------------------------------
 */

static void numbers_are_never_given_twice(void **state)
{
    struct fixture *fixture = *state;
    struct error why = ERROR_EMPTY;
    uint64_t run = 0;
    uint32_t partition = 0;

    for (uint32_t i = 1; i <= 3; i++) {
        struct write_txn txn = write_begin(fixture);
        MUST(parts_next_run(&txn, &run, &err));
        MUST(parts_next_partition(&txn, &partition, &err));
        assert_int_equal(run, 2 * i - 1);
        assert_int_equal(partition, i);
        MUST(parts_next_run(&txn, &run, &err));
        assert_int_equal(run, 2 * i);
        write_end(&txn);
        fixture_reopen(fixture);
    }

    struct write_txn txn = write_begin(fixture);
    MUST(meta_put(&txn, "partition", UINT32_MAX - 1, &err));
    MUST(parts_next_partition(&txn, &partition, &err));
    assert_int_equal(partition, UINT32_MAX);
    assert_false(parts_next_partition(&txn, &partition, &why));
    assert_int_equal(why.kind, ERROR_FULL);
    MUST(store_put(&txn, DATABASE_META, store_value(STR("run")), STR("\1\0\0"), 0, &err));
    assert_false(parts_next_run(&txn, &run, &why));
    assert_int_equal(why.kind, ERROR_CORRUPT);
    write_txn_abort(&txn);
}

/* --- garbage -----------------------------------------------------------------------------------
 */

struct heap {
    enum garbage what;
    enum database database;
    bool is_partition;
};

static const struct heap HEAPS[] = {
    {GARBAGE_JOURNAL, DATABASE_JOURNAL, false}, {GARBAGE_RUN, DATABASE_RUN, false},
    {GARBAGE_MINUTES, DATABASE_MINUTES, true},  {GARBAGE_QUARTERS, DATABASE_QUARTERS, true},
    {GARBAGE_DAYS, DATABASE_DAYS, true},        {GARBAGE_INDEX, DATABASE_INDEX, false},
};

enum { ROWS_EACH = 23, NUMBERS = 5 };

static struct schema_key data_key(const struct heap *heap, uint64_t number, uint64_t row)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    if (heap->is_partition)
        schema_put_u32(&key, (uint32_t)number);
    else
        schema_put_u64(&key, number);
    schema_put_u64(&key, row);
    return key;
}

static size_t all_data(const struct read_txn *txn)
{
    size_t rows = 0;
    for (size_t i = 0; i < TEST_COUNT(HEAPS); i++)
        rows += rows_of(txn, HEAPS[i].database);
    return rows;
}

/* Of every kind numbers 254 to 258, of which 255 and 257 are garbage. */
static void heap_up(struct write_txn *txn)
{
    for (size_t i = 0; i < TEST_COUNT(HEAPS); i++) {
        for (uint64_t number = 254; number < 254 + NUMBERS; number++) {
            for (uint64_t row = 0; row < ROWS_EACH; row++) {
                struct schema_key key = data_key(&HEAPS[i], number, row);
                put(txn, HEAPS[i].database, &key, "x", 1);
            }
        }
        MUST(parts_add_garbage(txn, HEAPS[i].what, 255, &err));
        MUST(parts_add_garbage(txn, HEAPS[i].what, 257, &err));
    }
}

static void garbage_is_collected_in_steps_and_nothing_else_is(void **state)
{
    struct fixture *fixture = *state;
    const struct garbage_item skip[] = {{GARBAGE_RUN, 255}, {GARBAGE_DAYS, 257}};
    const size_t all = TEST_COUNT(HEAPS) * NUMBERS * ROWS_EACH;
    const size_t garbage = TEST_COUNT(HEAPS) * 2;
    struct write_txn txn = write_begin(fixture);
    size_t total = 0;
    size_t deleted = 0;

    heap_up(&txn);
    write_end(&txn);
    do {
        txn = write_begin(fixture);
        MUST(parts_collect(&txn, skip, TEST_COUNT(skip), 10, &deleted, &err));
        write_end(&txn);
        assert_true(deleted <= 10);
        total += deleted;
    } while (deleted > 0);
    assert_int_equal(total, (garbage - 2) * (ROWS_EACH + 1));

    txn = write_begin(fixture);
    assert_int_equal(rows_of(&txn.reader, DATABASE_GARBAGE), 2);
    assert_int_equal(all_data(&txn.reader), all - (garbage - 2) * ROWS_EACH);
    MUST(parts_collect(&txn, NULL, 0, SIZE_MAX, &deleted, &err));
    assert_int_equal(deleted, 2 * (ROWS_EACH + 1));
    assert_int_equal(rows_of(&txn.reader, DATABASE_GARBAGE), 0);
    for (size_t i = 0; i < TEST_COUNT(HEAPS); i++) {
        for (uint64_t number = 254; number < 254 + NUMBERS; number++) {
            for (uint64_t row = 0; row < ROWS_EACH; row++) {
                struct schema_key key = data_key(&HEAPS[i], number, row);
                struct str value;
                bool found = store_get(&txn.reader, HEAPS[i].database,
                                       (struct str){(char *)key.bytes, key.len}, &value);
                assert_int_equal(found, number % 2 == 0);
            }
        }
    }
    write_end(&txn);
}

static void rows_of_garbage_without_data_are_forgotten_in_one_step(void **state)
{
    struct fixture *fixture = *state;
    struct write_txn txn = write_begin(fixture);
    size_t deleted = 0;

    for (uint64_t number = 1; number <= 50; number++)
        MUST(parts_add_garbage(&txn, GARBAGE_INDEX, number, &err));
    MUST(parts_collect(&txn, NULL, 0, 40, &deleted, &err));
    assert_int_equal(deleted, 40);
    MUST(parts_collect(&txn, NULL, 0, 40, &deleted, &err));
    assert_int_equal(deleted, 10);
    MUST(parts_collect(&txn, NULL, 0, 40, &deleted, &err));
    assert_int_equal(deleted, 0);
    write_txn_abort(&txn);
}

/* --- marks and calendars -----------------------------------------------------------------------
 */

static void a_mark_is_none_until_it_is_set(void **state)
{
    struct fixture *fixture = *state;
    struct write_txn txn = write_begin(fixture);

    for (int i = 0; i < MARK_COUNT; i++) {
        assert_int_equal(parts_mark(&txn.reader, (enum mark)i), INT64_MIN);
        MUST(parts_set_mark(&txn, (enum mark)i, i - 2, &err));
    }
    for (int i = 0; i < MARK_COUNT; i++)
        assert_int_equal(parts_mark(&txn.reader, (enum mark)i), i - 2);
    size_t rows = rows_of(&txn.reader, DATABASE_META);
    MUST(parts_set_mark(&txn, MARK_CLOSED, INT64_MIN, &err));
    assert_int_equal(parts_mark(&txn.reader, MARK_CLOSED), INT64_MIN);
    assert_int_equal(rows_of(&txn.reader, DATABASE_META), rows - 1);
    write_end(&txn);
}

static void every_zone_has_a_number_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    struct error why = ERROR_EMPTY;
    char text[SCHEMA_NAME_MAX + 10];
    memset(text, 'z', sizeof text);
    const struct str zones[] = {
        STR("Europe/Berlin"), STR("UTC"), {text, sizeof text}, {text, sizeof text - 1}};
    uint32_t number = 0;

    struct write_txn txn = write_begin(fixture);
    assert_int_equal(parts_calendar(&txn.reader, zones[0]), 0);
    for (uint32_t i = 0; i < TEST_COUNT(zones); i++) {
        MUST(parts_add_calendar(&txn, zones[i], &number, &err));
        assert_int_equal(number, i + 1);
    }
    write_end(&txn);
    fixture_reopen(fixture);

    txn = write_begin(fixture);
    for (uint32_t i = 0; i < TEST_COUNT(zones); i++) {
        MUST(parts_add_calendar(&txn, zones[i], &number, &err));
        assert_int_equal(number, i + 1);
        assert_int_equal(parts_calendar(&txn.reader, zones[i]), i + 1);
    }
    MUST(store_put(&txn, DATABASE_CALENDARS, store_value(STR("last")), STR("\xff\xff\0\0"), 0,
                   &err));
    assert_false(parts_add_calendar(&txn, STR("one more"), &number, &why));
    assert_int_equal(why.kind, ERROR_FULL);
    write_txn_abort(&txn);
}

/* --- days --------------------------------------------------------------------------------------
 */

enum { DAYS = 120, FIRST_DAY = -60 };

/* Days of a zone with an offset, some of 23 and 25 hours, some not built. */
static size_t make_days(uint64_t *seed, struct day_bounds *out)
{
    int64_t at = FIRST_DAY * QUARTERS_PER_DAY + (int64_t)random_below(seed, 120) - 60;
    int64_t drift = 0;
    size_t count = 0;

    for (int64_t day = FIRST_DAY; day < FIRST_DAY + DAYS; day++) {
        int64_t change = random_below(seed, 10) == 0 ? (drift == 0 ? 4 : -4) : 0;
        drift += change;
        int64_t next = at + QUARTERS_PER_DAY + change;
        if (random_below(seed, 8) > 0)
            out[count++] = (struct day_bounds){day, at, next};
        at = next;
    }
    return count;
}

struct seen_days {
    struct day_bounds days[DAYS];
    size_t count;
    size_t stop_after;
};

static bool see_day(const struct day_bounds *day, void *arg)
{
    struct seen_days *seen = arg;
    seen->days[seen->count++] = *day;
    return seen->count != seen->stop_after;
}

static void check_range(const struct read_txn *txn, uint32_t calendar,
                        const struct day_bounds *days, size_t count, const int64_t range[2])
{
    struct seen_days seen = {.count = 0};
    size_t at = 0;

    MUST(parts_days(txn, &(const struct day_range){calendar, range[0], range[1]}, see_day, &seen,
                    &err));
    for (size_t i = 0; i < count; i++) {
        if (days[i].to <= range[0] || days[i].from >= range[1])
            continue;
        assert_true(at < seen.count);
        assert_memory_equal(&seen.days[at++], &days[i], sizeof *days);
    }
    assert_int_equal(seen.count, at);
}

static void built_days_are_visited_in_their_order(void **state)
{
    struct fixture *fixture = *state;
    uint64_t seed = 5;

    for (uint32_t calendar = 1; calendar <= 4; calendar++) {
        struct write_txn txn = write_begin(fixture);
        struct day_bounds days[DAYS];
        size_t count = make_days(&seed, days);
        for (size_t i = 0; i < count; i++)
            MUST(parts_add_day(&txn, calendar, &days[i], &err));
        write_end(&txn);

        struct read_txn *reader = read_begin(fixture);
        for (int i = 0; i < 300; i++) {
            int64_t from = (int64_t)random_below(&seed, 13000) - 6500;
            const int64_t range[2] = {from, from + 1 + (int64_t)random_below(&seed, 2000)};
            check_range(reader, calendar, days, count, range);
        }
        check_range(reader, calendar, days, count, (const int64_t[2]){INT64_MIN, INT64_MAX});
        check_range(reader, calendar, days, count, (const int64_t[2]){days[3].from, days[3].to});

        struct seen_days seen = {.stop_after = 2};
        MUST(parts_days(reader, &(const struct day_range){calendar, INT64_MIN, INT64_MAX}, see_day,
                        &seen, &err));
        assert_int_equal(seen.count, 2);
        read_txn_end(reader);
    }
}

static void a_removed_day_is_visited_no_more(void **state)
{
    struct fixture *fixture = *state;
    struct write_txn txn = write_begin(fixture);
    struct seen_days seen = {.count = 0};

    for (int64_t day = 0; day < 5; day++) {
        const struct day_bounds bounds = {day, day * 96 - 4, day * 96 + 92};
        MUST(parts_add_day(&txn, 1, &bounds, &err));
    }
    MUST(parts_remove_day(&txn, 1, 1, &err));
    MUST(parts_remove_day(&txn, 1, 77, &err)); /* there is none */
    MUST(parts_days(&txn.reader, &(const struct day_range){1, -4, 5 * 96}, see_day, &seen, &err));
    assert_int_equal(seen.count, 4);
    assert_int_equal(seen.days[1].day, 2);
    write_end(&txn);
}

static void a_day_of_no_zone_is_refused(void **state)
{
    static const struct day_bounds days[] = {
        {0, 97, 192},
        {0, -97, 10},
        {0, 0, 193},
        {0, 5, 5},
        {0, 5, 4},
        {INT64_MAX, 0, 96},
        {INT64_MIN / 96 + 1, INT64_MAX - 96, INT64_MAX},
    };
    struct fixture *fixture = *state;
    struct write_txn txn = write_begin(fixture);

    for (size_t i = 0; i < TEST_COUNT(days); i++) {
        struct error why = ERROR_EMPTY;
        assert_false(parts_add_day(&txn, 1, &days[i], &why));
        assert_int_equal(why.kind, ERROR_INVALID);
    }
    assert_int_equal(rows_of(&txn.reader, DATABASE_DAY_BOUNDS), 0);
    write_txn_abort(&txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(runs_are_listed_by_tier_and_number),
        STORE_TEST(what_is_taken_off_a_list_is_garbage),
        STORE_TEST(partitions_that_overlap_a_range_are_found),
        STORE_TEST(a_partition_that_is_added_again_is_replaced),
        STORE_TEST(a_damaged_row_is_an_error_with_words),
        STORE_TEST(numbers_are_never_given_twice),
        STORE_TEST(garbage_is_collected_in_steps_and_nothing_else_is),
        STORE_TEST(rows_of_garbage_without_data_are_forgotten_in_one_step),
        STORE_TEST(a_mark_is_none_until_it_is_set),
        STORE_TEST(every_zone_has_a_number_of_its_own),
        STORE_TEST(built_days_are_visited_in_their_order),
        STORE_TEST(a_removed_day_is_visited_no_more),
        STORE_TEST(a_day_of_no_zone_is_refused),
    };
    return cmocka_run_group_tests_name("parts", tests, NULL, NULL);
}
