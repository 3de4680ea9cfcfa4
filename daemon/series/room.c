#include "series/room.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "base/memory.h"

enum {
    METRIC_SLOTS = 4096,   /* a power of two, of which ROOM_METRICS_MAX are used */
    LISTENER_SLOTS = 2048, /* the same of ROOM_LISTENERS_MAX */
    SERIES_SLOTS_MIN = 1024,
    FILLED = 3, /* of 4 */
    SHOWN_WORDS = (sizeof(struct room_offender) * ROOM_OFFENDERS_MAX + 7) / 8,
};

#define METRIC_GONE UINT64_C(1)

/* Prints of active series. There are two: one is asked while the other is written anew. */
struct prints {
    _Atomic uint32_t *slots; /* 0: empty */

    /* the writer's thread only */
    size_t used;
    bool is_short; /* not all fit */
};

/* Once there it stays: the names of listeners are those of configurations. */
struct listener {
    _Atomic uint64_t print; /* 0: none */
    _Atomic uint64_t series;
    _Atomic uint64_t allowed;
    _Atomic bool is_full;
};

struct room {
    /* set once */
    uint64_t seed;
    size_t slot_count; /* of prints; a power of two */

    /* shared: the writer's thread changes it */
    _Atomic bool is_full;
    _Atomic uint32_t full_metrics; /* how many */
    _Atomic uint64_t metrics[METRIC_SLOTS];
    _Atomic uint32_t full_listeners;
    struct listener listeners[LISTENER_SLOTS];
    struct prints prints[2];
    _Atomic unsigned asked; /* which of them */
    _Atomic bool has_series;
    _Atomic bool has_all; /* there are more series than prints: each may be one of them */
    _Atomic uint64_t epoch;

    /* shown: odd while it is written */
    _Atomic uint64_t shown_version;
    _Atomic uint64_t shown_count;
    _Atomic uint64_t shown[SHOWN_WORDS];

    /* the writer's thread only */
    size_t gone_metrics;
    size_t listener_count;
    bool is_telling; /* between room_begin_series and room_end_series */
};

const char *room_limit_name(enum room_limit limit)
{
    static const char *const names[] = {
        "", "series", "series_per_metric", "label_values", "max_series", "listener_max_series"};
    return names[limit];
}

struct room *room_new(size_t series_max)
{
    struct room *room = memory_zero(1, sizeof *room);

    ssize_t got = getrandom(&room->seed, sizeof room->seed, 0);
    (void)got; /* without randomness it works as well */
    room->slot_count = SERIES_SLOTS_MIN;
    while (room->slot_count / 2 < series_max && room->slot_count < SIZE_MAX / 8)
        room->slot_count *= 2;
    return room;
}

void room_free(struct room *room)
{
    if (room == NULL)
        return;
    for (size_t i = 0; i < 2; i++)
        free(room->prints[i].slots);
    free(room);
}

/* --- metrics --- */

static uint64_t metric_print(const struct room *room, struct str metric)
{
    uint64_t hash = XXH3_64bits_withSeed(metric.text, metric.len, room->seed);
    return hash <= METRIC_GONE ? hash + 2 : hash;
}

/* The slot of a metric, or the one for it. */
static size_t metric_slot(const struct room *room, uint64_t print, bool *found)
{
    size_t at = print % METRIC_SLOTS;
    size_t free_slot = METRIC_SLOTS;

    for (size_t i = 0; i < METRIC_SLOTS; i++, at = (at + 1) % METRIC_SLOTS) {
        uint64_t have = atomic_load_explicit(&room->metrics[at], memory_order_relaxed);
        *found = have == print;
        if (*found)
            return at;
        if (have == METRIC_GONE && free_slot == METRIC_SLOTS)
            free_slot = at;
        if (have == 0)
            return free_slot == METRIC_SLOTS ? at : free_slot;
    }
    return free_slot; /* there always is one: fewer than METRIC_SLOTS are used */
}

static bool has_metric(const struct room *room, struct str metric)
{
    bool found = false;

    if (atomic_load_explicit(&room->full_metrics, memory_order_relaxed) == 0)
        return false;
    (void)metric_slot(room, metric_print(room, metric), &found);
    return found;
}

/* Nothing is full, so nobody misses what is cleared. */
static void forget_metrics(struct room *room)
{
    for (size_t i = 0; i < METRIC_SLOTS; i++)
        atomic_store_explicit(&room->metrics[i], 0, memory_order_relaxed);
    room->gone_metrics = 0;
}

bool room_set_metric_full(struct room *room, struct str metric, bool is_full)
{
    uint32_t count = atomic_load_explicit(&room->full_metrics, memory_order_relaxed);
    bool found = false;
    uint64_t print = metric_print(room, metric);
    size_t at = metric_slot(room, print, &found);

    if (found == is_full)
        return true;
    if (!is_full) {
        atomic_store_explicit(&room->metrics[at], METRIC_GONE, memory_order_relaxed);
        atomic_store_explicit(&room->full_metrics, count - 1, memory_order_release);
        room->gone_metrics++;
        if (count == 1)
            forget_metrics(room);
        return true;
    }
    bool is_reused = atomic_load_explicit(&room->metrics[at], memory_order_relaxed) == METRIC_GONE;
    if (!is_reused && count + room->gone_metrics >= ROOM_METRICS_MAX)
        return false;
    room->gone_metrics -= is_reused;
    atomic_store_explicit(&room->metrics[at], print, memory_order_relaxed);
    atomic_store_explicit(&room->full_metrics, count + 1, memory_order_release);
    return true;
}

void room_set_full(struct room *room, bool is_full)
{
    atomic_store_explicit(&room->is_full, is_full, memory_order_release);
}

/* --- listeners --- */

/* That of a listener, or the empty one for it; there always is one. */
static size_t listener_slot(const struct room *room, uint64_t print)
{
    size_t at = print % LISTENER_SLOTS;

    for (;; at = (at + 1) % LISTENER_SLOTS) {
        uint64_t have = atomic_load_explicit(&room->listeners[at].print, memory_order_acquire);
        if (have == print || have == 0)
            return at;
    }
}

static const struct listener *find_listener(const struct room *room, struct str name)
{
    const struct listener *listener =
        &room->listeners[listener_slot(room, metric_print(room, name))];
    return atomic_load_explicit(&listener->print, memory_order_relaxed) == 0 ? NULL : listener;
}

/* NULL: there are too many. */
static struct listener *make_listener(struct room *room, struct str name)
{
    uint64_t print = metric_print(room, name);
    struct listener *listener = &room->listeners[listener_slot(room, print)];

    if (atomic_load_explicit(&listener->print, memory_order_relaxed) != 0)
        return listener;
    if (room->listener_count == ROOM_LISTENERS_MAX)
        return NULL;
    room->listener_count++;
    atomic_store_explicit(&listener->print, print, memory_order_release);
    return listener;
}

bool room_set_listener_full(struct room *room, struct str listener, bool is_full)
{
    struct listener *known = make_listener(room, listener);

    if (known == NULL)
        return false;
    if (atomic_load_explicit(&known->is_full, memory_order_relaxed) == is_full)
        return true;
    uint32_t count = atomic_load_explicit(&room->full_listeners, memory_order_relaxed);
    atomic_store_explicit(&known->is_full, is_full, memory_order_relaxed);
    atomic_store_explicit(&room->full_listeners, is_full ? count + 1 : count - 1,
                          memory_order_release);
    return true;
}

void room_show_listener(struct room *room, struct str listener, struct room_listener counts)
{
    struct listener *known = make_listener(room, listener);

    if (known == NULL)
        return;
    atomic_store_explicit(&known->series, counts.series, memory_order_relaxed);
    atomic_store_explicit(&known->allowed, counts.allowed, memory_order_relaxed);
}

bool room_listener(const struct room *room, struct str listener, struct room_listener *out)
{
    const struct listener *known = find_listener(room, listener);

    if (known == NULL)
        return false;
    out->series = atomic_load_explicit(&known->series, memory_order_relaxed);
    out->allowed = atomic_load_explicit(&known->allowed, memory_order_relaxed);
    return true;
}

/* --- series --- */

/* Where the print of a series would be; nobody can choose names that share slots. */
static size_t series_home(const struct room *room, struct series_hash hash, uint32_t *print)
{
    uint64_t mixed = (hash.high ^ room->seed) * UINT64_C(0x9e3779b97f4a7c15);

    *print = (uint32_t)hash.low == 0 ? 1 : (uint32_t)hash.low;
    return (size_t)(mixed ^ mixed >> 32) & (room->slot_count - 1);
}

static bool has_series(const struct room *room, struct str key)
{
    const struct prints *prints =
        &room->prints[atomic_load_explicit(&room->asked, memory_order_acquire)];
    uint32_t print = 0;
    size_t at = series_home(room, series_key_hash(key), &print);

    if (atomic_load_explicit(&room->has_all, memory_order_relaxed))
        return true;
    for (;; at = (at + 1) & (room->slot_count - 1)) {
        uint32_t have = atomic_load_explicit(&prints->slots[at], memory_order_relaxed);
        if (have == print || have == 0)
            return have == print;
    }
}

static void add_print(struct room *room, struct prints *prints, struct series_hash hash)
{
    uint32_t print = 0;
    size_t at = series_home(room, hash, &print);

    if ((prints->used + 1) * 4 > room->slot_count * FILLED) {
        prints->is_short = true;
        return;
    }
    for (;; at = (at + 1) & (room->slot_count - 1)) {
        uint32_t have = atomic_load_explicit(&prints->slots[at], memory_order_relaxed);
        if (have == print)
            return;
        if (have == 0)
            break;
    }
    atomic_store_explicit(&prints->slots[at], print, memory_order_relaxed);
    prints->used++;
}

static struct prints *other_prints(struct room *room)
{
    return &room->prints[atomic_load_explicit(&room->asked, memory_order_relaxed) ^ 1];
}

void room_begin_series(struct room *room)
{
    struct prints *prints = other_prints(room);

    if (prints->slots == NULL) {
        prints->slots = memory_zero(room->slot_count, sizeof *prints->slots);
    } else {
        for (size_t i = 0; i < room->slot_count; i++)
            atomic_store_explicit(&prints->slots[i], 0, memory_order_relaxed);
    }
    prints->used = 0;
    prints->is_short = false;
    room->is_telling = true;
}

void room_end_series(struct room *room)
{
    const struct prints *prints = other_prints(room);
    unsigned asked = atomic_load_explicit(&room->asked, memory_order_relaxed);

    atomic_store_explicit(&room->has_all, prints->is_short, memory_order_relaxed);
    atomic_store_explicit(&room->asked, asked ^ 1, memory_order_release);
    atomic_store_explicit(&room->has_series, true, memory_order_release);
    room->is_telling = false;
}

void room_add_series(struct room *room, struct series_hash hash)
{
    struct prints *asked = &room->prints[atomic_load_explicit(&room->asked, memory_order_relaxed)];

    if (room->is_telling)
        add_print(room, other_prints(room), hash);
    if (!room_has_series(room))
        return;
    add_print(room, asked, hash);
    if (asked->is_short)
        atomic_store_explicit(&room->has_all, true, memory_order_relaxed);
}

bool room_has_series(const struct room *room)
{
    return atomic_load_explicit(&room->has_series, memory_order_acquire);
}

bool room_is_full(const struct room *room, struct str metric, struct str key)
{
    if (room == NULL || !room_has_series(room))
        return false;
    return (atomic_load_explicit(&room->is_full, memory_order_acquire) ||
            has_metric(room, metric)) &&
           !has_series(room, key);
}

bool room_listener_is_full(const struct room *room, struct str listener, struct str key)
{
    if (room == NULL || atomic_load_explicit(&room->full_listeners, memory_order_acquire) == 0 ||
        !room_has_series(room))
        return false;
    const struct listener *known = find_listener(room, listener);
    return known != NULL && atomic_load_explicit(&known->is_full, memory_order_relaxed) &&
           !has_series(room, key);
}

uint64_t room_epoch(const struct room *room)
{
    return room == NULL ? 0 : atomic_load_explicit(&room->epoch, memory_order_acquire);
}

void room_next_epoch(struct room *room)
{
    (void)atomic_fetch_add_explicit(&room->epoch, 1, memory_order_release);
}

/* --- what people are shown --- */

void room_show(struct room *room, const struct room_offender *offenders, size_t count)
{
    uint64_t words[SHOWN_WORDS] = {0};
    uint64_t version = atomic_load_explicit(&room->shown_version, memory_order_relaxed);

    count = count < ROOM_OFFENDERS_MAX ? count : ROOM_OFFENDERS_MAX;
    if (count > 0)
        memcpy(words, offenders, count * sizeof *offenders);
    atomic_store_explicit(&room->shown_version, version + 1, memory_order_relaxed);
    /* Who sees one of these has to see that the version is odd, or a later one. */
    for (size_t i = 0; i < SHOWN_WORDS; i++)
        atomic_store_explicit(&room->shown[i], words[i], memory_order_release);
    atomic_store_explicit(&room->shown_count, count, memory_order_release);
    atomic_store_explicit(&room->shown_version, version + 2, memory_order_release);
}

size_t room_offenders(const struct room *room, struct room_offender *out)
{
    uint64_t words[SHOWN_WORDS];
    uint64_t version = 0;
    size_t count = 0;

    do {
        version = atomic_load_explicit(&room->shown_version, memory_order_acquire);
        for (size_t i = 0; i < SHOWN_WORDS; i++)
            words[i] = atomic_load_explicit(&room->shown[i], memory_order_acquire);
        count = (size_t)atomic_load_explicit(&room->shown_count, memory_order_acquire);
    } while (version % 2 != 0 ||
             atomic_load_explicit(&room->shown_version, memory_order_relaxed) != version);
    memcpy(out, words, count * sizeof *out);
    return count;
}
