#include "ingest/ingest.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "ingest/ingest_worker.h"

struct ingest {
    /* set once at start */
    unsigned threads;
    struct ingest_worker *workers[INGEST_THREADS_MAX];

    /* main thread only */
    struct listener_list
        listeners;               /* in the order of the configuration, then those that are gone */
    unsigned opened;             /* listeners so far: spreads what one thread alone reads */
    struct inherited *inherited; /* while it starts, else NULL */
    bool stopped;

    /* shared */
    struct ingest_shared counted;
};

static struct worker_settings settings_of(const struct ingest_config *config)
{
    return (struct worker_settings){.metrics = config->metrics,
                                    .calendar = config->calendar,
                                    .line_bytes_max = config->line_bytes_max,
                                    .frame_bytes_max = config->frame_bytes_max,
                                    .connections_max = config->connections_max,
                                    .connections_per_peer = config->connections_per_peer,
                                    .idle_timeout = config->idle_timeout,
                                    .body_bytes_max = config->body_bytes_max,
                                    .request_timeout = config->request_timeout,
                                    .shard_limits = config->shard_limits,
                                    .batch_rules = {.metrics = config->metrics,
                                                    .series_max = config->shard_limits.series,
                                                    .room = config->shard_limits.room,
                                                    .max_future = config->shard_limits.max_future,
                                                    .max_past = config->shard_limits.max_past}};
}

/* --- listeners ---------------------------------------------------------------------------------
 */

static void free_listener(struct listener *listener)
{
    listener_close(&listener->sockets);
    for (size_t i = 0; i < INGEST_THREADS_MAX; i++)
        free(atomic_load(&listener->counts[i].clients));
    free(listener->address);
    free(listener);
}

static void free_list(struct listener_list *list)
{
    struct listener *listener = NULL;

    while ((listener = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, listener, link);
        free_listener(listener);
    }
}

static struct listener *new_listener(struct ingest *ingest, const struct listener_config *config,
                                     const struct listener_sockets *sockets)
{
    struct listener *listener = memory_zero(1, sizeof *listener);
    listener->protocol = config->protocol;
    listener->address = memory_copy(config->address, strlen(config->address));
    listener->sockets = *sockets;
    listener->reader = ingest->opened++ % ingest->threads;
    return listener;
}

static void log_opened(const struct listener *listener)
{
    const struct listener_sockets *sockets = &listener->sockets;
    bool is_small =
        sockets->transport == TRANSPORT_UDP && sockets->receive_buffer_bytes < RECEIVE_BUFFER_BYTES;

    log_info("listening", "protocol=%s address=%s sockets=%u%s", protocol_name(listener->protocol),
             sockets->listen, sockets->count, sockets->is_inherited ? " inherited=yes" : "");
    if (sockets->drops_before > 0)
        log_warn("datagrams_dropped_before",
                 "address=%s count=%u hint=\"since the socket was opened; its queue was full while "
                 "nobody read it, or in an earlier run\"",
                 sockets->listen, sockets->drops_before);
    if (is_small && sockets->is_inherited)
        log_warn(
            "small_receive_buffer",
            "address=%s granted_bytes=%u hint=\"a burst, or what comes during a restart, may be "
            "dropped; set ReceiveBuffer=%dM in the unit of the socket\"",
            sockets->listen, sockets->receive_buffer_bytes, RECEIVE_BUFFER_BYTES >> 20);
    else if (is_small)
        log_warn("small_receive_buffer",
                 "address=%s asked_bytes=%d granted_bytes=%u hint=\"a burst may be dropped; raise "
                 "it with sysctl net.core.rmem_max=%d\"",
                 sockets->listen, RECEIVE_BUFFER_BYTES, sockets->receive_buffer_bytes,
                 RECEIVE_BUFFER_BYTES);
}

/* A socket stays as it is when the same protocol is spoken on the same address; a name or a mode
 * may change without it. */
static bool is_same(const struct listener *listener, const struct listener_config *config)
{
    return !listener->is_gone && listener->protocol == config->protocol &&
           listener->sockets.transport == config->transport &&
           strcmp(listener->address, config->address) == 0 && listener_has_file(&listener->sockets);
}

/* The listener of one line of a configuration. */
struct plan_line {
    struct listener *listener;
    bool is_new;
    /* of a new one, or NULL */
    struct listener *replaced; /* whose Unix path it gets by a swap */
    struct listener *taken;    /* whose sockets it takes over */
    /* of one that was there */
    bool mode_is_set;
    unsigned mode_before;
};

struct plan {
    const struct ingest_config *config;
    struct plan_line *lines; /* one for each of the config's listeners */
};

static struct plan plan_new(const struct ingest_config *config)
{
    return (struct plan){config, memory_zero(config->listener_count + 1, sizeof(struct plan_line))};
}

static void plan_free(struct plan *plan)
{
    free(plan->lines);
}

static bool plan_has(const struct plan *plan, const struct listener *listener)
{
    for (size_t i = 0; i < plan->config->listener_count; i++) {
        if (plan->lines[i].listener == listener)
            return true;
    }
    return false;
}

/* Whether the sockets of a listener stay open, for itself or another one. */
static bool plan_keeps(const struct plan *plan, const struct listener *listener)
{
    for (size_t i = 0; i < plan->config->listener_count; i++) {
        if (plan->lines[i].listener == listener || plan->lines[i].taken == listener)
            return true;
    }
    return false;
}

static void find_unchanged(struct ingest *ingest, struct plan *plan)
{
    for (size_t i = 0; i < plan->config->listener_count; i++) {
        struct listener *listener = NULL;
        TAILQ_FOREACH(listener, &ingest->listeners, link)
        {
            if (is_same(listener, &plan->config->listeners[i]) && !plan_has(plan, listener))
                break;
        }
        plan->lines[i].listener = listener;
    }
}

/* What a listener that is removed leaves to another one on its address, which speaks something
 * else. Port 0 is what it was. */
static bool can_take(const struct listener *listener, const struct listener_config *config)
{
    bool same_text =
        strcmp(listener->address, config->address) == 0 &&
        transport_is_stream(listener->sockets.transport) ==
            transport_is_stream(config->transport) &&
        transport_is_unix(listener->sockets.transport) == transport_is_unix(config->transport);

    return !listener->is_gone && listener_has_file(&listener->sockets) &&
           (same_text || listener_relation_of(&listener->sockets, config) == LISTENER_SAME);
}

static void find_taken(struct ingest *ingest, struct plan *plan)
{
    for (size_t i = 0; i < plan->config->listener_count; i++) {
        struct listener *listener = NULL;
        if (plan->lines[i].listener != NULL)
            continue;
        TAILQ_FOREACH(listener, &ingest->listeners, link)
        {
            if (can_take(listener, &plan->config->listeners[i]) && !plan_keeps(plan, listener))
                break;
        }
        plan->lines[i].taken = listener;
    }
}

/* A listener of ours because of which an address cannot simply be opened; one that stays if there
 * is one, else `*stays` is false. NULL: there is none. */
static struct listener *find_in_the_way(struct ingest *ingest, const struct plan *plan,
                                        const struct listener_config *config, bool *stays)
{
    struct listener *listener = NULL;
    struct listener *leaving = NULL;

    *stays = true;
    for (size_t i = 0; i < plan->config->listener_count; i++) {
        listener = plan->lines[i].is_new ? plan->lines[i].listener : NULL;
        if (listener != NULL && listener_relation_of(&listener->sockets, config) != LISTENER_APART)
            return listener;
    }
    TAILQ_FOREACH(listener, &ingest->listeners, link)
    {
        if (listener->is_gone || !listener_has_file(&listener->sockets) ||
            listener_relation_of(&listener->sockets, config) == LISTENER_APART)
            continue;
        if (plan_keeps(plan, listener) || listener->sockets.is_inherited)
            return listener;
        leaving = listener;
    }
    *stays = false;
    return leaving;
}

static bool hint_whose(const struct listener *listener, struct error *err)
{
    if (listener->sockets.is_inherited)
        return error_hint(err,
                          "kpid itself has '%s', from whoever started it; change the socket's "
                          "unit and restart both",
                          listener->sockets.listen);
    return error_hint(err, "kpid itself has it, for '%s'", listener->sockets.listen);
}

static bool open_sockets(struct ingest *ingest, struct plan *plan, size_t i,
                         struct listener_sockets *out, struct error *err)
{
    const struct listener_config *config = &plan->config->listeners[i];
    struct plan_line *line = &plan->lines[i];
    bool stays = false;

    if (line->taken != NULL)
        return listener_share(out, &line->taken->sockets, config->transport, err);
    if (listener_take(out, config, ingest->inherited)) {
        bool ok = listener_set_mode(out, config->mode, err);
        if (!ok)
            listener_close(out);
        return ok;
    }
    struct listener *in_the_way = find_in_the_way(ingest, plan, config, &stays);
    if (in_the_way != NULL && !stays) {
        line->replaced = transport_is_unix(config->transport) ? in_the_way : NULL;
        return listener_open_beside(out, config, ingest->threads, err);
    }
    if (listener_open(out, config, ingest->threads, err))
        return true;
    return in_the_way != NULL && err->kind == ERROR_CONFLICT ? hint_whose(in_the_way, err) : false;
}

static bool open_line(struct ingest *ingest, struct plan *plan, size_t i, struct error *err)
{
    struct plan_line *line = &plan->lines[i];
    struct listener_sockets sockets;

    if (line->listener != NULL)
        return true;
    if (!open_sockets(ingest, plan, i, &sockets, err))
        return false;
    line->listener = new_listener(ingest, &plan->config->listeners[i], &sockets);
    line->is_new = true;
    if (line->taken != NULL) /* who reads it for all stays the same */
        line->listener->reader = line->taken->reader;
    return true;
}

/* The new ones take the paths over, all or none of them. */
static bool plan_swap(struct plan *plan, struct error *err)
{
    size_t done = 0;
    bool ok = true;

    for (; done < plan->config->listener_count && ok; done++) {
        const struct plan_line *line = &plan->lines[done];
        ok = line->replaced == NULL ||
             listener_swap(&line->listener->sockets, &line->replaced->sockets, err);
    }
    for (size_t i = 0; i + 1 < done && !ok; i++) {
        const struct plan_line *line = &plan->lines[i];
        struct error ignored;
        if (line->replaced != NULL)
            (void)listener_swap(&line->listener->sockets, &line->replaced->sockets, &ignored);
    }
    return ok;
}

/* Whose the file of a line's socket is before the reload. */
static struct listener_sockets *old_sockets(const struct plan_line *line)
{
    return line->taken != NULL ? &line->taken->sockets : &line->listener->sockets;
}

/* The modes of files that are there already, all or none of them. */
static bool plan_set_modes(struct plan *plan, struct error *err)
{
    bool ok = true;

    for (size_t i = 0; i < plan->config->listener_count && ok; i++) {
        struct plan_line *line = &plan->lines[i];
        if (line->is_new && line->taken == NULL)
            continue;
        line->mode_before = old_sockets(line)->mode;
        ok = line->mode_is_set =
            listener_set_mode(old_sockets(line), plan->config->listeners[i].mode, err);
    }
    return ok;
}

static void restore_modes(struct plan *plan)
{
    for (size_t i = 0; i < plan->config->listener_count; i++) {
        const struct plan_line *line = &plan->lines[i];
        struct error ignored;
        if (line->mode_is_set && !old_sockets(line)->is_inherited)
            (void)listener_set_mode(old_sockets(line), line->mode_before, &ignored);
    }
}

static void close_new(struct plan *plan)
{
    for (size_t i = 0; i < plan->config->listener_count; i++) {
        if (plan->lines[i].is_new)
            free_listener(plan->lines[i].listener);
    }
}

/* Nothing can go wrong from here on. */
static void give_files(struct plan *plan)
{
    for (size_t i = 0; i < plan->config->listener_count; i++) {
        struct plan_line *line = &plan->lines[i];
        if (line->taken == NULL)
            continue;
        listener_give_file(&line->taken->sockets, &line->listener->sockets);
        line->taken->is_taken = true;
    }
}

/* Finds or opens the listener of every line; on failure nothing has changed. */
static bool plan_open(struct ingest *ingest, struct plan *plan, struct error *err)
{
    bool ok = true;

    find_unchanged(ingest, plan);
    find_taken(ingest, plan);
    for (size_t i = 0; i < plan->config->listener_count && ok; i++)
        ok = open_line(ingest, plan, i, err);
    ok = ok && plan_set_modes(plan, err) && plan_swap(plan, err);
    if (ok) {
        give_files(plan);
    } else {
        restore_modes(plan);
        close_new(plan);
    }
    return ok;
}

/* --- changing workers --------------------------------------------------------------------------
 */

struct change {
    struct ingest *ingest;
    struct ingest_worker *worker;
    const struct plan *plan;
};

/* On the worker's thread, or before it runs. */
static void apply_change(void *arg)
{
    struct change *change = arg;
    struct ingest_worker *worker = change->worker;
    const struct plan *plan = change->plan;
    struct worker_settings settings = settings_of(plan->config);
    struct listener *listener = NULL;

    TAILQ_FOREACH(listener, &change->ingest->listeners, link)
    {
        if (!listener->is_gone && !plan_has(plan, listener))
            worker_remove_listener(worker, listener);
    }
    worker_set(worker, &settings);
    for (size_t i = 0; i < plan->config->listener_count; i++) {
        const struct listener_config *config = &plan->config->listeners[i];
        const struct plan_line *line = &plan->lines[i];
        struct listener_part *part = worker_find_part(worker, line->listener);
        if (part == NULL)
            worker_add_listener(worker, line->listener, line->taken, config);
        else
            part_set(part, config);
    }
}

/* Listeners that left the configuration are closed at once; what remains of them goes when no
 * worker has connections or counts of them. */
static void retire_listeners(struct ingest *ingest, const struct plan *plan)
{
    struct listener *listener = TAILQ_FIRST(&ingest->listeners);

    while (listener != NULL) {
        struct listener *next = TAILQ_NEXT(listener, link);
        if (!listener->is_gone && !plan_has(plan, listener)) {
            log_info("listener_closed", "protocol=%s address=%s", protocol_name(listener->protocol),
                     listener->sockets.listen);
            listener->is_gone = true;
            listener_close(&listener->sockets);
        }
        if (listener->is_gone && atomic_load(&listener->users) == 0) {
            TAILQ_REMOVE(&ingest->listeners, listener, link);
            free_listener(listener);
        }
        listener = next;
    }
}

static void change_workers(struct ingest *ingest, const struct plan *plan)
{
    for (unsigned i = 0; i < ingest->threads; i++) {
        struct change change = {ingest, ingest->workers[i], plan};
        thread_call(ingest->workers[i]->thread, apply_change, &change);
    }
    retire_listeners(ingest, plan);
    for (size_t i = plan->config->listener_count; i-- > 0;) {
        struct listener *listener = plan->lines[i].listener;
        if (!plan->lines[i].is_new)
            TAILQ_REMOVE(&ingest->listeners, listener, link);
        TAILQ_INSERT_HEAD(&ingest->listeners, listener, link);
    }
    for (size_t i = 0; i < plan->config->listener_count; i++) {
        if (plan->lines[i].is_new)
            log_opened(plan->lines[i].listener);
    }
}

/* --- life --------------------------------------------------------------------------------------
 */

static bool start_threads(struct ingest *ingest, struct error *err)
{
    for (unsigned i = 0; i < ingest->threads; i++) {
        if (!thread_start(ingest->workers[i]->thread, err))
            return false;
    }
    return true;
}

struct ingest *ingest_start(const struct ingest_options *options,
                            const struct ingest_config *config, struct error *err)
{
    struct ingest *ingest = memory_zero(1, sizeof *ingest);
    struct worker_settings settings = settings_of(config);
    struct plan plan = plan_new(config);

    assert(options->threads >= 1 && options->threads <= INGEST_THREADS_MAX);
    TAILQ_INIT(&ingest->listeners);
    ingest->threads = options->threads;
    ingest->inherited = options->inherited;
    ingest->counted.peers.seed = options->seed;
    atomic_init(&ingest->counted.tail_numbers, 1); /* 0 is no entry's, nor the end of a call's */
    bool ok = plan_open(ingest, &plan, err);
    ingest->inherited = NULL;
    if (ok) {
        for (unsigned i = 0; i < ingest->threads; i++)
            ingest->workers[i] = worker_new(i, options, &settings, &ingest->counted);
        change_workers(ingest, &plan);
        ok = start_threads(ingest, err);
    }
    plan_free(&plan);
    if (ok)
        return ingest;
    ingest_free(ingest);
    return NULL;
}

bool ingest_reload(struct ingest *ingest, const struct ingest_config *config, struct error *err)
{
    struct plan plan = plan_new(config);
    bool ok = plan_open(ingest, &plan, err);

    if (ok)
        change_workers(ingest, &plan);
    plan_free(&plan);
    return ok;
}

static void on_drain(struct message *message, void *receiver)
{
    struct ingest_worker *worker = receiver;
    (void)message;
    worker_drain(worker, worker->drain_until);
}

static void close_listeners(void *arg)
{
    struct ingest *ingest = arg;
    struct listener *listener = NULL;

    TAILQ_FOREACH(listener, &ingest->listeners, link)
    listener_close(&listener->sockets);
}

/* All workers drain at the same time; thread_stop waits for what was sent before it. A thread that
 * could not be started has its message handled here. */
void ingest_stop(struct ingest *ingest, span_ms drain_ms)
{
    mono_ms until = clock_mono() + drain_ms;

    if (ingest->stopped)
        return;
    ingest->stopped = true;
    for (unsigned i = 0; i < ingest->threads; i++) {
        struct ingest_worker *worker = ingest->workers[i];
        worker->drain_until = until;
        worker->drain_message.on_message = on_drain;
        mailbox_push_always(thread_mailbox(worker->thread), &worker->drain_message);
    }
    for (unsigned i = 0; i < ingest->threads; i++) {
        thread_stop(ingest->workers[i]->thread);
        (void)mailbox_drain(thread_mailbox(ingest->workers[i]->thread));
    }
    /* As their list is asked for (ingest_listeners), which may still happen. */
    thread_call(ingest->workers[0]->thread, close_listeners, ingest);
    log_info("ingest_stopped", "threads=%u", ingest->threads);
}

void ingest_free(struct ingest *ingest)
{
    if (ingest == NULL)
        return;
    if (ingest->workers[0] != NULL)
        ingest_stop(ingest, 0);
    for (unsigned i = 0; i < ingest->threads; i++)
        worker_free(ingest->workers[i]);
    free_list(&ingest->listeners);
    free(ingest);
}

/* --- what others are shown ---------------------------------------------------------------------
 */

static void fill_facts(const struct ingest *ingest, const struct listener_part *part,
                       struct listener_facts *out)
{
    const struct listener *listener = part->listener;

    *out = (struct listener_facts){.protocol = protocol_name(listener->protocol),
                                   .receive_buffer_bytes = listener->sockets.receive_buffer_bytes,
                                   .is_inherited = listener->sockets.is_inherited};
    (void)snprintf(out->name, sizeof out->name, "%s", part->name);
    (void)snprintf(out->listen, sizeof out->listen, "%s", listener->sockets.listen);
    for (unsigned i = 0; i < ingest->threads; i++) {
        const struct listener_counts *counts = &listener->counts[i];
        /* Settled first: read the other way round it could be ahead of what was received. */
        out->handed_over += atomic_load_explicit(&counts->settled, memory_order_acquire);
        out->received += atomic_load_explicit(&counts->received, memory_order_relaxed);
        out->kernel_drops += atomic_load_explicit(&counts->kernel_drops, memory_order_relaxed);
        out->connections += atomic_load_explicit(&counts->connections, memory_order_relaxed);
        out->connections_denied +=
            atomic_load_explicit(&counts->connections_denied, memory_order_relaxed);
    }
}

struct token_change {
    struct ingest_worker *worker;
    struct token_table *tokens;
};

static void change_tokens(void *arg)
{
    const struct token_change *change = arg;
    worker_set_tokens(change->worker, change->tokens);
}

void ingest_set_tokens(struct ingest *ingest, struct token_table *tokens)
{
    for (unsigned i = 0; i < ingest->threads; i++) {
        struct token_change change = {ingest->workers[i], tokens};
        thread_call(ingest->workers[i]->thread, change_tokens, &change);
    }
}

struct listing {
    const struct ingest *ingest;
    struct listener_facts *out;
    size_t max;
    size_t count;
};

static void list_parts(void *arg)
{
    struct listing *listing = arg;
    const struct listener_part *part = NULL;

    TAILQ_FOREACH(part, &listing->ingest->workers[0]->parts, link)
    {
        if (part->fd < 0 || part->listener->sockets.count == 0) /* removed, or closed by the stop */
            continue;
        if (listing->count < listing->max)
            fill_facts(listing->ingest, part, &listing->out[listing->count]);
        listing->count++;
    }
}

/* The first worker's list is asked on its own thread, so that a reload, which changes it there too,
 * needs no lock. */
size_t ingest_listeners(struct ingest *ingest, struct listener_facts *out, size_t max)
{
    struct listing listing = {.ingest = ingest, .out = out, .max = max};

    thread_call(ingest->workers[0]->thread, list_parts, &listing);
    return listing.count;
}

struct client_listing {
    const struct ingest *ingest;
    struct client_facts *out;
    size_t max;
    size_t count;
};

static void list_clients_of(struct client_listing *listing, const struct listener_part *part)
{
    struct client_drops drops[CLIENTS_MAX + 1];
    size_t count = 0;

    for (unsigned i = 0; i < listing->ingest->threads; i++)
        count = client_drops_add(&part->listener->counts[i].clients, drops, count, CLIENTS_MAX + 1);
    for (size_t i = 0; i < count && listing->count < listing->max; i++) {
        struct client_facts *facts = &listing->out[listing->count++];
        (void)snprintf(facts->listener, sizeof facts->listener, "%s", part->name);
        facts->drops = drops[i];
    }
}

static void list_clients(void *arg)
{
    struct client_listing *listing = arg;
    const struct listener_part *part = NULL;

    TAILQ_FOREACH(part, &listing->ingest->workers[0]->parts, link)
    {
        if (part->fd >= 0)
            list_clients_of(listing, part);
    }
}

size_t ingest_clients(struct ingest *ingest, struct client_facts *out, size_t max)
{
    struct client_listing listing = {.ingest = ingest, .out = out, .max = max};

    thread_call(ingest->workers[0]->thread, list_clients, &listing);
    return listing.count;
}

struct tail_call {
    struct ingest_worker *worker;
    const struct tail_request *request;
    uint64_t last;
    struct tail_lines *out;
};

static void read_tail(void *arg)
{
    const struct tail_call *call = arg;
    worker_tail(call->worker, call->request, call->last, call->out);
}

void ingest_tail(struct ingest *ingest, const struct tail_request *request, struct tail_lines *out)
{
    /* What has a number by now is noted when its thread is asked; what comes while the others are
     * asked is for the next call. */
    uint64_t last = atomic_load(&ingest->counted.tail_numbers);
    struct tail_request since = *request;

    *out = (struct tail_lines){.next = last};
    if (request->after == 0)
        since.after = last;
    for (unsigned i = 0; i < ingest->threads; i++) {
        struct tail_call call = {ingest->workers[i], &since, last, out};
        thread_call(ingest->workers[i]->thread, read_tail, &call);
    }
    tail_lines_sort(out);
}

struct rejected_call {
    const struct ingest_worker *worker;
    struct rejected_facts *out;
    size_t max;
    size_t count;
};

static void list_rejected(void *arg)
{
    struct rejected_call *call = arg;
    const struct listener_part *part = NULL;

    TAILQ_FOREACH(part, &call->worker->parts, link)
    {
        size_t at = 0;
        while (at < call->count && strcmp(call->out[at].listener, part->name) != 0)
            at++;
        if (at == call->max)
            continue;
        if (at == call->count) {
            call->out[call->count++] = (struct rejected_facts){.listener = ""};
            (void)snprintf(call->out[at].listener, sizeof call->out[at].listener, "%s", part->name);
        }
        reject_examples_merge(&call->out[at].examples, &part->rejected);
    }
}

size_t ingest_rejected(struct ingest *ingest, struct rejected_facts *out, size_t max)
{
    struct rejected_call call = {.out = out, .max = max};

    for (unsigned i = 0; i < ingest->threads; i++) {
        call.worker = ingest->workers[i];
        thread_call(ingest->workers[i]->thread, list_rejected, &call);
    }
    return call.count;
}

struct thread *ingest_thread(struct ingest *ingest, size_t i)
{
    return i < ingest->threads ? ingest->workers[i]->thread : NULL;
}
