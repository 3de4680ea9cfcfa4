/* What the handlers share. All of it is the web thread's. */
#pragma once

#include "base/json.h"
#include "base/thread.h"
#include "ingest/push.h"
#include "web/http_server.h"
#include "web/router.h"
#include "web/web.h"

struct web {
    /* set once at start */
    struct web_options options;
    struct thread *thread;
    struct http_server *server;
    struct event *tick;
    struct store_task *task;
    int quiet_fd; /* eventfd: written when nothing is under way after a stop */

    /* web thread only */
    struct web_config config;
    struct token_table *tokens;
    struct token_usage *asker; /* of the token that the request on hand has shown; NULL: none */
    struct attempts *attempts; /* of wrong tokens */
    struct ledger refused;     /* pushes that were refused, not handed to the writer yet */
    uint64_t last_arrival;     /* of a pushed sample */
    bool stopping;
};

/* The listener of the ledger that pushes count under. */
#define PUSH_LISTENER STR("json control")

/* Hands `refused` to the writer. */
void push_flush_refused(struct web *web);

/* How a push is read now: by the configuration, and by what a snapshot knows of its metrics. */
struct push_terms {
    struct batch_rules batch;
    struct push_rules rules; /* borrows `batch`, the snapshot and the configuration */
    uint64_t arrival;        /* of its first sample */
};
void push_terms_read(struct web *web, struct read_txn *txn, struct push_terms *out);
/* Samples that a request brought, for its token. NULL is fine. */
void push_count_for(struct token_usage *usage, uint64_t samples);

/* What a push is answered, in the delta's arena: how many of its samples are stored, and how many
 * are not since the writer dropped them, or a rule of mapping. */
struct str push_answer(struct delta *delta, uint64_t stored, uint64_t dropped);
/* A refused body or row is one sample received and rejected. */
void push_count_refused(struct web *web, enum reject_reason reason);

/* Reads the tokens anew and tells everybody. */
bool web_renew_tokens(struct web *web, struct error *err);

/* The handlers of router.c's table (route_fn). */
bool api_tokens(struct web *web, struct http_request *request, struct error *err);
bool api_token_add(struct web *web, struct http_request *request, struct error *err);
bool api_token_revoke(struct web *web, struct http_request *request, struct error *err);
bool api_healthz(struct web *web, struct http_request *request, struct error *err);
bool api_readyz(struct web *web, struct http_request *request, struct error *err);
bool api_metrics(struct web *web, struct http_request *request, struct error *err);
bool api_status(struct web *web, struct http_request *request, struct error *err);
bool api_kpi(struct web *web, struct http_request *request, struct error *err);
bool api_query(struct web *web, struct http_request *request, struct error *err);
bool api_ingest(struct web *web, struct http_request *request, struct error *err);
bool api_metric_list(struct web *web, struct http_request *request, struct error *err);
bool api_metric_top(struct web *web, struct http_request *request, struct error *err);
bool api_metric_series(struct web *web, struct http_request *request, struct error *err);
bool api_metric_drop(struct web *web, struct http_request *request, struct error *err);
bool api_ingest_tail(struct web *web, struct http_request *request, struct error *err);
bool api_annotations(struct web *web, struct http_request *request, struct error *err);
bool api_annotate(struct web *web, struct http_request *request, struct error *err);
bool api_push(struct web *web, struct http_request *request, struct error *err);
bool api_alerts(struct web *web, struct http_request *request, struct error *err);
bool api_hooks(struct web *web, struct http_request *request, struct error *err);
bool api_verify(struct web *web, struct http_request *request, struct error *err);
bool api_backup(struct web *web, struct http_request *request, struct error *err);
bool api_task(struct web *web, struct http_request *request, struct error *err);
bool api_export(struct web *web, struct http_request *request, struct error *err);
bool api_rows(struct web *web, struct http_request *request, struct error *err);
bool api_import(struct web *web, struct http_request *request, struct error *err);
bool api_clock(struct web *web, struct http_request *request, struct error *err);
bool api_clock_accept(struct web *web, struct http_request *request, struct error *err);

/* The body as an object of jansson's, which the caller json_decrefs; NULL with words. */
struct json_t *request_object(struct http_request *request, struct error *err);

/* What takes long (a backup, a verification), on a thread of its own. Freeing it stops what is
 * under way. */
struct store_task;
struct store_task *store_task_new(struct store *store);
void store_task_free(struct store_task *task); /* NULL is fine */

/* An answer that is built up under one snapshot. */
struct answer {
    struct read_txn *txn;
    struct buf body;
    struct json json;
    wall_ms now;
};

/* Takes only the parameters in `known`, begins the snapshot. */
bool answer_begin(struct web *web, struct http_request *request, const char *const *known,
                  struct answer *out, struct error *err);
/* Ends the snapshot and sends the body as JSON. True. */
bool answer_send(struct http_request *request, struct answer *answer);
/* Ends the snapshot without an answer. False. */
bool answer_drop(struct answer *answer);

/* "name": a time as ISO 8601 in the calendar's zone; null for WALL_NONE. */
void answer_time(struct json *json, const char *name, const struct calendar *calendar, wall_ms at);

/* "certificates": [{"file","expires_at","is_expiring","is_expired"}] of TLS. */
void answer_certificates(struct json *json, const struct web *web, wall_ms now);

/* "coverage": {"complete","levels","newest","mixed_sources"}. */
void answer_coverage(struct json *json, const struct calendar *calendar,
                     const struct coverage *coverage);

/* Every listener: those of the configuration first, then those that only the ledger knows. */
struct listener_line {
    struct str name;     /* in the ledger */
    struct str protocol; /* "statsd" */
    struct str listen;   /* "udp:127.0.0.1:8125" */
    bool is_inherited;
    struct ledger counts;
    uint64_t pending;
    uint64_t kernel_drops;
    uint64_t connections_denied;
    const struct web_client *clients; /* of all listeners, in the arena */
    size_t client_count;
    const struct reject_examples *examples; /* in the arena; NULL: none */
};
struct listener_line *listener_lines(struct web *web, struct read_txn *txn, struct arena *arena,
                                     size_t *count);
