/* Back-pressure: while there is no room kpid stops reading, so that who sends by a stream waits,
 * and drops nothing, where relays stall for a second and then throw away (G12). */
#include <stdatomic.h>

#include "base/counters.h"
#include "collector.h"

/* A protocol's way to say one sample of `metric`; returns the bytes. */
typedef size_t (*say_fn)(char *out, size_t size, const char *metric);

static size_t graphite_line(char *out, size_t size, const char *metric)
{
    return (size_t)snprintf(out, size, "%s 1 -1\n", metric);
}

static size_t influx_line(char *out, size_t size, const char *metric)
{
    return (size_t)snprintf(out, size, "%s value=1\n", metric);
}

static size_t statsd_line(char *out, size_t size, const char *metric)
{
    return (size_t)snprintf(out, size, "%s:1|c\n", metric);
}

/* [(metric, (-1, 1))] in Python's protocol 0, after its length. */
static size_t pickle_frame(char *out, size_t size, const char *metric)
{
    int len = snprintf(out + 4, size - 4, "(l(S'%s'\n(I-1\nI1\ntta.", metric);
    uint32_t head = htonl((uint32_t)len);
    memcpy(out, &head, 4);
    return 4 + (size_t)len;
}

static const struct {
    enum protocol protocol;
    say_fn say;
} protocols[] = {
    {PROTOCOL_GRAPHITE, graphite_line},
    {PROTOCOL_GRAPHITE_PICKLE, pickle_frame},
    {PROTOCOL_INFLUX, influx_line},
    {PROTOCOL_STATSD, statsd_line},
};

static struct ingest *start(struct collector *collector, const struct ingest_config *config)
{
    struct ingest_options options = options_for(collector, 1);
    struct error err = ERROR_EMPTY;
    options.pending_bytes_max = 1;
    struct ingest *ingest = ingest_start(&options, config, &err);
    if (ingest == NULL)
        fail_msg("%s (%s)", err.text, err.hint);
    return ingest;
}

/* Says one sample, which is past the budget, and waits until the thread no longer reads. */
static void say_one_and_wait_for_the_pause(int fd, say_fn sample)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    mono_ms until = clock_mono() + PATIENCE_S * 1000;
    char bytes[128];

    say_bytes(fd, bytes, sample(bytes, sizeof bytes, "a"));
    while (COUNTER_GET(ingest_paused) == 0 && clock_mono() < until)
        (void)nanosleep(&pause, NULL);
    assert_int_equal(COUNTER_GET(ingest_paused), 1);
}

/* Says samples until both kernels' buffers are full; how many whole ones, and what of the next one
 * is still to be said. The connection is left waiting. */
static size_t say_until_full(int fd, say_fn sample, char *rest, size_t *rest_len)
{
    char bytes[128];
    size_t len = sample(bytes, sizeof bytes, "b");
    size_t said = 0;

    for (;;) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            assert_true(errno == EAGAIN || errno == EWOULDBLOCK);
        if (sent == (ssize_t)len) {
            said++;
            continue;
        }
        size_t taken = sent > 0 ? (size_t)sent : 0;
        *rest_len = taken > 0 ? len - taken : 0;
        memcpy(rest, bytes + taken, *rest_len);
        return taken > 0 ? said + 1 : said;
    }
}

static void who_sends_while_there_is_no_room_waits_and_loses_nothing(void **state) /* G12 */
{
    (void)state;
    enum { LOOKS = 50, SMALL = 4096, MANY = 100 };
    const int small = SMALL;

    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        struct listener_config listener = tcp_listener();
        listener.protocol = protocols[i].protocol;
        listener.skip_single_field = true;
        struct ingest_config config = config_for(&listener, 1);
        struct collector *collector = collector_new();
        struct ingest *ingest = start(collector, &config);
        char rest[128];
        size_t rest_len = 0;

        collector_set_room(collector, false);
        int fd = dial(facts_of(ingest, 0).listen);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
        say_one_and_wait_for_the_pause(fd, protocols[i].say);
        size_t said = 1 + say_until_full(fd, protocols[i].say, rest, &rest_len);
        assert_true(said > MANY); /* that is what the kernel holds, and nobody reads it */
        for (int look = 0; look < LOOKS; look++) /* each is a turn of the thread's loop */
            assert_int_equal(facts_of(ingest, 0).received, 1);

        collector_set_room(collector, true);
        say_bytes(fd, rest, rest_len); /* waits until it is read on */
        (void)close(fd);
        collector_wait(collector, said);
        assert_int_equal(collector_total(collector).stored, said);
        assert_true(collector_get(collector, "a").count == 1);
        ingest_free(ingest);
        collector_free(collector);
    }
}

/* --- one budget --------------------------------------------------------------------------------
 */

enum { BUDGET = 26000, FRAME_SIZE_MAX = 1024 };

/* A sink that answers nobody while it is told to hold. */
struct holder {
    struct collector *collector;
    atomic_bool holds;
    _Atomic(struct delta *) held;
};

static bool holder_has_room(void *arg)
{
    (void)arg;
    return true;
}

static bool holder_post(struct delta *delta, void *arg)
{
    struct holder *holder = arg;
    if (!delta_is_waited_for(delta) || !atomic_load(&holder->holds))
        return collector_post(delta, holder->collector);
    assert_null(atomic_load(&holder->held));
    atomic_store(&holder->held, delta);
    return true;
}

static void wait_held(struct holder *holder)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    mono_ms until = clock_mono() + PATIENCE_S * 1000;

    while (atomic_load(&holder->held) == NULL && clock_mono() < until)
        (void)nanosleep(&pause, NULL);
    assert_non_null(atomic_load(&holder->held));
}

static void release(struct holder *holder)
{
    atomic_store(&holder->holds, false);
    (void)collector_post(atomic_exchange(&holder->held, NULL), holder->collector);
}

static void read_exactly(int fd, unsigned char *bytes, size_t len)
{
    for (size_t have = 0; have < len;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, PATIENCE_S * 1000), 1);
        ssize_t got = recv(fd, bytes + have, len - have, 0);
        assert_true(got > 0);
        have += (size_t)got;
    }
}

/* Which message of the native protocol came: 1 Welcome, 2 Ack, 3 Error. */
static unsigned read_kind(int fd)
{
    unsigned char bytes[FRAME_SIZE_MAX];
    uint32_t len = 0;

    read_exactly(fd, bytes, 4);
    memcpy(&len, bytes, 4);
    len = ntohl(len);
    assert_true(len > 0 && len <= sizeof bytes);
    read_exactly(fd, bytes, len);
    return bytes[0] >> 3;
}

static const char HELLO[] = "\0\0\0\6\x0a\4\x22\2t1";
/* One sample of the counter "b", of series 0, without a time. */
static const char BATCH[] =
    "\0\0\0\x1c\x12\x1a\x08\1\x12\0\x12\1b\x1a\4\x08\1\x18\1\x22\1\0\x2a\x08"
    "\0\0\0\0\0\0\xf0\x3f";

static unsigned status_of(int fd)
{
    char bytes[4096] = "";
    size_t len = 0;

    while (strstr(bytes, "\r\n\r\n") == NULL && len < sizeof bytes - 1) {
        ssize_t got = recv(fd, bytes + len, sizeof bytes - 1 - len, 0);
        assert_true(got > 0);
        len += (size_t)got;
        bytes[len] = '\0';
    }
    assert_memory_equal(bytes, "HTTP/1.1 ", 9);
    return (unsigned)strtoul(bytes + 9, NULL, 10);
}

static void say_post(int fd, const char *body, size_t len)
{
    char head[128];
    (void)snprintf(head, sizeof head,
                   "POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: %zu\r\n\r\n", len);
    say(fd, head);
    say_bytes(fd, body, len);
}

/* A body of InfluxDB that is not answered leaves no room for a frame of the native protocol. */
static void bodies_and_frames_without_an_answer_share_one_budget(void **state)
{
    (void)state;
    const struct listener_config listeners[] = {{.protocol = PROTOCOL_INFLUX,
                                                 .transport = TRANSPORT_HTTP,
                                                 .address = "127.0.0.1:0",
                                                 .name = "influx http"},
                                                {.protocol = PROTOCOL_NATIVE,
                                                 .transport = TRANSPORT_TCP,
                                                 .address = "127.0.0.1:0",
                                                 .name = "native tcp"}};
    struct ingest_config config = config_for(listeners, 2);
    struct holder holder = {.collector = collector_new()};
    struct ingest_options options = options_for(holder.collector, 1);
    struct error err = ERROR_EMPTY;
    char lines[800] = "";
    size_t len = 0;

    config.body_bytes_max = sizeof lines;
    options.body_budget = BUDGET;
    options.sink =
        (struct delta_sink){.has_room = holder_has_room, .post = holder_post, .arg = &holder};
    struct ingest *ingest = ingest_start(&options, &config, &err);
    if (ingest == NULL)
        fail_msg("%s (%s)", err.text, err.hint);
    int native = dial(facts_of(ingest, 1).listen);
    say_bytes(native, HELLO, sizeof HELLO - 1);
    assert_int_equal(read_kind(native), 1);

    atomic_store(&holder.holds, true);
    for (int i = 0; i < 20; i++)
        len += (size_t)snprintf(lines + len, sizeof lines - len, "m%d f=1\n", i);
    int http = dial(facts_of(ingest, 0).listen);
    say_post(http, lines, len);
    wait_held(&holder);
    assert_true(COUNTER_GET(ingest_body_bytes) > BUDGET / 3);
    say_bytes(native, BATCH, sizeof BATCH - 1);
    assert_int_equal(read_kind(native), 3); /* come again */
    assert_int_equal(facts_of(ingest, 1).received, 0);

    release(&holder);
    assert_int_equal(status_of(http), 204);
    say_bytes(native, BATCH, sizeof BATCH - 1);
    assert_int_equal(read_kind(native), 2);
    assert_true(collector_get(holder.collector, "b").count == 1);
    (void)close(http);
    (void)close(native);
    ingest_free(ingest);
    assert_int_equal(COUNTER_GET(ingest_body_bytes), 0);
    collector_free(holder.collector);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_sends_while_there_is_no_room_waits_and_loses_nothing),
        cmocka_unit_test(bodies_and_frames_without_an_answer_share_one_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
