#include "ingest/http_route.h"

#include "ingest/collectd_body.h"
#include "ingest/influx_body.h"
#include "ingest/json_body.h"
#include "ingest/otlp_body.h"
#include "ingest/remote_body.h"

enum {
    ENCODINGS_USUAL = 1 << HTTP_IDENTITY | 1 << HTTP_GZIP,
    ENCODINGS_SNAPPY = 1 << HTTP_SNAPPY,
};

static const struct http_route ROUTES[] = {
    {"/write", &INFLUX_BODY_FORMAT, PROTOCOL_INFLUX, ROUTE_WRITE, HTTP_INFLUX_1, ENCODINGS_USUAL},
    {"/api/v2/write", &INFLUX_BODY_FORMAT, PROTOCOL_INFLUX, ROUTE_WRITE, HTTP_INFLUX_2,
     ENCODINGS_USUAL},
    {"/api/v3/write_lp", &INFLUX_BODY_FORMAT, PROTOCOL_INFLUX, ROUTE_WRITE, HTTP_INFLUX_1,
     ENCODINGS_USUAL},
    {"/query", NULL, PROTOCOL_INFLUX, ROUTE_QUERY, HTTP_INFLUX_1, 0},
    {"/ping", NULL, PROTOCOL_INFLUX, ROUTE_PING, HTTP_INFLUX_1, 0},
    {"/health", NULL, PROTOCOL_INFLUX, ROUTE_HEALTH, HTTP_INFLUX_1, 0},
    {NULL, &REMOTE_BODY_FORMAT, PROTOCOL_PROMETHEUS, ROUTE_WRITE, HTTP_PLAIN, ENCODINGS_SNAPPY},
    {"/v1/metrics", &OTLP_BODY_FORMAT, PROTOCOL_OTLP, ROUTE_WRITE, HTTP_OTLP_PROTOBUF,
     ENCODINGS_USUAL},
    {"/push", &JSON_BODY_FORMAT, PROTOCOL_JSON, ROUTE_WRITE, HTTP_PUSH, ENCODINGS_USUAL},
    {NULL, &COLLECTD_BODY_FORMAT, PROTOCOL_COLLECTD, ROUTE_WRITE, HTTP_PUSH, ENCODINGS_USUAL},
};

enum { ROUTE_COUNT = sizeof ROUTES / sizeof ROUTES[0] };

static const struct {
    unsigned methods;
    const char *allow;
} KINDS[] = {
    [ROUTE_WRITE] = {1U << HTTP_POST, "POST, OPTIONS"},
    [ROUTE_QUERY] = {1U << HTTP_GET | 1U << HTTP_POST, "GET, POST, OPTIONS"},
    [ROUTE_PING] = {1U << HTTP_GET | 1U << HTTP_HEAD, "GET, HEAD, OPTIONS"},
    [ROUTE_HEALTH] = {1U << HTTP_GET | 1U << HTTP_HEAD, "GET, HEAD, OPTIONS"},
};

enum http_dialect http_dialect_of(enum protocol protocol, struct str content_type)
{
    switch (protocol) {
    case PROTOCOL_PROMETHEUS:
        return HTTP_PLAIN;
    case PROTOCOL_OTLP: /* O5: in the form of the request */
        return http_media_type_is(content_type, "application/json") ? HTTP_OTLP_JSON
                                                                    : HTTP_OTLP_PROTOBUF;
    case PROTOCOL_JSON:
    case PROTOCOL_COLLECTD:
        return HTTP_PUSH;
    default:
        return HTTP_INFLUX_1;
    }
}

static const char *hint_of(enum protocol protocol)
{
    switch (protocol) {
    case PROTOCOL_OTLP:
        return "POST /v1/metrics";
    case PROTOCOL_JSON:
        return "POST /push";
    default:
        return "POST /write and GET /ping";
    }
}

static const struct http_route *find(enum protocol protocol, struct str path)
{
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (ROUTES[i].protocol == protocol &&
            (ROUTES[i].path == NULL || str_is(path, ROUTES[i].path)))
            return &ROUTES[i];
    }
    return NULL;
}

const struct http_route *http_route_find(enum protocol protocol, const struct http_head *head,
                                         struct http_answer *answer)
{
    const struct http_route *route = find(protocol, head->path);
    char quoted[STR_QUOTED_SIZE];

    (void)str_printable(head->path, quoted);
    answer->dialect = http_dialect_of(protocol, head->content_type);
    if (route == NULL) {
        http_answer_set(answer, 404, "nothing is at '%s'; kpid takes %s here", quoted,
                        hint_of(protocol));
        return NULL;
    }
    if (protocol != PROTOCOL_OTLP)
        answer->dialect = route->dialect;
    if (head->method < 32 && (KINDS[route->kind].methods >> head->method & 1) != 0)
        return route;
    if (head->method == HTTP_OPTIONS)
        answer->status = 204;
    else
        http_answer_set(answer, 405, "%s is not for %s", quoted, http_method_str(head->method));
    answer->allow = KINDS[route->kind].allow;
    return NULL;
}
