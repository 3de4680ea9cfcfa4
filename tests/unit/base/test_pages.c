#include <stdint.h>
#include <unistd.h>

#include "base/pages.h"
#include "test.h"

static void check(size_t size)
{
    unsigned char *pages = pages_new(size);

    assert_int_equal((uintptr_t)pages % PAGES_HUGE_BYTES, 0);
    pages_want_huge(pages, size);
    for (size_t i = 0; i < size; i += 1000) {
        assert_int_equal(pages[i], 0);
        pages[i] = (unsigned char)(i % 251);
    }
    pages[size - 1] = 7;
    pages_make_huge(pages, size);
    assert_int_equal(pages[size - 1], 7);
    for (size_t i = 0; i < size - 1; i += 1000)
        assert_int_equal(pages[i], (unsigned char)(i % 251));
    pages_free(pages, size);
}

static void pages_are_zeros_and_keep_what_is_written(void **state)
{
    (void)state;
    static const size_t sizes[] = {2, 4096, 5000, PAGES_HUGE_BYTES, PAGES_HUGE_BYTES * 2 + 12345};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check(sizes[i]);
    pages_free(NULL, 1);
}

/* A block may be made as large as it may become: what is not touched is not there. */
static void pages_may_be_more_than_there_is_memory(void **state)
{
    (void)state;
    const size_t size = 2 * (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    char *pages = pages_new(size);
    pages[size - 1] = 1;
    pages_free(pages, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_zeros_and_keep_what_is_written),
        cmocka_unit_test(pages_may_be_more_than_there_is_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
