#include "store/series_table.h"

#include <stdlib.h>
#include <sys/random.h>

#include "base/memory.h"

/* Parts grow by half, from sizes that are different, so that they grow at different times. Filled
 * to 3 in 4 at most. */
enum { SIZE_MIN = 8, SIZE_NEXT = 64, FILLED = 3, OF = 4 };

void series_table_init(struct series_table *table)
{
    *table = (struct series_table){0};
    ssize_t got = getrandom(table->multipliers, sizeof table->multipliers, 0);
    (void)got; /* without randomness it works as well */
    table->multipliers[0] |= 1;
    table->multipliers[1] |= 1;
}

void series_table_fini(struct series_table *table)
{
    for (size_t i = 0; i < SERIES_TABLE_PARTS; i++) {
        free(table->parts[i].slots);
        table->parts[i] = (struct series_table_part){0};
    }
}

static uint64_t mix(const struct series_table *table, struct series_hash hash)
{
    uint64_t mixed = hash.high * table->multipliers[0] + hash.low * table->multipliers[1];
    return (mixed ^ mixed >> 29) * table->multipliers[1];
}

/* The top 8 bits are the part, the 32 below them the place in it: in the order of the slots. */
static uint32_t home_of(uint64_t mixed, uint32_t size)
{
    return (uint32_t)(((mixed >> 24 & UINT32_MAX) * size) >> 32);
}

struct series_place series_table_place(const struct series_table *table, struct series_hash hash)
{
    uint64_t mixed = mix(table, hash);
    uint32_t part = (uint32_t)(mixed >> 56);
    return (struct series_place){part, home_of(mixed, table->parts[part].size)};
}

static uint32_t after(const struct series_table_part *part, uint32_t slot)
{
    return slot + 1 == part->size ? 0 : slot + 1;
}

/* The slot that has the hash, or the empty one where it would be. */
static struct series_slot *slot_at(const struct series_table_part *part, uint32_t slot,
                                   struct series_hash hash)
{
    while (part->slots[slot].id != 0 && !series_hash_equal(part->slots[slot].hash, hash))
        slot = after(part, slot);
    return &part->slots[slot];
}

const struct series_slot *series_table_at(const struct series_table *table,
                                          struct series_place place, struct series_hash hash)
{
    const struct series_table_part *part = &table->parts[place.part];

    if (part->slots == NULL)
        return NULL;
    const struct series_slot *slot = slot_at(part, place.slot, hash);
    return slot->id == 0 ? NULL : slot;
}

const struct series_slot *series_table_find(const struct series_table *table,
                                            struct series_hash hash)
{
    return series_table_at(table, series_table_place(table, hash), hash);
}

static void grow(struct series_table *table, uint32_t number)
{
    struct series_table_part *part = &table->parts[number];
    const struct series_table_part old = *part;

    part->size = old.size == 0 ? SIZE_MIN : old.size + old.size / 2;
    if (old.size == SIZE_MIN) /* from here on at a time of its own */
        part->size = SIZE_NEXT + number * (SIZE_NEXT / 2) / SERIES_TABLE_PARTS;
    part->slots = memory_zero(part->size, sizeof *part->slots);
    for (uint32_t i = 0; i < old.size; i++) {
        if (old.slots[i].id == 0)
            continue;
        uint32_t slot = home_of(mix(table, old.slots[i].hash), part->size);
        while (part->slots[slot].id != 0) /* all of them are different */
            slot = after(part, slot);
        part->slots[slot] = old.slots[i];
    }
    free(old.slots);
}

uint32_t series_table_put(struct series_table *table, struct series_hash hash, uint32_t id,
                          uint32_t note)
{
    struct series_place place = series_table_place(table, hash);
    struct series_table_part *part = &table->parts[place.part];

    if ((uint64_t)(part->used + 1) * OF > (uint64_t)part->size * FILLED) {
        grow(table, place.part);
        place = series_table_place(table, hash);
    }
    struct series_slot *slot = slot_at(part, place.slot, hash);
    const uint32_t before = slot->id;
    part->used += before == 0;
    *slot = (struct series_slot){hash, id, note};
    return before;
}

void series_table_remove(struct series_table *table, struct series_hash hash)
{
    struct series_place place = series_table_place(table, hash);
    struct series_table_part *part = &table->parts[place.part];

    if (part->slots == NULL)
        return;
    struct series_slot *slot = slot_at(part, place.slot, hash);
    if (slot->id == 0)
        return;
    part->used--;
    /* Those that follow without a gap are put anew, so that they are found from their homes. */
    uint32_t at = (uint32_t)(slot - part->slots);
    part->slots[at].id = 0;
    for (at = after(part, at); part->slots[at].id != 0; at = after(part, at)) {
        struct series_slot moved = part->slots[at];
        part->slots[at].id = 0;
        *slot_at(part, home_of(mix(table, moved.hash), part->size), moved.hash) = moved;
    }
}

size_t series_table_size_bytes(const struct series_table *table)
{
    size_t slots = 0;
    for (size_t i = 0; i < SERIES_TABLE_PARTS; i++)
        slots += table->parts[i].size;
    return sizeof *table + slots * sizeof(struct series_slot);
}
