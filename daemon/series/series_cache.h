/* What was found out about the series that come in batches again and again, by their spelling: the
 * bytes with which a sender of remote write or OTLP says the labels of a series. Senders say the
 * same each time, so what is here is neither parsed nor sorted nor checked again, and no key is
 * written. (What differs in each request, as the references of remote write 2.0, is spelt with the
 * cache's own numbers for the texts.)
 *
 *   spelling   the bytes as sent, and what else they depend on -> the series, and what the rules
 * say of it. Any number of spellings may stand for one series series     its key, its hash, and
 * where it is in the batch that had it last, so that a batch finds what it has already
 * (series/batch.h)
 *
 * Senders keep their order too: what is asked for is compared with what followed last time before
 * it is looked up, and lies in memory in the order in which it came first. Bytes are always
 * compared: a hash alone, which is seeded, decides nothing.
 *
 * What is remembered is true as long as the rules of batches and metrics are: who changes them
 * calls series_cache_forget. Only series that were stored are here, no mistakes.
 *
 * Bounded: with `bytes_max` bytes it takes no more, and what it does not have is read as if there
 * were no cache. Once it has missed several times as much as it holds it begins anew, so that
 * nothing that comes no more keeps its room for ever, and whoever sends series that never come
 * again makes others at worst as slow as without it.
 *
 * One thread, no locks. */
#pragma once

#include "series/metric.h"
#include "series/series_key.h"

struct series_cache;

/* A series: written by batch.c. */
struct cached_series {
    uint64_t batch; /* the number of the batch that had it last */
    uint32_t place; /* of the series in that batch's delta, + 1 */
    uint16_t key_len;
    uint16_t metric_len;
    struct series_hash hash;
    char key[];
};

static inline struct str cached_series_metric(const struct cached_series *series)
{
    return (struct str){series->key + 1, series->metric_len};
}

/* What the rules say of a spelling. */
struct cached_meaning {
    struct cached_series *series;
    const struct metric_definition *metric; /* borrowed from the rules */
    enum metric_kind kind;
    unsigned char note; /* of who reads bodies */
};

struct spelling {
    /* Any number but 0, for what else tells two series apart: each reader of bodies has its own. Of
     * 0 nothing is known. */
    uint64_t context;
    struct str head;  /* more of this: a name; STR_EMPTY */
    struct str bytes; /* as sent */
    /* What was remembered under another version is not found, and renewed. */
    uint32_t version;

    uint32_t hash; /* of series_cache_find, for series_cache_add */
    uint32_t stale;
};

enum { SERIES_CACHE_CONTEXTS = 32 }; /* numbers below it are for who asks for contexts */

/* `bytes_max` includes all; memory is taken when it is needed. */
struct series_cache *series_cache_new(uint64_t seed, size_t bytes_max);
void series_cache_free(struct series_cache *cache); /* NULL is fine */

/* Nothing is remembered any more: the rules have changed. NULL is fine. */
void series_cache_forget(struct series_cache *cache);

size_t series_cache_size_bytes(const struct series_cache *cache);

/* --- spellings --- */

/* Whether it is known; then `out` is what it means, until the cache forgets. */
bool series_cache_find(struct series_cache *cache, struct spelling *spelling,
                       struct cached_meaning *out);

/* The same for a spelling of which the end is not known: whether `spelling->bytes` begin with what
 * followed last time. Then `*len` is how much of them it is. */
bool series_cache_find_next(struct series_cache *cache, const struct spelling *spelling,
                            struct cached_meaning *out, size_t *len);

/* For who reads the bytes anyway and comes upon the spelling in the midst of them: the bytes that
 * followed last time, when they had the context, head and version of `spelling`; their text is NULL
 * when nothing did. They are the cache's, as long as it is asked nothing else. */
struct str series_cache_peek(const struct series_cache *cache, const struct spelling *spelling);

/* After series_cache_peek, whose bytes are those that came: what they mean. */
void series_cache_take_next(struct series_cache *cache, struct cached_meaning *out);

/* After series_cache_find has not found it. */
void series_cache_add(struct series_cache *cache, const struct spelling *spelling,
                      const struct cached_meaning *meaning);

/* A number for bytes on which spellings depend, for their context, or for a text that comes in many
 * spellings and is long: the same for the same bytes until the cache forgets, and of no others;
 * SERIES_CACHE_CONTEXTS at least and below 2^40. 0: it is full. These too are looked for where they
 * came last time. */
uint64_t series_cache_context(struct series_cache *cache, struct str bytes);

/* The same of bytes that may have none yet; 0: so it is. */
uint64_t series_cache_find_context(struct series_cache *cache, struct str bytes);

/* --- for batches --- */

/* A batch begins, and has this number, which grows. */
uint64_t series_cache_begin(struct series_cache *cache);

/* How much the last batch had: who begins one makes room for as much. */
struct batch_extent {
    size_t series, points;
};
struct batch_extent series_cache_extent(const struct series_cache *cache);
void series_cache_set_extent(struct series_cache *cache, struct batch_extent extent);

/* Whether this batch is still the last one that began, and nothing was forgotten since: what
 * `struct cached_series` says is good. */
bool series_cache_is_at(const struct series_cache *cache, uint64_t number);

/* `hash` is the key's, seeded by the caller. NULL when it is not there. */
struct cached_series *series_cache_find_series(const struct series_cache *cache, uint32_t hash,
                                               struct str key);

/* It is not there yet, and in no batch. NULL when the cache is full; from then on it takes nothing
 * until a batch begins. */
struct cached_series *series_cache_add_series(struct series_cache *cache, uint32_t hash,
                                              struct str key, struct series_hash name);
