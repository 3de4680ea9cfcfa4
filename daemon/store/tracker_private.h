/* What tracker.c and tracker_row.c share. */
#pragma once

#include "store/tracker.h"

enum {
    TRACKER_ROW_BITS = 39, /* more than the log has rows at a time */
    TRACKER_NS_PER_MS = 1000000,
    TRACKER_NS_UNKNOWN = TRACKER_NS_PER_MS, /* as `at_ns`: all of the millisecond has counted */
};

/* A time (from, to] before the last point of increments, in which none has counted yet. The ns are
 * how much later than those milliseconds. */
struct tracker_gap {
    wall_ms from; /* WALL_NONE: since ever */
    wall_ms to;
    uint32_t from_ns;
    uint32_t to_ns;
};

/* What few trackers have. Never changed once it is committed: replaced. */
struct tracker_more {
    union {
        wall_ms reset_at[TRACKER_RESETS]; /* the newest first; WALL_NONE: no more */
        struct tracker_gap gap;           /* of increments, which have it for that */
    };
    size_t len;
    unsigned char tally[]; /* encoded */
};

struct tracker {
    wall_ms start;
    wall_ms at;
    union {
        double value;
        uint64_t bits; /* of an increment with tally: its hash */
    } last;
    struct tracker_more *more;       /* owned; NULL: nothing */
    uint64_t row : TRACKER_ROW_BITS; /* the last bits of the number of the row that has it */
    uint64_t at_ns : DELTA_NS_BITS;  /* of increments: how much later than `at` */
    uint64_t form : 2;               /* 1 + enum delta_point_form; 0: there is no tracker */
    uint64_t has_tally : 1;
    uint64_t is_taken : 1;    /* in the transaction under way: it is among the old ones */
    uint64_t more_is_new : 1; /* the same of `more` */
};

/* --- gaps (tracker_gap.c) --- */

/* The gap that is left when the point follows; false: none. */
bool tracker_gap_after(const struct tracker *tracker, const struct tracker_point *point,
                       struct tracker_gap *out);

/* Whether the point, which does not follow, lies wholly in the gap; then what is left of that. */
bool tracker_gap_takes(const struct tracker_gap *gap, const struct tracker_point *point,
                       struct tracker_gap *left);

/* Whether there is anything between its ends. */
bool tracker_gap_is_open(const struct tracker_gap *gap);

/* --- totals that begin anew (tracker_reset.c) --- */

/* One more, at `at`: the resets there are now, and whether they are two senders (FIG-24). */
void tracker_note_reset(const struct tracker *tracker, wall_ms at, wall_ms resets[TRACKER_RESETS],
                        struct tracker_answer *out);

/* None: those there are now, for they are forgotten when they do not matter any more. */
void tracker_keep_resets(const struct tracker *tracker, wall_ms at, wall_ms resets[TRACKER_RESETS]);

/* --- rows (tracker_row.c) --- */

struct tracker_row_writer {
    struct buf bytes;
    uint32_t id;
    wall_ms at;
    wall_ms start;
};

void tracker_row_begin(struct tracker_row_writer *writer);

/* The bytes that the entry of a tracker takes at most. */
size_t tracker_row_room(const struct tracker *tracker);
void tracker_row_add(struct tracker_row_writer *writer, uint32_t id, const struct tracker *tracker);

struct tracker_row_reader {
    struct reader reader;
    uint32_t id; /* of the newest entry */
    wall_ms at;
    wall_ms start;
};

/* False when the row is none. */
bool tracker_row_open(struct tracker_row_reader *reader, struct str row);

/* The next entry; false at the end, or where it cannot be read. `more` is the caller's. */
bool tracker_row_next(struct tracker_row_reader *reader, struct tracker *out);
