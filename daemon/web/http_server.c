#include "web/http_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "ingest/network.h"
#include "ingest/tls.h"
#include "web/http_socket.h"

enum {
    HEADERS_MAX = 16 * 1024,
    IDLE_S = 10,
    REQUEST_MS = 30 * MS_PER_SECOND,
    RETRY_AFTER_S = 1,
    RETRY_WRONG_S = 60, /* after too many wrong tokens */
    FACES = 2,
};

#define NO_DEADLINE INT64_MAX

/* evhttp tells nobody when a connection ends. So each bufferevent is kept alive by a reference of
 * ours; evhttp takes its callbacks away when it frees it, and that is what the sweep looks for. */
struct connection {
    struct bufferevent *stream; /* NULL: free */
    mono_ms deadline;
    bool busy; /* a request is under way, or its answer is being written */
};

/* One address with what may be done there. */
struct face {
    struct http_server *server;
    struct evhttp *http;
    struct evconnlistener *listener;
    bool is_control;
};

struct http_server {
    struct event_base *base;
    struct event *tick;
    struct face faces[FACES];
    struct http_socket sockets[FACES];
    struct http_access access; /* of the address; holds its TLS */
    http_request_fn on_request;
    void *arg;
    struct connection connections[HTTP_CONNECTIONS_MAX];
    bool accepting;
    bool stopped;
    struct log_repeat accept_failures;
    uint64_t failures_seen;
};

struct http_request {
    struct http_server *server;
    struct evhttp_request *http; /* NULL: the client has gone */
    struct arena arena;
    bool is_control;
    struct str parameter;
    struct evkeyvalq query;
    bool has_query;
};

static void set_accepting(struct http_server *server, bool accepting)
{
    if (server->stopped || server->accepting == accepting)
        return;
    server->accepting = accepting;
    for (size_t i = 0; i < FACES; i++) {
        struct evconnlistener *listener = server->faces[i].listener;
        if (listener != NULL && accepting)
            (void)evconnlistener_enable(listener);
        else if (listener != NULL)
            (void)evconnlistener_disable(listener);
    }
}

static bool has_ended(struct bufferevent *stream)
{
    void *arg = NULL;
    bufferevent_getcb(stream, NULL, NULL, NULL, &arg);
    return arg == NULL;
}

/* Forgets connections that have ended; returns how many there still are. */
static size_t sweep(struct http_server *server)
{
    size_t open = 0;

    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        struct connection *connection = &server->connections[i];
        if (connection->stream == NULL)
            continue;
        if (!has_ended(connection->stream)) {
            open++;
            continue;
        }
        (void)bufferevent_decref(connection->stream);
        *connection = (struct connection){.stream = NULL};
    }
    return open;
}

static struct connection *find_connection(struct http_server *server, struct evhttp_request *http)
{
    struct evhttp_connection *peer = evhttp_request_get_connection(http);
    if (peer == NULL)
        return NULL;
    struct bufferevent *stream = evhttp_connection_get_bufferevent(peer);
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
        if (server->connections[i].stream == stream)
            return &server->connections[i];
    return NULL;
}

static void resume_after_failures(struct http_server *server, mono_ms now)
{
    uint64_t failures = COUNTER_GET(control_accept_failures);
    if (failures == server->failures_seen)
        return;
    log_repeated(&server->accept_failures, now, "accept_failed", failures - server->failures_seen,
                 "listener=control hint=\"too many open files: raise the limit of descriptors\"");
    server->failures_seen = failures;
    for (size_t i = 0; i < FACES && server->accepting && !server->stopped; i++) {
        if (server->faces[i].listener != NULL)
            (void)evconnlistener_enable(server->faces[i].listener);
    }
}

static void on_tick(evutil_socket_t fd, short events, void *arg)
{
    struct http_server *server = arg;
    mono_ms now = clock_mono();
    (void)fd;
    (void)events;

    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        struct connection *connection = &server->connections[i];
        if (connection->stream != NULL && !has_ended(connection->stream) &&
            now >= connection->deadline)
            bufferevent_trigger_event(connection->stream, BEV_EVENT_READING | BEV_EVENT_TIMEOUT, 0);
    }
    if (sweep(server) < HTTP_CONNECTIONS_MAX)
        set_accepting(server, true);
    resume_after_failures(server, now);
    log_repeat_tick(&server->accept_failures, now);
}

/* By TLS the callbacks come from the loop: turning reading on may find bytes at once, which evhttp
 * does not expect. */
static struct bufferevent *new_stream(const struct face *face, struct event_base *base)
{
    struct tls *tls = face->is_control ? NULL : face->server->access.tls;

    if (tls == NULL)
        return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    struct bufferevent *stream =
        bufferevent_openssl_socket_new(base, -1, tls_session(tls, -1), BUFFEREVENT_SSL_ACCEPTING,
                                       BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (stream != NULL)
        bufferevent_openssl_set_allow_dirty_shutdown(stream, 1);
    return stream;
}

/* evhttp asks for the bufferevent of a connection it has accepted. */
static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
    const struct face *face = arg;
    struct http_server *server = face->server;
    /* The descriptor is closed with our reference, not before: another thread may get its number,
     * and the events of the stream still name it. (evhttp has shut the connection down by then.) */
    struct bufferevent *stream = new_stream(face, base);
    assert(stream != NULL);

    size_t open = sweep(server);
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        struct connection *connection = &server->connections[i];
        if (connection->stream != NULL)
            continue;
        bufferevent_incref(stream);
        connection->stream = stream;
        connection->deadline = clock_mono() + REQUEST_MS;
        open++;
        break;
    }
    if (open >= HTTP_CONNECTIONS_MAX)
        set_accepting(server, false);
    return stream;
}

/* Out of descriptors: accepting pauses until the next tick instead of spinning. libevent calls this
 * with evhttp's argument, not with ours, so the tick finds the failures in the process's counter.
 */
static void on_accept_failure(struct evconnlistener *listener, void *arg)
{
    (void)arg;
    COUNTER_ADD(control_accept_failures, 1);
    (void)evconnlistener_disable(listener);
}

static void request_free(struct http_request *request)
{
    if (request->has_query)
        evhttp_clear_headers(&request->query);
    arena_fini(&request->arena);
    free(request);
}

/* The client has gone before it was answered. evhttp leaves the request to us when the connection
 * broke, and frees it itself when the server closes. */
static void on_closed(struct evhttp_connection *peer, void *arg)
{
    struct http_request *request = arg;
    (void)peer;
    if (evhttp_request_get_connection(request->http) == NULL)
        evhttp_request_free(request->http);
    request->http = NULL;
}

static void on_answered(struct evhttp_request *http, void *arg)
{
    struct connection *connection = find_connection(arg, http);
    if (connection == NULL)
        return;
    connection->busy = false;
    connection->deadline = clock_mono() + REQUEST_MS;
}

/* A page in a browser must not reach a loopback address by a name of its own (DNS rebinding). */
static bool host_is_local(struct evhttp_request *http)
{
    const char *host = evhttp_request_get_host(http);
    return host == NULL || strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0 ||
           strcmp(host, "[::1]") == 0 || strcmp(host, "::1") == 0;
}

/* A name that no stranger can point at this host: an address itself, or that of base_url. */
static bool host_is_ours(const struct http_server *server, struct evhttp_request *http)
{
    const char *host = evhttp_request_get_host(http);
    const char *base = server->access.base_url;
    struct in6_addr address;
    bool ours = false;

    if (host_is_local(http) || server->access.tokens || host[0] == '[' ||
        inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1)
        return true;
    struct evhttp_uri *uri = base == NULL ? NULL : evhttp_uri_parse(base);
    if (uri != NULL) {
        const char *name = evhttp_uri_get_host(uri);
        ours = name != NULL && evutil_ascii_strcasecmp(name, host) == 0;
        evhttp_uri_free(uri);
    }
    return ours;
}

/* Who may not speak is told so and sent away. */
static bool is_allowed(const struct http_request *request)
{
    const struct http_access *access = &request->server->access;
    struct sockaddr_storage peer;

    return access->allow_count == 0 ||
           (http_request_peer(request, &peer) &&
            network_list_has(access->allow, access->allow_count, (struct sockaddr *)&peer));
}

static void on_request(struct evhttp_request *http, void *arg)
{
    struct face *face = arg;
    struct http_server *server = face->server;
    struct http_request *request = memory_zero(1, sizeof *request);
    struct error err = ERROR_EMPTY;

    request->server = server;
    request->http = http;
    request->is_control = face->is_control;
    struct connection *connection = find_connection(server, http);
    if (connection != NULL) {
        connection->busy = true;
        connection->deadline = NO_DEADLINE; /* while we are the ones who are working */
    }
    evhttp_request_set_on_complete_cb(http, on_answered, server);
    evhttp_connection_set_closecb(evhttp_request_get_connection(http), on_closed, request);
    COUNTER_ADD(http_requests, 1);

    if (!face->is_control && !is_allowed(request)) {
        COUNTER_ADD(connections_denied, 1);
        (void)error_set(&err, ERROR_DENIED, "your address may not ask here");
        (void)error_hint(&err, "server.http.allow in kpid's configuration says who may");
        http_request_header(request, "Connection", "close");
        http_reply_error(request, 0, &err);
        return;
    }
    if (evbuffer_get_length(evhttp_request_get_input_buffer(http)) > HTTP_BODY_MAX) {
        (void)error_set(&err, ERROR_INVALID, "the body is longer than %d bytes", HTTP_BODY_MAX);
        http_reply_error(request, 413, &err);
        return;
    }
    if (!face->is_control && !host_is_ours(server, http)) {
        (void)error_set(&err, ERROR_DENIED, "the host of the request is not this machine's own");
        (void)error_hint(&err, "use 'localhost', the address that kpid listens on or the host of "
                               "server.http.base_url");
        http_reply_error(request, 0, &err);
        return;
    }
    server->on_request(request, server->arg);
}

static void open_face(struct http_server *server, size_t i, bool is_control)
{
    const struct timeval idle = {.tv_sec = IDLE_S};
    struct face *face = &server->faces[i];

    *face = (struct face){.server = server, .is_control = is_control};
    face->http = evhttp_new(server->base);
    face->listener = evconnlistener_new(server->base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC, 0,
                                        server->sockets[i].fd);
    assert(face->http != NULL && face->listener != NULL);
    server->sockets[i].fd = -1; /* closed below with the listener */
    evhttp_set_max_headers_size(face->http, HEADERS_MAX);
    /* Twice ours, so that most bodies that are too long get an answer that says so. */
    evhttp_set_max_body_size(face->http, (ev_ssize_t)HTTP_BODY_MAX * 2);
    evhttp_set_timeout_tv(face->http, &idle);
    evhttp_set_allowed_methods(face->http, UINT16_MAX); /* our table answers what there is not */
    evhttp_set_default_content_type(face->http, NULL);
    (void)evhttp_set_flags(face->http, EVHTTP_SERVER_LINGERING_CLOSE);
    evhttp_set_bevcb(face->http, on_connection, face);
    evhttp_set_gencb(face->http, on_request, face);
    struct evhttp_bound_socket *bound = evhttp_bind_listener(face->http, face->listener);
    assert(bound != NULL);
    (void)bound;
    evconnlistener_set_error_cb(face->listener, on_accept_failure);
}

struct http_server *http_server_open(struct event_base *base,
                                     const struct http_server_options *options, struct error *err)
{
    const struct timeval second = {.tv_sec = 1};
    struct http_server *server = memory_zero(1, sizeof *server);

    server->base = base;
    server->on_request = options->on_request;
    server->arg = options->arg;
    server->accepting = true;
    server->sockets[0].fd = -1;
    server->sockets[1].fd = -1;
    if (!http_socket_open_unix(&server->sockets[0], options->control_path, options->inherited,
                               err) ||
        (options->listen != NULL && !http_socket_open_address(&server->sockets[1], options->listen,
                                                              options->inherited, err))) {
        http_socket_close(&server->sockets[0]);
        free(server);
        return NULL;
    }
    http_server_set_access(server, &options->access);
    server->tick = event_new(base, -1, EV_PERSIST, on_tick, server);
    int rc = server->tick == NULL ? -1 : event_add(server->tick, &second);
    assert(rc == 0);
    (void)rc;
    open_face(server, 0, true);
    if (options->listen != NULL)
        open_face(server, 1, false);
    return server;
}

void http_server_set_access(struct http_server *server, const struct http_access *access)
{
    struct tls *old = server->access.tls;

    server->access = *access;
    (void)tls_keep(server->access.tls);
    tls_release(old);
}

const char *http_server_address(const struct http_server *server)
{
    return server->faces[1].http == NULL ? NULL : server->sockets[1].name;
}

void http_server_stop_accepting(struct http_server *server)
{
    set_accepting(server, false);
    server->stopped = true;
    http_socket_close(&server->sockets[0]);
}

size_t http_server_busy(struct http_server *server)
{
    size_t busy = 0;
    (void)sweep(server);
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
        busy += server->connections[i].busy;
    return busy;
}

void http_server_close(struct http_server *server)
{
    if (server == NULL)
        return;
    http_server_stop_accepting(server);
    for (size_t i = 0; i < FACES; i++)
        if (server->faces[i].http != NULL)
            evhttp_free(server->faces[i].http); /* and its listener with the socket */
    size_t open = sweep(server);
    assert(open == 0);
    (void)open;
    event_free(server->tick);
    tls_release(server->access.tls);
    free(server);
}

/* --- requests ------------------------------------------------------------------------------ */

struct str http_request_method(const struct http_request *request)
{
    switch (evhttp_request_get_command(request->http)) {
    case EVHTTP_REQ_GET:
        return STR("GET");
    case EVHTTP_REQ_POST:
        return STR("POST");
    case EVHTTP_REQ_HEAD:
        return STR("HEAD");
    default:
        return STR("another");
    }
}

struct str http_request_path(const struct http_request *request)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request->http);
    return uri == NULL ? STR_EMPTY : str_of(evhttp_uri_get_path(uri));
}

struct str http_request_body(struct http_request *request)
{
    struct evbuffer *body = evhttp_request_get_input_buffer(request->http);
    size_t len = evbuffer_get_length(body);
    if (len == 0)
        return STR_EMPTY;
    return (struct str){(const char *)evbuffer_pullup(body, -1), len};
}

bool http_request_is_control(const struct http_request *request)
{
    return request->is_control;
}

static int descriptor_of(const struct http_request *request)
{
    struct evhttp_connection *peer =
        request->http == NULL ? NULL : evhttp_request_get_connection(request->http);
    return peer == NULL ? -1 : bufferevent_getfd(evhttp_connection_get_bufferevent(peer));
}

bool http_request_is_owner(const struct http_request *request)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    return request->is_control &&
           getsockopt(descriptor_of(request), SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

bool http_request_peer(const struct http_request *request, struct sockaddr_storage *out)
{
    socklen_t len = sizeof *out;

    return !request->is_control &&
           getpeername(descriptor_of(request), (struct sockaddr *)out, &len) == 0;
}

struct str http_request_find_header(const struct http_request *request, const char *name)
{
    return str_of(evhttp_find_header(evhttp_request_get_input_headers(request->http), name));
}

struct arena *http_request_arena(struct http_request *request)
{
    return &request->arena;
}

struct str http_request_parameter(const struct http_request *request)
{
    return request->parameter;
}

bool http_request_set_parameter(struct http_request *request, struct str encoded, struct error *err)
{
    size_t len = 0;
    char *decoded = evhttp_uridecode(arena_text(&request->arena, encoded), 0, &len);

    assert(decoded != NULL);
    request->parameter = arena_str(&request->arena, (struct str){decoded, len});
    free(decoded);
    if (!str_is_utf8(request->parameter))
        return error_set(err, ERROR_INVALID, "the path is not UTF-8");
    return true;
}

static bool check_query(struct http_request *request, const char *const *known, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    size_t known_count = 0;

    while (known[known_count] != NULL)
        known_count++;
    for (struct evkeyval *pair = request->query.tqh_first; pair != NULL;
         pair = pair->next.tqe_next) {
        size_t i = 0;
        while (i < known_count && strcmp(known[i], pair->key) != 0)
            i++;
        if (i == known_count) {
            (void)error_set(err, ERROR_INVALID, "unknown parameter '%s'",
                            str_quoted(str_of(pair->key), quoted));
            const char *near = str_nearest(str_of(pair->key), known, known_count);
            return near == NULL ? false : error_hint(err, "did you mean '%s'?", near);
        }
        if (!str_is_utf8(str_of(pair->value)))
            return error_set(err, ERROR_INVALID, "parameter '%s' is not UTF-8", pair->key);
        for (struct evkeyval *later = pair->next.tqe_next; later != NULL;
             later = later->next.tqe_next)
            if (strcmp(later->key, pair->key) == 0)
                return error_set(err, ERROR_INVALID, "parameter '%s' is given twice", pair->key);
    }
    return true;
}

bool http_request_read_query(struct http_request *request, const char *const *known,
                             struct error *err)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request->http);
    const char *text = uri == NULL ? NULL : evhttp_uri_get_query(uri);

    if (text == NULL || text[0] == '\0')
        return true;
    if (evhttp_parse_query_str(text, &request->query) != 0)
        return error_set(err, ERROR_INVALID, "the query is not of the form name=value&...");
    request->has_query = true;
    return check_query(request, known, err);
}

const char *http_request_query(const struct http_request *request, const char *name)
{
    return request->has_query ? evhttp_find_header(&request->query, name) : NULL;
}

void http_request_header(struct http_request *request, const char *name, const char *value)
{
    if (request->http != NULL)
        (void)evhttp_add_header(evhttp_request_get_output_headers(request->http), name, value);
}

/* --- answers ------------------------------------------------------------------------------- */

void http_reply(struct http_request *request, int status, const char *content_type, struct str body)
{
    struct evhttp_request *http = request->http;

    if (http != NULL) {
        struct connection *connection = find_connection(request->server, http);
        if (connection != NULL)
            connection->deadline = clock_mono() + REQUEST_MS;
        http_request_header(request, "Content-Type", content_type);
        http_request_header(request, "Cache-Control", "no-store");
        http_request_header(request, "X-Content-Type-Options", "nosniff");
        evhttp_connection_set_closecb(evhttp_request_get_connection(http), NULL, NULL);
        int rc = evbuffer_add(evhttp_request_get_output_buffer(http), body.text, body.len);
        assert(rc == 0);
        (void)rc;
        evhttp_send_reply(http, status, NULL, NULL);
    }
    request_free(request);
}

void http_reply_json(struct http_request *request, int status, struct str body)
{
    http_reply(request, status, "application/json", body);
}

static int status_of(enum error_kind kind)
{
    switch (kind) {
    case ERROR_INVALID:
        return 400;
    case ERROR_DENIED:
        return 403;
    case ERROR_NOT_FOUND:
        return 404;
    case ERROR_CONFLICT:
        return 409;
    case ERROR_FULL:
    case ERROR_UNAVAILABLE:
        return 503;
    case ERROR_NONE:
    case ERROR_CORRUPT:
    case ERROR_SYSTEM:
        break;
    }
    return 500;
}

void http_reply_error(struct http_request *request, int status, const struct error *err)
{
    struct buf body = BUF_EMPTY;
    struct json json = json_to(&body);
    char seconds[16];

    if (status == 0)
        status = status_of(err->kind);
    json_open(&json, '{');
    json_key(&json, "error");
    json_open(&json, '{');
    json_field_text(&json, "kind", error_kind_name(err->kind));
    json_field_text(&json, "message", err->text);
    if (err->hint[0] != '\0')
        json_field_text(&json, "hint", err->hint);
    json_close(&json, '}');
    json_close(&json, '}');
    buf_char(&body, '\n');
    if (status == 503 || status == 429) {
        (void)evutil_snprintf(seconds, sizeof seconds, "%d",
                              status == 503 ? RETRY_AFTER_S : RETRY_WRONG_S);
        http_request_header(request, "Retry-After", seconds);
    }
    http_reply_json(request, status, buf_view(&body));
    buf_fini(&body);
}
