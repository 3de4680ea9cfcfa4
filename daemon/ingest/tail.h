/* What people see of the samples that come: live ones, and the last ones of each reason that were
 * rejected.
 *
 * A thread's tail takes notes only while somebody asks for them (TAIL_MS after the last time), of
 * each listener at most TAIL_PER_S of what was taken and as many of what was not in a second; what
 * is left out is counted. The last TAIL_ENTRIES are kept until somebody has come for them.
 *
 * All on the worker's thread. */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "series/batch.h"
#include "series/ledger.h"
#include "series/shard.h"

enum {
    TAIL_ENTRIES = 1024,
    TAIL_PER_S = 100,
    TAIL_MS = 5000,
    TAIL_QUOTAS = 64, /* listeners share one beyond that */
    TAIL_EXAMPLES = 3,
    TAIL_PEER_SIZE = 64,
};

struct tail;

/* `numbers` is shared by all threads: entries of all of them have an order. */
struct tail *tail_new(_Atomic uint64_t *numbers);
void tail_free(struct tail *tail); /* NULL is fine */

/* Somebody asked: it takes notes from now on. */
void tail_ask(struct tail *tail, mono_ms now);

/* Nobody has asked for long: what it holds goes. */
bool tail_is_over(const struct tail *tail, mono_ms now);

/* How what was sent becomes a series. */
struct tail_rules {
    const char *listener;
    const struct metric_table *metrics;
    const struct shard *shard;
    mono_ms now;
};

/* Notes a sample that the shard has taken. */
void tail_sample(struct tail *tail, const struct tail_rules *rules, const struct sample *sample);

/* The same of all series of a batch. */
void tail_delta(struct tail *tail, const struct tail_rules *rules, const struct delta *delta);

/* Something that was rejected. `peer` may be empty. */
struct tail_rejected {
    enum reject_reason reason;
    const char *example; /* for a person (str_quoted) */
    const char *peer;
    uint64_t count;
};
void tail_reject(struct tail *tail, const struct tail_rules *rules,
                 const struct tail_rejected *rejected);

/* Samples that were dropped when they were read, before any series. */
struct tail_dropped {
    enum drop_reason reason;
    struct str name; /* of one's metric as it was sent; empty: not known */
    uint64_t count;
};
void tail_drop(struct tail *tail, const struct tail_rules *rules,
               const struct tail_dropped *dropped);

/* An annotation: an event, or a service check that has changed. `is_kept`: else there were too many
 * in its minute. */
void tail_event(struct tail *tail, const struct tail_rules *rules,
                const struct annotation *annotation, bool is_kept);

/* What somebody wants to see. */
struct tail_request {
    uint64_t after;      /* entries with a greater number; 0: from now on */
    bool rejected;       /* those alone */
    struct str listener; /* of listeners whose name has this in it; empty: all */
};

struct tail_line {
    uint64_t number;
    char *json; /* an object; the caller's */
    size_t len;
};

struct tail_lines {
    struct tail_line *items; /* owned, by number once all are there */
    size_t count, capacity;
    uint64_t next;    /* `after` of the next request */
    uint64_t skipped; /* that were not noted, since somebody began to ask */
};

void tail_lines_fini(struct tail_lines *lines);
void tail_lines_sort(struct tail_lines *lines);

/* Adds what there is up to number `last`. */
void tail_read(struct tail *tail, const struct tail_request *request, uint64_t last,
               struct tail_lines *out);

/* --- examples of what was rejected --- */

struct reject_example {
    wall_ms at; /* 0: none */
    char text[STR_QUOTED_SIZE];
    char peer[TAIL_PEER_SIZE];
};

/* The last ones of each reason of one listener on one thread. Starts zeroed. */
struct reject_examples {
    struct reject_example of[REJECT_REASON_COUNT][TAIL_EXAMPLES];
    unsigned char next[REJECT_REASON_COUNT];
};

void reject_examples_add(struct reject_examples *examples, enum reject_reason reason,
                         const char *text, const char *peer);

/* Adds those of another thread, so that the newest stay, the newest first. */
void reject_examples_merge(struct reject_examples *into, const struct reject_examples *from);
