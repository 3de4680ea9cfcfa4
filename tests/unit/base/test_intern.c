#include <pthread.h>
#include <stdbool.h>

#include "base/intern.h"
#include "test.h"

static struct interned *of_number(uint64_t number)
{
    return intern(&number, sizeof number, number * UINT64_C(0x9e3779b97f4a7c15));
}

static void equal_bytes_are_one_pointer_until_the_last_holder_drops_them(void **state)
{
    (void)state;
    struct interned *one = of_number(1);
    struct interned *again = of_number(1);
    struct interned *other = of_number(2);
    uint64_t number = 0;

    assert_ptr_equal(one, again);
    assert_ptr_not_equal(one, other);
    assert_int_equal(interned_count(), 2);
    assert_int_equal(one->len, sizeof number);
    memcpy(&number, interned_bytes(one), sizeof number);
    assert_int_equal(number, 1);
    assert_ptr_equal(interned_keep(one), one);
    for (int holders = 3; holders > 0; holders--) {
        assert_int_equal(interned_count(), 2);
        interned_drop(one);
    }
    assert_int_equal(interned_count(), 1);
    interned_drop(other);
    interned_drop(NULL);
    assert_int_equal(interned_count(), 0);
}

static void one_hash_of_different_bytes_keeps_them_apart(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "a", "b", "ab"};
    struct interned *all[TEST_COUNT(texts)];

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < TEST_COUNT(texts); i++) {
            struct interned *found = intern(texts[i], strlen(texts[i]), 7);
            if (round == 0)
                all[i] = found;
            assert_ptr_equal(found, all[i]);
            assert_memory_equal(interned_bytes(found), texts[i], strlen(texts[i]));
        }
    }
    assert_int_equal(interned_count(), TEST_COUNT(texts));
    for (size_t i = 0; i < 2 * TEST_COUNT(texts); i++)
        interned_drop(all[i % TEST_COUNT(texts)]);
    assert_int_equal(interned_count(), 0);
}

static void many_are_found_again(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static struct interned *all[COUNT];

    for (uint64_t i = 0; i < COUNT; i++)
        all[i] = of_number(i);
    assert_int_equal(interned_count(), COUNT);
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_ptr_equal(of_number(i), all[i]);
        interned_drop(all[i]);
    }
    for (uint64_t i = 0; i < COUNT; i += 2)
        interned_drop(all[i]);
    assert_int_equal(interned_count(), COUNT / 2);
    for (uint64_t i = 1; i < COUNT; i += 2)
        interned_drop(all[i]);
    assert_int_equal(interned_count(), 0);
}

/* Each takes and drops the same few, so that they often go and come back. */
static void *take_and_drop(void *arg)
{
    bool *ok = arg;

    for (uint64_t i = 0; i < 20000; i++) {
        struct interned *one = of_number(i % 3);
        struct interned *kept = interned_keep(one);
        uint64_t number = 0;
        memcpy(&number, interned_bytes(kept), sizeof number);
        *ok = *ok && number == i % 3;
        interned_drop(one);
        interned_drop(kept);
    }
    return NULL;
}

static void threads_share_them(void **state)
{
    (void)state;
    pthread_t threads[4];
    bool ok[4];

    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        ok[i] = true;
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_drop, &ok[i]), 0);
    }
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(ok[i]);
    }
    assert_int_equal(interned_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_bytes_are_one_pointer_until_the_last_holder_drops_them),
        cmocka_unit_test(one_hash_of_different_bytes_keeps_them_apart),
        cmocka_unit_test(many_are_found_again),
        cmocka_unit_test(threads_share_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
