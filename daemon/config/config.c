#include "config/config.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "config/check.h"
#include "config/config_private.h"
#include "config/long_form.h"

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->calendar_count; i++)
        calendar_free(config->calendars[i]);
    for (size_t i = 0; i < config->tls_count; i++)
        tls_release(config->tls[i]);
    table_fini(&config->metrics.by_name);
    mapping_free(config->mapping);
    arena_fini(&config->arena);
    free(config);
}

/* Tree -> structs. Everything is read even when there are mistakes, so that all are told. */
static void build(struct config *config, struct yaml_node *root, struct findings *findings)
{
    struct loader loader = {
        .config = config, .arena = &config->arena, .findings = findings, .root = root};

    config->tree = root;
    check_tree(root, findings);
    long_form(root, &config->arena, findings);
    load_server(&loader);
    load_storage(&loader);
    load_ingest(&loader);
    load_calendars(&loader);
    if (config->calendar != NULL) {
        load_day_calendars(&loader);
        load_schedules(&loader);
        load_metrics(&loader);
        load_mapping(&loader);
        load_kpis(&loader);
        load_own_metrics(&loader);
        check_targets(&loader);
        load_hooks(&loader);
        load_rules(&loader);
        load_evaluations(&loader);
    }
    table_fini(&loader.calendars_by_id);
}

static struct config *finish(struct config *config, const struct sources *sources,
                             struct findings *findings)
{
    const char *files[INCLUDE_FILES_MAX];

    for (size_t i = 0; i < sources->count; i++)
        files[i] = sources->files[i].path;
    findings_sort(findings, files, sources->count);
    config->hash = sources->hash;
    if (findings->errors == 0)
        return config;
    config_free(config);
    return NULL;
}

struct config *config_load(const char *path, struct findings *findings)
{
    struct config *config = memory_zero(1, sizeof *config);
    struct sources sources;
    struct yaml_node *root = include_read(path, &config->arena, &sources, findings);

    config->path = arena_text(&config->arena, str_of(path));
    if (root != NULL)
        build(config, root, findings);
    return finish(config, &sources, findings);
}

struct config *config_load_text(struct str text, const char *name, struct findings *findings)
{
    struct config *config = memory_zero(1, sizeof *config);
    struct source file = {arena_text(&config->arena, str_of(name)), 0, 0};
    struct sources sources = {&file, 1, 1, XXH3_64bits(text.text, text.len)};

    config->path = file.path;
    struct yaml_node *root = yaml_read(text, file.path, &config->arena, findings);
    const struct yaml_node *include = yaml_get(root, "include");
    if (include != NULL)
        (void)finding_error_key(findings, include, "a text includes nothing");
    if (root != NULL)
        build(config, root, findings);
    return finish(config, &sources, findings);
}

/* --- reload ------------------------------------------------------------------------------------
 */

static void say(struct buf *changes, const char *key)
{
    if (changes->len > 0)
        buf_text(changes, ", ");
    buf_text(changes, key);
}

static void keep_text(struct config *fresh, const char **value, const char *old, const char *key,
                      struct buf *changes)
{
    if (*value != old && (*value == NULL || old == NULL || strcmp(*value, old) != 0))
        say(changes, key);
    *value = old == NULL ? NULL : arena_text(&fresh->arena, str_of(old));
}

/* An address that stays keeps those who may speak there: what the new configuration says of them is
 * said of another one. */
static void keep_http(struct config *fresh, const struct config *old, struct buf *changes)
{
    struct http_config *http = &fresh->http;
    size_t before = changes->len;

    keep_text(fresh, &http->listen, old->http.listen, "server.http.listen", changes);
    if (changes->len == before)
        return;
    struct network *allow = arena_array(&fresh->arena, old->http.allow_count + 1, sizeof *allow);
    for (size_t i = 0; i < old->http.allow_count; i++)
        allow[i] = old->http.allow[i];
    http->allow = allow;
    http->allow_count = old->http.allow_count;
    http->tokens = old->http.tokens;
    http->tls = tls_keep(old->http.tls);
    if (http->tls != NULL) {
        fresh->tls = arena_grow(&fresh->arena, fresh->tls, fresh->tls_count, &fresh->tls_capacity,
                                sizeof(struct tls *));
        fresh->tls[fresh->tls_count++] = http->tls;
    }
}

void config_keep_started(struct config *fresh, const struct config *old, struct buf *changes)
{
    keep_text(fresh, &fresh->control_path, old->control_path, "server.control", changes);
    keep_http(fresh, old, changes);
    if (fresh->threads != old->threads)
        say(changes, "server.threads");
    fresh->threads = old->threads;
    keep_text(fresh, &fresh->store.path, old->store.path, "storage.path", changes);
    if (fresh->store.max_size_bytes != old->store.max_size_bytes)
        say(changes, "storage.max_size");
    fresh->store.max_size_bytes = old->store.max_size_bytes;
}
