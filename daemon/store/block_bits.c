#include "store/block_bits.h"

#include <assert.h>

enum { LENGTH_BITS = 6, LENGTH_WHOLE = 63 };

struct bit_writer bits_writer_of(struct buf *out)
{
    return (struct bit_writer){out, 0, 0};
}

void bits_put(struct bit_writer *writer, uint64_t value, unsigned width)
{
    assert(width == 64 || (width < 64 && value >> width == 0));
    if (width == 0)
        return;
    writer->pending |= value << writer->used;
    if (writer->used + width < 64) {
        writer->used += width;
        return;
    }
    buf_u64(writer->out, writer->pending);
    unsigned written = 64 - writer->used;
    writer->pending = written == 64 ? 0 : value >> written;
    writer->used = width - written;
}

void bits_put_number(struct bit_writer *writer, uint64_t value)
{
    unsigned length = bits_length(value);

    if (length >= LENGTH_WHOLE) {
        bits_put(writer, LENGTH_WHOLE, LENGTH_BITS);
        bits_put(writer, value, 64);
        return;
    }
    bits_put(writer, length, LENGTH_BITS);
    if (length > 1)
        bits_put(writer, value & ((UINT64_C(1) << (length - 1)) - 1), length - 1);
}

void bits_put_signed(struct bit_writer *writer, int64_t value)
{
    bits_put_number(writer, bits_fold((uint64_t)value));
}

void bits_finish(struct bit_writer *writer)
{
    for (unsigned done = 0; done < writer->used; done += 8)
        buf_u8(writer->out, (uint8_t)(writer->pending >> done));
    writer->pending = 0;
    writer->used = 0;
}

unsigned bits_of_number(uint64_t value)
{
    unsigned length = bits_length(value);

    if (length >= LENGTH_WHOLE)
        return LENGTH_BITS + 64;
    return length == 0 ? LENGTH_BITS : LENGTH_BITS + length - 1;
}

struct bit_reader bits_reader_of(struct str bytes)
{
    assert(bytes.len < SIZE_MAX / 8);
    return (struct bit_reader){(const unsigned char *)bytes.text, bytes.len, 0, true};
}

uint64_t bits_get_number(struct bit_reader *reader)
{
    unsigned length = (unsigned)bits_get(reader, LENGTH_BITS);

    if (length == LENGTH_WHOLE)
        return bits_get(reader, 64);
    if (length == 0)
        return 0;
    return UINT64_C(1) << (length - 1) | bits_get(reader, length - 1);
}

int64_t bits_get_signed(struct bit_reader *reader)
{
    return (int64_t)bits_unfold(bits_get_number(reader));
}

struct str bits_rest(struct bit_reader *reader)
{
    unsigned odd = reader->at & 7;
    if (odd != 0 && bits_get(reader, 8 - odd) != 0)
        reader->ok = false;
    size_t byte = reader->at >> 3;
    return (struct str){(const char *)reader->bytes + byte, reader->size_bytes - byte};
}
