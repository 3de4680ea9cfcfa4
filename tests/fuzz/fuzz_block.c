/* Blocks as they come from disk: any bytes are refused, or read as points that are written again
 * and read as the same. Each input is tried as it is, and with the checksum that it should have,
 * without which next to nothing would get past it. */
#include <stdlib.h>
#include <string.h>

#include "store/block_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct block_frame FRAME = {100, MS_PER_MINUTE, 0};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void require_same(const struct block_points *a, const struct block_points *b)
{
    require(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct block_point *one = &a->points[i];
        const struct block_point *other = &b->points[i];
        require(one->bucket == other->bucket && str_equal(one->sketch, other->sketch));
        require(memcmp(&one->aggregate, &other->aggregate, sizeof one->aggregate) == 0);
    }
}

static void try_block(struct str bytes)
{
    const int64_t range[2] = {110, 120};
    const struct block_form form = {.keep_arrivals = true};
    struct arena arena = ARENA_EMPTY;
    struct buf again = BUF_EMPTY;
    struct aggregate merged = AGGREGATE_EMPTY;
    struct block_points points;
    struct block_points same;

    if (block_decode(&FRAME, bytes, &arena, &points)) {
        require(points.count > 0 && points.count <= BLOCK_POINTS_MAX);
        require(block_merge(&FRAME, bytes, range, &arena, &merged));
        require(block_encode(&FRAME, &points, &form, &arena, &again) == points.count);
        require(block_decode(&FRAME, buf_view(&again), &arena, &same));
        require_same(&points, &same);
    } else {
        require(points.count == 0);
        require(!block_merge(&FRAME, bytes, range, &arena, &merged) && merged.count == 0);
    }
    buf_fini(&again);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct buf signed_bytes = BUF_EMPTY;

    try_block(bytes);
    buf_str(&signed_bytes, bytes);
    buf_u32(&signed_bytes, block_checksum(&FRAME, bytes));
    try_block(buf_view(&signed_bytes));
    buf_fini(&signed_bytes);
    return 0;
}
