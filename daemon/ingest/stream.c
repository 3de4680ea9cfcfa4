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
    TAILQ_ENTRY(connection) link;
    struct listener_part *part;
    struct channel channel;
    struct event *readable;
    struct event *again; /* TLS: reads what it holds that the socket does not show; else NULL */
    mono_ms active_at;
    struct stream_cut cut;
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

enum reading { READING_MORE, READING_WAITS, READING_ENDED, READING_CUT, READING_BROKEN };

static enum reading read_once(struct connection *connection, size_t size)
{
    struct listener_part *part = connection->part;
    char *area = read_area(part->worker);
    bool more = false;

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
    if (reading == READING_ENDED)
        end_connection(connection, ENDING_WHOLE);
    else if (reading == READING_CUT)
        end_connection(connection, ENDING_CUT);
    else if (reading == READING_BROKEN)
        end_connection(connection, ENDING_BROKEN);
    else if (reading == READING_MORE) {
        connection->active_at = now;
        TAILQ_REMOVE(&worker->connections, connection, link);
        TAILQ_INSERT_TAIL(&worker->connections, connection, link);
    }
    return reading;
}

static void on_readable(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    (void)take_turn(arg, clock_mono());
}

static void read_again(struct connection *connection)
{
    int rc = event_add(connection->readable, NULL);
    assert(rc == 0);
    (void)rc;
    if (connection->again != NULL)
        (void)event_add(connection->again, &AT_ONCE);
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
    connection->cut.kept_bytes = &worker->tail_bytes;
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
    COUNTER_ADD(connections_refused, 1);
    log_repeated(&part->refused_log, clock_mono(), "connections_refused", 1,
                 "listener=\"%s\" limit=handshakes open=%d", part->name, HANDSHAKES_MAX);
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
    else if (!handshake_begin(part, fd, peer, open))
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

    /* Who had something to say goes to the end of the list, so the turns are counted. */
    for (struct connection *c = TAILQ_FIRST(&worker->connections); turns > 0; c = next, turns--) {
        mono_ms now = clock_mono();
        next = TAILQ_NEXT(c, link);
        if (now >= until)
            return true;
        more = take_turn(c, now) == READING_MORE || more;
    }
    return more;
}

void stream_end_all(struct ingest_worker *worker)
{
    struct connection *next = NULL;
    size_t cut = 0;
    uint64_t cut_bytes = 0;

    for (struct connection *c = TAILQ_FIRST(&worker->connections); c != NULL; c = next) {
        size_t unread = channel_unread(&c->channel);
        bool whole = unread == 0;
        next = TAILQ_NEXT(c, link);
        if (!whole) {
            cut++;
            cut_bytes += unread;
        }
        end_connection(c, whole ? ENDING_WHOLE : ENDING_CUT);
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
        if (reads) {
            read_again(connection);
            continue;
        }
        (void)event_del(connection->readable);
        if (connection->again != NULL)
            (void)event_del(connection->again);
    }
}

void stream_expire(struct ingest_worker *worker, mono_ms now)
{
    span_ms timeout = worker->settings.idle_timeout;
    struct connection *next = NULL;

    for (struct connection *c = TAILQ_FIRST(&worker->connections); c != NULL; c = next) {
        next = TAILQ_NEXT(c, link);
        if (timeout <= 0 || now - c->active_at < timeout)
            return; /* so have all that come after it */
        /* What it says at this moment may wait behind the timer that calls this. */
        if (take_turn(c, now) == READING_WAITS)
            end_connection(c, ENDING_WHOLE);
    }
}
