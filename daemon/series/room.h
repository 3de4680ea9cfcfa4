/* Where there is no room for another series (design 4.9, FIG-35), as the writer has found it: who
 * makes series asks, so that those beyond a limit join `__other__` already where they come in.
 *
 * The writer's thread changes it, any thread asks, nobody waits. What it says may be a moment old,
 * and it does not know all metrics that are full: the writer decides (store/census.h), and whoever
 * asks loses nothing by it but work. */
#pragma once

#include "series/series_key.h"

struct room;

enum {
    ROOM_OFFENDERS_MAX = 20,
    ROOM_METRICS_MAX = 3072,
    ROOM_LISTENERS_MAX = 1024,
    ROOM_NAME_SIZE = 200
};

enum room_limit {
    ROOM_LIMIT_NONE,
    ROOM_LIMIT_SERIES,
    ROOM_LIMIT_METRIC,
    ROOM_LIMIT_LABEL,
    ROOM_LIMIT_OWN,
    ROOM_LIMIT_LISTENER
};

/* As in the configuration: "series", "series_per_metric" and "label_values" of server.limits,
 * "max_series" of the metric itself, and "listener_max_series" for that of a listener; "" for none.
 */
const char *room_limit_name(enum room_limit limit);

/* `series_max`: as many series as are expected to be active; beyond it all are let through. */
struct room *room_new(size_t series_max);
void room_free(struct room *room); /* NULL is fine */

/* --- who makes series --- */

/* Whether a series that is new to the caller goes to `__other__`. NULL: never. */
bool room_is_full(const struct room *room, struct str metric, struct str key);

/* The same where the listener it came from has as many as it may bring: another listener's may have
 * room, so nobody remembers the answer for long. */
bool room_listener_is_full(const struct room *room, struct str listener, struct str key);

/* Grows when there is room where there was none: what was sent to `__other__` may be tried anew.
 * And when a listener is full, so that what others send is told from what it has sent before that
 * was known. */
uint64_t room_epoch(const struct room *room);

/* --- the writer's thread --- */

void room_set_full(struct room *room, bool is_full);

/* False: too many are full already, so who asks does not know of this one. */
bool room_set_metric_full(struct room *room, struct str metric, bool is_full);

/* False: there are too many to know of this one. */
bool room_set_listener_full(struct room *room, struct str listener, bool is_full);

/* Series that have room whatever is full: before something is said to be full all of them are
 * told, and then each that comes. */
void room_begin_series(struct room *room);
void room_add_series(struct room *room, struct series_hash hash);
void room_end_series(struct room *room);
bool room_has_series(const struct room *room); /* they were told */

void room_next_epoch(struct room *room);

/* --- what people are shown --- */

/* A metric some of whose samples went to `__other__`. */
struct room_offender {
    char metric[ROOM_NAME_SIZE];   /* cut */
    char label[ROOM_NAME_SIZE];    /* the label that has too many values; empty: another limit */
    char listener[ROOM_NAME_SIZE]; /* the one that may bring no more; empty: another limit */
    enum room_limit limit;
    uint64_t series;  /* active: the metric's, or all that the listener brought */
    uint64_t allowed; /* by the limit that holds: series, or values of the label */
    uint64_t samples; /* sent to `__other__` since start or since it was last quiet for a day */
    uint64_t refused; /* totals that the writer refused in that time: they cannot be added there */
};

void room_show(struct room *room, const struct room_offender *offenders, size_t count);

/* From any thread; the worst first. `out` takes ROOM_OFFENDERS_MAX. */
size_t room_offenders(const struct room *room, struct room_offender *out);

/* The active series that a listener brought, and how many it may bring; 0: as many as it likes. */
struct room_listener {
    uint64_t series;
    uint64_t allowed;
};

void room_show_listener(struct room *room, struct str listener, struct room_listener counts);

/* From any thread; false: it has brought none since the start, or there are too many to know. */
bool room_listener(const struct room *room, struct str listener, struct room_listener *out);
