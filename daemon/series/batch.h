/* The delta of one acknowledged batch (design 5): its samples aggregated by the thread that parsed
 * them. It never enters a shard, so that the answer is about the batch and nothing else.
 *
 * One thread, no locks. Keys are a client's: they are hashed with a seed that nobody knows. */
#pragma once

#include "series/delta.h"
#include "series/ledger.h"
#include "series/metric.h"

struct batch;

/* Borrowed by a batch, and asked for each sample: a reload may change it in between. */
struct batch_rules {
    const struct metric_table *metrics; /* NULL is fine */
    size_t series_max;                  /* of one batch; beyond it __other__ takes them (FIG-35) */
    span_ms max_future;                 /* FIG-3 */
    span_ms max_past;
    uint64_t seed;
};

struct batch_sample {
    struct str name;
    const struct label *labels; /* sorted, unique, and such as may stand in a series key */
    size_t label_count;
    enum metric_kind kind; /* by the protocol; a declared type beats it (FIG-8) */
    bool is_text;          /* `text` alone means something: a member of a unique metric */
    double value;          /* finite */
    struct str text;       /* the value as sent */
    wall_ms at;
};

struct batch *batch_new(const struct batch_rules *rules);
void batch_free(struct batch *batch); /* NULL is fine */

/* The kind that samples of a metric have: the declared one, else `otherwise`. */
enum metric_kind batch_kind(const struct batch_rules *rules, struct str name,
                            enum metric_kind otherwise);

/* Takes one sample; `now` decides what is too far away, `arrival` grows with each sample of a
 * thread. REJECT_NONE: it is stored. A text that is not a member is REJECT_bad_number. */
enum reject_reason batch_add(struct batch *batch, const struct batch_sample *sample, wall_ms now,
                             uint64_t arrival);

/* Bytes held, for limits. */
size_t batch_size_bytes(const struct batch *batch);

/* The delta, without identity and ledger; the batch is freed. Never NULL. */
struct delta *batch_take(struct batch *batch);
