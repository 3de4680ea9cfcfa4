/* Who waits for room that all share, and who is next: those of one peer, however many, do not keep
 * others out. The next one is of the peer that holds least, and of these the one that came first.
 *
 * Peers are told apart as the limit of connections does (peers.h), by a few bits: two may fall
 * together. The machine's own are one. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum { ROOM_SHARES = 256 };

/* Part of whoever may wait. Starts zeroed, but for the place. */
struct room_waiter {
    TAILQ_ENTRY(room_waiter) link;
    uint32_t place; /* of its peer (peer_places_find); set once */
    size_t held;
    bool is_waiting;
};

TAILQ_HEAD(room_waiter_list, room_waiter);

struct room_queue {
    struct room_waiter_list waiters[ROOM_SHARES];
    size_t held[ROOM_SHARES];
    unsigned last; /* the one that had its turn last: of equals another one is next */
};

void room_queue_init(struct room_queue *queue);

/* How much room it holds from now on, whether it waits or not; 0 before it goes. */
void room_queue_hold(struct room_queue *queue, struct room_waiter *waiter, size_t bytes);

/* Waits, or does not any more. */
void room_queue_push(struct room_queue *queue, struct room_waiter *waiter);
void room_queue_remove(struct room_queue *queue, struct room_waiter *waiter);

/* NULL when nobody waits. */
struct room_waiter *room_queue_next(const struct room_queue *queue);
