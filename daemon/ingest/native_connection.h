/* Connections of kpid's own protocol (proto/kpid.proto): a Hello, then batches, each answered when
 * the sink has committed it, in the order of the commits.
 *
 * Where there is no room for more (the sink's, the budget of bodies and frames, answers that wait)
 * nothing is read: who sends waits. A frame that has begun and does not go on gives way to others
 * that need its room (native_input.h). What cannot be understood is answered with an error, after
 * the answers to all that came before it, and ends the connection; what is still sent then is read
 * and dropped for a while, so that the client can read why. */
#pragma once

#include <openssl/types.h>

#include "ingest/ingest_worker.h"

enum { NATIVE_BATCHES_MAX = 64 }; /* of one connection, without an answer */

/* Takes over a socket that was accepted and counted, and its TLS session, if there is one. */
void native_connection_open(struct listener_part *part, int fd, SSL *ssl,
                            const struct sockaddr *peer);

/* The worker has other tokens, or its listeners ask for them now: ends, with an error, the
 * connections whose own is not among them, and those that gave none where one is needed. */
void native_check_tokens(struct ingest_worker *worker);

/* From the worker's timer: ends what is over its deadline. */
void native_expire(struct ingest_worker *worker, mono_ms now);

/* At a stop: waits until what was handed to the sink is answered, or `until`. */
void native_drain(struct ingest_worker *worker, mono_ms until);

/* Ends every connection, once its answers were sent if the socket takes them at once. */
void native_end_all(struct ingest_worker *worker);
