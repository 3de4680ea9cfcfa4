/* What kpid says of broken files: place, key, words and hint of every mistake. */
#include "loading.h"

struct broken {
    const char *text;
    const char *says;
};

static void expect_all(const struct broken *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_findings(cases[i].text, cases[i].says);
}

static void yaml_that_is_not_the_language_is_refused(void **state)
{
    static const struct broken cases[] = {
        {"kpis: { a: sum(x), a: sum(y) }", "kpid.yaml:1:20: error: kpis.a: duplicate key\n"
                                           "  hint: the first one is in line 1\n"},
        {"kpis:\n  a: &x sum(x)\n  b: *x\n",
         "kpid.yaml:2:6: error: anchors are not part of the language: '&x'\n"
         "kpid.yaml:3:6: error: aliases are not part of the language: '*x'\n"
         "  hint: quote a text that starts with *\n"},
        {"kpis: { a: !!str sum(x) }",
         "kpid.yaml:1:12: error: tags are not part of the language: 'tag:yaml.org,2002:str'\n"},
        {"kpis:\n  <<: { a: sum(x) }\n",
         "kpid.yaml:2:3: error: kpis.<<: merge keys are not part of the language\n"},
        {"kpid: 1\n---\nkpid: 1\n",
         "kpid.yaml:2:1: error: a file holds one document; a second one starts here\n"},
        {"- kpis\n", "kpid.yaml:1:1: error: the file must be a map of sections, as 'kpis:'\n"},
        {"kpis: { [ a ]: sum(x) }", "kpid.yaml:1:9: error: a key must be a text\n"},
        {"kpis: \"a\\0b\"", "kpid.yaml:1:7: error: a text must not hold a NUL character\n"
                            "kpid.yaml:1:7: error: kpis: a text, where a map is expected\n"},
        {"kpis: \xff\n",
         "kpid.yaml:1:7: error: the file is not UTF-8 text: invalid leading UTF-8 octet\n"},
    };
    (void)state;

    expect_all(cases, TEST_COUNT(cases));
}

static void traps_of_yaml_have_hints(void **state)
{
    static const struct broken cases[] = {
        {"kpis: { a: { value: sum(x), target: { at_least: 5,000 } } }",
         "kpid.yaml:1:49: error: kpis.a.target.at_least: a comma ends the value\n"
         "  hint: write 5000\n"},
        {"kpis:\n  a:\n    value: sum(x)\n    target:\n      at_least: 5,000\n",
         "kpid.yaml:5:17: error: kpis.a.target.at_least: a number has no comma\n"
         "  hint: write 5000\n"},
        {"kpis: { a: { value: sum(x{p=\"y\"}) } }",
         "kpid.yaml:1:26: error: did not find expected ',' or '}' while parsing a flow mapping\n"
         "  hint: quote a formula with labels inside braces: { value: 'sum(x{p=\"y\"})' }\n"},
        {"kpis: { a: { value: sum(x), unit: % } }",
         "kpid.yaml:1:35: error: found character that cannot start any token while scanning for "
         "the next token\n"
         "  hint: write \"%\" in quotes\n"},
        {"kpis:\n\ta: sum(x)\n",
         "kpid.yaml:2:1: error: found character that cannot start any token while scanning for "
         "the next token\n"
         "  hint: indent with spaces, not with tabs\n"},
        {"kpis:\n  a: { value: sum(x), direct: yes }\n",
         "kpid.yaml:2:31: error: kpis.a.direct: 'yes' is neither true nor false\n"
         "  hint: write true\n"},
        {"kpis:\n  a:\n    value: sum(x)\n    tags: north-star\n",
         "kpid.yaml:4:11: error: kpis.a.tags: a text, where a list is expected\n"
         "  hint: write [ north-star ]\n"},
    };
    (void)state;

    expect_all(cases, TEST_COUNT(cases));
}

static void deep_and_long_files_are_refused(void **state)
{
    struct buf text = BUF_EMPTY;
    (void)state;

    buf_text(&text, "a: ");
    for (int i = 0; i < 40; i++)
        buf_char(&text, '[');
    buf_char(&text, '\0');
    expect_findings(text.bytes, "kpid.yaml:1:35: error: nested more than 32 levels deep\n");

    buf_clear(&text);
    buf_text(&text, "kpis: [");
    for (int i = 0; i < 200 * 1000; i++)
        buf_text(&text, "a,");
    buf_text(&text, "]");
    buf_char(&text, '\0');
    expect_findings(text.bytes,
                    "kpid.yaml:1:400002: error: the file has more than 200000 values\n");

    buf_clear(&text);
    for (int i = 0; i < 5 * 1024 * 1024; i++)
        buf_char(&text, '#');
    buf_char(&text, '\0');
    expect_findings(text.bytes, "kpid.yaml: error: the file is larger than 4 MiB\n");
    buf_fini(&text);
}

#define WHO_MAY_SPEAK                                                                              \
    "  hint: add allow: [ 10.0.0.0/8 ], tls with a client_ca, or tokens: true for http and "       \
    "native; or listen on 127.0.0.1, [::1] or a Unix socket\n"

static void every_mistake_is_told_in_one_run_and_in_order(void **state)
{
    (void)state;

    expect_findings(
        "server: { threads: 0, http: { listen: \"0.0.0.0:80\" }, limits: { line: 64Q } }\n"
        "ingest:\n"
        "  - { protocol: statds, listen: \"udp:127.0.0.1:8125\" }\n"
        "  - { protocol: statsd, listen: \"udp:0.0.0.0:8125\" }\n"
        "  - { protocol: statsd, listen: \"upd:127.0.0.1:8125\" }\n"
        "  - { protocol: statsd, listen: \"unix:\" }\n"
        "calendars: { x: { timezone: Europe/Berln }, y: { week_start: monday } }\n"
        "metrics:\n"
        "  a: { type: countr }\n"
        "  b: { unit: h }\n"
        "kpis:\n"
        "  signups:\n"
        "    value: 1 + summ(signup)\n"
        "    owmer: ana\n"
        "  Refunds: sum(refund)\n"
        "  two: { value: sum(x), target: { at_least: 1, at_most: 2 } }\n"
        "  unit: { value: sum(x), unit: \"%\", target: { at_most: 5h } }\n"
        "  told: { value: sum(x), target: { at_least: 1 }, hooks: [ caht ], when: \"valu > 1\" }\n"
        "  late: { value: sum(x), evaluate: \"61 * * * *\", period: dya }\n"
        "hooks:\n"
        "  chat: { type: slack, url: \"https://hooks.slack.com/x\" }\n"
        "  nook: { type: slak }\n"
        "rules:\n"
        "  both: { kpi: told, target: told }\n"
        "  gone: { target: nope }\n"
        "  bare: { kpi: told }\n"
        "schedules: { s: { cron: \"* * * * *\", every: 1m } }\n"
        "storage: { max_size: 1K, dedupe: { max_future: soon } }\n"
        "defaults: { hooks: [ nope ] }\n",
        "kpid.yaml:1:20: error: server.threads: threads are 1 to 64\n"
        "kpid.yaml:1:39: error: server.http.listen: '0.0.0.0:80' can be reached from other "
        "machines, and nothing says who may speak\n" WHO_MAY_SPEAK
        "kpid.yaml:1:71: error: server.limits.line: '64Q' is not a size in bytes\n"
        "  hint: as 64K, 32M or 10G\n"
        "kpid.yaml:3:17: error: ingest[0].protocol: unknown protocol 'statds'\n"
        "  hint: did you mean 'statsd'?\n"
        "kpid.yaml:4:33: error: ingest[1].listen: '0.0.0.0:8125' can be reached from other "
        "machines, and nothing says who may speak\n" WHO_MAY_SPEAK
        "kpid.yaml:5:33: error: ingest[2].listen: unknown scheme 'upd'\n"
        "  hint: did you mean 'udp'?\n"
        "kpid.yaml:6:33: error: ingest[3].listen: a Unix socket needs a path\n"
        "kpid.yaml:7:29: error: calendars.x.timezone: unknown time zone 'Europe/Berln'\n"
        "  hint: did you mean 'Europe/Berlin'?\n"
        "kpid.yaml:7:45: error: calendars.y: 'timezone' is missing\n"
        "  hint: as timezone: Europe/Berlin\n"
        "kpid.yaml:9:14: error: metrics.a.type: unknown type 'countr'\n"
        "  hint: did you mean 'counter'?\n"
        "kpid.yaml:10:3: error: metrics.b: 'type' is missing\n"
        "  hint: type: what its samples are; it beats what the protocol says\n"
        "kpid.yaml:13:16: error: kpis.signups.value: unknown function 'summ'\n"
        "  hint: did you mean 'sum'?\n"
        "kpid.yaml:14:5: error: kpis.signups.owmer: unknown key 'owmer'\n"
        "  hint: did you mean 'owner'?\n"
        "kpid.yaml:15:3: error: kpis.Refunds: 'Refunds' is not an id\n"
        "  hint: an id is a small letter, then small letters, digits, _ and -\n"
        "kpid.yaml:16:48: error: kpis.two.target.at_most: a target has one kind\n"
        "  hint: the other one is in line 16\n"
        "kpid.yaml:17:56: error: kpis.unit.target.at_most: '5h' is in 'h', but the figure is in "
        "'%'\n"
        "kpid.yaml:18:60: error: kpis.told.hooks[0]: unknown hook 'caht'\n"
        "  hint: did you mean 'chat'?\n"
        "kpid.yaml:18:75: error: kpis.told.when: unknown field 'valu'\n"
        "  hint: did you mean 'value'?\n"
        "kpid.yaml:19:36: error: kpis.late.evaluate: cron expression '61 * * * *': column 1: minute "
        "'61' is not within 0 to 59\n"
        "kpid.yaml:19:58: error: kpis.late.period: unknown period 'dya'\n"
        "  hint: did you mean 'day'?\n"
        "kpid.yaml:21:29: error: hooks.chat.url: a secret does not stand here in words\n"
        "  hint: write { env: NAME }, { file: PATH } or { credential: NAME }\n"
        "kpid.yaml:22:17: error: hooks.nook.type: unknown type 'slak'\n"
        "  hint: did you mean 'slack'?\n"
        "kpid.yaml:24:3: error: rules.both: a rule is about exactly one of kpi, target and metric\n"
        "kpid.yaml:25:19: error: rules.gone.target: unknown target 'nope'\n"
        "kpid.yaml:26:3: error: rules.bare: 'when' is missing\n"
        "  hint: a rule on a KPI needs a condition; one on a target has breached\n"
        "kpid.yaml:27:14: error: schedules.s: a schedule has exactly one of cron, every and at\n"
        "kpid.yaml:28:22: error: storage.max_size: max_size is at least 16M\n"
        "kpid.yaml:28:48: error: storage.dedupe.max_future: 'soon' is not a duration\n"
        "  hint: as 90s, 15m, 1h30m or 14d\n"
        "kpid.yaml:29:22: error: defaults.hooks[0]: unknown hook 'nope'\n"
        "  hint: did you mean 'nook'?\n");
}

static void objects_that_contradict_each_other_are_refused(void **state)
{
    static const struct broken cases[] = {
        {"kpis: { a: { value: sum(x), target: { at_least: 1 } } }\n"
         "targets: { a: { kpi: a, at_most: 5 } }\n",
         "kpid.yaml:1:29: error: kpis.a.target: there is a target 'a' already\n"
         "  hint: it is in line 2\n"},
        {"kpis: { a: { value: sum(x), target: { at_least: 1 }, do: run } }\n"
         "rules: { a: { kpi: a, when: value > 1 } }\n",
         "kpid.yaml:1:54: error: kpis.a.do: there is a rule 'a' already\n"
         "  hint: it is in line 2\n"},
        {"kpis: { a: sum(x) }\ntargets: { t: { kpi: b, at_least: 1 }, u: { kpi: a } }\n",
         "kpid.yaml:2:22: error: targets.t.kpi: unknown KPI 'b'\n"
         "kpid.yaml:2:40: error: targets.u: a target needs a kind\n"
         "  hint: as at_least: 100 or at_most: 2%\n"},
        {"metrics: { m: { type: gauge } }\nkpis: { a: sum(m) }\n",
         "kpid.yaml:2:12: error: kpis.a: 'm' is a gauge: use last or avg\n"},
        {"ingest:\n  - { protocol: statsd, listen: \"udp:127.0.0.1:1\" }\n"
         "  - { protocol: statsd, listen: \"udp:127.0.0.1:1\" }\n",
         "kpid.yaml:3:33: error: ingest[1].listen: another listener has the address "
         "'127.0.0.1:1'\n"
         "  hint: it is 'statsd udp:127.0.0.1:1'\n"},
        {"ingest:\n  - { protocol: statsd, listen: \"http:127.0.0.1:1\" }\n"
         "  - { protocol: influx, listen: \"udp:127.0.0.1:1\" }\n"
         "  - { protocol: influx, listen: \"http:0.0.0.0:8086\" }\n"
         "server: { limits: { body: 1, request: 1ms } }\n",
         "kpid.yaml:2:33: error: ingest[0].listen: statsd is not spoken over http\n"
         "  hint: over udp, tcp, unix or unixgram\n"
         "kpid.yaml:4:33: error: ingest[2].listen: '0.0.0.0:8086' can be reached from other "
         "machines, and nothing says who may speak\n" WHO_MAY_SPEAK
         "kpid.yaml:5:27: error: server.limits.body: body is from 1024 to 134217728\n"
         "kpid.yaml:5:39: error: server.limits.request: request is at least 1s\n"},
        {"ingest:\n"
         "  - { protocol: statsd, listen: \"tcp:0.0.0.0:1\", allow: [ 10.1.0.0/8, elsewhere ] }\n"
         "  - { protocol: statsd, listen: \"tcp:0.0.0.0:2\", tokens: true }\n"
         "  - { protocol: statsd, listen: \"udp:0.0.0.0:3\", tls: { cert: a, key: b } }\n"
         "  - { protocol: statsd, listen: \"unix:/x\", allow: [ 10.0.0.0/8 ] }\n"
         "  - { protocol: statsd, listen: \"udp:127.0.0.1:4\", users: [ root ] }\n"
         "  - { protocol: statsd, listen: \"unix:/y\", users: [ 'no such user' ] }\n"
         "  - { protocol: influx, listen: \"http:127.0.0.1:5\", allow: [] }\n"
         "  - { protocol: influx, listen: \"http:127.0.0.1:6\", tls: { cert: /none } }\n"
         "  - { protocol: statsd, listen: \"unixgram:/z\", users: [ root ] }\n",
         "kpid.yaml:2:59: error: ingest[0].allow[0]: '10.1.0.0/8' is an address in a network, not "
         "a network\n"
         "  hint: write 10.0.0.0/8, or the address alone\n"
         "kpid.yaml:2:71: error: ingest[0].allow[1]: 'elsewhere' is not a network\n"
         "  hint: as 10.0.0.0/8, 2001:db8::/32 or one address as 192.0.2.7\n"
         "kpid.yaml:3:50: error: ingest[1].tokens: tokens is for http and native: lines carry "
         "none\n"
         "kpid.yaml:4:50: error: ingest[2].tls: tls is for tcp and http\n"
         "kpid.yaml:5:44: error: ingest[3].allow: allow is for addresses; a Unix socket has mode\n"
         "kpid.yaml:6:52: error: ingest[4].users: users is for Unix streams, as "
         "unix:/run/kpid/statsd.sock\n"
         "kpid.yaml:7:53: error: ingest[5].users[0]: this machine has no user 'no such user'\n"
         "kpid.yaml:8:53: error: ingest[6].allow: an empty list lets nobody speak\n"
         "  hint: leave it out, or name networks as 10.0.0.0/8\n"
         "kpid.yaml:9:53: error: ingest[7].tls: 'key' is missing\n"
         "  hint: key: a PEM file: its key, without a password; only the daemon and its group may "
         "read it\n"
         "kpid.yaml:10:48: error: ingest[8].users: users is for Unix streams, as "
         "unix:/run/kpid/statsd.sock\n"},
        {"calendars: { a: { extends: b }, b: { extends: a } }",
         "kpid.yaml:1:28: error: calendars.a.extends: calendars extend each other more than 8 "
         "deep\n"
         "kpid.yaml:1:47: error: calendars.b.extends: calendars extend each other more than 8 "
         "deep\n"},
        {"kpid: 2\n", "kpid.yaml:1:7: error: kpid: this kpid knows version 1 of the language\n"},
    };
    (void)state;

    expect_all(cases, TEST_COUNT(cases));
}

static void a_text_where_a_map_belongs_names_the_keys_of_the_map(void **state)
{
    (void)state;
    expect_findings("kpis: { a: { value: sum(x), target: 100 } }\n"
                    "server: { http: 127.0.0.1:8640 }\n"
                    "metrics: 5\n",
                    "kpid.yaml:1:37: error: kpis.a.target: a text, where a map is expected\n"
                    "  hint: its keys are at_least, at_most, between, hold, increase_to, "
                    "decrease_to, ...\n"
                    "kpid.yaml:2:17: error: server.http: a text, where a map is expected\n"
                    "  hint: its keys are listen, base_url, allow, tls, tokens\n"
                    "kpid.yaml:3:10: error: metrics: a text, where a map is expected\n");
}

static void a_flood_of_mistakes_is_cut_and_counted(void **state)
{
    struct findings findings = FINDINGS_EMPTY;
    struct buf text = BUF_EMPTY;
    (void)state;

    for (int i = 0; i < 1500; i++)
        buf_printf(&text, "k%d: 1\n", i);
    assert_null(config_load_text(buf_view(&text), "kpid.yaml", &findings));
    assert_int_equal(findings.count, FINDINGS_MAX);
    assert_int_equal(findings.errors, 1500);
    findings_fini(&findings);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_that_is_not_the_language_is_refused),
        cmocka_unit_test(traps_of_yaml_have_hints),
        cmocka_unit_test(deep_and_long_files_are_refused),
        cmocka_unit_test(every_mistake_is_told_in_one_run_and_in_order),
        cmocka_unit_test(objects_that_contradict_each_other_are_refused),
        cmocka_unit_test(a_text_where_a_map_belongs_names_the_keys_of_the_map),
        cmocka_unit_test(a_flood_of_mistakes_is_cut_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
