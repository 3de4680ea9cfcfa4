/* The last point of each series whose sender keeps it in order (series/delta.h), from which the
 * next one counts. Private to store/.
 *
 * All trackers are in memory (40 bytes each, in pages by id) and in a log: each commit appends
 * those that it changed, some bytes each, and nothing is ever looked for in it. It is read whole
 * when the first point comes. Each commit also takes the oldest rows away, writing anew what is not
 * in a later one, so that the log never holds more than twice as many entries as there are
 * trackers, and some; where all series go on there is nothing left to write anew. A tracker of a
 * series that is gone (store/removed.h) is left out then, and when the log is read.
 *
 * What is appended is in the transaction that stores what it counted, so both hold or neither does.
 * Of the writer's thread.
 *
 * A window of increments that comes late, after one that began later than the last one ended,
 * counts when it lies wholly in the gap between these (O18: there is no guarantee of an order).
 * Each tracker knows one gap, the newest: so windows that swap their places are counted exactly,
 * and one that comes again is in no gap any more. Before the first window all is a gap. A gap is
 * forgotten after a while.
 *
 * trackers: u64 number, growing -> u8 1, then entries, by id:
 *           varint   id, less the one before
 *           u8       bits 0-1: 1 + enum delta_point_form; bit 2: the start is said; bit 3: a whole
 *                    value; bit 4: it began anew a short time ago; bit 5: it has a tally; of
 *                    increments: bit 6: the time is exact; bit 7: there is a gap
 *           varint   time, less the one before (the first: itself), zigzag
 *           varint   start, if said: less the last one that was, zigzag
 *           the value: varint, zigzag, of a whole one; else u64 (a double; of an increment with
 *                    tally the hash of that)
 *           varints  how long before (ms) it began anew, + 1, the newest first; 0: no more than
 * that varint   length, and a tally (series/tally.h), of a cumulative one
 *           varint   ns, below 10^6, that the time is later than its millisecond, if it is exact
 *                    (else all of that has counted)
 *           varints  of a gap: how long before the time (ms) it ended, ns as above, 1 + how long it
 *                    was (ms), and the ns of its beginning; 0 instead of these two: since ever */
#pragma once

#include "series/delta.h"
#include "store/store_private.h"

/* FIG-24: more resets than this within TRACKER_MIXED_MS are two senders under one series. */
enum { TRACKER_RESETS = 3 };
#define TRACKER_MIXED_MS (INT64_C(10) * MS_PER_MINUTE)

/* A gap of increments is kept until one comes that ended so much later than the gap; what was
 * before a series' first window for so many windows. */
#define TRACKER_GAP_MS (INT64_C(60) * MS_PER_MINUTE)
enum { TRACKER_GAP_FIRST = 8 };

struct tracker_set;

struct tracker_set *tracker_set_new(void);
void tracker_set_free(struct tracker_set *set); /* NULL is fine */

/* At the beginning of each transaction. The first one reads the log. */
bool tracker_set_begin(struct tracker_set *set, const struct read_txn *txn, struct error *err);

/* After a transaction that was not, or may not have been: whether it was is looked up when the next
 * one begins. */
void tracker_set_forget(struct tracker_set *set);

/* Forgets series that are gone for good, between transactions. */
void tracker_set_remove(struct tracker_set *set, const uint32_t *ids, size_t count);

struct tracker_point {
    uint32_t id;
    enum delta_point_form form;
    wall_ms at;
    wall_ms start;             /* WALL_NONE: not said */
    uint32_t at_ns, start_ns;  /* of an increment: how much later than these milliseconds */
    double value;              /* finite */
    const struct tally *tally; /* of a distribution, instead of the value; else NULL */
    bool by_arrival;           /* as in struct delta_point */
    wall_ms metric_first_at;   /* of a cumulative one whose series tracker_has not: the first sample
                                  of the metric in kpid, of any series; WALL_NONE: none yet */
};

enum tracker_verdict {
    TRACKER_COUNTED,
    TRACKER_DUPLICATE, /* not newer than the last point, nor in a gap: it counts nothing */
    TRACKER_CONFLICT,  /* as old as the last point and not the same: the first one stays */
};

struct tracker_answer {
    enum tracker_verdict verdict;
    double value;          /* of TRACKER_COUNTED without tally: what the sample says. 0 of a first
                              point that says nothing, which is a sample all the same */
    struct tally *counted; /* with tally: what came, the caller's; NULL: nothing */
    wall_ms since;         /* the point it counts from; WALL_NONE: none, or it began anew */
    bool reset;            /* it began anew */
    bool mixed;            /* two senders: it did so too often (FIG-24), or counts what was counted
                              before (O11) */
    wall_ms mixed_from;    /* since when they are seen */
};

/* Fetches what tracker_take will look at. */
void tracker_prefetch(const struct tracker_set *set, uint32_t id);

/* Whether there is a point of this form before. */
bool tracker_has(const struct tracker_set *set, uint32_t id, enum delta_point_form form);

/* The points of a series come in the order of their time, also of several senders in one
 * transaction. What is stored and cannot be read is a series that was never seen. */
void tracker_take(struct tracker_set *set, const struct tracker_point *point,
                  struct tracker_answer *out);

/* Appends what was taken since tracker_set_begin; once, at the end. */
bool tracker_set_save(struct tracker_set *set, struct write_txn *txn, struct error *err);

size_t tracker_set_count(const struct tracker_set *set);
size_t tracker_set_size_bytes(const struct tracker_set *set);

/* For who looks after the store: each id of a row, in order. False when it is none. */
bool tracker_row_each(struct str row, void (*on_id)(uint32_t id, void *arg), void *arg);
