/* Which series are active, how many each metric has, and whether there is room for one more (design
 * 4.9, FIG-35).
 *
 * Active is what had a sample in the last CENSUS_HOURS. In memory, 8 bytes an id and some for each
 * metric; the hours are saved now and then, so that a start knows them again. The values of labels
 * are counted only of metrics that have as many series as a label may have values.
 *
 * A series is owned by the listener that brought it when it was not active, for as long as it is;
 * who else brings it changes nothing. Owners have numbers, which are never given again; who owns a
 * series is saved in the transaction that makes it active.
 *
 * A series beyond a limit joins the `__other__` of its metric and kind. These are counted apart and
 * have the limit `series` for themselves, and so have those that a listener brought with its limit.
 *
 * The writer's thread only. Private to store/. */
#pragma once

#include "series/delta.h"
#include "series/room.h"
#include "store/activity.h"
#include "store/series_limits.h"
#include "store/store_private.h"

struct census;

enum {
    CENSUS_HOURS = 24,
    CENSUS_IDS_A_ROW = 8192,
    CENSUS_ROW_BYTES = CENSUS_IDS_A_ROW * 2,
    CENSUS_OWNER_IDS_A_ROW = 512, /* so that rows are small: new series change the last one */
    CENSUS_OWNER_ROW_BYTES = CENSUS_OWNER_IDS_A_ROW * 2,
    CENSUS_OWNERS_MAX = UINT16_MAX - 1,
};

/* `room` is told what is full; borrowed, NULL is fine. */
struct census *census_new(struct room *room);
void census_free(struct census *census); /* NULL is fine */

void census_set_limits(struct census *census, const struct series_limits *limits);
bool census_has_limits(const struct census *census);

/* A number for the hour of `now`, never 0; it comes again after years. */
uint16_t census_hour(wall_ms now);

/* Whose a series is. */
struct census_place {
    uint32_t metric; /* its number; 0: not known */
    bool is_other;   /* it is the `__other__` of it, which takes what is over a limit */
};

/* Whether the series is active; then it is from `hour` on. */
bool census_touch(struct census *census, uint32_t id, uint16_t hour, struct census_place *place);
bool census_is_active(const struct census *census, uint32_t id);

/* The number of a listener, which is given now if it has none. 0 is nobody, who has no limit: that
 * is what an empty name is, and any further one after CENSUS_OWNERS_MAX. */
bool census_owner(struct census *census, const struct read_txn *txn, struct str listener,
                  uint16_t *owner, struct error *err);

/* Who owned a series when it was active last, as far as it is known. */
bool census_owner_before(struct census *census, const struct read_txn *txn, uint32_t id,
                         uint16_t *owner, struct error *err);

/* Whether there is room for a series that is not active: ROOM_LIMIT_NONE, or what it is beyond.
 * `*label` is the label that has too many values, empty otherwise. May read the keys of its
 * metric's series. */
enum room_limit census_ask(struct census *census, const struct read_txn *txn, struct str key,
                           uint16_t owner, struct str *label);

/* Fetches what census_ask and census_add look at of a series, for one that comes soon. */
void census_prefetch(const struct census *census, struct str key);

/* It is active from now on. Who calls tells the room (room_add_series). */
void census_add(struct census *census, uint32_t id, struct str key, uint16_t hour, uint16_t owner,
                struct census_place *place);

/* Whether there is room for one more `__other__` from that owner. */
bool census_other_has_room(struct census *census, uint16_t owner);

/* The same of an `__other__`; false: there is no room for it. */
bool census_add_other(struct census *census, uint32_t id, struct str key, uint16_t hour,
                      uint16_t owner, struct census_place *place);

/* A series was refused: the number of its metric, which stays as long as its `__other__` is active;
 * `generation` tells it from another one that has the number later. */
struct census_refusal {
    struct str metric;
    enum room_limit limit;
    struct str label;
    uint16_t owner;
};
uint32_t census_refuse(struct census *census, const struct census_refusal *refusal,
                       uint32_t *generation);

/* There is no `__other__` of the metric after all. */
void census_leave(struct census *census, uint32_t metric);

/* The metric of a number; false when it is gone. */
bool census_metric(const struct census *census, uint32_t number, uint32_t generation,
                   struct str *name);

/* So many samples of a transaction went to the `__other__` of a metric, and so many were refused:
 * totals of different series cannot be added up there. */
void census_count_other(struct census *census, uint32_t metric, uint64_t samples, uint64_t refused);

/* Samples of a metric, whatever becomes of the transaction: for people. */
void census_count(struct census *census, uint32_t metric, uint64_t samples, wall_ms last_at);

/* What there is of all metrics; metric_activity_fini frees it. */
void census_activity(const struct census *census, wall_ms now, struct metric_activity *out);

/* The series is gone. */
void census_remove(struct census *census, uint32_t id, struct str key);

/* A transaction begins, and the one before holds; or what it did is taken back. */
void census_begin_group(struct census *census);
void census_forget(struct census *census);

/* What the transaction sent to `__other__` or refused, for a log line; `metric` is one of them. */
struct census_group {
    uint64_t samples;
    uint64_t refused_samples;
    uint64_t refused; /* series that were */
    char metric[STR_QUOTED_SIZE];
    enum room_limit limit;
    char listener[STR_QUOTED_SIZE]; /* of ROOM_LIMIT_LISTENER; else empty */
};
const struct census_group *census_group(const struct census *census);

/* Once a second: series that were not seen for long make room, and the room is told. */
void census_tick(struct census *census, wall_ms now, mono_ms mono);

/* --- what lasts --- */

/* Whether census_work has not yet read who was active before the start. */
bool census_is_loading(const struct census *census);

/* Reads for some milliseconds: what was saved, at first, and which series are active when something
 * became full, for the room. Whether there is more to read. Not inside a transaction. */
bool census_work(struct census *census, struct store *store, wall_ms now);

/* Saves the owners of what the transaction made active, and some of the hours that have changed
 * since they were saved an hour ago, or all with `is_end`. */
bool census_save(struct census *census, struct write_txn *txn, wall_ms now, bool is_end,
                 struct error *err);

/* What is stored of owners: the name of a number, and rows of numbers. */
enum { CENSUS_OWNER_NAME, CENSUS_OWNER_ROW }; /* how keys begin */
struct schema_key census_owner_key(uint16_t number);
uint16_t census_owner_number(struct str row, uint32_t id); /* of a row of CENSUS_OWNER_ROW_BYTES */

size_t census_size_bytes(const struct census *census);
