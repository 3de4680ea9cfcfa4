#include "ingest/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/memory.h"
#include "ingest/http_connection.h"

enum {
    ACCEPTS_PER_WAKEUP = 64,
    READ_BYTES_MAX = 256 * 1024,
    READ_BYTES_MIN = 4 * 1024,
    READ_BYTES_PER_TURN = 8 * 1024 * 1024, /* of all connections together, where that is enough */
    TAIL_BYTES_MIN = 256,
    TAIL_BYTES_FREE = 4 * 1024,         /* every connection may keep so much of a line */
    TAILS_BYTES_MAX = 64 * 1024 * 1024, /* of all connections of a worker that keep more */
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
    connection->part->worker->tail_bytes -= connection->tail_capacity;
    free(connection->tail);
    connection->tail = NULL;
    connection->tail_len = 0;
    connection->tail_capacity = 0;
}

/* Makes room for a tail of `len` bytes; false when too many connections keep long ones: as many as
 * there may be, with lines as long as they may be, would be too much. */
static bool reserve_tail(struct connection *connection, size_t len)
{
    struct ingest_worker *worker = connection->part->worker;
    size_t capacity = connection->tail_capacity * 2;

    if (len <= connection->tail_capacity)
        return true;
    capacity = capacity < TAIL_BYTES_MIN ? TAIL_BYTES_MIN : capacity;
    capacity = capacity < len ? len : capacity;
    size_t more = capacity - connection->tail_capacity;
    if (capacity > TAIL_BYTES_FREE && worker->tail_bytes + more > TAILS_BYTES_MAX)
        return false;
    connection->tail = memory_grow(connection->tail, capacity, 1);
    connection->tail_capacity = capacity;
    worker->tail_bytes += more;
    return true;
}

/* Keeps the beginning of a line; false when it is longer than a line may be now. */
static bool keep_tail(struct connection *connection, struct str bytes)
{
    size_t len = connection->tail_len + bytes.len;

    if (len > connection->part->worker->settings.line_bytes_max || !reserve_tail(connection, len))
        return false;
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
    worker_connection_closed(part);
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
    if (reading == READING_ENDED || reading == READING_BROKEN) {
        end_connection(connection, reading == READING_ENDED);
    } else if (reading == READING_MORE) {
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

    bool is_http = part->listener->sockets.transport == TRANSPORT_HTTP;
    if (part->readable != NULL && (!part->worker->is_paused || is_http))
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

/* Counts the connection in. False, and it is refused: there are too many, or too few descriptors
 * would be left for the store, a reload and people. */
static bool let_in(struct listener_part *part, int fd)
{
    struct ingest_worker *worker = part->worker;
    size_t limit = worker->settings.connections_max;
    size_t before =
        atomic_fetch_add_explicit(&worker->shared->connections, 1, memory_order_relaxed);
    bool out_of_descriptors = fd >= worker->descriptors_max;

    if (before < limit && !out_of_descriptors)
        return true;
    (void)atomic_fetch_sub_explicit(&worker->shared->connections, 1, memory_order_relaxed);
    COUNTER_ADD(connections_refused, 1);
    log_repeated(&part->refused_log, clock_mono(), "connections_refused", 1,
                 "listener=\"%s\" limit=%s open=%zu", part->name,
                 before < limit ? "descriptors" : "server.limits.connections", before);
    return false;
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
    if (!let_in(part, fd))
        (void)close(fd);
    else if (part->listener->sockets.transport == TRANSPORT_HTTP)
        http_connection_open(part, fd, &peer.any);
    else
        add_connection(part, fd, &peer.any);
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

/* A tail of which more waits is no line. */
static void reject_cut_tail(struct connection *connection)
{
    if (connection->tail_len == 0)
        return;
    intake_reject(worker_begin(connection->part), REJECT_truncated, tail_of(connection));
    worker_end(connection->part, connection->peer);
}

void stream_end_all(struct ingest_worker *worker)
{
    struct connection *next = NULL;
    size_t cut = 0;
    uint64_t cut_bytes = 0;

    for (struct connection *c = TAILQ_FIRST(&worker->connections); c != NULL; c = next) {
        int unread = 0;
        bool whole = ioctl(c->fd, FIONREAD, &unread) != 0 || unread <= 0;
        next = TAILQ_NEXT(c, link);
        if (!whole) {
            reject_cut_tail(c);
            cut++;
            cut_bytes += (uint64_t)unread;
        }
        end_connection(c, whole);
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
        if (reads)
            read_again(connection);
        else
            (void)event_del(connection->readable);
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
            end_connection(c, true);
    }
}
