/* InfluxDB's line protocol: what a line says (I1 to I13), where it ends (I5), what a body becomes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "ingest/influx_body.h"
#include "series/random.h"
#include "test.h"

/* 2026-10-12T07:00:30Z. */
static const wall_ms NOW = INT64_C(1791788430000);

/* --- lines ------------------------------------------------------------------------------------ */

/* A line as text: measurement|tag=value|...|field:value|...|@time; numbers as %g, texts in quotes.
 */
static void describe(const struct influx_line *line, struct buf *out)
{
    buf_str(out, line->measurement);
    for (size_t i = 0; i < line->label_count; i++)
        buf_printf(out, "|%.*s=%.*s", STR_ARGS(line->labels[i].name),
                   STR_ARGS(line->labels[i].value));
    for (size_t i = 0; i < line->field_count; i++) {
        const struct influx_field *field = &line->fields[i];
        if (field->is_text)
            buf_printf(out, "|%.*s:\"%.*s\"", STR_ARGS(field->key), STR_ARGS(field->text));
        else
            buf_printf(out, "|%.*s:%.17g", STR_ARGS(field->key), field->value);
    }
    if (line->has_time)
        buf_printf(out, "|@%lld", (long long)line->time);
}

/* What a line says; "-" for nothing, "! words" for a mistake. The caller frees it. */
static char *said(struct str text)
{
    struct influx_parser parser = {.fields = NULL};
    struct influx_mistake mistake = {.reason = REJECT_NONE};
    struct influx_line line;
    struct buf out = BUF_EMPTY;
    char *copy = memory_copy(text.text, text.len); /* so that reading past the end is seen */
    struct str exact = {copy, text.len};

    switch (influx_parse(&parser, exact, &line, &mistake)) {
    case INFLUX_NOTHING:
        buf_text(&out, "-");
        break;
    case INFLUX_LINE:
        describe(&line, &out);
        break;
    case INFLUX_MISTAKE:
        assert_true(mistake.reason != REJECT_NONE);
        buf_printf(&out, "! %s", mistake.words);
        break;
    }
    influx_parser_fini(&parser);
    free(copy);
    return buf_take_text(&out);
}

struct example {
    const char *line;
    const char *says;
};

static void expect_all(const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *text = said(str_of(examples[i].line));
        if (strcmp(text, examples[i].says) != 0)
            fail_msg("'%s' says '%s', not '%s'", examples[i].line, text, examples[i].says);
        free(text);
    }
}

/* --- plain lines and others --------------------------------------------------------------------
 */

/* A line with a space before it goes the long way, and means the same. */
static bool means_the_same_the_long_way(struct str line)
{
    struct buf spaced = BUF_EMPTY;

    buf_text(&spaced, " ");
    buf_str(&spaced, line);
    char *as_it_is = said(line);
    char *the_long_way = said(buf_view(&spaced));
    bool is_right = as_it_is[0] != '!' && as_it_is[0] != '-';
    if (strcmp(as_it_is, the_long_way) != 0)
        fail_msg("'%.*s' says '%s', the long way '%s'", STR_ARGS(line), as_it_is, the_long_way);
    free(as_it_is);
    free(the_long_way);
    buf_fini(&spaced);
    return is_right;
}

static void what_is_plain_means_what_it_means_the_long_way(void **state)
{
    static const char *const parts[] = {"cpu",
                                        ",",
                                        "a",
                                        "=",
                                        "b",
                                        ",",
                                        "c",
                                        "=",
                                        "d",
                                        " ",
                                        "value",
                                        "=",
                                        "1.5",
                                        ",",
                                        "f",
                                        "=",
                                        "7",
                                        " ",
                                        "1795346000000000000"};
    static const char *const others[] = {"",
                                         ",",
                                         "=",
                                         " ",
                                         "\"",
                                         "\\",
                                         "\"x\"",
                                         "time",
                                         "_field",
                                         "a",
                                         "1i",
                                         "T",
                                         "-1u",
                                         "+1",
                                         "1e3",
                                         "nan",
                                         "\x01",
                                         "\xc3",
                                         "\t",
                                         "#",
                                         "\\ ",
                                         "\\,",
                                         "0",
                                         "9223372036854775807",
                                         "99999999999999999999",
                                         "123456789012345678901",
                                         "-5"};
    enum { TRIES = 20000, PARTS = sizeof parts / sizeof parts[0] };
    uint64_t seed = 7;
    size_t right = 0;
    (void)state;

    for (int i = 0; i < TRIES; i++) {
        struct buf line = BUF_EMPTY;
        for (size_t part = 0; part < PARTS; part++)
            buf_text(&line, random_below(&seed, 12) == 0
                                ? others[random_below(&seed, sizeof others / sizeof others[0])]
                                : parts[part]);
        right += means_the_same_the_long_way(buf_view(&line)) ? 1 : 0;
        buf_fini(&line);
    }
    assert_in_range(right, TRIES / 10, TRIES - TRIES / 10);
}

/* As many as there may be, and one more; and more marks than a plain line has. */
static void many_tags_and_fields_mean_the_same_the_long_way(void **state)
{
    (void)state;
    for (int tags = LABELS_MAX - 1; tags <= LABELS_MAX + 1; tags++) {
        for (int fields = 1; fields <= 90; fields += 1) {
            struct buf line = BUF_EMPTY;
            buf_text(&line, "m");
            for (int i = 0; i < tags; i++)
                buf_printf(&line, ",t%03d=%d", i, i);
            for (int i = 0; i < fields; i++)
                buf_printf(&line, "%sf%d=%d", i == 0 ? " " : ",", i, i);
            assert_int_equal(means_the_same_the_long_way(buf_view(&line)), tags <= LABELS_MAX);
            buf_fini(&line);
        }
    }
}

static void lines_that_must_parse(void **state)
{
    static const struct example examples[] = {
        /* I1 */
        {"m f=1", "m|f:1"},
        {"m,a=1,b=2 f=1,g=2 7", "m|a=1|b=2|f:1|g:2|@7"},
        {"  m,b=2,a=1   f=1   -7  ", "m|a=1|b=2|f:1|@-7"},
        {"", "-"},
        {"   ", "-"},
        {"# m f=1", "-"},
        {"  #", "-"},
        {"\\#m f=1", "\\#m|f:1"},
        {"m#,a#=# f#=1", "m#|a#=#|f#:1"},
        /* I2 */
        {"m f=1\r", "m|f:1"},
        {"m f=1 5\r", "m|f:1|@5"},
        {"\r", "-"},
        {"m\t,a=\t f=1", "m\t|a=\t|f:1"},
        /* I3 */
        {"m\\,\\ x f=1", "m, x|f:1"},
        {"m\\=x f=1", "m\\=x|f:1"},
        {"m=x f=1", "m=x|f:1"},
        {"m,a\\ \\,\\=b=c\\ \\,\\=d f=1", "m|a ,=b=c ,=d|f:1"},
        {"m f\\ \\,\\=g=1", "m|f ,=g:1"},
        {"m\\n f=1", "m\\n|f:1"},
        {"m\\\\,a=b f=1", "m\\,a=b|f:1"}, /* the last of a run escapes what follows */
        {"m,a=b\\ f=1 g=2", "! invalid tag format"},
        {"m f=\"a\\\"b\\\\c\\d\"", "m|f:\"a\"b\\c\\d\""},
        {"m f=\"\\\\\"", "m|f:\"\\\""},
        /* I4 */
        {"\"my meas\" f=1", "! missing field value"},
        {"\"mymeas\",\"a\"=\"b\" \"f\"=1", "\"mymeas\"|\"a\"=\"b\"|\"f\":1"},
        /* I5 */
        {"m f=\"a\nb\",g=1 3", "m|f:\"a\nb\"|g:1|@3"},
        {"m f=\"a,b c=d\" 3", "m|f:\"a,b c=d\"|@3"},
        {"m f=\"\"", "m|f:\"\""},
        /* I6 */
        {"m f=-1.5", "m|f:-1.5"},
        {"m f=1.", "m|f:1"},
        {"m f=.5", "m|f:0.5"},
        {"m f=-.5e1", "m|f:-5"},
        {"m f=1e3", "m|f:1000"},
        {"m f=1E+3", "m|f:1000"},
        {"m f=25e-1", "m|f:2.5"},
        {"m f=9223372036854775807i", "m|f:9.2233720368547758e+18"},
        {"m f=-9223372036854775808i", "m|f:-9.2233720368547758e+18"},
        {"m f=18446744073709551615u", "m|f:1.8446744073709552e+19"},
        {"m f=-0i", "m|f:0"},
        {"m f=0012i", "m|f:12"},
        /* I7 */
        {"m f=t,g=T,h=true,i=True,j=TRUE", "m|f:1|g:1|h:1|i:1|j:1"},
        {"m f=f,g=F,h=false,i=False,j=FALSE", "m|f:0|g:0|h:0|i:0|j:0"},
        /* I9 */
        {"m f=1 9223372036854775806", "m|f:1|@9223372036854775806"},
        {"m f=1 -9223372036854775806", "m|f:1|@-9223372036854775806"},
        {"m f=1 0", "m|f:1|@0"},
        /* I10: only these alone are reserved */
        {"m,times=1 _fields=1,Time=2", "m|times=1|_fields:1|Time:2"},
        {"time f=1", "time|f:1"},
        /* I12: which one counts is the store's to say */
        {"m f=1,f=2", "m|f:1|f:2"},
        /* I13 */
        {"m\xc3\xbc,\xc3\xa4=\xe2\x82\xac f=\"\xf0\x9f\x98\x80\"",
         "m\xc3\xbc|\xc3\xa4=\xe2\x82\xac|f:\"\xf0\x9f\x98\x80\""},
    };
    (void)state;

    expect_all(examples, TEST_COUNT(examples));
}

static void lines_that_must_not_parse(void **state)
{
    static const struct example examples[] = {
        /* I1 */
        {",a=1 f=1", "! missing measurement"},
        {"m", "! missing fields"},
        {"m ", "! missing fields"},
        {"m,a=1", "! missing fields"},
        {"m\tf=1", "! missing fields"},
        {"m f=1 1 1", "! bad timestamp"},
        /* I2 */
        {"m \vf=1\v", "! invalid number"},
        {"m f=1\t5", "! invalid number"},
        {"m f=1 5\t", "! bad timestamp"},
        /* I3 */
        {"m f=\"a\\\"", "! unbalanced quotes"},
        {"m f=1\\,g=2", "! invalid number"},
        /* I4, I5 */
        {"m f=\"a\"b", "! invalid field format"},
        {"m f=\"a", "! unbalanced quotes"},
        {"m f=\"a\"\"b\"", "! invalid field format"},
        {"m f='a'", "! invalid value"},
        /* I6 */
        {"m f=+1", "! invalid number"},
        {"m f=+1i", "! invalid number"},
        {"m f=NaN", "! invalid value"},
        {"m f=-inf", "! invalid number"},
        {"m f=Infinity", "! invalid value"},
        {"m f=1e999", "! invalid number"},
        {"m f=0x10", "! invalid number"},
        {"m f=1_000", "! invalid number"},
        {"m f=.", "! invalid number"},
        {"m f=-", "! invalid number"},
        {"m f=1e", "! invalid number"},
        {"m f=1.5i", "! invalid number"},
        {"m f=i", "! invalid number"},
        {"m f=u", "! invalid number"},
        {"m f=-1u", "! invalid number"},
        {"m f=--1i", "! invalid number"},
        {"m f=9223372036854775808i", "! invalid number"},
        {"m f=-9223372036854775809i", "! invalid number"},
        {"m f=18446744073709551616u", "! invalid number"},
        /* I7 */
        {"m f=tRUE", "! invalid value"},
        {"m f=yes", "! invalid value"},
        {"m f=tr", "! invalid value"},
        /* I8 */
        {"m,a= f=1", "! missing tag value"},
        {"m,a f=1", "! missing tag value"},
        {"m, f=1", "! missing tag key"},
        {"m,=1 f=1", "! missing tag key"},
        {"m,a=1, f=1", "! missing tag key"},
        {"m,a=1=2 f=1", "! invalid tag format"},
        {"m,a=1,a=1 f=1", "! duplicate tags"},
        {"m,b=1,a=1,b=2 f=1", "! duplicate tags"},
        {"m f", "! missing field value"},
        {"m f=", "! missing field value"},
        {"m f=,g=1", "! missing field value"},
        {"m =1", "! missing field key"},
        {"m f=1,", "! missing field key"},
        {"m f=1, 5", "! missing field key"},
        {"m f=1,,g=2", "! missing field key"},
        /* I9 */
        {"m f=1 \"5\"", "! bad timestamp"},
        {"m f=1 +5", "! bad timestamp"},
        {"m f=1 5.0", "! bad timestamp"},
        {"m f=1 5s", "! bad timestamp"},
        {"m f=1 9223372036854775807", "! bad timestamp"},
        {"m f=1 -9223372036854775807", "! bad timestamp"},
        {"m f=1 99999999999999999999", "! bad timestamp"},
        /* I10 */
        {"m,time=1 f=1", "! this tag key is reserved"},
        {"m,_field=1 f=1", "! this tag key is reserved"},
        {"m,_measurement=1 f=1", "! this tag key is reserved"},
        {"m time=1", "! this field key is reserved"},
        {"m f=1,_field=1", "! this field key is reserved"},
        /* I13 */
        {"m f=1,\xff=2", "! invalid UTF-8"},
        {"m,a=\xc0\x80 f=1", "! invalid UTF-8"},
        {"m,a=\xed\xa0\x80 f=1", "! invalid UTF-8"},
        {"m,a=b\x01 f=1", "! control characters"},
    };
    (void)state;

    expect_all(examples, TEST_COUNT(examples));
    char *text = said((struct str){"m f=1\0", 6});
    assert_string_equal(text, "! invalid UTF-8");
    free(text);
}

static void too_many_tags_are_refused(void **state)
{
    struct buf line = BUF_EMPTY;
    char *text = NULL;
    (void)state;

    for (int count = LABELS_MAX; count <= LABELS_MAX + 1; count++) {
        buf_clear(&line);
        buf_text(&line, "m");
        for (int i = 0; i < count; i++)
            buf_printf(&line, ",t%d=v", i);
        buf_text(&line, " f=1");
        text = said(buf_view(&line));
        assert_true((strcmp(text, "! too many tags") == 0) == (count > LABELS_MAX));
        free(text);
    }
    buf_clear(&line);
    buf_text(&line, "m,a=");
    for (int i = 0; i <= LABEL_BYTES_MAX; i++)
        buf_char(&line, 'x');
    buf_text(&line, " f=1");
    text = said(buf_view(&line));
    assert_string_equal(text, "! too many tags");
    free(text);
    buf_fini(&line);
}

static void a_time_is_in_the_unit_of_the_request(void **state) /* I9, I20 */
{
    static const struct {
        const char *precision;
        int64_t time;
        wall_ms at;
    } cases[] = {
        {"", 1500000, 1}, {"n", -1, -1},     {"ns", 999999, 0},  {"bogus", 1000000, 1},
        {"u", 1999, 1},   {"us", -1, -1},    {"us", -1000, -1},  {"ms", -5, -5},
        {"s", 2, 2000},   {"m", -1, -60000}, {"h", 3, 10800000}, {"S", 1000000, 1},
    };
    wall_ms at = 0;
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_true(
            influx_time(cases[i].time, influx_precision_of(str_of(cases[i].precision)), &at));
        assert_int_equal(at, cases[i].at);
    }
    assert_true(influx_time(INT64_MAX - 1, INFLUX_MS, &at));
    assert_false(influx_time(INT64_MAX - 1, INFLUX_S, &at));
    assert_false(influx_time(-INT64_MAX + 1, INFLUX_H, &at));
}

/* --- bodies ----------------------------------------------------------------------------------- */

struct scene {
    struct metric_table metrics;
    struct metric_definition orders, visitors, score;
    struct batch_rules rules;
    uint64_t arrival;
    struct body_request request;
    struct http_head head;
};

static int setup(void **state)
{
    struct scene *scene = memory_zero(1, sizeof *scene);

    scene->orders =
        (struct metric_definition){.name = "shop_orders", .has_kind = true, .kind = METRIC_COUNTER};
    scene->visitors =
        (struct metric_definition){.name = "shop_user", .has_kind = true, .kind = METRIC_UNIQUE};
    scene->score = (struct metric_definition){.name = "shop_nps",
                                              .has_kind = true,
                                              .kind = METRIC_SCORE,
                                              .has_range = true,
                                              .range_high = 10};
    assert_true(table_add(&scene->metrics.by_name, STR("shop_orders"), &scene->orders));
    assert_true(table_add(&scene->metrics.by_name, STR("shop_user"), &scene->visitors));
    assert_true(table_add(&scene->metrics.by_name, STR("shop_nps"), &scene->score));
    scene->rules = (struct batch_rules){.metrics = &scene->metrics,
                                        .series_max = 1000,
                                        .max_future = MS_PER_HOUR,
                                        .max_past = MS_PER_DAY,
                                        .seed = 7};
    scene->head = (struct http_head){.query = STR("db=x&precision=s")};
    scene->request = (struct body_request){.head = &scene->head,
                                           .rules = &scene->rules,
                                           .line_bytes_max = 256,
                                           .now_us = NOW * 1000,
                                           .last_arrival = &scene->arrival};
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    table_fini(&scene->metrics.by_name);
    free(scene);
    return 0;
}

static struct influx_body *open_body(struct scene *scene)
{
    struct http_answer answer = HTTP_ANSWER_EMPTY;
    return (struct influx_body *)INFLUX_BODY_FORMAT.open(&scene->request, &answer);
}

static void close_body(struct influx_body *body)
{
    INFLUX_BODY_FORMAT.close(&body->body);
}

static void give(struct influx_body *body, struct str bytes)
{
    struct error err = ERROR_EMPTY;
    assert_true(INFLUX_BODY_FORMAT.take(&body->body, bytes, &err));
}

static void end_body(struct influx_body *body)
{
    struct error err = ERROR_EMPTY;
    assert_true(INFLUX_BODY_FORMAT.end(&body->body, &err));
}

/* The status, the words, and the list in the body that is answered. */
static unsigned verdict_of(const struct influx_body *body, struct buf *words, struct buf *list)
{
    static const char begin[] = ",\"lines\":";
    struct http_answer answer = HTTP_ANSWER_EMPTY;

    INFLUX_BODY_FORMAT.verdict(&body->body, &answer);
    buf_str(words, buf_view(&answer.words));
    unsigned status = answer.status;
    if (answer.body.len > 0) {
        const char *at = memmem(answer.body.bytes, answer.body.len, begin, sizeof begin - 1);
        assert_non_null(at);
        at += sizeof begin - 1;
        buf_append(list, at, (size_t)(answer.body.bytes + answer.body.len - at) - 2);
    }
    http_answer_fini(&answer);
    return status;
}

static struct influx_body *take_all(struct scene *scene, const char *text, size_t len, size_t piece)
{
    struct influx_body *body = open_body(scene);

    for (size_t at = 0; at < len; at += piece) {
        size_t rest = len - at < piece ? len - at : piece;
        char *copy = memory_copy(text + at, rest); /* gone after the call */
        give(body, (struct str){copy, rest});
        free(copy);
    }
    end_body(body);
    assert_true(ledger_balances(&body->body.counts));
    return body;
}

static struct influx_body *take(struct scene *scene, const char *text)
{
    return take_all(scene, text, strlen(text), strlen(text) + 1);
}

/* Series, cells, counts and mistakes in words; the body is freed. */
static char *summary_of(struct influx_body *body)
{
    struct buf out = BUF_EMPTY;
    struct buf words = BUF_EMPTY;
    struct buf list = BUF_EMPTY;
    unsigned status = verdict_of(body, &words, &list);
    struct delta *delta = batch_take(body->body.batch);

    body->body.batch = NULL;
    for (size_t i = 0; i < delta->cell_count; i++) {
        const struct delta_cell *cell = &delta->cells[i];
        series_key_format(&out, delta->series[cell->series].key);
        buf_printf(&out, "/%d@%lld: %g x %.17g last %.17g\n",
                   (int)series_key_kind(delta->series[cell->series].key),
                   (long long)(cell->minute - NOW / MS_PER_MINUTE),
                   aggregate_count(&cell->cell.aggregate), aggregate_sum(&cell->cell.aggregate),
                   cell->cell.aggregate.last);
    }
    buf_printf(&out, "received %llu stored %llu bad lines %llu: %u %.*s %.*s",
               (unsigned long long)body->body.counts.received,
               (unsigned long long)body->body.counts.stored, (unsigned long long)body->bad_lines,
               status, STR_ARGS(buf_view(&words)), STR_ARGS(buf_view(&list)));
    delta_free(delta);
    close_body(body);
    buf_fini(&words);
    buf_fini(&list);
    return buf_take_text(&out);
}

static void expect_summary(struct influx_body *body, const char *expected)
{
    char *summary = summary_of(body);
    assert_string_equal(summary, expected);
    free(summary);
}

static void names_are_measurement_and_field(void **state) /* I11 */
{
    struct scene *scene = *state;

    expect_summary(take(scene, "cpu,host=b,dc=1 user=1.5,idle=2i\ncpu value=t\n"),
                   "cpu_user{dc=\"1\",host=\"b\"}/6@0: 1 x 1.5 last 1.5\n"
                   "cpu_idle{dc=\"1\",host=\"b\"}/6@0: 1 x 2 last 2\n"
                   "cpu_value/6@0: 1 x 1 last 1\n"
                   "received 3 stored 3 bad lines 0: 204  ");
    scene->request.skip_single_field = true;
    expect_summary(take(scene, "cpu value=1\ncpu value=2,idle=3\ncpu user=4\n"),
                   "cpu/6@0: 1 x 1 last 1\n"
                   "cpu_value/6@0: 1 x 2 last 2\n"
                   "cpu_idle/6@0: 1 x 3 last 3\n"
                   "cpu_user/6@0: 1 x 4 last 4\n"
                   "received 4 stored 4 bad lines 0: 204  ");
}

static void texts_are_dropped_and_no_mistake(void **state) /* I11 */
{
    struct scene *scene = *state;
    struct influx_body *body = take(scene, "log msg=\"a b\",level=\"warn\"\nlog n=1,msg=\"x\"\n");

    assert_int_equal(body->body.counts.dropped[DROP_string], 3);
    expect_summary(body, "log_n/6@0: 1 x 1 last 1\nreceived 4 stored 1 bad lines 0: 204  ");
}

static void a_declared_type_beats_the_protocols(void **state) /* FIG-8 */
{
    struct scene *scene = *state;

    expect_summary(
        take(scene, "shop orders=2,user=\"ann\",nps=9\nshop orders=3,user=\"bob\",nps=8"),
        "shop_orders/1@0: 2 x 5 last 3\n"
        "shop_user/4@0: 2 x 0 last 0\n"
        "shop_nps/5@0: 2 x 17 last 8\n"
        "received 6 stored 6 bad lines 0: 204  ");
    struct influx_body *body = take(scene, "shop nps=11,orders=1\nshop nps=8.5\n");
    assert_int_equal(body->body.counts.rejected[REJECT_out_of_range], 2);
    assert_int_equal(body->body.counts.stored, 1);
    close_body(body);
}

static void times_decide_the_minute_and_far_ones_are_rejected(void **state) /* FIG-3, I9 */
{
    struct scene *scene = *state;
    char text[300];
    long long now = (long long)NOW / 1000;

    (void)snprintf(text, sizeof text, "m f=1 %lld\nm f=2 %lld\nm f=3\nm f=4,g=5 %lld\nm f=6 %lld\n",
                   now - 60, now - 61, now + 3601, now - 86401);
    struct influx_body *body = take(scene, text);
    assert_int_equal(body->body.counts.rejected[REJECT_bad_time], 3);
    assert_int_equal(body->bad_lines, 2);
    close_body(body);
    (void)snprintf(text, sizeof text, "m f=1 %lld\nm f=2 %lld\nm f=3\n", now - 60, now - 61);
    expect_summary(take(scene, text), "m_f/6@-1: 2 x 3 last 1\n"
                                      "m_f/6@0: 1 x 3 last 3\n"
                                      "received 3 stored 3 bad lines 0: 204  ");
    body = take(scene, "m f=1 9223372036854775806\n"); /* of seconds: more than there are ms */
    assert_int_equal(body->body.counts.rejected[REJECT_bad_time], 1);
    close_body(body);
}

/* /api/v3/write_lp names units otherwise, and guesses them. */
static void the_third_api_names_or_guesses_units(void **state)
{
    static const struct {
        const char *query;
        const char *line;
        unsigned stored;
    } cases[] = {
        {"", "m f=1 1791788430\n", 1},
        {"precision=auto", "m f=1 1791788430000\n", 1},
        {"db=x", "m f=1 1791788430000000\n", 1},
        {"", "m f=1 1791788430000000000\n", 1},
        {"", "m f=1 -9223372036854775806\n", 0},
        {"precision=second", "m f=1 1791788430\n", 1},
        {"precision=millisecond", "m f=1 1791788430000\n", 1},
        {"precision=microsecond", "m f=1 1791788430000000\n", 1},
        {"precision=nanosecond", "m f=1 1791788430000000000\n", 1},
        {"precision=nanosecond", "m f=1 1791788430\n", 0},
        {"precision=s", "m f=1 1791788430\n", 1},
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        scene->head =
            (struct http_head){.path = STR("/api/v3/write_lp"), .query = str_of(cases[i].query)};
        struct influx_body *body = take(scene, cases[i].line);
        if (body->body.counts.stored != cases[i].stored)
            fail_msg("?%s %s", cases[i].query, cases[i].line);
        close_body(body);
    }
}

static void a_request_may_ask_for_all_or_nothing(void **state)
{
    struct scene *scene = *state;
    struct error err = ERROR_EMPTY;

    scene->head = (struct http_head){.path = STR("/api/v3/write_lp"),
                                     .query = STR("db=x&accept_partial=false")};
    struct influx_body *body = take(scene, "m f=1\n");
    assert_int_equal(body->body.counts.stored, 1);
    close_body(body);
    body = open_body(scene);
    give(body, STR("m f=1\nm f=\nm f=2"));
    assert_false(INFLUX_BODY_FORMAT.end(&body->body, &err));
    assert_string_equal(err.text,
                        "unable to parse 'm f=': missing field value (line 2); nothing is stored");
    assert_int_equal(body->body.refused_for, REJECT_malformed);
    close_body(body);
}

static void good_lines_are_kept_and_bad_ones_named(void **state) /* I23, I24 */
{
    struct scene *scene = *state;

    expect_summary(
        take(scene, "# head\n\nm f=1\nm,a= f=2\nm f=\"a\nb\"\nm f=x\n"),
        "m_f/6@0: 1 x 1 last 1\n"
        "received 4 stored 1 bad lines 2: 400 partial write: unable to parse 'm,a= f=2': missing "
        "tag value (line 4) (and 1 other parse errors) "
        "[{\"line\":4,\"reason\":\"bad_tags\",\"error\":\"missing tag value\",\"example\":\"m,a= "
        "f=2\"},{\"line\":7,\"reason\":\"bad_number\",\"error\":\"invalid "
        "value\",\"example\":\"m f=x\"}]");
    expect_summary(take(scene, "m"),
                   "received 1 stored 0 bad lines 1: 400 unable to parse 'm': missing fields (line "
                   "1) [{\"line\":1,\"reason\":\"malformed\",\"error\":\"missing "
                   "fields\",\"example\":\"m\"}]");
    expect_summary(take(scene, ""), "received 0 stored 0 bad lines 0: 204  ");
}

static void many_bad_lines_are_counted_and_some_are_shown(void **state)
{
    struct scene *scene = *state;
    struct buf text = BUF_EMPTY;
    struct buf words = BUF_EMPTY;
    struct buf list = BUF_EMPTY;

    for (int i = 0; i < 1000; i++)
        buf_text(&text, "m,\n");
    struct influx_body *body = take_all(scene, text.bytes, text.len, text.len);
    assert_int_equal(verdict_of(body, &words, &list), 400);
    assert_int_equal(body->bad_lines, 1000);
    assert_int_equal(body->body.counts.rejected[REJECT_bad_tags], 1000);
    assert_true(list.len < 4096);
    close_body(body);
    buf_fini(&text);
    buf_fini(&words);
    buf_fini(&list);
}

static void a_line_over_the_limit_is_rejected_alone(void **state)
{
    struct scene *scene = *state;
    char text[1000];

    for (int over = 0; over <= 1; over++) {
        int pad = (int)scene->request.line_bytes_max - 5 + over;
        int len = snprintf(text, sizeof text, "m a%0*d=1\nm f=1\n", pad, 0);
        for (size_t piece = 1; piece < 300; piece += 13) {
            struct influx_body *body = take_all(scene, text, (size_t)len, piece);
            assert_int_equal(body->body.counts.rejected[REJECT_too_long], over);
            assert_int_equal(body->body.counts.stored, 2 - over);
            close_body(body);
        }
    }
    /* A text without an end: what it swallows is one line, which is too long. */
    memset(text, 'x', sizeof text);
    memcpy(text, "m f=\"", 5);
    text[300] = '\n';
    struct influx_body *body = take_all(scene, text, sizeof text, sizeof text);
    assert_int_equal(body->body.counts.received, 1);
    assert_int_equal(body->body.counts.rejected[REJECT_too_long], 1);
    close_body(body);
}

static void a_body_in_any_pieces_says_the_same(void **state) /* I5 */
{
    static const char text[] = "# comment \"with\" quotes\r\n"
                               "  cpu,host=a\\ b,dc=\"x user=1,idle=2i\n"
                               "\n"
                               "log msg=\"two\nlines, \\\"quoted\\\" a=1 \\\\\",n=7 1791788400\n"
                               "\"m\" f=1\n"
                               "m f=\"a\"\"b\nm f=3\n"
                               "m,a=\"b\nm f=\"\"\nm \"f=1\nm f=1 \"x\n"
                               "x\\ y\\\\,t\\=1=\\,2 f\\\"=\"#\n#\",g=t\n"
                               "m\\\n f=1\nm f=\"\\\n\"\n"
                               "tail z=9";
    struct scene *scene = *state;
    char *whole = summary_of(take_all(scene, text, sizeof text - 1, sizeof text));

    for (size_t piece = 1; piece < sizeof text; piece++) {
        char *pieces = summary_of(take_all(scene, text, sizeof text - 1, piece));
        assert_string_equal(pieces, whole);
        free(pieces);
    }
    for (size_t cut = 1; cut < sizeof text - 1; cut++) { /* and in two */
        struct influx_body *body = open_body(scene);
        give(body, (struct str){text, cut});
        give(body, (struct str){text + cut, sizeof text - 1 - cut});
        end_body(body);
        char *pieces = summary_of(body);
        assert_string_equal(pieces, whole);
        free(pieces);
    }
    free(whole);
}

/* Lines without end inside of texts must not be looked at again and again. */
static void many_newlines_in_texts_are_looked_at_once(void **state)
{
    struct scene *scene = *state;
    struct buf text = BUF_EMPTY;

    scene->request.line_bytes_max = 1 << 20;
    buf_text(&text, "m f=1");
    while (text.len < 1 << 20)
        buf_text(&text, ",s=\"\n\"");
    struct influx_body *body = take_all(scene, text.bytes, text.len - 8, 1);
    assert_int_equal(body->body.counts.received, 1); /* the last text has no end */
    assert_true(body->line > 100000);
    close_body(body);
    buf_fini(&text);
}

static void arrivals_grow_with_each_sample(void **state) /* FIG-32 */
{
    struct scene *scene = *state;
    struct influx_body *first = take(scene, "m f=5 1791788400\nm f=7 1791788400\n");
    struct delta *delta = batch_take(first->body.batch);

    first->body.batch = NULL;
    assert_true(delta->cells[0].cell.aggregate.last == 7);
    assert_true(delta->cells[0].cell.aggregate.last_arrival == (uint64_t)NOW * 1000 + 2);
    delta_free(delta);
    close_body(first);
    struct influx_body *second = take(scene, "m f=5 1791788400\n");
    delta = batch_take(second->body.batch);
    second->body.batch = NULL;
    assert_true(delta->cells[0].cell.aggregate.last_arrival == (uint64_t)NOW * 1000 + 3);
    delta_free(delta);
    close_body(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_plain_means_what_it_means_the_long_way),
        cmocka_unit_test(many_tags_and_fields_mean_the_same_the_long_way),
        cmocka_unit_test(lines_that_must_parse),
        cmocka_unit_test(lines_that_must_not_parse),
        cmocka_unit_test(too_many_tags_are_refused),
        cmocka_unit_test(a_time_is_in_the_unit_of_the_request),
        cmocka_unit_test_setup_teardown(names_are_measurement_and_field, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_are_dropped_and_no_mistake, setup, teardown),
        cmocka_unit_test_setup_teardown(a_declared_type_beats_the_protocols, setup, teardown),
        cmocka_unit_test_setup_teardown(times_decide_the_minute_and_far_ones_are_rejected, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_third_api_names_or_guesses_units, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_may_ask_for_all_or_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(good_lines_are_kept_and_bad_ones_named, setup, teardown),
        cmocka_unit_test_setup_teardown(many_bad_lines_are_counted_and_some_are_shown, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_line_over_the_limit_is_rejected_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_in_any_pieces_says_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(many_newlines_in_texts_are_looked_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(arrivals_grow_with_each_sample, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
