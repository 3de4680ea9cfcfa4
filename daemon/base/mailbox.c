#include "base/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/memory.h"

struct mailbox {
    /* set once at start */
    size_t capacity;
    void *receiver;
    mailbox_drained_fn on_drained;
    int wake_fd;
    struct event *wake_event;

    /* shared, under lock */
    pthread_mutex_t lock;
    struct message *first;
    struct message **end;
    size_t length;

    /* receiver's thread only */
    struct message *taken; /* and not handled yet */
};

struct mailbox *mailbox_new(size_t capacity, void *receiver, mailbox_drained_fn on_drained)
{
    struct mailbox *mailbox = memory_zero(1, sizeof *mailbox);
    mailbox->capacity = capacity;
    mailbox->receiver = receiver;
    mailbox->on_drained = on_drained;
    mailbox->end = &mailbox->first;
    mailbox->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int rc = pthread_mutex_init(&mailbox->lock, NULL);
    assert(mailbox->wake_fd >= 0 && rc == 0);
    (void)rc;
    return mailbox;
}

void mailbox_free(struct mailbox *mailbox)
{
    if (mailbox == NULL)
        return;
    while (mailbox_drain(mailbox) > 0) {
    }
    if (mailbox->wake_event != NULL)
        event_free(mailbox->wake_event);
    (void)close(mailbox->wake_fd);
    (void)pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}

static void on_wake(evutil_socket_t fd, short events, void *arg)
{
    struct mailbox *mailbox = arg;
    uint64_t wakes = 0;
    (void)events;

    ssize_t got = read(fd, &wakes, sizeof wakes);
    (void)got; /* a spurious wake finds an empty list */
    (void)mailbox_drain(mailbox);
}

void mailbox_attach(struct mailbox *mailbox, struct event_base *base)
{
    assert(mailbox->wake_event == NULL);
    mailbox->wake_event = event_new(base, mailbox->wake_fd, EV_READ | EV_PERSIST, on_wake, mailbox);
    int rc = mailbox->wake_event == NULL ? -1 : event_add(mailbox->wake_event, NULL);
    assert(rc == 0);
    (void)rc;
}

static bool append(struct mailbox *mailbox, struct message *message, size_t capacity)
{
    const uint64_t one = 1;
    bool was_empty = false;

    (void)pthread_mutex_lock(&mailbox->lock);
    if (mailbox->length >= capacity) {
        (void)pthread_mutex_unlock(&mailbox->lock);
        return false;
    }
    was_empty = mailbox->length == 0;
    message->next = NULL;
    *mailbox->end = message;
    mailbox->end = &message->next;
    mailbox->length++;
    (void)pthread_mutex_unlock(&mailbox->lock);
    if (was_empty) {
        ssize_t put = write(mailbox->wake_fd, &one, sizeof one);
        (void)put; /* a full counter wakes as well */
    }
    return true;
}

bool mailbox_push(struct mailbox *mailbox, struct message *message)
{
    return append(mailbox, message, mailbox->capacity);
}

void mailbox_push_always(struct mailbox *mailbox, struct message *message)
{
    (void)append(mailbox, message, SIZE_MAX);
}

/* Moves what waits behind what a handler further up has taken and not handled. */
static void take_all(struct mailbox *mailbox)
{
    struct message **end = &mailbox->taken;

    while (*end != NULL)
        end = &(*end)->next;
    (void)pthread_mutex_lock(&mailbox->lock);
    *end = mailbox->first;
    mailbox->first = NULL;
    mailbox->end = &mailbox->first;
    mailbox->length = 0;
    (void)pthread_mutex_unlock(&mailbox->lock);
}

size_t mailbox_drain(struct mailbox *mailbox)
{
    size_t handled = 0;

    take_all(mailbox);
    while (mailbox->taken != NULL) {
        struct message *message = mailbox->taken;
        mailbox->taken = message->next;
        message->on_message(message, mailbox->receiver);
        handled++;
    }
    if (handled > 0 && mailbox->on_drained != NULL)
        mailbox->on_drained(mailbox->receiver);
    return handled;
}

size_t mailbox_length(struct mailbox *mailbox)
{
    (void)pthread_mutex_lock(&mailbox->lock);
    size_t length = mailbox->length;
    (void)pthread_mutex_unlock(&mailbox->lock);
    return length;
}
