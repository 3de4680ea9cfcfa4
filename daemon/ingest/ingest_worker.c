#include "ingest/ingest_worker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/memory.h"
#include "ingest/datagram.h"
#include "ingest/stream.h"

enum { DEFAULT_FLUSH_MS = 1000, MAILBOX_CAPACITY = 64, LEAVE_MS = 1000 };

/* --- the intake --------------------------------------------------------------------------------
 */

struct intake *worker_begin(struct listener_part *part)
{
    struct intake *intake = &part->worker->intake;

    intake_begin(intake, &part->ledger, part->listener->protocol, clock_wall_us());
    return intake;
}

/* What was received and waits for a hand-over is in the ledger; what was handed over is counted. */
static void show_received(struct listener_part *part)
{
    uint64_t handed_over = atomic_load_explicit(&part->counts->handed_over, memory_order_relaxed);
    atomic_store_explicit(&part->counts->received, handed_over + part->ledger.received,
                          memory_order_relaxed);
}

void worker_end(struct listener_part *part, const char *peer)
{
    struct intake *intake = &part->worker->intake;

    intake_end(intake);
    show_received(part);
    if (intake->rejected == 0)
        return;
    if (peer == NULL || peer[0] == '\0')
        peer = intake->peer_text;
    log_repeated(&part->rejected_log, clock_mono(), "lines_rejected", intake->rejected,
                 "listener=\"%s\" reason=%s%s%s example=\"%s\"", part->name,
                 reject_reason_name(intake->reason), peer[0] == '\0' ? "" : " peer=", peer,
                 intake->example);
}

/* --- listeners ---------------------------------------------------------------------------------
 */

struct listener_part *worker_find_part(struct ingest_worker *worker,
                                       const struct listener *listener)
{
    struct listener_part *part = NULL;

    TAILQ_FOREACH(part, &worker->parts, link)
    {
        if (part->listener == listener)
            return part;
    }
    return NULL;
}

static void start_reading(struct listener_part *part)
{
    struct event_base *base = thread_base(part->worker->thread);
    bool is_stream = transport_is_stream(part->listener->sockets.transport);

    part->readable = event_new(base, part->fd, EV_READ | EV_PERSIST,
                               is_stream ? stream_on_acceptable : datagram_on_readable, part);
    part->accept_again = evtimer_new(base, stream_on_accept_again, part);
    bool ok = part->readable != NULL && part->accept_again != NULL &&
              event_add(part->readable, NULL) == 0;
    assert(ok);
    (void)ok;
}

static void stop_reading(struct listener_part *part)
{
    if (part->readable == NULL)
        return;
    event_free(part->readable);
    event_free(part->accept_again);
    part->readable = NULL;
    part->accept_again = NULL;
}

void worker_add_listener(struct ingest_worker *worker, struct listener *listener, const char *name)
{
    const struct listener_sockets *sockets = &listener->sockets;
    struct listener_part *part = memory_zero(1, sizeof *part);

    part->worker = worker;
    part->listener = listener;
    part->counts = &listener->counts[worker->index];
    part->fd = sockets->fds[sockets->count == 1 ? 0 : worker->index];
    (void)snprintf(part->name, sizeof part->name, "%s", name);
    TAILQ_INSERT_TAIL(&worker->parts, part, link);
    (void)atomic_fetch_add(&listener->users, 1);
    if (!transport_is_stream(sockets->transport) && worker->datagram_slots == NULL)
        worker->datagram_slots = datagram_slots_new();
    /* One thread reads a Unix datagram socket: of two, one could overtake the other, and a gauge
     * would take "+5" before the "10" that was sent first (S7). */
    if (sockets->transport != TRANSPORT_UNIXGRAM || listener->reader == worker->index)
        start_reading(part);
}

static void free_part(struct listener_part *part)
{
    stop_reading(part);
    TAILQ_REMOVE(&part->worker->parts, part, link);
    (void)atomic_fetch_sub(&part->listener->users, 1);
    free(part);
}

/* Takes what waits in the socket of a part. */
static void drain_part(struct listener_part *part, mono_ms until)
{
    if (part->readable == NULL)
        return;
    if (transport_is_stream(part->listener->sockets.transport)) {
        stream_accept_waiting(part, until);
        return;
    }
    datagram_drain(part, until);
    datagram_count_drops(part);
}

void worker_remove_listener(struct ingest_worker *worker, struct listener *listener)
{
    struct listener_part *part = worker_find_part(worker, listener);

    assert(part != NULL);
    drain_part(part, clock_mono() + LEAVE_MS);
    stop_reading(part);
    part->fd = -1; /* main closes it when no worker reads it any more; flush frees the part */
}

/* --- handing over ------------------------------------------------------------------------------
 */

static bool has_counts(const struct ingest_worker *worker)
{
    const struct listener_part *part = NULL;

    TAILQ_FOREACH(part, &worker->parts, link)
    {
        if (!ledger_is_empty(&part->ledger))
            return true;
    }
    return false;
}

/* Nothing is in the shard that is not in a ledger, so without counts there is nothing to hand over.
 * Every ledger balances between callbacks, so samples and their counts go together. */
static void hand_over(struct ingest_worker *worker)
{
    struct listener_part *part = NULL;

    if (!has_counts(worker))
        return;
    struct delta *delta = shard_take_delta(worker->shard);
    TAILQ_FOREACH(part, &worker->parts, link)
    {
        if (ledger_is_empty(&part->ledger))
            continue;
        assert(ledger_balances(&part->ledger));
        delta_add_ledger(delta, str_of(part->name), &part->ledger);
        (void)atomic_fetch_add_explicit(&part->counts->handed_over, part->ledger.received,
                                        memory_order_release);
        part->ledger = (struct ledger){0};
    }
    bool taken = worker->sink.post(delta, worker->sink.arg);
    assert(taken); /* nobody waits for an answer, so the sink takes it always */
    (void)taken;
}

static void show_series(struct ingest_worker *worker)
{
    size_t count = shard_series_count(worker->shard);

    COUNTER_ADD(shard_series, count - worker->shard_series); /* wraps around as it should */
    worker->shard_series = count;
}

static void tick_part(struct listener_part *part, mono_ms now)
{
    log_repeat_tick(&part->rejected_log, now);
    log_repeat_tick(&part->refused_log, now);
    log_repeat_tick(&part->accept_log, now);
    if (part->readable != NULL && !transport_is_stream(part->listener->sockets.transport))
        datagram_count_drops(part);
}

static void on_flush(evutil_socket_t fd, short events, void *arg)
{
    struct ingest_worker *worker = arg;
    mono_ms now = clock_mono();
    struct listener_part *next = NULL;
    (void)fd;
    (void)events;

    stream_expire(worker, now);
    if (worker->sink.has_room(worker->sink.arg)) /* else the shard goes on merging */
        hand_over(worker);
    show_series(worker);
    for (struct listener_part *part = TAILQ_FIRST(&worker->parts); part != NULL; part = next) {
        next = TAILQ_NEXT(part, link);
        tick_part(part, now);
        if (part->fd < 0 && part->connections == 0 && ledger_is_empty(&part->ledger))
            free_part(part); /* a removed listener has said its last */
    }
}

/* --- life --------------------------------------------------------------------------------------
 */

struct ingest_worker *worker_new(unsigned index, const struct ingest_options *options,
                                 const struct worker_settings *settings,
                                 _Atomic size_t *connections_in_all)
{
    struct ingest_worker *worker = memory_zero(1, sizeof *worker);
    span_ms every = options->flush_every > 0 ? options->flush_every : DEFAULT_FLUSH_MS;
    const struct timeval period = {.tv_sec = every / 1000, .tv_usec = every % 1000 * 1000};
    char name[16];

    TAILQ_INIT(&worker->parts);
    TAILQ_INIT(&worker->connections);
    worker->index = index;
    worker->seed = options->seed;
    worker->sink = options->sink;
    worker->connections_in_all = connections_in_all;
    (void)snprintf(name, sizeof name, "ingest-%u", index);
    worker->thread = thread_new(name, MAILBOX_CAPACITY, worker, NULL);
    worker->flush_timer = event_new(thread_base(worker->thread), -1, EV_PERSIST, on_flush, worker);
    int rc = worker->flush_timer == NULL ? -1 : event_add(worker->flush_timer, &period);
    assert(rc == 0);
    (void)rc;
    worker_set(worker, settings);
    return worker;
}

void worker_free(struct ingest_worker *worker)
{
    struct listener_part *next = NULL;

    if (worker == NULL)
        return;
    thread_stop(worker->thread);
    stream_drain(worker, 0);
    for (struct listener_part *part = TAILQ_FIRST(&worker->parts); part != NULL; part = next) {
        next = TAILQ_NEXT(part, link);
        free_part(part);
    }
    COUNTER_SUB(shard_series, worker->shard_series);
    shard_free(worker->shard);
    datagram_slots_free(worker->datagram_slots);
    free(worker->stream_buffer);
    event_free(worker->flush_timer);
    thread_free(worker->thread);
    free(worker);
}

/* A shard's limits are its own for life: other limits make another shard, which begins where the
 * last one handed over. */
static void renew_shard(struct ingest_worker *worker)
{
    if (worker->shard != NULL) {
        hand_over(worker);
        shard_free(worker->shard);
    }
    worker->shard =
        shard_new(&worker->settings.shard_limits, worker->settings.metrics, worker->seed);
    worker->intake.shard = worker->shard;
}

static bool same_limits(const struct shard_limits *a, const struct shard_limits *b)
{
    return a->series == b->series && a->raw_keys == b->raw_keys && a->max_future == b->max_future &&
           a->max_past == b->max_past;
}

void worker_set(struct ingest_worker *worker, const struct worker_settings *settings)
{
    bool renew = worker->shard == NULL ||
                 !same_limits(&worker->settings.shard_limits, &settings->shard_limits);

    worker->settings = *settings;
    worker->intake.line_bytes_max = settings->line_bytes_max;
    if (renew)
        renew_shard(worker);
    else
        shard_set_metrics(worker->shard, settings->metrics);
}

void worker_drain(struct ingest_worker *worker, mono_ms until)
{
    struct listener_part *part = NULL;

    TAILQ_FOREACH(part, &worker->parts, link)
    {
        drain_part(part, until);
        stop_reading(part);
    }
    stream_drain(worker, until);
    hand_over(worker);
    show_series(worker);
    TAILQ_FOREACH(part, &worker->parts, link)
    tick_part(part, clock_mono());
}
