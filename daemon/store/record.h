/* Small records beside the cells: alert states, the outbox, schedule marks.
 *
 * Each table belongs to the module that is named with it, which also encodes the bytes;
 * store/schema.h shows them all. Keys are 1 to 500 bytes, ordered by their bytes. */
#pragma once

#include "store/store.h"

enum record_table {
    RECORD_ALERT_STATE, /* alert/alert_engine: rule -> state */
    RECORD_OUTBOX,      /* alert/outbox: hook, sequence -> entry */
    RECORD_EVENT,       /* alert/outbox: sequence -> event, the history */
    RECORD_HOOK,        /* alert/outbox: hook -> counts and last error */
    RECORD_SCHEDULE,    /* kpi/evaluator: schedule -> last and next run */
    RECORD_DECLARED,    /* kpi/evaluator: metric -> when it was first declared (FIG-11) */
    RECORD_FIGURE,      /* kpi/period_record: KPI, closed period -> its figure (FIG-30) */
    RECORD_TOKEN,       /* web/token_record: name -> role and hash */
    RECORD_TABLE_COUNT,
};

/* Whether there is one; `value` is valid until the transaction ends, in a write transaction until
 * its next change. The same holds for everything below. */
bool record_get(struct read_txn *txn, enum record_table table, struct str key, struct str *value);

bool record_put(struct write_txn *txn, enum record_table table, struct str key, struct str value,
                struct error *err);

/* True also when there was none. */
bool record_remove(struct write_txn *txn, enum record_table table, struct str key,
                   struct error *err);

/* Visits the records whose key starts with `prefix`, in the order of their keys; return false to
 * stop. The table must not be changed meanwhile. */
typedef bool (*record_fn)(struct str key, struct str value, void *arg);
void record_scan(struct read_txn *txn, enum record_table table, struct str prefix,
                 record_fn on_record, void *arg);

/* The last record of the table whose key starts with `prefix`; false if there is none. */
bool record_last(struct read_txn *txn, enum record_table table, struct str prefix, struct str *key,
                 struct str *value);
