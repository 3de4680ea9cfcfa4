/* What the readers of the sections share while a configuration is built. Each reads its sections of
 * the tree in long form, reports what is wrong and leaves the rest out; a configuration with an
 * error is thrown away whole. */
#pragma once

#include "config/address.h"
#include "config/config.h"
#include "config/include.h"
#include "config/object.h"
#include "config/yaml.h"

struct loader {
    struct config *config;
    struct arena *arena; /* of the configuration */
    struct findings *findings;
    struct yaml_node *root;
    struct kpi *kpis; /* config->kpis while it is built */
    size_t kpi_count;
    struct table calendars_by_id; /* -> struct calendar */
    const struct schedule **schedules;
    size_t schedule_count, schedule_capacity;
};

/* Items of a section that were not found bad; NULL past the end. `*at` starts at 0. */
struct yaml_node *loader_next(const struct loader *loader, const char *section, size_t *at);

/* How many items a section has, good or bad. */
size_t loader_count(const struct loader *loader, const char *section);

/* Whether an id stands in a section; else an unknown name is reported at `node`. */
bool loader_refer(const struct loader *loader, const struct yaml_node *node, const char *section,
                  const char *what);

/* An item of a section as an object, with its part of `defaults:` when `defaults` is not NULL. */
struct object loader_object(const struct loader *loader, struct yaml_node *node,
                            const char *section, const char *defaults);

/* A section of the file, made when there is none (config_server.c). */
struct object loader_section(const struct loader *loader, const char *name);

/* The first of the directories that systemd gives in `variable`, else `otherwise`. */
const char *loader_directory(const struct loader *loader, const char *variable,
                             const char *otherwise);

/* Reports the mistake of a text that was parsed; a "column N: " at the start of the error moves the
 * place. Returns false. */
bool loader_report(const struct loader *loader, const struct yaml_node *node,
                   const struct error *err);

/* A relative path starts at the folder of the file it stands in. Makes it so in the node, after
 * `skip` bytes of it, so that --print-config shows what is meant. */
void loader_anchor(const struct loader *loader, struct yaml_node *node, size_t skip);

/* The secret or plain text of a node. */
bool loader_secret(const struct loader *loader, struct yaml_node *node, struct str *out);

/* The same of a secret that may have many lines; `*named` is where its source stands. */
bool loader_secret_lines(const struct loader *loader, struct yaml_node *node, struct str *out,
                         struct yaml_node **named);

/* Who may speak on an address (config_access.c): what `allow`, `tls` and `tokens` of an object say.
 * They are the configuration's. */
struct loaded_access {
    const struct network *allow;
    size_t allow_count;
    struct tls *tls;
    bool tokens;
    bool has_client_ca;
};
bool load_access(const struct loader *loader, const struct object *object,
                 struct loaded_access *out);

/* The address that a node has after `skip` bytes, which becomes there what it is for listeners: so
 * that localhost and other forms of one address are one (config_access.c). */
bool load_address(const struct loader *loader, struct yaml_node *node, size_t skip,
                  struct address *out);

/* Reports, at the address, that others can reach it and nothing says who may; warns of tokens that
 * travel in the clear. */
bool check_reachable(const struct loader *loader, const struct yaml_node *listen,
                     const struct address *address, const struct loaded_access *access);

/* server.auth (config_access.c). */
void load_auth(const struct loader *loader, const struct object *server);

/* The unit that a text names; units of time may be written as words ("hours"). */
bool loader_unit(const struct loader *loader, const struct yaml_node *node, struct unit *out);

/* A calendar of the configuration for a zone and a first day of the week (1 to 7), made if need be.
 * NULL when the zone is not known. */
const struct calendar *loader_calendar(struct loader *loader, struct str zone, int week_start,
                                       struct error *err);

/* The calendar that a key names, else the default one. */
const struct calendar *loader_calendar_of(const struct loader *loader, const struct object *object,
                                          const char *key);

/* The schedule that a value stands for: a name, a text or a map; texts are run on `calendar`. NULL
 * when it is not built yet (`*not_built`) or wrong (reported). */
const struct schedule *loader_schedule(struct loader *loader, struct yaml_node *node,
                                       const struct calendar *calendar, bool *not_built);

/* The schedule of a text that is known to be right, as "every 1m". */
const struct schedule *loader_schedule_text(struct loader *loader, const char *text,
                                            const struct calendar *calendar);

struct kpi *loader_kpi(const struct loader *loader, struct str id);

/* max_series of a metric or a listener; 0: it has none, or one that is reported. */
uint64_t load_max_series(const struct loader *loader, const struct object *object);

/* In this order. */
void load_server(struct loader *loader);        /* config_server.c */
void load_storage(struct loader *loader);       /* config_storage.c */
void load_ingest(struct loader *loader);        /* config_ingest.c */
void load_calendars(struct loader *loader);     /* config_calendars.c: calendars, organisation */
void load_day_calendars(struct loader *loader); /* config_storage.c: zones of calendars so far */
void load_schedules(struct loader *loader);     /* config_schedules.c */
void load_metrics(struct loader *loader);
void load_mapping(struct loader *loader);     /* config_metrics.c */
void load_kpis(struct loader *loader);        /* config_kpis.c, config_targets.c */
void load_own_metrics(struct loader *loader); /* config_storage.c: server.own_metrics */
void load_hooks(struct loader *loader);       /* config_hooks.c: hooks, defaults.hooks */
void load_rules(struct loader *loader);       /* config_rules.c */
void load_evaluations(struct loader *loader); /* config_evaluations.c */

/* What a `keep:` says, the rest from `fallback` (config_storage.c). */
void load_keep(const struct loader *loader, const struct object *keep,
               const struct retention *fallback, struct retention *out);

/* Targets whose KPI does not exist (config_targets.c). */
void check_targets(struct loader *loader);

/* The targets of a KPI whose formula and unit are known (config_targets.c). */
void load_targets(struct loader *loader, struct kpi *kpi);

/* The unit that a KPI without one gets from its targets' numbers; false when they say nothing. */
bool targets_unit(const struct loader *loader, struct str kpi, const struct formula *formula,
                  struct unit *out);
