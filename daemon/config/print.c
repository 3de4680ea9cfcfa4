/* --print-config: the tree in long form, in the order of the table, with its defaults. */
#include <string.h>

#include "config/config_private.h"

enum { INDENT = 2 };

static void print_object(const struct object *object, unsigned indent, struct buf *out);

/* Whether a text can stand without quotes, for any reader of YAML. */
static bool is_plain(struct str text)
{
    static const char *const words[] = {"yes", "no", "on", "off", "null", "y", "n", NULL};

    if (text.len == 0 || schema_listed(words, text, NULL))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.text[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '/';
        bool is_inner = i > 0 && ((c >= '0' && c <= '9') || strchr(".-()+/%", c) != NULL ||
                                  (c == ' ' && i + 1 < text.len));
        bool is_digit = c >= '0' && c <= '9';
        if (!is_letter && !is_inner && !is_digit)
            return false;
    }
    return true;
}

/* A character that would not come back as it is: controls, other line ends, what is no character.
 * The number of bytes it has; 0 for all others. */
static size_t unprintable(struct str text, unsigned *code)
{
    const unsigned char *at = (const unsigned char *)text.text;

    *code = at[0];
    if (at[0] < 0x20 || at[0] == 0x7f)
        return 1;
    if (at[0] == 0xc2 && text.len >= 2 && at[1] < 0xa0) {
        *code = at[1];
        return 2;
    }
    if ((at[0] & 0xf0) != 0xe0 || text.len < 3)
        return 0;
    *code = (unsigned)(at[0] & 0x0f) << 12 | (unsigned)(at[1] & 0x3f) << 6 | (at[2] & 0x3f);
    bool is_odd = *code == 0x2028 || *code == 0x2029 || *code == 0xfeff || *code >= 0xfffe ||
                  (*code >= 0xd800 && *code <= 0xdfff);
    return is_odd ? 3 : 0;
}

static void print_text(struct str text, struct buf *out)
{
    if (is_plain(text)) {
        buf_str(out, text);
        return;
    }
    buf_char(out, '"');
    while (text.len > 0) {
        unsigned code = 0;
        size_t len = unprintable(text, &code);
        if (len > 0) {
            buf_printf(out, "\\u%04x", code);
        } else {
            len = 1;
            if (text.text[0] == '"' || text.text[0] == '\\')
                buf_char(out, '\\');
            buf_char(out, text.text[0]);
        }
        text = (struct str){text.text + len, text.len - len};
    }
    buf_char(out, '"');
}

static void print_indent(unsigned indent, struct buf *out)
{
    for (unsigned i = 0; i < indent * INDENT; i++)
        buf_char(out, ' ');
}

/* A value after its key or dash; `object` is what the table says of a map here. */
static void print_value(struct yaml_node *node, const struct schema_object *object, unsigned indent,
                        struct buf *out);

static void print_list(const struct yaml_node *node, const struct schema_object *object,
                       unsigned indent, struct buf *out)
{
    if (node->count == 0)
        buf_text(out, " []");
    buf_char(out, '\n');
    for (size_t i = 0; i < node->count; i++) {
        print_indent(indent, out);
        buf_char(out, '-');
        print_value(node->items[i], object, indent + 1, out);
    }
}

static void print_value(struct yaml_node *node, const struct schema_object *object, unsigned indent,
                        struct buf *out)
{
    if (node->kind == YAML_KIND_TEXT) {
        buf_char(out, ' ');
        print_text(node->text, out);
        buf_char(out, '\n');
    } else if (node->kind == YAML_KIND_LIST) {
        print_list(node, object, indent, out);
    } else if (object != NULL) {
        struct object inside = {node, NULL, object};
        buf_char(out, '\n');
        print_object(&inside, indent, out);
    } else {
        buf_text(out, node->count == 0 ? " {}\n" : "\n");
        for (size_t i = 0; i < node->count; i++) {
            print_indent(indent, out);
            print_text(node->items[i]->key->text, out);
            buf_char(out, ':');
            print_value(node->items[i], NULL, indent + 1, out);
        }
    }
}

/* The section of `defaults:` that fills objects of a section of the file. */
static const struct yaml_node *defaults_of(const struct yaml_node *root, const char *section)
{
    static const char *const names[][2] = {{"kpis", "kpi"}, {"rules", "rule"}, {"hooks", "hook"}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(section, names[i][0]) == 0)
            return yaml_get(yaml_get(root, "defaults"), names[i][1]);
    }
    return NULL;
}

/* A map keyed by ids or names, whose values are objects. */
static void print_keyed(const struct yaml_node *node, const struct schema_entry *key,
                        const struct yaml_node *defaults, unsigned indent, struct buf *out)
{
    if (node->count == 0)
        buf_text(out, " {}");
    buf_char(out, '\n');
    for (size_t i = 0; i < node->count; i++) {
        struct yaml_node *item = node->items[i];
        print_indent(indent, out);
        print_text(item->key->text, out);
        buf_char(out, ':');
        if (item->kind == YAML_KIND_MAP && key->object != NULL) {
            struct object object = {node->items[i], defaults, key->object};
            buf_char(out, '\n');
            print_object(&object, indent + 1, out);
        } else {
            print_value(item, NULL, indent + 1, out);
        }
    }
}

static bool has_fallback(const struct schema_object *object)
{
    for (size_t i = 0; i < object->key_count; i++) {
        const struct schema_entry *key = &object->keys[i];
        if (key->built != SCHEMA_BUILT)
            continue;
        if (key->fallback != NULL)
            return true;
        if (key->type == SCHEMA_NONE && key->shape == SCHEMA_ONE && has_fallback(key->object))
            return true;
    }
    return false;
}

/* The value of a key that this object has by itself or by `defaults:`. What is not built is not
 * copied out of the defaults: one warning is enough. */
static struct yaml_node *value_of(const struct object *object, const struct schema_entry *key)
{
    struct yaml_node *own = yaml_get(object->node, key->name);

    if (own != NULL || key->built != SCHEMA_BUILT)
        return own;
    return yaml_get(object->defaults, key->name);
}

/* Keys whose value is in force in another place by now: an inline target and alert, an include.
 * Their defaults would make them anew. */
static bool is_short_form(const struct object *object, const struct schema_entry *key)
{
    if (object->schema == &SCHEMA_ROOT)
        return true;
    return object->schema == object_schema("kpis") &&
           (strcmp(key->name, "target") == 0 ||
            schema_owner(object->schema, key) != object->schema);
}

static void print_key(const struct object *object, const struct schema_entry *key, unsigned indent,
                      struct buf *out)
{
    struct yaml_node *value = value_of(object, key);
    bool is_object = key->type == SCHEMA_NONE && key->shape == SCHEMA_ONE;
    bool is_keyed = key->shape == SCHEMA_IDS || key->shape == SCHEMA_NAMES;
    bool is_default = key->built == SCHEMA_BUILT && !is_short_form(object, key) &&
                      (is_object ? has_fallback(key->object) : key->fallback != NULL);

    if (value == NULL && !is_default)
        return;
    if (object->schema == &SCHEMA_ROOT && strcmp(key->name, "include") == 0)
        return; /* what it names is in the tree */
    print_indent(indent, out);
    buf_text(out, key->name);
    buf_char(out, ':');
    if (is_object) {
        struct yaml_node *own = yaml_get(object->node, key->name);
        struct object inside = {own, yaml_get(object->defaults, key->name), key->object};
        buf_char(out, '\n');
        print_object(&inside, indent + 1, out);
    } else if (value == NULL) {
        buf_char(out, ' ');
        print_text(str_of(key->fallback), out);
        buf_char(out, '\n');
    } else if (is_keyed && value->kind == YAML_KIND_MAP) {
        print_keyed(value, key,
                    object->schema == &SCHEMA_ROOT ? defaults_of(object->node, key->name) : NULL,
                    indent + 1, out);
    } else {
        print_value(value, key->object, indent + 1, out);
    }
}

static void print_keys(const struct object *object, const struct schema_object *schema,
                       unsigned indent, struct buf *out)
{
    for (size_t i = 0; schema != NULL && i < schema->key_count; i++)
        print_key(object, &schema->keys[i], indent, out);
}

static void print_object(const struct object *object, unsigned indent, struct buf *out)
{
    struct str kind =
        object->node == NULL ? STR_EMPTY : check_variant(object->node, object->schema);
    size_t before = out->len;

    print_keys(object, object->schema, indent, out);
    print_keys(object, schema_variant(object->schema, kind), indent, out);
    print_keys(object, object->schema->base, indent, out);
    if (out->len == before && out->len > 0 && out->bytes[out->len - 1] == '\n') {
        out->len--;
        buf_text(out, " {}\n");
    }
}

void config_print(const struct config *config, struct buf *out)
{
    struct object root = {config->tree, NULL, &SCHEMA_ROOT};

    print_object(&root, 0, out);
}
