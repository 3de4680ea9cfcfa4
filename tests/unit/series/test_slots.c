#include "series/random.h"
#include "series/slots.h"
#include "test.h"

static void what_was_added_is_found_after_growing(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct slots slots = SLOTS_EMPTY;
    uint64_t seed = 20;
    for (uint32_t i = 1; i <= COUNT; i++)
        slots_add(&slots, (uint32_t)random_next(&seed), i);
    seed = 20;
    for (uint32_t i = 1; i <= COUNT; i++) {
        uint32_t hash = (uint32_t)random_next(&seed);
        uint32_t at = slots_home(&slots, hash);
        uint32_t place = 0;
        do {
            place = slots_next(&slots, hash, &at);
        } while (place != 0 && place != i);
        assert_int_equal(place, i);
    }
    assert_true(slots_size_bytes(&slots) <= COUNT * 16);
    slots_fini(&slots);
}

/* The end of the slots is where a run goes on at the start. */
static void equal_hashes_at_the_end_are_all_found_once(void **state)
{
    (void)state;
    struct slots slots = SLOTS_EMPTY;
    enum { COUNT = 300 };
    unsigned char seen[COUNT + 1] = {0};
    for (uint32_t i = 1; i <= COUNT; i++)
        slots_add(&slots, UINT32_MAX, i);
    uint32_t at = slots_home(&slots, UINT32_MAX);
    uint32_t place = 0;
    uint32_t found = 0;
    while ((place = slots_next(&slots, UINT32_MAX, &at)) != 0) {
        assert_int_equal(seen[place]++, 0);
        found++;
    }
    assert_int_equal(found, COUNT);
    slots_fini(&slots);
}

static void nothing_is_found_in_an_empty_one(void **state)
{
    (void)state;
    struct slots slots = SLOTS_EMPTY;
    uint32_t at = slots_home(&slots, 5);
    slots_prefetch(&slots, 5);
    assert_int_equal(slots_next(&slots, 5, &at), 0);
    assert_int_equal(slots_size_bytes(&slots), 0);
    slots_fini(&slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found_after_growing),
        cmocka_unit_test(equal_hashes_at_the_end_are_all_found_once),
        cmocka_unit_test(nothing_is_found_in_an_empty_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
