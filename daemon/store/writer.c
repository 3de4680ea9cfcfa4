#include "store/writer.h"

#include <assert.h>
#include <event2/event.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/queue.h"
#include "base/thread.h"
#include "store/account.h"
#include "store/day_import_private.h"
#include "store/flush_pace.h"
#include "store/group.h"
#include "store/journal.h"
#include "store/upkeep.h"
#include "store/writer_log.h"

enum {
    DEFAULT_CAPACITY = 1024,
    DEFAULT_WAITING_BYTES = 256 << 20,
    DEFAULT_RETRY_MS = 1000,
    STOP_DEADLINE_MS = 3000,
    STOP_RETRY_NS = 100 * 1000 * 1000,
    TICK_MS = 1000,
    SCRATCH_KEPT_BYTES = 1 << 20,
    GUARD_SAVE_MS = 60 * 1000,
    UPKEEP_EVERY = 8, /* commits, while there is always more to commit */
    COMPANY_COMMITS = 8,
};

struct writer {
    /* set once at start */
    struct store *store;
    struct thread *thread;
    size_t capacity;
    size_t waiting_bytes_max;
    span_ms retry_ms;
    struct event *retry_timer; /* NULL while the writer is freed */
    struct event *work_timer;  /* at once: more of what waits, or a step of upkeep */
    struct event *tick_timer;

    /* shared */
    _Atomic size_t waiting;       /* deltas posted and neither committed nor refused */
    _Atomic size_t waiting_bytes; /* that they hold */
    _Atomic bool failing; /* input is not taken: the last commit failed, or the store is full */
    _Atomic span_ms flush_interval;
    _Atomic bool clock_is_suspect;
    _Atomic wall_ms clock_found, clock_expected; /* while it is */

    /* writer's thread only; the caller's of writer_stop when that has ended */
    struct queue deltas;
    struct queue jobs;
    struct catalog *catalog;
    struct gauges *gauges;
    struct points *points;
    struct arena scratch;
    bool stuck;              /* wait for the retry timer before the next try */
    bool is_full;            /* deltas wait until there is room */
    struct error last_error; /* why, while `failing` */

    struct upkeep *upkeep; /* NULL: none is wanted */
    struct guard guard;
    bool has_clock;   /* `guard` is open */
    unsigned commits; /* since the last step of upkeep */
    unsigned company; /* commits for which others are still waited for: gather() */
    bool is_gathering;
    mono_ms guard_saved_at;
    struct flush_pace pace;

    /* After a commit that LMDB said failed: whether it holds is told by the commit's number. This
     * is what was in it; `number` 0: none is in doubt. */
    struct {
        uint64_t number;
        struct group group;
    } doubt;
    struct journal_report report; /* of the newest try */
    uint64_t unreadable;          /* the same: entries of the ledger */
    bool wrote;                   /* the newest try had something to commit */
    bool saved_guard;             /* the newest try holds the clock's marks */
    bool has_group;               /* the catalogue's group is that of the newest try */

    unsigned ticks;
    struct writer_log log;
};

/* --- answers --- */

static void forget_waiting(struct writer *writer, const struct delta *delta)
{
    (void)atomic_fetch_sub(&writer->waiting, 1);
    (void)atomic_fetch_sub(&writer->waiting_bytes, delta->posted_bytes);
}

static void finish_delta(struct writer *writer, struct delta *delta, const struct error *err)
{
    forget_waiting(writer, delta);
    delta->not_stored += delta->not_stored_now;
    ledger_drops_merge(&delta->drops, &delta->drops_now);
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

/* The group is stored. */
static void finish_group(struct writer *writer, const struct group *group)
{
    for (size_t i = 0; i < group->jobs; i++)
        finish_job((struct writer_job *)queue_take(&writer->jobs), NULL);
    for (size_t i = 0; i < group->deltas; i++)
        finish_delta(writer, (struct delta *)queue_take(&writer->deltas), NULL);
    if (group->has_part) {
        struct delta *delta = (struct delta *)writer->deltas.first;
        delta->stored_cells = group->part_to;
        delta->stored_points = group->part_points_to;
        delta->not_stored += delta->not_stored_now;
        ledger_drops_merge(&delta->drops, &delta->drops_now);
        account_forget_part(delta);
        if (delta->on_part != NULL)
            delta->on_part(delta);
    }
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

static bool apply_deltas(struct writer *writer, struct write_txn *txn, const struct group *group,
                         uint64_t number, struct error *err)
{
    struct journal_report *report = &writer->report;
    struct journal_part *parts =
        arena_array(&writer->scratch, group->deltas + 1, sizeof(struct journal_part));
    struct journal_group journal = {.catalog = writer->catalog,
                                    .gauges = writer->gauges,
                                    .points = writer->points,
                                    .txn = txn,
                                    .parts = parts,
                                    .number = number,
                                    .now = clock_wall(),
                                    .scratch = &writer->scratch};
    const struct account account = {txn, &writer->scratch, &writer->unreadable};

    if (!account_choose(txn, writer->deltas.first, group, parts, &journal.count, err) ||
        !journal_apply(&journal, report, err) ||
        !account_settle(&account, writer->deltas.first, group, parts, err))
        return false;
    wall_ms newest = (wall_ms)meta_get(&txn->reader, "newest", (uint64_t)WALL_NONE);
    return report->newest <= newest || meta_put(txn, "newest", (uint64_t)report->newest, err);
}

static bool is_clock_older(const struct writer *writer, span_ms age)
{
    return writer->has_clock && clock_mono() - writer->guard_saved_at >= age;
}

/* The clock's marks go with what is written anyway. */
static bool save_guard(struct writer *writer, struct write_txn *txn, const struct group *group,
                       struct error *err)
{
    if (!group->saves_clock && !(txn->wrote && is_clock_older(writer, GUARD_SAVE_MS)))
        return true;
    writer->saved_guard = true;
    return guard_save(&writer->guard, txn, err);
}

/* Writes all but the commit itself. */
static bool fill(struct writer *writer, struct write_txn *txn, const struct group *group,
                 uint64_t *number, struct error *err)
{
    const struct account account = {txn, &writer->scratch, &writer->unreadable};

    *number = store_commit_number(&txn->reader) + 1;
    writer->has_group = group->deltas > 0 || group->has_part;
    if (group->deltas > 0 || group->has_part) {
        if (!apply_deltas(writer, txn, group, *number, err))
            return false;
    }
    if (group->gives_up && !account_lost(&account, &writer->deltas, err))
        return false;
    if (!run_jobs(writer, txn, err) || !save_guard(writer, txn, group, err))
        return false;
    struct census *census = catalog_census(writer->catalog);
    if ((txn->wrote || group->is_last) &&
        !census_save(census, txn, clock_wall(), group->is_last, err))
        return false;
    return !txn->wrote || meta_put(txn, "commit", *number, err);
}

/* Writes the group. After a false it may be in doubt whether it holds: see settle. */
static bool write_group(struct writer *writer, const struct group *group, struct error *err)
{
    struct write_txn txn;
    uint64_t number = 0;

    writer->report = (struct journal_report){.newest = WALL_NONE};
    writer->unreadable = 0;
    writer->wrote = false;
    writer->saved_guard = false;
    if (!write_txn_begin(writer->store, NULL, &txn, err))
        return false;
    bool filled = fill(writer, &txn, group, &number, err);
    if (!filled || !txn.wrote) {
        write_txn_abort(&txn);
        return filled;
    }
    writer->wrote = true;
    writer->doubt.number = number;
    writer->doubt.group = *group;
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

static uint64_t microseconds(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void count_commit(struct writer *writer)
{
    COUNTER_ADD(commits, writer->wrote ? 1 : 0);
    if (writer->saved_guard)
        writer->guard_saved_at = clock_mono();
    writer_log_commit(&writer->log, &writer->report, writer->unreadable,
                      writer->has_group ? census_group(catalog_census(writer->catalog)) : NULL);
    census_begin_group(catalog_census(writer->catalog));
}

/* One try, with what it takes to know how it ended. */
static bool try_group(struct writer *writer, const struct group *group, struct error *err)
{
    struct error unsettled;
    uint64_t began = microseconds(CLOCK_MONOTONIC);
    uint64_t busy_before = microseconds(CLOCK_THREAD_CPUTIME_ID);
    bool holds = write_group(writer, group, err);

    if (!holds) {
        catalog_forget(writer->catalog);
        points_forget(writer->points);
        (void)settle(writer, &holds, &unsettled);
        COUNTER_ADD(commit_failures, 1);
    }
    arena_reset(&writer->scratch);
    if (writer->scratch.total_bytes > SCRATCH_KEPT_BYTES)
        arena_fini(&writer->scratch);
    COUNTER_ADD(commit_microseconds, microseconds(CLOCK_MONOTONIC) - began);
    if (!group->is_waited_for) /* else it would be done at this time anyway */
        writer->pace.busy_us += microseconds(CLOCK_THREAD_CPUTIME_ID) - busy_before;
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
    writer->is_full = !stuck;
    atomic_store(&writer->failing, true);
    log_repeated(&writer->log.commit_failures, clock_mono(), "commit_failed", 1,
                 "reason=\"%.120s\" retry_in_ms=%lld", err->text, (long long)writer->retry_ms);
    if (writer->retry_timer != NULL)
        (void)event_add(writer->retry_timer, &delay);
}

static void all_is_well(struct writer *writer)
{
    writer->stuck = false;
    writer->is_full = false;
    atomic_store(&writer->failing, false);
    if (writer->retry_timer != NULL)
        (void)event_del(writer->retry_timer);
}

/* Turns the loop once more: whoever has sent something meanwhile comes first. */
static void work_soon(struct writer *writer)
{
    static const struct timeval at_once = {0};
    if (writer->work_timer != NULL)
        (void)event_add(writer->work_timer, &at_once);
}

/* What is in doubt from an earlier try is settled first: either it is done, or who waits for it is
 * told that it is not. */
static bool settle_earlier(struct writer *writer, struct error *err)
{
    struct group group = writer->doubt.group;
    bool was_in_doubt = writer->doubt.number != 0;
    bool holds = false;

    if (!settle(writer, &holds, err))
        return false;
    if (!was_in_doubt)
        return true;
    if (holds) {
        count_commit(writer);
        finish_group(writer, &group);
        return true;
    }
    refuse_deltas(writer, 0, &writer->last_error);
    refuse_jobs(writer, 0, &writer->last_error);
    return true;
}

/* Tells all who wait but those of whom nobody knows yet whether they are stored. */
static void refuse_who_waits(struct writer *writer, const struct error *err)
{
    bool in_doubt = writer->doubt.number != 0;
    refuse_deltas(writer, in_doubt ? writer->doubt.group.deltas : 0, err);
    refuse_jobs(writer, in_doubt ? writer->doubt.group.jobs : 0, err);
}

/* Whether senders come together: not once they did not in some commits. */
static void note_company(struct writer *writer, const struct group *group)
{
    if (group->is_waited_for && group->deltas > 1)
        writer->company = COMPANY_COMMITS;
    else if (group->is_waited_for && writer->company > 0)
        writer->company--;
}

/* Commits what waits, as much as may be in one transaction. Input is left out while the store is
 * full: then jobs still have the reserve. */
static void commit_waiting(struct writer *writer)
{
    struct error err = ERROR_EMPTY;
    struct error full = ERROR_EMPTY;

    if (!settle_earlier(writer, &err)) {
        COUNTER_ADD(commit_failures, 1);
        refuse_who_waits(writer, &err);
        retry_later(writer, true, &err);
        return;
    }
    bool has_room = writer->deltas.count == 0 || store_has_room(writer->store, &full);
    struct group group = group_plan(has_room ? writer->deltas.first : NULL, writer->jobs.count);
    bool done = writer->jobs.count + (has_room ? writer->deltas.count : 0) == 0 ||
                try_group(writer, &group, &err);
    if (!done && err.kind == ERROR_FULL && writer->deltas.count > 0 && has_room &&
        writer->jobs.count > 0 && writer->doubt.number == 0) {
        full = err;
        group = group_plan(NULL, writer->jobs.count);
        done = try_group(writer, &group, &err);
    }
    if (!done) {
        refuse_who_waits(writer, &err);
        retry_later(writer, true, &err);
        return;
    }
    note_company(writer, &group);
    finish_group(writer, &group);
    work_soon(writer); /* for the rest, and for upkeep */
    if (full.kind == ERROR_NONE) {
        all_is_well(writer);
        return;
    }
    refuse_deltas(writer, 0, &full);
    retry_later(writer, false, &full);
}

/* --- background work --- */

static void show_clock(struct writer *writer)
{
    struct error why;
    bool is_suspect = guard_is_suspect(&writer->guard, &why);

    atomic_store(&writer->clock_found, writer->guard.found);
    atomic_store(&writer->clock_expected, writer->guard.expected);
    atomic_store(&writer->clock_is_suspect, is_suspect);
}

/* The guarded clock goes on; it begins with what is stored. */
static void turn_clock(struct writer *writer)
{
    struct guard_now now;
    struct error ignored;

    guard_now_read(&now);
    if (writer->has_clock) {
        guard_tick(&writer->guard, &now);
        show_clock(writer);
        return;
    }
    struct read_txn *txn = read_txn_begin(writer->store, &ignored);
    if (txn == NULL)
        return; /* at the next tick */
    guard_open(&writer->guard, txn, &now);
    read_txn_end(txn);
    writer->has_clock = true;
    writer->guard_saved_at = clock_mono() - GUARD_SAVE_MS; /* the next commit takes it along */
    show_clock(writer);
}

static void work_on_census(struct writer *writer)
{
    if (writer->doubt.number == 0 &&
        census_work(catalog_census(writer->catalog), writer->store, clock_wall()))
        work_soon(writer);
}

/* One step, so that nobody who sends something waits for more. */
static void turn_upkeep(struct writer *writer)
{
    struct error err = ERROR_EMPTY;
    bool more = false;

    work_on_census(writer);
    if (writer->upkeep == NULL || !writer->has_clock || writer->doubt.number != 0)
        return;
    writer->commits = 0;
    uint64_t busy_before = microseconds(CLOCK_THREAD_CPUTIME_ID);
    bool ok = upkeep_step(writer->upkeep, &writer->guard, &more, &err);
    writer->pace.busy_us += microseconds(CLOCK_THREAD_CPUTIME_ID) - busy_before;
    if (!ok) /* the next tick tries again */
        log_repeated(&writer->log.upkeep_failures, clock_mono(), "upkeep_failed", 1,
                     "reason=\"%.150s\"", err.text);
    else if (more)
        work_soon(writer);
}

/* Who sends without a pause must not keep the runs from being merged and folded. */
static void commit_and_keep_up(struct writer *writer)
{
    if (census_is_loading(catalog_census(writer->catalog)))
        work_on_census(writer); /* the sooner it is known who was active the better */
    commit_waiting(writer);
    if (!writer->stuck && ++writer->commits >= UPKEEP_EVERY)
        turn_upkeep(writer);
}

/* When nothing else was written for long, and when kpid stops. */
static void save_clock(struct writer *writer, span_ms age, bool is_last)
{
    const struct group group = {.saves_clock = true, .is_last = is_last};
    struct error err = ERROR_EMPTY;

    if (writer->upkeep == NULL || writer->stuck || writer->doubt.number != 0 ||
        !is_clock_older(writer, age))
        return;
    if (!try_group(writer, &group, &err))
        retry_later(writer, true, &err);
}

static void adapt_flush_interval(struct writer *writer, mono_ms now)
{
    if (!flush_pace_turn(&writer->pace, now))
        return;
    atomic_store_explicit(&writer->flush_interval, writer->pace.interval, memory_order_relaxed);
    COUNTER_SET(loss_window_milliseconds, writer->pace.interval);
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

/* Where several wait for their answers, the threads that share this core are let finish the batches
 * that they have in hand: one commit answers more of them, and clients that were answered together
 * come together again. */
static void gather(struct writer *writer)
{
    if (writer->company == 0)
        return;
    writer->is_gathering = true;
    (void)sched_yield();
    (void)mailbox_drain(thread_mailbox(writer->thread));
    writer->is_gathering = false;
}

static void on_drained(void *receiver)
{
    struct writer *writer = receiver;

    if (writer->is_gathering)
        return;
    gather(writer);
    if (!writer->stuck)
        commit_and_keep_up(writer);
    else
        refuse_who_waits(writer, &writer->last_error);
}

static void on_retry(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    commit_waiting(arg);
}

static void on_work(evutil_socket_t fd, short events, void *arg)
{
    struct writer *writer = arg;
    bool has_deltas = writer->deltas.count > 0 && !writer->is_full;
    (void)fd;
    (void)events;

    if (!writer->stuck && (has_deltas || writer->jobs.count > 0))
        commit_and_keep_up(writer);
    else
        turn_upkeep(writer);
}

static void on_tick(evutil_socket_t fd, short events, void *arg)
{
    struct writer *writer = arg;
    mono_ms now = clock_mono();
    (void)fd;
    (void)events;

    turn_clock(writer);
    COUNTER_SET(catalog_bytes, catalog_size_bytes(writer->catalog));
    COUNTER_SET(tracker_bytes, points_size_bytes(writer->points));
    save_clock(writer, (span_ms)2 * GUARD_SAVE_MS, false);
    adapt_flush_interval(writer, now);
    writer_log_tick(&writer->log, now);
    if (writer->has_clock && writer->guard.keep_mark != WALL_NONE)
        census_tick(catalog_census(writer->catalog), writer->guard.keep_mark, now);
    store_let_go_of_pages(writer->store);
    work_soon(writer);
}

/* --- life --- */

static void on_series_removed(const uint32_t *ids, size_t count, void *arg)
{
    struct writer *writer = arg;

    points_remove(writer->points, ids, count);
    gauges_remove(writer->gauges, ids, count);
}

static void make_upkeep(struct writer *writer, const struct upkeep_options *options)
{
    writer->upkeep = upkeep_new(writer->store, options);
    upkeep_set_catalog(writer->upkeep, writer->catalog);
    upkeep_on_removed(writer->upkeep, on_series_removed, writer);
}

struct writer *writer_new(struct store *store, const struct writer_options *options)
{
    const struct timeval tick = {.tv_sec = TICK_MS / 1000};
    struct writer *writer = memory_zero(1, sizeof *writer);

    writer->store = store;
    writer->capacity =
        options->mailbox_capacity == 0 ? DEFAULT_CAPACITY : options->mailbox_capacity;
    writer->waiting_bytes_max =
        options->waiting_bytes == 0 ? DEFAULT_WAITING_BYTES : options->waiting_bytes;
    writer->retry_ms = options->retry_ms == 0 ? DEFAULT_RETRY_MS : options->retry_ms;
    queue_init(&writer->deltas);
    queue_init(&writer->jobs);
    writer->catalog = catalog_new_limited(options->room);
    census_set_limits(catalog_census(writer->catalog), &options->limits);
    writer->gauges = gauges_new();
    writer->points = points_new();
    if (options->upkeep != NULL)
        make_upkeep(writer, options->upkeep);
    flush_pace_init(&writer->pace, clock_mono());
    atomic_init(&writer->flush_interval, writer->pace.interval);
    COUNTER_SET(loss_window_milliseconds, writer->pace.interval);
    turn_clock(writer);
    writer->thread = thread_new("writer", writer->capacity, writer, on_drained);
    struct event_base *base = thread_base(writer->thread);
    writer->retry_timer = evtimer_new(base, on_retry, writer);
    writer->work_timer = evtimer_new(base, on_work, writer);
    writer->tick_timer = event_new(base, -1, EV_PERSIST, on_tick, writer);
    assert(writer->retry_timer != NULL && writer->work_timer != NULL && writer->tick_timer != NULL);
    int rc = event_add(writer->tick_timer, &tick);
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

/* There may be room for a few counts where there is none for samples: at storage.max_size there is
 * the reserve. */
static bool count_lost(struct writer *writer)
{
    const struct group group = {.gives_up = true};
    struct error ignored;

    return writer->doubt.number == 0 && writer->deltas.count > 0 &&
           try_group(writer, &group, &ignored);
}

/* What could not be committed in time is said, and answered, and counted if that can be. */
static void give_up(struct writer *writer)
{
    struct error err = writer->last_error;
    struct error ignored;
    uint64_t samples = 0;

    (void)settle_earlier(writer, &ignored);
    size_t deltas = writer->deltas.count;
    size_t jobs = writer->jobs.count;
    if (deltas + jobs == 0)
        return;
    while (writer->jobs.count > 0)
        finish_job((struct writer_job *)queue_take(&writer->jobs), &err);
    bool is_counted = count_lost(writer);
    while (writer->deltas.count > 0) {
        struct delta *delta = (struct delta *)queue_take(&writer->deltas);
        samples += samples_of(delta);
        finish_delta(writer, delta, &err);
    }
    log_error("samples_lost", "samples=%llu deltas=%zu jobs=%zu reason=\"%s\"%s",
              (unsigned long long)samples, deltas, jobs, err.text,
              is_counted && samples > 0 ? " dropped=store_full" : "");
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
            if (writer->deltas.count + writer->jobs.count == 0) {
                save_clock(writer, 0, true);
                return;
            }
            commit_waiting(writer);
        }
        if (!atomic_load(&writer->failing))
            continue;
        if (clock_mono() >= deadline || is_full_for_good(writer))
            break;
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
    event_free(writer->work_timer);
    writer->work_timer = NULL;
    event_free(writer->tick_timer);
    thread_free(writer->thread);
    give_up(writer);
    upkeep_free(writer->upkeep);
    points_free(writer->points);
    gauges_free(writer->gauges);
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
    delta->posted_bytes = delta_size_bytes(delta);
    size_t before = atomic_fetch_add(&writer->waiting, 1);
    size_t bytes_before = atomic_fetch_add(&writer->waiting_bytes, delta->posted_bytes);
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

span_ms writer_flush_interval(struct writer *writer)
{
    return atomic_load_explicit(&writer->flush_interval, memory_order_relaxed);
}

bool writer_clock_is_suspect(struct writer *writer, struct error *why)
{
    struct guard shown = {.suspect = atomic_load(&writer->clock_is_suspect)};

    shown.found = atomic_load(&writer->clock_found);
    shown.expected = atomic_load(&writer->clock_expected);
    return guard_is_suspect(&shown, why);
}

bool writer_accept_clock(struct writer *writer, struct write_txn *txn, struct error *err)
{
    struct guard_now now;

    guard_now_read(&now);
    guard_accept(&writer->guard, &now);
    show_clock(writer);
    return guard_save(&writer->guard, txn, err);
}

bool writer_import_days(struct writer *writer, struct write_txn *txn, struct day_import *import,
                        struct error *err)
{
    const struct day_import_into into = {writer->upkeep, writer->catalog, &writer->has_group, txn,
                                         clock_wall()};

    if (writer->upkeep == NULL)
        return error_set(err, ERROR_UNAVAILABLE, "no calendars are known yet");
    return day_import_apply(&into, import, err);
}

void writer_set_upkeep(struct writer *writer, const struct upkeep_options *options)
{
    if (writer->upkeep != NULL) {
        upkeep_set_options(writer->upkeep, options);
        return;
    }
    make_upkeep(writer, options);
}

void writer_set_limits(struct writer *writer, const struct series_limits *limits)
{
    census_set_limits(catalog_census(writer->catalog), limits);
}

void writer_activity(const struct writer *writer, struct metric_activity *out)
{
    census_activity(catalog_census(writer->catalog), clock_wall(), out);
}

bool writer_drop_series(struct writer *writer, struct write_txn *txn, const uint32_t *ids,
                        size_t count, struct error *err)
{
    if (writer->upkeep == NULL)
        return error_set(err, ERROR_UNAVAILABLE, "nothing is kept up yet");
    return upkeep_want_gone(writer->upkeep, txn, ids, count, clock_wall(), err);
}
