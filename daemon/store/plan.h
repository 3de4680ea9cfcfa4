/* Which levels tile a range of time: the coarsest ones that do, finer ones at its edges and for
 * what is newer. Private to store/.
 *
 * Whatever a plan takes, the figure is the same (store/upkeep.h): a plan decides how much is read.
 * Only where retention has dropped the finer levels does it decide what can still be said; what
 * that is differs from metric to metric (store/kept.h), so a plan is for series that agree in it.
 *
 * days      of the calendar that leaves the fewest minutes over, where they are built
 * quarters  before MARK_QUARTERED, aligned
 * minutes   at the edges, and for what is newer
 *
 * Steps of a number of quarters that start on a quarter are tiled so, each for itself: no bucket
 * straddles two steps. Other steps are read from minutes; where these were dropped, from the whole
 * coarser buckets inside a step, and the plan is not complete. */
#pragma once

#include "store/kept.h"

/* Minutes beyond this are no times of samples, and sums and products of them still fit. */
#define PLAN_MINUTE_LIMIT INT64_C(1000000000000)

struct plan_segment {
    enum level level;
    uint32_t calendar;             /* 0 but for LEVEL_DAY */
    int64_t from, to;              /* minutes, half open */
    bool may_straddle;             /* some of its buckets are in two steps: leave them out */
    const struct day_bounds *days; /* LEVEL_DAY: these, without a gap; borrowed from the facts */
    size_t day_count;
};

/* In the order of time, disjoint. What no segment covers cannot be said. */
struct plan {
    const struct plan_segment *segments;
    size_t count;
    bool complete; /* the segments cover the whole range */
};

struct plan_range {
    int64_t from, to;  /* minutes, half open, within PLAN_MINUTE_LIMIT */
    int64_t step;      /* minutes; 0: the range is one step */
    uint32_t calendar; /* whose days are taken; 0: of the one that leaves the fewest minutes over */
};

struct plan_calendar {
    uint32_t number;
    const struct day_bounds *days; /* built, in order */
    size_t count;
};

struct plan_facts {
    int64_t quartered;       /* as MARK_QUARTERED */
    const struct kept *kept; /* of the series that are read */
    const struct plan_calendar *calendars;
    size_t calendar_count;
};

/* Pure. The segments are in the arena. */
void plan_make(const struct plan_facts *facts, const struct plan_range *range, struct arena *arena,
               struct plan *out);

/* The same from what the store says, for series of which so much is kept; all in the arena. False:
 * the store cannot be read. */
bool plan_read(const struct read_txn *txn, const struct kept *kept, const struct plan_range *range,
               struct arena *arena, struct plan *out, struct error *err);

/* The built days of a calendar that overlap minutes [from, to), in order, in the arena. */
bool plan_read_days(const struct read_txn *txn, uint32_t calendar, const struct plan_range *range,
                    struct arena *arena, struct plan_calendar *out, struct error *err);

/* How many calendars there are: they are numbered from 1 and never taken away. */
bool plan_count_calendars(const struct read_txn *txn, size_t *out, struct error *err);

/* The first bucket of the segment's level that begins at or after a minute of the segment, or at
 * its end. */
int64_t plan_bucket_from(const struct plan_segment *segment, int64_t minute);

/* The minute at which a bucket begins, or the segment's next one after it; the segment's end when
 * there is none. */
int64_t plan_bucket_start(const struct plan_segment *segment, int64_t bucket);

/* The minutes of a bucket; false for a day that is none of the segment's. */
bool plan_bucket_minutes(const struct plan_segment *segment, int64_t bucket, int64_t *from,
                         int64_t *to);

/* The minute that contains `at`, floored, within PLAN_MINUTE_LIMIT. */
int64_t plan_minute_of(wall_ms at);
