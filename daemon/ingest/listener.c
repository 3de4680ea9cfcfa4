#include "ingest/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, DEFAULT_MODE = 0660 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

const char *transport_name(enum transport transport)
{
    static const char *const names[] = {[TRANSPORT_UDP] = "udp",
                                        [TRANSPORT_TCP] = "tcp",
                                        [TRANSPORT_HTTP] = "http",
                                        [TRANSPORT_UNIX] = "unix",
                                        [TRANSPORT_UNIXGRAM] = "unixgram"};
    return names[transport];
}

const char *protocol_name(enum protocol protocol)
{
    static const char *const names[PROTOCOL_COUNT] = {
        [PROTOCOL_STATSD] = "statsd",     [PROTOCOL_DOGSTATSD] = "dogstatsd",
        [PROTOCOL_GRAPHITE] = "graphite", [PROTOCOL_GRAPHITE_PICKLE] = "graphite_pickle",
        [PROTOCOL_INFLUX] = "influx",     [PROTOCOL_PROMETHEUS] = "prometheus",
        [PROTOCOL_OTLP] = "otlp",         [PROTOCOL_JSON] = "json",
        [PROTOCOL_COLLECTD] = "collectd", [PROTOCOL_NATIVE] = "native",
    };
    return names[protocol];
}

bool protocol_has_transport(enum protocol protocol, enum transport transport)
{
    enum {
        UDP = 1 << TRANSPORT_UDP,
        TCP = 1 << TRANSPORT_TCP,
        HTTP = 1 << TRANSPORT_HTTP,
        UNIX = 1 << TRANSPORT_UNIX,
        UNIXGRAM = 1 << TRANSPORT_UNIXGRAM,
    };
    static const unsigned transports[PROTOCOL_COUNT] = {
        [PROTOCOL_STATSD] = UDP | TCP | UNIX | UNIXGRAM,
        [PROTOCOL_DOGSTATSD] = UDP | TCP | UNIX | UNIXGRAM,
        [PROTOCOL_GRAPHITE] = UDP | TCP | UNIX,
        [PROTOCOL_GRAPHITE_PICKLE] = TCP | UNIX,
        [PROTOCOL_INFLUX] = HTTP | UDP | TCP | UNIX,
        [PROTOCOL_PROMETHEUS] = HTTP,
        [PROTOCOL_OTLP] = HTTP,
        [PROTOCOL_JSON] = HTTP,
        [PROTOCOL_COLLECTD] = HTTP,
        [PROTOCOL_NATIVE] = TCP | UNIX,
    };
    return (transports[protocol] >> transport & 1) != 0;
}

static bool transport_is_tcp(enum transport transport)
{
    return transport == TRANSPORT_TCP || transport == TRANSPORT_HTTP;
}

bool transport_is_stream(enum transport transport)
{
    return transport_is_tcp(transport) || transport == TRANSPORT_UNIX;
}

bool transport_is_unix(enum transport transport)
{
    return transport == TRANSPORT_UNIX || transport == TRANSPORT_UNIXGRAM;
}

/* --- addresses ---------------------------------------------------------------------------------
 */

static socklen_t address_length(const union address *address)
{
    if (address->any.sa_family == AF_INET)
        return sizeof address->v4;
    if (address->any.sa_family == AF_INET6)
        return sizeof address->v6;
    return sizeof address->local;
}

static bool parse_host(struct str host, uint16_t port, union address *out)
{
    char text[INET6_ADDRSTRLEN];
    bool bracketed = host.len > 2 && host.text[0] == '[' && host.text[host.len - 1] == ']';

    if (bracketed)
        host = (struct str){host.text + 1, host.len - 2};
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.text, host.len);
    text[host.len] = '\0';
    *out = (union address){0};
    if (bracketed) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        return inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1;
    }
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(port);
    return inet_pton(AF_INET, text, &out->v4.sin_addr) == 1;
}

static bool parse_host_port(const char *address, union address *out, struct error *err)
{
    const char *colon = strrchr(address, ':');
    uint64_t port = 0;

    if (colon == NULL || !str_parse_u64(str_of(colon + 1), &port) || port > UINT16_MAX ||
        !parse_host((struct str){address, (size_t)(colon - address)}, (uint16_t)port, out)) {
        (void)error_set(err, ERROR_INVALID, "'%s' is no address with a port", address);
        return error_hint(err, "write it as 127.0.0.1:8125 or [::1]:8125; names are not looked up");
    }
    return true;
}

static bool parse_address(const struct listener_config *config, union address *out,
                          struct error *err)
{
    *out = (union address){0};
    return transport_is_unix(config->transport)
               ? socket_file_address(config->address, &out->local, err)
               : parse_host_port(config->address, out, err);
}

static void format_listen(struct listener_sockets *sockets, const union address *address)
{
    const char *transport = transport_name(sockets->transport);
    char host[INET6_ADDRSTRLEN] = "";

    if (address->any.sa_family == AF_UNIX) {
        (void)snprintf(sockets->listen, sizeof sockets->listen, "%s:%s", transport,
                       address->local.sun_path);
    } else if (address->any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof host);
        (void)snprintf(sockets->listen, sizeof sockets->listen, "%s:%s:%u", transport, host,
                       ntohs(address->v4.sin_port));
    } else {
        (void)inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof host);
        (void)snprintf(sockets->listen, sizeof sockets->listen, "%s:[%s]:%u", transport, host,
                       ntohs(address->v6.sin6_port));
    }
}

/* --- opening -----------------------------------------------------------------------------------
 */

static int open_socket(const union address *address, enum transport transport, struct error *err)
{
    int type = transport_is_stream(transport) ? SOCK_STREAM : SOCK_DGRAM;
    int fd = socket(address->any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        (void)error_set_errno(err, "cannot make a %s socket", transport_name(transport));
    return fd;
}

static bool set_flag(int fd, int level, int option, struct error *err)
{
    const int one = 1;

    if (setsockopt(fd, level, option, &one, sizeof one) != 0)
        return error_set_errno(err, "cannot set an option of a socket");
    return true;
}

/* TCP needs SO_REUSEADDR, or connections of the last run that wait in TIME_WAIT block a restart.
 * With UDP it would let a second process take the port over, so UDP never sets it. */
static bool set_options(int fd, const union address *address, enum transport transport,
                        struct error *err)
{
    const int asked = RECEIVE_BUFFER_BYTES;

    if (transport_is_tcp(transport) && !set_flag(fd, SOL_SOCKET, SO_REUSEADDR, err))
        return false;
    if (address->any.sa_family == AF_INET6 && !set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, err))
        return false;
    if (transport == TRANSPORT_UDP &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &asked, sizeof asked) != 0)
        return error_set_errno(err, "cannot set the receive buffer of a socket");
    return true;
}

bool listener_explain_bind(const char *address, struct error *err)
{
    int why = errno;

    (void)error_set_errno(err, "cannot listen on '%s'", address);
    if (why == EADDRINUSE) {
        err->kind = ERROR_CONFLICT;
        (void)error_hint(err, "another process has the port; 'ss -lunptx' shows which");
    } else if (why == EADDRNOTAVAIL) {
        (void)error_hint(err, "no interface of this machine has the address");
    } else if (why == EACCES) {
        (void)error_hint(err, "ports below 1024 need CAP_NET_BIND_SERVICE");
    }
    return false;
}

/* The first socket is bound without SO_REUSEPORT, so that a port that anybody has is an error even
 * where that process shares it; it gets the option only afterwards, for the sockets beside it. So
 * there is no moment in which two kpids can both have the port. `beside`: it has the option from
 * the beginning, for the sockets that are in the way are our own. */
static bool open_inet(struct listener_sockets *sockets, const char *text, union address *address,
                      unsigned threads, bool beside, struct error *err)
{
    for (unsigned i = 0; i < threads; i++) {
        socklen_t len = address_length(address);
        int fd = open_socket(address, sockets->transport, err);
        if (fd < 0)
            return false;
        sockets->fds[sockets->count++] = fd;
        if (!set_options(fd, address, sockets->transport, err))
            return false;
        if ((i > 0 || beside) && !set_flag(fd, SOL_SOCKET, SO_REUSEPORT, err))
            return false;
        if (bind(fd, &address->any, len) != 0)
            return listener_explain_bind(text, err);
        if (i == 0 && !set_flag(fd, SOL_SOCKET, SO_REUSEPORT, err))
            return false;
        if (i == 0 && getsockname(fd, &address->any, &len) != 0) /* port 0 is a real one now */
            return error_set_errno(err, "cannot ask for the address of '%s'", text);
    }
    /* Together at the end: a socket takes connections from when it listens on. */
    for (unsigned i = 0; i < sockets->count && transport_is_tcp(sockets->transport); i++) {
        if (listen(sockets->fds[i], BACKLOG) != 0)
            return listener_explain_bind(text, err);
    }
    return true;
}

bool listener_has_file(const struct listener_sockets *sockets)
{
    return socket_file_is_there(&sockets->file);
}

static bool open_unix(struct listener_sockets *sockets, const union address *address, unsigned mode,
                      struct error *err)
{
    const char *path = address->local.sun_path;
    int type = transport_is_stream(sockets->transport) ? SOCK_STREAM : SOCK_DGRAM;

    if (mode == 0)
        mode = DEFAULT_MODE;
    int fd = open_socket(address, sockets->transport, err);
    if (fd < 0)
        return false;
    sockets->fds[sockets->count++] = fd;
    if (!socket_file_bind(&sockets->file, fd, type, path, mode, err))
        return false;
    sockets->mode = mode;
    if (type == SOCK_STREAM && listen(fd, BACKLOG) != 0)
        return error_set_errno(err, "cannot listen on '%s'", path);
    return true;
}

bool listener_set_mode(struct listener_sockets *sockets, unsigned mode, struct error *err)
{
    if (mode == 0)
        mode = DEFAULT_MODE;
    if (sockets->is_inherited && transport_is_unix(sockets->transport)) {
        if (socket_file_check_mode(strchr(sockets->listen, ':') + 1, mode, err))
            return true;
        if (err->kind == ERROR_DENIED)
            (void)error_hint(err, "set SocketMode=%04o in its unit, or the listener's mode", mode);
        return false;
    }
    if (!socket_file_set_mode(&sockets->file, mode, err))
        return false;
    if (sockets->file.path[0] != '\0')
        sockets->mode = mode;
    return true;
}

/* The kernel doubles what it grants, for its own bookkeeping. */
static unsigned granted_buffer(int fd)
{
    int granted = 0;
    socklen_t len = sizeof granted;

    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &len) != 0 || granted < 0)
        return 0;
    return (unsigned)granted / 2;
}

static bool open_all(struct listener_sockets *out, const struct listener_config *config,
                     unsigned threads, bool beside, struct error *err)
{
    union address address = {.any.sa_family = AF_UNSPEC};

    *out = (struct listener_sockets){.transport = config->transport};
    if (!parse_address(config, &address, err))
        return false;
    if (transport_is_unix(config->transport)
            ? !open_unix(out, &address, config->mode, err)
            : !open_inet(out, config->address, &address, threads, beside, err)) {
        listener_close(out);
        return false;
    }
    format_listen(out, &address);
    if (out->transport == TRANSPORT_UDP)
        out->receive_buffer_bytes = granted_buffer(out->fds[0]);
    return true;
}

bool listener_open(struct listener_sockets *out, const struct listener_config *config,
                   unsigned threads, struct error *err)
{
    return open_all(out, config, threads, false, err);
}

bool listener_take(struct listener_sockets *out, const struct listener_config *config,
                   struct inherited *inherited)
{
    union address address = {.any.sa_family = AF_UNSPEC};
    struct error ignored = ERROR_EMPTY; /* listener_open says it */
    enum transport transport = config->transport;

    if (inherited == NULL)
        return false;
    *out = (struct listener_sockets){.transport = transport, .is_inherited = true, .count = 1};
    if (!parse_address(config, &address, &ignored))
        return false;
    out->fds[0] = inherited_take(inherited, &address.any,
                                 transport_is_stream(transport) ? SOCK_STREAM : SOCK_DGRAM);
    if (out->fds[0] < 0)
        return false;
    format_listen(out, &address);
    if (transport == TRANSPORT_UDP)
        out->receive_buffer_bytes = granted_buffer(out->fds[0]);
    out->drops_before = listener_drops(out->fds[0]);
    return true;
}

uint32_t listener_drops(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof info;

    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) != 0 ||
        len < (SK_MEMINFO_DROPS + 1) * sizeof info[0])
        return 0;
    return info[SK_MEMINFO_DROPS];
}

static bool is_any(const union address *address)
{
    return address->any.sa_family == AF_INET
               ? address->v4.sin_addr.s_addr == htonl(INADDR_ANY)
               : memcmp(&address->v6.sin6_addr, &in6addr_any, sizeof in6addr_any) == 0;
}

static bool same_host(const union address *one, const union address *other)
{
    return one->any.sa_family == AF_INET
               ? one->v4.sin_addr.s_addr == other->v4.sin_addr.s_addr
               : memcmp(&one->v6.sin6_addr, &other->v6.sin6_addr, sizeof one->v6.sin6_addr) == 0;
}

static enum listener_relation relation_of_inet(const union address *one, const union address *other)
{
    /* The port is in the same place in both families. */
    if (one->any.sa_family != other->any.sa_family || one->v4.sin_port != other->v4.sin_port)
        return LISTENER_APART;
    if (same_host(one, other))
        return LISTENER_SAME;
    return is_any(one) || is_any(other) ? LISTENER_IN_THE_WAY : LISTENER_APART;
}

enum listener_relation listener_relation_of(const struct listener_sockets *sockets,
                                            const struct listener_config *config)
{
    union address bound = {.any.sa_family = AF_UNSPEC};
    union address wanted = {.any.sa_family = AF_UNSPEC};
    struct error ignored = ERROR_EMPTY; /* listener_open says it */
    socklen_t len = sizeof bound;
    bool same_type =
        transport_is_stream(sockets->transport) == transport_is_stream(config->transport);
    bool is_unix = transport_is_unix(sockets->transport);

    if (sockets->count == 0 || is_unix != transport_is_unix(config->transport) ||
        !parse_address(config, &wanted, &ignored))
        return LISTENER_APART;
    if (is_unix) {
        if (strcmp(strchr(sockets->listen, ':') + 1, config->address) != 0)
            return LISTENER_APART;
        return same_type ? LISTENER_SAME : LISTENER_IN_THE_WAY;
    }
    if (!same_type || getsockname(sockets->fds[0], &bound.any, &len) != 0)
        return LISTENER_APART;
    return relation_of_inet(&bound, &wanted);
}

bool listener_share(struct listener_sockets *out, const struct listener_sockets *sockets,
                    enum transport transport, struct error *err)
{
    *out = *sockets;
    out->transport = transport;
    out->file = (struct socket_file){0};
    out->count = 0;
    out->drops_before = 0; /* they were told of when it was opened */
    (void)snprintf(out->listen, sizeof out->listen, "%s%s", transport_name(transport),
                   strchr(sockets->listen, ':'));
    for (unsigned i = 0; i < sockets->count; i++) {
        int fd = fcntl(sockets->fds[i], F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            (void)error_set_errno(err, "cannot take over the socket '%s'", sockets->listen);
            listener_close(out);
            return false;
        }
        out->fds[out->count++] = fd;
    }
    return true;
}

void listener_give_file(struct listener_sockets *from, struct listener_sockets *to)
{
    to->file = from->file;
    to->mode = from->mode;
    from->file = (struct socket_file){0};
}

static bool open_unix_beside(struct listener_sockets *out, const struct listener_config *config,
                             struct error *err)
{
    union address address = {0};
    union address beside = {0};
    char path[sizeof out->file.path];

    *out = (struct listener_sockets){.transport = config->transport};
    if (!socket_file_address(config->address, &address.local, err))
        return false;
    int len = snprintf(path, sizeof path, "%s.new", config->address);
    if (len < 0 || (size_t)len >= sizeof path) {
        (void)error_set(err, ERROR_CONFLICT,
                        "cannot change the kind of socket '%s' while it is open", config->address);
        return error_hint(err, "its path is too long for a second one beside it; restart kpid");
    }
    if (!socket_file_address(path, &beside.local, err))
        return false;
    if (!open_unix(out, &beside, config->mode, err)) {
        listener_close(out);
        return false;
    }
    format_listen(out, &address);
    return true;
}

bool listener_open_beside(struct listener_sockets *out, const struct listener_config *config,
                          unsigned threads, struct error *err)
{
    return transport_is_unix(config->transport) ? open_unix_beside(out, config, err)
                                                : open_all(out, config, threads, true, err);
}

bool listener_swap(struct listener_sockets *one, struct listener_sockets *other, struct error *err)
{
    return socket_file_swap(&one->file, &other->file, err);
}

void listener_close(struct listener_sockets *sockets)
{
    socket_file_remove(&sockets->file);
    for (unsigned i = 0; i < sockets->count; i++)
        (void)close(sockets->fds[i]);
    *sockets = (struct listener_sockets){0};
}
