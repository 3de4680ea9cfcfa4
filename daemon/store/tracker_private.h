/* What tracker.c and tracker_row.c share. */
#pragma once

#include "store/tracker.h"

/* What few trackers have. Never changed once it is committed: replaced. */
struct tracker_more {
    wall_ms reset_at[TRACKER_RESETS]; /* the newest first; WALL_NONE: no more */
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
    struct tracker_more *more; /* owned; NULL: nothing */
    uint64_t row : 48;         /* number of the row that has it; 0: none yet */
    uint64_t form : 2;         /* 1 + enum delta_point_form; 0: there is no tracker */
    uint64_t has_tally : 1;
    uint64_t is_taken : 1;    /* in the transaction under way: it is among the old ones */
    uint64_t more_is_new : 1; /* the same of `more` */
};

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
