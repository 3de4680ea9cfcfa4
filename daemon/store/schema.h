/* Every database, key and value that kpid keeps, byte by byte, and the version of it all.
 *
 * Keys are big-endian, so that LMDB's order of bytes is the order of numbers; values are
 * little-endian (base/buf.h). One LMDB environment: PATH/data.mdb and PATH/lock.mdb; PATH/lock is
 * kpid's own lock.
 *
 * database    key -> value
 *
 * meta        "schema"      -> u32 STORE_SCHEMA_VERSION
 *             "origin"      -> 16 random bytes, the environment's name
 *             "created_at"  -> i64 wall_ms
 *             "commit"      -> u64, the number of the newest commit that wrote something
 *             "newest"      -> i64 wall_ms, the newest sample of all; absent without one
 * series      u32 id (from 1)                         -> i64 first seen (wall_ms), series key
 * by_hash     u64 high, u64 low (series_key_hash)     -> u32 id
 * by_metric   u64 high, u64 low (hash of the key that the metric has without labels), u32 id -> -
 * metrics     name of the metric (see NAME below)     -> u32 kinds (bits, 1 << metric_kind),
 *             i64 first sample, i64 last sample (WALL_NONE: none), u64 series, the name
 * cells       u32 id, u64 minute + 2^63               -> cell (series/cell.h)
 * gauges      u32 id                                  -> double level, i64 at, u64 arrival,
 *             i64 absolute_at (cells.c): only gauges that were ever changed relatively
 * ledger      name of the listener (NAME)             -> u32 bytes of the name, the name,
 *             u64 received, u64 stored, u32 n, n u64 rejected, u32 m, m u64 dropped
 *             (in the order of series/ledger.h, which is append only)
 *
 * Records, encoded by the modules that are named (store/record.h). Integers are little-endian as
 * base/buf.h writes them, sequences in keys big-endian; `block` is u32 length and bytes.
 *
 * alert_state  rule's id (alert/alert_engine) -> u8 2, u8 phase, i64 since, i64 clear_since,
 *              i64 period_from, f64 value, u64 fingerprint, block alert_id, block hooks
 * outbox       hook's id, u8 0, u64 sequence (alert/outbox) -> u8 2, u8 state, u32 attempts,
 *              i64 queued_at, i64 tried_at, i64 next_try, block last_error, block event
 * event        u64 sequence (alert/outbox) -> u8 1, u8 type, i64 at, i64 period_from,
 *              i64 period_to, u8 flags, f64 value, f64 target, block id, 17 blocks of text
 * hook         hook's id (alert/outbox) -> u8 2, u64 pending, u64 dead, u64 sent, i64 sent_at,
 *              i64 paused_at, i64 paused_until, block last_error
 * schedule     schedule's id (kpi/evaluator) -> i64 last_run, i64 next_run
 * declared     metric's name, cut to 400 bytes (kpi/evaluator) -> i64 first declared (FIG-11)
 *
 * NAME: the name itself up to SCHEMA_NAME_MAX bytes; of a longer one that many bytes and the
 * 16 bytes of its hash, so that a key always fits into LMDB's 511 bytes. */
#pragma once

#include "base/str.h"
#include "series/series_key.h"

/* Raised by every change of what is written above. */
enum { STORE_SCHEMA_VERSION = 2 };

/*       constant     name in LMDB */
#define DATABASES(X)                                                                               \
    X(META, "meta")                                                                                \
    X(SERIES, "series")                                                                            \
    X(BY_HASH, "by_hash")                                                                          \
    X(BY_METRIC, "by_metric")                                                                      \
    X(METRICS, "metrics")                                                                          \
    X(CELLS, "cells")                                                                              \
    X(GAUGES, "gauges")                                                                            \
    X(LEDGER, "ledger")                                                                            \
    X(ALERT_STATE, "alert_state")                                                                  \
    X(OUTBOX, "outbox")                                                                            \
    X(EVENT, "event")                                                                              \
    X(HOOK, "hook")                                                                                \
    X(SCHEDULE, "schedule")                                                                        \
    X(DECLARED, "declared")

enum database {
#define DATABASES_CONSTANT(constant, name) DATABASE_##constant,
    DATABASES(DATABASES_CONSTANT)
#undef DATABASES_CONSTANT
        DATABASE_COUNT,
    DATABASE_RECORDS = DATABASE_ALERT_STATE, /* enum record_table begins here, in its order */
};

enum {
    SCHEMA_ID_SIZE = 4,
    SCHEMA_HASH_SIZE = 16,
    SCHEMA_BY_METRIC_SIZE = SCHEMA_HASH_SIZE + SCHEMA_ID_SIZE,
    SCHEMA_CELL_SIZE = SCHEMA_ID_SIZE + 8,
    SCHEMA_NAME_MAX = 400,
    SCHEMA_NAME_SIZE = SCHEMA_NAME_MAX + SCHEMA_HASH_SIZE,
};

/* A key: plain bytes, so that it can be a value on the stack. */
struct schema_key {
    unsigned char bytes[SCHEMA_NAME_SIZE];
    size_t len;
};

struct schema_key schema_id_key(uint32_t id);
struct schema_key schema_hash_key(struct series_hash hash);
struct schema_key schema_by_metric_key(struct series_hash hash, uint32_t id);
struct schema_key schema_cell_key(uint32_t id, int64_t minute);
struct schema_key schema_name_key(struct str name);

/* Backwards; `bytes` has the length that the key has (a shorter one gives 0). */
uint32_t schema_id_of(struct str bytes);
uint32_t schema_by_metric_id(struct str bytes);
void schema_cell_of(struct str bytes, uint32_t *id, int64_t *minute);
