#include <pthread.h>
#include <semaphore.h>

#include "base/counters.h"
#include "fixture.h"

/* --- merging --- */

static void what_was_committed_is_read_in_a_new_snapshot(void **state)
{
    struct fixture *fixture = *state;
    post(fixture, one_sample(METRIC_COUNTER, "orders", "plan=pro", 3, AT(MINUTE, 5)));
    commit(fixture);

    struct aggregate orders = read_all(fixture, METRIC_COUNTER, "orders");
    assert_same(aggregate_sum(&orders), 3);
    assert_same(aggregate_count(&orders), 1);
    assert_int_equal(orders.first_at, AT(MINUTE, 5));
    assert_int_equal(commit_number(fixture), 1);
}

static void deltas_of_one_group_merge_into_one_commit(void **state)
{
    struct fixture *fixture = *state;
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 5)));
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 4, AT(MINUTE, 2)));
    commit(fixture);

    struct aggregate orders = read_all(fixture, METRIC_COUNTER, "orders");
    assert_same(aggregate_sum(&orders), 7);
    assert_same(orders.first, 4);
    assert_same(orders.last, 3);
    assert_int_equal(commit_number(fixture), 1);
}

static void a_later_group_merges_with_what_is_stored(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 1; i <= 3; i++) {
        post(fixture, one_sample(METRIC_COUNTER, "orders", "", i, AT(MINUTE, i)));
        commit(fixture);
    }
    fixture_reopen(fixture);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 4, AT(MINUTE, 4)));
    commit(fixture);

    struct aggregate orders = read_all(fixture, METRIC_COUNTER, "orders");
    assert_same(aggregate_sum(&orders), 10);
    assert_same(orders.min, 1);
    assert_same(orders.max, 4);
    assert_int_equal(commit_number(fixture), 4);
}

/* FIG-32: stock 5 and 7, both stamped 09:00, arriving in that order: 7. */
static void of_two_levels_at_one_time_the_later_arrival_wins(void **state)
{
    struct fixture *fixture = *state;
    for (int order = 0; order < 2; order++) {
        struct delta *deltas[2];
        for (uint64_t i = 0; i < 2; i++) {
            deltas[i] = delta_new();
            uint32_t series = add_series(deltas[i], METRIC_GAUGE, order == 0 ? "one" : "other", "");
            struct delta_cell *cell = delta_add_cell(deltas[i], series, MINUTE);
            aggregate_add(&cell->cell.aggregate, i == 0 ? 5 : 7, WEIGHT_ONE, AT(MINUTE, 0),
                          100 + i);
        }
        post(fixture, deltas[order]);
        post(fixture, deltas[1 - order]);
        commit(fixture);
    }
    assert_same(last_in(fixture, "one", MINUTE), 7);
    assert_same(last_in(fixture, "other", MINUTE), 7);
}

static void a_delta_without_keys_finds_its_series_by_hash(void **state)
{
    struct fixture *fixture = *state;
    post(fixture, one_sample(METRIC_COUNTER, "orders", "a=b", 1, AT(MINUTE, 0)));
    commit(fixture);
    for (int i = 0; i < 2; i++) {
        struct delta *delta = one_sample(METRIC_COUNTER, "orders", "a=b", 1, AT(MINUTE, 1));
        delta->series[0].key = STR_EMPTY;
        post(fixture, delta);
        commit(fixture);
        fixture_reopen(fixture); /* the second time nothing is in memory */
    }
    assert_same(sum_of(fixture, "orders"), 3);
}

static void a_key_with_the_hash_of_another_series_is_rejected(void **state)
{
    struct fixture *fixture = *state;
    struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 0));
    struct series_hash hash = delta->series[0].hash;
    post(fixture, delta);
    commit(fixture);
    for (int i = 0; i < 2; i++) {
        delta = one_sample(METRIC_COUNTER, "visits", "", 5, AT(MINUTE, 0));
        delta->series[0].hash = hash;
        post(fixture, delta);
        commit(fixture);
        fixture_reopen(fixture);
    }
    assert_same(sum_of(fixture, "orders"), 1);
    assert_same(sum_of(fixture, "visits"), 0);
}

static void a_hash_that_was_never_stored_takes_nothing_else_with_it(void **state)
{
    struct fixture *fixture = *state;
    struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 0));
    add_sample(delta, add_series(delta, METRIC_COUNTER, "visits", ""), 2, AT(MINUTE, 0));
    delta->series[0].key = STR_EMPTY;
    post(fixture, delta);
    commit(fixture);
    assert_same(sum_of(fixture, "orders"), 0);
    assert_same(sum_of(fixture, "visits"), 2);
}

static void keys_longer_than_an_lmdb_key_are_fine(void **state)
{
    struct fixture *fixture = *state;
    char name[METRIC_NAME_MAX + 1];
    char other[METRIC_NAME_MAX + 1];
    char labels[3100] = "path=";

    memset(name, 'n', METRIC_NAME_MAX);
    name[METRIC_NAME_MAX] = '\0';
    (void)snprintf(other, sizeof other, "%s", name);
    other[METRIC_NAME_MAX - 1] = 'o'; /* differs where a key in LMDB is long cut */
    memset(labels + 5, 'x', 3000);
    labels[3005] = '\0';
    for (int i = 0; i < 2; i++) {
        post(fixture, one_sample(METRIC_COUNTER, name, labels, 1, AT(MINUTE, 0)));
        post(fixture, one_sample(METRIC_COUNTER, other, labels, 10, AT(MINUTE, 0)));
        commit(fixture);
        fixture_reopen(fixture);
    }
    assert_same(sum_of(fixture, name), 2);
    assert_same(sum_of(fixture, other), 20);

    struct metric_facts facts;
    struct read_txn *txn = read_begin(fixture);
    query_metric(txn, str_of(name), &facts);
    assert_true(facts.seen);
    assert_int_equal(facts.series, 1);
    read_txn_end(txn);
}

static void many_series_and_minutes_come_back_exactly(void **state)
{
    struct fixture *fixture = *state;
    enum { SERIES = 300, MINUTES = 5 };
    for (int round = 0; round < 2; round++) {
        struct delta *delta = delta_new();
        for (int i = 0; i < SERIES; i++) {
            char labels[32];
            (void)snprintf(labels, sizeof labels, "n=%d", i);
            uint32_t series = add_series(delta, METRIC_COUNTER, "hits", labels);
            for (int m = 0; m < MINUTES; m++)
                add_sample(delta, series, i + m, AT(MINUTE + (m * 7) % MINUTES, round));
        }
        post(fixture, delta);
        commit(fixture);
    }
    double expected = 0;
    for (int i = 0; i < SERIES; i++) {
        for (int m = 0; m < MINUTES; m++)
            expected += 2 * (i + m);
    }
    assert_same(sum_of(fixture, "hits"), expected);

    struct store_usage usage;
    struct read_txn *txn = read_begin(fixture);
    store_usage(txn, &usage);
    assert_int_equal(usage.series, SERIES);
    assert_true(usage.used_bytes > 20 * 1024 && usage.used_bytes < 2 * 1024 * 1024);
    read_txn_end(txn);
}

static void uniques_merge_as_sets(void **state)
{
    struct fixture *fixture = *state;
    static const char *const groups[2][2] = {{"ada", "bob"}, {"bob", "cid"}};
    for (int i = 0; i < 2; i++) {
        struct delta *delta = delta_new();
        uint32_t series = add_series(delta, METRIC_UNIQUE, "users", "");
        struct delta_cell *cell = delta_add_cell(delta, series, MINUTE);
        cell->cell.distinct = distinct_new();
        for (int j = 0; j < 2; j++)
            distinct_add(cell->cell.distinct, str_of(groups[i][j]));
        post(fixture, delta);
        commit(fixture);
    }
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;
    struct cell cell = CELL_EMPTY;
    struct read_txn *txn = read_begin(fixture);
    const struct selector selector = {.metric = STR("users"), .kind = METRIC_UNIQUE};
    struct query query = {.from = AT(MINUTE, 0), .to = AT(MINUTE + 1, 0)};
    query.series = query_select(txn, &selector, &arena, &query.series_count);
    assert_true(query_cells(txn, &query, keep_cell, &cell, &coverage, &err));
    assert_in_range((int)(distinct_estimate(cell.distinct) * 100), 299, 301);
    cell_fini(&cell);
    read_txn_end(txn);
    arena_fini(&arena);
}

/* --- relative gauges (S7) --- */

static void changes_before_any_level_start_from_zero(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) { /* one a delta, so that the second starts from the first */
        struct delta *delta = delta_new();
        add_change(delta, add_series(delta, METRIC_GAUGE, "gd", ""), -50, AT(MINUTE, i));
        post(fixture, delta);
        commit(fixture);
    }
    struct aggregate gauge = read_all(fixture, METRIC_GAUGE, "gd");
    assert_same(gauge.last, -100);
    assert_same(gauge.max, -50);
    assert_same(aggregate_count(&gauge), 2);
}

static void changes_start_from_the_last_level_also_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    post(fixture, one_sample(METRIC_GAUGE, "stock", "", 333, AT(MINUTE, 0)));
    commit(fixture);
    fixture_reopen(fixture);
    const double changes[] = {-10, 4};
    const double levels[] = {323, 327};
    for (int i = 0; i < 2; i++) {
        struct delta *delta = delta_new();
        add_change(delta, add_series(delta, METRIC_GAUGE, "stock", ""), changes[i],
                   AT(MINUTE + 3 * (i + 1), 0));
        post(fixture, delta);
        commit(fixture);
        fixture_reopen(fixture);
        assert_same(last_in(fixture, "stock", MINUTE + 3 * (i + 1)), levels[i]);
    }
}

static void changes_go_on_across_the_minutes_of_one_delta(void **state)
{
    struct fixture *fixture = *state;
    struct delta *delta = delta_new();
    uint32_t series = add_series(delta, METRIC_GAUGE, "stock", "");
    add_change(delta, series, 7, AT(MINUTE + 2, 0)); /* not in order */
    add_change(delta, series, 5, AT(MINUTE, 0));
    add_sample(delta, series, 100, AT(MINUTE + 1, 0));
    post(fixture, delta);
    commit(fixture);
    assert_same(last_in(fixture, "stock", MINUTE), 5);
    assert_same(last_in(fixture, "stock", MINUTE + 1), 100);
    assert_same(last_in(fixture, "stock", MINUTE + 2), 107);
}

static void an_absolute_value_after_changes_in_one_cell_is_the_level(void **state)
{
    struct fixture *fixture = *state;
    struct delta *delta = delta_new();
    uint32_t series = add_series(delta, METRIC_GAUGE, "stock", "");
    add_change(delta, series, 5, AT(MINUTE, 1));
    add_sample(delta, series, 40, AT(MINUTE, 2));
    post(fixture, delta);
    commit(fixture);
    delta = delta_new();
    add_change(delta, add_series(delta, METRIC_GAUGE, "stock", ""), 2, AT(MINUTE, 3));
    post(fixture, delta);
    commit(fixture);

    struct aggregate stock = read_all(fixture, METRIC_GAUGE, "stock");
    assert_same(stock.first, 5);
    assert_same(stock.last, 42);
    assert_same(stock.max, 42);
    assert_same(aggregate_count(&stock), 3);
}

static void two_deltas_of_one_group_apply_in_the_order_of_time(void **state)
{
    struct fixture *fixture = *state;
    struct delta *later = delta_new();
    struct delta *earlier = delta_new();
    add_change(later, add_series(later, METRIC_GAUGE, "stock", ""), 1, AT(MINUTE, 30));
    add_sample(earlier, add_series(earlier, METRIC_GAUGE, "stock", ""), 90, AT(MINUTE, 10));
    post(fixture, later);
    post(fixture, earlier);
    commit(fixture);
    assert_same(last_in(fixture, "stock", MINUTE), 91);
}

/* Connections on several threads count one gauge up and down: whatever was handed over first, no
 * change is lost. */
static void interleaved_changes_of_two_senders_add_up(void **state)
{
    struct fixture *fixture = *state;
    for (int together = 0; together < 2; together++) {
        const char *name = together ? "together" : "apart";
        struct delta *one = delta_new();
        uint32_t series = add_series(one, METRIC_GAUGE, name, "");
        add_change(one, series, 1, AT(MINUTE, 10));
        add_change(one, series, 1, AT(MINUTE, 40));
        struct delta *other = delta_new();
        add_change(other, add_series(other, METRIC_GAUGE, name, ""), 3, AT(MINUTE, 20));
        post(fixture, one);
        if (!together)
            commit(fixture);
        post(fixture, other);
        commit(fixture);
        assert_same(last_in(fixture, name, MINUTE), 5);
    }
}

static void a_change_from_before_an_absolute_value_does_not_move_the_level(void **state)
{
    struct fixture *fixture = *state;
    struct delta *delta = delta_new();
    add_change(delta, add_series(delta, METRIC_GAUGE, "stock", ""), 7, AT(MINUTE, 1));
    post(fixture, delta);
    post(fixture, one_sample(METRIC_GAUGE, "stock", "", 100, AT(MINUTE, 30)));
    commit(fixture);
    delta = delta_new();
    add_change(delta, add_series(delta, METRIC_GAUGE, "stock", ""), 3, AT(MINUTE, 20));
    post(fixture, delta);
    commit(fixture);

    struct aggregate stock = read_all(fixture, METRIC_GAUGE, "stock");
    assert_same(stock.last, 100);
    assert_same(aggregate_sum(&stock), 7 + 100 + 10);
}

/* --- the ledger and the facts --- */

static bool keep_ledger(struct str listener, const struct ledger *ledger, void *arg)
{
    struct ledger *out = arg;
    assert_true(ledger_balances(ledger));
    if (str_is(listener, "statsd udp"))
        *out = *ledger;
    else
        assert_string_equal(listener.text == NULL ? "" : "tcp", "tcp");
    return true;
}

static void the_ledger_adds_up_and_balances(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3; i++) {
        struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, i));
        add_counts(delta, "statsd udp", 10, 2);
        add_counts(delta, "statsd tcp", 5, 0);
        post(fixture, delta);
        if (i == 1) {
            commit(fixture);
            fixture_reopen(fixture);
        }
    }
    commit(fixture);
    struct ledger udp = {0};
    struct read_txn *txn = read_begin(fixture);
    query_ledgers(txn, keep_ledger, &udp);
    read_txn_end(txn);
    assert_int_equal(udp.received, 36);
    assert_int_equal(udp.stored, 30);
    assert_int_equal(udp.rejected[REJECT_malformed], 6);
}

static void facts_of_a_metric_are_kept_over_groups_and_restarts(void **state)
{
    struct fixture *fixture = *state;
    post(fixture, one_sample(METRIC_COUNTER, "orders", "a=1", 1, AT(MINUTE + 5, 0)));
    post(fixture, one_sample(METRIC_COUNTER, "orders", "a=2", 1, AT(MINUTE + 9, 30)));
    commit(fixture);
    fixture_reopen(fixture);
    post(fixture, one_sample(METRIC_GAUGE, "orders", "", 1, AT(MINUTE - 3, 0)));
    struct delta *delta = delta_new();
    add_change(delta, add_series(delta, METRIC_GAUGE, "visits", ""), 1, AT(MINUTE + 11, 0));
    post(fixture, delta);
    commit(fixture);

    struct metric_facts facts;
    struct read_txn *txn = read_begin(fixture);
    query_metric(txn, STR("orders"), &facts);
    assert_true(facts.seen);
    assert_int_equal(facts.kinds, 1 << METRIC_COUNTER | 1 << METRIC_GAUGE);
    assert_int_equal(facts.series, 3);
    struct error err = ERROR_EMPTY;
    wall_ms first = WALL_NONE;
    wall_ms last = WALL_NONE;
    struct coverage coverage = COVERAGE_EMPTY;
    assert_true(query_metric_times(txn, STR("orders"), &first, &last, &coverage, &err));
    assert_int_equal(first, AT(MINUTE - 3, 0));
    assert_int_equal(last, AT(MINUTE + 9, 30));
    assert_true(query_metric_times(txn, STR("visits"), NULL, &last, &coverage, &err));
    assert_int_equal(last, AT(MINUTE + 11, 0));
    query_metric(txn, STR("order"), &facts);
    assert_false(facts.seen);
    assert_int_equal(query_newest(txn), AT(MINUTE + 11, 0));
    read_txn_end(txn);
}

/* --- jobs and answers --- */

static void a_failing_job_undoes_itself_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    struct put_job before = {.key = "before", .value = "1"};
    struct put_job failing = {.key = "failing", .value = "2", .fails = true};
    struct put_job after = {.key = "after", .value = "3"};
    post_put(fixture, &before);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 5)));
    post_put(fixture, &failing);
    post_put(fixture, &after);
    commit(fixture);

    assert_true(before.answer.ok && after.answer.ok);
    assert_false(failing.answer.ok);
    assert_int_equal(failing.answer.calls, 1);
    assert_string_equal(failing.answer.err.text, "the job does not like 'failing'");
    assert_true(has_record(fixture, "before", "1") && has_record(fixture, "after", "3"));
    assert_false(has_record(fixture, "failing", "2"));
    assert_same(sum_of(fixture, "orders"), 3);
    assert_int_equal(commit_number(fixture), 1);
}

static void what_writes_nothing_makes_no_commit(void **state)
{
    struct fixture *fixture = *state;
    struct put_job failing = {.key = "failing", .value = "2", .fails = true};
    post_put(fixture, &failing);
    post(fixture, delta_new());
    commit(fixture);
    assert_int_equal(failing.answer.calls, 1);
    assert_int_equal(commit_number(fixture), 0);
}

static bool run_reader(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    struct put_job *put = (struct put_job *)job;
    (void)err;
    struct aggregate orders =
        read_in(write_txn_reader(txn), METRIC_COUNTER, "orders", AT(MINUTE, 0), AT(MINUTE + 1, 0));
    put->runs = (int)aggregate_sum(&orders);
    return true;
}

static void a_job_sees_the_deltas_of_its_group(void **state)
{
    struct fixture *fixture = *state;
    struct put_job reader = {.job = {.run = run_reader, .done = on_put_job_done}};
    writer_post_job(fixture->writer, &reader.job);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 5)));
    commit(fixture);
    assert_int_equal(reader.runs, 3);
    assert_true(reader.answer.ok);
}

/* Looks at the store from the answer: it must be there by then. */
struct check {
    struct fixture *fixture;
    double sum;
};

static void on_done_read(struct delta *delta, const struct error *err)
{
    struct check *check = delta->on_done_arg;
    assert_null(err);
    check->sum = sum_of(check->fixture, "orders");
}

static void a_waiting_delta_is_answered_after_the_commit(void **state)
{
    struct fixture *fixture = *state;
    struct check check = {fixture, 0};
    struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 5));
    delta->on_done = on_done_read;
    delta->on_done_arg = &check;
    post(fixture, delta);
    commit(fixture);
    assert_same(check.sum, 3);
}

static void a_full_mailbox_refuses_who_waits_and_takes_who_does_not(void **state)
{
    struct fixture *fixture = *state;
    struct answer answers[9] = {0};

    for (int i = 0; i < 8; i++) {
        assert_true(writer_has_room(fixture->writer));
        struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, i));
        wait_for_answer(delta, &answers[i]);
        post(fixture, delta);
    }
    assert_false(writer_has_room(fixture->writer));
    struct delta *refused = one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 30));
    wait_for_answer(refused, &answers[8]);
    assert_false(writer_post_delta(fixture->writer, refused));
    delta_free(refused);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 31)));
    commit(fixture);

    assert_int_equal(answers[8].calls, 0);
    assert_true(answers[7].ok);
    assert_same(sum_of(fixture, "orders"), 9);
    assert_true(writer_has_room(fixture->writer));
}

static void too_many_bytes_leave_no_room_and_come_back(void **state)
{
    struct fixture *fixture = *state;
    struct answer waits = {0};
    struct answer kept = {0};
    const struct writer_options options = {.mailbox_capacity = 8, .waiting_bytes = 1};
    writer_free(fixture->writer);
    fixture->writer = writer_new(fixture->store, &options);

    assert_true(writer_has_room(fixture->writer));
    struct delta *first = one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 0));
    wait_for_answer(first, &kept);
    first->keep_trying = true;
    post(fixture, first);
    assert_false(writer_has_room(fixture->writer));
    struct delta *refused = one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 1));
    wait_for_answer(refused, &waits);
    assert_false(writer_post_delta(fixture->writer, refused));
    delta_free(refused);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 2)));
    commit(fixture);

    assert_int_equal(waits.calls, 0);
    assert_int_equal(kept.calls, 1);
    assert_true(kept.ok);
    assert_same(sum_of(fixture, "orders"), 2);
    assert_true(writer_has_room(fixture->writer));
}

static void stopping_commits_what_was_posted(void **state)
{
    struct fixture *fixture = *state;
    struct put_job job = {.key = "mark", .value = "1"};
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 3, AT(MINUTE, 5)));
    post_put(fixture, &job);
    writer_stop(fixture->writer);
    assert_true(job.answer.ok);
    fixture_reopen(fixture);
    assert_same(sum_of(fixture, "orders"), 3);
    assert_true(has_record(fixture, "mark", "1"));
}

static void the_counters_count(void **state)
{
    struct fixture *fixture = *state;
    uint64_t commits = COUNTER_GET(commits);
    uint64_t cells = COUNTER_GET(cells_written);
    uint64_t series = COUNTER_GET(series_created);
    for (int i = 0; i < 2; i++) {
        struct delta *delta = delta_new();
        uint32_t index = add_series(delta, METRIC_COUNTER, "orders", "");
        add_sample(delta, index, 1, AT(MINUTE, 0));
        add_sample(delta, index, 1, AT(MINUTE + 1, 0));
        post(fixture, delta);
        commit(fixture);
    }
    assert_int_equal(COUNTER_GET(commits) - commits, 2);
    assert_int_equal(COUNTER_GET(cells_written) - cells, 4);
    assert_int_equal(COUNTER_GET(series_created) - series, 1);
}

/* --- the clock --- */

static bool run_accept(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    struct put_job *put = (struct put_job *)job;
    struct fixture *fixture = (void *)put->key;
    return writer_accept_clock(fixture->writer, txn, err);
}

static void accept_clock(struct fixture *fixture)
{
    struct put_job job = {.job = {.run = run_accept, .done = on_put_job_done},
                          .key = (const char *)fixture};
    writer_post_job(fixture->writer, &job.job);
    commit(fixture);
    assert_true(job.answer.ok);
}

static void a_clock_that_jumped_is_suspect_until_somebody_accepts_it(void **state)
{
    struct fixture *fixture = *state;
    struct error why = ERROR_EMPTY;

    clock_set_for_test(AT(MINUTE, 0));
    fixture_reopen(fixture);
    assert_false(writer_clock_is_suspect(fixture->writer, &why));
    accept_clock(fixture);

    clock_set_for_test(AT(MINUTE + 3 * 1440, 0));
    fixture_reopen(fixture);
    assert_true(writer_clock_is_suspect(fixture->writer, &why));
    assert_non_null(strstr(why.text, "the clock may be wrong: it said 2025-02-22T"));
    assert_non_null(strstr(why.hint, "kpictl clock accept"));
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 0)));
    commit(fixture);
    assert_same(sum_of(fixture, "orders"), 1); /* input is taken */

    accept_clock(fixture);
    assert_false(writer_clock_is_suspect(fixture->writer, &why));
    fixture_reopen(fixture);
    assert_false(writer_clock_is_suspect(fixture->writer, &why));
    clock_set_for_test(WALL_NONE);
}

/* --- background work --- */

static void work_in_the_background_goes_on_while_there_is_always_more_to_commit(void **state)
{
    struct fixture *fixture = *state;
    static const struct upkeep_options options = {.fanout = 3};
    struct answer last = {0};
    enum { DELTAS = 12, SERIES = 400, MINUTES = 150 };

    writer_set_upkeep(fixture->writer, &options);
    for (int n = 0; n < DELTAS; n++) {
        struct delta *delta = delta_new();
        for (int i = 0; i < SERIES * MINUTES; i++) {
            char labels[16];
            (void)snprintf(labels, sizeof labels, "n=%d", i / MINUTES);
            if (i % MINUTES == 0)
                (void)add_series(delta, METRIC_COUNTER, "orders", labels);
            struct delta_cell *cell =
                delta_add_cell(delta, (uint32_t)(i / MINUTES), MINUTE + i % MINUTES);
            aggregate_add(&cell->cell.aggregate, 1, WEIGHT_ONE, AT(MINUTE, 0), 1);
        }
        if (n + 1 == DELTAS) {
            wait_for_answer(delta, &last);
            delta->keep_trying = true;
        }
        post(fixture, delta);
    }
    uint64_t numbers = commit_number(fixture);
    uint64_t commits = COUNTER_GET(commits);
    commit(fixture);
    while (last.calls == 0)
        (void)event_base_loop(thread_base(writer_thread(fixture->writer)), EVLOOP_ONCE);
    commits = COUNTER_GET(commits) - commits;
    assert_true(commits > 10);
    assert_true(commit_number(fixture) - numbers > commits);
    assert_same(sum_of(fixture, "orders"), (double)DELTAS * SERIES * MINUTES);
}

/* --- a full store --- */

static void a_full_store_refuses_input_and_still_takes_jobs(void **state)
{
    struct fixture *fixture = *state;
    struct answer waits = {0};
    struct answer kept = {0};
    fixture_close(fixture);
    fixture->max_size = 300 * 1024;
    fixture_open(fixture);

    char labels[2048] = "x=";
    memset(labels + 2, 'x', 1500);
    int posted = 0;
    while (writer_has_room(fixture->writer) && posted < 1000) {
        (void)snprintf(labels + 1502, 20, "%d", posted++);
        post(fixture, one_sample(METRIC_COUNTER, "orders", labels, 1, AT(MINUTE, 0)));
        commit(fixture);
    }
    assert_in_range(posted, 20, 400);
    assert_true(writer_is_failing(fixture->writer));

    struct delta *delta = one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 0));
    struct delta *patient = one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 0));
    struct put_job job = {.key = "mark", .value = "1"};
    wait_for_answer(delta, &waits);
    post(fixture, delta);
    wait_for_answer(patient, &kept);
    patient->keep_trying = true;
    post(fixture, patient);
    post_put(fixture, &job);
    commit(fixture);
    assert_true(job.answer.ok);
    assert_true(has_record(fixture, "mark", "1"));
    assert_int_equal(waits.calls, 1);
    assert_int_equal(kept.calls, 0);
    assert_false(waits.ok);
    assert_int_equal(waits.err.kind, ERROR_FULL);
    assert_non_null(strstr(waits.err.text, "is full: it holds"));
    assert_non_null(strstr(waits.err.hint, "storage.max_size"));

    /* With more room, what nobody waited for is stored, and what was refused is not. */
    double before = sum_of(fixture, "orders");
    assert_same(before, posted - 1);
    writer_free(fixture->writer); /* says how much is lost */
    assert_int_equal(kept.calls, 1);
    assert_false(kept.ok);
    store_close(fixture->store);
    fixture->max_size = BIG_SIZE;
    fixture_open(fixture);
    assert_same(sum_of(fixture, "orders"), before);
    post(fixture, one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 0)));
    commit(fixture);
    assert_same(sum_of(fixture, "orders"), before + 1);
}

/* --- threads --- */

enum { SENDERS = 3, DELTAS_EACH = 60 };

struct sender {
    struct fixture *fixture;
    int number;
    sem_t done;
    pthread_t id;
};

static void on_sent(struct delta *delta, const struct error *err)
{
    struct sender *sender = delta->on_done_arg;
    assert_null(err);
    (void)sem_post(&sender->done);
}

/* Every tenth delta waits for its answer, and then sees itself in a snapshot. */
static void *send_deltas(void *arg)
{
    struct sender *sender = arg;
    for (int i = 0; i < DELTAS_EACH; i++) {
        struct delta *delta =
            one_sample(METRIC_COUNTER, "orders", i % 2 ? "a=1" : "a=2", 1, AT(MINUTE, i % 60));
        add_change(delta, add_series(delta, METRIC_GAUGE, "level", ""), i % 2 ? 2 : -1,
                   AT(MINUTE, i % 60));
        add_counts(delta, "statsd udp", 2, 0);
        bool waits = i % 10 == 9;
        if (waits) {
            delta->on_done = on_sent;
            delta->on_done_arg = sender;
        }
        while (!writer_post_delta(sender->fixture->writer, delta))
            (void)sched_yield();
        if (waits) {
            (void)sem_wait(&sender->done);
            if (sum_of(sender->fixture, "orders") < i + 1)
                abort();
        }
    }
    return NULL;
}

static void several_threads_send_and_nothing_is_lost(void **state)
{
    struct fixture *fixture = *state;
    struct sender senders[SENDERS];
    struct error err = ERROR_EMPTY;

    assert_true(writer_start(fixture->writer, &err));
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.fixture = fixture, .number = i};
        assert_int_equal(sem_init(&senders[i].done, 0, 0), 0);
        assert_int_equal(pthread_create(&senders[i].id, NULL, send_deltas, &senders[i]), 0);
    }
    double before = 0;
    for (int i = 0; i < 50; i++) { /* a reader's count never falls */
        double sum = sum_of(fixture, "orders");
        assert_true(sum >= before && sum <= SENDERS * DELTAS_EACH);
        before = sum;
    }
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(senders[i].id, NULL), 0);
        (void)sem_destroy(&senders[i].done);
    }
    writer_stop(fixture->writer);
    assert_same(sum_of(fixture, "orders"), SENDERS * DELTAS_EACH);
    struct ledger udp = {0};
    struct read_txn *txn = read_begin(fixture);
    query_ledgers(txn, keep_ledger, &udp);
    struct aggregate level = read_in(txn, METRIC_GAUGE, "level", AT(MINUTE, 0), AT(MINUTE + 1, 0));
    read_txn_end(txn);
    assert_int_equal(udp.stored, SENDERS * DELTAS_EACH * 2);
    assert_same(level.last, SENDERS * DELTAS_EACH / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_was_committed_is_read_in_a_new_snapshot),
        STORE_TEST(deltas_of_one_group_merge_into_one_commit),
        STORE_TEST(a_later_group_merges_with_what_is_stored),
        STORE_TEST(of_two_levels_at_one_time_the_later_arrival_wins),
        STORE_TEST(a_delta_without_keys_finds_its_series_by_hash),
        STORE_TEST(a_key_with_the_hash_of_another_series_is_rejected),
        STORE_TEST(a_hash_that_was_never_stored_takes_nothing_else_with_it),
        STORE_TEST(keys_longer_than_an_lmdb_key_are_fine),
        STORE_TEST(many_series_and_minutes_come_back_exactly),
        STORE_TEST(uniques_merge_as_sets),
        STORE_TEST(changes_before_any_level_start_from_zero),
        STORE_TEST(changes_start_from_the_last_level_also_after_a_restart),
        STORE_TEST(changes_go_on_across_the_minutes_of_one_delta),
        STORE_TEST(an_absolute_value_after_changes_in_one_cell_is_the_level),
        STORE_TEST(two_deltas_of_one_group_apply_in_the_order_of_time),
        STORE_TEST(interleaved_changes_of_two_senders_add_up),
        STORE_TEST(a_change_from_before_an_absolute_value_does_not_move_the_level),
        STORE_TEST(the_ledger_adds_up_and_balances),
        STORE_TEST(facts_of_a_metric_are_kept_over_groups_and_restarts),
        STORE_TEST(a_failing_job_undoes_itself_and_nothing_else),
        STORE_TEST(what_writes_nothing_makes_no_commit),
        STORE_TEST(a_job_sees_the_deltas_of_its_group),
        STORE_TEST(a_waiting_delta_is_answered_after_the_commit),
        STORE_TEST(a_full_mailbox_refuses_who_waits_and_takes_who_does_not),
        STORE_TEST(too_many_bytes_leave_no_room_and_come_back),
        STORE_TEST(stopping_commits_what_was_posted),
        STORE_TEST(the_counters_count),
        STORE_TEST(a_clock_that_jumped_is_suspect_until_somebody_accepts_it),
        STORE_TEST(work_in_the_background_goes_on_while_there_is_always_more_to_commit),
        STORE_TEST(a_full_store_refuses_input_and_still_takes_jobs),
        STORE_TEST(several_threads_send_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
