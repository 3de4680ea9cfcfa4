#include "config/check.h"

#include <stdio.h>
#include <string.h>

#include "series/series_key.h"

enum { NAMES_MAX = 96, ID_MAX = 64 };

/* --- scalars -----------------------------------------------------------------------------------
 */

bool check_is_id(struct str text)
{
    if (text.len == 0 || text.len > ID_MAX || text.text[0] < 'a' || text.text[0] > 'z')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static bool check_id(struct str text, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];

    if (check_is_id(text))
        return true;
    (void)error_set(err, ERROR_INVALID, "'%s' is not an id", str_quoted(text, quoted));
    return error_hint(err, "an id is a small letter, then small letters, digits, _ and -");
}

static bool is_metric_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

static bool check_metric(struct str text, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    bool good = metric_name_is_valid(text) && text.text[0] != '-' && text.text[0] != '.';

    for (size_t i = 0; good && i < text.len; i++)
        good = is_metric_char(text.text[i]);
    if (good)
        return true;
    (void)error_set(err, ERROR_INVALID, "'%s' is not a metric's name", str_quoted(text, quoted));
    return error_hint(err, "a metric's name is letters, digits, _, - and dots");
}

/* A whole number with K, M or G after it, which stand for powers of `step`. */
static bool parse_scaled(struct str text, uint64_t step, int64_t *out)
{
    uint64_t scale = 1;
    uint64_t value = 0;

    if (text.len > 0) {
        static const char letters[] = "KMG";
        const char *found = strchr(letters, text.text[text.len - 1]);
        if (found != NULL && *found != '\0') {
            for (const char *at = letters; at <= found; at++)
                scale *= step;
            text.len--;
        }
    }
    if (!str_parse_u64(text, &value) || __builtin_mul_overflow(value, scale, &value) ||
        value > INT64_MAX)
        return false;
    *out = (int64_t)value;
    return true;
}

static bool check_comma(struct str text, struct error *err)
{
    char without[64];
    size_t len = 0;

    if (memchr(text.text, ',', text.len) == NULL || text.len >= sizeof without)
        return true;
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] != ',')
            without[len++] = text.text[i];
    }
    double number = 0;
    if (!str_parse_double((struct str){without, len}, &number))
        return true;
    (void)error_set(err, ERROR_INVALID, "a number has no comma");
    return error_hint(err, "write %.*s", (int)len, without);
}

static bool check_bool(struct yaml_node *node, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];

    node->whole = str_is(node->text, "true");
    if (node->whole == 1 || str_is(node->text, "false"))
        return true;
    (void)error_set(err, ERROR_INVALID, "'%s' is neither true nor false",
                    str_quoted(node->text, quoted));
    if (str_is(node->text, "yes") || str_is(node->text, "on"))
        return error_hint(err, "write true");
    if (str_is(node->text, "no") || str_is(node->text, "off"))
        return error_hint(err, "write false");
    return false;
}

static bool check_number(struct yaml_node *node, enum schema_type type, struct error *err)
{
    struct str text = node->text;
    char quoted[STR_QUOTED_SIZE];

    if (!check_comma(text, err))
        return false;
    switch (type) {
    case SCHEMA_WHOLE:
        if (str_parse_i64(text, &node->whole) && node->whole >= 0)
            return true;
        return error_set(err, ERROR_INVALID, "'%s' is not a whole number",
                         str_quoted(text, quoted));
    case SCHEMA_COUNT:
        if (parse_scaled(text, 1000, &node->whole))
            return true;
        return error_set(err, ERROR_INVALID, "'%s' is not a whole number",
                         str_quoted(text, quoted));
    case SCHEMA_SIZE:
        if (parse_scaled(text, 1024, &node->whole))
            return true;
        (void)error_set(err, ERROR_INVALID, "'%s' is not a size in bytes",
                        str_quoted(text, quoted));
        return error_hint(err, "as 64K, 32M or 10G");
    case SCHEMA_PERCENT:
        if (text.len > 1 && text.text[text.len - 1] == '%' &&
            str_parse_double((struct str){text.text, text.len - 1}, &node->number) &&
            node->number >= 0 && node->number <= 100)
            return true;
        (void)error_set(err, ERROR_INVALID, "'%s' is not a percentage from 0%% to 100%%",
                        str_quoted(text, quoted));
        return error_hint(err, "as 20%%");
    default:
        if (str_parse_double(text, &node->number) && node->number >= 0)
            return true;
        return error_set(err, ERROR_INVALID, "'%s' is not a number from 0 on",
                         str_quoted(text, quoted));
    }
}

/* "3 business days", "2 evaluations": part of the language, not built yet. */
static bool is_worded_span(struct str text)
{
    static const char *const words[] = {"business day",
                                        "business days",
                                        "business hour",
                                        "business hours",
                                        "evaluation",
                                        "evaluations",
                                        NULL};
    struct str rest = text;
    uint64_t count = 0;
    struct str number = str_split(&rest, ' ');

    return str_parse_u64(number, &count) && schema_listed(words, str_trim(rest), NULL);
}

static bool check_span(struct yaml_node *node, const struct schema_entry *key, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];

    if (str_parse_span(node->text, &node->whole))
        return true;
    node->has_words = key->words && is_worded_span(node->text);
    if (node->has_words)
        return true;
    (void)error_set(err, ERROR_INVALID, "'%s' is not a duration", str_quoted(node->text, quoted));
    return error_hint(err, "as 90s, 15m, 1h30m or 14d");
}

static bool check_choice(struct yaml_node *node, const struct schema_entry *key, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    size_t index = 0;
    size_t count = 0;

    if (schema_listed(key->choices, node->text, &index)) {
        node->whole = (int64_t)index;
        node->is_later = schema_listed(key->later, node->text, NULL);
        return true;
    }
    while (key->choices[count] != NULL)
        count++;
    (void)error_set(err, ERROR_INVALID, "unknown %s '%s'", key->name,
                    str_quoted(node->text, quoted));
    const char *near = str_nearest(node->text, key->choices, count);
    if (near != NULL)
        return error_hint(err, "did you mean '%s'?", near);
    char list[200];
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof list; i++) {
        int more =
            snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", key->choices[i]);
        used += more < 0 ? 0 : (size_t)more;
    }
    return error_hint(err, "one of %s", list);
}

bool check_scalar(struct yaml_node *node, const struct schema_entry *key, struct error *err)
{
    if (key->type != SCHEMA_CHOICE && schema_listed(key->choices, node->text, NULL)) {
        node->whole = -1; /* a word instead of a value */
        return true;
    }
    switch (key->type) {
    case SCHEMA_BOOL:
        return check_bool(node, err);
    case SCHEMA_WHOLE:
    case SCHEMA_COUNT:
    case SCHEMA_SIZE:
    case SCHEMA_PERCENT:
    case SCHEMA_NUMBER:
        return check_number(node, key->type, err);
    case SCHEMA_SPAN:
        return check_span(node, key, err);
    case SCHEMA_CHOICE:
        return check_choice(node, key, err);
    case SCHEMA_ID:
        return check_id(node->text, err);
    case SCHEMA_METRIC:
        return check_metric(node->text, err);
    case SCHEMA_QUANTITY:
        return check_comma(node->text, err);
    case SCHEMA_NONE:
    case SCHEMA_TEXT:
    case SCHEMA_DATE:
    case SCHEMA_FORMULA:
    case SCHEMA_CONDITION:
    case SCHEMA_SCHEDULE:
    case SCHEMA_TEMPLATE:
    case SCHEMA_SECRET:
        return true;
    }
    return true;
}

/* --- the tree ----------------------------------------------------------------------------------
 */

struct checking {
    struct findings *findings;
    bool quiet; /* inside something that is not built: that was said once */
};

static void check_object(const struct checking *checking, struct yaml_node *node,
                         const struct schema_object *object);

static bool mark(struct yaml_node *node)
{
    node->is_bad = true;
    return false;
}

struct str check_variant(const struct yaml_node *node, const struct schema_object *object)
{
    const struct yaml_node *kind =
        object->variant_key == NULL ? NULL : yaml_get(node, object->variant_key);

    return kind == NULL || kind->kind != YAML_KIND_TEXT ? STR_EMPTY : kind->text;
}

/* The first keys of a map, for who does not know that it is one. */
static void hint_keys(const struct checking *checking, const struct schema_entry *key)
{
    enum { SHOWN = 6 };
    const char *names[NAMES_MAX];
    struct buf text = BUF_EMPTY;

    if (key->object == NULL)
        return;
    size_t count = schema_names(key->object, STR_EMPTY, names, NAMES_MAX);
    for (size_t i = 0; i < count && i < SHOWN; i++)
        buf_printf(&text, "%s%s", i == 0 ? "" : ", ", names[i]);
    (void)finding_hint(checking->findings, "its keys are %.*s%s", STR_ARGS(buf_view(&text)),
                       count > SHOWN ? ", ..." : "");
    buf_fini(&text);
}

static void check_text(const struct checking *checking, struct yaml_node *node,
                       const struct schema_entry *key)
{
    struct error err = ERROR_EMPTY;

    if (key->type == SCHEMA_SECRET) {
        (void)mark(node);
        (void)finding_error(checking->findings, node, "a secret does not stand here in words");
        (void)finding_hint(checking->findings,
                           "write { env: NAME }, { file: PATH } or { credential: NAME }");
        return;
    }
    if (key->type == SCHEMA_NONE) {
        (void)mark(node);
        (void)finding_error(checking->findings, node, "a text, where a map is expected");
        hint_keys(checking, key);
        return;
    }
    if (yaml_is_empty(node) || node->text.len == 0) {
        (void)mark(node);
        (void)finding_error_key(checking->findings, node, "has no value");
        return;
    }
    if (!check_scalar(node, key, &err)) {
        (void)mark(node);
        (void)finding_error(checking->findings, node, "%s", err.text);
        if (err.hint[0] != '\0')
            (void)finding_hint(checking->findings, "%s", err.hint);
        return;
    }
}

/* One value of a key: a scalar or a map. */
static void check_one(const struct checking *checking, struct yaml_node *node,
                      const struct schema_entry *key)
{
    if (node->kind == YAML_KIND_TEXT) {
        check_text(checking, node, key);
    } else if (node->kind == YAML_KIND_MAP && key->object != NULL) {
        check_object(checking, node, key->object);
    } else if (node->kind == YAML_KIND_LIST && key->nested) {
        for (size_t i = 0; i < node->count; i++)
            check_text(checking, node->items[i], key);
    } else {
        (void)mark(node);
        (void)finding_error(checking->findings, node, "a %s, where a %s is expected",
                            node->kind == YAML_KIND_LIST ? "list" : "map",
                            key->type == SCHEMA_NONE ? "map" : "text");
    }
}

static void check_map_key(const struct checking *checking, struct yaml_node *value,
                          const struct schema_entry *key)
{
    struct error err = ERROR_EMPTY;

    if (key->shape == SCHEMA_NAMES) {
        if (key->object == NULL || check_metric(value->key->text, &err))
            return;
    } else if (check_id(value->key->text, &err)) {
        return;
    }
    (void)mark(value);
    (void)finding_error_key(checking->findings, value, "%s", err.text);
    (void)finding_hint(checking->findings, "%s", err.hint);
}

static void check_keyed(const struct checking *checking, struct yaml_node *node,
                        const struct schema_entry *key)
{
    if (yaml_is_empty(node)) {
        node->kind = YAML_KIND_MAP;
        return;
    }
    if (node->kind != YAML_KIND_MAP) {
        (void)mark(node);
        (void)finding_error(checking->findings, node, "a %s, where a map is expected",
                            node->kind == YAML_KIND_LIST ? "list" : "text");
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        check_map_key(checking, node->items[i], key);
        check_one(checking, node->items[i], key);
    }
}

static void check_list(const struct checking *checking, struct yaml_node *node,
                       const struct schema_entry *key)
{
    if (node->kind == YAML_KIND_LIST) {
        for (size_t i = 0; i < node->count; i++)
            check_one(checking, node->items[i], key);
    } else if (key->shape == SCHEMA_ONE_OR_LIST) {
        check_one(checking, node, key);
    } else if (yaml_is_empty(node)) {
        node->kind = YAML_KIND_LIST;
    } else {
        (void)mark(node);
        (void)finding_error(checking->findings, node, "a %s, where a list is expected",
                            node->kind == YAML_KIND_MAP ? "map" : "text");
        if (node->kind == YAML_KIND_TEXT)
            (void)finding_hint(checking->findings, "write [ %.*s ]", STR_ARGS(node->text));
    }
}

static void check_value(const struct checking *checking, struct yaml_node *node,
                        const struct schema_entry *key)
{
    struct checking inner = *checking;

    if (key->built == SCHEMA_LATER || key->built == SCHEMA_DRAFTS)
        inner.quiet = true;
    switch (key->shape) {
    case SCHEMA_IDS:
    case SCHEMA_NAMES:
        check_keyed(&inner, node, key);
        break;
    case SCHEMA_LIST:
    case SCHEMA_ONE_OR_LIST:
        check_list(&inner, node, key);
        break;
    case SCHEMA_ONE:
        if (yaml_is_empty(node) && key->type == SCHEMA_NONE)
            node->kind = YAML_KIND_MAP;
        check_one(&inner, node, key);
        break;
    }
}

static void report_unknown(const struct checking *checking, struct yaml_node *value,
                           const struct schema_object *object, struct str kind)
{
    const char *names[NAMES_MAX];
    char quoted[STR_QUOTED_SIZE];
    struct str word = value->key->text;
    size_t count = schema_names(object, kind, names, NAMES_MAX);

    (void)mark(value);
    (void)finding_error_key(checking->findings, value, "unknown key '%s'",
                            str_quoted(word, quoted));
    const char *near = str_nearest(word, names, count);
    if (near != NULL)
        (void)finding_hint(checking->findings, "did you mean '%s'?", near);
}

static void check_required(const struct checking *checking, struct yaml_node *node,
                           const struct schema_object *object)
{
    for (size_t i = 0; i < object->key_count; i++) {
        const struct schema_entry *key = &object->keys[i];
        if (!key->required || yaml_get(node, key->name) != NULL)
            continue;
        (void)mark(node);
        (void)finding_error_key(checking->findings, node, "'%s' is missing", key->name);
        (void)finding_hint(checking->findings, "%s: %s", key->name, key->help);
    }
}

/* --- what is not built -------------------------------------------------------------------------
 */

enum lateness { LATENESS_NONE, LATENESS_LATER, LATENESS_DRAFTS };

static enum lateness lateness_of(const struct yaml_node *value, const struct schema_entry *key)
{
    if (key->built == SCHEMA_DRAFTS)
        return LATENESS_DRAFTS;
    if (key->built == SCHEMA_LATER)
        return LATENESS_LATER;
    if (key->type == SCHEMA_CHOICE && key->object != NULL && value->kind == YAML_KIND_MAP)
        return LATENESS_DRAFTS; /* path: { steps: ... } */
    if (value->kind != YAML_KIND_TEXT || (!value->is_later && !value->has_words))
        return LATENESS_NONE;
    return key->mild ? LATENESS_LATER : LATENESS_DRAFTS;
}

/* "window", "path seasonal" */
static void name_late(const struct yaml_node *value, const struct schema_entry *key,
                      struct buf *out)
{
    char quoted[STR_QUOTED_SIZE];

    buf_text(out, key->name);
    if (value->is_later || value->has_words)
        buf_printf(out, " %s", str_quoted(value->text, quoted));
}

/* Keys of one object that are not built, and what follows: one warning for all of them. */
struct late_keys {
    const struct yaml_node *first;
    struct buf names;
    size_t count;
};

enum late_group { LATE_PLAIN, LATE_OWN, LATE_BASE, LATE_GROUPS };

static void note_late(struct late_keys *groups, const struct yaml_node *value,
                      const struct schema_entry *key, const struct schema_object *object)
{
    enum lateness lateness = lateness_of(value, key);
    enum late_group group = LATE_PLAIN;

    if (lateness == LATENESS_NONE)
        return;
    if (lateness == LATENESS_DRAFTS)
        group = schema_owner(object, key) == object ? LATE_OWN : LATE_BASE;
    if (groups[group].count++ == 0)
        groups[group].first = value;
    else
        buf_text(&groups[group].names, ", ");
    name_late(value, key, &groups[group].names);
}

static void warn_late(const struct checking *checking, struct late_keys *groups,
                      const struct schema_object *object)
{
    for (size_t i = 0; i < LATE_GROUPS; i++) {
        const struct late_keys *late = &groups[i];
        const char *verb = late->count == 1 ? "is" : "are";
        if (late->count > 0 && i == LATE_PLAIN)
            (void)finding_warning_key(checking->findings, late->first, "%.*s %s not built yet",
                                      STR_ARGS(buf_view(&late->names)), verb);
        else if (late->count > 0)
            (void)finding_warning_key(checking->findings, late->first, "%.*s %s not built yet: %s",
                                      STR_ARGS(buf_view(&late->names)), verb,
                                      i == LATE_OWN ? object->consequence
                                                    : object->base->consequence);
        buf_fini(&groups[i].names);
    }
}

/* --- objects -----------------------------------------------------------------------------------
 */

static void check_object(const struct checking *checking, struct yaml_node *node,
                         const struct schema_object *object)
{
    struct late_keys late[LATE_GROUPS] = {{NULL, BUF_EMPTY, 0}};
    struct str kind = check_variant(node, object);
    const struct schema_object *variant = schema_variant(object, kind);
    struct checking inner = *checking;

    check_required(checking, node, object);
    if (variant != NULL)
        check_required(checking, node, variant);
    for (size_t i = 0; i < node->count; i++) {
        struct yaml_node *value = node->items[i];
        const struct schema_entry *key = schema_find(object, kind, value->key->text);
        if (key == NULL) {
            if (object->variant_key == NULL || variant != NULL)
                report_unknown(checking, value, object, kind);
            continue;
        }
        check_value(&inner, value, key);
        if (inner.quiet)
            continue;
        if (object == &SCHEMA_ROOT && key->built == SCHEMA_LATER)
            (void)finding_warning_key(checking->findings, value, "this section is not built yet");
        else
            note_late(late, value, key, object);
        /* What hangs on a variant that is not built is not named again. */
        if (object->variant_key != NULL && strcmp(key->name, object->variant_key) == 0)
            inner.quiet = value->is_later;
    }
    warn_late(checking, late, object);
}

void check_tree(struct yaml_node *root, struct findings *findings)
{
    struct checking checking = {findings, false};

    check_object(&checking, root, &SCHEMA_ROOT);
}

const char *check_draft_reason(const struct yaml_node *node, const struct schema_object *object,
                               struct arena *arena)
{
    struct str kind = check_variant(node, object);

    for (size_t i = 0; i < node->count; i++) {
        const struct yaml_node *value = node->items[i];
        const struct schema_entry *key = schema_find(object, kind, value->key->text);
        if (key == NULL)
            continue;
        if (lateness_of(value, key) == LATENESS_DRAFTS) {
            struct buf text = BUF_EMPTY;
            buf_text(&text, "not built yet: ");
            name_late(value, key, &text);
            const char *reason = arena_text(arena, buf_view(&text));
            buf_fini(&text);
            return reason;
        }
        if (value->kind == YAML_KIND_MAP && key->shape == SCHEMA_ONE && key->object != NULL &&
            key->built == SCHEMA_BUILT && key->object != &SCHEMA_SCHEDULE_MAP) {
            const char *reason = check_draft_reason(value, key->object, arena);
            if (reason != NULL)
                return reason;
        }
    }
    return NULL;
}
