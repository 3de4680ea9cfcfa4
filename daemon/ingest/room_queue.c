#include "ingest/room_queue.h"

#include <assert.h>

static unsigned share_of(const struct room_waiter *waiter)
{
    return waiter->place % ROOM_SHARES;
}

void room_queue_init(struct room_queue *queue)
{
    *queue = (struct room_queue){.last = 0};
    for (size_t i = 0; i < ROOM_SHARES; i++)
        TAILQ_INIT(&queue->waiters[i]);
}

void room_queue_hold(struct room_queue *queue, struct room_waiter *waiter, size_t bytes)
{
    size_t *held = &queue->held[share_of(waiter)];

    assert(*held >= waiter->held);
    *held = *held - waiter->held + bytes;
    waiter->held = bytes;
}

void room_queue_push(struct room_queue *queue, struct room_waiter *waiter)
{
    TAILQ_INSERT_TAIL(&queue->waiters[share_of(waiter)], waiter, link);
    waiter->is_waiting = true;
}

void room_queue_remove(struct room_queue *queue, struct room_waiter *waiter)
{
    queue->last = share_of(waiter);
    TAILQ_REMOVE(&queue->waiters[queue->last], waiter, link);
    waiter->is_waiting = false;
}

struct room_waiter *room_queue_next(const struct room_queue *queue)
{
    struct room_waiter *next = NULL;
    size_t least = SIZE_MAX;

    for (unsigned i = 1; i <= ROOM_SHARES && least > 0; i++) {
        unsigned share = (queue->last + i) % ROOM_SHARES;
        struct room_waiter *first = TAILQ_FIRST(&queue->waiters[share]);
        if (first != NULL && queue->held[share] < least) {
            next = first;
            least = queue->held[share];
        }
    }
    return next;
}
