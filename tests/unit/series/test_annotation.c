#include "series/annotation.h"
#include "series/delta.h"
#include "test.h"

static void kinds_have_their_stable_names(void **state)
{
    (void)state;
    static const char *const names[] = {"info", "success", "warning", "error"};
    enum annotation_kind kind = ANNOTATION_INFO;

    assert_int_equal(TEST_COUNT(names), ANNOTATION_KIND_COUNT);
    for (int i = 0; i < ANNOTATION_KIND_COUNT; i++) {
        assert_string_equal(annotation_kind_name((enum annotation_kind)i), names[i]);
        assert_true(annotation_kind_parse(str_of(names[i]), &kind));
        assert_int_equal(kind, i);
    }
    assert_false(annotation_kind_parse(STR("fatal"), &kind));
    assert_false(annotation_kind_parse(STR(""), &kind));
}

static void what_is_too_long_is_cut_with_a_mark_between_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t max;
        const char *want;
    } cases[] = {
        {"", 5, ""},
        {"abcde", 5, "abcde"},
        {"abcdef", 5, "ab..."},
        {"äöüäöü", 12, "äöüäöü"},
        {"äöüäöü", 11, "äöüä..."},
        {"äöüäöü", 10, "äöü..."},
        {"€€€€", 9, "€€..."},
        {"€€€€", 8, "€..."},
        {"\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 6, "..."},
    };
    struct arena arena = ARENA_EMPTY;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct str got = annotation_cut(&arena, str_of(cases[i].text), cases[i].max);
        if (!str_is(got, cases[i].want))
            fail_msg("'%s' cut at %zu is '%.*s'", cases[i].text, cases[i].max, STR_ARGS(got));
        assert_true(got.len <= cases[i].max);
    }
    arena_fini(&arena);
}

static void bytes_that_are_no_text_are_cut_too(void **state)
{
    (void)state;
    char bytes[40];
    struct arena arena = ARENA_EMPTY;

    memset(bytes, 0x80, sizeof bytes);
    struct str got = annotation_cut(&arena, (struct str){bytes, sizeof bytes}, 20);
    assert_in_range(got.len, 3, 20);
    assert_true(str_is(annotation_cut(&arena, STR("a\0b"), 20), "a b"));
    arena_fini(&arena);
}

static void a_delta_keeps_copies_within_the_limits(void **state)
{
    (void)state;
    static char text[20000];
    struct delta *delta = delta_new();
    struct annotation annotation = {.at = 5, .kind = ANNOTATION_ERROR, .is_low = true};

    memset(text, 'x', sizeof text);
    annotation.title = annotation.text = annotation.host = annotation.key = annotation.source =
        annotation.tags = (struct str){text, sizeof text};
    size_t before = delta_size_bytes(delta);
    assert_true(delta_is_empty(delta));
    for (int i = 0; i < 20; i++)
        delta_add_annotation(delta, &annotation);
    annotation.tags = STR("a:b");
    annotation.title = STR("t");
    annotation.text = STR_EMPTY;
    delta_add_annotation(delta, &annotation);
    memset(text, 'y', sizeof text);

    assert_false(delta_is_empty(delta));
    assert_true(delta_size_bytes(delta) > before + 20 * (size_t)ANNOTATION_TEXT_MAX);
    const struct annotation *first = &delta->annotations[0];
    assert_int_equal(delta->annotation_count, 21);
    assert_int_equal(first->title.len, ANNOTATION_TITLE_MAX);
    assert_int_equal(first->text.len, ANNOTATION_TEXT_MAX);
    assert_int_equal(first->host.len, ANNOTATION_WORD_MAX);
    assert_int_equal(first->key.len, ANNOTATION_WORD_MAX);
    assert_int_equal(first->source.len, ANNOTATION_WORD_MAX);
    assert_int_equal(first->tags.len, 0);
    assert_int_equal(first->title.text[0], 'x');
    assert_true(first->is_low);
    assert_true(str_is(delta->annotations[20].tags, "a:b"));
    delta_free(delta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_have_their_stable_names),
        cmocka_unit_test(what_is_too_long_is_cut_with_a_mark_between_characters),
        cmocka_unit_test(bytes_that_are_no_text_are_cut_too),
        cmocka_unit_test(a_delta_keeps_copies_within_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
