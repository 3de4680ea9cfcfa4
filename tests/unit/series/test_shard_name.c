/* Rules of mapping where samples are taken: shards and batches. */
#include <stdlib.h>

#include "series/batch.h"
#include "series/mapping.h"
#include "series/shard.h"
#include "test.h"

static const struct shard_limits LIMITS = {
    .series = 3, .raw_keys = 100, .max_future = MS_PER_HOUR, .max_past = MS_PER_DAY};
enum { NOW_MINUTE = 29000000 };
static const int64_t NOW_US = (int64_t)NOW_MINUTE * MS_PER_MINUTE * 1000;

static const struct label ORDER_LABELS[] = {{STR("site"), STR("$1")}};
static const struct mapping_rule RULES[] = {
    {.match = "shop.*.orders", .name = "orders", .labels = ORDER_LABELS, .label_count = 1},
    {.match = "debug.**", .drop = true},
    {.match = "vote.*", .name = "nps"},
    {.match = "long.*", .name = ""},
};

struct scene {
    struct metric_table metrics;
    struct metric_definition nps;
    struct mapping *mapping;
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);

    scene->nps = (struct metric_definition){
        .name = "nps", .has_kind = true, .kind = METRIC_SCORE, .has_range = true, .range_high = 10};
    (void)table_add(&scene->metrics.by_name, STR("nps"), &scene->nps);
    scene->mapping = mapping_new(RULES, TEST_COUNT(RULES));
    scene->metrics.mapping = scene->mapping;
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;

    mapping_free(scene->mapping);
    table_fini(&scene->metrics.by_name);
    free(scene);
    return 0;
}

static struct sample sample_of(const char *name, const char *tags, double value)
{
    return (struct sample){.name = str_of(name),
                           .tags = str_of(tags),
                           .tag_style = tags[0] == '\0' ? TAGS_NONE : TAGS_COLON,
                           .kind = METRIC_COUNTER,
                           .value = value,
                           .weight = WEIGHT_ONE,
                           .at = WALL_NONE};
}

/* What was added up under a key, as series_key_format writes it; -1: there is none. */
static double sum_of(const struct delta *delta, const char *key)
{
    for (size_t i = 0; i < delta->cell_count; i++) {
        struct buf text = BUF_EMPTY;
        series_key_format(&text, delta->series[delta->cells[i].series].key);
        bool is_it = str_is(buf_view(&text), key);
        buf_fini(&text);
        if (is_it)
            return aggregate_sum(&delta->cells[i].cell.aggregate);
    }
    return -1;
}

static void a_shard_calls_series_by_the_rules(void **state)
{
    struct scene *scene = *state;
    struct shard *shard = shard_new(&LIMITS, &scene->metrics, 1);
    const struct sample samples[] = {
        sample_of("shop.de.orders", "", 1),
        sample_of("orders", "site:de", 2),
        sample_of("shop.de.orders", "site:fr", 4),
        sample_of("debug.x.y", "", 8),
        sample_of("debug.x.y", "", 8),
        sample_of("debug.z", "a:b", 8),
        sample_of("vote.web", "", 10),
        sample_of("vote.web", "", 11),
        sample_of("long.x", "", 1),
    };
    enum { COUNT = TEST_COUNT(samples) };
    enum reject_reason why[COUNT];
    struct ledger ledger = {.received = 2 * COUNT};

    shard_add(shard, samples, COUNT, NOW_US, &ledger, why); /* as new keys, then as known ones */
    shard_add(shard, samples, COUNT, NOW_US, &ledger, why);
    assert_true(ledger_balances(&ledger));
    assert_int_equal(ledger.stored, 8);
    assert_int_equal(ledger.dropped[DROP_unwanted], 6);
    assert_int_equal(ledger.rejected[REJECT_out_of_range], 2);
    assert_int_equal(ledger.rejected[REJECT_bad_name], 2);
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->series_count, 3);
    assert_true(sum_of(delta, "orders{site=\"de\"}") == 6);
    assert_true(sum_of(delta, "orders{site=\"fr\"}") == 8);
    assert_true(sum_of(delta, "nps") == 20);
    delta_free(delta);
    shard_free(shard);
}

/* S13, D7, D8, G8: nobody could ask for it. */
static void what_is_not_utf8_is_rejected_each_time_and_leaves_nothing(void **state)
{
    struct scene *scene = *state;
    const struct metric_table *tables[] = {NULL, &scene->metrics};
    const struct sample samples[] = {
        sample_of("gr\xc3\xb6\xc3\x9f"
                  "e",
                  "stra\xc3\x9f"
                  "e:\xe2\x82\xac",
                  1),
        sample_of("n\xff", "", 2),
        sample_of("shop.\xc3.orders", "", 2),
        sample_of("debug.\xff", "", 2), /* a rule would drop it */
        sample_of("m", "a:\xff", 4),
        sample_of("m", "a\xff:1", 4),
        sample_of("m", "\xc3", 4),
    };
    enum { COUNT = TEST_COUNT(samples) };

    for (size_t i = 0; i < TEST_COUNT(tables); i++) {
        struct shard *shard = shard_new(&LIMITS, tables[i], 1);
        struct ledger ledger = {.received = 3 * COUNT};
        for (int round = 0; round < 3; round++)
            shard_add(shard, samples, COUNT, NOW_US, &ledger, NULL);
        assert_true(ledger_balances(&ledger));
        assert_int_equal(ledger.stored, 3);
        assert_int_equal(ledger.rejected[REJECT_bad_name], 9);
        assert_int_equal(ledger.rejected[REJECT_bad_tags], 9);
        struct delta *delta = shard_take_delta(shard);
        assert_int_equal(delta->series_count, 1);
        assert_true(sum_of(delta, "gr\xc3\xb6\xc3\x9f"
                                  "e{stra\xc3\x9f"
                                  "e=\"\xe2\x82\xac\"}") == 3);
        delta_free(delta);
        shard_free(shard);
    }
}

static void a_tag_without_a_value_is_true_and_an_empty_one_is_none(void **state) /* D7 */
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    const struct sample samples[] = {
        sample_of("m", "", 1), sample_of("m", "e:", 2), sample_of("m", "urgent", 4),
        sample_of("m", "urgent:true,e:", 8), sample_of("m", "urgent:1", 16)};
    struct ledger ledger = {.received = 5};

    shard_add(shard, samples, 5, NOW_US, &ledger, NULL);
    assert_int_equal(ledger.stored, 5);
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->series_count, 3);
    assert_true(sum_of(delta, "m") == 3);
    assert_true(sum_of(delta, "m{urgent=\"true\"}") == 12);
    assert_true(sum_of(delta, "m{urgent=\"1\"}") == 16);
    delta_free(delta);
    shard_free(shard);
}

static void what_is_over_the_limit_joins_other_of_the_mapped_name(void **state)
{
    struct scene *scene = *state;
    const struct shard_limits limits = {
        .series = 1, .raw_keys = 100, .max_future = MS_PER_HOUR, .max_past = MS_PER_DAY};
    struct shard *shard = shard_new(&limits, &scene->metrics, 1);
    const struct sample samples[] = {sample_of("shop.de.orders", "", 1),
                                     sample_of("shop.fr.orders", "", 2),
                                     sample_of("shop.at.orders", "", 4)};
    struct ledger ledger = {.received = 3};

    shard_add(shard, samples, 3, NOW_US, &ledger, NULL);
    struct delta *delta = shard_take_delta(shard);
    assert_true(sum_of(delta, "orders{site=\"de\"}") == 1);
    assert_true(sum_of(delta, "orders{__other__=\"true\"}") == 6);
    delta_free(delta);
    shard_free(shard);
}

static void new_rules_are_asked_again(void **state)
{
    struct scene *scene = *state;
    struct metric_table plain = {.by_name = TABLE_EMPTY};
    struct shard *shard = shard_new(&LIMITS, &scene->metrics, 1);
    const struct sample samples[] = {sample_of("debug.x", "", 1),
                                     sample_of("shop.de.orders", "", 2)};
    struct ledger ledger = {.received = 4};

    shard_add(shard, samples, 2, NOW_US, &ledger, NULL);
    shard_set_metrics(shard, &plain);
    shard_add(shard, samples, 2, NOW_US, &ledger, NULL);
    assert_int_equal(ledger.dropped[DROP_unwanted], 1);
    struct delta *delta = shard_take_delta(shard);
    assert_true(sum_of(delta, "debug.x") == 1);
    assert_true(sum_of(delta, "shop.de.orders") == 2);
    assert_true(sum_of(delta, "orders{site=\"de\"}") == 2);
    delta_free(delta);
    shard_free(shard);
}

static void a_batch_calls_them_the_same(void **state)
{
    struct scene *scene = *state;
    const struct batch_rules rules = {.metrics = &scene->metrics,
                                      .series_max = 10,
                                      .max_future = MS_PER_HOUR,
                                      .max_past = MS_PER_DAY,
                                      .seed = 1};
    struct batch *batch = batch_new(&rules);
    wall_ms now = NOW_US / 1000;
    struct batch_sample sample = {
        .name = STR("shop.de.orders"), .kind = METRIC_COUNTER, .value = 1, .at = now};
    struct batch_memo memo = {.is_known = false};
    const struct batch_point point = {.name = STR("shop.de.orders"),
                                      .kind = METRIC_COUNTER,
                                      .form = POINT_CUMULATIVE,
                                      .value = 5,
                                      .at = now,
                                      .start = WALL_NONE};

    assert_int_equal(batch_add(batch, &sample, now, 1), REJECT_NONE);
    assert_int_equal(batch_add_to(batch, &memo, &sample, now, 2), REJECT_NONE);
    assert_int_equal(batch_add_to(batch, &memo, &sample, now, 3), REJECT_NONE);
    assert_int_equal(batch_add_point(batch, &point, now, 4), REJECT_NONE);
    sample.name = STR("debug.x");
    assert_int_equal(batch_add(batch, &sample, now, 5), REJECT_NONE);
    sample.name = STR("vote.x");
    sample.value = 11;
    assert_int_equal(batch_add(batch, &sample, now, 6), REJECT_out_of_range);
    assert_int_equal(batch_kind(&rules, STR("vote.x"), METRIC_GAUGE), METRIC_SCORE);
    assert_int_equal(batch_unwanted(batch), 1);
    struct delta *delta = batch_take(batch);
    assert_int_equal(delta->series_count, 1);
    assert_int_equal(delta->point_count, 1);
    assert_true(sum_of(delta, "orders{site=\"de\"}") == 3);
    delta_free(delta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_shard_calls_series_by_the_rules, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_utf8_is_rejected_each_time_and_leaves_nothing,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tag_without_a_value_is_true_and_an_empty_one_is_none,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_over_the_limit_joins_other_of_the_mapped_name,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(new_rules_are_asked_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_batch_calls_them_the_same, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
