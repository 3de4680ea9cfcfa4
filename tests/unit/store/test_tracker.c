#include "fixture.h"
#include "store/tracker.h"

#define NONE WALL_NONE

enum { POINTS_MAX = 12 };

struct world {
    struct tracker_set *set;
    struct write_txn txn;
};

static void begin(struct world *world, struct fixture *fixture)
{
    struct error err = ERROR_EMPTY;
    if (!write_txn_begin(fixture->store, NULL, &world->txn, &err))
        fail_msg("%s", err.text);
    tracker_set_begin(world->set);
}

static void commit_trackers(struct world *world)
{
    struct error err = ERROR_EMPTY;
    assert_true(tracker_set_save(world->set, &world->txn, &err));
    assert_true(write_txn_commit(&world->txn, &err));
}

static struct tracker_answer take(struct world *world, const struct tracker_sample *sample)
{
    struct tracker_answer answer;
    struct error err = ERROR_EMPTY;
    if (!tracker_take(world->set, &world->txn.reader, sample, &answer, &err))
        fail_msg("%s", err.text);
    return answer;
}

static struct tracker_answer take_point(struct world *world, uint32_t id, wall_ms at, double value)
{
    const struct tracker_sample sample = {
        .id = id, .at = at, .start = NONE, .value = value, .metric_first_at = NONE};
    return take(world, &sample);
}

/* --- FIG-23 in cases; times in seconds --- */

struct point {
    int64_t at, start; /* start NO_START: not said; at 0: the end of the list */
    double value;
    enum tracker_verdict verdict;
    double increase;
    bool reset;
};

#define NO_START INT64_MIN

struct series_case {
    const char *name;
    int64_t metric_first; /* NO_START: none */
    struct point points[POINTS_MAX];
};

static const struct series_case CASES[] = {
    {"without start times",
     NO_START,
     {{10, NO_START, 100, TRACKER_COUNTED, 0, false},
      {20, NO_START, 160, TRACKER_COUNTED, 60, false},
      {30, NO_START, 20, TRACKER_COUNTED, 20, true},
      {40, NO_START, 50, TRACKER_COUNTED, 30, false}}},
    {"a pod that was born after the metric counts whole",
     5,
     {{60, 10, 40, TRACKER_COUNTED, 40, false}, {70, 10, 45, TRACKER_COUNTED, 5, false}}},
    {"a pod that is as old as the metric sets the base",
     10,
     {{60, 10, 40, TRACKER_COUNTED, 0, false}, {70, 10, 45, TRACKER_COUNTED, 5, false}}},
    {"the first pod of a metric sets the base",
     NO_START,
     {{60, 10, 40, TRACKER_COUNTED, 0, false}, {70, 10, 45, TRACKER_COUNTED, 5, false}}},
    {"a newer start counts whole, also when the value is larger",
     1,
     {{60, 10, 40, TRACKER_COUNTED, 40, false},
      {70, 65, 50, TRACKER_COUNTED, 50, true},
      {80, 65, 51, TRACKER_COUNTED, 1, false}}},
    {"a start that is said later is no reset unless it is newer than the last point",
     NO_START,
     {{10, NO_START, 100, TRACKER_COUNTED, 0, false},
      {20, 5, 110, TRACKER_COUNTED, 10, false},
      {30, NO_START, 115, TRACKER_COUNTED, 5, false},
      {40, 5, 120, TRACKER_COUNTED, 5, false}}},
    {"a start that is said later and is newer than the last point",
     NO_START,
     {{10, NO_START, 100, TRACKER_COUNTED, 0, false}, {20, 15, 110, TRACKER_COUNTED, 110, true}}},
    {"an older start is no reset",
     NO_START,
     {{10, 5, 100, TRACKER_COUNTED, 0, false}, {20, 4, 110, TRACKER_COUNTED, 10, false}}},
    {"a point that began as it was reported says nothing",
     1,
     {{10, 10, 100, TRACKER_COUNTED, 0, false},
      {20, 10, 130, TRACKER_COUNTED, 30, false},
      {30, 30, 500, TRACKER_COUNTED, 0, true},
      {40, 30, 501, TRACKER_COUNTED, 1, false}}},
    {"what is not newer counts nothing",
     NO_START,
     {{30, NO_START, 100, TRACKER_COUNTED, 0, false},
      {20, NO_START, 90, TRACKER_DUPLICATE, 0, false},
      {30, NO_START, 100, TRACKER_DUPLICATE, 0, false},
      {30, NO_START, 101, TRACKER_CONFLICT, 0, false},
      {30, 29, 3, TRACKER_CONFLICT, 0, false},
      {40, NO_START, 102, TRACKER_COUNTED, 2, false}}},
    {"equal values are samples of nothing",
     NO_START,
     {{10, NO_START, 7, TRACKER_COUNTED, 0, false}, {20, NO_START, 7, TRACKER_COUNTED, 0, false}}},
};

static wall_ms seconds(int64_t value)
{
    return value == NO_START ? NONE : AT(MINUTE, value);
}

/* Each case twice: at once, and with kpid started anew after each point. */
static void counting_follows_the_rules(void **state)
{
    struct fixture *fixture = *state;

    for (uint32_t c = 0; c < 2 * TEST_COUNT(CASES); c++) {
        const struct series_case *this = &CASES[c / 2];
        struct world world = {.set = tracker_set_new()};
        begin(&world, fixture);
        for (size_t i = 0; i < POINTS_MAX && this->points[i].at != 0; i++) {
            const struct point *point = &this->points[i];
            const struct tracker_sample sample = {.id = c + 1,
                                                  .at = seconds(point->at),
                                                  .start = seconds(point->start),
                                                  .value = point->value,
                                                  .metric_first_at = seconds(this->metric_first)};
            struct tracker_answer answer = take(&world, &sample);
            if (answer.verdict != point->verdict || answer.increase != point->increase ||
                answer.reset != point->reset)
                fail_msg("%s: point %zu is %d and counts %g", this->name, i, answer.verdict,
                         answer.increase);
            if (c % 2 == 0)
                continue;
            commit_trackers(&world);
            tracker_set_free(world.set);
            world.set = tracker_set_new();
            begin(&world, fixture);
        }
        commit_trackers(&world);
        tracker_set_free(world.set);
    }
}

static void a_gap_is_counted_whole_and_says_since_when(void **state)
{
    struct world world = {.set = tracker_set_new()};

    begin(&world, *state);
    assert_true(take_point(&world, 1, AT(MINUTE, 50), 1000).since == NONE);
    struct tracker_answer answer = take_point(&world, 1, AT(MINUTE + 90, 5), 1030);
    assert_same(answer.increase, 30);
    assert_true(answer.since == AT(MINUTE, 50));
    assert_true(take_point(&world, 1, AT(MINUTE + 91, 5), 3).since == NONE);
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

/* --- FIG-24 --- */

static void two_senders_of_one_series_are_noticed_at_the_fourth_drop(void **state)
{
    static const double values[] = {500, 90, 510, 95, 520, 99, 530, 103, 540, 107};
    struct fixture *fixture = *state;

    for (uint32_t restarts = 0; restarts < 2; restarts++) {
        struct world world = {.set = tracker_set_new()};
        begin(&world, fixture);
        for (int64_t i = 0; i < (int64_t)TEST_COUNT(values); i++) {
            struct tracker_answer answer =
                take_point(&world, 1 + restarts, AT(MINUTE, 15 * i), values[i]);
            assert_int_equal(answer.reset, i % 2 == 1);
            assert_int_equal(answer.mixed, i == 7 || i == 9);
            if (restarts == 0)
                continue;
            commit_trackers(&world);
            tracker_set_free(world.set);
            world.set = tracker_set_new();
            begin(&world, fixture);
        }
        write_txn_abort(&world.txn);
        tracker_set_free(world.set);
    }
}

static void resets_that_are_far_apart_are_restarts(void **state)
{
    struct world world = {.set = tracker_set_new()};

    begin(&world, *state);
    (void)take_point(&world, 1, AT(MINUTE, 0), 100);
    for (int64_t i = 1; i < 20; i++) {
        struct tracker_answer answer =
            take_point(&world, 1, AT(MINUTE + 4 * i, 0), (double)(100 - i));
        assert_true(answer.reset);
        assert_false(answer.mixed); /* the fourth is 12 minutes after the first */
    }
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

/* --- transactions --- */

static void what_was_not_committed_is_forgotten(void **state)
{
    struct world world = {.set = tracker_set_new()};

    begin(&world, *state);
    (void)take_point(&world, 1, AT(MINUTE, 0), 100);
    commit_trackers(&world);

    begin(&world, *state);
    assert_same(take_point(&world, 1, AT(MINUTE, 10), 150).increase, 50);
    assert_same(take_point(&world, 2, AT(MINUTE, 10), 7).increase, 0);
    write_txn_abort(&world.txn);
    tracker_set_forget(world.set);

    begin(&world, *state);
    assert_same(take_point(&world, 1, AT(MINUTE, 10), 150).increase, 50);
    assert_int_equal(take_point(&world, 2, AT(MINUTE, 10), 7).verdict, TRACKER_COUNTED);
    commit_trackers(&world);

    begin(&world, *state);
    tracker_set_forget(world.set); /* nothing: what was committed stays */
    assert_int_equal(take_point(&world, 1, AT(MINUTE, 10), 150).verdict, TRACKER_DUPLICATE);
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

static void a_tracker_that_cannot_be_read_begins_anew(void **state)
{
    static const char *const broken[] = {"", "\1", "\2aaaaaaaabbbbbbbbcccccccc111122223333dddddddd",
                                         "\1aaaaaaaabbbbbbbb\xff\xff\xff\xff\xff\xff\xff\xff"
                                         "111122223333dddddddd",
                                         "\1aaaaaaaabbbbbbbbcccccccc111122223333dddddddde"};
    struct error err = ERROR_EMPTY;
    struct world world = {.set = tracker_set_new()};

    begin(&world, *state);
    for (uint32_t i = 0; i < TEST_COUNT(broken); i++) {
        struct schema_key key = schema_id_key(i + 1);
        assert_true(
            store_put(&world.txn, DATABASE_TRACKERS, store_key(&key), str_of(broken[i]), 0, &err));
        struct tracker_answer answer = take_point(&world, i + 1, AT(MINUTE, 0), 100);
        assert_int_equal(answer.verdict, TRACKER_COUNTED);
        assert_same(answer.increase, 0);
    }
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

/* Counters of many series that start anew now and then: what is counted is what they counted, with
 * commits, aborts and restarts of kpid in between. */
static void what_counters_counted_is_what_is_counted(void **state)
{
    enum { SERIES = 50, ROUNDS = 120 };
    double values[SERIES] = {0};
    double counted[SERIES] = {0};
    double expected[SERIES] = {0};
    unsigned seed = 5;
    struct world world = {.set = tracker_set_new()};

    for (int64_t round = 0; round < ROUNDS; round++) {
        double increases[SERIES] = {0};
        for (uint32_t i = 0; i < SERIES; i++) {
            seed = seed * 1103515245 + 12345;
            unsigned step = seed >> 24;
            bool anew = seed >> 28 == 3 && values[i] > step;
            values[i] = anew ? step : values[i] + step;
            expected[i] += round == 0 ? 0 : step;
        }
        bool fails = round % 7 == 3;
        for (int try = 0; try < (fails ? 2 : 1); try++) {
            begin(&world, *state);
            for (uint32_t i = SERIES; i-- > 0;)
                increases[i] =
                    take_point(&world, 1000 - i * 13, AT(MINUTE, round), values[i]).increase;
            if (fails && try == 0) {
                write_txn_abort(&world.txn);
                tracker_set_forget(world.set);
                continue;
            }
            commit_trackers(&world);
        }
        for (uint32_t i = 0; i < SERIES; i++)
            counted[i] += increases[i];
        if (round % 11 == 5) {
            tracker_set_free(world.set);
            world.set = tracker_set_new();
        }
    }
    for (uint32_t i = 0; i < SERIES; i++)
        assert_same(counted[i], expected[i]);
    assert_true(tracker_set_size_bytes(world.set) < 64 * 1024);
    tracker_set_free(world.set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(counting_follows_the_rules),
        STORE_TEST(a_gap_is_counted_whole_and_says_since_when),
        STORE_TEST(two_senders_of_one_series_are_noticed_at_the_fourth_drop),
        STORE_TEST(resets_that_are_far_apart_are_restarts),
        STORE_TEST(what_was_not_committed_is_forgotten),
        STORE_TEST(a_tracker_that_cannot_be_read_begins_anew),
        STORE_TEST(what_counters_counted_is_what_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
