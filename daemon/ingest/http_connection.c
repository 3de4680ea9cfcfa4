#include "ingest/http_connection.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/json.h"
#include "base/memory.h"
#include "ingest/http_query.h"
#include "ingest/http_write.h"

enum {
    INPUT_BYTES = 32 * 1024,       /* that wait in a connection's buffer */
    READ_BYTES = INPUT_BYTES - 64, /* at once: below that, and the buffer's piece has a head */
    TURN_BYTES = 1024 * 1024,      /* of bodies, inflated; then others have their turn */
    GZIP_SLICE_BYTES = 1024,       /* inflates to about a turn's bytes at most */
    LINGER_BYTES = 64 * 1024 * 1024,
    LINGER_MS = 10 * 1000,
    DRAIN_PAUSE_NS = 1000 * 1000,
};

enum http_state {
    HTTP_READING,   /* a request, or between two */
    HTTP_WAITING,   /* for the sink */
    HTTP_ANSWERING, /* until the socket has taken the answer */
    HTTP_LINGERING, /* nothing more is said; what comes is dropped */
};

struct http_connection {
    TAILQ_ENTRY(http_connection) link;
    struct listener_part *part;
    struct bufferevent *stream;
    SSL *ssl;           /* the stream's; NULL: plain */
    struct event *turn; /* to go on with what is in the buffer */
    struct http_reader reader;
    struct http_write *write; /* of the request that is being read; NULL without */
    struct http_reply *reply; /* while waiting */
    bool is_form;             /* what is read is a query's form */
    struct buf form;
    struct http_answer answer; /* of the request, as soon as it has one */
    enum http_state state;
    bool is_head_request;
    bool keep_alive;
    bool at_end;   /* the client says no more */
    mono_ms since; /* of the state; while reading: of the request's first byte or the last answer */
    size_t dropped; /* bytes, while lingering */
    char peer[PEER_TEXT_SIZE];
    union {
        struct sockaddr any;
        struct sockaddr_storage largest;
    } address; /* the same */
};

static struct ingest_worker *worker_of(const struct http_connection *connection)
{
    return connection->part->worker;
}

/* --- ends -------------------------------------------------------------------------------------
 */

static void end_connection(struct http_connection *connection)
{
    struct ingest_worker *worker = worker_of(connection);

    if (connection->write != NULL)
        http_write_abandon(connection->write);
    if (connection->reply != NULL)
        http_reply_forget(connection->reply);
    if (connection->state == HTTP_WAITING)
        worker->http_waiting--;
    TAILQ_REMOVE(&worker->http_connections, connection, link);
    worker_connection_closed(connection->part, (int)bufferevent_getfd(connection->stream));
    event_free(connection->turn);
    bufferevent_free(connection->stream);
    http_reader_fini(&connection->reader);
    http_answer_fini(&connection->answer);
    buf_fini(&connection->form);
    free(connection);
}

static void set_state(struct http_connection *connection, enum http_state state)
{
    struct ingest_worker *worker = worker_of(connection);

    if (connection->state == HTTP_WAITING)
        worker->http_waiting--;
    if (state == HTTP_WAITING)
        worker->http_waiting++;
    connection->state = state;
    connection->since = clock_mono();
    if (state == HTTP_READING || state == HTTP_LINGERING)
        (void)bufferevent_enable(connection->stream, EV_READ);
    else
        (void)bufferevent_disable(connection->stream, EV_READ);
}

/* By TLS the end is said before the socket says it. */
static void say_goodbye(struct http_connection *connection)
{
    if (connection->ssl == NULL)
        return;
    (void)SSL_shutdown(connection->ssl);
    ERR_clear_error();
}

/* Says that nothing more is said and drops what the client still sends: closed at once, it might
 * never read the answer. Ends the connection where there is nothing to wait for. */
static void linger(struct http_connection *connection)
{
    struct evbuffer *input = bufferevent_get_input(connection->stream);

    say_goodbye(connection);
    if (connection->at_end || shutdown(bufferevent_getfd(connection->stream), SHUT_WR) != 0) {
        end_connection(connection);
        return;
    }
    (void)evbuffer_drain(input, evbuffer_get_length(input));
    set_state(connection, HTTP_LINGERING);
}

/* --- answers ----------------------------------------------------------------------------------
 */

static uint64_t next_request_id(struct ingest_worker *worker)
{
    uint64_t count = ++worker->http_requests;
    return (uint64_t)clock_wall_us() << 12 | (count & 63) << 6 | worker->index;
}

/* Sends connection->answer. */
static void send_answer(struct http_connection *connection)
{
    struct ingest_worker *worker = worker_of(connection);
    struct buf out = BUF_EMPTY;

    if (connection->part->fd < 0) /* the listener is no longer in the configuration */
        connection->keep_alive = false;
    const struct http_answer_form form = {.keep_alive = connection->keep_alive,
                                          .head_only = connection->is_head_request,
                                          .now = clock_wall(),
                                          .request_id = next_request_id(worker)};
    COUNTER_ADD(ingest_requests, 1);
    if (connection->answer.status == 503 || connection->answer.status == 429)
        COUNTER_ADD(ingest_requests_refused, 1);
    http_answer_format(&connection->answer, &form, &out);
    set_state(connection, HTTP_ANSWERING);
    (void)bufferevent_write(connection->stream, out.bytes, out.len);
    buf_fini(&out);
}

static void end_form(struct http_connection *connection)
{
    connection->is_form = false;
    buf_fini(&connection->form);
}

/* A new request: what is wrong with its head is said as the protocol says it (P7). */
static void reset_answer(struct http_connection *connection)
{
    enum protocol protocol = connection->part->listener->protocol;

    http_answer_fini(&connection->answer);
    connection->answer = (struct http_answer){.dialect = http_dialect_of(protocol, STR_EMPTY),
                                              .says_written = protocol == PROTOCOL_PROMETHEUS};
    connection->is_head_request = false;
}

/* An answer before the request has been read to its end. */
static void answer_early(struct http_connection *connection)
{
    end_form(connection);
    http_write_free(connection->write);
    connection->write = NULL;
    connection->keep_alive = false;
    send_answer(connection);
}

static void on_answered(struct http_answer *answer, void *arg)
{
    struct http_connection *connection = arg;
    struct http_answer own = connection->answer;

    connection->reply = NULL;
    connection->answer = *answer;
    *answer = own; /* its sender frees it */
    send_answer(connection);
}

/* --- requests ---------------------------------------------------------------------------------
 */

static void answer_health(struct http_connection *connection) /* I29 */
{
    const struct ingest_worker *worker = worker_of(connection);
    struct http_answer *answer = &connection->answer;
    bool ready = worker->sink.has_room(worker->sink.arg);
    struct json json = json_to(&answer->body);

    answer->status = ready ? 200 : 503;
    json_open(&json, '{');
    json_field_text(&json, "name", "kpid");
    json_field_text(&json, "message",
                    ready ? "ready for queries and writes" : "what arrives cannot be stored now");
    json_field_text(&json, "status", ready ? "pass" : "fail");
    json_field_text(&json, "version", KPID_VERSION);
    json_close(&json, '}');
}

static void answer_ping(struct http_connection *connection, const struct http_head *head) /* I27 */
{
    struct http_answer *answer = &connection->answer;

    answer->status = 204;
    if (!str_is(http_query_find(head->query, "verbose"), "true"))
        return;
    answer->status = 200;
    buf_text(&answer->body, "{\"version\":\"1.8-kpid-" KPID_VERSION "\"}");
}

static struct str host_of(const struct http_connection *connection)
{
    const char *port = strrchr(connection->peer, ':');
    return (struct str){connection->peer, port == NULL ? 0 : (size_t)(port - connection->peer)};
}

/* What the bodies of the connection's peer hold, as far as this thread has them. */
static size_t held_by_peer(const struct http_connection *connection)
{
    struct str host = host_of(connection);
    const struct http_connection *other = NULL;
    size_t held = 0;

    TAILQ_FOREACH(other, &worker_of(connection)->http_connections, link)
    {
        if (!str_equal(host_of(other), host))
            continue;
        held += other->write == NULL ? 0 : http_write_charged(other->write);
        held += other->reply == NULL ? 0 : http_reply_charged(other->reply);
    }
    return held;
}

/* A write that had to be refused for want of room is told 429 when it is its own peer that holds
 * more than half of all there is. But not Prometheus, which throws away what is answered so unless
 * it is told otherwise (P9). */
static void blame_peer(struct http_connection *connection)
{
    struct http_answer *answer = &connection->answer;

    if (answer->status == 503 && answer->dialect != HTTP_PLAIN &&
        held_by_peer(connection) > worker_of(connection)->body_budget / 2)
        http_answer_busy(answer, 429,
                         "your bodies under way take more than half of the room; send fewer at "
                         "once");
}

/* A query's form is read first, if it has one. influxdb-python says gzip of one without, when its
 * writes are. */
static void begin_query(struct http_connection *connection, const struct http_head *head)
{
    struct http_answer *answer = &connection->answer;
    bool has_body = head->is_chunked || head->length > 0;

    if (head->from_page)
        http_answer_set(answer, 403, "requests of web pages are not taken (Origin)");
    else if (head->unknown_transfer)
        http_answer_set(answer, 415, "the Transfer-Encoding is not chunked");
    else if (head->unknown_encoding || (has_body && head->encoding != HTTP_IDENTITY))
        http_answer_set(answer, 415, "a form has no Content-Encoding");
    else if (head->length > HTTP_QUERY_MAX)
        http_answer_set(answer, 413, "the form is larger than %d bytes", HTTP_QUERY_MAX);
    else if (has_body)
        connection->is_form = true;
    else
        http_query_answer(&connection->part->listener->databases, head->query, STR_EMPTY, answer);
}

/* Whether who asks may; else the answer says why not (I23, I25). /ping and /health need no token
 * (I27). Prometheus throws away what is answered with 429 unless it is told otherwise (P9). */
static bool may_ask(struct http_connection *connection, const struct http_route *route,
                    const struct http_head *head, const struct token **token)
{
    struct listener_part *part = connection->part;
    struct http_answer *answer = &connection->answer;
    bool is_open = route->kind == ROUTE_PING || route->kind == ROUTE_HEALTH;
    struct error why = ERROR_EMPTY;
    struct buf room = BUF_EMPTY;

    if (is_open || !part->tokens)
        return true;
    if (head->twice != NULL) { /* of two, the wrong one might be looked at */
        http_answer_set(answer, 400, "the header %s is given twice", head->twice);
        return false;
    }
    struct str shown = access_token_of(head->authorization, head->query, &room);
    enum access_verdict verdict = part_check_token(part, shown, &connection->address.any, token);
    buf_fini(&room);
    if (verdict == ACCESS_GRANTED)
        return true;
    access_explain(verdict, *token, &why);
    unsigned busy = answer->dialect == HTTP_PLAIN ? 503 : 429;
    unsigned status = verdict == ACCESS_BLOCKED ? busy : verdict == ACCESS_NO_RIGHT ? 403 : 401;
    http_answer_set(answer, status, "%s (%s)", why.text, why.hint);
    if (verdict == ACCESS_BLOCKED)
        answer->retry_after_s = ATTEMPTS_MS / MS_PER_SECOND;
    if (route->kind == ROUTE_WRITE) { /* said by part_check_token */
        const struct intake *intake = worker_begin(part);
        intake->ledger->received++;
        intake->ledger->rejected[REJECT_denied]++;
        worker_end(part, connection->peer);
    }
    return false;
}

static void choose_route(struct http_connection *connection, const struct http_head *head)
{
    struct listener_part *part = connection->part;
    struct http_answer *answer = &connection->answer;
    const struct http_route *route = http_route_find(part->listener->protocol, head, answer);

    if (route == NULL)
        return;
    const struct token *token = NULL;
    if (!may_ask(connection, route, head, &token))
        return;
    switch (route->kind) {
    case ROUTE_WRITE:
        connection->write = http_write_new(part, route, head, connection->peer, answer);
        if (connection->write == NULL)
            blame_peer(connection);
        else
            http_write_set_token(connection->write, token);
        if (connection->write == NULL)
            break;
        if (route->protocol == PROTOCOL_INFLUX)
            http_databases_add_written(&part->listener->databases, head->query);
        break;
    case ROUTE_QUERY:
        begin_query(connection, head);
        break;
    case ROUTE_PING:
        answer_ping(connection, head);
        break;
    case ROUTE_HEALTH:
        answer_health(connection);
        break;
    }
}

/* False: it is answered before a body is read. */
static bool on_head(const struct http_head *head, void *arg)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct http_connection *connection = arg;
    bool has_body = head->is_chunked || head->length > 0;

    connection->is_head_request = head->method == HTTP_HEAD;
    connection->keep_alive = head->keep_alive;
    choose_route(connection, head);
    if (connection->write == NULL && !connection->is_form)
        return !has_body;
    if (head->expects_continue && has_body)
        (void)bufferevent_write(connection->stream, go_on, sizeof go_on - 1);
    return true;
}

static bool on_body(struct str bytes, void *arg)
{
    struct http_connection *connection = arg;

    if (connection->write != NULL) {
        bool ok = http_write_take(connection->write, bytes, &connection->answer);
        if (!ok)
            blame_peer(connection);
        return ok;
    }
    if (bytes.len > HTTP_QUERY_MAX - connection->form.len) {
        http_answer_set(&connection->answer, 413, "the form is larger than %d bytes",
                        HTTP_QUERY_MAX);
        return false;
    }
    buf_str(&connection->form, bytes);
    return true;
}

/* The request has been read to its end. */
static void end_request(struct http_connection *connection)
{
    struct http_write *write = connection->write;

    connection->write = NULL;
    if (connection->is_form)
        http_query_answer(&connection->part->listener->databases, connection->reader.head.query,
                          buf_view(&connection->form), &connection->answer);
    end_form(connection);
    set_state(connection, HTTP_WAITING);
    if (write != NULL)
        connection->reply = http_write_end(write, on_answered, connection, &connection->answer);
    if (connection->reply == NULL)
        send_answer(connection);
}

static void answer_garbage(struct http_connection *connection, unsigned status,
                           const struct error *err)
{
    bool had_write = connection->write != NULL;

    if (had_write)
        http_write_refuse(connection->write, &connection->answer, status, err->text);
    else
        http_answer_set(&connection->answer, status, "%s", err->text);
    intake_reject(worker_begin(connection->part), had_write ? REJECT_truncated : REJECT_malformed,
                  STR_EMPTY);
    worker_end(connection->part, connection->peer);
    answer_early(connection);
}

/* --- reading ----------------------------------------------------------------------------------
 */

/* Takes some bytes of the first piece of the input; returns how many, or 0 when the request was
 * answered or handed over. Bodies that inflate come in small slices, and so does what may have the
 * beginning of one behind its head. */
static size_t take_slice(struct http_connection *connection, struct evbuffer *input)
{
    size_t len = evbuffer_get_contiguous_space(input);
    struct error err = ERROR_EMPTY;
    unsigned status = 400;
    size_t taken = 0;

    if (len > GZIP_SLICE_BYTES &&
        (!connection->reader.head_done || connection->reader.head.encoding == HTTP_GZIP))
        len = GZIP_SLICE_BYTES;
    struct str bytes = {(const char *)evbuffer_pullup(input, (ev_ssize_t)len), len};
    if (!connection->reader.began)
        connection->since = clock_mono();
    enum http_read read = http_reader_take(&connection->reader, bytes, &taken, &status, &err);
    (void)evbuffer_drain(input, taken);
    switch (read) {
    case HTTP_READ_MORE:
        return taken;
    case HTTP_READ_DONE:
        end_request(connection);
        return 0;
    case HTTP_READ_STOPPED:
        answer_early(connection);
        return 0;
    case HTTP_READ_BAD:
        answer_garbage(connection, status, &err);
        return 0;
    }
    return 0;
}

/* What was inflated and read since the turn began. */
static size_t work_of(const struct http_connection *connection)
{
    return connection->write == NULL ? 0 : http_write_length(connection->write);
}

/* A bufferevent reads 4 kB each time it is told that there are bytes: more of a body is read here
 * while it comes, once the buffer is empty. An end or a mistake is left for it to find. */
static void read_more(struct http_connection *connection, struct evbuffer *input)
{
    int fd = (int)bufferevent_getfd(connection->stream);
    struct evbuffer_iovec room;
    int waiting = 0;

    if (connection->ssl != NULL || connection->at_end || !connection->reader.head_done ||
        ioctl(fd, FIONREAD, &waiting) != 0 || waiting <= 0)
        return;
    ev_ssize_t most = waiting < READ_BYTES ? waiting : READ_BYTES;
    (void)evbuffer_unfreeze(input, 0);
    if (evbuffer_reserve_space(input, most, &room, 1) == 1) {
        ssize_t len = recv(fd, room.iov_base, (size_t)most, 0);
        room.iov_len = len > 0 ? (size_t)len : 0;
        (void)evbuffer_commit_space(input, &room, 1);
    }
    (void)evbuffer_freeze(input, 0);
}

/* Takes what is in the buffer, as much as fits into a turn. The connection may be gone afterwards.
 */
static void take_input(struct http_connection *connection)
{
    static const struct timeval at_once = {0};
    struct evbuffer *input = bufferevent_get_input(connection->stream);
    size_t begin = work_of(connection);
    size_t bytes = 0;

    while (evbuffer_get_length(input) > 0) {
        size_t taken = take_slice(connection, input);
        if (taken == 0)
            return;
        bytes += taken;
        size_t work = work_of(connection);
        begin = work < begin ? 0 : begin;
        if (work - begin + bytes >= TURN_BYTES) {
            (void)event_add(connection->turn, &at_once);
            return;
        }
        if (evbuffer_get_length(input) == 0)
            read_more(connection, input);
    }
    if (connection->at_end)
        end_connection(connection);
}

static void on_turn(evutil_socket_t fd, short events, void *arg)
{
    struct http_connection *connection = arg;
    (void)fd;
    (void)events;

    if (connection->state == HTTP_READING)
        take_input(connection);
}

static void on_readable(struct bufferevent *stream, void *arg)
{
    struct http_connection *connection = arg;
    struct evbuffer *input = bufferevent_get_input(stream);

    if (connection->state == HTTP_READING) {
        if (!event_pending(connection->turn, EV_TIMEOUT, NULL))
            take_input(connection);
        return;
    }
    if (connection->state != HTTP_LINGERING)
        return;
    connection->dropped += evbuffer_get_length(input);
    (void)evbuffer_drain(input, evbuffer_get_length(input));
    if (connection->dropped > LINGER_BYTES)
        end_connection(connection);
}

/* The socket has taken all of the answer; by TLS, of "100 Continue" that is told late. */
static void on_written(struct bufferevent *stream, void *arg)
{
    struct http_connection *connection = arg;

    if (connection->state != HTTP_ANSWERING ||
        evbuffer_get_length(bufferevent_get_output(stream)) > 0)
        return;
    if (!connection->keep_alive) {
        linger(connection);
        return;
    }
    reset_answer(connection);
    http_reader_next(&connection->reader);
    set_state(connection, HTTP_READING);
    take_input(connection);
}

static void on_event(struct bufferevent *stream, short events, void *arg)
{
    struct http_connection *connection = arg;
    bool is_end = (events & BEV_EVENT_EOF) != 0 && (events & BEV_EVENT_ERROR) == 0;

    connection->at_end = true;
    if (is_end && connection->state == HTTP_READING &&
        evbuffer_get_length(bufferevent_get_input(stream)) > 0)
        return; /* its turn comes */
    if (is_end && connection->state != HTTP_READING && connection->state != HTTP_LINGERING)
        return; /* it may still read its answer */
    end_connection(connection);
}

/* What is behind `peer` has the size of its family alone. */
static void copy_address(struct http_connection *connection, const struct sockaddr *peer)
{
    if (peer->sa_family == AF_INET)
        memcpy(&connection->address, peer, sizeof(struct sockaddr_in));
    else if (peer->sa_family == AF_INET6)
        memcpy(&connection->address, peer, sizeof(struct sockaddr_in6));
}

/* --- all of them ------------------------------------------------------------------------------ */

/* Without a high-water mark, TLS would leave bytes behind in the session when the buffer is full,
 * where nothing tells of them; so it has none, and reading is bounded by turns. Its callbacks come
 * from the loop: turning reading on may find bytes at once. */
static struct bufferevent *open_stream(struct event_base *base, int fd, SSL *ssl)
{
    struct bufferevent *stream = NULL;

    if (ssl == NULL) {
        stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
        assert(stream != NULL);
        bufferevent_setwatermark(stream, EV_READ, 0, INPUT_BYTES);
        return stream;
    }
    stream = bufferevent_openssl_socket_new(base, fd, ssl, BUFFEREVENT_SSL_OPEN,
                                            BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    assert(stream != NULL);
    bufferevent_openssl_set_allow_dirty_shutdown(stream, 1);
    return stream;
}

void http_connection_open(struct listener_part *part, int fd, SSL *ssl, const struct sockaddr *peer)
{
    static const struct http_reader_calls calls = {on_head, on_body};
    struct ingest_worker *worker = part->worker;
    struct event_base *base = thread_base(worker->thread);
    struct http_connection *connection = memory_zero(1, sizeof *connection);
    const int one = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connection->part = part;
    (void)peer_format(peer, connection->peer);
    copy_address(connection, peer);
    reset_answer(connection);
    http_reader_init(&connection->reader, &calls, connection);
    connection->turn = evtimer_new(base, on_turn, connection);
    connection->stream = open_stream(base, fd, ssl);
    connection->ssl = ssl;
    assert(connection->turn != NULL && connection->stream != NULL);
    bufferevent_setcb(connection->stream, on_readable, on_written, on_event, connection);
    TAILQ_INSERT_TAIL(&worker->http_connections, connection, link);
    worker_connection_opened(part);
    set_state(connection, HTTP_READING);
}

/* Whether the connection is over a deadline; `*late`: it is in the middle of a request. */
static bool is_over(const struct http_connection *connection, mono_ms now, bool *late)
{
    const struct worker_settings *settings = &worker_of(connection)->settings;
    span_ms age = now - connection->since;

    *late = false;
    switch (connection->state) {
    case HTTP_WAITING:
        return false;
    case HTTP_ANSWERING:
        return age > settings->request_timeout;
    case HTTP_LINGERING:
        return age > LINGER_MS;
    case HTTP_READING:
        break;
    }
    *late = connection->reader.began;
    if (*late)
        return age > settings->request_timeout;
    return connection->part->fd < 0 || (settings->idle_timeout > 0 && age > settings->idle_timeout);
}

void http_expire(struct ingest_worker *worker, mono_ms now)
{
    struct http_connection *next = NULL;
    bool late = false;

    for (struct http_connection *c = TAILQ_FIRST(&worker->http_connections); c != NULL; c = next) {
        next = TAILQ_NEXT(c, link);
        if (!is_over(c, now, &late))
            continue;
        if (!late) {
            end_connection(c);
            continue;
        }
        struct error err = ERROR_EMPTY;
        (void)error_set(&err, ERROR_UNAVAILABLE, "the request took longer than %lld s",
                        (long long)worker->settings.request_timeout / MS_PER_SECOND);
        answer_garbage(c, 408, &err);
    }
}

void http_drain(struct ingest_worker *worker, mono_ms until)
{
    const struct timespec pause = {.tv_nsec = DRAIN_PAUSE_NS};

    while (worker->http_waiting > 0 && clock_mono() < until) {
        if (mailbox_drain(thread_mailbox(worker->thread)) == 0)
            (void)nanosleep(&pause, NULL);
    }
}

/* The loop does not run any more, and it is what closes sockets: what is left of an answer goes out
 * at once or never, and the client is told that nothing follows. */
static void send_at_once(struct http_connection *connection)
{
    struct evbuffer *output = bufferevent_get_output(connection->stream);
    int fd = bufferevent_getfd(connection->stream);

    size_t len = evbuffer_get_length(output);
    if (len > 0 && connection->ssl != NULL) {
        (void)SSL_write(connection->ssl, evbuffer_pullup(output, -1), (int)len);
    } else if (len > 0) {
        (void)evbuffer_unfreeze(output, 1);
        (void)evbuffer_write(output, fd);
    }
    say_goodbye(connection);
    (void)shutdown(fd, SHUT_RDWR);
}

void http_end_all(struct ingest_worker *worker)
{
    struct http_connection *next = NULL;

    for (struct http_connection *c = TAILQ_FIRST(&worker->http_connections); c != NULL; c = next) {
        next = TAILQ_NEXT(c, link);
        send_at_once(c);
        end_connection(c);
    }
}
