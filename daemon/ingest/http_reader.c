#include "ingest/http_reader.h"

#include <string.h>
#include <strings.h>

/* --- the head ---------------------------------------------------------------------------------
 */

static struct http_reader *reader_of_parser(const http_parser *parser)
{
    return parser->data;
}

static void lower_case(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] - 'A' + 'a');
    }
}

static void read_key(struct http_reader *reader, struct str value)
{
    struct http_head *head = &reader->head;

    if (value.len == 0 || value.len > HTTP_KEY_MAX || reader->key.len > 0 || head->bad_key) {
        head->bad_key = true;
        return;
    }
    buf_str(&reader->key, value);
}

/* Kept until the head is complete; an empty one is none. */
static void read_once(struct http_head *head, struct buf *into, const char *name, struct str value)
{
    if (into->len > 0)
        head->twice = name;
    else
        buf_str(into, value);
}

static void read_encoding(struct http_head *head, char *text, size_t len)
{
    struct str value = {text, len};

    lower_case(text, len);
    if (len == 0 || str_is(value, "identity"))
        return;
    bool is_second = head->encoding != HTTP_IDENTITY;
    if (!is_second && (str_is(value, "gzip") || str_is(value, "x-gzip")))
        head->encoding = HTTP_GZIP;
    else if (!is_second && str_is(value, "snappy"))
        head->encoding = HTTP_SNAPPY;
    else
        head->unknown_encoding = true;
}

/* One header is complete; what filled its room is cut, and no value that is known. */
static void read_header(struct http_reader *reader)
{
    struct http_head *head = &reader->head;
    struct str name = {reader->name, reader->name_len};
    struct str value = {reader->value, reader->value_len};

    if (!reader->in_value || reader->head_done)
        return;
    reader->in_value = false;
    reader->name_len = 0;
    reader->value_len = 0;
    if (value.len < sizeof reader->value)
        value = str_trim(value);
    if (str_is(name, "content-encoding")) {
        read_encoding(head, reader->value + (value.text - reader->value), value.len);
    } else if (str_is(name, "transfer-encoding")) {
        lower_case(reader->value, sizeof reader->value);
        head->unknown_transfer = head->unknown_transfer || !str_is(value, "chunked");
    } else if (str_is(name, "expect")) {
        lower_case(reader->value, sizeof reader->value);
        head->expects_continue = str_is(value, "100-continue");
    } else if (str_is(name, "origin")) {
        head->from_page = true;
    } else if (str_is(name, "content-type")) {
        read_once(head, &reader->content_type, "Content-Type", value);
    } else if (str_is(name, "authorization")) {
        read_once(head, &reader->authorization, "Authorization", value);
    } else if (str_is(name, "idempotency-key")) {
        read_key(reader, value);
    } else if (str_is(name, "host")) {
        reader->hosts++;
    }
}

/* RFC 9112, 3.2: who reads another one than we do, or none, sends it elsewhere. */
static bool has_good_host(const struct http_reader *reader)
{
    return reader->hosts == 1 || (reader->hosts == 0 && reader->parser.http_minor == 0);
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    buf_append(&reader_of_parser(parser)->target, at, len);
    return 0;
}

/* What is longer than there is room for is longer than anything that is looked for. */
static void append(char *into, size_t *into_len, size_t size, const char *at, size_t len)
{
    size_t room = size - *into_len;
    len = len < room ? len : room;
    memcpy(into + *into_len, at, len);
    *into_len += len;
}

static int on_header_field(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *reader = reader_of_parser(parser);

    read_header(reader);
    if (reader->head_done) /* trailers */
        return 0;
    /* RFC 9112, 5.1: before the colon is no blank; one who reads on sees another header there. */
    if (memchr(at, ' ', len) != NULL)
        return -1;
    size_t before = reader->name_len;
    append(reader->name, &reader->name_len, sizeof reader->name, at, len);
    lower_case(reader->name + before, reader->name_len - before);
    return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *reader = reader_of_parser(parser);

    if (reader->head_done)
        return 0;
    reader->in_value = true;
    append(reader->value, &reader->value_len, sizeof reader->value, at, len);
    return 0;
}

static struct str part_of(const struct http_reader *reader, const struct http_parser_url *url,
                          enum http_parser_url_fields field)
{
    if ((url->field_set & 1U << field) == 0)
        return STR_EMPTY;
    return (struct str){reader->target.bytes + url->field_data[field].off,
                        url->field_data[field].len};
}

static void read_target(struct http_reader *reader)
{
    struct http_parser_url url;

    http_parser_url_init(&url);
    if (reader->target.len == 0 ||
        http_parser_parse_url(reader->target.bytes, reader->target.len,
                              reader->parser.method == HTTP_CONNECT, &url) != 0)
        return; /* a path that nobody has */
    reader->head.path = part_of(reader, &url, UF_PATH);
    reader->head.query = part_of(reader, &url, UF_QUERY);
}

static int on_headers_complete(http_parser *parser)
{
    struct http_reader *reader = reader_of_parser(parser);
    struct http_head *head = &reader->head;

    if (parser->http_major != 1)
        return -1;
    read_header(reader);
    if (!has_good_host(reader))
        return -1;
    reader->head_done = true;
    parser->upgrade = 0; /* nothing else is spoken here, so the request is answered as it is */
    read_target(reader);
    head->method = (enum http_method)parser->method;
    head->expects_continue = head->expects_continue && parser->http_minor > 0;
    head->is_chunked = (parser->flags & F_CHUNKED) != 0;
    head->length = (parser->flags & F_CONTENTLENGTH) != 0 ? parser->content_length : 0;
    head->keep_alive = http_should_keep_alive(parser) != 0;
    head->key = buf_view(&reader->key);
    head->content_type = buf_view(&reader->content_type);
    head->authorization = buf_view(&reader->authorization);
    return reader->calls->on_head(head, reader->arg) ? 0 : -1;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *reader = reader_of_parser(parser);
    return reader->calls->on_body((struct str){at, len}, reader->arg) ? 0 : -1;
}

static int on_message_complete(http_parser *parser)
{
    http_parser_pause(parser, 1);
    return 0;
}

/* --- the reader -------------------------------------------------------------------------------
 */

void http_reader_init(struct http_reader *reader, const struct http_reader_calls *calls, void *arg)
{
    memset(reader, 0, sizeof *reader);
    reader->calls = calls;
    reader->arg = arg;
    http_parser_init(&reader->parser, HTTP_REQUEST);
    reader->parser.data = reader;
}

void http_reader_fini(struct http_reader *reader)
{
    buf_fini(&reader->target);
    buf_fini(&reader->key);
    buf_fini(&reader->content_type);
    buf_fini(&reader->authorization);
}

void http_reader_next(struct http_reader *reader)
{
    http_parser_pause(&reader->parser, 0);
    buf_clear(&reader->target);
    buf_clear(&reader->key);
    buf_clear(&reader->content_type);
    buf_clear(&reader->authorization);
    reader->head = (struct http_head){.method = HTTP_GET};
    reader->name_len = 0;
    reader->value_len = 0;
    reader->hosts = 0;
    reader->in_value = false;
    reader->head_done = false;
    reader->began = false;
    reader->head_bytes = 0;
}

static enum http_read bad_head(const struct http_reader *reader, unsigned *status,
                               struct error *err)
{
    *status = 431;
    if (reader->head_done)
        (void)error_set(err, ERROR_INVALID,
                        "the head of a chunk, or what follows the last, is too "
                        "large");
    else
        (void)error_set(err, ERROR_INVALID, "the head of the request is larger than %d bytes",
                        HTTP_HEAD_MAX);
    return HTTP_READ_BAD;
}

static enum http_read bad_version(unsigned *status, struct error *err)
{
    *status = 505;
    (void)error_set(err, ERROR_INVALID, "HTTP/1.0 and HTTP/1.1 are spoken here");
    return HTTP_READ_BAD;
}

static enum http_read bad_host(const struct http_reader *reader, unsigned *status,
                               struct error *err)
{
    *status = 400;
    (void)error_set(err, ERROR_INVALID, "%s",
                    reader->hosts == 0 ? "the header Host is missing"
                                       : "the header Host is given twice");
    return HTTP_READ_BAD;
}

static enum http_read explain(const struct http_reader *reader, unsigned *status, struct error *err)
{
    enum http_errno why = HTTP_PARSER_ERRNO(&reader->parser);

    switch (why) {
    case HPE_PAUSED:
        return HTTP_READ_DONE;
    case HPE_CB_headers_complete:
        if (reader->parser.http_major != 1)
            return bad_version(status, err);
        return has_good_host(reader) ? HTTP_READ_STOPPED : bad_host(reader, status, err);
    case HPE_CB_body:
        return HTTP_READ_STOPPED;
    case HPE_HEADER_OVERFLOW:
        return bad_head(reader, status, err);
    case HPE_CB_header_field:
        *status = 400;
        (void)error_set(err, ERROR_INVALID, "the name of a header has a blank in it");
        return HTTP_READ_BAD;
    case HPE_INVALID_VERSION:
        return bad_version(status, err);
    default:
        *status = 400;
        (void)error_set(err, ERROR_INVALID, "this is not an HTTP request: %s",
                        http_errno_description(why));
        return HTTP_READ_BAD;
    }
}

enum http_read http_reader_take(struct http_reader *reader, struct str bytes, size_t *taken,
                                unsigned *status, struct error *err)
{
    static const http_parser_settings settings = {.on_url = on_url,
                                                  .on_header_field = on_header_field,
                                                  .on_header_value = on_header_value,
                                                  .on_headers_complete = on_headers_complete,
                                                  .on_body = on_body,
                                                  .on_message_complete = on_message_complete};

    *taken = 0;
    /* Some clients send an empty line after a body; it begins no request. */
    while (!reader->began && *taken < bytes.len &&
           (bytes.text[*taken] == '\r' || bytes.text[*taken] == '\n'))
        (*taken)++;
    while (*taken < bytes.len) {
        const char *at = bytes.text + *taken;
        size_t len = bytes.len - *taken;
        bool in_head = !reader->head_done;
        if (in_head && len > HTTP_HEAD_MAX - reader->head_bytes)
            len = HTTP_HEAD_MAX - reader->head_bytes;
        if (len == 0)
            return bad_head(reader, status, err);
        reader->began = true;
        size_t done = http_parser_execute(&reader->parser, &settings, at, len);
        *taken += done;
        if (HTTP_PARSER_ERRNO(&reader->parser) != HPE_OK)
            return explain(reader, status, err);
        if (in_head)
            reader->head_bytes += done;
    }
    return HTTP_READ_MORE;
}

bool http_media_type_is(struct str content_type, const char *type)
{
    struct str own = str_trim(str_split(&content_type, ';'));
    return own.len == strlen(type) && strncasecmp(own.text, type, own.len) == 0;
}

struct str http_query_find(struct str query, const char *name)
{
    while (query.len > 0) {
        struct str value = str_split(&query, '&');
        struct str key = str_split(&value, '=');
        if (str_is(key, name))
            return value;
    }
    return STR_EMPTY;
}
