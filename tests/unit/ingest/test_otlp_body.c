/* OTLP: what a body becomes, rule by rule (O1 to O18). Requests are written as JSON; each is read
 * as it is, and made protobuf as clients would send it. */
#include <stdio.h>

#include "ingest/otlp_json.h"
#include "ingest/otlp_labels.h"
#include "json_text.h"
#include "otlp_fixture.h"
#include "test.h"

static const struct body_pause no_pause;

/* --- requests --------------------------------------------------------------------------------- */

/* Nanoseconds, as a number above 2^53. */
static void write_time(struct buf *out, long long offset_ms)
{
    buf_printf(out, "%lld", (NOW + offset_ms) * 1000000);
}

static char *json_of(const char *text)
{
    return json_text(text, write_time);
}

static void check_answer(const struct otlp *otlp, unsigned rejected)
{
    assert_int_equal(otlp->answer.status, 200); /* O3 */
    assert_int_equal(otlp->answer.counts.rejected, rejected);
    assert_true(ledger_balances(&otlp->body->counts));
    if (rejected == 0) { /* O4: unset on full success */
        bool is_json = otlp->answer.dialect == HTTP_OTLP_JSON;
        assert_true(str_is(buf_view(&otlp->answer.body), is_json ? "{}" : ""));
    }
}

static void take_both(const char *json, const char *points, unsigned rejected, const char *words)
{
    struct buf proto = BUF_EMPTY;
    struct error err;

    assert_true(otlp_json_convert(str_of(json), 1 << 20, &no_pause, &proto, &err));
    for (int is_json = 0; is_json < 2; is_json++) {
        struct otlp otlp;
        bool ok = otlp_take_as(&otlp, is_json == 1, is_json == 1 ? str_of(json) : buf_view(&proto));
        if (!ok)
            fail_msg("%s", otlp.err.text);
        char *text = otlp_points(&otlp);
        assert_string_equal(text, points);
        check_answer(&otlp, rejected);
        buf_char(&otlp.answer.words, '\0');
        if (strstr(otlp.answer.words.bytes, words) == NULL)
            fail_msg("no '%s' in '%s'", words, otlp.answer.words.bytes);
        free(text);
        otlp_fini(&otlp);
    }
    buf_fini(&proto);
}

/* A request of metrics, without a resource. */
static void rejects(const char *metrics, const char *points, unsigned rejected, const char *words)
{
    struct buf request = BUF_EMPTY;

    buf_printf(&request, "{'resourceMetrics':[{'scopeMetrics':[{'metrics':[%s]}]}]}", metrics);
    char *text = buf_take_text(&request);
    char *json = json_of(text);
    take_both(json, points, rejected, words);
    free(json);
    free(text);
}

static void gives(const char *metrics, const char *points)
{
    rejects(metrics, points, 0, "");
}

/* --- O1, O3, O5, O6: requests and answers ----------------------------------------------------- */

static void O1_the_content_type_says_which_encoding_it_is(void **state)
{
    static const struct {
        const char *content_type;
        bool is_taken;
    } cases[] = {
        {"application/x-protobuf", true},
        {"application/json", true},
        {"Application/JSON; charset=utf-8", true},
        {"application/x-protobuf ; a=b", true},
        {"", false},
        {"text/plain", false},
        {"application/protobuf", false},
        {"application/jsonx", false},
        {"application/x-ndjson", false},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct otlp otlp;
        assert_int_equal(otlp_open_as(&otlp, cases[i].content_type, &RULES), cases[i].is_taken);
        assert_int_equal(otlp.answer.status, cases[i].is_taken ? 0 : 415);
        assert_int_equal(otlp.answer.body.len > 0, !cases[i].is_taken); /* a Status (O5) */
        otlp_fini(&otlp);
    }
}

static void O6_empty_requests_and_envelopes_are_fine(void **state)
{
    static const char *const requests[] = {
        "{}",
        "{'resourceMetrics':[]}",
        "{'resourceMetrics':null}",
        "{'resourceMetrics':[{}]}",
        "{'resourceMetrics':[{'resource':{},'scopeMetrics':[{'scope':{},'metrics':[{'name':'x'}]}]}]}",
        "{'resourceMetrics':[{'scopeMetrics':[{'metrics':[{'name':'x','gauge':{}}]}]}]}",
        "{'resourceMetrics':[{'scopeMetrics':[{'metrics':[{'sum':{'dataPoints':[]}}]}]}]}",
    };
    struct otlp otlp;
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(requests); i++) {
        char *json = json_of(requests[i]);
        take_both(json, "", 0, "");
        free(json);
    }
    assert_true(otlp_take_as(&otlp, false, STR_EMPTY));
    assert_int_equal(otlp.answer.status, 200);
    otlp_fini(&otlp);
}

static void O5_what_is_no_request_is_refused_as_a_whole(void **state)
{
    static const struct {
        bool is_json;
        struct str bytes;
        const char *words;
    } cases[] = {
        {true, STR(""), "no JSON (at byte 0)"},
        {true, STR("[]"), "no JSON"},
        {true, STR("{\"resourceMetrics\":[{]}"), "no JSON (at byte 21)"},
        {true, STR("{} x"), "no JSON"},
        {true, STR("{\"resourceMetrics\":{}}"), "'resourceMetrics' is no list"},
        {true, STR("{\"resourceMetrics\":[3]}"), "'resourceMetrics' is no object"},
        {true, STR("{\"resourceMetrics\":[null]}"), "'resourceMetrics' is no object"},
        {true, STR("{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":3}]}]}]}"),
         "'name' is no text"},
        {false, STR("\x0a"), "after 0 points"},
        {false, STR("\x0a\x05x"), "is broken"},
        {false, STR("garbage!"), "is broken"},
        {false, STR("\x0a\x01\x0a"), "is broken"},         /* a resource without its length */
        {false, STR("\x0a\x03\x0a\x01\x0a"), "is broken"}, /* an attribute without its length */
        {false, STR("\x0a\x02\x12\x01"), "is broken"},
        {false, STR("\x0a\x03\x12\x01\x12"), "is broken"},         /* a metric */
        {false, STR("\x0a\x05\x12\x03\x12\x01\x2a"), "is broken"}, /* a gauge */
        {false, STR("\x0a\x07\x12\x05\x12\x03\x2a\x01\x0a"), "is broken"},
        {false, STR("\x0a\x09\x12\x07\x12\x05\x2a\x03\x0a\x01\x21"),
         "is broken"}, /* half a value */
        {false, STR("\x0a\x09\x12\x07\x12\x05\x4a\x03\x0a\x01\x30"), "is broken"},
        {false, STR("\x0a\x0b\x12\x09\x12\x07\x4a\x05\x0a\x03\x32\x01x"),
         "is broken"}, /* a count */
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct otlp otlp;
        if (otlp_take_as(&otlp, cases[i].is_json, cases[i].bytes))
            fail_msg("case %zu is taken", i);
        assert_int_equal(otlp.err.kind, ERROR_INVALID);
        if (strstr(otlp.err.text, cases[i].words) == NULL)
            fail_msg("no '%s' in '%s'", cases[i].words, otlp.err.text);
        otlp_fini(&otlp);
    }
}

static void unknown_fields_are_passed_over_everywhere(void **state)
{
    (void)state;
    gives("{'name':'up','description':'d','unit':'1','metadata':[{'key':'x'}],'gauge':{'x':[{}],"
          "'dataPoints':[{'timeUnixNano':@-1,'asDouble':1,'exemplars':[{'asDouble':'x','traceId':"
          "'5b8efff798038103d269b633813fc60c','spanId':'eee19b7ec3c1b174'}],'new':{'a':[[1]]},"
          "'flags':0,'as_double':7,'time_unix_nano':'x'}]}}",
          "gauge up at 1, -1\n"); /* O7: snake_case is not known; O17: exemplars are not read */
}

static void fields_and_pieces_may_come_in_any_order_and_size(void **state)
{
    char *json =
        json_of("{'resourceMetrics':[{'scopeMetrics':[{'metrics':[{'sum':{'dataPoints':[{'asInt"
                "':'7','timeUnixNano':@0}],'isMonotonic':true,'aggregationTemporality':2},'name':"
                "'hits'}]}],'resource':{'attributes':[{'value':{'stringValue':'shop'},'key':"
                "'service.name'}]}}]}");
    (void)state;

    take_both(json, "counter hits{service.name=\"shop\"} up to 7, +0\n", 0, "");
    for (size_t piece = 1; piece < 100; piece += 7) {
        struct otlp otlp;
        assert_true(otlp_open_as(&otlp, "application/json", &RULES));
        assert_true(otlp_take_pieces(&otlp, str_of(json), piece));
        assert_true(otlp.body->counts.stored == 1);
        otlp_fini(&otlp);
    }
    free(json);
}

/* --- O7: numbers ------------------------------------------------------------------------------ */

static void O7_numbers_keep_all_their_bits(void **state)
{
    static const struct {
        const char *point;
        const char *points; /* NULL: the body is refused */
    } cases[] = {
        /* No double is 1544712660300000001: the ms would be the same, the start would not. */
        {"'timeUnixNano':1791788430000000001,'startTimeUnixNano':1791788430000000000,'asInt':3",
         "counter n up to 3, +0 since -1\n"},
        {"'timeUnixNano':'1791788430000000001','startTimeUnixNano':'1791788430000000000','asInt':'3'",
         "counter n up to 3, +0 since -1\n"},
        {"'timeUnixNano':1791788430000000001,'startTimeUnixNano':1791788430000000001,'asInt':3",
         "counter n up to 3, +0 since +0\n"},
        {"'timeUnixNano':@0,'asInt':9007199254740991", "counter n up to 9007199254740991, +0\n"},
        {"'timeUnixNano':@0,'asInt':9223372036854775807",
         "counter n up to 9.2233720368547758e+18, +0\n"},
        {"'timeUnixNano':@0,'asInt':'12'", "counter n up to 12, +0\n"},
        {"'timeUnixNano':@0,'asInt':1.2e1", "counter n up to 12, +0\n"},
        {"'timeUnixNano':@0,'asDouble':'2.5'", "counter n up to 2.5, +0\n"},
        {"'timeUnixNano':@0,'asDouble':2", "counter n up to 2, +0\n"},
        {"'timeUnixNano':@0,'asDouble':'NaN'", ""},
        {"'timeUnixNano':@0,'asDouble':'Infinity'", ""},
        {"'timeUnixNano':@0,'asDouble':'-Infinity'", ""},
        {"'timeUnixNano':@0,'asDouble':null,'asInt':1", "counter n up to 1, +0\n"},
        {"'timeUnixNano':18446744073709551616,'asInt':1", NULL},
        {"'timeUnixNano':-1,'asInt':1", NULL},
        {"'timeUnixNano':@0,'asInt':9223372036854775808", NULL},
        {"'timeUnixNano':@0,'asInt':1.5", NULL},
        {"'timeUnixNano':@0,'asInt':''", NULL},
        {"'timeUnixNano':@0,'asInt':true", NULL},
        {"'timeUnixNano':@0,'asDouble':'inf'", NULL},
        {"'timeUnixNano':@0,'asDouble':'nan'", NULL},
        {"'timeUnixNano':@0,'asDouble':[1]", NULL},
        {"'timeUnixNano':@0,'asDouble':1,'flags':-1", NULL},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct buf request = BUF_EMPTY;
        struct otlp otlp;
        buf_printf(&request,
                   "{'resourceMetrics':[{'scopeMetrics':[{'metrics':[{'name':'n','sum':{"
                   "'aggregationTemporality':2,'isMonotonic':true,'dataPoints':[{%s}]}}]}]}]}",
                   cases[i].point);
        char *text = buf_take_text(&request);
        char *json = json_of(text);
        if (cases[i].points != NULL)
            take_both(json, cases[i].points, 0, "");
        else if (otlp_take_as(&otlp, true, str_of(json)))
            fail_msg("taken: %s", json);
        else
            otlp_fini(&otlp);
        free(json);
        free(text);
    }
}

static void O7_enums_are_no_words(void **state)
{
    struct otlp otlp;
    char *json = json_of("{'resourceMetrics':[{'scopeMetrics':[{'metrics':[{'sum':{"
                         "'aggregationTemporality':'AGGREGATION_TEMPORALITY_DELTA'}}]}]}]}");
    (void)state;

    assert_false(otlp_take_as(&otlp, true, str_of(json)));
    assert_non_null(strstr(otlp.err.text, "'aggregationTemporality' is no integer"));
    otlp_fini(&otlp);
    free(json);
}

/* --- O8: what a series is --------------------------------------------------------------------- */

static void resource_gives(const char *resource, const char *attributes, const char *labels)
{
    struct buf request = BUF_EMPTY;
    struct buf points = BUF_EMPTY;

    buf_printf(
        &request,
        "{'resourceMetrics':[{'resource':{'attributes':[%s]},'scopeMetrics':[{'scope':{'name':"
        "'s','version':'2'},'metrics':[{'name':'up','unit':'ms','gauge':{'dataPoints':[{'attributes':[%s],"
        "'timeUnixNano':@0,'asInt':1}]}}]}]}]}",
        resource, attributes);
    buf_printf(&points, "gauge up%s at 1, +0\n", labels);
    char *text = buf_take_text(&request);
    char *wanted = buf_take_text(&points);
    char *json = json_of(text);
    take_both(json, wanted, 0, "");
    free(json);
    free(wanted);
    free(text);
}

#define ATTRIBUTE(key, value) "{'key':'" key "','value':{'stringValue':'" value "'}}"

static void O8_the_resource_tells_senders_apart(void **state)
{
    (void)state;
    resource_gives(ATTRIBUTE("service.name", "shop") "," ATTRIBUTE("telemetry.sdk.name", "x"), "",
                   "{service.name=\"shop\"}");
    resource_gives(
        ATTRIBUTE("service.namespace", "n") "," ATTRIBUTE("service.name", "shop") "," ATTRIBUTE(
            "service.instance.id", "i") "," ATTRIBUTE("host.name", "h") "," ATTRIBUTE("deployment."
                                                                                      "environment",
                                                                                      "prod"),
        ATTRIBUTE("plan", "pro"),
        "{deployment.environment=\"prod\",host.name=\"h\",plan=\"pro\",service.instance.id="
        "\"i\",service.name=\"shop\",service.namespace=\"n\"}");
    resource_gives(ATTRIBUTE("service.name", "shop"), ATTRIBUTE("service.name", "mine"),
                   "{service.name=\"mine\"}"); /* the point's own wins */
    resource_gives(
        ATTRIBUTE("k8s.pod.name", "p") "," ATTRIBUTE("container.id", "c") ",{'key':'process.pid',"
                                                                          "'value':{'intValue':"
                                                                          "'7'}}",
        "", "{container.id=\"c\",k8s.pod.name=\"p\",process.pid=\"7\"}");
    resource_gives(ATTRIBUTE("k8s.pod.name", "p") "," ATTRIBUTE("service.instance.id", "i"), "",
                   "{service.instance.id=\"i\"}");
    resource_gives(ATTRIBUTE("service.name", ""), "", "");
}

static void O8_a_listener_may_name_the_labels(void **state)
{
    (void)state;
    otlp_resource_labels = " os.type service.instance.id process.pid otel.scope.name";
    resource_gives(
        ATTRIBUTE("os.type", "linux") "," ATTRIBUTE("service.name", "shop") "," ATTRIBUTE(
            "process.pid", "7") "," ATTRIBUTE("service.instance.id", "i"),
        "",
        "{os.type=\"linux\",otel.scope.name=\"s\",process.pid=\"7\",service.instance.id="
        "\"i\"}");
    otlp_resource_labels = " otel.scope.version os";
    resource_gives(ATTRIBUTE("os.type", "linux"), ATTRIBUTE("a", "b"),
                   "{a=\"b\",otel.scope.version=\"2\"}");
    otlp_resource_labels = " ";
    resource_gives(ATTRIBUTE("service.name", "shop"), "", "");
    otlp_resource_labels = NULL;
}

static void O8_values_of_all_kinds_become_texts(void **state)
{
    static const struct {
        const char *value;
        const char *label; /* NULL: none */
    } cases[] = {
        {"{'stringValue':'\xc3\xa4 b'}", "\xc3\xa4 b"},
        {"{'boolValue':true}", "true"},
        {"{'boolValue':false}", "false"},
        {"{'intValue':'-9007199254740993'}", "-9007199254740993"},
        {"{'intValue':9007199254740993}", "9007199254740993"},
        {"{'doubleValue':1.5}", "1.5"},
        {"{'doubleValue':'NaN'}", "NaN"},
        {"{'doubleValue':'-Infinity'}", "-Infinity"},
        {"{'bytesValue':'AAEC/w=='}", "AAEC/w=="},
        {"{'arrayValue':{'values':[{'stringValue':'a'},{'intValue':'1'},{},{'boolValue':true},"
         "{'doubleValue':'Infinity'}]}}",
         "['a',1,null,true,'Infinity']"},
        {"{'arrayValue':{}}", "[]"},
        {"{'kvlistValue':{'values':[{'key':'k','value':{'arrayValue':{'values':[{'stringValue':'x'}]}"
         "}},{'key':'l'}]}}",
         "{'k':['x'],'l':null}"},
        {"{'stringValue':''}", NULL},
        {"{}", NULL},
        {"null", NULL},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct otlp otlp;
        struct buf request = BUF_EMPTY;
        struct str value = STR_EMPTY;
        buf_printf(
            &request,
            "{'resourceMetrics':[{'scopeMetrics':[{'metrics':[{'name':'up','gauge':{'dataPoints':[{"
            "'attributes':[{'key':'a','value':%s}],'timeUnixNano':@0,'asInt':1}]}}]}]}]}",
            cases[i].value);
        char *text = buf_take_text(&request);
        char *json = json_of(text);
        char *label = json_of(cases[i].label == NULL ? "" : cases[i].label);
        assert_true(otlp_take_as(&otlp, true, str_of(json)));
        assert_true(otlp.body->counts.stored == 1);
        free(otlp_points(&otlp));
        bool has = series_key_label(otlp.delta->series[0].key, STR("a"), &value);
        assert_int_equal(has, cases[i].label != NULL);
        if (has && !str_is(value, label))
            fail_msg("%.*s", STR_ARGS(value));
        otlp_fini(&otlp);
        free(label);
        free(json);
        free(text);
    }
}

/* In protobuf, where a value may be bytes that are no text. */
static void O8_bytes_are_base64(void **state)
{
    static const struct {
        struct str bytes;
        const char *text;
    } cases[] = {{STR("\0\1\2\xff"), "AAEC/w=="},
                 {STR("abc"), "YWJj"},
                 {STR("ab"), "YWI="},
                 {STR("\xff\xfe\xfd"), "//79"}};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct buf key_value = BUF_EMPTY;
        struct buf value = BUF_EMPTY;
        struct otlp_labels labels;
        put_text(&value, 7, cases[i].bytes);
        put_text(&key_value, 1, STR("a"));
        put_message(&key_value, 2, &value);
        otlp_labels_begin(&labels);
        assert_true(otlp_labels_take(&labels, buf_view(&key_value)));
        assert_int_equal(labels.count, 1);
        assert_true(str_is(labels.labels[0].value, cases[i].text));
        buf_fini(&key_value);
        buf_fini(&value);
    }
}

static void point_is_rejected(const char *attributes, const char *words)
{
    struct buf metric = BUF_EMPTY;

    buf_printf(
        &metric,
        "{'name':'up','gauge':{'dataPoints':[{'attributes':[%s],'timeUnixNano':@0,'asInt':1},"
        "{'timeUnixNano':@0,'asInt':2}]}}",
        attributes);
    char *text = buf_take_text(&metric);
    rejects(text, "gauge up at 2, +0\n", 1, words);
    free(text);
}

static void O8_attributes_that_make_no_labels_reject_their_point(void **state)
{
    struct buf many = BUF_EMPTY;
    struct buf deep = BUF_EMPTY;
    (void)state;

    point_is_rejected(ATTRIBUTE("", "x"), "an attribute has no key");
    point_is_rejected(ATTRIBUTE("a", "x\\u0001"), "holds 0x00 or 0x01");
    point_is_rejected(ATTRIBUTE("a\\u0000", "x"), "holds 0x00 or 0x01");
    point_is_rejected(ATTRIBUTE("a", "x") "," ATTRIBUTE("b", "x") "," ATTRIBUTE("a", "y"),
                      "comes twice");
    for (int i = 0; i <= LABELS_MAX; i++)
        buf_printf(&many, "%s{'key':'k%d','value':{'stringValue':'v'}}", i == 0 ? "" : ",", i);
    buf_char(&many, '\0');
    point_is_rejected(many.bytes, "too many or too long");
    buf_clear(&many);
    buf_text(&many, "{'key':'a','value':{'arrayValue':{'values':[{'stringValue':'");
    for (int i = 0; i < LABEL_BYTES_MAX; i++)
        buf_char(&many, 'x');
    buf_text(&many, "'}]}}}");
    buf_char(&many, '\0');
    point_is_rejected(many.bytes, "too many or too long");
    buf_text(&deep, "{'key':'a','value':");
    for (int i = 0; i <= OTLP_VALUE_DEPTH_MAX; i++)
        buf_text(&deep, "{'arrayValue':{'values':[");
    for (int i = 0; i <= OTLP_VALUE_DEPTH_MAX; i++)
        buf_text(&deep, "]}}");
    buf_text(&deep, "}");
    buf_char(&deep, '\0');
    point_is_rejected(deep.bytes, "nested too deeply");
    buf_fini(&many);
    buf_fini(&deep);
}

static void O8_the_same_attribute_twice_counts_once(void **state)
{
    (void)state;
    gives("{'name':'up','gauge':{'dataPoints':[{'attributes':[" ATTRIBUTE("b", "1") "," ATTRIBUTE(
              "a", "2") "," ATTRIBUTE("b", "1") "],'timeUnixNano':@0,'asInt':1}]}}",
          "gauge up{a=\"2\",b=\"1\"} at 1, +0\n");
}

/* --- O9 to O13: numbers ----------------------------------------------------------------------- */

#define SUM(temporality, monotonic, points)                                                        \
    "{'name':'n','sum':{'dataPoints':[" points "],'aggregationTemporality':" temporality           \
    ",'isMonotonic':" monotonic "}}"

static void O9_a_sum_says_how_it_counts(void **state)
{
    (void)state;
    gives(SUM("2", "true", "{'startTimeUnixNano':@-5000,'timeUnixNano':@0,'asInt':'9'}"),
          "counter n up to 9, +0 since -5000\n");
    gives(SUM("1", "true", "{'startTimeUnixNano':@-5000,'timeUnixNano':@0,'asInt':'9'}"),
          "counter n more by 9, +0 since -5000\n"); /* O10 */
    /* O12: what goes up and down is a level, and as a delta only how much it has changed. */
    gives(SUM("2", "false", "{'startTimeUnixNano':@-5000,'timeUnixNano':@0,'asInt':'-9'}"),
          "gauge n at -9, +0\n");
    gives(SUM("1", "false", "{'startTimeUnixNano':@-5000,'timeUnixNano':@0,'asInt':'-9'}"),
          "counter n more by -9, +0 since -5000\n");
    rejects(SUM("0", "true", "{'timeUnixNano':@0,'asInt':1}"), "", 1, "bad_temporality 1");
    rejects(SUM("3", "false", "{'timeUnixNano':@0,'asInt':1},{'timeUnixNano':@0,'asInt':1}"), "", 2,
            "2 of 2 data points rejected (bad_temporality 2)");
    rejects("{'name':'n','sum':{'dataPoints':[{'timeUnixNano':@0,'asInt':1}]}}", "", 1,
            "neither delta");
}

static void O10_a_start_is_as_near_as_it_is(void **state)
{
    (void)state;
    /* Zero length: the start is not known, so the first point counts nothing. */
    gives(SUM("2", "true", "{'startTimeUnixNano':@0,'timeUnixNano':@0,'asInt':'9'}"),
          "counter n up to 9, +0 since +0\n");
    gives(SUM("2", "true", "{'startTimeUnixNano':@1,'timeUnixNano':@0,'asInt':'9'}"),
          "counter n up to 9, +0\n"); /* later than the point: none */
    gives(SUM("1", "true", "{'startTimeUnixNano':0,'timeUnixNano':@0,'asInt':'9'}"),
          "counter n more by 9, +0\n");
}

static void O10_a_window_is_as_exact_as_it_is_sent(void **state)
{
    char *json = json_of("{'resourceMetrics':[{'scopeMetrics':[{'metrics':[" SUM(
        "1", "true",
        "{'startTimeUnixNano':1791788430000200000,"
        "'timeUnixNano':1791788430000400001,'asInt':1}") "," SUM("2", "true",
                                                                 "{'startTimeUnixNano':1791788430000200000,"
                                                                 "'timeUnixNano':1791788430000400001,'asInt':1}") "]}]}]}");
    struct otlp otlp;

    (void)state;
    assert_true(otlp_take_as(&otlp, true, str_of(json)));
    free(otlp_points(&otlp));
    assert_int_equal(otlp.delta->point_count, 2);
    const struct delta_point *window = &otlp.delta->points[0];
    assert_true(window->at == INT64_C(1791788430000) && window->start == window->at);
    assert_int_equal(window->at_ns, 400001);
    assert_int_equal(window->start_ns, 200000);
    assert_int_equal(otlp.delta->points[1].at_ns, 0); /* of a total it does not matter */
    assert_int_equal(otlp.delta->points[1].start_ns, 0);
    otlp_fini(&otlp);
    free(json);
}

/* There is nothing by which one could be another one that comes again. */
static void O18_a_delta_without_a_time_counts_each_time(void **state)
{
    char *json = json_of("{'resourceMetrics':[{'scopeMetrics':[{'metrics':[" SUM(
        "1", "true",
        "{'asInt':1},{'asInt':2},{'startTimeUnixNano':1791788430000000000,'asInt':2}") ","
                                                                                       "{'name':'h','histogram':{'dataPoints':[{'count':2,'sum':3},{'count':2,'sum':3}],"
                                                                                       "'aggregationTemporality':1}}," SUM(
                                                                                           "2",
                                                                                           "true",
                                                                                           "{'asInt':4},{'asInt':6}") ","
                                                                                                                      "{'name':'g','gauge':{'dataPoints':[{'asInt':5}]}}]}]}]}");
    struct otlp otlp;

    (void)state;
    assert_true(otlp_take_as(&otlp, true, str_of(json)));
    assert_int_equal(otlp.body->counts.stored, 8);
    free(otlp_points(&otlp));
    const struct delta *delta = otlp.delta;
    assert_int_equal(delta->cell_count, 2);
    assert_true(aggregate_sum(&delta->cells[0].cell.aggregate) == 5);
    assert_int_equal(delta_cell_samples(&delta->cells[0]), 3);
    assert_true(aggregate_sum(&delta->cells[1].cell.aggregate) == 6);
    assert_int_equal(delta_cell_samples(&delta->cells[1]), 2);
    assert_int_equal(delta->point_count, 3); /* totals and levels: after what came before */
    for (size_t i = 0; i < delta->point_count; i++)
        assert_true(delta->points[i].by_arrival);
    otlp_fini(&otlp);
    free(json);
}

static void what_only_counts_up_is_not_negative(void **state)
{
    (void)state;
    rejects(SUM("1", "true", "{'timeUnixNano':@0,'asInt':-1},{'timeUnixNano':@1,'asInt':1}"),
            "counter n more by 1, +1\n", 1, "what only counts up is negative");
    rejects(SUM("2", "true", "{'timeUnixNano':@0,'asDouble':-0.5}"), "", 1, "bad_number 1");
}

static void O12_a_gauge_is_a_level(void **state)
{
    (void)state;
    gives(
        "{'name':'temp','gauge':{'dataPoints':[{'startTimeUnixNano':@-9,'timeUnixNano':@0,'asDouble':"
        "-2.5},{'timeUnixNano':@1,'asInt':'-3'}]}}",
        "gauge temp at -2.5, +0\ngauge temp at -3, +1\n");
    rejects("{'name':'temp','gauge':{'dataPoints':[{'timeUnixNano':@0}]}}", "", 1,
            "1 of 1 data points rejected (bad_number 1); point 1, 'temp': the "
            "point has no value");
}

static void counts_dropped(const char *metric, enum drop_reason reason, uint64_t dropped)
{
    struct buf request = BUF_EMPTY;
    struct otlp otlp;

    buf_printf(&request, "{'resourceMetrics':[{'scopeMetrics':[{'metrics':[%s]}]}]}", metric);
    char *text = buf_take_text(&request);
    char *json = json_of(text);
    assert_true(otlp_take_as(&otlp, true, str_of(json)));
    assert_true(otlp.body->counts.dropped[reason] == dropped);
    assert_true(otlp.body->counts.received == dropped);
    check_answer(&otlp, 0);
    otlp_fini(&otlp);
    free(json);
    free(text);
}

static void O13_points_without_a_value_are_dropped(void **state)
{
    (void)state;
    counts_dropped("{'name':'n','gauge':{'dataPoints':[{'timeUnixNano':@0,'flags':1},"
                   "{'timeUnixNano':@0,'flags':3,'asInt':5}]}}",
                   DROP_stale_marker, 2);
    counts_dropped(
        "{'name':'n','histogram':{'aggregationTemporality':2,'dataPoints':[{'timeUnixNano':@0,"
        "'flags':1,'bucketCounts':[1]}]}}",
        DROP_stale_marker, 1);
    counts_dropped("{'name':'n','exponentialHistogram':{'aggregationTemporality':2,'dataPoints':[{"
                   "'timeUnixNano':@0,'flags':1}]}}",
                   DROP_stale_marker, 1);
    counts_dropped("{'name':'n','summary':{'dataPoints':[{'timeUnixNano':@0,'flags':1}]}}",
                   DROP_stale_marker, 1);
    counts_dropped("{'name':'n','gauge':{'dataPoints':[{'timeUnixNano':@0,'asDouble':'NaN'},"
                   "{'timeUnixNano':@0,'asDouble':'-Infinity'}]}}",
                   DROP_not_finite, 2);
}

/* --- O14 to O16: histograms ------------------------------------------------------------------- */

#define HISTOGRAM(temporality, points)                                                             \
    "{'name':'h','histogram':{'aggregationTemporality':" temporality ",'dataPoints':[" points "]}}"

static void O14_explicit_histograms_keep_their_bounds(void **state)
{
    (void)state;
    gives(HISTOGRAM("2",
                    "{'startTimeUnixNano':@-9,'timeUnixNano':@0,'count':'4','sum':7.5,'min':0.5,"
                    "'max':4,'explicitBounds':[1,2.5,10],'bucketCounts':['1','2',1,0]}"),
          "distribution h up to 4 values, +0 since -9\n");
    gives(HISTOGRAM("1", "{'timeUnixNano':@0,'count':2,'explicitBounds':[1],'bucketCounts':[1,1]}"),
          "distribution h more by 2 values, +0\n"); /* O15: no sum, no extremes */
    gives(HISTOGRAM("1", "{'timeUnixNano':@0,'count':3,'sum':6,'min':1,'max':3}"),
          "distribution h more by 3 values, +0\n"); /* both empty */
    gives(HISTOGRAM("1", "{'timeUnixNano':@0,'count':3,'sum':6,'bucketCounts':[3]}"),
          "distribution h more by 3 values, +0\n");
    gives(HISTOGRAM("1", "{'timeUnixNano':@0,'count':0,'sum':0,'min':'Infinity','max':'-Infinity',"
                         "'explicitBounds':[1],'bucketCounts':[0,0]}"),
          "distribution h more by 0 values, +0\n");
}

static void O14_what_contradicts_itself_is_rejected_alone(void **state)
{
    static const char *const points[] = {
        "'count':3,'explicitBounds':[1],'bucketCounts':[1,1,1]", /* the one of the examples */
        "'count':2,'explicitBounds':[1]",
        "'count':3,'explicitBounds':[1],'bucketCounts':[1,1]",
        "'count':2,'explicitBounds':[2,1],'bucketCounts':[1,1,0]",
        "'count':2,'explicitBounds':[1,1],'bucketCounts':[1,1,0]",
        "'count':2,'explicitBounds':['NaN'],'bucketCounts':[1,1]",
        "'count':2,'explicitBounds':['Infinity'],'bucketCounts':[1,1]",
        "'count':2,'explicitBounds':[1],'bucketCounts':[1,1],'min':3,'max':2",
        "'count':'18446744073709551615','explicitBounds':[1],'bucketCounts':['18446744073709551615',0]",
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(points); i++) {
        struct buf metric = BUF_EMPTY;
        buf_printf(&metric,
                   HISTOGRAM("2", "{'timeUnixNano':@0,%s},{'timeUnixNano':@1,'count':1,"
                                  "'explicitBounds':[],'bucketCounts':[1]}"),
                   points[i]);
        char *text = buf_take_text(&metric);
        rejects(text, "distribution h up to 1 values, +1\n", 1, "bad_histogram 1");
        free(text);
    }
}

static void O14_bounds_have_a_limit(void **state)
{
    (void)state;
    for (int more = 0; more < 2; more++) {
        struct buf metric = BUF_EMPTY;
        int count = BOUNDED_BOUNDS_MAX + more;
        buf_text(&metric, "{'name':'h','histogram':{'aggregationTemporality':1,'dataPoints':[{"
                          "'timeUnixNano':@0,'count':0,'explicitBounds':[");
        for (int i = 0; i < count; i++)
            buf_printf(&metric, "%s%d", i == 0 ? "" : ",", i);
        buf_text(&metric, "],'bucketCounts':[0");
        for (int i = 0; i < count; i++)
            buf_text(&metric, ",0");
        buf_text(&metric, "]}]}}");
        char *text = buf_take_text(&metric);
        if (more == 0)
            gives(text, "distribution h more by 0 values, +0\n");
        else
            rejects(text, "", 1, "too many buckets");
        free(text);
    }
}

#define EXPONENTIAL(points)                                                                        \
    "{'name':'h','exponentialHistogram':{'aggregationTemporality':1,'dataPoints':[" points "]}}"

static void O16_exponential_histograms_keep_their_scale(void **state)
{
    (void)state;
    gives(EXPONENTIAL(
              "{'startTimeUnixNano':@-9,'timeUnixNano':@0,'count':7,'sum':3,'scale':3,"
              "'zeroCount':'1','zeroThreshold':0.1,'positive':{'offset':-2,'bucketCounts':['1',2,"
              "0]},'negative':{'bucketCounts':[3]}}"),
          "distribution h more by 7 values, +0 since -9\n");
    gives(EXPONENTIAL(
              "{'timeUnixNano':@0,'count':1,'scale':20,'positive':{'offset':1048576,'bucketCounts':"
              "[1]}},{'timeUnixNano':@1,'count':1,'scale':-10,'positive':{'bucketCounts':[1]}}"),
          "distribution h more by 1 values, +0\ndistribution h more by 1 values, +1\n");
    rejects(EXPONENTIAL("{'timeUnixNano':@0,'count':2,'scale':3,'positive':{'bucketCounts':[1]}}"),
            "", 1, "bad_histogram 1");
    rejects(EXPONENTIAL(
                "{'timeUnixNano':@0,'count':1,'scale':0,'positive':{'offset':5000,'bucketCounts':"
                "[1]}}"),
            "", 1, "bad_histogram 1"); /* 2^5000 is no double */
    rejects(EXPONENTIAL(
                "{'timeUnixNano':@0,'count':1,'scale':-2147483648,'positive':{'offset':2147483647,"
                "'bucketCounts':[1]}}"),
            "", 1, "bad_histogram 1");
    gives(EXPONENTIAL(
              "{'timeUnixNano':@0,'count':1,'scale':2147483647,'positive':{'offset':-2147483648,"
              "'bucketCounts':[1]}}"),
          "distribution h more by 1 values, +0\n"); /* all of its buckets are next to 1 */
}

/* --- O17: summaries --------------------------------------------------------------------------- */

static void O17_a_summary_becomes_levels_and_two_counters(void **state)
{
    (void)state;
    gives(
        "{'name':'s','summary':{'dataPoints':[{'attributes':[" ATTRIBUTE(
            "z",
            "1") "],"
                 "'startTimeUnixNano':@-9,'timeUnixNano':@0,'count':'5','sum':10.5,'quantileValues':[{"
                 "'quantile':0.5,'value':2},{'quantile':0.99,'value':4},{'quantile':1,'value':'NaN'},{}]}]}}",
        "counter s_count{z=\"1\"} up to 5, +0 since -9\n"
        "counter s_sum{z=\"1\"} up to 10.5, +0 since -9\n"
        "gauge s{quantile=\"0.5\",z=\"1\"} at 2, +0\n"
        "gauge s{quantile=\"0.99\",z=\"1\"} at 4, +0\n"
        "gauge s{quantile=\"0\",z=\"1\"} at 0, +0\n");
    rejects("{'name':'s','summary':{'dataPoints':[{'timeUnixNano':@0,'count':'5','sum':-1,"
            "'quantileValues':[{'quantile':'NaN'}]}]}}",
            "counter s_count up to 5, +0\n", 1, "1 of 1 data points rejected (bad_number 2)");
}

/* --- O18 and limits --------------------------------------------------------------------------- */

static void O18_without_a_time_it_is_now(void **state)
{
    (void)state;
    gives("{'name':'n','gauge':{'dataPoints':[{'asInt':1}]}}", "gauge n at 1, +0\n");
    gives("{'name':'n','gauge':{'dataPoints':[{'timeUnixNano':'0','asInt':1}]}}",
          "gauge n at 1, +0\n");
    rejects("{'name':'n','gauge':{'dataPoints':[{'timeUnixNano':1,'asInt':1},{'timeUnixNano':"
            "'18446744073709551615','asInt':1}]}}",
            "", 2, "bad_time 2");
}

static void names_are_as_sent(void **state)
{
    (void)state;
    gives("{'name':'http.server/dauer \xc3\xa4','gauge':{'dataPoints':[{'asInt':1}]}}",
          "gauge \"http.server/dauer \xc3\xa4\" at 1, +0\n");
    rejects(
        "{'gauge':{'dataPoints':[{'asInt':1}]}},{'name':'a\\nb','gauge':{'dataPoints':[{'asInt':1}]}}",
        "", 2, "bad_name 2");
}

static void a_body_that_makes_kpid_hold_too_much_is_refused(void **state)
{
    (void)state;
    for (int is_json = 0; is_json < 2; is_json++) {
        struct buf json = BUF_EMPTY;
        struct buf proto = BUF_EMPTY;
        struct error err;
        uint64_t arrival = 0;
        const struct http_head head = {
            .content_type = is_json == 1 ? STR("application/json") : STR("application/x-protobuf")};
        const struct body_request request = {.head = &head,
                                             .rules = &RULES,
                                             .body_bytes_max = 1024 * 1024,
                                             .held_max = 512 * 1024,
                                             .now_us = NOW * 1000,
                                             .last_arrival = &arrival};
        struct http_answer answer = HTTP_ANSWER_EMPTY;
        buf_text(&json, "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":\"h\","
                        "\"histogram\":{\"aggregationTemporality\":2,\"dataPoints\":[{}");
        for (int i = 0; i < 20000; i++)
            buf_text(&json, ",{}");
        buf_text(&json, "]}}]}]}]}");
        assert_true(otlp_json_convert(buf_view(&json), 1 << 20, &no_pause, &proto, &err));
        struct body *body = OTLP_BODY_FORMAT.open(&request, &answer);
        assert_true(OTLP_BODY_FORMAT.take(body, buf_view(is_json == 1 ? &json : &proto), &err));
        assert_false(OTLP_BODY_FORMAT.end(body, &err));
        assert_int_equal(err.kind, ERROR_FULL);
        OTLP_BODY_FORMAT.close(body);
        http_answer_fini(&answer);
        buf_fini(&json);
        buf_fini(&proto);
    }
}

static void count_pause(void *arg)
{
    ++*(unsigned *)arg;
}

static void a_long_body_makes_pauses(void **state)
{
    enum { POINTS = 8 * 1024 };
    struct buf json = BUF_EMPTY;
    struct buf proto = BUF_EMPTY;
    uint64_t arrival = 0;
    unsigned of_json = 0;
    unsigned of_points = 0;
    struct error err;
    const struct body_pause pause = {count_pause, &of_json};
    const struct http_head head = {.content_type = STR("application/x-protobuf")};
    const struct body_request request = {.head = &head,
                                         .rules = &RULES,
                                         .body_bytes_max = 1024 * 1024,
                                         .held_max = 64 * 1024 * 1024,
                                         .now_us = NOW * 1000,
                                         .last_arrival = &arrival,
                                         .pause = {count_pause, &of_points}};
    struct http_answer answer = HTTP_ANSWER_EMPTY;
    (void)state;

    buf_text(&json, "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":\"g\","
                    "\"gauge\":{\"dataPoints\":[{\"asInt\":1}");
    for (int i = 1; i < POINTS; i++)
        buf_text(&json, ",{\"asInt\":1}");
    buf_text(&json, "]}}]}]}]}");
    assert_true(otlp_json_convert(buf_view(&json), 1 << 20, &pause, &proto, &err));
    assert_in_range(of_json, POINTS / 1024, POINTS / 256);
    struct body *body = OTLP_BODY_FORMAT.open(&request, &answer);
    assert_true(OTLP_BODY_FORMAT.take(body, buf_view(&proto), &err));
    assert_true(OTLP_BODY_FORMAT.end(body, &err));
    assert_in_range(of_points, POINTS / BODY_LOOK_POINTS - 1, POINTS / BODY_LOOK_POINTS + 1);
    OTLP_BODY_FORMAT.close(body);
    http_answer_fini(&answer);
    buf_fini(&json);
    buf_fini(&proto);
}

/* --- with a cache ----------------------------------------------------------------------------- */

/* A point of which each letter is a field: an attribute, its time, its value. */
static void put_spelt_point(struct buf *out, const char *fields)
{
    struct buf point = BUF_EMPTY;

    for (; *fields != '\0'; fields++) {
        struct buf pair = BUF_EMPTY;
        struct buf value = BUF_EMPTY;
        if (*fields == 't') {
            put_bits(&point, 3, (uint64_t)NOW * 1000000);
        } else if (*fields == 'v') {
            put_double(&point, 4, 2.5);
        } else {
            put_text(&pair, 1, (struct str){fields, 1});
            put_text(&value, 1, STR("x"));
            put_message(&pair, 2, &value);
            put_message(&point, 7, &pair);
        }
        buf_fini(&pair);
        buf_fini(&value);
    }
    put_message(out, 1, &point);
    buf_fini(&point);
}

/* What becomes of two points of a gauge; the caller frees it. */
static char *taken_two(struct series_cache *cache, const char *first, const char *second)
{
    struct series_cache *others = fixture_cache;
    struct buf layers[5] = {0};
    struct otlp otlp;

    put_spelt_point(&layers[0], first);
    put_spelt_point(&layers[0], second);
    put_text(&layers[1], 1, STR("level"));
    put_message(&layers[1], 5, &layers[0]);
    put_message(&layers[2], 2, &layers[1]);
    put_message(&layers[3], 2, &layers[2]);
    put_message(&layers[4], 1, &layers[3]);
    fixture_cache = cache;
    assert_true(otlp_take_as(&otlp, false, buf_view(&layers[4])));
    fixture_cache = others;
    char *points = otlp_points(&otlp);
    otlp_fini(&otlp);
    for (size_t i = 0; i < 5; i++)
        buf_fini(&layers[i]);
    return points;
}

/* The fields of a number in base 4: at most three, and a value, behind them or before. */
static void spell(unsigned number, char *out)
{
    if (number % 2 == 0)
        *out++ = 'v';
    for (unsigned rest = number / 2; rest > 0; rest /= 4) {
        if (rest % 4 > 0)
            *out++ = "abt"[rest % 4 - 1];
    }
    if (number % 2 == 1)
        *out++ = 'v';
    *out = '\0';
}

static void points_are_the_same_whatever_attributes_came_before(void **state)
{
    (void)state;
    struct series_cache *cache = series_cache_new(RULES.seed, 1 << 20);
    enum { POINTS = 2 * 64, STEP = 3 };
    char first[8];
    char second[8];

    for (unsigned i = 0; i < POINTS * POINTS; i += STEP) {
        spell(i / POINTS, first);
        spell(i % POINTS, second);
        char *wanted = taken_two(NULL, first, second);
        assert_true(strlen(wanted) > 0);
        for (int again = 0; again < 2; again++) {
            char *points = taken_two(cache, first, second);
            assert_string_equal(points, wanted);
            free(points);
        }
        free(wanted);
    }
    series_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(O1_the_content_type_says_which_encoding_it_is),
        cmocka_unit_test(O6_empty_requests_and_envelopes_are_fine),
        cmocka_unit_test(O5_what_is_no_request_is_refused_as_a_whole),
        cmocka_unit_test(unknown_fields_are_passed_over_everywhere),
        cmocka_unit_test(fields_and_pieces_may_come_in_any_order_and_size),
        cmocka_unit_test(O7_numbers_keep_all_their_bits),
        cmocka_unit_test(O7_enums_are_no_words),
        cmocka_unit_test(O8_the_resource_tells_senders_apart),
        cmocka_unit_test(O8_a_listener_may_name_the_labels),
        cmocka_unit_test(O8_values_of_all_kinds_become_texts),
        cmocka_unit_test(O8_bytes_are_base64),
        cmocka_unit_test(O8_attributes_that_make_no_labels_reject_their_point),
        cmocka_unit_test(O8_the_same_attribute_twice_counts_once),
        cmocka_unit_test(O9_a_sum_says_how_it_counts),
        cmocka_unit_test(O10_a_start_is_as_near_as_it_is),
        cmocka_unit_test(O10_a_window_is_as_exact_as_it_is_sent),
        cmocka_unit_test(O18_a_delta_without_a_time_counts_each_time),
        cmocka_unit_test(what_only_counts_up_is_not_negative),
        cmocka_unit_test(O12_a_gauge_is_a_level),
        cmocka_unit_test(O13_points_without_a_value_are_dropped),
        cmocka_unit_test(O14_explicit_histograms_keep_their_bounds),
        cmocka_unit_test(O14_what_contradicts_itself_is_rejected_alone),
        cmocka_unit_test(O14_bounds_have_a_limit),
        cmocka_unit_test(O16_exponential_histograms_keep_their_scale),
        cmocka_unit_test(O17_a_summary_becomes_levels_and_two_counters),
        cmocka_unit_test(O18_without_a_time_it_is_now),
        cmocka_unit_test(names_are_as_sent),
        cmocka_unit_test(a_body_that_makes_kpid_hold_too_much_is_refused),
        cmocka_unit_test(a_long_body_makes_pauses),
        cmocka_unit_test(points_are_the_same_whatever_attributes_came_before),
    };
    int failed = 0;

    RUN_WITH_AND_WITHOUT_CACHE(tests, failed);
    return failed;
}
