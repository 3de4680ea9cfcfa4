/* Sockets that somebody else opened: what the variables say, what the descriptors are, who gets
 * one. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/inherited.h"
#include "test.h"

enum { OWN = 4711, FIRST = 100 };

static struct inherited *must_parse(const struct inherited_variables *variables)
{
    struct error err = ERROR_EMPTY;
    struct inherited *inherited = inherited_parse(variables, OWN, &err);
    if (inherited == NULL)
        fail_msg("%s", err.text);
    return inherited;
}

/* Puts it on the descriptor FIRST + `place`, as whoever starts kpid does. */
static void put(int fd, int place)
{
    assert_true(fd >= 0);
    assert_int_equal(dup2(fd, FIRST + place), FIRST + place);
    (void)close(fd);
}

static struct inherited *inherit(const char *count, const char *names)
{
    const struct inherited_variables variables = {"4711", count, names, FIRST};
    return must_parse(&variables);
}

static struct sockaddr_in loopback(in_port_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A bound socket of 127.0.0.1; a stream listens. Its port, in network order, into `port`. */
static int bound(int type, in_port_t *port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, type, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = address.sin_port;
    return fd;
}

static struct sockaddr_un local(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address;
}

static int bound_to_path(int type, const char *path)
{
    struct sockaddr_un address = local(path);
    int fd = socket(AF_UNIX, type, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int take_inet(struct inherited *inherited, in_port_t port, int type)
{
    struct sockaddr_in address = loopback(port);
    return inherited_take(inherited, (struct sockaddr *)&address, type);
}

static int take_local(struct inherited *inherited, const char *path, int type)
{
    struct sockaddr_un address = local(path);
    return inherited_take(inherited, (struct sockaddr *)&address, type);
}

static void variables_that_are_not_ours_give_nothing(void **state)
{
    (void)state;
    static const struct inherited_variables cases[] = {
        {NULL, NULL, NULL, FIRST},  {NULL, "1", NULL, FIRST},         {"4711", NULL, NULL, FIRST},
        {"4712", "1", NULL, FIRST}, {"4712", "nonsense", "a", FIRST}, {"4711", "0", NULL, FIRST},
        {"4711", "0", "", FIRST},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct inherited *inherited = must_parse(&cases[i]);
        assert_int_equal(inherited->count, 0);
        assert_int_equal(take_inet(inherited, htons(8125), SOCK_DGRAM), -1);
        inherited_free(inherited);
    }
    assert_int_equal(take_inet(NULL, htons(8125), SOCK_DGRAM), -1);
    inherited_free(NULL);
}

static void nonsense_is_refused_with_a_sentence(void **state)
{
    (void)state;
    static const struct {
        struct inherited_variables variables;
        const char *words;
    } cases[] = {
        {{"", "1", NULL, FIRST}, "LISTEN_PID is no number: ''"},
        {{"me", "1", NULL, FIRST}, "LISTEN_PID is no number: 'me'"},
        {{"-1", "1", NULL, FIRST}, "LISTEN_PID is no number"},
        {{"99999999999999999999", "1", NULL, FIRST}, "LISTEN_PID is no number"},
        {{"4711", "", NULL, FIRST}, "LISTEN_FDS is no number: ''"},
        {{"4711", "two", NULL, FIRST}, "LISTEN_FDS is no number: 'two'"},
        {{"4711", "-1", NULL, FIRST}, "LISTEN_FDS is no number"},
        {{"4711", "1 ", NULL, FIRST}, "LISTEN_FDS is no number"},
        {{"4711", "1\n2", NULL, FIRST}, "LISTEN_FDS is no number: '1\\x0a2'"},
        {{"4711", "257", NULL, FIRST}, "LISTEN_FDS is too large: 257 sockets, at most 256"},
        {{"4711", "18446744073709551615", NULL, FIRST}, "LISTEN_FDS is too large"},
        {{"4711", "2", "one", FIRST}, "LISTEN_FDNAMES has 1 names, LISTEN_FDS says 2"},
        {{"4711", "1", "one:two", FIRST}, "LISTEN_FDNAMES has 2 names, LISTEN_FDS says 1"},
        {{"4711", "1", NULL, FIRST},
         "cannot use descriptor 100 of LISTEN_FDS=1: Bad file descriptor"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        if (inherited_parse(&cases[i].variables, OWN, &err) != NULL)
            fail_msg("case %zu is taken", i);
        if (strstr(err.text, cases[i].words) == NULL)
            fail_msg("case %zu says '%s', want '%s'", i, err.text, cases[i].words);
    }
}

static void a_descriptor_beyond_those_that_are_open_is_refused(void **state)
{
    (void)state;
    const struct inherited_variables variables = {"4711", "2", NULL, FIRST};
    struct error err = ERROR_EMPTY;
    in_port_t port = 0;

    put(bound(SOCK_DGRAM, &port), 0);
    assert_null(inherited_parse(&variables, OWN, &err));
    assert_non_null(strstr(err.text, "descriptor 101"));
}

static void a_socket_goes_to_who_asks_for_its_address_and_type_once(void **state)
{
    (void)state;
    in_port_t udp = 0;
    in_port_t tcp = 0;
    put(bound(SOCK_DGRAM, &udp), 0);
    put(bound(SOCK_STREAM, &tcp), 1);

    struct inherited *inherited = inherit("2", "kpid.socket:other");
    assert_int_equal(inherited->count, 2);
    assert_string_equal(inherited->sockets[0].name, "kpid.socket");
    assert_string_equal(inherited->sockets[1].name, "other");
    for (size_t i = 0; i < inherited->count; i++) {
        char want[64];
        assert_null(inherited->sockets[i].unfit);
        (void)snprintf(want, sizeof want, "%s:127.0.0.1:%u", i == 0 ? "udp" : "tcp",
                       ntohs(i == 0 ? udp : tcp));
        assert_string_equal(inherited->sockets[i].shown, want);
    }
    struct sockaddr_in elsewhere = loopback(udp);
    elsewhere.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    assert_int_equal(inherited_take(inherited, (struct sockaddr *)&elsewhere, SOCK_DGRAM), -1);
    elsewhere.sin_addr.s_addr = htonl(INADDR_ANY);
    assert_int_equal(inherited_take(inherited, (struct sockaddr *)&elsewhere, SOCK_DGRAM), -1);
    if (udp != tcp)
        assert_int_equal(take_inet(inherited, udp, SOCK_STREAM), -1);

    int fd = take_inet(inherited, udp, SOCK_DGRAM);
    assert_int_equal(fd, FIRST);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(inherited->sockets[0].fd, -1);
    assert_int_equal(take_inet(inherited, udp, SOCK_DGRAM), -1);
    inherited_free(inherited);

    assert_int_equal(fcntl(FIRST + 1, F_GETFD), -1); /* nobody took it */
    assert_int_equal(close(fd), 0);                  /* the other one is its taker's */
}

static void an_address_of_ipv6_is_another_one(void **state)
{
    (void)state;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof six;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&six, sizeof six), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&six, &len), 0);
    put(fd, 0);
    struct inherited *inherited = inherit("1", NULL);
    assert_string_equal(inherited->sockets[0].name, "");
    assert_int_equal(strncmp(inherited->sockets[0].shown, "tcp:[::1]:", 10), 0);
    assert_int_equal(take_inet(inherited, six.sin6_port, SOCK_STREAM), -1);
    struct sockaddr_in6 any = six;
    any.sin6_addr = in6addr_any;
    assert_int_equal(inherited_take(inherited, (struct sockaddr *)&any, SOCK_STREAM), -1);
    six.sin6_scope_id = 7;
    fd = inherited_take(inherited, (struct sockaddr *)&six, SOCK_STREAM);
    assert_int_equal(fd, FIRST);
    (void)close(fd);
    inherited_free(inherited);
}

static void a_path_is_taken_by_its_bytes(void **state)
{
    (void)state;
    char folder[] = "/tmp/kpid-inherited-XXXXXX";
    char stream[64];
    char grams[64];

    assert_non_null(mkdtemp(folder));
    (void)snprintf(stream, sizeof stream, "%s/s", folder);
    (void)snprintf(grams, sizeof grams, "%s/s.dgram", folder);
    put(bound_to_path(SOCK_STREAM, stream), 0);
    put(bound_to_path(SOCK_DGRAM, grams), 1);
    struct inherited *inherited = inherit("2", NULL);
    assert_null(inherited->sockets[0].unfit);
    assert_null(inherited->sockets[1].unfit);
    assert_int_equal(strncmp(inherited->sockets[0].shown, "unix:/tmp/", 10), 0);
    assert_int_equal(strncmp(inherited->sockets[1].shown, "unixgram:/tmp/", 14), 0);
    assert_int_equal(take_local(inherited, stream, SOCK_DGRAM), -1);
    assert_int_equal(take_local(inherited, grams, SOCK_STREAM), -1);
    assert_int_equal(take_local(inherited, folder, SOCK_STREAM), -1);
    assert_int_equal(take_local(inherited, stream, SOCK_STREAM), FIRST);
    assert_int_equal(take_local(inherited, grams, SOCK_DGRAM), FIRST + 1);
    (void)close(FIRST);
    (void)close(FIRST + 1);
    inherited_free(inherited);
    assert_int_equal(unlink(stream), 0);
    assert_int_equal(unlink(grams), 0);
    assert_int_equal(rmdir(folder), 0);
}

static int connected_datagrams(void)
{
    in_port_t port = 0;
    int fd = bound(SOCK_DGRAM, &port);
    struct sockaddr_in itself = loopback(port);
    assert_int_equal(connect(fd, (struct sockaddr *)&itself, sizeof itself), 0);
    return fd;
}

static int stream_that_does_not_listen(void)
{
    struct sockaddr_in address = loopback(0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int abstract_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    /* The system gives it a name that begins with a NUL (unix(7), autobind). */
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address.sun_family), 0);
    return fd;
}

static void what_nobody_can_listen_on_says_why(void **state)
{
    (void)state;
    const struct {
        int fd;
        const char *words;
    } cases[] = {
        {open("/dev/null", O_RDONLY), "it is no socket"},
        {socket(AF_UNIX, SOCK_SEQPACKET, 0), "nobody listens on sockets of its kind"},
        {socket(AF_NETLINK, SOCK_DGRAM, 0), "nobody listens on sockets of its kind"},
        {socket(AF_INET, SOCK_DGRAM, 0), "it has no address"},
        {socket(AF_INET6, SOCK_STREAM, 0), "it has no address"},
        {socket(AF_UNIX, SOCK_DGRAM, 0), "it has no address"},
        {abstract_socket(), "it has no address"},
        {stream_that_does_not_listen(), "it does not listen"},
        {connected_datagrams(), "it is connected"},
    };
    char count[8];

    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        put(cases[i].fd, (int)i);
    (void)snprintf(count, sizeof count, "%zu", TEST_COUNT(cases));
    struct inherited *inherited = inherit(count, NULL);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const struct inherited_socket *socket = &inherited->sockets[i];
        if (socket->unfit == NULL || strstr(socket->unfit, cases[i].words) == NULL)
            fail_msg("case %zu says '%s', want '%s'", i, socket->unfit == NULL ? "" : socket->unfit,
                     cases[i].words);
        assert_int_equal(socket->number, FIRST + (int)i);
    }
    struct sockaddr_in nothing = {.sin_family = AF_INET};
    assert_int_equal(inherited_take(inherited, (struct sockaddr *)&nothing, SOCK_DGRAM), -1);
    inherited_free(inherited);
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_int_equal(fcntl(FIRST + (int)i, F_GETFD), -1);
}

static void the_variables_are_gone_once_they_were_read(void **state)
{
    (void)state;
    static const char *const names[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
    static const char *const pids[] = {"1", "nonsense"};

    for (size_t i = 0; i < TEST_COUNT(pids); i++) {
        struct error err = ERROR_EMPTY;
        assert_int_equal(setenv("LISTEN_PID", pids[i], 1), 0);
        assert_int_equal(setenv("LISTEN_FDS", "1", 1), 0);
        assert_int_equal(setenv("LISTEN_FDNAMES", "a", 1), 0);
        struct inherited *inherited = inherited_open(&err);
        assert_int_equal(inherited == NULL, i == 1);
        inherited_free(inherited);
        for (size_t j = 0; j < TEST_COUNT(names); j++)
            assert_null(getenv(names[j]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_that_are_not_ours_give_nothing),
        cmocka_unit_test(nonsense_is_refused_with_a_sentence),
        cmocka_unit_test(a_descriptor_beyond_those_that_are_open_is_refused),
        cmocka_unit_test(a_socket_goes_to_who_asks_for_its_address_and_type_once),
        cmocka_unit_test(an_address_of_ipv6_is_another_one),
        cmocka_unit_test(a_path_is_taken_by_its_bytes),
        cmocka_unit_test(what_nobody_can_listen_on_says_why),
        cmocka_unit_test(the_variables_are_gone_once_they_were_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
