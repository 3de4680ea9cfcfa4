/* What goes into one transaction of the writer: as much as it may cost. Private to store/. */
#pragma once

#include "series/delta.h"

/* What one transaction holds: the first deltas of the queue, of the one after these its cells and
 * cumulative samples up to here, and all jobs. */
struct group {
    size_t deltas;
    bool has_part;
    size_t part_to;
    size_t part_points_to;
    size_t jobs;
    bool is_waited_for; /* one of the deltas */
    bool saves_clock;   /* also when there is nothing else to write */
    bool is_last;       /* the writer stops */
    bool gives_up;      /* the same: of what waits only the counts are written, as dropped */
};

/* Of `deltas`, the first of a list in their order (NULL: none), as many as may be in one
 * transaction, and at least one, and all jobs. A delta that nobody waits for may be cut: first come
 * its cells, then its cumulative samples in the order they came. */
struct group group_plan(const struct message *deltas, size_t jobs);
