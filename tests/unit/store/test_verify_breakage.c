/* What verify says when somebody broke the store: each kind of thing, by hand. */
#include "store/census.h"
#include "store/mixed.h"
#include "store/removed.h"
#include "store/walk.h"
#include "verify_world.h"

enum { NOWHERE = 77777 };

/* A copy of a row that may be changed. */
struct row {
    struct schema_key key;
    char value[20000];
    size_t len;
};

/* The first row from the key on. */
static void find_row(struct write_txn *txn, enum database database, const struct schema_key *from,
                     struct row *out)
{
    struct error err = ERROR_EMPTY;
    struct walk walk;

    assert_true(walk_begin(&walk, &txn->reader, database, from, &err));
    assert_true(walk.found);
    out->key.len = walk.key.mv_size;
    memcpy(out->key.bytes, walk.key.mv_data, walk.key.mv_size);
    assert_true(walk.value.mv_size <= sizeof out->value);
    out->len = walk.value.mv_size;
    if (out->len > 0)
        memcpy(out->value, walk.value.mv_data, out->len);
    walk_end(&walk);
}

static void first_row(struct write_txn *txn, enum database database, struct row *out)
{
    const struct schema_key from = SCHEMA_KEY_EMPTY;
    find_row(txn, database, &from, out);
}

static void write_back(struct write_txn *txn, enum database database, const struct row *row)
{
    put_row(txn, database, &row->key, (struct str){row->value, row->len});
}

static void flip(struct write_txn *txn, enum database database, size_t byte)
{
    struct row row;
    first_row(txn, database, &row);
    row.value[byte] ^= 1;
    write_back(txn, database, &row);
}

/* Adds to a number of eight bytes in the first row. */
static void add_to(struct write_txn *txn, enum database database, size_t at, int64_t more)
{
    struct row row;
    struct buf bytes = BUF_EMPTY;

    first_row(txn, database, &row);
    struct reader reader = reader_of((struct str){row.value + at, 8});
    buf_i64(&bytes, read_i64(&reader) + more);
    memcpy(row.value + at, bytes.bytes, bytes.len);
    buf_fini(&bytes);
    write_back(txn, database, &row);
}

static void cut(struct write_txn *txn, enum database database)
{
    struct row row;
    first_row(txn, database, &row);
    row.len--;
    write_back(txn, database, &row);
}

static void drop(struct write_txn *txn, enum database database)
{
    struct row row;
    first_row(txn, database, &row);
    remove_row(txn, database, &row.key);
}

/* The first row under another key. */
static void move_row(struct write_txn *txn, enum database database, size_t byte, char value)
{
    struct row row;
    first_row(txn, database, &row);
    remove_row(txn, database, &row.key);
    row.key.bytes[byte] = (unsigned char)value;
    write_back(txn, database, &row);
}

static void set_meta(struct write_txn *txn, const char *name, int64_t value)
{
    struct error err = ERROR_EMPTY;
    assert_true(meta_put(txn, name, (uint64_t)value, &err));
}

/* Runs: version, min and max minute, cells, bytes. */
static void damage_chunk(struct write_txn *txn)
{
    flip(txn, DATABASE_JOURNAL, 40);
}

static void misplace_chunk(struct write_txn *txn)
{
    move_row(txn, DATABASE_JOURNAL, 19, 9);
}

static void lengthen_chunk_key(struct write_txn *txn)
{
    struct row row;
    first_row(txn, DATABASE_JOURNAL, &row);
    schema_put_u8(&row.key, 1);
    write_back(txn, DATABASE_JOURNAL, &row);
}

static void lose_chunk(struct write_txn *txn)
{
    drop(txn, DATABASE_JOURNAL);
}

static void change_run_cells(struct write_txn *txn)
{
    add_to(txn, DATABASE_RUNS, 24, 1);
}

static void change_run_bytes(struct write_txn *txn)
{
    add_to(txn, DATABASE_RUNS, 32, 1);
}

static void change_run_minutes(struct write_txn *txn)
{
    add_to(txn, DATABASE_RUNS, 8, -1);
}

static void damage_run_row(struct write_txn *txn)
{
    cut(txn, DATABASE_RUNS);
}

/* A listed run of two chunks, each of which is sound. */
static void disorder_run(struct write_txn *txn)
{
    static const uint32_t ids[2][2] = {{1, 9}, {5, 10}};
    struct run run = {.tier = 1, .number = 900, .min_minute = 0, .max_minute = 0, .cells = 4};
    struct chunk_writer *writer = chunk_writer_new();
    struct error err = ERROR_EMPTY;
    struct cell cell = CELL_EMPTY;

    aggregate_add(&cell.aggregate, 1, WEIGHT_ONE, 0, 1);
    for (size_t i = 0; i < 2; i++) {
        struct schema_key key = SCHEMA_KEY_EMPTY;
        uint32_t id = 0;
        int64_t minute = 0;
        for (size_t j = 0; j < 2; j++)
            assert_true(chunk_writer_add(writer, ids[i][j], 0, &cell));
        struct str bytes = chunk_writer_take(writer, run.number, &id, &minute);
        schema_put_u64(&key, run.number);
        schema_put_i64(&key, 0);
        schema_put_u32(&key, id);
        schema_put_u8(&key, 0);
        put_row(txn, DATABASE_RUN, &key, bytes);
        run.bytes += bytes.len;
    }
    chunk_writer_free(writer);
    set_meta(txn, "run", 900);
    assert_true(parts_add_run(txn, &run, &err));
}

static void number_run_anew(struct write_txn *txn)
{
    disorder_run(txn);
    set_meta(txn, "run", 899);
}

/* Partitions. */
static void damage_block(struct write_txn *txn)
{
    flip(txn, DATABASE_MINUTES, 3);
}

static void move_part(struct write_txn *txn)
{
    move_row(txn, DATABASE_QUARTERS, 8, 1);
}

static void lose_series(struct write_txn *txn)
{
    drop(txn, DATABASE_DAYS);
}

static void change_partition_points(struct write_txn *txn)
{
    add_to(txn, DATABASE_PARTITIONS, 24, 1);
}

static void change_partition_bytes(struct write_txn *txn)
{
    add_to(txn, DATABASE_PARTITIONS, 32, 1);
}

static void shorten_partition(struct write_txn *txn)
{
    struct row row;
    struct buf to = BUF_EMPTY;
    struct partition partition;

    first_row(txn, DATABASE_PARTITIONS, &row);
    assert_true(parts_partition_of((struct str){(char *)row.key.bytes, row.key.len},
                                   (struct str){row.value, row.len}, &partition));
    buf_i64(&to, partition.from + 1);
    memcpy(row.value, to.bytes, to.len);
    buf_fini(&to);
    write_back(txn, DATABASE_PARTITIONS, &row);
}

static void damage_partition_row(struct write_txn *txn)
{
    cut(txn, DATABASE_PARTITIONS);
}

static void number_partition_anew(struct write_txn *txn)
{
    set_meta(txn, "partition", 1);
}

static void reopen_minutes(struct write_txn *txn)
{
    set_meta(txn, "closed", parts_mark(&txn->reader, MARK_CLOSED) - 10 * MINUTES_PER_WINDOW);
}

static void forget_quarters(struct write_txn *txn)
{
    set_meta(txn, "quartered", parts_mark(&txn->reader, MARK_QUARTERED) - 10 * QUARTERS_PER_WINDOW);
}

/* A partition of one point, listed. */
static void add_point(struct write_txn *txn, enum level level, int64_t bucket,
                      const struct cell *cell)
{
    static uint32_t number = 60000;
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct block_point point;
    struct partition_writer writer;
    const struct block_points points = {&point, 1};
    const struct partition facts = {.level = level,
                                    .calendar = level == LEVEL_DAY ? 1 : 0,
                                    .number = ++number,
                                    .from = bucket,
                                    .to = bucket + 1};

    partition_point_of(cell, bucket, &arena, &point);
    partition_writer_init(&writer, &facts);
    assert_true(partition_writer_add(&writer, txn, 3, &points, &err));
    assert_true(parts_add_partition(txn, &writer.partition, &err));
    set_meta(txn, "partition", number);
    partition_writer_fini(&writer);
    arena_fini(&arena);
}

static void damage_sketch(struct write_txn *txn)
{
    struct row row;
    struct partition partition;
    struct block_point point = {.sketch = STR("\4x")};
    const struct block_form form = {false, 0};
    const struct block_points points = {&point, 1};
    struct arena arena = ARENA_EMPTY;
    struct buf block = BUF_EMPTY;

    first_row(txn, DATABASE_PARTITIONS, &row);
    assert_true(parts_partition_of((struct str){(char *)row.key.bytes, row.key.len},
                                   (struct str){row.value, row.len}, &partition));
    first_row(txn, DATABASE_MINUTES, &row);
    const struct block_frame frame = partition_frame(&partition, row.key.bytes[7]);
    point.bucket = partition.from;
    aggregate_add(&point.aggregate, 1, WEIGHT_ONE, point.bucket * 60000, 0);
    assert_int_equal(block_encode(&frame, &points, &form, &arena, &block), 1);
    put_row(txn, DATABASE_MINUTES, &row.key, buf_view(&block));
    buf_fini(&block);
    arena_fini(&arena);
}

/* Levels. */
static int64_t some_quarter(struct write_txn *txn)
{
    return parts_mark(&txn->reader, MARK_QUARTERED) - 100;
}

static void add_minute(struct write_txn *txn)
{
    struct cell cell = CELL_EMPTY;
    int64_t minute = some_quarter(txn) * MINUTES_PER_QUARTER;
    aggregate_add(&cell.aggregate, 5, WEIGHT_ONE, minute * 60000, 0);
    add_point(txn, LEVEL_MINUTE, minute, &cell);
}

static void add_day(struct write_txn *txn)
{
    struct cell cell = CELL_EMPTY;
    int64_t day = some_quarter(txn) / QUARTERS_PER_DAY;
    aggregate_add(&cell.aggregate, 5, WEIGHT_ONE, day * MS_PER_DAY, 0);
    add_point(txn, LEVEL_DAY, day, &cell);
}

/* In a window of its own two samples, and a quarter that says something else of them. */
static void tell_apart(struct write_txn *txn, double first, double second, wall_ms later,
                       enum metric_kind kind)
{
    struct cell minute = CELL_EMPTY;
    struct cell quarter = CELL_EMPTY;
    int64_t at = some_quarter(txn) - 1000 * QUARTERS_PER_WINDOW;
    wall_ms time = at * QUARTER_MS;

    cell_add_value(&minute, 3, WEIGHT_ONE, time, 0);
    cell_add_value(&minute, 5, WEIGHT_ONE, time + 10, 0);
    cell_add_value(&quarter, first, WEIGHT_ONE, time, 0);
    cell_add_value(&quarter, second, WEIGHT_ONE, time + 10 + later, 0);
    if (kind == METRIC_UNIQUE) {
        quarter.distinct = distinct_new();
        distinct_add(quarter.distinct, STR("a member"));
    }
    add_point(txn, LEVEL_MINUTE, at * MINUTES_PER_QUARTER, &minute);
    if (kind == METRIC_UNTYPED)
        quarter.aggregate.sum = 8.5;
    add_point(txn, LEVEL_QUARTER, at, &quarter);
    cell_fini(&minute);
    cell_fini(&quarter);
}

static void tell_the_same(struct write_txn *txn)
{
    tell_apart(txn, 3, 5, 0, METRIC_DISTRIBUTION);
}

static void tell_other_extremes(struct write_txn *txn)
{
    tell_apart(txn, 2, 6, 0, METRIC_DISTRIBUTION);
}

static void tell_other_times(struct write_txn *txn)
{
    tell_apart(txn, 3, 5, 1, METRIC_DISTRIBUTION);
}

static void tell_another_sum(struct write_txn *txn)
{
    tell_apart(txn, 3, 5, 0, METRIC_UNTYPED);
}

static void tell_other_members(struct write_txn *txn)
{
    tell_apart(txn, 3, 5, 0, METRIC_UNIQUE);
}

/* What nothing lists. */
static void put_unlisted(struct write_txn *txn, enum garbage what)
{
    const struct garbage_item item = {what, NOWHERE};
    enum database database = DATABASE_COUNT;
    struct schema_key key;
    assert_true(parts_data_of(&item, &database, &key));
    schema_put_u8(&key, 0);
    put_row(txn, database, &key, STR("x"));
}

static void leave_journal(struct write_txn *txn)
{
    put_unlisted(txn, GARBAGE_JOURNAL);
}

static void leave_run(struct write_txn *txn)
{
    put_unlisted(txn, GARBAGE_RUN);
}

static void leave_minutes(struct write_txn *txn)
{
    put_unlisted(txn, GARBAGE_MINUTES);
}

static void leave_quarters(struct write_txn *txn)
{
    put_unlisted(txn, GARBAGE_QUARTERS);
}

static void leave_days(struct write_txn *txn)
{
    put_unlisted(txn, GARBAGE_DAYS);
}

static void leave_index(struct write_txn *txn)
{
    put_unlisted(txn, GARBAGE_INDEX);
}

static void leave_short_key(struct write_txn *txn)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    schema_put_u16(&key, 0);
    put_row(txn, DATABASE_DAYS, &key, STR("x"));
}

/* Garbage that is listed: it would be deleted. */
static void condemn_partition(struct write_txn *txn)
{
    struct row row;
    struct partition partition;
    struct error err = ERROR_EMPTY;
    first_row(txn, DATABASE_PARTITIONS, &row);
    assert_true(parts_partition_of((struct str){(char *)row.key.bytes, row.key.len},
                                   (struct str){row.value, row.len}, &partition));
    assert_true(parts_add_garbage(txn, GARBAGE_MINUTES, partition.number, &err));
}

static void damage_garbage_row(struct write_txn *txn)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    schema_put_u8(&key, 99);
    schema_put_u64(&key, 1);
    put_row(txn, DATABASE_GARBAGE, &key, STR_EMPTY);
}

/* Tables. */
static void cut_mark(struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    assert_true(
        store_put(txn, DATABASE_META, store_value(STR("kept_quarter")), STR("\1"), 0, &err));
}

static void move_mark(struct write_txn *txn)
{
    set_meta(txn, "closed", parts_mark(&txn->reader, MARK_CLOSED) + 1);
}

static void quarter_too_much(struct write_txn *txn)
{
    set_meta(txn, "quartered", parts_mark(&txn->reader, MARK_QUARTERED) + 10 * QUARTERS_PER_WINDOW);
}

static void damage_calendar(struct write_txn *txn)
{
    cut(txn, DATABASE_CALENDARS);
}

static void number_calendar_twice(struct write_txn *txn)
{
    struct schema_key key = schema_name_key(STR("Mars/Olympus"));
    put_row(txn, DATABASE_CALENDARS, &key, STR("\1\0\0\0"));
}

static void damage_day(struct write_txn *txn)
{
    cut(txn, DATABASE_DAY_BOUNDS);
}

static void put_day(struct write_txn *txn, uint32_t calendar, int64_t day, int64_t late)
{
    struct error err = ERROR_EMPTY;
    const struct day_bounds bounds = {day, day * QUARTERS_PER_DAY + late,
                                      (day + 1) * QUARTERS_PER_DAY + late};
    assert_true(parts_add_day(txn, calendar, &bounds, &err));
}

static void shift_day(struct write_txn *txn)
{
    put_day(txn, 1, some_quarter(txn) / QUARTERS_PER_DAY, 3);
}

static void put_day_of_no_calendar(struct write_txn *txn)
{
    put_day(txn, 99, some_quarter(txn) / QUARTERS_PER_DAY, 0);
}

static void put_day_too_early(struct write_txn *txn)
{
    put_day(txn, 1, some_quarter(txn) / QUARTERS_PER_DAY + 40, 0);
}

static void damage_ledger(struct write_txn *txn)
{
    cut(txn, DATABASE_LEDGER);
}

static void change_ledger(struct write_txn *txn)
{
    add_to(txn, DATABASE_LEDGER, 4 + 6, 1); /* received */
}

static void rename_ledger(struct write_txn *txn)
{
    move_row(txn, DATABASE_LEDGER, 0, 'x');
}

static void damage_gauge(struct write_txn *txn)
{
    cut(txn, DATABASE_GAUGES);
}

static void damage_tracker(struct write_txn *txn)
{
    cut(txn, DATABASE_TRACKERS);
}

static void track_no_series(struct write_txn *txn)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;

    schema_put_u64(&key, 2);
    put_row(txn, DATABASE_TRACKERS, &key, STR("\1\x83\x12\x09\0\0"));
}

static void put_named(struct write_txn *txn, enum database database, const char *name,
                      struct str value)
{
    const struct schema_key key = schema_name_key(str_of(name));
    put_row(txn, database, &key, value);
}

static void damage_mixed(struct write_txn *txn)
{
    put_named(txn, DATABASE_MIXED, "orders", STR("\6\0\0\0orders\1\0\0\0"));
}

static void rename_mixed(struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    const struct schema_key key = schema_name_key(STR("orders"));
    struct row row;

    assert_true(mixed_note(txn, STR("orders"), (struct mixed_span){1, 2}, &err));
    first_row(txn, DATABASE_MIXED, &row);
    put_named(txn, DATABASE_MIXED, "orderz", (struct str){row.value, row.len});
    assert_true(store_remove(txn, DATABASE_MIXED, store_key(&key), &err));
}

static void damage_kept(struct write_txn *txn)
{
    put_named(txn, DATABASE_KEPT, "orders", STR("12345678"));
}

static void damage_seen(struct write_txn *txn)
{
    const struct schema_key key = schema_id_key(3);
    put_row(txn, DATABASE_SEEN, &key, STR("\1\0"));
}

static void damage_removed(struct write_txn *txn)
{
    const struct schema_key key = schema_id_key(0);
    put_row(txn, DATABASE_REMOVED, &key, STR("\1"));
}

static void remove_what_is_there(struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    assert_true(removed_add(txn, 2, &err));
}

static struct schema_key owner_row(uint32_t number)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    schema_put_u8(&key, CENSUS_OWNER_ROW);
    schema_put_u32(&key, number);
    return key;
}

static void damage_owners(struct write_txn *txn)
{
    const struct schema_key key = owner_row(2);
    put_row(txn, DATABASE_OWNERS, &key, STR("\1\0"));
}

static void misname_owners(struct write_txn *txn)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    schema_put_u8(&key, 7);
    put_row(txn, DATABASE_OWNERS, &key, STR("\1\0"));
}

static void empty_listener(struct write_txn *txn)
{
    const struct schema_key key = census_owner_key(1);
    put_row(txn, DATABASE_OWNERS, &key, STR_EMPTY);
}

/* As it is when nothing is wrong: series of a listener, and of nobody. */
static void own_series(struct write_txn *txn)
{
    const struct schema_key name = census_owner_key(1);
    const struct schema_key key = owner_row(0);
    char row[CENSUS_OWNER_ROW_BYTES] = {0, 0, 1};

    put_row(txn, DATABASE_OWNERS, &name, STR("statsd udp:127.0.0.1:8125"));
    put_row(txn, DATABASE_OWNERS, &key, (struct str){row, sizeof row});
}

static void own_series_of_no_listener(struct write_txn *txn)
{
    const struct schema_key key = owner_row(0);
    char row[CENSUS_OWNER_ROW_BYTES] = {0, 0, 9};

    put_row(txn, DATABASE_OWNERS, &key, (struct str){row, sizeof row});
}

static void damage_wish(struct write_txn *txn)
{
    const struct schema_key key = schema_id_key(3);
    put_row(txn, DATABASE_UNWANTED, &key, STR("\1"));
}

static void wish_for_no_series(struct write_txn *txn)
{
    const struct schema_key key = schema_id_key(UINT32_MAX - 9);
    put_row(txn, DATABASE_UNWANTED, &key, STR("12345678"));
}

static void remove_what_never_was(struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    assert_true(removed_add(txn, UINT32_MAX - 9, &err));
}

static void put_unknown_mark(struct write_txn *txn)
{
    set_meta(txn, "a mark", 1);
}

static void cut_clock(struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    assert_true(store_put(txn, DATABASE_META, store_value(STR("clock")), STR("\1"), 0, &err));
}

static void lose_days(struct write_txn *txn)
{
    set_meta(txn, "days_lost_17", 1);
}

static void cut_lost_days(struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    assert_true(
        store_put(txn, DATABASE_META, store_value(STR("days_lost_17")), STR("\1"), 0, &err));
}

static void index_too_much(struct write_txn *txn)
{
    set_meta(txn, "indexed", NOWHERE);
}

static void damage_index(struct write_txn *txn)
{
    flip(txn, DATABASE_INDEX, 12);
}

static void damage_identity(struct write_txn *txn)
{
    cut(txn, DATABASE_IDENTITIES);
}

static void lose_age(struct write_txn *txn)
{
    drop(txn, DATABASE_IDENTITY_AGES);
}

static void lose_identity(struct write_txn *txn)
{
    drop(txn, DATABASE_IDENTITIES);
}

static void cut_age(struct write_txn *txn)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    schema_put_i64(&key, 0);
    put_row(txn, DATABASE_IDENTITY_AGES, &key, STR_EMPTY);
}

/* Catalogue. */
static void lose_a_series(struct write_txn *txn)
{
    drop(txn, DATABASE_SERIES);
}

static void damage_series_key(struct write_txn *txn)
{
    flip(txn, DATABASE_SERIES, 8 + 1 + 8); /* the byte after the metric */
}

struct breakage {
    void (*apply)(struct write_txn *txn);
    const char *what;  /* NULL: it is no breakage */
    const char *where; /* a part of it */
    const char *text;
};

static const struct breakage BREAKAGES[] = {
    {damage_chunk, "run", "of tier 0", "is damaged"},
    {misplace_chunk, "run", "of tier 0", "a chunk begins with series"},
    {lengthen_chunk_key, "run", "of tier 0", "is damaged"},
    {lose_chunk, "run", "of tier 0", "it holds 0 cells, and its record says"},
    {change_run_cells, "run", "run ", " cells, and its record says "},
    {change_run_bytes, "run", "run ", " bytes, and its record says "},
    {change_run_minutes, "run", "run ", "it holds minutes "},
    {damage_run_row, "list", "the list of runs", "a row is damaged"},
    {disorder_run, "run", "run 900 of tier 1", "its cells are not in order at series 5, minute 0"},
    {number_run_anew, "run", "run 900 of tier 1", "its number was never given"},
    {damage_block, "partition", " of minutes", " is damaged"},
    {move_part, "partition", " of quarters", "part 1 of series 1 comes after one that is missing"},
    {lose_series, "partition", " of days", " series, and its record says "},
    {change_partition_points, "partition", " of minutes", " points, and its record says "},
    {change_partition_bytes, "partition", " of minutes", " bytes, and its record says "},
    {shorten_partition, "partition", " of minutes", "has points outside the partition"},
    {damage_partition_row, "list", "the list of partitions", "a row is damaged"},
    {number_partition_anew, "partition", "partition ", "its number was never given"},
    {reopen_minutes, "partition", " of minutes", ", which has not closed"},
    {forget_quarters, "partition", " of quarters", ", which has not been built"},
    {damage_sketch, "partition", " of minutes", "has a sketch that is damaged"},
    {add_minute, "level", "quarters from 2025-10-", "has not the count of its minutes: count "},
    {add_day, "level", "day 2025-10-", "has not the count of its quarters: count "},
    {tell_the_same, NULL, NULL, NULL},
    {tell_other_extremes, "level", "quarters from",
     "has not the least and greatest value of its minutes: count 2, not 2; sum 8, not 8"},
    {tell_other_times, "level", "quarters from", "has not the first and last time of its minutes"},
    {tell_another_sum, "level", "quarters from", "series 3 'metric_3' at 2025-"},
    {tell_other_members, "level", "quarters from", "has not the distribution of its minutes"},
    {leave_journal, "unlisted", "'journal'", "number 77777 belongs to nothing that is listed"},
    {leave_run, "unlisted", "'run'", "number 77777 belongs to nothing that is listed"},
    {leave_minutes, "unlisted", "'minutes'", "number 77777 belongs to nothing that is listed"},
    {leave_quarters, "unlisted", "'quarters'", "number 77777 belongs to nothing that is listed"},
    {leave_days, "unlisted", "'days'", "number 77777 belongs to nothing that is listed"},
    {leave_index, "unlisted", "'index'", "number 77777 belongs to nothing that is listed"},
    {leave_short_key, "unlisted", "'days'", "a row has a key of 2 bytes"},
    {condemn_partition, "list", "'minutes'", "is listed twice"},
    {damage_garbage_row, "list", "the list of garbage", "a row is damaged"},
    {cut_mark, "mark", "the marks", "'kept_quarter' has 1 bytes"},
    {move_mark, "mark", "the marks", "'closed' is "},
    {quarter_too_much, "mark", "the marks", "quarters are built up to "},
    {damage_calendar, "calendar", "calendar '", "its row is damaged"},
    {number_calendar_twice, "calendar", "'Mars/Olympus'", "it has number 1, as another one has"},
    {damage_day, "day", "the list of days", "a row is damaged"},
    {shift_day, "day", " of calendar 1", "it begins at quarter "},
    {put_day_of_no_calendar, "day", " of calendar 99", "there is no such calendar"},
    {put_day_too_early, "day", " of calendar 1", ", which has not been built"},
    {damage_ledger, "ledger", "the ledger of 'statsd'", "its row is damaged"},
    {change_ledger, "ledger", "the ledger of 'statsd'", "it received 10 samples"},
    {rename_ledger, "ledger", "the ledger of 'xtatsd'", "its row is that of 'statsd'"},
    {damage_gauge, "series", "the level of series 3", "its row is damaged"},
    {damage_tracker, "series", "row 1 of the trackers", "its row is damaged"},
    {track_no_series, "series", "row 2 of the trackers", "the series 2307 is not in the catalogue"},
    {damage_mixed, "series", "a mark of two senders", "its row is damaged"},
    {rename_mixed, "series", "a mark of two senders", "its row is that of 'orders'"},
    {damage_kept, "mark", "what is kept of metric 'orders'", "its row is damaged"},
    {damage_seen, "series", "row 3 of when series were seen", "its row is damaged"},
    {damage_removed, "series", "row 0 of the removed series", "its row is damaged"},
    {remove_what_is_there, "series", "row 0 of the removed series",
     "the series 2 is in the catalogue"},
    {damage_owners, "series", "row 2 of who brought series", "its row is damaged"},
    {misname_owners, "series", "of who brought series", "its row is damaged"},
    {empty_listener, "series", "listener 1", "its row is damaged"},
    {own_series, NULL, NULL, NULL},
    {own_series_of_no_listener, "series", "row 0 of who brought series",
     "the name of listener 9 is not there"},
    {damage_wish, "series", "the wish that series 3 goes", "its row is damaged"},
    {wish_for_no_series, "series", "the wish that series 4294967286 goes",
     "its number was never given"},
    {remove_what_never_was, "series", "row 524287 of the removed series",
     "the number of series 4294967286 was never given"},
    {put_unknown_mark, "mark", "the marks", "'a mark' is none of them"},
    {cut_clock, "mark", "the marks", "'clock' has 1 bytes"},
    {lose_days, NULL, NULL, NULL},
    {cut_lost_days, "mark", "the marks", "'days_lost_17' has 1 bytes"},
    {index_too_much, "catalogue", "the catalogue",
     "the index is said to have all series up to 77777, and the newest is "},
    {damage_index, "catalogue", "the catalogue", "index run 1 in data directory"},
    {damage_identity, "identity", "identity 0000000000000005", "its row is damaged"},
    {lose_age, "identity", "identity 0000000000000005", "it is not in the list of ages"},
    {lose_identity, "identity", "identity 0000000000000005", "the list of ages has it at 17"},
    {cut_age, "identity", "identity 0000000000000000", "the list of ages has it at 0"},
    {lose_a_series, "run", " of tier 0", "it has cells of series 1, which is not in the catalogue"},
    {lose_a_series, "partition", " of days", "cells of series 1, which is not in the catalogue"},
    {damage_series_key, "catalogue", "the catalogue", "series 1"},
};

static void expect_heard(const struct heard *heard, const struct breakage *breakage, size_t number)
{
    for (size_t i = 0; i < heard->count; i++) {
        if (strcmp(heard->findings[i].what, breakage->what) == 0 &&
            strstr(heard->findings[i].where, breakage->where) != NULL &&
            strstr(heard->findings[i].text, breakage->text) != NULL)
            return;
    }
    for (size_t i = 0; i < heard->count && i < 10; i++)
        print_error("%s: %s: %s\n", heard->findings[i].what, heard->findings[i].where,
                    heard->findings[i].text);
    fail_msg("breakage %zu: %zu findings, none is %s: ...%s...: ...%s...", number, heard->count,
             breakage->what, breakage->where, breakage->text);
}

/* Each in a copy of one sound store. */
static void whatever_is_broken_is_said(void **state)
{
    struct world world;
    struct bag newest = {0};
    struct heard *heard = memory_zero(1, sizeof *heard);
    (void)state;

    open_world(&world, "2025-10-24", 7);
    for (int i = 0; i < 20; i++) {
        run_evenly(&world, 1);
        pass_time(&world, 3 * MS_PER_HOUR);
    }
    (void)settle(&world);
    for (uint32_t id = 1; id <= 3; id++)
        add_cell(&world, &newest, id, minute_now(&world) - 1);
    write_run(&world, &newest);
    for (size_t i = 0; i < TEST_COUNT(BREAKAGES); i++) {
        struct fixture copy = {.max_size = BIG_SIZE};
        struct write_txn txn;
        make_directory(copy.path);
        assert_int_equal(mdb_env_copy2(world.fixture.store->env, copy.path, MDB_CP_COMPACT), 0);
        fixture_open(&copy);
        (void)mdb_env_set_flags(copy.store->env, MDB_NOSYNC, 1);
        begin_writing(copy.store, &txn);
        BREAKAGES[i].apply(&txn);
        number_commit(&txn);
        heard->count = 0;
        (void)verify_now(copy.store, heard, i % 3);
        if (BREAKAGES[i].what == NULL)
            expect_sound(heard);
        else
            expect_heard(heard, &BREAKAGES[i], i);
        fixture_close(&copy);
        remove_directory(copy.path);
    }
    free(heard);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_broken_is_said),
    };
    return cmocka_run_group_tests_name("verify_breakage", tests, NULL, NULL);
}
