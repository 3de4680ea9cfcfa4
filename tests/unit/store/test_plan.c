#include "fixture.h"
#include "store/plan.h"

/* Minutes since 1970, when a day began in UTC. */
#define DAY(day)         ((day)*INT64_C(1440))
#define HOUR(day, hour)  (DAY(day) + (hour)*INT64_C(60))
#define QUARTER_OF(from) ((from) / MINUTES_PER_QUARTER)
#define NONE             INT64_MIN

enum { DAYS_MAX = 40 };

/* Days of a zone `east` quarters east of UTC; those of `shift` and later begin `by` quarters sooner
 * or later, which makes the one before it shorter or longer. */
struct zone {
    int64_t first, count;
    int64_t east;
    int64_t shift, by;
    int64_t missing; /* a day that is not built; 0: none */
};

static size_t days_of_zone(const struct zone *zone, struct day_bounds *out)
{
    size_t count = 0;

    for (int64_t day = zone->first; day < zone->first + zone->count; day++) {
        int64_t from = day * QUARTERS_PER_DAY - zone->east;
        int64_t to = from + QUARTERS_PER_DAY;
        if (zone->shift > 0 && day >= zone->shift)
            from += zone->by;
        if (zone->shift > 0 && day + 1 >= zone->shift)
            to += zone->by;
        if (day != zone->missing || zone->missing == 0)
            out[count++] = (struct day_bounds){day, from, to};
    }
    return count;
}

/* "m[0,15) q[15,1440) d2[1440,4320)", "?" after a segment whose buckets may straddle steps, and "!"
 * when something is not covered. */
static void write_plan(const struct plan *plan, struct buf *out)
{
    static const char *const names[] = {"m", "q", "d"};

    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_segment *segment = &plan->segments[i];
        buf_printf(out, "%s%s", i > 0 ? " " : "", names[segment->level]);
        if (segment->level == LEVEL_DAY)
            buf_printf(out, "%u", segment->calendar);
        buf_printf(out, "[%lld,%lld)%s", (long long)segment->from, (long long)segment->to,
                   segment->may_straddle ? "?" : "");
    }
    buf_printf(out, "%s", plan->complete ? "" : "!");
}

struct plan_case {
    const char *name;
    int64_t quartered, kept_minute, kept_quarter, kept_day; /* minutes, NONE */
    struct zone zones[2];
    struct plan_range range;
    const char *expected;
};

static int64_t mark_of(int64_t minute)
{
    return minute == NONE ? INT64_MIN : QUARTER_OF(minute);
}

static void check_plan(const struct plan_case *wanted)
{
    struct arena arena = ARENA_EMPTY;
    struct buf text = BUF_EMPTY;
    struct day_bounds days[2][DAYS_MAX];
    struct plan_calendar calendars[2];
    struct plan_facts facts = {.calendars = calendars, .calendar_count = 2};
    struct plan plan;

    const struct kept kept = {
        .from = {wanted->kept_minute, mark_of(wanted->kept_quarter), mark_of(wanted->kept_day)}};

    facts.quartered = mark_of(wanted->quartered);
    facts.kept = &kept;
    for (uint32_t i = 0; i < 2; i++)
        calendars[i] =
            (struct plan_calendar){i + 1, days[i], days_of_zone(&wanted->zones[i], days[i])};
    plan_make(&facts, &wanted->range, &arena, &plan);
    write_plan(&plan, &text);
    if (!str_is(buf_view(&text), wanted->expected))
        fail_msg("%s: '%.*s', not '%s'", wanted->name, STR_ARGS(buf_view(&text)), wanted->expected);
    buf_fini(&text);
    arena_fini(&arena);
}

static void the_coarsest_levels_tile_a_range(void **state)
{
    (void)state;
    static const struct plan_case cases[] = {
        {"nothing is built", NONE, NONE, NONE, NONE, {{0}}, {0, DAY(2), 0, 0}, "m[0,2880)"},
        {"quarters", DAY(2), NONE, NONE, NONE, {{0}}, {0, DAY(2), 0, 0}, "q[0,2880)"},
        {"an edge inside a quarter",
         DAY(2),
         NONE,
         NONE,
         NONE,
         {{0}},
         {7, 100, 0, 0},
         "m[7,15) q[15,90) m[90,100)"},
        {"within one quarter", DAY(2), NONE, NONE, NONE, {{0}}, {16, 29, 0, 0}, "m[16,29)"},
        {"what is newer",
         DAY(1),
         NONE,
         NONE,
         NONE,
         {{0}},
         {0, DAY(2), 0, 0},
         "q[0,1440) m[1440,2880)"},
        {"before 1970", 0, NONE, NONE, NONE, {{0}}, {-31, 1, 0, 0}, "m[-31,-30) q[-30,0) m[0,1)"},
        {"whole days",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 0, 0, 0, 0}},
         {HOUR(1, -1), HOUR(4, 1) + 3, 0, 0},
         "q[1380,1440) d1[1440,5760) q[5760,5820) m[5820,5823)"},
        {"a day that is not built",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 0, 0, 0, 3}},
         {DAY(1), DAY(5), 0, 0},
         "d1[1440,4320) q[4320,5760) d1[5760,7200)"},
        {"days that are newer than what is built",
         DAY(3),
         NONE,
         NONE,
         NONE,
         {{1, 2, 0, 0, 0, 0}},
         {DAY(1), HOUR(3, 2), 0, 0},
         "d1[1440,4320) m[4320,4440)"},
        {"the calendar that fits",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 0, 0, 0, 0}, {1, 8, 23, 0, 0, 0}},
         {DAY(2) - 23 * 15, DAY(4) - 23 * 15, 0, 0},
         "d2[2535,5415)"},
        {"the first of calendars that fit alike",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 0, 0, 0, 0}, {1, 8, 4, 0, 0, 0}},
         {HOUR(2, -2), HOUR(4, 2), 0, 0},
         "q[2760,2880) d1[2880,5760) q[5760,5880)"},
        {"a calendar that is asked for",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 0, 0, 0, 0}, {1, 8, 4, 0, 0, 0}},
         {HOUR(2, -2), HOUR(4, 2), 0, 2},
         "q[2760,2820) d2[2820,5700) q[5700,5880)"},
        {"a day of 23 hours",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 4, 4, -4, 0}},
         {HOUR(3, -1), HOUR(4, -2), 0, 0},
         "d1[4260,5640)"},
        {"a day of 25 hours",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 4, 4, 4, 0}},
         {HOUR(3, -1), HOUR(4, 0), 0, 0},
         "d1[4260,5760)"},
        {"after all that is built",
         DAY(1),
         NONE,
         NONE,
         NONE,
         {{0}},
         {DAY(1), DAY(2), 0, 0},
         "m[1440,2880)"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        check_plan(&cases[i]);
}

static void no_bucket_straddles_two_steps(void **state)
{
    (void)state;
    static const struct plan_case cases[] = {
        {"steps of minutes",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 0, 0, 0, 0}},
         {0, DAY(3), 1, 0},
         "m[0,4320)"},
        {"steps that no quarter fits",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{0}},
         {0, DAY(3), 14, 0},
         "m[0,4320)"},
        {"steps that do not begin on a quarter",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{0}},
         {7, DAY(3), 15, 0},
         "m[7,4320)"},
        {"steps of a quarter and a half",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{0}},
         {0, DAY(3), 22, 0},
         "m[0,4320)"},
        {"steps of a quarter",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 0, 0, 0, 0}},
         {0, DAY(3) + 1, 15, 0},
         "q[0,4320) m[4320,4321)"},
        {"steps of hours",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 0, 0, 0, 0}},
         {0, DAY(3), 60, 0},
         "q[0,4320)"},
        {"steps of a day",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 0, 0, 0, 0}},
         {DAY(1), DAY(5), DAY(1), 0},
         "d1[1440,7200)"},
        {"steps of a day that are not the calendar's",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 4, 0, 0, 0}},
         {DAY(1), DAY(5), DAY(1), 0},
         "q[1440,7200)"},
        {"steps of a day over a day of 23 hours",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 4, 4, -4, 0}},
         {HOUR(1, -1), HOUR(7, -1), DAY(1), 0},
         /* the third day ends an hour before the step, which that hour of quarters fills */
         "d1[1380,5640) q[5640,10020)"},
        {"steps of a day over a day of 25 hours",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 4, 4, 4, 0}},
         {HOUR(1, -1), HOUR(7, -1), DAY(1), 0},
         "d1[1380,4260) q[4260,10020)"},
        {"steps of two days and a half",
         DAY(9),
         NONE,
         NONE,
         NONE,
         {{1, 8, 0, 0, 0, 0}},
         {DAY(1), DAY(6), DAY(5) / 2, 0},
         "d1[1440,4320) q[4320,5760) d1[5760,8640)"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        check_plan(&cases[i]);
}

static void where_a_level_was_dropped_the_next_coarser_one_is_taken(void **state)
{
    (void)state;
    static const struct zone utc = {1, 8, 0, 0, 0, 0};
    const struct plan_case cases[] = {
        {"minutes at the edges are gone",
         DAY(9),
         DAY(8),
         NONE,
         NONE,
         {{0}},
         {7, 100, 0, 0},
         "q[15,90)!"},
        {"whole quarters are all there is to say",
         DAY(9),
         DAY(8),
         NONE,
         NONE,
         {{0}},
         {15, 90, 0, 0},
         "q[15,90)"},
        {"minutes that are kept",
         DAY(9),
         DAY(1),
         NONE,
         NONE,
         {{0}},
         {DAY(1) - 7, DAY(1) + 7, 0, 0},
         "m[1440,1447)!"},
        {"quarters at the edges are gone",
         DAY(9),
         DAY(8),
         DAY(8),
         NONE,
         {utc},
         {HOUR(1, -2), HOUR(3, 2), 0, 0},
         "d1[1440,4320)!"},
        {"days are gone too",
         DAY(9),
         DAY(8),
         DAY(8),
         DAY(2),
         {utc},
         {DAY(1), DAY(4), 0, 0},
         "d1[2880,5760)!"},
        {"no calendar has days",
         DAY(9),
         DAY(8),
         DAY(8),
         NONE,
         {{0}},
         {DAY(1), DAY(9), 0, 0},
         "q[11520,12960)!"},
        {"steps of minutes",
         DAY(9),
         DAY(2),
         NONE,
         NONE,
         {{0}},
         {DAY(1), DAY(3), 5, 0},
         "m[2880,4320)!"},
        {"steps that do not begin on a quarter",
         DAY(9),
         DAY(2),
         NONE,
         NONE,
         {{0}},
         {DAY(1) + 7, DAY(3), 60, 0},
         "q[1455,2880)? m[2880,4320)!"},
        {"a step that does not begin on a quarter",
         DAY(9),
         DAY(2),
         NONE,
         NONE,
         {{0}},
         {DAY(1) + 7, DAY(3), DAY(4), 0},
         "q[1455,2880) m[2880,4320)!"},
        {"steps of quarters",
         DAY(9),
         DAY(2),
         NONE,
         NONE,
         {{0}},
         {DAY(1), DAY(3), 30, 0},
         "q[1440,4320)"},
        {"steps of days that do not begin on a quarter",
         DAY(9),
         DAY(8),
         DAY(8),
         NONE,
         {utc},
         {DAY(1) - 1, DAY(9), DAY(2), 0},
         "d1[1440,2880) d1[4320,5760) d1[7200,8640) d1[10080,11520) m[11520,12960)!"},
        {"minutes from within a quarter",
         DAY(9),
         DAY(2) + 7,
         NONE,
         NONE,
         {{0}},
         {DAY(1) + 1, DAY(3), 60, 0},
         "q[1455,2895)? m[2895,4320)!"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        check_plan(&cases[i]);
}

static void a_plan_of_all_time_is_short(void **state)
{
    (void)state;
    struct arena arena = ARENA_EMPTY;
    const struct plan_range ranges[] = {
        {-PLAN_MINUTE_LIMIT, PLAN_MINUTE_LIMIT + 1, 0, 0},
        {-PLAN_MINUTE_LIMIT, PLAN_MINUTE_LIMIT + 1, 1, 0},
        {-PLAN_MINUTE_LIMIT, PLAN_MINUTE_LIMIT + 1, 15, 0},
        {-PLAN_MINUTE_LIMIT + 1, PLAN_MINUTE_LIMIT + 1, DAY(7), 0},
        {-PLAN_MINUTE_LIMIT, PLAN_MINUTE_LIMIT + 1, PLAN_MINUTE_LIMIT, 0},
    };

    for (size_t i = 0; i < TEST_COUNT(ranges); i++) {
        int64_t mark = i % 2 == 0 ? DAY(20000) : INT64_MIN;
        const struct kept kept = {.from = {mark, mark, mark}};
        const struct plan_facts facts = {.quartered = mark, .kept = &kept};
        struct plan plan;
        plan_make(&facts, &ranges[i], &arena, &plan);
        assert_in_range(plan.count, 1, 4);
        for (size_t j = 1; j < plan.count; j++)
            assert_true(plan.segments[j - 1].to <= plan.segments[j].from);
    }
    arena_fini(&arena);
}

/* Days that were built when some quarters were gone: of another calendar, or not at all. */
static void days_that_lack_something_are_not_read(void **state)
{
    (void)state;
    struct arena arena = ARENA_EMPTY;
    struct buf text = BUF_EMPTY;
    static const struct day_bounds days[] = {
        {1, 96, 192}, {2, 192, 288}, {3, 288, 384}, {4, 384, 480}};
    const struct plan_calendar calendars[] = {{1, days, 2}, {2, days, TEST_COUNT(days)}};
    const struct kept_calendar parts[] = {{2, 288}, {7, 480}};
    const struct kept kept = {.from = {4 * 1440, 4 * QUARTERS_PER_DAY, INT64_MIN},
                              .calendars = parts,
                              .calendar_count = TEST_COUNT(parts)};
    struct plan_facts facts = {.quartered = 9 * QUARTERS_PER_DAY,
                               .kept = &kept,
                               .calendars = calendars + 1,
                               .calendar_count = 1};
    const struct plan_range range = {DAY(1), DAY(5), 0, 0};
    struct plan plan;

    plan_make(&facts, &range, &arena, &plan);
    write_plan(&plan, &text);
    assert_false(plan.complete);
    assert_true(str_is(buf_view(&text), "d2[4320,7200)!"));
    buf_clear(&text);

    facts.calendars = calendars;
    plan_make(&facts, &(const struct plan_range){DAY(1), DAY(3), 0, 0}, &arena, &plan);
    write_plan(&plan, &text);
    assert_true(plan.complete);
    assert_true(str_is(buf_view(&text), "d1[1440,4320)"));
    buf_fini(&text);
    arena_fini(&arena);
}

static void days_that_overlap_are_not_read_twice(void **state)
{
    (void)state;
    struct arena arena = ARENA_EMPTY;
    struct buf text = BUF_EMPTY;
    static const struct day_bounds days[] = {
        {1, 96, 192}, {2, 188, 288}, {3, 288, 288}, {4, 290, 384}};
    const struct plan_calendar calendar = {1, days, TEST_COUNT(days)};
    const struct kept kept = {.from = {INT64_MIN, INT64_MIN, INT64_MIN}};
    const struct plan_facts facts = {.quartered = 9 * QUARTERS_PER_DAY,
                                     .kept = &kept,
                                     .calendars = &calendar,
                                     .calendar_count = 1};
    const struct plan_range range = {DAY(1), DAY(4), 0, 0};
    struct plan plan;

    plan_make(&facts, &range, &arena, &plan);
    write_plan(&plan, &text);
    assert_true(str_is(buf_view(&text), "d1[1440,2880) q[2880,4350) d1[4350,5760)"));
    buf_fini(&text);
    arena_fini(&arena);
}

static void buckets_and_minutes_agree(void **state)
{
    (void)state;
    static const struct zone zone = {2, 5, 4, 4, -4, 0};
    struct day_bounds days[DAYS_MAX];
    size_t count = days_of_zone(&zone, days);
    const struct plan_segment segments[] = {
        {.level = LEVEL_MINUTE, .from = -20, .to = 40},
        {.level = LEVEL_QUARTER, .from = -30, .to = 45},
        {.level = LEVEL_DAY,
         .from = days[0].from * MINUTES_PER_QUARTER,
         .to = days[count - 1].to * MINUTES_PER_QUARTER,
         .days = days,
         .day_count = count},
    };
    for (size_t i = 0; i < TEST_COUNT(segments); i++) {
        const struct plan_segment *segment = &segments[i];
        int64_t end = plan_bucket_from(segment, segment->to);
        int64_t minute = segment->from;
        for (int64_t bucket = plan_bucket_from(segment, segment->from); bucket < end; bucket++) {
            int64_t from = 0;
            int64_t to = 0;
            assert_true(plan_bucket_minutes(segment, bucket, &from, &to));
            assert_int_equal(from, minute);
            assert_int_equal(plan_bucket_start(segment, bucket), minute);
            assert_int_equal(plan_bucket_from(segment, minute), bucket);
            assert_int_equal(plan_bucket_from(segment, minute + 1), bucket + 1);
            minute = to;
        }
        assert_int_equal(minute, segment->to);
    }
    int64_t ignored = 0;
    assert_false(plan_bucket_minutes(&segments[2], 1, &ignored, &ignored));
    assert_false(plan_bucket_minutes(&segments[2], 7, &ignored, &ignored));
}

static void minutes_of_times_are_floored_and_limited(void **state)
{
    (void)state;
    assert_int_equal(plan_minute_of(59999), 0);
    assert_int_equal(plan_minute_of(-1), -1);
    assert_int_equal(plan_minute_of(-60000), -1);
    assert_int_equal(plan_minute_of(-60001), -2);
    assert_int_equal(plan_minute_of(INT64_MAX), PLAN_MINUTE_LIMIT);
    assert_int_equal(plan_minute_of(INT64_MIN), -PLAN_MINUTE_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_coarsest_levels_tile_a_range),
        cmocka_unit_test(no_bucket_straddles_two_steps),
        cmocka_unit_test(where_a_level_was_dropped_the_next_coarser_one_is_taken),
        cmocka_unit_test(a_plan_of_all_time_is_short),
        cmocka_unit_test(days_that_lack_something_are_not_read),
        cmocka_unit_test(days_that_overlap_are_not_read_twice),
        cmocka_unit_test(buckets_and_minutes_agree),
        cmocka_unit_test(minutes_of_times_are_floored_and_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
