#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "series/mapping.h"
#include "test.h"

/* "name{a=1,b=2}" of what a rule makes of a name; "none", "dropped", "too big". */
static const char *mapped_text(const struct mapping *mapping, const char *name,
                               const struct label *labels, size_t count)
{
    static char text[8192];
    struct mapped *out = calloc(1, sizeof *out);
    enum mapping_verdict verdict = mapping_apply(mapping, str_of(name), labels, count, out);

    if (verdict != MAPPING_MAPPED) {
        free(out);
        return verdict == MAPPING_NONE      ? "none"
               : verdict == MAPPING_DROPPED ? "dropped"
                                            : "too big";
    }
    int len = snprintf(text, sizeof text, "%.*s", STR_ARGS(out->name));
    for (size_t i = 0; i < out->label_count; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "%s%.*s=%.*s", i == 0 ? "{" : ",",
                        STR_ARGS(out->labels[i].name), STR_ARGS(out->labels[i].value));
    if (out->label_count > 0)
        (void)snprintf(text + len, sizeof text - (size_t)len, "}");
    free(out);
    return text;
}

static void a_star_is_one_part_and_two_are_one_or_more(void **state)
{
    (void)state;
    static const struct {
        const char *match, *name, *sent, *becomes;
    } cases[] = {
        {"a", "x", "a", "x"},
        {"a", "x", "a.b", "none"},
        {"a.*", "x.$1", "a.b", "x.b"},
        {"a.*", "x", "a", "none"},
        {"a.*", "x", "a.", "none"},
        {"a.*", "x", "a.b.c", "none"},
        {"a.*.c", "$1", "a.b.c", "b"},
        {"a.*.c", "$1", "a.b.d", "none"},
        {"*", "$1", "a", "a"},
        {"*.*", "$2.$1", "a.b", "b.a"},
        {"**", "$1", "a.b.c", "a.b.c"},
        {"a.**", "$1", "a.b.c", "b.c"},
        {"a.**", "$1", "a", "none"},
        {"**.z", "$1", "a.b.z", "a.b"},
        {"**.z", "$1", "z", "none"},
        {"**.z", "$1", "a.z.z", "a.z"},
        {"a.**.b.*", "$1-$2", "a.x.b.y.b.c", "x.b.y-c"},
        {"**.b.**.d", "$1-$2", "a.b.c.d", "a-c"},
        {"**.b.**.d", "$1-$2", "b.b.b.d.d", "b-b.d"},
        {"host*.cpu", "cpu$1", "host7.cpu", "cpu7"},
        {"host*.cpu", "cpu$1", "host.cpu", "none"},
        {"host*.cpu", "cpu$1", "hos.cpu", "none"},
        {"*ms.x", "$1", "12ms.x", "12"},
        {"a*b.x", "$1", "ab.x", "none"},
        {"a*b.x", "$1", "aab.x", "a"},
        {"a.*", "cost $$1 $0x $", "a.b", "cost $b $0x $"},
    };

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct mapping_rule rule = {.match = cases[i].match, .name = cases[i].name};
        struct error err = ERROR_EMPTY;
        assert_true(mapping_check(&rule, &err));
        struct mapping *mapping = mapping_new(&rule, 1);
        assert_string_equal(mapped_text(mapping, cases[i].sent, NULL, 0), cases[i].becomes);
        mapping_free(mapping);
    }
}

static void the_first_rule_that_matches_counts_wherever_it_stands(void **state)
{
    (void)state;
    const struct mapping_rule rules[] = {
        {.match = "shop.*.orders.*", .name = "orders"}, {.match = "*.tmp", .drop = true},
        {.match = "shop.**", .name = "shop"},           {.match = "**", .name = "rest"},
        {.match = "never.seen", .name = "never"},
    };
    struct mapping *mapping = mapping_new(rules, TEST_COUNT(rules));

    assert_string_equal(mapped_text(mapping, "shop.de.orders.web", NULL, 0), "orders");
    assert_string_equal(mapped_text(mapping, "shop.tmp", NULL, 0), "dropped");
    assert_string_equal(mapped_text(mapping, "shop.de", NULL, 0), "shop");
    assert_string_equal(mapped_text(mapping, "shop", NULL, 0), "rest");
    assert_string_equal(mapped_text(mapping, "never.seen", NULL, 0), "rest");
    assert_string_equal(mapped_text(NULL, "shop", NULL, 0), "none");
    mapping_free(mapping);
    assert_null(mapping_new(NULL, 0));
}

static void labels_that_were_sent_stay_as_they_are(void **state)
{
    (void)state;
    const struct label added[] = {{STR("zone"), STR("$1")}, {STR("a"), STR("is $1-$2")}};
    const struct mapping_rule rule = {
        .match = "x.*.*", .name = "x", .labels = added, .label_count = 2};
    const struct label sent[] = {{STR("host"), STR("we.b")}, {STR("zone"), STR("mine")}};
    struct mapping *mapping = mapping_new(&rule, 1);

    assert_string_equal(mapped_text(mapping, "x.1.2", NULL, 0), "x{a=is 1-2,zone=1}");
    assert_string_equal(mapped_text(mapping, "x.1.2", sent, 2), "x{a=is 1-2,host=we.b,zone=mine}");
    mapping_free(mapping);
}

static void a_label_whose_value_is_empty_is_none(void **state)
{
    (void)state;
    const struct label added[] = {{STR("rest"), STR("$1")}, {STR("zone"), STR("eu")}};
    const struct mapping_rule rule = {
        .match = "a.**", .name = "x", .labels = added, .label_count = 2};
    struct mapping *mapping = mapping_new(&rule, 1);

    assert_string_equal(mapped_text(mapping, "a.b", NULL, 0), "x{rest=b,zone=eu}");
    assert_string_equal(mapped_text(mapping, "a.", NULL, 0), "x{zone=eu}");
    mapping_free(mapping);
}

static void what_would_be_too_long_is_said_to_be(void **state)
{
    (void)state;
    enum { LONG = METRIC_NAME_MAX + LABEL_BYTES_MAX };
    char *name = malloc(LONG + 3);
    const struct mapping_rule rule = {.match = "a.*", .name = "$1$1"};
    struct mapping *mapping = mapping_new(&rule, 1);

    memset(name, 'x', LONG + 2);
    memcpy(name, "a.", 2);
    name[2 + LONG / 2] = '\0';
    assert_int_equal(strlen(mapped_text(mapping, name, NULL, 0)), LONG);
    name[2 + LONG / 2] = 'x';
    name[3 + LONG / 2] = '\0';
    assert_string_equal(mapped_text(mapping, name, NULL, 0), "too big");
    mapping_free(mapping);
    free(name);
}

static void rules_that_say_nothing_or_too_much_are_refused(void **state)
{
    (void)state;
    const struct label reference[] = {{STR("a"), STR("$2")}};
    const struct label nameless[] = {{STR(""), STR("b")}};
    const struct {
        struct mapping_rule rule;
        const char *words;
    } cases[] = {
        {{.match = ""}, "a rule says what it matches"},
        {{.match = "a..b", .drop = true}, "a part between dots is empty"},
        {{.match = "a.", .drop = true}, "a part between dots is empty"},
        {{.match = "a*b*.c", .drop = true}, "'a*b*' has two stars: one a part, or ** alone"},
        {{.match = "a"}, "a rule gives a name or labels, or drops"},
        {{.match = "a", .drop = true, .name = "b"}, "what is dropped has no name and no labels"},
        {{.match = "a.*", .name = "$2"}, "'$2' names $2, and there are 1 stars"},
        {{.match = "a.*", .labels = reference, .label_count = 1},
         "'$2' names $2, and there are 1 stars"},
        {{.match = "a.*", .labels = nameless, .label_count = 1}, "a label needs a name"},
        {{.match = "*.*.*.*.*.*.*.*.*.*", .drop = true},
         "'*.*.*.*.*.*.*.*.*.*' has more than 9 stars"},
    };

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        assert_false(mapping_check(&cases[i].rule, &err));
        assert_string_equal(err.text, cases[i].words);
    }
}

/* The plainest way to say whether a pattern matches: parts by recursion. */
static bool plainly_matches(const char *pattern, const char *name)
{
    size_t p = strcspn(pattern, ".");
    size_t n = strcspn(name, ".");
    bool stars = p == 2 && memcmp(pattern, "**", 2) == 0;
    bool one = n > 0 && p == 1 && pattern[0] == '*';

    if (!stars && !one && (p != n || memcmp(pattern, name, p) != 0))
        return false;
    if (pattern[p] == '\0' && name[n] == '\0')
        return true;
    if (pattern[p] == '.' && name[n] == '.' && plainly_matches(pattern + p + 1, name + n + 1))
        return true;
    return stars && name[n] == '.' && plainly_matches(pattern, name + n + 1);
}

static uint32_t random_next(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 16;
}

static void random_parts(uint32_t *seed, const char *const *parts, size_t count, char *out)
{
    size_t wanted = 1 + random_next(seed) % 5;

    out[0] = '\0';
    for (size_t i = 0; i < wanted; i++) {
        strcat(out, i == 0 ? "" : ".");
        strcat(out, parts[random_next(seed) % count]);
    }
}

static void random_patterns_match_what_they_plainly_match(void **state)
{
    (void)state;
    static const char *const pattern_parts[] = {"a", "b", "ab", "*", "**", "*", "**"};
    static const char *const name_parts[] = {"a", "b", "ab", "c"};
    uint32_t seed = 7;
    size_t matched = 0;

    for (int i = 0; i < 20000; i++) {
        char pattern[64];
        char name[64];
        random_parts(&seed, pattern_parts, TEST_COUNT(pattern_parts), pattern);
        random_parts(&seed, name_parts, TEST_COUNT(name_parts), name);
        const struct mapping_rule rule = {.match = pattern, .name = "hit"};
        struct mapping *mapping = mapping_new(&rule, 1);
        bool expected = plainly_matches(pattern, name);
        if (strcmp(mapped_text(mapping, name, NULL, 0), expected ? "hit" : "none") != 0)
            fail_msg("'%s' and '%s'", pattern, name);
        matched += expected;
        mapping_free(mapping);
    }
    assert_true(matched > 2000 && matched < 18000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_star_is_one_part_and_two_are_one_or_more),
        cmocka_unit_test(the_first_rule_that_matches_counts_wherever_it_stands),
        cmocka_unit_test(labels_that_were_sent_stay_as_they_are),
        cmocka_unit_test(a_label_whose_value_is_empty_is_none),
        cmocka_unit_test(what_would_be_too_long_is_said_to_be),
        cmocka_unit_test(rules_that_say_nothing_or_too_much_are_refused),
        cmocka_unit_test(random_patterns_match_what_they_plainly_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
