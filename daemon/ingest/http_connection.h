/* HTTP connections of ingest: one request at a time, its head judged before its body is read.
 *
 * What may be asked is in http_route.h; what a body becomes in http_write.h.
 *
 * Every request has a deadline. An answer that comes before the body has been read ends the
 * connection, but what is still sent is read and dropped for a while, so that the client can read
 * the answer. What a client has sent beyond its first request waits until that is answered. */
#pragma once

#include <openssl/types.h>

#include "ingest/ingest_worker.h"

/* Takes over a socket that was accepted and counted; `ssl`: its handshake is done, NULL: plain. */
void http_connection_open(struct listener_part *part, int fd, SSL *ssl,
                          const struct sockaddr *peer);

/* From the worker's timer: ends what is over its deadline. */
void http_expire(struct ingest_worker *worker, mono_ms now);

/* At a stop: waits until what was handed to the sink is answered, or `until`. */
void http_drain(struct ingest_worker *worker, mono_ms until);

/* Ends every connection, once its answer was sent if the socket takes it at once. */
void http_end_all(struct ingest_worker *worker);
