#include "series/slots.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/pages.h"

/* Full by 5/8 at most a search looks at less than two slots. */
enum { SIZE_MIN = 64, DOUBLES_BELOW = 4096, LOAD_MAX = 5, LOAD_OF = 8 };

/* A table that could fill huge pages has them. */
static bool is_large(const struct slots *slots)
{
    return slots_size_bytes(slots) >= PAGES_HUGE_BYTES;
}

static void items_new(struct slots *slots)
{
    size_t size = slots_size_bytes(slots);

    if (!is_large(slots)) {
        slots->items = memory_zero(slots->size, sizeof *slots->items);
        return;
    }
    slots->items = pages_new(size);
    pages_want_huge(slots->items, size);
}

void slots_fini(struct slots *slots)
{
    if (is_large(slots))
        pages_free(slots->items, slots_size_bytes(slots));
    else
        free(slots->items);
    *slots = (struct slots)SLOTS_EMPTY;
}

static void put(struct slots *slots, struct slot slot)
{
    uint32_t at = slots_home(slots, slot.hash);
    while (slots->items[at].place != 0)
        at = at + 1 == slots->size ? 0 : at + 1;
    slots->items[at] = slot;
}

/* A small one doubles, for a batch makes one each time. A large one grows by a quarter: that is
 * cheap because the order stays, and unused slots are memory. */
static uint32_t size_after(uint32_t size)
{
    if (size == 0)
        return SIZE_MIN;
    return size < DOUBLES_BELOW ? size * 2 : size + size / 4;
}

static void grow(struct slots *slots)
{
    struct slots grown = SLOTS_EMPTY;
    assert(slots->size < UINT32_MAX / 2);
    grown.size = size_after(slots->size);
    items_new(&grown);
    grown.count = slots->count;
    for (uint32_t i = 0; i < slots->size; i++) {
        if (slots->items[i].place != 0)
            put(&grown, slots->items[i]);
    }
    slots_fini(slots);
    *slots = grown;
}

void slots_add(struct slots *slots, uint32_t hash, uint32_t place)
{
    assert(place != 0);
    if ((uint64_t)(slots->count + 1) * LOAD_OF > (uint64_t)slots->size * LOAD_MAX)
        grow(slots);
    put(slots, (struct slot){hash, place});
    slots->count++;
}

size_t slots_size_bytes(const struct slots *slots)
{
    return slots->size * sizeof *slots->items;
}
