/* Which sockets can be opened, and what is said where they cannot. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ingest/listener.h"
#include "socket_folder.h"
#include "test.h"

static struct listener_config config_of(enum transport transport, const char *address)
{
    return (struct listener_config){
        .protocol = PROTOCOL_STATSD, .transport = transport, .address = address, .name = "test"};
}

static void must_open(struct listener_sockets *sockets, enum transport transport,
                      const char *address, unsigned threads)
{
    struct listener_config config = config_of(transport, address);
    struct error err = ERROR_EMPTY;
    if (!listener_open(sockets, &config, threads, &err))
        fail_msg("%s", err.text);
}

/* Expects a failure whose words contain `words`. */
static void must_refuse(enum transport transport, const char *address, const char *words)
{
    struct listener_config config = config_of(transport, address);
    struct listener_sockets sockets;
    struct error err = ERROR_EMPTY;

    if (listener_open(&sockets, &config, 2, &err))
        fail_msg("'%s' was opened", address);
    if (strstr(err.text, words) == NULL || strstr(err.text, address) == NULL)
        fail_msg("'%s' says '%s', want '%s'", address, err.text, words);
    assert_int_equal(sockets.count, 0);
}

static struct sockaddr_in address_of(int fd)
{
    struct sockaddr_in address = {0};
    socklen_t len = sizeof address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    return address;
}

static const char *real_address(const struct listener_sockets *sockets)
{
    return strchr(sockets->listen, ':') + 1;
}

static int get_option(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, option, &value, &len), 0);
    return value;
}

static void all_threads_share_the_port_that_the_first_one_got(void **state)
{
    (void)state;
    for (enum transport transport = TRANSPORT_UDP; transport <= TRANSPORT_TCP; transport++) {
        struct listener_sockets sockets;
        char want[64];
        must_open(&sockets, transport, "127.0.0.1:0", 3);
        assert_int_equal(sockets.count, 3);
        in_port_t port = address_of(sockets.fds[0]).sin_port;
        assert_int_not_equal(port, 0);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(address_of(sockets.fds[i]).sin_port, port);
            assert_int_equal(get_option(sockets.fds[i], SO_REUSEADDR), transport == TRANSPORT_TCP);
        }
        (void)snprintf(want, sizeof want, "%s:127.0.0.1:%u", transport_name(transport),
                       ntohs(port));
        assert_string_equal(sockets.listen, want);
        listener_close(&sockets);
    }
}

static void senders_are_spread_over_all_udp_sockets(void **state)
{
    (void)state;
    enum { SENDERS = 64 };
    struct listener_sockets sockets;
    int seen[2] = {0};

    must_open(&sockets, TRANSPORT_UDP, "127.0.0.1:0", 2);
    struct sockaddr_in to = address_of(sockets.fds[0]);
    for (int i = 0; i < SENDERS; i++) {
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
        (void)close(fd);
    }
    for (int i = 0; i < SENDERS; i++) {
        struct pollfd polls[2] = {{sockets.fds[0], POLLIN, 0}, {sockets.fds[1], POLLIN, 0}};
        char byte = 0;
        assert_true(poll(polls, 2, 10000) > 0);
        int which = (polls[0].revents & POLLIN) != 0 ? 0 : 1;
        assert_int_equal(recv(sockets.fds[which], &byte, 1, 0), 1);
        seen[which]++;
    }
    assert_true(seen[0] > 0);
    assert_true(seen[1] > 0);
    assert_int_equal(seen[0] + seen[1], SENDERS);
    listener_close(&sockets);
}

static void a_udp_socket_says_what_buffer_it_was_granted(void **state)
{
    (void)state;
    struct listener_sockets sockets;
    must_open(&sockets, TRANSPORT_UDP, "127.0.0.1:0", 1);
    assert_true(sockets.receive_buffer_bytes > 0);
    assert_true(sockets.receive_buffer_bytes <= RECEIVE_BUFFER_BYTES);
    listener_close(&sockets);
}

static void a_port_in_use_is_refused_even_where_it_is_shared(void **state)
{
    (void)state;
    for (enum transport transport = TRANSPORT_UDP; transport <= TRANSPORT_TCP; transport++) {
        struct listener_sockets sockets;
        must_open(&sockets, transport, "127.0.0.1:0", 2);
        assert_int_equal(get_option(sockets.fds[0], SO_REUSEPORT), 1);
        must_refuse(transport, real_address(&sockets), "Address already in use");
        listener_close(&sockets);
    }
}

static void a_tcp_port_is_free_again_while_old_connections_linger(void **state)
{
    (void)state;
    struct listener_sockets sockets;
    char address[64];

    must_open(&sockets, TRANSPORT_TCP, "127.0.0.1:0", 2);
    (void)snprintf(address, sizeof address, "%s", real_address(&sockets));
    struct sockaddr_in to = address_of(sockets.fds[0]);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof to), 0);
    struct pollfd polls[2] = {{sockets.fds[0], POLLIN, 0}, {sockets.fds[1], POLLIN, 0}};
    assert_int_equal(poll(polls, 2, 10000), 1);
    int server = accept(sockets.fds[polls[0].revents != 0 ? 0 : 1], NULL, NULL);
    assert_true(server >= 0);
    (void)close(server); /* the side that closes first has the port in TIME_WAIT */
    char byte = 0;
    assert_int_equal(recv(client, &byte, 1, 0), 0);
    (void)close(client);
    listener_close(&sockets);

    must_open(&sockets, TRANSPORT_TCP, address, 2);
    listener_close(&sockets);
}

static void ipv6_stands_beside_ipv4_on_one_port(void **state)
{
    (void)state;
    struct listener_sockets v6;
    struct listener_sockets v4;
    char address[64];

    must_open(&v6, TRANSPORT_TCP, "[::1]:0", 2);
    assert_int_equal(strncmp(v6.listen, "tcp:[::1]:", 10), 0);
    listener_close(&v6);

    must_open(&v6, TRANSPORT_TCP, "[::]:0", 2);
    (void)snprintf(address, sizeof address, "0.0.0.0:%s", strrchr(v6.listen, ':') + 1);
    must_open(&v4, TRANSPORT_TCP, address, 2);
    listener_close(&v4);
    listener_close(&v6);
}

static void addresses_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum transport transport;
        const char *address;
        const char *words;
    } cases[] = {
        {TRANSPORT_UDP, "8125", "no address with a port"},
        {TRANSPORT_UDP, "127.0.0.1", "no address with a port"},
        {TRANSPORT_UDP, "127.0.0.1:", "no address with a port"},
        {TRANSPORT_UDP, "127.0.0.1:65536", "no address with a port"},
        {TRANSPORT_UDP, "127.0.0.1:-1", "no address with a port"},
        {TRANSPORT_UDP, "127.0.0.1:8125x", "no address with a port"},
        {TRANSPORT_UDP, "localhost:8125", "no address with a port"},
        {TRANSPORT_UDP, "127.0.0.1.5:8125", "no address with a port"},
        {TRANSPORT_UDP, "::1:8125", "no address with a port"},
        {TRANSPORT_TCP, "[127.0.0.1]:8125", "no address with a port"},
        {TRANSPORT_TCP, "[]:8125", "no address with a port"},
        {TRANSPORT_TCP, "192.0.2.1:0", "Cannot assign requested address"},
        {TRANSPORT_UNIX, "", "empty"},
        {TRANSPORT_UNIX, "/nonexistent/statsd.sock", "No such file"},
        {TRANSPORT_UNIXGRAM,
         "/a/path/that/is/longer/than/the/hundred/and/seven/bytes/that/the/system/has/room/for/in/"
         "an/address/of/a/local/socket",
         "longer than 107 bytes"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        must_refuse(cases[i].transport, cases[i].address, cases[i].words);
}

static void a_unix_socket_has_its_mode_and_goes_with_its_listener(void **state)
{
    (void)state;
    for (enum transport transport = TRANSPORT_UNIX; transport <= TRANSPORT_UNIXGRAM; transport++) {
        struct listener_config config = config_of(transport, path_of("mode.sock"));
        struct listener_sockets sockets;
        struct error err = ERROR_EMPTY;
        struct stat status;

        config.mode = 0622;
        assert_true(listener_open(&sockets, &config, 4, &err));
        assert_int_equal(sockets.count, 1);
        assert_int_equal(lstat(config.address, &status), 0);
        assert_true(S_ISSOCK(status.st_mode));
        assert_int_equal(status.st_mode & 07777, 0622);
        assert_true(listener_set_mode(&sockets, 0600, &err));
        assert_int_equal(lstat(config.address, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0600);
        listener_close(&sockets);
        assert_int_equal(lstat(config.address, &status), -1);
    }
}

static void leave_socket(const char *path, int type, int *fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    *fd = socket(AF_UNIX, type, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&address, sizeof address), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(*fd, 0), 0);
}

static void a_stale_socket_file_is_replaced_and_a_live_one_is_not(void **state)
{
    (void)state;
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    const char *path = path_of("other.sock");

    for (size_t i = 0; i < TEST_COUNT(types); i++) {
        struct listener_sockets sockets;
        struct stat status;
        int fd = -1;

        leave_socket(path, types[i], &fd);
        must_refuse(TRANSPORT_UNIX, path, "somebody answers");
        must_refuse(TRANSPORT_UNIXGRAM, path, "somebody answers");
        assert_int_equal(lstat(path, &status), 0);
        (void)close(fd);
        must_open(&sockets, types[i] == SOCK_STREAM ? TRANSPORT_UNIX : TRANSPORT_UNIXGRAM, path, 1);
        listener_close(&sockets);
    }
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    (void)state;
    const char *path = path_of("file");
    char content[16] = "";

    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("precious", file);
    (void)fclose(file);
    must_refuse(TRANSPORT_UNIX, path, "the file is no socket");
    must_refuse(TRANSPORT_UNIXGRAM, path, "the file is no socket");
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(content, sizeof content, file));
    (void)fclose(file);
    assert_string_equal(content, "precious");
    assert_int_equal(unlink(path), 0);
}

static void closing_leaves_a_file_that_another_process_has_put_there(void **state)
{
    (void)state;
    const char *path = path_of("taken.sock");
    struct listener_sockets sockets;
    int fd = -1;

    must_open(&sockets, TRANSPORT_UNIX, path, 1);
    assert_int_equal(unlink(path), 0);
    leave_socket(path, SOCK_STREAM, &fd);
    listener_close(&sockets);
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    (void)close(fd);
    assert_int_equal(unlink(path), 0);
}

static void the_mode_is_that_of_the_sockets_own_file_alone(void **state)
{
    (void)state;
    char precious[108];
    struct listener_sockets sockets;
    struct error err = ERROR_EMPTY;
    struct stat status;

    (void)snprintf(precious, sizeof precious, "%s", path_of("precious"));
    const char *path = path_of("mode.sock");
    must_open(&sockets, TRANSPORT_UNIX, path, 1);
    assert_true(listener_has_file(&sockets));
    assert_int_equal(unlink(path), 0);
    assert_false(listener_has_file(&sockets));
    assert_false(listener_set_mode(&sockets, 0666, &err));
    assert_non_null(strstr(err.text, path));
    FILE *file = fopen(precious, "w");
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(chmod(precious, 0600), 0);

    int (*const make[])(const char *, const char *) = {symlink, link, rename};
    for (size_t i = 0; i < TEST_COUNT(make); i++) {
        assert_int_equal(make[i](precious, path), 0);
        assert_false(listener_has_file(&sockets));
        assert_false(listener_set_mode(&sockets, 0666, &err));
        assert_non_null(strstr(err.text, "it is another file now"));
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0600);
        if (make[i] != rename)
            assert_int_equal(unlink(path), 0);
    }
    listener_close(&sockets); /* nor is it removed */
    assert_int_equal(unlink(path), 0);
}

static void a_mode_is_more_than_the_umask_lets(void **state)
{
    (void)state;
    struct listener_config config = config_of(TRANSPORT_UNIXGRAM, path_of("mode.sock"));
    struct listener_sockets sockets;
    struct error err = ERROR_EMPTY;
    struct stat status;

    config.mode = 0666;
    mode_t before = umask(0177);
    assert_true(listener_open(&sockets, &config, 1, &err));
    (void)umask(before);
    assert_int_equal(lstat(config.address, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0666);
    listener_close(&sockets);
}

static void an_address_is_the_same_in_the_way_or_apart(void **state)
{
    (void)state;
    static const struct {
        enum transport transport;
        const char *address; /* "#": the port that the socket has */
        enum transport other;
        const char *other_address;
        enum listener_relation relation;
    } cases[] = {
        {TRANSPORT_UDP, "127.0.0.1:#", TRANSPORT_UDP, "127.0.0.1:#", LISTENER_SAME},
        {TRANSPORT_UDP, "127.0.0.1:#", TRANSPORT_UDP, "0.0.0.0:#", LISTENER_IN_THE_WAY},
        {TRANSPORT_UDP, "0.0.0.0:#", TRANSPORT_UDP, "127.0.0.1:#", LISTENER_IN_THE_WAY},
        {TRANSPORT_UDP, "127.0.0.1:#", TRANSPORT_UDP, "127.0.0.2:#", LISTENER_APART},
        {TRANSPORT_UDP, "127.0.0.1:#", TRANSPORT_UDP, "127.0.0.1:1", LISTENER_APART},
        {TRANSPORT_UDP, "127.0.0.1:#", TRANSPORT_UDP, "127.0.0.1:0", LISTENER_APART},
        {TRANSPORT_UDP, "127.0.0.1:#", TRANSPORT_TCP, "127.0.0.1:#", LISTENER_APART},
        {TRANSPORT_UDP, "127.0.0.1:#", TRANSPORT_UDP, "nonsense", LISTENER_APART},
        {TRANSPORT_TCP, "127.0.0.1:#", TRANSPORT_HTTP, "127.0.0.1:#", LISTENER_SAME},
        {TRANSPORT_HTTP, "0.0.0.0:#", TRANSPORT_TCP, "127.0.0.1:#", LISTENER_IN_THE_WAY},
        {TRANSPORT_TCP, "127.0.0.1:#", TRANSPORT_UDP, "127.0.0.1:#", LISTENER_APART},
        {TRANSPORT_TCP, "[::1]:#", TRANSPORT_TCP, "[0:0::1]:#", LISTENER_SAME},
        {TRANSPORT_TCP, "[::]:#", TRANSPORT_TCP, "[::1]:#", LISTENER_IN_THE_WAY},
        {TRANSPORT_TCP, "[::]:#", TRANSPORT_TCP, "0.0.0.0:#", LISTENER_APART},
        {TRANSPORT_UNIX, "one", TRANSPORT_UNIX, "one", LISTENER_SAME},
        {TRANSPORT_UNIX, "one", TRANSPORT_UNIXGRAM, "one", LISTENER_IN_THE_WAY},
        {TRANSPORT_UNIX, "one", TRANSPORT_UNIX, "two", LISTENER_APART},
        {TRANSPORT_UNIX, "one", TRANSPORT_TCP, "127.0.0.1:1", LISTENER_APART},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct listener_sockets sockets;
        char address[128];
        char other[128];
        bool is_unix = transport_is_unix(cases[i].transport);

        (void)snprintf(address, sizeof address, "%s%s%s", is_unix ? folder : "", is_unix ? "/" : "",
                       cases[i].address);
        if (!is_unix)
            *strchr(address, '#') = '0';
        must_open(&sockets, cases[i].transport, address, 1);
        const char *port = is_unix ? "" : strrchr(sockets.listen, ':') + 1;
        int len = (int)strcspn(cases[i].other_address, "#");
        (void)snprintf(other, sizeof other, "%s%s%.*s%s",
                       transport_is_unix(cases[i].other) ? folder : "",
                       transport_is_unix(cases[i].other) ? "/" : "", len, cases[i].other_address,
                       cases[i].other_address[len] == '#' ? port : "");
        struct listener_config config = config_of(cases[i].other, other);
        if (listener_relation_of(&sockets, &config) != cases[i].relation)
            fail_msg("'%s' and '%s': %d", sockets.listen, other,
                     (int)listener_relation_of(&sockets, &config));
        listener_close(&sockets);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_threads_share_the_port_that_the_first_one_got),
        cmocka_unit_test(senders_are_spread_over_all_udp_sockets),
        cmocka_unit_test(a_udp_socket_says_what_buffer_it_was_granted),
        cmocka_unit_test(a_port_in_use_is_refused_even_where_it_is_shared),
        cmocka_unit_test(a_tcp_port_is_free_again_while_old_connections_linger),
        cmocka_unit_test(ipv6_stands_beside_ipv4_on_one_port),
        cmocka_unit_test(addresses_that_cannot_be_are_refused),
        cmocka_unit_test(a_unix_socket_has_its_mode_and_goes_with_its_listener),
        cmocka_unit_test(a_stale_socket_file_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(the_mode_is_that_of_the_sockets_own_file_alone),
        cmocka_unit_test(a_mode_is_more_than_the_umask_lets),
        cmocka_unit_test(an_address_is_the_same_in_the_way_or_apart),
        cmocka_unit_test(closing_leaves_a_file_that_another_process_has_put_there),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
