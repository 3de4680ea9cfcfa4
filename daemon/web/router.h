/* Method and path -> handler, by one table.
 *
 * A path is compared segment by segment with the pattern's; ":name" takes any one segment that is
 * not empty. Paths are as they were sent, not percent-decoded. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "ingest/token.h"

struct web;
struct http_request;

/* Answers the request now or later; when it returns false it has not, and `err` says why. */
typedef bool (*route_fn)(struct web *web, struct http_request *request, struct error *err);

struct route {
    const char *method;
    const char *path;
    route_fn handler;
    enum right right; /* what it needs, but on the control socket */
};

extern const struct route ROUTES[];
extern const size_t ROUTE_COUNT;

enum route_match { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };

/* `parameter` gets the segment that stands for ":name", still percent-encoded; empty without. HEAD
 * finds what GET does. */
enum route_match router_find(const struct route *routes, size_t count, struct str method,
                             struct str path, const struct route **out, struct str *parameter);

/* The methods that `path` has, as "GET, POST": for the Allow header. */
void router_methods(const struct route *routes, size_t count, struct str path, struct buf *out);

/* The path nearest to one that does not exist; NULL when none is near. */
const char *router_nearest(const struct route *routes, size_t count, struct str path);
