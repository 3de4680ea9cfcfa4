/* targets:, read with the KPI they are for: their numbers are in its unit. */
#include <math.h>
#include <string.h>

#include "config/config_private.h"

enum target_choice {
    CHOICE_AT_LEAST,
    CHOICE_AT_MOST,
    CHOICE_BETWEEN,
    CHOICE_HOLD,
    CHOICE_INCREASE
};

/* The next target of a KPI; `*at` starts at 0. */
static struct yaml_node *next_target(const struct loader *loader, struct str kpi, size_t *at)
{
    struct yaml_node *node = NULL;

    while ((node = loader_next(loader, "targets", at)) != NULL) {
        const struct yaml_node *of = yaml_get(node, "kpi");
        if (of != NULL && str_equal(of->text, kpi))
            return node;
    }
    return NULL;
}

bool targets_unit(const struct loader *loader, struct str kpi, const struct formula *formula,
                  struct unit *out)
{
    struct yaml_node *node = NULL;
    size_t at = 0;

    while ((node = next_target(loader, kpi, &at)) != NULL) {
        const struct yaml_node *to = yaml_get(node, "to");
        struct unit_number number;
        struct error err = ERROR_EMPTY;
        if (to == NULL || to->kind != YAML_KIND_TEXT ||
            !unit_read_number(to->text, &formula->unit, &number, &err) || number.is_signed ||
            number.unit.name[0] == '\0')
            continue;
        bool is_percent = number.unit.dimension == DIMENSION_RATIO;
        if (is_percent ? formula->is_quotient : formula->unit.dimension == DIMENSION_ANY) {
            *out = number.unit;
            return true;
        }
    }
    return false;
}

static bool read_number(const struct loader *loader, const struct yaml_node *node,
                        const struct kpi *kpi, double *out, bool *relative)
{
    struct error err = ERROR_EMPTY;

    return unit_parse_number(node->text, &kpi->unit, out, relative, &err) ||
           loader_report(loader, node, &err);
}

/* Numbers that this version does not use are checked all the same. */
static void check_numbers(const struct loader *loader, const struct object *object,
                          const struct kpi *kpi)
{
    static const char *const keys[] = {"from", "commit"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct yaml_node *node = object_find(object, keys[i]);
        double number = 0;
        bool relative = false;
        if (node != NULL && node->kind == YAML_KIND_MAP)
            node = yaml_get(node, "value");
        if (node != NULL && node->kind == YAML_KIND_TEXT && !node->is_bad)
            (void)read_number(loader, node, kpi, &number, &relative);
    }
}

/* STA-5: a share of the number, for % figures of the smaller of n and 100 - n; or a number in the
 * KPI's unit. */
static void load_tolerance(const struct loader *loader, const struct object *object,
                           const struct kpi *kpi, struct target *target)
{
    struct str text = object_text(object, "tolerance");
    const struct yaml_node *node = object_find(object, "tolerance");
    bool relative = false;

    if (text.len > 0 && text.text[text.len - 1] == '%') {
        double percent = 0;
        double base = fabs(target->to);
        if (!str_parse_double((struct str){text.text, text.len - 1}, &percent) || percent < 0) {
            (void)finding_error(loader->findings, node, "'%.*s' is not a tolerance",
                                STR_ARGS(text));
            return;
        }
        if (kpi->unit.dimension == DIMENSION_RATIO && fabs(1 - target->to) < base)
            base = fabs(1 - target->to);
        target->tolerance = base * percent / 100;
        return;
    }
    if (read_number(loader, node, kpi, &target->tolerance, &relative))
        target->tolerance = fabs(target->tolerance);
}

static void load_thresholds(const struct loader *loader, const struct object *object,
                            struct target *target)
{
    struct object thresholds = object_inside(object, "thresholds");

    target->on_track = object_number(&thresholds, "on_track");
    target->at_risk = object_number(&thresholds, "at_risk");
    if (target->at_risk > target->on_track)
        (void)finding_error(loader->findings, thresholds.node,
                            "at_risk begins above on_track: %g is more than %g", target->at_risk,
                            target->on_track);
}

static void load_to(const struct loader *loader, const struct object *object, const struct kpi *kpi,
                    int64_t kind, struct target *target)
{
    struct yaml_node *to = object_find(object, "to");
    bool relative = false;
    bool wants_two = kind == CHOICE_BETWEEN;

    if (to == NULL)
        return;
    if (object_count(to) != (wants_two ? 2 : 1) || (wants_two && to->kind != YAML_KIND_LIST)) {
        (void)finding_error(loader->findings, to, "%s",
                            wants_two ? "between is [low, high]" : "one number is expected");
        return;
    }
    for (size_t i = 0; i < object_count(to); i++) {
        struct yaml_node *item = object_item(to, i);
        if (item->is_bad || !read_number(loader, item, kpi, &target->to, &relative))
            return;
    }
    if (relative && target->not_built == NULL) {
        target->not_built = "not built yet: relative numbers";
        (void)finding_warning(loader->findings, to,
                              "relative numbers are not built yet: this target is a draft");
    }
}

static void load_target(const struct loader *loader, struct yaml_node *node, struct kpi *kpi,
                        struct target *target)
{
    struct object object = loader_object(loader, node, "targets", NULL);
    int64_t kind = object_whole(&object, "kind");
    struct str state = object_text(&object, "state");

    memset(target, 0, sizeof *target);
    target->id = arena_text(loader->arena, node->key->text);
    target->kind = kind == CHOICE_AT_LEAST || kind == CHOICE_HOLD || kind == CHOICE_INCREASE
                       ? TARGET_AT_LEAST
                       : TARGET_AT_MOST;
    const struct yaml_node *kind_node = object_find(&object, "kind");
    target->not_built =
        kind_node != NULL && kind_node->is_later
            ? arena_printf(loader->arena, "not built yet: %.*s", STR_ARGS(kind_node->text))
            : check_draft_reason(node, object.schema, loader->arena);
    target->retired = str_is(state, "retired");
    if (target->not_built == NULL && str_is(state, "draft"))
        target->not_built = "declared a draft";
    target->every = kpi->period;
    if (object_find(&object, "every") != NULL)
        (void)period_kind_parse(object_text(&object, "every"), &target->every);
    else if (target->not_built == NULL)
        object_fill(&object, "every", str_of(period_kind_name(kpi->period)), loader->arena);
    target->strict = object_bool(&object, "strict");
    load_to(loader, &object, kpi, kind, target);
    check_numbers(loader, &object, kpi);
    load_tolerance(loader, &object, kpi, target);
    load_thresholds(loader, &object, target);
}

/* A direction that a person gave and a target that asks for the other one. */
static void check_direction(const struct loader *loader, const struct yaml_node *target_node,
                            const struct kpi *kpi, const struct target *target)
{
    const struct yaml_node *kpi_node = yaml_find(yaml_get(loader->root, "kpis"), str_of(kpi->id));
    const struct yaml_node *better = yaml_get(kpi_node, "better");

    if (better == NULL || better->is_bad || better->is_made)
        return;
    bool wants_up = target->kind == TARGET_AT_LEAST;
    if (str_is(better->text, "up") == wants_up)
        return;
    const struct yaml_node *kind = yaml_get(target_node, "kind");
    if (str_is(kind->text, "between") || str_is(kind->text, "hold"))
        return;
    (void)finding_warning_key(loader->findings, target_node,
                              "'%.*s' asks for %s, but better is %.*s", STR_ARGS(kind->text),
                              wants_up ? "more" : "less", STR_ARGS(better->text));
}

void load_targets(struct loader *loader, struct kpi *kpi)
{
    struct yaml_node *node = NULL;
    size_t at = 0;
    size_t count = 0;

    while (next_target(loader, str_of(kpi->id), &at) != NULL)
        count++;
    struct target *targets = arena_array(loader->arena, count + 1, sizeof *targets);
    at = 0;
    count = 0;
    while ((node = next_target(loader, str_of(kpi->id), &at)) != NULL) {
        load_target(loader, node, kpi, &targets[count]);
        check_direction(loader, node, kpi, &targets[count]);
        count++;
    }
    kpi->targets = targets;
    kpi->target_count = count;
}

void check_targets(struct loader *loader)
{
    struct yaml_node *node = NULL;
    size_t at = 0;

    while ((node = loader_next(loader, "targets", &at)) != NULL) {
        const struct yaml_node *of = yaml_get(node, "kpi");
        if (of != NULL && !of->is_bad)
            (void)loader_refer(loader, of, "kpis", "KPI");
    }
}
