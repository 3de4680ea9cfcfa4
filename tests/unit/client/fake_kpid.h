/* A client, and a kpid made of a socket: it says what a test wants, when it wants. The clock is the
 * test's too, so nothing waits (link with -Wl,--wrap=clock_gettime). */
#pragma once

#include <errno.h>
#include <kpid.pb-c.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "kpid_client.h"
#include "test.h"

enum { FAKE_INPUT = 4 << 20, SECOND_US = 1000000 };

static int64_t fake_us;

int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    bool is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    int64_t us = fake_us + (is_wall ? INT64_C(1700000000) * SECOND_US : SECOND_US);

    *out = (struct timespec){.tv_sec = us / SECOND_US, .tv_nsec = us % SECOND_US * 1000};
    return 0;
}

struct fake {
    char folder[32];
    char path[64];
    char address[80];
    int listener;
    int fd;   /* -1: no connection */
    SSL *ssl; /* of the connection; NULL: plain text */
    unsigned char *input;
    size_t len;
    Kpid__V1__ClientFrame *frame; /* the last one */
};

static inline void fake_listen(struct fake *fake)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fake->listener >= 0);
    memcpy(address.sun_path, fake->path, strlen(fake->path));
    assert_int_equal(bind(fake->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fake->listener, 16), 0);
}

static inline void fake_vanish(struct fake *fake)
{
    if (fake->listener >= 0) {
        (void)close(fake->listener);
        (void)unlink(fake->path);
    }
    fake->listener = -1;
}

static inline void fake_begin(struct fake *fake)
{
    *fake = (struct fake){.folder = "/tmp/kpid-client-XXXXXX", .listener = -1, .fd = -1};
    assert_non_null(mkdtemp(fake->folder));
    (void)snprintf(fake->path, sizeof fake->path, "%s/socket", fake->folder);
    (void)snprintf(fake->address, sizeof fake->address, "unix:%s", fake->path);
    fake->input = malloc(FAKE_INPUT);
    assert_non_null(fake->input);
    fake_listen(fake);
    fake_us = 0;
}

static inline void fake_forget_frame(struct fake *fake)
{
    if (fake->frame != NULL)
        kpid__v1__client_frame__free_unpacked(fake->frame, NULL);
    fake->frame = NULL;
}

static inline void fake_cut(struct fake *fake)
{
    SSL_free(fake->ssl);
    fake->ssl = NULL;
    if (fake->fd >= 0)
        (void)close(fake->fd);
    fake->fd = -1;
    fake->len = 0;
}

static inline void fake_end(struct fake *fake)
{
    fake_forget_frame(fake);
    fake_cut(fake);
    fake_vanish(fake);
    (void)rmdir(fake->folder);
    free(fake->input);
}

/* Whether somebody has come. */
static inline bool fake_accept(struct fake *fake)
{
    int fd = accept4(fake->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return false;
    assert_int_equal(fake->fd, -1);
    fake->fd = fd;
    return true;
}

static inline size_t fake_frame_len(const struct fake *fake)
{
    const unsigned char *in = fake->input;
    if (fake->len < 4)
        return SIZE_MAX;
    size_t len = (size_t)in[0] << 24 | (size_t)in[1] << 16 | (size_t)in[2] << 8 | in[3];
    return fake->len - 4 >= len ? len : SIZE_MAX;
}

static inline ssize_t fake_receive(struct fake *fake, void *into, size_t room)
{
    if (fake->ssl == NULL)
        return recv(fake->fd, into, room, 0);
    return SSL_read(fake->ssl, into, (int)room);
}

static inline void fake_send(struct fake *fake, const void *bytes, size_t len)
{
    if (fake->ssl == NULL)
        assert_int_equal(send(fake->fd, bytes, len, MSG_NOSIGNAL), len);
    else
        assert_int_equal(SSL_write(fake->ssl, bytes, (int)len), len);
}

/* The next frame that the client has sent so far; NULL. Good until the next call. */
static inline const Kpid__V1__ClientFrame *fake_read(struct fake *fake)
{
    ssize_t got = 1;

    while (got > 0 && fake_frame_len(fake) == SIZE_MAX) {
        got = fake_receive(fake, fake->input + fake->len, FAKE_INPUT - fake->len);
        fake->len += got > 0 ? (size_t)got : 0;
    }
    size_t len = fake_frame_len(fake);
    fake_forget_frame(fake);
    if (len == SIZE_MAX)
        return NULL;
    fake->frame = kpid__v1__client_frame__unpack(NULL, len, fake->input + 4);
    assert_non_null(fake->frame);
    fake->len -= 4 + len;
    memmove(fake->input, fake->input + 4 + len, fake->len);
    return fake->frame;
}

static inline const Kpid__V1__Batch *fake_read_batch(struct fake *fake)
{
    const Kpid__V1__ClientFrame *frame = fake_read(fake);
    if (frame == NULL)
        return NULL;
    assert_int_equal(frame->kind_case, KPID__V1__CLIENT_FRAME__KIND_BATCH);
    return frame->batch;
}

/* The sequence of the next batch; 0: there is none. */
static inline uint64_t fake_next(struct fake *fake)
{
    const Kpid__V1__Batch *batch = fake_read_batch(fake);
    return batch == NULL ? 0 : batch->sequence;
}

static inline void fake_say(struct fake *fake, const Kpid__V1__ServerFrame *frame)
{
    unsigned char bytes[4096];
    size_t len = kpid__v1__server_frame__get_packed_size(frame);

    assert_true(len + 4 <= sizeof bytes);
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(len >> (24 - 8 * i));
    (void)kpid__v1__server_frame__pack(frame, bytes + 4);
    fake_send(fake, bytes, len + 4);
}

static inline void fake_welcome(struct fake *fake, uint32_t frame_bytes_max, uint32_t batches_max)
{
    Kpid__V1__Welcome welcome = KPID__V1__WELCOME__INIT;
    Kpid__V1__ServerFrame frame = KPID__V1__SERVER_FRAME__INIT;

    welcome.frame_bytes_max = frame_bytes_max;
    welcome.batches_max = batches_max;
    frame.kind_case = KPID__V1__SERVER_FRAME__KIND_WELCOME;
    frame.welcome = &welcome;
    fake_say(fake, &frame);
}

static inline void fake_ack_with(struct fake *fake, const Kpid__V1__Ack *ack)
{
    Kpid__V1__ServerFrame frame = KPID__V1__SERVER_FRAME__INIT;

    frame.kind_case = KPID__V1__SERVER_FRAME__KIND_ACK;
    frame.ack = (Kpid__V1__Ack *)ack;
    fake_say(fake, &frame);
}

static inline void fake_ack(struct fake *fake, uint64_t sequence, uint64_t stored)
{
    Kpid__V1__Ack ack = KPID__V1__ACK__INIT;

    ack.sequence = sequence;
    ack.stored = stored;
    fake_ack_with(fake, &ack);
}

static inline void fake_error(struct fake *fake, uint64_t sequence, Kpid__V1__Code code,
                              uint32_t retry_after_ms)
{
    Kpid__V1__Error error = KPID__V1__ERROR__INIT;
    Kpid__V1__ServerFrame frame = KPID__V1__SERVER_FRAME__INIT;
    char words[] = "because of the test";

    error.sequence = sequence;
    error.code = code;
    error.message = words;
    error.retry_after_ms = retry_after_ms;
    frame.kind_case = KPID__V1__SERVER_FRAME__KIND_ERROR;
    frame.error = &error;
    fake_say(fake, &frame);
}

/* --- both together ---------------------------------------------------------------------------- */

enum { FRAME_MAX = 4 << 20, ANSWERS_MAX = 64 };

struct pair {
    struct fake fake;
    struct kpid_client *client;
    struct kpid_answer answers[ANSWERS_MAX]; /* without their texts */
    size_t answer_count;
    char words[256];  /* of the last one that had some */
    uint64_t counted; /* samples of all answers */
};

static inline void on_answer(const struct kpid_answer *answer, void *arg)
{
    struct pair *pair = arg;

    if (pair->answer_count < ANSWERS_MAX)
        pair->answers[pair->answer_count++] = *answer;
    pair->counted += answer->samples;
    if (answer->message[0] != '\0')
        (void)snprintf(pair->words, sizeof pair->words, "%s", answer->message);
    for (size_t i = 0; i < answer->example_count; i++)
        (void)snprintf(pair->words, sizeof pair->words, "%u %s %s", answer->examples[i].sample,
                       answer->examples[i].reason, answer->examples[i].message);
    /* A callback may not use its client; nothing happens. */
    assert_int_equal(kpid_client_count(pair->client, "inside", NULL, 0, 1), KPID_INVALID);
    kpid_client_send(pair->client);
}

static inline void pair_begin(struct pair *pair, struct kpid_client_options options)
{
    *pair = (struct pair){0};
    fake_begin(&pair->fake);
    options.address = pair->fake.address;
    options.on_answer = on_answer;
    options.arg = pair;
    pair->client = kpid_client_new(&options);
    assert_non_null(pair->client);
}

static inline void pair_end(struct pair *pair)
{
    struct kpid_client_stats stats = kpid_client_stats(pair->client);

    assert_int_equal(stats.added, stats.acknowledged + stats.refused + stats.waiting);
    kpid_client_free(pair->client);
    fake_end(&pair->fake);
}

static inline void add(struct pair *pair, double value)
{
    assert_int_equal(kpid_client_count(pair->client, "n", NULL, 0, value), KPID_OK);
}

/* A batch of one sample. */
static inline void send_one(struct pair *pair)
{
    add(pair, 1);
    kpid_client_send(pair->client);
}

/* The client connects and is welcomed; it has something to send. */
static inline void greet(struct pair *pair, uint32_t frame_bytes_max, uint32_t batches_max)
{
    kpid_client_work(pair->client);
    assert_true(fake_accept(&pair->fake));
    kpid_client_work(pair->client);
    const Kpid__V1__ClientFrame *frame = fake_read(&pair->fake);
    assert_non_null(frame);
    assert_int_equal(frame->kind_case, KPID__V1__CLIENT_FRAME__KIND_HELLO);
    assert_null(fake_read(&pair->fake)); /* nothing before the welcome */
    fake_welcome(&pair->fake, frame_bytes_max, batches_max);
    kpid_client_work(pair->client);
}
