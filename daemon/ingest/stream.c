#include "ingest/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/memory.h"

enum {
    ACCEPTS_PER_WAKEUP = 64,
    READ_BYTES_MAX = 256 * 1024,
    READ_BYTES_MIN = 4 * 1024,
    READ_BYTES_PER_TURN = 8 * 1024 * 1024, /* of all connections together, where that is enough */
    TAIL_BYTES_MIN = 256,
};

struct connection {
    TAILQ_ENTRY(connection) link;
    struct listener_part *part;
    int fd;
    struct event *readable;
    mono_ms active_at;
    char *tail; /* a line without its end; NULL while empty */
    size_t tail_len, tail_capacity;
    char peer[PEER_TEXT_SIZE];
};

/* --- lines -------------------------------------------------------------------------------------
 */

/* The buffer of all connections of a worker: room for a tail, then for a read. */
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

static void forget_tail(struct connection *connection)
{
    free(connection->tail);
    connection->tail = NULL;
    connection->tail_len = 0;
    connection->tail_capacity = 0;
}

/* Keeps the beginning of a line; false when it is longer than a line may be. */
static bool keep_tail(struct connection *connection, struct str bytes)
{
    size_t limit = connection->part->worker->settings.line_bytes_max;
    size_t len = connection->tail_len + bytes.len;

    if (len > limit)
        return false;
    if (len > connection->tail_capacity) {
        size_t capacity = connection->tail_capacity * 2;
        capacity = capacity < TAIL_BYTES_MIN ? TAIL_BYTES_MIN : capacity;
        capacity = capacity < len ? len : capacity;
        connection->tail = memory_grow(connection->tail, capacity, 1);
        connection->tail_capacity = capacity;
    }
    if (bytes.len > 0)
        memcpy(connection->tail + connection->tail_len, bytes.text, bytes.len);
    connection->tail_len = len;
    return true;
}

/* Takes whole lines; false at one that is too long: what follows it is not looked at, for a sender
 * that has lost its way is better told by a closed connection (S15). */
static bool take_lines(struct intake *intake, struct str lines)
{
    while (lines.len > 0) {
        if (!intake_line(intake, str_split(&lines, '\n')))
            return false;
    }
    return true;
}

static struct str tail_of(const struct connection *connection)
{
    return (struct str){connection->tail, connection->tail_len};
}

/* Takes the `len` bytes that were read into `area`, the read area of the worker's buffer; false
 * when the connection is to be closed. */
static bool take_bytes(struct connection *connection, struct intake *intake, char *area, size_t len)
{
    const char *newline = memrchr(area, '\n', len);
    size_t whole = newline == NULL ? 0 : (size_t)(newline - area) + 1;
    struct str lines = {area, whole};
    struct str tail = {area + whole, len - whole};

    if (whole > 0 && connection->tail_len > 0) {
        if (connection->tail_len > intake->line_bytes_max) { /* a reload has lowered the limit */
            intake_reject(intake, REJECT_too_long, tail_of(connection));
            return false;
        }
        /* The line's beginning goes in front of its end: read_area has left the room. */
        memcpy(area - connection->tail_len, connection->tail, connection->tail_len);
        lines = (struct str){area - connection->tail_len, connection->tail_len + whole};
        forget_tail(connection);
    }
    if (!take_lines(intake, lines))
        return false;
    if (tail.len == 0 || keep_tail(connection, tail))
        return true;
    intake_reject(intake, REJECT_too_long, connection->tail_len > 0 ? tail_of(connection) : tail);
    return false;
}

/* --- connections -------------------------------------------------------------------------------
 */

/* Ends a connection; `has_tail`: what it said last without a newline is a line. */
static void end_connection(struct connection *connection, bool has_tail)
{
    struct listener_part *part = connection->part;
    struct ingest_worker *worker = part->worker;

    if (has_tail && connection->tail_len > 0) {
        struct intake *intake = worker_begin(part);
        (void)intake_line(intake, tail_of(connection));
        worker_end(part, connection->peer);
    }
    TAILQ_REMOVE(&worker->connections, connection, link);
    worker->connection_count--;
    part->connections--;
    (void)atomic_fetch_sub_explicit(&part->counts->connections, 1, memory_order_relaxed);
    (void)atomic_fetch_sub_explicit(worker->connections_in_all, 1, memory_order_relaxed);
    COUNTER_SUB(connections, 1);
    event_free(connection->readable);
    (void)close(connection->fd);
    forget_tail(connection);
    free(connection);
}

enum reading { READING_MORE, READING_WAITS, READING_ENDED, READING_BROKEN };

static enum reading read_once(struct connection *connection, size_t size)
{
    struct listener_part *part = connection->part;
    char *area = read_area(part->worker);

    ssize_t got = recv(connection->fd, area, size, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return READING_WAITS;
    if (got <= 0)
        return READING_ENDED;
    struct intake *intake = worker_begin(part);
    bool ok = take_bytes(connection, intake, area, (size_t)got);
    worker_end(part, connection->peer);
    return ok ? READING_MORE : READING_BROKEN;
}

/* One read a wakeup. Its size makes many busy connections take turns, so that a loop over all of
 * them stays short and the flush timer is not kept waiting. */
static void on_readable(evutil_socket_t fd, short events, void *arg)
{
    struct connection *connection = arg;
    struct ingest_worker *worker = connection->part->worker;
    size_t share = READ_BYTES_PER_TURN / worker->connection_count;
    (void)fd;
    (void)events;

    share = share < READ_BYTES_MIN ? READ_BYTES_MIN : share;
    share = share > READ_BYTES_MAX ? READ_BYTES_MAX : share;
    enum reading reading = read_once(connection, share);
    if (reading == READING_ENDED || reading == READING_BROKEN) {
        end_connection(connection, reading == READING_ENDED);
        return;
    }
    connection->active_at = clock_mono();
    TAILQ_REMOVE(&worker->connections, connection, link);
    TAILQ_INSERT_TAIL(&worker->connections, connection, link);
}

static void add_connection(struct listener_part *part, int fd, const struct sockaddr *peer)
{
    struct ingest_worker *worker = part->worker;
    struct connection *connection = memory_zero(1, sizeof *connection);
    const int one = 1;

    /* Finds peers that are gone without a word, where no idle timeout does. */
    if (part->listener->sockets.transport == TRANSPORT_TCP)
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    connection->part = part;
    connection->fd = fd;
    connection->active_at = clock_mono();
    (void)peer_format(peer, connection->peer);
    connection->readable =
        event_new(thread_base(worker->thread), fd, EV_READ | EV_PERSIST, on_readable, connection);
    int rc = connection->readable == NULL ? -1 : event_add(connection->readable, NULL);
    assert(rc == 0);
    (void)rc;
    TAILQ_INSERT_TAIL(&worker->connections, connection, link);
    worker->connection_count++;
    part->connections++;
    (void)atomic_fetch_add_explicit(&part->counts->connections, 1, memory_order_relaxed);
    COUNTER_ADD(connections, 1);
    COUNTER_ADD(connections_accepted, 1);
}

/* --- accepting ---------------------------------------------------------------------------------
 */

void stream_on_accept_again(evutil_socket_t fd, short events, void *arg)
{
    struct listener_part *part = arg;
    (void)fd;
    (void)events;

    if (part->readable != NULL)
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

/* Accepts one; false when none waits or none can be had. */
static bool accept_one(struct listener_part *part)
{
    struct ingest_worker *worker = part->worker;
    size_t limit = worker->settings.connections_max;
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
    if (atomic_fetch_add_explicit(worker->connections_in_all, 1, memory_order_relaxed) >= limit) {
        (void)atomic_fetch_sub_explicit(worker->connections_in_all, 1, memory_order_relaxed);
        COUNTER_ADD(connections_refused, 1);
        log_repeated(&part->refused_log, clock_mono(), "connections_refused", 1,
                     "listener=\"%s\" limit=%zu", part->name, limit);
        (void)close(fd);
        return true;
    }
    add_connection(part, fd, &peer.any);
    return true;
}

void stream_on_acceptable(evutil_socket_t fd, short events, void *arg)
{
    struct listener_part *part = arg;
    (void)fd;
    (void)events;

    for (int i = 0; i < ACCEPTS_PER_WAKEUP && accept_one(part); i++) {
    }
}

void stream_accept_waiting(struct listener_part *part, mono_ms until)
{
    while (accept_one(part) && clock_mono() < until) {
    }
}

void stream_drain(struct ingest_worker *worker, mono_ms until)
{
    struct connection *next = NULL;

    for (struct connection *c = TAILQ_FIRST(&worker->connections); c != NULL; c = next) {
        enum reading reading = READING_MORE;
        next = TAILQ_NEXT(c, link);
        while (reading == READING_MORE && clock_mono() < until)
            reading = read_once(c, READ_BYTES_MAX);
        end_connection(c, reading != READING_BROKEN);
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
        end_connection(c, true);
    }
}
