/* rules: */
#include <string.h>

#include "config/config_private.h"

static const struct target *find_target(const struct loader *loader, struct str id,
                                        const struct kpi **kpi)
{
    for (size_t i = 0; i < loader->kpi_count; i++) {
        for (size_t t = 0; t < loader->kpis[i].target_count; t++) {
            if (str_is(id, loader->kpis[i].targets[t].id)) {
                *kpi = &loader->kpis[i];
                return &loader->kpis[i].targets[t];
            }
        }
    }
    return NULL;
}

/* What the rule is about. False when that is wrong, or broken and reported elsewhere, or not built
 * (a metric). */
static bool load_subject(const struct loader *loader, const struct object *object,
                         struct rule *rule)
{
    const struct yaml_node *kpi = object_find(object, "kpi");
    const struct yaml_node *target = object_find(object, "target");
    const struct yaml_node *metric = object_find(object, "metric");

    if ((kpi != NULL) + (target != NULL) + (metric != NULL) != 1) {
        (void)finding_error_key(loader->findings, object->node,
                                "a rule is about exactly one of kpi, target and metric");
        return false;
    }
    if (target != NULL) {
        if (loader_refer(loader, target, "targets", "target"))
            rule->target = find_target(loader, target->text, &rule->kpi);
    } else if (kpi != NULL && loader_refer(loader, kpi, "kpis", "KPI")) {
        rule->kpi = loader_kpi(loader, kpi->text);
    }
    return rule->kpi != NULL;
}

static bool load_condition(const struct loader *loader, const struct object *object,
                           const char *key, struct rule *rule, struct condition *out)
{
    const struct yaml_node *node = object_find(object, key);
    struct error err = ERROR_EMPTY;
    struct str text = node == NULL ? STR("breached") : node->text;

    if (!condition_parse(text, &rule->kpi->unit, loader->arena, out, &err))
        return loader_report(loader, node != NULL ? node : object->node, &err);
    if (out->not_built != NULL) {
        (void)finding_warning(loader->findings, node, "%s is not built yet: this rule never fires",
                              out->not_built);
        if (rule->not_built == NULL)
            rule->not_built = arena_printf(loader->arena, "not built yet: %s", out->not_built);
    }
    return true;
}

static bool load_conditions(const struct loader *loader, const struct object *object,
                            struct rule *rule)
{
    bool ok = true;

    if (object_find(object, "when") == NULL && rule->target == NULL) {
        (void)finding_error_key(loader->findings, object->node, "'when' is missing");
        ok = finding_hint(loader->findings,
                          "a rule on a KPI needs a condition; one on a target has breached");
    } else {
        ok = load_condition(loader, object, "when", rule, &rule->when);
        object_fill(object, "when", STR("breached"), loader->arena);
    }
    rule->has_recover = object_find(object, "recover") != NULL;
    if (rule->has_recover)
        ok = load_condition(loader, object, "recover", rule, &rule->recover) && ok;
    return ok;
}

/* ALR-2: a total that has longer than a day to reach its number must be behind for a day. */
static void load_for(const struct loader *loader, const struct object *object, struct rule *rule)
{
    bool is_slow = rule->target != NULL && rule->target->kind == TARGET_AT_LEAST &&
                   rule->kpi->formula.class == FIGURE_TOTAL && rule->target->every > PERIOD_DAY &&
                   condition_is_breached(&rule->when);

    if (object_find(object, "for") != NULL)
        rule->for_ms = object_span(object, "for");
    else if (is_slow)
        rule->for_ms = MS_PER_DAY;
    object_fill(object, "for", is_slow ? STR("1d") : STR("0s"), loader->arena);
    rule->hold_ms = object_span(object, "hold");
}

static void load_text(const struct loader *loader, const struct object *object, struct rule *rule)
{
    const struct yaml_node *node = object_find(object, "text");
    struct error err = ERROR_EMPTY;

    rule->text = object_copy(object, "text", loader->arena);
    rule->action = object_copy(object, "do", loader->arena);
    rule->runbook = object_copy(object, "runbook", loader->arena);
    if (node == NULL)
        return;
    if (!rule_text_check(node->text, &err)) {
        (void)loader_report(loader, node, &err);
        return;
    }
    const char *missing = rule_text_not_built(node->text);
    if (missing != NULL)
        (void)finding_warning(loader->findings, node,
                              "%s is not built yet: the default text is sent", missing);
}

/* Hooks that are not built are left out: nobody would send to them. */
static void load_rule_hooks(const struct loader *loader, const struct object *object,
                            struct rule *rule)
{
    struct yaml_node *node = object_find(object, "hooks");
    size_t count = object_count(node);
    const char **hooks = arena_array(loader->arena, count + 1, sizeof *hooks);
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *item = object_item(node, i);
        /* Those of defaults.hooks were looked at where they stand. */
        if (item->is_bad || (!node->is_made && !loader_refer(loader, item, "hooks", "hook")))
            continue;
        const struct hook *hook = hook_find(&loader->config->hooks, item->text);
        if (hook != NULL)
            hooks[kept++] = hook->id;
    }
    rule->hooks = hooks;
    rule->hook_count = kept;
}

static bool load_rule(struct loader *loader, struct yaml_node *node, struct rule *rule)
{
    struct object object = loader_object(loader, node, "rules", "rule");

    memset(rule, 0, sizeof *rule);
    rule->id = arena_text(loader->arena, node->key->text);
    load_rule_hooks(loader, &object, rule);
    load_text(loader, &object, rule);
    rule->not_built = check_draft_reason(node, object.schema, loader->arena);
    const struct yaml_node *waits = object_find(&object, "for");
    if (rule->not_built == NULL && waits != NULL && waits->has_words) /* of defaults.rule */
        rule->not_built = "not built yet: for";
    if (!load_subject(loader, &object, rule) || !load_conditions(loader, &object, rule))
        return false;
    load_for(loader, &object, rule);
    rule->severity = (enum severity)object_whole(&object, "severity");
    rule->fingerprint = rule_fingerprint(rule);
    return true;
}

void load_rules(struct loader *loader)
{
    struct yaml_node *node = NULL;
    size_t at = 0;
    struct rule *rules =
        arena_array(loader->arena, loader_count(loader, "rules") + 1, sizeof *rules);
    size_t count = 0;

    while ((node = loader_next(loader, "rules", &at)) != NULL) {
        if (load_rule(loader, node, &rules[count]))
            count++;
    }
    loader->config->rules = (struct rule_set){rules, count};
    loader->config->alert = (struct alert_config){&loader->config->rules, &loader->config->hooks};
}
