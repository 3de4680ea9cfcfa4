/* The environment that holds everything that lasts, and its transactions.
 *
 * One environment a process; only this folder knows LMDB. Readers take a snapshot and never wait
 * for the writer; they end within 5 s. Only the writer's thread has a write_txn: others post a job
 * (store/writer.h). Texts that come out of a transaction are valid until it ends. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

struct calendar;
struct store;
struct read_txn;
struct write_txn;

struct store_options {
    const char *path;        /* a directory; it is made, with mode 0700, when its parent exists */
    uint64_t max_size_bytes; /* input is refused when the data is larger */
};

/* Takes kpid's own lock (PATH/lock) first: a second kpid on the same directory is refused with a
 * sentence. A directory of another schema version is refused with a sentence. */
struct store *store_open(const struct store_options *options, struct error *err);
void store_close(struct store *store); /* NULL is fine */

/* What is freed while a snapshot lives cannot be used again, so none lives for over 5 s: after
 * READ_TXN_MS whoever reads figures from it (store/query.h) gets ERROR_UNAVAILABLE and ends it. */
enum { READ_TXN_MS = 4000, READ_TXN_REFRESH_MS = 1000 };
struct read_txn *read_txn_begin(struct store *store, struct error *err);
void read_txn_end(struct read_txn *txn); /* NULL is fine */

/* Between two figures that need not be of one snapshot: takes the newest one, with all its time, in
 * the place of one that is older than READ_TXN_REFRESH_MS. Nothing that was read is valid then.
 * False: it can only be ended. */
bool read_txn_refresh(struct read_txn *txn, struct error *err);

/* Whether its time is over: why a read has failed. */
bool read_txn_is_over(const struct read_txn *txn);

/* Reading inside a write transaction sees what it has written so far. Valid as long as `txn`. */
struct read_txn *write_txn_reader(struct write_txn *txn);

/* The number of the newest commit that wrote something; it grows by one with each. */
uint64_t store_commit_number(struct read_txn *txn);

/* Names the environment: random, made with it. 16 bytes as 32 hex digits and a NUL in `out`. */
void store_origin(struct read_txn *txn, char out[33]);

/* How long what is kept, counted back from the guarded clock. 0: for ever. */
struct retention {
    span_ms minute;
    span_ms quarter;
    span_ms day;
};

/* A metric whose data is kept for less, or for longer, than the rest. */
struct retention_rule {
    const char *metric;
    struct retention keep;
};

/* What the background work needs of the configuration (store/upkeep.h). Borrowed. */
struct upkeep_options {
    const struct calendar *const *calendars; /* those whose days are built */
    size_t calendar_count;
    struct retention keep;
    const struct retention_rule *rules;
    size_t rule_count;
    span_ms lag;     /* after its end until a quarter of an hour is closed; 0: 2 minutes */
    unsigned fanout; /* runs of a tier that become one; 0: UPKEEP_FANOUT */
    /* Series without a sample for so long join the `__other__` of their metric, unless it is named:
     * by a KPI. 0: never. */
    span_ms churn_after;
    bool (*is_named)(struct str metric, void *arg); /* NULL: none is; on the writer's thread */
    void *is_named_arg;
};

/* The time that retention counts from (store/guard.h), as of a minute or two ago: a clock that
 * jumps ahead does not move it. WALL_NONE: none is known yet. */
wall_ms store_time(struct read_txn *txn);

/* True while retention counts from an older time than the clock's, which only a person can change
 * (store/guard.h); `why` gets the sentence and what to do. As of the newest commit that said so, a
 * minute ago at most. */
bool store_keeps_more(struct read_txn *txn, struct error *why);

struct store_usage {
    uint64_t used_bytes;
    uint64_t max_bytes;
    uint64_t series;
};

void store_usage(struct read_txn *txn, struct store_usage *out);
