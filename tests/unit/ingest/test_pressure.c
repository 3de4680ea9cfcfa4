/* What ingest does when more comes than can go: a sink without room, senders who never stop, more
 * connections than descriptors. */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/counters.h"
#include "collector.h"
#include "socket_folder.h"

enum { SERIES = 200 };

static struct ingest *must_start_with(const struct ingest_options *options,
                                      const struct ingest_config *config)
{
    struct error err = ERROR_EMPTY;
    struct ingest *ingest = ingest_start(options, config, &err);
    if (ingest == NULL)
        fail_msg("%s (%s)", err.text, err.hint);
    return ingest;
}

/* A set for each series: cells that take more than the series themselves. */
static void say_sets(int fd, const char *name)
{
    for (int i = 0; i < SERIES; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "%s%d:member|s\n", name, i);
        say(fd, line);
    }
}

/* --- a sink without room -----------------------------------------------------------------------
 */

static void past_its_budget_a_thread_hands_over_before_its_time(void **state)
{
    (void)state;
    const struct listener_config listener = tcp_listener();
    struct ingest_config config = config_for(&listener, 1);
    struct collector *collector = collector_new();
    struct ingest_options options = options_for(collector, 1);
    options.flush_every = MS_PER_DAY;
    options.pending_bytes_max = 1;
    struct ingest *ingest = must_start_with(&options, &config);

    int fd = dial(facts_of(ingest, 0).listen);
    say_sets(fd, "a");
    collector_wait(collector, SERIES); /* the timer never comes */
    assert_int_equal(COUNTER_GET(ingest_paused), 0);
    (void)close(fd);
    ingest_free(ingest);
    collector_free(collector);
}

static void past_its_budget_and_without_room_nothing_is_read(void **state)
{
    (void)state;
    enum { LOOKS = 100 };
    const struct listener_config listeners[] = {tcp_listener(), udp_listener()};
    struct ingest_config config = config_for(listeners, 2);
    struct collector *collector = collector_new();
    struct ingest_options options = options_for(collector, 1);
    options.pending_bytes_max = 4096;
    uint64_t pauses = COUNTER_GET(ingest_pauses);
    struct capture capture;

    struct ingest *ingest = must_start_with(&options, &config);
    capture_begin(&capture);
    collector_set_room(collector, false);
    int tcp = dial(facts_of(ingest, 0).listen);
    int udp = dial(facts_of(ingest, 1).listen);
    say_sets(tcp, "a");
    wait_for_counter(&counters.ingest_paused, 1);
    assert_int_equal(COUNTER_GET(ingest_pauses), pauses + 1);
    capture_wait(&capture, "reading_paused");
    capture_end(&capture);

    /* Neither streams, nor datagrams, nor new connections, nor a new listener. */
    struct error err = ERROR_EMPTY;
    const struct listener_config more[] = {
        listeners[0], listeners[1], listener_of(TRANSPORT_TCP, "127.0.0.1:0", "statsd more")};
    config.listeners = more;
    config.listener_count = 3;
    config.idle_timeout = 1; /* nobody counts as idle who is not listened to */
    assert_true(ingest_reload(ingest, &config, &err));
    uint64_t before = facts_of(ingest, 0).received;
    int late = dial(facts_of(ingest, 0).listen);
    int new = dial(facts_of(ingest, 2).listen);
    say(tcp, "b:1|c\n");
    say(udp, "b:1|c");
    say(late, "b:1|c\n");
    say(new, "b:1|c\n");
    for (int i = 0; i < LOOKS; i++) { /* each is a turn of the thread's loop */
        assert_int_equal(facts_of(ingest, 0).received, before);
        assert_int_equal(facts_of(ingest, 1).received, 0);
        assert_int_equal(facts_of(ingest, 2).received, 0);
    }

    collector_set_room(collector, true);
    collector_wait(collector, SERIES + 4);
    assert_true(collector_get(collector, "b").sum == 4);
    wait_for_counter(&counters.ingest_paused, 0);
    (void)close(tcp);
    (void)close(udp);
    (void)close(late);
    (void)close(new);
    ingest_free(ingest);
    collector_free(collector);
}

/* A thread that is past its budget with the first line of a client, and whose sink has no room. */
struct full {
    struct listener_config listener;
    struct ingest_config config;
    struct collector *collector;
    struct ingest *ingest;
    int fd; /* of the client */
};

static void full_init(struct full *full, const char *lines)
{
    full->listener = tcp_listener();
    full->config = config_for(&full->listener, 1);
    full->collector = collector_new();
    struct ingest_options options = options_for(full->collector, 1);
    options.pending_bytes_max = 1;
    full->ingest = must_start_with(&options, &full->config);

    collector_set_room(full->collector, false);
    full->fd = dial(facts_of(full->ingest, 0).listen);
    say(full->fd, lines);
    wait_for_counter(&counters.ingest_paused, 1);
}

static void full_fini(struct full *full)
{
    ingest_free(full->ingest);
    assert_int_equal(COUNTER_GET(ingest_paused), 0);
    (void)close(full->fd);
    collector_free(full->collector);
}

static void a_stop_without_room_does_not_read_more_than_the_budget(void **state)
{
    (void)state;
    struct full full;

    full_init(&full, "a:1|s\n");
    say_sets(full.fd, "b");
    ingest_stop(full.ingest, 10000);
    assert_int_equal(collector_total(full.collector).received, 1);
    full_fini(&full);
}

/* Keeps one delta as a writer does whose disk is full. */
struct keeper {
    _Atomic(struct delta *) delta;
};

static bool keeper_has_room(void *arg)
{
    struct keeper *keeper = arg;
    return atomic_load(&keeper->delta) == NULL;
}

static bool keeper_post(struct delta *delta, void *arg)
{
    struct keeper *keeper = arg;
    atomic_store(&keeper->delta, delta);
    return true;
}

static void what_the_sink_has_not_done_is_still_pending(void **state)
{
    (void)state;
    const struct listener_config listener = tcp_listener();
    struct ingest_config config = config_for(&listener, 1);
    struct keeper keeper = {NULL};
    const struct ingest_options options = {
        .threads = 1,
        .flush_every = 5,
        .sink = {.has_room = keeper_has_room, .post = keeper_post, .arg = &keeper}};
    struct ingest *ingest = must_start_with(&options, &config);
    struct delta *delta = NULL;
    struct error err = ERROR_EMPTY;

    int fd = dial(facts_of(ingest, 0).listen);
    say(fd, "a:1|c\na:1|c\n");
    while ((delta = atomic_load(&keeper.delta)) == NULL)
        (void)facts_of(ingest, 0);
    assert_false(delta_is_waited_for(delta));
    assert_int_equal(facts_of(ingest, 0).received, 2);
    assert_int_equal(facts_of(ingest, 0).handed_over, 0);

    /* The listener may leave meanwhile, and what it counted is still there to be settled. */
    config.listener_count = 0;
    assert_true(ingest_reload(ingest, &config, &err));
    assert_true(ingest_reload(ingest, &config, &err));
    delta->on_done(delta, NULL);
    delta_free(delta);
    atomic_store(&keeper.delta, NULL);
    assert_true(ingest_reload(ingest, &config, &err));
    (void)close(fd);
    ingest_free(ingest);
}

/* --- senders who never stop --------------------------------------------------------------------
 */

struct flood {
    int fd;
    _Atomic bool stop;
};

static void *flood_on(void *arg)
{
    struct flood *flood = arg;
    char text[8192];

    for (size_t i = 0; i + 7 <= sizeof text; i += 7)
        memcpy(text + i, "f:1|c\n\n", 7);
    while (!atomic_load(&flood->stop) &&
           send(flood->fd, text, sizeof text / 7 * 7, MSG_NOSIGNAL) > 0) {
    }
    return NULL;
}

static void at_a_stop_who_sends_for_ever_does_not_keep_the_others_out(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* the bound is one of time, and reading is twenty times slower under this sanitizer */
#endif
    enum { FLOODS = 3, CLIENTS = 40, LINES = 20 };
    const struct listener_config listeners[] = {udp_listener(), tcp_listener()};
    struct ingest_config config = config_for(listeners, 2);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 1, &config);
    struct flood floods[FLOODS] = {{.fd = -1}};
    pthread_t threads[FLOODS];

    for (size_t i = 0; i < FLOODS; i++) {
        floods[i].fd = dial(facts_of(ingest, i == 0 ? 0 : 1).listen);
        assert_int_equal(pthread_create(&threads[i], NULL, flood_on, &floods[i]), 0);
    }
    while (facts_of(ingest, 0).received == 0 || facts_of(ingest, 1).received == 0) {
    }
    const char *listen = strdup(facts_of(ingest, 1).listen);
    for (int i = 0; i < CLIENTS; i++) {
        int fd = dial(listen);
        for (int line = 0; line < LINES; line++)
            say(fd, "orders:1|c\n");
        (void)close(fd);
    }
    ingest_stop(ingest, 4000); /* as long as it takes, since the floods never end */
    for (size_t i = 0; i < FLOODS; i++) {
        atomic_store(&floods[i].stop, true);
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        (void)close(floods[i].fd);
    }
    assert_true(collector_get(collector, "orders").sum == CLIENTS * LINES);
    struct ledger total = collector_total(collector);
    assert_true(ledger_balances(&total));
    free((void *)listen);
    ingest_free(ingest);
    collector_free(collector);
}

static void a_line_that_a_stop_has_cut_is_no_line(void **state)
{
    (void)state;
    struct full full;

    full_init(&full, "s:1|s\norders:1|c"); /* the first line is past the budget */
    say(full.fd, "|@0.1\n");
    ingest_stop(full.ingest, 1000);
    struct ledger total = collector_total(full.collector);
    assert_int_equal(total.stored, 1);
    assert_int_equal(total.rejected[REJECT_truncated], 1);
    full_fini(&full);
}

/* --- lines without an end ----------------------------------------------------------------------
 */

/* Says what is left of each, as far as it is taken now; how much is left of all. */
static size_t say_some(const int *fds, size_t *left, size_t count, const char *line, size_t len)
{
    size_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        ssize_t sent =
            left[i] == 0 ? 0
                         : send(fds[i], line + len - left[i], left[i], MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            assert_int_equal(errno, EAGAIN);
        left[i] -= sent < 0 ? 0 : (size_t)sent;
        sum += left[i];
    }
    return sum;
}

static void very_many_long_tails_wait_for_each_other(void **state)
{
    (void)state;
    enum { LINE = 2 << 20, CLIENTS = 40, ROOM = 64 << 20, WAITERS = CLIENTS - ROOM / LINE };
    const struct timespec pause = {.tv_nsec = 1000000};
    const struct listener_config listener = tcp_listener();
    struct ingest_config config = config_for(&listener, 1);
    config.line_bytes_max = LINE;
    config.request_timeout = MS_PER_DAY;
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 1, &config);
    char *line = malloc(LINE);
    size_t left[CLIENTS];
    int fds[CLIENTS];

    assert_non_null(line);
    memset(line, 'x', LINE);
    memcpy(line + LINE - 7, "y:1|c\n", 7); /* its name is too long, and so much is understood */
    for (size_t i = 0; i < CLIENTS; i++) {
        fds[i] = dial(facts_of(ingest, 0).listen);
        left[i] = LINE / 2;
    }
    while (COUNTER_GET(connections_waiting) < WAITERS)
        (void)say_some(fds, left, CLIENTS, line, LINE / 2);
    int fresh = dial(facts_of(ingest, 0).listen); /* a line as they are is heard all the same */
    say(fresh, "a:1|c");
    (void)close(fresh);
    while (collector_get(collector, "a").sum < 1)
        (void)nanosleep(&pause, NULL);
    assert_int_equal(COUNTER_GET(connections_waiting), WAITERS);
    for (size_t i = 0; i < CLIENTS; i++)
        left[i] += LINE - LINE / 2;
    while (say_some(fds, left, CLIENTS, line, LINE) > 0)
        (void)nanosleep(&pause, NULL);
    collector_wait(collector, CLIENTS + 1);
    for (size_t i = 0; i < CLIENTS; i++)
        (void)close(fds[i]);
    ingest_free(ingest);
    assert_int_equal(COUNTER_GET(connections_waiting), 0);
    struct ledger total = collector_total(collector);
    assert_int_equal(total.rejected[REJECT_bad_name], CLIENTS);
    free(line);
    collector_free(collector);
}

/* --- descriptors -------------------------------------------------------------------------------
 */

static void some_descriptors_are_kept_from_connections(void **state)
{
    (void)state;
    enum { ALL = 120, CLIENTS = 60 };
    const struct listener_config listener = tcp_listener();
    struct ingest_config config = config_for(&listener, 1);
    config.connections_max = 1000;
    struct rlimit before;
    int fds[CLIENTS];

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit tight = {.rlim_cur = ALL, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 1, &config);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    uint64_t refused = COUNTER_GET(connections_refused);

    for (size_t i = 0; i < CLIENTS; i++) /* both ends are in this process */
        fds[i] = dial(facts_of(ingest, 0).listen);
    while (COUNTER_GET(connections_refused) == refused)
        (void)facts_of(ingest, 0);
    int free_one = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(free_one >= 0);
    (void)close(free_one);
    say(fds[0], "a:1|c\n"); /* who was let in is heard */
    collector_wait(collector, 1);
    for (size_t i = 0; i < CLIENTS; i++)
        (void)close(fds[i]);
    ingest_free(ingest);
    collector_free(collector);
}

/* --- a path that changes its kind --------------------------------------------------------------
 */

static void a_path_may_change_between_stream_and_datagrams(void **state)
{
    (void)state;
    enum { ROUNDS = 6 };
    char path[100];
    (void)snprintf(path, sizeof path, "%s/socket", folder);
    struct listener_config listener = listener_of(TRANSPORT_UNIX, path, "statsd unix");
    struct ingest_config config = config_for(&listener, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 2, &config);
    struct error err = ERROR_EMPTY;
    struct stat status;
    uint64_t sent = 0;

    for (int round = 0; round < ROUNDS; round++) {
        int fd = dial(facts_of(ingest, 0).listen);
        say(fd, "a:1|c\n");
        listener.transport =
            listener.transport == TRANSPORT_UNIX ? TRANSPORT_UNIXGRAM : TRANSPORT_UNIX;
        if (!ingest_reload(ingest, &config, &err))
            fail_msg("%s", err.text);
        collector_wait(collector, ++sent);
        if (listener.transport == TRANSPORT_UNIXGRAM) { /* an old connection is read to its end */
            say(fd, "a:1|c");
            (void)close(fd);
            collector_wait(collector, ++sent);
        } else {
            (void)close(fd);
        }
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0660);
    }
    assert_true(collector_get(collector, "a").sum == (double)sent);
    ingest_free(ingest);
    assert_int_equal(stat(path, &status), -1);
    collector_free(collector);
}

static void a_path_keeps_its_kind_when_the_reload_fails(void **state)
{
    (void)state;
    char path[100];
    (void)snprintf(path, sizeof path, "%s/socket", folder);
    const struct listener_config before = listener_of(TRANSPORT_UNIX, path, "statsd unix");
    struct ingest_config config = config_for(&before, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 2, &config);
    struct error err = ERROR_EMPTY;

    const struct listener_config after[] = {
        listener_of(TRANSPORT_UNIXGRAM, path, "statsd unixgram"),
        listener_of(TRANSPORT_UNIX, "/nonexistent/folder/socket", "statsd wrong")};
    struct ingest_config changed = config_for(after, 2);
    assert_false(ingest_reload(ingest, &changed, &err));
    int fd = dial(facts_of(ingest, 0).listen);
    say(fd, "a:1|c\n");
    collector_wait(collector, 1);
    (void)close(fd);
    ingest_free(ingest); /* and remove_folder finds no file */
    collector_free(collector);
}

static int exchanges_before_failure = -1; /* -1: none fails */

/* In place of the C library's, which it calls. */
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (exchanges_before_failure == 0) {
        exchanges_before_failure = -1;
        errno = EIO;
        return -1;
    }
    if (exchanges_before_failure > 0)
        exchanges_before_failure--;
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

static void two_paths_change_or_none_does(void **state)
{
    (void)state;
    struct stat status;
    char paths[2][100];
    struct listener_config listeners[2];
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "%s/socket%zu", folder, i);
        listeners[i] = listener_of(TRANSPORT_UNIX, paths[i], i == 0 ? "statsd 0" : "statsd 1");
        listeners[i].mode = 0600;
    }
    struct ingest_config config = config_for(listeners, 2);
    struct collector *collector = collector_new();
    struct ingest *ingest = must_start(collector, 1, &config);
    struct error err = ERROR_EMPTY;

    exchanges_before_failure = 1;
    for (size_t i = 0; i < 2; i++) {
        listeners[i].transport = TRANSPORT_UNIXGRAM;
        listeners[i].mode = 0622;
    }
    assert_false(ingest_reload(ingest, &config, &err));
    assert_non_null(strstr(err.text, paths[1]));
    assert_int_equal(exchanges_before_failure, -1);
    for (size_t i = 0; i < 2; i++) {
        int fd = dial(facts_of(ingest, i).listen);
        say(fd, "a:1|c\n");
        collector_wait(collector, i + 1);
        (void)close(fd);
        assert_int_equal(stat(paths[i], &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    ingest_free(ingest);
    collector_free(collector);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(past_its_budget_a_thread_hands_over_before_its_time),
        cmocka_unit_test(past_its_budget_and_without_room_nothing_is_read),
        cmocka_unit_test(a_stop_without_room_does_not_read_more_than_the_budget),
        cmocka_unit_test(what_the_sink_has_not_done_is_still_pending),
        cmocka_unit_test(at_a_stop_who_sends_for_ever_does_not_keep_the_others_out),
        cmocka_unit_test(a_line_that_a_stop_has_cut_is_no_line),
        cmocka_unit_test(very_many_long_tails_wait_for_each_other),
        cmocka_unit_test(some_descriptors_are_kept_from_connections),
        cmocka_unit_test(a_path_may_change_between_stream_and_datagrams),
        cmocka_unit_test(a_path_keeps_its_kind_when_the_reload_fails),
        cmocka_unit_test(two_paths_change_or_none_does),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
