/* Totals of counters that are declared cumulative. A shard cannot tell what they count: another
 * thread may have had the one before. So they travel as they came. */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "series/shard_private.h"

enum {
    TOTALS_MIN = 64,
    TOTALS_KEPT = 4096, /* of the memory, between deltas */
};

void totals_add(struct pending *pending, struct record *record, const struct total *total)
{
    assert(pending->total_count < UINT32_MAX - 1);
    if (pending->total_count == pending->total_capacity) {
        size_t capacity = pending->total_capacity + pending->total_capacity / 2;
        pending->total_capacity = capacity < TOTALS_MIN ? TOTALS_MIN : capacity;
        pending->totals =
            memory_grow(pending->totals, pending->total_capacity, sizeof *pending->totals);
    }
    pending->totals[pending->total_count++] = *total;
    uint32_t place = (uint32_t)pending->total_count;
    if (record->side == 0)
        record->side = place;
    else
        pending->totals[record->last_arrival - 1].next = place;
    record->last_arrival = place;
}

void totals_hand_over(const struct pending *pending, const struct record *record,
                      struct delta *delta, uint32_t series)
{
    for (uint32_t place = record->side; place != 0; place = pending->totals[place - 1].next) {
        const struct total *total = &pending->totals[place - 1];
        const struct delta_point point = {.series = series,
                                          .form = POINT_CUMULATIVE,
                                          .at = total->at,
                                          .start = WALL_NONE,
                                          .arrival = total->arrival,
                                          .value = total->value,
                                          .by_arrival = total->by_arrival};
        delta_add_point(delta, &point);
    }
}

void totals_forget(struct pending *pending)
{
    pending->total_count = 0;
    if (pending->total_capacity <= TOTALS_KEPT)
        return;
    free(pending->totals);
    pending->totals = NULL;
    pending->total_capacity = 0;
}
