#include "store/group.h"

/* What a transaction may cost, in cells: about 10 ms of CPU. A series that may be new costs as much
 * as some cells. A large delta is not cut for less than a rest. */
enum { GROUP_CELLS = 1 << 16, NEW_SERIES_CELLS = 3, REST_CELLS = 1 << 12 };

static bool may_be_cut(const struct delta *delta)
{
    return !delta_is_waited_for(delta) && delta->identity.kind == IDENTITY_NONE;
}

static size_t cost_of(const struct delta *delta)
{
    return delta->cell_count - delta->stored_cells + delta->cumulative_count +
           NEW_SERIES_CELLS * delta->key_count;
}

/* Up to which cell the budget lasts; at least one cell. */
static size_t cut(const struct delta *delta, size_t budget)
{
    size_t cost = 0;
    uint32_t series = UINT32_MAX;

    for (size_t i = delta->stored_cells; i < delta->cell_count; i++) {
        const struct delta_cell *cell = &delta->cells[i];
        cost++;
        if (cell->series != series && delta->series[cell->series].key.len > 0)
            cost += NEW_SERIES_CELLS;
        series = cell->series;
        if (cost > budget && i > delta->stored_cells)
            return i;
    }
    return delta->cell_count;
}

struct group group_plan(const struct message *deltas, size_t jobs)
{
    struct group group = {.jobs = jobs};
    size_t budget = GROUP_CELLS;

    for (const struct message *message = deltas; message != NULL; message = message->next) {
        const struct delta *delta = (const struct delta *)message;
        size_t cost = cost_of(delta);
        if (cost > budget && may_be_cut(delta)) {
            size_t to = budget < REST_CELLS ? 0 : cut(delta, budget);
            if (to < delta->cell_count) {
                group.part_to = to;
                break;
            }
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
