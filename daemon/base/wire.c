#include "base/wire.h"

/* The low seven bits of eight bytes, side by side. */
static uint64_t squeeze(uint64_t bytes)
{
    bytes = (bytes & UINT64_C(0x7f007f007f007f00)) >> 1 | (bytes & UINT64_C(0x007f007f007f007f));
    bytes = (bytes & UINT64_C(0x3fff00003fff0000)) >> 2 | (bytes & UINT64_C(0x00003fff00003fff));
    return (bytes & UINT64_C(0x0fffffff00000000)) >> 4 | (bytes & UINT64_C(0x000000000fffffff));
}

static uint64_t load_32(const unsigned char *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
}

/* The last bytes of a message, one to seven, with zeros behind them. */
static uint64_t load_last(const unsigned char *at, size_t len)
{
    if (len >= 4)
        return load_32(at) | load_32(at + len - 4) << (8 * (len - 4));
    if (len >= 2)
        return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[len - 1] << (8 * (len - 1));
    return at[0];
}

static uint64_t varint_by_bytes(struct wire *wire)
{
    uint64_t value = 0;

    for (unsigned shift = 0; wire->at != wire->end && shift < 70; shift += 7) {
        unsigned byte = *wire->at++;
        if (shift == 63 && byte > 1)
            break; /* more than 64 bits */
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    return wire_fail(wire);
}

uint64_t wire_long_varint(struct wire *wire)
{
    size_t left = (size_t)(wire->end - wire->at);

    if (left == 0)
        return wire_fail(wire);
    uint64_t bytes = left >= 8 ? wire_load_64(wire->at) : load_last(wire->at, left);
    uint64_t ends = ~bytes & UINT64_C(0x8080808080808080);
    if (ends == 0)
        return varint_by_bytes(wire);
    size_t len = (size_t)__builtin_ctzll(ends) / 8 + 1;
    if (len > left)
        return wire_fail(wire);
    wire->at += len;
    /* All bits up to the highest one of the byte that ends it. */
    return squeeze(bytes & (ends ^ (ends - 1)));
}

bool wire_long_next(struct wire *wire)
{
    uint64_t tag = wire_varint(wire);
    unsigned type = (unsigned)(tag & 7);
    if (!wire->ok || tag < 8 || tag > UINT32_MAX || type == WIRE_GROUP_END || type > WIRE_FIXED32)
        return wire_fail(wire) != 0;
    wire->tag = (uint32_t)tag;
    return true;
}

/* Any value but a group. */
static void skip_value(struct wire *wire, unsigned type)
{
    switch (type) {
    case WIRE_VARINT:
        (void)wire_varint(wire);
        break;
    case WIRE_FIXED64:
        (void)wire_fixed64(wire);
        break;
    case WIRE_BYTES:
        (void)wire_bytes(wire);
        break;
    case WIRE_FIXED32:
        (void)wire_fixed32(wire);
        break;
    default:
        (void)wire_fail(wire);
        break;
    }
}

/* Up to the end of the group that has begun. */
static void skip_group(struct wire *wire)
{
    uint64_t fields[WIRE_DEPTH_MAX]; /* of the groups that are open */
    unsigned depth = 0;

    fields[depth++] = wire->tag >> 3;
    while (depth > 0 && wire->ok) {
        uint64_t tag = wire_varint(wire); /* at the end this fails */
        unsigned type = (unsigned)(tag & 7);
        if (tag < 8 || tag > UINT32_MAX)
            (void)wire_fail(wire);
        else if (type == WIRE_GROUP_END && tag >> 3 == fields[depth - 1])
            depth--;
        else if (type == WIRE_GROUP && depth < WIRE_DEPTH_MAX)
            fields[depth++] = tag >> 3;
        else
            skip_value(wire, type);
    }
}

void wire_long_skip(struct wire *wire)
{
    unsigned type = wire->tag & 7;

    if (type == WIRE_GROUP)
        skip_group(wire);
    else
        skip_value(wire, type);
}

size_t wire_count_varints(struct str packed)
{
    size_t count = 0;

    for (size_t i = 0; i < packed.len; i++)
        count += (unsigned char)packed.text[i] < 0x80;
    return count;
}
