#include "base/intern.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { SLOTS_MIN = 64 };

_Static_assert(sizeof(struct interned) % _Alignof(double) == 0, "numbers may follow");

/* shared, under lock */
static struct {
    pthread_mutex_t lock;
    struct interned **slots; /* of chains; a power of two of them, NULL while there are none */
    size_t slot_count;
    size_t count;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lock_all(void)
{
    int rc = pthread_mutex_lock(&all.lock);
    assert(rc == 0);
    (void)rc;
}

static void unlock_all(void)
{
    int rc = pthread_mutex_unlock(&all.lock);
    assert(rc == 0);
    (void)rc;
}

static struct interned **slot_of(uint64_t hash)
{
    return &all.slots[hash & (all.slot_count - 1)];
}

static void grow(void)
{
    struct interned **old = all.slots;
    size_t old_count = all.slot_count;

    all.slot_count = old_count == 0 ? SLOTS_MIN : 2 * old_count;
    all.slots = memory_zero(all.slot_count, sizeof(struct interned *));
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct interned *moved = old[i];
            struct interned **slot = slot_of(moved->hash);
            old[i] = moved->next;
            moved->next = *slot;
            *slot = moved;
        }
    }
    free(old);
}

static struct interned *find(const void *bytes, size_t len, uint64_t hash)
{
    if (all.slot_count == 0)
        return NULL;
    struct interned *found = *slot_of(hash);
    while (found != NULL && (found->hash != hash || found->len != len ||
                             (len > 0 && memcmp(interned_bytes(found), bytes, len) != 0)))
        found = found->next;
    return found;
}

static struct interned *add(const void *bytes, size_t len, uint64_t hash)
{
    if (all.count == all.slot_count)
        grow();
    struct interned *added = memory_alloc(sizeof *added + len);
    struct interned **slot = slot_of(hash);
    *added = (struct interned){.len = len, .hash = hash, .next = *slot};
    if (len > 0)
        memcpy(added + 1, bytes, len);
    *slot = added;
    all.count++;
    return added;
}

struct interned *intern(const void *bytes, size_t len, uint64_t hash)
{
    lock_all();
    struct interned *found = find(bytes, len, hash);
    if (found == NULL)
        found = add(bytes, len, hash);
    (void)interned_keep(found);
    unlock_all();
    return found;
}

struct interned *interned_keep(struct interned *interned)
{
    (void)atomic_fetch_add_explicit(&interned->holders, 1, memory_order_relaxed);
    return interned;
}

/* Nobody has it any more, and with the lock held nobody finds it. */
static void forget(struct interned *interned)
{
    struct interned **link = slot_of(interned->hash);

    while (*link != interned)
        link = &(*link)->next;
    *link = interned->next;
    all.count--;
    if (all.count > 0)
        return;
    free(all.slots);
    all.slots = NULL;
    all.slot_count = 0;
}

/* The last holder drops it under the lock: else one that is just looking for it would find it
 * without holders. */
void interned_drop(struct interned *interned)
{
    if (interned == NULL)
        return;
    size_t holders = atomic_load_explicit(&interned->holders, memory_order_relaxed);
    while (holders > 1) {
        if (atomic_compare_exchange_weak_explicit(&interned->holders, &holders, holders - 1,
                                                  memory_order_release, memory_order_relaxed))
            return;
    }
    lock_all();
    bool is_last = atomic_fetch_sub_explicit(&interned->holders, 1, memory_order_acq_rel) == 1;
    if (is_last)
        forget(interned);
    unlock_all();
    if (is_last)
        free(interned);
}

size_t interned_count(void)
{
    lock_all();
    size_t count = all.count;
    unlock_all();
    return count;
}
