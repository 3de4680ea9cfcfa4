#include "ingest/remote_body.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/wire.h"
#include "ingest/remote_histogram.h"
#include "ingest/remote_labels.h"
#include "ingest/remote_symbols.h"
#include "ingest/remote_types.h"

/* How much may be held, in bodies of the largest size. */
enum { HELD_BODIES = 4 };

/* P11: the end of a series, told by its bits, for as a double it may become an ordinary NaN. */
static const uint64_t STALE_BITS = UINT64_C(0x7ff0000000000002);
static const uint64_t EXPONENT_BITS = UINT64_C(0x7ff0000000000000);

struct remote_body {
    struct body body; /* first */
    unsigned version;
    bool taken;
    const struct batch_rules *rules;
    uint64_t *last_arrival;
    wall_ms now;
    size_t held_max;
    struct series_cache *cache; /* NULL is fine */

    /* of the request */
    struct remote_symbols symbols;      /* of 2.0 */
    struct remote_histogram *histogram; /* made when the first one comes */
    uint32_t types_version;             /* of what 1.0's types say */
    uint64_t place;                     /* samples and histograms so far */
    uint64_t samples_written;           /* stored, or dropped as P10 says */
    uint64_t histograms_written;

    /* of the series */
    struct remote_labels labels; /* unless it was recalled, and nobody needed them */
    struct str recalled;         /* its bytes; empty when its labels were read */
    struct batch_memo sample_memo, histogram_memo;
    enum remote_type type; /* as 2.0 says with it */
    struct str typed_name; /* whose counts_up is known */
    bool counts_up;
};

static struct remote_body *of(struct body *body)
{
    return (struct remote_body *)body;
}

/* --- the head --------------------------------------------------------------------------------- */

/* The value of a parameter, without blanks and quotes. */
static struct str parameter_value(struct str parameter, struct str *name)
{
    *name = str_split(&parameter, '=');
    *name = str_trim(*name);
    struct str value = str_trim(parameter);
    if (value.len >= 2 && value.text[0] == '"' && value.text[value.len - 1] == '"')
        value = str_trim((struct str){value.text + 1, value.len - 2});
    return value;
}

static bool equal_ignoring_case(struct str text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.text, word, text.len) == 0;
}

/* P2: 1 or 2; 0 for a type that is neither. */
static unsigned version_of(struct str content_type)
{
    struct str name = STR_EMPTY;
    unsigned version = 1;

    if (!equal_ignoring_case(str_trim(str_split(&content_type, ';')), "application/x-protobuf"))
        return 0;
    while (content_type.len > 0) {
        struct str value = parameter_value(str_split(&content_type, ';'), &name);
        if (!equal_ignoring_case(name, "proto"))
            continue;
        if (str_is(value, "io.prometheus.write.v2.Request"))
            version = 2;
        else if (!str_is(value, "prometheus.WriteRequest"))
            return 0;
    }
    return version;
}

static struct body *remote_open(const struct body_request *request, struct http_answer *answer)
{
    unsigned version = version_of(request->head->content_type);

    if (version == 0 || request->head->encoding != HTTP_SNAPPY) {
        answer->says_written = true;
        http_answer_set(answer, 415, "%s",
                        version == 0
                            ? "the Content-Type is neither application/x-protobuf nor that "
                              "with proto=io.prometheus.write.v2.Request"
                            : "the Content-Encoding is not snappy");
        return NULL;
    }
    struct remote_body *body = memory_zero(1, sizeof *body);
    body_init(&body->body, &REMOTE_BODY_FORMAT, request);
    body->body.variant = version;
    body->version = version;
    body->rules = request->rules;
    body->last_arrival = request->last_arrival;
    body->now = request->now_us / 1000;
    body->cache = request->cache;
    body->held_max = request->body_bytes_max > SIZE_MAX / HELD_BODIES
                         ? SIZE_MAX
                         : request->body_bytes_max * HELD_BODIES;
    return &body->body;
}

static void remote_close(struct body *base)
{
    struct remote_body *body = of(base);

    body_fini(&body->body);
    remote_symbols_fini(&body->symbols);
    free(body->histogram);
    free(body);
}

static size_t remote_size_bytes(const struct body *base)
{
    const struct remote_body *body = (const struct remote_body *)base;

    return sizeof *body + remote_symbols_size_bytes(&body->symbols) +
           (body->histogram == NULL ? 0 : sizeof *body->histogram) +
           (body->body.batch == NULL ? 0 : batch_size_bytes(body->body.batch));
}

/* --- labels of 1.0 ---------------------------------------------------------------------------- */

static void take_label(struct remote_body *body, struct str name, struct str value)
{
    remote_labels_add(&body->labels, name, value,
                      remote_text_of(name) != REMOTE_TEXT_PLAIN ||
                          remote_text_of(value) != REMOTE_TEXT_PLAIN);
}

/* 1.0: a Label. */
static bool read_label(struct remote_body *body, struct str bytes)
{
    struct str name;
    struct str value;

    bool ok = wire_read_pair(bytes, &name, &value);
    take_label(body, name, value);
    return ok;
}

/* What a series says of itself; `*rest` is where its first sample is. */
static bool read_series_1(struct remote_body *body, struct str bytes, struct str *rest)
{
    struct wire wire = wire_of(bytes);
    bool ok = true;

    *rest = STR_EMPTY;
    for (const unsigned char *at = wire.at; ok && wire_next(&wire); at = wire.at) {
        if (wire.tag == WIRE_TAG(1, WIRE_BYTES)) {
            ok = read_label(body, wire_bytes(&wire));
            continue;
        }
        if (rest->len == 0)
            *rest = (struct str){(const char *)at, (size_t)(wire.end - at)};
        wire_skip(&wire);
    }
    return ok && wire.ok;
}

/* --- labels of 2.0 ---------------------------------------------------------------------------- */

/* 2.0: references to symbols, by twos. */
struct references {
    const struct remote_symbol *name; /* that has no value yet; NULL */
};

static void add_reference(struct remote_body *body, struct references *references, uint64_t number)
{
    if (number >= body->symbols.count) {
        remote_labels_refuse(&body->labels, REJECT_malformed,
                             "a label's reference is not that of a symbol");
        return;
    }
    const struct remote_symbol *symbol = &body->symbols.items[number];
    if (references->name == NULL) {
        references->name = symbol;
        return;
    }
    remote_labels_add(&body->labels, references->name->text, symbol->text,
                      references->name->kind != REMOTE_TEXT_PLAIN ||
                          symbol->kind != REMOTE_TEXT_PLAIN);
    references->name = NULL;
}

static bool read_references(struct remote_body *body, struct references *references,
                            struct str packed)
{
    struct wire wire = wire_of(packed);

    while (wire_more(&wire))
        add_reference(body, references, (uint32_t)wire_varint(&wire));
    return wire.ok;
}

static bool read_metadata(struct remote_body *body, struct str bytes)
{
    struct wire wire = wire_of(bytes);

    while (wire_next(&wire)) {
        if (wire.tag == WIRE_TAG(1, WIRE_VARINT))
            body->type = (enum remote_type)wire_varint(&wire);
        else
            wire_skip(&wire);
    }
    return wire.ok;
}

static bool read_series_2(struct remote_body *body, struct str bytes)
{
    struct references references = {0};
    struct wire wire = wire_of(bytes);
    bool ok = true;

    body->type = REMOTE_UNKNOWN;
    while (ok && wire_next(&wire)) {
        switch (wire.tag) {
        case WIRE_TAG(1, WIRE_BYTES):
            ok = read_references(body, &references, wire_bytes(&wire));
            break;
        case WIRE_TAG(1, WIRE_VARINT):
            add_reference(body, &references, (uint32_t)wire_varint(&wire));
            break;
        case WIRE_TAG(5, WIRE_BYTES):
            ok = read_metadata(body, wire_bytes(&wire));
            break;
        default:
            wire_skip(&wire);
        }
    }
    if (references.name != NULL)
        remote_labels_refuse(&body->labels, REJECT_malformed, "a label has no value");
    return ok && wire.ok;
}

/* --- labels of both --------------------------------------------------------------------------- */

static bool read_labels(struct remote_body *body, struct str bytes, struct str *rest)
{
    *rest = bytes;
    remote_labels_begin(&body->labels);
    bool ok = body->version == 1 ? read_series_1(body, bytes, rest) : read_series_2(body, bytes);
    remote_labels_end(&body->labels);
    return ok;
}

/* Series of one metric follow each other. */
static void find_type(struct remote_body *body)
{
    struct str name = body->labels.name;

    if (body->version == 2) {
        body->counts_up = remote_counts_up(name, body->type);
    } else if (!str_equal(name, body->typed_name)) {
        body->counts_up = remote_counts_up(name, remote_types_find(body->rules->seed, name));
        body->typed_name = name;
    }
}

/* Of a series that was recalled they were not read: somebody wants to see them. */
static void need_labels(struct remote_body *body)
{
    struct str rest;

    if (body->recalled.len == 0)
        return;
    (void)read_labels(body, body->recalled, &rest);
    body->recalled = STR_EMPTY;
}

/* --- samples ---------------------------------------------------------------------------------- */

static const char *words_of(enum reject_reason reason)
{
    switch (reason) {
    case REJECT_bad_number:
        return "a counter is negative; declare the metric if it is none";
    case REJECT_bad_histogram:
        return "the histogram cannot be stored";
    default:
        return body_words_of(reason);
    }
}

static void reject(struct remote_body *body, enum reject_reason reason, const char *words)
{
    need_labels(body);
    const struct batch_point point = {.name = body->labels.name,
                                      .labels = body->labels.labels,
                                      .label_count = body->labels.count};

    body_reject_point(&body->body, reason, body->place, &point, words);
}

/* Whether the value is dropped, and counted so. */
static bool is_dropped(struct remote_body *body, uint64_t bits)
{
    enum drop_reason reason = bits == STALE_BITS ? DROP_stale_marker : DROP_not_finite;

    if ((bits & EXPONENT_BITS) != EXPONENT_BITS)
        return false;
    if (body->body.counts.dropped[reason] == 0)
        need_labels(body); /* the first one is shown */
    body_drop(&body->body, reason, body->labels.name);
    return true;
}

static bool add(struct remote_body *body, struct batch_point *point, struct batch_memo *memo)
{
    if (memo->cached == NULL) {
        need_labels(body);
        point->name = body->labels.name;
        point->labels = body->labels.labels;
        point->label_count = body->labels.count;
    }
    enum reject_reason reason =
        batch_add_point_to(body->body.batch, memo, point, body->now, ++*body->last_arrival);
    if (reason != REJECT_NONE) {
        reject(body, reason, words_of(reason));
        return false;
    }
    body->body.until_look -= point->buckets == NULL ? 1 : BODY_LOOK_HISTOGRAM;
    body->body.counts.received++;
    body->body.counts.stored++;
    return true;
}

/* A start that is not said, or makes no sense, is none. */
static wall_ms start_of(wall_ms start, wall_ms at)
{
    return start != 0 && start <= at ? start : WALL_NONE;
}

struct sent_sample {
    uint64_t bits;
    wall_ms at;
    wall_ms start; /* 0: not said */
};

/* Whether the eight bytes are any one, a tag and a time in ms as they are from 1971 to 2109: a
 * varint of six bytes. */
static bool read_time(const unsigned char *eight, uint32_t tag, wall_ms *time)
{
    uint64_t bytes = wire_load_64(eight);

    if ((bytes & UINT64_C(0x808080808080ff00)) != (UINT64_C(0x0080808080800000) | tag << 8))
        return false;
    bytes = bytes >> 16 & UINT64_C(0x00007f7f7f7f7f7f);
    bytes = (bytes & UINT64_C(0x7f007f007f00)) >> 1 | (bytes & UINT64_C(0x007f007f007f));
    *time = (wall_ms)((bytes & UINT64_C(0x3fff)) | (bytes & UINT64_C(0x3fff0000)) >> 2 |
                      (bytes & UINT64_C(0x3fff00000000)) >> 4);
    return true;
}

/* A sample as nearly all are: its value, its time, and maybe its start. */
static bool read_usual_sample(struct str bytes, struct sent_sample *out)
{
    enum { WITHOUT_START = 16, WITH_START = 23 };
    const unsigned char *at = (const unsigned char *)bytes.text;

    if ((bytes.len != WITHOUT_START && bytes.len != WITH_START) ||
        at[0] != WIRE_TAG(1, WIRE_FIXED64) ||
        !read_time(at + 8, WIRE_TAG(2, WIRE_VARINT), &out->at))
        return false;
    out->bits = wire_load_64(at + 1);
    out->start = 0;
    return bytes.len == WITHOUT_START || read_time(at + 15, WIRE_TAG(3, WIRE_VARINT), &out->start);
}

static bool read_sample(struct str bytes, struct sent_sample *out)
{
    struct wire wire = wire_of(bytes);

    *out = (struct sent_sample){0};
    while (wire_next(&wire)) {
        switch (wire.tag) {
        case WIRE_TAG(1, WIRE_FIXED64):
            out->bits = wire_fixed64(&wire);
            break;
        case WIRE_TAG(2, WIRE_VARINT):
            out->at = (int64_t)wire_varint(&wire);
            break;
        case WIRE_TAG(3, WIRE_VARINT):
            out->start = (int64_t)wire_varint(&wire);
            break;
        default:
            wire_skip(&wire);
        }
    }
    return wire.ok;
}

static bool take_sample(struct remote_body *body, struct str bytes)
{
    struct sent_sample sample;

    if (!read_usual_sample(bytes, &sample) && !read_sample(bytes, &sample))
        return false;
    body->place++;
    if (body->recalled.len == 0 && body->labels.wrong != REJECT_NONE) {
        reject(body, body->labels.wrong, body->labels.words);
    } else if (is_dropped(body, sample.bits)) {
        body->samples_written++;
    } else {
        bool counts_up = body->counts_up;
        struct batch_point point = {.kind = counts_up ? METRIC_COUNTER : METRIC_GAUGE,
                                    .form = counts_up ? POINT_CUMULATIVE : POINT_LEVEL,
                                    .at = sample.at,
                                    .start = start_of(sample.start, sample.at),
                                    .value = wire_double(sample.bits)};
        body->samples_written += add(body, &point, &body->sample_memo);
    }
    return true;
}

static bool take_histogram(struct remote_body *body, struct str bytes)
{
    const char *words = NULL;

    if (body->histogram == NULL)
        body->histogram = memory_zero(1, sizeof *body->histogram);
    struct remote_histogram *histogram = body->histogram;
    if (!remote_histogram_read(histogram, bytes))
        return false;
    body->place++;
    if (body->recalled.len == 0 && body->labels.wrong != REJECT_NONE) {
        reject(body, body->labels.wrong, body->labels.words);
        return true;
    }
    if (histogram->sum_bits == STALE_BITS && is_dropped(body, STALE_BITS)) {
        body->histograms_written++;
        return true;
    }
    enum reject_reason reason = remote_histogram_expand(histogram, &words);
    if (reason != REJECT_NONE) {
        reject(body, reason, words);
        return true;
    }
    struct batch_point point = {.kind = METRIC_DISTRIBUTION,
                                .form = POINT_CUMULATIVE,
                                .at = histogram->at,
                                .start = start_of(histogram->start, histogram->at),
                                .buckets = &histogram->buckets};
    body->histograms_written += add(body, &point, &body->histogram_memo);
    return true;
}

/* --- series ----------------------------------------------------------------------------------- */

static bool set_broken(const struct remote_body *body, struct error *err)
{
    return error_set(err, ERROR_INVALID, "the body is no %s, or is broken (after %llu samples)",
                     body->version == 1 ? "prometheus.WriteRequest"
                                        : "io.prometheus.write.v2.Request",
                     (unsigned long long)body->place);
}

/* 1.0: whether what follows the labels has none. */
static bool has_no_label(struct str rest)
{
    struct wire wire = wire_of(rest);

    if (rest.len > 1 && wire.at[0] == WIRE_TAG(2, WIRE_BYTES) && wire.at[1] < 0x80 &&
        wire.at[1] + 2U == rest.len)
        return true; /* one sample, as nearly always */
    while (wire_next(&wire)) {
        if (wire.tag == WIRE_TAG(1, WIRE_BYTES))
            return false;
        wire_skip(&wire);
    }
    return wire.ok;
}

/* 1.0: the first of its bytes that are its labels, where all are. */
static bool split_labels(struct str bytes, struct str *labels, struct str *rest)
{
    struct wire wire = wire_of(bytes);
    const unsigned char *end = wire.at;

    while (wire_next(&wire) && wire.tag == WIRE_TAG(1, WIRE_BYTES)) {
        wire_skip(&wire);
        end = wire.at;
    }
    labels->text = bytes.text;
    labels->len = wire.ok ? (size_t)((const char *)end - bytes.text) : 0;
    *rest = (struct str){bytes.text + labels->len, bytes.len - labels->len};
    return labels->len > 0 && has_no_label(*rest);
}

/* What the kinds of series differ by that a spelling may stand for; of 2.0 each type has two. */
enum { CONTEXT_SAMPLES = 1, CONTEXT_HISTOGRAMS, CONTEXT_SAMPLES_2 };
_Static_assert(CONTEXT_SAMPLES_2 + 2 * (REMOTE_STATESET + 1) <= SERIES_CACHE_CONTEXTS,
               "contexts that are asked for are others");

/* How a series is spelt. */
struct series_spelling {
    struct spelling as; /* without bytes it may not be remembered */
    struct batch_memo *memo;
    struct remote_spelt spelt; /* 2.0: what `as` points to */
    struct str unspelt;        /* 2.0: its references, when one of its texts is new; else empty */
};

/* 1.0: whether the labels are as they were before; then `*rest` is what follows them. */
static bool recall_series_1(struct remote_body *body, struct str bytes,
                            struct series_spelling *spelling, struct str *rest)
{
    struct batch *batch = body->body.batch;
    struct spelling *as = &spelling->as;
    unsigned char counts_up = 0;
    size_t len = 0;

    *as = (struct spelling){
        .context = CONTEXT_SAMPLES, .bytes = bytes, .version = body->types_version};
    spelling->memo = &body->sample_memo;
    bool is_known = batch_recall_next(batch, as, spelling->memo, &counts_up, &len);
    *rest = (struct str){bytes.text + len, bytes.len - len};
    if (!is_known || !has_no_label(*rest)) {
        *spelling->memo = (struct batch_memo){.is_known = false};
        if (!split_labels(bytes, &as->bytes, rest)) {
            as->bytes = STR_EMPTY;
            return false;
        }
        if (rest->len > 0 && rest->text[0] == WIRE_TAG(4, WIRE_BYTES)) {
            as->context = CONTEXT_HISTOGRAMS;
            spelling->memo = &body->histogram_memo;
        }
        if (!batch_recall(batch, as, spelling->memo, &counts_up))
            return false;
    }
    body->counts_up = counts_up != 0;
    return true;
}

/* 2.0: the references where they are one field and the first one, and what type the rest says. */
static bool split_references(struct remote_body *body, struct str bytes, struct str *references,
                             struct str *rest)
{
    struct wire wire = wire_of(bytes);
    bool ok = wire_next(&wire) && wire.tag == WIRE_TAG(1, WIRE_BYTES);

    *references = ok ? wire_bytes(&wire) : STR_EMPTY;
    *rest = (struct str){(const char *)wire.at, (size_t)(wire.end - wire.at)};
    body->type = REMOTE_UNKNOWN;
    while (ok && wire_next(&wire)) {
        if (wire.tag == WIRE_TAG(5, WIRE_BYTES))
            ok = read_metadata(body, wire_bytes(&wire));
        else if (wire.tag == WIRE_TAG(1, WIRE_BYTES) || wire.tag == WIRE_TAG(1, WIRE_VARINT))
            ok = false;
        else
            wire_skip(&wire);
    }
    return ok && wire.ok && (unsigned)body->type <= REMOTE_STATESET;
}

static struct str spelt_bytes(const struct remote_spelt *spelt)
{
    return (struct str){(const char *)spelt->numbers, spelt->count * sizeof spelt->numbers[0]};
}

/* The same of 2.0. A series with a text that is new is new, and spelt when it was stored. */
static bool recall_series_2(struct remote_body *body, struct str bytes,
                            struct series_spelling *spelling, struct str *rest)
{
    struct batch *batch = body->body.batch;
    struct spelling *as = &spelling->as;
    struct spelling unknown = {.context = 0};
    struct str references;
    unsigned char counts_up = 0;

    *as = (struct spelling){.bytes = STR_EMPTY};
    spelling->memo = &body->sample_memo;
    spelling->unspelt = STR_EMPTY;
    if (!split_references(body, bytes, &references, rest))
        return false;
    bool is_histogram = rest->len > 0 && rest->text[0] == WIRE_TAG(3, WIRE_BYTES);
    as->context = CONTEXT_SAMPLES_2 + 2 * (uint64_t)body->type + is_histogram;
    if (is_histogram)
        spelling->memo = &body->histogram_memo;
    switch (remote_symbols_spell(&body->symbols, batch, references, false, &spelling->spelt)) {
    case REMOTE_UNSPELLED:
        return false;
    case REMOTE_NEW:
        spelling->unspelt = references;
        return batch_recall(batch, &unknown, spelling->memo, &counts_up); /* counts as missed */
    case REMOTE_SPELT:
        break;
    }
    as->bytes = spelt_bytes(&spelling->spelt);
    if (!batch_recall(batch, as, spelling->memo, &counts_up))
        return false;
    body->counts_up = counts_up != 0;
    return true;
}

/* Else `spelling` is what remember_series takes. */
static bool recall_series(struct remote_body *body, struct str bytes,
                          struct series_spelling *spelling, struct str *rest)
{
    if (body->version == 1 ? !recall_series_1(body, bytes, spelling, rest)
                           : !recall_series_2(body, bytes, spelling, rest))
        return false;
    body->recalled = bytes;
    body->typed_name = STR_EMPTY;
    return true;
}

static void remember_series(struct remote_body *body, struct series_spelling *spelling)
{
    struct batch *batch = body->body.batch;
    struct batch_memo found;
    unsigned char note = 0;

    if (!batch_may_remember(spelling->memo))
        return;
    if (body->version == 2 && spelling->unspelt.len > 0) {
        if (remote_symbols_spell(&body->symbols, batch, spelling->unspelt, true,
                                 &spelling->spelt) != REMOTE_SPELT)
            return;
        spelling->as.bytes = spelt_bytes(&spelling->spelt);
        (void)batch_recall(batch, &spelling->as, &found, &note); /* it is looked for first */
    }
    if (spelling->as.bytes.len > 0)
        batch_remember(batch, &spelling->as, spelling->memo, body->counts_up);
}

static bool take_values(struct remote_body *body, struct str rest, struct error *err)
{
    const uint32_t histogram_tag = WIRE_TAG(body->version == 1 ? 4 : 3, WIRE_BYTES);
    struct wire wire = wire_of(rest);
    bool ok = true;

    while (ok && wire_next(&wire)) {
        if (wire.tag == WIRE_TAG(2, WIRE_BYTES))
            ok = take_sample(body, wire_bytes(&wire));
        else if (wire.tag == histogram_tag)
            ok = take_histogram(body, wire_bytes(&wire));
        else
            wire_skip(&wire);
        /* Symbols that are referred to again and again, spans. */
        if (!body_is_within(&body->body, body->held_max, err))
            return false;
    }
    return (ok && wire.ok) || set_broken(body, err);
}

static bool take_series(struct remote_body *body, struct str bytes, struct error *err)
{
    bool may_recall = body->cache != NULL && bytes.len > 0;
    struct series_spelling spelling;
    struct str rest;

    body->sample_memo = body->histogram_memo = (struct batch_memo){.is_known = false};
    body->recalled = STR_EMPTY;
    if (may_recall && recall_series(body, bytes, &spelling, &rest))
        return take_values(body, rest, err);
    bool ok = read_labels(body, bytes, &rest);
    find_type(body);
    if (!ok)
        return set_broken(body, err);
    if (!take_values(body, rest, err))
        return false;
    if (may_recall)
        remember_series(body, &spelling);
    return true;
}

/* --- requests --------------------------------------------------------------------------------- */

/* 1.0: a MetricMetadata. */
static bool remember_type(const struct remote_body *body, struct str bytes)
{
    struct wire wire = wire_of(bytes);
    struct str family = STR_EMPTY;
    uint64_t type = REMOTE_UNKNOWN;

    while (wire_next(&wire)) {
        switch (wire.tag) {
        case WIRE_TAG(1, WIRE_VARINT):
            type = wire_varint(&wire);
            break;
        case WIRE_TAG(2, WIRE_BYTES):
            family = wire_bytes(&wire);
            break;
        default:
            wire_skip(&wire);
        }
    }
    if (wire.ok)
        remote_types_remember(body->rules->seed, family, type);
    return wire.ok;
}

/* What series refer to, which may follow them. */
static bool prepare(struct remote_body *body, struct str bytes, struct error *err)
{
    struct wire wire = wire_of(bytes);

    while (wire_next(&wire)) {
        if (body->version == 1 && wire.tag == WIRE_TAG(3, WIRE_BYTES)) {
            if (!remember_type(body, wire_bytes(&wire)))
                return set_broken(body, err);
        } else if (body->version == 2 && wire.tag == WIRE_TAG(4, WIRE_BYTES)) {
            if (!remote_symbols_add(&body->symbols, wire_bytes(&wire), err))
                return false;
        } else {
            wire_skip(&wire);
        }
    }
    return wire.ok || set_broken(body, err);
}

static bool remote_take(struct body *base, struct str bytes, struct error *err)
{
    struct remote_body *body = of(base);
    const uint32_t series_tag = WIRE_TAG(body->version == 1 ? 1 : 5, WIRE_BYTES);
    struct wire wire = wire_of(bytes);

    if (bytes.len == 0)
        return true;
    if (body->taken)
        return error_set(err, ERROR_INVALID, "the body came in pieces");
    body->taken = true;
    if (!prepare(body, bytes, err))
        return false;
    body->types_version = remote_types_version();
    batch_use(body->body.batch, body->cache, bytes.len);
    while (wire_next(&wire)) {
        if (wire.tag != series_tag)
            wire_skip(&wire);
        else if (!take_series(body, wire_bytes(&wire), err))
            return false;
    }
    return wire.ok || set_broken(body, err);
}

static bool remote_end(struct body *body, struct error *err)
{
    (void)body;
    (void)err;
    return true; /* P5: nothing at all is a request too */
}

/* --- the verdict ------------------------------------------------------------------------------ */

/* P8. */
static void remote_verdict(const struct body *base, struct http_answer *answer)
{
    const struct remote_body *body = (const struct remote_body *)base;
    const struct body_tally tally = {.rejected = body_rejected(base),
                                     .received = base->counts.received,
                                     .many = "samples",
                                     .one = "sample"};
    struct buf words = BUF_EMPTY;

    answer->says_written = body->version == 2;
    answer->counts = (struct http_counts){.samples = body->samples_written,
                                          .histograms = body->histograms_written,
                                          .rejected = tally.rejected};
    if (tally.rejected == 0) {
        http_answer_stored(answer, STR_EMPTY);
        return;
    }
    body_word_mistakes(base, &tally, &words);
    http_answer_mistake(answer, 400, buf_view(&words), STR_EMPTY);
    buf_fini(&words);
}

/* Whatever version it was: a sender of 1.0 does not look. */
static void remote_refusal(struct http_answer *answer, unsigned status, struct str words)
{
    answer->says_written = true;
    http_answer_mistake(answer, status, words, STR_EMPTY);
}

const struct body_format REMOTE_BODY_FORMAT = {
    .open = remote_open,
    .close = remote_close,
    .take = remote_take,
    .end = remote_end,
    .size_bytes = remote_size_bytes,
    .verdict = remote_verdict,
    .refusal = remote_refusal,
};
