/* What is known of metrics by name: which kinds of series they have, and how many. The rows count
 * indexed series; who reads adds those that are not indexed yet. Private to store/. */
#pragma once

#include "base/table.h"
#include "store/store_private.h"

struct metric_count {
    unsigned kinds; /* bit (1 << enum metric_kind) for each kind it ever had series of */
    uint64_t series;
};

/* Adds up counts by name, in memory. */
struct metric_counts {
    struct arena arena;
    struct table by_name; /* -> struct metric_count in the arena */
    struct metric_count *last;
    struct str last_name; /* most series come after one of the same metric */
};

#define METRIC_COUNTS_EMPTY                                                                        \
    {                                                                                              \
        .last = NULL                                                                               \
    }

void metric_counts_fini(struct metric_counts *counts);
struct metric_count *metric_counts_at(struct metric_counts *counts, struct str metric);

/* The row of a metric; `*found` false and zeros when there is none. Of two long names with one hash
 * (store/schema.h) the one that was indexed last has it. */
bool metric_table_find(const struct read_txn *txn, struct str metric, struct metric_count *out,
                       bool *found, struct error *err);

/* Adds to the row of each, which is made when there is none. */
bool metric_table_add(struct write_txn *txn, const struct metric_counts *counts, struct error *err);

/* Takes series off a metric's row. The kinds stay: what was measured once is known by them. */
bool metric_table_remove(struct write_txn *txn, struct str metric, uint64_t series,
                         struct error *err);

/* A row as it is stored; `name` points into it. */
bool metric_table_decode(struct str bytes, struct str *name, struct metric_count *out);
