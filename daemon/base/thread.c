#include "base/thread.h"

#include <assert.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/memory.h"

enum { NAME_SIZE = 16 };

struct pending_call;

struct thread {
    /* set once at start */
    char name[NAME_SIZE];
    struct event_base *base;
    struct mailbox *mailbox;
    struct event *heartbeat;
    pthread_t id;
    bool started;
    struct message stop_message;

    /* shared */
    _Atomic mono_ms turned_at;

    /* shared, under lock */
    pthread_mutex_t lock;
    pthread_cond_t returned; /* a call */
    bool runs;               /* what is sent will be handled on the thread */
    LIST_HEAD(, pending_call) calls;
};

static void on_heartbeat(evutil_socket_t fd, short events, void *arg)
{
    struct thread *thread = arg;
    (void)fd;
    (void)events;
    atomic_store_explicit(&thread->turned_at, clock_mono(), memory_order_relaxed);
}

struct thread *thread_new(const char *name, size_t mailbox_capacity, void *receiver,
                          mailbox_drained_fn on_drained)
{
    const struct timeval second = {.tv_sec = 1};
    struct thread *thread = memory_zero(1, sizeof *thread);

    assert(strlen(name) < sizeof thread->name);
    (void)snprintf(thread->name, sizeof thread->name, "%s", name);
    thread->base = event_base_new();
    assert(thread->base != NULL);
    LIST_INIT(&thread->calls);
    (void)pthread_mutex_init(&thread->lock, NULL);
    (void)pthread_cond_init(&thread->returned, NULL);
    thread->mailbox = mailbox_new(mailbox_capacity, receiver, on_drained);
    mailbox_attach(thread->mailbox, thread->base);
    thread->heartbeat = event_new(thread->base, -1, EV_PERSIST, on_heartbeat, thread);
    int rc = thread->heartbeat == NULL ? -1 : event_add(thread->heartbeat, &second);
    assert(rc == 0);
    (void)rc;
    atomic_store(&thread->turned_at, clock_mono());
    return thread;
}

static void *run(void *arg)
{
    struct thread *thread = arg;
    (void)event_base_loop(thread->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

bool thread_start(struct thread *thread, struct error *err)
{
    sigset_t all;
    sigset_t before;
    char words[100];

    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGBUS); /* blocked, it would end the process unexplained */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits the mask */
    int rc = pthread_create(&thread->id, NULL, run, thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return error_set(err, ERROR_SYSTEM, "cannot start thread '%s': %s", thread->name,
                         error_errno_words(rc, words, sizeof words));
    (void)pthread_setname_np(thread->id, thread->name);
    thread->started = true;
    (void)pthread_mutex_lock(&thread->lock);
    thread->runs = true;
    (void)pthread_mutex_unlock(&thread->lock);
    return true;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* One that waits for the thread. Its message may still lie in the mailbox when the thread's end has
 * answered it. */
struct pending_call {
    struct message message; /* first */
    LIST_ENTRY(pending_call) link;
    struct thread *thread;
    thread_call_fn call;
    void *arg;

    /* under the thread's lock */
    bool done;
    bool left; /* by its message, or by who waits for it: the other one frees it */
};

/* Under the lock. */
static void leave(struct pending_call *pending)
{
    if (pending->left)
        free(pending);
    else
        pending->left = true;
}

/* On the thread, or after its end: nobody else runs calls then. */
static void answer(struct pending_call *pending)
{
    struct thread *thread = pending->thread;

    pending->call(pending->arg);
    (void)pthread_mutex_lock(&thread->lock);
    LIST_REMOVE(pending, link);
    pending->done = true;
    (void)pthread_cond_broadcast(&thread->returned);
    (void)pthread_mutex_unlock(&thread->lock);
}

static void on_call(struct message *message, void *receiver)
{
    struct pending_call *pending = (struct pending_call *)message;
    struct thread *thread = pending->thread;
    (void)receiver;

    (void)pthread_mutex_lock(&thread->lock);
    bool done = pending->done;
    (void)pthread_mutex_unlock(&thread->lock);
    if (!done)
        answer(pending);
    (void)pthread_mutex_lock(&thread->lock);
    leave(pending);
    (void)pthread_mutex_unlock(&thread->lock);
}

/* Calls that came too late for the thread's loop are answered here, those that come from now on by
 * who calls. */
static void end_calls(struct thread *thread)
{
    struct pending_call *pending = NULL;

    (void)pthread_mutex_lock(&thread->lock);
    thread->runs = false;
    while ((pending = LIST_FIRST(&thread->calls)) != NULL) {
        (void)pthread_mutex_unlock(&thread->lock);
        answer(pending);
        (void)pthread_mutex_lock(&thread->lock);
    }
    (void)pthread_mutex_unlock(&thread->lock);
}

void thread_call(struct thread *thread, thread_call_fn call, void *arg)
{
    (void)pthread_mutex_lock(&thread->lock);
    if (!thread->runs) {
        call(arg);
        (void)pthread_mutex_unlock(&thread->lock);
        return;
    }
    struct pending_call *pending = memory_zero(1, sizeof *pending);
    pending->message.on_message = on_call;
    pending->thread = thread;
    pending->call = call;
    pending->arg = arg;
    LIST_INSERT_HEAD(&thread->calls, pending, link);
    mailbox_push_always(thread->mailbox, &pending->message);
    while (!pending->done)
        (void)pthread_cond_wait(&thread->returned, &thread->lock);
    leave(pending);
    (void)pthread_mutex_unlock(&thread->lock);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void on_stop(struct message *message, void *receiver)
{
    struct thread *thread =
        (struct thread *)((char *)message - offsetof(struct thread, stop_message));
    (void)receiver;
    (void)event_base_loopbreak(thread->base);
}

void thread_stop(struct thread *thread)
{
    if (!thread->started)
        return;
    thread->stop_message.on_message = on_stop;
    mailbox_push_always(thread->mailbox, &thread->stop_message);
    (void)pthread_join(thread->id, NULL);
    thread->started = false;
    end_calls(thread);
}

void thread_free(struct thread *thread)
{
    if (thread == NULL)
        return;
    thread_stop(thread);
    mailbox_free(thread->mailbox);
    event_free(thread->heartbeat);
    /* What libevent has put off holds streams that were freed meanwhile; without its turn it would
     * hold them for ever. */
    (void)event_base_loop(thread->base, EVLOOP_NONBLOCK);
    event_base_free(thread->base);
    (void)pthread_cond_destroy(&thread->returned);
    (void)pthread_mutex_destroy(&thread->lock);
    free(thread);
}

struct event_base *thread_base(struct thread *thread)
{
    return thread->base;
}

struct mailbox *thread_mailbox(struct thread *thread)
{
    return thread->mailbox;
}

const char *thread_name(const struct thread *thread)
{
    return thread->name;
}

span_ms thread_silence(const struct thread *thread, mono_ms now)
{
    return now - atomic_load_explicit(&thread->turned_at, memory_order_relaxed);
}
