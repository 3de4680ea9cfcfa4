/* Remote write with the cache of spellings: random requests of the same series again and again give
 * what they give without it, and known series are found by it whatever numbers their symbols have.
 */
#include <stdio.h>

#include "ingest/remote_symbols.h"
#include "remote_fixture.h"
#include "series/random.h"
#include "test.h"

static uint64_t random_state = 9;

static uint64_t below(uint64_t limit)
{
    return random_below(&random_state, limit);
}

static bool one_in(uint64_t count)
{
    return below(count) == 0;
}

/* --- series ----------------------------------------------------------------------------------- */

enum { LABELS_OF_ONE = 6, POOL = 80 };

struct one_series {
    struct label labels[LABELS_OF_ONE];
    size_t count;
    unsigned type; /* of 2.0 */
    bool is_histogram;
};

static const struct str NAMES[] = {{"hits", 4},  {"hits_total", 10},  {"t_bucket", 8},
                                   {"t_sum", 5}, {"temperature", 11}, {"room \xc3\xa4", 7},
                                   {"a\nb", 3}};
static const struct str KEYS[] = {{"job", 3}, {"le", 2},   {"zone", 4}, {"a", 1},
                                  {"b", 1},   {"host", 4}, {"", 0},     {"\xff", 1}};
static const struct str VALUES[] = {{"1", 1},    {"1.0", 3},   {"api", 3},  {"", 0},
                                    {"x\0y", 3}, {"hits", 4},  {"a", 1},    {"job", 3},
                                    {"b", 1},    {"eu-1b", 5}, {"+Inf", 4}, {"x\x01y", 3}};

/* Most can be stored; the others have no name, or a label twice, or such as cannot be stored. */
static struct one_series random_series(void)
{
    struct one_series series = {.type = (unsigned)below(10), .is_histogram = one_in(8)};
    bool is_good = !one_in(4);

    if (is_good || !one_in(4))
        series.labels[series.count++] =
            (struct label){STR("__name__"), NAMES[below(TEST_COUNT(NAMES) - is_good)]};
    while (series.count < 1 + below(LABELS_OF_ONE)) {
        size_t key = is_good ? series.count - 1 : below(TEST_COUNT(KEYS));
        series.labels[series.count++] =
            (struct label){KEYS[key], VALUES[below(is_good ? 4 : TEST_COUNT(VALUES))]};
    }
    if (series.count > 1 && one_in(4)) {
        struct label first = series.labels[0];
        series.labels[0] = series.labels[1];
        series.labels[1] = first;
    }
    return series;
}

/* --- requests --------------------------------------------------------------------------------- */

enum { SYMBOLS = 1000 };

/* In one request each text has its number, which is another one in the next. */
struct random_symbols {
    struct buf message;
    struct str texts[SYMBOLS];
    uint32_t count;
};

static uint32_t add_symbol(struct random_symbols *symbols, struct str text)
{
    put_text(&symbols->message, 4, text);
    symbols->texts[symbols->count] = text;
    return symbols->count++;
}

static uint32_t number_of(struct random_symbols *symbols, struct str text)
{
    for (uint32_t i = 0; i < symbols->count; i++) {
        if (str_equal(symbols->texts[i], text) && !one_in(50)) /* or once more */
            return i;
    }
    return add_symbol(symbols, text);
}

static void begin_symbols(struct random_symbols *symbols)
{
    *symbols = (struct random_symbols){.message = BUF_EMPTY};
    (void)add_symbol(symbols, STR_EMPTY);
    for (uint64_t left = below(one_in(2) ? 3 : 200); left > 0; left--)
        (void)add_symbol(symbols, one_in(2) ? STR("nobody") : VALUES[below(TEST_COUNT(VALUES))]);
}

/* As senders do it, and in all the other ways that say the same or are wrong. */
static void put_random_references(struct buf *out, struct random_symbols *symbols,
                                  const struct one_series *series)
{
    struct buf packed = BUF_EMPTY;
    bool is_odd = one_in(60);
    bool is_unpacked = one_in(30);

    for (size_t i = 0; i < 2 * series->count - (is_odd && series->count > 0); i++) {
        const struct label *label = &series->labels[i / 2];
        uint64_t number = number_of(symbols, i % 2 == 0 ? label->name : label->value);
        if (one_in(400))
            number = below(2) * UINT32_MAX + below(SYMBOLS);
        if (is_unpacked)
            put_number(out, 1, number);
        else
            buf_varint(&packed, number);
        if (one_in(200))
            put_message(out, 1, &packed);
    }
    if (!is_unpacked)
        put_message(out, 1, &packed);
    buf_fini(&packed);
}

static void put_random_sample(struct buf *out, unsigned version)
{
    static const uint64_t bits[] = {UINT64_C(0x7ff0000000000002), UINT64_C(0x7ff8000000000001),
                                    UINT64_C(0xbff0000000000000)};
    static const int64_t times[] = {NOW + MS_PER_DAY, 0, -1, NOW << 7, INT64_MAX};
    struct buf sample = BUF_EMPTY;
    int64_t at = one_in(30) ? times[below(TEST_COUNT(times))] : NOW - (int64_t)below(1000);
    bool has_start = version == 2 && one_in(2);

    if (one_in(20))
        put_number(&sample, 2, (uint64_t)at);
    if (one_in(20))
        put_bits(&sample, 1, bits[below(TEST_COUNT(bits))]);
    else
        put_double(&sample, 1, (double)below(1000));
    put_number(&sample, 2, (uint64_t)at);
    if (has_start)
        put_number(&sample, 3, (uint64_t)(one_in(8) ? (int64_t)below(NOW) : at - 50));
    put_message(out, 2, &sample);
    buf_fini(&sample);
}

static void put_values(struct buf *out, const struct one_series *series, unsigned version)
{
    struct buf histogram = BUF_EMPTY;

    for (uint64_t left = one_in(8) ? below(4) : 1; left > 0; left--) {
        if (series->is_histogram != one_in(20)) {
            put_number(&histogram, 1, 0);
            put_number(&histogram, 15, (uint64_t)NOW);
            put_message(out, version == 1 ? 4 : 3, &histogram);
        } else {
            put_random_sample(out, version);
        }
    }
    if (one_in(20))
        put_text(out, version == 1 ? 3 : 4, STR_EMPTY); /* an exemplar */
    buf_fini(&histogram);
}

static void put_metadata(struct buf *out, unsigned type)
{
    struct buf metadata = BUF_EMPTY;

    put_number(&metadata, 1, type);
    put_number(&metadata, 3, below(4));
    put_message(out, 5, &metadata);
    buf_fini(&metadata);
}

static void put_series_2(struct buf *request, struct random_symbols *symbols,
                         const struct one_series *series)
{
    struct buf out = BUF_EMPTY;
    uint64_t place = one_in(20) ? below(4) : 3; /* of the metadata; 0: none */
    unsigned type = one_in(20) ? (unsigned)below(10) : series->type;

    if (place == 1)
        put_metadata(&out, type);
    put_random_references(&out, symbols, series);
    if (place == 2)
        put_metadata(&out, type);
    put_values(&out, series, 2);
    if (place == 3)
        put_metadata(&out, type);
    if (one_in(100))
        put_random_references(&out, symbols, series);
    put_message(request, 5, &out);
    buf_fini(&out);
}

static void put_series_1(struct buf *request, const struct one_series *series)
{
    struct buf out = BUF_EMPTY;

    for (size_t i = 0; i < series->count; i++)
        put_label(&out, series->labels[i].name, series->labels[i].value);
    put_values(&out, series, 1);
    if (one_in(50))
        put_label(&out, STR("late"), STR("x"));
    put_message(request, 1, &out);
    buf_fini(&out);
}

/* Some of the pool that follow each other, as they are sent. */
static void put_request(struct buf *request, unsigned version, const struct one_series *pool)
{
    struct random_symbols symbols;
    struct buf series = BUF_EMPTY;
    uint64_t first = below(POOL);

    begin_symbols(&symbols);
    for (uint64_t i = 0; i < below(40); i++) {
        const struct one_series *one = &pool[(one_in(20) ? below(POOL) : first + i) % POOL];
        if (version == 1)
            put_series_1(&series, one);
        else
            put_series_2(&series, &symbols, one);
    }
    bool is_behind = one_in(10); /* the symbols */
    if (version == 2 && !is_behind)
        buf_str(request, buf_view(&symbols.message));
    buf_str(request, buf_view(&series));
    if (version == 2 && is_behind)
        buf_str(request, buf_view(&symbols.message));
    if (request->len > 0 && one_in(20)) /* damaged */
        request->bytes[below(request->len)] = (char)below(256);
    buf_fini(&symbols.message);
    buf_fini(&series);
}

/* --- what becomes of them --------------------------------------------------------------------- */

/* All that there is to say of it; the caller frees it. */
static char *take(struct str bytes, unsigned version, struct series_cache *cache)
{
    struct buf out = BUF_EMPTY;
    struct remote remote;

    fixture_cache = cache;
    bool ok = remote_take_as(&remote, version, bytes);
    const struct ledger *counts = &remote.body->counts;
    if (ok)
        assert_true(ledger_balances(counts));
    buf_printf(&out, "%d '%s' '%.*s' %llu %llu %llu %llu\n", remote.answer.status, remote.err.text,
               STR_ARGS(buf_view(&remote.answer.words)),
               (unsigned long long)remote.answer.counts.samples,
               (unsigned long long)remote.answer.counts.histograms,
               (unsigned long long)counts->received, (unsigned long long)counts->stored);
    if (ok) {
        char *points = remote_points(&remote);
        buf_text(&out, points);
        for (size_t i = 0; i < remote.delta->series_count; i++)
            buf_block(&out, remote.delta->series[i].key);
        free(points);
    }
    remote_fini(&remote);
    return buf_take_text(&out);
}

/* Both versions in any order, so that the types of the one are beside the spellings of the other.
 */
static void random_requests_are_the_same_with_and_without_a_cache(void **state)
{
    static const size_t sizes[] = {1 << 20, 16 * 1024, 4096};
    struct one_series pool[POOL];
    (void)state;

    for (size_t i = 0; i < POOL; i++)
        pool[i] = random_series();
    for (size_t size = 0; size < TEST_COUNT(sizes); size++) {
        struct series_cache *cache = series_cache_new(RULES.seed, sizes[size]);
        for (unsigned round = 0; round < 300; round++) {
            struct buf request = BUF_EMPTY;
            unsigned version = one_in(4) ? 1 : 2;
            put_request(&request, version, pool);
            char *without = take(buf_view(&request), version, NULL);
            char *with = take(buf_view(&request), version, cache);
            assert_string_equal(with, without);
            assert_true(series_cache_size_bytes(cache) <= sizes[size] + 4096);
            free(without);
            free(with);
            if (one_in(20))
                pool[below(POOL)] = random_series();
            if (one_in(100))
                series_cache_forget(cache);
            buf_fini(&request);
        }
        series_cache_free(cache);
    }
}

/* --- what is found ---------------------------------------------------------------------------- */

/* A cache that was not told that the rules have changed: what it knows is a gauge, anything else
 * a counter. */
struct scene {
    struct metric_definition metric;
    struct metric_table metrics;
    struct batch_rules rules;
    struct series_cache *cache;
};

static int setup(void **state)
{
    struct scene *scene = memory_zero(1, sizeof *scene);

    scene->metric =
        (struct metric_definition){.name = "up", .has_kind = true, .kind = METRIC_GAUGE};
    assert_true(table_add(&scene->metrics.by_name, STR("up"), &scene->metric));
    scene->rules = RULES;
    scene->rules.metrics = &scene->metrics;
    scene->cache = series_cache_new(RULES.seed, 1 << 20);
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;

    series_cache_free(scene->cache);
    table_fini(&scene->metrics.by_name);
    free(scene);
    return 0;
}

/* Takes a request of 2.0 and empties it: which kinds its points have, a letter each. */
static void kinds_are(struct scene *scene, struct buf *request, const char *kinds)
{
    const struct http_head head = {.encoding = HTTP_SNAPPY, .content_type = str_of(REMOTE_2)};
    uint64_t arrival = 0;
    const struct body_request what = {.head = &head,
                                      .rules = &scene->rules,
                                      .body_bytes_max = 1024 * 1024,
                                      .now_us = NOW * 1000,
                                      .last_arrival = &arrival,
                                      .cache = scene->cache};
    struct remote remote = {.answer = {.dialect = HTTP_PLAIN}};
    struct buf got = BUF_EMPTY;

    remote.body = REMOTE_BODY_FORMAT.open(&what, &remote.answer);
    assert_true(remote_take_bytes(&remote, buf_view(request)));
    remote.delta = batch_take(remote.body->batch);
    remote.body->batch = NULL;
    for (size_t i = 0; i < remote.delta->point_count; i++) {
        struct str key = remote.delta->series[remote.delta->points[i].series].key;
        buf_char(&got, metric_kind_name(series_key_kind(key))[0]);
    }
    char *text = buf_take_text(&got);
    assert_string_equal(text, kinds);
    free(text);
    remote_fini(&remote);
    buf_clear(request);
}

/* A series; references are numbers of symbols, as bytes. */
static void put_up(struct buf *request, struct str references, unsigned type)
{
    struct buf series = BUF_EMPTY;

    put_text(&series, 1, references);
    put_sample(&series, 1, NOW, 0);
    if (type != REMOTE_UNKNOWN)
        put_metadata(&series, type);
    put_message(request, 5, &series);
    buf_fini(&series);
}

static void put_symbols(struct buf *request, const char *texts)
{
    struct str rest = str_of(texts);

    put_text(request, 4, STR_EMPTY);
    while (rest.len > 0)
        put_text(request, 4, str_split(&rest, ' '));
}

static void a_known_series_is_found_whatever_numbers_its_symbols_have(void **state)
{
    struct scene *scene = *state;
    struct buf request = BUF_EMPTY;

    put_symbols(&request, "__name__ up a x b y");
    put_up(&request, STR("\1\2\3\4\5\6"), REMOTE_GAUGE);
    put_up(&request, STR("\1\2\3\6\5\4"), REMOTE_GAUGE);
    kinds_are(scene, &request, "gg");
    scene->metric.kind = METRIC_COUNTER;
    put_symbols(&request, "__name__ up a x b y");
    put_up(&request, STR("\1\2\3\4\5\6"), REMOTE_GAUGE);
    put_up(&request, STR("\1\2\3\6\5\4"), REMOTE_GAUGE);
    kinds_are(scene, &request, "gg");
    put_symbols(&request, "y x new up __name__ b a x"); /* x twice, and another order of series */
    put_up(&request, STR("\5\4\7\1\6\2"), REMOTE_GAUGE);
    put_up(&request, STR("\5\4\7\10\6\1"), REMOTE_GAUGE);
    put_up(&request, STR("\5\4\7\2\6\1"), REMOTE_GAUGE);
    kinds_are(scene, &request, "ggg");
    buf_fini(&request);
}

static void what_differs_in_anything_is_not_taken_for_it(void **state)
{
    struct scene *scene = *state;
    struct buf request = BUF_EMPTY;
    static const struct str references[] = {
        {"\1\2\3\6\5\4", 6}, {"\1\2\5\4\3\6", 6}, {"\5\6\1\2\3\4", 6}, {"\1\2\3\4", 4},
        {"\1\2", 2},         {"\1\2\3\4\5\7", 6}, {"\1\2\3\4\5\0", 6}, {"\1\2\3\4\5\6\7\6", 8}};

    put_symbols(&request, "__name__ up a x b y z");
    put_up(&request, STR("\1\2\3\4\5\6"), REMOTE_GAUGE);
    kinds_are(scene, &request, "g");
    scene->metric.kind = METRIC_COUNTER;
    put_symbols(&request, "__name__ up a x b y z");
    for (size_t i = 0; i < TEST_COUNT(references); i++)
        put_up(&request, references[i], REMOTE_GAUGE);
    for (unsigned type = 0; type < 10; type++) {
        if (type != REMOTE_GAUGE)
            put_up(&request, STR("\1\2\3\4\5\6"), type);
    }
    put_up(&request, STR("\1\2\3\4\5\6"), REMOTE_GAUGE); /* the same after all */
    kinds_are(scene, &request, "cccccccccccccccccg");
    buf_fini(&request);
}

static void references_in_several_fields_are_not_taken_for_those_in_the_first(void **state)
{
    struct scene *scene = *state;
    struct buf request = BUF_EMPTY;
    struct buf series = BUF_EMPTY;

    for (unsigned way = 0; way < 4; way++) {
        put_symbols(&request, "__name__ up a x");
        put_text(&series, 1, way == 0 ? STR_EMPTY : STR("\1\2"));
        if (way == 3) {
            put_number(&series, 1, 3);
            put_number(&series, 1, 4);
        } else {
            put_text(&series, 1, way == 0 ? STR("\1\2") : STR("\3\4"));
        }
        put_sample(&series, 1, NOW, 0);
        put_metadata(&series, REMOTE_GAUGE);
        if (way == 1)
            put_text(&series, 1, STR_EMPTY);
        put_message(&request, 5, &series);
        scene->metric.kind = METRIC_GAUGE;
        put_symbols(&series, "__name__ up a x");
        put_up(&series, STR("\1\2"), REMOTE_GAUGE);
        kinds_are(scene, &series, "g");
        scene->metric.kind = METRIC_COUNTER;
        kinds_are(scene, &request, "c");
        series_cache_forget(scene->cache);
    }
    buf_fini(&series);
    buf_fini(&request);
}

static void the_type_counts_wherever_it_is_said_and_the_last_one(void **state)
{
    struct scene *scene = *state;
    struct buf request = BUF_EMPTY;
    struct buf series = BUF_EMPTY;

    put_symbols(&request, "__name__ up");
    put_up(&request, STR("\1\2"), REMOTE_SUMMARY);
    kinds_are(scene, &request, "g");
    scene->metric.kind = METRIC_COUNTER;
    for (unsigned last = 0; last < 2; last++) {
        put_symbols(&request, "__name__ up");
        put_text(&series, 1, STR("\1\2"));
        put_metadata(&series, last == 0 ? REMOTE_SUMMARY : REMOTE_GAUGE);
        put_sample(&series, 1, NOW, 0);
        put_metadata(&series, last == 1 ? REMOTE_SUMMARY : REMOTE_GAUGE);
        put_message(&request, 5, &series);
        kinds_are(scene, &request, last == 1 ? "g" : "c");
    }
    buf_fini(&series);
    buf_fini(&request);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void what_is_not_stored_leaves_nothing_in_the_cache(void **state)
{
    struct scene *scene = *state;
    struct buf request = BUF_EMPTY;
    size_t bytes = series_cache_size_bytes(scene->cache);

    put_symbols(&request, "__name__ up a x help: and_its_words");
    put_up(&request, STR("\3\4"), REMOTE_GAUGE);         /* no name */
    put_up(&request, STR("\1\2\3\4\3\4"), REMOTE_GAUGE); /* a label twice */
    put_up(&request, STR("\1\2\3\17"), REMOTE_GAUGE);    /* no such symbol */
    put_up(&request, STR("\1\2\3"), REMOTE_GAUGE);
    kinds_are(scene, &request, "");
    assert_int_equal(series_cache_size_bytes(scene->cache), bytes);
    buf_fini(&request);
}

static void a_series_with_very_many_references_is_read_each_time(void **state)
{
    struct scene *scene = *state;
    struct buf request = BUF_EMPTY;
    struct buf references = BUF_EMPTY;

    /* Labels without a value are none, so there may be any number of them. */
    for (unsigned more = 0; more < 2; more++) {
        scene->metric.kind = METRIC_GAUGE;
        for (unsigned again = 0; again < 2; again++) {
            put_symbols(&request, "__name__ up a");
            buf_append(&references, "\1\2", 2);
            while (references.len < REMOTE_SPELT_MAX + 2 * more)
                buf_append(&references, "\3\0", 2);
            put_up(&request, buf_view(&references), REMOTE_GAUGE);
            buf_clear(&references);
            kinds_are(scene, &request, again == 1 && more == 1 ? "c" : "g");
            scene->metric.kind = METRIC_COUNTER;
        }
    }
    buf_fini(&references);
    buf_fini(&request);
}

static void a_full_cache_takes_no_more_and_stays_within_its_bytes(void **state)
{
    enum { BYTES = 64 * 1024 };
    struct scene *scene = *state;
    struct buf request = BUF_EMPTY;
    char text[300];

    series_cache_free(scene->cache);
    scene->cache = series_cache_new(RULES.seed, BYTES);
    memset(text, 'x', sizeof text);
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(text, 20, "%019u", i);
        text[19] = 'x';
        put_symbols(&request, "__name__ up a");
        put_text(&request, 4, (struct str){text, sizeof text});
        put_up(&request, STR("\1\2\3\4"), REMOTE_GAUGE);
        kinds_are(scene, &request, "g");
        assert_true(series_cache_size_bytes(scene->cache) <= BYTES);
    }
    buf_fini(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_requests_are_the_same_with_and_without_a_cache),
        cmocka_unit_test_setup_teardown(a_known_series_is_found_whatever_numbers_its_symbols_have,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_differs_in_anything_is_not_taken_for_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            references_in_several_fields_are_not_taken_for_those_in_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(the_type_counts_wherever_it_is_said_and_the_last_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_not_stored_leaves_nothing_in_the_cache, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_series_with_very_many_references_is_read_each_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_full_cache_takes_no_more_and_stays_within_its_bytes,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
