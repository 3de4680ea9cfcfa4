#include "ingest/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/memory.h"
#include "ingest/channel.h"
#include "ingest/handshake.h"
#include "ingest/http_connection.h"
#include "ingest/native_connection.h"
#include "ingest/stream_frame.h"

enum {
    ACCEPTS_PER_WAKEUP = 64,
    READ_BYTES_MAX = 256 * 1024,
    READ_BYTES_MIN = 4 * 1024,
    READ_BYTES_PER_TURN = 8 * 1024 * 1024, /* of all connections together, where that is enough */
};

struct connection {
    struct room_waiter room;      /* first: it comes back by the queue */
    TAILQ_ENTRY(connection) link; /* while it does not wait for room */
    TAILQ_ENTRY(connection) holder_link;
    struct listener_part *part;
    struct channel channel;
    struct event *readable;
    struct event *again; /* TLS: reads what it holds that the socket does not show; else NULL */
    mono_ms active_at;
    struct stream_cut cut;
    mono_ms held_since; /* the room it was promised */
    char peer[PEER_TEXT_SIZE];
};

/* The buffer of all connections of a worker: room for a line's beginning, then for a read. */
static char *read_area(struct ingest_worker *worker)
{
    size_t room = worker->settings.line_bytes_max;

    if (worker->stream_buffer == NULL || worker->stream_buffer_lines != room) {
        free(worker->stream_buffer);
        worker->stream_buffer = memory_alloc(room + READ_BYTES_MAX);
        worker->stream_buffer_lines = room;
    }
    return worker->stream_buffer + room;
}

/* --- room for what has no end yet --------------------------------------------------------------
 */

static void hold_room(struct connection *connection, size_t bytes)
{
    struct ingest_worker *worker = connection->part->worker;

    if (connection->room.held > 0)
        TAILQ_REMOVE(&worker->tail_holders, connection, holder_link);
    if (bytes > 0)
        TAILQ_INSERT_TAIL(&worker->tail_holders, connection, holder_link);
    room_queue_hold(&worker->tail_queue, &connection->room, bytes);
}

/* Who was promised room holds it from then on until its line or frame ends. */
static void note_promise(struct connection *connection, mono_ms now)
{
    size_t promised = connection->cut.promised;

    if (promised == connection->room.held && !connection->cut.is_new)
        return;
    hold_room(connection, promised);
    connection->held_since = now;
    connection->cut.is_new = false;
}

static void stop_waiting(struct connection *connection)
{
    struct ingest_worker *worker = connection->part->worker;

    COUNTER_SUB(connections_waiting, 1);
    room_queue_remove(&worker->tail_queue, &connection->room);
    TAILQ_INSERT_TAIL(&worker->connections, connection, link);
}

/* --- connections -------------------------------------------------------------------------------
 */

enum ending {
    ENDING_WHOLE,  /* it has said all it had to say */
    ENDING_CUT,    /* more of it waits */
    ENDING_BROKEN, /* nothing more is taken of it */
};

static void end_connection(struct connection *connection, enum ending ending)
{
    struct listener_part *part = connection->part;
    struct ingest_worker *worker = part->worker;

    if (ending != ENDING_BROKEN && connection->cut.tail_len > 0) {
        stream_cut_end(&connection->cut, worker_begin(part), ending == ENDING_CUT);
        worker_end(part, connection->peer);
    }
    if (connection->room.is_waiting)
        stop_waiting(connection);
    hold_room(connection, 0);
    TAILQ_REMOVE(&worker->connections, connection, link);
    worker->connection_count--;
    worker_connection_closed(part, connection->channel.fd);
    event_free(connection->readable);
    if (connection->again != NULL)
        event_free(connection->again);
    channel_close(&connection->channel);
    stream_cut_forget(&connection->cut);
    free(connection);
}

static const struct timeval AT_ONCE = {0};

static void read_again(struct connection *connection)
{
    int rc = event_add(connection->readable, NULL);
    assert(rc == 0);
    (void)rc;
    if (connection->again != NULL)
        (void)event_add(connection->again, &AT_ONCE);
}

static void leave_alone(struct connection *connection)
{
    (void)event_del(connection->readable);
    if (connection->again != NULL)
        (void)event_del(connection->again);
}

/* Nothing more is read of it: the kernel's buffers fill, and its sender waits. */
static void wait_for_room(struct connection *connection)
{
    struct ingest_worker *worker = connection->part->worker;

    leave_alone(connection);
    TAILQ_REMOVE(&worker->connections, connection, link);
    room_queue_push(&worker->tail_queue, &connection->room);
    worker->tail_room.is_wanted = true;
    COUNTER_ADD(connections_waiting, 1);
    COUNTER_ADD(connection_waits, 1);
}

/* Those that wait are read on, as far as there is room. */
static void share_room(struct ingest_worker *worker, mono_ms now)
{
    struct connection *next = NULL;

    while ((next = (struct connection *)room_queue_next(&worker->tail_queue)) != NULL &&
           stream_cut_admit(&next->cut, &worker->intake)) {
        stop_waiting(next);
        next->active_at = now;
        note_promise(next, now);
        if (!worker->is_paused)
            read_again(next);
    }
    worker->tail_room.is_wanted = next != NULL;
}

/* --- reading -----------------------------------------------------------------------------------
 */

enum reading {
    READING_MORE,
    READING_WAITS,
    READING_FULL, /* it has to wait for room */
    READING_ENDED,
    READING_CUT,
    READING_BROKEN,
};

static enum reading read_once(struct connection *connection, size_t size)
{
    struct listener_part *part = connection->part;
    char *area = read_area(part->worker);
    bool more = false;

    size = stream_cut_may_read(&connection->cut, &part->worker->intake, size);
    if (size == 0)
        return READING_FULL;
    ssize_t got = channel_read(&connection->channel, area, size, &more);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return READING_WAITS;
    if (got <= 0)
        return got < 0 && connection->channel.ssl != NULL ? READING_CUT : READING_ENDED;
    if (more)
        (void)event_add(connection->again, &AT_ONCE);
    struct intake *intake = worker_begin(part);
    bool ok = stream_cut_take(&connection->cut, intake, area, (size_t)got);
    worker_end(part, connection->peer);
    return ok ? READING_MORE : READING_BROKEN;
}

/* What follows from it; the connection may be gone afterwards. */
static void follow(struct connection *connection, enum reading reading, mono_ms now)
{
    struct ingest_worker *worker = connection->part->worker;

    switch (reading) {
    case READING_MORE:
        connection->active_at = now;
        TAILQ_REMOVE(&worker->connections, connection, link);
        TAILQ_INSERT_TAIL(&worker->connections, connection, link);
        note_promise(connection, now);
        return;
    case READING_WAITS:
        note_promise(connection, now);
        return;
    case READING_FULL:
        wait_for_room(connection);
        return;
    case READING_ENDED:
        end_connection(connection, ENDING_WHOLE);
        return;
    case READING_CUT:
        end_connection(connection, ENDING_CUT);
        return;
    case READING_BROKEN:
        end_connection(connection, ENDING_BROKEN);
        return;
    }
}

/* One read, and what follows from it; the connection may be gone afterwards. Its size makes many
 * busy connections take turns, so that a loop over all of them stays short and the flush timer is
 * not kept waiting. */
static enum reading take_turn(struct connection *connection, mono_ms now)
{
    struct ingest_worker *worker = connection->part->worker;
    size_t share = READ_BYTES_PER_TURN / worker->connection_count;

    share = share < READ_BYTES_MIN ? READ_BYTES_MIN : share;
    share = share > READ_BYTES_MAX ? READ_BYTES_MAX : share;
    enum reading reading = read_once(connection, share);
    follow(connection, reading, now);
    if (worker->tail_room.is_wanted)
        share_room(worker, now);
    return reading;
}

static void on_readable(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    (void)take_turn(arg, clock_mono());
}

/* `ssl`: its handshake is done; NULL: plain. */
static void add_connection(struct listener_part *part, int fd, SSL *ssl,
                           const struct sockaddr *peer)
{
    struct ingest_worker *worker = part->worker;
    struct connection *connection = memory_zero(1, sizeof *connection);
    const int one = 1;

    /* Finds peers that are gone without a word, where no idle timeout does. */
    if (part->listener->sockets.transport == TRANSPORT_TCP)
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    connection->part = part;
    connection->channel = channel_of(fd, ssl);
    if (ssl != NULL) {
        connection->again = evtimer_new(thread_base(worker->thread), on_readable, connection);
        assert(connection->again != NULL);
    }
    connection->cut.framing =
        framing_of(part->listener->protocol, part->listener->sockets.transport);
    connection->cut.room = &worker->tail_room;
    connection->room.place = peer_places_find(&worker->peer_places, fd);
    connection->active_at = clock_mono();
    (void)peer_format(peer, connection->peer);
    connection->readable =
        event_new(thread_base(worker->thread), fd, EV_READ | EV_PERSIST, on_readable, connection);
    assert(connection->readable != NULL);
    if (!worker->is_paused)
        read_again(connection);
    TAILQ_INSERT_TAIL(&worker->connections, connection, link);
    worker->connection_count++;
    worker_connection_opened(part);
}

/* --- accepting ---------------------------------------------------------------------------------
 */

void stream_on_accept_again(evutil_socket_t fd, short events, void *arg)
{
    struct listener_part *part = arg;
    (void)fd;
    (void)events;

    if (part->readable != NULL && (!part->worker->is_paused || part_is_answered(part)))
        (void)event_add(part->readable, NULL);
}

/* Without descriptors the waiting connection would wake this thread again and again: it waits in
 * the backlog for a second instead. */
static void pause_accepting(struct listener_part *part, int why)
{
    const struct timeval second = {.tv_sec = 1};
    char words[100];

    log_repeated(&part->accept_log, clock_mono(), "accept_failed", 1,
                 "listener=\"%s\" reason=\"%s\" retry_in_s=1", part->name,
                 error_errno_words(why, words, sizeof words));
    if (part->readable == NULL)
        return;
    (void)event_del(part->readable);
    (void)event_add(part->accept_again, &second);
}

static void refuse_peer(struct listener_part *part, const struct sockaddr *peer)
{
    char text[PEER_TEXT_SIZE];

    COUNTER_ADD(connections_refused, 1);
    log_repeated(&part->refused_log, clock_mono(), "connections_refused", 1,
                 "listener=\"%s\" limit=server.limits.connections_per_peer peer=%s", part->name,
                 peer_format(peer, text));
}

/* Counts the connection in. False, and it is refused: there are too many, or too few descriptors
 * would be left for the store, a reload and people. */
static bool let_in(struct listener_part *part, int fd, const struct sockaddr *peer)
{
    struct ingest_worker *worker = part->worker;
    size_t limit = worker->settings.connections_max;
    size_t before =
        atomic_fetch_add_explicit(&worker->shared->connections, 1, memory_order_relaxed);
    bool out_of_descriptors = fd >= worker->descriptors_max;

    if (before < limit && !out_of_descriptors) {
        if (peers_enter(&worker->shared->peers, &worker->peer_places, fd, peer,
                        worker->settings.connections_per_peer))
            return true;
        (void)atomic_fetch_sub_explicit(&worker->shared->connections, 1, memory_order_relaxed);
        refuse_peer(part, peer);
        return false;
    }
    (void)atomic_fetch_sub_explicit(&worker->shared->connections, 1, memory_order_relaxed);
    COUNTER_ADD(connections_refused, 1);
    log_repeated(&part->refused_log, clock_mono(), "connections_refused", 1,
                 "listener=\"%s\" limit=%s open=%zu", part->name,
                 before < limit ? "descriptors" : "server.limits.connections", before);
    return false;
}

static void refuse_handshake(struct listener_part *part, int fd)
{
    worker_connection_forget(part->worker, fd);
    handshake_count_refused(part);
    (void)close(fd);
}

static handshake_done_fn opener_of(const struct listener *listener)
{
    if (listener->protocol == PROTOCOL_NATIVE)
        return native_connection_open;
    return listener->sockets.transport == TRANSPORT_HTTP ? http_connection_open : add_connection;
}

/* What becomes of a connection that was counted in. */
static void begin(struct listener_part *part, int fd, const struct sockaddr *peer)
{
    handshake_done_fn open = opener_of(part->listener);

    if (part->tls == NULL)
        open(part, fd, NULL, peer);
    else if (!handshake_begin(part, fd, peer, open, clock_mono()))
        refuse_handshake(part, fd);
}

/* Accepts one; false when none waits or none can be had. */
static bool accept_one(struct listener_part *part)
{
    union {
        struct sockaddr any;
        struct sockaddr_in6 v6;
        struct sockaddr_storage largest;
    } peer = {.any.sa_family = AF_UNSPEC};
    socklen_t len = sizeof peer;

    /* A Unix socket is in every worker's loop, and another one may have been faster: EAGAIN.
     * EPOLLEXCLUSIVE would wake only one of them, but libevent cannot set it, and in an epoll
     * descriptor inside libevent's it has no effect (measured). */
    int fd = accept4(part->fd, &peer.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(part, errno);
        return errno == ECONNABORTED || errno == EINTR;
    }
    if (!part_lets_speak(part, fd, &peer.any)) {
        worker_connection_denied(part, &peer.any);
        (void)close(fd);
    } else if (!let_in(part, fd, &peer.any)) {
        (void)close(fd);
    } else {
        begin(part, fd, &peer.any);
    }
    return true;
}

bool stream_accept_some(struct listener_part *part)
{
    bool more = true;
    for (int i = 0; i < ACCEPTS_PER_WAKEUP && more; i++)
        more = accept_one(part);
    return more;
}

void stream_on_acceptable(evutil_socket_t fd, short events, void *arg)
{
    struct listener_part *part = arg;
    (void)fd;
    (void)events;

    (void)stream_accept_some(part);
}

/* --- all of them -------------------------------------------------------------------------------
 */

bool stream_read_some(struct ingest_worker *worker, mono_ms until)
{
    size_t turns = worker->connection_count;
    struct connection *next = NULL;
    bool more = false;

    /* Who had something to say goes to the end of the list, so the turns are counted; who waits for
     * room has none. */
    for (struct connection *c = TAILQ_FIRST(&worker->connections); c != NULL && turns > 0;
         c = next, turns--) {
        mono_ms now = clock_mono();
        next = TAILQ_NEXT(c, link);
        if (now >= until)
            return true;
        more = take_turn(c, now) == READING_MORE || more;
    }
    return more;
}

bool stream_free_room(struct ingest_worker *worker)
{
    struct connection *holder = NULL;

    if (!worker->tail_room.is_wanted)
        return false;
    while ((holder = TAILQ_FIRST(&worker->tail_holders)) != NULL)
        end_connection(holder, channel_unread(&holder->channel) == 0 ? ENDING_WHOLE : ENDING_CUT);
    share_room(worker, clock_mono());
    return true;
}

void stream_end_all(struct ingest_worker *worker)
{
    struct connection *connection = NULL;
    size_t cut = 0;
    uint64_t cut_bytes = 0;

    while ((connection = (struct connection *)room_queue_next(&worker->tail_queue)) != NULL)
        stop_waiting(connection);
    worker->tail_room.is_wanted = false;
    while ((connection = TAILQ_FIRST(&worker->connections)) != NULL) {
        size_t unread = channel_unread(&connection->channel);
        bool whole = unread == 0;
        if (!whole) {
            cut++;
            cut_bytes += unread;
        }
        end_connection(connection, whole ? ENDING_WHOLE : ENDING_CUT);
    }
    if (cut > 0)
        log_warn("connections_cut", "connections=%zu unread_bytes=%llu reason=stop", cut,
                 (unsigned long long)cut_bytes);
}

void stream_set_reading(struct ingest_worker *worker, bool reads)
{
    mono_ms now = clock_mono();
    struct connection *connection = NULL;

    TAILQ_FOREACH(connection, &worker->connections, link)
    {
        connection->active_at = now;
        connection->held_since = now;
        if (reads)
            read_again(connection);
        else
            leave_alone(connection);
    }
}

static bool is_slow(const struct connection *connection, mono_ms now)
{
    return connection->room.held > 0 &&
           now - connection->held_since > connection->part->worker->settings.request_timeout;
}

/* Reads what has arrived of a line or frame that takes long; false when it has come to an end, or
 * its connection has, which may be gone. */
static bool stays_slow(struct connection *connection, mono_ms now)
{
    enum reading reading = READING_MORE;

    while (reading == READING_MORE && is_slow(connection, now))
        reading = take_turn(connection, now);
    return reading == READING_WAITS && is_slow(connection, now);
}

/* While others wait for room nobody holds it for longer than a request may take. Those who do are
 * ended one by one, who holds it longest first, until there is room. */
static void end_slow_ones(struct ingest_worker *worker, mono_ms now)
{
    struct connection *connection = TAILQ_FIRST(&worker->tail_holders);
    struct connection *next = NULL;

    for (; worker->tail_room.is_wanted && connection != NULL && is_slow(connection, now);
         connection = next) {
        next = TAILQ_NEXT(connection, holder_link);
        if (!stays_slow(connection, now))
            continue;
        struct listener_part *part = connection->part;
        intake_reject(worker_begin(part), REJECT_too_slow, stream_cut_tail(&connection->cut));
        worker_end(part, connection->peer);
        end_connection(connection, ENDING_BROKEN);
        share_room(worker, now);
    }
}

void stream_expire(struct ingest_worker *worker, mono_ms now)
{
    span_ms timeout = worker->settings.idle_timeout;
    struct connection *next = NULL;

    if (worker->tail_room.is_wanted) { /* a reload may have changed what fits */
        share_room(worker, now);
        end_slow_ones(worker, now);
    }
    for (struct connection *c = TAILQ_FIRST(&worker->connections); c != NULL; c = next) {
        next = TAILQ_NEXT(c, link);
        if (timeout <= 0 || now - c->active_at < timeout)
            return; /* so have all that come after it */
        /* What it says at this moment may wait behind the timer that calls this. */
        if (take_turn(c, now) == READING_WAITS) {
            end_connection(c, ENDING_WHOLE);
            if (worker->tail_room.is_wanted)
                share_room(worker, now);
        }
    }
}
