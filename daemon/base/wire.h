/* Protobuf on the wire: a cursor over the bytes of one message. No tree, no allocation, no
 * recursion: who wants an inner message makes a cursor over its bytes, as deep as it means to go.
 *
 *   struct wire wire = wire_of(bytes);
 *   while (wire_next(&wire)) {
 *       switch (wire.tag) {
 *       case WIRE_TAG(1, WIRE_BYTES):
 *           name = wire_bytes(&wire);
 *           break;
 *       case WIRE_TAG(2, WIRE_VARINT):
 *           at = (int64_t)wire_varint(&wire);
 *           break;
 *       default:
 *           wire_skip(&wire);
 *       }
 *   }
 *   return wire.ok;
 *
 * After wire_next exactly one value is read (or skipped) that has the tag's type. A number with a
 * type that the caller does not know is an unknown field, as everywhere in protobuf; a repeated
 * number may come packed (WIRE_BYTES, and a cursor over them with wire_more) or one by one.
 *
 * Bytes may be anything. What cannot be read makes `ok` false for good: then zeros and empty texts
 * come back, and wire_next and wire_more end every loop. An inner message has an `ok` of its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP = 3,
    WIRE_GROUP_END = 4,
    WIRE_FIXED32 = 5,
};

/* A tag as it is on the wire, for `case`. */
#define WIRE_TAG(field, type) ((uint32_t)(field) << 3 | (uint32_t)(type))

enum { WIRE_DEPTH_MAX = 16 }; /* for callers too: messages within messages, groups within groups */

struct wire {
    const unsigned char *at;
    const unsigned char *end;
    uint32_t tag; /* of the field that wire_next began */
    bool ok;
};

static inline struct wire wire_of(struct str bytes)
{
    const unsigned char *at = (const unsigned char *)(bytes.len == 0 ? "" : bytes.text);
    return (struct wire){.at = at, .end = at + bytes.len, .ok = true};
}

/* Whether values follow: of a packed field. */
static inline bool wire_more(const struct wire *wire)
{
    return wire->at != wire->end;
}

/* Ends all reading; returns 0. For callers too, when what they read makes no sense. */
static inline uint64_t wire_fail(struct wire *wire)
{
    wire->at = wire->end;
    wire->ok = false;
    wire->tag = 0;
    return 0;
}

/* What is rare is done on a copy of the cursor, so that the cursor itself stays in registers. */

uint64_t wire_long_varint(struct wire *wire); /* for wire_varint alone */

/* At most 10 bytes, 64 bits; need not be the shortest form. int32, int64, bool and enum values are
 * this, cast to their type. */
static inline uint64_t wire_varint(struct wire *wire)
{
    const unsigned char *at = wire->at;

    if (at != wire->end && at[0] < 0x80) {
        wire->at++;
        return at[0];
    }
    if (wire->end - at >= 2 && at[1] < 0x80) {
        wire->at += 2;
        return (at[0] & 0x7fU) | (uint64_t)at[1] << 7;
    }
    struct wire copy = *wire;
    uint64_t value = wire_long_varint(&copy);
    *wire = copy;
    return value;
}

/* The value of a sint32 or sint64 field. */
static inline int64_t wire_zigzag(uint64_t varint)
{
    return (int64_t)(varint >> 1 ^ (0 - (varint & 1)));
}

bool wire_long_next(struct wire *wire); /* for wire_next alone */

/* Begins the next field; false at the end and when it cannot be read. */
static inline bool wire_next(struct wire *wire)
{
    if (wire->at == wire->end)
        return false;
    if ((unsigned)*wire->at - 8 < 0x80 - 8 && (*wire->at & 7) < 3) {
        wire->tag = *wire->at++;
        return true;
    }
    struct wire copy = *wire;
    bool ok = wire_long_next(&copy);
    *wire = copy;
    return ok;
}

/* A string, bytes, an inner message or a packed field; points into the bytes of the cursor. */
static inline struct str wire_bytes(struct wire *wire)
{
    uint64_t len = wire_varint(wire);
    if (len > (uint64_t)(wire->end - wire->at)) {
        (void)wire_fail(wire);
        return STR_EMPTY;
    }
    struct str bytes = {(const char *)wire->at, (size_t)len};
    wire->at += len;
    return bytes;
}

/* Eight bytes, of which compilers make one load. */
static inline uint64_t wire_load_64(const unsigned char *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
           (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 |
           (uint64_t)at[7] << 56;
}

/* fixed64, sfixed64; a double's bits, which stay as they are (P11). */
static inline uint64_t wire_fixed64(struct wire *wire)
{
    if (wire->end - wire->at < 8)
        return wire_fail(wire);
    wire->at += 8;
    return wire_load_64(wire->at - 8);
}

/* fixed32, sfixed32; a float's bits. */
static inline uint32_t wire_fixed32(struct wire *wire)
{
    uint32_t value = 0;
    if (wire->end - wire->at < 4)
        return (uint32_t)wire_fail(wire);
    for (unsigned i = 0; i < 4; i++)
        value |= (uint32_t)wire->at[i] << (8 * i);
    wire->at += 4;
    return value;
}

/* The double with these bits. A signalling NaN may become a quiet one: look at the bits first. */
static inline double wire_double(uint64_t bits)
{
    double value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void wire_long_skip(struct wire *wire); /* for wire_skip alone */

/* Passes over the value of the field that wire_next began, a whole group too. */
static inline void wire_skip(struct wire *wire)
{
    if ((wire->tag & 7) == WIRE_BYTES) {
        (void)wire_bytes(wire);
        return;
    }
    if ((wire->tag & 7) == WIRE_VARINT) {
        (void)wire_varint(wire);
        return;
    }
    struct wire copy = *wire;
    wire_long_skip(&copy);
    *wire = copy;
}

/* A whole inner message of two texts, fields 1 and 2: a label. One that is not there is empty;
 * false when the message cannot be read, and then both are what came before that. */
static inline bool wire_read_pair(struct str bytes, struct str *first, struct str *second)
{
    struct wire wire = wire_of(bytes);

    *first = *second = STR_EMPTY;
    while (wire_next(&wire)) {
        switch (wire.tag) {
        case WIRE_TAG(1, WIRE_BYTES):
            *first = wire_bytes(&wire);
            break;
        case WIRE_TAG(2, WIRE_BYTES):
            *second = wire_bytes(&wire);
            break;
        default:
            wire_skip(&wire);
        }
    }
    return wire.ok;
}

/* How many varints a packed field holds (if its last byte ends one). */
size_t wire_count_varints(struct str packed);
