/* The dispatcher thread: takes what is due from the outbox and delivers it through libcurl's multi
 * interface on its event base; the result becomes an acknowledgement, a postponement or a dead
 * entry in a transaction of the writer.
 *
 * One transfer a hook at a time, so that order holds; a slow or dead receiver holds up nobody else.
 * TLS is verified, redirects are failures, at most 4 KiB of an answer is read. */
#pragma once

#include "alert/hook.h"
#include "store/writer.h"

struct dispatcher;

/* `store`, `writer` and `hooks` are borrowed: the hooks until dispatcher_reload returns with
 * others.
 */
struct dispatcher *dispatcher_new(struct store *store, struct writer *writer,
                                  const struct hook_set *hooks);
bool dispatcher_start(struct dispatcher *dispatcher, struct error *err);

/* Something was queued: look at the outbox now. From any thread. */
void dispatcher_wake(struct dispatcher *dispatcher);

/* Main thread. Transfers under way of the old configuration are given up and tried again with the
 * new one. When it returns the old one is no longer used. */
void dispatcher_reload(struct dispatcher *dispatcher, const struct hook_set *hooks);

/* Gives up transfers under way (they are tried again after the next start with the same id) and
 * ends the thread. Call it before writer_stop, so that what was answered by now is committed, and
 * dispatcher_free after writer_stop: the writer still answers jobs until then. */
void dispatcher_stop(struct dispatcher *dispatcher);
void dispatcher_free(struct dispatcher *dispatcher); /* NULL is fine */

struct thread *dispatcher_thread(struct dispatcher *dispatcher);
