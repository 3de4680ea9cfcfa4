#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "series/room.h"
#include "test.h"

static struct str key_of(struct buf *out, const char *metric, unsigned number)
{
    char value[16];
    (void)snprintf(value, sizeof value, "%u", number);
    const struct label label = {STR("n"), str_of(value)};
    series_key_write(out, METRIC_COUNTER, str_of(metric), &label, 1);
    return buf_view(out);
}

static bool is_full(const struct room *room, const char *metric, unsigned number)
{
    struct buf key = BUF_EMPTY;
    bool full = room_is_full(room, str_of(metric), key_of(&key, metric, number));
    buf_fini(&key);
    return full;
}

static void add_series(struct room *room, const char *metric, unsigned from, unsigned to)
{
    struct buf key = BUF_EMPTY;
    for (unsigned i = from; i < to; i++)
        room_add_series(room, series_key_hash(key_of(&key, metric, i)));
    buf_fini(&key);
}

static void tell(struct room *room, const char *metric, unsigned from, unsigned to)
{
    room_begin_series(room);
    add_series(room, metric, from, to);
    room_end_series(room);
}

static void only_a_full_metric_has_no_room_for_what_is_not_active(void **state)
{
    (void)state;
    struct room *room = room_new(100);
    assert_false(is_full(NULL, "orders", 1));
    assert_true(room_set_metric_full(room, STR("orders"), true));
    assert_false(is_full(room, "orders", 1)); /* nobody has told which are active */
    tell(room, "orders", 0, 10);
    assert_false(is_full(room, "orders", 9));
    assert_true(is_full(room, "orders", 10));
    assert_false(is_full(room, "visits", 10));
    add_series(room, "orders", 10, 11);
    assert_false(is_full(room, "orders", 10));
    assert_true(room_set_metric_full(room, STR("orders"), false));
    assert_false(is_full(room, "orders", 11));
    room_set_full(room, true);
    assert_true(is_full(room, "visits", 10));
    room_free(room);
}

static bool listener_is_full(const struct room *room, const char *listener, unsigned number)
{
    struct buf key = BUF_EMPTY;
    bool full = room_listener_is_full(room, str_of(listener), key_of(&key, "orders", number));
    buf_fini(&key);
    return full;
}

static void only_a_full_listener_may_not_bring_what_is_not_active(void **state)
{
    (void)state;
    struct room *room = room_new(100);
    assert_false(listener_is_full(NULL, "statsd", 1));
    assert_true(room_set_listener_full(room, STR("statsd"), true));
    assert_false(listener_is_full(room, "statsd", 1)); /* nobody has told which are active */
    tell(room, "orders", 0, 10);
    assert_true(listener_is_full(room, "statsd", 10));
    assert_false(listener_is_full(room, "statsd", 9));
    assert_false(listener_is_full(room, "influx", 10));
    assert_false(listener_is_full(room, "", 10));
    assert_false(is_full(room, "orders", 10));
    add_series(room, "orders", 10, 11); /* another one has brought it */
    assert_false(listener_is_full(room, "statsd", 10));
    assert_true(room_set_listener_full(room, STR("statsd"), true));
    assert_true(room_set_listener_full(room, STR("statsd"), false));
    assert_false(listener_is_full(room, "statsd", 11));
    room_free(room);
}

static void of_each_listener_it_is_known_what_it_brought(void **state)
{
    (void)state;
    struct room *room = room_new(1);
    struct room_listener out;
    char name[32];
    assert_false(room_listener(room, STR("l0"), &out));
    for (unsigned i = 0; i < ROOM_LISTENERS_MAX; i++) {
        (void)snprintf(name, sizeof name, "l%u", i);
        room_show_listener(room, str_of(name), (struct room_listener){i, 2 * i});
    }
    room_show_listener(room, STR("one more"), (struct room_listener){1, 1});
    assert_false(room_listener(room, STR("one more"), &out));
    assert_false(room_set_listener_full(room, STR("one more"), true));
    assert_true(room_set_listener_full(room, STR("l7"), true));
    room_show_listener(room, STR("l7"), (struct room_listener){70, 0});
    for (unsigned i = 0; i < ROOM_LISTENERS_MAX; i++) {
        (void)snprintf(name, sizeof name, "l%u", i);
        assert_true(room_listener(room, str_of(name), &out));
        assert_int_equal(out.series, i == 7 ? 70 : i);
        assert_int_equal(out.allowed, i == 7 ? 0 : 2 * i);
    }
    room_free(room);
}

static void series_that_come_while_all_are_told_are_told_too(void **state)
{
    (void)state;
    struct room *room = room_new(100);
    tell(room, "orders", 0, 5);
    room_set_full(room, true);
    room_begin_series(room);
    assert_false(is_full(room, "orders", 4)); /* as before, until all are told */
    add_series(room, "orders", 20, 21);
    assert_false(is_full(room, "orders", 20));
    add_series(room, "orders", 0, 3);
    room_end_series(room);
    assert_false(is_full(room, "orders", 20));
    assert_false(is_full(room, "orders", 2));
    assert_true(is_full(room, "orders", 4)); /* not active any more */
    room_free(room);
}

static void more_series_than_expected_are_all_let_through(void **state)
{
    (void)state;
    struct room *room = room_new(10);
    room_set_full(room, true);
    tell(room, "orders", 0, 500);
    assert_true(is_full(room, "orders", 5000));
    add_series(room, "orders", 500, 2000);
    assert_false(is_full(room, "orders", 5000));
    tell(room, "orders", 0, 5);
    assert_true(is_full(room, "orders", 5000));
    room_free(room);
}

static void metrics_come_and_go_in_any_order(void **state)
{
    (void)state;
    struct room *room = room_new(1);
    char name[16];
    unsigned told = 0;
    tell(room, "orders", 0, 1);
    for (unsigned i = 0; i < ROOM_METRICS_MAX + 100; i++) {
        (void)snprintf(name, sizeof name, "m%u", i);
        told += room_set_metric_full(room, str_of(name), true);
    }
    assert_int_equal(told, ROOM_METRICS_MAX);
    for (unsigned i = 0; i < ROOM_METRICS_MAX; i += 2) {
        (void)snprintf(name, sizeof name, "m%u", i);
        assert_true(room_set_metric_full(room, str_of(name), false));
    }
    for (unsigned i = 0; i < ROOM_METRICS_MAX; i++) {
        (void)snprintf(name, sizeof name, "m%u", i);
        assert_int_equal(is_full(room, name, 7), i % 2 == 1);
        assert_true(room_set_metric_full(room, str_of(name), false)); /* some for the second time */
    }
    for (unsigned i = 0; i < ROOM_METRICS_MAX; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        assert_true(room_set_metric_full(room, str_of(name), true));
    }
    room_free(room);
}

/* --- what people are shown --- */

static void *show_for_ever(void *arg)
{
    struct room *room = arg;
    struct room_offender offenders[2];
    memset(offenders, 0, sizeof offenders);
    for (uint64_t i = 1; i <= 2000; i++) {
        offenders[0].samples = offenders[1].samples = i;
        offenders[0].series = offenders[1].series = 2 * i;
        (void)snprintf(offenders[1].metric, ROOM_NAME_SIZE, "m%llu", (unsigned long long)i);
        room_show(room, offenders, 2);
    }
    return NULL;
}

static void who_looks_sees_one_moment(void **state)
{
    (void)state;
    struct room *room = room_new(1);
    struct room_offender out[ROOM_OFFENDERS_MAX];
    pthread_t thread;
    uint64_t seen = 0;
    assert_int_equal(room_offenders(room, out), 0);
    assert_int_equal(pthread_create(&thread, NULL, show_for_ever, room), 0);
    while (seen < 2000) {
        size_t count = room_offenders(room, out);
        if (count == 0)
            continue;
        char name[32];
        assert_int_equal(count, 2);
        (void)snprintf(name, sizeof name, "m%llu", (unsigned long long)out[0].samples);
        assert_string_equal(out[1].metric, name);
        assert_true(out[1].samples == out[0].samples && out[1].series == 2 * out[0].samples);
        assert_true(out[0].samples >= seen);
        seen = out[0].samples;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    room_free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_full_metric_has_no_room_for_what_is_not_active),
        cmocka_unit_test(only_a_full_listener_may_not_bring_what_is_not_active),
        cmocka_unit_test(of_each_listener_it_is_known_what_it_brought),
        cmocka_unit_test(series_that_come_while_all_are_told_are_told_too),
        cmocka_unit_test(more_series_than_expected_are_all_let_through),
        cmocka_unit_test(metrics_come_and_go_in_any_order),
        cmocka_unit_test(who_looks_sees_one_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
