/* Messages of remote write by hand, for tests and benchmarks: also such as no encoder makes. */
#pragma once

#include <string.h>

#include "base/buf.h"
#include "base/wire.h"

static inline void put_tag(struct buf *out, unsigned field, enum wire_type type)
{
    buf_varint(out, WIRE_TAG(field, type));
}

static inline void put_number(struct buf *out, unsigned field, uint64_t value)
{
    put_tag(out, field, WIRE_VARINT);
    buf_varint(out, value);
}

static inline void put_signed(struct buf *out, unsigned field, int64_t value)
{
    put_number(out, field, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static inline void put_bits(struct buf *out, unsigned field, uint64_t bits)
{
    put_tag(out, field, WIRE_FIXED64);
    buf_u64(out, bits);
}

static inline void put_double(struct buf *out, unsigned field, double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    put_bits(out, field, bits);
}

static inline void put_text(struct buf *out, unsigned field, struct str text)
{
    put_tag(out, field, WIRE_BYTES);
    buf_varint(out, text.len);
    buf_str(out, text);
}

/* `inner` is empty afterwards, and keeps its memory. */
static inline void put_message(struct buf *out, unsigned field, struct buf *inner)
{
    put_text(out, field, buf_view(inner));
    buf_clear(inner);
}

/* A Sample of either version; start 0: none. */
static inline void put_sample(struct buf *series, double value, int64_t at, int64_t start)
{
    struct buf sample = BUF_EMPTY;
    put_double(&sample, 1, value);
    put_number(&sample, 2, (uint64_t)at);
    if (start != 0)
        put_number(&sample, 3, (uint64_t)start);
    put_message(series, 2, &sample);
    buf_fini(&sample);
}

/* 1.0: a Label of a TimeSeries. */
static inline void put_label(struct buf *series, struct str name, struct str value)
{
    struct buf label = BUF_EMPTY;
    put_text(&label, 1, name);
    put_text(&label, 2, value);
    put_message(series, 1, &label);
    buf_fini(&label);
}

/* 1.0: labels as "name=value,name=value". */
static inline void put_labels(struct buf *series, const char *text)
{
    struct str rest = str_of(text);
    while (rest.len > 0) {
        struct str value = str_split(&rest, ',');
        struct str name = str_split(&value, '=');
        put_label(series, name, value);
    }
}

/* 2.0: symbols, each once. */
struct symbols {
    struct buf message; /* the fields, as a Request has them */
    struct str texts[64];
    size_t count;
};

static inline uint32_t symbol_of(struct symbols *symbols, struct str text)
{
    for (size_t i = 0; i < symbols->count; i++) {
        if (str_equal(symbols->texts[i], text))
            return (uint32_t)i;
    }
    if (symbols->count == 0 && text.len > 0)
        (void)symbol_of(symbols, STR_EMPTY);
    put_text(&symbols->message, 4, text);
    symbols->texts[symbols->count] = text;
    return (uint32_t)symbols->count++;
}

static inline void put_references(struct symbols *symbols, struct buf *series, const char *text)
{
    struct str rest = str_of(text);
    struct buf packed = BUF_EMPTY;
    while (rest.len > 0) {
        struct str value = str_split(&rest, ',');
        struct str name = str_split(&value, '=');
        buf_varint(&packed, symbol_of(symbols, name));
        buf_varint(&packed, symbol_of(symbols, value));
    }
    put_message(series, 1, &packed);
    buf_fini(&packed);
}

/* The request with the symbols in front. */
static inline void finish_2(struct buf *request, struct symbols *symbols)
{
    buf_str(&symbols->message, buf_view(request));
    buf_fini(request);
    *request = symbols->message;
    *symbols = (struct symbols){.count = 0};
}
