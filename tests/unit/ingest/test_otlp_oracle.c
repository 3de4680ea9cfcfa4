/* OTLP beside protobuf-c: random requests, whole and damaged, and the same as JSON give the same
 * points however they are read. What protobuf-c has unpacked is interpreted here again, slowly and
 * simply. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "message_json.h"
#include "otlp_fixture.h"
#include "otlp_metrics.pb-c.h"
#include "series/random.h"
#include "test.h"

enum { REQUESTS = 300, DAMAGED = 1500 };

static uint64_t random_state = 7;
static struct series_cache *cache;

static uint64_t below(uint64_t limit)
{
    return random_below(&random_state, limit);
}

/* --- what is expected ------------------------------------------------------------------------- */

struct expected {
    struct buf points;
    uint64_t received, stored, dropped;
    uint64_t samples; /* that are none of the points */
};

/* The labels of a point: texts are its own. */
struct one_series {
    struct label labels[64];
    struct buf texts[64];
    size_t count;
    bool is_wrong;
};

static void series_fini(struct one_series *series)
{
    for (size_t i = 0; i < series->count; i++)
        buf_fini(&series->texts[i]);
}

static void write_json_value(struct json *json, const Otlp__Value *value)
{
    switch (value == NULL ? OTLP__VALUE__VALUE__NOT_SET : value->value_case) {
    case OTLP__VALUE__VALUE_STRING_VALUE:
        json_str(json, text_of(value->string_value));
        break;
    case OTLP__VALUE__VALUE_BOOL_VALUE:
        json_bool(json, value->bool_value);
        break;
    case OTLP__VALUE__VALUE_INT_VALUE:
        json_i64(json, value->int_value);
        break;
    case OTLP__VALUE__VALUE_DOUBLE_VALUE:
        json_number(json, value->double_value);
        break;
    case OTLP__VALUE__VALUE_ARRAY_VALUE:
        json_open(json, '[');
        for (size_t i = 0; i < value->array_value->n_values; i++)
            write_json_value(json, value->array_value->values[i]);
        json_close(json, ']');
        break;
    case OTLP__VALUE__VALUE_KVLIST_VALUE:
        json_open(json, '{');
        for (size_t i = 0; i < value->kvlist_value->n_values; i++) {
            json_key_str(json, text_of(value->kvlist_value->values[i]->key));
            write_json_value(json, value->kvlist_value->values[i]->value);
        }
        json_close(json, '}');
        break;
    default:
        json_put_null(json);
    }
}

static bool is_stored_text(struct str text)
{
    return str_is_utf8(text) && (text.len == 0 || memchr(text.text, 1, text.len) == NULL);
}

static void take_attribute(struct one_series *series, struct str key, const Otlp__Value *value,
                           bool is_resource)
{
    struct buf text = BUF_EMPTY;
    struct json json = json_to(&text);
    size_t i = 0;

    if (value != NULL && value->value_case == OTLP__VALUE__VALUE_STRING_VALUE)
        buf_str(&text, text_of(value->string_value));
    else if (value != NULL && value->value_case != OTLP__VALUE__VALUE__NOT_SET)
        write_json_value(&json, value);
    series->is_wrong |= key.len == 0;
    if (text.len == 0) {
        buf_fini(&text);
        return;
    }
    series->is_wrong |= !is_stored_text(key) || !is_stored_text(buf_view(&text));
    while (i < series->count && !str_equal(series->labels[i].name, key))
        i++;
    if (i < series->count) {
        if (!is_resource && !str_equal(series->labels[i].value, buf_view(&text)))
            series->is_wrong = true;
        buf_fini(&text);
        return;
    }
    series->texts[i] = text;
    series->labels[i] = (struct label){key, buf_view(&text)};
    series->count++;
}

static int compare_labels(const void *a, const void *b)
{
    return str_compare(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static bool has_key(const Otlp__Resource *resource, const char *key)
{
    for (size_t i = 0; i < resource->n_attributes; i++) {
        const Otlp__Value *value = resource->attributes[i]->value;
        bool is_none =
            value == NULL || value->value_case == OTLP__VALUE__VALUE__NOT_SET ||
            (value->value_case == OTLP__VALUE__VALUE_STRING_VALUE && value->string_value.len == 0);
        if (str_is(text_of(resource->attributes[i]->key), key) && !is_none)
            return true;
    }
    return false;
}

static void make_series(struct one_series *series, Otlp__KeyValue *const *attributes, size_t count,
                        const Otlp__Resource *resource)
{
    static const char *const always[] = {"service.name", "service.instance.id", "host.name"};

    *series = (struct one_series){.count = 0};
    for (size_t i = 0; i < count; i++)
        take_attribute(series, text_of(attributes[i]->key), attributes[i]->value, false);
    for (size_t i = 0; resource != NULL && i < resource->n_attributes; i++) {
        struct str key = text_of(resource->attributes[i]->key);
        bool is_label = str_is(key, "process.pid") && !has_key(resource, "service.instance.id");
        for (size_t a = 0; a < TEST_COUNT(always); a++)
            is_label = is_label || str_is(key, always[a]);
        if (is_label)
            take_attribute(series, key, resource->attributes[i]->value, true);
    }
    qsort(series->labels, series->count, sizeof series->labels[0], compare_labels);
}

/* What a point says of itself, whatever it is. */
struct one_point {
    const struct one_series *series;
    struct str name;
    enum metric_kind kind;
    enum delta_point_form form;
    uint64_t time, start;
    double value;
    const struct batch_buckets *buckets;
};

static void describe_tally(struct buf *out, const struct tally *tally)
{
    struct buf bytes = BUF_EMPTY;
    tally_encode(tally, &bytes);
    buf_printf(out, "tally %016llx", (unsigned long long)series_key_hash(buf_view(&bytes)).low);
    buf_fini(&bytes);
}

static void describe(struct buf *out, struct str key, const struct delta_point *point)
{
    struct buf text = BUF_EMPTY;
    series_key_format(&text, key);
    buf_printf(out, "%s %.*s %d ", metric_kind_name(series_key_kind(key)),
               STR_ARGS(buf_view(&text)), (int)point->form);
    buf_fini(&text);
    if (point->tally == NULL)
        buf_printf(out, "%.17g", point->value);
    else
        describe_tally(out, point->tally);
    buf_printf(out, " %lld.%u", (long long)(point->at - NOW), (unsigned)point->at_ns);
    buf_printf(out, " %lld.%u%s\n", point->start == WALL_NONE ? -1 : (long long)point->start,
               (unsigned)point->start_ns, point->by_arrival ? " as it came" : "");
}

static void expect_point(struct expected *expected, const struct one_point *point)
{
    struct buf key = BUF_EMPTY;
    struct error err;
    wall_ms at = point->time == 0 ? NOW : (wall_ms)(point->time / 1000000);
    wall_ms start = (wall_ms)(point->start / 1000000);
    struct tally *tally = NULL;

    expected->received++;
    if (point->buckets == NULL && !isfinite(point->value)) {
        expected->dropped++;
        return;
    }
    if (point->start == 0 || start > at || (point->time > 0 && point->start > point->time) ||
        point->form == POINT_LEVEL)
        start = WALL_NONE;
    else if (start == at && point->time > 0 && point->start < point->time &&
             point->form == POINT_CUMULATIVE)
        start = at - 1;
    if (!metric_name_is_clean(point->name) || at > NOW + RULES.max_future ||
        at < NOW - RULES.max_past ||
        (point->buckets == NULL && point->form == POINT_CUMULATIVE && point->value < 0))
        return;
    if (point->buckets != NULL && (tally = tally_new(point->buckets, &err)) == NULL)
        return;
    expected->stored++;
    if (point->form == POINT_INCREMENT && point->time == 0) {
        expected->samples++;
        tally_free(tally);
        return;
    }
    series_key_write(&key, point->kind, point->name, point->series->labels, point->series->count);
    bool is_window = point->form == POINT_INCREMENT;
    const struct delta_point said = {
        .form = point->form,
        .at = at,
        .start = start,
        .value = point->value + 0.0,
        .tally = tally,
        .by_arrival = point->time == 0,
        .at_ns = (is_window ? point->time % 1000000 : 0) & DELTA_NS_MASK,
        .start_ns = (is_window && start != WALL_NONE ? point->start % 1000000 : 0) & DELTA_NS_MASK};
    describe(&expected->points, buf_view(&key), &said);
    tally_free(tally);
    buf_fini(&key);
}

/* Whether the point gets so far as to be looked at. */
static bool begins(struct expected *expected, const struct one_series *series, uint32_t flags,
                   bool has_temporality)
{
    if (!series->is_wrong && has_temporality && (flags & 1) == 0)
        return true;
    expected->received++;
    if (!series->is_wrong && has_temporality)
        expected->dropped++;
    return false;
}

static void expect_number(struct expected *expected, const Otlp__NumberPoint *from, struct str name,
                          const Otlp__Sum *sum, const Otlp__Resource *resource)
{
    struct one_series series;
    make_series(&series, from->attributes, from->n_attributes, resource);
    struct one_point point = {.series = &series,
                              .name = name,
                              .kind = METRIC_GAUGE,
                              .form = POINT_LEVEL,
                              .time = from->time,
                              .start = from->start,
                              .value = from->value_case == OTLP__NUMBER_POINT__VALUE_AS_INT
                                           ? (double)from->as_int
                                           : from->as_double};
    bool is_delta = sum != NULL && sum->temporality == 1;

    if (is_delta || (sum != NULL && sum->is_monotonic)) {
        point.kind = METRIC_COUNTER;
        point.form = is_delta ? POINT_INCREMENT : POINT_CUMULATIVE;
    }
    if (begins(expected, &series, from->flags, sum == NULL || is_delta || sum->temporality == 2)) {
        if (from->value_case == OTLP__NUMBER_POINT__VALUE__NOT_SET ||
            (is_delta && sum->is_monotonic && point.value < 0))
            expected->received++;
        else
            expect_point(expected, &point);
    }
    series_fini(&series);
}

static void expect_histogram(struct expected *expected, const Otlp__HistogramPoint *from,
                             struct str name, int32_t temporality, const Otlp__Resource *resource)
{
    struct one_series series;
    make_series(&series, from->attributes, from->n_attributes, resource);
    const struct batch_buckets buckets = {
        .count = from->count,
        .has_sum = from->has_sum_case != 0,
        .sum = from->sum,
        .has_extremes = from->has_min_case != 0 && from->has_max_case != 0,
        .min = from->min,
        .max = from->max,
        .bounds = from->explicit_bounds,
        .bound_count = from->n_explicit_bounds,
        .counts = from->n_bucket_counts == 0 ? NULL : from->bucket_counts};
    const struct one_point point = {.series = &series,
                                    .name = name,
                                    .kind = METRIC_DISTRIBUTION,
                                    .form = temporality == 1 ? POINT_INCREMENT : POINT_CUMULATIVE,
                                    .time = from->time,
                                    .start = from->start,
                                    .buckets = &buckets};

    if (begins(expected, &series, from->flags, temporality == 1 || temporality == 2)) {
        bool fits = from->n_bucket_counts == from->n_explicit_bounds + 1 ||
                    (from->n_bucket_counts == 0 && from->n_explicit_bounds == 0);
        if (fits)
            expect_point(expected, &point);
        else
            expected->received++;
    }
    series_fini(&series);
}

static struct histogram_buckets buckets_of(const Otlp__Buckets *side)
{
    return side == NULL ? (struct histogram_buckets){.offset = 0}
                        : (struct histogram_buckets){side->offset, side->n_bucket_counts,
                                                     side->bucket_counts};
}

static void expect_exponential(struct expected *expected, const Otlp__ExponentialPoint *from,
                               struct str name, int32_t temporality, const Otlp__Resource *resource)
{
    struct one_series series;
    make_series(&series, from->attributes, from->n_attributes, resource);
    const struct batch_buckets buckets = {.count = from->count,
                                          .has_sum = from->has_sum_case != 0,
                                          .sum = from->sum,
                                          .has_extremes =
                                              from->has_min_case != 0 && from->has_max_case != 0,
                                          .min = from->min,
                                          .max = from->max,
                                          .is_exponential = true,
                                          .scale = from->scale,
                                          .zeros = from->zero_count,
                                          .positive = buckets_of(from->positive),
                                          .negative = buckets_of(from->negative)};
    const struct one_point point = {.series = &series,
                                    .name = name,
                                    .kind = METRIC_DISTRIBUTION,
                                    .form = temporality == 1 ? POINT_INCREMENT : POINT_CUMULATIVE,
                                    .time = from->time,
                                    .start = from->start,
                                    .buckets = &buckets};

    if (begins(expected, &series, from->flags, temporality == 1 || temporality == 2))
        expect_point(expected, &point);
    series_fini(&series);
}

static void expect_summary_part(struct expected *expected, const Otlp__SummaryPoint *from,
                                const struct one_series *series, struct str name,
                                const char *suffix, double value)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%.*s%s", STR_ARGS(name), suffix);
    const struct one_point point = {.series = series,
                                    .name = {text, (size_t)len},
                                    .kind = METRIC_COUNTER,
                                    .form = POINT_CUMULATIVE,
                                    .time = from->time,
                                    .start = from->start,
                                    .value = value};
    expect_point(expected, &point);
}

static void expect_summary(struct expected *expected, const Otlp__SummaryPoint *from,
                           struct str name, const Otlp__Resource *resource)
{
    struct one_series series;
    make_series(&series, from->attributes, from->n_attributes, resource);
    if (begins(expected, &series, from->flags, true)) {
        expect_summary_part(expected, from, &series, name, "_count", (double)from->count);
        expect_summary_part(expected, from, &series, name, "_sum", from->sum);
        for (size_t i = 0; i < from->n_quantile_values; i++) {
            char text[STR_DOUBLE_SIZE];
            struct one_series with = series;
            with.labels[with.count++] =
                (struct label){STR("quantile"),
                               {text, str_format_double(from->quantile_values[i]->quantile, text)}};
            qsort(with.labels, with.count, sizeof with.labels[0], compare_labels);
            const struct one_point point = {.series = &with,
                                            .name = name,
                                            .kind = METRIC_GAUGE,
                                            .form = POINT_LEVEL,
                                            .time = from->time,
                                            .value = from->quantile_values[i]->value};
            expect_point(expected, &point);
        }
    }
    series_fini(&series);
}

static void expect_metric(struct expected *expected, const Otlp__Metric *metric,
                          const Otlp__Resource *resource)
{
    struct str name = text_of(metric->name);

    switch (metric->data_case) {
    case OTLP__METRIC__DATA_GAUGE:
        for (size_t i = 0; i < metric->gauge->n_points; i++)
            expect_number(expected, metric->gauge->points[i], name, NULL, resource);
        break;
    case OTLP__METRIC__DATA_SUM:
        for (size_t i = 0; i < metric->sum->n_points; i++)
            expect_number(expected, metric->sum->points[i], name, metric->sum, resource);
        break;
    case OTLP__METRIC__DATA_HISTOGRAM:
        for (size_t i = 0; i < metric->histogram->n_points; i++)
            expect_histogram(expected, metric->histogram->points[i], name,
                             metric->histogram->temporality, resource);
        break;
    case OTLP__METRIC__DATA_EXPONENTIAL_HISTOGRAM:
        for (size_t i = 0; i < metric->exponential_histogram->n_points; i++)
            expect_exponential(expected, metric->exponential_histogram->points[i], name,
                               metric->exponential_histogram->temporality, resource);
        break;
    case OTLP__METRIC__DATA_SUMMARY:
        for (size_t i = 0; i < metric->summary->n_points; i++)
            expect_summary(expected, metric->summary->points[i], name, resource);
        break;
    default:
        break;
    }
}

static void expect(struct expected *expected, const Otlp__Request *request)
{
    *expected = (struct expected){.received = 0};
    for (size_t r = 0; r < request->n_resource_metrics; r++) {
        const Otlp__ResourceMetrics *resource = request->resource_metrics[r];
        for (size_t s = 0; s < resource->n_scope_metrics; s++) {
            const Otlp__ScopeMetrics *scope = resource->scope_metrics[s];
            for (size_t m = 0; m < scope->n_metrics; m++)
                expect_metric(expected, scope->metrics[m], resource->resource);
        }
    }
}

/* --- comparing -------------------------------------------------------------------------------- */

static void compare_once(bool is_json, struct str bytes, const struct expected *expected)
{
    struct otlp otlp;
    struct buf points = BUF_EMPTY;

    if (!otlp_take_as(&otlp, is_json, bytes))
        fail_msg("%s: %.*s", otlp.err.text, STR_ARGS(bytes));
    const struct ledger *counts = &otlp.body->counts;
    struct delta *delta = batch_take(otlp.body->batch);
    otlp.body->batch = NULL;
    for (size_t i = 0; i < delta->point_count; i++) {
        const struct delta_point *point = &delta->points[i];
        describe(&points, delta->series[point->series].key, point);
    }
    uint64_t samples = 0;
    for (size_t i = 0; i < delta->cell_count; i++)
        samples += delta_cell_samples(&delta->cells[i]);
    assert_true(samples == expected->samples);
    buf_char(&points, '\0');
    assert_string_equal(points.bytes, expected->points.bytes);
    assert_true(counts->received == expected->received);
    assert_true(counts->stored == expected->stored);
    assert_true(ledger_balances(counts));
    assert_true(counts->dropped[DROP_stale_marker] + counts->dropped[DROP_not_finite] ==
                expected->dropped);
    delta_free(delta);
    buf_fini(&points);
    otlp_fini(&otlp);
}

/* Without a cache, with one, and once more, when it knows what may be known. */
static void compare(bool is_json, struct str bytes, const struct expected *expected)
{
    fixture_cache = NULL;
    compare_once(is_json, bytes, expected);
    fixture_cache = cache;
    compare_once(is_json, bytes, expected);
    compare_once(is_json, bytes, expected);
}

/* --- random requests -------------------------------------------------------------------------- */

static struct str random_text(bool is_key)
{
    static const char *const texts[] = {"a",    "b.c", "plan", "k\xc3\xa4", "service.name",
                                        "zone", "pro"};
    if (!is_key && below(12) == 0)
        return STR_EMPTY;
    return str_of(texts[below(TEST_COUNT(texts))]);
}

static double random_double(void)
{
    static const double values[] = {0, -0.0, 1, -1, 2.5, 1e300, -1e-300, 1234567.25, 0.1};
    if (below(30) == 0)
        return below(2) == 0 ? HUGE_VAL : (double)NAN;
    return values[below(TEST_COUNT(values))];
}

static uint64_t random_time(void)
{
    const uint64_t now = (uint64_t)NOW * 1000000;
    switch (below(12)) {
    case 0:
        return 0;
    case 1:
        return below(UINT64_MAX);
    case 2:
        return now + below(3) - 1;
    default:
        return now - below(20) * 250000000 + below(1000000);
    }
}

static void put_any(struct buf *out, unsigned field, unsigned depth)
{
    struct buf value = BUF_EMPTY;
    struct buf list = BUF_EMPTY;
    struct buf pair = BUF_EMPTY;

    switch (below(depth < 3 ? 10 : 7)) {
    case 0:
        put_number(&value, 2, below(2));
        break;
    case 1:
        put_number(&value, 3, random_next(&random_state));
        break;
    case 2:
        put_double(&value, 4, (double)below(1000) / 8);
        break;
    case 3:
        if (below(4) == 0)
            break;
        /* fall through */
    default:
        put_text(&value, 1, random_text(false));
        break;
    case 8:
        for (uint64_t left = below(3); left > 0; left--)
            put_any(&list, 1, depth + 1);
        put_message(&value, 5, &list);
        break;
    case 9:
        for (uint64_t left = below(3); left > 0; left--) {
            put_text(&pair, 1, random_text(true));
            put_any(&pair, 2, depth + 1);
            put_message(&list, 1, &pair);
        }
        put_message(&value, 6, &list);
        break;
    }
    put_message(out, field, &value);
    buf_fini(&value);
    buf_fini(&list);
    buf_fini(&pair);
}

static void put_attribute(struct buf *out, unsigned field, struct str key)
{
    struct buf pair = BUF_EMPTY;
    put_text(&pair, 1, key);
    if (below(20) > 0)
        put_any(&pair, 2, 0);
    put_message(out, field, &pair);
    buf_fini(&pair);
}

static void put_head(struct buf *point, unsigned attributes, unsigned flags)
{
    for (uint64_t left = below(4); left > 0; left--)
        put_attribute(point, attributes, random_text(true));
    if (below(3) == 0)
        put_bits(point, 2, random_time());
    put_bits(point, 3, random_time());
    if (below(8) == 0)
        put_number(point, flags, below(4));
}

static void put_number_point(struct buf *out)
{
    struct buf point = BUF_EMPTY;
    put_head(&point, 7, 8);
    if (below(3) == 0)
        put_bits(&point, 6, below(3) == 0 ? random_next(&random_state) : below(1000));
    else if (below(12) > 0)
        put_double(&point, 4, random_double());
    if (below(6) == 0)
        put_text(&point, 5, STR_EMPTY); /* an exemplar */
    put_message(out, 1, &point);
    buf_fini(&point);
}

static void put_extremes(struct buf *point, unsigned min, unsigned max)
{
    if (below(2) == 0)
        put_double(point, 5, (double)below(100));
    if (below(3) == 0) {
        put_double(point, min, (double)below(5) - 1);
        put_double(point, max, (double)below(10));
    }
}

static void put_histogram_point(struct buf *out)
{
    struct buf point = BUF_EMPTY;
    struct buf packed = BUF_EMPTY;
    uint64_t bounds = below(5);
    uint64_t counts = below(8) == 0 ? below(6) : bounds + 1;
    uint64_t total = 0;

    put_head(&point, 9, 10);
    for (uint64_t i = 0; i < counts; i++) {
        uint64_t count = below(4);
        total += count;
        if (below(10) == 0 && packed.len == 0 && i == 0)
            put_bits(&point, 6, count); /* not packed */
        else
            buf_u64(&packed, count);
    }
    put_message(&point, 6, &packed);
    for (uint64_t i = 0; i < bounds; i++)
        buf_double(&packed, (double)i * 2.5 - (below(20) == 0 ? 3 : 0));
    put_message(&point, 7, &packed);
    put_bits(&point, 4, below(10) == 0 ? below(8) : total);
    put_extremes(&point, 11, 12);
    put_message(out, 1, &point);
    buf_fini(&point);
    buf_fini(&packed);
}

static uint64_t put_side(struct buf *point, unsigned field)
{
    struct buf side = BUF_EMPTY;
    struct buf packed = BUF_EMPTY;
    uint64_t total = 0;

    if (below(3) == 0)
        return 0;
    put_signed(&side, 1, (int64_t)below(200) - 100);
    for (uint64_t left = below(6); left > 0; left--) {
        uint64_t count = below(3) == 0 ? below(1000) : below(2);
        total += count;
        buf_varint(&packed, count);
    }
    put_message(&side, 2, &packed);
    put_message(point, field, &side);
    buf_fini(&side);
    buf_fini(&packed);
    return total;
}

static void put_exponential_point(struct buf *out)
{
    struct buf point = BUF_EMPTY;
    uint64_t zeros = below(3);

    put_head(&point, 1, 10);
    uint64_t total = put_side(&point, 8) + put_side(&point, 9) + zeros;
    put_signed(&point, 6, (int64_t)below(24) - 12);
    put_bits(&point, 7, zeros);
    put_bits(&point, 4, below(10) == 0 ? below(8) : total);
    put_extremes(&point, 12, 13);
    put_message(out, 1, &point);
    buf_fini(&point);
}

static void put_summary_point(struct buf *out)
{
    static const double quantiles[] = {0, 0.5, 0.9, 0.99, 1};
    struct buf point = BUF_EMPTY;
    struct buf quantile = BUF_EMPTY;

    put_head(&point, 7, 8);
    put_bits(&point, 4, below(100));
    put_double(&point, 5, random_double());
    for (uint64_t left = below(4); left > 0; left--) {
        put_double(&quantile, 1, quantiles[below(TEST_COUNT(quantiles))]);
        put_double(&quantile, 2, random_double());
        put_message(&point, 6, &quantile);
    }
    put_message(out, 1, &point);
    buf_fini(&point);
    buf_fini(&quantile);
}

static void put_metric(struct buf *out)
{
    static const struct {
        unsigned field;
        void (*put)(struct buf *out);
    } kinds[] = {{5, put_number_point},    {7, put_number_point},       {7, put_number_point},
                 {9, put_histogram_point}, {10, put_exponential_point}, {11, put_summary_point}};
    struct buf metric = BUF_EMPTY;
    struct buf data = BUF_EMPTY;
    size_t kind = below(TEST_COUNT(kinds));

    for (uint64_t left = below(4); left > 0; left--)
        kinds[kind].put(&data);
    if (kinds[kind].field != 5 && kinds[kind].field != 11) {
        put_number(&data, 2, below(12) == 0 ? 0 : 1 + below(2));
        if (kinds[kind].field == 7 && below(2) == 0)
            put_number(&data, 3, 1);
    }
    if (below(2) == 0)
        put_message(&metric, kinds[kind].field, &data); /* before its name */
    put_text(&metric, 1, below(20) == 0 ? STR_EMPTY : random_text(true));
    if (below(2) == 0)
        put_text(&metric, 3, STR("By"));
    if (data.len > 0)
        put_message(&metric, kinds[kind].field, &data);
    put_message(out, 2, &metric);
    buf_fini(&metric);
    buf_fini(&data);
}

static void put_request(struct buf *request)
{
    static const char *const keys[] = {"service.name", "service.instance.id", "host.name",
                                       "process.pid", "os.type"};
    for (uint64_t resources = below(3); resources > 0; resources--) {
        struct buf resource = BUF_EMPTY;
        struct buf inner = BUF_EMPTY;
        bool is_last = below(3) == 0;
        for (uint64_t scopes = below(3); scopes > 0 && is_last; scopes--) {
            put_metric(&inner);
            put_message(&resource, 2, &inner);
        }
        for (size_t i = 0; i < TEST_COUNT(keys); i++) {
            if (below(2) == 0)
                put_attribute(&inner, 1, str_of(keys[i]));
        }
        if (below(4) > 0)
            put_message(&resource, 1, &inner);
        buf_clear(&inner);
        for (uint64_t scopes = below(3); scopes > 0 && !is_last; scopes--) {
            for (uint64_t metrics = below(4); metrics > 0; metrics--)
                put_metric(&inner);
            put_message(&resource, 2, &inner);
        }
        put_message(request, 1, &resource);
        buf_fini(&resource);
        buf_fini(&inner);
    }
}

/* --- the tests -------------------------------------------------------------------------------- */

static void whole_requests_give_the_same_points_in_both_encodings(void **state)
{
    uint64_t stored = 0;
    (void)state;

    for (int i = 0; i < REQUESTS; i++) {
        struct buf request = BUF_EMPTY;
        struct buf text = BUF_EMPTY;
        struct json json = json_to(&text);
        struct expected expected;
        put_request(&request);
        Otlp__Request *unpacked =
            otlp__request__unpack(NULL, request.len, (const uint8_t *)request.bytes);
        assert_non_null(unpacked);
        expect(&expected, unpacked);
        buf_char(&expected.points, '\0');
        compare(false, buf_view(&request), &expected);
        write_message(&json, &unpacked->base, &random_state);
        compare(true, buf_view(&text), &expected);
        stored += expected.stored;
        otlp__request__free_unpacked(unpacked, NULL);
        buf_fini(&expected.points);
        buf_fini(&request);
        buf_fini(&text);
    }
    assert_true(stored > REQUESTS);
}

/* Bytes changed or cut off: what both can read is the same to both. */
static void damaged_requests_are_read_alike_or_refused(void **state)
{
    unsigned compared = 0;
    (void)state;

    for (int i = 0; i < DAMAGED; i++) {
        struct buf request = BUF_EMPTY;
        struct expected expected;
        struct otlp otlp;
        put_request(&request);
        for (uint64_t damages = 1 + below(2); damages > 0 && request.len > 0; damages--) {
            size_t at = below(request.len);
            if (below(10) == 0)
                request.len = at;
            else
                request.bytes[at] = (char)(request.bytes[at] ^ (1 << below(8)));
        }
        bool is_read = otlp_take_as(&otlp, false, buf_view(&request));
        otlp_fini(&otlp);
        Otlp__Request *unpacked =
            otlp__request__unpack(NULL, request.len, (const uint8_t *)request.bytes);
        if (is_read && unpacked != NULL) {
            expect(&expected, unpacked);
            buf_char(&expected.points, '\0');
            compare(false, buf_view(&request), &expected);
            buf_fini(&expected.points);
            compared++;
        }
        if (unpacked != NULL)
            otlp__request__free_unpacked(unpacked, NULL);
        buf_fini(&request);
    }
    assert_true(compared > DAMAGED / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_requests_give_the_same_points_in_both_encodings),
        cmocka_unit_test(damaged_requests_are_read_alike_or_refused),
    };
    cache = series_cache_new(RULES.seed, 256 * 1024); /* it is full again and again */
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    series_cache_free(cache);
    return failed;
}
