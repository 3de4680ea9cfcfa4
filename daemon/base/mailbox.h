/* A bounded queue into a thread: what is sent is forgotten by the sender.
 *
 * Messages are structs that start with a `struct message`. The receiver detaches the whole list
 * under the lock and handles it without. With libevent an eventfd wakes its loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct mailbox;
struct message;

/* Runs on the receiver's thread; the message is the receiver's from here on. */
typedef void (*message_fn)(struct message *message, void *receiver);

struct message {
    struct message *next; /* the mailbox's own */
    message_fn on_message;
};

/* Called on the receiver's thread when all messages that were there have been handled. */
typedef void (*mailbox_drained_fn)(void *receiver);

/* Takes up to `capacity` messages. `on_drained` may be NULL. */
struct mailbox *mailbox_new(size_t capacity, void *receiver, mailbox_drained_fn on_drained);

/* Frees the mailbox. Messages still in it are handled first, on the calling thread. */
void mailbox_free(struct mailbox *mailbox);

/* Handles messages on `base` from now on. Once, before the base's loop runs. */
void mailbox_attach(struct mailbox *mailbox, struct event_base *base);

/* From any thread. False, and the message stays the sender's, when the mailbox is full. */
bool mailbox_push(struct mailbox *mailbox, struct message *message);

/* As mailbox_push, but never refuses: for the few messages that exist at most once each (stop,
 * flush, replies that were paid for when the request was taken). */
void mailbox_push_always(struct mailbox *mailbox, struct message *message);

/* Handles what is there now, on the calling thread; returns how many messages that were. A handler
 * may call it too, to wait for what comes after its own message. */
size_t mailbox_drain(struct mailbox *mailbox);

/* Messages that wait, for counters. */
size_t mailbox_length(struct mailbox *mailbox);
