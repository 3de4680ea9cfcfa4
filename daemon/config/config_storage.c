/* storage: where the data stays, and how long; and what kpid stores of itself. */
#include <string.h>

#include "config/config_private.h"
#include "store/own_metrics.h"

enum { SIZE_MIN = 16 << 20 };

#define CHURN_MIN_MS (INT64_C(7) * MS_PER_DAY)

/* A level that is kept for a shorter time than what it is made of would leave a gap in between. */
static void check_order(const struct loader *loader, const struct object *keep,
                        const struct retention *out)
{
    static const char *const keys[] = {"bucket_1m", "bucket_15m", "day"};
    const span_ms spans[] = {out->minute, out->quarter, out->day};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct yaml_node *node = object_find(keep, keys[i]);
        const struct yaml_node *finer = i == 0 ? NULL : object_find(keep, keys[i - 1]);
        if (node != NULL && spans[i] != 0 && spans[i] < MS_PER_DAY)
            (void)finding_error(loader->findings, node, "%s is at least 1d", keys[i]);
        if (i == 0 || (node == NULL && finer == NULL) || spans[i] == 0)
            continue;
        if (spans[i - 1] == 0 || spans[i - 1] > spans[i]) {
            (void)finding_error(loader->findings, node != NULL ? node : finer,
                                "%s is kept for less than %s", keys[i], keys[i - 1]);
            (void)finding_hint(loader->findings,
                               "what is finer takes more room and is dropped first");
        }
    }
}

/* A word stands for no span: "forever". */
static span_ms span_of(const struct object *keep, const char *key)
{
    span_ms span = object_span(keep, key);
    return span < 0 ? 0 : span;
}

void load_keep(const struct loader *loader, const struct object *keep,
               const struct retention *fallback, struct retention *out)
{
    *out = *fallback;
    if (object_find(keep, "bucket_1m") != NULL)
        out->minute = span_of(keep, "bucket_1m");
    if (object_find(keep, "bucket_15m") != NULL)
        out->quarter = span_of(keep, "bucket_15m");
    if (object_find(keep, "day") != NULL)
        out->day = span_of(keep, "day");
    check_order(loader, keep, out);
}

static void load_directory(const struct loader *loader, const struct object *storage)
{
    struct store_options *store = &loader->config->store;
    struct yaml_node *path = object_find(storage, "path");
    int64_t size = object_whole(storage, "max_size");

    if (path != NULL)
        loader_anchor(loader, path, 0);
    store->path = object_copy(storage, "path", loader->arena);
    if (store->path == NULL) {
        store->path = loader_directory(loader, "STATE_DIRECTORY", "/var/lib/kpid");
        object_fill(storage, "path", str_of(store->path), loader->arena);
    }
    if (size < SIZE_MIN)
        (void)finding_error(loader->findings, object_find(storage, "max_size"),
                            "max_size is at least 16M");
    store->max_size_bytes = (uint64_t)size;
}

/* --- series that come no more --- */

static bool node_names(const struct formula_node *node, struct str metric)
{
    if (node == NULL)
        return false;
    if (node->op == FORMULA_CALL && str_equal(node->selector.metric, metric))
        return true;
    return node_names(node->left, metric) || node_names(node->right, metric);
}

/* Of what is not built yet only the text is there: a name anywhere in it is enough. */
static bool is_named(struct str metric, void *arg)
{
    const struct kpi_set *kpis = arg;

    for (size_t i = 0; i < kpis->count; i++) {
        const struct formula *formula = &kpis->kpis[i].formula;
        if (node_names(formula->root, metric))
            return true;
        if (formula->not_built != NULL && formula->text != NULL &&
            memmem(formula->text, strlen(formula->text), metric.text, metric.len) != NULL)
            return true;
    }
    return false;
}

static void load_churn(const struct loader *loader, const struct object *storage)
{
    struct upkeep_options *upkeep = &loader->config->upkeep;

    upkeep->churn_after = span_of(storage, "churn_after");
    upkeep->is_named = is_named;
    upkeep->is_named_arg = &loader->config->kpis;
    if (upkeep->churn_after != 0 && upkeep->churn_after < CHURN_MIN_MS)
        (void)finding_error(loader->findings, object_find(storage, "churn_after"),
                            "churn_after is at least 7d");
}

/* --- what kpid says of itself --- */

static bool names_own(const struct formula_node *node)
{
    if (node == NULL)
        return false;
    if (node->op == FORMULA_CALL && own_metrics_has(node->selector.metric))
        return true;
    return names_own(node->left) || names_own(node->right);
}

/* Posted when somebody wants them: nobody else has series that no client has sent. */
void load_own_metrics(struct loader *loader)
{
    const struct kpi_set *kpis = &loader->config->kpis;
    struct object server = loader_section(loader, "server");
    bool is_wanted = object_bool(&server, "own_metrics");

    if (object_find(&server, "own_metrics") == NULL) {
        for (size_t i = 0; i < kpis->count && !is_wanted; i++)
            is_wanted = names_own(kpis->kpis[i].formula.root);
        object_fill(&server, "own_metrics", str_of(is_wanted ? "true" : "false"), loader->arena);
    }
    loader->config->own_metrics = is_wanted;
}

void load_storage(struct loader *loader)
{
    struct object storage = loader_section(loader, "storage");
    struct object dedupe = object_inside(&storage, "dedupe");
    struct object keep = object_inside(&storage, "keep");
    const struct retention defaults = {.minute = span_of(&keep, "bucket_1m"),
                                       .quarter = span_of(&keep, "bucket_15m"),
                                       .day = span_of(&keep, "day")};

    load_directory(loader, &storage);
    load_churn(loader, &storage);
    load_keep(loader, &keep, &defaults, &loader->config->upkeep.keep);
    loader->config->ingest.shard_limits.max_future = object_span(&dedupe, "max_future");
    loader->config->ingest.shard_limits.max_past = object_span(&dedupe, "max_past");
}

void load_day_calendars(struct loader *loader)
{
    struct config *config = loader->config;
    const struct calendar **days =
        arena_array(loader->arena, config->calendar_count + 1, sizeof(struct calendar *));

    for (size_t i = 0; i < config->calendar_count; i++) {
        const char *zone = calendar_zone(config->calendars[i]);
        size_t at = 0;
        while (at < config->upkeep.calendar_count && !str_is(str_of(zone), calendar_zone(days[at])))
            at++;
        if (at == config->upkeep.calendar_count)
            days[config->upkeep.calendar_count++] = config->calendars[i];
    }
    config->upkeep.calendars = days;
}
