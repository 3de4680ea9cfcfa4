/* server: and storage: */
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/config_private.h"

enum { THREADS_MAX = 64, THREADS_AUTO_MAX = 8 };

/* The section, made when it is not in the file, so that its defaults can be noted in it. */
struct object loader_section(const struct loader *loader, const char *name)
{
    struct yaml_node *node = yaml_get(loader->root, name);

    if (node == NULL) {
        node = yaml_make_map(loader->arena, loader->root);
        yaml_put(loader->arena, loader->root, name, node);
    }
    return object_of(node->kind == YAML_KIND_MAP ? node : NULL, name);
}

/* The first of the directories that systemd gives, else `otherwise`. */
const char *loader_directory(const struct loader *loader, const char *variable,
                             const char *otherwise)
{
    /* Nobody changes the environment: NOLINTNEXTLINE(concurrency-mt-unsafe) */
    const char *value = getenv(variable);

    if (value == NULL || value[0] == '\0')
        return otherwise;
    struct str rest = str_of(value);
    return arena_text(loader->arena, str_split(&rest, ':'));
}

static void load_threads(const struct loader *loader, const struct object *server)
{
    const struct yaml_node *node = object_find(server, "threads");
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t threads = cores < 1 ? 1 : cores;

    if (threads > THREADS_AUTO_MAX)
        threads = THREADS_AUTO_MAX;
    if (node != NULL && node->whole >= 0) /* not the word auto */
        threads = node->whole;
    if (threads < 1 || threads > THREADS_MAX) {
        (void)finding_error(loader->findings, node, "threads are 1 to %d", THREADS_MAX);
        return;
    }
    loader->config->threads = (unsigned)threads;
    object_fill(server, "threads", str_of(arena_printf(loader->arena, "%u", (unsigned)threads)),
                loader->arena);
}

static void load_control(const struct loader *loader, const struct object *server)
{
    struct yaml_node *node = object_find(server, "control");
    struct sockaddr_un limit;

    if (node != NULL)
        loader_anchor(loader, node, 0);
    const char *path = object_copy(server, "control", loader->arena);

    if (path == NULL) {
        path = arena_printf(loader->arena, "%s/kpid.sock",
                            loader_directory(loader, "RUNTIME_DIRECTORY", "/run/kpid"));
        object_fill(server, "control", str_of(path), loader->arena);
    }
    path = address_path(str_of(path), loader->arena);
    if (node != NULL)
        node->text = str_of(path);
    if (strlen(path) >= sizeof limit.sun_path)
        (void)finding_error(loader->findings, node != NULL ? node : loader->root,
                            "the control socket's path is longer than %zu bytes: '%s'",
                            sizeof limit.sun_path - 1, path);
    loader->config->control_path = path;
}

static void load_http(const struct loader *loader, const struct object *server)
{
    struct object http = object_inside(server, "http");
    struct yaml_node *listen = object_find(&http, "listen");
    struct http_config *out = &loader->config->http;
    struct loaded_access access;
    struct address address;

    out->base_url = object_copy(&http, "base_url", loader->arena);
    if (listen == NULL)
        return;
    size_t skip = str_starts_with(listen->text, "http:") ? strlen("http:") : 0;
    bool ok = load_address(loader, listen, skip, &address);
    if (!load_access(loader, &http, &access) || !ok ||
        !check_reachable(loader, listen, &address, &access))
        return;
    out->allow = access.allow;
    out->allow_count = access.allow_count;
    out->tls = access.tls;
    out->tokens = access.tokens;
    out->listen =
        arena_text(loader->arena, (struct str){listen->text.text + skip, listen->text.len - skip});
}

static void load_limits(const struct loader *loader, const struct object *server)
{
    struct object limits = object_inside(server, "limits");
    struct ingest_config *ingest = &loader->config->ingest;
    static const struct {
        const char *key;
        int64_t low, high;
    } bounds[] = {
        {"series", 1, INT64_C(100000000)},       {"series_per_metric", 1, INT64_C(100000000)},
        {"label_values", 1, INT64_C(100000000)}, {"line", 64, INT64_C(16777216)},
        {"frame", 1024, INT64_C(67108864)},      {"body", 1024, INT64_C(134217728)},
        {"connections", 1, INT64_C(1000000)},    {"connections_per_peer", 1, INT64_C(1000000)},
    };

    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        int64_t value = object_whole(&limits, bounds[i].key);
        if (value < bounds[i].low || value > bounds[i].high)
            (void)finding_error(loader->findings, object_find(&limits, bounds[i].key),
                                "%s is from %lld to %lld", bounds[i].key, (long long)bounds[i].low,
                                (long long)bounds[i].high);
    }
    ingest->line_bytes_max = (size_t)object_whole(&limits, "line");
    ingest->frame_bytes_max = (size_t)object_whole(&limits, "frame");
    ingest->connections_max = (size_t)object_whole(&limits, "connections");
    ingest->connections_per_peer = (size_t)object_whole(&limits, "connections_per_peer");
    ingest->body_bytes_max = (size_t)object_whole(&limits, "body");
    ingest->idle_timeout = object_span(&limits, "idle");
    ingest->request_timeout = object_span(&limits, "request");
    if (ingest->request_timeout < MS_PER_SECOND)
        (void)finding_error(loader->findings, object_find(&limits, "request"),
                            "request is at least 1s");
    ingest->shard_limits.series = (size_t)object_whole(&limits, "series");
    loader->config->series_limits = (struct series_limits){
        .series = ingest->shard_limits.series,
        .per_metric = (uint64_t)object_whole(&limits, "series_per_metric"),
        .label_values = (uint64_t)object_whole(&limits, "label_values"),
        .metrics = &loader->config->metrics,
    };
    /* A few spellings of each series, then each line is normalised. */
    ingest->shard_limits.raw_keys = 2 * ingest->shard_limits.series;
}

void load_server(struct loader *loader)
{
    struct object root = {loader->root, NULL, &SCHEMA_ROOT};
    const struct yaml_node *version = object_find(&root, "kpid");
    struct object server = loader_section(loader, "server");

    if (version != NULL && version->whole != 1)
        (void)finding_error(loader->findings, version, "this kpid knows version 1 of the language");
    load_threads(loader, &server);
    load_control(loader, &server);
    load_http(loader, &server);
    load_auth(loader, &server);
    load_limits(loader, &server);
}
