/* Networks that may speak, and the addresses of peers: 10.0.0.0/8, 192.0.2.7, 2001:db8::/32.
 *
 * An IPv4 address is the same whether it comes as itself or mapped into IPv6 (::ffff:10.0.0.1);
 * a network of IPv6 has none of IPv4 in it, not even ::/0. Pure, on any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

struct sockaddr;

enum { NETWORK_ADDRESS_SIZE = 16 };

/* In the form of IPv6; IPv4 mapped. */
struct network_address {
    unsigned char bytes[NETWORK_ADDRESS_SIZE];
};

struct network {
    struct network_address address; /* no bit beyond `bits` is set */
    unsigned bits;                  /* of the address that count */
};

/* "ADDRESS/BITS" or one address. Bits of the address beyond those that count are a mistake, whose
 * hint names the network. */
bool network_parse(struct str text, struct network *out, struct error *err);

/* False: it has no address of IPv4 or IPv6 (a Unix socket's peer). */
bool network_address_of(const struct sockaddr *peer, struct network_address *out);

bool network_has(const struct network *network, const struct network_address *address);

/* Whether one of the networks has the peer; one without an address is in none. */
bool network_list_has(const struct network *networks, size_t count, const struct sockaddr *peer);

/* What one sender is counted under: its address, of IPv6 the first 64 bits, for who has one of a
 * /64 has them all. */
struct network_address network_sender_of(const struct network_address *address);
