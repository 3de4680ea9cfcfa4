/* The figure of one function over one metric: which samples, from when, and how they are summed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kpi/classic.h"
#include "kpi/formula_private.h"

struct call {
    const struct formula_node *node;
    struct read_txn *txn;
    const struct formula_range *range;
    struct arena *arena;
    struct figure *out;
    struct error *err;
    /* filled by prepare() */
    enum metric_kind kind;
    const struct metric_definition *metric; /* NULL when not declared */
    struct metric_facts facts;
    wall_ms first_sample_at; /* of the metric, whatever its labels; WALL_NONE: it has none */
    wall_ms known_since;     /* FIG-11 */
    wall_ms end;             /* of what can have happened: the range's, or just after now */
    bool is_classic;         /* the series are the buckets of a classic histogram (kpi/classic.h) */
    struct query_series *series;
    size_t series_count;
    span_ms carry; /* FIG-13 */
    char name[STR_QUOTED_SIZE];
};

static bool is_open(const struct call *call)
{
    return call->range->now < call->range->to;
}

static const char *join_kinds(unsigned kinds, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (unsigned kind = 1; kind <= METRIC_KIND_MAX; kind++) {
        if ((kinds & (1U << kind)) == 0 || len >= size)
            continue;
        int wrote = snprintf(out + len, size - len, "%s%s", len > 0 ? " and " : "",
                             metric_kind_name((enum metric_kind)kind));
        len += wrote > 0 ? (size_t)wrote : 0;
    }
    return out;
}

/* The declared kind or the only one there is; false when that leaves a doubt, or when the kind does
 * not have the function: then the figure is null. */
static bool find_kind(struct call *call)
{
    char words[160];
    const struct formula_function *function = call->node->function;
    unsigned kinds = call->facts.kinds;

    if (call->metric != NULL && call->metric->has_kind) {
        call->kind = call->metric->kind;
    } else if ((kinds & (kinds - 1)) != 0) {
        figure_set_null(call->out, NULL_AMBIGUOUS, "metric '%s' is %s: declare its type",
                        call->name, join_kinds(kinds, words, sizeof words));
        return false;
    } else {
        for (unsigned kind = 1; kind <= METRIC_KIND_MAX; kind++) {
            if ((kinds & (1U << kind)) != 0)
                call->kind = (enum metric_kind)kind;
        }
    }
    if (call->kind == 0 || (function->kinds & (1U << call->kind)) != 0)
        return true;
    figure_set_null(call->out, NULL_AMBIGUOUS, "%s",
                    formula_function_advice(function, call->kind, call->node->selector.metric,
                                            words, sizeof words));
    return false;
}

/* --- what a name that was never seen may have been meant as --- */

/* Enough for a hint; a formula with a typing error is evaluated again and again. */
enum { NAMES_VISITED_MAX = 2000, NAMES_KEPT_MAX = 200, LENGTHS_APART_MAX = 3 };

struct near_names {
    struct str word;
    struct arena *arena;
    const char *names[NAMES_KEPT_MAX];
    size_t count;
    size_t visited;
};

static bool on_metric_name(struct str metric, const struct metric_facts *facts, void *arg)
{
    struct near_names *near = arg;
    (void)facts;
    if (metric.len <= near->word.len + LENGTHS_APART_MAX &&
        near->word.len <= metric.len + LENGTHS_APART_MAX)
        near->names[near->count++] = arena_text(near->arena, metric);
    return near->count < NAMES_KEPT_MAX && ++near->visited < NAMES_VISITED_MAX;
}

static void set_never_seen(struct call *call)
{
    char quoted[STR_QUOTED_SIZE];
    struct near_names near = {.word = call->node->selector.metric, .arena = call->arena};

    query_metrics(call->txn, on_metric_name, &near);
    const char *nearest = str_nearest(near.word, near.names, near.count);
    if (nearest == NULL)
        figure_set_null(call->out, NULL_NEVER_SEEN, "metric '%s' was never seen", call->name);
    else
        figure_set_null(call->out, NULL_NEVER_SEEN,
                        "metric '%s' was never seen; did you mean '%s'?", call->name,
                        str_quoted(str_of(nearest), quoted));
}

/* Whether the metric is known over the range, and from when (FIG-11). */
static bool find_known_since(struct call *call)
{
    const struct formula_range *range = call->range;
    wall_ms declared_at = WALL_NONE;
    char time[CLOCK_TEXT_SIZE];

    if (!call->facts.seen && call->metric == NULL) {
        set_never_seen(call);
        return false;
    }
    if (call->metric != NULL) {
        if (range->declared_at != NULL)
            declared_at = range->declared_at(call->node->selector.metric, range->declared_arg);
        /* Declared so lately that it is not noted yet. */
        if (declared_at == WALL_NONE)
            declared_at = range->now;
    }
    if (range->from > range->now) {
        figure_set_null(call->out, NULL_NOT_YET, "the period has not begun");
        return false;
    }
    call->known_since = call->first_sample_at != WALL_NONE ? call->first_sample_at : declared_at;
    if (declared_at != WALL_NONE && declared_at < call->known_since)
        call->known_since = declared_at;
    if (range->to <= call->known_since) {
        figure_set_null(call->out, NULL_BEFORE_FIRST, "metric '%s' is known since %s", call->name,
                        clock_format_utc(call->known_since, time));
        return false;
    }
    if (range->from < call->known_since)
        call->out->partial = true;
    return true;
}

/* FIG-12: only an open figure is stale, and only by its metric's own word. */
static bool note_staleness(struct call *call)
{
    struct coverage coverage = COVERAGE_EMPTY;
    wall_ms newest = WALL_NONE;

    if (call->metric == NULL || call->metric->stale_after <= 0 || !is_open(call) ||
        call->node->function->id == FUNCTION_AT_START)
        return true;
    if (call->facts.seen && !query_metric_times(call->txn, call->node->selector.metric, NULL,
                                                &newest, &coverage, call->err))
        return false;
    wall_ms known = newest != WALL_NONE ? newest : call->known_since;
    if (call->range->now - known < call->metric->stale_after)
        return true;
    call->out->stale = true;
    if (newest > call->out->coverage.newest)
        call->out->coverage.newest = newest;
    return true;
}

/* A percentile or share of a metric that has no samples, but buckets of that name. */
static void look_for_classic(struct call *call, struct selector *selector)
{
    enum formula_function_id id = call->node->function->id;
    bool is_asked = id == FUNCTION_PERCENTILE || id == FUNCTION_SHARE;
    struct metric_facts facts;

    if (call->facts.seen || !is_asked ||
        (call->metric != NULL && call->metric->has_kind &&
         call->metric->kind != METRIC_DISTRIBUTION))
        return;
    struct str buckets = classic_bucket_name(call->arena, selector->metric);
    query_metric(call->txn, buckets, &facts);
    if ((facts.kinds & (1U << METRIC_COUNTER)) == 0)
        return;
    call->is_classic = true;
    call->facts = facts;
    selector->metric = buckets;
}

/* `*usable` false: the figure is null, and says why. */
static bool prepare(struct call *call, bool *usable)
{
    const struct formula_node *node = call->node;
    struct selector selector = node->selector;
    struct coverage coverage = COVERAGE_EMPTY; /* of the times: no part of the figure's */

    (void)str_quoted(selector.metric, call->name);
    call->metric =
        node->metric != NULL ? node->metric : metric_find(call->range->metrics, selector.metric);
    query_metric(call->txn, selector.metric, &call->facts);
    look_for_classic(call, &selector);
    call->first_sample_at = WALL_NONE;
    if (call->facts.seen && !query_metric_times(call->txn, selector.metric, &call->first_sample_at,
                                                NULL, &coverage, call->err))
        return false;
    *usable = find_known_since(call) && (call->is_classic || find_kind(call));
    if (call->is_classic)
        call->kind = METRIC_COUNTER;
    if (!*usable)
        return true;
    if (!note_staleness(call))
        return false;
    call->out->coverage.mixed_sources =
        query_is_mixed(call->txn, selector.metric, call->range->from, call->range->to);
    call->carry = call->metric != NULL && call->metric->stale_after > 0 ? call->metric->stale_after
                                                                        : call->range->carry;
    call->end = call->range->now < call->range->to ? call->range->now + 1 : call->range->to;
    if (call->kind == 0)
        return true;
    selector.kind = call->kind;
    return query_series(call->txn, &selector, call->arena, &call->series, &call->series_count,
                        call->err);
}

/* --- totals, and means over samples --- */

struct merged {
    const struct call *call;
    struct aggregate aggregate;
    double value; /* of what is no sum: uniques, percentiles, shares; in the metric's unit */
    bool has_value;
};

/* FIG-22. */
static bool read_nps(const struct cell *cell, double *out)
{
    enum { PROMOTERS_FROM = 9, DETRACTORS_TO = 6 };
    double promoters = 0;
    double detractors = 0;

    if (!cell_share_at_least(cell, PROMOTERS_FROM, &promoters) ||
        !cell_share_at_most(cell, DETRACTORS_TO, &detractors))
        return false;
    *out = (promoters - detractors) * 100;
    return true;
}

static bool read_percentile(const struct call *call, const struct cell *cell, double *out)
{
    if (!cell_quantile(cell, call->node->number, out))
        return false;
    if (call->kind == METRIC_SCORE)
        *out = round(*out); /* a score is whole, what stands for its bucket is not */
    return true;
}

/* The range is declared. */
static bool read_top2box(const struct call *call, const struct cell *cell, double *out)
{
    return cell_share_at_least(cell, (double)call->metric->range_high - 1, out);
}

static bool read_value(const struct call *call, const struct cell *cell, double *out)
{
    const struct formula_node *node = call->node;

    switch (node->function->id) {
    case FUNCTION_UNIQUES:
        /* People are not counted in fractions. */
        *out = cell->distinct != NULL ? round(distinct_estimate(cell->distinct)) : 0;
        return true;
    case FUNCTION_PERCENTILE:
        return read_percentile(call, cell, out);
    case FUNCTION_SHARE:
        return node->at_least ? cell_share_at_least(cell, node->number, out)
                              : cell_share_at_most(cell, node->number, out);
    case FUNCTION_NPS:
        return read_nps(cell, out);
    case FUNCTION_TOP2BOX:
        return read_top2box(call, cell, out);
    default:
        return false;
    }
}

static bool on_merged_cell(size_t series, wall_ms step_from, const struct cell *cell, void *arg)
{
    struct merged *merged = arg;
    (void)series;
    (void)step_from;
    merged->aggregate = cell->aggregate;
    merged->has_value = read_value(merged->call, cell, &merged->value);
    return true;
}

static bool read_classic(const struct call *call, struct merged *out)
{
    const struct classic classic = {call->series, call->series_count, call->range->from,
                                    call->range->to};
    struct cell cell = CELL_EMPTY;

    bool ok =
        classic_read(call->txn, &classic, call->arena, &cell, &call->out->coverage, call->err);
    if (ok && cell.aggregate.count > 0)
        (void)on_merged_cell(0, call->range->from, &cell, out);
    cell_fini(&cell);
    return ok;
}

static bool read_merged(const struct call *call, struct merged *out)
{
    struct query query = {.series = call->series,
                          .series_count = call->series_count,
                          .from = call->range->from,
                          .to = call->range->to,
                          .step = 0,
                          .merge_series = true};

    memset(out, 0, sizeof *out);
    out->call = call;
    if (call->series_count == 0)
        return true;
    if (call->is_classic)
        return read_classic(call, out);
    return query_cells(call->txn, &query, on_merged_cell, out, &call->out->coverage, call->err);
}

static double seconds_passed(const struct call *call)
{
    wall_ms until = is_open(call) ? call->range->now : call->range->to;
    return (double)(until - call->range->from) / MS_PER_SECOND;
}

static void set_rate(const struct call *call, double sum)
{
    double seconds = seconds_passed(call);
    if (seconds <= 0)
        figure_set_null(call->out, NULL_DIVISION_BY_ZERO, "no time has passed yet");
    else
        call->out->value = sum / seconds * call->node->number;
}

static bool evaluate_samples(const struct call *call)
{
    struct merged merged;
    struct figure *out = call->out;
    const struct unit *unit = &call->node->metric_unit;

    if (call->node->function->id == FUNCTION_TOP2BOX &&
        (call->metric == NULL || !call->metric->has_range)) {
        figure_set_null(out, NULL_AMBIGUOUS, "the range of '%s' is not declared", call->name);
        return true;
    }
    if (!read_merged(call, &merged))
        return false;
    const struct aggregate *aggregate = &merged.aggregate;
    out->count = aggregate_count(aggregate);
    double sum = aggregate->count == 0 ? 0 : aggregate_sum(aggregate);
    bool is_mean = call->node->function->class == FIGURE_MEAN;
    if (is_mean && call->node->function->id != FUNCTION_RATE && aggregate->count == 0) {
        figure_set_null(out, NULL_NO_SAMPLES, "no samples of '%s'", call->name);
        return true;
    }
    if (call->node->function->needs_count && !merged.has_value) {
        figure_set_null(out, NULL_NO_SAMPLES, "the values of '%s' were not counted", call->name);
        return true;
    }
    switch (call->node->function->id) {
    case FUNCTION_COUNT:
        out->value = out->count;
        break;
    case FUNCTION_PERCENTILE:
        out->value = unit_base(unit, merged.value);
        break;
    case FUNCTION_UNIQUES:
    case FUNCTION_SHARE:
    case FUNCTION_NPS:
    case FUNCTION_TOP2BOX:
        out->value = merged.value;
        break;
    case FUNCTION_RATE:
        set_rate(call, unit_base(unit, sum));
        break;
    case FUNCTION_AVG:
        out->value = unit_base(unit, sum / out->count);
        break;
    case FUNCTION_MIN:
        out->value = unit_base(unit, aggregate->min);
        break;
    case FUNCTION_MAX:
        out->value = unit_base(unit, aggregate->max);
        break;
    default:
        out->value = unit_base(unit, sum);
        break;
    }
    return true;
}

/* --- over labels (FIG-16) --- */

struct combined {
    double value;
    size_t count;
};

static enum over_labels over_labels(const struct call *call)
{
    if (call->metric != NULL && call->metric->over_labels != OVER_LABELS_DEFAULT)
        return call->metric->over_labels;
    switch (call->node->metric_unit.dimension) {
    case DIMENSION_RATIO:
    case DIMENSION_POINTS:
    case DIMENSION_TIME:
        return OVER_LABELS_AVG;
    default:
        return OVER_LABELS_SUM;
    }
}

static void combine_value(struct combined *combined, enum over_labels over, double value)
{
    if (combined->count == 0)
        combined->value = value;
    else if (over == OVER_LABELS_MIN)
        combined->value = fmin(combined->value, value);
    else if (over == OVER_LABELS_MAX)
        combined->value = fmax(combined->value, value);
    else
        combined->value += value;
    combined->count++;
}

static double combined_value(const struct combined *combined, enum over_labels over)
{
    return over == OVER_LABELS_AVG ? combined->value / (double)combined->count : combined->value;
}

/* --- levels --- */

struct levels {
    struct combined combined;
    size_t seen;                     /* series with a sample at or before the instant */
    const struct query_series *left; /* the first that has left the level in this range (FIG-14) */
    struct level_sample left_level;  /* its last */
    size_t left_count;
};

/* The level of each series, those that are too old to count included. */
static struct level_sample *read_samples(const struct call *call, wall_ms at)
{
    struct level_sample *samples = arena_array(call->arena, call->series_count, sizeof *samples);
    struct query_levels query = {call->series, call->series_count, at, 0};

    if (__builtin_sub_overflow(at, call->carry, &query.since))
        query.since = INT64_MIN;
    if (!query_levels(call->txn, &query, samples, &call->out->coverage, call->err))
        return NULL;
    return samples;
}

/* Adds up the levels of all series at an instant (FIG-13). */
static bool read_levels(const struct call *call, wall_ms at, struct levels *out)
{
    enum over_labels over = over_labels(call);

    memset(out, 0, sizeof *out);
    const struct level_sample *samples = read_samples(call, at);
    if (samples == NULL)
        return false;
    for (size_t i = 0; i < call->series_count; i++) {
        struct level_sample level = samples[i];
        if (level.at == WALL_NONE)
            continue;
        out->seen++;
        if (at - level.at < call->carry) {
            combine_value(&out->combined, over, level.value);
            continue;
        }
        if (level.at + call->carry > call->range->from) {
            if (out->left_count++ == 0) {
                out->left = &call->series[i];
                out->left_level = level;
            }
        }
    }
    return true;
}

/* "left: mrr{plan="legacy"}, 4,100 EUR at 2026-09-10T04:00:00Z and 2 more" */
static void note_left(const struct call *call, const struct levels *levels)
{
    struct buf key = BUF_EMPTY;
    char number[UNIT_TEXT_SIZE];
    char time[CLOCK_TEXT_SIZE];
    char more[40] = "";
    const struct unit *unit = &call->node->metric_unit;

    series_key_format(&key, levels->left->key);
    int len = key.len > 70 ? 70 : (int)key.len;
    while (len > 0 && (size_t)len < key.len && ((unsigned char)key.bytes[len] & 0xC0) == 0x80)
        len--; /* not inside a character */
    if (levels->left_count > 1)
        (void)snprintf(more, sizeof more, " and %zu more", levels->left_count - 1);
    double base = unit_base(unit, levels->left_level.value);
    (void)snprintf(call->out->detail, sizeof call->out->detail, "left: %.*s%s, %.40s at %s%s", len,
                   key.bytes, (size_t)len < key.len ? "..." : "",
                   unit_format(unit, base, NAN, number),
                   clock_format_utc(levels->left_level.at, time), more);
    buf_fini(&key);
}

static void set_level(const struct call *call, const struct levels *levels)
{
    call->out->value =
        unit_base(&call->node->metric_unit, combined_value(&levels->combined, over_labels(call)));
    if (levels->left != NULL)
        note_left(call, levels);
}

static bool evaluate_last(const struct call *call)
{
    struct levels levels;
    if (!read_levels(call, call->end - 1, &levels))
        return false;
    if (levels.combined.count > 0) {
        set_level(call, &levels);
        return true;
    }
    if (levels.seen == 0)
        figure_set_null(call->out, NULL_NO_SAMPLES, "no samples of '%s'", call->name);
    else
        figure_set_null(call->out, NULL_STALE, "the last sample of '%s' is too old", call->name);
    return true;
}

/* FIG-17. */
static bool evaluate_at_start(const struct call *call)
{
    struct levels levels;
    wall_ms at = call->range->from;
    if (call->first_sample_at > at) {
        at = call->first_sample_at; /* collection began in this period: marked partial */
        call->out->partial = true;
    }
    if (at >= call->end || call->first_sample_at == WALL_NONE) {
        figure_set_null(call->out, NULL_NO_SAMPLES, "no samples of '%s'", call->name);
        return true;
    }
    if (!read_levels(call, at, &levels))
        return false;
    if (levels.combined.count > 0)
        set_level(call, &levels);
    else if (levels.seen > 0)
        figure_set_null(call->out, NULL_STALE, "'%s' was too old at the start", call->name);
    /* Else a new label value of an older metric: it starts at 0. */
    return true;
}

/* --- gauges over time: labels first, then time (FIG-15) --- */

/* The last value of one series while its steps are walked. */
struct carried {
    double value;
    wall_ms at;
    bool has_value;
    size_t next_step;
};

struct gauge_walk {
    const struct call *call;
    enum formula_function_id function;
    enum over_labels over;
    wall_ms from; /* where step 0 would start if it were whole */
    span_ms step;
    size_t step_count;
    struct combined *steps;
    struct carried *carried;
};

static wall_ms step_start(const struct gauge_walk *walk, size_t step)
{
    return walk->from + (wall_ms)step * walk->step;
}

/* Silent steps carry what the series had last, until it is too old. */
static void fill_silence(struct gauge_walk *walk, struct carried *carried, size_t until)
{
    for (size_t i = carried->next_step; i < until; i++) {
        wall_ms at = step_start(walk, i);
        if (!carried->has_value || at - carried->at >= walk->call->carry)
            break;
        combine_value(&walk->steps[i], walk->over, carried->value);
    }
    if (until > carried->next_step)
        carried->next_step = until;
}

static double cell_value(const struct gauge_walk *walk, const struct aggregate *aggregate)
{
    if (walk->function == FUNCTION_MIN)
        return aggregate->min;
    if (walk->function == FUNCTION_MAX)
        return aggregate->max;
    return aggregate_sum(aggregate) / aggregate_count(aggregate);
}

static bool on_gauge_cell(size_t series, wall_ms step_from, const struct cell *cell, void *arg)
{
    struct gauge_walk *walk = arg;
    struct carried *carried = &walk->carried[series];
    size_t step = (size_t)((step_from - walk->from) / walk->step);

    if (step >= walk->step_count || cell->aggregate.count == 0)
        return true;
    fill_silence(walk, carried, step);
    combine_value(&walk->steps[step], walk->over, cell_value(walk, &cell->aggregate));
    carried->next_step = step + 1;
    carried->value = cell->aggregate.last;
    carried->at = cell->aggregate.last_at;
    carried->has_value = true;
    return true;
}

static bool read_segment(struct gauge_walk *walk, wall_ms from, wall_ms to, span_ms step)
{
    const struct call *call = walk->call;
    struct query query = {.series = call->series,
                          .series_count = call->series_count,
                          .from = from,
                          .to = to,
                          .step = step,
                          .merge_series = false};
    if (from >= to)
        return true;
    return query_cells(call->txn, &query, on_gauge_cell, walk, &call->out->coverage, call->err);
}

/* What each series brings along from before the range. */
static bool read_carried(struct gauge_walk *walk, wall_ms from)
{
    const struct call *call = walk->call;
    const struct level_sample *samples = read_samples(call, from - 1);

    if (samples == NULL)
        return false;
    for (size_t i = 0; i < call->series_count; i++) {
        if (samples[i].at != WALL_NONE)
            walk->carried[i] = (struct carried){samples[i].value, samples[i].at, true, 0};
    }
    return true;
}

static void sum_up_steps(const struct gauge_walk *walk)
{
    const struct call *call = walk->call;
    double result = 0;
    size_t count = 0;

    for (size_t i = 0; i < walk->step_count; i++) {
        if (walk->steps[i].count == 0)
            continue;
        double value = combined_value(&walk->steps[i], walk->over);
        if (count == 0)
            result = value;
        else if (walk->function == FUNCTION_MIN)
            result = fmin(result, value);
        else if (walk->function == FUNCTION_MAX)
            result = fmax(result, value);
        else
            result += value;
        count++;
    }
    if (count == 0)
        figure_set_null(call->out, NULL_NO_SAMPLES, "no samples of '%s'", call->name);
    else
        call->out->value =
            unit_base(&call->node->metric_unit,
                      walk->function == FUNCTION_AVG ? result / (double)count : result);
}

static wall_ms floor_to(wall_ms at, span_ms step)
{
    wall_ms rest = at % step;
    return at - (rest < 0 ? rest + step : rest);
}

static bool evaluate_gauge(const struct call *call)
{
    wall_ms from = call->range->from;
    span_ms step = call->range->to - from <= MS_PER_HOUR ? MS_PER_MINUTE : 15 * MS_PER_MINUTE;
    /* Nothing can be before the first sample: it bounds the steps of a range without end. */
    if (from < call->first_sample_at)
        from = floor_to(call->first_sample_at, step);
    if (from < call->range->from)
        from = call->range->from;
    if (from >= call->end || call->series_count == 0) {
        figure_set_null(call->out, NULL_NO_SAMPLES, "no samples of '%s'", call->name);
        return true;
    }
    struct gauge_walk walk = {.call = call,
                              .function = call->node->function->id,
                              .over = over_labels(call),
                              .from = floor_to(from, step),
                              .step = step};
    walk.step_count = (size_t)((call->end - 1 - walk.from) / step) + 1;
    walk.steps = arena_array(call->arena, walk.step_count, sizeof *walk.steps);
    walk.carried = arena_array(call->arena, call->series_count, sizeof *walk.carried);

    /* A range that starts inside a step has a short first one, so that the others are aligned. */
    wall_ms aligned = walk.from == from ? from : walk.from + step;
    wall_ms to = call->range->to;
    if (aligned > to)
        aligned = to;
    if (!read_carried(&walk, from) || !read_segment(&walk, from, aligned, 0) ||
        !read_segment(&walk, aligned, to, step))
        return false;
    for (size_t i = 0; i < call->series_count; i++)
        fill_silence(&walk, &walk.carried[i], walk.step_count);
    sum_up_steps(&walk);
    return true;
}

bool formula_call_evaluate(const struct formula_node *node, struct read_txn *txn,
                           const struct formula_range *range, struct arena *arena,
                           struct figure *out, struct error *err)
{
    struct call call = {
        .node = node, .txn = txn, .range = range, .arena = arena, .out = out, .err = err};
    bool usable = false;

    *out = figure_zero();
    if (!prepare(&call, &usable))
        return false;
    if (!usable)
        return true;
    switch (node->function->id) {
    case FUNCTION_LAST:
        return evaluate_last(&call);
    case FUNCTION_AT_START:
        return evaluate_at_start(&call);
    case FUNCTION_AVG:
    case FUNCTION_MIN:
    case FUNCTION_MAX:
        return call.kind == METRIC_GAUGE ? evaluate_gauge(&call) : evaluate_samples(&call);
    default:
        return evaluate_samples(&call);
    }
}
