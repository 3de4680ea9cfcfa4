/* Stream connections: accepts them and cuts what they say into lines (S15).
 *
 * A line may span reads; what has no newline yet is kept beside its connection and is at most
 * line_bytes_max long. A longer line is rejected and its connection closed, and so is one of the
 * long ones when too many connections keep such at a time. The unterminated tail
 * is a line when the connection ends, whoever ends it; only where more of it waits in the socket,
 * at a stop that takes too long, it is rejected as truncated. */
#pragma once

#include "ingest/ingest_worker.h"

/* libevent's callback: accepts a bounded number of connections of the part `arg`. */
void stream_on_acceptable(evutil_socket_t fd, short events, void *arg);

/* The callback of the part's timer `accept_again`. */
void stream_on_accept_again(evutil_socket_t fd, short events, void *arg);

/* Accepts some that wait; false when no more do. */
bool stream_accept_some(struct listener_part *part);

/* Reads each connection once, the last ones only before `until`; false when none had anything to
 * say. Those that have ended are gone. */
bool stream_read_some(struct ingest_worker *worker, mono_ms until);

/* Ends every connection. */
void stream_end_all(struct ingest_worker *worker);

/* Leaves all connections alone, or reads them again; nobody counts as idle in between. */
void stream_set_reading(struct ingest_worker *worker, bool reads);

/* Ends the connections that said nothing for settings.idle_timeout. */
void stream_expire(struct ingest_worker *worker, mono_ms now);
