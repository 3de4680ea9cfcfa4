#include "config/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

static bool refuse_form(struct str address, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];

    (void)error_set(err, ERROR_INVALID, "'%s' is not an address with a port",
                    str_quoted(address, quoted));
    return error_hint(err, "as 127.0.0.1:8125 or [::1]:8125");
}

/* The host without brackets, and the port. */
static bool split(struct str address, struct str *host, uint64_t *port)
{
    size_t colon = address.len;

    while (colon > 0 && address.text[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    *host = (struct str){address.text, colon - 1};
    struct str number = {address.text + colon, address.len - colon};
    if (number.len > 5 || !str_parse_u64(number, port) || *port > 65535)
        return false;
    if (host->len >= 2 && host->text[0] == '[' && host->text[host->len - 1] == ']') {
        host->text++;
        host->len -= 2;
        return true;
    }
    return host->len > 0 && memchr(host->text, ':', host->len) == NULL;
}

bool address_check(struct str address, bool *is_local, struct error *err)
{
    struct in_addr v4;
    struct in6_addr v6;
    char text[INET6_ADDRSTRLEN + 1];
    struct str host;
    uint64_t port = 0;

    if (!split(address, &host, &port) || host.len >= sizeof text)
        return refuse_form(address, err);
    memcpy(text, host.text, host.len);
    text[host.len] = '\0';
    bool is_v6 = inet_pton(AF_INET6, text, &v6) == 1;
    bool is_v4 = inet_pton(AF_INET, text, &v4) == 1;
    *is_local = (is_v6 && IN6_IS_ADDR_LOOPBACK(&v6)) || (is_v4 && ntohl(v4.s_addr) >> 24 == 127) ||
                strcmp(text, "localhost") == 0;
    return *is_local || is_v4 || is_v6 || refuse_form(address, err);
}
