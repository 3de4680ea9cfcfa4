/* storage: where the data stays, and how long. */
#include "config/config_private.h"

enum { SIZE_MIN = 16 << 20 };

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

void load_storage(struct loader *loader)
{
    struct object storage = loader_section(loader, "storage");
    struct object dedupe = object_inside(&storage, "dedupe");
    struct object keep = object_inside(&storage, "keep");
    const struct retention defaults = {.minute = span_of(&keep, "bucket_1m"),
                                       .quarter = span_of(&keep, "bucket_15m"),
                                       .day = span_of(&keep, "day")};

    load_directory(loader, &storage);
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
