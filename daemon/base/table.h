/* A hash table keyed by text, for names of definitions: not for the hot path of ingest.
 *
 * Keys are copied, values are borrowed pointers. Order of iteration is the order of insertion. */
#pragma once

#include "base/str.h"

struct table_entry {
    struct str key;
    void *value;
    uint64_t hash;
};

struct table {
    struct table_entry *entries; /* in order of insertion */
    size_t count;
    size_t entry_capacity;
    uint32_t *slots; /* index into entries + 1; 0 is empty */
    size_t slot_count;
};

#define TABLE_EMPTY                                                                                \
    {                                                                                              \
        0                                                                                          \
    }

void table_fini(struct table *table);

/* The value of `key`; NULL when absent. */
void *table_find(const struct table *table, struct str key);

/* False, and nothing changes, when the key is there already. `value` is not NULL. */
bool table_add(struct table *table, struct str key, void *value);

/* The entry at position `*at`, which starts at 0 and is moved on; NULL at the end. */
const struct table_entry *table_next(const struct table *table, size_t *at);
