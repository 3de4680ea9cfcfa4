#include "tracker_world.h"

enum { POINTS_MAX = 12 };

static struct tracker_answer take_point(struct world *world, uint32_t id, wall_ms at, double value)
{
    const struct tracker_point taken = {
        .id = id, .at = at, .start = NONE, .value = value, .metric_first_at = NONE};
    return take(world, &taken);
}

/* --- FIG-23 in cases; times in seconds --- */

struct step {
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
    struct step points[POINTS_MAX];
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
            const struct step *point = &this->points[i];
            const struct tracker_point taken = {.id = c + 1,
                                                .at = seconds(point->at),
                                                .start = seconds(point->start),
                                                .value = point->value,
                                                .metric_first_at = seconds(this->metric_first)};
            struct tracker_answer answer = take(&world, &taken);
            if (answer.verdict != point->verdict || answer.value != point->increase ||
                answer.reset != point->reset)
                fail_msg("%s: point %zu is %d and counts %g", this->name, i, answer.verdict,
                         answer.value);
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
    assert_same(answer.value, 30);
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
    assert_same(take_point(&world, 1, AT(MINUTE, 10), 150).value, 50);
    assert_same(take_point(&world, 2, AT(MINUTE, 10), 7).value, 0);
    write_txn_abort(&world.txn);
    tracker_set_forget(world.set);

    begin(&world, *state);
    assert_same(take_point(&world, 1, AT(MINUTE, 10), 150).value, 50);
    assert_int_equal(take_point(&world, 2, AT(MINUTE, 10), 7).verdict, TRACKER_COUNTED);
    commit_trackers(&world);

    begin(&world, *state);
    tracker_set_forget(world.set); /* nothing: what was committed stays */
    assert_int_equal(take_point(&world, 1, AT(MINUTE, 10), 150).verdict, TRACKER_DUPLICATE);
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

/* The commit failed as far as LMDB said, and was there after all. */
static void what_was_in_doubt_and_holds_is_kept(void **state)
{
    struct world world = {.set = tracker_set_new()};

    begin(&world, *state);
    (void)take_point(&world, 1, AT(MINUTE, 0), 100);
    commit_trackers(&world);
    tracker_set_forget(world.set);
    tracker_set_forget(world.set); /* and the next one could not even begin */

    begin(&world, *state);
    struct tracker_answer answer = take_point(&world, 1, AT(MINUTE, 10), 150);
    assert_same(answer.value, 50);
    assert_true(answer.since == AT(MINUTE, 0));
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

static uint64_t rows_in(struct world *world)
{
    MDB_stat facts;
    assert_int_equal(mdb_stat(world->txn.reader.txn,
                              world->txn.reader.store->databases[DATABASE_TRACKERS], &facts),
                     0);
    return facts.ms_entries;
}

static void put_row(struct world *world, uint64_t number, struct str row)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    struct error err = ERROR_EMPTY;

    schema_put_u64(&key, number);
    assert_true(store_put(&world->txn, DATABASE_TRACKERS, store_key(&key), row, 0, &err));
}

static void count_ids(uint32_t id, void *arg)
{
    (void)id;
    (*(size_t *)arg)++;
}

static void what_cannot_be_read_was_never_seen(void **state)
{
    /* id 5, cumulative and whole, time 2 ms, value 100; then what is wrong */
#define GOOD "\5\x09\4\xc8\1"
    static const struct {
        struct str row;
        size_t entries;
    } rows[] = {
        {{"\1" GOOD, 6}, 1},
        {{"", 0}, 0},
        {{"\2" GOOD, 6}, 0},
        {{"\1" GOOD "\0\x09\4\2", 10}, 1},                 /* no step of the id */
        {{"\1" GOOD "\1\x08\4\2", 10}, 1},                 /* no form */
        {{"\1" GOOD "\1\x49\4\2", 10}, 1},                 /* an unknown flag */
        {{"\1" GOOD "\1\x09\4", 9}, 1},                    /* it ends too soon */
        {{"\1" GOOD "\1\x09\4\1", 10}, 1},                 /* a negative total */
        {{"\1" GOOD "\1\1\4\0\0\0\0\0\0\xf0\x7f", 17}, 1}, /* infinite */
        {{"\1" GOOD "\1\x21\4\0\0\0\0\0\0\0\0\x09"
          "ab",
          20},
         1},                                                 /* a tally cut short */
        {{"\1" GOOD "\xff\xff\xff\xff\x0f\x09\4\2", 14}, 1}, /* beyond all ids */
        {{"\1" GOOD "\1\x09\4\2", 10}, 2},
    };

    for (size_t i = 0; i < TEST_COUNT(rows); i++) {
        struct world world = {.set = tracker_set_new()};
        struct fixture *fixture = *state;
        struct error err = ERROR_EMPTY;
        size_t entries = 0;

        bool whole = tracker_row_each(rows[i].row, count_ids, &entries);
        assert_int_equal(entries, rows[i].entries);
        assert_int_equal(whole, i == 0 || i + 1 == TEST_COUNT(rows));
        assert_true(write_txn_begin(fixture->store, NULL, &world.txn, &err));
        put_row(&world, 7, rows[i].row);
        assert_true(tracker_set_begin(world.set, &world.txn.reader, &err));
        assert_int_equal(tracker_set_count(world.set), rows[i].entries);
        assert_same(take_point(&world, 5, AT(MINUTE, 0), 130).value, entries > 0 ? 30 : 0);
        assert_true(tracker_set_save(world.set, &world.txn, &err));
        assert_int_equal(rows_in(&world), 2);
        write_txn_abort(&world.txn);
        tracker_set_free(world.set);
    }
}

/* A number of a series that was never given is damage: it takes no memory, and whatever series gets
 * it some day is a new one. */
static void an_id_that_was_never_given_is_left_out(void **state)
{
    static const struct {
        uint32_t newest;
        struct str row;
        size_t count;
    } cases[] = {
        {ID_MAX, {"\1\x80\x80\x40\x09\4\xc8\1", 8}, 1},              /* the newest itself */
        {ID_MAX, {"\1\x81\x80\x40\x09\4\xc8\1", 8}, 0},              /* the one after it */
        {ID_MAX, {"\1\xff\xff\xff\xff\x0f\x09\4\xc8\1", 10}, 0},     /* the greatest */
        {UINT32_MAX, {"\1\xff\xff\xff\xff\x0f\x09\4\xc8\1", 10}, 1}, /* which is one now */
    };

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct world world = {.set = tracker_set_new()};
        struct error err = ERROR_EMPTY;
        give_id(*state, cases[i].newest);
        assert_true(write_txn_begin(((struct fixture *)*state)->store, NULL, &world.txn, &err));
        put_row(&world, 7, cases[i].row);
        assert_true(tracker_set_begin(world.set, &world.txn.reader, &err));
        assert_int_equal(tracker_set_count(world.set), cases[i].count);
        assert_in_range(tracker_set_size_bytes(world.set), 1, 4 << 20);
        write_txn_abort(&world.txn);
        tracker_set_free(world.set);
    }
}

/* Rows that are none do not keep others from being appended. */
static void rows_of_strangers_are_left_alone(void **state)
{
    struct fixture *fixture = *state;
    struct schema_key key = schema_id_key(1 << 30);
    struct world world = {.set = tracker_set_new()};
    struct error err = ERROR_EMPTY;

    assert_true(write_txn_begin(fixture->store, NULL, &world.txn, &err));
    assert_true(store_put(&world.txn, DATABASE_TRACKERS, store_key(&key), STR("x"), 0, &err));
    assert_true(write_txn_commit(&world.txn, &err));
    for (int i = 0; i < 3; i++) {
        begin(&world, fixture);
        assert_same(take_point(&world, 1, AT(MINUTE, i), 5 + i).value, i == 0 ? 0 : 1);
        commit_trackers(&world);
    }
    tracker_set_free(world.set);
}

/* --- the log --- */

/* However many points come, it does not grow; and who is seldom heard is not lost in it. */
static void the_log_is_cleaned_as_it_goes(void **state)
{
    enum { SERIES = 3000, ROUNDS = 40, SELDOM = 100 };
    struct world world = {.set = tracker_set_new()};
    uint64_t most = 0;

    for (int64_t round = 0; round < ROUNDS; round++) {
        begin(&world, *state);
        for (uint32_t id = 1; id <= SERIES; id++) {
            if (round > 0 && id % SELDOM == 0)
                continue;
            assert_same(take_point(&world, id, AT(MINUTE, round), (double)(10 * round)).value,
                        round == 0 ? 0 : 10);
        }
        commit_trackers(&world);
        if (round % 16 == 9) {
            tracker_set_free(world.set);
            world.set = tracker_set_new();
        }
        begin(&world, *state);
        most = rows_in(&world) > most ? rows_in(&world) : most;
        write_txn_abort(&world.txn);
    }
    assert_in_range(most, 8, 20); /* of some hundred entries each */
    for (int restart = 0; restart < 2; restart++) {
        begin(&world, *state);
        for (uint32_t id = SELDOM; id <= SERIES; id += SELDOM)
            assert_same(take_point(&world, id, AT(MINUTE, ROUNDS), 7).value, 7);
        write_txn_abort(&world.txn);
        tracker_set_free(world.set);
        world.set = tracker_set_new();
    }
    tracker_set_free(world.set);
}

/* Rows go without a look at them when each of their trackers is in a later one: also after
 * transactions that did not hold, and starts. */
static void cleaning_the_log_loses_nobody(void **state)
{
    enum { SERIES = 1500, ROUNDS = 150, LAST = 5000 };
    static double values[SERIES + 1];
    struct world world = {.set = tracker_set_new()};
    struct error err = ERROR_EMPTY;
    unsigned seed = 9;

    memset(values, 0, sizeof values);
    for (int64_t round = 0; round < ROUNDS; round++) {
        bool fails = round % 5 == 3;
        begin(&world, *state);
        for (uint32_t id = 1; id <= SERIES; id++) {
            seed = seed * 1103515245 + 12345;
            if (round > 0 && (seed >> 16) % (id % 64 + 1) != 0)
                continue; /* some come always, some seldom */
            double value = (double)(10 * round + 10);
            assert_same(take_point(&world, id, AT(MINUTE, round), value).value,
                        round == 0 ? 0 : value - values[id]);
            values[id] = fails ? values[id] : value;
        }
        if (fails) {
            assert_true(tracker_set_save(world.set, &world.txn, &err));
            write_txn_abort(&world.txn);
            tracker_set_forget(world.set);
        } else {
            commit_trackers(&world);
        }
        if (round % 13 != 7)
            continue;
        tracker_set_free(world.set);
        world.set = tracker_set_new();
    }
    for (int restart = 0; restart < 2; restart++) {
        begin(&world, *state);
        assert_int_equal(tracker_set_count(world.set), SERIES);
        assert_in_range(rows_in(&world), 1, 60);
        for (uint32_t id = 1; id <= SERIES; id++)
            assert_same(take_point(&world, id, AT(MINUTE, ROUNDS), LAST).value, LAST - values[id]);
        write_txn_abort(&world.txn);
        tracker_set_free(world.set);
        world.set = tracker_set_new();
    }
    tracker_set_free(world.set);
}

/* Aborts before and after saving, commits that were in doubt and hold, removals, a restart. */
static void aborts_doubts_and_removals_at_random_lose_no_value(void **state)
{
    enum { SERIES = 1200, ROUNDS = 260 };
    static double values[SERIES + 1];
    static double tried[SERIES + 1];
    static bool gone[SERIES + 1];
    struct world world = {.set = tracker_set_new()};
    struct error err = ERROR_EMPTY;
    unsigned seed = 5;
    size_t left = SERIES;

    memset(values, 0, sizeof values);
    memset(gone, 0, sizeof gone);
    for (int64_t round = 0; round < ROUNDS; round++) {
        seed = seed * 1103515245 + 12345;
        unsigned what = (seed >> 16) % 6;
        if (round == 0)
            what = 3;
        begin(&world, *state);
        memcpy(tried, values, sizeof values);
        for (uint32_t id = 1; id <= SERIES; id++) {
            seed = seed * 1103515245 + 12345;
            if (gone[id] || (round > 0 && (seed >> 16) % (id % 64 + 1) != 0))
                continue;
            double value = (double)(10 * round + 10);
            assert_same(take_point(&world, id, AT(MINUTE, round), value).value,
                        round == 0 ? 0 : value - values[id]);
            tried[id] = value;
        }
        if (what <= 1) {
            if (what == 0)
                assert_true(tracker_set_save(world.set, &world.txn, &err));
            write_txn_abort(&world.txn);
            tracker_set_forget(world.set);
        } else {
            commit_trackers(&world);
            if (what == 2)
                tracker_set_forget(world.set);
            memcpy(values, tried, sizeof values);
        }
        seed = seed * 1103515245 + 12345;
        if (what != 2 && what > 1 && (seed >> 16) % 4 == 0) { /* series go */
            uint32_t ids[20];
            size_t count = 0;
            for (uint32_t id = 1; id <= SERIES && count < 20; id++) {
                seed = seed * 1103515245 + 12345;
                if (!gone[id] && (seed >> 16) % 100 == 0) {
                    ids[count++] = id;
                    gone[id] = true;
                    left--;
                }
            }
            tracker_set_remove(world.set, ids, count);
        }
    }
    begin(&world, *state);
    for (uint32_t id = 1; id <= SERIES; id++)
        if (!gone[id])
            assert_same(take_point(&world, id, AT(MINUTE, ROUNDS), 99999).value,
                        99999 - values[id]);
    assert_int_equal(tracker_set_count(world.set), left);
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
    world.set =
        tracker_set_new(); /* a restart reads what the log has: at least all that are left */
    begin(&world, *state);
    for (uint32_t id = 1; id <= SERIES; id++)
        if (!gone[id])
            assert_same(take_point(&world, id, AT(MINUTE, ROUNDS), 99999).value,
                        99999 - values[id]);
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

/* --- what is no total --- */

static struct tracker_answer take_increment(struct world *world, int64_t from, int64_t to,
                                            double value)
{
    const struct tracker_point point = {.id = 1,
                                        .form = POINT_INCREMENT,
                                        .start = seconds(from),
                                        .at = seconds(to),
                                        .value = value,
                                        .metric_first_at = NONE};
    return take(world, &point);
}

static void increments_count_once(void **state) /* O10, O11 */
{
    static const struct {
        int64_t from, to;
        double value;
        enum tracker_verdict verdict;
        bool mixed;
    } cases[] = {
        {0, 10, 5, TRACKER_COUNTED, false},    {10, 20, 6, TRACKER_COUNTED, false},
        {10, 20, 6, TRACKER_DUPLICATE, false}, {0, 10, 5, TRACKER_DUPLICATE, false},
        {10, 20, 7, TRACKER_CONFLICT, false},  {15, 20, 6, TRACKER_CONFLICT, false},
        {25, 30, 0, TRACKER_COUNTED, false}, /* a gap */
        {28, 40, 3, TRACKER_COUNTED, true},    {NO_START, 50, -2, TRACKER_COUNTED, false},
        {50, 60, 1.5, TRACKER_COUNTED, false}, {60, 60, 2, TRACKER_CONFLICT, false},
    };

    for (int restarts = 0; restarts < 2; restarts++) {
        struct world world = {.set = tracker_set_new()};
        for (size_t i = 0; i < TEST_COUNT(cases); i++) {
            if (i == 0 || restarts != 0)
                begin(&world, *state);
            struct tracker_answer answer =
                take_increment(&world, cases[i].from, cases[i].to, cases[i].value);
            assert_int_equal(answer.verdict, cases[i].verdict);
            assert_int_equal(answer.mixed, cases[i].mixed);
            if (cases[i].mixed)
                assert_true(answer.mixed_from == seconds(cases[i].from));
            if (answer.verdict == TRACKER_COUNTED)
                assert_same(answer.value, cases[i].value);
            if (restarts == 0)
                continue;
            commit_trackers(&world);
            tracker_set_free(world.set);
            world.set = tracker_set_new();
        }
        if (restarts == 0)
            write_txn_abort(&world.txn);
        tracker_set_free(world.set);
    }
}

static void levels_are_taken_in_order(void **state)
{
    static const struct {
        int64_t at;
        double value;
        enum tracker_verdict verdict;
    } cases[] = {
        {10, 5, TRACKER_COUNTED},        {20, -1e300, TRACKER_COUNTED},
        {20, -1e300, TRACKER_DUPLICATE}, {20, 1, TRACKER_CONFLICT},
        {15, 7, TRACKER_DUPLICATE},      {30, 0, TRACKER_COUNTED},
        {30, -0.0, TRACKER_DUPLICATE},
    };
    struct world world = {.set = tracker_set_new()};

    begin(&world, *state);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const struct tracker_point point = {.id = 3,
                                            .form = POINT_LEVEL,
                                            .at = seconds(cases[i].at),
                                            .start = NONE,
                                            .value = cases[i].value};
        struct tracker_answer answer = take(&world, &point);
        assert_int_equal(answer.verdict, cases[i].verdict);
        if (answer.verdict == TRACKER_COUNTED)
            assert_same(answer.value, cases[i].value);
    }
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

/* Who says no time is in the order he comes; two of one millisecond both count, and a clock that
 * was set back does not make him begin anew. */
static void totals_without_a_time_count_in_the_order_they_come(void **state)
{
    static const struct {
        int64_t at;
        double value;
        bool by_arrival;
        enum tracker_verdict verdict;
        double increase;
        bool reset;
    } cases[] = {
        {10, 100, true, TRACKER_COUNTED, 0, false}, {10, 105, true, TRACKER_COUNTED, 5, false},
        {10, 105, true, TRACKER_COUNTED, 0, false}, {10, 3, true, TRACKER_COUNTED, 3, true},
        {10, 4, false, TRACKER_CONFLICT, 0, false}, {10, 3, false, TRACKER_DUPLICATE, 0, false},
        {9, 7, true, TRACKER_DUPLICATE, 0, false},  {11, 8, true, TRACKER_COUNTED, 5, false},
    };
    struct world world = {.set = tracker_set_new()};

    begin(&world, *state);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const struct tracker_point point = {.id = 3,
                                            .form = POINT_CUMULATIVE,
                                            .at = seconds(cases[i].at),
                                            .start = NONE,
                                            .value = cases[i].value,
                                            .by_arrival = cases[i].by_arrival,
                                            .metric_first_at = NONE};
        struct tracker_answer answer = take(&world, &point);
        assert_int_equal(answer.verdict, cases[i].verdict);
        assert_int_equal(answer.reset, cases[i].reset);
        if (answer.verdict == TRACKER_COUNTED)
            assert_same(answer.value, cases[i].increase);
    }
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

/* A sender that was set to the other temporality. */
static void a_form_that_changes_goes_on_where_the_other_ended(void **state)
{
    struct world world = {.set = tracker_set_new()};
    struct tracker_point total = {
        .id = 1, .form = POINT_CUMULATIVE, .value = 40, .metric_first_at = seconds(1)};

    begin(&world, *state);
    assert_same(take_increment(&world, 0, 10, 5).value, 5);
    total.start = seconds(4); /* it has those 5 in it, and nobody knows what else */
    total.at = seconds(20);
    assert_false(tracker_has(world.set, 1, POINT_CUMULATIVE));
    assert_same(take(&world, &total).value, 0);
    total.at = seconds(30);
    total.value = 48;
    assert_true(tracker_has(world.set, 1, POINT_CUMULATIVE));
    assert_same(take(&world, &total).value, 8);
    assert_same(take_increment(&world, 30, 40, 2).value, 2);
    assert_true(take_increment(&world, 39, 50, 2).mixed);
    total.start = seconds(50); /* after those */
    total.at = seconds(60);
    total.value = 9;
    assert_same(take(&world, &total).value, 9);
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

/* What is removed takes its memory with it, and nothing else. */
static void trackers_of_series_that_are_gone_are_forgotten(void **state)
{
    enum { SERIES = 10000, LEFT = 100 };
    struct fixture *fixture = *state;
    struct world world = {.set = tracker_set_new()};
    uint32_t *gone = memory_zero(SERIES, sizeof *gone);
    size_t count = 0;

    begin(&world, fixture);
    for (uint32_t id = 1; id <= SERIES; id++)
        (void)take_point(&world, id, AT(MINUTE, 0), id);
    commit_trackers(&world);
    size_t before = tracker_set_size_bytes(world.set);
    for (uint32_t id = 1; id <= SERIES; id++) {
        if (id % LEFT != 0)
            gone[count++] = id;
    }
    for (size_t i = 0; i < count; i += 32) /* some at a time, as they go */
        tracker_set_remove(world.set, gone + i, count - i < 32 ? count - i : 32);
    tracker_set_remove(world.set, gone, count); /* again */
    tracker_set_remove(world.set, (const uint32_t[]){0, SERIES + 1}, 2);
    assert_true(tracker_set_size_bytes(world.set) < before / 4); /* pages by id */
    assert_int_equal(tracker_set_count(world.set), LEFT);

    begin(&world, fixture);
    for (uint32_t id = LEFT; id <= SERIES; id += LEFT)
        assert_same(take_point(&world, id, AT(MINUTE, 1), id + 5).value, 5);
    for (uint32_t id = SERIES + 1; id <= SERIES + LEFT;
         id++) /* those that come take places again */
        assert_same(take_point(&world, id, AT(MINUTE, 1), 7).value, 0);
    commit_trackers(&world);
    assert_true(tracker_set_size_bytes(world.set) < before / 3);
    tracker_set_free(world.set);
    free(gone);
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
                    take_point(&world, 1000 - i * 13, AT(MINUTE, round), values[i]).value;
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
        TRACKER_TEST(counting_follows_the_rules),
        TRACKER_TEST(a_gap_is_counted_whole_and_says_since_when),
        TRACKER_TEST(two_senders_of_one_series_are_noticed_at_the_fourth_drop),
        TRACKER_TEST(resets_that_are_far_apart_are_restarts),
        TRACKER_TEST(what_was_not_committed_is_forgotten),
        TRACKER_TEST(what_was_in_doubt_and_holds_is_kept),
        TRACKER_TEST(what_cannot_be_read_was_never_seen),
        TRACKER_TEST(an_id_that_was_never_given_is_left_out),
        TRACKER_TEST(rows_of_strangers_are_left_alone),
        TRACKER_TEST(the_log_is_cleaned_as_it_goes),
        TRACKER_TEST(cleaning_the_log_loses_nobody),
        TRACKER_TEST(aborts_doubts_and_removals_at_random_lose_no_value),
        TRACKER_TEST(increments_count_once),
        TRACKER_TEST(levels_are_taken_in_order),
        TRACKER_TEST(totals_without_a_time_count_in_the_order_they_come),
        TRACKER_TEST(a_form_that_changes_goes_on_where_the_other_ended),
        TRACKER_TEST(trackers_of_series_that_are_gone_are_forgotten),
        TRACKER_TEST(what_counters_counted_is_what_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
