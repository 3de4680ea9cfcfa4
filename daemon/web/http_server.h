/* HTTP by libevent's evhttp, on a Unix socket and, if asked for, an address, there also by TLS.
 *
 * Limits, each with its answer: 64 connections (further ones wait in the backlog), 16 KiB of
 * headers, 1 MiB of body (413), 10 s of silence and 30 s for a whole request or answer (the
 * connection is closed). Errors are one JSON form; only what cannot be read as a request, or is
 * more than twice as long as it may be, gets libevent's own page. One thread: the event base's. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

struct event_base;
struct http_server;

/* One request under way. Who is given it replies exactly once, now or later, which ends it; the
 * client may have gone by then. */
struct http_request;

typedef void (*http_request_fn)(struct http_request *request, void *arg);

/* Who may speak on the address; borrowed until the next one is set. */
struct http_access {
    const struct network *allow; /* others are told so; none: all */
    size_t allow_count;
    struct tls *tls;      /* NULL: plain */
    bool tokens;          /* whoever asks shows a token, which no page of another origin can */
    const char *base_url; /* a name of this host; NULL without */
};

struct http_server_options {
    const char *control_path;
    const char *listen;          /* "127.0.0.1:8640" or "[::1]:0"; NULL: none */
    struct inherited *inherited; /* has the sockets that are open already; NULL: none */
    struct http_access access;
    http_request_fn on_request;
    void *arg;
};

enum { HTTP_BODY_MAX = 1024 * 1024, HTTP_CONNECTIONS_MAX = 64 };

/* Opens the sockets. NULL on failure, and no socket or file stays behind. The loop of `base` may
 * not run yet. */
struct http_server *http_server_open(struct event_base *base,
                                     const struct http_server_options *options, struct error *err);

/* From now on; connections that are open keep their TLS. */
void http_server_set_access(struct http_server *server, const struct http_access *access);

/* "127.0.0.1:8640" with the real port; NULL without one. */
const char *http_server_address(const struct http_server *server);

/* Takes no more connections, and removes the control socket's file. */
void http_server_stop_accepting(struct http_server *server);

/* Requests that are not answered to the last byte yet. */
size_t http_server_busy(struct http_server *server);

/* Closes every connection. Requests under way must still be replied to. NULL is fine. On the base's
 * thread, or when its loop does not run. */
void http_server_close(struct http_server *server);

struct str http_request_method(const struct http_request *request);
struct str http_request_path(const struct http_request *request); /* as sent */
struct str http_request_body(struct http_request *request);

/* Whether it came by the control socket. */
bool http_request_is_control(const struct http_request *request);

/* Whether it is root or the user that kpid runs as, on the control socket; others got in by the
 * mode of its file. */
bool http_request_is_owner(const struct http_request *request);

/* Who asks, of IPv4 or IPv6; false: by the control socket, or gone. */
struct sockaddr_storage;
bool http_request_peer(const struct http_request *request, struct sockaddr_storage *out);

/* A header of the request, empty without it. */
struct str http_request_find_header(const struct http_request *request, const char *name);

/* Freed with the request. */
struct arena *http_request_arena(struct http_request *request);

/* The segment of the path that stands for ":name", decoded; set by the router's caller. */
struct str http_request_parameter(const struct http_request *request);
bool http_request_set_parameter(struct http_request *request, struct str encoded,
                                struct error *err);

/* Reads the query. Only names in `known` (ends with NULL) are taken, each once. */
bool http_request_read_query(struct http_request *request, const char *const *known,
                             struct error *err);
/* A query parameter, NULL without. */
const char *http_request_query(const struct http_request *request, const char *name);

/* Adds a header to the answer. */
void http_request_header(struct http_request *request, const char *name, const char *value);

/* Sends the answer and ends the request. */
void http_reply(struct http_request *request, int status, const char *content_type,
                struct str body);
void http_reply_json(struct http_request *request, int status, struct str body);

/* {"error":{"kind","message","hint"}}; `status` 0: by the kind. Those that may work later get a
 * Retry-After. */
void http_reply_error(struct http_request *request, int status, const struct error *err);
