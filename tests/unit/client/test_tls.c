/* The client library by TLS: whom it trusts, what it says when it does not, and that batches go
 * through as they do without. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>

#include "certificate.h"
#include "fake_kpid.h"

enum { TURNS_MAX = 100000, PATHS = 4 };

static char folder[] = "/tmp/kpid-client-tls-XXXXXX";
static const char *const NAMES[] = {"ca",  "server", "renewed", "expired", "client", "stranger",
                                    "old", "of_old", "odd",     "nobody",  "crowd"};

static const char *path_of(const char *name, const char *suffix)
{
    static char paths[PATHS][128];
    static int next;

    next = (next + 1) % PATHS;
    certificate_path(paths[next], sizeof paths[next], folder, name, suffix);
    return paths[next];
}

static int make_certificates(void **state)
{
    char crowd[4096];
    size_t len = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        len += (size_t)snprintf(crowd + len, sizeof crowd - len, "%sDNS:host%d.kpid.example",
                                i == 0 ? "" : ",", i);
    assert_non_null(mkdtemp(folder));
    certificate_make(folder, "ca", NULL);
    certificate_make(folder, "server", "ca");
    certificate_make(folder, "renewed", "ca");
    certificate_make_until(folder, "expired", "ca", -CERTIFICATE_DAY_S);
    certificate_make(folder, "client", "ca");
    certificate_make(folder, "stranger", NULL);
    certificate_make_until(folder, "old", NULL, -CERTIFICATE_DAY_S);
    certificate_make(folder, "of_old", "old");
    certificate_make_for(folder, "odd", "ca", CERTIFICATE_LIFE_S, "DNS:\x1b[2Ja,email:a@b,IP:::1");
    certificate_make_for(folder, "nobody", "ca", CERTIFICATE_LIFE_S, "email:a@b");
    certificate_make_for(folder, "crowd", "ca", CERTIFICATE_LIFE_S, crowd);
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(NAMES); i++) {
        (void)unlink(path_of(NAMES[i], "crt"));
        (void)unlink(path_of(NAMES[i], "key"));
    }
    (void)unlink(path_of("locked", "key"));
    return rmdir(folder);
}

/* --- a fake kpid that speaks TLS ---------------------------------------------------------------
 */

static struct secure {
    struct pair pair;
    SSL_CTX *context;
} secure;

static void use_certificate(const char *name, const char *client_ca)
{
    SSL_CTX_free(secure.context);
    secure.context = SSL_CTX_new(TLS_server_method());
    assert_non_null(secure.context);
    (void)SSL_CTX_set_mode(secure.context, SSL_MODE_ENABLE_PARTIAL_WRITE);
    assert_int_equal(
        SSL_CTX_use_certificate_file(secure.context, path_of(name, "crt"), SSL_FILETYPE_PEM), 1);
    assert_int_equal(
        SSL_CTX_use_PrivateKey_file(secure.context, path_of(name, "key"), SSL_FILETYPE_PEM), 1);
    if (client_ca == NULL)
        return;
    assert_int_equal(SSL_CTX_load_verify_file(secure.context, path_of(client_ca, "crt")), 1);
    SSL_CTX_set_verify(secure.context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

/* A listener of TCP in place of the socket, and a client of it: `way` is "tls:" or "tcp:". */
static void begin_at(const char *way, struct kpid_client_options options)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct pair *pair = &secure.pair;
    socklen_t len = sizeof address;
    char text[64];

    *pair = (struct pair){0};
    fake_begin(&pair->fake);
    fake_vanish(&pair->fake);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pair->fake.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(pair->fake.listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(pair->fake.listener, 4), 0);
    assert_int_equal(getsockname(pair->fake.listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(text, sizeof text, "%s127.0.0.1:%u", way, ntohs(address.sin_port));
    options.address = text;
    options.on_answer = on_answer;
    options.arg = pair;
    pair->client = kpid_client_new(&options);
    assert_non_null(pair->client);
}

/* What the client shows and trusts, by name; NULL: nothing. */
static bool set_tls(const char *ca, const char *certificate, const char *host)
{
    const struct kpid_client_tls files = {
        .ca_file = ca == NULL ? NULL : path_of(ca, "crt"),
        .cert_file = certificate == NULL ? NULL : path_of(certificate, "crt"),
        .key_file = certificate == NULL ? NULL : path_of(certificate, "key"),
        .name = host,
    };
    return kpid_client_set_tls(secure.pair.client, &files);
}

static void begin(struct kpid_client_options options)
{
    use_certificate("server", NULL);
    begin_at("tls:", options);
    assert_true(set_tls("ca", NULL, NULL));
}

static void end(void)
{
    SSL_CTX_free(secure.context);
    secure.context = NULL;
    pair_end(&secure.pair);
    ERR_clear_error();
}

/* With room for less than a batch on the way. */
static void meet(void)
{
    const int size = 32768;
    struct fake *fake = &secure.pair.fake;

    for (int i = 0; i < TURNS_MAX && fake->fd < 0; i++) {
        kpid_client_work(secure.pair.client);
        (void)fake_accept(fake);
    }
    assert_true(fake->fd >= 0);
    assert_int_equal(setsockopt(fake->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
    assert_int_equal(
        setsockopt(kpid_client_fd(secure.pair.client), SOL_SOCKET, SO_SNDBUF, &size, sizeof size),
        0);
}

/* Both sides shake hands. Whether the fake kpid came to the end of it. */
static bool shake_hands(void)
{
    struct fake *fake = &secure.pair.fake;
    int rc = -1;

    meet();
    fake->ssl = SSL_new(secure.context);
    assert_non_null(fake->ssl);
    assert_int_equal(SSL_set_fd(fake->ssl, fake->fd), 1);
    SSL_set_accept_state(fake->ssl);
    for (int i = 0; i < TURNS_MAX; i++) {
        kpid_client_work(secure.pair.client);
        ERR_clear_error();
        rc = SSL_do_handshake(fake->ssl);
        int what = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(fake->ssl, rc);
        if (what != SSL_ERROR_WANT_READ && what != SSL_ERROR_WANT_WRITE)
            return rc == 1;
    }
    fail_msg("the handshake does not end");
    return false;
}

/* The next frame, for which the client may have to work. */
static const Kpid__V1__ClientFrame *must_read(void)
{
    const Kpid__V1__ClientFrame *frame = NULL;

    for (int i = 0; i < TURNS_MAX && frame == NULL; i++) {
        kpid_client_work(secure.pair.client);
        frame = fake_read(&secure.pair.fake);
    }
    assert_non_null(frame);
    return frame;
}

static void greet_by_tls(void)
{
    assert_true(shake_hands());
    assert_int_equal(must_read()->kind_case, KPID__V1__CLIENT_FRAME__KIND_HELLO);
    fake_welcome(&secure.pair.fake, FRAME_MAX, 8);
    for (int i = 0; i < TURNS_MAX && !kpid_client_is_connected(secure.pair.client); i++)
        kpid_client_work(secure.pair.client);
    assert_true(kpid_client_is_connected(secure.pair.client));
}

/* Until the client has left its connection. */
static void wait_until_left(void)
{
    for (int i = 0; i < TURNS_MAX && kpid_client_fd(secure.pair.client) >= 0; i++)
        kpid_client_work(secure.pair.client);
    assert_int_equal(kpid_client_fd(secure.pair.client), -1);
}

static void assert_says(const char *words)
{
    const char *trouble = kpid_client_trouble(secure.pair.client);
    if (strstr(trouble, words) == NULL)
        fail_msg("'%s' does not say '%s'", trouble, words);
}

static void assert_advises(const char *words)
{
    const char *hint = kpid_client_hint(secure.pair.client);
    if (strstr(hint, words) == NULL)
        fail_msg("'%s' does not advise '%s'", hint, words);
}

/* --- what works --- */

static void batches_are_acknowledged_as_they_are_without(void **state)
{
    (void)state;
    begin((struct kpid_client_options){.token = "secret"});
    send_one(&secure.pair);
    assert_true(shake_hands());
    assert_string_equal(must_read()->hello->token, "secret");
    assert_null(SSL_get_servername(secure.pair.fake.ssl, TLSEXT_NAMETYPE_host_name));
    fake_welcome(&secure.pair.fake, FRAME_MAX, 8);
    assert_int_equal(must_read()->batch->sequence, 1);
    fake_ack(&secure.pair.fake, 1, 1);
    assert_int_equal(kpid_client_flush(secure.pair.client, 60000), KPID_OK);
    assert_string_equal(kpid_client_trouble(secure.pair.client), "");
    end();
}

static void the_name_that_is_expected_is_asked_for(void **state)
{
    (void)state;
    begin((struct kpid_client_options){0});
    assert_true(set_tls("ca", NULL, "localhost."));
    send_one(&secure.pair);
    assert_true(shake_hands());
    assert_string_equal(SSL_get_servername(secure.pair.fake.ssl, TLSEXT_NAMETYPE_host_name),
                        "localhost");
    assert_true(SSL_version(secure.pair.fake.ssl) >= TLS1_2_VERSION);
    end();
}

static void what_has_no_answer_is_sent_again_after_the_certificate_was_renewed(void **state)
{
    (void)state;
    begin((struct kpid_client_options){0});
    for (int i = 0; i < 3; i++)
        send_one(&secure.pair);
    greet_by_tls();
    for (uint64_t sequence = 1; sequence <= 3; sequence++)
        assert_int_equal(must_read()->batch->sequence, sequence);
    fake_ack(&secure.pair.fake, 2, 1);
    fake_cut(&secure.pair.fake);
    wait_until_left();
    use_certificate("renewed", NULL);
    fake_us += SECOND_US;
    greet_by_tls();
    assert_int_equal(must_read()->batch->sequence, 1);
    assert_int_equal(must_read()->batch->sequence, 3);
    fake_ack(&secure.pair.fake, 1, 1);
    fake_ack(&secure.pair.fake, 3, 1);
    assert_int_equal(kpid_client_flush(secure.pair.client, 60000), KPID_OK);
    assert_int_equal(kpid_client_stats(secure.pair.client).stored, 3);
    assert_int_equal(kpid_client_stats(secure.pair.client).resent, 2);
    end();
}

/* What the fake kpid says goes out at once when this ends. */
static void hold_back(int is_on)
{
    assert_int_equal(setsockopt(secure.pair.fake.fd, IPPROTO_TCP, TCP_CORK, &is_on, sizeof is_on),
                     0);
}

/* SIGPIPE would end this program. Linux raises it at the second write after a reset, which is only
 * tried while there is something left to read. */
static void a_connection_that_is_cut_raises_no_signal(void **state)
{
    (void)state;
    enum { ANSWERS = 200 }; /* more than the client reads in a few calls */
    const struct linger at_once = {.l_onoff = 1};
    begin((struct kpid_client_options){.batch_samples = 60000, .memory_max = 64 << 20});
    send_one(&secure.pair);
    greet_by_tls();
    for (int i = 0; i < 60000; i++)
        add(&secure.pair, i);
    kpid_client_send(secure.pair.client); /* more than the socket takes */
    assert_true((kpid_client_events(secure.pair.client) & POLLOUT) != 0);
    hold_back(true);
    for (int i = 0; i < ANSWERS; i++)
        fake_send(&secure.pair.fake, "\0\0\0\3\x7a\1x", 7);
    hold_back(false);
    assert_int_equal(
        setsockopt(secure.pair.fake.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    fake_cut(&secure.pair.fake);
    wait_until_left();
    assert_int_equal(kpid_client_stats(secure.pair.client).waiting, 60001);
    end();
}

static void a_batch_goes_out_in_the_pieces_that_the_socket_takes(void **state)
{
    (void)state;
    enum { SAMPLES = 60000 };
    begin((struct kpid_client_options){.batch_samples = SAMPLES, .memory_max = 64 << 20});
    for (int i = 0; i < SAMPLES; i++)
        add(&secure.pair, i * 0.37);
    kpid_client_send(secure.pair.client);
    greet_by_tls();
    assert_true((kpid_client_events(secure.pair.client) & POLLOUT) != 0);
    uint64_t batches = kpid_client_stats(secure.pair.client).batches;
    size_t at = 0;
    for (uint64_t sequence = 1; sequence <= batches; sequence++) {
        const Kpid__V1__Batch *batch = must_read()->batch;
        assert_int_equal(batch->sequence, sequence);
        for (size_t i = 0; i < batch->n_values; i++, at++)
            assert_true(batch->values[i] == (double)at * 0.37);
        fake_ack(&secure.pair.fake, sequence, batch->n_values);
    }
    assert_int_equal(at, SAMPLES);
    assert_int_equal(kpid_client_flush(secure.pair.client, 60000), KPID_OK);
    end();
}

static void frames_that_are_longer_than_a_record_are_read_to_their_end(void **state)
{
    (void)state;
    enum { LONG = 65000 }; /* of a kind that a later version may have */
    static unsigned char frame[4 + LONG] = {0, 0, LONG >> 8, LONG & 0xff, 0x7a};
    size_t at = 0;
    begin((struct kpid_client_options){0});
    send_one(&secure.pair);
    greet_by_tls();
    assert_int_equal(must_read()->batch->sequence, 1);
    frame[5] = ((LONG - 4) & 0x7f) | 0x80;
    frame[6] = ((LONG - 4) >> 7 & 0x7f) | 0x80;
    frame[7] = (LONG - 4) >> 14;
    while (at < sizeof frame) {
        int sent = SSL_write(secure.pair.fake.ssl, frame + at, (int)(sizeof frame - at));
        assert_true(sent > 0);
        at += (size_t)sent;
        kpid_client_work(secure.pair.client);
    }
    fake_ack(&secure.pair.fake, 1, 1);
    assert_int_equal(kpid_client_flush(secure.pair.client, 60000), KPID_OK);
    end();
}

static void new_keys_in_the_middle_are_taken(void **state)
{
    (void)state;
    begin((struct kpid_client_options){0});
    send_one(&secure.pair);
    greet_by_tls();
    assert_int_equal(must_read()->batch->sequence, 1);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(SSL_key_update(secure.pair.fake.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(secure.pair.fake.ssl), 1);
        if (i % 40 == 0)
            kpid_client_work(secure.pair.client);
        assert_null(fake_read(&secure.pair.fake));
    }
    fake_ack(&secure.pair.fake, 1, 1);
    assert_int_equal(kpid_client_flush(secure.pair.client, 60000), KPID_OK);
    end();
}

static void the_end_is_said_with_a_goodbye(void **state)
{
    (void)state;
    char byte = 0;
    begin((struct kpid_client_options){0});
    send_one(&secure.pair);
    greet_by_tls();
    assert_int_equal(must_read()->batch->sequence, 1);
    kpid_client_free(secure.pair.client);
    assert_int_equal(SSL_read(secure.pair.fake.ssl, &byte, 1), 0);
    assert_int_equal(SSL_get_error(secure.pair.fake.ssl, 0), SSL_ERROR_ZERO_RETURN);
    secure.pair.client =
        kpid_client_new(&(struct kpid_client_options){.address = secure.pair.fake.address});
    end();
}

static void a_goodbye_of_kpid_ends_the_connection(void **state)
{
    (void)state;
    begin((struct kpid_client_options){0});
    send_one(&secure.pair);
    greet_by_tls();
    assert_int_equal(must_read()->batch->sequence, 1);
    (void)SSL_shutdown(secure.pair.fake.ssl);
    wait_until_left();
    assert_says("kpid has closed the connection");
    fake_cut(&secure.pair.fake);
    fake_us += SECOND_US;
    greet_by_tls();
    assert_int_equal(must_read()->batch->sequence, 1);
    end();
}

/* --- whom it does not trust --- */

static void a_certificate_that_is_not_good_ends_it_before_anything_is_sent(void **state)
{
    (void)state;
    static const struct {
        const char *ca, *server, *host;
        const char *words, *hint;
    } cases[] = {
        {"old", "of_old", NULL, "an authority of the certificate of '127.0.0.1:", ""},
        {NULL, "server", NULL, "is of an authority that is not trusted", "as the CA file"},
        {"stranger", "server", NULL, "is of an authority that is not trusted",
         "another one than that of the CA file"},
        {"ca", "stranger", NULL, "is of an authority that is not trusted", "CA file"},
        {"ca", "expired", NULL, "has expired, on 20", ""},
        {"ca", "server", "kpid.example", "' is not for 'kpid.example'",
         "it is for 'localhost', '127.0.0.1'"},
        {"ca", "server", "127.0.0.2", "' is not for '127.0.0.2'", "it is for 'localhost'"},
        {"ca", "server", "::1", "' is not for '::1'", "it is for 'localhost'"},
        /* The name of its subject does not count. */
        {"ca", "server", "server", "' is not for 'server'", "it is for 'localhost'"},
        {"ca", "nobody", "nobody", "' is not for 'nobody'", "it names nobody"},
        /* Its names are anybody's words. */
        {"ca", "odd", NULL, "' is not for '127.0.0.1'", "it is for '?[2Ja', '::1'"},
        {"ca", "crowd", NULL, "' is not for '127.0.0.1'", "it is for 'host0.kpid.example', 'host1"},
    };

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        begin((struct kpid_client_options){.token = "secret"});
        use_certificate(cases[i].server, NULL);
        assert_true(set_tls(cases[i].ca, NULL, cases[i].host));
        send_one(&secure.pair);
        assert_false(shake_hands());
        wait_until_left();
        assert_says("the certificate of '127.0.0.1:");
        assert_says(cases[i].words);
        assert_advises(cases[i].hint);
        assert_int_equal(kpid_client_flush(secure.pair.client, 60000), KPID_UNTRUSTED);
        assert_int_equal(kpid_client_stats(secure.pair.client).sent_bytes, 0);
        /* It is tried again, and goes on when it is good. */
        fake_cut(&secure.pair.fake);
        use_certificate("server", NULL);
        assert_true(set_tls("ca", NULL, NULL));
        fake_us += SECOND_US;
        greet_by_tls();
        assert_int_equal(must_read()->batch->sequence, 1);
        fake_ack(&secure.pair.fake, 1, 1);
        assert_int_equal(kpid_client_flush(secure.pair.client, 60000), KPID_OK);
        end();
    }
}

static void whoever_does_not_speak_tls_hears_no_plain_text(void **state)
{
    (void)state;
    static const char *const answers[] = {"\0\0\0\2\x0a\0", "HTTP/1.1 400 Bad Request\r\n\r\n"};
    char heard[4096];

    for (size_t i = 0; i < TEST_COUNT(answers); i++) {
        begin((struct kpid_client_options){.token = "secret"});
        send_one(&secure.pair);
        meet();
        kpid_client_work(secure.pair.client);
        assert_int_equal(send(secure.pair.fake.fd, answers[i], i == 0 ? 6 : strlen(answers[i]), 0),
                         i == 0 ? 6 : strlen(answers[i]));
        wait_until_left();
        assert_says("127.0.0.1:");
        assert_says("does not speak TLS");
        assert_advises("a listener with 'tls'");
        ssize_t got = recv(secure.pair.fake.fd, heard, sizeof heard, 0);
        assert_true(got > 0 && memmem(heard, (size_t)got, "secret", 6) == NULL);
        end();
    }
}

static void whoever_closes_instead_of_speaking_tls_is_told_of(void **state)
{
    (void)state;
    begin((struct kpid_client_options){0});
    send_one(&secure.pair);
    meet();
    (void)shutdown(secure.pair.fake.fd, SHUT_WR);
    wait_until_left();
    assert_says("has closed the connection instead of speaking TLS");
    end();
}

static void whoever_says_nothing_is_left(void **state)
{
    (void)state;
    begin((struct kpid_client_options){0});
    send_one(&secure.pair);
    meet();
    kpid_client_work(secure.pair.client);
    assert_int_equal(kpid_client_events(secure.pair.client), POLLIN);
    assert_true(kpid_client_timeout_ms(secure.pair.client) > 9000);
    fake_us += 10 * SECOND_US;
    kpid_client_work(secure.pair.client);
    assert_int_equal(kpid_client_fd(secure.pair.client), -1);
    assert_says("kpid does not answer");
    end();
}

static void an_old_version_is_not_spoken(void **state)
{
    (void)state;
    begin((struct kpid_client_options){0});
    assert_int_equal(SSL_CTX_set_cipher_list(secure.context, "ALL:@SECLEVEL=0"), 1);
    assert_int_equal(SSL_CTX_set_min_proto_version(secure.context, TLS1_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(secure.context, TLS1_1_VERSION), 1);
    send_one(&secure.pair);
    assert_false(shake_hands());
    wait_until_left();
    assert_says("cannot speak TLS with '127.0.0.1:");
    end();
}

static void plain_text_to_a_listener_of_tls_has_a_hint(void **state)
{
    (void)state;
    static const char alert[] = {0x15, 3, 1, 0, 2, 2, 70};
    use_certificate("server", NULL);
    begin_at("tcp:", (struct kpid_client_options){0});
    send_one(&secure.pair);
    meet();
    kpid_client_work(secure.pair.client);
    assert_int_equal(send(secure.pair.fake.fd, alert, sizeof alert, 0), sizeof alert);
    wait_until_left();
    assert_advises("if its listener has 'tls', write the address as tls:127.0.0.1:");
    end();
}

/* --- certificates of clients --- */

static void a_certificate_that_is_asked_for_is_shown(void **state)
{
    (void)state;
    begin((struct kpid_client_options){0});
    use_certificate("server", "ca");
    assert_true(set_tls("ca", "client", NULL));
    send_one(&secure.pair);
    greet_by_tls();
    const X509 *shown = SSL_get0_peer_certificate(secure.pair.fake.ssl);
    assert_non_null(shown);
    assert_int_equal(must_read()->batch->sequence, 1);
    end();
}

static void a_certificate_that_is_missing_or_strange_is_denied(void **state)
{
    (void)state;
    static const struct {
        int version;
        const char *certificate;
        const char *words, *hint;
    } cases[] = {
        {TLS1_3_VERSION, NULL, "' wants a certificate of this client", "client_ca"},
        {TLS1_3_VERSION, "stranger", "' does not trust the authority of this client's certificate",
         ""},
        {TLS1_3_VERSION, "expired", "' says that this client's certificate has expired", ""},
        {TLS1_2_VERSION, "stranger", "' does not trust the authority of this client's certificate",
         ""},
        {TLS1_2_VERSION, NULL, "cannot speak TLS with '127.0.0.1:", "a certificate of this client"},
    };

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        begin((struct kpid_client_options){0});
        use_certificate("server", "ca");
        assert_int_equal(SSL_CTX_set_max_proto_version(secure.context, cases[i].version), 1);
        assert_true(set_tls("ca", cases[i].certificate, NULL));
        send_one(&secure.pair);
        assert_false(shake_hands());
        wait_until_left();
        assert_says(cases[i].words);
        assert_advises(cases[i].hint);
        bool is_clear = cases[i].certificate != NULL || cases[i].version == TLS1_3_VERSION;
        assert_int_equal(kpid_client_flush(secure.pair.client, 0),
                         is_clear ? KPID_DENIED : KPID_TIMEOUT);
        assert_int_equal(kpid_client_stats(secure.pair.client).waiting, 1);
        end();
    }
}

/* --- files --- */

static void lock_key(void)
{
    FILE *file = certificate_open(folder, "client", "key", "r");
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    unsigned char password[] = "open sesame";

    (void)fclose(file);
    file = certificate_open(folder, "locked", "key", "w");
    assert_int_equal(PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), password,
                                          sizeof password - 1, NULL, NULL),
                     1);
    (void)fclose(file);
    EVP_PKEY_free(key);
}

static void files_that_cannot_be_used_are_named_and_change_nothing(void **state)
{
    (void)state;
    char none[128], ca[128], cert[128], key[128], other[128], locked[128];

    begin((struct kpid_client_options){0});
    lock_key();
    certificate_path(none, sizeof none, folder, "none", "crt");
    certificate_path(ca, sizeof ca, folder, "ca", "crt");
    certificate_path(cert, sizeof cert, folder, "client", "crt");
    certificate_path(key, sizeof key, folder, "client", "key");
    certificate_path(other, sizeof other, folder, "stranger", "key");
    certificate_path(locked, sizeof locked, folder, "locked", "key");
    const struct {
        struct kpid_client_tls files;
        const char *words;
    } cases[] = {
        {{.ca_file = none}, "cannot read the authorities '"},
        {{.ca_file = none}, "none.crt': No such file or directory"},
        {{.ca_file = key}, "cannot use the authorities '"},
        {{.ca_file = ca, .cert_file = none, .key_file = key}, "cannot read certificate '"},
        {{.ca_file = ca, .cert_file = key, .key_file = key}, "cannot use certificate '"},
        {{.ca_file = ca, .cert_file = cert, .key_file = none}, "cannot read key '"},
        {{.ca_file = ca, .cert_file = cert}, "cannot use key '"},
        {{.ca_file = ca, .cert_file = cert, .key_file = other}, "' is not that of certificate '"},
        {{.ca_file = ca, .cert_file = cert, .key_file = locked},
         "locked.key': it needs a password"},
        {{.ca_file = ca, .key_file = key}, "' is of no use without its certificate"},
        {{.ca_file = ca, .name = ""}, "a certificate cannot be for ''"},
        {{.ca_file = ca, .name = "%lo"}, "a certificate cannot be for '%lo'"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_false(kpid_client_set_tls(secure.pair.client, &cases[i].files));
        assert_says(cases[i].words);
        assert_int_equal(ERR_peek_error(), 0);
    }
    send_one(&secure.pair);
    greet_by_tls(); /* by the authority that was there before */
    end();
}

static void an_address_without_tls_takes_no_files(void **state)
{
    (void)state;
    use_certificate("server", NULL);
    begin_at("tcp:", (struct kpid_client_options){0});
    assert_false(set_tls("ca", NULL, NULL));
    assert_says("not one of TLS");
    assert_advises("tls:HOST:PORT");
    end();
}

static void an_address_of_tls_is_as_one_of_tcp(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        bool is_one;
    } cases[] = {
        {"tls:kpid.example:8641", true}, {"tls:[::1]:8641", true}, {"tls:::1:8641", false},
        {"tls:kpid.example", false},     {"tls:", false},          {"tls:/run/kpid.sock", false},
        {"TLS:kpid.example:1", false},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct kpid_client *client =
            kpid_client_new(&(struct kpid_client_options){.address = cases[i].address});
        assert_int_equal(client != NULL, cases[i].is_one);
        kpid_client_free(client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_acknowledged_as_they_are_without),
        cmocka_unit_test(the_name_that_is_expected_is_asked_for),
        cmocka_unit_test(what_has_no_answer_is_sent_again_after_the_certificate_was_renewed),
        cmocka_unit_test(a_connection_that_is_cut_raises_no_signal),
        cmocka_unit_test(a_batch_goes_out_in_the_pieces_that_the_socket_takes),
        cmocka_unit_test(frames_that_are_longer_than_a_record_are_read_to_their_end),
        cmocka_unit_test(new_keys_in_the_middle_are_taken),
        cmocka_unit_test(the_end_is_said_with_a_goodbye),
        cmocka_unit_test(a_goodbye_of_kpid_ends_the_connection),
        cmocka_unit_test(a_certificate_that_is_not_good_ends_it_before_anything_is_sent),
        cmocka_unit_test(whoever_does_not_speak_tls_hears_no_plain_text),
        cmocka_unit_test(whoever_closes_instead_of_speaking_tls_is_told_of),
        cmocka_unit_test(whoever_says_nothing_is_left),
        cmocka_unit_test(an_old_version_is_not_spoken),
        cmocka_unit_test(plain_text_to_a_listener_of_tls_has_a_hint),
        cmocka_unit_test(a_certificate_that_is_asked_for_is_shown),
        cmocka_unit_test(a_certificate_that_is_missing_or_strange_is_denied),
        cmocka_unit_test(files_that_cannot_be_used_are_named_and_change_nothing),
        cmocka_unit_test(an_address_without_tls_takes_no_files),
        cmocka_unit_test(an_address_of_tls_is_as_one_of_tcp),
    };
    (void)signal(SIGPIPE, SIG_DFL); /* whoever runs this may ignore it */
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
