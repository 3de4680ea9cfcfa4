#include "ingest/push.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const SAMPLE_KEYS[] = {"name", "value", "labels", "type", "at", "id"};

enum { KEY_COUNT = sizeof SAMPLE_KEYS / sizeof SAMPLE_KEYS[0] };

/* The sample that is read, and what it goes into. */
struct builder {
    struct push_reader *reader;
    const struct push_rules *rules;
    struct batch *batch;
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

__attribute__((format(printf, 5, 6))) static bool refuse(const struct builder *builder,
                                                         enum reject_reason reason, const char *key,
                                                         struct error *err, const char *format, ...)
{
    char why[300];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    builder->reader->reason = reason;
    return error_set(err, ERROR_INVALID, "samples[%zu].%s: %s", builder->reader->samples, key, why);
}

static bool check_keys(const struct builder *builder, json_t *sample, struct error *err)
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
        (void)refuse(builder, REJECT_malformed, str_printable(str_of(key), quoted), err,
                     "unknown key");
        const char *near = str_nearest(str_of(key), SAMPLE_KEYS, KEY_COUNT);
        return near == NULL ? false : error_hint(err, "did you mean '%s'?", near);
    }
    return true;
}

/* What was pushed with an id before is counted once. A batch has one identity, so the sample is
 * alone in its push. */
static bool read_id(const struct builder *builder, const json_t *sample, struct error *err)
{
    struct push_reader *reader = builder->reader;
    const json_t *id = json_object_get(sample, "id");

    if (id != NULL && (!json_is_string(id) || json_string_length(id) == 0 ||
                       json_string_length(id) > PUSH_ID_MAX))
        return refuse(builder, REJECT_malformed, "id", err, "an id is a text of 1 to %d bytes",
                      PUSH_ID_MAX);
    if (reader->samples > 0 && (id != NULL || reader->id.len > 0)) {
        (void)refuse(builder, REJECT_malformed, "id", err, "an id is for a push of one sample");
        return error_hint(err, "send each sample in a push of its own");
    }
    if (id != NULL)
        buf_str(&reader->id, text_of(id));
    return true;
}

static bool read_name(const struct builder *builder, const json_t *sample, struct pushed *out,
                      struct error *err)
{
    const json_t *name = json_object_get(sample, "name");

    if (name == NULL)
        return refuse(builder, REJECT_bad_name, "name", err, "missing");
    if (!json_is_string(name))
        return refuse(builder, REJECT_bad_name, "name", err, "not a text");
    out->name = text_of(name);
    if (!metric_name_is_clean(out->name))
        return refuse(builder, REJECT_bad_name, "name", err,
                      "empty, longer than %d bytes or with control characters", METRIC_NAME_MAX);
    return true;
}

static bool read_kind(const struct builder *builder, const json_t *sample, struct pushed *out,
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
                     str_printable(text_of(type), quoted));
        const char *near = str_nearest(text_of(type), names, METRIC_KIND_MAX + 1);
        return near == NULL
                   ? error_hint(err, "counter, gauge, distribution, unique, score or untyped")
                   : error_hint(err, "did you mean '%s'?", near);
    }
    const struct metric_definition *metric = metric_find(builder->rules->batch->metrics, out->name);
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

static bool read_labels(const struct builder *builder, json_t *sample, struct pushed *out,
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
                          str_printable(label.name, quoted));
        bytes += label.name.len + label.value.len + 2;
        insert_label(out, label);
    }
    if (bytes > LABEL_BYTES_MAX)
        return refuse(builder, REJECT_bad_tags, "labels", err, "longer than %d bytes together",
                      LABEL_BYTES_MAX);
    return true;
}

static bool read_member(const struct builder *builder, const json_t *value, struct pushed *out,
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

static bool read_value(const struct builder *builder, const json_t *sample, struct pushed *out,
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
                          str_printable(text_of(value), quoted));
    } else if (json_is_number(value)) {
        out->value = json_number_value(value);
    } else {
        return refuse(builder, REJECT_bad_number, "value", err, "not a number");
    }
    if (!isfinite(out->value))
        return refuse(builder, REJECT_bad_number, "value", err, "not a finite number");
    out->value += 0.0; /* -0 becomes 0 */
    if (out->kind == METRIC_SCORE &&
        !score_is_in_range(out->value, metric_find(builder->rules->batch->metrics, out->name)))
        return refuse(builder, REJECT_out_of_range, "value", err,
                      "a score outside the range of '%.*s' or not a whole number",
                      STR_ARGS(out->name));
    return true;
}

/* Without a calendar only what has an offset is a time. */
static bool parse_time(const struct calendar *calendar, struct str text, wall_ms *out)
{
    size_t zone = text.len < 6 ? 0 : text.len - 6;
    bool has_offset = text.len > 10 && (text.text[text.len - 1] == 'Z' || text.text[zone] == '+' ||
                                        text.text[zone] == '-');

    return (calendar != NULL || has_offset) && calendar_parse(calendar, text, false, out);
}

/* FIG-3. */
static bool read_time(const struct builder *builder, const json_t *sample, struct pushed *out,
                      struct error *err)
{
    const struct push_rules *rules = builder->rules;
    const json_t *at = json_object_get(sample, "at");
    char quoted[STR_QUOTED_SIZE];

    out->at = rules->now;
    if (at == NULL)
        return true;
    if (!json_is_string(at) || !parse_time(rules->calendar, text_of(at), &out->at)) {
        (void)refuse(builder, REJECT_bad_time, "at", err, "not a time: '%s'",
                     json_is_string(at) ? str_printable(text_of(at), quoted) : "no text");
        return error_hint(err, "as 2026-10-12T09:00:00+02:00");
    }
    if (out->at > rules->now + rules->batch->max_future)
        return refuse(builder, REJECT_bad_time, "at", err, "too far in the future: '%s'",
                      str_printable(text_of(at), quoted));
    if (out->at < rules->now - rules->batch->max_past)
        return refuse(builder, REJECT_bad_time, "at", err, "too far in the past: '%s'",
                      str_printable(text_of(at), quoted));
    return true;
}

static bool add(const struct builder *builder, const struct pushed *sample, struct error *err)
{
    const struct batch_sample one = {.name = sample->name,
                                     .labels = sample->labels,
                                     .label_count = sample->label_count,
                                     .kind = sample->kind,
                                     .value = sample->value,
                                     .text = sample->member,
                                     .at = sample->at};
    enum reject_reason reason = batch_add(builder->batch, &one, builder->rules->now,
                                          builder->reader->arrival + builder->reader->samples);

    if (reason == REJECT_series_limit) { /* as the writer does: the others are taken */
        builder->reader->limited++;
        return true;
    }
    return reason == REJECT_NONE ||
           refuse(builder, reason, "at", err, "%s", reject_reason_name(reason));
}

static bool read_sample(const struct builder *builder, json_t *sample, struct error *err)
{
    struct pushed pushed;

    pushed.name = STR_EMPTY;
    return check_keys(builder, sample, err) && read_name(builder, sample, &pushed, err) &&
           read_kind(builder, sample, &pushed, err) && read_labels(builder, sample, &pushed, err) &&
           read_value(builder, sample, &pushed, err) && read_time(builder, sample, &pushed, err) &&
           add(builder, &pushed, err) && read_id(builder, sample, err);
}

/* What is wrong with a sample's text; the place says the rest. */
static const char *words_of(const json_error_t *mistake)
{
    switch (json_error_code(mistake)) {
    case json_error_duplicate_key:
        return "a key is there twice";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a text has a NUL (\\u0000)";
    case json_error_invalid_utf8:
        return "a text is not UTF-8";
    case json_error_numeric_overflow:
        return "a number is too large";
    case json_error_stack_overflow:
        return "it is nested too deeply";
    default:
        return "it does not go on as JSON does";
    }
}

/* The text of a sample is complete. */
static bool end_sample(const struct builder *builder, struct error *err)
{
    struct push_reader *reader = builder->reader;
    json_error_t mistake;

    /* A whole number may be larger than any integer here: all are doubles in the end. */
    json_t *tree = json_loadb(reader->text.bytes, reader->text.len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &mistake);
    if (tree == NULL) {
        reader->reason = REJECT_malformed;
        return error_set(err, ERROR_INVALID, "samples[%zu]: not JSON: byte %d: %s", reader->samples,
                         mistake.position, words_of(&mistake));
    }
    bool ok = read_sample(builder, tree, err);
    json_decref(tree);
    reader->samples += ok ? 1 : 0;
    buf_clear(&reader->text);
    return ok;
}

/* --- the bytes --------------------------------------------------------------------------------
 */

static bool no_push(struct push_reader *reader, struct error *err)
{
    reader->reason = REJECT_malformed;
    (void)error_set(err, ERROR_INVALID, "the body is not an object with 'samples' alone");
    return error_hint(err, "{\"samples\":[{\"name\":\"signup\",\"value\":1}]}");
}

/* One byte around the samples. */
static bool take_around(struct push_reader *reader, char c, struct error *err)
{
    static const char key[] = "\"samples\"";
    static const struct {
        char expected;
        enum push_place next;
    } steps[] = {
        [PUSH_BEGIN] = {'{', PUSH_KEY},  [PUSH_COLON] = {':', PUSH_LIST},
        [PUSH_LIST] = {'[', PUSH_FIRST}, [PUSH_FIRST] = {'{', PUSH_SAMPLE},
        [PUSH_AFTER] = {',', PUSH_NEXT}, [PUSH_NEXT] = {'{', PUSH_SAMPLE},
        [PUSH_CLOSE] = {'}', PUSH_END},
    };

    if (reader->matched == 0 && (c == ' ' || c == '\t' || c == '\r' || c == '\n'))
        return true;
    if (reader->place == PUSH_END)
        return no_push(reader, err);
    if (reader->place == PUSH_KEY) {
        if (c != key[reader->matched])
            return no_push(reader, err);
        reader->matched++;
        if (reader->matched == sizeof key - 1) {
            reader->matched = 0;
            reader->place = PUSH_COLON;
        }
        return true;
    }
    bool in_list = reader->place == PUSH_FIRST || reader->place == PUSH_AFTER;
    if (c == steps[reader->place].expected)
        reader->place = steps[reader->place].next;
    else if (c == ']' && in_list)
        reader->place = PUSH_CLOSE;
    else if (reader->place == PUSH_FIRST || reader->place == PUSH_NEXT)
        return error_set(err, ERROR_INVALID, "samples[%zu]: not an object", reader->samples);
    else
        return no_push(reader, err);
    return true;
}

/* How many of the bytes belong to the sample; `*ended`: the last of them ends it. */
static size_t sample_length(struct push_reader *reader, struct str bytes, bool *ended)
{
    size_t i = 0;

    *ended = false;
    while (i < bytes.len && !*ended) {
        char c = bytes.text[i++];
        if (reader->in_text) {
            bool was_escaped = reader->escaped;
            reader->escaped = !was_escaped && c == '\\';
            reader->in_text = was_escaped || c != '"';
        } else if (c == '"') {
            reader->in_text = true;
        } else if (c == '{' || c == '[') {
            reader->depth++;
        } else if (c == '}' || c == ']') {
            *ended = --reader->depth == 0;
        }
    }
    return i;
}

static bool take_sample(const struct builder *builder, struct str *bytes, struct error *err)
{
    struct push_reader *reader = builder->reader;
    bool ended = false;
    size_t len = sample_length(reader, *bytes, &ended);

    if (reader->samples == PUSH_SAMPLES_MAX)
        return error_set(err, ERROR_INVALID, "a push has at most %d samples", PUSH_SAMPLES_MAX);
    if (len > PUSH_SAMPLE_BYTES_MAX - reader->text.len) {
        reader->reason = REJECT_too_long;
        return error_set(err, ERROR_INVALID, "samples[%zu]: longer than %d bytes", reader->samples,
                         PUSH_SAMPLE_BYTES_MAX);
    }
    buf_append(&reader->text, bytes->text, len);
    *bytes = (struct str){bytes->text + len, bytes->len - len};
    if (!ended)
        return true;
    reader->place = PUSH_AFTER;
    return end_sample(builder, err);
}

void push_reader_init(struct push_reader *reader, uint64_t arrival)
{
    *reader = (struct push_reader){.arrival = arrival, .reason = REJECT_malformed};
}

void push_reader_fini(struct push_reader *reader)
{
    buf_fini(&reader->id);
    buf_fini(&reader->text);
}

size_t push_reader_size_bytes(const struct push_reader *reader)
{
    return reader->id.capacity + reader->text.capacity;
}

bool push_reader_take(struct push_reader *reader, struct str bytes, const struct push_rules *rules,
                      struct batch *batch, struct error *err)
{
    const struct builder builder = {reader, rules, batch};

    while (bytes.len > 0) {
        if (reader->place == PUSH_SAMPLE) {
            if (!take_sample(&builder, &bytes, err))
                return false;
            continue;
        }
        if (!take_around(reader, bytes.text[0], err))
            return false;
        if (reader->place == PUSH_SAMPLE)
            continue; /* the brace is the sample's */
        bytes = (struct str){bytes.text + 1, bytes.len - 1};
    }
    return true;
}

bool push_reader_end(struct push_reader *reader, struct error *err)
{
    if (reader->place == PUSH_BEGIN)
        return no_push(reader, err);
    if (reader->place != PUSH_END)
        return error_set(err, ERROR_INVALID, "the body ends in the middle");
    if (reader->samples == 0)
        return error_set(err, ERROR_INVALID, "a push has 1 to %d samples, not 0", PUSH_SAMPLES_MAX);
    return true;
}

/* --- a whole body ----------------------------------------------------------------------------- */

static struct delta_identity identity_of(struct str id, struct str body)
{
    struct buf scope = BUF_EMPTY;

    if (id.len == 0)
        return (struct delta_identity){.kind = IDENTITY_NONE};
    buf_block(&scope, STR("push")); /* no listener has this name */
    buf_block(&scope, STR_EMPTY);   /* the token */
    buf_block(&scope, id);
    struct delta_identity identity = {.kind = IDENTITY_KEY,
                                      .name = series_key_hash(buf_view(&scope)),
                                      .body = series_key_hash(body)};
    buf_fini(&scope);
    return identity;
}

bool push_parse(struct str body, const struct push_rules *rules, uint64_t arrival, struct push *out,
                struct error *err)
{
    struct batch *batch = batch_new(rules->batch);
    struct push_reader reader;

    push_reader_init(&reader, arrival);
    bool ok = push_reader_take(&reader, body, rules, batch, err) && push_reader_end(&reader, err);
    *out = (struct push){.samples = reader.samples,
                         .limited = reader.limited,
                         .reason = ok ? REJECT_NONE : reader.reason};
    if (ok) {
        out->unwanted = batch_unwanted(batch);
        out->delta = batch_take(batch);
        out->delta->identity = identity_of(buf_view(&reader.id), body);
    } else {
        batch_free(batch);
    }
    push_reader_fini(&reader);
    return ok;
}
