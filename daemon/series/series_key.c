#include "series/series_key.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Bytes of a key that are labels. */
enum { KEY_LABELS_MAX = LABEL_BYTES_MAX + 2 * LABELS_MAX };

static const char AFTER_NAME = '\x01';
static const char AFTER_VALUE = '\x00';

static bool holds(struct str text, char byte)
{
    return text.len > 0 && memchr(text.text, byte, text.len) != NULL;
}

/* G8: what Graphite says no to, and its own name of the metric. */
static bool is_graphite_label(struct label label)
{
    return !holds(label.name, '!') && !holds(label.name, '^') && !str_is(label.name, "name") &&
           !str_starts_with(label.value, "~");
}

static char sign_of_value(enum tag_style style)
{
    if (style == TAGS_KEY)
        return AFTER_NAME;
    return style == TAGS_COLON ? ':' : '=';
}

static char sign_between(enum tag_style style)
{
    if (style == TAGS_KEY)
        return AFTER_VALUE;
    return style == TAGS_SEMICOLON ? ';' : ',';
}

/* One tag of a style; false when it cannot be read. */
static bool label_parse(struct str tag, enum tag_style style, struct label *out)
{
    char separator = sign_of_value(style);
    bool has_value = holds(tag, separator);
    struct str value = tag;
    struct str name = str_split(&value, separator);
    *out = (struct label){name, value};

    if (!has_value && style == TAGS_COLON)
        out->value = STR("true"); /* D7: so that it can be asked for */
    if (name.len == 0 || !str_is_utf8(name) || !str_is_utf8(out->value) ||
        holds(out->value, AFTER_NAME) || (style == TAGS_SEMICOLON && !is_graphite_label(*out)))
        return false;
    /* Only DogStatsD's tags may have an empty one (D7, G8, I8). */
    return style == TAGS_COLON || out->value.len > 0;
}

/* Puts the label where it belongs among the sorted ones; false when its name is there with another
 * value. */
static bool insert_sorted(struct label *labels, size_t *count, struct label label)
{
    size_t at = *count;
    while (at > 0 && str_compare(labels[at - 1].name, label.name) > 0)
        at--;
    if (at > 0 && str_equal(labels[at - 1].name, label.name))
        return str_equal(labels[at - 1].value, label.value);
    if (*count == LABELS_MAX)
        return false;
    memmove(&labels[at + 1], &labels[at], (*count - at) * sizeof *labels);
    labels[at] = label;
    (*count)++;
    return true;
}

bool labels_parse(struct str tags, enum tag_style style, struct label *out, size_t *count)
{
    char between = sign_between(style);
    bool is_key = style == TAGS_KEY; /* then these two are signs */
    size_t bytes = 0;

    *count = 0;
    if (tags.len == 0)
        return true;
    if (style == TAGS_NONE || tags.len > LABEL_BYTES_MAX ||
        (!is_key && (holds(tags, AFTER_NAME) || holds(tags, AFTER_VALUE))))
        return false;
    struct str rest = tags;
    bool more = true;
    while (more) {
        struct label label;
        more = holds(rest, between);
        struct str tag = str_split(&rest, between);
        if (tag.len == 0 && style == TAGS_COLON)
            continue; /* "#a:1,,b:2" and a comma at the end are common and harmless */
        if (!label_parse(tag, style, &label))
            return false;
        if (label.value.len == 0)
            continue; /* it is none, whatever the protocol */
        bytes += label.name.len + label.value.len + 2;
        if (bytes > KEY_LABELS_MAX || !insert_sorted(out, count, label))
            return false;
    }
    return true;
}

/* U+0080 to U+009F, in UTF-8. */
static bool is_c1(struct str text, size_t at)
{
    return (unsigned char)text.text[at] == 0xc2 && at + 1 < text.len &&
           (unsigned char)text.text[at + 1] >= 0x80 && (unsigned char)text.text[at + 1] < 0xa0;
}

/* `c1`: these may be there. */
static bool name_is_valid(struct str name, bool c1)
{
    if (name.len == 0 || name.len > METRIC_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.text[i];
        if (c < 0x20 || c == 0x7f || (!c1 && is_c1(name, i)))
            return false;
    }
    return true;
}

bool metric_name_is_valid(struct str name)
{
    return name_is_valid(name, true);
}

bool metric_name_is_clean(struct str name)
{
    return name_is_valid(name, false);
}

bool metric_name_is_storable(struct str name)
{
    return metric_name_is_clean(name) && str_is_utf8(name);
}

/* The place after it. */
static char *put(char *at, struct str text, char after)
{
    if (text.len > 0)
        memcpy(at, text.text, text.len);
    at[text.len] = after;
    return at + text.len + 1;
}

void series_key_write(struct buf *out, enum metric_kind kind, struct str metric,
                      const struct label *labels, size_t count)
{
    size_t len = 1 + metric.len + 1;

    for (size_t i = 0; i < count; i++)
        len += labels[i].name.len + labels[i].value.len + 2;
    buf_clear(out);
    char *at = buf_room(out, len);
    *at++ = (char)kind;
    at = put(at, metric, AFTER_VALUE);
    for (size_t i = 0; i < count; i++) {
        at = put(at, labels[i].name, AFTER_NAME);
        at = put(at, labels[i].value, AFTER_VALUE);
    }
    out->len = len;
}

struct series_hash series_key_hash(struct str key)
{
    XXH128_hash_t hash = XXH3_128bits(key.text == NULL ? "" : key.text, key.len);
    return (struct series_hash){hash.high64, hash.low64};
}

bool series_hash_equal(struct series_hash a, struct series_hash b)
{
    return a.high == b.high && a.low == b.low;
}

enum metric_kind series_key_kind(struct str key)
{
    return key.len == 0 ? (enum metric_kind)0 : (enum metric_kind)(unsigned char)key.text[0];
}

/* The text from `from` to the next `end`; false when there is none. `*next` is after the end. */
static bool text_until(struct str key, size_t from, char end, struct str *out, size_t *next)
{
    if (from >= key.len)
        return false;
    const char *at = memchr(key.text + from, end, key.len - from);
    if (at == NULL)
        return false;
    size_t len = (size_t)(at - (key.text + from));
    *out = (struct str){key.text + from, len};
    *next = from + len + 1;
    return true;
}

struct str series_key_metric(struct str key)
{
    struct str metric = STR_EMPTY;
    size_t next = 0;
    return text_until(key, 1, AFTER_VALUE, &metric, &next) ? metric : STR_EMPTY;
}

bool series_key_next_label(struct str key, size_t *at, struct label *out)
{
    size_t from = *at;
    size_t value_at = 0;

    if (from == 0 && !text_until(key, 1, AFTER_VALUE, &out->name, &from))
        return false;
    return text_until(key, from, AFTER_NAME, &out->name, &value_at) &&
           text_until(key, value_at, AFTER_VALUE, &out->value, at);
}

bool series_key_label(struct str key, struct str name, struct str *out)
{
    struct label label;
    size_t at = 0;

    while (series_key_next_label(key, &at, &label)) {
        if (str_equal(label.name, name)) {
            *out = label.value;
            return true;
        }
    }
    return false;
}

bool series_key_is_valid(struct str key)
{
    struct str metric = STR_EMPTY;
    struct label label;
    struct str name_before = STR_EMPTY;
    size_t at = 0;
    size_t labels = 0;

    if (metric_kind_name(series_key_kind(key)) == NULL ||
        !text_until(key, 1, AFTER_VALUE, &metric, &at) || !metric_name_is_valid(metric))
        return false;
    size_t labels_at = at;
    while (at < key.len) {
        if (!series_key_next_label(key, &at, &label))
            return false;
        if (label.name.len == 0 || holds(label.name, AFTER_VALUE) ||
            holds(label.value, AFTER_NAME) || str_compare(name_before, label.name) >= 0)
            return false;
        name_before = label.name;
        labels++;
    }
    return labels <= LABELS_MAX && key.len - labels_at <= KEY_LABELS_MAX;
}

static void format_quoted(struct buf *out, struct str text)
{
    size_t from = 0;

    buf_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] != '"' && text.text[i] != '\\')
            continue;
        buf_visible(out, (struct str){text.text + from, i - from});
        buf_char(out, '\\');
        from = i; /* the sign itself comes with what follows */
    }
    if (from < text.len)
        buf_visible(out, (struct str){text.text + from, text.len - from});
    buf_char(out, '"');
}

static bool is_bare(struct str name)
{
    size_t shown = 0;

    for (size_t i = 0; i < name.len; i += shown) {
        shown = str_visible(name, i);
        if (shown == 0 || !series_key_is_bare(name.text[i]))
            return false;
    }
    return name.len > 0;
}

void series_key_format_name(struct buf *out, struct str name)
{
    if (is_bare(name))
        buf_str(out, name);
    else
        format_quoted(out, name);
}

void series_key_format(struct buf *out, struct str key)
{
    struct label label;
    size_t at = 0;
    const char *before = "{";

    if (series_key_metric(key).len > 0) /* there is none where a sample without one is shown */
        series_key_format_name(out, series_key_metric(key));
    while (series_key_next_label(key, &at, &label)) {
        buf_text(out, before);
        series_key_format_name(out, label.name);
        buf_char(out, '=');
        format_quoted(out, label.value);
        before = ",";
    }
    if (before[0] == ',')
        buf_char(out, '}');
}
