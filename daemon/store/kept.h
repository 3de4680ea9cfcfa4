/* Up to where retention has dropped what was measured: of the metrics that a rule keeps for less or
 * for longer than the rest, each for itself. Private to store/.
 *
 * A mark only grows, and it grows before anything is dropped: what begins before it is read by
 * nobody and written by nobody, whether it is still there or not. So a figure never mixes what was
 * dropped of some metrics with what is left of others, and a rule that is changed or taken away
 * later brings nothing back. The marks of the rest are in `meta` (store/parts.h); a metric without
 * a row has these. */
#pragma once

#include "store/parts.h"
#include "store/query.h"

/* Days of a calendar that begin before this quarter were built when some of the metric's quarters
 * were gone: they hold less than they should. */
struct kept_calendar {
    uint32_t calendar;
    int64_t from;
};

struct kept {
    int64_t from[LEVEL_COUNT]; /* minute, quarter, and of days a quarter too; INT64_MIN: all */
    const struct kept_calendar *calendars;
    size_t calendar_count;
};

struct kept_row {
    struct str metric;
    struct kept kept;
};

/* What has no row. */
void kept_of_rest(const struct read_txn *txn, struct kept *out);

/* What the metric has, by its own row or as the rest; its calendars are in the arena. False: the
 * row cannot be read, so nobody knows what is dropped. */
bool kept_of_metric(const struct read_txn *txn, struct str metric, struct arena *arena,
                    struct kept *out, struct error *err);

/* The row alone: `*found` false, and `*out` is as it was, when there is none. */
bool kept_find(const struct read_txn *txn, struct str metric, struct arena *arena, struct kept *out,
               bool *found, struct error *err);

/* All rows, in the arena. */
bool kept_rows(const struct read_txn *txn, struct arena *arena, struct kept_row **out,
               size_t *count, struct error *err);

/* False: the bytes are no row. The calendars are in the arena, the name is the value's. */
bool kept_row_of(struct str value, struct arena *arena, struct kept_row *out);

bool kept_put(struct write_txn *txn, const struct kept_row *row, struct error *err);
bool kept_remove(struct write_txn *txn, struct str metric, struct error *err);

/* From where on the days of a calendar are whole; INT64_MIN: all that are built. */
int64_t kept_whole_days_from(const struct kept *kept, uint32_t calendar);

void kept_set_whole_days(struct kept *kept, uint32_t calendar, int64_t from, struct arena *arena);

/* Series by what is kept of them. Mostly there is one group. */
struct kept_groups {
    struct kept *items;
    size_t count;
    const uint32_t *of; /* the group of each series; NULL: all are in the first one */
};

/* There is a group even without a series; all in the arena. A series without a key is looked up. */
bool kept_group(const struct read_txn *txn, const struct query_series *series, size_t count,
                struct arena *arena, struct kept_groups *out, struct error *err);

/* The series of one group, in their order, and which ones of all they are; in the arena. */
struct kept_members {
    struct query_series *series;
    size_t *at;
    size_t count;
};
void kept_members_of(const struct kept_groups *groups, size_t group,
                     const struct query_series *series, size_t count, struct arena *arena,
                     struct kept_members *out);
