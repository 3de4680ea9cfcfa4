#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "test.h"

static char written[8192];

/* Runs `body` with stderr in a pipe that takes all of it; what was written is in `written`. */
static const char *capture(void (*body)(void))
{
    int ends[2];
    int saved = dup(STDERR_FILENO);

    assert_true(saved >= 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    body();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    ssize_t len = read(ends[0], written, sizeof written - 1);
    written[len < 0 ? 0 : len] = '\0';
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)close(saved);
    return written;
}

static int set_clock(void **state)
{
    (void)state;
    clock_set_for_test(INT64_C(1791795600250)); /* 2026-10-12T09:00:00.250Z */
    (void)unsetenv("JOURNAL_STREAM");
    log_open();
    return 0;
}

static void log_one_of_each(void)
{
    log_error("commit_failed", "reason=\"%s\" retry_in_s=%d", "No space left on device", 5);
    log_warn("lines_rejected", "count=%d", 3);
    log_info("listening", "%s", "");
}

static void a_line_has_time_level_event_and_fields(void **state)
{
    (void)state;
    assert_string_equal(capture(log_one_of_each),
                        "2026-10-12T09:00:00Z error commit_failed "
                        "reason=\"No space left on device\" retry_in_s=5\n"
                        "2026-10-12T09:00:00Z warn  lines_rejected count=3\n"
                        "2026-10-12T09:00:00Z info  listening\n");
}

static void under_systemd_a_line_has_its_priority(void **state)
{
    (void)state;
    assert_int_equal(setenv("JOURNAL_STREAM", "8:1", 1), 0);
    log_open();
    assert_string_equal(capture(log_one_of_each),
                        "<3>error commit_failed reason=\"No space left on device\" retry_in_s=5\n"
                        "<4>warn  lines_rejected count=3\n"
                        "<6>info  listening\n");
    (void)unsetenv("JOURNAL_STREAM");
    log_open();
}

static void log_a_failure(void)
{
    struct error err = ERROR_EMPTY;
    (void)error_set(&err, ERROR_INVALID, "unknown time zone 'x'");
    log_failure(LOG_LEVEL_WARN, "reload_failed", &err);
    (void)error_hint(&err, "did you mean 'y'?");
    log_failure(LOG_LEVEL_ERROR, "reload_failed", &err);
}

static void a_failure_says_why_and_what_to_do(void **state)
{
    (void)state;
    assert_string_equal(
        capture(log_a_failure),
        "2026-10-12T09:00:00Z warn  reload_failed reason=\"unknown time zone 'x'\"\n"
        "2026-10-12T09:00:00Z error reload_failed reason=\"unknown time zone 'x'\" "
        "hint=\"did you mean 'y'?\"\n");
}

static void log_something_long(void)
{
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[1] = '\n';
    text[sizeof text - 1] = '\0';
    log_info("long", "text=%s", text);
}

static void one_event_is_one_line_however_long(void **state)
{
    (void)state;
    const char *line = capture(log_something_long);
    size_t len = strlen(line);
    assert_in_range(len, 500, 1024);
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
}

/* --- the counting form -------------------------------------------------------------------------
 */

enum { MINUTE = 60 * 1000 };

static struct log_repeat repeat;

static void reject(mono_ms now, uint64_t count, const char *example)
{
    log_repeated(&repeat, now, "lines_rejected", count, "protocol=statsd example=\"%s\"", example);
}

static void reject_often(void)
{
    reject(1000, 1, "first");
    for (mono_ms now = 1001; now < 1000 + MINUTE; now += 100)
        reject(now, 2, "more");
}

static void tick_after_a_minute(void)
{
    log_repeat_tick(&repeat, 1000 + MINUTE - 1);
    log_repeat_tick(&repeat, 1000 + MINUTE);
    log_repeat_tick(&repeat, 1000 + MINUTE + 1);
}

static void tick_until_it_is_over(void)
{
    log_repeat_tick(&repeat, 1000 + 2 * MINUTE - 101);
    log_repeat_tick(&repeat, 1000 + 2 * MINUTE);
    log_repeat_tick(&repeat, 1000 + 9 * MINUTE);
}

static void reject_again(void)
{
    reject(1000 + 10 * MINUTE, 5, "again");
}

static void repeated_events_are_summed_each_minute(void **state)
{
    (void)state;
    repeat = (struct log_repeat){0};
    assert_string_equal(capture(reject_often),
                        "2026-10-12T09:00:00Z warn  lines_rejected count=1 total=1 protocol=statsd "
                        "example=\"first\"\n");
    assert_string_equal(
        capture(tick_after_a_minute),
        "2026-10-12T09:00:00Z warn  lines_rejected count=1200 total=1201 protocol=statsd "
        "example=\"more\"\n");
    assert_string_equal(capture(tick_until_it_is_over),
                        "2026-10-12T09:00:00Z info  lines_rejected over total=1201\n");
    assert_string_equal(capture(reject_again),
                        "2026-10-12T09:00:00Z warn  lines_rejected count=5 total=5 protocol=statsd "
                        "example=\"again\"\n");
}

static void tick_what_never_happened(void)
{
    struct log_repeat nothing = {0};
    log_repeat_tick(&nothing, 0);
    log_repeat_tick(&nothing, INT64_C(100) * MINUTE);
}

static void what_never_happened_is_not_over(void **state)
{
    (void)state;
    assert_string_equal(capture(tick_what_never_happened), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_event_and_fields),
        cmocka_unit_test(under_systemd_a_line_has_its_priority),
        cmocka_unit_test(a_failure_says_why_and_what_to_do),
        cmocka_unit_test(one_event_is_one_line_however_long),
        cmocka_unit_test(repeated_events_are_summed_each_minute),
        cmocka_unit_test(what_never_happened_is_not_over),
    };
    return cmocka_run_group_tests(tests, set_clock, NULL);
}
