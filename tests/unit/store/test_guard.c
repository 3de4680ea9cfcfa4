#include "fixture.h"
#include "store/guard.h"

#define START AT(MINUTE, 0)
#define MIN   ((span_ms)MS_PER_MINUTE)
#define HOUR  ((span_ms)MS_PER_HOUR)
#define DAY   ((span_ms)MS_PER_DAY)

enum { STEPS_MAX = 8, TICK_MS = 1000 };

/* What happens to a machine and to kpid on it. */
enum deed {
    THE_END,
    RUNS,      /* both clocks go on for `ms`, kpid ticks */
    RUNS_FAST, /* the wall clock gains a second a minute */
    JUMPS,     /* the wall clock changes by `ms`, then kpid ticks once */
    RESTARTS,  /* kpid is stopped, both clocks go on for `ms`, kpid starts */
    REBOOTS,   /* kpid is stopped, the machine is off for `ms` by its clock, kpid starts */
    CRASHES,   /* as REBOOTS, and nothing was saved since the last start */
    ACCEPTS,   /* a person says that the clock is right */
};

/* Where things stand after it: the marks' distance from the wall clock, in ms. */
struct step {
    enum deed deed;
    span_ms ms;
    bool suspect;
    span_ms mark_behind;
    span_ms keep_behind;
};

struct story {
    const char *name;
    struct step steps[STEPS_MAX];
};

static const struct story STORIES[] = {
    {"a clock that runs", {{RUNS, 30 * MIN, false, 0, 0}, {RUNS, 2 * DAY, false, 0, 0}}},
    {"a jump of an hour ahead is not believed for ten minutes",
     {{RUNS, 20 * MIN, false, 0, 0},
      {JUMPS, HOUR, true, HOUR, HOUR},
      {RUNS, 10 * MIN - TICK_MS, true, HOUR, HOUR},
      {RUNS, TICK_MS, false, 0, 0}}},
    {"a jump a day back holds the marks, then they go back with it",
     {{RUNS, 20 * MIN, false, 0, 0},
      {JUMPS, -DAY, true, -DAY, -DAY},
      {RUNS, 9 * MIN, true, -DAY + 9 * MIN, -DAY + 9 * MIN},
      {RUNS, MIN, false, 0, 0}}},
    {"a jump there and back counts ten minutes anew",
     {{JUMPS, HOUR, true, HOUR, HOUR},
      {RUNS, 5 * MIN, true, HOUR, HOUR},
      {JUMPS, -HOUR, true, 0, 0},
      {RUNS, 9 * MIN, true, 0, 0},
      {RUNS, MIN, false, 0, 0}}},
    {"a jump of five minutes only holds the marks back for a while",
     {{RUNS, 20 * MIN, false, 0, 0},
      {JUMPS, 5 * MIN, false, 5 * MIN, 5 * MIN},
      {RUNS, 9 * MIN, false, 5 * MIN, 5 * MIN},
      {RUNS, MIN, false, 0, 0},
      {JUMPS, -5 * MIN, false, -5 * MIN, -5 * MIN},
      {RUNS, 2 * MIN, false, -3 * MIN, -3 * MIN},
      {RUNS, 8 * MIN, false, 0, 0}}},
    {"a start in 2055 closes after ten minutes and expires nothing",
     {{RUNS, 20 * MIN, false, 0, 0},
      {REBOOTS, 10950 * DAY, true, 10950 * DAY, 10950 * DAY},
      {RUNS, 10 * MIN, false, 0, 10950 * DAY},
      {RESTARTS, 5 * MIN, false, 0, 10950 * DAY},
      {RUNS, DAY, false, 0, 10950 * DAY},
      {REBOOTS, -10950 * DAY, true, -10950 * DAY, 0},
      {RUNS, 10 * MIN, false, 0, 0}}},
    {"a start a day before the newest commit",
     {{RUNS, 20 * MIN, false, 0, 0},
      {REBOOTS, -DAY, true, -DAY, -DAY},
      {RUNS, 5 * MIN, true, -DAY + 5 * MIN, -DAY + 5 * MIN},
      {RESTARTS, MIN, true, -DAY + 6 * MIN, -DAY + 6 * MIN},
      {RUNS, 10 * MIN, false, 0, 0}}},
    {"a start just before the newest commit",
     {{RUNS, 20 * MIN, false, 0, 0},
      {REBOOTS, -5 * MIN, true, -5 * MIN, -5 * MIN},
      {RUNS, 10 * MIN, false, 0, 0}}},
    {"kpid was stopped for two days on a machine that ran on",
     {{RUNS, 20 * MIN, false, 0, 0}, {RESTARTS, 2 * DAY, false, 0, 0}, {RUNS, MIN, false, 0, 0}}},
    {"the clock was set while kpid was stopped on a machine that ran on",
     {{RUNS, 20 * MIN, false, 0, 0},
      {JUMPS, HOUR, true, HOUR, HOUR},
      {RESTARTS, 2 * DAY, true, HOUR, HOUR},
      {RUNS, 10 * MIN, false, 0, 0}}},
    {"the machine was off for three days",
     {{RUNS, 20 * MIN, false, 0, 0},
      {REBOOTS, 3 * DAY, true, 3 * DAY, 3 * DAY},
      {RUNS, 10 * MIN, false, 0, 0}}},
    {"the machine was off for five minutes",
     {{RUNS, 20 * MIN, false, 0, 0}, {REBOOTS, 5 * MIN, false, 0, 0}}},
    {"the machine was off for two months: a person lets retention go on",
     {{RUNS, 20 * MIN, false, 0, 0},
      {REBOOTS, 60 * DAY, true, 60 * DAY, 60 * DAY},
      {RUNS, 10 * MIN, false, 0, 60 * DAY},
      {RUNS, DAY, false, 0, 60 * DAY},
      {ACCEPTS, 0, false, 0, 0}}},
    {"a person says that the clock is right",
     {{RUNS, 20 * MIN, false, 0, 0},
      {JUMPS, DAY, true, DAY, DAY},
      {ACCEPTS, 0, false, 0, 0},
      {RUNS, MIN, false, 0, 0},
      {RESTARTS, MIN, false, 0, 0}}},
    {"a clock that gains a second a minute is never even, and its mark stays behind",
     {{RUNS, 20 * MIN, false, 0, 0},
      {RUNS_FAST, 60 * MIN, false, 55 * MS_PER_SECOND, 55 * MS_PER_SECOND}}},
    {"a crash makes the stored mark older, not wrong",
     {{RUNS, 5 * MIN, false, 0, 0}, {CRASHES, MIN, false, 0, 0}}},
};

struct machine {
    struct fixture *fixture;
    struct guard_now now;
    struct guard guard;
};

static void save(struct machine *machine)
{
    struct write_txn txn;
    struct error err = ERROR_EMPTY;

    assert_true(write_txn_begin(machine->fixture->store, NULL, &txn, &err));
    assert_true(guard_save(&machine->guard, &txn, &err));
    assert_true(write_txn_commit(&txn, &err));
}

static void start(struct machine *machine)
{
    struct read_txn *txn = read_begin(machine->fixture);
    memset(&machine->guard, 0xee, sizeof machine->guard);
    guard_open(&machine->guard, txn, &machine->now);
    read_txn_end(txn);
}

static void run(struct machine *machine, span_ms ms, span_ms gain_a_minute)
{
    span_ms tick = ms > DAY / 2 ? MIN : TICK_MS;

    for (span_ms at = 0; at < ms; at += tick) {
        machine->now.boot += tick;
        machine->now.wall += tick;
        if ((at + tick) % MIN == 0)
            machine->now.wall += gain_a_minute;
        guard_tick(&machine->guard, &machine->now);
    }
}

static void reboot(struct machine *machine, span_ms ms)
{
    machine->now.boot = 40 * TICK_MS;
    machine->now.wall += ms;
    machine->now.boot_id[3]++;
    start(machine);
}

static void act(struct machine *machine, const struct step *step)
{
    switch (step->deed) {
    case RUNS:
        run(machine, step->ms, 0);
        break;
    case RUNS_FAST:
        run(machine, step->ms, MS_PER_SECOND);
        break;
    case JUMPS:
        machine->now.wall += step->ms;
        guard_tick(&machine->guard, &machine->now);
        break;
    case RESTARTS:
        save(machine);
        machine->now.boot += step->ms;
        machine->now.wall += step->ms;
        start(machine);
        save(machine);
        break;
    case REBOOTS:
        save(machine);
        reboot(machine, step->ms);
        save(machine);
        break;
    case CRASHES:
        reboot(machine, step->ms);
        break;
    case ACCEPTS:
        guard_accept(&machine->guard, &machine->now);
        break;
    case THE_END:
        break;
    }
}

static void check(const struct story *story, size_t i, const struct machine *machine)
{
    const struct step *step = &story->steps[i];
    const struct guard *guard = &machine->guard;
    struct error why = ERROR_EMPTY;
    span_ms mark_behind = machine->now.wall - guard->mark;
    span_ms keep_behind = machine->now.wall - guard->keep_mark;

    if (guard_is_suspect(guard, &why) != step->suspect)
        fail_msg("%s: step %zu: the clock is%s suspect", story->name, i,
                 step->suspect ? " not" : "");
    if (mark_behind != step->mark_behind)
        fail_msg("%s: step %zu: the mark is %lld ms behind", story->name, i,
                 (long long)mark_behind);
    if (keep_behind != step->keep_behind)
        fail_msg("%s: step %zu: retention's mark is %lld ms behind", story->name, i,
                 (long long)keep_behind);
}

static void every_story_ends_where_it_should(void **state)
{
    for (size_t s = 0; s < TEST_COUNT(STORIES); s++) {
        struct machine machine = {.fixture = *state, .now = {.wall = START, .boot = 77 * HOUR}};
        const struct step *steps = STORIES[s].steps;

        fixture_reopen(*state);
        struct write_txn txn;
        struct error err = ERROR_EMPTY;
        assert_true(write_txn_begin(machine.fixture->store, NULL, &txn, &err));
        assert_true(store_remove(&txn, DATABASE_META, store_value(STR("clock")), &err));
        assert_true(write_txn_commit(&txn, &err));

        start(&machine);
        save(&machine);
        for (size_t i = 0; i < STEPS_MAX && steps[i].deed != THE_END; i++) {
            act(&machine, &steps[i]);
            check(&STORIES[s], i, &machine);
        }
    }
}

/* --- without a stored clock --- */

static void put_meta(struct fixture *fixture, const char *name, struct str value)
{
    struct write_txn txn;
    struct error err = ERROR_EMPTY;

    assert_true(write_txn_begin(fixture->store, NULL, &txn, &err));
    assert_true(store_put(&txn, DATABASE_META, store_value(str_of(name)), value, 0, &err));
    assert_true(write_txn_commit(&txn, &err));
}

static void without_a_stored_clock_the_newest_sample_decides(void **state)
{
    static const struct {
        span_ms after_newest;
        bool suspect;
        span_ms mark_behind;
    } cases[] = {
        {0, false, 0},  {10 * MIN, false, 0}, {10 * MIN + 1, true, 10 * MIN + 1},
        {-1, true, -1}, {-DAY, true, -DAY},   {400 * DAY, true, 400 * DAY},
    };
    struct machine machine = {.fixture = *state, .now = {.boot = HOUR}};
    struct error why = ERROR_EMPTY;
    struct buf newest = BUF_EMPTY;

    buf_i64(&newest, START);
    put_meta(*state, "newest", buf_view(&newest));
    buf_fini(&newest);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        machine.now.wall = START + cases[i].after_newest;
        start(&machine);
        assert_int_equal(guard_is_suspect(&machine.guard, &why), cases[i].suspect);
        assert_int_equal(machine.now.wall - machine.guard.mark, cases[i].mark_behind);
        assert_int_equal(machine.now.wall - machine.guard.keep_mark, cases[i].mark_behind);
    }
}

static void a_stored_clock_that_cannot_be_is_none(void **state)
{
    struct buf bytes = BUF_EMPTY;
    struct machine machine = {.fixture = *state, .now = {.wall = START, .boot = HOUR}};

    for (int i = 0; i < 5; i++) {
        buf_clear(&bytes);
        buf_i64(&bytes, i == 0 ? INT64_MAX : START);
        buf_i64(&bytes, i == 1 ? -1 : HOUR);
        buf_i64(&bytes, 0);
        buf_i64(&bytes, 0);
        buf_i64(&bytes, i == 2 ? INT64_MIN : START);
        if (i == 3)
            buf_u8(&bytes, 0);
        if (i == 4)
            bytes.len -= 2;
        put_meta(*state, "clock", buf_view(&bytes));
        start(&machine);
        assert_false(machine.guard.suspect);
        assert_true(machine.guard.mark == START && machine.guard.keep_mark == START);
    }
    buf_fini(&bytes);
}

static void the_sentences_say_what_was_seen_and_what_to_do(void **state)
{
    struct machine machine = {.fixture = *state, .now = {.wall = START, .boot = HOUR}};
    const struct step steps[] = {{JUMPS, 40 * DAY, true, 0, 0}, {RUNS, 11 * MIN, true, 0, 0}};
    struct error why = ERROR_EMPTY;

    start(&machine);
    act(&machine, &steps[0]);
    assert_true(guard_is_suspect(&machine.guard, &why));
    assert_int_equal(why.kind, ERROR_UNAVAILABLE);
    assert_string_equal(why.text,
                        "the clock may be wrong: it said 2025-03-31T21:20:00Z where "
                        "2025-02-19T21:20:00Z was expected; nothing is closed or expired");
    assert_non_null(strstr(why.hint, "kpictl clock accept"));

    act(&machine, &steps[1]);
    assert_false(guard_is_suspect(&machine.guard, &why));
    save(&machine);
    struct read_txn *txn = read_begin(*state);
    assert_true(store_keeps_more(txn, &why));
    assert_string_equal(why.text, "the clock went ahead by more than 31 days: retention counts "
                                  "from 2025-02-19T21:31:00Z, not from 2025-03-31T21:31:00Z");
    read_txn_end(txn);
}

static void the_machines_clocks_can_be_read(void **state)
{
    struct guard_now first;
    struct guard_now second;
    (void)state;

    guard_now_read(&first);
    guard_now_read(&second);
    assert_true(second.boot >= first.boot && first.boot > 0);
    assert_memory_equal(first.boot_id, second.boot_id, sizeof first.boot_id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(every_story_ends_where_it_should),
        STORE_TEST(without_a_stored_clock_the_newest_sample_decides),
        STORE_TEST(a_stored_clock_that_cannot_be_is_none),
        STORE_TEST(the_sentences_say_what_was_seen_and_what_to_do),
        cmocka_unit_test(the_machines_clocks_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
