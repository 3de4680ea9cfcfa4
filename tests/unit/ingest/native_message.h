/* Batches of kpid's own protocol, written by protobuf-c: what clients send. */
#pragma once

#include <kpid.pb-c.h>
#include <string.h>

#include "base/buf.h"
#include "test.h"

enum { MESSAGE_SYMBOLS = 64, MESSAGE_SERIES = 16, MESSAGE_SAMPLES = 64, MESSAGE_LABELS = 8 };

struct message_of {
    Kpid__V1__Batch batch;
    ProtobufCBinaryData symbols[MESSAGE_SYMBOLS];
    Kpid__V1__Series series[MESSAGE_SERIES];
    Kpid__V1__Series *series_list[MESSAGE_SERIES];
    uint32_t labels[MESSAGE_SERIES][2 * MESSAGE_LABELS];
    uint32_t sample_series[MESSAGE_SAMPLES];
    double values[MESSAGE_SAMPLES];
    int64_t times[MESSAGE_SAMPLES];
    uint64_t weights[MESSAGE_SAMPLES];
    uint32_t members[MESSAGE_SAMPLES];
    int64_t last_time;
};

static inline uint32_t message_symbol(struct message_of *message, const char *text)
{
    Kpid__V1__Batch *batch = &message->batch;

    for (uint32_t i = 0; i < batch->n_symbols; i++) {
        if (batch->symbols[i].len == strlen(text) &&
            memcmp(batch->symbols[i].data, text, strlen(text)) == 0)
            return i;
    }
    assert_true(batch->n_symbols < MESSAGE_SYMBOLS);
    batch->symbols[batch->n_symbols] = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    return (uint32_t)batch->n_symbols++;
}

static inline void message_begin(struct message_of *message, uint64_t sequence)
{
    memset(message, 0, sizeof *message);
    kpid__v1__batch__init(&message->batch);
    message->batch.sequence = sequence;
    message->batch.symbols = message->symbols;
    message->batch.series = message->series_list;
    message->batch.sample_series = message->sample_series;
    message->batch.values = message->values;
    message->batch.times = message->times;
    message->batch.weights = message->weights;
    message->batch.members = message->members;
    (void)message_symbol(message, "");
}

/* Its index; labels are added to the newest one. */
static inline uint32_t message_series(struct message_of *message, const char *name,
                                      Kpid__V1__Kind kind, Kpid__V1__Form form)
{
    uint32_t index = (uint32_t)message->batch.n_series++;
    assert_true(index < MESSAGE_SERIES);
    Kpid__V1__Series *series = &message->series[index];
    kpid__v1__series__init(series);
    series->name = message_symbol(message, name);
    series->kind = kind;
    series->form = form;
    series->labels = message->labels[index];
    message->series_list[index] = series;
    return index;
}

static inline void message_label(struct message_of *message, const char *name, const char *value)
{
    Kpid__V1__Series *series = &message->series[message->batch.n_series - 1];
    assert_true(series->n_labels < (size_t)2 * MESSAGE_LABELS);
    series->labels[series->n_labels++] = message_symbol(message, name);
    series->labels[series->n_labels++] = message_symbol(message, value);
}

/* A sample with its value alone. */
static inline size_t message_value(struct message_of *message, uint32_t series, double value)
{
    size_t index = message->batch.n_sample_series++;
    assert_true(index < MESSAGE_SAMPLES);
    message->sample_series[index] = series;
    message->values[index] = value;
    message->batch.n_values = index + 1;
    return index;
}

/* With its time, which then all have. */
static inline void message_at(struct message_of *message, uint32_t series, double value, int64_t at)
{
    size_t index = message_value(message, series, value);
    message->times[index] = (int64_t)((uint64_t)at - (uint64_t)message->last_time);
    message->last_time = at;
    message->batch.n_times = index + 1;
}

static inline void message_weighted(struct message_of *message, uint32_t series, double value,
                                    uint64_t weight)
{
    size_t index = message_value(message, series, value);
    message->weights[index] = weight;
    message->batch.n_weights = index + 1;
}

static inline void message_member(struct message_of *message, uint32_t series, const char *member)
{
    size_t index = message_value(message, series, 0);
    message->members[index] = message_symbol(message, member);
    message->batch.n_members = index + 1;
}

static inline void message_pack(const Kpid__V1__ClientFrame *frame, struct buf *out)
{
    size_t len = kpid__v1__client_frame__get_packed_size(frame);
    (void)kpid__v1__client_frame__pack(frame, (uint8_t *)buf_room(out, len));
    out->len += len;
}

/* The bytes of its frame, without their length. */
static inline void message_end(struct message_of *message, struct buf *out)
{
    Kpid__V1__ClientFrame frame = KPID__V1__CLIENT_FRAME__INIT;
    frame.kind_case = KPID__V1__CLIENT_FRAME__KIND_BATCH;
    frame.batch = &message->batch;
    message_pack(&frame, out);
}

/* `producer` has 16 bytes, or is NULL. */
static inline void message_hello(const char *producer, uint64_t epoch, const char *token,
                                 struct buf *out)
{
    Kpid__V1__ClientFrame frame = KPID__V1__CLIENT_FRAME__INIT;
    Kpid__V1__Hello hello = KPID__V1__HELLO__INIT;
    if (producer != NULL)
        hello.producer = (ProtobufCBinaryData){strlen(producer), (uint8_t *)producer};
    hello.epoch = epoch;
    hello.token = (char *)token;
    hello.client = (char *)"test 1";
    frame.kind_case = KPID__V1__CLIENT_FRAME__KIND_HELLO;
    frame.hello = &hello;
    message_pack(&frame, out);
}
