/* Every database, key and value that kpid keeps, byte by byte, and the version of it all.
 *
 * Keys are big-endian, so that LMDB's order of bytes is the order of numbers; signed ones have 2^63
 * added. Values are little-endian (base/buf.h). One LMDB environment: PATH/data.mdb and
 * PATH/lock.mdb; PATH/lock is kpid's own lock.
 *
 * What is measured lives in runs and partitions (store/parts.h). A run is a sorted list of minute
 * cells, made by one commit (tier 0, the journal) or by merging others; a partition holds the
 * compressed blocks of one level over a span of time. Both are only appended, named by a number
 * that is never used again, and seen by nobody before a last small transaction lists them. A
 * figure is the merge of all the runs and partitions that a snapshot lists, so nothing is counted
 * twice or missed whatever background work is under way.
 *
 * Integers are little-endian in values and big-endian in keys, f64 is a double's 8 bytes, `varint`
 * 7 bits a byte, the lowest first, bit 7 set if more follow (zigzag: 0, -1, 1, -2, ...), `block`
 * u32 length and as many bytes. What a codec's header draws bit by bit has its outer bytes here.
 *
 * database    key -> value
 *
 * meta        (its keys are names of their own: "run" is a number, and not the database)
 *             "schema"      -> u32 STORE_SCHEMA_VERSION
 *             "origin"      -> 16 random bytes, the environment's name
 *             "created_at"  -> i64 wall_ms
 *             "commit"      -> u64, the number of the newest commit that wrote something
 *             "newest"      -> i64 wall_ms, the newest sample of all; absent without one
 *             "run"         -> u64, the newest number given to a run of tier 1 and above
 *             "partition"   -> u64, the newest number given to a partition (32 bits are used)
 *             "closed"      -> i64 minute: those before it were folded into partitions once
 *             "quartered"   -> i64 quarter: those before it are built from minutes
 *             "kept_minute", "kept_quarter", "kept_day"
 *                           -> i64 first minute, quarter (both as numbers since 1970) and, as a
 *                              quarter too, instant that retention has not dropped
 *             "days_lost_N" -> i64 quarter: days of calendar N that begin before and have no row
 *                              had data that is gone; absent when there are none
 *             "migrating"   -> key of the last cell of an older version that was moved; absent
 *                              unless a migration was cut short (store/migrate.h)
 *             "indexed"     -> u64, series up to this id are in the index
 *             "index_run"   -> u64, the newest number given to an index run
 *             "annotation"  -> u64, the newest number given to an annotation
 *             "clock"       -> i64 high-water mark (wall_ms), i64 CLOCK_BOOTTIME then (ms),
 *                              16 bytes boot id, i64 retention's mark (store/guard.h)
 * runs        u8 tier, u64 number                     -> u64 version (number of the newest commit
 *             it has cells of), i64 first minute, i64 last minute, u64 cells, u64 bytes of its
 *             chunks
 * journal     u64 number, i64 quarter, u32 id, u8 minute within the quarter
 *                                                     -> chunk of a run of tier 0: its number is
 *             that of the commit, the rest the place of its first cell. u8 1, u16 cells, i64
 *             quarter of the first one, the cells (store/chunk.h), u16 where the 17th, 33rd, ...
 *             begins, u32 the low half of XXH3-64 of all before, seeded with the run's number
 * run         the same of the tiers above
 * partitions  u8 level (0 minutes, 1 quarters, 2 days), u16 calendar (0 but for days), i64 first
 *             bucket, u32 number                      -> i64 bucket after its last, u64 version (as
 *             a run's), u64 series, u64 points, u64 bytes of its blocks, u8 how many marks of
 *             metrics it has been through (store/upkeep_expire.c)
 * minutes     u32 number of the partition, u32 id, u8 part -> block: u8 1, columns of bits
 *             (store/block.h), zeros up to a whole byte, the bytes of sketches (u8 1 distinct, 2
 *             histogram, 4 counts its values; then the encodings), u32 the low half of XXH3-64 of
 *             all before, with a seed made of the key
 * quarters    the same, of quarter hours
 * days        the same, of civil days
 * calendars   NAME of the zone                        -> u32 calendar's number, from 1 to 65,535;
 *             never given again, so days of a further zone are not built
 * day_bounds  u16 calendar, i64 day (since 1970)      -> i64 first quarter, i64 quarter after its
 *             last: the day's cells are built, from these
 * kept        NAME of the metric            -> i64 first minute, i64 first quarter, i64 first day
 *             (as a quarter) that retention has not dropped of a metric that a rule is or was for,
 *             or of which days were imported: those of `meta` are of all others; u32 n, n times u32
 *             calendar, i64 quarter: days of it that begin before lack something of this metric;
 *             the name (store/kept.h)
 * garbage     u8 what (1 journal, 2 run, 3 minutes, 4 quarters, 5 days, 6 index), u64 number -> - :
 *             what is being built or taken away
 *
 * series      u32 id (from 1)                         -> i64 first seen (wall_ms), series key: u8
 *             kind (enum metric_kind), metric, u8 0, then for each label, sorted: name, u8 1,
 *             value, u8 0
 * removed     u32 id / 8192                           -> 1024 bytes, one bit an id, the low ones
 *             first: ids that were given and are gone (store/removed.h)
 * seen        u32 id / 8192                           -> 8192 times u16, in the order of the ids:
 *             the hour of the last sample, 1 + hours since 1970 modulo 65,535; 0: over a day ago
 *             (store/census.h). It may lack the last hour, and all of it may be absent
 * owners      u8 0, u16 number                        -> name of the listener that has it, from 1
 *             on; 0 is nobody, and one after 65,534 gets none
 *             u8 1, u32 id / 512                      -> 512 times u16, in the order of the ids:
 *             number of the listener that brought the series when it was not active
 *             (store/census.h). Rows may be absent
 * unwanted    u32 id                                  -> i64 wall_ms when somebody wanted the
 * series to be gone (store/upkeep.h) index_runs  u64 number                              -> u64
 * entries, u64 bytes index       u64 number, 16 bytes hash, text, u8 0, u32 id
 *                                                     -> chunk: sorted (key, id), where key is a
 *             hash and a text and names a series, a metric or a value of a label (store/index.h);
 *             key and id are those of its first entry. u8 2, u32 checksum of what follows (the low
 *             half of XXH3-64, seeded with the run's number), u16 keys, u8 form, then the keys and
 *             their ids (store/index_chunk.h)
 * gauges      u32 id                                  -> double level, i64 at, u64 arrival,
 *             i64 absolute_at (store/gauge.h): only gauges that were ever changed relatively
 * trackers    u64 number                              -> u8 1, then entries by id: the last points
 *             of series that their senders keep in order, as a log. Each: varint id less the one
 *             before; u8 bits 0-1 form, 2 a start follows, 3 a whole value, 4 it began anew a short
 *             time ago, 5 a tally follows, of increments 6 the time is exact, 7 there is a gap;
 *             zigzag varint time less the one before; zigzag varint
 *             start less the last one; zigzag varint of a whole value, else u64; then, if bit 4,
 *             varints of how long before, and, if bit 5, varint length and a tally; if bit 6,
 *             varint ns of the time; if bit 7, varints: time less the gap's end, its ns, 0 or 1 +
 *             its length and then the ns of its beginning (store/tracker.h)
 * mixed       NAME of the metric                      -> block name, u32 n, n times i64 from, i64
 *             to: when it had two senders, the oldest first, disjoint
 * identities  16 bytes, of a key with the first bit set
 *             of a producer -> u8 1, i64 used_at, u64 epoch, u64 highest sequence, 128 bytes: bit i
 *             of byte i / 8 (from the lowest) is 1 when sequence highest - 1 - i was stored
 *             of a key      -> u8 2, i64 used_at, u64 high, u64 low of the body's hash, block
 *             answer
 * identity_ages  i64 wall_ms of the last use, 16 bytes -> - : the oldest first
 * ledger      NAME of the listener                    -> block name, u64 received,
 *             u64 stored, u32 n, n times u64 rejected, u32 m, m times u64 dropped (in the order of
 *             series/ledger.h, which is append only)
 * annotations i64 time (wall_ms), u64 number          -> u8 1, u8 kind, u8 flags (1: low priority),
 *             blocks: title, text, host, key, source, tags (store/annotation.h)
 *
 * Records, encoded by the modules that are named (store/record.h).
 *
 * alert_state  rule's id (alert/alert_engine) -> u8 2, u8 phase, i64 since, i64 clear_since,
 *              i64 period_from, f64 value, u64 fingerprint, block alert_id, block hooks
 * outbox       hook's id, u8 0, u64 sequence (alert/outbox) -> u8 2, u8 state, u32 attempts,
 *              i64 queued_at, i64 tried_at, i64 next_try, block last_error, block event
 * event        u64 sequence (alert/outbox) -> u8 2, u8 type, i64 at, i64 period_from,
 *              i64 period_to, u8 flags, f64 value, f64 target, block id, 17 blocks of text,
 *              f64 old value, 2 blocks of text (alert/event.h)
 * hook         hook's id (alert/outbox) -> u8 2, u64 pending, u64 dead, u64 sent, i64 sent_at,
 *              i64 paused_at, i64 paused_until, block last_error
 * schedule     schedule's id (kpi/coord) -> i64 last_run, i64 next_run
 * declared     metric's name, cut to 400 bytes (kpi/coord) -> i64 first declared (FIG-11)
 * figures      KPI's id, u8 0, u8 1 + period kind (enum period_kind), i64 from (kpi/period_record)
 *              -> u8 1, i64 to, u8 flags, u8 null reason, f64 value, u64 fingerprint, u64 commit,
 *              i64 evaluated_at, u32 n, n times: block target's id, u64 fingerprint, u8 status: a
 *              closed period as it was said last
 *              KPI's id, u8 0 -> u8 1, u64 since, u64 until, u8 kind, i64 next: the commit up to
 *              which late samples were looked for
 * tokens       name (web/token_record) -> u8 1, u8 role, 32 bytes SHA-256, i64 made at, block by
 *
 * NAME: the name itself up to SCHEMA_NAME_MAX bytes; of a longer one that many bytes and the
 * 16 bytes of its hash, so that a key always fits into LMDB's 511 bytes. */
#pragma once

#include "base/str.h"
#include "series/series_key.h"

/* Raised by every change of what is written above. */
enum { STORE_SCHEMA_VERSION = 5 };

/*       constant     name in LMDB */
#define DATABASES(X)                                                                               \
    X(META, "meta")                                                                                \
    X(SERIES, "series")                                                                            \
    X(RUNS, "runs")                                                                                \
    X(JOURNAL, "journal")                                                                          \
    X(RUN, "run")                                                                                  \
    X(PARTITIONS, "partitions")                                                                    \
    X(MINUTES, "minutes")                                                                          \
    X(QUARTERS, "quarters")                                                                        \
    X(DAYS, "days")                                                                                \
    X(CALENDARS, "calendars")                                                                      \
    X(DAY_BOUNDS, "day_bounds")                                                                    \
    X(KEPT, "kept")                                                                                \
    X(GARBAGE, "garbage")                                                                          \
    X(REMOVED, "removed")                                                                          \
    X(SEEN, "seen")                                                                                \
    X(OWNERS, "owners")                                                                            \
    X(UNWANTED, "unwanted")                                                                        \
    X(INDEX_RUNS, "index_runs")                                                                    \
    X(INDEX, "index")                                                                              \
    X(TRACKERS, "trackers")                                                                        \
    X(MIXED, "mixed")                                                                              \
    X(IDENTITIES, "identities")                                                                    \
    X(IDENTITY_AGES, "identity_ages")                                                              \
    X(GAUGES, "gauges")                                                                            \
    X(LEDGER, "ledger")                                                                            \
    X(ANNOTATIONS, "annotations")                                                                  \
    X(ALERT_STATE, "alert_state")                                                                  \
    X(OUTBOX, "outbox")                                                                            \
    X(EVENT, "event")                                                                              \
    X(HOOK, "hook")                                                                                \
    X(SCHEDULE, "schedule")                                                                        \
    X(DECLARED, "declared")                                                                        \
    X(FIGURES, "figures")                                                                          \
    X(TOKENS, "tokens")

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
struct schema_key schema_name_key(struct str name);

/* Keys made of parts, in the order they are put: big-endian, signed ones with 2^63 added, so that
 * their bytes have the order of the numbers. Start from SCHEMA_KEY_EMPTY. */
#define SCHEMA_KEY_EMPTY                                                                           \
    (struct schema_key)                                                                            \
    {                                                                                              \
        .len = 0                                                                                   \
    }
void schema_put_u8(struct schema_key *key, uint8_t value);
void schema_put_u16(struct schema_key *key, uint16_t value);
void schema_put_u32(struct schema_key *key, uint32_t value);
void schema_put_u64(struct schema_key *key, uint64_t value);
void schema_put_i64(struct schema_key *key, int64_t value);

/* Reads them back; past the end zeros come, and `ok` is false for good. */
struct schema_reader {
    const unsigned char *at;
    size_t left;
    bool ok;
};
struct schema_reader schema_reader_of(struct str bytes);
uint8_t schema_get_u8(struct schema_reader *reader);
uint16_t schema_get_u16(struct schema_reader *reader);
uint32_t schema_get_u32(struct schema_reader *reader);
uint64_t schema_get_u64(struct schema_reader *reader);
int64_t schema_get_i64(struct schema_reader *reader);

/* Backwards; `bytes` has the length that the key has (a shorter one gives 0). */
uint32_t schema_id_of(struct str bytes);
