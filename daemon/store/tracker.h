/* Cumulative counters (FIG-23): the last point of each, from which the next one counts. Private to
 * store/.
 *
 * A tracker is read when its series first comes, kept in memory and written in the transaction that
 * stores what it counted, so both hold or neither does. Of the writer's thread.
 *
 * trackers: u32 id -> u8 1, i64 start (WALL_NONE: not said), i64 at, double value,
 *           3 times u32: how long before `at` (ms) the counter began anew, the newest first
 *           (UINT32_MAX: longer, or never), i64 mixed_at (WALL_NONE: never) */
#pragma once

#include "store/store_private.h"

/* FIG-24: more resets than this within TRACKER_MIXED_MS are two senders under one series. */
enum { TRACKER_RESETS = 3 };
#define TRACKER_MIXED_MS (INT64_C(10) * MS_PER_MINUTE)

struct tracker_set;

struct tracker_set *tracker_set_new(void);
void tracker_set_free(struct tracker_set *set); /* NULL is fine */

/* At the beginning of each transaction, when the one before was committed. */
void tracker_set_begin(struct tracker_set *set);

/* After a transaction that was not: what it took is read again from the store. */
void tracker_set_forget(struct tracker_set *set);

struct tracker_sample {
    uint32_t id;
    wall_ms at;
    wall_ms start;           /* when the counter began; WALL_NONE: not said */
    double value;            /* finite, not negative */
    wall_ms metric_first_at; /* the first sample of the metric in kpid, of any series;
                                WALL_NONE: there is none yet */
};

enum tracker_verdict {
    TRACKER_COUNTED,
    TRACKER_DUPLICATE, /* not newer than the last point: it counts nothing */
    TRACKER_CONFLICT,  /* as old as the last point with another value: the first one stays */
};

struct tracker_answer {
    enum tracker_verdict verdict;
    double increase; /* of TRACKER_COUNTED: what to add at the sample's time; 0 of a first point
                        that says nothing, which is a sample all the same */
    wall_ms since;   /* the point it counts from; WALL_NONE: none, or it began anew */
    bool reset;      /* it began anew */
    bool mixed;      /* and too often: two senders (FIG-24) */
};

/* The points of a series come in the order of their time, also of several senders in one
 * transaction. What is stored and cannot be read is a series that was never seen. False: LMDB
 * failed. */
bool tracker_take(struct tracker_set *set, const struct read_txn *txn,
                  const struct tracker_sample *sample, struct tracker_answer *out,
                  struct error *err);

/* Writes what was taken since tracker_set_begin, in the order of the ids. */
bool tracker_set_save(struct tracker_set *set, struct write_txn *txn, struct error *err);

size_t tracker_set_size_bytes(const struct tracker_set *set);
