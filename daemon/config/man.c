/* The key reference of kpid.yaml(5), in mdoc, from the table. */
#include <assert.h>
#include <string.h>

#include "config/config.h"
#include "config/schema.h"

/* Text that mdoc must not take for a request or an escape. */
static void write_text(struct buf *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\\')
            buf_text(out, "\\e");
        else if (*at == '-')
            buf_text(out, "\\-");
        else if ((*at == '.' || *at == '\'') && at == text)
            buf_printf(out, "\\&%c", *at);
        else
            buf_char(out, *at);
    }
}

/* Each sentence starts a line, as mdoc wants it. */
static void write_sentences(struct buf *out, const char *text)
{
    struct str rest = str_of(text);
    char line[1024];

    while (rest.len > 0) {
        size_t len = 0;
        while (len < rest.len &&
               !(rest.text[len] == '.' && len + 2 < rest.len && rest.text[len + 1] == ' ' &&
                 rest.text[len + 2] >= 'A' && rest.text[len + 2] <= 'Z'))
            len++;
        len += len < rest.len; /* the full stop */
        assert(len < sizeof line);
        memcpy(line, rest.text, len);
        line[len] = '\0';
        write_text(out, line);
        rest = (struct str){rest.text + len, rest.len - len};
        if (rest.len > 0)
            rest = (struct str){rest.text + 1, rest.len - 1}; /* the blank */
        if (rest.len > 0)
            buf_char(out, '\n');
    }
}

static const char *type_words(const struct schema_entry *key)
{
    switch (key->type) {
    case SCHEMA_NONE:
    case SCHEMA_SECRET:
        assert(key->object != NULL);
        return key->object->name;
    case SCHEMA_TEXT:
        return "text";
    case SCHEMA_ID:
        return "id";
    case SCHEMA_METRIC:
        return "metric";
    case SCHEMA_BOOL:
        return "true or false";
    case SCHEMA_WHOLE:
    case SCHEMA_COUNT:
        return "whole number";
    case SCHEMA_NUMBER:
        return "number";
    case SCHEMA_PERCENT:
        return "percentage";
    case SCHEMA_QUANTITY:
        return "number with unit";
    case SCHEMA_SIZE:
        return "bytes";
    case SCHEMA_SPAN:
        return "duration";
    case SCHEMA_DATE:
        return "date";
    case SCHEMA_CHOICE:
        return "word";
    case SCHEMA_FORMULA:
        return "formula";
    case SCHEMA_CONDITION:
        return "condition";
    case SCHEMA_SCHEDULE:
        return "schedule";
    case SCHEMA_TEMPLATE:
        return "template";
    }
    return "text";
}

static void write_type(struct buf *out, const struct schema_entry *key)
{
    static const char *const shapes[] = {"", "list of ", "one or list of ", "map of ", "map of "};
    bool also_map = key->object != NULL && key->type != SCHEMA_NONE && key->type != SCHEMA_SECRET;

    buf_text(out, shapes[key->shape]);
    write_text(out, type_words(key));
    if (also_map && strcmp(type_words(key), key->object->name) != 0) {
        buf_text(out, " or ");
        write_text(out, key->object->name);
    }
}

static void write_choices(struct buf *out, const struct schema_entry *key)
{
    if (key->choices == NULL)
        return;
    buf_text(out, key->type == SCHEMA_CHOICE ? "One of" : "Or");
    for (size_t i = 0; key->choices[i] != NULL; i++) {
        buf_text(out, i == 0 ? " " : ", ");
        write_text(out, key->choices[i]);
        if (schema_listed(key->later, str_of(key->choices[i]), NULL))
            buf_text(out, " (not built yet)");
    }
    buf_text(out, ".\n");
}

static void write_key(struct buf *out, const struct schema_entry *key)
{
    const char *fallback = key->fallback != NULL ? key->fallback : key->fallback_words;

    buf_printf(out, ".It Cm %s", key->name);
    buf_text(out, " Pq ");
    write_type(out, key);
    buf_char(out, '\n');
    write_sentences(out, key->help);
    buf_text(out, ".\n");
    write_choices(out, key);
    if (fallback != NULL) {
        buf_text(out, "Default: ");
        write_text(out, fallback);
        buf_text(out, ".\n");
    }
    if (key->required)
        buf_text(out, "Required.\n");
    if (key->built == SCHEMA_LATER || key->built == SCHEMA_DRAFTS)
        buf_text(out, "Not built yet.\n");
}

static void write_object(const struct schema_object *object, void *arg)
{
    struct buf *out = arg;

    buf_printf(out, ".Ss %s\n", object->name);
    write_sentences(out, object->help);
    buf_char(out, '\n');
    if (object->base != NULL) {
        buf_text(out, "Also the keys of\n.Sx ");
        buf_printf(out, "%s .\n", object->base->name);
    }
    if (object->variants != NULL) {
        buf_printf(out, "Further keys depend on %s:", object->variant_key);
        for (size_t i = 0; object->variants[i] != NULL; i++)
            buf_printf(out, "\n.Sx %s%s", object->variants[i]->name,
                       object->variants[i + 1] != NULL ? " ," : " .");
        buf_char(out, '\n');
    }
    buf_text(out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < object->key_count; i++)
        write_key(out, &object->keys[i]);
    buf_text(out, ".El\n");
}

void config_man_keys(struct buf *out)
{
    schema_visit(write_object, out);
}
