/* What collectd's write_http sends: what a body becomes, and what is refused or rejected of it. */
#include <stdio.h>

#include "ingest/collectd_body.h"
#include "json_text.h"
#include "remote_fixture.h" /* describe_point, RULES */
#include "test.h"

struct collectd {
    struct body *body; /* NULL: refused at once */
    struct http_answer answer;
    struct error err;
    uint64_t arrival;
    struct delta *delta; /* after points_of */
};

static bool open_as(struct collectd *collectd, const char *content_type,
                    const struct batch_rules *rules)
{
    const struct http_head head = {.content_type = str_of(content_type)};
    const struct body_request request = {.head = &head,
                                         .rules = rules,
                                         .body_bytes_max = 1024 * 1024,
                                         .held_max = 1024 * 1024,
                                         .now_us = NOW * 1000,
                                         .last_arrival = &collectd->arrival};

    *collectd = (struct collectd){.answer = {.dialect = HTTP_PUSH}};
    collectd->body = COLLECTD_BODY_FORMAT.open(&request, &collectd->answer);
    return collectd->body != NULL;
}

/* In pieces, each from a copy of its own, so that the sanitizer sees its end. */
static bool take_pieces(struct collectd *collectd, struct str bytes, size_t piece)
{
    bool ok = true;

    for (size_t at = 0; ok && at < bytes.len; at += piece) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        char *exact = memory_alloc(len);
        memcpy(exact, bytes.text + at, len);
        ok = COLLECTD_BODY_FORMAT.take(collectd->body, (struct str){exact, len}, &collectd->err);
        free(exact);
    }
    ok = ok && COLLECTD_BODY_FORMAT.end(collectd->body, &collectd->err);
    if (ok)
        COLLECTD_BODY_FORMAT.verdict(collectd->body, &collectd->answer);
    return ok;
}

static void fini(struct collectd *collectd)
{
    if (collectd->body != NULL)
        COLLECTD_BODY_FORMAT.close(collectd->body);
    delta_free(collectd->delta);
    http_answer_fini(&collectd->answer);
}

/* A line for each point; the caller frees it. */
static char *points_of(struct collectd *collectd)
{
    struct buf out = BUF_EMPTY;

    collectd->delta = batch_take(collectd->body->batch);
    collectd->body->batch = NULL;
    for (size_t i = 0; i < collectd->delta->point_count; i++)
        describe_point(&out, collectd->delta, &collectd->delta->points[i]);
    return buf_take_text(&out);
}

/* Seconds. */
static void write_time(struct buf *out, long long offset_ms)
{
    long long at = NOW + offset_ms;
    buf_printf(out, "%lld.%03lld", at / 1000, at % 1000);
}

static char *json_of(const char *text)
{
    return json_text(text, write_time);
}

static char *text_of(struct buf *buf)
{
    buf_char(buf, '\0');
    buf->len--;
    return buf->bytes;
}

/* What becomes of a body, in whichever pieces it comes. */
static void becomes(const char *text, const char *points, unsigned status, const char *answer)
{
    char *json = json_of(text);

    for (size_t piece = 1; piece <= 4096; piece *= 64) {
        struct collectd collectd;
        assert_true(open_as(&collectd, "application/json", &RULES));
        if (!take_pieces(&collectd, str_of(json), piece))
            fail_msg("%s: %s", json, collectd.err.text);
        assert_true(ledger_balances(&collectd.body->counts));
        char *found = points_of(&collectd);
        assert_string_equal(found, points);
        if (strstr(text_of(&collectd.answer.body), answer) == NULL)
            fail_msg("%s: no '%s' in '%s'", json, answer, collectd.answer.body.bytes);
        assert_int_equal(collectd.answer.status, status);
        assert_true(COLLECTD_BODY_FORMAT.size_bytes(collectd.body) < 64 * 1024);
        free(found);
        fini(&collectd);
    }
    free(json);
}

#define REST "'time':@0,'interval':10.000,'host':'web1','plugin_instance':'','type_instance':''"
#define ONE(type, value)                                                                           \
    "{'values':[" value "],'dstypes':['" type                                                      \
    "'],'dsnames':['value'],'plugin':'p','type':'t'," REST "}"
#define GOOD       ONE("gauge", "1")
#define GOOD_POINT "gauge collectd.p.t{host=\"web1\"} at 1, +0\n"

/* --- what is taken ---------------------------------------------------------------------------- */

static void each_value_is_a_point_of_its_own_series(void **state)
{
    (void)state;

    becomes("[{'values':[0.5,0.25,0.125],'dstypes':['gauge','gauge','gauge'],"
            "'dsnames':['shortterm','midterm','longterm'],'time':@-265,'interval':10.000,"
            "'host':'web1','plugin':'load','plugin_instance':'','type':'load','type_instance':''},"
            "{'values':[1486139],'dstypes':['derive'],'dsnames':['value'],'time':@-1,"
            "'interval':10.000,'host':'web1','plugin':'cpu','plugin_instance':'0','type':'cpu',"
            "'type_instance':'user','meta':{'network:received':true,'deep':[{'a':[null]}]}}]",
            "gauge collectd.load.load.shortterm{host=\"web1\"} at 0.5, -265\n"
            "gauge collectd.load.load.midterm{host=\"web1\"} at 0.25, -265\n"
            "gauge collectd.load.load.longterm{host=\"web1\"} at 0.125, -265\n"
            "counter collectd.cpu.cpu{host=\"web1\",plugin_instance=\"0\",type_instance=\"user\"} "
            "up to 1486139, -1\n",
            200, "{\"stored\":4}\n");
}

static void what_a_value_is_follows_from_its_dstype(void **state)
{
    static const struct {
        const char *list;
        const char *point;
    } cases[] = {
        {ONE("gauge", "-0.0"), "gauge collectd.p.t{host=\"web1\"} at 0, +0\n"},
        {ONE("gauge", "1e+300"),
         "gauge collectd.p.t{host=\"web1\"} at 1.0000000000000001e+300, +0\n"},
        {ONE("derive", "7"), "counter collectd.p.t{host=\"web1\"} up to 7, +0\n"},
        {ONE("counter", "18446744073709551615"),
         "counter collectd.p.t{host=\"web1\"} up to 1.8446744073709552e+19, +0\n"},
        {ONE("absolute", "7"), "counter collectd.p.t{host=\"web1\"} more by 7, +0\n"},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char body[600];
        (void)snprintf(body, sizeof body, "[%s]", cases[i].list);
        becomes(body, cases[i].point, 200, "{\"stored\":1}\n");
    }
}

static void names_and_labels_stay_as_they_are_sent(void **state)
{
    (void)state;

    becomes("[{'values':[1],'dstypes':['gauge'],'dsnames':['a b'],'time':@0,'host':'a,b=c\\u00e4',"
            "'plugin':'x y','plugin_instance':'/mnt/{1}','type':'t.u','type_instance':' '}]",
            "gauge \"collectd.x y.t.u.a b\"{host=\"a,b=c\xc3\xa4\",plugin_instance=\"/mnt/{1}\","
            "type_instance=\" \"} at 1, +0\n",
            200, "{\"stored\":1}\n");
}

static void what_is_not_sent_is_left_out(void **state)
{
    (void)state;

    becomes("[]", "", 200, "{\"stored\":0}\n");
    becomes(" [ ] \n", "", 200, "{\"stored\":0}\n");
    /* No labels, and the time of the request. */
    becomes("[{'values':[1],'dstypes':['gauge'],'dsnames':['value'],'plugin':'p','type':'t'}]",
            "gauge collectd.p.t at 1, +0\n", 200, "{\"stored\":1}\n");
}

static void of_a_key_that_comes_twice_the_last_one_counts(void **state)
{
    (void)state;

    becomes("[{'values':[8,9],'values':[1],'dstypes':['x','y'],'dstypes':['gauge'],"
            "'dsnames':['a','b'],'dsnames':['value'],'plugin':'q','plugin':'p','type':'t',"
            "'time':1e300,'time':@-1,'host':'web2','host':''}]",
            "gauge collectd.p.t at 1, -1\n", 200, "{\"stored\":1}\n");
}

/* Nothing tells an absolute from another one that has no time either; totals and levels follow what
 * came before. */
static void what_has_no_time_counts_as_it_comes(void **state)
{
    struct collectd collectd;
    char *json = json_of("[{'values':[5,7,9],'dstypes':['absolute','derive','gauge'],'dsnames':["
                         "'a','b','c'],'plugin':'p','type':'t'},"
                         "{'values':[5,7,9],'dstypes':['absolute','derive','gauge'],'dsnames':["
                         "'a','b','c'],'plugin':'p','type':'t'}]");

    (void)state;
    assert_true(open_as(&collectd, "application/json", &RULES));
    assert_true(take_pieces(&collectd, str_of(json), 4096));
    assert_int_equal(collectd.body->counts.stored, 6);
    char *points = points_of(&collectd);
    assert_string_equal(points,
                        "counter collectd.p.t.b up to 7, +0\ngauge collectd.p.t.c at 9, +0\n"
                        "counter collectd.p.t.b up to 7, +0\ngauge collectd.p.t.c at 9, +0\n");
    assert_true(collectd.delta->points[0].by_arrival && collectd.delta->points[1].by_arrival);
    assert_int_equal(collectd.delta->cell_count, 1);
    assert_true(aggregate_sum(&collectd.delta->cells[0].cell.aggregate) == 10);
    free(points);
    fini(&collectd);
    free(json);
}

static void what_is_not_a_number_is_dropped(void **state)
{
    struct collectd collectd;
    (void)state;

    char *json = json_of("[{'values':[null,2],'dstypes':['gauge','derive'],'dsnames':['rx','tx'],"
                         "'plugin':'p','type':'t'," REST "}," ONE("absolute", "null") "]");
    assert_true(open_as(&collectd, "application/json", &RULES));
    assert_true(take_pieces(&collectd, str_of(json), 4096));
    assert_int_equal(collectd.body->counts.received, 3);
    assert_int_equal(collectd.body->counts.stored, 1);
    assert_int_equal(collectd.body->counts.dropped[DROP_not_finite], 2);
    assert_int_equal(collectd.answer.status, 200);
    char *points = points_of(&collectd);
    assert_string_equal(points, "counter collectd.p.t.tx{host=\"web1\"} up to 2, +0\n");
    free(points);
    fini(&collectd);
    /* Though nothing is stored, nobody made a mistake. */
    becomes("[" ONE("gauge", "null") "]", "", 200, "{\"stored\":0,\"dropped\":1}\n");
    free(json);
}

/* --- what is rejected ------------------------------------------------------------------------- */

static void a_list_that_makes_no_sense_is_rejected_alone(void **state)
{
    static const struct {
        const char *list;
        enum reject_reason reason;
        unsigned samples;
        const char *says;
    } cases[] = {
        {"{}", REJECT_malformed, 1, "there are no values"},
        {"{'values':[],'dstypes':[],'dsnames':[],'plugin':'p','type':'t'," REST "}",
         REJECT_malformed, 1, "there are no values"},
        {"{'values':[1,2],'dstypes':['gauge'],'dsnames':['a','b'],'plugin':'p','type':'t'," REST
         "}",
         REJECT_malformed, 2, "values, dstypes and dsnames are not of one length"},
        {"{'values':[1],'dstypes':['gauge'],'dsnames':['a','b'],'plugin':'p','type':'t'," REST "}",
         REJECT_malformed, 1, "not of one length"},
        {"{'values':[1,2,3],'plugin':'p','type':'t'," REST "}", REJECT_malformed, 3,
         "not of one length"},
        {"{'values':[1],'dstypes':['gauge'],'dsnames':['value'],'plugin':'','type':'t'," REST "}",
         REJECT_bad_name, 1, "there is no plugin or no type"},
        {"{'values':[1],'dstypes':['gauge'],'dsnames':['value'],'plugin':'p'," REST "}",
         REJECT_bad_name, 1, "there is no plugin or no type"},
        {"{'values':[1],'dstypes':['gauge'],'dsnames':[''],'plugin':'p','type':'t'," REST "}",
         REJECT_bad_name, 1, "the dsname is empty"},
        {"{'values':[1],'dstypes':['gauge'],'dsnames':['value'],'plugin':'p\\u0001','type':'t'," REST
         "}",
         REJECT_bad_name, 1, "control characters"},
        {ONE("Gauge", "1"), REJECT_bad_type, 1, "the dstype is not gauge"},
        {ONE("", "1"), REJECT_bad_type, 1, "the dstype is not gauge"},
        {ONE("gauge", "1e999"), REJECT_bad_number, 1, "too large a number"},
        {ONE("derive", "-1"), REJECT_bad_number, 1, "a total is negative"},
        {"{'values':[1],'dstypes':['gauge'],'dsnames':['value'],'plugin':'p','type':'t',"
         "'host':'a\\u0001b'}",
         REJECT_bad_tags, 1, "holds 0x00 or 0x01"},
        {"{'values':[1],'dstypes':['gauge'],'dsnames':['value'],'plugin':'p','type':'t',"
         "'type_instance':'\\u0000'}",
         REJECT_bad_tags, 1, "holds 0x00 or 0x01"},
        {"{'values':[1],'dstypes':['gauge'],'dsnames':['value'],'plugin':'p','type':'t',"
         "'time':@86400000}",
         REJECT_bad_time, 1, "too far in the future"},
        {"{'values':[1],'dstypes':['gauge'],'dsnames':['value'],'plugin':'p','type':'t',"
         "'time':0}",
         REJECT_bad_time, 1, "too far in the future or the past"},
        {"{'values':[1],'dstypes':['gauge'],'dsnames':['value'],'plugin':'p','type':'t',"
         "'time':-1e400}",
         REJECT_bad_time, 1, "too far in the future or the past"},
        {"{'values':[1],'dstypes':['gauge'],'dsnames':['value'],'plugin':'p','type':'t',"
         "'time':1e40}",
         REJECT_bad_time, 1, "too far in the future or the past"},
        {"{'labels':{'alertname':'collectd_p_','severity':'WARNING'},'annotations':{'summary':'x'},"
         "'startsAt':'2026-10-12T07:00:30.000000000Z'}",
         REJECT_unsupported, 1, "notifications are not taken"},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct collectd collectd;
        char body[1200];
        char counts[64];

        /* Alone: 400. */
        (void)snprintf(body, sizeof body, "[%s]", cases[i].list);
        becomes(body, "", 400, cases[i].says);
        /* Among others, which are stored: 200, and how many were not. */
        (void)snprintf(body, sizeof body, "[" GOOD ",%s]", cases[i].list);
        (void)snprintf(counts, sizeof counts, "{\"stored\":1,\"rejected\":%u,\"error\":\"",
                       cases[i].samples);
        becomes(body, GOOD_POINT, 200, counts);
        (void)snprintf(counts, sizeof counts, "(%s %u), the others are taken; value list 2, '",
                       reject_reason_name(cases[i].reason), cases[i].samples);
        becomes(body, GOOD_POINT, 200, counts);
        becomes(body, GOOD_POINT, 200, cases[i].says);
        char *json = json_of(body);
        assert_true(open_as(&collectd, "application/json", &RULES));
        assert_true(take_pieces(&collectd, str_of(json), 4096));
        assert_int_equal(collectd.body->counts.received, 1 + cases[i].samples);
        assert_int_equal(collectd.body->counts.rejected[cases[i].reason], cases[i].samples);
        assert_int_equal(collectd.body->example_count, 1);
        assert_int_equal(collectd.body->examples[0].place, 2);
        assert_true(collectd.body->examples[0].example[0] != '\0');
        fini(&collectd);
        free(json);
    }
}

static void of_one_list_a_bad_value_is_rejected_alone(void **state)
{
    (void)state;

    becomes("[{'values':[1,2,-3,4],'dstypes':['gauge','wrong','derive','absolute'],"
            "'dsnames':['a','b','c','d'],'plugin':'p','type':'t'," REST "}]",
            "gauge collectd.p.t.a{host=\"web1\"} at 1, +0\n"
            "counter collectd.p.t.d{host=\"web1\"} more by 4, +0\n",
            200,
            "{\"stored\":2,\"rejected\":2,\"error\":\"2 of 4 samples rejected (bad_number 1, "
            "bad_type 1), the others are taken; value list 1, "
            "'collectd.p.t.b{host=\\\"web1\\\"}': the dstype is not gauge");
}

/* A list of so many values, each with a name of its own. */
static void put_list(struct buf *out, size_t count)
{
    buf_text(out, "[{'plugin':'p','type':'t','values':[");
    for (size_t i = 0; i < count; i++)
        buf_text(out, i == 0 ? "1" : ",1");
    buf_text(out, "],'dstypes':[");
    for (size_t i = 0; i < count; i++)
        buf_text(out, i == 0 ? "'gauge'" : ",'gauge'");
    buf_text(out, "],'dsnames':[");
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s'n%zu'", i == 0 ? "" : ",", i);
    buf_text(out, "]}]");
}

static void a_list_has_so_many_values(void **state)
{
    (void)state;

    for (size_t more = 0; more < 2; more++) {
        struct collectd collectd;
        struct buf body = BUF_EMPTY;
        put_list(&body, COLLECTD_VALUES_MAX + more);
        char *json = json_of(text_of(&body));
        assert_true(open_as(&collectd, "application/json", &RULES));
        assert_true(take_pieces(&collectd, str_of(json), 4096));
        assert_int_equal(collectd.body->counts.received, COLLECTD_VALUES_MAX + more);
        assert_int_equal(collectd.body->counts.stored, more == 0 ? COLLECTD_VALUES_MAX : 0);
        assert_int_equal(collectd.body->counts.rejected[REJECT_too_long],
                         more == 0 ? 0 : COLLECTD_VALUES_MAX + more);
        assert_int_equal(collectd.answer.status, more == 0 ? 200 : 400);
        fini(&collectd);
        free(json);
        buf_fini(&body);
    }
}

static void long_names_and_labels_are_rejected(void **state)
{
    static const struct {
        const char *key;
        size_t len;
        enum reject_reason reason;
    } cases[] = {
        {"plugin", METRIC_NAME_MAX, REJECT_bad_name},
        {"plugin", METRIC_NAME_MAX - sizeof "collectd..t" + 1, REJECT_NONE},
        {"host", LABEL_BYTES_MAX, REJECT_bad_tags},
        {"host", LABEL_BYTES_MAX - sizeof "host" - 1, REJECT_NONE},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct collectd collectd;
        struct buf body = BUF_EMPTY;
        buf_printf(&body,
                   "[{'values':[1],'dstypes':['gauge'],'dsnames':['value'],'plugin':'p',"
                   "'type':'t','%s':'%0*d'}]",
                   cases[i].key, (int)cases[i].len, 0);
        char *json = json_of(text_of(&body));
        assert_true(open_as(&collectd, "application/json", &RULES));
        assert_true(take_pieces(&collectd, str_of(json), 4096));
        if (cases[i].reason == REJECT_NONE)
            assert_int_equal(collectd.body->counts.stored, 1);
        else
            assert_int_equal(collectd.body->counts.rejected[cases[i].reason], 1);
        fini(&collectd);
        free(json);
        buf_fini(&body);
    }
}

/* --- what is refused -------------------------------------------------------------------------- */

#define NO_LIST "the body is no list of collectd's value lists: "

static void what_has_another_shape_is_refused_as_a_whole(void **state)
{
    static const struct {
        const char *body;
        const char *says;
    } cases[] = {
        {"", "the body is no JSON (at byte 0)"},
        {"  ", "the body is no JSON"},
        {"PUTVAL web1/p/t interval=10 N:1", "the body is no JSON (at byte 0)"},
        {"[" GOOD, "the body is no JSON"},
        {"[" GOOD "]]", "the body is no JSON"},
        {"[" GOOD ",]", "the body is no JSON"},
        {"[" GOOD "],[]", "the body is no JSON"},
        {"[" GOOD " " GOOD "]", "the body is no JSON"},
        {"[" GOOD ",{'values':[NaN]}]", "the body is no JSON"},
        {"[" GOOD ",{'values':[1.]}]", "the body is no JSON"},
        {"[" GOOD ",{'host':'\xff'}]", "the body is no JSON"},
        {"[" GOOD ",{'host':'\\ud800'}]", "the body is no JSON"},
        {"[" GOOD ",{'meta':[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
         "no JSON"},
        {GOOD, NO_LIST "it is no list (at byte 0)"},
        {"1", NO_LIST "it is no list"},
        {"[" GOOD ",1]", NO_LIST "it holds what is no object"},
        {"[null]", NO_LIST "it holds what is no object"},
        {"[[]]", NO_LIST "it holds what is no object"},
        {"[{'values':1}]", NO_LIST "values is no list"},
        {"[{'values':null}]", NO_LIST "values is no list"},
        {"[{'values':{}}]", NO_LIST "values is no list"},
        {"[{'values':['1']}]", NO_LIST "values holds what is neither a number nor null"},
        {"[{'values':[true]}]", NO_LIST "values holds what is neither a number nor null"},
        {"[{'values':[[1]]}]", NO_LIST "values holds what is neither a number nor null"},
        {"[{'dstypes':'gauge'}]", NO_LIST "dstypes is no list"},
        {"[{'dstypes':[1]}]", NO_LIST "dstypes is no text"},
        {"[{'dsnames':[null]}]", NO_LIST "dsnames is no text"},
        {"[{'time':'1'}]", NO_LIST "time is no number"},
        {"[{'time':null}]", NO_LIST "time is no number"},
        {"[{'host':null}]", NO_LIST "host is no text"},
        {"[{'plugin':1}]", NO_LIST "plugin is no text"},
        {"[{'type_instance':[]}]", NO_LIST "type_instance is no text"},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        for (size_t piece = 1; piece <= 4096; piece *= 64) {
            struct collectd collectd;
            char *json = json_of(cases[i].body);
            assert_true(open_as(&collectd, "application/json", &RULES));
            if (take_pieces(&collectd, str_of(json), piece))
                fail_msg("%s is taken", json);
            if (strstr(collectd.err.text, cases[i].says) == NULL)
                fail_msg("%s: no '%s' in '%s'", json, cases[i].says, collectd.err.text);
            assert_int_equal(collectd.err.kind, ERROR_INVALID);
            fini(&collectd);
            free(json);
        }
    }
}

/* Two bytes of the body stand for some hundred that are held. */
static void a_body_that_makes_kpid_hold_too_much_is_refused(void **state)
{
    const struct batch_rules rules = {
        .series_max = 100000, .max_future = MS_PER_HOUR, .max_past = MS_PER_DAY, .seed = 42};
    struct buf body = BUF_EMPTY;
    struct collectd collectd;
    (void)state;

    for (int i = 0; i < 20000; i++)
        buf_printf(&body,
                   "%s{'plugin':'p','type':'t%d','values':[1],'dstypes':['gauge'],"
                   "'dsnames':['value']}",
                   i == 0 ? "[" : ",", i);
    buf_char(&body, ']');
    char *json = json_of(text_of(&body));
    assert_true(open_as(&collectd, "application/json", &rules));
    assert_false(take_pieces(&collectd, str_of(json), 65536));
    assert_int_equal(collectd.err.kind, ERROR_FULL);
    assert_true(COLLECTD_BODY_FORMAT.size_bytes(collectd.body) < 3 * 1024 * 1024);
    fini(&collectd);
    free(json);
    buf_fini(&body);
}

static void the_content_type_may_say_that_it_is_something_else(void **state)
{
    static const struct {
        const char *content_type;
        const char *says; /* NULL: it is taken */
    } cases[] = {
        {"application/json", NULL},
        {"application/json; charset=utf-8", NULL},
        {"application/x-www-form-urlencoded", NULL}, /* curl */
        {"", NULL},
        {"text/plain", "write_http needs Format \\\"JSON\\\""}, /* its default, commands */
        {"application/x-protobuf", "is not application/json"},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct collectd collectd;
        bool is_taken = cases[i].says == NULL;
        assert_int_equal(open_as(&collectd, cases[i].content_type, &RULES), is_taken);
        assert_int_equal(collectd.answer.status, is_taken ? 0 : 415);
        if (!is_taken)
            assert_non_null(strstr(text_of(&collectd.answer.body), cases[i].says));
        fini(&collectd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_is_a_point_of_its_own_series),
        cmocka_unit_test(what_a_value_is_follows_from_its_dstype),
        cmocka_unit_test(names_and_labels_stay_as_they_are_sent),
        cmocka_unit_test(what_is_not_sent_is_left_out),
        cmocka_unit_test(of_a_key_that_comes_twice_the_last_one_counts),
        cmocka_unit_test(what_has_no_time_counts_as_it_comes),
        cmocka_unit_test(what_is_not_a_number_is_dropped),
        cmocka_unit_test(a_list_that_makes_no_sense_is_rejected_alone),
        cmocka_unit_test(of_one_list_a_bad_value_is_rejected_alone),
        cmocka_unit_test(a_list_has_so_many_values),
        cmocka_unit_test(long_names_and_labels_are_rejected),
        cmocka_unit_test(what_has_another_shape_is_refused_as_a_whole),
        cmocka_unit_test(a_body_that_makes_kpid_hold_too_much_is_refused),
        cmocka_unit_test(the_content_type_may_say_that_it_is_something_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
