/* Looks through everything that is stored and says what is wrong and where.
 *
 * What is checked: that every row can be read; that runs and partitions hold what their records
 * say, cell by cell; that days agree with the quarters of an hour they were made of and these with
 * their minutes; that the catalogue has every series that is measured; that the ledger balances;
 * that nothing lies about that is not listed; and that the small records (store/record.h) are what
 * the layers above, which know their bytes, say they should be.
 *
 * Readers only, each for a moment: while kpid runs, what is replaced meanwhile is not looked at
 * again, and what is stored after the start may be left out. One thread, which waits for nobody. */
#pragma once

#include "store/record.h"

struct verify_counts {
    uint64_t series;
    uint64_t runs, chunks, cells;
    uint64_t partitions, blocks, points;
    uint64_t compared; /* cells of quarters and days, with what they were made of */
    uint64_t days, ledgers, identities;
    uint64_t index_runs, index_entries;
    uint64_t rows;                        /* of the tables that are looked at row by row */
    uint64_t records[RECORD_TABLE_COUNT]; /* those of them that are records, by table */
    uint64_t findings;
};

struct verify_finding {
    const char *what;  /* "run", "partition", "series", "record", ...: never renamed */
    const char *where; /* "run 7 of tier 1" */
    const char *text;  /* what is wrong with it; a sentence without its subject's place */
};

struct verify_progress {
    const char *step;       /* what is looked at */
    unsigned number, count; /* this is the number-th of so many steps, from 1 */
    const struct verify_counts *counts;
};

/* A row of a table of records. */
struct verify_record {
    struct str key, value;
    struct read_txn *txn; /* that it was read in, for what it refers to */
    uint64_t rows;        /* others that were read for it: the check adds them */
};

/* False: it is not what it should be, and `why` has the text of the finding. */
typedef bool (*verify_record_fn)(struct verify_record *record, struct error *why);

/* Who knows the bytes of a table. */
struct verify_table {
    enum record_table table;
    verify_record_fn check;
};

/* As the table is called in store/schema.h. */
const char *verify_table_name(enum record_table table);

struct verify_options {
    span_ms read_ms;                   /* of a read transaction, at most; 0: 1 s */
    uint64_t read_rows;                /* the same in cells, points and rows; 0: any number */
    uint64_t told_max;                 /* findings; more are only counted; 0: 1,000 */
    const struct verify_table *tables; /* the records that are looked at; borrowed */
    size_t table_count;
    void (*on_finding)(const struct verify_finding *finding, void *arg);
    /* Between read transactions. False stops. NULL is fine. */
    bool (*on_progress)(const struct verify_progress *progress, void *arg);
    void *arg;
};

/* False: the store cannot be read at all, or it was stopped (ERROR_UNAVAILABLE). What is wrong
 * with what was read is not an error but a finding. */
bool verify_store(struct store *store, const struct verify_options *options,
                  struct verify_counts *out, struct error *err);
