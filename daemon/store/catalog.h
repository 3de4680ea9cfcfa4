/* Which series there are: key <-> id, the series of a metric, and what is known of metrics.
 *
 * The writer keeps hashes and ids in memory (24 bytes a series, at most twice that), so that a
 * series it has met costs one look-up without LMDB. What is in memory and not yet committed is
 * dropped with the transaction: catalog_forget after each one that did not hold. Private to store/.
 */
#pragma once

#include "series/delta.h"
#include "store/store_private.h"

struct catalog;

struct catalog *catalog_new(void);
void catalog_free(struct catalog *catalog);
void catalog_forget(struct catalog *catalog);

enum catalog_refusal {
    CATALOG_TAKEN,
    CATALOG_COLLISION, /* another key has this hash, or another metric this name's hash */
    CATALOG_UNKNOWN,   /* a hash without a key that was never stored: a bug of the sender */
};

struct catalog_series {
    uint32_t id;
    uint32_t metric; /* for catalog_note */
    enum metric_kind kind;
    enum catalog_refusal refusal; /* the others mean nothing unless this is CATALOG_TAKEN */
};

/* Finds the series of a delta, or makes it. False means that LMDB failed. */
bool catalog_resolve(struct catalog *catalog, struct write_txn *txn, wall_ms now,
                     const struct delta_series *series, struct catalog_series *out,
                     struct error *err);

/* Takes note of samples of a metric. */
void catalog_note(struct catalog *catalog, uint32_t metric, wall_ms first_at, wall_ms last_at);

/* Writes what resolving and taking notes have left in memory; once, before the commit. The number
 * of series made goes to `created`. */
bool catalog_flush(struct catalog *catalog, struct write_txn *txn, uint64_t *created,
                   struct error *err);

/* The key of a series; false when there is none. Valid as long as the transaction. */
bool catalog_key(const struct read_txn *txn, uint32_t id, struct str *key);

/* The hash under which by_metric has the series of a metric: that of its key without labels. */
struct series_hash catalog_metric_hash(enum metric_kind kind, struct str metric);

/* A value of the metrics database. `name` points into it. */
struct metric_record {
    uint32_t kinds;
    wall_ms first_at;
    wall_ms last_at;
    uint64_t series;
    struct str name;
};

bool metric_record_decode(struct str bytes, struct metric_record *out);
