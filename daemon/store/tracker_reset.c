/* Totals that begin anew, and too often (FIG-24). */
#include "store/tracker_private.h"

void tracker_note_reset(const struct tracker *tracker, wall_ms at, wall_ms resets[TRACKER_RESETS],
                        struct tracker_answer *out)
{
    wall_ms oldest = WALL_NONE;

    for (int i = TRACKER_RESETS - 1; i >= 0; i--) {
        wall_ms before = tracker->more == NULL ? WALL_NONE : tracker->more->reset_at[i];
        if (i == TRACKER_RESETS - 1)
            oldest = before;
        else
            resets[i + 1] = before;
    }
    resets[0] = at;
    out->reset = true;
    if (oldest == WALL_NONE || (uint64_t)at - (uint64_t)oldest > TRACKER_MIXED_MS)
        return;
    out->mixed = true;
    out->mixed_from = oldest;
}

void tracker_keep_resets(const struct tracker *tracker, wall_ms at, wall_ms resets[TRACKER_RESETS])
{
    const struct tracker_more *more = tracker->more;

    for (int i = 0; i < TRACKER_RESETS; i++) {
        bool matters = more != NULL && more->reset_at[0] != WALL_NONE &&
                       (uint64_t)at - (uint64_t)more->reset_at[0] <= TRACKER_MIXED_MS;
        resets[i] = matters ? more->reset_at[i] : WALL_NONE;
    }
}
