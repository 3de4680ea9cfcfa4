/* Batches: the delta of one acknowledged batch is what a shard would have made of its samples. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "series/batch.h"
#include "series/shard.h"
#include "test.h"

static const wall_ms NOW = INT64_C(1791788430000);

struct scene {
    struct metric_table metrics;
    struct metric_definition score, users;
    struct batch_rules rules;
};

static int setup(void **state)
{
    struct scene *scene = memory_zero(1, sizeof *scene);

    scene->score = (struct metric_definition){
        .name = "nps", .has_kind = true, .kind = METRIC_SCORE, .has_range = true, .range_high = 10};
    scene->users =
        (struct metric_definition){.name = "users", .has_kind = true, .kind = METRIC_UNIQUE};
    assert_true(table_add(&scene->metrics.by_name, STR("nps"), &scene->score));
    assert_true(table_add(&scene->metrics.by_name, STR("users"), &scene->users));
    scene->rules = (struct batch_rules){.metrics = &scene->metrics,
                                        .series_max = 100,
                                        .max_future = MS_PER_HOUR,
                                        .max_past = MS_PER_DAY,
                                        .seed = 3};
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

static struct batch_sample sample_of(const char *name, double value, wall_ms at)
{
    return (struct batch_sample){
        .name = str_of(name), .kind = METRIC_UNTYPED, .value = value, .at = at};
}

static enum reject_reason add(struct batch *batch, const struct batch_sample *sample)
{
    return batch_add(batch, sample, NOW, 1);
}

static void samples_become_cells_of_their_series_and_minutes(void **state)
{
    struct scene *scene = *state;
    struct batch *batch = batch_new(&scene->rules);
    const struct label labels[] = {{STR("a"), STR("1")}, {STR("b"), STR("2")}};

    for (int i = 0; i < 3; i++) {
        struct batch_sample sample = sample_of("hits", i, NOW - i * MS_PER_MINUTE);
        assert_int_equal(add(batch, &sample), REJECT_NONE);
        assert_int_equal(add(batch, &sample), REJECT_NONE);
        sample.labels = labels;
        sample.label_count = 2;
        assert_int_equal(add(batch, &sample), REJECT_NONE);
    }
    struct delta *delta = batch_take(batch);
    assert_int_equal(delta->series_count, 2);
    assert_int_equal(delta->cell_count, 6);
    assert_int_equal(delta->ledger_count, 0);
    assert_int_equal(delta->identity.kind, IDENTITY_NONE);
    for (size_t i = 0; i < delta->series_count; i++) {
        assert_true(series_key_is_valid(delta->series[i].key));
        assert_true(
            series_hash_equal(delta->series[i].hash, series_key_hash(delta->series[i].key)));
    }
    assert_true(aggregate_count(&delta->cells[0].cell.aggregate) == 2);
    delta_free(delta);
}

static void what_cannot_be_stored_says_why_and_makes_no_series(void **state)
{
    struct scene *scene = *state;
    struct batch *batch = batch_new(&scene->rules);
    struct batch_sample member = sample_of("users", 0, NOW);
    struct batch_sample text = sample_of("hits", 0, NOW);
    const struct {
        struct batch_sample sample;
        enum reject_reason reason;
    } cases[] = {
        {sample_of("", 1, NOW), REJECT_bad_name},
        {sample_of("a\nb", 1, NOW), REJECT_bad_name},
        {sample_of("hits", 1, NOW + MS_PER_HOUR + 1), REJECT_bad_time},
        {sample_of("hits", 1, NOW - MS_PER_DAY - 1), REJECT_bad_time},
        {sample_of("hits", NAN, NOW), REJECT_bad_number},
        {sample_of("hits", -INFINITY, NOW), REJECT_bad_number},
        {sample_of("nps", 11, NOW), REJECT_out_of_range},
        {sample_of("nps", 9.5, NOW), REJECT_out_of_range},
        {sample_of("nps", -1, NOW), REJECT_out_of_range},
    };

    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_int_equal(add(batch, &cases[i].sample), cases[i].reason);
    text.is_text = member.is_text = true;
    text.text = member.text = STR("ann");
    assert_int_equal(add(batch, &text), REJECT_bad_number);
    assert_int_equal(add(batch, &member), REJECT_NONE);
    struct batch_sample edge = sample_of("hits", 1, NOW + MS_PER_HOUR);
    assert_int_equal(add(batch, &edge), REJECT_NONE);
    edge.at = NOW - MS_PER_DAY;
    assert_int_equal(add(batch, &edge), REJECT_NONE);
    struct delta *delta = batch_take(batch);
    assert_int_equal(delta->series_count, 2);
    assert_int_equal(delta->cell_count, 3);
    assert_true(distinct_estimate(delta->cells[0].cell.distinct) == 1);
    delta_free(delta);
}

static void over_the_limit_samples_join_other(void **state) /* FIG-35 */
{
    struct scene *scene = *state;
    scene->rules.series_max = 2;
    struct batch *batch = batch_new(&scene->rules);
    char name[16];
    double total = 0;

    for (int i = 0; i < 5; i++) { /* one metric: its total stays right */
        char value[16];
        (void)snprintf(value, sizeof value, "%d", i);
        const struct label label = {STR("plan"), str_of(value)};
        struct batch_sample sample = sample_of("orders", i + 1, NOW);
        sample.labels = &label;
        sample.label_count = 1;
        assert_int_equal(add(batch, &sample), REJECT_NONE);
    }
    for (int i = 0; i < 3; i++) { /* and there may be as many others as there are series */
        (void)snprintf(name, sizeof name, "m%d", i);
        struct batch_sample sample = sample_of(name, 1, NOW);
        assert_int_equal(add(batch, &sample), i == 0 ? REJECT_NONE : REJECT_series_limit);
    }
    struct delta *delta = batch_take(batch);
    assert_int_equal(delta->series_count, 4);
    for (size_t i = 0; i < delta->cell_count; i++)
        total += aggregate_sum(&delta->cells[i].cell.aggregate);
    assert_true(total == 1 + 2 + 3 + 4 + 5 + 1);
    struct str other = STR_EMPTY;
    assert_true(series_key_label(delta->series[2].key, STR("__other__"), &other));
    assert_true(aggregate_sum(&delta->cells[2].cell.aggregate) == 3 + 4 + 5);
    delta_free(delta);
}

static void what_it_holds_is_told(void **state)
{
    struct scene *scene = *state;
    struct batch *batch = batch_new(&scene->rules);
    struct batch_sample sample = sample_of("users", 0, NOW);
    char member[16];

    size_t before = batch_size_bytes(batch);
    sample.is_text = true;
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(member, sizeof member, "%d", i);
        sample.text = str_of(member);
        assert_int_equal(add(batch, &sample), REJECT_NONE);
    }
    assert_true(batch_size_bytes(batch) - before >= DISTINCT_REGISTERS);
    batch_free(batch);
    batch_free(NULL);
}

/* --- beside a shard --------------------------------------------------------------------------- */

static int compare_cells(const struct delta *one, const struct delta_cell *a,
                         const struct delta *other, const struct delta_cell *b)
{
    struct str x = one->series[a->series].key;
    struct str y = other->series[b->series].key;
    return a->minute == b->minute ? str_compare(x, y) : 1;
}

static const struct delta_cell *find(const struct delta *in, const struct delta *of,
                                     const struct delta_cell *cell)
{
    for (size_t i = 0; i < in->cell_count; i++) {
        if (compare_cells(in, &in->cells[i], of, cell) == 0)
            return &in->cells[i];
    }
    fail_msg("a cell is missing");
    return NULL;
}

/* The same samples, in the same order, to both; values, series and minutes at random. */
static void a_batch_is_what_a_shard_would_have_made(void **state)
{
    struct scene *scene = *state;
    static const char *const names[] = {"nps", "users", "wait", "a", "b"};
    const struct shard_limits limits = {
        .series = 1000, .raw_keys = 1000, .max_future = MS_PER_HOUR, .max_past = MS_PER_DAY};
    uint64_t random = 42;

    for (int round = 0; round < 20; round++) {
        struct shard *shard = shard_new(&limits, &scene->metrics, 1);
        struct batch *batch = batch_new(&scene->rules);
        struct ledger ledger = {0};
        for (uint64_t i = 0; i < 500; i++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            unsigned pick = (unsigned)(random >> 40);
            struct batch_sample one = sample_of(names[pick % 5], (pick / 5) % 11,
                                                NOW - (wall_ms)(pick / 64 % 4) * MS_PER_MINUTE);
            one.kind = pick % 5 == 2 ? METRIC_DISTRIBUTION : METRIC_UNTYPED;
            one.text = STR("x");
            const struct sample same = {.name = one.name,
                                        .kind = one.kind,
                                        .value = one.value,
                                        .text = one.text,
                                        .weight = WEIGHT_ONE,
                                        .at = one.at};
            uint64_t arrival = (uint64_t)NOW * 1000 + i;
            assert_int_equal(batch_add(batch, &one, NOW, arrival), REJECT_NONE);
            shard_add(shard, &same, 1, (int64_t)arrival, &ledger, NULL);
        }
        struct delta *ours = batch_take(batch);
        struct delta *theirs = shard_take_delta(shard);
        struct buf a = BUF_EMPTY;
        struct buf b = BUF_EMPTY;
        assert_int_equal(ours->cell_count, theirs->cell_count);
        for (size_t i = 0; i < ours->cell_count; i++) {
            buf_clear(&a);
            buf_clear(&b);
            cell_encode(&ours->cells[i].cell, &a);
            cell_encode(&find(theirs, ours, &ours->cells[i])->cell, &b);
            assert_true(str_equal(buf_view(&a), buf_view(&b)));
        }
        buf_fini(&a);
        buf_fini(&b);
        delta_free(ours);
        delta_free(theirs);
        shard_free(shard);
    }
}

/* --- points --- */

static const double BOUNDS[] = {1, 2};
static const uint64_t COUNTS[] = {1, 2, 1};

static struct batch_buckets buckets_of(void)
{
    return (struct batch_buckets){.count = 4,
                                  .has_sum = true,
                                  .sum = 7,
                                  .bounds = BOUNDS,
                                  .bound_count = 2,
                                  .counts = COUNTS};
}

static struct batch_point point_of(const char *name, enum metric_kind kind,
                                   enum delta_point_form form)
{
    return (struct batch_point){.name = str_of(name),
                                .kind = kind,
                                .form = form,
                                .at = NOW,
                                .start = NOW - 1000,
                                .value = 5};
}

enum { NO_POINT = -1 };

static void the_kind_says_what_a_point_is(void **state) /* FIG-8, design 4.7 */
{
    static const struct {
        enum metric_kind kind;
        enum delta_point_form form;
        int stored; /* its form; NO_POINT: it is a sample */
    } cases[] = {
        {METRIC_COUNTER, POINT_CUMULATIVE, POINT_CUMULATIVE},
        {METRIC_COUNTER, POINT_INCREMENT, POINT_INCREMENT},
        {METRIC_COUNTER, POINT_LEVEL, POINT_CUMULATIVE},
        {METRIC_GAUGE, POINT_CUMULATIVE, POINT_LEVEL},
        {METRIC_GAUGE, POINT_INCREMENT, POINT_LEVEL},
        {METRIC_GAUGE, POINT_LEVEL, POINT_LEVEL},
        {METRIC_UNTYPED, POINT_CUMULATIVE, POINT_LEVEL},
        {METRIC_UNTYPED, POINT_INCREMENT, POINT_INCREMENT},
        {METRIC_UNTYPED, POINT_LEVEL, POINT_LEVEL},
        {METRIC_DISTRIBUTION, POINT_CUMULATIVE, NO_POINT},
        {METRIC_SCORE, POINT_LEVEL, NO_POINT},
        {METRIC_UNIQUE, POINT_INCREMENT, NO_POINT},
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        for (int declared = 0; declared < 2; declared++) {
            enum metric_kind otherwise =
                cases[i].kind == METRIC_GAUGE ? METRIC_COUNTER : METRIC_GAUGE;
            struct batch *batch = batch_new(&scene->rules);
            struct batch_point point =
                point_of("nps", declared ? otherwise : cases[i].kind, cases[i].form);
            scene->score.has_kind = declared;
            scene->score.kind = cases[i].kind;
            assert_int_equal(batch_add_point(batch, &point, NOW, 9), REJECT_NONE);
            struct delta *delta = batch_take(batch);
            assert_int_equal(series_key_kind(delta->series[0].key), cases[i].kind);
            assert_int_equal(delta->point_count, cases[i].stored != NO_POINT);
            assert_int_equal(delta->cell_count, cases[i].stored == NO_POINT);
            if (delta->point_count > 0) {
                assert_int_equal(delta->points[0].form, cases[i].stored);
                assert_true(delta->points[0].value == 5 && delta->points[0].at == NOW);
                assert_true(delta->points[0].start == NOW - 1000 && delta->points[0].arrival == 9);
            }
            delta_free(delta);
        }
    }
}

static void a_number_is_a_member_as_it_is_written(void **state)
{
    struct scene *scene = *state;
    struct batch *batch = batch_new(&scene->rules);
    struct batch_point point = point_of("users", METRIC_GAUGE, POINT_LEVEL);
    struct batch_sample text = sample_of("users", 0, NOW);

    point.value = 42;
    assert_int_equal(batch_add_point(batch, &point, NOW, 1), REJECT_NONE);
    text.is_text = true;
    text.text = STR("42");
    assert_int_equal(add(batch, &text), REJECT_NONE);
    struct delta *delta = batch_take(batch);
    assert_true(distinct_estimate(delta->cells[0].cell.distinct) == 1);
    delta_free(delta);
}

static void points_that_cannot_be_stored_say_why(void **state)
{
    static const double falling[] = {2, 1};
    struct scene *scene = *state;
    struct batch *batch = batch_new(&scene->rules);
    struct batch_buckets good = buckets_of();
    struct batch_buckets bad = buckets_of();
    struct batch_buckets without_sum = buckets_of();
    struct batch_point counter = point_of("hits", METRIC_COUNTER, POINT_CUMULATIVE);
    struct batch_point latency = point_of("latency", METRIC_DISTRIBUTION, POINT_CUMULATIVE);
    struct {
        struct batch_point point;
        enum reject_reason reason;
    } cases[14];
    size_t count = 0;

    bad.bounds = falling;
    without_sum.has_sum = false;
    latency.buckets = &good;
#define CASE(from, change, why)                                                                    \
    do {                                                                                           \
        struct batch_point point = from;                                                           \
        change;                                                                                    \
        cases[count].point = point;                                                                \
        cases[count++].reason = (why);                                                             \
    } while (0)
    CASE(counter, point.value = -1, REJECT_bad_number);
    CASE(counter, point.value = NAN, REJECT_bad_number);
    CASE(counter, (point.value = -INFINITY, point.form = POINT_INCREMENT), REJECT_bad_number);
    CASE(counter, point.name = STR(""), REJECT_bad_name);
    CASE(counter, point.at = NOW + MS_PER_HOUR + 1, REJECT_bad_time);
    CASE(counter, point.at = NOW - MS_PER_DAY - 1, REJECT_bad_time);
    CASE(counter, point.buckets = &without_sum, REJECT_bad_histogram);
    CASE(latency, point.buckets = &bad, REJECT_bad_histogram);
    CASE(latency, point.form = POINT_LEVEL, REJECT_unsupported);
    CASE(latency, point.kind = METRIC_GAUGE, REJECT_unsupported);
    CASE(latency, point.name = STR("nps"), REJECT_unsupported);
    CASE(latency, point.name = STR("users"), REJECT_unsupported);
    CASE(latency, point.at = NOW + MS_PER_HOUR + 1, REJECT_bad_time);
#undef CASE
    for (size_t i = 0; i < count; i++)
        assert_int_equal(batch_add_point(batch, &cases[i].point, NOW, 1), cases[i].reason);
    struct delta *delta = batch_take(batch);
    assert_true(delta_is_empty(delta));
    delta_free(delta);
}

static void buckets_are_kept_as_they_were_counted(void **state)
{
    struct scene *scene = *state;
    struct batch *batch = batch_new(&scene->rules);
    struct batch_buckets buckets = buckets_of();
    struct batch_point point = point_of("latency", METRIC_DISTRIBUTION, POINT_INCREMENT);
    struct cell cell = CELL_EMPTY;

    point.buckets = &buckets;
    size_t before = batch_size_bytes(batch);
    assert_int_equal(batch_add_point(batch, &point, NOW, 1), REJECT_NONE);
    assert_true(batch_size_bytes(batch) > before + 3 * sizeof(uint64_t));
    point.kind = METRIC_COUNTER; /* its sum is the counter */
    assert_int_equal(batch_add_point(batch, &point, NOW, 2), REJECT_NONE);
    struct delta *delta = batch_take(batch);
    assert_int_equal(delta->point_count, 2);
    assert_int_equal(delta->tally_count, 1);
    tally_cell(delta->points[0].tally, NOW, 1, &cell);
    assert_true(aggregate_count(&cell.aggregate) == 4 && aggregate_sum(&cell.aggregate) == 7);
    assert_true(delta->points[1].tally == NULL && delta->points[1].value == 7);
    cell_fini(&cell);
    delta_free(delta);
}

/* What is no total joins __other__; a total waits until there is room (FIG-35). */
static void over_the_limit_totals_are_refused_and_the_rest_joins_other(void **state)
{
    static const struct {
        enum metric_kind kind;
        enum delta_point_form form;
        bool has_buckets;
        enum reject_reason reason;
        double count, sum;
    } cases[] = {
        {METRIC_COUNTER, POINT_CUMULATIVE, false, REJECT_series_limit, 0, 0},
        {METRIC_COUNTER, POINT_INCREMENT, false, REJECT_NONE, 3, 15},
        {METRIC_GAUGE, POINT_LEVEL, false, REJECT_NONE, 3, 15},
        {METRIC_DISTRIBUTION, POINT_CUMULATIVE, true, REJECT_series_limit, 0, 0},
        {METRIC_DISTRIBUTION, POINT_INCREMENT, true, REJECT_NONE, 12, 21},
    };
    struct scene *scene = *state;
    struct batch_buckets buckets = buckets_of();

    scene->rules.series_max = 1;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct batch *batch = batch_new(&scene->rules);
        for (int s = 0; s < 4; s++) {
            char value[16];
            (void)snprintf(value, sizeof value, "%d", s);
            const struct label label = {STR("plan"), str_of(value)};
            struct batch_point point = point_of("orders", cases[i].kind, cases[i].form);
            point.labels = &label;
            point.label_count = 1;
            point.buckets = cases[i].has_buckets ? &buckets : NULL;
            assert_int_equal(batch_add_point(batch, &point, NOW, (uint64_t)s + 1),
                             s == 0 ? REJECT_NONE : cases[i].reason);
        }
        struct delta *delta = batch_take(batch);
        assert_int_equal(delta->point_count, 1);
        assert_int_equal(delta->cell_count, cases[i].count > 0);
        assert_int_equal(delta->series_count, cases[i].count > 0 ? 2 : 1);
        if (delta->cell_count > 0) {
            const struct aggregate *aggregate = &delta->cells[0].cell.aggregate;
            assert_true(aggregate_count(aggregate) == cases[i].count);
            assert_true(aggregate_sum(aggregate) == cases[i].sum);
        }
        delta_free(delta);
    }
}

/* It cannot be told from another one: it is a sample of its cell. */
static void increments_without_a_time_count_each_time(void **state)
{
    static const struct {
        enum metric_kind kind;
        enum delta_point_form form;
        bool has_buckets;
        bool is_sample;
    } cases[] = {
        {METRIC_COUNTER, POINT_INCREMENT, false, true},
        {METRIC_UNTYPED, POINT_INCREMENT, false, true},
        {METRIC_DISTRIBUTION, POINT_INCREMENT, true, true},
        {METRIC_COUNTER, POINT_INCREMENT, true, true},
        {METRIC_GAUGE, POINT_INCREMENT, false, false}, /* a level */
        {METRIC_COUNTER, POINT_CUMULATIVE, false, false},
        {METRIC_DISTRIBUTION, POINT_CUMULATIVE, true, false},
    };
    struct scene *scene = *state;
    struct batch_buckets buckets = buckets_of();

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct batch *batch = batch_new(&scene->rules);
        struct batch_point point = point_of("orders", cases[i].kind, cases[i].form);
        struct batch_memo memo = {.is_known = false};
        point.buckets = cases[i].has_buckets ? &buckets : NULL;
        point.at_ns = 7;
        assert_int_equal(batch_add_point_to(batch, &memo, &point, NOW, 1), REJECT_NONE);
        point.by_arrival = true;
        for (uint64_t again = 0; again < 3; again++)
            assert_int_equal(batch_add_point_to(batch, &memo, &point, NOW, again + 2), REJECT_NONE);
        struct delta *delta = batch_take(batch);
        bool has_window = cases[i].form == POINT_INCREMENT && cases[i].kind != METRIC_GAUGE;
        assert_int_equal(delta->series_count, 1);
        assert_int_equal(delta->point_count, cases[i].is_sample ? 1 : 4);
        assert_int_equal(delta->points[0].at_ns, has_window ? 7 : 0);
        assert_int_equal(delta->cell_count, cases[i].is_sample ? 1 : 0);
        if (cases[i].is_sample)
            assert_int_equal(delta_cell_samples(&delta->cells[0]), 3);
        else
            assert_true(delta->points[3].by_arrival);
        delta_free(delta);
    }
}

/* FIG-23: whatever the protocol calls them, and whatever their weight is. */
static void samples_of_a_cumulative_counter_are_totals(void **state)
{
    static const struct {
        enum metric_kind kind;
        double value;
        wall_ms at;
        enum reject_reason reason;
    } cases[] = {
        {METRIC_COUNTER, 100, NOW, REJECT_NONE},
        {METRIC_UNTYPED, 160.5, NOW - 10, REJECT_NONE},
        {METRIC_GAUGE, 0, NOW, REJECT_NONE},
        {METRIC_COUNTER, -1, NOW, REJECT_bad_number},
        {METRIC_COUNTER, 1, NOW + 2 * MS_PER_HOUR, REJECT_bad_time},
    };
    struct scene *scene = *state;
    struct metric_definition served = {
        .name = "served", .has_kind = true, .kind = METRIC_COUNTER, .counts_up = true};
    struct batch *batch = batch_new(&scene->rules);
    size_t points = 0;

    assert_true(table_add(&scene->metrics.by_name, STR("served"), &served));
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct batch_sample sample = sample_of("served", cases[i].value, cases[i].at);
        sample.kind = cases[i].kind;
        sample.weight = 3 * WEIGHT_ONE;
        assert_int_equal(batch_add(batch, &sample, NOW, i + 1), cases[i].reason);
    }
    struct batch_point increment = point_of("served", METRIC_COUNTER, POINT_INCREMENT);
    assert_int_equal(batch_add_point(batch, &increment, NOW, 9), REJECT_NONE);
    struct delta *delta = batch_take(batch);
    assert_int_equal(delta->series_count, 1);
    assert_int_equal(delta->cell_count, 0);
    assert_int_equal(delta->point_count, 4);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const struct delta_point *point = &delta->points[points];
        if (cases[i].reason != REJECT_NONE)
            continue;
        assert_int_equal(point->form, POINT_CUMULATIVE);
        assert_true(point->value == cases[i].value && point->at == cases[i].at);
        assert_int_equal(point->by_arrival, cases[i].at == NOW);
        assert_true(point->start == WALL_NONE && point->arrival == i + 1);
        points++;
    }
    assert_int_equal(delta->points[points].form, POINT_INCREMENT); /* its sender says so */
    delta_free(delta);
}

/* In __other__ they would be many under one tracker (FIG-35). */
static void over_the_limit_totals_of_samples_are_refused(void **state)
{
    struct scene *scene = *state;
    struct metric_definition served = {
        .name = "served", .has_kind = true, .kind = METRIC_COUNTER, .counts_up = true};
    struct batch *batch = batch_new(&scene->rules);
    const struct label label = {STR("n"), STR("1")};
    struct batch_sample sample = sample_of("served", 5, NOW);

    scene->rules.series_max = 1;
    assert_true(table_add(&scene->metrics.by_name, STR("served"), &served));
    assert_int_equal(add(batch, &sample), REJECT_NONE);
    sample.labels = &label;
    sample.label_count = 1;
    assert_int_equal(add(batch, &sample), REJECT_series_limit);
    struct delta *delta = batch_take(batch);
    assert_int_equal(delta->series_count, 1);
    delta_free(delta);
}

static void samples_have_weights(void **state) /* FIG-20 */
{
    struct scene *scene = *state;
    struct batch *batch = batch_new(&scene->rules);
    struct batch_sample sample = sample_of("hits", 3, NOW);

    sample.weight = WEIGHT_ONE * 5 / 2;
    for (enum metric_kind kind = METRIC_COUNTER; kind <= METRIC_DISTRIBUTION; kind++) {
        sample.kind = kind;
        assert_int_equal(add(batch, &sample), REJECT_NONE);
    }
    struct delta *delta = batch_take(batch);
    assert_true(aggregate_sum(&delta->cells[0].cell.aggregate) == 7.5);
    assert_true(aggregate_count(&delta->cells[1].cell.aggregate) == 1); /* a level is one (S7) */
    assert_true(aggregate_count(&delta->cells[2].cell.aggregate) == 2.5);
    delta_free(delta);
}

static void a_full_listener_brings_nothing_new(void **state)
{
    struct scene *scene = *state;
    struct room *room = room_new(10);
    const struct label label = {STR("n"), STR("1")};
    struct batch_sample known = sample_of("hits", 1, NOW);
    struct batch_sample new = known;
    struct batch_point total = {.name = STR("total"),
                                .kind = METRIC_COUNTER,
                                .form = POINT_CUMULATIVE,
                                .at = NOW,
                                .start = WALL_NONE,
                                .value = 5};

    new.labels = &label;
    new.label_count = 1;
    scene->rules.room = room;
    for (int round = 0; round < 3; round++) {
        scene->rules.listener = round == 2 ? STR("influx") : STR("otlp");
        struct batch *batch = batch_new(&scene->rules);
        assert_int_equal(add(batch, &known), REJECT_NONE);
        if (round > 0) {
            assert_int_equal(add(batch, &new), REJECT_NONE);
            assert_int_equal(batch_add_point(batch, &total, NOW, 2),
                             round == 1 ? REJECT_series_limit : REJECT_NONE);
        }
        struct delta *delta = batch_take(batch);
        for (size_t i = 0; i < delta->series_count; i++)
            assert_true(str_equal(delta_listener_of(delta, i), scene->rules.listener));
        assert_int_equal(delta->series_count, round + 1);
        if (round == 0) {
            room_begin_series(room);
            room_add_series(room, delta->series[0].hash);
            room_end_series(room);
            assert_true(room_set_listener_full(room, STR("otlp"), true));
        } else {
            struct buf text = BUF_EMPTY;
            series_key_format(&text, delta->series[1].key);
            assert_true(
                str_is(buf_view(&text), round == 1 ? "hits{__other__=\"true\"}" : "hits{n=\"1\"}"));
            buf_fini(&text);
        }
        delta_free(delta);
    }
    room_free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(samples_become_cells_of_their_series_and_minutes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_stored_says_why_and_makes_no_series, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(over_the_limit_samples_join_other, setup, teardown),
        cmocka_unit_test_setup_teardown(what_it_holds_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_is_what_a_shard_would_have_made, setup, teardown),
        cmocka_unit_test_setup_teardown(the_kind_says_what_a_point_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_number_is_a_member_as_it_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(points_that_cannot_be_stored_say_why, setup, teardown),
        cmocka_unit_test_setup_teardown(buckets_are_kept_as_they_were_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(over_the_limit_totals_are_refused_and_the_rest_joins_other,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(increments_without_a_time_count_each_time, setup, teardown),
        cmocka_unit_test_setup_teardown(samples_of_a_cumulative_counter_are_totals, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(over_the_limit_totals_of_samples_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(samples_have_weights, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_listener_brings_nothing_new, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
