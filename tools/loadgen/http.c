#include "http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { HEAD_SIZE = 8192 };

/* --- out --- */

bool http_post(int fd, const struct http_target *target, struct str body, struct error *err)
{
    char head[HEAD_SIZE];
    size_t sent = 0;

    int len =
        snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %zu\r\n\r\n",
                 target->path, target->host, target->headers, body.len);
    if (len < 0 || (size_t)len >= sizeof head)
        return error_set(err, ERROR_INVALID, "path is too long: '%.40s...'", target->path);
    size_t head_len = (size_t)len;
    while (sent < head_len + body.len) {
        size_t head_sent = sent < head_len ? sent : head_len;
        size_t body_sent = sent - head_sent;
        struct iovec pieces[] = {{head + head_sent, head_len - head_sent},
                                 {(char *)body.text + body_sent, body.len - body_sent}};
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
        ssize_t count = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (count < 0 && errno != EINTR)
            return error_set_errno(err, "the connection broke");
        sent += count > 0 ? (size_t)count : 0;
    }
    return true;
}

/* --- in --- */

static ssize_t receive(int fd, char *out, size_t size)
{
    ssize_t count = 0;
    do
        count = recv(fd, out, size, 0);
    while (count < 0 && errno == EINTR);
    return count;
}

/* The length that the head declares; none is 0. */
static uint64_t body_length(struct str head)
{
    static const char name[] = "content-length:";
    struct str rest = head;

    while (rest.len > 0) {
        struct str line = str_split(&rest, '\n');
        uint64_t length = 0;
        if (line.len < sizeof name || strncasecmp(line.text, name, sizeof name - 1) != 0)
            continue;
        struct str value = {line.text + sizeof name - 1, line.len - (sizeof name - 1)};
        value.len -= value.len > 0 && value.text[value.len - 1] == '\r';
        if (str_parse_u64(str_trim(value), &length))
            return length;
    }
    return 0;
}

/* "HTTP/1.1 204 No Content" */
static bool parse_status(struct str head, unsigned *out)
{
    uint64_t status = 0;
    struct str version = str_split(&head, ' ');
    struct str number = {head.text, head.len < 3 ? head.len : 3};

    if (version.len < 5 || memcmp(version.text, "HTTP/", 5) != 0 ||
        !str_parse_u64(number, &status) || status < 100 || status > 599)
        return false;
    *out = (unsigned)status;
    return true;
}

static bool skip(int fd, uint64_t len, struct error *err)
{
    char bytes[4096];

    while (len > 0) {
        ssize_t count = receive(fd, bytes, len < sizeof bytes ? (size_t)len : sizeof bytes);
        if (count <= 0)
            return error_set(err, ERROR_SYSTEM, "the connection ended within an answer");
        len -= (uint64_t)count;
    }
    return true;
}

bool http_answer(int fd, unsigned *status, struct error *err)
{
    char head[HEAD_SIZE];
    size_t len = 0;
    const char *end = NULL;

    while (end == NULL) {
        if (len == sizeof head)
            return error_set(err, ERROR_INVALID, "the head of an answer is too long");
        ssize_t count = receive(fd, head + len, sizeof head - len);
        if (count <= 0)
            return error_set(err, ERROR_SYSTEM, "the connection ended without an answer");
        len += (size_t)count;
        end = memmem(head, len, "\r\n\r\n", 4);
    }
    struct str text = {head, (size_t)(end - head)};
    if (!parse_status(text, status))
        return error_set(err, ERROR_INVALID, "what came is no answer of HTTP");
    size_t had = len - text.len - 4;
    uint64_t wanted = body_length(text);
    return wanted <= had || skip(fd, wanted - had, err);
}
