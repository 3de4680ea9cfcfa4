/* A store in a temporary directory whose writer's mailbox is drained on the test's thread, and an
 * event with all its parts. */
#pragma once

#include "alert/event.h"
#include "alert/outbox.h"
#include "base/memory.h"
#include "base/thread.h"
#include "directory.h"
#include "store/record.h"
#include "store/writer.h"
#include "test.h"

#define NOW INT64_C(1793149500000) /* 2026-10-28 02:05 in Berlin */

struct fixture {
    char path[64];
    struct store *store;
    struct writer *writer;
};

static inline void fixture_open(struct fixture *fixture)
{
    struct error err = ERROR_EMPTY;
    const struct store_options options = {fixture->path, UINT64_C(1) << 30};
    const struct writer_options writer_options = {.retry_ms = 1};

    fixture->store = store_open(&options, &err);
    if (fixture->store == NULL)
        fail_msg("%s", err.text);
    fixture->writer = writer_new(fixture->store, &writer_options);
}

static inline void fixture_close(struct fixture *fixture)
{
    writer_free(fixture->writer);
    store_close(fixture->store);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = memory_zero(1, sizeof *fixture);
    make_directory(fixture->path);
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

static inline struct read_txn *read_begin(struct fixture *fixture)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_txn_begin(fixture->store, &err);
    if (txn == NULL)
        fail_msg("%s", err.text);
    return txn;
}

/* Runs `call` inside a transaction of the writer, on this thread unless the writer has one; whether
 * it was committed. */
typedef bool (*write_fn)(struct write_txn *txn, void *arg, struct error *err);

struct write_job {
    struct writer_job job; /* first */
    write_fn call;
    void *arg;
    _Atomic int answer; /* 0 none yet, 1 committed, 2 not */
};

static inline bool run_write_job(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    struct write_job *write = (struct write_job *)job;
    return write->call(txn, write->arg, err);
}

static inline void on_write_done(struct writer_job *job, const struct error *err)
{
    struct write_job *write = (struct write_job *)job;
    write->answer = err == NULL ? 1 : 2;
}

static inline bool write_in(struct fixture *fixture, write_fn call, void *arg)
{
    struct write_job write = {.job.run = run_write_job, .call = call, .arg = arg};
    write.job.done = on_write_done;
    writer_post_job(fixture->writer, &write.job);
    (void)mailbox_drain(thread_mailbox(writer_thread(fixture->writer)));
    assert_int_not_equal(write.answer, 0);
    return write.answer == 1;
}

static inline struct event event_of_rule(const char *rule, enum event_type type)
{
    struct event event = {.type = type,
                          .at = NOW,
                          .alert_id = STR("0123456789abcdef0123456789abcdef"),
                          .rule = str_of(rule),
                          .kpi = STR("churn"),
                          .title = STR("Churn"),
                          .severity = STR("critical"),
                          .status = STR("behind"),
                          .unit = STR("%"),
                          .value_text = STR("2.4 %"),
                          .target_text = STR("at most 2 %"),
                          .period = STR("2026-10"),
                          .text = STR("Churn: 2.4 %, target 2 % (2026-10)"),
                          .action = STR("Call the five largest accounts that left"),
                          .runbook = STR("https://wiki.acme.example/churn"),
                          .has_value = true,
                          .value = 2.4,
                          .has_target = true,
                          .target = 2,
                          .period_from = INT64_C(1790805600000),
                          .period_to = INT64_C(1793487600000),
                          .period_from_text = STR("2026-10-01T00:00:00+02:00"),
                          .period_to_text = STR("2026-11-01T00:00:00+01:00"),
                          .at_text = STR("2026-10-28T02:05:00+01:00")};
    return event;
}

struct push {
    const char *rule;
    enum event_type type;
    const char *hooks[4];
    size_t hook_count;
    wall_ms now;
    char id[33]; /* of the event, afterwards */
};

static inline bool run_push(struct write_txn *txn, void *arg, struct error *err)
{
    struct push *push = arg;
    struct event event = event_of_rule(push->rule, push->type);
    bool ok = outbox_push(txn, &event, push->hooks, push->hook_count, push->now, err);
    memcpy(push->id, event.id, sizeof push->id);
    return ok;
}

static inline struct outbox_facts facts_of(struct fixture *fixture, const char *hook)
{
    struct outbox_facts facts;
    struct read_txn *txn = read_begin(fixture);
    outbox_facts(txn, str_of(hook), &facts);
    read_txn_end(txn);
    return facts;
}
