/* The API over a real store, writer and socket: shapes, figures and mistakes. */
#include "alert/alert_state.h"
#include "ingest/network.h"
#include "web_fixture.h"

/* Signups of three days; 25 October 2026 has 25 hours. */
static void push_signups(struct scene *scene)
{
    push(scene,
         "{\"name\":\"signup\",\"value\":40,\"type\":\"counter\",\"labels\":{\"plan\":"
         "\"pro\"},\"at\":\"2026-10-10T12:00\"},"
         "{\"name\":\"signup\",\"value\":2,\"type\":\"counter\",\"at\":\"2026-10-10T23:59\"},"
         "{\"name\":\"signup\",\"value\":120,\"type\":\"counter\",\"at\":\"2026-10-11\"},"
         "{\"name\":\"signup\",\"value\":33,\"type\":\"counter\",\"at\":\"2026-10-12T08:00\"}");
}

static void status_has_the_shape_that_stays(void **state)
{
    struct scene *scene = *state;
    scene_start_writer(scene);

    json_t *tree = get(scene, "/api/v1/status");
    assert_json_null(tree, "data_as_of");
    assert_json_null(tree, "kpis.0.value");
    json_decref(tree);

    push_signups(scene);
    push(scene, "{\"name\":\"failed\",\"value\":171,\"type\":\"counter\"},"
                "{\"name\":\"requests\",\"value\":2503,\"type\":\"counter\"}");
    tree = get(scene, "/api/v1/status");
    assert_json_text(tree, "data_as_of", "2026-10-12T09:00:30+02:00");
    assert_json_text(tree, "timezone", "Europe/Berlin");
    assert_json_count(tree, "kpis", 4);
    assert_json_text(tree, "kpis.0.id", "signups");
    assert_json_text(tree, "kpis.0.title", "signups");
    assert_int_equal(json_object_size(at(tree, "kpis.0.by")), 0);
    assert_json_number(tree, "kpis.0.value", 33);
    assert_json_text(tree, "kpis.0.unit", "people");
    assert_json_text(tree, "kpis.0.target.id", "signups");
    assert_json_number(tree, "kpis.0.target.to", 100);
    assert_true(json_is_number(at(tree, "kpis.0.target.expected")));
    assert_json_null(tree, "kpis.0.target.p_hit");
    assert_json_text(tree, "kpis.0.period.name", "2026-10-12");
    assert_json_text(tree, "kpis.0.period.from", "2026-10-12T00:00:00+02:00");
    assert_json_text(tree, "kpis.0.period.to", "2026-10-13T00:00:00+02:00");
    assert_json_text(tree, "kpis.0.shown.value", "33 people");
    assert_json_text(tree, "kpis.0.shown.target", "at least 100 people");
    assert_json_text(tree, "kpis.0.shown.as_of", "2026-10-12 08:00 CEST");

    /* FIG-27: 0.0683 is sent as 6.83 with unit %. */
    assert_same(json_number_value(at(tree, "kpis.1.value")),
                unit_shown(&scene->kpis[1].unit, 171.0 / 2503));
    assert_json_text(tree, "kpis.1.unit", "%");
    assert_json_text(tree, "kpis.1.status", "behind");
    assert_json_number(tree, "kpis.1.target.to", 2);

    /* FIG-11: a metric that was never seen is null with its reason, not 0. */
    assert_json_null(tree, "kpis.2.value");
    assert_json_text(tree, "kpis.2.null_reason", "never_seen");
    assert_json_null(tree, "kpis.2.target");
    assert_json_text(tree, "kpis.3.status", "draft");
    assert_json_text(tree, "kpis.3.reason", "not built yet: window");
    json_decref(tree);
}

static void no_key_is_written_twice(void **state)
{
    struct scene *scene = *state;
    static const char *const PATHS[] = {"/api/v1/status",
                                        "/api/v1/kpis/signups",
                                        "/api/v1/kpis/typo",
                                        "/api/v1/ingest",
                                        "/api/v1/hooks",
                                        "/api/v1/alerts?all=1",
                                        "/api/v1/query?expr=sum(faild)"};

    for (size_t i = 0; i < TEST_COUNT(PATHS); i++) {
        struct buf out = BUF_EMPTY;
        json_error_t mistake;
        assert_int_equal(request(scene, NULL, PATHS[i], STR_EMPTY, &out, NULL), 200);
        json_t *tree = json_loadb(out.bytes, out.len, JSON_REJECT_DUPLICATES, &mistake);
        if (tree == NULL)
            fail_msg("%s: %s: %.*s", PATHS[i], mistake.text, STR_ARGS(buf_view(&out)));
        json_decref(tree);
        buf_fini(&out);
    }
}

static void one_kpi_has_its_words_and_targets(void **state)
{
    struct scene *scene = *state;
    scene_start_writer(scene);
    push_signups(scene);

    json_t *tree = get(scene, "/api/v1/kpis/signups");
    assert_json_text(tree, "id", "signups");
    assert_json_text(tree, "formula", "sum(signup)");
    assert_json_text(tree, "define", "Everybody who confirmed the mail");
    assert_json_text(tree, "owner", "ana");
    assert_json_null(tree, "why");
    assert_json_text(tree, "timezone", "Europe/Berlin");
    assert_json_count(tree, "targets", 1);
    assert_json_text(tree, "targets.0.kind", "at_least");
    assert_json_number(tree, "targets.0.to", 100);
    assert_json_text(tree, "targets.0.every", "day");
    assert_json_text(tree, "last.period.name", "2026-10-11");
    assert_json_number(tree, "last.value", 120);
    assert_json_text(tree, "last.status", "hit");
    assert_json_text(tree, "coverage.newest", "2026-10-12T08:00:00+02:00");
    assert_json_text(tree, "coverage.levels.0", "1m");
    json_decref(tree);

    tree = ask(scene, "/api/v1/kpis/signup", STR_EMPTY, 404);
    assert_json_text(tree, "error.kind", "not_found");
    assert_json_text(tree, "error.message", "no such KPI: 'signup'");
    assert_json_text(tree, "error.hint", "did you mean 'signups'?");
    json_decref(tree);
    tree = ask(scene, "/api/v1/kpis/%1b%5b", STR_EMPTY, 404);
    assert_json_text(tree, "error.message", "no such KPI: '\\x1b['");
    json_decref(tree);
    tree = ask(scene, "/api/v1/kpis/%ff", STR_EMPTY, 400);
    assert_json_text(tree, "error.message", "the path is not UTF-8");
    json_decref(tree);
}

static void a_query_without_a_step_is_one_point(void **state)
{
    struct scene *scene = *state;
    scene_start_writer(scene);
    push_signups(scene);

    json_t *tree = get(scene, "/api/v1/query?expr=sum(signup)&from=2026-10-10&to=2026-10-11");
    assert_json_text(tree, "expr", "sum(signup)");
    assert_json_null(tree, "unit");
    assert_json_count(tree, "points", 1);
    assert_json_text(tree, "points.0.from", "2026-10-10T00:00:00+02:00");
    assert_json_text(tree, "points.0.to", "2026-10-12T00:00:00+02:00"); /* FIG-2 */
    assert_json_number(tree, "points.0.value", 162);
    assert_true(json_is_true(at(tree, "coverage.complete")));
    assert_json_text(tree, "coverage.newest", "2026-10-11T00:00:00+02:00");
    json_decref(tree);

    /* Without a range: today until now. */
    tree = get(scene, "/api/v1/query?expr=sum(signup%7Bplan=%22pro%22%7D)%2B1");
    assert_json_number(tree, "points.0.value", 1);
    assert_json_text(tree, "points.0.from", "2026-10-12T00:00:00+02:00");
    assert_json_text(tree, "points.0.to", "2026-10-12T09:01:00+02:00");
    json_decref(tree);
}

static void steps_are_civil_periods_of_the_zone(void **state)
{
    static const struct {
        const char *parameters;
        const char *second_from; /* of the second point */
        size_t points;
    } cases[] = {
        {"from=2026-10-24&to=2026-10-26&step=1d", "2026-10-25T00:00:00+02:00", 3},
        {"from=2026-10-24&to=2026-10-26&step=day&tz=UTC", "2026-10-25T00:00:00+00:00", 3},
        {"from=2026-10-24T12:00&to=2026-10-26&step=day", "2026-10-25T00:00:00+02:00", 3},
        {"from=2026-10-24&to=2026-10-27&step=2d", "2026-10-26T00:00:00+01:00", 2},
        {"from=2026-10-25&to=2026-10-25&step=1h", "2026-10-25T01:00:00+02:00", 25},
        {"from=2026-10-25&to=2026-10-25&step=90m", "2026-10-25T01:30:00+02:00", 17},
        {"from=2026-01-31&to=2026-04-30&step=month", "2026-02-01T00:00:00+01:00", 4},
        {"from=2026-10-12&to=2026-10-31&step=1w", "2026-10-19T00:00:00+02:00", 3},
        {"from=2026-01-01&to=2026-12-31&step=quarter", "2026-04-01T00:00:00+02:00", 4},
        {"from=2026-10-12T09:00:20&to=2026-10-12T09:02:40&step=minute", "2026-10-12T09:01:00+02:00",
         3},
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char url[300];
        (void)snprintf(url, sizeof url, "/api/v1/query?expr=sum(refund)&%s", cases[i].parameters);
        json_t *tree = get(scene, url);
        size_t count = json_array_size(at(tree, "points"));
        if (count != cases[i].points)
            fail_msg("%s: %zu points", cases[i].parameters, count);
        assert_json_text(tree, "points.1.from", cases[i].second_from);
        for (size_t p = 1; p < count; p++) /* no gap and no overlap */
            assert_string_equal(
                json_string_value(json_object_get(json_array_get(at(tree, "points"), p - 1), "to")),
                json_string_value(json_object_get(json_array_get(at(tree, "points"), p), "from")));
        json_decref(tree);
    }
}

static void a_metric_that_was_never_seen_has_no_value(void **state)
{
    struct scene *scene = *state;

    json_t *tree = get(scene, "/api/v1/query?expr=sum(faild)");
    assert_json_null(tree, "points.0.value");
    assert_json_text(tree, "points.0.null_reason", "never_seen");
    assert_json_null(tree, "coverage.newest");
    json_decref(tree);
}

static void mistakes_in_a_query_are_named(void **state)
{
    static const struct {
        const char *parameters;
        const char *message; /* what it begins with */
        const char *hint;    /* NULL: not looked at */
    } cases[] = {
        {"", "there is no 'expr'", "as expr=sum(signup)"},
        {"?expr=", "there is no 'expr'", NULL},
        {"?expr=summ(signup)", "column 1: ", "did you mean 'sum'?"},
        {"?expr=sum(signup", "column 11: ", NULL},
        {"?expr=1+%2B", "column ", NULL},
        {"?expr=1&form=2026-10-12", "unknown parameter 'form'", "did you mean 'from'?"},
        {"?expr=1&expr=2", "parameter 'expr' is given twice", NULL},
        {"?expr=1&from=soon", "'from' is not a time: 'soon'", NULL},
        {"?expr=1&to=2026-02-30", "'to' is not a time: '2026-02-30'", NULL},
        {"?expr=1&from=2026-10-12&to=2026-10-11", "the range is empty", NULL},
        {"?expr=1&step=fast", "'step' is not a number of whole minutes: 'fast'", NULL},
        {"?expr=1&step=10s", "'step' is not a number of whole minutes: '10s'", NULL},
        {"?expr=1&step=90s", "'step' is not a number of whole minutes: '90s'", NULL},
        {"?expr=1&step=0m", "'step' is not a number of whole minutes: '0m'", NULL},
        {"?expr=1&tz=Europe/Berln", "", NULL},
        {"?expr=1&from=2000-01-01&step=minute", "more than 10000 points",
         "take a longer step or a shorter range"},
        {"?expr=prev(avg(latency))", "not built yet: ", NULL},
        {"?expr=1&tz=%ff", "parameter 'tz' is not UTF-8", NULL},
        {"?%00", "", NULL},
        {"?&&&", "", NULL},
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char url[300];
        (void)snprintf(url, sizeof url, "/api/v1/query%s", cases[i].parameters);
        json_t *tree = ask(scene, url, STR_EMPTY, 400);
        const char *message = json_string_value(at(tree, "error.message"));
        assert_json_text(tree, "error.kind", "invalid");
        if (strncmp(message, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: %s", cases[i].parameters, message);
        if (cases[i].hint != NULL)
            assert_json_text(tree, "error.hint", cases[i].hint);
        json_decref(tree);
    }
}

static void a_push_is_answered_when_it_is_stored(void **state)
{
    struct scene *scene = *state;
    scene_start_writer(scene);

    json_t *tree = ask(scene, "/api/v1/push",
                       STR("{\"samples\":[{\"name\":\"leads\",\"value\":12},"
                           "{\"name\":\"leads\",\"value\":\"0.5\",\"labels\":{\"source\":\"fair\"}}"
                           "]}"),
                       200);
    assert_json_number(tree, "stored", 2);
    json_decref(tree);
    tree = get(scene, "/api/v1/query?expr=sum(leads)");
    assert_json_number(tree, "points.0.value", 12.5);
    json_decref(tree);
    tree = get(scene, "/api/v1/query?expr=sum(leads%7Bsource=%22fair%22%7D)");
    assert_json_number(tree, "points.0.value", 0.5);
    json_decref(tree);
}

static void a_push_without_a_type_joins_what_statsd_sent(void **state)
{
    struct scene *scene = *state;
    scene_start_writer(scene);

    push(scene, "{\"name\":\"signup\",\"value\":1,\"type\":\"counter\"}"); /* as StatsD's */
    push(scene, "{\"name\":\"signup\",\"value\":3,\"labels\":{\"plan\":\"pro\"}}");
    json_t *tree = get(scene, "/api/v1/query?expr=sum(signup)");
    assert_json_number(tree, "points.0.value", 4);
    assert_json_text(tree, "timezone", "Europe/Berlin");
    json_decref(tree);
}

static void the_ledger_balances_over_pushes(void **state)
{
    struct scene *scene = *state;
    scene_start_writer(scene);
    push(scene, "{\"name\":\"a\",\"value\":1},{\"name\":\"b\",\"value\":1}");
    json_t *tree = ask(scene, "/api/v1/push", STR("{"), 400);
    assert_json_text(tree, "error.kind", "invalid");
    json_decref(tree);
    tree = ask(scene, "/api/v1/push",
               STR("{\"samples\":[{\"name\":\"a\",\"value\":1},{\"name\":\"a\",\"value\":\"x\"}]}"),
               400);
    assert_json_text(tree, "error.message", "samples[1].value: not a decimal number: 'x'");
    json_decref(tree);

    web_stop(scene->web); /* hands over what was counted */
    web_free(scene->web);
    writer_stop(scene->store->writer);
    scene_start(scene);
    tree = get(scene, "/api/v1/ingest");
    assert_json_number(tree, "series", 2);
    assert_json_count(tree, "listeners", 2);
    assert_json_text(tree, "listeners.0.protocol", "statsd");
    assert_json_text(tree, "listeners.0.listen", "udp:127.0.0.1:8125");
    assert_json_number(tree, "listeners.0.received", 0);
    assert_json_number(tree, "listeners.0.pending", 3);
    assert_json_number(tree, "listeners.0.kernel_drops", 2);
    assert_json_text(tree, "listeners.1.protocol", "json");
    assert_json_text(tree, "listeners.1.listen", "control");
    assert_json_number(tree, "listeners.1.received", 4);
    assert_json_number(tree, "listeners.1.stored", 2);
    assert_json_number(tree, "listeners.1.rejected.malformed", 1);
    assert_json_number(tree, "listeners.1.rejected.bad_number", 1);
    assert_int_equal(json_object_size(at(tree, "listeners.1.dropped")), 0);
    json_decref(tree);
}

static void a_push_with_an_id_counts_once(void **state)
{
    static const struct {
        const char *sample;
        long status;
    } cases[] = {{"{\"name\":\"leads\",\"value\":12,\"id\":\"order-1\"}", 200},
                 {"{\"name\":\"leads\",\"value\":12,\"id\":\"order-1\"}", 200},
                 {"{\"name\":\"leads\",\"value\":13,\"id\":\"order-1\"}", 409},
                 {"{\"name\":\"leads\",\"value\":12,\"id\":\"order-2\"}", 200},
                 {"{\"name\":\"leads\",\"value\":12,\"id\":\"order-1\"}", 200}};
    struct scene *scene = *state;
    char body[200];

    scene_start_writer(scene);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        (void)snprintf(body, sizeof body, "{\"samples\":[%s]}", cases[i].sample);
        json_t *tree = ask(scene, "/api/v1/push", str_of(body), cases[i].status);
        if (cases[i].status == 200) {
            assert_json_number(tree, "stored", 1);
        } else {
            assert_json_text(tree, "error.kind", "conflict");
            assert_json_text(tree, "error.message", "the id came before with another sample");
        }
        json_decref(tree);
    }
    json_t *tree = get(scene, "/api/v1/query?expr=sum(leads)");
    assert_json_number(tree, "points.0.value", 24);
    json_decref(tree);
    tree = get(scene, "/api/v1/ingest");
    assert_json_number(tree, "listeners.1.received", 5);
    assert_json_number(tree, "listeners.1.stored", 2);
    assert_json_number(tree, "listeners.1.dropped.duplicate", 2);
    assert_json_number(tree, "listeners.1.dropped.conflict", 1);
    json_decref(tree);
}

static void the_ledger_joins_listeners_by_their_names(void **state)
{
    struct scene *scene = *state;
    struct delta *delta = delta_new();

    add_counts(delta, "statsd udp:127.0.0.1:0", 10, 2);
    add_counts(delta, "statsd tcp:[::1]:9125", 5, 0);
    post(scene->store, delta);
    commit(scene->store);
    json_t *tree = get(scene, "/api/v1/ingest");
    assert_json_count(tree, "listeners", 2);
    assert_json_text(tree, "listeners.0.listen", "udp:127.0.0.1:8125");
    assert_json_number(tree, "listeners.0.received", 12);
    assert_json_number(tree, "listeners.0.stored", 10);
    assert_json_number(tree, "listeners.0.rejected.malformed", 2);
    assert_json_text(tree, "listeners.1.protocol", "statsd"); /* gone, but it has counts */
    assert_json_text(tree, "listeners.1.listen", "tcp:[::1]:9125");
    assert_json_number(tree, "listeners.1.stored", 5);
    json_decref(tree);
}

static void a_push_the_writer_has_no_room_for_may_be_sent_again(void **state)
{
    struct scene *scene = *state;
    struct buf out = BUF_EMPTY;
    struct buf headers = BUF_EMPTY;

    while (writer_has_room(scene->store->writer))
        post(scene->store, one_sample(METRIC_COUNTER, "x", "", 1, NOW));
    struct answer unused = {0};
    struct delta *waiting = one_sample(METRIC_COUNTER, "x", "", 1, NOW);
    wait_for_answer(waiting, &unused);
    while (writer_post_delta(scene->store->writer, waiting)) {
        waiting = one_sample(METRIC_COUNTER, "x", "", 1, NOW);
        wait_for_answer(waiting, &unused);
    }
    delta_free(waiting);

    long status = request(scene, NULL, "/api/v1/push",
                          STR("{\"samples\":[{\"name\":\"a\",\"value\":1}]}"), &out, &headers);
    assert_int_equal(status, 503);
    buf_char(&headers, '\0');
    assert_non_null(strstr(headers.bytes, "Retry-After: 1\r\n"));
    buf_char(&out, '\0');
    assert_non_null(strstr(out.bytes, "\"kind\":\"unavailable\""));
    buf_fini(&out);
    buf_fini(&headers);
    commit(scene->store);
}

struct state_job {
    struct writer_job job; /* first */
    struct alert_state state;
};

static bool run_state_job(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    const struct state_job *put = (struct state_job *)job;
    struct buf bytes = BUF_EMPTY;
    alert_state_encode(&put->state, &bytes);
    bool ok = record_put(txn, RECORD_ALERT_STATE, STR("signups"), buf_view(&bytes), err);
    buf_fini(&bytes);
    return ok;
}

static void on_state_done(struct writer_job *job, const struct error *err)
{
    (void)job;
    assert_null(err);
}

static void alerts_show_their_stored_states(void **state)
{
    struct scene *scene = *state;
    struct state_job put = {.job = {.run = run_state_job, .done = on_state_done},
                            .state = {.phase = ALERT_FIRING,
                                      .since = NOW - MS_PER_HOUR,
                                      .clear_since = WALL_NONE,
                                      .period_from = NOW,
                                      .value = 42,
                                      .alert_id = "00112233445566778899aabbccddeeff"}};

    json_t *tree = get(scene, "/api/v1/alerts");
    assert_json_count(tree, "alerts", 0);
    json_decref(tree);

    writer_post_job(scene->store->writer, &put.job);
    commit(scene->store);
    tree = get(scene, "/api/v1/alerts");
    assert_json_count(tree, "alerts", 1);
    assert_json_text(tree, "alerts.0.rule", "signups");
    assert_int_equal(json_object_size(at(tree, "alerts.0.by")), 0);
    assert_json_text(tree, "alerts.0.state", "firing");
    assert_json_text(tree, "alerts.0.since", "2026-10-12T08:00:30+02:00");
    assert_json_text(tree, "alerts.0.shown.since", "2026-10-12 08:00 CEST");
    assert_json_text(tree, "alerts.0.shown.value", "42 people");
    assert_json_number(tree, "alerts.0.value", 42);
    assert_json_text(tree, "alerts.0.severity", "critical");
    json_decref(tree);

    tree = get(scene, "/api/v1/alerts?all=1");
    assert_json_count(tree, "alerts", 2);
    assert_json_text(tree, "alerts.1.rule", "quiet");
    assert_json_text(tree, "alerts.1.state", "inactive");
    assert_json_null(tree, "alerts.1.since");
    assert_json_null(tree, "alerts.1.value");
    json_decref(tree);
    json_decref(ask(scene, "/api/v1/alerts?all=yes", STR_EMPTY, 400));
}

static void hooks_are_listed_without_their_secrets(void **state)
{
    struct scene *scene = *state;
    struct buf out = BUF_EMPTY;

    json_t *tree = get(scene, "/api/v1/hooks");
    assert_json_text(tree, "hooks.0.name", "chat");
    assert_json_text(tree, "hooks.0.type", "slack");
    assert_json_number(tree, "hooks.0.pending", 0);
    assert_json_number(tree, "hooks.0.sent", 0);
    assert_json_number(tree, "hooks.0.dead", 0);
    assert_json_null(tree, "hooks.0.last_error");
    json_decref(tree);
    assert_int_equal(request(scene, NULL, "/api/v1/hooks", STR_EMPTY, &out, NULL), 200);
    buf_char(&out, '\0');
    assert_null(strstr(out.bytes, "secret"));
    buf_fini(&out);
}

static void assert_text(struct scene *scene, const char *url, long status, const char *expected)
{
    struct buf out = BUF_EMPTY;
    assert_int_equal(request(scene, NULL, url, STR_EMPTY, &out, NULL), status);
    buf_char(&out, '\0');
    if (strstr(out.bytes, expected) == NULL)
        fail_msg("%s: there is no '%s' in %s", url, expected, out.bytes);
    buf_fini(&out);
}

static void probes_say_how_kpid_is(void **state)
{
    struct scene *scene = *state;

    assert_text(scene, "/healthz", 200, "ok\n");
    assert_text(scene, "/readyz", 200, "ready\n");
    scene->is_ready = false;
    assert_text(scene, "/healthz", 200, "ok\n");
    assert_text(scene, "/readyz", 503, "\"message\":\"the store does not commit\"");
}

static void metrics_are_in_prometheus_form(void **state)
{
    static const char *const LINES[] = {
        "\nkpid_samples_pending{listener=\"statsd udp:127.0.0.1:0\"} 3\n",
        "\nkpid_kernel_drops_total{listener=\"statsd udp:127.0.0.1:0\"} 2\n",
        "\nkpid_samples_received_total{listener=\"json control\"} 4\n",
        "\nkpid_samples_stored_total{listener=\"json control\"} 4\n",
        "\nkpid_kpi_value{kpi=\"signups\",unit=\"people\"} 33\n",
        "\nkpid_kpi_status{kpi=\"typo\",status=\"no_target\"} 1\n",
        "\nkpid_store_series 2\n",
        "# TYPE kpid_http_requests_total counter\n",
    };
    struct scene *scene = *state;

    scene_start_writer(scene);
    push_signups(scene);
    for (size_t i = 0; i < TEST_COUNT(LINES); i++)
        assert_text(scene, "/metrics", 200, LINES[i]);
}

static void what_is_not_there_is_said(void **state)
{
    struct scene *scene = *state;
    struct buf out = BUF_EMPTY;
    struct buf headers = BUF_EMPTY;

    json_t *tree = ask(scene, "/api/v1/stats", STR_EMPTY, 404);
    assert_json_text(tree, "error.kind", "not_found");
    assert_json_text(tree, "error.message", "no such path: '/api/v1/stats'");
    assert_json_text(tree, "error.hint", "did you mean '/api/v1/status'?");
    json_decref(tree);
    json_decref(ask(scene, "/", STR_EMPTY, 404));

    assert_int_equal(request(scene, "DELETE", "/api/v1/push", STR_EMPTY, &out, &headers), 405);
    buf_char(&headers, '\0');
    assert_non_null(strstr(headers.bytes, "Allow: POST\r\n"));
    buf_fini(&headers);
    buf_clear(&out);
    assert_int_equal(request(scene, "BREW", "/api/v1/status", STR_EMPTY, &out, NULL), 405);
    buf_fini(&out);
}

static void the_loopback_address_does_not_write(void **state)
{
    struct scene *scene = *state;
    char url[300];

    (void)snprintf(url, sizeof url, "http://%s/api/v1/status", web_http_address(scene->web));
    json_decref(get(scene, url));
    (void)snprintf(url, sizeof url, "http://%s/api/v1/push", web_http_address(scene->web));
    json_t *tree = ask(scene, url, STR("{\"samples\":[{\"name\":\"a\",\"value\":1}]}"), 403);
    assert_json_text(tree, "error.kind", "denied");
    json_decref(tree);
}

/* --- tokens --- */

static char *add_token(struct scene *scene, const char *name, const char *role)
{
    char body[200];

    (void)snprintf(body, sizeof body, "{\"name\":\"%s\",\"role\":\"%s\"}", name, role);
    json_t *tree = ask(scene, "/api/v1/tokens", str_of(body), 200);
    char *text = strdup(json_string_value(at(tree, "token")));
    json_decref(tree);
    assert_non_null(text);
    return text;
}

/* The status of a request to the address with a token, NULL without one. */
static long ask_address(struct scene *scene, const char *path, const char *token, const char *body)
{
    struct buf out = BUF_EMPTY;
    char url[300];
    char header[200];

    (void)snprintf(url, sizeof url, "http://%s%s", web_http_address(scene->web), path);
    if (token != NULL) {
        (void)snprintf(header, sizeof header, "Authorization: Bearer %s", token);
        scene->headers = curl_slist_append(NULL, header);
    }
    long status = request(scene, NULL, url, str_of(body), &out, NULL);
    curl_slist_free_all(scene->headers);
    scene->headers = NULL;
    buf_fini(&out);
    return status;
}

static void a_role_says_what_a_token_may(void **state)
{
    static const char push_body[] = "{\"samples\":[{\"name\":\"a\",\"value\":1}]}";
    static const struct {
        const char *role;
        long status, push, clock;
    } cases[] = {{NULL, 200, 403, 403},     {"ingest", 403, 200, 403},   {"viewer", 200, 403, 403},
                 {"editor", 200, 200, 403}, {"approver", 200, 200, 403}, {"admin", 200, 200, 200}};
    struct scene *scene = *state;

    scene_start_writer(scene);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const char *role = cases[i].role;
        char *token = role == NULL ? NULL : add_token(scene, role, role);
        assert_int_equal(ask_address(scene, "/api/v1/status", token, NULL), cases[i].status);
        assert_int_equal(ask_address(scene, "/api/v1/push", token, push_body), cases[i].push);
        assert_int_equal(ask_address(scene, "/api/v1/tokens", token, NULL), cases[i].clock);
        free(token);
    }
    assert_int_equal(ask_address(scene, "/api/v1/status", "kpid_wrong", NULL), 401);
}

static void reading_needs_a_token_where_the_configuration_says_so(void **state)
{
    struct scene *scene = *state;

    scene->config.http_access.tokens = true;
    web_reload(scene->web, &scene->config);
    assert_int_equal(ask_address(scene, "/healthz", NULL, NULL), 200);
    assert_int_equal(ask_address(scene, "/readyz", NULL, NULL), 200);
    assert_int_equal(ask_address(scene, "/api/v1/status", NULL, NULL), 401);
    assert_int_equal(ask_address(scene, "/metrics", NULL, NULL), 401);
    json_decref(get(scene, "/api/v1/status")); /* on the control socket */
}

static void a_revoked_token_is_refused_at_once_and_none_is_ever_shown(void **state)
{
    struct scene *scene = *state;
    struct buf out = BUF_EMPTY;

    scene_start_writer(scene);
    char *token = add_token(scene, "web-1", "viewer");
    assert_int_equal(ask_address(scene, "/api/v1/status", token, NULL), 200);
    assert_int_equal(request(scene, NULL, "/api/v1/tokens", STR_EMPTY, &out, NULL), 200);
    buf_char(&out, '\0');
    assert_non_null(strstr(out.bytes, "\"name\":\"web-1\",\"role\":\"viewer\""));
    assert_null(strstr(out.bytes, token));
    json_decref(ask(scene, "/api/v1/tokens/revoke", STR("{\"name\":\"web-1\"}"), 200));
    assert_int_equal(ask_address(scene, "/api/v1/status", token, NULL), 401);
    json_decref(ask(scene, "/api/v1/tokens/revoke", STR("{\"name\":\"web-1\"}"), 404));
    free(token);
    buf_fini(&out);
}

static void bad_tokens_are_refused_with_words(void **state)
{
    static const struct {
        const char *body;
        long status;
        const char *words;
    } cases[] = {
        {"{}", 400, "'' is not the name of a token"},
        {"{\"name\":\"a b\",\"role\":\"viewer\"}", 400, "'a b' is not the name of a token"},
        {"{\"name\":\"b\",\"role\":\"boss\"}", 400, "'boss' is not a role"},
        {"{\"name\":\"b\"}", 400, "'' is not a role"},
        {"{\"name\":\"a\",\"role\":\"viewer\"}", 409, "there is a token 'a'"},
        {"{\"name\":\"filed\",\"role\":\"viewer\"}", 409, "there is a token 'filed'"},
    };
    const struct token filed = {.name = "filed", .role = ROLE_VIEWER, .from_file = true};
    struct scene *scene = *state;

    scene->config.tokens = &filed;
    scene->config.token_count = 1;
    web_reload(scene->web, &scene->config);
    scene_start_writer(scene);
    free(add_token(scene, "a", "viewer"));
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        json_t *tree = ask(scene, "/api/v1/tokens", str_of(cases[i].body), cases[i].status);
        assert_json_text(tree, "error.message", cases[i].words);
        json_decref(tree);
    }
    json_t *tree = ask(scene, "/api/v1/tokens/revoke", STR("{\"name\":\"filed\"}"), 409);
    assert_json_text(tree, "error.message", "the token 'filed' stands in the file of server.auth");
    json_decref(tree);
}

static void who_may_not_ask_is_told_so(void **state)
{
    struct scene *scene = *state;
    struct network elsewhere;
    struct error err = ERROR_EMPTY;

    assert_true(network_parse(STR("192.0.2.0/24"), &elsewhere, &err));
    scene->config.http_access.allow = &elsewhere;
    scene->config.http_access.allow_count = 1;
    web_reload(scene->web, &scene->config);
    assert_int_equal(ask_address(scene, "/healthz", NULL, NULL), 403);
    scene->config.http_access.allow_count = 0;
    web_reload(scene->web, &scene->config);
    assert_int_equal(ask_address(scene, "/healthz", NULL, NULL), 200);
}

static void wrong_tokens_are_refused_for_a_minute(void **state)
{
    struct scene *scene = *state;

    for (int i = 0; i < 10; i++)
        assert_int_equal(ask_address(scene, "/api/v1/status", "wrong", NULL), 401);
    assert_int_equal(ask_address(scene, "/api/v1/status", "wrong", NULL), 429);
    json_decref(get(scene, "/api/v1/status"));
}

static void a_reload_changes_what_is_shown(void **state)
{
    struct scene *scene = *state;
    struct web_config fresh = scene->config;
    const struct kpi_set one = {&scene->kpis[1], 1, &scene->metrics};
    const struct rule_set none = {NULL, 0};

    fresh.kpis = &one;
    fresh.rules = &none;
    web_reload(scene->web, &fresh);
    json_t *tree = get(scene, "/api/v1/status");
    assert_json_count(tree, "kpis", 1);
    assert_json_text(tree, "kpis.0.id", "failed_rate");
    json_decref(tree);
    json_decref(ask(scene, "/api/v1/kpis/signups", STR_EMPTY, 404));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(status_has_the_shape_that_stays),
        WEB_TEST(no_key_is_written_twice),
        WEB_TEST(one_kpi_has_its_words_and_targets),
        WEB_TEST(a_query_without_a_step_is_one_point),
        WEB_TEST(steps_are_civil_periods_of_the_zone),
        WEB_TEST(a_metric_that_was_never_seen_has_no_value),
        WEB_TEST(mistakes_in_a_query_are_named),
        WEB_TEST(a_push_is_answered_when_it_is_stored),
        WEB_TEST(a_push_without_a_type_joins_what_statsd_sent),
        WEB_TEST(the_ledger_balances_over_pushes),
        WEB_TEST(a_push_with_an_id_counts_once),
        WEB_TEST(the_ledger_joins_listeners_by_their_names),
        WEB_TEST(a_push_the_writer_has_no_room_for_may_be_sent_again),
        WEB_TEST(alerts_show_their_stored_states),
        WEB_TEST(hooks_are_listed_without_their_secrets),
        WEB_TEST(probes_say_how_kpid_is),
        WEB_TEST(metrics_are_in_prometheus_form),
        WEB_TEST(what_is_not_there_is_said),
        WEB_TEST(the_loopback_address_does_not_write),
        WEB_TEST(a_role_says_what_a_token_may),
        WEB_TEST(reading_needs_a_token_where_the_configuration_says_so),
        WEB_TEST(a_revoked_token_is_refused_at_once_and_none_is_ever_shown),
        WEB_TEST(bad_tokens_are_refused_with_words),
        WEB_TEST(who_may_not_ask_is_told_so),
        WEB_TEST(wrong_tokens_are_refused_for_a_minute),
        WEB_TEST(a_reload_changes_what_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
