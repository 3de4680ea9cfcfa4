/* HTTP requests out of bytes: heads, bodies, limits; in any pieces. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "ingest/http_reader.h"
#include "test.h"

/* What was read, in words. */
struct notes {
    struct buf text;
    bool stop_at_head;
    bool stop_at_body;
};

static bool on_head(const struct http_head *head, void *arg)
{
    struct notes *notes = arg;

    buf_printf(&notes->text, "%s %.*s?%.*s%s%s%s%s%s%s%s", http_method_str(head->method),
               STR_ARGS(head->path), STR_ARGS(head->query), head->is_chunked ? " chunked" : "",
               head->expects_continue ? " expects" : "", head->from_page ? " page" : "",
               head->keep_alive ? " keep" : "", head->encoding == HTTP_GZIP ? " gzip" : "",
               head->unknown_encoding ? " unknown" : "", head->unknown_transfer ? " transfer" : "");
    if (head->length > 0)
        buf_printf(&notes->text, " length=%llu", (unsigned long long)head->length);
    if (head->key.len > 0)
        buf_printf(&notes->text, " key=%.*s", STR_ARGS(head->key));
    if (head->bad_key)
        buf_text(&notes->text, " badkey");
    if (head->encoding == HTTP_SNAPPY)
        buf_text(&notes->text, " snappy");
    if (head->content_type.len > 0)
        buf_printf(&notes->text, " type=%.*s", STR_ARGS(head->content_type));
    if (head->authorization.len > 0)
        buf_printf(&notes->text, " auth=%.*s", STR_ARGS(head->authorization));
    if (head->twice != NULL)
        buf_printf(&notes->text, " twice=%s", head->twice);
    buf_char(&notes->text, '|');
    return !notes->stop_at_head;
}

static bool on_body(struct str bytes, void *arg)
{
    struct notes *notes = arg;
    buf_str(&notes->text, bytes);
    return !notes->stop_at_body;
}

static const struct http_reader_calls CALLS = {on_head, on_body};

/* Reads requests to the end of the bytes, each piece from memory of its own. `words`: also of what
 * is wrong. */
static char *read_with_words(struct str bytes, size_t piece, bool words)
{
    struct notes notes = {.stop_at_head = false};
    struct error err = ERROR_EMPTY;
    struct http_reader reader;
    unsigned status = 0;

    http_reader_init(&reader, &CALLS, &notes);
    for (size_t at = 0; at < bytes.len && status == 0;) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        char *copy = memory_copy(bytes.text + at, len);
        size_t taken = 0;
        switch (http_reader_take(&reader, (struct str){copy, len}, &taken, &status, &err)) {
        case HTTP_READ_DONE:
            buf_text(&notes.text, ".\n");
            http_reader_next(&reader);
            break;
        case HTTP_READ_BAD:
            buf_printf(&notes.text, "%u%s%s", status, words ? " " : "", words ? err.text : "");
            assert_true(err.text[0] != '\0');
            break;
        case HTTP_READ_STOPPED:
        case HTTP_READ_MORE:
            break;
        }
        free(copy);
        at += taken;
    }
    http_reader_fini(&reader);
    return buf_take_text(&notes.text);
}

static char *read_all(struct str bytes, size_t piece)
{
    return read_with_words(bytes, piece, false);
}

static void requests_are_read_in_any_pieces(void **state)
{
    static const struct {
        const char *bytes;
        const char *says;
    } cases[] = {
        {"GET /ping HTTP/1.1\r\nHost: k\r\n\r\n", "GET /ping? keep|.\n"},
        {"HEAD /ping?verbose=true HTTP/1.0\r\n\r\n", "HEAD /ping?verbose=true|.\n"},
        {"GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /ping? keep|.\n"},
        {"GET http://h:1/ping?a=b HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n",
         "GET /ping?a=b|.\n"},
        {"POST /write?db=x HTTP/1.1\r\nHost: k\r\nContent-Length: 5\r\n\r\na b=1",
         "POST /write?db=x keep length=5|a b=1.\n"},
        {"POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 2\r\n\r\nabPOST /x HTTP/1.1\r\nHost: k\r\n\r\n",
         "POST /write? keep length=2|ab.\nPOST /x? keep|.\n"},
        {"\r\n\r\nGET /a HTTP/1.1\r\nHost: k\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: k\r\n\r\n",
         "GET /a? keep|.\nGET /b? keep|.\n"},
        {"POST /write HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n"
         "Idempotency-Key: late\r\n\r\n",
         "POST /write? chunked keep|abc.\n"},
        {"POST /write HTTP/1.1\r\nHost: k\r\nEXPECT: 100-Continue\r\nContent-encoding: GZIP\r\n"
         "idempotency-key:  a-1 \r\nOrigin: http://x\r\nX-Other: y\r\nContent-Length: 1\r\n\r\nx",
         "POST /write? expects page keep gzip length=1 key=a-1|x.\n"},
        {"POST /w HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
         "POST /w? length=1|x.\n"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nContent-Encoding: br\r\n\r\n",
         "POST /w? keep unknown|.\n"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nContent-Encoding: Snappy\r\n\r\n",
         "POST /w? keep snappy|.\n"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nContent-Encoding: snappy\r\nContent-Encoding: gzip\r\n\r\n",
         "POST /w? keep unknown snappy|.\n"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nContent-Type: application/x-protobuf;proto=a\r\n"
         "authorization:  Token T \r\n\r\nPOST /x HTTP/1.1\r\nHost: k\r\n\r\n",
         "POST /w? keep type=application/x-protobuf;proto=a auth=Token T|.\nPOST /x? keep|.\n"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nContent-Type: a\r\nContent-Type: b\r\n\r\n",
         "POST /w? keep type=a twice=Content-Type|.\n"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nAuthorization: a\r\nAuthorization: a\r\n\r\n",
         "POST /w? keep auth=a twice=Authorization|.\n"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nAuthorization: \r\nContent-Type:\r\n\r\n",
         "POST /w? keep|.\n"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
         "POST /w? chunked keep transfer|x.\n"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
         "POST /w? chunked keep|x.\n"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nContent-Encoding: gzip, gzip\r\n\r\n",
         "POST /w? keep unknown|.\n"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nContent-Encoding: identity\r\n\r\n", "POST /w? keep|.\n"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nIdempotency-Key:\r\n\r\n", "POST /w? keep badkey|.\n"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nIdempotency-Key: a\r\nIdempotency-Key: a\r\n\r\n",
         "POST /w? keep key=a badkey|.\n"},
        {"GET /x HTTP/1.1\r\nHost: k\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nGET /y HTTP/1.1\r\nHost: k\r\n\r\n",
         "GET /x? keep|.\nGET /y? keep|.\n"},
        /* what is not HTTP */
        {"cpu user=1\n", "400"},
        {"\x16\x03\x01\x02", "400"},
        {"GET /\x01 HTTP/1.1\r\nHost: k\r\n\r\n", "400"},
        {"GET / HTTP/3.0\r\n\r\n", "505"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "400"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nContent-Length: -1\r\n\r\n", "400"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nContent-Length : 1\r\n\r\nx", "400"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nContent-Length: 99999999999999999999\r\n\r\n", "400"},
        {"POST /w HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
         "POST /w? chunked keep|400"},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct str bytes = str_of(cases[i].bytes);
        for (size_t piece = 1; piece <= bytes.len; piece++) {
            char *says = read_all(bytes, piece);
            if (strcmp(says, cases[i].says) != 0)
                fail_msg("'%s' in pieces of %zu says '%s', not '%s'", cases[i].bytes, piece, says,
                         cases[i].says);
            free(says);
        }
    }
}

/* RFC 9112, 3.2. */
static void a_request_has_one_host_unless_it_is_of_http_1_0(void **state)
{
    static const struct {
        const char *bytes;
        const char *says;
    } cases[] = {
        {"GET /x HTTP/1.1\r\n\r\n", "400 the header Host is missing"},
        {"GET http://h/x HTTP/1.1\r\nHosts: h\r\n\r\n", "400 the header Host is missing"},
        {"GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 the header Host is given twice"},
        {"GET /x HTTP/1.0\r\nhost: a\r\nA: b\r\nHOST: b\r\n\r\n",
         "400 the header Host is given twice"},
        {"GET /x HTTP/1.1\r\nHOST: a\r\n\r\nGET /y HTTP/1.1\r\n\r\n",
         "GET /x? keep|.\n400 the header Host is missing"},
        {"GET /x HTTP/1.1\r\nhost:\r\n\r\n", "GET /x? keep|.\n"}, /* there may be none to say */
        {"GET /x HTTP/1.0\r\n\r\n", "GET /x?|.\n"},
        {"POST /w HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n",
         "POST /w? chunked keep|.\n"}, /* what follows a body is no head */
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct str bytes = str_of(cases[i].bytes);
        for (size_t piece = 1; piece <= bytes.len; piece++) {
            char *says = read_with_words(bytes, piece, true);
            if (strcmp(says, cases[i].says) != 0)
                fail_msg("'%s' in pieces of %zu says '%s', not '%s'", cases[i].bytes, piece, says,
                         cases[i].says);
            free(says);
        }
    }
}

static void a_head_has_a_limit(void **state)
{
    struct buf bytes = BUF_EMPTY;
    (void)state;

    for (int over = 0; over <= 1; over++) {
        buf_clear(&bytes);
        buf_text(&bytes, "GET /x HTTP/1.1\r\nHost: k\r\nA: ");
        while (bytes.len < (size_t)HTTP_HEAD_MAX + (over == 1) - 4)
            buf_char(&bytes, 'a');
        buf_text(&bytes, "\r\n\r\n");
        for (size_t piece = 1; piece <= bytes.len; piece = piece * 3 + 1) {
            char *says = read_all(buf_view(&bytes), piece);
            assert_string_equal(says, over == 1 ? "431" : "GET /x? keep|.\n");
            free(says);
        }
    }
    buf_fini(&bytes);
}

static void an_idempotency_key_has_a_limit(void **state)
{
    char bytes[600];
    (void)state;

    for (int len = HTTP_KEY_MAX; len <= HTTP_KEY_MAX + 1; len++) {
        (void)snprintf(bytes, sizeof bytes,
                       "POST /w HTTP/1.1\r\nHost: k\r\nIdempotency-Key: %0*d\r\n\r\n", len, 0);
        char *says = read_all(str_of(bytes), 100);
        assert_true((strstr(says, "badkey") != NULL) == (len > HTTP_KEY_MAX));
        free(says);
    }
}

/* What is compared has to be all of it. */
static void a_header_that_is_cut_is_not_taken_for_its_beginning(void **state)
{
    static const struct {
        const char *header;
        const char *says;
    } cases[] = {{"Idempotency-Key: a", "badkey"}, {"Content-Encoding: gzip", "unknown"}};
    char bytes[1000];
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        (void)snprintf(bytes, sizeof bytes, "POST /w HTTP/1.1\r\nHost: k\r\n%s%*s\r\n\r\n",
                       cases[i].header, HTTP_HEADER_MAX, "b");
        char *says = read_all(str_of(bytes), 100);
        if (strstr(says, cases[i].says) == NULL)
            fail_msg("'%s' says '%s'", cases[i].header, says);
        free(says);
    }
}

static void the_heads_of_chunks_have_a_limit_and_their_own_words(void **state)
{
    struct notes notes = {.stop_at_head = false};
    struct http_reader reader;
    struct error err = ERROR_EMPTY;
    struct buf bytes = BUF_EMPTY;
    unsigned status = 0;
    size_t taken = 0;
    (void)state;

    buf_text(&bytes, "POST /w HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n1;");
    while (bytes.len < 1000000)
        buf_char(&bytes, 'a');
    http_reader_init(&reader, &CALLS, &notes);
    assert_int_equal(http_reader_take(&reader, buf_view(&bytes), &taken, &status, &err),
                     HTTP_READ_BAD);
    assert_int_equal(status, 431);
    assert_non_null(strstr(err.text, "chunk"));
    http_reader_fini(&reader);
    buf_fini(&notes.text);
    buf_fini(&bytes);
}

static void a_call_that_says_no_stops_the_reader(void **state)
{
    struct str bytes = STR("POST /w HTTP/1.1\r\nHost: k\r\nContent-Length: 9\r\n\r\nabcdefghi");
    struct error err = ERROR_EMPTY;
    (void)state;

    for (int at_body = 0; at_body <= 1; at_body++) {
        struct notes notes = {.stop_at_head = at_body == 0, .stop_at_body = at_body == 1};
        struct http_reader reader;
        unsigned status = 0;
        size_t taken = 0;
        http_reader_init(&reader, &CALLS, &notes);
        assert_int_equal(http_reader_take(&reader, bytes, &taken, &status, &err),
                         HTTP_READ_STOPPED);
        assert_true(taken <= bytes.len);
        http_reader_fini(&reader);
        buf_fini(&notes.text);
    }
}

static void a_query_is_searched_for_whole_names(void **state)
{
    struct str query = STR("db=x&precision=ms&xprecision=s&flag&empty=");
    (void)state;

    assert_true(str_is(http_query_find(query, "precision"), "ms"));
    assert_true(str_is(http_query_find(query, "db"), "x"));
    assert_int_equal(http_query_find(query, "flag").len, 0);
    assert_int_equal(http_query_find(query, "empty").len, 0);
    assert_int_equal(http_query_find(query, "recision").len, 0);
    assert_int_equal(http_query_find(STR_EMPTY, "db").len, 0);
}

static void a_content_type_is_compared_without_its_parameters(void **state)
{
    static const struct {
        const char *content_type;
        bool is_json;
    } cases[] = {{"application/json", true},       {"Application/JSON; charset=utf-8", true},
                 {" application/json ;x", true},   {"application/jsonx", false},
                 {"text/application/json", false}, {"", false}};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_int_equal(http_media_type_is(str_of(cases[i].content_type), "application/json"),
                         cases[i].is_json);
}

/* What a header may make kpid keep. */
static void long_headers_are_cut(void **state)
{
    struct buf bytes = BUF_EMPTY;
    (void)state;

    buf_text(&bytes, "POST /w HTTP/1.1\r\nHost: k\r\nAuthorization: ");
    for (int i = 0; i < 3 * HTTP_HEADER_MAX; i++)
        buf_char(&bytes, 'x');
    buf_text(&bytes, "\r\n\r\n");
    char *notes = read_all(buf_view(&bytes), 100);
    assert_int_equal(strlen(notes), strlen("POST /w? keep auth=|.\n") + HTTP_HEADER_MAX);
    free(notes);
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_content_type_is_compared_without_its_parameters),
        cmocka_unit_test(long_headers_are_cut),
        cmocka_unit_test(requests_are_read_in_any_pieces),
        cmocka_unit_test(a_request_has_one_host_unless_it_is_of_http_1_0),
        cmocka_unit_test(a_head_has_a_limit),
        cmocka_unit_test(an_idempotency_key_has_a_limit),
        cmocka_unit_test(a_header_that_is_cut_is_not_taken_for_its_beginning),
        cmocka_unit_test(the_heads_of_chunks_have_a_limit_and_their_own_words),
        cmocka_unit_test(a_call_that_says_no_stops_the_reader),
        cmocka_unit_test(a_query_is_searched_for_whole_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
