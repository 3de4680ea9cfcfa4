/* All of ingest: the listeners and the threads that read them.
 *
 * One worker a thread: an event base, its sockets of every listener, a shard. What a worker has
 * aggregated goes to the writer through `sink` once a second, or as often as that asks for. Start,
 * reload and stop are called on the main thread. */
#pragma once

#include "base/calendar.h"
#include "base/clock.h"
#include "base/error.h"
#include "ingest/client_drops.h"
#include "ingest/influx.h"
#include "ingest/network.h"
#include "ingest/tail.h"
#include "ingest/tls.h"
#include "ingest/token.h"
#include "series/delta.h"
#include "series/ledger.h"
#include "series/metric.h"
#include "series/shard.h"

struct ingest;
struct inherited; /* base/inherited.h */

enum transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_HTTP, TRANSPORT_UNIX, TRANSPORT_UNIXGRAM };

const char *transport_name(enum transport transport); /* "udp", "tcp", "http", "unix", ... */

enum protocol {
    PROTOCOL_STATSD,
    PROTOCOL_DOGSTATSD,
    PROTOCOL_GRAPHITE,
    PROTOCOL_GRAPHITE_PICKLE,
    PROTOCOL_INFLUX,
    PROTOCOL_PROMETHEUS,
    PROTOCOL_OTLP,
    PROTOCOL_JSON,
    PROTOCOL_COLLECTD,
    PROTOCOL_NATIVE,
    PROTOCOL_COUNT,
};

const char *protocol_name(enum protocol protocol);

/* Whether kpid speaks it over that. */
bool protocol_has_transport(enum protocol protocol, enum transport transport);

enum { RESOURCE_LABELS_SIZE = 1024, INGEST_LISTENERS_MAX = 256 };

/* One listener of the configuration. */
struct listener_config {
    enum protocol protocol;
    enum transport transport;
    const char *address; /* "127.0.0.1:8125", "[::1]:8125", "/run/kpid/statsd.sock"; port 0: any */
    const char *name;    /* in the ledger and in messages: "statsd udp:127.0.0.1:8125" */
    unsigned mode;       /* of a Unix socket's file, as 0660; 0: 0660 */
    uint64_t max_series; /* that it may bring, for the writer (store/series_limits.h); 0: any */
    bool unknown_as_counter; /* statsd (S10): a type that nobody knows is a counter */
    bool skip_single_field;  /* influx (I11): a lone field `value` is not part of the name */
    enum influx_precision precision; /* influx over other than HTTP, where a request says it */
    const char *resource_labels; /* otlp (O8), shorter than RESOURCE_LABELS_SIZE: attributes that
                                  * become labels, each with a blank before it; a lone blank: none;
                                  * empty or NULL: the usual ones */

    /* who may speak */
    const struct network *allow; /* of addresses; none: all */
    size_t allow_count;
    const unsigned *users; /* of a Unix stream: user ids; none: whoever may open its file */
    size_t user_count;
    struct tls *tls; /* TCP and HTTP; NULL: plain */
    bool tokens;     /* HTTP and native: a token is needed */
};

/* Part of a configuration; borrowed until the next ingest_reload returns, or ingest_stop. */
struct ingest_config {
    const struct listener_config *listeners;
    size_t listener_count; /* at most INGEST_LISTENERS_MAX */
    const struct metric_table *metrics;
    const struct calendar *calendar; /* of times in JSON that have no offset; NULL: they need one */
    size_t line_bytes_max;  /* longer lines: the stream is closed, a datagram's line rejected */
    size_t frame_bytes_max; /* longer frames: the stream is closed */
    size_t body_bytes_max;  /* of one HTTP body, inflated; larger ones are refused */
    size_t connections_max; /* streams in all; beyond it a new one is closed and counted */
    size_t connections_per_peer; /* of these from one address; 0: no limit */
    span_ms idle_timeout;        /* a stream that says nothing for so long is closed; 0: never */
    span_ms request_timeout;     /* from the first byte of an HTTP request to its last one; of a
                                  * line or frame too, while others wait for the room it takes */
    struct shard_limits shard_limits; /* of each thread: any series may come in on any of them */
};

/* Where deltas go (the writer; ingest does not know the store). Called on ingest threads. */
struct delta_sink {
    bool (*has_room)(void *arg);
    bool (*post)(struct delta *delta, void *arg); /* takes the delta */
    void *arg;
    /* How long to wait between hand-overs, when that is longer than flush_every; NULL: it is not.
     */
    span_ms (*flush_interval)(void *arg);
};

struct ingest_options {
    unsigned threads;    /* 1 to 64; a change needs a restart */
    uint64_t seed;       /* of hashes: random per start */
    span_ms flush_every; /* between hand-overs to the writer; 0: 1 s */
    /* What all threads together may hold for a sink that has no room, in bytes; 0: 256 MiB. Beyond
     * its share a thread does not read: streams wait, and the kernel drops datagrams and counts
     * them. */
    size_t pending_bytes_max;
    /* What HTTP bodies that are not answered yet may make all threads together hold, in bytes; 0:
     * 256 MiB. Beyond it requests are told to come again before their body is read. */
    size_t body_budget;
    /* What each thread may keep of long lines and frames without an end, in bytes; 0: 64 MiB.
     * Beyond it who begins another one is not read and waits. */
    size_t tail_bytes_max;
    struct delta_sink sink;
    struct token_table *tokens; /* until ingest_set_tokens; NULL: there are none */
    /* Listeners take theirs out of it at the start, but not at a reload; NULL: there are none. */
    struct inherited *inherited;
};

/* Opens every listener, then starts the threads. On failure nothing stays open: a port in use, a
 * path that is no socket or on which somebody answers, an address that is not this machine's. */
struct ingest *ingest_start(const struct ingest_options *options,
                            const struct ingest_config *config, struct error *err);

/* Opens what is new, keeps every unchanged socket, closes what is gone (a removed stream listener
 * stops accepting; its connections are read to their end). What is new on the address of one that
 * is gone takes its sockets over, with what waits in them. A port may come to be that of all
 * addresses, or of one of them; a Unix socket's path may change between stream and datagrams: there
 * is always one of them on it. One whose file is gone is opened again. When a new listener cannot
 * be opened nothing changes. When it returns true the old configuration is no longer used. */
bool ingest_reload(struct ingest *ingest, const struct ingest_config *config, struct error *err);

/* From any one thread at a time, but for those of ingest: when it returns, no thread uses the
 * tokens before. */
void ingest_set_tokens(struct ingest *ingest, struct token_table *tokens);

/* Stops accepting, reads what waits in the sockets (bounded: `drain_ms`), hands the last deltas
 * over and ends the threads. Call it before writer_stop. */
void ingest_stop(struct ingest *ingest, span_ms drain_ms);

/* Stops it; NULL is fine. The sink is done with all deltas by now: they tell their listeners. */
void ingest_free(struct ingest *ingest);

/* What people are shown of a listener, beside the committed ledger. From any thread between start
 * and stop; the config's texts are copied. */
struct listener_facts {
    char name[256];
    const char *protocol;
    char listen[200];              /* "udp:127.0.0.1:8125" with the real port */
    uint64_t received;             /* in samples, committed or not, since start */
    uint64_t handed_over;          /* of these, the sink's for good: the others are pending */
    uint64_t kernel_drops;         /* datagrams the kernel dropped since start (SO_MEMINFO) */
    uint64_t connections;          /* open now */
    uint64_t connections_denied;   /* closed at once since start: who sent them may not speak */
    unsigned receive_buffer_bytes; /* as granted */
    bool is_inherited;             /* the socket was opened by whoever started kpid */
};

/* Up to `max` into `out`; returns how many listeners there are. */
size_t ingest_listeners(struct ingest *ingest, struct listener_facts *out, size_t max);

/* What the clients of a listener say that they dropped themselves (D14), since start. */
struct client_facts {
    char listener[256]; /* its name in the ledger */
    struct client_drops drops;
};

/* Up to `max` into `out`, those of one listener together; returns how many. As ingest_listeners. */
size_t ingest_clients(struct ingest *ingest, struct client_facts *out, size_t max);

/* What comes now: the first call begins, and each that follows within TAIL_MS is told what came
 * since (ingest/tail.h). tail_lines_fini frees `out`. As ingest_listeners. */
void ingest_tail(struct ingest *ingest, const struct tail_request *request, struct tail_lines *out);

/* The last samples of each listener that were rejected, by reason. Up to `max` into `out`; returns
 * how many. As ingest_listeners. */
struct rejected_facts {
    char listener[256]; /* its name in the ledger */
    struct reject_examples examples;
};
size_t ingest_rejected(struct ingest *ingest, struct rejected_facts *out, size_t max);

/* The threads, for the watchdog; NULL past the end. */
struct thread *ingest_thread(struct ingest *ingest, size_t i);
