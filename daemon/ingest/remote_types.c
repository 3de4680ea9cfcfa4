#include "ingest/remote_types.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { PLACES = 8, TYPE_MASK = 7 }; /* places that a hash may have, next to each other */

/* 61 bits of the family's hash and three of its type; 0: free. A lost race loses what comes again a
 * minute later. */
static _Atomic uint64_t types[REMOTE_TYPES_MAX];
static _Atomic uint32_t version;

static uint64_t hash_of(uint64_t seed, struct str family)
{
    return XXH3_64bits_withSeed(family.text == NULL ? "" : family.text, family.len, seed);
}

static _Atomic uint64_t *home_of(uint64_t hash)
{
    return &types[(hash >> 32) % (REMOTE_TYPES_MAX / PLACES) * PLACES];
}

/* The place of the family; NULL when it has none. */
static _Atomic uint64_t *place_of(uint64_t hash)
{
    _Atomic uint64_t *home = home_of(hash);

    for (size_t i = 0; i < PLACES; i++) {
        uint64_t there = atomic_load_explicit(&home[i], memory_order_relaxed);
        if (there != 0 && (there ^ hash) <= TYPE_MASK)
            return &home[i];
    }
    return NULL;
}

void remote_types_remember(uint64_t seed, struct str family, uint64_t type)
{
    uint64_t hash = hash_of(seed, family);
    _Atomic uint64_t *place = place_of(hash);

    if (type == REMOTE_UNKNOWN || type > REMOTE_STATESET)
        return;
    for (size_t i = 0; i < PLACES && place == NULL; i++) {
        if (atomic_load_explicit(&home_of(hash)[i], memory_order_relaxed) == 0)
            place = &home_of(hash)[i];
    }
    if (place == NULL)
        place = &home_of(hash)[hash / (TYPE_MASK + 1) % PLACES];
    uint64_t said = (hash & ~(uint64_t)TYPE_MASK) | type;
    if (atomic_load_explicit(place, memory_order_relaxed) == said)
        return;
    atomic_store_explicit(place, said, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&version, 1, memory_order_release);
}

uint32_t remote_types_version(void)
{
    return atomic_load_explicit(&version, memory_order_acquire);
}

void remote_types_forget(void)
{
    for (size_t i = 0; i < REMOTE_TYPES_MAX; i++)
        atomic_store_explicit(&types[i], 0, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&version, 1, memory_order_release);
}

static enum remote_type find(uint64_t seed, struct str family)
{
    _Atomic uint64_t *place = place_of(hash_of(seed, family));

    if (place == NULL)
        return REMOTE_UNKNOWN;
    return (enum remote_type)(atomic_load_explicit(place, memory_order_relaxed) & TYPE_MASK);
}

/* --- names ------------------------------------------------------------------------------------ */

#define IN(type) (1U << (type))

/* What a family's series are called beside the family's own name, and which types have them. */
static const struct suffix {
    const char *text;
    size_t len;
    unsigned types;
    bool counts_up;
} SUFFIXES[] = {
    {"_total", 6, IN(REMOTE_COUNTER), true},
    {"_count", 6, IN(REMOTE_HISTOGRAM) | IN(REMOTE_SUMMARY), true},
    {"_sum", 4, IN(REMOTE_HISTOGRAM) | IN(REMOTE_SUMMARY), true},
    {"_bucket", 7, IN(REMOTE_HISTOGRAM) | IN(REMOTE_GAUGE_HISTOGRAM), true},
    {"_created", 8, IN(REMOTE_COUNTER) | IN(REMOTE_HISTOGRAM) | IN(REMOTE_SUMMARY), false},
    {"_gcount", 7, IN(REMOTE_GAUGE_HISTOGRAM), false},
    {"_gsum", 5, IN(REMOTE_GAUGE_HISTOGRAM), false},
    {"_info", 5, IN(REMOTE_INFO), false},
};

/* NULL when it has none. */
static const struct suffix *suffix_of(struct str name)
{
    for (size_t i = 0; i < sizeof SUFFIXES / sizeof SUFFIXES[0]; i++) {
        const struct suffix *suffix = &SUFFIXES[i];
        if (name.len > suffix->len &&
            memcmp(name.text + name.len - suffix->len, suffix->text, suffix->len) == 0)
            return suffix;
    }
    return NULL;
}

enum remote_type remote_types_find(uint64_t seed, struct str name)
{
    enum remote_type type = find(seed, name);
    const struct suffix *suffix = type == REMOTE_UNKNOWN ? suffix_of(name) : NULL;

    if (suffix == NULL)
        return type;
    type = find(seed, (struct str){name.text, name.len - suffix->len});
    return (suffix->types & IN(type)) != 0 ? type : REMOTE_UNKNOWN;
}

bool remote_counts_up(struct str name, enum remote_type type)
{
    const struct suffix *suffix = suffix_of(name);

    switch (type) {
    case REMOTE_UNKNOWN:
        return suffix != NULL && suffix->counts_up;
    case REMOTE_COUNTER:
        return suffix == NULL || (suffix->types & IN(type)) == 0 || suffix->counts_up;
    case REMOTE_HISTOGRAM:
    case REMOTE_SUMMARY:
        return suffix != NULL && (suffix->types & IN(type)) != 0 && suffix->counts_up;
    default:
        return false;
    }
}
