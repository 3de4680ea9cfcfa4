#include "web/cell_line.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

#define QUARTER_MS (INT64_C(15) * MS_PER_MINUTE)
/* 9999-12-31, and as long before 1970. */
#define TIME_LIMIT INT64_C(253402300800000)

/* --- base64 (RFC 4648) --- */

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
enum { PAD = 64 };

static void base64_write(struct str bytes, struct buf *out)
{
    const unsigned char *at = (const unsigned char *)bytes.text;

    for (size_t left = bytes.len; left > 0;) {
        size_t count = left < 3 ? left : 3;
        unsigned group = (unsigned)at[0] << 16;
        group |= count > 1 ? (unsigned)at[1] << 8 : 0;
        group |= count > 2 ? at[2] : 0;
        for (size_t i = 0; i < 4; i++)
            buf_char(out, DIGITS[i <= count ? group >> (18 - 6 * i) & 63 : PAD]);
        at += count;
        left -= count;
    }
}

static bool base64_read(struct str text, struct buf *out)
{
    if (text.len % 4 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 4) {
        unsigned group = 0;
        size_t count = 0; /* digits */
        for (size_t j = 0; j < 4; j++) {
            char c = text.text[i + j];
            const char *digit = c == '\0' || c == '=' ? NULL : strchr(DIGITS, c);
            if (digit != NULL && count == j) {
                group |= (unsigned)(digit - DIGITS) << (18 - 6 * j);
                count++;
            } else if (c != '=' || i + 4 != text.len) {
                return false;
            }
        }
        if (count < 2)
            return false;
        for (size_t j = 0; j + 1 < count; j++)
            buf_char(out, (char)(group >> (16 - 8 * j) & 255));
    }
    return true;
}

/* --- writing --- */

static bool is_text(struct str key)
{
    struct label label;
    size_t at = 0;

    if (!str_is_utf8(series_key_metric(key)))
        return false;
    while (series_key_next_label(key, &at, &label)) {
        if (!str_is_utf8(label.name) || !str_is_utf8(label.value))
            return false;
    }
    return true;
}

static void put_base64(struct json *json, const char *name, struct str bytes)
{
    struct buf text = BUF_EMPTY;
    base64_write(bytes, &text);
    json_field_str(json, name, buf_view(&text));
    buf_fini(&text);
}

static void put_key(struct json *json, struct str key)
{
    struct label label;
    size_t at = 0;

    if (!is_text(key)) {
        put_base64(json, "key", key);
        return;
    }
    json_field_str(json, "metric", series_key_metric(key));
    json_field_text(json, "kind", metric_kind_name(series_key_kind(key)));
    json_key(json, "labels");
    json_open(json, '{');
    while (series_key_next_label(key, &at, &label)) {
        json_key_str(json, label.name);
        json_str(json, label.value);
    }
    json_close(json, '}');
}

/* With a point or an exponent, so that a reader takes it for a double however large it is. */
static void put_double(struct json *json, const char *name, double value)
{
    char text[STR_DOUBLE_SIZE + 2];
    size_t len = str_format_double(value, text);

    if (strpbrk(text, ".e") == NULL) {
        text[len++] = '.';
        text[len++] = '0';
    }
    json_key(json, name);
    json_raw(json, (struct str){text, len});
}

static void put_i64(struct json *json, const char *name, int64_t value)
{
    json_key(json, name);
    json_i64(json, value);
}

static void put_u64(struct json *json, const char *name, uint64_t value)
{
    char text[24];

    if (value <= INT64_MAX) {
        json_field_u64(json, name, value);
        return;
    }
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    json_field_text(json, name, text);
}

static void put_aggregate(struct json *json, const struct aggregate *aggregate)
{
    put_u64(json, "count", aggregate->count);
    if (aggregate->count == 0)
        return;
    put_double(json, "sum", aggregate->sum);
    put_double(json, "sum_low", aggregate->sum_low);
    put_double(json, "min", aggregate->min);
    put_double(json, "max", aggregate->max);
    put_double(json, "first", aggregate->first);
    put_i64(json, "first_at", aggregate->first_at);
    put_u64(json, "first_arrival", aggregate->first_arrival);
    put_double(json, "last", aggregate->last);
    put_i64(json, "last_at", aggregate->last_at);
    put_u64(json, "last_arrival", aggregate->last_arrival);
}

void cell_line_write(struct buf *out, struct str key, wall_ms from, span_ms width,
                     const struct cell *cell)
{
    struct json json = json_to(out);
    struct buf sketch = BUF_EMPTY;

    json_open(&json, '{');
    put_key(&json, key);
    json_field_text(&json, "level", width == MS_PER_MINUTE ? "1m" : "15m");
    put_i64(&json, "from_ms", from);
    put_aggregate(&json, &cell->aggregate);
    if (cell->counts_values)
        json_field_bool(&json, "counts_values", true);
    if (cell->histogram != NULL) {
        histogram_encode(cell->histogram, &sketch);
        put_base64(&json, "histogram", buf_view(&sketch));
        buf_clear(&sketch);
    }
    if (cell->distinct != NULL) {
        distinct_encode(cell->distinct, &sketch);
        put_base64(&json, "distinct", buf_view(&sketch));
    }
    json_close(&json, '}');
    buf_char(out, '\n');
    buf_fini(&sketch);
}

/* --- reading --- */

static struct str text_of(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

__attribute__((format(printf, 2, 3))) static bool wrong(struct error *err, const char *format, ...)
{
    char why[200];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    (void)error_set(err, ERROR_INVALID, "not a cell: %s", why);
    return false;
}

static bool get_double(const json_t *object, const char *name, double *out, struct error *err)
{
    const json_t *value = json_object_get(object, name);

    if (!json_is_number(value))
        return wrong(err, "'%s' is not a number", name);
    *out = json_number_value(value);
    return true;
}

static bool get_i64(const json_t *object, const char *name, int64_t *out, struct error *err)
{
    const json_t *value = json_object_get(object, name);

    if (!json_is_integer(value))
        return wrong(err, "'%s' is not a whole number", name);
    *out = json_integer_value(value);
    return true;
}

static bool get_u64(const json_t *object, const char *name, uint64_t *out, struct error *err)
{
    const json_t *value = json_object_get(object, name);

    if (json_is_string(value) && str_parse_u64(text_of(value), out))
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return wrong(err, "'%s' is not a whole number", name);
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static bool get_bytes(const json_t *object, const char *name, struct buf *out, struct error *err)
{
    const json_t *value = json_object_get(object, name);

    if (value == NULL)
        return true;
    if (!json_is_string(value) || json_string_length(value) == 0 ||
        !base64_read(text_of(value), out))
        return wrong(err, "'%s' is not base64", name);
    return true;
}

static bool get_labels(json_t *labels, struct label *out, size_t *count, struct error *err)
{
    const char *name = NULL;
    json_t *value = NULL;

    *count = 0;
    if (labels == NULL)
        return true;
    if (!json_is_object(labels) || json_object_size(labels) > LABELS_MAX)
        return wrong(err, "'labels' is not an object of at most %d", LABELS_MAX);
    json_object_foreach(labels, name, value)
    {
        struct label label = {str_of(name), text_of(value)};
        size_t at = *count;
        if (!json_is_string(value))
            return wrong(err, "the value of a label is not a text");
        while (at > 0 && str_compare(label.name, out[at - 1].name) < 0) {
            out[at] = out[at - 1];
            at--;
        }
        out[at] = label;
        (*count)++;
    }
    return true;
}

static bool get_key(const json_t *object, struct buf *out, struct error *err)
{
    struct label labels[LABELS_MAX];
    size_t count = 0;
    enum metric_kind kind;
    const json_t *metric = json_object_get(object, "metric");
    const json_t *name = json_object_get(object, "kind");

    if (json_object_get(object, "key") != NULL) {
        if (!get_bytes(object, "key", out, err))
            return false;
    } else {
        if (!json_is_string(metric) || !metric_name_is_valid(text_of(metric)))
            return wrong(err, "'metric' is not the name of one");
        if (!json_is_string(name) || !metric_kind_parse(text_of(name), &kind))
            return wrong(err, "'kind' is none");
        if (!get_labels(json_object_get(object, "labels"), labels, &count, err))
            return false;
        series_key_write(out, kind, text_of(metric), labels, count);
    }
    if (!series_key_is_valid(buf_view(out)))
        return wrong(err, "its series cannot be");
    return true;
}

static bool get_place(const json_t *object, struct cell_line *out, struct error *err)
{
    const char *level = json_string_value(json_object_get(object, "level"));
    int64_t from = 0;
    span_ms width = MS_PER_MINUTE;

    if (level != NULL && strcmp(level, "15m") == 0)
        width = QUARTER_MS;
    else if (level == NULL || strcmp(level, "1m") != 0)
        return wrong(err, "'level' is not 1m or 15m");
    if (!get_i64(object, "from_ms", &from, err))
        return false;
    if (from < -TIME_LIMIT || from > TIME_LIMIT || from % width != 0)
        return wrong(err, "'from_ms' is not where a bucket begins");
    const struct aggregate *aggregate = &out->cell.aggregate;
    if (aggregate->count > 0 && (aggregate->first_at < from || aggregate->last_at >= from + width))
        return wrong(err, "its samples are not in its bucket");
    out->minute = from / MS_PER_MINUTE;
    return true;
}

static bool get_aggregate(const json_t *object, struct aggregate *out, struct error *err)
{
    if (!get_u64(object, "count", &out->count, err))
        return false;
    return out->count == 0 || (get_double(object, "sum", &out->sum, err) &&
                               get_double(object, "sum_low", &out->sum_low, err) &&
                               get_double(object, "min", &out->min, err) &&
                               get_double(object, "max", &out->max, err) &&
                               get_double(object, "first", &out->first, err) &&
                               get_i64(object, "first_at", &out->first_at, err) &&
                               get_u64(object, "first_arrival", &out->first_arrival, err) &&
                               get_double(object, "last", &out->last, err) &&
                               get_i64(object, "last_at", &out->last_at, err) &&
                               get_u64(object, "last_arrival", &out->last_arrival, err));
}

static bool get_sketches(const json_t *object, struct cell *out, struct error *err)
{
    struct buf bytes = BUF_EMPTY;
    bool ok = get_bytes(object, "histogram", &bytes, err);

    if (ok && bytes.len > 0) {
        struct reader reader = reader_of(buf_view(&bytes));
        out->histogram = histogram_decode(&reader);
        ok = (out->histogram != NULL && reader.left == 0) || wrong(err, "'histogram' is none");
    }
    buf_clear(&bytes);
    ok = ok && get_bytes(object, "distinct", &bytes, err);
    if (ok && bytes.len > 0) {
        struct reader reader = reader_of(buf_view(&bytes));
        out->distinct = distinct_decode(&reader);
        ok = (out->distinct != NULL && reader.left == 0) || wrong(err, "'distinct' is none");
    }
    buf_fini(&bytes);
    out->counts_values = json_is_true(json_object_get(object, "counts_values"));
    return ok;
}

/* The portable codec knows what a cell may be: what it does not take back is none. */
static bool is_sound(const struct cell *cell)
{
    struct buf bytes = BUF_EMPTY;
    struct cell again = CELL_EMPTY;

    cell_encode(cell, &bytes);
    bool ok = (cell->aggregate.count > 0 || cell->distinct != NULL) &&
              cell_decode(buf_view(&bytes), &again);
    cell_fini(&again);
    buf_fini(&bytes);
    return ok;
}

bool cell_line_read(struct str line, struct cell_line *out, struct error *err)
{
    json_error_t mistake;
    json_t *object =
        json_loadb(line.text == NULL ? "" : line.text, line.len, JSON_REJECT_DUPLICATES, &mistake);

    *out = (struct cell_line){.key = BUF_EMPTY, .cell = CELL_EMPTY};
    if (!json_is_object(object)) {
        json_decref(object);
        return wrong(err, "%s", object == NULL ? mistake.text : "it is not an object");
    }
    bool ok = get_key(object, &out->key, err) && get_aggregate(object, &out->cell.aggregate, err) &&
              get_place(object, out, err) && get_sketches(object, &out->cell, err);
    json_decref(object);
    return ok && (is_sound(&out->cell) || wrong(err, "its numbers cannot be"));
}

void cell_line_fini(struct cell_line *line)
{
    buf_fini(&line->key);
    cell_fini(&line->cell);
}
