/* Who has a place for a TLS handshake when all are taken. */
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>

#include "base/counters.h"
#include "certificate.h"
#include "collector.h"
#include "ingest/handshake.h"
#include "ingest/tls.h"

static char folder[64];
static struct tls *tls;
static struct collector *collector;

static int setup(void **state)
{
    char cert[100];
    char key[100];
    struct error err = ERROR_EMPTY;
    (void)state;

    (void)snprintf(folder, sizeof folder, "/tmp/kpid-handshake-XXXXXX");
    assert_non_null(mkdtemp(folder));
    certificate_make(folder, "server", NULL);
    certificate_path(cert, sizeof cert, folder, "server", "crt");
    certificate_path(key, sizeof key, folder, "server", "key");
    const struct tls_files files = {cert, key, NULL};
    tls = tls_load(&files, &err);
    assert_non_null(tls);
    (void)unlink(cert);
    (void)unlink(key);
    assert_int_equal(rmdir(folder), 0);
    collector = collector_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    collector_free(collector);
    tls_release(tls);
    return 0;
}

/* --- on a worker that does not run -------------------------------------------------------------
 */

static struct ingest_shared shared;
static struct listener listener;

static void on_done(struct listener_part *part, int fd, SSL *ssl, const struct sockaddr *peer)
{
    (void)part;
    (void)fd;
    (void)ssl;
    (void)peer;
    fail_msg("nobody has said anything");
}

#define NOW INT64_C(1000000)

/* From 10.0.0.NUMBER; 0: from this machine. Returns the client's end; -1: there was no place. */
static int begin(struct listener_part *part, unsigned number, mono_ms now)
{
    const struct sockaddr_in peer = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(number == 0 ? INADDR_LOOPBACK : 0x0a000000 + number)};
    struct ingest_worker *worker = part->worker;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    (void)atomic_fetch_add(&shared.connections, 1);
    assert_true(peers_enter(&shared.peers, &worker->peer_places, ends[0],
                            (const struct sockaddr *)&peer, 0));
    if (handshake_begin(part, ends[0], (const struct sockaddr *)&peer, on_done, now))
        return ends[1];
    worker_connection_forget(worker, ends[0]);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return -1;
}

static bool is_closed(int fd)
{
    char byte = 0;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* `greedy` takes all places; returns how many of others got one, before any takes too long. Theirs
 * are not lost. */
static unsigned places_beside(unsigned greedy, unsigned others, bool are_one)
{
    struct ingest_options options = options_for(collector, 1);
    struct worker_settings settings = {.connections_max = 1000,
                                       .shard_limits = config_for(NULL, 0).shard_limits};
    struct ingest_worker *worker = worker_new(0, &options, &settings, &shared);
    struct listener_part part = {.worker = worker, .listener = &listener, .tls = tls};
    int first[HANDSHAKES_MAX];
    int rest[HANDSHAKES_MAX];
    uint64_t refused = COUNTER_GET(connections_refused);
    unsigned had_one = 0;

    for (int i = 0; i < HANDSHAKES_MAX; i++) {
        first[i] = begin(&part, greedy, NOW);
        assert_true(first[i] >= 0);
    }
    assert_int_equal(begin(&part, greedy, NOW + HANDSHAKE_IDLE_MS), -1);
    for (unsigned i = 0; i < others; i++) {
        rest[i] = begin(&part, greedy + 1 + (are_one ? 0 : i), NOW + HANDSHAKE_IDLE_MS);
        had_one += rest[i] >= 0;
    }
    assert_int_equal(COUNTER_GET(connections_refused), refused + had_one);
    for (unsigned i = 0; i < HANDSHAKES_MAX; i++) { /* the oldest ones gave way */
        assert_int_equal(is_closed(first[i]), i < had_one);
        (void)close(first[i]);
    }
    for (unsigned i = 0; i < others; i++) {
        assert_false(rest[i] >= 0 && is_closed(rest[i]));
        (void)close(rest[i]);
    }
    worker_free(worker);
    assert_int_equal(atomic_load(&shared.connections), 0);
    return had_one;
}

static void who_has_most_places_gives_way_to_others(void **state)
{
    (void)state;
    memset(&shared, 0, sizeof shared);
    shared.peers.seed = 1;
    assert_int_equal(places_beside(7, 100, false), 100);
    assert_int_equal(places_beside(0, 100, false), 100); /* to those of other machines too */
    assert_int_equal(places_beside(7, 200, true), HANDSHAKES_MAX / 2); /* each the half */
}

static void its_own_give_way_to_it_once_they_take_long(void **state)
{
    struct ingest_options options = options_for(collector, 1);
    struct worker_settings settings = {.connections_max = 1000,
                                       .shard_limits = config_for(NULL, 0).shard_limits};
    (void)state;

    memset(&shared, 0, sizeof shared);
    struct ingest_worker *worker = worker_new(0, &options, &settings, &shared);
    struct listener_part part = {.worker = worker, .listener = &listener, .tls = tls};
    int first = begin(&part, 0, NOW);
    int fds[HANDSHAKES_MAX];
    for (int i = 0; i < HANDSHAKES_MAX - 1; i++)
        fds[i] = begin(&part, 0, NOW + 1);
    assert_int_equal(begin(&part, 0, NOW + HANDSHAKE_IDLE_MS), -1);
    assert_false(is_closed(first));
    fds[HANDSHAKES_MAX - 1] = begin(&part, 0, NOW + HANDSHAKE_IDLE_MS + 1);
    assert_true(is_closed(first));
    (void)close(first);
    for (int i = 0; i < HANDSHAKES_MAX; i++) {
        assert_true(fds[i] >= 0 && !is_closed(fds[i]));
        (void)close(fds[i]);
    }
    worker_free(worker);
}

/* --- with clients ------------------------------------------------------------------------------
 */

static bool shakes_hands(const char *listen)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    int fd = dial(listen);

    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    bool ok = SSL_connect(ssl) == 1;
    SSL_free(ssl);
    SSL_CTX_free(context);
    (void)close(fd);
    return ok;
}

/* Even those of the same address, which cannot be told apart: not for as long as a handshake may
 * take. */
static void silent_ones_give_way_after_a_while(void **state)
{
    struct listener_config config = tcp_listener();
    struct ingest_config all = config_for(&config, 1);
    int silent[HANDSHAKES_MAX];
    bool ok = false;
    (void)state;

    config.tls = tls;
    all.connections_max = 10 * HANDSHAKES_MAX;
    struct ingest *ingest = must_start(collector, 1, &all);
    struct listener_facts facts = facts_of(ingest, 0);
    uint64_t failed = COUNTER_GET(tls_failures);
    for (int i = 0; i < HANDSHAKES_MAX; i++)
        silent[i] = dial(facts.listen);
    mono_ms began = clock_mono();
    while (!ok && clock_mono() - began < PATIENCE_S * (mono_ms)MS_PER_SECOND)
        ok = shakes_hands(facts.listen);
    assert_true(ok);
    assert_int_equal(COUNTER_GET(tls_failures), failed); /* none was over its time */
    for (int i = 0; i < HANDSHAKES_MAX; i++)
        (void)close(silent[i]);
    ingest_free(ingest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_most_places_gives_way_to_others),
        cmocka_unit_test(its_own_give_way_to_it_once_they_take_long),
        cmocka_unit_test(silent_ones_give_way_after_a_while),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, setup, teardown);
}
