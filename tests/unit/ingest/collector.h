/* A sink that adds up what a real ingest hands over, and clients to talk to it. Everything waits on
 * conditions; what takes longer than PATIENCE_S has failed. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ingest/ingest.h"
#include "test.h"

enum { PATIENCE_S = 60, COLLECTED_MAX = 256, LISTENERS_MAX = 8 };

struct collected {
    struct series_hash hash;
    char metric[64];
    double count;
    double sum;
    double last;
    uint64_t changes; /* of a gauge, before its first absolute value */
    double changed;
};

struct collector {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool has_room;
    unsigned deltas;
    struct ledger total;
    char names[LISTENERS_MAX][64]; /* of the ledgers */
    struct ledger ledgers[LISTENERS_MAX];
    struct collected series[COLLECTED_MAX];
    size_t series_count;
};

static inline struct collector *collector_new(void)
{
    struct collector *collector = calloc(1, sizeof *collector);
    assert_non_null(collector);
    (void)pthread_mutex_init(&collector->lock, NULL);
    (void)pthread_cond_init(&collector->changed, NULL);
    collector->has_room = true;
    return collector;
}

static inline void collector_free(struct collector *collector)
{
    (void)pthread_cond_destroy(&collector->changed);
    (void)pthread_mutex_destroy(&collector->lock);
    free(collector);
}

static inline bool collector_has_room(void *arg)
{
    struct collector *collector = arg;
    (void)pthread_mutex_lock(&collector->lock);
    bool has_room = collector->has_room;
    (void)pthread_mutex_unlock(&collector->lock);
    return has_room;
}

static inline void collector_set_room(struct collector *collector, bool has_room)
{
    (void)pthread_mutex_lock(&collector->lock);
    collector->has_room = has_room;
    (void)pthread_mutex_unlock(&collector->lock);
}

/* Under lock. A series has its key in the first delta of a shard only. */
static inline struct collected *collector_series(struct collector *collector,
                                                 const struct delta_series *series)
{
    struct collected *found = NULL;

    for (size_t i = 0; i < collector->series_count && found == NULL; i++) {
        if (series_hash_equal(collector->series[i].hash, series->hash))
            found = &collector->series[i];
    }
    if (found == NULL) {
        assert_true(collector->series_count < COLLECTED_MAX);
        assert_true(series->key.len > 0);
        struct str metric = series_key_metric(series->key);
        found = &collector->series[collector->series_count++];
        found->hash = series->hash;
        (void)snprintf(found->metric, sizeof found->metric, "%.*s", STR_ARGS(metric));
    }
    return found;
}

static inline void collector_add_ledger(struct collector *collector,
                                        const struct delta_ledger *ledger)
{
    int i = 0;

    assert_true(ledger_balances(&ledger->counts));
    ledger_merge(&collector->total, &ledger->counts);
    while (collector->names[i][0] != '\0' && !str_is(ledger->listener, collector->names[i]))
        i++;
    assert_true(i < LISTENERS_MAX);
    (void)snprintf(collector->names[i], sizeof collector->names[i], "%.*s",
                   STR_ARGS(ledger->listener));
    ledger_merge(&collector->ledgers[i], &ledger->counts);
}

/* What a shard hands over counts exactly what it holds. */
static inline void expect_counted(const struct delta *delta)
{
    uint64_t samples = delta->point_count + delta->events;
    uint64_t stored = 0;

    for (size_t i = 0; i < delta->cell_count; i++)
        samples += delta_cell_samples(&delta->cells[i]);
    for (size_t i = 0; i < delta->ledger_count; i++)
        stored += delta->ledgers[i].counts.stored;
    assert_int_equal(stored, samples);
}

static inline bool collector_post(struct delta *delta, void *arg)
{
    struct collector *collector = arg;

    if (!delta_is_waited_for(delta))
        expect_counted(delta);
    delta->on_done(delta, NULL); /* before it can be seen here: then nothing of it is pending */
    (void)pthread_mutex_lock(&collector->lock);
    assert_false(delta_is_empty(delta));
    collector->deltas++;
    for (size_t i = 0; i < delta->cell_count; i++) {
        const struct delta_cell *cell = &delta->cells[i];
        struct collected *series = collector_series(collector, &delta->series[cell->series]);
        series->count += aggregate_count(&cell->cell.aggregate);
        if (cell->changes != NULL) {
            series->changes += cell->changes->count;
            series->changed += cell->changes->total;
        }
        if (cell->cell.aggregate.count > 0) {
            series->sum += aggregate_sum(&cell->cell.aggregate);
            series->last = cell->cell.aggregate.last;
        }
    }
    for (size_t i = 0; i < delta->ledger_count; i++)
        collector_add_ledger(collector, &delta->ledgers[i]);
    (void)pthread_cond_broadcast(&collector->changed);
    (void)pthread_mutex_unlock(&collector->lock);
    delta_free(delta);
    return true;
}

static inline struct timespec patience(void)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    return until;
}

/* Waits until so many samples were handed over as received. */
static inline void collector_wait(struct collector *collector, uint64_t received)
{
    struct timespec until = patience();
    int rc = 0;

    (void)pthread_mutex_lock(&collector->lock);
    while (collector->total.received < received && rc == 0)
        rc = pthread_cond_timedwait(&collector->changed, &collector->lock, &until);
    uint64_t got = collector->total.received;
    (void)pthread_mutex_unlock(&collector->lock);
    if (got != received)
        fail_msg("%d samples came, want %d", (int)got, (int)received);
}

/* A copy of what has been collected of a metric; zeros when it never came. */
static inline struct collected collector_get(struct collector *collector, const char *metric)
{
    struct collected copy = {.count = 0};

    (void)pthread_mutex_lock(&collector->lock);
    for (size_t i = 0; i < collector->series_count; i++) {
        if (strcmp(collector->series[i].metric, metric) == 0)
            copy = collector->series[i];
    }
    (void)pthread_mutex_unlock(&collector->lock);
    return copy;
}

static inline struct ledger collector_total(struct collector *collector)
{
    (void)pthread_mutex_lock(&collector->lock);
    struct ledger copy = collector->total;
    (void)pthread_mutex_unlock(&collector->lock);
    return copy;
}

/* --- a whole ingest ----------------------------------------------------------------------------
 */

static inline struct listener_config listener_of(enum transport transport, const char *address,
                                                 const char *name)
{
    return (struct listener_config){
        .protocol = PROTOCOL_STATSD, .transport = transport, .address = address, .name = name};
}

static inline struct listener_config udp_listener(void)
{
    return listener_of(TRANSPORT_UDP, "127.0.0.1:0", "statsd udp");
}

static inline struct listener_config tcp_listener(void)
{
    return listener_of(TRANSPORT_TCP, "127.0.0.1:0", "statsd tcp");
}

static inline struct ingest_config config_for(const struct listener_config *listeners, size_t count)
{
    return (struct ingest_config){.listeners = listeners,
                                  .listener_count = count,
                                  .line_bytes_max = 1024,
                                  .frame_bytes_max = 4096,
                                  .connections_max = 100,
                                  .shard_limits = {.series = 100000,
                                                   .raw_keys = 200000,
                                                   .max_future = MS_PER_HOUR,
                                                   .max_past = MS_PER_DAY}};
}

static inline struct ingest_options options_for(struct collector *collector, unsigned threads)
{
    return (struct ingest_options){
        .threads = threads,
        .seed = 42,
        .flush_every = 5,
        .sink = {.has_room = collector_has_room, .post = collector_post, .arg = collector}};
}

static inline struct ingest *must_start(struct collector *collector, unsigned threads,
                                        const struct ingest_config *config)
{
    struct ingest_options options = options_for(collector, threads);
    struct error err = ERROR_EMPTY;
    struct ingest *ingest = ingest_start(&options, config, &err);
    if (ingest == NULL)
        fail_msg("%s (%s)", err.text, err.hint);
    return ingest;
}

static inline struct listener_facts facts_of(struct ingest *ingest, size_t i)
{
    struct listener_facts facts[LISTENERS_MAX];
    size_t count = ingest_listeners(ingest, facts, LISTENERS_MAX);
    assert_true(i < count && count <= LISTENERS_MAX);
    return facts[i];
}

static inline void wait_for_counter(const _Atomic uint64_t *counter, uint64_t value)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    mono_ms until = clock_mono() + PATIENCE_S * 1000;

    while (atomic_load(counter) != value && clock_mono() < until)
        (void)nanosleep(&pause, NULL);
    assert_int_equal(atomic_load(counter), value);
}

/* --- clients -----------------------------------------------------------------------------------
 */

/* Connects to what a listener's facts show; the caller closes it. Returns -1 when refused. */
static inline int try_dial(const char *listen)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } to = {.any.sa_family = AF_UNSPEC};
    bool is_datagram = strncmp(listen, "udp", 3) == 0 || strncmp(listen, "unixgram", 8) == 0;
    const char *address = strchr(listen, ':') + 1;
    const char *colon = strrchr(listen, ':');
    socklen_t len = sizeof to.v4;
    uint64_t port = 0;

    if (strncmp(listen, "unix", 4) == 0) {
        to.local.sun_family = AF_UNIX;
        (void)snprintf(to.local.sun_path, sizeof to.local.sun_path, "%s", address);
        len = sizeof to.local;
    } else if (address[0] == '[') {
        to.v6.sin6_family = AF_INET6;
        to.v6.sin6_addr = in6addr_loopback;
        len = sizeof to.v6;
    } else {
        to.v4.sin_family = AF_INET;
        to.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    if (to.any.sa_family != AF_UNIX) {
        assert_true(str_parse_u64(str_of(colon + 1), &port));
        to.v4.sin_port = htons((uint16_t)port); /* at the same place in both */
    }
    int fd = socket(to.any.sa_family, (is_datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, &to.any, len) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static inline int dial(const char *listen)
{
    int fd = try_dial(listen);
    if (fd < 0)
        fail_msg("cannot connect to '%s'", listen);
    return fd;
}

static inline void say_bytes(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        assert_true(sent > 0);
        bytes += sent;
        len -= (size_t)sent;
    }
}

static inline void say(int fd, const char *text)
{
    say_bytes(fd, text, strlen(text));
}

/* Waits until the other side has closed the connection. */
static inline void wait_until_closed(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    char byte = 0;

    assert_int_equal(poll(&wait, 1, PATIENCE_S * 1000), 1);
    ssize_t got = recv(fd, &byte, 1, 0);
    assert_true(got == 0 || (got < 0 && errno == ECONNRESET));
    (void)close(fd);
}

/* --- what the process logs ---------------------------------------------------------------------
 */

/* Stderr into a pipe, until capture_end. */
struct capture {
    int saved;
    int pipe_end;
    char text[8192];
    size_t len;
};

static inline void capture_begin(struct capture *capture)
{
    int ends[2];
    *capture = (struct capture){.saved = dup(STDERR_FILENO)};
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    (void)close(ends[1]);
    capture->pipe_end = ends[0];
}

/* Waits until `words` were logged. */
static inline void capture_wait(struct capture *capture, const char *words)
{
    while (strstr(capture->text, words) == NULL) {
        struct pollfd wait = {.fd = capture->pipe_end, .events = POLLIN};
        if (poll(&wait, 1, PATIENCE_S * 1000) != 1)
            fail_msg("'%s' was not logged, but: %s", words, capture->text);
        ssize_t got = read(capture->pipe_end, capture->text + capture->len,
                           sizeof capture->text - 1 - capture->len);
        assert_true(got > 0);
        capture->len += (size_t)got;
        capture->text[capture->len] = '\0';
    }
}

static inline void capture_end(struct capture *capture)
{
    (void)dup2(capture->saved, STDERR_FILENO);
    (void)close(capture->saved);
    (void)close(capture->pipe_end);
}
