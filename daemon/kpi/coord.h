/* Who may evaluate, and how a transition is stored: local in this process for now.
 *
 * A cluster puts its lease and its compare-and-set behind the same few calls. A transition is given
 * the statuses of one run; what follows from them (alert states, events, outbox entries) is written
 * by `apply` inside one transaction, together with the schedule's mark. */
#pragma once

#include "kpi/kpi.h"
#include "store/writer.h"

struct coord;

/* Called on the writer's thread inside the transaction, and again after a failed commit. app
 * connects it to alert/. */
typedef bool (*coord_apply_fn)(struct write_txn *txn, const struct kpi_status *statuses,
                               size_t count, wall_ms now, void *arg, struct error *err);

/* After the commit, on the writer's thread: e.g. wakes the dispatcher. */
typedef void (*coord_committed_fn)(void *arg);

struct coord *coord_new_local(struct writer *writer, coord_apply_fn apply,
                              coord_committed_fn on_committed, void *arg);
void coord_free(struct coord *coord);

/* Whether this process may evaluate now: always, as long as it is alone. */
bool coord_may_evaluate(const struct coord *coord);

struct coord_mark {
    const char *schedule; /* its id */
    wall_ms last_run;
    wall_ms next_run;
};

/* Stores one run: tried until it holds. `statuses`, what they point to and `mark` stay valid until
 * `done` was called (on the writer's thread). */
typedef void (*coord_done_fn)(void *arg);
void coord_store(struct coord *coord, const struct kpi_status *statuses, size_t count,
                 const struct coord_mark *mark, wall_ms now, coord_done_fn done, void *done_arg);
