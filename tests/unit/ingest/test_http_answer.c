/* Answers in every dialect, and what is kept of them. */
#include <stdlib.h>
#include <string.h>

#include "ingest/http_answer.h"
#include "test.h"

static const struct http_answer_form FORM = {.keep_alive = true, .now = INT64_C(1791788430000)};

static char *format(const struct http_answer *answer)
{
    struct buf out = BUF_EMPTY;
    http_answer_format(answer, &FORM, &out);
    return buf_take_text(&out);
}

static void expect_body(const struct http_answer *answer, const char *body, size_t len)
{
    if (answer->body.len != len || (len > 0 && memcmp(answer->body.bytes, body, len) != 0))
        fail_msg("'%.*s' is not '%.*s'", STR_ARGS(buf_view(&answer->body)), (int)len, body);
}

static void expect_text(const struct http_answer *answer, const char *body)
{
    expect_body(answer, body, strlen(body));
}

static void a_mistake_is_said_as_the_protocol_says_it(void **state) /* I23, P8, O5 */
{
    static const struct {
        enum http_dialect dialect;
        unsigned status;
        const char *body;
        const char *header;
    } cases[] = {
        {HTTP_INFLUX_1, 400, "{\"error\":\"no \\\"x\\\"\"}\n", "X-Influxdb-Error: no \"x\"\r\n"},
        {HTTP_INFLUX_2, 400, "{\"code\":\"invalid\",\"message\":\"no \\\"x\\\"\"}\n",
         "Content-Type: application/json\r\n"},
        {HTTP_INFLUX_2, 429, "{\"code\":\"too many requests\",\"message\":\"no \\\"x\\\"\"}\n",
         "HTTP/1.1 429 Too Many Requests\r\n"},
        {HTTP_INFLUX_1, 401, "{\"error\":\"no \\\"x\\\"\"}\n",
         "WWW-Authenticate: Basic realm=\"InfluxDB\"\r\n"},
        {HTTP_PLAIN, 400, "no \"x\"\n", "Content-Type: text/plain; charset=utf-8\r\n"},
        {HTTP_PLAIN, 401, "no \"x\"\n", "WWW-Authenticate: Bearer\r\n"},
        {HTTP_OTLP_PROTOBUF, 400, "\x08\x03\x12\x06no \"x\"",
         "Content-Type: application/x-protobuf\r\n"},
        {HTTP_OTLP_PROTOBUF, 503, "\x08\x0e\x12\x06no \"x\"",
         "HTTP/1.1 503 Service Unavailable\r\n"},
        {HTTP_OTLP_JSON, 429, "{\"code\":8,\"message\":\"no \\\"x\\\"\"}",
         "Content-Type: application/json\r\n"},
        {HTTP_PUSH, 400, "{\"error\":\"no \\\"x\\\"\"}\n", "Content-Type: application/json\r\n"},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct http_answer answer = {.dialect = cases[i].dialect};
        http_answer_set(&answer, cases[i].status, "%s", "no \"x\"");
        expect_text(&answer, cases[i].body);
        char *text = format(&answer);
        if (strstr(text, cases[i].header) == NULL)
            fail_msg("no '%s' in '%s'", cases[i].header, text);
        bool is_influx = cases[i].dialect <= HTTP_INFLUX_2;
        assert_int_equal(strstr(text, "X-Influxdb-Version") != NULL, is_influx);
        free(text);
        http_answer_fini(&answer);
    }
}

static void all_is_well_in_the_words_of_the_protocol(void **state) /* I22, P7, O3, O4 */
{
    static const struct {
        enum http_dialect dialect;
        uint64_t rejected;
        const char *words;
        unsigned status;
        const char *body;
        size_t len;
    } cases[] = {
        {HTTP_INFLUX_1, 0, "", 204, "", 0},
        {HTTP_PLAIN, 0, "", 204, "", 0},
        {HTTP_OTLP_PROTOBUF, 0, "", 200, "", 0},
        {HTTP_OTLP_PROTOBUF, 300, "bad", 200,
         "\x0a\x08\x08\xac\x02\x12\x03"
         "bad",
         10},
        {HTTP_OTLP_PROTOBUF, 0, "look", 200, "\x0a\x06\x12\x04look", 8}, /* a warning */
        {HTTP_OTLP_PROTOBUF, 1, "a\xff", 200,
         "\x0a\x06\x08\x01\x12\x02"
         "a?",
         8},
        {HTTP_OTLP_JSON, 0, "", 200, "{}", 2},
        {HTTP_OTLP_JSON, 3, "bad", 200,
         "{\"partialSuccess\":{\"rejectedDataPoints\":\"3\",\"errorMessage\":\"bad\"}}", 66},
        {HTTP_PUSH, 0, "", 200, "{\"stored\":7}\n", 13},
        {HTTP_PUSH, 2, "bad", 200, "{\"stored\":7,\"rejected\":2,\"error\":\"bad\"}\n", 40},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct http_answer answer = {.dialect = cases[i].dialect,
                                     .counts = {.samples = 7, .rejected = cases[i].rejected}};
        http_answer_stored(&answer, str_of(cases[i].words));
        assert_int_equal(answer.status, cases[i].status);
        expect_body(&answer, cases[i].body, cases[i].len);
        char *text = format(&answer);
        if (cases[i].dialect == HTTP_OTLP_PROTOBUF) /* of an empty message too */
            assert_non_null(strstr(text, "Content-Type: application/x-protobuf\r\n"));
        if (cases[i].status == 204)
            assert_null(strstr(text, "Content-"));
        free(text);
        http_answer_fini(&answer);
    }
}

static void what_was_written_is_said_with_a_mistake_too(void **state) /* P7, P8 */
{
    struct http_answer answer = {
        .dialect = HTTP_PLAIN, .says_written = true, .counts = {.samples = 3, .histograms = 2}};
    (void)state;

    http_answer_set(&answer, 400, "one is bad");
    char *text = format(&answer);
    assert_non_null(strstr(text, "\r\nX-Prometheus-Remote-Write-Samples-Written: 3\r\n"));
    assert_non_null(strstr(text, "\r\nX-Prometheus-Remote-Write-Histograms-Written: 2\r\n"));
    assert_non_null(strstr(text, "\r\nX-Prometheus-Remote-Write-Exemplars-Written: 0\r\n"));
    free(text);
    http_answer_fini(&answer);
}

static void a_busy_answer_says_when_to_come_again(void **state)
{
    struct http_answer answer = {.dialect = HTTP_OTLP_JSON};
    (void)state;

    http_answer_busy(&answer, 503, "later");
    char *text = format(&answer);
    assert_non_null(strstr(text, "\r\nRetry-After: 2\r\n"));
    free(text);
    http_answer_stored(&answer, STR_EMPTY); /* nothing of it stays */
    assert_int_equal(answer.retry_after_s, 0);
    expect_body(&answer, "{}", 2);
    http_answer_fini(&answer);
}

static void drop(struct http_answer *answer, enum drop_reason reason, uint64_t count)
{
    struct ledger_drops drops = {0};

    drops.counts[reason] = count;
    http_answer_drop(answer, &drops, 0);
}

static void a_push_says_what_was_dropped_after_all(void **state)
{
    struct http_answer answer = {.dialect = HTTP_PUSH, .counts = {.samples = 3, .rejected = 1}};
    (void)state;

    http_answer_stored(&answer, STR("one is bad"));
    drop(&answer, DROP_duplicate, 0);
    expect_text(&answer, "{\"stored\":3,\"rejected\":1,\"error\":\"one is bad\"}\n");
    drop(&answer, DROP_duplicate, 2);
    expect_text(&answer, "{\"stored\":1,\"dropped\":2,\"rejected\":1,\"error\":\"one is bad\"}\n");
    drop(&answer, DROP_series_limit, 7); /* weights */
    expect_text(&answer, "{\"stored\":0,\"dropped\":3,\"rejected\":1,\"error\":\"one is bad\"}\n");
    http_answer_mistake(&answer, 400, STR("bad"), STR_EMPTY);
    drop(&answer, DROP_too_old, 1);
    expect_text(&answer, "{\"error\":\"bad\"}\n");
    http_answer_fini(&answer);
}

/* Of 9 samples and 5 histograms: what the writer dropped, and 3 that a limit kept from it. */
static void what_was_dropped_after_all_is_said_as_the_protocol_can(void **state) /* P7, O4, I24 */
{
    static const struct {
        enum http_dialect dialect;
        const char *mistake; /* NULL: all was well */
        uint64_t duplicates, too_old, histograms, limited;
        unsigned status;
        const char *body;
        uint64_t samples_left, histograms_left;
    } cases[] = {
        /* A resend is answered as what was sent first. */
        {HTTP_PLAIN, NULL, 9, 0, 0, 0, 204, "", 9, 5},
        {HTTP_OTLP_JSON, NULL, 9, 0, 0, 0, 200, "{}", 9, 5},
        {HTTP_INFLUX_1, NULL, 9, 0, 0, 0, 204, "", 9, 5},
        {HTTP_PLAIN, NULL, 1, 6, 2, 0, 204, "", 5, 3},
        {HTTP_PLAIN, NULL, 0, 0, 0, 3, 204, "", 9, 5},
        {HTTP_PLAIN, "one is bad", 0, 2, 2, 3, 400,
         "one is bad; 5 samples not stored (too_old 2, series_limit 3)\n", 9, 3},
        {HTTP_OTLP_JSON, NULL, 2, 4, 1, 3, 200,
         "{\"partialSuccess\":{\"rejectedDataPoints\":\"7\",\"errorMessage\":"
         "\"7 samples not stored (too_old 4, series_limit 3)\"}}",
         2, 5},
        {HTTP_INFLUX_1, NULL, 1, 4, 0, 3, 400,
         "{\"error\":\"partial write: 7 samples not stored (too_old 4, series_limit 3) "
         "dropped=7\"}\n",
         9, 5},
        {HTTP_INFLUX_2, "bad", 0, 1, 0, 0, 400,
         "{\"code\":\"invalid\",\"message\":\"bad; 1 sample not stored (too_old 1) "
         "dropped=1\",\"lines\":[7]}\n",
         9, 5},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct http_answer answer = {.dialect = cases[i].dialect,
                                     .counts = {.samples = 9, .histograms = 5}};
        struct ledger_drops drops = {.histograms = cases[i].histograms};
        if (cases[i].mistake == NULL)
            http_answer_stored(&answer, STR_EMPTY);
        else
            http_answer_mistake(&answer, 400, str_of(cases[i].mistake), STR("[7]"));
        drops.counts[DROP_duplicate] = cases[i].duplicates;
        drops.counts[DROP_too_old] = cases[i].too_old;
        http_answer_drop(&answer, &drops, cases[i].limited);
        assert_int_equal(answer.status, cases[i].status);
        expect_text(&answer, cases[i].body);
        assert_int_equal(answer.counts.samples, cases[i].samples_left);
        assert_int_equal(answer.counts.histograms, cases[i].histograms_left);
        http_answer_fini(&answer);
    }
}

/* Of a summary all figures may be dropped, and it is one point. */
static void no_more_points_are_rejected_than_there_are(void **state) /* O4 */
{
    struct http_answer answer = {.dialect = HTTP_OTLP_JSON, .counts = {.samples = 2}};
    (void)state;

    http_answer_stored(&answer, STR_EMPTY);
    drop(&answer, DROP_series_limit, 5);
    assert_int_equal(answer.counts.rejected, 2);
    http_answer_fini(&answer);
}

static void a_kept_answer_says_the_same_without_its_list(void **state)
{
    char words[1000];
    (void)state;

    memset(words, 'w', sizeof words);
    for (int dialect = 0; dialect < HTTP_DIALECT_COUNT; dialect++) {
        for (unsigned status = 200; status <= 400; status += 200) {
            struct http_answer answer = {.dialect = (enum http_dialect)dialect,
                                         .says_written = true,
                                         .counts = {UINT64_MAX, 2, 3, 4, 5}};
            struct http_answer again = HTTP_ANSWER_EMPTY;
            struct buf kept = BUF_EMPTY;
            if (status == 200)
                http_answer_stored(&answer, STR("seen"));
            else
                http_answer_mistake(&answer, status, (struct str){words, 200}, STR_EMPTY);
            http_answer_encode(&answer, &kept);
            assert_true(kept.len <= HTTP_KEPT_WORDS + 64);
            assert_true(http_answer_decode(buf_view(&kept), &again));
            char *first = format(&answer);
            char *second = format(&again);
            assert_string_equal(first, second);
            free(first);
            free(second);
            for (size_t len = 0; len < kept.len; len++)
                assert_false(http_answer_decode((struct str){kept.bytes, len}, &again));
            buf_fini(&kept);
            http_answer_fini(&answer);
            http_answer_fini(&again);
        }
    }
    struct http_answer answer = HTTP_ANSWER_EMPTY;
    struct buf kept = BUF_EMPTY;
    http_answer_mistake(&answer, 400, (struct str){words, sizeof words}, STR("[{\"line\":1}]"));
    http_answer_encode(&answer, &kept);
    assert_true(kept.len <= HTTP_KEPT_WORDS + 64);
    assert_true(http_answer_decode(buf_view(&kept), &answer));
    assert_int_equal(answer.words.len, HTTP_KEPT_WORDS);
    assert_null(memmem(answer.body.bytes, answer.body.len, "lines", 5));
    buf_fini(&kept);
    http_answer_fini(&answer);
}

/* As it was kept before there were forms of it. */
static void the_first_form_of_kept_answers_is_read(void **state)
{
    struct http_answer answer = HTTP_ANSWER_EMPTY;
    struct buf kept = BUF_EMPTY;
    (void)state;

    buf_u8(&kept, 400 & 0xff);
    buf_u8(&kept, 400 >> 8);
    buf_u8(&kept, HTTP_INFLUX_2);
    buf_block(&kept, STR("bad"));
    buf_block(&kept, STR("{\"code\":\"invalid\"}"));
    assert_true(http_answer_decode(buf_view(&kept), &answer));
    assert_int_equal(answer.status, 400);
    assert_int_equal(answer.dialect, HTTP_INFLUX_2);
    assert_true(str_is(buf_view(&answer.words), "bad"));
    expect_body(&answer, "{\"code\":\"invalid\"}", 18);
    kept.bytes[2] = HTTP_PLAIN; /* it had not this one */
    assert_false(http_answer_decode(buf_view(&kept), &answer));
    buf_fini(&kept);
    http_answer_fini(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mistake_is_said_as_the_protocol_says_it),
        cmocka_unit_test(all_is_well_in_the_words_of_the_protocol),
        cmocka_unit_test(what_was_written_is_said_with_a_mistake_too),
        cmocka_unit_test(a_busy_answer_says_when_to_come_again),
        cmocka_unit_test(a_push_says_what_was_dropped_after_all),
        cmocka_unit_test(what_was_dropped_after_all_is_said_as_the_protocol_can),
        cmocka_unit_test(no_more_points_are_rejected_than_there_are),
        cmocka_unit_test(a_kept_answer_says_the_same_without_its_list),
        cmocka_unit_test(the_first_form_of_kept_answers_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
