/* Streams: how bytes become lines (S15), and what ends a connection. */
#include <sys/resource.h>

#include "base/counters.h"
#include "collector.h"
#include "socket_path.h"

struct fixture {
    struct collector *collector;
    struct listener_config listener;
    struct ingest_config config;
    struct ingest *ingest;
    char listen[200];
};

/* `set` may change the configuration first; NULL is fine. */
static void start(struct fixture *fixture, unsigned threads, void (*set)(struct ingest_config *))
{
    fixture->collector = collector_new();
    fixture->config = config_for(&fixture->listener, 1);
    if (set != NULL)
        set(&fixture->config);
    fixture->ingest = must_start(fixture->collector, threads, &fixture->config);
    struct listener_facts facts = facts_of(fixture->ingest, 0);
    (void)snprintf(fixture->listen, sizeof fixture->listen, "%s", facts.listen);
}

static void finish(struct fixture *fixture)
{
    ingest_free(fixture->ingest);
    collector_free(fixture->collector);
}

static uint64_t stored(struct fixture *fixture)
{
    return collector_total(fixture->collector).stored;
}

static void lines_over_tcp_and_unix_are_stored(void **state)
{
    (void)state;
    struct listener_config listeners[] = {
        tcp_listener(),
        {.transport = TRANSPORT_TCP, .address = "[::1]:0", .name = "statsd tcp6"},
        {.transport = TRANSPORT_UNIX, .address = socket_path, .name = "statsd unix"}};

    for (size_t i = 0; i < TEST_COUNT(listeners); i++) {
        struct fixture f = {.listener = listeners[i]};
        start(&f, 2, NULL);
        int fd = dial(f.listen);
        say(fd, "hits:1|c\nhits:2|c\r\n\nlevel:7|g\nlevel:+2|g\nwho:ann|s\n");
        collector_wait(f.collector, 5);
        assert_int_equal(stored(&f), 5);
        assert_true(collector_get(f.collector, "hits").sum == 3);
        assert_string_equal(f.collector->names[0], listeners[i].name);
        (void)close(fd);
        finish(&f);
    }
}

static void a_line_may_come_in_any_pieces(void **state)
{
    (void)state;
    static const char text[] = "first:1|c\nsecond:22|c\nthird:333|ms\n";
    struct fixture f = {.listener = tcp_listener()};
    start(&f, 2, NULL);

    for (size_t cut = 1; cut < sizeof text - 1; cut++) {
        int fd = dial(f.listen);
        say_bytes(fd, text, cut);
        /* So that the first piece was read alone: what it completes is counted. */
        uint64_t lines = 0;
        for (size_t i = 0; i < cut; i++)
            lines += text[i] == '\n';
        collector_wait(f.collector, (cut - 1) * 3 + lines);
        say_bytes(fd, text + cut, sizeof text - 1 - cut);
        collector_wait(f.collector, cut * 3);
        (void)close(fd);
    }
    assert_int_equal(stored(&f), (sizeof text - 2) * 3);
    assert_true(collector_get(f.collector, "second").sum == 22.0 * (sizeof text - 2));
    finish(&f);
}

static void every_byte_may_come_alone(void **state)
{
    (void)state;
    static const char text[] = "a.rather.long.name.of.a.metric:1|c|#label:value\nb:2|c\n";
    struct fixture f = {.listener = tcp_listener()};
    start(&f, 1, NULL);

    int fd = dial(f.listen);
    for (size_t i = 0; i < sizeof text - 1; i++)
        say_bytes(fd, text + i, 1);
    collector_wait(f.collector, 2);
    assert_int_equal(stored(&f), 2);
    (void)close(fd);
    finish(&f);
}

static void the_tail_is_a_line_when_the_connection_ends(void **state) /* S15 */
{
    (void)state;
    struct fixture f = {.listener = tcp_listener()};
    start(&f, 2, NULL);

    int fd = dial(f.listen);
    say(fd, "a:1|c\ntail:5|c");
    (void)close(fd);
    collector_wait(f.collector, 2);
    assert_true(collector_get(f.collector, "tail").sum == 5);

    fd = dial(f.listen);
    say(fd, "broken");
    (void)close(fd);
    collector_wait(f.collector, 3);
    assert_int_equal(collector_total(f.collector).rejected[REJECT_malformed], 1);
    finish(&f);
}

static void repeat(char *out, char c, size_t count)
{
    memset(out, c, count);
    out[count] = '\0';
}

static void a_line_of_the_limit_is_taken_and_a_longer_one_ends_the_connection(void **state)
{
    (void)state;
    enum { LIMIT = 1024 };
    char line[4 * LIMIT];
    struct fixture f = {.listener = tcp_listener()};
    start(&f, 2, NULL);

    /* exactly the limit */
    repeat(line, 'n', LIMIT - 4);
    (void)strcpy(line + LIMIT - 4, ":1|c\n");
    int fd = dial(f.listen);
    say(fd, line);
    say(fd, "after:1|c\n");
    collector_wait(f.collector, 2);
    assert_int_equal(stored(&f), 2);

    /* one more, with its end: what stands before it counts, what follows does not */
    repeat(line, 'n', LIMIT - 3);
    (void)strcpy(line + LIMIT - 3, ":1|c\nlost:1|c\n");
    say(fd, "before:1|c\n");
    collector_wait(f.collector, 3);
    say(fd, line);
    collector_wait(f.collector, 4);
    wait_until_closed(fd);

    /* without an end in sight */
    fd = dial(f.listen);
    repeat(line, 'x', 3 * LIMIT);
    say(fd, "before:1|c\n");
    say(fd, line);
    collector_wait(f.collector, 6);
    wait_until_closed(fd);
    struct ledger total = collector_total(f.collector);
    assert_int_equal(total.stored, 4);
    assert_int_equal(total.rejected[REJECT_too_long], 2);
    assert_true(collector_get(f.collector, "lost").count == 0);
    finish(&f);
}

static void a_bad_line_is_rejected_alone_and_logged_with_its_peer(void **state) /* S17 */
{
    (void)state;
    struct capture capture;
    struct fixture f = {.listener = tcp_listener()};
    capture_begin(&capture);
    start(&f, 1, NULL);

    int fd = dial(f.listen);
    say(fd, "a:1|c\nbad \"line\"\x01:x|c\nb:2|c\n");
    collector_wait(f.collector, 3);
    capture_wait(&capture, "lines_rejected");
    capture_wait(&capture, "example=");
    capture_end(&capture);
    assert_non_null(strstr(capture.text, "listener=\"statsd tcp\" reason=bad_number"));
    assert_non_null(strstr(capture.text, "peer=127.0.0.1:"));
    assert_non_null(strstr(capture.text, "example=\"bad \\x22line\\x22\\x01:x|c\""));
    assert_int_equal(stored(&f), 2);
    (void)close(fd);
    finish(&f);
}

static void allow_two(struct ingest_config *config)
{
    config->connections_max = 2;
}

static void a_connection_beyond_the_limit_is_closed_and_counted(void **state)
{
    (void)state;
    struct fixture f = {.listener = tcp_listener()};
    start(&f, 2, allow_two);
    uint64_t refused = COUNTER_GET(connections_refused);
    int first = dial(f.listen);
    int second = dial(f.listen);

    say(first, "a:1|c\n");
    say(second, "a:1|c\n");
    collector_wait(f.collector, 2);
    wait_until_closed(dial(f.listen));
    wait_until_closed(dial(f.listen));
    assert_int_equal(COUNTER_GET(connections_refused) - refused, 2);
    struct listener_facts facts = facts_of(f.ingest, 0);
    assert_int_equal(facts.connections, 2);

    say(first, "a:1|c"); /* its end makes room */
    (void)close(first);
    collector_wait(f.collector, 3);
    first = dial(f.listen);
    say(first, "a:1|c\n");
    say(second, "a:1|c\n");
    collector_wait(f.collector, 5);
    assert_int_equal(stored(&f), 5);
    (void)close(first);
    (void)close(second);
    finish(&f);
}

static void be_impatient(struct ingest_config *config)
{
    config->idle_timeout = 50;
}

static void a_silent_connection_is_closed_and_its_tail_taken(void **state)
{
    (void)state;
    struct fixture f = {.listener = tcp_listener()};
    start(&f, 1, be_impatient);

    int fd = dial(f.listen);
    say(fd, "a:1|c\nb:1|c");
    wait_until_closed(fd);
    collector_wait(f.collector, 2);
    assert_int_equal(stored(&f), 2);
    finish(&f);
}

static void without_descriptors_accepting_pauses_and_goes_on(void **state)
{
    (void)state;
    struct capture capture;
    struct rlimit before;
    struct fixture f = {.listener = tcp_listener()};
    start(&f, 1, NULL);
    capture_begin(&capture);

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int fd = dial(f.listen);
    int waiting = dial(f.listen);
    say(waiting, "b:1|c\n");
    say(fd, "a:1|c\n");
    collector_wait(f.collector, 2);
    int late = socket(AF_INET, SOCK_STREAM, 0);
    struct rlimit tight = {.rlim_cur = (rlim_t)late + 1, .rlim_max = before.rlim_max};
    struct sockaddr_in to = {0};
    socklen_t len = sizeof to;
    assert_int_equal(getpeername(fd, (struct sockaddr *)&to, &len), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    assert_int_equal(connect(late, (struct sockaddr *)&to, sizeof to), 0);
    say(late, "c:1|c\n");
    capture_wait(&capture, "accept_failed");
    say(fd, "a:1|c\n"); /* others are read meanwhile */
    collector_wait(f.collector, 3);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    collector_wait(f.collector, 4);
    assert_true(collector_get(f.collector, "c").sum == 1);
    capture_end(&capture);
    (void)close(fd);
    (void)close(waiting);
    (void)close(late);
    finish(&f);
}

static void many_connections_at_once_lose_nothing(void **state)
{
    (void)state;
    enum { CONNECTIONS = 40, LINES = 500 };
    int fds[CONNECTIONS];
    struct fixture f = {
        .listener = {.transport = TRANSPORT_UNIX, .address = socket_path, .name = "statsd unix"}};
    start(&f, 4, NULL);

    for (int i = 0; i < CONNECTIONS; i++)
        fds[i] = dial(f.listen);
    for (int line = 0; line < LINES; line++) {
        for (int i = 0; i < CONNECTIONS; i++) {
            char text[64];
            (void)snprintf(text, sizeof text, "m%d:%d|c\n", i, line);
            say(fds[i], text);
        }
    }
    collector_wait(f.collector, (uint64_t)CONNECTIONS * LINES);
    for (int i = 0; i < CONNECTIONS; i++) {
        char metric[16];
        (void)snprintf(metric, sizeof metric, "m%d", i);
        assert_true(collector_get(f.collector, metric).sum == LINES * (LINES - 1) / 2.0);
        (void)close(fds[i]);
    }
    assert_int_equal(stored(&f), CONNECTIONS * LINES);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_over_tcp_and_unix_are_stored),
        cmocka_unit_test(a_line_may_come_in_any_pieces),
        cmocka_unit_test(every_byte_may_come_alone),
        cmocka_unit_test(the_tail_is_a_line_when_the_connection_ends),
        cmocka_unit_test(a_line_of_the_limit_is_taken_and_a_longer_one_ends_the_connection),
        cmocka_unit_test(a_bad_line_is_rejected_alone_and_logged_with_its_peer),
        cmocka_unit_test(a_connection_beyond_the_limit_is_closed_and_counted),
        cmocka_unit_test(a_silent_connection_is_closed_and_its_tail_taken),
        cmocka_unit_test(without_descriptors_accepting_pauses_and_goes_on),
        cmocka_unit_test(many_connections_at_once_lose_nothing),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
