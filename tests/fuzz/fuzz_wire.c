/* Any bytes as protobuf: a cursor stays inside of them, ends, and reads what a simple reader reads.
 */
#include <stdlib.h>

#include "base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Byte by byte; false when there is none. */
static bool simple_varint(const unsigned char *at, const unsigned char *end, uint64_t *value,
                          size_t *len)
{
    unsigned __int128 wide = 0;

    for (*len = 0; at + *len < end && *len < 10; (*len)++) {
        wide |= (unsigned __int128)(at[*len] & 0x7f) << (7 * *len);
        if (at[*len] < 0x80) {
            *value = (uint64_t)wide;
            (*len)++;
            return wide <= UINT64_MAX;
        }
    }
    return false;
}

static void check_varint(const struct wire *wire)
{
    struct wire copy = *wire;
    uint64_t expected = 0;
    size_t len = 0;
    bool is_one = simple_varint(wire->at, wire->end, &expected, &len);
    uint64_t value = wire_varint(&copy);

    require(copy.ok == (wire->ok && is_one));
    require(!is_one || (value == expected && copy.at == wire->at + len));
    require(is_one || (value == 0 && !wire_more(&copy)));
}

static void read_message(struct str bytes, unsigned depth);

static void read_value(struct wire *wire, unsigned depth)
{
    const unsigned char *before = wire->at;

    check_varint(wire);
    struct wire skipped = *wire;
    wire_skip(&skipped);
    switch (wire->tag & 7) {
    case WIRE_VARINT:
        (void)wire_varint(wire);
        break;
    case WIRE_FIXED64:
        (void)wire_fixed64(wire);
        break;
    case WIRE_FIXED32:
        (void)wire_fixed32(wire);
        break;
    case WIRE_BYTES: {
        struct str inner = wire_bytes(wire);
        require(inner.len == 0 || ((const unsigned char *)inner.text > before &&
                                   (const unsigned char *)inner.text + inner.len <= wire->end));
        read_message(inner, depth + 1);
        struct wire packed = wire_of(inner);
        size_t count = 0;
        while (wire_more(&packed)) {
            (void)wire_varint(&packed);
            count += packed.ok;
        }
        require(!packed.ok || count == wire_count_varints(inner));
        break;
    }
    default:
        wire_skip(wire);
    }
    require(skipped.ok == wire->ok && skipped.at == wire->at);
    require(!wire->ok || wire->at > before);
}

static void read_message(struct str bytes, unsigned depth)
{
    struct wire wire = wire_of(bytes);

    if (depth > WIRE_DEPTH_MAX)
        return;
    while (wire_next(&wire)) {
        require(wire.ok && wire.tag >= 8 && (wire.tag & 7) != WIRE_GROUP_END);
        read_value(&wire, depth);
    }
    require(!wire_more(&wire));
    require(wire_varint(&wire) == 0 && !wire.ok);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_message((struct str){(const char *)data, size}, 0);
    return 0;
}
