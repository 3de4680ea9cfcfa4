/* TLS handshakes of connections that were accepted: bounded in number and in time, and only those
 * that succeed become connections. On the worker's thread. */
#pragma once

#include <openssl/types.h>

#include "ingest/ingest_worker.h"

enum {
    HANDSHAKES_MAX = 256, /* of a thread */
    HANDSHAKE_MS = 10 * 1000,
    HANDSHAKE_IDLE_MS = 1000, /* after that it gives way where there is no place left */
};

/* Takes the socket and the session over. */
typedef void (*handshake_done_fn)(struct listener_part *part, int fd, SSL *ssl,
                                  const struct sockaddr *peer);

/* Begins one of a socket that was counted in (worker->shared->connections). Where as many as may be
 * are under way on this thread, one of the peer that has most of them gives way, or one that takes
 * longer than HANDSHAKE_IDLE_MS. False, and the socket stays the caller's: there is none such. */
bool handshake_begin(struct listener_part *part, int fd, const struct sockaddr *peer,
                     handshake_done_fn done, mono_ms now);

/* One that has no place: a connection refused. */
void handshake_count_refused(struct listener_part *part);

/* From the worker's timer: ends those that take too long. */
void handshake_expire(struct ingest_worker *worker, mono_ms now);

/* Ends those of a part, or all when it is NULL. */
void handshake_end_all(struct ingest_worker *worker, const struct listener_part *part);
