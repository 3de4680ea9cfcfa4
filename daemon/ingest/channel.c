#include "ingest/channel.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_AHEAD_BYTES = 64 * 1024 };

struct channel channel_of(int fd, SSL *ssl)
{
    /* Several records by one call of the kernel. Only from here on: the handshake must not take
     * bytes that nobody looks for afterwards. */
    if (ssl != NULL) {
        SSL_set_default_read_buffer_len(ssl, READ_AHEAD_BYTES);
        SSL_set_read_ahead(ssl, 1);
    }
    return (struct channel){fd, ssl};
}

/* Sets errno to what a call on a session came to; returns what recv would. */
static ssize_t judge(const SSL *ssl, int rc)
{
    switch (SSL_get_error(ssl, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        ERR_clear_error();
        errno = EPROTO;
        return -1;
    }
}

ssize_t channel_read(const struct channel *channel, char *into, size_t size, bool *more)
{
    size_t total = 0;

    *more = false;
    if (channel->ssl == NULL)
        return recv(channel->fd, into, size, MSG_DONTWAIT);
    while (total < size) {
        size_t got = 0;
        int rc = SSL_read_ex(channel->ssl, into + total, size - total, &got);
        if (rc == 1) {
            total += got;
            continue;
        }
        ssize_t end = judge(channel->ssl, rc);
        if (total == 0)
            return end;
        *more = end == 0 || errno != EAGAIN; /* an end is found again by the next call */
        return (ssize_t)total;
    }
    *more = SSL_has_pending(channel->ssl) == 1;
    return (ssize_t)total;
}

ssize_t channel_write(const struct channel *channel, const char *bytes, size_t len)
{
    size_t put = 0;

    if (channel->ssl == NULL)
        return send(channel->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    int rc = SSL_write_ex(channel->ssl, bytes, len, &put);
    return rc == 1 ? (ssize_t)put : judge(channel->ssl, rc);
}

size_t channel_unread(const struct channel *channel)
{
    int waiting = 0;
    bool failed = ioctl(channel->fd, FIONREAD, &waiting) != 0 || waiting < 0;
    size_t unread = failed ? 0 : (size_t)waiting;

    return unread == 0 && channel->ssl != NULL ? (size_t)SSL_has_pending(channel->ssl) : unread;
}

void channel_close(struct channel *channel)
{
    if (channel->ssl != NULL) {
        (void)SSL_shutdown(channel->ssl);
        ERR_clear_error();
        SSL_free(channel->ssl);
    }
    (void)close(channel->fd);
    *channel = (struct channel){.fd = -1};
}
