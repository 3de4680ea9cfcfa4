/* Who may evaluate, and how a transition is stored: local in this process for now.
 *
 * A cluster puts its lease and its compare-and-set behind the same few calls. A transition is given
 * what one run found; what follows from it (alert states, events, outbox entries) is written by
 * `apply` inside one transaction, together with the schedule's mark and with what the evaluator
 * keeps of closed periods. */
#pragma once

#include "kpi/kpi.h"
#include "store/writer.h"

struct coord;

struct coord_mark {
    const char *schedule; /* its id; NULL: no schedule has run */
    wall_ms last_run;
    wall_ms next_run;
};

/* A row of RECORD_FIGURE, written as it is; an empty value takes it away. */
struct coord_figure {
    struct str key;
    struct str value;
};

/* What one run of a schedule found, or one look at the periods that have closed. */
struct coord_run {
    const struct kpi_status *statuses;
    size_t count;
    struct coord_mark mark;
    wall_ms now;
    const struct kpi_restatement *restatements;
    size_t restatement_count;
    const struct coord_figure *figures;
    size_t figure_count;
};

/* Called on the writer's thread inside the transaction, and again after a failed commit. app
 * connects it to alert/. */
typedef bool (*coord_apply_fn)(struct write_txn *txn, const struct coord_run *run, void *arg,
                               struct error *err);

/* After the commit, on the writer's thread: e.g. wakes the dispatcher. */
typedef void (*coord_committed_fn)(void *arg);

struct coord *coord_new_local(struct writer *writer, coord_apply_fn apply,
                              coord_committed_fn on_committed, void *arg);
void coord_free(struct coord *coord);

/* Whether this process may evaluate now: always, as long as it is alone. */
bool coord_may_evaluate(const struct coord *coord);

/* Called on the writer's thread when it is committed (`err` NULL), or when it never will be: the
 * transition was refused, or the writer stopped before it could commit. */
typedef void (*coord_done_fn)(const struct error *err, void *arg);

/* Stores one run: tried until it holds. `run` and all it points to stay valid until `done` was
 * called. One transition at a time: the next one after `done`. */
void coord_store(struct coord *coord, const struct coord_run *run, coord_done_fn done,
                 void *done_arg);

/* Notes metrics that are declared since `now` (FIG-11), those that have no such note. A transition
 * like coord_store's. */
void coord_declare(struct coord *coord, const struct str *metrics, size_t count, wall_ms now,
                   coord_done_fn done, void *done_arg);

/* Gives up the transition under way, on a disk that has been full for a while: when it returns,
 * nothing of it is read any more. It may have been stored or not; `done` is called all the same.
 * The next evaluation finds the stored states and makes what is still due. */
void coord_abandon(struct coord *coord);
