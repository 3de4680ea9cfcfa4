#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void buf_fini(struct buf *buf)
{
    free(buf->bytes);
    *buf = (struct buf)BUF_EMPTY;
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

static void reserve(struct buf *buf, size_t more)
{
    assert(more < SIZE_MAX / 4 && buf->len < SIZE_MAX / 4);
    if (buf->capacity - buf->len >= more)
        return;
    size_t capacity = buf->capacity < 128 ? 256 : buf->capacity * 2;
    while (capacity - buf->len < more)
        capacity *= 2;
    buf->bytes = memory_grow(buf->bytes, capacity, 1);
    buf->capacity = capacity;
}

char *buf_room(struct buf *buf, size_t len)
{
    reserve(buf, len);
    return buf->bytes + buf->len;
}

void buf_append(struct buf *buf, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    reserve(buf, len);
    memcpy(buf->bytes + buf->len, bytes, len);
    buf->len += len;
}

void buf_str(struct buf *buf, struct str text)
{
    buf_append(buf, text.text, text.len);
}

void buf_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_char(struct buf *buf, char c)
{
    buf_append(buf, &c, 1);
}

static void add_escape(struct buf *buf, unsigned char c)
{
    if (c == '\n')
        buf_text(buf, "\\n");
    else if (c == '\r')
        buf_text(buf, "\\r");
    else if (c == '\t')
        buf_text(buf, "\\t");
    else
        buf_printf(buf, "\\x%02x", c);
}

void buf_visible(struct buf *buf, struct str text)
{
    for (size_t i = 0; i < text.len;) {
        size_t shown = str_visible(text, i);
        if (shown == 0)
            add_escape(buf, (unsigned char)text.text[i]);
        else
            buf_append(buf, text.text + i, shown);
        i += shown == 0 ? 1 : shown;
    }
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;

    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    reserve(buf, (size_t)len + 1);
    (void)vsnprintf(buf->bytes + buf->len, (size_t)len + 1, format, again);
    va_end(again);
    buf->len += (size_t)len;
}

void buf_u8(struct buf *buf, uint8_t value)
{
    buf_append(buf, &value, 1);
}

void buf_u32(struct buf *buf, uint32_t value)
{
    unsigned char bytes[4];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    buf_append(buf, bytes, sizeof bytes);
}

void buf_u64(struct buf *buf, uint64_t value)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    buf_append(buf, bytes, sizeof bytes);
}

void buf_i64(struct buf *buf, int64_t value)
{
    buf_u64(buf, (uint64_t)value);
}

void buf_double(struct buf *buf, double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    buf_u64(buf, bits);
}

void buf_varint(struct buf *buf, uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        buf_u8(buf, (uint8_t)(value | 0x80));
    buf_u8(buf, (uint8_t)value);
}

void buf_block(struct buf *buf, struct str text)
{
    assert(text.len <= UINT32_MAX);
    buf_u32(buf, (uint32_t)text.len);
    buf_str(buf, text);
}

struct str buf_view(const struct buf *buf)
{
    return (struct str){buf->bytes, buf->len};
}

char *buf_take_text(struct buf *buf)
{
    buf_char(buf, '\0');
    char *text = buf->bytes;
    *buf = (struct buf)BUF_EMPTY;
    return text;
}

struct reader reader_of(struct str bytes)
{
    return (struct reader){(const unsigned char *)bytes.text, bytes.len, true};
}

static const unsigned char *take(struct reader *reader, size_t len)
{
    if (!reader->ok || reader->left < len) {
        reader->ok = false;
        return NULL;
    }
    const unsigned char *at = reader->at;
    reader->at += len;
    reader->left -= len;
    return at;
}

uint8_t read_u8(struct reader *reader)
{
    const unsigned char *at = take(reader, 1);
    return at == NULL ? 0 : *at;
}

static uint64_t read_little_endian(struct reader *reader, size_t size)
{
    const unsigned char *at = take(reader, size);
    uint64_t value = 0;
    if (at == NULL)
        return 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

uint32_t read_u32(struct reader *reader)
{
    return (uint32_t)read_little_endian(reader, 4);
}

uint64_t read_u64(struct reader *reader)
{
    return read_little_endian(reader, 8);
}

int64_t read_i64(struct reader *reader)
{
    return (int64_t)read_u64(reader);
}

double read_double(struct reader *reader)
{
    uint64_t bits = read_u64(reader);
    double value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint64_t read_varint(struct reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = read_u8(reader);
        if ((shift > 0 && byte == 0) || (shift == 63 && byte > 1))
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    reader->ok = false;
    return 0;
}

struct str read_block(struct reader *reader)
{
    uint32_t len = read_u32(reader);
    const unsigned char *at = take(reader, len);
    return at == NULL ? STR_EMPTY : (struct str){(const char *)at, len};
}
