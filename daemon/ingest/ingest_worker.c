#include "ingest/ingest_worker.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/counters.h"
#include "base/memory.h"
#include "ingest/datagram.h"
#include "ingest/dogstatsd_intake.h"
#include "ingest/handshake.h"
#include "ingest/http_connection.h"
#include "ingest/native.h"
#include "ingest/native_connection.h"
#include "ingest/parcel.h"
#include "ingest/stream.h"

enum {
    DEFAULT_FLUSH_MS = 1000,
    MAILBOX_CAPACITY = 64,
    LEAVE_MS = 1000,
    DRAIN_SILENCE_MS = 50,
    DRAIN_PAUSE_NS = 1000 * 1000,
    DEFAULT_PENDING_BYTES = 256 << 20,
    DEFAULT_BODY_BYTES = 256 << 20,
    DEFAULT_TAIL_BYTES = 64 << 20,
    SERIES_CACHE_BYTES = 128 << 20, /* of all workers together */
    DESCRIPTORS_KEPT = 64,
    /* A hand-over of many series goes in parts, a few at a time, so that they are not in memory
     * twice. */
    PART_CELLS = 1 << 16,
    PARTS_ON_THE_WAY = 2,
    STEP_CELLS = 1 << 12,
    PART_WAIT_MS = 2,
    PART_LONG_WAIT_MS = 100,
    SHARD_LIFE_MS = 24 * 60 * 60 * 1000,
};

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

static void read_again(struct listener_part *part)
{
    int rc = event_add(part->readable, NULL);
    assert(rc == 0);
    (void)rc;
}

bool part_is_answered(const struct listener_part *part)
{
    return part->listener->sockets.transport == TRANSPORT_HTTP ||
           part->listener->protocol == PROTOCOL_NATIVE;
}

static void start_reading(struct listener_part *part)
{
    struct event_base *base = thread_base(part->worker->thread);
    bool is_stream = transport_is_stream(part->listener->sockets.transport);

    if (!is_stream)
        datagram_prepare(part);
    part->readable = event_new(base, part->fd, EV_READ | EV_PERSIST,
                               is_stream ? stream_on_acceptable : datagram_on_readable, part);
    part->accept_again = evtimer_new(base, stream_on_accept_again, part);
    assert(part->readable != NULL && part->accept_again != NULL);
    if (!part->worker->is_paused || part_is_answered(part))
        read_again(part);
}

/* Who may speak. */
static void forget_rules(struct listener_part *part)
{
    free(part->allow);
    free(part->users);
    tls_release(part->tls);
    part->allow = NULL;
    part->users = NULL;
    part->tls = NULL;
}

static void *copy_of(const void *bytes, size_t size)
{
    return memcpy(memory_alloc(size), bytes, size);
}

static void set_batch_rules(struct listener_part *part)
{
    part->batch_rules = part->worker->settings.batch_rules;
    part->batch_rules.listener = str_of(part->name);
}

void part_set(struct listener_part *part, const struct listener_config *config)
{
    (void)snprintf(part->name, sizeof part->name, "%s", config->name);
    set_batch_rules(part);
    part->unknown_as_counter = config->unknown_as_counter;
    part->skip_single_field = config->skip_single_field;
    part->precision = config->precision;
    (void)snprintf(part->resource_labels, sizeof part->resource_labels, "%s",
                   config->resource_labels == NULL ? "" : config->resource_labels);
    forget_rules(part);
    part->allow_count = config->allow_count;
    if (config->allow_count > 0)
        part->allow = copy_of(config->allow, config->allow_count * sizeof *config->allow);
    part->user_count = config->user_count;
    if (config->user_count > 0)
        part->users = copy_of(config->users, config->user_count * sizeof *config->users);
    part->tls = tls_keep(config->tls);
    part->tokens = config->tokens;
}

static void stop_reading(struct listener_part *part)
{
    if (part->readable == NULL)
        return;
    event_free(part->readable);
    event_free(part->accept_again);
    datagram_end_pace(part);
    part->readable = NULL;
    part->accept_again = NULL;
}

void worker_add_listener(struct ingest_worker *worker, struct listener *listener,
                         const struct listener *taken, const struct listener_config *config)
{
    const struct listener_sockets *sockets = &listener->sockets;
    const struct listener_part *before = taken == NULL ? NULL : worker_find_part(worker, taken);
    struct listener_part *part = memory_zero(1, sizeof *part);

    part->worker = worker;
    part->listener = listener;
    part->counts = &listener->counts[worker->index];
    part->fd = sockets->fds[sockets->count == 1 ? 0 : worker->index];
    part->pace.clock_fd = -1;
    part->kernel_drops_seen = before == NULL ? sockets->drops_before : before->kernel_drops_seen;
    part_set(part, config);
    TAILQ_INSERT_TAIL(&worker->parts, part, link);
    (void)atomic_fetch_add(&listener->users, 1);
    if (!transport_is_stream(sockets->transport) && worker->datagram_slots == NULL)
        worker->datagram_slots = datagram_slots_new();
    /* One thread reads a datagram socket that all have: of two, one could overtake the other, and a
     * gauge would take "+5" before the "10" that was sent first (S7). */
    if (transport_is_stream(sockets->transport) || sockets->count > 1 ||
        listener->reader == worker->index)
        start_reading(part);
}

static void free_part(struct listener_part *part)
{
    stop_reading(part);
    TAILQ_REMOVE(&part->worker->parts, part, link);
    (void)atomic_fetch_sub(&part->listener->users, 1);
    forget_rules(part);
    free(part);
}

/* Takes some of what waits in the socket of a part; false when there is no more. */
static bool take_some(struct listener_part *part)
{
    if (part->readable == NULL || part_is_answered(part))
        return false;
    if (transport_is_stream(part->listener->sockets.transport))
        return stream_accept_some(part);
    return datagram_read(part) == DATAGRAMS_AT_ONCE;
}

void worker_read_datagrams(void *arg)
{
    struct ingest_worker *worker = arg;
    struct listener_part *part = NULL;

    TAILQ_FOREACH(part, &worker->parts, link)
    {
        if (part->readable != NULL && !transport_is_stream(part->listener->sockets.transport))
            (void)datagram_read(part);
    }
}

static void count_drops(struct listener_part *part)
{
    if (part->readable != NULL && !transport_is_stream(part->listener->sockets.transport))
        datagram_count_drops(part);
}

void worker_remove_listener(struct ingest_worker *worker, struct listener *listener)
{
    struct listener_part *part = worker_find_part(worker, listener);
    mono_ms until = clock_mono() + LEAVE_MS;

    assert(part != NULL);
    if (part->readable != NULL && !listener->is_taken)
        datagram_leave(part);
    while (take_some(part) && clock_mono() < until) {
    }
    count_drops(part);
    stop_reading(part);
    handshake_end_all(worker, part);
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

static void post(struct ingest_worker *worker, struct delta *delta)
{
    bool taken = worker->sink.post(delta, worker->sink.arg);
    assert(taken); /* nobody waits for an answer, so the sink takes it always */
    (void)taken;
}

/* A hand-over has begun: the counts are those of now, and each part takes those of its samples.
 * Nothing is in the shard that is not in a ledger, so without counts there is nothing to hand over:
 * false. Every ledger balances between callbacks, so samples and their counts go together. */
static bool begin_hand_over(struct ingest_worker *worker)
{
    if (worker->last_part != NULL)
        return true;
    if (!has_counts(worker))
        return false;
    worker->last_part = dogstatsd_take_annotations(worker->intake.notes);
    if (worker->last_part == NULL)
        worker->last_part = delta_new();
    parcel_begin(worker->last_part, NULL);
    parcel_add_counts(worker->last_part, worker, UINT64_MAX);
    return true;
}

/* Another part, unless what is left fits into the last one. */
static void begin_part(struct ingest_worker *worker)
{
    size_t waiting = shard_waiting_cells(worker->shard);

    if (waiting > PART_CELLS) {
        worker->part = delta_new();
        parcel_begin(worker->part, worker);
        delta_reserve(worker->part, PART_CELLS, PART_CELLS);
    } else if (worker->last_part->cell_count == 0) {
        delta_reserve(worker->last_part, waiting, waiting);
    }
}

static size_t part_size(const struct delta *part)
{
    return part->cell_count + part->point_count;
}

/* Hands over some of what the shard holds: so little at a time that datagrams do not wait for long.
 * False when there is more of it. */
static bool hand_over_some(struct ingest_worker *worker)
{
    if (!begin_hand_over(worker))
        return true;
    if (worker->part == NULL)
        begin_part(worker);
    struct delta *into = worker->part == NULL ? worker->last_part : worker->part;
    bool was_last = shard_hand_over(worker->shard, into->cell_count + STEP_CELLS, into);
    if (worker->part != NULL && (was_last || part_size(worker->part) >= PART_CELLS)) {
        parcel_add_shares(worker->part, worker->last_part);
        parcel_add_late(worker->part, worker);
        post(worker, worker->part);
        worker->part = NULL;
    }
    if (!was_last)
        return false;
    parcel_add_late(worker->last_part, worker);
    post(worker, worker->last_part);
    worker->last_part = NULL;
    return true;
}

/* All of it, however much. */
static void hand_over_all(struct ingest_worker *worker)
{
    while (worker->last_part != NULL || has_counts(worker))
        (void)hand_over_some(worker);
}

/* A shard's limits are its own for life: other limits make another shard, which begins where the
 * last one handed over. */
static void renew_shard(struct ingest_worker *worker)
{
    const struct room *room = worker->settings.shard_limits.room;

    if (worker->shard != NULL) {
        hand_over_all(worker);
        shard_free(worker->shard);
    }
    worker->shard =
        shard_new(&worker->settings.shard_limits, worker->settings.metrics, worker->seed);
    worker->intake.shard = worker->shard;
    worker->shard_began = clock_mono();
    worker->room_epoch = room == NULL ? 0 : room_epoch(room);
}

/* A shard remembers every series it saw, and what it sent to `__other__`. So another one begins
 * once a day, and when there is room again where there was none. After a hand-over little is in it.
 */
static void renew_shard_if_due(struct ingest_worker *worker)
{
    const struct room *room = worker->settings.shard_limits.room;

    if ((room != NULL && room_epoch(room) != worker->room_epoch) ||
        clock_mono() - worker->shard_began > SHARD_LIFE_MS)
        renew_shard(worker);
}

/* A step, if so much may be on the way; the timer goes on with the rest. */
static void hand_over(struct ingest_worker *worker)
{
    bool has_room = worker->sink.has_room(worker->sink.arg);
    bool may_begin =
        worker->part != NULL || atomic_load(&worker->parts_on_the_way) < PARTS_ON_THE_WAY;
    span_ms wait = has_room ? PART_WAIT_MS : PART_LONG_WAIT_MS;

    if (has_room && may_begin) {
        if (hand_over_some(worker)) {
            renew_shard_if_due(worker);
            return;
        }
        wait = 0;
    }
    const struct timeval delay = {.tv_usec = wait * 1000};
    if (worker->last_part != NULL)
        (void)event_add(worker->part_timer, &delay);
}

static void on_part_timer(evutil_socket_t fd, short events, void *arg)
{
    struct ingest_worker *worker = arg;
    (void)fd;
    (void)events;

    if (worker->last_part != NULL)
        hand_over(worker);
}

/* --- the budget --------------------------------------------------------------------------------
 */

static void set_reading(struct ingest_worker *worker, bool reads)
{
    struct listener_part *part = NULL;

    worker->is_paused = !reads;
    TAILQ_FOREACH(part, &worker->parts, link)
    {
        if (part->readable == NULL || part_is_answered(part))
            continue;
        if (reads) {
            read_again(part);
        } else {
            (void)event_del(part->readable);
            (void)event_del(part->accept_again);
        }
    }
    stream_set_reading(worker, reads);
}

/* Samples of many minutes, sketches and new keys make the shard grow while the sink has no room (a
 * disk that is full for hours). Past its budget it is handed over at once, or nothing more is read:
 * streams wait, and what the kernel drops of datagrams is counted there. */
static void keep_budget(struct ingest_worker *worker)
{
    size_t pending = shard_pending_bytes(worker->shard);

    if (pending <= worker->pending_bytes_max || worker->is_paused)
        return;
    if (worker->sink.has_room(worker->sink.arg)) {
        hand_over_all(worker);
        return;
    }
    set_reading(worker, false);
    COUNTER_ADD(ingest_pauses, 1);
    COUNTER_ADD(ingest_paused, 1);
    log_repeated(&worker->pause_log, clock_mono(), "reading_paused", 1,
                 "thread=%s pending_bytes=%zu reason=\"the store takes nothing\"",
                 thread_name(worker->thread), pending);
}

static void end_pause(struct ingest_worker *worker)
{
    if (!worker->is_paused)
        return;
    COUNTER_SUB(ingest_paused, 1);
    set_reading(worker, true);
}

/* --- the intake --------------------------------------------------------------------------------
 */

struct intake *worker_begin(struct listener_part *part)
{
    struct intake *intake = &part->worker->intake;

    const struct intake_dialect dialect = {.protocol = part->listener->protocol,
                                           .unknown_as_counter = part->unknown_as_counter,
                                           .skip_single_field = part->skip_single_field,
                                           .precision = part->precision};

    intake_begin(intake, &part->ledger, dialect, clock_wall_us());
    intake->clients = &part->counts->clients;
    intake->listener = part->name;
    shard_set_listener(intake->shard, str_of(part->name));
    return intake;
}

/* What was received and waits for a hand-over is in the ledger. */
static void show_received(struct listener_part *part)
{
    atomic_store_explicit(&part->counts->received, part->handed_over + part->ledger.received,
                          memory_order_relaxed);
}

void worker_end(struct listener_part *part, const char *peer)
{
    struct intake *intake = &part->worker->intake;

    intake_end(intake);
    show_received(part);
    keep_budget(part->worker);
    if (intake->rejected == 0)
        return;
    if (peer == NULL || peer[0] == '\0')
        peer = intake->peer_text;
    reject_examples_add(&part->rejected, intake->reason, intake->example, peer);
    log_repeated(&part->rejected_log, clock_mono(), "lines_rejected", intake->rejected,
                 "listener=\"%s\" reason=%s%s%s example=\"%s\"", part->name,
                 reject_reason_name(intake->reason), peer[0] == '\0' ? "" : " peer=", peer,
                 intake->example);
}

/* --- what people are shown ---------------------------------------------------------------------
 */

static struct tail_rules tail_rules_of(const struct listener_part *part)
{
    return (struct tail_rules){.listener = part->name,
                               .metrics = part->worker->settings.metrics,
                               .shard = part->worker->shard,
                               .now = clock_mono()};
}

void worker_show_batch(struct listener_part *part, const struct delta *delta)
{
    const struct tail_rules rules = tail_rules_of(part);

    if (part->worker->intake.tail != NULL)
        tail_delta(part->worker->intake.tail, &rules, delta);
}

void worker_show_rejected(struct listener_part *part, const struct tail_rejected *rejected)
{
    const struct tail_rules rules = tail_rules_of(part);

    reject_examples_add(&part->rejected, rejected->reason, rejected->example, rejected->peer);
    if (part->worker->intake.tail != NULL)
        tail_reject(part->worker->intake.tail, &rules, rejected);
}

void worker_show_dropped(struct listener_part *part, const struct tail_dropped *dropped)
{
    const struct tail_rules rules = tail_rules_of(part);

    if (part->worker->intake.tail != NULL)
        tail_drop(part->worker->intake.tail, &rules, dropped);
}

void worker_tail(struct ingest_worker *worker, const struct tail_request *request, uint64_t last,
                 struct tail_lines *out)
{
    if (worker->intake.tail == NULL)
        worker->intake.tail = tail_new(&worker->shared->tail_numbers);
    tail_ask(worker->intake.tail, clock_mono());
    tail_read(worker->intake.tail, request, last, out);
}

static void end_tail(struct ingest_worker *worker, mono_ms now)
{
    if (worker->intake.tail == NULL || !tail_is_over(worker->intake.tail, now))
        return;
    tail_free(worker->intake.tail);
    worker->intake.tail = NULL;
}

/* --- what streams and HTTP tell ----------------------------------------------------------------
 */

void worker_connection_opened(struct listener_part *part)
{
    part->connections++;
    (void)atomic_fetch_add_explicit(&part->counts->connections, 1, memory_order_relaxed);
    COUNTER_ADD(connections, 1);
    COUNTER_ADD(connections_accepted, 1);
}

void worker_connection_forget(struct ingest_worker *worker, int fd)
{
    (void)atomic_fetch_sub_explicit(&worker->shared->connections, 1, memory_order_relaxed);
    peers_leave(&worker->shared->peers, &worker->peer_places, fd);
}

void worker_connection_closed(struct listener_part *part, int fd)
{
    part->connections--;
    (void)atomic_fetch_sub_explicit(&part->counts->connections, 1, memory_order_relaxed);
    worker_connection_forget(part->worker, fd);
    COUNTER_SUB(connections, 1);
}

/* --- who may speak -----------------------------------------------------------------------------
 */

static bool has_user(const struct listener_part *part, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    for (size_t i = 0; i < part->user_count; i++) {
        if (part->users[i] == peer.uid)
            return true;
    }
    return false;
}

bool part_lets_speak(const struct listener_part *part, int fd, const struct sockaddr *peer)
{
    if (part->user_count > 0)
        return fd >= 0 && has_user(part, fd);
    return part->allow_count == 0 || network_list_has(part->allow, part->allow_count, peer);
}

void worker_connection_denied(struct listener_part *part, const struct sockaddr *peer)
{
    char text[PEER_TEXT_SIZE];

    (void)atomic_fetch_add_explicit(&part->counts->connections_denied, 1, memory_order_relaxed);
    COUNTER_ADD(connections_denied, 1);
    log_repeated(&part->denied_log, clock_mono(), "connections_denied", 1, "listener=\"%s\"%s%s",
                 part->name, peer_format(peer, text)[0] == '\0' ? "" : " peer=", text);
}

enum access_verdict part_check_token(struct listener_part *part, struct str token,
                                     const struct sockaddr *peer, const struct token **out)
{
    struct ingest_worker *worker = part->worker;
    const struct access_request request = {peer, token, RIGHT_SAMPLES};
    char text[PEER_TEXT_SIZE];
    mono_ms now = clock_mono();

    *out = NULL;
    if (!part->tokens)
        return ACCESS_GRANTED;
    enum access_verdict verdict =
        access_check(worker->tokens, worker->attempts, &request, now, out);
    if (verdict == ACCESS_GRANTED)
        return verdict;
    COUNTER_ADD(tokens_denied, 1);
    log_repeated(&part->denied_log, now, "token_denied", 1, "listener=\"%s\" peer=%s why=%s%s%s",
                 part->name, peer_format(peer, text), access_verdict_name(verdict),
                 *out == NULL ? "" : " token=", *out == NULL ? "" : (*out)->name);
    return verdict;
}

const char *part_why_denied(const struct listener_part *part, const struct token_usage *usage)
{
    if (!part->tokens || token_table_grants(part->worker->tokens, usage, RIGHT_SAMPLES))
        return NULL;
    return usage == NULL ? "a token is needed here now, and none was shown"
                         : "the token is not known any more";
}

void worker_set_tokens(struct ingest_worker *worker, struct token_table *tokens)
{
    token_table_release(worker->tokens);
    worker->tokens = token_table_keep(tokens);
    native_check_tokens(worker);
}

void worker_count_batch(struct listener_part *part, int64_t received)
{
    part->handed_over += (uint64_t)received; /* wraps around as it should */
    if (received >= 0)
        (void)atomic_fetch_add(&part->listener->users, 1);
    else
        (void)atomic_fetch_sub(&part->listener->users, 1);
    show_received(part);
}

/* --- the flush timer ----------------------------------------------------------------------------
 */

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
    log_repeat_tick(&part->denied_log, now);
    log_repeat_tick(&part->tls_log, now);
    count_drops(part);
}

/* The timer may be a little early, or late. */
static bool is_time_to_hand_over(struct ingest_worker *worker, mono_ms now)
{
    span_ms every = worker->flush_every;

    if (worker->sink.flush_interval != NULL) {
        span_ms asked = worker->sink.flush_interval(worker->sink.arg);
        if (asked > every && now - worker->handed_over_at < asked - every / 2)
            return false;
    }
    worker->handed_over_at = now;
    return true;
}

static void on_flush(evutil_socket_t fd, short events, void *arg)
{
    struct ingest_worker *worker = arg;
    mono_ms now = clock_mono();
    struct listener_part *next = NULL;
    (void)fd;
    (void)events;

    if (!worker->is_paused)
        stream_expire(worker, now);
    http_expire(worker, now);
    native_expire(worker, now);
    handshake_expire(worker, now);
    if (worker->sink.has_room(worker->sink.arg)) { /* else the shard goes on merging */
        if (worker->last_part == NULL && is_time_to_hand_over(worker, now))
            hand_over(worker);
        end_pause(worker);
    }
    show_series(worker);
    end_tail(worker, now);
    log_repeat_tick(&worker->pause_log, now);
    for (struct listener_part *part = TAILQ_FIRST(&worker->parts); part != NULL; part = next) {
        next = TAILQ_NEXT(part, link);
        tick_part(part, now);
        if (part->fd < 0 && part->connections == 0 && ledger_is_empty(&part->ledger))
            free_part(part); /* a removed listener has said its last */
    }
}

/* --- life --------------------------------------------------------------------------------------
 */

/* A flood of connections must not take the descriptors that the store, a reload and the control
 * socket need; descriptors are given from the lowest on. */
static int descriptors_for_connections(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    int all = (int)limit.rlim_cur;
    return all - (all / 4 < DESCRIPTORS_KEPT ? all / 4 : DESCRIPTORS_KEPT);
}

struct ingest_worker *worker_new(unsigned index, const struct ingest_options *options,
                                 const struct worker_settings *settings,
                                 struct ingest_shared *shared)
{
    struct ingest_worker *worker = memory_zero(1, sizeof *worker);
    span_ms every = options->flush_every > 0 ? options->flush_every : DEFAULT_FLUSH_MS;
    const struct timeval period = {.tv_sec = every / 1000, .tv_usec = every % 1000 * 1000};
    char name[16];

    TAILQ_INIT(&worker->parts);
    TAILQ_INIT(&worker->connections);
    room_queue_init(&worker->tail_queue);
    TAILQ_INIT(&worker->tail_holders);
    TAILQ_INIT(&worker->http_connections);
    TAILQ_INIT(&worker->native_connections);
    TAILQ_INIT(&worker->handshakes);
    peer_room_init(&worker->handshake_room);
    peer_room_init(&worker->frame_room);
    worker->attempts = attempts_new(options->seed);
    worker->tokens = token_table_keep(options->tokens);
    worker->index = index;
    worker->seed = options->seed;
    worker->sink = options->sink;
    worker->pending_bytes_max =
        (options->pending_bytes_max > 0 ? options->pending_bytes_max : DEFAULT_PENDING_BYTES) /
        options->threads;
    worker->descriptors_max = descriptors_for_connections();
    worker->shared = shared;
    worker->body_budget = options->body_budget > 0 ? options->body_budget : DEFAULT_BODY_BYTES;
    worker->frame_bytes_held_max = worker->body_budget / 2 / options->threads;
    worker->tail_room.bytes_max =
        options->tail_bytes_max > 0 ? options->tail_bytes_max : DEFAULT_TAIL_BYTES;
    (void)snprintf(name, sizeof name, "ingest-%u", index);
    worker->series_cache = series_cache_new(options->seed, SERIES_CACHE_BYTES / options->threads);
    worker->thread = thread_new(name, MAILBOX_CAPACITY, worker, NULL);
    worker->flush_every = every;
    worker->flush_timer = event_new(thread_base(worker->thread), -1, EV_PERSIST, on_flush, worker);
    worker->part_timer = evtimer_new(thread_base(worker->thread), on_part_timer, worker);
    assert(worker->part_timer != NULL);
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
    handshake_end_all(worker, NULL);
    stream_end_all(worker);
    http_end_all(worker);
    native_end_all(worker);
    if (worker->is_paused)
        COUNTER_SUB(ingest_paused, 1);
    for (struct listener_part *part = TAILQ_FIRST(&worker->parts); part != NULL; part = next) {
        next = TAILQ_NEXT(part, link);
        free_part(part);
    }
    COUNTER_SUB(shard_series, worker->shard_series);
    if (worker->last_part != NULL) {
        parcel_forget(worker->last_part);
        delta_free(worker->last_part);
    }
    delta_free(worker->part);
    shard_free(worker->shard);
    intake_fini(&worker->intake);
    native_reader_free(worker->native_reader);
    series_cache_free(worker->series_cache);
    datagram_slots_free(worker->datagram_slots);
    free(worker->stream_buffer);
    peer_places_fini(&worker->peer_places);
    tail_free(worker->intake.tail);
    token_table_release(worker->tokens);
    attempts_free(worker->attempts);
    event_free(worker->flush_timer);
    event_free(worker->part_timer);
    thread_free(worker->thread);
    free(worker);
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
    worker->settings.batch_rules.seed = worker->seed;
    struct listener_part *part = NULL;
    TAILQ_FOREACH(part, &worker->parts, link)
    set_batch_rules(part);
    series_cache_forget(worker->series_cache);
    worker->intake.metrics = settings->metrics;
    worker->intake.line_bytes_max = settings->line_bytes_max;
    worker->intake.max_future = settings->shard_limits.max_future;
    worker->intake.max_past = settings->shard_limits.max_past;
    worker->intake.frame_bytes_max = settings->frame_bytes_max;
    if (renew)
        renew_shard(worker);
    else
        shard_set_metrics(worker->shard, settings->metrics);
}

/* What a full window held back is still in the sender's socket when ours is empty, and comes a
 * moment after there is room again: streams have said all only when they are silent for a while. */
static void read_what_waits(struct ingest_worker *worker, mono_ms until)
{
    const struct timespec pause = {.tv_nsec = DRAIN_PAUSE_NS};
    struct listener_part *part = NULL;
    mono_ms now = clock_mono();
    mono_ms silent_since = now;

    for (; now < until; now = clock_mono()) {
        bool more = false;

        /* In turns, so that nobody who sends for ever keeps what others have said out. */
        TAILQ_FOREACH(part, &worker->parts, link)
        more = take_some(part) || more;
        more = stream_read_some(worker, until) || more;
        if (more) {
            silent_since = clock_mono();
            continue;
        }
        if (worker->connection_count == 0)
            return;
        if (now - silent_since < DRAIN_SILENCE_MS) {
            (void)nanosleep(&pause, NULL);
            continue;
        }
        if (!stream_free_room(worker))
            return;
        silent_since = now;
    }
}

void worker_drain(struct ingest_worker *worker, mono_ms until)
{
    struct listener_part *part = NULL;

    if (!worker->is_paused) /* else there is no room for what waits */
        read_what_waits(worker, until);
    TAILQ_FOREACH(part, &worker->parts, link)
    {
        count_drops(part);
        stop_reading(part);
    }
    handshake_end_all(worker, NULL);
    stream_end_all(worker);
    http_drain(worker, until);
    http_end_all(worker);
    native_drain(worker, until);
    native_end_all(worker);
    hand_over_all(worker);
    show_series(worker);
    TAILQ_FOREACH(part, &worker->parts, link)
    tick_part(part, clock_mono());
}
