/* Which KPI is evaluated when: each schedule once, with all its KPIs. */
#include "config/config_private.h"

struct group {
    struct evaluation evaluation;
    const struct kpi **kpis;
    size_t capacity;
};

struct grouping {
    struct loader *loader;
    struct group *groups;
    size_t count, capacity;
};

static void add(struct grouping *grouping, const struct schedule *schedule, struct kpi *kpi)
{
    struct arena *arena = grouping->loader->arena;
    struct group *group = NULL;

    if (kpi->schedule == NULL)
        kpi->schedule = schedule->id;

    for (size_t i = 0; i < grouping->count && group == NULL; i++) {
        if (grouping->groups[i].evaluation.schedule == schedule)
            group = &grouping->groups[i];
    }
    if (group == NULL) {
        grouping->groups = arena_grow(arena, grouping->groups, grouping->count, &grouping->capacity,
                                      sizeof *grouping->groups);
        group = &grouping->groups[grouping->count++];
        *group = (struct group){.evaluation.schedule = schedule};
    }
    size_t count = group->evaluation.kpi_count;
    if (count > 0 && group->kpis[count - 1] == kpi)
        return; /* two rules of one KPI */
    group->kpis = arena_grow(arena, group->kpis, count, &group->capacity, sizeof(struct kpi *));
    group->kpis[count] = kpi;
    group->evaluation.kpi_count = count + 1;
}

/* The KPI that a rule of the tree is about. */
static struct str subject(const struct loader *loader, const struct yaml_node *rule)
{
    const struct yaml_node *kpi = yaml_get(rule, "kpi");
    const struct yaml_node *target = yaml_get(rule, "target");

    if (kpi == NULL && target != NULL && target->kind == YAML_KIND_TEXT)
        kpi = yaml_get(yaml_find(yaml_get(loader->root, "targets"), target->text), "kpi");
    return kpi == NULL || kpi->kind != YAML_KIND_TEXT ? STR_EMPTY : kpi->text;
}

/* `evaluate` of a KPI or rule, its defaults included: adds the KPI to that schedule. */
static void evaluate_on(struct grouping *grouping, struct yaml_node *value, struct kpi *kpi)
{
    bool not_built = false;
    const struct schedule *schedule =
        loader_schedule(grouping->loader, value, kpi->calendar, &not_built);

    if (schedule != NULL)
        add(grouping, schedule, kpi);
}

static void group_kpi(struct grouping *grouping, struct kpi *kpi)
{
    struct loader *loader = grouping->loader;
    struct object object = loader_object(
        loader, yaml_find(yaml_get(loader->root, "kpis"), str_of(kpi->id)), "kpis", "kpi");
    struct yaml_node *own = yaml_get(object.node, "evaluate");
    struct yaml_node *rule = NULL;
    size_t at = 0;
    bool has_rule = false;

    if (own != NULL && !own->is_bad)
        evaluate_on(grouping, own, kpi);
    while ((rule = loader_next(loader, "rules", &at)) != NULL) {
        struct object rule_object = loader_object(loader, rule, "rules", "rule");
        struct yaml_node *value = object_find(&rule_object, "evaluate");
        if (!str_is(subject(loader, rule), kpi->id) || value == NULL)
            continue;
        has_rule = true;
        evaluate_on(grouping, value, kpi);
    }
    if (own != NULL || has_rule)
        return;
    struct yaml_node *otherwise = object_find(&object, "evaluate");
    if (otherwise != NULL)
        evaluate_on(grouping, otherwise, kpi);
    else
        add(grouping, loader_schedule_text(loader, "every 1m", loader->config->calendar), kpi);
    object_fill(&object, "evaluate", STR("every 1m"), loader->arena);
}

void load_evaluations(struct loader *loader)
{
    struct grouping grouping = {loader, NULL, 0, 0};

    for (size_t i = 0; i < loader->kpi_count; i++) {
        if (loader->kpis[i].state != KPI_STATE_RETIRED)
            group_kpi(&grouping, &loader->kpis[i]);
    }
    struct evaluation *evaluations =
        arena_array(loader->arena, grouping.count + 1, sizeof *evaluations);
    for (size_t i = 0; i < grouping.count; i++) {
        evaluations[i] = grouping.groups[i].evaluation;
        evaluations[i].kpis = grouping.groups[i].kpis;
    }
    loader->config->evaluator =
        (struct evaluator_config){&loader->config->kpis, evaluations, grouping.count};
}
