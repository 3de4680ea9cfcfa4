#include "web/router.h"

#include "web/web_private.h"

enum { NAMES_MAX = 32 };

const struct route ROUTES[] = {
    {"GET", "/healthz", api_healthz, RIGHT_NONE},
    {"GET", "/readyz", api_readyz, RIGHT_NONE},
    {"GET", "/metrics", api_metrics, RIGHT_READ},
    {"GET", "/api/v1/status", api_status, RIGHT_READ},
    {"GET", "/api/v1/kpis/:id", api_kpi, RIGHT_READ},
    {"GET", "/api/v1/query", api_query, RIGHT_READ},
    {"GET", "/api/v1/ingest", api_ingest, RIGHT_READ},
    {"GET", "/api/v1/ingest/tail", api_ingest_tail, RIGHT_READ},
    {"GET", "/api/v1/metrics", api_metric_list, RIGHT_READ},
    {"GET", "/api/v1/metrics/top", api_metric_top, RIGHT_READ},
    {"GET", "/api/v1/metrics/series", api_metric_series, RIGHT_READ},
    {"POST", "/api/v1/metrics/drop", api_metric_drop, RIGHT_ADMIN},
    {"GET", "/api/v1/alerts", api_alerts, RIGHT_READ},
    {"GET", "/api/v1/hooks", api_hooks, RIGHT_READ},
    {"GET", "/api/v1/annotations", api_annotations, RIGHT_READ},
    {"POST", "/api/v1/annotations", api_annotate, RIGHT_EDIT},
    {"POST", "/api/v1/push", api_push, RIGHT_SAMPLES},
    {"POST", "/api/v1/import/rows", api_rows, RIGHT_SAMPLES},
    {"POST", "/api/v1/store/backup", api_backup, RIGHT_ADMIN},
    {"POST", "/api/v1/store/verify", api_verify, RIGHT_ADMIN},
    {"GET", "/api/v1/store/task", api_task, RIGHT_READ},
    {"GET", "/api/v1/store/export", api_export, RIGHT_READ},
    {"POST", "/api/v1/store/import", api_import, RIGHT_ADMIN},
    {"GET", "/api/v1/store/clock", api_clock, RIGHT_READ},
    {"POST", "/api/v1/store/clock", api_clock_accept, RIGHT_ADMIN},
    {"GET", "/api/v1/tokens", api_tokens, RIGHT_ADMIN},
    {"POST", "/api/v1/tokens", api_token_add, RIGHT_ADMIN},
    {"POST", "/api/v1/tokens/revoke", api_token_revoke, RIGHT_ADMIN},
};

const size_t ROUTE_COUNT = sizeof ROUTES / sizeof ROUTES[0];

static bool path_matches(struct str pattern, struct str path, struct str *parameter)
{
    *parameter = STR_EMPTY;
    while (pattern.len > 0 && path.len > 0) {
        struct str want = str_split(&pattern, '/');
        size_t path_left = path.len;
        struct str have = str_split(&path, '/');

        if (have.len < path_left && path.len == 0 && pattern.len == 0)
            return false; /* a slash at the end is another path */
        if (str_starts_with(want, ":")) {
            if (have.len == 0)
                return false;
            *parameter = have;
        } else if (!str_equal(want, have)) {
            return false;
        }
    }
    return pattern.len == 0 && path.len == 0;
}

static bool method_matches(const char *have, struct str method)
{
    return str_is(method, have) || (str_is(method, "HEAD") && str_is(STR("GET"), have));
}

enum route_match router_find(const struct route *routes, size_t count, struct str method,
                             struct str path, const struct route **out, struct str *parameter)
{
    enum route_match match = ROUTE_NO_PATH;

    for (size_t i = 0; i < count; i++) {
        if (!path_matches(str_of(routes[i].path), path, parameter))
            continue;
        match = ROUTE_NO_METHOD;
        if (method_matches(routes[i].method, method)) {
            *out = &routes[i];
            return ROUTE_FOUND;
        }
    }
    *parameter = STR_EMPTY;
    return match;
}

void router_methods(const struct route *routes, size_t count, struct str path, struct buf *out)
{
    struct str parameter;

    for (size_t i = 0; i < count; i++)
        if (path_matches(str_of(routes[i].path), path, &parameter))
            buf_printf(out, "%s%s", out->len > 0 ? ", " : "", routes[i].method);
}

const char *router_nearest(const struct route *routes, size_t count, struct str path)
{
    const char *names[NAMES_MAX];
    size_t name_count = 0;

    for (size_t i = 0; i < count && name_count < NAMES_MAX; i++)
        names[name_count++] = routes[i].path;
    return str_nearest(path, names, name_count);
}
