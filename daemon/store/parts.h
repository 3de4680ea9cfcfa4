/* The list of what a figure is made of: runs and partitions, and up to where the background work
 * has come. Private to store/.
 *
 * Everything here is a few rows of LMDB, read and written inside the transaction that is given, so
 * a snapshot sees one consistent list. */
#pragma once

#include "store/chunk.h"
#include "store/store_private.h"

enum level { LEVEL_MINUTE, LEVEL_QUARTER, LEVEL_DAY, LEVEL_COUNT };

enum {
    QUARTERS_PER_WINDOW = 16, /* the window of minutes: 240; it becomes 16 quarters at once */
    MINUTES_PER_WINDOW = MINUTES_PER_QUARTER * QUARTERS_PER_WINDOW,
    MINUTES_PER_STAGE = 60,  /* on the way to the window */
    QUARTERS_PER_WEEK = 672, /* the last window of quarters */
    DAYS_PER_WINDOW = 32,    /* the last window of days */
    QUARTERS_PER_DAY = 96,   /* of a day of 24 hours */
};

/* --- runs --- */

struct run {
    unsigned tier; /* 0: the journal */
    uint64_t number;
    uint64_t version; /* number of the newest commit that it has cells of (design 4.11) */
    int64_t min_minute, max_minute;
    uint64_t cells;
    uint64_t bytes; /* of its chunks */
};

/* Record: u64 version, i64 min_minute, i64 max_minute, u64 cells, u64 bytes. */
bool parts_add_run(struct write_txn *txn, const struct run *run, struct error *err);

/* Takes it off the list; its bytes are garbage from then on (parts_add_garbage is done here). One
 * that is not listed is ERROR_CORRUPT. */
bool parts_remove_run(struct write_txn *txn, const struct run *run, struct error *err);

/* All runs, by tier and number, in the arena. False: LMDB failed. */
bool parts_runs(const struct read_txn *txn, struct arena *arena, struct run **out, size_t *count,
                struct error *err);

/* --- partitions --- */

struct partition {
    enum level level;
    uint32_t calendar; /* 0 but for LEVEL_DAY */
    uint32_t number;
    int64_t from, to; /* buckets, half open: minutes, quarters or days since 1970 */
    uint64_t version; /* as a run's: what is only written anew is not new */
    uint64_t series, points, bytes;
    unsigned pruned; /* retention rules of metrics that were already applied to it */
};

/* Record: i64 to, u64 version, u64 series, u64 points, u64 bytes, u8 pruned. Adding one that is
 * there replaces it. None is longer than the last window of its level. */
bool parts_add_partition(struct write_txn *txn, const struct partition *partition,
                         struct error *err);

/* As parts_remove_run. */
bool parts_remove_partition(struct write_txn *txn, const struct partition *partition,
                            struct error *err);

struct bucket_range {
    enum level level;
    uint32_t calendar; /* 0 but for LEVEL_DAY */
    int64_t from, to;  /* buckets, half open */
};

/* Those of the level and calendar that overlap the range, by their `from`; in the arena. */
bool parts_partitions(const struct read_txn *txn, const struct bucket_range *range,
                      struct arena *arena, struct partition **out, size_t *count,
                      struct error *err);

/* Where the blocks of a level are, and what they are called: "minutes", "quarters", "days". */
enum database parts_blocks(enum level level);
const char *parts_level_name(enum level level);

/* --- numbers, never given twice --- */

bool parts_next_run(struct write_txn *txn, uint64_t *out, struct error *err);
bool parts_next_partition(struct write_txn *txn, uint32_t *out, struct error *err);

/* --- garbage: what is being built, and what is being taken away --- */

enum garbage {
    GARBAGE_JOURNAL = 1,
    GARBAGE_RUN,
    GARBAGE_MINUTES,
    GARBAGE_QUARTERS,
    GARBAGE_DAYS,
    GARBAGE_INDEX
};

bool parts_add_garbage(struct write_txn *txn, enum garbage what, uint64_t number,
                       struct error *err);
bool parts_remove_garbage(struct write_txn *txn, enum garbage what, uint64_t number,
                          struct error *err);

struct garbage_item {
    enum garbage what;
    uint64_t number;
};

/* Where its data is, and what the keys of that begin with. False: there is no such kind or number.
 */
bool parts_data_of(const struct garbage_item *item, enum database *database,
                   struct schema_key *prefix);

/* Deletes up to `max` entries of data that belongs to garbage, the oldest number of each kind
 * first, and forgets what has none left, which counts as an entry too. `skip`: the `skip_count`
 * that are being built now. `*deleted` of 0: there is none left. */
bool parts_collect(struct write_txn *txn, const struct garbage_item *skip, size_t skip_count,
                   size_t max, size_t *deleted, struct error *err);

/* --- up to where --- */

/* Buckets. Before the first work INT64_MIN, which stands for: none yet. */
enum mark {
    MARK_CLOSED,
    MARK_QUARTERED,
    MARK_KEPT_MINUTE,
    MARK_KEPT_QUARTER,
    MARK_KEPT_DAY,
    MARK_COUNT
};

int64_t parts_mark(const struct read_txn *txn, enum mark mark);
bool parts_set_mark(struct write_txn *txn, enum mark mark, int64_t value, struct error *err);

/* --- calendars and their days --- */

/* 0 when the zone has no number yet. */
uint32_t parts_calendar(const struct read_txn *txn, struct str zone);
bool parts_add_calendar(struct write_txn *txn, struct str zone, uint32_t *out, struct error *err);

struct day_bounds {
    int64_t day;
    int64_t from, to; /* quarters, half open */
};

struct day_range {
    uint32_t calendar;
    int64_t from, to; /* quarters, half open */
};

/* Visits the built days of the calendar that overlap the range, in order, until the
 * function returns false. A day without a row is not built. */
typedef bool (*day_fn)(const struct day_bounds *day, void *arg);
bool parts_days(const struct read_txn *txn, const struct day_range *range, day_fn on_day, void *arg,
                struct error *err);

/* A day of any zone begins within a day of its number's in UTC and is at most two long: others are
 * refused, since days are looked for by their number. */
bool parts_add_day(struct write_txn *txn, uint32_t calendar, const struct day_bounds *day,
                   struct error *err);
bool parts_remove_day(struct write_txn *txn, uint32_t calendar, int64_t day, struct error *err);

/* --- what single rows say, for who reads a list that may be damaged --- */

/* False: the bytes are no such row. */
bool parts_run_of(struct str key_bytes, struct str value_bytes, struct run *out);
bool parts_partition_of(struct str key_bytes, struct str value_bytes, struct partition *out);
bool parts_day_of(struct str key_bytes, struct str value_bytes, uint32_t *calendar,
                  struct day_bounds *out);
