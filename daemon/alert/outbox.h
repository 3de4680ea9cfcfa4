/* The outbox: entries (event x hook) that must outlive a crash.
 *
 * One is pushed in the same transaction as the alert state that caused it, so neither exists
 * without the other. Delivery is at least once with a stable id: an entry stays until the hook has
 * answered. Entries of one hook and rule are delivered in their order. */
#pragma once

#include "alert/event.h"
#include "store/record.h"

enum outbox_state { OUTBOX_QUEUED, OUTBOX_DEAD };

struct outbox_entry {
    struct str hook;
    uint64_t sequence; /* grows over the whole outbox */
    enum outbox_state state;
    uint32_t attempts;
    wall_ms queued_at;
    wall_ms next_try;
    struct str last_error; /* empty before the first failure */
    struct event event;
};

/* Queues the event for each hook, and adds it to the history (RECORD_EVENT, the newest
 * OUTBOX_HISTORY_MAX are kept). `event->id` is filled if it is empty. */
enum { OUTBOX_HISTORY_MAX = 10000 };
bool outbox_push(struct write_txn *txn, struct event *event, const char *const *hooks,
                 size_t hook_count, wall_ms now, struct error *err);

/* Entries of `hook` that are due at `now`, in order, at most `max`, copied into `arena`. An entry
 * behind an undelivered one of the same rule is not due. */
size_t outbox_due(struct read_txn *txn, struct str hook, wall_ms now, size_t max,
                  struct arena *arena, struct outbox_entry *out);

/* When the next entry of any hook is due; WALL_NONE if nothing is queued. */
wall_ms outbox_next_try(struct read_txn *txn);

/* What became of an attempt. Each is a transaction of the writer. */
bool outbox_ack(struct write_txn *txn, struct str hook, uint64_t sequence, wall_ms now,
                struct error *err);
bool outbox_postpone(struct write_txn *txn, struct str hook, uint64_t sequence, wall_ms next_try,
                     struct str why, struct error *err);
bool outbox_bury(struct write_txn *txn, struct str hook, uint64_t sequence, struct str why,
                 struct error *err);

/* For lists: counts and the last error of a hook (RECORD_HOOK and its entries). */
struct outbox_facts {
    uint64_t pending;
    uint64_t dead;
    uint64_t sent;        /* ever */
    char last_error[256]; /* empty when the last attempt went well */
};
void outbox_facts(struct read_txn *txn, struct str hook, struct outbox_facts *out);
