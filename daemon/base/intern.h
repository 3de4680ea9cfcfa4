/* Bytes that many hold and nobody changes: one copy in the process, freed with its last holder.
 * What is equal is one pointer, so pointers are compared and not bytes. Any thread may call. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct interned {
    size_t len; /* of the bytes, which follow and are aligned for any number */
    uint64_t hash;
    atomic_size_t holders;
    struct interned *next; /* the table's */
};

/* The one copy of these bytes, held by the caller too. `hash` is of the bytes and always the same
 * for them; a client that chooses the bytes must not be able to choose it. */
struct interned *intern(const void *bytes, size_t len, uint64_t hash);

/* One holder more; returns what it is given. */
struct interned *interned_keep(struct interned *interned);

/* One holder less; NULL is fine. */
void interned_drop(struct interned *interned);

static inline const void *interned_bytes(const struct interned *interned)
{
    return interned + 1;
}

/* How many are held in the process. */
size_t interned_count(void);
