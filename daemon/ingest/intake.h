/* Lines, datagrams and frames to samples to the shard, with the account of both: one a thread.
 *
 * What is taken between intake_begin and intake_end counts in one listener's ledger, which balances
 * again when intake_end returns. Samples go to the shard in arrays, so that it can look them up
 * together; the bytes they point into must stay until then. */
#pragma once

#include <sys/socket.h>

#include "ingest/client_drops.h"
#include "ingest/influx.h"
#include "ingest/ingest.h"
#include "ingest/pickle.h"
#include "ingest/tail.h"

enum { INTAKE_SAMPLES = 64, INTAKE_SCRATCH_BYTES = 128 * 1024, PEER_TEXT_SIZE = 64 };

/* How a listener's samples are read. */
struct intake_dialect {
    enum protocol protocol;
    bool unknown_as_counter; /* statsd (S10) */
    bool skip_single_field;  /* influx (I11): a lone field `value` is not part of the name */
    enum influx_precision precision; /* influx */
};

struct intake {
    /* set by its owner; the rest is zeroed at first */
    struct shard *shard;
    const struct metric_table *metrics; /* NULL is fine */
    struct tail *tail;                  /* NULL: nobody looks */
    size_t line_bytes_max;
    size_t frame_bytes_max;
    span_ms max_future; /* of events; samples are the shard's to check */
    span_ms max_past;

    /* from intake_begin to intake_end */
    struct ledger *ledger;
    const char *listener;        /* its name, for the tail */
    client_table_place *clients; /* DogStatsD (D14); NULL: nobody wants to know */
    struct intake_dialect dialect;
    int64_t now_us;
    const struct sockaddr *peer; /* who sent what is taken now, if an address says so; else NULL */
    struct sample samples[INTAKE_SAMPLES];
    size_t count;

    /* what was rejected in between, for the log */
    uint64_t rejected;
    enum reject_reason reason; /* of the first one */
    char example[STR_QUOTED_SIZE];
    char peer_text[PEER_TEXT_SIZE]; /* of the example; empty where it is not known */

    /* used again and again */
    struct influx_parser influx;
    struct pickle *pickle; /* NULL until there is one */
    char *scratch;         /* what the samples point to that is not in the bytes; NULL as well */
    size_t scratch_len;
    struct dogstatsd_notes *notes; /* NULL until there are some */
};

void intake_fini(struct intake *intake);

/* `now_us`: when the bytes arrived, in microseconds. */
void intake_begin(struct intake *intake, struct ledger *ledger, struct intake_dialect dialect,
                  int64_t now_us);
void intake_end(struct intake *intake);

/* Hands over what was taken so far: then the bytes may go. */
void intake_flush(struct intake *intake);

/* Takes one line without its newline. False when it is too long: then it is rejected. */
bool intake_line(struct intake *intake, struct str line);

/* Takes lines up to the last newline or the end. False at one that is too long: that one is
 * rejected, and those behind it are not taken. */
bool intake_lines(struct intake *intake, struct str lines);

/* Takes a datagram or a frame: a pickle, or lines of which the last one need not end with a newline
 * and one that is too long is rejected alone (S1, S17, G6). */
void intake_packet(struct intake *intake, struct str bytes);

/* Counts a line that cannot be parsed at all as one sample received and rejected. */
void intake_reject(struct intake *intake, enum reject_reason why, struct str line);

/* For those who take lines of one protocol. */

/* The place of the next sample, which counts when `count` grows, with room in the scratch for so
 * many bytes of it (at most a quarter), which are taken when `scratch_len` grows. What was taken
 * before may be handed over. */
struct sample *intake_next_sample(struct intake *intake, size_t scratch_bytes);

/* For the log; the ledger has them already. */
void intake_note_rejected(struct intake *intake, uint64_t count, enum reject_reason why,
                          struct str example, const struct sockaddr *peer);

/* For the tail; the ledger has it already. `name` as it was sent. */
void intake_note_dropped(const struct intake *intake, enum drop_reason why, struct str name);
void intake_note_event(const struct intake *intake, const struct annotation *event, bool is_kept);

/* "127.0.0.1:40000"; empty where the address says nothing (Unix sockets). Returns `out`, which
 * takes PEER_TEXT_SIZE bytes. */
const char *peer_format(const struct sockaddr *peer, char *out);
