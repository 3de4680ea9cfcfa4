/* What the two files of the job "churn" share: upkeep_churn.c says which series go and when,
 * upkeep_churn_move.c moves their cells. Nobody else includes this.
 *
 * The job holds no slot: folds and builds go on between its steps and come first. It reads the list
 * of partitions anew whenever that has changed, and does again what was done to one that is gone.
 */
#pragma once

#include "base/table.h"
#include "store/upkeep_private.h"

/* What takes the cells of a metric's churned series: its `__other__` of the same kind (FIG-35). */
struct churn_metric {
    struct str key;
    bool is_wanted;      /* there are cells for it */
    uint32_t id;         /* 0: not known yet */
    size_t first, count; /* its churned series, in churn_job.members */
};

struct churn_series {
    uint32_t id;
    bool is_other; /* it goes when it has no cells at all */
    size_t metric;
};

struct churn_part {
    struct partition partition;
    bool is_scanned; /* who has cells after the cut is known */
    bool is_looked_at;
    bool is_affected; /* it has cells of churned series */
    bool is_built;
    struct partition built; /* the same with those cells moved; garbage until it is listed */
};

struct churn_run {
    struct run run;
    bool is_scanned;
};

/* A partition that is written anew. */
struct churn_move {
    uint32_t source; /* its number; 0: none is under way */
    struct upkeep_output output;
    uint64_t next_id;
    size_t target;     /* the next one of churn_job.targets */
    size_t member;     /* of that one's series; those before are in the sums */
    struct cell *sums; /* one for each bucket */
    size_t sum_count;
    bool has_sums;
};

struct churn_job {
    struct arena arena;
    int64_t cut;           /* minute */
    unsigned char *wanted; /* a bit an id: it goes, whenever it came last; NULL: by the cut */
    uint32_t last_id;
    bool is_chosen;   /* the series are known */
    bool has_room;    /* it was looked whether there is */
    bool is_switched; /* partitions were replaced, and series may go */
    bool is_done;
    unsigned char *seen;  /* a bit an id up to the last one: it does not go */
    unsigned char *moved; /* its cells go to `__other__` */

    /* What there is. */
    struct churn_part *parts; /* by number */
    size_t part_count;
    uint64_t changes; /* struct upkeep's when they were listed */
    struct churn_run *runs;
    size_t run_count;
    uint64_t walk_id; /* of the partition that is walked through: from where on */
    struct run walked_run;
    int64_t run_minute; /* the same of this run */
    uint32_t run_id;
    uint32_t walked; /* the partition's number; 0: none */

    /* Who goes. */
    struct churn_series *series;
    size_t series_count, series_capacity;
    struct churn_metric *metrics;
    size_t metric_count, metric_capacity;
    struct table by_key; /* -> size_t: index into `metrics` */
    uint32_t *members;   /* ids of those whose cells move, by metric and id */
    size_t *targets;     /* metrics that take cells, by id */
    size_t target_count;

    struct churn_move move;
    size_t removed;       /* of the series: those before are done */
    uint32_t next_series; /* to look at; 0: that was all of them */
};

static inline bool churn_bit(const struct churn_job *job, const unsigned char *bits, uint32_t id)
{
    return id <= job->last_id && (bits[id / 8] >> id % 8 & 1) != 0;
}

static inline void churn_set_bit(const struct churn_job *job, unsigned char *bits, uint32_t id)
{
    if (id <= job->last_id)
        bits[id / 8] |= (unsigned char)(1U << id % 8);
}

void churn_move_fini(struct churn_move *move);

/* Writes the partition anew, as far as the step lets it. */
bool churn_move_go_on(struct upkeep_step *step, struct churn_part *part, struct error *err);
