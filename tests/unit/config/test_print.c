/* --print-config: what it prints loads again and prints the same. And the table it is made from. */
#include <stdlib.h>

#include "config/schema.h"
#include "loading.h"

static char *printed(const char *text)
{
    struct findings findings = FINDINGS_EMPTY;
    struct buf out = BUF_EMPTY;
    struct config *config = config_load_text(str_of(text), "kpid.yaml", &findings);

    if (config == NULL) {
        char *said = findings_text(&findings);
        print_error("%s\n%s", text, said);
        free(said);
    }
    assert_non_null(config);
    config_print(config, &out);
    config_free(config);
    findings_fini(&findings);
    return buf_take_text(&out);
}

static void what_is_printed_is_in_long_form_with_defaults(void **state)
{
    (void)state;
    char *text = printed("calendars: { default: { timezone: UTC } }\n"
                         "server: { threads: 2 }\n"
                         "kpis: { a: { value: sum(x), target: { at_most: 5 } } }\n"
                         "hooks: { chat: { type: slack, url: { env: CHAT_URL } } }\n");

    assert_string_equal(text, "server:\n"
                              "  control: /run/kpid/kpid.sock\n"
                              "  limits:\n"
                              "    series: 1000000\n"
                              "    series_per_metric: 100000\n"
                              "    label_values: 50000\n"
                              "    line: 64K\n"
                              "    frame: 4M\n"
                              "    body: 32M\n"
                              "    request: 1m\n"
                              "    connections: 10000\n"
                              "    connections_per_peer: 1000\n"
                              "    idle: 1h\n"
                              "  threads: 2\n"
                              "  own_metrics: false\n"
                              "ingest:\n"
                              "  -\n"
                              "    protocol: statsd\n"
                              "    listen: \"udp:127.0.0.1:8125\"\n"
                              "  -\n"
                              "    protocol: native\n"
                              "    listen: \"unix:/run/kpid/ingest.sock\"\n"
                              "    mode: 0660\n"
                              "storage:\n"
                              "  path: /var/lib/kpid\n"
                              "  keep:\n"
                              "    bucket_1m: 14d\n"
                              "    bucket_15m: 400d\n"
                              "    day: forever\n"
                              "  churn_after: 90d\n"
                              "  max_size: 10G\n"
                              "  dedupe:\n"
                              "    max_future: 10m\n"
                              "    max_past: 400d\n"
                              "calendars:\n"
                              "  default:\n"
                              "    timezone: UTC\n"
                              "    week_start: monday\n"
                              "kpis:\n"
                              "  a:\n"
                              "    value: sum(x)\n"
                              "    title: a\n"
                              "    better: down\n"
                              "    period: day\n"
                              "    settle: 5m\n"
                              "    min_denominator: 1\n"
                              "    min_count: 1\n"
                              "    state: active\n"
                              "    evaluate: every 1m\n"
                              "targets:\n"
                              "  a:\n"
                              "    kpi: a\n"
                              "    kind: at_most\n"
                              "    to: 5\n"
                              "    every: day\n"
                              "    path: auto\n"
                              "    strict: false\n"
                              "    tolerance: 5%\n"
                              "    thresholds:\n"
                              "      on_track: 0.95\n"
                              "      at_risk: 0.75\n"
                              "    state: active\n"
                              "    managed: file\n"
                              "rules:\n"
                              "  a:\n"
                              "    target: a\n"
                              "    hold: 0s\n"
                              "    when: breached\n"
                              "    for: 0s\n"
                              "    severity: warning\n"
                              "hooks:\n"
                              "  chat:\n"
                              "    type: slack\n"
                              "    timeout: 20s\n"
                              "    retry:\n"
                              "      first: 5s\n"
                              "      max: 1h\n"
                              "      give_up: 24h\n"
                              "      jitter: 20%\n"
                              "    allow_http: false\n"
                              "    url:\n"
                              "      env: CHAT_URL\n");
    free(text);
}

static void what_is_printed_loads_and_prints_the_same(void **state)
{
    static const char *const texts[] = {
        "",
        "kpis: { a: sum(x), b: { value: sum(y), evaluate: \"0 9 * * *\" } }",
        "kpis: { a: { value: sum(x), define: \"100 % of: # \\\"all\\\" \\\\ \\u0085\\u2028\\a\" } }",
        "kpis: { a: { value: 'sum(x{p=\"y\"})', why: ' two  blanks ', tags: [ 'on', '-', '7e1', '# "
        "a' ] } }",
        "kpis: { a: { value: sum(x), target: { increase_to: +5%, by: end of FY2026 }, hooks: c } }\n"
        "hooks: { c: { type: webhook, url: 'https://h.example/x', secrets: { env: WHSEC } } }",
        "defaults: { kpi: { evaluate: often }, rule: { for: 1h, severity: info, repeat: 3h } }\n"
        "schedules: { often: every 7s, m: { cron: '0 8 * * 1', timezone: Asia/Tokyo } }\n"
        "kpis: { a: { value: sum(x), when: value > 3, for: 2m }, b: { value: sum(x), target: { "
        "at_least: 2 } } }",
        "server: { control: /run//kpid/./kpid.sock, http: { listen: \"http:localhost:8640\" } }\n"
        "ingest: [ { protocol: statsd, listen: \"udp:localhost:8125\" },\n"
        "          { protocol: influx, listen: \"http:[0::1]:8086\", tokens: true },\n"
        "          { protocol: statsd, listen: \"unix:/run/./a.sock\", mode: '0600' } ]",
        "organisation: { name: Ölmühle }\nmetrics: { a.b: { type: score, range: [ 0, 10 ] } }\n"
        "boards: { wall: { title: '{{x}}', kpis: [ ] } }\nkpis: { a: { value: sum(b), by: [ [ p, q "
        "], r ] } }",
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        char *once = printed(texts[i]);
        char *twice = printed(once);
        assert_string_equal(once, twice);
        free(once);
        free(twice);
    }
}

static void check_object(const struct schema_object *object, void *arg)
{
    size_t *objects = arg;

    (*objects)++;
    assert_non_null(object->name);
    assert_non_null(object->help);
    for (size_t i = 0; i < object->key_count; i++) {
        const struct schema_entry *key = &object->keys[i];
        assert_non_null(key->name);
        assert_true(key->help != NULL && key->help[0] != '\0');
        if (key->help[strlen(key->help) - 1] == '.') /* the manual puts it */
            fail_msg("%s.%s: help ends with a full stop", object->name, key->name);
        if (key->type == SCHEMA_CHOICE)
            assert_non_null(key->choices);
        if (key->type == SCHEMA_NONE || key->type == SCHEMA_SECRET)
            assert_non_null(key->object);
        for (size_t c = 0; key->later != NULL && key->later[c] != NULL; c++)
            assert_true(schema_listed(key->choices, str_of(key->later[c]), NULL));
        const struct schema_object *owner = schema_owner(object, key);
        if (key->built == SCHEMA_DRAFTS || (key->later != NULL && !key->mild))
            assert_non_null(owner->consequence);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(object->keys[k].name, key->name);
    }
}

static void the_table_is_whole(void **state)
{
    size_t objects = 0;
    (void)state;

    schema_visit(check_object, &objects);
    assert_true(objects > 50 && objects < 120); /* schema_visit knows at most 128 */
}

static void every_object_is_in_the_schema_and_in_the_manual(void **state)
{
    struct buf schema = BUF_EMPTY;
    struct buf manual = BUF_EMPTY;
    (void)state;

    config_json_schema(&schema);
    config_man_keys(&manual);
    buf_char(&schema, '\0');
    buf_char(&manual, '\0');
    assert_non_null(strstr(schema.bytes, "\"$defs\""));
    assert_non_null(strstr(schema.bytes, "\"inline_target\":{"));
    assert_non_null(strstr(manual.bytes, ".Ss kpi\n"));
    assert_non_null(strstr(manual.bytes, ".It Cm stale_after Pq duration\n"));
    assert_non_null(strstr(manual.bytes, "Default: 1.5 times every.\n"));
    buf_fini(&schema);
    buf_fini(&manual);
}

static int set_environment(void **state)
{
    (void)state;
    (void)unsetenv("RUNTIME_DIRECTORY");
    (void)unsetenv("STATE_DIRECTORY");
    return setenv("CHAT_URL", "https://hooks.slack.com/services/T0/B0/x", 1) |
           setenv("WHSEC", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_is_in_long_form_with_defaults),
        cmocka_unit_test(what_is_printed_loads_and_prints_the_same),
        cmocka_unit_test(the_table_is_whole),
        cmocka_unit_test(every_object_is_in_the_schema_and_in_the_manual),
    };
    return cmocka_run_group_tests(tests, set_environment, NULL);
}
