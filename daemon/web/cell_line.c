#include "web/cell_line.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/calendar.h"
#include "base/json.h"

enum { ZONE_MAX = 255, ZONES_MAX = 1000, DATE_LENGTH = 10 };

#define QUARTER_MS (INT64_C(15) * MS_PER_MINUTE)
#define WINDOW_MS  (16 * QUARTER_MS) /* hours are known from the begin of one */
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

static void put_cell(struct json *json, const struct cell *cell)
{
    struct buf sketch = BUF_EMPTY;

    put_aggregate(json, &cell->aggregate);
    if (cell->counts_values)
        json_field_bool(json, "counts_values", true);
    if (cell->histogram != NULL) {
        histogram_encode(cell->histogram, &sketch);
        put_base64(json, "histogram", buf_view(&sketch));
        buf_clear(&sketch);
    }
    if (cell->distinct != NULL) {
        distinct_encode(cell->distinct, &sketch);
        put_base64(json, "distinct", buf_view(&sketch));
    }
    buf_fini(&sketch);
}

static struct json begin_line(struct buf *out)
{
    struct json json = json_to(out);
    json_open(&json, '{');
    return json;
}

static void end_line(struct json *json)
{
    json_close(json, '}');
    buf_char(json->out, '\n');
}

void cell_line_write(struct buf *out, const struct export_cell *cell)
{
    struct json json = begin_line(out);

    put_key(&json, cell->key);
    json_field_text(&json, "level", cell->width == MS_PER_MINUTE ? "1m" : "15m");
    put_i64(&json, "from_ms", cell->from);
    put_cell(&json, cell->cell);
    end_line(&json);
}

static void put_date(struct json *json, const char *name, int64_t day)
{
    const struct civil date = civil_of_days(day);
    char text[40];

    (void)snprintf(text, sizeof text, "%04d-%02d-%02d", date.year, date.month, date.day);
    json_field_text(json, name, text);
}

void cell_line_write_day(struct buf *out, const struct export_day *day)
{
    struct json json = begin_line(out);

    put_key(&json, day->key);
    json_field_text(&json, "level", "day");
    json_field_str(&json, "zone", day->zone);
    put_date(&json, "day", day->day);
    put_i64(&json, "from_ms", day->from);
    put_i64(&json, "to_ms", day->to);
    put_cell(&json, day->cell);
    end_line(&json);
}

void cell_line_write_zone(struct buf *out, const struct export_zone *zone)
{
    struct json json = begin_line(out);

    json_field_str(&json, "zone", zone->zone);
    put_date(&json, "first_day", zone->first);
    put_date(&json, "last_day", zone->last);
    end_line(&json);
}

void cell_line_write_metric(struct buf *out, const struct export_metric *metric)
{
    struct json json = begin_line(out);

    if (str_is_utf8(metric->metric))
        json_field_str(&json, "metric", metric->metric);
    else
        put_base64(&json, "metric_base64", metric->metric);
    put_i64(&json, "hours_from_ms", metric->hours_from);
    json_key(&json, "zones");
    json_open(&json, '{');
    for (size_t i = 0; i < metric->gap_count; i++) {
        json_key_str(&json, metric->gaps[i].zone);
        if (metric->gaps[i].whole_from == WALL_NONE)
            json_put_null(&json);
        else
            json_i64(&json, metric->gaps[i].whole_from);
    }
    json_close(&json, '}');
    end_line(&json);
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

/* A time on a multiple of `width`. */
static bool get_time(const json_t *object, const char *name, span_ms width, wall_ms *out,
                     struct error *err)
{
    if (!get_i64(object, name, out, err))
        return false;
    if (*out < -TIME_LIMIT || *out > TIME_LIMIT || *out % width != 0)
        return wrong(err, "'%s' is not where a bucket begins", name);
    return true;
}

static bool are_samples_in(const struct cell *cell, wall_ms from, wall_ms to, struct error *err)
{
    const struct aggregate *aggregate = &cell->aggregate;

    if (aggregate->count > 0 && (aggregate->first_at < from || aggregate->last_at >= to))
        return wrong(err, "its samples are not in its bucket");
    return true;
}

/* "2024-05-01". */
static bool get_date(const json_t *object, const char *name, int64_t *out, struct error *err)
{
    struct str rest = text_of(json_object_get(object, name));
    struct str whole = rest;
    char again[40];
    uint64_t year = 0;
    uint64_t month = 0;
    uint64_t day = 0;

    if (rest.len != DATE_LENGTH || !str_parse_u64(str_split(&rest, '-'), &year) ||
        !str_parse_u64(str_split(&rest, '-'), &month) || !str_parse_u64(rest, &day) || year == 0 ||
        year > 9999 || month > 12 || day > 31)
        return wrong(err, "'%s' is not a date", name);
    const struct civil date = {.year = (int)year, .month = (int)month, .day = (int)day};
    *out = civil_days(&date);
    const struct civil same = civil_of_days(*out);
    (void)snprintf(again, sizeof again, "%04d-%02d-%02d", same.year, same.month, same.day);
    return str_is(whole, again) || wrong(err, "'%s' is not a date", name);
}

static bool is_zone(struct str zone)
{
    return zone.len > 0 && zone.len <= ZONE_MAX && memchr(zone.text, '\0', zone.len) == NULL;
}

static bool get_zone(const json_t *object, struct arena *arena, struct str *out, struct error *err)
{
    struct str zone = text_of(json_object_get(object, "zone"));

    if (!is_zone(zone))
        return wrong(err, "'zone' is not the name of one");
    *out = arena_str(arena, zone);
    return true;
}

/* A day of any zone begins within a day of UTC's and is at most two long. */
static bool get_day(const json_t *object, struct cell_line *out, struct error *err)
{
    struct export_day *day = &out->day;

    if (!get_zone(object, &out->arena, &day->zone, err) ||
        !get_date(object, "day", &day->day, err) ||
        !get_time(object, "from_ms", QUARTER_MS, &day->from, err) ||
        !get_time(object, "to_ms", QUARTER_MS, &day->to, err))
        return false;
    const wall_ms length = MS_PER_DAY;
    wall_ms utc = day->day * length;
    if (day->from < utc - length || day->from > utc + length || day->to <= day->from ||
        day->to > day->from + 2 * length)
        return wrong(err, "that is not where its day begins and ends");
    out->kind = CELL_LINE_DAY;
    return are_samples_in(&out->cell, day->from, day->to, err);
}

static bool get_place(const json_t *object, struct cell_line *out, struct error *err)
{
    struct str level = text_of(json_object_get(object, "level"));
    span_ms width = MS_PER_MINUTE;
    wall_ms from = 0;

    if (str_is(level, "day"))
        return get_day(object, out, err);
    if (str_is(level, "15m"))
        width = QUARTER_MS;
    else if (!str_is(level, "1m"))
        return wrong(err, "'level' is not 1m, 15m or day");
    if (!get_time(object, "from_ms", width, &from, err))
        return false;
    out->minute = from / MS_PER_MINUTE;
    return are_samples_in(&out->cell, from, from + (from % QUARTER_MS == 0 ? QUARTER_MS : width),
                          err);
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

static bool read_cell(const json_t *object, struct cell_line *out, struct error *err)
{
    return get_key(object, &out->key, err) && get_aggregate(object, &out->cell.aggregate, err) &&
           get_place(object, out, err) && get_sketches(object, &out->cell, err) &&
           (is_sound(&out->cell) || wrong(err, "its numbers cannot be"));
}

static bool read_zone(const json_t *object, struct cell_line *out, struct error *err)
{
    struct export_zone *zone = &out->zone;

    out->kind = CELL_LINE_ZONE;
    if (!get_zone(object, &out->arena, &zone->zone, err) ||
        !get_date(object, "first_day", &zone->first, err) ||
        !get_date(object, "last_day", &zone->last, err))
        return false;
    return zone->first <= zone->last || wrong(err, "'last_day' is before 'first_day'");
}

static bool get_gaps(json_t *zones, struct cell_line *out, struct error *err)
{
    struct export_gap *gaps = NULL;
    const char *zone = NULL;
    json_t *from = NULL;

    if (!json_is_object(zones) || json_object_size(zones) > ZONES_MAX)
        return wrong(err, "'zones' is not an object of at most %d", ZONES_MAX);
    gaps = arena_array(&out->arena, json_object_size(zones), sizeof *gaps);
    json_object_foreach(zones, zone, from)
    {
        struct export_gap *gap = &gaps[out->metric.gap_count++];
        *gap = (struct export_gap){arena_str(&out->arena, str_of(zone)), WALL_NONE};
        if (!is_zone(gap->zone))
            return wrong(err, "a key of 'zones' is not the name of one");
        if (!json_is_null(from) && !get_time(zones, zone, QUARTER_MS, &gap->whole_from, err))
            return false;
    }
    out->metric.gaps = gaps;
    return true;
}

static bool read_metric(const json_t *object, struct cell_line *out, struct error *err)
{
    struct export_metric *metric = &out->metric;
    struct buf bytes = BUF_EMPTY;

    out->kind = CELL_LINE_METRIC;
    if (!get_bytes(object, "metric_base64", &bytes, err)) {
        buf_fini(&bytes);
        return false;
    }
    metric->metric = arena_str(
        &out->arena, bytes.len > 0 ? buf_view(&bytes) : text_of(json_object_get(object, "metric")));
    buf_fini(&bytes);
    if (!metric_name_is_valid(metric->metric))
        return wrong(err, "'metric' is not the name of one");
    return get_time(object, "hours_from_ms", WINDOW_MS, &metric->hours_from, err) &&
           get_gaps(json_object_get(object, "zones"), out, err);
}

bool cell_line_read(struct str line, struct cell_line *out, struct error *err)
{
    json_error_t mistake;
    json_t *object =
        json_loadb(line.text == NULL ? "" : line.text, line.len, JSON_REJECT_DUPLICATES, &mistake);
    bool ok = false;

    *out = (struct cell_line){.key = BUF_EMPTY, .cell = CELL_EMPTY};
    if (!json_is_object(object)) {
        json_decref(object);
        return wrong(err, "%s", object == NULL ? mistake.text : "it is not an object");
    }
    if (json_object_get(object, "hours_from_ms") != NULL)
        ok = read_metric(object, out, err);
    else if (json_object_get(object, "first_day") != NULL)
        ok = read_zone(object, out, err);
    else
        ok = read_cell(object, out, err);
    json_decref(object);
    return ok;
}

void cell_line_fini(struct cell_line *line)
{
    buf_fini(&line->key);
    cell_fini(&line->cell);
    arena_fini(&line->arena);
}
