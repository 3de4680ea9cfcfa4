/* Any bytes on an HTTP socket of ingest: requests are read within their limits, the same in any
 * pieces, and their bodies, packed or not, never become more than the limit; forms of /query are
 * answered, and what was kept of an answer is read or refused. */
#include <stdlib.h>
#include <string.h>

#include "ingest/http_answer.h"
#include "ingest/http_query.h"
#include "ingest/http_reader.h"
#include "ingest/http_route.h"

enum { BODY_MAX = 20000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What was read of one run. */
struct run {
    struct buf notes;
    struct http_body *body;
    size_t length;
};

static bool on_bytes(struct str bytes, void *arg, struct error *err)
{
    struct run *run = arg;
    (void)err;
    run->length += bytes.len;
    return true;
}

static bool on_head(const struct http_head *head, void *arg)
{
    struct run *run = arg;

    require(head->key.len <= HTTP_KEY_MAX && head->path.len <= HTTP_HEAD_MAX);
    require(head->content_type.len <= HTTP_HEADER_MAX &&
            head->authorization.len <= HTTP_HEADER_MAX);
    for (int protocol = 0; protocol < PROTOCOL_COUNT; protocol++) {
        struct http_answer answer = HTTP_ANSWER_EMPTY;
        const struct http_route *route = http_route_find((enum protocol)protocol, head, &answer);
        require((route == NULL) == (answer.status != 0));
        http_answer_fini(&answer);
    }
    buf_printf(&run->notes, "%d %.*s %.*s %.*s %llu %d;", (int)head->method, STR_ARGS(head->path),
               STR_ARGS(http_query_find(head->query, "precision")), STR_ARGS(head->key),
               (unsigned long long)head->length, head->keep_alive);
    http_body_free(run->body);
    run->body = http_body_new(head->encoding, BODY_MAX, head->key.len > 0);
    run->length = 0;
    return !head->unknown_encoding && !head->unknown_transfer;
}

static bool on_body(struct str bytes, void *arg)
{
    struct run *run = arg;
    struct error err = ERROR_EMPTY;

    require(bytes.len > 0);
    bool ok = http_body_take(run->body, bytes, on_bytes, run, &err);
    require(run->length <= BODY_MAX);
    require(ok ? run->length == http_body_length(run->body) : err.text[0] != '\0');
    return ok;
}

static void read_all(struct run *run, struct str bytes, size_t piece)
{
    static const struct http_reader_calls calls = {on_head, on_body};
    struct http_reader reader;
    struct error err = ERROR_EMPTY;
    enum http_read read = HTTP_READ_MORE;
    unsigned status = 0;

    http_reader_init(&reader, &calls, run);
    for (size_t at = 0; at < bytes.len && (read == HTTP_READ_MORE || read == HTTP_READ_DONE);) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        size_t taken = 0;
        read = http_reader_take(&reader, (struct str){bytes.text + at, len}, &taken, &status, &err);
        require(taken <= len && (taken == len || read != HTTP_READ_MORE));
        at += taken;
        if (read == HTTP_READ_DONE) {
            bool ok = http_body_end(run->body, on_bytes, run, &err);
            require(run->length <= BODY_MAX);
            buf_printf(&run->notes, "done %zu %d;", run->length, ok);
            http_reader_next(&reader);
        }
    }
    if (read == HTTP_READ_BAD) {
        require(status >= 400 && status < 600 && err.text[0] != '\0');
        buf_printf(&run->notes, "bad %u", status);
    }
    http_reader_fini(&reader);
    http_body_free(run->body);
    run->body = NULL;
}

/* A form, a query, a name. */
static void ask(struct str bytes)
{
    static struct http_databases databases; /* fills up */
    struct http_answer answer = HTTP_ANSWER_EMPTY;

    http_query_answer(&databases, STR_EMPTY, bytes, &answer);
    require(answer.status == 200 || answer.status == 400);
    require(answer.body.len > 0 && answer.body.bytes[answer.body.len - 1] == '\n');
    require(answer.body.len < (size_t)DATABASES_MAX * (6 * DATABASE_NAME_MAX + 4) + 200);
    http_databases_add_written(&databases, bytes);
    http_answer_fini(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run whole = {.body = NULL};
    struct run pieces = {.body = NULL};
    struct http_answer answer = HTTP_ANSWER_EMPTY;
    if (size < 1)
        return 0;
    struct str bytes = {(const char *)data + 1, size - 1};

    read_all(&whole, bytes, bytes.len + 1);
    read_all(&pieces, bytes, (size_t)data[0] % 64 + 1);
    require(str_equal(buf_view(&whole.notes), buf_view(&pieces.notes)));
    buf_fini(&whole.notes);
    buf_fini(&pieces.notes);
    if (http_answer_decode(bytes, &answer)) /* what is kept with a key comes from a disk */
        require(answer.status >= 200 && answer.dialect < HTTP_DIALECT_COUNT);
    http_answer_fini(&answer);
    ask(bytes);
    return 0;
}
