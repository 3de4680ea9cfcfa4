#include "ingest/otlp_labels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/wire.h"
#include "ingest/remote_labels.h"

static void refuse(struct otlp_labels *labels, const char *words)
{
    if (labels->wrong != REJECT_NONE)
        return; /* the first mistake stays */
    labels->wrong = REJECT_bad_tags;
    labels->words = words;
}

static const char TOO_LONG[] = "the attributes are too many or too long";

/* --- values ----------------------------------------------------------------------------------- */

enum value_kind {
    VALUE_NONE,
    VALUE_TEXT,
    VALUE_BOOL,
    VALUE_INTEGER,
    VALUE_DOUBLE,
    VALUE_LIST,
    VALUE_MAP,
    VALUE_BYTES,
};

/* An AnyValue. */
struct value {
    enum value_kind kind;
    struct str bytes;
    uint64_t number;
};

static bool read_value(struct str bytes, struct value *out)
{
    struct wire wire = wire_of(bytes);

    *out = (struct value){.kind = VALUE_NONE};
    while (wire_next(&wire)) {
        switch (wire.tag) {
        case WIRE_TAG(1, WIRE_BYTES):
            *out = (struct value){.kind = VALUE_TEXT, .bytes = wire_bytes(&wire)};
            break;
        case WIRE_TAG(2, WIRE_VARINT):
            *out = (struct value){.kind = VALUE_BOOL, .number = wire_varint(&wire)};
            break;
        case WIRE_TAG(3, WIRE_VARINT):
            *out = (struct value){.kind = VALUE_INTEGER, .number = wire_varint(&wire)};
            break;
        case WIRE_TAG(4, WIRE_FIXED64):
            *out = (struct value){.kind = VALUE_DOUBLE, .number = wire_fixed64(&wire)};
            break;
        case WIRE_TAG(5, WIRE_BYTES):
            *out = (struct value){.kind = VALUE_LIST, .bytes = wire_bytes(&wire)};
            break;
        case WIRE_TAG(6, WIRE_BYTES):
            *out = (struct value){.kind = VALUE_MAP, .bytes = wire_bytes(&wire)};
            break;
        case WIRE_TAG(7, WIRE_BYTES):
            *out = (struct value){.kind = VALUE_BYTES, .bytes = wire_bytes(&wire)};
            break;
        default:
            wire_skip(&wire);
        }
    }
    return wire.ok;
}

struct str otlp_labels_key_of(struct str key_value)
{
    struct str key = STR_EMPTY;
    struct str value = STR_EMPTY;
    return wire_read_pair(key_value, &key, &value) ? key : STR_EMPTY;
}

/* --- values as text --------------------------------------------------------------------------- */

/* JSON is written as long as it may still become a label. */
struct writing {
    struct buf out;
    struct json json;
    bool is_too_long;
    bool is_broken;
    bool is_too_deep;
};

static bool goes_on(struct writing *writing, size_t more)
{
    if (more > LABEL_BYTES_MAX || writing->out.len + more > LABEL_BYTES_MAX)
        writing->is_too_long = true;
    return !writing->is_too_long && !writing->is_broken && !writing->is_too_deep;
}

/* RFC 4648, in a text of JSON. */
static void write_base64(struct buf *out, struct str bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t group = 0;
        size_t left = bytes.len - i < 3 ? bytes.len - i : 3;
        for (size_t j = 0; j < 3; j++)
            group = group << 8 | (j < left ? (unsigned char)bytes.text[i + j] : 0);
        for (size_t j = 0; j < 4; j++) {
            char digit = '=';
            if (j <= left)
                digit = digits[group >> (18 - 6 * j) & 63];
            buf_char(out, digit);
        }
    }
}

/* What is no number to JSON is a text, as OTLP's own JSON has it. */
static const char *word_for(double value)
{
    if (isnan(value))
        return "NaN";
    return value > 0 ? "Infinity" : "-Infinity";
}

static void write_value(struct writing *writing, struct str bytes, unsigned depth);

static void write_list(struct writing *writing, struct str bytes, bool is_map, unsigned depth)
{
    struct wire wire = wire_of(bytes);
    struct str key = STR_EMPTY;

    if (depth == OTLP_VALUE_DEPTH_MAX) {
        writing->is_too_deep = true;
        return;
    }
    json_open(&writing->json, is_map ? '{' : '[');
    while (wire_next(&wire) && goes_on(writing, 0)) {
        if (wire.tag != WIRE_TAG(1, WIRE_BYTES)) {
            wire_skip(&wire);
            continue;
        }
        struct str value = wire_bytes(&wire);
        if (is_map) {
            writing->is_broken |= !wire_read_pair(value, &key, &value);
            if (goes_on(writing, key.len))
                json_key_str(&writing->json, key);
        }
        write_value(writing, value, depth + 1);
    }
    writing->is_broken |= !wire.ok;
    json_close(&writing->json, is_map ? '}' : ']');
}

static void write_value(struct writing *writing, struct str bytes, unsigned depth)
{
    struct buf base64 = BUF_EMPTY;
    struct value value;

    writing->is_broken |= !read_value(bytes, &value);
    if (!goes_on(writing,
                 value.kind == VALUE_TEXT || value.kind == VALUE_BYTES ? value.bytes.len : 0))
        return;
    switch (value.kind) {
    case VALUE_NONE:
        json_put_null(&writing->json);
        break;
    case VALUE_TEXT:
        json_str(&writing->json, value.bytes);
        break;
    case VALUE_BOOL:
        json_bool(&writing->json, value.number != 0);
        break;
    case VALUE_INTEGER:
        json_i64(&writing->json, (int64_t)value.number);
        break;
    case VALUE_DOUBLE:
        if (isfinite(wire_double(value.number)))
            json_number(&writing->json, wire_double(value.number));
        else
            json_text(&writing->json, word_for(wire_double(value.number)));
        break;
    case VALUE_LIST:
    case VALUE_MAP:
        write_list(writing, value.bytes, value.kind == VALUE_MAP, depth);
        break;
    case VALUE_BYTES:
        write_base64(&base64, value.bytes);
        json_str(&writing->json, buf_view(&base64));
        break;
    }
    buf_fini(&base64);
}

/* --- labels ----------------------------------------------------------------------------------- */

void otlp_labels_begin(struct otlp_labels *labels)
{
    labels->count = labels->bytes = labels->text_len = 0;
    labels->is_unsorted = false;
    labels->wrong = REJECT_NONE;
    labels->words = NULL;
}

void otlp_labels_add(struct otlp_labels *labels, struct str name, struct str value)
{
    if (name.len == 0)
        refuse(labels, "an attribute has no key");
    if (value.len == 0)
        return;
    labels->bytes += name.len + value.len + 2;
    if (labels->count == LABELS_MAX || labels->bytes > LABEL_BYTES_MAX)
        refuse(labels, TOO_LONG);
    else if (remote_text_of(name) != REMOTE_TEXT_PLAIN ||
             remote_text_of(value) != REMOTE_TEXT_PLAIN)
        refuse(labels, "an attribute is not UTF-8, or holds 0x00 or 0x01");
    if (labels->wrong != REJECT_NONE)
        return;
    if (labels->count > 0 && str_compare(labels->labels[labels->count - 1].name, name) >= 0)
        labels->is_unsorted = true;
    labels->labels[labels->count++] = (struct label){name, value};
}

/* The text is copied. */
static void add_written(struct otlp_labels *labels, struct str name, struct str text)
{
    if (text.len > sizeof labels->text - labels->text_len) {
        refuse(labels, TOO_LONG);
        return;
    }
    char *at = labels->text + labels->text_len;
    if (text.len > 0)
        memcpy(at, text.text, text.len);
    labels->text_len += text.len;
    otlp_labels_add(labels, name, (struct str){at, text.len});
}

/* A text in JSON has quotes, a label has none. */
static bool add_json(struct otlp_labels *labels, struct str name, const struct value *value,
                     struct str bytes)
{
    struct writing writing = {.out = BUF_EMPTY};
    bool is_text = value->kind == VALUE_BYTES ||
                   (value->kind == VALUE_DOUBLE && !isfinite(wire_double(value->number)));

    writing.json = json_to(&writing.out);
    write_value(&writing, bytes, 0);
    struct str text = buf_view(&writing.out);
    if (is_text && text.len >= 2)
        text = (struct str){text.text + 1, text.len - 2};
    if (writing.is_too_deep)
        refuse(labels, "an attribute is nested too deeply");
    else if (writing.is_too_long)
        refuse(labels, TOO_LONG);
    else if (!writing.is_broken)
        add_written(labels, name, text);
    buf_fini(&writing.out);
    return !writing.is_broken;
}

bool otlp_labels_take(struct otlp_labels *labels, struct str key_value)
{
    struct str name = STR_EMPTY;
    struct str bytes = STR_EMPTY;
    struct value value;

    if (!wire_read_pair(key_value, &name, &bytes) || !read_value(bytes, &value))
        return false;
    if (value.kind != VALUE_TEXT && value.kind != VALUE_NONE && labels->wrong == REJECT_NONE)
        return add_json(labels, name, &value, bytes);
    otlp_labels_add(labels, name, value.bytes);
    return true;
}

static void remove_at(struct otlp_labels *labels, size_t at)
{
    const struct label *label = &labels->labels[at];
    labels->bytes -= label->name.len + label->value.len + 2;
    labels->count--;
    memmove(&labels->labels[at], &labels->labels[at + 1],
            (labels->count - at) * sizeof labels->labels[0]);
}

static void insert_at(struct otlp_labels *labels, size_t at, struct label label)
{
    memmove(&labels->labels[at + 1], &labels->labels[at],
            (labels->count - at) * sizeof labels->labels[0]);
    labels->labels[at] = label;
    labels->count++;
}

void otlp_labels_end(struct otlp_labels *labels)
{
    if (!labels->is_unsorted)
        return;
    size_t count = labels->count;
    labels->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct label label = labels->labels[i];
        size_t at = labels->count;
        while (at > 0 && str_compare(labels->labels[at - 1].name, label.name) > 0)
            at--;
        if (at == 0 || !str_equal(labels->labels[at - 1].name, label.name))
            insert_at(labels, at, label);
        else if (str_equal(labels->labels[at - 1].value, label.value))
            labels->bytes -= label.name.len + label.value.len + 2;
        else
            refuse(labels, "an attribute comes twice, with two values");
    }
    labels->is_unsorted = false;
}

static size_t find(const struct otlp_labels *labels, const char *name)
{
    size_t at = 0;
    while (at < labels->count && !str_is(labels->labels[at].name, name))
        at++;
    return at;
}

bool otlp_labels_have(const struct otlp_labels *labels, const char *name)
{
    return find(labels, name) < labels->count;
}

void otlp_labels_remove(struct otlp_labels *labels, const char *name)
{
    size_t at = find(labels, name);
    if (at < labels->count)
        remove_at(labels, at);
}

void otlp_labels_join(struct otlp_labels *labels, const struct otlp_labels *base)
{
    size_t at = 0;

    if (base->wrong != REJECT_NONE)
        refuse(labels, base->words);
    for (size_t i = 0; i < base->count && labels->wrong == REJECT_NONE; i++) {
        struct label label = base->labels[i];
        int order = -1;
        while (at < labels->count && (order = str_compare(labels->labels[at].name, label.name)) < 0)
            at++;
        if (at < labels->count && order == 0)
            continue; /* the point's own wins */
        labels->bytes += label.name.len + label.value.len + 2;
        if (labels->count == LABELS_MAX || labels->bytes > LABEL_BYTES_MAX)
            refuse(labels, TOO_LONG);
        else
            insert_at(labels, at++, label);
    }
}
