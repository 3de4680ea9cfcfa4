/* The outbox: entries (event x hook) that must outlive a crash.
 *
 * One is pushed in the same transaction as the alert state that caused it, so neither exists
 * without the other. Delivery is at least once with a stable id: an entry stays until the hook has
 * answered. Entries of one hook and rule (of one KPI, where no rule speaks) are delivered in their
 * order.
 *
 * RECORD_OUTBOX: key hook's id, u8 0, u64 sequence (big-endian); value
 *   u8 version 2, u8 state, u32 attempts, i64 queued_at, i64 tried_at, i64 next_try,
 *   block last_error,
 *   block event (alert/event.h)
 * RECORD_EVENT: key u64 sequence (big-endian); value the event
 * RECORD_HOOK: key hook's id; value
 *   u8 version 2, u64 pending, u64 dead, u64 sent, i64 sent_at, i64 paused_at, i64 paused_until,
 *   block last_error */
#pragma once

#include "alert/event.h"
#include "store/record.h"

enum outbox_state { OUTBOX_QUEUED, OUTBOX_DEAD };

struct outbox_entry {
    struct str hook;
    uint64_t sequence; /* grows over the whole outbox; one event has the same for all its hooks */
    enum outbox_state state;
    uint32_t attempts;
    wall_ms queued_at;
    wall_ms tried_at; /* when next_try was set */
    wall_ms next_try;
    struct str last_error; /* empty before the first failure */
    struct event event;
};

/* Texts point into `key` and `value`. False: they are no entry, to the last byte. */
bool outbox_entry_decode(struct str key, struct str value, struct outbox_entry *out);

/* The number of an event in the history; false: the key is none. */
bool outbox_event_sequence(struct str key, uint64_t *out);

/* What the history has under a number; false when it has nothing. */
bool outbox_event_get(struct read_txn *txn, uint64_t sequence, struct str *value);

/* Queues the event for each hook, and adds it to the history (RECORD_EVENT, the newest
 * OUTBOX_HISTORY_MAX are kept). `event->id` is filled if it is empty. A hook for which
 * OUTBOX_PENDING_MAX messages wait gets no more of them: the event is a dead entry at once, with
 * the reason. */
enum { OUTBOX_HISTORY_MAX = 10000, OUTBOX_PENDING_MAX = 10000, OUTBOX_HOOK_MAX = 400 };
bool outbox_push(struct write_txn *txn, struct event *event, const char *const *hooks,
                 size_t hook_count, wall_ms now, struct error *err);

/* Entries of `hook` that are due at `now`, in order, at most `max`, copied into `arena`. An entry
 * behind an undelivered one of the same rule is not due, nor is any while the hook is paused. A
 * wait that began after `now` was made by a clock that has been set back since: it is over. */
size_t outbox_due(struct read_txn *txn, struct str hook, wall_ms now, size_t max,
                  struct arena *arena, struct outbox_entry *out);

/* When the next entry of `hook` is due; WALL_NONE if nothing is queued. */
wall_ms outbox_next_try(struct read_txn *txn, struct str hook);

/* The first entry of `hook` that was queued at `before` or earlier, copied into `arena`: for hooks
 * that the configuration no longer has. */
bool outbox_expired(struct read_txn *txn, struct str hook, wall_ms before, struct arena *arena,
                    struct outbox_entry *out);

/* The hooks for which something is queued; return false to stop. */
typedef bool (*outbox_hook_fn)(struct str hook, void *arg);
void outbox_hooks(struct read_txn *txn, outbox_hook_fn on_hook, void *arg);

struct outbox_wait {
    wall_ms from; /* now */
    wall_ms until;
};

/* What became of an attempt. Each is part of a transaction of the writer, and nothing happens when
 * the entry is not queued any more. Of a hook's dead entries the newest OUTBOX_DEAD_MAX are kept.
 */
enum { OUTBOX_DEAD_MAX = 1000 };
bool outbox_ack(struct write_txn *txn, struct str hook, uint64_t sequence, wall_ms now,
                struct error *err);
bool outbox_postpone(struct write_txn *txn, struct str hook, uint64_t sequence,
                     struct outbox_wait wait, struct str why, struct error *err);
bool outbox_bury(struct write_txn *txn, struct str hook, uint64_t sequence, struct str why,
                 struct error *err);

/* Nothing of the hook is due before the wait is over (it said so by Retry-After). */
bool outbox_pause(struct write_txn *txn, struct str hook, struct outbox_wait wait,
                  struct error *err);

/* For lists: counts and the last error of a hook (RECORD_HOOK). */
struct outbox_facts {
    uint64_t pending;
    uint64_t dead;
    uint64_t sent;        /* ever */
    wall_ms sent_at;      /* the last one; WALL_NONE before the first */
    char last_error[256]; /* empty when the last attempt went well */
};
void outbox_facts(struct read_txn *txn, struct str hook, struct outbox_facts *out);

/* False: it is no value of RECORD_HOOK. */
bool outbox_facts_decode(struct str value, struct outbox_facts *out);
