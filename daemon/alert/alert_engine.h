/* From statuses to transitions: judges every rule of the KPIs that were evaluated, stores the new
 * states and pushes the events, all inside the transaction it is given.
 *
 * A restated period is an event of its own (FIG-30). All are in the history; the hooks of the KPI's
 * rules are told of a verdict that has turned (ALR-17), from hit to missed or back, of the newest
 * period that has closed: an import of old data is quiet (ALR-9).
 *
 * Runs on the writer's thread (kpi/coord.h). The rules are borrowed from a configuration. */
#pragma once

#include "alert/alert_state.h"
#include "alert/hook.h"
#include "alert/rule.h"
#include "kpi/coord.h"
#include "store/record.h"

struct alert_config {
    const struct rule_set *rules;
    const struct hook_set *hooks;
};

struct alert_engine;

struct alert_engine *alert_engine_new(const struct alert_config *config);
void alert_engine_free(struct alert_engine *engine);

/* On the writer's thread (thread_call), or before it runs. */
void alert_engine_set_config(struct alert_engine *engine, const struct alert_config *config);

/* The signature of coord_apply_fn; `arg` is the engine. */
bool alert_engine_apply(struct write_txn *txn, const struct coord_run *run, void *arg,
                        struct error *err);

/* Ends what is stored of rules that the configuration no longer has, has retired or cannot judge:
 * pending ones silently, firing ones with reason "rule_changed" (ALR-12) told to the hooks that
 * were told of the firing, else to the default ones. After a load, in a job of the writer. */
bool alert_engine_prune(struct write_txn *txn, const struct alert_config *config, wall_ms now,
                        struct error *err);

/* For lists: the stored state of a rule; false when it has none (inactive). */
bool alert_engine_state(struct read_txn *txn, struct str rule, struct alert_state *out);
