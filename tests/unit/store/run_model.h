/* Runs and what they should hold: for the tests of store/run.h. */
#pragma once

#include "series/random.h"
#include "store/fixture.h"
#include "store/run.h"

/* --- cells and what they are compared with ------------------------------------------------------
 */

enum { RUNS_MAX = 40, SERIES = 300, MINUTES = 40 };

struct model {
    struct run_cell *cells; /* owned, in order */
    size_t count, capacity;
};

static inline void model_fini(struct model *model)
{
    for (size_t i = 0; i < model->count; i++)
        cell_fini(&model->cells[i].cell);
    free(model->cells);
    *model = (struct model){0};
}

static inline struct cell *model_cell(struct model *model, uint32_t id, int64_t minute)
{
    for (size_t i = 0; i < model->count; i++) {
        if (model->cells[i].id == id && model->cells[i].minute == minute)
            return &model->cells[i].cell;
    }
    if (model->count == model->capacity) {
        model->capacity = model->capacity == 0 ? 64 : 2 * model->capacity;
        model->cells = memory_grow(model->cells, model->capacity, sizeof *model->cells);
    }
    model->cells[model->count] = (struct run_cell){id, minute, CELL_EMPTY};
    return &model->cells[model->count++].cell;
}

static inline int compare_cells(const void *a, const void *b)
{
    const struct run_cell *one = a;
    const struct run_cell *other = b;
    return chunk_order(one->id, one->minute, other->id, other->minute);
}

static inline void sort(struct model *model)
{
    if (model->count > 0)
        qsort(model->cells, model->count, sizeof *model->cells, compare_cells);
}

static inline void assert_same_cell(const struct run_cell *one, const struct run_cell *other)
{
    struct buf a = BUF_EMPTY;
    struct buf b = BUF_EMPTY;

    assert_int_equal(one->id, other->id);
    assert_int_equal(one->minute, other->minute);
    cell_encode(&one->cell, &a);
    cell_encode(&other->cell, &b);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.bytes, b.bytes, a.len);
    buf_fini(&a);
    buf_fini(&b);
}

/* --- runs ---------------------------------------------------------------------------------------
 */

static inline struct run write_run(struct write_txn *txn, unsigned tier, uint64_t number,
                                   const struct model *model)
{
    struct run_writer writer;

    run_writer_init(&writer, tier, number);
    for (size_t i = 0; i < model->count; i++) {
        const struct run_cell *cell = &model->cells[i];
        MUST(run_writer_add(&writer, txn, cell->id, cell->minute, &cell->cell, &err));
    }
    MUST(run_writer_flush(&writer, txn, &err));
    struct run run = writer.run;
    run_writer_fini(&writer);
    return run;
}

/* In a transaction of its own. */
static inline struct run commit_run(struct fixture *fixture, unsigned tier, uint64_t number,
                                    const struct model *model)
{
    struct write_txn txn;
    MUST(write_txn_begin(fixture->store, NULL, &txn, &err));
    struct run run = write_run(&txn, tier, number, model);
    MUST(write_txn_commit(&txn, &err));
    return run;
}

static inline void assert_is_at(const struct run_cursor *cursor, const struct model *model,
                                size_t at)
{
    assert_int_equal(cursor->has_cell, at < model->count);
    if (cursor->has_cell)
        assert_same_cell(&cursor->cell, &model->cells[at]);
}

struct many {
    struct model models[RUNS_MAX];
    struct run runs[RUNS_MAX];
    size_t count;
};

static inline void many_free(struct many *many)
{
    for (size_t i = 0; i < many->count; i++)
        model_fini(&many->models[i]);
    free(many);
}

static inline void next_store(struct fixture *fixture)
{
    fixture_close(fixture); /* the next case's runs have the same numbers */
    remove_directory(fixture->path);
    make_directory(fixture->path);
    fixture_open(fixture);
}

static inline void assert_run_is(struct fixture *fixture, const struct run *run,
                                 const struct model *expected)
{
    struct run_cursor cursor;
    struct read_txn *txn = read_begin(fixture);

    MUST(run_cursor_init(&cursor, txn, run, &err));
    MUST(run_cursor_first(&cursor, &err));
    for (size_t i = 0; i <= expected->count; i++) {
        assert_is_at(&cursor, expected, i);
        MUST(run_cursor_next(&cursor, &err));
    }
    run_cursor_fini(&cursor);
    read_txn_end(txn);
    assert_int_equal(run->cells, expected->count);
}
