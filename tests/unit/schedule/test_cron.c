#include "schedule/cron.h"
#include "test.h"
#include "zone.h"

static struct arena arena;

static struct cron parse(const char *text)
{
    struct error err = ERROR_EMPTY;
    struct cron cron = {0};
    if (!cron_parse(str_of(text), &arena, &cron, &err))
        fail_msg("%s", err.text);
    return cron;
}

static int free_arena(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

/* The runs after `from`, as "2026-10-12T09:00:00+02:00", ended by NULL. */
static void assert_runs(const char *zone, const char *text, const char *from,
                        const char *const *runs)
{
    struct calendar *calendar = open_calendar(zone, 1);
    struct cron cron = parse(text);
    char formatted[CLOCK_TEXT_SIZE];
    wall_ms at = WALL_NONE;

    assert_true(calendar_parse(calendar, str_of(from), false, &at));
    for (size_t i = 0; runs[i] != NULL; i++) {
        wall_ms next = cron_next(&cron, calendar, at);
        assert_true(next > at);
        if (strcmp(calendar_format(calendar, next, formatted), runs[i]) != 0)
            fail_msg("'%s' run %zu in %s is %s, not %s", text, i, zone, formatted, runs[i]);
        at = next;
    }
    calendar_free(calendar);
}

/* --- expressions -------------------------------------------------------------------------------
 */

static void fields_are_lists_of_values_ranges_and_steps(void **state)
{
    static const struct {
        const char *text;
        uint64_t minutes;
        uint32_t hours;
        uint32_t days;
        uint16_t months;
        uint8_t weekdays;
    } cases[] = {
        {"* * * * *", 0x0fffffffffffffff, 0xffffff, 0xfffffffe, 0x1ffe, 0x7f},
        {"0 0 1 1 0", 1, 1, 1 << 1, 1 << 1, 1},
        {"59 23 31 12 7", UINT64_C(1) << 59, 1 << 23, UINT32_C(1) << 31, 1 << 12, 1},
        {"1,2,3 4-6 * * *", 0xe, 0x70, 0xfffffffe, 0x1ffe, 0x7f},
        {"*/20 */6 * * *", UINT64_C(1) | 1 << 20 | UINT64_C(1) << 40,
         1 | 1 << 6 | 1 << 12 | 1 << 18, 0xfffffffe, 0x1ffe, 0x7f},
        {"5/15 * * * *", 1 << 5 | 1 << 20 | UINT64_C(1) << 35 | UINT64_C(1) << 50, 0xffffff,
         0xfffffffe, 0x1ffe, 0x7f},
        {"10-30/10 1-5,20/2 * * *", 1 << 10 | 1 << 20 | 1 << 30, 0x3e | 1 << 20 | 1 << 22,
         0xfffffffe, 0x1ffe, 0x7f},
        {"*/99 * * * *", 1, 0xffffff, 0xfffffffe, 0x1ffe, 0x7f},
        {"*/18446744073709551615 * * * *", 1, 0xffffff, 0xfffffffe, 0x1ffe, 0x7f},
        {"007 08 * * *", 1 << 7, 1 << 8, 0xfffffffe, 0x1ffe, 0x7f},
        {"0 0 * jan,Feb,MAR mon", 1, 1, 0xfffffffe, 0xe, 1 << 1},
        {"0 0 * nov-dec mon-fri", 1, 1, 0xfffffffe, 1 << 11 | 1 << 12, 0x3e},
        {"0 0 * * sun-tue", 1, 1, 0xfffffffe, 0x1ffe, 0x7},
        {"0 0 * * fri-sun", 1, 1, 0xfffffffe, 0x1ffe, 1 << 5 | 1 << 6 | 1},
        {"0 0 * * 5-0", 1, 1, 0xfffffffe, 0x1ffe, 1 << 5 | 1 << 6 | 1},
        {"0 0 * * fri-sun/2", 1, 1, 0xfffffffe, 0x1ffe, 1 << 5 | 1},
        {"0 0 * * 5-7", 1, 1, 0xfffffffe, 0x1ffe, 1 << 5 | 1 << 6 | 1},
        {"0 0 * * */2", 1, 1, 0xfffffffe, 0x1ffe, 0x55},
        {"0 0 * * 1/3", 1, 1, 0xfffffffe, 0x1ffe, 1 << 1 | 1 << 4 | 1},
        {" \t0  0\t*   * * ", 1, 1, 0xfffffffe, 0x1ffe, 0x7f},
        {"@hourly", 1, 0xffffff, 0xfffffffe, 0x1ffe, 0x7f},
        {"@daily", 1, 1, 0xfffffffe, 0x1ffe, 0x7f},
        {"@midnight", 1, 1, 0xfffffffe, 0x1ffe, 0x7f},
        {"@weekly", 1, 1, 0xfffffffe, 0x1ffe, 1},
        {"@monthly", 1, 1, 1 << 1, 0x1ffe, 0x7f},
        {" @Yearly ", 1, 1, 1 << 1, 1 << 1, 0x7f},
        {"@annually", 1, 1, 1 << 1, 1 << 1, 0x7f},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct cron cron = parse(cases[i].text);
        if (cron.minutes != cases[i].minutes || cron.hours != cases[i].hours ||
            cron.days != cases[i].days || cron.months != cases[i].months ||
            cron.weekdays != cases[i].weekdays)
            fail_msg("'%s': minutes %llx hours %x days %x months %x weekdays %x", cases[i].text,
                     (unsigned long long)cron.minutes, cron.hours, cron.days, cron.months,
                     cron.weekdays);
    }
}

static void last_and_nth_days_are_kept_apart(void **state)
{
    (void)state;
    struct cron cron = parse("0 0 L,15 * *");
    assert_true(cron.last_day);
    assert_int_equal(cron.days, 1 << 15);
    cron = parse("0 0 lw * *");
    assert_true(cron.last_business_day);
    assert_false(cron.last_day);
    cron = parse("0 0 * * 5L,sunl,1");
    assert_int_equal(cron.last_weekdays, 1 << 5 | 1);
    assert_int_equal(cron.weekdays, 1 << 1);
    cron = parse("0 0 * * 5#3,7#1,mon#3");
    assert_int_equal(cron.nth_weekdays[3], 1 << 5 | 1 << 1);
    assert_int_equal(cron.nth_weekdays[1], 1);
    assert_int_equal(cron.weekdays, 0);
}

static void a_zone_before_the_fields_is_kept(void **state)
{
    (void)state;
    struct cron cron = parse("CRON_TZ=Europe/Berlin 0 8 * * MON");
    assert_true(str_is(cron.zone, "Europe/Berlin"));
    assert_int_equal(cron.hours, 1 << 8);
    cron = parse(" CRON_TZ=UTC @daily");
    assert_true(str_is(cron.zone, "UTC"));
    cron = parse("0 8 * * MON");
    assert_int_equal(cron.zone.len, 0);

    assert_true(str_is(cron_zone(STR(" CRON_TZ=Asia/Kathmandu 0 8 * * *")), "Asia/Kathmandu"));
    assert_int_equal(cron_zone(STR("0 8 * * *")).len, 0);
    assert_int_equal(cron_zone(STR_EMPTY).len, 0);
}

static void mistakes_are_refused_with_their_column(void **state)
{
    static const struct {
        const char *text;
        const char *error; /* after "cron expression '...': " */
    } cases[] = {
        {"", "column 1: it has 0 of 5 fields"},
        {"   ", "column 4: it has 0 of 5 fields"},
        {"* * * *", "column 8: it has 4 of 5 fields"},
        {"* * * * * *", "column 11: it has more than 5 fields"},
        {"60 * * * *", "column 1: minute '60' is not within 0 to 59"},
        {"0 24 * * *", "column 3: hour '24' is not within 0 to 23"},
        {"0 0 0 * *", "column 5: day of month '0' is not within 1 to 31"},
        {"0 0 32 * *", "column 5: day of month '32' is not within 1 to 31"},
        {"0 0 * 13 *", "column 7: month '13' is not within 1 to 12"},
        {"0 0 * * 8", "column 9: day of week '8' is not within 0 to 7"},
        {"0 0 * * monday", "column 9: 'monday' is not a day of week"},
        {"0 0 * mon *", "column 7: 'mon' is not a month"},
        {"jan * * * *", "column 1: 'jan' is not a minute"},
        {"-1 * * * *", "column 1: '' is not a minute"},
        {"1- * * * *", "column 3: '' is not a minute"},
        {"1-2-3 * * * *", "column 3: '2-3' is not a minute"},
        {"+5 * * * *", "column 1: '+5' is not a minute"},
        {"1.5 * * * *", "column 1: '1.5' is not a minute"},
        {"99999999999999999999 * * * *", "column 1: '99999999999999999999' is not a minute"},
        {"5-1 * * * *", "column 1: the range of the minute goes backwards"},
        {"0 22-2 * * *", "column 3: the range of the hour goes backwards"},
        {"0 0 * * sat-mon", "column 9: the range of the day of week goes backwards"},
        {"0 0 * * fri-mon", "column 9: the range of the day of week goes backwards"},
        {"*/0 * * * *", "column 3: a step is a number from 1 on"},
        {"*/ * * * *", "column 3: a step is a number from 1 on"},
        {"*/x * * * *", "column 3: a step is a number from 1 on"},
        {"*/5/5 * * * *", "column 3: a step is a number from 1 on"},
        {"/5 * * * *", "column 1: '' is not a minute"},
        {", * * * *", "column 1: an item of the minute is missing"},
        {"1, * * * *", "column 3: an item of the minute is missing"},
        {"1,,2 * * * *", "column 3: an item of the minute is missing"},
        {"** * * * *", "column 1: '**' is not a minute"},
        {"? * * * *", "column 1: '?' is not a minute"},
        {"L * * * *", "column 1: 'L' is not a minute"},
        {"0 0 5L * *", "column 5: '5L' is not a day of month"},
        {"0 0 L-5 * *", "column 5: 'L' is not a day of month"},
        {"0 0 L/2 * *", "column 5: 'L' is not a day of month"},
        {"0 0 15W * *", "column 5: '15W' is not a day of month"},
        {"0 0 * * L", "column 9: '' is not a day of week"},
        {"0 0 * * 8L", "column 9: day of week '8' is not within 0 to 7"},
        {"0 0 * * 5#0", "column 11: after '#' comes a number from 1 to 5"},
        {"0 0 * * 5#6", "column 11: after '#' comes a number from 1 to 5"},
        {"0 0 * * 5#", "column 11: after '#' comes a number from 1 to 5"},
        {"0 0 * * 5#1/2", "column 11: after '#' comes a number from 1 to 5"},
        {"0 0 * * #1", "column 9: '' is not a day of week"},
        {"@reboot", "column 1: '@reboot' is not a time"},
        {"@dayly", "column 1: unknown name '@dayly'"},
        {"@daily 5", "column 8: nothing may follow a name"},
        {"@", "column 1: unknown name '@'"},
        {"CRON_TZ= 0 0 * * *", "column 9: the time zone is missing"},
        {"CRON_TZ=UTC", "column 12: it has 0 of 5 fields"},
        {"CRON_TZ=UTC 60 * * * *", "column 13: minute '60' is not within 0 to 59"},
        {"every day at nine sharp", "column 1: 'every' is not a minute"},
        {"0 0 \xc3\xbc * *", "column 5: '\\xc3\\xbc' is not a day of month"},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        struct cron cron = {0};
        if (cron_parse(str_of(cases[i].text), &arena, &cron, &err))
            fail_msg("'%s' was accepted", cases[i].text);
        assert_int_equal(err.kind, ERROR_INVALID);
        const char *why = strstr(err.text, "': column ");
        assert_non_null(why);
        assert_string_equal(why + 3, cases[i].error);
    }
}

static void some_mistakes_have_a_hint(void **state)
{
    static const struct {
        const char *text;
        const char *hint;
    } cases[] = {
        {"@dayly", "did you mean '@daily'?"},
        {"* * * * * *", "seconds are not supported: 'every 10s' is"},
        {"0 22-2 * * *", "write it as two ranges with a comma between them"},
        {"0 0 *", "the fields are minute, hour, day of month, month, day of week"},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        struct cron cron = {0};
        assert_false(cron_parse(str_of(cases[i].text), &arena, &cron, &err));
        assert_string_equal(err.hint, cases[i].hint);
    }
}

static void an_expression_that_is_too_long_is_refused(void **state)
{
    char text[300];
    struct error err = ERROR_EMPTY;
    struct cron cron = {0};
    (void)state;
    memset(text, ' ', sizeof text);
    memcpy(text, "0 0 * * *", 9);
    assert_true(cron_parse((struct str){text, 256}, &arena, &cron, &err));
    assert_false(cron_parse((struct str){text, 257}, &arena, &cron, &err));
    assert_int_equal(err.kind, ERROR_INVALID);
    assert_false(cron_parse(STR_EMPTY, &arena, &cron, &err));
}

static void dates_that_never_come_are_refused(void **state)
{
    static const char *const never[] = {"0 0 30 2 *", "0 0 31 2 *", "0 0 31 4 *",
                                        "0 0 31 4,6,9,11 *", "0 0 30,31 feb *"};
    static const char *const rare[] = {"0 0 29 2 *",   "0 0 29 2 */7", "0 0 31 1,4 *",
                                       "0 0 31 4 mon", "0 0 * 2 */7",  "0 0 */28 2 5#5",
                                       "0 0 L 2 *"};
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(never); i++) {
        struct error err = ERROR_EMPTY;
        struct cron cron = {0};
        if (cron_parse(str_of(never[i]), &arena, &cron, &err))
            fail_msg("'%s' was accepted", never[i]);
        assert_non_null(strstr(err.text, "column 5: there is no such day in any year"));
    }
    for (size_t i = 0; i < TEST_COUNT(rare); i++)
        (void)parse(rare[i]);
}

/* --- runs --------------------------------------------------------------------------------------
 */

static void runs_come_when_the_expression_says(void **state)
{
    static const struct {
        const char *text;
        const char *from;
        const char *runs[6];
    } cases[] = {
        {"* * * * *",
         "2026-10-12T09:00:30",
         {"2026-10-12T09:01:00+00:00", "2026-10-12T09:02:00+00:00"}},
        {"* * * * *", "2026-10-12T09:00:00", {"2026-10-12T09:01:00+00:00"}},
        {"*/20 * * * *",
         "2026-10-12T23:39:59.999",
         {"2026-10-12T23:40:00+00:00", "2026-10-13T00:00:00+00:00", "2026-10-13T00:20:00+00:00"}},
        {"5/15 9 * * *",
         "2026-10-12T09:30",
         {"2026-10-12T09:35:00+00:00", "2026-10-12T09:50:00+00:00", "2026-10-13T09:05:00+00:00"}},
        {"7 * * * *",
         "2026-10-12T09:07:00",
         {"2026-10-12T10:07:00+00:00", "2026-10-12T11:07:00+00:00"}},
        {"0 9 * * 1-5",
         "2026-10-16T09:00",
         {"2026-10-19T09:00:00+00:00", "2026-10-20T09:00:00+00:00"}},
        {"0 9,17 * * fri-sun",
         "2026-10-12",
         {"2026-10-16T09:00:00+00:00", "2026-10-16T17:00:00+00:00", "2026-10-17T09:00:00+00:00",
          "2026-10-17T17:00:00+00:00", "2026-10-18T09:00:00+00:00"}},
        {"0 0 31 * *",
         "2026-10-12",
         {"2026-10-31T00:00:00+00:00", "2026-12-31T00:00:00+00:00", "2027-01-31T00:00:00+00:00",
          "2027-03-31T00:00:00+00:00"}},
        {"0 0 29 2 *", "2026-01-01", {"2028-02-29T00:00:00+00:00", "2032-02-29T00:00:00+00:00"}},
        {"@yearly", "2026-01-01", {"2027-01-01T00:00:00+00:00", "2028-01-01T00:00:00+00:00"}},
        {"@weekly", "2026-10-12", {"2026-10-18T00:00:00+00:00", "2026-10-25T00:00:00+00:00"}},
        /* both day fields: either */
        {"0 0 13 * fri",
         "2026-11-01",
         {"2026-11-06T00:00:00+00:00", "2026-11-13T00:00:00+00:00", "2026-11-20T00:00:00+00:00"}},
        {"0 0 1 * 0",
         "2026-10-20",
         {"2026-10-25T00:00:00+00:00", "2026-11-01T00:00:00+00:00", "2026-11-08T00:00:00+00:00"}},
        {"0 0 1-7 * mon", "2026-10-06", {"2026-10-07T00:00:00+00:00", "2026-10-12T00:00:00+00:00"}},
        /* one of them starts with a star: both */
        {"0 0 */2 * mon",
         "2026-10-01",
         {"2026-10-05T00:00:00+00:00", "2026-10-19T00:00:00+00:00", "2026-11-09T00:00:00+00:00"}},
        {"0 0 13 * */5",
         "2026-01-01", /* Sunday and Friday */
         {"2026-02-13T00:00:00+00:00", "2026-03-13T00:00:00+00:00", "2026-09-13T00:00:00+00:00",
          "2026-11-13T00:00:00+00:00"}},
        {"0 0 * * mon", "2026-10-12", {"2026-10-19T00:00:00+00:00"}},
        /* the last days */
        {"0 18 L * *",
         "2026-01-31T18:00",
         {"2026-02-28T18:00:00+00:00", "2026-03-31T18:00:00+00:00", "2026-04-30T18:00:00+00:00"}},
        {"0 0 L 2 *", "2026-10-01", {"2027-02-28T00:00:00+00:00", "2028-02-29T00:00:00+00:00"}},
        {"0 0 1,L * *",
         "2026-10-30",
         {"2026-10-31T00:00:00+00:00", "2026-11-01T00:00:00+00:00", "2026-11-30T00:00:00+00:00"}},
        /* 31 October 2026 is a Saturday, 31 January 2027 a Sunday */
        {"0 16 LW * *",
         "2026-10-01",
         {"2026-10-30T16:00:00+00:00", "2026-11-30T16:00:00+00:00", "2026-12-31T16:00:00+00:00",
          "2027-01-29T16:00:00+00:00", "2027-02-26T16:00:00+00:00"}},
        {"0 0 * * 5L",
         "2026-10-01",
         {"2026-10-30T00:00:00+00:00", "2026-11-27T00:00:00+00:00", "2026-12-25T00:00:00+00:00"}},
        {"0 0 * * 5#3",
         "2026-10-01",
         {"2026-10-16T00:00:00+00:00", "2026-11-20T00:00:00+00:00", "2026-12-18T00:00:00+00:00"}},
        {"0 0 * * mon#5", "2026-10-01", {"2026-11-30T00:00:00+00:00", "2027-03-29T00:00:00+00:00"}},
        {"0 0 * * 7#1,2#2",
         "2026-10-01",
         {"2026-10-04T00:00:00+00:00", "2026-10-13T00:00:00+00:00", "2026-11-01T00:00:00+00:00"}},
        {"0 0 15 * 1#1",
         "2026-10-01", /* either */
         {"2026-10-05T00:00:00+00:00", "2026-10-15T00:00:00+00:00", "2026-11-02T00:00:00+00:00"}},
        {"0 0 */28 2 5#5", "2026-01-01", {"2036-02-29T00:00:00+00:00"}},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_runs("UTC", cases[i].text, cases[i].from, cases[i].runs);
}

/* Berlin has no 02:00 to 03:00 on 2027-03-28. */
static void a_fixed_time_in_a_gap_runs_once_right_after_it(void **state)
{
    static const struct {
        const char *zone;
        const char *text;
        const char *from;
        const char *runs[5];
    } cases[] = {
        {"Europe/Berlin",
         "30 2 * * *",
         "2027-03-27",
         {"2027-03-27T02:30:00+01:00", "2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"}},
        {"Europe/Berlin",
         "0,15,45 2 * * *",
         "2027-03-27T02:45",
         {"2027-03-28T03:00:00+02:00", "2027-03-29T02:00:00+02:00"}},
        {"Europe/Berlin",
         "0 2,3 * * *",
         "2027-03-27T12:00",
         {"2027-03-28T03:00:00+02:00", "2027-03-29T02:00:00+02:00", "2027-03-29T03:00:00+02:00"}},
        {"Europe/Berlin",
         "30 1-3 * * *",
         "2027-03-28",
         {"2027-03-28T01:30:00+01:00", "2027-03-28T03:00:00+02:00", "2027-03-28T03:30:00+02:00",
          "2027-03-29T01:30:00+02:00"}},
        {"Europe/Berlin",
         "30 2 28 3 *",
         "2027-01-01",
         {"2027-03-28T03:00:00+02:00", "2028-03-28T02:30:00+02:00"}},
        /* where midnight does not exist */
        {"Asia/Beirut",
         "@daily",
         "2026-03-28T12:00",
         {"2026-03-29T01:00:00+03:00", "2026-03-30T00:00:00+03:00"}},
        {"America/Sao_Paulo",
         "30 0 * * *",
         "2018-11-03T12:00",
         {"2018-11-04T01:00:00-02:00", "2018-11-05T00:30:00-02:00"}},
        {"Australia/Lord_Howe",
         "15 2 * * *",
         "2026-10-03T12:00",
         {"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}},
        /* where a whole day does not exist */
        {"Pacific/Apia",
         "0 9 * * *",
         "2011-12-29",
         {"2011-12-29T09:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T09:00:00+14:00"}},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_runs(cases[i].zone, cases[i].text, cases[i].from, cases[i].runs);
}

/* Berlin has 02:00 to 03:00 twice on 2026-10-25. */
static void a_fixed_time_that_comes_twice_runs_at_the_first(void **state)
{
    static const struct {
        const char *zone;
        const char *text;
        const char *from;
        const char *runs[5];
    } cases[] = {
        {"Europe/Berlin",
         "30 2 * * *",
         "2026-10-24",
         {"2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
        {"Europe/Berlin", "30 2 * * *", "2026-10-25T02:10:00+01:00", {"2026-10-26T02:30:00+01:00"}},
        {"Europe/Berlin",
         "0,30 2,3 * * *",
         "2026-10-25",
         {"2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00",
          "2026-10-25T03:30:00+01:00"}},
        {"America/Havana",
         "@daily",
         "2026-10-31T12:00",
         {"2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"}},
        {"America/Sao_Paulo",
         "30 23 * * *",
         "2018-02-17",
         {"2018-02-17T23:30:00-02:00", "2018-02-18T23:30:00-03:00"}},
        {"America/St_Johns",
         "0 0,12 * * *",
         "2006-10-28T12:00",
         {"2006-10-29T00:00:00-02:30", "2006-10-29T12:00:00-03:30"}},
        {"Australia/Lord_Howe",
         "45 1 * * *",
         "2026-04-04T12:00",
         {"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"}},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_runs(cases[i].zone, cases[i].text, cases[i].from, cases[i].runs);
}

static void wildcards_follow_real_time_over_dst(void **state)
{
    static const struct {
        const char *zone;
        const char *text;
        const char *from;
        const char *runs[6];
    } cases[] = {
        {"Europe/Berlin",
         "0 * * * *",
         "2026-10-25T01:00",
         {"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
        {"Europe/Berlin",
         "0 * * * *",
         "2027-03-28T01:00",
         {"2027-03-28T03:00:00+02:00", "2027-03-28T04:00:00+02:00"}},
        {"Europe/Berlin",
         "*/30 * * * *",
         "2026-10-25T02:00",
         {"2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00",
          "2026-10-25T03:00:00+01:00"}},
        {"Europe/Berlin", "30 */2 * * *", "2027-03-28T00:30", {"2027-03-28T04:30:00+02:00"}},
        {"Europe/Berlin", "*/30 2 * * *", "2027-03-27T02:30", {"2027-03-29T02:00:00+02:00"}},
        {"Asia/Kathmandu",
         "0 * * * *",
         "2026-10-12T09:20",
         {"2026-10-12T10:00:00+05:45", "2026-10-12T11:00:00+05:45"}},
        {"Pacific/Chatham",
         "0 * * * *",
         "2026-09-27T02:00",
         {"2026-09-27T04:00:00+13:45", "2026-09-27T05:00:00+13:45"}},
        {"Australia/Lord_Howe",
         "*/15 * * * *",
         "2026-04-05T01:45+11:00",
         {"2026-04-05T01:30:00+10:30", "2026-04-05T01:45:00+10:30", "2026-04-05T02:00:00+10:30"}},
        {"America/St_Johns",
         "*/30 * 29 10 *",
         "2006-10-28T23:45-02:30",
         {"2006-10-29T00:00:00-02:30", "2006-10-29T00:00:00-03:30", "2006-10-29T00:30:00-03:30"}},
        {"Asia/Beirut",
         "0 * 29 3 *",
         "2026-03-28T12:00",
         {"2026-03-29T01:00:00+03:00", "2026-03-29T02:00:00+03:00"}},
        {"Pacific/Apia", "0 * 30-31 12 *", "2011-12-29T12:00", {"2011-12-31T00:00:00+14:00"}},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_runs(cases[i].zone, cases[i].text, cases[i].from, cases[i].runs);
}

static void there_is_no_run_beyond_the_end_of_time(void **state)
{
    static const wall_ms far[] = {INT64_MAX, INT64_MAX - 1, 253402300799999};
    static const char *const texts[] = {"* * * * *", "0 0 * * *", "* * 29 2 *", "0 0 29 2 *"};
    struct calendar *berlin = open_calendar("Europe/Berlin", 1);
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        struct cron cron = parse(texts[i]);
        for (size_t j = 0; j < TEST_COUNT(far); j++)
            assert_int_equal(cron_next(&cron, berlin, far[j]), WALL_NONE);
        assert_true(cron_next(&cron, berlin, INT64_MIN) > INT64_MIN);
        assert_true(cron_next(&cron, berlin, INT64_C(253360000000000)) > 0 ||
                    cron_next(&cron, berlin, INT64_C(253360000000000)) == WALL_NONE);
    }
    calendar_free(berlin);
}

/* The first run after any instant is the first run after all instants up to it. */
static void the_next_run_does_not_depend_on_where_one_asks(void **state)
{
    static const char *const zones[] = {"Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns"};
    static const char *const texts[] = {"30 2 * * *", "*/20 * * * *", "0 0 * * sun", "15 1-3 * * *",
                                        "45 23 L * 6#4"};
    (void)state;
    for (size_t z = 0; z < TEST_COUNT(zones); z++) {
        struct calendar *calendar = open_calendar(zones[z], 1);
        wall_ms start = 0;
        assert_true(calendar_parse(calendar, STR("2006-01-01"), false, &start));
        for (size_t i = 0; i < TEST_COUNT(texts); i++) {
            struct cron cron = parse(texts[i]);
            wall_ms run = cron_next(&cron, calendar, start);
            for (wall_ms t = start; t < start + 400 * (span_ms)MS_PER_DAY;
                 t += 17 * MS_PER_MINUTE) {
                while (run <= t)
                    run = cron_next(&cron, calendar, run);
                assert_int_equal(cron_next(&cron, calendar, t), run);
            }
        }
        calendar_free(calendar);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_lists_of_values_ranges_and_steps),
        cmocka_unit_test(last_and_nth_days_are_kept_apart),
        cmocka_unit_test(a_zone_before_the_fields_is_kept),
        cmocka_unit_test(mistakes_are_refused_with_their_column),
        cmocka_unit_test(some_mistakes_have_a_hint),
        cmocka_unit_test(an_expression_that_is_too_long_is_refused),
        cmocka_unit_test(dates_that_never_come_are_refused),
        cmocka_unit_test(runs_come_when_the_expression_says),
        cmocka_unit_test(a_fixed_time_in_a_gap_runs_once_right_after_it),
        cmocka_unit_test(a_fixed_time_that_comes_twice_runs_at_the_first),
        cmocka_unit_test(wildcards_follow_real_time_over_dst),
        cmocka_unit_test(there_is_no_run_beyond_the_end_of_time),
        cmocka_unit_test(the_next_run_does_not_depend_on_where_one_asks),
    };
    return cmocka_run_group_tests(tests, NULL, free_arena);
}
