#include <stdio.h>

#include "base/table.h"
#include "test.h"

static int values[2000];

static struct str key_of(size_t i, char *out)
{
    int len = snprintf(out, 32, "key-%zu", i * 7919);
    return (struct str){out, (size_t)len};
}

static void an_empty_table_finds_nothing(void **state)
{
    struct table table = TABLE_EMPTY;
    size_t at = 0;
    (void)state;
    assert_null(table_find(&table, STR("churn")));
    assert_null(table_find(&table, STR_EMPTY));
    assert_null(table_next(&table, &at));
    table_fini(&table);
}

static void a_key_is_added_once(void **state)
{
    struct table table = TABLE_EMPTY;
    (void)state;
    assert_true(table_add(&table, STR("churn"), &values[0]));
    assert_false(table_add(&table, STR("churn"), &values[1]));
    assert_ptr_equal(table_find(&table, STR("churn")), &values[0]);
    assert_null(table_find(&table, STR("chur")));
    assert_null(table_find(&table, STR("churns")));
    table_fini(&table);
    assert_null(table_find(&table, STR("churn")));
}

static void keys_are_copied_and_may_hold_any_bytes(void **state)
{
    struct table table = TABLE_EMPTY;
    char key[] = "mutable";
    (void)state;
    assert_true(table_add(&table, str_of(key), &values[0]));
    key[0] = 'M';
    assert_null(table_find(&table, str_of(key)));
    assert_non_null(table_find(&table, STR("mutable")));
    assert_true(table_add(&table, STR("a\0b"), &values[1]));
    assert_true(table_add(&table, STR("a\0c"), &values[2]));
    assert_true(table_add(&table, STR_EMPTY, &values[3]));
    assert_false(table_add(&table, STR(""), &values[4]));
    assert_ptr_equal(table_find(&table, STR("a\0c")), &values[2]);
    assert_ptr_equal(table_find(&table, STR("")), &values[3]);
    table_fini(&table);
}

static void thousands_of_keys_are_found_and_keep_their_order(void **state)
{
    struct table table = TABLE_EMPTY;
    char key[32];
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(values); i++) {
        assert_true(table_add(&table, key_of(i, key), &values[i]));
        assert_ptr_equal(table_find(&table, key_of(i / 2, key)), &values[i / 2]);
    }
    for (size_t i = 0; i < TEST_COUNT(values); i++) {
        assert_ptr_equal(table_find(&table, key_of(i, key)), &values[i]);
        assert_null(table_find(&table, key_of(i + TEST_COUNT(values), key)));
    }
    size_t at = 0;
    size_t seen = 0;
    for (const struct table_entry *entry; (entry = table_next(&table, &at)) != NULL; seen++) {
        assert_ptr_equal(entry->value, &values[seen]);
        assert_true(str_equal(entry->key, key_of(seen, key)));
    }
    assert_int_equal(seen, TEST_COUNT(values));
    table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_finds_nothing),
        cmocka_unit_test(a_key_is_added_once),
        cmocka_unit_test(keys_are_copied_and_may_hold_any_bytes),
        cmocka_unit_test(thousands_of_keys_are_found_and_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
