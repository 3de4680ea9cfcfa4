#include "config/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* --- parsing -----------------------------------------------------------------------------------
 */

static bool refuse_form(struct str text, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];

    (void)error_set(err, ERROR_INVALID, "'%s' is not an address with a port",
                    str_quoted(text, quoted));
    return error_hint(err, "as 127.0.0.1:8125 or [::1]:8125; no name but localhost is looked up");
}

/* A socket of IPv6 takes IPv6 alone, and so cannot have it. */
static bool refuse_mapped(struct str text, const struct address *address, struct error *err)
{
    struct address plain = {.port = address->port};
    char quoted[STR_QUOTED_SIZE];
    char right[ADDRESS_TEXT_SIZE];

    memcpy(&plain.v4, address->v6.s6_addr + 12, sizeof plain.v4);
    (void)error_set(err, ERROR_INVALID, "'%s' is an address of IPv4 in the form of IPv6",
                    str_quoted(text, quoted));
    return error_hint(err, "write %s", address_format(&plain, right));
}

/* The host without brackets, and the port. */
static bool split(struct str text, struct str *host, struct address *out)
{
    size_t colon = text.len;
    uint64_t port = 0;

    while (colon > 0 && text.text[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    struct str number = {text.text + colon, text.len - colon};
    if (number.len > 5 || !str_parse_u64(number, &port) || port > UINT16_MAX)
        return false;
    *host = (struct str){text.text, colon - 1};
    out->port = (uint16_t)port;
    out->is_v6 = host->len >= 2 && host->text[0] == '[' && host->text[host->len - 1] == ']';
    if (out->is_v6)
        *host = (struct str){host->text + 1, host->len - 2};
    return true;
}

static bool parse_host(struct str host, struct address *out)
{
    char text[INET6_ADDRSTRLEN];

    if (!out->is_v6 && str_is(host, "localhost"))
        host = STR("127.0.0.1");
    if (host.len >= sizeof text || memchr(host.text, '\0', host.len) != NULL)
        return false;
    memcpy(text, host.text, host.len);
    text[host.len] = '\0';
    if (out->is_v6)
        return inet_pton(AF_INET6, text, &out->v6) == 1;
    return inet_pton(AF_INET, text, &out->v4) == 1;
}

bool address_parse(struct str text, struct address *out, struct error *err)
{
    struct str host;

    *out = (struct address){0};
    if (!split(text, &host, out) || !parse_host(host, out))
        return refuse_form(text, err);
    if (out->is_v6 && IN6_IS_ADDR_V4MAPPED(&out->v6))
        return refuse_mapped(text, out, err);
    out->is_local =
        out->is_v6 ? IN6_IS_ADDR_LOOPBACK(&out->v6) : ntohl(out->v4.s_addr) >> 24 == 127;
    return true;
}

/* --- one text for each -------------------------------------------------------------------------
 */

const char *address_format(const struct address *address, char *out)
{
    char host[INET6_ADDRSTRLEN] = "";

    (void)inet_ntop(address->is_v6 ? AF_INET6 : AF_INET,
                    address->is_v6 ? (const void *)&address->v6 : &address->v4, host, sizeof host);
    (void)snprintf(out, ADDRESS_TEXT_SIZE, address->is_v6 ? "[%s]:%u" : "%s:%u", host,
                   address->port);
    return out;
}

const char *address_path(struct str path, struct arena *arena)
{
    char *out = arena_alloc(arena, path.len + 1);
    size_t len = 0;
    struct str rest = path;

    if (path.len > 0 && path.text[0] == '/')
        out[len++] = '/';
    while (rest.len > 0) {
        struct str part = str_split(&rest, '/');
        if (part.len == 0 || str_is(part, "."))
            continue;
        if (len > 0 && out[len - 1] != '/')
            out[len++] = '/';
        memcpy(out + len, part.text, part.len);
        len += part.len;
    }
    out[len] = '\0';
    return out;
}

/* --- in each other's way -----------------------------------------------------------------------
 */

static bool is_every(const struct address *address)
{
    return address->is_v6 ? IN6_IS_ADDR_UNSPECIFIED(&address->v6)
                          : address->v4.s_addr == htonl(INADDR_ANY);
}

static bool is_same_host(const struct address *one, const struct address *other)
{
    if (one->is_v6)
        return IN6_ARE_ADDR_EQUAL(&one->v6, &other->v6);
    return one->v4.s_addr == other->v4.s_addr;
}

bool address_overlaps(const struct address *one, const struct address *other)
{
    return one->port != 0 && one->port == other->port && one->is_v6 == other->is_v6 &&
           (is_every(one) || is_every(other) || is_same_host(one, other));
}
