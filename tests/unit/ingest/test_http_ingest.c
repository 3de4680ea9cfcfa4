/* HTTP ingest over real sockets: what is answered when, and what the sink gets (I20 to I29). */
#include <stdio.h>
#include <zlib.h>

#include "answer_scene.h"
#include "base/memory.h"

enum { BODY_MAX = 100000 };

static int setup(void **state)
{
    const struct listener_config listener = {.protocol = PROTOCOL_INFLUX,
                                             .transport = TRANSPORT_HTTP,
                                             .address = "127.0.0.1:0",
                                             .name = "influx http"};
    (void)state;
    scene_init(&listener);
    scene.config.body_bytes_max = BODY_MAX;
    return 0;
}

/* --- a client ---------------------------------------------------------------------------------
 */

struct response {
    unsigned status; /* 0: the connection ended instead */
    char text[8192]; /* head and body */
    const char *body;
};

static size_t read_some(int fd, char *out, size_t room)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    assert_int_equal(poll(&wait, 1, PATIENCE_S * 1000), 1);
    ssize_t got = recv(fd, out, room, 0);
    return got > 0 ? (size_t)got : 0;
}

/* Reads byte by byte, so that nothing of the next response is taken. */
static struct response read_response(int fd, bool is_head)
{
    struct response response = {.status = 0};
    size_t len = 0;
    uint64_t status = 0;
    uint64_t length = 0;

    while (len < 4 || memcmp(response.text + len - 4, "\r\n\r\n", 4) != 0) {
        assert_true(len < sizeof response.text - 1);
        if (read_some(fd, response.text + len, 1) == 0)
            return response;
        len++;
    }
    assert_memory_equal(response.text, "HTTP/1.1 ", 9);
    assert_true(str_parse_u64((struct str){response.text + 9, 3}, &status));
    const char *field = strstr(response.text, "Content-Length: ");
    if (field != NULL && !is_head) {
        struct str rest = str_of(field + 16);
        assert_true(str_parse_u64(str_split(&rest, '\r'), &length));
    }
    response.body = response.text + len;
    for (size_t end = len + length; len < end; len++)
        assert_int_equal(read_some(fd, response.text + len, 1), 1);
    response.status = (unsigned)status;
    return response;
}

static struct response ask_bytes(const char *bytes, size_t len)
{
    int fd = dial(scene.listen);
    say_bytes(fd, bytes, len);
    struct response response = read_response(fd, strncmp(bytes, "HEAD", 4) == 0);
    (void)close(fd);
    return response;
}

static struct response ask(const char *text)
{
    return ask_bytes(text, strlen(text));
}

/* A POST of `body` with further header lines. */
static char *post_of(const char *target, const char *headers, const char *body)
{
    struct buf out = BUF_EMPTY;
    buf_printf(&out, "POST %s HTTP/1.1\r\nHost: k\r\n%sContent-Length: %zu\r\n\r\n%s", target,
               headers, strlen(body), body);
    return buf_take_text(&out);
}

static struct response write_lines(const char *headers, const char *lines)
{
    char *text = post_of("/write?db=x&u=ann&p=secret&rp=r", headers, lines);
    struct response response = ask(text);
    free(text);
    return response;
}

static bool says(const struct response *response, const char *text)
{
    return strstr(response->text, text) != NULL;
}

/* --- answers ----------------------------------------------------------------------------------
 */

/* Clients that were set up for InfluxDB send what they have; it is asked for nowhere here. */
static void credentials_of_any_form_are_taken(void **state) /* I25 */
{
    static const struct {
        const char *target;
        const char *headers;
    } cases[] = {
        {"/write?u=ann&p=secret&db=x", ""},
        {"/write?db=x", "Authorization: Basic YW5uOnNlY3JldA==\r\n"},
        {"/write?db=x", "Authorization: Token ann:secret\r\n"},
        {"/write?db=x", "Authorization: Bearer abc\r\n"},
        {"/api/v2/write?bucket=x/y&org=o", "Authorization: Token abc\r\n"},
    };
    (void)state;
    start();

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char *text = post_of(cases[i].target, cases[i].headers, "m f=1");
        assert_int_equal(ask(text).status, 204);
        free(text);
    }
    assert_true(collector_get(scene.collector, "m_f").sum == (double)TEST_COUNT(cases));
}

static void a_write_is_answered_when_it_is_stored(void **state) /* I22 */
{
    (void)state;
    start();
    set_mode(HOLD);
    int fd = dial(scene.listen);
    say(fd, "POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 7\r\n\r\nm f=1.5");
    wait_posted(1);
    struct listener_facts facts = facts_of(scene.ingest, 0);
    assert_int_equal(facts.received - facts.handed_over, 1); /* pending */
    char byte = 0;
    assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
    release_all(STORE);
    struct response response = read_response(fd, false);
    assert_int_equal(response.status, 204);
    assert_true(says(&response, "X-Influxdb-Version: "));
    assert_true(says(&response, "Request-Id: "));
    assert_true(says(&response, "Date: "));
    assert_false(says(&response, "Content-Length"));
    assert_true(collector_get(scene.collector, "m_f").sum == 1.5);
    facts = facts_of(scene.ingest, 0);
    assert_int_equal(facts.received, facts.handed_over);
    (void)close(fd);
}

static void requests_have_answers_with_words(void **state)
{
    static const struct {
        const char *request;
        unsigned status;
        const char *says;
    } cases[] = {
        {"GET /ping HTTP/1.1\r\nHost: k\r\n\r\n", 204, "X-Influxdb-Version"}, /* I27 */
        {"HEAD /ping HTTP/1.0\r\n\r\n", 204, "Connection: close"},
        {"GET /ping?verbose=true HTTP/1.1\r\nHost: k\r\n\r\n", 200, "{\"version\":"},
        {"HEAD /ping?verbose=true HTTP/1.1\r\nHost: k\r\n\r\n", 200, "Content-Length: 28"},
        {"GET /health HTTP/1.1\r\nHost: k\r\n\r\n", 200, "\"status\":\"pass\""}, /* I29 */
        {"OPTIONS /write HTTP/1.1\r\nHost: k\r\n\r\n", 204, "Allow: POST, OPTIONS"},
        {"POST /ping HTTP/1.1\r\nHost: k\r\nContent-Length: 0\r\n\r\n", 405,
         "Allow: GET, HEAD, OPTIONS"},
        {"GET /write HTTP/1.1\r\nHost: k\r\n\r\n", 405, "{\"error\":\"/write is not for GET\"}"},
        {"HEAD /write HTTP/1.1\r\nHost: k\r\n\r\n", 405, "Allow: POST"},
        {"DELETE /api/v2/write HTTP/1.1\r\nHost: k\r\n\r\n", 405,
         "{\"code\":\"method not allowed\",\"message\""},
        {"GET / HTTP/1.1\r\nHost: k\r\n\r\n", 404, "nothing is at '/'"},
        {"POST /quarry HTTP/1.1\r\nHost: k\r\nContent-Length: 100\r\n\r\n", 404,
         "Connection: close"},
        {"POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 0\r\n\r\n", 204, "keep-alive"},
        {"POST /write HTTP/1.0\r\n\r\n", 204, "Connection: close"},
        {"POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 2\r\n\r\n#\n", 204, "keep-alive"},
        {"POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 3\r\n\r\nm f", 400,
         "X-Influxdb-Error: unable to parse 'm f': missing field value"}, /* I23 */
        {"POST /api/v2/write HTTP/1.1\r\nHost: k\r\nContent-Length: 3\r\n\r\nm f", 400,
         "{\"code\":\"invalid\",\"message\":\"unable to parse 'm f'"}, /* I21 */
        {"POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 9\r\n\r\nm f=1\nm f", 400,
         "{\"error\":\"partial write: unable to parse 'm f': missing field value (line 2) "
         "dropped=1\""}, /* I24 */
        {"POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 100001\r\n\r\n", 413,
         "larger than 100000"}, /* I26 */
        {"POST /write HTTP/1.1\r\nHost: k\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\n",
         415, "gzip"},
        {"POST /write HTTP/1.1\r\nHost: k\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
         400, "not gzip"},
        {"POST /write HTTP/1.1\r\nHost: k\r\nOrigin: http://x\r\nContent-Length: 5\r\n\r\nm f=1",
         403, "page"},
        {"POST /write HTTP/1.1\r\nHost: k\r\nIdempotency-Key: \r\nContent-Length: 5\r\n\r\nm f=1",
         400, "1 to"},
        {"POST /write HTTP/1.1\r\nHost: k\r\nContent-Encoding: snappy\r\nContent-Length: 1\r\n\r\n",
         415, "\"the Content-Encoding is not gzip or identity\""},
        {"POST /write HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
         415, "\"the Transfer-Encoding is not chunked\""},
        {"POST /query HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
         415, "the Transfer-Encoding is not chunked"},
        {"POST /write HTTP/1.1\r\nHost: k\r\nAuthorization: Token a\r\nAuthorization: Token b\r\n"
         "Content-Length: 5\r\n\r\nm f=1",
         400, "Authorization is given twice"},
        {"GET /query?q=SHOW+DATABASES HTTP/1.1\r\nHost: k\r\n\r\n", 200,
         "{\"results\":[{"}, /* I28 */
        {"POST /query HTTP/1.1\r\nHost: k\r\nContent-Length: 28\r\n\r\nq=CREATE+DATABASE+%22tick%22",
         200, "{\"results\":[]}"},
        {"POST /query HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n"
         "9\r\nq=SHOW+DA\r\n7\r\nTABASES\r\n0\r\n\r\n",
         200, "[\"tick\"]"},
        {"POST /query HTTP/1.1\r\nHost: k\r\nContent-Length: 16385\r\n\r\n", 413,
         "larger than 16384"},
        {"POST /query HTTP/1.1\r\nHost: k\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nq=abc",
         415, "no Content-Encoding"},
        {"POST /query HTTP/1.1\r\nHost: k\r\nOrigin: http://x\r\nContent-Length: 5\r\n\r\nq=abc",
         403, "page"},
        {"GET /query HTTP/1.1\r\nHost: k\r\n\r\n", 400, "missing required parameter"},
        {"POST /api/v3/write_lp?db=x HTTP/1.1\r\nHost: k\r\nContent-Length: 5\r\n\r\nm f=1", 204,
         ""},
        {"garbage\r\n\r\n", 400, "this is not an HTTP request"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "not an HTTP request"},
        {"GET /ping HTTP/2.0\r\n\r\n", 505, "HTTP/1.1"},
    };
    (void)state;
    start();

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct response response = ask(cases[i].request);
        if (response.status != cases[i].status || !says(&response, cases[i].says))
            fail_msg("'%s' is answered by '%s'", cases[i].request, response.text);
    }
}

static void all_of_a_request_may_come_byte_by_byte(void **state)
{
    static const char text[] = "POST /write?precision=s HTTP/1.1\r\nHost: h\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n"
                               "5\r\nm,a=b\r\n8\r\n f=\"x\ny\"\r\n5\r\n,g=2i\r\n0\r\n\r\n";
    (void)state;
    start();

    for (size_t cut = 1; cut < sizeof text - 1; cut++) {
        int fd = dial(scene.listen);
        say_bytes(fd, text, cut);
        say_bytes(fd, text + cut, sizeof text - 1 - cut);
        assert_int_equal(read_response(fd, false).status, 204);
        (void)close(fd);
    }
    int fd = dial(scene.listen);
    for (size_t i = 0; i < sizeof text - 1; i++)
        say_bytes(fd, text + i, 1);
    assert_int_equal(read_response(fd, false).status, 204);
    (void)close(fd);
    assert_true(collector_get(scene.collector, "m_g").sum == 2.0 * (sizeof text - 1));
    struct ledger total = collector_total(scene.collector);
    assert_int_equal(total.dropped[DROP_string], sizeof text - 1);
}

static void requests_of_a_connection_are_answered_in_their_order(void **state)
{
    (void)state;
    start();
    int fd = dial(scene.listen);
    say(fd,
        "POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 5\r\n\r\nm f=1"
        "GET /ping HTTP/1.1\r\nHost: k\r\n\r\n\r\n"
        "POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 3\r\n\r\nm f"
        "POST /write HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nm f=2\r\n0\r\n\r\n"
        "GET /nope HTTP/1.1\r\nHost: k\r\n\r\n"
        "POST /write HTTP/1.1\r\nHost: k\r\nConnection: close\r\nContent-Length: 5\r\n\r\nm f=4"
        "GET /ping HTTP/1.1\r\nHost: k\r\n\r\n");
    const unsigned statuses[] = {204, 204, 400, 204, 404, 204};
    for (size_t i = 0; i < TEST_COUNT(statuses); i++)
        assert_int_equal(read_response(fd, false).status, statuses[i]);
    wait_until_closed(fd); /* what follows a close is not looked at */
    assert_true(collector_get(scene.collector, "m_f").sum == 7);
}

static void an_expected_continue_is_given_only_where_a_body_is_wanted(void **state)
{
    (void)state;
    start();
    int fd = dial(scene.listen);
    say(fd, "POST /write HTTP/1.1\r\nHost: k\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(read_response(fd, false).status, 100);
    say(fd, "m f=1");
    assert_int_equal(read_response(fd, false).status, 204);
    say(fd,
        "POST /write HTTP/1.1\r\nHost: k\r\nExpect: 100-continue\r\nContent-Length: 999999\r\n\r\n");
    assert_int_equal(read_response(fd, false).status, 413);
    wait_until_closed(fd);
}

/* A form that never ends is no more than its limit. */
static void a_form_has_a_limit_without_a_length_too(void **state)
{
    enum { CHUNK = 16 };
    struct buf form = BUF_EMPTY;
    (void)state;
    start();

    buf_text(&form, "POST /query HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i <= 16 * 1024 / CHUNK; i++)
        buf_text(&form, "10\r\nq=xxxxxxxxxxxxxx\r\n");
    struct response response = ask_bytes(form.bytes, form.len);
    assert_int_equal(response.status, 413);
    assert_true(says(&response, "Connection: close"));
    buf_fini(&form);
}

/* --- other protocols --------------------------------------------------------------------------
 */

#define PUSH         "{\"samples\":[{\"name\":\"a\",\"value\":1.5},{\"name\":\"a\",\"value\":\"2\"}]}"
#define PUSH_ONE(id) "{\"samples\":[{\"name\":\"a\",\"value\":1,\"id\":\"" id "\"}]}"

static struct response push(const char *headers, const char *body)
{
    char *text = post_of("/push", headers, body);
    struct response response = ask(text);
    free(text);
    return response;
}

static void a_json_push_is_stored_as_a_whole_or_not_at_all(void **state)
{
    (void)state;
    scene.listener.protocol = PROTOCOL_JSON;
    start();

    struct response response = push("", PUSH);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body, "{\"stored\":2}\n");
    assert_false(says(&response, "X-Influxdb"));
    assert_true(collector_get(scene.collector, "a").sum == 3.5);
    response = push("", "{\"samples\":[{\"name\":\"a\",\"value\":1},{\"name\":\"a\",\"valu\":1}]}");
    assert_int_equal(response.status, 400);
    assert_string_equal(response.body, "{\"error\":\"samples[1].valu: unknown key (did you mean "
                                       "'value'?)\"}\n");
    response = push("", "{\"samples\":[{\"name\":\"a\",\"value\":\"x\"}]}");
    assert_int_equal(response.status, 400);
    response = push("Content-Type: application/x-protobuf\r\n", PUSH);
    assert_int_equal(response.status, 415);
    collector_wait(scene.collector, 4);
    struct ledger total = collector_total(scene.collector);
    assert_int_equal(total.stored, 2);
    assert_int_equal(total.rejected[REJECT_malformed], 1);
    assert_int_equal(total.rejected[REJECT_bad_number], 1);
    assert_int_equal(collector_get(scene.collector, "a").count, 2);
}

static void a_json_push_has_a_key_or_an_id(void **state)
{
    (void)state;
    scene.listener.protocol = PROTOCOL_JSON;
    start();

    set_mode(REPEAT);
    assert_string_equal(push("", PUSH_ONE("7")).body, "{\"stored\":1}\n"); /* as then */
    (void)push("", PUSH_ONE("8"));
    (void)push("Idempotency-Key: 7\r\n", PUSH);
    (void)push("", PUSH);
    set_mode(CONFLICT);
    struct response response = push("", PUSH_ONE("7") " ");
    assert_int_equal(response.status, 422);
    assert_true(says(&response, "{\"error\":\"the id or Idempotency-Key came before"));
    set_mode(FAIL);
    response = push("", PUSH_ONE("7"));
    assert_int_equal(response.status, 503);
    assert_true(says(&response, "Retry-After: "));

    const struct delta_identity *ids = scene.identities;
    assert_int_equal(scene.posted, 6);
    assert_int_equal(ids[0].kind, IDENTITY_KEY);
    assert_int_equal(ids[3].kind, IDENTITY_NONE);
    assert_false(series_hash_equal(ids[0].name, ids[1].name));
    assert_false(series_hash_equal(ids[0].name, ids[2].name)); /* an id is no key */
    assert_true(series_hash_equal(ids[0].name, ids[4].name));
    assert_false(series_hash_equal(ids[0].body, ids[4].body));
    assert_true(series_hash_equal(ids[0].body, ids[5].body));
    assert_true(series_hash_equal(ids[0].body, series_key_hash(STR(PUSH_ONE("7")))));
}

/* What every format has from its connection. */
static void each_protocol_refuses_before_it_reads_a_body(void **state)
{
    static const struct {
        enum protocol protocol;
        const char *head; /* after the method */
        const char *says;
    } cases[] = {
        {PROTOCOL_INFLUX, " /write HTTP/1.1\r\nHost: k\r\n", "{\"error\":\""},
        {PROTOCOL_JSON, " /push HTTP/1.1\r\nHost: k\r\n", "{\"error\":\""},
        {PROTOCOL_PROMETHEUS,
         " /api/v1/write HTTP/1.1\r\nHost: k\r\nContent-Encoding: snappy\r\n"
         "Content-Type: application/x-protobuf\r\n",
         "X-Prometheus-Remote-Write-Samples-Written: 0"},
    };
    char request[1024];
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        scene.listener.protocol = cases[i].protocol;
        start();
        (void)snprintf(request, sizeof request,
                       "POST%sExpect: 100-continue\r\nContent-Length: 100001\r\n\r\n",
                       cases[i].head);
        struct response response = ask(request);
        assert_int_equal(response.status, 413);
        assert_true(says(&response, cases[i].says));
        collector_set_room(scene.collector, false);
        (void)snprintf(request, sizeof request,
                       "POST%sExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n", cases[i].head);
        response = ask(request);
        assert_int_equal(response.status, 503);
        assert_true(says(&response, cases[i].says));
        assert_true(says(&response, "Retry-After: "));
        collector_set_room(scene.collector, true);
        (void)snprintf(request, sizeof request,
                       "POST%sContent-Encoding: br\r\nContent-Length: 1\r\n\r\n", cases[i].head);
        assert_int_equal(ask(request).status, 415);
        ingest_free(scene.ingest);
        scene.ingest = NULL;
    }
}

/* The longest that snappy can be before it is read: a few bytes that stand for many. */
static void a_snappy_bomb_is_refused(void **state) /* P1 */
{
    static const char *const heads[] = {"\xff\xff\xff\x7f", "\xff\xff\xff\xff\x0f",
                                        "\x80\x80\x04"}; /* 65536 of nothing */
    static const unsigned statuses[] = {413, 413, 400};
    (void)state;
    scene.listener.protocol = PROTOCOL_PROMETHEUS;
    start();

    for (size_t i = 0; i < TEST_COUNT(heads); i++) {
        char *text = post_of("/api/v1/write",
                             "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n",
                             heads[i]);
        struct response response = ask(text);
        assert_int_equal(response.status, statuses[i]);
        assert_true(COUNTER_GET(ingest_body_bytes) < 64 * 1024);
        free(text);
    }
    assert_int_equal(scene.posted, 0);
}

/* --- the sink's words -------------------------------------------------------------------------
 */

static void what_cannot_be_stored_is_told_to_come_again(void **state)
{
    (void)state;
    start();
    set_mode(FAIL);
    struct response response = write_lines("", "m f=1\n");
    assert_int_equal(response.status, 503);
    assert_true(says(&response, "Retry-After: "));
    assert_true(says(&response, "nothing was stored"));
    set_mode(REFUSE);
    response = write_lines("", "m f=1\nbad\n");
    assert_int_equal(response.status, 503);
    assert_true(says(&response, "Retry-After: "));
    set_mode(STORE);
    assert_int_equal(write_lines("", "m f=1\n").status, 204);
    assert_true(collector_get(scene.collector, "m_f").count == 1);
    assert_int_equal(collector_total(scene.collector).received, 1);
    struct listener_facts facts = facts_of(scene.ingest, 0);
    assert_int_equal(facts.received, facts.handed_over);
}

static void a_busy_sink_is_said_before_the_body_is_read(void **state)
{
    (void)state;
    start();
    collector_set_room(scene.collector, false);
    struct response response =
        ask("POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 1000\r\n\r\n");
    assert_int_equal(response.status, 503);
    assert_true(says(&response, "Retry-After: "));
    response = ask("GET /health HTTP/1.1\r\nHost: k\r\n\r\n"); /* I29 */
    assert_int_equal(response.status, 503);
    assert_true(says(&response, "\"status\":\"fail\""));
    collector_set_room(scene.collector, true);
    assert_int_equal(scene.posted, 0);
}

static void a_key_names_its_listener_and_its_body(void **state)
{
    (void)state;
    start();
    set_mode(REPEAT);
    struct response response = write_lines("Idempotency-Key: one\r\n", "m f=1\nbad\n");
    assert_int_equal(response.status, 400); /* what was answered then */
    assert_true(says(&response, "partial write"));
    assert_true(says(&response, "X-Influxdb-Error"));
    (void)write_lines("Idempotency-Key: one\r\n", "m f=2\n");
    (void)write_lines("Idempotency-Key: two\r\n", "m f=1\nbad\n");
    (void)write_lines("", "m f=1\nbad\n");
    (void)write_lines("Idempotency-Key: one\r\n", ""); /* has to be asked about all the same */
    set_mode(CONFLICT);
    response = write_lines("Idempotency-Key: one\r\n", "m f=3\n");
    assert_int_equal(response.status, 422);
    assert_true(says(&response, "another body"));

    const struct delta_identity *ids = scene.identities;
    assert_int_equal(scene.posted, 6);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(ids[i].kind, i == 3 ? IDENTITY_NONE : IDENTITY_KEY);
    assert_true(series_hash_equal(ids[0].name, ids[1].name));
    assert_false(series_hash_equal(ids[0].name, ids[2].name));
    assert_false(series_hash_equal(ids[0].body, ids[1].body));
    assert_true(series_hash_equal(ids[0].body, ids[2].body));
    assert_true(series_hash_equal(ids[0].body, series_key_hash(STR("m f=1\nbad\n"))));
    assert_true(series_hash_equal(ids[4].body, series_key_hash(STR_EMPTY)));
    assert_int_equal(collector_total(scene.collector).received, 0);
}

/* Lines say another thing in another unit (I20), so they are not what was answered then. */
static void a_key_belongs_to_the_unit_of_the_times_too(void **state)
{
    static const char *const targets[] = {"/write", "/write?precision=ns", "/write?precision=s",
                                          "/api/v2/write?precision=s"};
    (void)state;
    start();

    for (size_t i = 0; i < TEST_COUNT(targets); i++) {
        char *text = post_of(targets[i], "Idempotency-Key: one\r\n", "m f=1 1\n");
        (void)ask(text);
        free(text);
    }
    const struct delta_identity *ids = scene.identities;
    assert_int_equal(scene.posted, TEST_COUNT(targets));
    assert_true(series_hash_equal(ids[0].body, ids[1].body));
    assert_false(series_hash_equal(ids[0].body, ids[2].body));
    assert_true(series_hash_equal(ids[2].body, ids[3].body));
}

/* --- limits -----------------------------------------------------------------------------------
 */

/* Sends a head and body, however much of it is taken, and reads the answer: what an early answer
 * leaves unread must not keep the client from it. */
static struct response send_much(const char *head, const char *body, size_t len)
{
    int fd = dial(scene.listen);
    say(fd, head);
    for (size_t at = 0; at < len;) {
        ssize_t sent = send(fd, body + at, len - at, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        at += (size_t)sent;
    }
    struct response response = read_response(fd, false);
    (void)close(fd);
    return response;
}

static void a_large_body_is_refused_and_the_client_can_read_that(void **state) /* I26 */
{
    enum { LARGE = 8 << 20 };
    char *body = memory_zero(1, LARGE);
    (void)state;
    start();

    struct response response = send_much(
        "POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 8388608\r\n\r\n", body, LARGE);
    assert_int_equal(response.status, 413);
    response =
        send_much("POST /write HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n",
                  body, LARGE);
    assert_int_equal(response.status, 413);
    collector_wait(scene.collector, 2);
    assert_int_equal(collector_total(scene.collector).rejected[REJECT_too_long], 2);
    assert_int_equal(scene.posted, 0);
    free(body);
}

static void a_gzip_bomb_is_refused(void **state) /* I26 */
{
    enum { BOMB = 64 << 20 };
    uLongf len = compressBound(BOMB);
    unsigned char *packed = memory_alloc(len);
    char *zeros = memory_zero(1, BOMB);
    struct buf request = BUF_EMPTY;
    z_stream stream = {.next_in = (unsigned char *)zeros, .avail_in = BOMB};
    (void)state;
    start();

    assert_int_equal(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_out = packed;
    stream.avail_out = (unsigned)len;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    len -= stream.avail_out;
    (void)deflateEnd(&stream);
    buf_printf(
        &request,
        "POST /write HTTP/1.1\r\nHost: k\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
        (size_t)len);
    assert_true(len < BODY_MAX * 4);
    scene.config.body_bytes_max = BODY_MAX * 4;
    struct error err = ERROR_EMPTY;
    assert_true(ingest_reload(scene.ingest, &scene.config, &err));
    char *head = buf_take_text(&request);
    struct response response = send_much(head, (const char *)packed, len);
    assert_int_equal(response.status, 413);
    assert_true(says(&response, "larger than 400000 bytes"));
    assert_int_equal(scene.posted, 0);
    free(head);
    free(packed);
    free(zeros);
}

static void bodies_share_a_budget(void **state)
{
    (void)state;
    scene.options.body_budget = 64 * 1024;
    scene.options.threads = 1;
    start();
    set_mode(HOLD);

    /* One that is not answered holds some of it; what does not fit beside it has to come again. */
    int fd = dial(scene.listen);
    struct buf lines = BUF_EMPTY;
    for (int i = 0; i < 20; i++)
        buf_printf(&lines, "m%d f=1\n", i);
    buf_char(&lines, '\0');
    char *text = post_of("/write", "", lines.bytes);
    say(fd, text);
    wait_posted(1);
    assert_true(COUNTER_GET(ingest_body_bytes) > 10000);
    assert_true(COUNTER_GET(ingest_body_bytes) < 32 * 1024);
    struct response response =
        ask("POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 60000\r\n\r\n");
    assert_int_equal(response.status, 503);
    assert_true(says(&response, "too many bodies"));
    assert_true(says(&response, "Retry-After: "));

    /* Who holds more than half of it alone is told so. */
    int second = dial(scene.listen);
    say(second, text);
    wait_posted(2);
    response = ask("POST /api/v2/write HTTP/1.1\r\nHost: k\r\nContent-Length: 60000\r\n\r\n");
    assert_int_equal(response.status, 429);
    assert_true(says(&response, "{\"code\":\"too many requests\",\"message\":\"your bodies"));
    assert_true(says(&response, "Retry-After: "));
    release_all(STORE);
    assert_int_equal(read_response(fd, false).status, 204);
    assert_int_equal(read_response(second, false).status, 204);
    (void)close(fd);
    (void)close(second);

    /* One that would need more than half of it alone will never fit. */
    lines.len--;
    for (int i = 0; i < 2000; i++)
        buf_printf(&lines, "n%d f=1\n", i);
    buf_char(&lines, '\0');
    char *large = post_of("/write", "", lines.bytes);
    response = ask(large);
    assert_int_equal(response.status, 413);
    assert_true(says(&response, "send less"));
    assert_int_equal(collector_total(scene.collector).stored, 40);
    free(text);
    free(large);
    buf_fini(&lines);
}

static void a_request_that_is_too_slow_is_ended(void **state)
{
    (void)state;
    scene.config.request_timeout = 30;
    start();
    static const char *const begins[] = {
        "POST /wri", "POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 5\r\n\r\nm f",
        "POST /write HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"};
    for (size_t i = 0; i < TEST_COUNT(begins); i++) {
        int fd = dial(scene.listen);
        say(fd, begins[i]);
        assert_int_equal(read_response(fd, false).status, 408);
        wait_until_closed(fd);
    }
    assert_int_equal(scene.posted, 0);
    collector_wait(scene.collector, 3);
    assert_int_equal(collector_total(scene.collector).rejected[REJECT_truncated], 2);
}

/* What is wrong with a request is said as its protocol says it, with and without a route. */
static void a_late_or_broken_request_is_answered_in_its_own_words(void **state)
{
    (void)state;
    scene.config.request_timeout = 30;
    scene.listener.protocol = PROTOCOL_PROMETHEUS;
    start();
    int fd = dial(scene.listen);
    say(fd,
        "POST / HTTP/1.1\r\nHost: k\r\nContent-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n"
        "Content-Length: 5\r\n\r\n");
    struct response response = read_response(fd, false);
    assert_int_equal(response.status, 408);
    assert_true(says(&response, "X-Prometheus-Remote-Write-Samples-Written: 0")); /* P7 */
    (void)close(fd);
    response = ask("garbage\r\n\r\n");
    assert_int_equal(response.status, 400);
    assert_true(says(&response, "Content-Type: text/plain"));
    assert_true(says(&response, "X-Prometheus-Remote-Write-Samples-Written: 0"));
    assert_false(says(&response, "X-Influxdb"));
}

/* A HEAD has no body in its answer, and what comes after it has one again. */
static void garbage_after_a_head_is_answered_with_words(void **state)
{
    (void)state;
    start();
    int fd = dial(scene.listen);
    say(fd, "HEAD /ping HTTP/1.1\r\nHost: k\r\n\r\ngarbage\r\n\r\n");
    assert_int_equal(read_response(fd, true).status, 204);
    struct response response = read_response(fd, false);
    assert_int_equal(response.status, 400);
    assert_true(says(&response, "{\"error\":\"this is not an HTTP request"));
    wait_until_closed(fd);
}

static void a_connection_that_says_nothing_is_closed(void **state)
{
    (void)state;
    scene.config.idle_timeout = 30;
    start();
    int fd = dial(scene.listen);
    say(fd, "GET /ping HTTP/1.1\r\nHost: k\r\n\r\n");
    assert_int_equal(read_response(fd, false).status, 204);
    wait_until_closed(fd);
    wait_until_closed(dial(scene.listen));
}

static void connections_have_a_limit(void **state)
{
    (void)state;
    scene.config.connections_max = 2;
    start();
    int fds[2];
    for (int i = 0; i < 2; i++) {
        fds[i] = dial(scene.listen);
        say(fds[i], "GET /ping HTTP/1.1\r\nHost: k\r\n\r\n");
        assert_int_equal(read_response(fds[i], false).status, 204);
    }
    wait_until_closed(dial(scene.listen));
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void many_requests_that_are_never_read_do_not_pile_up(void **state)
{
    static const char ping[] = "GET /ping HTTP/1.1\r\nHost: k\r\n\r\n";
    char many[sizeof ping * 100];
    size_t sent_bytes = 0;
    size_t len = 0;
    (void)state;
    start();

    for (int i = 0; i < 100; i++, len += sizeof ping - 1)
        memcpy(many + len, ping, sizeof ping - 1);
    int fd = dial(scene.listen);
    for (;;) { /* until neither side takes more */
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        if (sent_bytes > (64 << 20) || poll(&wait, 1, 100) != 1)
            break;
        ssize_t sent = send(fd, many, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            sent_bytes += (size_t)sent;
    }
    assert_true(sent_bytes < (64 << 20));
    (void)close(fd);
}

/* --- ends -------------------------------------------------------------------------------------
 */

static void a_client_that_goes_in_the_middle_stores_nothing(void **state)
{
    (void)state;
    start();
    int fd = dial(scene.listen);
    say(fd, "POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 50\r\n\r\nm f=1\nm f=2\n");
    (void)close(fd);
    collector_wait(scene.collector, 1);
    assert_int_equal(collector_total(scene.collector).rejected[REJECT_truncated], 1);
    assert_int_equal(scene.posted, 0);
    fd = dial(scene.listen); /* one that has said all may close its side */
    say(fd, "POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 5\r\n\r\nm f=1");
    (void)shutdown(fd, SHUT_WR);
    assert_int_equal(read_response(fd, false).status, 204);
    wait_until_closed(fd);
}

static void a_stop_waits_for_what_is_on_its_way(void **state)
{
    (void)state;
    start();
    set_mode(HOLD);
    int fd = dial(scene.listen);
    say(fd, "POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 5\r\n\r\nm f=1");
    wait_posted(1);
    /* Nothing comes while it drains; the sink says its word before the end. */
    ingest_stop(scene.ingest, 20);
    release_all(STORE);
    assert_int_equal(read_response(fd, false).status, 0);
    (void)close(fd);
    assert_int_equal(collector_total(scene.collector).stored, 1);
}

static void answers_that_come_during_a_stop_are_sent(void **state)
{
    (void)state;
    start_beside_stream();
    int fd = dial(scene.listen);
    say(fd, "POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 5\r\n\r\nm f=1");
    wait_posted(1);
    stop_and_release();
    assert_int_equal(read_response(fd, false).status, 204);
    (void)close(fd);
}

static void a_reload_keeps_connections_and_takes_new_rules(void **state)
{
    struct metric_table metrics = {.by_name = TABLE_EMPTY};
    struct metric_definition counter = {.name = "m_f", .has_kind = true, .kind = METRIC_UNIQUE};
    struct error err = ERROR_EMPTY;
    (void)state;
    start();

    int fd = dial(scene.listen);
    say(fd, "POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 12\r\n\r\nm f=1\n");
    assert_true(table_add(&metrics.by_name, STR("m_f"), &counter));
    scene.config.metrics = &metrics;
    scene.listener.skip_single_field = true; /* of requests from now on */
    assert_true(ingest_reload(scene.ingest, &scene.config, &err));
    say(fd, "m f=2\n");
    assert_int_equal(read_response(fd, false).status, 204);
    say(fd, "POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 9\r\n\r\nm value=5");
    assert_int_equal(read_response(fd, false).status, 204);
    assert_true(collector_get(scene.collector, "m").sum == 5);

    scene.config.listener_count = 0; /* removed: the request under way is the last one */
    say(fd, "POST /write HTTP/1.1\r\nHost: k\r\nContent-Length: 5\r\n\r\n");
    assert_true(ingest_reload(scene.ingest, &scene.config, &err));
    assert_int_equal(try_dial(scene.listen), -1);
    say(fd, "m f=3");
    struct response response = read_response(fd, false);
    assert_int_equal(response.status, 204);
    assert_true(says(&response, "Connection: close"));
    wait_until_closed(fd);
    assert_int_equal(collector_total(scene.collector).stored, 4);
    ingest_stop(scene.ingest, 0);
    table_fini(&metrics.by_name);
}

/* What a thread remembers of series goes with the rules that it was found out by. */
static void after_a_reload_series_that_were_known_follow_the_new_rules(void **state)
{
    static const char body[] =
        "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":\"took\",\"gauge\":"
        "{\"dataPoints\":[{\"asDouble\":5,\"attributes\":[{\"key\":\"a\",\"value\":"
        "{\"stringValue\":\"b\"}}]}]}}]}]}]}";
    struct metric_table metrics = {.by_name = TABLE_EMPTY};
    struct metric_definition took = {.name = "took", .has_kind = true, .kind = METRIC_DISTRIBUTION};
    struct error err = ERROR_EMPTY;
    (void)state;
    scene.listener.protocol = PROTOCOL_OTLP;
    start();

    char *text = post_of("/v1/metrics", "Content-Type: application/json\r\n", body);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(ask(text).status, 200);
    assert_int_equal(collector_get(scene.collector, "took").count, 0); /* points, not cells */
    assert_true(table_add(&metrics.by_name, STR("took"), &took));
    scene.config.metrics = &metrics;
    assert_true(ingest_reload(scene.ingest, &scene.config, &err));
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(ask(text).status, 200);
    assert_int_equal(collector_get(scene.collector, "took").count, 2);
    assert_true(COUNTER_GET(series_cache_bytes) > 0);
    ingest_stop(scene.ingest, 0);
    free(text);
    table_fini(&metrics.by_name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_write_is_answered_when_it_is_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(credentials_of_any_form_are_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_have_answers_with_words, setup, teardown),
        cmocka_unit_test_setup_teardown(all_of_a_request_may_come_byte_by_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_of_a_connection_are_answered_in_their_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_expected_continue_is_given_only_where_a_body_is_wanted,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_stored_is_told_to_come_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_busy_sink_is_said_before_the_body_is_read, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_key_names_its_listener_and_its_body, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_belongs_to_the_unit_of_the_times_too, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_large_body_is_refused_and_the_client_can_read_that, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_gzip_bomb_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_share_a_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_that_is_too_slow_is_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_or_broken_request_is_answered_in_its_own_words,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_after_a_head_is_answered_with_words, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_connection_that_says_nothing_is_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(connections_have_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(many_requests_that_are_never_read_do_not_pile_up, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_client_that_goes_in_the_middle_stores_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_stop_waits_for_what_is_on_its_way, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_that_come_during_a_stop_are_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(a_form_has_a_limit_without_a_length_too, setup, teardown),
        cmocka_unit_test_setup_teardown(a_json_push_is_stored_as_a_whole_or_not_at_all, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_json_push_has_a_key_or_an_id, setup, teardown),
        cmocka_unit_test_setup_teardown(each_protocol_refuses_before_it_reads_a_body, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_snappy_bomb_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reload_keeps_connections_and_takes_new_rules, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(after_a_reload_series_that_were_known_follow_the_new_rules,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
