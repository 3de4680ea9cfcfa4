/* Stream connections: accepts them and cuts what they say into lines (S15).
 *
 * A line may span reads; what has no newline yet is kept beside its connection and is at most
 * line_bytes_max long. A longer line is rejected and its connection closed. The unterminated tail
 * is a line when the connection ends, whoever ends it. */
#pragma once

#include "ingest/ingest_worker.h"

/* libevent's callback: accepts a bounded number of connections of the part `arg`. */
void stream_on_acceptable(evutil_socket_t fd, short events, void *arg);

/* The callback of the part's timer `accept_again`. */
void stream_on_accept_again(evutil_socket_t fd, short events, void *arg);

/* Accepts all that wait, at the latest until `until`. */
void stream_accept_waiting(struct listener_part *part, mono_ms until);

/* Reads every connection until it says nothing more or `until`, then ends it. */
void stream_drain(struct ingest_worker *worker, mono_ms until);

/* Ends the connections that said nothing for settings.idle_timeout. */
void stream_expire(struct ingest_worker *worker, mono_ms now);
