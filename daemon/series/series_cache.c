#include "series/series_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/memory.h"
#include "base/pages.h"
#include "series/slots.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Longer ones, with much in them that is no label, are not worth it. */
enum { SPELLING_BYTES_MAX = UINT16_MAX };

enum { UNIT = 8 };          /* bytes; places are counted in it */
enum { AHEAD_BYTES = 512 }; /* fetched of what comes next */

/* How often it misses as many as it has, once it is full, before it begins anew: what is forgotten
 * and made again by it is a small part of what was read the long way. */
enum { MISSES = 8 };

/* Where contexts themselves are. */
static const uint64_t CONTEXT_OF_CONTEXTS = UINT64_MAX;

struct cached_spelling {
    uint64_t context;
    const struct metric_definition *metric;
    uint32_t series; /* its place; 0: of a context */
    uint32_t next;   /* the place of the one that came after it, of contexts by themselves; 0: not
                      * known */
    uint32_t version;
    uint32_t len;
    uint16_t head_len;
    uint8_t kind;
    uint8_t note;
    char bytes[]; /* the head, then as sent */
};

struct series_cache {
    uint64_t seed;
    size_t bytes_max;
    char *pages; /* NULL until something is remembered; what is at a place lies at UNIT times it */
    size_t used; /* bytes; what is at place 0 is nothing */
    struct slots series;
    struct slots spellings;
    uint64_t number; /* of the last batch, or since it forgot */
    uint32_t last;   /* the place of the spelling that was found last; 0: none */
    uint32_t last_context;
    bool is_full;
    uint64_t misses; /* since it is full */
    size_t counted;  /* bytes that the counters know of */
    struct batch_extent extent;
};

struct series_cache *series_cache_new(uint64_t seed, size_t bytes_max)
{
    struct series_cache *cache = memory_zero(1, sizeof *cache);

    cache->seed = seed;
    cache->bytes_max = bytes_max;
    cache->used = UNIT;
    return cache;
}

size_t series_cache_size_bytes(const struct series_cache *cache)
{
    return sizeof *cache + (cache->pages == NULL ? 0 : cache->used) +
           slots_size_bytes(&cache->series) + slots_size_bytes(&cache->spellings);
}

static void count_bytes(struct series_cache *cache, size_t bytes)
{
    COUNTER_ADD(series_cache_bytes, bytes - cache->counted);
    cache->counted = bytes;
}

void series_cache_forget(struct series_cache *cache)
{
    if (cache == NULL)
        return;
    pages_free(cache->pages, cache->bytes_max);
    cache->pages = NULL;
    slots_fini(&cache->series);
    slots_fini(&cache->spellings);
    cache->used = UNIT;
    cache->last = cache->last_context = 0;
    cache->is_full = false;
    cache->misses = 0;
    cache->number++;
    count_bytes(cache, 0);
}

void series_cache_free(struct series_cache *cache)
{
    series_cache_forget(cache);
    free(cache);
}

/* --- memory --- */

static void *at_place(const struct series_cache *cache, uint32_t place)
{
    return cache->pages + (size_t)place * UNIT;
}

static struct cached_spelling *spelling_at(const struct series_cache *cache, uint32_t place)
{
    return at_place(cache, place);
}

/* The place of `size` bytes; 0 when there is no room, and then there is none for anything. Tables
 * may be about to grow. */
static uint32_t take(struct series_cache *cache, size_t size)
{
    size_t tables = slots_size_bytes(&cache->series) + slots_size_bytes(&cache->spellings);
    uint32_t place = (uint32_t)(cache->used / UNIT);

    size = (size + UNIT - 1) / UNIT * UNIT;
    if (cache->is_full || sizeof *cache + cache->used + size + 2 * tables > cache->bytes_max ||
        cache->used / UNIT > UINT32_MAX) {
        cache->is_full = true;
        return 0;
    }
    if (cache->pages == NULL) {
        cache->pages = pages_new(cache->bytes_max);
        pages_want_huge(cache->pages, cache->bytes_max);
    }
    cache->used += size;
    return place;
}

/* --- spellings --- */

static bool has_head(const struct cached_spelling *have, const struct spelling *spelling)
{
    return have->context == spelling->context && have->head_len == spelling->head.len &&
           (have->head_len == 0 || memcmp(have->bytes, spelling->head.text, have->head_len) == 0);
}

static bool has_bytes(const struct cached_spelling *have, const struct spelling *spelling)
{
    return has_head(have, spelling) &&
           (have->len == 0 ||
            memcmp(have->bytes + have->head_len, spelling->bytes.text, have->len) == 0);
}

static uint64_t hash_of(const struct series_cache *cache, const struct spelling *spelling)
{
    uint64_t seed = cache->seed ^ spelling->context;

    if (spelling->head.len > 0)
        seed = XXH3_64bits_withSeed(spelling->head.text, spelling->head.len, seed);
    return XXH3_64bits_withSeed(spelling->bytes.len == 0 ? "" : spelling->bytes.text,
                                spelling->bytes.len, seed);
}

/* 0 when it is not there. */
static uint32_t look_up(const struct series_cache *cache, const struct spelling *spelling)
{
    uint32_t at = slots_home(&cache->spellings, spelling->hash);
    uint32_t place = 0;

    while ((place = slots_next(&cache->spellings, spelling->hash, &at)) != 0) {
        const struct cached_spelling *have = spelling_at(cache, place);
        if (have->len == spelling->bytes.len && has_bytes(have, spelling))
            return place;
    }
    return 0;
}

static void fetch_next(const struct series_cache *cache, const struct cached_spelling *have)
{
    const char *next = at_place(cache, have->next);

    if (have->next == 0)
        return;
    for (size_t i = 0; i < AHEAD_BYTES; i += 64)
        __builtin_prefetch(next + i);
}

static void tell(struct series_cache *cache, uint32_t place, struct cached_meaning *out)
{
    const struct cached_spelling *have = spelling_at(cache, place);

    cache->last = place;
    fetch_next(cache, have);
    *out = (struct cached_meaning){.series = at_place(cache, have->series),
                                   .metric = have->metric,
                                   .kind = (enum metric_kind)have->kind,
                                   .note = have->note};
}

static uint32_t next_place(const struct series_cache *cache)
{
    return cache->last == 0 ? 0 : spelling_at(cache, cache->last)->next;
}

bool series_cache_find_next(struct series_cache *cache, const struct spelling *spelling,
                            struct cached_meaning *out, size_t *len)
{
    uint32_t place = next_place(cache);
    const struct cached_spelling *have = place == 0 ? NULL : spelling_at(cache, place);

    if (have == NULL || have->len > spelling->bytes.len || have->version != spelling->version ||
        !has_bytes(have, spelling))
        return false;
    *len = have->len;
    tell(cache, place, out);
    return true;
}

struct str series_cache_peek(const struct series_cache *cache, const struct spelling *spelling)
{
    uint32_t place = next_place(cache);
    const struct cached_spelling *have = place == 0 ? NULL : spelling_at(cache, place);

    if (have == NULL || have->version != spelling->version || !has_head(have, spelling))
        return STR_EMPTY;
    return (struct str){have->bytes + have->head_len, have->len};
}

void series_cache_take_next(struct series_cache *cache, struct cached_meaning *out)
{
    tell(cache, next_place(cache), out);
}

bool series_cache_find(struct series_cache *cache, struct spelling *spelling,
                       struct cached_meaning *out)
{
    uint32_t place = next_place(cache);
    const struct cached_spelling *have = place == 0 ? NULL : spelling_at(cache, place);

    if (spelling->context == 0) {
        cache->misses += cache->is_full;
        return false;
    }
    if (have == NULL || have->len != spelling->bytes.len || !has_bytes(have, spelling)) {
        spelling->hash = (uint32_t)(hash_of(cache, spelling) >> 32);
        place = look_up(cache, spelling);
        if (place != 0 && cache->last != 0)
            spelling_at(cache, cache->last)->next = place;
    }
    spelling->stale = place;
    if (place != 0 && spelling_at(cache, place)->version == spelling->version) {
        tell(cache, place, out);
        return true;
    }
    cache->misses += cache->is_full;
    return false;
}

/* Its place; 0 when there is no room. */
static uint32_t add_spelling(struct series_cache *cache, const struct spelling *spelling)
{
    uint32_t place =
        take(cache, sizeof(struct cached_spelling) + spelling->head.len + spelling->bytes.len);

    if (place == 0)
        return 0;
    struct cached_spelling *have = spelling_at(cache, place);
    *have = (struct cached_spelling){.context = spelling->context,
                                     .len = (uint32_t)spelling->bytes.len,
                                     .head_len = (uint16_t)spelling->head.len};
    if (spelling->head.len > 0)
        memcpy(have->bytes, spelling->head.text, spelling->head.len);
    if (spelling->bytes.len > 0)
        memcpy(have->bytes + spelling->head.len, spelling->bytes.text, spelling->bytes.len);
    slots_add(&cache->spellings, spelling->hash, place);
    return place;
}

void series_cache_add(struct series_cache *cache, const struct spelling *spelling,
                      const struct cached_meaning *meaning)
{
    uint32_t place = spelling->stale;

    if (spelling->context == 0 || spelling->head.len > SPELLING_BYTES_MAX ||
        spelling->bytes.len > SPELLING_BYTES_MAX)
        return;
    if (place == 0)
        place = add_spelling(cache, spelling);
    if (place == 0)
        return;
    struct cached_spelling *have = spelling_at(cache, place);
    have->series = (uint32_t)((size_t)((const char *)meaning->series - cache->pages) / UNIT);
    have->metric = meaning->metric;
    have->kind = (uint8_t)meaning->kind;
    have->note = meaning->note;
    have->version = spelling->version;
    if (cache->last != 0)
        spelling_at(cache, cache->last)->next = place;
    cache->last = place;
}

/* --- contexts --- */

/* Its place; 0 when it is not there, and then it has its hash. */
static uint32_t find_context(struct series_cache *cache, struct spelling *spelling)
{
    uint32_t last = cache->last_context;
    uint32_t place = last == 0 ? 0 : spelling_at(cache, last)->next;
    const struct cached_spelling *have = place == 0 ? NULL : spelling_at(cache, place);

    if (have == NULL || have->len != spelling->bytes.len || !has_bytes(have, spelling)) {
        spelling->hash = (uint32_t)(hash_of(cache, spelling) >> 32);
        place = look_up(cache, spelling);
    }
    return place;
}

/* The number of what is at a place, which comes after what came last; 0 of none. */
static uint64_t number_of(struct series_cache *cache, uint32_t place)
{
    if (place == 0)
        return 0;
    if (cache->last_context != 0)
        spelling_at(cache, cache->last_context)->next = place;
    cache->last_context = place;
    return (uint64_t)place + SERIES_CACHE_CONTEXTS;
}

uint64_t series_cache_find_context(struct series_cache *cache, struct str bytes)
{
    struct spelling spelling = {.context = CONTEXT_OF_CONTEXTS, .bytes = bytes};

    return number_of(cache, find_context(cache, &spelling));
}

uint64_t series_cache_context(struct series_cache *cache, struct str bytes)
{
    struct spelling spelling = {.context = CONTEXT_OF_CONTEXTS, .bytes = bytes};
    uint32_t place = find_context(cache, &spelling);

    return number_of(cache, place == 0 ? add_spelling(cache, &spelling) : place);
}

/* --- batches --- */

uint64_t series_cache_begin(struct series_cache *cache)
{
    if (cache->is_full && cache->misses > (uint64_t)cache->spellings.count * MISSES)
        series_cache_forget(cache);
    count_bytes(cache, series_cache_size_bytes(cache));
    return ++cache->number;
}

struct batch_extent series_cache_extent(const struct series_cache *cache)
{
    return cache->extent;
}

void series_cache_set_extent(struct series_cache *cache, struct batch_extent extent)
{
    cache->extent = extent;
}

bool series_cache_is_at(const struct series_cache *cache, uint64_t number)
{
    return cache->number == number;
}

struct cached_series *series_cache_find_series(const struct series_cache *cache, uint32_t hash,
                                               struct str key)
{
    uint32_t at = slots_home(&cache->series, hash);
    uint32_t place = 0;

    while ((place = slots_next(&cache->series, hash, &at)) != 0) {
        struct cached_series *series = at_place(cache, place);
        if (str_equal((struct str){series->key, series->key_len}, key))
            return series;
    }
    return NULL;
}

struct cached_series *series_cache_add_series(struct series_cache *cache, uint32_t hash,
                                              struct str key, struct series_hash name)
{
    uint32_t place = key.len > UINT16_MAX ? 0 : take(cache, sizeof(struct cached_series) + key.len);

    if (place == 0)
        return NULL;
    struct cached_series *series = at_place(cache, place);
    *series = (struct cached_series){.key_len = (uint16_t)key.len,
                                     .metric_len = (uint16_t)series_key_metric(key).len,
                                     .hash = name};
    memcpy(series->key, key.text, key.len);
    slots_add(&cache->series, hash, place);
    return series;
}
