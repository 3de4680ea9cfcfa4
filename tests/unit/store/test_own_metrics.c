/* What kpid counts of itself comes into its own store once: over restarts, for listeners that come
 * later, without a ledger of its own, and without being a reason for more. */
#include "fixture.h"
#include "store/own_metrics.h"
#include "store/parts.h"

static const char UDP[] = "statsd udp:127.0.0.1:8125";
static const char TCP[] = "statsd tcp:127.0.0.1:8125";
static const char PUSH[] = "json control";

static const struct own_listener LISTENERS[] = {{.name = UDP}};

/* Counts of a listener come in as they do: with a delta. */
static void count(struct fixture *fixture, const char *listener, uint64_t stored, uint64_t wrong)
{
    struct delta *delta = delta_new();
    add_counts(delta, listener, stored, wrong);
    post(fixture, delta);
    commit(fixture);
}

/* Looks and posts; whether there was something. */
static bool look_at(struct fixture *fixture, struct own_metrics *own,
                    const struct own_listener *listeners, size_t listener_count, wall_ms now)
{
    struct delta *delta = own_metrics_look(own, listeners, listener_count, now);

    clock_set_for_test(now);
    if (delta == NULL)
        return false;
    assert_int_equal(delta->ledger_count, 0);
    assert_false(delta_is_waited_for(delta));
    post(fixture, delta);
    commit(fixture);
    return true;
}

static bool look(struct fixture *fixture, struct own_metrics *own, int second)
{
    return look_at(fixture, own, LISTENERS, 1, AT(MINUTE, second));
}

/* The sum of a metric's series with a label. */
static double sum_by(struct fixture *fixture, const char *metric, const char *label,
                     const char *value)
{
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;
    struct cell cell = CELL_EMPTY;
    const struct str values[] = {str_of(value)};
    const struct label_match match = {str_of(label), MATCH_EQUAL, values, 1};
    const struct selector selector = {str_of(metric), METRIC_COUNTER, &match, 1};
    struct query query = {
        .from = AT(MINUTE - 1000, 0), .to = AT(MINUTE + 1000, 0), .merge_series = true};
    struct read_txn *txn = read_begin(fixture);

    query.series = query_select(txn, &selector, &arena, &query.series_count);
    if (!query_cells(txn, &query, keep_cell, &cell, &coverage, &err))
        fail_msg("%s", err.text);
    double sum = aggregate_sum(&cell.aggregate);
    cell_fini(&cell);
    read_txn_end(txn);
    arena_fini(&arena);
    return sum;
}

static bool is_seen(struct fixture *fixture, const char *metric)
{
    struct metric_facts facts;
    struct read_txn *txn = read_begin(fixture);
    query_metric(txn, str_of(metric), &facts);
    read_txn_end(txn);
    return facts.seen;
}

static bool add_up(struct str listener, const struct ledger *ledger, void *arg)
{
    uint64_t *received = arg;
    assert_true(ledger_balances(ledger));
    assert_true(str_is(listener, UDP) || str_is(listener, TCP) || str_is(listener, PUSH));
    *received += ledger->received;
    return true;
}

static uint64_t received(struct fixture *fixture)
{
    uint64_t sum = 0;
    struct read_txn *txn = read_begin(fixture);
    query_ledgers(txn, add_up, &sum);
    read_txn_end(txn);
    return sum;
}

static void everything_is_known_and_0_before_anything_went_wrong(void **state)
{
    struct fixture *fixture = *state;
    struct own_metrics *own = own_metrics_new(fixture->store);
    static const char *const metrics[] = {
        "kpid_samples_received_total", "kpid_samples_stored_total", "kpid_samples_rejected_total",
        "kpid_samples_dropped_total",  "kpid_kernel_drops_total",   "kpid_connections_denied_total",
        "kpid_commit_failures_total",  "kpid_samples_late_total",   "kpid_series_refused_total",
        "kpid_series_active",          "kpid_store_bytes",          "kpid_closing_late_seconds"};

    assert_true(look(fixture, own, 1));
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        if (!is_seen(fixture, metrics[i]))
            fail_msg("'%s' is not there", metrics[i]);
        assert_true(own_metrics_has(str_of(metrics[i])));
        if (strstr(metrics[i], "_total") != NULL)
            assert_same(sum_of(fixture, metrics[i]), 0);
    }
    assert_false(own_metrics_has(STR("kpid_commits_total"))); /* each post is one */
    assert_false(own_metrics_has(STR("orders")));
    own_metrics_free(own);
}

static void what_a_listener_counts_from_then_on_counts_once_by_listener_and_reason(void **state)
{
    struct fixture *fixture = *state;

    count(fixture, UDP, 100, 7); /* history */
    struct own_metrics *own = own_metrics_new(fixture->store);
    (void)look(fixture, own, 1);
    assert_same(sum_of(fixture, "kpid_samples_received_total"), 0);

    count(fixture, UDP, 10, 3);
    (void)look(fixture, own, 11);
    count(fixture, UDP, 5, 1);
    (void)look(fixture, own, 21);
    (void)look(fixture, own, 31);
    assert_same(sum_of(fixture, "kpid_samples_received_total"), 19);
    assert_same(sum_of(fixture, "kpid_samples_stored_total"), 15);
    assert_same(sum_of(fixture, "kpid_samples_rejected_total"), 4);
    assert_same(sum_by(fixture, "kpid_samples_rejected_total", "reason", "malformed"), 4);
    assert_same(sum_by(fixture, "kpid_samples_rejected_total", "reason", "bad_number"), 0);
    assert_same(sum_by(fixture, "kpid_samples_rejected_total", "listener", UDP), 4);
    assert_same(sum_of(fixture, "kpid_samples_dropped_total"), 0);
    assert_int_equal(received(fixture), 126); /* they are no listener's samples */
    own_metrics_free(own);
}

static void a_restart_counts_what_was_not_posted_and_nothing_twice(void **state)
{
    struct fixture *fixture = *state;
    struct own_metrics *own = own_metrics_new(fixture->store);

    (void)look(fixture, own, 1);
    for (int i = 0; i < 4; i++) {
        count(fixture, UDP, 2, 1);
        if (i % 2 == 0)
            (void)look(fixture, own, 10 * i + 2);
        count(fixture, UDP, 0, 1); /* committed, and then kpid is killed */
        own_metrics_free(own);
        fixture_reopen(fixture);
        own = own_metrics_new(fixture->store);
        (void)look(fixture, own, 10 * i + 5);
        assert_same(sum_of(fixture, "kpid_samples_stored_total"), 2 * (i + 1));
        assert_same(sum_of(fixture, "kpid_samples_rejected_total"), 2 * (i + 1));
    }
    own_metrics_free(own);
}

static void a_look_that_was_lost_with_its_process_is_made_up_for(void **state)
{
    struct fixture *fixture = *state;
    struct own_metrics *own = own_metrics_new(fixture->store);

    (void)look(fixture, own, 1);
    count(fixture, UDP, 0, 5);
    delta_free(own_metrics_look(own, LISTENERS, 1, AT(MINUTE, 11))); /* never committed */
    own_metrics_free(own);
    fixture_reopen(fixture);
    own = own_metrics_new(fixture->store);
    (void)look(fixture, own, 21);
    assert_same(sum_of(fixture, "kpid_samples_rejected_total"), 5);
    own_metrics_free(own);
}

static void a_listener_that_comes_later_counts_from_its_first_sample_on(void **state)
{
    struct fixture *fixture = *state;
    struct own_metrics *own = own_metrics_new(fixture->store);
    const struct own_listener both[] = {{.name = UDP}, {.name = TCP, .kernel_drops = 3}};

    (void)look(fixture, own, 1);
    count(fixture, TCP, 4, 2);
    count(fixture, PUSH, 1, 1); /* nobody says that there is one */
    (void)look_at(fixture, own, both, 2, AT(MINUTE, 11));
    assert_same(sum_by(fixture, "kpid_samples_stored_total", "listener", TCP), 4);
    assert_same(sum_by(fixture, "kpid_samples_rejected_total", "listener", PUSH), 1);
    assert_same(sum_of(fixture, "kpid_samples_received_total"), 8);
    assert_same(sum_of(fixture, "kpid_kernel_drops_total"), 3);

    own_metrics_free(own); /* and its totals are exact over a restart */
    count(fixture, TCP, 1, 0);
    fixture_reopen(fixture);
    own = own_metrics_new(fixture->store);
    (void)look_at(fixture, own, both, 2, AT(MINUTE, 21));
    assert_same(sum_by(fixture, "kpid_samples_stored_total", "listener", TCP), 5);
    own_metrics_free(own);
}

static void what_the_kernel_dropped_counts_anew_of_a_socket_that_was_opened_anew(void **state)
{
    struct fixture *fixture = *state;
    struct own_metrics *own = own_metrics_new(fixture->store);
    static const uint64_t drops[] = {10, 12, 12, 5, 6}; /* 10 of before the first look */

    for (size_t i = 0; i < sizeof drops / sizeof drops[0]; i++) {
        const struct own_listener listener = {UDP, drops[i], 2 * drops[i]};
        (void)look_at(fixture, own, &listener, 1, AT(MINUTE, (int)i));
    }
    (void)look_at(fixture, own, NULL, 0, AT(MINUTE, 9)); /* closed */
    assert_same(sum_of(fixture, "kpid_kernel_drops_total"), 2 + 5 + 1);
    assert_same(sum_of(fixture, "kpid_connections_denied_total"), 2 * (2 + 5 + 1));
    own_metrics_free(own);
}

static void counters_count_what_came_since_the_look_before(void **state)
{
    struct fixture *fixture = *state;

    COUNTER_ADD(tls_failures, 100); /* history */
    struct own_metrics *own = own_metrics_new(fixture->store);
    (void)look(fixture, own, 1);
    COUNTER_ADD(tls_failures, 2);
    (void)look(fixture, own, 11);
    COUNTER_ADD(tls_failures, 3);
    (void)look(fixture, own, 21);
    (void)look(fixture, own, 31);
    assert_same(sum_of(fixture, "kpid_tls_failures_total"), 5);
    own_metrics_free(own);
}

/* Gauges that the first post has changed are posted once more; then there is rest. */
static void nothing_is_posted_when_nothing_happens_but_once_an_hour(void **state)
{
    struct fixture *fixture = *state;
    struct own_metrics *own = own_metrics_new(fixture->store);

    count(fixture, UDP, 1, 1);
    (void)look(fixture, own, 1);
    (void)look(fixture, own, 11);
    for (int i = 21; i < 61; i += 10)
        assert_false(look(fixture, own, i));
    assert_true(look_at(fixture, own, LISTENERS, 1, AT(MINUTE + 61, 0)));
    assert_false(look_at(fixture, own, LISTENERS, 1, AT(MINUTE + 61, 10)));
    assert_same(sum_of(fixture, "kpid_samples_received_total"), 0);
    assert_int_equal(received(fixture), 2);
    own_metrics_free(own);
}

static void after_the_clock_was_set_back_all_of_it_counts_when_it_has_caught_up(void **state)
{
    struct fixture *fixture = *state;
    struct own_metrics *own = own_metrics_new(fixture->store);

    (void)look(fixture, own, 50);
    count(fixture, UDP, 1, 0);
    (void)look(fixture, own, 10);
    count(fixture, UDP, 1, 0);
    (void)look(fixture, own, 59);
    assert_same(sum_of(fixture, "kpid_samples_stored_total"), 2);
    own_metrics_free(own);
}

static bool set_closed(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    (void)job;
    return parts_set_mark(txn, MARK_CLOSED, MINUTE, err);
}

static void ignore_end(struct writer_job *job, const struct error *err)
{
    (void)job;
    assert_null(err);
}

/* A quarter of an hour is closed two minutes after its end; a start is given time to do it. */
static void it_says_how_late_quarters_are_closed(void **state)
{
    struct fixture *fixture = *state;
    struct writer_job job = {.run = set_closed, .done = ignore_end};
    static const struct {
        int second;
        double late;
    } looks[] = {{60, 0}, {16 * 60 + 59, 0}, {17 * 60 + 7, 7}, {20 * 60, 180}};

    writer_post_job(fixture->writer, &job);
    commit(fixture);
    struct own_metrics *own = own_metrics_new(fixture->store);
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
        (void)look(fixture, own, looks[i].second);
        struct aggregate late = read_all(fixture, METRIC_GAUGE, "kpid_closing_late_seconds");
        assert_same(late.last, looks[i].late);
    }
    own_metrics_free(own);

    own = own_metrics_new(fixture->store);
    (void)look(fixture, own, 90 * 60);
    assert_same(read_all(fixture, METRIC_GAUGE, "kpid_closing_late_seconds").max, 180);
    (void)look(fixture, own, 90 * 60 + 10);
    assert_same(read_all(fixture, METRIC_GAUGE, "kpid_closing_late_seconds").max, 73 * 60 + 10);
    own_metrics_free(own);
}

static void there_are_no_more_listeners_than_there_may_be(void **state)
{
    struct fixture *fixture = *state;
    struct own_metrics *own = own_metrics_new(fixture->store);
    enum { EACH = REJECT_REASON_COUNT + DROP_REASON_COUNT + 8 /* received, stored and the like */ };
    static char names[OWN_METRICS_LISTENERS_MAX + 10][16];
    struct own_listener many[OWN_METRICS_LISTENERS_MAX + 10];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(names[i], sizeof names[i], "json %zu", i);
        many[i] = (struct own_listener){.name = names[i]};
    }
    struct delta *delta = own_metrics_look(own, many, sizeof many / sizeof many[0], AT(MINUTE, 0));
    assert_non_null(delta);
    assert_true(delta->series_count < EACH * OWN_METRICS_LISTENERS_MAX + 100);
    delta_free(delta);
    own_metrics_free(own);
}

static void a_listener_that_is_closed_and_opened_again_loses_no_drops(void **state)
{
    struct fixture *fixture = *state;
    struct own_metrics *own = own_metrics_new(fixture->store);
    struct own_listener listener = {UDP, 0, 0};

    (void)look_at(fixture, own, &listener, 1, AT(MINUTE, 1));
    listener.kernel_drops = 5;
    (void)look_at(fixture, own, &listener, 1, AT(MINUTE, 11));
    (void)look_at(fixture, own, NULL, 0, AT(MINUTE, 21)); /* a reload took it away */
    listener.kernel_drops = 7; /* and another one brought it back: 7 of the new socket */
    (void)look_at(fixture, own, &listener, 1, AT(MINUTE, 31));
    assert_same(sum_of(fixture, "kpid_kernel_drops_total"), 12);
    own_metrics_free(own);
}

static void where_no_series_has_room_a_post_is_not_the_reason_of_the_next(void **state)
{
    struct fixture *fixture = *state;
    struct own_metrics *own = own_metrics_new(fixture->store);
    const struct series_limits limits = {.series = 3, .per_metric = 1000};
    int posts = 0;

    for (int i = 0; i < 3; i++) {
        char label[8];
        (void)snprintf(label, sizeof label, "a=%d", i);
        post(fixture, one_sample(METRIC_COUNTER, "orders", label, 1, AT(MINUTE, 0)));
    }
    commit(fixture);
    writer_set_limits(fixture->writer, &limits);
    for (int second = 1; second < 200; second += 10) {
        bool posted = look(fixture, own, second);
        posts += second > 60 && posted;
    }
    printf("posts of an idle store after the first minute: %d; refused %g over %g\n", posts,
           sum_of(fixture, "kpid_series_refused_total"),
           sum_of(fixture, "kpid_samples_over_limit_total"));
    assert_int_equal(posts, 0);
    own_metrics_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(everything_is_known_and_0_before_anything_went_wrong),
        STORE_TEST(what_a_listener_counts_from_then_on_counts_once_by_listener_and_reason),
        STORE_TEST(a_restart_counts_what_was_not_posted_and_nothing_twice),
        STORE_TEST(a_look_that_was_lost_with_its_process_is_made_up_for),
        STORE_TEST(a_listener_that_comes_later_counts_from_its_first_sample_on),
        STORE_TEST(what_the_kernel_dropped_counts_anew_of_a_socket_that_was_opened_anew),
        STORE_TEST(counters_count_what_came_since_the_look_before),
        STORE_TEST(nothing_is_posted_when_nothing_happens_but_once_an_hour),
        STORE_TEST(after_the_clock_was_set_back_all_of_it_counts_when_it_has_caught_up),
        STORE_TEST(it_says_how_late_quarters_are_closed),
        STORE_TEST(a_listener_that_is_closed_and_opened_again_loses_no_drops),
        STORE_TEST(where_no_series_has_room_a_post_is_not_the_reason_of_the_next),
        STORE_TEST(there_are_no_more_listeners_than_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
