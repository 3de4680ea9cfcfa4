#include "schedule/schedule.h"
#include "test.h"
#include "zone.h"

static struct arena arena;

static int free_arena(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void schedules_run_when_they_say(void **state)
{
    static const struct {
        const char *zone;
        int week_start;
        const char *text;
        const char *from;
        const char *runs[4];
    } cases[] = {
        {"UTC",
         1,
         "every 10s",
         "2026-10-12T09:00:00.001",
         {"2026-10-12T09:00:10+00:00", "2026-10-12T09:00:20+00:00"}},
        {"UTC", 1, "every 10s", "2026-10-12T09:00:10", {"2026-10-12T09:00:20+00:00"}},
        {"UTC", 1, "every 1s", "2026-10-12T09:00:10", {"2026-10-12T09:00:11+00:00"}},
        {"UTC",
         1,
         " every\t5m ",
         "2026-10-12T09:03",
         {"2026-10-12T09:05:00+00:00", "2026-10-12T09:10:00+00:00"}},
        {"UTC",
         1,
         "every 1h30m",
         "2026-10-12T00:00",
         {"2026-10-12T01:30:00+00:00", "2026-10-12T03:00:00+00:00"}},
        {"UTC",
         1,
         "every 7m",
         "1970-01-01T00:00",
         {"1970-01-01T00:07:00+00:00", "1970-01-01T00:14:00+00:00"}},
        {"UTC",
         1,
         "every 7m",
         "1969-12-31T23:50",
         {"1969-12-31T23:53:00+00:00", "1970-01-01T00:00:00+00:00"}},
        /* real time over DST */
        {"Europe/Berlin",
         1,
         "every 1h",
         "2026-10-25T01:30",
         {"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
        {"Asia/Kathmandu", 1, "every 1h", "2026-10-12T09:00", {"2026-10-12T09:45:00+05:45"}},
        /* days and weeks are civil */
        {"Europe/Berlin",
         1,
         "every 1d",
         "2026-10-24T12:00",
         {"2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"}},
        {"Europe/Berlin", 1, "every 24h", "2026-10-25T00:00", {"2026-10-26T00:00:00+01:00"}},
        {"Europe/Berlin",
         1,
         "every 2d",
         "2026-10-24T12:00", /* day 20751 */
         {"2026-10-26T00:00:00+01:00", "2026-10-28T00:00:00+01:00"}},
        {"Asia/Beirut",
         1,
         "every 1d",
         "2026-03-28T12:00",
         {"2026-03-29T01:00:00+03:00", "2026-03-30T00:00:00+03:00"}},
        {"Pacific/Apia",
         1,
         "every 1d",
         "2011-12-29T00:00",
         {"2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"}},
        {"Europe/Berlin",
         1,
         "every 1w",
         "2026-10-12T00:00",
         {"2026-10-19T00:00:00+02:00", "2026-10-26T00:00:00+01:00"}},
        {"Europe/Berlin",
         7,
         "every 1w",
         "2026-10-12T00:00",
         {"2026-10-18T00:00:00+02:00", "2026-10-25T00:00:00+02:00"}},
        {"Europe/Berlin", 5, "every 7d", "2026-10-12T00:00", {"2026-10-16T00:00:00+02:00"}},
        /* 1970 began in the week of Monday, 29 December 1969 */
        {"UTC", 1, "every 2w", "1970-01-01", {"1970-01-12T00:00:00+00:00"}},
        {"UTC",
         1,
         "every 2w",
         "1969-12-01",
         {"1969-12-15T00:00:00+00:00", "1969-12-29T00:00:00+00:00"}},
        {"UTC",
         1,
         "every 36h",
         "1970-01-02",
         {"1970-01-02T12:00:00+00:00", "1970-01-04T00:00:00+00:00"}},
        /* cron */
        {"Europe/Berlin",
         1,
         "0 9 * * 1-5",
         "2026-10-23T10:00",
         {"2026-10-26T09:00:00+01:00", "2026-10-27T09:00:00+01:00"}},
        {"Europe/Berlin",
         1,
         "CRON_TZ=Europe/Berlin 0 8 * * MON",
         "2026-10-23",
         {"2026-10-26T08:00:00+01:00"}},
        {"Europe/Berlin", 1, "@hourly", "2026-10-23T10:00", {"2026-10-23T11:00:00+02:00"}},
    };
    char text[CLOCK_TEXT_SIZE];
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct calendar *calendar = open_calendar(cases[i].zone, cases[i].week_start);
        struct schedule schedule;
        struct error err = ERROR_EMPTY;
        wall_ms at = WALL_NONE;

        assert_true(calendar_parse(calendar, str_of(cases[i].from), false, &at));
        if (!schedule_parse(str_of(cases[i].text), calendar, &arena, &schedule, &err))
            fail_msg("%s", err.text);
        assert_string_equal(schedule.text, cases[i].text);
        assert_ptr_equal(schedule.calendar, calendar);
        assert_null(schedule.id);
        for (size_t r = 0; cases[i].runs[r] != NULL; r++) {
            at = schedule_next(&schedule, at);
            if (strcmp(calendar_format(calendar, at, text), cases[i].runs[r]) != 0)
                fail_msg("'%s' run %zu is %s, not %s", cases[i].text, r, text, cases[i].runs[r]);
        }
        calendar_free(calendar);
    }
}

static void mistakes_and_forms_not_built_are_told_apart(void **state)
{
    static const struct {
        const char *text;
        enum error_kind kind;
        const char *error;
    } cases[] = {
        {"", ERROR_INVALID, "a schedule is empty"},
        {" \t", ERROR_INVALID, "a schedule is empty"},
        {"every", ERROR_INVALID, "schedule 'every' has no span of time after 'every'"},
        {"every 10", ERROR_INVALID, "schedule 'every 10' has no span of time after 'every'"},
        {"every -5m", ERROR_INVALID, "schedule 'every -5m' has no span of time after 'every'"},
        {"every 5 m", ERROR_INVALID, "schedule 'every 5 m' has no span of time after 'every'"},
        {"every 5m at noon", ERROR_INVALID,
         "schedule 'every 5m at noon' has no span of time after 'every'"},
        {"every 999ms", ERROR_INVALID,
         "schedule 'every 999ms' is not within 1 second and 366 days"},
        {"every 0s", ERROR_INVALID, "schedule 'every 0s' is not within 1 second and 366 days"},
        {"every 367d", ERROR_INVALID, "schedule 'every 367d' is not within 1 second and 366 days"},
        {"every 99999999999999999999d", ERROR_INVALID,
         "schedule 'every 99999999999999999999d' has no span of time after 'every'"},
        {"CRON_TZ=UTC 0 9 * * *", ERROR_INVALID,
         "schedule's CRON_TZ 'UTC' is not the zone of its calendar, 'Europe/Berlin'"},
        {"hourly", ERROR_INVALID, "'hourly' is not a schedule"},
        {"0 9 * *", ERROR_INVALID, "cron expression '0 9 * *': column 8: it has 4 of 5 fields"},
        {"@reboot", ERROR_INVALID, "cron expression '@reboot': column 1: '@reboot' is not a time"},
        {"every 2w from 2026-10-05", ERROR_UNAVAILABLE,
         "schedule 'every 2w from 2026-10-05' is of a form that is not built yet"},
        {"month_end + 2 business days 09:30", ERROR_UNAVAILABLE,
         "schedule 'month_end + 2 business days 09:30' is of a form that is not built yet"},
        {"fiscal_quarter_end + settle", ERROR_UNAVAILABLE,
         "schedule 'fiscal_quarter_end + settle' is of a form that is not built yet"},
        {"period_end", ERROR_UNAVAILABLE,
         "schedule 'period_end' is of a form that is not built yet"},
    };
    struct calendar *berlin = open_calendar("Europe/Berlin", 1);
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct schedule schedule;
        struct error err = ERROR_EMPTY;
        if (schedule_parse(str_of(cases[i].text), berlin, &arena, &schedule, &err))
            fail_msg("'%s' was accepted", cases[i].text);
        assert_string_equal(err.text, cases[i].error);
        assert_int_equal(err.kind, cases[i].kind);
    }
    struct schedule schedule;
    struct error err = ERROR_EMPTY;
    assert_false(schedule_parse(STR_EMPTY, berlin, &arena, &schedule, &err));
    calendar_free(berlin);
}

static void times_at_the_ends_of_the_scale_have_no_next_run(void **state)
{
    static const char *const texts[] = {"every 10s", "every 1d", "every 1w", "0 9 * * *"};
    struct calendar *berlin = open_calendar("Europe/Berlin", 1);
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        struct schedule schedule;
        struct error err = ERROR_EMPTY;
        assert_true(schedule_parse(str_of(texts[i]), berlin, &arena, &schedule, &err));
        assert_int_equal(schedule_next(&schedule, INT64_MAX), WALL_NONE);
        wall_ms first = schedule_next(&schedule, INT64_MIN);
        assert_true(first == WALL_NONE || first > INT64_MIN);
    }
    calendar_free(berlin);
}

static void short_intervals_are_steady_and_set_times_are_not(void **state)
{
    static const struct {
        const char *text;
        bool is_steady;
    } cases[] = {
        {"every 1s", true},  {"every 23h", true},     {"every 24h", false},
        {"every 1w", false}, {"* * * * *", true},     {"*/5 8-18 * * 1-5", true},
        {"0 * * * *", true}, {"@hourly", true},       {"0 9 * * *", false},
        {"@daily", false},   {"0,30 9 * * 1", false},
    };
    struct error err = ERROR_EMPTY;
    struct calendar *calendar = open_calendar("UTC", 1);
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct schedule schedule;
        assert_true(schedule_parse(str_of(cases[i].text), calendar, &arena, &schedule, &err));
        if (schedule_is_steady(&schedule) != cases[i].is_steady)
            fail_msg("'%s'", cases[i].text);
    }
    calendar_free(calendar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_run_when_they_say),
        cmocka_unit_test(mistakes_and_forms_not_built_are_told_apart),
        cmocka_unit_test(short_intervals_are_steady_and_set_times_are_not),
        cmocka_unit_test(times_at_the_ends_of_the_scale_have_no_next_run),
    };
    return cmocka_run_group_tests(tests, NULL, free_arena);
}
