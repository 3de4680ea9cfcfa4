/* A web server over a real store, and a client. The writer's thread runs unless a test stops it.
 * It is Monday 2026-10-12 09:00:30 in Berlin. */
#pragma once

#include <curl/curl.h>
#include <jansson.h>

#include "alert/hook.h"
#include "store/fixture.h"
#include "web/web.h"

#define NOW INT64_C(1791788430000)

struct scene {
    struct fixture *store;
    struct arena arena;
    struct calendar *berlin;
    struct metric_table metrics;
    struct metric_definition stock;
    struct metric_definition refund;
    struct target targets[2];
    struct kpi kpis[4];
    struct kpi_set kpi_set;
    struct rule rules[2];
    struct rule_set rule_set;
    struct hook hooks[1];
    struct hook_set hook_set;
    char socket[128];
    struct web_config config;
    struct web_options options;
    _Atomic bool is_ready; /* the web thread asks, the test sets */
    struct web *web;
    CURL *curl;
    struct curl_slist *headers; /* of requests; NULL: none */
};

static inline size_t scene_listeners(struct web_listener *out, size_t max, void *arg)
{
    (void)arg;
    assert_true(max > 0);
    out[0] = (struct web_listener){.protocol = "statsd", .pending = 3, .kernel_drops = 2};
    (void)snprintf(out[0].name, sizeof out[0].name, "statsd udp:127.0.0.1:0");
    (void)snprintf(out[0].listen, sizeof out[0].listen, "udp:127.0.0.1:8125");
    return 1;
}

static inline bool scene_is_ready(struct error *why, void *arg)
{
    const struct scene *scene = arg;
    return scene->is_ready || error_set(why, ERROR_UNAVAILABLE, "the store does not commit");
}

static inline void scene_kpi(struct scene *scene, size_t i, const char *id, const char *formula,
                             const char *unit)
{
    struct kpi *kpi = &scene->kpis[i];
    struct error err = ERROR_EMPTY;

    *kpi = (struct kpi){.id = id,
                        .title = id,
                        .period = PERIOD_DAY,
                        .calendar = scene->berlin,
                        .min_denominator = 1};
    assert_true(unit_parse(str_of(unit), &kpi->unit));
    if (!formula_parse(str_of(formula), &scene->metrics, &scene->arena, &kpi->formula, &err))
        fail_msg("%s", err.text);
}

static inline void scene_rule(struct scene *scene, size_t i, const char *id)
{
    struct rule *rule = &scene->rules[i];
    struct error err = ERROR_EMPTY;

    *rule = (struct rule){.id = id,
                          .kpi = &scene->kpis[0],
                          .target = &scene->targets[0],
                          .severity = SEVERITY_CRITICAL};
    if (!condition_parse(STR("breached"), &scene->kpis[0].unit, &scene->arena, &rule->when, &err))
        fail_msg("%s", err.text);
}

static inline void scene_define(struct scene *scene)
{
    scene->stock =
        (struct metric_definition){.name = "stock", .has_kind = true, .kind = METRIC_GAUGE};
    scene->refund =
        (struct metric_definition){.name = "refund", .has_kind = true, .kind = METRIC_COUNTER};
    assert_true(table_add(&scene->metrics.by_name, STR("stock"), &scene->stock));
    assert_true(table_add(&scene->metrics.by_name, STR("refund"), &scene->refund));
    scene->targets[0] = (struct target){.id = "signups",
                                        .kind = TARGET_AT_LEAST,
                                        .to = 100,
                                        .every = PERIOD_DAY,
                                        .on_track = 0.95,
                                        .at_risk = 0.75};
    scene_kpi(scene, 0, "signups", "sum(signup)", "people");
    scene->kpis[0].define = "Everybody who confirmed the mail";
    scene->kpis[0].owner = "ana";
    scene->kpis[0].targets = scene->targets;
    scene->kpis[0].target_count = 1;
    scene->targets[1] = (struct target){
        .id = "failed_rate", .kind = TARGET_AT_MOST, .to = 0.02, .every = PERIOD_DAY};
    scene_kpi(scene, 1, "failed_rate", "sum(failed) / sum(requests)", "%");
    scene->kpis[1].targets = &scene->targets[1];
    scene->kpis[1].target_count = 1;
    scene_kpi(scene, 2, "typo", "sum(faild)", "");
    scene_kpi(scene, 3, "later", "sum(signup)", "");
    scene->kpis[3].state = KPI_STATE_DRAFT;
    scene->kpis[3].draft_reason = "not built yet: window";
    scene->kpi_set = (struct kpi_set){scene->kpis, 4, &scene->metrics};
    scene_rule(scene, 0, "signups");
    scene_rule(scene, 1, "quiet");
    scene->rule_set = (struct rule_set){scene->rules, 2};
    scene->hooks[0] = (struct hook){
        .id = "chat", .kind = &HOOK_SLACK, .url = "https://hooks.slack.com/services/secret"};
    scene->hook_set = (struct hook_set){.hooks = scene->hooks, .count = 1};
    scene->config = (struct web_config){.kpis = &scene->kpi_set,
                                        .rules = &scene->rule_set,
                                        .hooks = &scene->hook_set,
                                        .calendar = scene->berlin,
                                        .control_path = scene->socket,
                                        .max_future = MS_PER_HOUR,
                                        .max_past = 30 * (span_ms)MS_PER_DAY};
}

static inline void scene_start(struct scene *scene)
{
    struct error err = ERROR_EMPTY;

    scene->options = (struct web_options){.store = scene->store->store,
                                          .writer = scene->store->writer,
                                          .listeners = scene_listeners,
                                          .is_ready = scene_is_ready,
                                          .arg = scene};
    scene->web = web_start(&scene->options, &scene->config, &err);
    if (scene->web == NULL)
        fail_msg("%s", err.text);
}

static inline void scene_start_writer(struct scene *scene)
{
    struct error err = ERROR_EMPTY;
    if (!writer_start(scene->store->writer, &err))
        fail_msg("%s", err.text);
}

static inline int scene_setup(void **state)
{
    struct error err = ERROR_EMPTY;
    struct scene *scene = memory_zero(1, sizeof *scene);
    void *fixture = NULL;

    clock_set_for_test(NOW);
    assert_int_equal(fixture_setup(&fixture), 0);
    scene->store = fixture;
    scene->is_ready = true;
    scene->berlin = calendar_new(STR("Europe/Berlin"), 1, &err);
    assert_non_null(scene->berlin);
    (void)snprintf(scene->socket, sizeof scene->socket, "%s/kpid.sock", scene->store->path);
    scene_define(scene);
    scene->config.http_listen = "127.0.0.1:0";
    scene_start(scene);
    scene->curl = curl_easy_init();
    *state = scene;
    return 0;
}

static inline int scene_teardown(void **state)
{
    struct scene *scene = *state;
    void *fixture = scene->store;

    curl_easy_cleanup(scene->curl);
    if (scene->web != NULL)
        web_stop(scene->web);
    writer_stop(scene->store->writer);
    web_free(scene->web);
    calendar_free(scene->berlin);
    table_fini(&scene->metrics.by_name);
    arena_fini(&scene->arena);
    assert_int_equal(fixture_teardown(&fixture), 0);
    free(scene);
    return 0;
}

#define WEB_TEST(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)

/* --- the client --- */

static inline size_t on_answer_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    buf_append(arg, bytes, size * count);
    return size * count;
}

/* One request: `method` NULL is GET, or POST with a body. The status; the answer's text is in
 * `out`, headers first when `out_headers` is given. */
static inline long request(struct scene *scene, const char *method, const char *url,
                           struct str body, struct buf *out, struct buf *out_headers)
{
    char whole[6000];
    long status = 0;
    CURL *curl = scene->curl;

    curl_easy_reset(curl);
    if (url[0] == '/')
        (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, scene->socket);
    (void)snprintf(whole, sizeof whole, "%s%s", url[0] == '/' ? "http://localhost" : "", url);
    (void)curl_easy_setopt(curl, CURLOPT_URL, whole);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    if (out_headers != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_answer_bytes);
        (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, out_headers);
    }
    if (body.text != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.text);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    }
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, scene->headers);
    if (method != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK)
        fail_msg("%s: %s", url, curl_easy_strerror(code));
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* The answer to a request as JSON; fails when the status is another one. */
static inline json_t *ask(struct scene *scene, const char *url, struct str body, long expected)
{
    struct buf out = BUF_EMPTY;
    json_error_t mistake;

    long status = request(scene, NULL, url, body, &out, NULL);
    json_t *tree = json_loadb(out.len == 0 ? "" : out.bytes, out.len, 0, &mistake);
    if (status != expected || tree == NULL)
        fail_msg("%s: %ld %.*s (%s)", url, status, STR_ARGS(buf_view(&out)),
                 tree == NULL ? mistake.text : "");
    buf_fini(&out);
    return tree;
}

static inline json_t *get(struct scene *scene, const char *url)
{
    return ask(scene, url, STR_EMPTY, 200);
}

static inline void push(struct scene *scene, const char *samples)
{
    char body[4000];
    (void)snprintf(body, sizeof body, "{\"samples\":[%s]}", samples);
    json_decref(ask(scene, "/api/v1/push", str_of(body), 200));
}

/* --- looking at JSON: "kpis.0.target.to" --- */

static inline json_t *at(json_t *tree, const char *path)
{
    struct str rest = str_of(path);
    json_t *value = tree;

    while (rest.len > 0) {
        char name[100];
        uint64_t index = 0;
        struct str part = str_split(&rest, '.');
        (void)snprintf(name, sizeof name, "%.*s", STR_ARGS(part));
        value = json_is_array(value) && str_parse_u64(part, &index)
                    ? json_array_get(value, (size_t)index)
                    : json_object_get(value, name);
        if (value == NULL) {
            char *text = json_dumps(tree, 0);
            fail_msg("there is no %s in %s", path, text);
        }
    }
    return value;
}

#define assert_json_text(tree, path, expected)                                                     \
    do {                                                                                           \
        assert_true(json_is_string(at((tree), (path))));                                           \
        assert_string_equal(json_string_value(at((tree), (path))), (expected));                    \
    } while (0)
#define assert_json_number(tree, path, expected)                                                   \
    do {                                                                                           \
        assert_true(json_is_number(at((tree), (path))));                                           \
        assert_same(json_number_value(at((tree), (path))), (double)(expected));                    \
    } while (0)
#define assert_json_null(tree, path) assert_true(json_is_null(at((tree), (path))))
#define assert_json_count(tree, path, expected)                                                    \
    assert_int_equal(json_array_size(at((tree), (path))), (expected))
