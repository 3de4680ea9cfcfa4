/* What a listener's HTTP connections may be asked: which path, by which method, who answers.
 *
 *   influx      POST /write, /api/v2/write, /api/v3/write_lp    line protocol (I20, I21)
 *               GET, POST /query                                http_query.h (I28)
 *               GET, HEAD /ping, /health                        (I27, I29)
 *   prometheus  POST to any path                                remote write (P1)
 *   otlp        POST /v1/metrics                                (O1)
 *   json        POST /push                                      json_body.h
 *   collectd    POST to any path                                collectd_body.h
 *
 * Pure, on any thread. */
#pragma once

#include "ingest/body.h"
#include "ingest/ingest.h"

enum http_route_kind { ROUTE_WRITE, ROUTE_QUERY, ROUTE_PING, ROUTE_HEALTH };

struct http_route {
    const char *path;                 /* NULL: any */
    const struct body_format *format; /* of a write */
    enum protocol protocol;
    enum http_route_kind kind;
    enum http_dialect dialect;
    unsigned encodings; /* of a write: a bit for each that is taken */
};

/* How a protocol says what is wrong with a request, if its route says nothing else. */
enum http_dialect http_dialect_of(enum protocol protocol, struct str content_type);

/* NULL, and the answer (404, 405, or 204 to OPTIONS) when the request is for nothing that is there.
 * Else the answer has its dialect. */
const struct http_route *http_route_find(enum protocol protocol, const struct http_head *head,
                                         struct http_answer *answer);
