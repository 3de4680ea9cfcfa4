/* Room that all share, and who gives way when there is none left: whoever has made no progress for
 * a while, or those of the peer that holds most, so that one peer, however many connections it
 * has, does not keep others out.
 *
 * Peers are told apart as in room_queue.h; the machine's own are one. One thread. */
#pragma once

#include "base/clock.h"
#include "ingest/room_queue.h"

/* Part of whoever may hold some of it. Starts zeroed, but for the place. */
struct peer_holder {
    TAILQ_ENTRY(peer_holder) link;
    uint32_t place; /* of its peer (peer_places_find); set once */
    size_t held;
    mono_ms progress_at; /* while it holds some */
};

TAILQ_HEAD(peer_holder_list, peer_holder);

struct peer_room {
    struct peer_holder_list holders; /* whose progress was longest ago first */
    size_t held;                     /* by all */
    size_t by_share[ROOM_SHARES];
};

void peer_room_init(struct peer_room *room);

/* How much it holds from now on; 0 before it goes. To begin is progress. */
void peer_room_hold(struct peer_room *room, struct peer_holder *holder, size_t amount, mono_ms now);

/* It has made progress; fine for who holds nothing. */
void peer_room_touch(struct peer_room *room, struct peer_holder *holder, mono_ms now);

/* Of those without progress since `before`, but for `asker` (NULL is fine), one of the peer that
 * holds most; NULL: there is none. */
struct peer_holder *peer_room_find_idle(const struct peer_room *room,
                                        const struct peer_holder *asker, mono_ms before);

/* Of the peer that holds most, the one whose progress was longest ago. NULL when that peer holds
 * no more than the asker's own would with `more`. */
struct peer_holder *peer_room_find_largest(const struct peer_room *room,
                                           const struct peer_holder *asker, size_t more);
