#include "ingest/native.h"

#include <assert.h>
#include <kpid.pb-c.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/wire.h"
#include "ingest/remote_labels.h"

enum {
    ALIGNMENT = 16,
    KEPT_BYTES = 4 << 20, /* of the memory, between two frames */
    LOOK_SAMPLES = 1024,  /* are taken before what is held is looked at again */
    /* Of protobuf-c: how many fields of a message it notes without asking for memory, and the most
     * that a note takes. */
    NOTES_FREE = 16,
    NOTE_BYTES = 48,
};

/* A rate below 2^-32 would let one sample overflow a cell's count. */
#define WEIGHT_MAX (WEIGHT_ONE << 32)

/* One of the batch's series, looked at once for all of its samples. */
struct native_series {
    struct batch_memo memo;
    struct batch_sample sample; /* but for what each sample has of its own */
    Kpid__V1__Form form;
    wall_ms start;
    enum reject_reason wrong; /* why none of its samples can be stored; REJECT_NONE */
    const char *words;
};

struct native_reader {
    char *memory;
    size_t capacity;
    size_t used;
    bool ran_out; /* of what was counted */

    /* of the batch that is read */
    const Kpid__V1__Batch *columns;
    const struct batch_rules *rules;
    struct native_series *series;
};

bool native_refuse(struct native_error *err, uint64_t sequence, enum native_code code,
                   const char *format, ...)
{
    va_list arguments;

    *err = (struct native_error){.sequence = sequence, .code = code};
    va_start(arguments, format);
    (void)vsnprintf(err->words, sizeof err->words, format, arguments);
    va_end(arguments);
    return false;
}

/* --- memory ----------------------------------------------------------------------------------- */

static size_t aligned(size_t size)
{
    return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static void *take_memory(void *arg, size_t size)
{
    struct native_reader *reader = arg;

    if (size > reader->capacity || aligned(size) > reader->capacity - reader->used) {
        reader->ran_out = true;
        return NULL;
    }
    void *taken = reader->memory + reader->used;
    reader->used += aligned(size);
    return taken;
}

static void give_back(void *arg, void *memory)
{
    (void)arg;
    (void)memory; /* all of it goes at once */
}

static void make_room(struct native_reader *reader, size_t bytes)
{
    if (bytes > reader->capacity) {
        free(reader->memory);
        reader->memory = memory_alloc(bytes);
        reader->capacity = bytes;
    }
    reader->used = 0;
    reader->ran_out = false;
}

static void forget(struct native_reader *reader)
{
    reader->columns = NULL;
    reader->rules = NULL;
    reader->series = NULL;
    if (reader->capacity <= KEPT_BYTES)
        return;
    free(reader->memory);
    reader->memory = NULL;
    reader->capacity = 0;
}

struct native_reader *native_reader_new(void)
{
    return memory_zero(1, sizeof(struct native_reader));
}

void native_reader_free(struct native_reader *reader)
{
    if (reader == NULL)
        return;
    free(reader->memory);
    free(reader);
}

/* --- the walk before protobuf-c ----------------------------------------------------------------
 */

struct measure {
    uint64_t sequence;
    size_t symbols, series, samples;
    size_t bytes; /* of memory */
};

static void need(struct measure *measure, size_t count, size_t size)
{
    measure->bytes += aligned(count * size);
}

/* A message with so many fields: while it is unpacked, notes in blocks that double. */
static void need_message(struct measure *measure, size_t size, size_t fields)
{
    need(measure, 1, size);
    if (fields > NOTES_FREE)
        need(measure, 2 * fields + 2 * (size_t)NOTES_FREE, NOTE_BYTES);
}

/* A field that is not known is kept, with its bytes. */
static void pass_over(struct wire *wire, struct measure *measure)
{
    const unsigned char *begin = wire->at;

    wire_skip(wire);
    need(measure, 1, sizeof(ProtobufCMessageUnknownField) + ALIGNMENT);
    need(measure, 1, (size_t)(wire->at - begin));
}

/* Values of a column: packed ones, or one. */
static size_t count_numbers(struct wire *wire)
{
    if ((wire->tag & 7) == WIRE_BYTES)
        return wire_count_varints(wire_bytes(wire));
    wire_skip(wire);
    return 1;
}

static size_t count_doubles(struct wire *wire)
{
    if ((wire->tag & 7) == WIRE_BYTES)
        return wire_bytes(wire).len / sizeof(double);
    wire_skip(wire);
    return 1;
}

static bool measure_series(struct str bytes, struct measure *measure)
{
    struct wire wire = wire_of(bytes);
    size_t fields = 0;
    size_t labels = 0;

    while (wire_next(&wire)) {
        fields++;
        if (wire.tag >> 3 == 2)
            labels += count_numbers(&wire);
        else
            pass_over(&wire, measure);
    }
    need_message(measure, sizeof(Kpid__V1__Series), fields);
    need(measure, labels, sizeof(uint32_t));
    need(measure, labels / 2, sizeof(struct label));
    return wire.ok;
}

struct column_counts {
    size_t series, values, times, weights, members;
};

static size_t longest(const struct column_counts *counts)
{
    const size_t all[] = {counts->series, counts->values, counts->times, counts->weights,
                          counts->members};
    size_t most = 0;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        most = all[i] > most ? all[i] : most;
    return most;
}

/* One field of a batch. */
static bool measure_field(struct wire *wire, struct column_counts *counts, struct measure *measure)
{
    switch (wire->tag) {
    case WIRE_TAG(1, WIRE_VARINT):
        measure->sequence = wire_varint(wire);
        return true;
    case WIRE_TAG(2, WIRE_BYTES):
        need(measure, 1, wire_bytes(wire).len);
        measure->symbols++;
        return true;
    case WIRE_TAG(3, WIRE_BYTES):
        measure->series++;
        return measure_series(wire_bytes(wire), measure);
    default:
        break;
    }
    switch (wire->tag >> 3) {
    case 4:
        counts->series += count_numbers(wire);
        return true;
    case 5:
        counts->values += count_doubles(wire);
        return true;
    case 6:
        counts->times += count_numbers(wire);
        return true;
    case 7:
        counts->weights += count_numbers(wire);
        return true;
    case 8:
        counts->members += count_numbers(wire);
        return true;
    default:
        pass_over(wire, measure);
        return true;
    }
}

static bool measure_batch(struct str bytes, struct measure *measure)
{
    struct wire wire = wire_of(bytes);
    struct column_counts counts = {0};
    size_t fields = 0;
    bool ok = true;

    while (ok && wire_next(&wire)) {
        fields++;
        ok = measure_field(&wire, &counts, measure);
    }
    measure->samples = longest(&counts);
    need_message(measure, sizeof(Kpid__V1__Batch), fields);
    need(measure, measure->symbols, sizeof(ProtobufCBinaryData) + ALIGNMENT);
    need(measure, measure->series,
         sizeof(void *) + sizeof(struct native_series) + 2 * (size_t)ALIGNMENT);
    need(measure, counts.series + counts.members, sizeof(uint32_t));
    need(measure, counts.values + counts.times + counts.weights, sizeof(uint64_t));
    need(measure, 8, ALIGNMENT);
    return ok && wire.ok;
}

static void measure_hello(struct str bytes, struct measure *measure)
{
    struct wire wire = wire_of(bytes);
    size_t fields = 0;

    for (; wire_next(&wire); fields++)
        pass_over(&wire, measure);
    need_message(measure, sizeof(Kpid__V1__Hello), fields);
}

enum kind { KIND_HELLO = 1, KIND_BATCH = 2 };

/* A frame holds one message of a kind that is known; two would be merged, at the price of a copy
 * for each. */
static bool measure_frame(struct str bytes, enum kind wanted, struct measure *measure,
                          struct native_error *err)
{
    struct wire wire = wire_of(bytes);
    struct str inner = STR_EMPTY;
    size_t fields = 0;
    size_t kinds = 0;
    uint32_t tag = 0;

    for (; wire_next(&wire); fields++) {
        if (wire.tag != WIRE_TAG(KIND_HELLO, WIRE_BYTES) &&
            wire.tag != WIRE_TAG(KIND_BATCH, WIRE_BYTES)) {
            pass_over(&wire, measure);
            continue;
        }
        tag = wire.tag;
        inner = wire_bytes(&wire);
        kinds++;
    }
    need_message(measure, sizeof(Kpid__V1__ClientFrame), fields);
    if (!wire.ok || kinds > 1)
        return native_refuse(err, 0, NATIVE_MALFORMED, "a frame is not one message of kpid.proto");
    if (tag != WIRE_TAG(wanted, WIRE_BYTES))
        return native_refuse(err, 0, NATIVE_MALFORMED,
                             wanted == KIND_HELLO ? "the first frame is not a Hello"
                                                  : "a frame after the Hello is not a Batch");
    if (wanted == KIND_HELLO)
        measure_hello(inner, measure);
    else if (!measure_batch(inner, measure))
        return native_refuse(err, 0, NATIVE_MALFORMED, "a Batch cannot be read");
    return true;
}

static bool is_too_many(struct native_error *err, uint64_t sequence, size_t count, size_t max,
                        const char *what)
{
    return count > max && !native_refuse(err, sequence, NATIVE_TOO_LARGE,
                                         "a batch has at most %zu %s, not %zu", max, what, count);
}

/* NULL, and `err` says why. The frame is gone with the reader's memory. */
static Kpid__V1__ClientFrame *unpack(struct native_reader *reader, struct str bytes,
                                     enum kind wanted, struct native_error *err)
{
    struct measure measure = {0};
    ProtobufCAllocator allocator = {take_memory, give_back, reader};

    if (!measure_frame(bytes, wanted, &measure, err))
        return NULL;
    if (is_too_many(err, measure.sequence, measure.symbols, NATIVE_SYMBOLS_MAX, "symbols") ||
        is_too_many(err, measure.sequence, measure.series, NATIVE_SERIES_MAX, "series") ||
        is_too_many(err, measure.sequence, measure.samples, NATIVE_SAMPLES_MAX, "samples") ||
        is_too_many(err, measure.sequence, measure.bytes, NATIVE_UNPACK_MAX, "bytes, unpacked"))
        return NULL;
    make_room(reader, measure.bytes);
    Kpid__V1__ClientFrame *frame =
        kpid__v1__client_frame__unpack(&allocator, bytes.len, (const unsigned char *)bytes.text);
    if (frame == NULL)
        (void)native_refuse(err, 0, NATIVE_MALFORMED,
                            reader->ran_out ? "a frame needs more memory than was counted"
                                            : "a field has another type than in kpid.proto");
    return frame;
}

static struct str text_of(const ProtobufCBinaryData *data)
{
    return (struct str){(const char *)data->data, data->len};
}

/* --- hello ------------------------------------------------------------------------------------ */

static uint64_t read_big_endian(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

bool native_read_hello(struct native_reader *reader, struct str bytes, struct native_hello *out,
                       struct native_error *err)
{
    const Kpid__V1__ClientFrame *frame = unpack(reader, bytes, KIND_HELLO, err);
    if (frame == NULL)
        return false;
    const Kpid__V1__Hello *hello = frame->hello;
    const unsigned char *producer = hello->producer.data;

    *out = (struct native_hello){.token = str_of(hello->token), .client = str_of(hello->client)};
    if (hello->producer.len == 0)
        return true;
    if (hello->producer.len != NATIVE_PRODUCER_SIZE)
        return native_refuse(err, 0, NATIVE_MALFORMED, "a producer has %d bytes, not %zu",
                             NATIVE_PRODUCER_SIZE, hello->producer.len);
    out->identity = (struct delta_identity){
        .kind = IDENTITY_PRODUCER,
        .name = {.high = read_big_endian(producer), .low = read_big_endian(producer + 8)},
        .epoch = hello->epoch};
    return true;
}

/* --- series ----------------------------------------------------------------------------------- */

static bool metric_kind_of(Kpid__V1__Kind kind, enum metric_kind *out)
{
    static const enum metric_kind kinds[] = {
        [KPID__V1__KIND__UNTYPED] = METRIC_UNTYPED,
        [KPID__V1__KIND__COUNTER] = METRIC_COUNTER,
        [KPID__V1__KIND__GAUGE] = METRIC_GAUGE,
        [KPID__V1__KIND__DISTRIBUTION] = METRIC_DISTRIBUTION,
        [KPID__V1__KIND__UNIQUE] = METRIC_UNIQUE,
        [KPID__V1__KIND__SCORE] = METRIC_SCORE,
    };

    if ((unsigned)kind >= sizeof kinds / sizeof kinds[0])
        return false;
    *out = kinds[kind];
    return true;
}

static void blame(struct native_series *series, enum reject_reason reason, const char *words)
{
    if (series->wrong != REJECT_NONE)
        return;
    series->wrong = reason;
    series->words = words;
}

static bool is_storable(struct str text)
{
    return remote_text_of(text) == REMOTE_TEXT_PLAIN;
}

static void sort_labels(struct native_series *series, struct label *labels, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct label label = labels[i];
        size_t at = i;
        int order = -1;
        while (at > 0 && (order = str_compare(labels[at - 1].name, label.name)) > 0)
            at--;
        if (at > 0 && order == 0)
            blame(series, REJECT_bad_tags, "a label comes twice");
        memmove(&labels[at + 1], &labels[at], (i - at) * sizeof label);
        labels[at] = label;
    }
}

/* Labels come in any order; where they cannot be stored the series keeps none. */
static void set_labels(struct native_reader *reader, struct native_series *series,
                       const Kpid__V1__Series *in)
{
    const ProtobufCBinaryData *symbols = reader->columns->symbols;
    size_t count = in->n_labels / 2;
    size_t bytes = 0;

    if (count == 0)
        return;
    struct label *labels = count > LABELS_MAX ? NULL : take_memory(reader, count * sizeof *labels);
    size_t kept = 0;
    for (size_t i = 0; labels != NULL && i < count; i++) {
        const struct label label = {text_of(&symbols[in->labels[2 * i]]),
                                    text_of(&symbols[in->labels[2 * i + 1]])};
        bytes += label.name.len + label.value.len + 2;
        if (label.name.len == 0)
            blame(series, REJECT_bad_tags, "a label has no name");
        else if (!is_storable(label.name) || !is_storable(label.value))
            blame(series, REJECT_bad_tags, "a label is not UTF-8, or holds 0x00 or 0x01");
        labels[kept] = label;
        kept += label.value.len > 0; /* else it is none */
    }
    if (labels == NULL || bytes > LABEL_BYTES_MAX) {
        blame(series, REJECT_bad_tags, "the labels are too many or too long");
        return;
    }
    sort_labels(series, labels, kept);
    series->sample.labels = labels;
    series->sample.label_count = kept;
}

static void check_form(struct native_series *series)
{
    enum metric_kind kind = series->sample.kind;

    switch (series->form) {
    case KPID__V1__FORM__PLAIN:
        return;
    case KPID__V1__FORM__CHANGE:
        series->sample.is_change = true;
        if (kind != METRIC_GAUGE)
            blame(series, REJECT_unsupported, "only a gauge has changes");
        return;
    case KPID__V1__FORM__CUMULATIVE:
    case KPID__V1__FORM__INCREMENT:
        if (kind != METRIC_COUNTER)
            blame(series, REJECT_unsupported, "only a counter is cumulative or has increments");
        return;
    default:
        blame(series, REJECT_unsupported, "the form is not known");
    }
}

/* False: an index points to nothing. */
static bool has_its_symbols(const Kpid__V1__Series *series, size_t symbols)
{
    if (series->name >= symbols || series->n_labels % 2 != 0)
        return false;
    for (size_t i = 0; i < series->n_labels; i++) {
        if (series->labels[i] >= symbols)
            return false;
    }
    return true;
}

static void set_series(struct native_reader *reader, struct native_series *series,
                       const Kpid__V1__Series *in)
{
    *series = (struct native_series){.form = in->form, .start = in->start, .wrong = REJECT_NONE};
    series->sample.name = text_of(&reader->columns->symbols[in->name]);
    if (!metric_kind_of(in->kind, &series->sample.kind))
        blame(series, REJECT_bad_type, "the kind is not known");
    if (!is_storable(series->sample.name))
        blame(series, REJECT_bad_name, "the metric's name is not UTF-8, or holds 0x00 or 0x01");
    check_form(series);
    set_labels(reader, series, in);
}

/* --- columns ---------------------------------------------------------------------------------- */

static bool fits(size_t count, size_t samples)
{
    return count == 0 || count == samples;
}

static bool check_columns(const Kpid__V1__Batch *in, struct native_error *err)
{
    size_t samples = in->n_sample_series;
    uint64_t sequence = in->sequence;

    if (sequence == 0)
        return native_refuse(err, 0, NATIVE_MALFORMED, "a batch has no sequence");
    if (in->n_symbols > 0 && in->symbols[0].len > 0)
        return native_refuse(err, sequence, NATIVE_MALFORMED, "the first symbol is not empty");
    if (!fits(in->n_values, samples) || !fits(in->n_times, samples) ||
        !fits(in->n_weights, samples) || !fits(in->n_members, samples))
        return native_refuse(err, sequence, NATIVE_MALFORMED,
                             "%zu samples have %zu values, %zu times, %zu weights and %zu members",
                             samples, in->n_values, in->n_times, in->n_weights, in->n_members);
    for (size_t i = 0; i < in->n_series; i++) {
        if (!has_its_symbols(in->series[i], in->n_symbols))
            return native_refuse(err, sequence, NATIVE_MALFORMED,
                                 "series %zu names a symbol that is not there, or half a label", i);
    }
    return true;
}

/* Whether sample `i` points to what is there. */
static bool check_sample(const struct native_reader *reader, size_t i, struct native_error *err)
{
    const Kpid__V1__Batch *in = reader->columns;
    uint32_t index = in->sample_series[i];

    if (index >= in->n_series)
        return native_refuse(err, in->sequence, NATIVE_MALFORMED,
                             "sample %zu is of a series that is not there", i);
    bool is_member = in->series[index]->kind == KPID__V1__KIND__UNIQUE;
    if (is_member && (in->n_members == 0 || in->members[i] >= in->n_symbols))
        return native_refuse(err, in->sequence, NATIVE_MALFORMED,
                             "sample %zu is of a UNIQUE and has no member that is there", i);
    if (!is_member && in->n_values == 0)
        return native_refuse(err, in->sequence, NATIVE_MALFORMED, "sample %zu has no value", i);
    return true;
}

/* --- samples ---------------------------------------------------------------------------------- */

static const char *words_of(enum reject_reason reason)
{
    switch (reason) {
    case REJECT_bad_name:
        return "the metric's name is empty, too long or has control characters";
    case REJECT_bad_number:
        return "the value is not finite, too large for its weight, or no number for its metric";
    case REJECT_bad_rate:
        return "the weight is below 1 or above 2^32";
    case REJECT_bad_time:
        return "the time is too far in the future or the past";
    case REJECT_out_of_range:
        return "the score is outside its range or not a whole number";
    default:
        return "it cannot be counted";
    }
}

static void reject(struct native_batch *out, size_t i, const struct native_series *series,
                   enum reject_reason reason)
{
    char name[STR_QUOTED_SIZE];

    if (reason == REJECT_series_limit) { /* as the writer counts it */
        out->counts.dropped[DROP_series_limit]++;
        return;
    }
    out->counts.rejected[reason]++;
    if (out->example_count == NATIVE_EXAMPLES)
        return;
    struct native_example *example = &out->examples[out->example_count++];
    example->sample = (uint32_t)i;
    example->reason = reason;
    (void)snprintf(example->message, sizeof example->message, "%s: %s",
                   str_quoted(series->sample.name, name),
                   series->wrong != REJECT_NONE ? series->words : words_of(reason));
}

static enum reject_reason add_in_order(struct batch *batch, struct native_series *series,
                                       bool has_time, wall_ms now, uint64_t arrival)
{
    const struct batch_sample *sample = &series->sample;
    wall_ms start = series->start != 0 && series->start <= sample->at ? series->start : WALL_NONE;
    const struct batch_point point = {
        .name = sample->name,
        .labels = sample->labels,
        .label_count = sample->label_count,
        .kind = sample->kind,
        .form = series->form == KPID__V1__FORM__CUMULATIVE ? POINT_CUMULATIVE : POINT_INCREMENT,
        .at = sample->at,
        .start = start,
        .value = sample->value,
        .by_arrival = !has_time};

    return batch_add_point_to(batch, &series->memo, &point, now, arrival);
}

static bool is_in_order(const struct native_series *series)
{
    return series->form == KPID__V1__FORM__CUMULATIVE || series->form == KPID__V1__FORM__INCREMENT;
}

/* A gauge has none, whatever is sent. */
static bool is_gauge(const struct batch_rules *rules, const struct native_series *series)
{
    enum metric_kind kind = series->memo.is_known
                                ? series->memo.kind
                                : batch_kind(rules, series->sample.name, series->sample.kind);
    return kind == METRIC_GAUGE;
}

static enum reject_reason set_weight(const struct native_reader *reader, size_t i,
                                     struct native_series *series)
{
    const Kpid__V1__Batch *in = reader->columns;
    struct batch_sample *sample = &series->sample;

    if (in->n_weights == 0)
        return REJECT_NONE;
    uint64_t weight = in->weights[i];
    bool is_valid = weight >= WEIGHT_ONE && weight <= WEIGHT_MAX;
    sample->weight = weight;
    if (is_valid && isfinite(sample->value * ((double)weight / (double)WEIGHT_ONE)))
        return REJECT_NONE;
    sample->weight = WEIGHT_ONE;
    if (is_gauge(reader->rules, series))
        return REJECT_NONE;
    return is_valid ? REJECT_bad_number : REJECT_bad_rate;
}

static enum reject_reason add(struct native_reader *reader, size_t i, struct batch *batch,
                              wall_ms now, uint64_t arrival)
{
    const Kpid__V1__Batch *in = reader->columns;
    struct native_series *series = &reader->series[in->sample_series[i]];
    struct batch_sample *sample = &series->sample;

    if (series->wrong != REJECT_NONE)
        return series->wrong;
    sample->value = in->n_values == 0 ? 0 : in->values[i];
    if (sample->kind == METRIC_UNIQUE) {
        sample->is_text = true;
        sample->value = 0;
        sample->text = text_of(&in->symbols[in->members[i]]);
    }
    if (is_in_order(series))
        return add_in_order(batch, series, in->n_times > 0, now, arrival);
    enum reject_reason reason = set_weight(reader, i, series);
    if (reason != REJECT_NONE)
        return reason;
    return batch_add_to(batch, &series->memo, sample, now, arrival);
}

static bool add_all(struct native_reader *reader, const struct native_request *request,
                    struct native_batch *out, struct native_error *err)
{
    const Kpid__V1__Batch *in = reader->columns;
    wall_ms now = request->now_us / 1000;
    uint64_t at = 0;

    for (size_t i = 0; i < in->n_sample_series; i++) {
        if (!check_sample(reader, i, err))
            return false;
        struct native_series *series = &reader->series[in->sample_series[i]];
        at += in->n_times == 0 ? 0 : (uint64_t)in->times[i];
        series->sample.at = in->n_times == 0 ? now : (wall_ms)at;
        enum reject_reason reason = add(reader, i, out->batch, now, ++*request->last_arrival);
        if (reason != REJECT_NONE)
            reject(out, i, series, reason);
        else
            out->counts.stored++;
        if (i % LOOK_SAMPLES == LOOK_SAMPLES - 1 &&
            batch_size_bytes(out->batch) > request->held_max)
            return native_refuse(err, in->sequence, NATIVE_TOO_LARGE,
                                 "the batch has too many series and times; send less");
    }
    out->counts.received = in->n_sample_series;
    ledger_drop(&out->counts, DROP_unwanted, batch_unwanted(out->batch));
    return true;
}

static void set_all_series(struct native_reader *reader)
{
    const Kpid__V1__Batch *in = reader->columns;

    if (in->n_series == 0)
        return;
    reader->series = take_memory(reader, in->n_series * sizeof *reader->series);
    assert(reader->series != NULL); /* it was counted */
    for (size_t i = 0; i < in->n_series; i++)
        set_series(reader, &reader->series[i], in->series[i]);
}

bool native_read_batch(struct native_reader *reader, struct str bytes,
                       const struct native_request *request, struct native_batch *out,
                       struct native_error *err)
{
    const Kpid__V1__ClientFrame *frame = unpack(reader, bytes, KIND_BATCH, err);
    uint64_t now_us = request->now_us > 0 ? (uint64_t)request->now_us : 0;
    bool ok = false;

    out->batch = NULL;
    out->sequence = 0;
    out->counts = (struct ledger){0};
    out->example_count = 0;
    if (frame != NULL && check_columns(frame->batch, err)) {
        reader->columns = frame->batch;
        reader->rules = request->rules;
        set_all_series(reader);
        out->sequence = frame->batch->sequence;
        out->batch = batch_new(request->rules);
        if (*request->last_arrival < now_us)
            *request->last_arrival = now_us;
        ok = add_all(reader, request, out, err);
    }
    if (!ok) {
        batch_free(out->batch);
        out->batch = NULL;
    }
    forget(reader);
    return ok;
}
