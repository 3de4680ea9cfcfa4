/* What a shard is made of: shard.c takes samples, shard_hand_over.c makes deltas. Nobody else
 * includes this. */
#pragma once

#include "base/pages.h"
#include "series/exact_sum.h"
#include "series/shard.h"
#include "series/slots.h"

enum {
    UNIT_BYTES = 8,
    RECORD_UNITS = 8, /* a cache line */
    ALIAS_UNITS = 2,
    CHUNK_UNITS = 1 << 18,
    CHUNK_BYTES = CHUNK_UNITS * UNIT_BYTES, /* a huge page */
    CHUNKS_MAX = 1 << 14,                   /* places are 32 bits */
    SIDES_PER_CHUNK = 1 << 14,
    SPREADS_PER_CHUNK = 1 << 18,
};

#define NOT_TOUCHED UINT32_MAX

/* A raw key is a sample's name, tags, style and kind as they were sent. It is known by a hash of 80
 * bits, seeded: by chance not even 10^7 of them have two that are the same
 * (one time in 10^10). To keep their texts and compare them would cost another cache line a sample,
 * and would keep nothing from anybody: who may send a name may send the other one. */
struct raw_hash {
    uint32_t slot; /* in the table */
    uint32_t low;  /* and what else tells them apart */
    uint16_t high;
};

struct raw_key {
    uint32_t low; /* of the raw_hash */
    uint16_t high;
    uint8_t kind; /* of the series: the declared one beats the one that was sent; 0: an alias */
    uint8_t is_new : 1;     /* its key has not been handed over */
    uint8_t generation : 1; /* while it is touched: which of the shard's pending ones it is in */
    uint8_t has_spread : 1; /* `side` is the number of a spread */
    uint8_t is_total : 1;   /* a counter that is declared cumulative */
    uint8_t has_totals : 1; /* since it was touched: instead of a cell it has points */
    uint8_t has_key : 1;    /* else it was not found under this one, or is no longer */
};

/* A series and its current cell, which is of the newest minute seen since the last delta. While all
 * of its values are equal (one sample, or increments of 1) the cell is here; of a counter or gauge
 * what differing values need besides is a spread; else it is a side cell. What counts up has points
 * instead, which `side` and `last_arrival` are the first and the last one of. */
struct record {
    struct raw_key raw;
    uint32_t touched; /* index into the touched ones of its generation, or NOT_TOUCHED */
    int32_t minute;
    uint64_t count;         /* as in struct aggregate; 0: the cell is empty or a side cell */
    double value;           /* with a spread the last one */
    uint32_t first_arrival; /* since the generation's arrival_base */
    uint32_t last_arrival;
    uint16_t first_ms; /* since the minute began */
    uint16_t last_ms;
    uint32_t side; /* or the spread of the current cell, or a point, + 1; 0: none */
    struct series_hash hash;
};

/* A further raw key of a series. */
struct alias {
    struct raw_key raw;
    uint32_t series;   /* the place of its record */
    uint16_t listener; /* the series is `__other__`, for what this listener sends in this */
    uint16_t minute;   /* minute (the low bits): it may bring no more. 0: for all and ever */
};

/* What a counter's or a gauge's current cell needs when its values differ, but for the first value:
 * that is seldom asked for and stands apart, so that two spreads share a cache line. */
struct spread {
    struct exact_sum sum;
    double min;
    double max;
};

struct spread_chunk {
    struct spread spreads[SPREADS_PER_CHUNK];
    double first[SPREADS_PER_CHUNK];
};

enum { SPREAD_BYTES = sizeof(struct spread) + sizeof(double) };

/* A whole cell: of a distribution with more than one value, of a set, of a gauge that was changed,
 * or of another minute than the current one. */
struct side {
    struct cell cell;
    struct gauge_changes *changes; /* owned */
    uint32_t touched;
    int32_t minute;
};

/* A total, which only the writer can make something of (FIG-23). */
struct total {
    double value;
    wall_ms at;
    uint64_t arrival;
    uint32_t next; /* of the same series, + 1; 0: none */
    bool by_arrival;
};

/* What changed since the last hand-over began. There are two: while one is handed over, in parts,
 * what is touched anew goes to the other; what waits in the first one goes on merging there. */
struct pending {
    uint32_t *touched; /* places of records */
    size_t touched_count;
    size_t touched_capacity;
    uint64_t arrival_base;
    struct side **side_chunks; /* each SIDES_PER_CHUNK of them */
    size_t side_chunk_count;
    size_t side_count;
    size_t side_most; /* so many may have been touched, see end_hand_over */
    struct spread_chunk **spread_chunks;
    size_t spread_chunk_count;
    size_t spread_count;
    size_t spread_most;
    struct slots other_minutes; /* side cells that are not current */
    struct total *totals;
    size_t total_count;
    size_t total_capacity;
    size_t owned_bytes; /* by sketches, histograms and changes */
    uint64_t samples;   /* that came, and are not handed over */
    uint64_t *extra;    /* of the touched ones, see extra_add; NULL: of none */
    size_t extra_count;
    struct buf new_keys; /* in the order of touching: varint number of a listener, block */
};

struct shard {
    struct shard_limits limits;
    const struct metric_table *metrics;
    uint64_t seed;
    uint64_t last_arrival;

    /* records and aliases: a place is a number of units from the start of the first chunk */
    char **chunks;
    size_t chunk_count;
    size_t chunk_capacity;
    size_t units_used; /* of the last chunk */
    uint32_t next_alias;
    uint32_t aliases_left; /* for which there is room */
    struct slots raw_keys;
    struct slots series;

    struct pending pending[2];
    unsigned current; /* the one that takes what is touched anew */

    /* The hand-over of the other one, while it is under way: its side cells that are not current
     * are in lists, one for each of its touched ones. */
    bool hands_over;
    uint32_t *other_heads; /* index of a side cell + 1; NULL: there are none */
    uint32_t *other_next;  /* the same, for each of the side cells */
    size_t other_capacity;
    size_t others_left;
    size_t handed_over; /* of its touched ones */
    size_t keys_at;     /* of its new keys */

    struct str *listeners; /* their names, owned; a number is an index + 1, 0 is none */
    size_t listener_count;
    uint16_t listener; /* of the samples that are taken */
    uint16_t minute;   /* it is now: the low bits */

    struct mapped *mapped; /* of the name that is looked at; NULL until there are rules */
    uint32_t unwanted;     /* the place that stands for all that rules drop; 0: none was */
    struct buf key;        /* the key that is being looked for */
};

/* What a sample's series is called. It borrows from the sample, and from shard->mapped until the
 * next name is asked for. */
struct series_name {
    struct str name;
    const struct label *labels; /* sorted, unique */
    size_t label_count;
    bool is_unwanted; /* a rule of mapping drops it */
    struct label sent[LABELS_MAX];
};
enum reject_reason series_name_of(struct shard *shard, const struct sample *sample,
                                  struct series_name *out);

/* The name of a number; empty for none. */
static inline struct str listener_name(const struct shard *shard, uint64_t number)
{
    return number == 0 ? STR_EMPTY : shard->listeners[number - 1];
}
void listeners_fini(struct shard *shard);

/* Whether the series that shard->key names is one that the listener may not bring. */
bool listener_is_full(const struct shard *shard);

/* By the name that the series is called; NULL: it is not declared. */
const struct metric_definition *definition_of(struct shard *shard, const struct sample *sample);

static inline void *place_in(char *const *chunks, uint32_t place)
{
    return chunks[place / CHUNK_UNITS] + (size_t)(place % CHUNK_UNITS) * UNIT_BYTES;
}

static inline void *at_place(const struct shard *shard, uint32_t place)
{
    return place_in(shard->chunks, place);
}

/* Whether an alias is for what is taken now. */
static inline bool alias_holds(const struct shard *shard, const struct alias *alias)
{
    return alias->listener == 0 ||
           (alias->listener == shard->listener && alias->minute == shard->minute);
}

/* The key of the series that is touched next, for the delta. */
static inline void new_key_add(struct shard *shard, struct str key)
{
    struct buf *keys = &shard->pending[shard->current].new_keys;

    buf_varint(keys, shard->listener);
    buf_block(keys, key);
}

static inline struct pending *pending_of(struct shard *shard, const struct record *record)
{
    return &shard->pending[record->raw.generation];
}

static inline struct side *side_at(const struct pending *pending, uint32_t index)
{
    return &pending->side_chunks[index / SIDES_PER_CHUNK][index % SIDES_PER_CHUNK];
}

static inline struct spread *spread_at(const struct pending *pending, uint32_t index)
{
    return &pending->spread_chunks[index / SPREADS_PER_CHUNK]->spreads[index % SPREADS_PER_CHUNK];
}

static inline double *spread_first(const struct pending *pending, uint32_t index)
{
    return &pending->spread_chunks[index / SPREADS_PER_CHUNK]->first[index % SPREADS_PER_CHUNK];
}

/* The current cell while it is not a side cell. */
static inline struct cell current_cell(const struct pending *pending, const struct record *record)
{
    struct cell cell = CELL_EMPTY;
    struct aggregate *aggregate = &cell.aggregate;
    wall_ms minute_at = (wall_ms)record->minute * MS_PER_MINUTE;

    if (record->count == 0)
        return cell;
    cell.counts_values = metric_kind_counts_values((enum metric_kind)record->raw.kind);
    aggregate_add(aggregate, record->value, record->count, minute_at + record->first_ms,
                  pending->arrival_base + record->first_arrival);
    aggregate->last_at = minute_at + record->last_ms;
    aggregate->last_arrival = pending->arrival_base + record->last_arrival;
    if (record->raw.has_spread) {
        const struct spread *spread = spread_at(pending, record->side - 1);
        aggregate->sum = spread->sum.high;
        aggregate->sum_low = spread->sum.low;
        aggregate->min = spread->min;
        aggregate->max = spread->max;
        aggregate->first = *spread_first(pending, record->side - 1);
    }
    return cell;
}

/* Of its sketch and histogram. */
static inline size_t sketch_bytes(const struct cell *cell)
{
    return (cell->distinct == NULL ? 0 : distinct_size_bytes(cell->distinct)) +
           (cell->histogram == NULL ? 0 : histogram_size_bytes(cell->histogram));
}

/* Takes a total of a record that has_totals; its arrival is the newest. */
void totals_add(struct pending *pending, struct record *record, const struct total *total);

/* Adds a record's totals to a delta, in the order they came. */
void totals_hand_over(const struct pending *pending, const struct record *record,
                      struct delta *delta, uint32_t series);

/* None of them is needed any more. */
void totals_forget(struct pending *pending);

/* A sample of a touched one weighs more than 1: a cell's weight does not say any more how many
 * there were. What they weigh more is remembered for all minutes together. */
void extra_add(struct pending *pending, uint32_t touched, uint64_t weight);
void extra_forget(struct pending *pending);

void chunks_free(char **chunks, size_t count);

/* Frees the memory of side cells and of spreads beyond the first `keep` chunks of each. */
void side_chunks_free(struct pending *pending, size_t keep);
void spread_chunks_free(struct pending *pending, size_t keep);

/* A side cell that is not current any more came to what is being handed over. */
void hand_over_note_other(struct shard *shard, const struct pending *pending, uint32_t index);
