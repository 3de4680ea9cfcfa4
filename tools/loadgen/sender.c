#include "sender.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "http.h"

enum {
    SEND_BUFFER_BYTES = 4 << 20,
    SEGMENTS_MAX = 60,
    SEGMENTED_BYTES_MAX = 60000,
    HTTP_AGAIN_MS = 200,  /* before a request is sent again */
    HTTP_AGAIN_MAX = 600, /* times in a row, then it is an error */
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

struct sender {
    const struct sender_options *options;
    const struct payload *payload;
    struct sender_result *result;
    double started;
    unsigned batch; /* datagrams a call, at this rate */
    int fds[CONNECTIONS_MAX];
    const struct payload_unit *waiting[CONNECTIONS_MAX]; /* HTTP: what has no answer yet */
    unsigned fd_count;
};

const char *load_transport_name(enum load_transport transport)
{
    static const char *const names[] = {"udp", "tcp", "unix", "unixgram", "http", "tls"};
    return transport > LOAD_TLS ? NULL : names[transport];
}

bool load_transport_is_datagram(enum load_transport transport)
{
    return transport == LOAD_UDP || transport == LOAD_UNIXGRAM;
}

double monotonic_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* --- connecting --------------------------------------------------------------------------------
 */

/* A load generator must never hit another machine by a slip of the fingers. */
static bool is_loopback(const union address *address)
{
    if (address->any.sa_family == AF_INET)
        return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

static bool parse_host_port(const char *text, union address *out, socklen_t *len)
{
    struct str host = str_of(text);
    const char *colon = strrchr(text, ':');
    char copy[INET6_ADDRSTRLEN];
    uint64_t port = 0;

    if (colon == NULL || !str_parse_u64(str_of(colon + 1), &port) || port == 0 || port > UINT16_MAX)
        return false;
    host.len = (size_t)(colon - text);
    bool is_v6 = host.len > 2 && host.text[0] == '[' && host.text[host.len - 1] == ']';
    if (is_v6)
        host = (struct str){host.text + 1, host.len - 2};
    if (host.len >= sizeof copy)
        return false;
    memcpy(copy, host.text, host.len);
    copy[host.len] = '\0';
    if (is_v6) {
        out->v6 =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        *len = sizeof out->v6;
        return inet_pton(AF_INET6, copy, &out->v6.sin6_addr) == 1;
    }
    out->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    *len = sizeof out->v4;
    return inet_pton(AF_INET, copy, &out->v4.sin_addr) == 1;
}

static bool parse_address(const struct sender_options *options, union address *out, socklen_t *len,
                          struct error *err)
{
    const char *text = options->address;
    size_t size = strlen(text);

    *out = (union address){.any.sa_family = AF_UNIX};
    *len = sizeof out->local;
    if (options->transport == LOAD_UNIX || options->transport == LOAD_UNIXGRAM) {
        if (size == 0 || size >= sizeof out->local.sun_path)
            return error_set(err, ERROR_INVALID, "'%s' is no path of a socket", text);
        memcpy(out->local.sun_path, text, size);
        return true;
    }
    if (!parse_host_port(text, out, len)) {
        (void)error_set(err, ERROR_INVALID, "'%s' is no address with a port", text);
        return error_hint(err, "write it as 127.0.0.1:8125 or [::1]:8125");
    }
    if (!is_loopback(out))
        return error_set(err, ERROR_DENIED, "'%s' is not on this machine: loopback only", text);
    return true;
}

bool sender_check_address(const struct sender_options *options, struct error *err)
{
    union address address;
    socklen_t len = 0;

    return parse_address(options, &address, &len, err);
}

static bool connect_one(struct sender *sender, const union address *address, socklen_t len,
                        struct error *err)
{
    const struct sender_options *options = sender->options;
    bool is_datagram = load_transport_is_datagram(options->transport);
    const int one = 1;
    const int buffer = SEND_BUFFER_BYTES;

    int fd =
        socket(address->any.sa_family, (is_datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(err, "cannot make a socket");
    sender->fds[sender->fd_count++] = fd;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    if (options->transport == LOAD_TCP || options->transport == LOAD_HTTP)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, &address->any, len) != 0)
        return error_set_errno(err, "cannot connect to '%s'", options->address);
    return true;
}

static bool connect_all(struct sender *sender, struct error *err)
{
    const struct sender_options *options = sender->options;
    unsigned count = load_transport_is_datagram(options->transport) ? 1 : options->connections;
    union address address;
    socklen_t len = 0;

    if (!parse_address(options, &address, &len, err))
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (!connect_one(sender, &address, len, err))
            return false;
    }
    return true;
}

/* --- sending -----------------------------------------------------------------------------------
 */

/* Sleeps, then spins, until what was sent so far is due. */
static void pace(const struct sender *sender)
{
    const double spin_s = 200e-6; /* a sleep may end so much late */
    double rate = sender->options->rate;

    if (rate <= 0)
        return;
    double due = sender->started + (double)sender->result->samples / rate;
    double left = due - monotonic_s();
    while (left > 0) {
        double nap = left - spin_s;
        if (nap > spin_s / 2) {
            struct timespec span = {.tv_sec = (time_t)nap};
            span.tv_nsec = (long)((nap - (double)span.tv_sec) * 1e9);
            (void)nanosleep(&span, NULL);
        }
        left = due - monotonic_s();
    }
}

static void count_unit(struct sender *sender, const struct payload_unit *unit)
{
    sender->result->samples += unit->samples;
    sender->result->bytes += unit->len;
    sender->result->units++;
}

/* Whether a datagram can be tried again. ECONNREFUSED on UDP is the answer to an earlier one:
 * nobody has the port now, but may have it again. */
static bool may_retry(struct sender *sender, struct error *err)
{
    if (errno == EINTR || errno == ENOBUFS || errno == EAGAIN)
        return true;
    if (errno == ECONNREFUSED && sender->options->transport == LOAD_UDP) {
        sender->result->errors++;
        return true;
    }
    return error_set_errno(err, "cannot send to '%s'", sender->options->address);
}

static bool send_datagrams(struct sender *sender, struct error *err)
{
    const struct payload *payload = sender->payload;
    struct mmsghdr headers[BATCH_MAX];
    struct iovec pieces[BATCH_MAX];

    memset(headers, 0, sizeof headers);
    for (size_t i = 0; i < payload->unit_count;) {
        size_t left = payload->unit_count - i;
        unsigned count = left < sender->batch ? (unsigned)left : sender->batch;
        for (unsigned j = 0; j < count; j++) {
            const struct payload_unit *unit = &payload->units[i + j];
            pieces[j] = (struct iovec){payload->bytes.bytes + unit->offset, unit->len};
            headers[j].msg_hdr.msg_iov = &pieces[j];
            headers[j].msg_hdr.msg_iovlen = 1;
        }
        pace(sender);
        int sent = sendmmsg(sender->fds[0], headers, count, 0);
        if (sent < 0 && !may_retry(sender, err))
            return false;
        for (int j = 0; j < sent; j++)
            count_unit(sender, &payload->units[i++]);
    }
    return true;
}

/* Puts units of the size of the one at `first` together; returns how many. */
static unsigned gather(const struct payload *payload, size_t first, struct iovec *pieces)
{
    uint32_t size = payload->units[first].len;
    unsigned count = 0;

    while (count < SEGMENTS_MAX && first + count < payload->unit_count &&
           payload->units[first + count].len == size &&
           (size_t)(count + 1) * size <= SEGMENTED_BYTES_MAX) {
        const struct payload_unit *unit = &payload->units[first + count];
        pieces[count] = (struct iovec){payload->bytes.bytes + unit->offset, size};
        count++;
    }
    return count;
}

/* Sends runs of datagrams of one size with one call and UDP_SEGMENT. The receiver still sees single
 * datagrams, but the sender pays for the network stack once a run, so that it can outrun a receiver
 * on an equal core. Counters render to lines of one length. */
static bool send_segmented(struct sender *sender, struct error *err)
{
    const struct payload *payload = sender->payload;
    struct iovec pieces[SEGMENTS_MAX];
    union {
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr aligned;
    } control;

    for (size_t i = 0; i < payload->unit_count;) {
        uint16_t size = (uint16_t)payload->units[i].len;
        unsigned count = gather(payload, i, pieces);
        struct msghdr message = {.msg_iov = pieces,
                                 .msg_iovlen = count,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof control.bytes};
        memset(&control, 0, sizeof control);
        control.aligned.cmsg_level = SOL_UDP;
        control.aligned.cmsg_type = UDP_SEGMENT;
        control.aligned.cmsg_len = CMSG_LEN(sizeof size);
        memcpy(CMSG_DATA(&control.aligned), &size, sizeof size);
        pace(sender);
        if (sendmsg(sender->fds[0], &message, 0) < 0) {
            if (!may_retry(sender, err))
                return false;
            continue;
        }
        for (unsigned j = 0; j < count; j++)
            count_unit(sender, &payload->units[i++]);
    }
    return true;
}

static bool send_all(int fd, const char *bytes, size_t len, struct error *err)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return error_set_errno(err, "the connection broke");
        if (sent > 0) {
            bytes += sent;
            len -= (size_t)sent;
        }
    }
    return true;
}

/* Units go round the connections. */
static bool send_streams(struct sender *sender, struct error *err)
{
    const struct payload *payload = sender->payload;
    unsigned next = 0;

    for (size_t i = 0; i < payload->unit_count; i++) {
        const struct payload_unit *unit = &payload->units[i];
        int fd = sender->fds[next];
        next = next + 1 < sender->fd_count ? next + 1 : 0;
        pace(sender);
        if (!send_all(fd, payload->bytes.bytes + unit->offset, unit->len, err))
            return false;
        count_unit(sender, unit);
    }
    return true;
}

static bool post(struct sender *sender, unsigned connection, const struct payload_unit *unit,
                 struct error *err)
{
    const struct sender_options *options = sender->options;
    const struct http_target target = {options->address, options->path, options->headers};
    struct str body = {sender->payload->bytes.bytes + unit->offset, unit->len};

    sender->waiting[connection] = unit;
    return http_post(sender->fds[connection], &target, body, err);
}

/* Waits for the answer to what was sent; what the other side cannot take now is sent again. */
static bool take_answer(struct sender *sender, unsigned connection, struct error *err)
{
    const struct timespec pause = {.tv_nsec = HTTP_AGAIN_MS * 1000000L};
    const struct payload_unit *unit = sender->waiting[connection];
    unsigned status = 0;

    if (unit == NULL)
        return true;
    if (!http_answer(sender->fds[connection], &status, err))
        return false;
    for (int tries = 0; status == 429 || status == 503; tries++) {
        sender->result->errors++;
        if (tries == HTTP_AGAIN_MAX)
            return error_set(err, ERROR_SYSTEM, "'%s' takes nothing any more",
                             sender->options->address);
        (void)nanosleep(&pause, NULL);
        if (!post(sender, connection, unit, err) ||
            !http_answer(sender->fds[connection], &status, err))
            return false;
    }
    if (status / 100 != 2)
        return error_set(err, ERROR_INVALID, "'%s' answered %u", sender->options->address, status);
    count_unit(sender, unit);
    sender->waiting[connection] = NULL;
    return true;
}

/* Each connection has one request under way. */
static bool send_http(struct sender *sender, struct error *err)
{
    const struct payload *payload = sender->payload;
    unsigned next = 0;
    bool ok = true;

    for (size_t i = 0; i < payload->unit_count && ok; i++) {
        pace(sender);
        ok = take_answer(sender, next, err) && post(sender, next, &payload->units[i], err);
        next = next + 1 < sender->fd_count ? next + 1 : 0;
    }
    for (unsigned i = 0; i < sender->fd_count && ok; i++)
        ok = take_answer(sender, i, err);
    return ok;
}

/* --- a run -------------------------------------------------------------------------------------
 */

/* Says that nothing more comes, then waits until the peer closes too: it has read it all. */
static bool wait_for_close(int fd, double until)
{
    char bytes[4096];
    struct pollfd waiting = {.fd = fd, .events = POLLIN};

    (void)shutdown(fd, SHUT_WR);
    double left = until - monotonic_s();
    while (left > 0) {
        if (poll(&waiting, 1, (int)(left * 1000) + 1) > 0 && recv(fd, bytes, sizeof bytes, 0) <= 0)
            return true;
        left = until - monotonic_s();
    }
    return false;
}

/* Bursts of at most half a millisecond, so that a rate is a rate. */
static unsigned batch_for(const struct sender_options *options, const struct payload *payload)
{
    uint64_t samples = 0;

    if (options->rate <= 0 || payload->unit_count == 0)
        return options->batch;
    for (size_t i = 0; i < payload->unit_count; i++)
        samples += payload->units[i].samples;
    double burst = options->rate * (double)payload->unit_count / (double)samples / 2000;
    if (burst >= options->batch)
        return options->batch;
    return burst < 1 ? 1 : (unsigned)burst;
}

static bool send_once(struct sender *sender, struct error *err)
{
    if (sender->options->segment)
        return send_segmented(sender, err);
    if (load_transport_is_datagram(sender->options->transport))
        return send_datagrams(sender, err);
    if (sender->options->transport == LOAD_HTTP)
        return send_http(sender, err);
    return send_streams(sender, err);
}

static void wait_for_peers(struct sender *sender)
{
    double until = monotonic_s() + (double)sender->options->wait_s;

    sender->result->peer_closed = true;
    if (sender->options->wait_s == 0 || load_transport_is_datagram(sender->options->transport))
        return;
    for (unsigned i = 0; i < sender->fd_count; i++) {
        if (!wait_for_close(sender->fds[i], until))
            sender->result->peer_closed = false;
    }
}

bool sender_run(const struct sender_options *options, const struct payload *payload,
                uint64_t repeat, struct sender_result *result, struct error *err)
{
    struct sender sender = {.options = options, .payload = payload, .result = result};

    *result = (struct sender_result){0};
    sender.batch = batch_for(options, payload);
    bool ok = connect_all(&sender, err);
    sender.started = monotonic_s();
    for (uint64_t i = 0; i < repeat && ok; i++)
        ok = send_once(&sender, err);
    result->seconds = monotonic_s() - sender.started;
    if (ok)
        wait_for_peers(&sender);
    result->drained = monotonic_s() - sender.started;
    for (unsigned i = 0; i < sender.fd_count; i++)
        (void)close(sender.fds[i]);
    return ok;
}
