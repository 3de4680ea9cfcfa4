/* The tree against the table (config/schema.h): unknown keys, wrong shapes, scalars that are not
 * what they should be, keys that are missing, and what is not built yet. */
#pragma once

#include "base/error.h"
#include "config/schema.h"
#include "config/yaml.h"

/* Reports every mistake and notes in each node what its scalar means (`whole`, `number`), or that
 * it is bad. */
void check_tree(struct yaml_node *root, struct findings *findings);

/* Notes what a scalar means; false with the words for it when it does not mean anything. For what
 * the check has not seen: defaults. */
bool check_scalar(struct yaml_node *node, const struct schema_entry *key, struct error *err);

/* Why an object depends on something that is not built yet, as "window" or "path seasonal"; NULL
 * when it does not. Looks into the objects inside it too. The text is in `arena`. */
const char *check_draft_reason(const struct yaml_node *node, const struct schema_object *object,
                               struct arena *arena);

/* The value of the object's variant key; empty when it has none. */
struct str check_variant(const struct yaml_node *node, const struct schema_object *object);

/* [a-z][a-z0-9_-]*, at most 64 bytes */
bool check_is_id(struct str text);
