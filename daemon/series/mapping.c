#include "series/mapping.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/table.h"

enum part_kind { PART_TEXT, PART_STAR, PART_STARS };

/* "text", "*", "before*after", "**" */
struct part {
    enum part_kind kind;
    struct str before; /* all of it for PART_TEXT */
    struct str after;
};

struct rule {
    const struct mapping_rule *source;
    struct part parts[MAPPING_PARTS_MAX];
    size_t part_count;
    size_t next; /* that begins alike; + 1, 0: none */
};

/* Rules that begin with a text are found by it; the others are tried for every name. Both lists are
 * in the order of the rules. */
struct mapping {
    struct rule *rules;
    struct table first_parts; /* -> struct rule, the first one that begins so */
    size_t any;               /* the first one that begins with a star, + 1 */
};

/* --- compiling -------------------------------------------------------------------------------- */

static bool compile_part(struct str text, struct part *out, struct error *err)
{
    const char *star = text.len == 0 ? NULL : memchr(text.text, '*', text.len);

    *out = (struct part){.before = text};
    if (text.len == 0)
        return error_set(err, ERROR_INVALID, "a part between dots is empty");
    if (star == NULL)
        return true;
    out->kind = str_is(text, "**") ? PART_STARS : PART_STAR;
    if (out->kind == PART_STARS)
        return true;
    out->before.len = (size_t)(star - text.text);
    out->after = (struct str){star + 1, text.len - out->before.len - 1};
    if (out->after.len > 0 && memchr(out->after.text, '*', out->after.len) != NULL)
        return error_set(err, ERROR_INVALID, "'%.*s' has two stars: one a part, or ** alone",
                         STR_ARGS(text));
    return true;
}

/* `*stars`: how many there are to refer to. */
static bool compile_match(const char *match, struct rule *out, size_t *stars, struct error *err)
{
    struct str rest = str_of(match);
    bool more = true;

    out->part_count = 0;
    *stars = 0;
    while (more) {
        if (out->part_count == MAPPING_PARTS_MAX)
            return error_set(err, ERROR_INVALID, "'%s' has more than %d parts", match,
                             MAPPING_PARTS_MAX);
        more = memchr(rest.text, '.', rest.len) != NULL;
        struct part *part = &out->parts[out->part_count++];
        if (!compile_part(str_split(&rest, '.'), part, err))
            return false;
        *stars += part->kind != PART_TEXT;
    }
    if (*stars > MAPPING_STARS_MAX)
        return error_set(err, ERROR_INVALID, "'%s' has more than %d stars", match,
                         MAPPING_STARS_MAX);
    return true;
}

/* The star that a '$' at `at` names, + 1; 0: it is a dollar like any other. */
static size_t reference_at(struct str text, size_t at)
{
    if (text.text[at] != '$' || at + 1 == text.len)
        return 0;
    char digit = text.text[at + 1];
    return digit >= '1' && digit <= '9' ? (size_t)(digit - '0') : 0;
}

static bool check_references(const char *text, size_t stars, struct error *err)
{
    struct str all = str_of(text);

    for (size_t i = 0; i < all.len; i++) {
        size_t reference = reference_at(all, i);
        if (reference > stars)
            return error_set(err, ERROR_INVALID, "'%s' names $%zu, and there are %zu stars", text,
                             reference, stars);
    }
    return true;
}

bool mapping_check(const struct mapping_rule *rule, struct error *err)
{
    struct rule compiled;
    size_t stars = 0;

    if (rule->match == NULL || rule->match[0] == '\0')
        return error_set(err, ERROR_INVALID, "a rule says what it matches");
    if (!compile_match(rule->match, &compiled, &stars, err))
        return false;
    if (rule->drop && (rule->name != NULL || rule->label_count > 0))
        return error_set(err, ERROR_INVALID, "what is dropped has no name and no labels");
    if (!rule->drop && rule->name == NULL && rule->label_count == 0)
        return error_set(err, ERROR_INVALID, "a rule gives a name or labels, or drops");
    if (rule->label_count > LABELS_MAX)
        return error_set(err, ERROR_INVALID, "there are more than %d labels", LABELS_MAX);
    for (size_t i = 0; i < rule->label_count; i++) {
        if (rule->labels[i].name.len == 0)
            return error_set(err, ERROR_INVALID, "a label needs a name");
        if (!check_references(rule->labels[i].value.text, stars, err))
            return false;
    }
    return rule->name == NULL || check_references(rule->name, stars, err);
}

static void add_to_list(struct mapping *mapping, size_t rule, size_t *last, size_t *first)
{
    if (*first == 0)
        *first = rule + 1;
    else
        mapping->rules[*last - 1].next = rule + 1;
    *last = rule + 1;
}

/* Appends to the list of its first part, whose end is found by walking: rules are few. */
static void index_rule(struct mapping *mapping, size_t number, size_t *any_last)
{
    struct rule *rule = &mapping->rules[number];

    if (rule->parts[0].kind != PART_TEXT) {
        add_to_list(mapping, number, any_last, &mapping->any);
        return;
    }
    struct rule *first = table_find(&mapping->first_parts, rule->parts[0].before);
    if (first == NULL) {
        (void)table_add(&mapping->first_parts, rule->parts[0].before, rule);
        return;
    }
    while (first->next != 0)
        first = &mapping->rules[first->next - 1];
    first->next = number + 1;
}

struct mapping *mapping_new(const struct mapping_rule *rules, size_t count)
{
    struct error ignored = ERROR_EMPTY;
    size_t any_last = 0;
    size_t stars = 0;

    if (count == 0)
        return NULL;
    struct mapping *mapping = memory_zero(1, sizeof *mapping);
    mapping->rules = memory_zero(count, sizeof *mapping->rules);
    for (size_t i = 0; i < count; i++) {
        mapping->rules[i].source = &rules[i];
        (void)compile_match(rules[i].match, &mapping->rules[i], &stars, &ignored);
        index_rule(mapping, i, &any_last);
    }
    return mapping;
}

void mapping_free(struct mapping *mapping)
{
    if (mapping == NULL)
        return;
    table_fini(&mapping->first_parts);
    free(mapping->rules);
    free(mapping);
}

/* --- matching --------------------------------------------------------------------------------- */

struct stars {
    struct str found[MAPPING_STARS_MAX];
    size_t count;
};

static struct str first_part(struct str name)
{
    return str_split(&name, '.');
}

static bool part_matches(const struct part *part, struct str text, struct str *star)
{
    if (part->kind == PART_TEXT)
        return str_equal(part->before, text);
    if (text.len <= part->before.len + part->after.len ||
        memcmp(text.text, part->before.text, part->before.len) != 0 ||
        (part->after.len > 0 &&
         memcmp(text.text + text.len - part->after.len, part->after.text, part->after.len) != 0))
        return false;
    *star =
        (struct str){text.text + part->before.len, text.len - part->before.len - part->after.len};
    return true;
}

/* Where ** may still take one part more: the newest one alone has to be tried again, for what comes
 * before it matched as early as it could. */
struct retry {
    bool is_open;
    size_t part;
    struct str rest; /* of the name, after what ** has taken so far */
    size_t stars;
};

/* Gives the ** of `retry` one part more. False: there is none. */
static bool take_more(struct retry *retry, struct str *rest, bool *at_end, struct stars *stars)
{
    if (!retry->is_open || retry->rest.text == NULL)
        return false;
    struct str *taken = &stars->found[retry->stars];
    struct str left = retry->rest;
    struct str part = str_split(&left, '.');
    bool is_last = part.len == retry->rest.len;

    taken->len = (size_t)(part.text + part.len - taken->text);
    stars->count = retry->stars + 1;
    retry->rest = is_last ? STR_EMPTY : left;
    *rest = retry->rest;
    *at_end = is_last;
    return true;
}

static bool matches(const struct rule *rule, struct str name, struct stars *stars)
{
    struct str rest = name;
    struct retry retry = {0};
    bool at_end = false;
    size_t i = 0;

    stars->count = 0;
    for (;;) {
        bool ok = i < rule->part_count && !at_end;
        if (i == rule->part_count && at_end)
            return true;
        if (ok && rule->parts[i].kind == PART_STARS) {
            retry = (struct retry){true, i + 1, rest, stars->count};
            stars->found[stars->count] = (struct str){rest.text, 0};
        } else if (ok) {
            struct str left = rest;
            struct str part = str_split(&left, '.');
            struct str star = STR_EMPTY;
            ok = part_matches(&rule->parts[i], part, &star);
            if (ok && rule->parts[i].kind == PART_STAR)
                stars->found[stars->count++] = star;
            at_end = ok && part.len == rest.len;
            rest = left;
            i += ok;
            if (ok)
                continue;
        }
        if (!take_more(&retry, &rest, &at_end, stars))
            return false;
        i = retry.part;
    }
}

/* The first rule that matches, of both lists. */
static const struct rule *find_rule(const struct mapping *mapping, struct str name,
                                    struct stars *stars)
{
    const struct rule *named = table_find(&mapping->first_parts, first_part(name));
    const struct rule *any = mapping->any == 0 ? NULL : &mapping->rules[mapping->any - 1];

    while (named != NULL || any != NULL) {
        bool takes_named = any == NULL || (named != NULL && named < any);
        const struct rule *rule = takes_named ? named : any;
        const struct rule *next = rule->next == 0 ? NULL : &mapping->rules[rule->next - 1];
        if (matches(rule, name, stars))
            return rule;
        if (takes_named)
            named = next;
        else
            any = next;
    }
    return NULL;
}

/* --- what becomes of it ----------------------------------------------------------------------- */

/* Writes a text with what its references stand for; false when it does not fit. */
static bool expand(struct str text, const struct stars *stars, struct mapped *out, size_t *used,
                   struct str *expanded)
{
    size_t from = *used;

    for (size_t i = 0; i < text.len; i++) {
        size_t reference = reference_at(text, i);
        struct str piece =
            reference == 0 ? (struct str){text.text + i, 1} : stars->found[reference - 1];
        if (piece.len > sizeof out->text - *used)
            return false;
        memcpy(out->text + *used, piece.text, piece.len);
        *used += piece.len;
        i += reference != 0;
    }
    *expanded = (struct str){out->text + from, *used - from};
    return true;
}

/* Keeps the labels sorted; false when there are too many. One with an empty value is none. */
static bool add_label(struct mapped *out, struct label label)
{
    size_t at = 0;

    if (label.value.len == 0)
        return true;
    while (at < out->label_count && str_compare(out->labels[at].name, label.name) < 0)
        at++;
    if (at < out->label_count && str_equal(out->labels[at].name, label.name))
        return true; /* what was sent stays */
    if (out->label_count == LABELS_MAX)
        return false;
    memmove(&out->labels[at + 1], &out->labels[at],
            (out->label_count - at) * sizeof out->labels[0]);
    out->labels[at] = label;
    out->label_count++;
    return true;
}

enum mapping_verdict mapping_apply(const struct mapping *mapping, struct str name,
                                   const struct label *labels, size_t count, struct mapped *out)
{
    struct stars stars;
    size_t used = 0;

    if (mapping == NULL)
        return MAPPING_NONE;
    const struct rule *rule = find_rule(mapping, name, &stars);
    if (rule == NULL)
        return MAPPING_NONE;
    if (rule->source->drop)
        return MAPPING_DROPPED;
    out->name = name;
    out->label_count = count;
    if (count > 0)
        memcpy(out->labels, labels, count * sizeof *labels);
    if (rule->source->name != NULL &&
        !expand(str_of(rule->source->name), &stars, out, &used, &out->name))
        return MAPPING_TOO_BIG;
    for (size_t i = 0; i < rule->source->label_count; i++) {
        struct label label = {.name = rule->source->labels[i].name};
        if (!expand(rule->source->labels[i].value, &stars, out, &used, &label.value) ||
            !add_label(out, label))
            return MAPPING_TOO_BIG;
    }
    return MAPPING_MAPPED;
}
