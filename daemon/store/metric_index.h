/* What is known of metrics by name: which kinds of series they have, and how many; read from the
 * index. Of indexed series: who reads adds those that are not indexed yet. Private to store/. */
#pragma once

#include "store/store_private.h"

struct metric_count {
    unsigned kinds; /* bit (1 << enum metric_kind) for each kind it has series of */
    uint64_t series;
};

/* Adds what the index has of a metric. */
bool metric_index_count(const struct read_txn *txn, struct str metric, struct metric_count *out,
                        struct error *err);

/* Goes through the metrics that the index has series of, in the order of their stems
 * (index_metric_stem). Borrows the transaction, in which nothing is written meanwhile. */
struct metric_walk;

/* NULL when it cannot be read. */
struct metric_walk *metric_walk_new(const struct read_txn *txn, struct error *err);
void metric_walk_free(struct metric_walk *walk); /* NULL is fine */

struct metric_seen {
    struct str stem; /* both valid until the next call */
    struct str name;
    struct metric_count count;
};

/* The next one; `*has` false at the end. */
bool metric_walk_next(struct metric_walk *walk, struct metric_seen *out, bool *has,
                      struct error *err);
