/* A named thread with its own event base and mailbox.
 *
 * All signals but SIGBUS (app.c) are blocked in it: they are taken on `main` alone. A heartbeat on
 * its loop shows the watchdog that it still turns. */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/mailbox.h"

struct event_base;
struct thread;

/* The thread does not run yet; add events to its base first. `name` is at most 15 bytes long. */
struct thread *thread_new(const char *name, size_t mailbox_capacity, void *receiver,
                          mailbox_drained_fn on_drained);

bool thread_start(struct thread *thread, struct error *err);

/* Handles the messages sent before this call, leaves the loop, and waits for the end. May be
 * called on a thread that never started, and twice. Not from the thread itself. */
void thread_stop(struct thread *thread);

/* Stops and frees. NULL is fine. Messages that arrived after the stop are handled here. */
void thread_free(struct thread *thread);

/* Runs `call` on the thread and waits until it has returned; on a thread that does not run it is
 * called here, one at a time. From any thread, also while it stops. For a few calls that change
 * what the thread works with (a reload): never from a thread that the other one may wait for. */
typedef void (*thread_call_fn)(void *arg);
void thread_call(struct thread *thread, thread_call_fn call, void *arg);

struct event_base *thread_base(struct thread *thread);
struct mailbox *thread_mailbox(struct thread *thread);
const char *thread_name(const struct thread *thread);

/* How long ago the loop last turned; it turns at least once a second. From any thread. */
span_ms thread_silence(const struct thread *thread, mono_ms now);
