/* Who may speak, over real sockets: TLS, networks, users. */
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>

#include "base/counters.h"
#include "certificate.h"
#include "collector.h"

static struct scene {
    char folder[64];
    struct collector *collector;
    struct listener_config listener;
    struct ingest_config config;
    struct ingest *ingest;
} scene;

static char paths[5][128];

static const char *path_of(int i, const char *name, const char *suffix)
{
    certificate_path(paths[i], sizeof paths[i], scene.folder, name, suffix);
    return paths[i];
}

static struct tls *load(const char *cert, const char *key, const char *client_ca, struct error *err)
{
    const struct tls_files files = {path_of(0, cert, "crt"), path_of(1, key, "key"),
                                    client_ca == NULL ? NULL : path_of(2, client_ca, "crt")};
    return tls_load(&files, err);
}

static struct tls *must_load(const char *client_ca)
{
    struct error err = ERROR_EMPTY;
    struct tls *tls = load("server", "server", client_ca, &err);
    if (tls == NULL)
        fail_msg("%s", err.text);
    return tls;
}

static int setup(void **state)
{
    (void)state;
    memset(&scene, 0, sizeof scene);
    (void)snprintf(scene.folder, sizeof scene.folder, "/tmp/kpid-tls-XXXXXX");
    assert_non_null(mkdtemp(scene.folder));
    certificate_make(scene.folder, "ca", NULL);
    certificate_make(scene.folder, "server", "ca");
    certificate_make(scene.folder, "client", "ca");
    certificate_make(scene.folder, "stranger", NULL);
    scene.collector = collector_new();
    scene.listener = tcp_listener();
    scene.config = config_for(&scene.listener, 1);
    return 0;
}

static void start(void)
{
    scene.ingest = must_start(scene.collector, 1, &scene.config);
}

static int teardown(void **state)
{
    static const char *const names[] = {"ca", "server", "client", "stranger"};
    (void)state;

    ingest_free(scene.ingest);
    tls_release(scene.listener.tls);
    collector_free(scene.collector);
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        (void)unlink(path_of(3, names[i], "crt"));
        (void)unlink(path_of(3, names[i], "key"));
    }
    (void)unlink(path_of(3, "socket", "sock"));
    assert_int_equal(rmdir(scene.folder), 0);
    return 0;
}

/* --- a client --- */

struct tls_client {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
};

/* `name`: whose certificate it shows; NULL: none. False when the handshake failed. */
static bool client_try(struct tls_client *client, const char *name)
{
    *client = (struct tls_client){.context = SSL_CTX_new(TLS_client_method()),
                                  .fd = dial(facts_of(scene.ingest, 0).listen)};
    assert_int_equal(SSL_CTX_load_verify_file(client->context, path_of(3, "ca", "crt")), 1);
    SSL_CTX_set_verify(client->context, SSL_VERIFY_PEER, NULL);
    if (name != NULL) {
        assert_int_equal(
            SSL_CTX_use_certificate_chain_file(client->context, path_of(3, name, "crt")), 1);
        assert_int_equal(
            SSL_CTX_use_PrivateKey_file(client->context, path_of(3, name, "key"), SSL_FILETYPE_PEM),
            1);
    }
    client->ssl = SSL_new(client->context);
    assert_int_equal(SSL_set_fd(client->ssl, client->fd), 1);
    return SSL_connect(client->ssl) == 1;
}

static void client_say(struct tls_client *client, const char *bytes, size_t len)
{
    assert_int_equal(SSL_write(client->ssl, bytes, (int)len), (int)len);
}

/* `politely`: with TLS's goodbye. */
static void client_end(struct tls_client *client, bool politely)
{
    if (politely)
        (void)SSL_shutdown(client->ssl);
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
    (void)close(client->fd);
}

/* Waits until the server has ended the connection. */
static void client_wait_for_end(struct tls_client *client)
{
    char byte = 0;

    assert_true(SSL_read(client->ssl, &byte, 1) <= 0);
    assert_int_not_equal(SSL_get_error(client->ssl, -1), SSL_ERROR_WANT_READ);
}

/* --- TLS --- */

static void lines_come_by_tls_as_they_do_without(void **state)
{
    struct tls_client client;
    struct buf lines = BUF_EMPTY;
    (void)state;

    scene.listener.tls = must_load(NULL);
    start();
    assert_true(client_try(&client, NULL));
    for (int i = 0; i < 200000; i++) /* more than a read, in records of up to 16 KiB */
        buf_text(&lines, "requests:1|c\n");
    for (size_t at = 0; at < lines.len; at += 10000)
        client_say(&client, lines.bytes + at, lines.len - at < 10000 ? lines.len - at : 10000);
    client_say(&client, "last:5|c", 8); /* no newline: S15 */
    client_end(&client, true);
    collector_wait(scene.collector, 200001);
    assert_true(collector_get(scene.collector, "requests").sum == 200000);
    assert_true(collector_get(scene.collector, "last").sum == 5);
    buf_fini(&lines);
}

static void a_goodbye_right_behind_the_last_line_ends_the_connection(void **state)
{
    struct tls_client client;
    (void)state;

    scene.listener.tls = must_load(NULL);
    start();
    for (int i = 0; i < 20; i++) { /* often enough both come by one read */
        assert_true(client_try(&client, NULL));
        client_say(&client, "requests:1|c\n", 13);
        (void)SSL_shutdown(client.ssl); /* and the socket stays open */
        client_wait_for_end(&client);
        client_end(&client, false);
    }
    collector_wait(scene.collector, 20);
}

static void an_end_without_a_goodbye_may_have_cut_the_last_line(void **state)
{
    struct tls_client client;
    (void)state;

    scene.listener.tls = must_load(NULL);
    start();
    assert_true(client_try(&client, NULL));
    client_say(&client, "whole:1|c\nhalf:1|c", 18);
    client_end(&client, false);
    collector_wait(scene.collector, 2);
    struct ledger total = collector_total(scene.collector);
    assert_int_equal(total.rejected[REJECT_truncated], 1);
    assert_true(collector_get(scene.collector, "whole").sum == 1);
    assert_true(collector_get(scene.collector, "half").sum == 0);
}

static void wait_for_received(uint64_t count)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    mono_ms until = clock_mono() + PATIENCE_S * 1000;

    while (facts_of(scene.ingest, 0).received < count && clock_mono() < until)
        (void)nanosleep(&pause, NULL);
    assert_int_equal(facts_of(scene.ingest, 0).received, count);
}

/* What waits for room is held by TLS already, which the socket does not show. A line that comes as
 * a whole needs none, so each is sent in two. */
static void long_lines_by_tls_wait_for_room_as_without(void **state) /* G12 */
{
    enum { LONG_BYTES = 20000, HALF = LONG_BYTES / 2, WAITERS = 8 };
    struct ingest_options options = options_for(scene.collector, 1);
    struct tls_client first;
    struct tls_client others[WAITERS];
    struct buf line = BUF_EMPTY;
    struct buf begin = BUF_EMPTY;
    struct error err = ERROR_EMPTY;
    uint64_t values = 1;
    (void)state;

    buf_text(&line, "a:1");
    for (; line.len < LONG_BYTES - 6; values++)
        buf_text(&line, ":1");
    buf_text(&line, "|c\nb:1|c\n");
    scene.listener.tls = must_load(NULL);
    scene.config.line_bytes_max = LONG_BYTES;
    scene.config.request_timeout = MS_PER_DAY;
    options.tail_bytes_max = LONG_BYTES;
    scene.ingest = ingest_start(&options, &scene.config, &err);
    assert_non_null(scene.ingest);
    assert_true(client_try(&first, NULL));
    buf_text(&begin, "b:1|c\n");
    buf_append(&begin, line.bytes, HALF);
    client_say(&first, begin.bytes, begin.len);
    wait_for_received(1); /* it has the room */
    for (unsigned i = 0; i < WAITERS; i++) {
        assert_true(client_try(&others[i], NULL));
        client_say(&others[i], line.bytes, HALF);
        wait_for_counter(&counters.connections_waiting, i + 1);
        client_say(&others[i], line.bytes + HALF, line.len - HALF - 1);
    }
    client_say(&first, line.bytes + HALF, line.len - HALF);
    client_end(&first, true);
    for (int i = 0; i < WAITERS; i++)
        client_end(&others[i], i % 2 == 0);
    uint64_t sent = (WAITERS + 1) * (values + 1) + 1;
    collector_wait(scene.collector, sent);
    assert_int_equal(collector_total(scene.collector).stored,
                     sent - WAITERS / 2); /* "b:1|c" without its goodbye */
    assert_int_equal(collector_total(scene.collector).rejected[REJECT_truncated], WAITERS / 2);
    buf_fini(&line);
    buf_fini(&begin);
}

static void plain_text_is_refused_where_tls_is_spoken(void **state)
{
    struct capture capture;
    (void)state;

    scene.listener.tls = must_load(NULL);
    start();
    capture_begin(&capture);
    int fd = dial(facts_of(scene.ingest, 0).listen);
    say(fd, "requests:1|c\n");
    capture_wait(&capture, "tls_failed");
    capture_end(&capture);
    (void)close(fd);
    ingest_stop(scene.ingest, 0);
    assert_int_equal(collector_total(scene.collector).received, 0);
}

static void a_client_needs_a_certificate_where_one_is_asked_for(void **state)
{
    static const char *const strangers[] = {NULL, "stranger"};
    struct tls_client client;
    (void)state;

    scene.listener.tls = must_load("ca");
    start();
    for (size_t i = 0; i < TEST_COUNT(strangers); i++) {
        if (client_try(&client, strangers[i])) /* TLS 1.3 tells a client late */
            client_wait_for_end(&client);
        client_end(&client, false);
    }
    assert_true(client_try(&client, "client"));
    client_say(&client, "requests:1|c\n", 13);
    client_end(&client, true);
    collector_wait(scene.collector, 1);
}

static void who_only_connects_is_no_connection_and_ends_with_the_listener(void **state)
{
    (void)state;

    scene.listener.tls = must_load(NULL);
    start();
    int fd = dial(facts_of(scene.ingest, 0).listen);
    say(fd, "\x16\x03\x01"); /* a handshake begins so */
    assert_int_equal(facts_of(scene.ingest, 0).connections, 0);
    ingest_stop(scene.ingest, 100);
    wait_until_closed(fd);
}

static void a_reload_brings_another_certificate_and_keeps_connections(void **state)
{
    struct tls_client old;
    struct tls_client fresh;
    struct error err = ERROR_EMPTY;
    (void)state;

    scene.listener.tls = must_load(NULL);
    start();
    assert_true(client_try(&old, NULL));
    client_say(&old, "requests:1|c\n", 13);
    collector_wait(scene.collector, 1);

    struct listener_config listener = scene.listener;
    const struct ingest_config config = config_for(&listener, 1);
    certificate_make(scene.folder, "server", NULL); /* one that our clients do not trust */
    listener.tls = must_load(NULL);
    assert_true(ingest_reload(scene.ingest, &config, &err));
    assert_false(client_try(&fresh, NULL));
    client_end(&fresh, false);
    client_say(&old, "requests:1|c\n", 13);
    client_end(&old, true);
    collector_wait(scene.collector, 2);
    ingest_stop(scene.ingest, 0);
    tls_release(scene.listener.tls);
    scene.listener.tls = listener.tls;
}

static void a_certificate_that_ends_soon_is_known(void **state)
{
    static const struct {
        long life_s;
        bool is_expiring;
    } cases[] = {
        {-CERTIFICATE_DAY_S, true},
        {-1, true},
        {TLS_EXPIRING_DAYS * CERTIFICATE_DAY_S - 60, true},
        {TLS_EXPIRING_DAYS * CERTIFICATE_DAY_S + 60, false},
        {CERTIFICATE_LIFE_S, false},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        wall_ms before = clock_wall();
        certificate_make_until(scene.folder, "server", "ca", cases[i].life_s);
        wall_ms after = clock_wall();
        struct tls *tls = must_load("ca");
        wall_ms life = cases[i].life_s * (wall_ms)MS_PER_SECOND;
        /* Of whole seconds, by a clock that may be a tick behind. */
        assert_true(tls_expires_at(tls) > before + life - 2 * MS_PER_SECOND);
        assert_true(tls_expires_at(tls) <= after + life);
        assert_int_equal(tls_is_expiring(tls, after), cases[i].is_expiring);
        assert_string_equal(tls_certificate(tls), path_of(3, "server", "crt"));
        tls_release(tls);
    }
}

/* FOLDER/NAME.crt: certificates that were made before, one behind the other, and then `more`. */
static void write_chain(const char *name, const char *const *of, size_t count, const char *more)
{
    FILE *file = certificate_open(scene.folder, name, "crt", "w");

    for (size_t i = 0; i < count; i++) {
        FILE *one = certificate_open(scene.folder, of[i], "crt", "r");
        X509 *certificate = PEM_read_X509(one, NULL, NULL, NULL);
        assert_non_null(certificate);
        assert_int_equal(PEM_write_X509(file, certificate), 1);
        X509_free(certificate);
        (void)fclose(one);
    }
    (void)fputs(more, file);
    (void)fclose(file);
}

static void the_certificates_behind_the_first_one_are_shown_too(void **state)
{
    static const char *const chain[] = {"server", "ca"};
    struct tls_client client;
    struct error err = ERROR_EMPTY;
    (void)state;

    write_chain("chain", chain, TEST_COUNT(chain), "what follows is not read\n");
    scene.listener.tls = load("chain", "server", NULL, &err);
    assert_non_null(scene.listener.tls);
    start();
    assert_true(client_try(&client, NULL));
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(client.ssl)), 2);
    client_end(&client, true);
    (void)unlink(path_of(3, "chain", "crt"));
}

static void a_client_may_be_of_any_of_several_authorities(void **state)
{
    static const char *const authorities[] = {"stranger", "ca", "stranger"};
    static const char *const clients[] = {"client", "stranger"};
    struct tls_client client;
    struct error err = ERROR_EMPTY;
    (void)state;

    write_chain("several", authorities, TEST_COUNT(authorities), "");
    scene.listener.tls = load("server", "server", "several", &err);
    assert_non_null(scene.listener.tls);
    start();
    for (size_t i = 0; i < TEST_COUNT(clients); i++) {
        assert_true(client_try(&client, clients[i]));
        assert_int_equal(sk_X509_NAME_num(SSL_get0_peer_CA_list(client.ssl)), 2);
        client_say(&client, "requests:1|c\n", 13);
        client_end(&client, true);
        collector_wait(scene.collector, i + 1);
    }
    (void)unlink(path_of(3, "several", "crt"));
}

static void files_that_cannot_be_used_are_named(void **state)
{
    static const char *const broken_chain[] = {"server"};
    static const struct {
        const char *cert, *key, *client_ca;
        const char *words;
    } cases[] = {
        {"none", "server", NULL, "cannot read certificate '"},
        {"server", "none", NULL, "cannot read key '"},
        {"server", "client", NULL, "' is not that of certificate '"},
        {"server", "server", "none", "cannot read the certificates of clients' authorities '"},
        {"broken", "server", NULL, "cannot use certificate '"},
        {"server", "broken", NULL, "cannot use key '"},
        {"server", "server", "broken", "cannot use the certificates of clients' authorities '"},
        {"half", "server", NULL, "cannot use certificate '"},
        {"server", "server", "half", "cannot use the certificates of clients' authorities '"},
        {"empty", "server", NULL, "no start line"},
        {"server", "empty", NULL, "cannot use key '"},
        {"server", "server", "empty", "no start line"},
        {"large", "server", NULL, "': it is larger than 1024 KiB"},
        {"folder", "server", NULL, "cannot read certificate '"},
        {"folder", "server", NULL, "': it is not a regular file"},
        /* none of them is waited for */
        {"fifo", "server", NULL, "': it is not a regular file"},
        {"server", "fifo", NULL, "': it is not a regular file"},
        {"server", "server", "fifo", "': it is not a regular file"},
    };
    static const char *const made[] = {"broken", "half", "empty", "large", "fifo"};
    (void)state;

    for (int i = 0; i < 2; i++) {
        const char *suffix = i == 0 ? "crt" : "key";
        FILE *file = certificate_open(scene.folder, "broken", suffix, "w");
        (void)fputs("-----BEGIN NOTHING-----\n", file);
        (void)fclose(file);
        (void)fclose(certificate_open(scene.folder, "empty", suffix, "w"));
        assert_int_equal(mkfifo(path_of(3, "fifo", suffix), 0600), 0);
    }
    write_chain("half", broken_chain, 1, "-----BEGIN CERTIFICATE-----\nMIIB\n");
    (void)fclose(certificate_open(scene.folder, "large", "crt", "w"));
    assert_int_equal(truncate(path_of(3, "large", "crt"), 1024 * 1024 + 1), 0);
    assert_int_equal(mkdir(path_of(3, "folder", "crt"), 0700), 0);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        assert_null(load(cases[i].cert, cases[i].key, cases[i].client_ca, &err));
        if (strstr(err.text, cases[i].words) == NULL)
            fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < TEST_COUNT(made); i++) {
        (void)unlink(path_of(3, made[i], "crt"));
        (void)unlink(path_of(3, made[i], "key"));
    }
    assert_int_equal(rmdir(path_of(3, "folder", "crt")), 0);
}

/* --- networks and users --- */

/* A socket of another loopback address than 127.0.0.1, connected to a listener. */
static int dial_from(const char *from, const char *listen, int type)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint64_t port = 0;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    assert_true(str_parse_u64(str_of(strrchr(listen, ':') + 1), &port));
    to.sin_port = htons((uint16_t)port);
    assert_int_equal(inet_pton(AF_INET, from, &own.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static struct network only_127_0_0_1(void)
{
    struct network network;
    struct error err = ERROR_EMPTY;
    assert_true(network_parse(STR("127.0.0.1"), &network, &err));
    return network;
}

static void connections_of_other_networks_are_closed_and_counted(void **state)
{
    const struct network allow = only_127_0_0_1();
    (void)state;

    scene.listener.allow = &allow;
    scene.listener.allow_count = 1;
    start();
    const char *listen = facts_of(scene.ingest, 0).listen;
    int bad = dial_from("127.0.0.2", listen, SOCK_STREAM);
    wait_until_closed(bad);
    int good = dial_from("127.0.0.1", listen, SOCK_STREAM);
    say(good, "requests:1|c\n");
    (void)close(good);
    collector_wait(scene.collector, 1);
    assert_int_equal(facts_of(scene.ingest, 0).connections_denied, 1);
}

static void datagrams_of_other_networks_are_received_and_rejected(void **state)
{
    const struct network allow = only_127_0_0_1();
    (void)state;

    scene.listener = udp_listener();
    scene.listener.allow = &allow;
    scene.listener.allow_count = 1;
    start();
    const char *listen = facts_of(scene.ingest, 0).listen;
    int bad = dial_from("127.0.0.2", listen, SOCK_DGRAM);
    int good = dial_from("127.0.0.1", listen, SOCK_DGRAM);
    say(bad, "requests:1|c\nrequests:1|c\n");
    say(good, "requests:1|c\n");
    collector_wait(scene.collector, 2);
    struct ledger total = collector_total(scene.collector);
    assert_int_equal(total.rejected[REJECT_denied], 1);
    assert_int_equal(total.stored, 1);
    (void)close(bad);
    (void)close(good);
}

static void a_reload_changes_who_may_speak(void **state)
{
    const struct network allow = only_127_0_0_1();
    struct error err = ERROR_EMPTY;
    (void)state;

    start();
    const char *listen = facts_of(scene.ingest, 0).listen;
    int fd = dial_from("127.0.0.2", listen, SOCK_STREAM);
    say(fd, "requests:1|c\n");
    collector_wait(scene.collector, 1);
    scene.listener.allow = &allow;
    scene.listener.allow_count = 1;
    assert_true(ingest_reload(scene.ingest, &scene.config, &err));
    wait_until_closed(dial_from("127.0.0.2", listen, SOCK_STREAM));
    (void)close(fd);
}

static void a_unix_stream_may_be_for_some_users_alone(void **state)
{
    unsigned users[] = {geteuid() + 1};
    struct error err = ERROR_EMPTY;
    (void)state;

    scene.listener = listener_of(TRANSPORT_UNIX, path_of(4, "socket", "sock"), "statsd unix");
    scene.listener.users = users;
    scene.listener.user_count = 1;
    start();
    wait_until_closed(dial(facts_of(scene.ingest, 0).listen));
    assert_int_equal(facts_of(scene.ingest, 0).connections_denied, 1);
    users[0] = geteuid();
    assert_true(ingest_reload(scene.ingest, &scene.config, &err));
    int fd = dial(facts_of(scene.ingest, 0).listen);
    say(fd, "requests:1|c\n");
    (void)close(fd);
    collector_wait(scene.collector, 1);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(lines_come_by_tls_as_they_do_without),
        SCENE_TEST(a_goodbye_right_behind_the_last_line_ends_the_connection),
        SCENE_TEST(an_end_without_a_goodbye_may_have_cut_the_last_line),
        SCENE_TEST(long_lines_by_tls_wait_for_room_as_without),
        SCENE_TEST(plain_text_is_refused_where_tls_is_spoken),
        SCENE_TEST(a_client_needs_a_certificate_where_one_is_asked_for),
        SCENE_TEST(who_only_connects_is_no_connection_and_ends_with_the_listener),
        SCENE_TEST(a_reload_brings_another_certificate_and_keeps_connections),
        SCENE_TEST(a_certificate_that_ends_soon_is_known),
        SCENE_TEST(the_certificates_behind_the_first_one_are_shown_too),
        SCENE_TEST(a_client_may_be_of_any_of_several_authorities),
        SCENE_TEST(files_that_cannot_be_used_are_named),
        SCENE_TEST(connections_of_other_networks_are_closed_and_counted),
        SCENE_TEST(datagrams_of_other_networks_are_received_and_rejected),
        SCENE_TEST(a_reload_changes_who_may_speak),
        SCENE_TEST(a_unix_stream_may_be_for_some_users_alone),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
