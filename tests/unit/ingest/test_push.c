#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "ingest/push.h"
#include "test.h"

/* 2026-10-12T09:00:30+02:00. */
static const wall_ms NOW = INT64_C(1791788430000);
static const uint64_t ARRIVAL = UINT64_C(1791788430000000);

struct scene {
    struct calendar *berlin;
    struct metric_table metrics;
    struct metric_definition stock;
    struct metric_definition visitors;
    struct metric_definition score;
    struct batch_rules batch_rules;
    struct push_rules rules;
    uint64_t arrival;
};

static int setup(void **state)
{
    struct error err = ERROR_EMPTY;
    struct scene *scene = memory_zero(1, sizeof *scene);

    scene->berlin = calendar_new(STR("Europe/Berlin"), 1, &err);
    assert_non_null(scene->berlin);
    scene->stock =
        (struct metric_definition){.name = "stock", .has_kind = true, .kind = METRIC_GAUGE};
    scene->visitors =
        (struct metric_definition){.name = "visitors", .has_kind = true, .kind = METRIC_UNIQUE};
    scene->score = (struct metric_definition){.name = "score",
                                              .has_kind = true,
                                              .kind = METRIC_SCORE,
                                              .has_range = true,
                                              .range_low = 0,
                                              .range_high = 10};
    assert_true(table_add(&scene->metrics.by_name, STR("stock"), &scene->stock));
    assert_true(table_add(&scene->metrics.by_name, STR("visitors"), &scene->visitors));
    assert_true(table_add(&scene->metrics.by_name, STR("score"), &scene->score));
    scene->batch_rules = (struct batch_rules){.metrics = &scene->metrics,
                                              .series_max = 1000,
                                              .max_future = MS_PER_HOUR,
                                              .max_past = 30 * (span_ms)MS_PER_DAY,
                                              .seed = 7};
    scene->rules =
        (struct push_rules){.batch = &scene->batch_rules, .calendar = scene->berlin, .now = NOW};
    scene->arrival = ARRIVAL;
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    calendar_free(scene->berlin);
    table_fini(&scene->metrics.by_name);
    free(scene);
    return 0;
}

static struct push parse(struct scene *scene, const char *body)
{
    struct error err = ERROR_EMPTY;
    struct push push;

    if (!push_parse(str_of(body), &scene->rules, scene->arrival, &push, &err))
        fail_msg("%s: %s", body, err.text);
    return push;
}

static void assert_key(const struct push *push, size_t series, const char *expected)
{
    struct buf text = BUF_EMPTY;
    series_key_format(&text, push->delta->series[series].key);
    if (!str_is(buf_view(&text), expected))
        fail_msg("%.*s is not %s", STR_ARGS(buf_view(&text)), expected);
    buf_fini(&text);
}

static void samples_become_cells_of_their_minutes(void **state)
{
    struct push push = parse(*state, "{\"samples\":["
                                     "{\"name\":\"leads\",\"value\":12},"
                                     "{\"name\":\"leads\",\"value\":\"0.5\"},"
                                     "{\"name\":\"leads\",\"value\":3,\"at\":\"2026-10-12T08:59\"}"
                                     "]}");
    const struct delta *delta = push.delta;

    assert_int_equal(push.samples, 3);
    assert_int_equal(push.reason, REJECT_NONE);
    assert_int_equal(delta->series_count, 1);
    assert_int_equal(delta->cell_count, 2);
    assert_int_equal(delta->ledger_count, 0);
    assert_null(delta->on_done);
    assert_int_equal(delta->cells[0].minute, NOW / MS_PER_MINUTE);
    assert_true(aggregate_sum(&delta->cells[0].cell.aggregate) == 12.5);
    assert_true(aggregate_count(&delta->cells[0].cell.aggregate) == 2);
    assert_true(delta->cells[0].cell.aggregate.last_arrival == ARRIVAL + 1);
    assert_int_equal(delta->cells[1].minute, NOW / MS_PER_MINUTE - 1);
    assert_true(delta->cells[1].cell.aggregate.last_at == NOW - 90 * MS_PER_SECOND);
    assert_int_equal(series_key_kind(delta->series[0].key), METRIC_UNTYPED);
    delta_free(push.delta);
}

static void a_whole_number_of_any_size_is_a_double(void **state)
{
    static const struct {
        const char *value;
        double expected;
    } cases[] = {
        {"9223372036854775807", 9223372036854775807.0},
        {"9223372036854775808", 9223372036854775808.0},
        {"-9223372036854775809", -9223372036854775808.0},
        {"18446744073709551616", 18446744073709551616.0},
        {"9007199254740993", 9007199254740992.0}, /* the nearest there is */
        {"10000000000000000000000000000000000000000", 1e40},
        {"-0", 0},
    };
    char body[200];

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        (void)snprintf(body, sizeof body, "{\"samples\":[{\"name\":\"big\",\"value\":%s}]}",
                       cases[i].value);
        struct push push = parse(*state, body);
        assert_int_equal(push.samples, 1);
        double sum = aggregate_sum(&push.delta->cells[0].cell.aggregate);
        if (sum != cases[i].expected)
            fail_msg("%s is %.17g", cases[i].value, sum);
        delta_free(push.delta);
    }
}

static struct delta_identity identity_of(struct scene *scene, const char *body)
{
    struct push push = parse(scene, body);
    struct delta_identity identity = push.delta->identity;
    delta_free(push.delta);
    return identity;
}

static void an_id_and_its_sample_name_a_push(void **state)
{
    static const char *const bodies[] = {
        "{\"samples\":[{\"name\":\"leads\",\"value\":1,\"id\":\"one\"}]}",
        "{\"samples\":[{\"name\":\"leads\",\"value\":2,\"id\":\"one\"}]}",
        "{\"samples\":[{\"name\":\"leads\",\"value\":1,\"id\":\"two\"}]}",
        "{\"samples\":[{\"name\":\"leads\",\"value\":1}]}",
    };
    struct scene *scene = *state;
    struct delta_identity first = identity_of(scene, bodies[0]);

    scene->rules.now = NOW + MS_PER_MINUTE;
    scene->arrival = ARRIVAL + 7;
    struct delta_identity again = identity_of(scene, bodies[0]);
    scene->rules.now = NOW;
    scene->arrival = ARRIVAL;
    assert_int_equal(first.kind, IDENTITY_KEY);
    assert_true(series_hash_equal(first.name, again.name));
    assert_true(series_hash_equal(first.body, again.body));
    struct delta_identity other_body = identity_of(scene, bodies[1]);
    assert_true(series_hash_equal(first.name, other_body.name));
    assert_false(series_hash_equal(first.body, other_body.body));
    struct delta_identity other_id = identity_of(scene, bodies[2]);
    assert_false(series_hash_equal(first.name, other_id.name));
    assert_int_equal(identity_of(scene, bodies[3]).kind, IDENTITY_NONE);
}

static void an_id_has_a_limit(void **state)
{
    struct scene *scene = *state;
    struct error err = ERROR_EMPTY;
    struct push push;
    char body[600];

    for (int len = PUSH_ID_MAX; len <= PUSH_ID_MAX + 1; len++) {
        (void)snprintf(body, sizeof body,
                       "{\"samples\":[{\"name\":\"a\",\"value\":1,\"id\":\"%0*d\"}]}", len, 0);
        bool ok = push_parse(str_of(body), &scene->rules, scene->arrival, &push, &err);
        assert_true(ok == (len == PUSH_ID_MAX));
        if (ok)
            delta_free(push.delta);
    }
}

static void labels_are_sorted_into_the_key(void **state)
{
    struct push push =
        parse(*state, "{\"samples\":["
                      "{\"name\":\"leads\",\"value\":1,\"labels\":{\"b\":\"2\",\"a\":\"1\"}},"
                      "{\"name\":\"leads\",\"value\":1,\"labels\":{\"a\":\"1\",\"b\":\"2\"}},"
                      "{\"name\":\"leads\",\"value\":1,\"labels\":{}}]}");
    assert_int_equal(push.delta->series_count, 2);
    assert_key(&push, 0, "leads{a=\"1\",b=\"2\"}");
    assert_key(&push, 1, "leads");
    for (size_t i = 0; i < push.delta->series_count; i++) {
        struct str key = push.delta->series[i].key;
        assert_true(series_key_is_valid(key));
        assert_true(series_hash_equal(push.delta->series[i].hash, series_key_hash(key)));
    }
    delta_free(push.delta);
}

static void a_declared_type_beats_the_senders(void **state)
{
    struct push push =
        parse(*state, "{\"samples\":[{\"name\":\"stock\",\"value\":5,\"type\":\"counter\"},"
                      "{\"name\":\"other\",\"value\":5,\"type\":\"counter\"},"
                      "{\"name\":\"visitors\",\"value\":\"ann\"},"
                      "{\"name\":\"visitors\",\"value\":\"ben\"},"
                      "{\"name\":\"visitors\",\"value\":\"ann\"},"
                      "{\"name\":\"score\",\"value\":10},"
                      "{\"name\":\"score\",\"value\":3}]}");
    const struct delta *delta = push.delta;
    double share = 0;

    assert_int_equal(series_key_kind(delta->series[0].key), METRIC_GAUGE);
    assert_int_equal(series_key_kind(delta->series[1].key), METRIC_COUNTER);
    assert_int_equal(series_key_kind(delta->series[2].key), METRIC_UNIQUE);
    assert_int_equal(series_key_kind(delta->series[3].key), METRIC_SCORE);
    assert_non_null(delta->cells[2].cell.distinct);
    assert_true(distinct_estimate(delta->cells[2].cell.distinct) == 2);
    assert_true(cell_share_at_least(&delta->cells[3].cell, 9, &share) && share == 0.5);
    assert_false(delta->cells[0].cell.counts_values);
    delta_free(push.delta);
}

static enum metric_kind kind_of(struct str metric, void *arg)
{
    (void)arg;
    return str_is(metric, "signup") ? METRIC_COUNTER : 0;
}

static void a_sample_without_a_type_takes_the_only_one_its_metric_has(void **state)
{
    static const struct {
        const char *body;
        enum metric_kind kind;
    } cases[] = {
        {"{\"samples\":[{\"name\":\"signup\",\"value\":3}]}", METRIC_COUNTER},
        {"{\"samples\":[{\"name\":\"signup\",\"value\":3,\"type\":\"untyped\"}]}", METRIC_UNTYPED},
        {"{\"samples\":[{\"name\":\"other\",\"value\":3}]}", METRIC_UNTYPED},
        {"{\"samples\":[{\"name\":\"stock\",\"value\":3}]}", METRIC_GAUGE},
    };
    struct scene *scene = *state;

    scene->rules.kind_of = kind_of;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct push push = parse(scene, cases[i].body);
        assert_int_equal(series_key_kind(push.delta->series[0].key), cases[i].kind);
        delta_free(push.delta);
    }
}

#define ONE(sample) "{\"samples\":[" sample "]}"

#define NO_PUSH      "the body is not an object with 'samples' alone"
#define NO_PUSH_HINT "{\"samples\":[{\"name\":\"signup\",\"value\":1}]}"

static void one_bad_sample_refuses_the_body(void **state)
{
    static const struct {
        const char *body;
        enum reject_reason reason;
        const char *text; /* what the error begins with */
        const char *hint;
    } cases[] = {
        {"", REJECT_malformed, NO_PUSH, NO_PUSH_HINT},
        {" \n", REJECT_malformed, NO_PUSH, NO_PUSH_HINT},
        {"{", REJECT_malformed, "the body ends in the middle", ""},
        {"{\"samples\":[{\"name\":\"a\",\"value\":1}", REJECT_malformed,
         "the body ends in the middle", ""},
        {"{\"samples\":[{\"name\":\"a\"", REJECT_malformed, "the body ends in the middle", ""},
        {"{\"samples\":[]}garbage", REJECT_malformed, NO_PUSH, NO_PUSH_HINT},
        {"{\"samples\":[]}}", REJECT_malformed, NO_PUSH, NO_PUSH_HINT},
        {"[]", REJECT_malformed, NO_PUSH, NO_PUSH_HINT},
        {"{}", REJECT_malformed, NO_PUSH, NO_PUSH_HINT},
        {"{\"sample\":[]}", REJECT_malformed, NO_PUSH, NO_PUSH_HINT},
        {"{\"sam ples\":[]}", REJECT_malformed, NO_PUSH, NO_PUSH_HINT},
        {"{\"samples\":{}}", REJECT_malformed, NO_PUSH, NO_PUSH_HINT},
        {"{\"samples\":[],\"x\":1}", REJECT_malformed, NO_PUSH, NO_PUSH_HINT},
        {"{\"samples\":[],\"samples\":[]}", REJECT_malformed, NO_PUSH, NO_PUSH_HINT},
        {"{\"samples\":[{\"name\":\"a\",\"value\":1}{\"name\":\"a\",\"value\":1}]}",
         REJECT_malformed, NO_PUSH, NO_PUSH_HINT},
        {"{\"samples\":[]}", REJECT_malformed, "a push has 1 to 10000 samples, not 0", ""},
        {"{\"samples\":[{\"name\":\"a\",\"value\":1},]}", REJECT_malformed,
         "samples[1]: not an object", ""},
        {ONE("{\"name\":\"a\",\"value\":1]}"), REJECT_malformed,
         "samples[0]: not JSON: byte 22: it does not go on as JSON does", ""},
        {ONE("{\"name\":{\"a\":[{}]},\"value\":1}"), REJECT_bad_name, "samples[0].name: not a text",
         ""},
        {ONE("7"), REJECT_malformed, "samples[0]: not an object", ""},
        {ONE("{}"), REJECT_bad_name, "samples[0].name: missing", ""},
        {ONE("{\"name\":7,\"value\":1}"), REJECT_bad_name, "samples[0].name: not a text", ""},
        {ONE("{\"name\":\"\",\"value\":1}"), REJECT_bad_name, "samples[0].name: empty, ", ""},
        {ONE("{\"name\":\"a\\n\",\"value\":1}"), REJECT_bad_name, "samples[0].name: empty, ", ""},
        {ONE("{\"name\":\"a\\u0000\",\"value\":1}"), REJECT_malformed,
         "samples[0]: not JSON: byte 17: a text has a NUL (\\u0000)", ""},
        {ONE("{\"name\":\"a\xff\",\"value\":1}"), REJECT_malformed,
         "samples[0]: not JSON: byte 10: a text is not UTF-8", ""},
        {ONE("{\"\\u0000\":1}"), REJECT_malformed,
         "samples[0]: not JSON: byte 9: a text has a NUL (\\u0000)", ""},
        {ONE("{\"say \\\"hi\\\\\":1}"), REJECT_malformed, "samples[0].say \"hi\\: unknown key", ""},
        {ONE("{\"name\":\"a\",\"valeu\":1}"), REJECT_malformed, "samples[0].valeu: unknown key",
         "did you mean 'value'?"},
        {ONE("{\"name\":\"a\",\"value\":1,\"id\":7}"), REJECT_malformed,
         "samples[0].id: an id is a text of 1 to 255 bytes", ""},
        {ONE("{\"name\":\"a\",\"value\":1,\"id\":\"\"}"), REJECT_malformed,
         "samples[0].id: an id is a text of 1 to 255 bytes", ""},
        {"{\"samples\":[{\"name\":\"a\",\"value\":1},{\"name\":\"a\",\"value\":1,\"id\":\"7\"}]}",
         REJECT_malformed, "samples[1].id: an id is for a push of one sample",
         "send each sample in a push of its own"},
        {"{\"samples\":[{\"name\":\"a\",\"value\":1,\"id\":\"7\"},{\"name\":\"a\",\"value\":1}]}",
         REJECT_malformed, "samples[1].id: an id is for a push of one sample",
         "send each sample in a push of its own"},
        {ONE("{\"name\":\"a\"}"), REJECT_bad_number, "samples[0].value: missing", ""},
        {ONE("{\"name\":\"a\",\"value\":null}"), REJECT_bad_number,
         "samples[0].value: not a number", ""},
        {ONE("{\"name\":\"a\",\"value\":true}"), REJECT_bad_number,
         "samples[0].value: not a number", ""},
        {ONE("{\"name\":\"a\",\"value\":\"\"}"), REJECT_bad_number,
         "samples[0].value: not a decimal number: ''", ""},
        {ONE("{\"name\":\"a\",\"value\":\"1,5\"}"), REJECT_bad_number,
         "samples[0].value: not a decimal number: '1,5'", ""},
        {ONE("{\"name\":\"a\",\"value\":\"nan\"}"), REJECT_bad_number,
         "samples[0].value: not a decimal number: 'nan'", ""},
        {ONE("{\"name\":\"a\",\"value\":\"0x10\"}"), REJECT_bad_number,
         "samples[0].value: not a decimal number: '0x10'", ""},
        {ONE("{\"name\":\"a\",\"value\":\"\\u001b[2J\"}"), REJECT_bad_number,
         "samples[0].value: not a decimal number: '\\x1b[2J'", ""},
        {ONE("{\"name\":\"a\",\"value\":1e999}"), REJECT_malformed,
         "samples[0]: not JSON: byte 25: a number is too large", ""},
        {ONE("{\"name\":\"a\",\"value\":1,\"type\":3}"), REJECT_bad_type,
         "samples[0].type: not a text", ""},
        {ONE("{\"name\":\"a\",\"value\":1,\"type\":\"count\"}"), REJECT_bad_type,
         "samples[0].type: unknown type 'count'", "did you mean 'counter'?"},
        {ONE("{\"name\":\"a\",\"value\":1,\"labels\":[]}"), REJECT_bad_tags,
         "samples[0].labels: not an object", ""},
        {ONE("{\"name\":\"a\",\"value\":1,\"labels\":{\"x\":1}}"), REJECT_bad_tags,
         "samples[0].labels: the name and the value of 'x' ", ""},
        {ONE("{\"name\":\"a\",\"value\":1,\"labels\":{\"x\":\"\"}}"), REJECT_bad_tags,
         "samples[0].labels: the name and the value of 'x' ", ""},
        {ONE("{\"name\":\"a\",\"value\":1,\"labels\":{\"\":\"x\"}}"), REJECT_bad_tags,
         "samples[0].labels: the name and the value of '' ", ""},
        {ONE("{\"name\":\"a\",\"value\":1,\"labels\":{\"x\":\"a\\u0001b\"}}"), REJECT_bad_tags,
         "samples[0].labels: the name and the value of 'x' ", ""},
        {ONE("{\"name\":\"a\",\"value\":1,\"labels\":{\"x\":\"1\",\"x\":\"2\"}}"), REJECT_malformed,
         "samples[0]: not JSON: byte 43: a key is there twice", ""},
        {ONE("{\"name\":\"a\",\"value\":1,\"at\":5}"), REJECT_bad_time,
         "samples[0].at: not a time: 'no text'", "as 2026-10-12T09:00:00+02:00"},
        {ONE("{\"name\":\"a\",\"value\":1,\"at\":\"soon\"}"), REJECT_bad_time,
         "samples[0].at: not a time: 'soon'", "as 2026-10-12T09:00:00+02:00"},
        {ONE("{\"name\":\"a\",\"value\":1,\"at\":\"2026-10-12T10:00:31\"}"), REJECT_bad_time,
         "samples[0].at: too far in the future: '2026-10-12T10:00:31'", ""},
        {ONE("{\"name\":\"a\",\"value\":1,\"at\":\"2026-09-12T09:00:29\"}"), REJECT_bad_time,
         "samples[0].at: too far in the past: '2026-09-12T09:00:29'", ""},
        {ONE("{\"name\":\"visitors\",\"value\":7}"), REJECT_bad_number,
         "samples[0].value: a member of the unique metric 'visitors' is a text", ""},
        {ONE("{\"name\":\"visitors\",\"value\":\"\"}"), REJECT_bad_number,
         "samples[0].value: a member has 1 to 1024 bytes", ""},
        {ONE("{\"name\":\"score\",\"value\":11}"), REJECT_out_of_range,
         "samples[0].value: a score outside the range of 'score'", ""},
        {ONE("{\"name\":\"score\",\"value\":9.5}"), REJECT_out_of_range,
         "samples[0].value: a score outside the range of 'score'", ""},
        {ONE("{\"name\":\"a\",\"value\":1},{\"name\":\"b\",\"value\":\"x\"}"), REJECT_bad_number,
         "samples[1].value: not a decimal number: 'x'", ""},
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        struct push push;
        if (push_parse(str_of(cases[i].body), &scene->rules, scene->arrival, &push, &err))
            fail_msg("taken: %s", cases[i].body);
        assert_null(push.delta);
        if (strncmp(err.text, cases[i].text, strlen(cases[i].text)) != 0)
            fail_msg("%s: '%s'", cases[i].body, err.text);
        assert_string_equal(err.hint, cases[i].hint);
        assert_int_equal(err.kind, ERROR_INVALID);
        assert_int_equal(push.reason, cases[i].reason);
    }
}

static void the_edges_of_the_allowed_times_are_taken(void **state)
{
    struct push push =
        parse(*state, ONE("{\"name\":\"a\",\"value\":1,\"at\":\"2026-10-12T10:00:30\"},"
                          "{\"name\":\"a\",\"value\":1,\"at\":\"2026-09-12T07:00:30Z\"},"
                          "{\"name\":\"a\",\"value\":1,\"at\":\"2026-10-01\"}"));
    assert_int_equal(push.delta->cell_count, 3);
    delta_free(push.delta);
}

static void more_samples_than_the_limit_are_refused(void **state)
{
    struct scene *scene = *state;
    struct buf body = BUF_EMPTY;
    struct error err = ERROR_EMPTY;
    struct push push;

    buf_text(&body, "{\"samples\":[");
    for (int i = 0; i < PUSH_SAMPLES_MAX; i++)
        buf_printf(&body, "%s{\"name\":\"a\",\"value\":1}", i == 0 ? "" : ",");
    size_t len = body.len;
    buf_text(&body, "]}");
    assert_true(push_parse(buf_view(&body), &scene->rules, scene->arrival, &push, &err));
    assert_int_equal(push.samples, PUSH_SAMPLES_MAX);
    assert_true(aggregate_count(&push.delta->cells[0].cell.aggregate) == PUSH_SAMPLES_MAX);
    delta_free(push.delta);

    body.len = len;
    buf_text(&body, ",{\"name\":\"a\",\"value\":1}]}");
    assert_false(push_parse(buf_view(&body), &scene->rules, scene->arrival, &push, &err));
    assert_string_equal(err.text, "a push has at most 10000 samples");
    buf_fini(&body);
}

/* In __other__ it would be one of many totals; a counter is one of them. */
static void a_total_beyond_the_limit_of_series_is_counted_and_the_others_are_taken(void **state)
{
    struct scene *scene = *state;
    struct metric_definition served = {
        .name = "served", .has_kind = true, .kind = METRIC_COUNTER, .counts_up = true};
    struct error err = ERROR_EMPTY;
    struct push push;

    scene->batch_rules.series_max = 1;
    assert_true(table_add(&scene->metrics.by_name, STR("served"), &served));
    assert_true(
        push_parse(STR("{\"samples\":[{\"name\":\"served\",\"value\":1,\"labels\":{\"n\":\"1\"}},"
                       "{\"name\":\"served\",\"value\":2,\"labels\":{\"n\":\"2\"}},"
                       "{\"name\":\"hits\",\"value\":3,\"labels\":{\"n\":\"2\"}}]}"),
                   &scene->rules, scene->arrival, &push, &err));
    assert_int_equal(push.samples, 3);
    assert_int_equal(push.limited, 1);
    assert_int_equal(push.delta->point_count, 1);
    assert_int_equal(push.delta->cell_count, 1);
    assert_key(&push, 1, "hits{__other__=\"true\"}");
    delta_free(push.delta);
}

static void more_labels_than_the_limits_are_refused(void **state)
{
    static const struct {
        int labels;
        int value_len;
        bool taken;
    } cases[] = {
        {LABELS_MAX, 1, true}, {LABELS_MAX + 1, 1, false}, {4, 1017, true}, {4, 1018, false}};
    struct scene *scene = *state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct buf body = BUF_EMPTY;
        struct error err = ERROR_EMPTY;
        struct push push;
        buf_text(&body, "{\"samples\":[{\"name\":\"a\",\"value\":1,\"labels\":{");
        for (int label = 0; label < cases[i].labels; label++) {
            buf_printf(&body, "%s\"l%04d\":\"", label == 0 ? "" : ",", label);
            for (int byte = 0; byte < cases[i].value_len; byte++)
                buf_char(&body, 'x');
            buf_char(&body, '"');
        }
        buf_text(&body, "}}]}");
        assert_int_equal(push_parse(buf_view(&body), &scene->rules, scene->arrival, &push, &err),
                         cases[i].taken);
        delta_free(push.delta);
        buf_fini(&body);
    }
}

static void deep_nesting_is_refused(void **state)
{
    struct scene *scene = *state;
    struct buf body = BUF_EMPTY;
    struct error err = ERROR_EMPTY;
    struct push push;

    for (int i = 0; i < 1000000; i++)
        buf_char(&body, '[');
    assert_false(push_parse(buf_view(&body), &scene->rules, scene->arrival, &push, &err));
    assert_int_equal(push.reason, REJECT_malformed);
    buf_fini(&body);
}

/* What is around a sample and inside of it may be cut anywhere. */
static void a_body_in_any_pieces_says_the_same(void **state)
{
    static const char *const bodies[] = {
        " { \"samples\" : [ {\"name\":\"a]}\\\"{\",\"value\":1, \"labels\":{\"x\":\"\\\\\"}} ,\n"
        "{\"name\":\"stock\",\"value\":\"2.5\"}]}\n",
        "{\"samples\":[{\"name\":\"a\",\"value\":1},{\"name\":\"b\",\"value\":[}}]}",
        "{\"samples\":[{\"name\":\"a\",\"value\":1}]} x",
        "{\"samples\":[{\"name\":\"a\",\"value\":1}",
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < TEST_COUNT(bodies); i++) {
        struct error whole_err = ERROR_EMPTY;
        struct push whole;
        size_t len = strlen(bodies[i]);
        bool taken = push_parse(str_of(bodies[i]), &scene->rules, ARRIVAL, &whole, &whole_err);
        for (size_t cut = 1; cut < len; cut++) {
            struct error err = ERROR_EMPTY;
            struct push_reader reader;
            struct batch *batch = batch_new(&scene->batch_rules);
            push_reader_init(&reader, ARRIVAL);
            struct str begin = {bodies[i], cut};
            struct str rest = {bodies[i] + cut, len - cut};
            bool ok = push_reader_take(&reader, begin, &scene->rules, batch, &err) &&
                      push_reader_take(&reader, rest, &scene->rules, batch, &err) &&
                      push_reader_end(&reader, &err);
            assert_int_equal(ok, taken);
            assert_int_equal(reader.samples, whole.samples);
            assert_string_equal(err.text, whole_err.text);
            assert_true(push_reader_size_bytes(&reader) < 1024);
            push_reader_fini(&reader);
            batch_free(batch);
        }
        if (taken)
            assert_key(&whole, 0, "\"a]}\\\"{\"{x=\"\\\\\"}");
        delta_free(whole.delta);
    }
}

static void a_sample_that_is_too_long_is_refused(void **state)
{
    struct scene *scene = *state;
    struct buf body = BUF_EMPTY;
    struct error err = ERROR_EMPTY;
    struct push push;

    buf_text(&body, "{\"samples\":[{\"name\":\"");
    while (body.len < 2 * PUSH_SAMPLE_BYTES_MAX)
        buf_char(&body, 'x');
    assert_false(push_parse(buf_view(&body), &scene->rules, ARRIVAL, &push, &err));
    assert_string_equal(err.text, "samples[0]: longer than 65536 bytes");
    assert_int_equal(push.reason, REJECT_too_long);
    buf_fini(&body);
}

/* Where no calendar says which zone is meant. */
static void times_without_an_offset_need_a_calendar(void **state)
{
    static const struct {
        const char *at;
        bool taken;
    } cases[] = {
        {"2026-10-12T09:00:00+02:00", true},
        {"2026-10-12T07:00Z", true},
        {"2026-10-12T09:00-01:00", false}, /* ahead of the clock */
        {"2026-10-12T09:00", false},
        {"2026-10-12", false},
        {"Z", false},
        {"", false},
    };
    struct scene *scene = *state;

    scene->rules.calendar = NULL;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char body[200];
        struct error err = ERROR_EMPTY;
        struct push push;
        (void)snprintf(body, sizeof body,
                       "{\"samples\":[{\"name\":\"a\",\"value\":1,\"at\":\"%s\"}]}", cases[i].at);
        bool ok = push_parse(str_of(body), &scene->rules, ARRIVAL, &push, &err);
        if (ok != cases[i].taken)
            fail_msg("'%s': %s", cases[i].at, err.text);
        delta_free(push.delta);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_become_cells_of_their_minutes),
        cmocka_unit_test(a_whole_number_of_any_size_is_a_double),
        cmocka_unit_test(an_id_and_its_sample_name_a_push),
        cmocka_unit_test(an_id_has_a_limit),
        cmocka_unit_test(labels_are_sorted_into_the_key),
        cmocka_unit_test(a_declared_type_beats_the_senders),
        cmocka_unit_test(a_sample_without_a_type_takes_the_only_one_its_metric_has),
        cmocka_unit_test(one_bad_sample_refuses_the_body),
        cmocka_unit_test(the_edges_of_the_allowed_times_are_taken),
        cmocka_unit_test(more_samples_than_the_limit_are_refused),
        cmocka_unit_test(a_total_beyond_the_limit_of_series_is_counted_and_the_others_are_taken),
        cmocka_unit_test(more_labels_than_the_limits_are_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_body_in_any_pieces_says_the_same),
        cmocka_unit_test(a_sample_that_is_too_long_is_refused),
        cmocka_unit_test(times_without_an_offset_need_a_calendar),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
