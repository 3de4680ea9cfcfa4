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
};

/* --- runs --- */

struct run {
    unsigned tier; /* 0: the journal */
    uint64_t number;
    uint64_t version; /* number of the commit that listed it (design 4.11) */
    int64_t min_minute, max_minute;
    uint64_t cells;
    uint64_t bytes; /* of its chunks */
};

/* Record: u64 version, i64 min_minute, i64 max_minute, u64 cells, u64 bytes. */
bool parts_add_run(struct write_txn *txn, const struct run *run, struct error *err);

/* Takes it off the list; its bytes are garbage from then on (parts_add_garbage is done here). */
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
    uint64_t version; /* of the commit that listed it */
    uint64_t series, points, bytes;
    unsigned pruned; /* retention rules of metrics that were already applied to it */
};

/* Record: i64 to, u64 version, u64 series, u64 points, u64 bytes, u8 pruned. Adding one that is
 * there replaces it. */
bool parts_add_partition(struct write_txn *txn, const struct partition *partition,
                         struct error *err);
bool parts_remove_partition(struct write_txn *txn, const struct partition *partition,
                            struct error *err);

/* Those of the level and calendar that overlap buckets [from, to), by `from`; in the arena. */
bool parts_partitions(const struct read_txn *txn, enum level level, uint32_t calendar, int64_t from,
                      int64_t to, struct arena *arena, struct partition **out, size_t *count,
                      struct error *err);

/* Where the blocks of a level are. */
enum database parts_blocks(enum level level);

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

/* Deletes up to `max` entries of data that belongs to garbage, oldest first, and forgets what has
 * none left. `skip`: what is being built now (NULL-terminated by what 0). `*deleted` of 0: there is
 * none left. */
struct garbage_item {
    enum garbage what;
    uint64_t number;
};
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

/* The built day that holds or follows quarter `from`, or else the last one before `to`:
 * visits the built days of the calendar that overlap quarters [from, to), in order; return false
 * to stop. A day without a row is not built. */
typedef bool (*day_fn)(const struct day_bounds *day, void *arg);
bool parts_days(const struct read_txn *txn, uint32_t calendar, int64_t from, int64_t to,
                day_fn on_day, void *arg, struct error *err);

/* The built days that tile the most of quarters [from, to): `*inside_from` to `*inside_to`, in
 * quarters; equal when there is no whole day inside. A gap between rows ends the tiling. */
bool parts_tile_days(const struct read_txn *txn, uint32_t calendar, int64_t from, int64_t to,
                     struct day_bounds *first, struct day_bounds *last, bool *found,
                     struct error *err);
bool parts_add_day(struct write_txn *txn, uint32_t calendar, const struct day_bounds *day,
                   struct error *err);
bool parts_remove_day(struct write_txn *txn, uint32_t calendar, int64_t day, struct error *err);
