/* The delta of one acknowledged batch (design 5): its samples aggregated by the thread that parsed
 * them. It never enters a shard, so that the answer is about the batch and nothing else.
 *
 * One thread, no locks. Keys are a client's: they are hashed with a seed that nobody knows. */
#pragma once

#include "series/delta.h"
#include "series/ledger.h"
#include "series/metric.h"
#include "series/room.h"
#include "series/series_cache.h"

struct batch;

/* Borrowed by a batch, and asked for each sample: a reload may change it in between. */
struct batch_rules {
    const struct metric_table *metrics; /* NULL is fine */
    size_t series_max;                  /* of one batch; beyond it __other__ takes them (FIG-35) */
    span_ms max_future;                 /* FIG-3 */
    span_ms max_past;
    uint64_t seed;
    const struct room *room; /* where no further series are made; NULL is fine */
    struct str listener;     /* which brings what is in the batch; empty: none */
};

struct batch_sample {
    struct str name;
    const struct label *labels; /* sorted, unique, and such as may stand in a series key */
    size_t label_count;
    enum metric_kind kind; /* by the protocol; a declared type beats it (FIG-8) */
    bool is_text;          /* `text` alone means something: a member of a unique metric */
    double value;          /* finite */
    struct str text;       /* the value as sent; NULL: as str_format_double writes it */
    uint64_t weight;       /* 16 fractional bits; 0 is taken for WEIGHT_ONE, and so is a gauge's */
    bool is_change;        /* of a gauge, by `value` (S7); for another kind it is a value */
    wall_ms at;            /* `now` of the call: its arrival */
};

/* What was found out about the series of a sample or point, for the next one of the same name,
 * labels and kind in the same batch: zeroed before the first one. It borrows from the rules. */
struct batch_memo {
    bool is_known;
    enum metric_kind kind;
    const struct metric_definition *metric;
    enum reject_reason wrong;
    uint32_t place;               /* of the series in the delta, + 1; 0: not made yet */
    struct cached_series *cached; /* the cache's; NULL: it is not there, or there is none */
};

/* What a sender has counted between bounds: exponential (O16, P17) or explicit (O14). */
struct batch_buckets {
    uint64_t count; /* whole values, of all buckets */
    bool has_sum;
    double sum;
    bool has_extremes; /* else what the buckets say is taken for them */
    double min, max;

    bool is_exponential;
    int32_t scale; /* exponential: any that the protocol allows */
    uint64_t zeros;
    struct histogram_buckets positive, negative;

    const double *bounds; /* explicit: finite and growing */
    size_t bound_count;
    const uint64_t *counts; /* one more than bounds, whole values; NULL without bounds: not said */
};

/* A point of a series that its sender keeps in order (series/delta.h). */
struct batch_point {
    struct str name;
    const struct label *labels; /* as in batch_sample */
    size_t label_count;
    enum metric_kind kind; /* by the protocol; a declared type beats it (FIG-8) */
    enum delta_point_form form;
    wall_ms at;
    double value;                        /* finite */
    wall_ms start;                       /* WALL_NONE: not said */
    const struct batch_buckets *buckets; /* of a distribution, instead of `value`; else NULL */
    bool by_arrival;                     /* its sender says no time: `at` is when it came */
    uint32_t at_ns, start_ns;            /* as in struct delta_point */
};

struct batch *batch_new(const struct batch_rules *rules);
void batch_free(struct batch *batch); /* NULL is fine */

/* --- with a cache ---
 *
 * A batch that is given a cache finds its series there, as long as it is the last one that was: who
 * has one gives it a whole body at once. The delta is the same with and without. */

/* Before the first sample, of a body of so many bytes. `cache` has the seed of the rules and
 * forgets when they change; NULL is fine. */
void batch_use(struct batch *batch, struct series_cache *cache, size_t bytes);

/* Whether what the spelling says is known: then `memo` is what batch_add_point_to takes, whose
 * points need no name and no labels, and `*note` is what was remembered with it. It is good until
 * another batch is given the cache. */
bool batch_recall(struct batch *batch, struct spelling *spelling, struct batch_memo *memo,
                  unsigned char *note);

/* The same where the end of the spelling is not known (series_cache_find_next). */
bool batch_recall_next(struct batch *batch, const struct spelling *spelling,
                       struct batch_memo *memo, unsigned char *note, size_t *len);

/* The same for who comes upon the spelling in the midst of what it reads (series_cache_peek); the
 * second after the first, when its bytes are those that came. */
struct str batch_peek(struct batch *batch, const struct spelling *spelling);
void batch_recall_peeked(struct batch *batch, struct batch_memo *memo, unsigned char *note);

/* After batch_recall said no, and batch_add_point_to took a point with the memo: what has this
 * spelling is of its series. Nothing is remembered of what was not stored. */
void batch_remember(struct batch *batch, const struct spelling *spelling,
                    const struct batch_memo *memo, unsigned char note);

/* Whether that would be: for who has yet to spell it. */
static inline bool batch_may_remember(const struct batch_memo *memo)
{
    return memo->place != 0 && memo->cached != NULL;
}

/* A number for what spellings depend on or consist of (series_cache_context); 0 without a cache. */
uint64_t batch_context(struct batch *batch, struct str bytes);
uint64_t batch_find_context(struct batch *batch, struct str bytes);

/* The kind that samples of a metric have: the declared one, else `otherwise`. */
enum metric_kind batch_kind(const struct batch_rules *rules, struct str name,
                            enum metric_kind otherwise);

/* Takes one sample; `now` decides what is too far away, `arrival` grows with each sample of a
 * thread. REJECT_NONE: it is stored. A text that is not a member is REJECT_bad_number.
 *
 * Of a counter that is declared cumulative the value is a total, whatever the weight: a point as of
 * batch_add_point, whose start nobody says. */
enum reject_reason batch_add(struct batch *batch, const struct batch_sample *sample, wall_ms now,
                             uint64_t arrival);

/* The same for one of many samples of a series, which is looked up once. */
enum reject_reason batch_add_to(struct batch *batch, struct batch_memo *memo,
                                const struct batch_sample *sample, wall_ms now, uint64_t arrival);

/* Takes one point, which the writer turns into a sample when it is stored.
 *
 * What it is depends on the kind of the metric (FIG-8: the declared one, else the protocol's):
 *
 *   kind          CUMULATIVE   INCREMENT    LEVEL         with buckets
 *   counter       cumulative   increment    cumulative    their sum counts, by the form
 *   gauge         level        level        level         unsupported
 *   untyped       level        increment    level         unsupported
 *   distribution  each value is a sample of it            by the form; a level: unsupported
 *   score, unique each value is a sample of it            unsupported
 *
 * An increment without a time cannot be told from another one: each counts, as a sample does, as
 * often as it comes, and whatever else is known of its series. A level or total without a time is
 * newer than what came before.
 *
 * A declared counter whose sender calls it a gauge is a total that is shown again and again, so
 * differences count. As a sample it is taken as often as it comes. A cumulative value is not
 * negative (REJECT_bad_number). Buckets that contradict themselves, or are to be a counter and have
 * no sum, are REJECT_bad_histogram (series/tally.h).
 *
 * Over series_max, and where there is no room, an increment or level is a sample of __other__,
 * where a resend counts again. What is cumulative is REJECT_series_limit: in __other__ it would be
 * one of many under one tracker. When there is room again its next point counts all that came
 * meanwhile, if it counts at all (FIG-23).
 */
enum reject_reason batch_add_point(struct batch *batch, const struct batch_point *point,
                                   wall_ms now, uint64_t arrival);

/* The same for one of many points of a series. */
enum reject_reason batch_add_point_to(struct batch *batch, struct batch_memo *memo,
                                      const struct batch_point *point, wall_ms now,
                                      uint64_t arrival);

/* How many of the samples and points that were taken a rule of mapping drops: whoever counts has
 * counted them as stored, and moves them to dropped{unwanted} (ledger_drop). */
uint64_t batch_unwanted(const struct batch *batch);

/* Bytes held, for limits. */
size_t batch_size_bytes(const struct batch *batch);

/* The delta, without identity and ledger; the batch is freed. Never NULL. */
struct delta *batch_take(struct batch *batch);
