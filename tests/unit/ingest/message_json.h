/* A message of OTLP as JSON, by protobuf-c's own description of it: 64-bit integers are texts or
 * numbers, as it happens (O7). Texts are UTF-8. */
#pragma once

#include <math.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

#include "base/json.h"
#include "series/random.h"
#include "test.h"

static inline struct str text_of(ProtobufCBinaryData data)
{
    return (struct str){(const char *)data.data, data.len};
}

static inline void write_message(struct json *json, const ProtobufCMessage *message,
                                 uint64_t *random);

static inline void write_camel(struct json *json, const ProtobufCFieldDescriptor *field)
{
    static const struct {
        const char *name;
        const char *json;
    } named[] = {{"points", "dataPoints"},
                 {"temporality", "aggregationTemporality"},
                 {"start", "startTimeUnixNano"},
                 {"time", "timeUnixNano"}};
    char text[64];
    size_t len = 0;

    for (size_t i = 0; i < TEST_COUNT(named); i++) {
        if (strcmp(field->name, named[i].name) == 0) {
            json_key(json, named[i].json);
            return;
        }
    }
    for (const char *c = field->name; *c != '\0'; c++) {
        bool is_upper = c != field->name && c[-1] == '_';
        if (*c != '_')
            text[len++] = (char)(is_upper ? *c - 'a' + 'A' : *c);
    }
    text[len] = '\0';
    json_key(json, text);
}

static inline void write_i64(struct json *json, int64_t value, bool is_unsigned, uint64_t *random)
{
    char text[32];
    (void)snprintf(text, sizeof text, is_unsigned ? "%llu" : "%lld", (unsigned long long)value);
    if (random_below(random, 2) == 0)
        json_text(json, text); /* O7: a text or a number */
    else
        json_raw(json, str_of(text));
}

static inline void write_double(struct json *json, double value)
{
    if (isnan(value))
        json_text(json, "NaN");
    else if (isinf(value))
        json_text(json, value > 0 ? "Infinity" : "-Infinity");
    else
        json_number(json, value);
}

static inline void write_value(struct json *json, const ProtobufCFieldDescriptor *field,
                               const void *at, uint64_t *random)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        write_message(json, *(const ProtobufCMessage *const *)at, random);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        json_str(json, text_of(*(const ProtobufCBinaryData *)at));
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        write_double(json, *(const double *)at);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        json_bool(json, *(const protobuf_c_boolean *)at);
        break;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_UINT64:
        write_i64(json, (int64_t) * (const uint64_t *)at, true, random);
        break;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_INT64:
        write_i64(json, *(const int64_t *)at, false, random);
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
        json_i64(json, *(const int32_t *)at);
        break;
    default:
        json_u64(json, *(const uint32_t *)at);
    }
}

static inline size_t size_of(ProtobufCType type)
{
    return type == PROTOBUF_C_TYPE_MESSAGE ? sizeof(void *) : 8; /* what is repeated here */
}

static inline void write_message(struct json *json, const ProtobufCMessage *message,
                                 uint64_t *random)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;

    json_open(json, '{');
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const char *at = (const char *)message + field->offset;
        const char *quantifier = (const char *)message + field->quantifier_offset;
        bool is_oneof = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(const size_t *)(const void *)quantifier;
            const char *items = *(const char *const *)(const void *)at;
            write_camel(json, field);
            json_open(json, '[');
            for (size_t n = 0; n < count; n++)
                write_value(json, field, items + n * size_of(field->type), random);
            json_close(json, ']');
            continue;
        }
        if (is_oneof && *(const uint32_t *)(const void *)quantifier != field->id)
            continue;
        if (field->type == PROTOBUF_C_TYPE_MESSAGE &&
            *(const void *const *)(const void *)at == NULL)
            continue;
        write_camel(json, field);
        write_value(json, field, at, random);
    }
    json_close(json, '}');
}
