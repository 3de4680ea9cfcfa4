/* One ingest thread's cells since the last commit. Nothing shared, nothing locked.
 *
 * Samples come in small arrays: their raw keys are hashed and looked up together with prefetching.
 * A raw key (name, tags, protocol's kind) is a bounded cache to the series and known by its hash,
 * so that a repeated line costs one hash; only a new one is normalised into a series key. */
#pragma once

#include "series/delta.h"
#include "series/ledger.h"
#include "series/metric.h"
#include "series/room.h"
#include "series/sample.h"

struct shard;

struct shard_limits {
    size_t series;      /* known at a time; beyond it samples go to __other__ of their metric */
    size_t raw_keys;    /* in the cache; beyond it keys are normalised each time */
    span_ms max_future; /* FIG-3 */
    span_ms max_past;
    const struct room *room; /* where no further series are made; borrowed, NULL is fine */
};

/* `metrics` is borrowed until shard_set_metrics replaces it; NULL is fine. `seed` is random per
 * start, so that nobody can choose colliding keys. */
struct shard *shard_new(const struct shard_limits *limits, const struct metric_table *metrics,
                        uint64_t seed);
void shard_free(struct shard *shard);

/* A reload: declared types may have changed, so the cache of raw keys is dropped. Between batches.
 */
void shard_set_metrics(struct shard *shard, const struct metric_table *metrics);

/* What is taken from now on comes from this listener, which is copied; empty, as at first: from
 * none. */
void shard_set_listener(struct shard *shard, struct str listener);

/* Takes `count` samples that arrived at `now_us` (microseconds) and counts each in `ledger` as
 * stored, rejected or dropped (the parser has counted it as received). When `why` is not NULL it
 * gets a reason for each sample, REJECT_NONE for a stored one; REJECT_series_limit is counted as
 * dropped{series_limit}, as the writer does. */
void shard_add(struct shard *shard, const struct sample *samples, size_t count, int64_t now_us,
               struct ledger *ledger, enum reject_reason *why);

/* All that changed since the last call, as a delta without ledgers; the shard's cells are empty
 * again, unless a hand-over in parts is under way: then its rest. Never NULL. The cells of one
 * series stand together, one for each minute, in the order of their minutes; a key is in the first
 * delta that has the series and in no later one. */
struct delta *shard_take_delta(struct shard *shard);

/* The same in parts, so that a delta of many series is never in memory as a whole. The first call
 * begins a hand-over of all that changed; each adds the next `cells_max` cells and totals to `out`
 * (and those of the last series' other minutes), and true is the last one's. Samples may be added
 * in between: those of a series that is not handed over yet may go with it, the others go with the
 * next hand-over. */
bool shard_hand_over(struct shard *shard, size_t cells_max, struct delta *out);

/* Cells that wait, at most: of the hand-over that is under way, else of the next one. */
size_t shard_waiting_cells(const struct shard *shard);

/* Bytes held for the next delta alone: samples of many minutes and sketches make it grow, so its
 * owner hands over early when it is past a budget. */
size_t shard_pending_bytes(const struct shard *shard);

/* For people: the name of the series that a sample went to which was just added. False: it is not
 * remembered under what was sent. */
bool shard_series_of(const struct shard *shard, const struct sample *sample,
                     struct series_hash *out);

size_t shard_series_count(const struct shard *shard);
size_t shard_size_bytes(const struct shard *shard); /* allocated, for tests of the memory bar */
