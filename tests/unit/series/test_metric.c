#include "series/metric.h"
#include "test.h"

static void every_kind_has_a_name_that_reads_back(void **state)
{
    (void)state;
    static const char *const names[] = {"counter", "gauge", "distribution",
                                        "unique",  "score", "untyped"};
    for (int kind = 1; kind <= METRIC_KIND_MAX; kind++) {
        enum metric_kind read = 0;
        assert_string_equal(metric_kind_name((enum metric_kind)kind), names[kind - 1]);
        assert_true(metric_kind_parse(str_of(names[kind - 1]), &read));
        assert_int_equal(read, kind);
    }
}

static void other_numbers_and_words_are_no_kinds(void **state)
{
    (void)state;
    static const char *const words[] = {"", "Counter", "gaug", "gauges", "timer"};
    enum metric_kind read = METRIC_SCORE;
    assert_null(metric_kind_name(0));
    assert_null(metric_kind_name(METRIC_KIND_MAX + 1));
    assert_null(metric_kind_name((enum metric_kind) - 1));
    for (size_t i = 0; i < TEST_COUNT(words); i++)
        assert_false(metric_kind_parse(str_of(words[i]), &read));
    assert_int_equal(read, METRIC_SCORE);
}

static void a_declared_metric_is_found_by_its_whole_name(void **state)
{
    (void)state;
    struct metric_table table = {.by_name = TABLE_EMPTY};
    struct metric_definition stock = {.name = "stock", .has_kind = true, .kind = METRIC_GAUGE};
    assert_true(table_add(&table.by_name, STR("stock"), &stock));
    assert_ptr_equal(metric_find(&table, STR("stock")), &stock);
    assert_null(metric_find(&table, STR("stoc")));
    assert_null(metric_find(&table, STR("stocks")));
    assert_null(metric_find(NULL, STR("stock")));
    table_fini(&table.by_name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_a_name_that_reads_back),
        cmocka_unit_test(other_numbers_and_words_are_no_kinds),
        cmocka_unit_test(a_declared_metric_is_found_by_its_whole_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
