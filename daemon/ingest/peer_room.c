#include "ingest/peer_room.h"

#include <assert.h>

static unsigned share_of(const struct peer_holder *holder)
{
    return holder->place % ROOM_SHARES;
}

void peer_room_init(struct peer_room *room)
{
    *room = (struct peer_room){.held = 0};
    TAILQ_INIT(&room->holders);
}

void peer_room_hold(struct peer_room *room, struct peer_holder *holder, size_t amount, mono_ms now)
{
    size_t *share = &room->by_share[share_of(holder)];

    assert(*share >= holder->held && room->held >= holder->held);
    *share = *share - holder->held + amount;
    room->held = room->held - holder->held + amount;
    if (holder->held == 0 && amount > 0) {
        holder->progress_at = now;
        TAILQ_INSERT_TAIL(&room->holders, holder, link);
    } else if (holder->held > 0 && amount == 0) {
        TAILQ_REMOVE(&room->holders, holder, link);
    }
    holder->held = amount;
}

void peer_room_touch(struct peer_room *room, struct peer_holder *holder, mono_ms now)
{
    if (holder->held == 0)
        return;
    holder->progress_at = now;
    TAILQ_REMOVE(&room->holders, holder, link);
    TAILQ_INSERT_TAIL(&room->holders, holder, link);
}

struct peer_holder *peer_room_find_idle(const struct peer_room *room,
                                        const struct peer_holder *asker, mono_ms before)
{
    struct peer_holder *found = NULL;
    struct peer_holder *holder = NULL;

    TAILQ_FOREACH(holder, &room->holders, link)
    {
        if (holder->progress_at >= before)
            break; /* so have all that come after it */
        if (holder != asker &&
            (found == NULL || room->by_share[share_of(holder)] > room->by_share[share_of(found)]))
            found = holder;
    }
    return found;
}

struct peer_holder *peer_room_find_largest(const struct peer_room *room,
                                           const struct peer_holder *asker, size_t more)
{
    struct peer_holder *holder = NULL;
    unsigned largest = 0;

    for (unsigned i = 1; i < ROOM_SHARES; i++) {
        if (room->by_share[i] > room->by_share[largest])
            largest = i;
    }
    if (room->by_share[largest] <= room->by_share[share_of(asker)] + more)
        return NULL;
    TAILQ_FOREACH(holder, &room->holders, link)
    {
        if (share_of(holder) == largest)
            return holder;
    }
    return NULL;
}
