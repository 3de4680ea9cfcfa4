/* Which series of Prometheus count up (P16): by what their senders said, else by their names. */
#include <stdio.h>

#include "ingest/remote_types.h"
#include "test.h"

enum { SEED = 42 };

static void forget(void)
{
    remote_types_forget();
}

static void names_say_what_nobody_said(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool counts_up;
    } cases[] = {
        {"hits_total", true},  {"t_bucket", true},     {"t_sum", true},   {"t_count", true},
        {"t", false},          {"t_created", false},   {"t_gsum", false}, {"t_gcount", false},
        {"build_info", false}, {"total", false},       {"_total", false}, {"", false},
        {"subtotal", false},   {"hits_totals", false}, {"x_total", true},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_int_equal(remote_counts_up(str_of(cases[i].name), REMOTE_UNKNOWN),
                         cases[i].counts_up);
}

static void a_type_says_which_of_its_series_count_up(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *types; /* in which it counts up: of "?cghGsit" */
    } cases[] = {
        {"t", "c"},        {"t_total", "?c"},   {"t_created", ""}, {"t_bucket", "?ch"},
        {"t_sum", "?chs"}, {"t_count", "?chs"}, {"t_gcount", "c"}, {"t_info", "c"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        for (int type = REMOTE_UNKNOWN; type <= REMOTE_STATESET; type++) {
            bool expected = strchr(cases[i].types, "?cghGsit"[type]) != NULL;
            if (remote_counts_up(str_of(cases[i].name), (enum remote_type)type) != expected)
                fail_msg("'%s' of type %d", cases[i].name, type);
        }
    }
}

static void what_was_said_of_a_family_goes_for_its_series(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum remote_type type;
    } cases[] = {
        {"hits", REMOTE_COUNTER},
        {"hits_total", REMOTE_COUNTER},
        {"hits_created", REMOTE_COUNTER},
        {"hits_sum", REMOTE_UNKNOWN},
        {"hit", REMOTE_UNKNOWN},
        {"t_bucket", REMOTE_HISTOGRAM},
        {"t_sum", REMOTE_HISTOGRAM},
        {"t_count", REMOTE_HISTOGRAM},
        {"t_total", REMOTE_UNKNOWN},
        {"s", REMOTE_SUMMARY},
        {"s_sum", REMOTE_SUMMARY},
        {"s_bucket", REMOTE_UNKNOWN},
        {"g", REMOTE_GAUGE},
        {"g_total", REMOTE_UNKNOWN},
        {"q_gsum", REMOTE_GAUGE_HISTOGRAM},
        {"q_bucket", REMOTE_GAUGE_HISTOGRAM},
        {"build_info", REMOTE_INFO},
        {"", REMOTE_UNKNOWN},
    };

    forget();
    remote_types_remember(SEED, STR("hits"), REMOTE_COUNTER);
    remote_types_remember(SEED, STR("t"), REMOTE_HISTOGRAM);
    remote_types_remember(SEED, STR("s"), REMOTE_SUMMARY);
    remote_types_remember(SEED, STR("g"), REMOTE_GAUGE);
    remote_types_remember(SEED, STR("q"), REMOTE_GAUGE_HISTOGRAM);
    remote_types_remember(SEED, STR("build"), REMOTE_INFO);
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_int_equal(remote_types_find(SEED, str_of(cases[i].name)), cases[i].type);
    forget();
}

static void a_name_of_its_own_beats_that_of_a_family(void **state)
{
    (void)state;
    forget();
    remote_types_remember(SEED, STR("jobs"), REMOTE_HISTOGRAM);
    remote_types_remember(SEED, STR("jobs_count"), REMOTE_GAUGE);
    assert_int_equal(remote_types_find(SEED, STR("jobs_count")), REMOTE_GAUGE);
    forget();
}

static void the_last_word_counts_and_what_is_no_type_does_not(void **state)
{
    (void)state;
    forget();
    remote_types_remember(SEED, STR("x"), REMOTE_COUNTER);
    remote_types_remember(SEED, STR("x"), REMOTE_GAUGE);
    remote_types_remember(SEED, STR("x"), REMOTE_UNKNOWN);
    remote_types_remember(SEED, STR("x"), 8);
    remote_types_remember(SEED, STR("x"), UINT64_MAX);
    assert_int_equal(remote_types_find(SEED, STR("x")), REMOTE_GAUGE);
    forget();
    assert_int_equal(remote_types_find(SEED, STR("x")), REMOTE_UNKNOWN);
}

/* Of the newest families nearly all are known, however many came before. */
static void the_version_grows_when_an_answer_may_be_another_one(void **state)
{
    (void)state;
    uint32_t version = remote_types_version();

    remote_types_remember(SEED, STR("jobs"), REMOTE_COUNTER);
    assert_true(remote_types_version() > version);
    version = remote_types_version();
    remote_types_remember(SEED, STR("jobs"), REMOTE_COUNTER); /* once a minute */
    remote_types_remember(SEED, STR("jobs"), REMOTE_UNKNOWN);
    remote_types_remember(SEED, STR("visits"), REMOTE_STATESET + 1);
    assert_int_equal(remote_types_version(), version);
    remote_types_remember(SEED, STR("jobs"), REMOTE_GAUGE);
    assert_true(remote_types_version() > version);
    version = remote_types_version();
    forget();
    assert_true(remote_types_version() > version);
}

static void however_many_there_are_the_room_is_the_same(void **state)
{
    (void)state;
    enum { FAMILIES = 10 * REMOTE_TYPES_MAX, NEWEST = 1000 };
    char name[16];
    int known = 0;

    forget();
    for (int i = 0; i < FAMILIES; i++) {
        (void)snprintf(name, sizeof name, "m%d", i);
        remote_types_remember(SEED, str_of(name), i % 2 == 0 ? REMOTE_COUNTER : REMOTE_GAUGE);
    }
    for (int i = FAMILIES - NEWEST; i < FAMILIES; i++) {
        (void)snprintf(name, sizeof name, "m%d", i);
        enum remote_type type = remote_types_find(SEED, str_of(name));
        assert_true(type == REMOTE_UNKNOWN || type == (i % 2 == 0 ? REMOTE_COUNTER : REMOTE_GAUGE));
        known += type != REMOTE_UNKNOWN;
    }
    assert_true(known > NEWEST * 95 / 100);
    forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_say_what_nobody_said),
        cmocka_unit_test(a_type_says_which_of_its_series_count_up),
        cmocka_unit_test(what_was_said_of_a_family_goes_for_its_series),
        cmocka_unit_test(a_name_of_its_own_beats_that_of_a_family),
        cmocka_unit_test(the_last_word_counts_and_what_is_no_type_does_not),
        cmocka_unit_test(the_version_grows_when_an_answer_may_be_another_one),
        cmocka_unit_test(however_many_there_are_the_room_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
