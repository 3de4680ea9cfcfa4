/* The ledger of every snapshot against what can be read there: large deltas of several listeners go
 * in parts, between which commits fail. Linked with -Wl,--wrap=mdb_txn_commit.
 *
 * All that is stored here is a counter whose value times weight is 1, so that the sum counts
 * samples; half of them weigh more than 1. */
#include <errno.h>

#include "failing_commits.h"
#include "fixture.h"
#include "series/random.h"
#include "store/annotation.h"
#include "store/parts.h"
#include "store/store_private.h"

enum { LISTENERS = 4, DELTAS_MAX = 3, KNOWN = 40, METRIC_COUNT = 2 };

static const char *const names[LISTENERS] = {"statsd udp:1", "statsd tcp:1", "graphite tcp:2",
                                             "dogstatsd udp:3"};

struct world {
    struct fixture *fixture;
    uint64_t seed;
    uint64_t made; /* series */
    struct ledger sent[LISTENERS];
    uint64_t lost[DROP_REASON_COUNT]; /* what cannot be stored */
    struct delta *waiting[DELTAS_MAX];
    unsigned parts; /* of which each was followed by another one */
};

/* --- what is sent --- */

static uint64_t below(struct world *world, uint64_t limit)
{
    return random_below(&world->seed, limit);
}

/* Samples that come in this order from any listener. */
static uint64_t fill_cell(struct world *world, struct delta_cell *cell)
{
    uint64_t count = 1 + below(world, 3);

    for (uint64_t i = 0; i < count; i++) {
        unsigned shift = below(world, 2) == 0 ? 0 : (unsigned)below(world, 5);
        uint64_t weight = WEIGHT_ONE << shift;
        aggregate_add(&cell->cell.aggregate, 1.0 / (double)(1U << shift), weight,
                      cell->minute * (wall_ms)MS_PER_MINUTE + (wall_ms)i, i + 1);
        cell->extra_weight += weight - WEIGHT_ONE;
    }
    return count;
}

static uint32_t new_series(struct world *world, struct delta *delta, const char *metric)
{
    char labels[32];

    (void)snprintf(labels, sizeof labels, "n=%llu", (unsigned long long)world->made++);
    return add_series(delta, METRIC_COUNTER, metric, labels);
}

/* So many series that nobody knows yet; of some the name is missing, some have another's hash. */
static uint64_t add_new_series(struct world *world, struct delta *delta, uint64_t count)
{
    uint64_t stored = 0;

    for (uint64_t i = 0; i < count; i++) {
        uint32_t series = new_series(world, delta, "orders");
        uint64_t fate = series == 0 ? 2 : below(world, 50);
        if (fate == 0)
            delta->series[series].key = STR_EMPTY;
        else if (fate == 1)
            delta->series[series].hash = delta->series[0].hash;
        uint64_t samples = fill_cell(world, delta_add_cell(delta, series, MINUTE));
        stored += samples;
        if (fate == 0)
            world->lost[DROP_unknown_series] += samples;
        else if (fate == 1)
            world->lost[DROP_collision] += samples;
    }
    return stored;
}

/* Cells of many minutes of a few series; some are older than what is kept. */
static uint64_t add_minutes(struct world *world, struct delta *delta, uint64_t minutes)
{
    uint64_t stored = 0;

    for (uint64_t i = 0; i < KNOWN; i++) {
        uint32_t series = new_series(world, delta, "orders");
        for (uint64_t m = 0; m < minutes; m++) {
            bool is_old = below(world, 100) == 0;
            int64_t minute = MINUTE + (int64_t)m - (is_old ? 100000 : 0);
            uint64_t samples = fill_cell(world, delta_add_cell(delta, series, minute));
            stored += samples;
            if (is_old)
                world->lost[DROP_too_old] += samples;
        }
    }
    return stored;
}

/* Increments of a sender that keeps them in order; some come twice. */
static uint64_t add_points(struct world *world, struct delta *delta, uint64_t count)
{
    uint32_t series = new_series(world, delta, "points");
    wall_ms at = AT(MINUTE, 0);

    for (uint64_t i = 0; i < count; i++) {
        bool is_twice = i > 0 && below(world, 20) == 0;
        const struct delta_point point = {.series = series,
                                          .form = POINT_INCREMENT,
                                          .at = is_twice ? at : at + 10,
                                          .start = is_twice ? at - 10 : at,
                                          .arrival = i,
                                          .value = 1};
        at = point.at;
        delta_add_point(delta, &point);
        world->lost[DROP_duplicate] += is_twice;
    }
    return count;
}

static uint64_t add_events(struct world *world, struct delta *delta)
{
    const struct annotation event = {.at = AT(MINUTE, 0), .title = STR("deploy")};
    uint64_t count = below(world, 4);

    for (uint64_t i = 0; i < count; i++)
        delta_add_annotation(delta, &event);
    delta->events = count;
    return count;
}

/* Says which listeners the samples came from; one of them has rejected some too. */
static void share_among_listeners(struct world *world, struct delta *delta, uint64_t stored)
{
    for (uint64_t i = 0; i < LISTENERS; i++) {
        uint64_t own = i + 1 == LISTENERS ? stored : below(world, stored + 1);
        struct ledger counts = {.received = own + i, .stored = own};
        counts.rejected[REJECT_malformed] = i;
        if (i == 2 && below(world, 2) == 0)
            continue;
        stored -= own;
        delta_add_ledger(delta, str_of(names[i]), &counts);
        ledger_merge(&world->sent[i], &counts);
    }
}

static void on_done_forget(struct delta *delta, const struct error *err)
{
    struct world *world = delta->on_done_arg;

    assert_null(err);
    for (size_t i = 0; i < DELTAS_MAX; i++)
        world->waiting[i] = world->waiting[i] == delta ? NULL : world->waiting[i];
}

static void on_part_count(struct delta *delta)
{
    struct world *world = delta->on_done_arg;
    world->parts++;
}

static void post_random(struct world *world)
{
    struct delta *delta = delta_new();
    uint64_t stored = add_events(world, delta);
    size_t place = 0;

    switch (below(world, 4)) {
    case 0:
        stored += add_new_series(world, delta, 14000 + below(world, 14000));
        break;
    case 1:
        stored += add_minutes(world, delta, 1500 + below(world, 2000));
        break;
    case 2:
        stored += add_new_series(world, delta, 100 + below(world, 12000));
        stored += add_points(world, delta, 30000 + below(world, 40000));
        break;
    default:
        stored += add_minutes(world, delta, below(world, 20));
        break;
    }
    share_among_listeners(world, delta, stored);
    while (world->waiting[place] != NULL)
        place++;
    world->waiting[place] = delta;
    delta->on_done = on_done_forget;
    delta->on_done_arg = world;
    delta->on_part = on_part_count;
    delta->keep_trying = true;
    post(world->fixture, delta);
}

/* --- what is stored --- */

struct sum {
    struct ledger total;
    struct ledger each[LISTENERS];
};

static bool add_up(struct str listener, const struct ledger *ledger, void *arg)
{
    struct sum *sum = arg;

    assert_true(ledger_balances(ledger));
    ledger_merge(&sum->total, ledger);
    for (size_t i = 0; i < LISTENERS; i++) {
        if (str_is(listener, names[i]))
            sum->each[i] = *ledger;
    }
    return true;
}

static bool count_event(const struct annotation_place *place, const struct annotation *annotation,
                        void *arg)
{
    (void)place;
    (void)annotation;
    ++*(uint64_t *)arg;
    return true;
}

static struct sum ledgers_in(struct read_txn *txn)
{
    struct sum sum = {.total = {0}};
    query_ledgers(txn, add_up, &sum);
    return sum;
}

static uint64_t samples_in(struct read_txn *txn)
{
    static const char *const metrics[METRIC_COUNT] = {"orders", "points"};
    const struct annotation_query everything = {WALL_NONE, WALL_NONE, NULL};
    struct error err = ERROR_EMPTY;
    uint64_t samples = 0;

    assert_true(annotations_read(txn, &everything, count_event, &samples, &err));
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        struct aggregate all =
            read_in(txn, METRIC_COUNTER, metrics[i], AT(MINUTE - 200000, 0), AT(MINUTE + 10000, 0));
        samples += (uint64_t)aggregate_sum(&all);
    }
    return samples;
}

/* In this snapshot, and with what waits: nothing is counted that is not there, and nothing is
 * forgotten. */
static void check(struct world *world)
{
    struct read_txn *txn = read_begin(world->fixture);
    struct sum sum = ledgers_in(txn);
    uint64_t samples = samples_in(txn);
    uint64_t received = sum.total.received;
    uint64_t sent = 0;

    read_txn_end(txn);
    assert_int_equal(sum.total.stored, samples);
    for (size_t i = 0; i < DELTAS_MAX; i++) {
        const struct delta *delta = world->waiting[i];
        for (size_t j = 0; delta != NULL && j < delta->ledger_count; j++)
            received += delta->ledgers[j].counts.received;
    }
    for (size_t i = 0; i < LISTENERS; i++)
        sent += world->sent[i].received;
    assert_int_equal(received, sent);
}

static void check_all(struct world *world)
{
    struct read_txn *txn = read_begin(world->fixture);
    struct sum sum = ledgers_in(txn);

    read_txn_end(txn);
    for (size_t i = 0; i < LISTENERS; i++)
        assert_int_equal(sum.each[i].received, world->sent[i].received);
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        assert_int_equal(sum.total.dropped[i], world->lost[i]);
}

static bool is_waiting(const struct world *world)
{
    bool waits = false;
    for (size_t i = 0; i < DELTAS_MAX; i++)
        waits = waits || world->waiting[i] != NULL;
    return waits;
}

static void set_marks(struct fixture *fixture)
{
    const int64_t quarter = (MINUTE - 50000) / MINUTES_PER_QUARTER;
    struct error err = ERROR_EMPTY;
    struct write_txn txn;

    assert_true(write_txn_begin(fixture->store, NULL, &txn, &err));
    assert_true(parts_set_mark(&txn, MARK_KEPT_MINUTE, quarter * MINUTES_PER_QUARTER, &err) &&
                parts_set_mark(&txn, MARK_KEPT_QUARTER, quarter, &err) &&
                parts_set_mark(&txn, MARK_KEPT_DAY, quarter, &err));
    assert_true(write_txn_commit(&txn, &err));
}

static void every_snapshot_counts_what_it_holds(void **state)
{
    struct world *world = memory_zero(1, sizeof *world);
    enum { ROUNDS = 6 };

    world->fixture = *state;
    world->seed = 4;
    memset(&fault, 0, sizeof fault);
    set_marks(world->fixture);
    for (int round = 0; round < ROUNDS; round++) {
        for (uint64_t deltas = 1 + below(world, DELTAS_MAX); deltas > 0; deltas--)
            post_random(world);
        commit(world->fixture);
        check(world);
        while (is_waiting(world)) {
            if (below(world, 3) == 0) {
                fault.failures = 1 + (int)below(world, 2);
                fault.holds = below(world, 3) == 0;
            }
            unsigned before = fault.all;
            (void)event_base_loop(thread_base(writer_thread(world->fixture->writer)), EVLOOP_ONCE);
            if (fault.all == before)
                continue;
            check(world);
        }
        fault.failures = 0;
        check_all(world);
    }
    assert_true(world->parts > ROUNDS);
    free(world);
}

/* --- a store that is full when kpid stops --- */

struct end {
    struct ledger sent;
    struct sum sum;
    uint64_t samples; /* that are stored */
    struct answer answer;
};

/* A delta of which one part is stored when the store gets full, and another one that comes then. */
static void stop_full(struct fixture *fixture, bool fails, struct end *end)
{
    struct world *world = memory_zero(1, sizeof *world);
    struct delta *refused = one_sample(METRIC_COUNTER, "orders", "", 1, AT(MINUTE, 0));
    struct delta *delta = delta_new();

    world->fixture = fixture;
    share_among_listeners(world, delta, add_new_series(world, delta, 14000));
    post(fixture, delta);
    commit(fixture);
    fixture->store->max_bytes = 1;
    delta = delta_new();
    share_among_listeners(world, delta, add_minutes(world, delta, 2));
    post(fixture, delta);
    wait_for_answer(refused, &end->answer);
    add_counts(refused, names[0], 1, 0);
    post(fixture, refused);
    commit(fixture);
    fault.failures = fails ? 1000 : 0;
    writer_stop(fixture->writer);
    fault.failures = 0;
    fixture_reopen(fixture);
    for (size_t i = 0; i < LISTENERS; i++)
        ledger_merge(&end->sent, &world->sent[i]);
    struct read_txn *txn = read_begin(fixture);
    end->sum = ledgers_in(txn);
    end->samples = samples_in(txn);
    read_txn_end(txn);
    free(world);
}

static void what_a_full_store_never_got_is_counted_as_dropped(void **state)
{
    struct end end = {.samples = 0};

    memset(&fault, 0, sizeof fault);
    stop_full(*state, false, &end);
    assert_true(end.samples > 0 && end.samples < end.sent.stored);
    assert_int_equal(end.sum.total.stored, end.samples);
    assert_int_equal(end.sum.total.received, end.sent.received);
    assert_int_equal(end.sum.total.rejected[REJECT_malformed], end.sent.rejected[REJECT_malformed]);
    assert_true(end.sum.total.dropped[DROP_store_full] > 0);
    assert_int_equal(end.answer.calls, 1); /* who was told is not counted: it may come again */
    assert_false(end.answer.ok);
}

static void where_nothing_can_be_written_the_ledger_stays_as_it_was(void **state)
{
    struct end end = {.samples = 0};

    memset(&fault, 0, sizeof fault);
    stop_full(*state, true, &end);
    assert_int_equal(end.sum.total.stored, end.samples);
    assert_true(end.sum.total.received < end.sent.received);
    assert_int_equal(end.sum.total.dropped[DROP_store_full], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(every_snapshot_counts_what_it_holds),
        STORE_TEST(what_a_full_store_never_got_is_counted_as_dropped),
        STORE_TEST(where_nothing_can_be_written_the_ledger_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
