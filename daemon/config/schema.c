#include "config/schema.h"

static const struct schema_entry *find_own(const struct schema_object *object, struct str name)
{
    for (size_t i = 0; i < object->key_count; i++) {
        if (str_is(name, object->keys[i].name))
            return &object->keys[i];
    }
    return NULL;
}

const struct schema_object *schema_variant(const struct schema_object *object, struct str kind)
{
    if (object->variants == NULL)
        return NULL;
    for (size_t i = 0; object->variants[i] != NULL; i++) {
        if (str_is(kind, object->variants[i]->name))
            return object->variants[i];
    }
    return NULL;
}

const struct schema_entry *schema_find(const struct schema_object *object, struct str kind,
                                       struct str name)
{
    const struct schema_entry *found = find_own(object, name);
    const struct schema_object *variant = schema_variant(object, kind);

    if (found == NULL && object->base != NULL)
        found = find_own(object->base, name);
    if (found == NULL && variant != NULL)
        found = find_own(variant, name);
    return found;
}

const struct schema_object *schema_owner(const struct schema_object *object,
                                         const struct schema_entry *key)
{
    const struct schema_object *base = object->base;
    bool is_base = base != NULL && key >= base->keys && key < base->keys + base->key_count;

    return is_base ? base : object;
}

static size_t take_names(const struct schema_object *object, const char **out, size_t count,
                         size_t max)
{
    for (size_t i = 0; object != NULL && i < object->key_count && count < max; i++)
        out[count++] = object->keys[i].name;
    return count;
}

size_t schema_names(const struct schema_object *object, struct str kind, const char **out,
                    size_t max)
{
    size_t count = take_names(object, out, 0, max);

    count = take_names(object->base, out, count, max);
    return take_names(schema_variant(object, kind), out, count, max);
}

bool schema_listed(const char *const *list, struct str text, size_t *index)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        if (str_is(text, list[i])) {
            if (index != NULL)
                *index = i;
            return true;
        }
    }
    return false;
}

/* --- visiting ----------------------------------------------------------------------------------
 */

enum { OBJECTS_MAX = 128 };

struct visiting {
    const struct schema_object *seen[OBJECTS_MAX];
    size_t count;
};

static void note(struct visiting *visiting, const struct schema_object *object)
{
    if (object == NULL || visiting->count == OBJECTS_MAX)
        return;
    for (size_t i = 0; i < visiting->count; i++) {
        if (visiting->seen[i] == object)
            return;
    }
    visiting->seen[visiting->count++] = object;
}

void schema_visit(schema_visit_fn visit, void *arg)
{
    struct visiting visiting = {.count = 0};

    note(&visiting, &SCHEMA_ROOT);
    for (size_t i = 0; i < visiting.count; i++) {
        const struct schema_object *object = visiting.seen[i];
        visit(object, arg);
        for (size_t k = 0; k < object->key_count; k++)
            note(&visiting, object->keys[k].object);
        note(&visiting, object->base);
        for (size_t k = 0; object->variants != NULL && object->variants[k] != NULL; k++)
            note(&visiting, object->variants[k]);
    }
}
