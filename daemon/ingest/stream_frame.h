/* Cuts what a connection says into lines or frames.
 *
 *   lines            ... "\n"
 *   InfluxDB lines   the same, but for newlines inside of texts (I5)
 *   frames           length (4 bytes), then so many bytes: big-endian with pickles (G9),
 *                    little-endian with DogStatsD on Unix streams (D12)
 *
 * Which one it is follows from protocol and transport. Lines and frames may span reads; what has no
 * end yet is kept here, and is at most as long as one may be. A longer one is rejected and its
 * connection is to be closed, for a sender that has lost its way is better told so.
 *
 * All connections of a worker share room for what has no end yet. Short beginnings need none. A
 * longer one is promised room for all of it, a line as much as one may be long, so that whoever has
 * begun can come to an end; who finds no room is to be left alone until there is some, and nothing
 * of it is read that could not be kept. No I/O; one thread. */
#pragma once

#include "ingest/influx.h"
#include "ingest/intake.h"

enum framing { FRAMING_LINES, FRAMING_INFLUX, FRAMING_BIG_ENDIAN, FRAMING_LITTLE_ENDIAN };

enum framing framing_of(enum protocol protocol, enum transport transport);

enum { TAIL_BYTES_FREE = 4 * 1024 }; /* of a connection need no room */

/* What the connections of a worker may keep together, beside TAIL_BYTES_FREE of each. What would
 * not fit at all has it alone. */
struct tail_room {
    size_t bytes_max;
    size_t bytes;   /* promised */
    bool is_wanted; /* the owner sets it while a connection waits: others are promised nothing */
};

/* What a connection has begun and not ended. Zeroed at first, but for the first two. */
struct stream_cut {
    enum framing framing;
    struct tail_room *room; /* borrowed: of all connections of a worker together */
    char *tail;             /* NULL while there is none */
    size_t tail_len, tail_capacity;
    size_t promised;          /* of the room; 0: none is needed yet */
    bool is_new;              /* promised since the owner last reset this */
    struct influx_cut influx; /* where the tail ends */
};

/* How many of `size` bytes may be read, so that what has no end then can be kept. 0: the connection
 * has to wait until stream_cut_admit. */
size_t stream_cut_may_read(struct stream_cut *cut, const struct intake *intake, size_t size);

/* Promises room to a connection that waits; false: there is none. There is when nobody else is
 * promised any. */
bool stream_cut_admit(struct stream_cut *cut, const struct intake *intake);

/* What is kept, until the next call. */
struct str stream_cut_tail(const struct stream_cut *cut);

/* Takes the `len` bytes that were read into `area`, before which intake->line_bytes_max bytes are
 * free to be written; false when the connection is to be closed. */
bool stream_cut_take(struct stream_cut *cut, struct intake *intake, char *area, size_t len);

/* The connection has ended: a line without its newline is a line (S15, G5), a frame without its end
 * is rejected as truncated (D12). `is_cut`: more waited to be read, so that a line is rejected too.
 */
void stream_cut_end(struct stream_cut *cut, struct intake *intake, bool is_cut);

void stream_cut_forget(struct stream_cut *cut);
