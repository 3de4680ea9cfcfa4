/* The server itself: sockets, hostile bytes, limits, clients that go away. */
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "web_fixture.h"

/* A connection to the control socket. */
static int dial(const struct scene *scene)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", scene->socket);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fd, bytes.text, bytes.len, MSG_NOSIGNAL);
        if (sent < 0)
            return; /* the server may close early */
        bytes.text += sent;
        bytes.len -= (size_t)sent;
    }
}

/* What comes until the server closes. */
static void receive_all(int fd, struct buf *out)
{
    char bytes[4096];
    ssize_t got = 0;
    while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0)
        buf_append(out, bytes, (size_t)got);
    buf_char(out, '\0');
}

/* Sends, closes our half, and returns what the server said before it closed too. */
static void talk(const struct scene *scene, struct str bytes, struct buf *out)
{
    int fd = dial(scene);
    send_all(fd, bytes);
    (void)shutdown(fd, SHUT_WR);
    receive_all(fd, out);
    (void)close(fd);
}

static void assert_alive(struct scene *scene)
{
    struct buf out = BUF_EMPTY;
    assert_int_equal(request(scene, NULL, "/healthz", STR_EMPTY, &out, NULL), 200);
    buf_fini(&out);
}

static void garbage_changes_nothing(void **state)
{
    static const char *const CASES[] = {
        "\r\n",
        "\n\n\n\n",
        "GET",
        "GET /\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET /%zz HTTP/1.1\r\n\r\n",
        "GET /api/v1/kpis/%00 HTTP/1.1\r\n\r\n",
        "GET http:// HTTP/1.1\r\n\r\n",
        "GET http://[::1 HTTP/1.1\r\n\r\n",
        "GET * HTTP/1.1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\x02\x01\x01",
        "GET /healthz HTTP/1.1\r\nX\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n  more\r\n\r\n",
        "POST /api/v1/push HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /api/v1/push HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST /api/v1/push HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /api/v1/push HTTP/1.1\r\nContent-Length: 4294967296\r\n\r\n",
        "POST /api/v1/push HTTP/1.1\r\nContent-Length: 10\r\n\r\n{",
        "POST /api/v1/push HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /api/v1/push HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        "POST /api/v1/push HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
        "POST /api/v1/push HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\r\n0\r\n\r\n",
        "POST /api/v1/push HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        "POST /api/v1/push HTTP/1.1\r\nExpect: nonsense\r\nContent-Length: 2\r\n\r\n{}",
        "GET /healthz HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\n\r\nGET /heal",
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct buf out = BUF_EMPTY;
        talk(scene, str_of(CASES[i]), &out);
        buf_fini(&out);
        assert_alive(scene);
    }
}

static void requests_follow_each_other_on_one_connection(void **state)
{
    struct scene *scene = *state;
    struct buf out = BUF_EMPTY;
    int fd = dial(scene);

    send_all(fd, STR("GET /healthz HTTP/1.1\r\n\r\n"
                     "GET /nothing HTTP/1.1\r\n\r\n"
                     "HEAD /healthz HTTP/1.1\r\n\r\n"
                     "GET /readyz HTTP/1.1\r\nConnection: close\r\n\r\n"));
    receive_all(fd, &out);
    (void)close(fd);
    const char *first = strstr(out.bytes, "\r\n\r\nok\nHTTP/1.1 404 ");
    assert_non_null(first);
    const char *second = strstr(first, "}}\nHTTP/1.1 200 ");
    assert_non_null(second);
    assert_non_null(strstr(second, "\r\n\r\nready\n"));
    buf_fini(&out);
}

static void long_headers_are_refused(void **state)
{
    struct scene *scene = *state;
    struct buf bytes = BUF_EMPTY;
    struct buf out = BUF_EMPTY;

    buf_text(&bytes, "GET /healthz HTTP/1.1\r\nX: ");
    for (int i = 0; i < 1000000; i++)
        buf_char(&bytes, 'x');
    talk(scene, buf_view(&bytes), &out);
    assert_null(strstr(out.bytes, " 200 "));
    buf_clear(&out);
    buf_clear(&bytes);
    buf_text(&bytes, "GET /");
    for (int i = 0; i < 1000000; i++)
        buf_char(&bytes, 'x');
    talk(scene, buf_view(&bytes), &out);
    assert_null(strstr(out.bytes, " 200 "));
    buf_fini(&out);
    buf_fini(&bytes);
    assert_alive(scene);
}

static void a_body_that_is_too_long_is_refused(void **state)
{
    static const size_t LENGTHS[] = {1024 * 1024 + 1, 1024 * 1024 * 2, 1024 * 1024 * 5};
    struct scene *scene = *state;

    for (size_t i = 0; i < TEST_COUNT(LENGTHS); i++) {
        struct buf out = BUF_EMPTY;
        char *body = memory_zero(LENGTHS[i], 1);
        memset(body, ' ', LENGTHS[i]);
        long status =
            request(scene, NULL, "/api/v1/push", (struct str){body, LENGTHS[i]}, &out, NULL);
        assert_int_equal(status, 413);
        if (i < 2) {
            buf_char(&out, '\0');
            assert_non_null(strstr(out.bytes, "\"message\":\"the body is longer than 1048576"));
        }
        buf_fini(&out);
        free(body);
    }
    assert_alive(scene);
}

static void clients_over_the_limit_wait_for_their_turn(void **state)
{
    enum { CLIENTS = 100 };
    struct scene *scene = *state;
    int fds[CLIENTS];

    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = dial(scene); /* the backlog takes them */
        send_all(fds[i], STR("GET /healthz HTT"));
    }
    for (int i = 0; i < CLIENTS; i++)
        (void)close(fds[i]);
    assert_alive(scene);
}

static const char PUSH_BODY[] = "{\"samples\":[{\"name\":\"leads\",\"value\":12}]}";

static int send_push(const struct scene *scene)
{
    char bytes[300];
    int fd = dial(scene);
    (void)snprintf(bytes, sizeof bytes,
                   "POST /api/v1/push HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%s",
                   sizeof PUSH_BODY - 1, PUSH_BODY);
    send_all(fd, str_of(bytes));
    return fd;
}

static void wait_for_posts(struct scene *scene, size_t count)
{
    while (mailbox_length(thread_mailbox(writer_thread(scene->store->writer))) < count)
        (void)sched_yield();
}

static void a_client_that_goes_away_does_not_matter(void **state)
{
    struct scene *scene = *state;

    int fd = send_push(scene);
    wait_for_posts(scene, 1);
    (void)close(fd);
    assert_alive(scene); /* other requests are answered meanwhile */
    commit(scene->store);
    assert_alive(scene);
    json_t *tree = get(scene, "/api/v1/query?expr=sum(leads)");
    assert_json_number(tree, "points.0.value", 12); /* it was sent, so it counts */
    json_decref(tree);
}

static void a_push_that_cannot_be_stored_is_not_taken_for_stored(void **state)
{
    struct scene *scene = *state;
    struct buf out = BUF_EMPTY;

    int fd = send_push(scene);
    wait_for_posts(scene, 1);
    /* Nothing commits before the server gives up; the writer's answer comes later still. */
    web_stop(scene->web);
    commit(scene->store);
    web_free(scene->web);
    scene->web = NULL;
    receive_all(fd, &out);
    assert_string_equal(out.bytes, "");
    buf_fini(&out);
    (void)close(fd);
}

static void a_stop_lets_requests_end(void **state)
{
    struct scene *scene = *state;
    struct buf out = BUF_EMPTY;

    int fd = send_push(scene);
    wait_for_posts(scene, 1);
    scene_start_writer(scene);
    web_stop(scene->web);
    receive_all(fd, &out);
    assert_non_null(strstr(out.bytes, "{\"stored\":1}"));
    buf_fini(&out);
    (void)close(fd);
}

/* --- the sockets --- */

static struct web *try_start(struct scene *scene, struct error *err)
{
    *err = (struct error)ERROR_EMPTY;
    return web_start(&scene->options, &scene->config, err);
}

static void the_control_socket_is_for_owner_and_group(void **state)
{
    struct scene *scene = *state;
    struct stat file;

    assert_int_equal(lstat(scene->socket, &file), 0);
    assert_true(S_ISSOCK(file.st_mode));
    assert_int_equal(file.st_mode & 07777, 0660);
    web_stop(scene->web);
    assert_int_equal(lstat(scene->socket, &file), -1);
}

static void a_stale_socket_is_replaced(void **state)
{
    struct scene *scene = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    web_free(scene->web);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", scene->socket);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd);
    scene_start(scene);
    assert_alive(scene);
}

static void a_socket_that_answers_is_left_alone(void **state)
{
    struct scene *scene = *state;
    struct error err;

    assert_null(try_start(scene, &err));
    assert_int_equal(err.kind, ERROR_CONFLICT);
    assert_non_null(strstr(err.text, "somebody answers there"));
    assert_alive(scene);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    struct scene *scene = *state;
    struct error err;

    web_free(scene->web);
    FILE *file = fopen(scene->socket, "w");
    assert_non_null(file);
    (void)fclose(file);
    scene->web = try_start(scene, &err);
    assert_null(scene->web);
    assert_non_null(strstr(err.text, "the file is no socket"));
    assert_int_equal(access(scene->socket, F_OK), 0);
}

static void bad_addresses_are_refused(void **state)
{
    static const struct {
        const char *listen;
        const char *text;
    } cases[] = {
        {"nowhere", "not an address with a port: 'nowhere'"},
        {"127.0.0.1:99999", "not an address with a port: '127.0.0.1:99999'"},
        {"192.0.2.1:80", "cannot listen on '192.0.2.1:80': Cannot assign requested address"},
    };
    struct scene *scene = *state;
    struct error err;

    web_free(scene->web);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        scene->config.http_listen = cases[i].listen;
        scene->web = try_start(scene, &err);
        assert_null(scene->web);
        assert_string_equal(err.text, cases[i].text);
        assert_int_equal(access(scene->socket, F_OK), -1); /* nothing stays behind */
    }
}

static void a_port_in_use_is_an_error(void **state)
{
    struct scene *scene = *state;
    struct error err;
    char taken[100];
    char other[200];

    (void)snprintf(taken, sizeof taken, "%s", web_http_address(scene->web));
    (void)snprintf(other, sizeof other, "%s.other", scene->socket);
    scene->config.http_listen = taken;
    scene->config.control_path = other;
    assert_null(try_start(scene, &err));
    assert_non_null(strstr(err.text, "Address already in use"));
    assert_non_null(strstr(err.hint, "another process has the port"));
    assert_int_equal(access(other, F_OK), -1);
}

static void another_host_name_is_refused_on_the_loopback_address(void **state)
{
    static const struct {
        const char *host;
        const char *status;
    } cases[] = {{"localhost", " 200 "},
                 {"127.0.0.1:8640", " 200 "},
                 {"[::1]:8640", " 200 "},
                 {"evil.example", " 403 "},
                 {"127.0.0.1.evil.example", " 403 "}};
    struct scene *scene = *state;
    uint64_t port = 0;
    struct str rest = str_of(web_http_address(scene->web));

    (void)str_split(&rest, ':');
    assert_true(str_parse_u64(rest, &port));
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct buf out = BUF_EMPTY;
        char bytes[300];
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
        (void)snprintf(bytes, sizeof bytes,
                       "GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                       cases[i].host);
        send_all(fd, str_of(bytes));
        receive_all(fd, &out);
        if (strstr(out.bytes, cases[i].status) == NULL)
            fail_msg("%s: %s", cases[i].host, out.bytes);
        buf_fini(&out);
        (void)close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(garbage_changes_nothing),
        WEB_TEST(requests_follow_each_other_on_one_connection),
        WEB_TEST(long_headers_are_refused),
        WEB_TEST(a_body_that_is_too_long_is_refused),
        WEB_TEST(clients_over_the_limit_wait_for_their_turn),
        WEB_TEST(a_client_that_goes_away_does_not_matter),
        WEB_TEST(a_push_that_cannot_be_stored_is_not_taken_for_stored),
        WEB_TEST(a_stop_lets_requests_end),
        WEB_TEST(the_control_socket_is_for_owner_and_group),
        WEB_TEST(a_stale_socket_is_replaced),
        WEB_TEST(a_socket_that_answers_is_left_alone),
        WEB_TEST(a_file_that_is_no_socket_is_left_alone),
        WEB_TEST(bad_addresses_are_refused),
        WEB_TEST(a_port_in_use_is_an_error),
        WEB_TEST(another_host_name_is_refused_on_the_loopback_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
