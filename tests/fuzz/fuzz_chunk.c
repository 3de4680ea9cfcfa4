/* Chunks as they come from disk: any bytes are refused, or read as cells that are written again and
 * read as the same, also after looking for one. Each input is tried as it is, and with the checksum
 * that it should have, without which next to nothing would get past it. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "store/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEED = 3 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void require_same(const struct run_cell *a, const struct run_cell *b)
{
    struct buf one = BUF_EMPTY;
    struct buf other = BUF_EMPTY;

    require(a->id == b->id && a->minute == b->minute);
    if (a->cell.aggregate.count > 0)
        require(memcmp(&a->cell.aggregate, &b->cell.aggregate, sizeof a->cell.aggregate) == 0);
    cell_encode(&a->cell, &one);
    cell_encode(&b->cell, &other);
    require(str_equal(buf_view(&one), buf_view(&other)));
    buf_fini(&one);
    buf_fini(&other);
}

struct cells {
    struct run_cell *all;
    size_t count, capacity;
    bool is_whole; /* they were read to the end */
};

static void read_cells(struct str bytes, struct cells *out)
{
    struct chunk_reader reader;
    struct run_cell cell;
    bool corrupt = false;

    if (!chunk_reader_init(&reader, bytes, SEED))
        return;
    while (chunk_reader_next(&reader, &cell, &corrupt)) {
        if (out->count > 0) {
            const struct run_cell *before = &out->all[out->count - 1];
            require(chunk_order(before->id, before->minute, cell.id, cell.minute) < 0);
        }
        if (out->count == out->capacity) {
            out->capacity = 2 * out->capacity + 16;
            out->all = memory_grow(out->all, out->capacity, sizeof *out->all);
        }
        out->all[out->count++] = cell;
    }
    out->is_whole = !corrupt;
}

static void write_again(const struct cells *cells, struct cells *out)
{
    struct chunk_writer *writer = chunk_writer_new();
    uint32_t id = 0;
    int64_t minute = 0;

    for (size_t i = 0; i < cells->count; i++) {
        const struct run_cell *cell = &cells->all[i];
        if (chunk_writer_add(writer, cell->id, cell->minute, &cell->cell))
            continue;
        read_cells(chunk_writer_take(writer, SEED, &id, &minute), out);
        require(chunk_writer_add(writer, cell->id, cell->minute, &cell->cell));
    }
    read_cells(chunk_writer_take(writer, SEED, &id, &minute), out);
    chunk_writer_free(writer);
}

/* Each cell that was read is found; in a chunk that is damaged somewhere perhaps another one. */
static void look_for(struct str bytes, const struct cells *cells)
{
    struct run_cell found;
    bool corrupt = false;

    for (size_t i = 0; i < cells->count; i += 1 + cells->count / 16) {
        const struct run_cell *cell = &cells->all[i];
        struct chunk_reader reader;
        require(chunk_reader_init(&reader, bytes, SEED));
        bool is_there = chunk_reader_seek(&reader, cell->id, cell->minute, &corrupt) &&
                        chunk_reader_next(&reader, &found, &corrupt);
        require(is_there || !cells->is_whole);
        if (!is_there)
            continue;
        require(chunk_order(found.id, found.minute, cell->id, cell->minute) >= 0);
        if (cells->is_whole)
            require_same(&found, cell);
        cell_fini(&found.cell);
    }
}

static void cells_fini(struct cells *cells)
{
    for (size_t i = 0; i < cells->count; i++)
        cell_fini(&cells->all[i].cell);
    free(cells->all);
}

static void try_chunk(struct str bytes)
{
    struct cells cells = {0};
    struct cells again = {0};

    read_cells(bytes, &cells);
    look_for(bytes, &cells);
    write_again(&cells, &again);
    require(cells.count == again.count);
    for (size_t i = 0; i < cells.count; i++)
        require_same(&cells.all[i], &again.all[i]);
    cells_fini(&cells);
    cells_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct buf signed_bytes = BUF_EMPTY;

    try_chunk(bytes);
    buf_str(&signed_bytes, bytes);
    buf_u32(&signed_bytes, (uint32_t)XXH3_64bits_withSeed(bytes.text, bytes.len, SEED));
    try_chunk(buf_view(&signed_bytes));
    buf_fini(&signed_bytes);
    return 0;
}
