/* An open-addressing index from 32-bit hashes to 32-bit places: the tables of a shard.
 *
 * It knows no keys: the caller compares what a place holds. The home of a hash is its high bits
 * times the number of slots, so the slots are in the order of their hashes and growing copies them
 * one after the other. Hashes are seeded by the caller, so that nobody can choose long runs. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct slot {
    uint32_t hash;
    uint32_t place; /* 0: empty */
};

struct slots {
    struct slot *items; /* NULL until the first one is added */
    uint32_t size;
    uint32_t count;
};

#define SLOTS_EMPTY                                                                                \
    {                                                                                              \
        0                                                                                          \
    }

void slots_fini(struct slots *slots);

/* `place` is not 0. The same hash may be added any number of times. */
void slots_add(struct slots *slots, uint32_t hash, uint32_t place);

size_t slots_size_bytes(const struct slots *slots);

/* Where a search for `hash` starts. */
static inline uint32_t slots_home(const struct slots *slots, uint32_t hash)
{
    return (uint32_t)(((uint64_t)hash * slots->size) >> 32);
}

static inline void slots_prefetch(const struct slots *slots, uint32_t hash)
{
    if (slots->items != NULL)
        __builtin_prefetch(&slots->items[slots_home(slots, hash)]);
}

/* The place of the next slot with this hash from `*at` on, which starts at slots_home; 0 when there
 * is no more. */
static inline uint32_t slots_next(const struct slots *slots, uint32_t hash, uint32_t *at)
{
    if (slots->items == NULL)
        return 0;
    for (;;) {
        struct slot slot = slots->items[*at];
        *at = *at + 1 == slots->size ? 0 : *at + 1;
        if (slot.place == 0 || slot.hash == hash)
            return slot.place;
    }
}
