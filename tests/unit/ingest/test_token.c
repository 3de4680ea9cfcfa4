#include <stdio.h>

#include "ingest/token.h"
#include "test.h"

static struct token token_of(const char *name, enum role role, const char *text)
{
    struct token token = {.role = role};
    (void)snprintf(token.name, sizeof token.name, "%s", name);
    token_hash(str_of(text), token.hash);
    return token;
}

static void each_role_may_do_what_it_is_for(void **state)
{
    static const struct {
        enum role role;
        const char *rights; /* read, edit, samples, approve, admin, none */
    } cases[] = {{ROLE_INGEST, "..s..n"},
                 {ROLE_VIEWER, "r....n"},
                 {ROLE_EDITOR, "res..n"},
                 {ROLE_APPROVER, "resa.n"},
                 {ROLE_ADMIN, "resaAn"}};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        for (int right = 0; right <= RIGHT_NONE; right++)
            assert_int_equal(role_may(cases[i].role, (enum right)right),
                             cases[i].rights[right] != '.');
    }
}

static void a_role_is_its_name(void **state)
{
    enum role role = ROLE_COUNT;
    (void)state;

    for (int i = 0; i < ROLE_COUNT; i++) {
        assert_true(role_parse(str_of(role_name((enum role)i)), &role));
        assert_int_equal(role, i);
    }
    assert_false(role_parse(STR("Admin"), &role));
    assert_false(role_parse(STR_EMPTY, &role));
}

static void new_tokens_are_long_and_never_the_same(void **state)
{
    char one[TOKEN_TEXT_SIZE];
    char two[TOKEN_TEXT_SIZE];
    struct error err = ERROR_EMPTY;
    (void)state;

    assert_true(token_make(one, &err));
    assert_true(token_make(two, &err));
    assert_int_equal(strlen(one), TOKEN_TEXT_SIZE - 1);
    assert_true(str_starts_with(str_of(one), "kpid_"));
    assert_int_equal(strspn(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 "0123456789-_"),
                     strlen(one));
    assert_string_not_equal(one, two);
}

static void a_token_is_found_by_its_text(void **state)
{
    const struct token tokens[] = {token_of("a", ROLE_INGEST, "one"),
                                   token_of("b", ROLE_ADMIN, "two")};
    struct token_table *table = token_table_new(tokens, 2, NULL);
    (void)state;

    assert_string_equal(token_table_find(table, STR("one"))->name, "a");
    assert_int_equal(token_table_find(table, STR("two"))->role, ROLE_ADMIN);
    assert_null(token_table_find(table, STR("on")));
    assert_null(token_table_find(table, STR("onee")));
    assert_null(token_table_find(table, STR_EMPTY));
    assert_null(token_table_find(NULL, STR("one")));
    token_table_release(table);
}

static void of_two_tokens_with_one_name_the_first_stays(void **state)
{
    const struct token tokens[] = {token_of("a", ROLE_VIEWER, "one"),
                                   token_of("a", ROLE_ADMIN, "two")};
    struct token_table *table = token_table_new(tokens, 2, NULL);
    (void)state;

    assert_int_equal(token_table_count(table), 1);
    assert_int_equal(token_table_named(table, STR("a"))->role, ROLE_VIEWER);
    assert_null(token_table_find(table, STR("two")));
    token_table_release(table);
}

static void usage_goes_on_over_a_change_but_not_over_a_new_token_of_the_name(void **state)
{
    struct token tokens[] = {token_of("a", ROLE_INGEST, "one"), token_of("b", ROLE_INGEST, "two")};
    struct token_table *before = token_table_new(tokens, 2, NULL);
    struct token_usage *kept = token_table_at(before, 0)->usage;
    (void)state;

    token_usage_keep(kept); /* a request under way */
    atomic_store(&kept->samples, 7);
    atomic_store(&token_table_at(before, 1)->usage->samples, 8);
    tokens[1] = token_of("b", ROLE_INGEST, "another");
    struct token_table *after = token_table_new(tokens, 2, before);
    token_table_release(before);
    assert_int_equal(atomic_load(&token_table_named(after, STR("a"))->usage->samples), 7);
    assert_int_equal(atomic_load(&token_table_named(after, STR("b"))->usage->samples), 0);
    token_table_release(after);
    atomic_store(&kept->samples, 9); /* it is still there */
    token_usage_release(kept);
}

static void a_token_grants_as_long_as_it_is_in_the_table(void **state)
{
    struct token tokens[] = {token_of("a", ROLE_INGEST, "one"), token_of("b", ROLE_VIEWER, "two")};
    (void)state;

    struct token_table *before = token_table_new(tokens, 2, NULL);
    struct token_usage *a = token_table_at(before, 0)->usage;
    struct token_usage *b = token_table_at(before, 1)->usage;
    token_usage_keep(a);
    token_usage_keep(b);
    assert_true(token_table_grants(before, a, RIGHT_SAMPLES));
    assert_false(token_table_grants(before, a, RIGHT_READ));
    assert_false(token_table_grants(before, b, RIGHT_SAMPLES));
    assert_false(token_table_grants(before, NULL, RIGHT_SAMPLES));
    assert_false(token_table_grants(NULL, a, RIGHT_SAMPLES));

    tokens[1] = token_of("a", ROLE_INGEST, "three"); /* the name alone is not the token */
    struct token_table *without = token_table_new(&tokens[1], 1, before);
    assert_false(token_table_grants(without, a, RIGHT_SAMPLES));
    tokens[0].role = ROLE_VIEWER;
    struct token_table *less = token_table_new(tokens, 1, before);
    assert_false(token_table_grants(less, a, RIGHT_SAMPLES));
    assert_true(token_table_grants(less, a, RIGHT_READ));
    token_table_release(before);
    token_table_release(without);
    token_table_release(less);
    token_usage_release(a);
    token_usage_release(b);
}

#define HASH_OF_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void a_file_has_a_role_a_name_and_a_hash_a_line(void **state)
{
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct token *tokens = NULL;
    size_t count = 0;
    (void)state;

    assert_true(token_file_parse(STR("# who may\n\n  ingest\tweb-1  " HASH_OF_ABC "\r\n"
                                     "viewer eyes BA7816bf8f01cfea414140de5dae2223b00361a396177a"
                                     "9cb410ff61f20015ae"),
                                 &arena, &tokens, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(tokens[0].name, "web-1");
    assert_int_equal(tokens[0].role, ROLE_INGEST);
    assert_true(tokens[0].from_file);
    assert_int_equal(tokens[1].role, ROLE_VIEWER);
    struct token_table *table = token_table_new(tokens, count, NULL);
    assert_string_equal(token_table_find(table, STR("abc"))->name, "web-1");
    token_table_release(table);
    arena_fini(&arena);
}

static void a_bad_line_is_named_and_never_quoted(void **state)
{
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"\nboss a " HASH_OF_ABC, "line 2: it does not begin with a role"},
        {"kpid_secret", "line 1: it does not begin with a role"},
        {"ingest a/b " HASH_OF_ABC, "line 1: 'a/b' is not the name of a token"},
        {"ingest", "line 1: '' is not the name of a token"},
        {"ingest a kpid_secret", "line 1: after the name stands the SHA-256"},
        {"ingest a " HASH_OF_ABC "0", "line 1: after the name stands the SHA-256"},
        {"ingest a " HASH_OF_ABC " more", "line 1: after the name stands the SHA-256"},
        {"ingest a " HASH_OF_ABC "\nviewer a " HASH_OF_ABC, "line 2: another token has the name"},
        {"viewer a " HASH_OF_ABC "\n\nadmin b " HASH_OF_ABC,
         "line 3: 'a' and 'b' have the same hash"},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct arena arena = ARENA_EMPTY;
        struct error err = ERROR_EMPTY;
        struct token *tokens = NULL;
        size_t count = 0;
        assert_false(token_file_parse(str_of(cases[i].text), &arena, &tokens, &count, &err));
        if (strstr(err.text, cases[i].words) == NULL || strstr(err.text, "secret") != NULL)
            fail_msg("'%s': %s", cases[i].text, err.text);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_role_may_do_what_it_is_for),
        cmocka_unit_test(a_role_is_its_name),
        cmocka_unit_test(new_tokens_are_long_and_never_the_same),
        cmocka_unit_test(a_token_is_found_by_its_text),
        cmocka_unit_test(of_two_tokens_with_one_name_the_first_stays),
        cmocka_unit_test(usage_goes_on_over_a_change_but_not_over_a_new_token_of_the_name),
        cmocka_unit_test(a_token_grants_as_long_as_it_is_in_the_table),
        cmocka_unit_test(a_file_has_a_role_a_name_and_a_hash_a_line),
        cmocka_unit_test(a_bad_line_is_named_and_never_quoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
