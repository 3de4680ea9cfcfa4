/* Windows of increments that come in another order than they were counted in, and again. */
#include <string.h>

#include "series/batch.h"
#include "series/random.h"
#include "store/store_private.h"
#include "tracker_world.h"

enum { CASE_STEPS = 10 };

#define HOUR_S 3600
#define NEVER  INT64_MIN

/* A time in ns since the minute; NEVER: not said. */
static wall_ms ms_of(int64_t ns)
{
    return ns == NEVER ? NONE : AT(MINUTE, 0) + ns / 1000000;
}

static struct tracker_point window_of(uint32_t id, int64_t from, int64_t to, double value)
{
    return (struct tracker_point){.id = id,
                                  .form = POINT_INCREMENT,
                                  .start = ms_of(from),
                                  .start_ns = from == NEVER ? 0 : (uint32_t)(from % 1000000),
                                  .at = ms_of(to),
                                  .at_ns = (uint32_t)(to % 1000000),
                                  .value = value,
                                  .metric_first_at = NONE};
}

static struct tracker_answer take_window(struct world *world, uint32_t id, int64_t from, int64_t to,
                                         double value)
{
    const struct tracker_point point = window_of(id, from, to, value);
    return take(world, &point);
}

/* --- in cases; the value of a window is its end, so that one that comes again is the same --- */

struct step {
    int64_t from, to; /* in the case's unit; to 0: the end of the list */
    enum tracker_verdict verdict;
};

#define OK  TRACKER_COUNTED
#define DUP TRACKER_DUPLICATE

static const struct {
    const char *name;
    int64_t unit_ns;
    struct step steps[CASE_STEPS];
} CASES[] = {
    {"the first two are swapped, and come again",
     1000000000,
     {{20, 30, OK}, {10, 20, OK}, {10, 20, DUP}, {20, 30, DUP}, {30, 40, OK}, {10, 20, DUP}}},
    {"two are swapped later",
     1000000000,
     {{10, 20, OK}, {30, 40, OK}, {20, 30, OK}, {20, 30, DUP}, {40, 50, OK}, {30, 40, DUP}}},
    {"the other way round",
     1000000000,
     {{40, 50, OK}, {30, 40, OK}, {20, 30, OK}, {10, 20, OK}, {30, 40, DUP}, {50, 60, OK}}},
    {"the first one is late by three",
     1000000000,
     {{20, 30, OK}, {30, 40, OK}, {40, 50, OK}, {10, 20, OK}, {10, 20, DUP}}},
    {"what was before the first one is forgotten after eight more",
     1000000000,
     {{20, 30, OK}, {30, 100, OK}, {15, 20, OK}, {100, 109, OK}, {10, 15, DUP}}},
    {"of the middle of a gap the newer part stays",
     1000000000,
     {{0, 10, OK}, {40, 50, OK}, {20, 30, OK}, {30, 40, OK}, {10, 20, DUP}, {20, 30, DUP}}},
    {"but where it is a rest the older one does",
     1000000,
     {{0, 10, OK}, {40, 50, OK}, {28, 38, OK}, {38, 40, DUP}, {10, 28, OK}, {28, 38, DUP}}},
    {"parts of a gap",
     1000000000,
     {{0, 10, OK},
      {50, 60, OK},
      {45, 50, OK},
      {10, 15, OK},
      {14, 20, DUP},
      {40, 46, DUP},
      {15, 45, OK},
      {20, 30, DUP}}},
    {"only the newest gap is known",
     1000000000,
     {{0, 10, OK}, {20, 30, OK}, {40, 50, OK}, {10, 20, DUP}, {30, 40, OK}}},
    {"what overlaps takes its part of the gap away",
     1000000000,
     {{0, 10, OK}, {40, 50, OK}, {30, 60, OK}, {30, 40, DUP}, {10, 30, OK}}},
    {"a window without a beginning is in no gap and makes none",
     1000000000,
     {{0, 10, OK}, {30, 40, OK}, {NEVER, 20, DUP}, {NEVER, 50, OK}, {10, 30, OK}}},
    {"an empty window is in none",
     1000000000,
     {{0, 10, OK}, {30, 40, OK}, {20, 20, DUP}, {30, 30, DUP}, {10, 30, OK}}},
    {"and makes none",
     1000000000,
     {{0, 10, OK}, {30, 30, OK}, {20, 20, DUP}, {10, 30, TRACKER_CONFLICT}, {30, 40, OK}}},
    {"a gap is forgotten after an hour",
     1000000000,
     {{0, 10, OK},
      {20, 30, OK},
      {30, HOUR_S + 20, OK},
      {10, 15, OK},
      {HOUR_S + 20, HOUR_S + 21, OK},
      {15, 20, DUP}}},
    {"a fifth of a millisecond",
     200000,
     {{0, 1, OK},
      {1, 2, OK},
      {2, 3, OK},
      {4, 5, OK},
      {3, 4, OK},
      {1, 2, DUP},
      {3, 4, DUP},
      {5, 6, OK}}},
    {"one nanosecond",
     1,
     {{1, 2, OK}, {2, 3, OK}, {4, 999999, OK}, {3, 4, OK}, {3, 4, DUP}, {999999, 1000000, OK}}},
};

/* Each at once, in transactions of their own, and with kpid started anew after each window. */
static void windows_count_once_in_any_order(void **state) /* O10, O18, O19 */
{
    for (uint32_t c = 0; c < 3 * TEST_COUNT(CASES); c++) {
        struct world world = {.set = tracker_set_new()};
        int64_t unit = CASES[c / 3].unit_ns;
        begin(&world, *state);
        for (size_t i = 0; i < CASE_STEPS && CASES[c / 3].steps[i].to != 0; i++) {
            const struct step *step = &CASES[c / 3].steps[i];
            int64_t from = step->from == NEVER ? NEVER : step->from * unit;
            struct tracker_answer answer =
                take_window(&world, c + 1, from, step->to * unit, (double)step->to);
            if (answer.verdict != step->verdict)
                fail_msg("%s: window %zu is %d", CASES[c / 3].name, i, answer.verdict);
            if (answer.verdict == TRACKER_COUNTED)
                assert_same(answer.value, (double)step->to);
            if (c % 3 == 0)
                continue;
            commit_trackers(&world);
            if (c % 3 == 2)
                restart_trackers(&world);
            begin(&world, *state);
        }
        commit_trackers(&world);
        tracker_set_free(world.set);
    }
}

static void a_late_window_changes_nothing_of_the_last_one(void **state)
{
    struct world world = {.set = tracker_set_new()};

    begin(&world, *state);
    assert_int_equal(take_window(&world, 1, 30, 40, 5).verdict, TRACKER_COUNTED);
    struct tracker_answer late = take_window(&world, 1, 10, 20, 7);
    assert_int_equal(late.verdict, TRACKER_COUNTED);
    assert_false(late.mixed);
    assert_true(late.since == ms_of(10));
    assert_int_equal(take_window(&world, 1, 30, 40, 5).verdict, TRACKER_DUPLICATE);
    assert_int_equal(take_window(&world, 1, 30, 40, 6).verdict, TRACKER_CONFLICT);
    assert_int_equal(take_window(&world, 1, 10, 20, 8).verdict, TRACKER_DUPLICATE);
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

/* Windows that follow within a millisecond are one sender's. */
static void windows_within_a_millisecond_are_no_overlap(void **state) /* O11 */
{
    struct world world = {.set = tracker_set_new()};

    begin(&world, *state);
    for (int64_t i = 0; i < 20; i++) {
        struct tracker_answer answer = take_window(&world, 1, i * 200000, (i + 1) * 200000, 1);
        assert_int_equal(answer.verdict, TRACKER_COUNTED);
        assert_false(answer.mixed);
    }
    assert_true(take_window(&world, 1, 1000000, 9000000, 1).mixed);
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

static void windows_of_distributions_fill_gaps_too(void **state)
{
    const struct batch_buckets buckets = {.count = 3, .has_sum = true, .sum = 12};
    struct world world = {.set = tracker_set_new()};
    struct error err;
    struct tally *tally = tally_new(&buckets, &err);
    static const int64_t starts[] = {20, 10, 30, 10};

    begin(&world, *state);
    for (size_t i = 0; i < TEST_COUNT(starts); i++) {
        struct tracker_point point = window_of(1, starts[i], starts[i] + 10, 0);
        point.tally = tally;
        struct tracker_answer answer = take(&world, &point);
        assert_int_equal(answer.verdict, i == 3 ? TRACKER_DUPLICATE : TRACKER_COUNTED);
        assert_int_equal(answer.counted != NULL, i < 3);
        tally_free(answer.counted);
    }
    write_txn_abort(&world.txn);
    tally_free(tally);
    tracker_set_free(world.set);
}

/* What another form has counted is no gap, and a gap is forgotten when the form changes. */
static void other_forms_leave_no_gap(void **state)
{
    struct world world = {.set = tracker_set_new()};
    struct tracker_point total = window_of(1, NEVER, 10, 100);

    total.form = POINT_CUMULATIVE;
    begin(&world, *state);
    (void)take(&world, &total);
    assert_int_equal(take_window(&world, 1, 30, 40, 1).verdict, TRACKER_COUNTED);
    assert_int_equal(take_window(&world, 1, 20, 30, 1).verdict, TRACKER_DUPLICATE);
    assert_int_equal(take_window(&world, 1, 60, 70, 1).verdict, TRACKER_COUNTED);
    total.at = ms_of(80000000);
    (void)take(&world, &total);
    assert_int_equal(take_window(&world, 1, 50, 60, 1).verdict, TRACKER_DUPLICATE);
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

/* --- transactions --- */

static void a_gap_is_as_it_was_when_nothing_was_committed(void **state)
{
    struct world world = {.set = tracker_set_new()};
    struct error err = ERROR_EMPTY;

    begin(&world, *state);
    assert_int_equal(take_window(&world, 1, 40, 50, 1).verdict, TRACKER_COUNTED);
    assert_int_equal(take_window(&world, 1, 60, 70, 1).verdict, TRACKER_COUNTED);
    commit_trackers(&world);
    for (int i = 0; i < 3; i++) { /* before it was saved, afterwards, and for good */
        begin(&world, *state);
        assert_int_equal(take_window(&world, 1, 50, 60, 1).verdict, TRACKER_COUNTED);
        assert_int_equal(take_window(&world, 1, 50, 60, 1).verdict, TRACKER_DUPLICATE);
        if (i > 0)
            assert_true(tracker_set_save(world.set, &world.txn, &err));
        if (i < 2)
            write_txn_abort(&world.txn);
        else
            assert_true(write_txn_commit(&world.txn, &err));
        tracker_set_forget(world.set); /* nobody knows */
    }
    begin(&world, *state);
    assert_int_equal(take_window(&world, 1, 50, 60, 1).verdict, TRACKER_DUPLICATE);
    write_txn_abort(&world.txn);
    tracker_set_free(world.set);
}

static void gaps_take_memory_while_there_are_any(void **state)
{
    enum { SERIES = 1000 };
    struct world world = {.set = tracker_set_new()};
    size_t sizes[4];

    for (int round = 0; round < 4; round++) { /* none, none; one, filled */
        begin(&world, *state);
        for (uint32_t id = 1; id <= SERIES; id++) {
            static const int64_t from[] = {NEVER, 20, 40, 30};
            int64_t to = round == 0 ? 20 : from[round] + 10;
            assert_int_equal(take_window(&world, id, from[round], to, 1).verdict, TRACKER_COUNTED);
        }
        commit_trackers(&world);
        begin(&world, *state);
        sizes[round] = tracker_set_size_bytes(world.set);
        write_txn_abort(&world.txn);
    }
    assert_int_equal(sizes[1], sizes[0]);
    assert_in_range(sizes[2], sizes[1] + 1, sizes[1] + (size_t)64 * SERIES);
    assert_int_equal(sizes[3], sizes[1]);
    tracker_set_free(world.set);
}

/* --- what is on disk --- */

static void put_rows(struct world *world, struct str row)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    struct error err = ERROR_EMPTY;

    schema_put_u64(&key, 1);
    assert_true(store_put(&world->txn, DATABASE_TRACKERS, store_key(&key), row, 0, &err));
}

/* `what` of a tracker of increments with id 5: its flags, and what follows the value. */
static void write_entry(struct buf *out, unsigned flags, wall_ms at, struct str what)
{
    buf_clear(out);
    buf_u8(out, 1);
    buf_varint(out, 5);
    buf_u8(out, (uint8_t)(flags | 2 | 1 << 3));
    buf_varint(out, (uint64_t)at << 1);
    buf_varint(out, 7 << 1);
    buf_str(out, what);
}

/* A row of before there were gaps does not say when within its millisecond. */
static void a_time_that_is_not_exact_has_counted_all_of_its_millisecond(void **state)
{
    struct world world = {.set = tracker_set_new()};
    struct buf row = BUF_EMPTY;

    begin(&world, *state);
    write_entry(&row, 0, ms_of(0), STR_EMPTY);
    put_rows(&world, buf_view(&row));
    commit_trackers(&world);
    restart_trackers(&world);
    begin(&world, *state);
    assert_int_equal(take_window(&world, 5, NEVER, 500000, 7).verdict, TRACKER_DUPLICATE);
    assert_int_equal(take_window(&world, 5, 400000, 999999, 7).verdict, TRACKER_CONFLICT);
    struct tracker_answer next = take_window(&world, 5, 500000, 9000000, 7);
    assert_int_equal(next.verdict, TRACKER_COUNTED);
    assert_false(next.mixed);
    assert_int_equal(take_window(&world, 5, 12000000, 13000000, 7).verdict, TRACKER_COUNTED);
    assert_int_equal(take_window(&world, 5, 9000000, 12000000, 7).verdict, TRACKER_COUNTED);
    write_txn_abort(&world.txn);
    buf_fini(&row);
    tracker_set_free(world.set);
}

static void a_gap_that_cannot_be_is_a_series_that_was_never_seen(void **state)
{
    static const struct {
        unsigned flags;
        struct str what;
        bool is_good;
    } rows[] = {
        {0x40, {"\x09", 1}, true},
        {0x40, {"\xc0\x84\x3d", 3}, false},         /* 10^6 ns */
        {0xc0, {"\0\1\0\0", 4}, true},              /* ended 1 ms ago, since ever */
        {0xc0, {"\0\1\0\2\0", 5}, true},            /* 1 ms long */
        {0xc0, {"\0\1\0\1\0", 5}, false},           /* nothing */
        {0xc0, {"\0\1\5\1\5", 5}, false},           /* nothing */
        {0xc0, {"\0\1\5\1\4", 5}, true},            /* 1 ns long */
        {0xc0, {"\0\1\0\2", 4}, false},             /* cut short */
        {0xc0, {"\0\1\0\2\xc0\x84\x3d", 7}, false}, /* 10^6 ns */
        {0xc0, {"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0\0", 13}, false}, /* 1 ms later */
        {0x10, {"\1\0\0", 3}, false}, /* increments do not begin anew */
    };

    for (size_t i = 0; i < TEST_COUNT(rows); i++) {
        struct world world = {.set = tracker_set_new()};
        struct buf row = BUF_EMPTY;
        begin(&world, *state);
        write_entry(&row, rows[i].flags, ms_of(0), rows[i].what);
        put_rows(&world, buf_view(&row));
        commit_trackers(&world);
        restart_trackers(&world);
        begin(&world, *state);
        if (tracker_has(world.set, 5, POINT_INCREMENT) != rows[i].is_good)
            fail_msg("row %zu", i);
        write_txn_abort(&world.txn);
        buf_fini(&row);
        tracker_set_free(world.set);
    }
}

/* --- against brute force --- */

enum { UNITS = 400, WINDOWS = 60 };

/* Time in units: what has counted, and what is in the gap. */
struct model {
    bool is_open[UNITS];
    int last; /* end of the last window; 0: none yet */
};

struct window {
    int from, to;
};

/* The gap is its open units. */
static void leave_one_gap(struct model *model, struct window window)
{
    int newer = 0;
    int older = 0;

    for (int i = 0; i < UNITS; i++) {
        newer += i >= window.to && model->is_open[i];
        older += i < window.from && model->is_open[i];
    }
    bool keeps_newer = older == 0 || newer * 2 > window.to - window.from;
    for (int i = 0; i < UNITS; i++) {
        if ((i >= window.to) != keeps_newer)
            model->is_open[i] = false;
    }
}

static void forget_what_was_first(struct model *model, struct window window)
{
    int end = 0;

    while (end < UNITS && model->is_open[end])
        end++;
    if (model->last > 0 && window.to - end > TRACKER_GAP_FIRST * (window.to - window.from))
        memset(model->is_open, 0, (size_t)end);
}

static bool model_takes(struct model *model, struct window window)
{
    if (window.to > model->last) {
        if (window.from > model->last || model->last == 0) {
            for (int i = 0; i < UNITS; i++)
                model->is_open[i] = i >= model->last && i < window.from;
        }
        forget_what_was_first(model, window);
        model->last = window.to;
        return true;
    }
    for (int i = window.from; i < window.to; i++) {
        if (!model->is_open[i])
            return false;
    }
    leave_one_gap(model, window);
    for (int i = window.from; i < window.to; i++)
        model->is_open[i] = false;
    return true;
}

/* Windows one after the other, some of them with a hole in between. The first unit is before all.
 */
static size_t make_windows(uint64_t *random, struct window *windows)
{
    int at = 1 + (int)random_below(random, 3);
    size_t count = 0;

    while (at < UNITS - 10 && count < WINDOWS) {
        windows[count].from = at;
        at += 1 + (int)random_below(random, 6);
        windows[count++].to = at;
        if (random_below(random, 4) == 0)
            at += 1 + (int)random_below(random, 5);
    }
    return count;
}

/* An order of the windows: each at most so far from its place, or neighbours swapped; then some
 * come again, at any time after. */
static size_t make_order(uint64_t *random, size_t count, size_t apart, size_t *order)
{
    size_t sent = 0;

    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = 0; i + 1 < count; i++) {
        size_t room = count - i - 1 < apart ? count - i - 1 : apart;
        size_t other = i + (size_t)random_below(random, room + 1);
        size_t kept = order[i];
        order[i] = order[other];
        order[other] = kept;
        i += apart == 1 && other != i; /* both have their places */
    }
    sent = count;
    while (sent < count * 2) {
        size_t from = (size_t)random_below(random, sent);
        size_t to = from + 1 + (size_t)random_below(random, sent - from);
        memmove(order + to + 1, order + to, (sent - to) * sizeof *order);
        order[to] = order[from];
        sent++;
    }
    return sent;
}

/* Some transactions do not hold, or nobody knew; then the windows since come again. */
static void end_transaction(struct world *world, struct fixture *fixture, uint64_t *random)
{
    commit_trackers(world);
    if (random_below(random, 3) == 0)
        tracker_set_forget(world->set);
    if (random_below(random, 4) == 0)
        restart_trackers(world);
    begin(world, fixture);
}

static void one_run(struct fixture *fixture, uint64_t seed, size_t apart, int64_t unit_ns)
{
    struct world world = {.set = tracker_set_new()};
    struct model model = {.last = 0};
    struct window windows[WINDOWS];
    size_t order[2 * WINDOWS + 1];
    int counted[WINDOWS] = {0};
    uint64_t random = seed;
    size_t count = make_windows(&random, windows);
    size_t sent = make_order(&random, count, apart, order);

    begin(&world, fixture);
    for (size_t i = 0; i < sent; i++) {
        struct window window = windows[order[i]];
        bool fails = random_below(&random, 10) == 0;
        bool is_taken = false;
        if (random_below(&random, 3) == 0 || fails)
            end_transaction(&world, fixture, &random);
        for (int try = 0; try < (fails ? 2 : 1); try++) {
            if (try > 0) {
                write_txn_abort(&world.txn);
                tracker_set_forget(world.set);
                begin(&world, fixture);
            }
            is_taken = take_window(&world, (uint32_t)seed, window.from * unit_ns,
                                   window.to * unit_ns, window.to)
                           .verdict == TRACKER_COUNTED;
        }
        if (is_taken != model_takes(&model, window))
            fail_msg("seed %d: window %zu is taken: %d", (int)seed, order[i], is_taken);
        counted[order[i]] += is_taken;
    }
    for (size_t i = 0; i < count; i++) {
        assert_true(counted[i] <= 1);
        assert_true(counted[i] == 1 || apart > 1);
    }
    commit_trackers(&world);
    tracker_set_free(world.set);
}

static void windows_in_any_order_are_as_brute_force_has_them(void **state)
{
    static const size_t apart[] = {0, 1, 1, 2, 5, WINDOWS};
    static const int64_t units[] = {1000000000, 100000, 7000000};
    uint32_t seed = 1;

    for (int round = 0; round < 4; round++) {
        for (size_t a = 0; a < TEST_COUNT(apart); a++) {
            for (size_t u = 0; u < TEST_COUNT(units); u++)
                one_run(*state, seed++, apart[a], units[u]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRACKER_TEST(windows_count_once_in_any_order),
        TRACKER_TEST(a_late_window_changes_nothing_of_the_last_one),
        TRACKER_TEST(windows_within_a_millisecond_are_no_overlap),
        TRACKER_TEST(windows_of_distributions_fill_gaps_too),
        TRACKER_TEST(other_forms_leave_no_gap),
        TRACKER_TEST(a_gap_is_as_it_was_when_nothing_was_committed),
        TRACKER_TEST(gaps_take_memory_while_there_are_any),
        TRACKER_TEST(a_time_that_is_not_exact_has_counted_all_of_its_millisecond),
        TRACKER_TEST(a_gap_that_cannot_be_is_a_series_that_was_never_seen),
        TRACKER_TEST(windows_in_any_order_are_as_brute_force_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
