/* HTTP requests out of bytes: what ingest needs to know of a request's head, and its body as it
 * comes. The grammar is http-parser's; the limits and what is refused are here. No I/O.
 *
 * One request at a time: after HTTP_READ_DONE nothing of the next one is looked at until
 * http_reader_next. */
#pragma once

#include <http_parser.h>

#include "base/buf.h"
#include "base/error.h"
#include "ingest/http_body.h"

enum { HTTP_HEAD_MAX = 16 * 1024, HTTP_KEY_MAX = 255, HTTP_HEADER_MAX = 512 };

/* The head of a request. */
struct http_head {
    struct str path;  /* of the target, without the query; in the reader */
    struct str query; /* without '?', not decoded */
    enum http_method method;
    bool is_chunked;
    uint64_t length; /* Content-Length; 0 without */
    bool expects_continue;
    bool from_page; /* it has an Origin: a browser sends it for a page */
    bool keep_alive;
    bool unknown_encoding; /* none of enum http_encoding (I26) */
    bool unknown_transfer; /* a Transfer-Encoding that is not chunked */
    enum http_encoding encoding;
    struct str content_type;  /* as sent, cut at HTTP_HEADER_MAX bytes; empty without */
    struct str authorization; /* the same */
    struct str key;           /* Idempotency-Key; empty without one */
    bool bad_key;             /* empty, too long, or given twice */
    const char *twice;        /* a header that may be given once; NULL: none was given twice */
};

/* Return false to stop reading: what follows is then never looked at. */
struct http_reader_calls {
    bool (*on_head)(const struct http_head *head, void *arg);
    bool (*on_body)(struct str bytes, void *arg); /* as sent */
};

struct http_reader {
    http_parser parser;
    const struct http_reader_calls *calls;
    void *arg;
    struct http_head head;
    struct buf target;
    struct buf key;
    struct buf content_type;
    struct buf authorization;
    char name[32]; /* of the header that is being read, in lower case; longer ones are cut */
    size_t name_len;
    char value[HTTP_HEADER_MAX];
    size_t value_len;
    unsigned hosts; /* headers of this name */
    bool in_value;
    bool head_done;
    bool began; /* a byte of the request was seen */
    size_t head_bytes;
};

enum http_read {
    HTTP_READ_MORE,    /* all bytes were taken */
    HTTP_READ_DONE,    /* the request ends with the bytes that were taken */
    HTTP_READ_STOPPED, /* a call returned false */
    HTTP_READ_BAD,     /* not HTTP, or too large: `*status` and `err` say which */
};

void http_reader_init(struct http_reader *reader, const struct http_reader_calls *calls, void *arg);
void http_reader_fini(struct http_reader *reader);

/* Takes bytes; `*taken` says how many. */
enum http_read http_reader_take(struct http_reader *reader, struct str bytes, size_t *taken,
                                unsigned *status, struct error *err);

/* The next request follows. */
void http_reader_next(struct http_reader *reader);

/* Whether a Content-Type is of this type ("application/json"), whatever parameters follow. */
bool http_media_type_is(struct str content_type, const char *type);

/* The value of a name in a query, as it was sent; empty without. */
struct str http_query_find(struct str query, const char *name);
