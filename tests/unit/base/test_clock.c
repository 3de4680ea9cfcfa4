#include "base/clock.h"
#include "test.h"

static void a_clock_that_is_set_stands_still(void **state)
{
    (void)state;
    clock_set_for_test(INT64_C(1791806400123));
    assert_int_equal(clock_wall(), INT64_C(1791806400123));
    assert_int_equal(clock_wall_us(), INT64_C(1791806400123000));
    clock_set_for_test(-1);
    assert_int_equal(clock_wall(), -1);
    clock_set_for_test(0);
    assert_int_equal(clock_wall(), 0);
    clock_set_for_test(WALL_NONE);
    assert_true(clock_wall() > INT64_C(1700000000000));
}

static void monotonic_time_does_not_go_back(void **state)
{
    (void)state;
    mono_ms before = clock_mono();
    for (int i = 0; i < 1000; i++) {
        mono_ms now = clock_mono();
        assert_true(now >= before);
        before = now;
    }
}

static void times_are_formatted_in_utc(void **state)
{
    static const struct {
        wall_ms at;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000, "1969-12-31T23:59:59Z"},
        {INT64_C(1791795600250), "2026-10-12T09:00:00.250Z"},
        {INT64_C(951782400000), "2000-02-29T00:00:00Z"},
        {INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
    };
    char text[CLOCK_TEXT_SIZE];
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_string_equal(clock_format_utc(cases[i].at, text), cases[i].text);
}

static void any_number_is_formatted_within_the_buffer(void **state)
{
    static const wall_ms far[] = {INT64_MAX, INT64_MIN, INT64_MIN + 1, INT64_C(6776803619167679900),
                                  INT64_C(99999999999999)};
    char text[CLOCK_TEXT_SIZE];
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(far); i++) {
        assert_ptr_equal(clock_format_utc(far[i], text), text);
        assert_in_range(strlen(text), 1, CLOCK_TEXT_SIZE - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_that_is_set_stands_still),
        cmocka_unit_test(monotonic_time_does_not_go_back),
        cmocka_unit_test(times_are_formatted_in_utc),
        cmocka_unit_test(any_number_is_formatted_within_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
