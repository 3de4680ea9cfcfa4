/* metrics: */
#include "config/config_private.h"

static void load_range(const struct loader *loader, const struct object *object,
                       struct metric_definition *metric)
{
    struct yaml_node *range = object_find(object, "range");

    if (range == NULL)
        return;
    if (range->count != 2 || range->items[0]->whole >= range->items[1]->whole) {
        (void)finding_error(loader->findings, range, "a range is [low, high]");
        return;
    }
    metric->has_range = true;
    metric->range_low = range->items[0]->whole;
    metric->range_high = range->items[1]->whole;
}

enum { SERIES_MOST = 100000000 }; /* as of server.limits.series */

uint64_t load_max_series(const struct loader *loader, const struct object *object)
{
    const struct yaml_node *most = object_find(object, "max_series");

    if (most == NULL)
        return 0;
    if (most->whole < 1 || most->whole > SERIES_MOST) {
        (void)finding_error(loader->findings, most, "max_series is from 1 to %d", SERIES_MOST);
        return 0;
    }
    return (uint64_t)most->whole;
}

static void load_reset(const struct loader *loader, const struct object *object,
                       struct metric_definition *metric)
{
    enum { RESET_CUMULATIVE = 1 }; /* the choice's second word */
    struct yaml_node *reset = object_find(object, "reset");

    if (reset == NULL || reset->whole != RESET_CUMULATIVE)
        return;
    if (metric->kind != METRIC_COUNTER)
        (void)finding_error(loader->findings, reset,
                            "only a counter is cumulative, and the type is %s",
                            metric_kind_name(metric->kind));
    metric->counts_up = metric->kind == METRIC_COUNTER;
}

/* Below 0 a level that clients count up and down is wrong: a decrement came twice, or an increment
 * was lost. */
static void load_floor(const struct loader *loader, const struct object *object,
                       struct metric_definition *metric)
{
    struct yaml_node *floor = object_find(object, "min");

    if (floor == NULL)
        return;
    if (metric->kind != METRIC_GAUGE)
        (void)finding_error(loader->findings, floor,
                            "only a gauge can be changed by steps, and the type is %s",
                            metric_kind_name(metric->kind));
    metric->has_floor = metric->kind == METRIC_GAUGE;
    metric->floor = object_number(object, "min");
}

/* A metric that is kept for another time than the rest: a rule. */
static void load_metric_keep(struct loader *loader, const struct object *object, const char *name)
{
    struct upkeep_options *upkeep = &loader->config->upkeep;
    struct retention_rule *rules = (struct retention_rule *)upkeep->rules;

    if (object_find(object, "keep") == NULL)
        return;
    struct object keep = object_inside(object, "keep");
    struct retention_rule *rule = &rules[upkeep->rule_count++];
    rule->metric = name;
    load_keep(loader, &keep, &upkeep->keep, &rule->keep);
}

static void load_metric(struct loader *loader, struct yaml_node *node)
{
    struct object object = loader_object(loader, node, "metrics", NULL);
    struct metric_definition *metric = arena_alloc(loader->arena, sizeof *metric);
    const struct yaml_node *unit = object_find(&object, "unit");
    const struct yaml_node *over_labels = object_find(&object, "over_labels");
    struct unit parsed;

    if (unit != NULL && loader_unit(loader, unit, &parsed))
        metric->unit = arena_text(loader->arena, str_of(parsed.name));
    metric->name = arena_text(loader->arena, node->key->text);
    metric->has_kind = metric_kind_parse(object_text(&object, "type"), &metric->kind);
    metric->every = object_span(&object, "every");
    metric->stale_after = object_span(&object, "stale_after");
    if (metric->stale_after == 0)
        metric->stale_after = metric->every + metric->every / 2; /* FIG-12 */
    metric->late = object_span(&object, "late");
    if (over_labels != NULL)
        metric->over_labels = (enum over_labels)(OVER_LABELS_SUM + over_labels->whole);
    load_reset(loader, &object, metric);
    metric->max_series = load_max_series(loader, &object);
    load_range(loader, &object, metric);
    load_floor(loader, &object, metric);
    load_metric_keep(loader, &object, metric->name);
    (void)table_add(&loader->config->metrics.by_name, node->key->text, metric);
}

void load_metrics(struct loader *loader)
{
    struct yaml_node *node = NULL;
    size_t at = 0;

    loader->config->upkeep.rules = arena_array(loader->arena, loader_count(loader, "metrics") + 1,
                                               sizeof(struct retention_rule));
    while ((node = loader_next(loader, "metrics", &at)) != NULL)
        load_metric(loader, node);
}
