#include "base/arena.h"
#include "test.h"

static void memory_is_zeroed_aligned_and_apart(void **state)
{
    struct arena arena = ARENA_EMPTY;
    unsigned char *blocks[200];
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        size_t size = i * 13;
        blocks[i] = arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
        for (size_t b = 0; b < size; b++)
            assert_int_equal(blocks[i][b], 0);
        memset(blocks[i], (int)i, size);
    }
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        for (size_t b = 0; b < i * 13; b++)
            assert_int_equal(blocks[i][b], i);
    }
    arena_fini(&arena);
    assert_int_equal(arena.total_bytes, 0);
    arena_fini(&arena);
}

static void a_large_piece_gets_a_block_of_its_own(void **state)
{
    struct arena arena = ARENA_EMPTY;
    (void)state;
    char *large = arena_alloc(&arena, 1000000);
    large[999999] = 'x';
    char *after = arena_alloc(&arena, 10);
    after[0] = 'y';
    assert_true(arena.total_bytes >= 1000000);
    assert_int_equal(large[999999], 'x');
    arena_fini(&arena);
}

static void after_a_reset_memory_is_used_again_and_zeroed(void **state)
{
    struct arena arena = ARENA_EMPTY;
    (void)state;
    arena_reset(&arena); /* of nothing */
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 100; i++) {
            unsigned char *bytes = arena_array(&arena, 10, 20);
            for (size_t b = 0; b < 200; b++)
                assert_int_equal(bytes[b], 0);
            memset(bytes, 0xff, 200);
        }
        arena_reset(&arena);
        assert_true(arena.total_bytes < 20000);
    }
    arena_fini(&arena);
}

static void texts_are_copied_with_a_nul(void **state)
{
    struct arena arena = ARENA_EMPTY;
    char source[] = "signups per day";
    (void)state;
    struct str copy = arena_str(&arena, (struct str){source, 7});
    const char *text = arena_text(&arena, STR("a\0b"));
    const char *empty = arena_text(&arena, STR_EMPTY);
    source[0] = 'X';
    assert_true(str_is(copy, "signups"));
    assert_int_equal(copy.text[7], '\0');
    assert_memory_equal(text, "a\0b", 4);
    assert_string_equal(empty, "");
    assert_string_equal(arena_printf(&arena, "%d of %s", 3, "four"), "3 of four");
    assert_string_equal(arena_printf(&arena, "%s", ""), "");
    assert_int_equal(strlen(arena_printf(&arena, "%20000d", 1)), 20000);
    arena_fini(&arena);
}

static void arrays_grow_and_keep_their_items(void **state)
{
    struct arena arena = ARENA_EMPTY;
    int *items = NULL;
    size_t capacity = 0;
    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        items = arena_grow(&arena, items, i, &capacity, sizeof *items);
        assert_true(capacity > i);
        items[i] = (int)i;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(a_large_piece_gets_a_block_of_its_own),
        cmocka_unit_test(after_a_reset_memory_is_used_again_and_zeroed),
        cmocka_unit_test(texts_are_copied_with_a_nul),
        cmocka_unit_test(arrays_grow_and_keep_their_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
