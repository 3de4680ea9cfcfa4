/* The gaps of increments that come in another order (store/tracker.h). */
#include "store/tracker_private.h"

static bool is_before(wall_ms one, uint32_t one_ns, wall_ms other, uint32_t other_ns)
{
    return one < other || (one == other && one_ns < other_ns);
}

/* A window that is empty says nothing of when it began. */
static bool has_window(const struct tracker_point *point)
{
    return point->start != WALL_NONE &&
           is_before(point->start, point->start_ns, point->at, point->at_ns);
}

bool tracker_gap_is_open(const struct tracker_gap *gap)
{
    return is_before(gap->from, gap->from_ns, gap->to, gap->to_ns);
}

/* In ns, of what has a beginning. */
static double length_of(const struct tracker_gap *gap)
{
    return (double)((uint64_t)gap->to - (uint64_t)gap->from) * TRACKER_NS_PER_MS + gap->to_ns -
           gap->from_ns;
}

/* All that was before a series is of use while its first windows come, and not for long: each
 * series has it. */
static bool is_forgotten(const struct tracker_gap *gap, const struct tracker_point *point)
{
    const struct tracker_gap since = {gap->to, point->at, gap->to_ns, point->at_ns};

    if ((uint64_t)since.to - (uint64_t)since.from > TRACKER_GAP_MS)
        return true;
    if (gap->from != WALL_NONE || !has_window(point))
        return false;
    const struct tracker_gap window = {point->start, point->at, point->start_ns, point->at_ns};
    return length_of(&since) > TRACKER_GAP_FIRST * length_of(&window);
}

/* What is left of the gap after one that ended later. */
static bool keep_gap(const struct tracker_gap *gap, const struct tracker_point *point,
                     struct tracker_gap *out)
{
    *out = *gap;
    if (point->start != WALL_NONE &&
        is_before(point->start, point->start_ns, gap->to, gap->to_ns)) {
        out->to = point->start; /* another sender's, which overlaps */
        out->to_ns = point->start_ns;
    }
    return tracker_gap_is_open(out) && !is_forgotten(out, point);
}

bool tracker_gap_after(const struct tracker *tracker, const struct tracker_point *point,
                       struct tracker_gap *out)
{
    *out = (struct tracker_gap){.from = WALL_NONE, .to = point->start, .to_ns = point->start_ns};
    if (tracker->form == 0)
        return has_window(point);
    if (tracker->form != 1 + POINT_INCREMENT || tracker->has_tally != (point->tally != NULL))
        return false;
    out->from = tracker->at;
    out->from_ns = tracker->at_ns;
    if (tracker->at_ns == TRACKER_NS_UNKNOWN) {
        out->from = (wall_ms)((uint64_t)out->from + 1);
        out->from_ns = 0;
    }
    if (has_window(point) && tracker_gap_is_open(out))
        return true;
    return tracker->more != NULL && keep_gap(&tracker->more->gap, point, out);
}

bool tracker_gap_takes(const struct tracker_gap *gap, const struct tracker_point *point,
                       struct tracker_gap *left)
{
    bool begins_in = !is_before(point->start, point->start_ns, gap->from, gap->from_ns);
    bool ends_in = !is_before(gap->to, gap->to_ns, point->at, point->at_ns);

    if (!has_window(point) || !begins_in || !ends_in)
        return false;
    struct tracker_gap older = *gap;
    older.to = point->start;
    older.to_ns = point->start_ns;
    *left = *gap;
    left->from = point->at;
    left->from_ns = point->at_ns;
    /* Where it is in the middle the newer part stays, unless that is but a rest: another one like
     * this does not fit there. */
    const struct tracker_gap window = {point->start, point->at, point->start_ns, point->at_ns};
    if (tracker_gap_is_open(&older) && length_of(left) <= length_of(&window) / 2)
        *left = older;
    return true;
}
