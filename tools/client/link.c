/* The connection: made, greeted, written, read, and made again. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client_private.h"

enum {
    MS = 1000,
    SECOND = 1000 * MS,
    BACKOFF_FIRST = 100 * MS,
    BACKOFF_MAX = 10 * SECOND,
    CONNECT_TIME = 10 * SECOND, /* for each address, with the welcome */
    ANSWER_TIME = 60 * SECOND,  /* without a byte: then the other side is gone */
    READS_MAX = 16,             /* of a call, so that it ends */
    /* kpid knows the 1,024 sequences below the highest one; what is older it cannot judge. */
    WINDOW = 1000,
};

static void put_length(unsigned char *out, size_t len)
{
    for (int i = 0; i < LENGTH_SIZE; i++)
        out[i] = (unsigned char)(len >> (8 * (LENGTH_SIZE - 1 - i)));
}

static size_t get_length(const unsigned char *bytes)
{
    return (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
}

static bool pack_hello(struct kpid_link *link, const struct kpid_client_options *options,
                       uint64_t epoch)
{
    Kpid__V1__Hello hello = KPID__V1__HELLO__INIT;
    Kpid__V1__ClientFrame frame = KPID__V1__CLIENT_FRAME__INIT;

    hello.producer.data = (unsigned char *)options->producer;
    hello.producer.len = KPID_PRODUCER_SIZE;
    hello.epoch = epoch;
    if (options->token != NULL)
        hello.token = (char *)options->token;
    if (options->name != NULL)
        hello.client = (char *)options->name;
    frame.kind_case = KPID__V1__CLIENT_FRAME__KIND_HELLO;
    frame.hello = &hello;
    size_t len = kpid__v1__client_frame__get_packed_size(&frame);
    link->hello_len = LENGTH_SIZE + len;
    link->hello = malloc(link->hello_len);
    if (link->hello == NULL)
        return false;
    put_length(link->hello, len);
    (void)kpid__v1__client_frame__pack(&frame, link->hello + LENGTH_SIZE);
    return true;
}

bool kpid_link_init(struct kpid_client *client, const struct kpid_client_options *options,
                    uint64_t epoch)
{
    struct kpid_link *link = &client->link;

    *link = (struct kpid_link){.fd = -1, .backoff = BACKOFF_FIRST};
    link->input = malloc(LENGTH_SIZE + ANSWER_BYTES_MAX);
    return link->input != NULL && pack_hello(link, options, epoch);
}

void kpid_link_fini(struct kpid_client *client)
{
    struct kpid_link *link = &client->link;

    kpid_tls_fini(client);
    if (link->fd >= 0)
        (void)close(link->fd);
    if (link->addresses != NULL)
        freeaddrinfo(link->addresses);
    if (link->hello != NULL)
        explicit_bzero(link->hello, link->hello_len); /* the token */
    free(link->hello);
    free(link->input);
}

/* --- ending -----------------------------------------------------------------------------------
 */

/* From half of the time on, so that many clients do not come back at once. */
static void wait_before_next(struct kpid_client *client, mono_us now)
{
    struct kpid_link *link = &client->link;
    uint64_t half = (uint64_t)link->backoff / 2;

    link->retry_at = now + (mono_us)(half + kpid_client_random(client) % (half + 1));
    if (link->retry_at < link->busy_until)
        link->retry_at = link->busy_until;
    link->backoff = link->backoff * 2 > BACKOFF_MAX ? BACKOFF_MAX : link->backoff * 2;
}

/* Ends the connection; what has no answer is to be sent again. */
static void end(struct kpid_client *client)
{
    struct kpid_link *link = &client->link;
    struct kpid_batch *batch = NULL;

    kpid_tls_end(client);
    if (link->fd >= 0)
        (void)close(link->fd);
    link->fd = -1;
    link->state = LINK_DOWN;
    link->sending = NULL;
    link->written = 0;
    link->input_len = 0;
    link->under_way = 0;
    TAILQ_FOREACH(batch, &client->batches, link)
    batch->is_under_way = false;
}

/* An address that has failed gives way to the next one at once. */
static void fail(struct kpid_client *client, mono_us now)
{
    struct kpid_link *link = &client->link;
    bool was_connecting = link->state == LINK_CONNECTING;

    end(client);
    if (was_connecting && link->next != NULL) {
        link->retry_at = now;
        return;
    }
    if (link->addresses != NULL)
        freeaddrinfo(link->addresses);
    link->addresses = NULL;
    link->next = NULL;
    wait_before_next(client, now);
}

static void fail_errno(struct kpid_client *client, const char *what, int errnum, mono_us now)
{
    kpid_client_say_errno(client, what, errnum);
    fail(client, now);
}

/* --- connecting --------------------------------------------------------------------------------
 */

static bool look_up(struct kpid_client *client, mono_us now)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct kpid_link *link = &client->link;

    if (link->next != NULL)
        return true;
    if (link->addresses != NULL)
        freeaddrinfo(link->addresses);
    link->addresses = NULL;
    int rc = getaddrinfo(client->host, client->port, &hints, &link->addresses);
    if (rc != 0 || link->addresses == NULL) {
        link->addresses = NULL;
        kpid_client_say(client, "cannot find '%s': %s", client->host, gai_strerror(rc));
        fail(client, now);
        return false;
    }
    link->next = link->addresses;
    return true;
}

static int connect_to(struct kpid_link *link, int family, const struct sockaddr *address,
                      socklen_t len)
{
    const int one = 1;

    link->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return errno;
    if (family != AF_UNIX)
        (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return connect(link->fd, address, len) == 0 ? 0 : errno;
}

static void begin_greeting(struct kpid_client *client, mono_us now)
{
    client->link.state = client->tls.is_wanted ? LINK_SECURING : LINK_GREETING;
    if (client->tls.is_wanted && !kpid_tls_begin(client))
        fail(client, now);
}

static void begin_connection(struct kpid_client *client, mono_us now)
{
    struct kpid_link *link = &client->link;
    int errnum = 0;

    if (client->is_local) {
        errnum =
            connect_to(link, AF_UNIX, (const struct sockaddr *)&client->path, sizeof client->path);
    } else {
        if (!look_up(client, now))
            return;
        const struct addrinfo *address = link->next;
        link->next = address->ai_next;
        errnum = connect_to(link, address->ai_family, address->ai_addr, address->ai_addrlen);
    }
    link->state = LINK_CONNECTING;
    link->deadline = now + CONNECT_TIME;
    client->tls.is_untrusted = false;
    if (errnum == 0)
        begin_greeting(client, now);
    else if (errnum != EINPROGRESS)
        fail_errno(client, "cannot connect", errnum, now);
}

static void finish_connection(struct kpid_client *client, mono_us now)
{
    struct pollfd waiting = {.fd = client->link.fd, .events = POLLOUT};
    int errnum = 0;
    socklen_t len = sizeof errnum;

    if (poll(&waiting, 1, 0) <= 0)
        return;
    if (getsockopt(client->link.fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0)
        errnum = errno;
    if (errnum == 0)
        begin_greeting(client, now);
    else
        fail_errno(client, "cannot connect", errnum, now);
}

static void go_on_securing(struct kpid_client *client, mono_us now)
{
    enum io_result result = kpid_tls_shake_hands(client);

    if (result == IO_LATER)
        return;
    if (result == IO_DONE) {
        client->link.state = LINK_GREETING;
        return;
    }
    if (result == IO_ENDED) {
        kpid_client_say(client, "'%s' has closed the connection instead of speaking TLS",
                        client->peer);
        kpid_client_advise(client, "is this the port of a listener with 'tls'?");
    }
    fail(client, now);
}

/* --- writing ----------------------------------------------------------------------------------
 */

/* The batch that may be sent next; NULL when none may now. Those without an answer stay within
 * kpid's window, and those whose order matters are alone. */
static struct kpid_batch *next_batch(struct kpid_client *client)
{
    struct kpid_link *link = &client->link;
    const struct kpid_batch *first = TAILQ_FIRST(&client->batches);
    struct kpid_batch *batch = TAILQ_FIRST(&client->batches);

    if (first == NULL || link->busy_until > 0)
        return NULL;
    bool alone = first->in_order || first->sequence <= link->careful_until;
    if (link->under_way >= (alone ? 1 : link->batches_max))
        return NULL;
    while (batch != NULL && batch->is_under_way)
        batch = TAILQ_NEXT(batch, link);
    if (batch == NULL || (batch->in_order && link->under_way > 0) ||
        batch->sequence - first->sequence >= WINDOW)
        return NULL;
    return batch;
}

static void begin_batch(struct kpid_client *client, struct kpid_batch *batch, mono_us now)
{
    struct kpid_link *link = &client->link;

    if (batch->first_sent == 0)
        batch->first_sent = now;
    else
        client->stats.resent++;
    if (batch->sequence > link->sequence_sent)
        link->sequence_sent = batch->sequence;
    if (link->under_way == 0)
        link->deadline = now + ANSWER_TIME;
    batch->is_under_way = true;
    link->under_way++;
    link->sending = batch;
    link->written = 0;
}

static enum io_result send_some(struct kpid_client *client, const unsigned char *bytes, size_t len,
                                size_t *sent)
{
    if (client->tls.session != NULL)
        return kpid_tls_write(client, bytes, len, sent);
    ssize_t rc = send(client->link.fd, bytes, len, MSG_NOSIGNAL);
    *sent = rc > 0 ? (size_t)rc : 0;
    if (rc >= 0 || errno == EINTR)
        return IO_DONE;
    /* What kpid said before it closed is read first. */
    if (errno == EAGAIN || errno == EPIPE || errno == ECONNRESET)
        return IO_LATER;
    kpid_client_say_errno(client, "the connection broke", errno);
    return IO_BROKEN;
}

/* Whether all of it went out; false also when the connection ended. */
static bool write_rest(struct kpid_client *client, const unsigned char *bytes, size_t len,
                       mono_us now)
{
    struct kpid_link *link = &client->link;

    while (link->written < len) {
        size_t sent = 0;
        enum io_result result =
            send_some(client, bytes + link->written, len - link->written, &sent);
        link->written += sent;
        client->stats.sent_bytes += sent;
        if (result == IO_BROKEN)
            fail(client, now);
        if (result != IO_DONE)
            return false;
    }
    return true;
}

/* One that was complete before kpid said how much it takes. */
static void refuse_long(struct kpid_client *client, struct kpid_batch *batch)
{
    struct kpid_answer answer = {.code = KPID_CODE_TOO_LARGE,
                                 .message = "the batch is longer than kpid's limit of frames"};

    kpid_client_say(client, "%s", answer.message);
    kpid_client_answered(client, batch, &answer);
}

static void write_all(struct kpid_client *client, mono_us now)
{
    struct kpid_link *link = &client->link;

    if (link->state == LINK_GREETING) {
        (void)write_rest(client, link->hello, link->hello_len, now);
        return;
    }
    while (link->state == LINK_UP) {
        if (link->sending == NULL) {
            struct kpid_batch *batch = next_batch(client);
            if (batch == NULL)
                return;
            if (batch->len - LENGTH_SIZE > link->frame_bytes_max) {
                refuse_long(client, batch);
                continue;
            }
            begin_batch(client, batch, now);
        }
        if (!write_rest(client, link->sending->frame, link->sending->len, now))
            return;
        link->sending = NULL;
    }
}

/* --- reading ----------------------------------------------------------------------------------
 */

static enum io_result receive_some(struct kpid_client *client, unsigned char *into, size_t room,
                                   size_t *got)
{
    if (client->tls.session != NULL)
        return kpid_tls_read(client, into, room, got);
    ssize_t rc = recv(client->link.fd, into, room, 0);
    *got = rc > 0 ? (size_t)rc : 0;
    if (rc > 0 || (rc < 0 && errno == EINTR))
        return IO_DONE;
    if (rc == 0)
        return IO_ENDED;
    if (errno == EAGAIN)
        return IO_LATER;
    kpid_client_say_errno(client, "the connection broke", errno);
    return IO_BROKEN;
}

/* One that wants TLS answers plain text with an alert of it, or by closing. */
static void advise_tls(struct kpid_client *client)
{
    if (client->link.state == LINK_GREETING && !client->is_local && !client->tls.is_wanted)
        kpid_client_advise(client, "if its listener has 'tls', write the address as tls:%s",
                           client->peer);
}

/* The whole frames that are there; false when the connection has to end. */
static bool take_frames(struct kpid_client *client, mono_us now)
{
    struct kpid_link *link = &client->link;
    size_t at = 0;

    while (link->input_len - at >= LENGTH_SIZE) {
        size_t len = get_length(link->input + at);
        if (len > ANSWER_BYTES_MAX) {
            kpid_client_say(client, "what answers does not speak kpid's protocol");
            advise_tls(client);
            return false;
        }
        if (link->input_len - at - LENGTH_SIZE < len)
            break;
        if (!kpid_answer_take(client, link->input + at + LENGTH_SIZE, len, now))
            return false;
        at += LENGTH_SIZE + len;
    }
    memmove(link->input, link->input + at, link->input_len - at);
    link->input_len -= at;
    return true;
}

/* Whether there may be more. */
static bool read_some(struct kpid_client *client, mono_us now)
{
    struct kpid_link *link = &client->link;
    size_t room = LENGTH_SIZE + ANSWER_BYTES_MAX - link->input_len;
    size_t got = 0;

    enum io_result result = receive_some(client, link->input + link->input_len, room, &got);
    if (result == IO_LATER)
        return false;
    if (result == IO_ENDED)
        kpid_client_say(client, "kpid has closed the connection");
    if (result != IO_DONE) {
        advise_tls(client);
        fail(client, now);
        return false;
    }
    link->input_len += got;
    if (got > 0)
        link->deadline = now + ANSWER_TIME;
    if (take_frames(client, now))
        return got == room || got == 0 || client->tls.session != NULL;
    fail(client, now);
    return false;
}

/* --- all of it --------------------------------------------------------------------------------
 */

static bool is_waiting(const struct kpid_link *link)
{
    return (link->state > LINK_DOWN && link->state < LINK_UP) || link->under_way > 0;
}

static void go_on(struct kpid_client *client, mono_us now)
{
    struct kpid_link *link = &client->link;

    if (link->state == LINK_DOWN && !TAILQ_EMPTY(&client->batches) && now >= link->retry_at)
        begin_connection(client, now);
    if (link->state == LINK_CONNECTING)
        finish_connection(client, now);
    if (link->state == LINK_SECURING)
        go_on_securing(client, now);
    for (int i = 0; i < READS_MAX && link->fd >= 0 && link->state >= LINK_GREETING; i++) {
        if (!read_some(client, now))
            break;
    }
    if (link->state >= LINK_GREETING)
        write_all(client, now);
}

void kpid_link_work(struct kpid_client *client, mono_us now)
{
    struct kpid_link *link = &client->link;

    if (now >= link->busy_until)
        link->busy_until = 0;
    go_on(client, now);
    /* The next of several addresses has its turn at once; each is tried once. */
    while (link->state == LINK_DOWN && link->next != NULL && link->retry_at == now)
        go_on(client, now);
    if (is_waiting(link) && now >= link->deadline) {
        kpid_client_say(client, "kpid does not answer");
        fail(client, now);
    }
}

short kpid_link_events(const struct kpid_client *client)
{
    const struct kpid_link *link = &client->link;
    const struct kpid_tls *tls = &client->tls;
    int reads = POLLIN;
    int writes = POLLOUT;

    if (link->state == LINK_CONNECTING)
        return POLLOUT;
    if (link->state == LINK_SECURING)
        return tls->read_events;
    if (tls->session != NULL) {
        reads |= tls->read_events;
        writes = tls->write_events;
    }
    bool has_rest =
        link->state == LINK_GREETING ? link->written < link->hello_len : link->sending != NULL;
    return (short)(has_rest ? reads | writes : reads);
}

mono_us kpid_link_due(const struct kpid_client *client)
{
    const struct kpid_link *link = &client->link;
    mono_us due = NEVER;

    if (link->state == LINK_DOWN)
        return TAILQ_EMPTY(&client->batches) ? NEVER : link->retry_at;
    if (kpid_tls_has_pending(client))
        return 0;
    if (is_waiting(link))
        due = link->deadline;
    if (link->busy_until > 0 && link->busy_until < due && !TAILQ_EMPTY(&client->batches))
        due = link->busy_until;
    return due;
}
