/* Stream connections: accepts them, and reads what they say (stream_frame.h cuts it).
 *
 * A connection ends when its client ends it, when it says nothing for too long, when a line or a
 * frame of it is too long, and at a stop. What has no end by then is a line where that can be
 * (S15); where more of it waits in the socket, at a stop that takes too long, it is rejected as
 * truncated.
 *
 * Who has begun a long line or frame while there is no room for its end (stream_frame.h) is left
 * alone, and its sender waits; room_queue.h says who is next. So that others do not wait for ever,
 * a line or frame that takes longer than settings.request_timeout while somebody waits is rejected
 * as too slow, and its connection ends. */
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

/* At a stop, when those that are read have nothing more to say: ends those that keep room from
 * others, so that these are read. False when nobody waits for room. */
bool stream_free_room(struct ingest_worker *worker);

/* Ends every connection. */
void stream_end_all(struct ingest_worker *worker);

/* Leaves all connections alone, or reads them again; nobody counts as idle in between. */
void stream_set_reading(struct ingest_worker *worker, bool reads);

/* Ends the connections that said nothing for settings.idle_timeout, and those that keep room from
 * others for too long. */
void stream_expire(struct ingest_worker *worker, mono_ms now);
