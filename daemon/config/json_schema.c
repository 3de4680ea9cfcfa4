/* The JSON Schema (draft 2020-12) of the language, from the table.
 *
 * It is for editors, whose YAML readers make numbers and booleans of what kpid reads as text: both
 * are allowed. It says what a file may look like; what objects say of each other kpid alone checks.
 */
#include <string.h>

#include "base/json.h"
#include "config/config.h"
#include "config/schema.h"

#define PATTERN_ID     "^[a-z][a-z0-9_-]{0,63}$"
#define PATTERN_METRIC "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
#define PATTERN_SPAN                                                                               \
    "^(([0-9]+(ms|s|m|h|d|w))+|[0-9]+ (business (day|days|hour|hours)|evaluations?))$"

static void write_types(struct json *json, const char *first, const char *second)
{
    json_key(json, "type");
    json_open(json, '[');
    json_text(json, first);
    json_text(json, second);
    json_close(json, ']');
}

static void write_words(struct json *json, const char *const *words)
{
    json_key(json, "enum");
    json_open(json, '[');
    for (size_t i = 0; words[i] != NULL; i++)
        json_text(json, words[i]);
    json_close(json, ']');
}

static void write_pattern(struct json *json, const char *pattern)
{
    write_types(json, "string", "number");
    json_field_text(json, "pattern", pattern);
}

static void write_scalar_of(struct json *json, const struct schema_entry *key)
{
    switch (key->type) {
    case SCHEMA_CHOICE:
        write_words(json, key->choices);
        break;
    case SCHEMA_BOOL:
        json_key(json, "enum");
        json_open(json, '[');
        json_bool(json, true);
        json_bool(json, false);
        json_text(json, "true");
        json_text(json, "false");
        json_close(json, ']');
        break;
    case SCHEMA_ID:
        json_field_text(json, "type", "string");
        json_field_text(json, "pattern", PATTERN_ID);
        break;
    case SCHEMA_METRIC:
        json_field_text(json, "type", "string");
        json_field_text(json, "pattern", PATTERN_METRIC);
        break;
    case SCHEMA_WHOLE:
        write_pattern(json, "^[0-9]+$");
        break;
    case SCHEMA_COUNT:
    case SCHEMA_SIZE:
        write_pattern(json, "^[0-9]+[KMG]?$");
        break;
    case SCHEMA_NUMBER:
        write_pattern(json, "^[0-9.]+([eE][+-]?[0-9]+)?$");
        break;
    case SCHEMA_PERCENT:
        json_field_text(json, "type", "string");
        json_field_text(json, "pattern", "^[0-9.]+%$");
        break;
    case SCHEMA_QUANTITY:
        write_pattern(json, "^[+-]?[0-9.]+ ?[^ ,]*$");
        break;
    case SCHEMA_SPAN:
        json_field_text(json, "type", "string");
        json_field_text(json, "pattern", PATTERN_SPAN);
        break;
    case SCHEMA_NONE:
    case SCHEMA_TEXT:
    case SCHEMA_DATE:
    case SCHEMA_FORMULA:
    case SCHEMA_CONDITION:
    case SCHEMA_SCHEDULE:
    case SCHEMA_TEMPLATE:
    case SCHEMA_SECRET:
        json_key(json, "type");
        json_open(json, '[');
        json_text(json, "string");
        json_text(json, "number");
        json_text(json, "boolean");
        json_close(json, ']');
        break;
    }
}

/* A scalar of the key's type, or one of its words. */
static void write_scalar(struct json *json, const struct schema_entry *key)
{
    if (key->type == SCHEMA_CHOICE || key->choices == NULL) {
        write_scalar_of(json, key);
        return;
    }
    json_key(json, "anyOf");
    json_open(json, '[');
    json_open(json, '{');
    write_scalar_of(json, key);
    json_close(json, '}');
    json_open(json, '{');
    write_words(json, key->choices);
    json_close(json, '}');
    json_close(json, ']');
}

static void write_reference(struct json *json, const struct schema_object *object)
{
    char text[100] = "#/$defs/";

    strncat(text, object->name, sizeof text - strlen(text) - 1);
    json_field_text(json, "$ref", text);
}

/* One value, inside an object that is open: a scalar, a map, or either. */
static void write_one(struct json *json, const struct schema_entry *key)
{
    bool has_scalar = key->type != SCHEMA_NONE && key->type != SCHEMA_SECRET;

    if (key->object == NULL) {
        write_scalar(json, key);
        return;
    }
    if (!has_scalar) {
        write_reference(json, key->object);
        return;
    }
    json_key(json, "anyOf");
    json_open(json, '[');
    json_open(json, '{');
    write_scalar(json, key);
    json_close(json, '}');
    json_open(json, '{');
    write_reference(json, key->object);
    json_close(json, '}');
    json_close(json, ']');
}

static void write_list(struct json *json, const struct schema_entry *key, bool nested)
{
    json_field_text(json, "type", "array");
    json_key(json, "items");
    json_open(json, '{');
    if (nested) {
        json_key(json, "anyOf");
        json_open(json, '[');
        json_open(json, '{');
        write_one(json, key);
        json_close(json, '}');
        json_open(json, '{');
        write_list(json, key, false);
        json_close(json, '}');
        json_close(json, ']');
    } else {
        write_one(json, key);
    }
    json_close(json, '}');
}

static void write_map(struct json *json, const struct schema_entry *key)
{
    json_key(json, "type");
    json_open(json, '[');
    json_text(json, "object");
    json_text(json, "null"); /* a section without anything below it */
    json_close(json, ']');
    bool is_metric = key->shape == SCHEMA_NAMES && key->object != NULL;
    if (key->shape == SCHEMA_IDS || is_metric) {
        json_key(json, "propertyNames");
        json_open(json, '{');
        json_field_text(json, "pattern", is_metric ? PATTERN_METRIC : PATTERN_ID);
        json_close(json, '}');
    }
    json_key(json, "additionalProperties");
    json_open(json, '{');
    write_one(json, key);
    json_close(json, '}');
}

static void write_value(struct json *json, const struct schema_entry *key, bool nested)
{
    switch (key->shape) {
    case SCHEMA_ONE:
        write_one(json, key);
        break;
    case SCHEMA_LIST:
        write_list(json, key, nested);
        break;
    case SCHEMA_ONE_OR_LIST:
        json_key(json, "anyOf");
        json_open(json, '[');
        json_open(json, '{');
        write_one(json, key);
        json_close(json, '}');
        json_open(json, '{');
        write_list(json, key, nested);
        json_close(json, '}');
        json_close(json, ']');
        break;
    case SCHEMA_IDS:
    case SCHEMA_NAMES:
        write_map(json, key);
        break;
    }
}

static void write_keys(struct json *json, const struct schema_object *object)
{
    for (size_t i = 0; object != NULL && i < object->key_count; i++) {
        const struct schema_entry *key = &object->keys[i];
        json_key(json, key->name);
        json_open(json, '{');
        json_field_text(json, "description", key->help);
        if (key->fallback != NULL)
            json_field_text(json, "default", key->fallback);
        write_value(json, key, key->nested);
        json_close(json, '}');
    }
}

static void write_required(struct json *json, const struct schema_object *object,
                           const struct schema_object *variant)
{
    const struct schema_object *both[] = {object, variant};

    json_key(json, "required");
    json_open(json, '[');
    for (size_t b = 0; b < 2; b++) {
        for (size_t i = 0; both[b] != NULL && i < both[b]->key_count; i++) {
            if (both[b]->keys[i].required)
                json_text(json, both[b]->keys[i].name);
        }
    }
    json_close(json, ']');
}

/* The keys of an object, its base and a variant, and no others. */
static void write_closed(struct json *json, const struct schema_object *object,
                         const struct schema_object *variant)
{
    json_key(json, "type");
    json_open(json, '[');
    json_text(json, "object");
    json_text(json, "null");
    json_close(json, ']');
    json_field_text(json, "description", variant != NULL ? variant->help : object->help);
    json_field_bool(json, "additionalProperties", false);
    write_required(json, object, variant);
    json_key(json, "properties");
    json_open(json, '{');
    write_keys(json, object);
    write_keys(json, object->base);
    write_keys(json, variant);
    json_close(json, '}');
}

/* if type is slack then the keys of slack, and so on */
static void write_variants(struct json *json, const struct schema_object *object)
{
    json_field_text(json, "description", object->help);
    write_required(json, object, NULL);
    json_key(json, "properties");
    json_open(json, '{');
    json_key(json, object->variant_key);
    json_open(json, '{');
    write_scalar_of(json, schema_find(object, STR_EMPTY, str_of(object->variant_key)));
    json_close(json, '}');
    json_close(json, '}');
    json_key(json, "allOf");
    json_open(json, '[');
    for (size_t i = 0; object->variants[i] != NULL; i++) {
        json_open(json, '{');
        json_key(json, "if");
        json_open(json, '{');
        json_key(json, "properties");
        json_open(json, '{');
        json_key(json, object->variant_key);
        json_open(json, '{');
        json_field_text(json, "const", object->variants[i]->name);
        json_close(json, '}');
        json_close(json, '}');
        json_close(json, '}');
        json_key(json, "then");
        json_open(json, '{');
        write_closed(json, object, object->variants[i]);
        json_close(json, '}');
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void write_definition(const struct schema_object *object, void *arg)
{
    struct json *json = arg;

    if (object == &SCHEMA_ROOT)
        return;
    json_key(json, object->name);
    json_open(json, '{');
    if (object->variants != NULL)
        write_variants(json, object);
    else
        write_closed(json, object, NULL);
    json_close(json, '}');
}

void config_json_schema(struct buf *out)
{
    struct json json = json_to(out);

    json_open(&json, '{');
    json_field_text(&json, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_field_text(&json, "title", "kpid.yaml");
    write_closed(&json, &SCHEMA_ROOT, NULL);
    json_key(&json, "$defs");
    json_open(&json, '{');
    schema_visit(write_definition, &json);
    json_close(&json, '}');
    json_close(&json, '}');
    buf_char(out, '\n');
}
