/* Commits that fail: linked with -Wl,--wrap, so that LMDB's answers are ours to choose. */
#include <errno.h>
#include <lmdb.h>

#include "fixture.h"
#include "store/store_private.h"

/* What the next commits of whole transactions answer. */
static struct {
    int failures; /* so many of them fail */
    int answer;   /* with this */
    bool holds;   /* but they are done: the outcome that nobody can know */
    bool panics;  /* and the environment lets nobody in until it is opened again */
    bool has_panicked;
    int read_panics; /* so many readers find it so, and then no more */
    int commits;     /* calls while failures were left, or after */
    int opens;       /* of an environment */
    int open_failures;
    int put_failures; /* of writes inside jobs; answered with MDB_MAP_FULL */
} fault;

static MDB_txn *top; /* the transaction that is not inside another one */

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __real_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **txn);
int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **txn);
int __real_mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode);
int __wrap_mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode);

int __real_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned flags);
int __wrap_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned flags);

int __wrap_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned flags)
{
    if (txn != top && fault.put_failures > 0) {
        fault.put_failures--;
        return MDB_MAP_FULL;
    }
    return __real_mdb_put(txn, dbi, key, value, flags);
}

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
    if (txn != top)
        return __real_mdb_txn_commit(txn);
    fault.commits++;
    if (fault.failures == 0)
        return __real_mdb_txn_commit(txn);
    fault.failures--;
    fault.has_panicked = fault.panics;
    if (!fault.holds)
        mdb_txn_abort(txn);
    else
        assert_int_equal(__real_mdb_txn_commit(txn), 0);
    return fault.answer;
}

int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **txn)
{
    if (fault.has_panicked)
        return MDB_PANIC;
    if (fault.read_panics > 0 && (flags & MDB_RDONLY) != 0) {
        fault.read_panics--;
        return MDB_PANIC;
    }
    int rc = __real_mdb_txn_begin(env, parent, flags, txn);
    if (rc == 0 && parent == NULL && (flags & MDB_RDONLY) == 0)
        top = *txn;
    return rc;
}

int __wrap_mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode)
{
    fault.opens++;
    if (fault.open_failures > 0) {
        fault.open_failures--;
        return EIO;
    }
    fault.has_panicked = false;
    return __real_mdb_env_open(env, path, flags, mode);
}

static int setup(void **state)
{
    memset(&fault, 0, sizeof fault);
    return fixture_setup(state);
}

static void fail_commits(int failures, int answer)
{
    memset(&fault, 0, sizeof fault);
    fault.failures = failures;
    fault.answer = answer;
}

/* --- a full disk --- */

static void a_group_that_failed_is_tried_again_whole_and_once(void **state)
{
    struct fixture *fixture = *state;
    static const int failures[] = {1, 4};
    double expected = 0;

    for (size_t i = 0; i < TEST_COUNT(failures); i++) {
        for (int j = 1; j <= 2; j++) {
            struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", j, AT(MINUTE, j));
            add_change(delta, add_series(delta, METRIC_GAUGE, "stock", ""), 5, AT(MINUTE, j));
            post(fixture, delta);
            expected += j;
        }
        fail_commits(failures[i], ENOSPC);
        commit(fixture);
        assert_false(writer_has_room(fixture->writer));
        assert_true(writer_is_failing(fixture->writer));
        assert_same(sum_of(fixture, "orders"), expected - 3);
        for (int j = 0; j < failures[i]; j++)
            wait_for_retry(fixture);
        assert_int_equal(fault.commits, failures[i] + 1);
        assert_true(writer_has_room(fixture->writer));
        assert_same(sum_of(fixture, "orders"), expected);
        assert_same(last_in(fixture, "stock", MINUTE), 10 * (double)(i + 1));
        assert_int_equal(commit_number(fixture), i + 1);
    }
    struct read_txn *txn = read_begin(fixture);
    struct metric_facts facts;
    query_metric(txn, STR("orders"), &facts);
    assert_int_equal(facts.series, 1);
    read_txn_end(txn);
}

static void who_waits_is_answered_with_the_error_and_not_applied_later(void **state)
{
    struct fixture *fixture = *state;
    struct answer first = {0};
    struct answer second = {0};
    struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 100, AT(MINUTE, 0));

    fail_commits(1, ENOSPC);
    wait_for_answer(delta, &first);
    post(fixture, delta);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 0)));
    commit(fixture);
    assert_int_equal(first.calls, 1);
    assert_false(first.ok);
    assert_int_equal(first.err.kind, ERROR_FULL);
    assert_non_null(strstr(first.err.text, "No space left on device"));

    /* Before the next try the answer is the same, at once. */
    delta = one_sample(METRIC_COUNTER, "orders", "", 200, AT(MINUTE, 0));
    wait_for_answer(delta, &second);
    post(fixture, delta);
    commit(fixture);
    assert_int_equal(second.calls, 1);
    assert_int_equal(second.err.kind, ERROR_FULL);
    assert_int_equal(fault.commits, 1);

    wait_for_retry(fixture);
    fixture_reopen(fixture);
    assert_same(sum_of(fixture, "orders"), 1);
    assert_int_equal(first.calls, 1);
}

static void a_job_is_answered_or_kept_as_it_asked(void **state)
{
    struct fixture *fixture = *state;
    struct put_job once = {.key = "once", .value = "1"};
    struct put_job always = {.key = "always", .value = "2", .job.keep_trying = true};

    fail_commits(2, ENOSPC);
    post_put(fixture, &once);
    post_put(fixture, &always);
    commit(fixture);
    assert_int_equal(once.answer.calls, 1);
    assert_int_equal(once.answer.err.kind, ERROR_FULL);
    assert_int_equal(always.answer.calls, 0);
    wait_for_retry(fixture);
    assert_int_equal(always.answer.calls, 0);
    wait_for_retry(fixture);
    assert_true(always.answer.ok);
    assert_int_equal(always.runs, 3);
    assert_true(has_record(fixture, "always", "2"));
    assert_false(has_record(fixture, "once", "1"));
}

/* A full disk or map may still have room for a state and its messages. */
static void jobs_are_tried_alone_when_the_deltas_do_not_fit(void **state)
{
    struct fixture *fixture = *state;
    struct put_job job = {.key = "mark", .value = "1"};
    fail_commits(1, MDB_MAP_FULL);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 0)));
    post_put(fixture, &job);
    commit(fixture);
    assert_true(job.answer.ok);
    assert_true(has_record(fixture, "mark", "1"));
    assert_same(sum_of(fixture, "orders"), 0);
    assert_true(writer_is_failing(fixture->writer));
    wait_for_retry(fixture);
    assert_same(sum_of(fixture, "orders"), 1);
    assert_false(writer_is_failing(fixture->writer));
}

/* A job that cannot write is no job that failed: the group is. */
static void a_job_that_the_store_fails_is_tried_again_with_its_group(void **state)
{
    struct fixture *fixture = *state;
    struct put_job once = {.key = "once", .value = "1"};
    struct put_job always = {.key = "always", .value = "2", .job.keep_trying = true};

    fail_commits(0, 0);
    fault.put_failures = 2; /* the group's, and the jobs' when they are tried alone */
    post_put(fixture, &once);
    post_put(fixture, &always);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 0)));
    commit(fixture);
    assert_int_equal(fault.commits, 0);
    assert_int_equal(once.answer.calls, 1);
    assert_int_equal(once.answer.err.kind, ERROR_FULL);
    assert_int_equal(always.answer.calls, 0);
    assert_same(sum_of(fixture, "orders"), 0);
    wait_for_retry(fixture);
    assert_true(always.answer.ok);
    assert_int_equal(fault.commits, 1);
    assert_same(sum_of(fixture, "orders"), 1);
    assert_true(has_record(fixture, "always", "2"));
}

/* --- outcomes that nobody can know --- */

static void a_commit_that_holds_after_all_is_not_applied_twice(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer = {0};
    struct put_job job = {.key = "mark", .value = "1"};
    struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 0));

    fail_commits(1, EIO);
    fault.holds = true;
    wait_for_answer(delta, &answer);
    post(fixture, delta);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 4, AT(MINUTE, 0)));
    post_put(fixture, &job);
    commit(fixture);
    assert_true(answer.ok);
    assert_true(job.answer.ok);
    assert_int_equal(fault.commits, 1);
    assert_same(sum_of(fixture, "orders"), 7);
    assert_false(writer_is_failing(fixture->writer));
}

static void after_a_panic_the_environment_is_opened_again(void **state)
{
    struct fixture *fixture = *state;
    for (int holds = 0; holds < 2; holds++) {
        struct answer answer = {0};
        double before = sum_of(fixture, "orders");
        struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 0));
        fail_commits(1, EIO);
        fault.panics = true;
        fault.holds = holds == 1;
        wait_for_answer(delta, &answer);
        post(fixture, delta);
        post(fixture, one_sample(METRIC_COUNTER, "orders", "", 4, AT(MINUTE, 0)));
        commit(fixture);
        assert_int_equal(fault.opens, 1);
        assert_int_equal(answer.calls, 1);
        assert_int_equal(answer.ok, holds == 1);
        if (holds == 0)
            wait_for_retry(fixture);
        /* Refused: only who did not wait is counted. Held: both, once. */
        assert_same(sum_of(fixture, "orders") - before, holds == 1 ? 7 : 4);
    }
}

static void after_a_panic_readers_get_in_before_the_writer_tries_again(void **state)
{
    struct fixture *fixture = *state;
    struct write_txn txn;
    struct error err = ERROR_EMPTY;

    fail_commits(1, EIO);
    fault.panics = true;
    assert_true(write_txn_begin(fixture->store, NULL, &txn, &err));
    assert_true(meta_put(&txn, "mark", 1, &err));
    assert_false(write_txn_commit(&txn, &err));
    assert_int_equal(fault.opens, 1);
    read_txn_end(read_begin(fixture));
}

static void a_reader_waits_a_moment_for_a_reopening(void **state)
{
    struct fixture *fixture = *state;
    fault.read_panics = 3;
    read_txn_end(read_begin(fixture));
    assert_int_equal(fault.read_panics, 0);
}

/* While a reader is in, the environment stays open: nobody is answered before it is certain, and
 * new readers are sent away. */
static void the_reopening_waits_for_readers(void **state)
{
    struct fixture *fixture = *state;
    for (int holds = 0; holds < 2; holds++) {
        struct answer answer = {0};
        struct answer late = {0};
        struct error err = ERROR_EMPTY;
        double before = sum_of(fixture, "orders");
        struct read_txn *reader = read_begin(fixture);
        struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 0));

        fail_commits(1, EIO);
        fault.panics = true;
        fault.holds = holds == 1;
        wait_for_answer(delta, &answer);
        post(fixture, delta);
        commit(fixture);
        assert_int_equal(fault.opens, 0);
        assert_int_equal(answer.calls, 0);
        assert_null(read_txn_begin(fixture->store, &err));
        assert_int_equal(err.kind, ERROR_UNAVAILABLE);

        delta = one_sample(METRIC_COUNTER, "orders", "", 30, AT(MINUTE, 0));
        wait_for_answer(delta, &late);
        post(fixture, delta);
        commit(fixture);
        assert_int_equal(late.calls, 1); /* it was in no commit */
        assert_false(late.ok);
        wait_for_retry(fixture);
        assert_int_equal(answer.calls, 0);

        read_txn_end(reader);
        wait_for_retry(fixture);
        assert_int_equal(fault.opens, 1);
        assert_int_equal(answer.calls, 1);
        assert_int_equal(answer.ok, holds == 1);
        assert_false(writer_is_failing(fixture->writer));
        assert_same(sum_of(fixture, "orders") - before, holds == 1 ? 3 : 0);
    }
}

static void a_reopening_that_fails_is_tried_again(void **state)
{
    struct fixture *fixture = *state;
    struct error err = ERROR_EMPTY;
    fail_commits(1, EIO);
    fault.panics = true;
    fault.open_failures = 6; /* for writing, then for reading, three times */
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 0)));
    commit(fixture);
    wait_for_retry(fixture);
    assert_null(read_txn_begin(fixture->store, &err));
    wait_for_retry(fixture);
    assert_int_equal(fault.opens, 7);
    assert_same(sum_of(fixture, "orders"), 3);
}

static void what_cannot_be_opened_for_writing_is_read_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 5, AT(MINUTE, 0)));
    commit(fixture);
    fail_commits(1, EIO);
    fault.panics = true;
    fault.open_failures = 1;
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 0)));
    commit(fixture);
    while (fault.opens == 0)
        wait_for_retry(fixture);
    assert_int_equal(fault.opens, 2);
    assert_true(writer_is_failing(fixture->writer));
    assert_same(sum_of(fixture, "orders"), 5);
    wait_for_retry(fixture);
    assert_int_equal(fault.opens, 3);
    assert_same(sum_of(fixture, "orders"), 8);
}

/* --- stopping --- */

static void stopping_tries_again_for_a_while(void **state)
{
    struct fixture *fixture = *state;
    struct put_job job = {.key = "mark", .value = "1", .job.keep_trying = true};
    fail_commits(3, ENOSPC);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 0)));
    post_put(fixture, &job);
    writer_stop(fixture->writer);
    assert_true(job.answer.ok);
    fixture_reopen(fixture);
    assert_same(sum_of(fixture, "orders"), 3);
}

static void what_cannot_be_stored_at_the_end_is_answered(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer = {0};
    struct put_job job = {.key = "mark", .value = "1", .job.keep_trying = true};
    struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 0));
    add_counts(delta, "statsd udp", 1, 0);
    wait_for_answer(delta, &answer);
    fail_commits(1000, ENOSPC);
    post(fixture, delta);
    post_put(fixture, &job);
    writer_stop(fixture->writer);
    assert_int_equal(answer.calls, 1);
    assert_int_equal(job.answer.calls, 1);
    assert_int_equal(job.answer.err.kind, ERROR_FULL);
    fault.failures = 0;
    fixture_reopen(fixture);
    assert_same(sum_of(fixture, "orders"), 0);
}

#define FAULT_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(a_group_that_failed_is_tried_again_whole_and_once),
        FAULT_TEST(who_waits_is_answered_with_the_error_and_not_applied_later),
        FAULT_TEST(a_job_is_answered_or_kept_as_it_asked),
        FAULT_TEST(jobs_are_tried_alone_when_the_deltas_do_not_fit),
        FAULT_TEST(a_job_that_the_store_fails_is_tried_again_with_its_group),
        FAULT_TEST(a_commit_that_holds_after_all_is_not_applied_twice),
        FAULT_TEST(after_a_panic_the_environment_is_opened_again),
        FAULT_TEST(after_a_panic_readers_get_in_before_the_writer_tries_again),
        FAULT_TEST(a_reader_waits_a_moment_for_a_reopening),
        FAULT_TEST(the_reopening_waits_for_readers),
        FAULT_TEST(a_reopening_that_fails_is_tried_again),
        FAULT_TEST(what_cannot_be_opened_for_writing_is_read_meanwhile),
        FAULT_TEST(stopping_tries_again_for_a_while),
        FAULT_TEST(what_cannot_be_stored_at_the_end_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
