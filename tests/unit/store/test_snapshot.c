/* What a reader sees while samples are acknowledged and the background work folds, combines and
 * deletes what they became: never less than was acknowledged before it began, never more than was
 * sent, never less than it saw before. */
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "fixture.h"
#include "store/parts.h"

enum {
    READERS = 3,
    SAMPLES = 600,
    LOOK_EVERY_US = 10000,
    PATIENCE_MS = 60000,
    SERIES = 6,
    SPAN_MINUTES = 2000
};

struct run_of_it {
    struct fixture *fixture;
    _Atomic uint64_t sent;
    _Atomic uint64_t acknowledged;
    _Atomic bool ended;
    _Atomic int complaints;
    sem_t answered;
};

/* --- the producer --- */

static size_t partitions_of(struct fixture *fixture, enum level level)
{
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct partition *partitions = NULL;
    size_t count = 0;
    struct read_txn *txn = read_begin(fixture);
    assert_true(
        parts_partitions(txn, &(const struct bucket_range){level, 0, INT64_MIN / 2, INT64_MAX / 2},
                         &arena, &partitions, &count, &err));
    read_txn_end(txn);
    arena_fini(&arena);
    return count;
}

static void on_acknowledged(struct delta *delta, const struct error *err)
{
    struct run_of_it *run = delta->on_done_arg;
    assert_null(err);
    (void)atomic_fetch_add(&run->acknowledged, 1);
    (void)sem_post(&run->answered);
}

/* Time goes on by some minutes a sample, so that quarters and windows close under way; every fifth
 * sample is late. */
static wall_ms time_of(int i)
{
    int64_t minute = i % 5 == 4 ? i * 37 % SPAN_MINUTES : i * 4 % SPAN_MINUTES;
    return AT(MINUTE - SPAN_MINUTES - 100 + minute, i % 60);
}

static void *produce(void *arg)
{
    struct run_of_it *run = arg;
    mono_ms until = clock_mono() + PATIENCE_MS;

    for (int i = 0; i < SAMPLES; i++) {
        char labels[16];
        (void)snprintf(labels, sizeof labels, "n=%d", i % SERIES);
        struct delta *delta = one_sample(METRIC_COUNTER, "orders", labels, 1, time_of(i));
        delta->on_done = on_acknowledged;
        delta->on_done_arg = run;
        (void)atomic_fetch_add(&run->sent, 1);
        assert_true(writer_post_delta(run->fixture->writer, delta));
        while (sem_wait(&run->answered) != 0) {
        }
    }
    /* Readers go on until the background work has been through all levels. */
    while (partitions_of(run->fixture, LEVEL_QUARTER) == 0 && clock_mono() < until)
        (void)usleep(LOOK_EVERY_US);
    atomic_store(&run->ended, true);
    return NULL;
}

/* --- readers --- */

static bool add_count(size_t series, wall_ms step_from, const struct cell *cell, void *arg)
{
    (void)series;
    (void)step_from;
    *(double *)arg += aggregate_count(&cell->aggregate);
    return true;
}

/* All samples in one snapshot, asked for in one of several ways. */
static double count_all(struct fixture *fixture, int way)
{
    static const struct {
        span_ms step;
        bool merge;
    } ways[] = {
        {0, true},
        {0, false},
        {15 * MS_PER_MINUTE, true},
        {7 * MS_PER_MINUTE, false},
    };
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;
    double count = 0;
    const struct selector selector = {.metric = STR("orders"), .kind = METRIC_COUNTER};
    struct query query = {.from = AT((MINUTE - 2 * SPAN_MINUTES) / 15 * 15, 0),
                          .to = AT(MINUTE / 15 * 15, 0),
                          .step = ways[way % 4].step,
                          .merge_series = ways[way % 4].merge};

    struct read_txn *txn = read_txn_begin(fixture->store, &err);
    if (txn == NULL)
        abort();
    query.series = query_select(txn, &selector, &arena, &query.series_count);
    if (!query_cells(txn, &query, add_count, &count, &coverage, &err)) {
        print_error("%s\n", err.text);
        count = -1;
    }
    read_txn_end(txn);
    arena_fini(&arena);
    return count;
}

static void *read_on(void *arg)
{
    struct run_of_it *run = arg;
    double before = 0;

    for (int way = 0; !atomic_load(&run->ended); way++) {
        double least = (double)atomic_load(&run->acknowledged);
        double count = count_all(run->fixture, way);
        double most = (double)atomic_load(&run->sent);
        if (count < least || count > most || count < before) {
            print_error("way %d: %g, before %g, acknowledged %g, sent %g\n", way % 4, count, before,
                        least, most);
            (void)atomic_fetch_add(&run->complaints, 1);
        }
        before = count;
    }
    return NULL;
}

/* --- the test --- */

static void a_count_is_never_below_what_was_acknowledged_and_never_falls(void **state)
{
    struct fixture *fixture = *state;
    struct run_of_it run = {.fixture = fixture};
    static const struct upkeep_options upkeep = {.fanout = 3};
    const struct writer_options options = {.upkeep = &upkeep};
    struct error err = ERROR_EMPTY;
    pthread_t producer;
    pthread_t readers[READERS];

    clock_set_for_test(AT(MINUTE, 0));
    writer_free(fixture->writer);
    fixture->writer = writer_new(fixture->store, &options);
    assert_true(writer_start(fixture->writer, &err));
    assert_int_equal(sem_init(&run.answered, 0, 0), 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &run), 0);
    assert_int_equal(pthread_create(&producer, NULL, produce, &run), 0);
    assert_int_equal(pthread_join(producer, NULL), 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    writer_stop(fixture->writer);
    clock_set_for_test(WALL_NONE);
    (void)sem_destroy(&run.answered);

    assert_int_equal(atomic_load(&run.complaints), 0);
    assert_true(atomic_load(&run.sent) > 20);
    for (int way = 0; way < 4; way++)
        assert_same(count_all(fixture, way), (double)atomic_load(&run.sent));
    assert_true(partitions_of(fixture, LEVEL_MINUTE) > 0);
    assert_true(partitions_of(fixture, LEVEL_QUARTER) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_count_is_never_below_what_was_acknowledged_and_never_falls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
