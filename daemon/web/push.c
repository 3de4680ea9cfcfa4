#include "web/push.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "series/batch.h"

static const char *const SAMPLE_KEYS[] = {"name", "value", "labels", "type", "at", "id"};

enum { KEY_COUNT = sizeof SAMPLE_KEYS / sizeof SAMPLE_KEYS[0] };

/* What is built up while a body is read. */
struct builder {
    const struct push_rules *rules;
    struct batch_rules batch_rules;
    struct batch *batch;
    size_t sample; /* the one that is being read */
    enum reject_reason reason;
    struct str body;                /* as it came */
    struct delta_identity identity; /* of a push with an id */
};

/* One sample as it was read. */
struct pushed {
    struct str name;
    enum metric_kind kind;
    struct label labels[LABELS_MAX];
    size_t label_count;
    double value;
    struct str member; /* of a unique metric */
    wall_ms at;
};

static struct str text_of(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

__attribute__((format(printf, 5, 6))) static bool refuse(struct builder *builder,
                                                         enum reject_reason reason, const char *key,
                                                         struct error *err, const char *format, ...)
{
    char why[300];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    builder->reason = reason;
    return error_set(err, ERROR_INVALID, "samples[%zu].%s: %s", builder->sample, key, why);
}

static bool check_keys(struct builder *builder, json_t *sample, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    const char *key = NULL;
    json_t *value = NULL;

    json_object_foreach(sample, key, value)
    {
        size_t i = 0;
        while (i < KEY_COUNT && strcmp(key, SAMPLE_KEYS[i]) != 0)
            i++;
        if (i < KEY_COUNT)
            continue;
        (void)refuse(builder, REJECT_malformed, str_quoted(str_of(key), quoted), err,
                     "unknown key");
        const char *near = str_nearest(str_of(key), SAMPLE_KEYS, KEY_COUNT);
        return near == NULL ? false : error_hint(err, "did you mean '%s'?", near);
    }
    return true;
}

/* What was pushed with an id before is counted once. One delta has one identity, so the sample is
 * alone in its push. */
static bool read_id(struct builder *builder, const json_t *sample, size_t samples,
                    struct error *err)
{
    const json_t *id = json_object_get(sample, "id");
    struct buf scope = BUF_EMPTY;

    if (id == NULL)
        return true;
    if (!json_is_string(id) || json_string_length(id) == 0 || json_string_length(id) > PUSH_ID_MAX)
        return refuse(builder, REJECT_malformed, "id", err, "an id is a text of 1 to %d bytes",
                      PUSH_ID_MAX);
    if (samples > 1) {
        (void)refuse(builder, REJECT_malformed, "id", err, "an id is for a push of one sample");
        return error_hint(err, "send each sample in a push of its own");
    }
    buf_block(&scope, STR("push")); /* no listener has this name */
    buf_block(&scope, STR_EMPTY);   /* the token */
    buf_block(&scope, text_of(id));
    builder->identity = (struct delta_identity){.kind = IDENTITY_KEY,
                                                .name = series_key_hash(buf_view(&scope)),
                                                .body = series_key_hash(builder->body)};
    buf_fini(&scope);
    return true;
}

static bool read_name(struct builder *builder, const json_t *sample, struct pushed *out,
                      struct error *err)
{
    const json_t *name = json_object_get(sample, "name");

    if (name == NULL)
        return refuse(builder, REJECT_bad_name, "name", err, "missing");
    if (!json_is_string(name))
        return refuse(builder, REJECT_bad_name, "name", err, "not a text");
    out->name = text_of(name);
    if (!metric_name_is_valid(out->name))
        return refuse(builder, REJECT_bad_name, "name", err,
                      "empty, longer than %d bytes or with control characters", METRIC_NAME_MAX);
    return true;
}

static bool read_kind(struct builder *builder, const json_t *sample, struct pushed *out,
                      struct error *err)
{
    const json_t *type = json_object_get(sample, "type");
    const char *names[METRIC_KIND_MAX + 1];
    char quoted[STR_QUOTED_SIZE];

    out->kind = METRIC_UNTYPED;
    if (type != NULL && !json_is_string(type))
        return refuse(builder, REJECT_bad_type, "type", err, "not a text");
    if (type != NULL && !metric_kind_parse(text_of(type), &out->kind)) {
        for (int kind = 0; kind <= METRIC_KIND_MAX; kind++)
            names[kind] = metric_kind_name((enum metric_kind)kind);
        (void)refuse(builder, REJECT_bad_type, "type", err, "unknown type '%s'",
                     str_quoted(text_of(type), quoted));
        const char *near = str_nearest(text_of(type), names, METRIC_KIND_MAX + 1);
        return near == NULL ? error_hint(err, "counter, gauge, distribution, unique or untyped")
                            : error_hint(err, "did you mean '%s'?", near);
    }
    const struct metric_definition *metric = metric_find(builder->rules->metrics, out->name);
    if (metric != NULL && metric->has_kind) {
        out->kind = metric->kind;
    } else if (type == NULL && builder->rules->kind_of != NULL) {
        enum metric_kind known = builder->rules->kind_of(out->name, builder->rules->kind_arg);
        out->kind = known == 0 ? METRIC_UNTYPED : known;
    }
    return true;
}

static bool label_is_valid(struct str name, struct str value)
{
    return name.len > 0 && value.len > 0 && memchr(name.text, 1, name.len) == NULL &&
           memchr(value.text, 1, value.len) == NULL;
}

/* Keeps them sorted by the bytes of their names, as series keys are. */
static void insert_label(struct pushed *out, struct label label)
{
    size_t at = out->label_count++;
    while (at > 0 && str_compare(out->labels[at - 1].name, label.name) > 0) {
        out->labels[at] = out->labels[at - 1];
        at--;
    }
    out->labels[at] = label;
}

static bool read_labels(struct builder *builder, json_t *sample, struct pushed *out,
                        struct error *err)
{
    json_t *labels = json_object_get(sample, "labels");
    char quoted[STR_QUOTED_SIZE];
    const char *name = NULL;
    json_t *value = NULL;
    size_t bytes = 0;

    out->label_count = 0;
    if (labels == NULL)
        return true;
    if (!json_is_object(labels))
        return refuse(builder, REJECT_bad_tags, "labels", err, "not an object");
    if (json_object_size(labels) > LABELS_MAX)
        return refuse(builder, REJECT_bad_tags, "labels", err, "more than %d labels", LABELS_MAX);
    json_object_foreach(labels, name, value)
    {
        struct label label = {str_of(name), text_of(value)};
        if (!json_is_string(value) || !label_is_valid(label.name, label.value))
            return refuse(builder, REJECT_bad_tags, "labels", err,
                          "the name and the value of '%s' must be texts that are not empty",
                          str_quoted(label.name, quoted));
        bytes += label.name.len + label.value.len + 2;
        insert_label(out, label);
    }
    if (bytes > LABEL_BYTES_MAX)
        return refuse(builder, REJECT_bad_tags, "labels", err, "longer than %d bytes together",
                      LABEL_BYTES_MAX);
    return true;
}

static bool read_member(struct builder *builder, const json_t *value, struct pushed *out,
                        struct error *err)
{
    if (!json_is_string(value))
        return refuse(builder, REJECT_bad_number, "value", err,
                      "a member of the unique metric '%.*s' is a text", STR_ARGS(out->name));
    out->member = text_of(value);
    if (out->member.len == 0 || out->member.len > PUSH_MEMBER_MAX)
        return refuse(builder, REJECT_bad_number, "value", err, "a member has 1 to %d bytes",
                      PUSH_MEMBER_MAX);
    return true;
}

static bool score_is_in_range(double value, const struct metric_definition *metric)
{
    const double exact_max = 9007199254740992.0; /* 2^53: larger doubles are all whole */

    if (value != floor(value) || fabs(value) > exact_max)
        return false;
    return metric == NULL || !metric->has_range ||
           ((int64_t)value >= metric->range_low && (int64_t)value <= metric->range_high);
}

static bool read_value(struct builder *builder, const json_t *sample, struct pushed *out,
                       struct error *err)
{
    const json_t *value = json_object_get(sample, "value");
    char quoted[STR_QUOTED_SIZE];

    out->value = 0;
    out->member = STR_EMPTY;
    if (value == NULL)
        return refuse(builder, REJECT_bad_number, "value", err, "missing");
    if (out->kind == METRIC_UNIQUE)
        return read_member(builder, value, out, err);
    if (json_is_string(value)) {
        if (!str_parse_double(text_of(value), &out->value))
            return refuse(builder, REJECT_bad_number, "value", err, "not a decimal number: '%s'",
                          str_quoted(text_of(value), quoted));
    } else if (json_is_number(value)) {
        out->value = json_number_value(value);
    } else {
        return refuse(builder, REJECT_bad_number, "value", err, "not a number");
    }
    if (!isfinite(out->value))
        return refuse(builder, REJECT_bad_number, "value", err, "not a finite number");
    out->value += 0.0; /* -0 becomes 0 */
    if (out->kind == METRIC_SCORE &&
        !score_is_in_range(out->value, metric_find(builder->rules->metrics, out->name)))
        return refuse(builder, REJECT_out_of_range, "value", err,
                      "a score outside the range of '%.*s' or not a whole number",
                      STR_ARGS(out->name));
    return true;
}

/* FIG-3. */
static bool read_time(struct builder *builder, const json_t *sample, struct pushed *out,
                      struct error *err)
{
    const struct push_rules *rules = builder->rules;
    const json_t *at = json_object_get(sample, "at");
    char quoted[STR_QUOTED_SIZE];

    out->at = rules->now;
    if (at == NULL)
        return true;
    if (!json_is_string(at) || !calendar_parse(rules->calendar, text_of(at), false, &out->at)) {
        (void)refuse(builder, REJECT_bad_time, "at", err, "not a time: '%s'",
                     json_is_string(at) ? str_quoted(text_of(at), quoted) : "no text");
        return error_hint(err, "as 2026-10-12T09:00:00+02:00");
    }
    if (out->at > rules->now + rules->max_future)
        return refuse(builder, REJECT_bad_time, "at", err, "too far in the future: '%s'",
                      str_quoted(text_of(at), quoted));
    if (out->at < rules->now - rules->max_past)
        return refuse(builder, REJECT_bad_time, "at", err, "too far in the past: '%s'",
                      str_quoted(text_of(at), quoted));
    return true;
}

static bool add(struct builder *builder, const struct pushed *sample, struct error *err)
{
    const struct batch_sample one = {.name = sample->name,
                                     .labels = sample->labels,
                                     .label_count = sample->label_count,
                                     .kind = sample->kind,
                                     .value = sample->value,
                                     .text = sample->member,
                                     .at = sample->at};
    enum reject_reason reason = batch_add(builder->batch, &one, builder->rules->now,
                                          builder->rules->arrival + builder->sample);

    return reason == REJECT_NONE ||
           refuse(builder, reason, "at", err, "%s", reject_reason_name(reason));
}

static bool read_sample(struct builder *builder, json_t *sample, struct error *err)
{
    struct pushed pushed;

    pushed.name = STR_EMPTY;
    if (!json_is_object(sample)) {
        builder->reason = REJECT_malformed;
        return error_set(err, ERROR_INVALID, "samples[%zu]: not an object", builder->sample);
    }
    if (!check_keys(builder, sample, err) || !read_name(builder, sample, &pushed, err) ||
        !read_kind(builder, sample, &pushed, err) || !read_labels(builder, sample, &pushed, err) ||
        !read_value(builder, sample, &pushed, err) || !read_time(builder, sample, &pushed, err))
        return false;
    return add(builder, &pushed, err);
}

static bool read_body(struct builder *builder, json_t *body, struct error *err)
{
    json_t *samples = json_object_get(body, "samples");

    builder->reason = REJECT_malformed;
    if (!json_is_array(samples) || json_object_size(body) != 1) {
        (void)error_set(err, ERROR_INVALID, "the body is not an object with 'samples' alone");
        return error_hint(err, "{\"samples\":[{\"name\":\"signup\",\"value\":1}]}");
    }
    if (json_array_size(samples) == 0 || json_array_size(samples) > PUSH_SAMPLES_MAX)
        return error_set(err, ERROR_INVALID, "a push has 1 to %d samples, not %zu",
                         PUSH_SAMPLES_MAX, json_array_size(samples));
    for (; builder->sample < json_array_size(samples); builder->sample++) {
        json_t *sample = json_array_get(samples, builder->sample);
        if (!read_sample(builder, sample, err) ||
            !read_id(builder, sample, json_array_size(samples), err))
            return false;
    }
    return true;
}

bool push_parse(struct str body, const struct push_rules *rules, struct push *out,
                struct error *err)
{
    /* Names are a client's and could be made to collide with a seed that is guessed;
     * PUSH_SAMPLES_MAX bounds what that costs. */
    struct builder builder = {.rules = rules,
                              .batch_rules = {.metrics = rules->metrics,
                                              .series_max = PUSH_SAMPLES_MAX,
                                              .max_future = rules->max_future,
                                              .max_past = rules->max_past,
                                              .seed = rules->arrival},
                              .reason = REJECT_malformed,
                              .body = body};
    char quoted[STR_QUOTED_SIZE];
    json_error_t mistake;
    bool ok = false;

    builder.batch = batch_new(&builder.batch_rules);
    json_t *tree =
        json_loadb(body.text == NULL ? "" : body.text, body.len, JSON_REJECT_DUPLICATES, &mistake);
    if (tree == NULL)
        (void)error_set(err, ERROR_INVALID, "the body is not JSON: line %d, column %d: %s",
                        mistake.line, mistake.column, str_quoted(str_of(mistake.text), quoted));
    else
        ok = read_body(&builder, tree, err);
    json_decref(tree);

    out->samples = builder.sample;
    out->reason = ok ? REJECT_NONE : builder.reason;
    out->delta = ok ? batch_take(builder.batch) : NULL;
    if (ok)
        out->delta->identity = builder.identity;
    else
        batch_free(builder.batch);
    return ok;
}
