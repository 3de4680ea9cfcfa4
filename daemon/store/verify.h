/* Looks through everything that is stored and says what is wrong and where.
 *
 * What is checked: that every row can be read; that runs and partitions hold what their records
 * say, cell by cell; that days agree with the quarters of an hour they were made of and these with
 * their minutes; that the catalogue has every series that is measured; that the ledger balances;
 * and that nothing lies about that is not listed.
 *
 * Readers only, each for a moment: while kpid runs, what is replaced meanwhile is not looked at
 * again, and what is stored after the start may be left out. One thread, which waits for nobody. */
#pragma once

#include "store/store.h"

struct verify_counts {
    uint64_t series;
    uint64_t runs, chunks, cells;
    uint64_t partitions, blocks, points;
    uint64_t compared; /* cells of quarters and days, with what they were made of */
    uint64_t days, ledgers, identities;
    uint64_t index_runs, index_entries;
    uint64_t findings;
};

struct verify_finding {
    const char *what;  /* "run", "partition", "series", "level", ...: never renamed */
    const char *where; /* "run 7 of tier 1" */
    const char *text;  /* what is wrong with it; a sentence without its subject's place */
};

struct verify_progress {
    const char *step;       /* what is looked at */
    unsigned number, count; /* this is the number-th of so many steps, from 1 */
    const struct verify_counts *counts;
};

struct verify_options {
    span_ms read_ms;    /* of a read transaction, at most; 0: 1 s */
    uint64_t read_rows; /* the same in cells, points and rows; 0: any number */
    uint64_t told_max;  /* findings; more are only counted; 0: 1,000 */
    void (*on_finding)(const struct verify_finding *finding, void *arg);
    /* Between read transactions. False stops. NULL is fine. */
    bool (*on_progress)(const struct verify_progress *progress, void *arg);
    void *arg;
};

/* False: the store cannot be read at all, or it was stopped (ERROR_UNAVAILABLE). What is wrong
 * with what was read is not an error but a finding. */
bool verify_store(struct store *store, const struct verify_options *options,
                  struct verify_counts *out, struct error *err);
