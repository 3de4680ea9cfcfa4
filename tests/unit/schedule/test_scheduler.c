#include "schedule/scheduler.h"
#include "test.h"

#define SECOND MS_PER_SECOND
#define MIN    MS_PER_MINUTE
#define HOUR   MS_PER_HOUR
#define DAY    ((span_ms)MS_PER_DAY)
#define NOON   INT64_C(1791806400000) /* 2026-10-12T12:00:00Z, a Monday */

/* A scheduler with what it borrows. */
struct fixture {
    struct arena arena;
    struct calendar *utc;
    struct scheduler *scheduler;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    struct error err = ERROR_EMPTY;
    fixture =
        (struct fixture){.utc = calendar_new(STR("UTC"), 1, &err), .scheduler = scheduler_new()};
    *state = &fixture;
    return fixture.utc == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    scheduler_free(fixture->scheduler);
    calendar_free(fixture->utc);
    arena_fini(&fixture->arena);
    return 0;
}

static void add(struct fixture *fixture, const char *text, void *owner, wall_ms last_run,
                wall_ms now)
{
    struct error err = ERROR_EMPTY;
    struct schedule *schedule = arena_alloc(&fixture->arena, sizeof *schedule);
    if (!schedule_parse(str_of(text), fixture->utc, &fixture->arena, schedule, &err))
        fail_msg("%s", err.text);
    scheduler_add(fixture->scheduler, schedule, owner, last_run, now);
}

static void nothing_is_due_without_entries(void **state)
{
    struct fixture *fixture = *state;
    struct scheduler_entry *due[4];
    assert_int_equal(scheduler_next(fixture->scheduler), WALL_NONE);
    assert_int_equal(scheduler_take_due(fixture->scheduler, NOON, due, TEST_COUNT(due)), 0);
    assert_null(scheduler_entry_at(fixture->scheduler, 0));
    scheduler_replan(fixture->scheduler, NOON);
    scheduler_free(NULL);
}

static void the_earliest_run_comes_first(void **state)
{
    struct fixture *fixture = *state;
    int one = 1;
    int two = 2;
    add(fixture, "every 1h", &one, WALL_NONE, NOON + 1);
    add(fixture, "every 10s", &two, WALL_NONE, NOON + 1);
    assert_int_equal(scheduler_next(fixture->scheduler), NOON + 10 * SECOND);
    assert_ptr_equal(scheduler_entry_at(fixture->scheduler, 0)->owner, &one);
    assert_int_equal(scheduler_entry_at(fixture->scheduler, 0)->next_run, NOON + HOUR);
    assert_int_equal(scheduler_entry_at(fixture->scheduler, 0)->last_run, WALL_NONE);
    assert_ptr_equal(scheduler_entry_at(fixture->scheduler, 1)->owner, &two);
    assert_null(scheduler_entry_at(fixture->scheduler, 2));
}

static void a_due_run_is_taken_once(void **state)
{
    struct fixture *fixture = *state;
    struct scheduler_entry *due[4];
    int owner = 0;
    add(fixture, "every 10s", &owner, WALL_NONE, NOON);
    assert_int_equal(scheduler_take_due(fixture->scheduler, NOON + 10 * SECOND - 1, due, 4), 0);
    assert_int_equal(scheduler_take_due(fixture->scheduler, NOON + 10 * SECOND, due, 4), 1);
    assert_ptr_equal(due[0]->owner, &owner);
    assert_int_equal(due[0]->last_run, NOON + 10 * SECOND);
    assert_int_equal(due[0]->next_run, NOON + 20 * SECOND);
    assert_int_equal(scheduler_take_due(fixture->scheduler, NOON + 10 * SECOND, due, 4), 0);
    assert_int_equal(scheduler_take_due(fixture->scheduler, NOON + 19 * SECOND, due, 4), 0);
}

static void missed_runs_are_made_once_and_the_newest_counts(void **state)
{
    static const struct {
        const char *text;
        span_ms late;     /* after NOON */
        span_ms last_run; /* after NOON */
        span_ms next_run;
    } cases[] = {
        {"every 10s", 25 * SECOND, 20 * SECOND, 30 * SECOND},
        {"every 10s", 20 * SECOND, 20 * SECOND, 30 * SECOND},
        {"every 1s", 90 * DAY + 500, 90 * DAY, 90 * DAY + SECOND},
        {"every 1d", 3 * DAY, 2 * DAY + 12 * HOUR, 3 * DAY + 12 * HOUR},
        {"0 * * * *", 5 * HOUR + MIN, 5 * HOUR, 6 * HOUR},
        {"* 13 * * *", 12 * HOUR, HOUR + 59 * MIN, 25 * HOUR},
        {"0 9 * * 1", 15 * DAY, 14 * DAY - 3 * HOUR, 21 * DAY - 3 * HOUR},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct scheduler_entry *due[2];
        struct scheduler *all = fixture->scheduler;
        fixture->scheduler = scheduler_new();
        add(fixture, cases[i].text, NULL, WALL_NONE, NOON);
        assert_int_equal(scheduler_take_due(fixture->scheduler, NOON + cases[i].late, due, 2), 1);
        assert_int_equal(due[0]->last_run - NOON, cases[i].last_run);
        assert_int_equal(due[0]->next_run - NOON, cases[i].next_run);
        scheduler_free(fixture->scheduler);
        fixture->scheduler = all;
    }
}

static void runs_missed_while_down_are_not_made_up_for(void **state)
{
    struct fixture *fixture = *state;
    struct scheduler_entry *due[2];
    add(fixture, "0 9 * * *", NULL, NOON - 3 * DAY - 3 * HOUR, NOON);
    const struct scheduler_entry *entry = scheduler_entry_at(fixture->scheduler, 0);
    assert_int_equal(entry->last_run, NOON - 3 * DAY - 3 * HOUR);
    assert_int_equal(entry->next_run, NOON + DAY - 3 * HOUR);
    assert_int_equal(scheduler_take_due(fixture->scheduler, NOON, due, 2), 0);
}

static void more_are_due_than_there_is_room_for(void **state)
{
    struct fixture *fixture = *state;
    struct scheduler_entry *due[40];
    int owners[100];
    size_t seen[100] = {0};

    for (size_t i = 0; i < TEST_COUNT(owners); i++)
        add(fixture, "every 10s", &owners[i], WALL_NONE, NOON);
    static const size_t expected[] = {40, 40, 20, 0};
    for (size_t round = 0; round < TEST_COUNT(expected); round++) {
        size_t count = scheduler_take_due(fixture->scheduler, NOON + 10 * SECOND, due, 40);
        assert_int_equal(count, expected[round]);
        for (size_t i = 0; i < count; i++)
            seen[(int *)due[i]->owner - owners]++;
    }
    for (size_t i = 0; i < TEST_COUNT(seen); i++)
        assert_int_equal(seen[i], 1);
}

static void a_clock_set_back_repeats_no_run(void **state)
{
    struct fixture *fixture = *state;
    struct scheduler_entry *due[2];
    add(fixture, "0 12 * * *", NULL, WALL_NONE, NOON - 1);
    assert_int_equal(scheduler_take_due(fixture->scheduler, NOON, due, 2), 1);
    scheduler_replan(fixture->scheduler, NOON - HOUR);
    assert_int_equal(scheduler_take_due(fixture->scheduler, NOON, due, 2), 0);
    assert_int_equal(scheduler_next(fixture->scheduler), NOON + DAY);
}

/* Else nothing would be judged for as long as the clock had been ahead. */
static void steady_schedules_go_on_when_the_clock_is_set_back(void **state)
{
    static const struct {
        const char *text;
        span_ms next; /* after NOON, to which the clock is set from two hours later */
    } cases[] = {
        {"every 10s", 10 * SECOND},
        {"every 1h", HOUR},
        {"*/5 * * * *", 5 * MIN},
        {"* 13 * * *", HOUR},
        {"0 12 * * *", DAY},
        {"30 13 * * *", DAY + HOUR + 30 * MIN},
        {"30 14 * * *", 2 * HOUR + 30 * MIN},
        {"every 1d", 12 * HOUR},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct scheduler_entry *due[2];
        struct scheduler *all = fixture->scheduler;
        fixture->scheduler = scheduler_new();
        add(fixture, cases[i].text, NULL, WALL_NONE, NOON - 1);
        (void)scheduler_take_due(fixture->scheduler, NOON + 2 * HOUR, due, 2);
        scheduler_replan(fixture->scheduler, NOON);
        if (scheduler_next(fixture->scheduler) != NOON + cases[i].next)
            fail_msg("'%s' runs %lld ms later", cases[i].text,
                     (long long)(scheduler_next(fixture->scheduler) - NOON));
        scheduler_free(fixture->scheduler);
        fixture->scheduler = all;
    }
}

static void a_stored_run_ahead_of_the_clock_is_not_repeated(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, "0 12 * * *", NULL, NOON, NOON - HOUR);
    assert_int_equal(scheduler_next(fixture->scheduler), NOON + DAY);
}

static void a_run_far_ahead_was_made_by_a_wrong_clock(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, "every 10s", NULL, NOON + 1000 * DAY, NOON);
    assert_int_equal(scheduler_next(fixture->scheduler), NOON + 10 * SECOND);
    scheduler_replan(fixture->scheduler, NOON - MIN);
    assert_int_equal(scheduler_next(fixture->scheduler), NOON - MIN + 10 * SECOND);
}

static void a_clock_set_forward_makes_one_run(void **state)
{
    struct fixture *fixture = *state;
    struct scheduler_entry *due[2];
    add(fixture, "0 * * * *", NULL, WALL_NONE, NOON);
    assert_int_equal(scheduler_take_due(fixture->scheduler, NOON + 10 * DAY, due, 2), 1);
    assert_int_equal(due[0]->last_run, NOON + 10 * DAY);
    scheduler_replan(fixture->scheduler, NOON + 10 * DAY);
    assert_int_equal(scheduler_next(fixture->scheduler), NOON + 10 * DAY + HOUR);
}

static void a_step_forward_over_a_run_loses_it_not(void **state)
{
    struct fixture *fixture = *state;
    struct scheduler_entry *due[2];
    add(fixture, "0 12 * * *", NULL, WALL_NONE, NOON - SECOND);
    scheduler_replan(fixture->scheduler, NOON + SECOND); /* before anybody has looked */
    assert_int_equal(scheduler_take_due(fixture->scheduler, NOON + SECOND, due, 2), 1);
    assert_int_equal(due[0]->last_run, NOON);
    assert_int_equal(scheduler_next(fixture->scheduler), NOON + DAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_due_without_entries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_earliest_run_comes_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_due_run_is_taken_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missed_runs_are_made_once_and_the_newest_counts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(runs_missed_while_down_are_not_made_up_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(more_are_due_than_there_is_room_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_clock_set_back_repeats_no_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(steady_schedules_go_on_when_the_clock_is_set_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_stored_run_ahead_of_the_clock_is_not_repeated, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_run_far_ahead_was_made_by_a_wrong_clock, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_clock_set_forward_makes_one_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_step_forward_over_a_run_loses_it_not, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
