/* What the definition structs hold: small files, defaults, long forms, the whole language. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "certificate.h"
#include "loading.h"

#define CHAT "https://hooks.slack.com/services/T0/B0/x"

static const struct kpi *kpi_of(const struct config *config, const char *id)
{
    const struct kpi *kpi = kpi_find(&config->kpis, str_of(id));

    assert_non_null(kpi);
    return kpi;
}

static const struct rule *rule_of(const struct config *config, const char *id)
{
    for (size_t i = 0; i < config->rules.count; i++) {
        if (strcmp(config->rules.rules[i].id, id) == 0)
            return &config->rules.rules[i];
    }
    fail_msg("there is no rule '%s'", id);
    return NULL;
}

/* The only schedule that evaluates a KPI. */
static const struct schedule *schedule_of(const struct config *config, const struct kpi *kpi)
{
    const struct schedule *found = NULL;

    for (size_t i = 0; i < config->evaluator.evaluation_count; i++) {
        const struct evaluation *evaluation = &config->evaluator.evaluations[i];
        for (size_t k = 0; k < evaluation->kpi_count; k++) {
            if (evaluation->kpis[k] != kpi)
                continue;
            assert_null(found);
            found = evaluation->schedule;
        }
    }
    assert_non_null(found);
    return found;
}

static void a_file_of_three_lines_is_complete(void **state)
{
    (void)state;
    struct config *config = load_good(
        "kpis:\n"
        "  signups: { value: sum(signup), period: day, target: { at_least: 100 }, hooks: [chat] }\n"
        "hooks:\n"
        "  chat: { type: slack, url: { env: CHAT_URL } }\n",
        "");

    assert_int_equal(config->kpis.count, 1);
    const struct kpi *kpi = kpi_of(config, "signups");
    assert_string_equal(kpi->title, "signups");
    assert_int_equal(kpi->period, PERIOD_DAY);
    assert_int_equal(kpi->better, BETTER_UP);
    assert_int_equal(kpi->state, KPI_STATE_ACTIVE);
    assert_int_equal(kpi->settle, 5 * MS_PER_MINUTE);
    assert_true(kpi->min_denominator == 1 && kpi->min_count == 1);
    assert_ptr_equal(kpi->calendar, config->calendar);
    assert_int_equal(kpi->target_count, 1);
    assert_string_equal(kpi->targets[0].id, "signups");
    assert_int_equal(kpi->targets[0].kind, TARGET_AT_LEAST);
    assert_true(kpi->targets[0].to == 100);
    assert_int_equal(kpi->targets[0].every, PERIOD_DAY);
    assert_true(kpi->targets[0].tolerance == 5);
    assert_true(kpi->targets[0].on_track == 0.95 && kpi->targets[0].at_risk == 0.75);
    assert_null(kpi->targets[0].not_built);

    assert_int_equal(config->rules.count, 1);
    const struct rule *rule = rule_of(config, "signups");
    assert_ptr_equal(rule->kpi, kpi);
    assert_ptr_equal(rule->target, &kpi->targets[0]);
    assert_true(condition_is_breached(&rule->when));
    assert_false(rule->has_recover);
    assert_int_equal(rule->for_ms, 0);
    assert_int_equal(rule->severity, SEVERITY_WARNING);
    assert_null(rule->text);
    assert_int_equal(rule->hook_count, 1);
    assert_string_equal(rule->hooks[0], "chat");
    assert_null(rule->not_built);

    const struct schedule *schedule = schedule_of(config, kpi);
    assert_int_equal(schedule->kind, SCHEDULE_EVERY);
    assert_int_equal(schedule->every, MS_PER_MINUTE);
    assert_string_equal(schedule->id, "every 1m");

    const struct hook *hook = hook_find(&config->hooks, STR("chat"));
    assert_non_null(hook);
    assert_ptr_equal(hook->kind, &HOOK_SLACK);
    assert_string_equal(hook->url, CHAT);
    assert_int_equal(hook->timeout, 20 * MS_PER_SECOND);
    assert_int_equal(hook->retry_first, 5 * MS_PER_SECOND);
    assert_int_equal(hook->retry_max, MS_PER_HOUR);
    assert_int_equal(hook->give_up, MS_PER_DAY);
    assert_int_equal(hook->jitter_percent, 20);
    assert_int_equal(config->hooks.default_count, 0);

    assert_int_equal(config->ingest.listener_count, 2);
    assert_string_equal(config->ingest.listeners[0].name, "statsd udp:127.0.0.1:8125");
    assert_string_equal(config->ingest.listeners[0].address, "127.0.0.1:8125");
    assert_string_equal(config->ingest.listeners[1].name, "native unix:/run/kpid/ingest.sock");
    assert_int_equal(config->ingest.line_bytes_max, 64 * 1024);
    assert_int_equal(config->ingest.connections_max, 10000);
    assert_int_equal(config->ingest.body_bytes_max, 32 << 20);
    assert_int_equal(config->ingest.request_timeout, MS_PER_MINUTE);
    assert_int_equal(config->ingest.shard_limits.series, 1000 * 1000);
    assert_int_equal(config->ingest.shard_limits.max_future, 10 * MS_PER_MINUTE);
    assert_true(config->ingest.shard_limits.max_past == 400 * (span_ms)MS_PER_DAY);
    assert_string_equal(config->control_path, "/run/kpid/kpid.sock");
    assert_string_equal(config->store.path, "/var/lib/kpid");
    assert_true(config->store.max_size_bytes == 10ULL * 1024 * 1024 * 1024);
    assert_true(config->threads >= 1 && config->threads <= 8);
    assert_null(config->http.listen);
    config_free(config);
}

static void the_file_of_ten_lines_loads_and_says_what_is_not_built(void **state)
{
    (void)state;
    struct config *config = load_good(
        "calendars: { default: { timezone: Europe/Berlin } }\n"
        "defaults: { hooks: [ chat ] }\n"
        "kpis:\n"
        "  refunds: sum(refund)\n"
        "  signups:  { value: sum(signup), period: week, target: { at_least: 100 } }\n"
        "  errors:   { value: sum(failed) / sum(requests), target: { at_most: 1% } }\n"
        "  p95_wait: { value: p95(checkout), target: { at_most: 800ms } }\n"
        "  mrr:      { value: last(mrr), period: month, target: { increase_to: 160K, by: "
        "2027-03-31 } }\n"
        "hooks: { chat: { type: slack, url: { env: CHAT_URL } } }\n"
        "digests: { monday: { schedule: \"0 8 * * mon\" } }\n",
        "kpid.yaml:8:58: warning: kpis.mrr.target.increase_to: increase_to, by are not built yet: "
        "this target is a draft\n"
        "kpid.yaml:10:1: warning: digests: this section is not built yet\n");

    assert_string_equal(calendar_zone(config->calendar), "Europe/Berlin");
    assert_int_equal(config->kpis.count, 5);
    assert_int_equal(config->rules.count, 4);
    assert_int_equal(kpi_of(config, "refunds")->target_count, 0);
    assert_int_equal(config->hooks.default_count, 1);

    const struct rule *signups = rule_of(config, "signups");
    assert_true(signups->for_ms == MS_PER_DAY); /* ALR-2: a total with a week to reach it */
    assert_int_equal(signups->hook_count, 1);

    const struct kpi *errors = kpi_of(config, "errors");
    assert_string_equal(errors->unit.name, "%");
    assert_true(errors->targets[0].to == 0.01);
    assert_true(errors->min_denominator == 30);
    assert_int_equal(errors->better, BETTER_DOWN);
    assert_true(rule_of(config, "errors")->for_ms == 0);

    const struct kpi *wait = kpi_of(config, "p95_wait");
    assert_int_equal(wait->state, KPI_STATE_ACTIVE);
    assert_null(wait->draft_reason);
    assert_string_equal(wait->unit.name, "ms");
    assert_true(wait->min_count == 20);
    assert_string_equal(wait->title, "p95 wait");
    assert_true(wait->targets[0].to == 0.8);

    const struct kpi *mrr = kpi_of(config, "mrr");
    assert_int_equal(mrr->state, KPI_STATE_ACTIVE);
    assert_string_equal(mrr->targets[0].not_built, "not built yet: increase_to");
    assert_true(mrr->targets[0].to == 160000);
    config_free(config);
}

static void assert_same_target(const struct target *a, const struct target *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_true(a->to == b->to);
    assert_int_equal(a->every, b->every);
    assert_int_equal(a->strict, b->strict);
    assert_true(a->tolerance == b->tolerance);
    assert_true(a->on_track == b->on_track && a->at_risk == b->at_risk);
}

static void long_forms_give_the_same_objects(void **state)
{
    (void)state;
    struct config *inline_form =
        load_good("kpis:\n"
                  "  signups: { value: sum(signup), period: week, evaluate: every 10s,\n"
                  "    target: { at_least: 1.5K, strict: true, tolerance: 100 }, hooks: chat,\n"
                  "    text: \"{{value}}\", recover: value > 2000, for: 2m, severity: critical,\n"
                  "    do: call }\n"
                  "hooks: { chat: { type: slack, url: { env: CHAT_URL } } }\n",
                  "");
    struct config *long_form = load_good(
        "kpis: { signups: { value: sum(signup), period: week } }\n"
        "targets:\n"
        "  signups: { kpi: signups, kind: at_least, to: 1500, every: week, strict: true,\n"
        "    tolerance: 100 }\n"
        "rules:\n"
        "  signups: { target: signups, when: breached, evaluate: every 10s,\n"
        "    hooks: [ chat ], text: \"{{value}}\", recover: value > 2000, for: 120s,\n"
        "    severity: critical, do: call }\n"
        "hooks: { chat: { type: slack, url: { env: CHAT_URL } } }\n",
        "");
    const struct kpi *a = kpi_of(inline_form, "signups");
    const struct kpi *b = kpi_of(long_form, "signups");
    const struct rule *one = rule_of(inline_form, "signups");
    const struct rule *other = rule_of(long_form, "signups");

    assert_same_target(&a->targets[0], &b->targets[0]);
    assert_int_equal(a->better, b->better);
    assert_true(a->targets[0].to == 1500 && a->targets[0].tolerance == 100);
    assert_int_equal(one->for_ms, other->for_ms);
    assert_int_equal(one->severity, other->severity);
    assert_string_equal(one->text, other->text);
    assert_string_equal(one->action, other->action);
    assert_string_equal(one->recover.text, other->recover.text);
    assert_string_equal(one->hooks[0], other->hooks[0]);
    assert_true(one->fingerprint == other->fingerprint);
    assert_int_equal(schedule_of(inline_form, a)->every, 10 * MS_PER_SECOND);
    assert_int_equal(schedule_of(long_form, b)->every, 10 * MS_PER_SECOND);
    config_free(inline_form);
    config_free(long_form);
}

static void a_fingerprint_follows_what_a_rule_means(void **state)
{
    static const char *const changed[] = {
        "kpis: { a: { value: sum(y), target: { at_least: 1 } } }",
        "kpis: { a: { value: sum(x), target: { at_least: 1 }, for: 1m } }",
        "kpis: { a: { value: sum(x), target: { at_least: 1 }, recover: value > 2 } }",
        "kpis: { a: { value: sum(x), target: { at_least: 1 }, when: value < 1 } }",
    };
    (void)state;
    struct config *config =
        load_good("kpis: { a: { value: sum(x), target: { at_least: 1 } } }", "");
    struct config *same = load_good(
        "kpis: { a: { value: sum(x), target: { at_least: 1 }, text: new, severity: info } }", "");

    uint64_t before = rule_of(config, "a")->fingerprint;
    assert_true(rule_of(same, "a")->fingerprint == before);
    for (size_t i = 0; i < TEST_COUNT(changed); i++) {
        struct config *other = load_good(changed[i], "");
        assert_true(rule_of(other, "a")->fingerprint != before);
        config_free(other);
    }
    config_free(config);
    config_free(same);
}

static void defaults_fill_what_objects_do_not_say(void **state)
{
    (void)state;
    struct config *config =
        load_good("defaults:\n"
                  "  kpi: { period: month, settle: 2h, owner: ana }\n"
                  "  rule: { for: 5m, severity: info, evaluate: often }\n"
                  "  hook: { timeout: 3s, retry: { max: 10m } }\n"
                  "schedules: { often: every 10s, rare: { every: 1h } }\n"
                  "metrics: { late: { type: counter, late: 3h } }\n"
                  "kpis:\n"
                  "  a: { value: sum(x), target: { at_most: 5 }, hooks: chat }\n"
                  "  b: { value: sum(late), settle: 1m, period: hour, target: { at_most: 5 },\n"
                  "    for: 0s, evaluate: rare }\n"
                  "  c: sum(late)\n"
                  "hooks: { chat: { type: slack, url: { env: CHAT_URL }, timeout: 4s,\n"
                  "    retry: { first: 1s } } }\n",
                  "");
    const struct kpi *a = kpi_of(config, "a");
    const struct kpi *b = kpi_of(config, "b");

    assert_int_equal(a->period, PERIOD_MONTH);
    assert_int_equal(a->settle, 2 * MS_PER_HOUR);
    assert_string_equal(a->owner, "ana");
    assert_int_equal(rule_of(config, "a")->for_ms, 5 * MS_PER_MINUTE);
    assert_int_equal(rule_of(config, "a")->severity, SEVERITY_INFO);
    assert_string_equal(schedule_of(config, a)->id, "often");
    assert_int_equal(b->period, PERIOD_HOUR);
    assert_int_equal(b->settle, MS_PER_MINUTE);
    assert_int_equal(rule_of(config, "b")->for_ms, 0);
    assert_string_equal(schedule_of(config, b)->id, "rare");
    assert_string_equal(schedule_of(config, kpi_of(config, "c"))->id, "every 1m");
    assert_int_equal(config->hooks.hooks[0].timeout, 4 * MS_PER_SECOND);
    assert_int_equal(config->hooks.hooks[0].retry_first, MS_PER_SECOND);
    assert_int_equal(config->hooks.hooks[0].retry_max, 10 * MS_PER_MINUTE);
    config_free(config);

    config =
        load_good("metrics: { late: { type: counter, late: 3h } }\nkpis: { c: sum(late) }", "");
    assert_int_equal(kpi_of(config, "c")->settle, 3 * MS_PER_HOUR); /* FIG-29 */
    config_free(config);
}

static void kpis_share_the_schedule_of_one_text(void **state)
{
    (void)state;
    struct config *config =
        load_good("calendars: { default: { timezone: UTC }, tokyo: { timezone: Asia/Tokyo } }\n"
                  "kpis:\n"
                  "  a: { value: sum(x), evaluate: every 10s }\n"
                  "  b: { value: sum(y), evaluate: every 10s, calendar: tokyo }\n"
                  "  c: { value: sum(z), evaluate: \"0 9 * * *\" }\n"
                  "  d: { value: sum(z), evaluate: \"0 9 * * *\", calendar: tokyo }\n"
                  "  e: { value: sum(z), evaluate: \"CRON_TZ=Europe/Paris 0 9 * * *\" }\n",
                  "");

    assert_int_equal(config->evaluator.evaluation_count, 4);
    assert_int_equal(config->evaluator.evaluations[0].kpi_count, 2);
    const struct schedule *paris = schedule_of(config, kpi_of(config, "e"));
    assert_string_equal(calendar_zone(paris->calendar), "Europe/Paris");
    const struct schedule *tokyo = schedule_of(config, kpi_of(config, "d"));
    assert_string_equal(calendar_zone(tokyo->calendar), "Asia/Tokyo");
    assert_string_equal(tokyo->id, "0 9 * * * (Asia/Tokyo)");
    config_free(config);
}

static void the_default_calendar_is_found(void **state)
{
    (void)state;
    struct config *config = load_good("organisation: { calendar: office }\n"
                                      "calendars:\n"
                                      "  default: { timezone: UTC }\n"
                                      "  office: { timezone: Asia/Tokyo, week_start: sunday }\n"
                                      "  branch: { extends: office, timezone: Europe/Paris }\n"
                                      "kpis: { a: { value: sum(x), calendar: branch } }\n",
                                      "");
    assert_string_equal(calendar_zone(config->calendar), "Asia/Tokyo");
    const struct calendar *branch = kpi_of(config, "a")->calendar;
    assert_string_equal(calendar_zone(branch), "Europe/Paris");
    assert_int_equal(calendar_week_start(branch), 7);
    config_free(config);
}

static void metrics_are_declared(void **state)
{
    (void)state;
    struct config *config = load_good(
        "metrics:\n"
        "  api.load: { type: gauge, unit: \"%\", every: 10m, over_labels: max, labels: [ host ] }\n"
        "  nps: { type: score, range: [ 0, 10 ], stale_after: 1d }\n"
        "  worked: { type: distribution, unit: hours }\n",
        "");
    const struct metric_definition *load = metric_find(&config->metrics, STR("api.load"));

    assert_non_null(load);
    assert_true(load->has_kind && load->kind == METRIC_GAUGE);
    assert_int_equal(load->stale_after, 15 * MS_PER_MINUTE); /* FIG-12 */
    assert_int_equal(load->over_labels, OVER_LABELS_MAX);
    const struct metric_definition *nps = metric_find(&config->metrics, STR("nps"));
    assert_true(nps->has_range && nps->range_low == 0 && nps->range_high == 10);
    assert_int_equal(nps->stale_after, MS_PER_DAY);
    assert_string_equal(metric_find(&config->metrics, STR("worked"))->unit, "h");
    config_free(config);
}

static void tolerance_is_a_share_of_the_smaller_side(void **state)
{
    (void)state;
    struct config *config =
        load_good("kpis:\n"
                  "  a: { value: sum(x) / sum(y), unit: \"%\", target: { at_least: 99.9% } }\n"
                  "  b: { value: sum(x) / sum(y), unit: \"%\", target: { at_most: 2 } }\n"
                  "  c: { value: avg(z), unit: h, target: { at_most: 10h, tolerance: 30min } }\n",
                  "");
    double a = kpi_of(config, "a")->targets[0].tolerance;
    double b = kpi_of(config, "b")->targets[0].tolerance;

    assert_true(a > 0.0000499 && a < 0.0000501); /* STA-5: 5 % of 0.1 % */
    assert_true(b > 0.00099 && b < 0.00101);     /* 5 % of 2 % */
    assert_true(kpi_of(config, "c")->targets[0].tolerance == 1800);
    config_free(config);
}

static void what_is_not_built_makes_drafts_with_a_reason(void **state)
{
    (void)state;
    struct config *config = load_good(
        "kpis:\n"
        "  a: { value: sum(x), window: 90d }\n"
        "  b: { value: sum(x), period: fiscal_year }\n"
        "  d: { value: sum(x), target: { at_least: 1, path: { steps: { FY2026-Q1: 1 } } } }\n"
        "  e: { value: sum(x), target: { at_least: 1 }, for: 3 business days }\n"
        "  f: { value: sum(x), target: { between: [ 1, 2 ] }, text: \"{{p_hit}}\" }\n",
        "kpid.yaml:2:23: warning: kpis.a.window: window is not built yet: this KPI is a draft\n"
        "kpid.yaml:3:23: warning: kpis.b.period: period fiscal_year is not built yet: this KPI is "
        "a draft\n"
        "kpid.yaml:4:46: warning: kpis.d.target.path: path is not built yet: this target is a "
        "draft\n"
        "kpid.yaml:5:48: warning: kpis.e.for: for 3 business days is not built yet: this rule "
        "never fires\n"
        "kpid.yaml:6:33: warning: kpis.f.target.between: between is not built yet: this target is "
        "a draft\n"
        "kpid.yaml:6:60: warning: kpis.f.text: {{p_hit}} is not built yet: the default text is "
        "sent\n");

    assert_string_equal(kpi_of(config, "a")->draft_reason, "not built yet: window");
    assert_int_equal(kpi_of(config, "a")->state, KPI_STATE_DRAFT);
    assert_string_equal(kpi_of(config, "b")->draft_reason, "not built yet: period fiscal_year");
    assert_string_equal(kpi_of(config, "d")->targets[0].not_built, "not built yet: path");
    assert_string_equal(rule_of(config, "e")->not_built, "not built yet: for 3 business days");
    assert_null(kpi_of(config, "e")->draft_reason);
    assert_string_equal(kpi_of(config, "f")->targets[0].not_built, "not built yet: between");
    config_free(config);
}

static const struct metric_definition *metric_of(const struct config *config, const char *name)
{
    const struct metric_definition *metric = metric_find(&config->metrics, str_of(name));

    assert_non_null(metric);
    return metric;
}

static void a_metric_has_a_limit_of_series_of_its_own(void **state)
{
    (void)state;
    struct config *config = load_good("metrics:\n"
                                      "  orders: { type: counter, max_series: 100000000 }\n"
                                      "  visits: { type: counter, max_series: 1 }\n"
                                      "  stock:  { type: gauge }\n",
                                      "");

    assert_int_equal(metric_of(config, "orders")->max_series, 100000000);
    assert_int_equal(metric_of(config, "visits")->max_series, 1);
    assert_int_equal(metric_of(config, "stock")->max_series, 0);
    assert_ptr_equal(config->series_limits.metrics, &config->metrics);
    config_free(config);
    expect_findings(
        "metrics:\n"
        "  a: { type: counter, max_series: 0 }\n"
        "  b: { type: counter, max_series: -5 }\n"
        "  c: { type: counter, max_series: 100000001 }\n"
        "  d: { type: counter, max_series: many }\n",
        "kpid.yaml:2:35: error: metrics.a.max_series: max_series is from 1 to 100000000\n"
        "kpid.yaml:3:35: error: metrics.b.max_series: '-5' is not a whole number\n"
        "kpid.yaml:4:35: error: metrics.c.max_series: max_series is from 1 to 100000000\n"
        "kpid.yaml:5:35: error: metrics.d.max_series: 'many' is not a whole number\n");
}

static void a_listener_has_a_limit_of_series_of_its_own(void **state)
{
    (void)state;
    struct config *config =
        load_good("ingest:\n"
                  "  - { protocol: statsd, listen: udp:127.0.0.1:8125 }\n"
                  "  - { protocol: statsd, listen: tcp:127.0.0.1:8125, max_series: 1 }\n"
                  "  - { protocol: influx, listen: tcp:127.0.0.1:8089, max_series: 100M }\n",
                  "");
    const struct series_limits *limits = &config->series_limits;

    assert_int_equal(limits->listener_count, 2);
    assert_true(str_is(limits->listeners[0].listener, "statsd tcp:127.0.0.1:8125"));
    assert_int_equal(limits->listeners[0].series, 1);
    assert_true(str_is(limits->listeners[1].listener, "influx tcp:127.0.0.1:8089"));
    assert_int_equal(limits->listeners[1].series, 100000000);
    assert_int_equal(limits->series, 1000000);
    assert_int_equal(config->ingest.listeners[0].max_series, 0);
    config_free(config);
    expect_findings(
        "ingest:\n"
        "  - { protocol: statsd, listen: udp:127.0.0.1:8125, max_series: 0 }\n"
        "  - { protocol: statsd, listen: udp:127.0.0.1:8126, max_series: 101M }\n",
        "kpid.yaml:2:65: error: ingest[0].max_series: max_series is from 1 to 100000000\n"
        "kpid.yaml:3:65: error: ingest[1].max_series: max_series is from 1 to 100000000\n");
}

static void a_gauge_may_have_a_floor(void **state)
{
    (void)state;
    struct config *config = load_good("metrics:\n"
                                      "  jobs:  { type: gauge, min: 0 }\n"
                                      "  tanks: { type: gauge, min: 2.5 }\n"
                                      "  stock: { type: gauge }\n",
                                      "");

    assert_true(metric_of(config, "jobs")->has_floor && metric_of(config, "jobs")->floor == 0);
    assert_true(metric_of(config, "tanks")->has_floor);
    assert_true(metric_of(config, "tanks")->floor == 2.5);
    assert_false(metric_of(config, "stock")->has_floor);
    assert_true(metric_level(metric_of(config, "jobs"), -3) == 0);
    assert_true(metric_level(metric_of(config, "stock"), -3) == -3);
    config_free(config);
    expect_findings("metrics:\n"
                    "  a: { type: counter, min: 0 }\n"
                    "  b: { type: gauge, min: -1 }\n",
                    "kpid.yaml:2:28: error: metrics.a.min: only a gauge can be changed by steps, "
                    "and the type is counter\n"
                    "kpid.yaml:3:26: error: metrics.b.min: '-1' is not a number from 0 on\n");
}

static void a_counter_may_be_cumulative(void **state)
{
    (void)state;
    struct config *config = load_good("metrics:\n"
                                      "  served: { type: counter, reset: cumulative }\n"
                                      "  orders: { type: counter, reset: delta }\n"
                                      "  visits: { type: counter }\n"
                                      "  stock:  { type: gauge, reset: delta }\n"
                                      "kpis: { a: sum(served) }\n",
                                      "");

    assert_true(metric_of(config, "served")->counts_up);
    assert_false(metric_of(config, "orders")->counts_up);
    assert_false(metric_of(config, "visits")->counts_up);
    assert_int_equal(kpi_of(config, "a")->state, KPI_STATE_ACTIVE);
    config_free(config);
    expect_findings(
        "metrics:\n"
        "  stock: { type: gauge, reset: cumulative }\n"
        "  x: { type: untyped, reset: cumulative }\n"
        "  y: { type: counter, reset: never }\n",
        "kpid.yaml:2:32: error: metrics.stock.reset: only a counter is cumulative, and the "
        "type is gauge\n"
        "kpid.yaml:3:30: error: metrics.x.reset: only a counter is cumulative, and the "
        "type is untyped\n"
        "kpid.yaml:4:30: error: metrics.y.reset: unknown reset 'never'\n"
        "  hint: one of delta, cumulative\n");
}

static void directions_that_contradict_are_warned_of(void **state)
{
    (void)state;
    config_free(load_good(
        "kpis: { a: { value: sum(x), better: down, target: { at_least: 3 } }, b: { value: sum(x), "
        "hooks: chat } }\n"
        "hooks: { chat: { type: slack, url: { env: CHAT_URL } } }\n",
        "kpid.yaml:1:43: warning: kpis.a.target: 'at_least' asks for more, but better is down\n"
        "kpid.yaml:1:90: warning: kpis.b.hooks: nothing to tell: the KPI has neither 'target' nor "
        "'when'\n"));
}

static void data_is_kept_as_long_as_storage_and_metric_say(void **state)
{
    (void)state;
    struct config *config =
        load_good("storage: { keep: { bucket_1m: 30d, day: 3650d } }\n"
                  "calendars: { a: { timezone: Asia/Kathmandu }, b: { extends: a, week_start: "
                  "sunday }, default: { timezone: UTC } }\n"
                  "metrics: { debug: { type: counter, keep: { bucket_1m: 1d, bucket_15m: 2d } }, "
                  "orders: { type: counter } }\n",
                  "");
    const struct upkeep_options *upkeep = &config->upkeep;

    assert_int_equal(upkeep->keep.minute, 30LL * MS_PER_DAY);
    assert_int_equal(upkeep->keep.quarter, 400LL * MS_PER_DAY);
    assert_int_equal(upkeep->keep.day, 3650LL * MS_PER_DAY);
    assert_int_equal(upkeep->calendar_count, 2); /* zones, whatever their weeks */
    assert_int_equal(upkeep->rule_count, 1);
    assert_string_equal(upkeep->rules[0].metric, "debug");
    assert_int_equal(upkeep->rules[0].keep.minute, MS_PER_DAY);
    assert_int_equal(upkeep->rules[0].keep.quarter, 2LL * MS_PER_DAY);
    assert_int_equal(upkeep->rules[0].keep.day, 3650LL * MS_PER_DAY);
    config_free(config);

    config = load_good("{}", "");
    assert_int_equal(config->upkeep.keep.day, 0); /* for ever */
    assert_int_equal(config->upkeep.calendar_count, 1);
    config_free(config);
}

static void series_that_come_no_more_join_other_unless_a_kpi_names_their_metric(void **state)
{
    static const struct {
        const char *metric;
        bool is_named;
    } cases[] = {{"orders", true}, {"visits", true}, {"refunds", true},
                 {"order", false}, {"hits", false},  {"a", false}};
    (void)state;
    struct config *config =
        load_good("storage: { churn_after: 30d }\n"
                  "kpis: { a: { value: sum(orders) / sum(visits) }, b: { value: prev(sum(refunds)) "
                  "} }\n",
                  "kpid.yaml:2:62: warning: kpis.b.value: prev() is not built yet: this KPI is a "
                  "draft\n");
    const struct upkeep_options *upkeep = &config->upkeep;

    assert_int_equal(upkeep->churn_after, 30LL * MS_PER_DAY);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(upkeep->is_named(str_of(cases[i].metric), upkeep->is_named_arg),
                         cases[i].is_named);
    config_free(config);

    config = load_good("{}", "");
    assert_int_equal(config->upkeep.churn_after, 90LL * MS_PER_DAY);
    config_free(config);
    config = load_good("storage: { churn_after: forever }\n", "");
    assert_int_equal(config->upkeep.churn_after, 0);
    config_free(config);
    expect_findings("storage: { churn_after: 1d }\n",
                    "kpid.yaml:1:25: error: storage.churn_after: churn_after is at least 7d\n");
}

static void what_kpid_counts_of_itself_is_posted_if_a_kpi_names_it_or_somebody_says_so(void **state)
{
    static const struct {
        const char *text;
        bool is_wanted;
    } cases[] = {
        {"{}", false},
        {"kpis: { a: sum(samples_rejected), b: sum(kpid_orders) }", false},
        {"kpis: { a: sum(kpid_samples_rejected_total) }", true},
        {"kpis:\n  a:\n    value: sum(b) + 2 * sum(kpid_samples_dropped_total{listener=\"x\"})",
         true},
        {"kpis: { a: { value: max(kpid_closing_late_seconds), state: paused } }", true},
        {"server: { own_metrics: true }", true},
        {"server: { own_metrics: false }\nkpis: { a: sum(kpid_samples_rejected_total) }", false},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *config = load_good(cases[i].text, "");
        if (config->own_metrics != cases[i].is_wanted)
            fail_msg("%s", cases[i].text);
        config_free(config);
    }
}

static const struct listener_config *listener_of(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->ingest.listener_count; i++) {
        if (strcmp(config->ingest.listeners[i].name, name) == 0)
            return &config->ingest.listeners[i];
    }
    fail_msg("no listener '%s'", name);
    return NULL;
}

static void lines_and_pickles_have_their_transports(void **state)
{
    (void)state;
    struct config *config =
        load_good("server: { limits: { frame: 2M } }\n"
                  "ingest:\n"
                  "  - { protocol: graphite, listen: \"tcp:127.0.0.1:2003\" }\n"
                  "  - { protocol: graphite, listen: \"udp:127.0.0.1:2003\" }\n"
                  "  - { protocol: graphite_pickle, listen: \"tcp:127.0.0.1:2004\" }\n"
                  "  - { protocol: influx, listen: \"udp:127.0.0.1:8089\", precision: ms }\n"
                  "  - { protocol: influx, listen: \"tcp:127.0.0.1:8089\" }\n",
                  "");

    assert_int_equal(config->ingest.listener_count, 5);
    assert_int_equal(config->ingest.frame_bytes_max, 2 << 20);
    assert_int_equal(listener_of(config, "graphite_pickle tcp:127.0.0.1:2004")->protocol,
                     PROTOCOL_GRAPHITE_PICKLE);
    assert_int_equal(listener_of(config, "influx udp:127.0.0.1:8089")->precision, INFLUX_MS);
    assert_int_equal(listener_of(config, "influx tcp:127.0.0.1:8089")->precision, INFLUX_NS);
    config_free(config);
    config = load_good("{}", "");
    assert_int_equal(config->ingest.frame_bytes_max, 4 << 20);
    config_free(config);

    expect_findings("ingest:\n"
                    "  - { protocol: graphite_pickle, listen: \"udp:127.0.0.1:2004\" }\n",
                    "kpid.yaml:2:42: error: ingest[0].listen: graphite_pickle is not spoken over "
                    "udp\n  hint: over tcp or unix\n");
    expect_findings("ingest:\n"
                    "  - { protocol: influx, listen: \"http:127.0.0.1:8086\", precision: s }\n",
                    "kpid.yaml:2:67: error: ingest[0].precision: precision is for influx over "
                    "other than http, where requests say it\n");
    expect_findings("server: { limits: { frame: 100 } }\n",
                    "kpid.yaml:1:28: error: server.limits.frame: frame is from 1024 to 67108864\n");
}

static void influx_is_spoken_over_http(void **state)
{
    (void)state;
    struct config *config = load_good("server: { limits: { body: 1M, request: 5s } }\n"
                                      "ingest:\n"
                                      "  - { protocol: influx, listen: \"http:127.0.0.1:8086\" }\n"
                                      "  - { protocol: influx, listen: \"http:[::1]:8086\",\n"
                                      "      skip_single_field: true }\n",
                                      "");
    const struct listener_config *listeners = config->ingest.listeners;

    assert_int_equal(config->ingest.listener_count, 2);
    assert_int_equal(listeners[0].protocol, PROTOCOL_INFLUX);
    assert_int_equal(listeners[0].transport, TRANSPORT_HTTP);
    assert_string_equal(listeners[0].address, "127.0.0.1:8086");
    assert_string_equal(listeners[0].name, "influx http:127.0.0.1:8086");
    assert_false(listeners[0].skip_single_field);
    assert_true(listeners[1].skip_single_field);
    assert_int_equal(config->ingest.body_bytes_max, 1 << 20);
    assert_int_equal(config->ingest.request_timeout, 5 * MS_PER_SECOND);
    config_free(config);
}

static void an_otlp_listener_may_name_its_labels(void **state)
{
    (void)state;
    struct config *config =
        load_good("ingest:\n"
                  "  - { protocol: otlp, listen: \"http:127.0.0.1:4318\" }\n"
                  "  - { protocol: otlp, listen: \"http:127.0.0.1:4319\", resource_labels: [] }\n"
                  "  - { protocol: otlp, listen: \"http:127.0.0.1:4320\",\n"
                  "      resource_labels: [service.name, otel.scope.name] }\n",
                  "");
    const struct listener_config *listeners = config->ingest.listeners;

    assert_null(listeners[0].resource_labels);
    assert_string_equal(listeners[1].resource_labels, " ");
    assert_string_equal(listeners[2].resource_labels, " service.name otel.scope.name");
    config_free(config);
    expect_findings(
        "ingest:\n"
        "  - { protocol: otlp, listen: \"http:[::1]:1\", resource_labels: [a, \"b c\"] }\n",
        "kpid.yaml:2:68: error: ingest[0].resource_labels[1]: 'b c' is not the key of an "
        "attribute\n");
    expect_findings(
        "ingest:\n"
        "  - { protocol: json, listen: \"http:[::1]:1\", resource_labels: [a] }\n",
        "kpid.yaml:2:47: error: ingest[0].resource_labels: resource_labels is for otlp\n");
}

static void who_may_speak_is_said_by_listener(void **state)
{
    (void)state;
    struct config *config = load_good(
        "ingest:\n"
        "  - { protocol: statsd, listen: \"udp:0.0.0.0:1\", allow: [ 10.0.0.0/8, \"::1\" ] }\n"
        "  - { protocol: influx, listen: \"http:0.0.0.0:2\", tokens: true }\n"
        "  - { protocol: statsd, listen: \"unix:/x\", users: [ root, \"17\" ] }\n"
        "server: { http: { listen: \"[::]:3\", allow: [ 2001:db8::/32 ] } }\n",
        "kpid.yaml:3:33: warning: ingest[1].listen: tokens for '0.0.0.0:2' travel in the clear, for "
        "everybody on the way to read\n"
        "  hint: add tls, or let a proxy on this machine speak it\n");
    const struct ingest_config *ingest = &config->ingest;

    assert_int_equal(ingest->listeners[0].allow_count, 2);
    assert_int_equal(ingest->listeners[0].allow[0].bits, 104);
    assert_true(ingest->listeners[1].tokens);
    assert_int_equal(ingest->listeners[2].user_count, 2);
    assert_int_equal(ingest->listeners[2].users[0], 0);
    assert_int_equal(ingest->listeners[2].users[1], 17);
    assert_int_equal(config->http.allow_count, 1);
    config_free(config);
}

static void an_address_that_stays_keeps_those_who_may_speak_there(void **state)
{
    (void)state;
    struct config *old =
        load_good("server: { http: { listen: \"0.0.0.0:3\", allow: [ 10.0.0.0/8 ] } }", "");
    struct config *fresh = load_good("server: { http: { listen: \"127.0.0.1:3\" } }", "");
    struct buf words = BUF_EMPTY;

    config_keep_started(fresh, old, &words);
    config_free(old);
    assert_string_equal(fresh->http.listen, "0.0.0.0:3");
    assert_int_equal(fresh->http.allow_count, 1);
    assert_int_equal(fresh->http.allow[0].bits, 104);
    buf_fini(&words);
    config_free(fresh);
}

static void what_a_reload_cannot_change_is_named(void **state)
{
    (void)state;
    struct config *old = load_good("server: { threads: 2 }", "");
    struct config *same = load_good("server: { threads: 2 }\nkpis: { a: sum(x) }", "");
    struct config *fresh =
        load_good("server: { threads: 3, control: /tmp/x.sock }\nstorage: { path: /tmp/y }", "");
    struct buf words = BUF_EMPTY;

    config_keep_started(same, old, &words);
    assert_int_equal(words.len, 0);
    config_keep_started(fresh, old, &words);
    buf_char(&words, '\0');
    assert_string_equal(words.bytes, "server.control, server.threads, storage.path");
    assert_string_equal(fresh->control_path, old->control_path);
    assert_ptr_not_equal(fresh->control_path, old->control_path);
    assert_int_equal(fresh->threads, old->threads);
    assert_string_equal(fresh->store.path, old->store.path);
    assert_true(old->hash != fresh->hash);
    buf_fini(&words);
    config_free(old);
    config_free(same);
    config_free(fresh);
}

/* --- the whole language ------------------------------------------------------------------------
 */

static char *read_text(const char *path)
{
    struct buf text = BUF_EMPTY;
    char bytes[4096];
    size_t got = 0;
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    while ((got = fread(bytes, 1, sizeof bytes, file)) > 0)
        buf_append(&text, bytes, got);
    assert_int_equal(fclose(file), 0);
    return buf_take_text(&text);
}

/* Beside this file. */
static char *read_language(void)
{
    char path[4096];
    const char *slash = strrchr(__FILE__, '/');

    assert_non_null(slash);
    (void)snprintf(path, sizeof path, "%.*s/language.yaml", (int)(slash - __FILE__), __FILE__);
    return read_text(path);
}

static void replace_all(char **text, const char *what, const char *with)
{
    struct buf out = BUF_EMPTY;
    const char *at = *text;

    for (const char *found = strstr(at, what); found != NULL; found = strstr(at, what)) {
        buf_append(&out, at, (size_t)(found - at));
        buf_text(&out, with);
        at = found + strlen(what);
    }
    buf_text(&out, at);
    free(*text);
    *text = buf_take_text(&out);
}

static char certificates[64];
static char folder_before[4096];

/* The files of `tls`, in a folder that is the working directory until remove_certificates. */
static void make_certificates(void)
{
    (void)snprintf(certificates, sizeof certificates, "/tmp/kpid-config-XXXXXX");
    assert_non_null(mkdtemp(certificates));
    certificate_make(certificates, "ca", NULL);
    certificate_make(certificates, "server", "ca");
    assert_non_null(getcwd(folder_before, sizeof folder_before));
    assert_int_equal(chdir(certificates), 0);
}

static void remove_certificates(void)
{
    static const char *const names[] = {"ca.crt", "ca.key", "server.crt", "server.key"};

    for (size_t i = 0; i < TEST_COUNT(names); i++)
        assert_int_equal(unlink(names[i]), 0);
    assert_int_equal(chdir(folder_before), 0);
    assert_int_equal(rmdir(certificates), 0);
}

static void a_certificate_that_ends_soon_is_warned_of(void **state)
{
    static const struct {
        long life_s;
        const char *words; /* NULL: no warning */
    } cases[] = {
        {-60, "certificate 'server.crt' has expired, on 20"},
        {3 * CERTIFICATE_DAY_S - 60, "certificate 'server.crt' expires in less than 3 days, on 20"},
        {CERTIFICATE_LIFE_S, NULL},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct findings findings = FINDINGS_EMPTY;
        make_certificates();
        certificate_make_until(".", "server", "ca", cases[i].life_s);
        struct config *config =
            config_load_text(STR("ingest:\n"
                                 "  - { protocol: statsd, listen: \"tcp:127.0.0.1:1\", "
                                 "tls: { cert: server.crt, key: server.key } }\n"),
                             "kpid.yaml", &findings);
        remove_certificates();
        assert_non_null(config);
        assert_int_equal(findings.count, cases[i].words != NULL ? 1 : 0);
        if (cases[i].words != NULL) {
            const struct finding *finding = &findings.items[0];
            assert_int_equal(finding->severity, FINDING_WARNING);
            assert_int_equal(finding->line, 2);
            assert_string_equal(finding->key, "ingest[0].tls");
            assert_memory_equal(finding->text, cases[i].words, strlen(cases[i].words));
        }
        config_free(config);
        findings_fini(&findings);
    }
}

static void the_whole_language_loads(void **state)
{
    struct findings findings = FINDINGS_EMPTY;
    char *text = read_language();
    (void)state;

    replace_all(&text, "/etc/kpid/tls.", "server.");
    replace_all(&text, "/etc/kpid/ca.crt", "ca.crt");
    replace_all(&text, "{ file: /etc/kpid/tokens }", "{ env: TOKENS }");
    replace_all(&text, "{ file: /etc/kpid/secrets/slack-success }", "{ env: CHAT_URL }");
    replace_all(&text, "{ file: /etc/kpid/secrets/wh-new }", "{ env: WEBHOOK_SECRET }");
    replace_all(&text, "{ file: /etc/kpid/secrets/wh-old }", "{ env: WEBHOOK_SECRET }");
    make_certificates();
    struct config *config = config_load_text(str_of(text), "kpid.yaml", &findings);
    remove_certificates();
    if (config == NULL) {
        char *said = findings_text(&findings);
        print_error("%s", said);
        free(said);
    }
    assert_non_null(config);
    assert_int_equal(findings.errors, 0);
    assert_int_equal(config->token_count, 1);
    for (size_t i = 0; i < findings.count; i++) {
        assert_non_null(strstr(findings.items[i].text, "not built yet"));
        if (i > 0) /* one for each place */
            assert_true(findings.items[i].line != findings.items[i - 1].line ||
                        findings.items[i].column != findings.items[i - 1].column);
    }
    assert_int_equal(config->kpis.count, 11);
    assert_int_equal(listener_of(config, "influx http:127.0.0.1:8086")->transport, TRANSPORT_HTTP);
    assert_int_equal(listener_of(config, "graphite tcp:127.0.0.1:2003")->protocol,
                     PROTOCOL_GRAPHITE);
    assert_int_equal(config->hooks.count, 2);
    assert_int_equal(config->rules.count, 5);
    assert_string_equal(config->http.listen, "127.0.0.1:8640");

    const struct kpi *churn = kpi_of(config, "churn");
    assert_int_equal(churn->state, KPI_STATE_ACTIVE);
    assert_true(churn->min_denominator == 50);
    assert_true(churn->targets[0].strict && churn->targets[0].to == 0.02);
    const struct rule *breach = rule_of(config, "churn-breach");
    assert_int_equal(breach->severity, SEVERITY_CRITICAL);
    assert_true(breach->for_ms == 2 * (span_ms)MS_PER_DAY && breach->has_recover);
    assert_int_equal(breach->hook_count, 1); /* leads-mail is not built */
    assert_string_equal(schedule_of(config, churn)->id, "hourly");
    assert_string_equal(rule_of(config, "mrr-off-course")->not_built,
                        "not built yet: for 3 evaluations");
    assert_string_equal(kpi_of(config, "nps")->draft_reason, "not built yet: window");
    assert_int_equal(kpi_of(config, "trial_conversion")->settle, 14 * (span_ms)MS_PER_DAY);
    config_free(config);
    findings_fini(&findings);
    free(text);
}

static void the_sample_files_load_without_a_word(void **state)
{
    static const char *const names[] = {"kpid.yaml", "kpis.yaml"};
    const char *end = strstr(__FILE__, "/tests/unit/");
    char path[4096];
    (void)state;

    assert_non_null(end);
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        (void)snprintf(path, sizeof path, "%.*s/config/%s", (int)(end - __FILE__), __FILE__,
                       names[i]);
        char *text = read_text(path);
        config_free(load_good(text, ""));
        free(text);
    }
}

static void an_empty_file_has_the_defaults(void **state)
{
    static const char *const texts[] = {"", "# nothing\n", "---\n", "kpis:\n"};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        struct config *config = load_good(texts[i], "");
        assert_int_equal(config->kpis.count, 0);
        assert_int_equal(config->ingest.listener_count, 2);
        assert_non_null(config->calendar);
        config_free(config);
    }
}

static int set_environment(void **state)
{
    (void)state;
    (void)unsetenv("RUNTIME_DIRECTORY");
    (void)unsetenv("STATE_DIRECTORY");
    return setenv("CHAT_URL", CHAT, 1) |
           setenv("TOKENS",
                  "ingest web-1 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n",
                  1) |
           setenv("WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_three_lines_is_complete),
        cmocka_unit_test(the_file_of_ten_lines_loads_and_says_what_is_not_built),
        cmocka_unit_test(long_forms_give_the_same_objects),
        cmocka_unit_test(a_fingerprint_follows_what_a_rule_means),
        cmocka_unit_test(defaults_fill_what_objects_do_not_say),
        cmocka_unit_test(kpis_share_the_schedule_of_one_text),
        cmocka_unit_test(the_default_calendar_is_found),
        cmocka_unit_test(metrics_are_declared),
        cmocka_unit_test(tolerance_is_a_share_of_the_smaller_side),
        cmocka_unit_test(what_is_not_built_makes_drafts_with_a_reason),
        cmocka_unit_test(a_metric_has_a_limit_of_series_of_its_own),
        cmocka_unit_test(a_listener_has_a_limit_of_series_of_its_own),
        cmocka_unit_test(a_gauge_may_have_a_floor),
        cmocka_unit_test(a_counter_may_be_cumulative),
        cmocka_unit_test(directions_that_contradict_are_warned_of),
        cmocka_unit_test(data_is_kept_as_long_as_storage_and_metric_say),
        cmocka_unit_test(series_that_come_no_more_join_other_unless_a_kpi_names_their_metric),
        cmocka_unit_test(
            what_kpid_counts_of_itself_is_posted_if_a_kpi_names_it_or_somebody_says_so),
        cmocka_unit_test(influx_is_spoken_over_http),
        cmocka_unit_test(an_otlp_listener_may_name_its_labels),
        cmocka_unit_test(lines_and_pickles_have_their_transports),
        cmocka_unit_test(who_may_speak_is_said_by_listener),
        cmocka_unit_test(an_address_that_stays_keeps_those_who_may_speak_there),
        cmocka_unit_test(what_a_reload_cannot_change_is_named),
        cmocka_unit_test(a_certificate_that_ends_soon_is_warned_of),
        cmocka_unit_test(the_whole_language_loads),
        cmocka_unit_test(the_sample_files_load_without_a_word),
        cmocka_unit_test(an_empty_file_has_the_defaults),
    };
    return cmocka_run_group_tests(tests, set_environment, NULL);
}
