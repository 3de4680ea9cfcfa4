#include "store/writer.h"

#include <assert.h>
#include <event2/event.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "store/cells.h"
#include "store/ledger_table.h"

enum {
    DEFAULT_CAPACITY = 1024,
    DEFAULT_WAITING_BYTES = 256 << 20,
    DEFAULT_RETRY_MS = 1000,
    STOP_DEADLINE_MS = 3000,
    STOP_RETRY_NS = 100 * 1000 * 1000,
    LOG_TICK_S = 10,
    SCRATCH_KEPT_BYTES = 1 << 20,
};

struct queue {
    struct message *first;
    struct message **end;
    size_t count;
};

struct writer {
    /* set once at start */
    struct store *store;
    struct thread *thread;
    size_t capacity;
    size_t waiting_bytes_max;
    span_ms retry_ms;
    struct event *retry_timer; /* NULL while the writer is freed */
    struct event *log_timer;

    /* shared */
    _Atomic size_t waiting;       /* deltas posted and neither committed nor refused */
    _Atomic size_t waiting_bytes; /* that they hold */
    _Atomic bool failing; /* input is not taken: the last commit failed, or the store is full */

    /* writer's thread only; the caller's of writer_stop when that has ended */
    struct queue deltas;
    struct queue jobs;
    struct catalog *catalog;
    struct arena scratch;
    bool stuck;              /* wait for the retry timer before the next try */
    struct error last_error; /* why, while `failing` */

    /* After a commit that LMDB said failed: whether it holds is told by the commit's number. These
     * are the first ones of the queues, which were in it; `number` 0: none is in doubt. */
    struct {
        uint64_t number;
        size_t deltas;
        size_t jobs;
    } doubt;
    struct cells_report report; /* of the newest try */
    bool wrote;                 /* the newest try had something to commit */

    struct log_repeat commit_failures;
    struct log_repeat refused_cells;
    struct log_repeat unreadable;
};

/* --- queues --- */

static void queue_init(struct queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
    queue->count = 0;
}

static void queue_push(struct queue *queue, struct message *message)
{
    message->next = NULL;
    *queue->end = message;
    queue->end = &message->next;
    queue->count++;
}

static struct message *queue_take(struct queue *queue)
{
    struct message *message = queue->first;
    queue->first = message->next;
    if (queue->first == NULL)
        queue->end = &queue->first;
    queue->count--;
    return message;
}

/* --- answers --- */

static void forget_waiting(struct writer *writer, const struct delta *delta)
{
    (void)atomic_fetch_sub(&writer->waiting, 1);
    (void)atomic_fetch_sub(&writer->waiting_bytes, delta_size_bytes(delta));
}

static void finish_delta(struct writer *writer, struct delta *delta, const struct error *err)
{
    forget_waiting(writer, delta);
    if (delta->on_done != NULL)
        delta->on_done(delta, err);
    delta_free(delta);
}

/* The job is its owner's again, and may be gone afterwards. */
static void finish_job(struct writer_job *job, const struct error *err)
{
    struct error own;

    if (job->failed) {
        own = job->err;
        err = &own;
    }
    if (job->done != NULL)
        job->done(job, err);
}

static void finish_deltas(struct writer *writer, size_t count)
{
    for (size_t i = 0; i < count; i++)
        finish_delta(writer, (struct delta *)queue_take(&writer->deltas), NULL);
}

static void finish_jobs(struct writer *writer, size_t count)
{
    for (size_t i = 0; i < count; i++)
        finish_job((struct writer_job *)queue_take(&writer->jobs), NULL);
}

/* Tells who waits for an answer, from the `first`-th on, and keeps the others. */
static void refuse_deltas(struct writer *writer, size_t first, const struct error *err)
{
    size_t count = writer->deltas.count;
    struct queue all = writer->deltas;

    queue_init(&writer->deltas);
    for (size_t i = 0; i < count; i++) {
        struct delta *delta = (struct delta *)queue_take(&all);
        if (i < first || !delta_is_waited_for(delta))
            queue_push(&writer->deltas, &delta->message);
        else
            finish_delta(writer, delta, err);
    }
}

static void refuse_jobs(struct writer *writer, size_t first, const struct error *err)
{
    size_t count = writer->jobs.count;
    struct queue all = writer->jobs;

    queue_init(&writer->jobs);
    for (size_t i = 0; i < count; i++) {
        struct writer_job *job = (struct writer_job *)queue_take(&all);
        if (i < first || job->keep_trying)
            queue_push(&writer->jobs, &job->message);
        else
            finish_job(job, err);
    }
}

/* --- one transaction --- */

/* Runs the jobs, each in a transaction of its own inside the group's, so that one that fails takes
 * back only what it wrote itself. False: LMDB failed, and with it the whole group. */
static bool run_jobs(struct writer *writer, struct write_txn *txn, struct error *err)
{
    struct message *message = writer->jobs.first;
    for (; message != NULL; message = message->next) {
        struct writer_job *job = (struct writer_job *)message;
        struct write_txn own;
        if (!write_txn_begin(writer->store, txn, &own, err))
            return false;
        job->err = (struct error)ERROR_EMPTY;
        job->failed = !job->run(job, &own, &job->err);
        if (own.storage_failed) {
            write_txn_abort(&own);
            *err = job->err;
            job->failed = false;
            return false;
        }
        if (job->failed || !own.wrote) {
            write_txn_abort(&own);
            continue;
        }
        if (!write_txn_commit(&own, err))
            return false;
        txn->wrote = true;
    }
    return true;
}

static bool apply_deltas(struct writer *writer, struct write_txn *txn, struct error *err)
{
    struct cells_report *report = &writer->report;
    size_t count = 0;
    struct delta **deltas =
        arena_array(&writer->scratch, writer->deltas.count, sizeof(struct delta *));

    for (struct message *message = writer->deltas.first; message != NULL; message = message->next)
        deltas[count++] = (struct delta *)message;
    const struct cells_group group = {.catalog = writer->catalog,
                                      .txn = txn,
                                      .deltas = deltas,
                                      .count = count,
                                      .now = clock_wall(),
                                      .scratch = &writer->scratch};
    if (!cells_apply(&group, report, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!ledger_table_add(txn, deltas[i], &report->unreadable, err))
            return false;
    }
    wall_ms newest = (wall_ms)meta_get(&txn->reader, "newest", (uint64_t)WALL_NONE);
    return report->newest <= newest || meta_put(txn, "newest", (uint64_t)report->newest, err);
}

/* Writes all but the commit itself. */
static bool fill(struct writer *writer, struct write_txn *txn, bool with_deltas, uint64_t *number,
                 struct error *err)
{
    if (with_deltas && !apply_deltas(writer, txn, err))
        return false;
    if (!run_jobs(writer, txn, err))
        return false;
    *number = store_commit_number(&txn->reader) + 1;
    return !txn->wrote || meta_put(txn, "commit", *number, err);
}

/* Writes what waits. After a false it may be in doubt whether it holds: see settle. */
static bool write_group(struct writer *writer, bool with_deltas, struct error *err)
{
    struct write_txn txn;
    uint64_t number = 0;

    writer->report = (struct cells_report){.newest = WALL_NONE};
    writer->wrote = false;
    if (!write_txn_begin(writer->store, NULL, &txn, err))
        return false;
    bool filled = fill(writer, &txn, with_deltas, &number, err);
    if (!filled || !txn.wrote) {
        write_txn_abort(&txn);
        return filled;
    }
    writer->wrote = true;
    writer->doubt.number = number;
    writer->doubt.deltas = with_deltas ? writer->deltas.count : 0;
    writer->doubt.jobs = writer->jobs.count;
    if (!write_txn_commit(&txn, err))
        return false;
    writer->doubt.number = 0;
    return true;
}

/* Finds out whether a commit that failed holds after all. False: it cannot be told yet. */
static bool settle(struct writer *writer, bool *holds, struct error *err)
{
    uint64_t number = 0;

    *holds = false;
    if (writer->doubt.number == 0)
        return true;
    if (!store_read_commit_number(writer->store, &number, err))
        return false;
    *holds = number >= writer->doubt.number;
    writer->doubt.number = 0;
    return true;
}

static uint64_t microseconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void count_commit(struct writer *writer)
{
    const struct cells_report *report = &writer->report;

    COUNTER_ADD(commits, writer->wrote ? 1 : 0);
    COUNTER_ADD(cells_written, report->cells);
    COUNTER_ADD(series_created, report->series_created);
    if (report->collisions + report->unknown > 0)
        log_repeated(&writer->refused_cells, clock_mono(), "cells_refused",
                     report->collisions + report->unknown, "collisions=%llu unknown=%llu",
                     (unsigned long long)report->collisions, (unsigned long long)report->unknown);
    if (report->unreadable > 0)
        log_repeated(&writer->unreadable, clock_mono(), "stored_value_unreadable",
                     report->unreadable, "action=\"begun anew\"");
}

/* One try, with what it takes to know how it ended. */
static bool try_group(struct writer *writer, bool with_deltas, struct error *err)
{
    struct error unsettled;
    uint64_t began = microseconds();
    bool holds = write_group(writer, with_deltas, err);

    if (!holds) {
        catalog_forget(writer->catalog);
        (void)settle(writer, &holds, &unsettled);
        COUNTER_ADD(commit_failures, 1);
    }
    arena_reset(&writer->scratch);
    if (writer->scratch.total_bytes > SCRATCH_KEPT_BYTES)
        arena_fini(&writer->scratch);
    COUNTER_ADD(commit_microseconds, microseconds() - began);
    if (holds)
        count_commit(writer);
    return holds;
}

/* --- the group --- */

static void retry_later(struct writer *writer, bool stuck, const struct error *err)
{
    struct timeval delay = {.tv_sec = writer->retry_ms / 1000,
                            .tv_usec = writer->retry_ms % 1000 * 1000};

    writer->last_error = *err;
    writer->stuck = stuck;
    atomic_store(&writer->failing, true);
    log_repeated(&writer->commit_failures, clock_mono(), "commit_failed", 1,
                 "reason=\"%.120s\" retry_in_ms=%lld", err->text, (long long)writer->retry_ms);
    if (writer->retry_timer != NULL)
        (void)event_add(writer->retry_timer, &delay);
}

static void all_is_well(struct writer *writer)
{
    writer->stuck = false;
    atomic_store(&writer->failing, false);
    if (writer->retry_timer != NULL)
        (void)event_del(writer->retry_timer);
}

/* What is in doubt from an earlier try is settled first: either it is done, or who waits for it is
 * told that it is not. */
static bool settle_earlier(struct writer *writer, struct error *err)
{
    size_t deltas = writer->doubt.deltas;
    size_t jobs = writer->doubt.jobs;
    bool was_in_doubt = writer->doubt.number != 0;
    bool holds = false;

    if (!settle(writer, &holds, err))
        return false;
    if (!was_in_doubt)
        return true;
    if (holds) {
        count_commit(writer);
        finish_deltas(writer, deltas);
        finish_jobs(writer, jobs);
        return true;
    }
    refuse_deltas(writer, 0, &writer->last_error);
    refuse_jobs(writer, 0, &writer->last_error);
    return true;
}

/* Commits all that waits in one transaction. Input is left out while the store is full: then jobs
 * still have the reserve. */
static void commit_waiting(struct writer *writer)
{
    struct error err = ERROR_EMPTY;
    struct error full = ERROR_EMPTY;

    if (!settle_earlier(writer, &err)) {
        COUNTER_ADD(commit_failures, 1);
        refuse_deltas(writer, writer->doubt.deltas, &err);
        refuse_jobs(writer, writer->doubt.jobs, &err);
        retry_later(writer, true, &err);
        return;
    }
    size_t jobs = writer->jobs.count;
    size_t deltas = writer->deltas.count;
    if (deltas > 0 && !store_has_room(writer->store, &full))
        deltas = 0;
    bool done = deltas + jobs == 0 || try_group(writer, deltas > 0, &err);
    if (!done && err.kind == ERROR_FULL && deltas > 0 && jobs > 0 && writer->doubt.number == 0) {
        full = err;
        deltas = 0;
        done = try_group(writer, false, &err);
    }
    if (!done) {
        /* Nobody is answered before it is certain what the answer is. */
        bool in_doubt = writer->doubt.number != 0;
        refuse_deltas(writer, in_doubt ? writer->doubt.deltas : 0, &err);
        refuse_jobs(writer, in_doubt ? writer->doubt.jobs : 0, &err);
        retry_later(writer, true, &err);
        return;
    }
    finish_jobs(writer, jobs);
    finish_deltas(writer, deltas);
    if (full.kind == ERROR_NONE) {
        all_is_well(writer);
        return;
    }
    refuse_deltas(writer, 0, &full);
    retry_later(writer, false, &full);
}

/* --- messages and timers --- */

static void on_delta(struct message *message, void *receiver)
{
    struct writer *writer = receiver;
    queue_push(&writer->deltas, message);
}

static void on_job(struct message *message, void *receiver)
{
    struct writer *writer = receiver;
    queue_push(&writer->jobs, message);
}

static void on_drained(void *receiver)
{
    struct writer *writer = receiver;

    if (!writer->stuck) {
        commit_waiting(writer);
        return;
    }
    bool in_doubt = writer->doubt.number != 0;
    refuse_deltas(writer, in_doubt ? writer->doubt.deltas : 0, &writer->last_error);
    refuse_jobs(writer, in_doubt ? writer->doubt.jobs : 0, &writer->last_error);
}

static void on_retry(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    commit_waiting(arg);
}

static void on_log_tick(evutil_socket_t fd, short events, void *arg)
{
    struct writer *writer = arg;
    mono_ms now = clock_mono();
    (void)fd;
    (void)events;
    log_repeat_tick(&writer->commit_failures, now);
    log_repeat_tick(&writer->refused_cells, now);
    log_repeat_tick(&writer->unreadable, now);
}

/* --- life --- */

struct writer *writer_new(struct store *store, const struct writer_options *options)
{
    const struct timeval tick = {.tv_sec = LOG_TICK_S};
    struct writer *writer = memory_zero(1, sizeof *writer);

    writer->store = store;
    writer->capacity =
        options->mailbox_capacity == 0 ? DEFAULT_CAPACITY : options->mailbox_capacity;
    writer->waiting_bytes_max =
        options->waiting_bytes == 0 ? DEFAULT_WAITING_BYTES : options->waiting_bytes;
    writer->retry_ms = options->retry_ms == 0 ? DEFAULT_RETRY_MS : options->retry_ms;
    queue_init(&writer->deltas);
    queue_init(&writer->jobs);
    writer->catalog = catalog_new();
    writer->thread = thread_new("writer", writer->capacity, writer, on_drained);
    struct event_base *base = thread_base(writer->thread);
    writer->retry_timer = evtimer_new(base, on_retry, writer);
    writer->log_timer = event_new(base, -1, EV_PERSIST, on_log_tick, writer);
    assert(writer->retry_timer != NULL && writer->log_timer != NULL);
    int rc = event_add(writer->log_timer, &tick);
    assert(rc == 0);
    (void)rc;
    return writer;
}

bool writer_start(struct writer *writer, struct error *err)
{
    return thread_start(writer->thread, err);
}

static uint64_t samples_of(const struct delta *delta)
{
    uint64_t samples = 0;
    for (size_t i = 0; i < delta->ledger_count; i++)
        samples += delta->ledgers[i].counts.received;
    return samples;
}

/* What could not be committed in time is said, and answered. */
static void give_up(struct writer *writer)
{
    struct error err = writer->last_error;
    uint64_t samples = 0;
    size_t deltas = writer->deltas.count;
    size_t jobs = writer->jobs.count;

    if (deltas + jobs == 0)
        return;
    while (writer->deltas.count > 0) {
        struct delta *delta = (struct delta *)queue_take(&writer->deltas);
        samples += samples_of(delta);
        finish_delta(writer, delta, &err);
    }
    while (writer->jobs.count > 0)
        finish_job((struct writer_job *)queue_take(&writer->jobs), &err);
    log_error("samples_lost", "samples=%llu deltas=%zu jobs=%zu reason=\"%s\"",
              (unsigned long long)samples, deltas, jobs, err.text);
}

/* Whether only input is left, and trying again makes no room for it. */
static bool is_full_for_good(struct writer *writer)
{
    struct error full;
    return writer->doubt.number == 0 && writer->jobs.count == 0 && writer->deltas.count > 0 &&
           !store_has_room(writer->store, &full);
}

void writer_stop(struct writer *writer)
{
    const struct timespec pause = {.tv_nsec = STOP_RETRY_NS};
    mono_ms deadline = clock_mono() + STOP_DEADLINE_MS;

    thread_stop(writer->thread);
    /* The thread has ended: from here on its work is done on this one. */
    for (;;) {
        writer->stuck = false;
        if (mailbox_drain(thread_mailbox(writer->thread)) == 0) {
            if (writer->deltas.count + writer->jobs.count == 0)
                return;
            commit_waiting(writer);
        }
        bool failing = atomic_load(&writer->failing);
        if (clock_mono() >= deadline || is_full_for_good(writer))
            break;
        if (failing)
            (void)nanosleep(&pause, NULL);
    }
    give_up(writer);
}

void writer_free(struct writer *writer)
{
    if (writer == NULL)
        return;
    writer_stop(writer);
    event_free(writer->retry_timer);
    writer->retry_timer = NULL;
    event_free(writer->log_timer);
    thread_free(writer->thread);
    give_up(writer);
    catalog_free(writer->catalog);
    arena_fini(&writer->scratch);
    free(writer);
}

struct thread *writer_thread(struct writer *writer)
{
    return writer->thread;
}

bool writer_has_room(struct writer *writer)
{
    return !atomic_load(&writer->failing) && atomic_load(&writer->waiting) < writer->capacity &&
           atomic_load(&writer->waiting_bytes) < writer->waiting_bytes_max;
}

bool writer_is_failing(struct writer *writer)
{
    return atomic_load(&writer->failing);
}

bool writer_post_delta(struct writer *writer, struct delta *delta)
{
    size_t before = atomic_fetch_add(&writer->waiting, 1);
    size_t bytes_before = atomic_fetch_add(&writer->waiting_bytes, delta_size_bytes(delta));
    if (delta_is_waited_for(delta) &&
        (before >= writer->capacity || bytes_before >= writer->waiting_bytes_max)) {
        forget_waiting(writer, delta);
        return false;
    }
    delta->message.on_message = on_delta;
    mailbox_push_always(thread_mailbox(writer->thread), &delta->message);
    return true;
}

void writer_post_job(struct writer *writer, struct writer_job *job)
{
    job->message.on_message = on_job;
    job->failed = false;
    mailbox_push_always(thread_mailbox(writer->thread), &job->message);
}
