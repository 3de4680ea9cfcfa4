/* A stream of bits: what the block codec writes its columns with. Private to store/.
 *
 * The first bit is the lowest one of the first byte. Numbers of unknown size are written as
 * 6 bits n, then: 0 when n is 0; the n - 1 bits below the highest one when n is 1 to 62; all 64
 * bits when n is 63. Signed ones are folded first: 0, -1, 1, -2 become 0, 1, 2, 3. */
#pragma once

#include <endian.h>
#include <string.h>

#include "base/buf.h"

struct bit_writer {
    struct buf *out;  /* borrowed */
    uint64_t pending; /* the lowest `used` bits are not written yet */
    unsigned used;    /* 0 to 63 */
};

struct bit_writer bits_writer_of(struct buf *out);

/* The lowest `width` bits, 0 to 64; the others must be 0. */
void bits_put(struct bit_writer *writer, uint64_t value, unsigned width);
void bits_put_number(struct bit_writer *writer, uint64_t value);
void bits_put_signed(struct bit_writer *writer, int64_t value);

/* Writes what is pending, filled up to a byte with zeros. */
void bits_finish(struct bit_writer *writer);

/* How many bits bits_put_number takes, bits_put_signed with the number folded. */
unsigned bits_of_number(uint64_t value);

/* Reads any bytes. Past the end `ok` becomes false for good and zeros come back. */
struct bit_reader {
    const unsigned char *bytes; /* borrowed */
    size_t size_bytes;
    size_t at; /* bit */
    bool ok;
};

struct bit_reader bits_reader_of(struct str bytes);
uint64_t bits_get_number(struct bit_reader *reader);
int64_t bits_get_signed(struct bit_reader *reader);

/* Skips to the next whole byte; not ok unless zeros were skipped. What follows the stream. */
struct str bits_rest(struct bit_reader *reader);

static inline uint64_t bits_fold(uint64_t value)
{
    return (value << 1) ^ (0 - (value >> 63));
}

static inline uint64_t bits_unfold(uint64_t folded)
{
    return (folded >> 1) ^ (0 - (folded & 1));
}

/* How many bits a number takes without zeros in front; 0 takes none. */
static inline unsigned bits_length(uint64_t value)
{
    return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

/* Eight bytes from `byte` on; zeros past the end. */
static inline uint64_t bits_load(const struct bit_reader *reader, size_t byte)
{
    uint64_t word = 0;
    if (reader->size_bytes >= sizeof word && byte <= reader->size_bytes - sizeof word)
        memcpy(&word, reader->bytes + byte, sizeof word);
    else if (byte < reader->size_bytes)
        memcpy(&word, reader->bytes + byte, reader->size_bytes - byte);
    return le64toh(word);
}

static inline uint64_t bits_get(struct bit_reader *reader, unsigned width)
{
    if (reader->size_bytes * 8 - reader->at < width) {
        reader->ok = false;
        reader->at = reader->size_bytes * 8;
        return 0;
    }
    if (width == 0)
        return 0;
    size_t byte = reader->at >> 3;
    unsigned shift = reader->at & 7;
    uint64_t value = bits_load(reader, byte) >> shift;
    if (width > 64 - shift)
        value |= (uint64_t)reader->bytes[byte + 8] << (64 - shift);
    reader->at += width;
    return width == 64 ? value : value & ((UINT64_C(1) << width) - 1);
}
