#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "series/shard_private.h"

enum {
    TOUCHED_KEPT = 16 * 1024,
    EXTRA_MIN = 64,
    OTHERS_MIN = 64,
    KEYS_KEPT_BYTES = 64 * 1024, /* of the buffer of new keys, between deltas */
    KEPT_WHILE_NEEDED = 4,       /* a quarter of it */
    PREFETCH_AHEAD = 8,
};

/* --- side cells that are not current --- */

void hand_over_note_other(struct shard *shard, const struct pending *pending, uint32_t index)
{
    if (shard->other_heads == NULL)
        shard->other_heads = memory_zero(pending->touched_count, sizeof *shard->other_heads);
    uint32_t *head = &shard->other_heads[side_at(pending, index)->touched];
    if (index >= shard->other_capacity) {
        shard->other_capacity = (size_t)index + index / 4 + OTHERS_MIN;
        shard->other_next =
            memory_grow(shard->other_next, shard->other_capacity, sizeof *shard->other_next);
    }
    shard->other_next[index] = *head;
    *head = index + 1;
    shard->others_left++;
}

static void note_all_others(struct shard *shard, const struct pending *pending)
{
    const struct slots *slots = &pending->other_minutes;

    shard->others_left = 0;
    for (uint32_t i = 0; i < slots->size; i++) {
        if (slots->items[i].place != 0)
            hand_over_note_other(shard, pending, slots->items[i].place - 1);
    }
}

struct other_minute {
    int32_t minute;
    uint32_t index;
};

static int compare_minutes(const void *a, const void *b)
{
    const struct other_minute *one = a;
    const struct other_minute *other = b;
    return (one->minute > other->minute) - (one->minute < other->minute);
}

/* --- samples that weigh more than 1 --- */

void extra_add(struct pending *pending, uint32_t touched, uint64_t weight)
{
    if (touched >= pending->extra_count) {
        size_t count = (size_t)touched + touched / 4 + EXTRA_MIN;
        pending->extra = memory_grow(pending->extra, count, sizeof *pending->extra);
        memset(pending->extra + pending->extra_count, 0,
               (count - pending->extra_count) * sizeof *pending->extra);
        pending->extra_count = count;
    }
    uint64_t *extra = &pending->extra[touched];
    if (__builtin_add_overflow(*extra, weight - WEIGHT_ONE, extra))
        *extra = UINT64_MAX;
}

void extra_forget(struct pending *pending)
{
    free(pending->extra);
    pending->extra = NULL;
    pending->extra_count = 0;
}

/* One sample for each cell, and of the others as many as its weight has a share in what is left of
 * all weights. Of more than a count can hold nothing is known. */
static void share_extra(uint64_t extra, struct delta_cell *cells, size_t count)
{
    uint64_t all = 0;
    uint64_t upto = 0;
    uint64_t given = 0;

    for (size_t i = 0; i < count; i++) {
        if (__builtin_add_overflow(all, cells[i].cell.aggregate.count - WEIGHT_ONE, &all))
            return;
    }
    if (all == 0 || all < extra)
        return;
    uint64_t others = (all - extra) / WEIGHT_ONE;
    for (size_t i = 0; i < count; i++) {
        uint64_t weight = cells[i].cell.aggregate.count;
        upto += weight - WEIGHT_ONE;
        uint64_t due = (uint64_t)((double)others * ((double)upto / (double)all));
        due = i + 1 == count ? others : due;
        cells[i].extra_weight = weight - (1 + due - given) * WEIGHT_ONE;
        given = due;
    }
}

/* Counts what the delta has got of one that was touched: these cells, and so many points. */
static void count_samples(struct pending *pending, size_t touched, struct delta *delta,
                          size_t cells_from, size_t points)
{
    size_t count = delta->cell_count - cells_from;
    struct delta_cell *cells = count == 0 ? NULL : delta->cells + cells_from;
    uint64_t samples = points;
    uint64_t extra = touched < pending->extra_count ? pending->extra[touched] : 0;

    if (extra > 0 && count == 1)
        cells[0].extra_weight = extra;
    else if (extra > 0)
        share_extra(extra, cells, count);
    for (size_t i = 0; i < count; i++)
        samples += delta_cell_samples(&cells[i]);
    samples = samples < pending->samples ? samples : pending->samples;
    pending->samples -= samples;
    delta->samples += samples;
}

/* --- parts --- */

/* Moves a side cell into the delta. */
static void hand_over_side(struct pending *pending, struct delta *delta, uint32_t series,
                           uint32_t index)
{
    struct side *side = side_at(pending, index);
    size_t sketches = sketch_bytes(&side->cell);
    bool has_changes = side->changes != NULL && side->changes->count > 0;

    if (side->changes != NULL)
        pending->owned_bytes -= sizeof *side->changes + gauge_changes_size_bytes(side->changes);
    pending->owned_bytes -= sketches;
    if (side->cell.aggregate.count > 0 || has_changes) {
        struct delta_cell *cell = delta_add_cell(delta, series, side->minute);
        cell->cell = side->cell;
        delta->sketch_bytes += sketches;
        if (has_changes) {
            delta->sketch_bytes += gauge_changes_size_bytes(side->changes);
            *delta_cell_changes(delta, cell) = *side->changes;
            side->changes->floor = NULL; /* the delta's now */
        }
        side->cell = (struct cell)CELL_EMPTY;
    }
    if (side->changes != NULL)
        gauge_changes_fini(side->changes);
    free(side->changes);
    cell_fini(&side->cell);
    side->changes = NULL;
}

/* All of one series but the current one, in the order of their minutes. */
static void hand_over_others(struct shard *shard, struct pending *pending, struct delta *delta,
                             uint32_t series, size_t touched)
{
    struct other_minute few[16];
    struct other_minute *minutes = few;
    size_t count = 0;

    if (shard->other_heads == NULL)
        return;
    for (uint32_t at = shard->other_heads[touched]; at != 0; at = shard->other_next[at - 1])
        count++;
    if (count == 0)
        return;
    if (count > sizeof few / sizeof few[0])
        minutes = memory_zero(count, sizeof *minutes);
    count = 0;
    for (uint32_t at = shard->other_heads[touched]; at != 0; at = shard->other_next[at - 1])
        minutes[count++] = (struct other_minute){side_at(pending, at - 1)->minute, at - 1};
    qsort(minutes, count, sizeof *minutes, compare_minutes);
    for (size_t i = 0; i < count; i++)
        hand_over_side(pending, delta, series, minutes[i].index);
    shard->others_left -= count;
    if (minutes != few)
        free(minutes);
}

static void hand_over_current(struct pending *pending, struct delta *delta, uint32_t series,
                              struct record *record)
{
    if (record->raw.has_totals)
        totals_hand_over(pending, record, delta, series);
    else if (record->side != 0 && !record->raw.has_spread)
        hand_over_side(pending, delta, series, record->side - 1);
    else if (record->count > 0)
        delta_add_cell(delta, series, record->minute)->cell = current_cell(pending, record);
    record->side = 0;
    record->raw.has_spread = false;
    record->raw.has_totals = false;
    record->count = 0;
    record->touched = NOT_TOUCHED;
    record->raw.is_new = false;
}

void side_chunks_free(struct pending *pending, size_t keep)
{
    while (pending->side_chunk_count > keep)
        pages_free(pending->side_chunks[--pending->side_chunk_count],
                   SIDES_PER_CHUNK * sizeof(struct side));
}

void spread_chunks_free(struct pending *pending, size_t keep)
{
    while (pending->spread_chunk_count > keep)
        pages_free(pending->spread_chunks[--pending->spread_chunk_count],
                   sizeof(struct spread_chunk));
}

/* The key of a series that no delta has had yet; they are in the order of touching. The delta is
 * told who brought it. */
static struct str next_key(struct shard *shard, const struct pending *pending, struct delta *delta)
{
    struct reader rest = reader_of(buf_view(&pending->new_keys));

    rest.at += shard->keys_at;
    rest.left -= shard->keys_at;
    delta_set_listener(delta, listener_name(shard, read_varint(&rest)));
    struct str key = read_block(&rest);
    shard->keys_at = pending->new_keys.len - rest.left;
    return key;
}

static void begin_hand_over(struct shard *shard)
{
    const struct pending *pending = &shard->pending[shard->current];

    shard->hands_over = true;
    note_all_others(shard, pending);
    shard->handed_over = 0;
    shard->keys_at = 0;
    shard->current ^= 1;
}

/* Of what was touched the first chunk stays while most of it is needed each time. */
static size_t still_touched(size_t count, size_t most, size_t per_chunk)
{
    if (count < most / KEPT_WHILE_NEEDED)
        return 0;
    most = count > most ? count : most;
    return most < per_chunk ? most : per_chunk;
}

static void keep_some(struct pending *pending)
{
    pending->side_most = still_touched(pending->side_count, pending->side_most, SIDES_PER_CHUNK);
    pending->spread_most =
        still_touched(pending->spread_count, pending->spread_most, SPREADS_PER_CHUNK);
    side_chunks_free(pending, pending->side_most > 0 ? 1 : 0);
    spread_chunks_free(pending, pending->spread_most > 0 ? 1 : 0);
    pending->side_count = 0;
    pending->spread_count = 0;
}

/* Memory that only a burst needed goes back. */
static void end_hand_over(struct shard *shard)
{
    struct pending *pending = &shard->pending[shard->current ^ 1];

    shard->hands_over = false;
    free(shard->other_heads);
    free(shard->other_next);
    shard->other_heads = NULL;
    shard->other_next = NULL;
    shard->other_capacity = 0;
    assert(pending->owned_bytes == 0);
    pending->touched_count = 0;
    keep_some(pending);
    totals_forget(pending);
    extra_forget(pending);
    slots_fini(&pending->other_minutes);
    buf_clear(&pending->new_keys);
    if (pending->new_keys.capacity > KEYS_KEPT_BYTES)
        buf_fini(&pending->new_keys);
    if (shard->pending[shard->current].touched_count == 0) {
        shard->current ^= 1; /* nobody came in between: its memory is used again */
    } else if (pending->touched_capacity > TOUCHED_KEPT) {
        free(pending->touched);
        pending->touched = NULL;
        pending->touched_capacity = 0;
    }
}

size_t shard_waiting_cells(const struct shard *shard)
{
    const struct pending *current = &shard->pending[shard->current];
    const struct pending *other = &shard->pending[shard->current ^ 1];

    if (!shard->hands_over)
        return current->touched_count + current->other_minutes.count;
    return other->touched_count - shard->handed_over + shard->others_left;
}

bool shard_hand_over(struct shard *shard, size_t cells_max, struct delta *out)
{
    if (!shard->hands_over)
        begin_hand_over(shard);
    struct pending *pending = &shard->pending[shard->current ^ 1];
    size_t waiting = shard_waiting_cells(shard);
    size_t left = pending->touched_count - shard->handed_over;
    size_t points = out->point_count;
    out->keys_once = true;
    delta_reserve(out, left < cells_max ? left : cells_max,
                  waiting < cells_max ? waiting : cells_max);
    while (shard->handed_over < pending->touched_count &&
           out->cell_count + (out->point_count - points) < cells_max) {
        size_t i = shard->handed_over++;
        if (i + PREFETCH_AHEAD < pending->touched_count)
            __builtin_prefetch(at_place(shard, pending->touched[i + PREFETCH_AHEAD]), 1);
        struct record *record = at_place(shard, pending->touched[i]);
        struct str key = record->raw.is_new ? next_key(shard, pending, out) : STR_EMPTY;
        uint32_t series = delta_add_series(out, record->hash, key);
        size_t cells_before = out->cell_count;
        size_t points_before = out->point_count;
        hand_over_others(shard, pending, out, series, i);
        hand_over_current(pending, out, series, record);
        count_samples(pending, i, out, cells_before, out->point_count - points_before);
    }
    if (shard->handed_over < pending->touched_count)
        return false;
    out->samples += pending->samples; /* of weights beyond what a count can hold */
    pending->samples = 0;
    end_hand_over(shard);
    return true;
}

struct delta *shard_take_delta(struct shard *shard)
{
    struct delta *delta = delta_new();

    (void)shard_hand_over(shard, SIZE_MAX, delta);
    return delta;
}
