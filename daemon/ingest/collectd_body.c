#include "ingest/collectd_body.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "ingest/json_scan.h"
#include "ingest/remote_labels.h"

enum text_key { HOST, PLUGIN, PLUGIN_INSTANCE, TYPE, TYPE_INSTANCE, TEXT_COUNT };

static const char *const TEXT_KEYS[TEXT_COUNT] = {
    [HOST] = "host",
    [PLUGIN] = "plugin",
    [PLUGIN_INSTANCE] = "plugin_instance",
    [TYPE] = "type",
    [TYPE_INSTANCE] = "type_instance",
};

/* Those of them that are labels, sorted as a series key has them. */
static const enum text_key LABEL_KEYS[] = {HOST, PLUGIN_INSTANCE, TYPE_INSTANCE};

enum { LABEL_COUNT = sizeof LABEL_KEYS / sizeof LABEL_KEYS[0] };

enum source { SOURCE_UNKNOWN, SOURCE_GAUGE, SOURCE_DERIVE, SOURCE_COUNTER, SOURCE_ABSOLUTE };

enum value_kind { VALUE_NUMBER, VALUE_NULL, VALUE_TOO_LARGE };

/* One value list as it was read; of more than COLLECTD_VALUES_MAX values the rest is counted. */
struct value_list {
    struct str text; /* as it was sent */
    bool is_notification;
    bool has_time;
    bool is_bad_time;
    wall_ms at;
    struct buf texts[TEXT_COUNT];
    size_t value_count, source_count, name_count;
    double values[COLLECTD_VALUES_MAX];
    enum value_kind kinds[COLLECTD_VALUES_MAX];
    enum source sources[COLLECTD_VALUES_MAX];
    struct buf names; /* one after the other */
    size_t name_ends[COLLECTD_VALUES_MAX];
};

struct collectd_body {
    struct body body; /* first */
    uint64_t *last_arrival;
    wall_ms now;
    size_t held_max;
    struct buf bytes; /* the body */
    struct json_scan scan;
    struct buf word; /* a key, or a type */
    struct value_list list;
    uint64_t place; /* of the value list, from 1 on */
    struct label labels[LABEL_COUNT];
    size_t label_count;
    struct buf name;
    const char *field; /* of the mistake that refuses the body; NULL: it is the list itself */
    const char *words; /* NULL: it is no JSON at all */
};

static struct collectd_body *of(struct body *body)
{
    return (struct collectd_body *)body;
}

/* Any Content-Type is taken but those of what is certainly something else. */
static struct body *collectd_open(const struct body_request *request, struct http_answer *answer)
{
    if (http_media_type_is(request->head->content_type, "text/plain")) {
        http_answer_set(
            answer, 415,
            "the Content-Type is not application/json; write_http needs Format \"JSON\"");
        return NULL;
    }
    if (http_media_type_is(request->head->content_type, "application/x-protobuf")) {
        http_answer_set(answer, 415, "the Content-Type is not application/json");
        return NULL;
    }
    struct collectd_body *body = memory_zero(1, sizeof *body);
    body_init(&body->body, &COLLECTD_BODY_FORMAT, request);
    body->last_arrival = request->last_arrival;
    body->now = request->now_us / 1000;
    body->held_max = request->held_max;
    return &body->body;
}

static void collectd_close(struct body *base)
{
    struct collectd_body *body = of(base);

    body_fini(base);
    buf_fini(&body->bytes);
    buf_fini(&body->word);
    buf_fini(&body->name);
    buf_fini(&body->list.names);
    for (int i = 0; i < TEXT_COUNT; i++)
        buf_fini(&body->list.texts[i]);
    free(body);
}

static size_t collectd_size_bytes(const struct body *base)
{
    const struct collectd_body *body = (const struct collectd_body *)base;
    size_t size = sizeof *body + body->bytes.capacity + body->word.capacity + body->name.capacity +
                  body->list.names.capacity;

    for (int i = 0; i < TEXT_COUNT; i++)
        size += body->list.texts[i].capacity;
    return size + (base->batch == NULL ? 0 : batch_size_bytes(base->batch));
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The body has another shape; the first mistake is the one that is told. */
static void refuse(struct collectd_body *body, const char *field, const char *words)
{
    if (!body->scan.ok)
        return; /* it is no JSON, which is worse */
    body->field = field;
    body->words = words;
    (void)json_scan_fail(&body->scan);
}

static void read_text(struct collectd_body *body, const char *field, struct buf *out)
{
    if (json_scan_kind(&body->scan) == SCAN_TEXT)
        json_scan_text(&body->scan, out);
    else
        refuse(body, field, "is no text");
}

/* The next item of a list, whatever it is an item of. */
typedef void (*read_fn)(struct collectd_body *body);

static void read_items(struct collectd_body *body, const char *field, read_fn read)
{
    if (json_scan_kind(&body->scan) != SCAN_LIST) {
        refuse(body, field, "is no list");
        return;
    }
    json_scan_open(&body->scan);
    while (json_scan_next_item(&body->scan))
        read(body);
}

static void read_value(struct collectd_body *body)
{
    struct value_list *list = &body->list;
    enum json_scan_kind kind = json_scan_kind(&body->scan);
    enum value_kind what = VALUE_NULL;
    double value = 0;

    if (kind == SCAN_NUMBER)
        what = str_parse_double(json_scan_number(&body->scan), &value) ? VALUE_NUMBER
                                                                       : VALUE_TOO_LARGE;
    else if (kind == SCAN_NULL)
        json_scan_skip(&body->scan);
    else
        refuse(body, "values", "holds what is neither a number nor null");
    if (list->value_count < COLLECTD_VALUES_MAX) {
        list->values[list->value_count] = value + 0.0; /* -0 becomes 0 */
        list->kinds[list->value_count] = what;
    }
    list->value_count++;
}

static enum source source_of(struct str name)
{
    static const char *const names[] = {[SOURCE_GAUGE] = "gauge",
                                        [SOURCE_DERIVE] = "derive",
                                        [SOURCE_COUNTER] = "counter",
                                        [SOURCE_ABSOLUTE] = "absolute"};
    for (int i = SOURCE_GAUGE; i <= SOURCE_ABSOLUTE; i++) {
        if (str_is(name, names[i]))
            return (enum source)i;
    }
    return SOURCE_UNKNOWN;
}

static void read_source(struct collectd_body *body)
{
    struct value_list *list = &body->list;

    buf_clear(&body->word);
    read_text(body, "dstypes", &body->word);
    if (list->source_count < COLLECTD_VALUES_MAX)
        list->sources[list->source_count] = source_of(buf_view(&body->word));
    list->source_count++;
}

static void read_name(struct collectd_body *body)
{
    struct value_list *list = &body->list;
    bool is_kept = list->name_count < COLLECTD_VALUES_MAX;

    buf_clear(&body->word);
    read_text(body, "dsnames", &body->word);
    if (is_kept) {
        buf_str(&list->names, buf_view(&body->word));
        list->name_ends[list->name_count] = list->names.len;
    }
    list->name_count++;
}

/* Seconds since 1970 with a fraction. */
static void read_time(struct collectd_body *body)
{
    const double seconds_max = 1e12; /* far beyond what any rule takes */
    struct value_list *list = &body->list;
    double seconds = 0;

    if (json_scan_kind(&body->scan) != SCAN_NUMBER) {
        refuse(body, "time", "is no number");
        return;
    }
    list->has_time = true;
    list->is_bad_time =
        !str_parse_double(json_scan_number(&body->scan), &seconds) || fabs(seconds) > seconds_max;
    if (!list->is_bad_time)
        list->at = llround(seconds * 1000);
}

static bool read_known_text(struct collectd_body *body, struct str key)
{
    for (int i = 0; i < TEXT_COUNT; i++) {
        if (!str_is(key, TEXT_KEYS[i]))
            continue;
        buf_clear(&body->list.texts[i]);
        read_text(body, TEXT_KEYS[i], &body->list.texts[i]);
        return true;
    }
    return false;
}

/* What is not known, as the interval and meta, is passed over. Of a key that comes twice the last
 * one counts. */
static void read_member(struct collectd_body *body)
{
    struct value_list *list = &body->list;
    struct str key = buf_view(&body->word);

    if (read_known_text(body, key))
        return;
    if (str_is(key, "values")) {
        list->value_count = 0;
        read_items(body, "values", read_value);
    } else if (str_is(key, "dstypes")) {
        list->source_count = 0;
        read_items(body, "dstypes", read_source);
    } else if (str_is(key, "dsnames")) {
        list->name_count = 0;
        buf_clear(&list->names);
        read_items(body, "dsnames", read_name);
    } else if (str_is(key, "time")) {
        read_time(body);
    } else {
        list->is_notification |= str_is(key, "annotations") || str_is(key, "startsAt");
        json_scan_skip(&body->scan);
    }
}

static void begin_list(struct value_list *list)
{
    list->is_notification = list->has_time = list->is_bad_time = false;
    list->value_count = list->source_count = list->name_count = 0;
    buf_clear(&list->names);
    for (int i = 0; i < TEXT_COUNT; i++)
        buf_clear(&list->texts[i]);
}

static void read_list(struct collectd_body *body)
{
    struct json_scan *scan = &body->scan;

    begin_list(&body->list);
    if (json_scan_kind(scan) != SCAN_OBJECT) {
        refuse(body, NULL, "holds what is no object");
        return;
    }
    const char *begin = scan->at;
    json_scan_open(scan);
    while (json_scan_next_key(scan, &body->word))
        read_member(body);
    body->list.text = (struct str){begin, (size_t)(scan->at - begin)};
}

/* --- what it says ----------------------------------------------------------------------------- */

struct mistake {
    enum reject_reason reason;
    const char *words;
};

/* The list is rejected with all that it has. */
static void reject_list(struct collectd_body *body, const struct mistake *mistake)
{
    struct ledger *counts = &body->body.counts;
    size_t more = body->list.value_count > 1 ? body->list.value_count - 1 : 0;

    body_reject(&body->body, mistake->reason, body->place, body->list.text, mistake->words);
    counts->received += more;
    counts->rejected[mistake->reason] += more;
}

static struct str text_of(const struct collectd_body *body, enum text_key key)
{
    return buf_view(&body->list.texts[key]);
}

static bool take_labels(struct collectd_body *body)
{
    size_t bytes = 0;

    body->label_count = 0;
    for (int i = 0; i < LABEL_COUNT; i++) {
        struct label label = {str_of(TEXT_KEYS[LABEL_KEYS[i]]), text_of(body, LABEL_KEYS[i])};
        if (label.value.len == 0)
            continue;
        bytes += label.name.len + label.value.len + 2;
        if (bytes > LABEL_BYTES_MAX || remote_text_of(label.value) != REMOTE_TEXT_PLAIN)
            return false;
        body->labels[body->label_count++] = label;
    }
    return true;
}

/* What is wrong with the list as a whole; REJECT_NONE. */
static struct mistake look_at(struct collectd_body *body)
{
    const struct value_list *list = &body->list;

    if (list->is_notification && list->value_count == 0)
        return (struct mistake){REJECT_unsupported,
                                "notifications are not taken; leave them out of the node"};
    if (list->value_count == 0)
        return (struct mistake){REJECT_malformed, "there are no values"};
    if (list->value_count != list->source_count || list->value_count != list->name_count)
        return (struct mistake){REJECT_malformed,
                                "values, dstypes and dsnames are not of one length"};
    if (list->value_count > COLLECTD_VALUES_MAX)
        return (struct mistake){REJECT_too_long, "there are too many values in one list"};
    if (text_of(body, PLUGIN).len == 0 || text_of(body, TYPE).len == 0)
        return (struct mistake){REJECT_bad_name, "there is no plugin or no type"};
    if (list->is_bad_time)
        return (struct mistake){REJECT_bad_time, body_words_of(REJECT_bad_time)};
    if (!take_labels(body))
        return (struct mistake){REJECT_bad_tags,
                                "the host or an instance is too long or holds 0x00 or 0x01"};
    return (struct mistake){REJECT_NONE, NULL};
}

static void begin_name(struct collectd_body *body)
{
    buf_clear(&body->name);
    buf_text(&body->name, "collectd.");
    buf_str(&body->name, text_of(body, PLUGIN));
    buf_char(&body->name, '.');
    buf_str(&body->name, text_of(body, TYPE));
}

static struct str source_name(const struct value_list *list, size_t i)
{
    size_t begin = i == 0 ? 0 : list->name_ends[i - 1];
    size_t len = list->name_ends[i] - begin;

    return len == 0 ? STR_EMPTY : (struct str){list->names.bytes + begin, len};
}

static enum delta_point_form form_of(enum source source)
{
    switch (source) {
    case SOURCE_GAUGE:
        return POINT_LEVEL;
    case SOURCE_ABSOLUTE:
        return POINT_INCREMENT;
    default:
        return POINT_CUMULATIVE;
    }
}

/* What is wrong with one value; else it is stored or dropped. */
static struct mistake take_value(struct collectd_body *body, size_t i, struct batch_point *point)
{
    const struct value_list *list = &body->list;
    struct ledger *counts = &body->body.counts;

    if (list->sources[i] == SOURCE_UNKNOWN)
        return (struct mistake){REJECT_bad_type,
                                "the dstype is not gauge, derive, counter or absolute"};
    if (source_name(list, i).len == 0)
        return (struct mistake){REJECT_bad_name, "the dsname is empty"};
    if (list->kinds[i] == VALUE_TOO_LARGE)
        return (struct mistake){REJECT_bad_number, "the value is too large a number"};
    if (list->kinds[i] == VALUE_NULL) {
        body_drop(&body->body, DROP_not_finite, point->name);
        return (struct mistake){REJECT_NONE, NULL};
    }
    point->kind = list->sources[i] == SOURCE_GAUGE ? METRIC_GAUGE : METRIC_COUNTER;
    point->form = form_of(list->sources[i]);
    point->value = list->values[i];
    enum reject_reason reason =
        batch_add_point(body->body.batch, point, body->now, ++*body->last_arrival);
    body->body.until_look--;
    if (reason == REJECT_NONE) {
        counts->received++;
        counts->stored++;
    }
    return (struct mistake){reason, reason == REJECT_bad_number ? "a total is negative"
                                                                : body_words_of(reason)};
}

static void take_list(struct collectd_body *body)
{
    const struct value_list *list = &body->list;
    struct mistake mistake = look_at(body);

    if (mistake.reason != REJECT_NONE) {
        reject_list(body, &mistake);
        return;
    }
    begin_name(body);
    size_t family = body->name.len;
    for (size_t i = 0; i < list->value_count; i++) {
        body->name.len = family;
        if (!str_is(source_name(list, i), "value")) {
            buf_char(&body->name, '.');
            buf_str(&body->name, source_name(list, i));
        }
        struct batch_point point = {.name = buf_view(&body->name),
                                    .labels = body->labels,
                                    .label_count = body->label_count,
                                    .at = list->has_time ? list->at : body->now,
                                    .by_arrival = !list->has_time,
                                    .start = WALL_NONE};
        mistake = take_value(body, i, &point);
        if (mistake.reason != REJECT_NONE)
            body_reject_point(&body->body, mistake.reason, body->place, &point, mistake.words);
    }
}

/* --- the body --------------------------------------------------------------------------------- */

static bool collectd_take(struct body *base, struct str bytes, struct error *err)
{
    (void)err;
    buf_str(&of(base)->bytes, bytes);
    return true;
}

static bool set_refused(const struct collectd_body *body, struct error *err)
{
    size_t place = json_scan_place(&body->scan);

    if (body->words == NULL)
        return error_set(err, ERROR_INVALID, "the body is no JSON (at byte %zu)", place);
    return error_set(err, ERROR_INVALID,
                     "the body is no list of collectd's value lists: %s %s (at byte %zu)",
                     body->field == NULL ? "it" : body->field, body->words, place);
}

static bool collectd_end(struct body *base, struct error *err)
{
    struct collectd_body *body = of(base);
    struct json_scan *scan = &body->scan;

    *scan = json_scan_of(buf_view(&body->bytes));
    if (json_scan_kind(scan) == SCAN_LIST)
        json_scan_open(scan);
    else
        refuse(body, NULL, "is no list");
    while (json_scan_next_item(scan)) {
        body->place++;
        read_list(body);
        if (!scan->ok)
            break;
        take_list(body);
        if (!body_is_within(base, body->held_max, err))
            return false;
    }
    if (!json_scan_end(scan))
        return set_refused(body, err);
    buf_fini(&body->bytes);
    return true;
}

/* --- the verdict ------------------------------------------------------------------------------ */

static void collectd_verdict(const struct body *base, struct http_answer *answer)
{
    const struct body_tally tally = {.rejected = body_rejected(base),
                                     .received = base->counts.received,
                                     .many = "samples",
                                     .one = "value list"};
    struct buf words = BUF_EMPTY;

    answer->counts =
        (struct http_counts){.samples = base->counts.stored,
                             .rejected = tally.rejected,
                             .dropped = tally.received - tally.rejected - base->counts.stored};
    if (tally.rejected > 0)
        body_word_mistakes(base, &tally, &words);
    if (tally.rejected > 0 && tally.rejected == tally.received)
        http_answer_mistake(answer, 400, buf_view(&words), STR_EMPTY);
    else
        http_answer_stored(answer, buf_view(&words));
    buf_fini(&words);
}

const struct body_format COLLECTD_BODY_FORMAT = {
    .open = collectd_open,
    .close = collectd_close,
    .take = collectd_take,
    .end = collectd_end,
    .size_bytes = collectd_size_bytes,
    .verdict = collectd_verdict,
};
