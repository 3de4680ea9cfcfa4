#include "store/series_order.h"

#include <stdlib.h>

#include "base/memory.h"

enum { CAPACITY_MIN = 64 };

void series_order_fini(struct series_order *order)
{
    for (size_t i = 0; i < order->count; i++)
        free(order->parts[i]);
    free(order->parts);
    *order = (struct series_order){0};
}

static struct series_order_part *part_of(struct series_order *order, uint32_t id)
{
    const size_t number = id / SERIES_ORDER_IDS;

    if (number >= order->capacity) {
        size_t capacity = order->capacity + order->capacity / 2;
        capacity = capacity < CAPACITY_MIN ? CAPACITY_MIN : capacity;
        order->capacity = capacity > number ? capacity : number + 1;
        order->parts = memory_grow(order->parts, order->capacity, sizeof(void *));
    }
    while (order->count <= number)
        order->parts[order->count++] = NULL;
    if (order->parts[number] == NULL) {
        order->parts[number] = memory_zero(1, sizeof(struct series_order_part));
        order->used++;
    }
    return order->parts[number];
}

void series_order_put(struct series_order *order, uint32_t id, struct series_hash hash,
                      uint32_t note)
{
    struct series_order_part *part = part_of(order, id);
    const size_t at = id % SERIES_ORDER_IDS;

    part->used += part->notes[at] == 0;
    part->hashes[at] = hash;
    part->notes[at] = note;
}

void series_order_remove(struct series_order *order, uint32_t id)
{
    const size_t number = id / SERIES_ORDER_IDS;
    const size_t at = id % SERIES_ORDER_IDS;

    if (number >= order->count || order->parts[number] == NULL ||
        order->parts[number]->notes[at] == 0)
        return;
    struct series_order_part *part = order->parts[number];
    part->notes[at] = 0;
    if (--part->used > 0)
        return;
    free(part);
    order->parts[number] = NULL;
    order->used--;
}

size_t series_order_size_bytes(const struct series_order *order)
{
    return order->capacity * sizeof(void *) + order->used * sizeof(struct series_order_part);
}
