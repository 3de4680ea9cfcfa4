#include <assert.h>
#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/memory.h"
#include "ingest/access.h"
#include "ingest/tls.h"
#include "web/web_private.h"

enum {
    /* Replies to pushes are never refused, so this is for calls from the main thread. */
    MAILBOX_CAPACITY = 64,
    STOP_MS = 2 * MS_PER_SECOND,
};

static void answer_no_route(struct http_request *request, enum route_match match, struct error *err)
{
    struct str path = http_request_path(request);
    struct buf methods = BUF_EMPTY;
    char quoted[STR_QUOTED_SIZE];

    if (match == ROUTE_NO_PATH) {
        const char *near = router_nearest(ROUTES, ROUTE_COUNT, path);
        (void)error_set(err, ERROR_NOT_FOUND, "no such path: '%s'", str_quoted(path, quoted));
        if (near != NULL)
            (void)error_hint(err, "did you mean '%s'?", near);
        http_reply_error(request, 0, err);
        return;
    }
    router_methods(ROUTES, ROUTE_COUNT, path, &methods);
    char *allow = buf_take_text(&methods);
    http_request_header(request, "Allow", allow);
    (void)error_set(err, ERROR_INVALID, "'%s' has no such method", str_quoted(path, quoted));
    (void)error_hint(err, "it has %s", allow);
    http_reply_error(request, 405, err);
    free(allow);
}

/* 0: who asks may. Else the status of the refusal. Without a token reading is free unless the
 * configuration wants one. */
static unsigned may_ask(struct web *web, struct http_request *request, const struct route *route,
                        struct error *err)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    const struct token *token = NULL;
    struct buf room = BUF_EMPTY;

    web->asker = NULL;
    if (http_request_is_control(request) || route->right == RIGHT_NONE)
        return 0;
    (void)http_request_peer(request, &peer);
    const struct access_request asked = {
        .peer = (const struct sockaddr *)&peer,
        .token =
            access_token_of(http_request_find_header(request, "Authorization"), STR_EMPTY, &room),
        .right = route->right};
    bool has_token = asked.token.len > 0;
    enum access_verdict verdict =
        !has_token && !web->config.http_access.tokens && route->right == RIGHT_READ
            ? ACCESS_GRANTED
            : access_check(web->tokens, web->attempts, &asked, clock_mono(), &token);
    buf_fini(&room);
    if (verdict == ACCESS_GRANTED) {
        web->asker = token == NULL ? NULL : token->usage;
        return 0;
    }
    access_explain(verdict, token, err);
    if (verdict == ACCESS_NO_TOKEN && !web->config.http_access.tokens) {
        (void)error_set(err, ERROR_DENIED,
                        "'%s' is served on the control socket, and here to those with a token",
                        route->path);
        (void)error_hint(err, "use '%s', or 'Authorization: Bearer TOKEN'",
                         web->config.control_path);
        return 403;
    }
    if (verdict == ACCESS_BLOCKED)
        return 429;
    return verdict == ACCESS_NO_RIGHT ? 403 : 401;
}

static void on_request(struct http_request *request, void *arg)
{
    struct web *web = arg;
    struct error err = ERROR_EMPTY;
    const struct route *route = NULL;
    struct str parameter;

    enum route_match match = router_find(ROUTES, ROUTE_COUNT, http_request_method(request),
                                         http_request_path(request), &route, &parameter);
    if (match != ROUTE_FOUND) {
        answer_no_route(request, match, &err);
        return;
    }
    unsigned status = may_ask(web, request, route, &err);
    if (status != 0) {
        if (status == 401)
            http_request_header(request, "WWW-Authenticate", "Bearer");
        COUNTER_ADD(tokens_denied, 1);
        http_reply_error(request, (int)status, &err);
        return;
    }
    if (!http_request_set_parameter(request, parameter, &err) ||
        !route->handler(web, request, &err))
        http_reply_error(request, 0, &err);
}

static void tell_if_quiet(struct web *web)
{
    const uint64_t one = 1;
    if (!web->stopping || http_server_busy(web->server) > 0)
        return;
    ssize_t put = write(web->quiet_fd, &one, sizeof one);
    (void)put; /* a full counter tells as well */
}

static void on_tick(evutil_socket_t fd, short events, void *arg)
{
    struct web *web = arg;
    (void)fd;
    (void)events;
    push_flush_refused(web);
}

/* While stopping, whether all is answered is looked at each turn of the short timer. */
static void on_stop_tick(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    tell_if_quiet(arg);
}

static bool load_first_tokens(struct web *web, struct error *err)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return error_set_errno(err, "cannot get random numbers from the system");
    web->attempts = attempts_new(seed);
    return web_renew_tokens(web, err);
}

struct web *web_start(const struct web_options *options, const struct web_config *config,
                      struct error *err)
{
    const struct timeval second = {.tv_sec = 1};
    struct web *web = memory_zero(1, sizeof *web);

    web->options = *options;
    web->options.inherited = NULL; /* what is not taken now never is */
    web->config = *config;
    web->thread = thread_new("web", MAILBOX_CAPACITY, web, NULL);
    web->task = store_task_new(options->store);
    web->quiet_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert(web->quiet_fd >= 0);
    web->tick = event_new(thread_base(web->thread), -1, EV_PERSIST, on_tick, web);
    int rc = web->tick == NULL ? -1 : event_add(web->tick, &second);
    assert(rc == 0);
    (void)rc;

    const struct http_server_options server = {.control_path = config->control_path,
                                               .listen = config->http_listen,
                                               .inherited = options->inherited,
                                               .access = config->http_access,
                                               .on_request = on_request,
                                               .arg = web};
    if (load_first_tokens(web, err))
        web->server = http_server_open(thread_base(web->thread), &server, err);
    if (web->server == NULL || !thread_start(web->thread, err)) {
        web_free(web);
        return NULL;
    }
    return web;
}

struct reload {
    struct web *web;
    const struct web_config *config;
};

static void on_reload(void *arg)
{
    const struct reload *reload = arg;
    struct web *web = reload->web;
    struct error err = ERROR_EMPTY;

    web->config = *reload->config;
    http_server_set_access(web->server, &web->config.http_access);
    if (!web_renew_tokens(web, &err))
        log_failure(LOG_LEVEL_ERROR, "tokens_kept", &err);
}

void web_reload(struct web *web, const struct web_config *config)
{
    struct reload reload = {web, config};
    thread_call(web->thread, on_reload, &reload);
}

static void on_stop(void *arg)
{
    const struct timeval soon = {.tv_usec = 5000};
    struct web *web = arg;

    http_server_stop_accepting(web->server);
    web->stopping = true;
    event_free(web->tick);
    web->tick = event_new(thread_base(web->thread), -1, EV_PERSIST, on_stop_tick, web);
    int rc = web->tick == NULL ? -1 : event_add(web->tick, &soon);
    assert(rc == 0);
    (void)rc;
    push_flush_refused(web);
    tell_if_quiet(web);
}

void web_stop(struct web *web)
{
    if (web->server == NULL)
        return;
    thread_call(web->thread, on_stop, web);
    struct pollfd quiet = {.fd = web->quiet_fd, .events = POLLIN};
    (void)poll(&quiet, 1, STOP_MS);
    thread_stop(web->thread);
    http_server_close(web->server);
    web->server = NULL;
}

void web_free(struct web *web)
{
    if (web == NULL)
        return;
    web_stop(web);
    store_task_free(web->task);
    event_free(web->tick);
    thread_free(web->thread); /* replies to pushes that nobody waits for any longer end here */
    token_table_release(web->tokens);
    attempts_free(web->attempts);
    (void)close(web->quiet_fd);
    free(web);
}

struct thread *web_thread(struct web *web)
{
    return web->thread;
}

const char *web_http_address(const struct web *web)
{
    return web->server == NULL ? NULL : http_server_address(web->server);
}

/* --- what the handlers share ---------------------------------------------------------------- */

bool answer_begin(struct web *web, struct http_request *request, const char *const *known,
                  struct answer *out, struct error *err)
{
    *out = (struct answer){.body = BUF_EMPTY, .now = clock_wall()};
    if (!http_request_read_query(request, known, err))
        return false;
    out->txn = read_txn_begin(web->options.store, err);
    return out->txn != NULL;
}

bool answer_send(struct http_request *request, struct answer *answer)
{
    read_txn_end(answer->txn);
    buf_char(&answer->body, '\n');
    http_reply_json(request, 200, buf_view(&answer->body));
    buf_fini(&answer->body);
    return true;
}

bool answer_drop(struct answer *answer)
{
    read_txn_end(answer->txn);
    buf_fini(&answer->body);
    return false;
}

void answer_time(struct json *json, const char *name, const struct calendar *calendar, wall_ms at)
{
    char text[CLOCK_TEXT_SIZE];
    json_field_text(json, name, at == WALL_NONE ? NULL : calendar_format(calendar, at, text));
}

void answer_certificates(struct json *json, const struct web *web, wall_ms now)
{
    char utc[CLOCK_TEXT_SIZE];

    json_key(json, "certificates");
    json_open(json, '[');
    for (size_t i = 0; i < web->config.certificate_count; i++) {
        const struct tls *tls = web->config.certificates[i];
        wall_ms end = tls_expires_at(tls);
        json_open(json, '{');
        json_field_text(json, "file", tls_certificate(tls));
        json_field_text(json, "expires_at", end == WALL_NONE ? NULL : clock_format_utc(end, utc));
        json_field_bool(json, "is_expiring", tls_is_expiring(tls, now));
        json_field_bool(json, "is_expired", end != WALL_NONE && end <= now);
        json_close(json, '}');
    }
    json_close(json, ']');
}

void answer_coverage(struct json *json, const struct calendar *calendar,
                     const struct coverage *coverage)
{
    json_key(json, "coverage");
    json_open(json, '{');
    json_field_bool(json, "complete", coverage->complete);
    json_key(json, "levels");
    json_open(json, '[');
    if ((coverage->levels & COVERAGE_MINUTE) != 0)
        json_text(json, "1m");
    if ((coverage->levels & COVERAGE_QUARTER_HOUR) != 0)
        json_text(json, "15m");
    if ((coverage->levels & COVERAGE_DAY) != 0)
        json_text(json, "1d");
    json_close(json, ']');
    answer_time(json, "newest", calendar, coverage->newest);
    json_field_bool(json, "mixed_sources", coverage->mixed_sources);
    json_close(json, '}');
}
