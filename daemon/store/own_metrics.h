/* What kpid counts of itself, as metrics in its own store, so that a KPI can have a target on them:
 * nothing rejected, nothing dropped, no commit that fails.
 *
 * Names and labels are those of /metrics. They come as any other input does, in a delta that nobody
 * waits for, but without a ledger: what kpid says of itself was received by no listener, so theirs
 * are as they were. Only what has changed since the last look is posted, and everything once in
 * OWN_METRICS_ALL_MS, so that no series seems to have ended. Nothing that a post changes is posted
 * for that: an idle kpid posts nothing else.
 *
 * Counts of the ledger (series/ledger.h) travel as totals that count up (FIG-23). The ledger is
 * committed, and so is the last total that counted: each increment counts once, over a restart and
 * kill -9, also one that was not posted yet when kpid ended.
 *
 * Counters (base/counters.h), and datagrams that the kernel dropped, travel as what came since the
 * last look. None counts twice. What came after the last look before a crash is lost, as all
 * counters are; a stop looks once more.
 *
 * An increment counts at the time of the look that found it. What the ledger held when these
 * metrics were looked at for the first time ever does not count: it is history. After a time in
 * which they were switched off, the ledger's counts of that time come in one increment. While the
 * clock is behind where it was, totals wait until it has caught up.
 *
 * Each listener has all its reasons from its first look on, so a sum is 0, not unknown, before
 * anything went wrong (FIG-11), and there is no new series when the limit of series is reached. So
 * their number is bounded: about 30 for each of OWN_METRICS_LISTENERS_MAX listeners.
 *
 * One thread. It reads snapshots and posts to the writer. */
#pragma once

#include "store/store.h"

struct own_metrics;
struct delta;

enum { OWN_METRICS_LISTENERS_MAX = 256 };

#define OWN_METRICS_EVERY_MS (INT64_C(10) * MS_PER_SECOND) /* between two looks */
#define OWN_METRICS_ALL_MS   MS_PER_HOUR

/* A listener that is open, or about to be. */
struct own_listener {
    const char *name;            /* in the ledger */
    uint64_t kernel_drops;       /* datagrams, since it was opened */
    uint64_t connections_denied; /* the same */
};

struct own_metrics *own_metrics_new(struct store *store);
void own_metrics_free(struct own_metrics *own); /* NULL is fine */

/* What there is to be posted as of `now`; NULL when nothing is, or the store cannot be read: then
 * the next look finds it. Who calls posts it for certain: it is not found again. */
struct delta *own_metrics_look(struct own_metrics *own, const struct own_listener *listeners,
                               size_t count, wall_ms now);

/* Whether it is the name of one of them. */
bool own_metrics_has(struct str metric);
