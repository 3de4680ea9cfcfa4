/* What changed in cells since the last commit: from a shard, or from one acknowledged batch, on its
 * way to the writer. This is the arrow between ingest and store; a delta owns all its memory.
 *
 * Cells are of one minute (UTC). A gauge that was changed relatively (S7) before its first absolute
 * value carries those changes apart: only the writer knows the level they start from. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/mailbox.h"
#include "series/annotation.h"
#include "series/cell.h"
#include "series/ledger.h"
#include "series/series_key.h"
#include "series/tally.h"

struct gauge_floor; /* delta.c */

/* The changes of a gauge before its first absolute value in the bucket, as running totals that
 * start at 0; with the level `base` before them the gauge's values were base + running total. */
struct gauge_changes {
    uint64_t count; /* how many; 0: none */
    double total;   /* the last running total */
    double first;   /* the first one */
    double low;     /* the least and the greatest one */
    double high;
    double sum; /* of all running totals */
    wall_ms first_at;
    wall_ms last_at;
    uint64_t first_arrival;
    uint64_t last_arrival;
    struct gauge_floor *floor; /* of a metric with one; owned: gauge_changes_fini. Else NULL */
};

struct delta_series {
    struct series_hash hash;
    struct str key; /* in the delta's arena; empty when this sender's writer has had it before */
};

struct delta_cell {
    uint32_t series; /* index into the delta's series */
    int64_t minute;  /* minutes since 1970 (UTC) */
    struct cell cell;
    struct gauge_changes *changes; /* of a gauge, in the delta's arena; NULL: none */
    uint64_t extra_weight; /* of its samples: what each weighs more than 1, 16 fractional bits */
};

/* How a point counts whose sender keeps its series in order (Prometheus, OTLP): only the writer
 * knows what came before, and turns it into what its cell takes (store/tracker.h). */
enum delta_point_form {
    POINT_CUMULATIVE, /* counted up since `start` (FIG-23) */
    POINT_INCREMENT,  /* what came after `start`, up to `at` (O10) */
    POINT_LEVEL,      /* a gauge's value at `at` */
};

/* Nanoseconds, of which a millisecond has 10^6. */
enum { DELTA_NS_BITS = 20, DELTA_NS_MASK = (1 << DELTA_NS_BITS) - 1 };

/* Not newer than the series' last point it is a duplicate; at the same time with something else it
 * is a conflict, and the first one stays. An increment that lies wholly in what the ones before
 * have left out counts all the same (store/tracker.h). */
struct delta_point {
    uint32_t series; /* index into the delta's series */
    enum delta_point_form form;
    wall_ms at;
    wall_ms start; /* WALL_NONE when the sender does not say */
    uint64_t arrival;
    double value;        /* cumulative: not negative. Without meaning when there is a tally */
    struct tally *tally; /* of a distribution: all that was counted, the delta's; else NULL */
    bool by_arrival : 1; /* `at` is when it came: after what came in the same millisecond */
    uint32_t at_ns : DELTA_NS_BITS; /* of an increment: how much later than that millisecond */
    uint32_t start_ns : DELTA_NS_BITS;
};

/* Who sent a batch, so that one that comes again is counted once (design 5). */
enum delta_identity_kind { IDENTITY_NONE, IDENTITY_PRODUCER, IDENTITY_KEY };

struct delta_identity {
    enum delta_identity_kind kind;
    struct series_hash name; /* the producer's id; or the hash of a key and its scope */
    uint64_t epoch;          /* producer: grows when it cannot keep its sequence */
    uint64_t sequence;       /* producer: from 1, grows by one with each batch */
    struct series_hash body; /* key: of the body that came with it */
};

enum delta_outcome {
    DELTA_STORED,
    DELTA_REPEATED, /* it was stored before; `answer` is what was answered then */
    DELTA_CONFLICT, /* the key came before with another body */
    DELTA_TOO_OLD,  /* the sequence or epoch is older than what is remembered */
};

struct delta_ledger {
    struct str listener; /* its name in the ledger, as "statsd udp:127.0.0.1:8125"; in the arena */
    struct ledger counts;
};

/* Which listener brought the series that stand from an index on, up to that of the next entry. */
struct delta_source {
    uint32_t from;
    struct str listener; /* as in delta_ledger; empty: none */
};

struct delta;

/* Called on the writer's thread when the delta is committed (`err` NULL), or when it never will be.
 * The delta is freed afterwards by the writer. */
typedef void (*delta_done_fn)(struct delta *delta, const struct error *err);

/* Called on the writer's thread inside of each try's transaction, when it is known how much of a
 * DELTA_STORED is not stored (not_stored_now): may change the answer that is kept, by nothing but
 * what it was made of at first. */
typedef void (*delta_counted_fn)(struct delta *delta);

/* Called on the writer's thread when a part of a large one is committed that is not its last: what
 * the ledgers say then is left to be committed. */
typedef void (*delta_part_fn)(struct delta *delta);

struct delta {
    struct message message; /* first: it travels by mailbox */
    struct arena arena;
    struct delta_series *series;
    size_t series_count, series_capacity;
    size_t key_count; /* series that came with their key */
    struct delta_cell *cells;
    size_t cell_count, cell_capacity;
    struct delta_ledger *ledgers;
    size_t ledger_count, ledger_capacity;
    struct delta_source *sources; /* in the order of the series */
    size_t source_count, source_capacity;
    struct delta_point *points; /* in the order they came */
    size_t point_count, point_capacity;
    size_t tally_count;             /* points that have one */
    struct annotation *annotations; /* texts in the arena; stored with the first part */
    size_t annotation_count, annotation_capacity;
    struct delta_identity identity;
    struct str answer;          /* in the arena: kept with the identity, for when it comes again */
    enum delta_outcome outcome; /* the writer's; means something in on_done without an error. Unless
                                 * it is DELTA_STORED nothing of the delta was stored, and all that
                                 * its ledgers say was stored is dropped: as a conflict for
                                 * DELTA_CONFLICT, too old for DELTA_TOO_OLD, else a duplicate */
    size_t
        sketch_bytes; /* held by the cells' sketches and histograms, as told by who put them in */
    delta_done_fn on_done; /* NULL: nobody wants to know */
    void *on_done_arg;
    delta_counted_fn on_counted; /* NULL: the answer stays as it is */
    delta_part_fn on_part;       /* NULL: nobody wants to know */
    uint64_t samples; /* in the cells and points, whatever they weigh: told by a shard, else 0 */
    uint64_t events;  /* annotations that are counted as samples */
    bool keys_once;   /* its sender gives the key of a series once (a shard), not in each delta */
    bool keep_trying; /* `on_done` is no answer to anybody: see delta_is_waited_for */
    /* the writer's own */
    size_t stored_cells; /* of a large one, which is stored in several transactions */
    size_t stored_points;
    uint64_t counted_now; /* samples of the part that is tried; see on_part */
    size_t posted_bytes;
    uint64_t not_stored_now; /* by the transaction that is tried */
    uint64_t not_stored;     /* of what its ledgers call stored: duplicates, conflicts, too old. In
                              * on_done of a DELTA_STORED it is known */
    struct ledger_drops drops_now; /* the same, by reason */
    struct ledger_drops drops;
};

struct delta *delta_new(void);
void delta_free(struct delta *delta); /* NULL is fine */

/* All copy what they are given. A ledger may be added after the cells. The cell of delta_add_cell
 * is empty and may be written until the next one is added; the sketch or histogram that is put into
 * it is the delta's, and so is the tally of a point. */
uint32_t delta_add_series(struct delta *delta, struct series_hash hash, struct str key);
struct delta_cell *delta_add_cell(struct delta *delta, uint32_t series, int64_t minute);
void delta_add_ledger(struct delta *delta, struct str listener, const struct ledger *counts);
void delta_add_point(struct delta *delta, const struct delta_point *point);
void delta_add_annotation(struct delta *delta, const struct annotation *annotation);

/* Series that are added from now on were brought by this listener (copied; empty: by none). It
 * means something of those that come with their key. */
void delta_set_listener(struct delta *delta, struct str listener);
struct str delta_listener_of(const struct delta *delta, size_t series);

/* The cell's changes, made when it has none. */
struct gauge_changes *delta_cell_changes(struct delta *delta, struct delta_cell *cell);

/* How many samples it was made of: exact, unless their weights were more than a count can hold. */
uint64_t delta_cell_samples(const struct delta_cell *cell);

bool delta_is_empty(const struct delta *delta);

/* Whether somebody waits for the answer. Else a commit that fails is tried until it holds. */
bool delta_is_waited_for(const struct delta *delta);

/* Bytes it holds, for limits. */
size_t delta_size_bytes(const struct delta *delta);

/* Makes room for so many series and cells in all, so that a sender that knows them asks once. */
void delta_reserve(struct delta *delta, size_t series, size_t cells);
void delta_reserve_points(struct delta *delta, size_t points);

/* Takes one more change, in the order of arrival. False, and nothing changes, when the running
 * total would no longer be finite. */
bool gauge_changes_add(struct gauge_changes *changes, double change, wall_ms at, uint64_t arrival);

/* Before the first change: they are a metric's, NULL is fine. Where it has a floor no value is
 * below that, and the next change starts from there. Again it does nothing. */
void gauge_changes_begin(struct gauge_changes *changes, const struct metric_definition *metric);
void gauge_changes_fini(struct gauge_changes *changes);

/* Bytes it owns. */
size_t gauge_changes_size_bytes(const struct gauge_changes *changes);

/* The aggregate of changes that start from level `base` (S7: 0 for a gauge never seen). */
struct aggregate gauge_changes_resolve(const struct gauge_changes *changes, double base);
