#include "kpi/classic.h"

#include <math.h>
#include <stdlib.h>

#include "series/sample.h"

/* A series and its bound. */
struct bucket {
    double bound; /* INFINITY for "+Inf" */
    struct query_series series;
};

struct str classic_bucket_name(struct arena *arena, struct str metric)
{
    const char *name = arena_printf(arena, "%.*s_bucket", STR_ARGS(metric));
    return str_of(name);
}

static bool read_bound(const struct query_series *series, double *out)
{
    struct str text = STR_EMPTY;

    if (!series_key_label(series->key, STR("le"), &text))
        return false;
    if (str_is(text, "+Inf")) {
        *out = INFINITY;
        return true;
    }
    return str_parse_double(text, out);
}

static int by_bound(const void *left, const void *right)
{
    const struct bucket *a = left;
    const struct bucket *b = right;
    return (a->bound > b->bound) - (a->bound < b->bound);
}

/* In the order of their bounds; those of one bound stand together. */
static struct bucket *sorted_buckets(const struct classic *classic, struct arena *arena,
                                     size_t *count)
{
    struct bucket *buckets = arena_array(arena, classic->series_count + 1, sizeof *buckets);

    *count = 0;
    for (size_t i = 0; i < classic->series_count; i++) {
        struct bucket *bucket = &buckets[*count];
        bucket->series = classic->series[i];
        *count += read_bound(&classic->series[i], &bucket->bound);
    }
    if (*count > 0)
        qsort(buckets, *count, sizeof *buckets, by_bound);
    return buckets;
}

static bool on_sum(size_t series, wall_ms step_from, const struct cell *cell, void *arg)
{
    double *sum = arg;
    (void)series;
    (void)step_from;
    *sum = aggregate_sum(&cell->aggregate);
    return true;
}

/* Bounds, and how many values were counted up to each. */
struct bounds {
    double *bounds;
    double *up_to;
    size_t count;
};

static bool read_bounds(struct read_txn *txn, const struct classic *classic, struct arena *arena,
                        struct bounds *out, struct coverage *coverage, struct error *err)
{
    size_t count = 0;
    struct bucket *buckets = sorted_buckets(classic, arena, &count);
    struct query_series *alike = arena_array(arena, count + 1, sizeof *alike);

    out->bounds = arena_array(arena, count + 1, sizeof *out->bounds);
    out->up_to = arena_array(arena, count + 1, sizeof *out->up_to);
    out->count = 0;
    for (size_t i = 0; i < count && out->count <= BOUNDED_BOUNDS_MAX;) {
        size_t same = 0;
        double bound = buckets[i].bound;
        for (; i < count && buckets[i].bound == bound; i++)
            alike[same++] = buckets[i].series;
        const struct query query = {.series = alike,
                                    .series_count = same,
                                    .from = classic->from,
                                    .to = classic->to,
                                    .merge_series = true};
        out->bounds[out->count] = bound;
        if (!query_cells(txn, &query, on_sum, &out->up_to[out->count], coverage, err))
            return false;
        out->count++;
    }
    return true;
}

static uint64_t weight_of(double count)
{
    const double weight_max = 281474976710655.0; /* 2^48 - 1 */
    return (uint64_t)(fmin(fmax(count, 0), weight_max) * (double)WEIGHT_ONE);
}

/* Counts up to a bound never fall from one bound to the next, whatever order the samples of one
 * scrape came in. */
static void fill(const struct bounds *bounds, struct bounded *bounded, struct aggregate *aggregate)
{
    double before = 0;
    double below = bounds->bounds[0] > 0 ? 0 : bounds->bounds[0];
    size_t finite = bounded_bound_count(bounded);

    for (size_t i = 0; i < bounds->count; i++) {
        double count = bounds->up_to[i] - before;
        double bound = i < finite ? bounds->bounds[i] : below;
        uint64_t weight = count > 0 ? weight_of(count) : 0;
        if (weight > 0) {
            bounded_add_bucket(bounded, i < finite ? i : finite, weight);
            aggregate->min = aggregate->count == 0 ? below : aggregate->min;
            aggregate->max = bound;
            aggregate->count += weight;
            before = bounds->up_to[i];
        }
        below = bound;
    }
}

bool classic_read(struct read_txn *txn, const struct classic *classic, struct arena *arena,
                  struct cell *out, struct coverage *coverage, struct error *err)
{
    struct bounds bounds;
    struct aggregate aggregate = AGGREGATE_EMPTY;

    *out = (struct cell)CELL_EMPTY;
    if (!read_bounds(txn, classic, arena, &bounds, coverage, err))
        return false;
    size_t finite = bounds.count;
    if (finite > 0 && isinf(bounds.bounds[finite - 1]))
        finite--;
    if (finite == 0)
        return true;
    struct bounded *bounded = bounded_new(bounds.bounds, finite, err);
    if (bounded == NULL)
        return false;
    fill(&bounds, bounded, &aggregate);
    if (aggregate.count == 0) {
        bounded_free(bounded);
        return true;
    }
    aggregate.sum = (aggregate.min + aggregate.max) / 2 * aggregate_count(&aggregate);
    aggregate.first = aggregate.min;
    aggregate.last = aggregate.max;
    aggregate.first_at = classic->from;
    aggregate.last_at = classic->from;
    cell_add_bounded(out, &aggregate, bounded);
    return true;
}
