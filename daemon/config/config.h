/* The configuration: YAML -> the definition structs of every folder, with all mistakes at once.
 *
 * Built once and never changed; a reload builds a new one. Everything it holds lives in its arena
 * and is valid until config_free. The language is described by one table (config/schema.h) from
 * which the reader, --print-config, the man page and the JSON Schema are made. */
#pragma once

#include "alert/alert_engine.h"
#include "alert/hook.h"
#include "alert/rule.h"
#include "config/findings.h"
#include "ingest/ingest.h"
#include "kpi/evaluator.h"
#include "kpi/kpi.h"
#include "series/mapping.h"
#include "store/series_limits.h"
#include "store/store.h"

struct http_config {
    const char *listen; /* "127.0.0.1:8640"; NULL: none */
    const char *base_url;
    const struct network *allow; /* who may speak there; none: all */
    size_t allow_count;
    struct tls *tls; /* NULL: plain */
    bool tokens;     /* reading needs a token */
};

struct config {
    struct arena arena;
    const char *path;
    uint64_t hash; /* of what was read: stored with evaluations later */

    /* server; these need a restart when they change */
    const char *control_path; /* the control socket */
    unsigned threads;
    struct store_options store;
    struct http_config http;

    bool own_metrics; /* kpid posts what it counts of itself (store/own_metrics.h) */
    struct ingest_config ingest;
    struct upkeep_options upkeep;
    struct series_limits series_limits;
    struct metric_table metrics;
    struct mapping *mapping; /* of metrics; NULL without rules */
    struct kpi_set kpis;
    struct rule_set rules;
    struct hook_set hooks;
    struct alert_config alert; /* points to rules and hooks above */
    struct evaluator_config evaluator;
    const struct calendar *calendar; /* the default one */
    struct tls **tls;                /* of all listeners; released by config_free */
    size_t tls_count, tls_capacity;
    const struct token *tokens; /* of server.auth.tokens */
    size_t token_count;
    struct calendar **calendars; /* all, freed by config_free */
    size_t calendar_count, calendar_capacity;
    struct yaml_node *tree; /* what is in force, in long form: for config_print */
};

/* Reads the file and what it includes. NULL when there is an error among the findings; warnings
 * alone do not refuse a load. */
struct config *config_load(const char *path, struct findings *findings);
void config_free(struct config *config); /* NULL is fine */

/* The same from text, for tests and fuzzing; `name` stands for the file in findings. No includes.
 */
struct config *config_load_text(struct str text, const char *name, struct findings *findings);

/* What is in force, as YAML: defaults filled in, long forms, secrets by their source alone. */
void config_print(const struct config *config, struct buf *out);

/* From the table: the JSON Schema of the language (draft 2020-12), and the key reference of
 * kpid.yaml(5) in mdoc. */
void config_json_schema(struct buf *out);
void config_man_keys(struct buf *out);

/* What a reload cannot change (threads, storage.path, server.control, ...) stays as it is in `old`;
 * `changes` names what differs, empty when nothing does. So each reload says it until kpid was
 * started again. */
void config_keep_started(struct config *fresh, const struct config *old, struct buf *changes);
