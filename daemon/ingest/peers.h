/* How many connections each peer has, over all threads: one of them must not take all there may be.
 *
 * Senders are told apart by a hash of their address with a seed that nobody knows (of IPv6 the
 * first 64 bits): two that share one of PEERS_PLACES share the limit too. Loopback and Unix sockets
 * are never limited: what is there is the machine's own. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr;

enum { PEERS_PLACES = 1 << 16 };

/* Shared by all threads. Starts zeroed, but for the seed. */
struct peers {
    uint64_t seed; /* set once */
    _Atomic uint32_t connections[PEERS_PLACES];
};

/* What one thread knows of its descriptors. Starts zeroed. */
struct peer_places {
    uint32_t *by_descriptor; /* place + 1; 0: not counted */
    size_t count;
};

void peer_places_fini(struct peer_places *places);

/* Counts a connection in; false, and it is not, when its peer has `limit` of them. 0: no limit. */
bool peers_enter(struct peers *peers, struct peer_places *places, int fd,
                 const struct sockaddr *peer, size_t limit);

/* Where the peer of a descriptor is counted, from 1 on; 0: it is not. */
uint32_t peer_places_find(const struct peer_places *places, int fd);

/* Before the descriptor is closed; one that was not counted is fine. */
void peers_leave(struct peers *peers, struct peer_places *places, int fd);
