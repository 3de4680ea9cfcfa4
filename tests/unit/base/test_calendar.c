#include "zone.h"

#define MIN  MS_PER_MINUTE
#define HOUR MS_PER_HOUR

/* The instant that ISO 8601 text with an offset names. */
static wall_ms at(const char *text)
{
    struct calendar *utc = open_calendar("UTC", 1);
    wall_ms found = WALL_NONE;
    if (!calendar_parse(utc, str_of(text), false, &found))
        fail_msg("not a time: '%s'", text);
    calendar_free(utc);
    return found;
}

static void assert_period(const struct calendar *calendar, enum period_kind kind,
                          const char *inside, const char *from, const char *to)
{
    char text[CLOCK_TEXT_SIZE];
    struct period period = calendar_period(calendar, kind, at(inside));
    assert_string_equal(calendar_format(calendar, period.from, text), from);
    assert_string_equal(calendar_format(calendar, period.to, text), to);
    assert_int_equal(period.kind, kind);
    assert_true(period.from <= at(inside) && at(inside) < period.to);
}

/* --- dates -------------------------------------------------------------------------------------
 */

static void days_since_1970_and_dates_are_inverse(void **state)
{
    (void)state;
    assert_int_equal(civil_days(&(struct civil){.year = 1970, .month = 1, .day = 1}), 0);
    assert_int_equal(civil_days(&(struct civil){.year = 2000, .month = 2, .day = 29}), 11016);
    assert_int_equal(civil_days(&(struct civil){.year = 1, .month = 1, .day = 1}), -719162);
    assert_int_equal(civil_days(&(struct civil){.year = 9999, .month = 12, .day = 31}), 2932896);

    int month = 1;
    int day = 1;
    int year = 1895;
    for (int64_t days = civil_days(&(struct civil){.year = 1895, .month = 1, .day = 1});
         year < 2105; days++) {
        struct civil civil = civil_of_days(days);
        assert_int_equal(civil.year, year);
        assert_int_equal(civil.month, month);
        assert_int_equal(civil.day, day);
        assert_int_equal(civil_days(&civil), days);
        if (++day > civil_month_length(year, month)) {
            day = 1;
            month = month == 12 ? 1 : month + 1;
            year += month == 1 ? 1 : 0;
        }
    }
}

static void months_have_their_length_in_leap_years_and_others(void **state)
{
    (void)state;
    assert_int_equal(civil_month_length(2026, 2), 28);
    assert_int_equal(civil_month_length(2028, 2), 29);
    assert_int_equal(civil_month_length(1900, 2), 28);
    assert_int_equal(civil_month_length(2000, 2), 29);
    assert_int_equal(civil_month_length(2026, 4), 30);
    assert_int_equal(civil_month_length(2026, 12), 31);
}

static void weekdays_are_known(void **state)
{
    (void)state;
    assert_int_equal(civil_of_days(0).weekday, 4);       /* Thursday */
    assert_int_equal(civil_of_days(-1).weekday, 3);      /* Wednesday */
    assert_int_equal(civil_of_days(-719162).weekday, 1); /* 0001-01-01 was a Monday */
    assert_int_equal(civil_of_days(20738).weekday, 1);   /* 2026-10-12 is a Monday */
}

static void days_and_months_that_overflow_are_normalised(void **state)
{
    static const struct {
        struct civil civil;
        const char *means;
    } cases[] = {
        {{.year = 2026, .month = 10, .day = 32}, "2026-11-01T00:00:00+01:00"},
        {{.year = 2026, .month = 13, .day = 1}, "2027-01-01T00:00:00+01:00"},
        {{.year = 2026, .month = 3, .day = 0}, "2026-02-28T00:00:00+01:00"},
        {{.year = 2026, .month = 0, .day = 1}, "2025-12-01T00:00:00+01:00"},
        {{.year = 2026, .month = -11, .day = 1}, "2025-01-01T00:00:00+01:00"},
        {{.year = 2026, .month = 1, .day = 366}, "2027-01-01T00:00:00+01:00"},
        {{.year = 2026, .month = 12, .day = 31, .hour = 24}, "2027-01-01T00:00:00+01:00"},
        {{.year = 2026, .month = 7, .day = 1, .minute = -1}, "2026-06-30T23:59:00+02:00"},
    };
    char text[CLOCK_TEXT_SIZE];
    struct calendar *berlin = open_calendar("Europe/Berlin", 1);
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_string_equal(
            calendar_format(berlin, calendar_instant(berlin, &cases[i].civil), text),
            cases[i].means);
    calendar_free(berlin);
}

/* --- zones -------------------------------------------------------------------------------------
 */

static void zones_are_known_by_name(void **state)
{
    static const char *const zones[] = {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires",
                                        "Etc/GMT+5", "CET"};
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(zones); i++) {
        struct calendar *calendar = open_calendar(zones[i], 7);
        assert_string_equal(calendar_zone(calendar), zones[i]);
        assert_int_equal(calendar_week_start(calendar), 7);
        calendar_free(calendar);
    }
}

static void an_unknown_zone_is_an_error_with_a_hint(void **state)
{
    static const struct {
        const char *zone;
        const char *hint; /* NULL: any */
    } cases[] = {
        {"Europe/Berln", "did you mean 'Europe/Berlin'?"},
        {"europe/berlin", "did you mean 'Europe/Berlin'?"},
        {"Kathmandu", "did you mean 'Asia/Kathmandu'?"},
        {"Nowhere/Nothing/At_All", "zones have names as 'Europe/Berlin', or 'UTC'"},
        {"+02:00", NULL},
        {"UTC+3", NULL},
        {"EST5EDT,M3.2.0,M11.1.0", NULL},
        {"/usr/share/zoneinfo/Europe/Berlin", NULL},
        {"../zoneinfo/Europe/Berlin", NULL},
        {"zone.tab", NULL},
        {"Europe", NULL},
        {"leapseconds", NULL},
        {"Europe/Berlin ", "did you mean 'Europe/Berlin'?"},
        {"\xff\n", NULL},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        assert_null(calendar_new(str_of(cases[i].zone), 1, &err));
        assert_int_equal(err.kind, ERROR_INVALID);
        assert_true(str_starts_with(str_of(err.text), "unknown time zone '"));
        assert_true(err.hint[0] != '\0');
        if (cases[i].hint != NULL)
            assert_string_equal(err.hint, cases[i].hint);
    }
}

static void an_empty_zone_is_the_hosts(void **state)
{
    struct calendar *host = open_calendar("", 1);
    (void)state;
    assert_true(strlen(calendar_zone(host)) > 0);
    calendar_free(host);
}

static void a_week_starts_on_one_of_seven_days(void **state)
{
    struct error err = ERROR_EMPTY;
    (void)state;
    assert_null(calendar_new(STR("UTC"), 0, &err));
    assert_int_equal(err.kind, ERROR_INVALID);
    assert_null(calendar_new(STR("UTC"), 8, &err));
    calendar_free(NULL);
}

/* --- periods -----------------------------------------------------------------------------------
 */

/* FIG-1: Berlin's 25 October 2026 has 25 hours. */
static void a_day_with_25_hours_is_half_open(void **state)
{
    struct calendar *berlin = open_calendar("Europe/Berlin", 1);
    (void)state;
    struct period day = calendar_period(berlin, PERIOD_DAY, at("2026-10-25T10:00:00Z"));
    assert_int_equal(day.from, at("2026-10-24T22:00:00Z"));
    assert_int_equal(day.to, at("2026-10-25T23:00:00Z"));
    assert_int_equal(day.to - day.from, 25 * (span_ms)HOUR);

    struct period last = calendar_period(berlin, PERIOD_DAY, at("2026-10-25T22:59:59.999Z"));
    assert_int_equal(last.from, day.from);
    struct period next = calendar_period(berlin, PERIOD_DAY, at("2026-10-25T23:00:00Z"));
    assert_int_equal(next.from, day.to);
    calendar_free(berlin);
}

static void periods_of_every_kind_hold_their_instant(void **state)
{
    static const struct {
        const char *zone;
        enum period_kind kind;
        const char *inside;
        const char *from;
        const char *to;
    } cases[] = {
        {"Europe/Berlin", PERIOD_MINUTE, "2026-10-12T09:05:30+02:00", "2026-10-12T09:05:00+02:00",
         "2026-10-12T09:06:00+02:00"},
        {"Europe/Berlin", PERIOD_HOUR, "2026-10-12T09:05:30+02:00", "2026-10-12T09:00:00+02:00",
         "2026-10-12T10:00:00+02:00"},
        {"Europe/Berlin", PERIOD_DAY, "2026-10-12T00:00:00+02:00", "2026-10-12T00:00:00+02:00",
         "2026-10-13T00:00:00+02:00"},
        {"Europe/Berlin", PERIOD_WEEK, "2026-10-25T23:59:59+01:00", "2026-10-19T00:00:00+02:00",
         "2026-10-26T00:00:00+01:00"},
        {"Europe/Berlin", PERIOD_MONTH, "2026-10-12T09:05:30+02:00", "2026-10-01T00:00:00+02:00",
         "2026-11-01T00:00:00+01:00"},
        {"Europe/Berlin", PERIOD_MONTH, "2028-02-29T23:59:59+01:00", "2028-02-01T00:00:00+01:00",
         "2028-03-01T00:00:00+01:00"},
        {"Europe/Berlin", PERIOD_QUARTER, "2026-08-15T12:00:00+02:00", "2026-07-01T00:00:00+02:00",
         "2026-10-01T00:00:00+02:00"},
        {"Europe/Berlin", PERIOD_QUARTER, "2026-12-31T23:59:59+01:00", "2026-10-01T00:00:00+02:00",
         "2027-01-01T00:00:00+01:00"},
        {"Europe/Berlin", PERIOD_HALF, "2026-08-15T12:00:00+02:00", "2026-07-01T00:00:00+02:00",
         "2027-01-01T00:00:00+01:00"},
        {"Europe/Berlin", PERIOD_YEAR, "2026-08-15T12:00:00+02:00", "2026-01-01T00:00:00+01:00",
         "2027-01-01T00:00:00+01:00"},
        /* both DST edges */
        {"Europe/Berlin", PERIOD_DAY, "2027-03-28T12:00:00+02:00", "2027-03-28T00:00:00+01:00",
         "2027-03-29T00:00:00+02:00"},
        {"Europe/Berlin", PERIOD_HOUR, "2027-03-28T01:59:59+01:00", "2027-03-28T01:00:00+01:00",
         "2027-03-28T03:00:00+02:00"},
        {"Europe/Berlin", PERIOD_HOUR, "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+02:00",
         "2026-10-25T02:00:00+01:00"},
        {"Europe/Berlin", PERIOD_HOUR, "2026-10-25T02:30:00+01:00", "2026-10-25T02:00:00+01:00",
         "2026-10-25T03:00:00+01:00"},
        /* :45, and a DST of half an hour */
        {"Asia/Kathmandu", PERIOD_HOUR, "2026-10-12T09:20:00+05:45", "2026-10-12T09:00:00+05:45",
         "2026-10-12T10:00:00+05:45"},
        {"Asia/Kathmandu", PERIOD_DAY, "2026-10-12T23:59:00+05:45", "2026-10-12T00:00:00+05:45",
         "2026-10-13T00:00:00+05:45"},
        {"Australia/Lord_Howe", PERIOD_DAY, "2026-10-04T12:00:00+11:00",
         "2026-10-04T00:00:00+10:30", "2026-10-05T00:00:00+11:00"},
        {"Australia/Lord_Howe", PERIOD_HOUR, "2026-10-04T02:45:00+11:00",
         "2026-10-04T02:30:00+11:00", "2026-10-04T03:00:00+11:00"},
        {"Australia/Lord_Howe", PERIOD_HOUR, "2026-04-05T01:40:00+11:00",
         "2026-04-05T01:00:00+11:00", "2026-04-05T01:30:00+10:30"},
        {"Australia/Lord_Howe", PERIOD_HOUR, "2026-04-05T01:40:00+10:30",
         "2026-04-05T01:30:00+10:30", "2026-04-05T02:00:00+10:30"},
        {"Pacific/Chatham", PERIOD_DAY, "2026-09-27T12:00:00+13:45", "2026-09-27T00:00:00+12:45",
         "2026-09-28T00:00:00+13:45"},
        {"Pacific/Chatham", PERIOD_HOUR, "2026-09-27T02:44:00+12:45", "2026-09-27T02:00:00+12:45",
         "2026-09-27T03:45:00+13:45"},
        /* midnight does not exist */
        {"America/Sao_Paulo", PERIOD_DAY, "2018-11-04T12:00:00-02:00", "2018-11-04T01:00:00-02:00",
         "2018-11-05T00:00:00-02:00"},
        {"America/Sao_Paulo", PERIOD_DAY, "2018-11-03T23:59:59-03:00", "2018-11-03T00:00:00-03:00",
         "2018-11-04T01:00:00-02:00"},
        {"Asia/Beirut", PERIOD_DAY, "2026-03-29T12:00:00+03:00", "2026-03-29T01:00:00+03:00",
         "2026-03-30T00:00:00+03:00"},
        /* 23:00 to 24:00 twice */
        {"America/Sao_Paulo", PERIOD_DAY, "2018-02-17T23:30:00-03:00", "2018-02-17T00:00:00-02:00",
         "2018-02-18T00:00:00-03:00"},
        /* 00:00 to 01:00 twice */
        {"America/Havana", PERIOD_DAY, "2026-11-01T00:30:00-05:00", "2026-11-01T00:00:00-04:00",
         "2026-11-02T00:00:00-05:00"},
        /* back over midnight: from 00:01 to 23:01 of the day before */
        {"America/St_Johns", PERIOD_DAY, "2006-10-28T23:30:00-03:30", "2006-10-29T00:00:00-02:30",
         "2006-10-30T00:00:00-03:30"},
        {"America/St_Johns", PERIOD_DAY, "2006-10-28T23:30:00-02:30", "2006-10-28T00:00:00-02:30",
         "2006-10-29T00:00:00-02:30"},
        /* Samoa had no 30 December 2011 */
        {"Pacific/Apia", PERIOD_DAY, "2011-12-29T12:00:00-10:00", "2011-12-29T00:00:00-10:00",
         "2011-12-31T00:00:00+14:00"},
        {"Pacific/Apia", PERIOD_DAY, "2011-12-31T12:00:00+14:00", "2011-12-31T00:00:00+14:00",
         "2012-01-01T00:00:00+14:00"},
        {"Pacific/Apia", PERIOD_WEEK, "2011-12-31T12:00:00+14:00", "2011-12-26T00:00:00-10:00",
         "2012-01-02T00:00:00+14:00"},
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct calendar *calendar = open_calendar(cases[i].zone, 1);
        assert_period(calendar, cases[i].kind, cases[i].inside, cases[i].from, cases[i].to);
        calendar_free(calendar);
    }
}

static void weeks_start_where_the_calendar_says(void **state)
{
    static const char *const from[] = {"",           "2026-10-12", "2026-10-13", "2026-10-14",
                                       "2026-10-08", "2026-10-09", "2026-10-10", "2026-10-11"};
    (void)state;
    for (int start = 1; start <= 7; start++) {
        struct calendar *calendar = open_calendar("Europe/Berlin", start);
        char label[CALENDAR_LABEL_SIZE];
        struct period week =
            calendar_period(calendar, PERIOD_WEEK, at("2026-10-14T12:00:00+02:00"));
        assert_string_equal(calendar_label(calendar, &week, label),
                            start == 1 ? "2026-W42" : from[start]);
        assert_int_equal(week.to - week.from, 7 * (span_ms)MS_PER_DAY);
        struct period day = {PERIOD_DAY, week.from, week.to};
        assert_string_equal(calendar_label(calendar, &day, label), from[start]);
        calendar_free(calendar);
    }
}

static void assert_same_period(const struct period *a, const struct period *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->from, b->from);
    assert_int_equal(a->to, b->to);
}

/* Every instant is in exactly one period of each kind, in any zone. */
static void periods_follow_each_other_without_gap_or_overlap(void **state)
{
    static const char *const zones[] = {
        "Europe/Berlin",    "America/Sao_Paulo", "Asia/Beirut",          "Asia/Kathmandu",
        "Pacific/Apia",     "Pacific/Chatham",   "Africa/Cairo",         "Australia/Lord_Howe",
        "America/St_Johns", "America/Havana",    "America/Scoresbysund", "Asia/Gaza",
    };
    static const enum period_kind kinds[] = {PERIOD_HOUR,    PERIOD_DAY,  PERIOD_WEEK, PERIOD_MONTH,
                                             PERIOD_QUARTER, PERIOD_HALF, PERIOD_YEAR};
    static const int years[] = {0, 3, 22, 30, 40, 40, 40}; /* for each kind, from 1998 on */
    (void)state;

    for (size_t z = 0; z < TEST_COUNT(zones); z++) {
        struct calendar *calendar = open_calendar(zones[z], 1);
        for (size_t k = 0; k < TEST_COUNT(kinds); k++) {
            wall_ms end = at("1998-01-01T00:00:00Z") + (years[k] * 365 + 40) * (int64_t)MS_PER_DAY;
            struct period period = calendar_period(calendar, kinds[k], at("1998-01-01T00:00:00Z"));
            while (period.to < end) {
                assert_true(period.from < period.to);
                struct period next = calendar_next(calendar, &period);
                assert_int_equal(next.from, period.to);
                struct period back = calendar_previous(calendar, &next);
                assert_same_period(&back, &period);
                struct period same = calendar_period(calendar, kinds[k], period.to - 1);
                assert_same_period(&same, &period);
                period = next;
            }
        }
        calendar_free(calendar);
    }
}

static void the_day_that_samoa_skipped_is_no_period(void **state)
{
    struct calendar *apia = open_calendar("Pacific/Apia", 1);
    char label[CALENDAR_LABEL_SIZE];
    const struct civil skipped = {.year = 2011, .month = 12, .day = 30, .hour = 10};
    (void)state;

    assert_int_equal(calendar_instant(apia, &skipped), at("2011-12-31T00:00:00+14:00"));
    struct period day = calendar_period(apia, PERIOD_DAY, at("2011-12-29T12:00:00-10:00"));
    assert_string_equal(calendar_label(apia, &day, label), "2011-12-29");
    assert_int_equal(day.to - day.from, MS_PER_DAY);
    day = calendar_next(apia, &day);
    assert_string_equal(calendar_label(apia, &day, label), "2011-12-31");
    day = calendar_previous(apia, &day);
    assert_string_equal(calendar_label(apia, &day, label), "2011-12-29");
    calendar_free(apia);
}

/* --- civil times and instants ------------------------------------------------------------------
 */

static void a_time_in_a_gap_is_the_first_instant_after_it(void **state)
{
    static const struct {
        const char *zone;
        struct civil civil;
        const char *instant;
    } cases[] = {
        {"Europe/Berlin",
         {.year = 2027, .month = 3, .day = 28, .hour = 1, .minute = 59, .second = 59, .ms = 999},
         "2027-03-28T01:59:59.999+01:00"},
        {"Europe/Berlin",
         {.year = 2027, .month = 3, .day = 28, .hour = 2},
         "2027-03-28T03:00:00+02:00"},
        {"Europe/Berlin",
         {.year = 2027, .month = 3, .day = 28, .hour = 2, .minute = 30, .ms = 5},
         "2027-03-28T03:00:00+02:00"},
        {"Europe/Berlin",
         {.year = 2027, .month = 3, .day = 28, .hour = 3},
         "2027-03-28T03:00:00+02:00"},
        {"Europe/Berlin",
         {.year = 2026, .month = 10, .day = 25, .hour = 2, .minute = 30},
         "2026-10-25T02:30:00+02:00"},
        {"Europe/Berlin",
         {.year = 2026, .month = 10, .day = 25, .hour = 3},
         "2026-10-25T03:00:00+01:00"},
        {"America/Sao_Paulo",
         {.year = 2018, .month = 11, .day = 4, .minute = 59},
         "2018-11-04T01:00:00-02:00"},
        {"Asia/Beirut", {.year = 2026, .month = 3, .day = 29}, "2026-03-29T01:00:00+03:00"},
        {"Australia/Lord_Howe",
         {.year = 2026, .month = 10, .day = 4, .hour = 2, .minute = 15},
         "2026-10-04T02:30:00+11:00"},
        {"Australia/Lord_Howe",
         {.year = 2026, .month = 4, .day = 5, .hour = 1, .minute = 45},
         "2026-04-05T01:45:00+11:00"},
        {"Pacific/Chatham",
         {.year = 2026, .month = 9, .day = 27, .hour = 3},
         "2026-09-27T03:45:00+13:45"},
    };
    char text[CLOCK_TEXT_SIZE];
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct calendar *calendar = open_calendar(cases[i].zone, 1);
        wall_ms found = calendar_instant(calendar, &cases[i].civil);
        assert_string_equal(calendar_format(calendar, found, text), cases[i].instant);
        calendar_free(calendar);
    }
}

static void civil_times_tell_weekday_and_offset(void **state)
{
    struct calendar *berlin = open_calendar("Europe/Berlin", 1);
    (void)state;
    struct civil civil = calendar_civil(berlin, at("2026-10-25T00:59:59.250Z"));
    assert_int_equal(civil.year, 2026);
    assert_int_equal(civil.month, 10);
    assert_int_equal(civil.day, 25);
    assert_int_equal(civil.hour, 2);
    assert_int_equal(civil.minute, 59);
    assert_int_equal(civil.second, 59);
    assert_int_equal(civil.ms, 250);
    assert_int_equal(civil.weekday, 7);
    assert_int_equal(civil.offset_s, 7200);
    civil = calendar_civil(berlin, at("2026-10-25T01:00:00Z"));
    assert_int_equal(civil.hour, 2);
    assert_int_equal(civil.offset_s, 3600);
    calendar_free(berlin);
}

static void instants_before_1970_and_after_2037_have_rules_too(void **state)
{
    struct calendar *berlin = open_calendar("Europe/Berlin", 1);
    char text[CLOCK_TEXT_SIZE];
    (void)state;
    assert_string_equal(calendar_format(berlin, -1, text), "1970-01-01T00:59:59.999+01:00");
    assert_string_equal(calendar_format(berlin, at("1945-06-15T12:00:00Z"), text),
                        "1945-06-15T15:00:00+03:00");
    assert_string_equal(calendar_format(berlin, at("2060-07-01T12:00:00Z"), text),
                        "2060-07-01T14:00:00+02:00");
    assert_string_equal(calendar_format(berlin, at("2060-12-01T12:00:00Z"), text),
                        "2060-12-01T13:00:00+01:00");
    /* local mean time */
    assert_string_equal(calendar_format(berlin, at("1800-01-01T00:00:00Z"), text),
                        "1800-01-01T00:53:28+00:53:28");
    calendar_free(berlin);
}

static void instants_outside_the_years_1_to_9999_count_as_the_nearest(void **state)
{
    static const wall_ms far[] = {INT64_MIN, INT64_MIN + 1, INT64_MAX, -62135596800001,
                                  253402300800000};
    struct calendar *berlin = open_calendar("Europe/Berlin", 1);
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(far); i++) {
        struct civil civil = calendar_civil(berlin, far[i]);
        assert_in_range(civil.year, 1, 9999);
        for (enum period_kind kind = PERIOD_MINUTE; kind <= PERIOD_YEAR; kind++) {
            struct period period = calendar_period(berlin, kind, far[i]);
            assert_true(period.from < period.to);
        }
        (void)calendar_add_days(berlin, far[i], INT32_MAX);
        (void)calendar_add_days(berlin, far[i], INT32_MIN);
    }
    const struct civil wild = {.year = INT32_MAX,
                               .month = INT32_MAX,
                               .day = INT32_MAX,
                               .hour = INT32_MIN,
                               .minute = INT32_MAX,
                               .second = INT32_MIN};
    (void)calendar_instant(berlin, &wild);
    const struct civil wild_past = {.year = INT32_MIN, .month = INT32_MIN, .day = INT32_MIN};
    (void)calendar_instant(berlin, &wild_past);
    calendar_free(berlin);
}

static void civil_time_and_instant_are_inverse_outside_of_overlaps(void **state)
{
    static const char *const zones[] = {"Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu",
                                        "America/Sao_Paulo", "Pacific/Apia"};
    (void)state;
    for (size_t z = 0; z < TEST_COUNT(zones); z++) {
        struct calendar *calendar = open_calendar(zones[z], 1);
        for (wall_ms t = at("2011-01-01T00:00:00Z"); t < at("2019-01-01T00:00:00Z");
             t += 29 * (span_ms)MIN + 7) {
            struct civil civil = calendar_civil(calendar, t);
            wall_ms back = calendar_instant(calendar, &civil);
            assert_true(back <= t && t - back <= HOUR);
            struct civil again = calendar_civil(calendar, back);
            if (back != t) /* the second of two */
                assert_true(again.offset_s > civil.offset_s);
            assert_int_equal(again.day, civil.day);
            assert_int_equal(again.minute, civil.minute);
            assert_int_equal(again.ms, civil.ms);
        }
        calendar_free(calendar);
    }
}

/* FIG-6: on 12 Oct 2026 the window of 90 days begins on 15 Jul 00:00. FIG-7: a week ago, 11:00. */
static void days_are_added_at_the_same_clock_time(void **state)
{
    static const struct {
        const char *from;
        int days;
        const char *to;
    } cases[] = {
        {"2026-10-13T00:00:00+02:00", -90, "2026-07-15T00:00:00+02:00"},
        {"2026-10-01T00:00:00+02:00", -90, "2026-07-03T00:00:00+02:00"},
        {"2026-10-28T11:00:00+01:00", -7, "2026-10-21T11:00:00+02:00"},
        {"2026-10-24T12:00:00+02:00", 1, "2026-10-25T12:00:00+01:00"},
        {"2027-03-27T02:30:00+01:00", 1, "2027-03-28T03:00:00+02:00"},
        {"2026-10-24T02:30:00+02:00", 1, "2026-10-25T02:30:00+02:00"},
        {"2026-10-25T02:30:00+01:00", 0, "2026-10-25T02:30:00+01:00"},
        {"2028-02-28T09:00:00.500+01:00", 1, "2028-02-29T09:00:00.500+01:00"},
    };
    char text[CLOCK_TEXT_SIZE];
    struct calendar *berlin = open_calendar("Europe/Berlin", 1);
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_string_equal(
            calendar_format(berlin, calendar_add_days(berlin, at(cases[i].from), cases[i].days),
                            text),
            cases[i].to);
    calendar_free(berlin);
}

/* --- text --------------------------------------------------------------------------------------
 */

/* FIG-4 */
static void labels_are_written_as_people_write_them(void **state)
{
    static const struct {
        const char *inside;
        enum period_kind kind;
        const char *label;
    } cases[] = {
        {"2026-10-12T09:05:30+02:00", PERIOD_MINUTE, "2026-10-12 09:05"},
        {"2026-10-12T09:05:30+02:00", PERIOD_HOUR, "2026-10-12 09:00"},
        {"2026-10-12T09:05:30+02:00", PERIOD_DAY, "2026-10-12"},
        {"2026-10-12T09:05:30+02:00", PERIOD_WEEK, "2026-W42"},
        {"2026-10-12T09:05:30+02:00", PERIOD_MONTH, "2026-10"},
        {"2026-08-12T09:05:30+02:00", PERIOD_QUARTER, "2026-Q3"},
        {"2026-10-12T09:05:30+02:00", PERIOD_QUARTER, "2026-Q4"},
        {"2026-10-12T09:05:30+02:00", PERIOD_HALF, "2026-H2"},
        {"2026-06-30T23:59:59+02:00", PERIOD_HALF, "2026-H1"},
        {"2026-10-12T09:05:30+02:00", PERIOD_YEAR, "2026"},
        /* ISO 8601 weeks belong to the year of their Thursday */
        {"2027-01-01T12:00:00+01:00", PERIOD_WEEK, "2026-W53"},
        {"2024-12-30T12:00:00+01:00", PERIOD_WEEK, "2025-W01"},
        {"2026-01-01T12:00:00+01:00", PERIOD_WEEK, "2026-W01"},
        {"2023-01-01T12:00:00+01:00", PERIOD_WEEK, "2022-W52"},
        {"2021-01-03T12:00:00+01:00", PERIOD_WEEK, "2020-W53"},
    };
    struct calendar *berlin = open_calendar("Europe/Berlin", 1);
    char label[CALENDAR_LABEL_SIZE];
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct period period = calendar_period(berlin, cases[i].kind, at(cases[i].inside));
        assert_string_equal(calendar_label(berlin, &period, label), cases[i].label);
    }
    calendar_free(berlin);
}

static void times_are_formatted_with_offset_or_abbreviation(void **state)
{
    struct calendar *berlin = open_calendar("Europe/Berlin", 1);
    struct calendar *utc = open_calendar("UTC", 1);
    struct calendar *newfoundland = open_calendar("America/St_Johns", 1);
    char text[CLOCK_TEXT_SIZE];
    wall_ms t = at("2026-10-12T07:00:00Z");
    (void)state;

    assert_string_equal(calendar_format(berlin, t, text), "2026-10-12T09:00:00+02:00");
    assert_string_equal(calendar_format(berlin, t + 7, text), "2026-10-12T09:00:00.007+02:00");
    assert_string_equal(calendar_format(utc, t, text), "2026-10-12T07:00:00+00:00");
    assert_string_equal(calendar_format(newfoundland, t, text), "2026-10-12T04:30:00-02:30");
    assert_string_equal(calendar_format_short(berlin, t, text), "2026-10-12 09:00 CEST");
    assert_string_equal(calendar_format_short(berlin, at("2026-12-01T00:00:00Z"), text),
                        "2026-12-01 01:00 CET");
    assert_string_equal(calendar_format_short(utc, t, text), "2026-10-12 07:00 UTC");
    calendar_free(newfoundland);
    calendar_free(utc);
    calendar_free(berlin);
}

/* FIG-2 */
static void dates_and_times_are_parsed_in_the_zone(void **state)
{
    static const struct {
        const char *text;
        bool as_end;
        const char *means;
    } cases[] = {
        {"2027-03-31", true, "2027-04-01T00:00:00+02:00"},
        {"2027-03-31", false, "2027-03-31T00:00:00+02:00"},
        {"2026-12-31", true, "2027-01-01T00:00:00+01:00"},
        {"2028-02-29", false, "2028-02-29T00:00:00+01:00"},
        {"2026-10-12T09:00", false, "2026-10-12T09:00:00+02:00"},
        {"2026-10-12T09:00", true, "2026-10-12T09:00:00+02:00"},
        {"2026-10-12 09:00", false, "2026-10-12T09:00:00+02:00"},
        {"2026-10-12T09:00:01", false, "2026-10-12T09:00:01+02:00"},
        {"2026-10-12T09:00:01.5", false, "2026-10-12T09:00:01.500+02:00"},
        {"2026-10-12T09:00:01.025", false, "2026-10-12T09:00:01.025+02:00"},
        {"2026-10-12T09:00Z", false, "2026-10-12T11:00:00+02:00"},
        {"2026-10-12T09:00:00+05:45", false, "2026-10-12T05:15:00+02:00"},
        {"2026-10-12T09:00:00.001-02:30", false, "2026-10-12T13:30:00.001+02:00"},
        {"2027-03-28T02:30", false, "2027-03-28T03:00:00+02:00"},
        {"2026-10-25T02:30", false, "2026-10-25T02:30:00+02:00"},
        {"2026-10-25T02:30+01:00", false, "2026-10-25T02:30:00+01:00"},
    };
    struct calendar *berlin = open_calendar("Europe/Berlin", 1);
    char text[CLOCK_TEXT_SIZE];
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        wall_ms found = WALL_NONE;
        assert_true(calendar_parse(berlin, str_of(cases[i].text), cases[i].as_end, &found));
        assert_string_equal(calendar_format(berlin, found, text), cases[i].means);
    }

    /* a mute from 2026-12-24 to 2027-01-01 covers nine days */
    wall_ms from = 0;
    wall_ms to = 0;
    assert_true(calendar_parse(berlin, STR("2026-12-24"), false, &from));
    assert_true(calendar_parse(berlin, STR("2027-01-01"), true, &to));
    assert_int_equal(to - from, 9 * (span_ms)MS_PER_DAY);
    calendar_free(berlin);
}

static void what_is_not_a_date_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "2026",
        "2026-10",
        "2026-1-1",
        "2026-02-29",
        "2026-00-01",
        "2026-13-01",
        "2026-04-31",
        "2026-10-00",
        "0000-01-01",
        "-026-10-12",
        "+026-10-12",
        "2026-10-12T",
        "2026-10-12T9:00",
        "2026-10-12T24:00",
        "2026-10-12T09:60",
        "2026-10-12T09",
        "2026-10-12T09:00:60",
        "2026-10-12T09:00:00.",
        "2026-10-12T09:00:00.1234",
        "2026-10-12T09:00:00z",
        "2026-10-12T09:00+2",
        "2026-10-12T09:00+0200",
        "2026-10-12T09:00+99:00",
        "2026-10-12T09:00+02:60",
        "2026-10-12T09:00Zx",
        "2026-10-12 ",
        " 2026-10-12",
        "2026-10-12Z",
        "2026/10/12",
        "tomorrow",
        "2026-10-1\xc2\xb2",
        "12026-10-12",
    };
    struct calendar *berlin = open_calendar("Europe/Berlin", 1);
    wall_ms found = 42;
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        if (calendar_parse(berlin, str_of(cases[i]), false, &found))
            fail_msg("'%s' was taken for a date", cases[i]);
        assert_int_equal(found, 42);
    }
    assert_false(calendar_parse(berlin, (struct str){"2026-10-12\0 ", 12}, false, &found));
    assert_false(calendar_parse(berlin, STR_EMPTY, false, &found));
    calendar_free(berlin);
}

static void formatted_times_read_back(void **state)
{
    static const char *const zones[] = {"Europe/Berlin", "Pacific/Chatham", "America/St_Johns",
                                        "UTC"};
    char text[CLOCK_TEXT_SIZE];
    (void)state;
    for (size_t z = 0; z < TEST_COUNT(zones); z++) {
        struct calendar *calendar = open_calendar(zones[z], 1);
        for (wall_ms t = at("2025-01-01T00:00:00Z"); t < at("2028-01-01T00:00:00Z");
             t += 3 * (span_ms)HOUR + 1234567) {
            wall_ms back = 0;
            calendar_format(calendar, t, text);
            assert_true(calendar_parse(calendar, str_of(text), false, &back));
            assert_int_equal(back, t);
        }
        calendar_free(calendar);
    }
}

static void kinds_of_periods_have_names(void **state)
{
    enum period_kind kind = PERIOD_YEAR;
    (void)state;
    for (enum period_kind k = PERIOD_MINUTE; k <= PERIOD_YEAR; k++) {
        assert_true(period_kind_parse(str_of(period_kind_name(k)), &kind));
        assert_int_equal(kind, k);
    }
    assert_true(period_kind_parse(STR("half"), &kind));
    assert_int_equal(kind, PERIOD_HALF);
    assert_false(period_kind_parse(STR("fortnight"), &kind));
    assert_false(period_kind_parse(STR("Day"), &kind));
    assert_false(period_kind_parse(STR_EMPTY, &kind));
    assert_int_equal(kind, PERIOD_HALF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_since_1970_and_dates_are_inverse),
        cmocka_unit_test(months_have_their_length_in_leap_years_and_others),
        cmocka_unit_test(weekdays_are_known),
        cmocka_unit_test(days_and_months_that_overflow_are_normalised),
        cmocka_unit_test(zones_are_known_by_name),
        cmocka_unit_test(an_unknown_zone_is_an_error_with_a_hint),
        cmocka_unit_test(an_empty_zone_is_the_hosts),
        cmocka_unit_test(a_week_starts_on_one_of_seven_days),
        cmocka_unit_test(a_day_with_25_hours_is_half_open),
        cmocka_unit_test(periods_of_every_kind_hold_their_instant),
        cmocka_unit_test(weeks_start_where_the_calendar_says),
        cmocka_unit_test(periods_follow_each_other_without_gap_or_overlap),
        cmocka_unit_test(the_day_that_samoa_skipped_is_no_period),
        cmocka_unit_test(a_time_in_a_gap_is_the_first_instant_after_it),
        cmocka_unit_test(civil_times_tell_weekday_and_offset),
        cmocka_unit_test(instants_before_1970_and_after_2037_have_rules_too),
        cmocka_unit_test(instants_outside_the_years_1_to_9999_count_as_the_nearest),
        cmocka_unit_test(civil_time_and_instant_are_inverse_outside_of_overlaps),
        cmocka_unit_test(days_are_added_at_the_same_clock_time),
        cmocka_unit_test(labels_are_written_as_people_write_them),
        cmocka_unit_test(times_are_formatted_with_offset_or_abbreviation),
        cmocka_unit_test(dates_and_times_are_parsed_in_the_zone),
        cmocka_unit_test(what_is_not_a_date_is_refused),
        cmocka_unit_test(formatted_times_read_back),
        cmocka_unit_test(kinds_of_periods_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
