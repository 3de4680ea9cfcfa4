#include "base/inherited.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"

/* --- what a descriptor is ----------------------------------------------------------------------
 */

static int option_of(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

static bool kind_is_known(int fd, int domain, int type)
{
    if (type != SOCK_STREAM && type != SOCK_DGRAM)
        return false;
    if (domain == AF_UNIX)
        return true;
    return (domain == AF_INET || domain == AF_INET6) &&
           option_of(fd, SO_PROTOCOL) == (type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);
}

static void show_inet(struct inherited_socket *socket, const void *host, in_port_t port)
{
    bool is_six = socket->address.ss_family == AF_INET6;
    char text[INET6_ADDRSTRLEN] = "";

    (void)inet_ntop(socket->address.ss_family, host, text, sizeof text);
    (void)snprintf(socket->shown, sizeof socket->shown, "%s:%s%s%s:%u",
                   socket->type == SOCK_STREAM ? "tcp" : "udp", is_six ? "[" : "", text,
                   is_six ? "]" : "", ntohs(port));
}

/* Whether a log can have it as it is. */
static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~' || *text == '"' || *text == '\\')
            return false;
    }
    return true;
}

static void show_path(struct inherited_socket *socket, const char *path, size_t len)
{
    char text[16 + sizeof((struct sockaddr_un *)NULL)->sun_path];

    (void)snprintf(text, sizeof text, "%s:%.*s", socket->type == SOCK_STREAM ? "unix" : "unixgram",
                   (int)len, path);
    if (is_plain(text))
        (void)snprintf(socket->shown, sizeof socket->shown, "%s", text);
    else
        (void)str_quoted(str_of(text), socket->shown);
}

/* False: nobody could name its address, as that of an abstract Unix socket. */
static bool show_address(struct inherited_socket *socket)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;

    switch (socket->address.ss_family) {
    case AF_INET:
        memcpy(&v4, &socket->address, sizeof v4);
        show_inet(socket, &v4.sin_addr, v4.sin_port);
        return v4.sin_port != 0;
    case AF_INET6:
        memcpy(&v6, &socket->address, sizeof v6);
        show_inet(socket, &v6.sin6_addr, v6.sin6_port);
        return v6.sin6_port != 0;
    default:
        memcpy(&local, &socket->address, sizeof local);
        show_path(socket, local.sun_path, strnlen(local.sun_path, sizeof local.sun_path));
        return local.sun_path[0] != '\0';
    }
}

/* Why nobody can listen on it, NULL if one can. */
static const char *inspect(struct inherited_socket *socket)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof socket->address;
    socklen_t peer_len = sizeof peer;
    int fd = socket->fd;

    socket->type = option_of(fd, SO_TYPE);
    if (socket->type < 0)
        return "it is no socket";
    if (!kind_is_known(fd, option_of(fd, SO_DOMAIN), socket->type))
        return "nobody listens on sockets of its kind";
    if (getsockname(fd, (struct sockaddr *)&socket->address, &len) != 0 || !show_address(socket))
        return "it has no address";
    if (socket->type == SOCK_STREAM && option_of(fd, SO_ACCEPTCONN) != 1)
        return "it does not listen; its unit needs Accept=no";
    if (socket->type == SOCK_DGRAM && getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0)
        return "it is connected";
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return "it cannot be read without waiting";
    return NULL;
}

/* --- the variables -----------------------------------------------------------------------------
 */

static bool parse_number(const char *variable, const char *text, uint64_t *out, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];

    if (str_parse_u64(str_of(text), out))
        return true;
    return error_set(err, ERROR_INVALID, "%s is no number: '%s'", variable,
                     str_quoted(str_of(text), quoted));
}

/* How many sockets there are. */
static bool parse_count(const struct inherited_variables *variables, uint64_t own, uint64_t *out,
                        struct error *err)
{
    uint64_t pid = 0;
    size_t names = 1;

    *out = 0;
    if (variables->pid == NULL || variables->fds == NULL)
        return true;
    if (!parse_number("LISTEN_PID", variables->pid, &pid, err))
        return false;
    if (pid != own)
        return true; /* they were for the process that started this one */
    if (!parse_number("LISTEN_FDS", variables->fds, out, err))
        return false;
    if (*out > INHERITED_MAX)
        return error_set(err, ERROR_INVALID, "LISTEN_FDS is too large: %s sockets, at most %d",
                         variables->fds, INHERITED_MAX);
    if (variables->names == NULL || *out == 0)
        return true;
    for (const char *colon = variables->names; (colon = strchr(colon, ':')) != NULL; colon++)
        names++;
    if (names != *out)
        return error_set(err, ERROR_INVALID, "LISTEN_FDNAMES has %zu names, LISTEN_FDS says %s",
                         names, variables->fds);
    return true;
}

struct inherited *inherited_parse(const struct inherited_variables *variables, uint64_t own,
                                  struct error *err)
{
    struct str names = variables->names == NULL ? STR_EMPTY : str_of(variables->names);
    uint64_t count = 0;

    if (!parse_count(variables, own, &count, err))
        return NULL;
    struct inherited *inherited = memory_zero(1, sizeof *inherited);
    for (; inherited->count < count; inherited->count++) {
        struct inherited_socket *socket = &inherited->sockets[inherited->count];
        socket->number = socket->fd = variables->first + (int)inherited->count;
        if (fcntl(socket->fd, F_SETFD, FD_CLOEXEC) != 0) {
            (void)error_set_errno(err, "cannot use descriptor %d of LISTEN_FDS=%s", socket->fd,
                                  variables->fds);
            inherited_free(inherited);
            return NULL;
        }
        (void)str_quoted(str_split(&names, ':'), socket->name);
        socket->unfit = inspect(socket);
    }
    return inherited;
}

struct inherited *inherited_open(struct error *err)
{
    static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
                                            "LISTEN_PIDFDID"};

    /* No other thread runs yet. NOLINTBEGIN(concurrency-mt-unsafe) */
    const struct inherited_variables said = {.pid = getenv(variables[0]),
                                             .fds = getenv(variables[1]),
                                             .names = getenv(variables[2]),
                                             .first = INHERITED_FIRST};
    struct inherited *inherited = inherited_parse(&said, (uint64_t)getpid(), err);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        (void)unsetenv(variables[i]);
    /* NOLINTEND(concurrency-mt-unsafe) */
    return inherited;
}

/* --- taking ------------------------------------------------------------------------------------
 */

static bool is_bound_to(const struct inherited_socket *socket, const struct sockaddr *wanted)
{
    const void *bytes = wanted;

    if (socket->address.ss_family != wanted->sa_family)
        return false;
    if (wanted->sa_family == AF_INET) {
        struct sockaddr_in is;
        struct sockaddr_in want;
        memcpy(&is, &socket->address, sizeof is);
        memcpy(&want, bytes, sizeof want);
        return is.sin_port == want.sin_port && is.sin_addr.s_addr == want.sin_addr.s_addr;
    }
    if (wanted->sa_family == AF_INET6) {
        struct sockaddr_in6 is;
        struct sockaddr_in6 want;
        memcpy(&is, &socket->address, sizeof is);
        memcpy(&want, bytes, sizeof want);
        return is.sin6_port == want.sin6_port &&
               memcmp(&is.sin6_addr, &want.sin6_addr, sizeof is.sin6_addr) == 0;
    }
    struct sockaddr_un is;
    struct sockaddr_un want;
    memcpy(&is, &socket->address, sizeof is);
    memcpy(&want, bytes, sizeof want);
    return strncmp(is.sun_path, want.sun_path, sizeof is.sun_path) == 0;
}

int inherited_take(struct inherited *inherited, const struct sockaddr *address, int type)
{
    for (size_t i = 0; inherited != NULL && i < inherited->count; i++) {
        struct inherited_socket *socket = &inherited->sockets[i];
        if (socket->fd < 0 || socket->unfit != NULL || socket->type != type ||
            !is_bound_to(socket, address))
            continue;
        int fd = socket->fd;
        socket->fd = -1;
        return fd;
    }
    return -1;
}

void inherited_free(struct inherited *inherited)
{
    if (inherited == NULL)
        return;
    for (size_t i = 0; i < inherited->count; i++) {
        if (inherited->sockets[i].fd >= 0)
            (void)close(inherited->sockets[i].fd);
    }
    free(inherited);
}
