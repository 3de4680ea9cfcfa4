/* A store in a temporary directory, and short words for what the tests put into it.
 *
 * The writer's thread is not started unless a test says so: its mailbox is drained on the test's
 * thread, so that nothing depends on time. */
#pragma once

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/memory.h"
#include "base/thread.h"
#include "directory.h"
#include "store/query.h"
#include "store/record.h"
#include "store/writer.h"
#include "test.h"

#define MINUTE             INT64_C(29000000) /* one in 2025 */
#define AT(minute, second) (((minute)*INT64_C(60) + (second)) * 1000)
#define BIG_SIZE           (UINT64_C(1) << 30)

/* cmocka compares floats only; these have to be the same to the bit. */
#define assert_same(a, b) expect_same((a), (b), #a, __FILE__, __LINE__)

static inline void expect_same(double value, double expected, const char *what, const char *file,
                               int line)
{
    if (value == expected)
        return;
    print_error("%s is %.17g, not %.17g\n", what, value, expected);
    _fail(file, line);
}

/* For what has no other error to pass on: `err` is its own. */
#define MUST(call)                                                                                 \
    do {                                                                                           \
        struct error err = ERROR_EMPTY;                                                            \
        if (!(call))                                                                               \
            fail_msg("%s", err.text);                                                              \
    } while (0)

struct fixture {
    char path[64];
    uint64_t max_size;
    struct store *store;
    struct writer *writer;
};

static inline void fixture_open(struct fixture *fixture)
{
    struct error err = ERROR_EMPTY;
    const struct store_options options = {fixture->path, fixture->max_size};
    const struct writer_options writer_options = {.mailbox_capacity = 8, .retry_ms = 1};

    fixture->store = store_open(&options, &err);
    if (fixture->store == NULL)
        fail_msg("%s", err.text);
    fixture->writer = writer_new(fixture->store, &writer_options);
}

static inline void fixture_close(struct fixture *fixture)
{
    writer_free(fixture->writer);
    store_close(fixture->store);
    fixture->writer = NULL;
    fixture->store = NULL;
}

static inline void fixture_reopen(struct fixture *fixture)
{
    fixture_close(fixture);
    fixture_open(fixture);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = memory_zero(1, sizeof *fixture);
    make_directory(fixture->path);
    fixture->max_size = BIG_SIZE;
    fixture_open(fixture);
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    fixture_close(fixture);
    remove_directory(fixture->path);
    free(fixture);
    return 0;
}

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

/* --- writing --- */

/* `labels` as "a=b;c=d". */
static inline void write_key(struct buf *out, enum metric_kind kind, const char *metric,
                             const char *labels)
{
    struct label parsed[LABELS_MAX];
    size_t count = 0;

    if (labels[0] != '\0')
        assert_true(labels_parse(str_of(labels), TAGS_SEMICOLON, parsed, &count));
    series_key_write(out, kind, str_of(metric), parsed, count);
}

static inline uint32_t add_series(struct delta *delta, enum metric_kind kind, const char *metric,
                                  const char *labels)
{
    struct buf key = BUF_EMPTY;
    write_key(&key, kind, metric, labels);
    uint32_t index = delta_add_series(delta, series_key_hash(buf_view(&key)), buf_view(&key));
    buf_fini(&key);
    return index;
}

/* One sample, in a cell of its own; arrival is its time in microseconds. */
static inline void add_sample(struct delta *delta, uint32_t series, double value, wall_ms at)
{
    int64_t minute = at / MS_PER_MINUTE;
    struct delta_cell *cell = NULL;

    for (size_t i = 0; i < delta->cell_count; i++) {
        if (delta->cells[i].series == series && delta->cells[i].minute == minute)
            cell = &delta->cells[i];
    }
    if (cell == NULL)
        cell = delta_add_cell(delta, series, minute);
    if (metric_kind_counts_values(series_key_kind(delta->series[series].key)))
        cell_add_value(&cell->cell, value, WEIGHT_ONE, at, (uint64_t)at * 1000);
    else
        aggregate_add(&cell->cell.aggregate, value, WEIGHT_ONE, at, (uint64_t)at * 1000);
}

/* Relative changes of a gauge before its first absolute value in the minute (S7). */
static inline void add_change(struct delta *delta, uint32_t series, double change, wall_ms at)
{
    int64_t minute = at / MS_PER_MINUTE;
    struct delta_cell *cell = NULL;

    for (size_t i = 0; i < delta->cell_count; i++) {
        if (delta->cells[i].series == series && delta->cells[i].minute == minute)
            cell = &delta->cells[i];
    }
    if (cell == NULL)
        cell = delta_add_cell(delta, series, minute);
    assert_true(
        gauge_changes_add(delta_cell_changes(delta, cell), change, at, (uint64_t)at * 1000));
}

static inline void add_counts(struct delta *delta, const char *listener, uint64_t stored,
                              uint64_t malformed)
{
    struct ledger counts = {.received = stored + malformed, .stored = stored};
    counts.rejected[REJECT_malformed] = malformed;
    delta_add_ledger(delta, str_of(listener), &counts);
}

/* A delta of one sample. */
static inline struct delta *one_sample(enum metric_kind kind, const char *metric,
                                       const char *labels, double value, wall_ms at)
{
    struct delta *delta = delta_new();
    add_sample(delta, add_series(delta, kind, metric, labels), value, at);
    return delta;
}

static inline void post(struct fixture *fixture, struct delta *delta)
{
    assert_true(writer_post_delta(fixture->writer, delta));
}

/* Handles what was posted, on this thread. */
static inline void commit(struct fixture *fixture)
{
    (void)mailbox_drain(thread_mailbox(writer_thread(fixture->writer)));
}

static inline uint64_t tries(void)
{
    return COUNTER_GET(commits) + COUNTER_GET(commit_failures);
}

/* Turns the writer's loop until its retry timer has led to a try. */
static inline void wait_for_retry(struct fixture *fixture)
{
    uint64_t before = tries();
    while (tries() == before && writer_is_failing(fixture->writer))
        (void)event_base_loop(thread_base(writer_thread(fixture->writer)), EVLOOP_ONCE);
}

struct answer {
    int calls;
    bool ok;
    struct error err;
};

static inline void on_delta_done(struct delta *delta, const struct error *err)
{
    struct answer *answer = delta->on_done_arg;
    answer->calls++;
    answer->ok = err == NULL;
    if (err != NULL)
        answer->err = *err;
}

static inline void wait_for_answer(struct delta *delta, struct answer *answer)
{
    delta->on_done = on_delta_done;
    delta->on_done_arg = answer;
}

/* A job that puts `value` under `key` into the table of schedules, and may fail after it. */
struct put_job {
    struct writer_job job; /* first */
    const char *key;
    const char *value;
    bool fails;
    int runs;
    struct answer answer;
};

static inline bool run_put_job(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    struct put_job *put = (struct put_job *)job;
    put->runs++;
    if (!record_put(txn, RECORD_SCHEDULE, str_of(put->key), str_of(put->value), err))
        return false;
    return !put->fails || error_set(err, ERROR_CONFLICT, "the job does not like '%s'", put->key);
}

static inline void on_put_job_done(struct writer_job *job, const struct error *err)
{
    struct put_job *put = (struct put_job *)job;
    put->answer.calls++;
    put->answer.ok = err == NULL;
    if (err != NULL)
        put->answer.err = *err;
}

static inline void post_put(struct fixture *fixture, struct put_job *put)
{
    put->job.run = run_put_job;
    put->job.done = on_put_job_done;
    writer_post_job(fixture->writer, &put->job);
}

/* --- reading --- */

static inline struct read_txn *read_begin(struct fixture *fixture)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_txn_begin(fixture->store, &err);
    if (txn == NULL)
        fail_msg("%s", err.text);
    return txn;
}

static inline bool keep_cell(size_t series, wall_ms step_from, const struct cell *cell, void *arg)
{
    struct cell *out = arg;
    (void)series;
    (void)step_from;
    cell_merge(out, cell);
    return true;
}

/* All series of a metric over [from, to) in one cell, from a snapshot. */
static inline struct aggregate read_in(struct read_txn *txn, enum metric_kind kind,
                                       const char *metric, wall_ms from, wall_ms to)
{
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;
    struct cell cell = CELL_EMPTY;
    const struct selector selector = {.metric = str_of(metric), .kind = kind};
    struct query query = {.from = from, .to = to, .merge_series = true};

    query.series = query_select(txn, &selector, &arena, &query.series_count);
    if (!query_cells(txn, &query, keep_cell, &cell, &coverage, &err))
        fail_msg("%s", err.text);
    struct aggregate aggregate = cell.aggregate;
    cell_fini(&cell);
    arena_fini(&arena);
    return aggregate;
}

static inline struct aggregate read_range(struct fixture *fixture, enum metric_kind kind,
                                          const char *metric, wall_ms from, wall_ms to)
{
    struct read_txn *txn = read_begin(fixture);
    struct aggregate aggregate = read_in(txn, kind, metric, from, to);
    read_txn_end(txn);
    return aggregate;
}

static inline struct aggregate read_all(struct fixture *fixture, enum metric_kind kind,
                                        const char *metric)
{
    return read_range(fixture, kind, metric, AT(MINUTE - 10000, 0), AT(MINUTE + 10000, 0));
}

static inline double sum_of(struct fixture *fixture, const char *counter)
{
    struct aggregate aggregate = read_all(fixture, METRIC_COUNTER, counter);
    return aggregate_sum(&aggregate);
}

/* The last value of a gauge in one minute. */
static inline double last_in(struct fixture *fixture, const char *gauge, int64_t minute)
{
    return read_range(fixture, METRIC_GAUGE, gauge, AT(minute, 0), AT(minute + 1, 0)).last;
}

static inline bool has_record(struct fixture *fixture, const char *key, const char *value)
{
    struct read_txn *txn = read_begin(fixture);
    struct str found;
    bool has = record_get(txn, RECORD_SCHEDULE, str_of(key), &found) && str_is(found, value);
    read_txn_end(txn);
    return has;
}

static inline uint64_t commit_number(struct fixture *fixture)
{
    struct read_txn *txn = read_begin(fixture);
    uint64_t number = store_commit_number(txn);
    read_txn_end(txn);
    return number;
}
