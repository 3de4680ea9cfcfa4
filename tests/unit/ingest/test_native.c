/* Frames of kpid's own protocol: what becomes of batches, and what of those that do not fit. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "ingest/native.h"
#include "native_message.h"

static const wall_ms NOW = INT64_C(1791788430000);

static struct scene {
    struct metric_table metrics;
    struct metric_definition score, users, level;
    struct batch_rules rules;
    struct native_reader *reader;
    struct message_of message;
    struct buf bytes;
    struct native_batch batch;
    struct native_error error;
    uint64_t arrival;
    size_t held_max;
} scene;

static int setup(void **state)
{
    (void)state;
    memset(&scene, 0, sizeof scene);
    scene.score = (struct metric_definition){
        .name = "nps", .has_kind = true, .kind = METRIC_SCORE, .has_range = true, .range_high = 10};
    scene.users =
        (struct metric_definition){.name = "users", .has_kind = true, .kind = METRIC_UNIQUE};
    scene.level =
        (struct metric_definition){.name = "level", .has_kind = true, .kind = METRIC_GAUGE};
    assert_true(table_add(&scene.metrics.by_name, STR("nps"), &scene.score));
    assert_true(table_add(&scene.metrics.by_name, STR("users"), &scene.users));
    assert_true(table_add(&scene.metrics.by_name, STR("level"), &scene.level));
    scene.rules = (struct batch_rules){.metrics = &scene.metrics,
                                       .series_max = 100,
                                       .max_future = MS_PER_HOUR,
                                       .max_past = MS_PER_DAY,
                                       .seed = 3};
    scene.held_max = SIZE_MAX;
    scene.reader = native_reader_new();
    message_begin(&scene.message, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    batch_free(scene.batch.batch);
    native_reader_free(scene.reader);
    buf_fini(&scene.bytes);
    table_fini(&scene.metrics.by_name);
    return 0;
}

static bool read_bytes(struct str bytes)
{
    const struct native_request request = {.rules = &scene.rules,
                                           .held_max = scene.held_max,
                                           .now_us = NOW * 1000,
                                           .last_arrival = &scene.arrival};
    /* A copy of its own, so that a read past it is seen. */
    char *copy = memory_copy(bytes.text == NULL ? "" : bytes.text, bytes.len);
    char *exact = malloc(bytes.len == 0 ? 1 : bytes.len);
    memcpy(exact, copy, bytes.len);
    batch_free(scene.batch.batch);
    bool ok = native_read_batch(scene.reader, (struct str){exact, bytes.len}, &request,
                                &scene.batch, &scene.error);
    free(copy);
    free(exact);
    assert_true(ok == (scene.batch.batch != NULL));
    if (ok)
        assert_true(ledger_balances(&scene.batch.counts));
    return ok;
}

static bool read_message(void)
{
    buf_clear(&scene.bytes);
    message_end(&scene.message, &scene.bytes);
    return read_bytes(buf_view(&scene.bytes));
}

static struct delta *take(void)
{
    if (!read_message())
        fail_msg("%s", scene.error.words);
    struct delta *delta = batch_take(scene.batch.batch);
    scene.batch.batch = NULL;
    return delta;
}

static const struct delta_cell *cell_of_metric(const struct delta *delta, const char *metric)
{
    const struct delta_cell *found = NULL;

    for (size_t i = 0; i < delta->cell_count; i++) {
        if (str_is(series_key_metric(delta->series[delta->cells[i].series].key), metric)) {
            assert_null(found);
            found = &delta->cells[i];
        }
    }
    assert_non_null(found);
    return found;
}

static uint32_t series_of(const char *name, Kpid__V1__Kind kind, Kpid__V1__Form form)
{
    return message_series(&scene.message, name, kind, form);
}

#define COUNTER      KPID__V1__KIND__COUNTER
#define GAUGE        KPID__V1__KIND__GAUGE
#define DISTRIBUTION KPID__V1__KIND__DISTRIBUTION
#define UNIQUE       KPID__V1__KIND__UNIQUE
#define SCORE        KPID__V1__KIND__SCORE
#define UNTYPED      KPID__V1__KIND__UNTYPED
#define PLAIN        KPID__V1__FORM__PLAIN
#define CHANGE       KPID__V1__FORM__CHANGE
#define CUMULATIVE   KPID__V1__FORM__CUMULATIVE
#define INCREMENT    KPID__V1__FORM__INCREMENT

/* --- what becomes of samples -------------------------------------------------------------------
 */

static void samples_of_each_kind_become_cells(void **state)
{
    static const struct {
        const char *name;
        Kpid__V1__Kind kind;
        enum metric_kind want;
    } cases[] = {
        {"a", COUNTER, METRIC_COUNTER},           {"b", GAUGE, METRIC_GAUGE},
        {"c", DISTRIBUTION, METRIC_DISTRIBUTION}, {"d", SCORE, METRIC_SCORE},
        {"e", UNTYPED, METRIC_UNTYPED},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        uint32_t series = series_of(cases[i].name, cases[i].kind, PLAIN);
        (void)message_value(&scene.message, series, 3);
        (void)message_value(&scene.message, series, 4);
    }
    struct delta *delta = take();
    assert_int_equal(scene.batch.sequence, 1);
    assert_int_equal(scene.batch.counts.stored, 10);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const struct delta_cell *cell = cell_of_metric(delta, cases[i].name);
        assert_int_equal(series_key_kind(delta->series[cell->series].key), cases[i].want);
        assert_true(aggregate_sum(&cell->cell.aggregate) == 7);
        assert_int_equal(cell->minute, NOW / MS_PER_MINUTE);
        assert_true((cell->cell.histogram != NULL) == metric_kind_counts_values(cases[i].want));
    }
    delta_free(delta);
}

static void labels_come_in_any_order(void **state)
{
    (void)state;
    uint32_t one = series_of("hits", COUNTER, PLAIN);
    message_label(&scene.message, "plan", "pro");
    message_label(&scene.message, "country", "de");
    uint32_t other = series_of("hits", COUNTER, PLAIN);
    message_label(&scene.message, "country", "de");
    message_label(&scene.message, "plan", "pro");
    (void)message_value(&scene.message, one, 1);
    (void)message_value(&scene.message, other, 2);
    struct delta *delta = take();
    assert_int_equal(delta->series_count, 1);
    assert_true(str_equal(delta->series[0].key, STR("\1hits\0country\1de\0plan\1pro\0")));
    assert_true(aggregate_sum(&delta->cells[0].cell.aggregate) == 3);
    delta_free(delta);
}

static void times_are_differences(void **state)
{
    (void)state;
    uint32_t series = series_of("hits", COUNTER, PLAIN);
    message_at(&scene.message, series, 1, NOW);
    message_at(&scene.message, series, 2, NOW - MS_PER_MINUTE);
    message_at(&scene.message, series, 4, NOW);
    message_at(&scene.message, series, 8, INT64_MAX);
    message_at(&scene.message, series, 8, INT64_MIN);
    message_at(&scene.message, series, 16, NOW);
    struct delta *delta = take();
    assert_int_equal(delta->cell_count, 2);
    assert_true(aggregate_sum(&delta->cells[0].cell.aggregate) == 21);
    assert_true(aggregate_sum(&delta->cells[1].cell.aggregate) == 2);
    assert_int_equal(scene.batch.counts.rejected[REJECT_bad_time], 2);
    delta_free(delta);
}

static void weights_count_for_more_than_one(void **state)
{
    (void)state;
    uint32_t series = series_of("hits", COUNTER, PLAIN);
    message_weighted(&scene.message, series, 2, 10 * 65536);
    message_weighted(&scene.message, series, 3, 65536);
    message_weighted(&scene.message, series, 5, 65535);
    message_weighted(&scene.message, series, 5, 0);
    message_weighted(&scene.message, series, 5, UINT64_C(1) << 49);
    message_weighted(&scene.message, series, DBL_MAX, 2 * 65536);
    struct delta *delta = take();
    assert_true(aggregate_sum(&delta->cells[0].cell.aggregate) == 23);
    assert_true(aggregate_count(&delta->cells[0].cell.aggregate) == 11);
    assert_int_equal(scene.batch.counts.rejected[REJECT_bad_rate], 3);
    assert_int_equal(scene.batch.counts.rejected[REJECT_bad_number], 1);
    delta_free(delta);
}

static void the_weight_of_a_gauge_means_nothing(void **state)
{
    static const uint64_t weights[] = {0, 1, 65535, 10 * 65536, UINT64_C(1) << 49, UINT64_MAX};
    (void)state;
    uint32_t level = series_of("temperature", GAUGE, PLAIN);
    uint32_t declared = series_of("level", COUNTER, PLAIN); /* a gauge (FIG-8) */

    for (size_t i = 0; i < TEST_COUNT(weights); i++) {
        message_weighted(&scene.message, level, DBL_MAX, weights[i]);
        message_weighted(&scene.message, declared, 5, weights[i]);
    }
    message_weighted(&scene.message, level, NAN, 0); /* the value does */
    struct delta *delta = take();
    assert_int_equal(delta->series_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(series_key_kind(delta->series[i].key), METRIC_GAUGE);
        assert_true(aggregate_count(&delta->cells[i].cell.aggregate) == TEST_COUNT(weights));
    }
    assert_int_equal(scene.batch.counts.rejected[REJECT_bad_rate], 0);
    assert_int_equal(scene.batch.counts.rejected[REJECT_bad_number], 1);
    delta_free(delta);
}

static void a_label_with_an_empty_value_is_none(void **state)
{
    (void)state;
    uint32_t without = series_of("hits", COUNTER, PLAIN);
    uint32_t empty = series_of("hits", COUNTER, PLAIN);
    message_label(&scene.message, "e", "");
    uint32_t twice = series_of("hits", COUNTER, PLAIN);
    message_label(&scene.message, "b", "2");
    message_label(&scene.message, "e", "");
    message_label(&scene.message, "a", "1");
    message_label(&scene.message, "a", "");
    uint32_t same = series_of("hits", COUNTER, PLAIN);
    message_label(&scene.message, "a", "1");
    message_label(&scene.message, "b", "2");
    (void)message_value(&scene.message, without, 1);
    (void)message_value(&scene.message, empty, 2);
    (void)message_value(&scene.message, twice, 4);
    (void)message_value(&scene.message, same, 8);
    struct delta *delta = take();
    assert_int_equal(delta->series_count, 2);
    assert_true(aggregate_sum(&delta->cells[0].cell.aggregate) == 3);
    assert_true(aggregate_sum(&delta->cells[1].cell.aggregate) == 12);
    delta_free(delta);
}

static void members_are_counted_once_each(void **state)
{
    (void)state;
    uint32_t visitors = series_of("visitors", UNIQUE, PLAIN);
    message_member(&scene.message, visitors, "ann");
    message_member(&scene.message, visitors, "bob");
    message_member(&scene.message, visitors, "ann");
    message_member(&scene.message, visitors, "");
    struct delta *delta = take();
    assert_true(round(distinct_estimate(delta->cells[0].cell.distinct)) == 3);
    delta_free(delta);
}

static void values_of_a_metric_that_is_declared_unique_are_its_members(void **state)
{
    (void)state;
    uint32_t users = series_of("users", COUNTER, PLAIN);
    (void)message_value(&scene.message, users, 17);
    (void)message_value(&scene.message, users, 18);
    (void)message_value(&scene.message, users, 17);
    (void)message_value(&scene.message, users, NAN);
    struct delta *delta = take();
    assert_int_equal(series_key_kind(delta->series[0].key), METRIC_UNIQUE);
    assert_true(round(distinct_estimate(delta->cells[0].cell.distinct)) == 2);
    assert_int_equal(scene.batch.counts.rejected[REJECT_bad_number], 1);
    delta_free(delta);
}

static void a_declared_type_beats_the_kind(void **state) /* FIG-8 */
{
    (void)state;
    uint32_t nps = series_of("nps", GAUGE, PLAIN);
    (void)message_value(&scene.message, nps, 9);
    (void)message_value(&scene.message, nps, 11);
    (void)message_value(&scene.message, nps, 8.5);
    struct delta *delta = take();
    assert_int_equal(series_key_kind(delta->series[0].key), METRIC_SCORE);
    assert_int_equal(scene.batch.counts.stored, 1);
    assert_int_equal(scene.batch.counts.rejected[REJECT_out_of_range], 2);
    delta_free(delta);
}

static void changes_of_a_gauge_wait_for_its_level(void **state) /* S7 */
{
    (void)state;
    uint32_t change = series_of("queue", GAUGE, CHANGE);
    uint32_t level = series_of("queue", GAUGE, PLAIN);
    (void)message_value(&scene.message, change, 5);
    (void)message_value(&scene.message, change, -2);
    (void)message_value(&scene.message, level, 10);
    (void)message_value(&scene.message, change, 4);
    struct delta *delta = take();
    const struct delta_cell *cell = cell_of_metric(delta, "queue");
    assert_int_equal(cell->changes->count, 2);
    assert_true(cell->changes->total == 3);
    assert_true(cell->cell.aggregate.last == 14);
    assert_true(aggregate_count(&cell->cell.aggregate) == 2);
    assert_int_equal(scene.batch.counts.stored, 4);
    delta_free(delta);
}

static void a_change_that_leaves_no_finite_level_is_rejected(void **state)
{
    (void)state;
    uint32_t level = series_of("queue", GAUGE, PLAIN);
    uint32_t change = series_of("queue", GAUGE, CHANGE);
    (void)message_value(&scene.message, level, DBL_MAX);
    (void)message_value(&scene.message, change, DBL_MAX);
    struct delta *delta = take();
    assert_int_equal(scene.batch.counts.rejected[REJECT_bad_number], 1);
    delta_free(delta);
}

static void what_counts_up_goes_to_the_writer_as_points(void **state) /* FIG-23, O10 */
{
    (void)state;
    uint32_t total = series_of("bytes", COUNTER, CUMULATIVE);
    scene.message.series[total].start = NOW - 5000;
    uint32_t increment = series_of("requests", COUNTER, INCREMENT);
    uint32_t level = series_of("level", COUNTER, CUMULATIVE);
    message_at(&scene.message, total, 100, NOW - 1000);
    message_at(&scene.message, total, 150, NOW);
    message_at(&scene.message, increment, 7, NOW);
    message_at(&scene.message, total, -1, NOW);
    message_at(&scene.message, level, 3, NOW);
    struct delta *delta = take();
    assert_int_equal(delta->cell_count, 0);
    assert_int_equal(delta->point_count, 4);
    assert_int_equal(delta->points[0].form, POINT_CUMULATIVE);
    assert_int_equal(delta->points[0].start, NOW - 5000);
    assert_true(delta->points[1].value == 150);
    assert_int_equal(delta->points[2].form, POINT_INCREMENT);
    assert_true(delta->points[2].start == WALL_NONE);
    assert_int_equal(delta->points[3].form, POINT_LEVEL); /* declared a gauge */
    assert_int_equal(scene.batch.counts.rejected[REJECT_bad_number], 1);
    delta_free(delta);
}

static void over_the_limit_of_series_samples_join_other(void **state) /* FIG-35 */
{
    (void)state;
    scene.rules.series_max = 1;
    uint32_t one = series_of("hits", COUNTER, PLAIN);
    message_label(&scene.message, "user", "1");
    uint32_t two = series_of("hits", COUNTER, PLAIN);
    message_label(&scene.message, "user", "2");
    uint32_t total = series_of("bytes", COUNTER, CUMULATIVE);
    (void)message_value(&scene.message, one, 1);
    (void)message_value(&scene.message, two, 2);
    (void)message_value(&scene.message, two, 4);
    (void)message_value(&scene.message, total, 8);
    struct delta *delta = take();
    assert_int_equal(delta->series_count, 2);
    assert_true(aggregate_sum(&delta->cells[1].cell.aggregate) == 6);
    assert_int_equal(scene.batch.counts.dropped[DROP_series_limit], 1);
    assert_int_equal(scene.batch.example_count, 0);
    delta_free(delta);
}

/* --- what is rejected, sample by sample --------------------------------------------------------
 */

static void a_series_that_cannot_be_stored_rejects_its_samples_alone(void **state)
{
    static char long_name[METRIC_NAME_MAX + 2];
    static char long_value[LABEL_BYTES_MAX];
    static const struct {
        const char *name, *label, *value;
        Kpid__V1__Kind kind;
        Kpid__V1__Form form;
        enum reject_reason want;
    } cases[] = {
        {"", NULL, NULL, COUNTER, PLAIN, REJECT_bad_name},
        {long_name, NULL, NULL, COUNTER, PLAIN, REJECT_bad_name},
        {"a\nb", NULL, NULL, COUNTER, PLAIN, REJECT_bad_name},
        {"a\xff", NULL, NULL, COUNTER, PLAIN, REJECT_bad_name},
        {"a", "", "v", COUNTER, PLAIN, REJECT_bad_tags},
        {"a", "k", "v\1", COUNTER, PLAIN, REJECT_bad_tags},
        {"a", "k\xc3", "v", COUNTER, PLAIN, REJECT_bad_tags},
        {"a", "twice", "v", COUNTER, PLAIN, REJECT_bad_tags},
        {"a", "k", long_value, COUNTER, PLAIN, REJECT_bad_tags},
        {"a", NULL, NULL, COUNTER, CHANGE, REJECT_unsupported},
        {"a", NULL, NULL, UNTYPED, CHANGE, REJECT_unsupported},
        {"a", NULL, NULL, GAUGE, CUMULATIVE, REJECT_unsupported},
        {"a", NULL, NULL, DISTRIBUTION, INCREMENT, REJECT_unsupported},
        {"a", NULL, NULL, COUNTER, (Kpid__V1__Form)9, REJECT_unsupported},
        {"a", NULL, NULL, (Kpid__V1__Kind)99, PLAIN, REJECT_bad_type},
        {"a", NULL, NULL, (Kpid__V1__Kind)-1, PLAIN, REJECT_bad_type},
    };
    (void)state;
    memset(long_name, 'n', sizeof long_name - 1);
    memset(long_value, 'v', sizeof long_value - 1);

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        message_begin(&scene.message, 1);
        uint32_t bad = series_of(cases[i].name, cases[i].kind, cases[i].form);
        if (cases[i].label != NULL) {
            message_label(&scene.message, "twice", "w");
            message_label(&scene.message, cases[i].label, cases[i].value);
        }
        uint32_t good = series_of("good", COUNTER, PLAIN);
        (void)message_value(&scene.message, bad, 1);
        (void)message_value(&scene.message, good, 2);
        (void)message_value(&scene.message, bad, 3);
        struct delta *delta = take();
        if (scene.batch.counts.rejected[cases[i].want] != 2)
            fail_msg("case %zu", i);
        assert_int_equal(scene.batch.counts.stored, 1);
        assert_int_equal(scene.batch.example_count, 2);
        assert_int_equal(scene.batch.examples[1].sample, 2);
        assert_int_equal(scene.batch.examples[1].reason, cases[i].want);
        assert_true(scene.batch.examples[1].message[0] != '\0');
        delta_free(delta);
    }
}

static void only_the_first_examples_are_kept(void **state)
{
    (void)state;
    uint32_t series = series_of("hits", COUNTER, PLAIN);
    for (int i = 0; i < 20; i++)
        (void)message_value(&scene.message, series, i % 2 == 0 ? NAN : INFINITY);
    struct delta *delta = take();
    assert_int_equal(scene.batch.counts.rejected[REJECT_bad_number], 20);
    assert_int_equal(scene.batch.example_count, NATIVE_EXAMPLES);
    assert_int_equal(scene.batch.examples[15].sample, 15);
    delta_free(delta);
}

static void a_batch_may_be_empty(void **state)
{
    (void)state;
    struct delta *delta = take();
    assert_int_equal(scene.batch.counts.received, 0);
    delta_free(delta);
    message_begin(&scene.message, 3);
    scene.message.batch.n_symbols = 0;
    delta_free(take());
    assert_int_equal(scene.batch.sequence, 3);
}

/* --- what is refused as a whole ----------------------------------------------------------------
 */

static void expect_refused(enum native_code code, uint64_t sequence, const char *words)
{
    assert_false(read_message());
    assert_int_equal(scene.error.code, code);
    assert_int_equal(scene.error.sequence, sequence);
    if (strstr(scene.error.words, words) == NULL)
        fail_msg("'%s' is not in '%s'", words, scene.error.words);
}

static uint32_t good_message(uint64_t sequence)
{
    message_begin(&scene.message, sequence);
    uint32_t series = series_of("hits", COUNTER, PLAIN);
    (void)message_value(&scene.message, series, 1);
    (void)message_value(&scene.message, series, 2);
    return series;
}

static void columns_that_do_not_fit_refuse_the_batch(void **state)
{
    (void)state;
    Kpid__V1__Batch *batch = &scene.message.batch;

    (void)good_message(0);
    expect_refused(NATIVE_MALFORMED, 0, "no sequence");
    (void)good_message(7);
    batch->n_values = 1;
    expect_refused(NATIVE_MALFORMED, 7, "2 samples have 1 values");
    (void)good_message(7);
    batch->n_times = 3;
    expect_refused(NATIVE_MALFORMED, 7, "3 times");
    (void)good_message(7);
    batch->n_weights = 1;
    expect_refused(NATIVE_MALFORMED, 7, "1 weights");
    (void)good_message(7);
    batch->n_members = 1;
    expect_refused(NATIVE_MALFORMED, 7, "1 members");
    (void)good_message(7);
    batch->n_sample_series = 0;
    expect_refused(NATIVE_MALFORMED, 7, "0 samples have 2 values");
    (void)good_message(7);
    batch->n_values = 0;
    expect_refused(NATIVE_MALFORMED, 7, "sample 0 has no value");
    (void)good_message(7);
    batch->sample_series[1] = 1;
    expect_refused(NATIVE_MALFORMED, 7, "sample 1 is of a series");
    (void)good_message(7);
    batch->symbols[0] = (ProtobufCBinaryData){1, (uint8_t *)"x"};
    expect_refused(NATIVE_MALFORMED, 7, "the first symbol");
    (void)good_message(7);
    batch->series[0]->name = 2;
    expect_refused(NATIVE_MALFORMED, 7, "series 0");
    (void)good_message(7);
    batch->series[0]->n_labels = 1;
    expect_refused(NATIVE_MALFORMED, 7, "series 0");
    (void)good_message(7);
    batch->series[0]->n_labels = 2;
    batch->series[0]->labels[1] = 99;
    expect_refused(NATIVE_MALFORMED, 7, "series 0");
    (void)good_message(7);
    (void)series_of("v", UNIQUE, PLAIN);
    batch->sample_series[1] = 1;
    expect_refused(NATIVE_MALFORMED, 7, "sample 1 is of a UNIQUE");
    batch->n_members = 2;
    batch->members[1] = 99;
    expect_refused(NATIVE_MALFORMED, 7, "sample 1 is of a UNIQUE");
}

static void a_batch_that_makes_too_much_of_itself_is_too_large(void **state)
{
    (void)state;
    scene.held_max = 100 * 1000;
    struct buf columns = BUF_EMPTY;
    struct buf times = BUF_EMPTY;
    struct buf values = BUF_EMPTY;
    for (int i = 0; i < 3000; i++) { /* one cell each, a minute apart */
        buf_u8(&columns, 0);
        buf_double(&values, 1);
        buf_varint(&times, i == 0 ? (uint64_t)(NOW - 5000) * 2 : 60000 * 2 - 1);
    }
    (void)series_of("hits", COUNTER, PLAIN);
    struct buf batch = BUF_EMPTY;
    message_end(&scene.message, &scene.bytes);
    /* The columns behind what protobuf-c wrote: inside of the one field of the frame. */
    struct str head = buf_view(&scene.bytes);
    struct buf inner = BUF_EMPTY;
    buf_append(&inner, head.text + 2, head.len - 2);
    const struct {
        uint8_t tag;
        const struct buf *column;
    } fields[] = {{4 << 3 | 2, &columns}, {5 << 3 | 2, &values}, {6 << 3 | 2, &times}};
    for (size_t i = 0; i < 3; i++) {
        buf_u8(&inner, fields[i].tag);
        buf_varint(&inner, fields[i].column->len);
        buf_str(&inner, buf_view(fields[i].column));
    }
    buf_u8(&batch, 2 << 3 | 2);
    buf_varint(&batch, inner.len);
    buf_str(&batch, buf_view(&inner));
    scene.rules.max_past = INT64_C(1000) * MS_PER_DAY;
    assert_false(read_bytes(buf_view(&batch)));
    assert_int_equal(scene.error.code, NATIVE_TOO_LARGE);
    assert_int_equal(scene.error.sequence, 1);
    scene.held_max = SIZE_MAX;
    assert_true(read_bytes(buf_view(&batch)));
    buf_fini(&columns);
    buf_fini(&times);
    buf_fini(&values);
    buf_fini(&inner);
    buf_fini(&batch);
}

/* --- bytes -------------------------------------------------------------------------------------
 */

static void put_field(struct buf *out, unsigned field, struct str inner)
{
    buf_varint(out, field << 3 | 2);
    buf_varint(out, inner.len);
    buf_str(out, inner);
}

/* A frame with a batch of these bytes. */
static bool read_batch_of(struct str inner)
{
    struct buf frame = BUF_EMPTY;
    put_field(&frame, 2, inner);
    bool ok = read_bytes(buf_view(&frame));
    buf_fini(&frame);
    return ok;
}

static void fields_that_are_not_known_are_skipped(void **state)
{
    (void)state;
    struct buf frame = BUF_EMPTY;
    struct buf inner = BUF_EMPTY;
    (void)good_message(5);
    message_end(&scene.message, &scene.bytes);
    struct str bytes = buf_view(&scene.bytes);
    buf_append(&inner, bytes.text + 2, bytes.len - 2);
    for (unsigned i = 0; i < 300; i++) {
        put_field(&inner, 900 + i, STR("what later versions say"));
        buf_varint(&inner, (2000 + i) << 3);
        buf_varint(&inner, UINT64_MAX);
    }
    put_field(&frame, 77, STR("x"));
    put_field(&frame, 2, buf_view(&inner));
    buf_varint(&frame, 78 << 3 | 5);
    buf_u32(&frame, 1);
    assert_true(read_bytes(buf_view(&frame)));
    assert_int_equal(scene.batch.sequence, 5);
    assert_int_equal(scene.batch.counts.stored, 2);
    buf_fini(&frame);
    buf_fini(&inner);
}

/* Columns may come packed, one by one and in several pieces. */
static void columns_need_not_be_packed(void **state)
{
    (void)state;
    struct buf inner = BUF_EMPTY;
    buf_text(&inner, "\x08\x09"); /* sequence 9 */
    put_field(&inner, 2, STR(""));
    put_field(&inner, 2, STR("hits"));
    put_field(&inner, 3, STR("\x08\x01\x18\x01"));
    buf_varint(&inner, 4 << 3);
    buf_varint(&inner, 0);
    put_field(&inner, 4, STR("\0\0"));
    for (int i = 0; i < 3; i++) {
        buf_varint(&inner, 5 << 3 | 1);
        buf_double(&inner, 1 << i);
    }
    assert_true(read_batch_of(buf_view(&inner)));
    assert_int_equal(scene.batch.counts.stored, 3);
    struct delta *delta = batch_take(scene.batch.batch);
    scene.batch.batch = NULL;
    assert_true(aggregate_sum(&delta->cells[0].cell.aggregate) == 7);
    delta_free(delta);
    buf_fini(&inner);
}

static void bytes_that_are_no_batch_end_the_connection(void **state)
{
    static const struct {
        struct str bytes;
        const char *words;
    } cases[] = {
        {{"", 0}, "not a Batch"},
        {STR("GET / HTTP/1.1\r\n\r\n"), "not one message"},
        {STR("\x12"), "not one message"},
        {STR("\x12\x05\x08"), "not one message"},
        {STR("\x0a\x00"), "not a Batch"},                            /* a Hello */
        {STR("\x12\x00\x12\x00"), "not one message"},                /* two */
        {STR("\x12\x02\x08\x01\x0a\x00"), "not one message"},        /* of two kinds */
        {STR("\x10\x01"), "not a Batch"},                            /* another type */
        {STR("\x12\x02\x0a\x00"), "another type"},                   /* of the sequence */
        {STR("\x12\x03\x08\x01\x1b"), "cannot be read"},             /* a group's begin */
        {STR("\x12\x04\x1a\x02\x12\x05"), "cannot be read"},         /* cut */
        {STR("\x12\x0b\x2a\x09\0\0\0\0\0\0\0\0\0"), "another type"}, /* 9 bytes of doubles */
        {STR("\x12\x03\x22\x01\xff"), "another type"},               /* a varint's half */
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_false(read_bytes(cases[i].bytes));
        assert_int_equal(scene.error.code, NATIVE_MALFORMED);
        assert_int_equal(scene.error.sequence, 0);
        if (strstr(scene.error.words, cases[i].words) == NULL)
            fail_msg("case %zu: %s", i, scene.error.words);
    }
}

/* Messages in messages: the protocol has three levels, what is deeper is not looked at. */
static void depth_costs_nothing(void **state)
{
    (void)state;
    struct buf bytes = BUF_EMPTY;
    struct buf groups = BUF_EMPTY;
    for (int i = 0; i < 10000; i++) {
        struct buf outer = BUF_EMPTY;
        put_field(&outer, i % 2 == 0 ? 3 : 2, buf_view(&bytes));
        if (outer.len > 60000)
            i = 10000;
        buf_fini(&bytes);
        bytes = outer;
        buf_u8(&groups, 0x1b);
    }
    (void)read_bytes(buf_view(&bytes));
    (void)read_batch_of(buf_view(&bytes));
    assert_false(read_batch_of(buf_view(&groups)));
    buf_fini(&bytes);
    buf_fini(&groups);
}

static void counts_have_limits(void **state)
{
    static const struct {
        unsigned tag;
        unsigned count;
        const char *words;
    } cases[] = {
        {2 << 3 | 2, NATIVE_SYMBOLS_MAX + 1, "symbols"},
        {3 << 3 | 2, NATIVE_SERIES_MAX + 1, "series"},
        {4 << 3, NATIVE_SAMPLES_MAX + 1, "samples"},
        {4 << 3, NATIVE_SAMPLES_MAX, "bytes, unpacked"}, /* one by one */
        {99 << 3, 1000 * 1000, "bytes, unpacked"},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct buf inner = BUF_EMPTY;
        buf_text(&inner, "\x08\x07");
        for (unsigned n = 0; n < cases[i].count; n++) {
            buf_varint(&inner, cases[i].tag);
            buf_u8(&inner, 0);
        }
        assert_false(read_batch_of(buf_view(&inner)));
        assert_int_equal(scene.error.code, NATIVE_TOO_LARGE);
        assert_int_equal(scene.error.sequence, 7);
        if (strstr(scene.error.words, cases[i].words) == NULL)
            fail_msg("case %zu: %s", i, scene.error.words);
        buf_fini(&inner);
    }
}

/* --- hello -------------------------------------------------------------------------------------
 */

static bool read_hello(const char *producer, struct native_hello *hello)
{
    buf_clear(&scene.bytes);
    message_hello(producer, 12, "secret", &scene.bytes);
    return native_read_hello(scene.reader, buf_view(&scene.bytes), hello, &scene.error);
}

static void a_hello_names_the_producer(void **state)
{
    struct native_hello hello;
    (void)state;

    assert_true(read_hello("0123456789abcdef", &hello));
    assert_int_equal(hello.identity.kind, IDENTITY_PRODUCER);
    assert_true(hello.identity.name.high == UINT64_C(0x3031323334353637));
    assert_true(hello.identity.name.low == UINT64_C(0x3839616263646566));
    assert_int_equal(hello.identity.epoch, 12);
    assert_true(str_is(hello.token, "secret"));
    assert_true(str_is(hello.client, "test 1"));
    assert_true(read_hello(NULL, &hello));
    assert_int_equal(hello.identity.kind, IDENTITY_NONE);
    assert_false(read_hello("short", &hello));
    assert_int_equal(scene.error.code, NATIVE_MALFORMED);
    buf_clear(&scene.bytes);
    message_end(&scene.message, &scene.bytes);
    assert_false(native_read_hello(scene.reader, buf_view(&scene.bytes), &hello, &scene.error));
    assert_true(strstr(scene.error.words, "not a Hello") != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(samples_of_each_kind_become_cells),
        CASE(labels_come_in_any_order),
        CASE(times_are_differences),
        CASE(weights_count_for_more_than_one),
        CASE(the_weight_of_a_gauge_means_nothing),
        CASE(a_label_with_an_empty_value_is_none),
        CASE(members_are_counted_once_each),
        CASE(values_of_a_metric_that_is_declared_unique_are_its_members),
        CASE(a_declared_type_beats_the_kind),
        CASE(changes_of_a_gauge_wait_for_its_level),
        CASE(a_change_that_leaves_no_finite_level_is_rejected),
        CASE(what_counts_up_goes_to_the_writer_as_points),
        CASE(over_the_limit_of_series_samples_join_other),
        CASE(a_series_that_cannot_be_stored_rejects_its_samples_alone),
        CASE(only_the_first_examples_are_kept),
        CASE(a_batch_may_be_empty),
        CASE(columns_that_do_not_fit_refuse_the_batch),
        CASE(a_batch_that_makes_too_much_of_itself_is_too_large),
        CASE(fields_that_are_not_known_are_skipped),
        CASE(columns_need_not_be_packed),
        CASE(bytes_that_are_no_batch_end_the_connection),
        CASE(depth_costs_nothing),
        CASE(counts_have_limits),
        CASE(a_hello_names_the_producer),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
