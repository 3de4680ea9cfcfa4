#include "base/thread.h"

#include <assert.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { NAME_SIZE = 16 };

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
    return true;
}

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
}

void thread_free(struct thread *thread)
{
    if (thread == NULL)
        return;
    thread_stop(thread);
    mailbox_free(thread->mailbox);
    event_free(thread->heartbeat);
    event_base_free(thread->base);
    free(thread);
}

struct pending_call {
    struct message message; /* first */
    thread_call_fn call;
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t returned;
    bool done; /* under lock */
};

static void on_call(struct message *message, void *receiver)
{
    struct pending_call *pending = (struct pending_call *)message;
    (void)receiver;
    pending->call(pending->arg);
    (void)pthread_mutex_lock(&pending->lock);
    pending->done = true;
    (void)pthread_cond_signal(&pending->returned);
    (void)pthread_mutex_unlock(&pending->lock);
}

void thread_call(struct thread *thread, thread_call_fn call, void *arg)
{
    if (!thread->started) {
        call(arg);
        return;
    }
    struct pending_call pending = {.message.on_message = on_call,
                                   .call = call,
                                   .arg = arg,
                                   .lock = PTHREAD_MUTEX_INITIALIZER,
                                   .returned = PTHREAD_COND_INITIALIZER};
    mailbox_push_always(thread->mailbox, &pending.message);
    (void)pthread_mutex_lock(&pending.lock);
    while (!pending.done)
        (void)pthread_cond_wait(&pending.returned, &pending.lock);
    (void)pthread_mutex_unlock(&pending.lock);
    (void)pthread_cond_destroy(&pending.returned);
    (void)pthread_mutex_destroy(&pending.lock);
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
