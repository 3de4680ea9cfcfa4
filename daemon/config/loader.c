/* What all readers use: references, places of mistakes, secrets. */
#include <string.h>

#include "config/config_private.h"
#include "config/secret.h"

struct yaml_node *loader_next(const struct loader *loader, const char *section, size_t *at)
{
    const struct yaml_node *map = yaml_get(loader->root, section);

    while (map != NULL && !map->is_bad && map->kind != YAML_KIND_TEXT && *at < map->count) {
        struct yaml_node *node = map->items[(*at)++];
        if (!node->is_bad)
            return node;
    }
    return NULL;
}

size_t loader_count(const struct loader *loader, const char *section)
{
    const struct yaml_node *map = yaml_get(loader->root, section);

    return map == NULL || map->kind == YAML_KIND_TEXT ? 0 : map->count;
}

struct object loader_object(const struct loader *loader, struct yaml_node *node,
                            const char *section, const char *defaults)
{
    struct object object = object_of(node, section);

    if (defaults != NULL)
        object.defaults = yaml_get(yaml_get(loader->root, "defaults"), defaults);
    return object;
}

/* --- references --------------------------------------------------------------------------------
 */

static const char *nearest_id(const struct loader *loader, struct str word, const char *section)
{
    enum { IDS_MAX = 1000 };
    const char *ids[IDS_MAX];
    size_t count = 0;
    const struct yaml_node *map = yaml_get(loader->root, section);

    for (size_t i = 0; map != NULL && i < map->count && count < IDS_MAX; i++) {
        if (map->items[i]->key != NULL)
            ids[count++] = map->items[i]->key->text.text;
    }
    return str_nearest(word, ids, count);
}

bool loader_refer(const struct loader *loader, const struct yaml_node *node, const char *section,
                  const char *what)
{
    char quoted[STR_QUOTED_SIZE];

    if (yaml_find(yaml_get(loader->root, section), node->text) != NULL)
        return true;
    (void)finding_error(loader->findings, node, "unknown %s '%s'", what,
                        str_quoted(node->text, quoted));
    const char *near = nearest_id(loader, node->text, section);
    if (near != NULL)
        return finding_hint(loader->findings, "did you mean '%s'?", near);
    if (loader_count(loader, section) == 0)
        return finding_hint(loader->findings, "there is no section '%s'", section);
    return false;
}

/* --- mistakes inside a text --------------------------------------------------------------------
 */

/* The column at the start of a parser's error, 0 without one; `*rest` is what follows it. */
static unsigned take_column(const char *text, const char **rest)
{
    static const char start[] = "column ";
    unsigned column = 0;

    *rest = text;
    if (strncmp(text, start, sizeof start - 1) != 0)
        return 0;
    const char *at = text + sizeof start - 1;
    for (; *at >= '0' && *at <= '9' && column < 100000; at++)
        column = column * 10 + (unsigned)(*at - '0');
    if (column == 0 || at[0] != ':' || at[1] != ' ')
        return 0;
    *rest = at + 2;
    return column;
}

bool loader_report(const struct loader *loader, const struct yaml_node *node,
                   const struct error *err)
{
    const char *rest = NULL;
    unsigned column = take_column(err->text, &rest);

    if (column > 0 && node->is_clean) {
        struct yaml_node place = *node;
        place.origin = node; /* its path */
        place.column += column - 1 + (node->plain ? 0 : 1);
        (void)finding_error(loader->findings, &place, "%s", rest);
    } else {
        (void)finding_error(loader->findings, node, "%s", err->text);
    }
    if (err->hint[0] != '\0')
        (void)finding_hint(loader->findings, "%s", err->hint);
    return false;
}

/* --- paths -------------------------------------------------------------------------------------
 */

void loader_anchor(const struct loader *loader, struct yaml_node *node, size_t skip)
{
    const char *slash = strrchr(node->file, '/');
    struct str scheme = {node->text.text, skip};
    struct str path = {node->text.text + skip, node->text.len - skip};

    if (slash == NULL || path.len == 0 || path.text[0] == '/')
        return;
    struct str folder = {node->file, (size_t)(slash - node->file) + 1};
    node->text = str_of(arena_printf(loader->arena, "%.*s%.*s%.*s", STR_ARGS(scheme),
                                     STR_ARGS(folder), STR_ARGS(path)));
}

/* --- secrets -----------------------------------------------------------------------------------
 */

typedef bool (*secret_fn)(enum secret_source source, struct str name, struct arena *arena,
                          struct str *out, struct error *err);

static bool read_secret(const struct loader *loader, struct yaml_node *node, secret_fn read,
                        struct str *out)
{
    static const char *const sources[] = {"file", "env", "credential"};
    struct error err = ERROR_EMPTY;

    if (node->count != 1) {
        (void)finding_error(loader->findings, node, "a secret has one source");
        return finding_hint(loader->findings,
                            "write { env: NAME }, { file: PATH } or { credential: NAME }");
    }
    struct yaml_node *named = node->items[0];
    if (named->is_bad || named->kind != YAML_KIND_TEXT)
        return false;
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        if (!str_is(named->key->text, sources[i]))
            continue;
        if (i == SECRET_FILE && !secret_is_pasted(named->text))
            loader_anchor(loader, named, 0);
        if (read((enum secret_source)i, named->text, loader->arena, out, &err))
            return true;
        return loader_report(loader, named, &err);
    }
    return false;
}

bool loader_secret(const struct loader *loader, struct yaml_node *node, struct str *out)
{
    if (node->kind != YAML_KIND_TEXT)
        return read_secret(loader, node, secret_read, out);
    *out = arena_str(loader->arena, node->text);
    return true;
}

bool loader_secret_lines(const struct loader *loader, struct yaml_node *node, struct str *out,
                         struct yaml_node **named)
{
    if (!read_secret(loader, node, secret_read_lines, out))
        return false;
    *named = node->items[0];
    return true;
}

struct kpi *loader_kpi(const struct loader *loader, struct str id)
{
    for (size_t i = 0; i < loader->kpi_count; i++) {
        if (str_is(id, loader->kpis[i].id))
            return &loader->kpis[i];
    }
    return NULL;
}

bool loader_unit(const struct loader *loader, const struct yaml_node *node, struct unit *out)
{
    static const char *const words[][2] = {{"milliseconds", "ms"}, {"seconds", "s"},
                                           {"minutes", "min"},     {"hours", "h"},
                                           {"days", "d"},          {"bytes", "B"}};
    struct str text = node->text;

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_is(text, words[i][0]))
            text = str_of(words[i][1]);
    }
    return unit_parse(text, out) ||
           finding_error(loader->findings, node, "a unit is at most %zu bytes without controls",
                         sizeof out->name - 1);
}
