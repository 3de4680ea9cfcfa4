#include "config/object.h"

#include <assert.h>

static const struct schema_entry *get_key(const struct object *object, const char *name)
{
    struct str kind =
        object->node == NULL ? STR_EMPTY : check_variant(object->node, object->schema);
    const struct schema_entry *key = schema_find(object->schema, kind, str_of(name));

    assert(key != NULL);
    return key;
}

const struct schema_object *object_schema(const char *section)
{
    const struct schema_entry *key = schema_find(&SCHEMA_ROOT, STR_EMPTY, str_of(section));

    assert(key != NULL && key->object != NULL);
    return key->object;
}

struct object object_of(struct yaml_node *node, const char *section)
{
    return (struct object){node, NULL, object_schema(section)};
}

static struct yaml_node *find_good(const struct yaml_node *map, const char *key)
{
    struct yaml_node *found = yaml_get(map, key);

    return found == NULL || found->is_bad ? NULL : found;
}

struct yaml_node *object_find(const struct object *object, const char *key)
{
    (void)get_key(object, key);
    struct yaml_node *own = find_good(object->node, key);
    return own != NULL ? own : find_good(object->defaults, key);
}

struct object object_inside(const struct object *object, const char *key)
{
    const struct schema_entry *found = get_key(object, key);
    struct yaml_node *own = find_good(object->node, key);

    assert(found->object != NULL);
    return (struct object){own != NULL && own->kind == YAML_KIND_MAP ? own : NULL,
                           find_good(object->defaults, key), found->object};
}

/* The scalar of a key with its meaning; `made` holds the table's default. */
static const struct yaml_node *get_scalar(const struct object *object, const char *name,
                                          struct yaml_node *made)
{
    const struct schema_entry *key = get_key(object, name);
    const struct yaml_node *found = object_find(object, name);
    struct error err = ERROR_EMPTY;

    if (found != NULL && found->kind == YAML_KIND_TEXT)
        return found;
    *made = (struct yaml_node){.kind = YAML_KIND_TEXT, .text = str_of(key->fallback)};
    if (key->fallback != NULL) {
        bool good = check_scalar(made, key, &err);
        assert(good);
        (void)good;
    }
    return made;
}

bool object_bool(const struct object *object, const char *key)
{
    struct yaml_node made;
    return get_scalar(object, key, &made)->whole == 1;
}

int64_t object_whole(const struct object *object, const char *key)
{
    struct yaml_node made;
    return get_scalar(object, key, &made)->whole;
}

span_ms object_span(const struct object *object, const char *key)
{
    struct yaml_node made;
    return get_scalar(object, key, &made)->whole;
}

double object_number(const struct object *object, const char *key)
{
    struct yaml_node made;
    return get_scalar(object, key, &made)->number;
}

struct str object_text(const struct object *object, const char *key)
{
    struct yaml_node made;
    return get_scalar(object, key, &made)->text;
}

const char *object_copy(const struct object *object, const char *key, struct arena *arena)
{
    struct str text = object_text(object, key);

    return text.len == 0 ? NULL : arena_text(arena, text);
}

size_t object_count(const struct yaml_node *value)
{
    if (value == NULL)
        return 0;
    return value->kind == YAML_KIND_LIST ? value->count : 1;
}

struct yaml_node *object_item(struct yaml_node *value, size_t i)
{
    return value->kind == YAML_KIND_LIST ? value->items[i] : value;
}

void object_fill(const struct object *object, const char *key, struct str text, struct arena *arena)
{
    if (object->node == NULL || text.len == 0 || yaml_get(object->node, key) != NULL ||
        object_find(object, key) != NULL)
        return;
    yaml_put(arena, object->node, key, yaml_make_text(arena, text, object->node));
}
