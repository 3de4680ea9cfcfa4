#include "base/json.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { DEPTH_MAX = 60 };

struct json json_to(struct buf *out)
{
    return (struct json){.out = out};
}

/* What stands between the last value and the next one. */
static void separate(struct json *json)
{
    uint64_t bit = UINT64_C(1) << json->depth;
    if (json->after_key) {
        json->after_key = false;
        return;
    }
    if ((json->has_items & bit) != 0)
        buf_char(json->out, ',');
    json->has_items |= bit;
}

void json_open(struct json *json, char bracket)
{
    separate(json);
    buf_char(json->out, bracket);
    assert(json->depth < DEPTH_MAX);
    json->depth++;
    json->has_items &= ~(UINT64_C(1) << json->depth);
}

void json_close(struct json *json, char bracket)
{
    assert(json->depth > 0);
    json->depth--;
    buf_char(json->out, bracket);
}

static void escape(struct buf *out, unsigned char c)
{
    switch (c) {
    case '"':
        buf_text(out, "\\\"");
        break;
    case '\\':
        buf_text(out, "\\\\");
        break;
    case '\n':
        buf_text(out, "\\n");
        break;
    case '\r':
        buf_text(out, "\\r");
        break;
    case '\t':
        buf_text(out, "\\t");
        break;
    default:
        buf_printf(out, "\\u%04x", c);
        break;
    }
}

/* Bytes of the UTF-8 character at `at`, 0 if there is none. */
static size_t character_at(struct str text, size_t at)
{
    for (size_t len = 1; len <= 4 && at + len <= text.len; len++) {
        if (str_is_utf8((struct str){text.text + at, len}))
            return len;
    }
    return 0;
}

static void write_quoted(struct buf *out, struct str text)
{
    buf_char(out, '"');
    size_t i = 0;
    while (i < text.len) {
        unsigned char c = (unsigned char)text.text[i];
        if (c < 0x20 || c == '"' || c == '\\') {
            escape(out, c);
            i++;
        } else if (c < 0x80) {
            buf_char(out, (char)c);
            i++;
        } else {
            size_t len = character_at(text, i);
            if (len == 0)
                buf_text(out, "\xef\xbf\xbd");
            else
                buf_append(out, text.text + i, len);
            i += len == 0 ? 1 : len;
        }
    }
    buf_char(out, '"');
}

void json_key_str(struct json *json, struct str name)
{
    separate(json);
    write_quoted(json->out, name);
    buf_char(json->out, ':');
    json->after_key = true;
}

void json_key(struct json *json, const char *name)
{
    json_key_str(json, str_of(name));
}

void json_str(struct json *json, struct str text)
{
    separate(json);
    write_quoted(json->out, text);
}

void json_text(struct json *json, const char *text)
{
    if (text == NULL)
        json_put_null(json);
    else
        json_str(json, str_of(text));
}

void json_number(struct json *json, double value)
{
    char text[STR_DOUBLE_SIZE];

    if (!isfinite(value)) {
        json_put_null(json);
        return;
    }
    separate(json);
    size_t len = str_format_double(value == 0 ? 0 : value, text); /* no "-0" */
    buf_append(json->out, text, len);
}

void json_i64(struct json *json, int64_t value)
{
    separate(json);
    buf_printf(json->out, "%lld", (long long)value);
}

void json_u64(struct json *json, uint64_t value)
{
    separate(json);
    buf_printf(json->out, "%llu", (unsigned long long)value);
}

void json_bool(struct json *json, bool value)
{
    separate(json);
    buf_text(json->out, value ? "true" : "false");
}

void json_put_null(struct json *json)
{
    separate(json);
    buf_text(json->out, "null");
}

void json_raw(struct json *json, struct str value)
{
    separate(json);
    buf_str(json->out, value);
}

void json_field_text(struct json *json, const char *name, const char *text)
{
    json_key(json, name);
    json_text(json, text);
}

void json_field_str(struct json *json, const char *name, struct str text)
{
    json_key(json, name);
    json_str(json, text);
}

void json_field_number(struct json *json, const char *name, double value)
{
    json_key(json, name);
    json_number(json, value);
}

void json_field_u64(struct json *json, const char *name, uint64_t value)
{
    json_key(json, name);
    json_u64(json, value);
}

void json_field_bool(struct json *json, const char *name, bool value)
{
    json_key(json, name);
    json_bool(json, value);
}
