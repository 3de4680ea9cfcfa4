/* Lines to samples to the shard, with the account of both: one a thread.
 *
 * What is taken between intake_begin and intake_end counts in one listener's ledger, which balances
 * again when intake_end returns. Samples go to the shard in arrays, so that it can look them up
 * together; the bytes they point into must stay until then. */
#pragma once

#include <sys/socket.h>

#include "ingest/ingest.h"

enum { INTAKE_SAMPLES = 64, PEER_TEXT_SIZE = 64 };

struct intake {
    /* set by its owner */
    struct shard *shard;
    size_t line_bytes_max;

    /* from intake_begin to intake_end */
    struct ledger *ledger;
    enum protocol protocol;
    int64_t now_us;
    const struct sockaddr *peer; /* who sent what is taken now, if an address says so; else NULL */
    struct sample samples[INTAKE_SAMPLES];
    size_t count;

    /* what was rejected in between, for the log */
    uint64_t rejected;
    enum reject_reason reason; /* of the first one */
    char example[STR_QUOTED_SIZE];
    char peer_text[PEER_TEXT_SIZE]; /* of the example; empty where it is not known */
};

/* `now_us`: when the bytes arrived, in microseconds. */
void intake_begin(struct intake *intake, struct ledger *ledger, enum protocol protocol,
                  int64_t now_us);
void intake_end(struct intake *intake);

/* Takes one line without its newline. False when it is too long: then it is rejected. */
bool intake_line(struct intake *intake, struct str line);

/* Takes lines; the last one need not end with a newline. One that is too long is rejected alone
 * (S1, S17). */
void intake_lines(struct intake *intake, struct str lines);

/* Counts a line that cannot be parsed at all as one sample received and rejected. */
void intake_reject(struct intake *intake, enum reject_reason why, struct str line);

/* "127.0.0.1:40000"; empty where the address says nothing (Unix sockets). Returns `out`, which
 * takes PEER_TEXT_SIZE bytes. */
const char *peer_format(const struct sockaddr *peer, char *out);
