/* What the files of the background work share. Nobody else includes this, but its tests.
 *
 * There are two slots: one for runs (a tier job) and one for partitions (a build job). A fold takes
 * both, so while one is under way no list of partitions, no day and no mark but its own changes;
 * runs that were added since it began may still be merged beside it.
 *
 * A job reads from the snapshot before its step's transaction and remembers between steps only
 * numbers and places. Whatever fails, all jobs are dropped: what the environment says is the state,
 * and what they have built is garbage that is listed already. */
#pragma once

#include "store/indexer.h"
#include "store/kept.h"
#include "store/partition.h"
#include "store/run.h"
#include "store/upkeep.h"

/* One step. */
struct upkeep_step {
    struct upkeep *upkeep;
    const struct guard *clock;
    struct write_txn *txn;
    const struct read_txn *source; /* the snapshot before `txn`: stays as it is while we write */
    uint64_t version;              /* this commit's number */
    struct arena arena;            /* lists; until the step ends */
    struct upkeep_counts counts;   /* what it has done, if the commit holds */

    uint64_t began_us;
    size_t bytes; /* written */
    size_t points;
    size_t asked_points; /* how many they were when the clock was asked */
    bool is_over;
    bool used_catalog; /* which has to forget it when the step does not hold */
    uint64_t created;  /* series */
    uint32_t *removed; /* series that are gone when the step holds; in the arena */
    size_t removed_count, removed_capacity;
};

/* Does something, or begins a job, and says so. */
typedef bool (*upkeep_fn)(struct upkeep_step *step, bool *did, struct error *err);

/* Takes note of work; false when the step has to end. */
bool upkeep_spend(struct upkeep_step *step, size_t points, size_t bytes);

/* --- outputs: partitions that are being built --- */

struct upkeep_output {
    struct partition_writer writer;
    enum level source;             /* the level of the points that are added */
    const struct day_bounds *days; /* LEVEL_DAY from finer points: others are left out; borrowed */
    size_t day_count;
    unsigned pruned;

    /* Some series may keep less than all of it: their buckets from here on. */
    bool is_filtered;
    int64_t kept_from; /* of the series that is added */
};

/* A new number, which is garbage until it is listed. Of `facts` as in partition_writer_init, and
 * the version, which is that of the newest thing it is made of: what is only written anew is not
 * new (design 4.11). */
bool upkeep_output_open(struct upkeep_step *step, struct upkeep_output *output,
                        const struct partition *facts, struct error *err);
void upkeep_output_fini(struct upkeep_output *output);

/* Merges the points, sorted here, into the buckets of the output and writes what it keeps. The
 * arena is for what is needed meanwhile. */
bool upkeep_output_add(struct upkeep_step *step, struct upkeep_output *output, uint32_t id,
                       const struct block_points *points, struct arena *arena, struct error *err);

/* The last transaction: lists it, unless it is empty. */
bool upkeep_output_list(struct upkeep_step *step, const struct upkeep_output *output,
                        struct error *err);

struct garbage_item upkeep_garbage_of(const struct partition *partition);

/* --- runs into one --- */

struct upkeep_copy {
    const struct run *runs; /* borrowed */
    size_t run_count;
    int64_t from; /* cells of this minute and later */
    unsigned tier;

    struct run_writer writer; /* its last place is where the next step goes on */
    bool is_open;
};

void upkeep_copy_fini(struct upkeep_copy *copy);
bool upkeep_copy_go_on(struct upkeep_step *step, struct upkeep_copy *copy, bool *done,
                       struct error *err);

/* The last transaction: lists it, if there is a cell, with the newest of its sources' versions, and
 * takes these off the list. */
bool upkeep_copy_list(struct upkeep_step *step, const struct upkeep_copy *copy, struct error *err);

/* --- the job of the run slot --- */

struct tier_job;
void tier_job_free(struct tier_job *job);
bool upkeep_tier_begin(struct upkeep_step *step, bool *did, struct error *err);
bool upkeep_tier_go_on(struct upkeep_step *step, bool *did, struct error *err);
struct garbage_item tier_job_building(const struct tier_job *job);

/* --- the fold --- */

struct fold_job;
void fold_job_free(struct fold_job *job);
bool upkeep_fold_begin(struct upkeep_step *step, bool *did, struct error *err);
bool upkeep_fold_go_on(struct upkeep_step *step, bool *did, struct error *err);

/* Whether the fold reads the run. */
bool fold_job_has(const struct fold_job *job, const struct run *run);

/* What it is building, in the arena. */
struct garbage_item *fold_job_building(const struct fold_job *job, struct arena *arena,
                                       size_t *count);

/* --- the job of the partition slot: partitions of one level become others --- */

enum { BUILD_OUTPUTS_MAX = 2 };

struct build_job {
    struct arena arena;        /* sources and days */
    struct partition *sources; /* of one level and calendar; at least one */
    size_t source_count;
    int64_t from, to; /* of their buckets only these are read */
    int64_t without;  /* but for this one; INT64_MIN: none is left out */
    struct upkeep_output outputs[BUILD_OUTPUTS_MAX];
    size_t output_count;
    uint64_t next_id; /* series before are done; wider than an id, so that it comes to an end */

    /* what else the last transaction does */
    bool replaces;     /* takes the sources off the list */
    int64_t quartered; /* the mark's new place; INT64_MIN: it stays */
    uint32_t calendar; /* of the days: */
    bool adds_day;     /* `day` is built */
    bool removes_day;  /* `day` is no day any more */
    struct day_bounds day;
    size_t counter; /* where in struct upkeep_counts it is counted: an offset */
};

/* A job that reads these partitions, which are copied. */
struct build_job *build_job_new(const struct partition *sources, size_t count);
void build_job_free(struct build_job *job);

/* Adds an output; NULL when that fails. */
struct upkeep_output *build_job_add_output(struct upkeep_step *step, struct build_job *job,
                                           const struct partition *facts, struct error *err);

/* Adds the output that replaces all sources by one. */
bool build_job_add_replacement(struct upkeep_step *step, struct build_job *job, struct error *err);

bool upkeep_build_go_on(struct upkeep_step *step, bool *did, struct error *err);

bool upkeep_combine_begin(struct upkeep_step *step, bool *did, struct error *err);
bool upkeep_days_begin(struct upkeep_step *step, bool *did, struct error *err);
bool upkeep_expire_begin(struct upkeep_step *step, bool *did, struct error *err);

/* --- days --- */

/* Up to where the days of a calendar were looked at: all before have their row. */
struct day_scan {
    bool has_begun;
    bool is_complete; /* every day that is over was built when it was looked at last */
    int64_t start;    /* quarter */
    wall_ms at;       /* a day's first instant */
};

bool upkeep_scans_are_complete(const struct upkeep *upkeep);

/* How many calendars have a number: 1 to this. */
bool upkeep_calendar_count(const struct read_txn *txn, uint32_t *out, struct error *err);

/* The quarters of a day of the calendar. */
struct day_bounds upkeep_day_bounds(const struct calendar *calendar, const struct period *day);

/* Days of the calendar that begin before this quarter and have no row had data that is gone: they
 * are not built any more. INT64_MIN: there are none. */
int64_t upkeep_days_lost_before(const struct read_txn *txn, uint32_t calendar);
bool upkeep_lose_days(struct write_txn *txn, uint32_t calendar, int64_t before, struct error *err);

/* --- series that came no more for long --- */

struct churn_job;
void churn_job_free(struct churn_job *job);
bool upkeep_churn(struct upkeep_step *step, bool *did, struct error *err);

/* As fold_job_building. */
struct garbage_item *churn_job_building(const struct churn_job *job, struct arena *arena,
                                        size_t *count);

/* --- what is not about cells --- */

bool upkeep_index(struct upkeep_step *step, bool *did, struct error *err);
bool upkeep_identities(struct upkeep_step *step, bool *did, struct error *err);
bool upkeep_annotations(struct upkeep_step *step, bool *did, struct error *err);

/* --- retention --- */

/* Of the marks of all metrics (store/kept.h), in the level's units. */
bool upkeep_kept_bounds(struct upkeep_step *step, enum level level, int64_t *lowest,
                        int64_t *highest, struct error *err);

/* The mark of the series' metric. */
bool upkeep_kept_from(struct upkeep_step *step, uint32_t id, enum level level, int64_t *out,
                      struct error *err);

/* Whether a bucket is kept by a mark. `day` NULL: where a day begins is not known, and one that may
 * be kept is. */
bool upkeep_is_kept(enum level level, const struct day_bounds *day, int64_t bucket, int64_t from);

/* After every change of a mark or row. */
void upkeep_kept_forget(struct upkeep *upkeep);

/* The day's quarters go into a calendar: which metrics have lost some of them before? Their rows
 * say so from then on. */
bool upkeep_note_day(struct upkeep_step *step, uint32_t calendar, const struct day_bounds *day,
                     struct error *err);

/* --- all of it --- */

/* Kinds of work, each of which waits for itself when it has met damaged data. */
enum upkeep_kind {
    UPKEEP_ALWAYS, /* reads no cells */
    UPKEEP_TIER,
    UPKEEP_FOLD,
    UPKEEP_BUILD, /* what began the build job under way */
    UPKEEP_COMBINE,
    UPKEEP_DAYS,
    UPKEEP_EXPIRE,
    UPKEEP_CHURN,
    UPKEEP_KIND_COUNT,
};

struct upkeep_pause {
    span_ms length;
    mono_ms until;
};

struct upkeep {
    /* set between steps */
    struct store *store;
    const struct upkeep_options *options;
    uint64_t step_cpu_us; /* UPKEEP_STEP_..., but in tests */
    size_t step_bytes;
    size_t step_points;   /* no limit, but in tests: does not depend on time */
    uint64_t quiet_cells; /* UPKEEP_QUIET_CELLS, but in tests */

    struct upkeep_pause pauses[UPKEEP_KIND_COUNT];
    enum upkeep_kind build_kind; /* of `build` */

    struct tier_job *tier;
    struct fold_job *fold;
    struct build_job *build;
    struct churn_job *churn;
    struct catalog *catalog;      /* the writer's; NULL: series are never removed */
    upkeep_removed_fn on_removed; /* NULL: nobody remembers them */
    void *on_removed_arg;
    struct upkeep_kept *kept; /* NULL: not read yet */
    struct catalog_indexer *indexer;
    bool fold_again;        /* the last one left something for the next */
    uint64_t newest_commit; /* number of the newest run of the journal that was seen */
    wall_ms quiet_since;    /* the guarded clock when it was first seen */

    /* Grows with every change of a list or mark, so that what was looked through without a find is
     * not looked through again: the value of then, 0 never. */
    uint64_t changes;
    uint64_t combine_seen, days_seen, expire_seen;
    int64_t expire_mark;      /* the guarded clock, in windows, when `expire_seen` was set */
    int64_t identities_seen;  /* minute of the guarded clock */
    int64_t annotations_seen; /* the same */
    struct day_scan *scans;   /* one for each calendar of the options */
    uint32_t
        cleared_calendar; /* no partition has cells of its day `cleared_day` any more; 0: none */
    int64_t cleared_day;
    int64_t churn_day; /* of the guarded clock, when all series were looked at last */
    int64_t churn_today;
    bool unwanted_came;     /* since the job under way began */
    bool has_unwanted;      /* there may be series that somebody wants to be gone */
    uint64_t unwanted_seen; /* `changes` when they were looked at last */
    mono_ms unwanted_after; /* not before */
    uint32_t churn_next;    /* where the next job looks on; 0: from the first series on */

    struct upkeep_counts counts;
};

/* Gives up all that is under way, so that lists and marks may be changed beside it. */
void upkeep_drop_jobs(struct upkeep *upkeep);

/* The options' calendar of a zone; NULL: none has it. */
const struct calendar *upkeep_calendar_of_zone(const struct upkeep *upkeep, struct str zone);

static inline int64_t floor_to(int64_t value, int64_t width)
{
    int64_t rest = value % width;
    return value - (rest < 0 ? rest + width : rest);
}
