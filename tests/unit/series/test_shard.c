#include <stdio.h>
#include <stdlib.h>

#include "base/table.h"
#include "series/random.h"
#include "series/shard.h"
#include "series/shard_test.h"
#include "test.h"

/* A model: the same samples, added one by one to aggregates. */
static void sums_are_exact_for_many_series_in_any_order(void **state)
{
    (void)state;
    enum { SERIES = 700, SAMPLES = 30000, BATCH = 37 };
    struct shard *shard = shard_new(&LIMITS, NULL, 42);
    struct aggregate *expected = calloc(SERIES, sizeof *expected);
    static char names[SERIES][24];
    struct ledger ledger = {.received = SAMPLES};
    uint64_t seed = 40;
    uint64_t arrival = (uint64_t)NOW_US;
    for (int i = 0; i < SERIES; i++)
        (void)snprintf(names[i], sizeof names[i], "metric.%d", i);
    for (int done = 0; done < SAMPLES;) {
        struct sample batch[BATCH];
        int count = SAMPLES - done < BATCH ? SAMPLES - done : BATCH;
        for (int i = 0; i < count; i++) {
            uint64_t which = random_below(&seed, SERIES);
            /* A third of the series always sends the same value. */
            double value = which % 3 == 0 ? 1 : (double)random_below(&seed, 100000) - 50000;
            batch[i] = sample_of(names[which], METRIC_DISTRIBUTION, value);
            batch[i].at = NOW + (wall_ms)random_below(&seed, MS_PER_MINUTE);
            batch[i].weight = WEIGHT_ONE * (1 + random_below(&seed, 2));
            aggregate_add(&expected[which], value, batch[i].weight, batch[i].at, arrival++);
        }
        shard_add(shard, batch, (size_t)count, NOW_US, &ledger, NULL);
        done += count;
    }
    assert_true(ledger_balances(&ledger));
    assert_int_equal(ledger.stored, SAMPLES);
    assert_int_equal(shard_series_count(shard), SERIES);
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->series_count, SERIES);
    assert_int_equal(delta->cell_count, SERIES);
    for (size_t i = 0; i < delta->cell_count; i++) {
        const struct delta_cell *cell = &delta->cells[i];
        struct str name = series_key_metric(delta->series[cell->series].key);
        uint64_t which = 0;
        assert_true(str_parse_u64((struct str){name.text + 7, name.len - 7}, &which));
        assert_memory_equal(&cell->cell.aggregate, &expected[which], sizeof expected[which]);
        assert_int_equal(cell->minute, NOW / MS_PER_MINUTE);
    }
    delta_free(delta);
    shard_free(shard);
    free(expected);
}

static void the_same_line_many_times_is_one_series(void **state)
{
    (void)state;
    enum { TIMES = 1000 };
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    struct sample samples[TIMES];
    struct ledger ledger = {.received = TIMES};
    for (int i = 0; i < TIMES; i++)
        samples[i] = tagged("hits", "route:/a", 1);
    shard_add(shard, samples, TIMES, NOW_US, &ledger, NULL);
    assert_true(ledger_balances(&ledger));
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->series_count, 1);
    assert_int_equal(delta->cell_count, 1);
    const struct aggregate *aggregate = now_of(delta, "hits{route=\"/a\"}");
    assert_true(aggregate_sum(aggregate) == TIMES);
    assert_true(aggregate_count(aggregate) == TIMES);
    assert_int_equal(aggregate->first_arrival, NOW_US);
    assert_int_equal(aggregate->last_arrival, NOW_US + TIMES - 1);
    assert_int_equal(aggregate->first_at, NOW);
    delta_free(delta);
    shard_free(shard);
}

static void permuted_tags_and_other_styles_are_one_series(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    struct sample comma = tagged("hits", "a=1,b=2,c=3", 8);
    struct sample semicolon = tagged("hits", "c=3;b=2;a=1", 16);
    comma.tag_style = TAGS_COMMA;
    semicolon.tag_style = TAGS_SEMICOLON;
    for (int round = 0; round < 2; round++) {
        add(shard, tagged("hits", "a:1,b:2,c:3", 1));
        add(shard, tagged("hits", "c:3,a:1,b:2", 2));
        add(shard, tagged("hits", "b:2,c:3,a:1,b:2", 4));
        add(shard, comma);
        add(shard, semicolon);
    }
    assert_int_equal(shard_series_count(shard), 1);
    struct delta *delta = shard_take_delta(shard);
    assert_true(aggregate_sum(now_of(delta, "hits{a=\"1\",b=\"2\",c=\"3\"}")) == 62);
    delta_free(delta);
    shard_free(shard);
}

/* Where a name ends and its tags begin, the kind and the style are part of the raw key. */
static void raw_keys_that_look_alike_are_kept_apart(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    struct sample equals = tagged("m", "a=1", 4);
    equals.tag_style = TAGS_COMMA;
    for (int round = 0; round < 2; round++) {
        add(shard, tagged("m", "a:1", 1));
        add(shard, sample_of("ma:1", METRIC_COUNTER, 2));
        add(shard, tagged("m", "a=1", 8)); /* one tag named "a=1" */
        add(shard, equals);
        add(shard, sample_of("m", METRIC_COUNTER, 16));
        add(shard, sample_of("m", METRIC_GAUGE, 32));
    }
    assert_int_equal(shard_series_count(shard), 5);
    struct delta *delta = shard_take_delta(shard);
    assert_true(aggregate_sum(now_of(delta, "m{a=\"1\"}")) == 10);
    assert_true(aggregate_sum(now_of(delta, "ma:1")) == 4);
    assert_true(aggregate_sum(now_of(delta, "m{\"a=1\"=\"true\"}")) == 16);
    delta_free(delta);
    shard_free(shard);
}

static void minutes_in_one_delta_are_cells_of_their_own_in_order(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    static const int minutes[] = {0, 2, 1, 2, -5, 0, 3, 1, 3, -5, -5};
    double expected[9] = {0};
    for (size_t i = 0; i < TEST_COUNT(minutes); i++) {
        struct sample sample = sample_of("orders", METRIC_COUNTER, (double)(i + 1));
        sample.at = NOW + minutes[i] * MS_PER_MINUTE + 59999;
        expected[minutes[i] + 5] += (double)(i + 1);
        add(shard, sample);
        add(shard, sample_of("other", METRIC_COUNTER, 1));
    }
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->cell_count, 5 + 1);
    int64_t before = INT64_MIN;
    for (size_t i = 0; i < delta->cell_count; i++) {
        if (delta->cells[i].series != series_index(delta, "orders"))
            continue;
        int64_t minute = delta->cells[i].minute - NOW / MS_PER_MINUTE;
        const struct aggregate *aggregate = &delta->cells[i].cell.aggregate;
        assert_true(minute > before);
        assert_true(aggregate_sum(aggregate) == expected[minute + 5]);
        assert_int_equal(aggregate->last_at, NOW + minute * MS_PER_MINUTE + 59999);
        before = minute;
    }
    assert_int_equal(before, 3);
    delta_free(delta);

    /* What was handed over is not handed over again. */
    delta = shard_take_delta(shard);
    assert_true(delta_is_empty(delta));
    delta_free(delta);
    shard_free(shard);
}

static void times_before_1970_fall_into_their_minute(void **state)
{
    (void)state;
    struct shard_limits limits = LIMITS;
    limits.max_past = NOW + MS_PER_DAY;
    struct shard *shard = shard_new(&limits, NULL, 1);
    struct sample sample = sample_of("m", METRIC_COUNTER, 1);
    sample.at = -1;
    add(shard, sample);
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->cells[0].minute, -1);
    assert_int_equal(delta->cells[0].cell.aggregate.last_at, -1);
    delta_free(delta);
    shard_free(shard);
}

/* FIG-3. */
static void times_outside_of_the_limits_are_rejected(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    const struct {
        wall_ms at;
        enum reject_reason expected;
    } cases[] = {
        {WALL_NONE, REJECT_NONE},
        {NOW + LIMITS.max_future, REJECT_NONE},
        {NOW + LIMITS.max_future + 1, REJECT_bad_time},
        {NOW - LIMITS.max_past, REJECT_NONE},
        {NOW - LIMITS.max_past - 1, REJECT_bad_time},
        {INT64_MAX, REJECT_bad_time},
        {WALL_NONE + 1, REJECT_bad_time},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct sample sample = sample_of("m", METRIC_COUNTER, 1);
        sample.at = cases[i].at;
        assert_int_equal(add_at(shard, sample, NOW_US), cases[i].expected);
    }
    struct sample late = sample_of("never.stored", METRIC_COUNTER, 1);
    late.at = 0;
    assert_int_equal(add_at(shard, late, NOW_US), REJECT_bad_time);
    assert_int_equal(shard_series_count(shard), 1);
    shard_free(shard);
}

/* FIG-20: 100 at rate 0.5 and 200 at 1: count 3, avg 133.3, max 200. */
static void sample_rates_weigh(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    struct sample half = sample_of("latency", METRIC_DISTRIBUTION, 100);
    half.weight = 2 * WEIGHT_ONE;
    add(shard, half);
    add(shard, sample_of("latency", METRIC_DISTRIBUTION, 200));
    struct delta *delta = shard_take_delta(shard);
    const struct aggregate *aggregate = now_of(delta, "latency");
    assert_true(aggregate_count(aggregate) == 3);
    assert_true(aggregate_sum(aggregate) == 400);
    assert_true(aggregate->max == 200);
    assert_true(aggregate->min == 100);
    delta_free(delta);
    shard_free(shard);
}

/* S7: the sample rate of a gauge is ignored. */
static void a_gauge_ignores_its_rate(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    struct sample sample = sample_of("stock", METRIC_GAUGE, 7);
    sample.weight = 10 * WEIGHT_ONE;
    add(shard, sample);
    struct delta *delta = shard_take_delta(shard);
    assert_true(aggregate_count(now_of(delta, "stock")) == 1);
    assert_true(aggregate_sum(now_of(delta, "stock")) == 7);
    delta_free(delta);
    shard_free(shard);
}

struct declared {
    struct metric_table table;
    struct metric_definition definitions[8];
};

/* "as_counter" and so on, and "rated", a score from 0 to 10. */
static void declare(struct declared *declared)
{
    static const char *const names[] = {"",          "as_counter", "as_gauge",  "as_distribution",
                                        "as_unique", "as_score",   "as_untyped"};
    *declared = (struct declared){.table = {TABLE_EMPTY}};
    for (int kind = METRIC_COUNTER; kind <= METRIC_KIND_MAX; kind++) {
        declared->definitions[kind] = (struct metric_definition){
            .name = names[kind], .has_kind = true, .kind = (enum metric_kind)kind};
        assert_true(
            table_add(&declared->table.by_name, str_of(names[kind]), &declared->definitions[kind]));
    }
    declared->definitions[7] = (struct metric_definition){.name = "rated",
                                                          .has_kind = true,
                                                          .kind = METRIC_SCORE,
                                                          .has_range = true,
                                                          .range_low = 0,
                                                          .range_high = 10};
    assert_true(table_add(&declared->table.by_name, STR("rated"), &declared->definitions[7]));
}

/* FIG-8. */
static void the_declared_type_beats_the_protocols(void **state)
{
    (void)state;
    struct declared declared;
    declare(&declared);
    static const struct {
        const char *name;
        enum metric_kind sent;
        enum sample_form form;
        const char *text;
        enum reject_reason expected;
        double count;
        double sum;
    } cases[] = {
        {"as_counter", METRIC_GAUGE, SAMPLE_VALUE, "4", REJECT_NONE, 2, 8},
        {"as_counter", METRIC_GAUGE, SAMPLE_CHANGE, "4", REJECT_NONE, 2, 8},
        {"as_counter", METRIC_DISTRIBUTION, SAMPLE_VALUE, "4", REJECT_NONE, 2, 8},
        {"as_counter", METRIC_UNIQUE, SAMPLE_VALUE, "4", REJECT_NONE, 2, 8},
        {"as_counter", METRIC_UNIQUE, SAMPLE_VALUE, "Ann", REJECT_bad_number, 0, 0},
        {"as_counter", METRIC_UNTYPED, SAMPLE_VALUE, "4", REJECT_NONE, 2, 8},
        {"as_gauge", METRIC_COUNTER, SAMPLE_VALUE, "4", REJECT_NONE, 1, 4},
        {"as_gauge", METRIC_UNTYPED, SAMPLE_VALUE, "4", REJECT_NONE, 1, 4},
        {"as_distribution", METRIC_COUNTER, SAMPLE_VALUE, "4", REJECT_NONE, 2, 8},
        {"as_distribution", METRIC_GAUGE, SAMPLE_CHANGE, "4", REJECT_NONE, 2, 8},
        {"as_unique", METRIC_COUNTER, SAMPLE_VALUE, "4", REJECT_NONE, 2, 0},
        {"as_unique", METRIC_UNIQUE, SAMPLE_VALUE, "Ann", REJECT_NONE, 2, 0},
        {"as_score", METRIC_GAUGE, SAMPLE_VALUE, "4", REJECT_NONE, 2, 8},
        {"as_untyped", METRIC_GAUGE, SAMPLE_VALUE, "4", REJECT_NONE, 2, 8},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct shard *shard = shard_new(&LIMITS, &declared.table, 1);
        struct sample sample = sample_of(cases[i].name, cases[i].sent, 4);
        sample.form = cases[i].form;
        sample.text = str_of(cases[i].text);
        sample.weight = 2 * WEIGHT_ONE;
        assert_int_equal(add_at(shard, sample, NOW_US), cases[i].expected);
        struct delta *delta = shard_take_delta(shard);
        if (cases[i].expected == REJECT_NONE) {
            const struct delta_cell *cell = cell_of(delta, cases[i].name, NOW / MS_PER_MINUTE);
            assert_true(aggregate_count(&cell->cell.aggregate) == cases[i].count);
            assert_true(aggregate_sum(&cell->cell.aggregate) == cases[i].sum);
            enum metric_kind kind = series_key_kind(delta->series[0].key);
            assert_int_equal(kind, metric_find(&declared.table, sample.name)->kind);
            assert_int_equal(cell->cell.distinct != NULL, kind == METRIC_UNIQUE);
            assert_null(cell->changes);
        } else {
            assert_true(delta_is_empty(delta));
            assert_int_equal(shard_series_count(shard), 0);
        }
        delta_free(delta);
        shard_free(shard);
    }
    table_fini(&declared.table.by_name);
}

static void two_protocol_kinds_of_a_declared_metric_are_one_series(void **state)
{
    (void)state;
    struct declared declared;
    declare(&declared);
    struct shard *shard = shard_new(&LIMITS, &declared.table, 1);
    add(shard, sample_of("as_counter", METRIC_COUNTER, 1));
    add(shard, sample_of("as_counter", METRIC_GAUGE, 2));
    add(shard, sample_of("undeclared", METRIC_COUNTER, 1));
    add(shard, sample_of("undeclared", METRIC_GAUGE, 2));
    assert_int_equal(shard_series_count(shard), 3);
    struct delta *delta = shard_take_delta(shard);
    assert_true(aggregate_sum(now_of(delta, "as_counter")) == 3);
    delta_free(delta);
    shard_free(shard);
    table_fini(&declared.table.by_name);
}

/* FIG-22. */
static void a_score_is_a_whole_number_in_its_range(void **state)
{
    (void)state;
    struct declared declared;
    declare(&declared);
    struct shard *shard = shard_new(&LIMITS, &declared.table, 1);
    static const struct {
        double value;
        enum reject_reason expected;
    } cases[] = {
        {0, REJECT_NONE},          {10, REJECT_NONE},
        {-0.0, REJECT_NONE},       {9.5, REJECT_out_of_range},
        {-1, REJECT_out_of_range}, {11, REJECT_out_of_range},
        {7, REJECT_NONE},          {1e300, REJECT_out_of_range},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_int_equal(add_at(shard, sample_of("rated", METRIC_UNTYPED, cases[i].value), NOW_US),
                         cases[i].expected);
    struct delta *delta = shard_take_delta(shard);
    assert_true(aggregate_count(now_of(delta, "rated")) == 4);
    assert_true(aggregate_sum(now_of(delta, "rated")) == 17);
    delta_free(delta);
    shard_free(shard);
    table_fini(&declared.table.by_name);
}

static struct sample change_of(const char *name, double by)
{
    struct sample sample = sample_of(name, METRIC_GAUGE, by);
    sample.form = SAMPLE_CHANGE;
    return sample;
}

/* S7: two gd:-50 of a gauge nobody has seen; only the writer knows where they start. */
static void changes_before_a_level_are_kept_apart(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    add(shard, change_of("gd", -50));
    add(shard, change_of("gd", -50));
    struct delta *delta = shard_take_delta(shard);
    const struct delta_cell *cell = cell_of(delta, "gd", NOW / MS_PER_MINUTE);
    assert_int_equal(cell->cell.aggregate.count, 0);
    assert_int_equal(cell->changes->count, 2);
    assert_true(gauge_changes_resolve(cell->changes, 0).last == -100);
    assert_true(gauge_changes_resolve(cell->changes, 30).last == -70);
    delta_free(delta);
    shard_free(shard);
}

static void changes_after_a_level_are_levels(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    add(shard, change_of("stock", 5));
    add(shard, sample_of("stock", METRIC_GAUGE, 10));
    add(shard, change_of("stock", -3));
    add(shard, change_of("stock", -3));
    struct delta *delta = shard_take_delta(shard);
    const struct delta_cell *cell = cell_of(delta, "stock", NOW / MS_PER_MINUTE);
    assert_int_equal(cell->changes->count, 1);
    assert_true(cell->changes->total == 5);
    assert_true(aggregate_count(&cell->cell.aggregate) == 3);
    assert_true(cell->cell.aggregate.last == 4);
    assert_true(cell->cell.aggregate.min == 4);
    assert_true(cell->cell.aggregate.max == 10);
    assert_true(aggregate_sum(&cell->cell.aggregate) == 21);
    delta_free(delta);

    /* The next delta's writer knows the level. */
    add(shard, change_of("stock", 1));
    delta = shard_take_delta(shard);
    assert_int_equal(delta->cells[0].cell.aggregate.count, 0);
    assert_true(delta->cells[0].changes->total == 1);
    delta_free(delta);
    shard_free(shard);
}

static void a_change_with_an_older_time_still_counts(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    struct sample level = sample_of("stock", METRIC_GAUGE, 10);
    struct sample change = change_of("stock", 5);
    level.at = NOW + 2000;
    change.at = NOW + 1000;
    add(shard, level);
    add(shard, change);
    struct delta *delta = shard_take_delta(shard);
    assert_true(now_of(delta, "stock")->last == 15);
    delta_free(delta);
    shard_free(shard);
}

static void a_change_past_the_largest_number_is_rejected(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    add(shard, sample_of("stock", METRIC_GAUGE, 1.7e308));
    assert_int_equal(add_at(shard, change_of("stock", 1.7e308), NOW_US), REJECT_bad_number);
    struct delta *delta = shard_take_delta(shard);
    assert_true(now_of(delta, "stock")->last == 1.7e308);
    delta_free(delta);
    shard_free(shard);
}

/* FIG-32: stock 5 and 7, both stamped 09:00, arriving in that order: 7. */
static void of_two_levels_with_one_time_the_later_arrival_stands(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    struct sample five = sample_of("stock", METRIC_GAUGE, 5);
    struct sample seven = sample_of("stock", METRIC_GAUGE, 7);
    five.at = seven.at = NOW;
    add(shard, five);
    add(shard, seven);
    struct delta *delta = shard_take_delta(shard);
    assert_true(now_of(delta, "stock")->last == 7);
    delta_free(delta);
    shard_free(shard);
}

static void arrivals_grow_even_when_the_clock_goes_back(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    struct sample sample = sample_of("stock", METRIC_GAUGE, 5);
    sample.at = NOW;
    assert_int_equal(add_at(shard, sample, NOW_US), REJECT_NONE);
    sample.value = 7;
    assert_int_equal(add_at(shard, sample, NOW_US - 1000000), REJECT_NONE);
    struct delta *delta = shard_take_delta(shard);
    assert_true(now_of(delta, "stock")->last == 7);
    assert_int_equal(now_of(delta, "stock")->last_arrival, NOW_US + 1);
    delta_free(delta);
    shard_free(shard);
}

/* A delta that is not fetched for hours: arrivals no longer fit the short form. */
static void a_cell_may_wait_for_hours(void **state)
{
    (void)state;
    struct shard_limits limits = LIMITS;
    limits.max_past = 10 * MS_PER_HOUR;
    struct shard *shard = shard_new(&limits, NULL, 1);
    struct sample sample = sample_of("m", METRIC_COUNTER, 1);
    sample.at = NOW;
    int64_t later = NOW_US + INT64_C(7200000000);
    assert_int_equal(add_at(shard, sample, NOW_US), REJECT_NONE);
    assert_int_equal(add_at(shard, sample, later), REJECT_NONE);
    struct delta *delta = shard_take_delta(shard);
    assert_true(aggregate_count(now_of(delta, "m")) == 2);
    assert_int_equal(now_of(delta, "m")->first_arrival, NOW_US);
    assert_int_equal(now_of(delta, "m")->last_arrival, later);
    delta_free(delta);
    shard_free(shard);
}

/* FIG-21: Ann uses basic on Monday and pro on Friday, Bo pro on Friday. */
static void uniques_are_sketches(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    add(shard, member_of("users", "plan:basic", "Ann"));
    add(shard, member_of("users", "plan:pro", "Ann"));
    add(shard, member_of("users", "plan:pro", "Bo"));
    add(shard, member_of("users", "plan:pro", "Bo"));
    struct delta *delta = shard_take_delta(shard);
    const struct delta_cell *basic = cell_of(delta, "users{plan=\"basic\"}", NOW / MS_PER_MINUTE);
    const struct delta_cell *pro = cell_of(delta, "users{plan=\"pro\"}", NOW / MS_PER_MINUTE);
    assert_true(distinct_estimate(basic->cell.distinct) == 1);
    assert_true(distinct_estimate(pro->cell.distinct) == 2);
    assert_true(aggregate_count(&pro->cell.aggregate) == 3);
    struct cell both = CELL_EMPTY;
    cell_merge(&both, &basic->cell);
    cell_merge(&both, &pro->cell);
    assert_true(distinct_estimate(both.distinct) == 2);
    cell_fini(&both);
    delta_free(delta);
    add(shard, member_of("users", "plan:pro", "Cem")); /* left to shard_free */
    shard_free(shard);
}

static void values_of_distributions_and_scores_are_counted(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    double out = 0;
    for (int i = 1; i <= 100; i++)
        add(shard, sample_of("wait", METRIC_DISTRIBUTION, i));
    for (int i = 0; i < 3; i++) {
        add(shard, sample_of("same", METRIC_DISTRIBUTION, 7));
        add(shard, sample_of("answer", METRIC_SCORE, i));
        add(shard, sample_of("stock", METRIC_GAUGE, i));
    }
    struct sample late = sample_of("same", METRIC_DISTRIBUTION, 8);
    late.at = NOW - MS_PER_MINUTE;
    add(shard, late);
    struct delta *delta = shard_take_delta(shard);
    const struct cell *wait = &cell_of(delta, "wait", NOW / MS_PER_MINUTE)->cell;
    const struct cell *same = &cell_of(delta, "same", NOW / MS_PER_MINUTE)->cell;
    const struct cell *earlier = &cell_of(delta, "same", NOW / MS_PER_MINUTE - 1)->cell;
    const struct cell *answer = &cell_of(delta, "answer", NOW / MS_PER_MINUTE)->cell;
    assert_non_null(wait->histogram);
    assert_true(histogram_count(wait->histogram) == 100 * WEIGHT_ONE);
    assert_true(cell_quantile(wait, 0.95, &out) && out >= 94.05 && out <= 95.95);
    assert_null(same->histogram); /* equal values are in the record */
    assert_true(cell_quantile(same, 0.5, &out) && out == 7);
    assert_true(cell_quantile(earlier, 0.5, &out) && out == 8);
    assert_true(cell_share_at_least(answer, 1, &out) && out == 2.0 / 3);
    assert_false(cell_of(delta, "stock", NOW / MS_PER_MINUTE)->cell.counts_values);
    delta_free(delta);
    for (int i = 0; i < 3; i++)
        add(shard, sample_of("wait", METRIC_DISTRIBUTION, i)); /* left to shard_free */
    shard_free(shard);
}

static void a_key_is_handed_over_once(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    add(shard, sample_of("b", METRIC_COUNTER, 1));
    add(shard, sample_of("a", METRIC_COUNTER, 1));
    struct delta *first = shard_take_delta(shard);
    add(shard, sample_of("c", METRIC_COUNTER, 1));
    add(shard, sample_of("a", METRIC_COUNTER, 1));
    add(shard, sample_of("d", METRIC_COUNTER, 1));
    struct delta *second = shard_take_delta(shard);
    add(shard, sample_of("b", METRIC_COUNTER, 1));
    struct delta *third = shard_take_delta(shard);

    assert_int_equal(first->series_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(series_key_is_valid(first->series[i].key));
        assert_true(
            series_hash_equal(series_key_hash(first->series[i].key), first->series[i].hash));
    }
    assert_int_equal(second->series_count, 3);
    for (size_t i = 0; i < 3; i++) {
        bool known =
            series_hash_equal(second->series[i].hash, first->series[series_index(first, "a")].hash);
        assert_int_equal(second->series[i].key.len == 0, known);
        if (!known)
            assert_true(
                series_hash_equal(series_key_hash(second->series[i].key), second->series[i].hash));
    }
    assert_int_equal(third->series_count, 1);
    assert_int_equal(third->series[0].key.len, 0);
    assert_true(
        series_hash_equal(third->series[0].hash, first->series[series_index(first, "b")].hash));
    delta_free(first);
    delta_free(second);
    delta_free(third);
    shard_free(shard);
}

/* The store may have forgotten a series that nobody heard of for months. */
static void a_series_unheard_for_a_day_brings_its_key_again(void **state)
{
    (void)state;
    const int64_t day_us = INT64_C(1000) * MS_PER_DAY;
    const struct shard_limits limits = {
        .series = 1, .raw_keys = 10, .max_future = LIMITS.max_future, .max_past = LIMITS.max_past};
    struct shard *shard = shard_new(&limits, NULL, 1);
    const struct sample samples[] = {tagged("a", "x:1", 1), tagged("a", "x:2", 1)};
    struct ledger ledger = {0};

    shard_add(shard, samples, 2, NOW_US, &ledger, NULL);
    struct delta *first = shard_take_delta(shard);
    assert_int_equal(first->series_count, 2); /* the second one is __other__ */
    shard_add(shard, samples, 2, NOW_US + day_us / 2, &ledger, NULL);
    struct delta *soon = shard_take_delta(shard);
    assert_int_equal(soon->series[0].key.len + soon->series[1].key.len, 0);
    shard_add(shard, samples, 2, NOW_US + 2 * day_us, &ledger, NULL);
    struct delta *late = shard_take_delta(shard);
    assert_int_equal(late->series_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(series_hash_equal(series_key_hash(late->series[i].key), late->series[i].hash));
        assert_true(str_equal(late->series[i].key, first->series[i].key) ||
                    str_equal(late->series[i].key, first->series[1 - i].key));
    }
    assert_true(series_hash_equal(late->series[0].hash, first->series[0].hash) ||
                series_hash_equal(late->series[0].hash, first->series[1].hash));
    delta_free(first);
    delta_free(soon);
    delta_free(late);
    shard_free(shard);
}

static void a_rejected_sample_leaves_the_others(void **state)
{
    (void)state;
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    struct sample samples[7] = {
        sample_of("good", METRIC_COUNTER, 1),
        sample_of("", METRIC_COUNTER, 1),
        sample_of("ba\nd", METRIC_COUNTER, 1),
        tagged("good", "a:1,a:2", 1),
        tagged("good", ":1", 1),
        sample_of("good", METRIC_COUNTER, 2),
        sample_of("good", METRIC_COUNTER, 4),
    };
    samples[6].at = 0;
    static const enum reject_reason expected[7] = {
        REJECT_NONE,     REJECT_bad_name, REJECT_bad_name, REJECT_bad_tags,
        REJECT_bad_tags, REJECT_NONE,     REJECT_bad_time};
    enum reject_reason why[7];
    struct ledger ledger = {.received = 7};
    shard_add(shard, samples, 7, NOW_US, &ledger, why);
    assert_memory_equal(why, expected, sizeof why);
    assert_true(ledger_balances(&ledger));
    assert_int_equal(ledger.stored, 2);
    assert_int_equal(ledger.rejected[REJECT_bad_tags], 2);
    assert_int_equal(ledger.rejected[REJECT_bad_name], 2);
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->series_count, 1);
    assert_true(aggregate_sum(now_of(delta, "good")) == 3);
    delta_free(delta);
    shard_free(shard);
}

/* A reload in the middle of everything: what is pending stays, what comes is of the new types. */
static void new_metrics_apply_from_then_on(void **state)
{
    (void)state;
    struct declared declared;
    declare(&declared);
    struct shard *shard = shard_new(&LIMITS, NULL, 1);
    struct sample older = sample_of("plain", METRIC_COUNTER, 3);
    older.at = NOW - MS_PER_MINUTE;
    add(shard, sample_of("as_gauge", METRIC_COUNTER, 1));
    add(shard, tagged("plain", "a:1", 7));
    add(shard, sample_of("plain", METRIC_COUNTER, 1));
    delta_free(shard_take_delta(shard));
    add(shard, sample_of("plain", METRIC_COUNTER, 2));
    add(shard, older);
    add(shard, sample_of("new", METRIC_COUNTER, 5));

    shard_set_metrics(shard, &declared.table);
    assert_int_equal(shard_series_count(shard), 4);
    add(shard, sample_of("as_gauge", METRIC_COUNTER, 9));
    add(shard, sample_of("plain", METRIC_COUNTER, 4));
    add(shard, sample_of("new", METRIC_COUNTER, 6));
    assert_int_equal(shard_series_count(shard), 5);
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->series_count, 3);
    assert_true(aggregate_sum(now_of(delta, "new")) == 11);
    assert_int_equal(series_key_kind(delta->series[series_index(delta, "as_gauge")].key),
                     METRIC_GAUGE);
    assert_true(total_of_all(delta) == 2 + 3 + 5 + 9 + 4 + 6);
    assert_int_equal(delta->cell_count, 4);
    delta_free(delta);
    shard_free(shard);
    table_fini(&declared.table.by_name);
}

/* Everything together against a model that knows nothing of groups, caches and short forms. */
static void a_long_mixed_run_agrees_with_a_plain_model(void **state)
{
    (void)state;
    enum { SERIES = 40, MINUTES = 3, ROUNDS = 60 };
    struct shard *shard = shard_new(&LIMITS, NULL, 7);
    static struct aggregate expected[SERIES][MINUTES];
    static struct aggregate received[SERIES][MINUTES];
    struct series_hash hashes[SERIES];
    char names[SERIES][16];
    uint64_t seed = 44;
    memset(expected, 0, sizeof expected);
    memset(received, 0, sizeof received);
    for (int i = 0; i < SERIES; i++) {
        struct buf key = BUF_EMPTY;
        (void)snprintf(names[i], sizeof names[i], "m%d", i);
        series_key_write(&key, METRIC_COUNTER, str_of(names[i]), NULL, 0);
        hashes[i] = series_key_hash(buf_view(&key));
        buf_fini(&key);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct sample samples[100];
        struct ledger ledger = {.received = 100};
        for (int i = 0; i < 100; i++) {
            uint64_t which = random_below(&seed, SERIES);
            uint64_t minute = random_below(&seed, MINUTES);
            samples[i] = sample_of(names[which], METRIC_COUNTER, (double)random_below(&seed, 2));
            samples[i].at = NOW + (wall_ms)minute * MS_PER_MINUTE + round;
            aggregate_add(&expected[which][minute], samples[i].value, WEIGHT_ONE, samples[i].at,
                          (uint64_t)(NOW_US + round * 100 + i));
        }
        shard_add(shard, samples, 100, NOW_US, &ledger, NULL);
        assert_true(ledger_balances(&ledger));
        if (random_below(&seed, 3) != 0 && round + 1 < ROUNDS)
            continue;
        struct delta *delta = shard_take_delta(shard);
        for (size_t c = 0; c < delta->cell_count; c++) {
            const struct delta_cell *cell = &delta->cells[c];
            size_t which = 0;
            while (!series_hash_equal(hashes[which], delta->series[cell->series].hash))
                which++;
            aggregate_merge(&received[which][cell->minute - NOW / MS_PER_MINUTE],
                            &cell->cell.aggregate);
        }
        delta_free(delta);
    }
    assert_memory_equal(received, expected, sizeof expected);
    shard_free(shard);
}

/* Samples come while a hand-over is under way: each is in one of its parts or in the next one, and
 * each series is in one part of a hand-over only. */
static void a_hand_over_in_parts_has_every_sample_once(void **state)
{
    (void)state;
    enum { SERIES = 60, ROUNDS = 12, BETWEEN = 20, PART = 7 };
    struct shard *shard = shard_new(&LIMITS, NULL, 7);
    struct ledger ledger = {0};
    uint64_t seed = 9;
    double sent = 0;
    double received = 0;
    size_t keys = 0;

    for (int round = 0; round < ROUNDS; round++) {
        bool is_over = false;
        bool seen[SERIES] = {false};
        size_t parts = 0;
        while (!is_over) {
            struct delta *delta = delta_new();
            for (int i = 0; i < BETWEEN; i++) {
                char name[16];
                uint64_t which = random_below(&seed, SERIES);
                (void)snprintf(name, sizeof name, "m%d", (int)which);
                enum metric_kind kind = which % 3 == 0 ? METRIC_DISTRIBUTION : METRIC_COUNTER;
                struct sample sample = sample_of(name, kind, (double)random_below(&seed, 9));
                sample.at = NOW + (wall_ms)random_below(&seed, 3) * MS_PER_MINUTE;
                shard_add(shard, &sample, 1, NOW_US, &ledger, NULL);
                sent += sample.value;
            }
            size_t waiting = shard_waiting_cells(shard);
            is_over = shard_hand_over(shard, PART, delta);
            assert_true(delta->cell_count <= PART + 2);
            assert_true(delta->cell_count <= waiting);
            for (size_t i = 0; i < delta->series_count; i++) {
                struct str key = delta->series[i].key;
                keys += key.len > 0;
                if (key.len == 0)
                    continue;
                uint64_t which = 0;
                struct str name = series_key_metric(key);
                assert_true(str_parse_u64((struct str){name.text + 1, name.len - 1}, &which));
                assert_false(seen[which]);
                seen[which] = true;
            }
            received += total_of_all(delta);
            delta_free(delta);
            parts++;
        }
        assert_true(parts > 1);
    }
    struct delta *rest = shard_take_delta(shard);
    received += total_of_all(rest);
    keys += rest->key_count;
    delta_free(rest);
    assert_true(received == sent);
    assert_int_equal(keys, shard_series_count(shard));
    assert_int_equal(shard_pending_bytes(shard), 0);
    shard_free(shard);
}

/* A counter's or gauge's cell whose values differ is kept in pieces; together they are what
 * aggregate_add makes, to the bit. */
static void differing_values_are_kept_as_an_aggregate_keeps_them(void **state)
{
    (void)state;
    enum { RUNS = 400, SAMPLES = 40 };
    static const enum metric_kind kinds[] = {METRIC_COUNTER, METRIC_GAUGE, METRIC_UNTYPED};
    uint64_t seed = 11;
    for (int run = 0; run < RUNS; run++) {
        struct shard *shard = shard_new(&LIMITS, NULL, 1);
        struct aggregate expected = AGGREGATE_EMPTY;
        enum metric_kind kind = kinds[run % 3];
        uint64_t count = 1 + random_below(&seed, SAMPLES);
        for (uint64_t i = 0; i < count; i++) {
            struct sample sample =
                sample_of("m", kind, ((double)random_below(&seed, 2000) - 1000) / 100);
            int64_t arrival = NOW_US + (int64_t)i;
            sample.at = NOW + (wall_ms)random_below(&seed, run % 2 == 0 ? 4 : 60000);
            sample.weight =
                random_below(&seed, 3) > 0 ? WEIGHT_ONE : 1 + random_below(&seed, 1000000);
            assert_int_equal(add_at(shard, sample, arrival), REJECT_NONE);
            aggregate_add(&expected, sample.value,
                          kind == METRIC_GAUGE ? WEIGHT_ONE : sample.weight, sample.at,
                          (uint64_t)arrival);
        }
        struct delta *delta = shard_take_delta(shard);
        assert_int_equal(delta->cell_count, 1);
        assert_memory_equal(&delta->cells[0].cell.aggregate, &expected, sizeof expected);
        assert_int_equal(shard_pending_bytes(shard), 0);
        delta_free(delta);
        shard_free(shard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_exact_for_many_series_in_any_order),
        cmocka_unit_test(the_same_line_many_times_is_one_series),
        cmocka_unit_test(permuted_tags_and_other_styles_are_one_series),
        cmocka_unit_test(raw_keys_that_look_alike_are_kept_apart),
        cmocka_unit_test(minutes_in_one_delta_are_cells_of_their_own_in_order),
        cmocka_unit_test(times_before_1970_fall_into_their_minute),
        cmocka_unit_test(times_outside_of_the_limits_are_rejected),
        cmocka_unit_test(sample_rates_weigh),
        cmocka_unit_test(a_gauge_ignores_its_rate),
        cmocka_unit_test(the_declared_type_beats_the_protocols),
        cmocka_unit_test(two_protocol_kinds_of_a_declared_metric_are_one_series),
        cmocka_unit_test(a_score_is_a_whole_number_in_its_range),
        cmocka_unit_test(changes_before_a_level_are_kept_apart),
        cmocka_unit_test(changes_after_a_level_are_levels),
        cmocka_unit_test(a_change_with_an_older_time_still_counts),
        cmocka_unit_test(a_change_past_the_largest_number_is_rejected),
        cmocka_unit_test(of_two_levels_with_one_time_the_later_arrival_stands),
        cmocka_unit_test(arrivals_grow_even_when_the_clock_goes_back),
        cmocka_unit_test(a_cell_may_wait_for_hours),
        cmocka_unit_test(uniques_are_sketches),
        cmocka_unit_test(values_of_distributions_and_scores_are_counted),
        cmocka_unit_test(a_key_is_handed_over_once),
        cmocka_unit_test(a_series_unheard_for_a_day_brings_its_key_again),
        cmocka_unit_test(a_rejected_sample_leaves_the_others),
        cmocka_unit_test(new_metrics_apply_from_then_on),
        cmocka_unit_test(a_long_mixed_run_agrees_with_a_plain_model),
        cmocka_unit_test(differing_values_are_kept_as_an_aggregate_keeps_them),
        cmocka_unit_test(a_hand_over_in_parts_has_every_sample_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
