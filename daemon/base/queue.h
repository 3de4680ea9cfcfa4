/* Messages in the order they came, for one thread. */
#pragma once

#include "base/mailbox.h"

struct queue {
    struct message *first;
    struct message **end;
    size_t count;
};

static inline void queue_init(struct queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
    queue->count = 0;
}

static inline void queue_push(struct queue *queue, struct message *message)
{
    message->next = NULL;
    *queue->end = message;
    queue->end = &message->next;
    queue->count++;
}

/* It is not empty. */
static inline struct message *queue_take(struct queue *queue)
{
    struct message *message = queue->first;
    queue->first = message->next;
    if (queue->first == NULL)
        queue->end = &queue->first;
    queue->count--;
    return message;
}
