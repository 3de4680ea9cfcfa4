/* A real ingest on sockets that somebody else opened and keeps, as systemd does. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/inherited.h"
#include "collector.h"
#include "ingest/listener.h"

enum { FIRST = 200 };

/* What whoever starts kpid holds. */
struct opener {
    int fds[4];
    int count;
    char address[4][108]; /* "127.0.0.1:40000" or a path */
    char folder[64];
    struct inherited *inherited;
};

static void opener_init(struct opener *opener)
{
    *opener = (struct opener){.folder = "/tmp/kpid-inherited-XXXXXX"};
    assert_non_null(mkdtemp(opener->folder));
}

/* Opens one more socket; returns its address. */
static const char *open_one(struct opener *opener, int family, int type)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_un local;
    } to = {.any.sa_family = (sa_family_t)family};
    char *address = opener->address[opener->count];
    socklen_t len = family == AF_UNIX ? sizeof to.local : sizeof to.v4;
    int fd = socket(family, type | SOCK_CLOEXEC, 0);

    if (family == AF_UNIX)
        (void)snprintf(to.local.sun_path, sizeof to.local.sun_path, "%s/%d", opener->folder,
                       opener->count);
    else
        to.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, &to.any, len), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, &to.any, &len), 0);
    if (family == AF_UNIX)
        (void)snprintf(address, sizeof opener->address[0], "%s", to.local.sun_path);
    else
        (void)snprintf(address, sizeof opener->address[0], "127.0.0.1:%u", ntohs(to.v4.sin_port));
    opener->fds[opener->count++] = fd;
    return address;
}

/* What one start gets of them: descriptors of its own. */
static struct inherited *hand_over(struct opener *opener)
{
    char count[8];
    const struct inherited_variables variables = {"1", count, NULL, FIRST};
    struct error err = ERROR_EMPTY;

    inherited_free(opener->inherited);
    for (int i = 0; i < opener->count; i++)
        assert_int_equal(dup2(opener->fds[i], FIRST + i), FIRST + i);
    (void)snprintf(count, sizeof count, "%d", opener->count);
    opener->inherited = inherited_parse(&variables, 1, &err);
    assert_non_null(opener->inherited);
    return opener->inherited;
}

static void opener_fini(struct opener *opener)
{
    inherited_free(opener->inherited);
    for (int i = 0; i < opener->count; i++) {
        (void)close(opener->fds[i]);
        if (opener->address[i][0] == '/')
            assert_int_equal(unlink(opener->address[i]), 0); /* kpid has left it alone */
    }
    assert_int_equal(rmdir(opener->folder), 0);
}

static struct ingest *start_with(struct opener *opener, struct collector *collector,
                                 unsigned threads, const struct ingest_config *config)
{
    struct ingest_options options = options_for(collector, threads);
    struct error err = ERROR_EMPTY;

    options.inherited = hand_over(opener);
    struct ingest *ingest = ingest_start(&options, config, &err);
    if (ingest == NULL)
        fail_msg("%s (%s)", err.text, err.hint);
    return ingest;
}

static int dial_as(const char *scheme, const char *address)
{
    char listen[128];
    (void)snprintf(listen, sizeof listen, "%s:%s", scheme, address);
    return dial(listen);
}

static void what_was_sent_before_the_start_is_counted(void **state)
{
    (void)state;
    enum { EARLY = 20 };
    struct opener opener;
    opener_init(&opener);
    const struct listener_config listeners[] = {
        listener_of(TRANSPORT_UDP, open_one(&opener, AF_INET, SOCK_DGRAM), "udp"),
        listener_of(TRANSPORT_TCP, open_one(&opener, AF_INET, SOCK_STREAM), "tcp"),
        listener_of(TRANSPORT_UNIX, open_one(&opener, AF_UNIX, SOCK_STREAM), "unix"),
        listener_of(TRANSPORT_UNIXGRAM, open_one(&opener, AF_UNIX, SOCK_DGRAM), "unixgram")};
    static const char *const schemes[] = {"udp", "tcp", "unix", "unixgram"};
    struct ingest_config config = config_for(listeners, TEST_COUNT(listeners));
    struct collector *collector = collector_new();

    for (int run = 1; run <= 2; run++) {
        for (size_t i = 0; i < TEST_COUNT(listeners); i++) {
            int fd = dial_as(schemes[i], opener.address[i]);
            for (int j = 0; j < EARLY / 2; j++) /* as many as a queue of Unix datagrams has */
                say(fd, "hits:2|c\n");
            (void)close(fd);
        }
        struct ingest *ingest = start_with(&opener, collector, 3, &config);
        collector_wait(collector, (uint64_t)run * TEST_COUNT(listeners) * EARLY / 2);
        for (size_t i = 0; i < TEST_COUNT(listeners); i++) {
            struct listener_facts facts = facts_of(ingest, i);
            assert_true(facts.is_inherited);
            assert_string_equal(strchr(facts.listen, ':') + 1, opener.address[i]);
            assert_int_equal(facts.kernel_drops, 0);
        }
        ingest_free(ingest);
    }
    assert_true(collector_get(collector, "hits").sum == 2 * 4 * EARLY);
    collector_free(collector);
    opener_fini(&opener);
}

/* One thread reads the socket that all have: several would overtake each other (S7). */
static void datagrams_of_many_senders_stay_in_their_order(void **state)
{
    (void)state;
    enum { PORTIONS = 40, PORTION = 50, SENDERS = 25 };
    struct opener opener;
    opener_init(&opener);
    const struct listener_config listener =
        listener_of(TRANSPORT_UDP, open_one(&opener, AF_INET, SOCK_DGRAM), "udp");
    struct ingest_config config = config_for(&listener, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = start_with(&opener, collector, 4, &config);
    int senders[SENDERS];

    for (int i = 0; i < SENDERS; i++)
        senders[i] = dial_as("udp", opener.address[0]);
    for (int sent = 0; sent < PORTIONS * PORTION;) {
        for (int i = 0; i < PORTION; i++, sent++) {
            char text[32];
            (void)snprintf(text, sizeof text, "level:%d|g", sent);
            say(senders[sent % SENDERS], text);
        }
        collector_wait(collector, (uint64_t)sent);
        assert_true(collector_get(collector, "level").last == sent - 1);
    }
    for (int i = 0; i < SENDERS; i++)
        (void)close(senders[i]);
    ingest_free(ingest);
    collector_free(collector);
    opener_fini(&opener);
}

static void a_reload_keeps_them_and_closes_those_that_are_removed(void **state)
{
    (void)state;
    struct opener opener;
    opener_init(&opener);
    struct listener_config listeners[] = {
        listener_of(TRANSPORT_UDP, open_one(&opener, AF_INET, SOCK_DGRAM), "udp"),
        listener_of(TRANSPORT_UNIX, open_one(&opener, AF_UNIX, SOCK_STREAM), "unix")};
    struct ingest_config config = config_for(listeners, TEST_COUNT(listeners));
    struct collector *collector = collector_new();
    struct ingest *ingest = start_with(&opener, collector, 2, &config);
    struct error err = ERROR_EMPTY;
    struct stat file;

    listeners[0].name = "renamed";
    listeners[1].mode = 0600; /* of a file that is not ours */
    assert_int_equal(chmod(opener.address[1], 0400), 0);
    assert_true(ingest_reload(ingest, &config, &err));
    assert_true(facts_of(ingest, 0).is_inherited);
    assert_true(facts_of(ingest, 1).is_inherited);
    assert_int_equal(stat(opener.address[1], &file), 0);
    assert_int_equal(file.st_mode & 07777, 0400);
    assert_int_equal(chmod(opener.address[1], 0600), 0);
    int unix_client = dial_as("unix", opener.address[1]);
    say(unix_client, "hits:1|c\n");
    collector_wait(collector, 1);

    int client = dial_as("udp", opener.address[0]);
    say(client, "hits:1|c");
    config.listeners = &listeners[1];
    config.listener_count = 1;
    assert_true(ingest_reload(ingest, &config, &err));
    collector_wait(collector, 2); /* it was read to its end */
    assert_int_equal(fcntl(FIRST, F_GETFD), -1);
    say(client, "hits:1|c"); /* whoever opened it has it still */
    char text[16] = "";
    assert_int_equal(recv(opener.fds[0], text, sizeof text, 0), 8);
    say(unix_client, "hits:1|c\n");
    collector_wait(collector, 3);
    assert_true(facts_of(ingest, 0).is_inherited);

    (void)close(client);
    (void)close(unix_client);
    ingest_free(ingest);
    assert_int_equal(stat(opener.address[1], &file), 0);
    collector_free(collector);
    opener_fini(&opener);
}

static void a_file_that_lets_more_people_in_than_its_mode_is_refused(void **state)
{
    (void)state;
    struct opener opener;
    opener_init(&opener);
    struct listener_config listener =
        listener_of(TRANSPORT_UNIX, open_one(&opener, AF_UNIX, SOCK_STREAM), "unix");
    struct ingest_config config = config_for(&listener, 1);
    struct collector *collector = collector_new();
    struct ingest_options options = options_for(collector, 2);
    struct error err = ERROR_EMPTY;

    assert_int_equal(chmod(opener.address[0], 0666),
                     0); /* as systemd does it if nobody says more */
    options.inherited = hand_over(&opener);
    assert_null(ingest_start(&options, &config, &err));
    assert_non_null(strstr(err.text, "was opened with the mode 0666, more than 0660"));
    assert_non_null(strstr(err.hint, "SocketMode=0660"));
    assert_int_equal(fcntl(FIRST, F_GETFD), -1);

    listener.mode = 0666;
    struct ingest *ingest = start_with(&opener, collector, 2, &config);
    listener.mode = 0622;
    assert_true(ingest_reload(ingest, &config, &err));
    listener.mode = 0620;
    assert_false(ingest_reload(ingest, &config, &err));
    assert_true(facts_of(ingest, 0).is_inherited); /* nothing has changed */
    ingest_free(ingest);
    collector_free(collector);
    opener_fini(&opener);
}

static void a_socket_of_another_address_is_left_alone(void **state)
{
    (void)state;
    struct opener opener;
    opener_init(&opener);
    (void)open_one(&opener, AF_INET, SOCK_DGRAM);
    (void)open_one(&opener, AF_INET, SOCK_STREAM);
    const struct listener_config listeners[] = {
        udp_listener(), /* any port */
        listener_of(TRANSPORT_HTTP, opener.address[1], "http")};
    struct ingest_config config = config_for(listeners, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = start_with(&opener, collector, 2, &config);

    assert_false(facts_of(ingest, 0).is_inherited);
    assert_int_equal(opener.inherited->sockets[0].fd, FIRST);
    assert_int_equal(opener.inherited->sockets[1].fd, FIRST + 1);
    /* Nor is one that is there taken at a reload: what nobody took at the start is closed. */
    struct listener_config both[] = {listeners[0], listeners[1]};
    struct error err = ERROR_EMPTY;
    both[1].protocol = PROTOCOL_INFLUX;
    config.listeners = both;
    config.listener_count = 2;
    assert_false(ingest_reload(ingest, &config, &err));
    assert_non_null(strstr(err.text, "Address already in use"));
    ingest_free(ingest);
    collector_free(collector);
    opener_fini(&opener);
}

static void what_was_dropped_before_is_told_apart(void **state)
{
    (void)state;
    enum { MANY = 400 };
    struct opener opener;
    opener_init(&opener);
    const struct listener_config listener =
        listener_of(TRANSPORT_UDP, open_one(&opener, AF_INET, SOCK_DGRAM), "udp");
    const int small = 4096;
    struct listener_sockets sockets;

    assert_int_equal(setsockopt(opener.fds[0], SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    int client = dial_as("udp", opener.address[0]);
    for (int i = 0; i < MANY; i++)
        say(client, "hits:1|c");
    (void)close(client);
    assert_true(listener_take(&sockets, &listener, hand_over(&opener)));
    assert_true(sockets.is_inherited);
    assert_int_equal(sockets.count, 1);
    assert_true(sockets.drops_before > 0 && sockets.drops_before < MANY);
    assert_true(sockets.receive_buffer_bytes >= 1024 && sockets.receive_buffer_bytes <= 8192);
    assert_false(listener_take(&(struct listener_sockets){0}, &listener, opener.inherited));
    listener_close(&sockets);

    struct ingest_config config = config_for(&listener, 1);
    struct collector *collector = collector_new();
    struct ingest *ingest = start_with(&opener, collector, 2, &config);
    collector_wait(collector, MANY - listener_drops(opener.fds[0]));
    assert_int_equal(facts_of(ingest, 0).kernel_drops, 0);
    ingest_free(ingest);
    collector_free(collector);
    opener_fini(&opener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sent_before_the_start_is_counted),
        cmocka_unit_test(datagrams_of_many_senders_stay_in_their_order),
        cmocka_unit_test(a_reload_keeps_them_and_closes_those_that_are_removed),
        cmocka_unit_test(a_file_that_lets_more_people_in_than_its_mode_is_refused),
        cmocka_unit_test(a_socket_of_another_address_is_left_alone),
        cmocka_unit_test(what_was_dropped_before_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
