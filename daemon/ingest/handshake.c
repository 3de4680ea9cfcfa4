#include "ingest/handshake.h"

#include <assert.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/memory.h"
#include "ingest/tls.h"

struct handshake {
    struct peer_holder place; /* first: it comes back by the worker's handshake_room */
    TAILQ_ENTRY(handshake) link;
    struct listener_part *part;
    handshake_done_fn done;
    int fd;
    SSL *ssl;
    short waits_for; /* EV_READ or EV_WRITE */
    struct event *event;
    mono_ms since;
    union {
        struct sockaddr any;
        struct sockaddr_storage largest;
    } peer;
};

static void forget(struct handshake *handshake)
{
    struct ingest_worker *worker = handshake->part->worker;

    TAILQ_REMOVE(&worker->handshakes, handshake, link);
    peer_room_hold(&worker->handshake_room, &handshake->place, 0, 0);
    event_free(handshake->event);
    free(handshake);
}

static void drop(struct handshake *handshake)
{
    worker_connection_forget(handshake->part->worker, handshake->fd);
    SSL_free(handshake->ssl);
    (void)close(handshake->fd);
    forget(handshake);
}

/* Says why for those who wonder why nothing arrives: a client without TLS, one that does not trust
 * the certificate, one without a certificate of its own. */
static void fail(struct handshake *handshake, const char *why)
{
    struct listener_part *part = handshake->part;
    char peer[PEER_TEXT_SIZE];

    COUNTER_ADD(tls_failures, 1);
    log_repeated(&part->tls_log, clock_mono(), "tls_failed", 1,
                 "listener=\"%s\" peer=%s reason=\"%s\"", part->name,
                 peer_format(&handshake->peer.any, peer), why);
    drop(handshake);
}

static void on_ready(evutil_socket_t fd, short events, void *arg);

/* Waits for what the handshake needs next. */
static void wait_for(struct handshake *handshake, short what)
{
    struct event_base *base = thread_base(handshake->part->worker->thread);
    int rc = 0;

    if (handshake->event == NULL)
        handshake->event =
            event_new(base, handshake->fd, (short)(what | EV_PERSIST), on_ready, handshake);
    else if (handshake->waits_for != what)
        rc = event_del(handshake->event) | event_assign(handshake->event, base, handshake->fd,
                                                        (short)(what | EV_PERSIST), on_ready,
                                                        handshake);
    else
        return;
    assert(handshake->event != NULL && rc == 0);
    handshake->waits_for = what;
    rc = event_add(handshake->event, NULL);
    assert(rc == 0);
    (void)rc;
}

static void go_on(struct handshake *handshake)
{
    ERR_clear_error();
    int rc = SSL_accept(handshake->ssl);
    int what = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(handshake->ssl, rc);

    switch (what) {
    case SSL_ERROR_NONE:
        (void)event_del(handshake->event);
        handshake->done(handshake->part, handshake->fd, handshake->ssl, &handshake->peer.any);
        forget(handshake);
        return;
    case SSL_ERROR_WANT_READ:
        wait_for(handshake, EV_READ);
        return;
    case SSL_ERROR_WANT_WRITE:
        wait_for(handshake, EV_WRITE);
        return;
    case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        fail(handshake, "the client has gone");
        return;
    default:
        fail(handshake, tls_words());
        return;
    }
}

static void on_ready(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    go_on(arg);
}

void handshake_count_refused(struct listener_part *part)
{
    COUNTER_ADD(connections_refused, 1);
    log_repeated(&part->refused_log, clock_mono(), "connections_refused", 1,
                 "listener=\"%s\" limit=handshakes open=%d", part->name, HANDSHAKES_MAX);
}

/* A place for one more; false: there is none. Somebody gives way: of the peer that has most of them
 * the oldest one, if that peer has more than the new one's, itself among them; else one that takes
 * long, for clients speak at once, and who only keeps places does not. */
static bool has_place(struct ingest_worker *worker, const struct peer_holder *place, mono_ms now)
{
    const struct peer_room *room = &worker->handshake_room;

    if (room->held < HANDSHAKES_MAX)
        return true;
    struct peer_holder *other = peer_room_find_largest(room, place, 1);
    if (other == NULL)
        other = peer_room_find_idle(room, NULL, now - HANDSHAKE_IDLE_MS);
    if (other == NULL)
        return false;
    handshake_count_refused(((struct handshake *)other)->part);
    drop((struct handshake *)other);
    return true;
}

bool handshake_begin(struct listener_part *part, int fd, const struct sockaddr *peer,
                     handshake_done_fn done, mono_ms now)
{
    struct ingest_worker *worker = part->worker;
    const struct peer_holder place = {.place = peer_places_find(&worker->peer_places, fd)};

    if (!has_place(worker, &place, now))
        return false;
    struct handshake *handshake = memory_zero(1, sizeof *handshake);
    handshake->place = place;
    handshake->part = part;
    handshake->done = done;
    handshake->fd = fd;
    handshake->ssl = tls_session(part->tls, fd);
    handshake->since = now;
    if (peer->sa_family == AF_INET)
        memcpy(&handshake->peer, peer, sizeof(struct sockaddr_in));
    else if (peer->sa_family == AF_INET6)
        memcpy(&handshake->peer, peer, sizeof(struct sockaddr_in6));
    TAILQ_INSERT_TAIL(&worker->handshakes, handshake, link);
    peer_room_hold(&worker->handshake_room, &handshake->place, 1, now);
    wait_for(handshake, EV_READ); /* the client speaks first */
    return true;
}

void handshake_expire(struct ingest_worker *worker, mono_ms now)
{
    struct handshake *next = NULL;

    for (struct handshake *h = TAILQ_FIRST(&worker->handshakes); h != NULL; h = next) {
        next = TAILQ_NEXT(h, link);
        if (now - h->since <= HANDSHAKE_MS)
            return; /* so have all that come after it */
        fail(h, "the client takes too long");
    }
}

void handshake_end_all(struct ingest_worker *worker, const struct listener_part *part)
{
    struct handshake *next = NULL;

    for (struct handshake *h = TAILQ_FIRST(&worker->handshakes); h != NULL; h = next) {
        next = TAILQ_NEXT(h, link);
        if (part == NULL || h->part == part)
            drop(h);
    }
}
