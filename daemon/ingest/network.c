#include "ingest/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { ADDRESS_BITS = 128, MAPPED_BITS = 96, SENDER_BITS = 64 };

static const unsigned char MAPPED[MAPPED_BITS / 8] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_v4(const struct network_address *address)
{
    return memcmp(address->bytes, MAPPED, sizeof MAPPED) == 0;
}

static void map_v4(const void *v4, struct network_address *out)
{
    memcpy(out->bytes, MAPPED, sizeof MAPPED);
    memcpy(out->bytes + sizeof MAPPED, v4, 4);
}

/* --- parsing -----------------------------------------------------------------------------------
 */

static bool refuse(struct str text, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];

    (void)error_set(err, ERROR_INVALID, "'%s' is not a network", str_quoted(text, quoted));
    return error_hint(err, "as 10.0.0.0/8, 2001:db8::/32 or one address as 192.0.2.7");
}

/* `*was_v4`: it was written as IPv4, so that its bits are counted from there. */
static bool parse_address(struct str text, struct network_address *out, bool *was_v4)
{
    char copy[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;

    if (text.len == 0 || text.len >= sizeof copy || memchr(text.text, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.text, text.len);
    copy[text.len] = '\0';
    *was_v4 = inet_pton(AF_INET, copy, &v4) == 1;
    if (*was_v4) {
        map_v4(&v4, out);
        return true;
    }
    if (inet_pton(AF_INET6, copy, &v6) != 1)
        return false;
    memcpy(out->bytes, &v6, sizeof out->bytes);
    return true;
}

/* Clears the bits beyond those that count; true if one was set. */
static bool cut(struct network *network)
{
    bool had_more = false;

    for (unsigned i = 0; i < NETWORK_ADDRESS_SIZE; i++) {
        unsigned kept = network->bits > i * 8 ? network->bits - i * 8 : 0;
        unsigned mask = kept >= 8 ? 0xff : 0xff00U >> kept & 0xff;
        unsigned byte = network->address.bytes[i];
        had_more = had_more || (byte & ~mask) != 0;
        network->address.bytes[i] = (unsigned char)(byte & mask);
    }
    return had_more;
}

static void format(const struct network *network, bool as_v4, char *out, size_t size)
{
    char text[INET6_ADDRSTRLEN] = "";
    const unsigned char *bytes = network->address.bytes + (as_v4 ? sizeof MAPPED : 0);

    (void)inet_ntop(as_v4 ? AF_INET : AF_INET6, bytes, text, sizeof text);
    (void)snprintf(out, size, "%s/%u", text, network->bits - (as_v4 ? MAPPED_BITS : 0));
}

bool network_parse(struct str text, struct network *out, struct error *err)
{
    struct str rest = text;
    struct str address = str_split(&rest, '/');
    bool has_bits = address.len < text.len;
    bool was_v4 = false;
    char quoted[STR_QUOTED_SIZE];
    char right[INET6_ADDRSTRLEN + 8];

    if (!parse_address(address, &out->address, &was_v4))
        return refuse(text, err);
    uint64_t most = was_v4 ? ADDRESS_BITS - MAPPED_BITS : ADDRESS_BITS;
    uint64_t bits = most;
    if (has_bits && (rest.len > 3 || !str_parse_u64(rest, &bits) || bits > most))
        return refuse(text, err);
    out->bits = (unsigned)bits + (was_v4 ? (unsigned)MAPPED_BITS : 0);
    if (!cut(out))
        return true;
    format(out, was_v4, right, sizeof right);
    (void)error_set(err, ERROR_INVALID, "'%s' is an address in a network, not a network",
                    str_quoted(text, quoted));
    return error_hint(err, "write %s, or the address alone", right);
}

/* --- addresses ---------------------------------------------------------------------------------
 */

bool network_address_of(const struct sockaddr *peer, struct network_address *out)
{
    /* Copied: what is behind `peer` has the size of its family alone. */
    if (peer != NULL && peer->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, peer, sizeof v4);
        map_v4(&v4.sin_addr, out);
        return true;
    }
    if (peer != NULL && peer->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, peer, sizeof v6);
        memcpy(out->bytes, &v6.sin6_addr, sizeof out->bytes);
        return true;
    }
    return false;
}

bool network_has(const struct network *network, const struct network_address *address)
{
    struct network other = {*address, network->bits};
    bool of_v4 = network->bits >= MAPPED_BITS && is_v4(&network->address);

    (void)cut(&other);
    return of_v4 == is_v4(address) &&
           memcmp(&other.address, &network->address, sizeof other.address) == 0;
}

bool network_list_has(const struct network *networks, size_t count, const struct sockaddr *peer)
{
    struct network_address address;

    if (!network_address_of(peer, &address))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (network_has(&networks[i], &address))
            return true;
    }
    return false;
}

struct network_address network_sender_of(const struct network_address *address)
{
    struct network sender = {*address, is_v4(address) ? ADDRESS_BITS : SENDER_BITS};

    (void)cut(&sender);
    return sender.address;
}
