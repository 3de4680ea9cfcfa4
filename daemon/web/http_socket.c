#include "web/http_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "ingest/listener.h"

enum { BACKLOG = 128, SOCKET_MODE = 0660, FOLDER_MODE = 0755 };

/* Makes the directory of the socket, as the data directory is made; its own one alone, so that a
 * path with a typing error does not become a tree. What bind says covers the rest. */
static void make_folder(const char *path)
{
    char folder[sizeof((struct sockaddr_un *)NULL)->sun_path];
    const char *slash = strrchr(path, '/');

    if (slash == NULL || slash == path || (size_t)(slash - path) >= sizeof folder)
        return;
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    (void)mkdir(folder, FOLDER_MODE);
}

bool http_socket_open_unix(struct http_socket *out, const char *path, struct inherited *inherited,
                           struct error *err)
{
    struct sockaddr_un address;

    *out = (struct http_socket){.fd = -1};
    if (!socket_file_address(path, &address, err))
        return false;
    (void)snprintf(out->name, sizeof out->name, "%s", path);
    out->fd = inherited_take(inherited, (const struct sockaddr *)&address, SOCK_STREAM);
    if (out->fd >= 0) {
        /* Whoever may open the control socket may do all that kpid does. */
        if (socket_file_check_mode(path, SOCKET_MODE, err))
            return true;
        if (err->kind == ERROR_DENIED)
            (void)error_hint(err, "everybody could control kpid; set SocketMode=%04o in its unit",
                             (unsigned)SOCKET_MODE);
        http_socket_close(out);
        return false;
    }
    make_folder(path);
    out->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (out->fd < 0)
        return error_set_errno(err, "cannot open a socket");
    if (socket_file_bind(&out->file, out->fd, SOCK_STREAM, path, SOCKET_MODE, err) &&
        (listen(out->fd, BACKLOG) == 0 || error_set_errno(err, "cannot listen on '%s'", path)))
        return true;
    if (err->kind == ERROR_DENIED || err->kind == ERROR_NOT_FOUND)
        (void)error_hint(err, "'server: { control: PATH }' in the configuration names another one");
    http_socket_close(out);
    return false;
}

/* "127.0.0.1:8640" or "[::1]:8640"; libevent's own parser takes no port 0. */
static bool parse_address(const char *text, struct sockaddr_storage *out, socklen_t *len)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    char host[INET6_ADDRSTRLEN];
    uint64_t port = 0;
    const char *colon = strrchr(text, ':');

    memset(out, 0, sizeof *out);
    if (colon == NULL || !str_parse_u64(str_of(colon + 1), &port) || port > UINT16_MAX)
        return false;
    bool is_six = text[0] == '[' && colon > text && colon[-1] == ']';
    struct str name = {text + is_six, (size_t)(colon - text) - (is_six ? 2U : 0U)};
    if (name.len >= sizeof host)
        return false;
    (void)snprintf(host, sizeof host, "%.*s", STR_ARGS(name));
    if (is_six && inet_pton(AF_INET6, host, &six.sin6_addr) == 1) {
        six.sin6_port = htons((uint16_t)port);
        memcpy(out, &six, sizeof six);
        *len = sizeof six;
        return true;
    }
    if (!is_six && inet_pton(AF_INET, host, &four.sin_addr) == 1) {
        four.sin_port = htons((uint16_t)port);
        memcpy(out, &four, sizeof four);
        *len = sizeof four;
        return true;
    }
    return false;
}

static void describe(int fd, char *out, size_t size)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    char host[INET6_ADDRSTRLEN] = "";

    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return;
    if (address.ss_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, &address, sizeof four);
        (void)inet_ntop(AF_INET, &four.sin_addr, host, sizeof host);
        (void)snprintf(out, size, "%s:%u", host, ntohs(four.sin_port));
        return;
    }
    struct sockaddr_in6 six;
    memcpy(&six, &address, sizeof six);
    (void)inet_ntop(AF_INET6, &six.sin6_addr, host, sizeof host);
    (void)snprintf(out, size, "[%s]:%u", host, ntohs(six.sin6_port));
}

bool http_socket_open_address(struct http_socket *out, const char *address,
                              struct inherited *inherited, struct error *err)
{
    const int yes = 1;
    struct sockaddr_storage parsed;
    socklen_t len = 0;

    *out = (struct http_socket){.fd = -1};
    if (!parse_address(address, &parsed, &len))
        return error_set(err, ERROR_INVALID, "not an address with a port: '%s'", address);
    out->fd = inherited_take(inherited, (const struct sockaddr *)&parsed, SOCK_STREAM);
    if (out->fd >= 0) {
        describe(out->fd, out->name, sizeof out->name);
        return true;
    }
    int fd = socket(parsed.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set_errno(err, "cannot open a socket");
    bool is_six = parsed.ss_family == AF_INET6;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        (is_six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes) != 0) ||
        bind(fd, (const struct sockaddr *)&parsed, len) != 0 || listen(fd, BACKLOG) != 0) {
        (void)listener_explain_bind(address, err);
        (void)close(fd);
        return false;
    }
    out->fd = fd;
    describe(fd, out->name, sizeof out->name);
    return true;
}

void http_socket_close(struct http_socket *socket)
{
    if (socket->fd >= 0)
        (void)close(socket->fd);
    socket->fd = -1;
    socket_file_remove(&socket->file);
}
