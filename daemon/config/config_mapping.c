/* mapping: */
#include "config/config_private.h"

static void load_labels(const struct loader *loader, struct yaml_node *node,
                        struct mapping_rule *rule)
{
    if (node == NULL || node->is_bad)
        return;
    struct label *labels = arena_array(loader->arena, node->count + 1, sizeof *labels);
    for (size_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = node->items[i];
        labels[i].name = str_of(arena_text(loader->arena, item->key->text));
        labels[i].value = str_of(arena_text(loader->arena, item->text));
    }
    rule->labels = labels;
    rule->label_count = node->count;
}

static bool load_rule(const struct loader *loader, struct yaml_node *node, struct mapping_rule *out)
{
    struct object object = loader_object(loader, node, "mapping", NULL);
    struct error err = ERROR_EMPTY;

    out->match = object_copy(&object, "match", loader->arena);
    out->name = object_copy(&object, "name", loader->arena);
    out->drop = object_bool(&object, "drop");
    load_labels(loader, object_find(&object, "labels"), out);
    if (mapping_check(out, &err))
        return true;
    return finding_error(loader->findings, node, "%s", err.text);
}

void load_mapping(struct loader *loader)
{
    size_t wanted = loader_count(loader, "mapping");
    struct mapping_rule *rules = arena_array(loader->arena, wanted + 1, sizeof *rules);
    struct yaml_node *node = NULL;
    size_t count = 0;
    size_t at = 0;

    if (wanted > MAPPING_RULES_MAX) {
        (void)finding_error(loader->findings, yaml_get(loader->root, "mapping"),
                            "there are more than %d rules", MAPPING_RULES_MAX);
        return;
    }
    while ((node = loader_next(loader, "mapping", &at)) != NULL)
        count += load_rule(loader, node, &rules[count]);
    loader->config->mapping = mapping_new(rules, count);
    loader->config->metrics.mapping = loader->config->mapping;
}
