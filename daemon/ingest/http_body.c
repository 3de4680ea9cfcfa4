#include "ingest/http_body.h"

#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#define ZLIB_CONST
#include <zlib.h>

#include "base/buf.h"
#include "base/memory.h"

enum {
    WINDOW_GZIP = 15 + 16,   /* zlib: the largest window, gzip's header and checksum */
    INFLATE_BYTES = 1 << 16, /* what zlib says an inflating stream may hold, and some more */
    HASH_BYTES = 640,        /* of XXH3's state */
    OUT_BYTES = 32 * 1024,
    SNAPPY_LENGTH_BYTES = 5, /* of the varint at the beginning */
    SNAPPY_RATIO_MAX = 22,   /* a copy of 3 bytes stands for 64 */
};

struct http_body {
    enum http_encoding encoding;
    size_t limit;
    size_t length;
    XXH3_state_t *hash; /* NULL: not asked for */
    z_stream stream;
    bool in_member; /* of gzip: something was taken of one that has not ended */
    bool has_member;
    size_t room;       /* to make for what is packed */
    struct buf packed; /* snappy, all of it */
    bool is_announced; /* the varint at its beginning was read */
    size_t announced;  /* bytes it stands for */
};

struct http_body *http_body_new(enum http_encoding encoding, size_t limit, bool hashed)
{
    struct http_body *body = memory_zero(1, sizeof *body);

    body->encoding = encoding;
    body->limit = limit;
    if (hashed) {
        body->hash = XXH3_createState();
        if (body->hash == NULL)
            abort(); /* as base/memory.h does */
        (void)XXH3_128bits_reset(body->hash);
    }
    if (encoding == HTTP_GZIP && inflateInit2(&body->stream, WINDOW_GZIP) != Z_OK)
        abort();
    return body;
}

void http_body_free(struct http_body *body)
{
    if (body == NULL)
        return;
    if (body->encoding == HTTP_GZIP)
        (void)inflateEnd(&body->stream);
    buf_fini(&body->packed);
    (void)XXH3_freeState(body->hash);
    free(body);
}

void http_body_expect(struct http_body *body, uint64_t length)
{
    body->room = http_room_for(length);
}

size_t http_body_length(const struct http_body *body)
{
    return body->length;
}

/* What the packed bytes can stand for. */
static size_t unpacked_max(const struct http_body *body)
{
    size_t most = body->packed.len * SNAPPY_RATIO_MAX;
    return body->announced < most ? body->announced : most;
}

size_t http_body_size_bytes(const struct http_body *body)
{
    return sizeof *body + (body->hash == NULL ? 0 : HASH_BYTES) +
           (body->encoding == HTTP_GZIP ? INFLATE_BYTES : 0) + body->packed.capacity +
           unpacked_max(body);
}

struct series_hash http_body_hash(const struct http_body *body)
{
    XXH128_hash_t hash = XXH3_128bits_digest(body->hash);
    return (struct series_hash){hash.high64, hash.low64};
}

static bool too_large(const struct http_body *body, struct error *err)
{
    return error_set(err, ERROR_FULL, "the body is larger than %zu bytes", body->limit);
}

/* Hands bytes on, up to the limit. */
static bool give(struct http_body *body, struct str bytes, http_bytes_fn on_bytes, void *arg,
                 struct error *err)
{
    if (bytes.len > body->limit - body->length)
        return too_large(body, err);
    body->length += bytes.len;
    if (body->hash != NULL)
        (void)XXH3_128bits_update(body->hash, bytes.text, bytes.len);
    return on_bytes(bytes, arg, err);
}

static bool not_gzip(struct error *err)
{
    return error_set(err, ERROR_INVALID, "the body is not gzip, as its Content-Encoding says");
}

/* One piece of at most OUT_BYTES; gzip may be several members, one after the other. */
static bool inflate_some(struct http_body *body, http_bytes_fn on_bytes, void *arg,
                         struct error *err)
{
    unsigned char out[OUT_BYTES];
    z_stream *stream = &body->stream;

    stream->next_out = out;
    stream->avail_out = OUT_BYTES;
    body->in_member = body->in_member || stream->avail_in > 0;
    int rc = inflate(stream, Z_NO_FLUSH);
    size_t len = OUT_BYTES - stream->avail_out;
    if (rc == Z_MEM_ERROR)
        abort();
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return not_gzip(err);
    if (len > 0 && !give(body, (struct str){(const char *)out, len}, on_bytes, arg, err))
        return false;
    if (rc == Z_STREAM_END) {
        body->in_member = false;
        body->has_member = true;
        return inflateReset(stream) == Z_OK || not_gzip(err);
    }
    return true;
}

/* --- snappy -----------------------------------------------------------------------------------
 */

static bool not_snappy(const struct http_body *body, struct error *err)
{
    static const char framed[] = "\xff\x06\0\0sNaPpY";
    size_t len = sizeof framed - 1;

    if (body->packed.len >= len && memcmp(body->packed.bytes, framed, len) == 0)
        return error_set(err, ERROR_INVALID,
                         "the body is framed snappy; remote write uses the block format");
    return error_set(err, ERROR_INVALID, "the body is not snappy, as its Content-Encoding says");
}

/* The length at the beginning, as soon as it is there. */
static bool read_announced(struct http_body *body, struct error *err)
{
    const unsigned char *bytes = (const unsigned char *)body->packed.bytes;
    uint64_t length = 0;

    for (unsigned i = 0; i < body->packed.len; i++) {
        if (i == SNAPPY_LENGTH_BYTES)
            return not_snappy(body, err);
        length |= (uint64_t)(bytes[i] & 0x7f) << (7 * i);
        if (bytes[i] >= 0x80)
            continue;
        if (length > body->limit)
            return too_large(body, err);
        body->is_announced = true;
        body->announced = (size_t)length;
        return true;
    }
    return true;
}

static bool take_packed(struct http_body *body, struct str bytes, struct error *err)
{
    if (bytes.len > snappy_max_compressed_length(body->limit) - body->packed.len)
        return too_large(body, err);
    if (body->packed.bytes == NULL)
        (void)buf_room(&body->packed, body->room < bytes.len ? bytes.len : body->room);
    buf_str(&body->packed, bytes);
    return body->is_announced || read_announced(body, err);
}

static bool unpack(struct http_body *body, http_bytes_fn on_bytes, void *arg, struct error *err)
{
    size_t length = body->announced;

    if (body->packed.len == 0 || !body->is_announced)
        return error_set(err, ERROR_INVALID, "the snappy body ends in the middle");
    if (length > unpacked_max(body))
        return not_snappy(body, err);
    char *bytes = memory_alloc(length + 1);
    bool ok =
        (snappy_uncompress(body->packed.bytes, body->packed.len, bytes, &length) == SNAPPY_OK &&
         length == body->announced) ||
        not_snappy(body, err);
    buf_fini(&body->packed);
    if (ok && length > 0)
        ok = give(body, (struct str){bytes, length}, on_bytes, arg, err);
    free(bytes);
    return ok;
}

/* --- all --------------------------------------------------------------------------------------
 */

bool http_body_take(struct http_body *body, struct str bytes, http_bytes_fn on_bytes, void *arg,
                    struct error *err)
{
    if (bytes.len == 0)
        return true;
    if (body->encoding == HTTP_IDENTITY)
        return give(body, bytes, on_bytes, arg, err);
    if (body->encoding == HTTP_SNAPPY)
        return take_packed(body, bytes, err);
    body->stream.next_in = (const unsigned char *)bytes.text;
    body->stream.avail_in = (unsigned)bytes.len;
    do {
        if (!inflate_some(body, on_bytes, arg, err))
            return false;
    } while (body->stream.avail_in > 0 || body->stream.avail_out == 0);
    return true;
}

bool http_body_end(struct http_body *body, http_bytes_fn on_bytes, void *arg, struct error *err)
{
    if (body->encoding == HTTP_SNAPPY)
        return unpack(body, on_bytes, arg, err);
    if (body->encoding == HTTP_IDENTITY || (body->has_member && !body->in_member))
        return true;
    return error_set(err, ERROR_INVALID, "the gzip body ends in the middle");
}
