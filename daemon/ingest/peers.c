#include "ingest/peers.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "ingest/network.h"

enum { V4_LOOPBACK = 127, V4_AT = 12 /* in a mapped address */ };

void peer_places_fini(struct peer_places *places)
{
    free(places->by_descriptor);
    *places = (struct peer_places){0};
}

static bool is_loopback(const struct network_address *address)
{
    static const unsigned char mapped[V4_AT] = {[10] = 0xff, [11] = 0xff};
    static const unsigned char v6[NETWORK_ADDRESS_SIZE] = {[15] = 1};

    return memcmp(address->bytes, v6, sizeof v6) == 0 ||
           (memcmp(address->bytes, mapped, sizeof mapped) == 0 &&
            address->bytes[V4_AT] == V4_LOOPBACK);
}

/* The place of who is limited. */
static bool place_of(const struct peers *peers, const struct sockaddr *peer, uint32_t *out)
{
    struct network_address address;

    if (!network_address_of(peer, &address) || is_loopback(&address))
        return false;
    address = network_sender_of(&address);
    *out = (uint32_t)(XXH3_64bits_withSeed(&address, sizeof address, peers->seed) % PEERS_PLACES);
    return true;
}

static uint32_t *descriptor_at(struct peer_places *places, int fd)
{
    size_t at = (size_t)fd;

    if (at >= places->count) {
        size_t count = at < 64 ? 64 : at + at / 2;
        places->by_descriptor =
            memory_grow(places->by_descriptor, count, sizeof *places->by_descriptor);
        memset(&places->by_descriptor[places->count], 0,
               (count - places->count) * sizeof *places->by_descriptor);
        places->count = count;
    }
    return &places->by_descriptor[at];
}

bool peers_enter(struct peers *peers, struct peer_places *places, int fd,
                 const struct sockaddr *peer, size_t limit)
{
    uint32_t place = 0;

    if (fd < 0 || !place_of(peers, peer, &place))
        return true;
    uint32_t before =
        atomic_fetch_add_explicit(&peers->connections[place], 1, memory_order_relaxed);
    if (limit > 0 && before >= limit) {
        (void)atomic_fetch_sub_explicit(&peers->connections[place], 1, memory_order_relaxed);
        return false;
    }
    *descriptor_at(places, fd) = place + 1;
    return true;
}

uint32_t peer_places_find(const struct peer_places *places, int fd)
{
    return fd < 0 || (size_t)fd >= places->count ? 0 : places->by_descriptor[fd];
}

void peers_leave(struct peers *peers, struct peer_places *places, int fd)
{
    uint32_t place = peer_places_find(places, fd);

    if (place == 0)
        return;
    (void)atomic_fetch_sub_explicit(&peers->connections[place - 1], 1, memory_order_relaxed);
    places->by_descriptor[fd] = 0;
}
