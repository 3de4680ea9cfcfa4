#include "alert/dispatcher.h"

#include <assert.h>
#include <event2/event.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "alert/outbox.h"
#include "alert/transfer.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"

enum {
    LOOK_WAIT_MAX = MS_PER_MINUTE, /* so that a clock that is set cannot hold anything up */
    RETRY_READ_MS = MS_PER_SECOND,
    RETRY_STORE_MS = MS_PER_SECOND,
    VANISHED_GIVE_UP_MS = MS_PER_DAY,
    WHY_SIZE = 256,
    MAILBOX_CAPACITY = 64,
};

enum verdict { DELIVERY_SENT, DELIVERY_POSTPONED, DELIVERY_DEAD };

/* One attempt: first a transfer, then a job of the writer that stores what became of it. */
struct delivery {
    struct writer_job job; /* first */
    struct message reply;
    struct dispatcher *dispatcher;
    struct delivery *next;
    struct arena arena; /* holds `entry` */
    struct outbox_entry entry;
    struct hook_request request;
    struct transfer *transfer; /* NULL while the writer has it */

    /* what the writer stores */
    enum verdict verdict;
    wall_ms at;
    wall_ms next_try;
    bool pauses_hook; /* until next_try */
    bool attempted;   /* something was sent */
    bool hook_is_gone;
    char why[WHY_SIZE];
    bool committed; /* set by the writer */
    bool refused;   /* the writer could not store it: it is posted again */
};

/* What is remembered of a hook while kpid runs. */
struct hook_slot {
    const struct hook *hook;
    struct log_repeat failures;
    struct log_repeat dead;
    bool gave_up; /* said loudly already, until a message is accepted again */
};

struct dispatcher {
    /* set once at start */
    struct store *store;
    struct writer *writer;
    struct thread *thread;
    struct transfers *transfers;
    struct event *timer;
    struct message wake;

    /* shared */
    atomic_bool is_woken;

    /* dispatcher thread only */
    const struct hook_set *hooks;
    struct hook_slot *slots; /* one for each hook, in their order */
    struct delivery *deliveries;
    bool stopping;
};

static void look(struct dispatcher *dispatcher);

static struct hook_slot *find_slot(struct dispatcher *dispatcher, struct str hook)
{
    for (size_t i = 0; i < dispatcher->hooks->count; i++) {
        if (str_is(hook, dispatcher->slots[i].hook->id))
            return &dispatcher->slots[i];
    }
    return NULL;
}

/* One attempt a hook at a time, so that order holds: also while the writer stores the last one. */
static bool is_busy(const struct dispatcher *dispatcher, struct str hook)
{
    for (const struct delivery *d = dispatcher->deliveries; d != NULL; d = d->next) {
        if (str_equal(d->entry.hook, hook))
            return true;
    }
    return false;
}

static void set_timer(struct dispatcher *dispatcher, span_ms wait)
{
    if (wait < 0)
        wait = 0;
    if (wait > LOOK_WAIT_MAX)
        wait = LOOK_WAIT_MAX;
    struct timeval span = {.tv_sec = wait / MS_PER_SECOND, .tv_usec = wait % MS_PER_SECOND * 1000};
    (void)event_add(dispatcher->timer, &span);
}

static bool is_any_refused(const struct dispatcher *dispatcher)
{
    for (const struct delivery *d = dispatcher->deliveries; d != NULL; d = d->next) {
        if (d->refused)
            return true;
    }
    return false;
}

/* --- deliveries ---------------------------------------------------------------------------------
 */

static struct delivery *new_delivery(struct dispatcher *dispatcher)
{
    struct delivery *delivery = memory_zero(1, sizeof *delivery);

    delivery->dispatcher = dispatcher;
    delivery->next = dispatcher->deliveries;
    dispatcher->deliveries = delivery;
    return delivery;
}

static void free_delivery(struct delivery *delivery)
{
    struct delivery **link = &delivery->dispatcher->deliveries;

    while (*link != delivery)
        link = &(*link)->next;
    *link = delivery->next;
    if (delivery->transfer != NULL)
        transfer_cancel(delivery->transfer);
    buf_fini(&delivery->request.body);
    arena_fini(&delivery->arena);
    free(delivery);
}

/* Free text of others, for one log line between double quotes. */
__attribute__((format(printf, 2, 3))) static void set_why(struct delivery *delivery,
                                                          const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(delivery->why, sizeof delivery->why, format, args);
    va_end(args);
    for (char *c = delivery->why; *c != '\0'; c++) {
        if (*c == '"')
            *c = '\'';
    }
}

/* --- what became of it: on the writer's thread, then back ---------------------------------------
 */

static bool run_job(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    const struct delivery *delivery = (const struct delivery *)job;
    struct str hook = delivery->entry.hook;
    uint64_t sequence = delivery->entry.sequence;

    switch (delivery->verdict) {
    case DELIVERY_SENT:
        return outbox_ack(txn, hook, sequence, delivery->at, err);
    case DELIVERY_DEAD:
        return outbox_bury(txn, hook, sequence, str_of(delivery->why), err);
    case DELIVERY_POSTPONED:
        break;
    }
    struct outbox_wait wait = {delivery->at, delivery->next_try};
    return outbox_postpone(txn, hook, sequence, wait, str_of(delivery->why), err) &&
           (!delivery->pauses_hook || outbox_pause(txn, hook, wait, err));
}

static void job_done(struct writer_job *job, const struct error *err)
{
    struct delivery *delivery = (struct delivery *)job;

    delivery->committed = err == NULL;
    mailbox_push_always(thread_mailbox(delivery->dispatcher->thread), &delivery->reply);
}

static void report_dead(struct hook_slot *slot, const struct delivery *delivery, const char *url)
{
    const struct event *event = &delivery->entry.event;

    COUNTER_ADD(messages_dead, 1);
    if (!slot->gave_up)
        log_error(delivery->hook_is_gone ? "hook_gone" : "message_given_up",
                  "hook=%s url=\"%s\" rule=%.*s message=%s reason=\"%s\" hint=\"kpictl hooks "
                  "counts what was not delivered\"",
                  slot->hook->id, url, STR_ARGS(event->rule), event->id, delivery->why);
    slot->gave_up = true;
    log_repeated(&slot->dead, clock_mono(), "messages_given_up", 1, "hook=%s url=\"%s\"",
                 slot->hook->id, url);
}

static void report(struct dispatcher *dispatcher, const struct delivery *delivery)
{
    const struct event *event = &delivery->entry.event;
    struct hook_slot *slot = find_slot(dispatcher, delivery->entry.hook);
    char url[HOOK_URL_PUBLIC_SIZE];

    if (delivery->attempted && delivery->verdict != DELIVERY_SENT)
        COUNTER_ADD(messages_failed, 1);
    if (slot == NULL) { /* the configuration has it no longer */
        COUNTER_ADD(messages_dead, delivery->verdict == DELIVERY_DEAD);
        COUNTER_ADD(messages_sent, delivery->verdict == DELIVERY_SENT);
        log_warn("message_without_hook", "hook=%.*s message=%s reason=\"%s\"",
                 STR_ARGS(delivery->entry.hook), event->id, delivery->why);
        return;
    }
    (void)hook_url_public(slot->hook->url, url);
    switch (delivery->verdict) {
    case DELIVERY_SENT:
        COUNTER_ADD(messages_sent, 1);
        slot->gave_up = false;
        log_info("message_sent", "hook=%s rule=%.*s type=%s message=%s attempts=%u", slot->hook->id,
                 STR_ARGS(event->rule), event_type_name(event->type), event->id,
                 (unsigned)delivery->entry.attempts + 1);
        break;
    case DELIVERY_POSTPONED:
        log_repeated(&slot->failures, clock_mono(), "delivery_failed", 1,
                     "hook=%s url=\"%s\" reason=\"%s\"", slot->hook->id, url, delivery->why);
        break;
    case DELIVERY_DEAD:
        report_dead(slot, delivery, url);
        break;
    }
}

static void on_reply(struct message *message, void *receiver)
{
    struct delivery *delivery =
        (struct delivery *)((char *)message - offsetof(struct delivery, reply));
    struct dispatcher *dispatcher = receiver;

    if (!delivery->committed && !dispatcher->stopping) {
        delivery->refused = true; /* and the hook stays busy: nothing is sent twice for that */
        set_timer(dispatcher, RETRY_STORE_MS);
        return;
    }
    if (delivery->committed)
        report(dispatcher, delivery);
    free_delivery(delivery);
    look(dispatcher);
}

static void post_verdict(struct delivery *delivery)
{
    struct writer *writer = delivery->dispatcher->writer;

    delivery->refused = false;
    delivery->reply = (struct message){.on_message = on_reply};
    delivery->job = (struct writer_job){.run = run_job, .done = job_done, .keep_trying = true};
    writer_post_job(writer, &delivery->job);
}

static void store_verdict(struct delivery *delivery, enum verdict verdict)
{
    delivery->verdict = verdict;
    delivery->at = clock_wall();
    post_verdict(delivery);
}

/* --- answers ------------------------------------------------------------------------------------
 */

static uint32_t random_number(void)
{
    uint32_t number = 0;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number)
        return UINT32_MAX / 2;
    return number;
}

static void say_why(struct delivery *delivery, const struct transfer_answer *answer)
{
    char quoted[STR_QUOTED_SIZE];

    if (answer->failure != NULL)
        set_why(delivery, "%s", answer->failure);
    else if (answer->body.len > 0)
        set_why(delivery, "status %ld: %s", answer->status, str_quoted(answer->body, quoted));
    else
        set_why(delivery, "status %ld", answer->status);
}

/* Later: when the receiver says, else after a backoff; the last try is when the time is over. */
static void postpone(struct delivery *delivery, const struct hook *hook,
                     const struct transfer_answer *answer)
{
    span_ms asked = 0;
    wall_ms now = clock_wall();
    wall_ms last = delivery->entry.queued_at + hook->give_up;
    span_ms wait = hook_backoff(hook, delivery->entry.attempts + 1, random_number());

    if (now >= last) {
        store_verdict(delivery, DELIVERY_DEAD);
        return;
    }
    if (hook_retry_after(answer->retry_after, now, &asked)) {
        delivery->pauses_hook = true;
        delivery->next_try = now + asked;
    } else {
        delivery->next_try = now + wait < last ? now + wait : last;
    }
    store_verdict(delivery, DELIVERY_POSTPONED);
}

static void on_answer(const struct transfer_answer *answer, void *arg)
{
    struct delivery *delivery = arg;
    const struct hook_slot *slot = find_slot(delivery->dispatcher, delivery->entry.hook);

    assert(slot != NULL); /* a reload cancels the transfers of the old configuration */
    delivery->transfer = NULL;
    delivery->attempted = true;
    say_why(delivery, answer);
    switch (slot->hook->kind->classify(answer->status, answer->body)) {
    case HOOK_OK:
        store_verdict(delivery, DELIVERY_SENT);
        break;
    case HOOK_RETRY:
        postpone(delivery, slot->hook, answer);
        break;
    case HOOK_DISABLE:
        delivery->hook_is_gone = true;
        store_verdict(delivery, DELIVERY_DEAD);
        break;
    case HOOK_PERMANENT:
        store_verdict(delivery, DELIVERY_DEAD);
        break;
    }
}

/* --- looking at the outbox ----------------------------------------------------------------------
 */

static void start_delivery(struct delivery *delivery, const struct hook *hook)
{
    struct hook_request *request = &delivery->request;
    const char *headers[sizeof request->headers / sizeof request->headers[0]];
    struct error err = ERROR_EMPTY;

    if (!hook->kind->render(hook, &delivery->entry.event, clock_wall(), request, &err)) {
        set_why(delivery, "%s", err.text);
        store_verdict(delivery, DELIVERY_DEAD);
        return;
    }
    for (size_t i = 0; i < request->header_count; i++)
        headers[i] = request->headers[i];
    struct transfer_request sent = {.url = hook->url,
                                    .headers = headers,
                                    .header_count = request->header_count,
                                    .body = buf_view(&request->body),
                                    .timeout = hook->timeout};
    delivery->transfer =
        transfer_start(delivery->dispatcher->transfers, &sent, on_answer, delivery);
}

/* One look: what has to begin, and when the next thing is due. */
struct view {
    struct dispatcher *dispatcher;
    struct read_txn *txn;
    wall_ms now;
    wall_ms next; /* WALL_NONE: nothing */
};

static void note_next(struct view *view, wall_ms at)
{
    if (at != WALL_NONE && (view->next == WALL_NONE || at < view->next))
        view->next = at;
}

static void look_at_hook(struct view *view, const struct hook *hook)
{
    struct arena arena = ARENA_EMPTY;
    struct outbox_entry entry;
    struct str id = str_of(hook->id);

    if (is_busy(view->dispatcher, id))
        return;
    if (outbox_due(view->txn, id, view->now, 1, &arena, &entry) == 0) {
        note_next(view, outbox_next_try(view->txn, id));
        arena_fini(&arena);
        return;
    }
    struct delivery *delivery = new_delivery(view->dispatcher);
    delivery->arena = arena;
    delivery->entry = entry;
    start_delivery(delivery, hook);
}

/* A hook that the configuration no longer has keeps its messages for a day, in case it returns. */
static bool look_at_vanished(struct str hook, void *arg)
{
    struct view *view = arg;
    struct arena arena = ARENA_EMPTY;
    struct outbox_entry entry;

    if (find_slot(view->dispatcher, hook) != NULL || is_busy(view->dispatcher, hook))
        return true;
    if (!outbox_expired(view->txn, hook, view->now - VANISHED_GIVE_UP_MS, &arena, &entry)) {
        arena_fini(&arena);
        return true;
    }
    struct delivery *delivery = new_delivery(view->dispatcher);
    delivery->arena = arena;
    delivery->entry = entry;
    set_why(delivery, "the hook is no longer in the configuration");
    store_verdict(delivery, DELIVERY_DEAD);
    return true;
}

static void look(struct dispatcher *dispatcher)
{
    struct error err = ERROR_EMPTY;
    struct view view = {.dispatcher = dispatcher, .now = clock_wall(), .next = WALL_NONE};

    if (dispatcher->stopping)
        return;
    view.txn = read_txn_begin(dispatcher->store, &err);
    if (view.txn == NULL) {
        log_failure(LOG_LEVEL_WARN, "outbox_unreadable", &err);
        set_timer(dispatcher, RETRY_READ_MS);
        return;
    }
    for (size_t i = 0; i < dispatcher->hooks->count; i++)
        look_at_hook(&view, dispatcher->slots[i].hook);
    outbox_hooks(view.txn, look_at_vanished, &view);
    read_txn_end(view.txn);
    span_ms wait = view.next == WALL_NONE ? LOOK_WAIT_MAX : view.next - view.now;
    if (is_any_refused(dispatcher) && wait > RETRY_STORE_MS)
        wait = RETRY_STORE_MS;
    set_timer(dispatcher, wait);
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
    struct dispatcher *dispatcher = arg;
    mono_ms now = clock_mono();
    (void)fd;
    (void)events;

    for (size_t i = 0; i < dispatcher->hooks->count; i++) {
        log_repeat_tick(&dispatcher->slots[i].failures, now);
        log_repeat_tick(&dispatcher->slots[i].dead, now);
    }
    for (struct delivery *d = dispatcher->deliveries; d != NULL; d = d->next) {
        if (d->refused)
            post_verdict(d);
    }
    look(dispatcher);
}

static void on_wake(struct message *message, void *receiver)
{
    struct dispatcher *dispatcher = receiver;
    (void)message;

    atomic_store(&dispatcher->is_woken, false); /* what comes from here on wakes again */
    look(dispatcher);
}

void dispatcher_wake(struct dispatcher *dispatcher)
{
    if (!atomic_exchange(&dispatcher->is_woken, true))
        mailbox_push_always(thread_mailbox(dispatcher->thread), &dispatcher->wake);
}

/* --- life ---------------------------------------------------------------------------------------
 */

/* Slots for the hooks; what is remembered of a hook stays with its id. */
static void set_hooks(struct dispatcher *dispatcher, const struct hook_set *hooks)
{
    struct hook_slot *slots = memory_zero(hooks->count + 1, sizeof *slots);

    for (size_t i = 0; i < hooks->count; i++) {
        const struct hook_slot *before =
            dispatcher->slots == NULL ? NULL : find_slot(dispatcher, str_of(hooks->hooks[i].id));
        if (before != NULL)
            slots[i] = *before;
        slots[i].hook = &hooks->hooks[i];
    }
    free(dispatcher->slots);
    dispatcher->slots = slots;
    dispatcher->hooks = hooks;
}

struct dispatcher *dispatcher_new(struct store *store, struct writer *writer,
                                  const struct hook_set *hooks)
{
    struct dispatcher *dispatcher = memory_zero(1, sizeof *dispatcher);

    dispatcher->store = store;
    dispatcher->writer = writer;
    dispatcher->thread = thread_new("dispatcher", MAILBOX_CAPACITY, dispatcher, NULL);
    dispatcher->transfers = transfers_new(thread_base(dispatcher->thread));
    dispatcher->timer = evtimer_new(thread_base(dispatcher->thread), on_timer, dispatcher);
    assert(dispatcher->timer != NULL);
    dispatcher->wake.on_message = on_wake;
    atomic_init(&dispatcher->is_woken, false);
    set_hooks(dispatcher, hooks);
    return dispatcher;
}

bool dispatcher_start(struct dispatcher *dispatcher, struct error *err)
{
    set_timer(dispatcher, 0); /* what was pending before the start */
    return thread_start(dispatcher->thread, err);
}

/* Transfers end without a result, so they are tried again; what the writer has goes on. */
static void cancel_transfers(struct dispatcher *dispatcher)
{
    struct delivery *delivery = dispatcher->deliveries;

    while (delivery != NULL) {
        struct delivery *next = delivery->next;
        if (delivery->transfer != NULL)
            free_delivery(delivery);
        delivery = next;
    }
}

struct reload {
    struct dispatcher *dispatcher;
    const struct hook_set *hooks;
};

static void reload(void *arg)
{
    const struct reload *call = arg;

    cancel_transfers(call->dispatcher);
    set_hooks(call->dispatcher, call->hooks);
    set_timer(call->dispatcher, 0);
}

void dispatcher_reload(struct dispatcher *dispatcher, const struct hook_set *hooks)
{
    struct reload call = {dispatcher, hooks};
    thread_call(dispatcher->thread, reload, &call);
}

static void stop(void *arg)
{
    struct dispatcher *dispatcher = arg;

    dispatcher->stopping = true;
    cancel_transfers(dispatcher);
    (void)event_del(dispatcher->timer);
}

void dispatcher_stop(struct dispatcher *dispatcher)
{
    thread_call(dispatcher->thread, stop, dispatcher);
    thread_stop(dispatcher->thread);
}

void dispatcher_free(struct dispatcher *dispatcher)
{
    if (dispatcher == NULL)
        return;
    dispatcher_stop(dispatcher);
    (void)mailbox_drain(thread_mailbox(dispatcher->thread)); /* replies that came after the stop */
    for (struct delivery *delivery = dispatcher->deliveries; delivery != NULL;) {
        struct delivery *next = delivery->next;
        free_delivery(delivery);
        delivery = next;
    }
    transfers_free(dispatcher->transfers);
    event_free(dispatcher->timer);
    thread_free(dispatcher->thread);
    free(dispatcher->slots);
    free(dispatcher);
}

struct thread *dispatcher_thread(struct dispatcher *dispatcher)
{
    return dispatcher->thread;
}
