#include "config/long_form.h"

#include <string.h>

#include "config/object.h"

struct forming {
    struct arena *arena;
    struct findings *findings;
    struct yaml_node *root;
};

static const char *const KINDS[] = {"at_least",    "at_most",     "between", "hold",
                                    "increase_to", "decrease_to", NULL};

/* Keys of an alert inside a KPI. `evaluate` stays where it is when there is no rule to carry it. */
static const char *const ALERT_KEYS[] = {"when",  "recover", "for", "severity", "evaluate",
                                         "hooks", "text",    "do",  "mute",     NULL};

static struct yaml_node *section(const struct forming *forming, const char *name)
{
    struct yaml_node *found = yaml_get(forming->root, name);

    if (found == NULL) {
        found = yaml_make_map(forming->arena, forming->root);
        yaml_put(forming->arena, forming->root, name, found);
    }
    return found;
}

static bool is_map(const struct yaml_node *node)
{
    return node != NULL && node->kind == YAML_KIND_MAP;
}

static void put_text(const struct forming *forming, struct yaml_node *map, const char *key,
                     struct str text, const struct yaml_node *origin)
{
    yaml_put(forming->arena, map, key, yaml_make_text(forming->arena, text, origin));
}

static void move_key(const struct forming *forming, struct yaml_node *from, struct yaml_node *into,
                     const char *key)
{
    struct yaml_node *value = yaml_remove(from, key);

    if (value != NULL)
        yaml_put(forming->arena, into, key, yaml_copy(forming->arena, value));
}

/* --- targets -----------------------------------------------------------------------------------
 */

/* `at_least: 100` -> `kind: at_least`, `to: 100`. Exactly one way to say the kind is right. */
static bool form_kind(const struct forming *forming, struct yaml_node *target)
{
    const struct yaml_node *kind = yaml_get(target, "kind");
    struct yaml_node *found = NULL;

    for (size_t i = 0; KINDS[i] != NULL; i++) {
        struct yaml_node *value = yaml_get(target, KINDS[i]);
        if (value == NULL)
            continue;
        if (found != NULL || kind != NULL) {
            (void)finding_error_key(forming->findings, value, "a target has one kind");
            return finding_hint(forming->findings, "the other one is in line %u",
                                found != NULL ? found->key->line : kind->key->line);
        }
        found = value;
    }
    if (found == NULL) {
        if (kind != NULL && yaml_get(target, "to") != NULL)
            return true;
        (void)finding_error_key(forming->findings, target, "%s",
                                kind == NULL ? "a target needs a kind" : "'to' is missing");
        return kind != NULL || finding_hint(forming->findings, "as at_least: 100 or at_most: 2%%");
    }
    if (yaml_get(target, "to") != NULL)
        return finding_error_key(forming->findings, yaml_get(target, "to"),
                                 "the number stands with '%.*s' already",
                                 STR_ARGS(found->key->text));
    const char *name = arena_text(forming->arena, found->key->text);
    (void)yaml_remove(target, name);
    struct yaml_node *made = yaml_make_text(forming->arena, str_of(name), found);
    struct error err = ERROR_EMPTY;
    (void)check_scalar(made, schema_find(object_schema("targets"), STR_EMPTY, STR("kind")), &err);
    yaml_put(forming->arena, target, "kind", made);
    yaml_put(forming->arena, target, "to", yaml_copy(forming->arena, found));
    return true;
}

/* The target inside a KPI becomes targets.ID; returns whether there is one. */
static bool form_inline_target(const struct forming *forming, struct yaml_node *kpi)
{
    struct yaml_node *inside = yaml_remove(kpi, "target");

    if (!is_map(inside) || inside->is_bad)
        return false;
    const char *id = arena_text(forming->arena, kpi->key->text);
    struct yaml_node *targets = section(forming, "targets");
    if (!is_map(targets))
        return false;
    const struct yaml_node *before = yaml_get(targets, id);
    if (before != NULL) {
        (void)finding_error_key(forming->findings, inside, "there is a target '%s' already", id);
        return finding_hint(forming->findings, "it is in line %u", before->key->line);
    }
    struct yaml_node *target = yaml_make_map(forming->arena, inside);
    target->is_made = false;
    put_text(forming, target, "kpi", kpi->key->text, kpi);
    for (size_t i = 0; i < inside->count; i++) {
        const char *key = arena_text(forming->arena, inside->items[i]->key->text);
        if (yaml_get(target, key) == NULL)
            yaml_put(forming->arena, target, key, yaml_copy(forming->arena, inside->items[i]));
    }
    yaml_put(forming->arena, targets, id, target);
    return true;
}

/* The only target of a KPI in the section targets; NULL when there is none, or more. */
static const struct yaml_node *only_target(const struct forming *forming, struct str kpi)
{
    const struct yaml_node *targets = yaml_get(forming->root, "targets");
    const struct yaml_node *found = NULL;

    for (size_t i = 0; is_map(targets) && i < targets->count; i++) {
        const struct yaml_node *of = yaml_get(targets->items[i], "kpi");
        if (of == NULL || !str_equal(of->text, kpi))
            continue;
        if (found != NULL)
            return NULL;
        found = targets->items[i];
    }
    return found;
}

/* --- rules -------------------------------------------------------------------------------------
 */

static const struct yaml_node *first_alert_key(const struct yaml_node *kpi)
{
    for (size_t i = 0; i < kpi->count; i++) {
        if (schema_listed(ALERT_KEYS, kpi->items[i]->key->text, NULL) &&
            !str_is(kpi->items[i]->key->text, "evaluate"))
            return kpi->items[i];
    }
    return NULL;
}

static void form_inline_rule(const struct forming *forming, struct yaml_node *kpi, bool has_target)
{
    const struct yaml_node *alert = first_alert_key(kpi);
    struct str target = has_target ? kpi->key->text : STR_EMPTY;

    if (!has_target && alert == NULL)
        return;
    if (!has_target && yaml_get(kpi, "when") == NULL) {
        const struct yaml_node *only = only_target(forming, kpi->key->text);
        if (only == NULL) {
            (void)finding_warning_key(forming->findings, alert,
                                      "nothing to tell: the KPI has neither 'target' nor 'when'");
            return;
        }
        target = only->key->text;
    }
    const char *id = arena_text(forming->arena, kpi->key->text);
    struct yaml_node *rules = section(forming, "rules");
    if (!is_map(rules))
        return;
    const struct yaml_node *before = yaml_get(rules, id);
    if (before != NULL) {
        (void)finding_error_key(forming->findings, alert != NULL ? alert : kpi,
                                "there is a rule '%s' already", id);
        (void)finding_hint(forming->findings, "it is in line %u", before->key->line);
        return;
    }
    struct yaml_node *rule = yaml_make_map(forming->arena, kpi);
    if (target.len > 0)
        put_text(forming, rule, "target", target, kpi);
    else
        put_text(forming, rule, "kpi", kpi->key->text, kpi);
    for (size_t i = 0; ALERT_KEYS[i] != NULL; i++)
        move_key(forming, kpi, rule, ALERT_KEYS[i]);
    yaml_put(forming->arena, rules, id, rule);
}

static void form_kpi(const struct forming *forming, struct yaml_node *kpi)
{
    if (kpi->kind == YAML_KIND_TEXT && !kpi->is_bad) {
        struct yaml_node *value = yaml_copy(forming->arena, kpi);
        kpi->kind = YAML_KIND_MAP;
        kpi->items = NULL;
        kpi->count = 0;
        kpi->capacity = 0;
        yaml_put(forming->arena, kpi, "value", value);
    }
    if (is_map(kpi))
        form_inline_rule(forming, kpi, form_inline_target(forming, kpi));
}

/* What a rule does not say: its KPI's evaluate is in it already; defaults.hooks are put here. */
static void form_rule(const struct forming *forming, struct yaml_node *rule)
{
    struct yaml_node *hooks = yaml_get(yaml_get(forming->root, "defaults"), "hooks");

    if (!is_map(rule) || hooks == NULL || hooks->is_bad || yaml_get(rule, "hooks") != NULL)
        return;
    struct yaml_node *copy = yaml_copy(forming->arena, hooks);
    copy->is_made = true;
    yaml_put(forming->arena, rule, "hooks", copy);
}

void long_form(struct yaml_node *root, struct arena *arena, struct findings *findings)
{
    struct forming forming = {arena, findings, root};
    const struct yaml_node *kpis = yaml_get(root, "kpis");

    for (size_t i = 0; is_map(kpis) && i < kpis->count; i++)
        form_kpi(&forming, kpis->items[i]);
    const struct yaml_node *targets = yaml_get(root, "targets");
    for (size_t i = 0; is_map(targets) && i < targets->count; i++) {
        struct yaml_node *target = targets->items[i];
        if (!is_map(target) || (!target->is_bad && !form_kind(&forming, target)))
            target->is_bad = true;
    }
    const struct yaml_node *rules = yaml_get(root, "rules");
    for (size_t i = 0; is_map(rules) && i < rules->count; i++)
        form_rule(&forming, rules->items[i]);
}
