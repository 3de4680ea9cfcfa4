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
    const char *words = strerrordesc_np(errnum);

    kpid_client_say(client, "%s: %s", what, words == NULL ? "unknown error" : words);
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
    if (errnum == 0)
        link->state = LINK_GREETING;
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
        client->link.state = LINK_GREETING;
    else
        fail_errno(client, "cannot connect", errnum, now);
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

/* Whether all of it went out; false also when the connection ended. */
static bool write_rest(struct kpid_client *client, const unsigned char *bytes, size_t len,
                       mono_us now)
{
    struct kpid_link *link = &client->link;

    while (link->written < len) {
        ssize_t sent = send(link->fd, bytes + link->written, len - link->written, MSG_NOSIGNAL);
        if (sent > 0) {
            link->written += (size_t)sent;
            client->stats.sent_bytes += (size_t)sent;
        } else if (sent < 0 && errno != EINTR) {
            /* What kpid said before it closed is read first. */
            if (errno != EAGAIN && errno != EPIPE && errno != ECONNRESET)
                fail_errno(client, "the connection broke", errno, now);
            return false;
        }
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

/* The whole frames that are there; false when the connection has to end. */
static bool take_frames(struct kpid_client *client, mono_us now)
{
    struct kpid_link *link = &client->link;
    size_t at = 0;

    while (link->input_len - at >= LENGTH_SIZE) {
        size_t len = get_length(link->input + at);
        if (len > ANSWER_BYTES_MAX) {
            kpid_client_say(client, "what answers does not speak kpid's protocol");
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

    ssize_t got = recv(link->fd, link->input + link->input_len, room, 0);
    if (got < 0 && errno == EINTR)
        return true;
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got < 0) {
        fail_errno(client, "the connection broke", errno, now);
        return false;
    }
    if (got == 0) {
        kpid_client_say(client, "kpid has closed the connection");
        fail(client, now);
        return false;
    }
    link->input_len += (size_t)got;
    link->deadline = now + ANSWER_TIME;
    if (take_frames(client, now))
        return (size_t)got == room;
    fail(client, now);
    return false;
}

/* --- all of it --------------------------------------------------------------------------------
 */

static bool is_waiting(const struct kpid_link *link)
{
    return link->state == LINK_CONNECTING || link->state == LINK_GREETING || link->under_way > 0;
}

static void go_on(struct kpid_client *client, mono_us now)
{
    struct kpid_link *link = &client->link;

    if (link->state == LINK_DOWN && !TAILQ_EMPTY(&client->batches) && now >= link->retry_at)
        begin_connection(client, now);
    if (link->state == LINK_CONNECTING)
        finish_connection(client, now);
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

    if (link->state == LINK_CONNECTING)
        return POLLOUT;
    if (link->state == LINK_GREETING)
        return link->written < link->hello_len ? POLLIN | POLLOUT : POLLIN;
    return link->sending != NULL ? POLLIN | POLLOUT : POLLIN;
}

mono_us kpid_link_due(const struct kpid_client *client)
{
    const struct kpid_link *link = &client->link;
    mono_us due = NEVER;

    if (link->state == LINK_DOWN)
        return TAILQ_EMPTY(&client->batches) ? NEVER : link->retry_at;
    if (is_waiting(link))
        due = link->deadline;
    if (link->busy_until > 0 && link->busy_until < due && !TAILQ_EMPTY(&client->batches))
        due = link->busy_until;
    return due;
}
