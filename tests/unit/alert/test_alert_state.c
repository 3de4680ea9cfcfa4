#include <math.h>

#include "alert/alert_state.h"
#include "test.h"

#define HOUR ((span_ms)MS_PER_HOUR)
#define TEN  (INT64_C(1793145600000)) /* some 10:00 */
#define AT(hour, minute)                                                                           \
    (TEN + ((hour)-10) * (wall_ms)MS_PER_HOUR + (minute) * (wall_ms)MS_PER_MINUTE)

enum { T = TRUTH_TRUE, F = TRUTH_FALSE, U = TRUTH_UNKNOWN };

/* One evaluation and what has to come of it. */
struct step {
    wall_ms now;
    int when;
    int recover;
    int change;
    int phase;
};

struct course {
    const char *name;
    span_ms for_ms;
    span_ms hold_ms;
    struct step steps[8];
};

static const struct course COURSES[] = {
    {"fires at once without `for`", 0, 0, {{AT(10, 0), T, F, ALERT_FIRED, ALERT_FIRING}}},
    {"never fires at unknown (ALR-1)",
     0,
     0,
     {{AT(10, 0), U, U, ALERT_NO_CHANGE, ALERT_INACTIVE},
      {AT(11, 0), U, T, ALERT_NO_CHANGE, ALERT_INACTIVE}}},
    {"stays firing while unknown (ALR-1)",
     0,
     0,
     {{AT(10, 0), T, F, ALERT_FIRED, ALERT_FIRING},
      {AT(11, 0), U, U, ALERT_NO_CHANGE, ALERT_FIRING},
      {AT(12, 0), F, T, ALERT_RESOLVED, ALERT_INACTIVE}}},
    {"unknown neither resets nor fires (ALR-3)",
     2 * HOUR,
     0,
     {{AT(10, 0), T, F, ALERT_STATE_CHANGED, ALERT_PENDING},
      {AT(11, 0), U, U, ALERT_NO_CHANGE, ALERT_PENDING},
      {AT(12, 0), U, U, ALERT_NO_CHANGE, ALERT_PENDING},
      {AT(13, 0), T, F, ALERT_FIRED, ALERT_FIRING}}},
    {"false resets `for` (ALR-3)",
     2 * HOUR,
     0,
     {{AT(10, 0), T, F, ALERT_STATE_CHANGED, ALERT_PENDING},
      {AT(11, 0), F, T, ALERT_STATE_CHANGED, ALERT_INACTIVE},
      {AT(12, 0), T, F, ALERT_STATE_CHANGED, ALERT_PENDING},
      {AT(13, 0), T, F, ALERT_NO_CHANGE, ALERT_PENDING},
      {AT(14, 0), T, F, ALERT_FIRED, ALERT_FIRING}}},
    {"`for` is over at its last instant",
     2 * HOUR,
     0,
     {{AT(10, 0), T, F, ALERT_STATE_CHANGED, ALERT_PENDING},
      {AT(12, 0) - 1, T, F, ALERT_NO_CHANGE, ALERT_PENDING},
      {AT(12, 0), T, F, ALERT_FIRED, ALERT_FIRING}}},
    {"the time kpid was down counts (ALR-4)",
     2 * HOUR,
     0,
     {{AT(10, 0), T, F, ALERT_STATE_CHANGED, ALERT_PENDING},
      {AT(13, 0), T, F, ALERT_FIRED, ALERT_FIRING}}},
    {"a clock that was set back begins `for` anew",
     2 * HOUR,
     0,
     {{AT(10, 0), T, F, ALERT_STATE_CHANGED, ALERT_PENDING},
      {AT(4, 0), T, F, ALERT_STATE_CHANGED, ALERT_PENDING},
      {AT(6, 0), T, F, ALERT_FIRED, ALERT_FIRING}}},
    {"between `when` and `recover` the state stays (ALR-5)",
     0,
     0,
     {{AT(10, 0), T, F, ALERT_FIRED, ALERT_FIRING},
      {AT(11, 0), F, F, ALERT_NO_CHANGE, ALERT_FIRING},
      {AT(12, 0), F, T, ALERT_RESOLVED, ALERT_INACTIVE},
      {AT(13, 0), F, F, ALERT_NO_CHANGE, ALERT_INACTIVE}}},
    {"`hold` counts while it recovers (ALR-5)",
     0,
     HOUR,
     {{AT(10, 0), T, F, ALERT_FIRED, ALERT_FIRING},
      {AT(11, 0), F, T, ALERT_STATE_CHANGED, ALERT_FIRING},
      {AT(11, 30), T, F, ALERT_STATE_CHANGED, ALERT_FIRING},
      {AT(11, 40), F, T, ALERT_STATE_CHANGED, ALERT_FIRING},
      {AT(12, 10), U, U, ALERT_NO_CHANGE, ALERT_FIRING},
      {AT(12, 30), F, T, ALERT_NO_CHANGE, ALERT_FIRING},
      {AT(12, 40), F, T, ALERT_RESOLVED, ALERT_INACTIVE}}},
    {"a `recover` that overlaps `when` does not resolve",
     0,
     0,
     {{AT(10, 0), T, T, ALERT_FIRED, ALERT_FIRING},
      {AT(11, 0), T, T, ALERT_NO_CHANGE, ALERT_FIRING}}},
};

static void the_state_follows_the_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(COURSES); i++) {
        struct alert_state alert = ALERT_STATE_EMPTY;
        for (const struct step *step = COURSES[i].steps; step->now != 0; step++) {
            struct alert_state next;
            const struct alert_input input = {.when = (enum truth)step->when,
                                              .recover = (enum truth)step->recover,
                                              .for_ms = COURSES[i].for_ms,
                                              .hold_ms = COURSES[i].hold_ms,
                                              .now = step->now};
            enum alert_change change = alert_state_next(&alert, &input, &next);
            if ((int)change != step->change || (int)next.phase != step->phase)
                fail_msg("%s, step %zu: change %d, phase %s", COURSES[i].name,
                         (size_t)(step - COURSES[i].steps), (int)change,
                         alert_phase_name(next.phase));
            alert = next;
        }
    }
}

static const struct alert_input TRUE_IN_OCTOBER = {.when = TRUTH_TRUE,
                                                   .recover = TRUTH_FALSE,
                                                   .restarts = true,
                                                   .period_from = 1000,
                                                   .value = 0.024,
                                                   .fingerprint = 7,
                                                   .now = 5000};

static struct alert_state firing_in_october(void)
{
    struct alert_state before = ALERT_STATE_EMPTY;
    struct alert_state firing;
    assert_int_equal(alert_state_next(&before, &TRUE_IN_OCTOBER, &firing), ALERT_FIRED);
    return firing;
}

static void firing_remembers_what_it_saw(void **state)
{
    struct alert_state firing = firing_in_october();
    (void)state;
    assert_int_equal(firing.since, 5000);
    assert_int_equal(firing.period_from, 1000);
    assert_true(firing.value == 0.024);
    assert_int_equal(firing.fingerprint, 7);
    assert_int_equal(firing.clear_since, WALL_NONE);
    assert_string_equal(firing.alert_id, "");
}

static void the_turn_of_a_period_ends_and_is_no_recovery(void **state)
{
    static const enum truth WHEN[] = {TRUTH_TRUE, TRUTH_FALSE, TRUTH_UNKNOWN};
    struct alert_state firing = firing_in_october();
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(WHEN); i++) {
        struct alert_state next;
        struct alert_input input = TRUE_IN_OCTOBER;
        input.when = WHEN[i];
        input.recover = TRUTH_TRUE;
        input.period_from = 6000;
        input.now = 6000;
        assert_int_equal(alert_state_next(&firing, &input, &next), ALERT_ENDED_PERIOD);
        assert_int_equal(next.phase, ALERT_INACTIVE);
    }
}

static void the_new_period_is_judged_by_the_next_call(void **state)
{
    struct alert_state firing = firing_in_october();
    struct alert_state ended;
    struct alert_state next;
    struct alert_input input = TRUE_IN_OCTOBER;
    (void)state;
    input.period_from = 6000;
    input.now = 6000;
    assert_int_equal(alert_state_next(&firing, &input, &ended), ALERT_ENDED_PERIOD);
    assert_int_equal(alert_state_next(&ended, &input, &next), ALERT_FIRED);
    input.for_ms = HOUR;
    assert_int_equal(alert_state_next(&ended, &input, &next), ALERT_STATE_CHANGED);
    assert_int_equal(next.phase, ALERT_PENDING);
}

static void a_figure_that_runs_through_stays_firing(void **state)
{
    struct alert_state firing = firing_in_october();
    struct alert_state next;
    struct alert_input input = TRUE_IN_OCTOBER;
    (void)state;
    input.restarts = false;
    input.period_from = 6000;
    input.now = 6000;
    assert_int_equal(alert_state_next(&firing, &input, &next), ALERT_NO_CHANGE);
    assert_int_equal(next.phase, ALERT_FIRING);
}

static void for_starts_anew_with_the_period(void **state)
{
    struct alert_state before = ALERT_STATE_EMPTY;
    struct alert_state pending;
    struct alert_state next;
    struct alert_input input = TRUE_IN_OCTOBER;
    (void)state;
    input.for_ms = 1000;
    assert_int_equal(alert_state_next(&before, &input, &pending), ALERT_STATE_CHANGED);
    input.period_from = 5500;
    input.now = 6000;
    assert_int_equal(alert_state_next(&pending, &input, &next), ALERT_STATE_CHANGED);
    assert_int_equal(next.phase, ALERT_PENDING);
    assert_int_equal(next.since, 6000);
    input.when = TRUTH_UNKNOWN;
    assert_int_equal(alert_state_next(&pending, &input, &next), ALERT_STATE_CHANGED);
    assert_int_equal(next.phase, ALERT_INACTIVE);
}

static void a_changed_rule_keeps_the_alert_only_if_it_is_true(void **state)
{
    static const struct {
        enum truth when;
        enum alert_change change;
        enum alert_phase phase;
        uint64_t fingerprint;
    } cases[] = {
        {TRUTH_TRUE, ALERT_STATE_CHANGED, ALERT_FIRING, 8},
        {TRUTH_FALSE, ALERT_ENDED_RULE, ALERT_INACTIVE, 0},
        {TRUTH_UNKNOWN, ALERT_NO_CHANGE, ALERT_FIRING, 7},
    };
    struct alert_state firing = firing_in_october();
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct alert_state next;
        struct alert_input input = TRUE_IN_OCTOBER;
        input.when = cases[i].when;
        input.recover = TRUTH_UNKNOWN;
        input.fingerprint = 8;
        input.now = 9000;
        assert_int_equal(alert_state_next(&firing, &input, &next), cases[i].change);
        assert_int_equal(next.phase, cases[i].phase);
        assert_int_equal(next.fingerprint, cases[i].fingerprint);
    }
}

static void a_changed_rule_begins_its_for_anew(void **state)
{
    struct alert_state before = ALERT_STATE_EMPTY;
    struct alert_state pending;
    struct alert_state next;
    struct alert_input input = TRUE_IN_OCTOBER;
    (void)state;
    input.for_ms = 1000;
    (void)alert_state_next(&before, &input, &pending);
    input.fingerprint = 8;
    input.now = 6500;
    assert_int_equal(alert_state_next(&pending, &input, &next), ALERT_STATE_CHANGED);
    assert_int_equal(next.phase, ALERT_PENDING);
    assert_int_equal(next.since, 6500);
}

static void a_state_survives_its_encoding(void **state)
{
    struct alert_state alert = {.phase = ALERT_FIRING,
                                .since = 5,
                                .clear_since = WALL_NONE,
                                .period_from = -7,
                                .value = 0.024,
                                .fingerprint = UINT64_C(0xFEDCBA9876543210),
                                .alert_id = "0123456789abcdef0123456789abcdef",
                                .hooks = STR("chat\noffice\n")};
    struct alert_state back;
    struct buf bytes = BUF_EMPTY;
    (void)state;
    alert_state_encode(&alert, &bytes);
    assert_true(alert_state_decode(buf_view(&bytes), &back));
    assert_int_equal(back.phase, alert.phase);
    assert_int_equal(back.since, alert.since);
    assert_int_equal(back.clear_since, alert.clear_since);
    assert_int_equal(back.period_from, alert.period_from);
    assert_true(back.value == alert.value);
    assert_true(back.fingerprint == alert.fingerprint);
    assert_string_equal(back.alert_id, alert.alert_id);
    assert_true(str_equal(back.hooks, alert.hooks));
    for (size_t len = 0; len < bytes.len; len++)
        assert_false(alert_state_decode((struct str){bytes.bytes, len}, &back));
    buf_char(&bytes, 'x');
    assert_false(alert_state_decode(buf_view(&bytes), &back));
    bytes.len--;
    bytes.bytes[1] = 3;
    assert_false(alert_state_decode(buf_view(&bytes), &back));
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_state_follows_the_rules),
        cmocka_unit_test(firing_remembers_what_it_saw),
        cmocka_unit_test(the_turn_of_a_period_ends_and_is_no_recovery),
        cmocka_unit_test(the_new_period_is_judged_by_the_next_call),
        cmocka_unit_test(a_figure_that_runs_through_stays_firing),
        cmocka_unit_test(for_starts_anew_with_the_period),
        cmocka_unit_test(a_changed_rule_keeps_the_alert_only_if_it_is_true),
        cmocka_unit_test(a_changed_rule_begins_its_for_anew),
        cmocka_unit_test(a_state_survives_its_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
