/* Cuts what a connection says into lines or frames.
 *
 *   lines            ... "\n"
 *   InfluxDB lines   the same, but for newlines inside of texts (I5)
 *   frames           length (4 bytes), then so many bytes: big-endian with pickles (G9),
 *                    little-endian with DogStatsD on Unix streams (D12)
 *
 * Which one it is follows from protocol and transport. Lines and frames may span reads; what has no
 * end yet is kept here, and is at most as long as one may be. A longer one is rejected and its
 * connection is to be closed, for a sender that has lost its way is better told so; the same where
 * too many connections keep long ones at a time. No I/O; one thread. */
#pragma once

#include "ingest/influx.h"
#include "ingest/intake.h"

enum framing { FRAMING_LINES, FRAMING_INFLUX, FRAMING_BIG_ENDIAN, FRAMING_LITTLE_ENDIAN };

enum framing framing_of(enum protocol protocol, enum transport transport);

/* What a connection has begun and not ended. Zeroed at first, but for the first two. */
struct stream_cut {
    enum framing framing;
    size_t *kept_bytes; /* borrowed: of all connections of a worker together */
    char *tail;         /* NULL while there is none */
    size_t tail_len, tail_capacity;
    struct influx_cut influx; /* where the tail ends */
};

/* Takes the `len` bytes that were read into `area`, before which intake->line_bytes_max bytes are
 * free to be written; false when the connection is to be closed. */
bool stream_cut_take(struct stream_cut *cut, struct intake *intake, char *area, size_t len);

/* The connection has ended: a line without its newline is a line (S15, G5), a frame without its end
 * is rejected as truncated (D12). `is_cut`: more waited to be read, so that a line is rejected too.
 */
void stream_cut_end(struct stream_cut *cut, struct intake *intake, bool is_cut);

void stream_cut_forget(struct stream_cut *cut);
