/* What a census is made of: census.c counts series and says whether there is room,
 * census_owner.c knows the listeners that brought them, census_turn.c lets time pass, tells the
 * room and people, loads and saves. Nobody else includes this. */
#pragma once

#include "base/table.h"
#include "store/census.h"
#include "store/series_table.h"

enum {
    HOURS_MAX = UINT16_MAX, /* numbers of hours, 1 to this */
    LABEL_REFUSALS = 1000,  /* of a metric with room but for one label, until all is full */
    LOAD_SERIES = 4096,     /* at once: some milliseconds */
    SAVE_ROWS = 8,          /* the same */
    SAVE_EVERY_HOURS = 1,
    EPOCH_MS = 60 * 1000, /* shards begin anew at most so often */
    SHOW_MS = 1000,       /* for each 10,000 offenders */
    SHOW_AT_ONCE = 10 * 1000,
    ROOM_PART = 16, /* a limit is free again when so much of it is: it must not go to and fro */
};

/* Of a chunk's metric: it is the `__other__` of that one. */
#define IS_OTHER UINT32_C(0x80000000)

#define GENERATIONS UINT32_C(0x1fffffff) /* so many bits of it are remembered */

struct chunk {
    uint16_t seen[CENSUS_IDS_A_ROW];   /* hour; 0: not active */
    uint32_t metric[CENSUS_IDS_A_ROW]; /* number, of active ones */
    uint16_t owner[CENSUS_IDS_A_ROW];  /* the same; 0: nobody */
    uint32_t active;
    bool is_changed; /* since it was saved */
    uint16_t saved;  /* hour; 0: never */
};

/* Of a metric with many series: 128 random bits of a label, and of a label and value. */
struct label_counts {
    struct series_table values; /* note: active series that have it */
    struct series_table labels; /* note: its values */
};

/* A listener that brought series. */
struct owner {
    char *name;
    size_t name_len;
    uint16_t number;
    bool is_full;            /* since the last review */
    bool is_told;            /* the room says so */
    bool is_shown;           /* the room knows it */
    bool has_refused_others; /* since the last review */
    uint64_t limit;          /* 0: none */
    uint64_t active;
    uint64_t others; /* active `__other__` */
};

struct offender {
    size_t place; /* in census.offenders */
    char *name;
    size_t name_len;
    char label[ROOM_NAME_SIZE];
    enum room_limit limit;  /* the last one that was met */
    uint16_t owner;         /* of ROOM_LIMIT_LISTENER */
    bool is_full;           /* since the last review */
    bool is_told;           /* the room says so */
    uint32_t refusals;      /* since the last review */
    uint64_t samples;       /* sent to `__other__` */
    uint64_t refused;       /* that cannot be sent there */
    uint64_t group_samples; /* of the transaction that is open */
    uint64_t group_refused;
};

/* What only metrics with many series or with an `__other__` need. */
struct metric_more {
    struct label_counts *labels; /* NULL: not counted */
    struct offender *offender;   /* NULL: it is none */
};

/* There may be as many as series: small. */
struct metric {
    uint64_t name;            /* hash */
    struct metric_more *more; /* NULL: nothing */
    uint32_t active;          /* of one that is gone: the next one that is; 0: none */
    uint32_t generation;
    uint32_t last_minute; /* of its newest sample, since 1970; 0: none is known */
    uint32_t samples[2];  /* in this span of CENSUS_SPAN_MS, in the last one */
    uint32_t others;      /* active `__other__` */
};

enum {
    NAME_PART_BITS = 8,
    NAME_PARTS = 1 << NAME_PART_BITS,
    NAME_PART_MIN = 8,
    NAME_PART_NEXT = 64,
};

/* The check is the 32 bits of the name's hash after those of its part: where the name belongs, and
 * mostly whether it is the one, without a look at the metric. */
struct census_name {
    uint32_t number; /* 0: empty */
    uint32_t check;
};

/* Metrics by their names, open addressing. In parts that grow each for itself and at a time of its
 * own, so that no addition is slow, nor many that follow each other, however many there are. */
struct census_names {
    struct census_name *slots;
    uint32_t size, used;
};

struct census {
    struct room *room;
    struct series_limits limits;
    uint64_t seed;

    struct chunk **chunks; /* NULL: nobody of it is active */
    size_t chunk_count;
    uint64_t active;
    uint64_t others;

    struct metric *metrics; /* by number - 1 */
    size_t metric_count, metric_capacity;
    uint32_t free_metric; /* number of the first one that may be used again; 0: none */
    struct census_names by_name[NAME_PARTS];
    uint32_t span;       /* number of the one that is counted */
    uint32_t *offenders; /* numbers */
    size_t offender_count, offender_capacity;

    struct owner **owners; /* by number - 1 */
    size_t owner_count, owner_capacity;
    size_t owners_stored; /* names of the first ones */
    struct table owners_by_name;
    struct owner *last_owner; /* that was asked for; NULL: none yet */
    bool has_read_owners;

    bool is_full;
    bool has_refused_others;
    bool has_to_tell;
    bool has_changed; /* there may be room again */
    bool wants_epoch; /* there is */
    uint16_t swept;
    mono_ms epoch_at, shown_at;

    /* of the transaction that is open */
    bool is_forgetting;  /* it may hold after all, so what was refused stays known */
    uint32_t *group_ids; /* made active */
    size_t group_count, group_capacity;
    uint32_t *group_metrics; /* whose `__other__` took samples */
    size_t group_metric_count, group_metric_capacity;
    struct census_group group;

    uint32_t load_next; /* 0: done */
    uint32_t tell_next; /* 0: nothing is being told */
    size_t save_next;   /* chunk */
};

static inline struct metric *census_metric_at(const struct census *census, uint32_t number)
{
    return &census->metrics[number - 1];
}

static inline struct label_counts *census_labels(const struct metric *metric)
{
    return metric->more == NULL ? NULL : metric->more->labels;
}

static inline struct offender *census_offender_of(const struct metric *metric)
{
    return metric->more == NULL ? NULL : metric->more->offender;
}

/* NULL for nobody. */
static inline struct owner *census_owner_at(const struct census *census, uint16_t number)
{
    return number == 0 ? NULL : census->owners[number - 1];
}

/* In hours; what is in the future has not been long ago. */
static inline unsigned census_age(uint16_t seen, uint16_t hour)
{
    unsigned age = (unsigned)(hour + HOURS_MAX - seen) % HOURS_MAX;
    return age > HOURS_MAX / 2 ? 0 : age;
}

/* The metric's number; it is made if there is none. */
uint32_t census_metric_of(struct census *census, struct str name);
bool census_has_metric(const struct census *census, uint32_t number); /* it is not gone */
uint64_t census_name_hash(uint64_t seed, struct str name);
struct offender *census_offender(struct census *census, uint32_t number, struct str name);
void census_forget_labels(struct metric *metric);
void census_enter(struct census *census, uint32_t id, uint32_t metric, uint16_t hour,
                  uint16_t owner);

/* How many series a metric may have, UINT64_MAX without a limit; `which` says whose limit it is. */
uint64_t census_metric_limit(const struct census *census, struct str name, enum room_limit *which);

/* Its metric may be gone afterwards. */
void census_leave_series(struct census *census, struct chunk *chunk, uint32_t at);
void census_tell_full(struct census *census, struct offender *offender);

/* Whether there is room again under a limit that was met. */
bool census_is_free(uint64_t active, uint64_t limit);

/* --- owners --- */

struct chunk *census_chunk_find(const struct census *census, uint32_t id); /* NULL: none of it is */
bool census_read_owners(struct census *census, const struct read_txn *txn, struct error *err);
void census_free_owners(struct census *census);

/* The row that has the owner of an id, as it is stored: empty when there is none. */
struct str census_owner_row(const struct read_txn *txn, uint32_t id);
uint16_t census_owner_in(const struct census *census, struct str row, uint32_t id);
bool census_save_owners(struct census *census, struct write_txn *txn, struct error *err);

/* Whether a limit has changed. */
bool census_limit_owners(struct census *census);

void census_tell_owner(struct census *census, struct owner *owner);
bool census_review_owners(struct census *census); /* whether there is room where there was none */
void census_show_owners(struct census *census);
