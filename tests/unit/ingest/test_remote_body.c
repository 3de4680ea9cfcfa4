/* Remote write 1.0 and 2.0: what a body becomes, rule by rule (P1 to P18). */
#include <stdio.h>

#include "ingest/remote_symbols.h"
#include "remote_fixture.h"
#include "test.h"

/* --- requests with one series ----------------------------------------------------------------- */

/* What becomes of a 1.0 request with these series, each "labels|samples": samples are "value@offset
 * in ms", 0x... for the bits of a value. */
static void put_samples(struct buf *series, const char *text)
{
    struct str rest = str_of(text);
    while (rest.len > 0) {
        struct str at = str_split(&rest, ' ');
        struct str value = str_split(&at, '@');
        double number = 0;
        int64_t offset = 0;
        assert_true(str_parse_double(value, &number));
        assert_true(str_parse_i64(at, &offset));
        put_sample(series, number, NOW + offset, 0);
    }
}

struct one_series {
    const char *labels;
    const char *samples;
};

static void put_series_1(struct buf *request, const struct one_series *one)
{
    struct buf series = BUF_EMPTY;
    put_labels(&series, one->labels);
    put_samples(&series, one->samples);
    put_message(request, 1, &series);
    buf_fini(&series);
}

static void put_series_2(struct buf *request, struct symbols *symbols, const struct one_series *one,
                         unsigned type)
{
    struct buf series = BUF_EMPTY;
    struct buf metadata = BUF_EMPTY;
    put_references(symbols, &series, one->labels);
    put_samples(&series, one->samples);
    put_number(&metadata, 1, type);
    put_message(&series, 5, &metadata);
    put_message(request, 5, &series);
    buf_fini(&metadata);
    buf_fini(&series);
}

static void gives(unsigned version, struct buf *request, unsigned status, const char *points)
{
    struct remote remote;
    bool ok = remote_take_as(&remote, version, buf_view(request));
    assert_true(ok);
    char *text = remote_points(&remote);
    assert_string_equal(text, points);
    assert_int_equal(remote.answer.status, status);
    assert_true(ledger_balances(&remote.body->counts));
    free(text);
    remote_fini(&remote);
    buf_fini(request);
}

static void series_gives(const char *labels, const char *samples, const char *points)
{
    struct buf request = BUF_EMPTY;
    struct symbols symbols = {.count = 0};
    const struct one_series one = {labels, samples};

    put_series_1(&request, &one);
    gives(1, &request, 204, points);
    put_series_2(&request, &symbols, &one, REMOTE_UNKNOWN);
    finish_2(&request, &symbols);
    gives(2, &request, 204, points);
}

/* --- P2: types and encodings ------------------------------------------------------------------ */

static void P2_P3_the_content_type_alone_says_which_version_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *content_type;
        uint64_t version;
    } cases[] = {
        {"application/x-protobuf", 1},
        {"Application/X-Protobuf", 1},
        {"application/x-protobuf;proto=prometheus.WriteRequest", 1},
        {"application/x-protobuf; proto=prometheus.WriteRequest", 1},
        {"application/x-protobuf ; charset=utf-8", 1},
        {"application/x-protobuf;", 1},
        {"application/x-protobuf;proto=io.prometheus.write.v2.Request", 2},
        {"application/x-protobuf ; Proto = \"io.prometheus.write.v2.Request\" ", 2},
        {"application/x-protobuf; v=1; proto= io.prometheus.write.v2.Request ; q=2", 2},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct remote remote;
        assert_true(remote_open_as(&remote, cases[i].content_type, &RULES));
        assert_true(remote.body->variant == cases[i].version);
        remote_fini(&remote);
    }
}

static void P2_other_types_and_encodings_are_refused_before_the_body(void **state)
{
    (void)state;
    static const struct {
        const char *content_type;
        enum http_encoding encoding;
    } cases[] = {
        {"", HTTP_SNAPPY},
        {"application/json", HTTP_SNAPPY},
        {"image/png", HTTP_SNAPPY},
        {"application/x-protobuf2", HTTP_SNAPPY},
        {"application/x-proto", HTTP_SNAPPY},
        {"x;application/x-protobuf", HTTP_SNAPPY},
        {"application/x-protobuf;proto=io.prometheus.write.v3.Request", HTTP_SNAPPY},
        {"application/x-protobuf;proto=", HTTP_SNAPPY},
        {"application/x-protobuf;proto=\"", HTTP_SNAPPY},
        {"application/x-protobuf", HTTP_GZIP},
        {"application/x-protobuf", HTTP_IDENTITY},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const struct http_head head = {.encoding = cases[i].encoding,
                                       .content_type = str_of(cases[i].content_type)};
        uint64_t arrival = 0;
        const struct body_request request = {
            .head = &head, .rules = &RULES, .last_arrival = &arrival};
        struct http_answer answer = {.dialect = HTTP_PLAIN};
        assert_null(REMOTE_BODY_FORMAT.open(&request, &answer));
        assert_int_equal(answer.status, 415);
        assert_true(answer.says_written);
        http_answer_fini(&answer);
    }
}

/* --- P4, P5: requests ------------------------------------------------------------------------- */

static void P4_what_is_no_protobuf_is_refused_as_a_whole(void **state)
{
    (void)state;
    static const struct {
        unsigned version;
        struct str bytes;
    } cases[] = {
        {1, {"\x0a", 1}},
        {1, {"\x0a\x05", 2}},
        {1, {"garbage!", 8}},
        {1, {"\x0a\x01\x0a", 3}},                 /* a label without its length */
        {1, {"\x0a\x03\x0a\x01\x0a", 5}},         /* a name without its length */
        {1, {"\x0a\x03\x12\x01\x09", 5}},         /* a value without its bytes */
        {1, {"\x0a\x03\x22\x01\x0f", 5}},         /* a histogram with a type that is none */
        {1, {"\x0a\x05\x22\x03\x5a\x01\x08", 7}}, /* a span without its offset */
        {1, {"\x0a\x05\x22\x03\x62\x01\x80", 7}}, /* half a delta */
        {1, {"\x1a\x01\x12", 3}},                 /* metadata without a name */
        {1, {"\x0a\x02\x32\x01", 4}},
        {2, {"\x22\x01x", 3}}, /* P6: the first symbol is not empty */
        {2, {"\x22", 1}},
        {2, {"\x22\x00\x2a\x03\x0a\x01\x80", 7}}, /* half a reference */
        {2, {"\x22\x00\x2a\x03\x2a\x01\x08", 7}}, /* metadata without its type */
        {2, {"\x22\x00\x2a\x03\x12\x01\x10", 7}},
        {2, {"\x22\x00\x2a\x03\x1a\x01\x10", 7}},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct remote remote;
        assert_true(!remote_take_as(&remote, cases[i].version, cases[i].bytes));
        assert_int_equal(remote.err.kind, ERROR_INVALID);
        REMOTE_BODY_FORMAT.refusal(&remote.answer, 400, str_of(remote.err.text));
        assert_int_equal(remote.answer.status, 400);
        assert_true(remote.answer.says_written); /* P7: on 4xx too */
        assert_true(remote.answer.counts.samples == 0);
        remote_fini(&remote);
    }
}

static void P5_an_empty_request_and_one_of_metadata_alone_are_fine(void **state)
{
    (void)state;
    struct buf request = BUF_EMPTY;
    struct buf inner = BUF_EMPTY;

    gives(1, &request, 204, "");
    gives(2, &request, 204, "");
    put_number(&inner, 1, REMOTE_COUNTER);
    put_text(&inner, 2, STR("hits"));
    put_text(&inner, 4, STR("how often"));
    put_message(&request, 3, &inner);
    gives(1, &request, 204, "");
    buf_fini(&inner);
}

static void P5_unknown_fields_are_passed_over_everywhere(void **state)
{
    (void)state;
    static const char *const unknown = "\x12\x03new\x9a\x06\x01z\x08\x07\x0b\x10\x01\x0c";
    struct buf request = BUF_EMPTY;
    struct buf series = BUF_EMPTY;
    struct buf inner = BUF_EMPTY;

    put_text(&request, 2, STR("of Cortex"));
    put_text(&request, 1000, STR("?"));
    put_number(&series, 100, 1); /* before the labels, with a long tag */
    put_text(&inner, 1, STR("__name__"));
    put_text(&inner, 2, STR("up"));
    put_number(&inner, 3, 1);
    put_message(&series, 1, &inner);
    put_double(&inner, 1, 1);
    put_number(&inner, 2, (uint64_t)NOW);
    put_text(&inner, 9, STR("?"));
    put_message(&series, 2, &inner);
    put_text(&series, 3, str_of(unknown)); /* exemplars are not read */
    put_text(&series, 77, str_of(unknown));
    put_message(&request, 1, &series);
    buf_text(&request, "\x63\x08\x01\x64"); /* a group */
    gives(1, &request, 204, "gauge up at 1, +0\n");
    buf_fini(&series);
    buf_fini(&inner);
}

static void fields_may_come_in_any_order(void **state)
{
    (void)state;
    struct buf request = BUF_EMPTY;
    struct buf series = BUF_EMPTY;
    struct buf metadata = BUF_EMPTY;
    struct symbols symbols = {.count = 0};

    put_sample(&series, 7, NOW, 0);
    put_labels(&series, "job=a,__name__=hits");
    put_message(&request, 1, &series);
    put_number(&metadata, 1, REMOTE_COUNTER);
    put_text(&metadata, 2, STR("hits"));
    put_message(&request, 3, &metadata);
    gives(1, &request, 204, "counter hits{job=\"a\"} up to 7, +0\n");
    remote_types_forget();

    put_number(&metadata, 1, REMOTE_COUNTER);
    put_message(&series, 5, &metadata);
    put_sample(&series, 7, NOW, 0);
    put_references(&symbols, &series, "job=a,__name__=hits");
    put_message(&request, 5, &series);
    buf_str(&request, buf_view(&symbols.message)); /* the symbols come last */
    gives(2, &request, 204, "counter hits{job=\"a\"} up to 7, +0\n");
    buf_fini(&symbols.message);
    buf_fini(&series);
    buf_fini(&metadata);
}

/* --- P6: references --------------------------------------------------------------------------- */

static void P6_references_come_packed_or_one_by_one(void **state)
{
    (void)state;
    struct buf request = BUF_EMPTY;
    struct buf series = BUF_EMPTY;

    put_text(&request, 4, STR_EMPTY);
    put_text(&request, 4, STR("__name__"));
    put_text(&request, 4, STR("up"));
    put_text(&request, 4, STR("job"));
    put_number(&series, 1, 1); /* a name here, its value in the next part */
    put_text(&series, 1, STR("\x02\x03"));
    put_number(&series, 1, 2);
    put_sample(&series, 1, NOW, 0);
    put_number(&series, 6, (uint64_t)NOW); /* what 2.0-rc.3 had as created_timestamp */
    put_message(&request, 5, &series);
    gives(2, &request, 204, "gauge up{job=\"up\"} at 1, +0\n");
    buf_fini(&series);
}

static void P6_a_series_with_bad_references_is_rejected_alone(void **state)
{
    (void)state;
    static const struct str cases[] = {
        {"\x01\x02\x03", 3},     /* a name without a value */
        {"\x01\x02\x03\x07", 4}, /* there is no such symbol */
        {"\x01\x02\xff\xff\xff\xff\x0f\x02", 8},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct buf request = BUF_EMPTY;
        struct buf series = BUF_EMPTY;
        struct remote remote;

        put_text(&request, 4, STR_EMPTY);
        put_text(&request, 4, STR("__name__"));
        put_text(&request, 4, STR("up"));
        put_text(&request, 4, STR("job"));
        put_text(&series, 1, cases[i]);
        put_sample(&series, 1, NOW, 0);
        put_sample(&series, 1, NOW + 1, 0);
        put_message(&request, 5, &series);
        put_text(&series, 1, STR("\x01\x02"));
        put_sample(&series, 2, NOW, 0);
        put_message(&request, 5, &series);
        assert_true(remote_take_as(&remote, 2, buf_view(&request)));
        assert_int_equal(remote.answer.status, 400);
        assert_true(remote.body->counts.rejected[REJECT_malformed] == 2);
        assert_true(remote.body->counts.stored == 1);
        assert_true(remote.answer.counts.samples == 1);
        remote_fini(&remote);
        buf_fini(&series);
        buf_fini(&request);
    }
}

static void P6_start_timestamps_go_with_their_samples(void **state)
{
    (void)state;
    struct buf request = BUF_EMPTY;
    struct buf series = BUF_EMPTY;
    struct symbols symbols = {.count = 0};

    put_references(&symbols, &series, "__name__=hits_total");
    put_sample(&series, 1, NOW - 3, NOW - 10);
    put_sample(&series, 2, NOW - 2, NOW - 2);
    put_sample(&series, 3, NOW - 1, NOW + 5); /* later than the sample: it makes no sense */
    put_sample(&series, 4, NOW, 0);           /* not said */
    put_message(&request, 5, &series);
    finish_2(&request, &symbols);
    gives(2, &request, 204,
          "counter hits_total up to 1, -3 since -10\n"
          "counter hits_total up to 2, -2 since -2\n"
          "counter hits_total up to 3, -1\n"
          "counter hits_total up to 4, +0\n");
    buf_fini(&series);
}

/* --- P7, P8: the answer ----------------------------------------------------------------------- */

static void P8_good_samples_are_kept_and_bad_ones_are_counted_with_a_reason(void **state)
{
    (void)state;
    static const struct one_series all[] = {{"__name__=a,job=x", "1@0"},
                                            {"job=x", "1@0"},
                                            {"__name__=b", "1@0 2@7200000"},
                                            {"__name__=c_total", "-1@0 5@0"}};
    struct buf request = BUF_EMPTY;
    struct symbols symbols = {.count = 0};
    struct remote remote;

    for (size_t i = 0; i < TEST_COUNT(all); i++)
        put_series_2(&request, &symbols, &all[i], REMOTE_UNKNOWN);
    finish_2(&request, &symbols);
    assert_true(remote_take_as(&remote, 2, buf_view(&request)));
    assert_int_equal(remote.answer.status, 400);
    assert_true(remote.answer.says_written);
    assert_true(remote.answer.counts.samples == 3);
    assert_true(remote.answer.counts.histograms == 0);
    assert_true(remote.answer.counts.exemplars == 0);
    struct str words = buf_view(&remote.answer.words);
    static const char expected[] =
        "3 of 6 samples rejected (bad_number 1, bad_name 1, bad_time 1), the others are taken; "
        "sample 2, '{job=\"x\"}': the series has no __name__";
    if (!str_is(words, expected))
        fail_msg("'%.*s' is not '%s'", STR_ARGS(words), expected);
    const struct body *body = remote.body;
    assert_int_equal(body->example_count, 3);
    assert_true(body->examples[1].place == 4 && body->examples[1].reason == REJECT_bad_time);
    assert_string_equal(body->examples[1].example, "b");
    assert_true(body->examples[2].place == 5 && body->examples[2].reason == REJECT_bad_number);
    char *points = remote_points(&remote);
    assert_string_equal(points, "gauge a{job=\"x\"} at 1, +0\n"
                                "gauge b at 1, +0\n"
                                "counter c_total up to 5, +0\n");
    free(points);
    remote_fini(&remote);
    buf_fini(&request);
}

static void P7_only_version_2_says_what_was_written(void **state)
{
    (void)state;
    const struct one_series one = {"__name__=a", "1@0"};
    struct buf request = BUF_EMPTY;
    struct symbols symbols = {.count = 0};
    struct remote remote;

    put_series_1(&request, &one);
    assert_true(remote_take_as(&remote, 1, buf_view(&request)));
    assert_int_equal(remote.answer.status, 204);
    assert_false(remote.answer.says_written);
    remote_fini(&remote);
    buf_clear(&request);

    put_series_2(&request, &symbols, &one, REMOTE_GAUGE);
    finish_2(&request, &symbols);
    assert_true(remote_take_as(&remote, 2, buf_view(&request)));
    assert_int_equal(remote.answer.status, 204);
    assert_true(remote.answer.says_written);
    assert_true(remote.answer.counts.samples == 1);
    remote_fini(&remote);
    buf_fini(&request);
}

/* --- P10 to P12: values ----------------------------------------------------------------------- */

static void P10_P12_what_is_not_finite_is_taken_and_dropped(void **state)
{
    (void)state;
    static const struct {
        uint64_t bits;
        enum drop_reason reason;
    } cases[] = {
        {UINT64_C(0x7ff0000000000002), DROP_stale_marker}, /* P11: exactly these bits */
        {UINT64_C(0x7ff8000000000001), DROP_not_finite},   /* P11: the ordinary NaN */
        {UINT64_C(0x7ff8000000000002), DROP_not_finite},   /* P11: a stale one made quiet */
        {UINT64_C(0xfff0000000000002), DROP_not_finite},
        {UINT64_C(0x7ff0000000000000), DROP_not_finite},
        {UINT64_C(0xfff0000000000000), DROP_not_finite},
    };
    static const char *const names[] = {"__name__=up", "__name__=x_count",
                                        "__name__=x_bucket,le=1"};
    for (size_t i = 0; i < TEST_COUNT(cases) * TEST_COUNT(names); i++) {
        struct buf request = BUF_EMPTY;
        struct buf series = BUF_EMPTY;
        struct buf sample = BUF_EMPTY;
        struct symbols symbols = {.count = 0};
        struct remote remote;

        put_references(&symbols, &series, names[i % TEST_COUNT(names)]);
        put_bits(&sample, 1, cases[i / TEST_COUNT(names)].bits);
        put_number(&sample, 2, (uint64_t)NOW);
        put_message(&series, 2, &sample);
        put_message(&request, 5, &series);
        finish_2(&request, &symbols);
        assert_true(remote_take_as(&remote, 2, buf_view(&request)));
        assert_int_equal(remote.answer.status, 204);
        assert_true(remote.answer.counts.samples == 1);
        assert_true(remote.body->counts.dropped[cases[i / TEST_COUNT(names)].reason] == 1);
        assert_true(remote.body->counts.received == 1 && remote.body->counts.stored == 0);
        remote_fini(&remote);
        buf_fini(&sample);
        buf_fini(&series);
        buf_fini(&request);
    }
}

static void samples_without_a_field_have_zeros(void **state)
{
    (void)state;
    struct buf request = BUF_EMPTY;
    struct buf series = BUF_EMPTY;
    struct buf sample = BUF_EMPTY;

    put_labels(&series, "__name__=up");
    put_number(&sample, 2, (uint64_t)NOW); /* 0 is not sent */
    put_message(&series, 2, &sample);
    put_message(&request, 1, &series);
    gives(1, &request, 204, "gauge up at 0, +0\n");

    put_labels(&series, "__name__=up");
    put_message(&series, 2, &sample); /* of 1970 */
    put_message(&request, 1, &series);
    gives(1, &request, 400, "");
    buf_fini(&sample);
    buf_fini(&series);
}

/* --- P13, P14: labels ------------------------------------------------------------------------- */

static void P13_labels_come_sorted_whatever_order_they_were_sent_in(void **state)
{
    (void)state;
    series_gives("z=1,__name__=up,a=2,M=3,m=4", "1@0",
                 "gauge up{M=\"3\",a=\"2\",m=\"4\",z=\"1\"} at 1, +0\n");
    series_gives("__name__=up,b=1,ab=2,a=3", "1@0",
                 "gauge up{a=\"3\",ab=\"2\",b=\"1\"} at 1, +0\n");
}

static void P13_an_empty_value_is_no_label(void **state)
{
    (void)state;
    series_gives("__name__=up,a=,b=1", "1@0", "gauge up{b=\"1\"} at 1, +0\n");
    series_gives("__name__=up,b=1,b=", "1@0", "gauge up{b=\"1\"} at 1, +0\n");
}

static void P14_names_and_values_are_any_utf8(void **state)
{
    (void)state;
    series_gives("__name__=resource.cpu.usage,job name=a\nb", "1@0",
                 "gauge resource.cpu.usage{\"job name\"=\"a\\nb\"} at 1, +0\n");
    series_gives("__name__=resource cpu usage,größe=µ", "1@0",
                 "gauge \"resource cpu usage\"{größe=\"µ\"} at 1, +0\n");
    series_gives("__name__=温度", "1@0", "gauge 温度 at 1, +0\n");
}

static void rejects(const char *labels, enum reject_reason reason)
{
    struct buf request = BUF_EMPTY;
    struct symbols symbols = {.count = 0};
    const struct one_series one = {labels, "1@0"};

    for (unsigned version = 1; version <= 2; version++) {
        struct remote remote;
        if (version == 1) {
            put_series_1(&request, &one);
        } else {
            put_series_2(&request, &symbols, &one, REMOTE_UNKNOWN);
            finish_2(&request, &symbols);
        }
        assert_true(remote_take_as(&remote, version, buf_view(&request)));
        assert_int_equal(remote.answer.status, 400);
        assert_true(remote.body->counts.rejected[reason] == 1);
        assert_true(remote.body->counts.received == 1);
        remote_fini(&remote);
        buf_clear(&request);
    }
    buf_fini(&request);
}

static void P13_P14_labels_that_cannot_be_stored_are_rejected(void **state)
{
    (void)state;
    struct buf text = BUF_EMPTY;

    rejects("", REJECT_bad_name);
    rejects("job=x", REJECT_bad_name);
    rejects("__name__=,job=x", REJECT_bad_name);
    rejects("__name__=a\nb", REJECT_bad_name);
    rejects("__name__=a\xff", REJECT_bad_name);
    rejects("__name__=a,__name__=b", REJECT_bad_tags);
    rejects("__name__=a,job=x,job=x", REJECT_bad_tags);
    rejects("__name__=a,job=x,a=1,job=y", REJECT_bad_tags);
    rejects("__name__=a,=x", REJECT_bad_tags);
    rejects("__name__=a,b=\x01", REJECT_bad_tags);
    rejects("__name__=a,b=12345678\x01", REJECT_bad_tags);
    rejects("__name__=a,\x01=x", REJECT_bad_tags);
    rejects("__name__=a,b=\xc3", REJECT_bad_tags);
    rejects("__name__=a,12345678\xed\xa0\x80=x", REJECT_bad_tags);

    buf_text(&text, "__name__=a,b=");
    for (int i = 0; i < LABEL_BYTES_MAX - 2; i++)
        buf_char(&text, 'x');
    buf_char(&text, '\0');
    rejects(text.bytes, REJECT_bad_tags);
    buf_clear(&text);
    buf_text(&text, "__name__=");
    for (int i = 0; i < METRIC_NAME_MAX + 1; i++)
        buf_char(&text, 'x');
    buf_char(&text, '\0');
    rejects(text.bytes, REJECT_bad_name);
    buf_fini(&text);
}

static void P13_there_may_be_so_many_labels_and_no_more(void **state)
{
    (void)state;
    for (unsigned count = LABELS_MAX; count <= LABELS_MAX + 1; count++) {
        struct buf request = BUF_EMPTY;
        struct buf series = BUF_EMPTY;
        struct remote remote;

        put_labels(&series, "__name__=a");
        for (unsigned i = 0; i < count; i++) {
            char name[8];
            (void)snprintf(name, sizeof name, "l%u", i); /* not in order */
            put_label(&series, str_of(name), STR("x"));
        }
        put_sample(&series, 1, NOW, 0);
        put_message(&request, 1, &series);
        assert_true(remote_take_as(&remote, 1, buf_view(&request)));
        assert_true(remote.body->counts.stored == (count == LABELS_MAX));
        assert_true(remote.body->counts.rejected[REJECT_bad_tags] == (count != LABELS_MAX));
        remote_fini(&remote);
        buf_fini(&series);
        buf_fini(&request);
    }
}

static void a_zero_byte_is_no_part_of_a_label(void **state)
{
    (void)state;
    struct buf request = BUF_EMPTY;
    struct buf series = BUF_EMPTY;

    put_labels(&series, "__name__=a");
    put_label(&series, STR("b"), STR("x\0y"));
    put_sample(&series, 1, NOW, 0);
    put_message(&request, 1, &series);
    gives(1, &request, 400, "");
    buf_fini(&series);
}

/* --- P16: which samples count up -------------------------------------------------------------- */

static void P16_names_say_what_counts_up_where_nobody_else_does(void **state)
{
    (void)state;
    series_gives("__name__=hits_total", "1@-1 5@0",
                 "counter hits_total up to 1, -1\ncounter hits_total up to 5, +0\n");
    series_gives("__name__=t_count", "1@0", "counter t_count up to 1, +0\n");
    series_gives("__name__=t_sum", "1.5@0", "counter t_sum up to 1.5, +0\n");
    series_gives("__name__=total", "1@0", "gauge total at 1, +0\n");
    series_gives("__name__=_total", "1@0", "gauge _total at 1, +0\n");
    series_gives("__name__=hits_created", "1@0", "gauge hits_created at 1, +0\n");
    series_gives("__name__=degrees", "-1@0", "gauge degrees at -1, +0\n");
}

static void P16_metadata_of_version_2_says_what_counts_up(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum remote_type type;
        const char *points;
    } cases[] = {
        {"__name__=hits", REMOTE_COUNTER, "counter hits up to 1, +0\n"},
        {"__name__=hits_total", REMOTE_GAUGE, "gauge hits_total at 1, +0\n"},
        {"__name__=t_bucket,le=2", REMOTE_HISTOGRAM, "counter t_bucket{le=\"2\"} up to 1, +0\n"},
        {"__name__=t_bucket,le=2", REMOTE_GAUGE_HISTOGRAM, "gauge t_bucket{le=\"2\"} at 1, +0\n"},
        {"__name__=t,quantile=0.5", REMOTE_SUMMARY, "gauge t{quantile=\"0.5\"} at 1, +0\n"},
        {"__name__=t_sum", REMOTE_SUMMARY, "counter t_sum up to 1, +0\n"},
        {"__name__=hits_created", REMOTE_COUNTER, "gauge hits_created at 1, +0\n"},
        {"__name__=hits_count", (enum remote_type)99, "gauge hits_count at 1, +0\n"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct buf request = BUF_EMPTY;
        struct symbols symbols = {.count = 0};
        const struct one_series one = {cases[i].name, "1@0"};

        put_series_2(&request, &symbols, &one, cases[i].type);
        finish_2(&request, &symbols);
        gives(2, &request, 204, cases[i].points);
    }
}

static void P16_metadata_of_version_1_is_remembered(void **state)
{
    (void)state;
    const struct one_series series[] = {{"__name__=jobs_count", "1@0"}, {"__name__=hits", "2@0"}};
    struct buf request = BUF_EMPTY;
    struct buf metadata = BUF_EMPTY;

    put_series_1(&request, &series[0]);
    put_series_1(&request, &series[1]);
    gives(1, &request, 204, "counter jobs_count up to 1, +0\ngauge hits at 2, +0\n");
    put_number(&metadata, 1, REMOTE_GAUGE);
    put_text(&metadata, 2, STR("jobs_count"));
    put_message(&request, 3, &metadata);
    put_number(&metadata, 1, REMOTE_COUNTER);
    put_text(&metadata, 2, STR("hits"));
    put_message(&request, 3, &metadata);
    gives(1, &request, 204, "");
    put_series_1(&request, &series[0]);
    put_series_1(&request, &series[1]);
    gives(1, &request, 204, "gauge jobs_count at 1, +0\ncounter hits up to 2, +0\n");
    remote_types_forget();
    buf_fini(&metadata);
}

static void FIG_8_a_declared_type_beats_name_and_metadata(void **state)
{
    (void)state;
    const struct metric_definition declared = {
        .name = "hits_total", .has_kind = true, .kind = METRIC_GAUGE};
    struct metric_table metrics = {.by_name = TABLE_EMPTY};
    struct batch_rules rules = RULES;
    struct metric_definition gauge = declared;
    const struct one_series one = {"__name__=hits_total", "1@0"};
    struct buf request = BUF_EMPTY;
    struct remote remote;

    assert_true(table_add(&metrics.by_name, STR("hits_total"), &gauge));
    rules.metrics = &metrics;
    put_series_1(&request, &one);
    assert_true(remote_open_as(&remote, REMOTE_1, &rules));
    assert_true(remote_take_bytes(&remote, buf_view(&request)));
    char *points = remote_points(&remote);
    assert_string_equal(points, "gauge hits_total at 1, +0\n");
    free(points);
    remote_fini(&remote);
    buf_fini(&request);
    table_fini(&metrics.by_name);
}

/* --- P18: le ---------------------------------------------------------------------------------- */

static void P18_one_bound_has_one_spelling(void **state)
{
    (void)state;
    /* Each is how a bound is kept, then other spellings. */
    static const char *const cases[] = {
        "1 1 1.0 1.00 1e0 +1 01 1.",
        "0.5 0.5 .5 0.50 5e-1",
        "0 0 -0 0.0 00",
        "0.005 0.005 5e-3",
        "1e-05 1e-05 0.00001",
        "1000000 1000000 1e+06 1e6",
        "1e+22 10000000000000000000000",
        "-2.5 -2.50",
        "12345.6789 12345.67890",
        "9999999999 9999999999 9999999999.0",
        "+Inf +Inf Inf inf +infinity",
        "nan nan",
        "a a",
        "1:5 1:5",
        "-Inf -Inf",
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct str rest = str_of(cases[i]);
        struct str kept = str_split(&rest, ' ');
        while (rest.len > 0) {
            struct buf request = BUF_EMPTY;
            struct buf series = BUF_EMPTY;
            char expected[100];

            put_labels(&series, "__name__=t_bucket");
            put_label(&series, STR("le"), str_split(&rest, ' '));
            put_sample(&series, 1, NOW, 0);
            put_message(&request, 1, &series);
            (void)snprintf(expected, sizeof expected, "counter t_bucket{le=\"%.*s\"} up to 1, +0\n",
                           STR_ARGS(kept));
            gives(1, &request, 204, expected);
            buf_fini(&series);
        }
    }
    series_gives("__name__=room,le=1.0", "1@0", "gauge room{le=\"1.0\"} at 1, +0\n");
}

/* --- limits ----------------------------------------------------------------------------------- */

static void few_bytes_that_stand_for_many_are_refused(void **state)
{
    (void)state;
    struct buf request = BUF_EMPTY;
    struct buf series = BUF_EMPTY;
    struct buf long_text = BUF_EMPTY;
    struct batch_rules rules = RULES;
    struct remote remote;

    rules.series_max = 1000 * 1000;
    for (int i = 0; i < 1900; i++)
        buf_char(&long_text, 'x');
    put_text(&request, 4, STR_EMPTY);
    put_text(&request, 4, STR("__name__"));
    put_text(&request, 4, STR("a"));
    put_text(&request, 4, buf_view(&long_text));
    for (unsigned i = 0; i < 4000; i++) {
        char name[12];
        (void)snprintf(name, sizeof name, "v%u", i);
        put_text(&request, 4, str_of(name));
        buf_text(&series, "\x0a\x07\x01\x02\x02\x03\x03");
        buf_varint(&series, i + 4); /* two bytes, but for the first ones */
        if (i + 4 < 128)
            series.bytes[1] = 6;
        put_sample(&series, 1, NOW, 0);
        put_message(&request, 5, &series);
    }
    assert_true(remote_open_as(&remote, REMOTE_2, &rules));
    assert_true(!remote_take_bytes(&remote, buf_view(&request)));
    assert_int_equal(remote.err.kind, ERROR_FULL);
    remote_fini(&remote);
    buf_fini(&long_text);
    buf_fini(&series);
    buf_fini(&request);
}

static void there_are_so_many_symbols_and_no_more(void **state)
{
    (void)state;
    struct buf request = BUF_EMPTY;
    struct remote remote;

    for (int i = 0; i <= REMOTE_SYMBOLS_MAX; i++)
        buf_append(&request, "\x22\x00", 2);
    assert_true(!remote_take_as(&remote, 2, buf_view(&request)));
    assert_int_equal(remote.err.kind, ERROR_FULL);
    remote_fini(&remote);
    request.len -= 2;
    assert_true(remote_take_as(&remote, 2, buf_view(&request)));
    remote_fini(&remote);
    buf_fini(&request);
}

/* How many bytes the body holds when it is taken; empties `request`. */
static size_t held_by(struct buf *request)
{
    struct remote remote;

    assert_true(remote_take_as(&remote, 1, buf_view(request)));
    size_t held = REMOTE_BODY_FORMAT.size_bytes(remote.body);
    remote.delta = batch_take(remote.body->batch);
    remote.body->batch = NULL;
    remote_fini(&remote);
    buf_clear(request);
    return held;
}

static void what_the_last_body_had_makes_this_one_hold_little_more(void **state)
{
    struct buf request = BUF_EMPTY;
    struct buf series = BUF_EMPTY;
    char text[86];
    char number[8];
    (void)state;

    for (int samples = 15000; samples < 60000;
         samples *= 2) { /* there is room for twice the last */
        put_labels(&series, "__name__=many");
        for (int i = 0; i < samples; i++)
            put_sample(&series, i, NOW + i, 0);
        put_message(&request, 1, &series);
        (void)held_by(&request);
    }
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 9000; i++) {
        (void)snprintf(number, sizeof number, "%d", i);
        put_labels(&series, "__name__=big");
        put_label(&series, STR("a"), (struct str){text, sizeof text - 1});
        put_label(&series, STR("n"), str_of(number));
        put_sample(&series, i, NOW, 0);
        put_message(&request, 1, &series);
    }
    assert_in_range(held_by(&request), request.len, 3 << 20);
    buf_fini(&series);
    buf_fini(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P2_P3_the_content_type_alone_says_which_version_it_is),
        cmocka_unit_test(P2_other_types_and_encodings_are_refused_before_the_body),
        cmocka_unit_test(P4_what_is_no_protobuf_is_refused_as_a_whole),
        cmocka_unit_test(P5_an_empty_request_and_one_of_metadata_alone_are_fine),
        cmocka_unit_test(P5_unknown_fields_are_passed_over_everywhere),
        cmocka_unit_test(fields_may_come_in_any_order),
        cmocka_unit_test(P6_references_come_packed_or_one_by_one),
        cmocka_unit_test(P6_a_series_with_bad_references_is_rejected_alone),
        cmocka_unit_test(P6_start_timestamps_go_with_their_samples),
        cmocka_unit_test(P7_only_version_2_says_what_was_written),
        cmocka_unit_test(P8_good_samples_are_kept_and_bad_ones_are_counted_with_a_reason),
        cmocka_unit_test(P10_P12_what_is_not_finite_is_taken_and_dropped),
        cmocka_unit_test(samples_without_a_field_have_zeros),
        cmocka_unit_test(P13_labels_come_sorted_whatever_order_they_were_sent_in),
        cmocka_unit_test(P13_an_empty_value_is_no_label),
        cmocka_unit_test(P14_names_and_values_are_any_utf8),
        cmocka_unit_test(P13_P14_labels_that_cannot_be_stored_are_rejected),
        cmocka_unit_test(P13_there_may_be_so_many_labels_and_no_more),
        cmocka_unit_test(a_zero_byte_is_no_part_of_a_label),
        cmocka_unit_test(P16_names_say_what_counts_up_where_nobody_else_does),
        cmocka_unit_test(P16_metadata_of_version_2_says_what_counts_up),
        cmocka_unit_test(P16_metadata_of_version_1_is_remembered),
        cmocka_unit_test(FIG_8_a_declared_type_beats_name_and_metadata),
        cmocka_unit_test(P18_one_bound_has_one_spelling),
        cmocka_unit_test(few_bytes_that_stand_for_many_are_refused),
        cmocka_unit_test(there_are_so_many_symbols_and_no_more),
        cmocka_unit_test(what_the_last_body_had_makes_this_one_hold_little_more),
    };
    int failed = 0;

    RUN_WITH_AND_WITHOUT_CACHE(tests, failed);
    return failed;
}
