/* kpis: */
#include <string.h>

#include "config/config_private.h"

static span_ms longest_late(const struct formula_node *node)
{
    if (node == NULL)
        return 0;
    span_ms late = node->op == FORMULA_CALL && node->metric != NULL ? node->metric->late : 0;
    span_ms left = longest_late(node->left);
    span_ms right = longest_late(node->right);
    if (left > late)
        late = left;
    return right > late ? right : late;
}

static const char *title_of(const struct loader *loader, struct str id)
{
    char *title = arena_text(loader->arena, id);

    for (char *at = title; *at != '\0'; at++) {
        if (*at == '_' || *at == '-')
            *at = ' ';
    }
    return title;
}

static void fill_span(const struct loader *loader, const struct object *object, const char *key,
                      span_ms span)
{
    static const struct {
        span_ms span;
        const char *name;
    } units[] = {{MS_PER_DAY, "d"}, {MS_PER_HOUR, "h"}, {MS_PER_MINUTE, "m"}, {MS_PER_SECOND, "s"}};
    const char *name = "ms";

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (span % units[i].span == 0) {
            span /= units[i].span;
            name = units[i].name;
            break;
        }
    }
    const char *text = arena_printf(loader->arena, "%lld%s", (long long)span, name);
    object_fill(object, key, str_of(text), loader->arena);
}

static void fill_number(const struct loader *loader, const struct object *object, const char *key,
                        double number)
{
    char text[STR_DOUBLE_SIZE];

    object_fill(object, key, (struct str){text, str_format_double(number, text)}, loader->arena);
}

static bool load_unit(const struct loader *loader, const struct object *object, struct kpi *kpi)
{
    const struct yaml_node *node = object_find(object, "unit");
    struct error err = ERROR_EMPTY;

    if (node != NULL && !loader_unit(loader, node, &kpi->unit))
        return false;
    if (node == NULL && !targets_unit(loader, str_of(kpi->id), &kpi->formula, &kpi->unit))
        kpi->unit = kpi->formula.unit;
    object_fill(object, "unit", str_of(kpi->unit.name), loader->arena);
    if (!formula_set_unit(&kpi->formula, &kpi->unit, &err))
        return loader_report(loader, node != NULL ? node : object_find(object, "value"), &err);
    return true;
}

/* Why the KPI is a draft though nobody said so; what the table does not know is warned of here. */
static const char *draft_reason(const struct loader *loader, const struct object *object,
                                const struct kpi *kpi)
{
    const struct yaml_node *value = object_find(object, "value");
    const struct yaml_node *period = object_find(object, "period");
    const char *reason = check_draft_reason(object->node, object->schema, loader->arena);

    if (kpi->formula.not_built != NULL) {
        (void)finding_warning(loader->findings, value, "%s is not built yet: this KPI is a draft",
                              kpi->formula.not_built);
        if (reason == NULL)
            reason = arena_printf(loader->arena, "not built yet: %s", kpi->formula.not_built);
    }
    if (reason == NULL && period != NULL && period->is_later) /* of defaults.kpi */
        reason = arena_printf(loader->arena, "not built yet: period %.*s", STR_ARGS(period->text));
    return reason;
}

static void load_state(const struct loader *loader, const struct object *object, struct kpi *kpi)
{
    static const enum kpi_state states[] = {KPI_STATE_DRAFT, KPI_STATE_ACTIVE, KPI_STATE_PAUSED,
                                            KPI_STATE_RETIRED};
    static const char *const names[] = {"draft", "active", "paused", "retired", NULL};
    size_t index = 1;

    (void)schema_listed(names, object_text(object, "state"), &index);
    kpi->state = states[index];
    kpi->draft_reason = draft_reason(loader, object, kpi);
    if (kpi->draft_reason != NULL && kpi->state != KPI_STATE_RETIRED)
        kpi->state = KPI_STATE_DRAFT;
}

static enum period_kind read_period(const struct object *object)
{
    /* The fiscal ones make a draft; their length alone counts. */
    static const enum period_kind fiscal[] = {PERIOD_MONTH, PERIOD_QUARTER, PERIOD_HALF,
                                              PERIOD_YEAR};
    enum period_kind kind = PERIOD_DAY;
    struct str text = object_text(object, "period");

    if (period_kind_parse(text, &kind))
        return kind;
    int64_t index = object_whole(object, "period") - (PERIOD_YEAR + 1);
    return index >= 0 && index < 4 ? fiscal[index] : PERIOD_DAY;
}

/* Further formulas are checked though they are not shown yet. */
static void check_also(const struct loader *loader, const struct object *object)
{
    const struct yaml_node *also = object_find(object, "also");

    for (size_t i = 0; also != NULL && also->kind == YAML_KIND_MAP && i < also->count; i++) {
        struct formula formula;
        struct error err = ERROR_EMPTY;
        const struct yaml_node *node = also->items[i];
        if (!node->is_bad &&
            !formula_parse(node->text, &loader->config->metrics, loader->arena, &formula, &err))
            (void)loader_report(loader, node, &err);
    }
}

static void load_better(const struct loader *loader, const struct object *object, struct kpi *kpi)
{
    const struct yaml_node *node = object_find(object, "better");
    enum better follows = BETTER_UNSAID;

    for (size_t i = 0; i < kpi->target_count; i++) {
        enum better wants = kpi->targets[i].kind == TARGET_AT_LEAST ? BETTER_UP : BETTER_DOWN;
        follows = i == 0 || wants == follows ? wants : BETTER_UNSAID;
    }
    kpi->better = node == NULL ? follows : node->whole == 0 ? BETTER_UP : BETTER_DOWN;
    if (node == NULL && follows != BETTER_UNSAID)
        object_fill(object, "better", follows == BETTER_UP ? STR("up") : STR("down"),
                    loader->arena);
}

static void load_settling(const struct loader *loader, const struct object *object, struct kpi *kpi)
{
    span_ms late = longest_late(kpi->formula.root);

    kpi->settle = late > 0 ? late : 5 * (span_ms)MS_PER_MINUTE; /* FIG-29 */
    if (object_find(object, "settle") != NULL)
        kpi->settle = object_span(object, "settle");
    else
        fill_span(loader, object, "settle", kpi->settle);
    kpi->min_denominator = kpi->formula.min_denominator; /* STA-4 */
    if (object_find(object, "min_denominator") != NULL)
        kpi->min_denominator = object_number(object, "min_denominator");
    else
        fill_number(loader, object, "min_denominator", kpi->min_denominator);
    kpi->min_count = kpi->formula.min_count;
    if (object_find(object, "min_count") != NULL)
        kpi->min_count = object_number(object, "min_count");
    else
        fill_number(loader, object, "min_count", kpi->min_count);
}

static bool load_kpi(struct loader *loader, struct yaml_node *node, struct kpi *kpi)
{
    struct object object = loader_object(loader, node, "kpis", "kpi");
    struct yaml_node *value = object_find(&object, "value");
    struct error err = ERROR_EMPTY;

    kpi->id = arena_text(loader->arena, node->key->text);
    check_also(loader, &object);
    kpi->calendar = loader_calendar_of(loader, &object, "calendar");
    if (value == NULL)
        return false;
    if (!formula_parse(value->text, &loader->config->metrics, loader->arena, &kpi->formula, &err))
        return loader_report(loader, value, &err);
    if (!load_unit(loader, &object, kpi))
        return false;
    object_fill(&object, "title", str_of(title_of(loader, node->key->text)), loader->arena);
    kpi->title = object_copy(&object, "title", loader->arena);
    kpi->define = object_copy(&object, "define", loader->arena);
    kpi->why = object_copy(&object, "why", loader->arena);
    kpi->owner = object_copy(&object, "owner", loader->arena);
    kpi->period = read_period(&object);
    load_state(loader, &object, kpi);
    load_settling(loader, &object, kpi);
    load_targets(loader, kpi);
    load_better(loader, &object, kpi);
    return true;
}

void load_kpis(struct loader *loader)
{
    struct yaml_node *node = NULL;
    size_t at = 0;

    loader->kpis =
        arena_array(loader->arena, loader_count(loader, "kpis") + 1, sizeof *loader->kpis);
    while ((node = loader_next(loader, "kpis", &at)) != NULL) {
        struct kpi *kpi = &loader->kpis[loader->kpi_count];
        memset(kpi, 0, sizeof *kpi);
        if (load_kpi(loader, node, kpi))
            loader->kpi_count++;
    }
    loader->config->kpis =
        (struct kpi_set){loader->kpis, loader->kpi_count, &loader->config->metrics};
}
