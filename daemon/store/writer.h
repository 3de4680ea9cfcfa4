/* The write thread: the only write transactions.
 *
 * What waits in its mailbox goes into one transaction (group commit) as soon as the last one is
 * done: first the deltas, then the jobs, each in the order they were posted. A transaction takes
 * about 20 ms of CPU at most: what is more goes into the next ones, a large delta that nobody waits
 * for in parts, each with the counts of its own samples (store/account.h), so that in every
 * snapshot the ledger says what is stored, also after a crash in between. A batch that is waited
 * for is one transaction whatever its size, which the limit of a body bounds. A commit that fails
 * (disk full, map full, I/O error) is tried again whole, with the shards merging on meanwhile; who
 * waits for an answer is told as soon as it is certain and taken out of the retry, and so is who
 * comes before the next try.
 *
 * When nothing waits, and after some commits when there is always more, the store's background work
 * is done (store/upkeep.h) in steps of as much, and after each who has come meanwhile is served.
 *
 * While the data is larger than storage.max_size only jobs and background work are committed;
 * deltas are refused with ERROR_FULL, or kept when nobody waits for them. */
#pragma once

#include "series/delta.h"
#include "store/activity.h"
#include "store/series_limits.h"
#include "store/store.h"

struct room;

struct writer;

struct writer_options {
    size_t mailbox_capacity; /* deltas posted and not yet committed; 0: a sensible default */
    size_t waiting_bytes;    /* the same in bytes, beyond which there is no room; 0: 256 MiB */
    span_ms retry_ms;        /* between tries of a failed commit; 0: 1 s */
    const struct upkeep_options *upkeep; /* NULL: no background work */
    struct series_limits limits;
    struct room *room; /* is told where there is no room for series; borrowed, NULL is fine */
};

struct writer *writer_new(struct store *store, const struct writer_options *options);
bool writer_start(struct writer *writer, struct error *err);

/* Commits all that was posted, then ends the thread. A commit that fails is tried again for 3 s;
 * what could not be committed by then is answered with the error, said in the log as lost, and what
 * nobody waited for is counted as dropped (store_full), if the store has room for that.
 * Callbacks may run on the calling thread when the writer's has ended. */
void writer_stop(struct writer *writer);
void writer_free(struct writer *writer); /* stops it; NULL is fine */

struct thread *writer_thread(struct writer *writer);

/* Whether a delta that nobody waits for should be handed over now: a shard whose answer is no keeps
 * merging. It is no while the store fails, and while too many deltas or bytes wait for a disk that
 * hangs. From any thread. */
bool writer_has_room(struct writer *writer);

/* Whether input is not stored now: the last commit failed, or the store is full. From any thread.
 */
bool writer_is_failing(struct writer *writer);

/* How long a shard should wait between two hand-overs: 1 to 10 s, so that the writer needs under a
 * tenth of a core for them; it is what a crash may lose of what nobody waits for. From any thread.
 */
span_ms writer_flush_interval(struct writer *writer);

/* True while the system's clock is not trusted: nothing is closed or expired; `why` gets the
 * sentence. From any thread. */
bool writer_clock_is_suspect(struct writer *writer, struct error *why);

/* A person says that the clock is right. In a job (writer_post_job). */
bool writer_accept_clock(struct writer *writer, struct write_txn *txn, struct error *err);

/* Takes days of another store (store/day_import.h). In a job. */
struct day_import;
bool writer_import_days(struct writer *writer, struct write_txn *txn, struct day_import *import,
                        struct error *err);

/* A reload: the options are borrowed until the next call. On the writer's thread (thread_call). */
void writer_set_upkeep(struct writer *writer, const struct upkeep_options *options);

/* The same: other limits of series. */
void writer_set_limits(struct writer *writer, const struct series_limits *limits);

/* What comes in of each metric; on the writer's thread, as in a job. */
void writer_activity(const struct writer *writer, struct metric_activity *out);

/* Series that somebody wants to be rid of: as soon as nothing of theirs is in the runs any more,
 * what they counted joins the `__other__` of their metric, and they go (store/upkeep.h). One that
 * still has samples a day later stays. In a job. */
bool writer_drop_series(struct writer *writer, struct write_txn *txn, const uint32_t *ids,
                        size_t count, struct error *err);

/* The delta is the writer's from here on, which takes no ledger without a listener's name. One that
 * is waited for is refused (false, and stays the caller's) when too much waits; another is always
 * taken. From any thread. */
bool writer_post_delta(struct writer *writer, struct delta *delta);

/* Work that runs on the writer's thread inside its transaction: alert transitions, outbox, marks.
 */
struct writer_job {
    struct message message; /* first */
    /* Writes what it has to. When it returns false its own writes, and nothing else, are undone. It
     * may run again after a commit that failed, so it changes nothing but the transaction and what
     * it sets anew each time. When the store itself cannot be written (record_put) the whole group
     * fails, whatever the job returns. */
    bool (*run)(struct writer_job *job, struct write_txn *txn, struct error *err);
    /* After the commit (`err` NULL) or when it never will be. On the writer's thread; the job is
     * its owner's again: it frees it or sends it on. */
    void (*done)(struct writer_job *job, const struct error *err);
    bool keep_trying; /* a failed commit is tried until it holds, not answered */
    /* the writer's own */
    bool failed;
    struct error err;
};

/* From any thread; never refused (jobs are few: their senders wait for `done`). */
void writer_post_job(struct writer *writer, struct writer_job *job);
