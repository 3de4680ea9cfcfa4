#include "config/yaml.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/table.h"

struct reading {
    yaml_parser_t parser;
    struct str text;
    const char *file;
    struct arena *arena;
    struct findings *findings;
    size_t nodes;
    bool stopped; /* nothing more can be read from this file */
};

/* --- the tree ----------------------------------------------------------------------------------
 */

struct yaml_node *yaml_find(const struct yaml_node *map, struct str key)
{
    if (map == NULL || map->kind != YAML_KIND_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (str_equal(map->items[i]->key->text, key))
            return map->items[i];
    }
    return NULL;
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    return yaml_find(map, str_of(key));
}

bool yaml_is_empty(const struct yaml_node *node)
{
    return node->kind == YAML_KIND_TEXT && node->plain &&
           (node->text.len == 0 || str_is(node->text, "~") || str_is(node->text, "null"));
}

void yaml_path(const struct yaml_node *node, struct buf *out)
{
    while (node->origin != NULL)
        node = node->origin;
    if (node->parent == NULL)
        return;
    yaml_path(node->parent, out);
    if (node->key == NULL) {
        buf_printf(out, "[%zu]", node->index);
        return;
    }
    char quoted[STR_QUOTED_SIZE];
    if (out->len > 0)
        buf_char(out, '.');
    buf_text(out, str_quoted(node->key->text, quoted));
}

static void append(struct arena *arena, struct yaml_node *parent, struct yaml_node *value)
{
    parent->items = arena_grow(arena, parent->items, parent->count, &parent->capacity,
                               sizeof(struct yaml_node *));
    value->parent = parent;
    value->index = parent->count;
    parent->items[parent->count++] = value;
}

static struct yaml_node *make(struct arena *arena, enum yaml_kind kind,
                              const struct yaml_node *origin)
{
    struct yaml_node *node = arena_alloc(arena, sizeof *node);

    node->kind = kind;
    node->file = origin->file;
    node->line = origin->line;
    node->column = origin->column;
    node->origin = origin;
    node->is_made = true;
    return node;
}

struct yaml_node *yaml_make_text(struct arena *arena, struct str text,
                                 const struct yaml_node *origin)
{
    struct yaml_node *node = make(arena, YAML_KIND_TEXT, origin);

    node->text = arena_str(arena, text);
    return node;
}

struct yaml_node *yaml_make_map(struct arena *arena, const struct yaml_node *origin)
{
    return make(arena, YAML_KIND_MAP, origin);
}

struct yaml_node *yaml_make_list(struct arena *arena, const struct yaml_node *origin)
{
    return make(arena, YAML_KIND_LIST, origin);
}

struct yaml_node *yaml_copy(struct arena *arena, const struct yaml_node *node)
{
    struct yaml_node *copy = arena_alloc(arena, sizeof *copy);

    *copy = *node;
    copy->origin = node;
    copy->parent = NULL;
    copy->key = NULL;
    return copy;
}

void yaml_put(struct arena *arena, struct yaml_node *map, const char *key, struct yaml_node *value)
{
    assert(map->kind == YAML_KIND_MAP && value->key == NULL && yaml_get(map, key) == NULL);
    /* The key stands where the key stood that the value was made from. */
    const struct yaml_node *origin = value->origin;
    const struct yaml_node *place = origin->key != NULL ? origin->key : origin;
    value->key = yaml_make_text(arena, str_of(key), place);
    append(arena, map, value);
}

void yaml_append(struct arena *arena, struct yaml_node *list, struct yaml_node *value)
{
    assert(list->kind == YAML_KIND_LIST && value->key == NULL);
    append(arena, list, value);
}

struct yaml_node *yaml_remove(struct yaml_node *map, const char *key)
{
    struct yaml_node *found = yaml_get(map, key);
    size_t kept = 0;

    if (found == NULL)
        return NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (map->items[i] != found)
            map->items[kept++] = map->items[i];
    }
    map->count = kept;
    return found;
}

/* --- reading -----------------------------------------------------------------------------------
 */

static struct place place_of(const struct reading *reading, const yaml_mark_t *mark)
{
    return (struct place){reading->file, (unsigned)mark->line + 1, (unsigned)mark->column + 1};
}

static struct yaml_node *new_node(struct reading *reading, const yaml_event_t *event,
                                  enum yaml_kind kind)
{
    struct yaml_node *node = arena_alloc(reading->arena, sizeof *node);
    struct place place = place_of(reading, &event->start_mark);

    node->kind = kind;
    node->file = reading->file;
    node->line = place.line;
    node->column = place.column;
    if (++reading->nodes > YAML_NODES_MAX && !reading->stopped) {
        reading->stopped = true;
        (void)finding_add(reading->findings, FINDING_ERROR, place, "",
                          "the file has more than %d values", YAML_NODES_MAX);
    }
    return node;
}

static struct str line_at(const struct reading *reading, size_t line)
{
    struct str rest = reading->text;
    struct str found = STR_EMPTY;

    for (size_t i = 0; i <= line && rest.len > 0; i++)
        found = str_split(&rest, '\n');
    return found;
}

static bool holds(struct str text, const char *what)
{
    return text.len > 0 && memmem(text.text, text.len, what, strlen(what)) != NULL;
}

/* "(name{": label braces of a formula that nobody quoted. */
static bool has_label_braces(struct str line)
{
    bool in_call = false;

    for (size_t i = 0; i < line.len; i++) {
        char c = line.text[i];
        if (c == '(')
            in_call = true;
        else if (c == '{' && in_call)
            return true;
        else if (c == ' ' || c == ')' || c == '"' || c == '\'')
            in_call = false;
    }
    return false;
}

/* What the usual mistakes look like to libyaml. */
static void hint_syntax(struct reading *reading, size_t line, const char *problem)
{
    struct str text = line_at(reading, line);

    if (has_label_braces(text))
        (void)finding_hint(
            reading->findings,
            "quote a formula with labels inside braces: { value: 'sum(x{p=\"y\"})' }");
    else if (holds(text, "\t"))
        (void)finding_hint(reading->findings, "indent with spaces, not with tabs");
    else if (strstr(problem, "cannot start any token") != NULL && holds(text, "%"))
        (void)finding_hint(reading->findings, "write \"%%\" in quotes");
    else if (holds(text, "{{"))
        (void)finding_hint(reading->findings, "quote a text that holds {{...}}");
    else if (strstr(problem, "mapping values are not allowed") != NULL)
        (void)finding_hint(reading->findings, "quote a text that holds \": \"");
}

static void report_syntax(struct reading *reading)
{
    const yaml_parser_t *parser = &reading->parser;
    const char *problem = parser->problem != NULL ? parser->problem : "not YAML";
    struct place place = place_of(reading, &parser->problem_mark);

    reading->stopped = true;
    if (parser->error == YAML_READER_ERROR) {
        /* The reader knows an offset alone. */
        struct str rest = reading->text;
        size_t offset = parser->problem_offset < rest.len ? parser->problem_offset : rest.len;
        place = (struct place){reading->file, 1, 1};
        for (size_t i = 0; i < offset; i++) {
            place.column++;
            if (rest.text[i] == '\n')
                place = (struct place){reading->file, place.line + 1, 1};
        }
        (void)finding_add(reading->findings, FINDING_ERROR, place, "",
                          "the file is not UTF-8 text: %s", problem);
        return;
    }
    (void)finding_add(reading->findings, FINDING_ERROR, place, "", "%s%s%s", problem,
                      parser->context != NULL ? " " : "",
                      parser->context != NULL ? parser->context : "");
    hint_syntax(reading, parser->problem_mark.line, problem);
}

static bool next_event(struct reading *reading, yaml_event_t *event)
{
    if (reading->stopped)
        return false;
    if (yaml_parser_parse(&reading->parser, event) == 0) {
        report_syntax(reading);
        return false;
    }
    return true;
}

static void refuse_extras(struct reading *reading, const yaml_event_t *event,
                          const yaml_char_t *anchor, const yaml_char_t *tag)
{
    struct place place = place_of(reading, &event->start_mark);

    if (anchor != NULL)
        (void)finding_add(reading->findings, FINDING_ERROR, place, "",
                          "anchors are not part of the language: '&%.60s'", (const char *)anchor);
    if (tag != NULL)
        (void)finding_add(reading->findings, FINDING_ERROR, place, "",
                          "tags are not part of the language: '%.60s'", (const char *)tag);
}

static struct yaml_node *read_scalar(struct reading *reading, const yaml_event_t *event)
{
    struct yaml_node *node = new_node(reading, event, YAML_KIND_TEXT);
    struct str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    size_t width = event->end_mark.index - event->start_mark.index;

    refuse_extras(reading, event, event->data.scalar.anchor, event->data.scalar.tag);
    node->text = arena_str(reading->arena, text);
    node->plain = plain;
    node->is_clean =
        event->start_mark.line == event->end_mark.line && width == text.len + (plain ? 0 : 2);
    if (memchr(text.text, '\0', text.len) != NULL) {
        node->is_bad = true;
        (void)finding_add(reading->findings, FINDING_ERROR, place_of(reading, &event->start_mark),
                          "", "a text must not hold a NUL character");
    }
    return node;
}

/* Where a node will hang: known before it is read, so that mistakes inside it have their path. */
struct slot {
    struct yaml_node *parent;
    struct yaml_node *key; /* NULL inside a list */
    unsigned depth;
};

static struct yaml_node *read_node(struct reading *reading, const yaml_event_t *event,
                                   const struct slot *slot);

static void hang(struct yaml_node *node, const struct slot *slot)
{
    node->parent = slot->parent;
    node->key = slot->key;
    node->index = slot->parent == NULL ? 0 : slot->parent->count;
}

static struct yaml_node *read_list(struct reading *reading, const yaml_event_t *start,
                                   const struct slot *slot)
{
    struct yaml_node *list = new_node(reading, start, YAML_KIND_LIST);
    struct slot inside = {list, NULL, slot->depth + 1};
    yaml_event_t event;

    hang(list, slot);
    refuse_extras(reading, start, start->data.sequence_start.anchor,
                  start->data.sequence_start.tag);
    while (next_event(reading, &event)) {
        bool is_end = event.type == YAML_SEQUENCE_END_EVENT;
        struct yaml_node *item = is_end ? NULL : read_node(reading, &event, &inside);
        yaml_event_delete(&event);
        if (is_end)
            break;
        if (item != NULL)
            append(reading->arena, list, item);
    }
    return list;
}

/* `{ at_least: 5,000 }` is the key at_least with 5 and a stray key 000. */
static bool is_cut_number(const struct yaml_node *map, const struct yaml_node *key,
                          const struct yaml_node *value)
{
    if (map->count == 0 || !yaml_is_empty(value) || !key->plain || key->text.len != 3)
        return false;
    for (size_t i = 0; i < key->text.len; i++) {
        if (key->text.text[i] < '0' || key->text.text[i] > '9')
            return false;
    }
    const struct yaml_node *before = map->items[map->count - 1];
    return before->kind == YAML_KIND_TEXT && before->text.len > 0 &&
           before->text.text[before->text.len - 1] >= '0' &&
           before->text.text[before->text.len - 1] <= '9';
}

/* Whether the pair may join the map; if not, what is wrong has been said. */
static bool check_key(struct reading *reading, const struct yaml_node *map,
                      const struct table *seen, struct yaml_node *value)
{
    const struct yaml_node *key = value->key;
    const struct yaml_node *first = table_find(seen, key->text);

    if (str_is(key->text, "<<") && key->plain)
        return finding_error_key(reading->findings, value,
                                 "merge keys are not part of the language");
    if (is_cut_number(map, key, value)) {
        struct yaml_node *before = map->items[map->count - 1];
        before->is_bad = true;
        (void)finding_error(reading->findings, before, "a comma ends the value");
        return finding_hint(reading->findings, "write %.*s%.*s", STR_ARGS(before->text),
                            STR_ARGS(key->text));
    }
    if (first != NULL) {
        (void)finding_error_key(reading->findings, value, "duplicate key");
        return finding_hint(reading->findings, "the first one is in line %u", first->line);
    }
    return true;
}

static void read_pair(struct reading *reading, struct yaml_node *map, struct table *seen,
                      const yaml_event_t *key_event, unsigned depth)
{
    yaml_event_t event;

    if (key_event->type != YAML_SCALAR_EVENT) {
        reading->stopped = true;
        (void)finding_add(reading->findings, FINDING_ERROR,
                          place_of(reading, &key_event->start_mark), "", "a key must be a text");
        hint_syntax(reading, key_event->start_mark.line, "");
        return;
    }
    struct yaml_node *key = read_scalar(reading, key_event);
    if (!next_event(reading, &event))
        return;
    struct slot inside = {map, key, depth};
    struct yaml_node *value = read_node(reading, &event, &inside);
    yaml_event_delete(&event);
    if (value == NULL || key->is_bad)
        return;
    if (check_key(reading, map, seen, value)) {
        append(reading->arena, map, value);
        (void)table_add(seen, key->text, key);
    }
}

static struct yaml_node *read_map(struct reading *reading, const yaml_event_t *start,
                                  const struct slot *slot)
{
    struct yaml_node *map = new_node(reading, start, YAML_KIND_MAP);
    struct table seen = TABLE_EMPTY;
    yaml_event_t event;

    hang(map, slot);
    refuse_extras(reading, start, start->data.mapping_start.anchor, start->data.mapping_start.tag);
    while (next_event(reading, &event)) {
        bool is_end = event.type == YAML_MAPPING_END_EVENT;
        if (!is_end)
            read_pair(reading, map, &seen, &event, slot->depth + 1);
        yaml_event_delete(&event);
        if (is_end)
            break;
    }
    table_fini(&seen);
    return map;
}

/* NULL for what is refused whole. Depth is bounded, so recursion is. */
static struct yaml_node *read_node(struct reading *reading, const yaml_event_t *event,
                                   const struct slot *slot)
{
    struct place place = place_of(reading, &event->start_mark);

    if (slot->depth > YAML_DEPTH_MAX) {
        reading->stopped = true;
        (void)finding_add(reading->findings, FINDING_ERROR, place, "",
                          "nested more than %d levels deep", YAML_DEPTH_MAX);
        return NULL;
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT: {
        struct yaml_node *text = read_scalar(reading, event);
        hang(text, slot);
        return text;
    }
    case YAML_SEQUENCE_START_EVENT:
        return read_list(reading, event, slot);
    case YAML_MAPPING_START_EVENT:
        return read_map(reading, event, slot);
    case YAML_ALIAS_EVENT:
        (void)finding_add(reading->findings, FINDING_ERROR, place, "",
                          "aliases are not part of the language: '*%.60s'",
                          (const char *)event->data.alias.anchor);
        (void)finding_hint(reading->findings, "quote a text that starts with *");
        return NULL;
    default:
        return NULL;
    }
}

static struct yaml_node *read_documents(struct reading *reading)
{
    struct yaml_node *root = NULL;
    unsigned documents = 0;
    yaml_event_t event;

    while (next_event(reading, &event)) {
        yaml_event_type_t type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && ++documents > 1) {
            reading->stopped = true;
            (void)finding_add(reading->findings, FINDING_ERROR,
                              place_of(reading, &event.start_mark), "",
                              "a file holds one document; a second one starts here");
        } else if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT &&
                   type != YAML_DOCUMENT_START_EVENT && type != YAML_DOCUMENT_END_EVENT) {
            struct slot top = {NULL, NULL, 1};
            root = read_node(reading, &event, &top);
        }
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT)
            break;
    }
    return root;
}

struct yaml_node *yaml_read(struct str text, const char *file, struct arena *arena,
                            struct findings *findings)
{
    static const struct yaml_node nowhere = {.kind = YAML_KIND_MAP, .line = 1, .column = 1};
    struct place whole = {file, 0, 0};

    if (text.len > YAML_FILE_BYTES_MAX) {
        (void)finding_add(findings, FINDING_ERROR, whole, "", "the file is larger than %d MiB",
                          YAML_FILE_BYTES_MAX / 1024 / 1024);
        return NULL;
    }
    if (str_starts_with(text, "\xef\xbb\xbf")) /* a byte order mark */
        text = (struct str){text.text + 3, text.len - 3};
    if (text.len == 0)
        text = STR("");
    struct reading reading = {.text = text, .file = file, .arena = arena, .findings = findings};
    if (yaml_parser_initialize(&reading.parser) == 0)
        abort(); /* it only allocates */
    yaml_parser_set_encoding(&reading.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reading.parser, (const unsigned char *)text.text, text.len);
    struct yaml_node *root = read_documents(&reading);
    yaml_parser_delete(&reading.parser);
    if (reading.stopped)
        return NULL;
    if (root == NULL || yaml_is_empty(root)) {
        root = yaml_copy(arena, &nowhere);
        root->origin = NULL;
        root->file = file;
    }
    if (root->kind != YAML_KIND_MAP) {
        (void)finding_error(findings, root, "the file must be a map of sections, as 'kpis:'");
        return NULL;
    }
    return root;
}
