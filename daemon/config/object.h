/* One object of a checked tree, read by its keys: what the file says, else what `defaults:` says,
 * else the table's default. Asking for a key that is not in the table is a bug and aborts. */
#pragma once

#include "base/clock.h"
#include "config/check.h"

struct object {
    struct yaml_node *node;           /* NULL: the defaults alone */
    const struct yaml_node *defaults; /* NULL: none */
    const struct schema_object *schema;
};

/* A section of the file, or an item of it: its object in the table. */
const struct schema_object *object_schema(const char *section);
struct object object_of(struct yaml_node *node, const char *section);

/* The value written in the file or in `defaults`; NULL when there is none or it is bad. */
struct yaml_node *object_find(const struct object *object, const char *key);

/* The object that stands under a key; without it, the table's defaults alone. */
struct object object_inside(const struct object *object, const char *key);

/* By type. Without value and default: false, 0, empty. */
bool object_bool(const struct object *object, const char *key);
int64_t object_whole(const struct object *object, const char *key); /* counts, sizes, choices */
span_ms object_span(const struct object *object, const char *key);
double object_number(const struct object *object, const char *key);
struct str object_text(const struct object *object, const char *key);

/* Copied into `arena`; NULL without. */
const char *object_copy(const struct object *object, const char *key, struct arena *arena);

/* Values of a key that takes one or a list. */
size_t object_count(const struct yaml_node *value);
struct yaml_node *object_item(struct yaml_node *value, size_t i);

/* Notes a default that was worked out, so that --print-config shows it. */
void object_fill(const struct object *object, const char *key, struct str text,
                 struct arena *arena);
