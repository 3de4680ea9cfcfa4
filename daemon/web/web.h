/* The control interface: HTTP over a Unix socket, for kpictl and probes.
 *
 * GET /healthz /readyz /metrics, /api/v1/status kpis/ID query ingest ingest/tail metrics
 * metrics/top metrics/series annotations alerts hooks store/task store/export store/clock; POST
 * /api/v1/push metrics/drop annotations store/backup store/verify store/import store/clock. Figures
 * are computed when asked, from the newest commit. An optional address serves the same to those
 * whose token may (ingest/token.h); reading needs none unless the configuration says so. GET, POST
 * /api/v1/tokens and POST /api/v1/tokens/revoke: tokens. Every error is
 * {"error":{"kind","message","hint"}}. To add a call: a line in router.c's table and its handler in
 * an api_*.c. */
#pragma once

#include "alert/alert_engine.h"
#include "base/buf.h"
#include "ingest/ingest.h"
#include "ingest/token.h"
#include "kpi/kpi.h"
#include "series/delta.h"
#include "series/room.h"
#include "store/store.h"
#include "store/writer.h"
#include "web/http_server.h"

struct web;
struct inherited; /* base/inherited.h */

/* What app knows and web shows: listeners beside their committed ledger. */
struct web_listener {
    char name[256]; /* its name in the ledger */
    const char *protocol;
    char listen[200];
    bool is_inherited; /* the socket was opened by whoever started kpid */
    uint64_t pending;
    uint64_t kernel_drops;
    uint64_t connections_denied;
};

/* What a client of a listener says that it dropped itself, since start. */
struct web_client {
    char listener[256]; /* its name in the ledger */
    char name[32];
    char version[32];
    char transport[32];
    uint64_t packets, bytes, metrics;
};

/* Part of a configuration, borrowed until web_reload returns. */
struct web_config {
    const struct kpi_set *kpis;
    const struct rule_set *rules;
    const struct hook_set *hooks;
    const struct calendar *calendar; /* the default one */
    const char *control_path;
    const char *http_listen; /* NULL: none */
    struct http_access http_access;
    const struct token *tokens; /* of the configuration */
    size_t token_count;
    struct tls *const *certificates; /* of listeners and of the address */
    size_t certificate_count;
    span_ms max_future; /* of pushed times (FIG-3) */
    span_ms max_past;
};

struct web_options {
    struct store *store;
    struct writer *writer;
    const struct room *room; /* whose metrics have too many series; NULL is fine */
    /* Up to `max` listeners into `out`; returns how many there are. Called on the web thread. */
    size_t (*listeners)(struct web_listener *out, size_t max, void *arg);
    size_t (*clients)(struct web_client *out, size_t max, void *arg); /* the same; NULL: none */
    /* The same: what was rejected, by listener; NULL: nothing. */
    size_t (*rejected)(struct rejected_facts *out, size_t max, void *arg);
    /* What comes to the listeners now (ingest_tail); NULL: nobody can say. */
    void (*tail)(const struct tail_request *request, struct tail_lines *out, void *arg);
    /* From now on these are the tokens; called on the web thread. NULL: nobody else has to know. */
    void (*set_tokens)(struct token_table *tokens, void *arg);
    struct inherited *inherited; /* its sockets are taken out of it at the start; NULL: none */
    /* Whether all threads turn and the store commits; else false and why. */
    bool (*is_ready)(struct error *why, void *arg);
    void *arg;
};

/* Opens the sockets (the control socket's file has mode 0660; a stale one is replaced if it is a
 * socket and nobody answers) and starts the thread "web". */
struct web *web_start(const struct web_options *options, const struct web_config *config,
                      struct error *err);

/* The tokens that are stored, and beside them those of a configuration, which come first. The
 * caller holds the table. */
struct token_table *web_load_tokens(struct store *store, const struct web_config *config,
                                    const struct token_table *before, struct error *err);

/* Main thread. When it returns the old configuration is no longer used. Addresses do not change. */
void web_reload(struct web *web, const struct web_config *config);

/* Lets requests under way end, for at most 2 s; pushes among them wait for the writer, so call it
 * before writer_stop. */
void web_stop(struct web *web);

/* Stops it; NULL is fine. After writer_stop: until then the writer may hold a push of a client that
 * is not waited for any longer. */
void web_free(struct web *web);

struct thread *web_thread(struct web *web);

/* "127.0.0.1:8640" with the real port, for the log; NULL without http_listen. */
const char *web_http_address(const struct web *web);
