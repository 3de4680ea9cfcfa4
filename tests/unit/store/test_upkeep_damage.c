/* Damaged data on disk: it is found, nothing is made of it, and the rest goes on. */
#include "upkeep_world.h"

enum { CHUNK_ROOM = 8192, KEY_ROOM = 64 };

struct row {
    unsigned char key[KEY_ROOM];
    char value[CHUNK_ROOM];
    MDB_val key_bytes, value_bytes;
};

static void keep_row(struct row *row, const MDB_val *key, const MDB_val *value)
{
    assert_true(key->mv_size <= KEY_ROOM && value->mv_size <= CHUNK_ROOM);
    memcpy(row->key, key->mv_data, key->mv_size);
    memcpy(row->value, value->mv_data, value->mv_size);
    row->key_bytes = (MDB_val){key->mv_size, row->key};
    row->value_bytes = (MDB_val){value->mv_size, row->value};
}

static void read_rows(const struct write_txn *txn, MDB_cursor_op first, struct row *rows,
                      size_t count)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    MDB_dbi journal = txn->reader.store->databases[DATABASE_JOURNAL];

    assert_int_equal(mdb_cursor_open(txn->reader.txn, journal, &cursor), 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(mdb_cursor_get(cursor, &key, &value, i == 0 ? first : MDB_NEXT), 0);
        keep_row(&rows[i], &key, &value);
    }
    mdb_cursor_close(cursor);
}

static void write_row(struct write_txn *txn, MDB_val key, MDB_val value)
{
    MDB_dbi journal = txn->reader.store->databases[DATABASE_JOURNAL];
    assert_int_equal(mdb_put(txn->reader.txn, journal, &key, &value, 0), 0);
    txn->wrote = true;
}

/* Turns a bit in the newest chunk of the journal. */
static void damage_newest(struct world *world)
{
    struct error err = ERROR_EMPTY;
    struct write_txn txn;
    struct row row;

    assert_true(write_txn_begin(world->fixture.store, NULL, &txn, &err));
    read_rows(&txn, MDB_LAST, &row, 1);
    row.value[row.value_bytes.mv_size / 2] ^= 1;
    write_row(&txn, row.key_bytes, row.value_bytes);
    number_commit(&txn);
}

/* Steps until there is nothing to do; how many of them failed. */
static size_t step_on(struct world *world)
{
    size_t failed = 0;
    bool more = true;

    for (size_t i = 0; i < 200 && (more || failed < 20); i++) {
        struct error err = ERROR_EMPTY;
        if (!upkeep_step(world->upkeep, &world->clock, &more, &err)) {
            assert_int_equal(err.kind, ERROR_CORRUPT);
            failed++;
            more = true;
        }
        if (!more)
            break;
    }
    return failed;
}

static void a_damaged_run_does_not_keep_old_data_from_expiring(void **state)
{
    struct world world;
    struct bag cells = {0};
    size_t failed = 0;
    (void)state;

    world_open(&world, "2025-10-24", 1);
    world.options.calendar_count = 1;
    world.options.keep.minute = MS_PER_DAY;
    new_upkeep(&world);
    run_evenly(&world, QUARTERS_PER_DAY);
    (void)settle(&world);
    int64_t kept = mark_of(&world, MARK_KEPT_MINUTE);
    add_cell(&world, &cells, 1, minute_now(&world) - 3);
    write_run(&world, &cells);
    damage_newest(&world);

    for (int day = 0; day < 3; day++) {
        pass_time(&world, MS_PER_DAY);
        failed += step_on(&world);
    }
    assert_true(failed > 0 && failed < 20);
    assert_true(mark_of(&world, MARK_KEPT_MINUTE) > kept);
    world_close(&world);
}

static void chunks_that_changed_places_are_found(void **state)
{
    struct error err = ERROR_EMPTY;
    struct world world;
    struct write_txn txn;
    struct row rows[2];
    (void)state;

    world_open(&world, "2025-10-24T10:00", 1);
    world.options.calendar_count = 1;
    new_upkeep(&world);
    struct bag cells = {0};
    for (uint32_t id = 1; id < 2000; id++)
        add_cell(&world, &cells, id * 4, minute_now(&world) - 1);
    write_run(&world, &cells);
    assert_true(write_txn_begin(world.fixture.store, NULL, &txn, &err));
    read_rows(&txn, MDB_FIRST, rows, 2);
    write_row(&txn, rows[0].key_bytes, rows[1].value_bytes);
    write_row(&txn, rows[1].key_bytes, rows[0].value_bytes);
    number_commit(&txn);
    pass_time(&world, MS_PER_HOUR);
    assert_int_equal(step_on(&world), 1); /* the fold; then it waits */
    world_close(&world);
}

/* What is asked for ends with its quarter: the next one is not read through. */
static void a_merge_does_not_read_what_comes_after(void **state)
{
    struct error err = ERROR_EMPTY;
    struct world world;
    struct arena arena = ARENA_EMPTY;
    struct run *runs = NULL;
    struct run_cell cell;
    size_t count = 0;
    bool found = true;
    size_t cells_found = 0;
    struct bag cells = {0};
    (void)state;

    world_open(&world, "2025-10-24T10:00", 1);
    int64_t minute = floor_to(minute_now(&world), MINUTES_PER_QUARTER);
    for (uint32_t id = 1; id <= 10; id++)
        add_cell(&world, &cells, id, minute);
    for (uint32_t id = 1; id <= 3000; id++)
        add_cell(&world, &cells, id, minute + MINUTES_PER_QUARTER);
    write_run(&world, &cells);
    damage_newest(&world);

    struct read_txn *txn = read_begin(&world.fixture);
    assert_true(parts_runs(txn, &arena, &runs, &count, &err));
    assert_int_equal(count, 1);
    struct run_merge *merge =
        run_merge_new(txn, runs, count, minute, minute + MINUTES_PER_QUARTER, &err);
    assert_non_null(merge);
    while (found) {
        if (!run_merge_next(merge, &cell, &found, &err))
            fail_msg("%s", err.text);
        cells_found += found;
        if (found)
            cell_fini(&cell.cell);
    }
    assert_int_equal(cells_found, 10);
    run_merge_free(merge);
    read_txn_end(txn);
    arena_fini(&arena);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_run_does_not_keep_old_data_from_expiring),
        cmocka_unit_test(chunks_that_changed_places_are_found),
        cmocka_unit_test(a_merge_does_not_read_what_comes_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
