#include "ingest/otlp_body.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/wire.h"
#include "ingest/otlp_json.h"
#include "ingest/otlp_points.h"

/* O8: what a resource says of itself that becomes labels. */
static const char *const RESOURCE_LABELS[] = {
    "service.name",           "service.namespace",           "service.instance.id",
    "deployment.environment", "deployment.environment.name", "host.name",
};
/* The same where no service.instance.id tells two senders apart. */
static const char *const INSTANCE_LABELS[] = {"k8s.pod.name", "container.id", "process.pid"};

enum {
    RESOURCE_LABEL_COUNT = sizeof RESOURCE_LABELS / sizeof RESOURCE_LABELS[0],
    INSTANCE_LABEL_COUNT = sizeof INSTANCE_LABELS / sizeof INSTANCE_LABELS[0],
};

enum data {
    DATA_NONE = 0, /* or of a kind that is not known */
    DATA_GAUGE = 5,
    DATA_SUM = 7,
    DATA_HISTOGRAM = 9,
    DATA_EXPONENTIAL = 10,
    DATA_SUMMARY = 11,
};

enum temporality { TEMPORALITY_DELTA = 1, TEMPORALITY_CUMULATIVE = 2 };

/* The metric that is read. */
struct metric {
    struct str name;
    enum data data;
    struct str points; /* a Gauge, Sum, ... */
    uint64_t temporality;
    bool is_monotonic;
};

struct otlp_body {
    struct body body; /* first */
    bool is_json;
    const struct batch_rules *rules;
    uint64_t *last_arrival;
    wall_ms now;
    size_t held_max;
    struct series_cache *cache;  /* NULL is fine */
    const char *resource_labels; /* as ingest.h says */
    size_t room;                 /* to make for the request */
    struct buf bytes;            /* it, as it came */
    struct buf converted;        /* of JSON: the same in protobuf */
    struct otlp_parts *parts;    /* made when the first histogram or summary comes */
    uint64_t place;              /* points so far */
    uint64_t points_rejected;
    struct metric metric;
    struct otlp_labels resource;
    struct otlp_labels scope; /* with the resource's */
    uint64_t scope_context;   /* of these; 0: the cache has none */
    bool may_recall;          /* points of the metric may be remembered */
    uint64_t context;         /* of these; 0: the cache has none */
    struct buf name;          /* of a part of a summary, and for the scope's labels */

    /* of the point */
    const struct otlp_point *point;
    struct batch_memo memo;
    bool has_labels; /* else it was recalled, and nobody needed them */
    struct otlp_labels labels;
};

static struct otlp_body *of(struct body *body)
{
    return (struct otlp_body *)body;
}

/* --- the head --------------------------------------------------------------------------------- */

static struct body *otlp_open(const struct body_request *request, struct http_answer *answer)
{
    struct str content_type = request->head->content_type;
    bool is_json = http_media_type_is(content_type, "application/json");

    if (!is_json && !http_media_type_is(content_type, "application/x-protobuf")) {
        http_answer_set(answer, 415,
                        "the Content-Type is neither application/x-protobuf nor application/json");
        return NULL;
    }
    struct otlp_body *body = memory_zero(1, sizeof *body);
    body_init(&body->body, &OTLP_BODY_FORMAT, request);
    body->body.variant = is_json;
    body->is_json = is_json;
    body->rules = request->rules;
    body->last_arrival = request->last_arrival;
    body->now = request->now_us / 1000;
    body->held_max = request->held_max;
    if (request->head->encoding == HTTP_IDENTITY)
        body->room = http_room_for(request->head->length);
    body->cache = request->cache;
    body->resource_labels = request->resource_labels == NULL ? "" : request->resource_labels;
    return &body->body;
}

static void otlp_close(struct body *base)
{
    struct otlp_body *body = of(base);

    body_fini(&body->body);
    buf_fini(&body->bytes);
    buf_fini(&body->converted);
    buf_fini(&body->name);
    free(body->parts);
    free(body);
}

static size_t otlp_size_bytes(const struct body *base)
{
    const struct otlp_body *body = (const struct otlp_body *)base;

    return sizeof *body + body->bytes.capacity + body->converted.capacity + body->name.capacity +
           (body->parts == NULL ? 0 : sizeof *body->parts) +
           (body->body.batch == NULL ? 0 : batch_size_bytes(body->body.batch));
}

/* --- samples ---------------------------------------------------------------------------------- */

/* False when its attributes are none. */
static bool read_labels(struct otlp_body *body)
{
    if (!otlp_point_read_labels(body->point, &body->labels))
        return false;
    otlp_labels_end(&body->labels);
    otlp_labels_join(&body->labels, &body->scope);
    body->has_labels = true;
    return true;
}

/* Of a point that was recalled they were not read, and are such as can be. */
static void need_labels(struct otlp_body *body)
{
    if (!body->has_labels)
        (void)read_labels(body);
}

static const char *words_of(enum reject_reason reason)
{
    switch (reason) {
    case REJECT_bad_name:
        return "the metric's name is empty, too long or has control characters";
    case REJECT_bad_number:
        return "what only counts up is negative";
    case REJECT_bad_histogram:
        return "the histogram's bounds, counts, sum or extremes contradict each other, or lie "
               "outside of what can be counted";
    default:
        return body_words_of(reason);
    }
}

static bool reject(struct otlp_body *body, struct str name, enum reject_reason reason,
                   const char *words)
{
    need_labels(body);
    const struct batch_point point = {
        .name = name, .labels = body->labels.labels, .label_count = body->labels.count};

    body_reject_point(&body->body, reason, body->place, &point, words);
    return false;
}

static bool drop(struct otlp_body *body, enum drop_reason reason)
{
    body_drop(&body->body, reason, body->metric.name);
    return true;
}

/* Each of these three: false when it was rejected. */

static bool add(struct otlp_body *body, struct batch_point *point, struct batch_memo *memo)
{
    if (memo->cached == NULL) {
        need_labels(body);
        point->labels = body->labels.labels;
        point->label_count = body->labels.count;
    }
    if (point->buckets == NULL && !isfinite(point->value))
        return drop(body, DROP_not_finite);
    enum reject_reason reason =
        batch_add_point_to(body->body.batch, memo, point, body->now, ++*body->last_arrival);
    body->body.until_look -= point->buckets == NULL ? 1 : BODY_LOOK_HISTOGRAM;
    if (reason == REJECT_series_limit) /* http_answer_drop says so */
        return drop(body, DROP_series_limit);
    if (reason != REJECT_NONE)
        return reject(body, point->name, reason, words_of(reason));
    body->body.counts.received++;
    body->body.counts.stored++;
    return true;
}

/* --- points ----------------------------------------------------------------------------------- */

static struct batch_point point_of(const struct otlp_body *body, const struct otlp_point *point)
{
    return (struct batch_point){.name = body->metric.name,
                                .at = otlp_point_at(point, body->now),
                                .start = otlp_point_start(point, body->now),
                                .by_arrival = point->time_ns == 0};
}

/* A sum's or a histogram's. */
static void set_form(const struct otlp_body *body, const struct otlp_point *point,
                     struct batch_point *out)
{
    out->form = POINT_CUMULATIVE;
    if (body->metric.temporality != TEMPORALITY_DELTA)
        return;
    out->form = POINT_INCREMENT;
    otlp_point_window(point, out);
}

static bool add_number(struct otlp_body *body, const struct otlp_point *point)
{
    const struct metric *metric = &body->metric;
    struct batch_point out = point_of(body, point);
    bool is_delta = metric->temporality == TEMPORALITY_DELTA;

    if (point->number == OTLP_NO_NUMBER)
        return reject(body, out.name, REJECT_bad_number, "the point has no value");
    out.value =
        point->number == OTLP_INTEGER ? (double)(int64_t)point->bits : wire_double(point->bits);
    if (metric->data == DATA_GAUGE || (!is_delta && !metric->is_monotonic)) {
        out.kind = METRIC_GAUGE;
        out.form = POINT_LEVEL;
        out.start = WALL_NONE;
        return add(body, &out, &body->memo);
    }
    if (is_delta && metric->is_monotonic && out.value < 0)
        return reject(body, out.name, REJECT_bad_number, words_of(REJECT_bad_number));
    out.kind = METRIC_COUNTER;
    set_form(body, point, &out);
    return add(body, &out, &body->memo);
}

static bool add_histogram(struct otlp_body *body, const struct otlp_point *point)
{
    struct batch_point out = point_of(body, point);
    const char *words = NULL;

    if (!otlp_point_expand(point, body->parts, &words))
        return reject(body, out.name, REJECT_bad_histogram, words);
    out.kind = METRIC_DISTRIBUTION;
    set_form(body, point, &out);
    out.buckets = &body->parts->buckets;
    return add(body, &out, &body->memo);
}

/* NAME_count and NAME_sum. */
static bool add_part(struct otlp_body *body, const struct otlp_point *point, const char *suffix,
                     double value)
{
    struct batch_point out = point_of(body, point);
    struct batch_memo memo = {.is_known = false};

    buf_clear(&body->name);
    buf_str(&body->name, out.name);
    buf_text(&body->name, suffix);
    out.name = buf_view(&body->name);
    out.kind = METRIC_COUNTER;
    out.form = POINT_CUMULATIVE;
    out.value = value;
    return add(body, &out, &memo);
}

/* With a label more, which the next one finds in its place. */
static bool add_quantile(struct otlp_body *body, const struct otlp_point *point, size_t i)
{
    struct batch_point out = point_of(body, point);
    struct batch_memo memo = {.is_known = false};
    char text[STR_DOUBLE_SIZE];
    double quantile = body->parts->quantiles[i].quantile;

    if (!isfinite(quantile))
        return reject(body, out.name, REJECT_bad_number, "the quantile is no number");
    otlp_labels_remove(&body->labels, "quantile");
    otlp_labels_add(&body->labels, STR("quantile"),
                    (struct str){text, str_format_double(quantile + 0.0, text)});
    otlp_labels_end(&body->labels);
    out.kind = METRIC_GAUGE;
    out.form = POINT_LEVEL;
    out.start = WALL_NONE;
    out.value = body->parts->quantiles[i].value;
    bool ok = body->labels.wrong == REJECT_NONE
                  ? add(body, &out, &memo)
                  : reject(body, out.name, body->labels.wrong, body->labels.words);
    otlp_labels_remove(&body->labels, "quantile"); /* its text goes with this call */
    return ok;
}

static bool add_summary(struct otlp_body *body, const struct otlp_point *point)
{
    if (body->parts->has_too_many)
        return reject(body, body->metric.name, REJECT_unsupported,
                      "the summary has too many quantiles");
    bool ok = add_part(body, point, "_count", (double)point->count);
    ok = add_part(body, point, "_sum", point->sum) && ok;
    for (size_t i = 0; i < body->parts->quantile_count; i++)
        ok = add_quantile(body, point, i) && ok;
    return ok;
}

static bool has_temporality(const struct metric *metric)
{
    return metric->data == DATA_GAUGE || metric->data == DATA_SUMMARY ||
           metric->temporality == TEMPORALITY_DELTA ||
           metric->temporality == TEMPORALITY_CUMULATIVE;
}

static bool add_point(struct otlp_body *body, const struct otlp_point *point)
{
    const struct metric *metric = &body->metric;

    if (body->has_labels && body->labels.wrong != REJECT_NONE)
        return reject(body, metric->name, body->labels.wrong, body->labels.words);
    if (!has_temporality(metric))
        return reject(body, metric->name, REJECT_bad_temporality,
                      "the aggregation temporality is neither delta (1) nor cumulative (2)");
    if (point->has_no_value)
        return drop(body, DROP_stale_marker);
    switch (metric->data) {
    case DATA_HISTOGRAM:
    case DATA_EXPONENTIAL:
        return add_histogram(body, point);
    case DATA_SUMMARY:
        return add_summary(body, point);
    default:
        return add_number(body, point);
    }
}

static bool read_point(struct otlp_body *body, struct str bytes, struct str expected,
                       struct otlp_point *point)
{
    if (body->parts == NULL && body->metric.data > DATA_SUM)
        body->parts = memory_zero(1, sizeof *body->parts);
    switch (body->metric.data) {
    case DATA_HISTOGRAM:
        return otlp_point_read_histogram(bytes, point, body->parts);
    case DATA_EXPONENTIAL:
        return otlp_point_read_exponential(bytes, point, body->parts);
    case DATA_SUMMARY:
        return otlp_point_read_summary(bytes, point, body->parts);
    default:
        return otlp_point_read_number(bytes, expected, point);
    }
}

static bool set_broken(const struct otlp_body *body, struct error *err)
{
    return error_set(err, ERROR_INVALID,
                     "the body is no ExportMetricsServiceRequest, or is broken (after %llu points)",
                     (unsigned long long)body->place);
}

/* A point of a summary is several series. */
static bool may_recall(const struct otlp_body *body)
{
    return body->cache != NULL && body->metric.data != DATA_SUMMARY &&
           has_temporality(&body->metric);
}

/* What tells series apart whose names and attributes are the same. */
static uint64_t context_of(const struct otlp_body *body)
{
    const struct metric *metric = &body->metric;
    unsigned what = (unsigned)metric->data << 2 |
                    (unsigned)(metric->temporality == TEMPORALITY_DELTA) << 1 |
                    (unsigned)metric->is_monotonic;

    return body->scope_context == 0 ? 0 : body->scope_context << 8 | what;
}

/* Whether the point's name and attributes are as they were before. Else `spelling` has them if they
 * may be remembered. */
static bool recall_point(struct otlp_body *body, struct spelling *spelling)
{
    const struct otlp_point *point = body->point;
    unsigned char note = 0;

    if (point->is_expected) {
        batch_recall_peeked(body->body.batch, &body->memo, &note);
        return true;
    }
    if (!body->may_recall || point->has_other_between) {
        spelling->context = 0;
        return false;
    }
    spelling->bytes = point->attributes;
    return batch_recall(body->body.batch, spelling, &body->memo, &note);
}

static bool take_point(struct otlp_body *body, struct str bytes, struct error *err)
{
    struct spelling spelling = {.context = body->context, .head = body->metric.name};
    struct str expected = STR_EMPTY;
    struct otlp_point point;

    if (spelling.context != 0)
        expected = batch_peek(body->body.batch, &spelling);
    if (!read_point(body, bytes, expected, &point))
        return set_broken(body, err);
    body->point = &point;
    body->has_labels = false;
    body->memo = (struct batch_memo){.is_known = false};
    bool is_known = recall_point(body, &spelling);
    if (!is_known && !read_labels(body))
        return set_broken(body, err);
    body->place++;
    if (!add_point(body, &point))
        body->points_rejected++;
    else if (!is_known)
        batch_remember(body->body.batch, &spelling, &body->memo, 0);
    return body_is_within(&body->body, body->held_max, err);
}

/* --- metrics ---------------------------------------------------------------------------------- */

/* A Sum, Histogram or ExponentialHistogram says behind its points how they count. */
static bool read_temporality(struct metric *metric, struct wire wire)
{
    uint64_t temporality = 0;
    bool is_monotonic = false;

    while (wire_next(&wire)) {
        switch (wire.tag) {
        case WIRE_TAG(2, WIRE_VARINT):
            temporality = wire_varint(&wire);
            break;
        case WIRE_TAG(3, WIRE_VARINT):
            is_monotonic = wire_varint(&wire) != 0;
            break;
        default:
            wire_skip(&wire);
        }
    }
    metric->temporality = temporality;
    metric->is_monotonic = is_monotonic;
    return wire.ok;
}

static bool read_metric(struct metric *metric, struct str bytes)
{
    struct wire wire = wire_of(bytes);
    struct str name = STR_EMPTY;
    struct str points = STR_EMPTY;
    enum data data = DATA_NONE;

    while (wire_next(&wire)) {
        switch (wire.tag) {
        case WIRE_TAG(1, WIRE_BYTES):
            name = wire_bytes(&wire);
            break;
        case WIRE_TAG(DATA_GAUGE, WIRE_BYTES):
        case WIRE_TAG(DATA_SUM, WIRE_BYTES):
        case WIRE_TAG(DATA_HISTOGRAM, WIRE_BYTES):
        case WIRE_TAG(DATA_EXPONENTIAL, WIRE_BYTES):
        case WIRE_TAG(DATA_SUMMARY, WIRE_BYTES):
            data = (enum data)(wire.tag >> 3);
            points = wire_bytes(&wire);
            break;
        default:
            wire_skip(&wire);
        }
    }
    *metric = (struct metric){.name = name, .data = data, .points = points};
    if (!wire.ok || data == DATA_NONE || data == DATA_GAUGE || data == DATA_SUMMARY)
        return wire.ok;
    return read_temporality(metric, wire_of(points));
}

static bool take_metric(struct otlp_body *body, struct str bytes, struct error *err)
{
    if (!read_metric(&body->metric, bytes))
        return set_broken(body, err);
    body->may_recall = may_recall(body);
    body->context = body->may_recall ? context_of(body) : 0;
    struct wire wire = wire_of(body->metric.points);
    while (wire_next(&wire)) {
        if (wire.tag != WIRE_TAG(1, WIRE_BYTES))
            wire_skip(&wire);
        else if (!take_point(body, wire_bytes(&wire), err))
            return false;
    }
    return wire.ok || set_broken(body, err);
}

/* --- requests --------------------------------------------------------------------------------- */

/* For each inner message of a number, in order. */
typedef bool (*take_fn)(struct otlp_body *body, struct str bytes, struct error *err);

static bool take_each(struct otlp_body *body, struct str bytes, uint32_t tag, take_fn take,
                      struct error *err)
{
    struct wire wire = wire_of(bytes);

    while (wire_next(&wire)) {
        if (wire.tag != tag)
            wire_skip(&wire);
        else if (!take(body, wire_bytes(&wire), err))
            return false;
    }
    return wire.ok || set_broken(body, err);
}

static bool is_one_of(struct str key, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_is(key, names[i]))
            return true;
    }
    return false;
}

/* Whether the listener's own list has it. */
static bool is_listed(const struct otlp_body *body, struct str key)
{
    struct str rest = str_of(body->resource_labels);

    while (rest.len > 0) {
        struct str name = str_split(&rest, ' ');
        if (name.len > 0 && str_equal(name, key))
            return true;
    }
    return false;
}

static bool becomes_label(const struct otlp_body *body, struct str key)
{
    if (body->resource_labels[0] != '\0')
        return is_listed(body, key);
    return is_one_of(key, RESOURCE_LABELS, RESOURCE_LABEL_COUNT) ||
           is_one_of(key, INSTANCE_LABELS, INSTANCE_LABEL_COUNT);
}

static bool take_resource_attribute(struct otlp_body *body, struct str bytes, struct error *err)
{
    return !becomes_label(body, otlp_labels_key_of(bytes)) ||
           otlp_labels_take(&body->resource, bytes) || set_broken(body, err);
}

static bool take_resource(struct otlp_body *body, struct str bytes, struct error *err)
{
    otlp_labels_begin(&body->resource);
    if (!take_each(body, bytes, WIRE_TAG(1, WIRE_BYTES), take_resource_attribute, err))
        return false;
    otlp_labels_end(&body->resource);
    if (body->resource_labels[0] != '\0' ||
        !otlp_labels_have(&body->resource, "service.instance.id"))
        return true;
    for (size_t i = 0; i < INSTANCE_LABEL_COUNT; i++)
        otlp_labels_remove(&body->resource, INSTANCE_LABELS[i]);
    return true;
}

/* The names are those that OpenTelemetry has for what says no scope. */
static bool take_scope_head(struct otlp_body *body, struct str bytes, struct error *err)
{
    struct str name;
    struct str version;

    bool ok = wire_read_pair(bytes, &name, &version);
    otlp_labels_begin(&body->scope);
    if (is_listed(body, STR("otel.scope.name")))
        otlp_labels_add(&body->scope, STR("otel.scope.name"), name);
    if (is_listed(body, STR("otel.scope.version")))
        otlp_labels_add(&body->scope, STR("otel.scope.version"), version);
    return ok || set_broken(body, err);
}

/* Points of all scopes that give the same labels are spelt alike. */
static void find_context(struct otlp_body *body)
{
    body->scope_context = 0;
    if (body->cache == NULL || body->scope.wrong != REJECT_NONE)
        return;
    series_key_write(&body->name, METRIC_UNTYPED, STR_EMPTY, body->scope.labels, body->scope.count);
    body->scope_context = batch_context(body->body.batch, buf_view(&body->name));
}

static bool take_scope(struct otlp_body *body, struct str bytes, struct error *err)
{
    otlp_labels_begin(&body->scope);
    if (!take_each(body, bytes, WIRE_TAG(1, WIRE_BYTES), take_scope_head, err))
        return false;
    otlp_labels_end(&body->scope);
    otlp_labels_join(&body->scope, &body->resource);
    find_context(body);
    return take_each(body, bytes, WIRE_TAG(2, WIRE_BYTES), take_metric, err);
}

/* The resource may come behind what it is the resource of. */
static bool take_resource_metrics(struct otlp_body *body, struct str bytes, struct error *err)
{
    otlp_labels_begin(&body->resource);
    return take_each(body, bytes, WIRE_TAG(1, WIRE_BYTES), take_resource, err) &&
           take_each(body, bytes, WIRE_TAG(2, WIRE_BYTES), take_scope, err);
}

/* Collected: what says how points count comes behind them. */
static bool otlp_take(struct body *base, struct str bytes, struct error *err)
{
    struct otlp_body *body = of(base);
    (void)err;

    if (body->bytes.bytes == NULL && body->room > 0)
        (void)buf_room(&body->bytes, body->room);
    buf_str(&body->bytes, bytes);
    return true;
}

static bool otlp_end(struct body *base, struct error *err)
{
    struct otlp_body *body = of(base);
    struct buf *request = body->is_json ? &body->converted : &body->bytes;

    if (body->is_json) {
        size_t held = otlp_size_bytes(base);
        size_t room = held < body->held_max ? body->held_max - held : 0;
        if (!otlp_json_convert(buf_view(&body->bytes), room, &base->pause, &body->converted, err))
            return false;
        buf_fini(&body->bytes);
    }
    batch_use(base->batch, body->cache, request->len);
    bool ok =
        take_each(body, buf_view(request), WIRE_TAG(1, WIRE_BYTES), take_resource_metrics, err);
    buf_fini(request);
    return ok;
}

/* --- the verdict ------------------------------------------------------------------------------ */

/* O4. */
static void otlp_verdict(const struct body *base, struct http_answer *answer)
{
    const struct otlp_body *body = (const struct otlp_body *)base;
    const struct body_tally tally = {.rejected = body->points_rejected,
                                     .received = body->place,
                                     .many = "data points",
                                     .one = "point"};
    struct buf words = BUF_EMPTY;

    /* In points: what is dropped later is rejected too, and of a summary all its figures may be. */
    answer->counts = (struct http_counts){.samples = body->place - body->points_rejected,
                                          .rejected = body->points_rejected};
    if (body->points_rejected > 0)
        body_word_mistakes(base, &tally, &words);
    http_answer_stored(answer, buf_view(&words));
    buf_fini(&words);
}

const struct body_format OTLP_BODY_FORMAT = {
    .open = otlp_open,
    .close = otlp_close,
    .take = otlp_take,
    .end = otlp_end,
    .size_bytes = otlp_size_bytes,
    .verdict = otlp_verdict,
};
