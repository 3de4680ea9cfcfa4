#include "series/aggregate.h"

#include "series/exact_sum.h"

static const double WEIGHT_SCALE = 1.0 / 65536.0;

static void add_to_sum(struct aggregate *aggregate, struct exact_sum more)
{
    struct exact_sum sum =
        exact_sum_add((struct exact_sum){aggregate->sum, aggregate->sum_low}, more);

    aggregate->sum = sum.high;
    aggregate->sum_low = sum.low;
}

static uint64_t saturating_sum(uint64_t a, uint64_t b)
{
    uint64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* Of two samples with one time the earlier arrival is the first and the later one the last
 * (FIG-32). Arrivals are unique in one thread only, so the value decides in the end: any rule would
 * do that does not depend on the order of merging. */
static void keep_first(struct aggregate *aggregate, double value, wall_ms at, uint64_t arrival)
{
    if (at > aggregate->first_at ||
        (at == aggregate->first_at && arrival > aggregate->first_arrival))
        return;
    if (at == aggregate->first_at && arrival == aggregate->first_arrival &&
        value >= aggregate->first)
        return;
    aggregate->first = value;
    aggregate->first_at = at;
    aggregate->first_arrival = arrival;
}

static void keep_last(struct aggregate *aggregate, double value, wall_ms at, uint64_t arrival)
{
    if (at < aggregate->last_at || (at == aggregate->last_at && arrival < aggregate->last_arrival))
        return;
    if (at == aggregate->last_at && arrival == aggregate->last_arrival && value <= aggregate->last)
        return;
    aggregate->last = value;
    aggregate->last_at = at;
    aggregate->last_arrival = arrival;
}

void aggregate_add(struct aggregate *aggregate, double value, uint64_t weight, wall_ms at,
                   uint64_t arrival)
{
    value += 0.0; /* -0 becomes 0, which are one value here */
    if (weight == 0)
        return;
    if (aggregate->count == 0) {
        *aggregate = (struct aggregate){.min = value,
                                        .max = value,
                                        .first = value,
                                        .first_at = at,
                                        .first_arrival = arrival,
                                        .last = value,
                                        .last_at = at,
                                        .last_arrival = arrival};
    } else {
        aggregate->min = value < aggregate->min ? value : aggregate->min;
        aggregate->max = value > aggregate->max ? value : aggregate->max;
        keep_first(aggregate, value, at, arrival);
        keep_last(aggregate, value, at, arrival);
    }
    aggregate->count = saturating_sum(aggregate->count, weight);
    add_to_sum(aggregate, exact_product(value, weight));
}

void aggregate_merge(struct aggregate *into, const struct aggregate *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0) {
        *into = *from;
        return;
    }
    into->min = from->min < into->min ? from->min : into->min;
    into->max = from->max > into->max ? from->max : into->max;
    keep_first(into, from->first, from->first_at, from->first_arrival);
    keep_last(into, from->last, from->last_at, from->last_arrival);
    into->count = saturating_sum(into->count, from->count);
    add_to_sum(into, (struct exact_sum){from->sum, from->sum_low});
}

void aggregate_take_out(struct aggregate *aggregate, const struct aggregate *part)
{
    enum { TRIES = 4 };
    struct aggregate rest = *aggregate;

    rest.count -= part->count;
    add_to_sum(&rest, (struct exact_sum){-part->sum, -part->sum_low});
    for (int i = 0; i < TRIES; i++) {
        struct aggregate both = rest;
        add_to_sum(&both, (struct exact_sum){part->sum, part->sum_low});
        if (both.sum == aggregate->sum && both.sum_low == aggregate->sum_low)
            break;
        add_to_sum(&rest, (struct exact_sum){aggregate->sum - both.sum,
                                             aggregate->sum_low - both.sum_low});
    }
    *aggregate = rest;
}

double aggregate_sum(const struct aggregate *aggregate)
{
    return aggregate->sum + aggregate->sum_low;
}

double aggregate_count(const struct aggregate *aggregate)
{
    return (double)aggregate->count * WEIGHT_SCALE;
}
