/* The bytes of one request's body: inflated as they come (I26), counted, hashed. No I/O.
 *
 * Never more than `limit` bytes come out of it, however few go in. */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "series/series_key.h"

struct http_body;

enum http_encoding { HTTP_IDENTITY, HTTP_GZIP };

/* `hashed`: http_body_hash will be asked. */
struct http_body *http_body_new(enum http_encoding encoding, size_t limit, bool hashed);
void http_body_free(struct http_body *body); /* NULL is fine */

/* Takes the bytes as they were sent and gives those they stand for to `on_bytes`. False: they are
 * no gzip (ERROR_INVALID) or there are too many of them (ERROR_FULL). */
typedef void (*http_bytes_fn)(struct str bytes, void *arg);
bool http_body_take(struct http_body *body, struct str bytes, http_bytes_fn on_bytes, void *arg,
                    struct error *err);

/* The end of the request. False: there should be more bytes. */
bool http_body_end(struct http_body *body, struct error *err);

size_t http_body_length(const struct http_body *body);     /* bytes given to `on_bytes` */
size_t http_body_size_bytes(const struct http_body *body); /* held, for limits */

/* XXH3-128 of all that was given to `on_bytes`. */
struct series_hash http_body_hash(const struct http_body *body);
