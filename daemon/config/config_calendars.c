/* calendars: and organisation.calendar */
#include "config/config_private.h"

enum { EXTENDS_MAX = 8 };

static void keep_calendar(struct loader *loader, struct calendar *calendar)
{
    struct config *config = loader->config;

    config->calendars = arena_grow(loader->arena, config->calendars, config->calendar_count,
                                   &config->calendar_capacity, sizeof(struct calendar *));
    config->calendars[config->calendar_count++] = calendar;
}

static struct calendar *make_calendar(struct loader *loader, struct str zone, int week_start,
                                      struct error *err)
{
    struct calendar *calendar = calendar_new(zone, week_start, err);

    if (calendar != NULL)
        keep_calendar(loader, calendar);
    return calendar;
}

const struct calendar *loader_calendar(struct loader *loader, struct str zone, int week_start,
                                       struct error *err)
{
    const struct config *config = loader->config;

    for (size_t i = 0; i < config->calendar_count; i++) {
        if (str_is(zone, calendar_zone(config->calendars[i])) &&
            calendar_week_start(config->calendars[i]) == week_start)
            return config->calendars[i];
    }
    return make_calendar(loader, zone, week_start, err);
}

const struct calendar *loader_calendar_of(const struct loader *loader, const struct object *object,
                                          const char *key)
{
    const struct yaml_node *node = object_find(object, key);

    if (node == NULL || !loader_refer(loader, node, "calendars", "calendar"))
        return loader->config->calendar;
    const struct calendar *found = table_find(&loader->calendars_by_id, node->text);
    return found != NULL ? found : loader->config->calendar; /* a broken one was reported */
}

/* The node of a key of the calendar, or of the first one it extends that has it. */
static const struct yaml_node *inherited(const struct loader *loader, struct yaml_node *node,
                                         const char *key)
{
    for (unsigned depth = 0; node != NULL && !node->is_bad; depth++) {
        struct object object = object_of(node, "calendars");
        const struct yaml_node *found = object_find(&object, key);
        const struct yaml_node *extends = object_find(&object, "extends");
        if (found != NULL || extends == NULL)
            return found;
        if (depth == EXTENDS_MAX) {
            (void)finding_error(loader->findings, extends,
                                "calendars extend each other more than %d deep", EXTENDS_MAX);
            return NULL;
        }
        if (!loader_refer(loader, extends, "calendars", "calendar"))
            return NULL;
        node = yaml_find(yaml_get(loader->root, "calendars"), extends->text);
    }
    return NULL;
}

static void load_calendar(struct loader *loader, struct yaml_node *node)
{
    struct error err = ERROR_EMPTY;
    const struct yaml_node *extends = yaml_get(node, "extends");
    size_t errors = loader->findings->errors;
    const struct yaml_node *zone = inherited(loader, node, "timezone");

    if (zone == NULL) {
        if (loader->findings->errors == errors) {
            (void)finding_error_key(loader->findings, node, "'timezone' is missing");
            (void)finding_hint(loader->findings, "%s",
                               extends == NULL ? "as timezone: Europe/Berlin"
                                               : "the calendar it extends has none either");
        }
        return;
    }
    const struct yaml_node *week = inherited(loader, node, "week_start");
    struct calendar *calendar =
        make_calendar(loader, zone->text, week == NULL ? 1 : (int)week->whole + 1, &err);
    if (calendar == NULL) {
        if (zone->parent == node) /* else it is reported where it stands */
            (void)loader_report(loader, zone, &err);
        return;
    }
    (void)table_add(&loader->calendars_by_id, node->key->text, calendar);
}

/* Nothing names a default: the host's zone, weeks from Monday; in the tree so that it is printed.
 */
static void make_default(struct loader *loader)
{
    struct error err = ERROR_EMPTY;
    const struct calendar *calendar = make_calendar(loader, STR_EMPTY, 1, &err);

    if (calendar == NULL)
        calendar = make_calendar(loader, STR("UTC"), 1, &err);
    loader->config->calendar = calendar;
    if (calendar == NULL) {
        (void)loader_report(loader, loader->root, &err);
        return;
    }
    struct yaml_node *calendars = yaml_get(loader->root, "calendars");
    if (calendars == NULL) {
        calendars = yaml_make_map(loader->arena, loader->root);
        yaml_put(loader->arena, loader->root, "calendars", calendars);
    }
    if (calendars->kind != YAML_KIND_MAP || yaml_get(calendars, "default") != NULL)
        return;
    struct yaml_node *made = yaml_make_map(loader->arena, loader->root);
    yaml_put(loader->arena, made, "timezone",
             yaml_make_text(loader->arena, str_of(calendar_zone(calendar)), loader->root));
    yaml_put(loader->arena, calendars, "default", made);
}

void load_calendars(struct loader *loader)
{
    struct object organisation = object_of(yaml_get(loader->root, "organisation"), "organisation");
    const struct yaml_node *named = object_find(&organisation, "calendar");
    struct yaml_node *node = NULL;
    size_t at = 0;

    while ((node = loader_next(loader, "calendars", &at)) != NULL)
        load_calendar(loader, node);
    if (named != NULL && loader_refer(loader, named, "calendars", "calendar"))
        loader->config->calendar = table_find(&loader->calendars_by_id, named->text);
    else if (named == NULL)
        loader->config->calendar = table_find(&loader->calendars_by_id, STR("default"));
    if (loader->config->calendar == NULL)
        make_default(loader);
    loader->config->ingest.calendar = loader->config->calendar;
}
