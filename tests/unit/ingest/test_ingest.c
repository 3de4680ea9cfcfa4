/* A real ingest with a sink that adds up: what was sent is what is stored, whatever the transport,
 * through reloads and to the end. */
#include <netinet/udp.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "collector.h"
#include "socket_folder.h"

/* --- datagrams ---------------------------------------------------------------------------------
 */

/* Sends in portions that fit any receive buffer, each waited for. */
static void send_datagrams(struct collector *collector, const char *listen, int senders)
{
    enum { PER_SENDER = 50, LINES = 3 };
    uint64_t sent = 0;

    for (int s = 0; s < senders; s++) {
        int fd = dial(listen);
        for (int i = 0; i < PER_SENDER; i++) {
            char text[100];
            (void)snprintf(text, sizeof text, "hits:%d|c\ntime:%d|ms|@0.5\nlevel:%d|g%s", i, i, i,
                           i % 2 == 0 ? "" : "\n");
            say(fd, text);
        }
        (void)close(fd);
        sent += (uint64_t)PER_SENDER * LINES;
        collector_wait(collector, sent);
    }
    assert_int_equal(collector_total(collector).stored, sent);
    double sum = senders * PER_SENDER * (PER_SENDER - 1) / 2.0;
    assert_true(collector_get(collector, "hits").sum == sum);
    assert_true(collector_get(collector, "time").sum == 2 * sum);
    assert_true(collector_get(collector, "time").count == 2.0 * senders * PER_SENDER);
    assert_true(collector_get(collector, "level").last == PER_SENDER - 1);
}

static void datagrams_of_every_transport_are_stored(void **state)
{
    (void)state;
    const struct listener_config listeners[] = {
        udp_listener(), listener_of(TRANSPORT_UDP, "[::1]:0", "statsd udp6"),
        listener_of(TRANSPORT_UNIXGRAM, path_of("gram"), "statsd unixgram")};

    for (size_t i = 0; i < TEST_COUNT(listeners); i++) {
        struct ingest_config config = config_for(&listeners[i], 1);
        struct collector *collector = collector_new();
        struct ingest *ingest = must_start(collector, 3, &config);
        send_datagrams(collector, facts_of(ingest, 0).listen, 20);
        ingest_free(ingest);
        collector_free(collector);
    }
}

static void one_bad_line_of_a_datagram_does_not_take_the_others_along(void **state) /* S17 */
{
    (void)state;
    const struct listener_config listener = udp_listener();
    struct ingest_config config = config_for(&listener, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 2, &config);
    char long_line[1200];

    int fd = dial(facts_of(ingest, 0).listen);
    say(fd, "a:1|c\nnonsense\n\nb:1|q\na:x|c\nt:-1|ms\nr:1|c|@3\nm,k=v:1|c|#k:v\n:1|c\na:1|c");
    collector_wait(collector, 9);
    memset(long_line, 'x', sizeof long_line);
    memcpy(long_line, "a:1|c\n", 6);
    memcpy(long_line + sizeof long_line - 6, "\na:1|c", 6);
    say_bytes(fd, long_line, sizeof long_line); /* config_for allows 1,024 bytes a line */
    collector_wait(collector, 12);
    say(fd, "a\x02"
            "b:1|c"); /* a name that the shard does not take */
    collector_wait(collector, 13);
    (void)close(fd);

    struct ledger total = collector_total(collector);
    assert_int_equal(total.stored, 4);
    assert_int_equal(total.rejected[REJECT_malformed], 1);
    assert_int_equal(total.rejected[REJECT_bad_type], 1);
    assert_int_equal(total.rejected[REJECT_bad_number], 1);
    assert_int_equal(total.rejected[REJECT_negative_timer], 1);
    assert_int_equal(total.rejected[REJECT_bad_rate], 1);
    assert_int_equal(total.rejected[REJECT_bad_tags], 1);
    assert_int_equal(total.rejected[REJECT_bad_name], 2);
    assert_int_equal(total.rejected[REJECT_too_long], 1);
    assert_true(collector_get(collector, "a").sum == 4);
    ingest_free(ingest);
    collector_free(collector);
}

/* Fills with lines of ten bytes, which reach over any cut at a power of two. */
static size_t fill_lines(char *out, size_t size)
{
    size_t len = 0;
    while (len + 10 <= size) {
        memcpy(out + len, "abcde:1|c\n", 10);
        len += 10;
    }
    return len;
}

static void the_largest_datagram_is_whole_and_a_larger_one_loses_its_last_line(
    void **state) /* S16 */
{
    (void)state;
    enum { SLOT = 65536, LARGEST_UDP = 65507 };
    static char bytes[2 * SLOT];
    const struct listener_config listeners[] = {
        udp_listener(), listener_of(TRANSPORT_UNIXGRAM, path_of("gram"), "statsd unixgram")};
    struct ingest_config config = config_for(listeners, 2);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 2, &config);
    const int buffer = 1 << 20;

    size_t len = fill_lines(bytes, LARGEST_UDP);
    int fd = dial(facts_of(ingest, 0).listen);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer), 0);
    say_bytes(fd, bytes, len);
    (void)close(fd);
    collector_wait(collector, len / 10);
    assert_int_equal(collector_total(collector).stored, len / 10);

    fd = dial(facts_of(ingest, 1).listen);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer), 0);
    size_t longer = fill_lines(bytes, sizeof bytes);
    say_bytes(fd, bytes, longer);
    (void)close(fd);
    size_t whole = SLOT / 10;
    collector_wait(collector, len / 10 + whole + 1);
    struct ledger total = collector_total(collector);
    assert_int_equal(total.stored, len / 10 + whole);
    assert_int_equal(total.rejected[REJECT_truncated], 1);
    ingest_free(ingest);
    collector_free(collector);
}

/* What a sender lets the kernel cut comes as one piece: each datagram of it has an end of its own,
 * with or without a newline. */
static void a_run_of_datagrams_that_comes_in_one_piece_is_cut_apart(void **state)
{
    (void)state;
    enum { EACH = 6, RUN = 40 };
    const struct listener_config listener = udp_listener();
    struct ingest_config config = config_for(&listener, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 1, &config);
    const int each = EACH;
    char bytes[RUN * EACH + 1];
    int fd = dial(facts_of(ingest, 0).listen);

    assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &each, sizeof each), 0);
    for (int i = 0; i < RUN; i++)
        memcpy(bytes + i * EACH, i % 2 == 0 ? "aa:1|c" : "b:10|c", EACH);
    say_bytes(fd, bytes, sizeof bytes - 1);
    collector_wait(collector, RUN);
    say(fd, "aa:1|c"
            "aa:1|c"
            "c:7|c"); /* the last one is shorter */
    collector_wait(collector, RUN + 3);
    (void)close(fd);

    assert_int_equal(collector_total(collector).stored, RUN + 3);
    assert_true(collector_get(collector, "aa").sum == RUN / 2.0 + 2);
    assert_true(collector_get(collector, "b").sum == 10 * RUN / 2.0);
    assert_true(collector_get(collector, "c").sum == 7);
    ingest_free(ingest);
    collector_free(collector);
}

/* --- handing over ------------------------------------------------------------------------------
 */

static struct listener_facts wait_for_received(struct ingest *ingest, uint64_t received)
{
    struct listener_facts facts = facts_of(ingest, 0);
    while (facts.received < received) /* every call waits for a turn of the worker's loop */
        facts = facts_of(ingest, 0);
    return facts;
}

static void without_room_the_shard_goes_on_merging(void **state)
{
    (void)state;
    const struct listener_config listener = tcp_listener();
    struct ingest_config config = config_for(&listener, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 1, &config);

    collector_set_room(collector, false);
    int fd = dial(facts_of(ingest, 0).listen);
    for (unsigned i = 1; i <= 100; i++) {
        say(fd, "a:1|c\n");
        struct listener_facts facts = wait_for_received(ingest, i);
        assert_int_equal(facts.handed_over, 0);
    }
    assert_int_equal(collector->deltas, 0);
    collector_set_room(collector, true);
    collector_wait(collector, 100);
    assert_true(collector_get(collector, "a").sum == 100);
    struct listener_facts facts = facts_of(ingest, 0);
    assert_int_equal(facts.handed_over, 100);
    (void)close(fd);
    ingest_free(ingest);
    collector_free(collector);
}

static void listeners_show_what_they_are_and_count(void **state)
{
    (void)state;
    const struct listener_config listeners[] = {
        tcp_listener(), udp_listener(),
        listener_of(TRANSPORT_UNIX, path_of("stream"), "statsd unix")};
    struct ingest_config config = config_for(listeners, 3);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 2, &config);
    struct listener_facts facts[2];

    assert_int_equal(ingest_listeners(ingest, facts, 2), 3);
    assert_string_equal(facts[0].name, "statsd tcp");
    assert_string_equal(facts[0].protocol, "statsd");
    assert_int_equal(strncmp(facts[0].listen, "tcp:127.0.0.1:", 14), 0);
    assert_string_not_equal(facts[0].listen, "tcp:127.0.0.1:0");
    assert_string_equal(facts[1].name, "statsd udp");
    assert_true(facts[1].receive_buffer_bytes > 0);

    int fd = dial(facts[0].listen);
    say(fd, "a:1|c\nbad\n");
    collector_wait(collector, 2);
    struct listener_facts now = facts_of(ingest, 0);
    assert_int_equal(now.received, 2);
    assert_int_equal(now.handed_over, 2);
    assert_int_equal(now.connections, 1);
    assert_int_equal(now.kernel_drops, 0);
    assert_int_equal(facts_of(ingest, 1).received, 0);
    (void)close(fd);

    assert_non_null(ingest_thread(ingest, 0));
    assert_non_null(ingest_thread(ingest, 1));
    assert_null(ingest_thread(ingest, 2));
    ingest_free(ingest);
    collector_free(collector);
}

static void what_the_kernel_drops_is_shown(void **state)
{
    (void)state;
    enum { FLOOD = 200 };
    static char bytes[60000];
    const struct listener_config listener = udp_listener();
    struct ingest_config config = config_for(&listener, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 1, &config);
    struct listener_facts facts = facts_of(ingest, 0);

    /* More than any granted buffer takes at once, again and again until something was dropped. */
    memset(bytes, 'x', sizeof bytes);
    int fd = dial(facts.listen);
    while (facts.kernel_drops == 0) {
        for (int i = 0; i < FLOOD; i++)
            (void)send(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        facts = facts_of(ingest, 0);
    }
    assert_true(facts.kernel_drops > 0);
    (void)close(fd);
    ingest_free(ingest);
    collector_free(collector);
}

/* --- start -------------------------------------------------------------------------------------
 */

static void a_second_ingest_on_a_port_is_refused_and_leaves_nothing_open(void **state)
{
    (void)state;
    const struct listener_config first = udp_listener();
    struct ingest_config config = config_for(&first, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 2, &config);
    char listen[200];
    (void)snprintf(listen, sizeof listen, "%s", facts_of(ingest, 0).listen);

    const char *path = path_of("second");
    const struct listener_config listeners[] = {
        listener_of(TRANSPORT_UNIX, path, "statsd unix"),
        listener_of(TRANSPORT_UDP, strchr(listen, ':') + 1, "statsd udp")};
    struct ingest_config second = config_for(listeners, 2);
    struct ingest_options options = options_for(collector, 2);
    struct error err = ERROR_EMPTY;
    assert_null(ingest_start(&options, &second, &err));
    assert_non_null(strstr(err.text, strchr(listen, ':') + 1));
    assert_non_null(strstr(err.text, "Address already in use"));
    assert_non_null(strstr(err.hint, "another process"));
    struct stat status;
    assert_int_equal(stat(path, &status), -1); /* what was opened before it is closed again */

    int fd = dial(listen); /* and the first one goes on */
    say(fd, "a:1|c");
    collector_wait(collector, 1);
    (void)close(fd);
    ingest_free(ingest);
    collector_free(collector);
}

/* --- reload ------------------------------------------------------------------------------------
 */

static void a_reload_keeps_unchanged_sockets_and_opens_and_closes_the_others(void **state)
{
    (void)state;
    const struct listener_config before[] = {
        tcp_listener(), listener_of(TRANSPORT_UNIX, path_of("old"), "statsd old")};
    struct ingest_config config = config_for(before, 2);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 2, &config);
    struct listener_facts tcp = facts_of(ingest, 0);
    struct listener_facts old = facts_of(ingest, 1);
    struct error err = ERROR_EMPTY;

    int tcp_fd = dial(tcp.listen);
    int old_fd = dial(old.listen);
    say(tcp_fd, "tcp:1|c\n");
    say(old_fd, "old:1|c\n");
    collector_wait(collector, 2);

    struct listener_config after[] = {listener_of(TRANSPORT_UNIXGRAM, path_of("new"), "statsd new"),
                                      tcp_listener()};
    after[1].name = "statsd renamed";
    struct ingest_config changed = config_for(after, 2);
    assert_true(ingest_reload(ingest, &changed, &err));
    struct listener_facts facts[3];
    assert_int_equal(ingest_listeners(ingest, facts, 3), 2);
    for (int i = 0; i < 2; i++) {
        if (strcmp(facts[i].name, "statsd renamed") == 0)
            assert_string_equal(facts[i].listen, tcp.listen); /* not another port */
        else
            assert_string_equal(facts[i].name, "statsd new");
    }

    /* The connections are read on, that of the removed listener to its end. */
    say(tcp_fd, "tcp:1|c\n");
    say(old_fd, "old:1|c\nold:1|c");
    (void)close(old_fd);
    int new_fd = dial(facts[strcmp(facts[0].name, "statsd new") == 0 ? 0 : 1].listen);
    say(new_fd, "new:1|c");
    collector_wait(collector, 6);
    assert_true(collector_get(collector, "tcp").sum == 2);
    assert_true(collector_get(collector, "old").sum == 3);
    assert_true(collector_get(collector, "new").sum == 1);
    assert_int_equal(try_dial(old.listen), -1);
    struct stat status;
    assert_int_equal(stat(strchr(old.listen, ':') + 1, &status), -1);

    /* Back again: the address is free, and what went is gone for good. */
    assert_true(ingest_reload(ingest, &config, &err));
    old_fd = dial(old.listen);
    say(old_fd, "old:1|c\n");
    collector_wait(collector, 7);
    (void)close(old_fd);
    (void)close(new_fd);
    (void)close(tcp_fd);
    ingest_free(ingest);
    collector_free(collector);
}

static void a_reload_that_fails_changes_nothing(void **state)
{
    (void)state;
    const struct listener_config before[] = {udp_listener()};
    struct ingest_config config = config_for(before, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 2, &config);
    struct listener_facts udp = facts_of(ingest, 0);
    struct error err = ERROR_EMPTY;

    const struct listener_config after[] = {
        listener_of(TRANSPORT_UNIX, path_of("new"), "statsd new"),
        listener_of(TRANSPORT_UNIX, "/nonexistent/folder/socket", "statsd wrong")};
    struct ingest_config changed = config_for(after, 2);
    assert_false(ingest_reload(ingest, &changed, &err));
    assert_non_null(strstr(err.text, "/nonexistent/folder/socket"));
    struct listener_facts facts[3];
    assert_int_equal(ingest_listeners(ingest, facts, 3), 1);
    assert_string_equal(facts[0].listen, udp.listen);
    struct stat status;
    assert_int_equal(stat(after[0].address, &status), -1);
    send_datagrams(collector, udp.listen, 1);
    ingest_free(ingest);
    collector_free(collector);
}

struct sender {
    int fd;
    _Atomic bool stop;
    uint64_t sent;
};

/* Sends lines until it is told to stop, cut anywhere. */
static void *send_on(void *arg)
{
    struct sender *sender = arg;
    static const char text[] = "flow:1|c\nflow:1|c\nflow:1|c\n";
    enum { LINES = 3 };

    while (!atomic_load(&sender->stop)) {
        size_t cut = 1 + sender->sent % (sizeof text - 2);
        say_bytes(sender->fd, text, cut);
        say_bytes(sender->fd, text + cut, sizeof text - 1 - cut);
        sender->sent += LINES;
    }
    (void)close(sender->fd);
    return NULL;
}

static void reloads_while_samples_flow_lose_none(void **state)
{
    (void)state;
    enum { SENDERS = 4, RELOADS = 30 };
    struct listener_config both[] = {tcp_listener(),
                                     listener_of(TRANSPORT_UNIX, path_of("stream"), "statsd unix"),
                                     listener_of(TRANSPORT_UNIX, path_of("extra"), "statsd extra")};
    struct ingest_config config = config_for(both, 2);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 2, &config);
    struct sender senders[SENDERS] = {{.fd = -1}};
    pthread_t threads[SENDERS];
    uint64_t sent = 0;

    for (int i = 0; i < SENDERS; i++) {
        senders[i].fd = dial(facts_of(ingest, (size_t)i % 2).listen);
        assert_int_equal(pthread_create(&threads[i], NULL, send_on, &senders[i]), 0);
    }
    for (int i = 1; i <= RELOADS; i++) {
        struct error err = ERROR_EMPTY;
        /* Another listener comes and goes, limits change, and with them the shards. */
        struct ingest_config next = config_for(both, i % 2 == 0 ? 2 : 3);
        next.shard_limits.series += (size_t)(i / 3);
        next.line_bytes_max = 512 + (size_t)i;
        assert_true(ingest_reload(ingest, &next, &err));
        uint64_t seen = collector_total(collector).received;
        wait_for_received(ingest, facts_of(ingest, 0).received + 1);
        while (collector_total(collector).received == seen)
            (void)facts_of(ingest, 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        atomic_store(&senders[i].stop, true);
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        sent += senders[i].sent;
    }
    collector_wait(collector, sent);
    assert_int_equal(collector_total(collector).stored, sent);
    assert_true(collector_get(collector, "flow").sum == (double)sent);
    ingest_free(ingest);
    collector_free(collector);
}

static void a_removed_datagram_listener_is_read_to_its_end(void **state)
{
    (void)state;
    enum { DATAGRAMS = 100 };
    const struct listener_config listeners[] = {tcp_listener(), udp_listener()};
    struct ingest_config config = config_for(listeners, 2);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 2, &config);
    struct error err = ERROR_EMPTY;

    int fd = dial(facts_of(ingest, 1).listen);
    for (int i = 0; i < DATAGRAMS; i++)
        say(fd, "a:1|c");
    config.listener_count = 1;
    assert_true(ingest_reload(ingest, &config, &err));
    collector_wait(collector, DATAGRAMS);
    assert_int_equal(collector_total(collector).stored, DATAGRAMS);
    (void)close(fd);
    ingest_free(ingest);
    collector_free(collector);
}

static void a_reload_brings_new_types(void **state)
{
    (void)state;
    const struct listener_config listener = tcp_listener();
    struct ingest_config config = config_for(&listener, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 1, &config);
    struct metric_definition definition = {.name = "queue", .has_kind = true, .kind = METRIC_GAUGE};
    struct metric_table metrics = {.by_name = TABLE_EMPTY};
    struct error err = ERROR_EMPTY;

    assert_true(table_add(&metrics.by_name, STR("queue"), &definition));
    int fd = dial(facts_of(ingest, 0).listen);
    say(fd, "queue:5|c\n");
    collector_wait(collector, 1);
    config.metrics = &metrics;
    assert_true(ingest_reload(ingest, &config, &err));
    say(fd, "queue:5|c\n");
    collector_wait(collector, 2);
    assert_int_equal(collector->series_count, 2); /* a counter, then a gauge (FIG-8) */
    (void)close(fd);
    ingest_free(ingest);
    table_fini(&metrics.by_name);
    collector_free(collector);
}

/* FIG-35: what was sent to __other__ for want of room gets its series when there is room. */
static void room_that_is_there_again_is_taken(void **state)
{
    (void)state;
    const struct listener_config listener = tcp_listener();
    struct ingest_config config = config_for(&listener, 1);
    struct room *room = room_new(1000);
    config.shard_limits.room = room;
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 1, &config);

    room_begin_series(room);
    room_end_series(room);
    room_set_full(room, true);
    int fd = dial(facts_of(ingest, 0).listen);
    say(fd, "queue:1|c|#a:b\n");
    collector_wait(collector, 1);
    say(fd, "queue:1|c|#a:b\n");
    collector_wait(collector, 2);
    assert_int_equal(collector->series_count, 1); /* __other__ */
    room_set_full(room, false);
    room_next_epoch(room);
    uint64_t sent = 2;
    while (collector->series_count < 2) { /* with the hand-over after the next one at the latest */
        say(fd, "queue:1|c|#a:b\n");
        collector_wait(collector, ++sent);
        assert_true(sent < 10);
    }
    assert_int_equal(collector_total(collector).stored, sent);
    (void)close(fd);
    ingest_free(ingest);
    collector_free(collector);
    room_free(room);
}

/* --- stop --------------------------------------------------------------------------------------
 */

static void stop_takes_what_was_sent_before_it(void **state)
{
    (void)state;
    enum { ROUNDS = 20, EACH = 50 };
    const struct listener_config listeners[] = {
        tcp_listener(), udp_listener(),
        listener_of(TRANSPORT_UNIX, path_of("stream"), "statsd unix"),
        listener_of(TRANSPORT_UNIXGRAM, path_of("gram"), "statsd unixgram")};

    for (int round = 0; round < ROUNDS; round++) {
        struct ingest_config config = config_for(listeners, 4);
        struct collector *collector = collector_new();
        struct ingest *ingest = must_start(collector, 2, &config);
        int fds[4];

        /* A sink without room does not keep the last deltas out. */
        collector_set_room(collector, round % 2 == 0);
        for (size_t i = 0; i < 4; i++)
            fds[i] = dial(facts_of(ingest, i).listen);
        for (int line = 0; line < EACH; line++) {
            for (int i = 0; i < 4; i++)
                say(fds[i], "a:1|c\n");
        }
        say(fds[0], "tail:1|c"); /* still open: its tail is a line too */
        say(fds[2], "tail:1|c");
        (void)close(fds[2]);
        ingest_stop(ingest, 10000);
        struct ledger total = collector_total(collector);
        assert_int_equal(total.received, 4 * EACH + 2);
        assert_int_equal(total.stored, 4 * EACH + 2);
        assert_true(collector_get(collector, "tail").sum == 2);
        (void)close(fds[0]);
        (void)close(fds[1]);
        (void)close(fds[3]);
        ingest_free(ingest);
        assert_int_equal(collector_total(collector).received, 4 * EACH + 2);
        collector_free(collector);
    }
}

static void *flood(void *arg)
{
    struct sender *sender = arg;
    static const char text[] = "flow:1|c\nflow:1|c\nflow:1|c\n";

    while (!atomic_load(&sender->stop) &&
           send(sender->fd, text, sizeof text - 1, MSG_NOSIGNAL) > 0) {
    }
    return NULL;
}

static void stop_ends_in_time_while_somebody_sends_for_ever(void **state)
{
    (void)state;
    const struct listener_config listeners[] = {udp_listener(), tcp_listener()};
    struct ingest_config config = config_for(listeners, 2);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 2, &config);
    struct sender senders[2] = {{.fd = -1}};
    pthread_t threads[2];

    for (size_t i = 0; i < 2; i++) {
        senders[i].fd = dial(facts_of(ingest, i).listen);
        assert_int_equal(pthread_create(&threads[i], NULL, flood, &senders[i]), 0);
    }
    wait_for_received(ingest, 1000);
    mono_ms before = clock_mono();
    ingest_stop(ingest, 100);
    assert_true(clock_mono() - before < 20000);
    for (int i = 0; i < 2; i++) {
        atomic_store(&senders[i].stop, true);
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        (void)close(senders[i].fd);
    }
    struct ledger total = collector_total(collector);
    assert_true(ledger_balances(&total));
    assert_true(total.stored >= 1000);
    ingest_free(ingest);
    collector_free(collector);
}

static void stopping_twice_and_freeing_nothing_is_fine(void **state)
{
    (void)state;
    struct ingest_config config = config_for(NULL, 0);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 1, &config);

    assert_int_equal(ingest_listeners(ingest, NULL, 0), 0);
    ingest_stop(ingest, 10);
    ingest_stop(ingest, 10);
    ingest_free(ingest);
    ingest_free(NULL);
    assert_int_equal(collector->deltas, 0); /* empty ones are not sent */
    collector_free(collector);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_of_every_transport_are_stored),
        cmocka_unit_test(one_bad_line_of_a_datagram_does_not_take_the_others_along),
        cmocka_unit_test(the_largest_datagram_is_whole_and_a_larger_one_loses_its_last_line),
        cmocka_unit_test(a_run_of_datagrams_that_comes_in_one_piece_is_cut_apart),
        cmocka_unit_test(without_room_the_shard_goes_on_merging),
        cmocka_unit_test(listeners_show_what_they_are_and_count),
        cmocka_unit_test(what_the_kernel_drops_is_shown),
        cmocka_unit_test(a_second_ingest_on_a_port_is_refused_and_leaves_nothing_open),
        cmocka_unit_test(a_reload_keeps_unchanged_sockets_and_opens_and_closes_the_others),
        cmocka_unit_test(a_reload_that_fails_changes_nothing),
        cmocka_unit_test(reloads_while_samples_flow_lose_none),
        cmocka_unit_test(a_removed_datagram_listener_is_read_to_its_end),
        cmocka_unit_test(a_reload_brings_new_types),
        cmocka_unit_test(room_that_is_there_again_is_taken),
        cmocka_unit_test(stop_takes_what_was_sent_before_it),
        cmocka_unit_test(stop_ends_in_time_while_somebody_sends_for_ever),
        cmocka_unit_test(stopping_twice_and_freeing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
