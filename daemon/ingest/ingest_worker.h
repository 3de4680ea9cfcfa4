/* One ingest thread: its sockets of every listener, its connections, its shard, its flush timer.
 *
 * Nothing here is shared but what is marked so. The functions of a worker run on its thread; start,
 * reload and stop reach them by thread_call or a message. */
#pragma once

#include <event2/event.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/log.h"
#include "base/thread.h"
#include "ingest/access.h"
#include "ingest/http_query.h"
#include "ingest/intake.h"
#include "ingest/listener.h"
#include "ingest/peer_room.h"
#include "ingest/peers.h"
#include "ingest/room_queue.h"
#include "ingest/stream_frame.h"
#include "ingest/tail.h"
#include "series/batch.h"

struct connection;        /* stream.h */
struct http_connection;   /* http_connection.h */
struct native_connection; /* native_connection.h */
struct native_reader;     /* native.h */
struct datagram_slots;    /* datagram.h */
struct handshake;         /* handshake.h */

/* What others are shown of one listener on one thread. That thread alone writes it, but for what
 * the sink is done with; threads' counts lie apart, so that they do not take a cache line from each
 * other. */
struct listener_counts {
    _Atomic uint64_t received;
    _Atomic uint64_t settled; /* of these, committed or lost with a word */
    _Atomic uint64_t kernel_drops;
    _Atomic uint64_t connections;
    _Atomic uint64_t connections_denied;
    client_table_place clients; /* the listener frees it */
    char apart[80];
};

/* A listener as main opened it. It stays until no worker uses it any more. */
struct listener {
    TAILQ_ENTRY(listener) link; /* main thread only */
    bool is_gone;               /* main thread only: no longer in the configuration */
    bool is_taken;              /* set before it is removed: another one has its sockets now */

    /* set once when it was opened */
    enum protocol protocol;
    char *address; /* as configured */
    struct listener_sockets sockets;
    unsigned reader; /* of datagrams from one socket: the worker that reads it */

    /* shared */
    _Atomic unsigned users;          /* workers that have a part of it, and deltas under way */
    struct http_databases databases; /* influx over HTTP */
    struct listener_counts counts[INGEST_THREADS_MAX];
};

TAILQ_HEAD(listener_list, listener);

/* Whether datagrams wake their reader or a clock does: datagram.c. */
struct datagram_pace {
    int clock_fd;       /* it ticks while they come quickly; -1: they wake */
    unsigned turns;     /* of reading, since `began` */
    unsigned datagrams; /* they brought so many */
    mono_ms began;
};

/* One listener on one worker. */
struct listener_part {
    TAILQ_ENTRY(listener_part) link;
    struct ingest_worker *worker;
    struct listener *listener;
    struct listener_counts *counts;
    char name[256];
    struct batch_rules batch_rules;             /* the worker's, and its name */
    bool unknown_as_counter;                    /* statsd */
    bool skip_single_field;                     /* influx */
    enum influx_precision precision;            /* influx over other than HTTP */
    char resource_labels[RESOURCE_LABELS_SIZE]; /* otlp */
    struct network *allow;                      /* the part's own, as what follows */
    size_t allow_count;
    unsigned *users;
    size_t user_count;
    struct tls *tls; /* NULL: plain */
    bool tokens;
    int fd;
    struct event *readable; /* NULL when another worker reads it, and once it is closed */
    struct datagram_pace pace;
    struct event *accept_again; /* after accept has failed for want of descriptors */
    struct ledger ledger;       /* since the last hand-over */
    uint64_t handed_over;       /* samples received before */
    uint64_t connections;       /* open now */
    uint32_t kernel_drops_seen; /* the socket's own count */
    bool is_flooded; /* datagrams: there is no time to ask who sent them, and nothing is wrong */
    struct reject_examples rejected; /* the last ones */
    struct log_repeat rejected_log;
    struct log_repeat refused_log;
    struct log_repeat accept_log;
    struct log_repeat denied_log;
    struct log_repeat tls_log;
};

TAILQ_HEAD(part_list, listener_part);
TAILQ_HEAD(connection_list, connection);
TAILQ_HEAD(http_connection_list, http_connection);
TAILQ_HEAD(native_connection_list, native_connection);
TAILQ_HEAD(handshake_list, handshake);

/* What all workers count together. */
struct ingest_shared {
    _Atomic size_t connections; /* open */
    struct peers peers;         /* whose these are */
    _Atomic uint64_t tail_numbers;
    _Atomic size_t body_bytes; /* held for HTTP bodies and frames that are not answered yet */
};

/* What a reload may change. */
struct worker_settings {
    const struct metric_table *metrics;
    const struct calendar *calendar;
    size_t line_bytes_max;
    size_t frame_bytes_max;
    size_t connections_max; /* of all workers together */
    size_t connections_per_peer;
    span_ms idle_timeout;
    size_t body_bytes_max;
    span_ms request_timeout;
    struct shard_limits shard_limits;
    struct batch_rules batch_rules; /* the same limits for a batch; a part has its own */
};

struct ingest_worker {
    /* set once at start */
    unsigned index;
    uint64_t seed;
    struct thread *thread;
    struct delta_sink sink;
    size_t pending_bytes_max; /* of the shard, while the sink has no room */
    int descriptors_max;      /* connections leave those from here on to others */
    struct ingest_shared *shared;
    size_t body_budget;          /* of all workers together */
    size_t frame_bytes_held_max; /* of that, for frames without an end on this worker */
    span_ms flush_every;
    struct event *flush_timer;
    struct event *part_timer; /* the next parts of a hand-over */

    /* the worker's thread only */
    struct worker_settings settings;
    struct shard *shard;
    mono_ms shard_began;
    uint64_t room_epoch; /* when it began */
    size_t shard_series; /* as last told to the counters */
    mono_ms handed_over_at;
    struct delta *part;      /* that is being filled; NULL: none is */
    struct delta *last_part; /* of the hand-over under way, with the counts that no part has taken
                              * yet; NULL: none is */
    struct intake intake;
    struct part_list parts;
    struct connection_list connections; /* the one that spoke longest ago first */
    size_t connection_count;
    struct peer_places peer_places;
    struct tail_room tail_room;          /* for lines and frames without an end */
    struct room_queue tail_queue;        /* of connections that wait for that */
    struct connection_list tail_holders; /* of that; who holds it longest first */
    struct handshake_list handshakes;    /* the oldest first */
    struct peer_room handshake_room;     /* they hold one each */
    struct token_table *tokens;          /* NULL: none */
    struct attempts *attempts;
    struct http_connection_list http_connections;
    size_t http_waiting;    /* of these, for the sink's word */
    uint64_t http_requests; /* answered */
    struct native_connection_list native_connections;
    size_t native_waiting;               /* batches of these, for the sink's word */
    struct peer_room frame_room;         /* for their frames without an end, in bytes */
    struct native_reader *native_reader; /* NULL until there is one */
    struct series_cache *series_cache;   /* of bodies of remote write and OTLP */
    uint64_t last_arrival;               /* of a sample in a batch */
    struct datagram_slots *datagram_slots;
    char *stream_buffer;
    size_t stream_buffer_lines; /* the line_bytes_max it was made for */
    bool is_paused;             /* nothing is read: the shard is past its budget */
    struct log_repeat pause_log;

    /* shared with the sink's thread */
    _Atomic unsigned parts_on_the_way;

    struct message drain_message; /* main sends it once */
    mono_ms drain_until;
};

/* The thread does not run yet. */
struct ingest_worker *worker_new(unsigned index, const struct ingest_options *options,
                                 const struct worker_settings *settings,
                                 struct ingest_shared *shared);

/* The thread has ended. Closes what is still open and throws away what was not handed over. */
void worker_free(struct ingest_worker *worker);

/* From here on on the worker's thread, or before it runs. */

void worker_set(struct ingest_worker *worker, const struct worker_settings *settings);
/* `taken`: whose sockets it has taken over, NULL if its own are new. */
void worker_add_listener(struct ingest_worker *worker, struct listener *listener,
                         const struct listener *taken, const struct listener_config *config);

/* On the worker's thread: it keeps them. */
void worker_set_tokens(struct ingest_worker *worker, struct token_table *tokens);

/* A name and what a listener's samples mean and who may speak may change while its socket stays. */
void part_set(struct listener_part *part, const struct listener_config *config);

/* Reads what waits in the listener's socket and leaves it alone from then on. Its connections stay
 * until they end; its last counts go with the next delta. */
void worker_remove_listener(struct ingest_worker *worker, struct listener *listener);

/* NULL when the worker has no part of it. */
struct listener_part *worker_find_part(struct ingest_worker *worker,
                                       const struct listener *listener);

/* Takes what waits, in turns, until streams are silent or `until`; ends every connection and hands
 * the last delta over. */
void worker_drain(struct ingest_worker *worker, mono_ms until);

/* Takes some of the datagrams that wait, in the midst of a long body. `arg` is the worker. */
void worker_read_datagrams(void *arg);

/* For datagram.c and stream.c: the intake begins and ends with the part's ledger; the end shows the
 * counts to others and logs what was rejected. `peer` may be NULL. */
struct intake *worker_begin(struct listener_part *part);
void worker_end(struct listener_part *part, const char *peer);

/* Whether who speaks there waits for answers: then it can be told that there is no room, and what
 * nobody has taken is still the client's. */
bool part_is_answered(const struct listener_part *part);

/* Counts a connection that was let in, and out again. */
void worker_connection_opened(struct listener_part *part);
void worker_connection_closed(struct listener_part *part, int fd);   /* before it is closed */
void worker_connection_forget(struct ingest_worker *worker, int fd); /* one let in, not opened */

/* Whether the peer of a connection, or of a datagram where `fd` is -1, may speak to the listener:
 * by its address, or by the user at the other end of a Unix stream. */
bool part_lets_speak(const struct listener_part *part, int fd, const struct sockaddr *peer);

/* Whether who shows this token (empty: none) may send samples to the listener; `*out` is the token,
 * NULL where none is asked for. What is denied is counted and logged, but not in the ledger: that
 * is the caller's. */
enum access_verdict part_check_token(struct listener_part *part, struct str token,
                                     const struct sockaddr *peer, const struct token **out);

/* Why who was let in with this token (its usage; NULL: without one) may send no samples any more:
 * it was revoked since, or tokens are asked for only now. NULL: they may. */
const char *part_why_denied(const struct listener_part *part, const struct token_usage *usage);

/* A connection that was closed because of whom it came from. */
void worker_connection_denied(struct listener_part *part, const struct sockaddr *peer);

/* For those who take batches: what somebody who looks is shown. `count` samples were rejected, of
 * which one is the example. */
void worker_show_batch(struct listener_part *part, const struct delta *delta);
void worker_show_rejected(struct listener_part *part, const struct tail_rejected *rejected);
void worker_show_dropped(struct listener_part *part, const struct tail_dropped *dropped);

/* Somebody looks: notes are taken for a while. What there is up to number `last` is added. */
void worker_tail(struct ingest_worker *worker, const struct tail_request *request, uint64_t last,
                 struct tail_lines *out);

/* A batch of so many samples goes to the sink past the shard; negative: it was not taken after all.
 * Whoever is told of its end adds them to counts->settled and takes one from listener->users. */
void worker_count_batch(struct listener_part *part, int64_t received);
