/* Which series there are: key <-> id, and how many each metric has.
 *
 * Making a series appends its key to `series` and nothing else. What finds it is the index
 * (store/index.h), made in the background (store/indexer.h); series that are not in it yet are read
 * one by one. Beside that the writer remembers the hashes and ids it has met (about 60 bytes a
 * series), so that a series it knows costs one look-up in memory, and hardly anything when it
 * comes after the one with the id before. Ids are never given twice.
 *
 * What is in memory and not yet committed is dropped with the transaction: catalog_forget after
 * each one that did not hold. Private to store/. */
#pragma once

#include "series/delta.h"
#include "store/census.h"
#include "store/indexer.h"
#include "store/metric_index.h"
#include "store/select.h"
#include "store/store_private.h"

struct catalog;

struct catalog *catalog_new(void);

/* The same with limits: `room` is told what is full (borrowed). */
struct catalog *catalog_new_limited(struct room *room);
struct census *catalog_census(struct catalog *catalog);
void catalog_free(struct catalog *catalog); /* NULL is fine */
void catalog_forget(struct catalog *catalog);

enum catalog_refusal {
    CATALOG_TAKEN,
    CATALOG_COLLISION, /* another key has this hash */
    CATALOG_UNKNOWN,   /* a hash without a key that was never stored: a bug of the sender */
    CATALOG_FULL,      /* over the limits of series and of `__other__` */
};

struct catalog_series {
    uint32_t id;
    enum metric_kind kind;
    enum catalog_refusal refusal; /* the others mean nothing unless this is CATALOG_TAKEN */
    bool is_refused;              /* it is the `__other__` of the one that was asked for */
    struct census_place place;    /* of catalog_admit_all */
};

struct catalog_batch {
    const struct delta_series *series;
    size_t count;
    wall_ms now;
    const struct delta *delta; /* says who brought them; NULL: nobody */
    size_t first;              /* that one's place in it */
};

/* Finds the series of a delta, or makes them: `out` takes one for each, in their order. What is in
 * memory is looked up in batches, and what is not in the order of the index. False: the store could
 * not be read or written. */
bool catalog_resolve_all(struct catalog *catalog, struct write_txn *txn,
                         const struct catalog_batch *batch, struct catalog_series *out,
                         struct error *err);

/* The same of series that have samples now: they are active, and limits apply to them. Beyond one
 * the `__other__` of their metric and kind is found or made. With `keys_once` what was refused is
 * remembered, since it comes without its key from then on. */
bool catalog_admit_all(struct catalog *catalog, struct write_txn *txn,
                       const struct catalog_batch *batch, bool keys_once,
                       struct catalog_series *out, struct error *err);

/* Ends what belongs to one transaction, before its commit; returns how many series were made. */
uint64_t catalog_end_group(struct catalog *catalog);

/* What comes is of the transaction whose group was ended already. */
void catalog_reopen_group(struct catalog *catalog);

/* Takes series away; ids that are not there are passed over. */
bool catalog_remove_series(struct catalog *catalog, struct write_txn *txn, const uint32_t *ids,
                           size_t count, struct error *err);

/* Bytes that the writer remembers series with. */
size_t catalog_size_bytes(const struct catalog *catalog);

/* --- for readers, who treat what cannot be read as absent --- */

/* The key of a series; false when there is none. Valid as long as the transaction. */
bool catalog_key(const struct read_txn *txn, uint32_t id, struct str *key);

/* The series with this name; the key as above. */
bool catalog_find_hash(const struct read_txn *txn, struct series_hash hash, uint32_t *id,
                       struct str *key);

/* Zeros for a metric without series. */
void catalog_metric(const struct read_txn *txn, struct str metric, struct metric_count *out);

/* All metrics that have series, in the order of their names (after 64 bytes that are alike: in any
 * order); return false to stop. */
typedef bool (*catalog_metric_fn)(struct str metric, const struct metric_count *count, void *arg);
void catalog_metrics(const struct read_txn *txn, catalog_metric_fn on_metric, void *arg);

/* --- checking --- */

/* Goes through all that the catalogue has: every row of the series, every run of the index, what
 * each series is found by. Says what is wrong, in one line each, at most
 * CATALOG_FINDINGS_MAX of them. */
enum { CATALOG_FINDINGS_MAX = 100 };
typedef void (*catalog_finding_fn)(const char *finding, void *arg);

struct catalog_checker {
    catalog_finding_fn on_finding;
    bool (*spend)(uint64_t rows, void *arg); /* false: the transaction has to end; NULL: never */
    void *arg;
};

struct catalog_check;
struct catalog_check *catalog_check_new(const struct catalog_checker *checker);
void catalog_check_free(struct catalog_check *check); /* NULL is fine */

/* Goes on in a snapshot that is as new as the one before, or newer. `*done`: that was all. What
 * comes and goes meanwhile is no finding. */
bool catalog_check_go_on(struct catalog_check *check, const struct read_txn *txn, bool *done,
                         struct error *err);
