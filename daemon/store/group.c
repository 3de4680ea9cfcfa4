#include "store/group.h"

/* What a transaction may cost, in cells: about 10 ms of CPU. A series that may be new costs as much
 * as some cells. A large delta is not cut for less than a rest. */
enum {
    GROUP_CELLS = 1 << 16,
    NEW_SERIES_CELLS = 4,
    TALLY_CELLS = 16, /* of a point that has one */
    ANNOTATION_CELLS = 32,
    REST_CELLS = 1 << 12,
};

static bool may_be_cut(const struct delta *delta)
{
    return !delta_is_waited_for(delta) && delta->identity.kind == IDENTITY_NONE;
}

static size_t cost_of(const struct delta *delta)
{
    return delta->cell_count - delta->stored_cells + delta->point_count - delta->stored_points +
           NEW_SERIES_CELLS * delta->key_count + ANNOTATION_CELLS * delta->annotation_count +
           TALLY_CELLS * delta->tally_count;
}

static size_t point_cost(const struct delta *delta, size_t i)
{
    return 1 + (delta->points[i].tally != NULL ? TALLY_CELLS : 0);
}

static size_t series_cost(const struct delta *delta, uint32_t series)
{
    return delta->series[series].key.len > 0 ? NEW_SERIES_CELLS : 0;
}

/* Up to where the budget lasts: at least for one. False: to the end, so nothing is cut. */
static bool cut(const struct delta *delta, size_t budget, struct group *group)
{
    size_t cost = 0;
    uint32_t series = UINT32_MAX;
    size_t done = 0;

    group->part_points_to = delta->stored_points;
    for (size_t i = delta->stored_cells; i < delta->cell_count; i++, done++) {
        const struct delta_cell *cell = &delta->cells[i];
        cost += 1 + (cell->series != series ? series_cost(delta, cell->series) : 0);
        series = cell->series;
        group->part_to = i;
        if (cost > budget && done > 0)
            return true;
    }
    group->part_to = delta->cell_count;
    for (size_t i = delta->stored_points; i < delta->point_count; i++, done++) {
        cost += point_cost(delta, i) + series_cost(delta, delta->points[i].series);
        group->part_points_to = i;
        if (cost > budget && done > 0)
            return true;
    }
    return false;
}

struct group group_plan(const struct message *deltas, size_t jobs)
{
    struct group group = {.jobs = jobs};
    size_t budget = GROUP_CELLS;

    for (const struct message *message = deltas; message != NULL; message = message->next) {
        const struct delta *delta = (const struct delta *)message;
        size_t cost = cost_of(delta);
        if (cost > budget && may_be_cut(delta)) {
            if (budget < REST_CELLS)
                break;
            group.has_part = cut(delta, budget, &group);
            if (group.has_part)
                break;
            cost = budget;
        }
        if (cost > budget && group.deltas > 0)
            break;
        budget -= cost > budget ? budget : cost;
        group.deltas++;
        group.is_waited_for = group.is_waited_for || delta_is_waited_for(delta);
    }
    return group;
}
