/* schedules:, and the value of every key that takes a schedule. */
#include <string.h>

#include "config/config_private.h"

static bool is_name(struct str text)
{
    return check_is_id(text);
}

static const struct schedule *find_schedule(const struct loader *loader, const char *id)
{
    for (size_t i = 0; i < loader->schedule_count; i++) {
        if (strcmp(loader->schedules[i]->id, id) == 0)
            return loader->schedules[i];
    }
    return NULL;
}

static const struct schedule *keep(struct loader *loader, struct schedule *schedule, const char *id)
{
    schedule->id = id;
    loader->schedules = arena_grow(loader->arena, loader->schedules, loader->schedule_count,
                                   &loader->schedule_capacity, sizeof(struct schedule *));
    loader->schedules[loader->schedule_count++] = schedule;
    return schedule;
}

/* Zones matter to cron lines and to spans of whole days; all others are the same everywhere. */
static bool is_civil(const struct schedule *schedule)
{
    return schedule->kind == SCHEDULE_CRON || schedule->every % MS_PER_DAY == 0;
}

/* The id of a schedule without a name: its text, with the zone where that is not the default. */
static const char *text_id(const struct loader *loader, const struct schedule *schedule)
{
    const char *zone = calendar_zone(schedule->calendar);
    bool is_plain = !is_civil(schedule) || strcmp(schedule->text, "") == 0 ||
                    schedule->calendar == loader->config->calendar ||
                    cron_zone(str_of(schedule->text)).len > 0;

    return is_plain ? schedule->text : arena_printf(loader->arena, "%s (%s)", schedule->text, zone);
}

/* `id` NULL: one of that text may be there already. */
static const struct schedule *parse(struct loader *loader, struct str text,
                                    const struct calendar *calendar, const char *id,
                                    struct error *err)
{
    struct schedule *schedule = arena_alloc(loader->arena, sizeof *schedule);
    struct str zone = cron_zone(text);

    if (zone.len > 0) {
        calendar = loader_calendar(loader, zone, 1, err);
        if (calendar == NULL)
            return NULL;
    }
    if (!schedule_parse(text, calendar, loader->arena, schedule, err))
        return NULL;
    if (id == NULL) {
        id = text_id(loader, schedule);
        const struct schedule *before = find_schedule(loader, id);
        if (before != NULL)
            return before;
    }
    return keep(loader, schedule, id);
}

static const struct schedule *parse_node(struct loader *loader, struct yaml_node *node,
                                         const struct calendar *calendar, const char *id,
                                         bool *not_built)
{
    struct error err = ERROR_EMPTY;
    const struct schedule *found = parse(loader, node->text, calendar, id, &err);

    if (found != NULL)
        return found;
    *not_built = err.kind == ERROR_UNAVAILABLE;
    if (*not_built)
        (void)finding_warning(loader->findings, node, "%s: what runs on it never runs", err.text);
    else
        (void)loader_report(loader, node, &err);
    return NULL;
}

/* { cron: ..., timezone: ... } */
static const struct schedule *parse_map(struct loader *loader, struct yaml_node *node,
                                        const struct calendar *calendar, const char *id,
                                        bool *not_built)
{
    struct object object = {node, NULL, &SCHEMA_SCHEDULE_MAP};
    struct yaml_node *cron = object_find(&object, "cron");
    struct yaml_node *every = object_find(&object, "every");
    const struct yaml_node *zone = object_find(&object, "timezone");
    int kinds = (cron != NULL) + (every != NULL) + (object_find(&object, "at") != NULL);
    struct error err = ERROR_EMPTY;

    if (kinds != 1) {
        (void)finding_error_key(loader->findings, node,
                                "a schedule has exactly one of cron, every and at");
        return NULL;
    }
    if (zone != NULL) {
        calendar = loader_calendar(loader, zone->text, 1, &err);
        if (calendar == NULL) {
            (void)loader_report(loader, zone, &err);
            return NULL;
        }
    }
    if (check_draft_reason(node, object.schema, loader->arena) != NULL) {
        *not_built = true; /* the warning is given */
        return NULL;
    }
    if (cron != NULL)
        return parse_node(loader, cron, calendar, id, not_built);
    if (every == NULL)
        return NULL; /* `at`, which is not built: it was said above */
    struct yaml_node text = *every;
    text.origin = every;
    if (!str_starts_with(every->text, "every "))
        text.text = str_of(arena_printf(loader->arena, "every %.*s", STR_ARGS(every->text)));
    text.is_clean = false;
    return parse_node(loader, &text, calendar, id, not_built);
}

const struct schedule *loader_schedule(struct loader *loader, struct yaml_node *node,
                                       const struct calendar *calendar, bool *not_built)
{
    *not_built = false;
    if (node->kind == YAML_KIND_MAP)
        return parse_map(loader, node, calendar, NULL, not_built);
    if (!is_name(node->text))
        return parse_node(loader, node, calendar, NULL, not_built);
    if (!loader_refer(loader, node, "schedules", "schedule")) {
        if (loader->findings->items != NULL && loader_count(loader, "schedules") == 0)
            (void)finding_hint(loader->findings, "write a cron line in quotes, or \"every 1m\"");
        return NULL;
    }
    const struct schedule *found = find_schedule(loader, arena_text(loader->arena, node->text));
    *not_built = found == NULL; /* a broken one was reported */
    return found;
}

const struct schedule *loader_schedule_text(struct loader *loader, const char *text,
                                            const struct calendar *calendar)
{
    struct error err = ERROR_EMPTY;

    return parse(loader, str_of(text), calendar, NULL, &err);
}

void load_schedules(struct loader *loader)
{
    struct yaml_node *node = NULL;
    size_t at = 0;

    while ((node = loader_next(loader, "schedules", &at)) != NULL) {
        const char *id = arena_text(loader->arena, node->key->text);
        bool not_built = false;
        if (node->kind == YAML_KIND_MAP)
            (void)parse_map(loader, node, loader->config->calendar, id, &not_built);
        else
            (void)parse_node(loader, node, loader->config->calendar, id, &not_built);
    }
}
