/* A stream connection's bytes, plain or by TLS: a nonblocking socket read and written as recv and
 * send do. */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct channel {
    int fd;
    SSL *ssl; /* its handshake is done; NULL: plain */
};

/* Takes both over. */
struct channel channel_of(int fd, SSL *ssl);

/* Reads up to `size` bytes, by TLS as many as there are: 0 at the end, else -1 with errno: EAGAIN
 * when there is nothing now, EPROTO when TLS ended without its goodbye, so that the end may have
 * been cut off. `*more`: further bytes, or the end, are held here, which the socket does not show
 * as readable. */
ssize_t channel_read(const struct channel *channel, char *into, size_t size, bool *more);

/* As send with MSG_NOSIGNAL. */
ssize_t channel_write(const struct channel *channel, const char *bytes, size_t len);

/* Bytes that have arrived and were not read; by TLS at least one when there are some. */
size_t channel_unread(const struct channel *channel);

/* Says goodbye by TLS, if the socket takes it at once, and closes. */
void channel_close(struct channel *channel);
