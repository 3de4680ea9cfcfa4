/* What senders count between bounds, and rows of trackers: any bytes are refused or taken. What is
 * taken is a cell that can be stored, and so is the difference of any two. */
#include <stdlib.h>
#include <string.h>

#include "series/batch.h"
#include "store/tracker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COUNTS_MAX = 24 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_cell(const struct tally *tally)
{
    struct cell cell = CELL_EMPTY;
    struct cell again = CELL_EMPTY;
    struct buf bytes = BUF_EMPTY;

    tally_cell(tally, 1000, 1, &cell);
    require((cell.aggregate.count == 0) == tally_is_empty(tally));
    cell_encode(&cell, &bytes);
    require(cell_decode(buf_view(&bytes), &again));
    cell_merge(&again, &cell);
    cell_fini(&again);
    cell_fini(&cell);
    buf_fini(&bytes);
}

static void check_encoding(const struct tally *tally)
{
    struct buf bytes = BUF_EMPTY;
    struct buf again = BUF_EMPTY;

    tally_encode(tally, &bytes);
    struct reader reader = reader_of(buf_view(&bytes));
    struct tally *read = tally_decode(&reader);
    require(read != NULL && reader.left == 0);
    tally_encode(read, &again);
    require(str_equal(buf_view(&bytes), buf_view(&again)));
    require(tally_subtract(read, tally) && tally_is_empty(read));
    tally_free(read);
    buf_fini(&bytes);
    buf_fini(&again);
}

/* A sender's buckets, chosen by the bytes. */
static struct tally *read_buckets(struct reader *reader)
{
    double bounds[COUNTS_MAX];
    uint64_t counts[2][COUNTS_MAX] = {{0}};
    struct error err;
    uint8_t flags = read_u8(reader);
    uint8_t sizes = read_u8(reader);
    struct batch_buckets buckets = {.has_sum = (flags & 1) != 0,
                                    .has_extremes = (flags & 2) != 0,
                                    .is_exponential = (flags & 4) != 0,
                                    .bounds = bounds,
                                    .bound_count = sizes % COUNTS_MAX,
                                    .counts = counts[0]};
    uint64_t sum = 0;

    buckets.sum = read_double(reader);
    buckets.min = read_double(reader);
    buckets.max = read_double(reader);
    for (size_t i = 0; i < buckets.bound_count; i++)
        bounds[i] = (flags & 8) != 0 ? read_double(reader) : (double)i - read_u8(reader) / 256.0;
    for (size_t i = 0; i <= buckets.bound_count; i++)
        sum += counts[0][i] = (flags & 16) != 0 ? read_varint(reader) : read_u8(reader);
    if (buckets.is_exponential) {
        buckets.scale = (int8_t)read_u8(reader);
        sum += buckets.zeros = read_u8(reader);
        buckets.positive =
            (struct histogram_buckets){(int32_t)read_u32(reader), buckets.bound_count, counts[0]};
        sum -= counts[0][buckets.bound_count];
        for (size_t i = 0; i < sizes / 64U; i++)
            sum += counts[1][i] = read_u8(reader);
        buckets.negative =
            (struct histogram_buckets){(int32_t)(int8_t)read_u8(reader), sizes / 64U, counts[1]};
    }
    buckets.count = (flags & 32) != 0 ? read_varint(reader) : sum;
    return tally_new(&buckets, &err);
}

static void try_pair(struct tally *now, const struct tally *before)
{
    if (now != NULL) {
        check_cell(now);
        check_encoding(now);
    }
    if (now != NULL && before != NULL) {
        (void)tally_subtract(now, before);
        check_cell(now);
    }
}

static void count_id(uint32_t id, void *arg)
{
    uint32_t *before = arg;
    require(id > *before);
    *before = id;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct reader reader = reader_of(bytes);
    uint32_t id = 0;

    struct tally *before = read_buckets(&reader);
    struct tally *now = read_buckets(&reader);
    try_pair(now, before);
    tally_free(now);
    tally_free(before);

    reader = reader_of(bytes);
    before = tally_decode(&reader);
    now = before == NULL ? NULL : tally_decode(&reader);
    try_pair(now, before);
    tally_free(now);
    tally_free(before);

    (void)tracker_row_each(bytes, count_id, &id);
    return 0;
}
