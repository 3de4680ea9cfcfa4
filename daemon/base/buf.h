/* Bytes that grow: replies, encodings, messages. */
#pragma once

#include <stdint.h>

#include "base/str.h"

struct buf {
    char *bytes; /* owned; NULL while empty */
    size_t len;
    size_t capacity;
};

#define BUF_EMPTY                                                                                  \
    {                                                                                              \
        0                                                                                          \
    }

void buf_fini(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */
/* Room for so many more bytes: whoever writes them adds them to `len`. */
char *buf_room(struct buf *buf, size_t len);
void buf_append(struct buf *buf, const void *bytes, size_t len);
void buf_str(struct buf *buf, struct str text);
void buf_text(struct buf *buf, const char *text);
void buf_char(struct buf *buf, char c);
/* For a person: what str_visible says no to as \n, \r, \t or \xNN; a backslash stays. */
void buf_visible(struct buf *buf, struct str text);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *buf, const char *format, ...);

/* Fixed-size integers, little-endian, for everything kpid stores and sends (one portable codec). */
void buf_u8(struct buf *buf, uint8_t value);
void buf_u32(struct buf *buf, uint32_t value);
void buf_u64(struct buf *buf, uint64_t value);
void buf_i64(struct buf *buf, int64_t value);
void buf_double(struct buf *buf, double value);   /* IEEE 754 bits as u64 */
void buf_varint(struct buf *buf, uint64_t value); /* 7 bits a byte, the lowest first, bit 7: more */
void buf_block(struct buf *buf, struct str text); /* u32 length, then the bytes */

struct str buf_view(const struct buf *buf); /* borrowed until the next change */

/* The bytes with a NUL after them; the caller frees them, the buf is empty again. */
char *buf_take_text(struct buf *buf);

/* Reads what the functions above wrote. Every read checks the length: past the end, or with a
 * length that does not fit, `ok` becomes false for good and zeros come back. */
struct reader {
    const unsigned char *at;
    size_t left;
    bool ok;
};

struct reader reader_of(struct str bytes);
uint8_t read_u8(struct reader *reader);
uint32_t read_u32(struct reader *reader);
uint64_t read_u64(struct reader *reader);
int64_t read_i64(struct reader *reader);
double read_double(struct reader *reader);
uint64_t read_varint(struct reader *reader);  /* only the shortest form is one */
struct str read_block(struct reader *reader); /* points into the bytes read */
