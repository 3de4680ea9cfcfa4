/* The bytes of one request's body: inflated as they come (I26), counted, hashed. No I/O.
 *
 * Never more than `limit` bytes come out of it, however few go in. Snappy's block format (P1) says
 * at its beginning how many it stands for: too many are refused then, before room is made, and so
 * are more at the end than what came could ever stand for. */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "series/series_key.h"

struct http_body;

/* Of snappy all bytes are given at the end, at once. */
enum http_encoding { HTTP_IDENTITY, HTTP_GZIP, HTTP_SNAPPY };

/* Room for what a Content-Length announces is made once, but no more before it comes: anybody may
 * announce anything. */
enum { HTTP_ROOM_MAX = 256 * 1024 };

static inline size_t http_room_for(uint64_t announced)
{
    return announced < HTTP_ROOM_MAX ? (size_t)announced : HTTP_ROOM_MAX;
}

/* `hashed`: http_body_hash will be asked. */
struct http_body *http_body_new(enum http_encoding encoding, size_t limit, bool hashed);
void http_body_free(struct http_body *body); /* NULL is fine */

/* So many bytes are announced, as they are sent; before the first of them. */
void http_body_expect(struct http_body *body, uint64_t length);

/* False, and `err`: the bytes are refused. */
typedef bool (*http_bytes_fn)(struct str bytes, void *arg, struct error *err);

/* Takes the bytes as they were sent and gives those they stand for to `on_bytes`. False: they are
 * not what the encoding says (ERROR_INVALID), there are too many of them (ERROR_FULL), or on_bytes
 * has refused them. */
bool http_body_take(struct http_body *body, struct str bytes, http_bytes_fn on_bytes, void *arg,
                    struct error *err);

/* The end of the request, which may give bytes too. False: there should be more bytes, or they are
 * no snappy. */
bool http_body_end(struct http_body *body, http_bytes_fn on_bytes, void *arg, struct error *err);

size_t http_body_length(const struct http_body *body); /* bytes given to `on_bytes` */
/* Held, for limits; of snappy also what the end will need. */
size_t http_body_size_bytes(const struct http_body *body);

/* XXH3-128 of all that was given to `on_bytes`. */
struct series_hash http_body_hash(const struct http_body *body);
