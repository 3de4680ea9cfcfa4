/* What the files of verify share. Nobody else includes this.
 *
 * The work is cut into steps, each of which goes on from where it was in one short read transaction
 * after the other. */
#pragma once

#include "store/parts.h"
#include "store/verify.h"
#include "store/walk.h"

struct verify {
    struct store *store;
    const struct verify_options *options;
    struct verify_counts *counts;
    uint64_t newest; /* commit: what was listed later is left out */

    /* the read transaction under way */
    struct read_txn *txn;
    mono_ms began_at;
    uint64_t rows;
    struct arena arena;   /* lists; until it ends */
    struct arena scratch; /* for one chunk, block or series */

    /* which series there are, a bit each; those that came later are looked up */
    unsigned char *series;
    uint32_t series_end; /* ids before have a bit */
    uint32_t newest_id;  /* no greater one can have been given */

    struct catalog_check *catalogue; /* NULL: not begun yet */

    char where[160];
};

/* Takes note of work; false when the transaction has to end. */
bool verify_spend(struct verify *verify, uint64_t rows);

/* Sets where what is reported next was found. */
__attribute__((format(printf, 2, 3))) void verify_at(struct verify *verify, const char *format,
                                                     ...);
__attribute__((format(printf, 3, 4))) void verify_report(struct verify *verify, const char *what,
                                                         const char *format, ...);

bool verify_has_series(struct verify *verify, uint32_t id, bool *found, struct error *err);

/* --- the steps --- */

/* How far a run or partition was read, which is done chunk by chunk. */
struct verify_data_state {
    struct schema_key row;  /* of the list: where to go on */
    struct schema_key data; /* the same in its data */
    bool has_begun;
    bool is_broken; /* its sums mean nothing */
    bool has_told_series;
    bool has_place;
    struct run run, run_seen;
    struct partition partition, partition_seen;
    uint32_t id; /* the place that was read last */
    int64_t bucket;
    unsigned part;
};

struct verify_unlisted_state {
    bool has_looked_at_lists;
    unsigned heap; /* which kind of data is under way */
    uint64_t next; /* number */
};

struct verify_levels_state {
    bool has_begun;
    int64_t next; /* quarter: those before are done */
    uint32_t calendar;
    uint64_t next_id; /* series before are done, in the window or day that begins at `next` */
};

struct verify_rows_state {
    unsigned table; /* which one is under way */
    struct schema_key next;
    uint32_t calendar; /* of the day before */
    struct day_bounds day;
};

/* Of the step under way; zeros when it begins. */
union verify_state {
    struct schema_key series; /* where to go on */
    struct verify_data_state data;
    struct verify_unlisted_state unlisted;
    struct verify_levels_state levels;
    struct verify_rows_state rows;
};

/* `*done` when there is no more to do, else it is called again with a new transaction. */
typedef bool (*verify_fn)(struct verify *verify, union verify_state *state, bool *done,
                          struct error *err);

/* Only takes note of which there are. */
bool verify_series(struct verify *verify, union verify_state *state, bool *done, struct error *err);

/* The catalogue's own check, of its keys and its index. */
bool verify_catalogue(struct verify *verify, union verify_state *state, bool *done,
                      struct error *err);

bool verify_runs(struct verify *verify, union verify_state *state, bool *done, struct error *err);
bool verify_partitions(struct verify *verify, union verify_state *state, bool *done,
                       struct error *err);

/* What is not listed, or listed twice. */
bool verify_unlisted(struct verify *verify, union verify_state *state, bool *done,
                     struct error *err);

/* One level with the finer one. */
bool verify_quarters(struct verify *verify, union verify_state *state, bool *done,
                     struct error *err);
bool verify_days(struct verify *verify, union verify_state *state, bool *done, struct error *err);

/* Marks, calendars, days, ledger; and what else names series by id. */
bool verify_rows(struct verify *verify, union verify_state *state, bool *done, struct error *err);

/* What only the layers above can read. */
bool verify_records(struct verify *verify, union verify_state *state, bool *done,
                    struct error *err);
