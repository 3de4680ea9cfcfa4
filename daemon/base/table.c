#include "base/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void table_fini(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free((void *)table->entries[i].key.text); /* a copy of our own */
    free(table->entries);
    free(table->slots);
    *table = (struct table)TABLE_EMPTY;
}

/* FNV-1a: keys are names from the configuration, short and trusted. */
static uint64_t hash_of(struct str key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ (unsigned char)key.text[i]) * UINT64_C(0x100000001b3);
    return hash ^ (hash >> 29);
}

/* The slot that holds `key`, or the empty one where it would go. */
static size_t slot_of(const struct table *table, struct str key, uint64_t hash)
{
    size_t mask = table->slot_count - 1;
    size_t slot = hash & mask;
    while (table->slots[slot] != 0) {
        const struct table_entry *entry = &table->entries[table->slots[slot] - 1];
        if (entry->hash == hash && str_equal(entry->key, key))
            break;
        slot = (slot + 1) & mask;
    }
    return slot;
}

void *table_find(const struct table *table, struct str key)
{
    if (table->count == 0)
        return NULL;
    uint32_t index = table->slots[slot_of(table, key, hash_of(key))];
    return index == 0 ? NULL : table->entries[index - 1].value;
}

static void grow(struct table *table)
{
    size_t slots = table->slot_count == 0 ? 16 : table->slot_count * 2;
    free(table->slots);
    table->slots = memory_zero(slots, sizeof *table->slots);
    table->slot_count = slots;
    for (size_t i = 0; i < table->count; i++) {
        const struct table_entry *entry = &table->entries[i];
        table->slots[slot_of(table, entry->key, entry->hash)] = (uint32_t)i + 1;
    }
}

static void append(struct table *table, struct str key, uint64_t hash, void *value)
{
    if (table->count == table->entry_capacity) {
        size_t capacity = table->entry_capacity == 0 ? 8 : table->entry_capacity * 2;
        table->entries = memory_grow(table->entries, capacity, sizeof *table->entries);
        table->entry_capacity = capacity;
    }
    struct str copy = {memory_copy(key.text, key.len), key.len};
    table->entries[table->count++] = (struct table_entry){copy, value, hash};
}

bool table_add(struct table *table, struct str key, void *value)
{
    assert(value != NULL);
    if ((table->count + 1) * 2 > table->slot_count)
        grow(table);
    uint64_t hash = hash_of(key);
    size_t slot = slot_of(table, key, hash);
    if (table->slots[slot] != 0)
        return false;
    append(table, key, hash, value);
    table->slots[slot] = (uint32_t)table->count;
    return true;
}

const struct table_entry *table_next(const struct table *table, size_t *at)
{
    return *at < table->count ? &table->entries[(*at)++] : NULL;
}
