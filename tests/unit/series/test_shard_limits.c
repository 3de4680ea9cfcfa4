#include <math.h>
#include <stdio.h>

#include "series/random.h"
#include "series/shard_test.h"

static void alternating_minutes_do_not_grow(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    struct sample sample = sample_of("orders", METRIC_COUNTER, 1);
    size_t bytes = 0;
    for (int i = 0; i < 5000; i++) {
        sample.at = NOW - (i % 50) * MS_PER_MINUTE;
        add(shard, sample);
        if (i == 100)
            bytes = shard_pending_bytes(shard);
    }
    assert_int_equal(shard_pending_bytes(shard), bytes);
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->cell_count, 50);
    assert_true(total_of_all(delta) == 5000);
    assert_int_equal(shard_pending_bytes(shard), 0);
    delta_free(delta);
    shard_free(shard);
}

static void pending_bytes_follow_the_sketches(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    char member[16];
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(member, sizeof member, "m%d", i);
        add(shard, member_of("users", "", member));
    }
    assert_true(shard_pending_bytes(shard) > DISTINCT_REGISTERS);
    assert_true(shard_pending_bytes(shard) < DISTINCT_REGISTERS + 1000);
    struct delta *delta = shard_take_delta(shard);
    assert_true(delta->sketch_bytes >= DISTINCT_REGISTERS);
    assert_int_equal(shard_pending_bytes(shard), 0);
    delta_free(delta);
    shard_free(shard);
}

static void pending_bytes_follow_the_histograms(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    add(shard, sample_of("wait", METRIC_DISTRIBUTION, 1));
    size_t one_value = shard_pending_bytes(shard);
    size_t size = shard_size_bytes(shard);
    for (int i = 0; i < 2000; i++) /* every bucket of 32 powers of two */
        add(shard, sample_of("wait", METRIC_DISTRIBUTION, exp2(i / 64.0)));
    assert_true(shard_pending_bytes(shard) > one_value + 2000);
    assert_true(shard_size_bytes(shard) > size + 2000);
    struct delta *delta = shard_take_delta(shard);
    assert_true(delta->sketch_bytes ==
                histogram_size_bytes(cell_of(delta, "wait", NOW / MS_PER_MINUTE)->cell.histogram));
    assert_int_equal(shard_pending_bytes(shard), 0);
    delta_free(delta);
    shard_free(shard);
}

/* FIG-35: limit 2, plans a 5, b 3, c 2, d 1: total 11, rows a 5, b 3, other 3. */
static void over_the_limit_samples_join_other(void **state)
{
    (void)state;
    struct shard_limits limits = LIMITS;
    limits.series = 2;
    struct shard *shard = shard_new(&limits, NULL, 1);
    static const char *const plans[] = {"plan:a", "plan:b", "plan:a", "plan:c", "plan:a", "plan:d",
                                        "plan:b", "plan:a", "plan:b", "plan:a", "plan:c"};
    for (size_t i = 0; i < TEST_COUNT(plans); i++)
        add(shard, tagged("signup", plans[i], 1));
    assert_int_equal(shard_series_count(shard), 3);
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->series_count, 3);
    assert_true(total_of_all(delta) == 11);
    assert_true(aggregate_sum(now_of(delta, "signup{plan=\"a\"}")) == 5);
    assert_true(aggregate_sum(now_of(delta, "signup{plan=\"b\"}")) == 3);
    assert_true(aggregate_sum(now_of(delta, "signup{__other__=\"true\"}")) == 3);
    delta_free(delta);
    shard_free(shard);
}

static void beyond_twice_the_limit_new_metrics_are_dropped(void **state)
{
    (void)state;
    struct shard_limits limits = LIMITS;
    limits.series = 3;
    struct shard *shard = shard_new(&limits, NULL, 1);
    enum reject_reason expected[10] = {REJECT_NONE, REJECT_NONE, REJECT_NONE,
                                       REJECT_NONE, REJECT_NONE, REJECT_NONE};
    char name[16];
    for (int i = 0; i < 10; i++) {
        (void)snprintf(name, sizeof name, "metric%d", i);
        if (i >= 6)
            expected[i] = REJECT_series_limit;
        const struct sample sample = sample_of(name, METRIC_COUNTER, 1);
        struct ledger ledger = {.received = 1};
        enum reject_reason why = REJECT_NONE;
        shard_add(shard, &sample, 1, NOW_US, &ledger, &why);
        assert_int_equal(why, expected[i]);
        assert_int_equal(ledger.dropped[DROP_series_limit], i >= 6); /* as the writer counts it */
        assert_true(ledger_balances(&ledger));
    }
    assert_int_equal(shard_series_count(shard), 6);
    /* A known series goes on, and a metric that has its __other__ takes new series. */
    add(shard, sample_of("metric0", METRIC_COUNTER, 1));
    add(shard, tagged("metric5", "a:1", 1));
    struct delta *delta = shard_take_delta(shard);
    assert_true(total_of_all(delta) == 8);
    delta_free(delta);
    shard_free(shard);
}

static void many_series_over_the_limit_keep_the_total(void **state)
{
    (void)state;
    struct shard_limits limits = LIMITS;
    limits.series = 100;
    limits.raw_keys = 150;
    struct shard *shard = shard_new(&limits, NULL, 1);
    uint64_t seed = 41;
    double sent = 0;
    char tags[32];
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(tags, sizeof tags, "user:%d", (int)random_below(&seed, 3000));
        add(shard, tagged("signup", tags, (double)(i % 7)));
        sent += i % 7;
    }
    assert_int_equal(shard_series_count(shard), 101);
    struct delta *delta = shard_take_delta(shard);
    assert_true(total_of_all(delta) == sent);
    delta_free(delta);
    shard_free(shard);
}

/* More raw keys than the cache takes: the memory stands still and nothing is lost. */
static void the_cache_of_raw_keys_is_bounded(void **state)
{
    (void)state;
    struct shard_limits limits = LIMITS;
    limits.raw_keys = 100;
    struct shard *shard = shard_new(&limits, NULL, 1);
    char tags[64];
    size_t bytes = 0;
    for (int i = 0; i < 50000; i++) {
        int len = snprintf(tags, sizeof tags, "b:2,a:1");
        for (int bit = 0; bit < 12; bit++) { /* a repeated tag is a new raw key */
            if ((i >> bit & 1) != 0)
                len += snprintf(tags + len, sizeof tags - (size_t)len, ",%s",
                                (i >> (bit + 1) & 1) != 0 ? "a:1" : "b:2");
        }
        add(shard, tagged("m", tags, 1));
        if (i == 1000)
            bytes = shard_size_bytes(shard);
    }
    assert_int_equal(shard_series_count(shard), 1);
    assert_int_equal(shard_size_bytes(shard), bytes);
    struct delta *delta = shard_take_delta(shard);
    assert_true(total_of_all(delta) == 50000);
    delta_free(delta);
    shard_free(shard);
}

/* Each series under every order of its tags: the aliases share one bounded cache, and once it is
 * full no more is held. */
static void permuted_tags_are_bounded(void **state)
{
    (void)state;
    enum { SERIES = 100, ORDERS = 24 };
    struct shard_limits limits = LIMITS;
    limits.series = SERIES;
    limits.raw_keys = (size_t)2 * SERIES;
    struct shard *shard = shard_new(&limits, NULL, 1);
    size_t bytes = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < SERIES * ORDERS; i++) {
            const char *pairs[] = {"a:1", "b:2", "c:3", "d:4"};
            char tags[64];
            int order = i / SERIES;
            int len = snprintf(tags, sizeof tags, "series:%d", i % SERIES);
            for (int left = 4; left > 0; left--) {
                int next = order % left;
                order /= left;
                len += snprintf(tags + len, sizeof tags - (size_t)len, ",%s", pairs[next]);
                pairs[next] = pairs[left - 1];
            }
            add(shard, tagged("m", tags, 1));
            if (round == 0 && i == 3 * SERIES) /* the cache is full */
                bytes = shard_size_bytes(shard);
        }
    }
    assert_int_equal(shard_series_count(shard), SERIES);
    assert_int_equal(shard_size_bytes(shard), bytes);
    struct delta *delta = shard_take_delta(shard);
    assert_true(total_of_all(delta) == 3.0 * SERIES * ORDERS);
    delta_free(delta);
    shard_free(shard);
}

static void series_beyond_the_cache_are_found_by_their_keys(void **state)
{
    (void)state;
    struct shard_limits limits = LIMITS;
    limits.raw_keys = 0;
    struct shard *shard = shard_new(&limits, NULL, 1);
    for (int i = 0; i < 3; i++) {
        add(shard, tagged("m", "a:1,b:2", 1));
        add(shard, tagged("m", "b:2,a:1", 1));
        add(shard, sample_of("n", METRIC_GAUGE, i));
    }
    assert_int_equal(shard_series_count(shard), 2);
    struct delta *delta = shard_take_delta(shard);
    assert_true(aggregate_sum(now_of(delta, "m{a=\"1\",b=\"2\"}")) == 6);
    assert_true(now_of(delta, "n")->last == 2);
    delta_free(delta);
    shard_free(shard);
}

static void reloads_do_not_collect_memory(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    static char names[1000][400];
    size_t bytes = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 1000; i++) {
            int len = snprintf(names[i], sizeof names[i], "metric.%d.", i);
            memset(names[i] + len, 'x', sizeof names[i] - 1 - (size_t)len);
            add(shard, sample_of(names[i], METRIC_COUNTER, 1));
        }
        delta_free(shard_take_delta(shard));
        shard_set_metrics(shard, NULL);
        if (round == 2)
            bytes = shard_size_bytes(shard);
    }
    assert_int_equal(shard_size_bytes(shard), bytes);
    shard_free(shard);
}

/* The bar is 134 bytes a counter or gauge that was touched once, key included, at the length of
 * the load generator's names; one whose values differed since then takes 40 more. */
static void a_series_takes_at_most_134_bytes(void **state)
{
    (void)state;
    enum { SERIES = 100000 };
    struct shard_limits limits = LIMITS;
    limits.series = SERIES;
    limits.raw_keys = SERIES * 4;
    struct shard *shard = shard_new(&limits, NULL, 1);
    struct ledger ledger = {.received = SERIES};
    char name[64];
    for (int i = 0; i < SERIES; i++) {
        (void)snprintf(name, sizeof name, "bench.dc1.host%03d.api.cnt%07d", i % 1000, i);
        struct sample sample = sample_of(name, METRIC_COUNTER, 1);
        shard_add(shard, &sample, 1, NOW_US, &ledger, NULL);
    }
    assert_int_equal(ledger.stored, SERIES);
    delta_free(shard_take_delta(shard));
    for (int i = 0; i < SERIES; i++) {
        (void)snprintf(name, sizeof name, "bench.dc1.host%03d.api.cnt%07d", i % 1000, i);
        struct sample sample = sample_of(name, METRIC_COUNTER, i);
        shard_add(shard, &sample, 1, NOW_US, &ledger, NULL);
    }
    assert_int_equal(shard_series_count(shard), SERIES);
    assert_true(shard_size_bytes(shard) / SERIES <= 134);
    for (int i = 0; i < SERIES; i++) {
        (void)snprintf(name, sizeof name, "bench.dc1.host%03d.api.cnt%07d", i % 1000, i);
        struct sample sample = sample_of(name, METRIC_COUNTER, -1);
        shard_add(shard, &sample, 1, NOW_US, &ledger, NULL);
    }
    assert_true(shard_size_bytes(shard) / SERIES <= 134 + 41);
    shard_free(shard);
}

/* The further raw keys of a series share what a record takes, and their texts are not kept. */
static void a_further_raw_key_takes_little(void **state)
{
    (void)state;
    enum { KEYS = 1 << 13, BITS = 13, ALIAS_BYTES = 16, SLOT_BYTES_MAX = 16, PAGE = 4096 };
    struct shard_limits limits = LIMITS;
    limits.raw_keys = KEYS;
    struct shard *shard = shard_new(&limits, NULL, 1);
    add(shard, tagged("m", "a:1,b:2", 1));
    size_t before = shard_size_bytes(shard);
    for (int i = 0; i < KEYS; i++) {
        char tags[128];
        int len = snprintf(tags, sizeof tags, "b:2,a:1");
        for (int bit = 0; bit < BITS; bit++)
            len += snprintf(tags + len, sizeof tags - (size_t)len, ",%s",
                            (i >> bit & 1) != 0 ? "a:1" : "b:2");
        add(shard, tagged("m", tags, 1));
    }
    assert_int_equal(shard_series_count(shard), 1);
    assert_true(shard_size_bytes(shard) <= before + KEYS * (ALIAS_BYTES + SLOT_BYTES_MAX) + PAGE);
    struct delta *delta = shard_take_delta(shard);
    assert_true(total_of_all(delta) == KEYS + 1);
    delta_free(delta);
    shard_free(shard);
}

/* A reload forgets raw keys; the next one is kept where the first one was. */
static void a_reload_does_not_make_a_series_larger(void **state)
{
    (void)state;
    enum { SERIES = 5000 };
    struct shard_limits limits = LIMITS;
    limits.series = SERIES;
    limits.raw_keys = SERIES;
    struct shard *shard = shard_new(&limits, NULL, 1);
    size_t bytes = 0;
    char name[32];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < SERIES; i++) {
            (void)snprintf(name, sizeof name, "name%d", i);
            add(shard, sample_of(name, METRIC_COUNTER, 1));
        }
        if (round == 0)
            bytes = shard_size_bytes(shard);
        assert_int_equal(shard_size_bytes(shard), bytes);
        shard_set_metrics(shard, NULL);
    }
    assert_int_equal(shard_series_count(shard), SERIES);
    struct delta *delta = shard_take_delta(shard);
    assert_true(total_of_all(delta) == 3.0 * SERIES);
    delta_free(delta);
    shard_free(shard);
}

/* --- listeners --- */

static void tell_active(struct room *room, const struct delta *delta)
{
    room_begin_series(room);
    for (size_t i = 0; delta != NULL && i < delta->series_count; i++)
        room_add_series(room, delta->series[i].hash);
    room_end_series(room);
}

static double value_of(const struct delta *delta, struct series_hash hash)
{
    double total = 0;
    for (size_t i = 0; i < delta->cell_count; i++)
        if (series_hash_equal(delta->series[delta->cells[i].series].hash, hash))
            total += aggregate_sum(&delta->cells[i].cell.aggregate);
    return total;
}

static void a_new_key_says_who_brought_it(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    add(shard, tagged("orders", "n:0", 1));
    shard_set_listener(shard, STR("statsd"));
    add(shard, tagged("orders", "n:0", 1));
    add(shard, tagged("orders", "n:1", 1));
    shard_set_listener(shard, STR("graphite"));
    add(shard, tagged("orders", "n:2", 1));
    add(shard, tagged("orders", "n:1", 1));
    shard_set_listener(shard, STR("statsd"));
    add(shard, tagged("orders", "n:3", 1));
    shard_set_listener(shard, STR_EMPTY);
    add(shard, tagged("orders", "n:4", 1));
    struct delta *delta = shard_take_delta(shard);
    static const char *const brought_by[] = {"", "statsd", "graphite", "statsd", ""};
    for (size_t i = 0; i < TEST_COUNT(brought_by); i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "orders{n=\"%zu\"}", i);
        assert_true(str_is(delta_listener_of(delta, series_index(delta, key)), brought_by[i]));
    }
    delta_free(delta);
    shard_free(shard);
}

static void what_a_full_listener_may_not_bring_another_one_may(void **state)
{
    (void)state;
    struct shard_limits limits = LIMITS;
    struct room *room = room_new(100);
    limits.room = room;
    struct shard *shard = shard_new(&limits, NULL, 1);
    shard_set_listener(shard, STR("statsd"));
    add(shard, tagged("orders", "n:0", 1));
    struct delta *delta = shard_take_delta(shard);
    tell_active(room, delta);
    delta_free(delta);
    assert_true(room_set_listener_full(room, STR("statsd"), true));
    for (int i = 0; i < 3; i++) {
        add(shard, tagged("orders", "n:0", 1));
        add(shard, tagged("orders", "n:1", 10));
        add(shard, tagged("orders", "n:2", 10));
    }
    assert_int_equal(shard_series_count(shard), 2);
    shard_set_listener(shard, STR("graphite"));
    for (int i = 0; i < 2; i++)
        add(shard, tagged("orders", "n:1", 100));
    assert_int_equal(shard_series_count(shard), 3);
    delta = shard_take_delta(shard);
    uint32_t other = series_index(delta, "orders{__other__=\"true\"}");
    uint32_t own = series_index(delta, "orders{n=\"1\"}");
    assert_true(str_is(delta_listener_of(delta, other), "statsd"));
    assert_true(str_is(delta_listener_of(delta, own), "graphite"));
    const struct series_hash hash = delta->series[own].hash;
    assert_true(value_of(delta, delta->series[other].hash) == 60);
    assert_true(value_of(delta, hash) == 200);
    delta_free(delta);

    /* A minute later the first one is told of it. */
    shard_set_listener(shard, STR("statsd"));
    for (int i = 0; i < 2; i++)
        assert_int_equal(add_at(shard, tagged("orders", "n:1", 7), NOW_US + 61 * INT64_C(1000000)),
                         REJECT_NONE);
    delta = shard_take_delta(shard);
    assert_true(value_of(delta, hash) == 14);
    delta_free(delta);
    shard_free(shard);
    room_free(room);
}

/* As many raw keys as there may be, over many minutes. */
static void what_a_full_listener_sends_stays_bounded(void **state)
{
    (void)state;
    struct shard_limits limits = LIMITS;
    struct room *room = room_new(100);
    size_t bytes = 0;
    limits.room = room;
    struct shard *shard = shard_new(&limits, NULL, 1);
    tell_active(room, NULL);
    assert_true(room_set_listener_full(room, STR("statsd"), true));
    for (int round = 0; round < 8; round++) {
        shard_set_listener(shard, STR("statsd"));
        for (int i = 0; i < 6000; i++) {
            char tags[16];
            (void)snprintf(tags, sizeof tags, "n:%d", i);
            assert_int_equal(
                add_at(shard, tagged("orders", tags, 1), NOW_US + round * INT64_C(60000000)),
                REJECT_NONE);
        }
        assert_int_equal(shard_series_count(shard), 1);
        struct delta *delta = shard_take_delta(shard);
        assert_true(total_of_all(delta) == 6000);
        delta_free(delta);
        if (round == 1)
            bytes = shard_size_bytes(shard);
    }
    assert_true(shard_size_bytes(shard) <= bytes);
    shard_free(shard);
    room_free(room);
}

/* There it would be one of many under one name (FIG-23). */
static void totals_that_a_full_listener_may_not_bring_are_refused(void **state)
{
    (void)state;
    struct shard_limits limits = LIMITS;
    struct room *room = room_new(100);
    struct metric_definition served = {
        .name = "served", .has_kind = true, .kind = METRIC_COUNTER, .counts_up = true};
    struct metric_table metrics = {.by_name = TABLE_EMPTY};
    assert_true(table_add(&metrics.by_name, STR("served"), &served));
    limits.room = room;
    struct shard *shard = shard_new(&limits, &metrics, 1);
    tell_active(room, NULL);
    assert_true(room_set_listener_full(room, STR("statsd"), true));
    shard_set_listener(shard, STR("statsd"));
    assert_int_equal(add_at(shard, tagged("served", "n:0", 5), NOW_US), REJECT_series_limit);
    shard_set_listener(shard, STR("graphite"));
    assert_int_equal(add_at(shard, tagged("served", "n:0", 5), NOW_US), REJECT_NONE);
    shard_free(shard);
    table_fini(&metrics.by_name);
    room_free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_further_raw_key_takes_little),
        cmocka_unit_test(a_reload_does_not_make_a_series_larger),
        cmocka_unit_test(alternating_minutes_do_not_grow),
        cmocka_unit_test(pending_bytes_follow_the_sketches),
        cmocka_unit_test(pending_bytes_follow_the_histograms),
        cmocka_unit_test(over_the_limit_samples_join_other),
        cmocka_unit_test(beyond_twice_the_limit_new_metrics_are_dropped),
        cmocka_unit_test(many_series_over_the_limit_keep_the_total),
        cmocka_unit_test(the_cache_of_raw_keys_is_bounded),
        cmocka_unit_test(permuted_tags_are_bounded),
        cmocka_unit_test(series_beyond_the_cache_are_found_by_their_keys),
        cmocka_unit_test(reloads_do_not_collect_memory),
        cmocka_unit_test(a_series_takes_at_most_134_bytes),
        cmocka_unit_test(a_new_key_says_who_brought_it),
        cmocka_unit_test(what_a_full_listener_may_not_bring_another_one_may),
        cmocka_unit_test(what_a_full_listener_sends_stays_bounded),
        cmocka_unit_test(totals_that_a_full_listener_may_not_bring_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
