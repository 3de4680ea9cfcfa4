/* The cache of spellings: what it knows, what it takes, and that batches with it are what they are
 * without it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "random.h"
#include "series/batch.h"
#include "series/mapping.h"
#include "test.h"

static const wall_ms NOW = INT64_C(1791788430000);

enum { SEED = 7, LARGE = 64 << 20 };

static struct str key_of(struct buf *out, unsigned number)
{
    char value[16];
    (void)snprintf(value, sizeof value, "%u", number);
    const struct label label = {STR("n"), str_of(value)};
    series_key_write(out, METRIC_COUNTER, STR("orders"), &label, 1);
    return buf_view(out);
}

static struct cached_series *add_series(struct series_cache *cache, unsigned number)
{
    struct buf key = BUF_EMPTY;
    key_of(&key, number);
    struct cached_series *series = series_cache_add_series(cache, number % 1000, buf_view(&key),
                                                           series_key_hash(buf_view(&key)));
    buf_fini(&key);
    return series;
}

static struct spelling spelling_of(uint64_t context, const char *head, const char *bytes)
{
    return (struct spelling){.context = context, .head = str_of(head), .bytes = str_of(bytes)};
}

/* What is found is the number that was added with it; -1: nothing. */
static int find(struct series_cache *cache, struct spelling spelling)
{
    struct cached_meaning found;
    return series_cache_find(cache, &spelling, &found) ? found.note : -1;
}

static void add(struct series_cache *cache, struct spelling spelling, unsigned char note)
{
    struct cached_meaning meaning;

    assert_false(series_cache_find(cache, &spelling, &meaning));
    meaning = (struct cached_meaning){
        .series = add_series(cache, note), .kind = METRIC_GAUGE, .note = note};
    series_cache_add(cache, &spelling, &meaning);
}

/* --- spellings -------------------------------------------------------------------------------- */

static void only_all_of_a_spelling_is_it(void **state)
{
    (void)state;
    struct series_cache *cache = series_cache_new(SEED, LARGE);
    struct spelling spelling = spelling_of(1, "ab", "cd");
    struct cached_meaning found;

    add(cache, spelling, 5);
    assert_true(series_cache_find(cache, &spelling, &found));
    assert_int_equal(found.kind, METRIC_GAUGE);
    assert_int_equal(found.note, 5);
    assert_null(found.metric);
    assert_true(str_is(cached_series_metric(found.series), "orders"));
    assert_int_equal(find(cache, spelling_of(2, "ab", "cd")), -1);
    assert_int_equal(find(cache, spelling_of(0, "ab", "cd")), -1);
    assert_int_equal(find(cache, spelling_of(1, "a", "bcd")), -1);
    assert_int_equal(find(cache, spelling_of(1, "abc", "d")), -1);
    assert_int_equal(find(cache, spelling_of(1, "ab", "c")), -1);
    assert_int_equal(find(cache, spelling_of(1, "ab", "cde")), -1);
    assert_int_equal(find(cache, spelling_of(1, "", "")), -1);
    assert_int_equal(find(cache, spelling_of(1, "ab", "cd")), 5);
    add(cache, spelling_of(1, "", ""), 6); /* nothing at all is a spelling too */
    assert_int_equal(find(cache, spelling_of(1, "", "")), 6);
    series_cache_free(cache);
    series_cache_free(NULL);
}

static void of_another_version_it_is_made_anew_in_its_place(void **state)
{
    (void)state;
    struct series_cache *cache = series_cache_new(SEED, LARGE);
    struct spelling spelling = spelling_of(1, "", "up");

    add(cache, spelling, 1);
    spelling.version = 2;
    add(cache, spelling, 2);
    size_t bytes = series_cache_size_bytes(cache);
    assert_int_equal(find(cache, spelling), 2);
    spelling.version = 1;
    assert_int_equal(find(cache, spelling), -1);
    spelling.version = 3;
    struct cached_meaning meaning;
    assert_false(series_cache_find(cache, &spelling, &meaning));
    meaning = (struct cached_meaning){.series = add_series(cache, 3), .note = 3};
    size_t added = series_cache_size_bytes(cache) - bytes;
    series_cache_add(cache, &spelling, &meaning);
    assert_int_equal(series_cache_size_bytes(cache) - bytes, added);
    assert_int_equal(find(cache, spelling), 3);
    series_cache_free(cache);
}

static void what_followed_last_time_is_found_without_its_end(void **state)
{
    (void)state;
    struct series_cache *cache = series_cache_new(SEED, LARGE);
    struct cached_meaning found;
    size_t len = 0;
    const struct spelling rest = spelling_of(1, "", "two and more");

    assert_false(series_cache_find_next(cache, &rest, &found, &len));
    add(cache, spelling_of(1, "", "one"), 1);
    add(cache, spelling_of(1, "", "two"), 2);
    add(cache, spelling_of(1, "", "three"), 3);
    assert_int_equal(find(cache, spelling_of(1, "", "one")), 1);
    struct spelling other = rest;
    other.context = 2;
    assert_false(series_cache_find_next(cache, &other, &found, &len));
    other = rest;
    other.version = 1;
    assert_false(series_cache_find_next(cache, &other, &found, &len));
    other = rest;
    other.bytes.len = 2; /* the rest of it is not there */
    assert_false(series_cache_find_next(cache, &other, &found, &len));
    assert_true(series_cache_find_next(cache, &rest, &found, &len));
    assert_int_equal(found.note, 2);
    assert_int_equal(len, 3);
    assert_false(series_cache_find_next(cache, &rest, &found, &len)); /* then comes three */
    assert_int_equal(find(cache, spelling_of(1, "", "one")), 1);      /* now one follows two */
    assert_int_equal(find(cache, spelling_of(1, "", "three")), 3);    /* and three one */
    assert_int_equal(find(cache, spelling_of(1, "", "one")), 1);
    const struct spelling three = spelling_of(1, "", "three");
    assert_true(series_cache_find_next(cache, &three, &found, &len));
    series_cache_free(cache);
}

static void what_followed_last_time_may_be_looked_at_first(void **state)
{
    (void)state;
    struct series_cache *cache = series_cache_new(SEED, LARGE);
    struct spelling spelling = spelling_of(1, "up", "");
    struct cached_meaning found;

    assert_null(series_cache_peek(cache, &spelling).text);
    add(cache, spelling_of(1, "up", "one"), 1);
    add(cache, spelling_of(1, "up", "two"), 2);
    add(cache, spelling_of(1, "up", ""), 3);
    assert_null(series_cache_peek(cache, &spelling).text); /* nothing followed it */
    assert_int_equal(find(cache, spelling_of(1, "up", "one")), 1);
    spelling.context = 2;
    assert_null(series_cache_peek(cache, &spelling).text);
    spelling = spelling_of(1, "u", "");
    assert_null(series_cache_peek(cache, &spelling).text);
    spelling = spelling_of(1, "up", "");
    spelling.version = 1;
    assert_null(series_cache_peek(cache, &spelling).text);
    spelling.version = 0;
    assert_true(str_is(series_cache_peek(cache, &spelling), "two"));
    assert_true(str_is(series_cache_peek(cache, &spelling), "two")); /* nothing was taken */
    series_cache_take_next(cache, &found);
    assert_int_equal(found.note, 2);
    assert_non_null(series_cache_peek(cache, &spelling).text); /* no bytes are bytes too */
    assert_int_equal(series_cache_peek(cache, &spelling).len, 0);
    series_cache_take_next(cache, &found);
    assert_int_equal(found.note, 3);
    series_cache_forget(cache);
    assert_null(series_cache_peek(cache, &spelling).text);
    series_cache_free(cache);
}

/* So many that hashes of 32 bits are the same again and again. */
static void spellings_whose_hashes_are_the_same_are_told_apart(void **state)
{
    (void)state;
    enum { COUNT = 200 * 1000 };
    struct series_cache *cache = series_cache_new(SEED, LARGE);
    struct cached_series *series[2] = {add_series(cache, 0), add_series(cache, 1)};
    char text[16];
    struct cached_meaning meaning;

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            (void)snprintf(text, sizeof text, "%u", (i * 7919) % COUNT);
            struct spelling spelling = spelling_of(1, "", text);
            bool is_known = series_cache_find(cache, &spelling, &meaning);
            assert_int_equal(is_known, round == 1);
            unsigned char note = (unsigned char)((i * 7919) % COUNT % 251);
            if (is_known)
                assert_int_equal(meaning.note, note);
            meaning = (struct cached_meaning){.series = series[note % 2], .note = note};
            if (round == 0)
                series_cache_add(cache, &spelling, &meaning);
        }
    }
    series_cache_free(cache);
}

static void a_context_is_a_number_for_its_bytes(void **state)
{
    (void)state;
    struct series_cache *cache = series_cache_new(SEED, LARGE);
    uint64_t one = series_cache_context(cache, STR("one"));
    uint64_t empty = series_cache_context(cache, STR_EMPTY);

    assert_true(one >= SERIES_CACHE_CONTEXTS && empty >= SERIES_CACHE_CONTEXTS && one != empty);
    assert_true(series_cache_context(cache, STR("one")) == one);
    assert_true(series_cache_context(cache, STR_EMPTY) == empty);
    assert_true(series_cache_context(cache, STR("on")) != one);
    series_cache_free(cache);
    cache = series_cache_new(SEED, 100);
    assert_true(series_cache_context(cache, STR("one")) == 0);
    assert_true(series_cache_find_context(cache, STR("one")) == 0);
    assert_int_equal(find(cache, spelling_of(0, "", "one")), -1);
    series_cache_free(cache);
}

static void a_context_is_found_when_it_was_asked_for_and_only_then(void **state)
{
    static const char *const orders[] = {"abcde", "abcde", "edcba", "aabbaa", "cxcac", "abcde"};
    struct series_cache *cache = series_cache_new(SEED, LARGE);
    uint64_t numbers[26] = {0};
    (void)state;

    assert_true(series_cache_find_context(cache, STR("x")) == 0);
    assert_true(series_cache_find_context(cache, STR_EMPTY) == 0);
    for (const char *at = "abcde"; *at != '\0'; at++) {
        struct str text = {at, 1};
        assert_true(series_cache_find_context(cache, text) == 0);
        numbers[*at - 'a'] = series_cache_context(cache, text);
        assert_true(numbers[*at - 'a'] >= SERIES_CACHE_CONTEXTS);
        add(cache, (struct spelling){.context = 1, .bytes = text}, (unsigned char)*at);
    }
    /* In whatever order they come, and whatever spellings come between them. */
    for (size_t i = 0; i < TEST_COUNT(orders); i++) {
        for (const char *at = orders[i]; *at != '\0'; at++) {
            struct str text = {at, 1};
            assert_true(series_cache_find_context(cache, text) == numbers[*at - 'a']);
            if (*at == 'x')
                continue;
            assert_true(series_cache_context(cache, text) == numbers[*at - 'a']);
            assert_int_equal(find(cache, (struct spelling){.context = 1, .bytes = text}), *at);
        }
    }
    series_cache_forget(cache);
    assert_true(series_cache_find_context(cache, STR("a")) == 0);
    series_cache_free(cache);
}

static void what_is_very_long_is_not_worth_it(void **state)
{
    (void)state;
    enum { LEN_MAX = 65535 };
    struct series_cache *cache = series_cache_new(SEED, LARGE);
    char *text = memory_alloc(LEN_MAX + 1);
    struct cached_meaning meaning;

    memset(text, 'a', LEN_MAX + 1);
    for (size_t more = 0; more < 2; more++) {
        struct spelling spelling = {.context = 1, .bytes = {text, LEN_MAX + more}};
        assert_false(series_cache_find(cache, &spelling, &meaning));
        meaning = (struct cached_meaning){.series = add_series(cache, (unsigned)more)};
        series_cache_add(cache, &spelling, &meaning);
        assert_int_equal(series_cache_find(cache, &spelling, &meaning), more == 0);
        spelling.head = spelling.bytes;
        spelling.bytes = STR_EMPTY;
        assert_false(series_cache_find(cache, &spelling, &meaning));
        series_cache_add(cache, &spelling, &meaning);
        assert_int_equal(series_cache_find(cache, &spelling, &meaning), more == 0);
    }
    free(text);
    series_cache_free(cache);
}

/* --- limits ----------------------------------------------------------------------------------- */

static unsigned fill(struct series_cache *cache, unsigned from)
{
    char text[16];
    struct cached_meaning meaning;

    for (unsigned i = from;; i++) {
        (void)snprintf(text, sizeof text, "%u", i);
        struct spelling spelling = spelling_of(1, "", text);
        assert_false(series_cache_find(cache, &spelling, &meaning));
        meaning = (struct cached_meaning){.series = add_series(cache, i)};
        if (meaning.series == NULL)
            return i - from;
        series_cache_add(cache, &spelling, &meaning);
    }
}

static void full_it_takes_no_more_and_begins_anew_when_it_is_of_no_use(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20 };
    struct series_cache *cache = series_cache_new(SEED, BYTES);
    uint64_t number = series_cache_begin(cache);
    unsigned count = fill(cache, 0);

    assert_true(count > 1000);
    assert_true(series_cache_size_bytes(cache) <= BYTES);
    assert_true(series_cache_context(cache, STR("one")) == 0);
    assert_int_equal(find(cache, spelling_of(1, "", "0")), 0);
    for (unsigned i = 0; i < 8 * count - 10; i++)
        assert_int_equal(find(cache, spelling_of(1, "", "unknown")), -1);
    (void)series_cache_begin(cache);
    assert_int_equal(find(cache, spelling_of(1, "", "0")), 0);
    assert_null(add_series(cache, count));
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(find(cache, spelling_of(0, "", "unknown")), -1);
    assert_int_equal(find(cache, spelling_of(1, "", "0")), 0); /* not in the middle of a batch */
    uint64_t last = series_cache_begin(cache);
    assert_int_equal(find(cache, spelling_of(1, "", "0")), -1);
    assert_true(last > number && series_cache_is_at(cache, last));
    assert_true(series_cache_size_bytes(cache) < 1000);
    assert_int_equal(fill(cache, count), count);
    series_cache_free(cache);
}

static void a_batch_is_not_at_hand_any_more_once_another_began_or_all_is_forgotten(void **state)
{
    (void)state;
    struct series_cache *cache = series_cache_new(SEED, LARGE);

    uint64_t one = series_cache_begin(cache);
    assert_true(series_cache_is_at(cache, one));
    uint64_t two = series_cache_begin(cache);
    assert_false(series_cache_is_at(cache, one));
    assert_true(series_cache_is_at(cache, two));
    add(cache, spelling_of(1, "", "a"), 1);
    series_cache_forget(cache);
    assert_false(series_cache_is_at(cache, two));
    assert_int_equal(find(cache, spelling_of(1, "", "a")), -1);
    series_cache_forget(NULL);
    series_cache_free(cache);
}

/* --- batches ---------------------------------------------------------------------------------- */

/* Two batches that get the same points: one knows nothing, the other one has a cache. */
struct pair {
    struct batch *plain, *with;
    uint64_t arrival;
};

static void pair_begin(struct pair *pair, const struct batch_rules *rules,
                       struct series_cache *cache)
{
    *pair = (struct pair){.plain = batch_new(rules), .with = batch_new(rules)};
    batch_use(pair->with, cache, 1000);
}

/* A point of series `n` of `metric`, spelt in one of several ways, as a reader of bodies does it.
 */
static void pair_add(struct pair *pair, const char *metric, unsigned n, unsigned way, double value,
                     wall_ms at)
{
    char number[16];
    char text[64];
    unsigned char note = 0;
    (void)snprintf(number, sizeof number, "%u", n);
    (void)snprintf(text, sizeof text, "%s%*s%u", metric, (int)way, "", n);
    const struct label label = {STR("n"), str_of(number)};
    struct batch_point point = {.name = str_of(metric),
                                .labels = &label,
                                .label_count = 1,
                                .kind = METRIC_COUNTER,
                                .form = way == 3 ? POINT_INCREMENT : POINT_CUMULATIVE,
                                .at = at,
                                .start = WALL_NONE,
                                .value = value,
                                .by_arrival = (int)value % 2 == 1};
    struct batch_memo memo = {.is_known = false};
    struct spelling spelling = spelling_of(1, "", text);
    enum reject_reason expected = batch_add_point(pair->plain, &point, NOW, ++pair->arrival);
    bool is_known = batch_recall(pair->with, &spelling, &memo, &note);

    if (is_known) {
        assert_int_equal(note, way);
        point.name = STR_EMPTY;
        point.labels = NULL;
        point.label_count = 0;
    }
    assert_int_equal(batch_add_point_to(pair->with, &memo, &point, NOW, pair->arrival), expected);
    if (!is_known)
        batch_remember(pair->with, &spelling, &memo, (unsigned char)way);
}

static void pair_end(struct pair *pair)
{
    assert_int_equal(batch_unwanted(pair->plain), batch_unwanted(pair->with));
    struct delta *a = batch_take(pair->plain);
    struct delta *b = batch_take(pair->with);

    assert_int_equal(a->series_count, b->series_count);
    for (size_t i = 0; i < a->series_count; i++) {
        assert_true(str_equal(a->series[i].key, b->series[i].key));
        assert_true(series_hash_equal(a->series[i].hash, b->series[i].hash));
    }
    assert_int_equal(a->point_count, b->point_count);
    for (size_t i = 0; i < a->point_count; i++) {
        assert_int_equal(a->points[i].series, b->points[i].series);
        assert_int_equal(a->points[i].form, b->points[i].form);
        assert_int_equal(a->points[i].at, b->points[i].at);
        assert_int_equal(a->points[i].arrival, b->points[i].arrival);
        assert_true(a->points[i].value == b->points[i].value);
    }
    assert_int_equal(a->cell_count, b->cell_count);
    for (size_t i = 0; i < a->cell_count; i++) {
        assert_int_equal(a->cells[i].series, b->cells[i].series);
        assert_int_equal(a->cells[i].minute, b->cells[i].minute);
        assert_int_equal(a->cells[i].cell.aggregate.count, b->cells[i].cell.aggregate.count);
        assert_true(aggregate_sum(&a->cells[i].cell.aggregate) ==
                    aggregate_sum(&b->cells[i].cell.aggregate));
    }
    delta_free(a);
    delta_free(b);
}

struct scene {
    struct metric_table metrics;
    struct metric_definition gauge, distribution, score;
    struct mapping *mapping;
    struct room *room;
    struct batch_rules rules;
};

static int setup(void **state)
{
    static const struct mapping_rule mapped[] = {
        {.match = "drop.me", .drop = true},
        {.match = "call.*", .name = "renamed"},
    };
    struct scene *scene = memory_zero(1, sizeof *scene);

    scene->gauge =
        (struct metric_definition){.name = "gauge", .has_kind = true, .kind = METRIC_GAUGE};
    scene->distribution = (struct metric_definition){
        .name = "distribution", .has_kind = true, .kind = METRIC_DISTRIBUTION};
    scene->score = (struct metric_definition){.name = "score",
                                              .has_kind = true,
                                              .kind = METRIC_SCORE,
                                              .has_range = true,
                                              .range_high = 5};
    assert_true(table_add(&scene->metrics.by_name, STR("gauge"), &scene->gauge));
    assert_true(table_add(&scene->metrics.by_name, STR("distribution"), &scene->distribution));
    assert_true(table_add(&scene->metrics.by_name, STR("score"), &scene->score));
    scene->mapping = mapping_new(mapped, TEST_COUNT(mapped));
    scene->metrics.mapping = scene->mapping;
    scene->room = room_new(1000);
    scene->rules = (struct batch_rules){.metrics = &scene->metrics,
                                        .series_max = 60,
                                        .max_future = MS_PER_HOUR,
                                        .max_past = MS_PER_DAY,
                                        .seed = SEED,
                                        .room = scene->room};
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    table_fini(&scene->metrics.by_name);
    mapping_free(scene->mapping);
    room_free(scene->room);
    free(scene);
    return 0;
}

static void two_spellings_of_one_series_meet(void **state)
{
    struct scene *scene = *state;
    struct series_cache *cache = series_cache_new(SEED, LARGE);

    for (unsigned round = 0; round < 3; round++) {
        struct pair pair;
        pair_begin(&pair, &scene->rules, cache);
        for (unsigned way = 0; way < 3; way++)
            pair_add(&pair, "orders", 1, (way + round) % 3, 5, NOW);
        pair_end(&pair);
    }
    struct batch *batch = batch_new(&scene->rules);
    batch_use(batch, cache, 0);
    for (unsigned way = 0; way < 3; way++) {
        struct spelling spelling =
            spelling_of(1, "", (const char *[]){"orders1", "orders 1", "orders  1"}[way]);
        const struct batch_point point = {.at = NOW, .start = WALL_NONE, .value = 1};
        struct batch_memo memo;
        unsigned char note = 0;
        assert_true(batch_recall(batch, &spelling, &memo, &note));
        assert_int_equal(batch_add_point_to(batch, &memo, &point, NOW, way), REJECT_NONE);
    }
    struct delta *delta = batch_take(batch);
    assert_int_equal(delta->point_count, 3);
    assert_int_equal(delta->series_count, 1);
    delta_free(delta);
    series_cache_free(cache);
}

static void a_series_that_is_known_is_in_the_delta_when_a_point_of_it_is(void **state)
{
    struct scene *scene = *state;
    struct series_cache *cache = series_cache_new(SEED, LARGE);
    struct spelling spelling = spelling_of(1, "", "orders1");
    struct batch_memo memo;
    struct pair pair;
    unsigned char note = 0;

    pair_begin(&pair, &scene->rules, cache);
    pair_add(&pair, "orders", 1, 0, 5, NOW);
    pair_end(&pair);
    pair_begin(&pair, &scene->rules, cache);
    assert_true(batch_recall(pair.with, &spelling, &memo, &note));
    pair_add(&pair, "orders", 1, 0, 5, NOW + MS_PER_DAY); /* bad_time */
    pair_add(&pair, "orders", 1, 0, -5, NOW);             /* bad_number */
    pair_end(&pair);
    series_cache_free(cache);
}

/* Metrics, series, spellings and times at random; limits, a room that fills, rules that drop and
 * rename, kinds that are declared; another batch begins in the middle, all is forgotten. */
static void batches_with_and_without_a_cache_are_the_same(void **state)
{
    static const char *const names[] = {"orders", "gauge",   "distribution", "score",
                                        "call.a", "drop.me", "renamed",      "bad\nname"};
    static const size_t sizes[] = {LARGE, 20000, 3000, 300};
    struct scene *scene = *state;
    uint64_t random = 11;

    for (size_t size = 0; size < TEST_COUNT(sizes); size++) {
        struct series_cache *cache = series_cache_new(SEED, sizes[size]);
        for (unsigned round = 0; round < 200; round++) {
            struct pair pair;
            if (round == 100) {
                room_begin_series(scene->room);
                room_end_series(scene->room);
            }
            room_set_full(scene->room, round > 150);
            (void)room_set_metric_full(scene->room, STR("renamed"), round > 100);
            scene->rules.series_max = 20 + random_below(&random, 60);
            pair_begin(&pair, &scene->rules, cache);
            for (unsigned i = 0; i < 150; i++) {
                const char *name = names[random_below(&random, TEST_COUNT(names))];
                wall_ms at = NOW + (wall_ms)random_below(&random, 70) * MS_PER_MINUTE;
                pair_add(&pair, name, (unsigned)random_below(&random, 12),
                         (unsigned)random_below(&random, 4), (double)random_below(&random, 8) - 1,
                         at);
                if (random_below(&random, 500) == 0)
                    (void)series_cache_begin(cache);
                if (random_below(&random, 1000) == 0)
                    series_cache_forget(cache);
            }
            pair_end(&pair);
        }
        series_cache_free(cache);
    }
}

/* Several batches at once, each of which may take the cache anew or end at any time. */
static void of_batches_that_are_open_at_once_each_is_the_same(void **state)
{
    static const char *const names[] = {"orders", "gauge",   "distribution", "score",
                                        "call.a", "drop.me", "renamed"};
    static const size_t sizes[] = {LARGE, 20000, 3000, 300};
    struct scene *scene = *state;
    uint64_t random = 23;
    for (size_t size = 0; size < TEST_COUNT(sizes); size++) {
        struct series_cache *cache = series_cache_new(SEED, sizes[size]);
        struct pair pairs[3];
        for (int i = 0; i < 3; i++)
            pair_begin(&pairs[i], &scene->rules, cache);
        for (unsigned i = 0; i < 20000; i++) {
            struct pair *pair = &pairs[random_below(&random, 3)];
            uint64_t what = random_below(&random, 400);
            if (what == 0) {
                pair_end(pair);
                pair_begin(pair, &scene->rules, random_below(&random, 4) == 0 ? NULL : cache);
            } else if (what == 1) {
                series_cache_forget(cache);
            } else {
                pair_add(pair, names[random_below(&random, TEST_COUNT(names))],
                         (unsigned)random_below(&random, 20), (unsigned)random_below(&random, 4),
                         (double)random_below(&random, 8) - 1,
                         NOW + (wall_ms)random_below(&random, 70) * MS_PER_MINUTE);
            }
        }
        for (int i = 0; i < 3; i++)
            pair_end(&pairs[i]);
        series_cache_free(cache);
    }
}

static void with_other_rules_what_was_forgotten_is_found_out_anew(void **state)
{
    struct scene *scene = *state;
    struct series_cache *cache = series_cache_new(SEED, LARGE);

    for (unsigned round = 0; round < 4; round++) {
        struct pair pair;
        if (round == 2) { /* a reload */
            scene->gauge.kind = METRIC_COUNTER;
            scene->metrics.mapping = NULL;
            series_cache_forget(cache);
        }
        pair_begin(&pair, &scene->rules, cache);
        pair_add(&pair, "gauge", 1, 0, 1, NOW);
        pair_add(&pair, "call.a", 1, 0, 1, NOW);
        pair_end(&pair);
    }
    series_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_all_of_a_spelling_is_it),
        cmocka_unit_test(of_another_version_it_is_made_anew_in_its_place),
        cmocka_unit_test(what_followed_last_time_is_found_without_its_end),
        cmocka_unit_test(what_followed_last_time_may_be_looked_at_first),
        cmocka_unit_test(spellings_whose_hashes_are_the_same_are_told_apart),
        cmocka_unit_test(a_context_is_a_number_for_its_bytes),
        cmocka_unit_test(a_context_is_found_when_it_was_asked_for_and_only_then),
        cmocka_unit_test(what_is_very_long_is_not_worth_it),
        cmocka_unit_test(full_it_takes_no_more_and_begins_anew_when_it_is_of_no_use),
        cmocka_unit_test(a_batch_is_not_at_hand_any_more_once_another_began_or_all_is_forgotten),
        cmocka_unit_test_setup_teardown(two_spellings_of_one_series_meet, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_series_that_is_known_is_in_the_delta_when_a_point_of_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(of_batches_that_are_open_at_once_each_is_the_same, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(batches_with_and_without_a_cache_are_the_same, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(with_other_rules_what_was_forgotten_is_found_out_anew,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
